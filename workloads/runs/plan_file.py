"""Runs written down, to be done on any machine: whole specifications, and what they are for.

The file is JSON that people can read. It knows its own digest, so that a truncated or edited one
is refused, and each run's fingerprint, so that code that would do another run is.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ValidationError

from workloads.catalog import workload_named
from workloads.local_files import write_whole
from workloads.spec import Part, SpecError, digest
from workloads.workload import AnyTrainedAlone, AnyTrainedTogether, Specification

__all__ = ["PlanFile", "PlannedRun", "read_plan_file"]

FORMAT, VERSION = "simclr-orch plan", 1
MOST_BYTES = 2**28


class PlannedRun(Part):
    """One run of a plan file: a name for people, its seed, what it is for, and all of it.

    `number` counts from 1. `role` is "candidate" for a setting that a tuned cell may choose, whose
    divergence is an answer.
    """

    number: int
    name: str
    sweeps: tuple[str, ...]
    seed: int
    role: Literal["cell", "reference", "candidate"]
    fingerprint: str
    spec: dict[str, Any]


class PlanFile(Part):
    """Runs of one workload, and the sweeps that they belong to, as storages keep them.

    `sweeps` are the plans of `simclr-orch`, with what the data were; `versions` those of the
    packages where the file was written.
    """

    format: Literal["simclr-orch plan"] = "simclr-orch plan"
    version: Literal[1] = 1
    workload: str
    command: str
    git_commit: str | None
    versions: dict[str, str]
    written: str
    cells: tuple[PlannedRun, ...]
    sweeps: tuple[dict[str, Any], ...]

    @property
    def digest(self) -> str:
        """The digest of all that is in the file."""
        return digest(self.tree())

    def write(self, path: Path) -> None:
        """Write the file as a whole. Raises OSError."""
        text = json.dumps(self.tree() | {"digest": self.digest}, indent=1, allow_nan=False)
        write_whole(path, (text + "\n").encode())

    @property
    def of_workload(self) -> AnyTrainedAlone | AnyTrainedTogether:
        """The workload that the runs are of. Raises SpecError where it is not installed."""
        return workload_named(self.workload)

    def specs(self, cells: Sequence[PlannedRun]) -> dict[str, Specification]:
        """Return the specifications of some of the runs, by fingerprint.

        Raises SpecError where this code would do other runs than the code that wrote the file.
        """
        workload, found = self.of_workload, dict[str, Specification]()
        for cell in cells:
            try:
                spec = workload.read(cell.spec)
            except SpecError as error:
                raise SpecError([self._of_another_version(cell, str(error))]) from None
            if spec.fingerprint() != cell.fingerprint:
                reason = f"its fingerprint is {spec.fingerprint()} here, {cell.fingerprint} there"
                raise SpecError([self._of_another_version(cell, reason)])
            found[cell.fingerprint] = spec
        return found

    def _of_another_version(self, cell: PlannedRun, reason: str) -> str:
        by = f" (commit {self.git_commit})" if self.git_commit else ""
        return (
            f"cell {cell.number}, {cell.name}: the plan was written by another version of the "
            f"code{by}: {reason}"
        )

    @classmethod
    def of_tree(cls, tree: object) -> Self:
        """Read what `write` wrote, as JSON gives it. Raises ValueError that says what is wrong."""
        if not isinstance(tree, dict) or tree.get("format") != FORMAT:
            raise ValueError("is no plan of `simclr-orch plan`")
        if tree.get("version") != VERSION:
            raise ValueError(
                f"is a plan of version {tree.get('version')!r}, this code reads version {VERSION}"
            )
        rest = {name: value for name, value in tree.items() if name != "digest"}
        if digest(rest) != tree.get("digest"):
            raise ValueError("was changed or cut after it was written: its digest does not fit")
        try:
            return cls.model_validate(rest)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ValueError(f"cannot be read by this code: {where}: {first['msg']}") from None


def read_plan_file(path: Path) -> PlanFile:
    """Read a plan. Raises SpecError, in one sentence, for a file that is none or is damaged."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SpecError([f"{path}: is too large for a plan"])
        data = path.read_bytes()
    except OSError as error:
        raise SpecError([f"{path}: cannot be read ({error.strerror or error})"]) from None
    try:
        tree: Mapping[str, Any] = json.loads(data)
    except (ValueError, RecursionError):
        raise SpecError([f"{path}: is no plan: it is empty, cut off or not JSON"]) from None
    try:
        return PlanFile.of_tree(tree)
    except (ValueError, TypeError) as error:
        raise SpecError([f"{path}: {error}"]) from None
