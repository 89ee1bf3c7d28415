"""Seconds: claims as texts, and what is said of a text that is none."""

import pickle
import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from search_spaces import ABLATIONS, UNTRAINED, Axis, Comparison, Term
from search_spaces.ablation import Scale
from search_spaces.claim_language import (
    LanguageError,
    claim_texts,
    comparison_text,
    read_comparison,
    read_comparisons,
)
from search_spaces.claims import (
    Event,
    Place,
    above,
    beats,
    more_often,
    rate_above,
    similar,
    wider_gap,
)
from search_spaces.trees.question import ablation_of

WORDS = (Axis(name="augmentation", labels=("crop", "color", "1 (+blur)", "x 1/4")),)
NUMBERS = (Axis(name="temperature", labels=("0.05", "0.1", "0.5", "supervised"), log=True),)
TWO = (
    Axis(name="training", labels=("SimCLR", "supervised")),
    Axis(name="strength (of color)", labels=("1/8", "1/4", "1/2", "1", "1 (+blur)")),
)
A, B, C, D = ("crop",), ("color",), ("1 (+blur)",), ("x 1/4",)
S3, V3 = ("SimCLR", "1/2"), ("supervised", "1/2")
S1, S2, V1, V2 = ("SimCLR", "1/8"), ("SimCLR", "1"), ("supervised", "1/8"), ("supervised", "1")


@pytest.mark.parametrize("name", ABLATIONS)
@pytest.mark.parametrize("scale", get_args(Scale))
def test_every_comparison_of_ours_is_its_text(name: str, scale: Scale) -> None:
    axes = ABLATIONS[name].layout(scale).axes
    for claim in ABLATIONS[name].claims:
        for comparison in claim.comparisons(scale):
            text = comparison_text(comparison, axes)
            assert read_comparison(text, axes) == comparison, text


SAID: list[tuple[str, tuple[Axis, ...], Comparison]] = [
    ("crop > color", WORDS, beats(A, B)),
    ("  crop\n>color ", WORDS, beats(A, B)),
    ("crop beats color", WORDS, beats(A, B)),
    ("color < crop", WORDS, beats(A, B)),
    ('"crop" > "color"', WORDS, beats(A, B)),
    ("'crop' > color", WORDS, beats(A, B)),
    ("crop > 1 (+blur)", WORDS, beats(A, C)),
    ("crop > x 1/4 + 3", WORDS, beats(A, D, by=3)),
    ("crop > color - 0.5", WORDS, beats(A, B, by=-0.5)),
    ("crop > color by more than 3", WORDS, beats(A, B, by=3)),
    ("crop > color by more than 3 points", WORDS, beats(A, B, by=3)),
    ("crop > color in knn_top1", WORDS, beats(A, B, metric="knn_top1")),
    ("crop[knn_top1] > color[knn_top1]", WORDS, beats(A, B, metric="knn_top1")),
    ("crop > color, alike within 0.2", WORDS, beats(A, B, margin=0.2)),
    ("crop > color alike within 0.2", WORDS, beats(A, B, margin=0.2)),
    ("crop > untrained", WORDS, beats(A, UNTRAINED)),
    ("crop > 90", WORDS, above(A, 90)),
    ("crop is above 90", WORDS, above(A, 90)),
    ("90 < crop", WORDS, above(A, 90)),
    ("mean of (crop, color) > mean of (1 (+blur), x 1/4)", WORDS, beats((A, B), (C, D))),
    ("mean of {crop, color} > x 1/4", WORDS, beats((A, B), D)),
    ("mean of * > untrained", WORDS, beats((A, B, C, D), UNTRAINED)),
    ("(crop - color) > (1 (+blur) - x 1/4)", WORDS, wider_gap((A, B), (C, D))),
    ("crop - color > 1 (+blur) - x 1/4 + 2", WORDS, wider_gap((A, B), (C, D), by=2)),
    ("crop differs from color by less than 2", WORDS, similar(A, B, within=2)),
    ("crop = color ± 2", WORDS, similar(A, B, within=2)),
    ("crop is within 2 of color", WORDS, similar(A, B, within=2)),
    ("0.1 > 0.05", NUMBERS, beats(("0.1",), ("0.05",))),
    ("0.1 > 0.05 by more than 0.5", NUMBERS, beats(("0.1",), ("0.05",), by=0.5)),
    ("0.1 is above 0.5", NUMBERS, above(("0.1",), 0.5)),
    ("SimCLR, 1 > SimCLR, 1/8", TWO, beats(S2, S1)),
    ("SimCLR · 1 > SimCLR · 1/8", TWO, beats(S2, S1)),
    ("(SimCLR, 1) > (supervised, 1)", TWO, beats(S2, V2)),
    ("mean of SimCLR, {1/8, 1} > supervised, 1", TWO, beats((S1, S2), V2)),
    ("mean of (SimCLR, 1/8; SimCLR, 1) > untrained", TWO, beats((S1, S2), UNTRAINED)),
    ("mean of ((SimCLR, 1/8), (SimCLR, 1)) > untrained", TWO, beats((S1, S2), UNTRAINED)),
    ("rate of converged at crop >= 0.9", WORDS, rate_above(A, 0.9, metric="converged")),
    ("rate of converged at crop > 90 %", WORDS, rate_above(A, 0.9, metric="converged")),
    (
        "rate of linear_top1 > 90 at SimCLR, 1 >= 0.5",
        TWO,
        rate_above(S2, 0.5, metric="linear_top1", event=Event(value=90)),
    ),
    (
        "rate of value < 1 at crop > rate of value < 1 at color",
        WORDS,
        more_often(A, B, event=Event(side="below", value=1)),
    ),
]


@pytest.mark.parametrize(("text", "axes", "comparison"), SAID, ids=[said for said, *_ in SAID])
def test_a_text_says_what_a_builder_builds(
    text: str, axes: tuple[Axis, ...], comparison: Comparison
) -> None:
    assert read_comparison(text, axes) == comparison
    assert read_comparison(comparison_text(comparison, axes), axes) == comparison


PAGE = (Path(__file__).parents[2] / "docs/questions.md").read_text()
SECTION = PAGE.partition("## Claims in words")[2].partition("\n## ")[0]
ONE_AXIS, SEVERAL_AXES = SECTION.split("With several axes", 1)
EXAMPLES = [
    (text, axes)
    for part, axes in ((ONE_AXIS, NUMBERS), (SEVERAL_AXES, TWO))
    for text in re.findall(r"^\| `([^`]+)` \|", part, flags=re.MULTILINE)
]


@pytest.mark.parametrize(("text", "axes"), EXAMPLES, ids=[text for text, _ in EXAMPLES])
def test_every_example_of_the_page_is_a_claim(text: str, axes: tuple[Axis, ...]) -> None:
    for comparison in read_comparisons(text, axes):
        assert read_comparison(comparison_text(comparison, axes), axes) == comparison


def test_the_page_tells_of_an_error_and_of_files_as_they_are() -> None:
    assert len(EXAMPLES) > 30
    told = re.search(r"^'(.+)', (column .+)$", SECTION, flags=re.MULTILINE)
    assert told is not None
    with pytest.raises(LanguageError) as refused:
        read_comparisons(told[1], TWO)
    assert str(refused.value) == told[2]

    claims = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", SECTION, flags=re.DOTALL)[0])
    temperatures = {label: {"loss.temperature": float(label)} for label in ("0.05", "0.1", "0.5")}
    values = {**temperatures, "supervised": {"loss.name": "supervised"}}
    tree = {"name": "a", "question": "q?", "axes": {"temperature": {"values": values}}}
    found = ablation_of(tree | claims).claims
    assert [len(claim.paper) for claim in found] == [1, 4, 1]
    assert [len(claim.small) for claim in found] == [1, 4, 0]


def test_weights_of_a_sum_are_exact() -> None:
    found = read_comparison("0.1 * crop + 2 * (color - x 1/4)/3 - 1 > -0.25", WORDS)
    assert found.terms == (
        Term(at=A, weight=0.1),
        Term(at=B, weight=2 * (1 / 3)),
        Term(at=D, weight=2 * (-1 / 3)),
    )
    assert found.bound == 0.75


def test_a_label_is_the_one_that_is_said() -> None:
    said = read_comparison(r'crop > color as "a \"label\" of \\ its own"', WORDS)
    assert said.label == r'a "label" of \ its own'
    assert read_comparison(comparison_text(said, WORDS), WORDS) == said
    assert " as " not in comparison_text(beats(A, B), WORDS)


SEVERAL: list[tuple[str, tuple[Axis, ...], list[tuple[Place, Place]]]] = [
    ("crop > color > x 1/4", WORDS, [(A, B), (B, D)]),
    ("crop > each of (color, x 1/4)", WORDS, [(A, B), (A, D)]),
    ("each of {crop, color} > x 1/4", WORDS, [(A, D), (B, D)]),
    ("crop > every other", WORDS, [(A, B), (A, C), (A, D)]),
    ("crop is the best", WORDS, [(A, B), (A, C), (A, D)]),
    ("crop is the lowest", WORDS, [(B, A), (C, A), (D, A)]),
    ("rises with augmentation", WORDS, [(B, A), (C, B), (D, C)]),
    ("it falls with augmentation from color", WORDS, []),
    ("falls with augmentation from color to x 1/4", WORDS, [(B, C), (C, D)]),
    (
        "SimCLR rises with strength",
        TWO,
        [
            (("SimCLR", "1/4"), S1),
            (("SimCLR", "1/2"), ("SimCLR", "1/4")),
            (S2, ("SimCLR", "1/2")),
            (("SimCLR", "1 (+blur)"), S2),
        ],
    ),
    ("each of (crop, color) > each of (1 (+blur), x 1/4)", WORDS, [(A, C), (A, D), (B, C), (B, D)]),
    ("1 falls with training", TWO, [(S2, V2)]),
    ("SimCLR > supervised at every strength from 1/2 to 1", TWO, [(S3, V3), (S2, V2)]),
    ("1 > 1/8 at every training", TWO, [(S2, S1), (V2, V1)]),
    ("rises with strength from 1/2 to 1 at every training", TWO, [(S2, S3), (V2, V3)]),
    ("1 > each of (1/8, 1/2) at every training", TWO, [(S2, S1), (S2, S3), (V2, V1), (V2, V3)]),
    ("untrained < 1 at every training", TWO, [(S2, UNTRAINED), (V2, UNTRAINED)]),
    ("SimCLR, 1 > every other training", TWO, [(S2, V2)]),
]


@pytest.mark.parametrize(("text", "axes", "pairs"), SEVERAL, ids=[said for said, *_ in SEVERAL])
def test_some_texts_ask_for_several_comparisons(
    text: str, axes: tuple[Axis, ...], pairs: list[tuple[Place, Place]]
) -> None:
    if not pairs:
        with pytest.raises(LanguageError):
            read_comparisons(text, axes)
        return
    assert read_comparisons(text, axes) == tuple(beats(one, other) for one, other in pairs)


def test_several_comparisons_may_share_a_bound_a_metric_and_a_margin() -> None:
    wanted = tuple(beats(A, one, by=-0.5, metric="knn_top1", margin=2) for one in (B, D))
    for text in ("each of (color, x 1/4) - 0.5", "each of (color, x 1/4) by more than -0.5"):
        said = f"crop > {text} in knn_top1, alike within 2"
        assert read_comparisons(said, WORDS) == wanted
    said = "crop > every other + 3"
    assert read_comparisons(said, WORDS) == tuple(beats(A, one, by=3) for one in (B, C, D))
    said = "each of (crop, color) is above 90 in knn_top1"
    assert read_comparisons(said, WORDS) == tuple(
        above(one, 90, metric="knn_top1") for one in (A, B)
    )
    said = "crop differs from each of (color, x 1/4) by less than 2"
    assert read_comparisons(said, WORDS) == tuple(similar(A, one, within=2) for one in (B, D))
    said = "rate of converged at each of (crop, color) >= 0.9"
    assert read_comparisons(said, WORDS) == tuple(
        rate_above(one, 0.9, metric="converged") for one in (A, B)
    )


@pytest.mark.parametrize("name", ABLATIONS)
@pytest.mark.parametrize("scale", get_args(Scale))
def test_the_lines_of_a_claim_say_its_comparisons(name: str, scale: Scale) -> None:
    axes = ABLATIONS[name].layout(scale).axes
    for claim in ABLATIONS[name].claims:
        lines = claim_texts(claim.comparisons(scale), axes)
        said = [one for line in lines for one in read_comparisons(line, axes)]
        assert tuple(said) == claim.comparisons(scale)


def test_lines_are_few() -> None:
    question = ABLATIONS["fresh-views"]
    assert claim_texts(question.claims[0].paper, question.paper.axes) == [
        '"fresh in each step" > fixed at every signal-to-noise ratio and unlabeled inputs'
    ]
    question = ABLATIONS["color-strength"]
    assert claim_texts(question.claims[0].paper, question.paper.axes) == [
        "SimCLR rises with color distortion strength from 1/8 to 1"
    ]
    question = ABLATIONS["losses"]
    assert claim_texts(question.claims[0].paper, question.paper.axes) == ["NT-Xent > every other"]


def test_only_cells_that_are_there_are_every_other() -> None:
    cells = {S1, S2, V1}
    assert read_comparisons("SimCLR, 1 > every other", TWO, cells) == (beats(S2, S1), beats(S2, V1))
    assert read_comparisons("SimCLR rises with strength", TWO, cells) == (beats(S2, S1),)
    assert read_comparisons("SimCLR > supervised at every strength", TWO, cells) == (beats(S1, V1),)
    assert read_comparisons("mean of SimCLR, * > untrained", TWO, cells) == (
        beats((S1, S2), UNTRAINED),
    )


WRONG: list[tuple[str, tuple[Axis, ...], str, int]] = [
    ("", WORDS, "the text is empty", 1),
    ("crop", WORDS, "expected '>', '<', 'differs from' or 'is above', the text ends", 5),
    (
        "crop > colour",
        WORDS,
        "'colour' is no label of axis 'augmentation'; did you mean 'color'",
        8,
    ),
    ("crop > colour", WORDS, 'known are "crop", "color", "1 (+blur)", "x 1/4"', 8),
    ("Crop > color", WORDS, "'Crop' is no label of axis 'augmentation'; did you mean 'crop'", 1),
    ('crop > "colour"', WORDS, "did you mean 'color'", 8),
    ('crop > "color', WORDS, "is never closed", 8),
    ("SimCLR > supervised", TWO, "expected a comma and a label of axis 'strength (of color)'", 8),
    ("1, SimCLR > SimCLR, 1", TWO, "may be a number or the label '1'", 1),
    ("1/8, SimCLR > SimCLR, 1", TWO, "it is one of axis 'strength (of color)', and the order", 1),
    ("SimCLR, 1 > 1", TWO, "may be a number or the label '1' of axis 'strength (of color)'", 13),
    ("0.1 > 0.55", NUMBERS, "'0.55' is no label of axis 'temperature'; did you mean '0.5'", 7),
    ("0.1 > 90", NUMBERS, "For a number write 'is above 90'", 7),
    ("crop > crop", WORDS, "needs a label and terms", 1),
    ("crop >= color", WORDS, "'>=' is for rates", 6),
    ("90 > 80", WORDS, "'90' is no label of axis 'augmentation'; known are", 1),
    ("90 differs from 90 by less than 1", WORDS, "'90' is no label of axis", 1),
    ("crop = color", WORDS, "expected '± NUMBER'", 13),
    ("crop > color in", WORDS, "expected the name of a metric", 16),
    ("crop[a] > color in b", WORDS, "said twice", 20),
    ("crop is above color", WORDS, "between cells write '>'", 15),
    ("crop differs from color by less than 0", WORDS, "bound 0.0 is none for 'within'", 1),
    ("crop differs from 90 by less than 1", WORDS, "only cells are near each other", 6),
    ("crop > color, alike within 0", WORDS, "margin 0.0 must be above 0", 1),
    ("crop > color, color", WORDS, "expected 'alike within'", 15),
    ("crop > each of (color, x 1/4) as 'one'", WORDS, "one label is not for 2", 34),
    ("crop > color color", WORDS, "expected the end", 14),
    ("mean of (crop; crop) > color", WORDS, "in the group twice", 16),
    ("{crop, color} > x 1/4", WORDS, "write 'mean of' before them", 1),
    ("rises with temprature", NUMBERS, "no axis; did you mean 'temperature'", 12),
    ("crop rises with augmentation", WORDS, "expected 'rises with'", 1),
    ("rate of converged at crop >= 1", WORDS, "a rate lies between 0 and 1", 30),
    ("rate of converged at crop < 0.1", WORDS, "ask for the opposite event", 29),
    ("rate of a at crop > rate of a < 1 at color", WORDS, "by the same event", 1),
    ("crop > color at every augmentation", WORDS, "needs a label of an axis that is not", 23),
    ("SimCLR > supervisd at every strength", TWO, "did you mean 'supervised'", 10),
    ("SimCLR > supervised at every strength as 'x'", TWO, "'at every' comes last", 39),
    ("untrained rises with strength", TWO, "the untrained encoder is on no axis", 1),
    ("rises with strength at every strength", TWO, "said at its end, too", 12),
    ("crop > each of (color, x 1/4) + color", WORDS, "expected a number", 33),
    ("1e999 > crop", WORDS, "too large a number", 1),
    ("crop / 0 > color", WORDS, "divided by 0", 1),
]


@pytest.mark.parametrize(
    ("text", "axes", "problem", "column"), WRONG, ids=[wrong for wrong, *_ in WRONG]
)
def test_a_wrong_text_is_told_with_its_place(
    text: str, axes: tuple[Axis, ...], problem: str, column: int
) -> None:
    with pytest.raises(LanguageError) as told:
        read_comparisons(text, axes)
    assert problem in told.value.problem
    assert told.value.column == column
    assert str(told.value) == f"column {column}: {told.value.problem}"
    assert str(pickle.loads(pickle.dumps(told.value))) == str(told.value)


def answer(text: str, axes: tuple[Axis, ...]) -> tuple[Comparison, ...] | LanguageError:
    """What a text asks for, or what is said of it."""
    try:
        return read_comparisons(text, axes)
    except LanguageError as told:
        return told


def test_the_best_error_is_not_taken_for_the_highest() -> None:
    with pytest.raises(LanguageError, match="write 'is the lowest' or 'is the highest'"):
        read_comparisons("crop is the best", WORDS, metric="test_error")
    assert read_comparisons("crop is the highest", WORDS, metric="test_error")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000,
        "(" * 20 + "crop" + ")" * 20 + " > color",
        "-" * 100_000,
        "crop + " * 10_000 + "crop > color",
        "2 * " * 20_000 + "crop > color",
        "crop" + "/ 1 " * 20_000 + "> color",
        "crop > " * 10_000 + "crop",
        "mean of " * 10_000,
        " " * 99_999,
        "x" * 99_999,
        "a b " * 20_000,
        '"' + "\\" * 99_998,
        "'" * 100_000,
        "rises with " * 9_000,
        "crop[" * 20_000,
        "crop > color as " + '"' * 1001,
        "x" * 100_001,
    ],
    ids=lambda text: f"{text[:12]!r} and so on",
)
def test_long_and_deep_texts_are_answered(text: str) -> None:
    found = answer(text, WORDS)
    assert len(found.problem) < 1_000 if isinstance(found, LanguageError) else found


SIGNS_AND_WORDS = """
    crop color SimCLR supervised 1/8 1 0.1 90 2.5 -3 > < = ± + - * / ( ) [ ] { } , ; · " ' in as
    is above below within of zero the highest best lowest mean each every other differs from by less
    than more rises falls with rate at >= % untrained augmentation temperature strength training
    linear_top1 alike to beats \\ é 1e308 0"""


@st.composite
def nearly_claims(draw: st.DrawFn) -> str:
    """A claim with some of its words taken out, doubled, or replaced by others."""
    words = draw(st.sampled_from([text for text, *_ in (*SAID, *SEVERAL, *EXAMPLES)])).split(" ")
    for _ in range(draw(st.integers(0, 3))):
        k = draw(st.integers(0, len(words) - 1))
        other = draw(st.sampled_from([*words, *SIGNS_AND_WORDS.split()]))
        words[k : k + 1] = draw(st.sampled_from([[], [words[k]] * 2, [other]]))
        words = words or [""]
    return draw(st.sampled_from([" ", "  ", "\n"])).join(words)


@given(
    st.one_of(
        nearly_claims(),
        nearly_claims(),
        st.text(max_size=80),
        st.lists(st.sampled_from(SIGNS_AND_WORDS.split()), max_size=25).map(" ".join),
    ),
    st.sampled_from([WORDS, NUMBERS, TWO]),
)
@settings(max_examples=200, deadline=None)
@example("1 > 2", WORDS)
@example("1 differs from 1 by less than 1", WORDS)
@example("crop > color[", WORDS)
@example("- > crop", WORDS)
def test_no_text_gives_anything_but_comparisons_or_a_told_error(
    text: str, axes: tuple[Axis, ...]
) -> None:
    found = answer(text, axes)
    if isinstance(found, LanguageError):
        assert 1 <= found.column <= len(text) + 1
        assert found.problem
        return
    assert found
    for comparison in found:
        assert read_comparison(comparison_text(comparison, axes), axes) == comparison


LABELS = st.one_of(
    st.sampled_from(["1", "0.5", "untrained", "mean of", "a, b", "in", 'say "so"', "\\", "a > b"]),
    st.text(min_size=1, max_size=8).filter(str.strip),
)
METRICS = st.sampled_from([None, "knn_top1", "value", "of 1 > 2"])
WEIGHTS = st.one_of(
    st.sampled_from([1.0, -1.0, 0.5, -0.5, 1 / 3, -1 / 3]),
    st.floats(allow_nan=False, allow_infinity=False).filter(bool),
)


@st.composite
def axes_and_comparisons(draw: st.DrawFn) -> tuple[tuple[Axis, ...], Comparison]:
    """Axes with any labels, and any comparison between cells of them."""
    labels = st.lists(LABELS, min_size=1, max_size=4, unique=True).map(tuple)
    axes = tuple(
        Axis(name=f"axis {k}", labels=draw(labels)) for k in range(draw(st.integers(1, 3)))
    )
    cells = st.tuples(*(st.sampled_from(axis.labels) for axis in axes))
    places = st.one_of(cells, st.just(UNTRAINED))
    event = draw(st.none() | st.builds(Event, side=st.sampled_from(["above", "below"])))
    keys = st.lists(st.tuples(places, METRICS), min_size=1, max_size=2 if event else 6, unique=True)
    signs = [1.0, -1.0]
    terms = tuple(
        Term(at=at, metric=metric, weight=signs[k] if event else draw(WEIGHTS))
        for k, (at, metric) in enumerate(draw(keys))
    )
    within = event is None and draw(st.booleans())
    bounds = st.floats(-1e9, 1e9) | st.sampled_from([0.0, 0.5, 1.0, 90.0])
    if event:
        bound = draw(st.floats(0.01, 0.99)) if len(terms) == 1 else 0.0
    else:
        bound = draw(bounds.filter(lambda value: value > 0) if within else bounds)
    comparison = Comparison(
        label=draw(LABELS),
        terms=terms,
        bound=bound,
        relation="within" if within else "above",
        event=event,
        margin=draw(st.none() | st.floats(1e-6, 1e6)),
    )
    return axes, comparison


@given(axes_and_comparisons())
@settings(max_examples=200, deadline=None)
def test_every_comparison_is_its_text(asked: tuple[tuple[Axis, ...], Comparison]) -> None:
    axes, comparison = asked
    assert read_comparison(comparison_text(comparison, axes), axes) == comparison
