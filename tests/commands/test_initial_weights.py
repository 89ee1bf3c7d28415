"""Milliseconds to seconds: weights that a run begins with, as a person names them."""

from pathlib import Path

import pytest
import torch

from orchestrator.commands.request import base_recipe
from orchestrator.errors import PlanError
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import Checkpoint, RunFolder
from workloads.catalog.simclr import SIMCLR
from workloads.catalog.two_layer_cnn import TWO_LAYER_CNN
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError

RUN = "ab12cd34" * 2 + "ab12"


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    storage = Storage(str(tmp_path / "storage"))
    folder = RunFolder(storage, RUN)
    folder.write_checkpoint(Checkpoint({"model": {"encoder.a": torch.zeros(1)}, "epoch": 1}))
    folder.write_record(RunRecord(name="a", fingerprint=RUN, status="finished", spec={}))
    return storage


def begun_with(value: str, storage: Storage) -> str | None:
    base = base_recipe(SIMCLR, "digits", None, [f"init.weights={value}"], storage)
    assert isinstance(base, RunSpec)
    return base.init.weights


def test_a_run_stands_for_the_file_of_its_last_state(storage: Storage, tmp_path: Path) -> None:
    file = begun_with(RUN[:8], storage)
    assert file == str(tmp_path / "storage" / "runs" / RUN / "checkpoint.pt")
    assert Path(file).is_file()
    with pytest.raises(PlanError, match=r"init\.weights=ffff: no such run"):
        begun_with("ffff", storage)


def test_paths_are_made_absolute_and_names_are_kept(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert begun_with("a.pth", storage) == str(tmp_path / "a.pth")
    assert begun_with("torchvision:resnet50", storage) == "torchvision:resnet50"
    assert begun_with("s3://bucket/a.pth", storage) == "s3://bucket/a.pth"


def test_a_workload_that_begins_with_none_has_no_such_field(storage: Storage) -> None:
    with pytest.raises(SpecError, match=r"init\.weights: no such field"):
        base_recipe(TWO_LAYER_CNN, None, None, ["init.weights=a.pth"], storage)
