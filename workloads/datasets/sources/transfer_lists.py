"""The lists of images that data sets for transfer come with, as their authors' files have them.

Parts: an official validation split is kept where there is one (aircraft, voc2007, dtd, flowers).
DTD and SUN397 are split 1 of ten, aircraft are told apart by variant. Caltech-101 has no official
split: 30 random images of each class train, by `data.split_seed`, and the others test; its clutter,
BACKGROUND_Google, is no class, as is usual. SUN397's split is in lists that come apart from its
images. An image of VOC2007 has each of 20 classes (1), has it not (0), or has it only where its
authors call it difficult (-1).
"""

from pathlib import Path
from typing import Any

import numpy as np

from workloads.datasets.sources.folder_walk import folders_in
from workloads.datasets.sources.image_lists import ImageList, ImageLists
from workloads.text_files import TextError, lines_of, read_text

__all__ = ["CALTECH", "VOC", "VOC_CLASSES", "lists_of"]

VOC_CLASSES = (
    *(
        "aeroplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "cow",
        "diningtable",
        "dog",
    ),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
VOC = "VOCdevkit/VOC2007"
CALTECH = "caltech101/101_ObjectCategories"
CLUTTER = "BACKGROUND_Google"
CALTECH_TRAIN = 30  # images of each class


def lists_of(name: str, root: Path) -> ImageLists:
    """Read the lists of a data set below `root`.

    Raises ValueError for lists that do not fit together, and what readers of damaged files raise.
    """
    lists = _lists(name, root)
    _check(lists)
    return lists


def _lists(name: str, root: Path) -> ImageLists:
    match name:
        case "food101" | "cars":
            return _torchvision_lists(name, root, None)
        case "aircraft" | "dtd" | "flowers":
            return _torchvision_lists(name, root, "val")
        case "sun397":
            return _sun397(root)
        case "pets":
            return _pets(root)
        case "caltech101":
            return _caltech101(root)
        case "voc2007":
            return ImageLists(
                _voc(root, "train"), _voc(root, "val"), _voc(root, "test"), VOC_CLASSES
            )
    raise AssertionError(name)


def _torchvision_lists(name: str, root: Path, validation: str | None) -> ImageLists:
    parts: dict[str, ImageList] = {}
    classes: set[tuple[str, ...]] = set()
    for part in ("train", "test", *([validation] if validation else [])):
        data = _torchvision(name, root, part)
        examples = [data[row] for row in range(len(data))]
        paths = [Path(path).relative_to(root).as_posix() for path, _ in examples]
        parts[part] = ImageList(paths, np.array([label for _, label in examples], np.int64))
        classes.add(tuple(data.classes))
    if len(classes) > 1:
        raise ValueError("the parts do not have the same classes")
    return ImageLists(
        parts["train"], parts[validation] if validation else None, parts["test"], classes.pop()
    )


def _torchvision(name: str, root: Path, part: str) -> Any:
    """torchvision's reader of a part, which gives paths in place of images."""
    from torchvision import datasets

    match name:
        case "food101":
            return datasets.Food101(root, split=part, loader=str)
        case "cars":
            return datasets.StanfordCars(root, split=part, loader=str)
        case "aircraft":
            return datasets.FGVCAircraft(root, split=part, loader=str)
        case "dtd":
            return datasets.DTD(root, split=part, partition=1, loader=str)
        case "flowers":
            return datasets.Flowers102(root, split=part, loader=str)
    raise AssertionError(name)


def _lines(path: Path) -> list[str]:
    try:
        text = read_text(path, keep_bytes=True)
    except TextError as error:
        raise ValueError(f"{path}: {error}") from None
    return [line for line in lines_of(text) if line.strip()]


def _sun397(root: Path) -> ImageLists:
    """Of SUN397's own lists, which torchvision does not read.

    A line of them is a path such as /a/abbey/sun_aaa.jpg, of the class /a/abbey.
    """
    base = root / "SUN397"
    classes = [line.strip() for line in _lines(base / "ClassName.txt")]
    label = {name: number for number, name in enumerate(classes)}
    parts = {}
    for part in ("Training", "Testing"):
        images = [line.strip() for line in _lines(base / f"{part}_01.txt")]
        labels = np.array([label[image.rpartition("/")[0]] for image in images], np.int64)
        parts[part] = ImageList([f"SUN397{image}" for image in images], labels)
    return ImageLists(
        parts["Training"], None, parts["Testing"], tuple(name[3:] for name in classes)
    )


def _pets(root: Path) -> ImageLists:
    """Of the pets' own lists, as torchvision's reader decodes images.

    A line is a name, such as Maine_Coon_12, the class from 1, and two more numbers.
    """
    base = "oxford-iiit-pet"
    names: dict[int, str] = {}
    parts = {}
    for part in ("trainval", "test"):
        rows = [line.split() for line in _lines(root / base / "annotations" / f"{part}.txt")]
        labels = [int(number) - 1 for _, number, _, _ in rows]
        parts[part] = ImageList(
            [f"{base}/images/{image}.jpg" for image, *_ in rows], np.array(labels, np.int64)
        )
        for (image, *_), label in zip(rows, labels, strict=True):
            name = image.rpartition("_")[0].replace("_", " ").title()
            if names.setdefault(label, name) != name:
                raise ValueError(f"class {label + 1} is both {names[label]!r} and {name!r}")
    return ImageLists(
        parts["trainval"], None, parts["test"], tuple(names[label] for label in range(len(names)))
    )


def _caltech101(root: Path) -> ImageLists:
    """Of the folders of Caltech-101, as torchvision's reader decodes images.

    All of them are one list, of which `split` draws the training images.
    """
    base = root / CALTECH
    classes = [name for name in folders_in(base) if name != CLUTTER]
    paths, labels = [], []
    for label, name in enumerate(classes):
        images = sorted(path.name for path in (base / name).glob("image_*.jpg"))
        paths += [f"{CALTECH}/{name}/{image}" for image in images]
        labels += [label] * len(images)
    return ImageLists(
        ImageList(paths, np.array(labels, np.int64)),
        None,
        None,
        tuple(classes),
        CALTECH_TRAIN,
        (f"{CALTECH}/{CLUTTER}",),
    )


def _voc(root: Path, part: str) -> ImageList:
    """Of VOC2007's own lists, of which torchvision reads the boxes only.

    A line of each class's list is an image and 1 (has it), -1 (has it not), 0 (difficult).
    """
    meaning = {"1": 1, "-1": 0, "0": -1}
    columns, images = [], None
    for name in VOC_CLASSES:
        rows = [
            line.split() for line in _lines(root / VOC / "ImageSets/Main" / f"{name}_{part}.txt")
        ]
        if images is not None and [image for image, _ in rows] != images:
            raise ValueError(
                f"the {part} lists of {VOC_CLASSES[0]} and {name} name different images"
            )
        images = [image for image, _ in rows]
        columns.append([meaning[mark] for _, mark in rows])
    assert images is not None
    return ImageList(
        [f"{VOC}/JPEGImages/{image}.jpg" for image in images], np.array(columns, np.int64).T
    )


def _check(lists: ImageLists) -> None:
    """Raise ValueError for an empty list, or a label that is no class."""
    for part in (lists.train, lists.validation, lists.test):
        if part is None:
            continue
        if not part.paths:
            raise ValueError("a list names no image")
        if part.labels.ndim == 1 and not 0 <= part.labels.min() <= part.labels.max() < len(
            lists.classes
        ):
            raise ValueError(
                f"labels from {part.labels.min()} to {part.labels.max()}, but "
                f"{len(lists.classes)} classes"
            )
