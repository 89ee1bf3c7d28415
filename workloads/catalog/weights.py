"""Encoders that were trained elsewhere and are evaluated here, and ours that go elsewhere."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workloads.catalog.simclr_data import prepared
from workloads.datasets.spec import forget_newer_fields
from workloads.evaluation.features.digests import tensors_digest
from workloads.evaluation.pinned import pinned
from workloads.evaluation_result import CardResult
from workloads.simclr.export import CARD, FILES, FORMATS, exported
from workloads.simclr.published import Choice, state_of_weights
from workloads.simclr.spec import RunSpec
from workloads.simclr.supervised import is_supervised
from workloads.spec import SpecError, digest
from workloads.workload import ReadWeights, State

if TYPE_CHECKING:
    from torch import nn

__all__ = ["PublishedEncoders"]


class PublishedEncoders:
    """SimCLR's encoders in the layouts that others publish and load."""

    card: str = CARD
    files: Mapping[str, str] = {str(format): FILES[format] for format in FORMATS}

    def read(
        self,
        source: str,
        spec: RunSpec,
        *,
        download: bool,
        prefix: str | None = None,
        ignore: Sequence[str] = (),
    ) -> ReadWeights[RunSpec]:
        """Read a published encoder as a run. Raises SpecError for a supervised specification.

        There is an encoder and nothing else: no classifier that was trained beside it.
        """
        asked, data = prepared(spec.with_values({"eval.online": False}), download=download)
        asked = pinned(asked)
        if is_supervised(asked):
            raise SpecError(
                ["loss.name=cross-entropy: weights from elsewhere come without their classifier"]
            )

        state, notes = state_of_weights(source, asked, Choice(prefix, tuple(ignore)))
        tree = asked.tree()
        forget_newer_fields(tree["data"])
        used_as = {
            "weights": tensors_digest(state["model"]),
            "encoder": tree["encoder"],
            "view_size": asked.view_size,
            "precision": asked.precision,
            "data": {
                name: value
                for name, value in tree["data"].items()
                if name != "root" or asked.data.content is None
            },
        }
        return ReadWeights(asked, state, data, digest(used_as), notes)

    def known(self, spec: RunSpec) -> dict[str, Any]:
        """Return the encoder, the data and what evaluations read; who trained it knows the rest."""
        tree = spec.tree()
        of_evaluations = ("data", "augment", "encoder", "eval", "seed", "precision")
        return {name: tree[name] for name in of_evaluations}

    def network(self, state: State, spec: RunSpec) -> "tuple[nn.Module, int]":
        """Return the encoder by itself, and the side of the views that it was trained on."""
        import torch

        from workloads.distributed.worker import Worker
        from workloads.simclr.trained import load_encoder

        return load_encoder(spec, state, Worker(torch.device("cpu"))), spec.view_size

    def write(
        self,
        state: State,
        spec: RunSpec,
        format: str,
        results: Sequence[CardResult],
        *,
        run: str,
        published: str | None,
    ) -> dict[str, bytes]:
        """Write the encoder in one of the formats, with its model card."""
        for known in FORMATS:
            if known == format:
                return exported(state, spec, known, results, run=run, published=published)
        raise SpecError([f"--format {format}: no such format; known are {', '.join(FORMATS)}"])
