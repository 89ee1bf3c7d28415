"""The files in a tar file, each with the place of its bytes; none is passed over in silence."""

import posixpath
import tarfile
from typing import BinaryIO, NamedTuple

from workloads.datasets.shards.tally import Tally
from workloads.inventory import shown

__all__ = ["Entry", "entries_of"]

BLOCK = tarfile.BLOCKSIZE
CHUNK = 1 << 20
TEXTS = (".cls", ".class", ".label", ".json", ".txt")
SMALL = 4 << 10


class Entry(NamedTuple):
    """A file of the tar: its name, where bytes that are not UTF-8 are surrogates, and its place."""

    name: str
    offset: int
    size: int


def entries_of(file: BinaryIO, texts: dict[str, bytes], tally: Tally) -> list[Entry]:
    """List the files of a tar, links among them resolved; folders are none.

    What cannot be a sample goes into the tally, and the bytes of small texts into `texts`, so that
    a file in an object store is not read once more for them. Tar files that were put one after the
    other are read as one. Raises ValueError for a damaged one, or tarfile's own errors.
    """
    found, links = dict[str, Entry](), list[tarfile.TarInfo]()
    start: int | None = 0
    while start is not None:
        start = _after(file, _read(file, start, found, links, texts, tally), tally)
    for link in links:
        _resolve(link, found, tally)
    return list(found.values())


def _read(
    file: BinaryIO,
    start: int,
    found: dict[str, Entry],
    links: list[tarfile.TarInfo],
    texts: dict[str, bytes],
    tally: Tally,
) -> int:
    """Read the tar that begins at `start`; where it ends."""
    size = file.seek(0, 2)
    file.seek(start)
    with tarfile.open(
        fileobj=file, mode="r:", encoding="utf-8", errors="surrogateescape"
    ) as archive:
        for member in archive:
            name = shown(member.name)
            if member.isdir():
                continue
            if member.islnk() or member.issym():
                links.append(member)
            elif not member.isreg():
                tally.add("entries that are no files", name)
            elif posixpath.basename(member.name).startswith("."):
                tally.add("hidden files", name)
            else:
                _add(file, _entry(member, size), found, texts, tally)
        return archive.offset


def _entry(member: tarfile.TarInfo, size: int) -> Entry:
    if member.issparse():
        raise ValueError(
            f"{shown(member.name)}: is stored with holes; write the tar without --sparse"
        )
    if member.offset_data + member.size > size:
        raise ValueError(f"{shown(member.name)}: is cut off")
    return Entry(member.name, member.offset_data, member.size)


def _add(
    file: BinaryIO, entry: Entry, found: dict[str, Entry], texts: dict[str, bytes], tally: Tally
) -> None:
    first = found.setdefault(entry.name, entry)
    if first is not entry:
        if _bytes(file, first) != _bytes(file, entry):
            raise ValueError(f"{shown(entry.name)}: is there twice, with other bytes")
        tally.add("members that are there twice", shown(entry.name))
    elif entry.size <= SMALL and entry.name.lower().endswith(TEXTS):
        texts[entry.name] = _bytes(file, entry)


def _bytes(file: BinaryIO, entry: Entry) -> bytes:
    at = file.tell()
    file.seek(entry.offset)
    data = file.read(entry.size)
    file.seek(at)
    return data


def _after(file: BinaryIO, end: int, tally: Tally) -> int | None:
    """Where another tar begins after the end of one, None without any.

    tarfile ends without a word at the first block that is no header. Raises ValueError there.
    """
    file.seek(end)
    block = file.read(BLOCK)
    if any(block):
        raise ValueError(f"is damaged or cut off at byte {end}: no member begins there")
    if not block:
        tally.notes.append("tar files without the empty blocks that end one, perhaps cut off")
    at = end + len(block)
    while chunk := file.read(CHUNK):
        if any(chunk):
            first = at + next(place for place, byte in enumerate(chunk) if byte)
            return first - first % BLOCK
        at += len(chunk)
    return None


def _resolve(link: tarfile.TarInfo, found: dict[str, Entry], tally: Tally) -> None:
    target = link.linkname
    if link.issym():
        target = posixpath.join(posixpath.dirname(link.name), target)
    plain = {target, posixpath.normpath(target), f"./{posixpath.normpath(target)}"}
    entry = next((found[name] for name in plain if name in found), None)
    if posixpath.basename(link.name).startswith("."):
        tally.add("hidden files", shown(link.name))
    elif entry is None:
        tally.add("links to what is not in the shard", shown(link.name))
    else:
        found[link.name] = Entry(link.name, entry.offset, entry.size)
