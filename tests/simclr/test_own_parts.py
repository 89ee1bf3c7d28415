"""Parts of somebody's own in a run: as they stand in docs/own-parts.md, wrong ones, libraries'.

The page's modules are written into the working directory of each test, below names of their own.
"""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import timm
import torch
from torch import Tensor, nn

from workloads.distributed.worker import Worker
from workloads.simclr import library_encoders, optim
from workloads.simclr.batch_norm import GlobalBatchNorm
from workloads.simclr.encoder import build, multiply_adds
from workloads.simclr.own_encoders import OwnEncoder
from workloads.simclr.own_losses import own_loss
from workloads.simclr.own_parts import part_problems, pinned_parts
from workloads.simclr.presets import preset
from workloads.simclr.pretrain import pretrain
from workloads.simclr.spec import EncoderSpec, LossSpec, RunSpec
from workloads.simclr.trained import load_encoder
from workloads.simclr.vit import positions
from workloads.spec import SpecError

CPU = Worker(torch.device("cpu"))
Fields = Callable[..., dict[str, Any]]
Write = Callable[[str, str], str]


TWOFOLD = """
from torch import nn

class Twofold(nn.Module):
    feature_dim = 3

    def forward(self, images):
        h = images.mean((2, 3))
        return (h, h) if self.training else h
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a module into the working directory, and returns the name that it has there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    names: list[str] = []

    def written(name: str, text: str) -> str:
        names.append(f"{name}_{uuid4().hex[:8]}")
        (tmp_path / f"{names[-1]}.py").write_text(text)
        return names[-1]

    yield written
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def page(repository: Path, write: Write) -> dict[str, str]:
    """The name of each module of the page, by what the page calls it."""
    text = (repository / "docs" / "own-parts.md").read_text()
    blocks = re.findall(r"```python\n# (\w+)\.py\n(.*?)```", text, re.DOTALL)
    return {name: write(name, code) for name, code in blocks}


@pytest.fixture
def own(page: dict[str, str], tiny: Fields) -> RunSpec:
    fields = {
        "encoder.architecture": f"{page['my_net']}:PatchNet",
        "encoder.options.width": 8,
        "loss.name": f"{page['my_loss']}:align_and_spread",
        "optim.name": f"{page['my_optimizer']}:SignDescent",
        "optim.base_learning_rate": 1e-3,
    }
    spec = preset("shapes").with_values(tiny(schedule__epochs=2, schedule__warmup_epochs=0))
    return spec.with_values(fields | {"eval.protocol": "none", "precision": "fp32"})


def test_the_examples_of_the_page_are_short(repository: Path) -> None:
    text = (repository / "docs" / "own-parts.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 3
    assert max(block.count("\n") for block in blocks) <= 25


def test_a_run_of_own_parts_alone_trains_and_resumes_as_if_uninterrupted(own: RunSpec) -> None:
    spec = pinned_parts(own)
    assert part_problems(spec, world_size=2) == []
    first, second = pretrain(spec, CPU)
    assert second.metrics["loss"] < first.metrics["loss"]
    (resumed,) = pretrain(spec, CPU, first.state)
    for name, tensor in second.state["model"].items():
        assert torch.equal(tensor, resumed.state["model"][name]), name
    h = load_encoder(spec, second.state, CPU)(torch.rand(3, 3, 16, 16))
    assert h.shape == (3, 8)


def test_code_and_all_options_are_pinned_and_in_the_fingerprint(own: RunSpec) -> None:
    spec = pinned_parts(own)
    assert dict(spec.encoder.options) == {"width": 8, "depth": 2, "patch": 4}
    assert dict(spec.loss.options) == {"weight": 1.0, "sharpness": 2.0}
    assert pinned_parts(spec) == spec
    written_out = own.with_values({"encoder.options.depth": 2})
    assert pinned_parts(written_out).fingerprint() == spec.fingerprint()
    for field in ("encoder.code", "loss.code", "optim.code", "encoder.options.depth"):
        assert spec.with_values({field: 7 if "options" in field else "other"}).fingerprint() != (
            spec.fingerprint()
        ), field
    assert RunSpec.read(spec.tree()) == spec


def test_changed_source_is_refused_by_name_before_anything_is_trained(
    own: RunSpec, page: dict[str, str], tmp_path: Path
) -> None:
    spec = pinned_parts(own)
    file = tmp_path / f"{page['my_loss']}.py"
    file.write_text(file.read_text().replace("/ 2", "/ 3"))
    with pytest.raises(SpecError, match=r"loss\.name=.*has changed since this process imported"):
        next(pretrain(spec, CPU))
    old = spec.with_values({"optim.code": "0123"})
    with pytest.raises(SpecError, match=r"optim\.name=.*was planned with 0123"):
        pinned_parts(old)


def test_dropout_draws_alike_after_a_resumption_and_in_chunks(
    own: RunSpec, write: Write, page: dict[str, str]
) -> None:
    code = Path(f"{page['my_net']}.py").read_text().replace("nn.BatchNorm2d(width)", "nn.Dropout()")
    name = write("dropping", code)
    fields = {"encoder.architecture": f"{name}:PatchNet", "schedule.chunk": 16}
    spec = pinned_parts(own.with_values(fields))
    torch.manual_seed(1)
    first, second = pretrain(spec, CPU)
    torch.manual_seed(2)
    (resumed,) = pretrain(spec, CPU, first.state)
    for tensor, again in zip(
        second.state["model"].values(), resumed.state["model"].values(), strict=True
    ):
        assert torch.equal(tensor, again)


WRONG_ENCODERS = {
    "def net(): return 3": "gives int, and not a torch.nn.Module",
    "from torch import nn\ndef net(): return nn.Identity()": "needs the attribute feature_dim",
    "def net(): return 1 / 0": "cannot be built: ZeroDivisionError: division by zero",
    "from torch import nn\n"
    "class net(nn.Flatten):\n    feature_dim = 7": r"gives \[2, 768\] for 2 images, and not "
    r"\[2, 7\]",
    "from torch import nn\n"
    "class net(nn.Module):\n    feature_dim = 1\n"
    "    def forward(self, images): return images.view(len(images), -1)": "takes no images of 16",
}


@pytest.mark.parametrize(("code", "problem"), WRONG_ENCODERS.items())
def test_a_wrong_encoder_is_told_in_one_line(
    own: RunSpec, write: Write, code: str, problem: str
) -> None:
    spec = own.with_values(
        {"encoder.architecture": f"{write('wrong', code)}:net", "encoder.options": {}}
    )
    (found,) = part_problems(spec, world_size=1)
    assert found.startswith("encoder.architecture='wrong_")
    assert re.search(problem, found)
    assert "\n" not in found


WRONG_LOSSES = {
    "def loss(z0, z1): return z0 - z1": r"gives a tensor \[4, 8\], and not one number",
    "def loss(z0, z1): return 3.0": r"gives 3\.0, and not one number",
    "import torch\ndef loss(z0, z1): return torch.ones(())": "does not depend on z0 and z1",
    "def loss(z0, z1): return z0.nothing": "fails on embeddings .*AttributeError",
    "def loss(z0): return z0.sum()": r"is called with \(z0, z1, options\)",
}


@pytest.mark.parametrize(("code", "problem"), WRONG_LOSSES.items())
def test_a_wrong_loss_is_told_in_one_line(
    own: RunSpec, write: Write, code: str, problem: str
) -> None:
    name = f"{write('wrong', code)}:loss"
    (found,) = part_problems(own.with_values({"loss.name": name, "loss.options": {}}), 1)
    assert found.startswith(f"loss.name='{name}': ")
    assert re.search(problem, found)


WRONG_OPTIMIZERS = {
    "def optimizer(groups, lr): return 3": "gives int, and not a torch.optim.Optimizer",
    "from torch.optim import LBFGS as optimizer": "cannot be built: ValueError: LBFGS",
    "from torch.optim import Optimizer\n"
    "class optimizer(Optimizer):\n"
    "    def __init__(self, groups, rate): super().__init__(groups, {})": "has no 'lr'",
    "from torch.optim import Optimizer\n"
    "class optimizer(Optimizer):\n"
    "    def __init__(self, groups, rate): super().__init__(groups, {'lr': rate})": (
        "fails at a step: NotImplementedError"
    ),
}


@pytest.mark.parametrize(("code", "problem"), WRONG_OPTIMIZERS.items())
def test_a_wrong_optimizer_is_told_in_one_line(
    own: RunSpec, write: Write, code: str, problem: str
) -> None:
    name = f"{write('wrong', code)}:optimizer"
    (found,) = part_problems(own.with_values({"optim.name": name, "optim.options": {}}), 1)
    assert found.startswith(f"optim.name='{name}': ")
    assert re.search(problem, found)


def test_torchs_own_optimizer_is_one_and_gets_the_weight_decay(own: RunSpec) -> None:
    fields = {"optim.name": "torch.optim:RAdam", "optim.options": {"eps": 1e-6}}
    spec = own.with_values(fields | {"optim.weight_decay": 0.1})
    layer = nn.Linear(3, 2)
    made = optim.build(layer, spec.optim, 0.01)
    assert isinstance(made, torch.optim.RAdam)
    assert [group["weight_decay"] for group in made.param_groups] == [0.1, 0.0]
    assert {group["eps"] for group in made.param_groups} == {1e-6}


def test_options_of_a_built_in_part_are_refused() -> None:
    with pytest.raises(SpecError, match="resnet50 is built in, and takes none"):
        RunSpec().with_values({"encoder.options.depth": 3})


def test_batch_norm_becomes_global_with_the_numbers_that_it_had() -> None:
    """Against torchvision's network as it is, in training mode and after it."""
    from torchvision.models import resnet18

    spec = EncoderSpec(architecture="torchvision/resnet18")
    torch.manual_seed(0)
    encoder = build(spec)
    assert isinstance(encoder, OwnEncoder)
    kinds = {type(layer) for layer in encoder.modules() if "BatchNorm" in type(layer).__name__}
    assert kinds == {GlobalBatchNorm}
    torch.manual_seed(0)
    reference = resnet18()
    reference.fc = nn.Identity()
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    for mode in (True, False):
        encoder.train(mode)
        reference.train(mode)
        torch.testing.assert_close(encoder(images), reference(images), rtol=1e-3, atol=1e-4)


def test_vit_s16_is_timms_but_for_its_positions() -> None:
    """All other weights go from here to timm by their names, and give its features."""
    torch.manual_seed(0)
    encoder = build(EncoderSpec(architecture="vit-s16")).eval()
    assert isinstance(encoder, OwnEncoder)
    reference = timm.create_model("vit_small_patch16_224", num_classes=0).eval()
    weights: dict[str, Tensor] = dict(encoder.network.state_dict())
    places = torch.cat([torch.zeros(1, 384), positions(14, 14, 384)])
    reference.load_state_dict(weights | {"pos_embed": places[None]})
    images = torch.rand(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(encoder(images), reference(images), rtol=1e-4, atol=1e-4)
    assert sum(weight.numel() for weight in encoder.parameters()) == 21_590_016


def test_positions_are_those_of_moco_v3() -> None:
    """The grid's formula as the paper's code has it, place by place."""
    found = positions(2, 3, 8)
    for row in range(2):
        for column in range(3):
            angles = [place / 10000 ** (k / 2) for place in (column, row) for k in (0, 1)]
            x, y = torch.tensor(angles[:2]), torch.tensor(angles[2:])
            expected = torch.cat([x.sin(), x.cos(), y.sin(), y.cos()])
            torch.testing.assert_close(found[row * 3 + column], expected)


@pytest.mark.parametrize(
    ("architecture", "options", "side"),
    [
        ("torchvision/mobilenet_v3_small", {}, 32),
        ("torchvision/vit_b_16", {"image_size": 32}, 32),
        ("timm/mobilenetv3_small_100", {}, 32),
        ("timm/vit_tiny_patch16_224", {"img_size": 24, "patch_size": 4}, 24),
    ],
)
def test_a_librarys_backbone_is_had_by_its_name(
    own: RunSpec, architecture: str, options: dict[str, Any], side: int
) -> None:
    fields = {"encoder.architecture": architecture, "encoder.options": options}
    spec = pinned_parts(
        own.with_values(fields | {"augment.output_size": side, "data.image_size": side})
    )
    assert part_problems(spec, world_size=1) == []
    library = architecture.partition("/")[0]
    assert re.fullmatch(rf"{library} \d+\.\d+\.\d+", str(spec.encoder.code))


def test_torchvisions_auxiliary_classifiers_are_left_out() -> None:
    """They answer with several outputs while they train."""
    for name, side in (("googlenet", 32), ("inception_v3", 96)):
        with torch.device("meta"):
            encoder = build(EncoderSpec(architecture=f"torchvision/{name}")).train()
            features = encoder(torch.zeros(2, 3, side, side))
        assert list(features.shape) == [2, encoder.feature_dim]


def test_what_gives_no_features_while_it_trains_is_refused_before_it_does(
    own: RunSpec, write: Write
) -> None:
    name = write(
        "twofold",
        TWOFOLD,
    )
    spec = own.with_values({"encoder.architecture": f"{name}:Twofold", "encoder.options": {}})
    (found,) = part_problems(spec, world_size=1)
    assert "gives tuple for 2 images, and not [2, 3]" in found


def test_a_library_that_is_missing_is_told_with_its_installation(
    own: RunSpec, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    monkeypatch.setattr(library_encoders, "find_spec", lambda _: None)
    fields = {"encoder.architecture": "timm/resnet18", "encoder.options": {}}
    (found,) = part_problems(own.with_values(fields), 1)
    assert "needs timm, which is not installed: pip install 'timm" in found
    declared = (repository / "pyproject.toml").read_text()
    assert all(f'"{each}"' in declared for each in library_encoders.INSTALL.values())


def test_what_a_library_has_not_is_told_with_what_it_has(own: RunSpec) -> None:
    def of(architecture: str) -> str:
        fields = {"encoder.architecture": architecture, "encoder.options": {}}
        (found,) = part_problems(own.with_values(fields), 1)
        return found

    assert "did you mean torchvision/resnet18" in of("torchvision/resnet81")
    assert "timm has no such network; did you mean timm/" in of("timm/vit_smal_patch16_224")
    assert "has no last linear layer" in of("torchvision/squeezenet1_0")
    assert "takes no images of" in of("torchvision/vit_b_16")


def test_batch_norm_that_cannot_be_global_is_refused_on_several_workers(own: RunSpec) -> None:
    fields = {"encoder.architecture": "timm/efficientnet_b0", "encoder.options": {}}
    spec = own.with_values(fields)
    assert part_problems(spec, world_size=1) == []
    (found,) = part_problems(spec, world_size=2)
    assert "BatchNormAct2d cannot be made global" in found
    (found,) = part_problems(spec.with_values({"schedule.chunk": 16}), world_size=1)
    assert "schedule.chunk=16" in found


def test_multiply_adds_of_any_network_are_those_of_a_built_in_one() -> None:
    for side in (32, 64):
        ours = multiply_adds(EncoderSpec(architecture="resnet18"), side)
        assert multiply_adds(EncoderSpec(architecture="torchvision/resnet18"), side) == ours


def test_multiply_adds_are_counted_of_what_cannot_be_built_without_numbers(write: Write) -> None:
    name = write(
        "numbers",
        "import torch\nfrom torch import nn\n\n\n"
        "def net():\n"
        "    layer = nn.Linear(192, int(torch.tensor(5).item()))\n"
        "    made = nn.Sequential(nn.Flatten(), layer)\n"
        "    made.feature_dim = 5\n"
        "    return made\n",
    )
    assert multiply_adds(EncoderSpec(architecture=f"{name}:net"), 8) == 192 * 5


def test_a_loss_gets_what_the_heads_give_in_single_precision(write: Write) -> None:
    code = "def loss(z0, z1, *, times: float): return times * (z0 * z1).sum()"
    spec = LossSpec(name=f"{write('times', code)}:loss", options={"times": 2.5})  # type: ignore[arg-type]
    z0, z1 = torch.rand(4, 3), torch.rand(4, 3)
    torch.testing.assert_close(own_loss(z0, z1, spec), 2.5 * (z0 * z1).sum())
    assert own_loss(z0.bfloat16(), z1.bfloat16(), spec).dtype == torch.float32
