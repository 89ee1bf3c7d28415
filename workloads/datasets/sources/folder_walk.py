"""The images of a folder at any depth, and why everything else in it is none.

By the usual rule names that begin with a dot are invisible; images among them, and in folders that
are called so, are counted all the same. Links are followed, except to a folder that they lie in.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

from workloads.datasets.image_files import image_endings, why_no_image
from workloads.inventory import shown
from workloads.spec import SpecError

__all__ = ["Identity", "Walked", "folders_in", "identity", "is_of_system", "walk"]

Identity = tuple[int, int]  # device and inode of a folder

HIDDEN = "hidden images (their names, or their folders', begin with a dot)"
LOOPS = "links to a folder that they lie in"
NOWHERE = "links that lead nowhere"
SPECIAL = "pipes, sockets and devices"
SYSTEM = "files that systems leave (in __MACOSX, @eaDir and the like)"

_SYSTEM_FOLDERS = frozenset(
    (
        *("__macosx", "@eadir", "@tmp", "@recycle", "#recycle", "#snapshot", "$recycle.bin"),
        *("system volume information", "lost+found", "__pycache__"),
    )
)
_SYSTEM_FILES = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"))


@dataclass
class Walked:
    """What a folder holds, by paths relative to it, with slashes.

    `images` are their sizes in bytes, in the order of paths; a link that leads nowhere and is
    called like an image has size -1 and is found unreadable later. `left_out` is reason and path of
    all others.
    """

    images: dict[str, int] = field(default_factory=dict)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def identity(folder: Path | str) -> Identity:
    """Return what two paths have in common that lead to the same folder. Raises OSError."""
    about = os.stat(folder)
    return about.st_dev, about.st_ino


def is_of_system(name: str) -> bool:
    """Tell whether a folder is one that a system leaves beside data, or is invisible."""
    return name.startswith(".") or name.casefold() in _SYSTEM_FOLDERS


def folders_in(folder: Path) -> list[str]:
    """List the names of the folders that lie directly in one, without those of systems, sorted.

    Raises SpecError for a folder that cannot be listed.
    """
    return sorted(
        entry.name
        for entry in _entries(str(folder))
        if entry.is_dir() and not is_of_system(entry.name)
    )


def walk(folder: Path, above: frozenset[Identity] = frozenset(), *, deep: bool = True) -> Walked:
    """Find the images of a folder; `above` are folders to which no link below may lead.

    Unless `deep`, folders in it are left alone, except that those of systems are counted. Raises
    SpecError for a folder that cannot be listed.
    """
    found = Walked()
    waiting = [("", str(folder), above)]
    while waiting:
        prefix, path, above = waiting.pop()
        above = above | {identity(path)}
        for entry in _entries(path):
            name = prefix + entry.name
            if not entry.is_dir():
                _sort_out(entry, name, found)
            elif entry.name.startswith("."):
                found.left_out += ((HIDDEN, f"{name}/{below}") for below in _images_in(entry.path))
            elif is_of_system(entry.name):
                found.left_out += ((SYSTEM, f"{name}/{below}") for below in _files_in(entry.path))
            elif deep and identity(entry.path) in above:
                found.left_out.append((LOOPS, name))
            elif deep:
                waiting.append((f"{name}/", entry.path, above))
    found.images = dict(sorted(found.images.items()))
    found.left_out.sort(key=lambda each: each[1])
    return found


def _sort_out(entry: "os.DirEntry[str]", name: str, found: Walked) -> None:
    """Put one entry that is no folder where it belongs."""
    looks_like_an_image = _is_called_like_an_image(entry.name)
    if entry.name.startswith("."):
        if looks_like_an_image and not entry.name.startswith("._"):
            found.left_out.append((HIDDEN, name))
    elif entry.name.casefold() in _SYSTEM_FILES:
        found.left_out.append((SYSTEM, name))
    elif entry.is_file():
        why = why_no_image(entry.name, partial(_opened, entry.path))
        if why is None:
            found.images[name] = entry.stat().st_size
        else:
            found.left_out.append((why, name))
    elif not entry.is_symlink() or os.path.exists(entry.path):
        found.left_out.append((SPECIAL, name))
    elif looks_like_an_image:
        found.images[name] = -1
    else:
        found.left_out.append((NOWHERE, name))


def _opened(path: str) -> BinaryIO:
    return open(path, "rb")


def _entries(path: str) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError as error:
        raise SpecError([f"{shown(path)}: cannot be listed ({error.strerror})"]) from None


def _is_called_like_an_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in image_endings()


def _images_in(folder: str) -> Iterator[str]:
    """The files below a folder that are called like images, but for companions of macOS."""
    for below in _files_in(folder):
        name = os.path.basename(below)
        if _is_called_like_an_image(name) and not name.startswith("._"):
            yield below


def _files_in(folder: str) -> Iterator[str]:
    """The files below a folder, links to folders not followed."""
    for path, _, names in os.walk(folder):
        for name in names:
            yield os.path.relpath(os.path.join(path, name), folder)
