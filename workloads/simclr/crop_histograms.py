"""The short cut of crops: whether their colours alone tell which image they are of (Figure 6).

Section 3.1: crops of an image share their distribution of colours, so that a network can match
them by histograms alone, and color distortion takes that away. Here it is counted: the image of a
crop is guessed as that whose other crop has the nearest histogram.

Legend: N images, C crops of each, S side in pixels, B bins.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from workloads.seeds import seed_of
from workloads.shown import CropHistograms
from workloads.simclr.spec import AugmentSpec, RunSpec
from workloads.simclr.views.parameters import draw_view
from workloads.simclr.views.policy import apply_view
from workloads.simclr.views.shown import as_pixels

__all__ = ["crop_histograms"]

BINS = 32  # of pixel intensity, for the eye
MATCHED_BINS = 16  # of each channel, for the guess: half the noise, and colours still apart
OPERATIONS = (("crop",), ("crop", "color"))


def crop_histograms(spec: RunSpec, images: Tensor, shown: int, crops: int) -> CropHistograms:
    """Compare crops of uint8 images [N, 3, H, W] by their histograms, without and with distortion.

    The same crops are looked at both ways, of the strength and the probabilities of `spec`; what
    else is in its policy is left out. The first `shown` images are those to draw, `crops` of each;
    the guess is over all N, with two crops each.
    """
    count, _, height, width = images.shape
    both = spec.augment.with_values({"operations": list(OPERATIONS[1])})
    generator = Generator().manual_seed(seed_of(spec.seed, "crop histograms"))

    def views(of: Tensor, times: int) -> list[Tensor]:
        """[len(of), times, 3, S, S] for each of `OPERATIONS`, by the same draws."""
        several = of.repeat_interleave(times, dim=0)
        drawn = draw_view(both, len(several), height, width, generator)
        return [
            _by_image(apply_view(several, drawn, _only(both, operations)), times)
            for operations in OPERATIONS
        ]

    drawn = views(images[:shown], crops)
    pairs = views(images, 2)
    return CropHistograms(
        data=spec.data.name,
        seed=spec.seed,
        strength=spec.augment.color.strength,
        originals=images[:shown].permute(0, 2, 3, 1).numpy(),
        crops=as_pixels(torch.stack(drawn, dim=2).movedim(3, -1)),
        histograms=np.stack([_shares(each.flatten(2), BINS) for each in drawn], axis=2),
        among=count,
        matched=(_matched(pairs[0]), _matched(pairs[1])),
    )


def _only(augment: AugmentSpec, operations: tuple[str, ...]) -> AugmentSpec:
    return augment.with_values({"operations": list(operations)})


def _by_image(views: Tensor, times: int) -> Tensor:
    return views.view(-1, times, *views.shape[1:])


def _matched(pairs: Tensor) -> float:
    """The share of N images whose second crop is nearest to its own first: of [N, 2, 3, S, S].

    Distances are sums of absolute differences of the channels' histograms.
    """
    shares = _shares(pairs.flatten(3), MATCHED_BINS).reshape(len(pairs), 2, -1)
    first, second = torch.from_numpy(shares).unbind(1)
    nearest = torch.cdist(second, first, p=1).argmin(1)
    return float((nearest == torch.arange(len(pairs))).double().mean())


def _shares(values: Tensor, bins: int) -> NDArray[np.float64]:
    """The histogram over the last dimension of values in [0, 1]: the share in each bin."""
    places = (values * bins).long().clamp(0, bins - 1)
    counts = torch.zeros(*values.shape[:-1], bins, dtype=torch.float64)
    counts.scatter_add_(-1, places, torch.ones_like(places, dtype=torch.float64))
    shares: NDArray[np.float64] = (counts / values.shape[-1]).numpy()
    return shares
