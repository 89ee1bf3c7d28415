"""Augmentation operations of somebody's own: what they draw, where they stand, what is refused."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy import stats

from workloads.simclr.spec import AugmentSpec, RunSpec
from workloads.simclr.views import (
    Draws,
    apply_two_views,
    draw_two_views,
    operation_problems,
    pinned_operations,
    two_views,
)
from workloads.spec import SpecError

PARTS = """
import torch


def fog(images, draws, *, density: float = 0.5):
    amount = draws.uniform(0, density, (1, 1, 1)) * draws.coin(0.8)[:, None, None, None]
    return images * (1 - amount) + amount


def half(images, draws):
    return images / 2


def global_noise(images, draws):
    return (images + torch.rand_like(images)) / 2


def neighbours(images, draws):
    return images.mean(0, keepdim=True).expand_as(images)


def cut(images, draws):
    return images[..., 1:]


def bright(images, draws):
    return images * 3


def broken(images, draws):
    raise ZeroDivisionError("no luck")
"""


@pytest.fixture
def policy(own_module: Callable[[str], str]) -> Callable[..., AugmentSpec]:
    module = own_module(PARTS)

    def of(*operations: str, **fields: Any) -> AugmentSpec:
        named = [name if name in ("crop", "color") else f"{module}:{name}" for name in operations]
        return AugmentSpec.read({"operations": named, **fields})

    return of


def images(count: int = 6, side: int = 16) -> torch.Tensor:
    drawn = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))
    return (drawn * 255).to(torch.uint8)


@pytest.mark.parametrize("branches", ["both", "one"])
def test_views_do_not_depend_on_who_makes_them(
    policy: Callable[..., AugmentSpec], branches: str
) -> None:
    augment = policy("crop", "fog", "color", branches=branches)
    drawn = draw_two_views(augment, 6, 16, 16, torch.Generator().manual_seed(0))
    whole = apply_two_views(images(), drawn, augment)
    for rows in (slice(0, 2), slice(2, 6)):
        part = apply_two_views(images()[rows], drawn[rows], augment)
        for view, of_part in zip(whole, part, strict=True):
            torch.testing.assert_close(view[rows], of_part, rtol=0, atol=1e-6)
    assert not torch.equal(*whole)
    again = two_views(images(), augment, torch.Generator().manual_seed(0))
    assert all(map(torch.equal, whole, again))


def test_operations_act_in_their_order(policy: Callable[..., AugmentSpec]) -> None:
    fogged = {"options": {"fog": {"density": 0}}}
    plain, _ = two_views(images(), policy("fog", **fogged), torch.Generator())
    torch.testing.assert_close(plain, images() / 255)

    # at full density every image that the coin chooses is between itself and white
    first, _ = two_views(images(), policy("half", "fog"), torch.Generator().manual_seed(3))
    then, _ = two_views(images(), policy("fog", "half"), torch.Generator().manual_seed(3))
    assert float(then.max()) <= 0.5 < float(first.max())


def test_draws_are_uniform_normal_and_independent() -> None:
    seed = torch.randint(2**63 - 1, (2000,), generator=torch.Generator().manual_seed(0))
    draws = Draws(seed)
    first, second = draws.uniform(), draws.uniform(2, 4, (3,))
    normal, coin = draws.normal((2,)), draws.coin(0.25)
    assert first.shape == (2000,)
    assert second.shape == (2000, 3)
    assert stats.kstest(first.numpy(), "uniform").pvalue > 1e-3
    assert stats.kstest(second.flatten().numpy(), "uniform", args=(2, 2)).pvalue > 1e-3
    assert stats.kstest(normal.flatten().numpy(), "norm").pvalue > 1e-3
    assert abs(float(coin.double().mean()) - 0.25) < 0.05
    pairs = torch.stack([first, *second.T, *normal.T])
    assert float((torch.corrcoef(pairs) - torch.eye(6)).abs().max()) < 0.1
    assert torch.equal(Draws(seed[5:9]).uniform(), first[5:9])
    in_order = Draws(torch.arange(2000)).uniform()
    assert stats.kstest(in_order.numpy(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("global_noise", "when it is called again; what is random has to be drawn from `draws`"),
        ("neighbours", "gives an image another view when others are beside it"),
        ("cut", "gives [4, 3, 16, 15] for images [4, 3, 16, 16]"),
        ("bright", "and not in [0, 1]"),
        ("broken", "fails on images [4, 3, 16, 16]: ZeroDivisionError: no luck"),
    ],
)
def test_what_is_no_operation_is_refused_by_name(
    policy: Callable[..., AugmentSpec], name: str, problem: str
) -> None:
    assert operation_problems(policy("crop", "fog", "half")) == ()
    augment = policy("crop", name)
    (found,) = operation_problems(augment)
    assert found.startswith(f"augment.operations='{augment.own[0]}': ")
    assert problem in found


def test_options_and_code_are_pinned_and_in_the_fingerprint(
    policy: Callable[..., AugmentSpec],
) -> None:
    def fingerprint(augment: AugmentSpec) -> str:
        return RunSpec(augment=augment).fingerprint()

    pinned = pinned_operations(policy("crop", "fog"))
    assert dict(pinned.options) == {"fog": {"density": 0.5}}
    assert fingerprint(pinned) == fingerprint(
        pinned_operations(policy("crop", "fog", options={"fog": {"density": 0.5}}))
    )
    denser = pinned_operations(policy("crop", "fog", options={"fog": {"density": 0.7}}))
    assert fingerprint(denser) != fingerprint(pinned)
    changed = pinned.with_values({"code": {"fog": "another"}})
    assert fingerprint(changed) != fingerprint(pinned)
    with pytest.raises(SpecError, match="was planned with another"):
        pinned_operations(changed)

    # a policy without it does not read what is said of it
    unread = policy("crop", options={"fog": {"density": 0.7}})
    assert fingerprint(unread) == fingerprint(policy("crop"))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"augment.operations": ["crop", "colour"]}, "did you mean color?"),
        ({"augment.operations": ["a:fog", "b:fog"]}, "another one has the name fog, too"),
        ({"augment.options.crop": {"flip": 0}}, "crop is built in; its fields are augment.crop"),
        (
            {"augment.operations": ["a:fog"], "augment.options.fgo": {"density": 0.7}},
            "augment.options.fgo: no operation has that name; did you mean fog?",
        ),
    ],
)
def test_names_that_cannot_be_are_told(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpecError, match=problem.replace("?", r"\?")):
        RunSpec().with_values(fields)
