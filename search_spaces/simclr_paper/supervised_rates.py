"""Learning rates among which supervised runs choose, beside contrastive ones at the recipe's.

The paper does not give the optimizer of its supervised runs. A recipe's rate was found for SimCLR,
and at that alone supervised learning would be behind by its rate rather than by what is asked.
"""

from collections.abc import Mapping

from search_spaces.values import Times, Value

__all__ = ["CHOSEN_BY", "SUPERVISED_RATES"]

CHOSEN_BY = "classifier_validation_top1"
SUPERVISED_RATES: tuple[Mapping[str, Value], ...] = tuple(
    {"optim.base_learning_rate": Times(factor)} for factor in (1 / 3, 1, 3)
)
