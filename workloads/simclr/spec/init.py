"""The weights that a run begins with, where they are not drawn from the seed."""

from typing import Any

from pydantic import Field

from workloads.spec import Part

__all__ = ["InitSpec", "keep_what_is_begun_with"]


class InitSpec(Part):
    """Given weights of the encoder; what follows it (head or classifier) is drawn from the seed."""

    weights: str | None = Field(
        None,
        description="a file or URI of an encoder, torchvision:NAME, or, for commands, the "
        "beginning of a run's fingerprint; null draws the encoder from the seed",
    )
    content: str | None = Field(
        None, description="digest of the encoder's tensors, by which it is known wherever it lies"
    )
    prefix: str | None = Field(
        None, description="what stands before the encoder's names in a file with several"
    )
    ignore: tuple[str, ...] = Field(
        (), description="how names begin in the file that are not needed, beside heads"
    )


def keep_what_is_begun_with(tree: dict[str, Any]) -> None:
    """Leave of the group `init` what can change a result: nothing without given weights."""
    init = tree.pop("init")
    if init["content"] is not None:
        tree["init"] = {"content": init["content"]}
    elif init["weights"] is not None:
        tree["init"] = init
