"""The question of a sweep as the storage keeps it: by its name, or with all of it. Pure.

A built-in question is found by its name in every version. Any other lies in the plan of its sweep,
as a plain tree, so that reports need nothing but the storage.
"""

from collections.abc import Mapping
from typing import Any

from orchestrator.errors import PlanError
from search_spaces import ABLATIONS, Ablation, OfferedError, every_ablation
from search_spaces.part import part_of
from search_spaces.trees.question import QuestionError, ablation_of, tree_of

__all__ = ["question_in", "question_to_keep"]


def question_to_keep(ablation: Ablation) -> dict[str, Any] | None:
    """Return the tree of a question; None for one that is found by its name.

    Of a part, and of what is left for a recipe, it is the whole question's.
    """
    ablation = ablation.whole or ablation
    if ABLATIONS.get(ablation.name) is ablation:
        return None
    return None if every_ablation().get(ablation.name) == ablation else tree_of(ablation)


def question_in(plan: Mapping[str, Any], name: str) -> Ablation:
    """Return the question of a kept plan, of which `name` is the name, or the part that was asked.

    Raises PlanError where the plan does not have it and none of that name is built in, and where it
    has other labels now than the part.
    """
    whole = _whole(plan, name)
    if not (only := plan.get("only")):
        return whole
    try:
        return part_of(whole, plan["scale"], only)
    except ValueError as error:
        raise PlanError([f"{name}: was asked in part, and is another one now: {error}"]) from None


def _whole(plan: Mapping[str, Any], name: str) -> Ablation:
    if (tree := plan.get("question")) is not None:
        try:
            return ablation_of(tree)
        except QuestionError as error:
            raise PlanError([f"{name}: its question cannot be read here: {error}"]) from None
    known = every_ablation()
    if name not in known:
        raise PlanError([f"{name}: no such ablation; known are {', '.join(known)}"])
    try:
        return known[name]
    except OfferedError as error:
        raise PlanError([str(error)]) from None
