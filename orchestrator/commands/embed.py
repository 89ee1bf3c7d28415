"""Features of somebody's own images, by a run of the storage or by weights from elsewhere."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.commands.consoles import print_line
from orchestrator.commands.encoders import AskedEncoder, EncoderRequest, encoder_asked_for
from orchestrator.commands.feature_tables import ENDINGS, FeatureTable, Rows, about_file
from orchestrator.commands.result import Finished
from orchestrator.commands.steps import steps
from orchestrator.errors import PlanError
from orchestrator.provenance import git_commit
from orchestrator.storage import Storage
from workloads.distributed.worker import Worker
from workloads.facts import Embedding
from workloads.plural import counted

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

    @property
    def encoder(self) -> EncoderRequest:
        """The encoder that is asked for."""
        return EncoderRequest(
            self.subject, self.assignments, self.preset, self.config, self.prefix, self.ignore
        )


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
    encoder = encoder_asked_for(request.encoder, storage)
    for note in encoder.notes:
        print_line(console, note)
    embedding = encoder.workload.embed(
        encoder.spec,
        encoder.state,
        request.folder,
        Worker.here(),
        projection=request.projection,
        reading=encoder.reading,
    )
    for line in embedding.left_out:
        print_line(console, line)

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


def _rows(embedding: Embedding, outcome: _Outcome) -> Generator[Rows]:
    """The rows of the table, with what becomes of the images told to `outcome`."""
    with steps("embedded", embedding.images, "images") as step:
        for block in embedding.blocks:
            outcome.unreadable |= block.unreadable
            outcome.written += len(block.names)
            step(len(block.names) + len(block.unreadable))
            if block.features is not None:
                yield block.names, block.features


def _about(request: EmbedRequest, encoder: AskedEncoder, embedding: Embedding) -> dict[str, Any]:
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
    request: EmbedRequest, encoder: AskedEncoder, outcome: _Outcome, width: int, console: Console
) -> None:
    lines: list[str] = []
    if outcome.unreadable:
        lines.append(f"left out, cannot be read: {counted(len(outcome.unreadable), 'image')}")
        lines += _first(outcome.unreadable)
    if outcome.written:
        lines.append(
            f"{request.output}: {outcome.written:,} images, {width} features each, by "
            f"{encoder.name}"
        )
    else:
        lines.append(f"{request.output}: not written, for no image can be read")
    for line in lines:
        print_line(console, line)


def _first(unreadable: dict[str, str]) -> Sequence[str]:
    lines = [f"  {name}: {reason}" for name, reason in list(unreadable.items())[:SHOWN]]
    more = len(unreadable) - SHOWN
    return [*lines, f"  and {more:,} more"] if more > 0 else lines
