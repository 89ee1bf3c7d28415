"""The language of `--where` and `--sort`: milliseconds."""

import operator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import QueryError
from orchestrator.storage.query import check_fields, fields_of, rows_where, sorted_rows
from orchestrator.storage.rows import RunRow


def row(fingerprint: str, **more: Any) -> RunRow:
    values: dict[str, Any] = {"name": fingerprint, "workload": "simclr", "status": "finished"}
    return RunRow(fingerprint=fingerprint, **(values | more))


ROWS = [
    row(
        "a1",
        ablations=("temperature", "losses"),
        seed=0,
        spec={
            "loss.temperature": 0.1,
            "loss.name": "nt-xent",
            "augment.operations": ["crop", "color"],
            "head.output_dim": None,
            "loss.normalize": True,
            "schedule.epochs": 10,
        },
        results={"linear_top1": 60.0},
        logged={"loss": 1.0},
        started="2026-11-27T10:00:00+00:00",
    ),
    row(
        "a2",
        ablations=("temperature",),
        seed=1,
        spec={
            "loss.temperature": 0.5,
            "loss.name": "nt-xent",
            "augment.operations": ["crop"],
            "head.output_dim": 128,
            "loss.normalize": False,
            "schedule.epochs": 100,
        },
        results={"linear_top1": 70.0},
        started="2026-11-28T10:00:00+00:00",
    ),
    row("b3", status="failed", spec={"loss.temperature": 1}, error="nan"),
    row("b4", status="unfinished"),
]


def names(rows: list[RunRow]) -> str:
    return " ".join(one.fingerprint for one in rows)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("loss.temperature < 0.5 and status == finished", "a1"),
        ("loss.temperature <= 0.5", "a1 a2"),
        ("loss.temperature = 1", "b3"),
        ("0.1 < loss.temperature <= 0.5", "a2"),
        ("0.5 > loss.temperature", "a1"),
        ("loss.temperature in (0.1, 1)", "a1 b3"),
        ("loss.temperature not in (0.1, 1)", "a2"),
        ("not loss.temperature in (0.1, 1)", "a2 b4"),
        ("status != finished", "b3 b4"),
        ("status == finished or status == failed and seed == 1", "a1 a2"),
        ("(status == finished or status == failed) and seed == 1", "a2"),
        ("NOT (status == finished) AND status == failed", "b3"),
        ("not not status == failed", "b3"),
        ("ablation == losses", "a1"),
        ("ablation == null", "b3 b4"),
        ("ablation != null", "a1 a2"),
        ("ablation in (losses, temperature)", "a1 a2"),
        ("augment.operations == color", "a1"),
        ("augment.operations != color", "a2"),
        ("head.output_dim == null", "a1 b3 b4"),
        ("head.output_dim in (null, 128)", "a1 a2 b3 b4"),
        ("linear_top1 == null and status == failed", "b3"),
        ("linear_top1 > 60 or loss <= 1", "a1 a2"),
        ("linear_top1 > schedule.epochs", "a1"),
        ("loss.name == 'nt-xent'", "a1 a2"),
        ('loss.name == "nt-xent"', "a1 a2"),
        ("loss.name == 'nt\\-xent'", "a1 a2"),
        ("loss.normalize == true", "a1"),
        ("loss.normalize != true", "a2"),
        ("started >= 2026-11-28", "a2"),
        ("fingerprint == a", "a1 a2"),
        ("fingerprint in (a2, b)", "a2 b3 b4"),
        ("error == nan", "b3"),
        ("1e-1 == loss.temperature", "a1"),
        ("name == b4", "b4"),
        ("name == 'name'", ""),
    ],
)
def test_an_expression_finds_its_runs(text: str, expected: str) -> None:
    assert names(rows_where(ROWS, text)) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "column 1: is empty"),
        ("   ", "column 1: is empty"),
        ("loss.temprature < 1", "no run here has a field loss.temprature; did you mean loss.temp"),
        ("temperature < 1", "no run here has a field temperature; did you mean loss.temperature?"),
        ("status == finishd", "known are finished, failed, stopped, running, unfinished; did"),
        ("seed == abc", "seed is a number, such as 0"),
        ("seed < finished", "seed is a number, such as 0"),
        ("loss.name < 3", "loss.name is a text, such as nt-xent"),
        ("loss.normalize == 1", "loss.normalize is a yes or no (true, false), such as true"),
        ("seed < null", "null can be equal or not"),
        ("seed", "column 1: seed is compared with nothing"),
        ("seed == 1 status == failed", "column 11: 'status' is not expected here"),
        ("seed ==", "column 8: a field or a value is expected here, not the end"),
        ("seed == and", "column 9: a field or a value is expected here, not 'and'"),
        ("(seed == 1", "the parenthesis at column 1 is not closed; found the end"),
        ("seed == 1)", "column 10: ')' is not expected here"),
        ("seed in 1", "what follows in stands in parentheses"),
        ("seed in (1", "the parenthesis after in is not closed"),
        ("seed in ()", "a field or a value is expected here, not ')'"),
        ("seed not 1", "not stands before a comparison"),
        ("loss.name == 'nt", 'column 14: "\'" has no end'),
        ("seed ! 1", "column 6: '!' is not expected here"),
        ("1 < 2", "column 1: 1 is compared with no field"),
        ("__import__('os').system('x') == 1", "__import__ is compared with nothing"),
        ("(" * 200 + "seed == 1" + ")" * 200, "more than 50 parts inside one another"),
        ("not " * 5000 + "seed == 1", "more than 50 parts inside one another"),
    ],
)
def test_a_wrong_expression_is_one_error_that_says_where(text: str, problem: str) -> None:
    with pytest.raises(QueryError) as caught:
        rows_where(ROWS, text)
    assert problem in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_all_unknown_fields_are_said_at_once() -> None:
    with pytest.raises(QueryError) as caught:
        rows_where(ROWS, "sed == 1 and statis == failed")
    assert [problem.partition("mean ")[2] for problem in caught.value.problems] == [
        "seed?",
        "status?",
    ]
    with pytest.raises(QueryError) as caught:
        check_fields(["linear_top", "seed", "x"], ROWS, "columns")
    assert caught.value.problems == [
        "columns: no run here has a field linear_top; did you mean linear_top1?",
        "columns: no run here has a field x",
    ]


def test_nothing_is_refused_where_there_is_no_run() -> None:
    assert rows_where([], "loss.temperature < 1") == []
    assert sorted_rows([], "linear_top1") == []
    with pytest.raises(QueryError):
        rows_where([], "loss.temperature <")


WORDS = [
    *("seed", "loss.temperature", "status", "ablation", "linear_top1", "augment.operations"),
    *("and", "or", "not", "in", "(", ")", ",", "<", "<=", "==", "!=", "null", "true", "x", "é"),
    *("0.1", "1", "1e999", "-3", "finished", "'crop'", '"', "'", "\\", "\x00"),
]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.text(), st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)))
def test_any_text_gives_rows_or_one_error(text: str) -> None:
    try:
        found = rows_where(ROWS, text)
    except QueryError as error:
        problems = error.problems
    else:
        problems = [""]
        assert [one for one in ROWS if one in found] == found
    assert problems
    assert all(problem.isprintable() for problem in problems)


NUMBERS = st.floats(allow_nan=False) | st.integers() | st.none()
COMPARED = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(NUMBERS),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([*COMPARED]),
)
def test_numbers_are_compared_as_python_does(
    values: list[float | None], limit: float, sign: str
) -> None:
    rows = [row(str(at), spec={"x.y": value}) for at, value in enumerate(values)]
    expected = [
        one
        for one, v in zip(rows, values, strict=True)
        if v is not None and COMPARED[sign](v, limit)
    ]
    assert rows_where(rows, f"x.y {sign} {limit!r}") == expected


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("linear_top1", "a2 a1 b3 b4"),
        ("linear_top1:asc", "a1 a2 b3 b4"),
        ("loss.temperature", "a1 a2 b3 b4"),
        ("loss.temperature:desc", "b3 a2 a1 b4"),
        ("status, seed:desc", "b3 a2 a1 b4"),
        ("started:desc", "a2 a1 b3 b4"),
        ("ablation", "a2 a1 b3 b4"),
    ],
)
def test_runs_are_sorted_and_those_without_a_value_come_last(keys: str, expected: str) -> None:
    assert names(sorted_rows(ROWS, keys)) == expected


def test_a_metric_of_which_less_is_better_begins_with_the_least() -> None:
    rows = [row(name, results={"test_error": value}) for name, value in [("a", 3), ("b", 2)]]
    assert names(sorted_rows(rows, "test_error", lower_is_better={"test_error"})) == "b a"


@pytest.mark.parametrize("keys", ["sed", "seed:down", "", "seed,,status"])
def test_sorting_by_what_there_is_not_is_refused(keys: str) -> None:
    with pytest.raises(QueryError, match="sort: "):
        sorted_rows(ROWS, keys)


def test_fields_are_the_rows_own_then_those_of_specifications_and_metrics() -> None:
    found = fields_of(ROWS)
    assert found[:3] == ["fingerprint", "name", "status"]
    assert found[-2:] == ["linear_top1", "loss"]
    assert "loss.temperature" in found
