"""Milliseconds: that what is shown of a policy is what training makes by it."""

import numpy as np
import pytest
import torch
from torch import Tensor

from workloads.seeds import seed_of
from workloads.simclr.spec import RunSpec
from workloads.simclr.views import two_views
from workloads.simclr.views.shown import example_views, operations_alone

EVERYTHING = ["crop", "cutout", "color", "sobel", "noise", "blur", "rotate"]
BY_CHANCE = ["solarize", "equalize", "motion_blur"]


def images(count: int = 4, side: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=generator)


def recipe(operations: list[str], **fields: object) -> RunSpec:
    given = {"augment.operations": operations, "data.name": "digits", "data.image_size": 16}
    return RunSpec().with_values({**given, "schedule.epochs": 20, **fields})


@pytest.mark.parametrize("branches", ["both", "one"])
def test_shown_pairs_are_those_of_training(branches: str) -> None:
    spec = recipe(EVERYTHING, **{"augment.branches": branches, "seed": 3})
    shown = example_views(spec, images(), 2)

    assert shown.shape == (4, 2, 2, 16, 16, 3)
    assert shown.dtype == np.uint8
    for step in range(2):
        generator = torch.Generator().manual_seed(seed_of(3, "views", step))
        for branch, views in enumerate(two_views(images(), spec.augment, generator)):
            expected = (views * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
            assert np.array_equal(shown[:, step, branch], expected)


def test_a_supervised_run_shows_its_one_view() -> None:
    spec = recipe(["crop"], **{"loss.name": "cross-entropy"})
    assert example_views(spec, images(), 3).shape == (4, 3, 1, 16, 16, 3)


def test_a_size_of_the_schedule_is_shown_in_its_own_pixels() -> None:
    spec = recipe(["crop"], **{"schedule.image_sizes": [[8, 0.5], [16, 0.5]]})
    assert example_views(spec, images(), 1, side=8).shape == (4, 1, 2, 8, 8, 3)


@pytest.mark.parametrize("branches", ["both", "one"])
def test_each_operation_is_shown_alone_where_it_acts(branches: str) -> None:
    # of 32 pixels a side: on 16, equalize and a blur with a kernel of a tenth do nothing
    certain = {
        "data.image_size": 32,
        "augment.blur.min_sigma": 1.0,
        "augment.color.jitter_probability": 1.0,
    }
    spec = recipe(EVERYTHING + BY_CHANCE, **{"augment.branches": branches}, **certain)
    alone = operations_alone(spec, images(side=32), 2)

    assert [each.name for each in alone] == EVERYTHING + BY_CHANCE
    originals = images(side=32).permute(0, 2, 3, 1).numpy()
    for each in alone:
        assert each.views.shape == (4, 2, 32, 32, 3)
        for image, views in zip(originals, each.views, strict=True):
            assert (views != image).any(axis=(1, 2, 3)).all(), each.name
    probabilities = {each.name: each.probability for each in alone}
    assert probabilities["solarize"] == 0.2
    assert probabilities["cutout"] is None
    assert alone[1].parameters == {"side_fraction": 0.5, "fill": 0.0}
