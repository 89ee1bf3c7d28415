"""Which settings a search asks next: at random, or as samplers of Optuna learn from scores. Pure.

A sampler is made anew for each generation, from the history and a seed: it has no state that a
killed search would lose.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from orchestrator.plan.in_optuna import distribution_of, param_of, value_of
from orchestrator.plan.space import Setting, Space, draws
from orchestrator.plan.study import Rules, Study, Trial
from workloads.seeds import seed_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

__all__ = ["STARTUP", "next_settings"]

STARTUP = 8  # settings drawn at random before a sampler has enough to learn from
ATTEMPTS = 8  # asked of a sampler for a setting that was not asked before


def next_settings(
    space: Space, study: Study, rules: Rules, count: int, may: Callable[[Setting], bool]
) -> list[Setting]:
    """Return settings that were not asked before and that `may` allows; fewer where none is left.

    Those of Optuna are asked with the ones before them, of the same generation, as running.
    """
    taken = {repr(trial.setting) for trial in study.trials}

    def is_new(setting: Setting) -> bool:
        return repr(setting) not in taken and may(setting)

    found: list[Setting] = []
    scored = sum(bool(trial.scores) for trial in study.trials)
    if rules.sampler != "random" and scored and len(study.trials) >= STARTUP:
        for setting in _learned(space, study, rules, count * ATTEMPTS):
            if len(found) == count:
                break
            if is_new(setting):
                taken.add(repr(setting))
                found.append(setting)
    if len(found) < count:
        for setting in draws(space, rules.seed):
            if is_new(setting):
                taken.add(repr(setting))
                found.append(setting)
                if len(found) == count:
                    break
    return found


def _learned(space: Space, study: Study, rules: Rules, most: int) -> Iterator[Setting]:
    """Yield what a sampler asks, at most so many; what it has asked counts as running."""
    import optuna

    # a line for each trial, and what would make it faster
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    generation = study.trials[-1].generation + 1
    history = optuna.create_study(
        sampler=_sampler(rules, seed_of(rules.seed, "search", generation) % 2**32),
        direction="maximize",
    )
    distributions = {name: distribution_of(values) for name, values in space.items()}
    lowest = min(trial.scores[-1] for trial in study.trials if trial.scores)
    for trial in study.trials:
        history.add_trial(_told(trial, space, distributions, study.last, rules, lowest))
    for _ in range(most):
        params = history.ask(distributions).params
        yield {name: value_of(values, params[name]) for name, values in space.items()}


def _sampler(rules: Rules, seed: int) -> "BaseSampler":
    from optuna.samplers import GPSampler, TPESampler

    if rules.sampler == "gp":
        return GPSampler(seed=seed, n_startup_trials=1)
    return TPESampler(seed=seed, n_startup_trials=1)


def _told(
    trial: Trial,
    space: Space,
    distributions: Mapping[str, "BaseDistribution"],
    last: int,
    rules: Rules,
    lowest: float,
) -> "FrozenTrial":
    """Return a trial as Optuna takes it.

    The estimator of TPE ranks those that were stopped by how far they came. A Gaussian process
    reads complete ones only: each counts with its last score, and a failed one with the lowest.
    """
    from optuna.trial import TrialState, create_trial

    params = {name: param_of(values, trial.setting[name]) for name, values in space.items()}
    seen = dict(enumerate(trial.scores))
    if len(trial.scores) > last or rules.sampler == "gp":
        value = trial.scores[-1] if trial.scores and not trial.failed else lowest
        return create_trial(
            params=params, distributions=dict(distributions), value=value, intermediate_values=seen
        )
    return create_trial(
        params=params,
        distributions=dict(distributions),
        state=TrialState.PRUNED,
        intermediate_values={} if trial.failed else seen,
    )
