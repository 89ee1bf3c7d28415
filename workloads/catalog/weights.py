"""Encoders that come from elsewhere, and ours that go there: of the one workload that has
encoders.
"""

from workloads.catalog.simclr import SIMCLR
from workloads.simclr.export import CARD, FILES, FORMATS, CardResult, ExportFormat, exported
from workloads.simclr.published import state_of_weights
from workloads.simclr.spec import RunSpec
from workloads.simclr.supervised import is_supervised

__all__ = [
    "CARD",
    "FILES",
    "FORMATS",
    "SIMCLR",
    "CardResult",
    "ExportFormat",
    "RunSpec",
    "exported",
    "is_supervised",
    "state_of_weights",
]
