"""Seconds: what is only read and judged is so without the libraries that train."""

import random
import subprocess
import sys
from typing import Any

import pytest

from orchestrator.plan import build
from orchestrator.plan.kept import kept_cells
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder
from orchestrator.storage.sweeps import PLAN, sweep_folder
from search_spaces import ABLATIONS
from workloads.simclr.presets import preset


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """A finished sweep, of which nothing was trained."""
    there = Storage(str(tmp_path_factory.mktemp("storage")))
    plan = build(ABLATIONS["temperature"], preset("shapes"), seeds=5)
    tree: dict[str, Any] = {
        "sweep": plan.sweep_id,
        "ablation": plan.name,
        "scale": plan.scale,
        "preset": "shapes",
        "base": plan.base.tree(),
        "seeds": list(plan.seeds),
        "cells": kept_cells(plan),
        "data": {"title": "shapes", "train": 1, "validation": 1, "test": 1, "notes": []},
        "command": "simclr-orch ablate temperature",
        "resources": {"workers": 1, "cpus_per_worker": 1, "gpus_per_worker": 0},
        "git_commit": None,
        "versions": {},
        "looks_kept": True,
        "started": "2026-01-01T00:00:00+00:00",
    }
    there.write_json(f"{sweep_folder(plan)}/{PLAN}", tree)
    for cell in plan.cells:
        value = random.Random(f"{cell.at} {cell.seed}").gauss(50, 5)
        record = RunRecord(
            name=cell.name,
            fingerprint=cell.fingerprint,
            status="finished",
            spec=cell.spec.tree(),
            results={"linear_top1": value},
            history=[{"epoch": 1.0, "loss": 1.0, "contrastive_accuracy": value}],
        )
        RunFolder(there, cell.fingerprint).write_record(record)
    return there


@pytest.mark.parametrize(
    ("words", "further"),
    [
        (["runs", "--where", "loss.temperature < 0.5", "--sort", "linear_top1"], ["matplotlib"]),
        (["verdicts"], ["matplotlib"]),
        (["report", "temperature"], []),  # which draws
    ],
    ids=lambda words: words[0] if words else "",
)
def test_to_list_and_to_judge_imports_nothing_that_trains(
    storage: Storage, words: list[str], further: list[str]
) -> None:
    code = (
        "import sys; further = sys.argv.pop().split(',')\n"
        "from orchestrator.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'ray', 'mlflow', 'sklearn', 'pandas', 'scipy.stats', *further}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *words, "--storage", storage.uri, ",".join(further)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout
