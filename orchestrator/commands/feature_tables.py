"""Features of images as a file: Parquet, CSV or NumPy's .npz, written a block at a time.

Every format has the images' names and, as JSON, where the features come from. A file is there once
it is complete.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.local_files import replaced, write_whole

__all__ = ["ENDINGS", "FeatureTable", "about_file"]

Rows = tuple[Sequence[str], NDArray[np.float32]]  # n names, and features [n, D]
Add = Callable[[Rows], None]
KEY = b"simclr-orch"  # of the metadata of a Parquet file


class FeatureTable:
    """A file of features that is being written; nothing is there before the first rows."""

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self._path, self._about = path, dict(about)

    def write(self, blocks: Iterator[Rows]) -> int:
        """Write all blocks, and return how many features an image has; 0 without any rows."""
        first = next(blocks, None)
        if first is None:
            return 0
        width = int(first[1].shape[1])
        with (
            replaced(self._path) as partial,
            ENDINGS[self._path.suffix.lower()](partial, width, self._about) as add,
        ):
            add(first)
            for rows in blocks:
                add(rows)
        if self._path.suffix.lower() == ".csv":
            write_whole(about_file(self._path), json.dumps(self._about, indent=2).encode())
        return width


def about_file(path: Path) -> Path:
    """Return where it is said where the features of a CSV file come from, which has no place."""
    return path.with_name(f"{path.name}.about.json")


@contextmanager
def _parquet(path: Path, width: int, about: Mapping[str, Any]) -> Iterator[Add]:
    import pyarrow as pa
    from pyarrow import parquet

    kind = pa.list_(pa.float32(), width)
    schema = pa.schema(
        [("name", pa.string()), ("features", kind)], {KEY: json.dumps(about).encode()}
    )
    with parquet.ParquetWriter(path, schema) as writer:

        def add(rows: Rows) -> None:
            names, features = rows
            flat = pa.array(np.ascontiguousarray(features).reshape(-1), pa.float32())
            of_images = pa.FixedSizeListArray.from_arrays(flat, width)
            columns = [pa.array(list(names), pa.string()), of_images]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))

        yield add


@contextmanager
def _csv(path: Path, width: int, _about: Mapping[str, Any]) -> Iterator[Add]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", *(f"feature_{number}" for number in range(width))])

        def add(rows: Rows) -> None:
            # the shortest digits that are read as the same float32
            for name, features in zip(*rows, strict=True):
                writer.writerow([name, *features.astype(str)])

        yield add


@contextmanager
def _npz(path: Path, width: int, about: Mapping[str, Any]) -> Iterator[Add]:
    names: list[str] = []
    with TemporaryFile(dir=path.parent) as raw:

        def add(rows: Rows) -> None:
            names.extend(rows[0])
            raw.write(np.ascontiguousarray(rows[1], np.float32).data)

        yield add
        raw.flush()
        features = np.memmap(raw, np.float32, "r", shape=(len(names), width))
        with path.open("wb") as file:
            np.savez(
                file, names=np.array(names), features=features, about=np.array(json.dumps(about))
            )


ENDINGS = {".parquet": _parquet, ".csv": _csv, ".npz": _npz}
