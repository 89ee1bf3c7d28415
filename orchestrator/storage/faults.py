"""Faults of a storage: which ones pass when one waits, and what helps against the others.

An answer that is lost, a server that is busy or a disk that hiccups is asked again, with longer
and longer waits, for half a minute. A missing right, a disk that may only be read or has no room,
and a name that is not there are told at once: asking again would only hide them.
"""

import errno
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

__all__ = ["advice", "impatient", "passes", "retried"]

T = TypeVar("T")

WAITS = (0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 8.0)  # seconds before the second try and later ones
PATIENCE = 30.0  # seconds after which no other try is begun

PASSING = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EINTR,
        errno.EIO,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.EPIPE,
        errno.EREMOTEIO,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# Of object stores, as Arrow, boto3 and fsspec's packages word them.
BUSY = re.compile(
    r"slow.?down|throttl|too.?many.?requests|request rate|service.?unavailable|internal.?(error|"
    r"failure)|network.?connection|bad gateway|timed?.?out|connection (was )?(refused|reset|"
    r"aborted|closed)|could not connect|temporarily|disconnected|\b(408|425|429|50[0234])\b",
    re.IGNORECASE,
)
# What Arrow and others say of a request that was understood and refused.
REFUSED = re.compile(r"AWS Error|denied|forbidden|credential|no such|not found", re.IGNORECASE)
BUSY_CODES = frozenset({408, 425, 429, 500, 502, 503, 504})

_patience: ContextVar[float] = ContextVar("patience", default=PATIENCE)


@contextmanager
def impatient(seconds: float = 3.0) -> Iterator[None]:
    """Wait less for faults to pass meanwhile: somebody looks on, and nothing is under way yet."""
    before = _patience.set(min(seconds, _patience.get()))
    try:
        yield
    finally:
        _patience.reset(before)


def passes(error: BaseException, *, local: bool) -> bool:
    """Tell whether a fault is of the kind that is gone a moment later."""
    number = getattr(error, "errno", None)
    if isinstance(number, int):
        return number in PASSING
    if local:  # a disk of this machine always gives its number
        return False
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    if (code := _http_status(error)) is not None:
        return code in BUSY_CODES
    text = str(error)
    if BUSY.search(text):
        return True
    # what says nothing of itself is asked once more
    return isinstance(error, OSError) and type(error) is OSError and not REFUSED.search(text)


def _http_status(error: BaseException) -> int | None:
    """The status of an answer by HTTP, where boto3, aiohttp or google's errors carry one."""
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):
        code = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        code = getattr(error, "status", None) or getattr(error, "code", None)
    return code if isinstance(code, int) and 100 <= code < 600 else None


def retried(attempt: Callable[[], T], *, local: bool) -> T:
    """Return what `attempt` returns, which is made again where its fault may pass.

    Raises the last fault, which has a note on how often it was tried.
    """
    began = time.monotonic()
    for tries, wait in enumerate((*WAITS, None), start=1):
        try:
            return attempt()
        except Exception as error:
            waited = time.monotonic() - began
            over = wait is None or waited + wait > _patience.get()
            if not passes(error, local=local):
                raise
            if wait is None or over:
                error.add_note(f"tried {tries} times in {waited:.0f} s")
                raise
        # of many that were refused at once, not all come back at once
        time.sleep(wait * random.uniform(0.5, 1.5))
    raise AssertionError("the last try returns or raises")


def advice(error: BaseException, *, local: bool) -> str:
    """Say, after a fault, what to do about it: `; free some room, ...`; nothing if not known."""
    number = getattr(error, "errno", None)
    notes = f" ({', '.join(error.__notes__)})" if getattr(error, "__notes__", None) else ""
    if number in FULL or "No space left" in str(error):
        return f"{notes}; there is no room: free some, and the same command goes on"
    if number == errno.EROFS:
        return f"{notes}; it may only be read: mount it to be written, or give another --storage"
    if number in (errno.EACCES, errno.EPERM):
        return f"{notes}; this user may not: change its owner or rights, or give another --storage"
    if passes(error, local=local):
        return f"{notes}; the same command goes on once it answers"
    return notes
