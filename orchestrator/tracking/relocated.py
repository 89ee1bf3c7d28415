"""MLflow's database in a storage that was moved or copied since: artifacts lie where it is now.

MLflow keeps the absolute address of the artifacts of every experiment and run, and writes there.
Ours lie below the storage, so that they move with it, and the addresses are put right.
"""

import hashlib
import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

__all__ = ["hide_default", "put_right", "without_marks"]

# Tables and columns that hold addresses of artifacts.
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
)


def put_right(database: Path, artifacts: str) -> int:
    """Move addresses in the database that lie below another storage's folder to `artifacts`.

    `artifacts` is the address of the folder of this storage, as experiments of ours extend it by
    their names. Returns how many addresses were changed. Raises sqlite3.Error.
    """
    changed = 0
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        rows = connection.execute("SELECT name, artifact_location FROM experiments").fetchall()
        for name, old in rows:
            of_ours = f"/{quote(name, safe='')}"
            new = artifacts + of_ours
            if old == new or not (old or "").endswith(f"/artifacts{of_ours}"):
                continue
            for table, column in ADDRESSES:
                if _has(connection, table):
                    changed += _replace(connection, table, column, old, new)
    return changed


def hide_default(database: Path) -> bool:
    """Delete the experiment `Default` where it has no runs; tells whether it did.

    MLflow makes it in every new database, with artifacts in the folder that a process runs in.
    Deleted is a mark, and `mlflow experiments restore` takes it away. Raises sqlite3.Error.
    """
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        cursor = connection.execute(
            "UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name = 'Default' "
            "AND experiment_id = 0 AND lifecycle_stage = 'active' AND NOT EXISTS "
            "(SELECT 1 FROM runs WHERE runs.experiment_id = experiments.experiment_id)"
        )
        return cursor.rowcount > 0


def _has(connection: sqlite3.Connection, table: str) -> bool:
    known = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(known, (table,)).fetchone() is not None


def _replace(connection: sqlite3.Connection, table: str, column: str, old: str, new: str) -> int:
    """Give the address `old`, and all below it, a new beginning."""
    cursor = connection.execute(
        f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
        f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
        (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
    )
    return cursor.rowcount


def without_marks(folder: Path) -> Path:
    """Return a path to a folder in which MLflow finds no `?` and no `%`; itself where it has none.

    In an address of a database these begin options and codes. Such a folder is reached by a link
    among this user's temporary files. Raises OSError.
    """
    if not {"?", "%"} & {*str(folder)}:
        return folder
    links = Path(tempfile.gettempdir(), f"simclr-orch-{os.getuid()}-links")
    links.mkdir(mode=0o700, exist_ok=True)
    if links.stat().st_uid != os.getuid():
        raise PermissionError(f"{links}: belongs to another user")
    link = links / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        with suppress(FileExistsError):  # another process has just made it
            link.symlink_to(folder, target_is_directory=True)
    return link
