"""What tests of the Python face share: questions, and what stands for Ray and MLflow."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import orchestrator.cluster.connection
import orchestrator.sweep
import orchestrator.tracking
from orchestrator import api
from orchestrator.cell.job import CellJob
from orchestrator.plan import Plan, jobs_of
from orchestrator.plan.rounds import Outcome
from orchestrator.resources import ClusterShape
from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder
from orchestrator.tracking import CellRun, ParentRun
from search_spaces import Ablation, Axis, Cell, Claim, Layout
from search_spaces.claims import beats
from workloads.distributed.worker import Worker
from workloads.runs.cell import run_cell, start_of

_LAYOUT = Layout(
    axes=(Axis(name="temperature", labels=("0.1", "1")),),
    cells=tuple(
        Cell(at=(label,), values={"loss.temperature": float(label)}) for label in ("0.1", "1")
    ),
)


@pytest.fixture(scope="session")
def question() -> Ablation:
    """Two temperatures, and a claim that nobody has to believe."""
    higher = beats(("0.1",), ("1",))
    return Ablation(
        name="two-temperatures",
        title="Two temperatures",
        question="Which of two?",
        source="ours",
        paper=_LAYOUT,
        small=_LAYOUT,
        figure="table",
        claims=(
            Claim(statement="Lower is better.", source="ours", paper=(higher,), small=(higher,)),
        ),
        extension=True,
    )


class FakeTracker:
    """Takes all that a tracker is told, and keeps nothing."""

    is_of_mlflows_variable = False

    def sweep(self, experiment: str, sweep_id: str, **_: Any) -> ParentRun:
        return ParentRun(experiment, "parent", sweep_id)

    def cell(self, parent: ParentRun, fingerprint: str, **_: Any) -> CellRun:
        return CellRun(parent.experiment_id, fingerprint, fingerprint)

    def describe(self, *_: Any, **__: Any) -> None: ...

    def reconcile(self, *_: Any) -> list[str]:
        return []

    def finished_cells(self, *_: Any) -> set[str]:
        return set()

    def finished(self, *_: Any) -> dict[str, Any]:
        return {}

    def log_epochs(self, *_: Any, **__: Any) -> None: ...

    finish = finish_sweep = log_data = log_epochs


class InProcess:
    """Runs what is missing of plans here, one after the other; `trained` are their names."""

    def __init__(self) -> None:
        self.trained: list[str] = []
        self.before: Callable[[str], None] = lambda _: None
        self.stops_after: int | None = None

    def __call__(
        self, plans: Sequence[Plan], storage: Storage, recorder: Any, progress: Any, **_: Any
    ) -> Outcome:
        failed, missing = {}, []
        for name, cell in jobs_of(plans).items():
            folder = RunFolder(storage, name)
            record = folder.record()
            if record is not None and record.has_finished:
                continue
            if self.stops_after == len(self.trained):
                missing.append(name)
                continue
            job = CellJob(
                name=cell.name,
                workload="simclr",
                fingerprint=name,
                spec=cell.spec.tree(),
                storage=storage.uri,
                resources=plans[0].resources,
                max_failures=0,
                scored=False,
                trained_by=None,
            )
            self.before(cell.name)
            recorder.started(name)
            record = run_cell(job, Worker.here("cpu"), start_of(job), lambda _: None, hosts=[])
            assert record is not None
            recorder.ended(name, record)
            progress.ended(name, record, record.status)
            self.trained.append(cell.name)
            if record.has_failed:
                failed[name] = record
        return Outcome(failed, tuple(missing))


@contextmanager
def _without_ray() -> Iterator[InProcess]:
    run = InProcess()

    @contextmanager
    def connected(*_: Any, **__: Any) -> Iterator[ClusterShape]:
        yield ClusterShape(((2.0, 0.0),))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orchestrator.sweep, "run", run)
        patch.setattr(orchestrator.cluster.connection, "connected", connected)
        patch.setattr(orchestrator.tracking.Tracker, "open", lambda *_: FakeTracker())
        yield run


@pytest.fixture
def in_process() -> Iterator[InProcess]:
    """Stands for Ray and MLflow: what is run, is run in this process, and recorded in files."""
    with _without_ray() as run:
        yield run


@pytest.fixture(scope="session")
def recipe(tiny: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """The arguments of a small recipe."""
    fields = tiny(schedule__epochs=1, schedule__warmup_epochs=0, precision="fp32")
    return {"preset": "shapes", "set": fields}


@pytest.fixture
def asked(recipe: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The same in a storage of the test's own."""
    return recipe | {"storage": tmp_path / "storage"}


@pytest.fixture(scope="module")
def finished(recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A storage in which the paper's question on the temperature was asked with two seeds."""
    storage = str(tmp_path_factory.mktemp("finished"))
    with _without_ray():
        api.run("temperature", seeds=2, storage=storage, progress=False, **recipe)
    return storage
