"""What a sweep wants next: candidates that are chosen, and more seeds for undecided claims.

Pure. A sweep is run in rounds: build the plan, run what is missing, ask again. Each answer depends
on records alone, so a rerun comes to the same round without running anything twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.plan.asked import seed_chosen_for
from orchestrator.plan.cells import Ask, Plan
from orchestrator.plan.kept import KeptCell, kept_cells
from orchestrator.plan.more_seeds import seeds_wanted
from orchestrator.run_record import Records, RunRecord
from orchestrator.verdicts import (
    ClaimVerdict,
    Look,
    Looks,
    Lost,
    Quantities,
    Values,
    judge,
    looks_up_to,
    spread_of,
)
from search_spaces import UNTRAINED, Ablation
from search_spaces.ablation import Scale
from search_spaces.claims import Place
from workloads.catalog import workload_named
from workloads.quantity import quantity_by_name

__all__ = [
    "Key",
    "Outcome",
    "TakenLooks",
    "choices",
    "looks_of",
    "lost_of",
    "next_ask",
    "swept_keys",
    "values_of",
    "verdicts",
    "verdicts_of",
]

# statement of a claim -> label of a comparison -> the looks that were taken at it
TakenLooks = Mapping[str, Mapping[str, tuple[Look, ...]]]
Key = tuple[Place, str | None]  # a cell, and a metric or None for its own


@dataclass(frozen=True)
class Outcome:
    """The runs that rounds have left undone: failed ones by fingerprint, and those not begun.

    Among the missing are those that were `stopped` on request.
    """

    failed: Mapping[str, RunRecord]
    missing: tuple[str, ...]
    stopped: frozenset[str] = frozenset()

    @property
    def complete(self) -> bool:
        """True once every run has finished."""
        return not self.failed and not self.missing


def next_ask(
    plan: Plan, records: Records, *, max_seeds: int | None, taken: TakenLooks | None = None
) -> Ask:
    """Decide what the ablation wants, given what has ended and which looks were taken before.

    It equals what was wanted before when nothing more is to be done.
    """
    if plan.ablation is None:
        return plan.ask

    cells = kept_cells(plan)
    chosen = choices(plan.ablation, plan.scale, cells, records)
    more = dict(plan.ask.more)
    if max_seeds is not None:
        looks = looks_of(plan.ask.seeds, max_seeds)
        values = values_of(plan.ablation, plan.scale, cells, records)
        lost = lost_of(plan.ablation, cells, records)
        keys = swept_keys(plan.ablation, plan.scale)
        swept = values_of(plan.ablation, plan.scale, cells, records, keys=keys)
        judged = verdicts(
            plan.ablation,
            plan.scale,
            values,
            looks,
            lost=lost,
            swept=swept,
            taken=taken or {},
        )
        wanted = seeds_wanted(judged, plan.ask, plan.base.seed, values, lost, looks)
        more |= {at: max(count, more.get(at, 0)) for at, count in wanted.items()}
    return replace(plan.ask, more=more, chosen=chosen)


def looks_of(seeds: int, max_seeds: int) -> tuple[int, ...]:
    """Return the numbers of seeds at which claims are looked at, fixed before the first run."""
    return looks_up_to(max(seeds, 2), max_seeds)


def choices(
    ablation: Ablation, scale: Scale, cells: Iterable[KeptCell], records: Records
) -> dict[Place, dict[int, int]]:
    """Choose the candidates that each tuned cell takes, by the validation split.

    There is a choice for each seed that candidates have been run with. Those with candidates still
    to run are left out. Candidates whose training diverged are out. Of equally good ones the first
    is taken.
    """
    layout = [cell for cell in ablation.layout(scale).cells if cell.candidates]
    tuned = {cell.at: len(cell.candidates) for cell in layout}
    tuned_by = {cell.at: ablation.tuning_metric_of(cell) for cell in layout}

    scores: dict[tuple[Place, int], dict[int, float | None]] = {}
    for cell in cells:
        candidate = cell.get("candidate")
        if cell["role"] == "candidate" and candidate is not None:
            record = records.get(cell["fingerprint"])
            at = tuple(cell["at"])
            score = None if record is None else _score(record, tuned_by.get(at, ablation.tuned_by))
            scores.setdefault((at, cell["seed"]), {})[candidate] = score

    chosen: dict[Place, dict[int, int]] = {}
    for (at, seed), found in scores.items():
        known = {index: score for index, score in found.items() if score is not None}
        if len(known) == tuned.get(at) and any(known.values()):
            chosen.setdefault(at, {})[seed] = max(sorted(known), key=lambda index: known[index])
    return chosen


def values_of(
    ablation: Ablation,
    scale: Scale,
    cells: Iterable[KeptCell],
    records: Records,
    *,
    keys: Iterable[Key] | None = None,
) -> Values:
    """Return what claims are judged by: of each cell and metric a value for each finished seed.

    The metrics are those that a claim names, of the cells that it compares; or `keys`.
    """
    own = {cell.at: ablation.metric_of(cell) for cell in ablation.layout(scale).cells}
    wanted = _claimed_keys(ablation, scale) if keys is None else keys
    values: dict[Key, dict[int, float]] = {key: {} for key in wanted}
    metrics: dict[Place, list[str | None]] = {}
    for at, metric in values:
        metrics.setdefault(at, []).append(metric)

    for cell in cells:
        at, record = tuple(cell["at"]), records.get(cell["fingerprint"])
        if cell["role"] == "candidate" or record is None or not record.has_finished:
            continue
        if not record.counts_for(ablation):
            continue

        for metric in metrics.get(at, ()):
            value = record.result(metric or own.get(at, ablation.metric))
            if value is not None:
                values[at, metric][cell["seed"]] = value
    return values


def swept_keys(ablation: Ablation, scale: Scale) -> list[Key]:
    """Return what the spread of a sweep is found by: all cells, by each metric that claims name."""
    metrics = dict.fromkeys(metric for _, metric in _claimed_keys(ablation, scale))
    places = [*(cell.at for cell in ablation.layout(scale).cells), UNTRAINED]
    return [(at, metric) for metric in metrics for at in places]


def lost_of(ablation: Ablation, cells: Iterable[KeptCell], records: Records) -> Lost:
    """Return the seeds of each cell that ended without a value that counts, with the word why.

    A rerun tries those again that have failed, without having diverged. A seed of a tuned cell all
    of whose candidates diverged has nothing to run with, and is lost, too.
    """
    lost: dict[Place, dict[int, str]] = {}
    candidates: dict[tuple[Place, int], list[RunRecord | None]] = {}
    for cell in cells:
        record = records.get(cell["fingerprint"])
        if cell["role"] == "candidate":
            chosen_for = (tuple(cell["at"]), seed_chosen_for(cell["seed"]))
            candidates.setdefault(chosen_for, []).append(record)
            continue
        if record is None:
            continue
        if why := record.lost_for(ablation):
            lost.setdefault(tuple(cell["at"]), {})[cell["seed"]] = why
    for (at, seed), tried in candidates.items():
        if all(record is not None and record.diverged for record in tried):
            lost.setdefault(at, {})[seed] = "diverged"
    return lost


def verdicts(
    ablation: Ablation,
    scale: Scale,
    values: Values,
    looks: Sequence[int],
    *,
    lost: Lost | None = None,
    taken: TakenLooks | None = None,
    swept: Values | None = None,
) -> list[ClaimVerdict]:
    """Judge each claim, in the order of the ablation.

    `looks` are the planned ones. `taken` are those that a storage has kept; without it the planned
    ones are all, or that at all seeds the only one. `swept` are the values of all cells
    (`swept_keys`), which know more of the spread between seeds than a comparison does.
    """
    cells = ablation.layout(scale).cells
    own = {cell.at: ablation.metric_of(cell) for cell in cells} | {UNTRAINED: ablation.metric}
    spread = spread_of(values if swept is None else swept, own)
    quantities = _quantities(ablation, values, own)
    paper = {cell.at: cell.paper for cell in cells if cell.paper is not None}
    return [
        judge(
            claim,
            scale,
            values,
            lost=lost,
            looks=Looks(tuple(looks)),
            taken=None if taken is None else taken.get(claim.statement, {}),
            spread=spread,
            paper=paper,
            quantities=quantities,
        )
        for claim in ablation.claims
    ]


def verdicts_of(
    ablation: Ablation,
    scale: Scale,
    cells: Sequence[KeptCell],
    records: Records,
    looks: Sequence[int],
    *,
    taken: TakenLooks | None,
) -> list[ClaimVerdict]:
    """Judge each claim by the records of a sweep's runs; `looks` and `taken` as in `verdicts`."""
    return verdicts(
        ablation,
        scale,
        values_of(ablation, scale, cells, records),
        looks,
        lost=lost_of(ablation, cells, records),
        swept=values_of(ablation, scale, cells, records, keys=swept_keys(ablation, scale)),
        taken=taken,
    )


def _claimed_keys(ablation: Ablation, scale: Scale) -> list[Key]:
    """The cells that claims compare, each with the metric."""
    asked = (one for claim in ablation.claims for one in claim.comparisons(scale))
    return list(dict.fromkeys((term.at, term.metric) for one in asked for term in one.terms))


def _quantities(ablation: Ablation, keys: Iterable[Key], own: Mapping[Place, str]) -> Quantities:
    """What is measured, as far as the workload says."""
    known = workload_named(ablation.workload).quantities
    named = {(at, metric): metric or own.get(at, ablation.metric) for at, metric in keys}
    return {key: known.get(name) or quantity_by_name(name) for key, name in named.items()}


def _score(record: RunRecord, metric: str) -> float | None:
    if record.has_finished:
        return record.result(metric)
    return 0.0 if record.diverged else None
