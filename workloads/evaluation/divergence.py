"""What ends an evaluation as a loss that is not finite ends training: features and fits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.simclr.pretrain import LossNotFiniteError

__all__ = [
    "DIVERGENCE",
    "FeaturesNotFiniteError",
    "FinetuneDivergedError",
    "FitDivergedError",
    "refuse_infinite",
]


class FeaturesNotFiniteError(RuntimeError):
    """Features that are infinite or undefined, or too large to be counted with: training diverged.

    Nothing can be said of such an encoder, and another try ends alike.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} is not finite: training has diverged; a smaller learning rate may help"


class FitDivergedError(RuntimeError):
    """A classifier of frozen features whose weights became infinite or undefined."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} diverged: its weights are not finite"


class FinetuneDivergedError(RuntimeError):
    """A loss of fine-tuning, weights or outputs that became infinite or undefined at `step`."""

    def __init__(self, step: int, learning_rate: float) -> None:
        super().__init__(step, learning_rate)
        self.step, self.learning_rate = step, learning_rate

    def __str__(self) -> str:
        return f"fine-tuning diverged at step {self.step} (learning rate {self.learning_rate:.6g})"


# The errors of training and evaluation after which another try would end alike.
DIVERGENCE: tuple[type[Exception], ...] = (
    LossNotFiniteError,
    FinetuneDivergedError,
    FeaturesNotFiniteError,
    FitDivergedError,
)


def refuse_infinite(what: str, *arrays: NDArray[Any]) -> None:
    """Raise FeaturesNotFiniteError of `what`, such as h, if a number of the arrays is no number."""
    if not all(np.isfinite(array).all() for array in arrays):
        raise FeaturesNotFiniteError(what)
