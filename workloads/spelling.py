"""What a mistyped name could have meant: one rule for every name that a person types."""

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean X?", or nothing where no known name is near."""
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else ""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is nearest to one; None where none is near.

    Upper and lower case are alike; so are hyphens, underscores and blanks.
    """
    plain = {_plain(one): one for one in known}
    near = difflib.get_close_matches(_plain(name), plain, n=1)
    return plain[near[0]] if near else None


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-").replace(" ", "-")
