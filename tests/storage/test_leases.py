"""Who owns what: threads, processes that are killed or stopped, and a clock of the test's own."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import LeaseLostError, StorageError
from orchestrator.storage import Storage
from orchestrator.storage import processes as known
from orchestrator.storage.leases import EXPIRY, Claim, Holder, Lease, Observer, holder_of
from orchestrator.storage.runs import RunFolder
from workloads.run_record import RunRecord

TAKERS = 8


def here(storage: Storage) -> list[str]:
    """What the storage has of leases."""
    return [name for name in ("runs/a", "beats") if storage.list(f"leases/{name}")]


@contextmanager
def elsewhere() -> Iterator[None]:
    """What is done meanwhile is done on another host."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known, "_machine", lambda: "another machine")
        yield


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_has_a_name_until_it_gives_it_back(storage: Storage) -> None:
    with Lease(storage) as first, Lease(storage) as second:
        claim = first.take("runs/a", Observer(storage))
        assert isinstance(claim, Claim)
        claim.check()
        holder = second.take("runs/a", Observer(storage))
        assert isinstance(holder, Holder)
        assert (holder.pid, holder.token) == (known.Process.this().pid, first.token)
        assert holder_of(storage, "runs/a") == holder
        first.give_back("runs/a")
        assert holder_of(storage, "runs/a") is None
        assert isinstance(second.take("runs/a", Observer(storage)), Claim)
        assert not claim.is_held()
    assert here(storage) == []


def test_of_many_that_take_over_from_a_dead_owner_one_succeeds(storage: Storage) -> None:
    if storage.uri.startswith("memory:"):
        pytest.skip("its readers share a position: it is not for threads")
    with elsewhere():
        dead = Lease(storage)
        assert isinstance(dead.take("runs/a", Observer(storage)), Claim)
    together, won = threading.Barrier(TAKERS), list[Claim]()
    leases = [Lease(storage) for _ in range(TAKERS)]

    def take(lease: Lease) -> None:
        observer = Observer(storage, dead=(dead.token,))
        together.wait()
        if isinstance(taken := lease.take("runs/a", observer), Claim):
            won.append(taken)

    threads = [threading.Thread(target=take, args=(lease,)) for lease in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert won[0].is_held()
    for lease in (dead, *leases):
        lease.__exit__(None, None, None)


def test_an_owner_elsewhere_is_dead_once_it_gives_no_sign_of_life(storage: Storage) -> None:
    clock = Clock()
    with elsewhere():
        owner = Lease(storage, beat=3600)
        claim = owner.take("runs/a", Observer(storage))
    assert isinstance(claim, Claim)
    observer = Observer(storage, clock=clock)
    assert observer.holder("runs/a") is not None
    clock.now += EXPIRY - 1
    storage.write_bytes(f"leases/beats/{owner.token}", b"2 another time")
    assert observer.holder("runs/a") is not None
    clock.now += EXPIRY - 1
    assert observer.holder("runs/a") is not None, "it has given a sign since"
    clock.now += 2
    assert observer.holder("runs/a") is None
    with Lease(storage) as heir:
        assert isinstance(heir.take("runs/a", observer), Claim)
        with pytest.raises(LeaseLostError, match="runs/a: another process has taken over"):
            claim.check()
        owner.__exit__(None, None, None)
        assert holder_of(storage, "runs/a") is not None, "who has lost it does no harm"


def test_who_has_lost_a_run_writes_nothing_of_it(storage: Storage) -> None:
    with Lease(storage) as first, Lease(storage) as second:
        claim = first.take("runs/a", Observer(storage))
        assert isinstance(claim, Claim)
        folder = RunFolder(storage, "a", claim)
        folder.write_log("begun")
        taken = second.take("runs/a", Observer(storage, dead=(first.token,)))
        assert isinstance(taken, Claim)
        writes: list[Callable[[], Any]] = [
            lambda: folder.write_log("on"),
            lambda: folder.write_record(
                RunRecord(name="a", fingerprint="a", workload="simclr", status="failed", spec={})
            ),
            lambda: folder.write_predictions({}),
            lambda: folder.write_piece("linear", {}),
            folder.drop_pieces,  # they are the new owner's
        ]
        for write in writes:
            with pytest.raises(LeaseLostError):
                write()
        assert storage.list("runs/a") == ["log.txt"]
        assert folder.log() == "begun"


def test_a_command_takes_over_at_once_what_its_own_lost_process_had(storage: Storage) -> None:
    with Lease(storage, group="one command") as lost, Lease(storage, group="one command") as again:
        assert isinstance(lost.take("runs/a", Observer(storage)), Claim)
        assert isinstance(again.take("runs/a", Observer(storage)), Claim)


@pytest.fixture
def owner(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that has a run, and says so."""
    script = (
        "import sys, time; from orchestrator.storage import Storage\n"
        "from orchestrator.storage.leases import Lease, Observer\n"
        f"storage = Storage({str(tmp_path)!r}); lease = Lease(storage, beat=0.1)\n"
        "claim = lease.take('runs/a', Observer(storage)); print('taken', flush=True)\n"
        "while claim.is_held(): time.sleep(0.01)\n"
        "print('lost', flush=True); lease.__exit__(None, None, None)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "taken\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_what_a_killed_process_of_this_host_had_is_free_at_once(
    tmp_path: Path, owner: "subprocess.Popen[str]"
) -> None:
    storage = Storage(str(tmp_path))
    holder = holder_of(storage, "runs/a")
    assert holder is not None
    assert holder.pid == owner.pid
    owner.kill()
    owner.wait()
    assert holder_of(storage, "runs/a") is None
    with Lease(storage) as lease:
        assert isinstance(lease.take("runs/a", Observer(storage)), Claim)
        lease.give_back("runs/a")
    assert here(storage) == [], "nor is a sign of its life left"


def test_a_process_that_was_stopped_for_long_notices_that_it_has_lost(
    tmp_path: Path, owner: "subprocess.Popen[str]", wait_for: Callable[..., None]
) -> None:
    storage, clock = Storage(str(tmp_path)), Clock()
    trusting = Observer(storage, trusting=True, clock=clock)
    observer = Observer(storage, clock=clock)
    owner.send_signal(signal.SIGSTOP)
    assert observer.holder("runs/a") is not None

    def is_over() -> bool:
        clock.now += EXPIRY + 1
        return observer.holder("runs/a") is None

    wait_for(is_over)
    assert trusting.holder("runs/a") is not None, "a process that exists has its sweep"
    with Lease(storage) as heir:
        assert isinstance(heir.take("runs/a", observer), Claim)
        owner.send_signal(signal.SIGCONT)
        assert owner.stdout is not None
        assert owner.stdout.readline() == "lost\n"
        assert owner.wait(120) == 0
        holder = holder_of(storage, "runs/a")
        assert holder is not None
        assert holder.token == heir.token


def test_a_lease_that_cannot_be_read_is_free_once_it_stays_so(storage: Storage) -> None:
    storage.write_bytes("leases/runs/a/000007.json", b"")
    assert holder_of(storage, "runs/a") is None
    clock = Clock()
    observer = Observer(storage, clock=clock)
    with Lease(storage) as lease:
        assert isinstance(lease.take("runs/a", observer), Holder), "it may be half written"
        clock.now += EXPIRY + 1
        claim = lease.take("runs/a", observer)
        assert isinstance(claim, Claim)
        assert claim.number == 8
        assert storage.list("leases/runs/a") == ["000008.json"]


def test_silence_while_the_storage_fails_or_hangs_is_no_sign_of_death(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, read = Clock(), Storage.read_bytes
    with elsewhere():
        owner = Lease(storage, beat=3600)
        owner.take("runs/a", Observer(storage))
    observer = Observer(storage, clock=clock)
    assert observer.holder("runs/a") is not None

    def fail(*_: object) -> bytes | None:
        raise StorageError("no answer")

    def hang(storage: Storage, name: str) -> bytes | None:
        clock.now += EXPIRY
        return read(storage, name)

    clock.now += EXPIRY + 1
    with monkeypatch.context() as patch:
        patch.setattr(Storage, "read_bytes", fail)
        with pytest.raises(StorageError):
            observer.holder("runs/a")
    assert observer.holder("runs/a") is not None
    with monkeypatch.context() as patch:
        patch.setattr(Storage, "read_bytes", hang)
        assert observer.holder("runs/a") is not None
    clock.now += EXPIRY - 1
    assert observer.holder("runs/a") is not None
    clock.now += 2
    assert observer.holder("runs/a") is None
    owner.__exit__(None, None, None)


def test_an_owner_that_gives_a_sign_of_life_again_is_not_dead(storage: Storage) -> None:
    clock = Clock()
    with elsewhere():
        owner = Lease(storage, beat=3600)
        owner.take("runs/a", Observer(storage))
    observer = Observer(storage, clock=clock)
    observer.holder("runs/a")
    clock.now += EXPIRY + 1
    assert observer.holder("runs/a") is None
    storage.write_bytes(f"leases/beats/{owner.token}", b"2 there was no room before")
    assert observer.holder("runs/a") is not None
    assert observer.dead == set()
    owner.__exit__(None, None, None)


def test_what_this_process_could_not_give_back_it_can_take_again(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StorageError("no answer")

    with monkeypatch.context() as patch, Lease(storage) as left:
        left.take("sweeps/a/1", Observer(storage))
        patch.setattr(Storage, "delete", fail)
        left.__exit__(None, None, None)
    assert storage.list("leases/sweeps/a/1") == ["000001.json"]
    assert holder_of(storage, "sweeps/a/1") is None
    with Lease(storage) as lease:
        assert isinstance(lease.take("sweeps/a/1", Observer(storage, trusting=True)), Claim)
