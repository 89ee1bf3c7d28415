"""Seconds: solarize, equalize, motion blur and AutoAugment against PIL, scipy and torchvision, and
acting by chance.
"""

from math import pi, sqrt
from typing import Any, get_args

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from scipy import ndimage
from torch import Generator, Tensor
from torchvision.transforms.v2 import AutoAugment, AutoAugmentPolicy
from torchvision.transforms.v2 import functional as reference

from workloads.simclr.spec import (
    AugmentSpec,
    AutoAugmentSpec,
    MotionBlurSpec,
    Operation,
    SolarizeSpec,
)
from workloads.simclr.views import apply_two_views, apply_view, draw_two_views, draw_view, two_views
from workloads.simclr.views.filters import MotionBlurParameters, apply_motion_blur, motion_kernels
from workloads.simclr.views.levels import (
    AutoAugmentParameters,
    apply_auto_augment,
    apply_equalize,
    apply_solarize,
)

NEW = ["solarize", "equalize", "motion_blur", "auto_augment"]
BY_CHANCE = ["noise", "sobel", "solarize", "equalize", "motion_blur"]
# Those with steps first, on the stored levels: later, a pixel may be rounded to the other side of a
# step.
STEPS_FIRST = [
    "auto_augment",
    "equalize",
    "solarize",
    "motion_blur",
    "crop",
    "cutout",
    "color",
    "sobel",
    "noise",
    "blur",
    "rotate",
]
HALF = {operation: {"probability": 0.5} for operation in BY_CHANCE}


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def random_bytes(count: int, height: int = 32, width: int = 32, channels: int = 3) -> Tensor:
    return torch.randint(
        0, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator()
    )


def policy(operations: list[str], **fields: Any) -> AugmentSpec:
    return AugmentSpec.read({"operations": operations, **fields})


def assert_close(actual: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("threshold", [0.0, 0.25, 0.5, 128 / 255, 1.0])
def test_solarize_is_torchvisions(threshold: float) -> None:
    images = torch.arange(256, dtype=torch.float32).view(1, 1, 16, 16) / 255
    views = apply_solarize(images, SolarizeSpec(threshold=threshold))
    assert torch.equal(views, reference.solarize(images, threshold))
    assert int((views != images).sum()) == int((images >= threshold).sum())


def images_to_equalize(channels: int) -> Tensor:
    """Noise, low contrast, noise mostly black, one level, two levels, and one pixel of another
    level.
    """
    noise = random_bytes(6, 24, 37, channels)
    noise[1] = 100 + noise[1] // 9
    noise[2] *= noise[2] > 200
    noise[3] = 77
    noise[4] = 3 + 200 * (noise[4] > 30)
    noise[5] = 9
    noise[5, :, 4, 4] = 200
    return noise


@pytest.mark.parametrize("channels", [1, 3])
def test_equalize_is_pils_and_torchvisions_bit_by_bit(channels: int) -> None:
    levels = images_to_equalize(channels)
    views = apply_equalize(levels.float() / 255)
    assert views.dtype == torch.float32
    for image, view in zip(levels, views, strict=True):
        assert torch.equal(view, reference.equalize(image).float() / 255)
        for plane, seen in zip(image, view, strict=True):
            by_pil = ImageOps.equalize(Image.fromarray(plane.numpy()))
            assert torch.equal(seen, torch.from_numpy(np.array(by_pil)).float() / 255)


def test_equalize_takes_values_between_the_levels_for_the_nearest() -> None:
    levels = random_bytes(2)
    for off in (-0.49, 0.49):
        between = ((levels.float() + off) / 255).clamp(0, 1)
        assert torch.equal(apply_equalize(between), reference.equalize(levels).float() / 255)


@pytest.mark.parametrize(("side", "length"), [(16, 3), (32, 3), (96, 9), (224, 23)])
def test_horizontal_and_vertical_motion_are_box_blurs_of_a_tenth_and_at_least_three_pixels(
    side: int, length: int
) -> None:
    images = random_bytes(2, side, side) / 255
    across, down = apply_motion_blur(
        images, MotionBlurParameters(torch.tensor([0, pi / 2])), MotionBlurSpec()
    )
    assert_close(
        across,
        torch.from_numpy(
            ndimage.uniform_filter1d(images[0].numpy(), length, axis=2, mode="mirror")
        ),
    )
    assert_close(
        down,
        torch.from_numpy(
            ndimage.uniform_filter1d(images[1].numpy(), length, axis=1, mode="mirror")
        ),
    )


def test_motion_blur_is_the_mean_of_points_along_the_line() -> None:
    angles, side, length = (
        torch.tensor([0.1, 0.7, pi / 4, 1.5, 2.2, 3.1], dtype=torch.float64),
        21,
        7,
    )
    images = random_bytes(6, side, side) / 255
    views = apply_motion_blur(
        images, MotionBlurParameters(angles), MotionBlurSpec(kernel_fraction=length / side)
    )
    row, column = np.mgrid[:side, :side].astype(float)
    for image, view, angle in zip(images, views, angles.tolist(), strict=True):
        for plane, seen in zip(image.numpy(), view, strict=True):
            points = [(row + t * np.sin(angle), column + t * np.cos(angle)) for t in range(-3, 4)]
            read = [
                ndimage.map_coordinates(plane, point, order=1, mode="mirror") for point in points
            ]
            assert_close(seen, torch.from_numpy(np.mean(read, axis=0)).float())


def test_motion_blur_is_the_correlation_with_its_kernel() -> None:
    angles = torch.tensor([0.3, 2.0], dtype=torch.float64)
    images = random_bytes(2, 17, 17) / 255
    views = apply_motion_blur(
        images, MotionBlurParameters(angles), MotionBlurSpec(kernel_fraction=0.3)
    )
    for image, view, kernel in zip(images, views, motion_kernels(angles, 5).numpy(), strict=True):
        for plane, seen in zip(image.numpy(), view, strict=True):
            assert_close(
                seen,
                torch.from_numpy(
                    ndimage.correlate(plane, kernel.astype(np.float32), mode="mirror")
                ),
            )


def test_motion_kernels_sum_to_one_and_have_no_sense_of_direction() -> None:
    kernels = motion_kernels(torch.linspace(0, 3.1, 40, dtype=torch.float64), 9)
    assert_close(kernels.sum(dim=(1, 2)), torch.ones(40, dtype=torch.float64), 1e-12)
    assert_close(kernels, kernels.flip(1, 2), 1e-12)
    assert bool((kernels >= 0).all())
    flat = torch.full((4, 3, 32, 32), 0.3)
    angles = torch.tensor([0.0, 0.4, 1.6, 3.0], dtype=torch.float64)
    assert_close(
        apply_motion_blur(flat, MotionBlurParameters(angles), MotionBlurSpec(kernel_fraction=0.5)),
        flat,
        1e-6,
    )


SEEDS = torch.tensor([0, 1, 2**31, 2**63 - 2, *range(100, 160)])


@pytest.mark.parametrize("name", ["imagenet", "cifar10", "svhn"])
def test_auto_augment_is_torchvisions_under_the_seed_of_each_image(name: str) -> None:
    levels = random_bytes(len(SEEDS))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    views = apply_auto_augment(
        levels / 255, AutoAugmentParameters(SEEDS), AutoAugmentSpec.read({"policy": name})
    )
    assert torch.equal(torch.get_rng_state(), before)
    transform = AutoAugment(AutoAugmentPolicy(name))
    with torch.random.fork_rng(devices=[]):
        for image, view, seed in zip(levels, views, SEEDS.tolist(), strict=True):
            torch.manual_seed(seed)
            assert torch.equal(view, transform(image).float() / 255)
    assert (views != levels / 255).flatten(1).any(dim=1).double().mean() > 0.4


def test_auto_augment_depends_on_image_and_seed_alone() -> None:
    images, spec = random_bytes(len(SEEDS)) / 255, AutoAugmentSpec()
    views = apply_auto_augment(images, AutoAugmentParameters(SEEDS), spec)
    turned = apply_auto_augment(images.flip(0), AutoAugmentParameters(SEEDS.flip(0)), spec)
    assert torch.equal(turned.flip(0), views)
    torch.rand(1)  # whatever state the global generator is in
    alone = [
        apply_auto_augment(images[n : n + 1], AutoAugmentParameters(SEEDS[n : n + 1]), spec)
        for n in range(len(SEEDS))
    ]
    assert torch.equal(torch.cat(alone), views)


@pytest.mark.parametrize("operation", BY_CHANCE)
def test_an_operation_acts_on_its_share_of_the_images_and_leaves_the_others_alone(
    operation: str,
) -> None:
    images = random_bytes(1000, 20, 20)
    some, all_of_them = (
        policy([operation], **{operation: {"probability": chance}}) for chance in (0.3, 1.0)
    )
    # What an operation draws for itself comes before its coin, so that both policies draw it alike.
    drawn, certain = (
        draw_view(augment, 1000, 20, 20, generator(1)) for augment in (some, all_of_them)
    )
    view, acted_on = apply_view(images, drawn, some), apply_view(images, certain, all_of_them)
    changed = (view != images / 255).flatten(1).any(dim=1)
    assert abs(float(changed.double().mean()) - 0.3) < 4 * sqrt(0.3 * 0.7 / 1000)
    assert torch.equal(changed, drawn.chosen[operation])  # type: ignore[index]
    assert_close(view[changed], acted_on[changed], 1e-6)
    assert torch.equal(view[~changed], (images / 255)[~changed])


@pytest.mark.parametrize("operation", BY_CHANCE)
def test_without_a_chance_an_operation_leaves_every_image_alone(operation: str) -> None:
    images = random_bytes(5)
    for view in two_views(
        images, policy([operation], **{operation: {"probability": 0.0}}), generator()
    ):
        assert torch.equal(view, images / 255)


@pytest.mark.parametrize("branches", ["both", "one"])
@pytest.mark.parametrize(
    ("operations", "jumping"), [(STEPS_FIRST, 0.0), (list(get_args(Operation)), 0.02)]
)
def test_slices_of_a_batch_give_the_views_of_the_whole_batch(
    operations: list[str], jumping: float, branches: str
) -> None:
    assert set(operations) == set(get_args(Operation))
    if branches == "one":  # the shared crop comes before the steps
        jumping = 0.02
    images, augment = random_bytes(13), policy(operations, branches=branches, **HALF)
    drawn = draw_two_views(augment, 13, 32, 32, generator(7))
    whole = apply_two_views(images, drawn, augment)
    slices = [slice(0, 5), slice(5, 6), slice(6, 13)]
    parts = [apply_two_views(images[rows], drawn[rows], augment) for rows in slices]
    for view in (0, 1):
        apart = (torch.cat([part[view] for part in parts]) - whole[view]).abs() > 1e-6
        assert apart.double().mean() <= jumping


@pytest.mark.parametrize("operations", [*([operation] for operation in NEW), STEPS_FIRST])
def test_equal_states_give_identical_views_and_the_input_stays(operations: list[str]) -> None:
    images, augment = random_bytes(16), policy(operations, **HALF)
    before = images.clone()
    first, second, other = (
        torch.cat(two_views(images, augment, generator(seed))) for seed in (3, 3, 4)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(images, before)


@pytest.mark.parametrize("operations", [*([operation] for operation in NEW), STEPS_FIRST])
@pytest.mark.parametrize("channels", [1, 3])
def test_views_of_extreme_images_are_in_range_and_of_the_shape_asked_for(
    operations: list[str], channels: int
) -> None:
    black, white, dot = (
        torch.full((12, channels, 20, 26), value, dtype=torch.uint8) for value in (0, 255, 0)
    )
    dot[:, 0, 10, 10] = 255
    for output_size, side in ((None, 20), (16, 16)):
        augment = policy(operations, output_size=output_size, **HALF)
        for view in two_views(torch.cat([black, white, dot]), augment, generator()):
            assert view.dtype == torch.float32
            assert view.shape == (36, channels, side, side)
            assert view.min() >= 0  # false of NaN, too
            assert view.max() <= 1


def test_operations_are_applied_in_the_order_of_the_policy() -> None:
    images = random_bytes(3)
    certain = {operation: {"probability": 1.0} for operation in ("solarize", "equalize")}
    solarized_first = policy(["solarize", "equalize"], **certain)
    equalized_first = policy(["equalize", "solarize"], **certain)
    drawn = draw_view(solarized_first, 3, 32, 32, generator())
    values, spec = images / 255, SolarizeSpec()
    assert torch.equal(
        apply_view(images, drawn, solarized_first), apply_equalize(apply_solarize(values, spec))
    )
    assert torch.equal(
        apply_view(images, drawn, equalized_first), apply_solarize(apply_equalize(values), spec)
    )
    assert not torch.equal(
        apply_view(images, drawn, solarized_first), apply_view(images, drawn, equalized_first)
    )


def test_parameters_of_another_policy_are_refused() -> None:
    drawn = draw_view(policy(["crop"]), 3, 32, 32, generator())
    with pytest.raises(
        ValueError, match="without those of motion_blur: they were drawn for another policy"
    ):
        apply_view(random_bytes(3), drawn, policy(["motion_blur"]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("operation", NEW)
def test_a_gpu_gives_the_views_of_the_cpu(operation: str) -> None:
    images, augment = random_bytes(16), policy([operation], **HALF)
    here, there = (two_views(batch, augment, generator()) for batch in (images, images.cuda()))
    assert_close(torch.cat(there).cpu(), torch.cat(here), 1e-4)
