"""One process with an oracle: SGD by hand on the same views, folders of images, and the bundled
digits.
"""

import math
import pickle
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from workloads.catalog.simclr import SIMCLR
from workloads.datasets import DataSet, DataSpec, Split, load
from workloads.distributed.worker import Worker
from workloads.evaluation.divergence import FinetuneDivergedError
from workloads.evaluation.features.digests import encoder_digest
from workloads.evaluation.features.frozen import FrozenEncoder
from workloads.evaluation.protocols.finetune import (
    Recipe,
    finetuned,
    fit_network,
    network_scores,
)
from workloads.evaluation.protocols.label_subsets import (
    finetune_problems,
    labelled_images,
    labelled_subset,
    pinned_lists,
)
from workloads.evaluation_result import EvaluationResult
from workloads.simclr.batch_norm import GlobalBatchNorm
from workloads.simclr.pretrain import initial_model
from workloads.simclr.spec import AugmentSpec, CropSpec, FinetuneSpec, RunSpec
from workloads.simclr.views import apply_view, center_view, draw_view
from workloads.spec import SpecError

CPU = Worker(torch.device("cpu"))
RECIPE = Recipe(
    steps=3,
    batch_size=4,
    learning_rate=0.4,
    momentum=0.9,
    weight_decay=0.02,
    min_area=0.3,
    norm_momentum=0.25,
)
DIGITS = RunSpec.read(
    {
        "data": {"name": "digits", "image_size": 16, "train_images": 600},
        "encoder": {"architecture": "convnet", "width": 0.25, "stem": "cifar"},
        "schedule": {"epochs": 0},
        "eval": {"finetune": {"base_learning_rate": 0.8}},
        "precision": "fp32",
    }
)


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return load(DIGITS.data)


def tiny_encoder(
    norm: type[GlobalBatchNorm] | type[nn.BatchNorm2d] = GlobalBatchNorm,
) -> nn.Sequential:
    """h of 5 numbers."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, bias=False), norm(5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def set_momentum(encoder: nn.Sequential, momentum: float | None) -> None:
    assert isinstance(encoder[1], GlobalBatchNorm | nn.BatchNorm2d)
    encoder[1].momentum = momentum or 0.1


def random_images(labels: NDArray[np.int64]) -> Split:
    """Every second one of twice as many stored images of 10 x 10 pixels."""
    count = len(labels)
    images = np.random.default_rng(0).integers(0, 256, size=(2 * count, 3, 10, 10), dtype=np.uint8)
    return Split(images, labels, 1 + 2 * np.arange(count))


def fit(
    encoder: nn.Module,
    images: Split,
    recipe: Recipe = RECIPE,
    seed: int = 7,
    several_labels: bool = False,
) -> nn.Module:
    return fit_network(
        FrozenEncoder(encoder, 8, CPU),
        images,
        recipe,
        outputs=3,
        seed=seed,
        several_labels=several_labels,
    )


ONE_LABEL = np.arange(10) % 3
SEVERAL_LABELS = np.random.default_rng(1).integers(-1, 2, size=(10, 3))
SEVERAL_LABELS[2] = -1  # an image of which nothing is known


# The loop


def loss_by_definition(logits: Tensor, labels: NDArray[np.int64]) -> Tensor:
    if labels.ndim == 1:
        return torch.stack(
            [row.logsumexp(0) - row[label] for row, label in zip(logits, labels, strict=True)]
        ).mean()
    terms = [
        -torch.sigmoid(logits[i, c] if labels[i, c] else -logits[i, c]).log()
        for i, c in np.ndindex(*labels.shape)
        if labels[i, c] >= 0
    ]
    return torch.stack(terms).mean()


def by_hand(images: Split, recipe: Recipe, seed: int) -> dict[str, Tensor]:
    """Three steps on ten images, four at a time: two in the first epoch, the third in a second
    one.
    """
    encoder, classifier = tiny_encoder(nn.BatchNorm2d), nn.Linear(5, 3)
    set_momentum(encoder, recipe.norm_momentum)
    network = nn.ModuleDict({"encoder": encoder, "classifier": classifier})
    weights = list(network.parameters())
    with torch.no_grad():
        classifier.weight.zero_()
        classifier.bias.zero_()
    augment = AugmentSpec(
        operations=("crop",), output_size=8, crop=CropSpec(min_area=recipe.min_area)
    )
    generator = torch.Generator().manual_seed(seed)
    velocity = [torch.zeros_like(weight) for weight in weights]
    # (1 + cos(0, 60 and 120 degrees)) / 2 of the peak
    for step, rate in enumerate((0.4, 0.3, 0.1)):
        if step in (0, 2):
            order = torch.randperm(10, generator=generator)
        rows = order[:4] if step in (0, 2) else order[4:8]
        stored = torch.from_numpy(images.images[1 + 2 * rows.numpy()])
        views = apply_view(stored, draw_view(augment, 4, 10, 10, generator), augment)
        loss = loss_by_definition(classifier(encoder(views)), images.labels[rows.numpy()])
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            for weight, gradient, v in zip(weights, gradients, velocity, strict=True):
                decayed = gradient + recipe.weight_decay * weight
                v.mul_(recipe.momentum).add_(decayed)
                weight.sub_(rate * (decayed + recipe.momentum * v))
    return network.state_dict()


@pytest.mark.parametrize("momentum", [0.9, 0.0])
@pytest.mark.parametrize("labels", [ONE_LABEL, SEVERAL_LABELS], ids=["one label", "several labels"])
def test_the_whole_network_follows_sgd_with_nesterov_momentum(
    labels: NDArray[np.int64], momentum: float
) -> None:
    images, recipe = random_images(labels), replace(RECIPE, momentum=momentum)
    network = fit(tiny_encoder(), images, recipe, several_labels=labels.ndim == 2)
    expected = by_hand(images, recipe, seed=7)
    assert not network.training
    assert network.state_dict().keys() == expected.keys()
    for name, tensor in network.state_dict().items():
        assert tensor.numpy() == pytest.approx(expected[name].numpy(), rel=1e-4, abs=1e-6), name
    moved = encoder_digest(tiny_encoder()) != encoder_digest(network.get_submodule("encoder"))
    assert moved


def test_a_class_of_which_nothing_is_known_learns_nothing() -> None:
    labels = np.where(np.arange(3) == 1, -1, SEVERAL_LABELS)
    network = fit(
        tiny_encoder(), random_images(labels), replace(RECIPE, batch_size=10), several_labels=True
    )
    weight, bias = (
        network.get_parameter("classifier.weight"),
        network.get_parameter("classifier.bias"),
    )
    assert weight[1].abs().max() == bias[1].abs() == 0
    assert weight[[0, 2]].abs().amin() > 0


def test_batches_without_any_known_label_do_no_harm() -> None:
    network = fit(tiny_encoder(), random_images(np.full((10, 3), -1)), several_labels=True)
    assert network.get_parameter("classifier.weight").abs().max() == 0


def test_the_encoder_stays_as_it_is_and_the_network_keeps_its_own_norm_momentum() -> None:
    encoder = tiny_encoder().eval().requires_grad_(False)
    set_momentum(encoder, 0.4)
    before = encoder_digest(encoder)
    images = random_images(ONE_LABEL)
    own, fixed = (
        fit(encoder, images, replace(RECIPE, norm_momentum=momentum)) for momentum in (None, 0.4)
    )
    assert encoder_digest(encoder) == before
    assert not encoder.training
    assert not any(weight.requires_grad for weight in encoder.parameters())
    assert encoder_digest(own) == encoder_digest(fixed) != encoder_digest(fit(encoder, images))


def test_normalisation_learns_whatever_mode_the_encoder_came_in() -> None:
    images = random_images(ONE_LABEL)
    of_torch = fit(tiny_encoder(nn.BatchNorm2d).eval(), images)
    assert encoder_digest(of_torch) == encoder_digest(fit(tiny_encoder(), images))


def test_one_of_several_workers_fine_tunes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are not there when the first one evaluates: normalisation would wait for them for
    ever.
    """

    def wait(_: Tensor) -> Tensor:
        raise TimeoutError

    monkeypatch.setattr("workloads.simclr.batch_norm.world_size", lambda: 2)
    monkeypatch.setattr("workloads.simclr.batch_norm.all_gather", wait)
    with pytest.raises(TimeoutError):
        tiny_encoder()(torch.rand(4, 3, 8, 8))
    fit(tiny_encoder(), random_images(ONE_LABEL))


def test_the_seed_decides_and_nothing_else_does() -> None:
    images = random_images(ONE_LABEL)
    first = encoder_digest(fit(tiny_encoder(), images))
    torch.manual_seed(12345)
    assert encoder_digest(fit(tiny_encoder(), images)) == first
    assert encoder_digest(fit(tiny_encoder(), images, seed=8)) != first


def test_scores_are_logits_of_clean_views_in_inference_mode() -> None:
    images = random_images(ONE_LABEL)
    encoder = FrozenEncoder(tiny_encoder(), 8, CPU)
    network = fit_network(encoder, images, RECIPE, outputs=3, seed=0)
    scores = network_scores(network, images, encoder, batch=3)
    clean = center_view(torch.from_numpy(images.images[images.index]), 8)
    running = nn.functional.batch_norm(
        nn.functional.conv2d(clean, network.get_parameter("encoder.0.weight")),
        network.get_buffer("encoder.1.running_mean"),
        network.get_buffer("encoder.1.running_var"),
        network.get_parameter("encoder.1.weight"),
        network.get_parameter("encoder.1.bias"),
    )
    h = running.relu().mean(dim=(2, 3))
    expected = h @ network.classifier.weight.T + network.classifier.bias
    assert scores.dtype == np.float32
    assert scores == pytest.approx(expected.detach().numpy(), abs=1e-5)


@pytest.mark.parametrize(
    ("change", "step"),
    [
        ({"learning_rate": 1e25, "steps": 50}, None),
        ({"learning_rate": 1e30, "weight_decay": 1e30, "steps": 1}, 0),
    ],
    ids=["the loss", "the weights after the last loss"],
)
def test_divergence_says_where(change: dict[str, float], step: int | None) -> None:
    recipe = replace(RECIPE, norm_momentum=None, **change)  # type: ignore[arg-type]
    with pytest.raises(
        FinetuneDivergedError, match=r"diverged at step \d+ \(learning rate " r"[\d.e+]+\)"
    ) as caught:
        fit(tiny_encoder(), random_images(ONE_LABEL), recipe)
    error = pickle.loads(pickle.dumps(caught.value))
    assert error.step == step if step is not None else 0 < error.step < 50
    cosine = (1 + math.cos(math.pi * error.step / recipe.steps)) / 2
    assert error.learning_rate == pytest.approx(recipe.learning_rate * cosine)


# Drawn subsets


def four_classes(count: int = 400) -> Split:
    return Split(
        np.zeros((2 * count, 3, 1, 1), np.uint8), np.arange(count) % 4, 2 * np.arange(count)
    )


def test_subsets_are_balanced_nested_and_independent_of_what_else_is_asked() -> None:
    split, shares = four_classes(), (0.01, 0.1, 0.11, 0.5)
    subsets = [labelled_subset(split, share, classes=4, seed=0) for share in shares]
    assert [np.bincount(each.labels).tolist() for each in subsets] == [
        [1] * 4,
        [10] * 4,
        [11] * 4,
        [50] * 4,
    ]
    for smaller, larger in pairwise(subsets):
        assert set(smaller.index.tolist()) < set(larger.index.tolist())
    for share, each in zip(shares[::-1], subsets[::-1], strict=True):
        assert (
            labelled_subset(split, share, classes=4, seed=0).index.tolist() == each.index.tolist()
        )
        assert np.array_equal(each.labels, split.labels[each.index // 2])


def test_subsets_are_the_same_on_every_machine() -> None:
    split = four_classes()
    assert labelled_subset(split, 0.02, classes=4, seed=0).index.tolist() == [
        108,
        150,
        180,
        384,
        562,
        678,
        736,
        738,
    ]
    assert labelled_subset(split, 0.02, classes=4, seed=1).index.tolist() == [
        0,
        90,
        190,
        212,
        330,
        574,
        648,
        780,
    ]


def test_every_class_has_a_label_however_small_the_share_and_all_is_the_split_itself() -> None:
    split = four_classes()
    assert sorted(labelled_subset(split, 0.001, classes=4, seed=0).labels.tolist()) == [0, 1, 2, 3]
    assert labelled_subset(split, 1.0, classes=4, seed=0) is split


# Lists of file names


def write_folder(root: Path, names: tuple[str, ...] = ("cat", "dog")) -> Path:
    """Twelve training images of each class, cat_00.png and so on; each of one colour of its own."""
    for part, count in (("train", 12), ("test", 2)):
        for label, name in enumerate(names):
            (root / part / name).mkdir(parents=True)
            for image in range(count):
                color = (20 * image, 100 * label, 50 * (part == "test"))
                Image.new("RGB", (8, 8), color).save(root / part / name / f"{name}_{image:02d}.png")
    return root


@pytest.fixture
def folder(tmp_path: Path) -> DataSpec:
    root = write_folder(tmp_path / "images")
    return DataSpec.read(
        {"name": "image-folder", "root": str(root), "image_size": 8, "validation_fraction": 0.25}
    )


def listing(path: Path, **lists: list[str]) -> FinetuneSpec:
    """`p1=[...]` is written to 1percent.txt, and both 1 % and 10 % are asked for, and all."""
    for name, lines in lists.items():
        (path / f"{name.removeprefix('p')}percent.txt").write_text("\n".join([*lines, ""]))
    return FinetuneSpec(labels=(0.01, 0.1, 1.0), subset_files=str(path))


def stored_names(data: DataSet, split: Split) -> list[str]:
    """File names told from the colours."""
    pixels = split.take(slice(None))[:, :, 0, 0].tolist()
    return [f"{data.classes[green // 100]}_{red // 20:02d}.png" for red, green, _ in pixels]


def problems_of(finetune: FinetuneSpec, spec: DataSpec) -> list[str]:
    with pytest.raises(SpecError) as caught:
        labelled_images(finetune, spec, load(spec))
    return caught.value.problems


def test_listed_names_choose_the_images_and_what_is_held_out_is_left_out(
    folder: DataSpec, tmp_path: Path
) -> None:
    data = load(folder)
    train, held_out = (stored_names(data, split) for split in (data.train, data.validation))
    assert len(held_out) == 6
    few = [train[11], held_out[0], train[2], train[15], train[2]]
    by_class = [f"{name[:3]}/{name}" for name in train[3:9]] + [
        f"train/{name[:3]}/{name}" for name in train[9:14]
    ]
    one, ten, everything = labelled_images(listing(tmp_path, p1=few, p10=by_class), folder, data)
    assert stored_names(data, one.images) == [train[2], train[11], train[15]]
    assert one.left_out == 1
    assert one.images.labels.tolist() == [
        name[:3] == "dog" for name in (train[2], train[11], train[15])
    ]
    assert stored_names(data, ten.images) == train[3:14]
    assert ten.left_out == 0
    assert everything.images is data.train
    assert everything.left_out is None


def test_listed_images_outside_of_the_chosen_ones_are_left_out_too(
    folder: DataSpec, tmp_path: Path
) -> None:
    (Path(str(folder.root)) / "train" / "dog" / "dog_03.png").write_bytes(b"not an image")
    spec = folder.with_values({"train_images": 12, "allow_unreadable": 1})
    data = load(spec)
    names = [f"{name}_{image:02d}.png" for name in ("cat", "dog") for image in range(12)]
    one, *_ = labelled_images(listing(tmp_path, p1=names, p10=names), spec, data)
    assert np.array_equal(one.images.index, data.train.index)
    assert one.left_out == 24 - len(data.train)


def test_everything_that_is_wrong_with_lists_is_told_at_once(
    folder: DataSpec, tmp_path: Path
) -> None:
    data = load(folder)
    held_out = stored_names(data, data.validation)
    bird = [f"bird_{image:02d}.png" for image in range(12)]
    finetune = listing(tmp_path, p1=["cat_01.png", *bird, "dog/cat_02.png", "at_03.png"])
    assert problems_of(finetune, folder) == [
        f"{tmp_path / '1percent.txt'}: 14 of 15 names are no training images: "
        f"{', '.join(bird[:10])} and 4 more; a line is to be the name of a file, or class/name, "
        "such as cat/cat_00.png, and may have its class after a blank, a comma or a tab",
        f"eval.finetune.subset_files: {tmp_path / '10percent.txt'} cannot be read "
        "(there is no such file; beside it are 1percent.txt, images)",
    ]
    assert problems_of(listing(tmp_path, p1=held_out, p10=["cat_01.png", *held_out]), folder)[
        0
    ] == (f"{tmp_path / '1percent.txt'}: 0 of its 6 images are in the training split, 2 are needed")


def test_a_name_in_two_classes_needs_its_class(folder: DataSpec, tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (Path(str(folder.root)) / "train" / name / f"{name}_05.png").rename(
            Path(str(folder.root)) / "train" / name / "00005.png"
        )
    lists = listing(
        tmp_path,
        p1=["00005.png", "cat_01.png"],
        p10=["cat/00005.png", "cat_01.png", "dog_01.png", "dog_02.png"],
    )
    assert problems_of(lists, folder) == [
        f"{tmp_path / '1percent.txt'}: 1 names are in several classes, write class/name: 00005.png"
    ]


def test_data_without_file_names_take_no_lists(digits: DataSet, tmp_path: Path) -> None:
    with pytest.raises(
        SpecError, match=r"eval\.finetune\.subset_files=.*data\.name='digits' has no file " r"names"
    ):
        labelled_images(listing(tmp_path), DIGITS.data, digits)


def run_on(data: DataSpec, finetune: FinetuneSpec) -> RunSpec:
    return RunSpec.read(
        DIGITS.tree() | {"data": data.tree(), "eval": {"finetune": finetune.tree()}}
    )


def test_lists_are_checked_before_anything_is_decoded(folder: DataSpec, tmp_path: Path) -> None:
    nowhere, missing = tmp_path / "nowhere", tmp_path / "10percent.txt"
    good = listing(tmp_path, p1=["cat_01.png", "dog_01.png"], p10=["cat_01.png"])
    assert finetune_problems(run_on(folder, good)) == []
    unnamed, elsewhere = finetune_problems(
        run_on(DIGITS.data, good.with_values({"subset_files": str(nowhere)}))
    )
    assert unnamed.startswith(
        f"eval.finetune.subset_files={str(nowhere)!r}: data.name='digits' has no file names"
    )
    assert elsewhere == f"eval.finetune.subset_files={str(nowhere)!r}: there is no such folder"
    missing.unlink()
    (lacking,) = finetune_problems(run_on(folder, good))
    assert lacking.startswith(f"eval.finetune.subset_files: {missing} cannot be read (")
    with pytest.raises(SpecError, match=r"10percent\.txt cannot be read"):
        pinned_lists(run_on(folder, good))
    assert finetune_problems(run_on(folder, good.with_values({"labels": [0.01, 1.0]}))) == []
    missing.write_bytes(b"\xff\xfe\x00")
    (lacking,) = finetune_problems(run_on(folder, good))
    assert lacking.startswith(f"eval.finetune.subset_files: {missing} cannot be read (")
    for field, nothing in (("labels", []), ("subset_files", None)):
        spec = run_on(DIGITS.data, good.with_values({field: nothing}))
        assert finetune_problems(spec) == []
        assert pinned_lists(spec) is spec


def test_lines_that_name_no_image_are_told_before_any_training(
    folder: DataSpec, tmp_path: Path
) -> None:
    wrong = listing(tmp_path, p1=["cat/cat_01.png 0", "bird_01.png 1"], p10=["cat_01.png 0"])
    spec = run_on(folder, wrong)
    assert pinned_lists(spec).eval.finetune.subset_content is not None, "whose images may be others"
    there = spec.with_values({"data.content": load(folder).content})
    with pytest.raises(
        SpecError, match=r"1percent\.txt: 1 of 2 names are no training images: bird"
    ):
        pinned_lists(there)


def test_pinned_lists_may_be_elsewhere_and_not_be_others(folder: DataSpec, tmp_path: Path) -> None:
    lists, moved, others = (tmp_path / name for name in ("lists", "moved", "others"))
    cats, dogs = ([f"{name}_{image:02d}.png" for image in range(12)] for name in ("cat", "dog"))
    for path, names in (
        (lists, cats + dogs),
        (moved, [*dogs, *cats, "", "cat_01.png"]),
        (others, cats),
    ):
        path.mkdir()
        finetune = listing(path, p1=names, p10=names)
    spec, at_moved, at_others = (
        run_on(folder, finetune.with_values({"subset_files": str(path)}))
        for path in (lists, moved, others)
    )
    pinned = pinned_lists(spec)
    assert pinned_lists(pinned) is pinned
    assert (
        pinned_lists(at_moved).fingerprint()
        == pinned.fingerprint()
        != pinned_lists(at_others).fingerprint()
    )
    assert spec.fingerprint() != at_moved.fingerprint()
    # Other shares of the same lists, as an evaluation may ask for later.
    few = pinned.with_values({"eval.finetune.labels": [0.01]})
    found = few.eval.finetune.subset_content
    assert (
        found
        == pinned_lists(
            spec.with_values({"eval.finetune.labels": [0.1]})
        ).eval.finetune.subset_content
    )
    data = load(folder)
    for path in (lists, moved):
        there = few.with_values({"eval.finetune.subset_files": str(path)})
        assert finetune_problems(there) == []
        (one,) = labelled_images(there.eval.finetune, folder, data)
        assert np.array_equal(one.images.index, data.train.index)
    there = few.with_values({"eval.finetune.subset_files": str(others)})
    refused = [f"eval.finetune.subset_content={found!r}: the content of {others} is "]
    for problems in (finetune_problems(there), problems_of(there.eval.finetune, folder)):
        assert [problem.rpartition("'")[0].rpartition("'")[0] for problem in problems] == refused


def test_drawn_subsets_do_not_pass_for_pinned_lists(digits: DataSet) -> None:
    finetune = FinetuneSpec(labels=(0.1,), subset_content="0a1b")
    expected = [
        "eval.finetune.subset_files: is required by eval.finetune.subset_content='0a1b', which "
        "pins it"
    ]
    assert finetune_problems(run_on(DIGITS.data, finetune)) == expected
    with pytest.raises(SpecError) as caught:
        labelled_images(finetune, DIGITS.data, digits)
    assert caught.value.problems == expected


# Evaluating a run


def evaluated(digits: DataSet, **values: object) -> EvaluationResult:
    spec = DIGITS.with_values({name.replace("__", "."): value for name, value in values.items()})
    encoder = FrozenEncoder(initial_model(DIGITS).encoder, spec.view_size, CPU)
    return finetuned(spec, encoder, digits)


def test_fine_tuning_on_all_labels_is_far_above_chance_and_names_what_it_found(
    digits: DataSet,
) -> None:
    found = evaluated(
        digits,
        eval__finetune__labels=[1.0],
        eval__finetune__epochs=[8],
        eval__finetune__batch_size=32,
    )
    assert found.results.keys() == {
        f"finetune_100_{name}" for name in ("top1", "top5", "validation_top1", "images")
    }
    assert found.results["finetune_100_images"] == len(digits.train) == 540
    assert found.results["finetune_100_top1"] > 80
    assert found.results["finetune_100_validation_top1"] > 80
    predictions = found.predictions["finetune_100_top1"]
    assert 100 * (predictions.predicted == digits.test.labels).mean() == pytest.approx(
        found.results["finetune_100_top1"]
    )
    low, high = found.intervals["finetune_100_top1"]
    assert low < found.results["finetune_100_top1"] < high


def test_each_share_has_its_images_batch_steps_and_rates(digits: DataSet) -> None:
    rates: list[float] = []
    hook = register_optimizer_step_pre_hook(
        lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"])
    )
    shares = {
        "eval__finetune__labels": [0.005, 0.1],
        "eval__finetune__epochs": [3, 2],
        "eval__finetune__batch_size": 20,
    }
    found = evaluated(digits, **shares)
    hook.remove()
    # 0.5 % of 540 are three, but there are ten classes: three epochs of one batch of ten. Then 54:
    # two epochs of two of 20.
    assert found.results["finetune_0.5_images"] == 10
    assert found.results["finetune_10_images"] == 54
    first = [0.8 * 10 / 256 * factor for factor in (1, 0.75, 0.25)]
    second = [0.8 * 20 / 256 * (1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)]
    assert rates == pytest.approx(first + second)


def test_the_seed_of_the_run_varies_the_training_and_not_the_subset(digits: DataSet) -> None:
    shares = {
        "eval__finetune__labels": [0.1],
        "eval__finetune__epochs": [4],
        "eval__finetune__batch_size": 18,
    }
    first, again, other_run, other_subset = (
        evaluated(digits, **shares, **change)
        for change in ({}, {}, {"seed": 1}, {"eval__finetune__subset_seed": 1})
    )
    assert first.results == again.results
    named = "finetune_10_top1"
    assert np.array_equal(first.predictions[named].predicted, again.predictions[named].predicted)
    for other in (other_run, other_subset):
        assert not np.array_equal(
            first.predictions[named].predicted, other.predictions[named].predicted
        )
    of_seeds = (FinetuneSpec(labels=(0.1,), epochs=(1,), subset_seed=seed) for seed in (0, 1))
    drawn = [
        labelled_images(finetune, DIGITS.data, digits)[0].images.index for finetune in of_seeds
    ]
    assert not np.array_equal(drawn[0], drawn[1])


def test_lists_of_names_are_evaluated_with_how_many_were_left_out(
    folder: DataSpec, tmp_path: Path
) -> None:
    data = load(folder)
    names = stored_names(data, data.train)[::2] + stored_names(data, data.validation)
    (tmp_path / "10percent.txt").write_text("\n".join(names))
    finetune = {"labels": [0.1], "epochs": [1], "batch_size": 4, "subset_files": str(tmp_path)}
    spec = RunSpec.read(DIGITS.tree() | {"data": folder.tree(), "eval": {"finetune": finetune}})
    encoder = FrozenEncoder(initial_model(spec).encoder, spec.view_size, CPU)
    found = finetuned(spec, encoder, data)
    assert (found.results["finetune_10_images"], found.results["finetune_10_left_out"]) == (9, 6)


def test_unbalanced_test_classes_are_evaluated_by_their_mean_too(digits: DataSet) -> None:
    kept = np.concatenate(
        [np.flatnonzero(digits.test.labels > 0), np.flatnonzero(digits.test.labels == 0)[:5]]
    )
    unbalanced = replace(
        digits, test=Split(digits.test.images, digits.test.labels[kept], digits.test.index[kept])
    )
    found = evaluated(unbalanced, eval__finetune__labels=[0.1], eval__finetune__epochs=[1])
    predictions = found.predictions["finetune_10_top1"]
    right = predictions.predicted == predictions.labels
    expected = np.mean([100 * right[predictions.labels == label].mean() for label in range(10)])
    assert found.results["finetune_10_mean_per_class"] == pytest.approx(expected)
    assert "finetune_10_mean_per_class" in found.intervals


def test_a_run_whose_fine_tuning_diverges_says_when_and_at_which_rate(digits: DataSet) -> None:
    """Tuned cells count such a candidate as out, so it is the error that the workload calls
    divergence.
    """
    with pytest.raises(FinetuneDivergedError) as caught:
        evaluated(
            digits,
            eval__finetune__labels=[0.1],
            eval__finetune__epochs=[20],
            eval__finetune__base_learning_rate=1e26,
        )
    assert str(caught.value).startswith("fine-tuning diverged at step ")
    assert isinstance(caught.value, SIMCLR.divergence)


def test_nothing_is_evaluated_where_nothing_is_asked(digits: DataSet) -> None:
    assert evaluated(digits) == EvaluationResult({})
