"""Data set, operation and metric of docs/own-parts.md, as they stand there, in a run."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from workloads.catalog.simclr import SIMCLR
from workloads.distributed.worker import Worker
from workloads.spec import SpecError


def test_the_examples_of_the_page_run_as_they_stand(
    repository: Path,
    own_module: Callable[[str], str],
    tiny: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIMCLR_ORCH_CACHE", str(tmp_path / "cache"))
    page = (repository / "docs" / "own-parts.md").read_text()
    blocks = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", page, re.DOTALL))
    data, weather, metric = (
        own_module(blocks[name]) for name in ("my_data", "my_weather", "my_metric")
    )
    asked = SIMCLR.presets["shapes"]().with_values(
        tiny(schedule__epochs=1, schedule__warmup_epochs=0, eval__protocol="none")
        | {
            "data.name": f"{data}:stripes",
            "augment.operations": ["crop", f"{weather}:fog", "color"],
            "augment.options.fog": {"density": 0.3},
            "eval.metrics.names": [f"{metric}:spread"],
        }
    )
    spec, facts = SIMCLR.prepare(asked, download=False)
    spec = SIMCLR.pinned(spec)
    assert (facts.train, facts.validation, facts.test) == (180, 20, 100)
    assert dict(spec.augment.options) == {"fog": {"density": 0.3, "share": 0.8}}
    assert not SIMCLR.problems(spec, facts.train, 2)

    cpu = Worker.here("cpu")
    (last,) = SIMCLR.train(spec, cpu, None)
    results = SIMCLR.evaluate(spec, last.state, cpu).results
    assert results["largest_class_percent"] == 50
    assert results["spread_nats"] < 0
    assert torch.isfinite(torch.tensor(last.metrics["loss"]))

    for field in ("data.code", "augment.code", "eval.metrics.code"):
        word = {"augment.code": {"fog": "x"}, "eval.metrics.code": {"spread": "x"}}
        with pytest.raises(SpecError, match="was planned with x"):
            SIMCLR.pinned(spec.with_values({field: word.get(field, "x")}))
