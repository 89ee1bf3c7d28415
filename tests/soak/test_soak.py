"""A soak of minutes in short: real Ray, a real MLflow server, and what is killed of them."""

import importlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def schedule(repository: Path) -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repository / "tests" / "soak"))
        yield importlib.import_module("schedule")


def test_a_seed_draws_the_same_faults_again_of_every_kind(schedule: ModuleType) -> None:
    first, again, other = (list(islice(schedule.faults(seed, 20), 200)) for seed in (1, 1, 2))
    assert first == again != other
    assert all(6 <= fault.after <= 34 for fault in first)
    assert Counter(fault.kind for fault in first).keys() == schedule.KINDS.keys()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_nothing_is_lost_whatever_is_killed(repository: Path, tmp_path: Path) -> None:
    words = ["--seed", "10", "--folder", str(tmp_path / "soak")]
    words += ["--cells", "6", "--nodes", "2", "--epochs", "30", "--faults", "5", "--every", "6"]
    soak = subprocess.run(
        [sys.executable, str(repository / "tests" / "soak"), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert soak.returncode == 0, soak.stdout + soak.stderr
    assert "nothing lost" in soak.stdout
