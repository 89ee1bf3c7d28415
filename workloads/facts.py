"""Facts that workloads hand to those who plan and run them, as plain data.

`workloads.workload` says what they are asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DataFacts",
    "Embedded",
    "Embedding",
    "Ended",
    "Evaluation",
    "Midway",
    "Paper",
    "Progress",
    "Result",
    "Specification",
]


class Specification(Protocol):
    """Everything that can change the result of a run; `workloads.spec.Part` gives most of it."""

    @property
    def seed(self) -> int:
        """The seed of everything random in the run."""

    def with_values(self, values: Mapping[str, Any]) -> Self:
        """Return a copy with dotted fields replaced, validated from scratch. Raises SpecError."""

    def tree(self) -> dict[str, Any]:
        """Return plain nested values."""

    def flat(self) -> dict[str, Any]:
        """Return the plain values by dotted field."""

    def fingerprint(self) -> str:
        """Return a stable digest of everything that can change the result."""


class Result(Protocol):
    """A result of training: numbers for people, and the state from which it continues."""

    @property
    def epoch(self) -> int:
        """The last epoch that has ended, in the workload's own unit."""

    @property
    def metrics(self) -> dict[str, float]:
        """Plain numbers of this epoch, for people."""

    @property
    def state(self) -> dict[str, Any]:
        """Tensors and plain values from which training continues."""


@dataclass(frozen=True)
class Midway:
    """A moment within an epoch: the state from which training continues there.

    epoch: how many have ended. step: those of this one that are done, of `steps`.
    """

    epoch: int
    step: int
    steps: int
    state: dict[str, Any]


@dataclass(frozen=True)
class Paper:
    """The paper that the questions of a workload come from, by its name in reports.

    `data_of_setting` names the data of the settings in which it asks, such as
    `{"imagenet-paper": "ImageNet"}`.
    """

    name: str
    data_of_setting: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DataFacts:
    """The facts that are known of a run's data before it starts.

    `lacking` is how the names of results begin that these data cannot give: they have no labels.
    """

    title: str
    train: int
    validation: int
    test: int
    content: str
    notes: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """A way to evaluate a finished run again: the fields it sets, or that it only `inspects`.

    `only` is how the names of the results begin that it is about. One that inspects is answered by
    `inspect`.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    only: str = ""
    inspects: bool = False


@dataclass(frozen=True)
class Ended:
    """The end of one of several runs: its results, or the error with which it would end again.

    history: points with `epoch`, which grows, and other plain numbers. seconds: its share of the
    process's time.
    """

    results: Mapping[str, float] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    seconds: float = 0.0
    error: Exception | None = None


@dataclass(frozen=True)
class Progress:
    """A result of training several runs: those that have just ended, and the state to go on from.

    ended: by position among the runs. metrics: plain numbers for people, of the runs that are
    trained at the moment. state: None as long as there is none.
    """

    ended: Mapping[int, Ended]
    metrics: Mapping[str, float]
    state: dict[str, Any] | None


@dataclass(frozen=True)
class Embedded:
    """Features of some images, float32 [n, D], by the images' names; None where n is 0.

    `unreadable` are the names of images that cannot be read, each with the reason.
    """

    names: Sequence[str]
    features: NDArray[np.float32] | None
    unreadable: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Embedding:
    """The features of a folder of images, a block at a time, in the order of the images' names.

    images: how many there are. left_out: a line for each reason why files are no images. about: how
    features come about, as plain values.
    """

    images: int
    left_out: Sequence[str]
    blocks: Iterator[Embedded]
    about: Mapping[str, Any]
