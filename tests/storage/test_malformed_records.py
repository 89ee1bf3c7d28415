"""Milliseconds: records and plans that a stranger has changed are refused, or read rightly."""

import copy
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.plan import build
from orchestrator.plan.kept import kept_cells, read_plan
from orchestrator.run_record import RunRecord
from search_spaces import ABLATIONS
from workloads.catalog import preset_named
from workloads.run_record import EvaluationRecord

RECORD: dict[str, Any] = {
    "name": "a · seed 0",
    "fingerprint": "0123456789abcdef0123",
    "workload": "simclr",
    "status": "finished",
    "results": {"linear_top1": 50.0, "knn_top1": 40},
    "intervals": {"linear_top1": [45.0, 55.0]},
    "trained_by": "ab12",
    "history": [{"epoch": 1.0, "loss": 2.0}],
    "spec": {"seed": 0},
    "machine": {
        "device": "cpu",
        "gpu": False,
        "threads": 1,
        "workers": 1,
        "precision": "bf16",
        "torch": "2.11",
        "python": "3.11",
        "hosts": ["here"],
    },
    "data_read": [{"data": "shapes", "content": "ab", "used": 3, "left_out": [], "remarks": []}],
    "ended": "2026-11-28T10:00:00+00:00",
    "seconds": 1.0,
    "total_seconds": 2.0,
}
EVALUATION: dict[str, Any] = {
    "run": "0123",
    "protocol": "linear",
    "eval": {},
    "results": {"linear_top1": 5.0},
    "intervals": {"linear_top1": [4.0, 6.0]},
    "data_read": RECORD["data_read"],
    "ended": "x",
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def plan() -> dict[str, Any]:
    built = build(ABLATIONS["temperature"], preset_named("shapes"), seeds=2)
    return {
        "sweep": built.sweep_id,
        "ablation": built.name,
        "scale": built.scale,
        "preset": "shapes",
        "base": built.base.tree(),
        "seeds": list(built.seeds),
        "looks": [3, 5],
        "cells": json.loads(json.dumps(kept_cells(built))),
        "data": {"title": "shapes", "train": 1, "validation": 1, "test": 1, "notes": []},
        "resources": {"workers": 1, "cpus_per_worker": 1, "gpus_per_worker": 0.0},
        "command": "simclr-orch ablate temperature",
        "versions": {"torch": "2"},
        "started": "2026-01-01T00:00:00",
    }


def places(tree: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path to something in a tree."""
    inner = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for key, value in inner:
        yield (*before, key)
        yield from places(value, (*before, key))


def put(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(tree)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def read_record(tree: Any) -> object:
    found = RunRecord.read(tree)
    return found.tree(), found.error_line, found.last_metrics, found.state_of


def read_evaluation(tree: Any) -> object:
    return EvaluationRecord.read(tree)


def read_kept(tree: Any) -> object:
    found = read_plan(json.dumps(tree).encode())
    return [(tuple(cell["at"]), cell["seed"] + 1, cell["role"]) for cell in found["cells"]]


KINDS: dict[str, tuple[Any, Callable[[Any], object]]] = {
    "record": (RECORD, read_record),
    "evaluation": (EVALUATION, read_evaluation),
    "plan": (plan(), read_kept),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_whole_is_read(kind: str) -> None:
    tree, read = KINDS[kind]
    read(tree)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_a_value_of_another_kind_is_told_or_read(kind: str, data: st.DataObject) -> None:
    tree, read = KINDS[kind]
    path = data.draw(st.sampled_from([*places(tree)]))
    changed = put(tree, path, data.draw(VALUES))
    with suppress(ValueError):  # whatever else is raised is a fault
        read(changed)


@pytest.mark.parametrize("name", ["../../etc", "a/b", "", "x" * 300, "/root", "a\x1b[2J"])
@pytest.mark.parametrize("key", ["fingerprint", "trained_by"])
def test_a_name_that_leads_elsewhere_is_no_run(key: str, name: str) -> None:
    with pytest.raises(ValueError, match=key):
        RunRecord.read({**RECORD, key: name})


def test_what_is_nested_without_end_is_refused() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested"):
        RunRecord.read({**RECORD, "spec": {"a": deep}})


def test_keys_of_other_versions_are_kept_and_those_that_came_later_may_lack() -> None:
    assert RunRecord.read({**RECORD, "invented": [1]}).more == {"invented": [1]}
    few = {key: RECORD[key] for key in ("name", "fingerprint", "status", "spec")}
    assert RunRecord.read(few).machine is None
