"""What can be seen of a representation: numbers of h and z = g(h), maps of them, and neighbours.

Maps are by t-SNE (Figure B.4) and UMAP. Numbers and arrays only; nothing is drawn here.

Shapes: M images that are inspected, N of them measured, T mapped to the plane, Q asked for their K
neighbours; D features (the width of h or of z), S side in pixels.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Generator, nn

from workloads.datasets import DataSet, Split
from workloads.evaluation.divergence import refuse_infinite
from workloads.evaluation.features.frozen import BATCH, FrozenEncoder
from workloads.evaluation.metrics.geometry import (
    alignment,
    effective_rank,
    head_spectrum,
    nearest,
    normalised,
    participation_ratio,
    singular_values,
    uniformity,
    varies,
)
from workloads.extras import install_command
from workloads.representation import (
    Floats,
    InspectOptions,
    Labels,
    MapName,
    Representation,
    Shown,
    Space,
)
from workloads.seeds import seed_of
from workloads.simclr.spec import RunSpec
from workloads.simclr.views import apply_two_views, draw_two_views
from workloads.spec import SpecError

__all__ = ["inspect"]


LEAST_SPREAD = 0.1  # of l2-normalised z, in units of 1 / sqrt(D)
LEAST_RANK = 2.0  # effective rank of h
_FEWEST_MAPPED = 5  # images
# relative to the features' norm: below it, equal features differ, too
_ROUNDING = {"fp32": 1e-6, "bf16": 2**-7}


_DEFAULTS = InspectOptions()


def inspect(
    encoder: FrozenEncoder,
    head: nn.Module | None,
    data: DataSet,
    spec: RunSpec,
    *,
    options: InspectOptions = _DEFAULTS,
) -> Representation:
    """Inspect h, and z if there is a head, of test images.

    Which ones, and their views, depends on `spec.seed` alone.
    Results, each with `_h` and `_z`: effective_rank and participation_ratio of the centred
    features; std, the mean over dimensions of the deviation of l2-normalised features in units of 1
    / sqrt(D), so that 1 is spread evenly over the sphere and 0 is a point; alignment of two views
    of an image by `spec.augment`; uniformity of clean central views.

    Warnings, in words: z has collapsed (std below 0.1), h has collapsed (effective rank below 2).
    Maps and neighbours are of l2-normalised features. Encoder and head are left in inference mode.
    Raises SpecError for images of several labels, FeaturesNotFiniteError.
    """
    encoder.module.eval()
    sample = _sample(data.test, spec.seed, options)
    clean = encoder.features(sample.split)
    first, second = _two_views(encoder, sample.split, sample.measured, spec)
    found = {"h": (clean, (first, second))}
    if head is not None:
        head.eval()
        of_views = encoder.outputs_of(head, first), encoder.outputs_of(head, second)
        found["z"] = encoder.outputs_of(head, clean), of_views

    rounding = _ROUNDING["bf16" if encoder.bf16 else "fp32"]
    spectrum, why = head_spectrum(head)
    notes = [] if why is None else [why]

    results: dict[str, float] = {}
    spaces: dict[str, Space] = {}
    for name, (features, pair) in found.items():
        values = singular_values(features[sample.measured], rounding)
        results |= _measures(name, features[sample.measured], values, pair)
        maps, left_out = _maps(name, features[sample.mapped], spec.seed, options, rounding)
        notes += left_out
        neighbours = sample.shown(nearest(features, sample.queries, options.neighbours))
        spaces[name] = Space(features.shape[1], values, maps, neighbours)

    return Representation(
        results=results,
        spaces=spaces,
        head=spectrum,
        mapped_labels=sample.split.labels[sample.mapped],
        queries=sample.shown(sample.queries),
        classes=data.classes,
        measured=len(sample.measured),
        searched=len(sample.split),
        options=options,
        notes=tuple(dict.fromkeys(notes)),
        warnings=_collapsed(results),
    )


# Which images -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sample:
    """The images that are inspected, with their positions [M] in the test split.

    The others are rows among them.
    """

    split: Split
    index: Labels
    measured: Labels
    mapped: Labels
    queries: Labels

    def shown(self, rows: Labels) -> Shown:
        images = self.split.take(rows.reshape(-1)).numpy()
        return Shown(
            self.index[rows],
            self.split.labels[rows],
            images.reshape(*rows.shape, *images.shape[1:]),
        )


def _sample(test: Split, seed: int, options: InspectOptions) -> _Sample:
    """Draw the images to inspect.

    Of many classes, too few images each are measured to map them: more are taken of the classes
    that are mapped.
    """
    labels = test.labels
    if labels.ndim != 1:
        raise SpecError(
            ["data.name: inspect needs images of one class each, and these have several labels"]
        )
    if len(labels) < 2:
        raise SpecError(
            [f"data.test_images: inspect needs at least 2 images, and there are {len(labels)}"]
        )

    classes = np.unique(labels)
    order = torch.randperm(len(classes), generator=_generator(seed, "classes")).numpy()
    drawn = order[: options.classes]
    of_drawn = np.flatnonzero(np.isin(labels, classes[drawn]))
    measured = _balanced(labels, options.images, seed, "images")
    mapped = of_drawn[_balanced(labels[of_drawn], options.images, seed, "images")]
    queries = mapped[_balanced(labels[mapped], options.queries, seed, "queries")]
    queries = queries[np.argsort(labels[queries], kind="stable")]

    index = np.union1d(measured, mapped)
    rows = (np.searchsorted(index, positions) for positions in (measured, mapped, queries))
    return _Sample(Split(test.images, labels[index], test.index[index]), index, *rows)


def _balanced(labels: Labels, count: int, seed: int, purpose: str) -> Labels:
    """Sorted rows of `count` images at most: one of each class, then a second one of each, ..."""
    order = torch.randperm(len(labels), generator=_generator(seed, purpose)).numpy()
    shuffled = labels[order]
    by_class = np.argsort(shuffled, kind="stable")
    ranks = np.empty_like(by_class)
    ranks[by_class] = np.arange(len(labels)) - np.searchsorted(
        shuffled[by_class], shuffled[by_class]
    )
    return np.sort(order[np.argsort(ranks, kind="stable")[:count]])


def _generator(seed: int, purpose: str) -> Generator:
    return torch.Generator().manual_seed(seed_of(seed, f"inspect {purpose}"))


# Features -----------------------------------------------------------------------------------------


def _two_views(
    encoder: FrozenEncoder, split: Split, rows: Labels, spec: RunSpec, batch: int = BATCH
) -> tuple[Floats, Floats]:
    """h [N, D] of two views of each image, by the policy that pre-training draws them by."""
    height, width = split.images.shape[-2:]
    # Drawn for all images, so that views do not depend on the size of the batches.
    drawn = draw_two_views(spec.augment, len(rows), height, width, _generator(spec.seed, "views"))
    found: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
    with torch.inference_mode(), encoder.autocast():
        for start in range(0, len(rows), batch):
            part = slice(start, start + batch)
            images = split.take(rows[part]).to(encoder.worker.device)
            pair = apply_two_views(images, drawn[part], spec.augment)
            for into, views in zip(found, pair, strict=True):
                h = encoder.module(views.contiguous(memory_format=torch.channels_last))
                into.append(h.float().cpu())
    first, second = (torch.cat(each).numpy() for each in found)
    refuse_infinite("h of views", first, second)
    return first, second


# Measures -----------------------------------------------------------------------------------------


def _measures(
    name: str, features: Floats, values: NDArray[np.float64], views: tuple[Floats, Floats]
) -> dict[str, float]:
    unit = normalised(features)
    return {
        f"effective_rank_{name}": effective_rank(values),
        f"participation_ratio_{name}": participation_ratio(values),
        f"std_{name}": float(unit.std(axis=0).mean() * math.sqrt(features.shape[1])),
        f"alignment_{name}": alignment(*views),
        f"uniformity_{name}": uniformity(features),
    }


def _collapsed(results: dict[str, float]) -> tuple[str, ...]:
    found = []
    if (rank := results["effective_rank_h"]) < LEAST_RANK:
        found.append(f"h has collapsed: its effective rank is {rank:.2f}, below {LEAST_RANK:g}")
    if (spread := results.get("std_z", math.inf)) < LEAST_SPREAD:
        found.append(
            f"z has collapsed: the deviation of l2-normalised z is {spread:.2g} / sqrt(D) in "
            "the mean over dimensions, "
            f"below {LEAST_SPREAD:g} / sqrt(D); evenly spread it is 1 / sqrt(D) (after a few "
            "steps only, batch norm's running "
            "statistics can make it look so)"
        )
    return tuple(found)


# Maps ---------------------------------------------------------------------------------------------


def _maps(
    name: str, features: Floats, seed: int, options: InspectOptions, rounding: float
) -> tuple[dict[MapName, Floats], list[str]]:
    """The maps [T, 2] of features [T, D] that `options` asks for, and notes on what is left out."""
    if options.maps and len(features) < _FEWEST_MAPPED:
        return {}, [f"maps need {_FEWEST_MAPPED} images, and there are {len(features)}"]
    if options.maps and not varies(features, rounding):
        return {}, [f"{name} is the same for every image: no map of it"]

    unit, seed = normalised(features).astype(np.float32), seed_of(seed, "inspect maps") % 2**32
    perplexity, neighbors = options.clipped(len(unit))

    maps: dict[MapName, Floats] = {}
    if "tsne" in options.maps:
        maps["tsne"] = _tsne(unit, perplexity, seed)
    if "umap" in options.maps:
        found = _umap(unit, neighbors, seed)
        if found is None:
            return maps, [
                f"UMAP is left out, as umap-learn is not installed: {install_command('inspect')}"
            ]
        maps["umap"] = found
    return maps, []


def _tsne(features: Floats, perplexity: float, seed: int) -> Floats:
    from sklearn.manifold import TSNE  # here: it takes seconds to import

    start = "pca" if features.shape[1] > 1 else "random"
    found: Floats = TSNE(perplexity=perplexity, init=start, random_state=seed).fit_transform(
        features
    )
    return found


def _umap(features: Floats, neighbors: int, seed: int) -> Floats | None:
    """None when it is not installed."""
    # UMAP gives every OpenMP pool of the process as many threads as there are cores; without
    # limits, this restores them.
    with threadpool_limits(limits=None), warnings.catch_warnings():
        # The first is said on import, of a part that is not used; the second of clusters far apart,
        # which is no fault.
        warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)
        warnings.filterwarnings("ignore", "Graph is not fully connected", UserWarning)
        try:
            import umap
        except ImportError:
            return None
        # One job, as for every seeded result of UMAP: it warns about being asked for more.
        model: Any = umap.UMAP(n_neighbors=neighbors, random_state=seed, n_jobs=1)
        return np.asarray(model.fit_transform(features), dtype=np.float32)
