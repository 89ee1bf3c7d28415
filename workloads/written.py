"""Values that people write, in YAML files and in `field=value`, read by the type of the field.

YAML decides by how a word looks: `run #3` is cut, `007` is 7, `on` is true, `2026-01-01` is a date.
Here the field decides. A text takes what was written; a number, a truth value, nothing (null) or a
list of them is read where the field is one.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from workloads.field_types import Kinds, annotation_at, element_of, kinds_of
from workloads.spec import SpecError
from workloads.text_files import TextError, read_text
from workloads.yaml_nodes import NOTHING, WrittenError, composed, constructed

__all__ = ["as_assigned", "read_assignments", "read_choices", "read_tree", "read_yaml"]

MOST_BYTES = 2**20  # of a file with fields
_QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'""", re.DOTALL)


def read_assignments(assignments: list[str], of: type[Any]) -> dict[str, Any]:
    """Read `["loss.temperature=0.1"]` as `{"loss.temperature": 0.1}`, by the fields of `of`.

    Text is taken as it was typed. Of a text that may be missing, `null` and nothing at all mean
    that it is; "null", in quotes, is the word. Other values are YAML, a list also without its
    brackets. Whether they are valid is not looked at. Raises SpecError with every problem.
    """
    values: dict[str, Any] = {}
    problems = []
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if path.endswith(" "):
            text = text.removeprefix(" ")  # written as `field = value`
        path = path.strip()
        try:
            value = _typed(text, annotation_at(of, path))
        except WrittenError:
            problems.append(f"--set {assignment}: the value is not YAML")
            continue

        if not equals or not path:
            problems.append(f"--set {assignment}: is not of the form field=value")
        elif path in values:
            problems.append(f"--set {assignment}: {path} is set twice")
        values[path] = value
    if problems:
        raise SpecError(problems)
    return values


def as_assigned(value: Any, *, default: Callable[[Any], Any] | None = None) -> str:
    """Return the text that `read_assignments` reads as this value.

    A text is as it stands, unless it would be read as another one; all else is JSON, of what
    `default` makes of values that JSON has not. Raises TypeError or ValueError for no plain value.
    """
    is_word = isinstance(value, str) and value not in ("", "null") and value[0] not in "\"'"
    return value if is_word else json.dumps(value, default=default)


def read_choices(text: str, of: type[Any], field: str) -> list[Any]:
    """Read `a, b, c` as values of a field each, with YAML's commas and quotes.

    Raises ValueError that says what is wrong.
    """
    node = composed(f"[{text}]")
    assert isinstance(node, yaml.SequenceNode), "of a text in brackets"
    return [constructed(choice, annotation_at(of, field)) for choice in node.value]


def read_yaml(path: Path, of: type[Any] | None = None) -> dict[str, Any]:
    """Read the tree in a YAML file, or in a JSON file (`.json`), by the fields of `of`.

    Raises SpecError that names the file, and the line, when there is none or it holds something
    else, a field twice, or more than a specification could.
    """
    try:
        return read_tree(read_text(path, most=MOST_BYTES), of, is_json=path.suffix == ".json")
    except TextError as error:
        raise SpecError([f"--config {path}: cannot be read ({error})"]) from None
    except WrittenError as error:
        raise SpecError([f"--config {path}: {error}"]) from None


def read_tree(text: str, of: type[Any] | None = None, *, is_json: bool = False) -> dict[str, Any]:
    """Read the fields in a text of YAML, or of JSON. Raises WrittenError without a file's name."""
    if not text.strip():
        raise WrittenError("holds no fields: it is empty")
    if is_json:
        tree = _json(text)
    else:
        node = composed(text)
        if node is None:
            raise WrittenError("holds no fields: it is empty")
        tree = constructed(node, of if of and isinstance(node, yaml.MappingNode) else Any)
    if not isinstance(tree, dict):
        what = "a list" if isinstance(tree, list) else f"the value {tree!r}"
        raise WrittenError(f"holds no fields, such as `seed: 3`: it is {what}")
    return tree


def _typed(text: str, annotation: Any) -> Any:
    kinds = kinds_of(annotation)
    if kinds.text and not kinds.elements:
        return _text(text, kinds)
    if text.strip() in kinds.words:
        return text.strip()
    node = composed(text)
    if _is_bare_list(node, annotation):
        node = composed(f"[{text}]")
    return constructed(node, annotation)


def _is_bare_list(node: yaml.Node | None, annotation: Any) -> bool:
    """Tell `a, b`, and `a` where nothing but a list is possible, from what is no list."""
    if not isinstance(node, yaml.ScalarNode) or node.style is not None:
        return False
    if element_of(annotation, 0) is Any:
        return False
    kinds = kinds_of(annotation)
    others = kinds.anything or kinds.text or kinds.truth or kinds.number or kinds.words
    return "," in node.value or (not others and node.value not in NOTHING)


def _text(text: str, kinds: Kinds) -> str | None:
    if kinds.nothing and text in ("", "null"):
        return None
    if _QUOTED.fullmatch(text):
        try:
            return str(yaml.safe_load(text))
        except yaml.YAMLError:
            pass  # such as "\q": as it was typed
    return text


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise WrittenError(f"is not JSON ({where}: {error.msg})") from None
    except RecursionError:
        raise WrittenError("is nested too deeply") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in pairs:
        if name in tree:
            raise WrittenError(f"{name} is there twice")
        tree[name] = value
    return tree
