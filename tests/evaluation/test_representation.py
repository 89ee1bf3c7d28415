"""One process with an oracle: measures against formulas and loops, and encoders that are known to
be sound or collapsed.
"""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_info
from torch import Tensor, nn
from torch.nn.functional import normalize

from workloads.datasets import DataSet, Split, load
from workloads.distributed.worker import Worker
from workloads.evaluation.features.digests import encoder_digest
from workloads.evaluation.features.frozen import FrozenEncoder
from workloads.evaluation.metrics.geometry import (
    alignment,
    effective_rank,
    head_spectrum,
    nearest,
    participation_ratio,
    singular_values,
    uniformity,
)
from workloads.evaluation.protocols.inspect import _two_views, inspect
from workloads.representation import InspectOptions, Representation, Shown
from workloads.seeds import seed_of
from workloads.simclr.batch_norm import GlobalBatchNorm
from workloads.simclr.head import projection_head
from workloads.simclr.pretrain import SimCLR, initial_model, pretrain
from workloads.simclr.spec import HeadSpec, RunSpec
from workloads.simclr.views import two_views
from workloads.spec import SpecError

CPU = Worker(torch.device("cpu"))
DIGITS = RunSpec.read(
    {
        "data": {"name": "digits", "image_size": 16, "train_images": 400, "test_images": 200},
        "augment": {"operations": ["crop", "color"]},
        "encoder": {"architecture": "convnet", "width": 0.125, "stem": "cifar"},
        "head": {"output_dim": 16},
        "optim": {"name": "adamw", "base_learning_rate": 0.01, "scaling": "none"},
        "schedule": {"epochs": 1, "batch_size": 100, "warmup_epochs": 0},
        "precision": "fp32",
    }
)
PLAIN = InspectOptions(maps=())


@pytest.fixture(scope="module")
def data() -> DataSet:
    return load(DIGITS.data)


@pytest.fixture
def model() -> SimCLR:
    return initial_model(DIGITS).eval()


class Pixels(nn.Module):
    """The representation that forgets nothing."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


class Line(nn.Module):
    """A representation of one dimension within eight: the mean of each image's pixels."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(1, 2, 3)).unsqueeze(1) * torch.arange(1.0, 9.0)


def inspected(
    encoder: nn.Module,
    head: nn.Module | None,
    data: DataSet,
    options: InspectOptions = PLAIN,
    spec: RunSpec = DIGITS,
) -> Representation:
    return inspect(FrozenEncoder(encoder, spec.view_size, CPU), head, data, spec, options=options)


def numbers(rows: int, columns: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)


# Measures


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_the_effective_rank_of_equal_directions_is_their_number(rank: int) -> None:
    corners = np.zeros((2 * rank, 10))
    corners[:rank, :rank], corners[rank:, :rank] = np.eye(rank), -np.eye(rank)
    values = singular_values(corners + 5)  # the mean does not count
    assert values[:rank] == pytest.approx(np.sqrt(2))
    assert effective_rank(values) == pytest.approx(rank)
    assert participation_ratio(values) == pytest.approx(rank)


def test_ranks_of_unequal_directions() -> None:
    assert effective_rank(np.array([3.0, 1.0, 0.0])) == pytest.approx(
        np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25))
    )
    assert participation_ratio(np.array([2.0, 1.0, 0.0])) == pytest.approx((4 + 1) ** 2 / (16 + 1))


def test_singular_values_are_those_of_the_covariance() -> None:
    features = numbers(50, 6) * np.arange(1, 7, dtype=np.float32) + 3
    variances = np.linalg.eigvalsh(np.cov(features.T, bias=True))[::-1]
    assert singular_values(features) ** 2 / 50 == pytest.approx(variances, rel=1e-4)


def test_equal_features_have_no_rank_whatever_their_rounding() -> None:
    rounded = np.full((100, 8), 0.7, dtype=np.float32) * (1 + 1e-7 * numbers(100, 8))
    assert effective_rank(singular_values(rounded, 1e-6)) == 0
    assert participation_ratio(singular_values(rounded, 1e-6)) == 0


def test_alignment_is_the_squared_distance_on_the_sphere() -> None:
    first, second = numbers(30, 5), numbers(30, 5, seed=1)
    assert alignment(first, 3 * first) == pytest.approx(0)
    assert alignment(first, -first) == pytest.approx(4)
    by_hand = (
        (normalize(torch.from_numpy(first)) - normalize(torch.from_numpy(second)))
        .square()
        .sum(1)
        .mean()
    )
    assert alignment(first, second) == pytest.approx(float(by_hand), rel=1e-5)


def test_uniformity_is_that_of_a_double_loop() -> None:
    features = numbers(20, 4) + 0.5
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    pairs = [np.exp(-2 * ((unit[i] - unit[j]) ** 2).sum()) for i in range(20) for j in range(i)]
    assert uniformity(features) == pytest.approx(np.log(np.mean(pairs)), rel=1e-5)
    assert uniformity(np.ones((5, 3))) == pytest.approx(0)


def test_nearest_are_those_of_the_largest_cosine() -> None:
    features = numbers(25, 3) * np.linspace(0.1, 9, 25, dtype=np.float32)[:, None]
    queries = np.array([4, 0, 24])
    for query, found in zip(queries, nearest(features, queries, 5), strict=True):
        cosines = {
            row: float(
                features[query]
                @ features[row]
                / np.linalg.norm(features[query])
                / np.linalg.norm(features[row])
            )
            for row in range(25)
            if row != query
        }
        assert found.tolist() == sorted(cosines, key=lambda row: -cosines[row])[:5]
    assert nearest(features, queries, 99).shape == (3, 24)


# The head


def test_a_square_head_is_shown_by_the_eigenvalues_of_its_weight() -> None:
    basis = numbers(4, 4).astype(np.float64)
    blocks = np.diag([3.0, -0.5, 0, 0])
    blocks[2:, 2:] = [[1, -2], [2, 1]]  # 1 + 2i and 1 - 2i
    linear = nn.Linear(4, 4, bias=False)
    linear.weight.data = torch.from_numpy(basis @ blocks @ np.linalg.inv(basis)).float()
    norm = GlobalBatchNorm(4, offset=False)
    nn.init.constant_(norm.weight, 7.0)
    found, why = head_spectrum(nn.Sequential(linear, norm))
    assert found is not None
    assert why is None
    assert found.of == "eigenvalues"
    assert found.shape == (4, 4)
    assert found.squared == pytest.approx([9, 5, 5, 0.25], rel=1e-4)


def test_a_head_that_is_not_square_is_shown_by_singular_values() -> None:
    head = projection_head(HeadSpec(num_linear_layers=1, output_dim=3), 5)
    found, _ = head_spectrum(head)
    assert found is not None
    weight = next(head.parameters()).detach().numpy()
    assert found.of == "singular values"
    assert found.squared == pytest.approx(np.linalg.eigvalsh(weight @ weight.T)[::-1], rel=1e-3)


@pytest.mark.parametrize(
    ("head", "word"),
    [
        (projection_head(HeadSpec(num_linear_layers=2), 5), "not linear"),
        (projection_head(HeadSpec(num_linear_layers=0), 5), "no linear layer"),
        (nn.Sequential(nn.Linear(3, 3), nn.Tanh()), "not linear"),
        (None, "no projection head"),
    ],
)
def test_another_head_has_no_spectrum_and_the_notes_say_why(
    head: nn.Module | None, word: str
) -> None:
    found, why = head_spectrum(head)
    assert found is None
    assert why is not None
    assert word in why


# Which images, and what is said of them


def test_images_are_balanced_and_maps_are_of_some_classes(data: DataSet) -> None:
    options = replace(PLAIN, images=50, classes=3, queries=3, neighbours=4)
    found = inspected(Pixels(), None, data, options)
    assert found.measured == 50
    labels, counts = np.unique(found.mapped_labels, return_counts=True)
    assert len(labels) == 3
    assert counts.min() > 10, "more of each class than are measured"
    assert found.queries.labels.tolist() == labels.tolist(), "one of each, in order"
    others = [
        inspected(Pixels(), None, data, options, DIGITS.with_values({"seed": seed}))
        for seed in range(1, 4)
    ]
    assert any(set(other.mapped_labels) != set(labels) for other in others)


def test_measured_images_are_as_many_of_each_class(data: DataSet) -> None:
    """Seen through an encoder that tells the label of each image, which it knows by its pixels."""
    known = {
        image.tobytes(): label
        for image, label in zip(data.test.take(slice(None)).numpy(), data.test.labels, strict=True)
    }
    asked: list[int] = []

    class Spy(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            asked.extend(
                int(known[(255 * image).round().byte().numpy().tobytes()]) for image in images
            )
            return images.flatten(1)

    fields = ("strength", "jitter_probability", "grayscale_probability")
    nothing = {f"augment.color.{field}": 0 for field in fields}
    inspected(
        *(Spy(), None, data, replace(PLAIN, images=50)),
        DIGITS.with_values({"augment.operations": ["color"]} | nothing),
    )
    assert np.bincount(asked).tolist() == [15] * 10, "50 images, and two views of each"


def test_numbers_are_those_of_the_drawn_images_and_views(data: DataSet, model: SimCLR) -> None:
    """All test images in their order; views by the generator that the run's seed names."""
    found = inspected(model.encoder, model.head, data)
    images = data.test.take(slice(None))
    generator = torch.Generator().manual_seed(seed_of(DIGITS.seed, "inspect views"))
    with torch.inference_mode():
        views = [model.encoder(view) for view in two_views(images, DIGITS.augment, generator)]
        h = model.encoder(images / 255)
        z = model.head(h)
        of_views = [model.head(view) for view in views]
    spread = normalize(z).std(0, correction=0).mean() * 4  # sqrt of 16 dimensions
    assert found.results == pytest.approx(
        {
            "effective_rank_h": effective_rank(singular_values(h.numpy())),
            "effective_rank_z": effective_rank(singular_values(z.numpy())),
            "participation_ratio_h": participation_ratio(singular_values(h.numpy())),
            "participation_ratio_z": participation_ratio(singular_values(z.numpy())),
            "std_h": float(normalize(h).std(0, correction=0).mean() * h.shape[1] ** 0.5),
            "std_z": float(spread),
            "alignment_h": alignment(views[0].numpy(), views[1].numpy()),
            "alignment_z": alignment(of_views[0].numpy(), of_views[1].numpy()),
            "uniformity_h": uniformity(h.numpy()),
            "uniformity_z": uniformity(z.numpy()),
        },
        rel=1e-3,
    )
    assert (found.spaces["h"].dimensions, found.spaces["z"].dimensions) == (h.shape[1], 16)


def test_views_do_not_depend_on_the_batch(data: DataSet, model: SimCLR) -> None:
    rows = np.arange(5, 60)
    encoder = FrozenEncoder(model.encoder, DIGITS.view_size, CPU)
    once, parts = (_two_views(encoder, data.test, rows, DIGITS, batch) for batch in (500, 16))
    for whole, joined in zip(once, parts, strict=True):
        assert whole == pytest.approx(joined, abs=1e-5)


def test_neighbours_are_shown_as_they_are_in_the_test_split(data: DataSet) -> None:
    found = inspected(Pixels(), nn.Identity(), data, replace(PLAIN, queries=10, neighbours=3))
    assert found.queries.labels.tolist() == list(range(10))
    for name in ("h", "z"):
        near: Shown = found.spaces[name].neighbours
        assert near.images.shape == (10, 3, 3, 16, 16)
        assert np.array_equal(near.labels, data.test.labels[near.index])
        assert np.array_equal(
            near.images, data.test.take(near.index.ravel()).numpy().reshape(near.images.shape)
        )
        assert not (near.index == found.queries.index[:, None]).any()
    pixels = data.test.take(slice(None)).flatten(1).float()
    best = (
        (normalize(pixels) @ normalize(pixels).T).fill_diagonal_(-1).argsort(dim=1, descending=True)
    )
    assert np.array_equal(found.spaces["h"].neighbours.index, best[found.queries.index, :3].numpy())


def test_a_second_look_is_the_same_and_leaves_the_model_as_it_was(
    data: DataSet, model: SimCLR
) -> None:
    before = encoder_digest(model)
    options = InspectOptions(images=60, maps=("tsne",))
    first = inspected(model.train().encoder, model.head, data, options)
    assert not any(
        module.training for part in (model.encoder, model.head) for module in part.modules()
    )
    second = inspected(model.encoder, model.head, data, options)
    assert encoder_digest(model) == before
    assert first.results == second.results
    assert np.array_equal(first.spaces["z"].maps["tsne"], second.spaces["z"].maps["tsne"])
    assert np.array_equal(first.spaces["z"].neighbours.index, second.spaces["z"].neighbours.index)
    other = inspected(
        model.encoder, model.head, data, replace(options, maps=()), DIGITS.with_values({"seed": 1})
    )
    assert other.results["alignment_h"] != first.results["alignment_h"]


def test_of_a_supervised_run_there_is_h_only(data: DataSet, model: SimCLR) -> None:
    found = inspected(model.encoder, None, data)
    assert set(found.spaces) == {"h"}
    assert {name[-2:] for name in found.results} == {"_h"}
    assert found.head is None
    assert found.notes == ("no projection head: nothing is said of z",)


# Collapse


def _trained_to_agree(data: DataSet) -> SimCLR:
    """Views are pulled together and nothing pushes images apart: z collapses."""
    model = initial_model(DIGITS.with_values({"head.batch_norm": False})).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(0)
    for _ in range(25):
        images = data.train.take(torch.randperm(len(data.train), generator=generator)[:64])
        first, second = (
            normalize(model(view)) for view in two_views(images, DIGITS.augment, generator)
        )
        loss = (first - second).square().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return model


def test_a_trained_encoder_is_not_called_collapsed(data: DataSet, model: SimCLR) -> None:
    *_, last = pretrain(DIGITS.with_values({"schedule.epochs": 6, "schedule.batch_size": 60}), CPU)
    model.load_state_dict(last.state["model"])
    found = inspected(model.encoder, model.head, data)
    assert found.warnings == ()
    assert 0.5 < found.results["std_z"] <= 1


def test_an_encoder_trained_without_negatives_is_called_collapsed(data: DataSet) -> None:
    model = _trained_to_agree(data)
    found = inspected(model.encoder, model.head, data)
    assert any(warning.startswith("z has collapsed") for warning in found.warnings)
    assert found.results["std_z"] < 0.1
    assert found.results["alignment_z"] < 0.02


def test_a_line_and_a_point_are_called_collapsed(data: DataSet) -> None:
    line = inspected(Line(), None, data)
    assert line.results["effective_rank_h"] == pytest.approx(1, abs=1e-3)
    assert line.warnings == ("h has collapsed: its effective rank is 1.00, below 2",)
    point = inspected(
        nn.Sequential(Line(), nn.Linear(8, 8), nn.Threshold(1e9, 0.3)),
        nn.Identity(),
        data,
        InspectOptions(),
    )
    assert point.results["effective_rank_h"] == 0
    assert [warning[:15] for warning in point.warnings] == ["h has collapsed", "z has collapsed"]
    assert point.spaces["h"].maps == {}
    assert "h is the same for every image: no map of it" in point.notes


# Maps


def agreement(points: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Share of points whose nearest other point in the map is of their class."""
    apart = ((points[:, None] - points[None]) ** 2).sum(2)
    np.fill_diagonal(apart, np.inf)
    return float((labels[apart.argmin(1)] == labels).mean())


def test_tsne_keeps_digits_of_a_class_together(data: DataSet) -> None:
    found = inspected(Pixels(), None, data, InspectOptions(maps=("tsne",)))
    points = found.spaces["h"].maps["tsne"]
    assert points.shape == (200, 2)
    assert agreement(points, found.mapped_labels) > 0.7


def test_umap_keeps_digits_of_a_class_together_and_threads_as_they_were(data: DataSet) -> None:
    pytest.importorskip("umap")
    before = {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}
    found = inspected(Pixels(), None, data, InspectOptions(maps=("umap",)))
    points = found.spaces["h"].maps["umap"]
    assert points.shape == (200, 2)
    assert agreement(points, found.mapped_labels) > 0.7
    after = {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}
    assert {path: after[path] for path in before} == before


def test_without_umap_a_note_names_the_extra(
    data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    found = inspected(Pixels(), nn.Identity(), data, InspectOptions(images=20))
    assert set(found.spaces["h"].maps) == {"tsne"}
    assert sum("pip install 'umap-learn<1,>=0.5.7'" in note for note in found.notes) == 1


# What is refused


def test_every_wrong_option_is_named() -> None:
    with pytest.raises(SpecError) as refused:
        InspectOptions(images=1, queries=0, maps=("pca",))  # type: ignore[arg-type]
    assert [problem.split("=")[0] for problem in refused.value.problems] == [
        "inspect.images",
        "inspect.queries",
        "inspect.maps",
    ]


def test_images_of_several_labels_are_refused(data: DataSet) -> None:
    several = Split(data.test.images, np.ones((200, 10), dtype=np.int64), data.test.index)
    with pytest.raises(SpecError, match="several labels"):
        inspected(Pixels(), None, replace(data, test=several))
