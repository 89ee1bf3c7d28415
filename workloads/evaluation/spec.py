"""How a frozen encoder is judged."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from workloads.spec import Part

__all__ = ["EvalSpec", "KnnSpec", "LinearSgdSpec", "ProbeSpec", "ProbeTask"]

Positive = Annotated[float, Field(gt=0)]
ProbeTask = Literal["color", "rotation", "noise", "sobel"]


class LinearSgdSpec(Part):
    """The paper's linear evaluation (B.6): SGD with Nesterov momentum on randomly cropped and flipped images."""

    epochs: Annotated[int, Field(ge=1)] = 90
    batch_size: Annotated[int, Field(ge=1)] = Field(4096, description="clipped to the number of training images")
    base_learning_rate: Positive = Field(0.1, description="times batch_size / 256, cosine to 0, no warm-up")
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    min_area: Annotated[float, Field(gt=0, le=1)] = Field(0.08, description="smallest area of the random crop")


class KnnSpec(Part):
    """Weighted cosine k-nearest neighbours; the bank is the training split's clean features."""

    k: Annotated[int, Field(ge=1)] = Field(200, description="clipped to the size of the bank")
    temperature: Positive = 0.1


class ProbeSpec(Part):
    """Which transformation was applied, told from h and from z = g(h) by a small MLP (Table 3); its size is our choice.

    color: colour or grey, at the odds of the colour distortion's grayscale step; rotation: which of four quarter turns;
    noise and sobel: the original or the transformed image, at even odds.
    """

    tasks: tuple[ProbeTask, ...] = ()
    hidden_dim: Annotated[int, Field(ge=1)] = 512
    epochs: Annotated[int, Field(ge=1)] = 15
    batch_size: Annotated[int, Field(ge=2)] = 256
    learning_rate: Positive = Field(1e-3, description="of Adam")
    noise_std: Positive = 0.1

    @model_validator(mode="after")
    def _tasks(self) -> "ProbeSpec":
        if len(set(self.tasks)) != len(self.tasks):
            raise ValueError(f"eval.probe.tasks={list(self.tasks)}: names a task twice")
        return self


class EvalSpec(Part):
    """Linear evaluation on frozen features, and k-nearest neighbours beside it."""

    protocol: Literal["lbfgs", "sgd"] = Field(
        "lbfgs", description="lbfgs: logistic regression on cached features; sgd: the paper's protocol"
    )
    l2: tuple[Positive, ...] = Field(
        (1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
        description="candidates for the L2 strength (of the mean loss) of lbfgs; the validation split chooses",
    )
    sgd: LinearSgdSpec = LinearSgdSpec()
    knn: KnnSpec = KnnSpec()
    projection: bool = Field(False, description="judge z = g(h) by linear evaluation, too (section 4.2)")
    probe: ProbeSpec = ProbeSpec()

    @model_validator(mode="after")
    def _candidates(self) -> "EvalSpec":
        if not self.l2 or list(self.l2) != sorted(set(self.l2)):
            raise ValueError(f"eval.l2={list(self.l2)!r}: needs at least one value, in increasing order, none twice")
        return self
