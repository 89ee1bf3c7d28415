"""Inputs of two patches, signal and noise, drawn from (seed, purpose): cells share what they can.

Source: Definition 3.1, in the form of Cao, Chen, Belkin and Gu (2022): noise is N(0, sigma_p^2 (I -
mu mu^T / ||mu||^2)). Which patch carries the signal does not matter, since both pass through the
same filters; here it is the first. The definition draws labels at random; here they alternate, so
that sets are balanced and a larger set begins with the smaller one.

Legend: N inputs, V views, S distinct signal patches, P images of a class, d length of a patch.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from workloads.datasets import DataSet, Split, load
from workloads.spec import SpecError
from workloads.two_layer_cnn.spec import PatchDataSpec, TwoLayerSpec

__all__ = [
    "Samples",
    "Signals",
    "filter_split",
    "fresh_views",
    "initial_filters",
    "labeled_inputs",
    "pretraining_inputs",
    "signals",
    "unseen_inputs",
]

Purpose = Literal["unlabeled", "labeled", "test", "filters", "split"]
# numpy's generators are seeded by numbers; a purpose keeps its number for good.
_STREAMS: dict[Purpose, int] = {"unlabeled": 0, "labeled": 1, "test": 2, "filters": 3, "split": 4}
_FRESH = 1000  # with the step: the part of a stream that its second views are drawn from


class Signals(NamedTuple):
    """The signal patches [P, d] of each class, in units of ||mu||.

    `direction` [d] is mu / ||mu||.
    """

    direction: Tensor
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Samples:
    """N inputs, each in V views that share the signal patch; signal patches in units of ||mu||.

    Input i is (||mu|| rows[signal_of[i]], rows[S + v N + i]) in view v. Runs that differ in SNR
    alone have equal samples.
    """

    rows: Tensor  # [S + V N, d], float64 as drawn
    signal_of: Tensor  # [N]
    labels: Tensor  # [N], +1 or -1

    @property
    def signal_count(self) -> int:
        """Return S: inputs with the same image, or the same y mu, share a row."""
        return int(self.signal_of.max()) + 1

    def scale(self, signal_norm: float) -> Tensor:
        """Return what rows [S + V N] are multiplied by in a run with this ||mu||."""
        scale = torch.ones(len(self.rows), dtype=self.rows.dtype)
        scale[: self.signal_count] = signal_norm
        return scale

    def to(self, dtype: torch.dtype) -> "Samples":
        """Return the same in another precision.

        They were drawn in double precision first, so that both see the same inputs.
        """
        return Samples(self.rows.to(dtype), self.signal_of, self.labels.to(dtype))


def signals(data: PatchDataSpec) -> Signals:
    """Return where signal patches come from.

    Raises SpecError when there are no such images or classes.
    """
    if data.name == "gaussian":
        direction = torch.zeros(data.dim, dtype=torch.float64)
        direction[0] = 1
        both = (direction[None], -direction[None])
        return Signals(direction, both, both)

    images = load(data.images())
    _refuse_unknown_classes(data, images)
    train = [_of_class(images.train, label) for label in data.classes]
    test = [_of_class(images.test, label) for label in data.classes]

    means = [pixels.mean(0) for pixels in train]
    # Without centring, what both classes share would be the strongest feature and no signal.
    centre, mu = (means[0] + means[1]) / 2, (means[0] - means[1]) / 2
    if not mu.norm() > 0:
        raise SpecError(
            [f"data.classes={list(data.classes)}: the mean images of the classes are equal"]
        )

    def scaled(pixels: list[Tensor]) -> tuple[Tensor, Tensor]:
        positive, negative = pixels
        return (positive - centre) / mu.norm(), (negative - centre) / mu.norm()

    return Signals(mu / mu.norm(), scaled(train), scaled(test))


def pretraining_inputs(spec: TwoLayerSpec, source: Signals) -> Samples:
    """Draw both views of the inputs of pre-training: the same signal, independent noise.

    The noise depends as `view_correlation` says. An image cannot be drawn again given its class
    without its label, so that its second view has the same signal patch.
    """
    purpose = _pretraining_purpose(spec)
    return _draw(spec, source.train, source.direction, purpose, spec.pretrain_inputs, views=2)


def fresh_views(spec: TwoLayerSpec, first: Tensor, direction: Tensor, step: int) -> Tensor:
    """Draw the noise [N, d] of second views anew, for one step, to that of the first views.

    It depends on seed and step alone; step 0 has the views of `pretraining_inputs`.
    """
    return _second_view(spec, _pretraining_purpose(spec), first, direction, step)


def labeled_inputs(spec: TwoLayerSpec, source: Signals) -> Samples:
    """Draw the inputs of fine-tuning.

    Images may be among the unlabeled ones, too, with other noise beside them.
    """
    return _draw(spec, source.train, source.direction, "labeled", spec.data.labels, views=1)


def unseen_inputs(spec: TwoLayerSpec, source: Signals) -> Samples:
    """Draw fresh inputs to test on; images are of the test split."""
    return _draw(spec, source.test, source.direction, "test", spec.data.test, views=1)


def initial_filters(spec: TwoLayerSpec) -> Tensor:
    """Draw standard normal [2m, d]; each way to start scales it to its own standard deviation."""
    return _normal(spec.seed, "filters", 0, 2 * spec.network.filters, spec.data.dim)


def filter_split(spec: TwoLayerSpec) -> Tensor:
    """Draw a random order of the 2m filters; the first m become F_+, the others F_-."""
    return torch.from_numpy(_stream(spec.seed, "split", 0).permutation(2 * spec.network.filters))


def _draw(
    spec: TwoLayerSpec,
    pools: tuple[Tensor, Tensor],
    direction: Tensor,
    purpose: Purpose,
    count: int,
    *,
    views: int,
) -> Samples:
    chosen = []
    for which, pool in enumerate(pools):
        order = _stream(spec.seed, purpose, 100 + which).permutation(len(pool))
        chosen.append(pool[torch.from_numpy(order[: count // 2])])

    # Inputs alternate between the classes; when images run out they come again, with fresh noise.
    turn = torch.arange(count)
    first, second = (len(images) for images in chosen)
    signal_of = torch.where(turn % 2 == 0, (turn // 2) % first, first + (turn // 2) % second)

    noise = [_noise(spec, purpose, 0, count, direction)]
    if views == 2:
        noise.append(_second_view(spec, purpose, noise[0], direction, step=0))
    return Samples(torch.cat([*chosen, *noise]), signal_of, 1.0 - 2.0 * (turn % 2).double())


def _pretraining_purpose(spec: TwoLayerSpec) -> Purpose:
    return "labeled" if spec.pretrain.method == "simclr-labeled" else "unlabeled"


def _second_view(
    spec: TwoLayerSpec, purpose: Purpose, first: Tensor, direction: Tensor, step: int
) -> Tensor:
    # parts from 100 on are orders of images
    part = 1 if step == 0 else _FRESH + step
    own = _noise(spec, purpose, part, len(first), direction)
    rho = spec.data.view_correlation
    second: Tensor = rho * first + (1 - rho**2) ** 0.5 * own
    return second


def _noise(
    spec: TwoLayerSpec, purpose: Purpose, view: int, count: int, direction: Tensor
) -> Tensor:
    noise = _normal(spec.seed, purpose, view, count, spec.data.dim)
    # Row by row: a matrix product may round a row differently when there are more of them.
    along = (noise * direction).sum(1)
    return spec.data.noise_std * (noise - torch.outer(along, direction))


def _normal(seed: int, purpose: Purpose, part: int, count: int, dim: int) -> Tensor:
    # numpy fills arrays in order, so that more rows begin with the fewer; torch's blocks of 16 do
    # not promise that.
    return torch.from_numpy(_stream(seed, purpose, part).standard_normal((count, dim)))


def _stream(seed: int, purpose: Purpose, part: int) -> np.random.Generator:
    return np.random.Generator(
        np.random.PCG64(np.random.SeedSequence([seed, _STREAMS[purpose], part]))
    )


def _refuse_unknown_classes(data: PatchDataSpec, images: DataSet) -> None:
    known = len(images.classes)
    if max(data.classes) >= known:
        raise SpecError(
            [f"data.classes={list(data.classes)}: {data.name} has the classes 0 to {known - 1}"]
        )
    parts = {"training": images.train.labels, "test": images.test.labels}
    problems = [
        f"data.classes={list(data.classes)}: there is no {part} image of class {label}, "
        f"{images.classes[label]!r}"
        for part, labels in parts.items()
        for label in data.classes
        if label not in labels
    ]
    if problems:
        raise SpecError(problems)


def _of_class(split: Split, label: int) -> Tensor:
    """Grey images [P, d] of one class, from 0 to 1."""
    pixels = split.take(np.flatnonzero(split.labels == label)).double() / 255
    return pixels.mean(1).flatten(1)
