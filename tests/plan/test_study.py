"""Seconds: what a search asks and decides, on scores that a formula gives instead of runs.

Optuna itself answers for its samplers; here it is what they are told, and that nothing of a search
depends on when it was interrupted or in which order its runs ended.
"""

import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from orchestrator.plan import Plan
from orchestrator.plan.search import advanced, build_search, with_study
from orchestrator.plan.space import read_space
from orchestrator.plan.study import Rules, Study, Trial, read_study, rungs_of, score_at
from orchestrator.resources import Resources
from orchestrator.run_record import SCORE, RunRecord
from workloads.catalog.simclr import SIMCLR
from workloads.simclr.presets import preset
from workloads.simclr.spec import RunSpec

SIZE = {"tpe": 16, "gp": 9, "random": 16}  # a Gaussian process takes half a second a setting
SAMPLERS = tuple(SIZE)
FIELDS = (
    "optim.base_learning_rate=1e-4..1",
    "loss.temperature=0.05,0.1,0.5,1",
    "head.hidden_dim=16..512",
)


def plan_of(samples: int = 16, fields: tuple[str, ...] = FIELDS, **rules: Any) -> Plan:
    return build_search(
        read_space(fields, RunSpec),
        Rules(**rules),
        samples,
        preset("shapes").with_values({"schedule.epochs": 9, "schedule.warmup_epochs": 0}),
        SIMCLR,
        resources=Resources(),
        train_images=1800,
        shape=None,
    )


def quality(spec: Mapping[str, Any], epoch: int) -> float:
    """Best at a learning rate of 0.01 and a temperature of 0.1, and better with more epochs."""
    rate, temperature = spec["optim.base_learning_rate"], spec["loss.temperature"]
    return 50 + 3 * epoch - 10 * abs(math.log10(rate) + 2) - 10 * abs(math.log10(temperature) + 1)


def record_of(fingerprint: str, spec: RunSpec, until: int, **more: Any) -> RunRecord:
    flat = spec.flat()
    return RunRecord(
        name="",
        fingerprint=fingerprint,
        status="finished" if until == spec.schedule.epochs else "stopped",
        spec={},
        history=[
            {"epoch": float(epoch), SCORE: quality(flat, epoch)} for epoch in range(1, until + 1)
        ],
        **more,
    )


def steps(plan: Plan, order: random.Random | None = None) -> Iterator[Plan]:
    """The plan after each step, with runs that end one by one in some order."""
    records: dict[str, RunRecord] = {}
    while True:
        assert plan.search is not None
        study = advanced(plan, records)
        if study != plan.search.study:
            plan = with_study(plan, study)
            yield plan
            continue
        pairs = zip(study.trials, plan.cells, strict=True)
        missing = [cell for trial, cell in pairs if trial.is_pending]
        if not missing:
            return
        cell = (order or random.Random(0)).choice(missing)
        assert isinstance(cell.spec, RunSpec)
        until = cell.until or cell.spec.schedule.epochs
        records[cell.fingerprint] = record_of(cell.fingerprint, cell.spec, until)


def study_of(plan: Plan) -> Study:
    assert plan.search is not None
    return plan.search.study


def ended(plan: Plan, order: random.Random | None = None) -> Study:
    for later in steps(plan, order):
        plan = later
    return study_of(plan)


def through_json(study: Study) -> Study:
    return read_study(json.loads(json.dumps(study.tree(), allow_nan=False)))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_asks_and_decides_alike_whenever_it_is_interrupted(sampler: str) -> None:
    """With runs that end in another order, and from what a kill after a step leaves."""
    plan = plan_of(SIZE[sampler], sampler=sampler)
    whole = ended(plan)
    assert len(whole.trials) == SIZE[sampler]
    assert not whole.is_waiting
    assert ended(plan, random.Random(7)) == whole

    for later in itertools.islice(steps(plan), 0, None, 9):
        kept = through_json(study_of(later))
        assert kept == study_of(later)
        assert ended(with_study(plan, kept)) == whole


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_more_samples_continue_a_search(sampler: str) -> None:
    few = ended(plan_of(8, sampler=sampler))
    whole = plan_of(SIZE[sampler], sampler=sampler)
    more = ended(with_study(whole, few))
    assert len(more.trials) == SIZE[sampler]
    for trial, before in zip(more.trials, few.trials, strict=False):
        assert trial.setting == before.setting
        assert trial.scores[: len(before.scores)] == before.scores
    assert more.decisions[: len(few.decisions)] == few.decisions


def test_what_is_asked_later_is_better_than_what_was_drawn() -> None:
    trials = ended(plan_of(40)).trials

    def mean(some: tuple[Trial, ...]) -> float:
        return sum(quality(trial.setting, 0) for trial in some) / len(some)

    assert mean(trials[20:]) > mean(trials[:8]) + 5


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_no_setting_is_asked_twice_and_a_small_space_is_taken_whole(sampler: str) -> None:
    fields = ("loss.temperature=0.1,0.5,1", "optim.base_learning_rate=0.001,0.01,0.1")
    found = [repr(trial.setting) for trial in ended(plan_of(50, fields, sampler=sampler)).trials]
    assert len(found) == len(set(found)) == 9


def test_settings_that_are_the_same_run_are_asked_once() -> None:
    """Nothing reads the width of a hidden layer where there is none."""
    fields = ("head.num_linear_layers=0,1", "head.hidden_dim=16,32,64")
    plan = plan_of(50, fields)
    asked = []
    while study := advanced(with_study(plan, Study(study_of(plan).rungs, tuple(asked))), {}):
        new = study.trials[len(asked) :]
        if not new:
            break
        asked += [
            Trial(trial.number, trial.generation, trial.setting, 0, (1.0,), "diverged")
            for trial in new
        ]
    cells = with_study(plan, Study(study_of(plan).rungs, tuple(asked))).cells
    assert len({cell.fingerprint for cell in cells}) == len(cells) < 6


def test_the_better_third_at_a_rung_trains_on_and_the_budget_is_the_last_rung() -> None:
    """Against the rule by brute force, over all that had a score at the rung at that time."""
    study = ended(plan_of(16))
    assert study.rungs == (1, 3, 9)
    assert study.decisions
    for decision in study.decisions:
        here = [study.trials[number] for number in decision.scored]
        best = sorted(here, key=lambda trial: trial.scores[decision.rung], reverse=True)
        better = {trial.number for trial in best[: max(1, len(here) // 3)]}
        assert {*decision.promoted} <= better
    assert {len(trial.scores) for trial in study.trials} == {1, 2, 3}
    best = study.best
    assert best is not None
    assert best.scores[2] == max(trial.scores[2] for trial in study.trials if trial.rung == 2)


def test_rungs_end_with_the_whole_budget() -> None:
    assert rungs_of(100, "asha") == (11, 33, 99, 100)
    assert rungs_of(9, "asha") == (1, 3, 9)
    assert rungs_of(2, "asha") == (1, 2)
    assert rungs_of(1, "asha") == (1,)
    assert rungs_of(100, "none") == (100,)


def test_without_pruning_all_train_to_the_end() -> None:
    study = ended(plan_of(8, pruner="none"))
    assert study.rungs == (9,)
    assert all(len(trial.scores) == 1 for trial in study.trials)
    assert not study.decisions


@pytest.fixture
def first() -> Plan:
    return next(steps(plan_of(8, generation=3)))


def test_a_diverged_setting_is_out_and_a_failed_one_is_tried_again(first: Plan) -> None:
    one, two, three = first.cells
    lost = record_of(one.fingerprint, one.spec, 1, diverged=True)
    found = record_of(three.fingerprint, three.spec, 1)
    records = {one.fingerprint: lost, three.fingerprint: found}
    told = advanced(first, records, failed=[two.fingerprint])
    assert [trial.failed for trial in told.trials] == ["diverged", "failed", None]
    assert [trial.rung for trial in told.promoted().trials] == [0, 0, 1]
    again = told.tried_again()
    assert [trial.is_pending for trial in again.trials] == [False, True, False]


def test_a_setting_that_diverged_after_a_rung_takes_no_place_there_and_is_not_chosen() -> None:
    settings = [{"loss.temperature": 0.1 * (1 + number)} for number in range(4)]
    study = Study((1, 3)).asked(list(settings))
    study = study.told({0: (40.0,), 1: (30.0,), 2: (20.0,), 3: (10.0,)}, {}).promoted()
    assert [trial.rung for trial in study.trials] == [1, 0, 0, 0]

    lost = study.told({}, {0: "diverged"})
    assert lost.best is not None
    assert lost.best.number == 1
    following = lost.promoted()
    assert [trial.rung for trial in following.trials] == [1, 1, 0, 0]
    assert following.decisions[-1].scored == (1, 2, 3)
    assert study.told({}, dict.fromkeys(range(4), "failed")).best is None


def test_a_run_that_finished_before_is_judged_at_each_rung_by_its_score_there(first: Plan) -> None:
    told = advanced(
        first,
        {cell.fingerprint: record_of(cell.fingerprint, cell.spec, 9) for cell in first.cells},
    )
    assert [trial.scores for trial in told.trials] == [
        (quality(cell.spec.flat(), 1),) for cell in first.cells
    ]


def test_the_score_of_an_old_search_is_read_without_a_history() -> None:
    stopped = RunRecord(
        name="", fingerprint="", status="stopped", spec={}, epoch=3.0, results={SCORE: 40.0}
    )
    assert score_at(stopped, 3) == 40
    assert score_at(stopped, 4) is None


def test_a_longer_setting_has_its_rungs_at_the_same_parts_of_its_budget() -> None:
    plan = next(steps(plan_of(3, ("schedule.epochs=9,18,27",))))
    untils = {cell.spec.flat()["schedule.epochs"]: cell.until for cell in plan.cells}
    assert untils == {9: 1, 18: 2, 27: 3}
