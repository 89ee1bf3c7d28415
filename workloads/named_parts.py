"""Several parts of a kind in one field, each with options and code by a word of its name."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from workloads.parts import (
    Kind,
    OwnPart,
    find,
    name_problem,
    option_name,
    plain_options,
    read_options,
)
from workloads.spec import SpecError

__all__ = ["check_names", "find_named", "pinned_named"]


def check_names(
    kind: Kind,
    field: str,
    names: Sequence[str],
    code: Collection[str],
    built_in: Collection[str] = (),
) -> None:
    """Raise ValueError for a name that can be no part, and for two with one word for both.

    Of a word with `code` the part was found once; whoever reads results of it need not have it.
    """
    words = [option_name(name) for name in names]
    for name, word in zip(names, words, strict=True):
        problem = None if word in code else name_problem(kind, field, name, built_in)
        if problem is None and words.count(word) > 1:
            problem = f"{field}={name!r}: another one has the name {word}, too"
        if problem:
            raise ValueError(problem)


def find_named(
    kind: Kind, field: str, name: str, options: Mapping[str, Any], code: Mapping[str, str]
) -> tuple[OwnPart, BaseModel]:
    """Find one of several parts that a field names, and read its options.

    `options` and `code` of all of them are by the word for each, options in the field beside the
    names'. Raises SpecError with every problem.
    """
    word = option_name(name)
    of_options = f"{field.rpartition('.')[0]}.options.{word}"
    part = find(kind, field, name, code.get(word))
    given = options.get(word, {})
    if not isinstance(given, Mapping):
        raise SpecError([f"{of_options}={given!r}: is to be a mapping from names to values"])
    return part, read_options(part, of_options, given)


def pinned_named(
    kind: Kind,
    field: str,
    names: Sequence[str],
    options: Mapping[str, Any],
    code: Mapping[str, str],
) -> dict[str, dict[str, Any]]:
    """Return `options`, with defaults, and `code` of several parts that a field names.

    Raises SpecError with the problems of all; a code other than was pinned is one.
    """
    all_options, all_code, problems = dict(options), dict[str, Any](code), list[str]()
    for name in names:
        word = option_name(name)
        try:
            part, read = find_named(kind, field, name, options, code)
        except SpecError as error:
            problems += error.problems
            continue
        all_options[word] = plain_options(options.get(word, {}), read)
        all_code[word] = part.code
    if problems:
        raise SpecError(problems)
    return {"options": all_options, "code": all_code}
