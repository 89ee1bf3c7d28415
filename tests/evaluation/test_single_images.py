"""Seconds: single images, from files or memory, have the features that their folder has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from workloads.catalog.simclr import SIMCLR
from workloads.distributed.worker import Worker
from workloads.evaluation.features.embedding import embedding_of
from workloads.image_encoder import ImageEncoder
from workloads.simclr.presets import preset
from workloads.simclr.pretrain import pretrain
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError
from workloads.workload import EmbedsImages

HERE = Worker.here("cpu")


@pytest.fixture(scope="module")
def spec(tiny: Callable[..., dict[str, Any]]) -> RunSpec:
    fields = tiny(schedule__epochs=1, schedule__warmup_epochs=0, precision="fp32")
    return preset("shapes").with_values(fields)


@pytest.fixture(scope="module")
def state(spec: RunSpec) -> dict[str, Any]:
    return list(pretrain(spec, HERE))[-1].state


@pytest.fixture
def encoder(spec: RunSpec, state: dict[str, Any]) -> ImageEncoder:
    assert isinstance(SIMCLR, EmbedsImages)
    return SIMCLR.encoder(spec, state, HERE, reading={})


def pictures(folder: Path) -> list[Path]:
    """Files of several kinds: RGB, grey, with a palette, with transparency, tall, wide."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    values = generator.integers(0, 256, (40, 30, 4)).astype(np.uint8)
    images = {
        "a.png": Image.fromarray(values[..., :3]),
        "b.jpg": Image.fromarray(values[::-1, :, :3].copy()),
        "c.png": Image.fromarray(values[..., 0]),
        "d.png": Image.fromarray(values[..., :3]).convert("P"),
        "e.png": Image.fromarray(values),
        "f.png": Image.fromarray(values[:20, :, :3].copy()),
    }
    for name, image in images.items():
        image.save(folder / name)
    return [folder / name for name in images]


def test_files_and_images_in_memory_have_the_features_of_their_folder(
    spec: RunSpec, state: dict[str, Any], encoder: ImageEncoder, tmp_path: Path
) -> None:
    files = pictures(tmp_path / "mine")
    (block,) = embedding_of(spec, state, str(tmp_path / "mine"), HERE).blocks
    assert block.names == tuple(file.name for file in files)
    assert np.array_equal(encoder.embed(files), block.features)
    assert np.array_equal(encoder.embed(map(str, files)), block.features)
    assert np.array_equal(encoder.embed([Image.open(file) for file in files]), block.features)


def test_an_array_is_the_image_that_it_holds(encoder: ImageEncoder) -> None:
    values = np.random.default_rng(1).integers(0, 256, (5, 20, 20, 3)).astype(np.uint8)
    of_images = encoder.embed(map(Image.fromarray, values))
    assert np.array_equal(encoder.embed(values), of_images)
    first = values.transpose(0, 3, 1, 2)
    assert np.array_equal(encoder.embed(first), of_images)
    assert np.array_equal(encoder.embed(torch.from_numpy(first.copy())), of_images)
    grey = values[..., 0]
    assert np.array_equal(encoder.embed(grey), encoder.embed(np.stack([grey] * 3, axis=-1)))


def test_the_module_takes_what_transform_gives(encoder: ImageEncoder) -> None:
    values = np.random.default_rng(2).integers(0, 256, (4, 33, 21, 3)).astype(np.uint8)
    views = torch.stack([encoder.transform(image) for image in values])
    side = encoder.view_size
    assert views.shape == (4, 3, side, side)
    assert views.dtype == torch.float32
    assert 0 <= views.min() <= views.max() <= 1
    assert not encoder.module.training
    with torch.inference_mode():
        h = encoder.module(views)
    np.testing.assert_allclose(h.numpy(), encoder.embed(values), rtol=1e-4, atol=1e-5)


def test_everything_that_is_no_image_is_said_at_once(encoder: ImageEncoder, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    ours: list[Any] = [
        broken,
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        Image.new("CMYK", (8, 8)),
        7,
        np.zeros((8, 8), np.uint8),
    ]
    with pytest.raises(SpecError) as refused:
        encoder.embed(ours)
    assert refused.value.problems == [
        f"{broken}: cannot identify image file",
        "image 1: is float64 [4, 4, 3]; an array is uint8 [H, W], [H, W, 3] or [3, H, W]",
        "image 2: is uint8 [4, 4, 2]; an array is uint8 [H, W], [H, W, 3] or [3, H, W]",
        "image 3: has no pixels: [0, 4, 3]",
        "image 4: has the mode CMYK; convert it to RGB",
        "image 5: is a int, and neither a file, an image nor an array",
    ]
    with pytest.raises(SpecError, match="there are none"):
        encoder.embed([])


def test_images_are_read_as_asked(spec: RunSpec, state: dict[str, Any]) -> None:
    assert isinstance(SIMCLR, EmbedsImages)
    turned = SIMCLR.encoder(spec, state, HERE, reading={"data.channels": [3, 2, 1]})
    plain = SIMCLR.encoder(spec, state, HERE, reading={})
    values = np.random.default_rng(3).integers(0, 256, (2, 20, 20, 3)).astype(np.uint8)
    assert np.array_equal(turned.embed(values), plain.embed(values[..., ::-1]))
