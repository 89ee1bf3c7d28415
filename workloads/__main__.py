"""The runs of a plan file on this machine, with torch alone: `python -m workloads run PLAN`.

`simclr-orch plan` writes the file, `simclr-orch import` takes in the folder that this leaves. It
can be killed at any time: the same command continues. Exit codes: 0 all that was asked for has
finished, 1 something failed, 2 the request was wrong, 3 something is left to do, 75 the same, for
the process was told to end (SIGTERM, SIGUSR1): states are kept.
"""

import argparse
import sys
import time
from pathlib import Path

began = time.monotonic()  # importing torch takes a part of the minutes that there are


def main(arguments: list[str] | None = None) -> int:
    """Parse, run, print a line when something begins or ends. Returns the exit code."""
    options = parser().parse_args(arguments)
    from workloads.runs.command import run
    from workloads.spec import SpecError

    try:
        return run(options, began if arguments is None else time.monotonic())
    except SpecError as error:
        print(error, file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """Return what reads the words of a call."""
    found = argparse.ArgumentParser(
        prog="python -m workloads",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = found.add_subparsers(dest="command", required=True, metavar="run")
    run = commands.add_parser("run", help="do the runs of a plan file, or some of them")
    run.add_argument("plan", type=Path, metavar="PLAN", help="what `simclr-orch plan` wrote")
    which = run.add_mutually_exclusive_group()
    which.add_argument("--cells", metavar="3,7-9", help="only these, by their numbers")
    which.add_argument("--share", metavar="2/8", help="only the second of eight equal shares")
    run.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="records and checkpoints go here"
    )
    run.add_argument(
        "--data-root", metavar="DIR", help="where the images lie here, in place of data.root"
    )
    run.add_argument(
        "--path",
        action="append",
        default=[],
        metavar="FIELD=PATH",
        help="the same of another field, such as eval.transfer.data.root; may be repeated",
    )
    run.add_argument("--download", action="store_true", help="fetch a data set that is not there")
    run.add_argument("--device", help="cpu, cuda, cuda:1 ...; default: all GPUs, if there are any")
    run.add_argument(
        "--at-once",
        type=int,
        metavar="N",
        help="processes; default: one a CPU; one a GPU, or two where small runs leave it idle",
    )
    run.add_argument(
        "--threads", type=int, metavar="N", help="of each process; default: its share of the CPUs"
    )
    run.add_argument(
        "--minutes", type=float, metavar="M", help="stop before so many are over, states kept"
    )
    run.add_argument(
        "--drop-states",
        action="store_true",
        help="keep no last state of a finished run; it is then reported, never evaluated again",
    )
    return found


if __name__ == "__main__":
    sys.exit(main())
