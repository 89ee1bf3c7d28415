"""Write a run's encoder as files that others load, into a folder of this machine."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from rich.console import Console

from orchestrator.commands.consoles import print_line
from orchestrator.commands.result import Finished
from orchestrator.errors import PlanError
from orchestrator.run_record import EvaluationRecord, Metrics, RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder, finished_record, last_state
from workloads.catalog import every_workload, workload_named
from workloads.evaluation_result import CardResult
from workloads.spelling import did_you_mean
from workloads.workload import TrainedAlone

__all__ = ["export_run"]

OWN = "at the end of training"


def export_run(run: str, format: str, output: Path, storage: Storage, console: Console) -> Finished:
    """Write the encoder of a finished run, and its card, into the folder `output`.

    Raises PlanError for a format, run or folder that cannot serve, SpecError for an encoder that
    the format cannot hold.
    """
    _check_format(format)
    record = finished_record(run, storage)
    fingerprint, workload = record.fingerprint, workload_named(record.workload)
    weights = workload.weights if isinstance(workload, TrainedAlone) else None
    if weights is None:
        raise PlanError([f"{run}: is of {workload.name}, whose runs keep no encoder"])
    if format not in weights.files:
        raise PlanError([f"--format {format}: is not for {run} of {workload.name}"])

    state = last_state(fingerprint, storage)
    _refuse_foreign(output, {weights.card, weights.files[format]}, weights.card, fingerprint)
    files = weights.write(
        state,
        workload.read(record.spec),
        format,
        _results(record, storage),
        run=fingerprint,
        published=None if record.weights is None else record.weights["from"],
    )

    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (output / name).write_bytes(content)
    except OSError as error:
        raise PlanError([f"--output {output}: cannot be written ({error})"]) from None

    console.print(f"{record.name} ({fingerprint[:12]}) as {format}:", highlight=False, markup=False)
    for name, content in files.items():
        print_line(console, f"{output / name}  {_size(content)}")
    console.print(f"{weights.card} says how to load it.", highlight=False)
    sizes = {name: len(content) for name, content in files.items()}
    return Finished(
        0, {"run": fingerprint, "format": format, "folder": str(output.resolve()), "bytes": sizes}
    )


def _check_format(name: str) -> None:
    """Raise PlanError for a format that no workload writes."""
    known: dict[str, str] = {}
    for workload in every_workload():
        if isinstance(workload, TrainedAlone) and workload.weights is not None:
            known |= workload.weights.files
    if name not in known:
        hint = did_you_mean(name, known)
        raise PlanError([f"--format {name}: no such format; known are {', '.join(known)}{hint}"])


def _results(record: RunRecord, storage: Storage) -> list[CardResult]:
    """The results of the run's own evaluation, then those of all that came later.

    Where protocol and data do not tell two evaluations apart, their files do.
    """
    later = RunFolder(storage, record.fingerprint).evaluations()
    protocols = {name: _protocol(evaluation) for name, evaluation in later.items()}
    times = Counter(protocols.values())
    rows = _rows(record.results, record.intervals or {}, OWN)
    for name, evaluation in later.items():
        protocol = protocols[name]
        if times[protocol] > 1:
            protocol = f"{protocol} ({name})"
        rows += _rows(evaluation.results, evaluation.intervals, protocol)
    return rows


def _protocol(evaluation: EvaluationRecord) -> str:
    """By which an evaluation was made, and on which data where it may be another than the run's."""
    if not evaluation.protocol.startswith("transfer"):
        return evaluation.protocol
    data = evaluation.data or evaluation.settings["transfer"]["data"]
    return f"{evaluation.protocol} on {data['name']}"


def _rows(
    results: Metrics, intervals: Mapping[str, Sequence[float]], protocol: str
) -> list[CardResult]:
    rows = []
    for name, value in results.items():
        interval = None
        if name in intervals:
            low, high = intervals[name]
            interval = (low, high)
        rows.append(CardResult(name, value, interval, protocol))
    return rows


def _refuse_foreign(output: Path, own: Set[str], card: str, fingerprint: str) -> None:
    """Raise PlanError for a folder with anything but an earlier export of the run in the format."""
    if not output.exists():
        return
    if not output.is_dir():
        raise PlanError([f"--output {output}: is not a folder"])

    there = sorted(path.name for path in output.iterdir())
    if foreign := [name for name in there if name not in own]:
        some = ", ".join(foreign[:5])
        raise PlanError([f"--output {output}: holds something else ({some}); name a new folder"])
    if there and not _is_of_run(output / card, fingerprint):
        raise PlanError([f"--output {output}: holds another encoder; name a new folder"])


def _is_of_run(card: Path, fingerprint: str) -> bool:
    return card.is_file() and f"from run `{fingerprint}`" in card.read_text(errors="replace")


def _size(content: bytes) -> str:
    return f"{len(content) / 1e6:.1f} MB" if len(content) >= 1e5 else f"{len(content) / 1e3:.1f} kB"
