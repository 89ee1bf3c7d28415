"""Many cells of the two-layer study at once: pre-train what differs, fine-tune all, test.

Cells whose arrays have equal shapes are one batch, whatever their seeds, signal-to-noise ratios and
ways to start; cells with equal unlabeled inputs share their pre-training. Each cell's result is
what it would be alone, up to rounding.
"""

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from workloads.spec import SpecError
from workloads.two_layer_cnn.data import signals
from workloads.two_layer_cnn.descent import Curve, NotFiniteError
from workloads.two_layer_cnn.finetune import Finetuned, finetune
from workloads.two_layer_cnn.pretrain import Pretrained, pretrain
from workloads.two_layer_cnn.spec import PatchDataSpec, TwoLayerSpec

__all__ = ["DivergedError", "StepResult", "curves", "divergence_of", "results", "run", "train"]

BATCH_NUMBERS = 4_000_000  # of the largest array of a batch, so that a few of them fit into memory

Phase = Literal["pretrain", "finetune"]
State = dict[str, Any]
Given = TypeVar("Given", Pretrained, Finetuned)


@dataclass(frozen=True)
class StepResult:
    """Progress of one batch: its phase and step, metrics for each cell, and the state.

    Metrics are empty for cells of other batches; else they are the last point of a cell's curve:
    `step`, `loss`, `alignment` and `norm`.
    """

    phase: Phase
    step: int
    metrics: list[dict[str, float]]
    state: State


class DivergedError(RuntimeError):
    """The loss of a cell became infinite or undefined.

    In pre-training, of all cells with that `pretrain_fingerprint`.
    """

    def __init__(self, phase: Phase, step: int, fingerprint: str) -> None:
        super().__init__(phase, step, fingerprint)
        self.phase, self.step, self.fingerprint = phase, step, fingerprint

    def __str__(self) -> str:
        field = f"{self.phase}.learning_rate"
        return (
            f"{self.phase} of {self.fingerprint}: the loss is not finite at step {self.step}; a "
            f"smaller {field} may help"
        )


def run(specs: Sequence[TwoLayerSpec], resume: State | None = None) -> list[dict[str, float]]:
    """Return the metrics of each cell, in the order of `specs`. Raises as `train` does."""
    state = resume
    for result in train(specs, resume):
        state = result.state
    return results(specs, state) if state else []


def train(specs: Sequence[TwoLayerSpec], resume: State | None = None) -> Iterator[StepResult]:
    """Train and test all cells; the last yielded state holds what `results` and `curves` give.

    `resume` is a state that was yielded for equal cells: a resumed run equals an uninterrupted one.
    A state holds plain data and tensors of its own. Raises SpecError when the data cannot serve the
    cells, DivergedError when a loss is not finite.
    """
    state = _fresh(specs) if resume is None else _continued(specs, resume)

    for batch in _batches(specs, "pretrain", _pretrain_shape, _pretrain_numbers):
        keys = [spec.pretrain_fingerprint() for spec in batch]
        if state["pretrained"].keys() >= {*keys}:
            continue
        source = signals(batch[0].data)
        given = yield from _forward(
            specs, keys, "pretrain", state, pretrain(batch, source, state["running"])
        )
        added = {key: dict(vars(one)) for key, one in zip(keys, given, strict=True)}
        state = state | {"pretrained": state["pretrained"] | added, "running": None}

    for batch in _batches(specs, "finetune", _finetune_shape, _finetune_numbers):
        keys = [spec.fingerprint() for spec in batch]
        if state["finetuned"].keys() >= {*keys}:
            continue
        source = signals(batch[0].data)
        filters = [state["pretrained"][spec.pretrain_fingerprint()]["filters"] for spec in batch]
        tuned = yield from _forward(
            specs, keys, "finetune", state, finetune(batch, filters, source, state["running"])
        )
        added = {key: dict(vars(one)) for key, one in zip(keys, tuned, strict=True)}
        state = state | {"finetuned": state["finetuned"] | added, "running": None}

        # Results were not in the states that the batch yielded on its way.
        drawn = [one.curve for one in tuned]
        step = int(max(curve["step"][-1] for curve in drawn))
        yield StepResult("finetune", step, _last_points(specs, keys, "finetune", drawn), state)


def divergence_of(spec: TwoLayerSpec, metrics: Mapping[str, float]) -> DivergedError | None:
    """Return the error of a cell that ended with a number that is not finite; None of all others.

    What is trained last may be too large for its test, whose loss no step sees.
    """
    if all(map(math.isfinite, metrics.values())):
        return None
    return DivergedError("finetune", int(metrics["finetune_steps"]), spec.fingerprint())


def results(specs: Sequence[TwoLayerSpec], state: State) -> list[dict[str, float]]:
    """Return the metrics of each cell from the last state of `train`.

    They are test_error and others: errors in %, flags 0 or 1.
    """
    return [
        state["pretrained"][spec.pretrain_fingerprint()]["metrics"]
        | state["finetuned"][spec.fingerprint()]["metrics"]
        for spec in specs
    ]


def curves(specs: Sequence[TwoLayerSpec], state: State) -> list[dict[Phase, Curve]]:
    """Return the training curves of each cell from the last state of `train`.

    There is none of a phase without gradient descent.
    """
    found: list[dict[Phase, Curve]] = []
    for spec in specs:
        pretrained = state["pretrained"][spec.pretrain_fingerprint()]["curve"]
        both: dict[Phase, Curve] = {"pretrain": pretrained} if pretrained else {}
        found.append(both | {"finetune": state["finetuned"][spec.fingerprint()]["curve"]})
    return found


def _batches(
    specs: Sequence[TwoLayerSpec],
    phase: Phase,
    shape: Callable[[TwoLayerSpec], object],
    numbers: Callable[[TwoLayerSpec], int],
) -> list[list[TwoLayerSpec]]:
    """Different cells in batches of equal shape, not too large.

    Cells with equal inputs are next to one another.
    """
    different = {_KEY[phase](spec): spec for spec in specs}
    by_shape: dict[object, list[TwoLayerSpec]] = {}
    for spec in different.values():
        by_shape.setdefault(shape(spec), []).append(spec)

    batches = []
    for alike in by_shape.values():
        alike.sort(key=lambda spec: (spec.seed, spec.data.noise_std, spec.data.view_correlation))
        size = max(1, BATCH_NUMBERS // numbers(alike[0]))
        batches += [alike[first : first + size] for first in range(0, len(alike), size)]
    return batches


def _source(data: PatchDataSpec) -> tuple[object, ...]:
    return (data.name, data.root, data.content, data.classes, data.image_size, data.dim)


def _pretrain_shape(spec: TwoLayerSpec) -> tuple[object, ...]:
    return (
        _source(spec.data),
        spec.pretrain,
        spec.pretrain_inputs,
        spec.network.filters,
        spec.precision,
    )


def _finetune_shape(spec: TwoLayerSpec) -> tuple[object, ...]:
    network = (spec.network.filters, spec.network.power)
    return (
        _source(spec.data),
        network,
        spec.finetune,
        spec.data.labels,
        spec.data.test,
        spec.precision,
    )


def _pretrain_numbers(spec: TwoLayerSpec) -> int:
    inputs, filters = spec.pretrain_inputs, 2 * spec.network.filters
    return max(inputs**2, filters * 3 * inputs, filters * spec.data.dim)


def _finetune_numbers(spec: TwoLayerSpec) -> int:
    return 2 * spec.network.filters * max(2 * spec.data.labels, spec.data.dim)


def _forward(
    specs: Sequence[TwoLayerSpec],
    keys: Sequence[str],
    phase: Phase,
    state: State,
    descent: Generator[State, None, list[Given]],
) -> Generator[StepResult, None, list[Given]]:
    """Yield what a batch yields, as progress among all cells; return what it returns."""
    while True:
        try:
            running = next(descent)
        except StopIteration as end:
            given: list[Given] = end.value
            return given
        except NotFiniteError as error:
            raise DivergedError(phase, error.step, keys[error.run]) from error
        metrics = _last_points(specs, keys, phase, running["curves"])
        yield StepResult(phase, running["step"], metrics, state | {"running": running})


def _last_points(
    specs: Sequence[TwoLayerSpec], keys: Sequence[str], phase: Phase, curves: Sequence[Curve]
) -> list[dict[str, float]]:
    """The last point of each curve of a batch, at the positions of the cells that it is for."""
    last = {}
    for key, curve in zip(keys, curves, strict=True):
        last[key] = {name: values[-1] for name, values in curve.items()}
    return [dict(last.get(_KEY[phase](spec), {})) for spec in specs]


_KEY: dict[Phase, Callable[[TwoLayerSpec], str]] = {
    "pretrain": TwoLayerSpec.pretrain_fingerprint,
    "finetune": TwoLayerSpec.fingerprint,
}


def _fresh(specs: Sequence[TwoLayerSpec]) -> State:
    return {
        "cells": [spec.fingerprint() for spec in specs],
        "pretrained": {},
        "finetuned": {},
        "running": None,
    }


def _continued(specs: Sequence[TwoLayerSpec], state: State) -> State:
    if state["cells"] != [spec.fingerprint() for spec in specs]:
        raise SpecError(
            [f"resume: the state is of other cells ({', '.join(state['cells'][:3])} ...)"]
        )
    return state
