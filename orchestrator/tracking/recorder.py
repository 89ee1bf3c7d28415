"""Writes a sweep into MLflow from the driver: a run for the sweep, one below it for each cell.

Workers never talk to MLflow: what they report arrives through Ray, so that no cluster node needs to
reach the server and one process owns the database. The storage keeps everything too: a carrier
(`orchestrator/logs/carrier.py`) calls this in a thread of its own, and again where MLflow failed.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import yaml

from orchestrator.logs import SweepLog
from orchestrator.logs.logged_sweep import logged_metrics
from orchestrator.plan import Plan, PlannedCell
from orchestrator.plan.kept import KeptPlan, only_text
from orchestrator.provenance import RAY_JOB
from orchestrator.run_record import Metrics, RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import LOG, RECORD, SPEC, RunFolder
from orchestrator.tracking import CellRun, ParentRun, Status, Tracker
from orchestrator.tracking.encoder_model import LoggedEncoder, ModelError
from orchestrator.tracking.provenance import data_splits, machine_tags, source_tags
from orchestrator.tracking.shown import ANSWER, PAGES, PICTURE, Shown
from orchestrator.tracking.view import view_tag

__all__ = ["Recorder", "Recorders", "tags_of"]

STATUSES: dict[str, Status] = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}
# of one cell's curve: a write costs tens of milliseconds of the driver
SECONDS_BETWEEN_WRITES = 5.0


class Recorder:
    """The MLflow side of one sweep, a `Place`.

    Whatever MLflow does not take raises TrackingError, and may be asked for again.
    """

    def __init__(
        self,
        tracker: Tracker,
        plan: Plan,
        storage: Storage,
        tags: Mapping[str, str],
        *,
        log_model: bool,
        warn: Callable[[str], None],
        encoder_of: Callable[[RunRecord], LoggedEncoder | None] = lambda _: None,
    ) -> None:
        """Write `plan`; `encoder_of` gives the encoder that `log_model` keeps as MLflow's own."""
        self._tracker, self._plan, self._storage = tracker, plan, storage
        self._tags, self._logged = dict(tags), plan.workload.logged
        self._shown = Shown(plan)
        self._log_model, self._encoder_of = log_model, encoder_of
        self._warn = warn
        self._parent: ParentRun | None = None
        self._kept: KeptPlan
        self._open: dict[str, CellRun] = {}
        self._recorded: dict[str, CellRun] = {}
        self._stopped: dict[str, CellRun] = {}
        self._pending: dict[str, list[Metrics]] = {}
        self._written: dict[str, float] = {}
        self.label = "MLflow"

    def begin(self, kept: KeptPlan) -> None:
        """Find or create the sweep's run."""
        self._kept = kept
        self._parent = self._tracker.sweep(
            self._plan.name,
            self._plan.sweep_id,
            name=f"{self._plan.name} {self._plan.sweep_id}",
            tags=self._tags,
            plan=kept,
            params=self._shown.shared(),
        )
        self._tracker.log_data(self._parent, data_splits(self._plan.workload.data_name, kept))
        self._describe({})
        self._tracker.reconcile(self._parent)
        self._recorded = self._tracker.finished_cells(self._parent)
        if self._plan.is_search:
            self._stopped = self._tracker.stopped_cells(self._parent)

    def started(self, fingerprint: str) -> None:
        """Open the run of a cell that has started."""
        self._run_of(fingerprint)

    def epoch(self, fingerprint: str, metrics: Metrics) -> None:
        """Take an epoch's metrics of a running cell.

        They are written now and then, several epochs at once.
        """
        waiting = self._pending.setdefault(fingerprint, [])
        waiting.append(logged_metrics(metrics, (*self._logged, "epoch")))
        if time.monotonic() - self._written.get(fingerprint, 0.0) > SECONDS_BETWEEN_WRITES:
            self._write_curve(fingerprint, waiting)
            self._written[fingerprint] = time.monotonic()
            self._pending[fingerprint] = []

    def ended(self, fingerprint: str, record: RunRecord) -> None:
        """Write the rest of a cell's curve, its results and its files, and close its run."""
        self._pending.pop(fingerprint, None)
        self._close(fingerprint, record)

    def taken_over(self, fingerprint: str, record: RunRecord) -> None:
        """Give a cell that finished before, perhaps in another sweep, a run unless it has one.

        The curve of one that it has is mended where it lacks epochs of the record.
        """
        stopped = self._stopped.get(fingerprint)
        if stopped and not record.has_finished and stopped.epochs == len(record.history):
            return
        recorded = self._recorded.get(fingerprint)
        if recorded is None or self._log_model:
            self._close(fingerprint, record)
        elif recorded.epochs != len(record.history) or not recorded.is_shown:
            self._mend(recorded, record)

    def finish(self, status: Status, files: Mapping[str, str | bytes]) -> None:
        """Close the sweep's run with the report's files; cells still open were interrupted."""
        assert self._parent is not None, "begin comes first"
        while self._open:
            fingerprint, run = next(iter(self._open.items()))
            self._tracker.finish(run, {}, {}, status="KILLED")
            del self._open[fingerprint]
        self._tracker.reconcile(self._parent)
        if ANSWER in files:
            self._describe(files)
        metrics = self._shown.of_sweep(files)
        self._tracker.finish_sweep(self._parent, status=status, artifacts=files, metrics=metrics)

    def has(self, fingerprint: str) -> bool:
        """Tell whether the cell is one of this sweep's."""
        return fingerprint in self._plan.jobs

    def _run_of(self, fingerprint: str) -> CellRun:
        assert self._parent is not None, "begin comes first"
        if fingerprint not in self._open:
            cell = self._plan.jobs[fingerprint]
            run = self._tracker.cell(
                self._parent,
                fingerprint,
                name=cell.name,
                tags=self._tags_of(cell),
                params=self._shown.params(cell),
            )
            splits = data_splits(self._plan.workload.data_name, self._kept, cell.spec.tree())
            self._tracker.log_data(run, splits)
            self._open[fingerprint] = run  # whole: where a request failed, all come again
        return self._open[fingerprint]

    def _tags_of(self, cell: PlannedCell) -> dict[str, str]:
        own = {
            "simclr_orch.cell": " · ".join(cell.at),
            "simclr_orch.seed": str(cell.seed),
            "simclr_orch.role": cell.role,
        }
        if cell.paper is not None:
            own["simclr_orch.paper"] = f"{cell.paper:g}"
        return self._tags | own | PAGES

    def _describe(self, files: Mapping[str, str | bytes]) -> None:
        """Describe the sweep by the files of its report, which has none at first."""
        assert self._parent is not None, "begin comes first"
        answer, view = files.get(ANSWER), self._shown.view
        if isinstance(answer, bytes):
            answer = answer.decode()
        # relative to the pages, whose server is asked under several names
        picture = f"get-artifact?path={PICTURE}&run_uuid={self._parent.run_id}"
        text = self._shown.description(self._kept, answer, picture if PICTURE in files else None)
        key, content = view_tag(view)
        self._tracker.describe(self._parent, text, {key: content}, view=view.key)

    def _mend(self, run: CellRun, record: RunRecord) -> None:
        cell = self._plan.jobs[run.fingerprint]
        self._tracker.mend(
            run,
            self._curve(record.history),
            self._shown.results(cell, record),
            tags={**PAGES, **self._shown.intervals(record)},
            params=self._shown.params(cell),
        )

    def _curve(self, epochs: Sequence[Metrics]) -> dict[int, Metrics]:
        return {
            int(epoch["epoch"]): self._shown.named(logged_metrics(epoch, self._logged))
            for epoch in epochs
        }

    def _write_curve(self, fingerprint: str, epochs: Sequence[Metrics]) -> None:
        self._tracker.log_epochs(self._run_of(fingerprint), self._curve(epochs))

    def _close(self, fingerprint: str, record: RunRecord) -> None:
        run, folder = self._run_of(fingerprint), RunFolder(self._storage, fingerprint)
        self._write_curve(fingerprint, record.history)
        spec = yaml.safe_dump(dict(record.spec), sort_keys=False)
        files: dict[str, str | bytes] = {
            RECORD: json.dumps(record.tree(), indent=2),
            SPEC: spec,
            LOG: folder.log() or "",
        }

        if record.has_finished and self._log_model:
            checkpoint = RunFolder(self._storage, record.state_of).checkpoint_bytes()
            if checkpoint is not None:
                self._tracker.log_model(run, checkpoint, spec)
                self._log_encoder(run, record)
        self._tracker.finish(
            run,
            self._shown.results(self._plan.jobs[fingerprint], record),
            files,
            STATUSES[record.status],
            epochs=len(record.history),
            about={**machine_tags(record.machine), **self._shown.intervals(record)},
        )
        del self._open[fingerprint]

    def _log_encoder(self, run: CellRun, record: RunRecord) -> None:
        encoder = self._encoder_of(record)
        if encoder is None:
            return
        try:
            self._tracker.log_encoder(run, encoder)
        except ModelError as error:
            self._warn(f"{record.name}: its encoder is kept, and is no model of MLflow: {error}")


class Recorders:
    """All that sweeps which run together are written into: what happens to a cell, goes to each
    that has it.
    """

    def __init__(self, recorders: Sequence[SweepLog]) -> None:
        self._recorders = tuple(recorders)

    def started(self, fingerprint: str) -> None:
        """Tell each sweep that has the cell that it has started."""
        for recorder in self._having(fingerprint):
            recorder.started(fingerprint)

    def epoch(self, fingerprint: str, metrics: Metrics) -> None:
        """Tell each sweep that has the cell an epoch's metrics."""
        for recorder in self._having(fingerprint):
            recorder.epoch(fingerprint, metrics)

    def ended(self, fingerprint: str, record: RunRecord) -> None:
        """Tell each sweep that has the cell how it has ended."""
        for recorder in self._having(fingerprint):
            recorder.ended(fingerprint, record)

    def taken_over(self, fingerprint: str, record: RunRecord) -> None:
        """Tell each sweep that has the cell that it finished before."""
        for recorder in self._having(fingerprint):
            recorder.taken_over(fingerprint, record)

    def _having(self, fingerprint: str) -> Iterator[SweepLog]:
        return (recorder for recorder in self._recorders if recorder.has(fingerprint))


def tags_of(plan: Plan, tree: KeptPlan) -> dict[str, str]:
    """Return the tags of the sweep's run in MLflow, the Ray Job that it last ran in among them."""
    tags = {"simclr_orch.ablation": plan.name, "simclr_orch.data": tree["data"]["content"]}
    if plan.ablation:
        tags["simclr_orch.source"] = plan.ablation.source
        if plan.ablation.only:
            tags["simclr_orch.only"] = only_text(plan.ablation.only)
        tags["simclr_orch.vary"] = ", ".join(["seed", *plan.ask.vary])
    if plan.tuned:
        tags["simclr_orch.tuning"] = plan.ask.tuning
    tags |= source_tags(tree)
    if tree["git_commit"]:
        tags["simclr_orch.git_commit"] = tree["git_commit"]
    if RAY_JOB in os.environ:
        tags["simclr_orch.job"] = os.environ[RAY_JOB]
    return tags
