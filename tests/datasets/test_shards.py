"""One process with an oracle: data.name=shards against the image folder that was written as shards,
and PIL.
"""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import fs, parquet

from workloads.datasets import DataSet, DataSpec, content_digest, load
from workloads.datasets.shards.archives import members_of
from workloads.datasets.shards.contents import Asked
from workloads.datasets.shards.sharding import plan_shards
from workloads.datasets.shards.write import write_shards
from workloads.distributed.worker import Worker
from workloads.simclr.pretrain import pretrain
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError

PARTS = ("train", "validation", "test")


def picture(seed: int, width: int = 20, height: int = 16) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, size=(4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(seed: int, format: str = "JPEG", mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    picture(seed).convert(mode).save(file, format)
    return file.getvalue()


def write_folder(root: Path, per_class: int = 7, test: str = "test") -> Path:
    """Three classes in three formats; names with dots, and some that sort differently as
    numbers.
    """
    for part in ("train", test):
        for number, name in enumerate(("cat", "dog", "emu")):
            (root / part / name).mkdir(parents=True)
            for image in range(per_class):
                ending, format = (("jpg", "JPEG"), ("JPEG", "JPEG"), ("png", "PNG"))[image % 3]
                data = encoded(1000 * (part == "train") + 100 * number + image, format)
                (root / part / name / f"photo.v{image + 8}.{ending}").write_bytes(data)
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("images"))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def sharded(folder: Path, output: Path, format: str = "tar", images_per_shard: int = 4) -> Path:
    list(
        write_shards(
            plan_shards(folder, output, images_per_shard=images_per_shard, format=format), workers=2
        )
    )
    return output


def spec_of(root: Path | str, name: str = "shards", **values: Any) -> DataSpec:
    tree = {"name": name, "root": str(root), "image_size": 16, "validation_fraction": 0.3}
    return DataSpec.read(tree | values)


def everything(data: DataSet) -> list[Any]:
    splits = [getattr(data, part) for part in PARTS]
    return [
        *(split.take(slice(None)).tolist() for split in splits),
        *(split.labels.tolist() for split in splits),
        *(split.index.tolist() for split in splits),
        data.classes,
    ]


def problems_of(spec: DataSpec, cache: Path) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(spec, cache=cache)
    return caught.value.problems


def write_tar(path: Path, members: Mapping[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def write_both(root: Path, members: Mapping[str, bytes]) -> Path:
    for part in ("train", "test"):
        write_tar(root / part / "0.tar", members)
    return root


# The same images as a folder and as shards


@pytest.mark.parametrize("format", ["tar", "parquet"])
@pytest.mark.parametrize(
    "values", [{}, {"train_images": 12, "test_images": 7, "split_seed": 3, "image_size": 24}]
)
def test_shards_of_a_folder_give_its_pixels_labels_and_splits(
    folder: Path, tmp_path: Path, cache: Path, format: str, values: dict[str, Any]
) -> None:
    expected = load(spec_of(folder, "image-folder", **values), cache=cache)
    found = load(spec_of(sharded(folder, tmp_path / "shards", format), **values), cache=cache)
    assert everything(found) == everything(expected)
    assert found.train.images.shape == expected.train.images.shape
    assert len(found.test.images) == len(expected.test.images)


def test_val_takes_the_place_of_test(tmp_path: Path, cache: Path) -> None:
    folder = write_folder(tmp_path / "images", test="val")
    found = load(spec_of(sharded(folder, tmp_path / "shards")), cache=cache)
    assert everything(found) == everything(load(spec_of(folder, "image-folder"), cache=cache))


def test_training_on_shards_equals_training_on_the_folder(folder: Path, tmp_path: Path) -> None:
    tree = {
        "augment": {"operations": ["crop"]},
        "encoder": {"architecture": "convnet", "width": 0.125, "stem": "cifar"},
        "optim": {"name": "adamw", "base_learning_rate": 0.02, "scaling": "none"},
        "schedule": {"epochs": 2, "batch_size": 4, "warmup_epochs": 0},
        "precision": "fp32",
    }
    states = []
    for name, root in (("image-folder", folder), ("shards", sharded(folder, tmp_path / "shards"))):
        spec = RunSpec.read(tree | {"data": spec_of(root, name).tree()})
        states.append(
            [result.state["model"] for result in pretrain(spec, Worker(torch.device("cpu")))]
        )
    for of_folder, of_shards in zip(*states, strict=True):
        assert all(torch.equal(of_folder[name], of_shards[name]) for name in of_folder)


def test_a_stream_equals_one_batch_after_the_other(
    folder: Path, tmp_path: Path, cache: Path
) -> None:
    for spec in (spec_of(folder, "image-folder"), spec_of(sharded(folder, tmp_path / "shards"))):
        split = load(spec, cache=cache).train
        batches = list(
            torch.randperm(len(split), generator=torch.Generator().manual_seed(1)).split(4)
        )
        streamed = list(split.stream(iter(batches)))
        assert [len(images) for images in streamed] == [4, 4, 4, 3]
        assert all(
            torch.equal(images, split.take(rows))
            for images, rows in zip(streamed, batches, strict=True)
        )
        next(split.stream(batches))  # and no further


def test_only_an_index_is_cached_and_it_serves_every_size(
    folder: Path, tmp_path: Path, cache: Path
) -> None:
    root = sharded(folder, tmp_path / "shards")
    load(spec_of(root), cache=cache)
    entries = [path for path in cache.iterdir() if path.is_dir()]
    load(spec_of(root, image_size=500, split_seed=1), cache=cache)
    assert [path for path in cache.iterdir() if path.is_dir()] == entries
    assert sum(path.stat().st_size for path in entries[0].iterdir()) < 42 * 200
    moved = root.rename(tmp_path / "moved")
    assert len(load(spec_of(moved), cache=cache).train.take(slice(None))) == 15


def test_shards_in_an_object_store(folder: Path, tmp_path: Path, cache: Path, bucket: str) -> None:
    root = sharded(folder, tmp_path / "shards")
    store, base = fs.FileSystem.from_uri(bucket)
    fs.copy_files(str(root), f"{base}/photos", destination_filesystem=store)
    found = load(spec_of(f"{bucket}/photos"), cache=cache)
    local = load(spec_of(root), cache=cache)
    assert everything(found) == everything(local)
    assert found.content == local.content
    assert problems_of(spec_of(f"{bucket}/nothing"), cache)[0] == (
        f"data.root='{bucket}/nothing': has no folder train"
    )


# Shards that others wrote


def test_foreign_tar_files_are_ordered_by_class_and_name(tmp_path: Path, cache: Path) -> None:
    labels = {"b/7": b"10", "a/7": b"2\n", "c/1": b"10"}
    for part in ("train", "test"):
        first = {f"{key}.jpg": encoded(number) for number, key in enumerate(labels)}
        first |= {f"{key}.cls": label for key, label in labels.items()} | {
            "b/7.seg.png": b"a mask",
            "notes.txt": b"x",
        }
        write_tar(tmp_path / part / "x-1.tar", first)
        write_tar(
            tmp_path / part / "x-0.tar", {"0.json": b'{"label": 2}', "0.png": encoded(3, "PNG")}
        )
    data = load(spec_of(tmp_path, validation_fraction=0.5), cache=cache)
    assert data.classes == ("2", "10")
    assert data.test.labels.tolist() == [0, 0, 1, 1]
    expected = [
        np.asarray(Image.open(io.BytesIO(encoded(seed))).crop((2, 0, 18, 16))) for seed in (1, 0, 2)
    ]
    assert np.array_equal(data.test.take(slice(1, None)).permute(0, 2, 3, 1).numpy(), expected)


def test_class_names_as_labels(tmp_path: Path, cache: Path) -> None:
    members = {f"{key}.jpg": encoded(seed) for seed, key in enumerate("abcd")}
    root = write_both(
        tmp_path,
        members
        | {f"{key}.cls": name for key, name in zip("abcd", [b"ox", b"bee"] * 2, strict=True)},
    )
    data = load(spec_of(root, validation_fraction=0.5), cache=cache)
    assert data.classes == ("bee", "ox")
    assert data.test.labels.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("compression", ["snappy", "none"])
@pytest.mark.parametrize("nested", [False, True])
def test_foreign_parquet_files_of_either_layout(
    tmp_path: Path, cache: Path, compression: str, nested: bool
) -> None:
    images = [encoded(seed) for seed in range(6)]
    values = (
        [{"bytes": data, "path": f"{seed}.jpg"} for seed, data in enumerate(images)]
        if nested
        else images
    )
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        table = pa.table({"label": [1, 0, 1, 0, 1, 0], "image": values})
        parquet.write_table(
            table, tmp_path / part / "0.parquet", compression=compression, row_group_size=4
        )
    data = load(spec_of(tmp_path, validation_fraction=0.34), cache=cache)
    expected = [
        np.asarray(Image.open(io.BytesIO(images[seed])).crop((2, 0, 18, 16)))
        for seed in (1, 3, 5, 0, 2, 4)
    ]
    assert np.array_equal(data.test.take(slice(None)).permute(0, 2, 3, 1).numpy(), expected)
    assert data.test.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_our_parquet_files_are_read_where_they_lie(folder: Path, tmp_path: Path) -> None:
    path = next((sharded(folder, tmp_path / "shards", "parquet", 9) / "train").iterdir())
    with path.open("rb") as file:
        members = members_of(file, tmp_path / "copy", Asked()).members
    assert not (tmp_path / "copy").exists()
    rows = parquet.read_table(path).to_pylist()
    whole = path.read_bytes()
    assert [whole[one.offset : one.offset + one.length] for one in members] == [
        row["image"] for row in rows
    ]


# What is wrong with shards


def test_what_is_wrong_with_the_layout_is_said(tmp_path: Path, cache: Path) -> None:
    root = f"data.root={str(tmp_path)!r}"
    assert problems_of(spec_of(tmp_path), cache) == [
        f"{root}: has no folder train",
        f"{root}: has no folder test or val",
    ]
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "a.zip").write_bytes(b"x")
    assert problems_of(spec_of(tmp_path), cache)[0] == (
        f"{root}: train holds no .tar or .parquet file"
    )
    (problem,) = problems_of(spec_of("ftp://nowhere/x"), cache)
    assert problem.startswith("data.root='ftp://nowhere/x': cannot be read: ")


GOOD = {"a.jpg": encoded(0), "a.cls": b"0", "b.jpg": encoded(1), "b.cls": b"1"}


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        (
            GOOD | {"c.jpg": encoded(2)},
            "c.jpg: has no label beside it (.cls, or .json with label); 1 lack one; "
            "data.labels='none' trains on all without labels",
        ),
        (
            GOOD | {"a.png": encoded(2)},
            "a: has two images, a.jpg and a.png; data.image_column says which ending is meant, "
            "such as 'jpg'",
        ),
        (GOOD | {"b.cls": b" "}, "b.cls: says no label"),
        (GOOD | {"c.jpg": b"", "c.json": b"{"}, "c.json: is not JSON"),
        (GOOD | {"c.jpg": b"", "c.json": b'{"caption": 1}'}, "c.json: says no label"),
    ],
)
def test_a_bad_member_is_named(
    tmp_path: Path, cache: Path, members: dict[str, bytes], problem: str
) -> None:
    assert problems_of(spec_of(write_both(tmp_path, members)), cache) == [
        f"{tmp_path}/train/0.tar: {problem}"
    ]


def test_classes_have_to_agree(tmp_path: Path, cache: Path) -> None:
    write_both(tmp_path, GOOD)
    write_tar(tmp_path / "train" / "1.tar", {"c.jpg": encoded(2), "c.cls": b"7"})
    assert problems_of(spec_of(tmp_path), cache) == [
        f"{tmp_path}: test lacks classes that the other part has: 7"
    ]
    write_tar(tmp_path / "train" / "1.tar", {"c.jpg": encoded(2), "c.cls": b"ox"})
    assert problems_of(spec_of(tmp_path), cache) == [
        f"{tmp_path}/train: some labels are numbers and others names"
    ]


@pytest.mark.parametrize("name", ["0.tar", "0.parquet"])
def test_files_that_are_no_shards_or_are_cut_off(tmp_path: Path, cache: Path, name: str) -> None:
    write_both(tmp_path, GOOD)
    path = tmp_path / "train" / name
    path.unlink(missing_ok=True)
    path.write_bytes(b"PAR1 and no more" if name.endswith("parquet") else b"no tar" * 200)
    (problem,) = problems_of(spec_of(tmp_path), cache)
    assert problem.startswith(
        f"{path}: is no {'Parquet' if name.endswith('parquet') else 'tar'} file, or a damaged one: "
    )


def test_a_tar_file_that_is_cut_off(tmp_path: Path, cache: Path) -> None:
    path = write_both(tmp_path, GOOD) / "train" / "0.tar"
    path.write_bytes(path.read_bytes()[:700])
    (problem,) = problems_of(spec_of(tmp_path), cache)
    assert problem.startswith(f"{path}: ")


def test_a_damaged_image_ends_a_run_or_is_left_out(tmp_path: Path, cache: Path) -> None:
    more = {f"{key}.jpg": encoded(seed) for seed, key in enumerate("cdefgh", start=2)}
    more |= {f"{key}.cls": b"%d" % (seed % 2) for seed, key in enumerate("cdefgh", start=2)}
    broken = encoded(9)[:-30]
    write_both(tmp_path, GOOD | more)
    write_tar(tmp_path / "train" / "0.tar", GOOD | more | {"e.jpg": broken})
    data = load(spec_of(tmp_path), cache=cache)
    with pytest.raises(
        SpecError,
        match=rf"^{tmp_path}/train/0.tar: e.jpg: " r".*truncated.*data.allow_unreadable above 0",
    ):
        data.train_and_validation().take(slice(None))
    data = load(spec_of(tmp_path, allow_unreadable=1), cache=cache)
    assert len(data.train_and_validation().take(slice(None))) == 7
    assert [
        note.startswith(f"left out, cannot be read: {tmp_path}/train/0.tar: e.jpg: ")
        for note in data.notes
    ] == [True]

    write_tar(tmp_path / "train" / "0.tar", GOOD | more | {"e.jpg": b"no image", "f.jpg": b""})
    summary, *lines = problems_of(spec_of(tmp_path, allow_unreadable=1), cache)
    assert summary == "data.allow_unreadable=1: 2 of 16 images cannot be read:"
    assert lines == [
        f"{tmp_path}/train/0.tar: {name}.jpg: cannot identify image file" for name in "ef"
    ]
    assert problems_of(spec_of(tmp_path), cache)[0].startswith("data.allow_unreadable=0: 2 of 16")


def test_a_class_without_a_readable_image_is_refused(tmp_path: Path, cache: Path) -> None:
    write_both(tmp_path, GOOD)
    write_tar(tmp_path / "test" / "0.tar", GOOD | {"b.jpg": b"no image"})
    assert problems_of(spec_of(tmp_path, allow_unreadable=3), cache) == [
        f"{tmp_path}: test has no image of '1' that can be read"
    ]


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_a_grey_image_among_colour_ones_is_refused_or_converted(
    tmp_path: Path, cache: Path, mode: str
) -> None:
    grey = encoded(5, "PNG", mode)
    root = write_both(
        tmp_path, GOOD | {"c.png": grey, "c.cls": b"1", "d.jpg": encoded(6), "d.cls": b"0"}
    )
    summary, *lines = problems_of(spec_of(root), cache)
    assert summary.startswith(
        "data.grey_images='refuse': 2 of 8 images are grey and the others in colour; "
    )
    assert lines == [f"{root}/{part}/0.tar: c.png: is grey" for part in ("train", "test")]
    data = load(spec_of(root, grey_images="convert", validation_fraction=0.5), cache=cache)
    image = data.test.take(np.array([3]))[0].numpy()
    expected = np.asarray(Image.open(io.BytesIO(grey)).convert("L").crop((2, 0, 18, 16)))
    assert all(np.array_equal(channel, expected) for channel in image)


def test_content_follows_names_sizes_and_bytes(folder: Path, tmp_path: Path) -> None:
    root = sharded(folder, tmp_path / "shards")
    first = content_digest(spec_of(root))
    assert content_digest(spec_of(root, image_size=24, split_seed=3)) == first
    assert content_digest(spec_of(sharded(folder, tmp_path / "again"))) == first
    victim = sorted((root / "train").iterdir())[2]
    original = victim.read_bytes()
    victim.write_bytes(original[:1000] + bytes([original[1000] ^ 1]) + original[1001:])
    assert content_digest(spec_of(root)) != first
    victim.write_bytes(original)
    assert content_digest(spec_of(root)) == first
    victim.rename(victim.with_name("other.tar"))
    assert content_digest(spec_of(root)) != first
    victim.with_name("other.tar").rename(victim)
    manifest = json.loads((root / "manifest.json").read_text())
    (root / "manifest.json").write_text(json.dumps(manifest | {"classes": ["x", "y", "z"]}))
    assert content_digest(spec_of(root)) != first


def test_unfinished_shards_are_refused(folder: Path, tmp_path: Path, cache: Path) -> None:
    writing = write_shards(
        plan_shards(folder, tmp_path, images_per_shard=21, format="tar"), workers=1
    )
    next(writing)
    writing.close()
    assert (
        f"data.root={str(tmp_path)!r}: is not finished; run the `simclr-orch data shard` that "
        "began it again"
    ) in problems_of(spec_of(tmp_path), cache)


@pytest.mark.parametrize("format", ["tar", "parquet"])
def test_files_without_an_ending_of_images_and_of_any_name_become_shards(
    tmp_path: Path, cache: Path, format: str
) -> None:
    for part in ("train", "test"):
        for number, name in enumerate(("cat", "caf\udce9")):
            (tmp_path / "images" / part / name / "day.2").mkdir(parents=True)
            for image, file in enumerate(("photo.v2-3", "day.2/plain", "x\udcff.jfif", "y.png")):
                data = encoded(1000 * (part == "train") + 100 * number + image)
                (tmp_path / "images" / part / name / file).write_bytes(data)
    expected = load(spec_of(tmp_path / "images", "image-folder"), cache=cache)
    root = sharded(tmp_path / "images", tmp_path / "shards", format)
    found = load(spec_of(root), cache=cache)
    assert everything(found)[:-1] == everything(expected)[:-1]
    if format == "tar":
        with tarfile.open(root / "train" / "train-000000.tar") as archive:
            endings = {member.name.rpartition(".")[2] for member in archive}
        assert endings <= {"jpg", "jfif", "png", "cls"}
