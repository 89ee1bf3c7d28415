"""The rows of a Parquet shard, a column of images and one of labels.

Images are bytes, or a struct that has a field `bytes`, as Hugging Face's data sets have them. A
column `key` names the rows. Parquet keeps the bytes of an image in one piece only where its pages
are neither compressed nor encoded; elsewhere they are copied.
"""

import json
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from workloads.datasets.shards.contents import Asked, Contents, Member
from workloads.datasets.shards.labels import IMAGES, LABELS, Label, chosen, plain_label
from workloads.inventory import shown

__all__ = ["has_labels", "rows_of"]

LENGTH_BYTES = 4  # Parquet's plain encoding puts the length of a value before it
# Columns that say which image it is, and nothing of what is on it.
ABOUT = ("key", "__key__", "__url__", "id", "path", "file_name", "filename", "width", "height")
NEAR = 64  # bytes of an image that are searched for before the rest is compared

Row = tuple[bytes, Label | None, bytes]


class _Columns(NamedTuple):
    """Columns by their names; `path` leads to the bytes of an image."""

    image: str
    path: str
    label: str | None
    key: str | None

    @property
    def paths(self) -> list[str]:
        return [self.path, *(name for name in (self.label, self.key) if name is not None)]


def rows_of(file: BinaryIO, copy: Path, asked: Asked) -> Contents:
    """Find the images of a Parquet file as `members_of` does."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(file)
        leaves = {table.schema.column(number).path: number for number in range(len(table.schema))}
        columns = _columns(table.schema_arrow, asked, leaves)
        members = _in_place(file, table, leaves[columns.path], columns)
        if members is None:
            members = _copied(table, columns, copy)
    except pa.ArrowException as error:
        raise ValueError(
            f"is no Parquet file, or a damaged one: {' '.join(str(error).split())}"
        ) from error

    if members and not any(member.length for member in members):
        raise ValueError(f"no row has the bytes of an image in the column {columns.path}")
    used = {columns.image, columns.label, columns.key}
    unread = [shown(name) for name in table.schema_arrow.names if name not in used]
    notes = (f"columns that are not read: {', '.join(unread)}",) if unread else ()
    return Contents(members, (), notes, _class_names(table.schema_arrow, columns.label))


def has_labels(file: BinaryIO, image_column: str | None) -> bool:
    """Tell whether a Parquet file has a column that may be one of labels, or a caption.

    That is any but the images and what tells one image from another. Raises ValueError for a file
    that cannot be read, or without images.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(file)
        leaves = {table.schema.column(number).path: number for number in range(len(table.schema))}
        columns = _columns(table.schema_arrow, Asked(image_column, labelled=False), leaves)
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
    others = [name for name in table.schema_arrow.names if name != columns.image]
    return any(name.lower() not in ABOUT for name in others)


def _columns(schema: Any, asked: Asked, leaves: dict[str, int]) -> _Columns:
    paths = {field.name: path for field in schema if (path := _path(field, leaves))}
    given = asked.image_column
    if given is not None and given not in paths:
        given = next((name for name, path in paths.items() if path == given), given)
    image = chosen(paths, IMAGES, "image_column", given)
    if image is None and len(paths) == 1:
        (image,) = paths

    labels = [name for name in schema.names if name in leaves and name != image]
    label = None
    if asked.labelled:
        label = chosen(labels, LABELS, "label_column", asked.label_column)
    if image is None or (asked.labelled and label is None):
        raise ValueError(
            f"needs the columns image and label; has {', '.join(map(shown, leaves))}; "
            "data.image_column and data.label_column say how they are called, "
            "and data.labels='none' trains on images without labels"
        )
    return _Columns(image, paths[image], label, "key" if "key" in leaves else None)


def _path(field: Any, leaves: dict[str, int]) -> str | None:
    """Where a column has the bytes of images, None for a column of something else."""
    from pyarrow import types

    def is_bytes(kind: Any) -> bool:
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    if types.is_struct(field.type):
        at = field.type.get_field_index("bytes")
        path = f"{field.name}.bytes"
        return path if at >= 0 and is_bytes(field.type.field(at).type) and path in leaves else None
    return field.name if is_bytes(field.type) and field.name in leaves else None


def _in_place(file: BinaryIO, table: Any, column: int, columns: _Columns) -> list[Member] | None:
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


def _copied(table: Any, columns: _Columns, copy: Path) -> list[Member]:
    members: list[Member] = []
    with copy.open("wb") as file:
        for group in range(table.num_row_groups):
            for data, label, name in _rows(table, group, columns, len(members)):
                members.append(Member(file.tell(), len(data), name, label))
                file.write(data)
    return members


def _rows(table: Any, group: int, columns: _Columns, before: int) -> list[Row]:
    """Image, label and name of each row of a group.

    A row without a key is named by its number in the file.
    """
    rows = table.read_row_group(group, columns=columns.paths)
    images = [
        image["bytes"] if isinstance(image, dict) else image
        for image in rows.column(columns.image).to_pylist()
    ]
    keys = [None] * len(images) if columns.key is None else _values(rows.column(columns.key))
    labels = [None] * len(images) if columns.label is None else _values(rows.column(columns.label))

    found: list[Row] = []
    for number, (image, said, key) in enumerate(zip(images, labels, keys, strict=True)):
        named = f"{before + number:09d}" if key is None else key
        name = named if isinstance(named, bytes) else str(named).encode()
        label = plain_label(said)
        if columns.label is not None and label is None:
            row = name.decode(errors="backslashreplace")
            raise ValueError(
                f"row {row}: needs a number or a name as its label ({columns.label}), and has "
                f"{str(said)[:40]!r}"
            )
        found.append((image or b"", label, name))
    return found


def _values(column: Any) -> list[Any]:
    """Plain values; texts as their bytes, which need not be UTF-8."""
    import pyarrow as pa
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if types.is_string(kind) or types.is_large_string(kind):
        column = column.cast(pa.large_binary())
    values: list[Any] = column.to_pylist()
    return values


def _class_names(schema: Any, label: str | None) -> tuple[str, ...]:
    """The names of classes that Hugging Face's `datasets` keeps beside the schema."""
    try:
        about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        names = about["info"]["features"][label]["names"]
    except (ValueError, KeyError, TypeError):
        return ()
    if isinstance(names, list) and all(isinstance(name, str) for name in names):
        return tuple(names)
    return ()
