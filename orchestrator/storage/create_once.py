"""A file that only one of several writers creates, in each kind of storage.

On disks a finished file is linked to its name, which network file systems do atomically, too. S3 is
asked by boto3 to put an object only where there is none (`If-None-Match: *`), and so are stores
whose fsspec package can do that (s3fs, gcsfs, adlfs). Each such store has to show first that it
refuses a second object of one name: some take the condition and ignore it. Where a store cannot do
it, or boto3 is missing, a writer writes, waits and reads who wrote last: that is right as long as
no write takes longer than the wait.
"""

import errno
import os
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import uuid4

__all__ = ["create_in_store", "create_local"]

SETTLE = 2.0  # seconds between the write and the look at who wrote last
UNLINKED = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)  # no links on this disk
TAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")  # in answers of S3

# Writes bytes to a path where there is nothing; whether that went well.
Create = Callable[[str, bytes], bool]

_one_at_a_time = threading.Lock()  # fsspec's file system in memory looks first and then writes


def create_local(path: Path, data: bytes, partial: str) -> bool:
    """Create a file of this machine's file system; False where there is one. Raises OSError.

    `partial` is the name, beside it, under which it is written first.
    """
    unfinished = path.with_name(partial)
    for again in (True, True, False):  # the folder may be deleted meanwhile, having got empty
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with unfinished.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            return _link(unfinished, path, data)
        except FileNotFoundError:
            if not again:
                raise
        finally:
            unfinished.unlink(missing_ok=True)
    raise AssertionError("the last one raises")


def _link(unfinished: Path, path: Path, data: bytes) -> bool:
    try:
        os.link(unfinished, path)
    except FileExistsError:
        # over NFS an answer may be lost, and the second request then finds what the first has done
        return unfinished.stat().st_nlink == 2
    except OSError as error:
        if error.errno not in UNLINKED:
            raise
        return _exclusively(path, data)
    return True


def _exclusively(path: Path, data: bytes) -> bool:
    """Create a file that others may see half-written, on disks without links."""
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        return False
    return True


def create_in_store(uri: str, filesystem: Any, path: str, data: bytes) -> bool:
    """Create an object at the path in one of Arrow's file systems; False where there is one.

    Raises what the store raises. Writers of one name have to write different data.
    """
    root = path.rpartition("/")[0]
    create = _conditional(uri, filesystem)
    if create is not None and _keeps_the_first(uri, create, filesystem, root):
        return create(path, data)
    return _write_and_see(filesystem, path, data)


def _conditional(uri: str, filesystem: Any) -> Create | None:
    """How the store is asked to create; None where it cannot be asked."""
    from pyarrow.fs import PyFileSystem

    if isinstance(filesystem, PyFileSystem):
        return _by_fsspec(filesystem.handler.fs)
    return _by_boto3(uri) if uri.startswith("s3://") else None


def _by_fsspec(inner: Any) -> Create | None:
    from fsspec import AbstractFileSystem

    if not (inner.async_impl or type(inner).pipe_file is not AbstractFileSystem.pipe_file):
        return None  # it would look first and then write

    def create(path: str, data: bytes) -> bool:
        with _one_at_a_time:
            try:
                inner.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
        return True

    return create


@lru_cache(maxsize=8)
def _by_boto3(uri: str) -> Create | None:
    """Use the address's options as Arrow does."""
    try:
        boto3: Any = import_module("boto3")
    except ImportError:
        return None
    errors: Any = import_module("botocore.exceptions")

    parts = urlsplit(uri)
    options = dict(parse_qsl(parts.query))
    given: dict[str, str] = {}
    if "region" in options:
        given["region_name"] = options["region"]
    if endpoint := options.get("endpoint_override"):
        scheme = options.get("scheme", "https")
        given["endpoint_url"] = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
    if parts.username and parts.password:
        given["aws_access_key_id"] = unquote(parts.username)
        given["aws_secret_access_key"] = unquote(parts.password)
    try:
        client = boto3.session.Session().client("s3", **given)
    except (errors.BotoCoreError, ValueError):
        return None  # no region, say; Arrow may find one

    def create(path: str, data: bytes) -> bool:
        bucket, _, key = path.partition("/")
        try:
            client.put_object(Bucket=bucket, Key=key, Body=data, IfNoneMatch="*")
        except errors.ClientError as error:
            if str(error.response.get("Error", {}).get("Code")) in TAKEN:
                return _is_ours(client, bucket, key, data)
            raise OSError(str(error)) from error
        except errors.BotoCoreError as error:
            raise OSError(str(error)) from error
        return True

    return create


def _is_ours(client: Any, bucket: str, key: str, data: bytes) -> bool:
    """Tell whether what is there is our own: of two requests the first had its answer lost."""
    try:
        return bool(client.get_object(Bucket=bucket, Key=key)["Body"].read() == data)
    except client.exceptions.NoSuchKey:
        return False


_shown: dict[str, bool] = {}  # by the address of a store: whether it keeps the first of two


def _keeps_the_first(uri: str, create: Create, filesystem: Any, folder: str) -> bool:
    if uri not in _shown:
        probe = f"{folder}/.probe-{uuid4().hex}.partial"
        try:
            _shown[uri] = create(probe, b"first") and not create(probe, b"second")
        except (OSError, NotImplementedError, TypeError, ValueError):
            _shown[uri] = False
        finally:
            _forget(filesystem, probe)
    return _shown[uri]


def _forget(filesystem: Any, path: str) -> None:
    try:
        filesystem.delete_file(path)
    except OSError:
        return  # it may not be there


def _write_and_see(filesystem: Any, path: str, data: bytes) -> bool:
    from pyarrow.fs import FileType

    if filesystem.get_file_info(path).type != FileType.NotFound:
        return False
    with filesystem.open_output_stream(path) as stream:
        stream.write(data)
    time.sleep(SETTLE)
    try:
        with filesystem.open_input_stream(path) as stream:
            return bool(stream.read() == data)
    except FileNotFoundError:
        return False
