"""Encoders and batch norm, one process: torchvision and the paper's parameter counts as oracles;
seconds.
"""

from functools import partial

import pytest
import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.resnet import BasicBlock, Bottleneck

from workloads.simclr.batch_norm import GlobalBatchNorm
from workloads.simclr.encoder import build, multiply_adds
from workloads.simclr.spec import EncoderSpec, RunSpec


@pytest.mark.parametrize(
    "architecture", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
)
def test_state_dict_is_torchvisions_without_fc(architecture: str) -> None:
    with torch.device("meta"):
        ours = build(EncoderSpec(architecture=architecture)).state_dict()
        theirs = getattr(torchvision.models, architecture)().state_dict()
    expected = {name: tensor.shape for name, tensor in theirs.items() if not name.startswith("fc.")}
    assert {name: tensor.shape for name, tensor in ours.items()} == expected


@pytest.mark.parametrize("architecture", ["resnet18", "resnet50"])
def test_features_equal_torchvisions(architecture: str) -> None:
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, architecture)()
    theirs.fc = nn.Identity()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.running_mean, std=0.1)
    ours = build(EncoderSpec(architecture=architecture))
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.rand(2, 3, 65, 65)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("architecture", "width", "millions"),
    [
        ("resnet18", 1, 11),
        ("resnet18", 2, 45),
        ("resnet18", 4, 179),
        ("resnet34", 1, 21),
        ("resnet34", 2, 85),
        ("resnet34", 4, 340),
        ("resnet50", 1, 24),
        ("resnet50", 2, 94),
        ("resnet50", 4, 375),
        ("resnet101", 1, 43),
        ("resnet101", 2, 170),
        ("resnet152", 1, 58),
        ("resnet152", 2, 233),
    ],
)
def test_parameters_are_those_of_figure_7(architecture: str, width: float, millions: int) -> None:
    with torch.device("meta"):
        encoder = build(EncoderSpec(architecture=architecture, width=width))
    count = sum(parameter.numel() for parameter in encoder.parameters())
    assert abs(count / 1e6 - millions) < 1


def test_width_scales_every_convolution() -> None:
    with torch.device("meta"):
        narrow = build(EncoderSpec(architecture="resnet50"))
        wide = build(EncoderSpec(architecture="resnet50", width=1.5))
    pairs = zip(narrow.modules(), wide.modules(), strict=True)
    for one, other in pairs:
        if isinstance(one, nn.Conv2d) and isinstance(other, nn.Conv2d):
            assert other.out_channels == 1.5 * one.out_channels
            assert other.bias is None
    assert wide.feature_dim == 3072


@pytest.mark.parametrize(
    ("spec", "feature_dim"),
    [
        (EncoderSpec(architecture="convnet", width=0.25), 64),
        (EncoderSpec(architecture="convnet8", width=0.25), 64),
        (EncoderSpec(architecture="convnet12", width=0.125), 32),
        (EncoderSpec(architecture="resnet18", width=0.1, stem="cifar"), 51),
        (EncoderSpec(architecture="resnet50", width=0.125), 256),
    ],
)
def test_representations_have_the_announced_width(spec: EncoderSpec, feature_dim: int) -> None:
    encoder = build(spec)
    assert encoder.feature_dim == feature_dim
    assert encoder(torch.rand(2, 3, 32, 32)).shape == (2, feature_dim)


@pytest.mark.parametrize(
    ("architecture", "a_stage"), [("convnet", 1), ("convnet8", 2), ("convnet12", 3)]
)
def test_convnets_are_four_stages_of_convolutions(architecture: str, a_stage: int) -> None:
    """The first of a stage halves the image, but in the first stage; every one is followed by BN
    and ReLU.
    """
    with torch.device("meta"):
        encoder = build(EncoderSpec.read({"architecture": architecture}))
    convolutions = [layer for layer in encoder.modules() if isinstance(layer, nn.Conv2d)]
    widths = [width for width in (32, 64, 128, 256) for _ in range(a_stage)]
    assert [layer.out_channels for layer in convolutions] == widths
    assert [layer.in_channels for layer in convolutions] == [3, *widths[:-1]]
    assert [layer.stride[0] for layer in convolutions] == [
        1,
        *[1] * (a_stage - 1),
        *[2, *[1] * (a_stage - 1)] * 3,
    ]
    assert [type(layer) for layer in encoder.stages] == [
        nn.Conv2d,
        GlobalBatchNorm,
        nn.ReLU,
    ] * 4 * a_stage
    assert all(layer.kernel_size == (3, 3) and layer.bias is None for layer in convolutions)


def test_finished_checkpoints_of_the_convnet_still_fit() -> None:
    """Its keys and, for a seed, its initial weights: those of an equal stack of torch's layers
    drawn in the same order.
    """
    torch.manual_seed(3)
    encoder = build(EncoderSpec(architecture="convnet", width=0.25))
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    keys = [
        name
        for at in (0, 3, 6, 9)
        for name in (f"{at}.weight", *(f"{at + 1}.{part}" for part in norm))
    ]
    assert list(encoder.state_dict()) == [f"stages.{name}" for name in keys]
    torch.manual_seed(3)
    stack = [
        nn.Conv2d(inputs, outputs, 3, bias=False)
        for inputs, outputs in ((3, 8), (8, 16), (16, 32), (32, 64))
    ]
    for layer, ours in zip(stack, encoder.stages[::3], strict=True):
        std = layer.weight[0].numel() ** -0.5 / 0.87962566103423978
        nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
        assert torch.equal(ours.weight, layer.weight)


@pytest.mark.parametrize("architecture", ["convnet", "resnet18"])
def test_input_normalization_is_torchvisions_and_no_part_of_the_state(architecture: str) -> None:
    torch.manual_seed(0)
    spec = EncoderSpec.read({"architecture": architecture, "width": 0.25})
    plain, images = (
        build(spec).eval(),
        torch.rand(2, 3, 33, 33).to(memory_format=torch.channels_last),
    )
    normalizing = build(spec.with_values({"input_normalization": "imagenet"})).eval()
    assert normalizing.state_dict().keys() == plain.state_dict().keys()
    normalizing.load_state_dict(plain.state_dict())
    normalize = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.no_grad():
        torch.testing.assert_close(
            normalizing(images), plain(normalize(images)), rtol=1e-5, atol=1e-5
        )
        assert normalizing.normalize(images).is_contiguous(memory_format=torch.channels_last)
        assert plain.normalize(images) is images


def test_input_normalization_changes_only_what_asks_for_it() -> None:
    """Runs from before there was the field keep their fingerprint."""
    spec = RunSpec()
    tree = spec.tree()
    del tree["encoder"]["input_normalization"]
    assert RunSpec.read(tree).fingerprint() == spec.fingerprint() == "a4defdf974798a7da011"
    other = spec.with_values({"encoder.input_normalization": "cifar10"})
    assert other.fingerprint() != spec.fingerprint()
    assert other.training_fingerprint() != spec.training_fingerprint()


def test_stems() -> None:
    images = torch.rand(1, 3, 32, 32)
    sides = {}
    for stem in ("imagenet", "cifar"):
        encoder = build(
            EncoderSpec.read({"architecture": "resnet18", "width": 0.1, "stem": stem})
        ).eval()
        shapes: list[int] = []
        encoder.layer1.register_forward_pre_hook(
            lambda _, inputs, shapes=shapes: shapes.append(inputs[0].shape[-1])
        )
        encoder(images)
        sides[stem] = shapes[0]
    assert sides == {"imagenet": 8, "cifar": 32}


@pytest.mark.parametrize("architecture", ["resnet18", "resnet50"])
@pytest.mark.parametrize("zero", [True, False])
def test_last_bn_of_each_block_starts_at_zero_on_request(architecture: str, zero: bool) -> None:
    encoder = build(EncoderSpec(architecture=architecture, width=0.125, zero_init_last_bn=zero))
    last = [block.bn2 for block in encoder.modules() if isinstance(block, BasicBlock)]
    last += [block.bn3 for block in encoder.modules() if isinstance(block, Bottleneck)]
    assert len(last) == (8 if architecture == "resnet18" else 16)
    norms = [module for module in encoder.modules() if isinstance(module, GlobalBatchNorm)]
    zeros = [norm for norm in norms if not norm.weight.any()]
    assert set(zeros) == (set(last) if zero else set())
    assert all((norm.weight == 1).all() for norm in norms if norm not in zeros)


def test_initial_convolutions_have_variance_one_over_fan_in() -> None:
    torch.manual_seed(0)
    encoder = build(EncoderSpec(architecture="resnet18"))
    for layer in encoder.modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.numel() > 10_000:
            scaled = layer.weight.detach() * layer.weight[0].numel() ** 0.5
            assert float(scaled.var()) == pytest.approx(1, rel=0.05)
            assert float(scaled.abs().max()) <= 2 / 0.8796 + 1e-3


def test_multiply_adds() -> None:
    """torchvision states 4.089 G for ResNet-50 and 1.814 G for ResNet-18 at 224 pixels, `fc`
    included.
    """
    assert multiply_adds(EncoderSpec(architecture="resnet50"), 224) + 2048 * 1000 == pytest.approx(
        4.089e9, rel=1e-3
    )
    assert multiply_adds(EncoderSpec(architecture="resnet18"), 224) + 512 * 1000 == pytest.approx(
        1.814e9, rel=1e-3
    )
    convnet = (27 * 32 * 32 * 32) + 9 * (32 * 64 * 16 * 16 + 64 * 128 * 8 * 8 + 128 * 256 * 4 * 4)
    assert multiply_adds(EncoderSpec(architecture="convnet"), 32) == convnet
    # A further convolution of a stage keeps channels and sides: 9.4 M each, whatever the stage.
    further = 9 * (32 * 32 * 32 * 32 + 64 * 64 * 16 * 16 + 128 * 128 * 8 * 8 + 256 * 256 * 4 * 4)
    assert multiply_adds(EncoderSpec(architecture="convnet8"), 32) == convnet + further
    assert multiply_adds(EncoderSpec(architecture="convnet12"), 32) == convnet + 2 * further


@pytest.mark.parametrize("side", [19, 32, 65])
@pytest.mark.parametrize("width", [1.0, 0.375])
@pytest.mark.parametrize(
    ("architecture", "stem"),
    [("convnet8", "cifar"), ("resnet18", "cifar"), ("resnet34", "imagenet"), ("resnet50", "cifar")],
)
def test_multiply_adds_are_those_that_torch_counts(
    architecture: str, stem: str, width: float, side: int
) -> None:
    """Of odd sides, too, which a stride does not halve."""
    spec = EncoderSpec.read({"architecture": architecture, "stem": stem, "width": width})
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        build(spec).eval()(torch.empty(1, 3, side, side))
    assert 2 * multiply_adds(spec, side) == counter.get_total_flops()


@pytest.mark.parametrize("shape", [(16, 6), (4, 6, 5, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_batch_norm_alone_is_torchs(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """To the bit in bf16; what fp32 has more of digits, test_precision.py counts."""
    rtol, atol = (0, 0) if dtype == torch.bfloat16 else (1e-5, 1e-5)
    close = partial(torch.testing.assert_close, rtol=rtol, atol=atol)
    torch.manual_seed(0)
    ours = GlobalBatchNorm(6)
    theirs = nn.BatchNorm1d(6) if len(shape) == 2 else nn.BatchNorm2d(6)
    for _ in range(3):
        a = (3 * torch.randn(shape) + 2).to(dtype).requires_grad_()
        b = a.detach().clone().requires_grad_()
        out, expected = ours(a), theirs(b)
        close(out, expected)
        out.pow(3).sum().backward()
        expected.pow(3).sum().backward()
        close(a.grad, b.grad)
    close(dict(ours.state_dict()), dict(theirs.state_dict()))
    x = torch.randn(shape).to(dtype)
    close(ours.eval()(x), theirs.eval()(x))


def test_batch_norm_without_offset() -> None:
    norm = GlobalBatchNorm(6, offset=False)
    x = torch.randn(32, 6) + 5
    torch.testing.assert_close(norm(x), nn.BatchNorm1d(6)(x))
    assert set(norm.state_dict()) == {
        "weight",
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }


def test_channels_last_bf16_keeps_its_layout() -> None:
    encoder = build(EncoderSpec(architecture="convnet", width=0.25)).to(
        memory_format=torch.channels_last
    )
    images = torch.rand(4, 3, 16, 16).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x = encoder.stages(images)
        h = encoder(images)
    assert x.dtype == h.dtype == torch.bfloat16
    assert x.is_contiguous(memory_format=torch.channels_last)
    h.sum().backward()
