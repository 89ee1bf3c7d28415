"""An evaluation that is killed again and again gives what an undisturbed one gives."""

import errno
from contextlib import suppress
from typing import Any

import pytest
import torch

from workloads.catalog.simclr import SIMCLR
from workloads.checkpoint import decode, encode
from workloads.distributed.worker import Worker
from workloads.evaluation.evaluate import evaluate
from workloads.pieces import keeping_pieces
from workloads.simclr.spec import RunSpec

CPU = Worker(torch.device("cpu"))
SPEC = RunSpec.read(
    {
        "data": {"name": "digits", "image_size": 16, "train_images": 300, "test_images": 100},
        "encoder": {"architecture": "convnet", "width": 0.125, "stem": "cifar"},
        "schedule": {"epochs": 0},
        "eval": {
            "protocol": "sgd",
            "sgd": {"epochs": 3, "batch_size": 64},
            "finetune": {"labels": [0.5, 1.0], "epochs": [2, 2], "batch_size": 64},
            "transfer": {
                "protocols": ["finetune"],
                "data": {
                    "name": "shapes",
                    "image_size": 18,
                    "train_images": 200,
                    "test_images": 60,
                },
                "learning_rates": [0.01, 0.1],
                "weight_decays": [0.0],
                "steps": 6,
                "batch_size": 64,
            },
        },
        "precision": "fp32",
    }
)


class Killed(BaseException):
    """Stands for the death of the process: nothing of ours catches it."""


class Dying:
    """Keeps pieces as files hold them, and dies after the next one."""

    def __init__(self) -> None:
        self.pieces: dict[str, bytes] = {}
        self.written: list[str] = []

    def read_piece(self, name: str) -> dict[str, Any] | None:
        return decode(self.pieces[name]) if name in self.pieces else None

    def write_piece(self, name: str, piece: dict[str, Any]) -> None:
        self.pieces[name] = encode(piece)
        self.written.append(name)
        raise Killed


def test_a_killed_evaluation_goes_on_to_the_same_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workloads.evaluation.resumed.SECONDS_BETWEEN_PIECES", -1.0)
    (untrained,) = SIMCLR.train(SPEC, CPU, None)
    whole = evaluate(SPEC, untrained.state, CPU)
    shelf = Dying()
    for _ in range(100):
        try:
            with keeping_pieces(shelf):
                result = evaluate(SPEC, untrained.state, CPU)
            break
        except Killed:
            continue
    assert result.results == whole.results
    assert result.intervals == whole.intervals
    # every epoch but the last of each fit is done once, and every candidate
    assert shelf.written.count("linear") == 2
    assert {*shelf.written} == {"linear", "network", "finetune-50", "finetune-100", "transfer"}
    assert shelf.written.count("transfer") == 2
    assert len(shelf.written) < 20


class Shelf(Dying):
    """Keeps pieces, and lives on."""

    def write_piece(self, name: str, piece: dict[str, Any]) -> None:
        with suppress(Killed):
            super().write_piece(name, piece)


def test_what_was_kept_of_another_encoder_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a run's state was lost in mid-evaluation, and what was trained again differs."""
    monkeypatch.setattr("workloads.evaluation.resumed.SECONDS_BETWEEN_PIECES", -1.0)
    (untrained,) = SIMCLR.train(SPEC, CPU, None)
    (another,) = SIMCLR.train(SPEC.with_values({"seed": 5}), CPU, None)
    shelf = Shelf()
    with keeping_pieces(shelf):
        evaluate(SPEC, another.state, CPU)
        whole = evaluate(SPEC, untrained.state, CPU)
    assert whole.results == evaluate(SPEC, untrained.state, CPU).results


class Full:
    """A disk without room, which cannot be read either."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def read_piece(self, name: str) -> dict[str, Any] | None:
        raise OSError(errno.EIO, "Input/output error", name)

    def write_piece(self, name: str, piece: dict[str, Any]) -> None:
        assert piece
        self.refused.append(name)
        raise OSError(errno.ENOSPC, "No space left on device")


def test_an_evaluation_whose_pieces_cannot_be_kept_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("workloads.evaluation.resumed.SECONDS_BETWEEN_PIECES", -1.0)
    (untrained,) = SIMCLR.train(SPEC, CPU, None)
    full = Full()
    with keeping_pieces(full):
        result = evaluate(SPEC, untrained.state, CPU)
    assert result.results == evaluate(SPEC, untrained.state, CPU).results
    assert {*full.refused} == {"linear", "network", "finetune-50", "finetune-100", "transfer"}
    assert "linear of the evaluation is not kept" in caplog.text
    assert "No space left on device" in caplog.text
