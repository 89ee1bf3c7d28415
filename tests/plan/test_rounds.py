"""Milliseconds: what a sweep wants next, from hand-made records: candidates of tuned cells, seeds
for undecided claims.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.errors import PlanError
from orchestrator.plan import MAX_SEEDS, Ask, Plan, build, jobs_of
from orchestrator.plan.asked import read_tuning, read_varied, varied_fields
from orchestrator.plan.kept import kept_cells
from orchestrator.plan.more_seeds import most_asked
from orchestrator.plan.rounds import choices, looks_of, lost_of, next_ask, values_of
from orchestrator.run_record import RunRecord
from search_spaces import ABLATIONS, UNTRAINED, Ablation, Axis, Cell, Claim, Layout, Times
from search_spaces.claims import Place, beats, rate_above
from workloads.simclr.presets import preset
from workloads.workload import Specification

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
    # Four cells say too little on the spread, so that five seeds are the fewest that are judged.
    assert [step[("a",)] for step in taken] == [4, 6, 6]
    assert all(step[("a",)] == step[("b",)] for step in taken)
    assert all(step[("c",)] == step[("d",)] for step in taken)
    assert ask.seeds_of(UNTRAINED) == 3
    runs = {at: sum(cell.at == at for cell in build(asked, SHAPES, ask=ask).cells) for at in PLACES}
    assert runs == {("a",): 6, ("b",): 6, ("c",): 8, ("d",): 8}


def test_cells_that_have_not_ended_ask_for_nothing_more() -> None:
    plan = build(ablation(LAYOUT, CLOSE), SHAPES, seeds=3)
    assert next_ask(plan, {}, max_seeds=8).seeds_of(("c",)) == 3
    assert next_ask(plan, {}, max_seeds=None) == plan.ask


def asked_for(
    question: Ablation, result: Results, base: Specification, most: int, *cells: Place
) -> list[int]:
    """The numbers of seeds, from 3 on, that a cell is asked for in turn; all `cells` alike."""
    ask, counts = Ask(seeds=3), list[int]()
    while True:
        plan = build(question, base, ask=ask)
        counts.append(ask.seeds_of(cells[0]))
        assert {ask.seeds_of(at) for at in cells} == {counts[-1]}
        following = next_ask(plan, records(plan, result), max_seeds=most)
        if following == ask:
            return counts
        ask = following


def undecided(cell: Any, *changing: Place) -> float:
    """Up and down in the cells that are `changing`, the same in all others: nothing is decided."""
    return 50.0 + 5.0 * (-1) ** cell.seed * (cell.at in changing)


@pytest.mark.parametrize(
    ("lost", "counts"),
    [
        ((), [3, 4, 6, 8, 11, 12]),
        ((1,), [3, 4, 6, 8, 11, 12, 13]),
        (range(1, 1000, 3), [3, 4, 6, 8, 11, 12, 16, 17, 18]),
        ((11, 12), [3, 4, 6, 8, 11, 12, 13, 14]),
        (range(1000), [3]),
    ],
    ids=["none", "one", "a-third", "a-replacement", "all"],
)
@pytest.mark.parametrize("how", ["diverged", "failed"])
def test_lost_seeds_are_replaced_up_to_half_as_many_again(
    lost: Collection[int], counts: list[int], how: str
) -> None:
    """Of flip and blur one cell loses seeds, which its comparisons are short of."""
    question = ABLATIONS["flip-and-blur"]
    flipped = question.claims[0].comparisons("small")[0]
    first, compared = flipped.terms[0].at, {term.at for term in flipped.terms}

    def result(cell: Any) -> RunRecord:
        if cell.at == first and cell.seed in lost:
            return made_up(status="failed", diverged=how == "diverged", error="nan")
        return finished(linear_top1=undecided(cell, first))

    assert asked_for(question, result, SHAPES, 12, *compared) == counts


def test_runs_that_do_not_count_are_replaced() -> None:
    question = replace(ablation(LAYOUT, CLOSE), counts_if="converged")

    def result(cell: Any) -> RunRecord:
        lost = cell.at == ("d",) and cell.seed == 0
        return finished(linear_top1=undecided(cell, ("c",)), converged=float(not lost))

    assert asked_for(question, result, SHAPES, 6, ("c",), ("d",)) == [3, 4, 6, 7]
    plan = build(question, SHAPES, seeds=3)
    found = records(plan, result)
    assert lost_of(question, kept_cells(plan), found) == {("d",): {0: "not converged"}}
    assert 0 not in values_of(question, "small", kept_cells(plan), found)[("d",), None]


def test_a_comparison_that_lost_a_seed_holds_no_other_up() -> None:
    """One claim of two comparisons, of which one has a pair less than the other."""
    both = Claim.alike("c", "Table 0", beats(("a",), ("b",)), beats(("c",), ("d",)))

    def result(cell: Any) -> RunRecord:
        if (cell.at, cell.seed) == (("d",), 2):
            return made_up(status="failed", diverged=True, error="nan")
        return finished(linear_top1=undecided(cell, ("a",), ("c",)))

    plan = build(ablation(LAYOUT, both), SHAPES, seeds=3)
    ask = next_ask(plan, records(plan, result), max_seeds=8)
    assert {at: ask.seeds_of(at) for at in PLACES} == dict.fromkeys(PLACES, 4)


def test_no_more_seeds_are_asked_for_than_there_are() -> None:
    assert most_asked(12) == 18
    assert most_asked(MAX_SEEDS) == MAX_SEEDS, "beyond are those of candidates"


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
    plan = build(asked, SHAPES, ask=Ask(2, tuning="once"))
    assert plan.waiting == ((("tuned",), 0), (("tuned",), 1))
    assert [cell.at for cell in plan.cells if cell.role == "cell"] == [("plain",)] * 2
    first = [cell for cell in plan.cells if cell.role == "candidate"]
    assert [cell.seed for cell in first] == [MAX_SEEDS] * 3  # a seed that no result is reported of
    assert [cell.spec.flat()["optim.base_learning_rate"] for cell in first] == [0.005, 0.01, 0.02]
    assert next_ask(plan, candidates(plan, [40.0, 50.0]), max_seeds=None).chosen == {}
    for scores, best in (([40.0, 50.0, 45.0], 1), ([50.0, 50.0, 45.0], 0), ([None, 30.0, 31.0], 2)):
        chosen = next_ask(plan, candidates(plan, scores), max_seeds=None).chosen
        assert chosen == {("tuned",): {MAX_SEEDS: best}}
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


def test_each_seed_chooses_among_candidates_and_by_a_split_of_its_own() -> None:
    asked = ablation(TUNED)
    plan = build(asked, SHAPES, seeds=3)
    tried = [cell for cell in plan.cells if cell.role == "candidate"]
    assert [(cell.seed, cell.candidate) for cell in tried] == [
        (MAX_SEEDS + number, candidate) for number in range(3) for candidate in range(3)
    ]
    for cell in tried:
        assert cell.spec.flat()["data.split_seed"] == cell.seed - MAX_SEEDS
    # The first seed's are those of a choice that is made once: nothing of it is run again.
    once = build(asked, SHAPES, ask=Ask(3, tuning="once"))
    assert {cell.fingerprint for cell in tried[:3]} == {
        cell.fingerprint for cell in once.cells if cell.role == "candidate"
    }
    assert once.sweep_id != plan.sweep_id, "values that differ in how they came about do not mix"

    best = {MAX_SEEDS: 2, MAX_SEEDS + 2: 0}
    found = {
        cell.fingerprint: finished(
            linear_validation_top1=60.0 + (cell.candidate == best[cell.seed])
        )
        for cell in tried
        if cell.seed in best
    }
    ask = next_ask(plan, found, max_seeds=None)
    assert ask.chosen == {("tuned",): best}
    second = build(asked, SHAPES, ask=ask)
    assert second.waiting == ((("tuned",), 1),), "other seeds do not wait for it"
    runs = [cell for cell in second.cells if cell.at == ("tuned",) and cell.role == "cell"]
    assert [(cell.seed, cell.spec.flat()["optim.base_learning_rate"]) for cell in runs] == [
        (0, 0.02),
        (2, 0.005),
    ]
    assert {cell.spec.flat()["data.split_seed"] for cell in runs} == {0}, "unless it varies"
    assert second.sweep_id == plan.sweep_id


def test_a_seed_none_of_whose_candidates_can_be_trained_is_lost_and_replaced() -> None:
    asked = ablation(TUNED)

    def result(cell: Any) -> RunRecord:
        if cell.role == "candidate" and cell.seed == MAX_SEEDS + 1:
            return made_up(status="failed", diverged=True, error="nan")
        return finished(linear_top1=undecided(cell, ("tuned",)), linear_validation_top1=60.0)

    ask = Ask(seeds=3)
    for count in (3, 4, 6):
        plan = build(asked, SHAPES, ask=ask)
        ask = next_ask(plan, records(plan, result), max_seeds=6)  # its candidates have chosen
        plan = build(asked, SHAPES, ask=ask)
        found = records(plan, result)
        assert lost_of(asked, kept_cells(plan), found) == {("tuned",): {1: "diverged"}}
        assert ask.seeds_of(("tuned",)) == count
        ask = next_ask(plan, found, max_seeds=6)
    assert ask.seeds_of(("tuned",)) == 7


def test_in_rates_lost_runs_are_outcomes_and_are_not_replaced() -> None:
    claim = Claim.alike("c", "Table 0", rate_above(("c",), 0.5, metric="converged"))
    question = replace(ablation(LAYOUT, claim), counts_if="converged")

    def result(cell: Any) -> RunRecord:
        lost = cell.at == ("c",) and cell.seed % 2
        return finished(linear_top1=50.0, converged=float(not lost))

    assert asked_for(question, result, SHAPES, 8, ("c",)) == [3, 4, 6, 8]


def test_what_varies_differs_from_seed_to_seed_and_not_from_cell_to_cell() -> None:
    asked, base = ABLATIONS["few-labels"], SHAPES.with_values({"data.split_seed": 5})
    for vary, subsets, splits in (
        ((), {0}, {5}),
        (("subset",), {0, 1, 2}, {5}),
        (("subset", "split"), {0, 1, 2}, {5, 6, 7}),
    ):
        chosen = {
            cell.at: {MAX_SEEDS + number: 0 for number in range(3)} for cell in asked.small.cells
        }
        plan = build(asked, base, ask=Ask(3, chosen=chosen, vary=vary))
        drawn = {}
        for cell in plan.cells:
            flat = cell.spec.flat()
            if cell.role == "cell":
                drawn[cell.at, cell.seed] = (
                    flat["eval.finetune.subset_seed"],
                    flat["data.split_seed"],
                )
            else:
                assert flat["data.split_seed"] == 5 + cell.seed - MAX_SEEDS
                of_seed = cell.seed - MAX_SEEDS if "subset" in vary else 0
                assert flat["eval.finetune.subset_seed"] == of_seed, "as the seed it is chosen for"
        assert {subset for subset, _ in drawn.values()} == subsets
        assert {split for _, split in drawn.values()} == splits
        for seed in range(3):
            assert len({drawn[cell.at, seed] for cell in asked.small.cells}) == 1

    listed = base.flat() | {"eval.finetune.subset_files": "/lists"}
    assert varied_fields(listed, ["subset", "split"]) == ["data.split_seed"]


def test_the_untrained_encoder_is_evaluated_with_what_varies() -> None:
    plan = build(ablation(LAYOUT), SHAPES, ask=Ask(2, vary=("split",)))
    splits = [
        cell.spec.flat()["data.split_seed"] for cell in plan.cells if cell.role == "reference"
    ]
    assert splits == [0, 1]


@pytest.mark.parametrize(
    ("read", "text", "problem"),
    [
        (read_varied, "subset", "--vary subset: seed is needed"),
        (read_varied, "seed,order", "--vary seed,order: 'order' is none of seed, subset, split"),
        (read_tuning, "twice", "--tune twice: must be one of per-seed, once"),
    ],
)
def test_a_wrong_word_is_refused_with_those_that_are_known(
    read: Callable[[str], object], text: str, problem: str
) -> None:
    with pytest.raises(PlanError, match=re.escape(problem)):
        read(text)
    assert read_varied("split, seed") == ("split",)
    assert read_tuning("per-seed") == "per-seed"


def test_test_labels_do_not_choose() -> None:
    plan = build(ablation(TUNED), SHAPES)
    found = candidates(plan, [40.0, 50.0, 45.0])
    for number, (name, record) in enumerate(found.items()):
        results = {**record.results, "linear_top1": 99.0 - number}
        found[name] = replace(record, results=results)
    assert choices(ablation(TUNED), "small", kept_cells(plan), found) == {
        ("tuned",): {MAX_SEEDS: 1}
    }


def test_values_are_by_seed_from_results_or_the_last_epoch_and_never_of_candidates() -> None:
    accuracy = Claim.alike(
        "x", "Table 0", beats(("tuned",), ("plain",), metric="contrastive_accuracy")
    )
    asked = ablation(TUNED, accuracy, Claim.alike("y", "Table 0", beats(("tuned",), UNTRAINED)))
    plan = build(asked, SHAPES, ask=Ask(2, {}, {("tuned",): {MAX_SEEDS: 0, MAX_SEEDS + 1: 0}}))
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
