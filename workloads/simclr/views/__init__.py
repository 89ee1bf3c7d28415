"""Two random views of each image (section 2.1, appendix A), drawn apart from being applied."""

from workloads.simclr.views.own import Draws, operation_problems, pinned_operations
from workloads.simclr.views.parameters import (
    TwoViewParameters,
    ViewParameters,
    draw_two_views,
    draw_view,
)
from workloads.simclr.views.policy import apply_two_views, apply_view, center_view, two_views

__all__ = [
    "Draws",
    "TwoViewParameters",
    "ViewParameters",
    "apply_two_views",
    "apply_view",
    "center_view",
    "draw_two_views",
    "draw_view",
    "operation_problems",
    "pinned_operations",
    "two_views",
]
