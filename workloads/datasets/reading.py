"""How the images of a data set are read, besides their size."""

from dataclasses import dataclass, field

from workloads.datasets.spec import MAX_PIXELS, DataSpec
from workloads.datasets.value_range import Ranges

__all__ = ["Reading", "fields_of", "reading_of"]


@dataclass(frozen=True)
class Reading:
    """What `DataSpec` says of it.

    `channels` are the three bands to take, from 1, or None for grey or RGB; `max_pixels` is the
    size beyond which an image is refused, `ranges` what becomes 0 and 255 of deep samples.
    """

    channels: tuple[int, int, int] | None = None
    max_pixels: int = MAX_PIXELS
    ranges: Ranges = field(default_factory=Ranges)


def reading_of(spec: DataSpec, ranges: Ranges | None = None) -> Reading:
    """Return how images are read, by `ranges` if these are known by now."""
    if ranges is None:
        ranges = Ranges() if spec.value_range is None else Ranges(*[spec.value_range] * 2)
    return Reading(spec.channels, spec.max_pixels, ranges)


def fields_of(spec: DataSpec) -> dict[str, str | int]:
    """Return the fields that change stored pixels, where they are not what they were at first."""
    fields: dict[str, str | int] = {}
    if spec.channels is not None:
        fields["channels"] = str(list(spec.channels))
    if spec.value_range is not None:
        fields["value_range"] = str(list(spec.value_range))
    if spec.max_pixels != MAX_PIXELS:
        fields["max_pixels"] = spec.max_pixels
    return fields
