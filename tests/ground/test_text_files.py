"""Milliseconds: text files as editors, spreadsheets and shells write them."""

from pathlib import Path

import pytest

from workloads.text_files import TextError, decoded, lines_of, read_text

TEXT = "näme: 犬\r\nb: 😀\r\n"


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"],
)
def test_a_text_is_what_was_written_in_whatever_encoding(encoding: str) -> None:
    assert decoded(TEXT.encode(encoding)) == TEXT


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_is_no_part_of_a_text(encoding: str) -> None:
    assert decoded(("\ufeff" + TEXT).encode(encoding)) == TEXT
    assert decoded(b"") == ""


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"a: 1\r\nname: caf\xe9\r\n", "line 2 has the byte 0xE9, which is not UTF-8"),
        (b"a: 1\nb\0: 2\nc: 3\n", "line 2 has a zero byte"),
        (b"\xff\xfea", "is UTF-16 by its first bytes, and damaged"),
        ("a".encode("utf-16") + b"\0\xd8", "is UTF-16 by its first bytes, and damaged"),
    ],
)
def test_what_is_no_text_is_refused_with_the_place(data: bytes, problem: str) -> None:
    with pytest.raises(TextError, match=problem):
        decoded(data)


def test_bytes_of_names_can_be_kept() -> None:
    assert decoded(b"caf\xe9.png\n", keep_bytes=True) == "caf\udce9.png\n"
    with pytest.raises(TextError, match="damaged"):
        decoded(b"\xff\xfea", keep_bytes=True)


def test_lines_end_where_a_system_ends_them_and_nowhere_else() -> None:
    assert lines_of("a\r\nb\nc\rd\n") == ["a", "b", "c", "d"]
    assert lines_of("a\n\nb") == ["a", "", "b"]
    assert lines_of("a\x85b\u2028c\x0c\n") == ["a\x85b\u2028c\x0c"]
    assert lines_of("") == []


def test_a_file_that_cannot_be_read_says_why_without_a_codec(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"^there is no such file$"):
        read_text(tmp_path / "none")
    with pytest.raises(TextError, match=r"^Is a directory$"):
        read_text(tmp_path)
    large = tmp_path / "large"
    large.write_bytes(b"a" * 11)
    with pytest.raises(TextError, match="has more than 10 bytes"):
        read_text(large, most=10)
    assert read_text(large, most=11) == "a" * 11
