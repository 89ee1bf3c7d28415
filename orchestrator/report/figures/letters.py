"""Letters in figures: each is drawn by a font that has it, or written by its number.

matplotlib's own font has no Chinese, Japanese or Korean, for instance: boxes would stand for them.
"""

import textwrap
import unicodedata
from collections.abc import Iterable
from functools import cache

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

__all__ = ["cut", "filled", "spell", "written"]

FIRST = "DejaVu Sans"  # which matplotlib brings with it
_BESIDE = "\uf8ff"  # the second column of a wide letter
MATH = "$\\math"  # how matplotlib writes the numbers of an axis
# Fonts with symbols in the places of letters, and with a box for every letter.
_NO_LETTERS = ("cm", "stix", "lastresort", ".lastresort")


def written(text: str) -> str:
    """Return a text with the number of each letter that no font here has, as U+72AC.

    Bytes of names that are no text are written as \\xe9, and accents are put onto their letters.
    """
    found, numbered = "", False
    for letter in unicodedata.normalize("NFC", text):
        if letter == "\n" or _font_of(letter) is not None:
            # a letter after a number would look like a digit of it
            found += f" {letter}" if numbered and letter.isalnum() else letter
            numbered = False
        elif "\udc80" <= letter <= "\udcff":
            found += f"\\x{ord(letter) - 0xDC00:02x}"
            numbered = False
        else:
            found += f"{' ' if found and found[-1].isalnum() else ''}U+{ord(letter):04X}"
            numbered = True
    return found


def spell(figure: Figure) -> None:
    """Make every text of a figure one that can be drawn; a dollar sign begins no formula in it.

    Called once, when all is on it.
    """
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            labels = axis.get_ticklabels()
            words = [label.get_text() for label in labels]
            changed = [word if word.startswith(MATH) else _literal(word) for word in words]
            if changed != words:
                axis.set_ticklabels(changed)
            for label, word in zip(labels, changed, strict=True):
                label.set_fontfamily(_families(word))
    ticks = {id(one) for axes in figure.axes for one in _tick_labels(axes.get_children())}
    for text in figure.findobj(Text):
        if isinstance(text, Text) and id(text) not in ticks and text.get_text():
            text.set_text(_literal(text.get_text()))
            text.set_fontfamily(_families(text.get_text()))


def cut(text: str, columns: int) -> str:
    """Return a text of so many columns at most, with an ellipsis where something is left out."""
    wide = _widened(text)
    if len(wide) <= columns:
        return text
    return wide[: columns - 1].replace(_BESIDE, "").rstrip() + "\u2026"


def filled(text: str, columns: int, *, most_lines: int | None = None) -> str:
    """Break a text into lines of so many columns, as `textwrap` does."""
    lines = textwrap.fill(_widened(text), columns, max_lines=most_lines, placeholder=" ...")
    return lines.replace(_BESIDE, "")


def _widened(text: str) -> str:
    """A letter of East Asia takes two columns."""
    return "".join(
        letter + (_BESIDE if unicodedata.east_asian_width(letter) in "WF" else "")
        for letter in text
    )


def _tick_labels(children: Iterable[object]) -> Iterable[Text]:
    for child in children:
        if hasattr(child, "get_ticklabels"):
            yield from child.get_ticklabels(which="both")


def _literal(text: str) -> str:
    return written(text).replace("$", "\\$")


def _families(text: str) -> list[str]:
    """The fonts that the letters of a text need, the usual one first."""
    fonts = (_font_of(letter) for letter in text)
    return list(dict.fromkeys([FIRST, *(font for font in fonts if font is not None)]))


@cache
def _font_of(letter: str) -> str | None:
    """The family of a font that has a letter, the usual one if it can; None where none has it."""
    if unicodedata.category(letter) in ("Cc", "Co", "Cs"):
        return None
    for family in [FIRST] if ord(letter) in _letters(FIRST) else _others():
        if ord(letter) in _letters(family):
            return family
    return None


@cache
def _others() -> tuple[str, ...]:
    """The families of the system's fonts, those without serifs first."""
    names = {
        font.name
        for font in fontManager.ttflist
        if font.style == "normal" and str(font.weight) in ("400", "normal", "regular")
    }
    known = [name for name in names if not name.replace(" ", "").lower().startswith(_NO_LETTERS)]
    return tuple(sorted(known, key=lambda name: ("Sans" not in name, "Mono" in name, name)))


@cache
def _letters(family: str) -> frozenset[int]:
    """The letters that a font has; none where it cannot be drawn at any size, as of pictures."""
    try:
        path = fontManager.findfont(FontProperties(family=[family]), fallback_to_default=False)
        font = FT2Font(path)
        font.set_size(10, 72)
        return frozenset(font.get_charmap())
    except (OSError, RuntimeError, ValueError):
        return frozenset()
