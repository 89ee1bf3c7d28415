"""Judge a trained encoder again, or weights from elsewhere, and keep what was found beside the run and in MLflow."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.cell import CHECKPOINT, RECORD, checkpoint_of, read_record
from orchestrator.errors import PlanError, TrackingError
from orchestrator.outcome import Finished
from orchestrator.predictions import predictions_bytes
from orchestrator.request import base_recipe
from orchestrator.runs import run_named, workload_of
from orchestrator.storage import Storage
from orchestrator.tracking import Tracker
from workloads.checkpoint import encode
from workloads.evaluation.judgement import Judgement
from workloads.spec import digest, flatten, read_assignments
from workloads.worker import Worker
from workloads.workload import Evaluation, Specification, TrainedAlone, every_workload

__all__ = ["Question", "evaluate"]

CHANGEABLE = ("eval.", "data.root")


@dataclass(frozen=True)
class Question:
    """What is judged, and how: a run by the beginning of its fingerprint, or published weights by their file or name.

    Weights from elsewhere come without a specification: `preset` or `config`, with the assignments, say which encoder they
    are of and which data they are judged on.
    """

    subject: str
    protocol: str = "linear"
    assignments: tuple[str, ...] = ()
    preset: str | None = None
    config: Path | None = None
    download: bool = False

    @property
    def is_of_weights(self) -> bool:
        """Whether the subject is a file, or names weights that torchvision publishes."""
        return self.subject.startswith("torchvision:") or Path(self.subject).is_file()


@dataclass(frozen=True)
class _Subject:
    """A trained state, what it is of, and where its judgements are kept."""

    fingerprint: str
    name: str
    workload: TrainedAlone
    spec: Specification
    state: dict[str, Any]


def evaluate(question: Question, storage: Storage, tracker: Callable[[], Tracker], console: Console) -> Finished:
    """Judge by a protocol, print the results with their 95 % intervals, and keep them. Raises PlanError or SpecError.

    Exit code 1 if MLflow cannot be written: the storage has everything then.
    """
    protocol = question.protocol
    known = dict.fromkeys(name for one in every_workload() if isinstance(one, TrainedAlone) for name in one.evaluations)
    if protocol not in known:
        raise PlanError([f"--protocol {protocol}: no such protocol; known are {', '.join(known)}"])
    subject = _of_weights(question, storage, console) if question.is_of_weights else _of_run(question, storage)
    if protocol not in subject.workload.evaluations:
        ways = ", ".join(subject.workload.evaluations)
        whose = f"{question.subject} of {subject.workload.name}"
        raise PlanError([f"--protocol {protocol}: is not for {whose}, which has {ways}"])
    evaluation = subject.workload.evaluations[protocol]
    assigned = read_assignments(list(question.assignments))
    if question.is_of_weights:  # the others are in its specification already
        assigned = {path: value for path, value in assigned.items() if path.startswith("eval.")}
    spec = subject.spec.with_values({**evaluation.values, **assigned})
    if problems := subject.workload.problems(spec, None, 1):
        raise PlanError(problems)
    console.print(f"{subject.name} ({subject.fingerprint[:12]}), epoch {subject.state['epoch']}, {protocol}", highlight=False)
    judged, files = _judged(subject, spec, evaluation, console)
    document: dict[str, Any] = {
        "run": subject.fingerprint,
        "protocol": protocol,
        "eval": spec.tree()["eval"],
        "results": dict(judged.results),
        "intervals": {name: list(interval) for name, interval in judged.intervals.items()},
    }
    kept = f"{protocol}-{digest(document['eval'])[:8]}"
    folder = f"runs/{subject.fingerprint}/evaluations"
    storage.write_json(f"{folder}/{kept}.json", document)
    if judged.predictions:
        storage.write_bytes(f"{folder}/{kept}.npz", predictions_bytes(judged.predictions))
    for name, content in files.items():
        storage.write_bytes(f"{folder}/{kept}/{name}", content)
    for name in files:
        console.print(storage.path(folder, kept, name), highlight=False, soft_wrap=True)
    recorded = _record(subject, kept, document, files, tracker, console)
    return Finished(0 if recorded else 1, document | {"files": [f"{folder}/{kept}/{name}" for name in files]})


def _judged(
    subject: _Subject, spec: Specification, evaluation: Evaluation, console: Console
) -> tuple[Judgement, dict[str, bytes]]:
    """What the protocol is about, printed, and the pictures of a protocol that looks."""
    files: dict[str, bytes] = {}
    if evaluation.looks:
        from orchestrator.pictures import draw_representation

        seen = subject.workload.inspect(spec, subject.state, Worker.here())
        judged, files = Judgement(seen.results), draw_representation(seen, title=_title(subject))
        for line in (*seen.warnings, *seen.notes):
            console.print(line, style="yellow" if line in seen.warnings else None, highlight=False, soft_wrap=True)
    else:
        judged = subject.workload.evaluate(spec, subject.state, Worker.here()).only(evaluation.only)
    for name, value in judged.results.items():
        low_high = judged.intervals.get(name)
        sure = f"   [{low_high[0]:.4g}, {low_high[1]:.4g}]" if low_high else ""
        console.print(f"{name:<32} {value:.6g}{sure}", highlight=False, markup=False)
    return judged, files


def _title(subject: _Subject) -> str:
    return f"{subject.name}: {subject.spec.tree()['data']['name']}, {subject.workload.setting(subject.spec.tree())}"


def _of_run(question: Question, storage: Storage) -> _Subject:
    """A finished run of the storage."""
    run, assigned = question.subject, read_assignments(list(question.assignments))
    if other := [path for path in assigned if not path.startswith(CHANGEABLE)]:
        raise PlanError([f"--set {path}: only eval.* and data.root can change after pre-training" for path in other])
    if question.preset or question.config:
        raise PlanError([f"--preset, --config: are for weights from elsewhere; {run} has its own specification"])
    fingerprint = run_named(run, storage)
    record = read_record(storage, fingerprint)
    if record is None or record["status"] != "finished":
        raise PlanError([f"{run}: has not finished in {storage.uri}"])
    workload = workload_of(record)
    if not isinstance(workload, TrainedAlone):
        raise PlanError([f"{run}: is of {workload.name}, whose runs are tested once, at their end, and keep no network"])
    kept = checkpoint_of(storage, fingerprint)
    if kept is None:
        raise PlanError([f"{run}: its last state is not in {storage.uri}"])
    return _Subject(fingerprint, record["name"], workload, workload.read(record["spec"]), kept["state"])


def _of_weights(question: Question, storage: Storage, console: Console) -> _Subject:
    """Published weights as a run of their own, which `runs`, `compare` and `export` know from then on."""
    from workloads.evaluation.features import tensors_digest
    from workloads.simclr.published import state_of_weights
    from workloads.simclr.spec import RunSpec
    from workloads.simclr.workload import SIMCLR

    if not (question.preset or question.config):
        raise PlanError([f"{question.subject}: --preset or --config says which encoder it is of, and which data to use"])
    base = base_recipe(SIMCLR, question.preset, question.config, question.assignments)
    spec, data = SIMCLR.prepare(base, download=question.download)
    assert isinstance(spec, RunSpec), "of the workload that was asked"
    state, notes = state_of_weights(question.subject, spec)
    content = tensors_digest(state["model"])
    weights = digest({"weights": content, "encoder": spec.encoder.tree(), "data": spec.data.tree()})
    for note in notes:
        console.print(note, highlight=False, soft_wrap=True)
    record = {
        "name": question.subject,
        "fingerprint": weights,
        "workload": SIMCLR.name,
        "status": "finished",
        "weights": {"from": question.subject, "notes": list(notes)},
        "results": {},
        "history": [],
        "spec": spec.tree(),
        "data": data.title,
    }
    storage.write_bytes(f"runs/{weights}/{CHECKPOINT}", encode({"state": state, "history": [], "elapsed": 0.0}))
    storage.write_json(f"runs/{weights}/{RECORD}", record)
    return _Subject(weights, question.subject, SIMCLR, spec, state)


def _record(
    subject: _Subject,
    kept: str,
    document: Mapping[str, Any],
    files: Mapping[str, bytes],
    tracker: Callable[[], Tracker],
    console: Console,
) -> bool:
    """Write the judgement into MLflow below the run that it is of; whether that went well."""
    contents: dict[str, str | bytes] = {f"{kept}.json": json.dumps(document, indent=2), **files}
    try:
        opened = tracker()
        run = opened.evaluation(
            subject.fingerprint,
            kept,
            name=f"{kept} of {subject.name}",
            params=flatten({"eval": document["eval"]}),
        )
        opened.finish(run, document["results"], contents)
    except TrackingError as error:
        console.print(f"kept in the storage, but not in MLflow: {error}", style="yellow", soft_wrap=True, markup=False)
        return False
    return True
