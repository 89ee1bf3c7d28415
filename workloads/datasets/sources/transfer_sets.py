"""Data sets to which representations are transferred (B.8), where torchvision puts them.

How each is split, `workloads.datasets.sources.transfer_lists` says.
"""

from pathlib import Path
from typing import Literal, get_args

from workloads.datasets.cache import Source
from workloads.datasets.sources import image_folder as folder
from workloads.datasets.sources import image_lists as listed
from workloads.datasets.sources.torchvision_sets import DAMAGED
from workloads.datasets.sources.transfer_lists import CALTECH, VOC, VOC_CLASSES, lists_of
from workloads.datasets.spec import DataSetName, DataSpec
from workloads.local_files import locked
from workloads.spec import SpecError

__all__ = ["DOWNLOADED", "fetch", "metric_of", "source"]

# The files below `data.root` that say what images there are, and what they show.
ANNOTATIONS: dict[str, tuple[str, ...]] = {
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
DOWNLOADED: tuple[str, ...] = (
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


def metric_of(name: str) -> Metric:
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
        lists = lists_of(spec.name, root)
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


def _missing(name: str, root: Path) -> list[str]:
    if name == "caltech101":
        return [] if (root / CALTECH).is_dir() else [CALTECH]
    # An empty file is one that a broken download left.
    return [
        file
        for file in ANNOTATIONS[name]
        if not (root / file).is_file() or not (root / file).stat().st_size
    ]


def _remedy(name: str) -> str:
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


def _download(name: str, root: Path) -> None:
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
