"""Which predictions of two runs can be compared: those of one result on the same test examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from orchestrator.errors import PlanError
from orchestrator.run_record import EvaluationRecord, RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder, finished_record
from workloads.catalog import workload_named
from workloads.evaluation_result import Predictions
from workloads.spec import flatten
from workloads.workload import TrainedAlone

__all__ = ["KeptPredictions", "PredictedRun", "PredictionPair", "labelled_pairs", "read_predicted"]


@dataclass(frozen=True)
class KeptPredictions:
    """The predictions behind one result of a run, and where they are from.

    `file` has them, `settings` made them, and `data` is what was tested on.
    """

    file: str
    settings: Mapping[str, Any]
    ended: str
    data: Mapping[str, str | int]
    predictions: Predictions

    def differs_from(self, other: "KeptPredictions") -> str | None:
        """Return what tells the test examples of the two apart; None where nothing does."""
        # Labels alone do not tell: balanced test sets in the order of their classes have the same
        # ones. What only one of the two has decides nothing: a digest of the content is optional,
        # and of a subset as large as the whole no seed matters.
        for field in (field for field in self.data if field in other.data):
            ours, theirs = self.data[field], other.data[field]
            if ours != theirs:
                return f"{field} is {ours} and {theirs}"

        labels = self.predictions.labels, other.predictions.labels
        if np.array_equal(*labels):
            return None
        return f"their labels differ ({len(labels[0])} and {len(labels[1])} of them)"


@dataclass(frozen=True)
class PredictedRun:
    """A run with the predictions that are kept of it.

    `results` has them by the name of the result: of the run's own evaluation first, then the oldest
    first. `seed` is the run's, None where none is known, as of weights from elsewhere.
    """

    fingerprint: str
    name: str
    seed: int | None
    results: Mapping[str, Sequence[KeptPredictions]]

    def __str__(self) -> str:
        return f"{self.name} ({self.fingerprint[:12]})"


@dataclass(frozen=True)
class PredictionPair:
    """One result of both runs on the same test examples."""

    result: str
    one: KeptPredictions
    other: KeptPredictions

    @property
    def same_file(self) -> bool:
        """Whether both are of the own evaluation, or of a later one by the same settings."""
        return self.one.file == self.other.file

    @property
    def same_settings(self) -> bool:
        """Whether the settings are the same, also where only one is of the own evaluation."""
        return self.same_file or bool(
            self.one.settings and self.one.settings == self.other.settings
        )

    @property
    def data(self) -> dict[str, str | int]:
        """What is known of the data that both were tested on."""
        return {**self.one.data, **self.other.data}

    @property
    def label(self) -> str:
        """The result with its data and files, to be told from others of the same result."""
        files = dict.fromkeys(PurePosixPath(kept.file).stem for kept in (self.one, self.other))
        where = f" on {self.data['name']}" if "name" in self.data else ""
        return f"{self.result}{where} ({' and '.join(files)})"

    def is_beside(self, earlier: "PredictionPair") -> bool:
        """Tell whether both pairs are about the same examples."""
        return (
            self.one.differs_from(earlier.one) is None
            or self.other.differs_from(earlier.other) is None
        )

    def repeats(self, earlier: "PredictionPair") -> bool:
        """Tell whether nothing but the file is new."""
        sides = ((self.one, earlier.one), (self.other, earlier.other))
        return all(
            np.array_equal(new.predictions.predicted, old.predictions.predicted)
            for new, old in sides
        )


def read_predicted(run: str, storage: Storage) -> PredictedRun:
    """Read a finished run with all predictions that are kept of it.

    Raises PlanError for a run that is missing, unfinished or without predictions.
    """
    record = finished_record(run, storage)
    folder = RunFolder(storage, record.fingerprint)
    results: dict[str, list[KeptPredictions]] = {}
    evaluations: list[tuple[str | None, EvaluationRecord]] = [(None, _own_evaluation(record))]
    evaluations += folder.evaluations().items()
    for name, evaluation in evaluations:
        file = folder.predictions_file(name)
        # Where the data lay is no setting.
        settings = {
            field: value
            for field, value in flatten(evaluation.settings).items()
            if not field.endswith(".root")
        }
        for result, predictions in (folder.predictions(name) or {}).items():
            tested_on = _tested_on(result, record.spec, evaluation)
            kept = KeptPredictions(file, settings, evaluation.ended, tested_on, predictions)
            results.setdefault(result, []).append(kept)

    if not results:
        workload = workload_named(record.workload)
        if not isinstance(workload, TrainedAlone):
            raise PlanError([f"{run}: is of {workload.name}, whose runs keep no predictions"])
        advice = (
            "if it finished before these were kept, run `simclr-orch evaluate "
            f"{record.fingerprint[:12]}` first"
        )
        raise PlanError([f"{run}: has no predictions in {storage.shown()}; {advice}"])
    seed = None if record.weights is not None else record.spec.get("seed")
    return PredictedRun(record.fingerprint, record.name, seed, results)


def labelled_pairs(
    one: PredictedRun, other: PredictedRun, results: Sequence[str]
) -> dict[str, PredictionPair]:
    """Return what is compared: a result by its name, or several pairs of it by their labels.

    Raises PlanError that names every result of which there is no pair on the same test examples.
    """
    found: dict[str, PredictionPair] = {}
    problems = []
    for result in results:
        ours, theirs = one.results[result], other.results[result]
        pairs = _pairs(result, ours, theirs)
        for pair in pairs:
            found[result if len(pairs) == 1 else pair.label] = pair
        if not pairs:
            difference = ours[-1].differs_from(theirs[-1])
            problems.append(
                f"{result}: the two models were tested on different examples: {difference}"
            )

    if problems and found:
        comparable = dict.fromkeys(pair.result for pair in found.values())
        problems.append(f"ask for a result on the same examples: {', '.join(comparable)}")
    if problems:
        raise PlanError(problems)
    return found


def _own_evaluation(record: RunRecord) -> EvaluationRecord:
    """Describe the evaluation at the end of a run like those that came later."""
    return EvaluationRecord(
        run=record.fingerprint,
        protocol="",
        settings=record.spec.get("eval", {}),
        results=record.results,
        intervals=record.intervals or {},
        ended=record.ended or "",
    )


def _tested_on(
    result: str, spec: Mapping[str, Any], evaluation: EvaluationRecord
) -> dict[str, str | int]:
    """Return what makes the test examples of a result.

    By the specification of its data, and as the evaluation met them.
    """
    transfer = evaluation.settings.get("transfer", {})
    data = transfer.get("data", {}) if result.startswith("transfer") else spec.get("data", {})
    met = evaluation.data or {}
    fields = ["name", "content"]
    # which has no test set of its own
    if data.get("test_images") is not None or data.get("name") == "caltech101":
        fields.append("split_seed")
    found = {field: met.get(field, data.get(field)) for field in fields}
    return {field: value for field, value in found.items() if value is not None}


def _pairs(
    result: str, ours: Sequence[KeptPredictions], theirs: Sequence[KeptPredictions]
) -> list[PredictionPair]:
    """Return all pairs of equal files, and one for each other test set.

    The latter is of equal settings if there is one, else of the newest of each.
    """
    every = [
        PredictionPair(result, one, other)
        for one in ours
        for other in theirs
        if one.differs_from(other) is None
    ]
    rest = [pair for pair in every if not pair.same_file]
    rest.sort(key=lambda pair: (pair.same_settings, pair.one.ended, pair.other.ended), reverse=True)

    found: list[PredictionPair] = []
    for pair in [*(pair for pair in every if pair.same_file), *rest]:
        beside = [earlier for earlier in found if pair.is_beside(earlier)]
        # One that only repeats another would count against all in the correction for several.
        if not beside or (pair.same_file and not any(pair.repeats(earlier) for earlier in beside)):
            found.append(pair)
    return found
