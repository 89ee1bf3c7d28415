"""A sweep in MLflow: one experiment per ablation, a parent run per sweep, a child run per cell.

Runs are found again by their tags.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING
from urllib.parse import quote

from orchestrator.errors import TrackingError, UnreachableError
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.tracking import store
from orchestrator.tracking import tags as marks
from orchestrator.tracking.client import PatientClient, with_tags
from orchestrator.tracking.encoder_model import NAME, LoggedEncoder, save_encoder
from orchestrator.tracking.kept_records import finished_records
from orchestrator.tracking.opened import CellRun, ParentRun, Status
from orchestrator.tracking.provenance import DataSplit

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["Tracker"]

PATIENCE = 15.0  # seconds that a failing request is repeated


class Tracker:
    """Writes a sweep's runs.

    It is made by the sweep's driver alone; its methods may be called from several threads.
    """

    def __init__(self, uri: str, artifact_root: str | None, *, patience: float = PATIENCE) -> None:
        """Write to the store at `uri`, as `resolve` gives it.

        `artifact_root` None lets the server choose where artifacts lie; `patience` in seconds.
        """
        self.uri = uri
        self._artifact_root = artifact_root
        self._client = PatientClient(uri, patience)
        # Of each open cell: the steps of each metric that are there.
        self._steps: dict[str, dict[str, set[int]]] = {}

    @classmethod
    def open(
        cls, tracking_uri: str | None, storage: Storage, *, patience: float = PATIENCE
    ) -> "Tracker":
        """Return the tracker for `--tracking-uri`.

        By default that is an SQLite database in the storage, created when there is none. It may be
        locked now. Raises TrackingError for an address of no use and one that cannot be created.
        """
        tracker = cls(*store.resolve(tracking_uri, storage), patience=patience)
        if tracker.uri.startswith("sqlite:"):
            with suppress(UnreachableError):
                store.reach(tracker.uri)
                if tracking_uri is None:
                    store.put_artifacts_right(tracker.uri, store.artifact_address(storage))
        return tracker

    @property
    def page(self) -> str:
        """The address of the store, without user and password."""
        return store.page(self.uri)

    @property
    def is_of_mlflows_variable(self) -> bool:
        """True where only MLFLOW_TRACKING_URI says where to record."""
        return store.named(self.uri).startswith(store.VARIABLE)

    def check(self) -> str | None:
        """Say within seconds why the store cannot be used, naming the option; None if it can."""
        return store.problem(self.uri)

    def reach(self) -> None:
        """Raise UnreachableError where the store does not answer now, TrackingError if never."""
        store.reach(self.uri)

    def sweep(
        self,
        experiment: str,
        sweep_id: str,
        *,
        name: str,
        tags: Mapping[str, str],
        plan: Mapping[str, object],
        params: Mapping[str, object] | None = None,
    ) -> ParentRun:
        """Open the run of a sweep, new or again, with `plan.json`, in an experiment made for it."""
        experiment_id = self._experiment(experiment)
        identity = {marks.SWEEP: sweep_id, marks.KIND: "sweep"}
        run = self._client.find_or_create(experiment_id, identity, name, tags)
        self._log_absent_params(run, params or {})
        parent = ParentRun(experiment_id, run.info.run_id, sweep_id)
        self._client.log_files(parent.run_id, {"plan.json": json.dumps(plan, indent=2)})
        return parent

    def describe(self, parent: ParentRun, text: str, tags: Mapping[str, str], view: str) -> None:
        """Give a sweep, and the experiment whose latest it is, a description in Markdown.

        `tags` are of the experiment, and `view` is the key of its saved view that opens.
        """
        of_experiment = {**tags, marks.DESCRIPTION: text, marks.LATEST: view}
        self._client.tag_experiment(parent.experiment_id, of_experiment)
        self._client.log_metrics(parent.run_id, [], {marks.DESCRIPTION: text})

    def experiments(self) -> list[str]:
        """Return the names of the experiments that there are."""
        return self._client.experiment_names()

    def saved_view(self, experiment: str) -> tuple[str, str | None] | None:
        """Return an experiment's id, and the key of its latest saved view; None if there is none.

        There is no view where an earlier version wrote it.
        """
        if (found := self._client.experiment_named(experiment)) is None:
            return None
        return found, self._client.experiment_tags(found).get(marks.LATEST)

    def cell(
        self,
        parent: ParentRun,
        fingerprint: str,
        *,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, object],
    ) -> CellRun:
        """Open the run of a cell, new or again.

        MLflow never changes a parameter, so those already there stay as they are. Values are spelt
        as in JSON and cut at MLflow's 6,000 characters.
        """
        identity = {
            marks.FINGERPRINT: fingerprint,
            marks.KIND: "cell",
            marks.PARENT: parent.run_id,
            marks.SWEEP: parent.sweep_id,
        }
        run = self._client.find_or_create(parent.experiment_id, identity, name, tags)
        self._log_absent_params(run, params)
        self._steps[run.info.run_id] = self._client.steps(run)
        return CellRun(parent.experiment_id, run.info.run_id, fingerprint)

    def evaluation(
        self, fingerprint: str, kept: str, *, name: str, params: Mapping[str, object]
    ) -> CellRun:
        """Open the run of a later evaluation, new or again.

        It lies below the run of what was evaluated, where there is one.
        """
        evaluated = self._client.latest(
            with_tags({marks.FINGERPRINT: fingerprint, marks.KIND: "cell"})
        )
        identity = {
            marks.FINGERPRINT: fingerprint,
            marks.KIND: "evaluation",
            marks.EVALUATION: kept,
        }
        if evaluated is None:
            experiment_id = self._experiment(marks.EVALUATIONS)
        else:
            experiment_id = evaluated.info.experiment_id
            identity[marks.PARENT] = evaluated.info.run_id
        run = self._client.find_or_create(experiment_id, identity, name, {})
        self._log_absent_params(run, params)
        return CellRun(experiment_id, run.info.run_id, fingerprint)

    def log_data(self, run: CellRun | ParentRun, splits: Iterable[DataSplit]) -> None:
        """Store the parts of data sets that a run has used, as its inputs."""
        self._client.log_inputs(run.run_id, [split.as_input() for split in splits])

    def log_epochs(self, cell: CellRun, curve: Mapping[int, Mapping[str, float]]) -> None:
        """Store the metrics of epochs, by step in increasing order, in as few requests as can be.

        A metric that already has a step is left out: a cell that continues from a checkpoint
        repeats epochs, and MLflow would keep both. NaN and infinities are left out too, which
        MLflow stores as other numbers; the tag `simclr_orch.non_finite` names the last ones.
        """
        if cell.run_id not in self._steps:
            self._steps[cell.run_id] = self._client.steps(self._client.run(cell.run_id))
        steps = self._steps[cell.run_id]
        fresh = [
            (key, float(value), step)
            for step, metrics in curve.items()
            for key, value in metrics.items()
            if step not in steps.get(key, ())
        ]
        try:
            self._client.log_metrics(cell.run_id, fresh)
        except TrackingError:
            # a part may have arrived, or all without an answer
            del self._steps[cell.run_id]
            raise
        for key, _, step in fresh:
            steps.setdefault(key, set()).add(step)

    def mend(
        self,
        cell: CellRun,
        curve: Mapping[int, Mapping[str, float]],
        results: Mapping[str, float],
        *,
        tags: Mapping[str, str],
        params: Mapping[str, object],
    ) -> None:
        """Store what an ended cell lacks, and of how many epochs its curve is then whole.

        Its status and times stay as they are.
        """
        run = self._client.run(cell.run_id)
        self._steps[cell.run_id] = self._client.steps(run)
        self.log_epochs(cell, curve)
        self._log_absent_params(run, params)
        self._log_results(cell, results, {**tags, marks.EPOCHS: str(len(curve))})
        self._steps.pop(cell.run_id, None)

    def finish(
        self,
        cell: CellRun,
        results: Mapping[str, float],
        artifacts: Mapping[str, str | bytes],
        status: Status = "FINISHED",
        epochs: int | None = None,
        about: Mapping[str, str] | None = None,
    ) -> None:
        """Close a cell's run with its results, its files, and tags `about` it.

        Files are content by name, folders included. `epochs` says of how many epochs its curve is
        whole. The status is written last: a FINISHED run has its results and `run.json`.
        """
        whole = {} if epochs is None else {marks.EPOCHS: str(epochs)}
        self._log_results(cell, results, {**(about or {}), **whole})
        self._client.log_files(cell.run_id, artifacts)
        self._client.close(cell.run_id, status)
        self._steps.pop(cell.run_id, None)

    def _log_results(
        self, cell: CellRun, results: Mapping[str, float], tags: Mapping[str, str]
    ) -> None:
        """Store what is not there yet, at step 0, where MLflow draws bars of all runs.

        A result that has a curve is the last point of it.
        """
        before = self._client.latest_metrics(cell.run_id)
        steps = self._steps.get(cell.run_id, {})
        fresh = [
            (key, float(value), max(steps.get(key, ()), default=0))
            for key, value in results.items()
            if before.get(key) != value
        ]
        self._client.log_metrics(cell.run_id, fresh, tags)

    def finish_sweep(
        self,
        parent: ParentRun,
        *,
        status: Status,
        artifacts: Mapping[str, str | bytes],
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Close a sweep's run with its answer in numbers and the files of its report."""
        run = CellRun(parent.experiment_id, parent.run_id, "")
        self._log_results(run, metrics or {}, {})
        self._client.log_files(parent.run_id, artifacts)
        self._client.close(parent.run_id, status)

    def log_model(self, cell: CellRun, state: bytes, spec: str) -> None:
        """Keep an encoder as artifacts, with the specification that builds it.

        These are `encoder/encoder.pt` and `encoder/spec.yaml`: what this program continues from.
        """
        files: dict[str, str | bytes] = {"encoder/encoder.pt": state, "encoder/spec.yaml": spec}
        self._client.log_files(cell.run_id, files)

    def log_encoder(self, cell: CellRun, encoder: LoggedEncoder) -> None:
        """Keep an encoder as a logged model, unless the run has one.

        `mlflow.pytorch.load_model` loads it where none of our packages are. Raises ModelError for
        an encoder that cannot be written so.
        """
        last = max(chain.from_iterable(self._steps.get(cell.run_id, {}).values()), default=0)
        save = partial(save_encoder, encoder, run_id=cell.run_id)
        self._client.log_model(cell.experiment_id, cell.run_id, NAME, save, last)

    def finished(self, experiment: str, fingerprints: Iterable[str]) -> dict[str, RunRecord]:
        """Read records of finished cells, by fingerprint: for a sweep whose storage was lost."""
        return finished_records(self._client, experiment, fingerprints)

    def finished_cells(self, parent: ParentRun) -> dict[str, CellRun]:
        """Return this sweep's FINISHED cells, which need no opening again, by fingerprint."""
        return self._ended_cells(parent, "FINISHED")

    def stopped_cells(self, parent: ParentRun) -> dict[str, CellRun]:
        """Return this sweep's cells that a search has stopped, by fingerprint."""
        found = self._ended_cells(parent, "KILLED")
        return {name: cell for name, cell in found.items() if cell.epochs is not None}

    def _ended_cells(self, parent: ParentRun, status: Status) -> dict[str, CellRun]:
        return {
            run.data.tags[marks.FINGERPRINT]: CellRun(
                parent.experiment_id,
                run.info.run_id,
                run.data.tags[marks.FINGERPRINT],
                int(run.data.tags[marks.EPOCHS]) if marks.EPOCHS in run.data.tags else None,
                marks.SHOWN in run.data.tags,
            )
            for run in self._children(parent, status)
        }

    def reconcile(self, parent: ParentRun) -> list[str]:
        """Close as KILLED what a killed driver left RUNNING, and not we; return fingerprints."""
        left = [
            run for run in self._children(parent, "RUNNING") if run.info.run_id not in self._steps
        ]
        for run in left:
            self._client.close(run.info.run_id, "KILLED")
        return [run.data.tags[marks.FINGERPRINT] for run in left]

    def run_url(self, run: ParentRun | CellRun) -> str | None:
        """Return the run's page, when the store is a server."""
        if not self.uri.startswith(("http:", "https:")):
            return None
        return f"{store.page(self.uri)}/#/experiments/{run.experiment_id}/runs/{run.run_id}"

    def _experiment(self, name: str) -> str:
        location = f"{self._artifact_root}/{quote(name, safe='')}" if self._artifact_root else None
        experiment_id = self._client.experiment(name, location)
        self._client.tag_experiment(experiment_id, marks.KIND_OF_EXPERIMENT)
        return experiment_id

    def _children(self, parent: ParentRun, status: str) -> "list[Run]":
        condition = f"attributes.status = '{status}' and {with_tags({marks.PARENT: parent.run_id})}"
        return self._client.search(parent.experiment_id, condition)

    def _log_absent_params(self, run: "Run", params: Mapping[str, object]) -> None:
        absent = {key: value for key, value in params.items() if key not in run.data.params}
        spelt = {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in absent.items()
        }
        self._client.log_params(run.info.run_id, spelt)
