"""The two-layer study as a workload: what plans and executors need of it, in one object."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from workloads.datasets import load
from workloads.datasets.spec import EMBEDDED
from workloads.quantity import Curves, Quantity
from workloads.spec import digest
from workloads.two_layer_cnn.presets import PRESETS
from workloads.two_layer_cnn.quantities import CURVES, LOGGED, QUANTITIES
from workloads.two_layer_cnn.spec import Method, PatchDataSpec, TwoLayerSpec
from workloads.workload import DataFacts, Paper, Progress, TrainedTogether, WorkloadName

__all__ = ["TWO_LAYER_CNN", "TwoLayerWorkload"]

_ARMS: dict[Method, str] = {
    "simclr": "SimCLR pre-training",
    "none": "no pre-training",
    "pca": "principal component",
    "simclr-relu": "SimCLR pre-training of ReLU filters",
    "simclr-labeled": "SimCLR pre-training on the labeled inputs",
}


class TwoLayerWorkload:
    """Contrastive pre-training of a two-layer CNN, fine-tuning and test; cells are one array."""

    name: WorkloadName = "two-layer-cnn"
    paper = Paper("Zhang & Cao (arXiv 2409.18685)")
    quantities: Mapping[str, Quantity] = QUANTITIES
    curves: Curves = CURVES
    logged: tuple[str, ...] = (*LOGGED, "seconds")
    paths: tuple[str, ...] = ("data.root",)
    free_fields: tuple[str, ...] = ("seed", "data.root", "data.content", "data.split_seed")
    presets: Mapping[str, Callable[[], TwoLayerSpec]] = PRESETS
    headline: tuple[str, ...] = ("test_error", "alignment")

    def read(self, tree: Mapping[str, Any]) -> TwoLayerSpec:
        """Read the specification in a plain tree. Raises SpecError."""
        return TwoLayerSpec.read(tree)

    def prepare(self, spec: TwoLayerSpec, *, download: bool) -> tuple[TwoLayerSpec, DataFacts]:
        """Return the recipe with the digest of its images, if it has any, and what its data are.

        Its fingerprint then stands for the images, and not for a path.
        """
        data = spec.data
        notes = [
            f"{data.unlabeled:,} unlabeled inputs for pre-training, unless a cell sets another "
            "number"
        ]
        if data.name == "gaussian":
            return spec, DataFacts(
                _title(data),
                data.labels,
                0,
                data.test,
                digest({"gaussian": data.tree()}),
                tuple(notes),
            )

        images = load(data.images(), download=download)
        pinned = (
            spec if data.name in EMBEDDED else spec.with_values({"data.content": images.content})
        )
        from workloads.two_layer_cnn.data import signals

        source = signals(pinned.data)  # refuses classes that the images do not have
        notes += [
            f"{len(one)} training images of class {label}"
            for one, label in zip(source.train, data.classes, strict=True)
        ]
        return pinned, DataFacts(
            _title(data), data.labels, 0, data.test, images.content, (*notes, *images.notes)
        )

    def problems(self, spec: TwoLayerSpec, train_images: int | None, world_size: int) -> list[str]:
        """Refuse several workers; everything else is refused by the specification itself."""
        if world_size == 1:
            return []
        return [
            f"--workers {world_size}: {self.name} has one worker a cell; its many cells are "
            "spread over the cluster"
        ]

    def reference(self, spec: TwoLayerSpec) -> None:
        """Return None: training without pre-training is an arm of its own."""

    def promised(self, spec: TwoLayerSpec) -> tuple[str, ...]:
        """Return what every cell is tested by."""
        return ("test_error", "test_loss")

    def scale(self, spec: TwoLayerSpec, setting: str) -> Literal["paper", "small"]:
        """Choose the only grid: the paper gives no numbers."""
        return "small"

    def data_name(self, tree: Mapping[str, Any]) -> str:
        """Return the name of the signals' data set."""
        return str(tree["data"]["name"])

    def setting(self, tree: Mapping[str, Any]) -> str:
        """Name the number of filters, and what holds where a cell does not set it."""
        data, network = tree["data"], tree["network"]
        return (
            f"2 x {network['filters']} filters; unless a cell says otherwise: "
            f"{_ARMS[tree['pretrain']['method']]}, "
            f"n0 = {data['unlabeled']}, n = {data['labels']}, SNR "
            f"{data['signal_to_noise']:g}, q = {network['power']}"
        )

    def together(self, spec: TwoLayerSpec) -> str:
        """Return what cells on the same images share, or all on generated inputs."""
        data = spec.data
        return (
            data.name
            if data.name == "gaussian"
            else digest({"images": data.images().tree(), "classes": data.classes})
        )

    def shared(self, spec: TwoLayerSpec) -> str:
        """Return the digest of pre-training; cells without it have none to share."""
        return spec.fingerprint() if spec.pretrain.method == "none" else spec.pretrain_fingerprint()

    def cost(self, specs: Sequence[TwoLayerSpec]) -> float:
        """Return the cost of half of the most steps that each descent may take.

        How many it needs is not known.
        """
        pretrained = {spec.pretrain_fingerprint(): _pretrain_operations(spec) for spec in specs}
        return sum(pretrained.values()) + sum(map(_finetune_operations, specs))

    def train_together(
        self, specs: Sequence[TwoLayerSpec], resume: dict[str, Any] | None
    ) -> Iterator[Progress]:
        """Train cells of equal sizes as one array; equal unlabeled inputs share pre-training."""
        from workloads.two_layer_cnn.together import train_together

        return train_together(specs, resume)


TWO_LAYER_CNN: TrainedTogether[TwoLayerSpec] = TwoLayerWorkload()


def _title(data: PatchDataSpec) -> str:
    if data.name == "gaussian":
        return f"Gaussian patches, d = {data.dim}"
    if data.name in EMBEDDED:
        return f"{data.name} (embedded) beside Gaussian patches, {data.image_size} px"
    folder = Path(data.root or "").name
    return (
        f"{folder if data.name == 'image-folder' else data.name} beside Gaussian patches, "
        f"{data.image_size} px"
    )


def _pretrain_operations(spec: TwoLayerSpec) -> float:
    """Count the steps: similarities of inputs, their gradient, new products with the patches."""
    if spec.pretrain.method in ("none", "pca"):
        return 0.0
    inputs, filters = spec.pretrain_inputs, 2 * spec.network.filters
    # Views that change have no Gram matrix to be kept.
    fresh = spec.pretrain.views == "fresh"
    products = _filter_products(spec, 2 * inputs) if fresh else _products(spec, 2 * inputs)
    step = 4.0 * filters * inputs**2 + products
    return spec.pretrain.max_steps / 2 * step


def _finetune_operations(spec: TwoLayerSpec) -> float:
    testing = 2.0 * 2 * spec.network.filters * spec.data.test * spec.data.dim
    return spec.finetune.max_steps / 2 * _products(spec, spec.data.labels) + testing


def _products(spec: TwoLayerSpec, patches: int) -> float:
    """Count all filters' products with noise patches, by a Gram matrix where cheaper (`Span`)."""
    return 2.0 * 2 * spec.network.filters * patches * min(patches, 2 * spec.data.dim)


def _filter_products(spec: TwoLayerSpec, patches: int) -> float:
    """Count the same without a Gram matrix: to the patches, and back to the filters."""
    return 2.0 * 2 * spec.network.filters * patches * 2 * spec.data.dim
