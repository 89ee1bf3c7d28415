"""Milliseconds: what `tune` searches in, how settings are drawn, and what it refuses."""

import math
import statistics

import pytest

from orchestrator.errors import PlanError
from orchestrator.plan.search import Choices, Range, build_search, drawn, read_space
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
        "optim.base_learning_rate": Range(1e-3, 1),
        "head.hidden_dim": Range(16, 512),
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
        ("loss.temperature=a..b", "'a' is no number"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(text: str, problem: str) -> None:
    with pytest.raises(PlanError) as refused:
        read_space([text, "seed=1..2", "seed=1,2"], RunSpec)
    assert len(refused.value.problems) == 2
    assert f"--search {text}: " in str(refused.value)
    assert problem in str(refused.value)
    assert "seed is searched twice" in str(refused.value)


def test_a_small_space_of_choices_is_taken_whole() -> None:
    space = read_space(["loss.temperature=0.1,0.5", "head.num_linear_layers=0,1,2"], RunSpec)
    settings = drawn(space, 6, seed=0)
    assert len(settings) == 6
    assert {(one["loss.temperature"], one["head.num_linear_layers"]) for one in settings} == {
        (temperature, layers) for temperature in (0.1, 0.5) for layers in (0, 1, 2)
    }
    assert len(drawn(space, 5, seed=0)) == 5


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


def test_a_search_is_a_plan_of_samples_and_its_identity_is_the_settings() -> None:
    space = read_space(["loss.temperature=0.1,0.2,0.4"], RunSpec)

    def plan(samples: int) -> tuple[str, list[float]]:
        found = build_search(
            space, samples, SHAPES, SIMCLR, resources=Resources(), train_images=1800, shape=None
        )
        assert found.name == "tune"
        assert all(cell.role == "sample" for cell in found.cells)
        return found.sweep_id, [float(cell.spec.flat()["loss.temperature"]) for cell in found.cells]

    assert plan(3)[1] == [0.1, 0.2, 0.4]
    assert plan(3)[0] == plan(8)[0]  # the space is whole either way
    assert plan(2)[0] != plan(3)[0]


def test_settings_that_cannot_run_are_refused_together() -> None:
    space = read_space(["loss.temperature=0.1,-1", "schedule.batch_size=64,4096"], RunSpec)
    with pytest.raises(PlanError) as refused:
        build_search(space, 4, SHAPES, SIMCLR, resources=Resources(), train_images=1800, shape=None)
    text = str(refused.value)
    assert (
        "loss.temperature=-1, schedule.batch_size=64: loss.temperature=-1: Input should be "
        "greater than 0"
    ) in text
    assert "schedule.batch_size=4096: is larger than the 1800 training images" in text
    with pytest.raises(PlanError, match="--samples 1: must lie between 2 and"):
        build_search(space, 1, SHAPES, SIMCLR, resources=Resources(), train_images=1800, shape=None)
