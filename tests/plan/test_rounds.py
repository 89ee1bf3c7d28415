"""Milliseconds: what a sweep wants next, from hand-made records: candidates of tuned cells, seeds
for undecided claims.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.plan import MAX_SEEDS, Ask, Plan, build, jobs_of
from orchestrator.plan.kept import kept_cells
from orchestrator.plan.rounds import choices, looks_of, next_ask, values_of
from orchestrator.run_record import RunRecord
from search_spaces import ABLATIONS, UNTRAINED, Ablation, Axis, Cell, Claim, Layout, Times
from search_spaces.claims import beats
from workloads.simclr.presets import preset

SHAPES = preset("shapes")
PLACES = (("a",), ("b",), ("c",), ("d",))
LAYOUT = Layout(
    axes=(Axis(name="cell", labels=("a", "b", "c", "d")),),
    cells=tuple(
        Cell(at=at, values={"loss.temperature": 0.1 * (1 + number)}, paper=60.0 - number)
        for number, at in enumerate(PLACES)
    ),
)
CLEAR = Claim.alike("a beats b", "Table 0", beats(("a",), ("b",)))
CLOSE = Claim.alike("c beats d", "Table 0", beats(("c",), ("d",)))
TUNED = Layout(
    axes=(Axis(name="cell", labels=("tuned", "plain")),),
    cells=(
        Cell(
            at=("tuned",),
            values={"loss.name": "margin-triplet"},
            candidates=tuple({"optim.base_learning_rate": Times(factor)} for factor in (0.5, 1, 2)),
        ),
        Cell(at=("plain",), values={"loss.temperature": 0.3}),
    ),
)
Results = Callable[[Any], RunRecord]


def ablation(layout: Layout, *claims: Claim) -> Ablation:
    return Ablation(
        name="made-up",
        title="Made up",
        question="Which?",
        source="Table 0",
        paper=layout,
        small=layout,
        figure="table",
        claims=claims
        or (Claim.alike("x", "Table 0", beats(layout.cells[0].at, layout.cells[1].at)),),
    )


def made_up(**tree: Any) -> RunRecord:
    return RunRecord.read({"name": "made up", "fingerprint": "0", "spec": {}, **tree})


def finished(**results: float) -> RunRecord:
    return made_up(status="finished", results=results, history=[{"contrastive_accuracy": 70.0}])


def records(plan: Plan, result: Results) -> dict[str, RunRecord]:
    return {cell.fingerprint: result(cell) for cell in plan.cells}


def test_seeds_are_added_only_to_cells_of_undecided_claims_and_in_the_steps_fixed_before() -> None:
    """a beats b by 10 in every seed; c and d differ by +-1."""
    asked = ablation(LAYOUT, CLEAR, CLOSE)
    levels = {("a",): 60.0, ("b",): 50.0, ("c",): 55.0, ("d",): 55.0}

    def result(cell: Any) -> RunRecord:
        noise = {("a",): 0.1, ("c",): 1.0}.get(cell.at, 0.0) * (-1) ** cell.seed
        return finished(linear_top1=levels.get(cell.at, 30.0) + noise + 0.01 * cell.seed)

    ask = Ask(seeds=3)
    taken = []
    for _ in range(10):
        plan = build(asked, SHAPES, ask=ask)
        following = next_ask(plan, records(plan, result), max_seeds=8)
        if following == ask:
            break
        ask = following
        taken.append({at: ask.seeds_of(at) for at in PLACES})
    looks = looks_of(3, 8)
    assert looks[0] == 3
    assert looks[-1] == 8
    assert [step[("c",)] for step in taken] == list(looks[1:])
    assert all(step[("a",)] == step[("b",)] == 3 for step in taken)
    assert all(step[("c",)] == step[("d",)] for step in taken)
    assert ask.seeds_of(UNTRAINED) == 3
    runs = {at: sum(cell.at == at for cell in build(asked, SHAPES, ask=ask).cells) for at in PLACES}
    assert runs == {("a",): 3, ("b",): 3, ("c",): 8, ("d",): 8}


def test_cells_that_have_not_ended_ask_for_nothing_more() -> None:
    plan = build(ablation(LAYOUT, CLOSE), SHAPES, seeds=3)
    assert next_ask(plan, {}, max_seeds=8).seeds_of(("c",)) == 3
    assert next_ask(plan, {}, max_seeds=None) == plan.ask


def candidates(plan: Plan, scores: list[float | None]) -> dict[str, RunRecord]:
    """Records of the candidates with these validation scores; None: diverged."""
    found: dict[str, RunRecord] = {}
    for cell in plan.cells:
        if cell.role == "candidate" and cell.candidate is not None and cell.candidate < len(scores):
            score = scores[cell.candidate]
            diverged = made_up(status="failed", diverged=True, error="LossNotFiniteError: nan")
            found[cell.fingerprint] = (
                diverged
                if score is None
                else finished(linear_validation_top1=score, linear_top1=1.0)
            )
    return found


def test_a_tuned_cell_waits_for_all_candidates_and_then_takes_the_best_on_validation() -> None:
    asked = ablation(TUNED)
    plan = build(asked, SHAPES, seeds=2)
    assert plan.waiting == (("tuned",),)
    assert [cell.at for cell in plan.cells if cell.role == "cell"] == [("plain",)] * 2
    first = [cell for cell in plan.cells if cell.role == "candidate"]
    assert [cell.seed for cell in first] == [MAX_SEEDS] * 3  # a seed that no result is reported of
    assert [cell.spec.flat()["optim.base_learning_rate"] for cell in first] == [0.005, 0.01, 0.02]
    assert next_ask(plan, candidates(plan, [40.0, 50.0]), max_seeds=None).chosen == {}
    for scores, best in (([40.0, 50.0, 45.0], 1), ([50.0, 50.0, 45.0], 0), ([None, 30.0, 31.0], 2)):
        assert next_ask(plan, candidates(plan, scores), max_seeds=None).chosen == {("tuned",): best}
    assert next_ask(plan, candidates(plan, [None, None, None]), max_seeds=None).chosen == {}

    ask = next_ask(plan, candidates(plan, [None, 30.0, 31.0]), max_seeds=None)
    second = build(asked, SHAPES, ask=ask)
    tuned = [cell for cell in second.cells if cell.at == ("tuned",) and cell.role == "cell"]
    assert [(cell.seed, cell.spec.flat()["optim.base_learning_rate"]) for cell in tuned] == [
        (0, 0.02),
        (1, 0.02),
    ]
    assert not second.waiting
    assert second.sweep_id == plan.sweep_id


def test_test_labels_do_not_choose() -> None:
    plan = build(ablation(TUNED), SHAPES)
    found = candidates(plan, [40.0, 50.0, 45.0])
    for number, (name, record) in enumerate(found.items()):
        results = {**record.results, "linear_top1": 99.0 - number}
        found[name] = replace(record, results=results)
    assert choices(ablation(TUNED), "small", kept_cells(plan), found) == {("tuned",): 1}


def test_values_are_by_seed_from_results_or_the_last_epoch_and_never_of_candidates() -> None:
    accuracy = Claim.alike(
        "x", "Table 0", beats(("tuned",), ("plain",), metric="contrastive_accuracy")
    )
    asked = ablation(TUNED, accuracy, Claim.alike("y", "Table 0", beats(("tuned",), UNTRAINED)))
    plan = build(asked, SHAPES, ask=Ask(2, {}, {("tuned",): 0}))
    found = records(
        plan, lambda cell: finished(linear_top1=50.0 + cell.seed, linear_validation_top1=1.0)
    )
    values = values_of(asked, "small", kept_cells(plan), found)
    assert values[("tuned",), "contrastive_accuracy"] == {0: 70.0, 1: 70.0}
    assert values[("tuned",), None] == {0: 50.0, 1: 51.0}
    assert values[UNTRAINED, None] == {0: 50.0, 1: 51.0}


def test_several_ablations_run_equal_cells_once() -> None:
    plans = [build(ABLATIONS[name], SHAPES) for name in ("head", "small-batches")]
    jobs = jobs_of(plans)
    shared = plans[0].jobs.keys() & plans[1].jobs.keys()
    assert len(jobs) == len(plans[0].jobs) + len(plans[1].jobs) - len(shared)
    assert len(shared) == 2  # the untrained encoder, and the preset itself
    assert list(jobs)[: len(plans[0].jobs)] == list(plans[0].jobs)


@pytest.mark.parametrize(("seeds", "most"), [(1, 5), (3, 20), (5, 5)])
def test_looks_begin_with_what_was_asked_and_end_with_the_most(seeds: int, most: int) -> None:
    looks = looks_of(seeds, most)
    assert looks[0] >= seeds
    assert looks[-1] == most
    assert list(looks) == sorted(set(looks))
