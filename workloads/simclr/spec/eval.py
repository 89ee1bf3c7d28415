"""How an encoder is evaluated: frozen, fine-tuned on few labels, and on other data."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from workloads.datasets.spec import DataSpec
from workloads.named_parts import check_names
from workloads.option_values import Options, OptionsField
from workloads.parts import METRICS
from workloads.spec import Part

__all__ = [
    "EvalSpec",
    "FinetuneSpec",
    "KnnSpec",
    "LinearSgdSpec",
    "MetricsSpec",
    "ProbeSpec",
    "ProbeTask",
    "TransferProtocol",
    "TransferSpec",
    "percent",
]

LARGEST = 1e30  # single precision, in which networks compute, ends at 3e38
Positive = Annotated[float, Field(gt=0, le=LARGEST)]
NonNegative = Annotated[float, Field(ge=0, le=LARGEST)]
ProbeTask = Literal["color", "rotation", "noise", "sobel"]


class LinearSgdSpec(Part):
    """The paper's linear evaluation (B.6): SGD on randomly cropped and flipped images.

    With Nesterov momentum.
    """

    epochs: Annotated[int, Field(ge=1)] = Field(
        90,
        description="passes over the training images; 90 in appendix B.6",
    )
    batch_size: Annotated[int, Field(ge=1)] = Field(
        4096, description="clipped to the number of training images"
    )
    base_learning_rate: Positive = Field(
        0.1, description="times batch_size / 256, cosine to 0, no warm-up"
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.9,
        description="of Nesterov",
    )
    weight_decay: NonNegative = Field(
        0.0,
        description="weight decay; none in appendix B.6",
    )
    min_area: Annotated[float, Field(gt=0, le=1)] = Field(
        0.08, description="smallest area of the random crop"
    )


class KnnSpec(Part):
    """Weighted cosine k-nearest neighbours; the bank is the training split's clean features."""

    k: Annotated[int, Field(ge=1)] = Field(200, description="clipped to the size of the bank")
    temperature: Positive = Field(
        0.1,
        description="of the votes of neighbours: lower counts the nearest more",
    )
    k_choices: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="when given, the validation split chooses k among these"
    )
    temperature_choices: tuple[Positive, ...] = Field(
        (), description="when given, the validation split chooses the temperature among these"
    )

    @model_validator(mode="after")
    def _choices(self) -> "KnnSpec":
        for name, values in (
            ("k_choices", self.k_choices),
            ("temperature_choices", self.temperature_choices),
        ):
            if list(values) != sorted(set(values)):
                raise ValueError(
                    f"eval.knn.{name}={list(values)!r}: must be in increasing order, none twice"
                )
        return self


class ProbeSpec(Part):
    """A small MLP that tells from h or z = g(h) which transformation was applied (Table 3).

    Its size is our choice.

    color: colour or grey, at the odds of the colour distortion's grayscale step; rotation: which of
    four quarter turns; noise and sobel: the original or the transformed image, at even odds.
    """

    tasks: tuple[ProbeTask, ...] = Field(
        (),
        description="what is told from features, one after the other (Table 4); none unless given",
    )
    hidden_dim: Annotated[int, Field(ge=1)] = Field(
        512,
        description="width of the hidden layer of the classifier",
    )
    epochs: Annotated[int, Field(ge=1)] = Field(
        15,
        description="passes over the training images",
    )
    batch_size: Annotated[int, Field(ge=2)] = Field(
        256,
        description="images of a step",
    )
    learning_rate: Positive = Field(1e-3, description="of Adam")
    noise_std: Positive = Field(
        0.1,
        description="of the task noise: its standard deviation, on the scale from 0 to 1",
    )

    @model_validator(mode="after")
    def _tasks(self) -> "ProbeSpec":
        if len(set(self.tasks)) != len(self.tasks):
            raise ValueError(f"eval.probe.tasks={list(self.tasks)}: names a task twice")
        return self


class FinetuneSpec(Part):
    """Fine-tuning of the whole network on a share of the labels (B.5).

    By SGD with Nesterov momentum on crops and flips. On an untrained encoder this is the supervised
    baseline from scratch.
    """

    labels: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (),
        description="shares of the training images whose labels are used, 0.01 for 1 %; empty: no "
        "fine-tuning",
    )
    epochs: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (),
        description="passes over the labelled images, for each share or one for all; empty: 60 up "
        "to 1 %, 30 above (B.5)",
    )
    batch_size: Annotated[int, Field(ge=2)] = Field(
        4096, description="clipped to the number of labelled images"
    )
    base_learning_rate: Positive = Field(
        0.05, description="times batch_size / 256, cosine to 0, no warm-up"
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.9,
        description="of Nesterov",
    )
    weight_decay: NonNegative = Field(
        0.0,
        description="weight decay; none in appendix B.5",
    )
    min_area: Annotated[float, Field(gt=0, le=1)] = Field(
        0.08, description="smallest area of the random crop"
    )
    subset_seed: Annotated[int, Field(ge=0)] = Field(
        0, description="draws the class-balanced subset, whatever the run's seed"
    )
    subset_files: str | None = Field(
        None,
        description="folder of lists of file names, `1percent.txt` and the like, instead of drawn "
        "subsets; names that data.validation_fraction holds out, about 10 % at its default, are "
        "left out and counted in finetune_{p}_left_out",
    )
    subset_content: str | None = Field(
        None,
        description="digest of all lists in `subset_files`; when given, other lists are refused "
        "and the folder may differ",
    )

    @model_validator(mode="after")
    def _shares(self) -> "FinetuneSpec":
        if list(self.labels) != sorted(set(self.labels)):
            raise ValueError(
                f"eval.finetune.labels={list(self.labels)!r}: must be in increasing order, none "
                "twice"
            )
        if self.labels and len(self.epochs) not in (0, 1, len(self.labels)):
            raise ValueError(
                f"eval.finetune.epochs={list(self.epochs)!r}: needs one number, or one for "
                f"each of the {len(self.labels)} shares in eval.finetune.labels"
            )
        return self

    @property
    def runs(self) -> tuple[tuple[float, int], ...]:
        """Return each share of the labels with its number of epochs."""
        match self.epochs:
            case ():
                return tuple((share, 60 if share <= 0.01 else 30) for share in self.labels)
            case (one,):
                return tuple((share, one) for share in self.labels)
            case several:
                return tuple(zip(self.labels, several, strict=False))


TransferProtocol = Literal["linear", "finetune"]


class TransferSpec(Part):
    """Evaluation of the encoder on other data (B.8), frozen and fine-tuned.

    That is logistic regression on frozen features, and fine-tuning with a grid. Everything is
    chosen on the other data's validation split, the official one where there is one; then the
    classifier or the network is fitted again on training and validation images together, and tested
    once.
    """

    protocols: tuple[TransferProtocol, ...] = Field((), description="empty: no transfer")
    data: DataSpec = Field(
        DataSpec(), description="the other data; their image_size follows from the views'"
    )
    l2: tuple[NonNegative, ...] = Field(
        tuple(float(f"{10 ** (-6 + 11 * index / 44):.6g}") for index in range(45)),
        description="candidates for the L2 strength of logistic regression; 45 from 1e-6 to 1e5 in "
        "the paper",
    )
    steps: Annotated[int, Field(ge=1)] = Field(
        20_000, description="of fine-tuning; 40,000 from scratch in the paper"
    )
    batch_size: Annotated[int, Field(ge=2)] = Field(
        256, description="clipped to the number of training images"
    )
    learning_rates: tuple[Positive, ...] = Field(
        tuple(float(f"{10 ** (-4 + index / 2):.6g}") for index in range(7)),
        description="candidates of fine-tuning; 7 from 1e-4 to 0.1 in the paper",
    )
    weight_decays: tuple[NonNegative, ...] = Field(
        (0.0, *(float(f"{10 ** (-6 + index / 2):.6g}") for index in range(7))),
        description="candidates of fine-tuning, each divided by the learning rate; none and 7 from "
        "1e-6 to 1e-3 in the paper",
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.9,
        description="of Nesterov, in fine-tuning",
    )
    min_area: Annotated[float, Field(gt=0, le=1)] = Field(
        0.08, description="smallest area of the random crop"
    )
    test_proportion: Annotated[float, Field(gt=0, le=1)] = Field(
        0.875,
        description="of fine-tuning: share of the side that is seen at test time; 256 pixels of "
        "which 224 in the paper",
    )

    @model_validator(mode="after")
    def _candidates(self) -> "TransferSpec":
        if len(set(self.protocols)) != len(self.protocols):
            raise ValueError(
                f"eval.transfer.protocols={list(self.protocols)}: names a protocol twice"
            )
        if self.protocols and (problem := self.data.root_problem("eval.transfer.data.root")):
            raise ValueError(problem)
        for name in ("l2", "learning_rates", "weight_decays"):
            values = list(getattr(self, name))
            if not values or values != sorted(set(values)):
                raise ValueError(
                    f"eval.transfer.{name}={values!r}: needs at least one value, in increasing "
                    "order, none twice"
                )
        return self


class MetricsSpec(Part):
    """Metrics of somebody's own on the frozen encoder's features (`docs/own-parts.md`)."""

    names: tuple[str, ...] = Field(
        (), description="own metrics, as module:name or by their entry points; empty: none"
    )
    options: OptionsField = Field(
        Options(),
        description="of each, by its name without the module: {uniformity: {t: 2}}",
    )
    code: OptionsField = Field(
        Options(),
        description="which source each has, by the same names: set when runs are planned, and "
        "another one is refused then",
    )

    @model_validator(mode="after")
    def _named(self) -> "MetricsSpec":
        check_names(METRICS, "eval.metrics.names", self.names, self.code)
        return self


class EvalSpec(Part):
    """Linear evaluation on frozen features, nearest neighbours beside it, and what else to ask."""

    protocol: Literal["lbfgs", "sgd", "none"] = Field(
        "lbfgs",
        description="lbfgs: logistic regression on cached features; sgd: the paper's; none: "
        "neither that nor neighbours",
    )
    l2: tuple[Positive, ...] = Field(
        (1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
        description="candidates for the L2 strength (of the mean loss) of lbfgs; the validation "
        "split chooses",
    )
    sgd: LinearSgdSpec = LinearSgdSpec()
    knn: KnnSpec = KnnSpec()
    projection: bool = Field(False, description="evaluate z = g(h) linearly, too (section 4.2)")
    probe: ProbeSpec = ProbeSpec()
    online: bool = Field(
        False,
        description="train a linear classifier of h during pre-training, without a gradient to the "
        "encoder (B.6)",
    )
    finetune: FinetuneSpec = FinetuneSpec()
    transfer: TransferSpec = TransferSpec()
    metrics: MetricsSpec = MetricsSpec()

    @model_validator(mode="after")
    def _candidates(self) -> "EvalSpec":
        if not self.l2 or list(self.l2) != sorted(set(self.l2)):
            raise ValueError(
                f"eval.l2={list(self.l2)!r}: needs at least one value, in increasing order, none "
                "twice"
            )
        return self


def percent(share: float) -> str:
    """Write a share as results name it: 0.01 is "1", 0.005 is "0.5"."""
    return f"{100 * share:g}"
