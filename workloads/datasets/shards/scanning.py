"""The images of one shard, each looked at: can it be read, is it grey, what is there to say."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from workloads.datasets.pixels import Decoded, decode, glance
from workloads.datasets.reading import Reading
from workloads.datasets.shards.archives import members_of
from workloads.datasets.shards.contents import Asked, Contents, Member
from workloads.datasets.shards.files import Shard, ShardFolder
from workloads.inventory import shown
from workloads.spec import SpecError

__all__ = ["Scanned", "scan"]

HEADER = 4 << 10  # bytes of an image in which its header usually lies
THUMBNAIL = 32  # side in pixels; of images that are decoded only to see whether they can be


@dataclass(frozen=True)
class Scanned:
    """What a shard holds, and what is known of each of its images: its pixels are None."""

    contents: Contents
    seen: list[Decoded]

    @property
    def members(self) -> list[Member]:
        """Return the images."""
        return self.contents.members


def scan(
    folder: ShardFolder,
    shard: Shard,
    copy: Path,
    reading: Reading,
    *,
    decodes: bool,
    asked: Asked | None = None,
) -> Scanned:
    """Read the header of each image of a shard, or with `decodes` the whole image.

    Images of more than 8 bits are always decoded, for the range of their values.

    `copy` is as in `members_of`. Raises SpecError for a file that is no such shard or cannot be
    read.
    """
    try:
        with folder.open(shard) as file:
            contents = members_of(file, copy, asked or Asked())
            if not copy.exists():
                return _glanced_at(file, contents, reading, decodes)
        with copy.open("rb") as file:
            return _glanced_at(file, contents, reading, decodes)
    except (OSError, ValueError) as error:
        where = f"{shown(folder.root)}/{shown(shard.path)}"
        raise SpecError([f"{where}: {shown(' '.join(str(error).split()))}"]) from error


def _glanced_at(file: BinaryIO, contents: Contents, reading: Reading, decodes: bool) -> Scanned:
    seen = []
    for member in contents.members:

        def whole(member: Member = member) -> bytes:
            file.seek(member.offset)
            return file.read(member.length)

        if decodes:
            one = decode(whole(), THUMBNAIL, reading)
        else:
            file.seek(member.offset)
            is_whole = member.length <= HEADER
            one = glance(file.read(min(member.length, HEADER)), reading, is_whole=is_whole)
            if one.reason and not is_whole:
                one = glance(whole(), reading)
            if one.is_deep:
                one = decode(whole(), THUMBNAIL, reading)
        seen.append(one._replace(pixels=None))
    return Scanned(contents, seen)
