"""Milliseconds: what `--over` reads, and the runs that it asks for."""

import itertools
import math
from dataclasses import replace

import pytest

from orchestrator.errors import PlanError
from orchestrator.plan import build
from orchestrator.plan.over import Over, over_question
from search_spaces.claims import above, beats
from workloads.catalog import workload_named
from workloads.catalog.simclr import SIMCLR
from workloads.simclr.presets import preset

SHAPES = preset("shapes")
TEMPERATURE = "loss.temperature=0.05,0.1,0.5"
LAYERS = "head.num_linear_layers=1, 2"


def test_runs_are_those_of_specifications_written_by_hand() -> None:
    question = over_question(Over((TEMPERATURE, LAYERS)), SIMCLR)
    plan = build(question, SHAPES, seeds=2)
    by_hand = {
        SHAPES.with_values(
            {"loss.temperature": temperature, "head.num_linear_layers": layers, "seed": seed}
        ).fingerprint()
        for temperature, layers, seed in itertools.product((0.05, 0.1, 0.5), (1, 2), (0, 1))
    }
    assert {cell.fingerprint for cell in plan.cells if cell.role == "cell"} == by_hand
    assert len(by_hand) == 12


@pytest.mark.parametrize(
    ("axes", "figure"),
    [
        ([TEMPERATURE], "lines"),
        ([TEMPERATURE, LAYERS], "heatmap"),
        ([TEMPERATURE, LAYERS, "optim.name=sgd,lars"], "maps"),
    ],
)
def test_the_number_of_axes_chooses_the_figure(axes: list[str], figure: str) -> None:
    question = over_question(Over(tuple(axes)), SIMCLR)
    assert question.figure == figure
    assert [axis.name for axis in question.small.axes] == [one.partition("=")[0] for one in axes]


def test_a_question_is_the_same_however_its_values_are_written() -> None:
    texts = ("loss.temperature=0.05, 1, 5e-1", "loss.temperature = 0.050,1.0,0.5")
    one, other = (over_question(Over((text,)), SIMCLR) for text in texts)
    assert build(one, SHAPES).sweep_id == build(other, SHAPES).sweep_id
    assert one.small.axes[0].labels == ("0.05", "1", "0.5")
    assert one.name == "over-loss-temperature"
    fewer = over_question(Over(("loss.temperature=0.05,1",)), SIMCLR)
    assert build(one, SHAPES).sweep_id != build(fewer, SHAPES).sweep_id


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("augment.operations=[crop],[crop,color]", ("crop", "crop, color")),
        ("loss.normalize=true,no", ("true", "false")),
        ("optim.name=sgd,lars", ("sgd", "lars")),
    ],
)
def test_values_are_of_the_type_of_their_field(text: str, labels: tuple[str, ...]) -> None:
    assert over_question(Over((text,)), SIMCLR).small.axes[0].labels == labels


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_a_range_is_even_by_its_logarithm_and_ends_where_it_was_told(count: int) -> None:
    question = over_question(Over((f"loss.temperature=0.05..0.8:{count}",)), SIMCLR)
    found = [float(label) for label in question.small.axes[0].labels]
    assert (found[0], found[-1], len(found)) == (0.05, 0.8, count)
    steps = [math.log(after / before) for before, after in itertools.pairwise(found)]
    assert steps == pytest.approx([math.log(16) / (count - 1)] * (count - 1), rel=1e-3)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("schedule.batch_size=32..128:3", ("32", "64", "128")),
        ("schedule.batch_size=32..128:4:linear", ("32", "64", "96", "128")),
        ("loss.temperature=0.1..0.5:3:linear", ("0.1", "0.3", "0.5")),
        ("loss.temperature=1..2:3:linear", ("1", "1.5", "2")),
        ("optim.weight_decay=0..1:3:linear", ("0", "0.5", "1")),
    ],
)
def test_ranges_are_whole_where_their_field_is(text: str, labels: tuple[str, ...]) -> None:
    assert over_question(Over((text,)), SIMCLR).small.axes[0].labels == labels


def test_claims_are_in_the_language_of_claims() -> None:
    over = Over((TEMPERATURE,), ("0.1 > 0.5", "0.1 is above 50"))
    first, second = over_question(over, SIMCLR).claims
    assert first.statement == "0.1 > 0.5"
    assert first.comparisons("small") == (beats(("0.1",), ("0.5",)),)
    assert second.comparisons("small") == (above(("0.1",), 50),)


def test_another_workload_is_compared_by_its_own_metric() -> None:
    workload = workload_named("two-layer-cnn")
    field = next(
        name
        for name, value in next(iter(workload.presets.values()))().flat().items()
        if type(value) is int and name != "seed"
    )
    question = over_question(Over((f"{field}=2,3",)), workload)
    assert (question.workload, question.metric) == ("two-layer-cnn", "test_error")


@pytest.mark.parametrize(
    "metric",
    ["knn_top1", "loss", "online_top1", "finetune_5_top1", "mine:sharpness", "spread_percent"],
)
def test_cells_are_compared_by_any_result_of_a_run_and_by_those_of_own_metrics(
    metric: str,
) -> None:
    assert over_question(Over((TEMPERATURE,), metric=metric), SIMCLR).metric == metric


def test_a_recipe_with_own_metrics_may_have_results_of_any_name() -> None:
    over = Over((TEMPERATURE,), metric="sharpness")
    with pytest.raises(PlanError, match="--metric sharpness: no such result"):
        over_question(over, SIMCLR)
    assert over_question(replace(over, own_metrics=True), SIMCLR).metric == "sharpness"


def test_all_that_is_wrong_is_said_at_once() -> None:
    over = Over(
        (
            "loss.temprature=0.1,0.2",
            "head.num_linear_layers=1",
            "seed=1,2",
            "loss.temperature=-1..1:3",
            "schedule.epochs=1..3:9",
            "loss.margin",
            "optim.weight_decay=0.1..1",
        ),
        metric="linear_top2",
    )
    with pytest.raises(PlanError) as error:
        over_question(over, SIMCLR)
    found = "\n".join(error.value.problems)
    for problem in (
        "--over loss.temprature=0.1,0.2: loss.temprature: no such field; did you mean loss.temp",
        "--over head.num_linear_layers=1: needs two values",
        "--over seed=1,2: every cell has the same seeds",
        "--over loss.temperature=-1..1:3: -1 has no logarithm",
        "--over schedule.epochs=1..3:9: there are no 9 different whole numbers",
        "--over loss.margin: is not of the form",
        "--over optim.weight_decay=0.1..1: is not of the form FIELD=LOW..HIGH:NUMBER",
        "7 axes cannot be drawn, at most 3",
        "--metric linear_top2: no such result; did you mean linear_top",
    ):
        assert problem in found
    assert len(error.value.problems) == 9


@pytest.mark.parametrize(
    ("over", "problem"),
    [
        (Over((TEMPERATURE,), ("0.1 > 0.7",)), r"--claim 0\.1 > 0\.7: .*0\.7.*is no label"),
        (Over((TEMPERATURE,), name="My question"), "--name My question: .*lower-case words"),
        (Over(("loss.temperature=0.1,0.10",)), "--over loss.temperature: .*twice"),
        (Over((TEMPERATURE, TEMPERATURE)), "loss.temperature is there twice"),
    ],
)
def test_a_mistake_is_told_by_its_option(over: Over, problem: str) -> None:
    with pytest.raises(PlanError, match=problem):
        over_question(over, SIMCLR)
