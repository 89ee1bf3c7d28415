"""Milliseconds, and one process: runs that differ only in how they are judged are trained once."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch

from orchestrator.cell.job import CellJob
from orchestrator.plan import Ask, build, jobs_of
from orchestrator.plan.estimate import Speed, estimate
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder, has_trained_state
from search_spaces import ABLATIONS
from workloads.catalog.simclr import SIMCLR
from workloads.catalog.two_layer_cnn import TWO_LAYER_CNN
from workloads.distributed.worker import Worker
from workloads.runs.cell import run_cell, start_of
from workloads.runs.sharing import Sharing, shared
from workloads.simclr.presets import digits
from workloads.simclr.spec import RunSpec
from workloads.simclr.spec import run as simclr_spec

BASE = digits()
KNN = BASE.with_values({"eval.knn.k": 5})
FEW = BASE.with_values({"eval.finetune.labels": [0.1]})
OTHER = BASE.with_values({"seed": 1})
UNTRAINED = BASE.with_values({"schedule.epochs": 0, "schedule.warmup_epochs": 0})
UNTRAINED_KNN = UNTRAINED.with_values({"eval.knn.k": 5})


def record(spec: RunSpec, **more: Any) -> RunRecord:
    finished = {
        "name": "a cell",
        "fingerprint": spec.fingerprint(),
        "status": "finished",
        "spec": spec.tree(),
    }
    return RunRecord.read(finished | more)


def sharing(
    wanted: Mapping[str, RunSpec],
    *records: RunRecord,
    gone: bool = False,
    search: bool = False,
) -> Sharing:
    return shared(SIMCLR, wanted, records, has_state=lambda _: not gone, is_search=search)


def test_the_first_of_those_trained_alike_trains_and_the_others_wait_for_it() -> None:
    found = sharing({"a": BASE, "b": OTHER, "c": KNN, "d": FEW, "e": UNTRAINED, "f": UNTRAINED_KNN})
    assert found.first == ("a", "b", "e", "f"), "an untrained run has nothing to wait for"
    assert found.waiting == found_only_evaluated(found) == {"c": "a", "d": "a"}


def found_only_evaluated(found: Sharing) -> dict[str, str]:
    return {name: found.waiting[name] for name in found.only_evaluated}


def test_a_finished_run_lends_its_training_and_names_the_one_that_did_it() -> None:
    wanted = {"c": KNN, "d": FEW, "b": OTHER, "e": UNTRAINED}
    name = BASE.fingerprint()
    found = sharing(wanted, record(BASE))
    assert found.lent == {"c": name, "d": name}
    assert (found.first, found.waiting) == (tuple(wanted), {}), (
        "nothing waits for what is trained already"
    )
    assert sharing(wanted, record(KNN, trained_by="first")).lent == {"c": "first", "d": "first"}
    assert sharing(wanted, record(BASE, status="failed")).lent == {"c": name, "d": name}, (
        "its evaluation failed"
    )
    assert sharing(wanted, record(BASE, status="stopped")).lent == {}
    assert sharing(wanted, record(UNTRAINED)).lent == {}, "there is nothing to lend"
    lost = sharing(wanted, record(BASE), gone=True)
    assert (lost.lent, lost.waiting) == ({}, {"d": "c"}), "one of them trains again"


def test_a_search_shares_nothing() -> None:
    assert sharing({"c": KNN, "d": FEW}, record(BASE), search=True) == Sharing({}, ("c", "d"), {})


def test_weights_from_elsewhere_and_records_of_other_versions_lend_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stranger = replace(record(BASE), spec={**BASE.tree(), "momentum_encoder": {}})
    assert sharing({"c": KNN}, record(BASE, weights={"from": "file.pth"}), stranger).lent == {}
    older = record(BASE)
    monkeypatch.setattr(simclr_spec, "RESULT_REVISION", simclr_spec.RESULT_REVISION + 1)
    assert sharing({"c": KNN}, older).lent == {}, "today's code would train another state"


def test_runs_that_train_together_are_left_to_their_packs() -> None:
    (spec,) = [build() for build in list(TWO_LAYER_CNN.presets.values())[:1]]
    found = shared(TWO_LAYER_CNN, {"a": spec, "b": spec}, [record(BASE)], has_state=lambda _: True)
    assert found == Sharing({}, ("a", "b"), {})


def test_each_seed_of_few_labels_trains_once_and_the_estimate_knows() -> None:
    plan = build(ABLATIONS["few-labels"], BASE, ask=Ask(2, tuning="once"))
    specs = {name: cell.spec for name, cell in jobs_of([plan]).items()}
    found = shared(SIMCLR, specs, (), has_state=lambda _: True)
    trained = [name for name in found.first if specs[name].training_fingerprint() is not None]
    assert len(trained) == 1, "tuned cells begin with their candidates, all with the same seed"
    assert len(found.waiting) == 3 * 8 - 1, (
        "SimCLR's candidates at three shares, without the one that trains"
    )
    each = build(ABLATIONS["few-labels"], BASE, seeds=2)
    twice = {name: cell.spec for name, cell in jobs_of([each]).items()}
    of_each = shared(SIMCLR, twice, (), has_state=lambda _: True)
    assert len(of_each.waiting) == 2 * (3 * 8 - 1), "and one for each seed that chooses anew"

    speed = Speed(1e9, "for this test")
    alone = estimate([plan], done=(), train_images=1290, concurrent=1, speed=speed)
    judged = estimate(
        [plan], done=(), trained=found.only_evaluated, train_images=1290, concurrent=1, speed=speed
    )
    training = SIMCLR.operations(BASE, 1290) - SIMCLR.operations(BASE, 1290, trained=True)
    assert alone.wall_seconds - judged.wall_seconds == pytest.approx(
        len(found.waiting) * training / 1e9
    )


# What a cell does with a lent state ---------------------------------------------------------------

CPU = Worker(torch.device("cpu"))


def job(spec: RunSpec, storage: Storage, trained_by: str | None = None) -> CellJob:
    name = spec.fingerprint()
    return CellJob("a cell", "simclr", name, spec.tree(), storage.uri, trained_by=trained_by)


def ran(asked: CellJob) -> RunRecord:
    ended = run_cell(asked, CPU, start_of(asked), lambda _: None)
    assert ended is not None
    return ended


@pytest.fixture(scope="module")
def small(tiny: Callable[..., dict[str, Any]]) -> RunSpec:
    return BASE.with_values(tiny(schedule__epochs=1))


@pytest.fixture(scope="module")
def trained(small: RunSpec, tmp_path_factory: pytest.TempPathFactory) -> Storage:
    """A storage with one finished run."""
    storage = Storage(str(tmp_path_factory.mktemp("storage")))
    assert ran(job(small, storage)).has_finished
    return storage


def test_a_lent_state_is_judged_and_not_trained(trained: Storage, small: RunSpec) -> None:
    judged = small.with_values({"eval.knn.k": 5})
    ended = ran(job(judged, trained, small.fingerprint()))
    alone = ran(job(judged, Storage(trained.path("alone"))))
    assert ended.results == alone.results
    assert (ended.trained_by, alone.trained_by) == (small.fingerprint(), None)
    assert (ended.seconds, (alone.seconds or 0) > 0) == (0, True), "training counts once"
    assert trained.read_bytes(f"runs/{judged.fingerprint()}/checkpoint.pt") is None
    kept = RunFolder(trained, judged.fingerprint()).checkpoint()
    assert kept is not None
    assert kept.state["fingerprint"] == small.fingerprint()


def test_a_judgement_that_failed_is_tried_again_from_the_lent_state(
    trained: Storage, small: RunSpec
) -> None:
    """A rerun must not take the other's state for its own, which training would refuse to continue
    from.
    """
    diverging = {
        "eval.finetune.labels": [1.0],
        "eval.finetune.epochs": [3],
        "eval.finetune.base_learning_rate": 1e26,
    }
    judged = small.with_values({"eval.protocol": "none", **diverging})
    asked = job(judged, trained, small.fingerprint())
    first = ran(asked)
    assert (first.status, first.diverged) == ("failed", True)
    assert "kept in" not in first.error
    assert trained.read_bytes(f"runs/{judged.fingerprint()}/checkpoint.pt") is None
    again = ran(asked)
    assert again.error == first.error, "not that its state is of another specification"
    assert has_trained_state(trained, again)
    trained.delete(f"runs/{small.fingerprint()}/checkpoint.pt")
    assert not has_trained_state(trained, again)
    alone = ran(asked)
    assert alone.trained_by is None, "what was to be lent is gone: the run trains itself"
    assert "fine-tuning diverged" in alone.error
