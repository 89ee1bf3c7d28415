"""Names of the tags in MLflow by which runs are found, and that its pages read."""

__all__ = [
    "DESCRIPTION",
    "EPOCHS",
    "EVALUATION",
    "EVALUATIONS",
    "FINGERPRINT",
    "KIND",
    "KIND_OF_EXPERIMENT",
    "LATEST",
    "PARENT",
    "SHOWN",
    "SWEEP",
]

SWEEP, FINGERPRINT, KIND = "simclr_orch.sweep", "simclr_orch.fingerprint", "simclr_orch.kind"
# a tag, and the experiment of what was not trained here
EVALUATION, EVALUATIONS = "simclr_orch.evaluation", "evaluate"
EPOCHS = "simclr_orch.epochs"  # a tag: of how many epochs the curve of an ended cell is whole
SHOWN = "simclr_orch.pages"  # a tag of what is named as pages show it; runs of old lack it
LATEST = "simclr_orch.view"  # a tag of an experiment: which saved view its latest sweep has
DESCRIPTION = "mlflow.note.content"  # a tag that pages show on top
KIND_OF_EXPERIMENT = {"mlflow.experimentKind": "custom_model_development"}  # not of language models
PARENT = "mlflow.parentRunId"  # what MLflow's own pages nest runs by
