"""Who owns a run or a sweep: leases in the storage, which processes and hosts agree on.

`leases/NAME/000001.json` says who has NAME, and is never changed. Who takes over from a dead owner
creates the next number, which one of several can do; the highest counts, and the older ones are
deleted. `leases/beats/TOKEN` is rewritten by a thread of the owner as long as it lives. An owner is
dead once that has not changed for `EXPIRY` seconds by the clock of the one who looks, as clocks of
hosts differ; on its own host as soon as its process is gone.

An owner that was suspended for longer finds, before it writes what others read, that another one
has taken over (`Claim.check`).
"""

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from orchestrator.errors import LeaseLostError, StorageError
from orchestrator.storage.files import Storage
from orchestrator.storage.holder import Holder, living_here
from orchestrator.storage.processes import Process

__all__ = [
    "BEAT",
    "EXPIRY",
    "LEASES",
    "Claim",
    "Holder",
    "Lease",
    "Observer",
    "holder_of",
    "run_lease",
    "sweep_lease",
]

LEASES, BEATS = "leases", "leases/beats"
BEAT = 5.0  # seconds between signs of life
EXPIRY = 30.0  # seconds without one, as seen by another process, after which an owner is dead
DAMAGED = "damaged"  # in place of a beat, where a lease cannot be read
HUNG = 10.0  # seconds after which a look tells nothing, as owners could not write either
CLOCKS = timedelta(seconds=60)  # by which those of hosts may differ, for a single look


def run_lease(fingerprint: str) -> str:
    """Return the name under which a run is owned."""
    return f"runs/{fingerprint}"


def sweep_lease(folder: str) -> str:
    """Return the name under which a sweep is owned, by its folder (`losses/0123456789ab`)."""
    return f"sweeps/{folder}"


@dataclass(frozen=True)
class Claim:
    """A name that a process has; plain data, which travels to the processes that work for it."""

    storage: str
    name: str
    number: int
    token: str

    def is_held(self) -> bool:
        """Tell whether nobody has taken over. Raises StorageError."""
        storage = Storage(self.storage)
        if _highest(storage, self.name) != self.number:
            return False
        # numbers begin again once a name was given back
        told = storage.read_bytes(_file(self.name, self.number))
        return told is not None and self.token.encode() in told

    def check(self) -> None:
        """Raise LeaseLostError where another process has taken over."""
        if not self.is_held():
            raise LeaseLostError(
                f"{self.name}: another process has taken over, as this one gave no sign of life "
                f"for {EXPIRY:.0f} s"
            )


@dataclass(frozen=True)
class _Entry:
    """What lies under the highest number of a name, and the last sign of life of that owner."""

    number: int
    holder: Holder
    beat: str | None


class Observer:
    """Looks who is alive, by this machine's clock; remembers when each beat was last another one.

    With `trusting`, a process of this machine that exists is alive though it gives no sign of life.
    `dead` are tokens of owners that were seen to be dead before.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        trusting: bool = False,
        dead: tuple[str, ...] = (),
        expiry: float = EXPIRY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage, self._trusting, self._expiry, self._clock = storage, trusting, expiry, clock
        self._seen: dict[str, tuple[str, float]] = {}
        self._changed: set[str] = set()
        self.dead = {*dead}

    def holder(self, name: str) -> Holder | None:
        """Return who has a name and is not known to be dead."""
        entry = self.look(name)
        return None if entry is None or self.is_free(entry) else entry.holder

    def look(self, name: str) -> _Entry | None:
        """Read who has a name; silence counts anew where the storage fails. Raises StorageError."""
        began, answers = self._clock(), False
        try:
            entry = _entry(self._storage, name)
            answers = self._clock() - began < HUNG
        finally:
            if not answers:
                self._seen.clear()
        return entry

    def gives_signs(self, holder: Holder) -> bool:
        """Tell whether an owner has given a sign of life since the first look at it."""
        return holder.token in self._changed

    def is_free(self, entry: _Entry) -> bool:
        """Tell whether nobody has what the entry is of, or one that is dead."""
        holder = entry.holder
        beat, since = self._seen.get(holder.token, (None, 0.0))
        if entry.beat is None or (holder.token in self.dead and beat in (None, entry.beat)):
            return True
        self.dead.discard(holder.token)  # it could not write for a while
        lives = holder.lives_here()
        if lives is False:
            return True
        if lives and self._trusting:
            self._changed.add(holder.token)
            return False
        if beat != entry.beat:
            if beat is not None:
                self._changed.add(holder.token)
            self._seen[holder.token] = (entry.beat, self._clock())
            return False
        if self._clock() - since < self._expiry:
            return False
        self.dead.add(holder.token)
        return True


class Lease:
    """Names that this process has, until it is left or dies; a thread gives signs of life.

    `group` names the command: what another process of the same one has is taken over at once, as
    the command knows that it is lost.
    """

    def __init__(self, storage: Storage, *, group: str = "", beat: float = BEAT) -> None:
        self._storage, self._group, self._seconds = storage, group, beat
        self.token = uuid4().hex
        living_here.add(self.token)
        self._claims: dict[str, Claim] = {}
        self._since, self._beats = datetime.now(UTC), 0
        self._lost, self._over, self._guard = False, threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        living_here.discard(self.token)
        with suppress(StorageError):  # what cannot be given back expires
            for name in list(self._claims):
                self.give_back(name)
            if self._beats:
                self._storage.delete(f"{BEATS}/{self.token}")

    @property
    def is_lost(self) -> bool:
        """True once this process has seen that another one has taken over one of the names."""
        return self._lost

    def take(self, name: str, observer: Observer) -> Claim | Holder:
        """Take a name that nobody has, or one that the observer knows to be dead.

        Returns who has it otherwise. Raises StorageError.
        """
        while True:
            entry = observer.look(name)
            if entry is not None and not (self._is_ours(entry) or observer.is_free(entry)):
                return entry.holder
            number = 1 if entry is None else entry.number + 1
            if not self._beats:
                self._beat()
            if not self._storage.create(_file(name, number), self._told()):
                continue  # another one was faster
            claim = Claim(self._storage.uri, name, number, self.token)
            if not claim.is_held():  # others have gone on
                self._storage.delete(_file(name, number))
                continue
            with self._guard:
                self._claims[name] = claim
            if not self._thread.is_alive():
                self._thread.start()
            self._tidy(name, entry)
            return claim

    def give_back(self, name: str) -> None:
        """Let others have a name. One that took it from a dead owner is not disturbed."""
        with self._guard:
            claim = self._claims.pop(name)
        if claim.is_held():
            self._storage.delete(_file(name, claim.number))
        if self._storage.is_local:
            with suppress(OSError):  # somebody has it
                self._storage.local_path(LEASES, name).rmdir()

    def _is_ours(self, entry: _Entry) -> bool:
        return bool(self._group) and entry.holder.group == self._group

    def _told(self) -> bytes:
        tree: dict[str, Any] = {"token": self.token, "group": self._group}
        tree |= {"since": self._since.isoformat(timespec="seconds"), **asdict(Process.this())}
        return json.dumps(tree).encode()

    def _tidy(self, name: str, before: _Entry | None) -> None:
        """Delete what lies under lower numbers, and the last beat of a dead owner."""
        with suppress(StorageError):
            for number in _numbers(self._storage, name):
                if number < self._claims[name].number:
                    self._storage.delete(_file(name, number))
            if before is not None:
                self._storage.delete(f"{BEATS}/{before.holder.token}")

    def _beat(self) -> None:
        self._beats += 1
        until = datetime.now(UTC) + timedelta(seconds=EXPIRY)
        text = f"{self._beats} {until.isoformat(timespec='seconds')}"
        self._storage.write_bytes(f"{BEATS}/{self.token}", text.encode())

    def _run(self) -> None:
        while not self._over.wait(self._seconds):
            with suppress(StorageError):  # the next beat may go through
                self._beat()
                with self._guard:
                    claims = list(self._claims.values())
                if claims and not claims[self._beats % len(claims)].is_held():
                    self._lost = True


def holder_of(storage: Storage, name: str) -> Holder | None:
    """Return who has a name, as far as one look tells; None for one that is dead.

    On other hosts an owner counts as dead a minute after the time that it has last named, by its
    own clock. Raises StorageError.
    """
    entry = _entry(storage, name)
    if entry is None or entry.beat in (None, DAMAGED):
        return None
    lives = entry.holder.lives_here()
    is_late = entry.holder.until + CLOCKS < datetime.now(UTC)
    return None if lives is False or (lives is None and is_late) else entry.holder


def _file(name: str, number: int) -> str:
    return f"{LEASES}/{name}/{number:06d}.json"


def _numbers(storage: Storage, name: str) -> list[int]:
    stems = (file.removesuffix(".json") for file in storage.list(f"{LEASES}/{name}"))
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def _highest(storage: Storage, name: str) -> int:
    return max(_numbers(storage, name), default=0)


def _entry(storage: Storage, name: str) -> _Entry | None:
    """Read what lies under the highest number; None where nobody has the name."""
    while number := _highest(storage, name):
        data = storage.read_bytes(_file(name, number))
        if data is None:
            continue  # given back since the listing
        try:
            tree = json.loads(data)
            beat = storage.read_bytes(f"{BEATS}/{tree['token']}")
            said = None if beat is None else beat.decode(errors="replace")
            return _Entry(number, _holder(tree, said), said)
        except (ValueError, KeyError, TypeError):
            return _Entry(number, _unknown(name, number), DAMAGED)
    return None


def _unknown(name: str, number: int) -> Holder:
    """Who has left what cannot be read: it may be half written, and is free where it stays so."""
    now = datetime.now(UTC)
    return Holder(Process("a host that is not known", "", 0, ""), f"{name} {number}", now, now)


def _holder(tree: dict[str, Any], beat: str | None) -> Holder:
    since = datetime.fromisoformat(tree["since"])
    try:
        until = datetime.fromisoformat((beat or "").partition(" ")[2])
    except ValueError:
        until = since + timedelta(seconds=EXPIRY)
    process = Process(**{name: tree[name] for name in ("host", "machine", "pid", "started")})
    return Holder(process, str(tree["token"]), since, until, str(tree.get("group", "")))
