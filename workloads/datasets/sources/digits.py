"""The 1,797 handwritten digits of 8x8 pixels that scikit-learn carries.

Source: UCI Optical Recognition of Handwritten Digits, its test part.
"""

from pathlib import Path

import numpy as np

from workloads.datasets.cache import Labels, Source, write_images
from workloads.datasets.pixels import fit_all
from workloads.datasets.spec import DataSpec
from workloads.spec import digest

__all__ = ["source"]

REVISION = 1
TEST_EVERY = 5
TEST_PER_CLASS = 34  # the smallest class has 174 images


def source(spec: DataSpec) -> Source:
    """Give grey digits in three equal channels, so that every augmentation is defined.

    The test part is every fifth image of each class in scikit-learn's order, 34 per class: the same
    for everyone.
    """
    return Source(
        content=digest({"name": "digits", "revision": REVISION}),
        fields={},
        decode=lambda folder: _decode(folder, spec.image_size),
    )


def _decode(folder: Path, size: int) -> Labels:
    from sklearn.datasets import load_digits

    bundle = load_digits()
    images = np.floor(bundle.images * (255 / 16) + 0.5).astype(np.uint8)
    labels = bundle.target.astype(np.int64)
    test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        test[np.flatnonzero(labels == label)[TEST_EVERY - 1 :: TEST_EVERY][:TEST_PER_CLASS]] = True
    write_images(folder / "train.npy", int((~test).sum()), size, fit_all(images[~test], size))
    write_images(folder / "test.npy", int(test.sum()), size, fit_all(images[test], size))
    return Labels(labels[~test], labels[test], classes=tuple("0123456789"))
