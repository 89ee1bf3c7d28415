"""Which members of a tar shard are a sample's image and its label.

WebDataset ends a sample's name at the first dot of the last part of a path; people's names have
dots. So an image goes with the label whose name is the same up to the last dot (`photo.v2.png` and
`photo.v2.cls`), and only where there is none with the label of a shorter name that WebDataset finds
(`7.left.jpg` and `7.cls`), or a longer one (`7.jpg` and `7.fine.cls`). Where both rules find a
sample, and not the same one, nobody can know which is meant, and that is said.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from workloads.datasets.shards.labels import Label
from workloads.datasets.shards.tally import Tally
from workloads.datasets.shards.tar_entries import Entry
from workloads.inventory import shown

__all__ = ["Endings", "Sample", "pair"]

# The endings of labels; where a name has several, the first one here that says a label is its.
RANKS = ("cls", "class", "cls.txt", "label", "label.txt", "class.txt", "json", "txt")
OTHER_ENDING = "members of another ending than data.image_column"
CAPTIONS = 20  # different texts beside images that may be classes without a question
LEADS = "; WebDataset ends a name at its first dot, people at its last"

Reader = Callable[[Entry, str], Label | None]


class Sample(NamedTuple):
    """An image and its label, or None where labels are not read."""

    image: Entry
    label: Label | None


class Endings(NamedTuple):
    """The endings of names that were asked for, without a dot first, or None."""

    image: str | None = None
    label: str | None = None


class _Label(NamedTuple):
    entry: Entry
    stem: str
    ending: str


class _Match(NamedTuple):
    image: Entry
    stem: str
    label: _Label
    said: Label
    is_exact: bool


def pair(
    entries: list[Entry],
    why_no_image: Callable[[Entry], str | None],
    label_of: Reader,
    endings: Endings,
    tally: Tally,
    *,
    labelled: bool,
) -> list[Sample]:
    """Pair images and labels, and put every member that is neither into the tally.

    `label_of` reads a member that has one of the endings of labels, and gives None where it says
    none. Without `labelled`, labels are not looked for. Raises ValueError that shows a member where
    it is open which is meant, and where an image has no label.
    """
    labels = _Labels(entries, label_of, endings.label)
    images: list[Entry] = []
    others: dict[Entry, str] = {}
    for entry in entries:
        if entry not in labels.entries:
            if endings.image is not None:
                reason = None if _ends(entry.name, endings.image) else OTHER_ENDING
            else:
                reason = why_no_image(entry)
            if reason is None:
                images.append(entry)
            else:
                others[entry] = reason

    if not labelled:
        stems = {_exact(image, endings)[-1] for image in images}
        parts = [image for image in images if stems & {*_shorter(_exact(image, endings)[-1])}]
        used = {*images} - {*parts}
        no_images = dict.fromkeys(labels.entries, "members that are no images")
        _count(parts, others | no_images, stems, tally)
        return [Sample(image, None) for image in images if image in used]

    matches = _matches(images, labels, endings)
    kept = _without_parts(_one_each(matches), labels, endings)
    _refuse_captions(kept, endings)
    used = {match.image for match in kept} | {match.label.entry for match in kept}
    parts = [image for image in images if image not in used]
    unused = dict.fromkeys(labels.entries.keys() - used, "labels without an image")
    _count(parts, others | unused, {match.stem for match in kept}, tally)
    return [Sample(match.image, match.said) for match in kept]


class _Labels:
    """The labels of a shard by the part of their names before the ending; read when asked for."""

    def __init__(self, entries: list[Entry], label_of: Reader, asked: str | None) -> None:
        is_ending = asked is not None and any(_ends(entry.name, asked) for entry in entries)
        ranks = (asked,) if is_ending and asked is not None else RANKS
        self.entries: dict[Entry, _Label] = {}
        self._by_stem: dict[str, list[_Label]] = defaultdict(list)
        self._longer: dict[str, list[_Label]] = defaultdict(list)
        self._said: dict[Entry, Label | None] = {}
        self._label_of, self.asked = label_of, asked
        for entry in entries:
            if fitting := [ending for ending in ranks if _ends(entry.name, ending)]:
                ending = max(fitting, key=len)
                label = _Label(entry, entry.name[: -len(ending) - 1], ending)
                self.entries[entry] = label
                self._by_stem[label.stem].append(label)
                for stem in _shorter(label.stem):
                    self._longer[stem].append(label)
        for labels in self._by_stem.values():
            labels.sort(key=lambda label: ranks.index(label.ending))

    def said(self, label: _Label) -> Label | None:
        if label.entry not in self._said:
            self._said[label.entry] = self._label_of(label.entry, label.ending)
        return self._said[label.entry]

    def at(self, stem: str) -> tuple[_Label, Label] | None:
        """The first label of exactly this name that says something."""
        for label in self._by_stem.get(stem, ()):
            if (said := self.said(label)) is not None:
                return label, said
        return None

    def silent(self, stem: str) -> _Label | None:
        """A label of this name that says nothing."""
        return next(iter(self._by_stem.get(stem, ())), None)

    def beyond(self, image: Entry, stem: str) -> tuple[_Label, Label] | None:
        """The only label whose name goes on where `stem` ends. Raises ValueError for several."""
        found = [
            (label, said)
            for label in self._longer.get(stem, ())
            if (said := self.said(label)) is not None
        ]
        if len(found) > 1:
            names = [shown(label.entry.name) for label, _ in found]
            ending = found[0][0].entry.name[len(stem) + 1 :]
            raise ValueError(
                f"{shown(image.name)}: has {len(found)} labels beside it, {names[0]} and "
                f"{names[1]}; data.label_column says which ending is meant, such as {ending!r}"
            )
        return found[0] if found else None


def _ends(name: str, ending: str) -> bool:
    """Whether a name has this ending, and something before it."""
    base = name.rpartition("/")[2].lower()
    return len(base) > len(ending) + 1 and base.endswith(f".{ending.lower()}")


def _shorter(stem: str) -> list[str]:
    """What is left of a name up to each of its dots, the longest first, without all of it."""
    folder, slash, base = stem.rpartition("/")
    parts = base.split(".")
    return [folder + slash + ".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]


def _exact(image: Entry, endings: Endings) -> list[str]:
    """The names that an image's label may have: all of its own, and that up to its ending."""
    if endings.image is not None:
        return [image.name[: -len(endings.image) - 1]]
    return [image.name, *_shorter(image.name)[:1]]


def _matches(images: list[Entry], labels: _Labels, endings: Endings) -> list[_Match]:
    """Each image with its label. Raises ValueError where one has none."""
    matches, lacking = [], []
    for image in images:
        exact = _exact(image, endings)
        stem = exact[-1]
        found = next((found for name in exact if (found := labels.at(name))), None)
        is_exact = found is not None
        for name in _shorter(stem):
            found = found or labels.at(name)
        found = found or labels.beyond(image, stem)
        if found is None:
            lacking.append((image, stem))
        else:
            matches.append(_Match(image, stem, *found, is_exact))

    if lacking:
        image, stem = lacking[0]
        silent = labels.silent(stem)
        if silent is not None:
            of = f" in {labels.asked!r}" if labels.asked and silent.ending == "json" else ""
            raise ValueError(f"{shown(silent.entry.name)}: says no label{of}")
        raise ValueError(
            f"{shown(image.name)}: has no label beside it (.cls, or .json with label); "
            f"{len(lacking)} lack one; data.labels='none' trains on all without labels"
        )
    return matches


def _one_each(matches: list[_Match]) -> list[_Match]:
    """One image for each label. Raises ValueError where it is open which one."""
    by_label: dict[Entry, list[_Match]] = defaultdict(list)
    for match in matches:
        by_label[match.label.entry].append(match)
    has_exact = any(match.is_exact for match in matches)

    kept = []
    for of in by_label.values():
        exact = [match for match in of if match.is_exact]
        if len(exact) > 1:
            names = [shown(match.image.name) for match in exact]
            raise ValueError(
                f"{shown(exact[0].label.stem)}: has two images, {names[0]} and {names[1]}; "
                "data.image_column says which ending is meant, such as "
                f"{names[0].rpartition('.')[2]!r}"
            )
        if exact:
            kept += exact
        elif not has_exact:  # else it is a mask or the like of a sample that has lost its image
            kept.append(_only(of))
    return kept


def _only(loose: list[_Match]) -> _Match:
    if len(loose) > 1:
        names = [shown(match.image.name) for match in loose]
        stem = loose[0].label.stem
        endings = [match.image.name[len(stem) + 1 :] for match in loose]
        raise ValueError(
            f"{names[0]} and {names[1]}: have one label between them, "
            f"{shown(loose[0].label.entry.name)}{LEADS}; data.image_column says which ending is "
            f"the image, such as {shown(endings[0])!r}"
        )
    return loose[0]


def _without_parts(kept: list[_Match], labels: _Labels, endings: Endings) -> list[_Match]:
    """Samples that are not also a part of another one.

    Where the ending of images was asked for, WebDataset's rule decides. Raises ValueError
    otherwise.
    """
    by_stem = {match.stem: match for match in kept}
    whole = []
    for match in kept:
        rivals = {
            stem: found[0]
            for stem in _shorter(match.stem)
            if match.is_exact and (found := labels.at(stem)) is not None
            if stem in by_stem or found[1] != match.said
        }
        if rivals and endings.image is None:
            label = next(iter(rivals.values()))
            raise ValueError(
                f"{shown(match.image.name)}: has a label of its own, "
                f"{shown(match.label.entry.name)}, and belongs to {shown(label.entry.name)} by the "
                f"part before a dot{LEADS}; rename one of them, or say by data.image_column "
                "which ending is the image"
            )
        if not by_stem.keys() & rivals:
            whole.append(match)
    return whole


def _refuse_captions(kept: list[_Match], endings: Endings) -> None:
    texts = [match.said for match in kept if match.label.ending == "txt"]
    if endings.label is None and len({*texts}) > max(CAPTIONS, len(texts) // 2):
        example = next(match for match in kept if match.label.ending == "txt")
        raise ValueError(
            f"{shown(example.label.entry.name)}: the texts beside images look like captions, "
            f"{len({*texts})} different ones for {len(texts)} images; data.label_column='txt' "
            "takes them as labels, and data.labels='none' trains without"
        )


def _count(
    parts: list[Entry],
    others: dict[Entry, str],
    stems: set[str],
    tally: Tally,
) -> None:
    """Put into the tally what is neither the image nor the label of a sample."""
    for entry in parts:
        tally.add("further images of a sample", shown(entry.name))
    for entry in sorted(others, key=lambda entry: entry.offset):
        if stems & {entry.name, *_shorter(entry.name)}:
            tally.add("members beside the image and the label of a sample", shown(entry.name))
        else:
            tally.add(others[entry], shown(entry.name))
