"""Python that builds a question: the Ablation that a module holds, from its file."""

import sys
import traceback
from pathlib import Path
from types import ModuleType

from search_spaces import ABLATIONS, Ablation
from workloads.spec import SpecError

__all__ = ["ablation_in_module", "parts_of_name"]

MODULE = "simclr_orch_question"


def parts_of_name(name: str) -> tuple[str, str | None]:
    """Return the file of `FILE.py:NAME`, and the name in it; None where none is given."""
    file, colon, inside = name.rpartition(":")
    return (file, inside) if colon and file.endswith(".py") else (name, None)


def ablation_in_module(name: str) -> Ablation:
    """Return the Ablation that a file of Python holds at its top.

    Of several, `FILE.py:NAME` says which; those that are built in are none of the file's own.
    Raises SpecError, with the file's line where running it fails.
    """
    file, wanted = parts_of_name(name)
    path = Path(file).expanduser()
    module = _run(path, file)
    built_in = [id(one) for one in ABLATIONS.values()]
    found = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, Ablation) and (id(value) not in built_in or key == wanted)
    }
    if wanted is not None:
        if wanted not in found:
            there = f"has {', '.join(found)}" if found else "has no Ablation"
            raise SpecError([f"{name}: {file} has no Ablation {wanted!r}; it {there}"])
        return found[wanted]
    different = list({id(value): key for key, value in reversed(found.items())}.values())
    if not different:
        raise SpecError(
            [f"{file}: holds no Ablation; one is to have a name at the top of the module"]
        )
    if len(different) > 1:
        asked = ", ".join(f"{file}:{key}" for key in reversed(different))
        raise SpecError([f"{file}: holds several questions; name one: {asked}"])
    return found[different[0]]


def _run(path: Path, file: str) -> ModuleType:
    """Run a file as a module of its own, which finds what lies beside it."""
    if not path.is_file():
        raise SpecError([f"{file}: cannot be read (there is no such file)"])
    path = path.resolve()
    module = ModuleType(MODULE)
    module.__file__ = str(path)
    sys.modules[MODULE] = module  # dataclasses look their module up
    sys.path.insert(0, str(path.parent))
    try:
        # not as an import does: that keeps bytecode beside a file that is not ours
        exec(compile(path.read_bytes(), path, "exec"), vars(module))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a person's code raises
        raise SpecError([_told(error, path, file)]) from None
    finally:
        sys.path.remove(str(path.parent))
        del sys.modules[MODULE]
    return module


def _told(error: BaseException, path: Path, file: str) -> str:
    """An error as one line, with the line of the file that led to it."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) == path
    ]
    line = error.lineno if isinstance(error, SyntaxError) and not lines else (lines or [None])[-1]
    text = " ".join(str(error).split()) or "without a word"
    if isinstance(error, SyntaxError):
        text = error.msg
    where = f"{file}:{line}" if line is not None else file
    return f"{where}: {type(error).__name__}: {text}"
