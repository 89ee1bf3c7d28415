"""A sweep in MLflow: one experiment per ablation, a parent run per sweep, a child run per cell,
found again by tags.

Every request is repeated for a bounded time when the store fails for a moment (a restarted server,
a locked database), and each can be repeated: runs are found before they are created, metrics carry
the time of the first attempt, and MLflow keeps one of two equal entries. What still fails raises
TrackingError.
"""

import json
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import quote

from orchestrator.errors import TrackingError
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage, without_password
from orchestrator.storage.runs import RECORD
from orchestrator.tracking import store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.store.entities import PagedList

__all__ = ["CellRun", "ParentRun", "Status", "Tracker"]

Status = Literal["FINISHED", "FAILED", "KILLED"]
Result = TypeVar("Result")

SWEEP, FINGERPRINT, KIND = "simclr_orch.sweep", "simclr_orch.fingerprint", "simclr_orch.kind"
NON_FINITE = "simclr_orch.non_finite"
# a tag, and the experiment of what was not trained here
EVALUATION, EVALUATIONS = "simclr_orch.evaluation", "evaluate"
PARENT = "mlflow.parentRunId"  # what MLflow's own pages nest runs by
PATIENCE = 15.0  # seconds that a failing request is repeated
# MLflow's limits
PARAMS_PER_BATCH, METRICS_PER_BATCH, LONGEST_PARAM, LONGEST_TAG = 100, 1000, 6000, 5000
PAGE = 1000


@dataclass(frozen=True)
class ParentRun:
    """The run of a sweep, under which those of its cells lie."""

    experiment_id: str
    run_id: str
    sweep_id: str


@dataclass(frozen=True)
class CellRun:
    """The run of one cell."""

    experiment_id: str
    run_id: str
    fingerprint: str


class Tracker:
    """Writes a sweep's runs. Made by the sweep's driver alone; its methods may be called from
    several threads.
    """

    def __init__(self, uri: str, artifact_root: str | None, *, patience: float = PATIENCE) -> None:
        """`uri` as `resolve` gives it; `artifact_root` None lets the server choose; `patience` in
        seconds.
        """
        self.uri = uri
        self._artifact_root = artifact_root
        self._patience = patience
        # Of each open cell: the last step of each metric.
        self._steps: dict[str, dict[str, int]] = {}

    @classmethod
    def open(
        cls, tracking_uri: str | None, storage: Storage, *, patience: float = PATIENCE
    ) -> "Tracker":
        """The tracker for `--tracking-uri`, by default an SQLite database in the storage, created
        when there is none.

        Raises TrackingError for an address of no use and for a database that cannot be created.
        """
        tracker = cls(*store.resolve(tracking_uri, storage), patience=patience)
        if tracker.uri.startswith("sqlite:") and (problem := tracker.check()):
            raise TrackingError(problem)
        return tracker

    def check(self) -> str | None:
        """Within seconds: why the store cannot be used, as a line that names the option; None when
        it answered.
        """
        return store.problem(self.uri)

    def sweep(
        self,
        experiment: str,
        sweep_id: str,
        *,
        name: str,
        tags: Mapping[str, str],
        plan: Mapping[str, Any],
    ) -> ParentRun:
        """The run of a sweep, created or opened again, with `plan.json`; the experiment is made
        when absent.
        """
        experiment_id = self._experiment(experiment)
        identity = {SWEEP: sweep_id, KIND: "sweep"}
        run = self._find_or_create(experiment_id, identity, name, tags)
        parent = ParentRun(experiment_id, run.info.run_id, sweep_id)
        self._log_contents(parent, {"plan.json": json.dumps(plan, indent=2)})
        return parent

    def cell(
        self,
        parent: ParentRun,
        fingerprint: str,
        *,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
    ) -> CellRun:
        """The run of a cell, created or opened again.

        MLflow never changes a parameter, so those already there stay as they are. Values are spelt
        as in JSON and cut at MLflow's 6,000 characters.
        """
        identity = {
            FINGERPRINT: fingerprint,
            KIND: "cell",
            PARENT: parent.run_id,
            SWEEP: parent.sweep_id,
        }
        run = self._find_or_create(parent.experiment_id, identity, name, tags)
        cell = CellRun(parent.experiment_id, run.info.run_id, fingerprint)
        absent = {key: value for key, value in params.items() if key not in run.data.params}
        self._log_params(cell, absent)
        self._steps[cell.run_id] = self._last_steps(run)
        return cell

    def evaluation(
        self, fingerprint: str, kept: str, *, name: str, params: Mapping[str, Any]
    ) -> CellRun:
        """The run of a later evaluation, created or opened again: below the run of what was judged,
        where there is one.
        """
        judged = self._run_of(fingerprint)
        experiment_id = judged.info.experiment_id if judged else self._experiment(EVALUATIONS)
        above = {PARENT: judged.info.run_id} if judged else {}
        identity = {FINGERPRINT: fingerprint, KIND: "evaluation", EVALUATION: kept, **above}
        run = self._find_or_create(experiment_id, identity, name, {})
        evaluation = CellRun(experiment_id, run.info.run_id, fingerprint)
        self._log_params(
            evaluation, {key: value for key, value in params.items() if key not in run.data.params}
        )
        return evaluation

    def _run_of(self, fingerprint: str) -> "Run | None":
        """The latest run of a cell in any experiment."""
        condition = f"tags.`{FINGERPRINT}` = '{fingerprint}' and tags.`{KIND}` = 'cell'"

        def find() -> "Run | None":
            everywhere = [
                experiment.experiment_id for experiment in self._client.search_experiments()
            ]
            found = self._client.search_runs(
                everywhere, condition, max_results=1, order_by=["attributes.start_time DESC"]
            )
            return found[0] if found else None

        return self._persist("find a run", find)

    def log_epoch(self, cell: CellRun, metrics: Mapping[str, float], step: int) -> None:
        """One request with all metrics of an epoch.

        A metric that already has this step or a later one is left out: a cell that continues from a
        checkpoint repeats epochs, and MLflow would keep both. NaN and infinities are left out too,
        which MLflow stores as other numbers;
        the tag `simclr_orch.non_finite` names the last ones.
        """
        self.log_epochs(cell, {step: metrics})

    def log_epochs(self, cell: CellRun, curve: Mapping[int, Mapping[str, float]]) -> None:
        """The same for several epochs, step to metrics in increasing order, in as few requests as
        MLflow allows.
        """
        steps = self._steps[cell.run_id]
        fresh = [
            (key, float(value), step)
            for step, metrics in curve.items()
            for key, value in metrics.items()
            if step > steps.get(key, -1)
        ]
        self._log_metrics(cell, fresh)
        steps.update({key: step for key, _, step in fresh})

    def finish(
        self,
        cell: CellRun,
        results: Mapping[str, float],
        artifacts: Mapping[str, str | bytes],
        status: Status = "FINISHED",
    ) -> None:
        """Close a cell's run with its results, at the last step, and files (name, folders included,
        to content).

        The status is written last: a FINISHED run has its results and `run.json`.
        """
        latest = self._persist("read a run", lambda: self._client.get_run(cell.run_id)).data.metrics
        last = max(self._steps.get(cell.run_id, {}).values(), default=0)
        self._log_metrics(
            cell,
            [
                (key, float(value), last)
                for key, value in results.items()
                if latest.get(key) != value
            ],
        )
        self._log_contents(cell, artifacts)
        self._close(cell.run_id, status)
        self._steps.pop(cell.run_id, None)

    def finish_sweep(
        self, parent: ParentRun, *, status: Status, artifacts: Mapping[str, str | bytes]
    ) -> None:
        """Close a sweep's run with the files of its report."""
        self._log_contents(parent, artifacts)
        self._close(parent.run_id, status)

    def log_model(self, cell: CellRun, state: bytes, spec: str) -> None:
        """Keep an encoder as artifacts: `encoder/encoder.pt` and the specification that builds it,
        `encoder/spec.yaml`.

        Not MLflow's `log_model`, whose files need MLflow, and an example input, to be read again.
        """
        self._log_contents(cell, {"encoder/encoder.pt": state, "encoder/spec.yaml": spec})

    def finished(self, experiment: str, fingerprints: Iterable[str]) -> dict[str, RunRecord]:
        """What lies in `run.json` of finished cells, by fingerprint: for a sweep whose storage was
        lost.

        Runs of any sweep of the experiment count, the latest first; those without a readable
        `run.json` do not.
        """
        found = self._persist(
            "find an experiment", lambda: self._client.get_experiment_by_name(experiment)
        )
        wanted = set(fingerprints)
        records: dict[str, RunRecord] = {}
        if found is None or not wanted:
            return records
        condition = f"attributes.status = 'FINISHED' and tags.`{KIND}` = 'cell'"
        for run in self._search(found.experiment_id, condition, "attributes.start_time DESC"):
            fingerprint = run.data.tags[FINGERPRINT]
            if fingerprint in wanted and fingerprint not in records:
                record = self._record(run.info.run_id)
                if record is not None:
                    records[fingerprint] = record
        return records

    def finished_cells(self, parent: ParentRun) -> set[str]:
        """Fingerprints of this sweep's cells whose runs are FINISHED, which need no opening
        again.
        """
        condition = f"attributes.status = 'FINISHED' and tags.`{PARENT}` = '{parent.run_id}'"
        return {run.data.tags[FINGERPRINT] for run in self._search(parent.experiment_id, condition)}

    def reconcile(self, parent: ParentRun) -> list[str]:
        """Close as KILLED the cells that a killed driver left RUNNING, except those open here;
        their fingerprints.
        """
        condition = f"attributes.status = 'RUNNING' and tags.`{PARENT}` = '{parent.run_id}'"
        left = [
            run
            for run in self._search(parent.experiment_id, condition)
            if run.info.run_id not in self._steps
        ]
        for run in left:
            self._close(run.info.run_id, "KILLED")
        return [run.data.tags[FINGERPRINT] for run in left]

    def run_url(self, run: ParentRun | CellRun) -> str | None:
        """The run's page, when the store is a server."""
        if not self.uri.startswith(("http:", "https:")):
            return None
        return f"{store.page(self.uri)}/#/experiments/{run.experiment_id}/runs/{run.run_id}"

    @cached_property
    def _client(self) -> "MlflowClient":
        return self._persist("connect", lambda: store.connect(self.uri))

    def _persist(self, what: str, action: Callable[[], Result]) -> Result:
        """The action's result; repeated with growing pauses while it fails for reasons that can
        pass.
        """
        deadline = time.monotonic() + self._patience
        pause = 0.1
        while True:
            try:
                return action()
            except store.failures() as error:
                if store.is_permanent(error) or time.monotonic() + pause > deadline:
                    message = (
                        f"--tracking-uri {without_password(self.uri)}: cannot {what}: "
                        f"{store.reason(error)}"
                    )
                    raise TrackingError(message) from error
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    def _experiment(self, name: str) -> str:
        location = f"{self._artifact_root}/{quote(name, safe='')}" if self._artifact_root else None

        def find_or_create() -> tuple[str, str]:
            found = self._client.get_experiment_by_name(name)
            if found is None:
                return self._client.create_experiment(name, artifact_location=location), "active"
            return found.experiment_id, found.lifecycle_stage

        experiment_id, stage = self._persist(f"open experiment {name}", find_or_create)
        if stage != "active":
            raise TrackingError(
                f"experiment {name!r} was deleted in MLflow, which keeps the name: `mlflow "
                "experiments restore "
                f"--experiment-id {experiment_id}` brings it back, `mlflow gc` removes it for good"
            )
        return experiment_id

    def _find_or_create(
        self, experiment_id: str, identity: Mapping[str, str], name: str, tags: Mapping[str, str]
    ) -> "Run":
        """The oldest run with the identifying tags, opened again, or a new one; with its metrics
        and parameters.
        """
        client = self._client  # Connecting takes the same lock.
        condition = " and ".join(f"tags.`{key}` = '{value}'" for key, value in identity.items())
        wanted = {key: value[:LONGEST_TAG] for key, value in (dict(tags) | dict(identity)).items()}

        def find_or_create() -> "Run":
            from mlflow.entities import RunTag

            found = client.search_runs(
                [experiment_id], condition, max_results=1, order_by=["attributes.start_time ASC"]
            )
            if not found:
                return client.create_run(experiment_id, tags=wanted, run_name=name)
            run: Run = found[0]
            client.update_run(run.info.run_id, status="RUNNING")
            client.log_batch(
                run.info.run_id, tags=[RunTag(key, value) for key, value in wanted.items()]
            )
            return run

        with store.exclusive(self.uri):  # Two drivers of one sweep must not both find nothing.
            return self._persist(f"open run {name}", find_or_create)

    def _last_steps(self, run: "Run") -> dict[str, int]:
        def last(key: str) -> int:
            return max(
                entry.step for entry in self._client.get_metric_history(run.info.run_id, key)
            )

        return {key: self._persist("read a metric", partial(last, key)) for key in run.data.metrics}

    def _log_params(self, cell: CellRun, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        entries = [Param(key, _spelt(value)[:LONGEST_PARAM]) for key, value in params.items()]
        for batch in _batches(entries, PARAMS_PER_BATCH):
            self._persist(
                "store parameters", partial(self._client.log_batch, cell.run_id, params=batch)
            )

    def _log_metrics(self, cell: CellRun, values: Sequence[tuple[str, float, int]]) -> None:
        """Metrics as (key, value, step)."""
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        entries = [
            Metric(key, value, now, step) for key, value, step in values if math.isfinite(value)
        ]
        lost = [
            f"{key}={value} at step {step}"
            for key, value, step in values
            if not math.isfinite(value)
        ]
        tags = [RunTag(NON_FINITE, ", ".join(lost)[:LONGEST_TAG])] if lost else []
        for batch in _batches(entries, METRICS_PER_BATCH - len(tags)) or ([[]] if tags else []):
            self._persist(
                "store metrics",
                partial(self._client.log_batch, cell.run_id, metrics=batch, tags=tags),
            )

    def _log_contents(self, run: ParentRun | CellRun, contents: Mapping[str, str | bytes]) -> None:
        if not contents:
            return
        with tempfile.TemporaryDirectory(prefix="simclr-orch-") as folder:
            for name, content in contents.items():
                file = Path(folder, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content.encode() if isinstance(content, str) else content)
            what = f"store {', '.join(contents)}"
            self._persist(what, lambda: self._client.log_artifacts(run.run_id, folder))

    def _close(self, run_id: str, status: Status) -> None:
        self._persist("close a run", lambda: self._client.set_terminated(run_id, status))

    def _search(
        self, experiment_id: str, condition: str, order: str = "attributes.start_time ASC"
    ) -> "list[Run]":
        def find(token: str | None) -> "PagedList[Run]":
            return self._client.search_runs(
                [experiment_id], condition, max_results=PAGE, order_by=[order], page_token=token
            )

        page = self._persist("find runs", partial(find, None))
        runs = list(page)
        while page.token:
            page = self._persist("find runs", partial(find, page.token))
            runs += page
        return runs

    def _record(self, run_id: str) -> RunRecord | None:
        def content() -> bytes | None:
            if RECORD not in {entry.path for entry in self._client.list_artifacts(run_id)}:
                return None
            with tempfile.TemporaryDirectory(prefix="simclr-orch-") as folder:
                return Path(self._client.download_artifacts(run_id, RECORD, folder)).read_bytes()

        data = self._persist(f"read {RECORD}", content)
        try:
            return RunRecord.read(json.loads(data)) if data else None
        except ValueError:
            return None


def _spelt(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _batches(entries: list[Any], size: int) -> list[list[Any]]:
    return [entries[start : start + size] for start in range(0, len(entries), size)]
