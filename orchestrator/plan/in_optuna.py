"""A space in the terms of Optuna, and what its estimators say of scores. Pure."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.plan.space import Choices, Range, Setting, Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

__all__ = ["FEWEST", "distribution_of", "importances", "param_of", "value_of"]

FEWEST = 4  # settings with a score, of which an importance is estimated


def distribution_of(values: Choices | Range) -> "BaseDistribution":
    """Return the distribution of a field."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(values, Choices):  # by position: Optuna takes no lists
        return CategoricalDistribution(range(len(values.values)))
    if values.whole:
        return IntDistribution(int(values.low), int(values.high), log=not values.linear)
    return FloatDistribution(values.low, values.high, log=not values.linear)


def param_of(values: Choices | Range, value: object) -> Any:
    """Return a value as Optuna takes it: a choice by its position."""
    return values.values.index(value) if isinstance(values, Choices) else value


def value_of(values: Choices | Range, param: Any) -> object:
    """Return the value that Optuna asks for."""
    return values.values[param] if isinstance(values, Choices) else values.near(param)


def importances(space: Space, scored: Sequence[tuple[Setting, float]]) -> Mapping[str, float]:
    """Return the share of each field in the spread of the scores, the largest first.

    By fANOVA (Hutter et al. 2014). None at all of too few settings, and of scores that are equal.
    """
    if len(scored) < FEWEST or len({score for _, score in scored}) == 1:
        return {}
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import create_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    distributions = {name: distribution_of(values) for name, values in space.items()}
    for setting, score in scored:
        params = {name: param_of(values, setting[name]) for name, values in space.items()}
        study.add_trial(create_trial(params=params, distributions=distributions, value=score))
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
