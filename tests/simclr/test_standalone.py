"""Real processes without Ray: `python -m workloads.simclr` runs, is killed, continues, refuses, and
works under torchrun.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from workloads.checkpoint import decode
from workloads.simclr.__main__ import main
from workloads.simclr.presets import preset
from workloads.simclr.spec import RunSpec

MODULE = ("-m", "workloads.simclr")
# The same, and an error when it has imported what it is to do without.
ALONE = (
    "-c",
    "import sys; from workloads.simclr.__main__ import main; ended = main(sys.argv[1:]); "
    "found = {'ray', 'mlflow', 'typer', 'orchestrator', 'search_spaces'} & set(sys.modules); "
    "sys.exit(f'imported {found}' if found else ended)",
)
EPOCHS = 4
VALUES = {
    "data.image_size": 16,
    "data.train_images": 200,
    "data.test_images": 100,
    "augment.operations": ["crop", "color"],
    "encoder.width": 0.125,
    "head.output_dim": 16,
    "loss.temperature": 0.5,
    "optim.name": "lars",
    "optim.scaling": "none",
    "optim.base_learning_rate": 0.2,
    "optim.trust_coefficient": 0.01,
    "schedule.epochs": EPOCHS,
    "schedule.batch_size": 32,
    "schedule.warmup_epochs": 1,
    "precision": "fp32",
}
SETS = [word for name, value in VALUES.items() for word in ("--set", f"{name}={value}")]
COMMAND = ["--preset", "shapes", "--device", "cpu", *SETS]


def with_values(more: dict[str, Any]) -> list[str]:
    """The command with these fields in place of its own."""
    fields = [f"{name}={value}" for name, value in (VALUES | more).items()]
    sets = [word for field in fields for word in ("--set", field)]
    return ["--preset", "shapes", "--device", "cpu", *sets]


@pytest.fixture(scope="module")
def environment(repository: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(repository),
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "error",
    }


def start(words: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(words: Sequence[str], environment: dict[str, str]) -> list[dict[str, Any]]:
    """Run to the end; the JSON lines of stdout. Nothing else may be on it."""
    process = start(words, environment)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def folder_of(output: Path) -> Path:
    (folder,) = output.iterdir()
    return folder


def without_speed(line: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in line.items() if name not in ("images_per_second", "folder")
    }


@pytest.fixture(scope="module")
def whole(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[dict[str, Any]]]:
    """Output folder and lines of a run that nothing interrupted."""
    output = tmp_path_factory.mktemp("whole")
    return output, finish([*MODULE, *COMMAND, "--output", str(output)], environment)


def test_a_run_prints_a_line_for_each_epoch_and_one_for_the_evaluation(
    whole: tuple[Path, list[dict[str, Any]]],
) -> None:
    output, lines = whole
    folder = folder_of(output)
    assert [line.get("epoch") for line in lines] == [1, 2, 3, 4, None]
    assert all(line["loss"] > 0 for line in lines[:-1])
    results = json.loads((folder / "results.json").read_text())
    assert lines[-1] == results | {"folder": str(folder)}
    assert 0 <= results["linear_top1"] <= 100
    (read,) = results["data_read"]
    assert read["seen"] == read["used"] > 0
    spec = RunSpec.read(yaml.safe_load((folder / "spec.yaml").read_text()))
    assert spec == preset("shapes").with_values(VALUES)
    assert folder.name == spec.fingerprint()
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint.pt",
        "results.json",
        "spec.yaml",
    ]


def test_a_killed_run_continues_to_the_same_results(
    whole: tuple[Path, list[dict[str, Any]]], environment: dict[str, str], tmp_path: Path
) -> None:
    output, lines = whole
    words = [*COMMAND, "--output", str(tmp_path / "runs")]
    process = start([*MODULE, *words], environment)
    assert process.stdout is not None
    seen = [json.loads(process.stdout.readline()) for _ in range(2)]
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    folder = folder_of(tmp_path / "runs")
    assert not (folder / "results.json").exists()
    rest = finish([*ALONE, *words], environment)
    # the second epoch's checkpoint may not have been written when the kill came
    assert len(rest) in (EPOCHS - 1, EPOCHS)
    expected = [without_speed(line) for line in lines]
    assert [without_speed(line) for line in seen] == expected[:2]
    assert [without_speed(line) for line in rest] == expected[-len(rest) :]
    assert (folder / "results.json").read_bytes() == (
        folder_of(output) / "results.json"
    ).read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_run_that_is_told_to_end_keeps_its_state_and_says_so_by_its_code(
    number: signal.Signals, environment: dict[str, str], tmp_path: Path
) -> None:
    endless = with_values({"schedule.epochs": 100_000})
    process = start([*MODULE, *endless, "--output", str(tmp_path / "runs")], environment)
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 75, err
    folder = folder_of(tmp_path / "runs")
    assert not (folder / "results.json").exists()
    state = decode((folder / "checkpoint.pt").read_bytes())
    assert state["epoch"] >= first["epoch"] == 1


def test_torchrun_starts_several_workers_of_one_run(
    whole: tuple[Path, list[dict[str, Any]]], environment: dict[str, str], tmp_path: Path
) -> None:
    """Lines come from the first worker alone, and the run is that of one process up to rounding."""
    _, lines = whole
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    elsewhere = {**environment, "PYTHONWARNINGS": "default"}
    printed = finish([*launcher, *MODULE, *COMMAND, "--output", str(tmp_path / "runs")], elsewhere)
    assert [line.get("epoch") for line in printed] == [1, 2, 3, 4, None]
    for line, expected in zip(printed[:2], lines[:2], strict=True):
        assert line["loss"] == pytest.approx(expected["loss"], abs=0.01)
    assert printed[-1].keys() == lines[-1].keys()


# In this process


def test_the_same_command_again_only_evaluates(
    whole: tuple[Path, list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    output, lines = whole
    before = (folder_of(output) / "checkpoint.pt").stat().st_mtime_ns
    assert main([*COMMAND, "--output", str(output)]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == lines[-1:]
    assert (folder_of(output) / "checkpoint.pt").stat().st_mtime_ns == before


def test_a_damaged_checkpoint_is_named(
    whole: tuple[Path, list[dict[str, Any]]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    output, _ = whole
    checkpoint = tmp_path / folder_of(output).name / "checkpoint.pt"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes((folder_of(output) / "checkpoint.pt").read_bytes()[:-1000])
    assert main([*COMMAND, "--output", str(tmp_path)]) == 2
    assert f"{checkpoint}: " in capsys.readouterr().err


def test_every_problem_is_listed_and_the_exit_code_is_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings = [
        "loss.temprature=0.1",
        "seed=-1",
        "optim.name=rmsprop",
        "schedule.warmup_epochs=1000",
    ]
    words = [word for setting in settings for word in ("--set", setting)]
    assert main([*words, "--output", str(tmp_path / "runs")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 4
    for text in (
        "did you mean loss.temperature?",
        "seed=-1",
        "optim.name='rmsprop': no such optimizer; known are lars, sgd, adamw, and own ones",
        "schedule.warmup_epochs=1000",
    ):
        assert text in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--preset", "mnist"], "known are shapes, textures, digits"),
        (["--config", "/nowhere/spec.yaml"], "--config /nowhere/spec.yaml: cannot be read"),
        (["--set", "seed"], "--set seed: is not of the form field=value"),
        (["--set", "data.name=cifar10"], "data.root: is required"),
        (["--set", "schedule.batch_size=4096"], "schedule.batch_size=4096: is larger than"),
    ],
)
def test_what_cannot_be_run_is_refused(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([*words, "--device", "cpu", "--output", str(tmp_path)]) == 2
    assert text in capsys.readouterr().err


def test_a_diverging_run_ends_with_code_1_and_keeps_its_last_good_epoch(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    diverging = {
        "optim.name": "sgd",
        "optim.base_learning_rate": 1,
        "optim.weight_decay": 10000,
        "schedule.warmup_epochs": 0,
    }
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(preset("shapes").with_values(VALUES | diverging).tree()))
    assert main(["--config", str(path), "--device", "cpu", "--output", str(tmp_path / "runs")]) == 1
    out, err = capsys.readouterr()
    assert [json.loads(line)["epoch"] for line in out.splitlines()] == [1]
    assert "the state after epoch 1" in err
    assert [path.name for path in folder_of(tmp_path / "runs").iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize(
    "wild",
    [
        {"optim.base_learning_rate": 1e8},
        {"optim.base_learning_rate": 1e10, "schedule.batch_size": 180},
        {"optim.base_learning_rate": 1e30, "schedule.batch_size": 180, "optim.weight_decay": 1e30},
    ],
)
def test_a_run_that_blows_up_in_its_last_step_ends_as_one_whose_loss_is_not_finite(
    wild: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    values = (
        VALUES | {"optim.name": "sgd", "schedule.epochs": 1, "schedule.warmup_epochs": 0} | wild
    )
    sets = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    assert main(["--device", "cpu", "--output", str(tmp_path), *sets]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("loss is nan at step ")
    assert err.endswith("last good state: none, it was the first epoch\n")


def test_a_specification_may_come_from_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    spec = preset("shapes").with_values(VALUES)
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(spec.tree()))
    assert (
        main(
            [
                "--config",
                str(path),
                "--device",
                "cpu",
                "--set",
                "schedule.epochs=0",
                "--output",
                str(tmp_path / "runs"),
            ]
        )
        == 0
    )
    first, last = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first == {"epoch": 0}
    assert Path(last["folder"]).name == spec.with_values({"schedule.epochs": 0}).fingerprint()


def test_own_data_operations_and_metrics_are_pinned_as_in_a_sweep(
    repository: Path, own_module: Callable[[str], str], tmp_path: Path
) -> None:
    page = (repository / "docs" / "own-parts.md").read_text()
    blocks = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", page, re.DOTALL))
    data, weather, metric = (
        own_module(blocks[name]) for name in ("my_data", "my_weather", "my_metric")
    )
    asked = with_values(
        {
            "data.name": f"{data}:stripes",
            "augment.operations": f"[crop,{weather}:fog]",
            "eval.metrics.names": f"[{metric}:spread]",
            "schedule.epochs": 1,
            "schedule.warmup_epochs": 0,
        }
    )
    assert main([*asked, "--output", str(tmp_path / "runs")]) == 0
    (written,) = (tmp_path / "runs").glob("*/spec.yaml")
    spec = RunSpec.read(yaml.safe_load(written.read_text()))
    assert spec.data.code is not None
    assert dict(spec.data.options) == {"count": 400, "noise": 60}
    assert dict(spec.augment.options) == {"fog": {"density": 0.5, "share": 0.8}}
    assert spec.augment.code.keys() == {"fog"}
    assert spec.eval.metrics.code.keys() == {"spread"}
    assert written.parent.name == spec.fingerprint()
    assert "spread_nats" in json.loads((written.parent / "results.json").read_text())


def test_an_own_operation_that_gives_no_images_is_refused_before_training(
    own_module: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = own_module("def bright(images, draws):\n    return images + 1\n")
    asked = [
        "--set",
        f"augment.operations=[crop,{name}:bright]",
        "--output",
        str(tmp_path / "runs"),
    ]
    assert main([*COMMAND, *asked]) == 2
    assert f"{name}:bright" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
