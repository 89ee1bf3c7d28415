"""What a metric is called in figures and tables: name, unit, and digits worth showing."""

import math
from dataclasses import dataclass
from typing import Literal

__all__ = ["Curves", "Quantity", "cosine", "percent", "quantity_by_name"]


@dataclass(frozen=True)
class Quantity:
    """A number that is shown, with values in `low` to `high`.

    `digits` after the point, three significant ones for None. `better` says which way is better, as
    far as a run that is lost is the worst.
    """

    name: str
    unit: str = ""
    digits: int | None = None
    low: float = 0.0
    high: float | None = None
    better: Literal["higher", "lower"] = "higher"

    @property
    def label(self) -> str:
        """Name and unit, as on an axis."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def ends(self) -> tuple[float, float]:
        """Least and largest value; only one with an upper end is sure to have the lower one."""
        return (-math.inf, math.inf) if self.high is None else (self.low, self.high)

    @property
    def differences(self) -> str:
        """The unit of a difference between two values."""
        return "points" if self.unit == "%" else self.unit

    @property
    def resolution(self) -> float:
        """The smallest range that is worth an axis: ten of the last digit."""
        return 10.0 ** (1 - (3 if self.digits is None else self.digits))

    def text(self, value: float) -> str:
        """The value without its unit."""
        return f"{value:.3g}" if self.digits is None else f"{value:.{self.digits}f}"

    def told(self, value: float, spread: float | None) -> str:
        """The value with its sample standard deviation and unit, as in a sentence."""
        number = self.text(value) + (f" ± {self.text(spread)}" if spread is not None else "")
        return f"{number} {self.unit}".rstrip()


@dataclass(frozen=True)
class Curves:
    """What training logs that is worth a figure: quantities by metric, over the epochs of phases.

    A run's metrics may say by the number `phase` in which one they were logged. `of_many_cells`
    tells that a few cells of a large layout are drawn, and not none; `stop_early` that runs stop at
    different times.
    """

    quantities: dict[str, Quantity]
    phases: tuple[str, ...] = ("training",)
    unit_of_time: str = "epoch"
    of_many_cells: bool = False
    stop_early: bool = False


def percent(name: str, better: Literal["higher", "lower"] = "higher") -> Quantity:
    """Return the quantity of an accuracy in %, or of an error, of which lower is better."""
    return Quantity(name, "%", 1, 0.0, 100.0, better)


def cosine(name: str) -> Quantity:
    """Return the quantity of the modulus of a cosine."""
    return Quantity(name, "cosine", 3, 0.0, 1.0)


def quantity_by_name(metric: str) -> Quantity:
    """Return what the name of a metric says that no workload knows, such as an own one's.

    Its unit follows from the end, `_percent` or `_nats`, and one with the word error or loss is the
    better the lower it is.
    """
    words = metric.split("_")
    better: Literal["higher", "lower"] = "lower" if {"error", "loss"} & {*words} else "higher"
    if words[-1] == "percent":
        return percent(" ".join(words[:-1]), better)
    if metric.endswith("_mean_per_class"):
        return percent(" ".join(words))
    if words[-1] == "nats":
        return Quantity(" ".join(words[:-1]), "nats", None, better=better)
    return Quantity(" ".join(words), better=better)
