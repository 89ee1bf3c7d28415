"""Which folder holds the training images and which the test images, by the names that people use.

`train` and `test` or `val` come first, as they are written here. Else a folder of another name is
taken where it is the only one that could be meant, and that is noted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from workloads.datasets.class_names import looks_like, told_apart
from workloads.datasets.sources.folder_walk import folders_in
from workloads.inventory import shown
from workloads.spec import SpecError

__all__ = ["FolderParts", "is_part", "named_parts", "parts_of"]

_TRAIN = ("train", "training", "trainset", "train_images")
_TEST = ("test", "testing", "tests", "testset", "test_images")
_VALIDATION = ("val", "valid", "validation", "eval", "evaluation", "dev")
_OTHERS = ("extra", "unlabeled", "unlabelled")
SHOWN = 10


@dataclass(frozen=True)
class FolderParts:
    """Names of the folders of both parts, of others that hold images, and what is to be noted."""

    train: str
    test: str
    others: tuple[str, ...]
    notes: tuple[str, ...] = ()


def is_part(name: str) -> bool:
    """Tell whether a folder's name is one that parts of data sets have."""
    return _key(name) in (*_TRAIN, *_TEST, *_VALIDATION, *_OTHERS)


def named_parts(root: Path) -> tuple[list[str], list[str]]:
    """Return the folders that may hold the training images, and those that may hold others."""
    there = folders_in(root)
    train = _chosen(there, ("train",), (_TRAIN,))
    return train, [name for name in there if _key(name) in (*_TEST, *_VALIDATION)]


def parts_of(
    root: Path, tests: Sequence[str], has_labels: Callable[[str, str], bool], hint: str
) -> FolderParts:
    """Find the folders of both parts below `root`; `tests` are the first choices for the second.

    A folder for tests of which `has_labels` is not true, which is given the names of both folders,
    is passed over where there is another one.
    Raises SpecError, with `hint` at the end, where none can be meant, or several.
    """
    there = folders_in(root)
    problems: list[str] = []
    train = _chosen(there, ("train",), (_TRAIN,))
    if len(train) != 1:
        problems.append(_problem(root, "train", train, there, hint))

    kinds = (_TEST, _VALIDATION) if "test" in tests else (_VALIDATION,)
    free = [name for name in there if name not in train]
    test = _chosen(free, tests, kinds)
    unlabelled: list[str] = []
    while len(test) == 1 and len(train) == 1 and not has_labels(train[0], test[0]):
        unlabelled += test
        test = _chosen([name for name in free if name not in unlabelled], tests, kinds)
    if not test and unlabelled:
        test = unlabelled[:1]  # whatever is wrong with it is said by who reads it
    if len(test) != 1:
        problems.append(_problem(root, " or ".join(tests), test, there, hint))
    if problems:
        raise SpecError(problems)

    notes = [
        f"{what} images are those in {shown(name)}"
        for what, name, usual in (("training", train[0], ("train",)), ("test", test[0], tests))
        if name not in usual or (what == "test" and unlabelled and name not in unlabelled)
    ]
    others = tuple(name for name in there if name not in (train[0], test[0]))
    return FolderParts(train[0], test[0], others, tuple(notes))


def _key(name: str) -> str:
    return looks_like(name).casefold().replace("-", "_").replace(" ", "_")


def _chosen(
    there: Sequence[str], exact: Sequence[str], kinds: Sequence[Sequence[str]]
) -> list[str]:
    """The folder to take; several where it is not plain which, none where there is none."""
    for name in exact:
        if name in there:
            return [name]
    for kind in kinds:
        if named := [name for name in there if _key(name) in kind]:
            return named
    return []


def _problem(
    root: Path, wanted: str, several: Sequence[str], there: Sequence[str], hint: str
) -> str:
    problem = f"data.root={shown(str(root))!r}: has no folder {wanted}"
    if several:
        return f"{problem}, and several that may be meant: {_listed(several)}; rename one{hint}"
    inside = [name for name in there if _chosen(_quietly(root / name), ("train",), (_TRAIN,))]
    if len(inside) == 1:
        return f"{problem}; {told_apart(inside[0])} in it has one: name that folder{hint}"
    return f"{problem}; it has {_listed(there)}{hint}" if there else f"{problem}{hint}"


def _quietly(folder: Path) -> list[str]:
    try:
        return folders_in(folder)
    except SpecError:
        return []


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(told_apart(name) for name in names[:SHOWN]) + more
