"""Data sets of somebody's own: every form of images, pinned by content, and what is refused."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from workloads.catalog.simclr import SIMCLR
from workloads.datasets import DataSpec, content_digest, load
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError

PARTS = """
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from workloads.datasets import OwnData

CALLS = []


def levels(count, side=12):
    return np.random.default_rng(count).integers(0, 256, (count, 3, side, side), np.uint8)


def data(root, *, form: str = "array", count: int = 20, side: int = 12):
    CALLS.append(form)
    parts = [levels(n, side) for n in (count, count // 2)]
    if form == "list":
        parts = [list(part) for part in parts]
    if form != "array":
        parts = [[in_form(image, form) for image in part] for part in parts]
    labels = [np.arange(len(part)) % 2 for part in parts]
    return OwnData(parts[0], labels[0], parts[1], labels[1], ("a", "b"))


def in_form(image, form):
    picture = Image.fromarray(image.transpose(1, 2, 0))
    if form == "pil":
        return picture
    if form == "list":
        return image
    file = BytesIO()
    picture.save(file, "PNG")
    if form == "bytes":
        return file.getvalue()
    path = Path(f"{abs(hash(file.getvalue()))}.png")
    path.write_bytes(file.getvalue())
    return str(path.absolute())


def unlabelled(root):
    return levels(20), None


def of_root(root):
    return levels(int(Path(root).read_text())), None


def floats(root):
    return levels(20) / 255, [0, 1] * 10, levels(4), [0, 1] * 2


def channels_last(root):
    return levels(20).transpose(0, 2, 3, 1), [0, 1] * 10, levels(4), [0, 1] * 2


def few_labels(root):
    return levels(20), [0, 1], levels(4), [0, 1] * 2


def no_tests(root):
    return levels(20), [0, 1] * 10


def names(root):
    return levels(20), [0, 1] * 10, levels(4), [0, 2] * 2, ("a", "b")


def damaged(root):
    return [b"no image"] * 20, [0, 1] * 10, levels(4), [0, 1] * 2


def broken(root):
    raise ZeroDivisionError("no luck")
"""


@pytest.fixture
def named(own_module: Callable[[str], str]) -> Callable[..., DataSpec]:
    module = own_module(PARTS)

    def of(name: str = "data", **fields: Any) -> DataSpec:
        return DataSpec.read({"name": f"{module}:{name}", "image_size": 8} | fields)

    return of


def fitted(side: int) -> np.ndarray[Any, Any]:
    """What 20 images should be stored as, by PIL."""
    levels = np.random.default_rng(20).integers(0, 256, (20, 3, side, side), np.uint8)
    return np.stack(
        [
            np.asarray(
                Image.fromarray(image.transpose(1, 2, 0)).resize((8, 8), Image.Resampling.BICUBIC)
            ).transpose(2, 0, 1)
            for image in levels
        ]
    )


@pytest.mark.parametrize("form", ["array", "list", "pil", "bytes", "path"])
def test_images_of_every_form_are_brought_to_the_size(
    named: Callable[..., DataSpec], tmp_path: Path, form: str
) -> None:
    spec = named(options={"form": form}, validation_fraction=0.2)
    data = load(spec, cache=tmp_path / "cache")
    assert data.classes == ("a", "b")
    assert (len(data.train), len(data.validation), len(data.test)) == (16, 4, 10)
    stored = data.train_and_validation()
    np.testing.assert_array_equal(stored.take(slice(None)).numpy(), fitted(12))
    np.testing.assert_array_equal(stored.labels, np.arange(20) % 2)
    assert data.content == content_digest(spec)


def test_content_is_of_images_and_not_of_options_or_size(named: Callable[..., DataSpec]) -> None:
    content = content_digest(named())
    assert content_digest(named(image_size=16, split_seed=3)) == content
    assert content_digest(named(options={"count": 20})) == content
    assert content_digest(named(options={"count": 22})) != content
    assert content_digest(named(options={"side": 13})) != content


def test_pinned_data_are_decoded_once_and_not_asked_for_again(
    named: Callable[..., DataSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMCLR_ORCH_CACHE", str(tmp_path / "cache"))
    asked = RunSpec(data=named(train_images=None, test_images=None))
    spec, facts = SIMCLR.prepare(asked, download=False)
    assert spec.data.content == facts.content
    assert dict(spec.data.options) == {"form": "array", "count": 20, "side": 12}
    assert spec.data.code
    calls = __import__(spec.data.name.partition(":")[0]).CALLS
    before = len(calls)
    assert load(spec.data).content == facts.content
    assert len(calls) == before

    with pytest.raises(SpecError, match=r"data.content='other': what .* gives is"):
        load(spec.data.with_values({"content": "other"}))
    with pytest.raises(SpecError, match="was planned with other"):
        load(spec.data.with_values({"code": "other"}))


def test_fingerprints_are_of_content_code_and_options(named: Callable[..., DataSpec]) -> None:
    def of(**fields: Any) -> str:
        return RunSpec(data=named(**{"content": "c", "code": "1"} | fields)).fingerprint()

    assert of() == of(root="/elsewhere")
    assert len({of(), of(code="2"), of(content="d"), of(options={"count": 2})}) == 4


def test_data_without_labels_are_for_training_alone(
    named: Callable[..., DataSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMCLR_ORCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(SpecError, match="gives no labels"):
        load(named("unlabelled"))
    spec, facts = SIMCLR.prepare(RunSpec(data=named("unlabelled")), download=False)
    assert (facts.train, facts.validation, facts.test) == (20, 0, 0)
    assert spec.data.labels == "none"
    assert len(load(spec.data, without_labels=True).train) == 20
    again, _ = SIMCLR.prepare(spec, download=False)
    assert again == spec


def test_a_root_is_handed_on(named: Callable[..., DataSpec], tmp_path: Path) -> None:
    (tmp_path / "count").write_text("9")
    spec = named("of_root", root=str(tmp_path / "count"))
    assert len(load(spec, cache=tmp_path / "cache", without_labels=True).train) == 9


def test_transfer_takes_own_data(
    named: Callable[..., DataSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIMCLR_ORCH_CACHE", str(tmp_path / "cache"))
    base = SIMCLR.presets["shapes"]().with_values(
        {
            "eval.transfer.protocols": ["linear"],
            "eval.transfer.data.name": named().name,
            "data.train_images": 100,
            "data.test_images": 20,
        }
    )
    spec = SIMCLR.pinned(SIMCLR.prepare(base, download=False)[0])
    assert not SIMCLR.problems(spec, 2000, 1)
    assert spec.eval.transfer.data.content == content_digest(named())
    assert spec.eval.transfer.data.code


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("floats", "training images as float64 [20, 3, 12, 12], and not uint8 [N, C, H, W]"),
        ("channels_last", "training images as uint8 [20, 12, 12, 3], and not uint8 [N, C, H, W]"),
        ("few_labels", "training labels as int64 [2], and not 20 integers from 0"),
        ("no_tests", "no test images; without any, labels are to be None"),
        ("names", "the label 2, and names of 2 classes"),
        ("damaged", "data.allow_unreadable=0: 20 images of"),
        ("broken", "fails: ZeroDivisionError: no luck"),
    ],
)
def test_what_is_no_data_set_is_refused_by_name(
    named: Callable[..., DataSpec], tmp_path: Path, name: str, problem: str
) -> None:
    with pytest.raises(SpecError) as caught:
        load(named(name), cache=tmp_path / "cache")
    assert problem in str(caught.value)
    assert name in caught.value.problems[0]


def test_unreadable_images_are_left_out_as_those_of_a_folder(
    own_module: Callable[[str], str], tmp_path: Path
) -> None:
    file = BytesIO()
    Image.new("RGB", (9, 9)).save(file, "PNG")
    module = own_module(
        f"GOOD = {file.getvalue()!r}\n"
        "def data(root):\n"
        "    return [GOOD] * 9 + [b''], [0, 1] * 5, [GOOD] * 4, [0, 1] * 2\n"
    )
    spec = DataSpec.read({"name": f"{module}:data", "image_size": 8, "allow_unreadable": 1})
    data = load(spec, cache=tmp_path / "cache")
    assert len(data.train) + len(data.validation) == 9
    assert "left out, cannot be read: train image 9" in "\n".join(data.notes)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"data.name": "textuers"}, "did you mean textures"),
        ({"data.options.count": 3}, "shapes is built in, and takes none"),
    ],
)
def test_names_and_options_that_cannot_be_are_told(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(SpecError, match=problem):
        RunSpec().with_values(fields)
