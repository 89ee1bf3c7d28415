"""Milliseconds: what `tune` searches in, how settings are drawn, and what it refuses."""

import itertools
import math
import statistics
from typing import Any

import pytest

from orchestrator.errors import PlanError
from orchestrator.plan import Plan
from orchestrator.plan.search import advanced, build_search, with_study
from orchestrator.plan.space import Choices, Range, Setting, Space, draws, read_space
from orchestrator.plan.study import Rules
from orchestrator.resources import Resources
from workloads.catalog.simclr import SIMCLR
from workloads.simclr.presets import preset
from workloads.simclr.spec import RunSpec

SHAPES = preset("shapes")


def test_choices_and_ranges_are_read() -> None:
    space = read_space(
        ["loss.temperature=0.1,0.5", "optim.base_learning_rate=1e-3..1", "head.hidden_dim=16..512"],
        RunSpec,
    )
    assert space == {
        "loss.temperature": Choices((0.1, 0.5)),
        "optim.base_learning_rate": Range(1e-3, 1.0),
        "head.hidden_dim": Range(16, 512),
    }
    assert read_space(["augment.color.strength=linear:0..1", "seed=linear:0..9"], RunSpec) == {
        "augment.color.strength": Range(0.0, 1.0, linear=True),
        "seed": Range(0, 9, linear=True),
    }
    assert read_space(["augment.operations=[crop],[crop, color]"], RunSpec) == {
        "augment.operations": Choices((["crop"], ["crop", "color"]))
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("loss.temperature", "is not of the form"),
        ("loss.temperature=", "is not of the form"),
        ("loss.temperature=0.1", "needs at least two choices"),
        ("loss.temperature=0.1,0.1", "none twice"),
        ("loss.temperature=1..0.1", "the smaller first"),
        ("loss.temperature=0..1", "two positive numbers"),
        ("loss.temperature=linear:1..0", "needs two numbers, the smaller first"),
        ("loss.temperature=linear:1,2", "linear: is of a range"),
        ("loss.temperature=a..b", "'a' is no number"),
        ("loss.temprature=1,2", "no such field; did you mean loss.temperature?"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(text: str, problem: str) -> None:
    with pytest.raises(PlanError) as refused:
        read_space([text, "seed=1..2", "seed=1,2"], RunSpec)
    assert len(refused.value.problems) == 2
    assert f"--search {text}: " in str(refused.value)
    assert problem in str(refused.value)
    assert "seed is searched twice" in str(refused.value)


def drawn(space: Space, count: int, seed: int) -> list[Setting]:
    return list(itertools.islice(draws(space, seed), count))


def plan_of(space: Space, samples: int, **rules: Any) -> Plan:
    return build_search(
        space,
        Rules(**rules),
        samples,
        SHAPES,
        SIMCLR,
        resources=Resources(),
        train_images=1800,
        shape=None,
    )


def test_a_space_of_choices_is_drawn_from_until_it_is_taken_whole() -> None:
    space = read_space(["loss.temperature=0.1,0.5", "head.num_linear_layers=0,1,2"], RunSpec)
    settings = drawn(space, 9, seed=0)
    assert len(settings) == 6
    assert {(one["loss.temperature"], one["head.num_linear_layers"]) for one in settings} == {
        (temperature, layers) for temperature in (0.1, 0.5) for layers in (0, 1, 2)
    }


def test_more_samples_begin_with_the_fewer_and_draws_are_uniform_in_the_logarithm() -> None:
    space = read_space(["optim.base_learning_rate=1e-4..1", "head.hidden_dim=16..512"], RunSpec)
    settings = drawn(space, 400, seed=3)
    assert drawn(space, 100, seed=3) == settings[:100]
    assert drawn(space, 100, seed=4) != settings[:100]
    logs = [math.log10(float(str(one["optim.base_learning_rate"]))) for one in settings]
    assert min(logs) >= -4
    assert max(logs) <= 0
    assert statistics.fmean(logs) == pytest.approx(-2, abs=3 * (4 / math.sqrt(12)) / math.sqrt(400))
    assert all(isinstance(one["head.hidden_dim"], int) for one in settings)


def test_a_linear_range_is_drawn_from_evenly_between_its_ends() -> None:
    space = read_space(["augment.color.strength=linear:0..1", "seed=linear:0..9"], RunSpec)
    settings = drawn(space, 400, seed=0)
    strengths = [float(str(one["augment.color.strength"])) for one in settings]
    assert min(strengths) >= 0
    assert max(strengths) <= 1
    assert len({*strengths}) > 300  # the field takes fractions, though both ends are whole
    assert {one["seed"] for one in settings} == set(range(10))


def test_a_larger_search_is_the_same_one_and_other_rules_make_another() -> None:
    space = read_space(["loss.temperature=0.1,0.2,0.4"], RunSpec)
    plan = plan_of(space, 3)
    assert plan.name == "tune"
    assert plan.is_search
    assert plan.sweep_id == plan_of(space, 8).sweep_id
    study = advanced(plan, {})
    assert with_study(plan, study).sweep_id == plan.sweep_id
    others = [
        plan_of(space, 3, sampler="random"),
        plan_of(space, 3, pruner="none"),
        plan_of(space, 3, generation=2),
        plan_of(read_space(["loss.temperature=0.1,0.2"], RunSpec), 3),
    ]
    assert len({plan.sweep_id, *(other.sweep_id for other in others)}) == 5


def test_all_that_is_wrong_with_a_search_is_said_together() -> None:
    space = read_space(["loss.temperature=0.1,-1", "schedule.batch_size=64,4096"], RunSpec)
    with pytest.raises(PlanError) as refused:
        plan_of(space, 1, sampler="anneal", pruner="median", generation=0)
    text = str(refused.value)
    for problem in (
        "--sampler anneal: no such sampler; known are tpe, gp, random",
        "--pruner median: no such pruner; known are asha, none",
        "--generation 0: must be at least 1",
        "--samples 1: must lie between 2 and 10000",
        "loss.temperature=-1: Input should be greater than 0",
        "schedule.batch_size=4096: is larger than the 1800 training images",
    ):
        assert problem in text


def test_values_that_are_fine_alone_are_refused_where_they_are_drawn_together() -> None:
    space = read_space(["schedule.epochs=4,20", "schedule.warmup_epochs=0,5"], RunSpec)
    with pytest.raises(PlanError, match=r"schedule.epochs=4, schedule.warmup_epochs=5: "):
        plan_of(space, 4)
