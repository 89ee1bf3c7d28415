"""What the tests share: where they run, the command and its smallest recipe, and what it leaves."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psutil
import pytest
import torch

from orchestrator.storage import Storage

if TYPE_CHECKING:
    from mlflow.entities import Run

GLOO_GROUP = str(Path(__file__).with_name("gloo_group.py"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with many slow tests first, so that none is left to one process at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(autouse=True, scope="module")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of decoded images for each test file, so that their order does not matter.

    It is never the user's; subprocesses inherit it.
    """
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SIMCLR_ORCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _no_servers_of_the_users() -> Iterator[None]:
    """What a lab exports for everybody would have tests write there; subprocesses inherit it."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
            environment.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True, scope="session")
def _interrupts_are_heard() -> None:
    """A shell has what it starts in the background ignore Ctrl-C, and so would what tests start."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def repository(pytestconfig: pytest.Config) -> Path:
    """The folder of the repository."""
    return pytestconfig.rootpath


@pytest.fixture
def storage_folder(tmp_path: Path) -> Path:
    """Where a command under test keeps its results."""
    return tmp_path / "storage"


@pytest.fixture(scope="session")
def command() -> list[str]:
    """The words that begin a call of `simclr-orch` in a process of its own."""
    return [sys.executable, "-c", "from orchestrator.cli import main; main()"]


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Writes a module of own parts into the working directory, which is a new one, for its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    names = []

    def written(text: str) -> str:
        names.append(f"own_{uuid4().hex}")
        (tmp_path / f"{names[-1]}.py").write_text(text)
        return names[-1]

    yield written
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture(scope="session")
def simclr_orch(command: list[str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `simclr-orch` with these words to its end, whatever that is."""

    def run(*words: str, timeout: float = 500) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *words], capture_output=True, text=True, check=False, timeout=timeout
        )

    return run


@pytest.fixture(scope="session")
def document(
    simclr_orch: Callable[..., subprocess.CompletedProcess[str]],
) -> Callable[..., dict[str, Any]]:
    """Runs `simclr-orch` with these words, which has to succeed, for the document it prints."""

    def run(*words: str, timeout: float = 500) -> dict[str, Any]:
        ended = simclr_orch(*words, "--json", timeout=timeout)
        assert ended.returncode == 0, ended.stderr
        printed: dict[str, Any] = json.loads(ended.stdout)
        return printed

    return run


@pytest.fixture
def start(command: list[str]) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts `simclr-orch` with these words and, whatever becomes of the test, ends it."""
    with ExitStack() as stack:

        def popen(*words: str) -> "subprocess.Popen[str]":
            process = stack.enter_context(
                subprocess.Popen(
                    [*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
                )
            )
            stack.callback(process.kill)
            return process

        yield popen


@pytest.fixture(scope="session")
def tiny() -> Callable[..., dict[str, Any]]:
    """Fields that make a run of the preset `shapes` small, with these more: `schedule__epochs=2`.

    Of the 200 images 180 are for training, which is 5 steps an epoch.
    """

    def fields(**more: Any) -> dict[str, Any]:
        return {
            "data.image_size": 16,
            "data.train_images": 200,
            "data.test_images": 100,
            "encoder.width": 0.125,
            "schedule.batch_size": 32,
            "optim.anchor_batch_size": 32,
        } | {name.replace("__", "."): value for name, value in more.items()}

    return fields


@pytest.fixture(scope="session")
def tiny_recipe(tiny: Callable[..., dict[str, Any]]) -> Callable[..., list[str]]:
    """The options of a command that say the same: a preset, and each field of `tiny`."""

    def options(**more: Any) -> list[str]:
        fields = [f"{name}={value}" for name, value in tiny(**more).items()]
        return ["--preset", "shapes", *(word for field in fields for word in ("--set", field))]

    return options


@pytest.fixture(scope="session")
def records() -> Callable[[Path | str], dict[str, dict[str, Any]]]:
    """What each run that has ended left in a storage, by fingerprint."""

    def read(storage: Path | str) -> dict[str, dict[str, Any]]:
        there = Storage(str(storage))
        found = {name: there.read_json(f"runs/{name}/run.json") for name in there.list("runs")}
        return {name: record for name, record in found.items() if record}

    return read


@pytest.fixture(scope="session")
def written() -> Callable[[Path], dict[str, int]]:
    """When each run that has ended left its record in a folder: nanoseconds, by fingerprint."""

    def read(storage: Path) -> dict[str, int]:
        return {
            path.parent.name: path.stat().st_mtime_ns for path in storage.glob("runs/*/run.json")
        }

    return read


@pytest.fixture(scope="session")
def mlflow_runs() -> Callable[[Path, str], tuple[list["Run"], list["Run"]]]:
    """Of an experiment in a storage's database: the runs of sweeps, and those of their cells."""
    from mlflow import MlflowClient  # takes seconds, which most tests can do without

    def read(storage: Path, experiment: str) -> tuple[list["Run"], list["Run"]]:
        client = MlflowClient(f"sqlite:///{storage}/mlflow.db")
        found = client.get_experiment_by_name(experiment)
        assert found is not None
        runs = list(client.search_runs([found.experiment_id], max_results=1000))
        cells = [each for each in runs if "mlflow.parentRunId" in each.data.tags]
        return [each for each in runs if each not in cells], cells

    return read


@pytest.fixture(scope="session")
def wait_for() -> Callable[..., None]:
    """Waits until a condition holds, which it has to within so many seconds."""

    def wait(condition: Callable[[], Any], seconds: float = 300, pause: float = 0.1) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "did not happen in time"
            time.sleep(pause)

    return wait


@pytest.fixture(scope="session")
def kill_one(wait_for: Callable[..., None]) -> Callable[[int, str], None]:
    """Kills the first process below another one, by its id, that has these words in its title."""

    def kill(above: int, title: str) -> None:
        def killed() -> bool:
            for process in psutil.Process(above).children(recursive=True):
                with suppress(psutil.Error):
                    if title in " ".join(process.cmdline()):
                        process.kill()
                        return True
            return False

        wait_for(killed, 600, pause=0.05)

    return kill


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A port of this machine on which nothing listens."""

    def find() -> int:
        with socket.create_server(("127.0.0.1", 0)) as free:
            return int(free.getsockname()[1])

    return find


@pytest.fixture(scope="module")
def object_store() -> Iterator[Any]:
    """A client of an S3 server of a test file's own.

    Arrow, MLflow and subprocesses find it by the environment, until the file is done.
    """
    boto3 = pytest.importorskip("boto3")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, "testing")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        environment.delenv("AWS_PROFILE", raising=False)
        yield boto3.client("s3")
    server.stop()


@pytest.fixture
def bucket(object_store: Any) -> str:
    """The address of an empty bucket."""
    name = f"bucket-{uuid4().hex}"
    object_store.create_bucket(Bucket=name)
    return f"s3://{name}"


@pytest.fixture(scope="session")
def as_script() -> Callable[..., None]:
    """Runs a Python file as a program of its own, with arguments.

    Its workers are forked there: here torch has started threads, which a fork would not take along.
    """

    def run(file: str, *arguments: Any) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "OMP_NUM_THREADS": "1",
        }
        script = subprocess.run(
            [sys.executable, file, *map(str, arguments)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert script.returncode == 0, script.stdout

    return run


@pytest.fixture(scope="session")
def gloo_group(as_script: Callable[..., None]) -> Callable[..., list[Any]]:
    """Runs a function of a test file in each worker of a group over gloo.

    The function is given a folder of the group's own. Returned is what it returned, by rank.
    """

    def run(
        function: Callable[[Path], Any],
        folder: Path,
        workers: int = 2,
        *,
        seconds: float = 60,
        start: str = "fork",
    ) -> list[Any]:
        file = function.__code__.co_filename
        as_script(GLOO_GROUP, file, function.__name__, folder, workers, seconds, start)
        return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(workers)]

    return run
