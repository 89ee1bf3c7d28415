"""The parts that a SimCLR run can have, by kind: built in, of installed distributions, or named."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from workloads.datasets.spec import DataSetName
from workloads.parts import (
    DATASETS,
    ENCODERS,
    KINDS,
    LOSSES,
    METRICS,
    OPERATIONS,
    OPTIMIZERS,
    Kind,
    PartOption,
    find,
    offered,
)
from workloads.simclr.own_encoders import encoder_part
from workloads.simclr.spec import EncoderSpec, Operation
from workloads.simclr.spec.training import Architecture, LossName, OptimName, WithOptions
from workloads.spec import SpecError
from workloads.spelling import nearest

__all__ = ["ListedPart", "kind_named", "listed_parts", "part_named"]

BUILT_IN: dict[Kind, tuple[str, ...]] = {
    ENCODERS: get_args(Architecture),
    LOSSES: get_args(LossName),
    OPTIMIZERS: get_args(OptimName),
    DATASETS: get_args(DataSetName),
    OPERATIONS: get_args(Operation),
    METRICS: (),
}
FIELDS = {
    ENCODERS: "encoder.architecture",
    LOSSES: "loss.name",
    OPTIMIZERS: "optim.name",
    DATASETS: "data.name",
    OPERATIONS: "augment.operations",
    METRICS: "eval.metrics.names",
}


@dataclass(frozen=True)
class ListedPart:
    """A part as people read of it; `problem` says why it cannot be had."""

    kind: str
    field: str
    name: str
    comes_from: str
    code: str | None = None
    options: tuple[PartOption, ...] = ()
    problem: str | None = None


def kind_named(name: str) -> Kind:
    """Return the kind of a group's name, such as `encoders`. Raises SpecError with the choices."""
    known = {_plural(kind): kind for kind in KINDS}
    if name not in known:
        near = nearest(name, known)
        hint = f"did you mean {near}? " if near else ""
        raise SpecError([f"--kind {name}: no such kind; {hint}known are {', '.join(known)}"])
    return known[name]


def listed_parts(kinds: Sequence[Kind] = KINDS) -> Iterator[ListedPart]:
    """Yield the built-in parts of some kinds, and those of installed distributions.

    The latter are imported. One that cannot be is told as such.
    """
    for kind in kinds:
        for name in BUILT_IN[kind]:
            yield ListedPart(_plural(kind), FIELDS[kind], name, "built in")
        if kind is ENCODERS:
            yield from (part_named(kind, name) for name in get_args(WithOptions))
        for point in offered(kind):
            whose = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
            try:
                yield part_named(kind, point.name)
            except SpecError as error:
                problem = str(error)
                yield ListedPart(_plural(kind), FIELDS[kind], point.name, whose, problem=problem)


def part_named(kind: Kind, name: str) -> ListedPart:
    """Return a part by the name that its field takes; it is imported. Raises SpecError."""
    plural, field = _plural(kind), FIELDS[kind]
    if name in BUILT_IN[kind]:
        return ListedPart(plural, field, name, "built in")
    if kind is ENCODERS:
        part = encoder_part(EncoderSpec.read({"architecture": name}))
    else:
        part = find(kind, field, name)
    where = "built in" if name in get_args(WithOptions) else part.where
    return ListedPart(plural, field, name, where, part.code, part.described())


def _plural(kind: Kind) -> str:
    return kind.group.removeprefix("simclr_orch.")
