"""Several real processes over gloo: what they evaluate together is what one process evaluates, and
none waits for long.

Batches and splits that the workers cannot share evenly, down to workers without an image; in a
group of two and in a group of three.
"""

import fcntl
import resource
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from workloads.datasets import Split
from workloads.distributed.data_parallel import on_every_worker
from workloads.distributed.worker import Worker
from workloads.evaluation import evaluate as evaluation
from workloads.evaluation.divergence import FinetuneDivergedError
from workloads.evaluation.evaluate import evaluate
from workloads.evaluation.features.cache import cached_features, features_key
from workloads.evaluation.features.frozen import FrozenEncoder
from workloads.evaluation.protocols import transfer
from workloads.evaluation.protocols.finetune import Recipe, fit_network
from workloads.evaluation.protocols.linear import fit_sgd
from workloads.evaluation.validation_score import validation_score
from workloads.simclr.batch_norm import GlobalBatchNorm
from workloads.simclr.pretrain import pretrain
from workloads.simclr.spec import LinearSgdSpec, RunSpec
from workloads.spec import SpecError

PATIENCE = 5.0  # seconds that a group waits for a worker that it does not hear from
CPU = Worker(torch.device("cpu"))
IMAGES, SIDE, VIEW, WIDTH, CLASSES = 67, 12, 8, 6, 3
SGD = {
    "parts that differ by one": LinearSgdSpec(
        epochs=3, batch_size=13, base_learning_rate=200, weight_decay=0.01, min_area=0.3
    ),
    "a worker without an image": LinearSgdSpec(
        epochs=1, batch_size=2, base_learning_rate=200, min_area=0.3
    ),
}
RECIPE = Recipe(
    steps=12,
    batch_size=13,
    learning_rate=0.2,
    momentum=0.9,
    weight_decay=0.01,
    min_area=0.3,
    norm_momentum=0.2,
)
RECIPES = {
    "parts that differ by one": RECIPE,
    "a worker without an image": replace(RECIPE, batch_size=2, learning_rate=0.01),
}
SPEC = RunSpec.read(
    {
        "data": {"name": "digits", "image_size": 16, "train_images": 600},
        "encoder": {"architecture": "convnet", "width": 0.25, "stem": "cifar"},
        "head": {"output_dim": 16},
        "schedule": {"epochs": 0},
        "eval": {
            "protocol": "sgd",
            "l2": [0.01],
            "sgd": {"epochs": 2, "batch_size": 31, "base_learning_rate": 30, "min_area": 0.8},
            "projection": True,
            "finetune": {
                "labels": [0.2],
                "epochs": [4],
                "batch_size": 31,
                "base_learning_rate": 0.8,
            },
            "transfer": {
                "protocols": ["linear", "finetune"],
                "data": {"name": "digits", "image_size": 16, "train_images": 400},
                "l2": [0.01, 0.1],
                "steps": 15,
                "batch_size": 31,
                "learning_rates": [1e-5, 0.1],
                "weight_decays": [0],
                "min_area": 0.8,
            },
        },
        "precision": "fp32",
    }
)
Results = dict[str, Any]


class Encoder(nn.Module):
    """h of 6 numbers by way of the project's own batch normalisation; counts the batches that it is
    given.
    """

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.convolution, self.norm = nn.Conv2d(3, WIDTH, 3, bias=False), GlobalBatchNorm(WIDTH)
        self.calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        h: Tensor = self.norm(self.convolution(images)).relu().mean(dim=(2, 3))
        return h


def random_images(count: int = IMAGES) -> Split:
    """Each brighter than the one before it."""
    noise = np.random.default_rng(0).integers(0, 150, (count, 3, SIDE, SIDE))
    images = (noise + np.arange(count)[:, None, None, None] % 100).astype(np.uint8)
    return Split(images, np.arange(count) * 7 % 11 % CLASSES, np.arange(count))


def several_labels() -> Split:
    """Of which unequally much is known: a mean of the workers' means would be another number."""
    labels = np.random.default_rng(1).integers(0, 2, (IMAGES, CLASSES))
    labels[np.random.default_rng(2).random((IMAGES, CLASSES)) < 0.6] = -1
    return replace(random_images(), labels=labels)


# What is measured, alone or as one of several


def by_sgd(spec: LinearSgdSpec, worker: Worker) -> dict[str, NDArray[np.float32]]:
    fitted = fit_sgd(
        FrozenEncoder(Encoder(), VIEW, worker),
        random_images(),
        spec,
        feature_dim=WIDTH,
        classes=CLASSES,
        seed=4,
    )
    return {"weight": fitted.weight, "bias": fitted.bias}


def network(recipe: Recipe, worker: Worker, several: bool = False) -> dict[str, Tensor]:
    fitted = fit_network(
        FrozenEncoder(Encoder(), VIEW, worker),
        several_labels() if several else random_images(),
        recipe,
        outputs=CLASSES,
        seed=5,
        several_labels=several,
    )
    return fitted.state_dict()


def diverged(worker: Worker) -> int | None:
    try:
        network(replace(RECIPE, steps=100, learning_rate=1e25), worker)
    except FinetuneDivergedError as error:
        return error.step
    return None


def features(count: int, worker: Worker, batch: int) -> NDArray[np.float32]:
    return FrozenEncoder(Encoder(), VIEW, worker).features(random_images(count), batch)


COUNTS = (67, 60, 61, 5, 1)  # images of splits that are computed ten at a time


def measure(worker: Worker) -> Results:
    return {
        "sgd": {name: by_sgd(spec, worker) for name, spec in SGD.items()},
        "network": {name: network(recipe, worker) for name, recipe in RECIPES.items()},
        "several labels": network(RECIPE, worker, several=True),
        "diverged": diverged(worker),
        "features": {count: features(count, worker, batch=10) for count in COUNTS},
        "missing": missing_on_the_second(worker),
        "score": validation_score(SPEC, untrained(), worker),
    }


def untrained() -> dict[str, Any]:
    (result,) = pretrain(SPEC, CPU)
    return result.state


def missing_on_the_second(worker: Worker) -> Results:
    """What every worker has, and what one of them has not."""
    found: Results = {"rank": on_every_worker(lambda: worker.rank, worker)}

    def prepare() -> None:
        if worker.rank == 1:
            raise SpecError(["data.root=/nowhere: is not there"])

    try:
        on_every_worker(prepare, worker)
    except SpecError as error:
        found["problems"] = error.problems
    return found


# The cache of features: every worker has a folder of its own, as if it were on a host of its own


def ask(encoder: Encoder, cache: Path, worker: Worker) -> NDArray[np.float32]:
    split = random_images(1203)  # three batches
    return cached_features(FrozenEncoder(encoder, VIEW, worker), split, content="c", cache=cache)


def asked(cache: Path, worker: Worker, times: int = 1) -> Results:
    encoder = Encoder()
    given = [np.array(ask(encoder, cache, worker)) for _ in range(times)]
    left = sorted(path.suffix for path in cache.iterdir()) if cache.is_dir() else []
    return {"features": given, "calls": encoder.calls, "left": left}


def asked_on_a_full_disk(cache: Path, worker: Worker) -> Results:
    """The system does not let the first worker's files grow beyond the first batch."""
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if worker.rank == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500 * WIDTH * 4 + 1000, hard))
    results = asked(cache, worker)
    resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
    return results


def asked_while_another_process_computes(folder: Path) -> Results:
    """Ask for longer than the group waits for a worker.

    The second worker stands for the process that has the lock.
    """
    worker = Worker.here("cpu")
    cache = folder / f"waited-{worker.rank}"
    if worker.rank == 1:
        key = features_key(FrozenEncoder(Encoder(), VIEW, worker), random_images(1203), content="c")
        lock = folder / "waited-0" / f"{key[:2]}.lock"
        lock.parent.mkdir()
        held = lock.open("a")
        fcntl.flock(held, fcntl.LOCK_EX)
        threading.Timer(PATIENCE + 2, held.close).start()
    dist.barrier()
    started = time.monotonic()
    return asked(cache, worker) | {"waited": time.monotonic() - started}


def cached(folder: Path, worker: Worker) -> Results:
    (folder / "file").touch()
    return {
        "twice": asked(folder / f"cache-{worker.rank}", worker, times=2),
        "no folder": asked(folder / "file" / "folder", worker),
        "full disk": asked_on_a_full_disk(folder / f"full-{worker.rank}", worker),
    }


# The whole evaluation


def after_the_others(fit: Callable[..., Any], folder: Path, workers: int) -> Callable[..., Any]:
    """What the first worker fits alone, begun once the others have finished: a collective after it
    would never be.
    """

    def fitted(*arguments: Any, **options: Any) -> Any:
        deadline = time.monotonic() + 30
        while not all((folder / f"evaluated-{rank}").exists() for rank in range(1, workers)):
            assert time.monotonic() < deadline, (
                "the others wait for what the first worker does alone"
            )
            time.sleep(0.01)
        return fit(*arguments, **options)

    return fitted


def evaluated(folder: Path, worker: Worker) -> dict[str, float]:
    evaluation.fit_lbfgs = after_the_others(evaluation.fit_lbfgs, folder, worker.world_size)  # type: ignore[attr-defined]
    transfer.regression_path = after_the_others(transfer.regression_path, folder, worker.world_size)  # type: ignore[attr-defined]
    results = dict(evaluate(SPEC, untrained(), worker).results)
    (folder / f"evaluated-{worker.rank}").touch()
    return results


# Groups


def every_result(folder: Path) -> Results:
    worker = Worker.here("cpu")
    return measure(worker) | {
        "cache": cached(folder, worker),
        "evaluated": evaluated(folder, worker),
    }


@pytest.fixture(scope="module", params=(2, 3))
def workers(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    gloo_group: Callable[..., list[Results]],
) -> list[Results]:
    """Results of each worker of a group, in order of rank."""
    return gloo_group(every_result, tmp_path_factory.mktemp("group"), request.param)


@pytest.fixture(scope="module")
def alone() -> Results:
    """The same in this process."""
    return measure(CPU)


@pytest.mark.parametrize("name", SGD)
def test_the_classifier_by_sgd_is_that_of_one_process(
    workers: list[Results], alone: Results, name: str
) -> None:
    expected = alone["sgd"][name]
    assert np.abs(expected["weight"]).max() > 0.1
    for worker in workers:
        for part, values in expected.items():
            assert worker["sgd"][name][part] == pytest.approx(values, rel=1e-4, abs=1e-5)
            assert np.array_equal(worker["sgd"][name][part], workers[0]["sgd"][name][part])


@pytest.mark.parametrize("name", [*RECIPES, "several labels"])
def test_the_fine_tuned_network_is_that_of_one_process(
    workers: list[Results], alone: Results, name: str
) -> None:
    """Statistics of its batch normalisation included; and on all workers the same to the last
    bit.
    """
    expected, first, *others = (
        results["several labels"] if name == "several labels" else results["network"][name]
        for results in (alone, *workers)
    )
    before = Encoder().state_dict()
    assert (
        max(float((expected[f"encoder.{part}"] - before[part]).abs().max()) for part in before)
        > 0.05
    )
    torch.testing.assert_close(first, expected, rtol=1e-3, atol=1e-4)
    for other in others:
        torch.testing.assert_close(other, first, rtol=0, atol=0)


def test_fine_tuning_that_diverges_stops_all_workers_at_the_step_of_one(
    workers: list[Results], alone: Results
) -> None:
    assert alone["diverged"] is not None
    assert {worker["diverged"] for worker in workers} == {alone["diverged"]}


@pytest.mark.parametrize("count", COUNTS)
def test_features_are_those_of_one_process_bit_for_bit(
    workers: list[Results], alone: Results, count: int
) -> None:
    first, *others = (worker["features"][count] for worker in workers)
    assert first.shape == (count, WIDTH)
    assert np.array_equal(first, alone["features"][count])
    assert {other.shape for other in others} == {(0, WIDTH)}


def test_every_worker_is_told_the_score_of_one_process(
    workers: list[Results], alone: Results
) -> None:
    assert 50 < alone["score"] < 100
    assert {worker["score"] for worker in workers} == {alone["score"]}


def test_what_one_worker_cannot_find_is_refused_on_all(
    workers: list[Results], alone: Results
) -> None:
    assert alone["missing"] == {"rank": 0}
    for rank, worker in enumerate(workers):
        assert worker["missing"] == {
            "rank": rank,
            "problems": ["data.root=/nowhere: is not there"],
        }


@pytest.fixture(scope="module")
def expected_features() -> NDArray[np.float32]:
    return FrozenEncoder(Encoder(), VIEW, CPU).features(random_images(1203))


def test_the_first_worker_keeps_features_on_disk_and_all_compute_them_once(
    workers: list[Results], expected_features: NDArray[np.float32]
) -> None:
    first, *others = (worker["cache"]["twice"] for worker in workers)
    assert all(np.array_equal(given, expected_features) for given in first["features"])
    assert first["left"] == [".lock", ".lock", ".npy"]
    for other in others:
        assert [given.shape for given in other["features"]] == 2 * [(0, WIDTH)]
        assert other["left"] == []
    assert [first["calls"], *(other["calls"] for other in others)] == len(workers) * [
        -(-3 // len(workers))
    ]


@pytest.mark.parametrize("why", ["no folder", "full disk"])
def test_features_that_cannot_be_kept_are_computed_all_the_same(
    workers: list[Results], expected_features: NDArray[np.float32], why: str
) -> None:
    first, *others = (worker["cache"][why] for worker in workers)
    assert np.array_equal(first["features"][0], expected_features)
    assert ".npy" not in first["left"]
    assert ".partial" not in first["left"]
    assert {other["features"][0].shape for other in others} == {(0, WIDTH)}


def test_workers_outlast_another_process_that_computes_the_same(
    gloo_group: Callable[..., list[Results]],
    expected_features: NDArray[np.float32],
    tmp_path: Path,
) -> None:
    workers = gloo_group(asked_while_another_process_computes, tmp_path, seconds=PATIENCE)
    assert all(worker["waited"] > PATIENCE + 1 for worker in workers)
    assert np.array_equal(workers[0]["features"][0], expected_features)


def test_the_first_worker_is_told_what_one_process_is(workers: list[Results]) -> None:
    """To two of the 60 validation images, and what was chosen exactly; the others are done before
    it fits anything alone.
    """
    expected = evaluate(SPEC, untrained(), CPU).results
    first, *others = (worker["evaluated"] for worker in workers)
    assert others == [{}] * len(others)
    assert list(first) == list(expected)
    for name, value in expected.items():
        exact = name.endswith(("l2", "rate", "decay", "converged", "images"))
        assert first[name] == pytest.approx(value, abs=0 if exact else 2 * 100 / 60), name
    assert expected["transfer_finetune_learning_rate"] == 0.1  # not the first candidate
