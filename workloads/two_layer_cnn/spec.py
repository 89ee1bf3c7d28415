"""Every field that can change the result of one cell of the two-layer study.

Source: Zhang & Cao, "Understanding the Benefits of SimCLR Pre-Training in Two-Layer CNNs", arXiv
2409.18685. The paper gives the model and its conditions but few hyper-parameters; learning rates,
stopping rules and initial scales here are ours.
"""

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from workloads.checkpoint import CheckpointSpec
from workloads.datasets.spec import EMBEDDED, DataSetName, DataSpec
from workloads.spec import Part, digest

if TYPE_CHECKING:
    import torch

__all__ = ["FinetuneSpec", "Method", "NetworkSpec", "PatchDataSpec", "PretrainSpec", "TwoLayerSpec"]

RESULT_REVISION = 1  # raised whenever the code gives another result for an equal specification

Positive = Annotated[float, Field(gt=0)]
Even = Annotated[int, Field(ge=2, multiple_of=2)]
ImageSource = Literal["digits", "mnist", "fashion-mnist", "image-folder"]
Method = Literal["simclr", "none", "pca", "simclr-relu", "simclr-labeled"]
assert set(get_args(ImageSource)) <= set(get_args(DataSetName))


class PatchDataSpec(Part):
    """Inputs of two patches of d numbers, signal and Gaussian noise (Definition 3.1).

    The signal patch carries the label.

    `gaussian`: the signal patch is y mu. The others: it is an image of one of two classes, centred
    between the class means of the training images and scaled so that half the difference of these
    means, called mu, has the norm that the signal-to-noise ratio asks for. The noise is orthogonal
    to mu. Every set holds both classes equally often.
    """

    name: Literal["gaussian", ImageSource] = Field(
        "gaussian",
        description="Gaussian patches, or images as patches",
    )
    root: str | None = Field(
        None, description="folder of the images; not needed by gaussian and digits"
    )
    content: str | None = Field(
        None, description="digest of the images behind `root`; other images are refused"
    )
    classes: tuple[int, int] = Field(
        (0, 1), description="of images: the classes labelled +1 and -1"
    )
    image_size: Annotated[int, Field(ge=8, le=64)] = Field(
        28, description="of images: side in pixels; d is its square"
    )
    dimension: Annotated[int, Field(ge=2, le=100_000)] = Field(
        1000, description="of gaussian: d, the length of a patch"
    )
    signal_to_noise: Positive = Field(0.2, description="SNR = ||mu|| / (noise_std sqrt(d))")
    noise_std: Positive = Field(
        1.0,
        description="standard deviation of the noise patch, sigma_p",
    )
    unlabeled: Annotated[Even, Field(le=4096)] = Field(
        250, description="n0, inputs of pre-training"
    )
    labels: Annotated[Even, Field(le=4096)] = Field(64, description="n, inputs of fine-tuning")
    test: Annotated[Even, Field(le=100_000)] = Field(
        2000,
        description="inputs of the test set",
    )
    view_correlation: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0,
        description="rho: the second view's noise is rho xi + sqrt(1 - rho^2) xi'; 0 is the "
        "paper's ideal augmentation",
    )

    @model_validator(mode="after")
    def _sources(self) -> "PatchDataSpec":
        if self.name in ("gaussian", *EMBEDDED) and self.root is not None:
            raise ValueError(f"data.root={self.root!r}: {self.name!r} takes no root")
        if len(set(self.classes)) < 2 or min(self.classes) < 0:
            raise ValueError(
                f"data.classes={list(self.classes)}: needs two different numbers from 0"
            )
        return self

    @property
    def dim(self) -> int:
        """Return d, the length of a patch."""
        return self.dimension if self.name == "gaussian" else self.image_size**2

    @property
    def signal_norm(self) -> float:
        """Return ||mu||."""
        return self.signal_to_noise * self.noise_std * math.sqrt(self.dim)

    def images(self) -> DataSpec:
        """Return the images that signal patches are taken from; not of gaussian."""
        if self.name == "gaussian":
            raise ValueError("gaussian data have no images")
        return DataSpec(
            name=self.name, root=self.root, content=self.content, image_size=self.image_size
        )


class PretrainSpec(Part):
    """The learning of filters before they see labels.

    simclr: gradient descent on the contrastive loss of a linear CNN, as in the paper. none:
    nothing, the direct arm of Theorem 4.3. Controls: pca puts all filters on the first principal
    component of the unlabeled inputs; simclr-relu pre-trains with ReLU filters (degree 1, so that
    they leave the tiny scale as linear ones do); simclr-labeled is simclr on the labeled inputs
    alone.
    """

    method: Method = Field(
        "simclr",
        description="how filters are pre-trained; none: not at all",
    )
    temperature: Positive = Field(
        1.0,
        description="tau of the contrastive loss",
    )
    learning_rate: Positive = Field(0.1, description="times temperature / ||mu||^2")
    initial_std: Positive = Field(
        1e-6, description="sigma_0; larger ones saturate the softmax before filters align"
    )
    target_norm: Positive = Field(
        0.3, description="stop once the mean ||w_r|| is this / (||mu|| sqrt(2m))"
    )
    max_steps: Annotated[int, Field(ge=1)] = Field(
        400,
        description="most steps of gradient descent",
    )
    views: Literal["fixed", "fresh"] = Field(
        "fixed",
        description="the second view of each input: drawn once, or anew for each step; the paper's "
        "matrix A has fixed ones",
    )


class NetworkSpec(Part):
    """F_+ - F_-, each the mean over its filters of max(0, <w, patch>)^q summed over both patches.

    The second layer is fixed.
    """

    filters: Annotated[int, Field(ge=1)] = Field(10, description="m, of each of F_+ and F_-")
    power: Annotated[int, Field(ge=2, le=6)] = Field(3, description="q; the theorems need q > 2")
    initial_std: Positive = Field(0.01, description="of filters that were not pre-trained")


class FinetuneSpec(Part):
    """Full-batch gradient descent on the logistic loss of the labeled inputs; all filters move."""

    learning_rate: Positive = Field(0.1, description="times m / max(||mu||^2, noise_std^2 d / n)")
    loss_target: Positive = Field(0.01, description="stop once the training loss is at most this")
    max_steps: Annotated[int, Field(ge=0)] = Field(
        3000,
        description="most steps of gradient descent",
    )


class TwoLayerSpec(Part):
    """One cell of the two-layer study: what can change its result, and how its states are kept."""

    data: PatchDataSpec = PatchDataSpec()
    pretrain: PretrainSpec = PretrainSpec()
    network: NetworkSpec = NetworkSpec()
    finetune: FinetuneSpec = FinetuneSpec()
    checkpoint: CheckpointSpec = CheckpointSpec()
    seed: Annotated[int, Field(ge=0)] = Field(
        0, description="data, initial filters and their split into F_+ and F_-"
    )
    precision: Literal["float64", "float32"] = Field(
        "float64",
        description="of all numbers of a run",
    )

    @property
    def dtype(self) -> "torch.dtype":
        """Return the type of number that training computes in."""
        import torch

        return torch.float64 if self.precision == "float64" else torch.float32

    @property
    def pretrain_inputs(self) -> int:
        """Return n0 of this run: how many inputs pre-training sees."""
        return self.data.labels if self.pretrain.method == "simclr-labeled" else self.data.unlabeled

    @property
    def pretrain_rate(self) -> float:
        """Return the learning rate of pre-training."""
        return self.pretrain.learning_rate * self.pretrain.temperature / self.data.signal_norm**2

    @property
    def pretrained_norm(self) -> float:
        """Return the mean norm of the filters at which pre-training stops."""
        return self.pretrain.target_norm / (
            self.data.signal_norm * math.sqrt(2 * self.network.filters)
        )

    @property
    def finetune_rate(self) -> float:
        """Return the learning rate of fine-tuning.

        Neither the signal nor a single noise patch may make it overshoot.
        """
        noise = self.data.noise_std**2 * self.data.dim / self.data.labels
        return (
            self.finetune.learning_rate
            * self.network.filters
            / max(self.data.signal_norm**2, noise)
        )

    def fingerprint(self) -> str:
        """Digest everything that can change the result, in stable hex digits.

        Fields that this run does not read are left out.
        """
        return digest({"revision": RESULT_REVISION, "two-layer-cnn": self._that_matters()})

    def pretrain_fingerprint(self) -> str:
        """Digest what pre-training depends on: equal for runs that can share it."""
        tree = self._that_matters()
        pretrained = {
            "data": tree["data"],
            "pretrain": tree["pretrain"],
            "filters": self.network.filters,
        }
        pretrained |= {"seed": self.seed, "precision": self.precision}

        # The tree that both share loses what pre-training does not read.
        del tree["data"]["test"]
        if self.pretrain.method != "simclr-labeled":
            del tree["data"]["labels"]
        if self.pretrain.method == "none":
            pretrained["initial_std"] = self.network.initial_std
        return digest(pretrained)

    def _that_matters(self) -> dict[str, Any]:
        tree = self.tree()
        del tree["checkpoint"]
        data, method = tree["data"], self.pretrain.method
        for field in _UNREAD_DATA["gaussian" if self.data.name == "gaussian" else "images"]:
            del data[field]
        if self.data.content is not None:
            data.pop("root", None)
        for field in _UNREAD_BY[method]:
            part, name = field.split(".")
            del tree[part][name]
        # a field that came after the first results
        if tree["pretrain"].get("views") == PretrainSpec.model_fields["views"].default:
            del tree["pretrain"]["views"]
        return tree


_UNREAD_DATA = {"gaussian": ("root", "content", "classes", "image_size"), "images": ("dimension",)}
_CONTRASTIVE = tuple(
    f"pretrain.{name}"
    for name in PretrainSpec.model_fields
    if name not in ("method", "target_norm")
)
_UNREAD_BY: dict[Method, tuple[str, ...]] = {
    "simclr": ("network.initial_std",),
    "simclr-relu": ("network.initial_std",),
    "simclr-labeled": ("network.initial_std", "data.unlabeled"),
    "pca": ("network.initial_std", "data.view_correlation", *_CONTRASTIVE),
    "none": ("data.unlabeled", "data.view_correlation", "pretrain.target_norm", *_CONTRASTIVE),
}
