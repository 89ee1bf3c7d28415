"""Milliseconds: plans as files, how damaged and foreign ones are refused, and parts of a plan."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workloads.catalog.simclr import SIMCLR
from workloads.catalog.two_layer_cnn import TWO_LAYER_CNN
from workloads.runs.plan_file import PlanFile, PlannedRun, read_plan_file
from workloads.runs.selection import per_gpu, read_numbers, read_share, share_of
from workloads.simclr.presets import preset
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError, digest
from workloads.two_layer_cnn.presets import preset as two_layer_preset

BASE: RunSpec = preset("shapes")


PlanOf = Callable[..., PlanFile]


@pytest.fixture
def plan(plan_of: PlanOf) -> PlanFile:
    """Three seeds."""
    return plan_of(*(BASE.with_values({"seed": seed}) for seed in range(3)))


def changed(whole: bytes, **values: Any) -> bytes:
    """The plan with other values, and the digest of what it says then."""
    tree = json.loads(whole) | values
    del tree["digest"]
    return json.dumps(tree | {"digest": digest(tree)}).encode()


def test_a_plan_comes_back_whole(tmp_path: Path, plan: PlanFile) -> None:
    plan.write(tmp_path / "plan.json")
    read = read_plan_file(tmp_path / "plan.json")
    assert read == plan
    assert read.digest == plan.digest
    specs = read.specs(read.cells)
    assert list(specs) == [cell.fingerprint for cell in plan.cells]
    assert all(spec.fingerprint() == name for name, spec in specs.items())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda _: b"", "is no plan: it is empty"),
        (lambda whole: whole[: len(whole) // 2], "is no plan: it is empty, cut off or not JSON"),
        (lambda _: b"\xff\xfe\x00", "cut off or not JSON"),
        (lambda _: b"[1, 2]", "is no plan of `simclr-orch plan`"),
        (lambda _: b'{"a": 1}', "is no plan of `simclr-orch plan`"),
        (
            lambda whole: changed(whole, version=2),
            "is a plan of version 2, this code reads version 1",
        ),
        (lambda whole: whole.replace(b'"seed": 1', b'"seed": 7', 1), "its digest does not fit"),
        (lambda whole: changed(whole, cells=[{"number": 1}]), "cells.0.name: Field required"),
        (lambda whole: changed(whole, more=1), "more: Extra inputs are not permitted"),
    ],
)
def test_what_is_no_plan_is_refused_in_one_sentence(
    tmp_path: Path, plan: PlanFile, content: Callable[[bytes], bytes], said: str
) -> None:
    file = tmp_path / "plan.json"
    plan.write(file)
    file.write_bytes(content(file.read_bytes()))
    with pytest.raises(SpecError) as refused:
        read_plan_file(file)
    (problem,) = refused.value.problems
    assert str(file) in problem
    assert said in problem


def test_a_plan_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"nowhere\.json: cannot be read \(No such file"):
        read_plan_file(tmp_path / "nowhere.json")


def test_code_that_would_do_another_run_refuses_the_plan(plan: PlanFile) -> None:
    (cell, *_) = plan.cells
    other = cell.with_values({"fingerprint": "0" * 20})
    with pytest.raises(SpecError, match=r"cell 1, cell 1: .* another version .*\(commit abc\)"):
        plan.specs([other])
    tree = BASE.tree() | {"unheard_of": 1}
    newer = PlannedRun.read(cell.tree() | {"spec": tree})
    with pytest.raises(SpecError, match=r"another version of the code.*unheard_of"):
        plan.specs([newer])


def test_small_runs_share_a_gpu_and_large_ones_do_not() -> None:
    untrained = {"schedule.epochs": 0, "schedule.warmup_epochs": 0}
    small, large = preset("cifar10"), preset("imagenet-paper")
    assert per_gpu(SIMCLR, [BASE, small, large.with_values(untrained)]) == 2
    assert per_gpu(SIMCLR, [small, large]) == 1


def test_numbers_of_cells_are_read_and_wrong_ones_named() -> None:
    assert read_numbers("3,7", 8) == (3, 7)
    assert read_numbers("2-4, 3,1", 8) == (2, 3, 4, 1)
    for text in ("0", "9", "3-9", "4-3", "a", "", "1,,2", "-1", "1-", "²"):
        with pytest.raises(SpecError, match="--cells"):
            read_numbers(text, 8)


def test_shares_are_read_and_wrong_ones_named() -> None:
    assert read_share("2/8") == (2, 8)
    for text in ("9/8", "0/8", "2", "2/", "/8", "a/b", "-1/2", "1/0"):
        with pytest.raises(SpecError, match=r"--share .*: must be as 2/8"):
            read_share(text)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 40])
def test_shares_are_all_cells_and_none_twice(count: int, plan_of: PlanOf) -> None:
    """Two specifications that are trained alike are in one share: nothing is trained twice."""
    specs = [
        BASE.with_values({"seed": seed, "eval.knn.k": k}) for seed in range(5) for k in (10, 20)
    ]
    plan = plan_of(*specs)
    shares = [
        share_of(SIMCLR, plan.cells, plan.specs(plan.cells), (which, count))
        for which in range(1, count + 1)
    ]
    assert sorted(cell.number for share in shares for cell in share) == list(range(1, 11))
    homes = [
        {number for number, share in enumerate(shares) for cell in share if cell.seed == seed}
        for seed in range(5)
    ]
    assert all(len(home) == 1 for home in homes)
    assert max(map(len, shares)) - min(map(len, shares)) <= 2


def test_cells_that_share_pretraining_are_in_one_share(plan_of: PlanOf) -> None:
    base = two_layer_preset("gaussian-patches")
    specs = [
        base.with_values({"seed": seed, "data.labels": labels})
        for seed in range(3)
        for labels in (2, 8)
    ]
    plan = plan_of(*specs, workload="two-layer-cnn")
    shares = [
        share_of(TWO_LAYER_CNN, plan.cells, plan.specs(plan.cells), (which, 3))
        for which in (1, 2, 3)
    ]
    assert [[cell.seed for cell in share] for share in shares] == [[0, 0], [1, 1], [2, 2]]
