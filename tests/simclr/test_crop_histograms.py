"""Milliseconds: what is said of the colours of crops, on images of which it is known."""

import numpy as np
import pytest
import torch
from torch import Tensor

from workloads.simclr.crop_histograms import crop_histograms
from workloads.simclr.spec import RunSpec

SPEC = RunSpec().with_values({"data.name": "digits", "data.image_size": 16, "seed": 1})


def plain(*levels: int) -> Tensor:
    """Images of one grey level each."""
    return torch.tensor(levels, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 16, 16)


def test_images_of_a_colour_of_their_own_are_all_told_apart() -> None:
    found = crop_histograms(SPEC, plain(*range(0, 256, 16)), shown=2, crops=3)
    assert found.matched[0] == 1.0
    assert found.among == 16
    assert found.crops.shape == (2, 3, 2, 16, 16, 3)
    assert np.array_equal(found.crops[1, :, 0], np.full((3, 16, 16, 3), 16))


def test_images_of_one_colour_are_told_apart_by_chance_alone() -> None:
    found = crop_histograms(SPEC, plain(*[100] * 8), shown=1, crops=1)
    assert found.matched[0] == 1 / 8


def test_a_histogram_has_the_shares_of_all_values() -> None:
    found = crop_histograms(SPEC, plain(0, 255), shown=2, crops=1)
    assert found.histograms.shape == (2, 1, 2, 32)
    assert found.histograms.sum(-1) == pytest.approx(1.0)
    assert found.histograms[0, 0, 0, 0] == 1.0
    assert found.histograms[1, 0, 0, 31] == 1.0


def test_without_distortion_are_the_same_crops_as_with_it() -> None:
    nothing = {"augment.color.jitter_probability": 0.0, "augment.color.grayscale_probability": 0.0}
    images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8)
    found = crop_histograms(SPEC.with_values(nothing), images, shown=4, crops=2)
    assert np.array_equal(found.crops[:, :, 0], found.crops[:, :, 1])
