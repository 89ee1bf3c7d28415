"""The paper's ablations as data. Standard library only."""

from search_spaces.ablation import Ablation, Axis, Cell, Claim, Layout, Times
from search_spaces.augmentations import AUGMENTATIONS
from search_spaces.batch_size import BATCH_SIZE
from search_spaces.head import HEAD
from search_spaces.temperature import TEMPERATURE

__all__ = ["ABLATIONS", "Ablation", "Axis", "Cell", "Claim", "Layout", "Times"]

ABLATIONS: dict[str, Ablation] = {
    "augmentations": AUGMENTATIONS,
    "temperature": TEMPERATURE,
    "batch-size": BATCH_SIZE,
    "head": HEAD,
}
