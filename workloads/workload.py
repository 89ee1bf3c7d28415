"""What a workload is to those who plan and run it: a specification, and generators that train.

A workload is a folder with a module `workload` that has an object of one of two protocols:
`TrainedAlone`, a run of which has one or several processes for itself, or `TrainedTogether`, small
runs of which share a process. Nothing here knows who runs it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self, runtime_checkable

from workloads.distributed.worker import Worker
from workloads.evaluation_result import EvaluationResult
from workloads.representation import Representation

__all__ = [
    "DataFacts",
    "Ended",
    "Evaluation",
    "Progress",
    "Result",
    "Specification",
    "TrainedAlone",
    "TrainedTogether",
    "Workload",
    "WorkloadName",
]

WorkloadName = str


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
    """What training yields now and then: metrics for people, and the state from which it
    continues.
    """

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


@dataclass(frozen=True)
class Evaluation:
    """A way to judge a finished run again: the fields it sets, and how the names of the results
    that it is about begin.

    One that `inspects` is answered by `inspect`.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    only: str = ""
    inspects: bool = False


@dataclass(frozen=True)
class Ended:
    """How one of several runs ended: its results, or the error with which it would end again.

    history: points with `epoch`, which grows, and other plain numbers. seconds: its share of the
    process's time.
    """

    results: Mapping[str, float] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    seconds: float = 0.0
    error: Exception | None = None


@dataclass(frozen=True)
class Progress:
    """What training several runs yields: those that have just ended, by their place, and the state
    from which it continues.

    metrics: plain numbers for people, of the runs that are trained at the moment. state: None as
    long as there is none.
    """

    ended: Mapping[int, Ended]
    metrics: Mapping[str, float]
    state: dict[str, Any] | None


class Workload(Protocol):
    """A kind of run, as far as plans, records and reports know it."""

    @property
    def name(self) -> WorkloadName:
        """As ablations name it."""

    @property
    def presets(self) -> Mapping[str, Callable[[], Specification]]:
        """The base recipes by name, the default one first. No two workloads share a name."""

    @property
    def headline(self) -> tuple[str, ...]:
        """The results that a list of runs shows."""

    def read(self, tree: Mapping[str, Any]) -> Specification:
        """The specification in a plain tree. Raises SpecError."""

    def prepare(self, spec: Any, *, download: bool) -> tuple[Specification, DataFacts]:
        """The specification with its data pinned by content, and what the data is. Raises
        SpecError.
        """

    def problems(self, spec: Any, train_images: int | None, world_size: int) -> list[str]:
        """Why such a run cannot be; None images: not known."""

    def reference(self, spec: Any) -> Specification | None:
        """The run without any training that results are compared with, if there is one."""

    def scale(self, spec: Any, setting: str) -> Literal["paper", "small"]:
        """Whether the paper's own grid fits the recipe, for a question that the paper asked in
        `setting`.
        """

    def setting(self, tree: Mapping[str, Any]) -> str:
        """A recipe in a few words."""


@runtime_checkable
class TrainedAlone(Workload, Protocol):
    """Runs that each have their processes for themselves, and can be judged again from their last
    state.
    """

    @property
    def divergence(self) -> tuple[type[Exception], ...]:
        """What training and evaluation raise when they cannot continue and another try would end
        alike.
        """

    @property
    def evaluations(self) -> Mapping[str, Evaluation]:
        """Ways to judge a run again, by name."""

    def train(self, spec: Any, worker: Worker, resume: dict[str, Any] | None) -> Iterator[Result]:
        """Yield as training goes on; a resumed run equals an uninterrupted one. Does not yield what
        `resume` has finished.
        """

    def epochs(self, spec: Any) -> int:
        """The last `epoch` that `train` yields."""

    def pinned(self, spec: Any) -> Any:
        """The specification with all data, beside those of `prepare`, pinned by content. Raises
        SpecError if there are none.
        """

    def trained_as(self, spec: Any) -> str | None:
        """Runs with equal ones have equal trained states, however they are judged; None for a run
        without training.
        """

    def evaluate(self, spec: Any, state: dict[str, Any], worker: Worker) -> EvaluationResult:
        """What the trained state is worth. Every worker of the run calls, and the first is told;
        others get nothing.
        """

    def evaluated_on(self, spec: Any, data: DataFacts) -> dict[str, str]:
        """Name and content of the data whose test images an evaluation is about."""

    def inspect(self, spec: Any, state: dict[str, Any], worker: Worker) -> Representation:
        """What the trained representation looks like, for people."""

    def score(self, spec: Any, state: dict[str, Any], worker: Worker) -> float:
        """A quick evaluation of a state on the validation split, higher is better: what a search
        compares.

        Every worker of the run calls and is told.
        """

    def operations(self, spec: Any, train_images: int, *, trained: bool = False) -> float:
        """Floating-point operations of a run, roughly; `trained`: of judging a state that is
        there.
        """

    def operations_done(self, spec: Any, history: Sequence[Mapping[str, float]]) -> float:
        """Return the operations of a run with this history, roughly; 0 if it cannot be told."""


@runtime_checkable
class TrainedTogether(Workload, Protocol):
    """Small runs of which one process, without a GPU, trains many at once; each result is as if the
    run were alone.
    """

    def together(self, spec: Any) -> str:
        """Runs with equal ones can share a process."""

    def shared(self, spec: Any) -> str:
        """Runs with equal ones do part of their work once if they share a process."""

    def cost(self, specs: Sequence[Any]) -> float:
        """Floating-point operations of runs that share a process, roughly."""

    def train_together(
        self, specs: Sequence[Any], resume: dict[str, Any] | None
    ) -> Iterator[Progress]:
        """Train all, and yield each run once it has ended; one that diverges does not stop the
        others.

        `resume` may be of more or fewer runs than `specs`. Raises SpecError for what none of them
        can be trained with.
        """
