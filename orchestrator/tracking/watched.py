"""Run a command that ends with whoever started it, however that happens.

    python -P watched.py COMMAND ...

Standard input is a pipe whose other end the starter holds and writes nothing to: it closes with the
starter's process, also a killed one's. Then, or when it is asked to end, the command and all that
it has started are ended: this process is to lead a group of its own. Standard library only.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

__all__ = ["main"]

GRACE = 10.0  # seconds


def main() -> int:
    """Run the command and return its exit code."""
    # Whoever ends the group by this signal means the command, whose end is waited for.
    signal.signal(signal.SIGTERM, lambda *_: None)
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    ending = threading.Event()
    watcher = threading.Thread(target=_end_with_starter, args=(command, ending), daemon=True)
    watcher.start()
    code = command.wait()
    if ending.is_set():
        watcher.join()  # which ends this process, too
    return code


def _end_with_starter(command: "subprocess.Popen[bytes]", ending: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    ending.set()
    os.killpg(os.getpgrp(), signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        command.wait(GRACE)
    os.killpg(os.getpgrp(), signal.SIGKILL)  # what the command has left, and this process


if __name__ == "__main__":
    sys.exit(main())
