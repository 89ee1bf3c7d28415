"""Views of images as pixels for people: what training sees, and what each operation does alone.

Views are made by the objective that training makes them by, so that what is shown is what a network
gets: both branches of an asymmetric policy, the one view of a supervised run, own operations.

Legend: N images, P draws of views, V views of an image (2, or 1 of a supervised run), S side.
"""

import torch
from torch import Generator, Tensor

from workloads.parts import option_name
from workloads.seeds import seed_of
from workloads.shown import OperationAlone, Pixels
from workloads.simclr.objective import objective_of
from workloads.simclr.spec import AugmentSpec, RunSpec
from workloads.simclr.views.parameters import draw_view
from workloads.simclr.views.policy import apply_view

__all__ = ["as_pixels", "example_views", "operations_alone"]


def example_views(spec: RunSpec, images: Tensor, n: int, side: int | None = None) -> Pixels:
    """Make the views of `n` training steps of uint8 images [N, 3, H, W]: [N, n, V, S, S, 3] uint8.

    First all that the first branch sees, then the second: [:, :, 0] and [:, :, 1]. They depend on
    the seed of the specification only. S is `side`, one of `schedule.image_sizes`, or else the size
    of evaluation. Raises SpecError for an own operation that cannot be found.
    """
    objective = objective_of(spec, side)
    count, _, height, width = images.shape
    made = list[Tensor]()
    for step in range(n):
        generator = Generator().manual_seed(seed_of(spec.seed, "views", step))
        drawn = objective.draw(count, height, width, generator)
        views = drawn(images, slice(0, count))
        made.append(views.view(objective.views_per_image, count, *views.shape[1:]))
    return as_pixels(torch.stack(made).permute(2, 0, 1, 4, 5, 3))


def operations_alone(spec: RunSpec, images: Tensor, n: int) -> tuple[OperationAlone, ...]:
    """Apply each operation of the policy by itself, `n` times, to uint8 images [N, 3, H, W].

    In the order of the policy; an operation with a probability acts on every image here.
    """
    return tuple(_alone(operation, spec, images, n) for operation in spec.augment.operations)


def as_pixels(views: Tensor) -> Pixels:
    """Return values in [0, 1] as uint8 of the same shape, rounded."""
    rounded: Pixels = (views * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    return rounded


def _alone(operation: str, spec: RunSpec, images: Tensor, n: int) -> OperationAlone:
    augment, parameters = spec.augment, _parameters(operation, spec.augment)
    probability = parameters.pop("probability", None)
    values: dict[str, object] = {"operations": [operation]}
    if probability is not None:
        values[f"{operation}.probability"] = 1.0
    alone = augment.with_values(values)

    count, _, height, width = images.shape
    generator = Generator().manual_seed(seed_of(spec.seed, f"shown {operation}"))
    several = images.repeat_interleave(n, dim=0)
    views = apply_view(several, draw_view(alone, count * n, height, width, generator), alone)
    by_image = views.view(count, n, *views.shape[1:]).permute(0, 1, 3, 4, 2)
    known = None if probability is None else float(str(probability))
    return OperationAlone(operation, parameters, known, as_pixels(by_image))


def _parameters(operation: str, augment: AugmentSpec) -> dict[str, object]:
    if operation in augment.own:
        options: dict[str, object] = augment.options.get(option_name(operation), {})
        return dict(options)
    part: dict[str, object] = augment.tree()[operation]
    return dict(part)
