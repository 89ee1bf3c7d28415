"""What the tests share: a cache of decoded images of their own, and one thread a process."""

import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import torch

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
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def root(pytestconfig: pytest.Config) -> Path:
    """The folder of the repository."""
    return pytestconfig.rootpath


@pytest.fixture
def storage_folder(tmp_path: Path) -> Path:
    """Where a command under test keeps its results."""
    return tmp_path / "storage"


@pytest.fixture(scope="session")
def object_store() -> Iterator[Any]:
    """A client of an S3 server of the tests' own, which Arrow, MLflow and subprocesses find by the
    environment.
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
