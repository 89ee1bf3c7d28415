"""Every field that can change the result of a SimCLR run.

Defaults are the paper's ImageNet setting (section 2, appendix A, B.6). Where the paper and the
authors' code disagree, the field's description says so.
"""

import math
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from workloads.checkpoint import CheckpointSpec
from workloads.datasets.spec import DataSpec, forget_newer_fields
from workloads.simclr.spec.augment import (
    AugmentSpec,
    Operation,
    keep_what_own_operations_read,
)
from workloads.simclr.spec.eval import EvalSpec
from workloads.simclr.spec.init import InitSpec, keep_what_is_begun_with
from workloads.simclr.spec.schedule import ScheduleSpec
from workloads.simclr.spec.training import (
    EncoderSpec,
    HeadSpec,
    LossSpec,
    OptimSpec,
    forget_what_own_parts_do_not_read,
)
from workloads.spec import Part, digest

__all__ = ["RunSpec"]

RESULT_REVISION = 1  # raised whenever the code gives another result for an equal specification


class RunSpec(Part):
    """One SimCLR run: everything that can change its result, and how its states are kept."""

    data: DataSpec = DataSpec()
    augment: AugmentSpec = AugmentSpec()
    encoder: EncoderSpec = EncoderSpec()
    init: InitSpec = InitSpec()
    head: HeadSpec = HeadSpec()
    loss: LossSpec = LossSpec()
    optim: OptimSpec = OptimSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    eval: EvalSpec = EvalSpec()
    checkpoint: CheckpointSpec = CheckpointSpec()
    seed: Annotated[int, Field(ge=0)] = Field(
        0, description="initial weights, order of images and views"
    )
    precision: Literal["bf16", "fp32"] = Field(
        "bf16", description="bf16 autocast where the device has it, else fp32"
    )

    @model_validator(mode="after")
    def _data(self) -> "RunSpec":
        if problem := self.data.root_problem("data.root"):
            raise ValueError(problem)
        if self.view_size > self.data.image_size:
            raise ValueError(
                f"augment.output_size={self.view_size}: is above "
                f"data.image_size={self.data.image_size}, the stored resolution"
            )
        if above := [side for side in self.schedule.sides if side > self.data.image_size]:
            raise ValueError(
                f"schedule.image_sizes: {above[0]} pixels are more than "
                f"data.image_size={self.data.image_size}, the stored resolution"
            )
        return self

    @property
    def view_size(self) -> int:
        """Return the side of the views in pixels."""
        return self.augment.output_size or self.data.image_size

    @property
    def learning_rate(self) -> float:
        """Return the peak learning rate for the global batch (appendix B.1)."""
        batch = self.schedule.batch_size
        match self.optim.scaling:
            case "linear":
                return self.optim.base_learning_rate * batch / 256
            case "sqrt":
                return (
                    self.optim.base_learning_rate
                    * math.sqrt(self.optim.anchor_batch_size * batch)
                    / 256
                )
            case "none":
                return self.optim.base_learning_rate

    def fingerprint(self) -> str:
        """Digest everything that can change the result, in stable hex digits.

        Fields that ablations vary and a run may not read (the blur's sigma without blur, the head's
        width without a head, the optimizer of an untrained encoder) are left out then, so that
        equal runs are shared; and so are `data.root` when `data.content` pins what lies there, and
        `eval.finetune.subset_files` when `subset_content` does.
        """
        return digest({"revision": RESULT_REVISION, "simclr": self._that_matters()})

    def training_fingerprint(self) -> str | None:
        """Digest what can change the trained state, however it is evaluated.

        None for a run without training.
        """
        if self.schedule.epochs == 0:
            return None
        tree = self._that_matters()
        tree["eval"] = {"online": True} if self.eval.online else {}
        return digest({"revision": RESULT_REVISION, "simclr-trained": tree})

    def _that_matters(self) -> dict[str, Any]:
        tree = self.tree()
        del tree["checkpoint"]
        keep_what_is_begun_with(tree)
        # Where equal content lies does not matter.
        for data in (tree["data"], tree["eval"]["transfer"]["data"]):
            if data["content"] is not None:
                del data["root"]
        if self.eval.finetune.subset_content is not None:
            del tree["eval"]["finetune"]["subset_files"]
        del tree["eval"]["transfer"]["data"]["image_size"]  # that of the views
        if self.schedule.epochs == 0:
            tree["eval"]["online"] = False  # nothing to be trained beside
            names = ("data", "encoder", "init", "eval", "seed", "precision")
            kept = {name: tree[name] for name in names if name in tree}
            if self.eval.projection or self.eval.probe.tasks:
                kept["head"] = tree["head"]
            self._keep_what_probes_read(kept)
            forget_what_own_parts_do_not_read(kept, self.encoder, self.loss, self.optim)
            _forget_newer_defaults(kept)
            return kept | {"view_size": self.view_size, "schedule": {"epochs": 0}}

        self._keep_what_views_read(tree["augment"])
        self._keep_what_probes_read(tree)
        read = _READ_BY_LOSS.get(self.loss.name, _OWN_LOSS)
        tree["loss"] = {name: tree["loss"][name] for name in read}
        self._keep_what_the_head_reads(tree)

        # How the peak rate came about does not matter: two scaling rules may agree at a batch size.
        for field in ("base_learning_rate", "scaling", "anchor_batch_size"):
            del tree["optim"][field]
        tree["optim"]["learning_rate"] = self.learning_rate
        if self.optim.name != "lars":
            del tree["optim"]["trust_coefficient"]
        if self.schedule.chunk in (None, self.schedule.batch_size):  # one chunk is the whole batch
            del tree["schedule"]["chunk"]
        if not self.schedule.image_sizes:
            del tree["schedule"]["image_sizes"]

        forget_what_own_parts_do_not_read(tree, self.encoder, self.loss, self.optim)
        _forget_newer_defaults(tree)
        return tree

    def _keep_what_views_read(self, augment: dict[str, Any]) -> None:
        keep_what_own_operations_read(augment, self.augment)
        used = {*self.augment.operations} | ({"crop"} if self.augment.branches == "one" else set())
        unread = {
            operation: augment.pop(operation)
            for operation in get_args(Operation)
            if operation not in used
        }
        sides = {self.view_size, *self.schedule.sides}
        if "crop" in unread and sides != {self.data.image_size}:
            # Without a crop the whole image is resized, as a crop would be.
            augment["crop"] = {
                name: unread["crop"][name] for name in ("interpolation", "antialias")
            }
        augment["output_size"] = self.view_size

    def _keep_what_probes_read(self, tree: dict[str, Any]) -> None:
        if "color" in self.eval.probe.tasks:
            tree["eval"]["grayscale_probability"] = self.augment.color.grayscale_probability

    def _keep_what_the_head_reads(self, tree: dict[str, Any]) -> None:
        if self.loss.name == "cross-entropy":
            del tree["head"]
        elif self.head.num_linear_layers == 0:
            tree["head"] = {"num_linear_layers": 0}
        elif self.head.num_linear_layers == 1:
            del tree["head"]["hidden_dim"]


_CONTRASTIVE = ("normalize", "reduction")
_ALTERNATIVE = ("name", *_CONTRASTIVE, "semi_hard", "negative_reduction")
_READ_BY_LOSS: dict[str, tuple[str, ...]] = {
    # nameless: the only loss there was at first
    "nt-xent": (*_CONTRASTIVE, "temperature", "negatives"),
    "nt-logistic": (*_ALTERNATIVE, "temperature"),
    "margin-triplet": (*_ALTERNATIVE, "margin", "temperature"),  # for the entropy that it logs
    "cross-entropy": ("name",),
}
_OWN_LOSS = ("name", "options", "code", "temperature", "normalize")  # the last of what is logged


def _forget_newer_defaults(tree: dict[str, Any]) -> None:
    """Drop fields that came after the first results, where they say what was done before.

    So finished runs stay found.
    """
    if tree["encoder"]["input_normalization"] == "none":
        del tree["encoder"]["input_normalization"]

    forget_newer_fields(tree["data"], tree["eval"]["transfer"]["data"])

    augment = tree.get("augment", {})
    for operation in ("noise", "sobel"):
        if augment.get(operation, {}).get("probability") == 1.0:
            del augment[operation]["probability"]
    if not augment.get("sobel", True):
        del augment["sobel"]

    evaluation = tree["eval"]
    if evaluation["finetune"]["subset_content"] is None:
        del evaluation["finetune"]["subset_content"]
    asked = {
        "projection": evaluation["projection"],
        "probe": evaluation["probe"]["tasks"],
        "online": evaluation["online"],
        "finetune": evaluation["finetune"]["labels"],
        "transfer": evaluation["transfer"]["protocols"],
        "metrics": evaluation["metrics"]["names"],
    }
    for name in asked:
        if not asked[name]:
            del evaluation[name]
    for choices in ("k_choices", "temperature_choices"):
        if not evaluation["knn"][choices]:
            del evaluation["knn"][choices]
