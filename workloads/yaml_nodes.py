"""YAML that people write, from text to nodes and from nodes to values of known types.

Both are bounded, so that a file of a few lines cannot fill the memory with its references.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from workloads.field_types import element_of, field_of, kinds_of

__all__ = ["NOTHING", "WrittenError", "composed", "constructed", "number_in", "sentence"]

MOST_VALUES = 10_000
DEEPEST = 50
_STR, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
NOTHING = ("", "~", "null", "Null", "NULL")
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_WHOLE = re.compile(r"[-+]?[0-9][0-9_]*")
_OF_BASE = re.compile(r"[-+]?0(?:x[0-9a-f_]+|o[0-7_]+|b[01_]+)", re.IGNORECASE)
_DECIMAL = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:e[-+]?[0-9]+)?", re.I)
_INFINITE = re.compile(r"([-+]?)\.(inf|nan)", re.IGNORECASE)


class WrittenError(ValueError):
    """What a person wrote is not YAML, or more than is read; says where, without a file's name."""


class _Loader(yaml.SafeLoader):
    """PyYAML's, which counts nodes and depth while it composes."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.values = self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.values, self.depth = self.values + 1, self.depth + 1
        _check_bounds(self.values, self.depth)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def composed(text: str) -> yaml.Node | None:
    """Return the root of a text with one YAML document; None for an empty one.

    Raises WrittenError.
    """
    try:
        loader = _Loader(text)
        try:
            node: yaml.Node | None = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise WrittenError(f"is not YAML ({sentence(text, error)})") from None
    return node


def constructed(node: yaml.Node | None, annotation: Any) -> Any:
    """Return the value of a node where a field of that annotation is to hold it.

    What does not fit is returned as it is, for validation to name. Raises WrittenError for a key
    that is there twice, a tag that is not known, and too many values.
    """
    if node is None:
        return _plain("", annotation)
    return _Construction().value(node, annotation, 0)


class _Construction:
    """Counts the values that are made of one root, those of references again each time."""

    def __init__(self) -> None:
        self.values = 0

    def value(self, node: yaml.Node, annotation: Any, depth: int) -> Any:
        self.values += 1
        _check_bounds(self.values, depth)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, annotation, depth)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.value(each, element_of(annotation, position), depth + 1)
                for position, each in enumerate(node.value)
            ]
        assert isinstance(node, yaml.ScalarNode), "there are three kinds of nodes"
        return _scalar(node, annotation)

    def _mapping(self, node: yaml.MappingNode, annotation: Any, depth: int) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise WrittenError(f"{_line(key)}: a field's name is to be a word")
            if key.tag == _MERGE:
                for each in _merged(value):
                    inherited = self.value(each, annotation, depth + 1)
                    merged |= {name: one for name, one in inherited.items() if name not in merged}
                continue
            if key.value in tree:
                raise WrittenError(f"{_line(key)}: {key.value} is there twice")
            tree[key.value] = self.value(value, field_of(annotation, key.value), depth + 1)
        return merged | tree


def _merged(value: yaml.Node) -> Iterator[yaml.MappingNode]:
    """The mappings of `<<: *one` or `<<: [*one, *other]`."""
    for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
        if not isinstance(each, yaml.MappingNode):
            raise WrittenError(f"{_line(each)}: << takes groups of fields")
        yield each


def _check_bounds(values: int, depth: int) -> None:
    if depth > DEEPEST:
        raise WrittenError(f"is nested more than {DEEPEST} deep")
    if values > MOST_VALUES:
        raise WrittenError(f"holds more than {MOST_VALUES} values, references counted each time")


def _scalar(node: yaml.ScalarNode, annotation: Any) -> Any:
    guessed = _tag(node.value) if node.style is None else _STR
    if node.tag != guessed and node.tag != _STR:
        try:  # an explicit tag, such as !!int
            return yaml.constructor.SafeConstructor().construct_object(node)
        except (yaml.YAMLError, ValueError):
            raise WrittenError(f"{_line(node)}: {node.tag} is no tag that is known") from None
    if node.style is not None or (node.tag == _STR and guessed != _STR):
        return node.value
    if kinds_of(annotation).text and (cut := _cut_by_comment(node)):
        raise WrittenError(
            f"{_line(node)}: {cut} begins a comment, and the text before it is {node.value!r}; "
            "write the whole text in quotes, or a blank behind #"
        )
    return _plain(node.value, annotation)


def _cut_by_comment(node: yaml.ScalarNode) -> str | None:
    """What stands behind a text as in `run #3`, where # is likely to be a part of it."""
    mark = node.end_mark
    if mark.buffer is None:
        return None
    rest = re.match(r"[ \t]+(#[^\s#][^\r\n\0]*)", mark.buffer[mark.pointer :])
    return rest[1] if rest else None


def _plain(text: str, annotation: Any) -> Any:
    """The value of a word without quotes."""
    kinds = kinds_of(annotation)
    if kinds.anything:
        return yaml.safe_load(text) if text in NOTHING else _guessed(text)
    if text in kinds.words:
        return text
    if kinds.nothing and text in NOTHING:
        return None
    if kinds.text:
        return text
    if kinds.truth and text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    number = number_in(text) if kinds.number or kinds.truth else None
    return text if number is None else number


def _guessed(text: str) -> Any:
    """The value of a word whose field is not known, as YAML sees it."""
    try:
        return yaml.constructor.SafeConstructor().construct_object(
            yaml.ScalarNode(_tag(text), text)
        )
    except (yaml.YAMLError, ValueError):
        return text  # such as << or 2026-13-45


def _tag(word: str) -> str:
    """The tag that YAML gives a word without quotes by how it looks."""
    resolver = yaml.SafeLoader("")
    return str(resolver.resolve(yaml.ScalarNode, word, (True, False)))  # type: ignore[no-untyped-call]


def number_in(text: str) -> int | float | None:
    """Return a number as people write it, 010 being ten, 1e3 a thousand; None for what is none."""
    if len(text) > 400:  # Python reads no whole numbers of thousands of digits
        return None
    if _WHOLE.fullmatch(text):
        return int(text.replace("_", ""))
    if _OF_BASE.fullmatch(text):
        try:
            return int(text, 0)
        except ValueError:
            return None
    if _DECIMAL.fullmatch(text):
        return float(text.replace("_", ""))
    infinite = _INFINITE.fullmatch(text)
    return float("".join(infinite.groups())) if infinite else None


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"


def sentence(text: str, error: yaml.YAMLError) -> str:
    """Return what is wrong and where, in one line, without PyYAML's picture of the place."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f"line {line} has the character U+{ord(text[error.position]):04X}"
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    mark, problem = error.problem_mark, error.problem or "cannot be read"
    hint = ""
    if problem == "but found another document":
        problem = "a second document begins, and one is read"
    elif "cannot start any token" in problem:
        character = text[mark.index : mark.index + 1]
        problem = (
            "is indented by a tab; blanks are needed"
            if character == "\t"
            else f"{character!r} begins no value; write text that begins so in quotes"
        )
    elif problem == "mapping values are not allowed here":
        hint = "; write text with `: ` in quotes"
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}{hint}"
