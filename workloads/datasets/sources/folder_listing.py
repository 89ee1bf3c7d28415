"""The images of a folder and their classes: `train/<class>/*` and `test/<class>/*` (or `val`).

Classes and files are taken in the order of their names; a class's images lie at any depth below its
folder. Nothing is decoded.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from workloads.datasets.class_names import (
    Pairs,
    display,
    looks_like,
    paired,
    told_apart,
    twice,
)
from workloads.datasets.pixels import is_read_anew
from workloads.datasets.sources.folder_parts import is_part, parts_of
from workloads.datasets.sources.folder_walk import (
    LOOPS,
    Identity,
    Walked,
    folders_in,
    identity,
    walk,
)
from workloads.datasets.sources.part_annotations import classes_by_image, without_ending
from workloads.inventory import LeftOut, shown, tally
from workloads.local_files import update_from
from workloads.spec import SpecError

__all__ = ["File", "Listing", "content_of", "listing_of"]

SHOWN = 10
SAMPLED = 64
IN_NO_CLASS = "images that lie in no class folder"
WITHOUT_CLASS = "images whose class no list names"
BESIDE = "images beside the parts"
OTHER_FOLDERS = "folders beside the parts"


class File(NamedTuple):
    """An image of the folder: its path below the root, with slashes, its size and its label."""

    path: str
    bytes: int
    label: int


@dataclass(frozen=True)
class Listing:
    """The files of both parts, by class and then by path, and their classes.

    `notes` say how the folder was understood where that is not plain, `left_out` what is no image
    of a class. `listed` is true where a file names the classes of test images.
    """

    root: Path
    train: list[File]
    test: list[File]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    listed: bool = False


@dataclass(frozen=True)
class _Part:
    """A part: sizes of the images of each class, by paths below the root; all else with reasons.

    `loose` are the images that lie directly in it, and `listed` is the file that names classes.
    """

    name: str
    classes: Mapping[str, Mapping[str, int]]
    left_out: Sequence[tuple[str, str]]
    loose: Sequence[str] = ()
    listed: Path | None = None


def listing_of(root: Path, name: str = "image-folder") -> Listing:
    """List the files below `root`. Raises SpecError with all that is wrong with its layout."""
    is_imagenet = name == "imagenet"
    hint = ""
    if is_imagenet:
        hint = "; ImageNet cannot be downloaded: get it from https://image-net.org/download"
    if not root.is_dir():
        raise SpecError([f"data.root={shown(str(root))!r}: there is no such folder{hint}"])

    tests = ("val",) if is_imagenet else ("test", "val")
    parts = parts_of(root, tests, lambda train, test: _has_labels(root / train, root / test), hint)
    train = _in_folders(root, parts.train)
    test = _in_folders(root, parts.test)
    if not _alike(train.classes, test.classes):
        test = _by_list(root, parts.test) or test

    pairs = paired(tuple(train.classes), tuple(test.classes))
    if problems := _layout_problems(root, train, test, pairs):
        raise SpecError(problems)
    listed = () if test.listed is None else (f"classes of test images are those of {test.listed}",)
    beside = _beside(root, parts.others)
    return Listing(
        root,
        _files(train, [one for one, _ in pairs.both]),
        _files(test, [other for _, other in pairs.both]),
        tuple(display(one) for one, _ in pairs.both),
        tuple(shown(note) for note in (*parts.notes, *listed, *pairs.notes)),
        tally([*train.left_out, *test.left_out, *beside]),
        test.listed is not None,
    )


def _has_labels(train: Path, part: Path) -> bool:
    """Whether a part has a folder of one of the classes of `train`, or a file that names them."""
    return bool(_alike(folders_in(train), folders_in(part))) or classes_by_image(part) is not None


def _alike(first: Iterable[str], second: Iterable[str]) -> set[str]:
    keys = [{looks_like(name).casefold() for name in names} for names in (first, second)]
    return keys[0] & keys[1]


def _in_folders(root: Path, part: str) -> _Part:
    """A part whose classes are its folders."""
    above: frozenset[Identity] = frozenset((identity(root), identity(root / part)))
    direct = walk(root / part, above, deep=False)
    left_out = [(why, f"{part}/{name}") for why, name in direct.left_out]
    left_out += [(IN_NO_CLASS, f"{part}/{name}") for name in direct.images]
    classes: dict[str, Mapping[str, int]] = {}
    for name in folders_in(root / part):
        if identity(root / part / name) in above:
            left_out.append((LOOPS, f"{part}/{name}"))
            continue
        found = _below(walk(root / part / name, above), f"{part}/{name}")
        classes[name] = found.images
        left_out += found.left_out
    return _Part(part, classes, left_out, tuple(direct.images))


def _by_list(root: Path, part: str) -> _Part | None:
    """A part whose classes a file names; None where there is no such file."""
    found = classes_by_image(root / part)
    if found is None:
        return None
    path, class_of = found
    seen = _below(walk(root / part, frozenset((identity(root),))), part)
    classes: dict[str, dict[str, int]] = {}
    left_out = list(seen.left_out)
    for image, size in seen.images.items():
        name = class_of.get(without_ending(image))
        if name is None:
            left_out.append((WITHOUT_CLASS, image))
        else:
            classes.setdefault(name, {})[image] = size
    return _Part(part, dict(sorted(classes.items())), left_out, listed=path)


def _below(walked: Walked, prefix: str) -> Walked:
    """The same by paths below the root."""
    return Walked(
        {f"{prefix}/{name}": size for name, size in walked.images.items()},
        [(why, f"{prefix}/{name}") for why, name in walked.left_out],
    )


def _beside(root: Path, others: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What lies below the root and in neither part. Files of parts that are not used are counted,
    other folders are not entered.
    """
    direct = walk(root, deep=False)
    yield from direct.left_out
    for name in direct.images:
        yield BESIDE, name
    for name in others:
        if not is_part(name):
            yield OTHER_FOLDERS, name
            continue
        reason = f"files in {shown(name)}, which is neither the training nor the test part"
        for path, _, files in os.walk(root / name):
            for file in files:
                if not file.startswith("."):
                    yield reason, os.path.relpath(os.path.join(path, file), root)


def _files(part: _Part, names: Sequence[str]) -> list[File]:
    return [
        File(path, size, label)
        for label, name in enumerate(names)
        for path, size in part.classes[name].items()
    ]


def _layout_problems(root: Path, train: _Part, test: _Part, pairs: Pairs) -> list[str]:
    problems = []
    for part in (train, test):
        problems += _flat_problems(root, part)
        problems += _empty_problems(root, part)
        for alike in twice(part.classes):
            problems.append(
                f"{_at(root, part)}: folders whose names look alike: {', '.join(map(ascii, alike))}"
            )
    if len(train.classes) < 2:
        count = len(train.classes)
        problems.append(f"{_at(root, train)}: has {count} class folders, at least 2 are needed")

    is_flat = any(part.loose and not part.classes for part in (train, test))
    for part, lacking, other in ((test, pairs.only_first, train), (train, pairs.only_second, test)):
        if lacking and not is_flat:
            more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
            listed = ", ".join(told_apart(name) for name in lacking[:SHOWN]) + more
            problems.append(f"{_at(root, part)}: lacks classes that {other.name} has: {listed}")
    return problems


def _flat_problems(root: Path, part: _Part) -> list[str]:
    if part.classes or not part.loose:
        return []
    return [
        f"{_at(root, part)}: {len(part.loose)} images lie directly in it, such as "
        f"{shown(part.loose[0])}, and not in a folder for each class; sort them into such folders "
        "(for ImageNet's val, valprep.sh of its loaders does), or put beside them the list that "
        "names their classes, LOC_val_solution.csv or val_annotations.txt"
    ]


def _empty_problems(root: Path, part: _Part) -> Iterator[str]:
    """A line for each class without images, which says what is in its folder instead."""
    for name, images in part.classes.items():
        if not images:
            inside = f"{part.name}/{name}/"
            instead = tally(each for each in part.left_out if each[1].startswith(inside))
            why = "".join(f"; {each}" for each in instead)
            yield f"{_at(root, part)}/{shown(name)}: holds no image{why}"


def _at(root: Path, part: _Part) -> str:
    return shown(str(root / part.name))


def content_of(listing: Listing) -> str:
    """Compute the digest of every relative path and size, and of the bytes of 64 of the files."""
    files = [*listing.train, *listing.test]
    hasher = hashlib.sha256()
    for file in files:
        hasher.update(f"{file.path}\0{file.bytes}\n".encode(errors="surrogateescape"))
    if listing.listed:  # by a file, and not by the paths
        hasher.update("".join(f"{file.label}\n" for file in listing.test).encode())

    def sampled() -> Iterator[BinaryIO]:
        for number in sorted({step * (len(files) - 1) // (SAMPLED - 1) for step in range(SAMPLED)}):
            try:
                with (listing.root / files[number].path).open("rb") as file:
                    update_from(hasher, file)
                    file.seek(0)
                    yield file
            except OSError:
                hasher.update(b"cannot be read")

    # Whatever was computed from such images before is not to be taken for these.
    if is_read_anew(sampled()):
        hasher.update(b"value range of all images")
    return hasher.hexdigest()[:20]
