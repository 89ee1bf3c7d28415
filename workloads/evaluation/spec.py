"""How a frozen encoder is judged."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from workloads.spec import Part

__all__ = ["EvalSpec", "KnnSpec", "LinearSgdSpec"]

Positive = Annotated[float, Field(gt=0)]


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

    @model_validator(mode="after")
    def _candidates(self) -> "EvalSpec":
        if not self.l2 or list(self.l2) != sorted(set(self.l2)):
            raise ValueError(f"eval.l2={list(self.l2)!r}: needs at least one value, in increasing order, none twice")
        return self
