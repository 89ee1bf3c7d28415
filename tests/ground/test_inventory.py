"""Milliseconds: what is used and what is left out, counted, and who is told of it."""

import json
import os

import pytest

from workloads.inventory import (
    DataRead,
    Inventory,
    LeftOut,
    left_out_lines,
    lines_of,
    remark_lines,
    shown,
    tally,
    tell,
    told_of_reading,
)

NOTES = LeftOut("files that are no images", 3, "train/cat/notes.txt")


def test_what_is_seen_is_used_or_left_out() -> None:
    assert Inventory(70, (NOTES, LeftOut("images that cannot be read", 2, "a.png"))).seen == 75
    assert Inventory(70).seen == 70


def test_a_sentence_for_each_reason() -> None:
    assert Inventory(70, (NOTES,)).lines() == [
        "left out: 3 files that are no images, such as train/cat/notes.txt"
    ]
    one = LeftOut("images that cannot be read", 1, "a.png")
    assert str(one) == "left out: 1 image that cannot be read, such as a.png"
    assert str(LeftOut("files that are no images", 1, "")) == "left out: 1 file that is no image"
    assert Inventory(70).lines() == []


def test_reasons_are_counted_with_their_first_example() -> None:
    met = [("one", "b"), ("two", "a"), ("one", "c")]
    assert tally(met) == (LeftOut("one", 2, "b"), LeftOut("two", 1, "a"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("café", "café"),
        (os.fsdecode(b"caf\xe9"), r"caf\xe9"),
        ("\ud800", r"\ud800"),
        ("back\\slash", "back\\slash"),
    ],
)
def test_any_name_can_be_written(name: str, expected: str) -> None:
    assert shown(name) == expected
    line = str(LeftOut("files that are no images", 2, name))
    assert line.encode()  # would raise for a surrogate


def test_an_inventory_survives_json() -> None:
    inventory = Inventory(70, (NOTES,))
    assert Inventory.read(json.loads(json.dumps(inventory.tree()))) == inventory
    assert inventory.tree()["seen"] == 73


def test_remarks_on_data_follow_what_is_left_out_of_them() -> None:
    read = DataRead("pets", "0b", Inventory(5, (NOTES,)), ("0 to 4095 become 0 to 255",)).tree()
    plain = DataRead("pets", "0c", Inventory(5)).tree()
    assert "remarks" not in plain, "as records have it that were written before"
    assert remark_lines([plain, read, read]) == ["pets: 0 to 4095 become 0 to 255"]
    assert lines_of([read]) == [*left_out_lines([read]), *remark_lines([read])]


def test_who_listens_is_told_once_of_each_data_set() -> None:
    told: list[DataRead] = []
    read = DataRead("image-folder", "0a", Inventory(70, (NOTES,)))
    tell(read)  # nobody listens
    with told_of_reading(told.append):
        tell(read)
        tell(read)
        tell(DataRead("pets", "0b", Inventory(5)))
    tell(read)
    assert [one.name for one in told] == ["image-folder", "pets"]
    assert left_out_lines([one.tree() for one in told]) == [
        "image-folder: left out: 3 files that are no images, such as train/cat/notes.txt"
    ]
