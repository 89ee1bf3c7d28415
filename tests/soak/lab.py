"""The processes of a soak: a Ray cluster, MLflow's server and a driver, all of them its own.

Whatever is started here has a mark in its environment, which all that it starts inherits: what is
left over is found by it, and nothing of anybody else is ever touched.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psutil

__all__ = ["Lab"]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MARK, ROLE = "SIMCLR_SOAK", "SIMCLR_SOAK_ROLE"
# A lost node is noticed in seconds, not in half a minute.
HEALTH = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "5",
}
# A busy machine takes longer than Ray's five seconds to answer at first.
SLOW = {"RAY_py_gcs_connect_timeout_s": "60", "RAY_gcs_rpc_server_connect_timeout_s": "60"}
PATIENCE = 300.0  # seconds, for whatever starts on a busy machine
TITLES = {"ray::ImplicitFunc": "trial", "RayTrainWorker": "worker", "TrainController": "controller"}


class Lab:
    """Three nodes, a server and a driver, below a folder that keeps all their logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = uuid4().hex
        # its path is short, as Ray's sockets need it
        self.scratch = Path(tempfile.mkdtemp(prefix="soak-", dir="/tmp"))
        self.temporary = self.scratch / "t"
        self.temporary.mkdir()
        self.nodes: list[str] = []
        self.driver: subprocess.Popen[bytes] | None = None
        self._cluster: subprocess.Popen[str] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._port = _free_port()
        self.uri = f"http://127.0.0.1:{self._port}"
        self.address = ""

    def start(self, nodes: int) -> None:
        """Start the server, the head and so many nodes."""
        self.start_server()
        words = [sys.executable, str(HERE / "nodes.py")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with (self.folder / "cluster.log").open("ab") as log:
            # workers are no nicer than what kills them
            own = {"RAY_TMPDIR": str(self.scratch), "RAY_worker_niceness": "0"} | HEALTH | SLOW
            self._cluster = subprocess.Popen(  # type: ignore[call-overload]
                words, stderr=log, env=self._environment("cluster", own), cwd=ROOT, **pipes
            )
        self.address = self._answer("cluster")
        for _ in range(nodes):
            self.add_node()
        wait_for(self._server_answers, "MLflow's server did not start")

    def start_server(self) -> None:
        """Start MLflow's server, or start it again on the same database."""
        words = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        words += ["--port", str(self._port)]
        words += ["--backend-store-uri", f"sqlite:///{self.folder}/server.db"]
        words += ["--artifacts-destination", str(self.folder / "artifacts")]
        off = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "mlflow.log").open("ab") as log:
            self._server = subprocess.Popen(
                words,
                stdout=log,
                stderr=log,
                env=self._environment("mlflow", off),
                cwd=self.folder,
                start_new_session=True,
            )

    def start_driver(self, words: list[str], log: Path) -> None:
        """Start the command, as a user or a cron job would."""
        with log.open("ab") as file:
            file.write(f"\n$ simclr-orch {' '.join(words)}\n".encode())
            file.flush()
            self.driver = subprocess.Popen(
                [*self.command, *words],
                stdout=file,
                stderr=file,
                env=self._environment("driver", {"TMPDIR": str(self.temporary)}),
                cwd=ROOT,
                start_new_session=True,
            )

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-c", "from orchestrator.cli import main; main()"]

    def run(self, *words: str) -> str:
        """Run a command to its end, in no one's way, for what it prints."""
        ended = subprocess.run(
            [*words],
            env=self._environment("other", {"TMPDIR": str(self.temporary)}),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            raise SystemExit(f"{' '.join(words)}: {ended.stdout}{ended.stderr}")
        return ended.stdout

    def kill_driver(self, name: str) -> int | None:
        """Send the driver alone a signal; its number, None where none runs."""
        if self.driver is None or self.driver.poll() is not None:
            return None
        self.driver.send_signal(getattr(signal, f"SIG{name}"))
        return self.driver.pid

    def kill_process(self, victim: float) -> tuple[str, int] | None:
        """Kill a process in which a cell runs; what it was and its number, None where none is."""
        found = []
        for process in self.processes("cluster"):
            with suppress(psutil.Error):
                words = " ".join(process.cmdline())
                found += [(process.pid, kind, process) for t, kind in TITLES.items() if t in words]
        if not found:
            return None
        number, kind, chosen = sorted(found)[int(victim * len(found))]
        with suppress(psutil.NoSuchProcess):
            chosen.kill()
        return kind, number

    def kill_node(self, victim: float) -> str | None:
        """End a node and all its processes, unless it is the only one."""
        if len(self.nodes) < 2:
            return None
        chosen = self.nodes.pop(int(victim * len(self.nodes)))
        self._say(f"lose {chosen}")
        self._answer("lost")
        return chosen[:12]

    def add_node(self) -> None:
        self._say("add")
        self.nodes.append(self._answer("added"))

    def kill_server(self) -> int | None:
        """Kill the server; its number, None where it is away already."""
        if self._server is None or self._server.poll() is not None:
            return None
        with suppress(ProcessLookupError):
            os.killpg(self._server.pid, signal.SIGKILL)
        self._server.wait()
        return self._server.pid

    def server_is_up(self) -> bool:
        return self._server is not None and self._server.poll() is None

    def wait_for_server(self) -> None:
        wait_for(self._server_answers, "MLflow's server did not start")

    def processes(self, role: str | None = None) -> Iterator[psutil.Process]:
        """What this soak has started and what these have, by its mark; of one role, or all."""
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                environment = process.environ()
                ours = environment.get(MARK) == self.mark and process.status() != "zombie"
                if ours and role in (None, environment.get(ROLE)):
                    yield process

    def end(self) -> list[str]:
        """End cluster and server as one does, and return what is left of all processes."""
        if self._cluster is not None and self._cluster.stdin is not None:
            self._cluster.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._cluster.wait(60)
        self.kill_server()
        left = self.left_over()
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()
        shutil.rmtree(self.scratch, ignore_errors=True)
        return left

    def left_over(self, role: str | None = None, seconds: float = 60) -> list[str]:
        """Titles of processes that do not end within a time."""
        deadline = time.monotonic() + seconds
        while (left := [*self.processes(role)]) and time.monotonic() < deadline:
            time.sleep(0.5)
        titles = []
        for process in left:
            with suppress(psutil.Error):
                titles.append(f"{process.pid} {' '.join(process.cmdline())[:200]}")
        return titles

    def _environment(self, role: str, more: dict[str, str]) -> dict[str, str]:
        own = {MARK: self.mark, ROLE: role, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        own["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        own["SIMCLR_ORCH_CACHE"] = str(self.folder / "cache")
        dropped = ("MLFLOW_TRACKING_URI", "RAY_ADDRESS")
        return {key: each for key, each in os.environ.items() if key not in dropped} | own | more

    def _say(self, line: str) -> None:
        assert self._cluster is not None
        assert self._cluster.stdin is not None
        self._cluster.stdin.write(line + "\n")
        self._cluster.stdin.flush()

    def _answer(self, word: str) -> str:
        assert self._cluster is not None
        assert self._cluster.stdout is not None
        for line in self._cluster.stdout:
            if line.startswith(word + " "):
                return str(line.split()[1])
        raise SystemExit(f"the cluster ended: see {self.folder}/cluster.log")

    def _server_answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 5) as asked:
            asked.settimeout(10)
            asked.sendall(b"GET /health HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            return b" 200 " in asked.recv(100)
        return False


def wait_for(condition: Callable[[], bool], problem: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(problem)
        time.sleep(0.2)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
