"""SimCLR as a workload: what plans and executors need of it, in one object.

What trains and evaluates is imported by the methods that do so: to list runs and to judge claims
needs the specification and the names of metrics, and no torch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from workloads.datasets import load
from workloads.evaluation_result import EvaluationResult
from workloads.facts import Embedding
from workloads.quantity import Curves, Quantity
from workloads.representation import Representation
from workloads.shown import CropHistograms, EncoderShown, ExampleViews, ScheduleShown
from workloads.simclr.presets import PRESETS
from workloads.simclr.quantities import CURVES, LOGGED, QUANTITIES
from workloads.simclr.spec import RunSpec
from workloads.simclr.spec.training import setting_of
from workloads.workload import (
    DataFacts,
    Evaluation,
    Midway,
    Paper,
    State,
    TrainedAlone,
    Weights,
    WorkloadName,
)

if TYPE_CHECKING:
    from workloads.distributed.worker import Worker
    from workloads.image_encoder import ImageEncoder
    from workloads.simclr.pretrain import EpochResult

__all__ = ["SIMCLR", "SimCLRWorkload"]

# Where the paper's grids make sense as they stand: on its data, and for CIFAR-10, which is used
# with much smaller networks and budgets as well, with its encoder.
_OF_SETTING = {"imagenet-paper": ("imagenet", None), "cifar10-paper": ("cifar10", "resnet50")}

# A protocol that adds to linear evaluation leaves that out; what it is about is set even where the
# run's own was another.
_ALONE: dict[str, Any] = {
    "eval.protocol": "none",
    "eval.projection": False,
    "eval.probe.tasks": [],
    "eval.finetune.labels": [],
    "eval.transfer.protocols": [],
    "eval.metrics.names": [],
}
_LINEAR = {name: value for name, value in _ALONE.items() if name != "eval.protocol"}
_EVALUATIONS = {
    "linear": Evaluation(_LINEAR | {"eval.protocol": "lbfgs"}, only="linear"),
    "linear-sgd": Evaluation(_LINEAR | {"eval.protocol": "sgd"}, only="linear"),
    "knn": Evaluation(
        _LINEAR
        | {
            # which a run may have left out; the cheaper of the two beside it
            "eval.protocol": "lbfgs",
            "eval.knn.k_choices": [1, 5, 10, 20, 50, 100, 200],
            "eval.knn.temperature_choices": [0.02, 0.05, 0.07, 0.1, 0.2, 0.5],
        },
        only="knn",
    ),
    "probe": Evaluation(
        _ALONE | {"eval.probe.tasks": ["color", "rotation", "noise", "sobel"]}, only="probe"
    ),
    "finetune": Evaluation(_ALONE | {"eval.finetune.labels": [0.01, 0.1, 1.0]}, only="finetune"),
    "transfer": Evaluation(_ALONE | {"eval.transfer.protocols": ["linear"]}, only="transfer"),
    "transfer-finetune": Evaluation(
        _ALONE | {"eval.transfer.protocols": ["finetune"]}, only="transfer"
    ),
    # which metrics is said beside it
    "metrics": Evaluation(
        {name: value for name, value in _ALONE.items() if name != "eval.metrics.names"}
    ),
    "inspect": Evaluation(_ALONE, inspects=True),
}


class SimCLRWorkload:
    """Contrastive pre-training, or its supervised counterpart, and evaluation of the encoder."""

    name: WorkloadName = "simclr"
    paper = Paper("SimCLR paper", {"imagenet-paper": "ImageNet", "cifar10-paper": "CIFAR-10"})
    quantities: Mapping[str, Quantity] = QUANTITIES
    curves: Curves = CURVES
    logged: tuple[str, ...] = (*LOGGED, "seconds", "validation_score")
    paths: tuple[str, ...] = (
        *("data.root", "eval.transfer.data.root", "eval.finetune.subset_files", "init.weights"),
    )
    free_fields: tuple[str, ...] = (
        *("seed", "data.root", "data.content", "data.split_seed"),
        *("eval.finetune.subset_files", "eval.finetune.subset_content"),
    )
    changeable: tuple[str, ...] = ("eval.", "data.root")
    read_by: tuple[str, ...] = ("data.channels", "data.value_range", "data.max_pixels")
    presets: Mapping[str, Callable[[], RunSpec]] = PRESETS
    headline: tuple[str, ...] = (
        *("linear_top1", "knn_top1", "finetune_1_top1", "finetune_10_top1", "finetune_100_top1"),
        *("transfer_linear", "transfer_finetune"),
    )
    evaluations: Mapping[str, Evaluation] = _EVALUATIONS

    @property
    def weights(self) -> Weights[RunSpec]:
        """Published encoders: torchvision's, and files in their common layouts."""
        from workloads.catalog.weights import PublishedEncoders

        return PublishedEncoders()

    @property
    def divergence(self) -> tuple[type[Exception], ...]:
        """What training and evaluation raise of numbers that are none."""
        from workloads.evaluation.divergence import DIVERGENCE

        return DIVERGENCE

    def read(self, tree: Mapping[str, Any]) -> RunSpec:
        """Read the specification in a plain tree. Raises SpecError."""
        return RunSpec.read(tree)

    def prepare(self, spec: RunSpec, *, download: bool) -> tuple[RunSpec, DataFacts]:
        """Pin the images by their digest, so that the fingerprint is not of a path."""
        from workloads.catalog.simclr_data import prepared

        return prepared(spec, download=download)

    def problems(self, spec: RunSpec, train_images: int | None, world_size: int) -> list[str]:
        """Return why a run cannot train on so many images and workers, a line each."""
        from workloads.evaluation.pinned import own_problems
        from workloads.evaluation.protocols.label_subsets import finetune_problems
        from workloads.evaluation.protocols.transfer import transfer_problems
        from workloads.simclr.initial import initial_problems
        from workloads.simclr.pretrain import problems_with

        of_training = problems_with(spec, train_images or spec.schedule.batch_size, world_size)
        if train_images is not None:  # about to be trained, and not evaluated
            of_training += initial_problems(spec)
        of_training += own_problems(spec)
        return of_training + transfer_problems(spec) + finetune_problems(spec)

    def reference(self, spec: RunSpec) -> RunSpec:
        """Return the recipe of the untrained encoder, which begins with no given weights."""
        begun: dict[str, Any] = {
            "init.weights": None,
            "init.content": None,
            "init.prefix": None,
            "init.ignore": [],
        }
        return spec.with_values({"schedule.epochs": 0, "schedule.warmup_epochs": 0} | begun)

    def promised(self, spec: RunSpec) -> tuple[str, ...]:
        """Return the main results of the evaluations that are asked for."""
        names = ["linear_top1", "knn_top1"] if spec.eval.protocol != "none" else []
        if spec.eval.projection:
            names.append("linear_top1_z")
        if spec.eval.online and spec.schedule.epochs:
            names.append("online_top1")
        names += [f"transfer_{protocol}" for protocol in spec.eval.transfer.protocols]
        return tuple(names)

    def scale(self, spec: RunSpec, setting: str) -> Literal["paper", "small"]:
        """Choose the paper's grid in the paper's setting, else the small one."""
        data, encoder = _OF_SETTING[setting]
        fits = spec.data.name == data and encoder in (None, spec.encoder.architecture)
        return "paper" if fits else "small"

    def train(
        self, spec: RunSpec, worker: "Worker", resume: dict[str, Any] | None
    ) -> "Iterator[EpochResult]":
        """Yield one result an epoch."""
        from workloads.simclr.pretrain import pretrain

        return pretrain(spec, worker, resume)

    def train_by_step(
        self, spec: RunSpec, worker: "Worker", resume: State | None, pause: Callable[[], bool]
    ) -> "Iterator[EpochResult | Midway]":
        """Yield one result an epoch, and the state within it where `pause` says so."""
        from workloads.simclr.pretrain import pretrain_by_step

        return pretrain_by_step(spec, worker, resume, pause)

    def epochs(self, spec: RunSpec) -> int:
        """Return the length of pre-training."""
        return spec.schedule.epochs

    def pinned(self, spec: RunSpec) -> RunSpec:
        """Pin transfer data, lists that name images with labels, weights and own parts."""
        from workloads.evaluation.pinned import pinned

        return pinned(spec)

    def trained_as(self, spec: RunSpec) -> str | None:
        """Return the digest of all but `spec.eval`."""
        return spec.training_fingerprint()

    def evaluate(self, spec: RunSpec, state: dict[str, Any], worker: "Worker") -> EvaluationResult:
        """Evaluate by `spec.eval`, as `workloads.evaluation.evaluate.evaluate` says."""
        from workloads.evaluation.evaluate import evaluate
        from workloads.simclr.own_parts import repeatable

        with repeatable(spec, "noise of the evaluation", 0, worker):
            return evaluate(spec, state, worker)

    def evaluated_on(self, spec: RunSpec, data: DataFacts) -> dict[str, str]:
        """Return name and content of the pre-training data, or of the data of the transfer."""
        from workloads.evaluation.pinned import content_of

        if not spec.eval.transfer.protocols:
            return {"name": spec.data.name, "content": data.content}
        other = spec.eval.transfer.data
        return {"name": other.name, "content": other.content or content_of(other)}

    def inspect(self, spec: RunSpec, state: dict[str, Any], worker: "Worker") -> Representation:
        """Inspect h, and z where there is a projection head."""
        from workloads.evaluation.features.frozen import FrozenEncoder
        from workloads.evaluation.protocols.inspect import inspect
        from workloads.simclr.pretrain import SimCLR
        from workloads.simclr.trained import load_model

        data, encoder = load(spec.data), FrozenEncoder.of_state(spec, state, worker)
        has_head = any(name.startswith("head.") for name in state["model"])
        model = load_model(spec, state, worker) if has_head else None
        head = model.head if isinstance(model, SimCLR) else None
        return inspect(encoder, head, data, spec)

    def embed(
        self,
        spec: RunSpec,
        state: State,
        folder: str,
        worker: "Worker",
        *,
        projection: bool,
        reading: Mapping[str, Any],
    ) -> Embedding:
        """Prepare features h, or z, of the images of a folder."""
        from workloads.evaluation.features.embedding import embedding_of

        own = {name.removeprefix("data."): value for name, value in reading.items()}
        return embedding_of(spec, state, folder, worker, projection=projection, reading=own)

    def encoder(
        self, spec: RunSpec, state: State, worker: "Worker", *, reading: Mapping[str, Any]
    ) -> "ImageEncoder":
        """Return the encoder of a state, for single images."""
        from workloads.evaluation.features.single_images import SingleImages

        own = {name.removeprefix("data."): value for name, value in reading.items()}
        return SingleImages.of_state(spec, state, worker, own)

    def state_from(
        self, source: str, spec: RunSpec, *, prefix: str | None, ignore: Sequence[str]
    ) -> tuple[State, tuple[str, ...]]:
        """Read a published encoder as the state of a run."""
        from workloads.simclr.published import Choice, state_of_weights

        return state_of_weights(source, spec, Choice(prefix, tuple(ignore)))

    def score(self, spec: RunSpec, state: dict[str, Any], worker: "Worker") -> float:
        """Return the top-1 in % of nearest training neighbours on the validation images."""
        from workloads.evaluation.validation_score import validation_score

        return validation_score(spec, state, worker)

    def operations(self, spec: RunSpec, train_images: int, *, trained: bool = False) -> float:
        """Count forward and backward of every view of every image, each epoch.

        Backward costs two forwards, and a forward two operations a multiply-add. Where a batch
        goes through the encoder in chunks, there are two forwards.
        """
        from workloads.simclr.encoder import multiply_adds

        views = 1 if spec.loss.name == "cross-entropy" else 2
        forward = 2 * multiply_adds(spec.encoder, spec.view_size)
        schedule = spec.schedule
        passes = 3 if schedule.chunk in (None, schedule.batch_size) else 4
        seen = views * schedule.epochs * train_images
        sizes = schedule.image_sizes or ((spec.view_size, 1.0),)
        training = sum(share * 2 * multiply_adds(spec.encoder, side) for side, share in sizes)
        tuned_images = (
            sum(share * epochs for share, epochs in spec.eval.finetune.runs) * train_images
        )

        transfer = spec.eval.transfer
        if "finetune" in transfer.protocols:
            candidates = len(transfer.learning_rates) * len(transfer.weight_decays)
            tuned_images += (candidates + 1) * transfer.steps * transfer.batch_size
        after = forward * (3 * tuned_images + train_images)
        return after if trained else after + passes * seen * training

    def operations_done(self, spec: RunSpec, history: Sequence[Mapping[str, float]]) -> float:
        """Return the operations of the images that the history counts."""
        epochs = len(history)
        images = sum(epoch["images_per_second"] * epoch["seconds"] for epoch in history)
        return self.operations(spec, round(images / epochs)) * epochs / self.epochs(spec)

    def example_views(
        self, spec: RunSpec, *, images: int, pairs: int, download: bool = False
    ) -> ExampleViews:
        """Return views of some of the training images."""
        from workloads.simclr.shown import views_shown

        return views_shown(spec, images=images, pairs=pairs, download=download)

    def crop_histograms(
        self, spec: RunSpec, *, images: int, crops: int, download: bool = False
    ) -> CropHistograms:
        """Return what crops of training images have in common. Raises SpecError without such."""
        from workloads.simclr.shown import histograms_shown

        return histograms_shown(spec, images=images, crops=crops, download=download)

    def schedule(self, spec: RunSpec, *, download: bool = False) -> ScheduleShown:
        """Return the learning rate and the size of the views by step."""
        from workloads.simclr.shown import schedule_shown

        return schedule_shown(spec, download=download)

    def layers(self, spec: RunSpec) -> EncoderShown:
        """Return the layers of encoder and head."""
        from workloads.simclr.layers import network_shown

        return network_shown(spec)

    def data_name(self, tree: Mapping[str, Any]) -> str:
        """Return the name of the data set."""
        return str(tree["data"]["name"])

    def setting(self, tree: Mapping[str, Any]) -> str:
        """Name the encoder, the epochs and the batch size; without training the encoder alone."""
        encoder = setting_of(tree["encoder"])
        if (schedule := tree.get("schedule")) is None:
            return encoder
        given = ""
        if begun := tree.get("init", {}).get("weights"):
            from workloads.simclr.initial import origin_of

            given = f", begun with {origin_of(begun)}"
        return f"{encoder}, {schedule['epochs']} epochs, batch {schedule['batch_size']}{given}"


SIMCLR: TrainedAlone[RunSpec] = SimCLRWorkload()
