"""Seconds: the drawn parameters of views follow the distributions that the specification states."""

from collections.abc import Callable
from itertools import permutations
from math import log, pi, sqrt
from typing import get_args

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Generator, Tensor
from torchvision.transforms import v2

from workloads.simclr.spec import AugmentSpec, BlurSpec, ColorSpec, CropSpec, Operation, RotateSpec
from workloads.simclr.views import draw_two_views, draw_view
from workloads.simclr.views.color import draw_color
from workloads.simclr.views.corruptions import NoiseParameters, draw_cutout, draw_noise, draw_rotate
from workloads.simclr.views.crop import CropParameters, draw_crop
from workloads.simclr.views.filters import draw_blur, draw_motion_blur
from workloads.simclr.views.levels import AutoAugmentParameters, draw_auto_augment

COUNT = 20_000
EVERYTHING = list(get_args(Operation))
SIDE = 1000  # large, so that rounding boxes to pixels is invisible to the tests


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def assert_uniform(values: Tensor, low: float, high: float) -> None:
    assert float(values.min()) >= low
    assert float(values.max()) <= high
    assert stats.kstest(values.double().numpy(), "uniform", (low, high - low)).pvalue > 1e-3


def assert_rate(chosen: Tensor, probability: float) -> None:
    assert chosen.dtype == torch.bool
    assert abs(chosen.double().mean().item() - probability) <= 5 * sqrt(
        probability * (1 - probability) / len(chosen)
    )


def assert_equally_likely(values: Tensor, support: int) -> None:
    counts = torch.bincount(values, minlength=support)
    assert len(counts) == support
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def areas(boxes: CropParameters, side: int = SIDE) -> Tensor:
    return (boxes.height * boxes.width).double() / side**2


def test_crop_areas_are_uniform_above_the_covered_share() -> None:
    crop = CropSpec(min_area=0.08, max_area=0.5, min_covered=0.1)  # at most half: every box fits
    assert_uniform(areas(draw_crop(crop, COUNT, SIDE, SIDE, generator())), 0.1, 0.5005)
    paper = crop.model_validate(crop.tree() | {"min_covered": 0.0})
    assert_uniform(areas(draw_crop(paper, COUNT, SIDE, SIDE, generator())), 0.0795, 0.5005)


def test_crop_areas_near_the_whole_image_are_thinned_by_the_boxes_that_do_not_fit() -> None:
    limit = log(4 / 3)
    grid = np.linspace(0.1, 1, 20_001)
    # share of the log-uniform aspects that fit at this area
    fits = np.minimum(1, -np.log(grid) / limit)
    cumulative = np.concatenate([[0], np.cumsum((fits[1:] + fits[:-1]) / 2)])
    drawn = areas(draw_crop(CropSpec(), COUNT, SIDE, SIDE, generator(1))).numpy()
    assert (
        stats.kstest(drawn, lambda area: np.interp(area, grid, cumulative / cumulative[-1])).pvalue
        > 1e-3
    )


def test_crop_aspects_are_log_uniform() -> None:
    boxes = draw_crop(
        CropSpec(max_area=0.4, min_aspect=0.5, max_aspect=2), COUNT, SIDE, SIDE, generator()
    )
    aspect = (boxes.width.double() / boxes.height.double()).log()
    assert_uniform(aspect, -log(2) - 0.005, log(2) + 0.005)


def test_crops_lie_uniformly_inside_an_image_that_is_not_square() -> None:
    height, width = 600, 900
    boxes = draw_crop(CropSpec(), COUNT, height, width, generator())
    assert bool(((boxes.top >= 0) & (boxes.top + boxes.height <= height)).all())
    assert bool(((boxes.left >= 0) & (boxes.left + boxes.width <= width)).all())
    small = (boxes.height < 450) & (boxes.width < 750)  # free range enough to look continuous
    for start, length, whole in (
        (boxes.top, boxes.height, height),
        (boxes.left, boxes.width, width),
    ):
        assert_uniform((start[small] + 0.5) / (whole - length[small] + 1), 0, 1)


@pytest.mark.parametrize("side", [8, 32])
def test_no_crop_covers_less_than_the_least_share(side: int) -> None:
    boxes = draw_crop(CropSpec(min_area=0.01, min_covered=0.1), COUNT, side, side, generator())
    assert areas(boxes, side).min() >= 0.1
    assert bool((boxes.height >= 1).all() & (boxes.width >= 1).all())


def test_a_crop_that_rarely_fits_is_tried_a_hundred_times() -> None:
    boxes = draw_crop(CropSpec(min_area=0.9), 2000, SIDE, SIDE, generator())  # fits 18 times in 100
    whole = (boxes.height == SIDE) & (boxes.width == SIDE)
    assert whole.double().mean() < 0.01  # ten attempts would leave 14 %


@pytest.mark.parametrize(("height", "width"), [(100, 21), (21, 100), (50, 60)])
def test_a_crop_that_never_fits_falls_back_to_torchvisions_central_box(
    height: int, width: int
) -> None:
    crop = CropSpec(min_area=1, min_covered=1)
    boxes = draw_crop(crop, 3, height, width, generator())
    ratio = (crop.min_aspect, crop.max_aspect)
    expected = v2.RandomResizedCrop(8, (1, 1), ratio).make_params([torch.zeros(3, height, width)])
    for name in ("top", "left", "height", "width"):
        assert getattr(boxes, name).tolist() == [expected[name]] * 3


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_crops_are_flipped_at_their_rate(probability: float) -> None:
    assert_rate(draw_crop(CropSpec(flip=probability), COUNT, 32, 32, generator()).flip, probability)


@pytest.mark.parametrize("strength", [0.125, 0.5, 1.0, 2.5])
def test_color_factors_have_the_ranges_of_their_strength(strength: float) -> None:
    drawn = draw_color(
        ColorSpec(strength=strength, brightness="multiplicative"), COUNT, generator()
    )
    low, high = max(0.0, 1 - 0.8 * strength), 1 + 0.8 * strength
    for factor in (drawn.brightness, drawn.contrast, drawn.saturation):
        assert_uniform(factor, low, high)
    assert_uniform(drawn.hue, -0.2 * strength, 0.2 * strength)
    assert bool((drawn.brightness_shift == 0).all())


def test_additive_brightness_is_a_shift_and_no_factor() -> None:
    drawn = draw_color(ColorSpec(strength=0.5, brightness="additive"), COUNT, generator())
    assert_uniform(drawn.brightness_shift, -0.4, 0.4)
    assert bool((drawn.brightness == 1).all())


def test_the_four_parts_of_jitter_come_in_all_24_orders_equally_often() -> None:
    order = draw_color(ColorSpec(), COUNT, generator()).order
    number = {permutation: index for index, permutation in enumerate(permutations(range(4)))}
    assert_equally_likely(torch.tensor([number[tuple(row)] for row in order.tolist()]), 24)


def test_jitter_and_grayscale_have_their_rates_and_are_independent() -> None:
    drawn = draw_color(
        ColorSpec(jitter_probability=0.8, grayscale_probability=0.2), COUNT, generator()
    )
    assert_rate(drawn.jittered, 0.8)
    assert_rate(drawn.grayscale, 0.2)
    assert_rate(drawn.jittered & drawn.grayscale, 0.16)


def test_blur_sigma_is_uniform_and_the_coin_has_its_rate() -> None:
    drawn = draw_blur(BlurSpec(), COUNT, generator())
    assert_uniform(drawn.sigma, 0.1, 2.0)
    assert_rate(drawn.blurred, 0.5)


def test_one_sigma_per_batch_is_one_for_a_draw_with_a_coin_per_image() -> None:
    blur, stream = BlurSpec(one_sigma_per_batch=True), generator()
    draws = [draw_blur(blur, 100, stream) for _ in range(500)]
    assert all(len(drawn.sigma) == 100 and len(set(drawn.sigma.tolist())) == 1 for drawn in draws)
    assert_uniform(torch.stack([drawn.sigma[0] for drawn in draws]), 0.1, 2.0)
    assert_rate(torch.cat([drawn.blurred for drawn in draws]), 0.5)


def test_cutout_centers_are_uniform_over_the_pixels() -> None:
    drawn = draw_cutout(COUNT, 8, generator())
    assert_equally_likely(drawn.row * 8 + drawn.column, 64)


def test_angles_are_uniform_over_those_of_the_specification() -> None:
    turns = draw_rotate(RotateSpec(angles=(90, 180, 270)), COUNT, generator()).quarter_turns
    assert_equally_likely(turns - 1, 3)
    assert_equally_likely(
        draw_rotate(RotateSpec(angles=(0, 90, 180, 270)), COUNT, generator()).quarter_turns, 4
    )
    assert draw_rotate(RotateSpec(angles=(270,)), 5, generator()).quarter_turns.tolist() == [3] * 5


@pytest.mark.parametrize("draw", [draw_noise, draw_auto_augment])
def test_seeds_are_all_different(
    draw: Callable[[int, Generator], NoiseParameters | AutoAugmentParameters],
) -> None:
    seeds = draw(COUNT, generator()).seed
    assert len(set(seeds.tolist())) == COUNT
    assert_uniform(seeds.double() / 2**63, 0, 1)


def test_motion_has_every_direction_equally_often() -> None:
    assert_uniform(draw_motion_blur(COUNT, generator()).angle, 0, pi)


@pytest.mark.parametrize("operation", ["noise", "sobel", "solarize", "equalize", "motion_blur"])
def test_images_are_chosen_at_the_rate_of_the_specification_apart_in_each_view(
    operation: str,
) -> None:
    augment = AugmentSpec.read({"operations": [operation], operation: {"probability": 0.3}})
    drawn = draw_two_views(augment, COUNT, 32, 32, generator())
    (first,), (second,) = drawn.first.chosen.values(), drawn.second.chosen.values()
    assert_rate(first, 0.3)
    assert_rate(first & second, 0.09)


def test_operations_that_are_certain_take_no_random_numbers_for_it() -> None:
    certain = {
        name: {"probability": 1.0}
        for name in ("noise", "sobel", "solarize", "equalize", "motion_blur")
    }
    augment = AugmentSpec.read(
        {
            "operations": ["sobel", "noise", "solarize", "motion_blur", "equalize", "cutout"],
            **certain,
        }
    )
    drawn, stream = draw_view(augment, 50, 32, 32, generator(3)), generator(3)
    assert drawn.chosen == {}
    for part, expected in (
        (drawn.noise, draw_noise(50, stream)),
        (drawn.motion_blur, draw_motion_blur(50, stream)),
        (drawn.cutout, draw_cutout(50, 32, stream)),
    ):
        assert repr(part) == repr(expected)


def test_parameters_of_samples_of_views_and_of_operations_are_uncorrelated() -> None:
    augment = AugmentSpec(crop=CropSpec(max_area=0.4), color=ColorSpec(brightness="multiplicative"))
    drawn = draw_two_views(augment, COUNT, SIDE, SIDE, generator())
    columns: list[Tensor] = []
    for view in (drawn.first, drawn.second):
        assert view.crop is not None
        assert view.color is not None
        assert view.blur is not None
        color, blur = view.color, view.blur
        columns += [areas(view.crop), view.crop.width / view.crop.height, view.crop.flip]
        columns += [
            color.jittered,
            color.grayscale,
            color.brightness,
            color.contrast,
            color.saturation,
            color.hue,
        ]
        columns += [color.order[:, 0], blur.sigma, blur.blurred]
    table = torch.stack([column.double() for column in columns])
    table = torch.cat([table[:, :-1], table[:, 1:]])  # each parameter, and that of the next sample
    correlation = torch.corrcoef(table).fill_diagonal_(0)
    assert correlation.abs().max() < 5 / sqrt(COUNT)


@pytest.mark.parametrize("branches", ["both", "one"])
def test_the_state_of_the_generator_decides_the_parameters(branches: str) -> None:
    augment = AugmentSpec.read({"branches": branches, "operations": EVERYTHING})
    stream = generator(5)
    first, after = (repr(draw_two_views(augment, 6, 32, 32, stream)) for _ in range(2))
    assert repr(draw_two_views(augment, 6, 32, 32, generator(5))) == first
    assert repr(draw_two_views(augment, 6, 32, 32, generator(6))) != first != after


def test_a_slice_of_the_parameters_is_that_of_every_tensor() -> None:
    drawn = draw_view(AugmentSpec.read({"operations": EVERYTHING}), 10, 32, 32, generator())
    part = drawn[3:7]
    assert (len(drawn), len(part), len(drawn[8:20])) == (10, 4, 2)
    assert list(drawn.chosen) == ["solarize", "equalize", "motion_blur"]
    for operation, images in drawn.chosen.items():
        assert torch.equal(images[3:7], part.chosen[operation])
    for name in (
        "crop",
        "color",
        "blur",
        "cutout",
        "noise",
        "rotate",
        "motion_blur",
        "auto_augment",
    ):
        whole, some = vars(getattr(drawn, name)), vars(getattr(part, name))
        for field, values in whole.items():
            assert values.device.type == "cpu"
            assert torch.equal(values[3:7], some[field])
