"""Requests to an MLflow store, each repeated for a bounded time while the store fails.

A store fails for a moment when a server is restarted or a database is locked. Each request here can
be repeated: runs are found before they are created, metrics carry the time of the first attempt,
and MLflow keeps one of two equal entries. What still fails raises UnreachableError, and what is
refused TrackingError.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from orchestrator.errors import TrackingError, UnreachableError
from orchestrator.scratch import scratch_folder
from orchestrator.tracking import store
from orchestrator.tracking.exclusive import exclusive

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run
    from mlflow.store.entities import PagedList

__all__ = ["MetricEntry", "PatientClient", "with_tags"]

Result = TypeVar("Result")
MetricEntry = tuple[str, float, int]  # key, value and step

NON_FINITE = "simclr_orch.non_finite"
# MLflow's limits
PARAMS_PER_BATCH, METRICS_PER_BATCH, LONGEST_PARAM, LONGEST_TAG = 100, 1000, 6000, 5000
PAGE = 1000


class PatientClient:
    """MLflow's client as a sweep needs it; methods raise TrackingError after so much patience."""

    def __init__(self, uri: str, patience: float) -> None:
        """Ask the store at `uri`, and repeat what fails for `patience` seconds."""
        self._uri = uri
        self._patience = patience

    def experiment(self, name: str, artifact_location: str | None) -> str:
        """Return the id of an experiment, which is made when absent."""

        def find_or_create() -> tuple[str, str]:
            found = self._client.get_experiment_by_name(name)
            if found is None:
                created = self._client.create_experiment(name, artifact_location=artifact_location)
                return created, "active"
            return found.experiment_id, found.lifecycle_stage

        experiment_id, stage = self._persist(f"open experiment {name}", find_or_create)
        if stage != "active":
            raise TrackingError(
                f"experiment {name!r} was deleted in MLflow, which keeps the name: `mlflow "
                f"experiments restore --experiment-id {experiment_id}` brings it back, `mlflow gc` "
                "removes it for good"
            )
        return experiment_id

    def tag_experiment(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Give an experiment tags, cut at 5,000 characters."""

        def write() -> None:
            before = self._client.get_experiment(experiment_id).tags
            for key, value in tags.items():
                if before.get(key) != value[:LONGEST_TAG]:
                    self._client.set_experiment_tag(experiment_id, key, value[:LONGEST_TAG])

        self._persist("describe an experiment", write)

    def experiment_tags(self, experiment_id: str) -> dict[str, str]:
        """Return the tags of an experiment."""
        return dict(
            self._persist(
                "read an experiment", lambda: self._client.get_experiment(experiment_id)
            ).tags
        )

    def experiment_names(self) -> list[str]:
        """Return the names of all experiments."""
        found = self._persist("list experiments", lambda: self._client.search_experiments())
        return [one.name for one in found]

    def experiment_named(self, name: str) -> str | None:
        """Return the id of an experiment; None when there is none of that name."""
        found = self._persist(
            "find an experiment", lambda: self._client.get_experiment_by_name(name)
        )
        return None if found is None else found.experiment_id

    def find_or_create(
        self, experiment_id: str, identity: Mapping[str, str], name: str, tags: Mapping[str, str]
    ) -> "Run":
        """Return the oldest run with the identifying tags, opened again, or a new one.

        It comes with its metrics and parameters.
        """
        client = self._client  # Connecting takes the same lock.
        condition = with_tags(identity)
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

        with exclusive(self._uri):  # Two drivers of one sweep must not both find nothing.
            return self._persist(f"open run {name}", find_or_create)

    def latest(self, condition: str) -> "Run | None":
        """Return the latest run of any experiment that meets a condition."""

        def find() -> "Run | None":
            everywhere = [each.experiment_id for each in self._client.search_experiments()]
            found = self._client.search_runs(
                everywhere, condition, max_results=1, order_by=["attributes.start_time DESC"]
            )
            return found[0] if found else None

        return self._persist("find a run", find)

    def search(
        self, experiment_id: str, condition: str, order: str = "attributes.start_time ASC"
    ) -> "list[Run]":
        """Return all runs of an experiment that meet a condition."""

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

    def latest_metrics(self, run_id: str) -> dict[str, float]:
        """Return the last value of each metric of a run."""
        return self.run(run_id).data.metrics

    def steps(self, run: "Run") -> dict[str, set[int]]:
        """Return the steps of each metric that a run had when it was found."""

        def found(key: str) -> set[int]:
            return {entry.step for entry in self._client.get_metric_history(run.info.run_id, key)}

        return {
            key: self._persist("read a metric", partial(found, key)) for key in run.data.metrics
        }

    def run(self, run_id: str) -> "Run":
        """Return a run with its metrics and tags, as they are now."""
        return self._persist("read a run", lambda: self._client.get_run(run_id))

    def log_params(self, run_id: str, params: Mapping[str, str]) -> None:
        """Store parameters, cut at MLflow's 6,000 characters; MLflow never changes one again."""
        from mlflow.entities import Param

        entries = [Param(key, value[:LONGEST_PARAM]) for key, value in params.items()]
        for batch in _batches(entries, PARAMS_PER_BATCH):
            self._persist("store parameters", partial(self._client.log_batch, run_id, params=batch))

    def log_inputs(self, run_id: str, inputs: "Sequence[DatasetInput]") -> None:
        """Store data sets that a run has used; those that it has already stay once."""
        self._persist(
            "store data sets", lambda: self._client.log_inputs(run_id, datasets=list(inputs))
        )

    def log_model(
        self, experiment_id: str, run_id: str, name: str, save: Callable[[Path], None], step: int
    ) -> None:
        """Keep what `save` writes into a folder as the logged model of a run, unless it has one."""
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus

        def there() -> dict[str, str]:
            condition = f"source_run_id = '{run_id}' AND name = '{name}'"
            found = self._client.search_logged_models([experiment_id], condition)
            return {str(model.status): model.model_id for model in found}

        ready, begun = str(LoggedModelStatus.READY), str(LoggedModelStatus.PENDING)
        if ready in self._persist("find a model", there):
            return
        with scratch_folder() as scratch:
            folder = scratch / name
            save(folder)

            def keep() -> None:
                known = there()
                model = known.get(ready) or known.get(begun)  # what an earlier try has left
                if model is None:
                    model = self._client.create_logged_model(
                        experiment_id, name=name, source_run_id=run_id
                    ).model_id
                if ready not in known:
                    self._client.log_model_artifacts(model, str(folder))
                    self._client.finalize_logged_model(model, LoggedModelStatus.READY)
                output = LoggedModelOutput(model, step)
                self._client.log_outputs(run_id, [output])

            self._persist("store a model", keep)

    def log_metrics(
        self, run_id: str, values: Sequence[MetricEntry], tags: Mapping[str, str] | None = None
    ) -> None:
        """Store metrics, and tags. Those that are not finite, MLflow would store as other numbers.

        They are left out, and the tag `simclr_orch.non_finite` names the last ones.
        """
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
        wanted = [RunTag(key, value[:LONGEST_TAG]) for key, value in (tags or {}).items()]
        if lost:
            wanted.append(RunTag(NON_FINITE, ", ".join(lost)[:LONGEST_TAG]))
        batches = _batches(entries, METRICS_PER_BATCH - len(wanted)) or ([[]] if wanted else [])
        for batch in batches:
            self._persist(
                "store metrics",
                partial(self._client.log_batch, run_id, metrics=batch, tags=wanted),
            )

    def log_files(self, run_id: str, contents: Mapping[str, str | bytes]) -> None:
        """Store files as artifacts, by name, folders included."""
        if not contents:
            return
        with scratch_folder() as folder:
            for name, content in contents.items():
                file = folder / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content.encode() if isinstance(content, str) else content)
            what = f"store {', '.join(contents)}"
            self._persist(what, lambda: self._client.log_artifacts(run_id, str(folder)))

    def read_file(self, run_id: str, name: str) -> bytes | None:
        """Read an artifact; None when there is none of that name."""

        def content() -> bytes | None:
            if name not in {entry.path for entry in self._client.list_artifacts(run_id)}:
                return None
            with scratch_folder() as folder:
                there = self._client.download_artifacts(run_id, name, str(folder))
                return Path(there).read_bytes()

        return self._persist(f"read {name}", content)

    def close(self, run_id: str, status: str) -> None:
        """Give a run its final status."""
        self._persist("close a run", lambda: self._client.set_terminated(run_id, status))

    @cached_property
    def _client(self) -> "MlflowClient":
        return self._persist("connect", lambda: store.connect(self._uri))

    def _persist(self, what: str, action: Callable[[], Result]) -> Result:
        """The action's result; repeated with growing pauses while it fails for passing reasons."""
        deadline = time.monotonic() + self._patience
        pause = 0.1
        while True:
            try:
                return action()
            except store.failures() as error:
                if store.is_permanent(error) or time.monotonic() + pause > deadline:
                    message = f"{store.named(self._uri)}: cannot {what}: {store.reason(error)}"
                    kind = TrackingError if store.is_permanent(error) else UnreachableError
                    raise kind(message) from error
            time.sleep(pause)
            pause = min(2 * pause, 2.0)


def with_tags(tags: Mapping[str, str]) -> str:
    """Return the condition that a run has these tags."""
    return " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())


def _batches(entries: Sequence[Result], size: int) -> list[Sequence[Result]]:
    return [entries[start : start + size] for start in range(0, len(entries), size)]
