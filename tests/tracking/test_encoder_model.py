"""Half a minute of CPU: an encoder as a model of MLflow, loaded where none of our packages are."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from orchestrator.storage import Storage
from orchestrator.tracking import CellRun, Tracker
from orchestrator.tracking.encoder_model import LoggedEncoder, ModelError
from workloads.catalog.simclr import SIMCLR
from workloads.simclr.model import initial_model
from workloads.simclr.presets import preset

ELSEWHERE = """
import sys, warnings

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("orchestrator", "workloads", "search_spaces"):
            raise ImportError(name)

sys.meta_path.insert(0, Refused())
import mlflow.pyfunc, mlflow.pytorch, numpy, torch

uri, images, features = sys.argv[1:]
mlflow.set_tracking_uri("sqlite:///" + images + ".unused.db")
images = numpy.load(images)
numpy.save(features, numpy.stack([
    mlflow.pytorch.load_model(uri)(torch.from_numpy(images)).detach().numpy(),
    mlflow.pyfunc.load_model(uri).predict(images),
]))
"""


class Undecided(torch.nn.Module):
    """What a program of torch.export cannot be: it computes by its input's values."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images if float(images.sum()) > 0 else -images


@pytest.fixture
def tracker(tmp_path: Path) -> Tracker:
    return Tracker.open(None, Storage(str(tmp_path / "storage")))


def cell(tracker: Tracker, fingerprint: str) -> CellRun:
    parent = tracker.sweep("one", "s1", name="sweep", tags={}, plan={})
    return tracker.cell(parent, fingerprint, name="cell", tags={}, params={})


def test_an_encoder_loads_without_this_project_and_gives_the_same_features(
    tracker: Tracker, tiny: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    spec = preset("shapes").with_values(tiny())
    weights = {f"{name}": value for name, value in initial_model(spec).state_dict().items()}
    network, side = SIMCLR.weights.network({"model": weights, "epoch": 0}, spec)
    run = cell(tracker, "f1")
    tracker.log_epochs(run, {4: {"loss": 1.0}})
    for _ in range(2):  # as when a sweep is run again
        tracker.log_encoder(run, LoggedEncoder(network, side))

    client = MlflowClient(tracker.uri)
    (output,) = client.get_run(run.run_id).outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert (model.name, model.source_run_id, output.step) == ("encoder", run.run_id, 4)

    images = torch.rand((5, 3, side, side), generator=torch.Generator().manual_seed(1))
    given, found = tmp_path / "images.npy", tmp_path / "features.npy"
    np.save(given, images.numpy())
    command = [sys.executable, "-I", "-c", ELSEWHERE, model.artifact_location, given, found]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    with torch.inference_mode():
        ours = network(images).numpy()
    for theirs in np.load(found):
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5)


def test_a_network_that_is_no_program_is_told_and_is_no_model(tracker: Tracker) -> None:
    run = cell(tracker, "f2")
    with pytest.raises(ModelError, match=r"torch\.export cannot follow it"):
        tracker.log_encoder(run, LoggedEncoder(Undecided(), 4))
    assert not MlflowClient(tracker.uri).get_run(run.run_id).outputs.model_outputs
