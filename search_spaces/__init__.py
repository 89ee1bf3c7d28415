"""Tables and figures of the paper that pre-training and its evaluation can answer, as data.

Standard library only. Among them are the theorems of Zhang & Cao (arXiv 2409.18685) on two-layer
CNNs, which their paper shows by no table.
"""

from collections.abc import Mapping

from search_spaces.ablation import Ablation, Overlay
from search_spaces.claims import UNTRAINED, Claim, Comparison, Term
from search_spaces.layout import Axis, Cell, Layout
from search_spaces.offered import Offered, OfferedError
from search_spaces.simclr_extensions.few_augmentations import FEW_AUGMENTATIONS
from search_spaces.simclr_extensions.head_depth import HEAD_DEPTH
from search_spaces.simclr_extensions.head_norm import HEAD_NORM
from search_spaces.simclr_extensions.optimizer import OPTIMIZER
from search_spaces.simclr_extensions.shortcuts import SHORTCUTS
from search_spaces.simclr_extensions.small_batches import SMALL_BATCHES
from search_spaces.simclr_extensions.steps import STEPS
from search_spaces.simclr_paper.all_labels import ALL_LABELS
from search_spaces.simclr_paper.augmentations import AUGMENTATIONS
from search_spaces.simclr_paper.batch_size import BATCH_SIZE
from search_spaces.simclr_paper.batch_temperature import BATCH_TEMPERATURE
from search_spaces.simclr_paper.broader_augmentation import BROADER_AUGMENTATION
from search_spaces.simclr_paper.color_strength import COLOR_STRENGTH
from search_spaces.simclr_paper.contrastive_gains import CONTRASTIVE_GAINS
from search_spaces.simclr_paper.encoder import ENCODER
from search_spaces.simclr_paper.few_labels import FEW_LABELS
from search_spaces.simclr_paper.flip_and_blur import FLIP_AND_BLUR
from search_spaces.simclr_paper.head import HEAD
from search_spaces.simclr_paper.linear_and_finetuned import LINEAR_AND_FINETUNED
from search_spaces.simclr_paper.losses import LOSSES
from search_spaces.simclr_paper.probes import PROBES
from search_spaces.simclr_paper.supervised import SUPERVISED
from search_spaces.simclr_paper.temperature import TEMPERATURE
from search_spaces.simclr_paper.transfer import TRANSFER
from search_spaces.two_layer_cnn.activation_power import ACTIVATION_POWER
from search_spaces.two_layer_cnn.augmentation_quality import AUGMENTATION_QUALITY
from search_spaces.two_layer_cnn.filter_count import FILTER_COUNT
from search_spaces.two_layer_cnn.fresh_views import FRESH_VIEWS
from search_spaces.two_layer_cnn.initial_scale import INITIAL_SCALE
from search_spaces.two_layer_cnn.label_complexity import LABEL_COMPLEXITY
from search_spaces.two_layer_cnn.label_threshold import LABEL_THRESHOLD
from search_spaces.two_layer_cnn.patch_dimension import PATCH_DIMENSION
from search_spaces.two_layer_cnn.pretraining_controls import PRETRAINING_CONTROLS
from search_spaces.two_layer_cnn.pretraining_steps import PRETRAINING_STEPS
from search_spaces.two_layer_cnn.signal_to_noise import SIGNAL_TO_NOISE
from search_spaces.two_layer_cnn.top_eigenvalue import TOP_EIGENVALUE
from search_spaces.two_layer_cnn.total_budget import TOTAL_BUDGET
from search_spaces.two_layer_cnn.unlabeled_data import UNLABELED_DATA
from search_spaces.values import Step, Times

__all__ = [
    "ABLATIONS",
    "OF_THE_PAPER",
    "UNTRAINED",
    "Ablation",
    "Axis",
    "Cell",
    "Claim",
    "Comparison",
    "Layout",
    "OfferedError",
    "Overlay",
    "Step",
    "Term",
    "Times",
    "every_ablation",
]

# In the order of each paper: the main text, the appendix, and what extends it.
ABLATIONS: dict[str, Ablation] = {
    "augmentations": AUGMENTATIONS,
    "color-strength": COLOR_STRENGTH,
    "encoder": ENCODER,
    "head": HEAD,
    "probes": PROBES,
    "losses": LOSSES,
    "temperature": TEMPERATURE,
    "batch-size": BATCH_SIZE,
    "contrastive-gains": CONTRASTIVE_GAINS,
    "few-labels": FEW_LABELS,
    "transfer": TRANSFER,
    "flip-and-blur": FLIP_AND_BLUR,
    "broader-augmentation": BROADER_AUGMENTATION,
    "all-labels": ALL_LABELS,
    "supervised": SUPERVISED,
    "linear-and-finetuned": LINEAR_AND_FINETUNED,
    "batch-temperature": BATCH_TEMPERATURE,
    "head-depth": HEAD_DEPTH,
    "head-norm": HEAD_NORM,
    "small-batches": SMALL_BATCHES,
    "steps": STEPS,
    "optimizer": OPTIMIZER,
    "few-augmentations": FEW_AUGMENTATIONS,
    "shortcuts": SHORTCUTS,
    "label-complexity": LABEL_COMPLEXITY,
    "label-threshold": LABEL_THRESHOLD,
    "activation-power": ACTIVATION_POWER,
    "unlabeled-data": UNLABELED_DATA,
    "signal-to-noise": SIGNAL_TO_NOISE,
    "top-eigenvalue": TOP_EIGENVALUE,
    "initial-scale": INITIAL_SCALE,
    "pretraining-steps": PRETRAINING_STEPS,
    "filter-count": FILTER_COUNT,
    "patch-dimension": PATCH_DIMENSION,
    "pretraining-controls": PRETRAINING_CONTROLS,
    "augmentation-quality": AUGMENTATION_QUALITY,
    "total-budget": TOTAL_BUDGET,
    "fresh-views": FRESH_VIEWS,
}
# Every table and figure of the SimCLR paper, without extensions.
OF_THE_PAPER = tuple(
    name
    for name, ablation in ABLATIONS.items()
    if ablation.workload == "simclr" and not ablation.extension
)


def every_ablation() -> Mapping[str, Ablation]:
    """Return the ablations by name: those of this package, and of other distributions.

    Another distribution offers one by an entry point of the group `simclr_orch.ablations`, whose
    name is the ablation's and whose value is `module:NAME`. It cannot take the name of one here,
    and is imported when it is looked up, which raises OfferedError where that fails.
    """
    return Offered(ABLATIONS)
