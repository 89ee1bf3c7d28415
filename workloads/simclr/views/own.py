"""Augmentation operations of somebody's own, in their place among the built-in ones.

An own operation is a function that is called with images float32 [N, 3, S, S] in [0, 1], with what
is random about each of them (`Draws`) and its options, and gives as many images of that size in
[0, 1]. What it does to an image may depend on that image and its draws only, and not on the others
of the batch: a worker sees its share of a batch, and views do not depend on the number of workers.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import torch
from pydantic import BaseModel
from torch import Generator, Tensor

from workloads.named_parts import find_named, pinned_named
from workloads.option_values import Options
from workloads.parts import OPERATIONS, OwnPart
from workloads.simclr.spec import AugmentSpec
from workloads.spec import SpecError

__all__ = [
    "Draws",
    "Operates",
    "OwnParameters",
    "apply_own",
    "draw_own",
    "operation_problems",
    "pinned_operations",
]

OPERATION = "augment.operations"  # the field
SIDE, FEW = 16, 4  # of the images on which an operation is tried before a run


@dataclass(frozen=True)
class OwnParameters:
    """One 63-bit seed an image, int64 `[N]`: all that is random is a function of it."""

    seed: Tensor


class Draws:
    """Random numbers for N images, each image's a function of its own seed and of the call.

    The first call gives the same numbers whenever an operation is applied, the second others, and
    so on. They lie on the device of the images, and are equal on all up to rounding.
    """

    def __init__(self, seed: Tensor) -> None:
        self._seed, self._call = seed, 0

    def uniform(self, low: float = 0.0, high: float = 1.0, shape: tuple[int, ...] = ()) -> Tensor:
        """Draw from U(low, high), float32 `[N, *shape]`."""
        drawn = low + (high - low) * self._drawn(math.prod(shape))
        return drawn.view(-1, *shape).float()

    def normal(self, shape: tuple[int, ...] = ()) -> Tensor:
        """Draw from N(0, 1), float32 `[N, *shape]`."""
        # by the quantile, with numbers strictly between 0 and 1
        drawn = self._drawn(math.prod(shape)) + 2.0**-54
        return (math.sqrt(2) * torch.erfinv(2 * drawn - 1)).view(-1, *shape).float()

    def coin(self, probability: float) -> Tensor:
        """Draw a boolean an image, `[N]`, true with a probability."""
        return self._drawn(1)[:, 0] < probability

    def _drawn(self, count: int) -> Tensor:
        """Numbers in [0, 1), float64 `[N, count]`: SplitMix64 of seed, call and position."""
        self._call += 1
        position = torch.arange(1, count + 1, device=self._seed.device)
        stream = _mixed(self._seed + _signed(0x9E3779B97F4A7C15 * self._call % 2**64))
        bits = _mixed(stream[:, None] + _signed(0xD1B54A32D192ED03) * position)
        return _shifted(bits, 11).double() * 2.0**-53


class Operates(Protocol):
    """What an own operation is, with options as one frozen pydantic class or one parameter each."""

    def __call__(self, images: Tensor, draws: Draws, *, options: Any) -> Tensor:
        """Return images [N, 3, S, S] in [0, 1] of such images."""


def draw_own(count: int, generator: Generator) -> OwnParameters:
    """Draw seeds only: what an image's operation draws is drawn from its own when it is applied."""
    return OwnParameters(seed=torch.randint(2**63 - 1, (count,), generator=generator))


def apply_own(view: Tensor, operation: str, drawn: OwnParameters, augment: AugmentSpec) -> Tensor:
    """Apply an own operation to images `[N, 3, S, S]` in [0, 1].

    Raises SpecError for what cannot be found, and for what it gives that is no such images.
    """
    part, options = _found(operation, augment.options, augment.code)
    made = part.make(view, Draws(drawn.seed.to(view.device)), options=options)
    if problem := _shape_problem(made, view):
        raise SpecError([f"{_named(operation)}: {problem}"])
    # Beyond [0, 1] is what rounding does; more was refused before the run, on a few images.
    return torch.as_tensor(made).to(view.dtype).clamp(0, 1)


def pinned_operations(augment: AugmentSpec) -> AugmentSpec:
    """Return the policy with code and all options of its own operations pinned. Raises SpecError.

    A part whose code is another than was pinned is an error.
    """
    if not augment.own:
        return augment
    return augment.with_values(
        pinned_named(OPERATIONS, OPERATION, augment.own, augment.options, augment.code)
    )


@lru_cache(maxsize=64)
def operation_problems(augment: AugmentSpec) -> tuple[str, ...]:
    """Say why own operations cannot be used, by trying each on a few images; empty where they can.

    What is seen of one image must not depend on the others, nor on when it is seen.
    """
    problems = list[str]()
    for operation in augment.own:
        try:
            problem = _tried(operation, augment)
        except SpecError as error:
            problems += error.problems
        except Exception as error:  # noqa: BLE001  # whatever its author's code raises
            told = " ".join(str(error).split())
            problems.append(
                f"{_named(operation)}: fails on images [{FEW}, 3, {SIDE}, {SIDE}]: "
                f"{type(error).__name__}: {told}"
            )
        else:
            problems += [f"{_named(operation)}: {problem}"] if problem else []
    return tuple(problems)


def _tried(operation: str, augment: AugmentSpec) -> str | None:
    part, options = _find(operation, augment.options, augment.code)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(FEW, 3, SIDE, SIDE, generator=generator)
    seed = draw_own(FEW, generator).seed

    def seen(rows: slice) -> Any:
        with torch.random.fork_rng(devices=[]):
            return part.make(images[rows].clone(), Draws(seed[rows]), options=options)

    whole = seen(slice(None))
    if problem := _shape_problem(whole, images):
        return problem
    if not bool(torch.isfinite(whole).all()):
        return "gives numbers that are not finite"
    low, high = float(whole.min()), float(whole.max())
    if low < -1e-3 or high > 1 + 1e-3:
        return f"gives values from {low:.3g} to {high:.3g}, and not in [0, 1]"
    half = FEW // 2
    apart = torch.cat([seen(slice(0, half)), seen(slice(half, FEW))])
    if not torch.allclose(whole.float(), apart.float(), atol=1e-4):
        return (
            "gives an image another view when others are beside it, or when it is called again; "
            "what is random has to be drawn from `draws`, and an image seen by itself"
        )
    return None


def _shape_problem(made: object, view: Tensor) -> str | None:
    if not isinstance(made, Tensor) or not made.is_floating_point():
        what = made.dtype if isinstance(made, Tensor) else type(made).__name__
        return f"gives {what}, and not images of floating point"
    if made.shape != view.shape:
        return f"gives {list(made.shape)} for images {list(view.shape)}"
    return None


def _find(operation: str, options: Options, code: Options) -> tuple[OwnPart, BaseModel]:
    return find_named(OPERATIONS, OPERATION, operation, options, code)


_found = lru_cache(maxsize=64)(_find)  # found once for all batches


def _named(operation: str) -> str:
    return f"augment.operations={operation!r}"


def _signed(bits: int) -> int:
    """64 bits as torch's int64 has them."""
    return bits - (1 << 64) if bits >= 1 << 63 else bits


def _shifted(bits: Tensor, by: int) -> Tensor:
    """A shift to the right that brings in zeros, which torch's does not."""
    return (bits >> by) & ((1 << (64 - by)) - 1)


def _mixed(bits: Tensor) -> Tensor:
    """The finalizer of SplitMix64 (Steele, Lea & Flood 2014), on int64 that wraps around."""
    bits = (bits ^ _shifted(bits, 30)) * _signed(0xBF58476D1CE4E5B9)
    bits = (bits ^ _shifted(bits, 27)) * _signed(0x94D049BB133111EB)
    return bits ^ _shifted(bits, 31)
