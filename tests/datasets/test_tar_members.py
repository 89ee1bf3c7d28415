"""One process with an oracle: which members of a tar shard are samples, by all that was written."""

import gzip
import io
import json
import random
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from workloads.datasets import DataSet, DataSpec, load
from workloads.datasets.shards.archives import members_of
from workloads.datasets.shards.contents import Asked, Contents
from workloads.inventory import shown
from workloads.spec import SpecError


def encoded(seed: int, format: str = "PNG") -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


def tarred(members: Mapping[str, bytes | str], format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of members; a text is a link to the member of that name."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format, errors="surrogateescape") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(data, str):
                member.type, member.linkname = tarfile.LNKTYPE, data
                archive.addfile(member)
            else:
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def contents(
    members: Mapping[str, bytes | str] | bytes, tmp_path: Path, asked: Asked | None = None
) -> Contents:
    data = members if isinstance(members, bytes) else tarred(members)
    return members_of(io.BytesIO(data), tmp_path / "copy", asked or Asked())  # type: ignore[arg-type]


def names(found: Contents) -> list[tuple[str, int | str | None]]:
    return [(one.name.decode(), one.label) for one in found.members]


def left_out(found: Contents) -> dict[str, tuple[int, str]]:
    return {each.reason: (each.count, each.example) for each in found.left_out}


def problem(
    members: Mapping[str, bytes | str] | bytes, tmp_path: Path, asked: Asked | None = None
) -> str:
    with pytest.raises(ValueError) as caught:
        contents(members, tmp_path, asked)
    return str(caught.value)


PNG = encoded(0)


def test_names_with_dots_are_paired_by_all_of_the_name(tmp_path: Path) -> None:
    stems = ["0", "photo.v2-3", "photo.v2-4", "a.b/IMG.2020.017", "a.b/IMG.2020.018", "x.tar"]
    members = {f"{stem}.png": PNG for stem in stems}
    members |= {f"{stem}.cls": b"%d" % number for number, stem in enumerate(stems)}
    found = contents(members, tmp_path)
    assert names(found) == [(f"{stem}.png", number) for number, stem in enumerate(stems)]
    assert not found.left_out


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("7.left.jpg", "7.cls"),
        ("7.jpg", "7.cls.txt"),
        ("7.jpg", "7.fine.cls"),
        ("7.jpg", "7.jpg.cls"),
        ("7.JPG", "7.CLS"),
        ("photo.v2.jpg", "photo.v2.class.txt"),
        ("photo.v2.jpg", "photo.v2.txt"),
        ("7", "7.cls"),
        ("photo.v2", "photo.v2.cls"),
        ("7.jfif", "7.cls"),
        ("7.what", "7.cls"),
    ],
)
def test_an_image_finds_its_label(tmp_path: Path, image: str, label: str) -> None:
    found = contents({image: PNG, label: b"ox"}, tmp_path)
    assert names(found) == [(image, "ox")]
    assert not found.left_out


def test_what_belongs_to_a_sample_and_is_neither_image_nor_label_is_counted(
    tmp_path: Path,
) -> None:
    members = {
        "7.jpg": PNG,
        "7.cls": b"1",
        "7.seg.png": PNG,
        "7.json": b'{"label": 9}',
        "7.boxes.npy": b"x",
        "8.cls": b"2",
        "notes.md": b"x",
        "._7.jpg": b"x",
        ".DS_Store": b"x",
    }
    found = contents(members, tmp_path)
    assert names(found) == [("7.jpg", 1)]
    assert left_out(found) == {
        "hidden files": (2, "._7.jpg"),
        "further images of a sample": (1, "7.seg.png"),
        "members beside the image and the label of a sample": (2, "7.json"),
        "labels without an image": (1, "8.cls"),
        "files that are no images": (1, "notes.md"),
    }


@pytest.mark.parametrize(
    ("names", "said", "choices"),
    [
        (("7.jpg", "7.cls", "7.seg.png", "7.seg.json"), "7.seg.png", {"jpg": ["7.jpg"]}),
        (
            ("7.left.jpg", "7.right.jpg", "7.cls"),
            "7.left.jpg and 7.right.jpg",
            {"left.jpg": ["7.left.jpg"], "right.jpg": ["7.right.jpg"]},
        ),
        (("7.jpg", "7.png", "7.cls"), "7.jpg and 7.png", {"png": ["7.png"]}),
    ],
)
def test_where_it_is_open_which_image_is_meant_it_is_said_and_chosen(
    tmp_path: Path, names: tuple[str, ...], said: str, choices: dict[str, list[str]]
) -> None:
    label = {"cls": b"1", "json": b'{"label": 2}'}
    members = {name: label.get(name.rpartition(".")[2], PNG) for name in names}
    refusal = problem(members, tmp_path)
    assert said in refusal
    assert "data.image_column" in refusal
    for ending, chosen in choices.items():
        found = contents(members, tmp_path, Asked(image_column=ending))
        assert [one.name.decode() for one in found.members] == chosen
        assert sum(each.count for each in found.left_out) == len(names) - 2


def test_several_labels_of_an_image_are_chosen_by_their_ending(tmp_path: Path) -> None:
    members = {"7.jpg": PNG, "7.fine.cls": b"11", "7.coarse.cls": b"2"}
    assert "data.label_column" in problem(members, tmp_path)
    found = contents(members, tmp_path, Asked(label_column="coarse.cls"))
    assert names(found) == [("7.jpg", 2)]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (b"7", 7),
        (b"\xef\xbb\xbf7\r\n", 7),
        (b" -3 \n", -3),
        ("\ufeffox\r\n".encode("utf-16-le"), "ox"),
        (b"ox \n\n", "ox"),
        (b"007", "007"),
        (b"1_0", "1_0"),
        ("\uff11".encode(), "\uff11"),
        (b"caf\xe9", "caf\\xe9"),
    ],
)
def test_a_label_is_the_text_as_people_see_it(
    tmp_path: Path, text: bytes, label: int | str
) -> None:
    (found,) = contents({"7.jpg": PNG, "7.cls": text}, tmp_path).members
    assert found.label == label
    assert isinstance(found.label, int) == isinstance(label, int)


@pytest.mark.parametrize(
    ("tree", "label"),
    [
        ({"label": 3, "cls": 4}, 3),
        ({"cls": "ox", "class_name": "y"}, "ox"),
        ({"class_id": 3, "class_name": "ox", "width": 5}, 3),
        ({"class_name": "ox", "label": None}, "ox"),
        ({"label": 3.0}, 3),
        (3, 3),
    ],
)
def test_a_label_in_json_has_one_of_the_known_names(
    tmp_path: Path, tree: object, label: int | str
) -> None:
    members = {"7.jpg": PNG, "7.json": json.dumps(tree).encode()}
    assert names(contents(members, tmp_path)) == [("7.jpg", label)]


def test_a_label_in_json_is_chosen_by_its_field(tmp_path: Path) -> None:
    members = {"7.jpg": PNG, "7.json": b'{"fine_label": 3, "coarse_label": 1, "animal": "ox"}'}
    assert "fine_label and coarse_label" in problem(members, tmp_path)
    for field, label in (("coarse_label", 1), ("animal", "ox")):
        found = contents(members, tmp_path, Asked(label_column=field))
        assert names(found) == [("7.jpg", label)]
    assert "says no label in 'no'" in problem(members, tmp_path, Asked(label_column="no"))


def test_texts_that_look_like_captions_are_no_labels_unless_asked_for(tmp_path: Path) -> None:
    members = {f"{number}.jpg": PNG for number in range(40)}
    members |= {f"{number}.txt": b"photo no. %d" % number for number in range(40)}
    assert "look like captions" in problem(members, tmp_path)
    assert len(contents(members, tmp_path, Asked(label_column="txt")).members) == 40


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_are_bytes(tmp_path: Path, format: int) -> None:
    stems = ["caf\udce9", "n" * 300, "é" * 120, "\udcff/\udcfe.v2"]
    members = {f"{stem}.png": PNG for stem in stems} | {f"{stem}.cls": b"1" for stem in stems}
    found = contents(tarred(members, format), tmp_path)
    assert [one.name for one in found.members] == [
        f"{stem}.png".encode(errors="surrogateescape") for stem in stems
    ]


def test_links_are_what_they_lead_to(tmp_path: Path) -> None:
    members: dict[str, bytes | str] = {"0.png": PNG, "0.cls": b"4", "1.png": "0.png"}
    members |= {"1.cls": "0.cls", "2.md": "no/where"}
    found = contents(members, tmp_path)
    assert names(found) == [("0.png", 4), ("1.png", 4)]
    assert found.members[0].offset == found.members[1].offset
    assert left_out(found) == {"links to what is not in the shard": (1, "2.md")}


def test_tar_files_one_after_the_other_are_read_to_the_end(tmp_path: Path) -> None:
    parts = [tarred({f"{number}.png": PNG, f"{number}.cls": b"%d" % number}) for number in range(3)]
    assert names(contents(b"".join(parts), tmp_path)) == [(f"{n}.png", n) for n in range(3)]


def test_a_name_that_is_there_twice_with_other_bytes_is_refused(tmp_path: Path) -> None:
    one = tarred({"0.png": PNG, "0.cls": b"1"})
    assert problem(one + tarred({"0.cls": b"2"}), tmp_path) == (
        "0.cls: is there twice, with other bytes"
    )
    assert left_out(contents(one + one, tmp_path)) == {"members that are there twice": (2, "0.png")}


def test_wherever_a_tar_file_is_cut_off_no_image_vanishes_in_silence(tmp_path: Path) -> None:
    members = {}
    for number in range(3):
        members |= {f"{number}.png": encoded(number), f"{number}.cls": b"%d" % number}
    whole = tarred(members)
    for length in range(0, len(whole), 64):
        try:
            found = contents(whole[:length], tmp_path)
        except ValueError:
            continue
        assert len(found.members) == 3 or "cut off" in found.notes[0], length


def test_a_header_that_is_damaged_is_refused(tmp_path: Path) -> None:
    whole = bytearray(
        tarred(
            {
                f"{n}.{end}": PNG if end == "png" else b"1"
                for n in range(9)
                for end in ("png", "cls")
            }
        )
    )
    at = whole.index(b"5.png")
    whole[at] ^= 0xFF
    assert "damaged" in problem(bytes(whole), tmp_path)


@pytest.mark.parametrize("kind", ["gzip", "bz2", "xz", "zstd"])
def test_a_packed_tar_file_is_read_from_a_copy_and_refused_when_cut_off(
    tmp_path: Path, kind: str
) -> None:
    plain = tarred(
        {
            f"{n}.{end}": encoded(n) if end == "png" else b"1"
            for n in range(40)
            for end in ("png", "cls")
        }
    )
    file = io.BytesIO()
    if kind == "xz":
        with tarfile.open(fileobj=file, mode="w:xz") as archive:
            member = tarfile.TarInfo("0.png")
            member.size = len(PNG)
            archive.addfile(member, io.BytesIO(PNG))
            member = tarfile.TarInfo("0.cls")
            member.size = 1
            archive.addfile(member, io.BytesIO(b"1"))
        packed = file.getvalue()
    else:
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, kind) as stream:
            stream.write(plain)
        packed = sink.getvalue().to_pybytes()
    found = contents(packed, tmp_path)
    copy = (tmp_path / "copy").read_bytes()
    for one in found.members:
        Image.open(io.BytesIO(copy[one.offset : one.offset + one.length])).load()
    assert len(found.members) == (1 if kind == "xz" else 40)
    with pytest.raises((ValueError, OSError)):
        contents(packed[: len(packed) // 2], tmp_path)


def test_a_pointer_of_git_lfs_is_called_so(tmp_path: Path) -> None:
    assert "git lfs pull" in problem(b"version https://git-lfs.github.com/spec/v1\noid", tmp_path)


@pytest.mark.parametrize("seed", range(60))
def test_every_member_is_an_image_a_label_or_left_out_by_name(tmp_path: Path, seed: int) -> None:
    """Whatever the names are: all is counted, or it is refused with one of the members shown."""
    draw = random.Random(seed)
    stems = ["7", "8", "photo.v2", "photo.v3", "photo", "d/7", "d.e/7", "IMG.2020.017", "caf\udce9"]
    endings = [
        "png",
        "jpg",
        "jfif",
        "seg.png",
        "left.jpg",
        "cls",
        "json",
        "txt",
        "cls.txt",
        "npy",
        "",
    ]
    members: dict[str, bytes | str] = {}
    for stem in draw.sample(stems, draw.randint(1, len(stems))):
        wanted = draw.sample(endings, draw.randint(0, 2)) if draw.random() < 0.5 else []
        for ending in {*wanted, draw.choice(["png", "jpg", "png.x"]), draw.choice(["cls", "json"])}:
            name = f"{stem}.{ending}" if ending else stem
            text = {"json": b'{"label": 1}', "cls": b"1", "txt": b"1"}.get(
                ending.rpartition(".")[2]
            )
            members[name] = text or (b"\x93NUMPY" if ending == "npy" else PNG)
    members |= {f"{draw.choice(stems)}.{n}.md": b"x" for n in range(draw.randint(0, 3))}
    refusal = ""
    try:
        found = contents(members, tmp_path)
    except ValueError as error:
        refusal = str(error)
    if refusal:
        stems_shown = [shown(name).rpartition(".")[0] for name in members]
        assert any(stem in refusal for stem in stems_shown)
        return
    used = {one.name for one in found.members}
    assert len(used) == len(found.members)
    counted = sum(each.count for each in found.left_out)
    assert len(members) == 2 * len(found.members) + counted
    for one in found.members:
        assert one.label == 1


def test_images_are_read_without_labels_where_none_are_asked_for(tmp_path: Path) -> None:
    members: dict[str, bytes | str] = {"7.jpg": PNG, "7.seg.png": PNG, "7.txt": b"a photo"}
    members |= {"photo.v2.png": PNG, "photo.v3.png": PNG, "8.left.jpg": PNG, "8.right.jpg": PNG}
    members |= {"x.md": b"x", "9.png": PNG, "9.cls": b"1"}
    found = contents(members, tmp_path, Asked(labelled=False))
    assert names(found) == [
        (name, None)
        for name in ("7.jpg", "photo.v2.png", "photo.v3.png", "8.left.jpg", "8.right.jpg", "9.png")
    ]
    assert left_out(found) == {
        "further images of a sample": (1, "7.seg.png"),
        "members beside the image and the label of a sample": (2, "7.txt"),
        "files that are no images": (1, "x.md"),
    }


# Whole data sets


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def samples(
    count: int, stem: str = "", labels: tuple[bytes, ...] = (b"0", b"1"), first: int = 0
) -> dict[str, bytes]:
    members = {}
    for number in range(first, first + count):
        members |= {
            f"{stem}{number}.png": encoded(number),
            f"{stem}{number}.cls": labels[number % len(labels)],
        }
    return members


def loaded(root: Path, tmp_path: Path, **values: object) -> DataSet:
    tree = {"name": "shards", "root": str(root), "image_size": 8, "validation_fraction": 0.25}
    return load(DataSpec.read(tree | values), cache=tmp_path / "cache")


def problems(root: Path, tmp_path: Path, **values: object) -> list[str]:
    with pytest.raises(SpecError) as caught:
        loaded(root, tmp_path, **values)
    return caught.value.problems


def test_a_data_set_counts_what_is_left_out_and_says_it(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write(root / "train/0.tar", tarred(samples(8, "photo.v2-") | {"notes.md": b"x"}))
    write(root / "train/1.tar.gz", gzip.compress(tarred(samples(8, "caf\udce9-", first=8))))
    write(root / "test/0.tar", tarred(samples(8) | {"more.md": b"x", "0.seg.png": PNG}))
    write(root / "val/0.tar", tarred(samples(8)))
    write(root / "train/list.csv", b"x")
    data = loaded(root, tmp_path)
    assert data.inventory.used == 24
    assert {(each.reason, each.count, each.example) for each in data.inventory.left_out} == {
        ("files that are no images", 2, "train/0.tar: notes.md"),
        ("further images of a sample", 1, "test/0.tar: 0.seg.png"),
        ("shards of parts that are not used", 1, "val/0.tar"),
        ("files that are no shards", 1, "train/list.csv"),
    }
    assert "left out: 2 files that are no images, such as train/0.tar: notes.md" in data.notes
    rows = data.train_and_validation()
    assert sorted(rows.labels.tolist()) == [0] * 8 + [1] * 8
    expected = sorted(Image.open(io.BytesIO(encoded(n))).tobytes() for n in range(16))
    found = rows.take(slice(None)).permute(0, 2, 3, 1).numpy()
    assert sorted(image.tobytes() for image in found) == expected
    again = loaded(root, tmp_path)
    assert again.inventory == data.inventory


def test_two_ways_to_write_a_number_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write(root / "train/0.tar", tarred(samples(8, labels=(b"01", b"02"))))
    write(root / "test/0.tar", tarred(samples(8, labels=(b"1", b"02"))))
    (said,) = problems(root, tmp_path)
    assert "the labels '01' and '1' are one number" in said
    write(root / "test/0.tar", tarred(samples(8, labels=(b"01", b"02\r\n"))))
    assert loaded(root, tmp_path).classes == ("01", "02")


def test_one_name_in_two_unicode_forms_is_one_class(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write(root / "train/0.tar", tarred(samples(8, labels=("café".encode(), b"dog"))))
    write(root / "test/0.tar", tarred(samples(8, labels=("cafe\u0301 ".encode(), b"dog"))))
    data = loaded(root, tmp_path)
    assert data.classes == ("café", "dog")
    assert sorted(data.test.labels.tolist()) == [0] * 4 + [1] * 4


def test_names_that_differ_in_bytes_that_are_not_utf_8_are_two_classes(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for part in ("train", "test"):
        write(root / part / "0.tar", tarred(samples(8, labels=(b"caf\xe9", b"caf\xe8"))))
    assert loaded(root, tmp_path).classes == ("caf\\xe8", "caf\\xe9")


def test_numbers_among_names_are_names_where_both_parts_have_them(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for part in ("train", "test"):
        write(root / part / "0.tar", tarred(samples(8, labels=(b"2008", b"ox"))))
    assert loaded(root, tmp_path).classes == ("2008", "ox")


def test_names_that_differ_in_case_are_told_apart(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write(root / "train/0.tar", tarred(samples(8, labels=(b"Cat", b"dog"))))
    write(root / "test/0.tar", tarred(samples(8, labels=(b"cat", b"dog"))))
    assert all("upper and lower case" in said for said in problems(root, tmp_path))
