"""Milliseconds: image folders written into tmp_path, against PIL and torchvision."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, PILToTensor, Resize

from workloads.datasets import DataSet, DataSpec, content_digest, load
from workloads.spec import SpecError


def picture(seed: int, width: int = 16, height: int = 16) -> Image.Image:
    """A smooth picture in colour."""
    coarse = np.random.default_rng(seed).integers(0, 256, size=(4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def write_folder(
    root: Path, per_class: int = 4, classes: tuple[str, ...] = ("cat", "dog"), test: str = "test"
) -> Path:
    for part in ("train", test):
        for number, name in enumerate(classes):
            (root / part / name).mkdir(parents=True)
            for image in range(per_class):
                picture(1000 * (part == "train") + 100 * number + image).save(
                    root / part / name / f"{image:03d}.png"
                )
    return root


def spec_of(root: Path, **values: object) -> DataSpec:
    return DataSpec.read(
        {
            "name": "image-folder",
            "root": str(root),
            "image_size": 16,
            "validation_fraction": 0.25,
            **values,
        }
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "images")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def training_images(data: DataSet) -> torch.Tensor:
    """Everything that came from `train/`, in the order of the files."""
    return torch.from_numpy(np.array(data.train.images))


def problems_of(spec: DataSpec, cache: Path) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(spec, cache=cache)
    return caught.value.problems


def test_files_in_the_order_of_names_with_pixels_kept_exactly(root: Path, cache: Path) -> None:
    data = load(spec_of(root), cache=cache)
    files = sorted((root / "train").rglob("*.png"))
    expected = np.stack([np.asarray(Image.open(file)).transpose(2, 0, 1) for file in files])
    assert np.array_equal(training_images(data).numpy(), expected)
    assert data.classes == ("cat", "dog")
    assert (len(data.train), len(data.validation), len(data.test)) == (6, 2, 8)
    for part in (data.train, data.validation):
        assert [files[row].parent.name for row in part.index] == [
            data.classes[label] for label in part.labels
        ]
    assert data.test.labels.tolist() == [0] * 4 + [1] * 4


@pytest.mark.parametrize(("width", "height"), [(40, 23), (17, 51), (9, 12), (16, 30), (31, 31)])
def test_other_sizes_are_resized_and_cropped_as_by_torchvision(
    root: Path, cache: Path, width: int, height: int
) -> None:
    image = picture(1, width, height)
    image.save(root / "train" / "cat" / "000.png")
    transform = Compose([Resize(16, InterpolationMode.BICUBIC), CenterCrop(16), PILToTensor()])
    assert torch.equal(training_images(load(spec_of(root), cache=cache))[0], transform(image))


def test_hidden_files_and_files_that_are_no_images_are_passed_over(root: Path, cache: Path) -> None:
    (root / "train" / "cat" / ".000.png").write_bytes(b"resource fork")
    (root / "train" / "cat" / "labels.txt").write_text("cat")
    (root / "train" / ".cache").mkdir()
    (root / "README.md").write_text("pictures")
    picture(0).save(root / "train" / "cat" / "UPPER.PNG")
    assert len(training_images(load(spec_of(root), cache=cache))) == 9


def test_val_is_read_where_there_is_no_test(tmp_path: Path, cache: Path) -> None:
    assert len(load(spec_of(write_folder(tmp_path / "a", test="val")), cache=cache).test) == 8


def test_imagenet_reads_val_and_converts_its_grey_images(tmp_path: Path, cache: Path) -> None:
    root = write_folder(tmp_path / "imagenet", classes=("n01440764", "n01443537"), test="val")
    picture(3).convert("L").save(root / "train" / "n01440764" / "000.png")
    (root / "test").mkdir()
    data = load(spec_of(root, name="imagenet"), cache=cache)
    assert data.classes == ("n01440764", "n01443537")
    assert len(data.test) == 8


def test_missing_folders_are_named(tmp_path: Path, cache: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert problems_of(spec_of(nowhere), cache) == [
        f"data.root={str(nowhere)!r}: there is no such folder"
    ]
    nowhere.mkdir()
    train, test = problems_of(spec_of(nowhere), cache)
    assert train == f"data.root={str(nowhere)!r}: has no folder train"
    assert test == f"data.root={str(nowhere)!r}: has no folder test or val"
    assert "image-net.org" in problems_of(spec_of(nowhere, name="imagenet"), cache)[0]


def test_every_problem_of_the_layout_is_told_at_once(root: Path, cache: Path) -> None:
    (root / "train" / "emu").mkdir()
    (root / "test" / "fox").mkdir()
    (root / "test" / "fox" / "a.png").write_bytes((root / "test" / "cat" / "000.png").read_bytes())
    assert problems_of(spec_of(root), cache) == [
        f"{root / 'train' / 'emu'}: holds no image",
        f"{root / 'test'}: lacks classes that train has: emu",
        f"{root / 'train'}: lacks classes that test has: fox",
    ]


def test_one_class_is_refused(tmp_path: Path, cache: Path) -> None:
    problems = problems_of(spec_of(write_folder(tmp_path / "one", classes=("cat",))), cache)
    assert problems == [f"{tmp_path / 'one' / 'train'}: has 1 class folders, at least 2 are needed"]


def break_images(root: Path, count: int) -> list[Path]:
    """Cut the first half of the class off after its header, and turn the rest into text."""
    paths = sorted((root / "train" / "dog").iterdir())[:count]
    for number, path in enumerate(paths):
        path.write_bytes(path.read_bytes()[:80] if number % 2 == 0 else b"not an image")
    return paths


def test_unreadable_images_are_counted_and_listed(tmp_path: Path, cache: Path) -> None:
    root = write_folder(tmp_path / "images", per_class=14)
    broken = break_images(root, 12)
    summary, *lines = problems_of(spec_of(root, allow_unreadable=11), cache)
    assert summary == "data.allow_unreadable=11: 12 of 56 images cannot be read, the first 10:"
    assert [line.split(": ")[0] for line in lines] == [str(path) for path in broken[:10]]
    assert not [entry for entry in cache.iterdir() if entry.is_dir()]


def test_allowed_unreadable_images_are_left_out_and_noted(root: Path, cache: Path) -> None:
    (broken,) = break_images(root, 1)
    data = load(spec_of(root, allow_unreadable=1, validation_fraction=0.34), cache=cache)
    row = sorted((root / "train").rglob("*.png")).index(broken)
    assert row not in {*data.train.index.tolist(), *data.validation.index.tolist()}
    assert len(data.train) + len(data.validation) == 7
    assert [
        note.startswith("left out, cannot be read: train/dog/000.png: ") for note in data.notes
    ] == [True]
    assert (
        load(spec_of(root, allow_unreadable=1, validation_fraction=0.34), cache=cache).notes
        == data.notes
    )
    assert problems_of(spec_of(root), cache)[0].startswith("data.allow_unreadable=0: 1 of 16")


def test_a_class_without_a_readable_image_is_refused(root: Path, cache: Path) -> None:
    break_images(root, 4)
    assert problems_of(spec_of(root, allow_unreadable=9), cache) == [
        f"{root / 'train' / 'dog'}: holds no image that can be read"
    ]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16"])
def test_a_grey_image_among_colour_ones_is_refused_or_converted(
    root: Path, cache: Path, mode: str
) -> None:
    grey = np.asarray(picture(3).convert("L"))
    as_mode = (
        Image.fromarray(grey.astype(np.uint16) << 8)
        if mode == "I;16"
        else Image.fromarray(grey).convert(mode)
    )
    path = root / "test" / "dog" / "001.png"
    as_mode.save(path)
    summary, line = problems_of(spec_of(root), cache)
    assert summary.startswith("data.grey_images='refuse': 1 of 16 images are grey")
    assert line == f"{path}: is grey"

    stored = (
        load(spec_of(root, grey_images="convert"), cache=cache).test.take(np.array([5]))[0].numpy()
    )
    expected = np.asarray(Image.fromarray(grey).convert("1").convert("L")) if mode == "1" else grey
    assert all(np.array_equal(channel, expected) for channel in stored)
    assert len(problems_of(spec_of(root), cache)) == 2


def test_a_folder_of_grey_images_is_stored_in_three_channels(root: Path, cache: Path) -> None:
    for path in root.rglob("*.png"):
        Image.open(path).convert("L").save(path)
    images = training_images(load(spec_of(root), cache=cache))
    assert images.shape == (8, 3, 16, 16)
    assert torch.equal(images[:, 0], images[:, 2])


def test_palette_and_transparent_images_count_as_colour(root: Path, cache: Path) -> None:
    picture(5).quantize(8).save(
        root / "train" / "cat" / "000.png", transparency=bytes([0, 128, 255])
    )
    picture(6).convert("RGBA").save(root / "train" / "cat" / "001.png")
    images = training_images(load(spec_of(root), cache=cache))
    assert np.array_equal(images[1].numpy(), np.asarray(picture(6)).transpose(2, 0, 1))


def test_content_follows_the_files_and_not_their_place_or_time(root: Path, tmp_path: Path) -> None:
    first = content_digest(spec_of(root))
    moved = root.rename(tmp_path / "moved")
    for path in moved.rglob("*.png"):
        path.touch()
    assert content_digest(spec_of(moved, image_size=24, split_seed=3)) == first
    victim = moved / "train" / "cat" / "001.png"
    original = victim.read_bytes()
    victim.write_bytes(original[:-1] + b"x")
    assert content_digest(spec_of(moved)) != first
    victim.write_bytes(original)
    assert content_digest(spec_of(moved)) == first
    victim.rename(victim.with_name("001b.png"))
    assert content_digest(spec_of(moved)) != first


def test_changed_images_are_decoded_again(root: Path, cache: Path) -> None:
    load(spec_of(root), cache=cache)
    picture(99).save(root / "train" / "cat" / "000.png")
    images = training_images(load(spec_of(root), cache=cache))
    assert np.array_equal(images[0].numpy(), np.asarray(picture(99)).transpose(2, 0, 1))


def test_many_images_of_photograph_size_come_in_order(tmp_path: Path, cache: Path) -> None:
    root = write_folder(tmp_path / "images", per_class=2)
    for number in range(300):
        noise = np.random.default_rng(number).integers(0, 256, size=(48, 48, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / "train" / "dog" / f"n{number:03d}.png")
    data = load(spec_of(root, image_size=48), cache=cache)
    files = sorted((root / "train").rglob("*.png"))
    expected = [
        np.asarray(Image.open(file)).transpose(2, 0, 1)
        for file in files
        if file.name.startswith("n")
    ]
    assert np.array_equal(training_images(data).numpy()[4:], np.stack(expected))

    (root / "train" / "dog" / "n250.png").write_bytes(b"not an image")
    data = load(spec_of(root, image_size=48, allow_unreadable=1), cache=cache)
    assert data.notes[0].startswith("left out, cannot be read: train/dog/n250.png: ")
    assert set(range(304)) - {*data.train.index.tolist(), *data.validation.index.tolist()} == {254}


def test_a_class_that_is_too_small_gives_all_it_has(root: Path, cache: Path) -> None:
    for number in range(8):
        picture(500 + number).save(root / "train" / "dog" / f"more{number}.png")
    data = load(spec_of(root, train_images=11, validation_fraction=0.25), cache=cache)
    assert np.bincount(data.train.labels).tolist() == [3, 5]
    assert np.bincount(data.validation.labels).tolist() == [1, 2]
