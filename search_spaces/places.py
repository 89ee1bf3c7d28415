"""Where cells are: places on axes, groups of them, and how both are named in a line of text."""

import itertools

__all__ = ["Group", "Place", "named", "places_of"]

Place = tuple[str, ...]
Group = Place | tuple[Place, ...]  # a cell, or several of which the mean is meant


def places_of(group: Group) -> tuple[Place, ...]:
    """Return one place or several as several: a place holds words, several hold places."""
    if not group:
        raise ValueError("a comparison needs a cell on each side")
    several: tuple[Place, ...] = tuple(part for part in group if isinstance(part, tuple))
    return several or (tuple(part for part in group if isinstance(part, str)),)


def named(group: Group) -> str:
    """Return the labels of a cell or of several.

    What several share is said once, and what differs stands in braces if they are all combinations.
    """
    places = places_of(group)
    if len(places) == 1:
        return " · ".join(places[0])

    columns = [tuple(dict.fromkeys(labels)) for labels in zip(*places, strict=True)]
    if set(itertools.product(*columns)) == set(places):
        return "mean of " + " · ".join(
            names[0] if len(names) == 1 else f"{{{', '.join(names)}}}" for names in columns
        )
    return f"mean of ({'; '.join(' · '.join(at) for at in places)})"
