"""Where the source of a part lies: imported once asked for, and known by a digest.

A module is looked for as Python does, and last in the working directory. The digest is of all `.py`
files of the module's top-level package, by their place in it, or of the one file of a module that
lies in no package; line ends do not count. What is imported beside that has no part in it.
"""

import hashlib
import importlib
import re
import sys
import traceback
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from workloads.spec import SpecError

__all__ = ["Source", "distribution_of", "local_modules", "modules_named", "source_of"]


@dataclass(frozen=True)
class Source:
    """A module, its file, and the digest of its source as it was imported."""

    module: ModuleType
    file: str
    digest: str


_known: dict[str, str] = {}  # the digests of sources as they were imported


def source_of(name: str, what: str) -> Source:
    """Import a module and return its source.

    Raises SpecError, which names `what` asks for it: where there is none, where its import fails,
    and where its source has changed since this process imported it.
    """
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # last, so that nothing there hides what is installed
        importlib.invalidate_caches()
    top = name.partition(".")[0]
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise SpecError([f"{what}: there is no module {top!r}, here ({here}) or installed"])
    before = _digest(what, spec.origin, spec.submodule_search_locations)
    module = _import(what, name)
    file = str(module.__file__)
    if _known.setdefault(top, before) != before:
        raise SpecError(
            [f"{what}: its source ({file}) has changed since this process imported it; start anew"]
        )
    return Source(module, file, before)


def local_modules() -> tuple[Path, ...]:
    """Return the folder or file of each top-level module of parts that no distribution brought.

    Of those that this process has imported: what a worker on another machine would lack.
    """
    return tuple(
        _placed(module)
        for name in sorted(_known)
        if (module := sys.modules.get(name)) is not None and not _is_installed(module)
    )


def modules_named(texts: Iterable[str], folder: Path) -> tuple[Path, ...]:
    """Return the modules in a folder that texts name as parts, `module:name`; none is imported."""
    tops = {top for text in texts for top in _PART.findall(text)}
    places = [folder / name for top in sorted(tops) for name in (top, f"{top}.py")]
    return tuple(
        place
        for place in places
        if (place.suffix == ".py" and place.is_file()) or _is_package(place)
    )


_PART = re.compile(r"(?<![\w./:])([A-Za-z_]\w*)(?:\.\w+)*:[A-Za-z_]")


def _is_package(place: Path) -> bool:
    return place.is_dir() and any(place.glob("*.py"))


def _placed(module: ModuleType) -> Path:
    if module.__file__ is None:  # a folder without __init__.py
        return Path(next(iter(module.__path__)))
    file = Path(module.__file__)
    return file.parent if hasattr(module, "__path__") else file


def _is_installed(module: ModuleType) -> bool:
    return bool({"site-packages", "dist-packages"} & {*_placed(module).parts})


def _import(what: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise SpecError([f"{what}: there is no module {error.name!r}"]) from None
        raise SpecError([f"{what}: {_failure(error)}"]) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever its author's code raises
        raise SpecError([f"{what}: {_failure(error)}"]) from None


def _failure(error: BaseException) -> str:
    """Where an import failed and why, in a line."""
    if isinstance(error, SyntaxError):
        place = f"{error.filename}:{error.lineno}"
        return f"cannot be imported: {place}: SyntaxError: {error.msg}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen importlib")
        and Path(frame.filename) not in (Path(__file__), Path(importlib.__file__))
    ]
    place = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
    why = " ".join(str(error).split())
    return f"cannot be imported: {place}{type(error).__name__}: {why}"


def distribution_of(source: Source) -> tuple[str, str] | None:
    """Return name and version of the distribution that a module was installed by, if there is one.

    A module of the working directory is of none. What a version says of its build (`+cu130`) is
    left out: it differs between the machines of a cluster.
    """
    if Path(source.file).is_relative_to(Path.cwd()) and "site-packages" not in source.file:
        return None
    found = set(_distributions().get(source.module.__name__.partition(".")[0], []))
    if len(found) != 1:
        return None
    name = found.pop()
    return name, version(name).partition("+")[0]


@cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()


def _digest(what: str, origin: str | None, folders: Collection[str] | None) -> str:
    if folders:
        placed = {
            file.relative_to(folder).as_posix(): file
            for folder in map(Path, folders)
            for file in folder.rglob("*.py")
        }
    elif origin and Path(origin).is_file():
        placed = {Path(origin).name: Path(origin)}
    else:
        raise SpecError([f"{what}: its source is no file ({origin}), and has no digest"])
    seen = [(name, str(file), file.stat()) for name, file in sorted(placed.items())]
    return _digest_of(tuple((name, file, at.st_mtime_ns, at.st_size) for name, file, at in seen))


@lru_cache(maxsize=64)
def _digest_of(files: tuple[tuple[str, str, int, int], ...]) -> str:
    whole = hashlib.sha256()
    for name, file, _, _ in files:
        content = Path(file).read_bytes().replace(b"\r\n", b"\n")
        whole.update(f"{name}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()[:20]
