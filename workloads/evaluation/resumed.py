"""Fits and grids of an evaluation that go on where a killed process has left them."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from workloads.checkpoint import is_finite
from workloads.datasets import Split
from workloads.distributed.data_parallel import given_by_first, said_by_first
from workloads.distributed.worker import Worker
from workloads.pieces import shelf_in_use
from workloads.spec import digest

__all__ = ["Fit", "keep_piece", "kept_piece", "told_of_images"]

SECONDS_BETWEEN_PIECES = 30.0


def kept_piece(name: str, about: Mapping[str, Any], worker: Worker) -> dict[str, Any] | None:
    """Return what was kept under a name, on every worker; None for nothing, or of another thing.

    Every worker calls. `about` are plain values: all that the piece depends on.
    """
    piece = given_by_first(lambda: _read(name), worker)
    return piece if piece is not None and piece.get("about") == digest(about) else None


def keep_piece(name: str, about: Mapping[str, Any], piece: dict[str, Any], worker: Worker) -> None:
    """Keep a piece, from the first worker."""
    shelf = shelf_in_use()
    if shelf is not None and worker.rank == 0:
        shelf.write_piece(name, piece | {"about": digest(about)})


def _read(name: str) -> dict[str, Any] | None:
    shelf = shelf_in_use()
    piece = shelf.read_piece(name) if shelf is not None else None
    return piece if piece is not None and is_finite(piece) else None


def told_of_images(images: Split) -> str:
    """Return a digest of which images a fit is of, and of their labels."""
    told = hashlib.sha256(np.ascontiguousarray(images.index).tobytes())
    told.update(np.ascontiguousarray(images.labels).tobytes())
    return told.hexdigest()


@dataclass
class Fit:
    """A fit by steps, whose state is kept at the end of an epoch now and then, under `name`.

    `about` are plain values: all that the fit depends on, beside the encoder.
    """

    name: str | None  # None: never
    about: Mapping[str, Any]
    module: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    worker: Worker
    _kept_at: float = field(default_factory=time.monotonic)

    def begin(self) -> int:
        """Put back what was kept; returns how many steps are done. Every worker calls."""
        piece = kept_piece(self.name, self.about, self.worker) if self.name else None
        if piece is None:
            return 0
        self.module.load_state_dict(piece["module"])
        self.optimizer.load_state_dict(piece["optimizer"])
        self.generator.set_state(piece["generator"])
        return int(piece["done"])

    def is_due(self) -> bool:
        """Tell, at the end of an epoch, whether to `keep`. Every worker calls and is told alike."""
        if self.name is None or shelf_in_use() is None:
            return False
        passed = time.monotonic() - self._kept_at
        return said_by_first([passed], self.worker)[0] > SECONDS_BETWEEN_PIECES

    def keep(self, done: int) -> None:
        """Keep the state after so many steps."""
        assert self.name is not None, "it is never due then"
        piece = {
            "done": done,
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }
        keep_piece(self.name, self.about, piece, self.worker)
        self._kept_at = time.monotonic()
