"""One process, seconds: runs that begin with given weights."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from workloads.catalog.simclr import SIMCLR
from workloads.distributed.worker import Worker
from workloads.simclr.encoder import build
from workloads.simclr.presets import preset
from workloads.simclr.pretrain import pretrain
from workloads.simclr.spec import EncoderSpec, RunSpec
from workloads.spec import SpecError

CPU = Worker(torch.device("cpu"))


def encoder_of(seed: int, width: float = 0.25) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return build(EncoderSpec(architecture="convnet", width=width)).state_dict()


def spec_of(**values: Any) -> RunSpec:
    small = {
        "encoder.architecture": "convnet",
        "encoder.width": 0.25,
        "data.train_images": 100,
        "schedule.batch_size": 32,
        "schedule.epochs": 1,
        "schedule.warmup_epochs": 0,
    }
    return preset("digits").with_values(small | values)


def saved(path: Path, tree: Any) -> str:
    torch.save(tree, path)
    return str(path)


@pytest.fixture
def weights(tmp_path: Path) -> str:
    return saved(tmp_path / "a.pth", {"net": encoder_of(1)})


def pinned(spec: RunSpec) -> RunSpec:
    return SIMCLR.pinned(spec)


@pytest.mark.parametrize("loss", ["nt-xent", "cross-entropy"])
def test_epoch_0_is_the_given_encoder(loss: str, weights: str) -> None:
    values = {"schedule.epochs": 0, "loss.name": loss, "eval.online": False}
    spec = pinned(spec_of(**values, **{"init.weights": weights}))
    [result] = pretrain(spec, CPU)
    model = result.state["model"]
    for name, tensor in encoder_of(1).items():
        assert torch.equal(model[f"encoder.{name}"], tensor)
    # What follows the encoder is drawn as ever.
    [drawn] = pretrain(spec_of(**values), CPU)
    follows = [name for name in model if not name.startswith("encoder.")]
    assert follows
    assert all(torch.equal(model[name], drawn.state["model"][name]) for name in follows)


def test_training_begins_there_and_resumes_without_the_file(weights: str) -> None:
    spec = pinned(spec_of(**{"init.weights": weights, "schedule.epochs": 2}))
    first, last = pretrain(spec, CPU)
    Path(weights).unlink()
    [resumed] = pretrain(spec, CPU, first.state)
    assert all(
        torch.equal(value, last.state["model"][name])
        for name, value in resumed.state["model"].items()
    )
    with pytest.raises(SpecError, match=r"init\.weights: .*a\.pth: cannot be read"):
        next(pretrain(spec, CPU))


def test_the_fingerprint_is_of_the_weights_and_not_of_the_path(
    weights: str, tmp_path: Path
) -> None:
    def fingerprint(path: str, **more: Any) -> str:
        return pinned(spec_of(**{"init.weights": path}, **more)).fingerprint()

    one = fingerprint(weights)
    (tmp_path / "there").mkdir()
    moved = saved(
        tmp_path / "there" / "b.pth", {"module.backbone." + n: t for n, t in encoder_of(1).items()}
    )
    assert fingerprint(moved) == one
    other = saved(tmp_path / "c.pth", encoder_of(2))
    assert len({one, fingerprint(other), spec_of().fingerprint()}) == 3
    both = saved(tmp_path / "d.pth", {"q": encoder_of(1), "k": encoder_of(2)})
    with pytest.raises(SpecError, match=r"init\.weights: .*--set init\.prefix=q\."):
        fingerprint(both)
    assert fingerprint(both, **{"init.prefix": "k."}) == fingerprint(other)


def test_a_file_that_has_changed_since_it_was_planned_is_refused(weights: str) -> None:
    spec = pinned(spec_of(**{"init.weights": weights}))
    torch.save(encoder_of(2), weights)
    assert SIMCLR.problems(spec, None, 1) == []
    [problem] = SIMCLR.problems(spec, 100, 1)
    assert problem.startswith(f"init.weights={weights}: holds another encoder")
    with pytest.raises(SpecError, match="holds another encoder"):
        next(pretrain(spec, CPU))


def test_weights_that_do_not_fit_are_refused_before_anything_starts(weights: str) -> None:
    spec = spec_of(**{"init.weights": weights, "encoder.width": 0.5})
    assert any(
        "it would fit with encoder.width=0.25" in one for one in SIMCLR.problems(spec, 100, 1)
    )
    with pytest.raises(SpecError, match="it would fit"):
        SIMCLR.prepare(spec, download=False)
    assert SIMCLR.problems(spec_of(**{"init.content": "abc"}), 100, 1) == [
        "init.content: needs init.weights, where the weights lie"
    ]


def test_the_untrained_reference_begins_with_none_and_words_say_what_a_run_begins_with(
    weights: str,
) -> None:
    spec = pinned(spec_of(**{"init.weights": weights}))
    reference = SIMCLR.reference(spec)
    assert reference is not None
    assert (
        reference.fingerprint()
        == spec_of(**{"schedule.epochs": 0, "schedule.warmup_epochs": 0}).fingerprint()
    )
    assert SIMCLR.setting(spec.tree()).endswith("begun with a.pth")
    run = f"/s/runs/{hashlib.sha256().hexdigest()[:20]}/checkpoint.pt"
    named = SIMCLR.setting(spec.with_values({"init.weights": run}).tree())
    assert named.endswith("begun with run e3b0c44298fc")
