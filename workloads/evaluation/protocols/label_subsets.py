"""Which images keep their labels when few are used (Tables 7, B.4): drawn by class, or listed."""

import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.datasets import DataSet, Split
from workloads.datasets.draws import subset
from workloads.datasets.sources.image_folder import training_files
from workloads.datasets.spec import DataSpec
from workloads.evaluation.protocols.label_lists import match_list, written_lines
from workloads.simclr.spec import FinetuneSpec, RunSpec, percent
from workloads.spec import SpecError, digest

__all__ = [
    "LabelledImages",
    "finetune_problems",
    "labelled_images",
    "labelled_subset",
    "pinned_lists",
]

log = logging.getLogger(__name__)

LABELLED = 3  # a stream of random numbers beside those of workloads.datasets.splits


@dataclass(frozen=True)
class LabelledImages:
    """The training images whose labels are used.

    `left_out` counts listed images that are no training images, and is None without a list.
    """

    images: Split
    left_out: int | None = None


def finetune_problems(spec: RunSpec) -> list[str]:
    """Say what is wrong with the lists of `spec.eval.finetune`, one line each.

    They are read, and no image is.
    """
    finetune = spec.eval.finetune
    if not finetune.labels:
        return []
    if finetune.subset_files is None:
        return _problems_without_lists(finetune)

    lists = Path(finetune.subset_files).expanduser()
    problems = _problems_without_names(spec.data, lists)
    if not lists.is_dir():
        return [
            *problems,
            f"eval.finetune.subset_files={finetune.subset_files!r}: there is no such folder",
        ]

    asked = (_list_of(lists, share) for share in finetune.labels if share < 1)
    for path in sorted({*asked, *_lists_in(lists)}):
        try:
            written_lines(path)
        except SpecError as error:
            problems += error.problems
    return problems or _content_problems(finetune, lists)


def pinned_lists(spec: RunSpec) -> RunSpec:
    """Pin the lists that fine-tuning reads, so that the fingerprint stands for their content.

    Raises SpecError with what is wrong with them; where the images are pinned, too, also with the
    lines that name none of them.
    """
    finetune = spec.eval.finetune
    if not finetune.labels or finetune.subset_files is None or finetune.subset_content is not None:
        return spec
    if problems := finetune_problems(spec):
        raise SpecError(problems)
    lists = Path(finetune.subset_files).expanduser()
    content = _content_of(lists)
    if spec.data.content is not None:
        asked = tuple(_list_of(lists, share) for share in finetune.labels if share < 1)
        _refuse_unknown_names(spec.data, asked, content)
    return spec.with_values({"eval.finetune.subset_content": content})


@lru_cache
def _refuse_unknown_names(data: DataSpec, lists: tuple[Path, ...], _: str) -> None:
    """Raise SpecError with the lines of lists that name no training image, before any training.

    Once a process for pinned images and the content of the lists: folders of millions take minutes.
    """
    root = Path(data.root or "").expanduser()
    if not root.is_dir():  # decoded before, and elsewhere now
        return
    paths = training_files(data, root)
    problems: list[str] = []
    for path in lists:
        try:
            match_list(path, paths)
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems)


def labelled_images(finetune: FinetuneSpec, spec: DataSpec, data: DataSet) -> list[LabelledImages]:
    """Choose the images of each of `finetune.labels`: all, a draw, or those of `subset_files`.

    A list `{p}percent.txt` has one file name a line, as those of the authors' code do, or
    class/name where a name is in several classes; `match_list` takes other forms, too. What it
    lists beyond the training split (validation images, those outside data.train_images, unreadable
    ones) is left out and counted.
    Raises SpecError with everything that is wrong with the lists, among them that `subset_content`
    pins others.
    """
    if finetune.subset_files is None:
        if problems := _problems_without_lists(finetune):
            raise SpecError(problems)
        seed, classes = finetune.subset_seed, len(data.classes)
        return [
            LabelledImages(labelled_subset(data.train, share, classes=classes, seed=seed))
            for share in finetune.labels
        ]

    lists = Path(finetune.subset_files).expanduser()
    paths = _stored_paths(spec, data, lists)
    if problems := _content_problems(finetune, lists):
        raise SpecError(problems)

    found = []
    for share in finetune.labels:
        if share == 1:
            found.append(LabelledImages(data.train))
            continue
        try:
            found.append(_listed(lists, share, paths, data.train))
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems)
    return found


def labelled_subset(split: Split, share: float, *, classes: int, seed: int) -> Split:
    """Draw round(share * N) of a split's N images, as many of each class as can be, at least one.

    With one seed, a smaller share lies within a larger one, whichever are asked for.
    """
    if share == 1:
        return split
    return _at(split, subset(split.labels, max(round(share * len(split)), classes), seed, LABELLED))


def _listed(lists: Path, share: float, paths: list[str], train: Split) -> LabelledImages:
    path = _list_of(lists, share)
    matched = match_list(path, paths)
    for note in matched.notes:
        log.warning(note)
    rows = matched.rows
    positions = np.flatnonzero(np.isin(train.index, list(rows)))
    if len(positions) < 2:
        raise SpecError(
            [
                f"{path}: {len(positions)} of its {len(rows)} images are in the training split, 2 "
                "are needed"
            ]
        )
    return LabelledImages(_at(train, positions), len(rows) - len(positions))


def _list_of(lists: Path, share: float) -> Path:
    return lists / f"{percent(share)}percent.txt"


def _lists_in(lists: Path) -> list[Path]:
    return sorted(lists.glob("*percent.txt"))


def _content_of(lists: Path) -> str:
    """A hex digest of what all lists of a folder name; the order of names doesn't matter.

    All, so that a run whose other shares are evaluated later is not refused the lists that it has
    pinned.
    """
    return digest({path.name: sorted({*written_lines(path)}) for path in _lists_in(lists)})


def _content_problems(finetune: FinetuneSpec, lists: Path) -> list[str]:
    if finetune.subset_content is None:
        return []
    found = _content_of(lists)
    if finetune.subset_content == found:
        return []
    return [
        f"eval.finetune.subset_content={finetune.subset_content!r}: the content of {lists} is "
        f"{found!r}"
    ]


def _problems_without_lists(finetune: FinetuneSpec) -> list[str]:
    if finetune.subset_content is None:
        return []
    return [
        "eval.finetune.subset_files: is required by "
        f"eval.finetune.subset_content={finetune.subset_content!r}, which pins it"
    ]


def _stored_paths(spec: DataSpec, data: DataSet, lists: Path) -> list[str]:
    """The path of each stored training image. Raises SpecError for data without file names."""
    if problems := _problems_without_names(spec, lists):
        raise SpecError(problems)
    assert spec.root is not None, "or the data could not have been loaded"
    paths = training_files(spec, Path(spec.root).expanduser())
    if len(paths) != len(data.train.images):
        raise SpecError(
            [
                f"data.root={spec.root!r}: has {len(paths)} training images, and had "
                f"{len(data.train.images)} before"
            ]
        )
    return paths


def _problems_without_names(spec: DataSpec, lists: Path) -> list[str]:
    if spec.name in ("image-folder", "imagenet"):
        return []
    return [
        f"eval.finetune.subset_files={str(lists)!r}: data.name={spec.name!r} has no file "
        "names to list; needs "
        "image-folder or imagenet, or leave it out for drawn subsets"
    ]


def _at(split: Split, positions: NDArray[np.int64]) -> Split:
    return Split(split.images, split.labels[positions], split.index[positions])
