"""Arrow's file system for a storage's address, through fsspec for schemes that Arrow lacks."""

from functools import lru_cache
from typing import Any

__all__ = ["filesystem_of", "put"]


def put(filesystem: Any, path: str, data: bytes) -> None:
    """Write an object by one request, or so that nothing of it is left where that fails."""
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    if isinstance(filesystem, PyFileSystem) and isinstance(filesystem.handler, FSSpecHandler):
        # a stream that is closed after an error would put what it has so far
        filesystem.handler.fs.pipe_file(path, data)
        return
    with filesystem.open_output_stream(path) as stream:
        stream.write(data)


@lru_cache(maxsize=8)
def filesystem_of(uri: str) -> tuple[Any, str]:
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
