"""Milliseconds: what a report says of the choices of tuned cells, on made-up records."""

from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.plan import MAX_SEEDS, Ask, build
from orchestrator.plan.asked import Tuning
from orchestrator.plan.kept import KeptPlan, kept_cells
from orchestrator.report.tuned import at_edge, edge_note, tuned_cells, tuned_facts
from orchestrator.run_record import Records, RunRecord
from search_spaces import ABLATIONS
from workloads.simclr.presets import preset

LOSSES = ABLATIONS["losses"]
XENT, MARGIN = ("NT-Xent",), ("margin",)
Best = Callable[[Any], bool]


def kept(seeds: int, tuning: Tuning, best: Best) -> tuple[KeptPlan, Records]:
    """A sweep of the losses whose candidates have ended; those that are best have 50 %."""
    plan = build(LOSSES, preset("shapes"), ask=Ask(seeds, tuning=tuning))
    tree: Any = {
        "scale": "small",
        "base": plan.base.tree(),
        "tuning": tuning,
        "cells": kept_cells(plan),
    }
    records = {
        cell.fingerprint: RunRecord.read(
            {
                "name": cell.name,
                "fingerprint": cell.fingerprint,
                "status": "finished",
                "spec": cell.spec.tree(),
                "results": {"linear_validation_top1": 50.0 if best(cell) else 40.0},
            }
        )
        for cell in plan.cells
        if cell.role == "candidate"
    }
    return tree, records


def highest_rate_in_seed_1(cell: Any) -> bool:
    """The first seed prefers what lies in the middle, the second the highest rate and margin."""
    flat = cell.spec.flat()
    rate, margin, temperature = (
        flat[f"{path}"] for path in ("optim.base_learning_rate", "loss.margin", "loss.temperature")
    )
    if cell.seed == MAX_SEEDS:
        return bool(rate == 0.01 and margin == 0.4 and temperature == 0.2)
    return bool(rate == 0.03 and margin in (0.4, 1.6) and temperature == 0.2)


def test_each_seeds_choice_is_told_with_its_edges_and_the_claims_that_rest_on_them() -> None:
    plan, records = kept(2, "per-seed", highest_rate_in_seed_1)
    tuned = list(tuned_cells(LOSSES, plan, records))
    mine = {one.seed: one for one in tuned if one.at == XENT}
    assert {one.seed for one in tuned} == {0, 1}
    assert mine[0].chosen == {"optim.base_learning_rate": 0.01, "loss.temperature": 0.2}
    assert (mine[0].edges, mine[0].candidates, mine[0].score) == ({}, 12, 50.0)
    assert mine[1].edges == {"optim.base_learning_rate": "highest"}

    facts = tuned_facts(LOSSES, plan, tuned)
    assert dict(facts)["Settings are chosen"].startswith("anew for each seed")
    told = dict(facts)["Tuned NT-Xent"]
    assert "seed 0: optim.base_learning_rate=0.01, loss.temperature=0.2, 50.0 %" in told
    assert "seed 1: optim.base_learning_rate=0.03 (highest)" in told
    assert told.endswith("(best of 12)")
    better, _ = LOSSES.claims
    note = edge_note(better, plan, tuned)
    assert note is not None
    assert "NT-Xent (highest optim.base_learning_rate in 1 of 2 seeds)" in note


def test_a_choice_for_all_seeds_says_so_and_so_does_a_plan_of_before() -> None:
    plan, records = kept(2, "once", lambda cell: cell.candidate == 5)
    (mine,) = (one for one in tuned_cells(LOSSES, plan, records) if one.at == XENT)
    assert mine.seed is None
    del plan["tuning"]
    assert [one.seed for one in tuned_cells(LOSSES, plan, records)] == [None] * 5
    facts = dict(tuned_facts(LOSSES, plan, [mine]))
    assert "once, on one seed, for all seeds" in facts["Settings are chosen"]
    assert mine.edges == {}, "the sixth of 3 x 4 lies in the middle"
    assert tuned_facts(LOSSES, plan, []) == []


@pytest.mark.parametrize(
    ("chosen", "offered", "edge"),
    [
        (0.1, [0.1, 0.2, 0.5], "lowest"),
        (0.5, [0.5, 0.1, 0.2, 0.2], "highest"),
        (0.2, [0.1, 0.2, 0.5], None),
        (0.1, [0.1, 0.5], None),
        ([90], [[10], [30], [90]], "highest"),
        ([10, 20], [[10, 20], [30, 40], [50, 60]], None),
        ("lars", ["lars", "sgd", "adamw"], None),
        (True, [True, False, False], None),
        (1, [1, 2, None], None),
    ],
)
def test_an_edge_is_the_first_or_last_of_three_numbers_or_more(
    chosen: object, offered: list[object], edge: str | None
) -> None:
    assert at_edge(chosen, offered) == edge
