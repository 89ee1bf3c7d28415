"""Real Ray: commands as jobs of a cluster, which outlive who submitted them. Milliseconds: how a
command becomes a job.
"""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from orchestrator.cluster.job_log import PIECE, LogReader, document_lines
from orchestrator.cluster.job_server import JobServer, auth_headers
from orchestrator.commands.check import check
from orchestrator.commands.cluster import read_status
from orchestrator.commands.on_cluster import Submission, remote_arguments, run_on
from orchestrator.commands.request import Request
from orchestrator.errors import ClusterError, PlanError
from orchestrator.settings import Settings
from orchestrator.storage import Storage

COMMAND = [sys.executable, "-c", "from orchestrator.cli import main; main()"]
TINY = {
    "data.image_size": 16,
    "data.train_images": 200,
    "data.test_images": 100,
    "encoder.width": 0.125,
    "schedule.batch_size": 32,
    "optim.anchor_batch_size": 32,
    "schedule.epochs": 2,
}


Start = Callable[[list[str]], "subprocess.Popen[str]"]


def fields(**more: Any) -> list[str]:
    values = TINY | {name.replace("__", "."): value for name, value in more.items()}
    return [f"{name}={value}" for name, value in values.items()]


def pretrain(storage: Path, server: str, *more: str, **values: Any) -> list[str]:
    assignments = [part for field in fields(**values) for part in ("--set", field)]
    command = [
        *COMMAND,
        "pretrain",
        "--preset",
        "shapes",
        *assignments,
        "--storage",
        str(storage),
        "--cpus-per-worker",
        "1",
    ]
    return [*command, "--on", server, *more]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts commands, and ends those that a failed test left running."""
    with ExitStack() as stack:

        def run(command: list[str]) -> "subprocess.Popen[str]":
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            process = stack.enter_context(subprocess.Popen(command, text=True, **pipes))  # type: ignore[call-overload]
            stack.callback(process.kill)
            return process  # type: ignore[no-any-return]

        yield run


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    out, said = process.communicate(timeout=400)
    return process.returncode, out, said


def line_with(process: "subprocess.Popen[str]", words: str) -> str:
    """The next line on stderr that has these words."""
    assert process.stderr is not None
    watchdog = threading.Timer(200, process.kill)
    watchdog.start()
    seen = []
    try:
        for line in process.stderr:
            seen.append(line)
            if words in line:
                return line
        raise AssertionError("".join(seen))
    finally:
        watchdog.cancel()


def jobs_on(server: str) -> dict[str, dict[str, Any]]:
    answer = subprocess.run(
        [*COMMAND, "cluster", "jobs", server, "--json"], capture_output=True, text=True, check=True
    )
    return {job["name"]: job for job in json.loads(answer.stdout)["jobs"]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of one node with its job server, which asks for a token as Ray's do. Ended by
    process id.
    """
    # short: Ray's sockets lie below, and their paths are limited
    folder = Path("/tmp") / f"simclr-orch-{os.getpid()}"
    ports = {
        name: free_port()
        for name in (
            "port",
            "dashboard-port",
            "dashboard-agent-listen-port",
            "ray-client-server-port",
        )
    }
    command = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        "--head",
        "--block",
        "--num-cpus=4",
    ]
    command += [
        *(f"--{name}={port}" for name, port in ports.items()),
        f"--temp-dir={folder}",
        "--disable-usage-stats",
    ]
    token = tmp_path_factory.mktemp("token") / "auth_token"
    token.write_text("a-token-of-this-test-0123456789abcdef")
    before = {name: os.environ.get(name) for name in ("RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE")}
    os.environ |= {"RAY_AUTH_TOKEN_PATH": str(token), "RAY_AUTH_MODE": "token"}
    own = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    }
    url = f"http://127.0.0.1:{ports['dashboard-port']}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=os.environ | own, **quiet) as head:  # type: ignore[call-overload]
        try:
            wait_for_nodes(url)
            yield url
        finally:
            started = psutil.Process(head.pid).children(recursive=True)
            head.terminate()
            for process in psutil.wait_procs(started, timeout=20)[1]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            shutil.rmtree(folder, ignore_errors=True)
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def wait_for_nodes(url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with suppress(ClusterError):
            if JobServer(url, url).nodes():
                return
        time.sleep(0.5)
    raise AssertionError("the head did not start")


def jobs_in_mlflow(storage: Path) -> list[str | None]:
    """The job that each sweep last ran in."""
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    everywhere = [experiment.experiment_id for experiment in client.search_experiments()]
    sweeps = client.search_runs(everywhere, "tags.`simclr_orch.kind` = 'sweep'")
    return [sweep.data.tags.get("simclr_orch.job") for sweep in sweeps]


@pytest.mark.slow
def test_a_job_outlives_its_client_and_the_same_command_finds_it_and_runs_nothing_twice(
    server: str, storage_folder: Path, start: Start
) -> None:
    first = start(pretrain(storage_folder, server))
    name = line_with(first, "submitted").split()[0]
    first.kill()
    first.communicate()
    left = start(pretrain(storage_folder, server, "--json"))
    line_with(left, "following it")
    left.send_signal(signal.SIGINT)
    code, out, said = ended(left)
    assert code == 1
    assert json.loads(out) == {
        "job": name,
        "status": "RUNNING",
        "command": json.loads(out)["command"],
    }
    assert f"left; {name} goes on. Follow it again with: simclr-orch pretrain" in said

    code, out, said = ended(start(pretrain(storage_folder, server, "--json")))
    assert code == 0, said
    assert f"{name} runs this command on {server} already" in said
    assert "pretrain · seed 0: linear top1" in said  # the job's own progress
    document = json.loads(out)  # the job's document, and nothing beside it
    kept = Storage(str(storage_folder)).read_json(f"runs/{document['run']}/run.json")
    assert document["record"] == kept
    assert kept["status"] == "finished"
    assert "--on" in document["command"]
    assert jobs_in_mlflow(storage_folder) == [name]

    code, out, said = ended(start(pretrain(storage_folder, server, "--json")))
    assert code == 0, said
    assert json.loads(out)["record"] == kept  # with the time at which it ended
    assert [
        job["status"] for job in jobs_on(server).values() if job["name"].startswith(name[:-1])
    ] == ["SUCCEEDED"] * 2
    # the same entry, continued by another job
    assert jobs_in_mlflow(storage_folder) == [f"{name[:-1]}2"]


@pytest.mark.slow
def test_how_jobs_that_do_not_succeed_end(
    server: str, storage_folder: Path, tmp_path: Path, start: Start
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
    wrong = start([*COMMAND, "pretrain", "--on", server, *config])
    broken = broken_run(tmp_path / "broken")
    failing = start(pretrain(tmp_path / "broken", server, "--max-failures", "0", "--json"))
    endless = start(pretrain(storage_folder, server, schedule__epochs=100000))
    name = line_with(endless, "submitted").split()[0]

    code, out, said = ended(wrong)
    assert code == 2
    assert "loss.temprature: no such field; did you mean loss.temperature?" in said
    assert json.loads(out)["exit_code"] == 2

    code, out, said = ended(failing)
    assert code == 1
    assert f"log {tmp_path}/broken/runs/{broken}/log.txt" in said
    assert "failed; continue with: simclr-orch pretrain" in said
    assert json.loads(out)["failed"] == [broken]

    status = subprocess.run(
        [*COMMAND, "cluster", "status", server, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    shown = json.loads(status.stdout)
    assert [(node["head"], node["resources"]["CPU"]) for node in shown["nodes"]] == [(True, 4.0)]
    assert shown["resources"]["CPU"]["total"] == 4.0
    assert name in [job["name"] for job in shown["jobs"]]

    wait_for_words(name, server, "at once")  # it trains, or is about to
    stopped = subprocess.run(
        [*COMMAND, "cluster", "stop", name, "--on", server],
        capture_output=True,
        text=True,
        check=False,
    )
    assert stopped.returncode == 0, stopped.stderr
    assert "STOPPED" in stopped.stdout
    code, _, said = ended(endless)
    assert code == 1
    assert f"{name} was stopped; continue with: simclr-orch pretrain" in said
    # from the job itself: it was asked to end, not killed
    assert "1 not run; continue with" in said
    log = subprocess.run(
        [*COMMAND, "cluster", "logs", name, "--on", server],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "1 not run; continue with" in log
    assert "simclr-orch-document" not in log


def broken_run(storage: Path) -> str:
    """A storage in which the run of `pretrain` has a checkpoint that cannot be read; the run's
    name.
    """
    request = Request(
        (), preset="shapes", assignments=tuple(fields()), flags={"storage": str(storage)}
    )
    checked = check(request)
    (plan,) = checked.plans
    name = plan.cells[0].fingerprint
    checked.storage.write_bytes(f"runs/{name}/checkpoint.pt", b"not a checkpoint")
    return name


def wait_for_words(name: str, server: str, words: str) -> None:
    deadline = time.monotonic() + 200
    while words not in JobServer(server, server).log(name):
        assert time.monotonic() < deadline
        time.sleep(0.5)


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
        run_on(f"http://127.0.0.1:{port}", "fetch", request, ["ablate", "head"])
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
