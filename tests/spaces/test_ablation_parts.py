"""Milliseconds: the classes that ablations are made of, and what they refuse."""

from collections.abc import Callable

import pytest

from search_spaces import Ablation, Axis, Cell, Layout, Step, Times
from search_spaces.claims import UNTRAINED, Claim, beats
from search_spaces.layout import grid


@pytest.mark.parametrize(
    ("factor", "base", "expected"),
    [(1 / 4, 256, 64), (2, 100, 200), (0.3, 5, 2), (1 / 4, 0.2, 0.05), (2, 3.0, 6.0), (4, 0, 0)],
)
def test_times_keeps_the_type_of_what_it_multiplies(
    factor: float, base: float, expected: float
) -> None:
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


LISTS = (("small", "large"), ("thin", "thick", "thicker"))


@pytest.mark.parametrize(
    ("offset", "base", "expected"),
    [(0, "small", "small"), (1, "small", "large"), (2, "thin", "thicker"), (-1, "thick", "thin")],
)
def test_step_goes_along_the_list_that_has_the_presets_name(
    offset: int, base: str, expected: str
) -> None:
    assert Step(offset, LISTS).resolve(base) == expected


@pytest.mark.parametrize(
    ("offset", "base", "shown"),
    [
        (2, "small", r"\+2 from 'small': there is none in small, large"),
        (-1, "thin", "-1 from 'thin'"),
        (0, "wide", "'wide'"),
    ],
)
def test_step_refuses_to_leave_its_lists(offset: int, base: str, shown: str) -> None:
    with pytest.raises(ValueError, match=shown):
        Step(offset, LISTS).resolve(base)


@pytest.mark.parametrize("lists", [(), ((),), (("a", "b"), ("b",))])
def test_step_refuses_lists_that_do_not_tell_where_a_name_stands(
    lists: tuple[tuple[str, ...], ...],
) -> None:
    with pytest.raises(ValueError, match=r"Step\(1\)"):
        Step(1, lists)


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
    assert Axis(name="x", labels=("32", "64", "256", "width of h"), log=True).positions() == (
        5,
        6,
        8,
        9,
    )
    assert Axis(name="x", labels=("x 1/4", "x 1/2", "x 1", "x 2"), log=True).positions() == (
        -2,
        -1,
        0,
        1,
    )


ROW = Axis(name="row", labels=("a", "b"))
A = Cell(at=("a",), values={"loss.temperature": 1.0})
B = Cell(at=("b",), values={"loss.temperature": 2.0})
LAYOUT = Layout(axes=(ROW,), cells=(A, B))
CLAIM = Claim.alike("a is better than b", "Table 0", beats(("b",), ("a",)))


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
        (
            lambda: Cell(at=("a",), values={"loss.temperature": float("nan")}),
            "loss.temperature=nan",
        ),
        (lambda: Cell(at=("a",), values={"loss.temperature": {1.0}}), r"loss.temperature=\{1.0\}"),  # type: ignore[dict-item]
        (lambda: Cell(at=("a",), values={"loss.temperature": 1.0}, paper=564.0), "564.0"),
        (
            lambda: Cell(at=("a",), values=A.values, candidates=({"head.output_dim": 1},)),
            "several different ones",
        ),
        (
            lambda: Cell(at=("a",), values=A.values, candidates=({"head.output_dim": 1},) * 2),
            "several different ones",
        ),
        (
            lambda: Cell(at=("a",), values=A.values, candidates=(A.values, B.values)),
            r"\['loss.temperature'\], and so do its",
        ),
        (lambda: Layout(axes=(ROW,), cells=()), "0 cells"),
        (
            lambda: Layout(axes=(ROW,), cells=(Cell(at=("c",), values=A.values),)),
            "'c' is not on axis 'row'",
        ),
        (lambda: Layout(axes=(ROW, ROW), cells=(A,)), "one label for each"),
        (lambda: Layout(axes=(ROW,), cells=(A, Cell(at=("a",), values=B.values))), "taken"),
        (
            lambda: Layout(axes=(ROW,), cells=(A, Cell(at=("b",), values=A.values))),
            "same values as",
        ),
        (lambda: ablation(name="Two words"), "Two words"),
        (lambda: ablation(question=""), "question"),
        (lambda: ablation(claims=()), "claims nothing"),
        (lambda: ablation(claims=(CLAIM, CLAIM)), "claims something twice"),
        (
            lambda: ablation(claims=(Claim.alike("c", "Table 0", beats(("c",), ("a",))),)),
            r"'c > a' needs \[\('c',\)\], no cells at paper",
        ),
        (lambda: ablation(tuned_by=""), "tuned_by"),
        (lambda: ablation(figure="pie"), "pie"),
        (lambda: ablation(figure="heatmap"), "heatmap cannot have 1"),
        (
            lambda: ablation(fixed={"loss.temperature": 0.5}),
            r"\['loss.temperature'\], which is fixed",
        ),
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


def test_claims_may_name_the_untrained_encoder_and_extensions_may_claim_nothing() -> None:
    assert ablation(
        claims=(Claim.alike("a is learned", "Table 0", beats(("a",), UNTRAINED)),)
    ).claims
    assert ablation(claims=(), extension=True).claims == ()


def test_tuned_cells_have_a_point_a_candidate_and_cells_of_one_run_differ_in_metric() -> None:
    tuned = Cell(
        at=("a",),
        values={"loss.name": "x"},
        candidates=({"loss.temperature": 1.0}, {"loss.temperature": 2.0}),
    )
    other = Cell(at=("b",), values={"loss.name": "x"}, metric="knn_top1")
    found = ablation(paper=Layout(axes=(ROW,), cells=(tuned, other)), fixed={"head.output_dim": 3})
    assert found.points() == [
        {"head.output_dim": 3, "loss.name": "x", "loss.temperature": 1.0},
        {"head.output_dim": 3, "loss.name": "x", "loss.temperature": 2.0},
        {"head.output_dim": 3, "loss.name": "x"},
    ]
    assert [found.metric_of(cell) for cell in found.paper.cells] == ["linear_top1", "knn_top1"]
    twice = (Cell(at=("a",), values={"loss.name": "x"}), other)
    assert ablation(paper=Layout(axes=(ROW,), cells=twice)).relative_cost("paper") == 1
