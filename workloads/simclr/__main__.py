"""One SimCLR run in this process, without Ray and MLflow: `python -m workloads.simclr`.

Under torchrun it is one of several workers. Interrupted, the same command continues from the last
finished epoch. Told to end, by SIGTERM or SIGUSR1, it keeps its state and leaves with exit code 75.
"""

import argparse
import json
import os
import sys
import threading
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import torch.distributed as dist
import yaml

from workloads.checkpoint import decode, encode
from workloads.datasets import load
from workloads.distributed.agreement import agreed
from workloads.distributed.worker import Worker
from workloads.evaluation.divergence import DIVERGENCE
from workloads.evaluation.evaluate import evaluate
from workloads.evaluation.pinned import own_problems, pinned_own
from workloads.facts import Midway
from workloads.inventory import DataRead, lines_of, told_of_reading
from workloads.local_files import write_whole
from workloads.simclr.initial import pinned_start
from workloads.simclr.own_parts import pinned_parts
from workloads.simclr.presets import PRESETS, preset
from workloads.simclr.pretrain import as_found, pretrain_by_step
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError
from workloads.told_to_end import TOLD_TO_END, when_told_to_end
from workloads.written import read_assignments, read_yaml

PATIENCE = timedelta(minutes=30)  # with workers that do not answer: what Ray Train has, too


class _ToldToEndError(Exception):
    """The process is about to be ended; the state is kept."""


def main(arguments: list[str] | None = None) -> int:
    """Parse, run, print one JSON line an epoch and one for the evaluation.

    Returns the exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        base = (
            RunSpec.read(read_yaml(options.config, RunSpec))
            if options.config
            else preset(options.preset)
        )
        spec = base.with_values(read_assignments(options.set, RunSpec))
        read: list[DataRead] = []
        with told_of_reading(partial(_took, read)):
            data = load(spec.data, download=options.download, without_labels=True)
            spec = as_found(spec, data)
            spec = pinned_own(pinned_start(pinned_parts(spec)))
            if problems := own_problems(spec):
                raise SpecError(problems)
            folder = options.output / spec.fingerprint()
            _run(spec, _join_workers(options.device), folder, read)
    except SpecError as error:
        print(error, file=sys.stderr)
        return 2
    except _ToldToEndError:
        return TOLD_TO_END
    except DIVERGENCE as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workloads.simclr", description=__doc__)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--preset", default="shapes", metavar="|".join(PRESETS))
    source.add_argument("--config", type=Path, help="a whole specification as YAML")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("simclr-runs"),
        help="a folder per specification goes here",
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1 ...; default: a GPU if there is one")
    parser.add_argument(
        "--download", action="store_true", help="fetch a data set that is not in data.root yet"
    )
    return parser


def _took(read: list[DataRead], one: DataRead) -> None:
    read.append(one)
    if os.environ.get("RANK", "0") == "0":
        for line in lines_of([one.tree()]):
            print(line, file=sys.stderr)


def _run(spec: RunSpec, worker: Worker, folder: Path, read: Sequence[DataRead]) -> None:
    """Train and evaluate; `read` are the data that were read, and is added to meanwhile.

    Raises _ToldToEndError after a step, its state kept, where a worker was told to end.
    """
    told = threading.Event()
    when_told_to_end(told.set)
    leaves = agreed(told.is_set, worker)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    state = _read(checkpoint) if checkpoint.exists() else None

    for result in pretrain_by_step(spec, worker, state, leaves):
        state = result.state
        if worker.rank == 0:
            if not isinstance(result, Midway):
                print(json.dumps({"epoch": result.epoch} | result.metrics), flush=True)
            _replace(checkpoint, encode(state))
        if isinstance(result, Midway) or (result.epoch != spec.schedule.epochs and leaves()):
            raise _ToldToEndError
    assert state is not None, "pretrain yields at least once"

    results: dict[str, object] = dict(evaluate(spec, state, worker).results)
    results["data_read"] = [one.tree() for one in read]
    if worker.rank == 0:
        (folder / "spec.yaml").write_text(yaml.safe_dump(spec.tree(), sort_keys=False))
        _replace(folder / "results.json", (json.dumps(results, indent=2) + "\n").encode())
        print(json.dumps(results | {"folder": str(folder)}))


def _read(checkpoint: Path) -> dict[str, Any]:
    try:
        return decode(checkpoint.read_bytes())
    except (EOFError, LookupError, OSError, RuntimeError, ValueError, UnpicklingError) as error:
        told = " ".join(str(error).split())[:200]
        raise SpecError([f"{checkpoint}: {told}; without it the run begins again"]) from error


def _replace(path: Path, data: bytes) -> None:
    """Write so that a kill leaves either the old file or the new one."""
    write_whole(path, data, beside=f"{path.stem}.partial", durable=False)


def _join_workers(device: str | None) -> Worker:
    if "WORLD_SIZE" not in os.environ:
        return Worker.here(device)
    gpu = torch.cuda.is_available() and device != "cpu"
    dist.init_process_group("nccl" if gpu else "gloo", timeout=PATIENCE)
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        return Worker.here(f"cuda:{os.environ['LOCAL_RANK']}")
    return Worker.here("cpu")


if __name__ == "__main__":
    sys.exit(main())
