"""Seconds: each operation of the views against torchvision or scipy, one sample at a time at equal
parameters.
"""

from itertools import permutations
from math import sqrt

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from torch import Generator, Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from workloads.simclr.spec import BlurSpec, CropSpec, CutoutSpec, NoiseSpec
from workloads.simclr.views.color import (
    BRIGHTNESS,
    CONTRAST,
    HUE,
    SATURATION,
    ColorParameters,
    apply_color,
    turn_hue,
)
from workloads.simclr.views.corruptions import (
    CutoutParameters,
    NoiseParameters,
    RotateParameters,
    apply_cutout,
    apply_noise,
    apply_rotate,
    counter_normal,
)
from workloads.simclr.views.crop import CropParameters, apply_crop
from workloads.simclr.views.filters import BlurParameters, apply_blur, apply_sobel, blur_kernel_size


def random_images(count: int, height: int = 32, width: int = 32, channels: int = 3) -> Tensor:
    levels = torch.randint(
        0, 256, (count, channels, height, width), generator=Generator().manual_seed(0)
    )
    return levels / 255


def assert_close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


def random_boxes(count: int, height: int, width: int) -> CropParameters:
    """Boxes of every size from one pixel to the whole image, anywhere, half of them mirrored."""
    share = torch.rand(4, count, generator=Generator().manual_seed(1))
    tall, wide = 1 + (share[0] * height).long(), 1 + (share[1] * width).long()
    tall[:3], wide[:3] = torch.tensor([1, 2, height]), torch.tensor([1, width, width])
    top, left = (share[2] * (height + 1 - tall)).long(), (share[3] * (width + 1 - wide)).long()
    return CropParameters(top, left, tall, wide, flip=torch.arange(count) % 2 == 0)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("height", "width", "side"), [(32, 32, 32), (41, 28, 24), (96, 130, 16)])
def test_crop_is_torchvisions_resized_crop(
    height: int, width: int, side: int, interpolation: str, antialias: bool
) -> None:
    crop = CropSpec.read({"interpolation": interpolation, "antialias": antialias})
    images, boxes = random_images(48, height, width), random_boxes(48, height, width)
    mode = InterpolationMode(interpolation)
    for sample, view in enumerate(apply_crop(images, boxes, crop, side)):
        box = [int(values[sample]) for values in (boxes.top, boxes.left, boxes.height, boxes.width)]
        expected = reference.resized_crop(
            images[sample], *box, [side, side], interpolation=mode, antialias=antialias
        )
        expected = reference.horizontal_flip(expected) if boxes.flip[sample] else expected
        assert_close(view, expected.clamp(0, 1))


def test_crop_of_the_whole_image_at_its_size_is_the_image() -> None:
    images, zero, side = random_images(2), torch.zeros(2, dtype=torch.long), torch.full((2,), 32)
    view = apply_crop(
        images, CropParameters(zero, zero, side, side, torch.tensor([False, True])), CropSpec(), 32
    )
    assert torch.equal(view[0], images[0])
    assert torch.equal(view[1], images[1].flip(-1))


def color_parameters(order: list[tuple[int, ...]], *, shift: bool) -> ColorParameters:
    count = len(order)
    drawn = torch.rand(5, count, generator=Generator().manual_seed(0), dtype=torch.float64)
    return ColorParameters(
        jittered=torch.ones(count, dtype=torch.bool),
        grayscale=torch.zeros(count, dtype=torch.bool),
        order=torch.tensor(order),
        brightness=torch.ones(count, dtype=torch.float64) if shift else 1.8 * drawn[0],
        brightness_shift=1.6 * drawn[1] - 0.8 if shift else torch.zeros(count, dtype=torch.float64),
        contrast=1.8 * drawn[2],
        saturation=1.8 * drawn[3],
        hue=drawn[4] - 0.5,
    )


def jittered_by_torchvision(image: Tensor, parameters: ColorParameters, sample: int) -> Tensor:
    for part in parameters.order[sample].tolist():
        if part == BRIGHTNESS:
            image = reference.adjust_brightness(image, float(parameters.brightness[sample]))
            image = (image + float(parameters.brightness_shift[sample])).clamp(0, 1)
        elif part == CONTRAST:
            image = reference.adjust_contrast(image, float(parameters.contrast[sample]))
        elif part == SATURATION:
            image = reference.adjust_saturation(image, float(parameters.saturation[sample]))
        elif part == HUE:
            image = reference.adjust_hue(image, float(parameters.hue[sample]))
    return image


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_color_jitter_is_torchvisions_in_each_of_the_24_orders(shift: bool, channels: int) -> None:
    parameters = color_parameters(list(permutations(range(4))), shift=shift)
    images = random_images(24, 9, 7, channels)
    for sample, view in enumerate(apply_color(images, parameters)):
        assert_close(view, jittered_by_torchvision(images[sample], parameters, sample))


def test_hue_is_torchvisions_on_every_corner_and_edge_of_the_color_cube() -> None:
    levels = torch.tensor([0, 1 / 255, 0.5, 254 / 255, 1])
    cube = torch.cartesian_prod(levels, levels, levels).T.reshape(1, 3, 5, 25)
    for turn in (-0.5, -1 / 3, -0.2, 0.0, 1 / 6, 0.5):
        assert_close(turn_hue(cube, torch.tensor([turn]))[0], reference.adjust_hue(cube[0], turn))


def test_only_the_chosen_images_are_jittered_and_grayed() -> None:
    parameters = color_parameters([(0, 1, 2, 3)] * 4, shift=False)
    jittered, grayscale = (
        torch.tensor([True, False, True, False]),
        torch.tensor([True, True, False, False]),
    )
    images = random_images(4)
    views = apply_color(
        images,
        ColorParameters(**{**vars(parameters), "jittered": jittered, "grayscale": grayscale}),
    )
    for sample, view in enumerate(views):
        expected = (
            jittered_by_torchvision(images[sample], parameters, sample)
            if jittered[sample]
            else images[sample]
        )
        assert_close(
            view, reference.rgb_to_grayscale(expected, 3) if grayscale[sample] else expected
        )
    assert torch.equal(views[3], images[3])


@pytest.mark.parametrize(("side", "taps"), [(32, 3), (96, 9), (224, 23)])
def test_blur_is_torchvisions_with_a_tenth_of_the_side(side: int, taps: int) -> None:
    assert blur_kernel_size(side, 0.1) == taps
    images, sigma = (
        random_images(5, side, side),
        torch.tensor([0.1, 0.4, 1.0, 2.0, 1.5], dtype=torch.float64),
    )
    blurred = torch.tensor([True, True, False, True, True])
    views = apply_blur(images, BlurParameters(sigma, blurred), BlurSpec())
    for sample in (0, 1, 3, 4):
        width = float(sigma[sample])
        assert_close(
            views[sample], reference.gaussian_blur(images[sample], [taps, taps], [width, width])
        )
    assert torch.equal(views[2], images[2])


def test_blur_of_a_tenth_of_few_pixels_has_one_tap_and_is_the_identity() -> None:
    images, always = random_images(2, 16, 16), torch.tensor([True, True])
    assert blur_kernel_size(16, 0.1) == 1
    assert torch.equal(
        apply_blur(images, BlurParameters(torch.tensor([2.0, 0.1]), always), BlurSpec()), images
    )


@pytest.mark.parametrize(("fraction", "hole"), [(0.5, 16), (0.25, 8), (0.1, 3), (1.0, 32)])
def test_cutout_is_torchvisions_erase_of_the_part_inside_the_image(
    fraction: float, hole: int
) -> None:
    centers = [(0, 0), (31, 31), (16, 9), (3, 30)]
    rows, columns = torch.tensor(centers).T
    images = random_images(4)
    cutout = CutoutSpec(side_fraction=fraction, fill=0.25)
    for image, view, (row, column) in zip(
        images, apply_cutout(images, CutoutParameters(rows, columns), cutout), centers, strict=True
    ):
        top, left = max(row - hole // 2, 0), max(column - hole // 2, 0)
        bottom, right = min(row - hole // 2 + hole, 32), min(column - hole // 2 + hole, 32)
        expected = reference.erase(
            image, top, left, bottom - top, right - left, torch.full((3, 1, 1), 0.25)
        )
        assert torch.equal(view, expected)


def test_sobel_is_the_gradient_magnitude_of_the_gray_image() -> None:
    images = random_images(3, 11, 17)
    for image, view in zip(images, apply_sobel(images), strict=True):
        gray = reference.rgb_to_grayscale(image)[0].double().numpy()
        magnitude = np.hypot(
            ndimage.sobel(gray, 0, mode="nearest"), ndimage.sobel(gray, 1, mode="nearest")
        )
        assert_close(view, torch.from_numpy(magnitude / sqrt(20)).float().expand(3, -1, -1))


def test_sobel_reaches_one_and_no_more() -> None:
    patterns = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 9).view(512, 1, 3, 3)
    # a linear form squared is largest at a corner of the cube
    center = apply_sobel(patterns)[:, 0, 1, 1]
    assert center.max() == pytest.approx(1, abs=1e-6)


def test_rotation_is_torchvisions_pixel_for_pixel() -> None:
    images = random_images(4)
    views = apply_rotate(images, RotateParameters(torch.tensor([0, 1, 2, 3])))
    for turns, (image, view) in enumerate(zip(images, views, strict=True)):
        assert torch.equal(view, reference.rotate(image, 90 * turns))


def splitmix64(seed: int, position: int) -> int:
    """The published generator's output number `position`, counted from 1, in exact integers."""
    bits = (seed + position * 0x9E3779B97F4A7C15) % 2**64
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB % 2**64
    return bits ^ (bits >> 31)


def test_noise_is_box_muller_of_splitmix64() -> None:
    # the reference implementation's first output for this seed
    assert splitmix64(1234567, 1) == 6457827717110365317
    seeds = [0, 1234567, 2**63 - 2]
    drawn = counter_normal(torch.tensor(seeds), 7)
    for row, seed in zip(drawn, seeds, strict=True):
        bits = [splitmix64(seed, position) for position in (1, 2, 3, 4)]
        radius = np.sqrt([-2 * np.log(((value >> 40) + 1) / 2**24) for value in bits])
        angle = 2 * np.pi * np.array([(value >> 16) % 2**24 / 2**24 for value in bits])
        expected = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:7]
        assert_close(row, torch.from_numpy(expected).float())


def test_noise_is_standard_normal_and_independent_between_pixels_and_images() -> None:
    drawn = counter_normal(torch.arange(20), 3 * 32 * 32)  # neighbouring seeds are the hardest case
    assert stats.kstest(drawn.double().flatten().numpy(), "norm").pvalue > 1e-3
    limit = 5 / sqrt(drawn.shape[1])
    assert torch.corrcoef(drawn).fill_diagonal_(0).abs().max() < limit
    for row in drawn:
        for lag in (1, 32, 1024, 1536):
            assert torch.corrcoef(torch.stack([row[:-lag], row[lag:]]))[0, 1].abs() < 5 / sqrt(
                len(row) - lag
            )


def test_noise_has_the_deviation_of_the_specification_and_is_clipped() -> None:
    seeds = NoiseParameters(torch.arange(8))
    added = apply_noise(torch.full((8, 3, 32, 32), 0.5), seeds, NoiseSpec(std=0.1)) - 0.5
    assert added.std().item() == pytest.approx(0.1, rel=0.02)
    assert added.mean().item() == pytest.approx(0, abs=0.002)
    loud = apply_noise(torch.full((8, 3, 32, 32), 0.5), seeds, NoiseSpec(std=2))
    assert (loud.min().item(), loud.max().item()) == (0, 1)
