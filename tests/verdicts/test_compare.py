"""Milliseconds to seconds: paired tests against enumeration and scipy, two runs of a storage."""

import io
import itertools
import json
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console
from scipy.stats import binomtest

from orchestrator.commands.compare import compare_runs
from orchestrator.errors import PlanError, StorageError
from orchestrator.storage import Storage
from orchestrator.verdicts.permutation_test import PERMUTATIONS, adjusted, compare_predictions, holm
from workloads.evaluation_result import Predictions
from workloads.runs.predictions import predictions_bytes, read_predictions
from workloads.spec import digest

Labels = NDArray[np.int64]


def said(right: Labels, labels: Labels) -> Predictions:
    """Predictions that are right where `right` is 1."""
    return Predictions(np.where(right == 1, labels, labels + 1), labels)


def pair(
    only_one: int, only_other: int, both: int, neither: int = 0
) -> tuple[Predictions, Predictions]:
    one = np.repeat([1, 0, 1, 0], [only_one, only_other, both, neither])
    other = np.repeat([0, 1, 1, 0], [only_one, only_other, both, neither])
    order = np.random.default_rng(0).permutation(len(one))
    labels = np.arange(len(one)) % 7
    return said(one[order], labels), said(other[order], labels)


def several(count: int, seed: int) -> tuple[Predictions, Predictions]:
    """Two models' decisions on four classes, the first the better one; some labels do not count."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(-1, 2, size=(count, 4))
    decided = [
        np.where(generator.random(labels.shape) < p, np.abs(labels), 1 - np.abs(labels))
        for p in (0.9, 0.6)
    ]
    return Predictions(decided[0], labels), Predictions(decided[1], labels)


# The paired test


def enumerated_p(one: Predictions, other: Predictions) -> float:
    """Every way to swap the two models' outcomes of each example, as a whole."""
    correct = [
        ((each.predicted == each.labels) & (each.labels >= 0)).reshape(len(each.labels), -1)
        for each in (one, other)
    ]
    seen = abs(int(correct[0].sum()) - int(correct[1].sum()))
    as_large = 0
    for swapped in itertools.product([False, True], repeat=len(one.labels)):
        swap = np.array(swapped)[:, None]
        first, second = (
            np.where(swap, correct[1], correct[0]),
            np.where(swap, correct[0], correct[1]),
        )
        as_large += abs(int(first.sum()) - int(second.sum())) >= seen
    return float(as_large / 2 ** len(one.labels))


@pytest.mark.parametrize(
    "models",
    [
        pair(5, 1, 3, 1),
        pair(2, 2, 4, 2),
        several(9, seed=0),
        several(10, seed=1),
        several(8, seed=4),
    ],
    ids=["one label", "as many each", "several labels", "several labels", "several labels"],
)
def test_the_permutation_test_is_that_of_every_swap(
    models: tuple[Predictions, Predictions],
) -> None:
    exact = enumerated_p(*models)
    noise = 4 * np.sqrt(exact * (1 - exact) / PERMUTATIONS) + 1 / PERMUTATIONS
    assert compare_predictions(*models).p_permutation == pytest.approx(exact, abs=noise)


@pytest.mark.parametrize(
    ("only_one", "only_other"), [(30, 12), (8, 8), (0, 6), (0, 0), (900, 1010)]
)
def test_with_one_label_it_is_mcnemars_exact_test(only_one: int, only_other: int) -> None:
    found = compare_predictions(*pair(only_one, only_other, both=500, neither=20))
    exact = binomtest(only_one, only_one + only_other).pvalue if only_one + only_other else 1.0
    assert found.p_exact == pytest.approx(exact)
    assert found.p_permutation == pytest.approx(
        exact, abs=4 * np.sqrt(exact * (1 - exact) / PERMUTATIONS) + 1 / PERMUTATIONS
    )
    assert (found.only_one_right, found.only_other_right) == (only_one, only_other)


def test_p_is_never_below_what_so_many_permutations_can_show() -> None:
    assert compare_predictions(*pair(2000, 10, 0)).p_permutation == 1 / (1 + PERMUTATIONS)


def test_accuracies_difference_and_verdict() -> None:
    one, other = pair(60, 20, both=300, neither=20)
    found, turned = compare_predictions(one, other), compare_predictions(other, one)
    assert found.n == 400
    assert (found.accuracy_one, found.accuracy_other, found.difference) == pytest.approx(
        (90, 80, 10)
    )
    assert (found.verdict, turned.verdict, compare_predictions(one, one).verdict) == (
        "better",
        "worse",
        "tied",
    )
    assert turned.difference == pytest.approx(-10)
    assert turned.p_permutation == found.p_permutation


@pytest.mark.parametrize(("only_one", "verdict"), [(23, "tied"), (24, "better")])
def test_a_difference_that_chance_explains_is_a_tie(only_one: int, verdict: str) -> None:
    found = compare_predictions(*pair(only_one, 11, both=100))
    assert (binomtest(only_one, only_one + 11).pvalue > 0.05) == (verdict == "tied")
    assert found.verdict == verdict


def test_only_counted_decisions_are_in_the_accuracy_of_several_labels() -> None:
    labels = np.array([[1, 0, -1], [0, 1, 1]])
    one = Predictions(np.array([[1, 0, 1], [0, 1, 0]]), labels)
    other = Predictions(np.array([[1, 1, 0], [0, 0, 1]]), labels)
    found = compare_predictions(one, other)
    assert (found.n, found.accuracy_one, found.accuracy_other) == pytest.approx((2, 80, 60))
    assert (found.only_one_right, found.only_other_right) == (2, 1)
    assert found.p_exact is None


@pytest.mark.parametrize(
    "models", [pair(40, 25, 100, 35), several(150, seed=2)], ids=["one label", "several labels"]
)
def test_the_interval_of_the_difference_is_that_of_a_naive_paired_bootstrap(
    models: tuple[Predictions, Predictions],
) -> None:
    one, other = models
    counted = one.labels >= 0
    ahead = ((one.predicted == one.labels) & counted).astype(int) - (
        (other.predicted == other.labels) & counted
    ).astype(int)
    rows = np.random.default_rng(1).integers(len(ahead), size=(4000, len(ahead)))
    drawn = [100 * ahead[some].sum() / counted[some].sum() for some in rows]
    found = compare_predictions(one, other).interval
    # A quantile of 2.5 % from 1,000 normal draws has a standard error of 0.085 sigma, from 4,000 of
    # 0.043: four of both.
    assert found == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.38 * np.std(drawn))


def test_the_interval_covers_the_true_difference() -> None:
    generator, labels, covers = np.random.default_rng(0), np.zeros(300, np.int64), []
    for _ in range(200):
        hard = generator.random(300) < 0.4  # both models fail on the same ones more often
        odds = np.where(hard, 0.5, 0.9), np.where(hard, 0.3, 0.8)
        low, high = compare_predictions(
            *(said((generator.random(300) < p).astype(np.int64), labels) for p in odds)
        ).interval
        covers.append(low <= 100 * (0.4 * 0.2 + 0.6 * 0.1) <= high)
    # Four standard errors of 200 trials are 6 %.
    assert np.mean(covers) == pytest.approx(0.95, abs=0.06)


def test_other_labels_are_other_examples() -> None:
    one, other = pair(3, 2, 5)
    with pytest.raises(PlanError, match="different examples"):
        compare_predictions(one, replace(other, labels=np.roll(other.labels, 1)))
    with pytest.raises(PlanError, match="10 and 9"):
        compare_predictions(one, Predictions(other.predicted[1:], other.labels[1:]))


# Several results at once


@pytest.mark.parametrize(
    ("p", "expected"),  # of R's p.adjust(p, "holm")
    [
        ([0.01, 0.02, 0.03, 0.04], [0.04, 0.06, 0.06, 0.06]),
        ([0.04, 0.001, 0.03, 0.5], [0.09, 0.004, 0.09, 0.5]),
        ([0.6, 0.7], [1.0, 1.0]),
        ([0.03], [0.03]),
        ([], []),
    ],
)
def test_holm(p: list[float], expected: list[float]) -> None:
    assert holm(p) == pytest.approx(expected)


def test_verdicts_of_several_results_go_by_the_adjusted_p() -> None:
    weak, none = compare_predictions(*pair(24, 11, 100)), compare_predictions(*pair(10, 10, 100))
    assert weak.verdict == "better"
    together = adjusted({"a": weak, "b": none})
    assert together["a"].p_holm == pytest.approx(2 * weak.p_permutation)
    assert [one.verdict for one in together.values()] == ["tied", "tied"]
    assert adjusted({"a": weak})["a"] == weak


# Predictions in a file


def test_predictions_come_back_under_any_name_in_few_bytes() -> None:
    generator = np.random.default_rng(0)
    kept = {
        "": Predictions(generator.integers(200, size=50), generator.integers(200, size=50)),
        "a/../b \u00e9\U0001f600 c.npy": Predictions(
            generator.integers(0, 2, (6, 3)), generator.integers(-1, 2, (6, 3))
        ),
        "nul\0": Predictions(np.array([-1, 40_000]), np.array([2**40, -(2**40)])),
        "none": Predictions(np.zeros(0, np.int64), np.zeros(0, np.int64)),
        "large": Predictions(np.zeros(100_000, np.int64), np.arange(100_000) % 10),
    }
    data = predictions_bytes(kept)
    assert len(data) < 10_000
    found = read_predictions(data)
    assert list(found) == list(kept)
    for name, one in kept.items():
        for ours, theirs in (
            (found[name].predicted, one.predicted),
            (found[name].labels, one.labels),
        ):
            assert ours.dtype == np.int64
            assert np.array_equal(ours, theirs)
    assert read_predictions(predictions_bytes({})) == {}
    with np.load(io.BytesIO(data)) as arrays:
        stored = [arrays[f"labels_{index}"].dtype for index in range(len(kept))]
    assert stored == [np.uint8, np.int8, np.int64, np.uint8, np.uint8]


def test_a_file_without_predictions_is_refused_and_nothing_is_unpickled() -> None:
    good = predictions_bytes({"x": pair(1, 1, 1)[0]})
    pickled, other, bomb, lying = (io.BytesIO() for _ in range(4))
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("names.npy", b"\0" * (1 << 29))
    header = "{'descr': '<i8', 'fortran_order': False, 'shape': (1099511627776,), }"
    with zipfile.ZipFile(lying, "w") as archive:
        array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header.encode() + b"\n"
        archive.writestr("names.npy", array)
    np.savez(pickled, names=np.array([{}], dtype=object))
    np.savez(other, weights=np.zeros(3))
    for data in (
        b"",
        b"no archive",
        good[:-30],
        *(file.getvalue() for file in (pickled, other, bomb, lying)),
    ):
        with pytest.raises(ValueError, match="does not hold predictions"):
            read_predictions(data)


# Two runs of a storage


DATA: dict[str, Any] = {"name": "shapes", "test_images": 400, "split_seed": 0, "content": None}
ONE, OTHER = "a1" * 32, "b2" * 32


def keep(
    storage: Storage, fingerprint: str, predictions: Mapping[str, Predictions] | None, **record: Any
) -> None:
    whole = {
        "name": f"run {fingerprint[:2]}",
        "fingerprint": fingerprint,
        "status": "finished",
        "spec": {"data": DATA},
        **record,
    }
    storage.write_json(f"runs/{fingerprint}/run.json", whole)
    if predictions is not None:
        storage.write_bytes(f"runs/{fingerprint}/predictions.npz", predictions_bytes(predictions))


def evaluate_later(
    storage: Storage,
    fingerprint: str,
    protocol: str,
    predictions: Mapping[str, Predictions],
    evaluation: Mapping[str, Any],
    **document: Any,
) -> str:
    """The file of predictions that `evaluate` leaves, by its name in the run's folder."""
    name = f"evaluations/{protocol}-{digest(evaluation)[:8]}"
    whole = {
        "run": fingerprint,
        "protocol": protocol,
        "eval": dict(evaluation),
        "results": {},
        "intervals": {},
        **document,
    }
    storage.write_json(f"runs/{fingerprint}/{name}.json", whole)
    storage.write_bytes(f"runs/{fingerprint}/{name}.npz", predictions_bytes(predictions))
    return f"{name}.npz"


def transfer_to(name: str, **settings: Any) -> dict[str, Any]:
    return {"transfer": {"data": {"name": name, "test_images": None, "split_seed": 0}, **settings}}


def compare(storage: Storage, result: str | None = None) -> tuple[dict[str, Any], str]:
    """The document and what is printed."""
    printed = io.StringIO()
    ended = compare_runs("a1", "b2", result, storage, Console(file=printed, width=160))
    assert ended.exit_code == 0
    return json.loads(json.dumps(ended.document, allow_nan=False)), printed.getvalue()


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """Two runs of which the first is better by linear evaluation.

    By neighbours, too, as long as nothing else is asked.
    """
    storage = Storage(str(tmp_path))
    linear, neighbours, classifier = (
        pair(60, 20, 300, 20),
        pair(24, 11, 300, 65),
        pair(10, 10, 300, 80),
    )
    own = {"linear_top1": linear, "knn_top1": neighbours, "classifier_top1": classifier}
    keep(
        storage,
        ONE,
        {name: models[0] for name, models in own.items()} | {"linear_top1_z": linear[0]},
    )
    keep(storage, OTHER, {name: models[1] for name, models in reversed(own.items())})
    return storage


def test_every_result_of_both_runs_is_compared_and_corrected_for(storage: Storage) -> None:
    document, printed = compare(storage)
    assert (document["one"]["run"], document["other"]["run"]) == (ONE, OTHER)
    found = document["comparisons"]
    assert list(found) == ["linear_top1", "knn_top1", "classifier_top1"]
    linear, neighbours = found["linear_top1"], found["knn_top1"]
    assert (linear["accuracy_one"], linear["accuracy_other"], linear["verdict"]) == (
        90,
        80,
        "better",
    )
    assert linear["p_holm"] == pytest.approx(3 * linear["p_permutation"])
    assert neighbours["p_permutation"] < 0.05
    assert neighbours["p_holm"] == pytest.approx(2 * neighbours["p_permutation"])
    assert neighbours["verdict"] == "tied"
    assert (
        "linear_top1: A is better than B by 10.00 points on the same 400 test examples"
    ) in printed
    assert "knn_top1: A and B are tied" in printed
    assert "p (Holm)" in printed


def test_one_result_alone_is_not_corrected(storage: Storage) -> None:
    document, printed = compare(storage, "knn_top1")
    (found,) = document["comparisons"].values()
    assert found["p_holm"] == found["p_permutation"]
    assert found["verdict"] == "better"
    assert "Holm" not in printed


def test_later_evaluations_add_to_a_runs_own(storage: Storage) -> None:
    better, _ = pair(60, 20, 300, 20)
    file = evaluate_later(
        storage, OTHER, "linear", {"linear_top1_z": better, "linear_top1": better}, {"l2": [0.1]}
    )
    document, printed = compare(storage)
    found = document["comparisons"]
    assert found["linear_top1_z"]["files"] == ["predictions.npz", file]
    assert found["linear_top1_z"]["difference"] == pytest.approx(0)
    assert (
        f"linear_top1_z: from predictions.npz of A and {file} of B, the newest: no settings"
    ) in printed
    # A's own evaluation has B's own beside it, by the same file, and the later one has nothing.
    assert found["linear_top1"]["files"] == ["predictions.npz", "predictions.npz"]
    assert found["linear_top1"]["difference"] == pytest.approx(10)
    assert "linear_top1: from predictions.npz of both" in printed
    assert "knn_top1: from" not in printed


@pytest.mark.parametrize("order", [("flowers", "pets"), ("pets", "flowers")])
def test_a_result_on_several_data_sets_is_compared_on_each(
    storage: Storage, order: tuple[str, str]
) -> None:
    models = {"flowers": pair(60, 20, 300, 20), "pets": pair(7, 50, 90)}
    files = {}
    for fingerprint, index, names in ((ONE, 0, order), (OTHER, 1, order[::-1])):
        for hour, name in enumerate(names):
            predictions, at = (
                {"transfer_linear": models[name][index]},
                f"2026-01-01T0{hour}:00:00+00:00",
            )
            files[name] = evaluate_later(
                storage, fingerprint, "transfer", predictions, transfer_to(name), ended=at
            )
    evaluate_later(
        storage, ONE, "transfer", {"transfer_linear": pair(1, 2, 3)[0]}, transfer_to("cars")
    )
    document, printed = compare(storage, "transfer_linear")
    found = {one["data"]["name"]: one for one in document["comparisons"].values()}
    assert len(document["comparisons"]) == 2
    assert {name: one["difference"] for name, one in found.items()} == pytest.approx(
        {"flowers": 10, "pets": -4300 / 147}
    )
    assert {name: one["files"] for name, one in found.items()} == {
        name: [file] * 2 for name, file in files.items()
    }
    assert {one["result"] for one in found.values()} == {"transfer_linear"}
    assert found["pets"]["p_holm"] == pytest.approx(
        2 * min(one["p_permutation"] for one in found.values())
    )
    for name, file in files.items():
        assert f"transfer_linear on {name} ({Path(file).stem}): A is " in printed
    assert set(compare(storage)[0]["comparisons"]) == set(document["comparisons"]) | {
        "linear_top1",
        "knn_top1",
        "classifier_top1",
    }


def test_equal_settings_are_compared_and_of_other_ones_the_newest(storage: Storage) -> None:
    (better, worse), (third, fourth) = pair(60, 20, 300, 20), pair(30, 25, 300, 45)
    hours = [f"2026-01-01T0{hour}:00:00+00:00" for hour in range(4)]
    settings = [transfer_to("flowers", l2=[float(strength)]) for strength in range(4)]
    evaluate_later(
        storage, ONE, "transfer", {"transfer_linear": third}, settings[0], ended=hours[1]
    )
    newest_one = evaluate_later(
        storage, ONE, "transfer", {"transfer_linear": fourth}, settings[1], ended=hours[3]
    )
    evaluate_later(
        storage, OTHER, "transfer", {"transfer_linear": third}, settings[2], ended=hours[0]
    )
    newest_other = evaluate_later(
        storage, OTHER, "transfer", {"transfer_linear": better}, settings[3], ended=hours[2]
    )
    document, printed = compare(storage, "transfer_linear")
    (found,) = document["comparisons"].values()
    assert (found["files"], found["same_settings"]) == ([newest_one, newest_other], False)
    assert f"transfer_linear: from {newest_one} of A and {newest_other} of B, the newest" in printed
    both = evaluate_later(storage, ONE, "transfer", {"transfer_linear": worse}, settings[2])
    document, printed = compare(storage, "transfer_linear")
    (found,) = document["comparisons"].values()
    assert (found["files"], found["same_settings"]) == ([both, both], True)
    assert f"transfer_linear: from {both} of both" in printed


@pytest.mark.parametrize("newest", [0, 1])
def test_files_without_time_are_older_than_those_with_one(storage: Storage, newest: int) -> None:
    better, worse = pair(60, 20, 300, 20)
    at = {newest: {"ended": "2026-01-01T00:00:00+00:00"}}
    files = [
        evaluate_later(
            storage, ONE, "probe", {"probe": model}, {"l2": [index]}, **at.get(index, {})
        )
        for index, model in enumerate((better, worse))
    ]
    last = evaluate_later(storage, OTHER, "probe", {"probe": worse}, {"l2": [2]})
    assert compare(storage, "probe")[0]["comparisons"]["probe"]["files"] == [files[newest], last]


def test_several_settings_of_both_are_all_compared_but_nothing_twice(storage: Storage) -> None:
    sgd, again = pair(15, 60, 300, 25), pair(60, 20, 300, 20)
    for index, fingerprint in enumerate((ONE, OTHER)):
        evaluate_later(
            storage, fingerprint, "linear-sgd", {"linear_top1": sgd[index]}, {"protocol": "sgd"}
        )
        # as the run's own
        evaluate_later(
            storage, fingerprint, "linear", {"linear_top1": again[index]}, {"protocol": "lbfgs"}
        )
    found = compare(storage, "linear_top1")[0]["comparisons"]
    name = f"linear-sgd-{digest({'protocol': 'sgd'})[:8]}"
    assert {label: one["verdict"] for label, one in found.items()} == {
        "linear_top1 on shapes (predictions)": "better",
        f"linear_top1 on shapes ({name})": "worse",
    }


def test_a_later_evaluation_goes_with_the_others_own_by_equal_settings(storage: Storage) -> None:
    better, worse = pair(60, 20, 300, 20)
    evaluation: dict[str, Any] = {"protocol": "lbfgs", **transfer_to("shapes")}
    keep(storage, ONE, {"linear_top1": better}, spec={"data": DATA, "eval": evaluation})
    storage.delete(f"runs/{OTHER}/predictions.npz")
    elsewhere = {
        "protocol": "lbfgs",
        "transfer": {"data": {**evaluation["transfer"]["data"], "root": "/there"}},
    }
    file = evaluate_later(storage, OTHER, "linear", {"linear_top1": worse}, elsewhere)
    evaluate_later(
        storage,
        OTHER,
        "linear",
        {"linear_top1": better},
        {"protocol": "sgd"},
        ended="2026-01-01T00:00:00+00:00",
    )
    document, printed = compare(storage)
    (found,) = document["comparisons"].values()
    assert (found["files"], found["same_settings"]) == (["predictions.npz", file], True)
    assert f"linear_top1: from predictions.npz of A and {file} of B\n" in printed


def test_what_an_evaluation_was_tested_on_is_what_it_says(storage: Storage) -> None:
    better, worse = pair(60, 20, 300, 20)
    for fingerprint, model, content in ((ONE, better, "c0ffee"), (OTHER, worse, "decade")):
        said_there = {"name": "image-folder", "content": content}
        evaluate_later(
            storage,
            fingerprint,
            "transfer",
            {"transfer_linear": model},
            transfer_to("image-folder"),
            data=said_there,
        )
    with pytest.raises(PlanError, match=r"transfer_linear: .* content is c0ffee and decade"):
        compare(storage, "transfer_linear")


def test_other_test_examples_with_the_same_labels_are_refused(storage: Storage) -> None:
    keep(storage, OTHER, None, spec={"data": {**DATA, "split_seed": 1}})
    with pytest.raises(
        PlanError, match=r"linear_top1: .* different examples: split_seed is 0 and " r"1"
    ) as refused:
        compare(storage)
    assert len(refused.value.problems) == 3


@pytest.mark.parametrize(("name", "comparable"), [("shapes", True), ("caltech101", False)])
def test_a_seed_that_draws_training_images_only_leaves_the_test_examples(
    storage: Storage, name: str, comparable: bool
) -> None:
    for fingerprint, seed in ((ONE, 0), (OTHER, 1)):
        keep(
            storage,
            fingerprint,
            None,
            spec={"data": {"name": name, "test_images": None, "split_seed": seed}},
        )
    if comparable:
        assert "linear_top1" in compare(storage)[0]["comparisons"]
    else:
        with pytest.raises(PlanError, match="different examples: split_seed is 0 and 1"):
            compare(storage)


def test_all_test_images_are_the_same_examples_however_they_are_asked_for(storage: Storage) -> None:
    keep(
        storage,
        OTHER,
        None,
        spec={"data": {"name": "shapes", "test_images": None, "split_seed": 3}},
    )
    assert "linear_top1" in compare(storage)[0]["comparisons"]


def test_folders_whose_content_only_one_run_names_may_be_the_same(storage: Storage) -> None:
    keep(storage, OTHER, None, spec={"data": {**DATA, "content": "c0ffee"}})
    assert compare(storage)[0]["comparisons"]
    keep(storage, ONE, None, spec={"data": {**DATA, "content": "decade"}})
    with pytest.raises(PlanError, match="content is decade and c0ffee"):
        compare(storage)


def test_transfer_results_go_by_the_data_that_they_were_tested_on(storage: Storage) -> None:
    better, worse = pair(60, 20, 300, 20)
    keep(storage, OTHER, None, spec={"data": {**DATA, "name": "digits"}})
    for fingerprint, predictions in ((ONE, better), (OTHER, worse)):
        file = evaluate_later(
            storage,
            fingerprint,
            "transfer",
            {"transfer_linear": predictions},
            transfer_to("flowers"),
        )
    assert (
        compare(storage, "transfer_linear")[0]["comparisons"]["transfer_linear"]["verdict"]
        == "better"
    )
    with pytest.raises(PlanError, match="same examples: transfer_linear"):
        compare(storage)
    storage.delete(f"runs/{OTHER}/{file}")
    evaluate_later(storage, OTHER, "transfer", {"transfer_linear": worse}, transfer_to("pets"))
    with pytest.raises(PlanError, match="name is flowers and pets"):
        compare(storage, "transfer_linear")


def test_what_cannot_be_compared_is_said(storage: Storage) -> None:
    with pytest.raises(
        PlanError,
        match=r"top9: is not a result .* these are linear_top1, knn_top1, " r"classifier_top1",
    ):
        compare(storage, "top9")
    with pytest.raises(PlanError, match="same run"):
        compare_runs("a1", ONE, None, storage, Console(quiet=True))
    with pytest.raises(PlanError, match="no such run"):
        compare_runs("a1", "ffff", None, storage, Console(quiet=True))
    keep(storage, "c3" * 32, None)
    with pytest.raises(
        PlanError, match=r"c3: has no predictions .* `simclr-orch evaluate c3c3c3c3c3c3` " r"first"
    ):
        compare_runs("a1", "c3", None, storage, Console(quiet=True))
    keep(storage, "d4" * 32, None, status="failed")
    with pytest.raises(PlanError, match="d4: has not finished"):
        compare_runs("d4", "a1", None, storage, Console(quiet=True))
    keep(storage, "e5" * 32, {"probe": pair(1, 1, 1)[0]})
    with pytest.raises(
        PlanError, match=r"run a1 .* has linear_top1, knn_top1, .*; run e5 .* has " r"probe"
    ):
        compare_runs("a1", "e5", None, storage, Console(quiet=True))
    storage.write_bytes(f"runs/{'e5' * 32}/predictions.npz", b"cut off")
    with pytest.raises(StorageError, match=r"predictions\.npz: does not hold predictions"):
        compare_runs("a1", "e5", None, storage, Console(quiet=True))
