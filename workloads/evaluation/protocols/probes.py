"""What h and z = g(h) know of a transformation (Table 3): a small MLP tells which one was applied.

The paper leaves out the probe's size, its training and the strength of the noise: `ProbeSpec` has
ours.

Shapes: N images of a split, B of a batch, D features (the width of h or of z), K things that may
have been done.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional

from workloads.datasets import DataSet, Split
from workloads.distributed.data_parallel import all_finite
from workloads.evaluation.divergence import FitDivergedError, refuse_infinite
from workloads.evaluation.features.frozen import BATCH, FrozenEncoder
from workloads.evaluation.metrics.scores import scored
from workloads.evaluation_result import EvaluationResult
from workloads.seeds import seed_of
from workloads.simclr.spec import (
    AugmentSpec,
    ColorSpec,
    NoiseSpec,
    ProbeSpec,
    ProbeTask,
    RotateSpec,
    RunSpec,
    SobelSpec,
)
from workloads.simclr.views import ViewParameters, apply_view, center_view, draw_view

__all__ = ["Probe", "ProbedSplit", "fit_probe", "probe_accuracies", "probed"]

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class ProbedSplit:
    """Features [N, D] of a split's images, each transformed or not, and what was done to it [N].

    Label 0 is nothing.
    """

    h: Floats
    z: Floats
    labels: Labels


@dataclass(frozen=True)
class Probe:
    """A trained MLP on features that are standardised by the training features."""

    mean: Floats
    scale: Floats
    network: nn.Sequential

    @torch.inference_mode()
    def scores(self, features: Floats, batch: int = 4096) -> Floats:
        """Compute scores [N, K] of features [N, D]."""
        device = next(self.network.parameters()).device
        standard = torch.from_numpy((features - self.mean) / self.scale)
        return torch.cat(
            [self.network(rows.to(device)).cpu() for rows in torch.split(standard, batch)]
        ).numpy()


def probe_accuracies(
    encoder: FrozenEncoder, head: nn.Module, data: DataSet, spec: RunSpec
) -> EvaluationResult:
    """Train the probes of each task of `spec.eval.probe`, and evaluate them on test images, in %.

    Results are `probe_{task}_h` and `probe_{task}_z`. Chance is 25 for rotation, 50 for noise and
    sobel, and max(p, 1 - p) for color with p the policy's grayscale probability (80 at the
    paper's). Probes are trained on the training split, h's and z's on the same images. What is done
    to which image depends on (seed, task) alone, and is what predictions have as labels: those of
    runs with other seeds are of other images. The encoder and the head are left in inference mode.
    """
    result = EvaluationResult({})
    for task in spec.eval.probe.tasks:
        train, test = (
            probed(task, encoder, head, split, spec, generator=_generator(spec, task, name))
            for name, split in (("train", data.train), ("test", data.test))
        )

        classes, seed = len(_odds(task, spec)), seed_of(spec.seed, f"probe {task} fit")
        for name, ours, theirs in (("h", train.h, test.h), ("z", train.z, test.z)):
            probe = fit_probe(
                ours,
                train.labels,
                spec.eval.probe,
                classes=classes,
                seed=seed,
                device=encoder.worker.device,
            )
            result |= scored(f"probe_{task}_{name}", "top-1", probe.scores(theirs), test.labels)
    return result


def probed(
    task: ProbeTask,
    encoder: FrozenEncoder,
    head: nn.Module,
    split: Split,
    spec: RunSpec,
    *,
    generator: Generator,
    batch: int = BATCH,
) -> ProbedSplit:
    """Compute features of a split's images, to each of which one of a task's things is done.

    Of their clean central views, in the split's order.
    """
    encoder.module.eval()
    head.eval()
    count, side, policies = len(split), spec.view_size, _policies(task, spec)
    labels = torch.multinomial(
        torch.tensor(_odds(task, spec)), count, replacement=True, generator=generator
    )

    # Drawn for the whole split, so that views do not depend on the size of the batches.
    drawn = [draw_view(policy, count, side, side, generator) for policy in policies]

    of_h, of_z = [], []
    with torch.inference_mode(), encoder.autocast():
        for start in range(0, count, batch):
            rows = slice(start, start + batch)
            clean = center_view(split.take(rows).to(encoder.worker.device), side)
            parameters = [of_policy[rows] for of_policy in drawn]
            views = _transformed(clean, labels[rows], parameters, policies)
            h = encoder.module(views.contiguous(memory_format=torch.channels_last))
            of_h.append(h.float().cpu())
            of_z.append(head(h).float().cpu())
    refuse_infinite("h of transformed images", *map(np.asarray, of_h))
    return ProbedSplit(torch.cat(of_h).numpy(), torch.cat(of_z).numpy(), labels.numpy())


def fit_probe(
    features: Floats,
    labels: Labels,
    probe: ProbeSpec,
    *,
    classes: int,
    seed: int,
    device: torch.device,
) -> Probe:
    """Train one hidden layer with ReLU on features [N, D] and labels [N].

    By Adam on the mean cross-entropy of random batches. Features are standardised by their own mean
    and deviation, so that h and z are equally easy to learn from whatever their scale. Raises
    FeaturesNotFiniteError or FitDivergedError.
    """
    mean = features.mean(0, dtype=np.float64).astype(np.float32)
    scale = features.std(0, dtype=np.float64).astype(np.float32) + np.float32(1e-6)
    refuse_infinite("what is probed", mean, scale)
    standard, targets = torch.from_numpy((features - mean) / scale), torch.from_numpy(labels)

    # The weights that a layer begins with come from torch's own stream, which is put back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Linear(features.shape[1], probe.hidden_dim),
            nn.ReLU(),
            nn.Linear(probe.hidden_dim, classes),
        ).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=probe.learning_rate)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(probe.epochs):
        order = torch.randperm(len(standard), generator=generator)
        for rows in torch.split(order, probe.batch_size):
            scores = network(standard[rows].to(device))
            loss = functional.cross_entropy(scores, targets[rows].to(device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    if not all_finite(network):
        raise FitDivergedError(f"a probe (learning rate {probe.learning_rate:.6g})")
    return Probe(mean, scale, network)


def _odds(task: ProbeTask, spec: RunSpec) -> tuple[float, ...]:
    """How likely each of the K things is; the first is nothing."""
    match task:
        case "color":
            grey = spec.augment.color.grayscale_probability
            return 1 - grey, grey
        case "rotation":
            return (1 / 4,) * 4
        case "noise" | "sobel":
            return 1 / 2, 1 / 2


def _policies(task: ProbeTask, spec: RunSpec) -> list[AugmentSpec]:
    """What is done to an image of label 1, 2, ...: an operation of the views, the same for all."""
    match task:
        case "color":
            grey = ColorSpec(strength=0, jitter_probability=0, grayscale_probability=1)
            return [AugmentSpec(operations=("color",), color=grey)]
        case "rotation":
            quarters = (
                RotateSpec(angles=(90,)),
                RotateSpec(angles=(180,)),
                RotateSpec(angles=(270,)),
            )
            return [AugmentSpec(operations=("rotate",), rotate=quarter) for quarter in quarters]
        case "noise":
            noise = NoiseSpec(std=spec.eval.probe.noise_std, probability=1)
            return [AugmentSpec(operations=("noise",), noise=noise)]
        case "sobel":
            return [AugmentSpec(operations=("sobel",), sobel=SobelSpec(probability=1))]


def _transformed(
    clean: Tensor, labels: Tensor, parameters: list[ViewParameters], policies: list[AugmentSpec]
) -> Tensor:
    """[B, 3, S, S] with policy k - 1 applied to the images of label k."""
    views, labels = clean, labels.to(clean.device).view(-1, 1, 1, 1)
    for label, (drawn, policy) in enumerate(zip(parameters, policies, strict=True), start=1):
        views = torch.where(labels == label, apply_view(clean, drawn, policy), views)
    return views


def _generator(spec: RunSpec, task: ProbeTask, split: str) -> Generator:
    return torch.Generator().manual_seed(seed_of(spec.seed, f"probe {task} {split}"))
