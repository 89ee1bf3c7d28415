"""Class-balanced subsets and the validation split, drawn by `split_seed`.

A data set with an official validation split keeps it, and `validation_fraction` is not read; a
subset of its training images is drawn from both. Images that may have several labels are drawn
whatever their classes are.

Legend: M stored images, N images of a split, B images taken, C channels or classes, S side in
pixels.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from workloads.datasets.cache import LEFT_OUT, UNREADABLE, Labels, Stored
from workloads.datasets.draws import (
    TEST_SUBSET,
    TRAIN_SUBSET,
    TRAINING,
    rank_in_class,
    rows_used,
    subset,
)
from workloads.datasets.encoded import EncodedImages, Pending
from workloads.datasets.spec import DataSpec
from workloads.datasets.validation_split import drawn_validation, official_validation
from workloads.inventory import Inventory, LeftOut
from workloads.spec import SpecError

if TYPE_CHECKING:
    import torch

    Positions = NDArray[Any] | torch.Tensor | slice

__all__ = ["DataSet", "Split", "split"]

WITHOUT_LABELS = "there are no labels: all images are for training, none to choose or to test by"
AHEAD = 2  # batches that are being decoded while one is in use


@dataclass(frozen=True)
class Split:
    """Some images of M stored ones: uint8 [M, C, S, S], int64 labels [N], int64 rows [N].

    The stored images are an array, usually memory-mapped, or lie encoded in files and are decoded
    when they are taken.
    Of a data set whose images may have several labels: labels [N, C] of 1, 0, and -1 where one is
    not to be counted.
    """

    images: NDArray[np.uint8] | EncodedImages
    labels: NDArray[np.int64]
    index: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.index)

    def take(self, positions: "Positions") -> "torch.Tensor":
        """Copy the images at `positions` of this split, in that order: uint8 [B, C, S, S].

        They are on the CPU. Raises SpecError when an image that lies encoded in a file cannot be
        decoded.
        """
        import torch  # here, because a data spec is read and checked without torch

        rows = self._rows(positions)
        if isinstance(self.images, EncodedImages):
            return torch.from_numpy(self.images.start(rows).result())
        return torch.from_numpy(np.take(np.asarray(self.images), rows, axis=0))

    def stream(self, batches: "Iterable[Positions]") -> "Iterator[torch.Tensor]":
        """Yield what `take` gives of each of `batches`.

        Encoded images of the next two are decoded while the caller works on one.
        """
        import torch

        if not isinstance(self.images, EncodedImages):
            yield from map(self.take, batches)
            return
        waiting: deque[Pending] = deque()
        try:
            for positions in batches:
                waiting.append(self.images.start(self._rows(positions)))
                if len(waiting) > AHEAD:
                    yield torch.from_numpy(waiting.popleft().result())
            while waiting:
                yield torch.from_numpy(waiting.popleft().result())
        finally:
            for pending in waiting:
                pending.cancel()

    def _rows(self, positions: "Positions") -> NDArray[np.int64]:
        return self.index[positions if isinstance(positions, slice) else np.asarray(positions)]


@dataclass(frozen=True)
class DataSet:
    """Disjoint train and validation splits of the training images, and the test images.

    `content` is the digest that `data.content` pins; `notes` are things to record, such as images
    that were left out. `inventory` counts the images of all parts, before subsets are drawn, and
    what is left out; `remarks` say how pixels were read, where that is not as usual.
    Without labels there are no classes, and all images are for training.
    """

    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    content: str
    notes: tuple[str, ...]
    inventory: Inventory
    remarks: tuple[str, ...] = ()

    @property
    def has_labels(self) -> bool:
        """False where images are for training without labels, and nothing else."""
        return bool(self.classes)

    def train_and_validation(self) -> Split:
        """Join both for a last fit, once everything is chosen.

        In the order in which they are stored.
        """
        index = np.concatenate([self.train.index, self.validation.index])
        labels = np.concatenate([self.train.labels, self.validation.labels])
        order = np.argsort(index)
        return Split(self.train.images, labels[order], index[order])


def split(
    spec: DataSpec, stored: Stored, content: str, left_out: tuple[LeftOut, ...] = ()
) -> DataSet:
    """Split the stored images as `spec` asks; `left_out` is what is not among them.

    Raises SpecError with every count that they cannot give.
    """
    labels = stored.labels
    train, test, test_images = labels.train, labels.test, stored.test_images
    if labels.train_per_class is not None:
        train, test = _drawn_parts(spec, labels, labels.train_per_class)
        test_images = stored.train_images

    problems = _count_problems("data.train_images", spec.train_images, train, labels.classes)
    if labels.classes:
        problems += _count_problems("data.test_images", spec.test_images, test, labels.classes)
    if problems:
        raise SpecError(problems)

    chosen = subset(train, spec.train_images, spec.split_seed, TRAIN_SUBSET)
    notes: tuple[str, ...]
    if not labels.classes:
        held_out, notes = np.zeros(len(chosen), np.bool_), (WITHOUT_LABELS,)
    elif labels.validation is None:
        held_out, notes = drawn_validation(spec, train[chosen], labels.classes)
    else:
        held_out = labels.validation[chosen]
        notes = official_validation(spec, train, chosen, labels)
    tested = subset(
        test, spec.test_images if labels.classes else None, spec.split_seed, TEST_SUBSET
    )

    counted = labels.counted
    inventory = Inventory(counted.used, (*left_out, *counted.left_out))
    named = [str(each) for each in inventory.left_out if each.reason != UNREADABLE]
    return DataSet(
        train=_split(stored.train_images, train, chosen[~held_out]),
        validation=_split(stored.train_images, train, chosen[held_out]),
        test=_split(test_images, test, tested),
        classes=labels.classes,
        content=content,
        notes=(*named, *labels.notes, *labels.remarks, *notes),
        inventory=inventory,
        remarks=labels.remarks,
    )


def _split(
    images: NDArray[np.uint8] | EncodedImages, labels: NDArray[np.int64], rows: NDArray[np.int64]
) -> Split:
    return Split(images, labels[rows], rows)


def _drawn_parts(
    spec: DataSpec, labels: Labels, per_class: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels [M] of the training images, `per_class` of each class, and of all others, for tests.

    LEFT_OUT elsewhere.
    """
    sizes = np.bincount(labels.train[labels.train >= 0], minlength=len(labels.classes))
    smallest = int(np.argmin(sizes))
    if sizes[smallest] <= per_class:
        raise SpecError(
            [
                f"data.name={spec.name!r}: trains on {per_class} images of each class and "
                "tests on the others, and "
                f"{labels.classes[smallest]!r} has {sizes[smallest]}"
            ]
        )
    trained = rank_in_class(labels.train, spec.split_seed, TRAINING) < per_class
    return np.where(trained, labels.train, LEFT_OUT), np.where(trained, LEFT_OUT, labels.train)


def _count_problems(
    field: str, count: int | None, stored: NDArray[np.int64], classes: tuple[str, ...]
) -> list[str]:
    available = len(rows_used(stored))
    if count is not None and count > available:
        return [f"{field}={count}: there are only {available} images"]
    if count is not None and count < len(classes):
        return [f"{field}={count}: is fewer than the {len(classes)} classes"]
    return []
