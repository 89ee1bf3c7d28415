"""What MkDocs calls while it builds the site: generated pages, and links that leave `docs/`.

A page of `docs/` links to the repository's other files as it does where the repository is read.
Such a file travels along: a page of Markdown as a page, everything else as a file in the site.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

sys.path.insert(0, str(Path(__file__).parent))
from headings import slug
from reference import generated_pages

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<=\]\()([^)\s:#]+)((?:#[^)\s]*)?)(?=\))")
CODE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
# What the repository keeps for who reads it there, by what the site has for it.
INSTEAD = {
    "README.md": "index.md",
    "docs/README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
}
PAGES_OF_THE_ROOT = ("CONTRIBUTING.md", "CHANGELOG.md")


def on_config(config: Any) -> Any:
    """Name headings as where the repository is read, and place pages that the file has not placed.

    So a link works in both places, and a page that is added to `docs/` is among the guides.
    """
    config["mdx_configs"].setdefault("toc", {})["slugify"] = slug
    listed = set(re.findall(r"[\w./-]+\.md", str(config["nav"])))
    there = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    guides = next(part["Guides"] for part in config["nav"] if "Guides" in part)
    guides.extend(sorted(there - listed))
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages, and the files outside `docs/` that pages link to."""
    for name, text in generated_pages().items():
        files.append(File.generated(config, name, content=text))
    for name in PAGES_OF_THE_ROOT:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    waiting = [file for file in files if file.is_documentation_page() and not _is_generated(file)]
    while waiting:
        page = waiting.pop()
        for target in _targets_outside(page):
            name = f"repository/{target}"
            if files.get_file_from_path(name) is None:
                added = File.generated(
                    config,
                    name,
                    abs_src_path=str(ROOT / target),
                    inclusion=InclusionLevel.NOT_IN_NAV,
                )
                files.append(added)
                if added.is_documentation_page():
                    waiting.append(added)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Lead links that leave `docs/` to where their files lie in the site."""
    here = page.file
    if _is_generated(here) or config is None or files is None:
        return markdown
    home = _home(here)

    def led(found: re.Match[str]) -> str:
        target = _target(home, found[1])
        if target is None:
            return found[0]
        return f"{relpath(target, PurePosixPath(here.src_uri).parent)}{found[2]}"

    return _outside_of_code(markdown, led)


def _outside_of_code(markdown: str, led: Any) -> str:
    parts, end = [], 0
    for block in CODE.finditer(markdown):
        parts += [LINK.sub(led, markdown[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*parts, LINK.sub(led, markdown[end:])])


def _is_generated(file: File) -> bool:
    return file.abs_src_path is None


def _home(file: File) -> str:
    """The folder of a page in the repository."""
    path = Path(str(file.abs_src_path)).resolve().relative_to(ROOT)
    return path.parent.as_posix()


def _target(home: str, link: str) -> str | None:
    """Where a link of a page in `home` leads within the site, if not as it stands."""
    target = normpath(f"{home}/{link}")
    if target in INSTEAD:
        return INSTEAD[target]
    if target.startswith("docs/"):
        inside = target.removeprefix("docs/")
        return None if home == "docs" or home.startswith("docs/") else inside
    return f"repository/{target}" if (ROOT / target).is_file() else None


def _targets_outside(page: File) -> Iterator[str]:
    text = CODE.sub("", Path(str(page.abs_src_path)).read_text())
    for link, _ in LINK.findall(text):
        target = _target(_home(page), link)
        if target is not None and target.startswith("repository/"):
            yield target.removeprefix("repository/")
