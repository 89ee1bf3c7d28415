"""What a workload is to those who plan and run it: a specification, a generator that trains, and a function that judges.

A workload is a folder with a module `workload` that has an object of this protocol. Nothing here knows who runs it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self, get_args

from workloads.spec import SpecError
from workloads.worker import Worker

__all__ = [
    "DataFacts",
    "Result",
    "Specification",
    "Workload",
    "WorkloadName",
    "every_preset",
    "preset_named",
    "workload_named",
    "workload_of_preset",
]

WorkloadName = Literal["simclr"]


class Specification(Protocol):
    """Everything that can change the result of a run; `workloads.spec.Part` gives most of it."""

    @property
    def seed(self) -> int:
        """Of everything random in the run."""

    def with_values(self, values: Mapping[str, Any]) -> Self:
        """A copy with dotted fields replaced, validated from scratch. Raises SpecError."""

    def tree(self) -> dict[str, Any]:
        """Plain nested values."""

    def flat(self) -> dict[str, Any]:
        """Dotted field to plain value."""

    def fingerprint(self) -> str:
        """Stable digest of everything that can change the result."""


class Result(Protocol):
    """What training yields now and then: metrics for people, and the state from which it continues."""

    @property
    def epoch(self) -> int:
        """How far training is, in the workload's own unit."""

    @property
    def metrics(self) -> dict[str, float]:
        """Plain numbers."""

    @property
    def state(self) -> dict[str, Any]:
        """Tensors and plain values."""


@dataclass(frozen=True)
class DataFacts:
    """What there is to know of a run's data before it starts."""

    title: str
    train: int
    validation: int
    test: int
    content: str
    notes: tuple[str, ...] = ()


class Workload(Protocol):
    """A kind of run."""

    @property
    def name(self) -> WorkloadName:
        """As ablations name it."""

    @property
    def presets(self) -> Mapping[str, Callable[[], Specification]]:
        """The base recipes by name, the default one first."""

    @property
    def divergence(self) -> type[Exception]:
        """What training raises when it cannot continue and another try would end alike; its `last_good_epoch` is kept."""

    def read(self, tree: Mapping[str, Any]) -> Specification:
        """The specification in a plain tree. Raises SpecError."""

    def prepare(self, spec: Any, *, download: bool) -> tuple[Specification, DataFacts]:
        """The specification with its data pinned by content, and what the data is. Raises SpecError."""

    def problems(self, spec: Any, train_images: int | None, world_size: int) -> list[str]:
        """Why such a run cannot be; None images: not known."""

    def reference(self, spec: Any) -> Specification | None:
        """The run without any training that results are compared with, if there is one."""

    def scale(self, spec: Any, setting: str) -> Literal["paper", "small"]:
        """Whether the paper's own grid fits the recipe, for a question that the paper asked in `setting`."""

    def train(self, spec: Any, worker: Worker, resume: dict[str, Any] | None) -> Iterator[Result]:
        """Yield as training goes on; a resumed run equals an uninterrupted one. Does not yield what `resume` has finished."""

    def epochs(self, spec: Any) -> int:
        """The last `epoch` that `train` yields."""

    def evaluate(self, spec: Any, state: dict[str, Any], worker: Worker) -> dict[str, float]:
        """What the trained state is worth."""

    def score(self, spec: Any, state: dict[str, Any], worker: Worker) -> float:
        """A quick judgement of a state on the validation split, higher is better: what a search compares."""

    def operations(self, spec: Any, train_images: int) -> float:
        """Floating-point operations of a run, roughly."""

    def setting(self, tree: Mapping[str, Any]) -> str:
        """A recipe in a few words."""


def workload_named(name: WorkloadName) -> Workload:
    """The workload of that name, imported when asked for."""
    match name:
        case "simclr":
            from workloads.simclr.workload import SIMCLR

            return SIMCLR


def workload_of_preset(preset: str) -> Workload | None:
    """The workload that has a preset of that name; None when none has."""
    return next((workload for workload in _all() if preset in workload.presets), None)


def preset_named(name: str) -> Specification:
    """The preset of that name. Raises SpecError that lists the known ones."""
    known = every_preset()
    if name not in known:
        raise SpecError([f"--preset {name}: no such preset; known are {', '.join(known)}"])
    return known[name]()


def every_preset() -> dict[str, Callable[[], Specification]]:
    """The presets of all workloads, by name."""
    return {name: build for workload in _all() for name, build in workload.presets.items()}


def _all() -> Iterator[Workload]:
    return (workload_named(name) for name in get_args(WorkloadName))
