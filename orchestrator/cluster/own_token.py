"""The token that a local Ray asks its clients for, so that nobody else's code runs in it."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

__all__ = ["ensure_token"]


def ensure_token() -> None:
    """See that there is a token that this user alone can read; Ray looks in the same places.

    Ray would write one that other users of the machine may read, and fails in a home that cannot
    be written: there the token is of this process and of those that it starts.
    """
    asked = os.environ.get("RAY_AUTH_MODE", "token").lower() == "token"
    if not asked or os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return
    file, token = Path("~/.ray/auth_token").expanduser(), secrets.token_hex(32)
    try:
        if not file.is_file():
            _write_new(file, token)
    except OSError:
        os.environ["RAY_AUTH_TOKEN"] = token


def _write_new(file: Path, text: str) -> None:
    """Write a file that only this user can read; one that another process has just made stays."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(text)
        with suppress(FileExistsError):
            os.link(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)
