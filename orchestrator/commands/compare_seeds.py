"""Compare two cells by the predictions of their runs: several seeds on the same test examples."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from orchestrator.commands.consoles import print_line
from orchestrator.commands.paired_predictions import (
    PredictedRun,
    PredictionPair,
    labelled_pairs,
    read_predicted,
)
from orchestrator.commands.result import Finished
from orchestrator.errors import PlanError
from orchestrator.storage import Storage
from orchestrator.verdicts.crossed import CrossedComparison, compare_cells
from orchestrator.verdicts.permutation_test import LEVEL, holm, paired_verdict

__all__ = ["compare_seeds"]

Pair = tuple[PredictedRun, PredictedRun]


def compare_seeds(
    ones: Sequence[str],
    others: Sequence[str],
    result: str | None,
    storage: Storage,
    console: Console,
) -> Finished:
    """Tell which of two cells is better for other seeds and other test examples.

    The runs of both are paired by their seeds. Compared is what all of them have predictions of, or
    one result. Raises PlanError for runs that are missing, have no seed, or are of other seeds than
    those that they are compared with, and for results of different test examples.
    """
    pairs = _by_seed(
        [read_predicted(run.strip(), storage) for run in ones],
        [read_predicted(run.strip(), storage) for run in others],
    )
    runs = [run for pair in pairs.values() for run in pair]
    known = [name for name in runs[0].results if all(name in run.results for run in runs)]
    if not known or (result is not None and result not in known):
        listed = ", ".join(known) or "none"
        raise PlanError(
            [f"{result or 'compare'}: is no result that all runs have predictions of; {listed}"]
        )

    wanted = known if result is None else [result]
    found = {seed: labelled_pairs(*pair, wanted) for seed, pair in pairs.items()}
    compared = {
        label: _compared(label, [each[label] for each in found.values()])
        for label in next(iter(found.values()))
        if all(label in each for each in found.values())
    }
    if not compared:
        raise PlanError(["compare: no result was evaluated in the same way with every seed"])
    p = dict(zip(compared, holm([one.p for one in compared.values()]), strict=True))
    _print(compared, p, pairs, console)
    return Finished(0, _document(compared, p, pairs))


def _by_seed(ones: Sequence[PredictedRun], others: Sequence[PredictedRun]) -> dict[int, Pair]:
    sides = []
    for runs in (ones, others):
        side = {run.seed: run for run in runs if run.seed is not None}
        if len(side) != len(runs):
            names = ", ".join(f"{run.fingerprint[:12]} (seed {run.seed})" for run in runs)
            raise PlanError([f"compare: needs runs of different seeds, not {names}"])
        sides.append(side)
    if sides[0].keys() != sides[1].keys():
        told = " and ".join(", ".join(map(str, sorted(side))) for side in sides)
        raise PlanError([f"compare: needs the same seeds of both, not {told}"])
    if both := {run.fingerprint for run in ones} & {run.fingerprint for run in others}:
        raise PlanError([f"compare: {', '.join(sorted(both))} would be compared with itself"])
    return {seed: (sides[0][seed], sides[1][seed]) for seed in sorted(sides[0])}


def _compared(label: str, pairs: Sequence[PredictionPair]) -> CrossedComparison:
    first = pairs[0].one
    for pair in pairs[1:]:
        if difference := first.differs_from(pair.one):
            raise PlanError(
                [
                    f"{label}: seeds were tested on different examples ({difference}) and are not "
                    "to be paired; verdicts in a report do not need that"
                ]
            )
    return compare_cells(
        [pair.one.predictions for pair in pairs], [pair.other.predictions for pair in pairs]
    )


def _print(
    compared: Mapping[str, CrossedComparison],
    p: Mapping[str, float],
    pairs: Mapping[int, Pair],
    console: Console,
) -> None:
    def say(text: str) -> None:
        print_line(console, text)

    for letter, index in (("A", 0), ("B", 1)):
        say(f"{letter}: {', '.join(str(pair[index]) for pair in pairs.values())}")
    table = Table(box=None)
    table.add_column("accuracy of", overflow="fold")
    for column in ("A, %", "B, %", "A - B [95 %]", "other seeds", "other images", "p (Holm)"):
        table.add_column(column, justify="right", overflow="fold")
    for label, one in compared.items():
        table.add_row(
            label,
            f"{one.accuracy_one:.2f}",
            f"{one.accuracy_other:.2f}",
            f"{one.difference:+.2f} {_interval(one.interval)}",
            _interval(one.of_seeds),
            _interval(one.of_examples),
            f"{p[label]:.2g}",
        )
    console.print(table, highlight=False)
    for label, one in compared.items():
        over = f"over {one.seeds} seeds and {one.n} test examples (p = {p[label]:.2g})"
        word = paired_verdict(one.difference, p[label])
        if word == "tied":
            say(f"{label}: A and B are tied {over}")
        else:
            say(f"{label}: A is {word} than B by {abs(one.difference):.2f} points {over}")
    say(
        "The interval beside A - B speaks of other seeds and other test examples; the next two of "
        "other seeds on these examples, and of other examples with these runs."
    )


def _document(
    compared: Mapping[str, CrossedComparison], p: Mapping[str, float], pairs: Mapping[int, Pair]
) -> dict[str, object]:
    sides = [
        [
            {"run": pair[index].fingerprint, "name": pair[index].name, "seed": seed}
            for seed, pair in pairs.items()
        ]
        for index in (0, 1)
    ]
    return {
        "one": sides[0],
        "other": sides[1],
        "level": LEVEL,
        "comparisons": {
            label: {
                **asdict(one),
                "p_holm": p[label],
                "verdict": paired_verdict(one.difference, p[label]),
            }
            for label, one in compared.items()
        },
    }


def _interval(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:+.2f}, {interval[1]:+.2f}]"
