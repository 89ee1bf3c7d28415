"""Seconds: what README, CONTRIBUTING and docs/ name is there: files, commands, fields."""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from orchestrator.cli import app
from orchestrator.commands.search import SEARCH
from orchestrator.questions.file import is_file
from orchestrator.settings import PREFIX, Settings
from search_spaces import ABLATIONS
from workloads.__main__ import parser
from workloads.catalog import every_preset
from workloads.datasets.spec import DataSpec

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PACKAGES = ("orchestrator", "search_spaces", "workloads")
FOLDERS = (*PACKAGES, "tests", "benchmarks", "clusters", "docs")
OPTIONS_OF_OTHERS = {"--build-arg", "--restart"}  # of docker build and ray up
# What the command line says of wrong words: click's own, or the copy that newer Typers carry.
UsageError: Any = typer.BadParameter.__base__

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
FIELD = re.compile(r"(?:data|augment|encoder|head|loss|optim|schedule|eval)\.[\w.]+")
# What stands for a reader's own name is in capitals: FOLDER, RUN, search_spaces/.../NAME.py.
OWN_QUESTIONS = {"sharp-heads"}  # of files that a page shows
# Pages that are made when the site is built; tests/test_site.py makes them.
GENERATED = {
    ROOT / "docs" / "reference" / f"{name}.md"
    for name in ("commands", "fields", "presets", "ablations", "metrics")
}
PLACEHOLDER = re.compile(r"\b[A-Z][A-Z_0-9]+\b")


def problems_in(text: str, folder: Path = ROOT) -> list[str]:
    """Everything that a page in `folder` names and that is not there."""
    fenced = [(kind, block) for kind, block in FENCED.findall(text)]
    prose = FENCED.sub("", text)
    inline = INLINE.findall(prose)
    return [
        *dead_links(prose, folder),
        *(problem for code in inline for problem in problems_of_code(code, whole=False)),
        *(
            problem
            for kind, block in fenced
            for problem in (
                problems_of_python(block) if kind == "python" else problems_of_block(block)
            )
        ),
    ]


def dead_links(prose: str, folder: Path) -> Iterator[str]:
    for link in LINK.findall(INLINE.sub("", prose)):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (folder / path).resolve() if path else None
        if target is not None and target in GENERATED:
            continue
        if target is not None and not target.exists():
            yield f"{link}: no such file"
        elif anchor and anchor not in anchors(target.read_text() if target else prose):
            yield f"{link}: no such heading"


def anchors(text: str) -> set[str]:
    """The names of headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def problems_of_block(block: str) -> Iterator[str]:
    for line in block.replace("\\\n", " ").splitlines():
        yield from problems_of_code(line, whole=True)


def problems_of_code(code: str, *, whole: bool) -> Iterator[str]:
    """`whole`: of a line to be typed, which has all arguments that its command needs."""
    try:
        words = shlex.split(code, comments=True)
    except ValueError:  # an apostrophe of prose, or a quote that ends on another line
        words = code.split()
    for position, word in enumerate(words):
        before = words[position - 1] if position else "="
        # at the beginning, after VARIABLE=value, and in the image; elsewhere the name of something
        if word in ("simclr-orch", ".venv/bin/simclr-orch") and re.search(
            "=|/simclr-orch:", before
        ):
            yield from problems_of_command(words[position + 1 :], whole=whole)
        elif word == "make" and position == 0 and len(words) > 1:
            yield from problems_of_make(words[1])
        yield from problems_of_name(word)
    if not whole and words and words[0].startswith("--"):
        option = words[0].partition("=")[0]
        if option not in {*every_option(), *OPTIONS_OF_OTHERS}:
            yield f"{option}: no command has this option"


def problems_of_name(word: str) -> Iterator[str]:
    """Of a path, a module, a field or a variable that stands alone."""
    if PLACEHOLDER.search(word.removeprefix(PREFIX)) and not word.startswith(PREFIX):
        return
    path = word.strip(",;:()").partition("::")[0]
    if re.match(rf"(?:{'|'.join(FOLDERS)})/[\w./*-]*$", path):
        if not list(ROOT.glob(path)):
            yield f"{path}: no such file or folder"
    elif re.fullmatch(r"\w+\.py", path):
        if not any(at for folder in FOLDERS for at in (ROOT / folder).rglob(path)):
            yield f"{path}: no such file"
    elif re.match(rf"(?:{'|'.join(PACKAGES)})\.[\w.]+$", path):
        yield from problems_of_module(path)
    elif match := re.match(rf"({FIELD.pattern})(=.*)?$", path):
        if not is_field(match[1]) and not match[1].endswith(".py"):
            yield f"{match[1]}: no specification has this field"
    elif (match := re.match(rf"({PREFIX}\w+)(=.*)?$", path)) and match[1] not in variables():
        yield f"{match[1]}: nothing reads this variable"


def problems_of_module(name: str) -> Iterator[str]:
    """A module, or a name that one has."""
    module, _, attribute = name.rpartition(".")
    if name.partition(".")[0] in PACKAGES and source_of(name) is None:
        source = source_of(module)
        if source is None or not re.search(rf"\b{re.escape(attribute)}\b", source.read_text()):
            yield f"{name}: no such module"


def source_of(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    return next((at for at in (path.with_suffix(".py"), path / "__init__.py") if at.exists()), None)


def problems_of_make(target: str) -> Iterator[str]:
    if not re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.MULTILINE):
        yield f"make {target}: no such target"


def problems_of_python(block: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield from problems_of_module(f"{node.module}.{alias.name}")


def problems_of_command(words: list[str], *, whole: bool) -> Iterator[str]:
    """Of the words after `simclr-orch`: read as the command line reads them, and not run."""
    words = words[: next((n for n, word in enumerate(words) if word in (">", "&", "|")), None)]
    said = shlex.join(["simclr-orch", *words])
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        if not words or words == ["--help"] or words[0] == "COMMAND":
            return
        if any(words[0] in parameter.opts for parameter in command.params):  # of the whole program
            return
        name, *words = words
        if name not in command.commands:
            yield f"{said}: there is no command {name!r}"
            return
        command = command.commands[name]
    if "--help" in words:
        return
    try:
        given = command.make_context(command.name, list(words)).params
    except UsageError as error:
        message = error.format_message()
        if whole or not message.startswith("Missing "):
            yield f"{said}: {message}"
        return
    yield from problems_of_values(said, command.name, given)


OTHERS = {"report": (SEARCH,)}  # what is no ablation, and yet is taken by a command


def problems_of_values(said: str, command: str, given: dict[str, Any]) -> Iterator[str]:
    names = given.get("names", given.get("name"))
    if command in ("ablate", "report", "verdicts"):
        for name in [names] if isinstance(names, str) else list(names or ()):
            if name.endswith(".json"):  # a report's file
                yield from problems_of_name(name)
            elif is_file(name):
                continue  # of a reader's own, as those pages show whose tests read them
            elif name not in {*ABLATIONS, *OWN_QUESTIONS, "all", *OTHERS.get(command, ())} and (
                not PLACEHOLDER.fullmatch(name)
            ):
                yield f"{said}: there is no ablation {name!r}"
    presets = [given.get("preset"), names if command == "presets" else None]
    for preset in filter(None, presets):
        if preset not in every_preset() and not PLACEHOLDER.fullmatch(str(preset)):
            yield f"{said}: there is no preset {preset!r}"
    for assignment in [*(given.get("assignments") or ()), *(given.get("search") or ())]:
        field = assignment.partition("=")[0]
        if not is_field(field) and not PLACEHOLDER.fullmatch(field):
            yield f"{said}: no specification has the field {field!r}"


@cache
def fields() -> frozenset[str]:
    """Dotted fields of the specifications, and the groups that they are in."""
    paths = {path for build in every_preset().values() for path in build().flat()}
    groups = {path.rsplit(".", n)[0] for path in paths for n in range(1, path.count(".") + 1)}
    return frozenset(paths | groups)


def is_field(path: str) -> bool:
    """Whether a specification has a field, or a part of its own whose options may be so named."""
    of_own = re.fullmatch(r"([\w.]+)\.(?:code|options(?:\.\w+){0,2})", path)
    return path in fields() or (of_own is not None and of_own[1] in WITH_OWN_PARTS)


WITH_OWN_PARTS = (
    *("encoder", "loss", "optim", "data", "eval.transfer.data", "augment", "eval.metrics"),
)


@cache
def every_option() -> frozenset[str]:
    """Of all commands."""

    def options(command: Any) -> Iterator[str]:
        for parameter in command.params:
            yield from (*parameter.opts, *parameter.secondary_opts)
        for inner in getattr(command, "commands", {}).values():
            yield from options(inner)

    return frozenset(options(typer.main.get_command(app))) | {"--help", *options_without_ray()}


def options_without_ray() -> Iterator[str]:
    """Those of `python -m workloads run`."""
    (commands,) = (each for each in parser()._actions if isinstance(each.choices, dict))
    for command in commands.choices.values():
        yield from (option for action in command._actions for option in action.option_strings)


@cache
def variables() -> frozenset[str]:
    """Of the environment: settings, and what a source file spells out."""
    sources = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    spelled = {name for path in sources for name in re.findall(rf"{PREFIX}\w+", path.read_text())}
    return frozenset(spelled | {PREFIX + name.upper() for name in Settings.model_fields})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_what_a_page_names_is_there(page: Path) -> None:
    assert problems_in(page.read_text(), page.parent) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[x](docs/nowhere.md)", "docs/nowhere.md: no such file"),
        ("[x](README.md#no-such-words)", "README.md#no-such-words: no such heading"),
        ("[x](#below)\n# Above", "#below: no such heading"),
        ("see `orchestrator/plan.py`", "orchestrator/plan.py: no such file or folder"),
        ("see `nothing.py`", "nothing.py: no such file"),
        ("```\npytest tests/test_nothing.py\n```", "tests/test_nothing.py: no such file or folder"),
        ("`python -m workloads.nothing`", "workloads.nothing: no such module"),
        ("`orchestrator.plan.nothing`", "orchestrator.plan.nothing: no such module"),
        ("`make nothing`", "make nothing: no such target"),
        ("`loss.temprature=0.1`", "loss.temprature: no specification has this field"),
        ("`SIMCLR_ORCH_NOTHING`", "SIMCLR_ORCH_NOTHING: nothing reads this variable"),
        ("`--max-retries`", "--max-retries: no command has this option"),
        ("`simclr-orch abate x`", "there is no command 'abate'"),
        ("`simclr-orch cluster nothing`", "there is no command 'nothing'"),
        ("`simclr-orch ablate temprature`", "there is no ablation 'temprature'"),
        ("```\nsimclr-orch report heads\n```", "there is no ablation 'heads'"),
        ("`simclr-orch ablate head --preset shpaes`", "there is no preset 'shpaes'"),
        ("`simclr-orch presets shpaes > x.yaml`", "there is no preset 'shpaes'"),
        ("`simclr-orch ablate head --set a.b=1`", "no specification has the field 'a.b'"),
        ("```\nsimclr-orch ablate head \\\n  --sets a=1\n```", "No such option"),
        ("```\nsimclr-orch evaluate\n```", "Missing argument"),
        ("```python\nfrom workloads.spec import Nothing\n```", "workloads.spec.Nothing: no such"),
    ],
)
def test_a_wrong_name_is_found(text: str, problem: str) -> None:
    assert [problem in found for found in problems_in(text)] == [True]


def test_the_index_of_the_docs_has_every_page_and_notebook() -> None:
    docs = ROOT / "docs"
    index = (docs / "README.md").read_text()
    pages = {path.name for path in docs.glob("*.md")} - {"README.md"}
    pages |= {f"how-to/{path.name}" for path in (docs / "how-to").glob("*.md")}
    pages |= {f"notebooks/{path.name}" for path in (docs / "notebooks").glob("*.ipynb")}
    assert {page for page in pages if f"({page})" not in index} == set()


def test_the_table_of_ablations_is_complete_and_counts_its_cells() -> None:
    rows = re.findall(r"^\| (`.*)$", (ROOT / "docs" / "ablations.md").read_text(), re.MULTILINE)
    named = [name for row in rows for name in INLINE.findall(row.split("|")[0])]
    assert sorted(named) == sorted(ABLATIONS)
    for row in rows:
        first, *_, last = [column.strip() for column in row.strip("| ").split("|")]
        if re.fullmatch(r"\d+ / \d+", last):
            ablation = ABLATIONS[first.strip("`")]
            assert last == f"{len(ablation.paper.cells)} / {len(ablation.small.cells)}", first


def recipe(heading: str) -> dict[str, Any]:
    """What the module that a recipe shows defines."""
    _, section = (ROOT / "CONTRIBUTING.md").read_text().split(f"\n## {heading}\n", 1)
    names: dict[str, Any] = {}
    exec(next(block for kind, block in FENCED.findall(section) if kind == "python"), names)
    return names


def test_the_recipe_for_an_ablation_makes_one_that_a_preset_can_run() -> None:
    ablation, base = recipe("A new ablation")["GREY_VIEWS"], every_preset()["shapes"]()
    runs = {base.with_values(point).fingerprint() for point in ablation.points("small")}
    assert len(runs) == len(ablation.small.cells) == 3


def test_the_recipe_for_a_workload_continues_where_it_stopped() -> None:
    shown = recipe("A new workload")
    specs = [shown["CoinSpec"](flips=flips) for flips in (10, 1000)]
    whole = list(shown["train_together"](specs, None))
    continued = list(shown["train_together"](specs, whole[0].state))
    assert [one.ended for one in continued] == [one.ended for one in whole]
    assert whole[1].ended[1].results["heads"] == pytest.approx(0.5, abs=0.1)


def test_the_recipe_for_a_data_set_makes_one(tmp_path: Path) -> None:
    labels = recipe("A new data set")["source"](DataSpec(image_size=16)).decode(tmp_path)
    for part, of in (("train", labels.train), ("test", labels.test)):
        images = np.load(tmp_path / f"{part}.npy")
        assert images.shape == (len(of), 3, 16, 16)
        rows, columns = (images[:, 0].mean(axis=axis).var(axis=1) for axis in (2, 1))
        assert np.array_equal(rows > columns, of == labels.classes.index("lying"))
