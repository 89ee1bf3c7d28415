"""Ablations that other distributions offer, each imported once it is asked for and not before."""

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points

from search_spaces.ablation import Ablation

__all__ = ["Offered", "OfferedError"]

GROUP = "simclr_orch.ablations"


class OfferedError(ValueError):
    """An entry point that gives no ablation; the text names it and its distribution."""


class Offered(Mapping[str, Ablation]):
    """The ablations by name: those that are built in, and those of other distributions.

    Names are known without an import, so that an entry point that fails stops only whoever asks for
    its ablation: looking it up raises OfferedError.
    """

    def __init__(self, built_in: Mapping[str, Ablation]) -> None:
        self._built_in = built_in
        points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
        self._points = {point.name: point for point in points if point.name not in built_in}

    def __getitem__(self, name: str) -> Ablation:
        if name not in self._points:
            return self._built_in[name]
        point = self._points[name]
        whose = f"entry point {name!r} = {point.value!r} of {_distribution(point)}"
        try:
            found = point.load()
        except Exception as error:  # whatever its author's code raises
            why = " ".join(str(error).split())
            raise OfferedError(
                f"{name}: {whose} cannot be imported: {type(error).__name__}: {why}"
            ) from error
        if not isinstance(found, Ablation):
            raise OfferedError(f"{name}: {whose} is {type(found).__name__}, and not an Ablation")
        return found

    def __iter__(self) -> Iterator[str]:
        yield from self._built_in
        yield from self._points

    def __len__(self) -> int:
        return len(self._built_in) + len(self._points)

    def __contains__(self, name: object) -> bool:
        return name in self._built_in or name in self._points


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"
