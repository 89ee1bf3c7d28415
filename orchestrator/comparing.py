"""Compare two finished runs example by example, from the predictions that they have left in the storage."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestrator.cell import PREDICTIONS, read_record
from orchestrator.errors import PlanError, StorageError
from orchestrator.outcome import Finished
from orchestrator.paired import LEVEL, PERMUTATIONS, PairedComparison, adjusted, compare_predictions
from orchestrator.predictions import read_predictions
from orchestrator.runs import run_named, workload_of
from orchestrator.storage import Storage
from workloads.evaluation.judgement import Predictions
from workloads.workload import TrainedAlone

__all__ = ["compare_runs"]


@dataclass(frozen=True)
class _Kept:
    """The predictions behind one result of a run: the file that has them, and the fields of the data that was tested on."""

    file: str
    predictions: Predictions
    data: Mapping[str, Any]


@dataclass(frozen=True)
class _Run:
    fingerprint: str
    name: str
    results: Mapping[str, _Kept]

    def __str__(self) -> str:
        return f"{self.name} ({self.fingerprint[:12]})"


def compare_runs(one: str, other: str, result: str | None, storage: Storage, console: Console) -> Finished:
    """Test the results that both runs have predictions of, or one of them, and say which run is better.

    Accuracy over examples is tested, also where the result itself is a mean over classes (as in the paper, B.8). Raises
    PlanError for runs that are missing, unfinished or without predictions, for a result that not both have, and for
    results of different test examples.
    """
    first, second = _read(one, storage), _read(other, storage)
    if first.fingerprint == second.fingerprint:
        raise PlanError([f"{one} and {other}: are the same run"])
    both = [name for name in first.results if name in second.results]
    if not both:
        have = (f"{run} has {', '.join(run.results)}" for run in (first, second))
        raise PlanError([f"{one} and {other}: have no predictions of the same result; {'; '.join(have)}"])
    if result is not None and result not in both:
        raise PlanError([f"{result}: is not a result that both runs have predictions of; these are {', '.join(both)}"])
    compared = _compared(first, second, both if result is None else [result])
    _print(compared, first, second, console)
    document = {
        "one": {"run": first.fingerprint, "name": first.name},
        "other": {"run": second.fingerprint, "name": second.name},
        "level": LEVEL,
        "permutations": PERMUTATIONS,
        "comparisons": {
            name: {
                **asdict(comparison),
                "interval": list(comparison.interval),
                "verdict": comparison.verdict,
                "files": [run.results[name].file for run in (first, second)],
            }
            for name, comparison in compared.items()
        },
    }
    return Finished(0, document)


def _read(run: str, storage: Storage) -> _Run:
    """A run with all predictions kept of it: those of its own evaluation first, else of the last file that has them."""
    fingerprint = run_named(run, storage)
    record = read_record(storage, fingerprint)
    if record is None or record["status"] != "finished":
        raise PlanError([f"{run}: has not finished in {storage.uri}"])
    folder = f"runs/{fingerprint}"
    later = [name for name in storage.list(f"{folder}/evaluations") if name.endswith(".npz")]
    results: dict[str, _Kept] = {}
    for file in [*(f"evaluations/{name}" for name in later), PREDICTIONS]:
        data = storage.read_bytes(f"{folder}/{file}")
        if data is None:
            continue
        document = record["spec"] if file == PREDICTIONS else storage.read_json(f"{folder}/{file.removesuffix('.npz')}.json")
        try:
            found = read_predictions(data)
        except StorageError as error:
            raise StorageError(f"{storage.path(folder, file)}: {error}") from None
        for name, predictions in found.items():
            results[name] = _Kept(file, predictions, _tested_on(name, record["spec"], (document or {}).get("eval", {})))
    if not results:
        workload = workload_of(record)
        if not isinstance(workload, TrainedAlone):
            raise PlanError([f"{run}: is of {workload.name}, whose runs keep no predictions"])
        advice = f"if it finished before these were kept, run `simclr-orch evaluate {fingerprint[:12]}` first"
        raise PlanError([f"{run}: has no predictions in {storage.uri}; {advice}"])
    return _Run(fingerprint, record["name"], results)


def _tested_on(result: str, spec: Mapping[str, Any], evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """What makes the test examples of a result, of its data specification."""
    data = evaluation.get("transfer", {}).get("data", {}) if result.startswith("transfer") else spec.get("data", {})
    fields = ["name", "content"]
    if data.get("test_images") is not None or data.get("name") == "caltech101":  # which has no test set of its own
        fields.append("split_seed")
    return {field: data[field] for field in fields if data.get(field) is not None}


def _compared(one: _Run, other: _Run, results: list[str]) -> dict[str, PairedComparison]:
    """Raises PlanError that names every result whose test examples differ."""
    compared, problems = {}, []
    for name in results:
        try:
            compared[name] = _comparison(one.results[name], other.results[name])
        except PlanError as error:
            problems += [f"{name}: {problem}" for problem in error.problems]
    if problems and compared:
        problems.append(f"ask for a result on the same examples: {', '.join(compared)}")
    if problems:
        raise PlanError(problems)
    return adjusted(compared)


def _comparison(one: _Kept, other: _Kept) -> PairedComparison:
    # Labels alone do not tell: balanced test sets in the order of their classes have the same ones. What only one of the
    # two has decides nothing: a digest of the content is optional, and of a subset as large as the whole no seed matters.
    for field in (field for field in one.data if field in other.data):
        ours, theirs = one.data[field], other.data[field]
        if ours != theirs:
            raise PlanError([f"the two models were tested on different examples: {field} is {ours} and {theirs}"])
    return compare_predictions(one.predictions, other.predictions)


def _print(compared: Mapping[str, PairedComparison], one: _Run, other: _Run, console: Console) -> None:
    console.print(f"A: {one}\nB: {other}", highlight=False, markup=False, soft_wrap=True)
    several = len(compared) > 1
    table = Table(box=None)
    for column in ("accuracy of", "A, %", "B, %", "A - B [95 %]", "only A right", "only B right", "p"):
        table.add_column(column, justify="left" if column == "accuracy of" else "right", overflow="fold")
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
    console.print("Both as they were trained: what other seeds would give is not in this.", highlight=False)


def _sentence(found: PairedComparison) -> str:
    on = f"on the same {found.n} test examples (p = {found.p_holm:.2g})"
    if found.verdict == "tied":
        return f"A and B are tied {on}"
    return f"A is {found.verdict} than B by {abs(found.difference):.2f} points {on}"
