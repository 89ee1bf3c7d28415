"""Work on many files at a time."""

import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import TypeVar

__all__ = ["in_threads"]

Result = TypeVar("Result")


def in_threads(
    threads: int, names: list[str], work: Callable[[str, threading.Event], Result]
) -> Generator[tuple[str, Result]]:
    """Do the work of every name in so many threads, and yield each with its result, as they come.

    When one fails or nobody asks further, what has not begun is left undone, and what has sees its
    event set.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(threads) as pool:
        futures: dict[Future[Result], str] = {pool.submit(work, name, stop): name for name in names}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
