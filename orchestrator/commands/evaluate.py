"""Evaluate a trained encoder again, or weights from elsewhere.

What was found is kept beside the run and in MLflow.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.commands.consoles import print_line
from orchestrator.commands.question import Question
from orchestrator.commands.request import base_recipe
from orchestrator.commands.result import Finished
from orchestrator.errors import PlanError, TrackingError
from orchestrator.run_record import EvaluationRecord, RunRecord
from orchestrator.stages import stage
from orchestrator.storage import Storage
from orchestrator.storage.runs import Checkpoint, RunFolder, finished_record, last_state
from orchestrator.tracking import Tracker
from orchestrator.tracking.names import interval_tags, mlflow_name
from workloads.catalog import every_workload, workload_named
from workloads.distributed.worker import Worker
from workloads.evaluation_result import EvaluationResult
from workloads.inventory import DataRead, lines_of, told_of_reading
from workloads.pieces import keeping_pieces
from workloads.spec import digest, flatten
from workloads.spelling import did_you_mean
from workloads.workload import (
    AnyTrainedAlone,
    DataFacts,
    Evaluation,
    Specification,
    TrainedAlone,
    Weights,
)
from workloads.written import read_assignments

__all__ = ["Question", "evaluate"]

# how names of files end that are no runs
WEIGHTS = (".pth", ".pt", ".ckpt", ".tar", ".bin", ".torch", ".safetensors")


@dataclass(frozen=True)
class _Subject:
    """A trained state, what it is of, and where its evaluations are kept.

    Weights from elsewhere have a record to be kept, and are published as long as they are there.
    """

    fingerprint: str
    name: str
    workload: AnyTrainedAlone
    spec: Specification
    state: dict[str, Any]
    data: DataFacts
    record: RunRecord | None = None
    is_published: bool = False

    @property
    def tree(self) -> dict[str, Any]:
        """The specification, of weights from elsewhere without a training that nobody knows."""
        weights = self.workload.weights
        if self.is_published and weights is not None:
            return weights.known(self.spec)
        return self.spec.tree()


def evaluate(
    question: Question, storage: Storage, tracker: Callable[[], Tracker], console: Console
) -> Finished:
    """Evaluate by a protocol, print the results with their 95 % intervals, and keep them.

    Exit code 1 if the evaluation diverges, and if MLflow cannot be written: the storage has
    everything then. Raises PlanError or SpecError.
    """
    protocol = question.protocol
    known: dict[str, Evaluation] = {}
    for workload in every_workload():
        if isinstance(workload, TrainedAlone):
            known |= workload.evaluations
    if protocol not in known:
        listed, hint = ", ".join(known), did_you_mean(protocol, known)
        raise PlanError([f"--protocol {protocol}: no such protocol; known are {listed}{hint}"])

    stage("reading the data, and decoding images that are new here")
    read: list[DataRead] = []
    with told_of_reading(read.append):
        subject = (
            _of_weights(question, console) if question.is_of_weights else _of_run(question, storage)
        )
    plain = [one.tree() for one in read]
    for line in lines_of(plain):
        print_line(console, line)
    evaluation = subject.workload.evaluations[protocol]
    problems = subject.workload.problems(subject.spec, None, 1)
    opened = tracker()
    if problem := opened.check():
        problems.append(problem)
    if problems:
        raise PlanError(problems)

    trained = "" if subject.is_published else f", epoch {subject.state['epoch']}"
    console.print(
        f"{subject.name} ({subject.fingerprint[:12]}){trained}, {protocol}", highlight=False
    )
    stage("evaluating")
    try:
        with keeping_pieces(RunFolder(storage, subject.fingerprint)):
            result, files = _evaluated(subject, evaluation, console)
    except subject.workload.divergence as error:
        console.print(
            f"{protocol} of {subject.name}: {error}",
            style="red",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
        return Finished(1, {"run": subject.fingerprint, "protocol": protocol, "error": str(error)})

    record = EvaluationRecord(
        run=subject.fingerprint,
        protocol=protocol,
        settings=subject.spec.tree().get("eval", {}),
        results=result.results,
        intervals=result.intervals,
        data=subject.workload.evaluated_on(subject.spec, subject.data),
        data_read=plain,
        ended=datetime.now(UTC).isoformat(timespec="seconds"),
    )

    name = f"{protocol}-{digest(record.settings)[:8]}"
    folder = RunFolder(storage, subject.fingerprint)
    if subject.record is not None:
        folder.write_checkpoint(Checkpoint(subject.state))
        folder.write_record(replace(subject.record, data_read=plain))
    pictures = folder.write_evaluation(name, record, result.predictions, files)
    folder.drop_pieces()
    for picture in pictures:
        console.print(storage.shown(picture), highlight=False, soft_wrap=True)

    recorded = _record(subject, name, record, files, opened, console)
    return Finished(0 if recorded else 1, record.tree() | {"files": pictures})


def _evaluated(
    subject: _Subject, evaluation: Evaluation, console: Console
) -> tuple[EvaluationResult, dict[str, bytes]]:
    """Print the results that a protocol is about; returns them, and pictures if it inspects."""
    files: dict[str, bytes] = {}
    if evaluation.inspects:
        from orchestrator.report.figures.representation import draw_representation

        seen = subject.workload.inspect(subject.spec, subject.state, Worker.here())
        result = EvaluationResult(seen.results)
        files = draw_representation(seen, title=_title(subject))
        for line in (*seen.warnings, *seen.notes):
            console.print(
                line,
                style="yellow" if line in seen.warnings else None,
                highlight=False,
                soft_wrap=True,
            )
    else:
        result = subject.workload.evaluate(subject.spec, subject.state, Worker.here()).only(
            evaluation.only
        )

    for name, value in result.results.items():
        low_high = result.intervals.get(name)
        sure = f"   [{low_high[0]:.4g}, {low_high[1]:.4g}]" if low_high else ""
        console.print(f"{name:<32} {value:.6g}{sure}", highlight=False, markup=False)
    return result, files


def _title(subject: _Subject) -> str:
    return (
        f"{subject.name}: {subject.workload.data_name(subject.tree)}, "
        f"{subject.workload.setting(subject.tree)}"
    )


def _of_run(question: Question, storage: Storage) -> _Subject:
    """Read a finished run of the storage, with the settings of the protocol."""
    run = question.subject
    if Path(run).expanduser().is_dir():
        raise PlanError([f"{run}: is a folder; name the file of weights in it"])
    if Path(run).suffix in WEIGHTS or len(Path(run).parts) > 1:
        raise PlanError([f"{run}: no such file"])
    if question.preset or question.config:
        raise PlanError(
            [f"--preset, --config: are for weights from elsewhere; {run} has its own specification"]
        )
    if question.prefix is not None or question.ignore:
        raise PlanError(
            [f"--weights-prefix, --weights-ignore: are for weights from elsewhere; {run} is a run"]
        )

    record = finished_record(run, storage)
    workload = workload_named(record.workload)
    if not isinstance(workload, TrainedAlone):
        raise PlanError(
            [
                f"{run}: is of {workload.name}, whose runs are tested once, at their end, and keep "
                "no network"
            ]
        )
    if question.protocol not in workload.evaluations:
        ways = ", ".join(workload.evaluations)
        raise PlanError(
            [
                f"--protocol {question.protocol}: is not for {run} of {workload.name}, which has "
                f"{ways}"
            ]
        )
    fields = type(workload.read(record.spec))
    assigned = read_assignments(list(question.assignments), fields)
    if other := [path for path in assigned if not path.startswith(tuple(workload.changeable))]:
        some = " and ".join(
            f"{name}*" if name.endswith(".") else name for name in workload.changeable
        )
        raise PlanError(
            [f"--set {path}: only {some} can change after pre-training" for path in other]
        )

    state = last_state(record.fingerprint, storage)
    asked = workload.read(record.spec).with_values(
        {**workload.evaluations[question.protocol].values, **assigned}
    )
    spec, data = workload.prepare(asked, download=question.download)
    return _Subject(
        record.fingerprint,
        record.name,
        workload,
        workload.pinned(spec),
        state,
        data,
        is_published=record.weights is not None,
    )


def _of_weights(question: Question, console: Console) -> _Subject:
    """Take published weights as a run of their own, which other commands know from then on."""
    source = question.subject
    if not (question.preset or question.config):
        raise PlanError(
            [f"{source}: --preset or --config says which encoder it is of, and which data to use"]
        )

    workload, weights = _taker_of_weights(question)
    base = base_recipe(workload, question.preset, question.config, question.assignments)
    assigned = read_assignments(list(question.assignments), type(base))
    chosen = {path: value for path, value in assigned.items() if path.startswith("eval.")}
    asked = base.with_values({**workload.evaluations[question.protocol].values, **chosen})
    read = weights.read(
        source,
        asked,
        download=question.download,
        prefix=question.prefix,
        ignore=question.ignore,
    )
    for note in read.notes:
        console.print(note, highlight=False, soft_wrap=True)

    record = RunRecord(
        name=source,
        fingerprint=read.fingerprint,
        workload=workload.name,
        status="finished",
        weights={"from": source, "notes": list(read.notes)},
        spec=weights.known(read.spec),
        data=read.data.title,
    )
    return _Subject(
        read.fingerprint,
        source,
        workload,
        read.spec,
        read.state,
        read.data,
        record,
        is_published=True,
    )


def _taker_of_weights(question: Question) -> tuple[AnyTrainedAlone, Weights[Any]]:
    """Return the workload that takes weights and has the preset, else the first that takes any."""
    takers = [
        (workload, workload.weights)
        for workload in every_workload()
        if isinstance(workload, TrainedAlone) and workload.weights is not None
    ]
    return next((taker for taker in takers if question.preset in taker[0].presets), takers[0])


def _record(
    subject: _Subject,
    name: str,
    record: EvaluationRecord,
    files: Mapping[str, bytes],
    tracker: Tracker,
    console: Console,
) -> bool:
    """Write the evaluation into MLflow below the run that it is of; whether that went well."""
    contents: dict[str, str | bytes] = {
        f"{name}.json": json.dumps(record.tree(), indent=2),
        **files,
    }
    try:
        run = tracker.evaluation(
            subject.fingerprint,
            name,
            name=f"{name} of {subject.name}",
            params=flatten({"eval": record.settings}),
        )
        known = subject.workload.quantities
        results = {mlflow_name(name, known): value for name, value in record.results.items()}
        tracker.finish(run, results, contents, about=interval_tags(record.intervals, known))
    except TrackingError as error:
        console.print(
            f"kept in the storage, but not in MLflow: {error}",
            style="yellow",
            soft_wrap=True,
            markup=False,
        )
        return False
    return True
