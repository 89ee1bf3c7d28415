"""Two runs compared, for people: a table, a sentence for each result, and where it is from."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from orchestrator.commands.consoles import print_line
from orchestrator.commands.paired_predictions import PredictedRun, PredictionPair
from orchestrator.verdicts.permutation_test import PairedComparison

__all__ = ["print_comparisons"]


def print_comparisons(
    pairs: Mapping[str, PredictionPair],
    compared: Mapping[str, PairedComparison],
    first: PredictedRun,
    second: PredictedRun,
    console: Console,
) -> None:
    """Print which of two runs, A and B, is better by each result, and by which evidence."""

    def say(text: str) -> None:
        print_line(console, text)

    say(f"A: {first}\nB: {second}")
    console.print(_table(compared), highlight=False)
    for label, found in compared.items():
        say(f"{label}: {_sentence(found)}")
    console.print(
        "Both as they were trained: what other seeds would give is not in this.", highlight=False
    )
    for label, pair in pairs.items():
        several = max(len(run.results[pair.result]) for run in (first, second)) > 1
        if not pair.same_file or (label == pair.result and several):
            say(f"{label}: {_origin(pair)}")


def _table(compared: Mapping[str, PairedComparison]) -> Table:
    several = len(compared) > 1
    table = Table(box=None)
    table.add_column("accuracy of", overflow="fold")
    for column in ("A, %", "B, %", "A - B [95 %]", "only A right", "only B right", "p"):
        table.add_column(column, justify="right", overflow="fold")
    if several:
        table.add_column("p (Holm)", justify="right")

    for name, found in compared.items():
        low, high = found.interval
        row = [
            name,
            f"{found.accuracy_one:.2f}",
            f"{found.accuracy_other:.2f}",
            f"{found.difference:+.2f} [{low:+.2f}, {high:+.2f}]",
            str(found.only_one_right),
            str(found.only_other_right),
            f"{found.p_permutation:.2g}",
        ]
        if several:
            row.append(f"{found.p_holm:.2g}")
        table.add_row(*row)
    return table


def _sentence(found: PairedComparison) -> str:
    on = f"on the same {found.n} test examples (p = {found.p_holm:.2g})"
    if found.verdict == "tied":
        return f"A and B are tied {on}"
    return f"A is {found.verdict} than B by {abs(found.difference):.2f} points {on}"


def _origin(pair: PredictionPair) -> str:
    if pair.same_file:
        return f"from {pair.one.file} of both"
    files = f"from {pair.one.file} of A and {pair.other.file} of B"
    if pair.same_settings:
        return files
    return f"{files}, the newest: no settings of evaluation are of both, and these differ"
