"""TensorBoard's event files: a folder for each run of a sweep.

A driver begins files of its own, for what follows a record that a kill has cut is never read.
TensorBoard reads all files of a folder as one. A point that lies in one of them is written into no
other: a driver may be killed after it wrote it, and before the ledger knew.
"""

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.logs.appended import AppendedFile
from orchestrator.logs.sink import LoggedRun
from orchestrator.logs.sweep_log import Status
from orchestrator.run_record import Metrics, RunRecord
from orchestrator.storage import Storage

__all__ = ["EventFiles"]

VERSION = "brain.Event:2"
Point = tuple[str, int, str]  # tag, step and value, in letters: a NaN equals no other


class EventFiles:
    """Writes the runs of one sweep below a folder."""

    def __init__(self, storage: Storage, folder: str) -> None:
        """Write below `folder` of the storage, which may be an object store."""
        self._storage, self._folder = storage, folder
        self._open: dict[str, AppendedFile] = {}
        self._there: dict[str, set[Point]] = {}

    def opened(self, run: LoggedRun) -> None:
        """Begin a file, with the whole specification as text."""
        from tensorboard.compat.proto.event_pb2 import Event
        from torch.utils.tensorboard.summary import text

        now = time.time()
        self._there[run.fingerprint] = self._points_of(run)
        # read in the order of their names
        name = f"events.out.tfevents.{time.time_ns():020d}.{socket.gethostname()}.{os.getpid()}"
        self._open[run.fingerprint] = AppendedFile(self._storage, self._path(run, name))
        self._write(run, Event(wall_time=now, file_version=VERSION))
        rows = [f"| {field} | `{json.dumps(value)}` |" for field, value in run.params.items()]
        table = "\n".join(["| field | value |", "|---|---|", *rows])
        summary = text("specification", table)  # type: ignore[no-untyped-call]
        self._write(run, Event(wall_time=now, step=0, summary=summary))

    def epoch(self, run: LoggedRun, epoch: int, metrics: Metrics) -> None:
        """Write a point of each curve."""
        self._scalars(run, epoch, metrics)

    def ended(self, run: LoggedRun, record: RunRecord, results: Metrics) -> None:
        """Write the results, and what compares runs by their settings: the tab HPARAMS."""
        last = int(record.last_metrics.get("epoch", 0))
        named = {f"result/{name}": value for name, value in results.items()}
        self._scalars(run, last, named)
        self._compared(run, named)

    def left(self, run: LoggedRun, *, failed: bool) -> None:  # noqa: ARG002
        """Have the whole file be there."""
        self._there.pop(run.fingerprint)
        self._open.pop(run.fingerprint).flush()

    def close(self, status: Status, files: Mapping[str, str | bytes]) -> None:  # noqa: ARG002
        """Leave the files of what was interrupted as they are; the next driver adds its own."""
        while self._open:
            _, file = self._open.popitem()
            file.flush()

    def _path(self, run: LoggedRun, name: str) -> str:
        readable = "".join(
            letter if letter.isalnum() or letter in "-_." else "-" for letter in run.name
        )
        return f"{self._folder}/{readable[:80].strip('.-')}-{run.fingerprint[:8]}/{name}"

    def _scalars(self, run: LoggedRun, step: int, values: Mapping[str, float]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        points = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        there = self._there[run.fingerprint]
        fresh = [one for one in points if (one.tag, step, repr(one.simple_value)) not in there]
        if fresh or not points:
            summary = Summary(value=fresh)
            self._write(run, Event(wall_time=time.time(), step=step, summary=summary))

    def _points_of(self, run: LoggedRun) -> set[Point]:
        """Return the points that earlier files of a run have."""
        from tensorboard.compat.proto.event_pb2 import Event

        folder = self._path(run, "").rstrip("/")
        return {
            (one.tag, event.step, repr(one.simple_value))
            for name in self._storage.list(folder)
            for record in _records(self._storage.read_bytes(f"{folder}/{name}") or b"")
            for event in [Event.FromString(record)]
            for one in event.summary.value
            if one.HasField("simple_value")
        }

    def _compared(self, run: LoggedRun, results: Metrics) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from torch.utils.tensorboard.summary import hparams

        settings: dict[str, Any] = {"cell": run.cell, "role": run.role, "seed": run.seed}
        for field in sorted(run.differing - {"seed"}):
            value = run.params.get(field)
            plain = isinstance(value, bool | int | float | str)
            settings[field] = value if plain else json.dumps(value)
        compared = hparams(settings, dict(results))  # type: ignore[no-untyped-call]
        for summary in compared:
            self._write(run, Event(wall_time=time.time(), step=0, summary=summary))

    def _write(self, run: LoggedRun, event: Any) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        RecordWriter(_Pieces(self._open[run.fingerprint])).write(event.SerializeToString())


def _records(content: bytes) -> Iterator[bytes]:
    """Yield the records of an event file, up to one that was cut.

    Around each lie 8 bytes of its length and 4 of a checksum, and 4 of another behind it.
    """
    at = 0
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 8], "little")
        if at + 16 + length > len(content):
            return
        yield content[at + 12 : at + 12 + length]
        at += 16 + length


class _Pieces:
    """The end of a growing file as something to write to."""

    def __init__(self, file: AppendedFile) -> None:
        self._file = file

    def write(self, piece: bytes) -> None:
        """Append a piece."""
        self._file.append(piece)
