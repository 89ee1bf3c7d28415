"""Milliseconds, in process, no Ray: the driver's loop with a tracker that fails when told to.

What runs a round is a function of the test, which writes the records that it wants.
"""

import json
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestrator.cell.job import CellJob
from orchestrator.commands import check as check_module
from orchestrator.commands import sweep as sweep_module
from orchestrator.commands.check import Checked, check, local_shape
from orchestrator.commands.cost import few_seeds_line
from orchestrator.commands.next_round import next_round
from orchestrator.commands.request import Request
from orchestrator.commands.result import Finished
from orchestrator.commands.sweep import Sweep
from orchestrator.errors import TrackingError, UnreachableError
from orchestrator.logs import carrier
from orchestrator.plan import Ask, Plan, PlannedCell, jobs_of
from orchestrator.plan.rounds import Outcome
from orchestrator.resources import ClusterShape
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder, all_records
from orchestrator.tracking import CellRun, ParentRun
from workloads.distributed.worker import Worker
from workloads.runs.cell import run_cell
from workloads.simclr.presets import preset

TWO_CPUS = ClusterShape(((2.0, 0.0),))
Value = Callable[[PlannedCell], float]


class FakeTracker:
    """Keeps in memory what a tracker would write; refuses what `refused` names."""

    def __init__(self, refused: str | None = None) -> None:
        self.refused = refused
        self.sweeps: list[str] = []
        self.cells: dict[str, str | None] = {}
        self.epochs: dict[str, int] = {}
        self.left: dict[str, RunRecord] = {}

    def _answer(self, what: str) -> None:
        if what == self.refused:
            raise TrackingError(f"{what} was refused")

    def sweep(self, experiment: str, sweep_id: str, **_: Any) -> ParentRun:
        self._answer("sweep")
        return ParentRun(experiment, "parent", sweep_id)

    def describe(self, *_: Any, **__: Any) -> None:
        pass

    def reconcile(self, _: ParentRun) -> list[str]:
        return []

    def finished_cells(self, parent: ParentRun) -> dict[str, CellRun]:
        return {
            name: CellRun(parent.experiment_id, name, name, self.epochs[name])
            for name, status in self.cells.items()
            if status == "FINISHED"
        }

    def finished(self, _: str, fingerprints: Iterator[str]) -> dict[str, RunRecord]:
        wanted = set(fingerprints)
        return {name: record for name, record in self.left.items() if name in wanted}

    def cell(self, parent: ParentRun, fingerprint: str, **_: Any) -> CellRun:
        self._answer("cell")
        self.cells.setdefault(fingerprint, None)
        return CellRun(parent.experiment_id, fingerprint, fingerprint)

    def log_data(self, *_: Any) -> None:
        pass

    def log_epochs(self, *_: Any) -> None:
        self._answer("curve")

    def finish(
        self,
        cell: CellRun,
        _: object,
        __: object,
        status: str = "FINISHED",
        epochs: int = 0,
        **___: Any,
    ) -> None:
        self.cells[cell.fingerprint], self.epochs[cell.fingerprint] = status, epochs

    def finish_sweep(self, *_: Any, status: str, **__: Any) -> None:
        self.sweeps.append(status)


class FakeRound:
    """Runs rounds: a record with `value` for each run that has none; keeps what it was asked."""

    def __init__(self, value: Value, *, tuned: Value | None = None) -> None:
        self.value, self.tuned = value, tuned
        self.rounds: list[list[PlannedCell]] = []
        self.cpus: list[int] = []  # a worker's, round by round
        self.ends: Callable[[int], None] = lambda _: None
        self.failing: Callable[[PlannedCell], bool] = lambda _: False
        self.diverged: Callable[[PlannedCell], RunRecord | None] = lambda _: None

    def __call__(
        self,
        plans: Sequence[Plan],
        storage: Storage,
        recorder: Any,
        *_: Any,
        given_up: Collection[str],
        **__: Any,
    ) -> Outcome:
        cells, new = jobs_of(plans), list[str]()
        for name in (name for name in cells if name not in given_up):
            before = RunFolder(storage, name).record()
            if before is None:
                new.append(name)
            else:
                recorder.taken_over(name, before)
        self.rounds.append([cells[name] for name in new])
        self.cpus.append(plans[0].resources.cpus_per_worker)
        self.ends(len(self.rounds))
        failed = {}
        for name in new:
            recorder.started(name)
            record = self._record(cells[name])
            if record.has_failed and not (record.diverged and cells[name].role == "candidate"):
                failed[name] = record
            else:
                RunFolder(storage, name).write_record(record)
            recorder.ended(name, record)
        return Outcome(failed, ())

    def _record(self, cell: PlannedCell) -> RunRecord:
        about = {"name": cell.name, "fingerprint": cell.fingerprint, "spec": cell.spec.tree()}
        if (diverged := self.diverged(cell)) is not None:
            return RunRecord.read(diverged.tree() | about)
        if self.failing(cell):
            return RunRecord.read(about | {"status": "failed", "error": "no", "log_tail": ["no"]})
        results = {"linear_top1": self.value(cell), "linear_validation_top1": 0.0}
        if self.tuned is not None:
            results["linear_validation_top1"] = self.tuned(cell)
        history = [{"epoch": 1.0, "loss": 1.0, "contrastive_accuracy": results["linear_top1"]}]
        return RunRecord.read(
            about
            | {"status": "finished", "results": results, "history": history, "total_seconds": 1.0}
        )


@pytest.fixture(autouse=True)
def _no_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports have tests of their own, and draw for seconds."""
    monkeypatch.setattr(sweep_module, "report_on", lambda *_, **__: Finished(0, {}))


@pytest.fixture
def asked(tmp_path: Path, tiny: Callable[..., dict[str, Any]]) -> Callable[..., Checked]:
    """Checks a request for an ablation in a storage of the test's own."""

    def checked(name: str, **more: Any) -> Checked:
        fields = tuple(f"{field}={value}" for field, value in tiny(schedule__epochs=1).items())
        flags = {"storage": str(tmp_path / "storage"), "address": None, "tracking_uri": None}
        return check(Request((name,), preset="shapes", assignments=fields, flags=flags, **more))

    return checked


def loop(checked: Checked, tracker: FakeTracker, run: FakeRound) -> Finished:
    sweep = Sweep(checked, tracker, run, Console(file=StringIO()), "simclr-orch ablate ...")  # type: ignore[arg-type]
    planned = next_round(checked, local_shape())
    sweep.take_over_lost(planned)
    planned = next_round(checked, TWO_CPUS, planned.plans)
    return sweep.run(planned, TWO_CPUS if planned.left else None)


def by_seed(cell: PlannedCell) -> float:
    return 50.0 + cell.seed + 0.1 * len(cell.name)


def test_a_round_runs_what_is_missing_and_a_rerun_runs_nothing(
    asked: Callable[..., Checked],
) -> None:
    tracker, run = FakeTracker(), FakeRound(by_seed)
    finished = loop(asked("temperature", seeds=2), tracker, run)
    assert finished.exit_code == 0
    assert [len(cells) for cells in run.rounds] == [14]
    assert tracker.sweeps == ["FINISHED"]
    assert set(tracker.cells.values()) == {"FINISHED"}

    assert loop(asked("temperature", seeds=2), tracker, run).exit_code == 0
    assert [len(cells) for cells in run.rounds] == [14, 0]
    assert loop(asked("temperature", seeds=3), tracker, run).exit_code == 0
    assert [len(cells) for cells in run.rounds] == [14, 0, 7], "more seeds run only what is new"


def test_a_rerun_with_nothing_to_do_opens_the_records_of_its_own_runs_only(
    asked: Callable[..., Checked], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = FakeRound(by_seed)
    loop(asked("temperature"), FakeTracker(), run)
    loop(asked("losses"), FakeTracker(), FakeRound(by_seed, tuned=by_seed))
    opened, read = set[str](), Storage.read_bytes

    def noted(storage: Storage, name: str) -> bytes | None:
        opened.add(name)
        return read(storage, name)

    monkeypatch.setattr(Storage, "read_bytes", noted)
    assert loop(asked("temperature"), FakeTracker(), run).exit_code == 0
    records = {name for name in opened if name.endswith("/run.json")}
    assert records == {f"runs/{cell.fingerprint}/run.json" for cell in run.rounds[0]}


def test_what_is_left_of_a_sweep_gets_the_threads_that_the_rest_had(
    asked: Callable[..., Checked], tmp_path: Path
) -> None:
    run = FakeRound(by_seed)
    loop(asked("temperature"), FakeTracker(), run)
    (cell, *_) = run.rounds[0]
    record = tmp_path / "storage" / "runs" / cell.fingerprint / "run.json"
    record.unlink()
    loop(asked("temperature"), FakeTracker(), run)
    assert [len(cells) for cells in run.rounds] == [7, 1]
    assert run.cpus == [1, 1], "of two CPUs, though one run is left"

    record.unlink()
    loop(asked("temperature", cpus_per_worker=2), FakeTracker(), run)
    assert run.cpus[2:] == [2], "unless it is asked for"


def test_a_sweep_stays_the_same_in_every_round_where_cells_are_left_out(
    asked: Callable[..., Checked], tmp_path: Path
) -> None:
    def noisy(cell: PlannedCell) -> float:
        return random.Random(f"{cell.at} {cell.seed}").gauss(50, 5)

    checked = asked("flip-and-blur", seeds=2, max_seeds=4)  # without the cells with blur
    run = FakeRound(noisy)
    assert loop(checked, FakeTracker(), run).exit_code == 0
    assert len(run.rounds) > 1
    (sweep,) = (tmp_path / "storage" / "sweeps" / "flip-and-blur").iterdir()
    assert sweep.name == checked.plans[0].sweep_id
    assert "question" not in json.loads((sweep / "plan.json").read_text()), "it is built in"


def test_a_run_alone_uses_the_whole_machine(tmp_path: Path) -> None:
    flags = {"storage": str(tmp_path), "address": None, "tracking_uri": None}
    planned = next_round(check(Request((), preset="shapes", flags=flags)), TWO_CPUS)
    assert planned.plans[0].resources.cpus_per_worker == 2


def test_seeds_are_added_in_rounds_until_all_claims_are_decided(
    asked: Callable[..., Checked], monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    real = check_module.build

    def counted(*words: Any, ask: Ask, **more: Any) -> Plan:
        built.append(ask)
        return real(*words, ask=ask, **more)

    def noisy(cell: PlannedCell) -> float:
        return random.Random(f"{cell.at} {cell.seed}").gauss(50, 5)

    monkeypatch.setattr(check_module, "build", counted)
    run = FakeRound(noisy)
    finished = loop(asked("temperature", seeds=2, max_seeds=6), FakeTracker(), run)
    assert finished.exit_code == 0
    seeds = [sorted({cell.seed for cell in cells}) for cells in run.rounds]
    assert seeds[0] == [0, 1]
    assert len(seeds) > 1, "undecided claims ask for more seeds"
    assert seeds[1][0] == 2, "which are new ones"
    assert max(max(each, default=0) for each in seeds) == 5, "up to the most that was asked for"
    # Planned when it was checked, and again only when something else was asked: once before each
    # later round.
    assert len(built) == len(run.rounds)
    assert len({(ask.seeds, tuple(sorted(ask.more.items()))) for ask in built}) == len(built)


@pytest.mark.parametrize(
    ("seeds", "most", "few"), [(1, None, True), (3, None, False), (2, 6, False)]
)
def test_seeds_too_few_for_any_verdict_are_told_beforehand(
    asked: Callable[..., Checked], seeds: int, most: int | None, few: bool
) -> None:
    line = few_seeds_line(asked("temperature", seeds=seeds, max_seeds=most))
    assert (line is not None) == few
    if line:
        assert line.startswith("--seeds 1: decides no claim; 3 seeds are the fewest")


def test_rates_are_judged_from_two_seeds_on_and_no_line_denies_it(tmp_path: Path) -> None:
    flags = {"storage": str(tmp_path / "storage"), "address": None, "tracking_uri": None}
    request = Request(("label-complexity",), preset="gaussian-patches", seeds=2, flags=flags)
    assert few_seeds_line(check(request)) is None


def test_a_seed_that_diverges_is_replaced_and_not_tried_again(
    asked: Callable[..., Checked], capsys: pytest.CaptureFixture[str]
) -> None:
    def noisy(cell: PlannedCell) -> float:
        return random.Random(f"{cell.at} {cell.seed}").gauss(50, 5)

    def lost(cell: PlannedCell) -> RunRecord | None:
        if (cell.at, cell.seed) != (("yes, 0.1",), 1):
            return None
        about = {"name": cell.name, "fingerprint": cell.fingerprint, "spec": {}}
        return RunRecord.read(about | {"status": "failed", "diverged": True, "error": "nan"})

    run = FakeRound(noisy)
    run.diverged = lost
    finished = loop(asked("temperature", seeds=3, max_seeds=6), FakeTracker(), run)
    tried = [cell.seed for cells in run.rounds for cell in cells if cell.at == ("yes, 0.1",)]
    assert tried == list(range(7)), "six pairs take a seventh seed"
    assert finished.exit_code == 1, "a rerun tries the lost one again"
    assert len(finished.document["failed"]) == 1
    assert "1 failed, 0 not run; continue with: simclr-orch" in capsys.readouterr().err


def test_tuned_cells_run_once_their_candidates_have_been_compared(
    asked: Callable[..., Checked],
) -> None:
    def best_is_the_second(cell: PlannedCell) -> float:
        return 90.0 if cell.candidate == 1 else 10.0

    run = FakeRound(by_seed, tuned=best_is_the_second)
    assert loop(asked("losses"), FakeTracker(), run).exit_code == 0
    first, second = run.rounds
    assert {cell.role for cell in first} == {"candidate", "reference"}
    assert {cell.role for cell in second} == {"cell"}
    assert {cell.candidate for cell in second} == {1}


def test_a_candidate_that_blows_up_in_its_last_step_is_out_and_the_sweep_goes_on(
    asked: Callable[..., Checked], tmp_path: Path, tiny: Callable[..., dict[str, Any]]
) -> None:
    """What a worker leaves of such a run is what the driver then counts as a divergence."""
    wild = {"optim.name": "sgd", "optim.base_learning_rate": 1e10, "schedule.batch_size": 180}
    spec = preset("shapes").with_values(
        tiny(schedule__epochs=1, schedule__warmup_epochs=0, precision="fp32") | wild
    )
    job = CellJob("wild", "simclr", spec.fingerprint(), spec.tree(), str(tmp_path / "elsewhere"))
    blown_up = run_cell(job, Worker.here("cpu"), None, lambda _: None)
    assert blown_up is not None
    assert (blown_up.status, blown_up.diverged) == ("failed", True)

    run = FakeRound(by_seed, tuned=lambda cell: 90.0 if cell.candidate == 0 else 10.0)
    run.diverged = lambda cell: (
        blown_up if cell.role == "candidate" and cell.candidate == 0 else None
    )
    checked = asked("losses")
    assert loop(checked, FakeTracker(), run).exit_code == 0
    _, second = run.rounds
    assert {cell.candidate for cell in second} == {1}, "the best of those that are left"
    assert loop(checked, FakeTracker(), run).exit_code == 0
    assert run.rounds[2] == [], "it would blow up again"


def test_what_the_storage_lost_and_mlflow_has_is_taken_over(
    asked: Callable[..., Checked],
) -> None:
    tracker, run = FakeTracker(), FakeRound(by_seed)
    checked = asked("temperature")
    loop(checked, tracker, run)
    lost, *_ = records = all_records(checked.storage)
    tracker.left = {record.fingerprint: record for record in records[:3]}
    for record in records[:4]:
        checked.storage.delete(f"runs/{record.fingerprint}")

    assert loop(checked, tracker, run).exit_code == 0
    assert [cell.fingerprint for cell in run.rounds[1]] == [records[3].fingerprint]
    assert RunFolder(checked.storage, lost.fingerprint).record() == lost


@pytest.mark.parametrize("refused", ["cell", "curve"])
def test_mlflow_failing_in_mid_sweep_stops_nothing_and_is_said(
    asked: Callable[..., Checked], refused: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker, run = FakeTracker(refused), FakeRound(by_seed)
    checked = asked("temperature")
    finished = loop(checked, tracker, run)
    assert finished.exit_code == 1
    assert len(all_records(checked.storage)) == 7, "every cell was run"
    said = capsys.readouterr().err
    assert said.count("MLflow cannot be written") == 1
    assert "0 failed, 0 not run, not all recorded in MLflow; continue with: simclr-orch" in said

    tracker.refused = None
    assert loop(checked, tracker, run).exit_code == 0, "a rerun records what is missing"
    assert len(run.rounds[1]) == 0
    assert list(tracker.cells.values()).count("FINISHED") == 7


def test_mlflow_that_is_down_throughout_is_owed_all_and_given_it_by_a_rerun(
    asked: Callable[..., Checked],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def down(_: FakeTracker, what: str) -> None:
        raise UnreachableError(f"no answer to {what}")

    tracker, run = FakeTracker(), FakeRound(by_seed)
    checked = asked("temperature")
    monkeypatch.setattr(carrier, "END_PATIENCE", 0.1)
    monkeypatch.setattr(carrier, "KNOWN_PATIENCE", 0.1)
    with monkeypatch.context() as patch:
        patch.setattr(FakeTracker, "_answer", down)
        assert loop(checked, tracker, run).exit_code == 1
    assert len(all_records(checked.storage)) == 7, "every cell was run"
    said = capsys.readouterr().err
    assert said.count("cannot be written") == 1
    told = "MLflow is still owed 7 runs and 1 sweep: no answer to sweep; a rerun hands it over"
    assert told in " ".join(said.split())
    assert tracker.sweeps == []

    assert loop(checked, tracker, run).exit_code == 0
    assert len(run.rounds[1]) == 0
    assert list(tracker.cells.values()) == ["FINISHED"] * 7
    assert tracker.sweeps == ["FINISHED"]


def test_mlflow_failing_at_the_start_starts_nothing(asked: Callable[..., Checked]) -> None:
    run = FakeRound(by_seed)
    with pytest.raises(TrackingError, match="sweep was refused"):
        loop(asked("temperature"), FakeTracker("sweep"), run)
    assert run.rounds == []


def test_an_interruption_closes_what_is_open_and_goes_on_as_one(
    asked: Callable[..., Checked],
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    tracker, run = FakeTracker(), FakeRound(by_seed)
    run.ends = interrupt
    with pytest.raises(KeyboardInterrupt):
        loop(asked("temperature"), tracker, run)
    assert tracker.sweeps == ["KILLED"]


def test_an_error_of_the_driver_ends_with_the_command_that_continues(
    asked: Callable[..., Checked], capsys: pytest.CaptureFixture[str]
) -> None:
    def lose(_: int) -> None:
        raise OSError("the disk is gone")

    tracker, run = FakeTracker(), FakeRound(by_seed)
    run.ends = lose
    finished = loop(asked("temperature"), tracker, run)
    assert finished.exit_code == 1
    assert finished.document["error"] == "the disk is gone"
    assert tracker.sweeps == ["FAILED"]
    told = capsys.readouterr().err
    assert "the disk is gone (--debug shows where); continue with: simclr-orch ablate ..." in told


@pytest.mark.parametrize("error", [OSError("the disk is gone"), KeyboardInterrupt()])
def test_a_driver_that_ends_after_it_lost_its_sweep_records_nothing_of_its_end(
    error: BaseException, asked: Callable[..., Checked]
) -> None:
    class Lost:
        is_lost = True

    def lose(_: int) -> None:
        raise error

    checked, tracker, run = asked("temperature"), FakeTracker(), FakeRound(by_seed)
    run.ends = lose
    sweep = Sweep(checked, tracker, run, Console(file=StringIO()), "simclr-orch ablate ...")  # type: ignore[arg-type]
    sweep.leases.append(Lost())  # type: ignore[arg-type]
    with suppress(KeyboardInterrupt):
        assert sweep.run(next_round(checked, TWO_CPUS), TWO_CPUS).exit_code == 1
    assert tracker.sweeps == []


def test_a_failed_cell_is_told_and_does_not_stop_the_others(
    asked: Callable[..., Checked], capsys: pytest.CaptureFixture[str]
) -> None:
    tracker, run = FakeTracker(), FakeRound(by_seed)
    run.failing = lambda cell: cell.at == ("yes, 0.1",)
    finished = loop(asked("temperature"), tracker, run)
    assert finished.exit_code == 1
    assert len(finished.document["failed"]) == 1
    assert tracker.sweeps == ["FAILED"]
    assert sorted(filter(None, tracker.cells.values())) == ["FAILED"] + ["FINISHED"] * 6
    assert "1 failed, 0 not run; continue with: simclr-orch" in capsys.readouterr().err


def test_what_is_asked_for_beside_mlflow_is_written_in_every_round(
    asked: Callable[..., Checked], tmp_path: Path
) -> None:
    checked = asked("temperature", seeds=1, logs=("jsonl",))
    assert loop(checked, FakeTracker(), FakeRound(by_seed)).exit_code == 0
    (file,) = (tmp_path / "storage" / "sweeps" / "temperature").glob("*/log.jsonl")
    kinds = [json.loads(line)["kind"] for line in file.read_text().splitlines()]
    assert kinds == ["sweep", *["run", "epoch", "result"] * 7, "end"]
    rerun = loop(asked("temperature", seeds=1, logs=("jsonl",)), FakeTracker(), FakeRound(by_seed))
    assert rerun.exit_code == 0
    again = [json.loads(line)["kind"] for line in file.read_text().splitlines()]
    assert again == [*kinds, "sweep", "end"]


def test_a_log_that_fails_ends_no_sweep_and_is_no_success(
    asked: Callable[..., Checked], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checked = asked("temperature", logs=(f"jsonl={tmp_path}/log/x",))
    (tmp_path / "log").rmdir()
    (tmp_path / "log").write_text("in the way")
    run = FakeRound(by_seed)
    finished = loop(checked, FakeTracker(), run)
    assert [len(cells) for cells in run.rounds] == [7]
    assert finished.exit_code == 1
    said = capsys.readouterr().err
    assert said.count("cannot be written") == 1
    assert (
        f"0 failed, 0 not run, not all recorded in --log jsonl={tmp_path}/log/x; continue" in said
    )
