"""Seconds: data sets of more than 8 bits, as folders and as shards, from files to stored pixels."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from workloads.datasets import DataSet, DataSpec, content_digest, load
from workloads.datasets.shards.sharding import plan_shards
from workloads.datasets.shards.write import write_shards
from workloads.spec import SpecError

SIDE = 16
Array = NDArray[Any]


def samples(seed: int, high: int, low: int = 0) -> Array:
    generator = np.random.default_rng(seed)
    drawn = generator.integers(low, high, (SIDE, SIDE), endpoint=True)
    drawn[0, 0], drawn[0, 1] = low, high
    return drawn


def write(root: Path, images: dict[str, list[Array]], ending: str = "png") -> Path:
    """A folder of two classes with the same images in each, by part."""
    for part, arrays in images.items():
        for name in ("cat", "dog"):
            (root / part / name).mkdir(parents=True, exist_ok=True)
            for number, array in enumerate(arrays):
                Image.fromarray(array).save(root / part / name / f"{number:02d}.{ending}")
    return root


def twelve_bits(high: int = 4095, test: int = 4000) -> dict[str, list[Array]]:
    return {
        "train": [samples(seed, high).astype("u2") for seed in range(6)],
        "test": [samples(seed, test).astype("u2") for seed in range(50, 53)],
    }


def spec_of(root: Path, **values: Any) -> DataSpec:
    tree = {"name": "image-folder", "root": str(root), "image_size": SIDE}
    return DataSpec.read(tree | {"validation_fraction": 0.25} | values)


def stored(data: DataSet, part: str = "test") -> Array:
    """The first channel of the images of a part, in the order of the stored rows."""
    split = {"test": data.test, "train": data.train_and_validation()}[part]
    images = split.take(slice(None)).numpy()
    assert (images[:, :1] == images).all()
    return images[:, 0]


def sharded(folder: Path, output: Path, format: str = "tar") -> Path:
    plan = plan_shards(folder, output, images_per_shard=5, format=format)
    list(write_shards(plan, workers=2))
    return output


def test_12_bits_in_16_are_256_shades(tmp_path: Path) -> None:
    images = twelve_bits()
    data = load(spec_of(write(tmp_path / "images", images)), cache=tmp_path / "cache")
    for part, arrays in images.items():
        expected = np.stack([array >> 4 for array in arrays] * 2)
        assert np.array_equal(stored(data, part), expected)
    assert "18 images of whole numbers beyond 8 bits: 0 to 4095 become 0 to 255" in data.notes
    again = load(spec_of(tmp_path / "images"), cache=tmp_path / "cache")
    assert again.notes == data.notes
    assert np.array_equal(stored(again), stored(data))


@pytest.mark.parametrize("format", ["tar", "parquet"])
@pytest.mark.parametrize("values", [{}, {"value_range": [100, 3000]}, {"allow_unreadable": 1}])
def test_shards_give_the_pixels_of_the_folder(
    tmp_path: Path, format: str, values: dict[str, Any]
) -> None:
    folder = write(tmp_path / "images", twelve_bits(test=9000))
    shards = sharded(folder, tmp_path / "shards", format)
    expected = load(spec_of(folder, **values), cache=tmp_path / "cache")
    found = load(spec_of(shards, name="shards", **values), cache=tmp_path / "cache")
    for part in ("train", "test"):
        assert np.array_equal(stored(found, part), stored(expected, part))
    kept = [note for note in expected.notes if "beyond 8 bits" in note]
    assert kept
    assert set(kept) <= set(found.notes)
    larger = load(spec_of(shards, name="shards", image_size=24, **values), cache=tmp_path / "cache")
    assert larger.train.take(slice(0, 1)).max() == 255


def test_what_test_images_have_beyond_the_range_is_counted(tmp_path: Path) -> None:
    root = write(tmp_path / "images", twelve_bits(high=1000, test=9000))
    data = load(spec_of(root), cache=tmp_path / "cache")
    (note,) = [note for note in data.notes if "beyond 8 bits" in note]
    assert "0 to 1023 become 0 to 255; 6 have values outside, which are cut off" in note
    assert stored(data).max() == 255


def test_a_range_that_is_given_holds_for_all(tmp_path: Path) -> None:
    images = twelve_bits()
    root = write(tmp_path / "images", images)
    cache = tmp_path / "cache"
    free = load(spec_of(root), cache=cache)
    given = load(spec_of(root, value_range=[0, 2047]), cache=cache)
    assert np.array_equal(
        stored(given), np.stack([a.clip(0, 2047) >> 3 for a in images["test"]] * 2)
    )
    assert any("18 have values outside" in note for note in given.notes)
    same = load(spec_of(root, value_range=[0, 4095]), cache=cache)
    assert np.array_equal(stored(same), stored(free))
    wide = load(spec_of(root, value_range=[0, 65535]), cache=cache)
    assert any(
        "18 are left with fewer than 16 shades" in n or "shades" not in n for n in wide.notes
    )
    assert stored(wide).max() == 15


@pytest.mark.parametrize("kind", ["i4", "f4"])
def test_signed_and_floating_images_span_from_their_smallest_to_their_largest(
    tmp_path: Path, kind: str
) -> None:
    images = {
        part: [samples(seed + number, 900, -1100).astype(kind) for seed in range(4)]
        for number, part in enumerate(("train", "test"))
    }
    data = load(spec_of(write(tmp_path / "images", images, "tiff")), cache=tmp_path / "cache")
    width = 2000 + (kind == "i4")
    steps = [np.minimum((a.astype(float) + 1100) * 256 // width, 255) for a in images["test"]]
    assert np.array_equal(stored(data), np.stack(steps * 2))


def test_all_of_16_bits_and_images_of_8_are_as_they_were(tmp_path: Path) -> None:
    images = twelve_bits(high=65535, test=4000)
    images["train"].append(samples(9, 255).astype("u1"))
    root = write(tmp_path / "images", images)
    data = load(spec_of(root), cache=tmp_path / "cache")
    assert np.array_equal(stored(data), np.stack([array >> 8 for array in images["test"]] * 2))
    eight = images["train"].pop()
    expected = [array >> 8 for array in images["train"]]
    assert np.array_equal(stored(data, "train"), np.stack([*expected, eight] * 2))
    assert data.content == digest_of_before(root), "so that results are found as ever"


def digest_of_before(root: Path) -> str:
    """Of names, sizes and bytes; there are fewer files than are sampled."""
    files = sorted((root / "train").rglob("*.png")) + sorted((root / "test").rglob("*.png"))
    hasher = hashlib.sha256()
    for file in files:
        name = file.relative_to(root).as_posix()
        hasher.update(f"{name}\0{file.stat().st_size}\n".encode())
    for file in files:
        hasher.update(file.read_bytes())
    return hasher.hexdigest()[:20]


def test_results_of_near_black_pixels_are_not_found_for_these(tmp_path: Path) -> None:
    root = write(tmp_path / "images", twelve_bits())
    assert content_digest(spec_of(root)) != digest_of_before(root)
    eight = {part: [array >> 4 for array in arrays] for part, arrays in twelve_bits().items()}
    root = write(
        tmp_path / "eight", {part: [a.astype("u1") for a in each] for part, each in eight.items()}
    )
    assert content_digest(spec_of(root)) == digest_of_before(root)


@pytest.mark.parametrize("name", ["image-folder", "shards"])
def test_bands_are_chosen_or_refused_by_name(tmp_path: Path, name: str) -> None:
    colours = [np.random.default_rng(n).integers(0, 256, (SIDE, SIDE, 4), "u1") for n in range(4)]
    root = write(tmp_path / "images", {"train": colours, "test": colours}, "tif")
    mark = bytes.fromhex("5201030001000000")  # ExtraSamples: 2 is alpha, 0 is anything
    for path in root.rglob("*.tif"):
        data = path.read_bytes()
        assert mark + b"\2\0" in data
        path.write_bytes(data.replace(mark + b"\2\0", mark + b"\0\0"))
    where = sharded(root, tmp_path / "shards") if name == "shards" else root
    with pytest.raises(SpecError, match=r"has 4 bands, and three are used: data\.channels"):
        load(spec_of(where, name=name), cache=tmp_path / "cache")
    chosen = spec_of(where, name=name, channels=[4, 1, 2])
    images = load(chosen, cache=tmp_path / "cache").test.take(slice(None))
    expected = np.stack([array[..., [3, 0, 1]].transpose(2, 0, 1) for array in colours] * 2)
    assert torch.equal(images, torch.from_numpy(expected))


def test_transparency_is_left_out_and_said(tmp_path: Path) -> None:
    colours = [np.random.default_rng(n).integers(0, 256, (SIDE, SIDE, 4), "u1") for n in range(4)]
    root = write(tmp_path / "images", {"train": colours, "test": colours})
    for name, where in (("image-folder", root), ("shards", sharded(root, tmp_path / "shards"))):
        data = load(spec_of(where, name=name), cache=tmp_path / "cache")
        assert any(note.startswith("transparency is left out: 16 images") for note in data.notes)
        expected = np.stack([array[..., :3].transpose(2, 0, 1) for array in colours] * 2)
        assert np.array_equal(data.test.take(slice(None)).numpy(), expected)


def test_a_limit_on_pixels_is_a_field_of_the_data(tmp_path: Path) -> None:
    root = write(tmp_path / "images", twelve_bits())
    with pytest.raises(SpecError, match=r"has 16 x 16 pixels, more than data\.max_pixels=255"):
        load(spec_of(root, max_pixels=255), cache=tmp_path / "cache")
    load(spec_of(root, max_pixels=256), cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"value_range": [3, 3]}, "data.value_range=[3.0, 3.0]: needs the lower value first"),
        (
            {"name": "shapes", "root": None, "channels": [1, 2, 3]},
            "data.channels=[1, 2, 3]: is not",
        ),
        ({"name": "cifar10", "value_range": [0, 1]}, "data.value_range=[0.0, 1.0]: is not read by"),
    ],
)
def test_fields_that_cannot_be_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        DataSpec.read({"name": "image-folder", "root": "images"} | values)
    assert caught.value.problems[0].startswith(said)
