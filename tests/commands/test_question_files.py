"""Seconds, no Ray: questions in files of YAML and Python, and what is said of mistakes in them."""

import random
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import get_args

import pytest
from rich.console import Console

from orchestrator.commands.dry_run import dry_run
from orchestrator.commands.on_each_recipe import on_each_recipe
from orchestrator.commands.questions import questions_of, requests_of, swept_names
from orchestrator.commands.request import Request
from orchestrator.commands.result import Finished
from orchestrator.errors import PlanError
from orchestrator.plan import build
from orchestrator.plan.over import Over, over_question
from orchestrator.questions.file import is_file, read_question
from orchestrator.questions.text import question_yaml
from orchestrator.storage import Storage
from search_spaces import ABLATIONS
from search_spaces.ablation import Scale
from search_spaces.claims import beats
from search_spaces.one_scale import at_scale
from search_spaces.trees.layout import AXIS_KEYS, CELL_KEYS
from search_spaces.trees.question import KEYS, OVERLAY_KEYS, tree_of
from search_spaces.trees.values import WHERE_KEYS
from workloads.catalog import workload_named
from workloads.spec import SpecError

MINE = """\
question: Which temperature is best below a deep head?
preset: shapes
set: {schedule.epochs: 1, augment.operations: [crop, color]}
axes:
  loss.temperature: [0.05, 1e-1, 0.5]
  head:
    values:
      linear: {head.num_linear_layers: 1}
      deep: {head.num_linear_layers: 3}
claims:
  - 0.1, deep > 0.5, deep
"""

Written = Callable[..., str]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Writes a file, `mine.yaml` unless named, and returns its path."""

    def write(text: str, name: str = "mine.yaml") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def refused(name: str) -> list[str]:
    with pytest.raises(SpecError) as error:
        read_question(name)
    return [problem.replace(name, Path(name).name) for problem in error.value.problems]


@pytest.mark.parametrize("name", ABLATIONS)
def test_a_printed_question_is_the_built_in_one(name: str, written: Written) -> None:
    file = read_question(written(question_yaml(tree_of(ABLATIONS[name])), "any.yaml"))
    assert file.ablation == ABLATIONS[name]


@pytest.mark.parametrize("scale", get_args(Scale))
@pytest.mark.parametrize("name", ABLATIONS)
def test_a_question_printed_at_a_scale_asks_for_its_runs(
    name: str, scale: Scale, written: Written
) -> None:
    ablation = ABLATIONS[name]
    workload = workload_named(ablation.workload)
    presets = [build_preset() for build_preset in workload.presets.values()]
    fitting = [one for one in presets if workload.scale(one, ablation.setting) == scale]
    base = fitting[0] if fitting else presets[0]
    if name == "shortcuts":
        base = workload.presets["textures"]()
    if name == "transfer":
        base = base.with_values({"eval.transfer.data.root": "/somewhere"})
    read = read_question(written(question_yaml(tree_of(at_scale(ablation, scale))))).ablation
    there = workload.scale(base, ablation.setting)
    printed, built_in = build(read, base), build(ablation, base)
    if scale == there:
        assert [cell.fingerprint for cell in printed.cells] == [
            cell.fingerprint for cell in built_in.cells
        ]
    assert read.layout("paper") == read.layout("small") == ablation.layout(scale)


def test_what_stands_for_a_field_is_read_as_its_type_and_labels_as_texts(written: Written) -> None:
    text = """
name: words
question: Which words?
axes:
  - {name: switch, labels: [on, off, 007, null]}
cells:
  - {at: on, values: {loss.normalize: yes, data.root: 2026-01-01}}
  - {at: off, values: {loss.normalize: off, optim.base_learning_rate: 1e-3}}
  - {at: 007, values: {seed: 0x10}}
"""
    cells = read_question(written(text)).ablation.paper.cells
    assert [cell.at for cell in cells] == [("on",), ("off",), ("007",)]
    assert [dict(cell.values) for cell in cells] == [
        {"loss.normalize": True, "data.root": "2026-01-01"},
        {"loss.normalize": False, "optim.base_learning_rate": 0.001},
        {"seed": 16},
    ]


def test_a_question_is_named_after_its_file_and_its_fields_are_those_of_its_preset(
    written: Written,
) -> None:
    assert read_question(written(MINE, "Mine_2.yaml")).ablation.name == "mine-2"
    preset = next(iter(workload_named("two-layer-cnn").presets))
    text = f"question: How many?\npreset: {preset}\naxes: {{seed: [1, 2]}}\n"
    own = read_question(written(text)).ablation
    assert (own.workload, own.metric) == ("two-layer-cnn", "test_error")
    assert read_question(written(question_yaml(tree_of(own)))).ablation == own


def test_a_number_has_one_label_in_a_file_and_on_the_command_line(written: Written) -> None:
    text = MINE.replace("[0.05, 1e-1, 0.5]", "[1e-1, 1.0, 2]").replace("0.5, deep", "1.0, deep")
    own = read_question(written(text)).ablation
    asked = over_question(Over(("loss.temperature=1e-1,1.0,2",)), workload_named("simclr"))
    assert own.paper.axes[0].labels == asked.paper.axes[0].labels == ("0.1", "1", "2")
    assert own.claims[0].paper == (beats(("0.1", "deep"), ("1", "deep")),)


def test_a_recipe_with_own_metrics_may_be_compared_by_any_result(written: Written) -> None:
    text = MINE.replace("claims:", "metric: sharpness\nclaims:")
    assert "no such result" in refused(written(text))[0]
    own = text.replace("set: {", "set: {eval.metrics.names: ['mine:sharp'], ")
    assert read_question(written(own)).ablation.metric == "sharpness"


def test_all_mistakes_of_a_file_are_told_with_line_and_column(written: Written) -> None:
    text = MINE.replace("schedule.epochs", "schedule.epochss").replace("deep > 0.5", "deep > 0.7")
    text = text.replace("claims:", "claim: []\nfigure: maps\nclaims:")
    found = refused(written(text))
    assert [re.split(r"[;(']", one)[0].strip() for one in found] == [
        "mine.yaml:3:7: set.schedule.epochss: no such field",
        "mine.yaml:10:1: claim:",
        "mine.yaml:11:1: figure: a maps cannot have 2 axes",
        "mine.yaml:13:5: claims.0:",
    ]
    for hint in ("did you mean schedule.epochs?", "did you mean claims?", "heatmap"):
        assert any(hint in one for one in found)
    assert "0.7" in found[-1]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "mine.yaml: holds no question"),
        ("- 1", "mine.yaml: holds no question"),
        ("name: [", "mine.yaml: is not YAML (line 1"),
        ("name: a\nname: b", "mine.yaml: line 2: name is there twice"),
        ("question: Q\naxes: {seed: [1, 1]}", "mine.yaml:2:8: axes.seed: 1: is there twice"),
        ("question: Q\naxes: {sead: [1, 2]}", "mine.yaml:2:8: axes.sead: no such field; did you"),
        (
            "question: Q\naxes:\n  - {name: t, field: loss.t, values: [1, 2]}",
            "mine.yaml:3:15: axes.0.field: no such field",
        ),
        ("question: Q\naxes: {seed: [1, 2]}\nworkload: x", "mine.yaml:3:1: workload: workload x"),
        (
            "name: temperature\nquestion: Q\naxes: {seed: [1, 2]}",
            "mine.yaml:1:1: name: temperature is the name of a built-in question, of which",
        ),
        *(
            (
                f"name: {name}\nquestion: Q\naxes: {{seed: [1, 2]}}",
                f"mine.yaml:1:1: name: {name} st",
            )
            for name in ("tune", "pretrain", "all")
        ),
        (
            "question: Q\naxes: {seed: [1, 2]}\nmetric: linear_top2",
            "mine.yaml:3:1: metric: linear_top2: no such result; did you mean linear_top",
        ),
        (
            "question: Q\naxes: {seed: [1, 2]}\nmetric: linear_topl",
            "mine.yaml:3:1: metric: linear_topl: no such result; did you mean linear_top",
        ),
        ("name: X y\nquestion: Q\naxes: {seed: [1, 2]}", "mine.yaml:1:1: name: 'X y': is to be"),
        (
            "question: Q\nfixed: {seed: 3}\naxes: {seed: [1, 2]}",
            "mine.yaml:2:9: fixed.seed: is set by cells, too",
        ),
    ],
)
def test_a_mistake_is_told_where_it_stands(text: str, told: str, written: Written) -> None:
    (found,) = refused(written(text))
    assert found.startswith(told)


def test_a_value_that_a_recipe_refuses_is_told_where_it_stands(
    written: Written, tmp_path: Path
) -> None:
    text = MINE.replace("1e-1", "-1").replace(
        "  - 0.1, deep > 0.5, deep", "  - 0.05, deep is the best"
    )
    text = text.replace("num_linear_layers: 3", "num_linear_layers: 300")
    text = text.replace("epochs: 1", "epochs: -1")
    name = written(text)
    flags = {"storage": str(tmp_path / "storage")}
    with pytest.raises(PlanError) as error:
        dry_run(Request(ablations=(name,), flags=flags), Console(file=StringIO()))
    found = {one.split(": ")[0].replace(name, "") for one in error.value.problems}
    assert {":3:7"} <= found
    text = text.replace("epochs: -1", "epochs: 1")
    with pytest.raises(PlanError) as error:
        dry_run(Request(ablations=(written(text),), flags=flags), Console(file=StringIO()))
    found = {one.split(": ")[0].replace(name, "") for one in error.value.problems}
    assert found == {":5:28", ":9:14"}


PYTHON = """\
from neighbour import VALUES

from search_spaces import Ablation, Axis, Layout
from search_spaces.layout import grid
from search_spaces.simclr_paper.temperature import TEMPERATURE

_CHOICES = {str(value): {"loss.temperature": value} for value in VALUES}
_LAYOUT = Layout(axes=(Axis(name="t", labels=tuple(_CHOICES)),), cells=grid(_CHOICES))


def _asked(name):
    return Ablation(
        name=name,
        title="Sharpness",
        question="How sharp?",
        source="own question",
        paper=_LAYOUT,
        small=_LAYOUT,
        figure="table",
        claims=(),
        extension=True,
    )


MINE = _asked("mine")
"""


def test_a_file_of_python_holds_a_question(written: Written, tmp_path: Path) -> None:
    written("VALUES = (0.1, 0.5)\n", "neighbour.py")
    name = written(PYTHON, "mine.py")
    assert [cell.at for cell in read_question(name).ablation.small.cells] == [("0.1",), ("0.5",)]
    assert not (tmp_path / "__pycache__" / "mine.cpython-311.pyc").exists()

    several = written(PYTHON + 'OTHER = _asked("other")\n', "mine.py")
    assert refused(several) == [
        "mine.py: holds several questions; name one: mine.py:MINE, mine.py:OTHER"
    ]
    assert read_question(f"{several}:OTHER").ablation.name == "other"
    with pytest.raises(SpecError, match="has no Ablation 'NONE'; it has MINE, OTHER"):
        read_question(f"{several}:NONE")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1\n", "mine.py: holds no Ablation"),
        ("x = 1\ny = 1 / 0\n", "mine.py:2: ZeroDivisionError: division by zero"),
        ("import no_such_module_at_all\n", "mine.py:1: ModuleNotFoundError: No module named"),
        ("x = (\n", "mine.py:1: SyntaxError: "),
        ("raise SystemExit(3)\n", "mine.py:1: SystemExit: 3"),
        ("from search_spaces import Axis\n\nAxis(name='', labels=())\n", "mine.py:3: ValueError: "),
        (
            "from dataclasses import replace\nfrom search_spaces import ABLATIONS\n"
            "MINE = replace(ABLATIONS['temperature'], title='Another')\n",
            "mine.py: name: temperature is the name of a built-in question, of which this one "
            "differs in title",
        ),
        (
            "from search_spaces.trees.question import ablation_of\n"
            "MINE = ablation_of({'name': 'a', 'question': 'Q', 'axes': {'sead': [1, 2]}})\n",
            "mine.py: no such field; did you mean seed?",
        ),
    ],
)
def test_a_mistake_in_a_file_of_python_is_one_line(text: str, told: str, written: Written) -> None:
    (found,) = refused(written(text, "mine.py"))
    assert found.startswith(told)


def test_names_and_files_are_told_apart() -> None:
    assert [is_file(name) for name in ("mine.yaml", "a/b", "mine.yml", "mine.py", "mine.py:ONE")]
    assert not any(map(is_file, ("temperature", "all", "python", "yaml")))
    for name, told in (("./a/mine", "its name ends in"), ("mine.yaml", "there is no such file")):
        with pytest.raises(SpecError, match=told):
            read_question(name)


def test_a_request_asks_names_and_files_together(written: Written) -> None:
    name = written(MINE)
    found = questions_of(Request(ablations=("head", name, name)))
    assert [one.name for one in found] == ["head", "mine"]
    other = written(MINE.replace("question: W", "name: mine\nquestion: w"), "other.yaml")
    with pytest.raises(SpecError, match="mine: two different questions have this name"):
        questions_of(Request(ablations=(name, other)))
    with pytest.raises(SpecError) as error:
        questions_of(Request(ablations=("hed", name, "none.yaml")))
    assert len(error.value.problems) == 2


def test_a_file_says_its_recipes_and_the_command_comes_before_it(written: Written) -> None:
    name = written(MINE.replace("preset: shapes", "presets: [shapes, digits]"))
    fields = ("schedule.epochs=1", 'augment.operations=["crop", "color"]')
    request = Request(ablations=(name, "head"))
    assert [(one.ablations, one.preset, one.assignments) for one in requests_of(request)] == [
        ((name,), "shapes", fields),
        ((name,), "digits", fields),
        (("head",), None, ()),
    ]
    given = Request(ablations=(name,), preset="textures", assignments=("schedule.epochs=2",))
    (one,) = requests_of(given)
    assert (one.preset, one.assignments) == ("textures", (fields[1], "schedule.epochs=2"))
    assert requests_of(one) == (one,)
    assert requests_of(Request(ablations=("head",))) == (Request(ablations=("head",)),)


def test_a_question_on_several_recipes_is_a_sweep_on_each(written: Written, tmp_path: Path) -> None:
    text = MINE.replace("preset: shapes", "presets: [shapes, digits]")
    request = Request(ablations=(written(text),), flags={"storage": str(tmp_path / "storage")})
    out = StringIO()
    console = Console(file=out, width=200)

    def do(one: Request) -> Finished:
        return dry_run(one, console)

    document = on_each_recipe(request, do, console).document
    assert [name.split()[0] for name in document["recipes"]] == ["shapes", "digits"]
    sweeps = {one["sweep"] for one in document["recipes"].values()}
    assert len(sweeps) == 2
    assert "on digits schedule.epochs=1" in out.getvalue()
    with pytest.raises(PlanError, match="asked on several recipes"):
        dry_run(request, console)
    with pytest.raises(PlanError, match="seeds 0"):
        on_each_recipe(
            Request(ablations=request.ablations, seeds=0, flags=request.flags), do, console
        )


def damaged(text: str, draw: random.Random) -> str:
    """A text with a piece taken away, doubled or replaced."""
    for _ in range(draw.randint(1, 3)):
        start = draw.randrange(len(text))
        end = min(len(text), start + draw.choice((1, 1, 2, 8, 40)))
        instead = draw.choice(("", text[start:end] * 2, *":-{}[]#&*!|>%@'\"\t\n "))
        text = text[:start] + instead + text[end:]
        text = text or "x"
    return text


def test_no_damage_to_a_file_ends_in_anything_but_a_question_or_its_problems(
    written: Written,
) -> None:
    draw, whole = random.Random(16), question_yaml(tree_of(ABLATIONS["temperature"]))
    ends = [
        refusal(written(damaged(text, draw)))
        for text in (MINE, whole.replace("name: temperature", "name: other"))
        for _ in range(60)
    ]
    refused_ones = [error for error in ends if error is not None]
    assert len(refused_ones) > 50
    assert all(error.problems for error in refused_ones)


def refusal(name: str) -> SpecError | None:
    try:
        read_question(name)
    except SpecError as error:
        return error
    return None


PAGE = Path(__file__).parents[2] / "docs/questions.md"


def page_section() -> str:
    return PAGE.read_text().partition("## A question in a file")[2].partition("\n## ")[0]


def test_the_page_shows_questions_that_can_be_asked(written: Written, tmp_path: Path) -> None:
    first, second = re.findall(r"```yaml\n(.*?)```", page_section(), re.DOTALL)
    for text in (first, second):
        name = written(text, "sharp-heads.yaml")
        flags = {"storage": str(tmp_path / "storage")}
        dry_run(Request(ablations=(name,), flags=flags), Console(file=StringIO()))
    (python,) = re.findall(r"```python\n(.*?)```", page_section(), re.DOTALL)
    assert len(read_question(written(python, "rates.py")).ablation.paper.cells) == 5


def test_the_page_tells_mistakes_as_they_are_told(written: Written, tmp_path: Path) -> None:
    (first, _) = re.findall(r"```yaml\n(.*?)```", page_section(), re.DOTALL)
    unknown, value = re.findall(r"^\./sharp-heads\.yaml:.*$", page_section(), re.MULTILINE)
    name = written(first.replace("schedule.epochs", "schedule.epoch"), "sharp-heads.yaml")
    assert refused(name) == [unknown.removeprefix("./")]
    name = written(first.replace("0.5", "-0.1"), "sharp-heads.yaml")
    flags = {"storage": str(tmp_path / "storage")}
    with pytest.raises(PlanError) as error:
        dry_run(Request(ablations=(name,), flags=flags), Console(file=StringIO()))
    found = [one.replace(name, "./sharp-heads.yaml") for one in error.value.problems]
    assert value in found


def test_the_page_has_every_key() -> None:
    table = "\n".join(line for line in page_section().splitlines() if line.startswith("| `"))
    expected = [key for key in KEYS if key != "against"]
    expected.insert(expected.index("figure") + 1, "against")
    rows = [row.split("|")[1] for row in table.splitlines()]
    assert [key for row in rows for key in re.findall(r"`(\w+)`", row)] == expected
    named = set(re.findall(r"`(\w+)`", page_section()))
    assert named >= {*AXIS_KEYS, *CELL_KEYS, *WHERE_KEYS, *OVERLAY_KEYS}


def test_a_report_on_a_file_that_was_never_asked_says_so(written: Written, tmp_path: Path) -> None:
    storage = Storage(str(tmp_path / "storage"))
    with pytest.raises(SpecError, match="mine: no sweep in "):
        swept_names([written(MINE)], storage)


def test_cells_that_differ_in_their_seed_only_are_refused_where_they_stand(
    written: Written, tmp_path: Path
) -> None:
    name = written("question: Q\npreset: shapes\naxes: {seed: [1, 2]}\n")
    request = Request(ablations=(name,), flags={"storage": str(tmp_path / "storage")})
    with pytest.raises(PlanError) as error:
        dry_run(request, Console(file=StringIO()))
    first, second = (problem.removeprefix(name) for problem in error.value.problems)
    assert first == ":3:15: cell 1: seed=1: every cell has the same seeds; --seeds says how many"
    assert second.startswith(":3:18: cell 2: seed=2: ")
