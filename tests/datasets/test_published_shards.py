"""One process: shards in the layouts, and Parquet files with the columns, that others publish."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from workloads.datasets import DataSet, DataSpec, content_digest, load
from workloads.spec import SpecError


def encoded(seed: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def image(seed: int) -> dict[str, Any]:
    return {"bytes": encoded(seed), "path": None}


def rows(count: int = 8, **columns: list[Any]) -> dict[str, list[Any]]:
    labels = [number % 2 for number in range(count)]
    return {"image": [image(number) for number in range(count)], "label": labels} | columns


def write_table(path: Path, columns: dict[str, Any], names: list[str] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        about = json.dumps({"info": {"features": features}}).encode()
        table = table.replace_schema_metadata({b"huggingface": about})
    parquet.write_table(table, path)


def write_tar(path: Path, count: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for number in range(count):
            for ending, data in (("png", encoded(number)), ("cls", b"%d" % (number % 2))):
                member = tarfile.TarInfo(f"{number}.{ending}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def spec_of(root: Path, **values: Any) -> DataSpec:
    tree = {"name": "shards", "root": str(root), "image_size": 8, "validation_fraction": 0.25}
    return DataSpec.read(tree | values)


def loaded(root: Path, tmp_path: Path, **values: Any) -> DataSet:
    return load(spec_of(root, **values), cache=tmp_path / "cache")


def problems(root: Path, tmp_path: Path, **values: Any) -> list[str]:
    with pytest.raises(SpecError) as caught:
        loaded(root, tmp_path, **values)
    return caught.value.problems


def write_parts(root: Path, columns: dict[str, Any], names: list[str] | None = None) -> Path:
    for part in ("train", "test"):
        write_table(root / f"data/{part}-00000-of-00001.parquet", columns, names)
    return root


@pytest.mark.parametrize(
    "paths",
    [
        ("data/train-00000-of-00002.parquet", "data/test-00000-of-00001.parquet"),
        ("plain_text/train-00000-of-00001.parquet", "plain_text/validation-0.parquet"),
        ("default/train/0000.parquet", "default/test/0000.parquet"),
        ("train.parquet", "valid.parquet"),
        ("imagenet-train-000000.tar", "imagenet-validation-000000.tar"),
        ("imagenet1k-train-0000.tar", "imagenet1k-val-0000.tar"),
        ("train0.tar", "test0.tar"),
        ("Train/0.tar", "Val/0.TAR"),
        ("train/a/0.tar", "test/b/0.tar"),
        ("caf\udce9/train-0.tar", "caf\udce9/test-0.tar"),
    ],
)
def test_parts_are_found_where_they_are_published(tmp_path: Path, paths: tuple[str, str]) -> None:
    root = tmp_path / "data"
    for path in paths:
        if path.endswith(".parquet"):
            write_table(root / path, rows())
        else:
            write_tar(root / path)
    (root / "README.md").write_text("x")
    data = loaded(root, tmp_path)
    assert (len(data.train_and_validation()), len(data.test)) == (8, 8)
    assert data.train.take(slice(None)).shape[1:] == (3, 8, 8)
    assert [(each.count, each.example) for each in data.inventory.left_out] == [(1, "README.md")]


def test_a_root_whose_name_is_not_utf_8(tmp_path: Path) -> None:
    root = tmp_path / "caf\udce9"
    write_tar(root / "train" / "caf\udce8.tar")
    write_tar(root / "test" / "0.tar")
    assert len(loaded(root, tmp_path).test.take(slice(None))) == 8


def test_shards_that_fit_no_part_are_counted_or_refused_by_name(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_tar(root / "a/extra-0.tar")
    write_tar(root / "a/trainval-0.tar")
    said = problems(root, tmp_path)
    assert said[0] == (
        f"data.root={str(root)!r}: has no folder train, and none of its 2 shards is named by it "
        "(such as a/extra-0.tar)"
    )
    write_tar(root / "a/train-0.tar")
    write_tar(root / "a/test-0.tar")
    left_out = loaded(root, tmp_path).inventory.left_out
    assert [(each.count, each.example) for each in left_out] == [(2, "a/extra-0.tar")]


def test_several_folders_of_parts_are_refused_by_name(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for path in ("en/train-0.tar", "en/test-0.tar", "fr/train-0.tar", "fr/test-0.tar"):
        write_tar(root / path)
    (said,) = problems(root, tmp_path)
    assert "'en', 'fr'" in said
    assert len(loaded(root / "en", tmp_path).test) == 8


def test_a_link_to_nowhere_and_a_file_in_place_of_a_folder_are_named(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_tar(root / "train-0.tar")
    assert "the folder that it lies in" in problems(root / "train-0.tar", tmp_path)[0]
    (root / "test-0.tar").symlink_to("gone.tar")
    assert "test-0.tar is a link that leads nowhere" in problems(root, tmp_path)[0]


def test_links_that_lead_round_in_a_circle_are_followed_once(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for part in ("train", "test"):
        write_tar(root / part / "0.tar")
    (root / "train" / "again").symlink_to(root)
    assert len(loaded(root, tmp_path).train_and_validation()) == 8


def test_the_digest_of_a_folder_that_was_read_before_is_what_it_was(tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "0.tar").write_bytes(part.encode() * 9999)
        (tmp_path / part / "1.parquet").write_bytes(part.encode() * 7777)
    assert content_digest(spec_of(tmp_path)) == "87f338a8011a0e71ea70"


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        ({"img": "image", "label": "label"}, {}),
        ({"img": "image", "fine_label": "label"}, {}),
        ({"jpg": "image", "cls": "label", "__key__": "key"}, {}),
        ({"Image": "bytes", "Labels": "label"}, {}),
        ({"image.bytes": "bytes", "label": "label"}, {}),
        ({"whatever": "bytes", "target": "label"}, {}),
        ({"image": "image", "label": "label", "fine_label": "key", "img": "image"}, {}),
        (
            {"img": "image", "fine_label": "label", "coarse_label": "key"},
            {"label_column": "fine_label"},
        ),
        ({"a": "image", "b": "bytes", "label": "label"}, {"image_column": "b"}),
        ({"a": "image", "b": "bytes", "label": "label"}, {"image_column": "a.bytes"}),
    ],
)
def test_columns_are_known_or_chosen(
    tmp_path: Path, columns: dict[str, str], chosen: dict[str, str]
) -> None:
    values = {
        "image": [image(number) for number in range(8)],
        "bytes": [encoded(number) for number in range(8)],
        "label": [number % 2 for number in range(8)],
        "key": [str(number) for number in range(8)],
    }
    table = {name: values[kind] for name, kind in columns.items()}
    data = loaded(write_parts(tmp_path / "data", table), tmp_path, **chosen)
    assert data.test.labels.tolist() == [0] * 4 + [1] * 4
    found = data.test.take(slice(None)).permute(0, 2, 3, 1).numpy()
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    assert [one.tobytes() for one in found] == [
        Image.open(io.BytesIO(encoded(number))).tobytes() for number in order
    ]
    unread = len(columns) - 2
    assert any("columns that are not read" in note for note in data.notes) == (unread > 0)


@pytest.mark.parametrize(
    ("columns", "chosen", "said"),
    [
        (
            {"img": "image", "fine_label": "label", "coarse_label": "label"},
            {},
            "has fine_label and coarse_label; data.label_column says which",
        ),
        ({"img": "image", "jpg": "image", "label": "label"}, {}, "data.image_column says which"),
        ({"a": "image", "b": "image", "label": "label"}, {}, "data.image_column"),
        ({"img": "image", "what": "label"}, {}, "has img.bytes, img.path, what"),
        (
            {"img": "image", "label": "label"},
            {"label_column": "x"},
            "'x': there is none; there are",
        ),
        ({"img": "image", "label": "label"}, {"image_column": "label"}, "there is none"),
    ],
)
def test_where_it_is_open_which_column_is_meant_it_is_asked_for(
    tmp_path: Path, columns: dict[str, str], chosen: dict[str, str], said: str
) -> None:
    values = {"image": [image(n) for n in range(8)], "label": [n % 2 for n in range(8)]}
    table = {name: values[kind] for name, kind in columns.items()}
    (problem,) = problems(write_parts(tmp_path / "data", table), tmp_path, **chosen)
    assert said in problem


def test_names_of_classes_are_those_that_the_files_carry(tmp_path: Path) -> None:
    root = write_parts(tmp_path / "data", rows(), ["cat", "dög"])
    assert loaded(root, tmp_path).classes == ("cat", "dög")
    write_table(root / "data/test-00000-of-00001.parquet", rows(), ["dög", "cat"])
    (said,) = problems(root, tmp_path)
    assert "other names for the same numbers" in said


def test_rows_without_an_image_are_counted(tmp_path: Path) -> None:
    images = [image(number) for number in range(8)]
    images[3] = {"bytes": None, "path": "3.png"}
    root = write_parts(tmp_path / "data", rows(image=[*images[:5], None, *images[6:]]))
    assert problems(root, tmp_path)[0].startswith("data.allow_unreadable=0: 4 of 16 images")
    data = loaded(root, tmp_path, allow_unreadable=4)
    assert data.inventory.used == 12
    assert [each.count for each in data.inventory.left_out] == [4]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    paths = [{"bytes": None, "path": f"{number}.png"} for number in range(8)]
    write_parts(root, rows() | {"image": pa.array(paths, kind)})
    assert "no row has the bytes of an image" in problems(root, tmp_path)[0]


def test_labels_and_keys_of_every_kind(tmp_path: Path) -> None:
    texts = pa.array([b"caf\xe9", b"ox"] * 4).cast(pa.binary())
    root = write_parts(
        tmp_path / "a", rows(label=pa.array(texts), key=pa.array([b"\xff%d" % n for n in range(8)]))
    )
    assert loaded(root, tmp_path).classes == ("caf\\xe9", "ox")
    named = pa.array(["ox", "bee"] * 4).dictionary_encode()
    assert loaded(write_parts(tmp_path / "b", rows(label=named)), tmp_path).classes == ("bee", "ox")
    real = pa.array([1.0, 0.0] * 4)
    assert loaded(write_parts(tmp_path / "c", rows(label=real)), tmp_path).classes == ("0", "1")
    for wrong in ([None, 1] * 4, [True, False] * 4, [0.5, 1.0] * 4):
        (said,) = problems(write_parts(tmp_path / "d", rows(label=pa.array(wrong))), tmp_path)
        assert "needs a number or a name as its label (label)" in said


def test_columns_are_asked_for_in_shards_only() -> None:
    with pytest.raises(
        SpecError, match=r"data\.label_column='x': is read by data\.name='shards' only"
    ):
        load(DataSpec(name="digits", label_column="x"))
