"""Which questions a request asks: the one place that turns names and files into ablations."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.commands.over import asked_over
from orchestrator.commands.request import Request
from orchestrator.errors import PlanError
from orchestrator.questions.file import SUFFIXES, QuestionFile, as_yaml, is_file, read_question
from orchestrator.questions.module import parts_of_name
from orchestrator.questions.names import name_problem
from orchestrator.questions.places import located
from orchestrator.storage import Storage
from orchestrator.storage.sweeps import kept_sweeps
from search_spaces import OF_THE_PAPER, Ablation, OfferedError, every_ablation
from workloads.spec import SpecError
from workloads.spelling import did_you_mean
from workloads.written import as_assigned

__all__ = [
    "EVERY",
    "ablations_named",
    "is_file",
    "on_one_recipe",
    "questions_of",
    "requests_of",
    "swept_names",
    "travelling",
    "where_in_files",
]

EVERY = "all"


def questions_of(request: Request) -> tuple[Ablation, ...]:
    """Return the questions that a request asks, each once; none for a single run or a search.

    Raises SpecError with every problem of the names, the files and what is given beside them.
    """
    found, problems = list[Ablation](), list[str]()
    for name in request.ablations:
        try:
            found += [read_question(name).ablation] if is_file(name) else ablations_named([name])
        except SpecError as error:
            problems += error.problems
    try:
        own = (*request.built, *asked_over(request))
    except (SpecError, PlanError) as error:
        own, problems = (), [*problems, *error.problems]
    problems += [problem for one in own if (problem := name_problem(one))]
    different = dict[str, Ablation]()
    for one in (*found, *own):
        if different.setdefault(one.name, one) != one:
            problems.append(f"{one.name}: two different questions have this name")
    if problems:
        raise SpecError(list(dict.fromkeys(problems)))
    return tuple(different.values())


def requests_of(request: Request) -> tuple[Request, ...]:
    """Return a request for each recipe that questions are asked on.

    A file may name presets, and fields that are set on them; what is given with the command comes
    before both. Raises SpecError with every problem of the files.
    """
    files, problems = dict[str, QuestionFile](), list[str]()
    for name in filter(is_file, request.ablations):
        try:
            files[name] = read_question(name)
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(list(dict.fromkeys(problems)))

    asked = dict[tuple[str | None, tuple[str, ...]], list[str]]()
    for name in request.ablations:
        presets: tuple[str | None, ...] = (request.preset,)
        assignments = request.assignments
        if name in files:
            base = files[name].base
            if request.preset is None and request.config is None:
                presets = base.presets or (None,)
            assignments = (*_assignments(base.values or {}, assignments), *assignments)
        for preset in presets:
            asked.setdefault((preset, assignments), []).append(name)
    if not files:
        return (request,)
    own = (request.preset, request.assignments)  # what no file asks is asked as the command says
    if request.built:
        asked.setdefault(own, [])
    return tuple(
        replace(
            request,
            ablations=tuple(names),
            preset=preset,
            assignments=assignments,
            built=request.built if (preset, assignments) == own else (),
        )
        for (preset, assignments), names in asked.items()
    )


def on_one_recipe(request: Request) -> Request:
    """Return a request with the recipe that its questions' files name.

    Raises SpecError with every problem of the files, PlanError where they name several recipes.
    """
    found = requests_of(request)
    if len(found) == 1:
        return found[0]
    names, recipes = ", ".join(request.ablations), "; ".join(one.recipe for one in found)
    raise PlanError(
        [f"{names}: asked on several recipes ({recipes}), and this is of one; name its --preset"]
    )


def travelling(request: Request) -> dict[str, tuple[str, str]]:
    """Return the path and the text with which each question's file goes to a cluster, by its name.

    Raises SpecError with every problem of the files and of other names.
    """
    questions_of(request)
    files = [name for name in request.ablations if is_file(name)]
    return {
        name: (f"questions/{index}/{Path(parts_of_name(name)[0]).stem}.yaml", as_yaml(name))
        for index, name in enumerate(files)
    }


def where_in_files(request: Request, problems: list[str]) -> list[str]:
    """Return problems with file and line before those that a question's file causes."""
    if not problems:
        return problems  # no need to read, or to run, the files
    try:
        files = [read_question(name) for name in request.ablations if is_file(name)]
    except SpecError:
        return problems  # which are those of the files, and have both
    return located(files, problems)


def _assignments(values: Mapping[str, object], given: Sequence[str]) -> Iterator[str]:
    """Write a file's fields as `--set` has them, without those that are given with the command."""
    names = {one.partition("=")[0].strip() for one in given}
    for name, value in values.items():
        if name not in names:
            yield f"{name}={as_assigned(value)}"


def ablations_named(names: Sequence[str]) -> tuple[Ablation, ...]:
    """Return the ablations of these names, each once.

    `all` is every table and figure of the SimCLR paper, without extensions. Raises SpecError that
    lists the known ones.
    """
    known = every_ablation()
    if unknown := [name for name in names if name not in known and name != EVERY]:
        raise SpecError([_no_such(name, (*known, EVERY)) for name in unknown])

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
    asked = {name: read_question(name).ablation.name for name in names if is_file(name)}
    if never := [name for name in asked.values() if name not in (*known, *there)]:
        raise SpecError([f"{name}: no sweep in {storage.shown()}" for name in never])
    names = [asked.get(name, name) for name in names]
    own = [name for name in sorted(there) if name not in known and _has_question(storage, name)]
    if not names:
        return [*(name for name in known if name in there), *own]

    if unknown := [name for name in names if name not in known and name not in (EVERY, *own)]:
        raise SpecError([_no_such(name, (*known, *own, EVERY)) for name in unknown])
    wanted = [one for name in names for one in (OF_THE_PAPER if name == EVERY else (name,))]
    return list(dict.fromkeys(wanted))


def _no_such(name: str, known: Sequence[str]) -> str:
    listed = ", ".join(known)
    files = [f"./{name}{ending}" for ending in SUFFIXES if Path(name + ending).is_file()]
    asked = "".join(f"; the question of the file is asked as {file}" for file in files)
    return f"{name}: no such ablation; known are {listed}{did_you_mean(name, known)}{asked}"


def _has_question(storage: Storage, name: str) -> bool:
    return any("question" in plan for plan in kept_sweeps(storage, name))


def _asked(known: Mapping[str, Ablation], name: str) -> Ablation:
    try:
        return known[name]
    except OfferedError as error:
        raise SpecError([str(error)]) from None
