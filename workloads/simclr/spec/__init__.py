"""The specification of a SimCLR run."""

from workloads.simclr.spec.augment import (
    AugmentSpec,
    AutoAugmentSpec,
    BlurSpec,
    ColorSpec,
    CropSpec,
    CutoutSpec,
    EqualizeSpec,
    MotionBlurSpec,
    NoiseSpec,
    Operation,
    RotateSpec,
    SobelSpec,
    SolarizeSpec,
)
from workloads.simclr.spec.eval import (
    EvalSpec,
    FinetuneSpec,
    KnnSpec,
    LinearSgdSpec,
    MetricsSpec,
    ProbeSpec,
    ProbeTask,
    TransferProtocol,
    TransferSpec,
    percent,
)
from workloads.simclr.spec.init import InitSpec
from workloads.simclr.spec.run import RunSpec
from workloads.simclr.spec.schedule import ScheduleSpec
from workloads.simclr.spec.training import EncoderSpec, HeadSpec, LossSpec, OptimSpec

__all__ = [
    "AugmentSpec",
    "AutoAugmentSpec",
    "BlurSpec",
    "ColorSpec",
    "CropSpec",
    "CutoutSpec",
    "EncoderSpec",
    "EqualizeSpec",
    "EvalSpec",
    "FinetuneSpec",
    "HeadSpec",
    "InitSpec",
    "KnnSpec",
    "LinearSgdSpec",
    "LossSpec",
    "MetricsSpec",
    "MotionBlurSpec",
    "NoiseSpec",
    "Operation",
    "OptimSpec",
    "ProbeSpec",
    "ProbeTask",
    "RotateSpec",
    "RunSpec",
    "ScheduleSpec",
    "SobelSpec",
    "SolarizeSpec",
    "TransferProtocol",
    "TransferSpec",
    "percent",
]
