"""Milliseconds: what is said of a recipe that has more epochs than a finished run."""

from dataclasses import replace

from orchestrator.plan import PlannedCell, build_single
from orchestrator.plan.longer import why_anew
from orchestrator.run_record import RunRecord
from workloads.catalog.simclr import SIMCLR
from workloads.catalog.two_layer_cnn import TWO_LAYER_CNN
from workloads.simclr.presets import preset
from workloads.simclr.spec import RunSpec

RECIPE = preset("digits").with_values({"schedule.epochs": 20})


def cell_of(**values: object) -> PlannedCell:
    return build_single(RECIPE.with_values(values), SIMCLR).cells[0]


def record_of(spec: RunSpec) -> RunRecord:
    return RunRecord(name="a", fingerprint=spec.fingerprint(), status="finished", spec=spec.tree())


BEFORE = record_of(RECIPE)


def test_more_epochs_begin_anew_and_it_is_said_why() -> None:
    said = why_anew(SIMCLR, [cell_of(**{"schedule.epochs": 50})], [BEFORE])
    short = BEFORE.fingerprint[:12]
    assert said is not None
    assert f"50 epochs begin anew, though run {short} has 20: " in said
    assert said.endswith(f"--set init.weights={short}")
    # however it is evaluated
    assert why_anew(SIMCLR, [cell_of(**{"schedule.epochs": 50, "eval.knn.k": 3})], [BEFORE])


def test_nothing_is_said_of_what_differs_otherwise() -> None:
    more = cell_of(**{"schedule.epochs": 50})
    for cell in (
        cell_of(**{"schedule.epochs": 10}),
        cell_of(**{"schedule.epochs": 50, "loss.temperature": 0.7}),
        cell_of(**{"schedule.epochs": 50, "seed": 3}),
        cell_of(**{"schedule.epochs": 0, "schedule.warmup_epochs": 0}),
    ):
        assert why_anew(SIMCLR, [cell], [BEFORE]) is None
    for record in (
        replace(BEFORE, status="failed"),
        replace(BEFORE, weights={"from": "a.pth"}),
        replace(BEFORE, spec={"seed": 0, "schedule": {"epochs": 20}, "unknown": 1}),
        replace(BEFORE, workload="two-layer-cnn"),
    ):
        assert why_anew(SIMCLR, [more], [record]) is None
    assert why_anew(TWO_LAYER_CNN, [more], [BEFORE]) is None
