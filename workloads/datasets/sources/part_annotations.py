"""Parts whose images lie in no class folders and whose classes a file names, as authors publish.

Tiny ImageNet has `val/val_annotations.txt`, a line an image: its name, its class, a box.
ImageNet as Kaggle hands it out has `LOC_val_solution.csv` beside it or above: the image without its
ending, then its class and a box for each object.
"""

import csv
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from workloads.inventory import shown
from workloads.spec import SpecError
from workloads.text_files import TextError, lines_of, read_text

__all__ = ["ANNOTATIONS", "classes_by_image", "without_ending"]

ANNOTATIONS = "val_annotations.txt"
SOLUTION = "LOC_val_solution.csv"
_ABOVE = 4  # folders between Kaggle's list and its images: ILSVRC/Data/CLS-LOC/val


def classes_by_image(part: Path) -> tuple[Path, dict[str, str]] | None:
    """Find the file that names the classes of a part's images, and read it.

    Returns its path, and the class of each image by its name without the ending; None where there
    is no such file. Raises SpecError for one that cannot be read.
    """
    for path in _candidates(part):
        if path.is_file():
            return path, dict(_rows(path))
    return None


def _candidates(part: Path) -> Iterator[Path]:
    yield part / ANNOTATIONS
    for folder in (part, *list(part.absolute().parents)[:_ABOVE]):
        yield folder / SOLUTION


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    """The name of each image, without its ending, and its class."""
    try:
        lines = [line for line in lines_of(read_text(path, keep_bytes=True)) if line.strip()]
    except TextError as error:
        raise SpecError([f"{shown(str(path))}: cannot be read ({error})"]) from None
    is_table = path.name == SOLUTION
    rows = csv.reader(lines) if is_table else (line.split("\t") for line in lines)
    for number, row in enumerate(rows):
        if is_table and number == 0:  # ImageId,PredictionString
            continue
        words = row[1].split() if len(row) > 1 else []
        if not words:
            raise SpecError([f"{shown(str(path))}: line {number + 1} names no class: {row!r}"])
        yield without_ending(row[0].strip()), words[0] if is_table else row[1].strip()


def without_ending(name: str) -> str:
    """Return the last part of a path, without the ending."""
    base = PurePosixPath(name).name
    return base[: base.rfind(".")] if "." in base[1:] else base
