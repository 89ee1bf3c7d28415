"""Frozen features on disk: computed once for an encoder and a split, memory-mapped from then on.

An entry is one file, `KEY.npy`, float32 [N, D]. It is written a batch at a time beside its place,
under a lock, and renamed as the last step: an entry that exists is complete, two processes never
compute the same one, and memory holds no more than one batch. The folder is bounded; the entries
that were asked for longest ago go first.

Of several workers, which may be on different hosts, the first has the folder, and tells the others
when to compute.
"""

import hashlib
import logging
import os
import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.datasets import Split, default_cache
from workloads.distributed.data_parallel import said_by_first
from workloads.distributed.worker import Worker
from workloads.evaluation.features.digests import encoder_digest
from workloads.evaluation.features.frozen import FrozenEncoder
from workloads.local_files import Lock, locked, replaced
from workloads.spec import SpecError, digest

__all__ = ["cached_features", "default_features", "features_key"]

# raised whenever the code computes or stores other features for equal encoders and images
FEATURES_REVISION = 2
LIMIT_GIB = 4.0
SAMPLED_IMAGES = 16
SECONDS_BETWEEN_TRIES = 0.1

log = logging.getLogger(__name__)


class _Turn(IntEnum):
    """What the first worker tells the others to do."""

    WAIT = 0
    COMPUTE = 1
    DONE = 2


def default_features() -> Path:
    """Return $SIMCLR_ORCH_FEATURES, or `features` beside the cache of decoded images."""
    chosen = os.environ.get("SIMCLR_ORCH_FEATURES")
    return Path(chosen).expanduser() if chosen else default_cache().parent / "features"


def cached_features(
    encoder: FrozenEncoder, split: Split, *, content: str, cache: Path | None = None
) -> NDArray[np.float32]:
    """Return `encoder.features(split)` bit for bit, [N, D], computed once and memory-mapped then.

    They lie in the folder `cache`, `default_features()` when None. `content` is the digest of the
    data set that the split is of. Changes to the array stay in this process. Waits while another
    process computes the same features. The folder is kept under $SIMCLR_ORCH_FEATURES_GB GiB (4),
    but never without the entry of this call. Where it cannot be written, as on a full disk, the
    features are an array in memory and a warning is logged. Every worker calls; all but the first
    get none, [0, D]. Raises RuntimeError for images that are lost.
    """
    folder, limit = cache or default_features(), _limit_in_bytes()
    if encoder.worker.rank > 0:
        return _helped(encoder, split)

    key = features_key(encoder, split, content=content)
    features = _from_disk(folder / f"{key}.npy", limit, encoder, split)
    if features is None:
        _tell(_Turn.COMPUTE, encoder.worker)
        features = encoder.features(split)
    _tell(_Turn.DONE, encoder.worker, features.shape[1])
    return features


def _helped(encoder: FrozenEncoder, split: Split) -> NDArray[np.float32]:
    """Compute what the first worker wants computed, until it has its features."""
    while True:
        turn, width = said_by_first([0, 0], encoder.worker)
        match _Turn(int(turn)):
            case _Turn.WAIT:
                pass
            case _Turn.COMPUTE:
                encoder.features(split)
            case _Turn.DONE:
                return np.empty((0, int(width)), np.float32)


def _tell(turn: _Turn, worker: Worker, width: int = 0) -> None:
    said_by_first([turn, width], worker)


def _from_disk(
    entry: Path, limit: float, encoder: FrozenEncoder, split: Split
) -> NDArray[np.float32] | None:
    """The entry, computed first if it is not there; None, with a warning, where that cannot be."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with _locked(_lock_of(entry), encoder.worker):
            missing = not entry.exists()
            if missing:
                with _computed_by_all(encoder, split) as blocks:
                    _write(entry, len(split), blocks)

            os.utime(entry)  # when it was last asked for
            # Copy on write, as torch refuses to share an array that cannot be written; nothing
            # reaches the file.
            features: NDArray[np.float32] = np.load(entry, mmap_mode="c")

        if missing:
            _make_room(entry.parent, limit, entry)
    except OSError as error:
        log.warning("features are not cached in %s: %s", entry.parent, error)
        return None
    return features


@contextmanager
def _locked(path: Path, worker: Worker) -> Iterator[None]:
    """Hold an exclusive lock, and tell the other workers to wait while another process has it.

    It may take longer to compute than a collective operation may wait.
    """
    with Lock(path) as lock:
        while not lock.try_to_take():
            _tell(_Turn.WAIT, worker)
            time.sleep(SECONDS_BETWEEN_TRIES)
        yield


def features_key(encoder: FrozenEncoder, split: Split, *, content: str) -> str:
    """Return a hex digest of all that can change the features of a split.

    That is weights and structure of the encoder, the images, and the arithmetic. A split is its
    rows, their labels, the content of its data set, and some of its pixels: neither the side of the
    stored images nor whether they are those for training or for tests is part of the content.
    """
    count = min(SAMPLED_IMAGES, len(split))
    sampled = split.take(np.linspace(0, len(split) - 1, count).astype(np.int64))

    return digest(
        {
            "revision": FEATURES_REVISION,
            "encoder": encoder_digest(encoder.module),
            "structure": repr(encoder.module),
            "content": content,
            "rows": _sha256(split.index),
            "labels": _sha256(split.labels),
            "image": list(split.images.shape[1:]),
            "pixels": _sha256(sampled.numpy()),
            "view_size": encoder.view_size,
            "bf16": encoder.bf16,
            "device": encoder.worker.device.type,
        }
    )


def _sha256(array: NDArray[np.generic]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _limit_in_bytes() -> float:
    text = os.environ.get("SIMCLR_ORCH_FEATURES_GB") or str(LIMIT_GIB)
    try:
        limit = float(text)
    except ValueError:
        limit = -1.0
    if not limit >= 0:
        raise SpecError([f"SIMCLR_ORCH_FEATURES_GB={text!r}: must be a number of GiB, at least 0"])
    return limit * 2**30


def _lock_of(path: Path) -> Path:
    # Shared by a few entries, so that the locks, which cannot be deleted safely, do not pile up.
    return path.with_name(f"{path.name[:2]}.lock")


@contextmanager
def _computed_by_all(
    encoder: FrozenEncoder, split: Split
) -> Iterator[Iterator[NDArray[np.float32]]]:
    """The blocks of features, which all workers compute to the end.

    So does this one where it has no use for them.
    """
    _tell(_Turn.COMPUTE, encoder.worker)
    with closing(_errors_of_images_apart(encoder.feature_blocks(split))) as blocks:
        try:
            yield blocks
        except OSError:
            if encoder.worker.world_size > 1:
                deque(blocks, maxlen=0)
            raise


def _errors_of_images_apart(
    blocks: Iterator[NDArray[np.float32]],
) -> Generator[NDArray[np.float32]]:
    # What is wrong with the folder is no reason not to have features; what is wrong with the images
    # is.
    try:
        yield from blocks
    except OSError as error:
        raise RuntimeError(f"images cannot be read: {error}") from error


def _write(entry: Path, images: int, blocks: Iterator[NDArray[np.float32]]) -> None:
    with replaced(entry, beside=f"{entry.stem}.partial") as partial, partial.open("wb") as file:
        for number, block in enumerate(blocks):
            if number == 0:
                shape = (images, block.shape[1])
                header = {
                    "descr": np.lib.format.dtype_to_descr(block.dtype),
                    "fortran_order": False,
                    "shape": shape,
                }
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(block).data)


def _make_room(folder: Path, limit: float, in_use: Path) -> None:
    """Delete what killed processes left, and the oldest entries while the folder is too large.

    The oldest are those that were asked for longest ago.
    """
    for partial in folder.glob("*.partial"):
        _delete_if_abandoned(partial)

    with locked(folder / "room.lock"):
        entries = sorted(
            (path for path in folder.glob("*.npy") if path != in_use),
            key=lambda path: path.stat().st_mtime_ns,
        )
        total = in_use.stat().st_size + sum(path.stat().st_size for path in entries)
        for path in entries:
            if total <= limit:
                break
            total -= path.stat().st_size
            path.unlink()  # whoever has it mapped keeps it


def _delete_if_abandoned(partial: Path) -> None:
    with Lock(_lock_of(partial)) as lock:
        if lock.try_to_take():  # else its writer lives
            partial.unlink(missing_ok=True)
