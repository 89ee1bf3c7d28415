"""Milliseconds: tiny data sets written in the layouts of their authors, against torchvision's
readers and PIL.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets as torchvision_datasets
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import food101 as torchvision_food101
from torchvision.datasets import voc as torchvision_voc

from workloads.datasets import DataSet, DataSpec, Split, content_digest, load, metric_of
from workloads.datasets.sources.transfer_lists import VOC_CLASSES
from workloads.spec import SpecError

Marked = dict[str, Any]  # path below the root to label
SIZE = 8


@dataclass(frozen=True)
class Written:
    """What was written: the labels of each part by path, and the classes."""

    train: Marked
    test: Marked
    classes: tuple[str, ...]
    validation: Marked | None = None


def write_pictures(root: Path, *parts: Marked) -> None:
    """A picture of its own for every path."""
    for seed, path in enumerate(path for part in parts for path in part):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        coarse = np.random.default_rng(seed).integers(0, 256, size=(3, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((12, 9)).save(root / path, quality=95)


def write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_food(root: Path) -> Written:
    classes, parts = ("apple_pie", "baklava"), {}
    for part in ("train", "test"):
        listed = {name: [f"{name}/{part}{n}" for n in range(3)] for name in classes}
        write_lines(root / f"food-101/meta/{part}.json", [json.dumps(listed)])
        parts[part] = {
            f"food-101/images/{image}.jpg": classes.index(name)
            for name in listed
            for image in listed[name]
        }
    return Written(parts["train"], parts["test"], classes)


def write_birdsnap(_: Path) -> Written:
    classes = ("Acadian_Flycatcher", "Zone_tailed_Hawk")
    train, test = (
        {f"{p}/{c}/{n}.jpg": y for y, c in enumerate(classes) for n in range(3)}
        for p in ("train", "test")
    )
    return Written(train, test, classes)


def write_sun(root: Path) -> Written:
    names, parts = ("/a/abbey", "/a/apse/indoor", "/z/zoo"), {}
    write_lines(root / "SUN397/ClassName.txt", list(names))
    for part in ("Training", "Testing"):
        listed = [f"{name}/sun_{part}{n}.jpg" for n in range(2) for name in names]
        write_lines(root / f"SUN397/{part}_01.txt", listed)
        parts[part] = {f"SUN397{image}": names.index(image.rpartition("/")[0]) for image in listed}
    return Written(parts["Training"], parts["Testing"], ("abbey", "apse/indoor", "zoo"))


def write_cars(root: Path) -> Written:
    classes, parts, base = (
        ("AM General Hummer", "Acura RL", "smart fortwo"),
        {},
        root / "stanford_cars",
    )
    (base / "devkit").mkdir(parents=True)
    savemat(base / "devkit/cars_meta.mat", {"class_names": np.array(classes, dtype=object)})
    for part, file in (
        ("train", "devkit/cars_train_annos.mat"),
        ("test", "cars_test_annos_withlabels.mat"),
    ):
        listed = [(f"{n:05d}.jpg", n % 3) for n in range(9)]
        annotations = np.array(
            [(name, label + 1) for name, label in listed],
            dtype=[("fname", object), ("class", object)],
        )
        savemat(base / file, {"annotations": annotations})
        parts[part] = {f"stanford_cars/cars_{part}/{name}": label for name, label in listed}
    return Written(parts["train"], parts["test"], classes)


def write_aircraft(root: Path) -> Written:
    classes, parts, base = ("707-320", "Boeing 717"), {}, "fgvc-aircraft-2013b/data"
    write_lines(root / base / "variants.txt", list(classes))
    for number, part in enumerate(("train", "val", "test")):
        listed = {f"{number}{n:03d}": n % 2 for n in range(4)}
        lines = [f"{image} {classes[label]}" for image, label in listed.items()]
        write_lines(root / base / f"images_variant_{part}.txt", lines)
        parts[part] = {f"{base}/images/{image}.jpg": label for image, label in listed.items()}
    return Written(parts["train"], parts["test"], classes, parts["val"])


def write_voc(root: Path) -> Written:
    """Image n of a part has class n and the one behind it, and the one before it only as a
    difficult one.
    """
    parts, base = {}, "VOCdevkit/VOC2007"
    count = len(VOC_CLASSES)
    for number, part in enumerate(("train", "val", "test")):
        marks = np.array(
            [[1 if (c - n) % count < 2 else -1 for c in range(count)] for n in range(count)]
        )
        marks[np.arange(count), np.arange(count) - 1] = 0
        for c, name in enumerate(VOC_CLASSES):
            lines = [f"{number}{n:05d} {mark:2d}" for n, mark in enumerate(marks[:, c])]
            write_lines(root / base / f"ImageSets/Main/{name}_{part}.txt", lines)
        meant = {1: 1, -1: 0, 0: -1}
        parts[part] = {
            f"{base}/JPEGImages/{number}{n:05d}.jpg": [meant[m] for m in marks[n].tolist()]
            for n in range(count)
        }
    return Written(parts["train"], parts["test"], VOC_CLASSES, parts["val"])


def write_dtd(root: Path) -> Written:
    classes, parts = ("banded", "zigzagged"), {}
    for part in ("train", "val", "test"):
        listed = [f"{name}/{name}_{part}{n}.jpg" for n in range(2) for name in classes]
        write_lines(root / f"dtd/dtd/labels/{part}1.txt", listed)
        parts[part] = {
            f"dtd/dtd/images/{image}": classes.index(image.split("/")[0]) for image in listed
        }
    return Written(parts["train"], parts["test"], classes, parts["val"])


def write_pets(root: Path) -> Written:
    names, parts = ("Abyssinian", "american_bulldog", "Bengal"), {}
    for part in ("trainval", "test"):
        listed = {
            f"{name}_{'1' if part == 'test' else '2'}{n}": y
            for n in range(3)
            for y, name in enumerate(names)
        }
        lines = [f"{image} {label + 1} 1 2" for image, label in listed.items()]
        write_lines(root / f"oxford-iiit-pet/annotations/{part}.txt", lines)
        parts[part] = {
            f"oxford-iiit-pet/images/{image}.jpg": label for image, label in listed.items()
        }
    return Written(parts["trainval"], parts["test"], ("Abyssinian", "American Bulldog", "Bengal"))


def write_flowers(root: Path) -> Written:
    """102 classes, because torchvision knows their names."""
    base, count = root / "flowers-102", 102
    base.mkdir(parents=True)
    labels = np.tile(np.arange(count), 3)
    savemat(base / "imagelabels.mat", {"labels": labels + 1})
    numbers = np.random.default_rng(0).permutation(3 * count) + 1
    ids = {
        key: numbers[np.isin(numbers, np.arange(start * count, (start + 1) * count) + 1)]
        for start, key in enumerate("tvx")
    }
    savemat(base / "setid.mat", {"trnid": ids["t"], "valid": ids["v"], "tstid": ids["x"]})
    train, validation, test = (
        {f"flowers-102/jpg/image_{i:05d}.jpg": int(labels[i - 1]) for i in ids[key]}
        for key in "tvx"
    )
    return Written(train, test, tuple(torchvision_datasets.Flowers102.classes), validation)


WRITERS = {
    "food101": write_food,
    "birdsnap": write_birdsnap,
    "sun397": write_sun,
    "cars": write_cars,
    "aircraft": write_aircraft,
    "voc2007": write_voc,
    "dtd": write_dtd,
    "pets": write_pets,
    "flowers": write_flowers,
}


@pytest.fixture(autouse=True)
def _other_flowers(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision compares the lists of flowers with those of their authors, which tests cannot
    ship.
    """
    cls = torchvision_datasets.Flowers102
    monkeypatch.setattr(
        cls, "_file_dict", {key: (name, None) for key, (name, _) in cls._file_dict.items()}
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


def written(name: str, root: Path) -> Written:
    made = WRITERS[name](root)
    write_pictures(root, made.train, made.validation or {}, made.test)
    return made


def spec_of(name: str, root: Path, **values: Any) -> DataSpec:
    given = {"name": name, "root": str(root), "image_size": SIZE, "validation_fraction": 1 / 3}
    return DataSpec.read(given | values)


def loaded(spec: DataSpec, root: Path, **values: Any) -> DataSet:
    return load(spec, cache=root.parent / "cache", several_labels=spec.name == "voc2007", **values)


def problems_of(spec: DataSpec, root: Path, **values: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        loaded(spec, root, **values)
    return caught.value.problems


def expected_pixels(path: Path) -> bytes:
    """12 x 9 pixels: the shorter side to SIZE, the centre kept."""
    image = (
        Image.open(path)
        .convert("RGB")
        .resize((10, SIZE), Image.Resampling.BICUBIC)
        .crop((1, 0, 1 + SIZE, SIZE))
    )
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)).tobytes()


def of_split(*splits: Split) -> list[tuple[bytes, Any]]:
    """Every image with its label, in an order of their own."""
    pairs = [
        pair
        for each in splits
        for pair in zip(each.take(slice(None)).numpy(), each.labels.tolist(), strict=True)
    ]
    return sorted((image.tobytes(), label) for image, label in pairs)


def of_paths(root: Path, marked: Marked) -> list[tuple[bytes, Any]]:
    return sorted((expected_pixels(root / path), label) for path, label in marked.items())


@pytest.mark.parametrize("name", WRITERS)
def test_every_image_has_its_label_and_its_part(name: str, root: Path) -> None:
    made = written(name, root)
    data = loaded(spec_of(name, root), root)
    assert data.classes == made.classes
    assert of_split(data.test) == of_paths(root, made.test)
    if made.validation is None:
        assert of_split(data.train, data.validation) == of_paths(root, made.train)
        held_out = 1 / 3 * len(made.train)
        assert abs(len(data.validation) - held_out) <= len(made.classes) / 2
    else:
        assert of_split(data.train) == of_paths(root, made.train)
        assert of_split(data.validation) == of_paths(root, made.validation)
    assert of_split(data.train_and_validation()) == of_split(data.train, data.validation)
    assert np.all(np.diff(data.train_and_validation().index) > 0)


@pytest.mark.parametrize("name", sorted({*WRITERS} - {"birdsnap"}))
def test_what_no_list_names_is_counted(name: str, root: Path) -> None:
    made = written(name, root)
    beside = Path(min(made.train)).parent
    for extra in ("other.jpg", "other.PNG", ".hidden.jpg", "other.txt"):
        (root / beside / extra).write_bytes(b"")
    broken = max(made.test)
    (root / broken).write_bytes(b"broken")
    data = loaded(spec_of(name, root, allow_unreadable=1), root)
    used = len(data.train) + len(data.validation) + len(data.test)
    assert data.inventory.used == used == len(made.train | made.test | (made.validation or {})) - 1
    assert [(each.reason, each.count, each.example) for each in data.inventory.left_out] == [
        ("images that no list of the data set names", 2, f"{beside}/other.PNG"),
        ("images that cannot be read", 1, broken),
    ]


def test_the_metric_is_the_one_its_authors_ask_for() -> None:
    asked = {
        name: metric_of(DataSpec(name=name).name)
        for name in (*WRITERS, "caltech101", "cifar10", "digits")
    }
    assert [name for name, metric in asked.items() if metric == "mAP"] == ["voc2007"]
    assert {n for n, metric in asked.items() if metric == "mean per class"} == {
        "aircraft",
        "pets",
        "flowers",
        "caltech101",
    }
    assert sum(metric == "top-1" for metric in asked.values()) == 7


def test_sun_and_pets_have_torchvisions_labels_and_classes(root: Path) -> None:
    sun, pets = written("sun397", root), written("pets", root)
    theirs = torchvision_datasets.SUN397(root, loader=str)
    labels = {
        Path(path).relative_to(root).as_posix(): label
        for path, label in (theirs[i] for i in range(len(theirs)))
    }
    assert labels == sun.train | sun.test
    assert tuple(theirs.classes) == loaded(spec_of("sun397", root), root).classes
    assert tuple(torchvision_datasets.OxfordIIITPet(root).classes) == pets.classes


def test_several_labels_are_refused_unless_asked_for(root: Path) -> None:
    written("voc2007", root)
    spec = spec_of("voc2007", root)
    with pytest.raises(
        SpecError, match=r"^data\.name='voc2007': its images have several labels " r"each"
    ):
        load(spec, cache=root.parent / "cache")
    data = loaded(spec, root)
    assert data.train.labels.shape == (20, 20)
    assert (data.train.labels[0, :3].tolist(), data.train.labels[0, -1]) == ([1, 1, 0], -1)
    assert content_digest(spec) == data.content


# Caltech-101


def write_caltech(root: Path, counts: dict[str, int]) -> Marked:
    base = "caltech101/101_ObjectCategories"
    classes = sorted(counts)
    marked = {
        f"{base}/{c}/image_{n + 1:04d}.jpg": y
        for y, c in enumerate(classes)
        for n in range(counts[c])
    }
    write_pictures(root, marked, {f"{base}/BACKGROUND_Google/image_0001.jpg": None})
    return marked


def test_caltechs_clutter_is_counted(root: Path) -> None:
    write_caltech(root, {"ant": 31, "bass": 31})
    (left_out,) = loaded(spec_of("caltech101", root), root).inventory.left_out
    assert left_out.example == "caltech101/101_ObjectCategories/BACKGROUND_Google/image_0001.jpg"


def test_caltech_trains_on_thirty_of_each_class_by_the_split_seed(root: Path) -> None:
    marked = write_caltech(root, {"Faces": 35, "accordion": 32})
    images = of_paths(root, marked)
    tested = []
    for seed in (0, 1):
        data = loaded(spec_of("caltech101", root, split_seed=seed), root)
        assert (
            data.classes
            == tuple(torchvision_datasets.Caltech101(root).categories)
            == ("Faces", "accordion")
        )
        assert np.bincount(data.train_and_validation().labels).tolist() == [30, 30]
        assert np.bincount(data.validation.labels).tolist() == [10, 10]
        assert np.bincount(data.test.labels).tolist() == [5, 2]
        assert of_split(data.train, data.validation, data.test) == images
        tested.append(set(data.test.index.tolist()))
    assert tested[0] != tested[1]
    assert len([path for path in (root.parent / "cache").iterdir() if path.is_dir()]) == 1, (
        "decoded once for all seeds"
    )


def test_caltech_needs_a_test_image_of_each_class(root: Path) -> None:
    write_caltech(root, {"Faces": 35, "accordion": 30})
    (problem,) = problems_of(spec_of("caltech101", root), root)
    assert problem.endswith("'accordion' has 30")


# Subsets where the validation split is official


def test_a_subset_keeps_who_validates(root: Path) -> None:
    made = written("aircraft", root)
    assert made.validation is not None
    data = loaded(spec_of("aircraft", root, train_images=6, split_seed=3), root)
    assert len(data.train) + len(data.validation) == 6
    assert set(of_split(data.train)) <= set(of_paths(root, made.train))
    assert set(of_split(data.validation)) <= set(of_paths(root, made.validation))
    assert np.bincount(data.train_and_validation().labels).tolist() == [3, 3]


def test_a_subset_that_leaves_a_class_without_an_image_is_refused(root: Path) -> None:
    written("aircraft", root)
    refused = []
    for seed in range(12):
        try:
            data = loaded(spec_of("aircraft", root, train_images=4, split_seed=seed), root)
            assert (
                np.bincount(data.train.labels).tolist()
                == np.bincount(data.validation.labels).tolist()
                == [1, 1]
            )
        except SpecError as error:
            refused.append(error.problems[0])
    assert 0 < len(refused) < 12
    assert all(problem.startswith("data.train_images=4: leaves ") for problem in refused)
    written("voc2007", root)
    problems = problems_of(spec_of("voc2007", root, train_images=20), root)
    assert any("without a training image;" in problem for problem in problems)
    assert problems_of(spec_of("voc2007", root, train_images=41), root) == [
        "data.train_images=41: there are only 40 images"
    ]


# What may be wrong


@pytest.mark.parametrize("name", [*WRITERS, "caltech101"])
def test_missing_data_are_named(name: str, root: Path) -> None:
    root.mkdir()
    for call in (lambda spec: loaded(spec, root), content_digest):
        with pytest.raises(SpecError, match=r"^data\.root=.*: has no ") as caught:
            call(spec_of(name, root))
        assert ("--download" in str(caught.value)) == (name not in ("birdsnap", "cars"))


@pytest.mark.parametrize(
    ("name", "file", "text"),
    [
        ("food101", "food-101/meta/train.json", '{"apple_pie": ['),
        ("sun397", "SUN397/Testing_01.txt", "/q/quarry/sun_a.jpg\n"),
        ("cars", "stanford_cars/devkit/cars_train_annos.mat", "not a .mat file" * 20),
        ("aircraft", "fgvc-aircraft-2013b/data/images_variant_val.txt", "0000 Boeing 9\n"),
        ("voc2007", "VOCdevkit/VOC2007/ImageSets/Main/bus_val.txt", "000001 1\n"),
        ("voc2007", "VOCdevkit/VOC2007/ImageSets/Main/aeroplane_val.txt", "100000 2\n"),
        ("dtd", "dtd/dtd/labels/val1.txt", "zigzagged/a.jpg\n"),
        ("pets", "oxford-iiit-pet/annotations/test.txt", "Bengal_1 1 1 1\n"),
        ("pets", "oxford-iiit-pet/annotations/test.txt", "\n\n"),
        ("flowers", "flowers-102/setid.mat", "not a .mat file" * 20),
    ],
)
def test_damaged_lists_are_named(name: str, file: str, text: str, root: Path) -> None:
    WRITERS[name](root)
    (root / file).write_text(text)
    (problem,) = problems_of(spec_of(name, root), root)
    assert problem.startswith(
        f"data.root={str(root)!r}: the lists of {name} are damaged or incomplete: "
    )


def test_missing_and_unreadable_images_are_counted(root: Path) -> None:
    made = written("pets", root)
    gone, broken = next(iter(made.train)), list(made.test)[4]
    (root / gone).unlink()
    (root / broken).write_bytes(b"no picture")
    head, *named = problems_of(spec_of("pets", root), root)
    assert "1 of the 18 images that pets lists are missing" in head
    assert named == [f"{root / gone}: is missing"]
    head, *named = problems_of(spec_of("pets", root, allow_unreadable=1), root)
    assert head == "data.allow_unreadable=1: 2 of 18 images cannot be read:"
    assert [line.split(":")[0] for line in named] == [str(root / gone), str(root / broken)]
    data = loaded(spec_of("pets", root, allow_unreadable=2), root)
    kept = {path: label for path, label in made.test.items() if path != broken}
    assert of_split(data.test) == of_paths(root, kept)
    assert len(data.train_and_validation()) == len(made.train) - 1
    assert len(data.notes) == 2


def test_an_unreadable_image_with_several_labels_is_left_out(root: Path) -> None:
    made = written("voc2007", root)
    broken = list(made.test)[7]
    (root / broken).write_bytes(b"no picture")
    data = loaded(spec_of("voc2007", root, allow_unreadable=1), root)
    assert of_split(data.test) == of_paths(
        root, {path: label for path, label in made.test.items() if path != broken}
    )


def test_the_content_is_of_lists_and_images_but_not_of_time(root: Path) -> None:
    made = written("dtd", root)
    spec = spec_of("dtd", root)
    before = content_digest(spec)
    path = root / list(made.train)[1]
    bytes_before = path.read_bytes()
    path.write_bytes(bytes_before)
    assert (
        content_digest(spec)
        == content_digest(spec_of("dtd", root, image_size=16, split_seed=5))
        == before
    )
    path.write_bytes(bytes_before[:-2] + b"ab")
    assert content_digest(spec) != before
    path.write_bytes(bytes_before)


def test_the_content_is_of_labels(root: Path) -> None:
    """The same images in the same order."""
    written("voc2007", root)
    before = content_digest(spec_of("voc2007", root))
    path = root / "VOCdevkit/VOC2007/ImageSets/Main/sofa_val.txt"
    path.write_text(path.read_text().replace(" 1\n", "-1\n", 1))
    assert content_digest(spec_of("voc2007", root)) != before


def test_the_content_is_of_parts(root: Path) -> None:
    """The same images in the same order, the last for training now for validation."""
    written("dtd", root)
    before = content_digest(spec_of("dtd", root))
    train, validation = (root / f"dtd/dtd/labels/{part}1.txt" for part in ("train", "val"))
    *kept, moved = train.read_text().splitlines()
    write_lines(validation, [moved, *validation.read_text().splitlines()])
    write_lines(train, kept)
    assert content_digest(spec_of("dtd", root)) != before


# Download


def test_download_leaves_what_is_there_and_fetches_what_is_not(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchvision's own download is replaced by one that writes our files where it is told to."""

    def fetch_food(_: str, download_root: Any, **__: Any) -> None:
        assert Path(download_root) == root
        written("food101", root)

    def fetch_voc(_: str, download_root: Any, **__: Any) -> None:
        written("voc2007", Path(download_root))
        for part in ("trainval", "test"):
            write_lines(root / f"VOCdevkit/VOC2007/ImageSets/Main/{part}.txt", [])

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("no way out")

    monkeypatch.setattr(torchvision_food101, "download_and_extract_archive", fail)
    (problem,) = problems_of(spec_of("food101", root), root, download=True)
    assert problem.endswith("food101 could not be downloaded: no way out")
    monkeypatch.setattr(torchvision_food101, "download_and_extract_archive", fetch_food)
    monkeypatch.setattr(torchvision_voc, "download_and_extract_archive", fetch_voc)
    for name in ("food101", "voc2007"):
        assert len(loaded(spec_of(name, root), root, download=True).test) > 0
    monkeypatch.setattr(torchvision_food101, "download_and_extract_archive", fail)
    assert len(loaded(spec_of("food101", root), root, download=True).test) > 0


# The cache


def test_entries_of_before_are_still_read(root: Path) -> None:
    """They have neither marks nor how many images of a class train."""
    written("pets", root)
    now = loaded(spec_of("pets", root), root)
    (entry,) = (path for path in (root.parent / "cache").iterdir() if path.is_dir())
    assert sorted(path.name for path in entry.iterdir()) == [
        "entry.json",
        "labels.npz",
        "test.npy",
        "train.npy",
    ]
    about = json.loads((entry / "entry.json").read_text())
    (entry / "entry.json").write_text(
        json.dumps({name: about[name] for name in ("classes", "notes")}, indent=1)
    )
    before = loaded(spec_of("pets", root), root)
    for name in ("train", "validation", "test"):
        of_now, of_before = getattr(now, name), getattr(before, name)
        assert np.array_equal(of_now.index, of_before.index)
        assert np.array_equal(of_now.labels, of_before.labels)


def test_marks_survive_the_cache(root: Path) -> None:
    written("dtd", root)
    first, again = (loaded(spec_of("dtd", root), root) for _ in range(2))
    index: NDArray[np.int64] = again.validation.index
    assert np.array_equal(first.validation.index, index)
    assert index.tolist() == [4, 5, 6, 7]
