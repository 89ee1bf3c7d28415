"""Which files below a root are the shards of which part, in the layouts that people publish.

A part is a folder (`train/`, `data/train/`) or a word of a file's name (`train-00000-of-00001`,
`imagenet-validation-000000`), directly in the root or in one folder of it.
"""

import re
from collections import Counter, defaultdict
from typing import NamedTuple

from workloads.datasets.shards.archives import ENDINGS
from workloads.datasets.shards.tally import Tally
from workloads.inventory import LeftOut, shown

__all__ = ["NOWHERE", "Layout", "Shard", "layout_of"]

WORDS = {  # as image folders have them, too
    "train": ("train", "training", "trainset", "train_images"),
    "test": ("test", "testing", "tests", "testset", "test_images"),
    "val": ("val", "valid", "validation", "eval", "evaluation", "dev"),
}
PARTS = {word: part for part, words in WORDS.items() for word in words}
NO_SHARDS = "files that are no shards"
BESIDE = ("manifest.json",)  # of what `simclr-orch data shard` wrote
UNFINISHED = ".unfinished"
NOWHERE = -1  # the size of a link that leads nowhere


class Shard(NamedTuple):
    """One file: its path below the root, with slashes, and its size."""

    path: str
    bytes: int


class Layout(NamedTuple):
    """The shards of both parts in the order of their names, and what else there is."""

    train: tuple[Shard, ...]
    test: tuple[Shard, ...]
    left_out: tuple[LeftOut, ...]


class _Place(NamedTuple):
    """The folder that the parts lie in, and a part."""

    base: str
    part: str


_NO_PLACE = _Place("", "")


def layout_of(files: list[Shard], folders: set[str], *, labelled: bool) -> Layout:
    """Sort the files below a root by their parts, and count those that fit none.

    Without labels there is no part for tests, and where there is none for training, shards of no
    part are for that. Raises ValueError whose arguments are all problems, each to follow the name
    of the root.
    """
    groups: dict[_Place, list[Shard]] = defaultdict(list)
    strays: list[Shard] = []
    for file in sorted(files):
        if file.path.lower().endswith(ENDINGS):
            if file.bytes == NOWHERE:
                raise ValueError(f"{shown(file.path)} is a link that leads nowhere")
            place = _place(file.path)
            (strays if place is None else groups[place]).append(file)

    base = _base(groups)
    part = next((part for part in ("test", "val") if _Place(base, part) in groups), None)
    wanted = (_Place(base, "train"), _Place(base, part or "test"))
    if not labelled:
        wanted = (wanted[0], _NO_PLACE)
        if not any(place.part == "train" for place in groups) and strays:
            groups[wanted[0]], strays = strays, []
        part = "test"
    if problems := _problems(base, groups, folders, strays, part):
        raise ValueError(*problems)
    train, test = (tuple(groups.get(place, ())) for place in wanted)
    return Layout(train, test, _left_out(files, groups, strays, wanted))


def _left_out(
    files: list[Shard],
    groups: dict[_Place, list[Shard]],
    strays: list[Shard],
    wanted: tuple[_Place, _Place],
) -> tuple[LeftOut, ...]:
    tally = Tally()
    for place, of in groups.items():
        if place not in wanted:
            tally.add("shards of parts that are not used", shown(of[0].path), len(of))
    for file in strays:
        tally.add("shards whose names say no part", shown(file.path))
    used = [shard for place in wanted for shard in groups.get(place, ())]
    # What lies in folders without shards has nothing to do with them.
    beside = {shard.path.rpartition("/")[0] for shard in used} | {"", wanted[0].base}
    for file in sorted(files):
        is_shard = file.path.lower().endswith(ENDINGS)
        if not is_shard and not _is_ours(file) and file.path.rpartition("/")[0] in beside:
            tally.add(NO_SHARDS, shown(file.path))
    return tally.left_out()


def _is_ours(file: Shard) -> bool:
    return file.path in BESIDE or file.path.endswith(UNFINISHED)


def _place(path: str) -> _Place | None:
    """The part of a shard: by the first folder that is one, else by the words of its name."""
    *folders, base = path.split("/")
    for depth, folder in enumerate(folders):
        if folder.lower() in PARTS:
            return _Place("/".join(folders[:depth]), PARTS[folder.lower()])
    words = {PARTS[word] for word in re.split(r"[^a-z]+", base.lower()) if word in PARTS}
    return _Place("/".join(folders), words.pop()) if len(words) == 1 else None


def _base(groups: dict[_Place, list[Shard]]) -> str:
    """The folder of the parts: the root where they lie there. Raises ValueError for several."""
    parts = Counter(place.base for place in groups)
    if not parts or parts.get("", 0) > 1:
        return ""
    most = max(parts.values())
    found = sorted(base for base, count in parts.items() if count == most)
    if len(found) > 1:
        raise ValueError(
            f"has shards in several folders, {', '.join(map(repr, found[:5]))}; name one of them"
        )
    return found[0]


def _problems(
    base: str,
    groups: dict[_Place, list[Shard]],
    folders: set[str],
    strays: list[Shard],
    part: str | None,
) -> list[str]:
    problems = []
    lacking: list[tuple[str, tuple[str, ...]]]
    lacking = [] if _Place(base, "train") in groups else [("train", ("train",))]
    lacking += [] if part is not None else [("test or val", ("test", "val"))]
    lowered = {folder.lower() for folder in folders}
    for wanted, names in lacking:
        if any(name in lowered for name in names):
            problems.append(f"{wanted} holds no .tar or .parquet file")
            continue
        others = [*strays, *(one for of in groups.values() for one in of)]
        more = f", and none of its {len(others)} shards is named by it" if others else ""
        example = f" (such as {shown(others[0].path)})" if others else ""
        problems.append(f"has no folder {wanted}{more}{example}")
    return problems
