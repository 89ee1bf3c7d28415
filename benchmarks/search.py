"""TPE beside random search at equal numbers of settings, on a table of results measured once.

The table (`search_table.json`) is a whole grid of three fields: learning rate, temperature, and
least area of a crop, 120 settings of a small encoder on scikit-learn's digits, one seed each, with
the validation score after each of 9 epochs. Both samplers then search it by the rules of
`simclr-orch tune`, with ten seeds each: what they ask, and who trains on, are those of the command.
Reported is the regret: how far the chosen setting's score lies below the best of the table, and
how often it is among the best 5 %.

    python benchmarks/search.py [--samples 24] [--seeds 10]
    python benchmarks/search.py --measure               # the table again: minutes
"""

import argparse
import itertools
import json
import platform
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from scipy import stats

from orchestrator.plan import Plan
from orchestrator.plan.search import advanced, build_search, with_study
from orchestrator.plan.space import Choices, Setting, setting_name
from orchestrator.plan.study import Rules, Study
from orchestrator.resources import Resources
from orchestrator.run_record import SCORE, RunRecord
from workloads.catalog.simclr import SIMCLR
from workloads.distributed.worker import Worker, limit_threads
from workloads.simclr.presets import preset
from workloads.simclr.spec import RunSpec

TABLE = Path(__file__).with_name("search_table.json")
FIELDS: dict[str, tuple[float, ...]] = {
    "optim.base_learning_rate": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
    "loss.temperature": (0.05, 0.1, 0.2, 0.5, 1.0),
    "augment.crop.min_area": (0.08, 0.2, 0.4, 0.7),
}
RECIPE = {"encoder.width": 0.125, "schedule.epochs": 9, "data.validation_fraction": 0.3}


def base_recipe() -> RunSpec:
    """The recipe that all settings change."""
    return preset("digits").with_values(RECIPE)


def measure() -> None:
    """Train every setting of the grid, and write the table."""
    limit_threads(1)
    worker, scores = Worker.here("cpu"), dict[str, list[float]]()
    started = time.time()
    for values in itertools.product(*FIELDS.values()):
        setting: Setting = dict(zip(FIELDS, values, strict=True))
        spec, _ = SIMCLR.prepare(base_recipe().with_values(setting), download=False)
        scores[setting_name(setting)] = [
            round(SIMCLR.score(spec, result.state, worker), 3)
            for result in SIMCLR.train(spec, worker, None)
            if result.metrics
        ]
        print(f"{len(scores)} of 120: {setting_name(setting)} {scores[setting_name(setting)][-1]}")
    measured = f"{time.time() - started:.0f} s on one thread of {platform.machine()}"
    TABLE.write_text(json.dumps({"measured": measured, "scores": scores}, indent=0) + "\n")


def searched(table: Mapping[str, list[float]], samples: int, seed: int, rules: Rules) -> Study:
    """Search the table to its end, by the rules of the command."""
    plan = build_search(
        {name: Choices(values) for name, values in FIELDS.items()},
        rules,
        samples,
        base_recipe().with_values({"seed": seed}),
        SIMCLR,
        resources=Resources(),
        train_images=None,
        shape=None,
    )
    records: dict[str, RunRecord] = {}
    while True:
        assert plan.search is not None
        study = advanced(plan, records)
        if study == plan.search.study:
            return study
        plan = with_study(plan, study)
        records = _records(plan, table)


def _records(plan: Plan, table: Mapping[str, list[float]]) -> dict[str, RunRecord]:
    """What the runs of a plan would leave, from the table."""
    return {
        cell.fingerprint: RunRecord(
            name=cell.name,
            fingerprint=cell.fingerprint,
            status="finished",
            spec={},
            history=[
                {"epoch": float(epoch), SCORE: score}
                for epoch, score in enumerate(table[cell.at[0]], start=1)
            ],
        )
        for cell in plan.cells
    }


def epochs_of(study: Study) -> int:
    """Count the epochs that a search has trained."""
    return sum(study.rungs[len(trial.scores) - 1] for trial in study.trials)


def main() -> None:
    """Print a line for each sampler and pruner, and the difference between the samplers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--samplers", nargs="+", default=["tpe", "random"])
    parser.add_argument("--measure", action="store_true")
    options = parser.parse_args()
    if options.measure:
        measure()
        return

    kept: dict[str, Any] = json.loads(TABLE.read_text())
    table = kept["scores"]
    final = sorted((scores[-1] for scores in table.values()), reverse=True)
    good = final[len(final) // 20 - 1]
    print(f"{len(table)} settings, best {final[0]:.2f} %, median {statistics.median(final):.2f} %")
    print(
        f"{options.samples} settings a search, seeds 0 to {options.seeds - 1}; {kept['measured']}"
    )
    for pruner in ("none", "asha"):
        regrets: dict[str, list[float]] = {}
        for sampler in options.samplers:
            rules = Rules(sampler, pruner)
            studies = [
                searched(table, options.samples, seed, replace(rules, seed=seed))
                for seed in range(options.seeds)
            ]
            best = [trial.scores[-1] for study in studies if (trial := study.best)]
            regrets[sampler] = [final[0] - score for score in best]
            print(
                f"pruner {pruner:<5} {sampler:<7} regret {statistics.fmean(regrets[sampler]):.2f} "
                f"+- {statistics.stdev(regrets[sampler]):.2f} points, among the best 5 % "
                f"{sum(score >= good for score in best)} of {len(best)}, "
                f"{statistics.fmean(map(epochs_of, studies)):.0f} epochs"
            )
        if {"tpe", "random"} <= regrets.keys():
            paired = [
                one - other for one, other in zip(regrets["random"], regrets["tpe"], strict=True)
            ]
            spread = statistics.stdev(paired)
            half = stats.t.ppf(0.975, len(paired) - 1) * spread / len(paired) ** 0.5
            print(
                f"pruner {pruner:<5} tpe better than random by {statistics.fmean(paired):+.2f} "
                f"points [{statistics.fmean(paired) - half:+.2f}, "
                f"{statistics.fmean(paired) + half:+.2f}] (95 %, n = {len(paired)})"
            )


if __name__ == "__main__":
    main()
