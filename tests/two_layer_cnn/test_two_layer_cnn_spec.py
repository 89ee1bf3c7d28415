"""Milliseconds: the specification of the two-layer study, what its fingerprints depend on, and its
presets.
"""

import inspect
import math
import re
from typing import Any

import pytest
import yaml

from workloads.spec import SpecError
from workloads.two_layer_cnn.presets import PRESETS, preset
from workloads.two_layer_cnn.spec import TwoLayerSpec

SPEC = TwoLayerSpec()


def changed(**values: Any) -> TwoLayerSpec:
    return SPEC.with_values({name.replace("__", "."): value for name, value in values.items()})


def test_defaults_are_the_runnable_specification() -> None:
    """d = 1000, sigma_p = 1, m = 10, q = 3, n0 = 250, tau = 1, and the stopping rules."""
    data, pretrain, network, finetune = SPEC.data, SPEC.pretrain, SPEC.network, SPEC.finetune
    assert (data.dim, data.noise_std, data.unlabeled, data.test) == (1000, 1, 250, 2000)
    assert (network.filters, network.power, network.initial_std) == (10, 3, 0.01)
    assert (pretrain.temperature, pretrain.initial_std, pretrain.max_steps) == (1, 1e-6, 400)
    assert (finetune.loss_target, finetune.max_steps) == (0.01, 3000)
    assert SPEC.precision == "float64"


def test_norms_and_learning_rates_follow_the_data() -> None:
    """||mu|| = SNR sigma_p sqrt(d); 0.1 tau / ||mu||^2; 0.3 / (||mu|| sqrt(2m)); 0.1 m /
    max(||mu||^2, sigma_p^2 d / n).
    """
    spec = changed(
        data__signal_to_noise=0.3, data__noise_std=2.0, pretrain__temperature=0.5, data__labels=4
    )
    norm = 0.3 * 2 * math.sqrt(1000)
    assert spec.data.signal_norm == pytest.approx(norm)
    assert spec.pretrain_rate == pytest.approx(0.1 * 0.5 / norm**2)
    assert spec.pretrained_norm == pytest.approx(0.3 / (norm * math.sqrt(20)))
    assert spec.finetune_rate == pytest.approx(0.1 * 10 / (4 * 1000 / 4))
    many = spec.with_values({"data.labels": 64})
    assert many.finetune_rate == pytest.approx(0.1 * 10 / norm**2)


def test_images_fill_their_patch() -> None:
    spec = changed(data__name="digits", data__image_size=16)
    assert spec.data.dim == 256
    assert spec.data.signal_norm == pytest.approx(0.2 * 16)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"data.labels": 7}, "data.labels=7"),
        ({"data.unlabeled": 0}, "data.unlabeled=0"),
        ({"data.view_correlation": 1.5}, "data.view_correlation=1.5"),
        ({"pretrain.method": "moco"}, "'simclr', 'none', 'pca', 'simclr-relu' or 'simclr-labeled'"),
        ({"network.power": 1}, "network.power=1"),
        ({"data.root": "/data"}, "'gaussian' takes no root"),
        ({"data.classes": [3, 3]}, "needs two different numbers"),
        ({"data.signal_to_nose": 1}, "did you mean data.signal_to_noise?"),
    ],
)
def test_what_cannot_be_run_is_refused(values: dict[str, Any], text: str) -> None:
    with pytest.raises(SpecError) as caught:
        SPEC.with_values(values)
    assert text in str(caught.value)


# Fingerprints

CHANGES: dict[str, Any] = {
    "data.dimension": 500,
    "data.signal_to_noise": 0.3,
    "data.noise_std": 2.0,
    "data.unlabeled": 100,
    "data.labels": 8,
    "data.test": 100,
    "data.view_correlation": 0.5,
    "pretrain.temperature": 0.5,
    "pretrain.learning_rate": 0.2,
    "pretrain.initial_std": 1e-5,
    "pretrain.target_norm": 0.2,
    "pretrain.max_steps": 10,
    "pretrain.views": "fresh",
    "network.filters": 5,
    "network.power": 4,
    "network.initial_std": 0.1,
    "finetune.learning_rate": 0.2,
    "finetune.loss_target": 0.1,
    "finetune.max_steps": 10,
    "seed": 1,
    "precision": "float32",
}
NO_RESULT = {"checkpoint.every_minutes", "checkpoint.keep"}  # how states are kept
IMAGES_ONLY = {"data.root", "data.content", "data.classes", "data.image_size"}
OF_CONTRAST = {name for name in CHANGES if name.startswith("pretrain.")}
UNREAD = {
    "simclr": {"network.initial_std"},
    "simclr-relu": {"network.initial_std"},
    "simclr-labeled": {"network.initial_std", "data.unlabeled"},
    "pca": {
        "network.initial_std",
        "data.view_correlation",
        *(OF_CONTRAST - {"pretrain.target_norm"}),
    },
    "none": {"data.unlabeled", "data.view_correlation", *OF_CONTRAST},
}


def test_every_field_is_tested_here() -> None:
    named = {*CHANGES} | IMAGES_ONLY | NO_RESULT | {"data.name", "pretrain.method"}
    assert named == {*SPEC.flat()}


@pytest.mark.parametrize("field", sorted(NO_RESULT))
def test_how_states_are_kept_changes_no_fingerprint(field: str) -> None:
    other = SPEC.with_values({field: 9})
    assert other.fingerprint() == SPEC.fingerprint()
    assert other.pretrain_fingerprint() == SPEC.pretrain_fingerprint()


@pytest.mark.parametrize("method", UNREAD)
def test_a_fingerprint_covers_what_a_run_reads_and_nothing_else(method: str) -> None:
    base = changed(pretrain__method=method)
    for name, value in CHANGES.items():
        same = base.with_values({name: value}).fingerprint() == base.fingerprint()
        assert same == (name in UNREAD[method]), name


def test_methods_and_data_have_fingerprints_of_their_own() -> None:
    methods = {changed(pretrain__method=method).fingerprint() for method in UNREAD}
    assert len({*methods, changed(data__name="digits").fingerprint()}) == len(UNREAD) + 1


def test_image_fields_matter_to_images_alone() -> None:
    assert changed(data__classes=[1, 7], data__image_size=16).fingerprint() == SPEC.fingerprint()
    images = changed(data__name="fashion-mnist", data__root="/a")
    assert images.with_values({"data.dimension": 5}).fingerprint() == images.fingerprint()
    for values in ({"data.classes": [1, 7]}, {"data.image_size": 16}, {"data.root": "/b"}):
        assert images.with_values(values).fingerprint() != images.fingerprint()
    pinned = images.with_values({"data.content": "abc"})
    assert (
        pinned.with_values({"data.root": "/b"}).fingerprint()
        == pinned.fingerprint()
        != images.fingerprint()
    )


def test_runs_from_before_there_were_fresh_views_are_still_found() -> None:
    assert SPEC.fingerprint() == "18b45ddeca5db6f6b41e"
    assert SPEC.pretrain_fingerprint() == "34d64cc2719735851996"
    digits = changed(data__name="digits", pretrain__method="simclr-labeled")
    assert digits.fingerprint() == "86b4ab16107dd0e97028"


AFTER_PRETRAINING = {
    "data.labels",
    "data.test",
    "network.power",
    *(name for name in CHANGES if name.startswith("finetune.")),
}


@pytest.mark.parametrize("method", UNREAD)
def test_runs_share_pretraining_that_is_equal(method: str) -> None:
    base = changed(pretrain__method=method)
    shared = UNREAD[method] | AFTER_PRETRAINING - (
        {"data.labels"} if method == "simclr-labeled" else set()
    )
    for name, value in CHANGES.items():
        same = base.with_values({name: value}).pretrain_fingerprint() == base.pretrain_fingerprint()
        assert same == (name in shared), name


# Presets


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_yaml_and_say_what_they_are(name: str) -> None:
    spec = preset(name)
    assert TwoLayerSpec.read(yaml.safe_load(yaml.safe_dump(spec.tree()))) == spec
    text = inspect.getdoc(PRESETS[name]) or ""
    assert all(word in text for word in ("Source: ", "Expected", "Cost: "))
    assert re.search(r"\d %", text) or "Not run by us" in text


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(SpecError) as caught:
        preset("mnist")
    assert all(name in str(caught.value) for name in ("--preset mnist", *PRESETS))
