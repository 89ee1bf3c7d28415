"""Milliseconds (two presets load their embedded data): the base recipes are valid, documented and
what they claim.
"""

import inspect
import re
from pathlib import Path

import pytest
import yaml

from workloads.datasets import load
from workloads.simclr.presets import PRESETS, preset
from workloads.simclr.pretrain import problems_with
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError

OURS = ("shapes", "textures", "digits", "cifar10-small")
PUBLISHED = ("cifar10", "cifar10-paper", "imagenet-paper")


def test_every_preset_is_known_here() -> None:
    assert set(PRESETS) == {*OURS, *PUBLISHED}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_yaml(name: str) -> None:
    spec = preset(name)
    again = RunSpec.read(yaml.safe_load(yaml.safe_dump(spec.tree(), sort_keys=False)))
    assert again == spec
    assert again.fingerprint() == spec.fingerprint()


def test_presets_differ() -> None:
    assert len({preset(name).fingerprint() for name in PRESETS}) == len(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_docstrings_state_source_and_cost(name: str) -> None:
    text = inspect.getdoc(PRESETS[name]) or ""
    assert re.search(r"Source: |in the paper", text)
    assert re.search(r"\b(seconds|minutes|hours|GPU-hours)\b", text)
    if name in PUBLISHED:
        assert re.search(r"Expected: (about )?\d+(\.\d)? %", text)
        assert "Cost" in text


@pytest.mark.parametrize("name", ["shapes", "textures", "digits"])
def test_embedded_data_are_enough_for_their_presets(name: str, tmp_path: Path) -> None:
    spec = preset(name)
    data = load(spec.data, cache=tmp_path)
    assert problems_with(spec, len(data.train), world_size=1) == []
    assert problems_with(spec, len(data.train), world_size=2) == []
    assert len(data.test) >= 300


@pytest.mark.parametrize("name", OURS)
def test_small_presets_are_for_a_cpu(name: str) -> None:
    """The small encoder, and the operations of the paper's CIFAR-10 policy (appendix B.9): at 32
    pixels blur has no use.
    """
    spec = preset(name)
    assert spec.encoder.architecture == "convnet"
    assert spec.data.image_size <= 32
    assert spec.augment.operations == ("crop", "color")


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(SpecError) as caught:
        preset("cifar")
    (problem,) = caught.value.problems
    assert all(name in problem for name in ("--preset cifar", *PRESETS))


def test_imagenet_is_the_setting_of_the_paper() -> None:
    """Section 2, appendix A and B.6."""
    spec = preset("imagenet-paper")
    assert spec.learning_rate == pytest.approx(4.8)
    assert (spec.schedule.batch_size, spec.schedule.epochs, spec.schedule.warmup_epochs) == (
        4096,
        100,
        10,
    )
    assert (spec.optim.name, spec.optim.momentum, spec.optim.weight_decay) == ("lars", 0.9, 1e-6)
    assert (spec.optim.trust_coefficient, spec.optim.exclude_bias_and_norm) == (0.001, True)
    assert (spec.loss.temperature, spec.loss.normalize, spec.loss.negatives) == (0.1, True, "both")
    assert (spec.encoder.architecture, spec.encoder.width, spec.encoder.stem) == (
        "resnet50",
        1,
        "imagenet",
    )
    assert (spec.head.num_linear_layers, spec.head.hidden_dim, spec.head.output_dim) == (
        2,
        None,
        128,
    )
    assert (spec.view_size, spec.data.name, spec.data.train_images) == (224, "imagenet", None)
    augment = spec.augment
    assert (augment.operations, augment.branches) == (("crop", "color", "blur"), "both")
    assert (augment.crop.min_area, augment.crop.max_area, augment.crop.flip) == (0.08, 1, 0.5)
    assert (augment.crop.min_aspect, augment.crop.max_aspect) == pytest.approx((3 / 4, 4 / 3))
    assert (
        augment.color.strength,
        augment.color.jitter_probability,
        augment.color.grayscale_probability,
    ) == (1, 0.8, 0.2)
    assert (augment.blur.probability, augment.blur.min_sigma, augment.blur.max_sigma) == (
        0.5,
        0.1,
        2,
    )
    assert augment.blur.kernel_fraction == 0.1
    linear = spec.eval.sgd
    assert (spec.eval.protocol, linear.epochs, linear.batch_size, linear.momentum) == (
        "sgd",
        90,
        4096,
        0.9,
    )
    assert linear.base_learning_rate * linear.batch_size / 256 == pytest.approx(1.6)
    assert linear.weight_decay == 0


def test_cifar_is_the_setting_of_the_paper() -> None:
    """Appendix B.9."""
    spec = preset("cifar10-paper")
    assert (spec.encoder.architecture, spec.encoder.stem) == ("resnet50", "cifar")
    assert (spec.schedule.batch_size, spec.schedule.epochs, spec.schedule.warmup_epochs) == (
        1024,
        1000,
        10,
    )
    assert (spec.optim.name, spec.learning_rate, spec.optim.weight_decay) == ("lars", 4.0, 1e-6)
    assert (spec.loss.temperature, spec.augment.operations) == (0.5, ("crop", "color"))
    assert (spec.augment.color.strength, spec.view_size) == (0.5, 32)
    small = preset("cifar10")
    assert (small.encoder.architecture, small.schedule.batch_size, small.learning_rate) == (
        "resnet18",
        512,
        2.0,
    )
