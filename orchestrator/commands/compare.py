"""Compare two finished runs example by example, from the predictions that they have left."""

from collections.abc import Mapping
from dataclasses import asdict

from rich.console import Console

from orchestrator.commands.compare_text import print_comparisons
from orchestrator.commands.paired_predictions import (
    PredictedRun,
    PredictionPair,
    labelled_pairs,
    read_predicted,
)
from orchestrator.commands.result import Finished
from orchestrator.errors import PlanError
from orchestrator.storage import Storage
from orchestrator.verdicts.permutation_test import (
    LEVEL,
    PERMUTATIONS,
    PairedComparison,
    adjusted,
    compare_predictions,
)

__all__ = ["compare_runs"]


def compare_runs(
    one: str, other: str, result: str | None, storage: Storage, console: Console
) -> Finished:
    """Test which of two runs is better, by all results that both have predictions of, or by one.

    A run may have a result more than once, by other settings or on other data. All pairs of equal
    settings on the same data are compared, and where no settings are of both runs, the newest of
    each. Accuracy over examples is tested, also where the result itself is a mean over classes (as
    in the paper, B.8). Raises PlanError for runs that are missing, unfinished or without
    predictions, for a result that not both have, and for results of different test examples.
    """
    first, second = read_predicted(one, storage), read_predicted(other, storage)
    if first.fingerprint == second.fingerprint:
        raise PlanError([f"{one} and {other}: are the same run"])
    both = [name for name in first.results if name in second.results]
    if not both:
        have = (f"{run} has {', '.join(run.results)}" for run in (first, second))
        raise PlanError(
            [f"{one} and {other}: have no predictions of the same result; {'; '.join(have)}"]
        )
    if result is not None and result not in both:
        known = ", ".join(both)
        raise PlanError(
            [f"{result}: is not a result that both runs have predictions of; these are {known}"]
        )

    pairs = labelled_pairs(first, second, both if result is None else [result])
    compared = adjusted(
        {
            label: compare_predictions(pair.one.predictions, pair.other.predictions)
            for label, pair in pairs.items()
        }
    )
    print_comparisons(pairs, compared, first, second, console)
    return Finished(0, _document(pairs, compared, first, second))


def _document(
    pairs: Mapping[str, PredictionPair],
    compared: Mapping[str, PairedComparison],
    first: PredictedRun,
    second: PredictedRun,
) -> dict[str, object]:
    return {
        "one": {"run": first.fingerprint, "name": first.name},
        "other": {"run": second.fingerprint, "name": second.name},
        "level": LEVEL,
        "permutations": PERMUTATIONS,
        "comparisons": {
            label: _tree(pairs[label], comparison) for label, comparison in compared.items()
        },
    }


def _tree(pair: PredictionPair, comparison: PairedComparison) -> dict[str, object]:
    return {
        **asdict(comparison),
        "interval": list(comparison.interval),
        "verdict": comparison.verdict,
        "result": pair.result,
        "files": [pair.one.file, pair.other.file],
        "same_settings": pair.same_settings,
        "data": pair.data,
    }
