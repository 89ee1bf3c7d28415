"""Predictions as a file: a compressed .npz of small integers.

It is readable without unpickling anything.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from workloads.evaluation_result import Predictions

__all__ = ["predictions_bytes", "read_predictions"]

NAMES = "names"
MOST_BYTES = 1 << 28  # unpacked: eight protocols of a million test images in two columns
TYPES = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32)


def predictions_bytes(predictions: Mapping[str, Predictions]) -> bytes:
    """Return the content of the file: names as JSON in UTF-8, and each one's arrays by position."""
    # A name may hold what neither NumPy's strings (trailing NULs) nor the files of a zip archive
    # keep.
    arrays: dict[str, NDArray[np.integer]] = {
        NAMES: np.frombuffer(json.dumps(list(predictions)).encode(), np.uint8)
    }
    for position, one in enumerate(predictions.values()):
        arrays[f"predicted_{position}"] = _smallest(one.predicted)
        arrays[f"labels_{position}"] = _smallest(one.labels)

    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def read_predictions(data: bytes) -> dict[str, Predictions]:
    """Read what `predictions_bytes` was given. Raises ValueError for other content.

    That includes what would need more than `MOST_BYTES` once it is unpacked.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MOST_BYTES:
            raise ValueError(f"{unpacked:,} bytes, once unpacked")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            found = {}
            for position, name in enumerate(json.loads(arrays[NAMES].tobytes())):
                predicted = arrays[f"predicted_{position}"].astype(np.int64)
                labels = arrays[f"labels_{position}"].astype(np.int64)
                found[name] = Predictions(predicted, labels)
    except (
        OSError,
        EOFError,
        KeyError,
        TypeError,
        ValueError,
        MemoryError,  # of a header that promises more than there is
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(f"does not hold predictions: {error}") from None

    for name, one in found.items():
        if one.predicted.shape != one.labels.shape:
            raise ValueError(
                f"{name}: {one.predicted.shape} predictions for {one.labels.shape} labels"
            )
    return found


def _smallest(values: NDArray[np.int64]) -> NDArray[np.integer]:
    """Return the same values in the smallest type that holds them all."""
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    fitting = (kind for kind in TYPES if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
    return values.astype(next(fitting, np.int64))
