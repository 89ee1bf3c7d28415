"""Milliseconds, no Ray: looks at claims belong to the storage, whoever asks."""

import json
import math
import random
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestrator.commands.looks import keep_taken, looks_before, records_of
from orchestrator.commands.report import verdicts_on
from orchestrator.errors import StorageError
from orchestrator.plan import PlannedCell
from orchestrator.plan.kept import KeptPlan
from orchestrator.plan.kept_looks import looks_in
from orchestrator.report.collect import collect
from orchestrator.storage import Storage
from orchestrator.storage.looks import keep_looks, kept_looks
from search_spaces import ABLATIONS

ASKED = ABLATIONS["temperature"]
Swept = Callable[..., KeptPlan]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "storage"))


@pytest.fixture
def swept(storage: Storage, leave_sweep: Callable[..., KeptPlan]) -> Swept:
    """Leaves a sweep of so many seeds in the storage, in which all cells are equally good."""

    def leave(seeds: int, **more: Any) -> KeptPlan:
        def noisy(cell: PlannedCell) -> float:
            return random.Random(f"{cell.at} {cell.seed}").gauss(50, 5)

        return leave_sweep(storage, ASKED, seeds, noisy, seeds, **more)

    return leave


def asked_again(storage: Storage) -> str:
    said = StringIO()
    verdicts_on(["temperature"], storage, Console(file=said, width=200))
    return said.getvalue()


def taken(storage: Storage, plan: KeptPlan) -> dict[int, float]:
    """The looks at one comparison that stays undecided: share by number of seeds."""
    of_claim = looks_in(kept_looks(storage, "temperature", plan["sweep"]))
    longest = max(
        (looks for found in of_claim.values() for looks in found.values()), key=len, default=()
    )
    return {look.seeds: look.share for look in longest}


def test_every_look_at_more_seeds_is_kept_and_none_is_taken_twice(
    storage: Storage, swept: Swept
) -> None:
    plan = swept(5)
    asked_again(storage)
    first = taken(storage, plan)
    assert first == pytest.approx({5: 6 / math.pi**2})
    asked_again(storage)
    assert taken(storage, plan) == first, "the same seeds are the same look"
    for seeds in (6, 7):
        swept(seeds)
        asked_again(storage)
    shares = [6 / (math.pi * k) ** 2 for k in (1, 2, 3)]
    assert taken(storage, plan) == pytest.approx(dict(zip((5, 6, 7), shares, strict=True)))


def test_looks_as_an_older_version_planned_them_have_what_they_had(
    storage: Storage, swept: Swept
) -> None:
    plan = swept(8, looks=[5, 8, 11], looks_kept=False)
    assert kept_looks(storage, "temperature", plan["sweep"]) == []
    asked_again(storage)
    assert taken(storage, plan) == pytest.approx({5: 25 / 121, 8: 39 / 121})


def test_what_cannot_be_written_is_said_and_verdicts_are_given(
    storage: Storage, swept: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise StorageError("a file system that may only be read")

    swept(5)
    monkeypatch.setattr(Storage, "write_bytes", refuse)
    said = asked_again(storage)
    assert "this look at the claims could not be kept" in said
    assert "may only be read" in said
    assert ASKED.claims[0].statement[:30] in said


def test_damaged_looks_are_set_aside_and_the_others_read(
    storage: Storage, swept: Swept, caplog: pytest.LogCaptureFixture
) -> None:
    plan = swept(5)
    asked_again(storage)
    folder = f"sweeps/temperature/{plan['sweep']}/looks"
    for number, text in enumerate(("", "[1]", '{"looks": [{"claim": "x"}]}')):
        storage.write_bytes(f"{folder}/damaged-{number}.json", text.encode())
    assert list(taken(storage, plan)) == [5]
    assert caplog.text.count("set aside") == 3


def test_two_that_look_at_once_lose_no_look(storage: Storage, swept: Swept) -> None:
    """Both have read the looks before either has written."""
    found = []
    for seeds in (5, 6):
        plan = swept(seeds)
        records = records_of(storage, plan)
        before = looks_before(storage, ASKED, plan, records)
        found.append(collect(ASKED, plan, records, before).verdicts)
    for verdicts in found:
        assert keep_taken(storage, ASKED, plan, verdicts) is None
    assert list(taken(storage, plan)) == [5, 6]


def test_looks_are_read_as_they_were_written(storage: Storage) -> None:
    looks: Any = [{"claim": "a", "comparison": "b", "seeds": 4, "share": 0.25, "plan": [4, 8]}]
    keep_looks(storage, "temperature", "0", looks)
    keep_looks(storage, "temperature", "0", [])
    assert kept_looks(storage, "temperature", "0") == looks
    (file,) = storage.list("sweeps/temperature/0/looks")
    assert json.loads(storage.read_bytes(f"sweeps/temperature/0/looks/{file}") or b"")["taken"]
