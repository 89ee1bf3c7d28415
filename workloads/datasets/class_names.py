"""Names of classes as people see them: one name in two spellings is one class.

A Mac writes é as two characters and Linux as one; one part says Cat and the other cat; a blank at
the end is not to be seen. Names that are equal in all characters always go together. Others do
where it is plain which: each part has only one that looks so.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from workloads.inventory import shown

__all__ = ["Pairs", "display", "looks_like", "paired", "told_apart", "twice"]


@dataclass(frozen=True)
class Pairs:
    """Class names of two parts that belong together, in the order of the first; and what is left.

    `notes` say where one class has two spellings.
    """

    both: tuple[tuple[str, str], ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    notes: tuple[str, ...]


def looks_like(name: str) -> str:
    """Return what names have in common that look alike: the NFC form without blanks around."""
    return unicodedata.normalize("NFC", name).strip()


def _sounds_like(name: str) -> str:
    return unicodedata.normalize("NFC", looks_like(name).casefold())


def display(name: str) -> str:
    """Return a class's name as it is shown."""
    return shown(looks_like(name) or name)


def told_apart(name: str) -> str:
    """Return a name for a message, with all that cannot be seen written out."""
    plain = shown(name)
    return plain if plain == display(name) and plain.isprintable() else ascii(plain)


def twice(names: Iterable[str]) -> list[list[str]]:
    """Return names of one part that look alike, sorted, those of each look together."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(looks_like(name), []).append(name)
    return [sorted(alike) for _, alike in sorted(found.items()) if len(alike) > 1]


def paired(first: Sequence[str], second: Sequence[str]) -> Pairs:
    """Find out which names of two parts are of one class."""
    partner = {name: name for name in first if name in set(second)}
    for key in (looks_like, _sounds_like):
        partner |= _pairs_by(key, first, second, partner)

    second_used = set(partner.values())
    pairs = [(name, partner[name]) for name in first if name in partner]
    return Pairs(
        tuple(pairs),
        tuple(name for name in first if name not in partner),
        tuple(name for name in second if name not in second_used),
        tuple(
            f"one class: {shown(one)!a} and {shown(other)!a}"
            for one, other in pairs
            if one != other
        ),
    )


def _pairs_by(
    key: Callable[[str], str], first: Sequence[str], second: Sequence[str], before: dict[str, str]
) -> dict[str, str]:
    """Pairs of names that are the only ones of their part with a key, beside those of before."""
    of_first, of_second = Counter(map(key, first)), Counter(map(key, second))
    left = {key(name): name for name in second if name not in set(before.values())}
    return {
        name: left[key(name)]
        for name in first
        if name not in before
        and key(name) in left
        and of_first[key(name)] == of_second[key(name)] == 1
    }
