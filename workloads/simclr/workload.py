"""SimCLR as a workload: what plans and executors need of it, in one object."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from workloads.datasets import load
from workloads.datasets.spec import EMBEDDED, DataSpec
from workloads.simclr.encoder import multiply_adds
from workloads.simclr.evaluate import evaluate
from workloads.simclr.presets import PRESETS
from workloads.simclr.pretrain import EpochResult, LossNotFiniteError, pretrain, problems_with
from workloads.simclr.score import validation_score
from workloads.simclr.spec import RunSpec
from workloads.worker import Worker
from workloads.workload import DataFacts, Evaluation, TrainedAlone, WorkloadName

__all__ = ["SIMCLR", "SimCLRWorkload"]

# Where the paper's grids make sense as they stand: on its data, and for CIFAR-10, which is used with much smaller networks
# and budgets as well, with its encoder.
_OF_SETTING = {"imagenet-paper": ("imagenet", None), "cifar10-paper": ("cifar10", "resnet50")}

_EVALUATIONS = {
    "linear": Evaluation({"eval.protocol": "lbfgs"}),
    "linear-sgd": Evaluation({"eval.protocol": "sgd"}),
    "knn": Evaluation(only="knn"),
}


class SimCLRWorkload:
    """Contrastive pre-training, or its supervised counterpart, and evaluation of the frozen encoder."""

    name: WorkloadName = "simclr"
    presets: Mapping[str, Callable[[], RunSpec]] = PRESETS
    headline: tuple[str, ...] = ("linear_top1", "knn_top1")
    divergence: type[Exception] = LossNotFiniteError
    evaluations: Mapping[str, Evaluation] = _EVALUATIONS

    def read(self, tree: Mapping[str, Any]) -> RunSpec:
        """The specification in a plain tree. Raises SpecError."""
        return RunSpec.read(tree)

    def prepare(self, spec: RunSpec, *, download: bool) -> tuple[RunSpec, DataFacts]:
        """The recipe with the digest of its images, so that its fingerprint stands for them and not for a path."""
        data = load(spec.data, download=download)
        pinned = spec if spec.data.name in EMBEDDED else spec.with_values({"data.content": data.content})
        counts = len(data.train), len(data.validation), len(data.test)
        return pinned, DataFacts(_title(spec.data), *counts, data.content, tuple(data.notes))

    def problems(self, spec: RunSpec, train_images: int | None, world_size: int) -> list[str]:
        """Why a run cannot train on so many images and workers."""
        return problems_with(spec, train_images or spec.schedule.batch_size, world_size)

    def reference(self, spec: RunSpec) -> RunSpec:
        """The untrained encoder."""
        return spec.with_values({"schedule.epochs": 0, "schedule.warmup_epochs": 0})

    def scale(self, spec: RunSpec, setting: str) -> Literal["paper", "small"]:
        """The paper's grid in the paper's setting, else the small one."""
        data, encoder = _OF_SETTING[setting]
        fits = spec.data.name == data and encoder in (None, spec.encoder.architecture)
        return "paper" if fits else "small"

    def train(self, spec: RunSpec, worker: Worker, resume: dict[str, Any] | None) -> Iterator[EpochResult]:
        """One result an epoch."""
        return pretrain(spec, worker, resume)

    def epochs(self, spec: RunSpec) -> int:
        """The length of pre-training."""
        return spec.schedule.epochs

    def evaluate(self, spec: RunSpec, state: dict[str, Any], worker: Worker) -> dict[str, float]:
        """By `spec.eval`."""
        return evaluate(spec, state, worker)

    def score(self, spec: RunSpec, state: dict[str, Any], worker: Worker) -> float:
        """Nearest neighbours of the validation images among the training images, top-1 in %."""
        return validation_score(spec, state, worker)

    def operations(self, spec: RunSpec, train_images: int) -> float:
        """Forward and backward (3 x forward, 2 x multiply-adds) of every view of every image, each epoch."""
        views = 1 if spec.loss.name == "cross-entropy" else 2
        forward = 2 * multiply_adds(spec.encoder, spec.view_size) * train_images
        return 3 * views * forward * spec.schedule.epochs + forward

    def setting(self, tree: Mapping[str, Any]) -> str:
        """Encoder, epochs and batch size."""
        encoder, schedule = tree["encoder"], tree["schedule"]
        return (
            f"{encoder['architecture']} width {encoder['width']:g}, {schedule['epochs']} epochs, batch {schedule['batch_size']}"
        )


SIMCLR: TrainedAlone = SimCLRWorkload()


def _title(data: DataSpec) -> str:
    if data.name in EMBEDDED:
        return f"{data.name} (embedded), {data.image_size} px"
    folder = Path(data.root or "").name
    return f"{folder if data.name == 'image-folder' else data.name}, {data.image_size} px"
