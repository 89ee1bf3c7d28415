"""Real local Ray: a workload that another distribution brings, with an ablation of its own.

`tests/data/third_workload` is that distribution, as an installer would leave it: a workload of
less than 100 lines, an ablation, and entry points. Nothing of this package is edited for it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient

HERE = "tests/data/third_workload"


@pytest.fixture(scope="module")
def environment(repository: Path) -> dict[str, str]:
    """That of processes in which the distribution is installed."""
    path = [str(repository / HERE), *filter(None, sys.path)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path)}


def agreement(inputs: int, seed: int) -> float:
    """The cosine that 50 steps of gradient descent reach, in float64 and in closed form.

    After t steps of rate r the weights are (1 - (1 - r A)^t) of the least-squares ones, A being the
    inputs' second moments, along each of A's eigenvectors.
    """
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(inputs, 4, generator=draw)
    y = x @ torch.ones(4) + 0.5 * torch.randn(inputs, generator=draw)
    x, y = x.double(), y.double()
    values, vectors = torch.linalg.eigh(x.T @ x / inputs)
    reached = (1 - (1 - 0.1 * values) ** 50) / values
    w = vectors @ (reached * (vectors.T @ (x.T @ y / inputs)))
    return float(w.sum() / w.norm() / 2)


def test_a_third_workload_needs_no_edit_here(
    command: list[str], environment: dict[str, str], storage_folder: Path
) -> None:
    words = ["ablate", "more-inputs", "--seeds", "3", "--storage", str(storage_folder), "--json"]
    ended = subprocess.run(
        [*command, *words], env=environment, capture_output=True, text=True, timeout=500
    )
    assert ended.returncode == 0, ended.stderr

    report = json.loads(ended.stdout)
    values = {cell["at"][0]: cell["values"] for cell in report["cells"]}
    for inputs in (4, 64):
        expected = [agreement(inputs, seed) for seed in range(3)]
        assert values[str(inputs)] == pytest.approx(expected, rel=1e-4)
    (verdict,) = report["verdicts"]
    assert verdict["claim"] == "more inputs help"
    assert verdict["seeds"] == 3
    assert verdict["comparisons"][0]["estimate"] == pytest.approx(
        sum(values["64"]) / 3 - sum(values["4"]) / 3
    )

    (folder,) = storage_folder.glob("sweeps/more-inputs/*")
    left = {path.name for path in folder.iterdir()}
    assert {"report.md", "report.png", "curves.png"} <= left
    text = (folder / "report.md").read_text()
    assert "a textbook, chapter 1" in text
    assert "agreement with the true weights (cosine)" in text

    client = MlflowClient(f"sqlite:///{storage_folder}/mlflow.db")
    experiment = client.get_experiment_by_name("more-inputs")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "attributes.status = 'FINISHED'")
    logged = [run.data.metrics["weight_agreement"] for run in runs if "inputs" in run.data.params]
    assert sorted(logged) == pytest.approx(sorted(values["4"] + values["64"]))

    again = subprocess.run(
        [*command, *words], env=environment, capture_output=True, text=True, timeout=500
    )
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["cells"] == report["cells"]
    listed = subprocess.run(
        [*command, "runs", "--storage", str(storage_folder)],
        env=environment | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert listed.stdout.count("linear-regression") == 6


def test_a_type_checker_holds_a_third_workload_to_the_contract(
    repository: Path, tmp_path: Path
) -> None:
    """A workload whose method takes another specification is refused, the one above is not."""
    right = (repository / HERE / "linear_regression.py").read_text()
    wrong = right.replace(
        "def cost(self, specs: Sequence[RegressionSpec])", "def cost(self, specs: Sequence[int])"
    ).replace("sum(4.0 * spec.steps * spec.inputs * spec.dimensions for spec in specs)", "0.0")
    assert wrong != right
    for name, text in (("right", right), ("wrong", wrong)):
        (tmp_path / f"{name}.py").write_text(text)
    found = {}
    for name in ("right", "wrong"):
        checked = subprocess.run(
            [sys.executable, "-m", "mypy", "--follow-imports=silent", str(tmp_path / f"{name}.py")],
            cwd=repository,
            capture_output=True,
            text=True,
            timeout=500,
        )
        found[name] = checked.stdout
    assert "Success" in found["right"], found["right"]
    assert "incompatible type" in found["wrong"] or "Incompatible types" in found["wrong"]
    assert "cost" in found["wrong"]
