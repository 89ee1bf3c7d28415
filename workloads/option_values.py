"""The options of a part, as a specification keeps them: plain values by name, which stay fixed."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator

__all__ = ["Options", "OptionsField"]


class Options(Mapping[str, Any]):
    """Plain values by name: numbers, texts, truths, nothing, lists and mappings of them.

    Hashable, as specifications are. Raises ValueError for names that are no texts, and for values
    that JSON has not, such as infinite numbers.
    """

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        given = dict(values or {})
        if odd := [name for name in given if not isinstance(name, str) or not name.isidentifier()]:
            raise ValueError(f"{odd[0]!r} is no name of an option")
        try:
            self._text = json.dumps(given, allow_nan=False, sort_keys=True)
        except (TypeError, ValueError) as error:
            raise ValueError(f"options are plain finite values: {error}") from None

    def __getitem__(self, name: str) -> Any:
        return json.loads(self._text)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(json.loads(self._text))

    def __len__(self) -> int:
        return len(json.loads(self._text))

    def __hash__(self) -> int:
        return hash(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Options) and self._text == other._text

    def __repr__(self) -> str:
        return self._text


def _read(value: Any) -> Options:
    if isinstance(value, Options):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("options are a mapping from names to plain values, as in {depth: 3}")
    return Options(value)


OptionsField = Annotated[Options, PlainValidator(_read), PlainSerializer(dict, return_type=dict)]
