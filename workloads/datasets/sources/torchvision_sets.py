"""Data sets that torchvision reads: CIFAR-10, CIFAR-100, STL-10, SVHN, MNIST and Fashion-MNIST.

STL-10 gives its 5,000 labelled training images and its 8,000 test images; the 100,000 unlabelled
ones are not used. SVHN gives its 73,257 training and 26,032 test images, not the extra ones. Where
files of these lie beside the others, they are counted as left out.
MNIST and Fashion-MNIST are grey: their channel is repeated.
"""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.datasets.cache import Labels, Source, write_images
from workloads.datasets.pixels import fit_all
from workloads.datasets.spec import DataSpec
from workloads.inventory import LeftOut
from workloads.local_files import locked
from workloads.spec import SpecError

__all__ = ["FILES", "fetch", "source"]

# The files below `data.root` that hold the labelled images, where torchvision puts them.
FILES = {
    "cifar10": tuple(
        f"cifar-10-batches-py/{name}"
        for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta")
    ),
    "cifar100": tuple(f"cifar-100-python/{name}" for name in ("train", "test", "meta")),
    "stl10": tuple(
        f"stl10_binary/{name}"
        for name in ("train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "class_names.txt")
    ),
    "svhn": ("train_32x32.mat", "test_32x32.mat"),
    **{
        name: tuple(
            f"{folder}/raw/{part}-{kind}-ubyte"
            for part in ("train", "t10k")
            for kind in ("images-idx3", "labels-idx1")
        )
        for name, folder in (("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST"))
    },
}

UNLABELLED, EXTRA = "stl10_binary/unlabeled_X.bin", "extra_32x32.mat"
STL10_BYTES = 3 * 96 * 96  # of an image

# What torchvision's readers raise on files that are not what they should be.
DAMAGED = (
    *(OSError, EOFError, RuntimeError, ValueError, TypeError, LookupError, AssertionError),
    pickle.UnpicklingError,
)


def source(spec: DataSpec, root: Path) -> Source:
    """Find the data set `spec.name` below `root`.

    Its content is the digest of the names and bytes of its files. Raises SpecError when a file is
    missing, and, while decoding, when one is damaged.
    """
    missing = [name for name in FILES[spec.name] if not (root / name).is_file()]
    if missing:
        raise SpecError(
            [
                f"data.root={str(root)!r}: has no {spec.name} data ({', '.join(missing)} "
                "missing); name the folder "
                "that has, or use --download"
            ]
        )

    hasher = hashlib.sha256()
    for name in FILES[spec.name]:
        with (root / name).open("rb") as file:
            hasher.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return Source(
        content=hasher.hexdigest()[:20],
        fields={},
        decode=lambda folder: _decode(spec, root, folder),
        left_out=_left_out(spec.name, root),
    )


def _left_out(name: str, root: Path) -> tuple[LeftOut, ...]:
    """What a data set has beside its labelled parts, where it lies there."""
    unlabelled, extra = root / UNLABELLED, root / EXTRA
    if name == "stl10" and unlabelled.is_file():
        images = unlabelled.stat().st_size // STL10_BYTES
        return (LeftOut("images without labels", images, UNLABELLED),) if images else ()
    if name == "svhn" and extra.is_file():
        return (LeftOut("files of extra images", 1, EXTRA),)
    return ()


def fetch(spec: DataSpec, root: Path) -> None:
    """Download what is missing of the data set into `root`. Raises SpecError when that fails."""
    if all((root / name).is_file() for name in FILES[spec.name]):
        return
    try:
        root.mkdir(parents=True, exist_ok=True)
        with locked(root / ".download.lock"):
            for train in (True, False):
                _open(spec.name, root, train=train, download=True)
    except (OSError, RuntimeError) as error:
        raise SpecError(
            [f"data.root={str(root)!r}: {spec.name} could not be downloaded: {error}"]
        ) from error


def _open(name: str, root: Path, *, train: bool, download: bool) -> Any:
    from torchvision import datasets

    match name:
        case "cifar10":
            return datasets.CIFAR10(root, train=train, download=download)
        case "cifar100":
            return datasets.CIFAR100(root, train=train, download=download)
        case "stl10":
            return datasets.STL10(root, split="train" if train else "test", download=download)
        case "svhn":
            return datasets.SVHN(root, split="train" if train else "test", download=download)
        case "mnist":
            return datasets.MNIST(root, train=train, download=download)
        case "fashion-mnist":
            return datasets.FashionMNIST(root, train=train, download=download)
    raise AssertionError(name)


def _arrays(name: str, data: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images [N, H, W] or [N, H, W, 3], and labels [N]."""
    images = np.asarray(data.data)
    if name in ("stl10", "svhn"):
        return images.transpose(0, 2, 3, 1), np.asarray(data.labels).astype(np.int64)
    return images, np.asarray(data.targets).astype(np.int64)


def _decode(spec: DataSpec, root: Path, folder: Path) -> Labels:
    labels = {}
    for part in ("train", "test"):
        try:
            data = _open(spec.name, root, train=part == "train", download=False)
        except DAMAGED as error:
            reason = str(error) or type(error).__name__
            problem = (
                f"data.root={str(root)!r}: the {spec.name} data are damaged or incomplete: {reason}"
            )
            raise SpecError([problem]) from error
        images, labels[part] = _arrays(spec.name, data)
        if images.dtype != np.uint8:
            raise SpecError(
                [
                    f"data.root={str(root)!r}: the {spec.name} data are not those of its authors: "
                    f"pixels are {images.dtype}, and not uint8"
                ]
            )
        write_images(
            folder / f"{part}.npy", len(images), spec.image_size, fit_all(images, spec.image_size)
        )
        classes = tuple("0123456789") if spec.name == "svhn" else tuple(data.classes)
    return Labels(labels["train"], labels["test"], classes)
