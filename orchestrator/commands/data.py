"""Write an image folder as shards, and check shards.

Progress goes to stderr, the result is lines and a document.
"""

from contextlib import closing
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.commands.consoles import print_line
from orchestrator.commands.result import Finished
from orchestrator.commands.steps import steps
from orchestrator.errors import PlanError
from workloads.datasets.shards.check import Checked, check_shards, written_at
from workloads.datasets.shards.files import ShardFolder
from workloads.datasets.shards.sharding import Sharding, plan_shards
from workloads.datasets.shards.write import forget, write_shards
from workloads.plural import counted
from workloads.spec import SpecError

__all__ = ["check_output", "write_and_check"]

SHOWN = 10


def write_and_check(
    folder: Path,
    output: Path,
    *,
    images_per_shard: int,
    format: str,
    workers: int,
    decodes: bool,
    console: Console,
) -> Finished:
    """Write what is missing of the shards of an image folder, and check all of them.

    Exit code 1 when a file cannot be read or written or is not what was written; run again, the
    command continues. Images that cannot be read are in the shards as they are in the folder; they
    are listed, and the code is 0.
    Raises PlanError or SpecError for a request that cannot be carried out.
    """
    _refuse_idle(workers)

    sharding = plan_shards(folder, output, images_per_shard=images_per_shard, format=format)
    try:
        before = _write(sharding, workers)
        checked = _check(written_at(output), workers, decodes)
        damaged = [one.path for one in checked if one.problem]
        if damaged:
            forget(sharding, damaged)
    except (SpecError, OSError) as error:
        console.print(
            f"{error}\nnot finished; the same command continues",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
        return Finished(
            1, {"folder": str(output), "finished": False, "problems": str(error).splitlines()}
        )

    counts: dict[str, Any] = {"written": len(sharding.files) - before, "written_before": before}
    counts["left_out"] = [str(each) for each in sharding.listing.left_out]
    for line in counts["left_out"]:
        print_line(console, line)
    _tell(checked, output, console)
    if damaged:
        console.print("the same command writes these files anew", highlight=False)
    return Finished(1 if damaged else 0, _document(output, checked) | counts)


def check_output(output: Path, *, workers: int, decodes: bool, console: Console) -> Finished:
    """Check what an earlier call wrote; exit code 1 when a file or an image is not as it should be.

    Raises PlanError or SpecError where there are no shards with a manifest.
    """
    _refuse_idle(workers)

    checked = _check(written_at(output), workers, decodes)
    _tell(checked, output, console)
    is_failed = any(one.problem or one.unreadable for one in checked)
    return Finished(1 if is_failed else 0, _document(output, checked))


def _refuse_idle(workers: int) -> None:
    """Raise PlanError where nobody would work."""
    if workers < 1:
        raise PlanError([f"--workers {workers}: must be at least 1"])


def _write(sharding: Sharding, workers: int) -> int:
    """Write what is missing; return how many of the files were there before."""
    before = 0
    with (
        steps("written", len(sharding.files)) as step,
        closing(write_shards(sharding, workers)) as writing,
    ):
        for written in writing:
            before += written.before
            step(1)
    return before


def _check(folder: ShardFolder, workers: int, decodes: bool) -> list[Checked]:
    """Check the files, and return them in the order of their names."""
    assert folder.manifest is not None
    checked = []
    checking = check_shards(folder, workers, decodes=decodes)
    with steps("checked", len(folder.manifest["shards"])) as step, closing(checking):
        for one in checking:
            checked.append(one)
            step(1)
    return sorted(checked)


def _tell(checked: list[Checked], output: Path, console: Console) -> None:
    """Print what is damaged or cannot be read, and how the shards are used."""
    lines = [f"{output / one.path}: {one.problem}" for one in checked if one.problem]
    unreadable = [f"{output / one.path}: {line}" for one in checked for line in one.unreadable]
    lines += unreadable[:SHOWN]
    if len(unreadable) > SHOWN:
        lines.append(f"and {len(unreadable) - SHOWN} more images that cannot be read")

    images = sum(one.images for one in checked)
    ended = f"{counted(images, 'image')} in {counted(len(checked), 'file')}"
    if unreadable:
        ended += (
            f", of which {len(unreadable):,} cannot be read "
            f"(data.allow_unreadable={len(unreadable)} leaves them out)"
        )

    lines.append(f"{ended}; use them with --set data.name=shards --set data.root={output}")
    for line in lines:
        print_line(console, line)


def _document(output: Path, checked: list[Checked]) -> dict[str, Any]:
    return {
        "folder": str(output),
        "finished": True,
        "files": len(checked),
        "images": sum(one.images for one in checked),
        "damaged": {one.path: one.problem for one in checked if one.problem},
        "unreadable": {one.path: list(one.unreadable) for one in checked if one.unreadable},
    }
