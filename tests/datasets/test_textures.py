"""Seconds: textures have the two short cuts of section 3.1, and each can be taken away."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from workloads.datasets import DataSet, DataSpec, content_digest, load
from workloads.datasets.sources.textures import CLASSES, TEST, TRAIN, draw

SIZE = 24
PLAIN = DataSpec(name="textures", image_size=SIZE)
SHARED_PALETTE = PLAIN.with_values({"palette": "shared"})
SHARED_ARRANGEMENT = PLAIN.with_values({"arrangement": "shared"})
BOTH_SHARED = SHARED_PALETTE.with_values({"arrangement": "shared"})

GREY = np.array([0.299, 0.587, 0.114])

Floats = NDArray[np.float64]


def drawn(spec: DataSpec, count: int = 400) -> NDArray[np.uint8]:
    return np.concatenate([*draw(TRAIN, count, spec)])


def mean_colors(images: NDArray[np.uint8]) -> Floats:
    """[N, 3], in [0, 1]."""
    means: Floats = images.mean(axis=(2, 3)) / 255
    return means


def histograms(images: NDArray[np.uint8]) -> Floats:
    """[N, 15]: five quantiles of each channel, in [0, 1]."""
    pixels = images.reshape(*images.shape[:2], -1) / 255
    quantiles: Floats = np.quantile(pixels, [0.1, 0.25, 0.5, 0.75, 0.9], axis=2)
    return quantiles.transpose(1, 0, 2).reshape(len(images), -1)


def layouts(images: NDArray[np.uint8]) -> Floats:
    """Which pixels are lighter than the image's mean, [N, S S] of -1 and 1: no colour is left."""
    grey = np.einsum("c,nchw->nhw", GREY, images.astype(np.float64))
    signs: Floats = np.sign(grey - grey.mean(axis=(1, 2), keepdims=True)).reshape(len(grey), -1)
    return signs


@pytest.fixture(scope="module")
def textures(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return load(PLAIN, cache=tmp_path_factory.mktemp("cache"))


def test_textures_are_always_the_same() -> None:
    images = np.concatenate([*draw(TRAIN, 200, PLAIN), *draw(TEST, 100, PLAIN)])
    assert images.shape == (300, 3, SIZE, SIZE)
    assert hashlib.sha256(images.tobytes()).hexdigest()[:20] == "a0c132ac1675786fd977"


def test_textures_are_class_balanced_and_all_different(textures: DataSet) -> None:
    count = len(CLASSES)
    assert textures.classes == CLASSES
    assert np.bincount(textures.train.labels).tolist() == [3780 // count] * count
    assert np.bincount(textures.validation.labels).tolist() == [420 // count] * count
    assert np.bincount(textures.test.labels).tolist() == [1200 // count] * count
    stored = np.concatenate([textures.train.images, textures.test.images])
    assert len({image.tobytes() for image in stored}) == 5400


def test_more_textures_begin_with_the_same(textures: DataSet, tmp_path: Path) -> None:
    more = load(PLAIN.with_values({"train_images": 4608}), cache=tmp_path)
    assert np.array_equal(more.train.images[:4200], textures.train.images)


def test_textures_say_that_they_were_drawn_so(textures: DataSet) -> None:
    (note,) = textures.notes
    assert "drawn so that the mechanism of section 3.1 exists" in note
    assert "no evidence about photographs" in note


def test_mean_colors_do_not_tell_the_class(textures: DataSet) -> None:
    train, test = (
        mean_colors(part.take(slice(None)).numpy()) for part in (textures.train, textures.test)
    )
    classifier = LogisticRegression().fit(train, textures.train.labels)
    chance = 1 / len(CLASSES)
    # three standard deviations of guesses on 1,200 images
    assert classifier.score(test, textures.test.labels) < chance + 3 * np.sqrt(chance / 1200)


@pytest.mark.parametrize("spec", [PLAIN, SHARED_PALETTE])
def test_every_class_is_half_light(spec: DataSpec) -> None:
    light = (drawn(spec, 800).max(axis=1) > 127).mean(axis=(1, 2))
    by_class = [light[number :: len(CLASSES)].mean() for number in range(len(CLASSES))]
    assert by_class == pytest.approx([0.5] * len(CLASSES), abs=0.07)


def test_a_light_colour_is_lighter_in_every_channel_so_that_no_hue_turns_the_tone() -> None:
    images = drawn(PLAIN).reshape(400, 3, -1)
    light = images.max(axis=2).min(axis=1)
    dark = images.min(axis=2).max(axis=1)
    assert light.min() > 130 > 125 > dark.max()


def test_crops_of_an_image_have_its_colors_unless_the_palette_is_shared() -> None:
    def found(spec: DataSpec) -> float:
        """How often a crop's nearest crop by its histogram, of 400, is of the same image."""
        images = drawn(spec)
        one, other = histograms(images[:, :, :20, :20]), histograms(images[:, :, 4:, 4:])
        distance = np.linalg.norm(one[:, None] - other[None], axis=2)
        return float((distance.argmin(axis=1) == np.arange(len(images))).mean())

    assert found(PLAIN) > 0.15  # of one in 400 by chance
    assert found(SHARED_PALETTE) < 0.05


def test_images_of_a_class_differ_in_layout_unless_the_arrangement_is_shared() -> None:
    def agreement(spec: DataSpec) -> float:
        """Mean correlation of two images of a class, of which pixels are the light ones."""
        signs = layouts(drawn(spec))
        return float(
            np.mean(
                [
                    np.abs(of_class @ of_class.T / of_class.shape[1]).mean()
                    for of_class in (signs[k :: len(CLASSES)] for k in range(len(CLASSES)))
                ]
            )
        )

    assert agreement(PLAIN) < 0.25
    assert agreement(SHARED_ARRANGEMENT) > 0.85


def test_what_is_not_shared_stays_as_it_was() -> None:
    plain, palette, arrangement, both = (
        drawn(spec, 80) for spec in (PLAIN, SHARED_PALETTE, SHARED_ARRANGEMENT, BOTH_SHARED)
    )
    # the layouts up to which colour is lighter, and the palettes up to the share of each
    kept = np.abs((layouts(plain) * layouts(palette)).mean(axis=1))
    assert np.median(kept) > 0.95
    assert np.abs(mean_colors(plain) - mean_colors(arrangement)).max() < 0.05
    # with nothing of its own an image is its class, but for a little grain
    of_class = both[0 :: len(CLASSES)].astype(np.int64)
    assert np.abs(of_class - of_class[0]).max() < 30


def test_what_is_shared_is_other_content() -> None:
    specs = (PLAIN, SHARED_PALETTE, SHARED_ARRANGEMENT, BOTH_SHARED)
    assert len({content_digest(spec) for spec in specs}) == 4
    assert content_digest(PLAIN) == content_digest(PLAIN.with_values({"image_size": 32}))
