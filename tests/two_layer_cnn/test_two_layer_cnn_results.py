"""Two-layer study, one process, under half a minute: the paper's findings at reduced cost, and the
command.
"""

import json
import math
import statistics
from collections.abc import Mapping, Sequence

import pytest

from workloads.two_layer_cnn.__main__ import main
from workloads.two_layer_cnn.presets import preset
from workloads.two_layer_cnn.run import run
from workloads.two_layer_cnn.spec import TwoLayerSpec

SEEDS = range(3)
BASE = preset("gaussian-patches")
# SNR, n0, and what a separate implementation measured: top eigenvalue of A over 2 eta ||mu||^2 /
# tau, second over first, cosine of the first eigenvector and mean cosine of the filters with mu
# (our own notes on Lemmas 5.1 and 5.2).
SPECTRA = [
    (0.05, 250, 1.98, 0.83, 0.64, 0.41),
    (0.1, 50, 2.10, 0.69, 0.66, 0.61),
    (0.1, 250, 1.22, 0.34, 0.904, 0.90),
]
SPECTRA += [(0.2, 250, 1.05, 0.10, 0.974, 0.973), (0.3, 250, 1.02, 0.045, 0.988, 0.985)]

Metrics = dict[str, float]


def average(base: TwoLayerSpec, cells: Sequence[Mapping[str, object]]) -> list[Metrics]:
    """Metrics of each cell, averaged over the seeds; all cells in one call."""
    given = iter(
        run([base.with_values({**cell, "seed": seed}) for cell in cells for seed in SEEDS])
    )
    averages = []
    for _ in cells:
        seeds = [next(given) for _ in SEEDS]
        averages.append({name: statistics.mean(one[name] for one in seeds) for name in seeds[0]})
    return averages


@pytest.fixture(scope="module")
def pretrained() -> list[Metrics]:
    """Pre-training alone, for each row of SPECTRA."""
    cells = [
        {"data.signal_to_noise": ratio, "data.unlabeled": inputs} for ratio, inputs, *_ in SPECTRA
    ]
    return average(
        BASE.with_values({"finetune.max_steps": 0, "data.labels": 2, "data.test": 2}), cells
    )


@pytest.mark.parametrize(("row", "expected"), list(enumerate(SPECTRA)))
def test_the_pretraining_matrix_has_the_spectrum_of_the_lemmas(
    row: int, expected: tuple[float, ...], pretrained: list[Metrics]
) -> None:
    ratio, inputs, eigenvalue, gap, cosine, filters = expected
    given = pretrained[row]
    assert given["top_eigenvalue_ratio"] == pytest.approx(eigenvalue, rel=0.08)
    assert given["eigenvalue_gap"] == pytest.approx(gap, rel=0.12)
    assert given["eigenvector_alignment"] == pytest.approx(cosine, abs=0.05)
    assert given["alignment"] == pytest.approx(filters, abs=0.06)
    assert given["unlabeled_snr2"] == pytest.approx(inputs * ratio**2)
    assert given["predicted_alignment"] == pytest.approx((1 + 1 / (2 * inputs * ratio**2)) ** -0.5)
    assert given["pretrain_converged"] == 1


def test_filters_align_where_n0_snr2_is_large(pretrained: list[Metrics]) -> None:
    """Lemma 5.2: better aligned the larger n0 SNR^2 is, and as predicted where it is not small."""
    found, lost = (
        [given for given in pretrained if (given["unlabeled_snr2"] > 2) is large]
        for large in (True, False)
    )
    alignments = [
        given["alignment"] for given in sorted(found, key=lambda given: given["unlabeled_snr2"])
    ]
    assert alignments == sorted(alignments)
    assert alignments[0] > 0.88
    assert all(given["alignment"] < 0.7 for given in lost)
    for given in found:
        assert given["eigenvector_alignment"] == pytest.approx(
            given["predicted_alignment"], abs=0.015
        )


@pytest.fixture(scope="module")
def direct() -> dict[int, Metrics]:
    """The direct arm at SNR 0.2, by the number of labels."""
    sizes = [8, 32, 512]
    base = BASE.with_values({"pretrain.method": "none"})
    return dict(zip(sizes, average(base, [{"data.labels": size} for size in sizes]), strict=True))


@pytest.fixture(scope="module")
def finetuned() -> dict[int, Metrics]:
    """The same after pre-training."""
    sizes = [8, 32]
    return dict(zip(sizes, average(BASE, [{"data.labels": size} for size in sizes]), strict=True))


def test_pretraining_needs_a_handful_of_labels_where_direct_training_needs_hundreds(
    direct: dict[int, Metrics], finetuned: dict[int, Metrics]
) -> None:
    """Theorems 4.2 and 4.3 at SNR 0.2; both arms fit their labels."""
    assert all(given["test_error"] < 1 for given in finetuned.values())
    assert all(given["test_loss"] < 0.02 for given in finetuned.values())
    assert direct[8]["test_error"] > 45
    assert direct[32]["test_error"] > 40
    assert direct[512]["test_error"] < 1
    for given in (*direct.values(), *finetuned.values()):
        assert given["converged"] == 1
        assert given["training_loss"] <= 0.01
    assert finetuned[8]["finetuned_alignment"] > 0.99 > 0.2 > direct[8]["finetuned_alignment"]


def test_direct_training_with_few_labels_memorises_noise(direct: dict[int, Metrics]) -> None:
    """The harmful regime of Theorem 4.3: a training loss of almost 0 beside the test loss of
    guessing.
    """
    assert direct[8]["test_loss"] == pytest.approx(math.log(2), abs=0.01)
    assert direct[8]["training_loss"] <= 0.01


def test_pretraining_on_too_few_inputs_does_not_help() -> None:
    """n0 SNR^2 far below 1: the filters find noise, and fine-tuning stays at chance."""
    (given,) = average(
        BASE, [{"data.signal_to_noise": 0.05, "data.unlabeled": 10, "data.labels": 32}]
    )
    assert given["unlabeled_snr2"] == pytest.approx(0.025)
    assert given["alignment"] < 0.1
    assert given["test_error"] > 45


def test_views_with_equal_noise_align_less() -> None:
    """At rho = 1 pre-training is left with what principal components see; it degrades, it does not
    break.
    """
    cells: list[dict[str, object]] = [{"data.view_correlation": rho} for rho in (0.0, 0.5, 1.0)]
    cells.append({"pretrain.method": "pca"})
    base = BASE.with_values({"data.signal_to_noise": 0.1, "finetune.max_steps": 0, "data.test": 2})
    ideal, half, equal, pca = (given["alignment"] for given in average(base, cells))
    assert ideal > half + 0.03 > equal + 0.06
    assert equal > 0.7
    assert pca == pytest.approx(0.81, abs=0.03)


def test_pretraining_on_the_labeled_inputs_alone_is_not_enough() -> None:
    labeled, unlabeled = average(
        BASE,
        [{"pretrain.method": method, "data.labels": 8} for method in ("simclr-labeled", "simclr")],
    )
    assert labeled["unlabeled_snr2"] == pytest.approx(8 * 0.04)
    assert labeled["test_error"] > 10 > 1 > unlabeled["test_error"]


def test_pretraining_helps_on_real_digits() -> None:
    base = preset("digit-patches")
    assert base.data.unlabeled == 200
    pretrained, direct = average(
        base, [{"pretrain.method": method} for method in ("simclr", "none")]
    )
    assert pretrained["test_error"] < 10
    assert direct["test_error"] > 40
    assert pretrained["alignment"] > 0.9


# The command


def test_the_command_prints_a_line_for_each_seed(capsys: pytest.CaptureFixture[str]) -> None:
    settings = [
        "data.labels=4",
        "data.dimension=100",
        "data.test=50",
        "data.unlabeled=20",
        "finetune.max_steps=50",
    ]
    words = [word for setting in settings for word in ("--set", setting)]
    assert main(["--preset", "gaussian-patches", *words, "--seeds", "2", "--curves"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    values = {
        "data.labels": 4,
        "data.dimension": 100,
        "data.test": 50,
        "data.unlabeled": 20,
        "finetune.max_steps": 50,
    }
    for seed, line in enumerate(lines):
        spec = BASE.with_values({**values, "seed": seed})
        assert (line["seed"], line["fingerprint"]) == (seed, spec.fingerprint())
        (expected,) = run([spec])
        assert {name: line[name] for name in expected} == pytest.approx(expected, rel=1e-9)
        assert line["curves"].keys() == {"pretrain", "finetune"}
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--preset", "mnist"], "known are gaussian-patches"),
        (["--set", "data.label=8"], "did you mean data.labels?"),
        (["--seeds", "0"], "--seeds 0"),
        (["--preset", "mnist-patches"], "data.root: is required"),
        (["--preset", "fashion-mnist-patches"], "data.root: is required"),
        (["--config", "/nowhere/spec.yaml"], "--config /nowhere/spec.yaml: cannot be read"),
    ],
)
def test_what_cannot_be_run_is_refused(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert text in err


def test_a_run_whose_test_is_not_finite_ends_as_one_whose_loss_is_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last step's loss is finite; what was trained is too large for the test images."""
    monkeypatch.setattr(
        "workloads.two_layer_cnn.finetune._test",
        lambda specs, *_: [(50.0, float("nan"))] * len(specs),
    )
    small = ["pretrain.method=none", "data.dimension=50", "data.labels=4", "data.test=4"]
    assert main([word for setting in small for word in ("--set", setting)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "a smaller finetune.learning_rate may help" in err


def test_a_diverging_run_ends_with_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    settings = [
        "pretrain.method=none",
        "data.dimension=50",
        "data.labels=4",
        "finetune.learning_rate=1.0e+150",
    ]
    assert main([word for setting in settings for word in ("--set", setting)]) == 1
    assert "a smaller finetune.learning_rate may help" in capsys.readouterr().err
