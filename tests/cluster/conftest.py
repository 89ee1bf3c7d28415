"""What the tests of clusters share: a head of Ray, what was done before, and where cells ran."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator.cell.job import CellJob
from orchestrator.cluster.job_server import JobServer
from orchestrator.commands.check import check
from orchestrator.commands.request import Request
from orchestrator.errors import ClusterError
from workloads.distributed.worker import Worker
from workloads.runs.cell import run_cell


@pytest.fixture(scope="session")
def ray_head(
    free_port: Callable[[], int],
    wait_for: Callable[..., None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., AbstractContextManager[str]]:
    """Starts the head of a cluster in a folder, for the address of its job server.

    It asks for a token, as Ray's do, which is in the environment meanwhile. The folder's path has
    to be short: Ray's sockets lie below, and theirs are limited. All is ended by process id.
    """

    @contextmanager
    def started(folder: Path, port: int, *options: str, **environment: str) -> Iterator[str]:
        token = tmp_path_factory.mktemp("token") / "auth_token"
        token.write_text("a-token-of-this-test-0123456789abcdef")
        dashboard = free_port()
        words = ["--head", "--block", "--disable-usage-stats", f"--temp-dir={folder}", *options]
        words += [f"--port={port}", f"--dashboard-port={dashboard}"]
        words += [f"--dashboard-agent-listen-port={free_port()}"]
        words += [f"--ray-client-server-port={free_port()}"]
        own = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        }
        url = f"http://127.0.0.1:{dashboard}"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
            patch.setenv("RAY_AUTH_MODE", "token")
            head = subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", "start", *words],
                env=os.environ | own | environment,
                **quiet,  # type: ignore[call-overload]
            )
            try:
                wait_for(lambda: is_up(url), 300, pause=0.5)
                yield url
            finally:
                below = psutil.Process(head.pid).children(recursive=True)
                head.terminate()
                for process in psutil.wait_procs(below, timeout=20)[1]:
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
                head.kill()
                head.wait()
                shutil.rmtree(folder, ignore_errors=True)

    return started


def is_up(url: str) -> bool:
    with suppress(ClusterError):
        return bool(JobServer(url, url).nodes())
    return False


@pytest.fixture(scope="session")
def line_with() -> Callable[..., str]:
    """The next line of a process with what is sought; it is killed when none comes in time."""

    def read(process: "subprocess.Popen[str]", pattern: str, stream: str = "stdout") -> str:
        watchdog = threading.Timer(200, process.kill)
        watchdog.start()
        seen = []
        try:
            for line in getattr(process, stream):
                seen.append(line)
                if re.search(pattern, line):
                    return str(line)
            raise AssertionError("".join(seen))
        finally:
            watchdog.cancel()

    return read


@pytest.fixture(scope="session")
def run_here(tiny: Callable[..., dict[str, Any]]) -> Callable[..., None]:
    """Runs the first cells of a sweep here, which costs a tenth of what it does on a cluster."""

    def run(ablation: str, storage: Path, count: int, **fields: Any) -> None:
        assignments = tuple(f"{name}={value}" for name, value in tiny(**fields).items())
        checked = check(
            Request(
                (ablation,),
                preset="shapes",
                assignments=assignments,
                flags={"storage": str(storage)},
            )
        )
        (plan,) = checked.plans
        for cell in plan.cells[:count]:
            tree, uri = cell.spec.tree(), checked.storage.uri
            job = CellJob(cell.name, "simclr", cell.fingerprint, tree, uri)
            run_cell(job, Worker.here("cpu"), None, lambda _: None)

    return run


@pytest.fixture(scope="session")
def nodes_used(
    records: Callable[[Path], dict[str, dict[str, Any]]],
) -> Callable[..., list[set[str]]]:
    """The nodes of each cell in a storage that ran on a cluster, with so many workers."""

    def read(storage: Path, *, workers: int) -> list[set[str]]:
        ended = records(storage).values()
        assert all(record["status"] == "finished" for record in ended)
        machines = [record["machine"] for record in ended if "hosts" in record["machine"]]
        assert {machine["workers"] for machine in machines} == {workers}
        return [{host.rpartition("/")[2] for host in machine["hosts"]} for machine in machines]

    return read


@pytest.fixture(scope="session")
def last_beginning() -> Callable[[Path], str]:
    """The line with the time at which two workers began, or began again, with a run."""

    def read(run: Path) -> str:
        log = (run / "log.txt").read_text().splitlines()
        return [line for line in log if line.endswith("2 workers")][-1]

    return read
