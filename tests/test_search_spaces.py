"""Milliseconds: the ablations as data, checked against the paper's printed numbers and against the specification.

One test starts a Python process.
"""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import get_args

import pytest

import search_spaces
from search_spaces import ABLATIONS, Ablation, Axis, Cell, Claim, Layout, Times
from search_spaces.ablation import Scale, Value, grid
from workloads.simclr.spec import RunSpec

SCALES = get_args(Scale)
BASE = {
    "paper": RunSpec(),
    "small": RunSpec().with_values(
        {
            "schedule.batch_size": 256,
            "schedule.epochs": 10,
            "schedule.warmup_epochs": 1,
            "optim.anchor_batch_size": 256,
        }
    ),
}
EVERY_LAYOUT = [pytest.param(a, scale, id=f"{name}-{scale}") for name, a in ABLATIONS.items() for scale in SCALES]


def resolved(point: Mapping[str, Value], base: RunSpec) -> dict[str, object]:
    flat = base.flat()
    return {path: value.resolve(flat[path]) if isinstance(value, Times) else value for path, value in point.items()}


def specs(ablation: Ablation, scale: Scale) -> list[RunSpec]:
    return [BASE[scale].with_values(resolved(point, BASE[scale])) for point in ablation.points(scale)]


def paper_value(name: str, *at: str, scale: Scale = "paper") -> float | None:
    (cell,) = [cell for cell in ABLATIONS[name].layout(scale).cells if cell.at == at]
    return cell.paper


# What an ablation asks -----------------------------------------------------------------------------------------------


def test_the_ablations_and_their_numbers_of_cells() -> None:
    cells = {name: (len(a.paper.cells), len(a.small.cells)) for name, a in ABLATIONS.items()}
    assert list(cells.items()) == [
        ("augmentations", (49, 49)),
        ("temperature", (6, 6)),
        ("batch-size", (84, 24)),
        ("head", (22, 13)),
    ]
    assert all(name == ablation.name for name, ablation in ABLATIONS.items())


@pytest.mark.parametrize(("ablation", "scale"), EVERY_LAYOUT)
def test_every_point_is_a_valid_specification_and_few_are_one_run(ablation: Ablation, scale: Scale) -> None:
    # Linear and square-root scaling give one learning rate at the batch size that anchors them, hence one run.
    shared = {("batch-size", "paper"): 4, ("batch-size", "small"): 3}.get((ablation.name, scale), 0)
    fingerprints = {spec.fingerprint() for spec in specs(ablation, scale)}
    assert len(fingerprints) == len(ablation.layout(scale).cells) - shared


@pytest.mark.parametrize(("ablation", "scale"), EVERY_LAYOUT)
def test_points_change_the_fields_that_they_name_and_no_other(ablation: Ablation, scale: Scale) -> None:
    base = BASE[scale]
    for point, spec in zip(ablation.points(scale), specs(ablation, scale), strict=True):
        wanted = {**base.flat(), **resolved(point, base)}
        assert spec.flat() == wanted


def test_points_are_what_is_fixed_and_then_the_cell_in_the_order_of_the_cells() -> None:
    ablation = ABLATIONS["augmentations"]
    fixed = {"augment.branches": "one", "augment.blur.probability": 1.0, "augment.rotate.angles": [90, 180, 270]}
    points = ablation.points()
    assert points[0] == {**fixed, "augment.operations": ["crop"]}
    assert points[2] == {**fixed, "augment.operations": ["crop", "color"]}
    assert points[14] == {**fixed, "augment.operations": ["color", "crop"]}
    assert points[-1] == {**fixed, "augment.operations": ["rotate"]}
    assert ablation.points("small") == points


def test_small_batch_sizes_are_multiples_of_the_preset_and_their_rules_agree_at_its_own_batch() -> None:
    found = {
        cell.at: (spec.schedule.batch_size, spec.schedule.epochs, spec.learning_rate)
        for cell, spec in zip(ABLATIONS["batch-size"].small.cells, specs(ABLATIONS["batch-size"], "small"), strict=True)
    }
    assert found["x 1/4", "x 1", "linear"] == pytest.approx((64, 10, 0.3 / 4))
    assert found["x 1/4", "x 1", "sqrt"] == pytest.approx((64, 10, 0.3 / 2))
    assert found["x 2", "x 4", "linear"] == pytest.approx((512, 40, 0.6))
    assert found["x 1", "x 2", "linear"] == found["x 1", "x 2", "sqrt"] == pytest.approx((256, 20, 0.3))


def test_the_papers_learning_rates_at_its_extreme_batch_sizes() -> None:
    rates = {
        cell.at: spec.learning_rate
        for cell, spec in zip(ABLATIONS["batch-size"].paper.cells, specs(ABLATIONS["batch-size"], "paper"), strict=True)
    }
    assert rates["256", "100", "linear"] == pytest.approx(0.3)
    assert rates["256", "100", "sqrt"] == pytest.approx(1.2)
    assert rates["8192", "800", "sqrt"] == pytest.approx(6.788, abs=1e-3)
    assert rates["4096", "400", "linear"] == rates["4096", "400", "sqrt"] == pytest.approx(4.8)


def test_a_head_of_none_is_one_cell_at_the_width_of_the_encoder() -> None:
    places: dict[Scale, str] = {"paper": "2048", "small": "width of h"}
    for scale, place in places.items():
        cells = [cell for cell in ABLATIONS["head"].layout(scale).cells if cell.at[0] == "none"]
        assert [(cell.at, cell.values, cell.paper) for cell in cells] == [
            (("none", place), {"head.num_linear_layers": 0}, 50.0)
        ]


# What the paper found ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [
        ("augmentations", ("crop", "color"), 56.3),
        ("augmentations", ("color", "crop"), 55.8),
        ("augmentations", ("noise", "color"), 7.5),
        ("augmentations", ("crop", "crop"), 33.1),
        ("augmentations", ("sobel", "cutout"), 40.6),
        ("augmentations", ("rotate", "rotate"), 2.6),
        ("temperature", ("yes, 0.05",), 59.7),
        ("temperature", ("yes, 0.1",), 64.4),
        ("temperature", ("yes, 0.5",), 60.7),
        ("temperature", ("yes, 1",), 58.0),
        ("temperature", ("no, 10",), 57.2),
        ("temperature", ("no, 100",), 57.0),
        ("batch-size", ("256", "100", "linear"), 57.5),
        ("batch-size", ("1024", "500", "linear"), 68.0),
        ("batch-size", ("8192", "1000", "linear"), 68.9),
        ("batch-size", ("256", "100", "sqrt"), 62.8),
        ("batch-size", ("256", "800", "sqrt"), 66.5),
        ("batch-size", ("8192", "400", "sqrt"), 68.3),
        ("head", ("linear", "32"), 59.8),
        ("head", ("linear", "1024"), 60.3),
        ("head", ("non-linear", "128"), 64.2),
        ("head", ("non-linear", "2048"), 64.7),
        ("head", ("depth 3", "128"), None),
    ],
)
def test_the_papers_numbers(name: str, at: tuple[str, ...], value: float | None) -> None:
    assert paper_value(name, *at) == value


def test_the_row_averages_printed_in_figure_5() -> None:
    operations = ABLATIONS["augmentations"].paper.axes[1].labels
    rows = {first: sum(paper_value("augmentations", first, second) or 0 for second in operations) / 7 for first in operations}
    printed = {
        "crop": 39.2, "cutout": 29.4, "color": 25.7, "sobel": 18.8, "noise": 15.5, "blur": 14.5, "rotate": 13.8
    }  # fmt: skip
    assert rows == pytest.approx(printed, abs=0.1)  # cells and averages are each rounded to 0.1


@pytest.mark.parametrize(
    ("batch", "linear", "sqrt"),
    [
        ("256", (57.5, 61.9, 64.7, 66.6), (62.8, 64.3, 65.7, 66.5)),
        ("512", (60.7, 64.0, 66.2, 67.8), (63.8, 65.6, 66.7, 67.4)),
        ("1024", (62.8, 65.3, 67.2, 68.5), (64.3, 66.1, 67.2, 68.3)),
        ("2048", (64.0, 66.1, 68.1, 68.9), (64.7, 66.8, 67.9, 68.8)),
        ("4096", (64.6, 66.5, 68.2, 68.9), (64.5, 66.8, 68.0, 69.1)),
        ("8192", (64.8, 66.6, 67.8, 69.0), (64.8, 67.0, 68.3, 69.1)),
    ],
)
def test_table_b1(batch: str, linear: tuple[float, ...], sqrt: tuple[float, ...]) -> None:
    columns = ("100", "200", "400", "800")
    assert tuple(paper_value("batch-size", batch, epochs, "linear") for epochs in columns) == linear
    assert tuple(paper_value("batch-size", batch, epochs, "sqrt") for epochs in columns) == sqrt


def test_entropy_and_contrastive_accuracy_of_table_5() -> None:
    more = {cell.at[0]: dict(cell.paper_more) for cell in ABLATIONS["temperature"].paper.cells}
    pairs = {at: (found["contrastive_entropy"], found["contrastive_accuracy"]) for at, found in more.items()}
    assert pairs == {
        "yes, 0.05": (1.0, 90.5),
        "yes, 0.1": (4.5, 87.8),
        "yes, 0.5": (8.2, 68.2),
        "yes, 1": (8.3, 59.1),
        "no, 10": (0.5, 91.7),
        "no, 100": (0.5, 92.1),
    }


def test_a_small_layout_shows_the_papers_value_at_the_same_multiple() -> None:
    assert paper_value("batch-size", "x 1/4", "x 1", "linear", scale="small") == 62.8  # 1024, 100
    assert paper_value("batch-size", "x 1", "x 1", "linear", scale="small") == 64.6  # 4096, 100
    assert paper_value("batch-size", "x 2", "x 4", "sqrt", scale="small") == 68.3  # 8192, 400
    assert paper_value("head", "non-linear", "256", scale="small") == 64.7
    assert paper_value("head", "depth 3", "256", scale="small") is None


@pytest.mark.parametrize("ablation", ABLATIONS.values(), ids=ABLATIONS)
def test_claims_name_their_source_and_the_module_gives_command_and_cost(ablation: Ablation) -> None:
    assert len(ablation.claims) >= 3
    module = sys.modules[f"search_spaces.{ablation.name.replace('-', '_')}"]
    text = " ".join((module.__doc__ or "").split())
    assert f"simclr-orch ablate {ablation.name} --preset P" in text
    assert f"{ablation.paper_tpu_hours:,.0f} TPU v3 core-hours a seed" in text
    assert ablation.source in text


def test_cost_by_the_papers_hour_and_a_half_on_128_cores() -> None:
    assert ABLATIONS["temperature"].paper_tpu_hours == 6 * 1.5 * 128
    linear, sqrt = 6 * sum(range(100, 1001, 100)), 6 * (100 + 200 + 400 + 800)
    assert ABLATIONS["batch-size"].paper_tpu_hours == pytest.approx((linear + sqrt) / 100 * 192)
    assert ABLATIONS["batch-size"].relative_cost("small") == 2 * 4 * (1 + 2 + 4)
    assert ABLATIONS["head"].relative_cost("small") == 13


# What the parts refuse -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "base", "expected"),
    [(1 / 4, 256, 64), (2, 100, 200), (0.3, 5, 2), (1 / 4, 0.2, 0.05), (2, 3.0, 6.0), (4, 0, 0)],
)
def test_times_keeps_the_type_of_what_it_multiplies(factor: float, base: float, expected: float) -> None:
    found = Times(factor).resolve(base)
    assert found == pytest.approx(expected)
    assert type(found) is type(base)


@pytest.mark.parametrize("factor", [0, -1.0, float("nan"), float("inf")])
def test_times_refuses_a_factor_that_is_no_multiple(factor: float) -> None:
    with pytest.raises(ValueError, match=rf"Times\({factor}\)"):
        Times(factor)


@pytest.mark.parametrize("base", [1, True, "256"])
def test_times_refuses_to_vanish_or_to_multiply_what_is_no_number(base: int) -> None:
    with pytest.raises(ValueError, match=repr(base)):
        Times(1 / 4).resolve(base)


@pytest.mark.parametrize(
    ("labels", "log"),
    [
        ((), False),
        (("a", "a"), False),
        (("a", " "), False),
        (("2", "1"), True),
        (("0", "1"), True),
        (("width", "32"), True),
        (("crop", "color"), True),
    ],
)
def test_an_axis_refuses_labels_that_cannot_be_laid_out(labels: tuple[str, ...], log: bool) -> None:
    with pytest.raises(ValueError, match="axis 'x'") as error:
        Axis(name="x", labels=labels, log=log)
    assert repr(labels) in str(error.value)


def test_positions_are_even_or_logarithmic_with_words_last() -> None:
    assert Axis(name="x", labels=("a", "b", "c")).positions() == (0, 1, 2)
    assert Axis(name="x", labels=("32", "64", "256", "width of h"), log=True).positions() == (5, 6, 8, 9)
    assert Axis(name="x", labels=("x 1/4", "x 1/2", "x 1", "x 2"), log=True).positions() == (-2, -1, 0, 1)


ROW = Axis(name="row", labels=("a", "b"))
A = Cell(at=("a",), values={"loss.temperature": 1.0})
B = Cell(at=("b",), values={"loss.temperature": 2.0})
LAYOUT = Layout(axes=(ROW,), cells=(A, B))
CLAIM = Claim(statement="a is better than b", source="Table 0")


def ablation(**changes: object) -> Ablation:
    good = {
        "name": "rows",
        "title": "Rows",
        "question": "Which row?",
        "source": "Table 0",
        "paper": LAYOUT,
        "small": LAYOUT,
        "figure": "table",
        "claims": (CLAIM,),
    }
    return Ablation(**{**good, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("build", "shown"),
    [
        (lambda: Cell(at=("a",), values={}), "'a'"),
        (lambda: Cell(at=("a",), values={"loss..temperature": 1.0}), r"loss\.\.temperature"),
        (lambda: Cell(at=("a",), values={"loss.temperature": float("nan")}), "loss.temperature=nan"),
        (lambda: Cell(at=("a",), values={"loss.temperature": {1.0}}), r"loss.temperature=\{1.0\}"),  # type: ignore[dict-item]
        (lambda: Cell(at=("a",), values={"loss.temperature": 1.0}, paper=564.0), "564.0"),
        (lambda: Layout(axes=(ROW,), cells=()), "0 cells"),
        (lambda: Layout(axes=(ROW,), cells=(Cell(at=("c",), values=A.values),)), "'c' is not on axis 'row'"),
        (lambda: Layout(axes=(ROW, ROW), cells=(A,)), "one label for each"),
        (lambda: Layout(axes=(ROW,), cells=(A, Cell(at=("a",), values=B.values))), "taken"),
        (lambda: Layout(axes=(ROW,), cells=(A, Cell(at=("b",), values=A.values))), "same values as"),
        (lambda: Claim(statement=" ", source="Table 0"), "' '"),
        (lambda: ablation(name="Two words"), "Two words"),
        (lambda: ablation(question=""), "question"),
        (lambda: ablation(claims=()), "claims"),
        (lambda: ablation(figure="pie"), "pie"),
        (lambda: ablation(figure="heatmap"), "heatmap cannot have 1"),
        (lambda: ablation(fixed={"loss.temperature": 0.5}), r"\['loss.temperature'\], which is fixed"),
        (lambda: ablation(fixed={"Loss temperature": 0.5}), "Loss temperature"),
        (lambda: ablation().layout("huge"), "huge"),  # type: ignore[arg-type]
    ],
)
def test_nonsense_is_refused_and_shown(build: Callable[[], object], shown: str) -> None:
    with pytest.raises(ValueError, match=shown):
        build()


def test_grid_is_every_combination_with_the_last_choice_fastest() -> None:
    cells = grid(
        {"a": {"loss.temperature": 1.0}, "b": {"loss.temperature": 2.0}},
        {"c": {"head.output_dim": 3}, "d": {"head.output_dim": 4}},
        paper={("a", "d"): 50.0},
    )
    assert [(cell.at, dict(cell.values), cell.paper) for cell in cells] == [
        (("a", "c"), {"loss.temperature": 1.0, "head.output_dim": 3}, None),
        (("a", "d"), {"loss.temperature": 1.0, "head.output_dim": 4}, 50.0),
        (("b", "c"), {"loss.temperature": 2.0, "head.output_dim": 3}, None),
        (("b", "d"), {"loss.temperature": 2.0, "head.output_dim": 4}, None),
    ]


def test_the_package_imports_the_standard_library_only() -> None:
    script = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import search_spaces\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new - set(sys.stdlib_module_names) - {'search_spaces'}))\n"
    )
    root = Path(search_spaces.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
