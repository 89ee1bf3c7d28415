"""Fits and grids of an evaluation that go on where a killed process has left them.

A piece is of one encoder: where the run's state was lost and trained again, it may differ in its
last bits, and what was done with the other one counts no more.
"""

import hashlib
import logging
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
from workloads.evaluation.features.digests import encoder_digest
from workloads.evaluation.features.frozen import FrozenEncoder
from workloads.pieces import shelf_in_use
from workloads.spec import digest

__all__ = ["Fit", "keep_piece", "kept_piece", "told_of_images"]

SECONDS_BETWEEN_PIECES = 30.0

log = logging.getLogger(__name__)


def kept_piece(
    name: str, about: Mapping[str, Any], encoder: FrozenEncoder
) -> dict[str, Any] | None:
    """Return what was kept under a name, on every worker; None for nothing, or of another thing.

    Every worker calls. `about` are plain values: all that the piece depends on, beside the encoder.
    One that cannot be read is done again.
    """
    return given_by_first(lambda: _read(name, about, encoder), encoder.worker)


def keep_piece(
    name: str, about: Mapping[str, Any], piece: dict[str, Any], encoder: FrozenEncoder
) -> None:
    """Keep a piece, from the first worker. Where it cannot be written the evaluation goes on."""
    shelf = shelf_in_use()
    if shelf is None or encoder.worker.rank > 0:
        return
    try:
        shelf.write_piece(name, piece | {"about": _key(about, encoder)})
    except OSError as error:
        log.warning("%s of the evaluation is not kept: %s; it goes on", name, _line(error))


def _read(name: str, about: Mapping[str, Any], encoder: FrozenEncoder) -> dict[str, Any] | None:
    shelf = shelf_in_use()
    try:
        piece = shelf.read_piece(name) if shelf is not None else None
    except OSError as error:
        log.warning("%s of the evaluation cannot be read: %s; done again", name, _line(error))
        return None
    if piece is None or piece.get("about") != _key(about, encoder):
        return None
    return piece if is_finite(piece) else None


def _key(about: Mapping[str, Any], encoder: FrozenEncoder) -> str:
    return digest({**about, "encoder": encoder_digest(encoder.module)})


def _line(error: OSError) -> str:
    return " ".join(str(error).split())


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
    encoder: FrozenEncoder
    _kept_at: float = field(default_factory=time.monotonic)

    def begin(self) -> int:
        """Put back what was kept; returns how many steps are done. Every worker calls."""
        piece = kept_piece(self.name, self.about, self.encoder) if self.name else None
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
        return said_by_first([passed], self.encoder.worker)[0] > SECONDS_BETWEEN_PIECES

    def keep(self, done: int) -> None:
        """Keep the state after so many steps."""
        assert self.name is not None, "it is never due then"
        piece = {
            "done": done,
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }
        keep_piece(self.name, self.about, piece, self.encoder)
        self._kept_at = time.monotonic()
