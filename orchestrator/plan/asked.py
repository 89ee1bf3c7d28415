"""What is wanted of an ablation, run by run: seeds, candidates, and what varies with the seed.

Pure.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from orchestrator.errors import PlanError
from search_spaces import UNTRAINED, Ablation
from search_spaces.ablation import Scale, Varied
from search_spaces.claims import Place
from search_spaces.layout import Cell
from search_spaces.values import Value
from workloads.spelling import did_you_mean

__all__ = [
    "MAX_SEEDS",
    "SAME_SEEDS",
    "Ask",
    "AskedRun",
    "Role",
    "Tuning",
    "asked_for",
    "by_claims",
    "read_tuning",
    "read_varied",
    "seed_chosen_for",
    "varied_fields",
]

Role = Literal["cell", "reference", "candidate", "sample"]
Tuning = Literal["per-seed", "once"]
Choices = Mapping[Place, Mapping[int, int]]  # of each tuned cell, by the seed of its candidates

MAX_SEEDS = 1000
SAME_SEEDS = "every cell has the same seeds; --seeds says how many"
SPLIT = "data.split_seed"
SUBSET, SUBSET_LISTS = "eval.finetune.subset_seed", "eval.finetune.subset_files"


@dataclass(frozen=True)
class Ask:
    """The part of an ablation that is wanted: seeds of every cell, and `more` of some cells.

    `chosen` has the candidates that tuned cells have chosen. With the tuning `per-seed` each seed
    has candidates of its own, that are compared on a validation split of its own; else the choice
    is made once and holds for all seeds. `vary` names what differs from seed to seed beside the
    seed.
    """

    seeds: int = 1
    more: Mapping[Place, int] = field(default_factory=dict)
    chosen: Choices = field(default_factory=dict)
    tuning: Tuning = "per-seed"
    vary: tuple[Varied, ...] = ()

    def seeds_of(self, at: Place) -> int:
        """Return the number of seeds of one cell."""
        return max(self.seeds, self.more.get(at, 0))

    def tunings_of(self, cell: Cell) -> int:
        """Return how often a cell chooses among its candidates."""
        if not cell.candidates:
            return 0
        return self.seeds_of(cell.at) if self.tuning == "per-seed" else 1

    def candidate_seed(self, first: int, number: int) -> int:
        """Return the seed of the candidates that the seed `first + number` chooses among.

        It is none that is reported: a choice by luck would flatter the seed that has the luck.
        """
        return first + MAX_SEEDS + (number if self.tuning == "per-seed" else 0)

    def choice(self, at: Place, first: int, number: int) -> int | None:
        """Return the candidate that a tuned cell takes for one of its seeds; None: none yet."""
        return self.chosen.get(at, {}).get(self.candidate_seed(first, number))

    def varied(self, flat: Mapping[str, Any], number: int, role: Role) -> dict[str, int]:
        """Return the values, beside the seed, of the fields that vary with it.

        `flat` are those of the run's fields before that.

        Candidates take the labelled subset of the seed that they are for. Their split always
        varies: on a common one all seeds would share the luck of one choice.
        """
        names: set[Varied] = set(self.vary)
        if role == "candidate":
            if self.tuning == "per-seed":
                names.add("split")
            else:
                number = 0
        return {path: flat[path] + number for path in varied_fields(flat, names)}


def seed_chosen_for(candidate_seed: int) -> int:
    """Return the seed that candidates with this seed are for; with a single choice, the first."""
    return candidate_seed - MAX_SEEDS


def varied_fields(flat: Mapping[str, Any], names: Collection[Varied]) -> list[str]:
    """Return the fields of a recipe that draw what varies.

    Those are left out that the recipe does not have. Labelled images that a file lists are not
    drawn.
    """
    drawn = {"split": SPLIT, "subset": SUBSET}
    if flat.get(SUBSET_LISTS) is not None:
        del drawn["subset"]
    return [path for name, path in drawn.items() if name in names and path in flat]


def read_tuning(text: str) -> Tuning:
    """Read how settings are chosen. Raises PlanError with what is known."""
    if text in get_args(Tuning):
        return cast(Tuning, text)
    known = ", ".join(get_args(Tuning))
    hint = did_you_mean(text, get_args(Tuning))
    raise PlanError([f"--tune {text}: must be one of {known}{hint}"])


def read_varied(text: str) -> tuple[Varied, ...]:
    """Read what varies from seed to seed, such as "seed,subset". Raises PlanError.

    The seed always does.
    """
    names = [name.strip() for name in text.split(",")]
    known = ("seed", *get_args(Varied))
    if unknown := [name for name in names if name not in known]:
        listed = ", ".join(unknown)
        hint = did_you_mean(unknown[0], known)
        raise PlanError([f"--vary {text}: {listed!r} is none of {', '.join(known)}{hint}"])
    if "seed" not in names:
        raise PlanError([f"--vary {text}: seed is needed, else runs of one cell are equal in it"])
    return tuple(name for name in get_args(Varied) if name in names)


@dataclass(frozen=True)
class AskedRun:
    """A run before its specification is made: the seed with this `number` of its cell."""

    at: Place
    seed: int
    number: int
    values: Mapping[str, Value]
    paper: float | None
    role: Role
    candidate: int | None = None


def asked_for(ablation: Ablation, scale: Scale, first: int, ask: Ask) -> Iterator[AskedRun]:
    """Yield all candidates, and then seed by seed the cells that do not wait for a choice."""
    cells = by_claims(ablation, scale)
    for number in range(max((ask.tunings_of(cell) for cell in cells), default=0)):
        seed = ask.candidate_seed(first, number)
        for cell in cells:
            candidates = cell.candidates if number < ask.tunings_of(cell) else ()
            for index, candidate in enumerate(candidates):
                values = {**ablation.fixed, **cell.values, **candidate}
                yield AskedRun(cell.at, seed, number, values, cell.paper, "candidate", index)

    most = max((ask.seeds_of(cell.at) for cell in cells), default=ask.seeds)
    untrained = ask.seeds_of(UNTRAINED) if ablation.untrained else 0
    for number in range(max(most, untrained)):
        seed = first + number
        if number < untrained:
            yield AskedRun(UNTRAINED, seed, number, {}, None, "reference")
        for cell in cells:
            choice = ask.choice(cell.at, first, number)
            if number >= ask.seeds_of(cell.at) or (cell.candidates and choice is None):
                continue
            chosen = cell.candidates[choice] if choice is not None else {}
            values = {**ablation.fixed, **cell.values, **chosen}
            yield AskedRun(cell.at, seed, number, values, cell.paper, "cell", choice)


def by_claims(ablation: Ablation, scale: Scale) -> list[Cell]:
    """Return the cells of the layout, those first that more claims rest on.

    Then come those of more comparisons, else its order holds. Within a seed: a verdict needs pairs,
    so every cell's seed comes before the next one of any.
    """
    claims, comparisons = Counter[Place](), Counter[Place]()
    for claim in ablation.claims:
        of_claim: set[Place] = set()
        for asked in claim.comparisons(scale):
            compared = {term.at for term in asked.terms}
            comparisons.update(compared)
            of_claim |= compared
        claims.update(of_claim)

    return sorted(
        ablation.layout(scale).cells, key=lambda cell: (-claims[cell.at], -comparisons[cell.at])
    )
