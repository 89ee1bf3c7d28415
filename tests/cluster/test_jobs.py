"""Real Ray: commands as jobs of a cluster, which outlive who submitted them. Milliseconds: how a
command becomes a job.
"""

import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from orchestrator.cluster.job_log import PIECE, LogReader, document_lines
from orchestrator.cluster.job_server import JobServer, auth_headers
from orchestrator.commands.check import check
from orchestrator.commands.cluster import read_status
from orchestrator.commands.on_cluster import Submission, remote_arguments, run_as_ray_job
from orchestrator.commands.questions import travelling
from orchestrator.commands.request import Request
from orchestrator.errors import ClusterError, PlanError
from orchestrator.questions.file import read_question
from orchestrator.settings import Settings
from orchestrator.storage import Storage

Start = Callable[..., "subprocess.Popen[str]"]
Run = Callable[..., subprocess.CompletedProcess[str]]
Words = Callable[..., list[str]]
Document = Callable[..., dict[str, Any]]


@pytest.fixture
def pretrain(server: str, tiny_recipe: Words) -> Words:
    """The words of a command that trains in a storage on the server, and of its other options."""

    def words(storage: Path, *more: str, **fields: Any) -> list[str]:
        recipe = tiny_recipe(**{"schedule__epochs": 2} | fields)
        where = ["--storage", str(storage), "--cpus-per-worker", "1", "--on", server]
        return ["pretrain", *recipe, *where, *more]

    return words


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    out, said = process.communicate(timeout=400)
    return process.returncode, out, said


@pytest.fixture(scope="module")
def server(
    ray_head: Callable[..., AbstractContextManager[str]], free_port: Callable[[], int]
) -> Iterator[str]:
    """A cluster of one node with its job server."""
    folder = Path("/tmp") / f"simclr-orch-{os.getpid()}"
    with ray_head(folder, free_port(), "--num-cpus=4") as url:
        yield url


def jobs_in_mlflow(storage: Path) -> list[str | None]:
    """The job that each sweep last ran in."""
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    everywhere = [experiment.experiment_id for experiment in client.search_experiments()]
    sweeps = client.search_runs(everywhere, "tags.`simclr_orch.kind` = 'sweep'")
    return [sweep.data.tags.get("simclr_orch.job") for sweep in sweeps]


@pytest.mark.slow
def test_a_job_outlives_its_client_and_the_same_command_finds_it_and_runs_nothing_twice(
    server: str,
    storage_folder: Path,
    start: Start,
    pretrain: Words,
    document: Document,
    line_with: Callable[..., str],
) -> None:
    long = {"schedule__epochs": 100}  # so that it still runs when a client has been left
    first = start(*pretrain(storage_folder, **long))
    name = line_with(first, "submitted", "stderr").split()[0]
    first.kill()
    first.communicate()
    left = start(*pretrain(storage_folder, "--json", **long))
    line_with(left, "following it", "stderr")
    left.send_signal(signal.SIGINT)
    code, out, said = ended(left)
    assert code == 1
    assert json.loads(out) == {
        "job": name,
        "status": "RUNNING",
        "command": json.loads(out)["command"],
    }
    assert f"left; {name} goes on. Follow it again with: simclr-orch pretrain" in said

    code, out, said = ended(start(*pretrain(storage_folder, "--json", **long)))
    assert code == 0, said
    assert f"{name} runs this command on {server} already" in said
    assert "pretrain · seed 0: linear top1" in said  # the job's own progress
    said_last = json.loads(out)  # the job's document, and nothing beside it
    kept = Storage(str(storage_folder)).read_json(f"runs/{said_last['run']}/run.json")
    assert said_last["record"] == kept
    assert kept["status"] == "finished"
    assert "--on" in said_last["command"]
    assert jobs_in_mlflow(storage_folder) == [name]

    code, out, said = ended(start(*pretrain(storage_folder, "--json", **long)))
    assert code == 0, said
    assert json.loads(out)["record"] == kept  # with the time at which it ended
    jobs = document("cluster", "jobs", server)["jobs"]
    statuses = [job["status"] for job in jobs if job["name"].startswith(name[:-1])]
    assert statuses == ["SUCCEEDED"] * 2
    # the same entry, continued by another job
    assert jobs_in_mlflow(storage_folder) == [f"{name[:-1]}2"]


@pytest.mark.slow
def test_how_jobs_that_do_not_succeed_end(
    server: str,
    storage_folder: Path,
    tmp_path: Path,
    start: Start,
    simclr_orch: Run,
    document: Document,
    pretrain: Words,
    tiny: Callable[..., dict[str, Any]],
    line_with: Callable[..., str],
    wait_for: Callable[..., None],
) -> None:
    (tmp_path / "own.yaml").write_text("loss: {temprature: 0.1}")
    config = [
        "--config",
        str(tmp_path / "own.yaml"),
        "--storage",
        str(storage_folder),
        "--json",
        "--code",
        "image",
    ]
    wrong = start("pretrain", "--on", server, *config)
    broken = broken_run(tmp_path / "broken", tiny(schedule__epochs=2))
    failing = start(*pretrain(tmp_path / "broken", "--max-failures", "0", "--json"))
    endless = start(*pretrain(storage_folder, schedule__epochs=100000))
    name = line_with(endless, "submitted", "stderr").split()[0]

    code, out, said = ended(wrong)
    assert code == 2
    assert "loss.temprature: no such field; did you mean loss.temperature?" in said
    assert json.loads(out)["exit_code"] == 2

    code, out, said = ended(failing)
    assert code == 1
    assert f"log {tmp_path}/broken/runs/{broken}/log.txt" in said
    assert "failed; continue with: simclr-orch pretrain" in said
    assert json.loads(out)["failed"] == [broken]

    shown = document("cluster", "status", server)
    assert [(node["head"], node["resources"]["CPU"]) for node in shown["nodes"]] == [(True, 4.0)]
    assert shown["resources"]["CPU"]["total"] == 4.0
    assert name in [job["name"] for job in shown["jobs"]]

    # it trains, or is about to
    wait_for(lambda: "at once" in JobServer(server, server).log(name), 200, pause=0.5)
    stopped = simclr_orch("cluster", "stop", name, "--on", server)
    assert stopped.returncode == 0, stopped.stderr
    assert "STOPPED" in stopped.stdout
    code, _, said = ended(endless)
    assert code == 1
    assert f"{name} was stopped; continue with: simclr-orch pretrain" in said
    # from the job itself: it was asked to end, not killed
    assert "1 not run; continue with" in said
    log = simclr_orch("cluster", "logs", name, "--on", server)
    assert log.returncode == 0, log.stderr
    assert "1 not run; continue with" in log.stdout
    assert "simclr-orch-document" not in log.stdout


def broken_run(storage: Path, fields: dict[str, Any]) -> str:
    """Put a folder where the run of `pretrain` writes a file, and return the run's name."""
    assignments = tuple(f"{name}={value}" for name, value in fields.items())
    flags = {"storage": str(storage)}
    request = Request((), preset="shapes", assignments=assignments, flags=flags)
    checked = check(request)
    (plan,) = checked.plans
    name = plan.cells[0].fingerprint
    checked.storage.write_bytes(f"runs/{name}/predictions.npz/file", b"")
    return name


def test_arguments_of_a_job_are_those_of_the_command_without_where_it_runs() -> None:
    typed = [
        "ablate",
        "head",
        "--on=c.yaml",
        "--set",
        "seed=1",
        "--storage",
        "s3://b",
        "--json",
        "--config",
        "a/own.yaml",
    ]
    typed += ["--code", "image", "--tracking-uri=http://m", "--seeds", "3", "--", "--on"]
    expected = (
        "ablate",
        "--json",
        "--config",
        "config/own.yaml",
        "head",
        "--set",
        "seed=1",
        "--seeds",
        "3",
        "--",
        "--on",
    )
    assert remote_arguments(typed, Path("a/own.yaml")) == expected


def test_the_file_of_a_question_travels_as_yaml_under_a_path_of_its_own(tmp_path: Path) -> None:
    written, built = tmp_path / "mine.yaml", tmp_path / "built.py"
    written.write_text("question: Which?\naxes: {loss.temperature: [0.1, 0.5]}\n")
    built.write_text(
        "from search_spaces.trees.question import ablation_of\n"
        "AXES = {'loss.temperature': [0.1, 0.5]}\n"
        "MINE = ablation_of({'name': 'built', 'question': 'Which?', 'axes': AXES})\n"
    )
    names = (str(written), "head", str(built))
    files = travelling(Request(ablations=names))
    paths = {name: path for name, (path, _) in files.items()}
    assert paths == {names[0]: "questions/0/mine.yaml", names[2]: "questions/1/built.yaml"}
    arguments = remote_arguments(["ablate", *names, "--seeds", "3"], None, paths)
    assert arguments == (
        *("ablate", "--json", "questions/0/mine.yaml", "head", "questions/1/built.yaml"),
        *("--seeds", "3"),
    )
    one = Submission("t", arguments, Settings(), ships_code=False, questions=dict(files.values()))
    with one.folder() as folder:
        assert folder is not None
        found = [read_question(str(folder / path)).ablation for path in paths.values()]
    assert [each.name for each in found] == ["mine", "built"]
    assert found[0].paper == found[1].paper

    before = one.digest
    written.write_text("question: Which?\naxes: {loss.temperature: [0.1, 0.4]}\n")
    changed = dict(travelling(Request(ablations=names)).values())
    assert Submission("t", arguments, Settings(), questions=changed).digest != before


def test_the_name_of_a_job_follows_what_it_computes(tmp_path: Path) -> None:
    config = tmp_path / "own.yaml"
    config.write_text("seed: 1")
    one = Submission("typed", ("ablate", "--json"), Settings(storage="s3://b"), config)
    assert (
        Submission(
            "typed otherwise", ("ablate", "--json"), Settings(storage="s3://b"), config, False
        ).digest
        == one.digest
    )
    assert (
        Submission("typed", ("ablate", "--json"), Settings(storage="s3://c"), config).digest
        != one.digest
    )
    before = one.digest
    config.write_text("seed: 2")
    assert one.digest != before


def test_what_travels_is_the_code_and_the_config_alone(tmp_path: Path) -> None:
    config = tmp_path / "own.yaml"
    config.write_text("seed: 1")
    with Submission("t", ("ablate",), Settings(), config).folder() as folder:
        assert folder is not None
        assert {path.name for path in folder.iterdir()} == {
            "orchestrator",
            "search_spaces",
            "workloads",
            "config",
        }
        assert (folder / "config" / "own.yaml").read_text() == "seed: 1"
        ended = subprocess.run(
            [
                sys.executable,
                "-m",
                "orchestrator.cli.in_job",
                "simclr-orch spaces",
                "spaces",
                "--json",
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr
    assert all(line.startswith("simclr-orch-document ") for line in ended.stdout.splitlines())
    with Submission("t", ("ablate",), Settings(), None, ships_code=False).folder() as folder:
        assert folder is None


def test_a_document_passes_a_log_in_pieces_between_other_lines() -> None:
    document = {"cells": ["ü\n" * PIECE, 1.5], "none": None}
    lines = [
        "before",
        *document_lines(document)[:1],
        "between",
        *document_lines(document)[1:],
        "after",
    ]
    assert max(len(line) for line in lines) < PIECE + 100
    log, out = "\n".join(lines), io.StringIO()
    reader = LogReader(out.write)
    for begin in range(0, len(log), 777):
        reader.feed(log[begin : begin + 777])
    reader.close()
    assert reader.document == document
    assert out.getvalue() == "before\nbetween\nafter\n"


def test_a_log_that_was_cut_has_no_document() -> None:
    reader = LogReader(lambda _: None)
    reader.feed("\n".join(document_lines({"cells": ["x" * PIECE]})[:1]) + "\n")
    assert reader.document is None


@pytest.mark.parametrize(
    ("environment", "header"),
    [
        ({"RAY_AUTH_TOKEN": "one"}, "Bearer one"),
        ({"RAY_AUTH_TOKEN_PATH": "token-file"}, "Bearer two"),
        ({"RAY_AUTH_TOKEN": "one", "RAY_AUTH_MODE": "disabled"}, None),
        ({"RAY_AUTH_TOKEN": "one", "RAY_JOB_HEADERS": '{"Authorization": "Basic x"}'}, "Basic x"),
        ({"RAY_AUTH_TOKEN_PATH": "nowhere"}, None),
    ],
)
def test_who_asks_proves_it_as_ray_does(
    environment: dict[str, str], header: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token-file").write_text("two\n")
    assert auth_headers(environment).get("Authorization") == header


def test_every_problem_of_a_command_for_a_cluster_is_said_at_once(tmp_path: Path) -> None:
    request = Request(
        ablations=("head",),
        config=tmp_path / "nowhere.yaml",
        assignments=("data.root=here",),
        flags={"address": "auto", "storage": None, "tracking_uri": None},
    )
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(PlanError) as refused:
        run_as_ray_job(f"http://127.0.0.1:{port}", "fetch", request, ["ablate", "head"])
    for problem in (
        "--on and --address: exclude each other",
        "--code fetch: no such choice; known are ship, image",
        "nowhere.yaml: cannot be read",
        "--set data.root=here: is relative to this folder",
        f"http://127.0.0.1:{port}: no job server of Ray answers there",
    ):
        assert problem in str(refused.value)


def test_a_server_that_is_not_rays_is_said_to_be_none(tmp_path: Path) -> None:
    """Something answers, and with what is no JSON."""
    command = [
        sys.executable,
        "-m",
        "http.server",
        "0",
        "--bind",
        "127.0.0.1",
        "--directory",
        str(tmp_path),
    ]
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "jobs").mkdir()
    with subprocess.Popen(
        [*command[:1], "-u", *command[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as other:
        assert other.stdout is not None
        port = other.stdout.readline().split("port ")[1].split()[0]
        with pytest.raises(ClusterError, match="no job server of Ray answers there"):
            JobServer(f"http://127.0.0.1:{port}", "it").jobs()
        other.terminate()


# As Ray 2.60 formats it, shortened.
STATUS = """======== Autoscaler status: 2026-11-22 20:56:49.296108 ========
Node status
---------------------------------------------------------------
Active:
 1 head
Pending:
 10.0.0.7: gpu, setting-up
Recent failures:
 (no failures)

Resources
---------------------------------------------------------------
Total Usage:
 1.0/2.0 CPU (1.0 used of 1.0 reserved in placement groups)
 0.5/1.0 GPU
 0B/13.09GiB memory

From request_resources:
 (none)
Pending Demands:
 {'CPU': 1.0, 'GPU': 1.0} * 2 (PACK): 3+ pending placement groups
"""


def test_the_status_of_a_cluster_is_read() -> None:
    assert read_status(STATUS) == {
        "resources": {"CPU": (1.0, 2.0), "GPU": (0.5, 1.0)},
        "demand": ["{'CPU': 1.0, 'GPU': 1.0} * 2 (PACK): 3+ pending placement groups"],
        "starting": ["10.0.0.7: gpu, setting-up"],
        "failed": [],
    }
