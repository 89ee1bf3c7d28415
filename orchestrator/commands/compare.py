"""Compare two finished runs example by example, from the predictions that they have left in the
storage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from orchestrator.commands.result import Finished
from orchestrator.errors import PlanError
from orchestrator.run_record import EvaluationRecord, RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder, finished_record
from orchestrator.verdicts.permutation_test import (
    LEVEL,
    PERMUTATIONS,
    PairedComparison,
    adjusted,
    compare_predictions,
)
from workloads.catalog import workload_named
from workloads.evaluation_result import Predictions
from workloads.spec import flatten
from workloads.workload import TrainedAlone

__all__ = ["compare_runs"]


@dataclass(frozen=True)
class _Kept:
    """The predictions behind one result of a run: their file, how and when they were made, and what
    was tested on.
    """

    file: str
    settings: Mapping[str, Any]
    ended: str
    data: Mapping[str, Any]
    predictions: Predictions


@dataclass(frozen=True)
class _Run:
    """`results` has what is kept by each name: of the run's own evaluation first, then the oldest
    first.
    """

    fingerprint: str
    name: str
    results: Mapping[str, Sequence[_Kept]]

    def __str__(self) -> str:
        return f"{self.name} ({self.fingerprint[:12]})"


@dataclass(frozen=True)
class _Pair:
    """One result of both runs on the same test examples."""

    result: str
    one: _Kept
    other: _Kept

    @property
    def same_file(self) -> bool:
        """Whether both are of the runs' own evaluation, or of a later one by the same protocol and
        settings.
        """
        return self.one.file == self.other.file

    @property
    def same_settings(self) -> bool:
        """The same, also where only one of the two is of the run's own evaluation."""
        return self.same_file or bool(
            self.one.settings and self.one.settings == self.other.settings
        )

    @property
    def data(self) -> dict[str, Any]:
        """What is known of the data that both were tested on."""
        return {**self.one.data, **self.other.data}

    def is_beside(self, earlier: "_Pair") -> bool:
        """Whether both pairs are about the same examples."""
        return (
            _difference(self.one, earlier.one) is None
            or _difference(self.other, earlier.other) is None
        )

    def repeats(self, earlier: "_Pair") -> bool:
        """Whether nothing but the file is new."""
        sides = ((self.one, earlier.one), (self.other, earlier.other))
        return all(
            np.array_equal(new.predictions.predicted, old.predictions.predicted)
            for new, old in sides
        )


def compare_runs(
    one: str, other: str, result: str | None, storage: Storage, console: Console
) -> Finished:
    """Test the results that both runs have predictions of, or those of one name, and say which run
    is better.

    A run may have a result more than once, by other settings or on other data. All pairs of equal
    settings on the same data are compared, and where no settings are of both runs, the newest of
    each.
    Accuracy over examples is tested, also where the result itself is a mean over classes (as in the
    paper, B.8). Raises PlanError for runs that are missing, unfinished or without predictions, for
    a result that not both have, and for results of different test examples.
    """
    first, second = _read(one, storage), _read(other, storage)
    if first.fingerprint == second.fingerprint:
        raise PlanError([f"{one} and {other}: are the same run"])
    both = [name for name in first.results if name in second.results]
    if not both:
        have = (f"{run} has {', '.join(run.results)}" for run in (first, second))
        raise PlanError(
            [f"{one} and {other}: have no predictions of the same result; {'; '.join(have)}"]
        )
    if result is not None and result not in both:
        raise PlanError(
            [
                f"{result}: is not a result that both runs have predictions of; these are "
                f"{', '.join(both)}"
            ]
        )
    pairs = _pairs(first, second, both if result is None else [result])
    compared = adjusted(
        {
            label: compare_predictions(pair.one.predictions, pair.other.predictions)
            for label, pair in pairs.items()
        }
    )
    _print(compared, first, second, console)
    for label, pair in pairs.items():
        if not pair.same_file or (
            label == pair.result and max(len(run.results[label]) for run in (first, second)) > 1
        ):
            console.print(
                f"{label}: {_origin(pair)}", highlight=False, markup=False, soft_wrap=True
            )
    document = {
        "one": {"run": first.fingerprint, "name": first.name},
        "other": {"run": second.fingerprint, "name": second.name},
        "level": LEVEL,
        "permutations": PERMUTATIONS,
        "comparisons": {
            label: _tree(pairs[label], comparison) for label, comparison in compared.items()
        },
    }
    return Finished(0, document)


def _tree(pair: _Pair, comparison: PairedComparison) -> dict[str, Any]:
    return {
        **asdict(comparison),
        "interval": list(comparison.interval),
        "verdict": comparison.verdict,
        "result": pair.result,
        "files": [pair.one.file, pair.other.file],
        "same_settings": pair.same_settings,
        "data": pair.data,
    }


def _read(run: str, storage: Storage) -> _Run:
    """Read a run with all predictions that are kept of it."""
    record = finished_record(run, storage)
    folder = RunFolder(storage, record.fingerprint)
    results: dict[str, list[_Kept]] = {}
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
            kept = _Kept(file, settings, evaluation.ended, tested_on, predictions)
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
    return _Run(record.fingerprint, record.name, results)


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
) -> dict[str, Any]:
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


def _pairs(one: _Run, other: _Run, results: Sequence[str]) -> dict[str, _Pair]:
    """What is compared, by its label: its name, with data and files where there are several of it.

    Raises PlanError that names every result of which there is no pair on the same test examples.
    """
    found: dict[str, _Pair] = {}
    problems = []
    for result in results:
        ours, theirs = one.results[result], other.results[result]
        pairs = _paired(result, ours, theirs)
        found |= {result if len(pairs) == 1 else _label(pair): pair for pair in pairs}
        if not pairs:
            difference = _difference(ours[-1], theirs[-1])
            problems.append(
                f"{result}: the two models were tested on different examples: {difference}"
            )
    if problems and found:
        comparable = dict.fromkeys(pair.result for pair in found.values())
        problems.append(f"ask for a result on the same examples: {', '.join(comparable)}")
    if problems:
        raise PlanError(problems)
    return found


def _paired(result: str, ours: Sequence[_Kept], theirs: Sequence[_Kept]) -> list[_Pair]:
    """All pairs of equal files, and for each other test set one: of equal settings if there is one,
    of the newest else.
    """
    every = [
        _Pair(result, one, other)
        for one in ours
        for other in theirs
        if _difference(one, other) is None
    ]
    rest = [pair for pair in every if not pair.same_file]
    rest.sort(key=lambda pair: (pair.same_settings, pair.one.ended, pair.other.ended), reverse=True)
    found: list[_Pair] = []
    for pair in [*(pair for pair in every if pair.same_file), *rest]:
        beside = [earlier for earlier in found if pair.is_beside(earlier)]
        # One that only repeats another would count against all in the correction for several.
        if not beside or (pair.same_file and not any(pair.repeats(earlier) for earlier in beside)):
            found.append(pair)
    return found


def _difference(one: _Kept, other: _Kept) -> str | None:
    """What tells the test examples of the two apart; None where nothing does."""
    # Labels alone do not tell: balanced test sets in the order of their classes have the same ones.
    # What only one of the two has decides nothing: a digest of the content is optional, and of a
    # subset as large as the whole no seed matters.
    for field in (field for field in one.data if field in other.data):
        ours, theirs = one.data[field], other.data[field]
        if ours != theirs:
            return f"{field} is {ours} and {theirs}"
    labels = one.predictions.labels, other.predictions.labels
    return (
        None
        if np.array_equal(*labels)
        else (f"their labels differ ({len(labels[0])} and {len(labels[1])} of them)")
    )


def _label(pair: _Pair) -> str:
    files = dict.fromkeys(PurePosixPath(kept.file).stem for kept in (pair.one, pair.other))
    where = f" on {pair.data['name']}" if "name" in pair.data else ""
    return f"{pair.result}{where} ({' and '.join(files)})"


def _origin(pair: _Pair) -> str:
    if pair.same_file:
        return f"from {pair.one.file} of both"
    files = f"from {pair.one.file} of A and {pair.other.file} of B"
    return (
        files
        if pair.same_settings
        else (f"{files}, the newest: no settings of evaluation are of both, and these differ")
    )


def _print(
    compared: Mapping[str, PairedComparison], one: _Run, other: _Run, console: Console
) -> None:
    console.print(f"A: {one}\nB: {other}", highlight=False, markup=False, soft_wrap=True)
    several = len(compared) > 1
    table = Table(box=None)
    for column in (
        "accuracy of",
        "A, %",
        "B, %",
        "A - B [95 %]",
        "only A right",
        "only B right",
        "p",
    ):
        table.add_column(
            column, justify="left" if column == "accuracy of" else "right", overflow="fold"
        )
    if several:
        table.add_column("p (Holm)", justify="right")
    for name, found in compared.items():
        low, high = found.interval
        table.add_row(
            name,
            f"{found.accuracy_one:.2f}",
            f"{found.accuracy_other:.2f}",
            f"{found.difference:+.2f} [{low:+.2f}, {high:+.2f}]",
            str(found.only_one_right),
            str(found.only_other_right),
            f"{found.p_permutation:.2g}",
            *([f"{found.p_holm:.2g}"] if several else []),
        )
    console.print(table, highlight=False)
    for name, found in compared.items():
        console.print(f"{name}: {_sentence(found)}", highlight=False, markup=False, soft_wrap=True)
    console.print(
        "Both as they were trained: what other seeds would give is not in this.", highlight=False
    )


def _sentence(found: PairedComparison) -> str:
    on = f"on the same {found.n} test examples (p = {found.p_holm:.2g})"
    if found.verdict == "tied":
        return f"A and B are tied {on}"
    return f"A is {found.verdict} than B by {abs(found.difference):.2f} points {on}"
