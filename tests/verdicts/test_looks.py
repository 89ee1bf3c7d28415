"""Milliseconds: which looks are taken, and what part of the level each of them has."""

import math
from itertools import pairwise

import numpy as np
import pytest

from orchestrator.verdicts import Look, Looks, judge, looks_up_to, merged, next_look
from orchestrator.verdicts.looks import RESERVE
from search_spaces.claims import Claim, Comparison, Term

FIRST = 6 / math.pi**2


def kept(planned: tuple[int, ...] = (), taken: tuple[Look, ...] = ()) -> Looks:
    return Looks(planned, taken, is_kept=True)


def spent(looks: Looks) -> float:
    return math.fsum(look.share for look in looks.taken)


def test_looks_that_nobody_planned_add_up_to_the_level() -> None:
    looks = kept()
    for seeds in range(3, 500):
        looks = looks.after(seeds)
    assert [look.share for look in looks.taken[:3]] == pytest.approx([FIRST, FIRST / 4, FIRST / 9])
    assert 0.99 < spent(looks) <= 1


def test_a_look_at_the_same_seeds_or_fewer_is_no_look() -> None:
    looks = kept().after(5)
    assert looks.after(5) == looks == looks.after(3)
    assert looks.due(5) == [Look(5, looks.taken[0].share)]
    assert looks.due(4) == []
    assert kept().after(4, fewest=5) == kept(), "nothing could have been decided"


def test_a_plan_keeps_its_shares_whenever_its_looks_are_taken() -> None:
    plan = (3, 4, 6, 8)
    at_once, one_by_one = kept(plan).after(8), kept(plan)
    for seeds in plan:
        assert one_by_one.share(seeds) == pytest.approx(at_once.share(seeds))
        one_by_one = one_by_one.after(seeds)
        # as it comes back from the storage
        one_by_one = kept(plan, one_by_one.taken)
    assert one_by_one == at_once
    assert spent(at_once) == pytest.approx(1 - RESERVE)
    shares = [look.share * 64 / (1 - RESERVE) for look in at_once.taken]
    assert shares == pytest.approx([9, 7, 20, 28])


def test_between_planned_looks_is_none_and_after_the_last_is_one() -> None:
    looks = kept((3, 6)).after(5)
    assert [look.seeds for look in looks.taken] == [3]
    assert [look.seeds for look in looks.after(9).taken] == [3, 6, 9]
    assert looks.after(9).taken[-1] == next_look(looks.after(6), 9)


def test_a_plan_spends_what_is_left_and_leaves_a_tenth_of_it() -> None:
    """A look by hand at 3 seeds; then up to 6, 12 and 24."""
    looks, left = kept().after(3), 1 - FIRST
    for plan in ((3, 4, 6), (3, 4, 6, 8, 12), (3, 4, 6, 8, 11, 15, 24)):
        before = looks.taken
        looks = kept(plan, before).after(plan[-1])
        assert looks.taken[: len(before)] == before
        assert {look.plan for look in looks.taken[len(before) :]} == {plan}
        left *= RESERVE
        assert looks.left == pytest.approx(left)
    assert all(one.seeds < other.seeds for one, other in pairwise(looks.taken))


def test_what_no_look_can_decide_leaves_its_share_to_later_ones() -> None:
    looks = kept((3, 4, 6, 8)).after(8, fewest=5)
    assert [look.seeds for look in looks.taken] == [6, 8]
    assert spent(looks) == pytest.approx(1 - RESERVE)


def test_without_a_storage_one_look_has_the_whole_level() -> None:
    assert Looks().due(7) == [Look(7, 1.0)]
    assert math.fsum(look.share for look in Looks((3, 5, 9)).due(9)) == pytest.approx(1)


def test_looks_of_two_processes_are_kept_and_spend_no_more_than_there_is() -> None:
    one, other = kept().after(3).after(5), kept().after(3).after(6)
    both = merged([*one.taken, *other.taken])
    assert [look.seeds for look in both] == [3, 5, 6]
    assert merged([*both, *reversed(both)]) == both
    many = merged([*both, *(Look(n, 0.2) for n in range(7, 12))])
    assert math.fsum(look.share for look in many) == pytest.approx(1)
    Looks((), many, is_kept=True)


TIE = Claim.alike(
    "a is better", "nowhere", Comparison(label="a > 0", terms=(Term(at=("a",), weight=1.0),))
)
BY_HAND: tuple[tuple[int, tuple[int, ...]], ...] = tuple((n, ()) for n in range(3, 13))
HAND_THEN_PLAN = ((5, ()), *((n, looks_up_to(5, 12)) for n in range(6, 13)))
RAISED = tuple((n, looks_up_to(3, most)) for most in (6, 12, 24) for n in looks_up_to(3, most))


@pytest.mark.parametrize(
    "steps",
    [BY_HAND, HAND_THEN_PLAN, RAISED],
    ids=["one-by-one", "by-hand-then-planned", "raised"],
)
def test_at_a_tie_looking_again_keeps_the_level(
    steps: tuple[tuple[int, tuple[int, ...]], ...],
) -> None:
    """Each step is a number of seeds and a plan; the sweep ends with the first verdict."""
    trials, counts = 150, {"reproduced": 0, "contradicted": 0}
    for noise in np.random.default_rng(0).normal(size=(trials, 24)):
        taken: tuple[Look, ...] = ()
        for seeds, planned in steps:
            values = {(("a",), None): dict(enumerate(noise[:seeds]))}
            verdict = judge(TIE, "small", values, looks=Looks(planned), taken={"a > 0": taken})
            taken = merged([*taken, *verdict.judged[0].looks])
            if verdict.verdict in counts:
                counts[verdict.verdict] += 1
                break
    # the seed is fixed; without keeping looks it was 16 %
    assert max(counts.values()) <= 0.05 * trials, counts
