"""Which of a file's encoders is meant, and what becomes of all that lies beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from workloads.simclr.published_files import Held, listed
from workloads.simclr.published_fit import fits
from workloads.simclr.published_layouts import Found, Key, unwrapped
from workloads.spec import SpecError

__all__ = ["Choice", "chosen", "is_said", "is_within", "left_over", "not_read", "others_left_out"]

LAST_CHILD = 7  # the last stage's number in a Sequential of a ResNet's children


@dataclass(frozen=True)
class Choice:
    """What a person says of a file: below which prefix the encoder is, and what is not needed.

    `ignore` has beginnings of keys. The other two are how one says so, for messages.
    """

    prefix: str | None = None
    ignore: tuple[str, ...] = ()
    prefix_by: str = "--weights-prefix "
    ignore_by: str = "--weights-ignore "


def chosen(
    every: Sequence[Found], held: Held, needed: Mapping[str, tuple[int, ...]], choice: Choice
) -> Found:
    """Return the encoder that was asked for, else the only one that fits, else the largest.

    Raises SpecError where there is none below the prefix, and where several fit that differ.
    """
    prefixes = ", ".join(one.prefix or "nothing" for one in every)
    if choice.prefix is not None:
        wanted = f"{choice.prefix.rstrip('.')}." if choice.prefix else ""
        named = [one for one in every if one.prefix == wanted]
        named = named or [one for one in every if f".{one.prefix}".endswith(f".{wanted}")]
        named = named or [one for one in every if unwrapped(one.prefix) == unwrapped(wanted)]
        if len(named) != 1:
            what = "no encoder is" if not named else "several encoders are"
            raise SpecError(
                [
                    f"{choice.prefix_by}{choice.prefix}: {what} below that; there is one below "
                    f"each of: {prefixes}"
                ]
            )
        return named[0]

    fitting = [one for one in every if not one.refused and fits(one.tensors(held), needed)]
    if len(fitting) > 1 and not _are_equal(fitting, held):
        names = [one.prefix or "nothing" for one in fitting]
        raise SpecError(
            [
                f"holds {len(fitting)} encoders that fit, below {', '.join(names)}; say which "
                f"one is meant: {choice.prefix_by}{fitting[0].prefix or repr('')}"
            ]
        )
    return fitting[0] if fitting else every[0]


def left_over(
    foreign: Sequence[Key],
    rest: Sequence[Key],
    found: Found,
    choice: Choice,
) -> list[str]:
    """Return problems with keys beside the encoder that nobody has said to be not needed."""
    problems = []
    if within := [name for place, name in foreign if is_within((place, name), found)]:
        problems.append(
            f"keys in the encoder's layers that this encoder has not ({len(within)}): "
            f"{listed(within)}"
        )
    if beside := [name for _, name in foreign if name not in within]:
        first = list(dict.fromkeys(unwrapped(name).split(".")[0] for name in beside))
        say = " ".join(f"{choice.ignore_by}{name}" for name in first[:3])
        problems.append(
            f"keys neither of the encoder nor of a head by their names ({len(beside)}): "
            f"{listed(beside)}; leave out what is not needed: {say}"
        )
    for beginning in choice.ignore:
        if not any(is_said(key, Choice(ignore=(beginning,))) for key in rest):
            problems.append(f"{choice.ignore_by}{beginning}: no key beside the encoder begins so")
    return problems


def others_left_out(others: Sequence[Found], found: Found) -> list[str]:
    """Return a note on each encoder of the file that was not taken."""
    own = {*found.names.values()}
    return [
        f"left out another encoder below {one.prefix or 'nothing'} ({len(one.names)} keys)"
        for one in others
        if not own & {*one.names.values()}
    ]


def not_read(held: Held, known: set[Key], found: Found) -> list[str]:
    """Return a note on tensors elsewhere in the file, such as an optimizer's, if there are any."""
    counts: dict[str, int] = {}
    for place, tensors in held.items():
        for name in tensors:
            if (place, name) not in known and (place, name) not in found.names.values():
                where = (place or name).split(".")[0]
                counts[where] = counts.get(where, 0) + 1
    if not counts:
        return []
    listing = listed(f"{where} ({count})" for where, count in counts.items())
    return [f"tensors elsewhere in the file are not read: {listing}"]


def is_within(key: Key, found: Found) -> bool:
    """Tell whether a key lies in a layer of the encoder's own: it is another network then."""
    full = ".".join(part for part in key if part)
    if not full.startswith(found.prefix):
        return False
    first = unwrapped(full.removeprefix(found.prefix)).split(".")[0]
    return first.startswith(("conv1", "bn1", "layer", "stages")) or (
        first.isdecimal() and int(first) <= LAST_CHILD and found.layout.startswith("a Sequential")
    )


def is_said(key: Key, choice: Choice) -> bool:
    """Tell whether a key was said to be not needed."""
    name = key[1]
    return any(
        name.startswith(beginning) or unwrapped(name).startswith(beginning)
        for beginning in choice.ignore
    )


def _are_equal(every: Sequence[Found], held: Held) -> bool:
    first, *others = [one.tensors(held) for one in every]
    return all(
        one.keys() == first.keys() and all(torch.equal(first[name], one[name]) for name in first)
        for one in others
    )
