"""The MLflow store behind a tracking URI: loaded silently, created once, checked in seconds."""

import importlib.util
import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orchestrator.errors import TrackingError, UnreachableError
from orchestrator.storage import Storage, without_password
from orchestrator.tracking.exclusive import exclusive
from orchestrator.tracking.relocated import hide_default, put_right, without_marks
from workloads.extras import install_command
from workloads.local_files import replaced

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = [
    "DATABASE",
    "ENVIRONMENT",
    "VARIABLE",
    "artifact_address",
    "connect",
    "failures",
    "is_permanent",
    "named",
    "page",
    "problem",
    "put_artifacts_right",
    "reach",
    "reason",
    "resolve",
]

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    # MLflow's own retries would hide a dead server for minutes; ours are bounded.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
VARIABLE = "MLFLOW_TRACKING_URI"
CHECK_TIMEOUT = 4  # seconds for one request or connection of a check
log = logging.getLogger(__name__)

SQLITE, DATABASE = "sqlite:///", "mlflow.db"
# Asking again does not change these answers. An experiment that exists already is found when asked
# again.
PERMANENT = frozenset(
    {
        "CUSTOMER_UNAUTHORIZED",
        "ENDPOINT_NOT_FOUND",
        "FEATURE_DISABLED",
        "INVALID_PARAMETER_VALUE",
        "INVALID_STATE",
        "NOT_FOUND",
        "PERMISSION_DENIED",
        "RESOURCE_DOES_NOT_EXIST",
        "UNAUTHENTICATED",
    }
)


def resolve(tracking_uri: str | None, storage: Storage) -> tuple[str, str | None]:
    """Return the tracking URI to use, and where its experiments keep artifacts.

    None for the latter leaves that to the server. The default is an SQLite database in a local
    storage. MLflow reads a relative path against the directory of whichever process opens it, so
    paths are made absolute here. Raises TrackingError for an address of no use.
    """
    if tracking_uri is None:
        if not storage.is_local:
            raise TrackingError(
                f"--storage {storage.shown()}: an object store cannot hold MLflow's database; "
                "give --tracking-uri (http://host:port of an MLflow server)"
            )
        return f"{SQLITE}{_database_of(storage)}", artifact_address(storage)
    match _scheme(tracking_uri):
        case "http" | "https" | "databricks":
            return tracking_uri.rstrip("/"), None
        case "sqlite":
            return _sqlite_uri(
                "--tracking-uri", tracking_uri.partition(":///")[2]
            ), artifact_address(storage)
        case "postgresql" | "mysql" | "mssql":
            return tracking_uri, artifact_address(storage)
        case _:
            raise TrackingError(
                f"{named(tracking_uri)}: is neither "
                "http://host:port, https://..., "
                "sqlite:///path.db, postgresql://..., mysql://... nor mssql://... (MLflow no "
                "longer writes to plain folders)"
            )


def _database_of(storage: Storage) -> Path:
    """Where the database of a storage is opened. Raises TrackingError."""
    folder = storage.local_path()
    try:
        return without_marks(folder) / DATABASE
    except OSError as error:
        raise TrackingError(f"--storage {folder}: {reason(error)}") from error


def _scheme(uri: str) -> str | None:
    """The scheme without its driver: of `postgresql+psycopg://...` it is postgresql.

    None for what is no URI, or one of a server without its name.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme in ("http", "https") and not parts.hostname:
        return None
    return parts.scheme.partition("+")[0]


def _sqlite_uri(option: str, path: str) -> str:
    if path in ("", ":memory:"):
        raise TrackingError(
            f"{option} {path!r}: a database in memory is lost with its process; give the path of "
            "a file"
        )
    path = os.path.abspath(path)
    if "?" in path or "%" in path:
        raise TrackingError(
            f"{option} {path}: the path of MLflow's database cannot hold '?' or '%'"
        )
    return f"{SQLITE}{path}"


def artifact_address(storage: Storage) -> str:
    """Return where artifacts lie when no server decides.

    That is without the options of the storage's address, which are Arrow's. Raises TrackingError
    where MLflow needs a package to write there.
    """
    if storage.is_local:
        return storage.local_path("artifacts").as_uri()
    address = storage.path("artifacts").partition("?")[0]
    if address.startswith("s3:") and importlib.util.find_spec("boto3") is None:
        raise TrackingError(
            f"--storage {storage.shown()}: MLflow needs boto3 to keep artifacts there: "
            f"{install_command('s3')}, or give --tracking-uri (http://host:port of an MLflow "
            "server)"
        )
    return address


def page(uri: str) -> str:
    """Return the address of a server's pages for a browser: without user and password."""
    return re.sub(r"(?<=://)[^/@]*@", "", uri)


def connect(uri: str) -> "MlflowClient":
    """Return a client of the store, whose SQLite database is created when there is none.

    Processes that start at once would create it in each other's way (MLflow crashes then), so one
    does it while the others wait; it appears complete or not at all. Raises one of `failures()`, or
    TrackingError.
    """
    client_class = _client_class()
    if not uri.startswith("sqlite:"):
        return client_class(uri)
    database = Path(uri.removeprefix(SQLITE))
    database.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(uri):
        if not database.exists():
            _create(database)
        _probe_sqlite(database)
        client = client_class(uri)
        client.search_experiments(max_results=1)
    return client


def put_artifacts_right(uri: str, artifacts: str) -> None:
    """Have a storage's own database name artifacts where they lie, if the storage was moved.

    It is without MLflow's empty experiment `Default` then. Raises TrackingError.
    """
    database = Path(uri.removeprefix(SQLITE))
    try:
        with exclusive(uri):
            if put_right(database, artifacts):
                log.warning("%s: is of a storage that was moved; artifacts are here now", database)
            hide_default(database)
    except sqlite3.Error as error:
        kind = UnreachableError if _may_pass(error, uri) else TrackingError
        raise kind(f"{database}: {error}") from error


def _client_class() -> "type[MlflowClient]":
    """MLflow's client, imported late (it takes seconds) and with its chatter off."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    return MlflowClient


def _create(database: Path) -> None:
    # Not flushed by us: SQLite does that itself.
    name = f"{database.name}.{os.getpid()}.partial"
    with replaced(database, beside=name, durable=False) as partial:
        partial.unlink(missing_ok=True)
        _probe_sqlite(partial)
        _client_class()(f"{SQLITE}{partial}").search_experiments(max_results=1)


def _probe_sqlite(database: Path) -> None:
    """Fail at once where SQLite cannot write; MLflow would try for a minute and a half."""
    with closing(sqlite3.connect(database, timeout=CHECK_TIMEOUT)) as connection:
        connection.execute("BEGIN IMMEDIATE")


def _probe_database(uri: str) -> None:
    """The same for a database server."""
    import sqlalchemy

    timeout = {} if uri.startswith("mssql") else {"connect_timeout": CHECK_TIMEOUT}
    sqlalchemy.create_engine(uri, connect_args=timeout).connect().close()


def problem(uri: str) -> str | None:
    """Say why the store cannot be used, in a line that names the option; None when it answered."""
    try:
        reach(uri)
    except TrackingError as error:
        return str(error)
    return None


def reach(uri: str) -> None:
    """Have the store answer within seconds.

    Raises UnreachableError where it does not now, and TrackingError where it never will.
    """
    try:
        if not uri.startswith(("sqlite:", "http:", "https:", "databricks")):
            _probe_database(uri)
        with _short_requests():
            connect(uri).search_experiments(max_results=1)
    except TrackingError as error:
        raise type(error)(f"{named(uri)}: {error}") from error
    except failures() as error:
        kind = UnreachableError if _may_pass(error, uri) else TrackingError
        raise kind(f"{named(uri)}: {reason(error)}") from error


def named(uri: str) -> str:
    """Return the address as it was given: by MLflow's variable, where that has it, or the flag."""
    given = os.environ.get(VARIABLE, "").rstrip("/")
    shown = without_password(uri)
    return f"{VARIABLE}={shown}" if given == uri.rstrip("/") else f"--tracking-uri {shown}"


def failures() -> tuple[type[Exception], ...]:
    """Return what a request to a store can raise.

    That is MLflow, the database, the network, the disk, or a driver that is missing.
    """
    _client_class()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, SQLAlchemyError, sqlite3.Error, OSError, ImportError


def is_permanent(error: BaseException) -> bool:
    """Tell whether the store refused the request itself, so that asking again is useless."""
    return isinstance(error, ImportError) or getattr(error, "error_code", None) in PERMANENT


def _may_pass(error: BaseException, uri: str) -> bool:
    """Tell whether a store that could not be reached at the start may be reached later.

    A name that nobody knows, a file that is no database and a place without the right to write stay
    so; a server that is down, and a database that is locked or has no room, do not.
    """
    text = reason(error)
    if is_permanent(error) or "Name or service not known" in text:
        return False
    if uri.startswith("sqlite:"):
        return any(word in text for word in ("locked", "busy", "full", "No space", "disk I/O"))
    return not any(word in text for word in ("authentication failed", "does not exist"))


def reason(error: BaseException) -> str:
    """Say in one line what went wrong.

    In the system's own words where it refused a connection or a file, otherwise in the error's
    first line.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return f"{cause.strerror}: {cause.filename}" if cause.filename else cause.strerror
        if isinstance(cause, TimeoutError):
            return "timed out"
        # urllib3 keeps the system's error of a connection that was cut as an argument.
        inner = (argument for argument in cause.args if isinstance(argument, BaseException))
        cause = cause.__cause__ or cause.__context__ or next(inner, None)
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


@contextmanager
def _short_requests() -> Iterator[None]:
    """Let requests of this process fail within seconds."""
    # MLflow reads the limit from the environment at each request.
    name = "MLFLOW_HTTP_REQUEST_TIMEOUT"
    before = os.environ.get(name)
    os.environ[name] = str(CHECK_TIMEOUT)
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
