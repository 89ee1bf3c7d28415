"""What the members and columns of a shard say of an image's class, and how these are called."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from workloads.inventory import shown
from workloads.text_files import decoded, lines_of

__all__ = [
    "IMAGES",
    "LABELS",
    "Digits",
    "Label",
    "chosen",
    "label_in_json",
    "label_in_text",
    "plain_label",
]

Label = int | str


class Digits(str):
    """A label that is a number, and not written as such: `007` or `+7`."""

    __slots__ = ()


# What others call the images, and the labels: the first row in which one is found decides.
IMAGES = (
    ("image",),
    ("img", "jpg", "jpeg", "png", "webp", "image_bytes", "img_bytes", "image_data", "picture"),
)
LABELS = (
    ("label",),
    ("cls",),
    (
        "labels",
        "class",
        "class_id",
        "class_idx",
        "class_index",
        "class_label",
        "label_id",
        "target",
        "targets",
        "category",
        "category_id",
        "fine_label",
        "fine_labels",
        "coarse_label",
        "coarse_labels",
        "y",
    ),
    ("class_name", "classname", "label_name", "label_text", "category_name"),
)


def chosen(
    present: Iterable[str], known: Sequence[Sequence[str]], field: str, given: str | None
) -> str | None:
    """Choose the name that is given, else the only known one that is there; None without any.

    Raises ValueError that names the field, and the choices, where a given one is not there or
    several known ones are.
    """
    names = list(present)
    if given is not None:
        if given not in names:
            raise ValueError(f"data.{field}={given!r}: there is none; there are {_listed(names)}")
        return given
    lowered = {name.lower(): name for name in reversed(names)}
    for row in known:
        found = [lowered[name] for name in row if name in lowered]
        if len(found) > 1:
            raise ValueError(f"has {' and '.join(found)}; data.{field} says which (one of these)")
        if found:
            return found[0]
    return None


def label_in_text(data: bytes, name: str) -> Label:
    """Return the one line of a text, or the number that it is.

    Raises ValueError for another text.
    """
    try:
        text = shown(decoded(data, keep_bytes=True))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    lines = [line.strip() for line in lines_of(text) if line.strip()]
    if not lines:
        raise ValueError(f"{name}: says no label")
    if len(lines) > 1:
        raise ValueError(f"{name}: has {len(lines)} lines, and a label is one")
    return _number(lines[0])


def label_in_json(data: bytes, name: str, given: str | None) -> Label | None:
    """Return the label that a JSON object has in a field, the given one or one of a known name.

    None where it has none. Raises ValueError for what is not JSON.
    """
    try:
        tree: Any = json.loads(decoded(data, keep_bytes=True))
    except (ValueError, RecursionError):
        raise ValueError(f"{name}: is not JSON") from None
    fields = tree if isinstance(tree, dict) else {"label": tree} if given is None else {}
    values = {field: label for field in fields if (label := plain_label(fields[field])) is not None}
    values = {
        field: _number(label) if isinstance(label, str) else label
        for field, label in values.items()
    }
    if given is not None:
        return values.get(given)
    try:
        field = chosen(values, LABELS, "label_column", None)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return None if field is None else values[field]


def plain_label(value: Any) -> Label | None:
    """Return a whole number or a text as a label; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        return shown(value).strip() or None
    return value if isinstance(value, int) else None


def _number(text: str) -> Label:
    """A text of digits as a number; where the number is written otherwise, the text is kept."""
    if re.fullmatch(r"-?[1-9][0-9]*|0", text):
        return int(text)
    return Digits(text) if re.fullmatch(r"[+-]?[0-9]+", text) else text


def _listed(names: list[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more if names else "none at all"
