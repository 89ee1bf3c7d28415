"""Processes that do runs one after another, each on a device, and survive what kills one of them.

A process stays for its next run: starting one takes seconds, and a GPU's first call some more. It
ends when the process that started it does.
"""

import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Literal

from workloads.distributed.worker import Worker, limit_threads
from workloads.runs.cell import run_cell, start_of
from workloads.runs.local_jobs import LocalPack
from workloads.runs.pack import run_pack
from workloads.told_to_end import when_told_to_end

__all__ = ["Event", "RunProcess", "events"]

_spawning = multiprocessing.get_context("spawn")  # a fork would not take torch's threads along


@dataclass(frozen=True)
class Event:
    """What a process says: how far it is, that it is through or was stopped, or that it was lost.

    `ended` are runs of a pack that have just ended, by fingerprint. One that was stopped, by us or
    by others, leaves runs without a record, and does no more. `exit_code` is that of a lost one.
    """

    kind: Literal["epoch", "through", "stopped", "lost"]
    metrics: Mapping[str, float] = field(default_factory=dict)
    ended: tuple[str, ...] = ()
    exit_code: int | None = None


class RunProcess:
    """One process with its device, and the pack that it is doing, if it is doing one."""

    def __init__(self, device: str, threads: int) -> None:
        self.pack: LocalPack | None = None
        self._device, self._threads = device, threads
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None

    def begin(self, pack: LocalPack) -> None:
        """Hand over a pack; the process is started when there is none yet."""
        assert self.pack is None, "one pack at a time"
        if self._process is None:
            self._connection, theirs = _spawning.Pipe()
            self._process = _spawning.Process(
                target=_serve, args=(theirs, self._device, self._threads), daemon=False
            )
            self._process.start()
            theirs.close()
        assert self._connection is not None, "made with the process"
        self.pack = pack
        self._connection.send(pack)

    def ask_to_stop(self) -> None:
        """Ask it to keep its state after the epoch that it is in, and to leave the rest."""
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """End it at once; an idle one has left all that it had to leave."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = self._connection = self.pack = None

    @property
    def connection(self) -> Connection | None:
        """Where it is heard while it is doing something; it is heard, too, that it has died."""
        return self._connection if self.pack is not None else None

    def heard(self) -> Event:
        """Return what it has said; call it when `connection` has something to say."""
        assert self._connection is not None, "it has something to say"
        assert self._process is not None, "it has something to say"
        try:
            event: Event = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            self._process = self._connection = self.pack = None
            return Event("lost", exit_code=code)
        if event.kind in ("through", "stopped"):
            self.pack = None
        return event


def events(processes: Sequence[RunProcess], seconds: float) -> list[RunProcess]:
    """Wait until some of the processes have something to say, so long at most."""
    heard = {process.connection: process for process in processes if process.connection}
    return [heard[each] for each in wait(list(heard), seconds) if isinstance(each, Connection)]


_stopping = threading.Event()


def _serve(connection: Connection, device: str, threads: int) -> None:
    """Do what is sent, one after another, until there is nothing more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all: the other one decides
    when_told_to_end(_stopping.set)  # by the other one, or by a batch system that tells them all
    threading.Thread(target=_end_with_the_other, daemon=True).start()
    limit_threads(threads)
    while True:
        try:
            pack: LocalPack = connection.recv()
        except EOFError:
            return
        _do(pack, connection, device)
        connection.send(Event("stopped" if _stopping.is_set() else "through"))


def _do(pack: LocalPack, connection: Connection, device: str) -> None:
    def report(metrics: Mapping[str, float], ended: Sequence[str] = ()) -> None:
        connection.send(Event("epoch", dict(metrics), tuple(ended)))

    if pack.together:
        run_pack(pack, lambda ended, metrics: report(metrics, ended), stop=_stopping.is_set)
        return
    (job,) = pack.jobs
    worker, host = Worker.here(device), socket.gethostname()
    run_cell(job, worker, start_of(job), report, hosts=[host], stop=_stopping.is_set)


def _end_with_the_other() -> None:
    """End when the process that started this one has gone, in whatever way."""
    other = multiprocessing.parent_process()
    assert other is not None, "this one was started"
    other.join()
    sys.stdout.flush()
    os._exit(1)
