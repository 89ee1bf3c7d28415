"""Where the images of a shard lie in its file, so that each can be read by itself later.

A tar shard in the layout of WebDataset has members KEY.jpg (or another kind of image) and KEY.cls,
a number or the name of a class, or KEY.json with a field `label` or `cls`; KEY is all before the
first dot of the last part of a path. A Parquet shard has columns `image` (bytes, or a struct that
has a field `bytes`) and `label`, and may have `key`. Parquet keeps the bytes of an image in one
piece only where its pages are neither compressed nor encoded; elsewhere they are copied.
"""

import json
import tarfile
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from workloads.datasets.image_files import image_endings

__all__ = ["ENDINGS", "Member", "members_of"]

ENDINGS = (".tar", ".parquet")
LENGTH_BYTES = 4  # Parquet's plain encoding puts the length of a value before it
NEAR = 64  # bytes of an image that are searched for before the rest is compared

Label = int | str


class Member(NamedTuple):
    """An image of a shard: where its bytes are, what it is called there, and its label."""

    offset: int
    length: int
    name: str
    label: Label


def members_of(file: BinaryIO, copy: Path) -> list[Member]:
    """Find the images of the shard in `file`, by their offsets there or in `copy`.

    `copy` is created where images do not lie in the file as they are. Raises ValueError for a file
    that is no such shard, OSError where one cannot be read or written.
    """
    start = file.read(4)
    file.seek(0)
    try:
        return _of_parquet(file, copy) if start == b"PAR1" else _of_tar(file)
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"is no tar file, or a damaged one: {error}") from error


def _of_tar(file: BinaryIO) -> list[Member]:
    images: dict[str, tuple[int, int, str]] = {}
    labels: dict[str, Label] = {}
    size = file.seek(0, 2)
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            if not member.isreg():
                continue
            folder, slash, base = member.name.rpartition("/")
            stem, _, ending = base.partition(".")
            key = folder + slash + stem

            if member.offset_data + member.size > size:
                raise ValueError(f"{member.name}: is cut off")
            if f".{ending.lower()}" in image_endings():
                if key in images:
                    raise ValueError(f"{key}: has two images, {images[key][2]} and {member.name}")
                images[key] = member.offset_data, member.size, member.name
            elif ending in ("cls", "json") and (ending == "cls" or key not in labels):
                file.seek(member.offset_data)
                labels[key] = _label(file.read(member.size), ending, member.name)

    if lacking := [name for key, (_, _, name) in images.items() if key not in labels]:
        raise ValueError(
            f"{lacking[0]}: has no label beside it (.cls, or .json with label); {len(lacking)} "
            "lack one"
        )
    return [Member(*image, labels[key]) for key, image in images.items()]


def _label(data: bytes, ending: str, name: str) -> Label:
    text: Any = data.decode(errors="replace").strip()
    if ending == "json":
        try:
            tree = json.loads(text)
        except ValueError:
            raise ValueError(f"{name}: is not JSON") from None
        said = tree if isinstance(tree, dict) else {}
        text = said.get("label", said.get("cls", ""))

    if isinstance(text, bool) or not isinstance(text, int | str) or text == "":
        raise ValueError(f"{name}: says no label")
    try:
        return int(text)
    except ValueError:
        return str(text)


def _of_parquet(file: BinaryIO, copy: Path) -> list[Member]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(file)
        leaves = {table.schema.column(number).path: number for number in range(len(table.schema))}
        images = next((path for path in ("image", "image.bytes") if path in leaves), None)
        if images is None or "label" not in leaves:
            raise ValueError(f"needs the columns image and label; has {', '.join(leaves)}")
        columns = [images, "label", *(["key"] if "key" in leaves else [])]
        found = _in_place(file, table, leaves[images], columns)
        return _copied(table, columns, copy) if found is None else found
    except pa.ArrowException as error:
        raise ValueError(
            f"is no Parquet file, or a damaged one: {' '.join(str(error).split())}"
        ) from error


def _in_place(file: BinaryIO, table: Any, column: int, columns: list[str]) -> list[Member] | None:
    """None where the images are not in the file as they are."""
    members: list[Member] = []
    for group in range(table.num_row_groups):
        described = table.metadata.row_group(group).column(column)
        if described.compression != "UNCOMPRESSED" or described.has_dictionary_page:
            return None

        rows = _rows(table, group, columns, len(members))
        file.seek(described.data_page_offset)
        chunk, at = file.read(described.total_compressed_size), 0
        for data, label, name in rows:
            value = len(data).to_bytes(LENGTH_BYTES, "little") + data
            at = chunk.find(value[: LENGTH_BYTES + NEAR], at) if data else at
            if at < 0 or (data and chunk[at : at + len(value)] != value):
                return None
            offset = described.data_page_offset + at + LENGTH_BYTES
            members.append(Member(offset, len(data), name, label))
            at += len(value) if data else 0
    return members


def _copied(table: Any, columns: list[str], copy: Path) -> list[Member]:
    members: list[Member] = []
    with copy.open("wb") as file:
        for group in range(table.num_row_groups):
            for data, label, name in _rows(table, group, columns, len(members)):
                members.append(Member(file.tell(), len(data), name, label))
                file.write(data)
    return members


def _rows(
    table: Any, group: int, columns: list[str], before: int
) -> list[tuple[bytes, Label, str]]:
    """Image, label and name of each row of a group.

    A row without a key is named by its number in the file.
    """
    rows = table.read_row_group(group, columns=columns).to_pydict()
    images = [image["bytes"] if isinstance(image, dict) else image for image in rows["image"]]
    names = rows.get("key") or [f"{before + number:09d}" for number in range(len(images))]
    for name, image, label in zip(names, images, rows["label"], strict=True):
        if (
            not isinstance(image, bytes | None)
            or isinstance(label, bool)
            or not isinstance(label, int | str)
        ):
            raise ValueError(
                f"row {name}: needs bytes as its image and a number or a name as its label"
            )
    return [
        (image or b"", label, str(name))
        for image, label, name in zip(images, rows["label"], names, strict=True)
    ]
