"""Milliseconds, no Ray: what runs that are there say of the seeds that claims will take."""

import random
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.commands.dry_run import look_ahead, tell_ahead
from orchestrator.commands.forecast import Forecast, forecast
from orchestrator.commands.report import verdicts_on
from orchestrator.commands.request import Request
from orchestrator.plan import PlannedCell
from orchestrator.plan.kept import KeptPlan
from orchestrator.plan.kept_looks import looks_in
from orchestrator.storage import Storage
from orchestrator.storage.looks import kept_looks
from search_spaces import ABLATIONS

ASKED = ABLATIONS["temperature"]
WORSE = "Without l2 norm and temperature scaling"
Swept = Callable[[int, float], KeptPlan]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "storage"))


@pytest.fixture
def swept(storage: Storage, leave_sweep: Callable[..., KeptPlan]) -> Swept:
    """Leaves a sweep of so many seeds, whose best temperature is ahead by so many points."""

    def leave(seeds: int, ahead: float) -> KeptPlan:
        def value(cell: PlannedCell) -> float:
            best = ahead if cell.at == ("yes, 0.1",) else 0.0
            return best + random.Random(f"{cell.at} {cell.seed}").gauss(50, 2)

        return leave_sweep(storage, ASKED, seeds, value)

    return leave


def foretold(found: Forecast, claim: str) -> int | None:
    (one,) = [one for one in found.open if one.claim.startswith(claim)]
    return one.seeds


def test_without_a_pilot_nothing_is_foretold(storage: Storage, swept: Swept) -> None:
    assert forecast(storage, ASKED, None, 2).lines() == []
    assert forecast(storage, ASKED, swept(1, 20.0), 2).lines() == []


def test_a_smaller_effect_takes_more_seeds_and_a_decided_claim_none(
    storage: Storage, swept: Swept
) -> None:
    # the draws themselves put it about five points ahead
    large, small = (
        foretold(forecast(storage, ASKED, swept(2, ahead), 2), WORSE) for ahead in (0.0, -3.0)
    )
    assert large is not None
    assert small is not None
    assert 2 < large < small
    decided = forecast(storage, ASKED, swept(6, 30.0), 2)
    assert not [one for one in decided.open if one.claim.startswith(WORSE)]


def test_time_counts_each_cell_once_and_is_divided_by_what_runs_at_once(
    storage: Storage, swept: Swept
) -> None:
    plan = swept(2, 4.0)
    alone, in_pairs = (forecast(storage, ASKED, plan, at_once) for at_once in (1, 2))
    assert alone.seconds is not None
    assert in_pairs.seconds == alone.seconds / 2
    of_claims = [one.seconds for one in alone.open if one.seconds is not None]
    assert max(of_claims) <= alone.seconds <= sum(of_claims)
    most = max(one.seeds - one.has for one in alone.open if one.seeds is not None)
    assert alone.seconds <= 10.0 * most * len({tuple(cell["at"]) for cell in plan["cells"]})


def test_a_forecast_that_could_judge_is_kept_as_a_look(storage: Storage, swept: Swept) -> None:
    plan = swept(3, 0.0)
    forecast(storage, ASKED, plan, 2)
    found = looks_in(kept_looks(storage, "temperature", plan["sweep"]))
    looks = {look.seeds for claim in found.values() for each in claim.values() for look in each}
    assert looks == {3}
    verdicts_on(["temperature"], storage, Console(file=StringIO()))
    again = looks_in(kept_looks(storage, "temperature", plan["sweep"]))
    assert again == found, "a report at the same seeds is the same look"


def test_a_plan_that_is_told_nobody_takes_no_look(storage: Storage, swept: Swept) -> None:
    plan = swept(3, 0.0)
    request = Request(("temperature",), preset="shapes", seeds=3, flags={"storage": storage.uri})
    ahead = look_ahead(request)
    assert ahead.planned.plans[0].sweep_id == plan["sweep"]
    assert not kept_looks(storage, "temperature", plan["sweep"])
    tell_ahead(ahead, Console(file=StringIO()))
    assert kept_looks(storage, "temperature", plan["sweep"])
