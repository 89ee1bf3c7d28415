"""How a heading is named in links: as where the repository is read."""

import re

__all__ = ["slug"]


def slug(heading: str, _separator: str = "-") -> str:
    """Name a heading as GitHub does: words in lower case, a hyphen for each blank."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
