"""A request as typed: which ablations, which recipe; problems are collected and said at once."""

import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from orchestrator.errors import OrchestratorError, PlanError
from orchestrator.plan.over import Over
from orchestrator.plan.study import GENERATION
from orchestrator.resources import Placement
from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder, finished_record
from search_spaces import Ablation
from workloads.catalog import (
    every_preset,
    every_workload,
    workload_named,
    workload_of_preset,
    workload_of_tree,
)
from workloads.inventory import shown
from workloads.spec import SpecError
from workloads.spelling import did_you_mean, nearest
from workloads.workload import (
    AnyWorkload,
    Specification,
)
from workloads.written import read_assignments, read_yaml

__all__ = [
    "BEGINS_WITH",
    "Problems",
    "Request",
    "base_recipe",
    "command_line",
    "is_no_path",
    "is_of_a_run",
    "refuse_words",
    "without_notify",
    "workload_asked",
]

T = TypeVar("T")
NOTIFY = "--notify"  # the option whose URL is a secret
BEGINS_WITH = "init.weights"  # the field of weights that a run begins with, a file or a run


@dataclass(frozen=True)
class Request:
    """A request of a person, as typed. Neither ablations nor a search: a single run.

    `built` are ablations that were built in Python, which are asked beside those of a name.
    `over` makes a question of fields and their values, in place of named ones.
    `only` has the labels of the part of an ablation that is asked, all of it if there are none.
    `logs` are what `--log` is given.
    `max_seeds` None: as many as `seeds`. `vary` None: as each ablation has it.
    """

    ablations: tuple[str, ...]
    preset: str | None = None
    config: Path | None = None
    assignments: tuple[str, ...] = ()
    over: Over | None = None
    only: tuple[str, ...] = ()
    seeds: int = 1
    max_seeds: int | None = None
    tuning: str = "per-seed"
    vary: str | None = None
    search: tuple[str, ...] = ()
    samples: int = 16
    sampler: str = "tpe"
    pruner: str = "asha"
    generation: int = GENERATION
    workers: int = 1
    cpus_per_worker: int | None = None
    gpus_per_worker: float | None = None
    gpu_type: str | None = None
    placement: Placement = "pack"
    max_concurrent: int | None = None
    max_failures: int = 2
    download: bool = False
    log_model: bool = False
    logs: tuple[str, ...] = ()
    flags: Mapping[str, str | None] = field(default_factory=dict)
    built: tuple[Ablation, ...] = ()

    @property
    def recipe(self) -> str:
        """The description, for people, of where the base recipe comes from."""
        source = str(self.config) if self.config else self.preset or "the default preset"
        return source + "".join(f" {one}" for one in self.assignments)


@dataclass
class Problems:
    """A collection of what is wrong, so that it is said at once."""

    found: list[str] = field(default_factory=list)

    def attempt(self, step: Callable[[], T]) -> T | None:
        """Return the step's value; None when it refused, which is kept."""
        try:
            return step()
        except (SpecError, PlanError) as error:
            self.found += error.problems
        except OrchestratorError as error:
            self.found.append(str(error))
        return None

    def refuse(self) -> None:
        """Raise one PlanError with all problems, if there are any."""
        if self.found:
            raise PlanError(list(dict.fromkeys(self.found)))


def without_notify(arguments: Sequence[str]) -> list[str]:
    """Return a command's words without the URL, for all that keeps or shows the command."""
    kept, skip = list[str](), False
    for word in arguments:
        if skip:
            skip = False
        elif word == NOTIFY:
            skip = True
        elif not word.startswith(f"{NOTIFY}="):
            kept.append(word)
    return kept


def command_line(arguments: Sequence[str]) -> str:
    """Return the command as one would type it again, without what is secret."""
    return shlex.join(["simclr-orch", *without_notify(arguments)])


def refuse_words(command: str, words: Sequence[str]) -> None:
    """Raise PlanError where a command that takes options only is given a name, as of a preset."""
    if words:
        preset = nearest(words[0], every_preset())
        meant = f"did you mean --preset {preset}?" if preset else "--preset NAME names a preset"
        raise PlanError([f"{command} {' '.join(words)}: takes no name; {meant}"])


def base_recipe(
    workload: AnyWorkload,
    preset: str | None,
    config: Path | None,
    assignments: Sequence[str],
    storage: Storage | None = None,
) -> Specification:
    """Return a recipe with the assignments on it, and the roots of its data absolute.

    Workers run in folders of their own. A run of the storage stands for the file of its state where
    weights are asked for. Raises one PlanError with every problem.
    """
    problems = Problems()
    fields = type(next(iter(workload.presets.values()))())
    values = problems.attempt(lambda: read_assignments(list(assignments), fields))
    named = preset or next(iter(workload.presets))
    if named not in workload.presets:
        problems.found.append(
            f"--preset {named}: no such preset; known are {', '.join(workload.presets)}"
            f"{did_you_mean(named, workload.presets)}"
        )

    recipe = None
    if not problems.found:
        recipe = problems.attempt(
            lambda: (
                workload.read(read_yaml(config, fields)) if config else workload.presets[named]()
            )
        )
    problems.refuse()
    assert recipe is not None, "whatever is missing was refused"

    base: Specification = recipe.with_values(values or {})
    if storage is not None:
        base = _with_states_of_runs(base, storage)
    flat = base.flat()
    roots = {
        name: flat[name]
        for name in workload.paths
        if flat.get(name) is not None and not is_no_path(flat[name])
    }
    absolute = {name: os.path.abspath(os.path.expanduser(root)) for name, root in roots.items()}
    # Ray and MLflow take no others; the digest of what lies there is that of the link, too.
    if odd := [name for name, root in absolute.items() if shown(root) != root]:
        raise PlanError(
            [
                f"{name}={shown(absolute[name])}: the path has bytes that are not UTF-8; make a "
                "link to it with another name, and give that"
                for name in odd
            ]
        )
    return base.with_values(absolute)


def workload_asked(request: Request, ablations: Sequence[Ablation]) -> AnyWorkload:
    """Return the workload that all ablations and the preset are of. Raises PlanError."""
    names = {ablation.workload for ablation in ablations}
    if len(names) > 1:
        raise PlanError(
            [
                f"{', '.join(one.name for one in ablations)}: are of different workloads "
                f"({', '.join(sorted(names))})"
            ]
        )

    of_ablations = workload_named(names.pop()) if names else None
    if request.config is not None:
        return of_ablations or workload_of_tree(read_yaml(request.config))
    if request.preset is None:
        return of_ablations or next(every_workload())

    of_preset = workload_of_preset(request.preset)
    if of_preset is None:
        known = of_ablations.presets if of_ablations else every_preset()
        hint = did_you_mean(request.preset, known)
        raise PlanError(
            [f"--preset {request.preset}: no such preset; known are {', '.join(known)}{hint}"]
        )
    if of_ablations is not None and of_preset is not of_ablations:
        presets = ", ".join(of_ablations.presets)
        raise PlanError(
            [
                f"--preset {request.preset}: is not for {ablations[0].name}, whose presets are "
                f"{presets}"
            ]
        )
    return of_preset


def is_no_path(value: str) -> bool:
    """Tell a URI, or what a library publishes by name, from a path."""
    return "://" in value or value.startswith("torchvision:")


def is_of_a_run(value: str) -> bool:
    """Tell the beginning of a fingerprint from a path."""
    return re.fullmatch("[0-9a-f]{4,20}", value) is not None


def _with_states_of_runs(base: Specification, storage: Storage) -> Specification:
    """Name the file of a run's last state where weights are given by its fingerprint.

    Raises PlanError for a run that is not there or keeps none.
    """
    given = base.flat().get(BEGINS_WITH)
    if given is None or not is_of_a_run(given) or Path(given).is_file():
        return base
    try:
        record = finished_record(given, storage)
    except PlanError as error:
        raise PlanError([f"{BEGINS_WITH}={problem}" for problem in error.problems]) from None
    folder = RunFolder(storage, record.state_of)
    if not folder.has_checkpoint():
        raise PlanError([f"{BEGINS_WITH}={given}: its last state is not in {storage.shown()}"])
    return base.with_values({BEGINS_WITH: folder.checkpoint_address})
