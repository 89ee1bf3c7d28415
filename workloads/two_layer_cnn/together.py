"""Many runs in one process, each given as soon as it has ended, whatever becomes of the others."""

import statistics
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from workloads.two_layer_cnn.run import (
    DivergedError,
    Phase,
    StepResult,
    curves,
    divergence_of,
    results,
    train,
)
from workloads.two_layer_cnn.spec import TwoLayerSpec
from workloads.workload import Ended, Progress

__all__ = ["CURVE_POINTS", "train_together"]

CURVE_POINTS = 100  # kept of each phase
_PHASES: tuple[Phase, ...] = ("pretrain", "finetune")

State = dict[str, Any]


def train_together(specs: Sequence[TwoLayerSpec], resume: State | None) -> Iterator[Progress]:
    """Train all runs, which differ, and give each as soon as it has ended.

    A run whose loss is not finite ends with that error, and its batch begins anew without it.
    `resume` is any state that was yielded: what it knows of these runs is used. Raises SpecError as
    `train` does.
    """
    positions = {spec.fingerprint(): position for position, spec in enumerate(specs)}
    assert len(positions) == len(specs), "equal runs are one run"

    def by_position(ended: Mapping[str, Ended]) -> dict[int, Ended]:
        return {positions[name]: one for name, one in ended.items()}

    state, seconds = resume, dict[str, float](resume["seconds"]) if resume else {}
    if state is not None and (ended := _ended(specs, state, seconds)):
        yield Progress(by_position(ended), {}, state)

    left = [spec for spec in specs if state is None or spec.fingerprint() not in state["finetuned"]]
    while left:
        try:
            for result in _timed(train(left, _carried_over(state, left)), left, seconds):
                before: Collection[str] = state["finetuned"] if state else ()
                state = result.state | {"seconds": dict(seconds)}
                fresh = [spec for spec in left if spec.fingerprint() not in before]
                ended = _ended(fresh, state, seconds)
                yield Progress(by_position(ended), _on_average(result), state)
            return
        except DivergedError as error:
            lost = {
                spec.fingerprint()
                for spec in left
                if error.fingerprint in (spec.fingerprint(), spec.pretrain_fingerprint())
            }
            assert lost, "the error names one of the runs, or the pre-training of some"
            failed = {name: Ended(seconds=seconds.get(name, 0.0), error=error) for name in lost}
            yield Progress(by_position(failed), {}, state)

        # The others begin anew, without those that would stop them again.
        done = lost.union(state["finetuned"] if state else ())
        left = [spec for spec in left if spec.fingerprint() not in done]


def _carried_over(state: State | None, specs: Sequence[TwoLayerSpec]) -> State | None:
    """The part of a state that these runs can use.

    The batch that it is in the middle of may be another one for them.
    """
    cells = [spec.fingerprint() for spec in specs]
    if state is None or state["cells"] == cells:
        return state
    return state | {"cells": cells, "running": None}


def _timed(
    progress: Iterator[StepResult], specs: Sequence[TwoLayerSpec], seconds: dict[str, float]
) -> Iterator[StepResult]:
    """Forward, and add the time of each step to the `seconds` of the runs that took it.

    They share it equally.
    """
    began = time.perf_counter()
    for result in progress:
        moved = [
            spec.fingerprint()
            for spec, metrics in zip(specs, result.metrics, strict=True)
            if metrics
        ]
        share = (time.perf_counter() - began) / max(len(moved), 1)
        for name in moved:
            seconds[name] = seconds.get(name, 0.0) + share
        yield result
        began = time.perf_counter()


def _ended(
    specs: Sequence[TwoLayerSpec], state: State, seconds: Mapping[str, float]
) -> dict[str, Ended]:
    """Those of the runs that the state has results of."""
    known = [spec for spec in specs if spec.fingerprint() in state["finetuned"]]
    return {
        spec.fingerprint(): _one_ended(spec, state, seconds[spec.fingerprint()]) for spec in known
    }


def _one_ended(spec: TwoLayerSpec, state: State, seconds: float) -> Ended:
    (metrics,), (drawn,) = results([spec], state), curves([spec], state)
    if error := divergence_of(spec, metrics):
        return Ended(seconds=seconds, error=error)
    return Ended({"test_error": metrics["test_error"]} | metrics, _history(drawn), seconds)


def _history(drawn: Mapping[Phase, Mapping[str, Sequence[float]]]) -> list[dict[str, float]]:
    """The points of both curves, one after the other.

    `epoch` counts the steps of both, `phase` is 0 and then 1.
    """
    points: list[dict[str, float]] = []
    first = 0.0
    for number, phase in enumerate(_PHASES):
        if phase not in drawn:
            continue

        curve = drawn[phase]
        for index in _spread(len(curve["step"])):
            point = {"epoch": first + curve["step"][index], "phase": float(number)}
            points.append(
                point | {name: curve[name][index] for name in ("loss", "alignment", "norm")}
            )

        # the first point of fine-tuning is no step, yet a point of its own
        first = points[-1]["epoch"] + 1
    return points


def _spread(count: int) -> list[int]:
    """At most CURVE_POINTS indices below `count`, evenly, with the first and the last."""
    if count <= CURVE_POINTS:
        return list(range(count))
    return [round(point * (count - 1) / (CURVE_POINTS - 1)) for point in range(CURVE_POINTS)]


def _on_average(result: StepResult) -> dict[str, float]:
    moving = [metrics for metrics in result.metrics if metrics]
    means = {
        name: statistics.fmean(metrics[name] for metrics in moving)
        for name in ("loss", "alignment")
    }
    return {"phase": float(_PHASES.index(result.phase)), "step": float(result.step)} | means
