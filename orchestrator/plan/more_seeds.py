"""How many seeds the cells of undecided claims are to have next, comparison by comparison. Pure.

What counts towards a look is pairs: seeds that all cells of a comparison have finished. What is
asked for is seeds, of which some are lost: a run diverges, fails, or says nothing. So the next
number is taken from the seeds that were asked for, and what is lost is made up for at the end, by
further seeds, until there are as many pairs as the last look wants.
"""

from collections.abc import Iterable, Sequence

from orchestrator.plan.cells import MAX_SEEDS, Ask
from orchestrator.verdicts import ClaimVerdict, Lost, Values
from search_spaces.claims import Comparison, Place

__all__ = ["FEWEST_PAIRLESS", "most_asked", "seeds_wanted"]

FEWEST_PAIRLESS = 3  # seeds that are all lost: then more of them are not worth their runs


def most_asked(max_seeds: int) -> int:
    """Return how many seeds are asked for at most, lost ones replaced: half as many again."""
    return min(MAX_SEEDS, max_seeds + max_seeds // 2)


def seeds_wanted(
    verdicts: Iterable[ClaimVerdict],
    ask: Ask,
    first: int,
    values: Values,
    lost: Lost,
    looks: Sequence[int],
) -> dict[Place, int]:
    """Return the numbers of seeds that cells are to have, of those that are to have more.

    `first` is the first seed, `looks` are the numbers of pairs at which is looked. A comparison
    whose runs have not all ended asks for nothing, nor does one that is decided, or tied.
    """
    wanted: dict[Place, int] = {}
    for claim in verdicts:
        if claim.verdict != "undecided":
            continue
        for one in claim.judged:
            if one.verdict != "undecided" or one.tied:
                continue
            count = _following(one.comparison, ask, first, values, lost, looks)
            for term in one.comparison.terms if count is not None else ():
                wanted[term.at] = max(count or 0, wanted.get(term.at, 0))
    return wanted


def _following(
    comparison: Comparison,
    ask: Ask,
    first: int,
    values: Values,
    lost: Lost,
    looks: Sequence[int],
) -> int | None:
    """The seeds that an undecided comparison asks for next; None for no more."""
    columns = [values.get((term.at, term.metric), {}) for term in comparison.terms]
    gone = [lost.get(term.at, {}) for term in comparison.terms]
    asked = min(ask.seeds_of(term.at) for term in comparison.terms)
    seeds = range(first, first + asked)
    is_lost = {seed for seed in seeds if any(seed in one for one in gone)}
    pairs = sum(all(seed in column for column in columns) for seed in seeds if seed not in is_lost)
    if comparison.event is not None:  # of which a lost run is an outcome
        pairs, is_lost = pairs + len(is_lost), set()
    if pairs + len(is_lost) < asked or (not pairs and asked >= FEWEST_PAIRLESS):
        return None

    following = next((look for look in looks if look > asked), None)
    if following is None:
        following = min(asked + looks[-1] - pairs, most_asked(looks[-1]))
    return following if following > asked else None
