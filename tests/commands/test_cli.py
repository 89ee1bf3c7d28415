"""Milliseconds to seconds: the command line's surface, and how it refuses; nothing is started
here.
"""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from click.testing import Result
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.commands.request import base_recipe
from orchestrator.questions.file import read_question
from orchestrator.storage import Storage
from orchestrator.tracking import Tracker
from search_spaces import ABLATIONS
from search_spaces.trees.question import ablation_of
from workloads.catalog.simclr import SIMCLR
from workloads.simclr.presets import PRESETS, preset
from workloads.simclr.spec import RunSpec

SHARED = {"--tracking-uri", "--storage", "--json", "--address"}
RECIPE = {"--preset", "--config", "--set", "--download", "--log-model", "--log", "--max-failures"}
PLACE = {"--workers", "--cpus-per-worker", "--gpus-per-worker", "--gpu-type", "--placement"}
JOB = {"--on", "--code", "--notify"}
LOOK = {"--preset", "--config", "--set", "--json"}
OPTIONS = {
    "spaces": {"--json", "--yaml", "--scale"},
    "presets": set(),
    "fields": {"--json"},
    "parts": {"--kind", "--json"},
    "pretrain": SHARED | RECIPE | PLACE | JOB,
    "ablate": SHARED
    | RECIPE
    | PLACE
    | JOB
    | {"--seeds", "--until-decided", "--max-seeds", "--max-concurrent", "--dry-run"}
    | {"--tune", "--vary", "--only", "--over", "--claim", "--metric", "--name"},
    "tune": (
        SHARED
        | RECIPE
        | PLACE
        | JOB
        | {"--search", "--samples", "--max-concurrent", "--dry-run"}
        | {"--sampler", "--pruner", "--generation"}
    )
    - {"--workers", "--placement", "--log-model"},
    "plan": {
        *("--output", "--preset", "--config", "--set", "--seeds", "--until-decided"),
        *("--max-seeds", "--tune", "--vary", "--only", "--with-finished", "--download"),
        *("--storage", "--json", "--over", "--claim", "--metric", "--name"),
    },
    "import": {"--tracking-uri", "--storage", "--json"},
    "verdicts": {"--long", "--storage", "--json"},
    "report": {"--html", "--sweep", "--only", "--output", "--long", "--storage", "--json"},
    "evaluate": {
        "--protocol",
        "--preset",
        "--config",
        "--set",
        "--weights-prefix",
        "--weights-ignore",
        "--download",
        "--tracking-uri",
        "--storage",
        "--json",
    },
    "compare": {"--result", "--storage", "--json"},
    "embed": {
        "--output",
        "--projection",
        "--preset",
        "--config",
        "--set",
        "--weights-prefix",
        "--weights-ignore",
        "--storage",
        "--json",
    },
    "export": {"--format", "--output", "--storage", "--json"},
    "runs": {
        "--where",
        "--sort",
        "--columns",
        "--top",
        "--csv",
        "--parquet",
        "--storage",
        "--json",
    },
    "dashboard": {"--allowed-host", "--host", "--port", "--tracking-uri", "--storage"},
    "watch": {"--sweep", "--once", "--storage", "--json"},
    "stop": {"--sweep", "--storage", "--json"},
    "doctor": SHARED,
    "gc": {"--yes", "--kind", "--older-than", "--storage", "--json"},
    "cluster up": {"--restart", "--yes"},
    "cluster down": {"--yes"},
    "cluster attach": set(),
    "cluster dashboard": {"--port"},
    "cluster status": {"--json"},
    "cluster jobs": {"--json"},
    "cluster logs": {"--on", "--follow"},
    "cluster stop": {"--on", "--json"},
    "data shard": {"--images-per-shard", "--format", "--decode", "--workers", "--json"},
    "show views": LOOK | {"--output", "--images", "--pairs", "--download"},
    "show histograms": LOOK | {"--output", "--images", "--crops", "--download"},
    "show schedule": LOOK | {"--output", "--download"},
    "show encoder": LOOK,
    "show plan": LOOK
    | {"--output", "--download", "--storage", "--seeds", "--only"}
    | {"--over", "--claim", "--metric", "--name"},
    "data verify": {"--decode", "--workers", "--json"},
}


def invoke(*arguments: str, **environment: str) -> Result:
    """The command in this process, which has imported everything once."""
    return CliRunner().invoke(app, list(arguments), env=environment, catch_exceptions=False)


def test_the_surface_is_closed() -> None:
    """Science belongs into presets, spaces and --set; a new flag is an operation and is added here
    with intent.
    """
    top: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    commands: dict[str, Any] = {
        name: command for name, command in top.items() if not hasattr(command, "commands")
    }
    for group in top.keys() - commands.keys():
        commands |= {f"{group} {name}": command for name, command in top[group].commands.items()}
    found = {
        name: {
            option
            for parameter in command.params
            for option in parameter.opts
            if option.startswith("--")
        }
        for name, command in commands.items()
    }
    assert {name: options - {"--help"} for name, options in found.items()} == OPTIONS


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_printed_preset_is_read_back_unchanged(name: str) -> None:
    printed = invoke("presets", name).stdout
    assert RunSpec.read(yaml.safe_load(printed)) == preset(name)


def test_a_config_gives_the_same_plan_as_the_preset_it_was_printed_from(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(invoke("presets", "shapes").stdout)
    plan = ["ablate", "temperature", "--dry-run", "--json", "--storage", str(tmp_path / "s")]
    by_name, by_file = (
        json.loads(invoke(*plan, *source).stdout)
        for source in (["--preset", "shapes"], ["--config", str(tmp_path / "own.yaml")])
    )
    assert by_name["sweep"] == by_file["sweep"]
    assert [cell["fingerprint"] for cell in by_name["cells"]] == [
        cell["fingerprint"] for cell in by_file["cells"]
    ]
    assert len(by_name["cells"]) == 7
    assert by_name["estimate"]["basis"].startswith("assumed")


def test_a_plan_says_which_claims_and_cells_it_does_not_ask(tmp_path: Path) -> None:
    plan = ["ablate", "flip-and-blur", "--preset", "digits", "--dry-run"]
    plan += ["--storage", str(tmp_path / "s")]
    found = json.loads(invoke(*plan, "--json").stdout)
    cells, claim = found["not_asked"]
    assert cells.startswith("Not asked here, 2 of 4 cells: Gaussian blur changes nothing")
    assert claim.startswith("not asked here: the paper leaves blur out where images are as small")
    assert claim.endswith(
        "this recipe has data.image_size=16: Blur helps: the default policy is worse without it."
    )
    assert [cell["name"] for cell in found["cells"]] == [
        "untrained · seed 0",
        "no blur · seed 0",
        "neither (ours) · seed 0",
    ]
    printed = " ".join(invoke(*plan).stdout.split())
    assert cells in printed
    assert claim in printed


def test_every_problem_of_a_request_is_said_at_once_and_nothing_is_started(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ended = invoke(
        *("ablate", "tempreature", "--preset", "shapes", "--seeds", "0", "--max-concurrent", "0"),
        *("--set", "loss.temprature=0.1", "--set", "optim.name=adam", "--gpus-per-worker", "64"),
        *("--storage", str(tmp_path / "file" / "below"), "--tracking-uri", "ftp://127.0.0.1:9"),
    )
    assert ended.exit_code == 2
    assert ended.stdout == ""
    for problem in (
        "tempreature: no such ablation; known are augmentations, color-strength, encoder, head",
        "loss.temprature: no such field; did you mean loss.temperature?",
        "--max-concurrent 0: must be at least 1",
        "--storage ",
        "--tracking-uri ftp://127.0.0.1:9",
    ):
        assert problem in ended.stderr
    assert "Traceback" not in ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_problems_of_the_data_do_not_hide_those_of_the_plan(tmp_path: Path) -> None:
    ended = invoke(
        *(
            "ablate",
            "head",
            "--preset",
            "cifar10-small",
            "--set",
            f"data.root={tmp_path / 'nowhere'}",
        ),
        *("--workers", "3", "--gpus-per-worker", "64", "--storage", str(tmp_path / "s")),
    )
    assert ended.exit_code == 2
    assert "nowhere" in ended.stderr
    assert "schedule.batch_size=256: is not divisible by 3 workers" in ended.stderr
    assert "--gpus-per-worker 64: no node has more than" in ended.stderr


def test_what_the_plan_refuses_is_said_together(tmp_path: Path) -> None:
    ended = invoke(
        *(
            "ablate",
            "batch-size",
            "--preset",
            "digits",
            "--workers",
            "3",
            "--gpus-per-worker",
            "64",
            "--seeds",
            "0",
        ),
        *("--set", "schedule.batch_size=1000", "--storage", str(tmp_path / "s")),
    )
    assert ended.exit_code == 2
    assert "--seeds 0: must lie between 1 and 1000" in ended.stderr
    assert "--gpus-per-worker 64: no node has more than" in ended.stderr
    ended = invoke(
        *(
            "ablate",
            "batch-size",
            "--preset",
            "digits",
            "--workers",
            "3",
            "--storage",
            str(tmp_path / "s"),
        ),
        *("--set", "schedule.batch_size=1000"),
    )
    assert ended.exit_code == 2
    assert "cell x 2 · x 1 · linear: schedule.batch_size=2000: is larger than the" in ended.stderr
    assert (
        "cell x 1 · x 1 · linear: schedule.batch_size=1000: is not divisible by 3 workers"
    ) in ended.stderr


@pytest.mark.parametrize("name", ["run #3", "a: b", "[x", "007", "yes", "it's", "C:\\new", "~x"])
def test_a_folder_is_what_was_typed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fields = ["data.name=image-folder", f"data.root={name}"]
    (tmp_path / "own.yaml").write_bytes("seed: 3\r\n".encode("utf-16"))
    recipe = base_recipe(SIMCLR, None, Path("own.yaml"), fields)
    flat = recipe.flat()
    assert (flat["data.root"], flat["seed"]) == (str(tmp_path / name), 3)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["pretrain", "--preset", "imagenet"],
            "--preset imagenet: no such preset; known are shapes, textures, digits",
        ),
        (["pretrain", "--config", "nowhere.yaml"], "--config nowhere.yaml: cannot be read"),
        (["pretrain", "--preset", "cifar10-small"], "data.root: is required"),
        (["pretrain", "--set", "seed"], "--set seed: is not of the form field=value"),
        (["pretrain", "--set", "schedule.epochs=0.5"], "schedule.epochs=0.5"),
        (["pretrain", "--address", "127.0.0.1:9"], "--address 127.0.0.1:9: no Ray answers there"),
        (["report", "head"], "head: no sweep in"),
        (["report", "all"], "all: is several reports; --html FOLDER writes their pages"),
        (["report", "no/such/folder"], "no/such/folder: no such file or folder"),
        (["watch"], "has left its progress"),
        (["stop", "head", "--storage", "nowhere"], "nowhere: no such folder"),
        (["evaluate", "abc"], "abc: no such run in"),
        (
            ["evaluate", "abc", "--protocol", "forest"],
            "--protocol forest: no such protocol; known are linear",
        ),
        (
            ["evaluate", "abc", "--preset", "shapes"],
            "--preset, --config: are for weights from elsewhere",
        ),
        (["evaluate", "torchvision:resnet18"], "--preset or --config says which encoder it is of"),
        (["compare", "abc", "abd"], "abc: no such run in"),
        (["export", "abc", "--format", "tensorflow"], "--format tensorflow: no such format"),
        (
            ["ablate", "transfer", "--preset", "cifar10", "--set", "eval.transfer.l2=[]"],
            "eval.transfer.l2=[]: needs at least one",
        ),
        (
            [
                "ablate",
                "transfer",
                "--preset",
                "imagenet-paper",
                "--dry-run",
                "--set",
                "data.root=nowhere",
                "--set",
                "eval.transfer.data.root=elsewhere",
            ],
            "name the folder that has, or use --download (and 9 more cells)",
        ),
        (["pretrain", "--on", "nofile"], "nofile: no such file; a job server's address"),
        (["cluster", "jobs", "http://127.0.0.1:9"], "no job server of Ray answers there"),
        (["ablate", "head", "--until-decided"], "--until-decided and --max-seeds: belong together"),
        (
            ["ablate", "head", "--until-decided", "--max-seeds", "1"],
            "--max-seeds 1: must lie between 2 and 1000",
        ),
        (["ablate", "all", "--seeds", "0"], "--seeds 0: must lie between 1 and 1000"),
        (
            ["tune", "--search", "loss.temperature=0.1"],
            "--search loss.temperature=0.1: needs at least two choices",
        ),
        (
            ["tune", "--search", "loss.temperature=0.1", "--sampler", "anneal"],
            "--sampler anneal: no such sampler; known are tpe, gp, random",
        ),
        (["report", "tune"], "tune: no sweep in"),
        (["report", "tune", "--only", "crop"], "--only: is of an ablation, and tune is a search"),
        (["verdicts"], "has no sweep of an ablation"),
        (["verdicts", "haed"], "haed: no such ablation; known are"),
        (["ablate", "head", "--tracking-uri", "ftp://somewhere"], "--tracking-uri ftp://somewhere"),
    ],
)
def test_wrong_requests_leave_with_code_2_and_a_line_each(
    arguments: list[str], problem: str, tmp_path: Path
) -> None:
    (tmp_path / "s").mkdir()
    ended = invoke(*arguments, SIMCLR_ORCH_STORAGE=str(tmp_path / "s"))
    assert ended.exit_code == 2, ended.stderr
    assert problem in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_a_search_tells_its_space_and_cost_and_starts_nothing(tmp_path: Path) -> None:
    words = ["tune", "--search", "loss.temperature=0.1..1", "--samples", "9", "--dry-run"]
    ended = invoke(*words, SIMCLR_ORCH_STORAGE=str(tmp_path / "s"))
    assert ended.exit_code == 0, ended.stderr
    assert "9 settings of 1 field, sampler tpe, 4 at once; 0 have a score" in ended.stdout
    assert "loss.temperature: 0.1 to 1, uniform in the logarithm" in ended.stdout
    assert "whole budget" in ended.stdout
    assert not (tmp_path / "s" / "sweeps").exists()


def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = invoke("dashboard", "--port", port, "--storage", str(tmp_path / "s"))
    assert ended.exit_code == 2
    assert f"--port {port}" in ended.stderr


@pytest.mark.parametrize("name", [(), ("few-augmentations",)])
def test_pages_of_a_storage_that_is_not_there_are_refused_and_it_is_not_made(
    name: tuple[str, ...], tmp_path: Path, free_port: Callable[[], int]
) -> None:
    missing = tmp_path / "typo"
    ended = invoke("dashboard", *name, "--storage", str(missing), "--port", str(free_port()))
    assert ended.exit_code == 2
    assert f"--storage {missing}: there is no such folder" in ended.stderr
    assert not missing.exists()

    missing.mkdir()
    ended = invoke("dashboard", *name, "--storage", str(missing), "--port", str(free_port()))
    assert ended.exit_code == 2
    assert "no sweep is recorded there" in ended.stderr
    assert list(missing.iterdir()) == []


def test_spaces_lists_cells_and_costs() -> None:
    rows = {row["name"]: row for row in json.loads(invoke("spaces", "--json").stdout)}
    assert rows["augmentations"]["cells_paper"] == 49
    assert rows["augmentations"]["paper_tpu_core_hours"] == 49 * 192
    assert rows["batch-size"]["cells_small"] == 24
    assert "Figure 8" in invoke("spaces").stdout


def test_spaces_shows_the_claims_of_one_as_one_would_write_them() -> None:
    shown = invoke("spaces", "few-labels").stdout
    assert "    SimCLR, 1 > supervised, 1 + 20\n" in shown
    assert "not asked: The small cells have the preset's encoder only." in shown
    tree = json.loads(invoke("spaces", "few-labels", "--json").stdout)
    assert ablation_of(tree) == ABLATIONS["few-labels"]
    many = invoke("spaces", "all", "--yaml")
    assert many.exit_code == 2
    assert "questions, and a file has one" in many.stderr
    wrong = invoke("spaces", "few-label")
    assert wrong.exit_code == 2
    assert "few-label: no such ablation; known are" in wrong.stderr


def test_spaces_prints_a_question_as_a_file_that_asks_it(tmp_path: Path) -> None:
    file = tmp_path / "printed.yaml"
    file.write_text(invoke("spaces", "head", "--yaml").stdout)
    assert read_question(str(file)).ablation == ABLATIONS["head"]
    file.write_text(invoke("spaces", "head", "--yaml", "--scale", "small").stdout)
    assert read_question(str(file)).ablation.name == "head-small"
    assert read_question(str(file)).ablation.paper == ABLATIONS["head"].small
    for words, told in (
        (("head", "--yaml", "--scale", "tiny"), "--scale tiny: must be one of paper, small"),
        (("--yaml",), "--yaml: takes a NAME"),
        (("head", "--scale", "small"), "--scale belongs to it"),
        (("hed", "--yaml"), "hed: no such ablation; known are"),
    ):
        wrong = invoke("spaces", *words)
        assert wrong.exit_code == 2
        assert told in wrong.stderr


def test_sigterm_ends_a_dashboard_in_the_background_and_its_server(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """A shell lets what it starts in the background ignore SIGINT; SIGTERM must end it all the
    same.
    """
    port = free_port()
    Tracker.open(None, Storage(str(tmp_path / "s")))  # a storage in which something is recorded
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); from orchestrator.cli "
        "import main; main()"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "dashboard",
        "--port",
        str(port),
        "--storage",
        str(tmp_path / "s"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as board:
        assert board.stdout is not None
        assert f"http://127.0.0.1:{port}" in board.stdout.readline()
        board.terminate()
        assert board.wait(30) == 0
    with socket.create_server(("127.0.0.1", port)):
        pass  # nobody listens there any more
