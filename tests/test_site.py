"""Seconds: the site builds without a warning, leads nowhere dead, and fetches nothing."""

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest
import typer

from orchestrator.cli import app
from search_spaces import ABLATIONS
from workloads.catalog import every_preset, every_workload

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# Reports are reached from the page of results, and docs/README.md is for who reads the repository.
NOT_IN_NAVIGATION = ("results/*/report.md", "README.md")


@pytest.fixture(scope="module")
def reference() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs" / "site"))
        yield importlib.import_module("reference")


class Page(HTMLParser):
    """What a page leads to, what it loads, and the names of its places."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.names |= {found[key] or "" for key in ("id", "name") if key in found}
        if tag == "a" and found.get("href"):
            self.links.append(str(found["href"]))
        if tag in ("script", "img", "source", "iframe") and found.get("src"):
            self.loads.append(str(found["src"]))
        if tag == "link" and found.get("rel") not in ("canonical", "prev", "next"):
            self.loads.append(str(found.get("href")))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """Every page of the site, built as `make docs` does it."""
    pytest.importorskip("material", reason="mkdocs-material is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        from mkdocs.commands.build import build
        from mkdocs.config import load_config

        folder = tmp_path_factory.mktemp("site").resolve()
        config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder))
        assert config.strict
        patch.setattr(sys, "path", list(sys.path))
        config.plugins.on_startup(command="build", dirty=False)
        try:
            build(config)
        finally:
            config.plugins.on_shutdown()
    return {path: Page(path.read_text()) for path in folder.rglob("*.html")}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_link_of_the_site_is_dead_and_nothing_is_fetched(pages: dict[Path, Page]) -> None:
    assert len(pages) > 40
    dead = []
    for path, page in pages.items():
        if path.name == "404.html":  # addressed from the root of whatever serves it
            continue
        for link in [*page.links, *page.loads]:
            address, anchor = urldefrag(link)
            if re.match(r"(https?|mailto|data):", address):
                if link in page.loads and not address.startswith("data:"):
                    dead.append(f"{path.name} fetches {address}")
                continue
            target = (path.parent / unquote(address)).resolve() if address else path
            target = target / "index.html" if target.is_dir() else target
            known = pages[target].names if target in pages else set()
            if not target.exists() or (anchor and target in pages and unquote(anchor) not in known):
                dead.append(f"{path.name}: {link}")
    assert dead == []


def test_every_page_is_reached_from_the_navigation(pages: dict[Path, Page]) -> None:
    (start,) = (path for path in pages if path.parent == site_of(pages) and path.stem == "index")
    reached = {(start.parent / urldefrag(link)[0]).resolve() for link in pages[start].links}
    there = {path.relative_to(DOCS) for path in DOCS.rglob("*.md")}
    there = {path for path in there if not any(path.match(one) for one in NOT_IN_NAVIGATION)}
    there |= {path.relative_to(DOCS) for path in DOCS.glob("results/**/README.md")}
    built = {path.with_suffix(".html") for path in there if path.name != "README.md"}
    built |= {path.with_name("index.html") for path in there if path.name == "README.md"}
    assert {path for path in built if start.parent / path not in reached} == set()


def site_of(pages: dict[Path, Page]) -> Path:
    """The folder of the whole site."""
    return min((path.parent for path in pages), key=lambda path: len(path.parts))


def test_the_reference_has_every_field_metric_and_preset(reference: ModuleType) -> None:
    fields, metrics, presets = reference.fields(), reference.metrics(), reference.presets()
    for workload in every_workload():
        for build in workload.presets.values():
            assert [one for one in build().flat() if f"| `{one}` |" not in fields] == []
        assert [one for one in workload.quantities if f"| `{one}` |" not in metrics] == []
    assert [one for one in every_preset() if f"### `{one}`\n" not in presets] == []


def test_the_reference_has_every_ablation_with_its_claims(reference: ModuleType) -> None:
    page = reference.ablations()
    assert [name for name in ABLATIONS if f"## {name}\n" not in page] == []
    claims = (claim.statement for one in ABLATIONS.values() for claim in one.claims)
    assert [claim for claim in claims if claim not in page] == []


def test_the_reference_has_every_command_with_its_options(reference: ModuleType) -> None:
    page = reference.commands()
    for name, command in commands(typer.main.get_command(app)):
        section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        options = {one for each in command.params for one in each.opts if one.startswith("--")}
        assert {one for one in options if one not in section} <= {"--help"}, name


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        elif not command.hidden:
            yield f"{before}{name}", command


def test_a_field_says_its_choices_and_the_presets_that_differ(reference: ModuleType) -> None:
    (row,) = re.findall(r"^\| `loss\.temperature` .*$", reference.fields(), re.MULTILINE)
    assert "| `0.1` | number, above 0" in row
    assert "`0.2`: shapes" in row
    (row,) = re.findall(r"^\| `loss\.negatives` .*$", reference.fields(), re.MULTILINE)
    assert "`both`, `cross`" in row


MESSAGE = re.compile(r"^\| (`+)(.+?)\1 \|", re.MULTILINE)


def messages() -> list[str]:
    return [text for _, text in MESSAGE.findall((DOCS / "troubleshooting.md").read_text())]


@cache
def spelled() -> tuple[str, ...]:
    """Every text that the code spells out, with an ellipsis for what is filled in."""
    found = []
    for package in ("orchestrator", "workloads", "search_spaces"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    found.append(
                        "".join(
                            str(part.value) if isinstance(part, ast.Constant) else "…"
                            for part in node.values
                        )
                    )
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return tuple(found)


@pytest.mark.parametrize("message", messages())
def test_a_message_that_is_explained_is_one_that_the_code_has(message: str) -> None:
    pattern = ".*".join(re.escape(part) for part in message.split("…") if part.strip())
    assert any(re.search(pattern, text, re.DOTALL) for text in spelled()), message


def test_a_message_that_no_code_has_is_found() -> None:
    assert len(messages()) > 20
    assert not any("must lie between 1 and the moon" in text for text in spelled())
