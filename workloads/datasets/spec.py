"""Which images a run sees, and how they are split."""

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from workloads.spec import Part

__all__ = ["EMBEDDED", "DataSetName", "DataSpec"]

DataSetName = Literal[
    "shapes",
    "digits",
    "image-folder",
    "shards",
    "cifar10",
    "cifar100",
    "stl10",
    "svhn",
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
EMBEDDED: tuple[DataSetName, ...] = ("shapes", "digits")
assert set(EMBEDDED) <= set(get_args(DataSetName))


class DataSpec(Part):
    """A data set by name, its resolution, its subset and its splits.

    Pre-training uses the training images that are not in the validation split. Choices (such as the
    L2 strength of linear evaluation) are made on the validation split, drawn from the training set
    by `split_seed`; test labels are read once.
    """

    name: DataSetName = "shapes"
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

    @model_validator(mode="after")
    def _root_where_needed(self) -> "DataSpec":
        if self.name in EMBEDDED and self.root is not None:
            raise ValueError(
                f"data.root={self.root!r}: the embedded data set {self.name!r} takes no root"
            )
        return self
