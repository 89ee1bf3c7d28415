"""Filters of several runs, moved by gradient descent inside the span of their patches.

A gradient with respect to a filter is a combination of training patches, so with w = w(0) + sum_k
c_k x_k it is enough to follow the coefficients c: all that training reads, the inner products <w,
x_k>, follows from the Gram matrix of the patches. That is exact, costs K^2 instead of 2 K d a
filter and step, and runs with the same patches share one matrix product. Where there are more than
2d patches it is cheaper to move the filters themselves.

Legend: B runs that still move, R filters of a run, K patches of a run, d length of a patch.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from workloads.two_layer_cnn.data import Samples
from workloads.two_layer_cnn.spec import TwoLayerSpec

__all__ = ["Span", "tables"]


class Span:
    """B runs with filters [B, R, d], each with one of the patch tables `rows` [K, d].

    owner: the table of each run, in increasing order; scale [B, K]: what its patches are multiplied
    by in a run.
    """

    def __init__(
        self,
        initial: Tensor,
        rows: Sequence[Tensor],
        owner: Sequence[int],
        scale: Tensor,
        *,
        gram: bool | None = None,
    ) -> None:
        assert list(owner) == sorted(owner), "runs that share patches stand together"
        self._rows = list(rows)
        self._owner = torch.tensor(list(owner))
        self._initial, self._scale = initial, scale[:, None]

        patches, dim = rows[0].shape
        self.gram = patches < 2 * dim if gram is None else gram
        # What coordinates are multiplied by to give the products of filters and patches.
        self._read = [table @ table.T if self.gram else table.T for table in self._rows]

        self.runs = torch.arange(len(initial))
        self.coordinates = initial.new_zeros(*initial.shape[:2], patches if self.gram else dim)

        self._shares = self._find_shares()
        self._start = torch.empty(
            *initial.shape[:2], patches, dtype=initial.dtype, device=initial.device
        )
        for table, where in self._shares:
            self._start[where] = initial[where] @ self._rows[table].T
        self._products = self._now()

    @property
    def tables(self) -> list[int]:
        """Return which tables of patches the runs that still move have."""
        return [table for table, _ in self._shares]

    @property
    def activations(self) -> Tensor:
        """Return <w, patch> [B, R, K]."""
        return self._products * self._scale

    def descend(self, gradient: Tensor) -> None:
        """Move against a gradient with respect to the activations [B, R, K].

        It is already multiplied by the learning rates.
        """
        change = gradient * self._scale
        if self.gram:
            self.coordinates -= change
        else:
            for table, where in self._shares:
                self.coordinates[where] -= change[where] @ self._rows[table]
        self._products = self._now()

    def show(self, last: Mapping[int, Tensor]) -> None:
        """Replace the last patches [., d] of tables.

        Needs a span without a Gram matrix: that one's coordinates are of the patches.
        """
        assert not self.gram, "coordinates are of the patches"
        for table, where in self._shares:
            if table in last:
                kept = self._rows[table][: -len(last[table])]
                self._rows[table] = torch.cat([kept, last[table]])
                self._read[table] = self._rows[table].T
                self._start[where] = self._initial[where] @ self._read[table]
        self._products = self._now()

    def keep(self, mask: Tensor) -> None:
        """Go on with some of the runs [B] only."""
        self.runs, self._owner = self.runs[mask], self._owner[mask]
        self._shares = self._find_shares()
        self._initial, self._scale = self._initial[mask], self._scale[mask]
        self._start, self._products = self._start[mask], self._products[mask]
        self.coordinates = self.coordinates[mask]

    def move_to(self, coordinates: Tensor) -> None:
        """Continue from the `coordinates` of an equal span."""
        self.coordinates = coordinates.to(self._start, copy=True)
        self._products = self._now()

    def filters(self) -> Tensor:
        """Return w [B, R, d]."""
        if not self.gram:
            return self._initial + self.coordinates
        moved = torch.empty_like(self._initial)
        for table, where in self._shares:
            moved[where] = self._initial[where] + self.coordinates[where] @ self._rows[table]
        return moved

    def norms(self) -> Tensor:
        """Return ||w|| [B, R]."""
        if not self.gram:
            norms: Tensor = self.filters().norm(dim=2)
            return norms
        # ||w||^2 = ||w(0)||^2 + c . (2 X w(0) + X X^T c), and the products are X w = X w(0) + X X^T
        # c.
        squares = self._initial.square().sum(2) + (
            self.coordinates * (self._start + self._products)
        ).sum(2)
        return squares.clamp_(min=0).sqrt_()

    def along(self, direction: Tensor) -> Tensor:
        """Return <w, direction> [B, R]."""
        along = self._initial @ direction
        if self.gram:
            for table, where in self._shares:
                along[where] += self.coordinates[where] @ (self._rows[table] @ direction)
        else:
            along += self.coordinates @ direction
        return along

    def _now(self) -> Tensor:
        """<w, row> [B, R, K], from the start each time, so that no rounding errors add up."""
        products = torch.empty_like(self._start)
        for table, where in self._shares:
            torch.addmm(
                self._start[where].flatten(0, 1),
                self.coordinates[where].flatten(0, 1),
                self._read[table],
                out=products[where].flatten(0, 1),
            )
        return products

    def _find_shares(self) -> list[tuple[int, slice]]:
        """Each table with its runs, which stand together."""
        counts = torch.bincount(self._owner, minlength=len(self._rows)).tolist()
        shares, first = [], 0
        for table, count in enumerate(counts):
            if count:
                shares.append((table, slice(first, first + count)))
            first += count
        return shares


def tables(
    specs: Sequence[TwoLayerSpec],
    identity: Callable[[TwoLayerSpec], object],
    draw: Callable[[TwoLayerSpec], Samples],
) -> tuple[list[Samples], list[int]]:
    """Draw the different inputs of some runs, each once, and tell which of them each run has.

    Equal ones must stand together.
    """
    found: dict[object, int] = {}
    drawn: list[Samples] = []
    owner = []
    for spec in specs:
        table = found.setdefault(identity(spec), len(found))
        if table == len(drawn):
            drawn.append(draw(spec))
        owner.append(table)
    return drawn, owner
