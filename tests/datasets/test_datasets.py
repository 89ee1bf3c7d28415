"""One process with an oracle (and three processes on one cache): embedded and torchvision data
sets, splits, cache.
"""

import gzip
import hashlib
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torchvision import datasets as torchvision_datasets

from workloads.datasets import DataSet, DataSpec, Split, content_digest, default_cache, load
from workloads.datasets.sources.shapes import CLASSES, TEST, TRAIN, draw
from workloads.spec import SpecError

TORCHVISION = ("cifar10", "cifar100", "stl10", "svhn", "mnist", "fashion-mnist")


def images_of(split: Split) -> NDArray[np.uint8]:
    return split.take(slice(None)).numpy()


def problems_of(spec: DataSpec, cache: Path) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(spec, cache=cache)
    return caught.value.problems


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for the module, so that the shapes are drawn once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def shapes(cache: Path) -> DataSet:
    return load(DataSpec(image_size=24), cache=cache)


# Splits


def test_take_copies_in_the_order_asked_for(shapes: DataSet) -> None:
    stored = np.array(shapes.validation.images)
    positions = np.array([5, 0, 5, 17])
    expected = stored[shapes.validation.index[positions]]
    taken = shapes.validation.take(positions)
    assert taken.dtype == torch.uint8
    assert np.array_equal(taken.numpy(), expected)
    assert torch.equal(shapes.validation.take(torch.from_numpy(positions)), taken)
    assert torch.equal(
        shapes.validation.take(slice(2, 4)), shapes.validation.take(np.array([2, 3]))
    )
    taken.zero_()
    assert np.array_equal(shapes.validation.take(positions).numpy(), expected)
    with pytest.raises(IndexError):
        shapes.validation.take(np.array([len(shapes.validation)]))


def test_train_and_validation_share_no_image_and_cover_the_subset(cache: Path) -> None:
    data = load(
        DataSpec(image_size=24, train_images=999, test_images=55, validation_fraction=0.3),
        cache=cache,
    )
    rows = [*data.train.index.tolist(), *data.validation.index.tolist()]
    assert len(rows) == len(set(rows)) == 999
    assert np.bincount(data.validation.labels).tolist() == [30] * 10
    assert sorted(np.bincount(data.train.labels)) == [69] + [70] * 9
    assert sorted(np.bincount(data.test.labels)) == [5] * 5 + [6] * 5
    for split in (data.train, data.validation, data.test):
        assert split.labels.tolist() == (split.index % 10).tolist()


def test_the_splits_are_the_same_on_every_platform(cache: Path) -> None:
    data = load(
        DataSpec(image_size=24, train_images=40, test_images=20, validation_fraction=0.25),
        cache=cache,
    )
    assert data.validation.index.tolist() == [
        11,
        340,
        657,
        1526,
        1808,
        1839,
        2104,
        3423,
        3742,
        3835,
    ]
    assert data.test.index.tolist()[:8] == [7, 18, 35, 41, 130, 136, 222, 259]


def test_split_seed_draws_other_images_and_nothing_else_does(shapes: DataSet, cache: Path) -> None:
    base = DataSpec(image_size=24, test_images=100)
    first, again, other = (
        load(spec, cache=cache)
        for spec in (
            base,
            base.with_values({"grey_images": "convert"}),
            base.with_values({"split_seed": 1}),
        )
    )
    for name in ("train", "validation", "test"):
        assert np.array_equal(getattr(first, name).index, getattr(again, name).index)
        assert not np.array_equal(getattr(first, name).index, getattr(other, name).index)
    assert np.array_equal(first.train.index, shapes.train.index)


def test_a_smaller_subset_lies_within_a_larger(cache: Path) -> None:
    def subset(count: int) -> set[int]:
        data = load(
            DataSpec(image_size=24, train_images=count, validation_fraction=0.5), cache=cache
        )
        return {*data.train.index.tolist(), *data.validation.index.tolist()}

    assert subset(205) < subset(400) < subset(1000)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"train_images": 1458}, "data.train_images=1458: there are only 1457 images"),
        ({"train_images": 9}, "data.train_images=9: is fewer than the 10 classes"),
        ({"test_images": 341}, "data.test_images=341: there are only 340 images"),
        ({"test_images": 9}, "data.test_images=9: is fewer than the 10 classes"),
        (
            {"validation_fraction": 0.001},
            "data.validation_fraction=0.001: leaves 10 of 10 classes without a validation",
        ),
        (
            {"validation_fraction": 0.999},
            "data.validation_fraction=0.999: leaves 10 of 10 classes without a training",
        ),
    ],
)
def test_counts_that_cannot_be_given_name_the_field(
    cache: Path, values: dict[str, Any], problem: str
) -> None:
    problems = problems_of(DataSpec(name="digits", image_size=8, **values), cache)
    assert [line.startswith(problem) for line in problems] == [True]


def test_both_counts_are_told_at_once(cache: Path) -> None:
    assert (
        len(
            problems_of(
                DataSpec(name="digits", image_size=8, train_images=5000, test_images=5), cache
            )
        )
        == 2
    )


def test_content_is_checked(shapes: DataSet, cache: Path) -> None:
    assert content_digest(DataSpec(image_size=32)) == shapes.content
    assert (
        load(DataSpec(image_size=24, content=shapes.content), cache=cache).content == shapes.content
    )
    (problem,) = problems_of(DataSpec(image_size=24, content="0123"), cache)
    assert "data.content='0123'" in problem
    assert shapes.content in problem


# Embedded data sets


def test_shapes_are_always_the_same() -> None:
    images = np.concatenate([*draw(TRAIN, 200, 24), *draw(TEST, 100, 24)])
    assert images.shape == (300, 3, 24, 24)
    assert hashlib.sha256(images.tobytes()).hexdigest()[:20] == "fec832c459bf08fa5a77"


def test_more_shapes_begin_with_the_same(shapes: DataSet, tmp_path: Path) -> None:
    more = load(DataSpec(image_size=24, train_images=4700, test_images=1003), cache=tmp_path)
    assert (len(more.train) + len(more.validation), len(more.test)) == (4700, 1003)
    assert np.array_equal(more.train.images[:4000], shapes.train.images)
    assert np.array_equal(more.test.images[:1000], shapes.test.images)
    assert (
        len({image.tobytes() for image in np.concatenate([more.train.images, more.test.images])})
        == 5703
    )


def test_shapes_are_class_balanced(shapes: DataSet) -> None:
    assert shapes.classes == CLASSES
    assert np.bincount(shapes.train.labels).tolist() == [360] * 10
    assert np.bincount(shapes.validation.labels).tolist() == [40] * 10
    assert np.bincount(shapes.test.labels).tolist() == [100] * 10


def color_histogram(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Share of pixels in each of 4 x 4 x 4 colours, of an image [3, H, W]."""
    bins = (image.astype(np.int64) // 64).reshape(3, -1)
    return np.bincount(bins[0] * 16 + bins[1] * 4 + bins[2], minlength=64) / bins.shape[1]


def test_crops_of_one_image_share_their_colors(shapes: DataSet) -> None:
    """Figure 6 of the paper: with colours undistorted, the histogram alone finds the other crop of
    an image.
    """
    generator = np.random.default_rng(0)
    images = images_of(shapes.test)[:400]

    def crops() -> NDArray[np.float64]:
        corners = generator.integers(0, 11, size=(len(images), 2))
        return np.stack(
            [
                color_histogram(image[:, y : y + 14, x : x + 14])
                for image, (y, x) in zip(images, corners, strict=True)
            ]
        )

    distances = np.abs(crops()[:, None] - crops()[None]).sum(axis=2) / 2
    same = np.diag(distances).mean()
    different = distances[~np.eye(len(images), dtype=bool)].mean()
    assert same < 0.25
    assert different > 0.85
    assert (distances.argmin(axis=1) == np.arange(len(images))).mean() > 0.8


def test_the_class_is_in_the_shape_and_not_in_the_mean_color(shapes: DataSet) -> None:
    def mean_color(split: Split) -> NDArray[np.float64]:
        colors: NDArray[np.float64] = images_of(split).mean(axis=(2, 3)) / 255
        return colors

    def silhouette(split: Split) -> NDArray[np.float64]:
        """How far each pixel's colour is from the border's, so that no single colour tells
        anything.
        """
        images = images_of(split).astype(np.float64) / 255
        border = np.concatenate(
            [images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1]], axis=2
        )
        difference: NDArray[np.float64] = np.linalg.norm(
            images - np.median(border, axis=2)[:, :, None, None], axis=1
        )
        return difference.reshape(len(images), -1)

    def accuracy(features: Any) -> float:
        classifier = LogisticRegression(max_iter=100, tol=1e-2).fit(
            features(shapes.train), shapes.train.labels
        )
        return float(classifier.score(features(shapes.test), shapes.test.labels))

    assert accuracy(mean_color) < 0.15
    assert accuracy(silhouette) > 0.35


def test_digits_are_scikit_learns(cache: Path) -> None:
    data = load(DataSpec(name="digits", image_size=8), cache=cache)
    bundle = load_digits()
    everything = {
        (np.rint(image * 15.9375).astype(np.uint8).tobytes(), int(label))
        for image, label in zip(bundle.images, bundle.target, strict=True)
    }
    seen = [
        (np.ascontiguousarray(image[1]).tobytes(), int(label))
        for split in (data.train, data.validation, data.test)
        for image, label in zip(images_of(split), split.labels, strict=True)
    ]
    assert len(seen) == 1797
    assert set(seen) == everything
    assert np.bincount(data.test.labels).tolist() == [34] * 10
    fifth_three = bundle.images[np.flatnonzero(bundle.target == 3)[4]]
    stored = images_of(data.test)[data.test.labels == 3][0]
    assert np.array_equal(stored[0], np.floor(fifth_three * 255 / 16 + 0.5))


def test_digits_are_enlarged(cache: Path) -> None:
    small, large = (
        images_of(load(DataSpec(name="digits", image_size=size), cache=cache).test)
        for size in (8, 32)
    )
    assert large.shape == (340, 3, 32, 32)
    expected = Image.fromarray(small[7, 0]).resize((32, 32), Image.Resampling.BICUBIC)
    assert np.array_equal(large[7], np.broadcast_to(np.asarray(expected), (3, 32, 32)))


# torchvision's data sets, in files as their authors lay them out


def random_images(seed: int, count: int, *shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, size=(count, *shape), dtype=np.uint8)


def labels_of(count: int) -> NDArray[np.uint8]:
    return (np.arange(count) % 10).astype(np.uint8)


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(
        side.to_bytes(4, "big") for side in array.shape
    )
    path.write_bytes(header + array.tobytes())


def write_fashion_mnist(root: Path, folder: str = "FashionMNIST") -> None:
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 40), ("t10k", 20)):
        write_idx(raw / f"{part}-images-idx3-ubyte", random_images(count, count, 28, 28))
        write_idx(raw / f"{part}-labels-idx1-ubyte", labels_of(count))


def test_fashion_mnist(tmp_path: Path) -> None:
    write_fashion_mnist(tmp_path)
    spec = DataSpec(name="fashion-mnist", root=str(tmp_path), image_size=28)
    data = load(spec.with_values({"validation_fraction": 0.25}), cache=tmp_path / "cache")
    assert np.array_equal(
        np.array(data.train.images), random_images(40, 40, 28, 28)[:, None].repeat(3, axis=1)
    )
    assert np.array_equal(images_of(data.test)[:, 2], random_images(20, 20, 28, 28))
    assert data.test.labels.tolist() == labels_of(20).tolist()
    assert data.classes[9] == "Ankle boot"
    assert images_of(
        load(
            spec.with_values({"image_size": 32, "validation_fraction": 0.25}),
            cache=tmp_path / "cache",
        ).test
    ).shape[2:] == (32, 32)


def test_mnist_is_read_and_has_a_content_of_its_own(tmp_path: Path) -> None:
    """Its files have the format and the names of Fashion-MNIST's, in another folder."""
    for folder in ("MNIST", "FashionMNIST"):
        write_fashion_mnist(tmp_path, folder)
    spec = DataSpec(
        name="mnist", root=str(tmp_path), image_size=28, validation_fraction=0.25, test_images=10
    )
    data = load(spec, cache=tmp_path / "cache")
    assert np.array_equal(
        np.array(data.train.images), random_images(40, 40, 28, 28)[:, None].repeat(3, axis=1)
    )
    assert sorted(data.test.labels.tolist()) == list(range(10))
    assert data.classes[9] == "9 - nine"
    assert data.content != content_digest(DataSpec(name="fashion-mnist", root=str(tmp_path)))
    (tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte").unlink()
    (problem,) = problems_of(spec, tmp_path / "cache")
    assert "has no mnist data (MNIST/raw/train-labels-idx1-ubyte missing)" in problem


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_damaged_files_are_told(name: Literal["mnist", "fashion-mnist"], tmp_path: Path) -> None:
    folder = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}[name]
    write_fashion_mnist(tmp_path, folder)
    (tmp_path / folder / "raw" / "t10k-images-idx3-ubyte").write_bytes(
        gzip.compress(b"still packed")
    )
    (problem,) = problems_of(DataSpec(name=name, root=str(tmp_path)), tmp_path / "cache")
    assert problem.startswith(
        f"data.root={str(tmp_path)!r}: the {name} data are damaged or incomplete"
    )


def test_the_content_of_files_is_their_bytes(tmp_path: Path) -> None:
    write_fashion_mnist(tmp_path)
    spec = DataSpec(name="fashion-mnist", root=str(tmp_path))
    before = content_digest(spec)
    path = tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    path.touch()
    assert content_digest(spec) == before
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert content_digest(spec) != before


def without_checksums(monkeypatch: pytest.MonkeyPatch, cls: Any) -> None:
    """torchvision compares the files of these sets with those of their authors, which tests cannot
    ship.
    """
    for table in ("train_list", "test_list"):
        monkeypatch.setattr(cls, table, [[name, None] for name, _ in getattr(cls, table)])


def test_cifar10_and_cifar100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cls, key, meta in (
        (torchvision_datasets.CIFAR10, "labels", "label_names"),
        (torchvision_datasets.CIFAR100, "fine_labels", "fine_label_names"),
    ):
        without_checksums(monkeypatch, cls)
        monkeypatch.setattr(cls, "meta", {**cls.meta, "md5": None})
        folder = tmp_path / cls.base_folder
        folder.mkdir()
        for seed, (name, _) in enumerate([*cls.train_list, *cls.test_list]):
            batch = {"data": random_images(seed, 20, 3072), key: labels_of(20).tolist()}
            (folder / name).write_bytes(pickle.dumps(batch))
        (folder / cls.meta["filename"]).write_bytes(pickle.dumps({meta: list("abcdefghij")}))
    for name, batches in (("cifar10", 5), ("cifar100", 1)):
        spec = DataSpec(name=name, root=str(tmp_path), validation_fraction=0.5)
        data = load(spec, cache=tmp_path / "cache")
        assert len(data.train) + len(data.validation) == 20 * batches
        assert np.array_equal(images_of(data.test), random_images(batches, 20, 3, 32, 32))
        assert data.classes == tuple("abcdefghij")
        assert data.test.labels.tolist() == labels_of(20).tolist()


def test_stl10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_checksums(monkeypatch, torchvision_datasets.STL10)
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    for part, count in (("train", 40), ("test", 20)):
        columns_first = random_images(count, count, 3, 96, 96).transpose(0, 1, 3, 2)
        (folder / f"{part}_X.bin").write_bytes(columns_first.tobytes())
        (folder / f"{part}_y.bin").write_bytes((labels_of(count) + 1).tobytes())
    (folder / "unlabeled_X.bin").write_bytes(bytes(7 * 3 * 96 * 96))
    (folder / "class_names.txt").write_text("\n".join("abcdefghij"))
    spec = DataSpec(name="stl10", root=str(tmp_path), image_size=96, validation_fraction=0.25)
    data = load(spec, cache=tmp_path / "cache")
    assert data.inventory.lines() == [
        "left out: 7 images without labels, such as stl10_binary/unlabeled_X.bin"
    ]
    assert np.array_equal(images_of(data.test), random_images(20, 20, 3, 96, 96))
    assert len(data.train) + len(data.validation) == 40
    assert data.test.labels.tolist() == labels_of(20).tolist()
    assert data.classes == tuple("abcdefghij")


def test_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cls = torchvision_datasets.SVHN
    monkeypatch.setattr(
        cls,
        "split_list",
        {part: [url, name, None] for part, (url, name, _) in cls.split_list.items()},
    )
    for part, count in (("train", 40), ("test", 20)):
        images = random_images(count, count, 3, 32, 32)
        ten_is_zero = np.where(labels_of(count) == 0, 10, labels_of(count))
        savemat(
            tmp_path / f"{part}_32x32.mat",
            {"X": images.transpose(2, 3, 1, 0), "y": ten_is_zero[:, None]},
        )
    data = load(
        DataSpec(name="svhn", root=str(tmp_path), validation_fraction=0.25),
        cache=tmp_path / "cache",
    )
    assert np.array_equal(images_of(data.test), random_images(20, 20, 3, 32, 32))
    assert data.test.labels.tolist() == labels_of(20).tolist()


@pytest.mark.parametrize("name", [*TORCHVISION, "imagenet", "image-folder"])
def test_a_root_is_required_and_must_hold_the_data(name: Any, tmp_path: Path) -> None:
    (problem,) = problems_of(DataSpec(name=name), tmp_path)
    assert problem.startswith(f"data.root: is required by data.name={name!r}")
    empty = tmp_path / "empty"
    empty.mkdir()
    for call in (lambda spec: load(spec, cache=tmp_path), content_digest):
        with pytest.raises(SpecError) as caught:
            call(DataSpec(name=name, root=str(empty)))
        assert caught.value.problems[0].startswith(f"data.root={str(empty)!r}: has no ")
        if name in TORCHVISION:
            assert "--download" in str(caught.value)


# The cache


def test_the_cache_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("SIMCLR_ORCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "simclr-orch" / "decoded"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache() == tmp_path / "xdg" / "simclr-orch" / "decoded"
    monkeypatch.setenv("SIMCLR_ORCH_CACHE", str(tmp_path / "mine"))
    assert default_cache() == tmp_path / "mine"
    load(DataSpec(name="digits", image_size=8))
    assert [path for path in (tmp_path / "mine").iterdir() if path.is_dir()]


@pytest.mark.parametrize("variable", ["HOME", "XDG_CACHE_HOME"])
def test_where_nothing_can_be_written_at_home_the_cache_is_among_temporary_files(
    variable: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("SIMCLR_ORCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.write_text("stands for a home that may only be read")
    monkeypatch.setenv(variable, str(home))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    expected = tmp_path / f"simclr-orch-{os.getuid()}" / "decoded"
    assert default_cache() == default_cache() == expected
    (said,) = caplog.messages
    assert str(home) in said
    assert f"images are kept in {expected}, or where SIMCLR_ORCH_CACHE says" in said
    load(DataSpec(name="digits", image_size=8))
    assert [path for path in expected.iterdir() if path.is_dir()]


def test_a_cache_that_was_asked_for_and_cannot_be_written_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SIMCLR_ORCH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(SpecError) as refused:
        load(DataSpec(name="digits", image_size=8))
    (problem,) = refused.value.problems
    assert problem.startswith(f"SIMCLR_ORCH_CACHE='{tmp_path}/file/cache': cannot be written (")


def test_loading_again_reads_the_same_file(tmp_path: Path) -> None:
    spec = DataSpec(name="digits", image_size=8)
    first = load(spec, cache=tmp_path)
    (stored,) = tmp_path.glob("*/train.npy")
    inode, written = stored.stat().st_ino, stored.stat().st_mtime_ns
    second = load(spec.with_values({"split_seed": 5, "train_images": 100}), cache=tmp_path)
    assert isinstance(second.train.images, np.memmap)
    assert (stored.stat().st_ino, stored.stat().st_mtime_ns) == (inode, written)
    assert np.array_equal(first.train.images, second.train.images)
    load(spec.with_values({"image_size": 9}), cache=tmp_path)
    assert len(list(tmp_path.glob("*/train.npy"))) == 2


def test_an_image_size_that_the_disk_has_no_room_for(tmp_path: Path) -> None:
    (problem,) = problems_of(DataSpec(image_size=512, train_images=10**10), tmp_path)
    assert problem.startswith("data.image_size=512: 10000000000 decoded images take 7324218.8 GiB")
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


# A process that decodes four images of increasing value slowly, and logs that it did.
DECODING_PROCESS = """
import sys, time
from pathlib import Path
import numpy as np
from workloads.datasets.cache import Labels, stored, write_images

cache, seconds = Path(sys.argv[1]), float(sys.argv[2])

def slowly():
    for value in range(4):
        print("image", value, flush=True)
        time.sleep(seconds)
        yield np.full((1, 3, 8, 8), value, dtype=np.uint8)

def decode(folder):
    with (cache / "log").open("a") as log:
        log.write("decoding\\n")
    write_images(folder / "train.npy", 4, 8, slowly())
    write_images(folder / "test.npy", 4, 8, slowly())
    return Labels(np.arange(4), np.arange(4), ("a", "b", "c", "d"))

entry = stored(cache, "entry", decode)
print(entry.train_images.sum(), entry.test_images.sum(), entry.labels.train.sum())
"""


def start_decoding(cache: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DECODING_PROCESS, str(cache), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def result_of(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output.splitlines()[-1]


TOTALS = f"{6 * 192} {6 * 192} 6"


def test_processes_at_the_same_time_decode_once(tmp_path: Path) -> None:
    processes = [start_decoding(tmp_path, 0.3) for _ in range(3)]
    assert [result_of(process) for process in processes] == [TOTALS] * 3
    assert (tmp_path / "log").read_text() == "decoding\n"


def test_what_a_killed_process_left_is_never_read(tmp_path: Path) -> None:
    process = start_decoding(tmp_path, 0.5)
    assert process.stdout is not None
    while process.stdout.readline() != "image 2\n":
        pass
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    assert not (tmp_path / "entry").exists()
    assert result_of(start_decoding(tmp_path, 0.0)) == TOTALS
    assert (tmp_path / "log").read_text() == "decoding\n" * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["entry", "entry.lock", "log"]
