"""Seconds: what is only read and judged is so without the libraries that train."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.plan import PlannedCell
from orchestrator.plan.kept import KeptPlan
from orchestrator.storage import Storage
from search_spaces import ABLATIONS


@pytest.fixture(scope="module")
def storage(
    tmp_path_factory: pytest.TempPathFactory, leave_sweep: Callable[..., KeptPlan]
) -> Storage:
    """A finished sweep, of which nothing was trained."""
    there = Storage(str(tmp_path_factory.mktemp("storage")))

    def noisy(cell: PlannedCell) -> float:
        return random.Random(f"{cell.at} {cell.seed}").gauss(50, 5)

    leave_sweep(
        there,
        ABLATIONS["temperature"],
        5,
        noisy,
        resources={"workers": 1, "cpus_per_worker": 1, "gpus_per_worker": 0},
        git_commit=None,
        versions={},
    )
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


def test_a_dry_run_imports_nothing_that_draws_runs_or_compiles(tmp_path: Path) -> None:
    """It is waited for. torch on the meta device would import all of torch._dynamo and sympy."""
    code = (
        "import sys\n"
        "from orchestrator.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'matplotlib', 'ray', 'mlflow', 'pandas', 'plotly', 'sympy', 'torch._dynamo'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    words = ["ablate", "temperature", "--preset", "shapes", "--dry-run"]
    ended = subprocess.run(
        [sys.executable, "-c", code, *words, "--storage", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "7 cells" in ended.stdout
