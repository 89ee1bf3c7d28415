"""Whether a question may have its name: sweeps, and what is said of them, are found by it."""

from search_spaces import Ablation, OfferedError, every_ablation
from search_spaces.trees.question import tree_of

__all__ = ["name_problem"]

# what commands and the folders of a storage mean by these is something else
MEANT_OTHERWISE = {
    "all": "every question of the SimCLR paper",
    "pretrain": "a single run",
    "tune": "a search",
}


def name_problem(ablation: Ablation) -> str | None:
    """Say why a question may not have its name; None where it may.

    A name that means something else is nobody's, and that of a built-in question is its own.
    """
    name = ablation.name
    if name in MEANT_OTHERWISE:
        return f"{name} stands for {MEANT_OTHERWISE[name]}; give the question another name"
    try:
        built_in = every_ablation().get(name)
    except OfferedError as error:
        return str(error)
    if built_in is None or built_in == ablation:
        return None
    own, other = tree_of(ablation), tree_of(built_in)
    keys = [key for key in {**other, **own} if own.get(key) != other.get(key)]
    return (
        f"{name} is the name of a built-in question, of which this one differs in "
        f"{', '.join(keys)}; give it another name"
    )
