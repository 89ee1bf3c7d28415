"""What a search has asked and seen, and who trains on at each rung. Pure.

Successive halving with promotion (ASHA, Li et al. 2020), whose decisions are taken when everything
that was begun has come to its rung. So they rest on a fixed set of scores, and not on which run
ended first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, get_args

from orchestrator.plan.space import Setting, Space, read_values
from orchestrator.run_record import SCORE, RunRecord

__all__ = [
    "GENERATION",
    "PRUNERS",
    "SAMPLERS",
    "Decision",
    "Failure",
    "Rules",
    "Search",
    "Study",
    "Trial",
    "read_search",
    "read_study",
    "rungs_of",
    "score_at",
]

Sampler = Literal["tpe", "gp", "random"]
Pruner = Literal["asha", "none"]
Failure = Literal["diverged", "failed"]
SAMPLERS, PRUNERS = get_args(Sampler), get_args(Pruner)
GENERATION = 4  # settings that are asked at once
REDUCTION = 3  # of so many at a rung one trains on
DIVISION = 9  # the first rung is at this part of the budget


@dataclass(frozen=True)
class Rules:
    """What decides a search beside the scores."""

    sampler: str = "tpe"
    pruner: str = "asha"
    generation: int = GENERATION
    seed: int = 0


@dataclass(frozen=True)
class Trial:
    """A setting that was asked: up to which rung it trains, and its score at each so far."""

    number: int
    generation: int
    setting: Setting
    rung: int = 0
    scores: tuple[float, ...] = ()
    failed: Failure | None = None

    @property
    def is_pending(self) -> bool:
        """True while it has not come to its rung."""
        return self.failed is None and len(self.scores) <= self.rung


@dataclass(frozen=True)
class Decision:
    """Who trained on at a rung, when `scored` trials had a score there."""

    rung: int
    scored: tuple[int, ...]
    promoted: tuple[int, ...]


@dataclass(frozen=True)
class Study:
    """The history of a search: its trials in the order in which they were asked."""

    rungs: tuple[int, ...]
    trials: tuple[Trial, ...] = ()
    decisions: tuple[Decision, ...] = ()

    @property
    def last(self) -> int:
        """The position of the last rung, which is the whole budget."""
        return len(self.rungs) - 1

    @property
    def is_waiting(self) -> bool:
        """True while trials have not come to their rungs: nothing is decided then."""
        return any(trial.is_pending for trial in self.trials)

    @property
    def best(self) -> Trial | None:
        """The best of those that came furthest and did not fail; the first of equal ones."""
        scored = [trial for trial in self.trials if trial.scores and trial.failed is None]
        return max(
            scored,
            key=lambda trial: (len(trial.scores), trial.scores[-1], -trial.number),
            default=None,
        )

    def told(self, scores: Mapping[int, tuple[float, ...]], failed: Mapping[int, Failure]) -> Self:
        """Add what became of trials, by number: scores at their rungs so far, or a failure."""
        return replace(
            self,
            trials=tuple(
                replace(
                    trial,
                    scores=scores.get(trial.number, trial.scores),
                    failed=failed.get(trial.number, trial.failed),
                )
                for trial in self.trials
            ),
        )

    def promoted(self) -> Self:
        """Let the better third of all that have a score at a rung train on, and one at least.

        One that has failed counts as worst at each rung. The same study where nobody trains on.
        """
        assert not self.is_waiting, "decisions rest on all scores"
        decisions, ahead = list(self.decisions), set[int]()
        for rung in range(self.last):
            here = [trial for trial in self.trials if len(trial.scores) > rung or trial.failed]
            scored = [trial for trial in here if trial.failed is None]
            scored.sort(key=lambda trial: (-trial.scores[rung], trial.number))
            better = scored[: max(1, len(here) // REDUCTION)]
            chosen = [trial.number for trial in better if trial.rung == rung]
            if chosen:
                everyone = tuple(sorted(trial.number for trial in scored))
                decisions.append(Decision(rung, everyone, tuple(sorted(chosen))))
                ahead |= {*chosen}
        return replace(
            self,
            trials=tuple(
                replace(trial, rung=trial.rung + 1) if trial.number in ahead else trial
                for trial in self.trials
            ),
            decisions=tuple(decisions),
        )

    def asked(self, settings: list[Setting]) -> Self:
        """Add a generation of settings."""
        generation = 1 + max((trial.generation for trial in self.trials), default=-1)
        first = len(self.trials)
        more = (
            Trial(first + position, generation, setting)
            for position, setting in enumerate(settings)
        )
        return replace(self, trials=(*self.trials, *more))

    def tried_again(self) -> Self:
        """Forget failures that another try may not meet; those that diverged would again."""
        return replace(
            self,
            trials=tuple(
                replace(trial, failed=None) if trial.failed == "failed" else trial
                for trial in self.trials
            ),
        )

    def tree(self) -> dict[str, Any]:
        """Return plain values, as the storage keeps them and `read_study` takes them."""
        return {
            "rungs": list(self.rungs),
            "trials": [{**vars(trial), "scores": list(trial.scores)} for trial in self.trials],
            "decisions": [
                {
                    "rung": decision.rung,
                    "scored": list(decision.scored),
                    "promoted": list(decision.promoted),
                }
                for decision in self.decisions
            ],
        }


@dataclass(frozen=True)
class Search:
    """A space, the rules, how many settings are wanted, and what was asked and seen so far."""

    space: Space
    rules: Rules
    samples: int
    study: Study = field(default_factory=lambda: Study((1,)))

    @property
    def identity(self) -> dict[str, Any]:
        """What makes it another search; a larger number of settings continues the same one."""
        return {
            "space": {name: values.tree() for name, values in self.space.items()},
            "rungs": list(self.study.rungs),
            **vars(self.rules),
        }

    def tree(self) -> dict[str, Any]:
        """Return plain values, as the storage keeps them and `read_search` takes them."""
        space = {name: values.tree() for name, values in self.space.items()}
        return {
            "space": space,
            "rules": vars(self.rules),
            "samples": self.samples,
            **self.study.tree(),
        }


def read_search(tree: Any) -> Search:
    """Read a search as `tree` gives it. Raises KeyError, TypeError and ValueError for others."""
    space = {name: read_values(values) for name, values in tree["space"].items()}
    return Search(space, Rules(**tree["rules"]), tree["samples"], read_study(tree))


def read_study(tree: Any) -> Study:
    """Read a study as `tree` gives it. Raises KeyError, TypeError and ValueError for others."""
    return Study(
        tuple(int(epoch) for epoch in tree["rungs"]),
        tuple(
            Trial(**{**trial, "scores": tuple(map(float, trial["scores"]))})
            for trial in tree["trials"]
        ),
        tuple(
            Decision(int(one["rung"]), tuple(one["scored"]), tuple(one["promoted"]))
            for one in tree["decisions"]
        ),
    )


def rungs_of(epochs: int, pruner: str) -> tuple[int, ...]:
    """Return the epochs after which a run of so many may be stopped, and the last one.

    The first rung is at a ninth of the budget, and each next one three times as far.
    """
    rung, rungs = max(1, epochs // DIVISION), list[int]()
    while pruner != "none" and rung < epochs:
        rungs.append(rung)
        rung *= REDUCTION
    return (*rungs, epochs)


def score_at(record: RunRecord, epoch: int) -> float | None:
    """Return the score on the validation split after an epoch, or after the next that has one."""
    for metrics in record.history:
        if metrics["epoch"] >= epoch and SCORE in metrics:
            return float(metrics[SCORE])
    # as a search of an earlier version left it, without a history
    stopped_late = record.epoch is not None and record.epoch >= epoch
    return float(record.results[SCORE]) if stopped_late and SCORE in record.results else None
