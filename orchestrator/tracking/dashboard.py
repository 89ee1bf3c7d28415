"""MLflow's own pages on a sweep's store, served by a process of ours as long as they are read."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from orchestrator.ending import Ending
from orchestrator.errors import PlanError, TrackingError
from orchestrator.storage import Storage
from orchestrator.tracking import store, watched
from orchestrator.tracking.host_names import names_for_others, origins, own_names, with_ports

__all__ = ["Dashboard", "check_recorded", "start_dashboard"]

START_PATIENCE = 90.0  # seconds; a busy machine needs 10 to import MLflow twice
STOP_PATIENCE = 10.0
SECONDS_BETWEEN_LOOKS = 0.5  # at whether the server still runs


@dataclass(frozen=True)
class Dashboard:
    """Pages at `address`; `process` is None when they are of a server that was running already.

    `addresses` are all that they can be read at, also from other machines.
    """

    address: str
    process: subprocess.Popen[bytes] | None
    addresses: tuple[str, ...] = ()

    def wait(self, ending: Ending) -> int:
        """Wait until the process ends, or this one is asked to; returns the exit code, else 0."""
        while self.process is not None and self.process.poll() is None:
            if ending.wait(SECONDS_BETWEEN_LOOKS):
                return 0
        return 0 if self.process is None else self.process.returncode

    def stop(self) -> None:
        """End the process and those it started, and nothing else."""
        if self.process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            # The group outlives its first process as long as a child of it runs.
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            try:
                self.process.wait(STOP_PATIENCE)
            except subprocess.TimeoutExpired:
                continue
        assert self.process.stdin is not None, "a pipe"
        self.process.stdin.close()


def start_dashboard(
    tracking_uri: str | None,
    storage: Storage,
    *,
    host: str = "127.0.0.1",
    port: int = 5000,
    allowed_hosts: Sequence[str] = (),
    ending: Ending | None = None,
) -> Dashboard:
    """Serve the store that a sweep with the same options writes; return when the pages answer.

    Or when this process is asked to end, which `ending` tells.

    MLflow answers requests only for names that it was told, so that a page elsewhere cannot have a
    browser ask it: this machine's own, where it listens for other machines, and `allowed_hosts`,
    names of proxies and the like (`*.lab.example.org`).
    A store behind HTTP has pages already: nothing is started. Raises PlanError for a port that is
    taken and for a storage in which nothing is recorded, and TrackingError for a store that cannot
    be used or a server that does not start.
    """
    uri, artifact_root = store.resolve(tracking_uri, storage)
    if uri.startswith(("http:", "https:")):
        return Dashboard(store.page(uri), None)
    if problem := _port_problem(host, port):
        raise PlanError([problem])
    if tracking_uri is None:
        check_recorded(storage)
    if problem := store.problem(uri):
        raise TrackingError(problem)
    if tracking_uri is None:
        store.put_artifacts_right(uri, store.artifact_address(storage))

    command = [sys.executable, "-m", "mlflow", "server"]
    command += ["--host", host, "--port", str(port), "--workers", "1"]
    # Runs keep the absolute address of their artifacts, which the pages read; there is nothing to
    # pass on for clients.
    command += ["--default-artifact-root", artifact_root or "", "--no-serve-artifacts"]
    names = [*own_names(host), *allowed_hosts]
    command += ["--allowed-hosts", ",".join(with_ports(names))]
    command += ["--cors-allowed-origins", ",".join(origins(names, port))]
    # Not an argument, which every user of the machine can see: the address may hold a password.
    environment = {**store.ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **os.environ}
    environment["MLFLOW_BACKEND_STORE_URI"] = uri

    with tempfile.NamedTemporaryFile(
        prefix="simclr-orch-dashboard-", suffix=".log", delete=False
    ) as log:
        process = subprocess.Popen(
            # It ends with this process, also when that is killed.
            [sys.executable, "-P", watched.__file__, *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            # Modules are imported from where it runs: among temporary files lie those of anybody.
            cwd=os.path.abspath(os.sep),
            start_new_session=True,
        )

    addresses = [f"http://{_reachable(host)}:{port}"]
    addresses += [f"http://{name}:{port}" for name in names_for_others(host)]
    dashboard = Dashboard(addresses[0], process, tuple(addresses))
    try:
        _wait_until_healthy(dashboard, Path(log.name), ending)
    except BaseException:
        dashboard.stop()
        raise
    return dashboard


def check_recorded(storage: Storage) -> None:
    """Raise PlanError where a local storage has nothing to show; it is not made for being asked."""
    folder = storage.local_path()
    if not folder.is_dir():
        raise PlanError([f"--storage {storage.shown()}: there is no such folder"])
    if not (folder / store.DATABASE).is_file():
        text = f"has no {store.DATABASE}: no sweep is recorded there"
        raise PlanError([f"--storage {storage.shown()}: {text}"])


def _port_problem(host: str, port: int) -> str | None:
    try:
        with socket.create_server((host, port)):
            return None
    except (OSError, OverflowError) as error:
        return f"--port {port}: cannot serve at {host}:{port}: {store.reason(error)}"


def _reachable(host: str) -> str:
    """An address to ask a server that listens on every interface."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(
        host, f"[{host}]" if ":" in host else host
    )


def _wait_until_healthy(dashboard: Dashboard, log: Path, ending: Ending | None) -> None:
    opener = build_opener(ProxyHandler({}))
    deadline = time.monotonic() + START_PATIENCE
    assert dashboard.process is not None
    while time.monotonic() < deadline and dashboard.process.poll() is None:
        if ending is not None and ending.wait(0):
            return
        try:
            opener.open(f"{dashboard.address}/health", timeout=2).close()
            return
        except (URLError, OSError):
            time.sleep(0.1)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
    raise TrackingError(f"MLflow's server did not start (log: {log}):\n{tail}")
