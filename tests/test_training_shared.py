"""Milliseconds: runs that differ only in how they are judged are trained once."""

from typing import Any

import pytest

from orchestrator.estimate import Speed, estimate
from orchestrator.plan import build, jobs_of
from orchestrator.training_shared import donors, in_waves
from search_spaces import ABLATIONS
from workloads.simclr.presets import digits
from workloads.simclr.spec import RunSpec
from workloads.simclr.workload import SIMCLR
from workloads.two_layer_cnn.workload import TWO_LAYER_CNN

BASE = digits()
KNN = BASE.with_values({"eval.knn.k": 5})
FEW = BASE.with_values({"eval.finetune.labels": [0.1]})
OTHER = BASE.with_values({"seed": 1})
UNTRAINED = BASE.with_values({"schedule.epochs": 0, "schedule.warmup_epochs": 0})
UNTRAINED_KNN = UNTRAINED.with_values({"eval.knn.k": 5})


def record(spec: RunSpec, **more: Any) -> dict[str, Any]:
    return {"fingerprint": spec.fingerprint(), "status": "finished", "workload": "simclr", "spec": spec.tree()} | more


def test_the_first_of_those_trained_alike_trains_and_the_others_wait_for_it() -> None:
    wanted = {"a": BASE, "b": OTHER, "c": KNN, "d": FEW, "e": UNTRAINED, "f": UNTRAINED_KNN}
    first, waiting = in_waves(SIMCLR, wanted, {})
    assert first == ("a", "b", "e", "f"), "an untrained run has nothing to wait for"
    assert waiting == {"c": "a", "d": "a"}


def test_nothing_waits_for_what_is_trained_already() -> None:
    wanted = {"a": BASE, "c": KNN}
    assert in_waves(SIMCLR, wanted, {"a": "x", "c": "x"}) == (("a", "c"), {})


def test_a_finished_run_lends_its_training_and_names_the_one_that_did_it() -> None:
    wanted = {"c": KNN, "d": FEW, "b": OTHER, "e": UNTRAINED}
    name = BASE.fingerprint()
    assert donors(SIMCLR, wanted, [record(BASE)]) == {"c": name, "d": name}
    assert donors(SIMCLR, wanted, [record(BASE, trained_by="first")]) == {"c": "first", "d": "first"}
    assert donors(SIMCLR, wanted, [record(BASE, status="failed")]) == {}
    assert donors(SIMCLR, wanted, [record(UNTRAINED)]) == {}, "there is nothing to lend"


def test_weights_from_elsewhere_and_records_of_other_versions_lend_nothing() -> None:
    stranger = record(BASE)
    stranger["spec"] = {**stranger["spec"], "momentum_encoder": {}}
    assert donors(SIMCLR, {"c": KNN}, [record(BASE, weights={"from": "file.pth"}), stranger]) == {}


def test_runs_that_train_together_are_left_to_their_packs() -> None:
    (spec,) = [build() for build in list(TWO_LAYER_CNN.presets.values())[:1]]
    assert donors(TWO_LAYER_CNN, {"a": spec}, [record(BASE)]) == {}
    assert in_waves(TWO_LAYER_CNN, {"a": spec, "b": spec}, {}) == (("a", "b"), {})


def test_each_seed_of_few_labels_trains_once_and_the_estimate_knows() -> None:
    plan = build(ABLATIONS["few-labels"], BASE, seeds=2)
    specs = {name: cell.spec for name, cell in jobs_of([plan]).items()}
    first, waiting = in_waves(SIMCLR, specs, {})
    trained = [name for name in first if specs[name].training_fingerprint() is not None]
    assert len(trained) == 1, "tuned cells begin with their candidates, all with the same seed"
    assert len(waiting) == 3 * 8 - 1, "SimCLR's candidates at three shares, without the one that trains"
    speed = Speed(1e9, "for this test")
    alone = estimate([plan], done=(), train_images=1290, concurrent=1, speed=speed)
    shared = estimate([plan], done=(), trained=waiting, train_images=1290, concurrent=1, speed=speed)
    training = SIMCLR.operations(BASE, 1290) - SIMCLR.operations(BASE, 1290, trained=True)
    assert alone.wall_seconds - shared.wall_seconds == pytest.approx(len(waiting) * training / 1e9)
