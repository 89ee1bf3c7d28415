"""Milliseconds: image folders with classes that are too small for both parts of a split."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workloads.datasets import DataSet, DataSpec, load
from workloads.datasets.cache import Labels
from workloads.datasets.draws import TRAIN_SUBSET, subset
from workloads.datasets.validation_split import drawn_validation, official_validation
from workloads.evaluation.metrics.scores import metric_value
from workloads.evaluation.protocols.label_subsets import labelled_subset
from workloads.spec import SpecError


def write(root: Path, **sizes: int) -> Path:
    for part in ("train", "test"):
        for label, (name, size) in enumerate(sizes.items()):
            (root / part / name).mkdir(parents=True)
            for number in range(size if part == "train" else 2):
                grey = np.full((8, 8, 3), 40 * label + number, np.uint8)
                Image.fromarray(grey).save(root / part / name / f"{number:03d}.png")
    return root


def loaded(root: Path, **values: object) -> DataSet:
    spec = {"name": "image-folder", "root": str(root), "image_size": 8, **values}
    return load(DataSpec.read(spec), cache=root.parent / "cache")


def split_of(sizes: list[int], fraction: float) -> list[int]:
    """How many images of each class validate."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    names = tuple(f"class {number}" for number in range(len(sizes)))
    held_out, _ = drawn_validation(DataSpec(validation_fraction=fraction), labels, names)
    return np.bincount(labels[held_out], minlength=len(sizes)).tolist()


def test_a_class_too_small_to_share_stays_in_training_and_that_is_noted(tmp_path: Path) -> None:
    data = loaded(write(tmp_path / "data", a=20, b=20, rare=1, seldom=4))
    assert np.bincount(data.train.labels).tolist() == [18, 18, 1, 4]
    assert np.bincount(data.validation.labels, minlength=4).tolist() == [2, 2, 0, 0]
    (note,) = data.notes
    assert note.startswith("the validation split has no image of 2 of 4 classes")
    assert note.endswith("'rare' (1), 'seldom' (4)")


def test_who_validates_does_not_depend_on_rare_classes(tmp_path: Path) -> None:
    alone = loaded(write(tmp_path / "alone", a=20, b=20))
    beside = loaded(write(tmp_path / "beside", a=20, b=20, rare=1))
    assert np.array_equal(beside.validation.labels, alone.validation.labels)
    assert alone.notes == ()


@pytest.mark.parametrize(
    ("sizes", "fraction", "held_out"),
    [
        ([20, 20, 1], 0.1, [2, 2, 0]),
        ([10, 1], 0.5, [5, 0]),
        ([10, 2], 0.8, [8, 1]),  # 1.6 images: one stays
        ([100, 4, 5], 0.1, [10, 0, 1]),
    ],
)
def test_every_class_has_a_training_image(
    sizes: list[int], fraction: float, held_out: list[int]
) -> None:
    assert split_of(sizes, fraction) == held_out


@pytest.mark.parametrize("sizes", [[4, 3], [2, 2], [145, 145], [1000, 7]])
@pytest.mark.parametrize("fraction", [0.0001, 0.9999])
def test_the_value_that_is_named_works_and_is_the_nearest(
    sizes: list[int], fraction: float
) -> None:
    with pytest.raises(SpecError) as caught:
        split_of(sizes, fraction)
    (problem,) = caught.value.problems
    assert problem.startswith(f"data.validation_fraction={fraction:g}: leaves 2 of 2 classes")
    named = float(problem.rpartition("; ")[2].split()[0])
    assert any(split_of(sizes, named))
    nearer = named - 0.001 if fraction < named else named + 0.001
    if 0 < nearer < 1:
        with pytest.raises(SpecError):
            split_of(sizes, nearer)


def test_classes_of_one_image_each_are_refused_with_what_they_lack() -> None:
    with pytest.raises(SpecError, match="two images of a class are needed"):
        split_of([1, 1, 1], 0.5)


def test_shares_of_the_labels_have_an_image_of_each_class(tmp_path: Path) -> None:
    data = loaded(write(tmp_path / "data", a=40, b=40, rare=1))
    for share, counts in ((0.01, [1, 1, 1]), (0.1, [3, 3, 1])):
        images = labelled_subset(data.train, share, classes=3, seed=0)
        drawn = np.bincount(images.labels)
        assert sorted(drawn[:2].tolist(), reverse=True) == counts[:2]
        assert drawn[2] == counts[2]


def test_choices_by_the_mean_per_class_are_of_the_classes_that_validate() -> None:
    scores = np.eye(3)[[0, 0, 1, 2]]
    labels = np.array([0, 0, 1, 1])  # none of class 2
    assert metric_value("mean per class", scores, labels) == pytest.approx(75)


def test_an_official_split_without_a_rare_class_is_noted() -> None:
    train = np.array([0, 0, 0, 1, 1, 2])
    validation = np.array([True, False, False, True, False, False])
    labels = Labels(train, train[:0], ("a", "b", "rare"), validation=validation)
    (note,) = official_validation(DataSpec(name="dtd", root="x"), train, np.arange(6), labels)
    assert "leaves 1 of 3 classes, 'rare' first, without a validation image" in note


def test_a_subset_of_an_official_split_is_told_how_many_are_enough() -> None:
    train = np.repeat([0, 1], 20)
    validation = np.tile([True, False, False, False], 10)
    labels = Labels(train, train[:0], ("a", "b"), validation=validation)

    def problems(count: int) -> list[str]:
        spec = DataSpec(name="dtd", root="x", train_images=count)
        try:
            official_validation(spec, train, subset(train, count, 0, TRAIN_SUBSET), labels)
        except SpecError as error:
            return error.problems
        return []

    refused = [count for count in range(4, 40) if problems(count)]
    assert refused
    enough = max(refused) + 1
    for count in refused:
        assert problems(count)[-1].endswith(f"with split_seed=0, {enough} are enough")
