"""What a person asks `evaluate` for."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Question"]


@dataclass(frozen=True)
class Question:
    """A wish to evaluate something: a run by the beginning of its fingerprint, or weights.

    Published weights are given by their file or name, and come without a specification: `preset`
    or `config`, with the assignments, say which encoder they are of and which data they are
    evaluated on; `prefix` below which names it is in a file with several, and `ignore` how the
    names begin of what is not needed.
    """

    subject: str
    protocol: str = "linear"
    assignments: tuple[str, ...] = ()
    preset: str | None = None
    config: Path | None = None
    download: bool = False
    prefix: str | None = None
    ignore: tuple[str, ...] = ()

    @property
    def is_of_weights(self) -> bool:
        """True for a file, and for the name of weights that torchvision publishes."""
        return self.subject.startswith("torchvision:") or _is_file(self.subject)


def _is_file(subject: str) -> bool:
    try:
        return Path(subject).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):
        return False  # no name of a file: too long, or a home that nobody has
