"""What a workload is to those who plan and run it: a specification, and generators that train.

A workload is an object of one of two protocols: `TrainedAlone`, a run of which has one or several
processes for itself, or `TrainedTogether`, small runs of which share a process. Both are generic in
the specification of the workload's runs, so that a type checker holds a workload to them. The
catalog has those of this package, and finds those of other distributions by their entry points.
Nothing here knows who runs it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

from workloads.evaluation_result import CardResult, EvaluationResult
from workloads.facts import (
    DataFacts,
    Embedding,
    Ended,
    Evaluation,
    Midway,
    Paper,
    Progress,
    Result,
    Specification,
)
from workloads.quantity import Curves, Quantity
from workloads.representation import Representation

if TYPE_CHECKING:
    from torch import nn

    from workloads.distributed.worker import Worker
    from workloads.image_encoder import ImageEncoder

__all__ = [
    "AnyTrainedAlone",
    "AnyTrainedTogether",
    "AnyWorkload",
    "DataFacts",
    "EmbedsImages",
    "Ended",
    "Evaluation",
    "Midway",
    "Paper",
    "Progress",
    "ReadWeights",
    "Result",
    "Specification",
    "State",
    "TrainedAlone",
    "TrainedByStep",
    "TrainedTogether",
    "Weights",
    "Workload",
    "WorkloadName",
]

WorkloadName = str
State = dict[str, Any]  # tensors and plain values


Spec = TypeVar("Spec", bound=Specification)


class Workload(Protocol[Spec]):
    """A kind of run, as far as plans, records and reports know it."""

    @property
    def name(self) -> WorkloadName:
        """The name by which ablations ask for it."""

    @property
    def presets(self) -> Mapping[str, Callable[[], Spec]]:
        """The base recipes by name, the default one first. No two workloads share a name."""

    @property
    def headline(self) -> tuple[str, ...]:
        """The results that a list of runs shows."""

    @property
    def paper(self) -> Paper:
        """The paper whose questions are asked of it."""

    @property
    def quantities(self) -> Mapping[str, Quantity]:
        """The names, units and digits of results and logged metrics, by metric."""

    @property
    def curves(self) -> Curves:
        """The logged metrics that are drawn over the course of training."""

    @property
    def logged(self) -> Sequence[str]:
        """The metrics that training logs and a tracker keeps as curves, in the order of tables."""

    @property
    def paths(self) -> Sequence[str]:
        """The dotted fields that hold paths or URIs: where something lies, not what is run."""

    @property
    def free_fields(self) -> Sequence[str]:
        """The dotted fields that are no part of a paper's setting, such as seeds and paths."""

    def read(self, tree: Mapping[str, Any]) -> Spec:
        """Read the specification in a plain tree. Raises SpecError."""

    def prepare(self, spec: Spec, *, download: bool) -> tuple[Spec, DataFacts]:
        """Return the specification with its data pinned by content, and what they are.

        Raises SpecError.
        """

    def problems(self, spec: Spec, train_images: int | None, world_size: int) -> list[str]:
        """Return why such a run cannot be, a line each; `train_images` None: not known."""

    def reference(self, spec: Spec) -> Spec | None:
        """Return the run without any training that results are compared with, if there is one."""

    def promised(self, spec: Spec) -> Sequence[str]:
        """Return the results that each such run has once it has finished, not always all."""

    def scale(self, spec: Spec, setting: str) -> Literal["paper", "small"]:
        """Tell whether the paper's own grid fits the recipe, for a question asked in `setting`."""

    def data_name(self, tree: Mapping[str, Any]) -> str:
        """Name the data of a run in a word, from the tree of its specification."""

    def setting(self, tree: Mapping[str, Any]) -> str:
        """Describe a recipe in a few words."""


@runtime_checkable
class TrainedAlone(Workload[Spec], Protocol[Spec]):
    """A workload whose runs each have their processes for themselves, and keep their last state."""

    @property
    def divergence(self) -> tuple[type[Exception], ...]:
        """The errors of training and evaluation after which another try would end alike."""

    @property
    def evaluations(self) -> Mapping[str, Evaluation]:
        """The ways to evaluate a run again, by name."""

    @property
    def changeable(self) -> Sequence[str]:
        """The beginnings of dotted fields that may change between training and a later evaluation.

        Those that are settings of an evaluation lie in the specification's part `eval`.
        """

    @property
    def weights(self) -> "Weights[Spec] | None":
        """The way in and out for trained weights; None where runs have none to give or take."""

    def train(self, spec: Spec, worker: "Worker", resume: State | None) -> Iterator[Result]:
        """Yield results as training goes on, without those that `resume` has finished.

        A resumed run equals an uninterrupted one.
        """

    def epochs(self, spec: Spec) -> int:
        """Return the last `epoch` that `train` yields."""

    def pinned(self, spec: Spec) -> Spec:
        """Pin all data beside those of `prepare` by content. Raises SpecError if there are none."""

    def trained_as(self, spec: Spec) -> str | None:
        """Return what runs with equal trained states share; None for a run without training.

        How a run is evaluated has no part in it, its seed always has.
        """

    def evaluate(self, spec: Spec, state: State, worker: "Worker") -> EvaluationResult:
        """Evaluate a trained state. Every worker of the run calls; only the first gets results."""

    def evaluated_on(self, spec: Spec, data: DataFacts) -> dict[str, str]:
        """Return name and content of the data whose test images an evaluation is about."""

    def inspect(self, spec: Spec, state: State, worker: "Worker") -> Representation:
        """Return what people can see of the trained representation."""

    def score(self, spec: Spec, state: State, worker: "Worker") -> float:
        """Return a quick evaluation on the validation split, higher is better, for a search.

        Every worker of the run calls and is told.
        """

    def operations(self, spec: Spec, train_images: int, *, trained: bool = False) -> float:
        """Return roughly the floating-point operations of a run, or of evaluating one `trained`."""

    def operations_done(self, spec: Spec, history: Sequence[Mapping[str, float]]) -> float:
        """Return the operations of a run with this history, roughly; 0 if it cannot be told."""


@runtime_checkable
class TrainedByStep(Workload[Spec], Protocol[Spec]):
    """A workload whose runs can be kept, and left, within an epoch."""

    def train_by_step(
        self, spec: Spec, worker: "Worker", resume: State | None, pause: Callable[[], bool]
    ) -> Iterator[Result | Midway]:
        """Yield what `train` yields, and where `pause` says so after a step the state there.

        Every worker asks after the same steps, and is told the same.
        """


@runtime_checkable
class EmbedsImages(Workload[Spec], Protocol[Spec]):
    """A workload whose trained states give features of anybody's images."""

    @property
    def read_by(self) -> Sequence[str]:
        """The dotted fields that say how images are read, and may change after training."""

    @property
    def divergence(self) -> tuple[type[Exception], ...]:
        """The errors of states whose features are none, because training has diverged."""

    def embed(
        self,
        spec: Spec,
        state: State,
        folder: str,
        worker: "Worker",
        *,
        projection: bool,
        reading: Mapping[str, Any],
    ) -> Embedding:
        """Prepare the features of the images of a folder. Raises SpecError if there are none.

        `reading` has the fields of `read_by` that are other than the specification says.
        """

    def encoder(
        self, spec: Spec, state: State, worker: "Worker", *, reading: Mapping[str, Any]
    ) -> "ImageEncoder":
        """Return the encoder of a state for single images, read as `embed` reads them."""

    def state_from(
        self, source: str, spec: Spec, *, prefix: str | None, ignore: Sequence[str]
    ) -> tuple[State, tuple[str, ...]]:
        """Read weights that were trained elsewhere, and notes on them. Raises SpecError."""


@runtime_checkable
class TrainedTogether(Workload[Spec], Protocol[Spec]):
    """A workload of small runs of which one process, without a GPU, trains many at once.

    Each result is as if the run were alone.
    """

    def together(self, spec: Spec) -> str:
        """Return what runs have in common that can share a process."""

    def shared(self, spec: Spec) -> str:
        """Return what runs have in common that do part of their work once in a shared process."""

    def cost(self, specs: Sequence[Spec]) -> float:
        """Return roughly the floating-point operations of runs that share a process."""

    def train_together(self, specs: Sequence[Spec], resume: State | None) -> Iterator[Progress]:
        """Train all, and yield each run once it has ended; one that diverges stops no other.

        `resume` may be of more or fewer runs than `specs`. Raises SpecError for what none of them
        can be trained with.
        """


@dataclass(frozen=True)
class ReadWeights(Generic[Spec]):
    """Weights that were trained elsewhere, as a run: its specification, state and notes for people.

    `fingerprint` is of the weights and of how they are used.
    """

    spec: Spec
    state: State
    data: DataFacts
    fingerprint: str
    notes: tuple[str, ...] = ()


class Weights(Protocol[Spec]):
    """A way for weights to come from elsewhere, and to go there."""

    @property
    def card(self) -> str:
        """The name of the file that describes written weights."""

    @property
    def files(self) -> Mapping[str, str]:
        """The formats that can be written, and the file of weights of each."""

    def read(
        self,
        source: str,
        spec: Spec,
        *,
        download: bool,
        prefix: str | None = None,
        ignore: Sequence[str] = (),
    ) -> ReadWeights[Spec]:
        """Read a file, or what a library publishes, as the state of a run. Raises SpecError.

        `prefix` says below which names the encoder is, where a file has several, and `ignore` how
        the names begin of what is not needed.
        """

    def known(self, spec: Spec) -> dict[str, Any]:
        """Return the tree of a run of such weights without a training, of which nothing is known.

        What it has is read as the rest of a specification.
        """

    def network(self, state: State, spec: Spec) -> "tuple[nn.Module, int]":
        """Return the encoder of a state by itself, on the CPU and in inference mode.

        It takes images [N, 3, S, S] in [0, 1], of the side S that is returned with it.
        """

    def write(
        self,
        state: State,
        spec: Spec,
        format: str,
        results: Sequence[CardResult],
        *,
        run: str,
        published: str | None,
    ) -> dict[str, bytes]:
        """Return files that others load, by name, the card among them. Raises SpecError."""


# Of whatever specification: what those hold who plan and run workloads of every kind.
AnyWorkload = Workload[Any]
AnyTrainedAlone = TrainedAlone[Any]
AnyTrainedTogether = TrainedTogether[Any]
