"""Contrastive loss and metrics, one process: brute force over equation 1, closed-form and numerical
gradients; seconds.
"""

import math
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from workloads.simclr import losses
from workloads.simclr.losses import contrastive_loss, contrastive_metrics, nt_xent
from workloads.simclr.spec import LossSpec

Negatives = Literal["both", "cross"]


def views(
    n: int, dim: int = 5, *, noise: float = 0.7, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Two views that agree in part, so that positives are neither certain nor at chance."""
    generator = torch.Generator().manual_seed(0)
    z0 = torch.randn(n, dim, generator=generator, dtype=torch.float64)
    z1 = z0 + noise * torch.randn(n, dim, generator=generator, dtype=torch.float64)
    return z0.to(dtype), z1.to(dtype)


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


def dot(a: Tensor, b: Tensor) -> float:
    return float(a @ b)


def brute_force(
    z0: Tensor, z1: Tensor, temperature: float, normalize: bool, negatives: Negatives
) -> float:
    """Equation 1, one anchor and one candidate at a time."""
    n = len(z0)
    z = [*z0, *z1]
    similarity = cosine if normalize else dot
    total = 0.0
    for i in range(2 * n):
        positive = (i + n) % (2 * n)
        denominator = 0.0
        for k in range(2 * n):
            same_view = (i < n) == (k < n)
            if k == i or (negatives == "cross" and same_view):
                continue
            denominator += math.exp(similarity(z[i], z[k]) / temperature)
        total -= math.log(math.exp(similarity(z[i], z[positive]) / temperature) / denominator)
    return total / (2 * n)


@pytest.mark.parametrize("negatives", ["both", "cross"])
@pytest.mark.parametrize(("normalize", "temperature"), [(True, 0.1), (True, 0.5), (False, 10.0)])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_equals_equation_1(
    n: int, normalize: bool, temperature: float, negatives: Negatives
) -> None:
    z0, z1 = views(n)
    loss = nt_xent(z0, z1, temperature=temperature, normalize=normalize, negatives=negatives)
    assert loss.shape == ()
    assert loss.dtype == torch.float64
    assert float(loss) == pytest.approx(
        brute_force(z0, z1, temperature, normalize, negatives), rel=1e-12, abs=1e-14
    )


@pytest.mark.parametrize("negatives", ["both", "cross"])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("block", [1, 20, 2**21])
def test_gradient_equals_finite_differences(
    block: int, normalize: bool, negatives: Negatives, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "BLOCK_ELEMENTS", block)
    z0, z1 = (z.requires_grad_() for z in views(4, 3))
    assert torch.autograd.gradcheck(
        lambda a, b: 3 * nt_xent(a, b, temperature=0.3, normalize=normalize, negatives=negatives),
        (z0, z1),
        atol=1e-8,
    )


def test_gradient_is_that_of_table_2() -> None:
    """(1 - p+) / t * v+ - sum p- / t * v-, for the anchors alone: the keys are held fixed by taking
    one anchor's part.
    """
    temperature = 0.2
    z0, z1 = views(6)
    z = F.normalize(torch.cat([z0, z1]), dim=1)
    p = (z @ z.T / temperature).fill_diagonal_(-torch.inf).softmax(dim=1)
    target = torch.eye(12, dtype=torch.float64).roll(6, dims=0)
    as_anchor = ((target - p) @ z) / temperature
    as_key = ((target - p).T @ z) / temperature
    expected = -(as_anchor + as_key) / 12
    a, b = (half.clone().requires_grad_() for half in z.chunk(2))
    nt_xent(a, b, temperature=temperature, normalize=False).backward()
    assert a.grad is not None
    assert b.grad is not None
    torch.testing.assert_close(torch.cat([a.grad, b.grad]), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("negatives", ["both", "cross"])
def test_blocks_do_not_change_loss_or_gradient(
    negatives: Negatives, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = []
    for block in (2**21, 300, 1):
        monkeypatch.setattr(losses, "BLOCK_ELEMENTS", block)
        z0, z1 = (z.requires_grad_() for z in views(33, 8))
        loss = nt_xent(z0, z1, temperature=0.1, negatives=negatives)
        outcomes.append((loss.detach(), *torch.autograd.grad(loss, (z0, z1))))
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


def test_the_matrix_of_similarities_never_exists_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(losses, "BLOCK_ELEMENTS", 2**16)
    z0, z1 = (z.requires_grad_() for z in views(512, 4, dtype=torch.float32))
    with LargestTensor() as largest:
        nt_xent(z0, z1, temperature=0.1).backward()
        contrastive_metrics(z0, z1, temperature=0.1)
    assert largest.elements <= 2**16 < 1024 * 1024


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("autocast", [False, True])
def test_low_temperature_in_low_precision(dtype: torch.dtype, autocast: bool) -> None:
    z0, z1 = views(64, 16, noise=3, dtype=dtype)
    a, b = (z.double().requires_grad_() for z in (z0, z1))
    expected = nt_xent(a, b, temperature=0.01)
    assert expected.item() > 10
    z0.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = nt_xent(z0, z1, temperature=0.01)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    (grad,) = torch.autograd.grad(loss, z0)
    (exact,) = torch.autograd.grad(expected, a)
    assert grad.dtype == dtype
    error = (grad.double() - exact).norm() / exact.norm()
    assert error < (1e-2 if dtype == torch.bfloat16 else 1e-4)


@pytest.mark.parametrize("negatives", ["both", "cross"])
def test_opposed_positives_at_low_temperature_stay_finite(negatives: Negatives) -> None:
    """exp(1 / 0.005) is beyond fp32: only the log-sum-exp form gets 400 out of exp(-200) /
    exp(200).
    """
    z0 = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], requires_grad=True)
    z1 = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    loss = nt_xent(z0, z1, temperature=0.005, negatives=negatives)
    assert loss.item() == pytest.approx(400, rel=1e-5)
    loss.backward()
    assert z0.grad is not None
    assert z0.grad.isfinite().all()


def test_large_raw_products_stay_finite() -> None:
    z0, z1 = views(16, 8, dtype=torch.float32)
    a, b = 1000 * z0, 1000 * z1
    expected = nt_xent(a.double(), b.double(), temperature=10, normalize=False)
    a.requires_grad_()
    loss = nt_xent(a, b, temperature=10, normalize=False)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert a.grad is not None
    assert a.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_embeddings_of_zeros_give_no_nan(dtype: torch.dtype) -> None:
    z0, z1 = views(4, dtype=dtype)
    z0[1] = 0
    z0.requires_grad_()
    loss = nt_xent(z0, z1, temperature=0.1)
    loss.backward()
    assert loss.isfinite()
    assert z0.grad is not None
    assert z0.grad.isfinite().all()


@pytest.mark.parametrize(("negatives", "candidates"), [("both", 15), ("cross", 8)])
def test_identical_embeddings_are_at_chance(negatives: Negatives, candidates: int) -> None:
    z = torch.ones(8, 3, dtype=torch.float64)
    assert float(nt_xent(z, z.clone(), temperature=0.1, negatives=negatives)) == pytest.approx(
        math.log(candidates)
    )


def test_positives_are_the_same_row_of_the_other_view() -> None:
    z = torch.eye(8, dtype=torch.float64)
    matched = nt_xent(z, z, temperature=0.1)
    assert float(matched) == pytest.approx(math.log1p(14 * math.exp(-10)), rel=1e-9)
    assert float(nt_xent(z, z.roll(1, dims=0), temperature=0.1)) > 9


def test_views_are_interchangeable_and_images_too() -> None:
    z0, z1 = views(9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    loss = float(nt_xent(z0, z1, temperature=0.2))
    assert float(nt_xent(z1, z0, temperature=0.2)) == pytest.approx(loss, rel=1e-12)
    assert float(nt_xent(z0[order], z1[order], temperature=0.2)) == pytest.approx(loss, rel=1e-12)


def test_loss_of_a_specification() -> None:
    z0, z1 = views(9)
    spec = LossSpec(temperature=0.3, normalize=False, negatives="cross", reduction="mean")
    mean = contrastive_loss(z0, z1, spec)
    assert float(mean) == pytest.approx(brute_force(z0, z1, 0.3, False, "cross"), rel=1e-12)
    doubled = contrastive_loss(z0, z1, spec.with_values({"reduction": "sum-of-views"}))
    assert float(doubled) == pytest.approx(2 * float(mean), rel=1e-12)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("block", [2**21, 7])
def test_metrics_equal_brute_force(
    normalize: bool, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "BLOCK_ELEMENTS", block)
    z0, z1 = views(24, 3)
    similarity = cosine if normalize else dot
    hits, entropy = 0, 0.0
    for i in range(24):
        logits = [similarity(z0[i], z1[k]) / 0.5 for k in range(24)]
        p = [math.exp(logit) / sum(map(math.exp, logits)) for logit in logits]
        hits += p.index(max(p)) == i
        entropy -= sum(q * math.log(q) for q in p)
    accuracy, nats = contrastive_metrics(z0, z1, temperature=0.5, normalize=normalize)
    assert 0 < hits < 24
    assert float(accuracy) == pytest.approx(100 * hits / 24)
    assert float(nats) == pytest.approx(entropy / 24, rel=1e-12)


def test_entropy_is_bounded_by_the_number_of_candidates() -> None:
    """Table 5: near ln N where nothing is told apart, near 0 where everything is."""
    z0, z1 = views(128, 16, dtype=torch.float32)
    _, uniform = contrastive_metrics(z0, z1, temperature=1e6)
    assert float(uniform) == pytest.approx(math.log(128), rel=1e-5)
    accuracy, certain = contrastive_metrics(z0, z0, temperature=0.001)
    assert float(accuracy) == 100
    assert float(certain) == pytest.approx(0, abs=1e-5)


def test_metrics_carry_no_gradient() -> None:
    z0, z1 = (z.requires_grad_() for z in views(4))
    assert not any(metric.requires_grad for metric in contrastive_metrics(z0, z1, temperature=0.1))
