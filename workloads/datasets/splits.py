"""Class-balanced subsets and the validation split, drawn by `split_seed`.

Legend: M stored images, N images of a split, B images taken, C channels, S side in pixels.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workloads.datasets.cache import Labels, Stored
from workloads.datasets.spec import DataSpec
from workloads.spec import SpecError

if TYPE_CHECKING:
    import torch

__all__ = ["DataSet", "Split", "split"]

# One stream of random numbers per purpose, so that a smaller subset does not change who is held out for another reason.
TRAIN_SUBSET, TEST_SUBSET, VALIDATION = 0, 1, 2


@dataclass(frozen=True)
class Split:
    """Some images of a stored array: uint8 [M, C, S, S] usually memory-mapped, int64 labels [N], int64 rows [N]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    index: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.index)

    def take(self, positions: "NDArray[Any] | torch.Tensor | slice") -> "torch.Tensor":
        """The images at `positions` of this split, in that order, as a copy: uint8 [B, C, S, S] on the CPU."""
        import torch  # here, because a data spec is read and checked without torch

        rows = self.index[positions if isinstance(positions, slice) else np.asarray(positions)]
        return torch.from_numpy(np.take(np.asarray(self.images), rows, axis=0))


@dataclass(frozen=True)
class DataSet:
    """Disjoint train and validation splits of the training images, and the test images.

    `content` is the digest that `data.content` pins; `notes` are things to record, such as images that were left out.
    """

    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    content: str
    notes: tuple[str, ...]


def split(spec: DataSpec, stored: Stored, content: str) -> DataSet:
    """The splits that `spec` asks for. Raises SpecError with every count that the stored images cannot give."""
    labels = stored.labels
    problems = [
        *_count_problems("data.train_images", spec.train_images, labels.train, labels),
        *_count_problems("data.test_images", spec.test_images, labels.test, labels),
    ]
    if problems:
        raise SpecError(problems)
    chosen = _subset(labels.train, spec.train_images, spec.split_seed, TRAIN_SUBSET)
    held_out = _held_out(spec, labels.train[chosen], labels.classes)
    tested = _subset(labels.test, spec.test_images, spec.split_seed, TEST_SUBSET)
    return DataSet(
        train=_split(stored.train_images, labels.train, chosen[~held_out]),
        validation=_split(stored.train_images, labels.train, chosen[held_out]),
        test=_split(stored.test_images, labels.test, tested),
        classes=labels.classes,
        content=content,
        notes=labels.notes,
    )


def _split(images: NDArray[np.uint8], labels: NDArray[np.int64], rows: NDArray[np.int64]) -> Split:
    return Split(images, labels[rows], rows)


def _count_problems(field: str, count: int | None, stored: NDArray[np.int64], labels: Labels) -> list[str]:
    available, classes = int((stored >= 0).sum()), len(labels.classes)
    if count is not None and count > available:
        return [f"{field}={count}: there are only {available} images"]
    if count is not None and count < classes:
        return [f"{field}={count}: is fewer than the {classes} classes"]
    return []


def _rank_in_class(labels: NDArray[np.int64], seed: int, purpose: int) -> NDArray[np.int64]:
    """The place of each image in a random order of its class, from 0.

    Raw bits of PCG64, because numpy keeps those the same on all platforms and in all versions; what its distributions
    make of them may change.
    """
    bits = np.random.PCG64(np.random.SeedSequence([seed, purpose])).random_raw(len(labels))
    order = np.lexsort((bits, labels))
    ordered = labels[order]
    ranks = np.empty(len(labels), dtype=np.int64)
    ranks[order] = np.arange(len(labels)) - np.searchsorted(ordered, ordered)
    return ranks


def _subset(labels: NDArray[np.int64], count: int | None, seed: int, purpose: int) -> NDArray[np.int64]:
    """Sorted rows of `count` images, as many of each class as can be; a class that is too small gives all it has.

    Each class's first image, then each one's second, and so on: a smaller subset lies within a larger one.
    """
    rows = np.flatnonzero(labels >= 0)
    if count is None:
        return rows
    ranks = _rank_in_class(labels[rows], seed, purpose)
    return np.sort(rows[np.lexsort((labels[rows], ranks))[:count]])


def _held_out(spec: DataSpec, labels: NDArray[np.int64], classes: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which of the training images are the validation split: the same share of each class, rounded to whole images."""
    sizes = np.bincount(labels, minlength=len(classes))
    counts = np.floor(spec.validation_fraction * sizes + 0.5).astype(np.int64)
    short = np.flatnonzero((counts < 1) | (counts >= sizes))
    if len(short):
        smallest = short[np.argmin(sizes[short])]
        side = "validation" if counts[smallest] < 1 else "training"
        raise SpecError(
            [
                f"data.validation_fraction={spec.validation_fraction:g}: leaves {len(short)} of {len(classes)} classes "
                f"without a {side} image; the smallest, {classes[smallest]!r}, has {sizes[smallest]} images of which "
                f"{counts[smallest]} would be held out (see data.train_images)"
            ]
        )
    held_out: NDArray[np.bool_] = _rank_in_class(labels, spec.split_seed, VALIDATION) < counts[labels]
    return held_out
