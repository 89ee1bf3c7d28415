"""The validation split: drawn from each class, or as the authors of a data set have it."""

import math

import numpy as np
from numpy.typing import NDArray

from workloads.datasets.cache import Labels
from workloads.datasets.draws import TRAIN_SUBSET, VALIDATION, in_order_of_draw, rank_in_class
from workloads.datasets.spec import DataSpec
from workloads.spec import SpecError

__all__ = ["drawn_validation", "official_validation"]

SHOWN = 10  # classes that a note names


def drawn_validation(
    spec: DataSpec, labels: NDArray[np.int64], classes: tuple[str, ...]
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Draw which training images are the validation split, and say what is to be known of it.

    The same share of each class, rounded to whole images. A class that is too small to share stays
    in training as a whole, as long as another can. Raises SpecError with the value that works where
    none can.
    """
    sizes = np.bincount(labels, minlength=len(classes))
    counts = np.floor(spec.validation_fraction * sizes + 0.5).astype(np.int64)
    if ((counts < 1) | (counts >= sizes)).all():
        raise SpecError([_nothing_to_share(spec, sizes, counts, classes)])

    counts = np.minimum(counts, sizes - 1)  # one image of each is for training, whatever is asked
    whole = np.flatnonzero(counts < 1)
    notes = [f"the validation split has {_without(whole, classes, sizes)}"] if len(whole) else []
    held_out: NDArray[np.bool_] = (
        rank_in_class(labels, spec.split_seed, VALIDATION) < counts[labels]
    )
    return held_out, tuple(notes)


def _without(whole: NDArray[np.int64], classes: tuple[str, ...], sizes: NDArray[np.int64]) -> str:
    shown = ", ".join(f"{classes[each]!r} ({sizes[each]})" for each in whole[:SHOWN])
    more = f" and {len(whole) - SHOWN} more" if len(whole) > SHOWN else ""
    return (
        f"no image of {len(whole)} of {len(classes)} classes, too small to share, all of whose "
        f"images are for training: {shown}{more}"
    )


def _nothing_to_share(
    spec: DataSpec,
    sizes: NDArray[np.int64],
    counts: NDArray[np.int64],
    classes: tuple[str, ...],
) -> str:
    """Why no class has images on both sides, and the value of a field that mends it."""
    largest = int(np.argmax(sizes))
    size, held_out = int(sizes[largest]), int(counts[largest])
    if size < 2:
        mend = "two images of a class are needed"
        if spec.train_images is not None:
            mend += f": data.train_images={spec.train_images} may be too small"
    elif held_out < 1:
        mend = f"{math.ceil(500 / size) / 1000:g} is enough for it"
    else:
        mend = f"{math.ceil(1000 - 500 / size - 1) / 1000:g} leaves it one"
    return (
        f"data.validation_fraction={spec.validation_fraction:g}: leaves {len(classes)} of "
        f"{len(classes)} classes without a {'validation' if held_out < 1 else 'training'} image; "
        f"the largest, {classes[largest]!r}, has {size} images of which {held_out} would be held "
        f"out; {mend}"
    )


def official_validation(
    spec: DataSpec, train: NDArray[np.int64], chosen: NDArray[np.int64], labels: Labels
) -> tuple[str, ...]:
    """Return what is to be said of an official validation split, of `chosen` training images.

    A subset has to leave every class an image on both sides, and where images have several labels
    also one without it. As a whole, the split may have no validation image of a rare class.
    Raises SpecError with what is lacking, and the size of subset that would do.
    """
    assert labels.validation is not None, "asked where a split is official"
    classes, validation = labels.classes, labels.validation
    notes, problems = [], []
    for side, rows in (
        ("training", chosen[~validation[chosen]]),
        ("validation", chosen[validation[chosen]]),
    ):
        for what, given in _told_apart(train[rows], len(classes)):
            if not len(short := np.flatnonzero(~given.any(0))):
                continue
            found = (
                f"leaves {len(short)} of {len(classes)} classes, {classes[short[0]]!r} first, "
                f"without a {side} image{what}; {spec.name} has an official validation split"
            )
            if spec.train_images is None and side == "validation" and len(rows):
                notes.append(f"it {found}")
            else:
                problems.append(f"data.train_images={spec.train_images}: {found}")
    if problems:
        raise SpecError(problems + _enough(spec, train, labels))
    return tuple(notes)


def _told_apart(labels: NDArray[np.int64], classes: int) -> list[tuple[str, NDArray[np.bool_]]]:
    """What a classifier of each class has to see [N, C]: that class, and where it may lack it."""
    if labels.ndim == 1:
        return [("", labels[:, None] == np.arange(classes))]
    return [("", labels == 1), (" that is not one", labels == 0)]


def _enough(spec: DataSpec, train: NDArray[np.int64], labels: Labels) -> list[str]:
    """The smallest subset that every class has an image of on both sides, if there is one."""
    assert labels.validation is not None, "asked where a split is official"
    order = in_order_of_draw(train, spec.split_seed, TRAIN_SUBSET)
    validates = labels.validation[order]
    last = 0
    for _, given in _told_apart(train[order], len(labels.classes)):
        for side in (~validates, validates):
            seen = given & side[:, None]
            if not seen.any(0).all():
                return []
            last = max(last, int(seen.argmax(0).max()))
    return [f"data.train_images: with split_seed={spec.split_seed}, {last + 1} are enough"]
