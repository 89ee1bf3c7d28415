"""Images of a folder without classes: all that lie in its training part, or in all of it.

Training without labels takes them. Nothing is decoded.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from workloads.datasets.sources.folder_listing import File, Listing
from workloads.datasets.sources.folder_parts import named_parts
from workloads.datasets.sources.folder_walk import folders_in, identity, walk
from workloads.inventory import shown, tally
from workloads.spec import SpecError

__all__ = ["has_no_classes", "unlabelled_listing"]


def has_no_classes(root: Path) -> bool:
    """Tell whether the layout of a folder leaves no doubt that it has no labels to be tested by.

    That is a folder without parts, in no folder of which there are any; or with one training part,
    which has fewer than two classes, or beside which there is no other part.
    """
    train, tests = named_parts(root)
    if not train and not tests:
        return not any(any(named_parts(root / name)) for name in folders_in(root))
    return len(train) == 1 and (not tests or len(folders_in(root / train[0])) < 2)


def unlabelled_listing(root: Path) -> Listing:
    """List the images below `root`, or in its training part if it has one, at any depth.

    In the order of their paths; what else there is is counted. Raises SpecError where there are
    none.
    """
    if not root.is_dir():
        raise SpecError([f"data.root={shown(str(root))!r}: there is no such folder"])
    train, _ = named_parts(root)
    part = train[0] if len(train) == 1 else ""
    found = walk(root / part, frozenset((identity(root),)) if part else frozenset())
    prefix = f"{part}/" if part else ""
    files = [File(prefix + name, size, 0) for name, size in found.images.items()]
    left_out = [(why, prefix + name) for why, name in found.left_out]
    if part:
        left_out += _beside(root, part)
    counted = tally(left_out)
    if not files:
        instead = "".join(f"; {each}" for each in counted)
        raise SpecError([f"{shown(str(root / part))}: holds no image, at any depth{instead}"])
    notes = (f"training images are all those in {shown(part)}",) if part else ()
    return Listing(root, files, [], (), notes, counted)


def _beside(root: Path, part: str) -> Iterator[tuple[str, str]]:
    for name in folders_in(root):
        if name == part:
            continue
        reason = f"files in {shown(name)}, which are not for training"
        for path, _, files in os.walk(root / name):
            for file in sorted(files):
                if not file.startswith("."):
                    yield reason, os.path.relpath(os.path.join(path, file), root)
    direct = walk(root, deep=False)
    yield from direct.left_out
    for name in direct.images:
        yield "images beside the training part", name
