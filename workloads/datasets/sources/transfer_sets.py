"""Data sets to which representations are transferred (B.8), where torchvision puts them.

Parts: an official validation split is kept where there is one (aircraft, voc2007, dtd, flowers).
DTD and SUN397 are split 1 of ten, aircraft are told apart by variant. Caltech-101 has no official
split: 30 random images of each class train, by `data.split_seed`, and the others test; its clutter,
BACKGROUND_Google, is no class, as is usual. SUN397's split is in lists that come apart from its
images. An image of VOC2007 has each of 20 classes (1), has it not (0), or has it only where its
authors call it difficult (-1).
"""

from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from workloads.datasets.cache import Source
from workloads.datasets.sources import image_folder as folder
from workloads.datasets.sources import image_lists as listed
from workloads.datasets.sources.image_lists import ImageList, ImageLists
from workloads.datasets.sources.torchvision_sets import DAMAGED
from workloads.datasets.spec import DataSetName, DataSpec
from workloads.local_files import locked
from workloads.spec import SpecError

__all__ = ["DOWNLOADED", "fetch", "metric_of", "source"]

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
CALTECH_TRAIN = 30  # images of each class

# The files below `data.root` that say what images there are, and what they show.
ANNOTATIONS: dict[DataSetName, tuple[str, ...]] = {
    "food101": ("food-101/meta/train.json", "food-101/meta/test.json"),
    "sun397": ("SUN397/ClassName.txt", "SUN397/Training_01.txt", "SUN397/Testing_01.txt"),
    "cars": (
        "stanford_cars/devkit/cars_meta.mat",
        "stanford_cars/devkit/cars_train_annos.mat",
        "stanford_cars/cars_test_annos_withlabels.mat",
    ),
    "aircraft": tuple(
        f"fgvc-aircraft-2013b/data/{name}.txt"
        for name in (
            "variants",
            "images_variant_train",
            "images_variant_val",
            "images_variant_test",
        )
    ),
    "voc2007": tuple(
        f"{VOC}/ImageSets/Main/{name}_{part}.txt"
        for part in ("train", "val", "test")
        for name in VOC_CLASSES
    ),
    "dtd": tuple(f"dtd/dtd/labels/{part}1.txt" for part in ("train", "val", "test")),
    "pets": ("oxford-iiit-pet/annotations/trainval.txt", "oxford-iiit-pet/annotations/test.txt"),
    "caltech101": (),  # its folders say it
    "flowers": ("flowers-102/imagelabels.mat", "flowers-102/setid.mat"),
}
DOWNLOADED: tuple[DataSetName, ...] = (
    "food101",
    "sun397",
    "aircraft",
    "voc2007",
    "dtd",
    "pets",
    "caltech101",
    "flowers",
)
assert {*DOWNLOADED} <= {*ANNOTATIONS} <= {*get_args(DataSetName)}

Metric = Literal["top-1", "mean per class", "mAP"]


def metric_of(name: DataSetName) -> Metric:
    """Name the metric of a data set: top-1, unless its authors ask for another (B.8)."""
    match name:
        case "aircraft" | "pets" | "caltech101" | "flowers":
            return "mean per class"
        case "voc2007":
            return "mAP"
        case _:
            return "top-1"


def source(spec: DataSpec, root: Path) -> Source:
    """Find the data set `spec.name` below `root`.

    Birdsnap is an image folder, with `train/<class>/*` and `test/<class>/*`. Raises SpecError when
    files are missing or damaged.
    """
    if spec.name == "birdsnap":
        return folder.source(spec.with_values({"grey_images": "convert"}), root)

    if missing := _missing(spec.name, root):
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        shown = ", ".join(missing[:3]) + more
        raise SpecError(
            [
                f"data.root={str(root)!r}: has no {spec.name} data ({shown} missing); "
                f"{_remedy(spec.name)}"
            ]
        )

    try:
        lists = _lists(spec.name, root)
        _check(lists)
    except DAMAGED as error:
        reason = str(error) or type(error).__name__
        raise SpecError(
            [
                f"data.root={str(root)!r}: the lists of {spec.name} are damaged or incomplete: "
                f"{reason}"
            ]
        ) from error
    return listed.source(spec, root, lists)


def fetch(spec: DataSpec, root: Path) -> None:
    """Download what is missing of one of DOWNLOADED into `root`. Raises SpecError if that fails."""
    if not _missing(spec.name, root):
        return
    try:
        root.mkdir(parents=True, exist_ok=True)
        with locked(root / ".download.lock"):
            _download(spec.name, root)
    except (OSError, RuntimeError) as error:
        raise SpecError(
            [f"data.root={str(root)!r}: {spec.name} could not be downloaded: {error}"]
        ) from error


def _missing(name: DataSetName, root: Path) -> list[str]:
    if name == "caltech101":
        return [] if (root / CALTECH).is_dir() else [CALTECH]
    # An empty file is one that a broken download left.
    return [
        file
        for file in ANNOTATIONS[name]
        if not (root / file).is_file() or not (root / file).stat().st_size
    ]


def _remedy(name: DataSetName) -> str:
    match name:
        case "cars":
            return "name the folder that has; it cannot be downloaded any more"
        case "sun397":
            return (
                "name the folder that has, or use --download for the images and unpack "
                "Partitions.zip of "
                "https://vision.princeton.edu/projects/2010/SUN/ into SUN397"
            )
        case _:
            return "name the folder that has, or use --download"


def _download(name: DataSetName, root: Path) -> None:
    from torchvision import datasets

    match name:
        case "food101":
            datasets.Food101(root, download=True)
        case "sun397":
            datasets.SUN397(root, download=True)
        case "aircraft":
            datasets.FGVCAircraft(root, download=True)
        case "voc2007":
            for part in ("trainval", "test"):
                datasets.VOCDetection(root, year="2007", image_set=part, download=True)
        case "dtd":
            datasets.DTD(root, download=True)
        case "pets":
            datasets.OxfordIIITPet(root, download=True)
        case "caltech101":
            datasets.Caltech101(root, download=True)
        case "flowers":
            datasets.Flowers102(root, download=True)
        case _:
            raise AssertionError(name)


def _lists(name: DataSetName, root: Path) -> ImageLists:
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


def _torchvision_lists(name: DataSetName, root: Path, validation: str | None) -> ImageLists:
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


def _torchvision(name: DataSetName, root: Path, part: str) -> Any:
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
    return [line for line in path.read_text().splitlines() if line.strip()]


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
    classes = sorted(
        path.name for path in base.iterdir() if path.is_dir() and path.name != "BACKGROUND_Google"
    )
    paths, labels = [], []
    for label, name in enumerate(classes):
        images = sorted(path.name for path in (base / name).glob("image_*.jpg"))
        paths += [f"{CALTECH}/{name}/{image}" for image in images]
        labels += [label] * len(images)
    return ImageLists(
        ImageList(paths, np.array(labels, np.int64)), None, None, tuple(classes), CALTECH_TRAIN
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
