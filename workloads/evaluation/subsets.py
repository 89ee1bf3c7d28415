"""Which images keep their labels when few are used (Tables 7 and B.4): class-balanced draws, or lists of file names."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.datasets import DataSet, Split
from workloads.datasets.folder import training_files
from workloads.datasets.spec import DataSpec
from workloads.datasets.splits import subset
from workloads.evaluation.spec import FinetuneSpec, percent
from workloads.spec import SpecError

__all__ = ["LabelledImages", "labelled_images", "labelled_subset", "listed_rows"]

LABELLED = 3  # a stream of random numbers beside those of workloads.datasets.splits
SHOWN = 10


@dataclass(frozen=True)
class LabelledImages:
    """The training images whose labels are used; `left_out` counts listed images that are none, None without a list."""

    images: Split
    left_out: int | None = None


def labelled_images(finetune: FinetuneSpec, spec: DataSpec, data: DataSet) -> list[LabelledImages]:
    """The images for each of `finetune.labels`: all of the training split for 1, else drawn or from `subset_files`.

    A list `{p}percent.txt` has one file name a line, as those of the authors' code do, or class/name where a name is in
    several classes. What it lists beyond the training split (validation images, those outside data.train_images, unreadable
    ones) is left out and counted. Raises SpecError with everything that is wrong with the lists.
    """
    if finetune.subset_files is None:
        seed, classes = finetune.subset_seed, len(data.classes)
        return [LabelledImages(labelled_subset(data.train, share, classes=classes, seed=seed)) for share in finetune.labels]
    lists = Path(finetune.subset_files).expanduser()
    paths = _stored_paths(spec, data, lists)
    found, problems = [], []
    for share in finetune.labels:
        try:
            found.append(LabelledImages(data.train) if share == 1 else _listed(lists, share, paths, data.train))
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems)
    return found


def labelled_subset(split: Split, share: float, *, classes: int, seed: int) -> Split:
    """round(share * N) of a split's N images, as many of each class as can be and at least one.

    With one seed, a smaller share lies within a larger one, whichever are asked for.
    """
    if share == 1:
        return split
    return _at(split, subset(split.labels, max(round(share * len(split)), classes), seed, LABELLED))


def listed_rows(listed: Path, paths: list[str]) -> set[int]:
    """The rows of the files that a list names, by name or by the last parts of the path; a name may come twice.

    Raises SpecError when there is no such list, and with the names that are in no path or in several.
    """
    try:
        names = [line.strip() for line in listed.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError([f"eval.finetune.subset_files: {listed} cannot be read ({error})"]) from None
    wanted = {_base(name) for name in names}
    candidates: dict[str, list[int]] = {}
    for row, path in enumerate(paths):
        if _base(path) in wanted:
            candidates.setdefault(_base(path), []).append(row)
    matches = {
        name: [row for row in candidates.get(_base(name), []) if f"/{paths[row]}".endswith(f"/{name}")] for name in names
    }
    missing = [name for name, rows in matches.items() if not rows]
    unclear = [name for name, rows in matches.items() if len(rows) > 1]
    problems = []
    if missing:
        problems.append(f"{listed}: {len(missing)} of {len(matches)} names are no training images: {_first(missing)}")
    if unclear:
        problems.append(f"{listed}: {len(unclear)} names are in several classes, write class/name: {_first(unclear)}")
    if problems:
        raise SpecError(problems)
    return {rows[0] for rows in matches.values()}


def _listed(lists: Path, share: float, paths: list[str], train: Split) -> LabelledImages:
    path = lists / f"{percent(share)}percent.txt"
    rows = listed_rows(path, paths)
    positions = np.flatnonzero(np.isin(train.index, list(rows)))
    if len(positions) < 2:
        raise SpecError([f"{path}: {len(positions)} of its {len(rows)} images are in the training split, 2 are needed"])
    return LabelledImages(_at(train, positions), len(rows) - len(positions))


def _stored_paths(spec: DataSpec, data: DataSet, lists: Path) -> list[str]:
    """The path of each stored training image. Raises SpecError for data without file names."""
    if spec.name not in ("image-folder", "imagenet"):
        raise SpecError(
            [
                f"eval.finetune.subset_files={str(lists)!r}: data.name={spec.name!r} has no file names to list; needs "
                "image-folder or imagenet, or leave it out for drawn subsets"
            ]
        )
    assert spec.root is not None, "or the data could not have been loaded"
    paths = training_files(spec, Path(spec.root).expanduser())
    if len(paths) != len(data.train.images):
        raise SpecError([f"data.root={spec.root!r}: has {len(paths)} training images, and had {len(data.train.images)} before"])
    return paths


def _at(split: Split, positions: NDArray[np.int64]) -> Split:
    return Split(split.images, split.labels[positions], split.index[positions])


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _first(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
