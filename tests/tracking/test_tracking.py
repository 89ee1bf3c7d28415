"""Tracking in SQLite: one process with MLflow's client as the oracle, drivers that race and die."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from orchestrator.errors import TrackingError
from orchestrator.storage import Storage
from orchestrator.tracking import CellRun, ParentRun, Status, Tracker
from orchestrator.tracking.provenance import DataSplit

EXPERIMENT = "temperature"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    Tracker.open(None, Storage(str(folder)))
    return folder / "mlflow.db"


@pytest.fixture
def storage(tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    storage = Storage(str(tmp_path / "results"))
    storage.local_path().mkdir()
    shutil.copy(database, storage.local_path("mlflow.db"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    return storage


@pytest.fixture
def tracker(storage: Storage) -> Tracker:
    return Tracker.open(None, storage)


def sweep(tracker: Tracker, sweep_id: str = "s1") -> ParentRun:
    return tracker.sweep(
        EXPERIMENT, sweep_id, name="first sweep", tags={"commit": "abc"}, plan={"cells": [1, 2]}
    )


def cell(tracker: Tracker, parent: ParentRun, fingerprint: str = "f1") -> CellRun:
    return tracker.cell(
        parent, fingerprint, name="cell", tags={"seed": "0"}, params={"loss.temperature": 0.1}
    )


def oracle(tracker: Tracker) -> MlflowClient:
    return MlflowClient(tracker.uri)


def history(tracker: Tracker, run: CellRun, key: str) -> list[tuple[int, float]]:
    return [
        (entry.step, entry.value) for entry in oracle(tracker).get_metric_history(run.run_id, key)
    ]


def runs(tracker: Tracker, parent: ParentRun) -> list[Run]:
    condition = f"tags.`mlflow.parentRunId` = '{parent.run_id}'"
    return list(oracle(tracker).search_runs([parent.experiment_id], condition))


def artifact(tracker: Tracker, run: ParentRun | CellRun, name: str, folder: Path) -> bytes:
    return Path(oracle(tracker).download_artifacts(run.run_id, name, str(folder))).read_bytes()


def test_everything_lies_in_the_storage_and_nothing_where_the_process_runs(
    tracker: Tracker, storage: Storage
) -> None:
    parent = sweep(tracker)
    run = cell(tracker, parent)
    tracker.finish(run, {"top1": 0.5}, {"run.json": "{}"})
    assert tracker.uri == f"sqlite:///{storage.uri}/mlflow.db"
    assert (
        storage.local_path("artifacts", EXPERIMENT, run.run_id, "artifacts", "run.json").read_text()
        == "{}"
    )
    assert os.listdir() == []
    assert tracker.run_url(run) is None


def test_a_sweep_and_its_cells_are_found_again(
    tracker: Tracker, storage: Storage, tmp_path: Path
) -> None:
    parent = sweep(tracker)
    first = cell(tracker, parent)
    tracker.finish(first, {}, {})
    tracker.finish_sweep(parent, status="FINISHED", artifacts={"report/table.md": "| a |"})
    assert artifact(tracker, parent, "report/table.md", tmp_path) == b"| a |"

    later = Tracker.open(None, storage)
    again = later.sweep(
        EXPERIMENT, "s1", name="first sweep", tags={"commit": "def"}, plan={"cells": [1, 2, 3]}
    )
    assert again == parent
    assert json.loads(artifact(later, parent, "plan.json", tmp_path)) == {"cells": [1, 2, 3]}
    assert oracle(later).get_run(parent.run_id).info.status == "RUNNING"
    assert oracle(later).get_run(parent.run_id).data.tags["commit"] == "def"
    assert cell(later, again) == first
    assert sweep(later, "s2").run_id != parent.run_id
    [child] = runs(later, parent)
    assert child.info.status == "RUNNING"
    assert child.info.run_name == "cell"
    assert child.data.tags["simclr_orch.fingerprint"] == "f1"
    assert child.data.tags["seed"] == "0"


def test_the_same_cell_in_two_sweeps_has_two_runs(tracker: Tracker) -> None:
    assert cell(tracker, sweep(tracker, "s1")).run_id != cell(tracker, sweep(tracker, "s2")).run_id


def test_parameters_are_written_once(tracker: Tracker) -> None:
    parent = sweep(tracker)
    many = {f"field_{number}": number for number in range(230)}
    values = {
        "augment.operations": ["crop", "color"],
        "data.root": None,
        "name": "lars",
        "bn": True,
        "t": 0.1,
    }
    run = tracker.cell(parent, "f1", name="c", tags={}, params=many | {"long": "x" * 7000})
    tracker.cell(parent, "f1", name="c", tags={}, params=many | values | {"field_0": "changed"})
    params = oracle(tracker).get_run(run.run_id).data.params
    assert {key: params[key] for key in values} == {
        "augment.operations": '["crop", "color"]',
        "data.root": "null",
        "name": "lars",
        "bn": "true",
        "t": "0.1",
    }
    assert [params[key] for key in many] == [str(number) for number in many.values()]
    assert params["long"] == "x" * 6000


def test_epochs_repeated_after_a_resume_are_logged_once(tracker: Tracker, storage: Storage) -> None:
    run = cell(tracker, sweep(tracker))
    for epoch in range(3):
        tracker.log_epochs(
            run, {epoch: {"loss": 3.0 - epoch} | ({"knn": 0.5} if epoch == 0 else {})}
        )
    tracker.log_epochs(run, {2: {"loss": 9.0}})

    resumed = Tracker.open(None, storage)
    assert cell(resumed, sweep(resumed)) == run
    # From the checkpoint of epoch 0; this time with a probe.
    resumed.log_epochs(run, {1: {"loss": 8.0, "knn": 0.75}})
    resumed.log_epochs(run, {2: {"loss": 7.0}})
    resumed.log_epochs(run, {3: {"loss": np.float32(0.5)}})  # type: ignore[dict-item]
    assert history(resumed, run, "loss") == [(0, 3.0), (1, 2.0), (2, 1.0), (3, 0.5)]
    assert history(resumed, run, "knn") == [(0, 0.5), (1, 0.75)]


def test_epochs_that_a_killed_driver_had_not_written_are_filled_from_the_record(
    tracker: Tracker, storage: Storage
) -> None:
    run = cell(tracker, sweep(tracker))
    tracker.log_epochs(run, {1: {"loss": 4.0}})  # and 2 and 3 were lost with the driver

    resumed = Tracker.open(None, storage)
    assert cell(resumed, sweep(resumed)) == run
    resumed.log_epochs(run, {4: {"loss": 1.0}})
    record = {epoch: {"loss": 5.0 - epoch} for epoch in range(1, 6)}
    resumed.log_epochs(run, record)
    resumed.finish(run, {}, {}, epochs=5)
    assert sorted(history(resumed, run, "loss")) == [(epoch, 5.0 - epoch) for epoch in record]


@pytest.mark.parametrize("epochs", [None, 2])
def test_the_curve_of_an_ended_cell_is_mended_and_nothing_else_of_it_changes(
    tracker: Tracker, storage: Storage, epochs: int | None
) -> None:
    parent = sweep(tracker)
    run = cell(tracker, parent)
    tracker.log_epochs(run, {1: {"loss": 4.0}, 3: {"loss": 2.0}})
    tracker.finish(run, {"top1": 0.5}, {}, epochs=epochs)
    before = oracle(tracker).get_run(run.run_id).info

    later = Tracker.open(None, storage)
    found = later.finished_cells(parent)[run.fingerprint]
    assert (found.run_id, found.epochs) == (run.run_id, epochs)
    curve = {epoch: {"loss": 5.0 - epoch} for epoch in (1, 2, 3)}
    later.mend(found, curve, {"top1": 0.5, "top5": 0.75}, tags={"a": "b"}, params={"axis": "c"})
    assert sorted(history(later, run, "loss")) == [(1, 4.0), (2, 3.0), (3, 2.0)]
    assert history(later, run, "top1") == [(0, 0.5)]
    assert history(later, run, "top5") == [(0, 0.75)]
    data = oracle(tracker).get_run(run.run_id).data
    assert (data.tags["a"], data.params["axis"]) == ("b", "c")
    assert later.finished_cells(parent)[run.fingerprint].epochs == 3
    after = oracle(tracker).get_run(run.run_id).info
    assert (after.status, after.start_time, after.end_time) == (
        "FINISHED",
        before.start_time,
        before.end_time,
    )


def test_numbers_that_are_none_are_left_out_and_named(tracker: Tracker) -> None:
    run = cell(tracker, sweep(tracker))
    tracker.log_epochs(run, {0: {"loss": 1.0, "grad": 1.0}})
    tracker.log_epochs(run, {1: {"loss": float("nan"), "grad": 2.0, "lr": float("inf")}})
    tracker.log_epochs(run, {2: {"loss": float("nan")}})
    assert history(tracker, run, "loss") == [(0, 1.0)]
    assert history(tracker, run, "grad") == [(0, 1.0), (1, 2.0)]
    data = oracle(tracker).get_run(run.run_id).data
    assert "lr" not in data.metrics
    assert data.tags["simclr_orch.non_finite"] == "loss=nan at step 2"


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_a_finished_cell_has_its_results_files_and_status(
    tracker: Tracker, status: Status, tmp_path: Path
) -> None:
    run = cell(tracker, sweep(tracker))
    tracker.log_epochs(run, {4: {"loss": 1.0}})
    for _ in range(2):  # As after a crash between the two.
        tracker.finish(
            run,
            {"top1": 0.5, "loss": 0.25},
            {"run.json": '{"top1": 0.5}', "log/tail.txt": b"\x00"},
            status,
        )
    assert oracle(tracker).get_run(run.run_id).info.status == status
    assert history(tracker, run, "top1") == [(0, 0.5)]
    assert sorted(history(tracker, run, "loss")) == [(4, 0.25), (4, 1.0)]
    assert artifact(tracker, run, "run.json", tmp_path) == b'{"top1": 0.5}'
    assert artifact(tracker, run, "log/tail.txt", tmp_path) == b"\x00"


def test_data_are_inputs_once_by_their_purpose(tracker: Tracker) -> None:
    parent = sweep(tracker)
    run = cell(tracker, parent)
    splits = [
        DataSplit("shapes", "train", "c0ffee", None, 1800),
        DataSplit("shapes", "test", "c0ffee", "/data/shapes", None),
    ]
    for _ in range(2):  # as when a driver was killed
        tracker.log_data(run, splits)
        tracker.log_data(parent, splits)
    for one in (run, parent):
        inputs = oracle(tracker).get_run(one.run_id).inputs.dataset_inputs
        found = {each.tags[0].value: each.dataset for each in inputs}
        assert len(inputs) == 2
        assert found.keys() == {"train", "test"}
        assert found["train"].name == "shapes train"
        assert found["train"].digest == "c0ffee"
        assert json.loads(found["train"].profile) == {"num_rows": 1800}
        assert json.loads(found["test"].source) == {"uri": "/data/shapes"}


def test_encoders_are_kept(tracker: Tracker, tmp_path: Path) -> None:
    parent = sweep(tracker)
    run = cell(tracker, parent)
    tracker.log_model(run, b"state", "encoder:\n  architecture: resnet18\n")
    assert artifact(tracker, run, "encoder/encoder.pt", tmp_path) == b"state"
    assert artifact(tracker, run, "encoder/spec.yaml", tmp_path).startswith(b"encoder:")


def left(top1: float) -> dict[str, Any]:
    """A record with keys of this version and of another."""
    return {
        "name": "a cell",
        "fingerprint": "f",
        "workload": "simclr",
        "status": "finished",
        "results": {"top1": top1},
        "history": [{"epoch": 1.0, "loss": 2.0}],
        "spec": {"seed": 0},
        "of_another_version": [1],
    }


def test_finished_cells_are_taken_over_with_their_record(
    tracker: Tracker, monkeypatch: pytest.MonkeyPatch, storage: Storage
) -> None:
    monkeypatch.setattr("orchestrator.tracking.client.PAGE", 2)
    parent = sweep(tracker)
    for number in range(5):
        tracker.finish(
            cell(tracker, parent, f"f{number}"), {}, {"run.json": json.dumps(left(number))}
        )
    tracker.finish(cell(tracker, parent, "failed"), {}, {"run.json": "{}"}, "FAILED")
    tracker.finish(cell(tracker, parent, "without"), {}, {})
    tracker.finish(cell(tracker, parent, "garbled"), {}, {"run.json": '{"top1"'})
    tracker.finish(cell(tracker, parent, "foreign"), {}, {"run.json": "[]"})
    cell(tracker, parent, "running")
    tracker.finish(
        cell(tracker, sweep(tracker, "s2"), "f1"), {}, {"run.json": json.dumps(left(11))}
    )

    asked = ["f0", "f1", "f4", "failed", "without", "garbled", "foreign", "running", "unknown"]
    later = Tracker.open(None, storage)
    found = later.finished(EXPERIMENT, asked)
    assert {name: record.tree() for name, record in found.items()} == {
        "f0": left(0),
        "f1": left(11),
        "f4": left(4),
    }
    assert later.finished(EXPERIMENT, []) == {}
    assert later.finished("another", asked) == {}


def test_cells_of_a_killed_driver_do_not_stay_running(
    tracker: Tracker, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.tracking.client.PAGE", 2)
    parent, other = sweep(tracker), sweep(tracker, "s2")
    for number in range(5):
        cell(tracker, parent, f"f{number}")
    elsewhere = cell(tracker, other)
    tracker.finish(cell(tracker, parent, "done"), {}, {})

    later = Tracker.open(None, storage)
    parent = sweep(later)
    continued = cell(later, parent, "f3")
    assert sorted(later.reconcile(parent)) == ["f0", "f1", "f2", "f4"]
    states = {
        run.data.tags["simclr_orch.fingerprint"]: run.info.status for run in runs(later, parent)
    }
    assert states == dict.fromkeys(["f0", "f1", "f2", "f4"], "KILLED") | {
        "f3": "RUNNING",
        "done": "FINISHED",
    }
    assert oracle(later).get_run(elsewhere.run_id).info.status == "RUNNING"
    later.finish(continued, {}, {})
    assert later.reconcile(parent) == []


@pytest.mark.parametrize(
    ("tracking_uri", "storage_uri", "option"),
    [
        (None, "s3://bucket/results", "--tracking-uri"),
        ("mlruns", "/tmp", "--tracking-uri mlruns"),
        ("file:///tmp/mlruns", "/tmp", "--tracking-uri file:///tmp/mlruns"),
        ("sqlite://", "/tmp", "--tracking-uri"),
        ("sqlite:///:memory:", "/tmp", "--tracking-uri"),
        ("http://", "/tmp", "--tracking-uri http://"),
        ("http://[::1", "/tmp", "--tracking-uri http://[::1"),
    ],
)
def test_addresses_of_no_use_are_refused(
    tracking_uri: str | None, storage_uri: str, option: str
) -> None:
    with pytest.raises(TrackingError) as caught:
        Tracker.open(tracking_uri, Storage(storage_uri))
    assert option in str(caught.value)


def test_a_relative_database_is_where_the_command_was_given(
    storage: Storage, tmp_path: Path
) -> None:
    shutil.copy(storage.local_path("mlflow.db"), "mine.db")
    tracker = Tracker.open("sqlite:///mine.db", storage)
    os.chdir(tmp_path)  # The fixture puts it back.
    sweep(tracker)
    assert tracker.uri == f"sqlite:///{tmp_path}/elsewhere/mine.db"
    assert storage.exists("artifacts")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "case", ["refused", "silent", "text", "folder", "below a file", "no driver"]
)
def test_a_store_that_cannot_be_used_is_explained(
    case: str, tmp_path: Path, database: Path
) -> None:
    assert database.exists()  # So that importing MLflow is not part of it.
    (tmp_path / "text").write_text("not a database " * 100)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        uri, words = {
            "refused": (f"http://someone:secret@127.0.0.1:{closed_port()}", "Connection refused"),
            "silent": (f"http://127.0.0.1:{port}", "timed out"),
            "text": (f"sqlite:///{tmp_path}/text", "not a database"),
            "folder": (f"sqlite:///{tmp_path}", "unable to open"),
            "below a file": (f"sqlite:///{tmp_path}/text/mlflow.db", "exists"),
            "no driver": ("mysql+nosuchdriver://someone:secret@127.0.0.1/mlflow", "nosuchdriver"),
        }[case]
        line = Tracker(uri, None).check()
    assert line
    assert line.startswith("--tracking-uri ")
    assert words in line
    assert "secret" not in line


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_a_dead_server_is_given_up_after_the_patience() -> None:
    tracker = Tracker(f"http://127.0.0.1:{closed_port()}", None, patience=0.5)
    with pytest.raises(TrackingError, match="Connection refused"):
        sweep(tracker)


@pytest.mark.timeout(60)
def test_a_refused_request_is_not_repeated(storage: Storage) -> None:
    tracker = Tracker.open(None, storage, patience=10_000)
    run = cell(tracker, sweep(tracker))
    oracle(tracker).delete_run(run.run_id)
    with pytest.raises(TrackingError, match="store metrics"):
        tracker.log_epochs(run, {0: {"loss": 1.0}})


def test_a_deleted_experiment_is_explained(tracker: Tracker) -> None:
    parent = sweep(tracker)
    oracle(tracker).delete_experiment(parent.experiment_id)
    with pytest.raises(TrackingError, match=f"restore --experiment-id {parent.experiment_id}"):
        sweep(tracker)


def test_importing_it_does_not_import_mlflow() -> None:
    code = "import sys, orchestrator.tracking, orchestrator.storage; print('mlflow' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "False\n"
    )


DRIVER = """
import sys
from orchestrator.storage import Storage
from orchestrator.tracking import Tracker
from orchestrator.tracking.store import failures

failures()  # Imports MLflow.
print("ready", file=sys.stderr, flush=True)
sys.stdin.readline()
tracker = Tracker.open(None, Storage(sys.argv[1]))
parent = tracker.sweep("temperature", "s1", name="sweep", tags={}, plan={})
for fingerprint in ("shared", sys.argv[2]):
    cell = tracker.cell(parent, fingerprint, name=fingerprint, tags={}, params={"a": 1})
    tracker.log_epochs(cell, {0: {"loss": 1.0}})
    tracker.finish(cell, {"top1": 0.5}, {"run.json": "{}"})
"""


@pytest.fixture
def drivers(tmp_path: Path) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Drivers of one sweep on one new storage, by the name of a cell.

    They start when a line is written to them.
    """
    started = {
        name: subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(tmp_path / "new"), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("dies", "f1", "f2")
    }
    yield started
    for driver in started.values():
        with driver:
            driver.kill()


def test_drivers_that_start_at_once_after_one_died_share_a_new_database_in_silence(
    drivers: dict[str, subprocess.Popen[str]], tmp_path: Path
) -> None:
    for driver in drivers.values():
        assert driver.stderr
        assert driver.stderr.readline() == "ready\n"
    dies = drivers.pop("dies")
    assert dies.stdin
    print(file=dies.stdin, flush=True)
    while not any(file.stat().st_size for file in (tmp_path / "new").glob("*.partial")):
        assert dies.poll() is None
        time.sleep(0.005)
    with dies:
        dies.kill()
    assert not (tmp_path / "new" / "mlflow.db").exists()
    for driver in drivers.values():
        assert driver.stdin
        print(file=driver.stdin, flush=True)
    for driver in drivers.values():
        assert (*driver.communicate(), driver.returncode) == ("", "", 0)
    tracker = Tracker.open(None, Storage(str(tmp_path / "new")))
    children = runs(tracker, sweep(tracker))
    assert sorted(run.data.tags["simclr_orch.fingerprint"] for run in children) == [
        "f1",
        "f2",
        "shared",
    ]
