"""Which questions a request asks: the one place that turns names and files into ablations."""

from collections.abc import Sequence

from orchestrator.commands.request import Request
from search_spaces import OF_THE_PAPER, Ablation, every_ablation
from workloads.spec import SpecError

__all__ = ["ablations_named", "is_file", "questions_of"]

EVERY = "all"
SUFFIXES = (".yaml", ".yml", ".py")


def questions_of(request: Request) -> tuple[Ablation, ...]:
    """Return the questions that a request asks, each once; none for a single run or a search.

    Raises SpecError with every problem of the names and files.
    """
    known = every_ablation()
    if taken := [one.name for one in request.built if known.get(one.name, one) != one]:
        raise SpecError([f"{name}: is the name of another ablation; choose one" for name in taken])
    return (*ablations_named(request.ablations), *request.built)


def is_file(name: str) -> bool:
    """Tell the file of a question from the name of one."""
    return "/" in name or name.endswith(SUFFIXES)


def ablations_named(names: Sequence[str]) -> tuple[Ablation, ...]:
    """Return the ablations of these names, each once.

    `all` is every table and figure of the SimCLR paper, without extensions. Raises SpecError that
    lists the known ones.
    """
    known = every_ablation()
    if unknown := [name for name in names if name not in known and name != EVERY]:
        listed = f"{', '.join(known)}, {EVERY}"
        raise SpecError([f"{name}: no such ablation; known are {listed}" for name in unknown])

    wanted: dict[str, Ablation] = {}
    for name in names:
        if name == EVERY:
            wanted |= {one: known[one] for one in OF_THE_PAPER}
        else:
            wanted[name] = known[name]
    return tuple(wanted.values())
