"""Milliseconds: values that people write, by the type of the field that they are for."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from workloads.simclr.spec import RunSpec
from workloads.spec import Part, SpecError
from workloads.two_layer_cnn.spec import TwoLayerSpec
from workloads.written import read_assignments, read_choices, read_yaml

ODD_TEXTS = [
    *("run #3", "a: b", "[x", "{a}", "{a: b}", "@home", "%d", "*all", "&one", "!tag", "`x`", "|"),
    *("yes", "on", "~", "Null", "NULL", "none", "1e3", "007", "0x10", "12:30", "2026-01-01", "-"),
    *(" begins", "ends ", "C:\\new\\tables", "it's", 'a "b"', '"', "'", '"a" b', "=", "a=b", "?"),
    *("..", "犬", "cafe\u0301", "1", "1.0", ".inf", "true", "<<", "- a", "---", "# 1", "a\tb"),
]


class Fields(Part):
    """A field of each kind."""

    name: str = "x"
    folder: str | None = None
    names: tuple[str, ...] = ()
    choice: Literal["1x", "2", "on", "off", "null"] = "2"
    angle: Literal[0, 90] = 0
    whole: int = 1
    rate: float | None = 1.0
    flag: bool = False
    rates: tuple[float, ...] = ()
    pair: tuple[int, str] = (1, "a")


def given(*assignments: str) -> Fields:
    return Fields().with_values(read_assignments(list(assignments), Fields))


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_a_text_is_taken_as_it_was_typed(text: str) -> None:
    read = read_assignments(
        [
            f"data.root={text}",
            f"eval.transfer.data.root={text}",
            f"eval.finetune.subset_files={text}",
        ],
        RunSpec,
    )
    assert set(read.values()) == {text}
    assert given(f"name={text}", f"folder={text}").folder == text


def test_nothing_is_null_and_quotes_make_it_a_word() -> None:
    assert given("folder=null").folder is None
    assert given("folder=").folder is None
    assert given("name=null").name == "null"
    assert given('folder="null"').folder == "null"
    assert given("folder='null'").folder == "null"
    assert given('folder="run #3"').folder == "run #3"  # as YAML wanted it before
    assert given("folder = run #3").folder == "run #3"
    assert given('folder="\\q"').folder == '"\\q"'


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("choice=1x", "1x"),
        ("choice=2", "2"),
        ("choice=on", "on"),
        ("choice= off ", "off"),
        ("choice=null", "null"),
        ("angle=90", 90),
        ("whole=010", 10),
        ("whole=1e3", 1000),
        ("whole=1_000", 1000),
        ("whole=0x10", 16),
        ("whole= 7 ", 7),
        ("rate=1e-3", 0.001),
        ("rate=.5", 0.5),
        ("rate=1.", 1.0),
        ("rate=null", None),
        ("rate=~", None),
        ("rate=", None),
        ("flag=yes", True),
        ("flag=Off", False),
        ("flag=1", True),
        (
            "names=[a, 'b #1', 007, on, null, 2026-01-01]",
            ("a", "b #1", "007", "on", "null", "2026-01-01"),
        ),
        ("rates=[1e-3, 010, 2]", (0.001, 10.0, 2.0)),
        ("rates=[]", ()),
        ("names=a, b", ("a", "b")),
        ("names=007", ("007",)),
        ("rates=1e-3,010", (0.001, 10.0)),
        ("rates=.5", (0.5,)),
        ("pair=3,4", (3, "4")),
        ("pair=[3, 4]", (3, "4")),
    ],
)
def test_other_values_are_read_as_the_field_is(assignment: str, value: object) -> None:
    read = given(assignment)
    found = getattr(read, assignment.partition("=")[0])
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("assignment", "problem"),
    [
        ("choice=3", "choice='?3'?: Input should be '1x', '2', 'on', 'off' or 'null'"),
        ("whole=yes", "whole='yes': Input should be a valid integer"),
        ("whole=12:30", "whole='12:30': Input should be a valid integer"),
        ("whole=", "whole='': Input should be a valid integer"),
        ("rate=fast", "rate='fast': Input should be a valid number"),
        ("rate=.inf", "rate=inf: Input should be a finite number"),
        ("flag=2026-01-01", "flag='2026-01-01': Input should be a valid boolean"),
        ("rates=1,fast", "rates.1='fast': Input should be a valid number"),
        ("rates=[0.1", "--set rates=\\[0.1: the value is not YAML"),
        ("rates=[1 #, 2]", "--set rates=.*: the value is not YAML"),
    ],
)
def test_a_mistaken_value_is_one_error_with_the_field_and_the_value(
    assignment: str, problem: str
) -> None:
    with pytest.raises(SpecError, match=problem) as refused:
        given(assignment)
    assert len(refused.value.problems) == 1


def test_choices_of_a_search_are_read_as_the_field_is() -> None:
    assert read_choices("a, 'b #1', 007", Fields, "name") == ["a", "b #1", "007"]
    assert read_choices("1e-3, 010", Fields, "rate") == [0.001, 10]
    assert read_choices("[a],[007, on]", Fields, "names") == [["a"], ["007", "on"]]
    with pytest.raises(ValueError, match="is not YAML"):
        read_choices("a #1, b", Fields, "name")


TREES: list[tuple[str, dict[str, Any]]] = [
    ("name: 2026-01-01\nfolder: 007\n", {"name": "2026-01-01", "folder": "007"}),
    ("name: on\nfolder: ~\n", {"name": "on", "folder": None}),
    ("name: null\nfolder: 12:30\n", {"name": "null", "folder": "12:30"}),
    ("choice: off\nwhole: 010\nrate: 1e-3\n", {"choice": "off", "whole": 10, "rate": 0.001}),
    ("names: [1.0, yes]\nrates:\n- 1e-3\n", {"names": ["1.0", "yes"], "rates": [0.001]}),
    (
        "names: &n [a]\nname: !!str 5\nfolder: 'null'\n",
        {"names": ["a"], "name": "5", "folder": "null"},
    ),
    ("<<: {whole: 3, name: a}\nname: b\n", {"whole": 3, "name": "b"}),
    (
        "folder: run # of May\nname: a#1  ## b\nnames: [a#1]\n",
        {"folder": "run", "name": "a#1", "names": ["a#1"]},
    ),
    ("folder: 'run #3' #one\n", {"folder": "run #3"}),
    ("%YAML 1.1\n---\nwhole: 0x10 # sixteen\n", {"whole": 16}),
]


@pytest.mark.parametrize(("text", "tree"), TREES)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_file_is_read_as_its_fields_are(
    text: str, tree: dict[str, Any], encoding: str, tmp_path: Path
) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert read_yaml(file, Fields) == tree
    Fields.read(read_yaml(file, Fields))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no fields: it is empty"),
        ("# nothing\n", "holds no fields: it is empty"),
        ("- a\n", "holds no fields, such as `seed: 3`: it is a list"),
        ("5\n", "holds no fields, such as `seed: 3`: it is the value 5"),
        ("whole: 1\nname: a\nwhole: 2\n", "line 3: whole is there twice"),
        ("whole: 1\n---\nwhole: 2\n", "line 2, column 1: a second document begins"),
        ("name:\n\t- a\n", "line 2, column 1: is indented by a tab"),
        (
            "name: @a\n",
            "line 1, column 7: '@' begins no value; write text that begins so in quotes",
        ),
        ("name: a: b\n", "line 1, column 8: mapping values are not allowed here; write text with"),
        ("name: *a\n", "line 1, column 7: found undefined alias"),
        ("name: [a\n", "line 2, column 1: "),
        ("name: !!python/name:os.system a\n", "line 1: .* is no tag that is known"),
        ("? [a]\n: b\n", "line 1: a field's name is to be a word"),
        (
            "whole: 1 #one\nfolder: run #3\n",
            "line 2: #3 begins a comment, and the text before it is 'run'; write the whole text in",
        ),
        ("<<: 5\n", "line 1: << takes groups of fields"),
        ("name: a\x07\n", r"line 1 has the character U\+0007"),
        ("[" * 5000, "is nested more than 50 deep"),
        ("a: &a [*a]\n", "is nested more than 50 deep"),
        ("rates: [" + "1," * 20000 + "]\n", "holds more than 10000 values"),
        (
            "a0: &a0 [1, 1]\n"
            + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)),
            "holds more than 10000 values, references counted each time",
        ),
        (
            "a0: &a0 {b: 1}\n"
            + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40)),
            "holds more than 10000 values, references counted each time",
        ),
    ],
)
def test_a_file_that_is_no_recipe_says_why_in_a_sentence(
    text: str, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    with pytest.raises(SpecError, match=problem) as refused:
        read_yaml(file, Fields)
    (said,) = refused.value.problems
    assert said.startswith(f"--config {file}: ")
    assert "codec" not in said
    assert "\n" not in said


def test_a_file_in_json_is_read_as_json(tmp_path: Path) -> None:
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps({"name": "a\u20ac/b", "rate": 1e-3}, indent="\t"), "utf-16")
    assert read_yaml(file, Fields) == {"name": "a€/b", "rate": 0.001}
    for text, problem in (
        ('{"name": "a", "name": "b"}', "name is there twice"),
        ('{"name": \n a}', "line 2, column 2"),
        ("[" * 100_000, "is nested too deeply"),
        ("[1]", "it is a list"),
    ):
        file.write_text(text)
        with pytest.raises(SpecError, match=problem):
            read_yaml(file, Fields)


def test_numbers_that_no_network_can_compute_with_are_refused() -> None:
    wild = ["optim.base_learning_rate=1e39", "eval.sgd.weight_decay=1e300"]
    with pytest.raises(SpecError) as refused:
        RunSpec().with_values(read_assignments(wild, RunSpec))
    rate, decay = sorted(refused.value.problems, reverse=True)
    assert rate.startswith("optim.base_learning_rate=1e+39: Input should be less than or equal")
    assert decay.startswith("eval.sgd.weight_decay=1e+300: Input should be less than or equal")


@pytest.mark.parametrize("of", [RunSpec, TwoLayerSpec])
def test_what_is_written_by_this_software_is_read_again(of: type[Part], tmp_path: Path) -> None:
    values = {"data.name": "image-folder", "data.root": "/a/run #3: yes"}
    spec = of().with_values(values)
    file = tmp_path / "spec.yaml"
    file.write_text(yaml.safe_dump(spec.tree(), sort_keys=False))
    assert of.read(read_yaml(file, of)) == spec
    assert of.read(read_yaml(file)) == spec
    flat = [f"{name}={json.dumps(value)}" for name, value in spec.flat().items()]
    assert of().with_values(read_assignments(flat, of)) == spec
