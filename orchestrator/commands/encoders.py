"""The encoder that somebody asks for: of a run in the storage, or of weights from elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.commands.question import Question
from orchestrator.commands.request import base_recipe
from orchestrator.errors import PlanError
from orchestrator.storage import Storage
from orchestrator.storage.runs import finished_record, last_state
from workloads.catalog import every_workload, workload_named
from workloads.workload import EmbedsImages, Specification, State
from workloads.written import read_assignments

__all__ = ["AskedEncoder", "EncoderRequest", "encoder_asked_for"]


@dataclass(frozen=True)
class EncoderRequest:
    """A wish for an encoder: `subject` is a run or weights, as `Question` has it.

    So are the fields that weights need. Of a run, assignments say how images are read.
    """

    subject: str
    assignments: tuple[str, ...] = ()
    preset: str | None = None
    config: Path | None = None
    prefix: str | None = None
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True)
class AskedEncoder:
    """A trained state, and what it is: its name for people, and where it comes from.

    `reading` has the fields that say how images are read where they are not as in `spec`; `notes`
    are on weights from elsewhere.
    """

    name: str
    workload: EmbedsImages[Any]
    spec: Specification
    state: State
    reading: Mapping[str, Any]
    origin: dict[str, Any]
    notes: tuple[str, ...] = ()


def encoder_asked_for(request: EncoderRequest, storage: Storage) -> AskedEncoder:
    """Read the encoder. Raises PlanError or SpecError for a request that cannot be met."""
    if Question(request.subject).is_of_weights:
        return _of_weights(request)
    return _of_run(request, storage)


def _of_run(request: EncoderRequest, storage: Storage) -> AskedEncoder:
    run = request.subject
    if len(Path(run).parts) > 1:
        raise PlanError([f"{run}: no such file"])
    given = {
        "--preset": request.preset,
        "--config": request.config,
        "--weights-prefix": request.prefix,
        "--weights-ignore": request.ignore,
    }
    if said := [option for option, value in given.items() if value]:
        raise PlanError(
            [f"{', '.join(said)}: for weights from elsewhere; {run} has its own specification"]
        )
    record = finished_record(run, storage)
    workload = workload_named(record.workload)
    if not isinstance(workload, EmbedsImages):
        raise PlanError([f"{run}: is of {workload.name}, whose runs keep no encoder of images"])
    spec = workload.read(record.spec)
    reading, others = _assigned(workload, request)
    if others:
        some = ", ".join(workload.read_by)
        raise PlanError([f"--set {one}: of a run only {some} can be set" for one in others])
    state = last_state(record.fingerprint, storage)
    origin: dict[str, Any] = {"run": record.fingerprint, "name": record.name}
    if record.weights is not None:
        origin["weights"] = record.weights["from"]
    return AskedEncoder(record.name, workload, spec, state, reading, origin)


def _of_weights(request: EncoderRequest) -> AskedEncoder:
    source = request.subject
    if not (request.preset or request.config):
        raise PlanError([f"{source}: --preset or --config says which encoder it is of"])
    takers = [one for one in every_workload() if isinstance(one, EmbedsImages)]
    workload = next((one for one in takers if request.preset in one.presets), takers[0])
    reading, others = _assigned(workload, request)
    spec = base_recipe(workload, request.preset, request.config, others)
    state, notes = workload.state_from(source, spec, prefix=request.prefix, ignore=request.ignore)
    origin = {"weights": source, "notes": list(notes)}
    return AskedEncoder(source, workload, spec, state, reading, origin, tuple(notes))


def _assigned(
    workload: EmbedsImages[Any], request: EncoderRequest
) -> tuple[dict[str, Any], list[str]]:
    """Which fields say how the images are read, with their values, and the other assignments."""
    others = [
        one for one in request.assignments if one.partition("=")[0].strip() not in workload.read_by
    ]
    of_reading = [one for one in request.assignments if one not in others]
    fields = type(next(iter(workload.presets.values()))())
    return read_assignments(of_reading, fields), others
