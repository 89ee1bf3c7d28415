"""A question in a file: YAML with the place of each part, or Python that builds an Ablation."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, create_model

from orchestrator.questions.metrics import unknown_metrics
from orchestrator.questions.module import ablation_in_module, parts_of_name
from orchestrator.questions.names import name_problem
from orchestrator.questions.text import question_yaml
from search_spaces import Ablation
from search_spaces.trees.question import Base, Keys, QuestionError, ablation_of, base_of, tree_of
from workloads.catalog import workload_named, workload_of_preset
from workloads.field_types import annotation_at
from workloads.spec import SpecError
from workloads.text_files import TextError, read_text
from workloads.workload import AnyWorkload
from workloads.yaml_nodes import WrittenError, composed, constructed

__all__ = ["QuestionFile", "as_yaml", "is_file", "read_question"]

SUFFIXES = (".yaml", ".yml", ".py")
MOST_BYTES = 2**20
DOTTED = r"[a-z]\w*(\.[a-z]\w*)+"
Marks = Mapping[Keys, tuple[int, int]]


@dataclass(frozen=True)
class QuestionFile:
    """A file's question, and the recipes that it is asked on.

    `tree` is what the file holds, and `marks` say where: line and column by keys. A file of Python
    has neither.
    """

    name: str
    ablation: Ablation
    base: Base
    tree: Mapping[str, Any] = field(default_factory=dict)
    marks: Marks = field(default_factory=dict)

    def told(self, keys: Keys, text: str) -> str:
        """Return a problem as a line that says where in the file it is."""
        return _told(self.name, self.marks, keys, text)


def is_file(name: str) -> bool:
    """Tell the file of a question from the name of one."""
    return "/" in name or parts_of_name(name)[0].endswith(SUFFIXES)


def read_question(name: str) -> QuestionFile:
    """Read the question in a file. Raises SpecError with all that is wrong with it."""
    path, _ = parts_of_name(name)
    if path.endswith(".py"):
        found = QuestionFile(name, ablation_in_module(name), Base())
    elif path.endswith((".yaml", ".yml")):
        found = _read_yaml(name)
    else:
        raise SpecError([f"{name}: no question's file; its name ends in {', '.join(SUFFIXES)}"])

    problems = [found.told(keys, text) for keys, text in _unknown(found)]
    if problem := name_problem(found.ablation):
        problems.append(found.told(("name",), problem))
    if problems:
        raise SpecError(list(dict.fromkeys(problems)))
    return found


def as_yaml(name: str) -> str:
    """Return a text of YAML that asks what a file asks, where what lies beside it is not.

    Raises SpecError.
    """
    if not parts_of_name(name)[0].endswith(".py"):
        try:
            return read_text(Path(name).expanduser(), most=MOST_BYTES)
        except TextError as error:
            raise SpecError([f"{name}: cannot be read ({error})"]) from None
    return question_yaml(tree_of(ablation_in_module(name)))


def _read_yaml(name: str) -> QuestionFile:
    path = Path(name).expanduser()
    try:
        node = composed(read_text(path, most=MOST_BYTES))
        rough = constructed(node, Any)
    except TextError as error:
        raise SpecError([f"{name}: cannot be read ({error})"]) from None
    except WrittenError as error:
        raise SpecError([f"{name}: {error}"]) from None
    if node is None or not isinstance(rough, dict):
        raise SpecError([f"{name}: holds no question; it needs a question and axes"])

    nodes = {keys: (key, value) for keys, key, value in _places(node, ())}
    marks = {
        keys: (key.start_mark.line + 1, key.start_mark.column + 1)
        for keys, (key, _) in nodes.items()
    }
    workload = _workload(rough)
    tree = _typed(node, rough, nodes, workload)
    tree.setdefault("name", re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-"))
    if workload is not None:
        tree.setdefault("workload", workload.name)
        if tree.get("metric") is None:
            tree["metric"] = workload.headline[0]
    try:
        return QuestionFile(name, ablation_of(tree), base_of(tree), tree, marks)
    except QuestionError as error:
        found = [*error.problems, *_unknown_dotted(tree, marks, workload)]
        found.sort(key=lambda one: _mark(marks, one[0]) or (0, 0))
        problems = [_told(name, marks, keys, text) for keys, text in found]
        raise SpecError(list(dict.fromkeys(problems))) from None


def _told(name: str, marks: Marks, keys: Keys, text: str) -> str:
    """Return a problem with its file, line and column, as far as they are known."""
    shown = ".".join(map(str, keys))
    if (mark := _mark(marks, keys)) is not None:
        return f"{name}:{mark[0]}:{mark[1]}: {shown}: {text}"
    return f"{name}: {shown}: {text}" if shown else f"{name}: {text}"


def _mark(marks: Marks, keys: Keys) -> tuple[int, int] | None:
    """Where something stands, or else what it is a part of."""
    longest = (keys[:length] for length in range(len(keys), 0, -1))
    return next((marks[each] for each in longest if each in marks), None)


def _places(node: yaml.Node, keys: Keys) -> Iterator[tuple[Keys, yaml.Node, yaml.Node]]:
    """Yield keys, where they stand, and the node of each value; what is merged in comes first."""
    if isinstance(node, yaml.SequenceNode):
        for index, one in enumerate(node.value):
            yield (*keys, index), one, one
            yield from _places(one, (*keys, index))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                for one in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    yield from _places(one, keys)
        for key, value in node.value:
            yield (*keys, key.value), key, value
            yield from _places(value, (*keys, key.value))


def _workload(tree: Mapping[str, Any]) -> AnyWorkload | None:
    """The workload whose fields a question sets; None where it names one that there is not."""
    named = tree.get("workload")
    if isinstance(named, str):
        try:
            return workload_named(named)
        except SpecError:
            return None  # which is said by whoever plans
    presets = tree.get("presets")
    first = presets[0] if isinstance(presets, list) and presets else tree.get("preset")
    of_preset = workload_of_preset(first) if isinstance(first, str) else None
    return of_preset or workload_named("simclr")


def _typed(
    node: yaml.Node,
    rough: Mapping[str, Any],
    nodes: Mapping[Keys, tuple[yaml.Node, yaml.Node]],
    workload: AnyWorkload | None,
) -> dict[str, Any]:
    """Read a file once more, with what stands for a field read as that field's type is."""
    if workload is None:
        return dict(rough)
    spec = next(iter(workload.presets.values()))()
    fields = {path: annotation_at(type(spec), path) for path in spec.flat()}
    tree: dict[str, Any] = constructed(node, _question_of(fields))

    axes = tree.get("axes")
    for key, axis in axes.items() if isinstance(axes, dict) else enumerate(axes or ()):
        keys = ("axes", key, "values")
        if isinstance(axis, dict) and isinstance(axis.get("values"), list):
            of = fields.get(str(axis.get("field", key)), Any)
            axis["values"] = constructed(nodes[keys][1], list[of])  # type: ignore[valid-type]
    return tree


def _question_of(fields: Mapping[str, Any]) -> type[BaseModel]:
    """Return what a file may hold, for the types alone: labels are texts, values those of fields.

    It is not used to validate anything.
    """

    def model(name: str, parts: Mapping[str, Any]) -> type[BaseModel]:
        made: type[BaseModel] = create_model(
            name, **{key: (annotation, None) for key, annotation in parts.items()}
        )  # type: ignore[call-overload]
        return made

    values = model("Values", fields)
    texts = list[str] | str
    axis = model("Axis", {"name": str, "labels": texts, "values": dict[str, values] | list[Any]})  # type: ignore[valid-type]
    cell = model(
        "Cell",
        {
            "at": texts,
            "values": values,
            "candidates": list[values],  # type: ignore[valid-type]
            "metric": str,
            "tuned_by": str,
            "paper": float,
            "more": dict[str, float],
        },
    )
    lists = {path: list[annotation] | axis for path, annotation in fields.items()}  # type: ignore[valid-type]
    layout = {
        "axes": model("Axes", lists) | list[axis],  # type: ignore[valid-type]
        "cells": list[cell],  # type: ignore[valid-type]
        "candidates": model("Choices", lists) | list[values],  # type: ignore[valid-type]
        "note": str,
    }
    named = ("name", "title", "question", "source", "preset", "metric", "tuned_by", "against")
    overlay = model("Overlay", {"label": str, "points": list[list[float]], "only": texts})
    claim = model("Claim", {"statement": str, "source": str, "silent": str, "holds": texts})
    return model(
        "Question",
        {
            **dict.fromkeys(named, str),
            **layout,
            "presets": texts,
            "fixed": values,
            "set": values,
            "overlays": list[overlay],  # type: ignore[valid-type]
            "scales": dict[str, model("Layout", layout)],  # type: ignore[misc]
            "claims": list[claim | str],  # type: ignore[valid-type]
        },
    )


def _unknown(file: QuestionFile) -> Iterator[tuple[Keys, str]]:
    """Yield fields that the specification does not have, and where they stand in a file."""
    try:
        workload = workload_named(file.ablation.workload)
    except SpecError as error:
        yield ("workload",), str(error)
        return
    for metric, problem in unknown_metrics(file.ablation, file.base, workload):
        of_cells = [keys for keys in file.marks if keys[-1] == "metric"]
        places = [keys for keys in of_cells if _at(file.tree, keys) == metric]
        for keys in places or [("metric",)]:
            yield keys, problem
    for path, problem in _unknown_fields(file.ablation, file.base, workload).items():
        places = [keys for keys in file.marks if path in keys[-1:]]
        places += [
            keys for keys in file.marks if keys[-1] == "field" and _at(file.tree, keys) == path
        ]
        for keys in places or [()]:
            yield keys, problem


def _unknown_dotted(
    tree: object, marks: Marks, workload: AnyWorkload | None
) -> Iterator[tuple[Keys, str]]:
    """Yield the dotted fields of a file that the specification does not have."""
    for keys in marks if workload else ():
        name = _at(tree, keys) if keys[-1] == "field" else keys[-1]
        if workload and isinstance(name, str) and re.fullmatch(DOTTED, name):
            problem = _unknown_field(name, workload)
            if problem is not None:
                yield keys, problem


def _at(tree: object, keys: Keys) -> object:
    for key in keys:
        if isinstance(tree, Mapping):
            tree = tree.get(key)
        elif isinstance(tree, list) and isinstance(key, int) and key < len(tree):
            tree = tree[key]
        else:
            return None
    return tree


def _unknown_fields(ablation: Ablation, base: Base, workload: AnyWorkload) -> dict[str, str]:
    """Return what is wrong with each field of a question that the specification does not have."""
    cells = (*ablation.paper.cells, *ablation.small.cells)
    named = {*ablation.fixed, *(base.values or {})}
    for cell in cells:
        named |= {*cell.values}.union(*cell.candidates)
    asked_where = [part.asked_where for part in cells]
    asked_where += [claim.asked_where for claim in ablation.claims]
    named |= {one.field for conditions in asked_where for one in conditions}

    found = {path: _unknown_field(path, workload) for path in sorted(named)}
    return {path: problem for path, problem in found.items() if problem is not None}


def _unknown_field(path: str, workload: AnyWorkload) -> str | None:
    """Return why a dotted name is no field of a workload's specification; None where it is one."""
    spec = next(iter(workload.presets.values()))()
    if path in spec.flat():
        return None
    try:
        spec.with_values({path: None})
    except SpecError as error:
        for problem in error.problems:
            if problem.startswith(f"{path}: "):
                return problem.removeprefix(f"{path}: ")
    return None
