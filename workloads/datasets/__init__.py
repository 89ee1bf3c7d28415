"""Named data sets behind one function, from a data spec to images and labels."""

from pathlib import Path

from workloads.datasets.cache import Source, default_cache, stored
from workloads.datasets.own_data import OwnData, pinned_data
from workloads.datasets.own_data import source as own_data
from workloads.datasets.shards import source as shards
from workloads.datasets.sources import (
    digits,
    image_folder,
    shapes,
    textures,
    torchvision_sets,
    transfer_sets,
)
from workloads.datasets.sources.transfer_sets import metric_of
from workloads.datasets.spec import EMBEDDED, DataSpec
from workloads.datasets.splits import DataSet, Split, split
from workloads.inventory import DataRead, tell
from workloads.spec import SpecError, digest

__all__ = [
    "DataSet",
    "DataSpec",
    "OwnData",
    "Split",
    "content_digest",
    "default_cache",
    "load",
    "metric_of",
    "pinned_data",
    "why_without_labels",
]

DECODING_REVISION = 1  # raised whenever the code stores other pixels for equal files


def load(
    spec: DataSpec,
    *,
    cache: Path | None = None,
    download: bool = False,
    several_labels: bool = False,
    without_labels: bool = False,
) -> DataSet:
    """Load the images and labels of `spec`: uint8 [M, 3, S, S], S = `image_size`, memory-mapped.

    The first call for a data set and size decodes it into the cache (`default_cache()` when None);
    later calls, also those of other processes at the same time, read what it wrote. Of shards, only
    an index is cached, and images are decoded whenever they are taken. `download` lets torchvision
    fetch what it can.
    Images that may have several labels are for callers that say `several_labels`: their labels are
    [N, C]. Images without labels are for callers that say `without_labels`.
    Raises SpecError with every problem of the spec or of the data behind it.
    """
    if metric_of(spec.name) == "mAP" and not several_labels:
        raise SpecError(
            [
                f"data.name={spec.name!r}: its images have several labels each; only "
                "eval.transfer.data takes them"
            ]
        )

    if download and spec.name in torchvision_sets.FILES:
        torchvision_sets.fetch(spec, _root(spec))
    if download and spec.name in transfer_sets.DOWNLOADED:
        transfer_sets.fetch(spec, _root(spec))

    source = _source(spec)
    if source.unlabelled and not without_labels:
        raise SpecError(list(source.unlabelled))
    if spec.content not in (None, source.content):
        where = spec.root or f"the embedded data set {spec.name!r}"
        raise SpecError(
            [f"data.content={spec.content!r}: the content of {where} is {source.content!r}"]
        )

    what = {"revision": DECODING_REVISION, "content": source.content, "fields": source.fields}
    size = spec.image_size if source.images is None else "index"
    key = f"{'own' if spec.is_own else spec.name}-{size}-{digest(what)}"
    images = stored(cache or default_cache(), key, source.decode, source.images)
    data = split(spec, images, source.content, source.left_out)
    tell(DataRead(spec.name, data.content, data.inventory, data.remarks))
    return data


def content_digest(spec: DataSpec) -> str:
    """Compute a hex digest of the data behind `spec`, without decoding them.

    Image size, splits and file times don't matter. What it is of:

    - image folders: every relative path and size, and the bytes of a sample of the files
      (`workloads.datasets.sources.image_folder`);
    - shards: the name and size of each, and bytes here and there
      (`workloads.datasets.shards.source`);
    - torchvision's data sets in few files: the bytes of these;
    - those that list image files: what they list, with labels and sizes, and the bytes of a sample
      of the files;
    - own ones: all that they give, unless it is pinned;
    - embedded ones: name and revision of the code that makes them.

    Of data with labels. Raises SpecError when there are no such data.
    """
    source = _source(spec)
    if source.unlabelled:
        raise SpecError(list(source.unlabelled))
    return source.content


def why_without_labels(spec: DataSpec) -> list[str]:
    """Say why data have no labels, and what layout has; empty for data with labels.

    Raises SpecError for data that cannot be read at all.
    """
    as_found = spec.with_values({"labels": "auto"})
    return list(_source(as_found).unlabelled or _source(spec).unlabelled)


def _source(spec: DataSpec) -> Source:
    given = {"image_column": spec.image_column, "label_column": spec.label_column}
    unread = [name for name, value in given.items() if value is not None]
    if unread and spec.name != "shards":
        raise SpecError(
            [f"data.{name}={given[name]!r}: is read by data.name='shards' only" for name in unread]
        )
    if spec.is_own:
        return own_data(spec)
    match spec.name:
        case "shapes":
            return shapes.source(spec)
        case "textures":
            return textures.source(spec)
        case "digits":
            return digits.source(spec)
        case "image-folder" | "imagenet":
            return image_folder.source(spec, _root(spec))
        case "shards":
            return shards.source(spec, _given_root(spec))
        case "cifar10" | "cifar100" | "stl10" | "svhn" | "mnist" | "fashion-mnist":
            return torchvision_sets.source(spec, _root(spec))
        case _:
            return transfer_sets.source(spec, _root(spec))


def _root(spec: DataSpec) -> Path:
    return Path(_given_root(spec)).expanduser()


def _given_root(spec: DataSpec) -> str:
    if spec.root is None:
        raise SpecError(
            [
                f"data.root: is required by data.name={spec.name!r} (only {', '.join(EMBEDDED)} "
                "are embedded)"
            ]
        )
    return spec.root
