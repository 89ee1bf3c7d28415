"""Many mappings that are much alike, as few columns: small to keep, and quick to read again."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["columns_of", "tables_in"]

Row = Mapping[str, Any]


def columns_of(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return plain values of rows, which JSON can hold: a table for each set of keys.

    A column has its distinct values once, and where each row finds its own among them.
    """
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row), []).append(row)
    return [
        {"keys": list(keys), "rows": len(group), "columns": [_packed(group, key) for key in keys]}
        for keys, group in groups.items()
    ]


def tables_in(tables: Iterable[Mapping[str, Any]]) -> list[tuple[list[str], list[tuple[Any, ...]]]]:
    """Read what `columns_of` gave: the keys of each table, and its rows.

    Raises ValueError, KeyError, IndexError or TypeError for what it did not give.
    """
    found = []
    for table in tables:
        keys, count = table["keys"], table["rows"]
        columns = [_unpacked(packed, count) for packed in table["columns"]]
        if len(keys) != len(columns):
            raise ValueError("has not a column for each key")
        found.append((keys, list(zip(*columns, strict=True))))
    return found


def _packed(rows: list[Row], key: str) -> list[Any]:
    """Return distinct values and codes; without codes where there are not enough equal values."""
    values = [row[key] for row in rows]
    distinct: dict[object, int] = {}
    codes = [distinct.setdefault(_identity(value), len(distinct)) for value in values]
    if len(distinct) == 1:
        return [values[:1], 0]
    if 2 * len(distinct) > len(values):
        return [values]
    firsts: list[Any] = [None] * len(distinct)
    for value, code in zip(values, codes, strict=True):
        firsts[code] = value
    return [firsts, codes]


def _identity(value: Any) -> object:
    # 1, 1.0 and True are equal, and not the same
    return (type(value), value) if value.__hash__ else json.dumps(value)


def _unpacked(packed: list[Any], count: int) -> list[Any]:
    values, *codes = packed
    if not codes:
        return list(values)
    if codes[0] == 0:
        return [values[0]] * count
    return [values[code] for code in codes[0]]
