"""Which runs are meant, and in which order: `--where` and `--sort` over rows."""

import operator
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, get_args

from orchestrator.errors import QueryError
from orchestrator.storage import query_syntax as syntax
from orchestrator.storage.rows import OWN_FIELDS, RowStatus, RunRow
from workloads.spelling import nearest

__all__ = ["check_fields", "fields_of", "newest_first", "rows_where", "sorted_rows"]

Test = Callable[[RunRow], bool]
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# Fingerprints are given by their beginnings everywhere.
_BY_BEGINNING = ("fingerprint", "trained_by")
_CHOICES: dict[str, tuple[str, ...]] = {"status": get_args(RowStatus)}


def fields_of(rows: Iterable[RunRow]) -> list[str]:
    """List what can be asked of rows: their own fields, those of specifications, and metrics."""
    spec, metrics = dict.fromkeys(OWN_FIELDS), dict[str, None]()
    for row in rows:
        for name in row.spec.keys() - spec.keys():
            spec[name] = None
        for values in (row.results, row.logged):
            for name in values.keys() - metrics.keys():
                metrics[name] = None
    own = len(OWN_FIELDS)
    names = list(spec)
    return [*names[:own], *sorted(names[own:]), *sorted(metrics.keys() - spec.keys())]


def check_fields(names: Iterable[str], rows: Sequence[RunRow], option: str) -> None:
    """Raise QueryError that names every field that no row has, and those that it could mean.

    Of no rows at all nothing is known, and nothing refused.
    """
    known = fields_of(rows)
    unknown = [name for name in names if name not in known]
    if unknown and rows:
        raise QueryError([f"{option}: {_unknown(name, known)}" for name in unknown])


def rows_where(rows: Sequence[RunRow], text: str) -> list[RunRow]:
    """Return the rows that an expression holds for, in their order.

    A comparison with a value that a run does not have does not hold, whatever it is, but for those
    with `null`. Raises one QueryError, which says what is wrong and where.
    """
    try:
        tree = syntax.read(text)
    except syntax.QuerySyntaxError as error:
        problem = f"{_cut(text)}: column {error.column}: {error.problem}"
        raise QueryError([_printable(problem)]) from None
    binder = _Binder(rows)
    test = binder.test(tree)
    if binder.problems and rows:
        raise QueryError([_printable(problem) for problem in dict.fromkeys(binder.problems)])
    return [row for row in rows if test(row)]


def sorted_rows(
    rows: Sequence[RunRow], keys: str, *, lower_is_better: Collection[str] = ()
) -> list[RunRow]:
    """Sort rows by fields, `linear_top1,seed:desc`; those without a value come last.

    Metrics begin with the best, which is the largest unless named in `lower_is_better`, all else
    with the smallest, unless `:asc` or `:desc` says otherwise. Raises QueryError.
    """
    wanted = [key.strip().partition(":")[::2] for key in keys.split(",")]
    if odd := [way for _, way in wanted if way not in ("", "asc", "desc")]:
        raise QueryError([f"sort: {odd[0]!r} is no direction; known are asc, desc"])
    check_fields((name for name, _ in wanted), rows, "sort")

    of_metrics = {name for row in rows for name in row.results.keys() | row.logged.keys()}
    ordered = list(rows)
    for name, way in reversed(wanted):
        is_metric = name in of_metrics and name not in OWN_FIELDS and "." not in name
        falls = way == "desc" or (not way and is_metric and name not in lower_is_better)
        ordered = _sorted_by(ordered, name, falls=falls)
    return ordered


def newest_first(rows: Sequence[RunRow]) -> list[RunRow]:
    """Sort rows by when they ended, or else began: what runs now comes first, the undated last."""

    def key(row: RunRow) -> tuple[bool, str]:
        return row.status == "running", row.ended or row.started or ""

    return sorted(rows, key=key, reverse=True)


def _sorted_by(rows: list[RunRow], name: str, *, falls: bool) -> list[RunRow]:
    there, missing = list[tuple[Any, RunRow]](), list[RunRow]()
    for row in rows:
        value = row.value(name)
        if value is None or value == []:
            missing.append(row)
        else:
            there.append((_rank(value), row))
    there.sort(key=lambda pair: pair[0], reverse=falls)
    return [*(row for _, row in there), *missing]


def _rank(value: Any) -> tuple[int, Any]:
    """Order values of different kinds: numbers, texts, and what is neither as the text of it."""
    if isinstance(value, int | float):
        return (0, value)
    if isinstance(value, list | tuple):
        return (1, ", ".join(map(str, value)))
    return (1, str(value))


@dataclass
class _Binder:
    """From a tree to a test of rows; what is wrong with it is collected."""

    rows: Sequence[RunRow]
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._known = fields_of(self.rows)
        self._fields = {*self._known}

    def test(self, node: syntax.Node) -> Test:
        """Return the test that a part stands for."""
        match node:
            case syntax.Not(part):
                inner = self.test(part)
                return lambda row: not inner(row)
            case syntax.All(parts):
                tests = [self.test(part) for part in parts]
                return lambda row: all(one(row) for one in tests)
            case syntax.Any(parts):
                tests = [self.test(part) for part in parts]
                return lambda row: any(one(row) for one in tests)
            case syntax.Chain(first, rest):
                operands = ((first,), *(others for _, others in rest))
                tests = [
                    self._comparison(left[0], sign, right)
                    for (left, right), (sign, _) in zip(pairwise(operands), rest, strict=True)
                ]
                return tests[0] if len(tests) == 1 else lambda row: all(one(row) for one in tests)

    def _comparison(
        self, left: syntax.Operand, sign: syntax.Operator, right: Sequence[syntax.Operand]
    ) -> Test:
        if not self._is_field(left):
            mirrored = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(sign, sign)
            if len(right) == 1 and self._is_field(right[0]):
                return self._comparison(right[0], mirrored, (left,))  # type: ignore[arg-type]
            word = next((one for one in (left, *right) if one.is_word), None)
            self.problems.append(
                _unknown(word.text, self._known)
                if word
                else f"column {left.column}: {left.text} is compared with no field"
            )
            return lambda _: False

        name = left.text
        if len(right) == 1 and self._is_field(right[0]):
            return _of_two_fields(name, sign, right[0].text)
        for one in right:
            if problem := self._problem_with(name, sign, one):
                self.problems.append(problem)
        return _of_values(name, sign, right)

    def _is_field(self, operand: syntax.Operand) -> bool:
        return operand.is_word and operand.text in self._fields

    def _problem_with(
        self, name: str, sign: syntax.Operator, operand: syntax.Operand
    ) -> str | None:
        """Say why a comparison could hold for no run, whatever its values are."""
        if operand.is_null:
            return f"{name} {sign} null: null can be equal or not" if sign in _ORDER else None
        text = _text(operand)
        if (choices := _CHOICES.get(name)) and sign not in _ORDER and text not in choices:
            return f"{name} {sign} {text}: known are {', '.join(choices)}{_hint(text, choices)}"
        kinds: dict[str, Any] = {}
        for row in self.rows:
            for value in _each(row.value(name)):
                kinds.setdefault(_kind(value), value)
        wanted = _kind(text if operand.is_word else operand.value)
        fits = wanted in kinds or not kinds or ("text" in kinds and sign not in _ORDER)
        if fits:
            return None
        kind, example = next(iter(kinds.items()))
        return f"{name} {sign} {operand.text}: {name} is a {kind}, such as {_plain(example)}"


def _of_two_fields(name: str, sign: syntax.Operator, other: str) -> Test:
    def test(row: RunRow) -> bool:
        one, two = row.value(name), row.value(other)
        if one is None or two is None:
            return False
        if sign in _ORDER:
            return _kind(one) == _kind(two) and bool(_ORDER[sign](one, two))
        return bool(one == two) == (sign in ("==", "in"))

    return test


def _of_values(name: str, sign: syntax.Operator, operands: Sequence[syntax.Operand]) -> Test:
    if sign in _ORDER:
        compare, bound = _ORDER[sign], operands[0]
        limit = bound.text if bound.is_word else bound.value
        kind = _kind(limit)
        return lambda row: any(
            _kind(value) == kind and compare(value, limit) for value in _each(row.value(name))
        )

    wanted = sign in ("==", "in")
    null = any(operand.is_null for operand in operands)
    matches = [_equal_to(operand, name) for operand in operands if not operand.is_null]

    def test(row: RunRow) -> bool:
        values = _each(row.value(name))
        if not values:
            return null == wanted if null else False
        return any(match(value) for value in values for match in matches) == wanted

    return test


def _equal_to(operand: syntax.Operand, name: str) -> Callable[[Any], bool]:
    text, number = _text(operand), operand.value
    if name in _BY_BEGINNING:
        return lambda value: bool(text) and str(value).startswith(text)

    def equal(value: Any) -> bool:
        if isinstance(value, str):
            return value == text
        return _kind(value) == _kind(number) and bool(value == number)

    return equal


def _text(operand: syntax.Operand) -> str:
    return operand.value if isinstance(operand.value, str) else operand.text


def _each(value: Any) -> Sequence[Any]:
    """Return the elements of a list, and any other value as the only one; none where it is None."""
    if isinstance(value, list | tuple):
        return value
    return () if value is None else (value,)


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "yes or no (true, false)"
        case int() | float():
            return "number"
        case str():
            return "text"
    return "list"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _unknown(name: str, known: Sequence[str]) -> str:
    return f"no run here has a field {_cut(name)}{_hint(name, known)}"


def _hint(name: str, known: Sequence[str]) -> str:
    """Ask whether something known was meant, also by the last part of a dotted name."""
    close = nearest(name, known)
    near = [close] if close else [one for one in known if one.rpartition(".")[2] == name][:3]
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
