"""Where results live: a folder of this machine or a shared disk, or a prefix in an object store.

Whoever reads a name sees all of what some writer wrote, or nothing: a local file appears by
renaming a finished one, and object stores show an object only when it is complete.
"""

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from orchestrator.errors import StorageError
from orchestrator.storage.faults import advice, impatient, retried
from orchestrator.storage.filesystems import filesystem_of, put
from workloads.local_files import copy_whole, write_whole

if TYPE_CHECKING:
    from pyarrow.fs import FileType

    from orchestrator.storage.listing import File
    from orchestrator.storage.stamps import Stamp

__all__ = ["Storage", "without_password"]

PARTIAL = ".partial"
DAMAGED = ".damaged"

T = TypeVar("T")


@dataclass(frozen=True)
class Storage:
    """The results at an address: a plain path, or any URI of Arrow or fsspec (`s3://...`).

    Names are relative to it, with `/` between folders. Methods raise StorageError where the storage
    fails, for longer than faults that pass are waited for (`faults`), and ValueError for a name
    that leads outside. Instances travel between machines: only the address is pickled.
    """

    uri: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "uri", _absolute(self.uri))

    @property
    def is_local(self) -> bool:
        """True where this machine's own file system holds it."""
        return self.uri.startswith("/")

    def shown(self, *parts: str) -> str:
        """Return the address, or that of something below, for messages and records: no password."""
        return without_password(self.path(*parts))

    def path(self, *parts: str) -> str:
        """Return the address of something below: an absolute path, or a URI.

        A URI keeps this one's options (`?region=...`).
        """
        name = _checked("/".join(parts), may_be_empty=True)
        base, mark, options = (self.uri, "", "") if self.is_local else self.uri.partition("?")
        return (f"{base.rstrip('/')}/{name}" if name else base) + mark + options

    def local_path(self, *parts: str) -> Path:
        """Return the same as a path of this machine. Raises StorageError for an object store."""
        if not self.is_local:
            raise StorageError(f"{self.shown()}: is not a folder of this machine")
        return Path(self.path(*parts))

    def read_bytes(self, name: str) -> bytes | None:
        """Read the content of a file; None when there is none of that name."""

        def read(filesystem: Any, path: str) -> bytes | None:
            try:
                with filesystem.open_input_stream(path) as stream:
                    return bytes(stream.read())
            except FileNotFoundError:
                return None

        return self._do(name, "cannot read", read)

    def write_bytes(self, name: str, data: bytes) -> None:
        """Create or replace a file as a whole, making its folders."""

        def write(filesystem: Any, path: str) -> None:
            if self.is_local:
                _replace(Path(path), data)
            else:
                put(filesystem, path, data)

        self._do(name, "cannot write", write)

    def create(self, name: str, data: bytes) -> bool:
        """Create a file as a whole where there is none of that name; whether that went well.

        Of several writers one is told True. They have to write different data: a store that cannot
        create on condition shows by its content whose it is (`create_once`).
        """
        from orchestrator.storage.create_once import create_in_store, create_local

        tries = 0

        def create(filesystem: Any, path: str) -> bool:
            nonlocal tries
            tries += 1
            if self.is_local:
                place = Path(path)
                created = create_local(place, data, f".{place.name}.{uuid4().hex}{PARTIAL}")
            else:
                created = create_in_store(self.uri, filesystem, path, data)
            # the try before may have done it, and only its answer was lost
            return created or (tries > 1 and self.read_bytes(name) == data)

        return self._do(name, "cannot create", create)

    def read_json(self, name: str) -> Any:
        """Read the value in a JSON file; None when there is no file of that name."""
        data = self.read_bytes(name)
        if data is None:
            return None
        try:
            return json.loads(data)
        except ValueError as error:
            raise StorageError(f"{self.shown(name)}: is not JSON: {error}") from None

    def write_json(self, name: str, value: Any) -> None:
        """Write plain values in their order.

        Raises ValueError for NaN and infinities, which JSON does not have.
        """
        self.write_bytes(name, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())

    def list(self, folder: str = "") -> list[str]:
        """List the sorted names of what lies directly in a folder; none if it does not exist."""
        from pyarrow.fs import FileSelector

        def names(filesystem: Any, path: str) -> list[str]:
            entries = filesystem.get_file_info(FileSelector(path, allow_not_found=True))
            return sorted(
                entry.base_name for entry in entries if not entry.base_name.endswith(PARTIAL)
            )

        return self._do(folder, "cannot list", names, may_be_empty=True)

    def stamps(self, folder: str, files: Sequence[str], *, depth: int = 1) -> dict[str, "Stamp"]:
        """Tell, without reading it, of which content a file is in each folder below `folder`.

        The folders lie `depth` levels deep; in each the first of `files` counts that is there. By
        the file's name; none where there is no such folder.
        """
        from orchestrator.storage.stamps import local_stamps, remote_stamps

        def stamps(filesystem: Any, path: str) -> dict[str, "Stamp"]:
            found = (
                local_stamps(path, files, depth)
                if self.is_local
                else remote_stamps(filesystem, path, files, depth)
            )
            return {f"{folder}/{name}": stamp for name, stamp in found.items()}

        return self._do(folder, "cannot list", stamps)

    def files(self) -> "Sequence[File]":
        """List all files, hidden and unfinished ones, too, with their sizes and ages; no links."""
        from orchestrator.storage.listing import local_files, remote_files

        def found(filesystem: Any, path: str) -> "Sequence[File]":
            return local_files(path) if self.is_local else remote_files(filesystem, path)

        return self._do("", "cannot list", found, may_be_empty=True)

    def exists(self, name: str) -> bool:
        """Tell whether there is a file or folder of that name."""
        from pyarrow.fs import FileType

        return bool(self._kind_of(name) != FileType.NotFound)

    def delete(self, name: str) -> None:
        """Remove a file, or a folder with all that is in it; do nothing if there is neither."""
        from pyarrow.fs import FileType

        def delete(filesystem: Any, path: str) -> None:
            match filesystem.get_file_info(path).type:
                case FileType.NotFound:
                    return
                case FileType.Directory:
                    filesystem.delete_dir(path)
                case _:
                    filesystem.delete_file(path)

        self._do(name, "cannot delete", delete)

    def copy(self, name: str, to: str) -> None:
        """Have a file under another name, too, over any old one; do nothing if there is none.

        It is not sent through this machine.
        """
        _checked(to)

        def copy(filesystem: Any, path: str) -> None:
            target = f"{path.removesuffix(name)}{to}"
            try:
                if self.is_local:
                    copy_whole(Path(path), Path(target))
                    return
                filesystem.copy_file(path, target)
            except FileNotFoundError:
                return
            except OSError:
                # Arrow has no FileNotFoundError for the copy of an object that is not there
                from pyarrow.fs import FileType

                if filesystem.get_file_info(path).type != FileType.NotFound:
                    raise

        self._do(name, "cannot copy", copy)

    def is_folder(self, name: str) -> bool:
        """Tell whether a name is that of a folder."""
        from pyarrow.fs import FileType

        return bool(self._kind_of(name) == FileType.Directory)

    def _kind_of(self, name: str) -> "FileType":
        return self._do(name, "cannot look for", lambda files, path: files.get_file_info(path).type)

    def set_aside(self, name: str) -> str | None:
        """Rename a damaged file or folder to `NAME.damaged`; None where there is none.

        Returns the new name, which is numbered where there is one already.
        """
        number, aside = 1, f"{name}{DAMAGED}"
        while self.exists(aside):
            number += 1
            aside = f"{name}{DAMAGED}-{number}"
        if not self.exists(name):
            return None
        end = aside.removeprefix(name)
        self._do(name, "cannot set aside", lambda files, path: files.move(path, f"{path}{end}"))
        return aside

    def check_writable(self) -> str | None:
        """Return why nothing can be kept here; None after a file came back as written.

        The reason is a line that names the option.
        """
        if any("\ud800" <= letter <= "\udfff" for letter in self.uri):
            return (
                f"--storage {self.shown()}: its name has bytes that are not UTF-8; rename the "
                "folder, or give another one"
            )
        probe = f".probe-{uuid4().hex}{PARTIAL}"
        try:
            with impatient():
                self.write_bytes(probe, probe.encode())
                kept = self.read_bytes(probe)
                self.delete(probe)
        except StorageError as error:
            cause = error.__cause__ or error
            helps = advice(cause, local=self.is_local)
            return f"--storage {self.shown()}: cannot be written: {cause}{helps}"
        if kept != probe.encode():
            return f"--storage {self.shown()}: what was written did not come back"
        return None

    def _do(
        self,
        name: str,
        doing: str,
        operation: Callable[[Any, str], T],
        *,
        may_be_empty: bool = False,
    ) -> T:
        """Do something with a name's file system and the path in it, again where a fault passes.

        Whatever goes wrong there is a StorageError: fsspec's packages raise errors of their own.
        """
        name = _checked(name, may_be_empty=may_be_empty)

        def attempt() -> T:
            filesystem, root = filesystem_of(self.uri)
            return operation(filesystem, f"{root.rstrip('/')}/{name}" if name else root)

        try:
            return retried(attempt, local=self.is_local)
        except (StorageError, MemoryError):
            raise
        except Exception as error:
            helps = advice(error, local=self.is_local)
            failure = StorageError(f"{self.shown()}: {doing} {name}: {error}{helps}")
            failure.errno = getattr(error, "errno", None)
            raise failure from error


def without_password(uri: str) -> str:
    """Return the URI for messages: `scheme://user:***@...`."""
    return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1:***@", uri)


def _absolute(uri: str) -> str:
    """Return a plain absolute path for anything local, and the URI itself for the rest."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", uri) and not uri.startswith("file:"):
        return uri
    path = unquote(urlsplit(uri).path) if uri.startswith("file:") else uri
    return os.path.abspath(os.path.expanduser(path))


def _checked(name: str, *, may_be_empty: bool = False) -> str:
    parts = PurePosixPath(name).parts
    if ".." in parts or name.startswith("/") or not (parts or may_be_empty):
        raise ValueError(f"{name!r}: is not a name below the storage")
    return "/".join(parts)


def _replace(path: Path, data: bytes) -> None:
    """Put a complete file in place of whatever is there; a crash leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of each writer another name, as several may write the same file, which listings do not show.
    write_whole(path, data, beside=f".{path.name}.{uuid4().hex}{PARTIAL}")
