"""What was written of a sweep, in JSON lines: so that a killed driver's successor doubles nothing.

A line says what it is by `kind`: `sweep` a beginning, `run` a cell, `epoch` a point of its curve,
`result` how it ended, `end` the end of a sweep. A line that a kill has cut is passed over.
"""

import json
import math
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from orchestrator.logs.appended import AppendedFile

__all__ = ["Ledger", "epoch_key", "result_key", "run_key"]


class Ledger:
    """The lines of a file that are of one sweep; a file may have those of several."""

    def __init__(self, file: AppendedFile, sweep: str) -> None:
        """Read the file. Raises StorageError."""
        self._file, self._sweep = file, sweep
        content = file.content()
        self._cut = bool(content) and not content.endswith(b"\n")
        self._keys = {key for line in _lines(content) if (key := self._key_of(line)) is not None}

    def __contains__(self, key: Hashable) -> bool:
        return key in self._keys

    def add(self, kind: str, fingerprint: str | None, **more: object) -> None:
        """Write a line; numbers that are not finite become null, which JSON has."""
        line = {"kind": kind, "sweep": self._sweep}
        if fingerprint is not None:
            line["fingerprint"] = fingerprint
        whole = line | _as_json(more)
        text = json.dumps(whole, allow_nan=False, ensure_ascii=False)
        self._file.append(("\n" * self._cut + text + "\n").encode())
        self._cut = False
        if (key := self._key_of(whole)) is not None:
            self._keys.add(key)

    def flush(self) -> None:
        """Have everything be where others read it."""
        self._file.flush()

    def _key_of(self, line: Mapping[str, Any]) -> Hashable | None:
        if line.get("sweep") != self._sweep:
            return None
        match line:
            case {"kind": "run", "fingerprint": str(run)}:
                return run_key(run)
            case {"kind": "epoch", "fingerprint": str(run), "epoch": int(epoch)}:
                return epoch_key(run, epoch)
            case {"kind": "result", "fingerprint": str(run), "status": str(status)}:
                return result_key(run, status, line.get("ended"))
        return None


def run_key(fingerprint: str) -> Hashable:
    """Return what tells that a cell was written."""
    return ("run", fingerprint)


def epoch_key(fingerprint: str, epoch: int) -> Hashable:
    """Return what tells that an epoch was written."""
    return ("epoch", fingerprint, epoch)


def result_key(fingerprint: str, status: str, ended: str | None) -> Hashable:
    """Return what tells that an ending was written: a cell that failed may end again."""
    return ("result", fingerprint, status, ended)


def _lines(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.splitlines():
        try:
            tree = json.loads(line)
        except ValueError:
            continue
        if isinstance(tree, dict):
            yield tree


def _as_json(value: Any) -> Any:
    """The value with None for numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
