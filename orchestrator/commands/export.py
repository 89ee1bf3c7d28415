"""Write a run's encoder as files that others load, into a folder of this machine."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.commands.result import Finished
from orchestrator.errors import PlanError
from orchestrator.storage import Storage
from orchestrator.storage.runs import finished_record, last_state, later_evaluations, workload_of
from workloads.catalog.weights import (
    CARD,
    FILES,
    FORMATS,
    CardResult,
    ExportFormat,
    RunSpec,
    exported,
)

__all__ = ["export_run"]

OWN = "at the end of training"


def export_run(run: str, format: str, output: Path, storage: Storage, console: Console) -> Finished:
    """The encoder of a finished run in one format, with its card, into the folder `output`.

    Raises PlanError for a run or folder that cannot serve, SpecError for an encoder that the format
    cannot hold.
    """
    chosen = _format_named(format)
    fingerprint, record = finished_record(run, storage)
    workload = workload_of(record)
    if workload.name != "simclr":
        raise PlanError([f"{run}: is of {workload.name}, whose runs keep no encoder"])
    state = last_state(fingerprint, storage)
    _refuse_foreign(output, chosen, fingerprint)
    published = record["weights"]["from"] if "weights" in record else None
    spec = RunSpec.read(record["spec"])
    files = exported(
        state, spec, chosen, _results(record, storage), run=fingerprint, published=published
    )
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (output / name).write_bytes(content)
    except OSError as error:
        raise PlanError([f"--output {output}: cannot be written ({error})"]) from None
    console.print(
        f"{record['name']} ({fingerprint[:12]}) as {chosen}:", highlight=False, markup=False
    )
    for name, content in files.items():
        console.print(
            f"{output / name}  {_size(content)}", highlight=False, markup=False, soft_wrap=True
        )
    console.print(f"{CARD} says how to load it.", highlight=False)
    sizes = {name: len(content) for name, content in files.items()}
    return Finished(
        0, {"run": fingerprint, "format": chosen, "folder": str(output.resolve()), "bytes": sizes}
    )


def _format_named(name: str) -> ExportFormat:
    for format in FORMATS:
        if format == name:
            return format
    raise PlanError([f"--format {name}: no such format; known are {', '.join(FORMATS)}"])


def _results(record: Mapping[str, Any], storage: Storage) -> list[CardResult]:
    """Those of the run's own evaluation, then of all that came later; where protocol and data do
    not tell two, by file.
    """
    later = later_evaluations(record["fingerprint"], storage)
    protocols = {name: _protocol(document) for name, document in later.items()}
    times = Counter(protocols.values())
    rows = _rows(record, OWN)
    for name, document in later.items():
        protocol = protocols[name]
        rows += _rows(document, f"{protocol} ({name})" if times[protocol] > 1 else protocol)
    return rows


def _protocol(document: Mapping[str, Any]) -> str:
    """By which an evaluation was made, and on which data where that may be another than the
    run's.
    """
    protocol: str = document["protocol"]
    if not protocol.startswith("transfer"):
        return protocol
    data = document.get("data", document["eval"]["transfer"]["data"])
    return f"{protocol} on {data['name']}"


def _rows(found: Mapping[str, Any], protocol: str) -> list[CardResult]:
    intervals = found.get("intervals", {})
    return [
        CardResult(name, value, tuple(intervals[name]) if name in intervals else None, protocol)
        for name, value in found["results"].items()
    ]


def _refuse_foreign(output: Path, format: ExportFormat, fingerprint: str) -> None:
    """Only a folder that is empty or holds an earlier export of the same run in the same format is
    written into.
    """
    if not output.exists():
        return
    if not output.is_dir():
        raise PlanError([f"--output {output}: is not a folder"])
    there, card = sorted(path.name for path in output.iterdir()), output / CARD
    if foreign := [name for name in there if name not in (CARD, FILES[format])]:
        raise PlanError(
            [
                f"--output {output}: holds something else ({', '.join(foreign[:5])}); name a new "
                "folder"
            ]
        )
    if there and not (
        card.is_file() and f"from run `{fingerprint}`" in card.read_text(errors="replace")
    ):
        raise PlanError([f"--output {output}: holds another encoder; name a new folder"])


def _size(content: bytes) -> str:
    return f"{len(content) / 1e6:.1f} MB" if len(content) >= 1e5 else f"{len(content) / 1e3:.1f} kB"
