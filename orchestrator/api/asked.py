"""What a caller asks for, as the request that the commands take."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import PlanError
from search_spaces import Ablation

if TYPE_CHECKING:
    from orchestrator.commands.request import Request
    from orchestrator.resources import Placement
    from orchestrator.storage import Storage

__all__ = [
    "Asked",
    "Each",
    "Only",
    "Over",
    "Question",
    "assignments",
    "part_asked",
    "refusing",
    "storage_of",
]

# A part of a question: labels, those of each axis by its name, or a text as `--only` has it.
Only = str | Sequence[str] | Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Over:
    """A question that fields and their values make, as `simclr-orch ablate --over` does.

    `axes` has the values of each field, or a range as text, "0.1..1:4"; cells are all combinations.
    `claims` say what is to be judged, as "0.1 > 0.5"; `metric` is the workload's first unless
    given, and `name` that of the fields.
    """

    axes: Mapping[str, Sequence[Any] | str]
    claims: Sequence[str] = ()
    metric: str | None = None
    name: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """The axes as `--over` takes them. Raises PlanError for what is no plain value."""
        written, problems = [], []
        for field, values in self.axes.items():
            try:
                listed = values if isinstance(values, str) else json.dumps(values, default=_plain)
            except (TypeError, ValueError):
                problems.append(f"over {field}: {values!r}: is neither a list of values nor a text")
                continue
            written.append(f"{field}={listed if isinstance(values, str) else listed[1:-1]}")
        if problems:
            raise PlanError(problems)
        return tuple(written)


# A name, a file, one that was built in Python, or fields with their values.
Question = str | Path | Ablation | Over


@dataclass(frozen=True, kw_only=True)
class Each:
    """What each run occupies, as `--workers`, `--cpus-per-worker` and the like say it.

    None: one CPU or as many as the machine has to spare, and one GPU where there are some.
    """

    workers: int = 1
    cpus_per_worker: int | None = None
    gpus_per_worker: float | None = None
    gpu_type: str | None = None
    placement: "Placement" = "pack"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question on a recipe, or without one a single run, and where its results are kept."""

    question: Question | None
    preset: str | None
    config: str | Path | None
    set: Mapping[str, Any] | None
    only: "Only" = ()
    seeds: int = 1
    max_seeds: int | None = None
    tuning: str = "per-seed"
    vary: str | None = None
    each: Each | None = None
    max_concurrent: int | None = None
    max_failures: int = 2
    download: bool = False
    log_model: bool = False
    logs: Sequence[str] = ()
    storage: str | Path | None
    tracking_uri: str | None
    address: str | None

    @property
    def request(self) -> "Request":
        """The same as a command takes it, on the recipe that a question's file names.

        Raises PlanError for values that cannot be written and for several questions or recipes at
        once, and SpecError for a file that asks none.
        """
        from orchestrator.commands.over import over_of
        from orchestrator.commands.questions import EVERY, on_one_recipe
        from orchestrator.commands.request import Request

        each, question = self.each or Each(), self.question
        if question == EVERY:
            raise PlanError([f"{EVERY}: is several questions; ask one at a time"])
        over = None
        if isinstance(question, Over):
            claims = [question.claims] if isinstance(question.claims, str) else question.claims
            over = over_of(question.texts, claims, question.metric, question.name)
        asked = Request(
            ablations=(str(question),) if isinstance(question, str | Path) else (),
            built=(question,) if isinstance(question, Ablation) else (),
            over=over,
            preset=self.preset,
            config=None if self.config is None else Path(self.config),
            assignments=assignments(self.set or {}),
            only=part_asked(self.only),
            seeds=self.seeds,
            max_seeds=self.max_seeds,
            tuning=self.tuning,
            vary=self.vary,
            workers=each.workers,
            cpus_per_worker=each.cpus_per_worker,
            gpus_per_worker=each.gpus_per_worker,
            gpu_type=each.gpu_type,
            placement=each.placement,
            max_concurrent=self.max_concurrent,
            max_failures=self.max_failures,
            download=self.download,
            log_model=self.log_model,
            logs=(self.logs,) if isinstance(self.logs, str) else tuple(self.logs),
            flags={
                "storage": None if self.storage is None else str(self.storage),
                "tracking_uri": self.tracking_uri,
                "address": self.address,
            },
        )
        return on_one_recipe(asked)


def part_asked(only: Only) -> tuple[str, ...]:
    """Return the labels of a part as `--only` takes them: a text by itself is one already."""
    if isinstance(only, str):
        return (only,)
    if isinstance(only, Mapping):
        return tuple(f"{axis}={_labels(labels)}" for axis, labels in only.items())
    return (_labels(only),) if only else ()


def _labels(labels: Sequence[str]) -> str:
    """Write labels with commas between; those with a comma of their own in quotes."""
    given = [labels] if isinstance(labels, str) else [str(label) for label in labels]
    return ",".join(f'"{label}"' if "," in label else label for label in given)


def assignments(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return fields with their values as `--set` takes them, which is what recipes are kept as.

    Raises PlanError that lists what is no plain value.
    """
    from workloads.written import as_assigned

    written, problems = [], []
    for field, value in values.items():
        try:
            text = str(value) if isinstance(value, Path) else as_assigned(value, default=_plain)
            written.append(f"{field}={text}")
        except (TypeError, ValueError):
            problems.append(f"set: {field}={value!r}: is neither a number, a text nor a list")
    if problems:
        raise PlanError(problems)
    return tuple(written)


def _plain(value: Any) -> Any:
    """Return numbers and arrays of numpy, and paths, as what JSON has."""
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError


def storage_of(storage: "str | Path | None") -> "Storage":
    """Return the storage that is given, else that of the settings. Raises SpecError."""
    from orchestrator.commands.stores import storage_at

    return storage_at(None if storage is None else str(storage))


@contextmanager
def refusing() -> Iterator[None]:
    """Raise a specification's problems as the PlanError that every refusal is."""
    from workloads.spec import SpecError

    try:
        yield
    except SpecError as error:
        raise PlanError(error.problems) from None
