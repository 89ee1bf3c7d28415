"""Shards that were written, checked against their manifest."""

import threading
from collections.abc import Generator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from workloads.datasets.reading import Reading
from workloads.datasets.shards.files import MANIFEST, Shard, ShardFolder, shards_at
from workloads.datasets.shards.scanning import scan
from workloads.datasets.shards.sharding import Entries, entry_of
from workloads.datasets.shards.threads import in_threads
from workloads.spec import SpecError

__all__ = ["Checked", "check_shards", "written_at"]


# Whether an image is sound does not depend on which bands of it will be used.
ANY_BANDS = Reading(channels=(1, 1, 1))


class Checked(NamedTuple):
    """A file of the output, how it differs from what was written, or '', and unreadable images."""

    path: str
    images: int
    problem: str
    unreadable: tuple[str, ...] = ()


def written_at(output: Path) -> ShardFolder:
    """Read what an earlier call has written.

    Raises SpecError for an output without a manifest, or an unfinished one.
    """
    try:
        folder = shards_at(str(output))
    except SpecError as error:
        named = f"data.root={str(output)!r}"  # as it is called where shards are loaded
        raise SpecError(
            [problem.replace(named, str(output)) for problem in error.problems]
        ) from None
    if folder.manifest is None:
        raise SpecError([f"{output}: has no {MANIFEST} of shards, which they are checked against"])
    return folder


def check_shards(folder: ShardFolder, workers: int, *, decodes: bool) -> Generator[Checked]:
    """Check that each file is what the manifest says, and find its unreadable images.

    That is the bytes of the file and how many images it has. Images are read by their headers, or
    with `decodes` decoded.
    """
    assert folder.manifest is not None
    entries: Entries = folder.manifest["shards"]
    extra = [shard.path for shard in (*folder.train, *folder.test) if shard.path not in entries]
    yield from (Checked(path, 0, "is not in the manifest") for path in extra)
    checking = partial(_check, folder, entries, decodes)
    yield from (checked for _, checked in in_threads(workers, list(entries), checking))


def _check(
    folder: ShardFolder,
    entries: Entries,
    decodes: bool,
    name: str,
    _stop: threading.Event,
) -> Checked:
    written, path = entries[name], Path(folder.root) / name
    images = written["images"]
    try:
        found = entry_of(path, images)
    except OSError as error:
        return Checked(name, images, f"cannot be read ({error.strerror})")
    if found != written:
        return Checked(name, images, "its bytes are not those that were written")

    with TemporaryDirectory() as scratch:
        shard = Shard(name, found["bytes"])
        scanned = scan(folder, shard, Path(scratch) / "images", ANY_BANDS, decodes=decodes)
    if len(scanned.members) != images:
        return Checked(name, images, f"has {len(scanned.members)} images, and not {images}")

    unreadable = []
    for member, seen in zip(scanned.members, scanned.seen, strict=True):
        if seen.reason:
            unreadable.append(f"{member.name.decode(errors='backslashreplace')}: {seen.reason}")
    return Checked(name, images, "", tuple(unreadable))
