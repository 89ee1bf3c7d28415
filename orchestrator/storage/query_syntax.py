"""The language of `--where`, from text to a tree: comparisons, and, or, not, in, parentheses.

    loss.temperature < 0.5 and status == finished and not ablation in (temperature, 'batch-size')

Nothing is evaluated by Python. Words are told from fields later, by who knows which there are.
"""

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["All", "Any", "Chain", "Node", "Not", "Operand", "Operator", "QuerySyntaxError", "read"]

DEEPEST = 50  # parentheses and negations inside one another

Operator = Literal["<", "<=", ">", ">=", "==", "!=", "in", "not in"]


@dataclass(frozen=True)
class Operand:
    """A word, a number or a text in quotes, and the column at which it begins, from 1.

    `value` is None for a word, which may be a field. `is_null` is the word `null`.
    """

    text: str
    column: int
    value: float | bool | str | None = None
    is_null: bool = False

    @property
    def is_word(self) -> bool:
        """True where it may be the name of a field."""
        return self.value is None and not self.is_null


@dataclass(frozen=True)
class Chain:
    """Comparisons side by side, `0.1 < loss.temperature <= 0.5`: all of them have to hold.

    What follows `in` are several operands, all others one.
    """

    first: Operand
    rest: tuple[tuple[Operator, tuple[Operand, ...]], ...]


@dataclass(frozen=True)
class Not:
    """The contrary of a part."""

    part: "Node"


@dataclass(frozen=True)
class All:
    """Parts that all have to hold."""

    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Any:
    """Parts of which one has to hold."""

    parts: tuple["Node", ...]


Node = Chain | Not | All | Any


class QuerySyntaxError(ValueError):
    """A text that is not of the language: what is wrong, and at which column, from 1."""

    def __init__(self, problem: str, column: int) -> None:
        super().__init__(problem, column)
        self.problem, self.column = problem, column


@dataclass(frozen=True)
class _Token:
    kind: Literal["word", "text", "operator", "mark", "end"]
    text: str
    column: int

    @property
    def shown(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)


_TOKENS = re.compile(
    r"""\s*(?:
        (?P<text> "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' )
      | (?P<operator> <=|>=|==|!=|=|<|> )
      | (?P<mark> [(),] )
      | (?P<word> [^\s()<>=!,'"]+ )
    )""",
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_KEYWORDS = ("and", "or", "not", "in")
_EXAMPLE = "loss.temperature < 0.5 and status == finished"


def read(text: str) -> Node:
    """Return the tree of a text. Raises QuerySyntaxError."""
    return _Parser(_tokens(text)).query()


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    end = len(text.rstrip())
    while at < end:
        found = _TOKENS.match(text, at)
        if found is None or found.lastgroup is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            why = "has no end" if text[at] in "\"'" else "is not expected here"
            raise QuerySyntaxError(f"{text[at]!r} {why}", at + 1)
        kind, at = found.lastgroup, found.end()
        tokens.append(_Token(kind, found[kind], found.start(kind) + 1))  # type: ignore[arg-type]
    return [*tokens, _Token("end", "", end + 1)]


class _Parser:
    """What is left of a text's tokens, read from left to right."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._left = tokens[::-1]
        self._depth = 0

    def query(self) -> Node:
        """Read all of it."""
        if len(self._left) == 1:
            raise QuerySyntaxError(f"is empty; write for example {_EXAMPLE}", 1)
        node = self._any()
        if len(self._left) > 1:
            raise QuerySyntaxError(
                f"{self._next.shown} is not expected here; join comparisons with and, or",
                self._next.column,
            )
        return node

    @property
    def _next(self) -> _Token:
        return self._left[-1]

    def _take(self) -> _Token:
        token = self._left[-1]
        if token.kind != "end":
            self._left.pop()
        return token

    def _is(self, *words: str) -> bool:
        return self._next.kind == "word" and self._next.text.lower() in words

    def _any(self) -> Node:
        parts = [self._all()]
        while self._is("or"):
            self._take()
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _all(self) -> Node:
        parts = [self._one()]
        while self._is("and"):
            self._take()
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self) -> Node:
        is_not, is_group = self._is("not"), self._next.text == "("
        if not (is_not or (is_group and self._next.kind == "mark")):
            return self._chain()
        self._depth += 1
        opened = self._take()
        if self._depth > DEEPEST:
            raise QuerySyntaxError(f"more than {DEEPEST} parts inside one another", opened.column)
        node: Node = Not(self._one()) if is_not else self._any()
        if not is_not:
            self._expect(")", f"the parenthesis at column {opened.column} is not closed")
        self._depth -= 1
        return node

    def _chain(self) -> Chain:
        first, rest = self._operand(), []
        while (compared := self._compared()) is not None:
            rest.append(compared)
        if not rest:
            raise QuerySyntaxError(
                f"{first.text} is compared with nothing, as in {_EXAMPLE}", first.column
            )
        return Chain(first, tuple(rest))

    def _compared(self) -> tuple[Operator, tuple[Operand, ...]] | None:
        if self._next.kind == "operator":
            sign = self._take().text
            operator: Operator = "==" if sign == "=" else sign  # type: ignore[assignment]
            return operator, (self._operand(),)
        if self._is("in"):
            self._take()
            return "in", self._operands()
        if self._is("not"):
            self._take()
            self._expect("in", "not stands before a comparison, or before in")
            return "not in", self._operands()
        return None

    def _operands(self) -> tuple[Operand, ...]:
        self._expect("(", "what follows in stands in parentheses: in (a, b)")
        found = [self._operand()]
        while self._next.text == "," and self._next.kind == "mark":
            self._take()
            found.append(self._operand())
        self._expect(")", "the parenthesis after in is not closed")
        return tuple(found)

    def _operand(self) -> Operand:
        token = self._take()
        if token.kind == "text":
            return Operand(token.text, token.column, re.sub(r"\\(.)", r"\1", token.text[1:-1]))
        if token.kind != "word" or token.text.lower() in _KEYWORDS:
            raise QuerySyntaxError(
                f"a field or a value is expected here, not {token.shown}", token.column
            )
        if token.text == "null":
            return Operand(token.text, token.column, is_null=True)
        if token.text in ("true", "false"):
            return Operand(token.text, token.column, token.text == "true")
        if _NUMBER.fullmatch(token.text):
            return Operand(token.text, token.column, float(token.text))
        return Operand(token.text, token.column)

    def _expect(self, text: str, problem: str) -> None:
        token = self._take()
        if token.text.lower() != text or token.kind == "text":
            raise QuerySyntaxError(f"{problem}; found {token.shown}", token.column)
