"""Milliseconds: lists of labelled images in the forms that people bring."""

import unicodedata
from pathlib import Path

import pytest

from workloads.evaluation.protocols.label_lists import MatchedList, match_list
from workloads.spec import SpecError

PATHS = [
    "train/cat/000.png",
    "train/cat/my cat.png",
    "train/cat/only-cat.JPEG",
    "train/dog/000.png",
    "train/dog/001.png",
    "train/dog/day 2/photo.v2.png",
]


def matched(tmp_path: Path, text: str | bytes, paths: list[str] = PATHS) -> MatchedList:
    listed = tmp_path / "10percent.txt"
    listed.write_bytes(text if isinstance(text, bytes) else text.encode())
    return match_list(listed, paths)


@pytest.mark.parametrize(
    "line",
    [
        *("dog/001.png", "001.png", "./dog/001.png", "train/dog/001.png", "./train//dog/001.png"),
        *("/home/me/sets/train/dog/001.png", "D:\\sets\\train\\dog\\001.png", "dog\\001.png"),
        *("/elsewhere/dog/001.png", "dog/001", "001", "dog/001.PNG", '"dog/001.png"'),
        *("dog/001.png 1", "dog/001.png\t1", "dog/001.png,1", "dog/001.png;1", "dog/001.png   2"),
        *("dog/001.png dog", "001.png,dog", '"dog/001.png","dog"', "1 dog/001.png", "dog,001.png"),
        *("001.png\tdog\t0\t12\t33\t40", "dog/001.png 1 1", "1,dog/001.png", "  dog/001.png  "),
        *("dog/001 1", "dog\\001.png 1", "./dog/001.png,1", "/sets/train/dog/001.png 1"),
    ],
)
def test_a_line_is_the_file_that_a_person_means(line: str, tmp_path: Path) -> None:
    assert matched(tmp_path, line + "\n").rows == {4}


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("my cat.png", 1),
        ("my cat.png 0", 1),
        ("cat/my cat.png\t0", 1),
        ('"cat/my cat.png",0', 1),
        ("0 my cat.png", 1),
        ("only-cat.jpeg 0", 2),
        ("only-cat", 2),
        ("000.png,cat", 0),
        ("000.png dog", 3),
        ("dog/photo.v2.png 1", 5),
        ("dog/day 2/photo.v2.png 1", 5),
        ("photo.v2 1", 5),
    ],
)
def test_blanks_dots_and_folders_are_part_of_names(line: str, row: int, tmp_path: Path) -> None:
    assert matched(tmp_path, line).rows == {row}


def test_a_whole_line_is_a_name_before_it_is_anything_else(tmp_path: Path) -> None:
    paths = ["train/a/x.png", "train/a/x.png 0", "train/b/#1.png", "train/b/a,b.png"]
    read = matched(tmp_path, "x.png 0\n#1.png\na,b.png\n", paths)
    assert (read.rows, read.notes) == ({1, 2, 3}, ())


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_letters_count_as_they_are_seen(form: str, tmp_path: Path) -> None:
    paths = [unicodedata.normalize("NFD", "train/café/é 1.png"), "train/dog/e 1.png"]
    line = unicodedata.normalize(form, "café/é 1.png 0\n")  # type: ignore[arg-type]
    assert matched(tmp_path, line, paths).rows == {0}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_any_editor_may_have_written_it(encoding: str, tmp_path: Path) -> None:
    paths = ["train/café/é.png", "train/dog/b.png"]
    text = "# mine\r\nfilename,label\r\ncafé/é.png,0\r\n\r\ndog/b.png,1\r\n"
    assert matched(tmp_path, text.encode(encoding), paths).rows == {0, 1}


def test_bytes_of_a_name_that_are_no_text_are_the_file_with_the_same_bytes(tmp_path: Path) -> None:
    paths = ["train/cat/caf\udce9.png", "train/dog/b.png"]
    assert matched(tmp_path, b"cat/caf\xe9.png 0\n", paths).rows == {0}


def test_what_is_no_name_is_told(tmp_path: Path) -> None:
    read = matched(
        tmp_path, "# of 2026\nfilename,label\ndog/001.png,1\ndog/001.png,1\ncat/000.png,0\n"
    )
    assert read.rows == {0, 4}
    assert [note.removeprefix(f"{tmp_path}/10percent.txt: ") for note in read.notes] == [
        "1 lines begin with # and are taken for comments",
        "its first line, filename,label, is taken for the names of columns",
        "1 of 3 lines name an image again",
    ]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("cat/000.png 7\ndog/000.png 3\ndog/001.png 3\n", "in an order of its own"),
        ("cat/000.png 5\ndog/000.png 5\n", "are not taken for classes"),
        ("11,cat/000.png\n12,dog/000.png\n13,dog/001.png\n14,my cat.png\n", "are not taken"),
    ],
)
def test_numbers_of_others_are_told(text: str, note: str, tmp_path: Path) -> None:
    (said,) = matched(tmp_path, text).notes
    assert note in said


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cat/000.png 0\ndog/000.png 1\ndog/001.png 0\n", "1 labels .*: dog/001.png 0 (dog is 1)"),
        ("cat/000.png 1\ndog/000.png 2\ndog/001.png 1\n", "1 labels .*: dog/001.png 1 (dog is 2)"),
        (
            "cat/000.png,cat\ndog/001.png,cat\n",
            "1 labels contradict the folders .*: dog/001.png,cat",
        ),
        ("cat/000.png,cat\ndog/001.png,bird\n", "1 labels contradict .*: dog/001.png,bird"),
    ],
)
def test_a_label_that_contradicts_the_folder_is_named(
    text: str, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=problem.replace("(", r"\(").replace(")", r"\)")):
        matched(tmp_path, text)


@pytest.mark.parametrize(
    "line",
    [
        *("dog/002.png 0", "002.png", "bird/001.png", "cat/001.png 1", "x.png,000", "02 001"),
        *("your cat.png", "a 001.png", "dog/001.png cat/000.png", "id name", "dog/00?.png"),
    ],
)
def test_a_line_that_fits_nothing_shows_what_is_expected(line: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as refused:
        matched(tmp_path, f"cat/000.png 0\n{line}\n")
    (said,) = refused.value.problems
    assert said == (
        f"{tmp_path}/10percent.txt: 1 of 2 names are no training images: {line}; a line is to be "
        "the name of a file, or class/name, such as cat/000.png, and may have its class after a "
        "blank, a comma or a tab"
    )
