"""Seconds: importing sets no variable, entries set those that Ray reads, and workers see them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.environment import VARIABLES, prepare_environment, worker_environment

EVERY_MODULE = """
import importlib, json, os, pkgutil
before = dict(os.environ)
import orchestrator, orchestrator.cli, orchestrator.environment
assert dict(os.environ) == before
for module in pkgutil.walk_packages(orchestrator.__path__, "orchestrator."):
    importlib.import_module(module.name)
print(json.dumps([name for name in os.environ if name not in before]))
"""
COMMAND = """
import json, os, sys
from orchestrator.cli import main
sys.argv = ["simclr-orch", "spaces", "--json"]
try:
    main()
except SystemExit:
    pass
print(json.dumps(dict(os.environ)))
"""
RAY_JOB = """
import json, os
from orchestrator.cli import in_job
in_job.main("simclr-orch spaces --json", ["spaces", "--json"])
print(json.dumps(dict(os.environ)))
"""
WORKER = """
import json, os
from orchestrator.cluster.connection import connected
with connected(None):
    import ray
    print(json.dumps(ray.get(ray.remote(lambda: dict(os.environ)).remote())))
"""


def last_line_of(code: str, **environment: str) -> Any:
    """What a program prints last, started without any of the variables but those given."""
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    kept.pop("RAY_AUTH_MODE", None)
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def test_importing_the_orchestrator_leaves_the_environment_as_it_was(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    new = set(last_line_of(EVERY_MODULE, RAY_AUTH_TOKEN_PATH=str(token)))
    # scikit-learn and Ray set some of their own
    assert not new & {*VARIABLES, "RAY_AUTH_MODE"}


@pytest.mark.parametrize("entry", [COMMAND, RAY_JOB, WORKER], ids=["command", "job", "worker"])
def test_entries_set_what_the_user_has_not(entry: str) -> None:
    seen = last_line_of(entry, RAY_AIR_NEW_OUTPUT="1")
    assert {name: seen.get(name) for name in VARIABLES} == VARIABLES | {"RAY_AIR_NEW_OUTPUT": "1"}


def test_workers_of_a_cluster_are_told_where_the_caches_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIMCLR_ORCH_CACHE", "/decoded")
    monkeypatch.setenv("SIMCLR_ORCH_STORAGE", "/results")
    monkeypatch.delenv("SIMCLR_ORCH_FEATURES", raising=False)
    monkeypatch.delenv("SIMCLR_ORCH_FEATURES_GB", raising=False)
    assert worker_environment() == VARIABLES | {"SIMCLR_ORCH_CACHE": "/decoded"}


@pytest.mark.parametrize(
    ("kept", "loaded", "before", "mode"),
    [
        (True, False, None, "token"),
        (True, False, "disabled", "disabled"),
        (False, False, None, None),
        (True, True, None, None),  # too late: Ray has read it
    ],
)
def test_the_token_that_is_kept_is_sent(
    kept: bool,
    loaded: bool,
    before: str | None,
    mode: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = tmp_path / "token"
    if kept:
        token.write_text("secret")
    environment = {"RAY_AUTH_TOKEN_PATH": str(token)}
    monkeypatch.setattr("os.environ", environment | ({"RAY_AUTH_MODE": before} if before else {}))
    monkeypatch.setattr(
        "orchestrator.environment.sys", SimpleNamespace(modules={"ray": None} if loaded else {})
    )
    prepare_environment()
    assert os.environ.get("RAY_AUTH_MODE") == mode
