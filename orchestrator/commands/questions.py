"""Which questions a request asks: the one place that turns names and files into ablations."""

from collections.abc import Mapping, Sequence

from orchestrator.commands.over import asked_over
from orchestrator.commands.request import Request
from orchestrator.storage import Storage
from orchestrator.storage.sweeps import kept_sweeps
from search_spaces import OF_THE_PAPER, Ablation, OfferedError, every_ablation
from workloads.spec import SpecError

__all__ = ["ablations_named", "is_file", "questions_of", "swept_names"]

EVERY = "all"
SUFFIXES = (".yaml", ".yml", ".py")


def questions_of(request: Request) -> tuple[Ablation, ...]:
    """Return the questions that a request asks, each once; none for a single run or a search.

    Raises SpecError with every problem of the names and files.
    """
    known = every_ablation()
    own = (*request.built, *asked_over(request))
    if taken := [one.name for one in own if one.name in known and _asked(known, one.name) != one]:
        raise SpecError([f"{name}: is the name of another ablation; choose one" for name in taken])
    return (*ablations_named(request.ablations), *own)


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
            wanted[name] = _asked(known, name)
    return tuple(wanted.values())


def swept_names(names: Sequence[str], storage: Storage) -> list[str]:
    """Return the names of questions, each once; unless given, of all with a sweep in the storage.

    Questions that are not built in are known by the plans of their sweeps. Raises SpecError that
    lists what is known.
    """
    known, there = every_ablation(), storage.list("sweeps")
    own = [name for name in sorted(there) if name not in known and _has_question(storage, name)]
    if not names:
        return [*(name for name in known if name in there), *own]

    if unknown := [name for name in names if name not in known and name not in (EVERY, *own)]:
        listed = ", ".join((*known, *own, EVERY))
        raise SpecError([f"{name}: no such ablation; known are {listed}" for name in unknown])
    wanted = [one for name in names for one in (OF_THE_PAPER if name == EVERY else (name,))]
    return list(dict.fromkeys(wanted))


def _has_question(storage: Storage, name: str) -> bool:
    return any("question" in plan for plan in kept_sweeps(storage, name))


def _asked(known: Mapping[str, Ablation], name: str) -> Ablation:
    try:
        return known[name]
    except OfferedError as error:
        raise SpecError([str(error)]) from None
