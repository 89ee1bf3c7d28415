"""What one shard holds, and how it is to be read."""

from dataclasses import dataclass
from typing import NamedTuple

from workloads.datasets.shards.labels import Label
from workloads.inventory import LeftOut

__all__ = ["Asked", "Contents", "Member"]


class Member(NamedTuple):
    """An image of a shard: where its bytes are, what it is called there, and its label.

    A name is bytes, as tar and Parquet have them. The label is None where labels are not read.
    """

    offset: int
    length: int
    name: bytes
    label: Label | None


@dataclass(frozen=True)
class Asked:
    """The columns, or the endings of names in tar files, that are images and labels.

    None is what is known (`workloads.datasets.shards.labels`). Without `labelled` no label is read,
    and none is missed.
    """

    image_column: str | None = None
    label_column: str | None = None
    labelled: bool = True


@dataclass(frozen=True)
class Contents:
    """The images of a shard, what in it is left out, and what else there is to say of it.

    `classes` are the names of the labels 0, 1, ..., where the file has them.
    """

    members: list[Member]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
