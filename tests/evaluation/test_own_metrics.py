"""Evaluation metrics of somebody's own: what they are given, and what their numbers are called."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from orchestrator.report.quantities import quantity
from workloads.catalog.simclr import SIMCLR
from workloads.distributed.worker import Worker
from workloads.evaluation.own_metrics import measured, metric_problems, pinned_metrics
from workloads.simclr.spec import MetricsSpec
from workloads.spec import SpecError

PARTS = """
import numpy as np


def means(features, labels, *, scale: float = 1.0):
    sizes = {f"of_{name}": float(len(of_split)) for name, of_split in labels.items()}
    features["train"][:] = 0
    return {"mean_nats": scale * float(features["test"].mean()), **sizes}


def purity(features, labels):
    return {"purity_percent": 100.0, "some_error": 1}


def taken(features, labels):
    return {"linear_top1": 1.0}


def beyond(features, labels):
    return {"purity_percent": 101.0, "Odd name": 1.0, "text": "1", "endless": float("inf")}


def nothing(features, labels):
    return {}


def broken(features, labels):
    return {"x": features["nowhere"]}
"""


@pytest.fixture
def metrics(own_module: Callable[[str], str]) -> Callable[..., MetricsSpec]:
    module = own_module(PARTS)

    def of(*names: str, **options: Any) -> MetricsSpec:
        return MetricsSpec.read(
            {"names": [f"{module}:{name}" for name in names], "options": options}
        )

    return of


def test_a_metric_is_given_a_copy_of_features_and_labels(
    metrics: Callable[..., MetricsSpec],
) -> None:
    random = np.random.default_rng(0)
    sizes = {"train": 8, "validation": 4, "test": 5}
    features = {name: random.random((n, 3)).astype(np.float32) for name, n in sizes.items()}
    labels = {name: np.arange(n) % 2 for name, n in sizes.items()}
    before = features["train"].copy()
    found = measured(metrics("means", "purity", means={"scale": 2}), features, labels).results
    assert found == {
        "mean_nats": pytest.approx(2 * features["test"].mean()),
        **{f"of_{name}": n for name, n in sizes.items()},
        "purity_percent": 100.0,
        "some_error": 1.0,
    }
    np.testing.assert_array_equal(features["train"], before)


@pytest.mark.parametrize(
    ("name", "problems"),
    [
        ("taken", ["gives linear_top1, which is the name of another result"]),
        (
            "beyond",
            [
                "gives purity_percent=101, which does not lie between 0 and 100",
                "gives 'Odd name', which is no name of a-z, 0-9 and _",
                "gives text='1', which is no number",
                "gives endless=inf, which is not finite",
            ],
        ),
        ("nothing", ["gives {}, and not numbers by name"]),
        ("broken", ["fails: KeyError: 'nowhere'"]),
    ],
)
def test_what_is_no_result_is_refused_before_a_run(
    metrics: Callable[..., MetricsSpec], name: str, problems: list[str]
) -> None:
    assert metric_problems(metrics("means", "purity")) == ()
    spec = metrics(name)
    assert metric_problems(spec) == tuple(
        f"eval.metrics.names={spec.names[0]!r}: {problem}" for problem in problems
    )


def test_a_name_says_its_unit() -> None:
    assert quantity("purity_percent").label == "purity (%)"
    assert quantity("mean_nats").label == "mean (nats)"
    assert quantity("spread").label == "spread"
    assert quantity("some_error_percent").better == "lower"
    assert quantity("purity_percent").better == "higher"


def test_a_run_has_its_own_metrics_and_another_fingerprint(
    metrics: Callable[..., MetricsSpec], tiny: Callable[..., dict[str, Any]]
) -> None:
    base = SIMCLR.presets["shapes"]().with_values(
        tiny(schedule__epochs=0, schedule__warmup_epochs=0, eval__protocol="none")
    )
    asked = base.with_values({"eval.metrics.names": metrics("means").names})
    spec = SIMCLR.pinned(asked)
    assert spec.eval.metrics == pinned_metrics(spec.eval.metrics)
    assert dict(spec.eval.metrics.options) == {"means": {"scale": 1.0}}
    assert spec.fingerprint() != base.fingerprint()
    assert spec.fingerprint() != asked.fingerprint()
    (last,) = SIMCLR.train(spec, Worker.here("cpu"), None)
    found = SIMCLR.evaluate(spec, last.state, Worker.here("cpu")).results
    assert {name: found[f"of_{name}"] for name in ("train", "validation", "test")} == {
        "train": 180,
        "validation": 20,
        "test": 100,
    }
    other = spec.with_values({"eval.metrics.code": {"means": "another"}})
    with pytest.raises(SpecError, match="was planned with another"):
        SIMCLR.pinned(other)
