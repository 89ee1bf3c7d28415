"""Milliseconds, in process: a place that is down or refuses holds up nobody, and loses nothing."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import StorageError, TrackingError, UnreachableError
from orchestrator.logs import carrier as carrying
from orchestrator.logs import outbox as waiting
from orchestrator.logs.carrier import Carrier
from orchestrator.logs.outbox import Outbox
from orchestrator.plan import Plan, build
from orchestrator.run_record import Metrics, RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder
from search_spaces import ABLATIONS
from workloads.catalog import preset_named

KEPT: Any = {}


class Place:
    """Keeps what it is told in order; fails as `failing` says, by what it is told."""

    label = "there"

    def __init__(self) -> None:
        self.told: list[str] = []
        self.failing: Callable[[str], Exception | None] = lambda _: None
        self.is_open = threading.Event()
        self.is_open.set()

    def _take(self, what: str) -> None:
        assert self.is_open.wait(60)
        if error := self.failing(what):
            raise error
        self.told.append(what)

    def begin(self, _: Any) -> None:
        self._take("begin")

    def has(self, fingerprint: str) -> bool:
        return bool(fingerprint)

    def started(self, fingerprint: str) -> None:
        self._take(f"{fingerprint} started")

    def epoch(self, fingerprint: str, metrics: Metrics) -> None:
        self._take(f"{fingerprint} {metrics['epoch']:.0f}")

    def ended(self, fingerprint: str, record: RunRecord) -> None:
        self._take(f"{fingerprint} ended after {len(record.history)}")

    def taken_over(self, fingerprint: str, _: RunRecord) -> None:
        self._take(f"{fingerprint} taken over")

    def finish(self, status: str, _: Mapping[str, str | bytes]) -> None:
        self._take(status)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return build(ABLATIONS["temperature"], preset_named("shapes"), seeds=1)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRST_PAUSE", "LONGEST_PAUSE", "END_PATIENCE", "KNOWN_PATIENCE"):
        monkeypatch.setattr(carrying, name, 0.01)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def carrier(said: list[str]) -> Carrier:
    return Carrier("there", said.append)


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def outbox(carrier: Carrier, place: Place, plan: Plan, tmp_path: Path) -> Outbox:
    return carrier.outbox(place, plan, Storage(str(tmp_path)))


def record(fingerprint: str, epochs: int = 2) -> RunRecord:
    history = [{"epoch": float(number + 1), "loss": 1.0} for number in range(epochs)]
    about = {"name": "a cell", "fingerprint": fingerprint, "status": "finished", "spec": {}}
    return RunRecord.read(about | {"history": history})


def drive(outbox: Outbox) -> None:
    outbox.begin(KEPT)
    for name in ("x", "y"):
        outbox.started(name)
        outbox.epoch(name, {"epoch": 1.0})
        outbox.epoch(name, {"epoch": 2.0})
    outbox.ended("x", record("x"))
    outbox.taken_over("z", record("z"))
    outbox.finish("KILLED", {})


ALL = ["begin", "x ended after 2", "y 1", "y 2", "y started", "z taken over"]


def test_a_place_that_hangs_is_not_waited_for_and_told_all_in_order_once_it_goes_on(
    carrier: Carrier, outbox: Outbox, place: Place
) -> None:
    place.is_open.clear()
    drive(outbox)  # returns, though nothing is taken
    assert place.told == []
    assert carrier.owed == "3 runs and 1 sweep"
    place.is_open.set()
    carrier.settle()
    assert place.told[0] == "begin"
    assert sorted(place.told[1:-1]) == ALL[1:]
    of_y = [what for what in place.told if what.startswith("y")]
    assert of_y == ["y started", "y 1", "y 2"]
    assert place.told[-1] == "KILLED"
    assert carrier.failure is None
    assert carrier.owed == ""


@pytest.mark.parametrize("error", [UnreachableError("down"), StorageError("full"), OSError("full")])
def test_what_a_place_does_not_take_for_a_while_it_is_given_again(
    error: Exception, carrier: Carrier, outbox: Outbox, place: Place, said: list[str]
) -> None:
    is_tried = threading.Event()
    left = 3

    def fails(_: str) -> Exception | None:
        nonlocal left
        left -= 1
        is_tried.set()
        return error if left >= 0 else None

    place.failing = fails
    outbox.begin(KEPT)
    carrier.wait_for_begin(outbox)  # and raises nothing
    drive(outbox)
    assert is_tried.wait(60)
    while left >= 0:
        carrier.settle()
    carrier.settle()
    assert place.told[0] == "begin"
    assert place.told[-1] == "KILLED"
    assert sorted(place.told[:-1]) == ALL
    assert carrier.failure is None
    down = f"there cannot be written: {error}. The sweep goes on; it is handed over later."
    again = "there can be written again: what it is owed is handed over"
    assert [line for line in said if "handing" not in line][:2] == [down, again]


def test_one_write_that_is_refused_keeps_no_other_from_its_place(
    carrier: Carrier, outbox: Outbox, place: Place, said: list[str]
) -> None:
    place.failing = lambda what: TrackingError("no such letter") if what[0] == "y" else None
    drive(outbox)
    carrier.settle()
    assert place.told == ["begin", "x ended after 2", "z taken over", "KILLED"]
    assert carrier.owed == "1 run"
    assert carrier.failure == "no such letter"
    assert len(said) == 1
    assert "no such letter. The sweep goes on; rerun the command to record the rest." in said[0]

    place.failing = lambda _: None
    carrier.settle()
    assert place.told[4:] == ["y started", "y 1", "y 2"]
    assert carrier.failure is None


def test_a_sweep_that_is_refused_does_not_start(
    carrier: Carrier, outbox: Outbox, place: Place
) -> None:
    place.failing = lambda _: TrackingError("deleted")
    outbox.begin(KEPT)
    with pytest.raises(TrackingError, match="deleted"):
        carrier.wait_for_begin(outbox)


def test_what_is_down_to_the_end_is_given_up_and_what_it_is_owed_is_said(
    carrier: Carrier, outbox: Outbox, place: Place
) -> None:
    place.failing = lambda _: UnreachableError("down")
    drive(outbox)
    carrier.settle()
    assert carrier.failure == "down"
    assert carrier.owed == "3 runs and 1 sweep"
    carrier.close()
    assert place.told == []


def test_memory_is_bounded_and_what_is_not_kept_is_read_from_the_records(
    carrier: Carrier,
    outbox: Outbox,
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "EPOCHS_KEPT", 10)
    place.is_open.clear()
    outbox.begin(KEPT)
    names = [f"cell{number}" for number in range(50)]
    for name in names:
        RunFolder(Storage(str(tmp_path)), name).write_record(record(name, epochs=7))
        for epoch in range(7):
            outbox.epoch(name, {"epoch": float(epoch)})
        outbox.ended(name, record(name, epochs=7))
    assert sum(owed.kept for owed in outbox._cells.values()) <= 10
    place.is_open.set()
    outbox.finish("FINISHED", {})
    carrier.settle()
    assert place.told == ["begin", *(f"{name} ended after 7" for name in names), "FINISHED"]


def test_rounds_of_one_sweep_are_told_in_order_and_other_sweeps_are_not_held_up(
    carrier: Carrier, plan: Plan, tmp_path: Path
) -> None:
    other = build(ABLATIONS["temperature"], preset_named("digits"), seeds=1)
    places = [Place(), Place(), Place()]
    order = list[int]()
    boxes = [
        carrier.outbox(place, of, Storage(str(tmp_path)))
        for place, of in zip(places, (plan, plan, other), strict=True)
    ]
    fails = True
    places[0].failing = lambda what: UnreachableError("no") if fails and what == "x 1" else None
    for number, place in enumerate(places):
        take = place._take
        place._take = lambda what, take=take, number=number: (take(what), order.append(number))  # type: ignore[method-assign,misc]
    for box in boxes:
        box.begin(KEPT)
        box.epoch("x", {"epoch": 1.0})
        box.finish("FINISHED", {})
    while "FINISHED" not in places[2].told:
        carrier.settle()
    assert places[1].told == [], "the second round of what has not taken the first"
    fails = False
    carrier.settle()
    assert all(place.told == ["begin", "x 1", "FINISHED"] for place in places)
    assert order.index(1) > max(at for at, number in enumerate(order) if number == 0)


def test_a_write_that_was_refused_refuses_no_later_sweep(
    carrier: Carrier,
    outbox: Outbox,
    place: Place,
    plan: Plan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place.failing = lambda what: TrackingError("no such letter") if what[0] == "y" else None
    drive(outbox)
    carrier.settle()
    monkeypatch.setattr(carrying, "BEGIN_PATIENCE", 0.01)
    slow = Place()
    slow.is_open.clear()
    later = carrier.outbox(slow, plan, Storage(str(tmp_path)))
    later.begin(KEPT)
    carrier.wait_for_begin(later)  # and raises nothing
    slow.is_open.set()


def test_a_write_that_fails_for_ever_among_others_that_do_not_is_said_once(
    carrier: Carrier, outbox: Outbox, place: Place, said: list[str]
) -> None:
    place.failing = lambda what: UnreachableError("no answer") if what[0] == "y" else None
    outbox.begin(KEPT)
    outbox.started("y")
    for epoch in range(20):
        outbox.epoch("x", {"epoch": float(epoch)})
        carrier.settle()
    assert place.told[0] == "begin"
    assert len(place.told) == 21
    assert len([line for line in said if "no answer" in line]) == 1


def test_a_terminal_that_is_closed_ends_no_handing_over(
    place: Place, plan: Plan, tmp_path: Path
) -> None:
    def closed(_: str) -> None:
        raise BrokenPipeError

    carrier = Carrier("there", closed)
    outbox = carrier.outbox(place, plan, Storage(str(tmp_path)))
    place.failing = lambda what: TrackingError("no such letter") if what[0] == "y" else None
    drive(outbox)
    carrier.settle()
    assert place.told[-1] == "KILLED"
