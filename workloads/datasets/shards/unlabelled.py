"""Shards without labels: which these are, found by their layout or by what lies beside images.

Nothing is decoded, and of a shard that has labels little more is read than up to the first one.
"""

import lzma
import tarfile
import zlib
from typing import BinaryIO

from workloads.datasets.shards.archives import unpacked
from workloads.datasets.shards.files import Shard, ShardFolder, shards_at
from workloads.datasets.shards.labels import label_in_json
from workloads.datasets.shards.pairing import RANKS
from workloads.datasets.shards.tables import has_labels
from workloads.datasets.spec import DataSpec
from workloads.inventory import shown
from workloads.spec import SpecError

__all__ = ["found_at", "refuse_labels"]

UNUSED_PARTS = "shards of parts that are not used"
UNREADABLE = (OSError, ValueError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error)


def found_at(spec: DataSpec, root: str) -> tuple[ShardFolder, tuple[str, ...]]:
    """List the shards below `root`, and say why they are without labels if they are.

    They are where `data.labels` says so, where there is no part for tests, and where the first
    shard of each part has none (`refuse_labels` looks at the others). Raises SpecError as
    `shards_at` does.
    """
    if spec.labels == "none":
        why = ("data.labels='none': says that there are none",)
        return shards_at(root, labelled=False), why
    try:
        folder = shards_at(root)
    except SpecError as error:
        return _without_tests(root, error), tuple(error.problems)
    if spec.label_column is not None or _begins_labelled(spec, folder):
        return folder, ()
    paths = f"{shown(folder.train[0].path)} and {shown(folder.test[0].path)}"
    why = (
        f"data.root={shown(root)!r}: no image of {paths} has a label that is known "
        "(data.label_column says how labels are called)",
    )
    return shards_at(root, labelled=False), why


def refuse_labels(spec: DataSpec, folder: ShardFolder) -> None:
    """Raise SpecError where some shards have labels, others none, and the specification is silent.

    Without a part for tests, labels are no matter.
    """
    if spec.labels == "none" or not any(each.reason == UNUSED_PARTS for each in folder.left_out):
        return
    labelled = [shard for shard in folder.train if _labelled(spec, folder, shard)]
    if labelled:
        raise SpecError(
            [
                f"{shown(folder.root)}: some images have labels, such as those of "
                f"{shown(labelled[0].path)}, and others none, such as those of the first "
                "shard; data.labels='none' trains on all without"
            ]
        )


def _without_tests(root: str, error: SpecError) -> ShardFolder:
    """The shards for training, where there are no others; raises `error` elsewhere."""
    try:
        folder = shards_at(root, labelled=False)
    except SpecError:
        raise error from None
    if any(each.reason == UNUSED_PARTS for each in folder.left_out):
        raise error
    return folder


def _begins_labelled(spec: DataSpec, folder: ShardFolder) -> bool:
    """Tell whether the first shard of a part that is not empty has labels, or cannot be read.

    What cannot be read is said when it is indexed.
    """
    for shards in (folder.train, folder.test):
        try:
            found = (_has_labels(spec, folder, shard) for shard in shards)
            if next((has for has in found if has is not None), True):
                return True
        except UNREADABLE:
            return True
    return False


def _labelled(spec: DataSpec, folder: ShardFolder, shard: Shard) -> bool:
    try:
        return bool(_has_labels(spec, folder, shard))
    except UNREADABLE:
        return False  # which is said when it is indexed


def _has_labels(spec: DataSpec, folder: ShardFolder, shard: Shard) -> bool | None:
    """Whether a shard has a label; None where nothing is in it."""
    with folder.open(shard) as file:
        start = file.read(6)
        file.seek(0)
        if start.startswith(b"PAR1"):
            return has_labels(file, spec.image_column)
        return _in_tar(file, start)


def _in_tar(file: BinaryIO, start: bytes) -> bool | None:
    is_empty = True
    with unpacked(file, start) as tar, _opened(tar) as archive:
        for member in archive:
            name = member.name.rpartition("/")[2].lower()
            if name.startswith(".") or not member.isfile():
                continue
            is_empty = False
            ending = next((rank for rank in RANKS if name.endswith(f".{rank}")), None)
            if ending is None:
                continue
            if ending != "json":
                return True
            opened = archive.extractfile(member)
            assert opened is not None
            if label_in_json(opened.read(), shown(member.name), None) is not None:
                return True
    return None if is_empty else False


def _opened(file: BinaryIO) -> tarfile.TarFile:
    """A tar file whose images are skipped where that can be done, and else read."""
    if file.seekable():
        return tarfile.open(fileobj=file, mode="r:")
    return tarfile.open(fileobj=file, mode="r|")
