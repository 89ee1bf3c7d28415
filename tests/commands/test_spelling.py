"""Milliseconds: what a mistyped name could have meant, wherever a person types one."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from workloads.spelling import did_you_mean

KNOWN = ("temperature", "batch-size", "batch-temperature", "few-labels")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("temperatur", "temperature"),
        ("Temperature", "temperature"),
        ("batch_size", "batch-size"),
        ("few labels", "few-labels"),
        ("bacth-temperature", "batch-temperature"),
    ],
)
def test_the_nearest_name_is_meant(name: str, meant: str) -> None:
    assert did_you_mean(name, KNOWN) == f"; did you mean {meant}?"


@pytest.mark.parametrize("name", ["", "xyz", "résumé"])
def test_nothing_is_meant_by_what_is_near_to_none(name: str) -> None:
    assert did_you_mean(name, KNOWN) == ""
    assert did_you_mean(name, ()) == ""


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("ablate temperatur --dry-run", "temperature"),
        ("report temperatur", "temperature"),
        ("verdicts few_labels", "few-labels"),
        ("ablate head --preset shape --dry-run", "shapes"),
        ("presets shape", "shapes"),
        ("ablate head --set loss.temprature=1 --dry-run", "loss.temperature"),
        ("ablate head --set normalize=no --dry-run", "loss.normalize"),
        ("pretrain digits", "--preset digits"),
        ("tune shape --search loss.temperature=0.1..1", "--preset shapes"),
        ("ablate head --tune persed --dry-run", "per-seed"),
        ("ablate head --vary seed,subsets --dry-run", "subset"),
        ("ablate augmentations --only colour --dry-run", "color"),
        ("ablate --over loss.temprature=1,2 --dry-run", "loss.temperature"),
        ("evaluate 0a0a0a0a --protocol liner", "linear"),
        ("evaluate 0a0a0a0b", "0a0a0a0a"),
        ("export 0a0a0a0a --format onxx --output x", "onnx"),
    ],
)
def test_every_name_on_the_command_line_is_guessed(words: str, meant: str, tmp_path: Path) -> None:
    (tmp_path / "runs" / "0a0a0a0a0a0a0a0a0a0a").mkdir(parents=True)
    storage = {"SIMCLR_ORCH_STORAGE": str(tmp_path)}
    ended = CliRunner().invoke(app, words.split(), env=storage)
    assert ended.exit_code == 2, ended.output
    assert f"did you mean {meant}?" in ended.output.replace("\n", " ")
