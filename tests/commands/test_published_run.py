"""Seconds, one process: weights from elsewhere as a run, of whose training nothing is told."""

import json
import re
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from rich.console import Console

from orchestrator.commands.evaluate import Question, evaluate
from orchestrator.commands.export import export_run
from orchestrator.errors import TrackingError
from orchestrator.storage import Storage
from orchestrator.tracking import Tracker
from workloads.simclr.encoder import build
from workloads.simclr.spec import EncoderSpec

SETTINGS = (
    *("encoder.architecture=convnet", "encoder.width=0.25", "data.train_images=300"),
    *("schedule.epochs=77", "schedule.batch_size=66"),
)


class NoTracker:
    """MLflow that cannot be written: what is kept in the storage is all that is asked here."""

    def check(self) -> None:
        return None

    def evaluation(self, *_: object, **__: object) -> object:
        raise TrackingError("none is needed here")


def no_tracker() -> Tracker:
    return cast("Tracker", NoTracker())


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> tuple[Storage, str, str]:
    """A storage with an evaluation of a file, its fingerprint, and what was printed."""
    folder = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    encoder = build(EncoderSpec(architecture="convnet", width=0.25))
    torch.save({"net": encoder.state_dict(), "epoch": 3}, folder / "mine.pth")
    storage, console = Storage(str(folder / "storage")), Console(record=True, width=200)
    question = Question(str(folder / "mine.pth"), "inspect", SETTINGS, preset="digits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "umap", None)  # it takes half a minute to import
        done = evaluate(question, storage, no_tracker, console)
    return storage, str(done.document["run"]), console.export_text()


def told(storage: Storage, run: str) -> list[str]:
    """All that files of the run say, pictures included."""
    folder = Path(str(storage.shown(f"runs/{run}")))
    files = [*folder.rglob("*.svg"), folder / "run.json"]
    assert len(files) > 2
    return [file.read_text() for file in files]


def test_nothing_is_told_of_a_training_that_nobody_knows(
    storage: tuple[Storage, str, str], tmp_path: Path
) -> None:
    kept, run, printed = storage
    export_run(run, "safetensors", tmp_path / "out", kept, Console(quiet=True))
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    for text in (*told(kept, run), printed, card):
        assert not re.search(r"\b(77 epochs|batch 66|epochs: )", text)
    assert any("convnet width 0.25" in text for text in told(kept, run))
    record: dict[str, Any] = json.loads(kept.read_bytes(f"runs/{run}/run.json") or b"")
    assert not {"schedule", "optim", "loss", "head"} & record["spec"].keys()


def test_it_is_evaluated_again_by_its_fingerprint(storage: tuple[Storage, str, str]) -> None:
    kept, run, _ = storage
    console = Console(record=True, width=200)
    done = evaluate(Question(run, "knn"), kept, no_tracker, console)
    assert "knn_top1" in str(done.document)
    assert "epoch" not in console.export_text()
