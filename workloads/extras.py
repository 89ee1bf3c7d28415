"""Packages that only some work needs, by the extras of `pyproject.toml`."""

from importlib.metadata import PackageNotFoundError, requires
from typing import Literal

__all__ = ["Extra", "install_command"]

Extra = Literal["export", "inspect", "log", "s3"]


def install_command(extra: Extra) -> str:
    """Return the command that installs what an extra needs, with the versions that it takes.

    By the packages' own names, since this project may be installed from a folder that pip does not
    find by name.
    """
    try:
        lines = requires("simclr-orch") or []
    except PackageNotFoundError:  # run from a folder that was not installed
        return f"pip install -e '.[{extra}]'"
    wanted = []
    for line in lines:
        package, _, condition = line.partition(";")
        if condition.replace('"', "'").strip() == f"extra == '{extra}'":
            wanted.append(f"'{package.strip()}'")
    if not wanted:  # installed before there was such an extra
        return f"pip install -e '.[{extra}]'"
    return " ".join(["pip install", *wanted])
