"""Two-layer study, one process, seconds: data, gradients and descent against autograd, brute force
and plain loops.
"""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from workloads.checkpoint import decode, encode
from workloads.spec import SpecError
from workloads.two_layer_cnn.contrastive import (
    contrastive_step,
    pretraining_spectrum,
    summed_patches,
)
from workloads.two_layer_cnn.data import (
    Samples,
    filter_split,
    fresh_views,
    initial_filters,
    labeled_inputs,
    pretraining_inputs,
    signals,
    unseen_inputs,
)
from workloads.two_layer_cnn.network import logistic_step
from workloads.two_layer_cnn.run import DivergedError, curves, results, run, train
from workloads.two_layer_cnn.span import Span
from workloads.two_layer_cnn.spec import Method, TwoLayerSpec

SMALL = TwoLayerSpec().with_values(
    {
        "data.dimension": 60,
        "data.signal_to_noise": 0.6,
        "data.unlabeled": 16,
        "data.labels": 6,
        "data.test": 200,
        "network.filters": 3,
        "finetune.max_steps": 400,
    }
)
DIGITS = SMALL.with_values({"data.name": "digits", "data.image_size": 8})
METHODS: tuple[Method, ...] = ("simclr", "none", "pca", "simclr-relu", "simclr-labeled")


def inputs(samples: Samples, norm: float, view: int = 0) -> tuple[Tensor, Tensor]:
    """Signal and noise patches [N, d] of a view, as the definition has them."""
    count = len(samples.labels)
    noise = samples.rows[samples.signal_count + view * count :][:count]
    return norm * samples.rows[samples.signal_of], noise


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


# Data


def test_gaussian_inputs_are_those_of_the_definition() -> None:
    """y mu and noise orthogonal to mu with sigma_p in every other direction; balanced labels
    (Definition 3.1).
    """
    spec = SMALL.with_values({"data.test": 4000, "data.noise_std": 1.5})
    samples = unseen_inputs(spec, signals(spec.data))
    signal, noise = inputs(samples, spec.data.signal_norm)
    assert samples.labels.sum() == 0
    mu = torch.zeros(60, dtype=torch.float64)
    mu[0] = 0.6 * 1.5 * math.sqrt(60)
    torch.testing.assert_close(signal, samples.labels[:, None] * mu)
    assert torch.equal(noise[:, 0], torch.zeros(4000, dtype=torch.float64))
    torch.testing.assert_close(
        noise.T.cov()[1:, 1:], 2.25 * torch.eye(59, dtype=torch.float64), atol=0.2, rtol=0
    )
    assert noise.mean(0).abs().max() < 0.1


def test_views_share_the_signal_and_have_the_noise_correlation_asked_for() -> None:
    for rho in (0.0, 0.6, 1.0):
        spec = SMALL.with_values({"data.unlabeled": 400, "data.view_correlation": rho})
        samples = pretraining_inputs(spec, signals(spec.data))
        first, second = inputs(samples, 1.0)[1], inputs(samples, 1.0, view=1)[1]
        assert float((first * second).mean() * 60 / 59) == pytest.approx(rho, abs=0.02)
        assert float(second.square().mean() * 60 / 59) == pytest.approx(1, abs=0.02)


def test_fresh_views_are_drawn_anew_for_each_step_beside_the_same_first_ones() -> None:
    spec = SMALL.with_values({"data.unlabeled": 400, "data.view_correlation": 0.6})
    source = signals(spec.data)
    first, second = (inputs(pretraining_inputs(spec, source), 1.0, view)[1] for view in (0, 1))
    views = [fresh_views(spec, first, source.direction, step) for step in range(3)]
    assert torch.equal(views[0], second)
    assert torch.equal(views[2], fresh_views(spec, first, source.direction, 2))
    other = spec.with_values({"seed": 1})
    views.append(fresh_views(other, first, source.direction, 1))
    for view in views:
        assert (view @ source.direction).abs().max() < 1e-12
        assert float((first * view).mean() * 60 / 59) == pytest.approx(0.6, abs=0.02)
    # what is not shared with the first view is independent
    own = torch.stack([view - 0.6 * first for view in views]).flatten(1)
    assert (torch.corrcoef(own) - torch.eye(4)).abs().max() < 0.05


@pytest.mark.parametrize("spec", [SMALL, DIGITS], ids=["gaussian", "digits"])
def test_larger_sets_begin_with_the_smaller_ones(spec: TwoLayerSpec) -> None:
    source = signals(spec.data)
    larger = spec.with_values({"data.labels": 20, "data.unlabeled": 30})
    for draw, count in ((labeled_inputs, 6), (pretraining_inputs, 16)):
        few, many = draw(spec, source), draw(larger, source)
        for view in range(2 if draw is pretraining_inputs else 1):
            for small, large in zip(inputs(few, 1.0, view), inputs(many, 1.0, view), strict=True):
                assert torch.equal(small, large[:count])
        assert torch.equal(few.labels, many.labels[:count])


def test_sets_and_seeds_do_not_share_noise() -> None:
    spec = SMALL.with_values({"data.labels": 16, "data.test": 16})
    source = signals(spec.data)
    sets = [
        pretraining_inputs(spec, source),
        labeled_inputs(spec, source),
        unseen_inputs(spec, source),
    ]
    sets.append(labeled_inputs(spec.with_values({"seed": 1}), source))
    sets.append(
        Samples(
            torch.cat([sets[0].rows[:2], sets[0].rows[-16:]]), sets[0].signal_of, sets[0].labels
        )
    )
    noise = torch.stack([inputs(samples, 1.0)[1] for samples in sets]).flatten(1)
    correlation = torch.corrcoef(noise) - torch.eye(5)
    assert correlation.abs().max() < 0.15


def test_what_snr_and_arm_change_leaves_the_inputs_alone() -> None:
    """Common random numbers: cells of a grid differ in what is asked, not in the draw."""
    other = SMALL.with_values(
        {"data.signal_to_noise": 0.1, "pretrain.method": "none", "network.power": 4}
    )
    assert torch.equal(
        labeled_inputs(SMALL, signals(SMALL.data)).rows,
        labeled_inputs(other, signals(other.data)).rows,
    )
    assert torch.equal(initial_filters(SMALL), initial_filters(other))


def test_images_are_centred_between_their_classes_and_scaled_to_mu() -> None:
    source = signals(DIGITS.data)
    means = [images.mean(0) for images in source.train]
    torch.testing.assert_close(means[0], source.direction)
    torch.testing.assert_close(means[1], -source.direction)
    assert float(source.direction.norm()) == pytest.approx(1)
    assert min(len(images) for images in source.train) > 100
    samples = labeled_inputs(DIGITS, source)
    signal, noise = inputs(samples, DIGITS.data.signal_norm)
    assert (noise @ source.direction).abs().max() < 1e-12
    # Six different images, each of the class of its label.
    assert len(torch.unique(signal, dim=0)) == 6
    for patch, label in zip(signal / DIGITS.data.signal_norm, samples.labels, strict=True):
        assert (source.train[0] if label > 0 else source.train[1]).sub(patch).abs().amax(
            1
        ).min() < 1e-12


def test_tests_use_other_images_than_training_and_repeat_them_with_fresh_noise() -> None:
    source = signals(DIGITS.data)
    samples = unseen_inputs(DIGITS, source)
    assert samples.signal_count == 68
    assert len(samples.labels) == 200
    signal, noise = inputs(samples, 1.0)
    assert torch.cdist(signal, torch.cat(source.train)).min() > 0
    assert torch.equal(signal[0], signal[68])
    assert not torch.equal(noise[0], noise[68])


def test_unknown_classes_are_refused() -> None:
    with pytest.raises(SpecError, match="digits has the classes 0 to 9"):
        signals(DIGITS.with_values({"data.classes": [0, 10]}).data)


# Gradients


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("spec", [SMALL, DIGITS], ids=["gaussian", "digits"])
def test_contrastive_loss_and_gradient(spec: TwoLayerSpec, relu: bool) -> None:
    """One anchor and one candidate at a time, with plain inner products and no normalisation; the
    gradient by autograd.
    """
    samples = pretraining_inputs(spec, signals(spec.data))
    activations = (0.5 * double(2, 6, len(samples.rows))).requires_grad_()
    loss, gradient = contrastive_step(activations.detach(), samples, temperature=0.7, relu=relu)
    signals_count, count = samples.signal_count, 16
    for run_number in range(2):
        table = activations[run_number].clamp(min=0) if relu else activations[run_number]
        views = [
            table[:, samples.signal_of] + table[:, signals_count + view * count :][:, :count]
            for view in range(2)
        ]
        total = torch.zeros((), dtype=torch.float64)
        for i in range(count):
            positive = (views[0][:, i] @ views[1][:, i] / 0.7).exp()
            negatives = [
                (views[0][:, i] @ views[0][:, k] / 0.7).exp() for k in range(count) if k != i
            ]
            total = total - (positive / (positive + torch.stack(negatives).sum())).log() / count
        assert float(loss[run_number]) == pytest.approx(total.item())
        (expected,) = torch.autograd.grad(total, activations)
        torch.testing.assert_close(gradient[run_number], expected[run_number])


def test_contrastive_loss_is_finite_where_exponentials_overflow() -> None:
    samples = pretraining_inputs(SMALL, signals(SMALL.data))
    loss, gradient = contrastive_step(
        60 * double(1, 6, len(samples.rows)), samples, temperature=0.1, relu=False
    )
    assert loss.isfinite().all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("power", [2, 3, 4])
@pytest.mark.parametrize("spec", [SMALL, DIGITS], ids=["gaussian", "digits"])
def test_logistic_loss_and_gradient(spec: TwoLayerSpec, power: int) -> None:
    """f = F_+ - F_-, F = (1/m) sum_r max(0, .)^q over both patches; the gradient by autograd."""
    samples = labeled_inputs(spec, signals(spec.data))
    activations = double(2, 6, len(samples.rows)).requires_grad_()
    loss, gradient = logistic_step(activations.detach(), samples, power)
    raised = activations.clamp(min=0) ** power
    by_input = raised[:, :, samples.signal_of] + raised[:, :, samples.signal_count :]
    out = by_input[:, :3].mean(1) - by_input[:, 3:].mean(1)
    expected = torch.log1p((-samples.labels * out).exp()).mean(1)
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), activations)[0])


# Descent in the span of the patches


@pytest.mark.parametrize("gram", [True, False])
def test_a_span_moves_filters_as_gradient_descent_does(gram: bool) -> None:
    """Three runs on two tables, one of which ends early: activations, filters, norms and cosines
    against explicit filters.
    """
    tables, scale = [double(5, 8), 2 * double(5, 8)], torch.rand(3, 5, dtype=torch.float64) + 0.5
    filters = double(3, 4, 8)
    span = Span(filters, tables, [0, 1, 1], scale, gram=gram)
    patches = scale[:, :, None] * torch.stack([tables[0], tables[1], tables[1]])
    for step in range(4):
        if step == 2:
            span.keep(torch.tensor([True, False, True]))
            filters, patches = filters[[0, 2]], patches[[0, 2]]
            assert span.runs.tolist() == [0, 2]
        torch.testing.assert_close(span.activations, filters @ patches.mT)
        torch.testing.assert_close(span.filters(), filters)
        torch.testing.assert_close(span.norms(), filters.norm(dim=2))
        torch.testing.assert_close(span.along(patches[0, 0]), filters @ patches[0, 0])
        gradient = 0.1 * (filters @ patches.mT).tanh()
        span.descend(gradient)
        filters = filters - gradient @ patches


def test_the_spectrum_is_that_of_the_matrix_of_lemma_5_1() -> None:
    """A by its definition, and as what one step of gradient descent from tiny filters multiplies
    them by.
    """
    spec = SMALL.with_values(
        {"data.unlabeled": 6, "data.dimension": 20, "pretrain.temperature": 0.7}
    )
    samples = pretraining_inputs(spec, signals(spec.data))
    z, other = summed_patches(samples, spec.data.signal_norm)
    matrix = torch.zeros(20, 20, dtype=torch.float64)
    for i in range(6):
        for k in range(6):
            if k != i:
                attract, repel = torch.outer(z[i], other[i]), torch.outer(z[i], z[k])
                matrix += (attract + attract.T - repel - repel.T) / 36
    largest, second, vector = pretraining_spectrum(z, other)
    values, vectors = torch.linalg.eigh(matrix)
    assert [largest, second] == pytest.approx([float(values[-1]), float(values[-2])])
    assert float((vector @ vectors[:, -1]).abs()) == pytest.approx(1)
    filters = 1e-6 * double(1, 4, 20)
    span = Span(filters, [samples.rows], [0], samples.scale(spec.data.signal_norm)[None])
    _, gradient = contrastive_step(span.activations, samples, temperature=0.7, relu=False)
    span.descend(gradient * spec.pretrain_rate)
    rate = spec.pretrain_rate / 0.7
    torch.testing.assert_close(
        span.filters()[0], filters[0] + rate * filters[0] @ matrix, rtol=1e-9, atol=0
    )


# Whole runs


def plain_pretraining(spec: TwoLayerSpec) -> tuple[Tensor, int]:
    """The same by autograd on the filters themselves, one run at a time."""
    source = signals(spec.data)
    if spec.pretrain.method == "none":
        return spec.network.initial_std * initial_filters(spec), 0
    samples = pretraining_inputs(spec, source)
    signal, first = inputs(samples, spec.data.signal_norm)
    second = inputs(samples, spec.data.signal_norm, view=1)[1]
    filters = (spec.pretrain.initial_std * initial_filters(spec)).requires_grad_()
    step = 0
    while filters.norm(dim=1).mean() < spec.pretrained_norm:
        if spec.pretrain.views == "fresh":
            second = fresh_views(spec, first, source.direction, step)
        step += 1
        views = [(signal + noise) @ filters.T for noise in (first, second)]
        if spec.pretrain.method == "simclr-relu":
            views = [
                F.relu(signal @ filters.T) + F.relu(noise @ filters.T) for noise in (first, second)
            ]
        positive = (views[0] * views[1]).sum(1).diag()
        eye = torch.eye(len(first), dtype=torch.bool)
        logits = torch.where(eye, positive, views[0] @ views[0].T) / spec.pretrain.temperature
        loss = F.cross_entropy(logits, torch.arange(len(first)))
        (gradient,) = torch.autograd.grad(loss, filters)
        filters = (filters - spec.pretrain_rate * gradient).detach().requires_grad_()
    return filters.detach(), step


def plain_finetuning(spec: TwoLayerSpec, filters: Tensor) -> dict[str, float]:
    def output(samples: Samples) -> Tensor:
        signal, noise = (
            (patch @ filters.T).clamp(min=0) for patch in inputs(samples, spec.data.signal_norm)
        )
        raised = signal**spec.network.power + noise**spec.network.power
        half = spec.network.filters
        return raised[:, :half].mean(1) - raised[:, half:].mean(1)

    source = signals(spec.data)
    train_set, test_set = labeled_inputs(spec, source), unseen_inputs(spec, source)
    filters = filters[filter_split(spec)].requires_grad_()
    step = 0
    while True:
        loss = F.softplus(-train_set.labels * output(train_set)).mean()
        if loss <= spec.finetune.loss_target or step == spec.finetune.max_steps:
            break
        (gradient,) = torch.autograd.grad(loss, filters)
        filters = (filters - spec.finetune_rate * gradient).detach().requires_grad_()
        step += 1
    with torch.no_grad():
        margin = test_set.labels * output(test_set)
    return {
        "training_loss": loss.item(),
        "finetune_steps": step,
        "converged": float(loss <= spec.finetune.loss_target),
        "test_error": 100 * float((margin <= 0).double().mean()),
        "test_loss": float(F.softplus(-margin).mean()),
    }


@pytest.mark.parametrize("base", [SMALL, DIGITS], ids=["gaussian", "digits"])
@pytest.mark.parametrize("method", ["simclr", "none", "simclr-relu", "simclr-labeled"])
def test_a_run_equals_plain_gradient_descent(method: Method, base: TwoLayerSpec) -> None:
    spec = base.with_values(
        {"pretrain.method": method, "network.power": 4 if method == "none" else 3}
    )
    (given,) = run([spec])
    filters, steps = plain_pretraining(spec)
    if method != "none":
        assert given["pretrain_steps"] == steps > 5
        assert given["pretrain_converged"] == 1
    cosine = (filters @ signals(spec.data).direction) / filters.norm(dim=1)
    assert given["alignment"] == pytest.approx(float(cosine.abs().mean()))
    expected = plain_finetuning(spec, filters)
    assert {name: given[name] for name in expected} == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("base", [SMALL, DIGITS], ids=["gaussian", "digits"])
@pytest.mark.parametrize("method", ["simclr", "simclr-relu", "simclr-labeled"])
def test_a_run_with_fresh_views_equals_plain_gradient_descent(
    method: Method, base: TwoLayerSpec
) -> None:
    spec = base.with_values({"pretrain.method": method, "pretrain.views": "fresh"})
    given, fixed = run([spec]) + run([spec.with_values({"pretrain.views": "fixed"})])
    filters, steps = plain_pretraining(spec)
    cosine = (filters @ signals(spec.data).direction) / filters.norm(dim=1)
    assert given["pretrain_steps"] == steps > 5
    assert given["alignment"] == pytest.approx(float(cosine.abs().mean()))
    assert given["alignment"] != pytest.approx(fixed["alignment"], abs=1e-3)
    assert "top_eigenvalue_ratio" not in given  # there is no one matrix A
    expected = plain_finetuning(spec, filters)
    assert {name: given[name] for name in expected} == pytest.approx(expected, rel=1e-6)


def test_pca_puts_all_filters_on_the_first_principal_component() -> None:
    spec = SMALL.with_values({"pretrain.method": "pca"})
    (given,) = run([spec])
    samples = pretraining_inputs(spec, signals(spec.data))
    signal, noise = inputs(samples, spec.data.signal_norm)
    _, vectors = torch.linalg.eigh((signal + noise).T.cov())
    assert given["alignment"] == pytest.approx(abs(float(vectors[0, -1])))
    component = vectors[:, -1]
    filters = torch.outer(initial_filters(spec) @ component, component)
    filters *= spec.pretrained_norm / filters.norm(dim=1).mean()
    expected = plain_finetuning(spec, filters)
    assert {name: given[name] for name in expected} == pytest.approx(expected, rel=1e-6)


GRID = [
    SMALL.with_values(
        {
            "pretrain.method": method,
            "data.signal_to_noise": ratio,
            "seed": seed,
            "data.labels": labels,
        }
    )
    for method in METHODS
    for ratio, labels in ((0.3, 6), (0.6, 6), (0.6, 30))
    for seed in (0, 1)
]
GRID += [
    spec.with_values({"pretrain.views": "fresh"})
    for spec in GRID
    if spec.pretrain.method == "simclr"
]


@pytest.fixture(scope="module")
def together() -> list[dict[str, float]]:
    return run(GRID)


def test_cells_at_once_equal_cells_one_by_one(together: list[dict[str, float]]) -> None:
    for spec, given in zip(GRID, together, strict=True):
        (alone,) = run([spec])
        assert given == pytest.approx(alone, rel=1e-9, abs=1e-12)
    steps = {given["finetune_steps"] for given in together}
    assert len(steps) > 10  # runs of a batch stop at different steps, or this would say little


def test_the_order_of_cells_and_repeated_cells_do_not_matter(
    together: list[dict[str, float]],
) -> None:
    chosen = [7, 3, 3, 20, 0]
    again = run([GRID[index] for index in chosen])
    for index, given in zip(chosen, again, strict=True):
        assert given == pytest.approx(together[index], rel=1e-9, abs=1e-12)


def test_cells_with_equal_fingerprints_have_equal_results() -> None:
    direct = SMALL.with_values({"pretrain.method": "none"})
    other = direct.with_values({"data.unlabeled": 100, "pretrain.temperature": 9.0})
    assert other.fingerprint() == direct.fingerprint()
    assert run([direct]) == run([other])


def test_a_killed_run_continues_to_the_same_results() -> None:
    specs = [*GRID[:12], *GRID[-2:]]
    states = [result.state for result in train(specs)]
    whole, drawn = results(specs, states[-1]), curves(specs, states[-1])
    phases = {result.phase for result in train(specs)}
    assert phases == {"pretrain", "finetune"}
    for state in (states[0], states[1], states[len(states) // 2], states[-2], states[-1]):
        kept = decode(encode(state))
        *_, last = [state, *(result.state for result in train(specs, resume=kept))]
        assert results(specs, last) == whole
        assert curves(specs, last) == drawn


def test_a_state_does_not_change_while_the_run_goes_on() -> None:
    first, *_, last = train(GRID[:4])
    assert first.state["running"] is not None
    assert decode(encode(first.state))["finetuned"] == {}
    assert len(last.state["finetuned"]) == 4


def test_a_state_of_other_cells_is_refused() -> None:
    *_, last = train(GRID[:1])
    with pytest.raises(SpecError, match="resume: the state is of other cells"):
        run(GRID[1:2], resume=last.state)


def test_progress_names_the_cells_that_move() -> None:
    direct, pretrained = (
        SMALL.with_values({"pretrain.method": method}) for method in ("none", "simclr")
    )
    first, *_, last = train([direct, pretrained])
    assert (first.phase, first.step) == ("pretrain", 4)
    assert first.metrics[0] == {}
    assert first.metrics[1].keys() == {"step", "loss", "alignment", "norm"}
    assert last.phase == "finetune"
    assert [line["loss"] for line in last.metrics] == [
        given["training_loss"] for given in run([direct, pretrained])
    ]


def test_curves_go_from_the_first_step_to_the_last() -> None:
    *_, last = train([SMALL])
    (given,), (drawn,) = results([SMALL], last.state), curves([SMALL], last.state)
    for curve, steps, loss in (
        (drawn["pretrain"], "pretrain_steps", "pretrain_loss"),
        (drawn["finetune"], "finetune_steps", "training_loss"),
    ):
        assert (curve["step"][0], curve["step"][-1]) == (0, given[steps])
        assert curve["step"] == sorted(set(curve["step"]))
        assert curve["loss"][-1] == given[loss] < curve["loss"][0]
        assert (
            len(curve["loss"])
            == len(curve["alignment"])
            == len(curve["norm"])
            == len(curve["step"])
        )
    assert drawn["pretrain"]["loss"][0] == pytest.approx(math.log(16))
    assert drawn["finetune"]["loss"][0] == pytest.approx(math.log(2), abs=0.01)


def test_what_does_not_converge_says_so() -> None:
    hurried = SMALL.with_values({"pretrain.max_steps": 3, "finetune.max_steps": 2})
    (given,) = run([hurried])
    assert (given["pretrain_steps"], given["pretrain_converged"]) == (3, 0)
    assert (given["finetune_steps"], given["converged"]) == (2, 0)
    assert given["training_loss"] > 0.01


@pytest.mark.parametrize("phase", ["pretrain", "finetune"])
def test_a_loss_that_is_not_finite_names_the_cell(phase: str) -> None:
    wild = SMALL.with_values(
        {f"{phase}.learning_rate": 1e150, "pretrain.target_norm": 1e300, "seed": 1}
    )
    with pytest.raises(DivergedError) as caught:
        run([SMALL, wild])
    assert caught.value.fingerprint == (
        wild.fingerprint() if phase == "finetune" else wild.pretrain_fingerprint()
    )
    assert caught.value.fingerprint in str(caught.value)
    assert f"{phase}.learning_rate" in str(caught.value)


def test_single_precision_agrees_with_double() -> None:
    (exact,), (rounded,) = run([SMALL]), run([SMALL.with_values({"precision": "float32"})])
    assert rounded["finetune_steps"] == exact["finetune_steps"]
    assert rounded["alignment"] == pytest.approx(exact["alignment"], rel=1e-4)
    assert rounded["training_loss"] == pytest.approx(exact["training_loss"], rel=1e-3)
    assert rounded["training_loss"] != exact["training_loss"]


def test_no_cells_no_results() -> None:
    assert run([]) == []
