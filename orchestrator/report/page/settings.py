"""Settings as a page shows them: what differs from the paper, by the part of the specification."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.report.differences import Difference
from workloads.written import as_assigned

__all__ = ["PARTS", "Part", "parts_of"]

# What parts are about; a part that is not here goes by its own name.
PARTS = {
    "data": "Data",
    "augment": "Augmentation",
    "encoder": "Encoder",
    "head": "Projection head",
    "loss": "Loss",
    "optim": "Optimizer",
    "schedule": "Schedule",
    "eval": "Evaluation",
    "init": "Initial weights",
}


@dataclass(frozen=True)
class Part:
    """A part of the specification, and its fields that differ, with our value and the paper's."""

    name: str
    rows: Sequence[tuple[str, str, str]]


def parts_of(differences: Iterable[Difference]) -> list[Part]:
    """Group fields by their part, in the order in which the specification has them."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for one in differences:
        row = (one.field, as_assigned(one.ours), as_assigned(one.paper))
        found.setdefault(one.field.partition(".")[0], []).append(row)
    return [Part(PARTS.get(name, name), rows) for name, rows in found.items()]
