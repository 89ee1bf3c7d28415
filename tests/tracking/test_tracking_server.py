"""Tracking through real `mlflow server` processes: many writers, one that dies, the dashboard."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from mlflow import MlflowClient

from orchestrator.errors import PlanError
from orchestrator.storage import Storage
from orchestrator.tracking import Tracker, start_dashboard

PROCESSES, THREADS, CELLS, EPOCHS = 4, 3, 2, 5
PATIENCE = 120.0  # A server takes 10 s to start on an idle machine.

pytestmark = pytest.mark.timeout(240)


def fetch(url: str, body: dict[str, list[str]] | None = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"})
    with build_opener(ProxyHandler({})).open(request, timeout=30) as response:
        content: bytes = response.read()
    return content


def status(url: str, data: bytes | None = None, **headers: str) -> int:
    try:
        with build_opener(ProxyHandler({})).open(Request(url, data, headers), timeout=30) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def wait_for_end_of_group(group: int) -> None:
    """Until none of the processes is left; the test's time limit bounds it."""
    with suppress(ProcessLookupError):
        while True:
            os.killpg(group, 0)
            time.sleep(0.01)


class Server:
    """`mlflow server` with a database of its own, that can be killed and started again."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--workers",
            "1",
            "--port",
            str(self.port),
        ]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/server.db"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        off = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=os.environ | off,
                cwd=self.folder,
                start_new_session=True,
            )

    def kill(self) -> None:
        assert self.process
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        wait_for_end_of_group(self.process.pid)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]
) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"), free_port())
    server.start()
    yield server
    server.kill()


WRITER = """
import json
import sys, time
from contextlib import suppress
from pathlib import Path
from orchestrator.tracking import Tracker

uri, name, cells, epochs, patience, killed = sys.argv[1:]
tracker = Tracker(uri, None, patience=float(patience))
parent = tracker.sweep("batch_size", "s1", name="sweep", tags={"commit": "abc"}, plan={"cells": 8})
for number in range(int(cells)):
    fingerprint = f"{name}-{number}"
    about = {"tags": {"seed": str(number)}, "params": {"loss": {"t": 1}}}
    cell = tracker.cell(parent, fingerprint, name=fingerprint, **about)
    for epoch in range(int(epochs)):
        if number == 0 and epoch == 2:
            print("half", flush=True)
            while not Path(killed).exists():
                time.sleep(0.01)
        tracker.log_epochs(cell, {epoch: {"loss": 1 / (epoch + 1), "accuracy": epoch / 10}})
    record = {"name": name, "fingerprint": fingerprint, "status": "finished", "spec": {}}
    tracker.finish(cell, {"top1": 0.5}, {"run.json": json.dumps(record)})
"""


def write_from_a_thread(tracker: Tracker, name: str) -> None:
    parent = tracker.sweep("batch_size", "s1", name="sweep", tags={}, plan={"cells": 8})
    for number in range(CELLS):
        fingerprint = f"{name}-{number}"
        cell = tracker.cell(
            parent, fingerprint, name=fingerprint, tags={"seed": str(number)}, params={}
        )
        for epoch in range(EPOCHS):
            tracker.log_epochs(cell, {epoch: {"loss": 1 / (epoch + 1), "accuracy": epoch / 10}})
        record = {"name": name, "fingerprint": fingerprint, "status": "finished", "spec": {}}
        tracker.finish(cell, {"top1": 0.5}, {"run.json": json.dumps(record)})


def test_nothing_is_lost_or_doubled_by_many_writers_and_a_server_that_dies(
    server: Server, tmp_path: Path
) -> None:
    killed = tmp_path / "killed"
    command = [sys.executable, "-c", WRITER, server.uri]
    rest = [str(CELLS), str(EPOCHS), str(PATIENCE), str(killed)]
    names = [f"process{number}" for number in range(PROCESSES)]
    writers = [
        subprocess.Popen([*command, name, *rest], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for name in names
    ]
    try:
        for writer in writers:
            assert writer.stdout
            assert writer.stdout.readline() == b"half\n"
        tracker = Tracker(server.uri, None, patience=PATIENCE)
        assert tracker.check() is None
        with ThreadPoolExecutor(THREADS) as threads:
            writing = [
                threads.submit(write_from_a_thread, tracker, f"thread{number}")
                for number in range(THREADS)
            ]
            # Their requests are under way when the server dies, those of the processes fail from
            # the start.
            time.sleep(0.5)
            server.kill()
            assert (line := tracker.check())
            assert f"--tracking-uri {server.uri}: Connection refused" in line
            killed.touch()
            server.start()
            for one in writing:
                one.result()
        for writer in writers:
            out, err = writer.communicate()
            assert (out, err.decode(), writer.returncode) == (b"", "", 0)
    finally:
        for writer in writers:
            with writer:
                writer.kill()
    check_what_was_written(server, tracker)


def check_what_was_written(server: Server, tracker: Tracker) -> None:
    client = MlflowClient(server.uri)
    experiment = client.get_experiment_by_name("batch_size")
    assert experiment
    assert experiment.artifact_location.startswith("mlflow-artifacts:/")
    [parent] = client.search_runs([experiment.experiment_id], "tags.`simclr_orch.kind` = 'sweep'")
    assert parent.data.tags["simclr_orch.sweep"] == "s1"
    assert parent.data.tags["commit"] == "abc"
    cells = client.search_runs([experiment.experiment_id], "tags.`simclr_orch.kind` = 'cell'")
    writers = [f"process{number}" for number in range(PROCESSES)] + [
        f"thread{number}" for number in range(THREADS)
    ]
    fingerprints = [f"{writer}-{number}" for writer in writers for number in range(CELLS)]
    assert sorted(cell.data.tags["simclr_orch.fingerprint"] for cell in cells) == fingerprints
    for cell in cells:
        assert cell.info.status == "FINISHED"
        assert cell.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert cell.data.metrics["top1"] == 0.5
        for key, values in {
            "loss": [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5],
            "accuracy": [0, 0.1, 0.2, 0.3, 0.4],
        }.items():
            entries = client.get_metric_history(cell.info.run_id, key)
            assert [(entry.step, entry.value) for entry in entries] == list(enumerate(values))
    found = tracker.finished("batch_size", fingerprints)
    assert {name: record.fingerprint for name, record in found.items()} == {
        name: name for name in fingerprints
    }
    plan = client.download_artifacts(parent.info.run_id, "plan.json")
    assert json.loads(Path(plan).read_text()) == {"cells": 8}


def test_a_reader_finds_the_page_of_a_run(server: Server) -> None:
    tracker = Tracker.open(f"{server.uri}/", Storage("/nowhere"), patience=PATIENCE)
    parent = tracker.sweep("pages", "s1", name="sweep", tags={}, plan={})
    url = tracker.run_url(parent)
    assert url == f"{server.uri}/#/experiments/{parent.experiment_id}/runs/{parent.run_id}"
    assert b"<html" in fetch(url)
    # Pages that are there already are not served twice.
    shown = start_dashboard(server.uri, Storage("/nowhere"))
    assert (shown.address, shown.process) == (server.uri, None)
    shown.stop()


def test_the_dashboard_shows_what_was_written_without_a_server(
    tmp_path: Path, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    storage = Storage(str(tmp_path / "my results"))
    tracker = Tracker.open(None, storage)
    parent = tracker.sweep("temperature", "s1", name="sweep", tags={}, plan={})
    cell = tracker.cell(parent, "f1", name="cell", tags={}, params={})
    tracker.finish(cell, {"top1": 0.5}, {"run.json": '{"top1": 0.5}'})

    moved = Storage(str(tmp_path / "moved results"))
    storage.local_path().rename(moved.local_path())
    storage = moved
    dashboard = start_dashboard(
        None, storage, host="0.0.0.0", port=(port := free_port()), allowed_hosts=["proxy.example"]
    )
    try:
        assert dashboard.address == f"http://127.0.0.1:{port}"
        own = f"{socket.gethostname()}:{port}"
        assert f"http://{own}" in dashboard.addresses[1:]
        for name, answer in ((own, 200), ("proxy.example", 200), ("evil.example", 403)):
            assert status(dashboard.address, Host=name) == answer
        body = {"Host": own, "Origin": f"http://{own}", "Content-Type": "application/json"}
        search = f"{dashboard.address}/ajax-api/2.0/mlflow/experiments/search"
        assert status(search, b'{"max_results": 1}', **body) == 200
        assert status(search, b'{"max_results": 1}', **body | {"Origin": "http://evil"}) == 403
        assert b"<title>MLflow</title>" in fetch(dashboard.address)
        asked = {"experiment_ids": [parent.experiment_id]}
        found = json.loads(fetch(f"{dashboard.address}/api/2.0/mlflow/runs/search", asked))
        assert {run["info"]["run_id"] for run in found["runs"]} == {parent.run_id, cell.run_id}
        assert (
            fetch(f"{dashboard.address}/get-artifact?path=run.json&run_uuid={cell.run_id}")
            == b'{"top1": 0.5}'
        )
        with pytest.raises(PlanError, match=f"--port {port}: .*in use"):
            start_dashboard(None, storage, port=port)
    finally:
        dashboard.stop()
    assert dashboard.process
    wait_for_end_of_group(dashboard.process.pid)
    with socket.create_server(("127.0.0.1", port)):
        pass
    assert os.listdir() == []
    assert sorted(os.listdir(storage.uri)) == ["artifacts", "mlflow.db", "mlflow.db.lock"]
