"""Seconds: what the policy of two views promises, with each operation in turn, and the clean view
for evaluation.
"""

from typing import Any

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as reference

from workloads.simclr.spec import AugmentSpec
from workloads.simclr.views import (
    apply_two_views,
    apply_view,
    center_view,
    draw_two_views,
    draw_view,
    two_views,
)
from workloads.simclr.views.corruptions import apply_cutout
from workloads.simclr.views.crop import apply_crop
from workloads.simclr.views.filters import apply_sobel

EVERYTHING = ["crop", "cutout", "color", "sobel", "noise", "blur", "rotate"]
POLICIES = [
    *([operation] for operation in EVERYTHING),
    ["crop", "color", "blur"],
    ["color", "crop"],
    EVERYTHING,
]


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


@pytest.mark.parametrize("branches", ["both", "one"])
@pytest.mark.parametrize("operations", POLICIES)
def test_equal_states_give_identical_views_and_the_input_stays(
    operations: list[str], branches: str
) -> None:
    images, augment = random_bytes(12), policy(operations, branches=branches)
    before = images.clone()
    first, second = (
        two_views(images, augment, generator(3)),
        two_views(images, augment, generator(3)),
    )
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert torch.equal(images, before)
    if operations != ["sobel"] or branches == "one":  # Sobel alone draws nothing
        other = two_views(images, augment, generator(4))
        assert not torch.equal(first[0], other[0]) or not torch.equal(first[1], other[1])


@pytest.mark.parametrize("branches", ["both", "one"])
@pytest.mark.parametrize("operations", POLICIES)
def test_slices_of_a_batch_give_the_views_of_the_whole_batch(
    operations: list[str], branches: str
) -> None:
    images, augment = random_bytes(13), policy(operations, branches=branches)
    drawn = draw_two_views(augment, 13, 32, 32, generator(7))
    whole = apply_two_views(images, drawn, augment)
    slices = [slice(0, 5), slice(5, 6), slice(6, 13)]
    parts = [apply_two_views(images[rows], drawn[rows], augment) for rows in slices]
    for view in (0, 1):
        assert_close(torch.cat([part[view] for part in parts]), whole[view], 1e-6)


@pytest.mark.parametrize("operations", POLICIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_views_of_extreme_images_are_finite_and_in_range(
    operations: list[str], channels: int
) -> None:
    black, white, dot = (
        torch.full((16, channels, 20, 20), value, dtype=torch.uint8) for value in (0, 255, 0)
    )
    dot[:, 0, 10, 10] = 255
    for view in two_views(torch.cat([black, white, dot]), policy(operations), generator()):
        assert view.dtype == torch.float32
        assert view.shape == (48, channels, 20, 20)
        assert bool(view.isfinite().all())
        assert view.min() >= 0
        assert view.max() <= 1


@pytest.mark.parametrize("branches", ["both", "one"])
@pytest.mark.parametrize("operations", POLICIES)
def test_views_are_square_at_the_output_size_whatever_the_stored_size(
    operations: list[str], branches: str
) -> None:
    images = random_bytes(4, 24, 36)
    for output_size, side in ((None, 24), (16, 16)):
        augment = policy(operations, branches=branches, output_size=output_size)
        assert [view.shape for view in two_views(images, augment, generator())] == [
            (4, 3, side, side)
        ] * 2


@pytest.mark.parametrize("operations", POLICIES)
def test_every_image_of_a_batch_and_each_view_has_parameters_of_its_own(
    operations: list[str],
) -> None:
    if operations == ["sobel"]:
        pytest.skip("draws nothing")
    images = random_bytes(1).expand(64, -1, -1, -1)
    first, second = two_views(
        images, policy(operations, color={"jitter_probability": 1}), generator()
    )
    # A rotation has three outcomes, a blur half the time none; every other view of one image is
    # another image.
    distinct = {"rotate": 3, "blur": 20}.get("-".join(operations), 60)
    assert len({view.numpy().tobytes() for view in first}) >= distinct
    assert (first != second).flatten(1).any(dim=1).sum() >= 25


@pytest.mark.parametrize("operation", EVERYTHING)
def test_one_branch_shares_a_crop_and_augments_the_second_view_only(operation: str) -> None:
    images, augment = random_bytes(9, 40, 30), policy([operation], branches="one", output_size=24)
    drawn = draw_two_views(augment, 9, 40, 30, generator(2))
    base, second = apply_two_views(images, drawn, augment)
    assert drawn.first.crop is not None
    assert torch.equal(base, apply_crop(images.float() / 255, drawn.first.crop, augment.crop, 24))
    assert torch.equal(second, apply_view(base, drawn.second, augment))
    assert not torch.equal(base, second)
    if operation == "sobel":
        assert torch.equal(second, apply_sobel(base))


def test_operations_are_applied_in_their_order() -> None:
    images, hole = random_bytes(3), {"cutout": {"fill": 1.0, "side_fraction": 0.5}}
    for operations in (["cutout", "sobel"], ["sobel", "cutout"]):
        augment = policy(operations, **hole)
        drawn = draw_view(augment, 3, 32, 32, generator())
        assert drawn.cutout is not None
        view = images.float() / 255
        for operation in operations:
            view = (
                apply_sobel(view)
                if operation == "sobel"
                else apply_cutout(view, drawn.cutout, augment.cutout)
            )
        assert torch.equal(apply_view(images, drawn, augment), view)


def test_without_a_leading_crop_the_whole_image_is_brought_to_the_output_size() -> None:
    images = random_bytes(2, 30, 44)
    # a hole of no pixel
    augment = policy(["cutout"], output_size=20, cutout={"side_fraction": 0.01})
    view = apply_view(images, draw_view(augment, 2, 30, 44, generator()), augment)
    assert_close(
        view, functional.interpolate(images.float() / 255, (20, 20), mode="bicubic").clamp(0, 1)
    )


def test_autocast_does_not_round_the_views() -> None:
    images, augment = random_bytes(4), AugmentSpec()
    expected = two_views(images, augment, generator())
    with torch.autocast("cpu", torch.bfloat16):
        actual = two_views(images, augment, generator())
    assert torch.equal(actual[0], expected[0])
    assert torch.equal(actual[1], expected[1])


def test_parameters_of_other_images_and_other_dtypes_are_refused() -> None:
    augment = AugmentSpec()
    drawn = draw_view(augment, 4, 32, 32, generator())
    with pytest.raises(ValueError, match="3 images, but parameters of 4"):
        apply_view(random_bytes(3), drawn, augment)
    with pytest.raises(TypeError, match="int64: need uint8, or float32"):
        apply_view(random_bytes(4).long(), drawn, augment)
    with pytest.raises(ValueError, match="need 1 \\(gray\\) or 3 \\(RGB\\) channels"):
        apply_view(random_bytes(4, channels=4), drawn, augment)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("operations", POLICIES)
def test_a_gpu_gives_the_views_of_the_cpu(operations: list[str]) -> None:
    images, augment = random_bytes(16), policy(operations)
    for here, there in zip(
        two_views(images, augment, generator()),
        two_views(images.cuda(), augment, generator()),
        strict=True,
    ):
        assert_close(there.cpu(), here, 1e-4)


@pytest.mark.parametrize(
    ("height", "width", "size"), [(32, 32, 32), (35, 37, 32), (40, 55, 32), (36, 32, 32)]
)
def test_center_view_is_torchvisions_center_crop(height: int, width: int, size: int) -> None:
    images = random_bytes(2, height, width)
    assert torch.equal(
        center_view(images, size), reference.center_crop(images, [size, size]).float() / 255
    )


def test_center_view_refuses_to_enlarge() -> None:
    with pytest.raises(ValueError, match="32 x 30 pixels are smaller than the view of 32 x 32"):
        center_view(random_bytes(1, 32, 30), 32)
