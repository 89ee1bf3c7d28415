"""Features of somebody's own images, by a run of the storage or by weights from elsewhere."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.commands.evaluate import Question
from orchestrator.commands.feature_tables import ENDINGS, FeatureTable, Rows, about_file
from orchestrator.commands.request import base_recipe
from orchestrator.commands.result import Finished
from orchestrator.commands.steps import steps
from orchestrator.errors import PlanError
from orchestrator.provenance import git_commit
from orchestrator.storage import Storage
from orchestrator.storage.runs import finished_record, last_state
from workloads.catalog import every_workload, workload_named
from workloads.distributed.worker import Worker
from workloads.facts import Embedding
from workloads.workload import EmbedsImages, Specification, State
from workloads.written import read_assignments

__all__ = ["EmbedRequest", "embed"]

SHOWN = 10


@dataclass(frozen=True)
class EmbedRequest:
    """A wish for the features of the images below `folder`, written into the file `output`.

    `subject` is a run or weights, as `Question` has it, and so are the fields that weights need.
    """

    subject: str
    folder: str
    output: Path
    projection: bool = False
    assignments: tuple[str, ...] = ()
    preset: str | None = None
    config: Path | None = None
    prefix: str | None = None
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Encoder:
    """A trained state, and what it is: its name for people, and where it comes from."""

    name: str
    workload: EmbedsImages[Any]
    spec: Specification
    state: State
    reading: Mapping[str, Any]
    origin: dict[str, Any]


@dataclass
class _Outcome:
    """What has become of the images so far."""

    written: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)


def embed(request: EmbedRequest, storage: Storage, console: Console) -> Finished:
    """Write the features of all images of a folder that can be read, in the order of their names.

    What is left out is printed with its count. Exit code 1, and no file, where no image can be
    read or the encoder's features are not finite. Raises PlanError or SpecError for a request that
    cannot be met, before anything is read.
    """
    _refuse_output(request.output)
    encoder = _of_weights(request, console) if _is_weights(request) else _of_run(request, storage)
    embedding = encoder.workload.embed(
        encoder.spec,
        encoder.state,
        request.folder,
        Worker.here(),
        projection=request.projection,
        reading=encoder.reading,
    )
    for line in embedding.left_out:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    about = _about(request, encoder, embedding)
    outcome = _Outcome()
    with closing(_rows(embedding, outcome)) as rows:
        try:
            width = FeatureTable(request.output, about).write(rows)
        except OSError as error:
            raise PlanError([f"--output {request.output}: cannot be written ({error})"]) from None
        except encoder.workload.divergence as error:
            console.print(
                f"{encoder.name}: {error}",
                style="red",
                highlight=False,
                soft_wrap=True,
                markup=False,
            )
            return Finished(1, {"output": None, "error": str(error), "about": about})

    _tell(request, encoder, outcome, width, console)
    return Finished(
        0 if outcome.written else 1,
        {
            "output": str(request.output.resolve()) if outcome.written else None,
            "images": outcome.written,
            "dimensions": width,
            "unreadable": outcome.unreadable,
            "left_out": list(embedding.left_out),
            "about": about,
        },
    )


def _refuse_output(output: Path) -> None:
    """Raise PlanError for a file that is there, or of no known kind, or that has no folder."""
    if output.suffix.lower() not in ENDINGS:
        raise PlanError([f"--output {output}: must end in {', '.join(ENDINGS)}"])
    for path in (output, about_file(output)):
        if path.exists() and (path == output or output.suffix.lower() == ".csv"):
            raise PlanError([f"--output {path}: is there already, and is not overwritten"])
    if not output.resolve().parent.is_dir():
        raise PlanError([f"--output {output}: there is no folder {output.resolve().parent}"])


def _is_weights(request: EmbedRequest) -> bool:
    return Question(request.subject).is_of_weights


def _of_run(request: EmbedRequest, storage: Storage) -> _Encoder:
    run = request.subject
    if len(Path(run).parts) > 1:
        raise PlanError([f"{run}: no such file"])
    given = {
        "--preset": request.preset,
        "--config": request.config,
        "--weights-prefix": request.prefix,
        "--weights-ignore": request.ignore,
    }
    if said := [option for option, value in given.items() if value]:
        raise PlanError(
            [f"{', '.join(said)}: for weights from elsewhere; {run} has its own specification"]
        )
    record = finished_record(run, storage)
    workload = workload_named(record.workload)
    if not isinstance(workload, EmbedsImages):
        raise PlanError([f"{run}: is of {workload.name}, whose runs keep no encoder of images"])
    spec = workload.read(record.spec)
    reading, others = _assigned(workload, request)
    if others:
        some = ", ".join(workload.read_by)
        raise PlanError([f"--set {one}: of a run only {some} can be set" for one in others])
    state = last_state(record.fingerprint, storage)
    origin: dict[str, Any] = {"run": record.fingerprint, "name": record.name}
    if record.weights is not None:
        origin["weights"] = record.weights["from"]
    return _Encoder(record.name, workload, spec, state, reading, origin)


def _of_weights(request: EmbedRequest, console: Console) -> _Encoder:
    source = request.subject
    if not (request.preset or request.config):
        raise PlanError([f"{source}: --preset or --config says which encoder it is of"])
    takers = [one for one in every_workload() if isinstance(one, EmbedsImages)]
    workload = next((one for one in takers if request.preset in one.presets), takers[0])
    reading, others = _assigned(workload, request)
    spec = base_recipe(workload, request.preset, request.config, others)
    state, notes = workload.state_from(source, spec, prefix=request.prefix, ignore=request.ignore)
    for note in notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    origin = {"weights": source, "notes": list(notes)}
    return _Encoder(source, workload, spec, state, reading, origin)


def _assigned(
    workload: EmbedsImages[Any], request: EmbedRequest
) -> tuple[dict[str, Any], list[str]]:
    """Which fields say how the images are read, with their values, and the other assignments."""
    others = [
        one for one in request.assignments if one.partition("=")[0].strip() not in workload.read_by
    ]
    of_reading = [one for one in request.assignments if one not in others]
    fields = type(next(iter(workload.presets.values()))())
    return read_assignments(of_reading, fields), others


def _rows(embedding: Embedding, outcome: _Outcome) -> Generator[Rows]:
    """The rows of the table, with what becomes of the images told to `outcome`."""
    with steps("embedded", embedding.images, "images") as step:
        for block in embedding.blocks:
            outcome.unreadable |= block.unreadable
            outcome.written += len(block.names)
            step(len(block.names) + len(block.unreadable))
            if block.features is not None:
                yield block.names, block.features


def _about(request: EmbedRequest, encoder: _Encoder, embedding: Embedding) -> dict[str, Any]:
    """Where the features come from, as the file says it."""
    return {
        **encoder.origin,
        **embedding.about,
        "folder": str(Path(request.folder).expanduser().resolve()),
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "simclr-orch": version("simclr-orch"),
        "commit": git_commit(),
    }


def _tell(
    request: EmbedRequest, encoder: _Encoder, outcome: _Outcome, width: int, console: Console
) -> None:
    lines: list[str] = []
    if outcome.unreadable:
        lines.append(f"left out, cannot be read: {len(outcome.unreadable):,} images")
        lines += _first(outcome.unreadable)
    if outcome.written:
        lines.append(
            f"{request.output}: {outcome.written:,} images, {width} features each, by "
            f"{encoder.name}"
        )
    else:
        lines.append(f"{request.output}: not written, for no image can be read")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _first(unreadable: dict[str, str]) -> Sequence[str]:
    lines = [f"  {name}: {reason}" for name, reason in list(unreadable.items())[:SHOWN]]
    more = len(unreadable) - SHOWN
    return [*lines, f"  and {more:,} more"] if more > 0 else lines
