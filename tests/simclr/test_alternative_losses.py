"""NT-Logistic and margin triplet, one process: loops over Table 2, its gradients, torch's own
losses, by hand; seconds.
"""

import math
from collections.abc import Callable
from itertools import product
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from workloads.simclr import losses
from workloads.simclr.losses import contrastive_loss, margin_triplet, nt_logistic
from workloads.simclr.spec import LossSpec

Reduction = Literal["mean", "sum"]
Arguments = dict[str, Any]
LOSSES: dict[str, Callable[..., Tensor]] = {
    "nt-logistic": nt_logistic,
    "margin-triplet": margin_triplet,
}
SETTINGS: list[tuple[str, Arguments]] = [
    ("nt-logistic", {"temperature": 0.1}),
    ("nt-logistic", {"temperature": 1.0}),
    ("nt-logistic", {"temperature": 5.0, "normalize": False}),
    ("margin-triplet", {"margin": 0.0}),
    ("margin-triplet", {"margin": 0.4}),
    ("margin-triplet", {"margin": 2.0, "normalize": False}),
]
CASES = [
    pytest.param(
        name,
        setting | {"semi_hard": semi_hard, "negative_reduction": reduction},
        id=f"{name}-{setting}-{semi_hard=}-{reduction}",
    )
    for (name, setting), semi_hard, reduction in product(SETTINGS, (False, True), ("mean", "sum"))
]
each_case = pytest.mark.parametrize(("name", "arguments"), CASES)
each_loss = pytest.mark.parametrize(
    ("name", "setting"), [SETTINGS[0], SETTINGS[4]], ids=["nt-logistic", "margin-triplet"]
)
semi_hard_or_not = pytest.mark.parametrize("semi_hard", [False, True])


def views(n: int, dim: int = 3, *, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Two views that agree so little that some negatives are nearer than the positive, or as near
    but for a margin.
    """
    generator = torch.Generator().manual_seed(0)
    z0 = torch.randn(n, dim, generator=generator, dtype=torch.float64)
    z1 = z0 + torch.randn(n, dim, generator=generator, dtype=torch.float64)
    return z0.to(dtype), z1.to(dtype)


def loss_and_gradients(
    loss: Callable[..., Tensor], z0: Tensor, z1: Tensor, **arguments: object
) -> list[Tensor]:
    a, b = z0.clone().requires_grad_(), z1.clone().requires_grad_()
    value = loss(a, b, **arguments)
    return [value.detach(), *torch.autograd.grad(value, (a, b))]


def similarities(anchors: Tensor, keys: Tensor, normalize: bool) -> list[list[float]]:
    return [
        [float(u @ v / (u.norm() * v.norm() if normalize else 1)) for v in keys] for u in anchors
    ]


def chosen_negatives(row: list[float], positive: int, margin: float, semi_hard: bool) -> list[int]:
    negatives = [k for k in range(len(row)) if k != positive]
    if not semi_hard:
        return negatives
    inside = [k for k in negatives if row[positive] - margin < row[k] < row[positive]]
    return sorted(inside, key=lambda k: row[k])[-1:]


def minus_log_sigmoid(x: float) -> float:
    return -math.log(1 / (1 + math.exp(-x)))


def of_anchor(name: str, row: list[float], positive: int, arguments: Arguments) -> float:
    """Table 2 for one anchor, whose similarities with the keys are `row`."""
    margin, t = arguments.get("margin", math.inf), arguments.get("temperature", math.nan)
    negatives = [row[k] for k in chosen_negatives(row, positive, margin, arguments["semi_hard"])]
    share = 1 / max(1, len(negatives)) if arguments["negative_reduction"] == "mean" else 1.0
    if name == "margin-triplet":
        return sum(
            (share * max(negative - row[positive] + margin, 0) for negative in negatives), 0.0
        )
    return minus_log_sigmoid(row[positive] / t) + sum(
        share * minus_log_sigmoid(-negative / t) for negative in negatives
    )


def brute_force(name: str, z0: Tensor, z1: Tensor, arguments: Arguments) -> float:
    directions = [
        similarities(a, b, arguments.get("normalize", True)) for a, b in ((z0, z1), (z1, z0))
    ]
    return sum(
        of_anchor(name, row, i, arguments) for rows in directions for i, row in enumerate(rows)
    ) / (2 * len(z0))


def test_inputs_tell_the_variants_apart() -> None:
    """Among seven images there are negatives too hard, semi-hard and too easy, and anchors without
    a semi-hard one.
    """
    rows = list(enumerate(similarities(*views(7), normalize=True)))
    choices = [chosen_negatives(row, i, 0.4, semi_hard=True) for i, row in rows]
    assert {len(choice) for choice in choices} == {0, 1}
    assert choices != [chosen_negatives(row, i, math.inf, semi_hard=True) for i, row in rows]
    assert any(choice and max(row) > row[i] for (i, row), choice in zip(rows, choices, strict=True))
    for margin in (0.0, 0.4):
        assert {row[k] - row[i] + margin > 0 for i, row in rows for k in range(7) if k != i} == {
            True,
            False,
        }


@each_case
@pytest.mark.parametrize("n", [1, 2, 7])
def test_equals_table_2(name: str, arguments: Arguments, n: int) -> None:
    z0, z1 = views(n)
    loss = LOSSES[name](z0, z1, **arguments)
    assert loss.shape == ()
    assert loss.dtype == torch.float64
    assert float(loss) == pytest.approx(brute_force(name, z0, z1, arguments), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize(("name", "setting"), SETTINGS)
def test_unasked_the_mean_over_all_negatives_is_taken(name: str, setting: Arguments) -> None:
    expected = brute_force(
        name, *views(7), setting | {"semi_hard": False, "negative_reduction": "mean"}
    )
    assert float(LOSSES[name](*views(7), **setting)) == pytest.approx(expected, rel=1e-12)


@each_case
@pytest.mark.parametrize("block", [12, 2**21])
def test_gradient_equals_finite_differences(
    name: str, arguments: Arguments, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "BLOCK_ELEMENTS", block)
    z0, z1 = (z.requires_grad_() for z in views(5))
    assert torch.autograd.gradcheck(
        lambda a, b: 3 * LOSSES[name](a, b, **arguments), (z0, z1), atol=1e-8
    )


def table_2_weights(
    name: str, row: list[float], positive: int, setting: Arguments, semi_hard: bool
) -> Tensor:
    """What each key weighs in Table 2's gradient of -loss by the anchor, averaged over the
    negatives.
    """
    margin, t = setting.get("margin", math.inf), setting.get("temperature", math.nan)
    negatives = chosen_negatives(row, positive, margin, semi_hard)
    weights = torch.zeros(len(row), dtype=torch.float64)
    if name == "nt-logistic":
        weights[positive] = 1 / (1 + math.exp(row[positive] / t)) / t
    for k in negatives:
        if name == "nt-logistic":
            weights[k] = -1 / (1 + math.exp(-row[k] / t)) / t / len(negatives)
        elif row[positive] - row[k] < margin:
            weights[positive] += 1 / len(negatives)
            weights[k] = -1 / len(negatives)
    return weights


@pytest.mark.parametrize(("name", "setting"), SETTINGS)
@semi_hard_or_not
def test_gradient_is_that_of_table_2(name: str, setting: Arguments, semi_hard: bool) -> None:
    """An embedding's gradient is Table 2's, of its own loss as anchor, and as key its part in the
    other view's losses.
    """
    z0, z1 = (F.normalize(z, dim=1) for z in views(6))
    arguments = setting | {"normalize": False, "semi_hard": semi_hard}
    _, *gradients = loss_and_gradients(LOSSES[name], z0, z1, **arguments)
    first, second = (
        torch.stack(
            [table_2_weights(name, row, i, setting, semi_hard) for i, row in enumerate(rows)]
        )
        for rows in (similarities(z0, z1, False), similarities(z1, z0, False))
    )
    expected = [-(first + second.T) @ z1 / 12, -(second + first.T) @ z0 / 12]
    torch.testing.assert_close(gradients, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("margin", [0.1, 0.4, 1.6])
def test_margin_triplet_is_torchs_over_all_triplets(margin: float) -> None:
    i, k = (~torch.eye(8, dtype=torch.bool)).nonzero().T

    def torchs(z0: Tensor, z1: Tensor) -> Tensor:
        u, v = F.normalize(z0, dim=1), F.normalize(z1, dim=1)
        triplets = torch.cat([u[i], v[i]]), torch.cat([v[i], u[i]]), torch.cat([v[k], u[k]])
        return F.triplet_margin_with_distance_loss(
            *triplets, distance_function=lambda a, b: -(a * b).sum(1), margin=margin
        )

    ours = loss_and_gradients(margin_triplet, *views(8), margin=margin)
    torch.testing.assert_close(ours, loss_and_gradients(torchs, *views(8)), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_nt_logistic_is_torchs_binary_cross_entropy(reduction: Reduction) -> None:
    """Positives against negatives, which weigh as much as the positive all together (mean) or each
    (sum).
    """
    same = torch.eye(8, dtype=torch.float64)
    weight = same + (1 - same) / (7 if reduction == "mean" else 1)

    def torchs(z0: Tensor, z1: Tensor) -> Tensor:
        logits = F.normalize(z0, dim=1) @ F.normalize(z1, dim=1).T / 0.1
        # the same in both directions
        return F.binary_cross_entropy_with_logits(logits, same, weight, reduction="sum") / 8

    ours = loss_and_gradients(nt_logistic, *views(8), temperature=0.1, negative_reduction=reduction)
    torch.testing.assert_close(ours, loss_and_gradients(torchs, *views(8)), rtol=1e-12, atol=1e-14)


# Rows are first views as anchors, columns second ones; positives are on the diagonal and the margin
# is 1/2.
# row 0: 1/4 is semi-hard                           column 0: 3/4 is harder than the positive, 1/4
# semi-hard row 1: 3/4 is harder; 0 lies on the margin        column 1: of two equal ones the first
# row 2: both are harder                            column 2: -1/2 lies on the margin, 0 is as near
# as the positive
BY_HAND = torch.tensor([[0.50, 0.25, -0.50], [0.75, 0.50, 0.00], [0.25, 0.25, 0.00]])


def gradients_by_similarity(
    loss: Callable[..., Tensor], **arguments: object
) -> tuple[float, Tensor]:
    """The loss of the similarities BY_HAND and its gradient by each of them, both summed over the
    six anchors.
    """
    # Where first views are the identity, second views are the similarities.
    value, _, gradient = loss_and_gradients(
        loss, torch.eye(3), BY_HAND.T, **arguments, normalize=False, semi_hard=True
    )
    return 6 * float(value), 6 * gradient.T


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("block", [1, 2**21])
def test_semi_hard_triplets_by_hand(
    block: int, reduction: Reduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "BLOCK_ELEMENTS", block)
    total, gradient = gradients_by_similarity(
        margin_triplet, margin=0.5, negative_reduction=reduction
    )
    assert total == pytest.approx(0.25 + 0 + 0 + 0.25 + 0.25 + 0)
    torch.testing.assert_close(
        gradient, torch.tensor([[-2.0, 2.0, 0.0], [0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])
    )


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("block", [1, 2**21])
def test_semi_hard_logistic_by_hand(
    block: int, reduction: Reduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a margin, row 1 takes the 0 and column 2 the -1/2; only row 2 has its positive
    alone.
    """
    monkeypatch.setattr(losses, "BLOCK_ELEMENTS", block)
    total, gradient = gradients_by_similarity(
        nt_logistic, temperature=1.0, negative_reduction=reduction
    )
    up, down = 0.5621765008857981, 0.3775406687981454  # sigmoids of 1/4 and -1/2
    positives = [1 - down, 1 - down, 0.5, 1 - down, 1 - down, 0.5]
    negatives = [1 - up, 0.5, 1 - up, 1 - up, 1 - down]
    assert total == pytest.approx(-sum(map(math.log, positives + negatives)))
    expected = torch.tensor([[-2 * down, 2 * up, down], [0, -2 * down, 0.5], [up, 0, -1]])
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@semi_hard_or_not
def test_a_single_image_has_no_negatives(semi_hard: bool, reduction: Reduction) -> None:
    arguments: Arguments = {"semi_hard": semi_hard, "negative_reduction": reduction}
    for value in loss_and_gradients(margin_triplet, *views(1), margin=1.6, **arguments):
        assert not value.any()
    logistic = loss_and_gradients(nt_logistic, *views(1), temperature=0.5, **arguments)
    positive = loss_and_gradients(
        lambda a, b: -F.logsigmoid(F.cosine_similarity(a, b) / 0.5).sum(), *views(1)
    )
    torch.testing.assert_close(logistic, positive, rtol=1e-12, atol=1e-14)


def test_without_a_margin_no_triplet_is_semi_hard() -> None:
    for value in loss_and_gradients(margin_triplet, *views(7), margin=0.0, semi_hard=True):
        assert not value.any()


@each_case
def test_blocks_do_not_change_loss_or_gradient(
    name: str, arguments: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = []
    for block in (2**21, 300, 1):
        monkeypatch.setattr(losses, "BLOCK_ELEMENTS", block)
        outcomes.append(loss_and_gradients(LOSSES[name], *views(33), **arguments))
    for other in outcomes[1:]:
        torch.testing.assert_close(other, outcomes[0], rtol=1e-11, atol=1e-14)


class LargestTensor(TorchDispatchMode):
    """Elements of the largest tensor that any operation returned."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.numel())
        return out


@each_loss
@semi_hard_or_not
def test_the_matrix_of_similarities_never_exists_as_a_whole(
    name: str, setting: Arguments, semi_hard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "BLOCK_ELEMENTS", 2**14)
    with LargestTensor() as largest:
        loss_and_gradients(LOSSES[name], *views(512), **setting, semi_hard=semi_hard)
    assert largest.elements <= 2**14 < 512 * 512


@each_loss
@semi_hard_or_not
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("autocast", [False, True])
def test_low_precision_is_compared_in_fp32(
    name: str, setting: Arguments, semi_hard: bool, dtype: torch.dtype, autocast: bool
) -> None:
    arguments = setting | {"semi_hard": semi_hard}
    z0, z1 = views(64, 16, dtype=dtype)
    exact, *exact_gradients = loss_and_gradients(
        LOSSES[name], z0.double(), z1.double(), **arguments
    )
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss, *gradients = loss_and_gradients(LOSSES[name], z0, z1, **arguments)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(exact), rel=1e-5)
    for gradient, expected in zip(gradients, exact_gradients, strict=True):
        assert gradient.dtype == dtype
        error = (gradient.double() - expected).norm() / expected.norm()
        assert error < (1e-2 if dtype == torch.bfloat16 else 1e-4)


@pytest.mark.parametrize(
    ("name", "setting", "expected"),
    [
        ("nt-logistic", {"temperature": 0.005}, 400),
        ("nt-logistic", {"temperature": 0.005, "semi_hard": True}, 200),
        ("margin-triplet", {"margin": 0.4}, 2.4),
        ("margin-triplet", {"margin": 0.4, "semi_hard": True}, 0),
    ],
)
def test_opposed_positives_at_low_temperature_stay_finite(
    name: str, setting: Arguments, expected: float
) -> None:
    """Positives at -1, negatives at 1: exp(1 / 0.005) is beyond fp32, -log sigmoid(-1 / 0.005) is
    200.
    """
    z = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    value, *gradients = loss_and_gradients(LOSSES[name], z, -z, **setting)
    assert float(value) == pytest.approx(expected, rel=1e-5)
    assert all(gradient.isfinite().all() for gradient in gradients)


@each_loss
@semi_hard_or_not
def test_zeros_give_no_nan_and_nan_is_not_hidden(
    name: str, setting: Arguments, semi_hard: bool
) -> None:
    z0, z1 = views(4, dtype=torch.float32)
    z0[1] = 0
    assert all(
        value.isfinite().all()
        for value in loss_and_gradients(LOSSES[name], z0, z1, **setting, semi_hard=semi_hard)
    )
    z0[1] = math.nan
    assert LOSSES[name](z0, z1, **setting, semi_hard=semi_hard).isnan()


@each_case
def test_views_are_interchangeable_and_images_too(name: str, arguments: Arguments) -> None:
    z0, z1 = views(9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    loss = float(LOSSES[name](z0, z1, **arguments))
    assert float(LOSSES[name](z1, z0, **arguments)) == pytest.approx(loss, rel=1e-12)
    assert float(LOSSES[name](z0[order], z1[order], **arguments)) == pytest.approx(loss, rel=1e-12)


@each_case
def test_loss_of_a_specification(name: str, arguments: Arguments) -> None:
    z0, z1 = views(7)
    spec = LossSpec().with_values({"name": name, **arguments})
    expected = brute_force(name, z0, z1, arguments)
    assert float(contrastive_loss(z0, z1, spec)) == pytest.approx(expected, rel=1e-12)
    doubled = contrastive_loss(z0, z1, spec.with_values({"reduction": "sum-of-views"}))
    assert float(doubled) == pytest.approx(2 * expected, rel=1e-12)


def test_cross_entropy_is_no_loss_of_two_views() -> None:
    with pytest.raises(ValueError, match=r"loss\.name='cross-entropy'.*nt-logistic"):
        contrastive_loss(*views(4), LossSpec(name="cross-entropy"))
