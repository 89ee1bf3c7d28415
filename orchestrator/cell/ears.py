"""A worker that is told by SIGTERM to end keeps its state at the next step.

Python hears signals in a process's main thread only, and Ray runs what we give it in others. It
unpacks what it is given in the main thread, though.
"""

import signal
import threading
from types import FrameType

import ray

__all__ = ["Ears", "hearing", "is_told_to_end"]

_told = threading.Event()
_listeners = [0]


class Ears:
    """Travels with a function to a worker, which hears SIGTERM once it has unpacked it."""

    def __reduce__(self) -> tuple[object, ...]:
        return _unpacked, ()


def is_told_to_end() -> bool:
    """Tell whether this process was told to end while it had something to keep."""
    return _told.is_set()


def hearing(more: int) -> None:
    """Count those that look whether it was told; without one SIGTERM does what it did before."""
    _listeners[0] += more


def _unpacked() -> Ears:
    in_worker = ray.is_initialized() and ray.get_runtime_context().get_actor_id() is not None
    if in_worker and threading.current_thread() is threading.main_thread():
        before = signal.getsignal(signal.SIGTERM)
        if getattr(before, "__name__", "") != "_hear":

            def _hear(number: int, frame: FrameType | None) -> None:
                if _listeners[0] and not _told.is_set():
                    _told.set()
                elif callable(before):
                    before(number, frame)

            signal.signal(signal.SIGTERM, _hear)
    return Ears()
