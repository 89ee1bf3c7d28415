"""A request as typed: which ablations, which recipe; problems are collected and said at once."""

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from orchestrator.errors import OrchestratorError, PlanError
from orchestrator.resources import Placement
from search_spaces import OF_THE_PAPER, Ablation, every_ablation
from workloads.inventory import shown
from workloads.spec import SpecError
from workloads.workload import (
    AnyWorkload,
    Specification,
)
from workloads.written import read_assignments, read_yaml

__all__ = ["Problems", "Request", "ablations_named", "base_recipe", "command_line"]

T = TypeVar("T")
EVERY = "all"


@dataclass(frozen=True)
class Request:
    """A request of a person, as typed. Neither ablations nor a search: a single run.

    `max_seeds` None: as many as `seeds`.
    """

    ablations: tuple[str, ...]
    preset: str | None = None
    config: Path | None = None
    assignments: tuple[str, ...] = ()
    seeds: int = 1
    max_seeds: int | None = None
    search: tuple[str, ...] = ()
    samples: int = 16
    workers: int = 1
    cpus_per_worker: int | None = None
    gpus_per_worker: float | None = None
    gpu_type: str | None = None
    placement: Placement = "pack"
    max_concurrent: int | None = None
    max_failures: int = 2
    download: bool = False
    log_model: bool = False
    flags: Mapping[str, str | None] = field(default_factory=dict)

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


def command_line(arguments: list[str]) -> str:
    """Return the command as one would type it again."""
    return shlex.join(["simclr-orch", *arguments])


def base_recipe(
    workload: AnyWorkload, preset: str | None, config: Path | None, assignments: Sequence[str]
) -> Specification:
    """Return a recipe with the assignments on it, and the roots of its data absolute.

    Workers run in folders of their own. Raises one PlanError with every problem.
    """
    problems = Problems()
    fields = type(next(iter(workload.presets.values()))())
    values = problems.attempt(lambda: read_assignments(list(assignments), fields))
    named = preset or next(iter(workload.presets))
    if named not in workload.presets:
        problems.found.append(
            f"--preset {named}: no such preset; known are {', '.join(workload.presets)}"
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
    flat = base.flat()
    roots = {
        name: flat[name]
        for name in workload.paths
        if flat.get(name) is not None and "://" not in flat[name]
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
