"""Milliseconds: which files of odd folders are images of which class, and what of all others."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workloads.datasets import DataSpec, content_digest, load
from workloads.datasets.sources.folder_listing import Listing, content_of, listing_of
from workloads.inventory import Inventory
from workloads.spec import SpecError

NFC, NFD = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def picture(path: Path, seed: int = 0, format: str = "PNG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(values).save(path, format)
    return path


def folder(
    root: Path,
    train: tuple[str, ...] = ("cat", "dog"),
    test: tuple[str, ...] | None = None,
    parts: tuple[str, str] = ("train", "test"),
    count: int = 4,
) -> Path:
    for part, names in zip(parts, (train, test or train), strict=True):
        for label, name in enumerate(names):
            for number in range(count):
                seed = 1000 * (part == parts[0]) + 100 * label + number
                picture(root / part / name / f"{number}.png", seed)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return folder(tmp_path / "data")


def paths(listing: Listing) -> list[str]:
    return [file.path for file in listing.train]


def left_out(listing: Listing) -> dict[str, int]:
    return {each.reason: each.count for each in listing.left_out}


def problems_of(root: Path, name: str = "image-folder") -> list[str]:
    with pytest.raises(SpecError) as caught:
        listing_of(root, name)
    return caught.value.problems


def spec_of(root: Path, **more: object) -> DataSpec:
    fields = {"name": "image-folder", "root": str(root), "image_size": 12}
    return DataSpec.read({**fields, "validation_fraction": 0.25, **more})


# Depth and links


def test_images_lie_at_any_depth_of_their_class(root: Path) -> None:
    picture(root / "train/cat/day-2/morning/1.png", 7)
    picture(root / "train/cat/day-1/1.png", 8)
    picture(root / "train/dog/day-1/1.png", 9)  # alike in another class
    listing = listing_of(root)
    cats = [file.path for file in listing.train if file.label == 0]
    assert cats == [
        *(f"train/cat/{number}.png" for number in range(4)),
        "train/cat/day-1/1.png",
        "train/cat/day-2/morning/1.png",
    ]
    assert [file.path for file in listing.train if file.label == 1][-1] == "train/dog/day-1/1.png"
    assert listing.left_out == ()


def test_the_digest_of_a_folder_without_folders_in_its_classes_is_what_it_was(root: Path) -> None:
    """The digest that the first version gave, of the same bytes."""
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        path.write_bytes(b"%d" % number)
    (root / "train/cat/notes.txt").write_text("no image")
    assert content_of(listing_of(root)) == "91cafca5b7adabe5c991"


def test_links_to_folders_are_followed_and_lead_round_in_no_circle(
    root: Path, tmp_path: Path
) -> None:
    picture(tmp_path / "elsewhere/scene/9.png")
    (root / "train/cat/more").symlink_to(tmp_path / "elsewhere")
    for link, target in (("back", root), ("part", root / "train"), ("own", root / "train/cat")):
        (root / "train/cat" / link).symlink_to(target)
    (tmp_path / "elsewhere/scene/up").symlink_to("..")
    listing = listing_of(root)
    assert "train/cat/more/scene/9.png" in paths(listing)
    assert len(listing.train) == 9
    assert left_out(listing) == {"links to a folder that they lie in": 4}


def test_links_that_lead_nowhere_and_pipes_are_counted(root: Path) -> None:
    (root / "train/cat/lost").symlink_to("nowhere")
    (root / "train/cat/lost.png").symlink_to("nowhere")  # an image that cannot be read
    os.mkfifo(root / "train/cat/pipe.png")
    listing = listing_of(root)
    assert left_out(listing) == {"links that lead nowhere": 1, "pipes, sockets and devices": 1}
    assert len(listing.train) == 9


# What is an image


def test_what_can_be_decoded_is_an_image_whatever_it_is_called(root: Path) -> None:
    names = {"a.jfif": "JPEG", "b": "PNG", "c.v2-17": "GIF", "d.AVIF": "PNG", "e.ppm.bak": "PPM"}
    for name, format in names.items():
        picture(root / "train/cat" / name, format=format)
    listing = listing_of(root)
    assert {f"train/cat/{name}" for name in names} <= set(paths(listing))
    assert listing.left_out == ()


def test_a_class_without_images_says_what_it_has_instead(root: Path) -> None:
    for path in (root / "train/cat").iterdir():
        path.rename(path.with_suffix(".heic"))
    assert problems_of(root) == [
        f"{root}/train/cat: holds no image; left out: 4 images of a kind that is not read here "
        "(convert them to PNG or JPEG), such as train/cat/0.heic"
    ]


def test_what_systems_leave_is_no_class_and_no_image(root: Path) -> None:
    for name in ("__MACOSX/train/cat/._0.png", "train/@eaDir/cat/0.png", "train/cat/@eaDir/t.jpg"):
        picture(root / name)
    for name in (".ipynb_checkpoints/0.png", "cat/.ipynb_checkpoints/0.png"):
        picture(root / "train" / name)
    for name in ("Thumbs.db", "cat/desktop.ini", "cat/._0.png", "cat/.DS_Store"):
        (root / "train" / name).write_bytes(b"...")
    picture(root / "train/cat/.hidden.png")
    listing = listing_of(root)
    assert listing.classes == ("cat", "dog")
    assert len(listing.train) == len(listing.test) == 8
    assert left_out(listing) == {
        "files that systems leave (in __MACOSX, @eaDir and the like)": 5,
        "hidden images (their names, or their folders', begin with a dot)": 3,
    }


def test_images_beside_class_folders_are_counted(root: Path) -> None:
    picture(root / "train/stray.png")
    picture(root / "stray.png")
    (root / "README.md").write_text("pictures")
    (root / "annotations").mkdir()
    picture(root / "val/cat/1.png")
    (root / "unlabeled").mkdir()
    (root / "unlabeled/list.txt").write_text("")
    assert left_out(listing_of(root)) == {
        "images that lie in no class folder": 1,
        "files that are no images": 1,
        "images beside the parts": 1,
        "folders beside the parts": 1,
        "files in val, which is neither the training nor the test part": 1,
        "files in unlabeled, which is neither the training nor the test part": 1,
    }


def test_a_folder_that_cannot_be_listed_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refused(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    (root / "train/cat/closed").mkdir()
    monkeypatch.setattr(os, "scandir", refused)
    assert problems_of(root) == [f"{root}/train/cat/closed: cannot be listed (Permission denied)"]


# Every file of a random tree


def grow(root: Path, random: np.random.Generator) -> set[str]:
    """Fill a folder with anything; returns the visible files, by path."""
    endings = ["png", "JPG", "jfif", "txt", "xml", "", "heic", "v2-1", "bak"]
    places = ["", "a/", "a/b/", "day.1/", "x.png/"]
    visible = set()
    for number in range(60):
        part = str(random.choice(["train", "test"]))
        of_class = str(random.choice(["cat/", "dog/", "dog/", ""]))
        ending = str(random.choice(endings))
        place = str(random.choice(places)) if of_class else ""
        name = f"{part}/{of_class}{place}{number}.{ending}".rstrip(".")
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if random.integers(2):
            picture(path, number, format=str(random.choice(["PNG", "JPEG", "GIF"])))
        else:
            path.write_bytes(random.bytes(int(random.integers(50))))
        visible.add(name)
    return visible


@pytest.mark.parametrize("seed", range(12))
def test_what_is_seen_of_any_tree_is_used_or_left_out(tmp_path: Path, seed: int) -> None:
    root = folder(tmp_path / "data")
    visible = grow(root, np.random.default_rng(seed))
    visible |= {path.relative_to(root).as_posix() for path in root.rglob("*.png") if path.is_file()}
    listing = listing_of(root)
    used = {file.path for file in (*listing.train, *listing.test)}
    counted = Inventory(len(used), listing.left_out)
    assert used <= visible
    assert counted.seen == len(visible)
    for path in visible - used:  # Pillow cannot decode it, or it is in no class
        in_class = path.count("/") > 1
        assert not in_class or path.endswith(".heic") or not opens(root / path)
    for each in listing.left_out:
        assert each.example in visible - used

    data = load(spec_of(root, allow_unreadable=200), cache=tmp_path / "cache")
    assert data.inventory.seen == len(visible)
    rows = len(data.train) + len(data.validation) + len(data.test)
    assert data.inventory.used == rows


def opens(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return image.size > (0, 0)
    except (OSError, SyntaxError, ValueError):
        return False


def test_what_appears_beside_cached_images_is_told(root: Path, tmp_path: Path) -> None:
    assert load(spec_of(root), cache=tmp_path / "cache").inventory == Inventory(16)
    (root / "train/cat/notes.txt").write_text("later")
    data = load(spec_of(root), cache=tmp_path / "cache")
    assert data.inventory.seen == 17
    assert data.notes == ("left out: 1 file that is no image, such as train/cat/notes.txt",)


def test_unreadable_images_are_left_out_by_name(root: Path, tmp_path: Path) -> None:
    (root / "train/cat/0.png").write_bytes(b"broken")
    for _ in range(2):  # decoded, and from the cache
        data = load(spec_of(root, allow_unreadable=1), cache=tmp_path / "cache")
        (lost,) = data.inventory.left_out
        assert (data.inventory.used, lost.count, lost.example) == (15, 1, "train/cat/0.png")
        assert lost.reason == "images that cannot be read"


# Parts


@pytest.mark.parametrize(
    ("parts", "notes"),
    [
        (("train", "test"), ()),
        (("train", "val"), ()),
        (
            ("Train", "Test"),
            ("training images are those in Train", "test images are those in Test"),
        ),
        (("training", "testing"), None),
        (("train", "valid"), ("test images are those in valid",)),
        (("train", "validation"), None),
        (("TRAIN", "evaluation"), None),
    ],
)
def test_parts_under_other_names_are_used_and_noted(
    tmp_path: Path, parts: tuple[str, str], notes: tuple[str, ...] | None
) -> None:
    listing = listing_of(folder(tmp_path, parts=parts))
    assert paths(listing)[0] == f"{parts[0]}/cat/0.png"
    assert listing.test[0].path == f"{parts[1]}/cat/0.png"
    assert notes is None or listing.notes == notes
    assert bool(listing.notes) == (parts not in (("train", "test"), ("train", "val")))


def test_several_folders_that_may_be_meant_are_listed(tmp_path: Path) -> None:
    root = folder(folder(tmp_path, parts=("Train", "valid")), parts=("training", "eval"))
    train, test = problems_of(root)
    assert train.endswith(
        "has no folder train, and several that may be meant: Train, training; rename one"
    )
    assert "several that may be meant: eval, valid" in test


def test_folders_that_are_no_parts_are_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for problem in problems_of(tmp_path):
        assert problem.endswith("; it has images")
    folder(tmp_path / "images")
    assert problems_of(tmp_path)[0].endswith("; images in it has one: name that folder")


def test_a_test_part_without_labels_gives_way_to_val(tmp_path: Path) -> None:
    """As competitions publish it: the labels of `test` are kept back."""
    root = folder(tmp_path, parts=("train", "val"))
    picture(root / "test/0001.png")
    listing = listing_of(root)
    assert listing.test[0].path == "val/cat/0.png"
    assert listing.notes == ("test images are those in val",)
    reason = "files in test, which is neither the training nor the test part"
    assert left_out(listing) == {reason: 1}


def test_a_flat_part_is_said_to_be_flat(tmp_path: Path) -> None:
    root = folder(tmp_path, parts=("train", "val"))
    for path in sorted((root / "val").rglob("*.png")):
        path.rename(root / "val" / f"ILSVRC2012_val_{path.parent.name}{path.stem}.JPEG")
    for name in ("cat", "dog"):
        (root / "val" / name).rmdir()
    (problem,) = problems_of(root, "imagenet")
    assert problem.startswith(
        f"{root}/val: 8 images lie directly in it, such as ILSVRC2012_val_cat0.JPEG"
    )
    assert "LOC_val_solution.csv" in problem


# Annotations


def tiny_imagenet(root: Path) -> Path:
    for label, name in enumerate(("n01443537", "n01629819")):
        for number in range(4):
            picture(root / f"train/{name}/images/{name}_{number}.JPEG", 10 * label + number, "JPEG")
        (root / f"train/{name}/{name}_boxes.txt").write_text("")
    rows = []
    for number in range(6):
        picture(root / f"val/images/val_{number}.JPEG", 900 + number, "JPEG")
        rows.append(f"val_{number}.JPEG\tn0{(1629819, 1443537)[number % 2]}\t0\t0\t1\t1\n")
    picture(root / "test/images/test_0.JPEG")
    (root / "val/val_annotations.txt").write_text("".join(rows))
    (root / "wnids.txt").write_text("n01443537\nn01629819\n")
    return root


def test_tiny_imagenet_is_read_as_it_is_downloaded(tmp_path: Path) -> None:
    root = tiny_imagenet(tmp_path / "tiny-imagenet-200")
    listing = listing_of(root)
    assert listing.classes == ("n01443537", "n01629819")
    assert [file.label for file in listing.train] == [0] * 4 + [1] * 4
    assert {file.path[-6]: file.label for file in listing.test} == dict(
        zip("024135", [1, 1, 1, 0, 0, 0], strict=True)
    )
    assert left_out(listing) == {
        "files that are no images": 4,  # two lists of boxes, the annotations, the classes
        "files in test, which is neither the training nor the test part": 1,
    }
    before = content_digest(spec_of(root))
    annotations = root / "val/val_annotations.txt"
    swapped = annotations.read_text().replace("n01443537", "x").replace("n01629819", "n01443537")
    annotations.write_text(swapped.replace("x\t", "n01629819\t"))
    assert content_digest(spec_of(root)) != before


def test_images_that_annotations_do_not_name_are_counted(tmp_path: Path) -> None:
    root = tiny_imagenet(tmp_path)
    picture(root / "val/images/val_99.JPEG")
    assert left_out(listing_of(root))["images whose class no list names"] == 1


def test_kaggles_list_of_imagenet_is_found_above(tmp_path: Path) -> None:
    root = folder(tmp_path / "ILSVRC/Data/CLS-LOC", parts=("train", "unused"))
    rows = ["ImageId,PredictionString"]
    for number, name in enumerate(("dog", "cat", "dog")):
        picture(root / f"val/ILSVRC2012_val_{number:08d}.JPEG")
        rows.append(f"ILSVRC2012_val_{number:08d},{name} 1 2 3 4 {name} 5 6 7 8 ")
    (tmp_path / "LOC_val_solution.csv").write_bytes("\r\n".join(rows).encode("utf-8-sig"))
    listing = listing_of(root, "imagenet")
    assert [(file.path[-6], file.label) for file in listing.test] == [("1", 0), ("0", 1), ("2", 1)]
    assert "LOC_val_solution.csv" in listing.notes[0]


def test_a_list_that_names_no_class_is_refused_with_its_line(tmp_path: Path) -> None:
    root = tiny_imagenet(tmp_path)
    (root / "val/val_annotations.txt").write_text("val_0.JPEG\tn01443537\nval_1.JPEG\n")
    (problem,) = problems_of(root)
    assert problem.endswith("val_annotations.txt: line 2 names no class: ['val_1.JPEG']")


# Names


@pytest.mark.parametrize(
    ("in_train", "in_test", "shown"),
    [(NFC, NFD, NFC), (NFD, NFC, NFC), ("Cat", "cat", "Cat"), ("cat ", "cat", "cat")],
)
def test_one_name_in_two_spellings_is_one_class(
    tmp_path: Path, in_train: str, in_test: str, shown: str
) -> None:
    root = folder(tmp_path, train=(in_train, "dog"), test=(in_test, "dog"))
    listing = listing_of(root)
    assert sorted(listing.classes) == sorted((shown, "dog"))
    for files in (listing.train, listing.test):
        assert [listing.classes[file.label] for file in files].count(shown) == 4
    (note,) = listing.notes
    assert note == f"one class: {in_train!a} and {in_test!a}"


def test_names_that_differ_in_case_within_a_part_stay_different(tmp_path: Path) -> None:
    root = folder(tmp_path, train=("CAT", "cat"))
    assert listing_of(root).classes == ("CAT", "cat")


def test_a_spelling_that_may_be_either_of_two_is_refused(tmp_path: Path) -> None:
    root = folder(tmp_path, train=("CAT", "Cat", "dog"), test=("cat", "dog"))
    assert problems_of(root) == [
        f"{root}/test: lacks classes that train has: CAT, Cat",
        f"{root}/train: lacks classes that test has: cat",
    ]


@pytest.mark.parametrize("alike", [(NFC, NFD), ("cat", "cat ")])
def test_folders_of_one_part_that_look_alike_are_told_apart(
    tmp_path: Path, alike: tuple[str, str]
) -> None:
    problem, *_ = problems_of(folder(tmp_path, train=(*alike, "dog")))
    assert problem.isascii()
    listed = ", ".join(map(ascii, sorted(alike)))
    assert problem == f"{tmp_path}/train: folders whose names look alike: {listed}"


def test_names_that_are_not_utf8_are_shown_with_their_bytes(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9")
    root = folder(tmp_path / "data", train=(odd, "dog"))
    (root / "train" / odd / "0.png").write_bytes(b"broken")
    (root / "train" / odd / os.fsdecode(b"n\xf6.txt")).write_bytes(b"")
    data = load(spec_of(root, allow_unreadable=1), cache=tmp_path / "cache")
    assert data.classes == (r"caf\xe9", "dog")
    for text in (*data.notes, *data.classes):
        assert text.encode()
    assert len(data.notes) == 2
    with pytest.raises(SpecError) as caught:
        load(spec_of(root), cache=tmp_path / "cache")
    assert r"train/caf\xe9/0.png: " in str(caught.value)
