"""A search as a plan: what was asked so far, and what comes next by what became of it. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from orchestrator.errors import PlanError
from orchestrator.plan.cells import Ask, Plan, PlannedCell, and_more
from orchestrator.plan.sampler import next_settings
from orchestrator.plan.space import Choices, Setting, Space, draws, read_space, setting_name
from orchestrator.plan.study import (
    PRUNERS,
    SAMPLERS,
    Failure,
    Rules,
    Search,
    Study,
    Trial,
    rungs_of,
    score_at,
)
from orchestrator.resources import ClusterShape, Resources, resource_problems
from orchestrator.run_record import RunRecord
from workloads.spec import SpecError
from workloads.workload import AnyTrainedAlone, AnyWorkload, Specification, TrainedAlone

__all__ = ["MOST_SAMPLES", "advanced", "build_search", "checked_space", "with_study"]

MOST_SAMPLES = 10_000
TRIED_AHEAD = 256  # random settings that are checked before anything starts


def build_search(
    space: Space,
    rules: Rules,
    samples: int,
    base: Specification,
    workload: AnyWorkload,
    *,
    resources: Resources,
    train_images: int | None,
    shape: ClusterShape | None,
) -> Plan:
    """Plan a search on a base recipe, of which nothing is asked yet.

    Every choice, both ends of every range and the first random settings have to be runs that can
    be. Raises one PlanError that lists every violation.
    """
    problems = [*resource_problems(resources, shape), *_rule_problems(rules, samples)]
    if not isinstance(workload, TrainedAlone):
        problems.append(
            f"tune: {workload.name} has no validation split to search by; `ablate` compares its "
            "settings"
        )
        raise PlanError(problems)

    of_values = _problems_of(_single(space), base, workload, train_images, resources)
    if not of_values:
        drawn = islice(draws(space, base.seed), min(max(samples, 0), TRIED_AHEAD))
        of_values = _problems_of(drawn, base, workload, train_images, resources)
    problems += of_values
    if problems:
        raise PlanError(list(dict.fromkeys(problems)))

    study = Study(rungs_of(workload.epochs(base), rules.pruner))
    search = Search(space, replace(rules, seed=base.seed), samples, study)
    return Plan(None, workload, "small", base, Ask(), (), resources, search=search)


def checked_space(texts: Sequence[str], of: type[Any], rules: Rules, samples: int) -> Space:
    """Read a space. Raises one PlanError with what is wrong with it and with the rules."""
    try:
        return read_space(texts, of)
    except PlanError as error:
        raise PlanError([*error.problems, *_rule_problems(rules, samples)]) from None


def with_study(plan: Plan, study: Study) -> Plan:
    """Return the plan of a search with the runs that a study has asked, each up to its rung."""
    assert plan.search is not None, "the plan of a search"
    workload = _searched(plan)
    cells = []
    for trial in study.trials:
        spec = plan.base.with_values(trial.setting)
        until = None
        if trial.rung < study.last:
            until = _rung_epoch(study, trial.rung, workload.epochs(spec))
        cells.append(
            PlannedCell(
                (setting_name(trial.setting),),
                spec.seed,
                spec,
                spec.fingerprint(),
                role="sample",
                until=until,
            )
        )
    return replace(plan, cells=tuple(cells), search=replace(plan.search, study=study))


def _rung_epoch(study: Study, rung: int, epochs: int) -> int:
    """Return the epoch of a rung for a run that may be longer or shorter than the recipe's."""
    return min(epochs, max(1, -(-study.rungs[rung] * epochs // study.rungs[-1])))


def advanced(
    plan: Plan,
    records: Mapping[str, RunRecord],
    failed: Iterable[str] = (),
    *,
    train_images: int | None = None,
) -> Study:
    """Return the study after one step more; the same while runs are missing, and at the end.

    What has ended is told; once all of it has, the better ones train on, and beside them a
    generation is asked.
    `records` are by fingerprint, `failed` runs that were tried in vain.
    """
    search = plan.search
    assert search is not None, "the plan of a search"
    study, failed = search.study, set(failed)
    if study.is_waiting:
        return _told(plan, study, records, failed)
    further = study.promoted()
    count = min(search.rules.generation, search.samples - len(study.trials))
    settings = []
    if count > 0:
        may = _may_be_asked(plan, train_images)
        settings = next_settings(search.space, study, search.rules, count, may)
    return further.asked(settings) if settings else further


def _told(plan: Plan, study: Study, records: Mapping[str, RunRecord], failed: set[str]) -> Study:
    workload = _searched(plan)
    scores, lost = dict[int, tuple[float, ...]](), dict[int, Failure]()
    for trial, cell in zip(study.trials, plan.cells, strict=True):
        if not trial.is_pending:
            continue
        record = records.get(cell.fingerprint)
        if cell.fingerprint in failed:
            lost[trial.number] = "failed"
        elif record is not None and record.diverged:
            lost[trial.number] = "diverged"
        elif record is not None:
            epoch = _rung_epoch(study, trial.rung, workload.epochs(cell.spec))
            score = score_at(record, epoch)
            if score is not None:  # else it has not come that far
                scores[trial.number] = (*trial.scores, score)
    return study.told(scores, lost)


def _may_be_asked(plan: Plan, train_images: int | None) -> Callable[[Setting], bool]:
    """Tell settings that can be runs, and are other runs than those before."""
    known, workload = (
        {plan.base.with_values(trial.setting).fingerprint() for trial in _trials(plan)},
        _searched(plan),
    )

    def may(setting: Setting) -> bool:
        spec = _spec_or_problems(setting, plan.base, workload, train_images, plan.resources)
        if isinstance(spec, list) or spec.fingerprint() in known:
            return False
        known.add(spec.fingerprint())
        return True

    return may


def _trials(plan: Plan) -> tuple[Trial, ...]:
    assert plan.search is not None, "the plan of a search"
    return plan.search.study.trials


def _searched(plan: Plan) -> AnyTrainedAlone:
    workload = plan.workload
    assert isinstance(workload, TrainedAlone), "others are not searched"
    return workload


def _rule_problems(rules: Rules, samples: int) -> list[str]:
    problems = []
    if rules.sampler not in SAMPLERS:
        known = ", ".join(SAMPLERS)
        problems.append(f"--sampler {rules.sampler}: no such sampler; known are {known}")
    if rules.pruner not in PRUNERS:
        known = ", ".join(PRUNERS)
        problems.append(f"--pruner {rules.pruner}: no such pruner; known are {known}")
    if rules.generation < 1:
        problems.append(f"--generation {rules.generation}: must be at least 1")
    if not 2 <= samples <= MOST_SAMPLES:
        problems.append(f"--samples {samples}: must lie between 2 and {MOST_SAMPLES}")
    return problems


def _single(space: Space) -> Iterator[Setting]:
    """Yield every choice and both ends of every range, one field at a time."""
    for name, values in space.items():
        ends = values.values if isinstance(values, Choices) else (values.low, values.high)
        yield from ({name: value} for value in ends)


def _problems_of(
    settings: Iterable[Setting],
    base: Specification,
    workload: AnyTrainedAlone,
    train_images: int | None,
    resources: Resources,
) -> list[str]:
    whose: dict[str, dict[str, None]] = {}
    for setting in settings:
        found = _spec_or_problems(setting, base, workload, train_images, resources)
        for problem in found if isinstance(found, list) else ():
            whose.setdefault(problem, {})[setting_name(setting)] = None
    return [
        f"{next(iter(names))}: {problem}{and_more(len(names), 'setting')}"
        for problem, names in whose.items()
    ]


def _spec_or_problems(
    setting: Setting,
    base: Specification,
    workload: AnyTrainedAlone,
    train_images: int | None,
    resources: Resources,
) -> Specification | list[str]:
    try:
        spec: Specification = base.with_values(setting)
    except SpecError as error:
        return list(error.problems)
    return list(workload.problems(spec, train_images, resources.workers)) or spec
