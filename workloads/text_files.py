"""Text files that people bring, as an editor, a spreadsheet or a shell has written them."""

import codecs
import re
from pathlib import Path

__all__ = ["TextError", "decoded", "lines_of", "read_text"]

# The longer mark first: that of UTF-32 begins as one of UTF-16 does.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_OFTEN = 0.2  # of all characters; where a text is UTF-16, blanks and line ends alone are more


class TextError(ValueError):
    """A file that is no text, or cannot be read; says why, for people, without its name."""


def read_text(path: Path, *, most: int | None = None, keep_bytes: bool = False) -> str:
    """Read a text file that a person brings, as `decoded` does.

    Raises TextError, also for a file of more than `most` bytes, of which no more are read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(-1 if most is None else most + 1)
    except FileNotFoundError:
        raise TextError("there is no such file") from None
    except OSError as error:
        raise TextError(error.strerror or str(error)) from None
    if most is not None and len(data) > most:
        raise TextError(f"has more than {most} bytes")
    return decoded(data, keep_bytes=keep_bytes)


def decoded(data: bytes, *, keep_bytes: bool = False) -> str:
    """Return the text of a file: UTF-8, or UTF-16 or UTF-32 as Windows writes them.

    A byte-order mark decides and is left out. Without one a text in which every other byte is often
    zero is UTF-16. With `keep_bytes`, bytes that are not UTF-8 are kept as `os.fsdecode` does: such
    a name is that of the file with the same bytes. Raises TextError that names line and byte.
    """
    encoding = "utf-8"
    for mark, marked in _MARKS:
        if data.startswith(mark):
            data, encoding = data[len(mark) :], marked
            break
    else:
        encoding = _without_mark(data)

    try:
        text = data.decode(
            encoding, "surrogateescape" if keep_bytes and encoding == "utf-8" else "strict"
        )
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise TextError(f"is {encoding[:6].upper()} by its first bytes, and damaged") from None
        line = 1 + len(re.findall(rb"\r\n|\n|\r", data[: error.start]))
        raise TextError(
            f"line {line} has the byte 0x{data[error.start]:02X}, which is not UTF-8; save it as "
            "UTF-8"
        ) from None
    if "\0" in text:
        line = len(lines_of(text[: text.index("\0") + 1]))
        raise TextError(f"line {line} has a zero byte, which no text has")
    return text


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, whatever system ended them.

    Unlike `str.splitlines`, which ends a line also at characters that are part of a file's name.
    """
    lines = re.split(r"\r\n|\n|\r", text)
    return lines[:-1] if lines[-1] == "" else lines


def _without_mark(data: bytes) -> str:
    if b"\0" not in data or len(data) % 2:
        return "utf-8"
    high = {"utf-16-be": data[0::2], "utf-16-le": data[1::2]}
    encoding, zeros = max(
        ((name, half.count(0)) for name, half in high.items()), key=lambda each: each[1]
    )
    return encoding if zeros > _OFTEN * len(data) / 2 else "utf-8"
