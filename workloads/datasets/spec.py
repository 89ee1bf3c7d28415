"""Which images a run sees, and how they are split."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from workloads.option_values import Options, OptionsField
from workloads.parts import DATASETS, name_problem
from workloads.spec import Part

__all__ = ["EMBEDDED", "MAX_PIXELS", "OF_8_BITS", "DataSetName", "DataSpec", "forget_newer_fields"]

DataSetName = Literal[
    "shapes",
    "textures",
    "digits",
    "image-folder",
    "shards",
    "cifar10",
    "cifar100",
    "stl10",
    "svhn",
    "mnist",
    "fashion-mnist",
    "imagenet",
    "food101",
    "birdsnap",
    "sun397",
    "cars",
    "aircraft",
    "voc2007",
    "dtd",
    "pets",
    "caltech101",
    "flowers",
]
MAX_PIXELS = 1 << 29  # 23,170 x 23,170; PIL takes 2 GiB for them
# Fields that came after the first results.
NEWER = (
    "channels",
    "image_column",
    "label_column",
    "labels",
    "max_pixels",
    "value_range",
    "palette",
    "arrangement",
    "options",
    "code",
)
WITH_FILES = ("image-folder", "imagenet", "shards")  # whose folders or members say the labels
EMBEDDED: tuple[DataSetName, ...] = ("shapes", "textures", "digits")
# Whose pixels are their authors' own and of 8 bits; `channels` and the like are not read.
OF_8_BITS = (*EMBEDDED, "cifar10", "cifar100", "stl10", "svhn", "mnist", "fashion-mnist")
assert set(EMBEDDED) <= set(get_args(DataSetName))


Band = Annotated[int, Field(ge=1)]


class DataSpec(Part):
    """A data set by name, its resolution, its subset and its splits.

    Pre-training uses the training images that are not in the validation split. Choices (such as the
    L2 strength of linear evaluation) are made on the validation split, drawn from the training set
    by `split_seed`; test labels are read once.
    """

    name: DataSetName | str = Field(
        "shapes", description="or an own one, as module:name or by its entry point"
    )
    root: str | None = Field(
        None,
        description="folder of the data, of shards also a URI (s3://...); not "
        "needed by the embedded "
        "data sets",
    )
    content: str | None = Field(
        None,
        description="digest of the data behind `root`; when given, other data is "
        "refused and `root` may "
        "differ",
    )
    image_size: Annotated[int, Field(ge=8, le=512)] = Field(
        32, description="side in pixels that images are brought to"
    )
    train_images: Annotated[int, Field(ge=4)] | None = Field(
        None,
        description="class-balanced subset of the training set (before validation "
        "is split off); null is "
        "all",
    )
    test_images: Annotated[int, Field(ge=2)] | None = Field(
        None, description="class-balanced subset of the test set; null is all"
    )
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="share of the training images held out for choices"
    )
    split_seed: Annotated[int, Field(ge=0)] = Field(
        0, description="draws the subsets and the validation split"
    )
    allow_unreadable: Annotated[int, Field(ge=0)] = Field(
        0, description="how many unreadable images of a folder may be left out before the run fails"
    )
    grey_images: Literal["refuse", "convert"] = Field(
        "refuse",
        description="a grey image among colour ones: refuse it, or repeat its channel three times",
    )
    palette: Literal["per-image", "shared"] = Field(
        "per-image",
        description="of textures: colours of each image's own, or the same for all, which leaves "
        "nothing to the short cut of cropping (section 3.1)",
    )
    arrangement: Literal["per-image", "shared"] = Field(
        "per-image",
        description="of textures: period, angle, phase and bend of each image's own, or the same "
        "for all, which leaves nothing to the short cut of colour distortion",
    )
    labels: Literal["auto", "none"] = Field(
        "auto",
        description="auto: as the data say them; an image folder without classes or test "
        "images has none, nor have shards without labels or a test part. none: folders, members "
        "and columns are no classes, and all images of the training part, or of the whole root, "
        "are trained on without labels",
    )
    channels: tuple[Band, Band, Band] | None = Field(
        None,
        description="numbers, from 1, of the three bands of an image that are used; null is grey "
        "or RGB, and refuses images that have more (a declared alpha band is left out)",
    )
    value_range: tuple[float, float] | None = Field(
        None,
        description="of images of more than 8 bits, signed or in floating point: the values that "
        "become 0 and 255; null follows from the training images",
    )
    max_pixels: Annotated[int, Field(ge=1)] = Field(
        MAX_PIXELS,
        description="pixels from which an image counts as unreadable; a JPEG file counts as it is "
        "decoded, at a reduced scale where it is large",
    )

    image_column: str | None = Field(
        None,
        description="of shards: the column of Parquet files, or the ending of names in tar files, "
        "that has the images; null is one that is known",
    )
    label_column: str | None = Field(
        None,
        description="of shards: the column of Parquet files, the ending of names in tar files, or "
        "the field of their .json, that has the labels; null is one that is known",
    )

    options: OptionsField = Field(Options(), description="of an own data set, as it takes them")
    code: str | None = Field(
        None,
        description="which source an own data set has: its distribution, version and digest; set "
        "when runs are planned, and another one is refused then",
    )

    @model_validator(mode="after")
    def _named(self) -> "DataSpec":
        # With its code it was found once; whoever reads the results of such a run need not have it.
        if self.is_own and self.code is None:
            built_in = get_args(DataSetName)
            if problem := name_problem(DATASETS, "data.name", self.name, built_in):
                raise ValueError(problem)
        if self.options and not self.is_own:
            raise ValueError(
                f"data.options={self.options!r}: {self.name} is built in, and takes none"
            )
        return self

    @property
    def is_own(self) -> bool:
        """Whether the data set is somebody's own."""
        return self.name not in get_args(DataSetName)

    @model_validator(mode="after")
    def _pixels(self) -> "DataSpec":
        given = {"channels": self.channels, "value_range": self.value_range}
        for name, value in given.items():
            if value is not None and self.name in OF_8_BITS:
                raise ValueError(
                    f"data.{name}={list(value)}: is not read by data.name={self.name!r}, whose "
                    "images are all of one kind"
                )
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            raise ValueError(
                f"data.value_range={list(self.value_range)}: needs the lower value first"
            )
        return self

    @model_validator(mode="after")
    def _labels(self) -> "DataSpec":
        if self.labels == "none" and self.name not in WITH_FILES and not self.is_own:
            raise ValueError(
                f"data.labels='none': is for {', '.join(WITH_FILES)}; with eval.protocol=none "
                f"data.name={self.name!r} is trained on without labels as it is"
            )
        return self

    @model_validator(mode="after")
    def _nuisances_where_drawn(self) -> "DataSpec":
        if self.name == "textures":
            return self
        drawn = {"palette": self.palette, "arrangement": self.arrangement}
        if set(drawn.values()) != {"per-image"}:
            asked = " and ".join(
                f"data.{name}={value!r}" for name, value in drawn.items() if value != "per-image"
            )
            raise ValueError(f"{asked}: only of data.name='textures', not of {self.name!r}")
        return self

    def root_problem(self, field: str) -> str | None:
        """Return why these data take no root, which `field` gives; None where they do.

        No check of its own, as a recipe may give the folder of data that its cells name.
        """
        if self.name in EMBEDDED and self.root is not None:
            return f"{field}={self.root!r}: the embedded data set {self.name!r} takes no root"
        return None


def forget_newer_fields(*trees: dict[str, Any]) -> None:
    """Drop from trees of data specs the fields that came after the first results, at defaults.

    Whoever digests a tree finds what was computed before these fields were.
    """
    defaults = DataSpec().tree()
    for tree in trees:
        for name in NEWER:
            if tree[name] == defaults[name]:
                del tree[name]
