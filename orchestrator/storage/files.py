"""Where results live: a folder of this machine or a shared disk, or a prefix in an object store.

Whoever reads a name sees all of what some writer wrote, or nothing: a local file appears by
renaming a finished one, and object stores show an object only when it is complete.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from orchestrator.errors import StorageError
from workloads.local_files import copy_whole, write_whole

if TYPE_CHECKING:
    from orchestrator.storage.listing import File
    from orchestrator.storage.stamps import Stamp

__all__ = ["Storage", "without_password"]

PARTIAL = ".partial"
DAMAGED = ".damaged"
# What file systems raise besides OSError: an unknown scheme, a missing package, an operation they
# do not have.
FAILURES = (OSError, ValueError, ImportError, RuntimeError)


@dataclass(frozen=True)
class Storage:
    """The results at an address: a plain path, or any URI of Arrow or fsspec (`s3://...`).

    Names are relative to it, with `/` between folders. Methods raise StorageError where the storage
    fails, and ValueError for a name that leads outside. Instances travel between machines: only the
    address is pickled.
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
        with self._at(name, "cannot read") as (filesystem, path):
            try:
                with filesystem.open_input_stream(path) as stream:
                    return bytes(stream.read())
            except FileNotFoundError:
                return None

    def write_bytes(self, name: str, data: bytes) -> None:
        """Create or replace a file as a whole, making its folders."""
        with self._at(name, "cannot write") as (filesystem, path):
            if self.is_local:
                _replace(Path(path), data)
            else:
                with filesystem.open_output_stream(path) as stream:
                    stream.write(data)

    def create(self, name: str, data: bytes) -> bool:
        """Create a file as a whole where there is none of that name; whether that went well.

        Of several writers one is told True. They have to write different data: a store that cannot
        create on condition shows by its content whose it is (`create_once`).
        """
        from orchestrator.storage.create_once import create_in_store, create_local

        with self._at(name, "cannot create") as (filesystem, path):
            if self.is_local:
                place = Path(path)
                return create_local(place, data, f".{place.name}.{uuid4().hex}{PARTIAL}")
            return create_in_store(self.uri, filesystem, path, data)

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

        with self._at(folder, "cannot list", may_be_empty=True) as (filesystem, path):
            entries = filesystem.get_file_info(FileSelector(path, allow_not_found=True))
            return sorted(
                entry.base_name for entry in entries if not entry.base_name.endswith(PARTIAL)
            )

    def stamps(self, folder: str, files: Sequence[str], *, depth: int = 1) -> dict[str, "Stamp"]:
        """Tell, without reading it, of which content a file is in each folder below `folder`.

        The folders lie `depth` levels deep; in each the first of `files` counts that is there. By
        the file's name; none where there is no such folder.
        """
        from orchestrator.storage.stamps import local_stamps, remote_stamps

        with self._at(folder, "cannot list") as (filesystem, path):
            found = (
                local_stamps(path, files, depth)
                if self.is_local
                else remote_stamps(filesystem, path, files, depth)
            )
            return {f"{folder}/{name}": stamp for name, stamp in found.items()}

    def files(self) -> "Sequence[File]":
        """List all files, hidden and unfinished ones, too, with their sizes and ages; no links."""
        from orchestrator.storage.listing import local_files, remote_files

        with self._at("", "cannot list", may_be_empty=True) as (filesystem, path):
            return local_files(path) if self.is_local else remote_files(filesystem, path)

    def exists(self, name: str) -> bool:
        """Tell whether there is a file or folder of that name."""
        from pyarrow.fs import FileType

        with self._at(name, "cannot look for") as (filesystem, path):
            return bool(filesystem.get_file_info(path).type != FileType.NotFound)

    def delete(self, name: str) -> None:
        """Remove a file, or a folder with all that is in it; do nothing if there is neither."""
        from pyarrow.fs import FileType

        with self._at(name, "cannot delete") as (filesystem, path):
            match filesystem.get_file_info(path).type:
                case FileType.NotFound:
                    return
                case FileType.Directory:
                    filesystem.delete_dir(path)
                case _:
                    filesystem.delete_file(path)

    def copy(self, name: str, to: str) -> None:
        """Have a file under another name, too, over any old one; do nothing if there is none.

        It is not sent through this machine.
        """
        _checked(to)
        with self._at(name, "cannot copy") as (filesystem, path):
            target = f"{path.removesuffix(name)}{to}"
            try:
                if self.is_local:
                    copy_whole(Path(path), Path(target))
                else:
                    filesystem.copy_file(path, target)
            except FileNotFoundError:
                return

    def is_folder(self, name: str) -> bool:
        """Tell whether a name is that of a folder."""
        from pyarrow.fs import FileType

        with self._at(name, "cannot look for") as (filesystem, path):
            return bool(filesystem.get_file_info(path).type == FileType.Directory)

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
        with self._at(name, "cannot set aside") as (filesystem, path):
            filesystem.move(path, f"{path}{aside.removeprefix(name)}")
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
            self.write_bytes(probe, probe.encode())
            kept = self.read_bytes(probe)
            self.delete(probe)
        except StorageError as error:
            return f"--storage {self.shown()}: cannot be written: {error.__cause__}"
        if kept != probe.encode():
            return f"--storage {self.shown()}: what was written did not come back"
        return None

    @contextmanager
    def _at(
        self, name: str, doing: str, *, may_be_empty: bool = False
    ) -> Iterator[tuple[Any, str]]:
        """Give a name's file system and the path in it; what goes wrong there is a StorageError."""
        name = _checked(name, may_be_empty=may_be_empty)
        try:
            filesystem, root = _filesystem(self.uri)
            yield filesystem, f"{root.rstrip('/')}/{name}" if name else root
        except FAILURES as error:
            raise StorageError(f"{self.shown()}: {doing} {name}: {error}") from error


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


@lru_cache(maxsize=8)
def _filesystem(uri: str) -> tuple[Any, str]:
    """Return Arrow's file system for an address, and the root's path in it.

    It goes through fsspec for schemes that Arrow does not know.
    """
    from pyarrow import ArrowInvalid
    from pyarrow.fs import FileSystem, FSSpecHandler, LocalFileSystem, PyFileSystem

    if uri.startswith("/"):
        return LocalFileSystem(), uri
    if uri.startswith("s3://") and "allow_delayed_open=" not in uri:
        # A small object is then one request, not the three of an upload in parts, which a killed
        # writer would leave behind.
        uri += f"{'&' if '?' in uri else '?'}allow_delayed_open=true"

    try:
        filesystem, root = FileSystem.from_uri(uri)
    except ArrowInvalid as error:
        if "Unrecognized filesystem type" not in str(error):
            raise
        from fsspec.core import url_to_fs

        # Other machines write here too, so listings must not be remembered.
        inner, root = url_to_fs(uri, use_listings_cache=False)
        filesystem = PyFileSystem(FSSpecHandler(inner))
    return filesystem, root
