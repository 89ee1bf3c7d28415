"""How long a run trains, on how large batches and images, at which learning rate."""

import math
from typing import Annotated

from pydantic import Field, model_validator

from workloads.spec import Part

__all__ = ["ScheduleSpec"]

LARGEST = 1e30  # single precision, in which networks compute, ends at 3e38
Side = Annotated[int, Field(ge=8, le=512)]
Share = Annotated[float, Field(gt=0, le=1)]


class ScheduleSpec(Part):
    """How long, how many images at a time, and the shape of the learning rate."""

    epochs: Annotated[int, Field(ge=0)] = Field(
        100, description="0 evaluates the untrained encoder"
    )
    batch_size: Annotated[int, Field(ge=2)] = Field(
        4096, description="source images over all workers, not views"
    )
    chunk: Annotated[int, Field(ge=2)] | None = Field(
        None,
        description="images of the batch, over all workers, that are in the encoder at a time: for "
        "a batch beyond memory. The gradient is the whole batch's; BN normalises each chunk by "
        "itself, and the encoder runs forward twice. null is all of them",
    )
    warmup_epochs: Annotated[float, Field(ge=0, le=LARGEST)] = Field(
        10, description="linear from 0, per step; then cosine to 0"
    )
    image_sizes: tuple[tuple[Side, Share], ...] = Field(
        (),
        description="the side of the views in training, in pixels, and its share of the steps, in "
        "their order: [[16, 0.4], [24, 0.3], [32, 0.3]] begins with small images, which take less "
        "time. Empty: the size of evaluation, which stays augment.output_size, throughout",
    )

    @model_validator(mode="after")
    def _warmup(self) -> "ScheduleSpec":
        if self.epochs and self.warmup_epochs > self.epochs:
            raise ValueError(
                f"schedule.warmup_epochs={self.warmup_epochs:g}: is longer than "
                f"schedule.epochs={self.epochs}"
            )
        return self

    @model_validator(mode="after")
    def _whole_chunks(self) -> "ScheduleSpec":
        if self.chunk is not None and self.batch_size % self.chunk:
            raise ValueError(
                f"schedule.chunk={self.chunk}: does not divide "
                f"schedule.batch_size={self.batch_size}"
            )
        return self

    @model_validator(mode="after")
    def _whole_training(self) -> "ScheduleSpec":
        shares = [share for _, share in self.image_sizes]
        if shares and not math.isclose(sum(shares), 1, abs_tol=1e-6):
            raise ValueError(
                f"schedule.image_sizes={[list(each) for each in self.image_sizes]}: the shares of "
                f"the steps add up to {sum(shares):g}; needs 1"
            )
        return self

    @property
    def sides(self) -> tuple[int, ...]:
        """Return the sides of views that `image_sizes` names, in its order."""
        return tuple(side for side, _ in self.image_sizes)

    def side_at(self, step: int, total_steps: int) -> int | None:
        """Return the side of the views of a step, of `total_steps` from 0 on; None if not set."""
        ended = 0.0
        for side, share in self.image_sizes:
            ended += share
            if step < round(ended * total_steps):
                return side
        return self.image_sizes[-1][0] if self.image_sizes else None
