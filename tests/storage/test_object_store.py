"""Real local Ray and the real command, with everything that a sweep keeps in a bucket of a local S3
server.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.commands.check import check
from orchestrator.commands.request import Request
from orchestrator.errors import PlanError, TrackingError
from orchestrator.storage import Storage
from orchestrator.storage.runs import finished_record, last_state, run_named
from orchestrator.storage.sweeps import latest_sweep
from orchestrator.tracking import Tracker


@pytest.fixture
def asked(tiny: Callable[..., dict[str, Any]]) -> Callable[..., Request]:
    """A sweep of the tiny recipe with these flags."""
    assignments = tuple(f"{name}={value}" for name, value in tiny(schedule__epochs=1).items())

    def request(**flags: str) -> Request:
        return Request(("temperature",), preset="shapes", assignments=assignments, flags=flags)

    return request


@pytest.mark.slow
def test_a_sweep_keeps_everything_in_a_bucket_and_is_not_run_again(
    bucket: str,
    tmp_path: Path,
    object_store: Any,
    simclr_orch: Callable[..., subprocess.CompletedProcess[str]],
    document: Callable[..., dict[str, Any]],
    tiny_recipe: Callable[..., list[str]],
    records: Callable[[str], dict[str, dict[str, Any]]],
) -> None:
    there, tracking = f"{bucket}/of/a/lab", f"sqlite:///{tmp_path}/mlflow.db"
    sweep = ["ablate", "steps", *tiny_recipe(schedule__epochs=1), "--storage", there]
    sweep += ["--tracking-uri", tracking]
    first = document(*sweep)
    storage = Storage(there)
    ended = {name: record["ended"] for name, record in records(there).items()}
    assert len(ended) == len(storage.list("runs")) == 4
    assert {"checkpoint.pt", "log.txt", "predictions.npz", "spec.yaml"} <= set(
        storage.list(f"runs/{min(ended)}")
    )
    assert not object_store.list_multipart_uploads(Bucket=bucket.removeprefix("s3://")).get(
        "Uploads"
    )

    # What the bucket lost is taken from MLflow, and nothing runs.
    lost = max(ended)
    storage.delete(f"runs/{lost}")
    again = simclr_orch(*sweep, "--json")
    assert again.returncode == 0, again.stderr
    assert "4 of 4 cells were finished before" in again.stderr
    assert json.loads(again.stdout)["cells"] == first["cells"]
    assert {name: record["ended"] for name, record in records(there).items()} == ended

    later = document("report", "steps", "--storage", there)
    assert later["cells"] == first["cells"]
    (sweep_id,) = storage.list("sweeps/steps")
    assert {"plan.json", "report.md", "report.png"} <= set(storage.list(f"sweeps/steps/{sweep_id}"))


def test_a_bucket_cannot_hold_mlflows_database(
    bucket: str,
    tmp_path: Path,
    asked: Callable[..., Request],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PlanError) as refused:
        check(asked(storage=f"{bucket}/lab"))
    assert refused.value.problems == [
        f"--tracking-uri: is needed, for MLflow cannot keep its database in {bucket}/lab"
    ]


def test_a_bucket_that_is_not_there_is_named(
    object_store: Any,  # noqa: ARG001
    tmp_path: Path,
    asked: Callable[..., Request],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = {
        "storage": "s3://no-such-bucket/lab",
        "tracking_uri": f"sqlite:///{tmp_path}/mlflow.db",
    }
    with pytest.raises(
        PlanError,
        match=r"--storage s3://no-such-bucket/lab: cannot be written: " r".*NO_SUCH_BUCKET",
    ):
        check(asked(**flags))


def test_artifacts_lie_beside_the_runs_whatever_options_the_address_has(
    bucket: str, tmp_path: Path
) -> None:
    storage = Storage(f"{bucket}/lab?region=us-east-1")
    tracker = Tracker.open(f"sqlite:///{tmp_path}/mlflow.db", storage)
    parent = tracker.sweep("temperature", "abc", name="temperature", tags={}, plan={})
    tracker.finish_sweep(parent, status="FINISHED", artifacts={"report.md": "| a |"})
    assert (
        storage.read_bytes(f"artifacts/temperature/{parent.run_id}/artifacts/report.md") == b"| a |"
    )


def test_without_boto3_mlflow_writes_no_artifacts_to_s3(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(TrackingError, match=r"pip install 'boto3<2,>=1\.34'"):
        Tracker.open(f"sqlite:///{tmp_path}/mlflow.db", Storage("s3://bucket/lab"))


def test_no_message_tells_the_password_of_a_storage(bucket: str) -> None:
    storage = Storage(bucket.replace("s3://", "s3://testing:not-for-logs@"))
    shown = bucket.replace("s3://", "s3://testing:***@")
    storage.write_bytes("runs/0123/log.txt", b"begun")
    wrong: list[Callable[[], object]] = [
        lambda: run_named("4567", storage),
        lambda: finished_record("0123", storage),
        lambda: last_state("0123", storage),
        lambda: latest_sweep(storage, "steps"),
    ]
    for asked in wrong:
        with pytest.raises(PlanError) as refused:
            asked()
        assert shown in str(refused.value)
        assert "not-for-logs" not in str(refused.value)
