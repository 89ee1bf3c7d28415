"""Cells per hour on 1 and 2 nodes, what a cell costs the driver, and how soon a free slot trains
again: real sweeps on local Ray nodes of 1 CPU, which is one slot, each.

    python benchmarks/scaling.py [--nodes 1 2] [--repeats 2] [--seeds 1] [--epochs 1]

The nodes are processes of this machine (ray.cluster_utils.Cluster, on a head without CPUs), and the
driver, MLflow's database and the storage share its cores with them: what is lost at as many nodes
as cores is lost to those too. The rate is that between the first and the last end of a cell.
Wrapped for the time of the run: the driver's calls to MLflow and to the storage. Prints, too, what
the records cost that a command reads before its first cell.

A slot is free when a cell has left its record. A second sweep, of cells whose epochs are one step
each, gives the time until the next cell on that node begins in its worker, and until its first
training step has ended: the data, the encoder and the optimizer are made in between. Both by the
times of the cells' files, which all lie on this machine.
"""

import argparse
import os
import secrets
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from rich.console import Console

from orchestrator.commands.request import Request
from orchestrator.commands.sweep import execute
from orchestrator.environment import prepare_environment
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import all_records
from orchestrator.tracking.recorder import Recorder

T = TypeVar("T")
TINY = {
    "data.image_size": 16,
    "data.train_images": 1000,
    "data.test_images": 200,
    "encoder.width": 0.25,
    "schedule.batch_size": 64,
    "optim.anchor_batch_size": 64,
}
RECORDER = ("started", "epoch", "ended", "taken_over")
STORAGE = ("read_bytes", "write_bytes", "list", "exists")


@dataclass(frozen=True)
class Sweep:
    """What one sweep took. Seconds, unless the name says otherwise; those of `calls` are of the
    driver.
    """

    nodes: int
    cells: int
    first: float
    rate: float
    overheads: tuple[float, ...]
    driver_cpu: float
    calls: Counter[str]
    seconds: dict[str, float]
    plan_bytes: int
    record_bytes: float
    list_seconds: float


@dataclass(frozen=True)
class Start:
    """Seconds between the end of a cell and, in the same slot, the beginning and the first training
    step of the next one.
    """

    begun: float
    stepped: float


def run_sweep(nodes: int, address: str, seeds: int, epochs: int) -> Sweep:
    """`temperature` with a cell for each of its values and seeds, in a storage of its own."""
    with tempfile.TemporaryDirectory() as folder:
        storage = Storage(folder)
        calls: Counter[str] = Counter()
        seconds: dict[str, float] = defaultdict(float)
        with timed(calls, seconds):
            began, cpu = time.time(), time.process_time()
            swept(folder, address, seeds, TINY | {"schedule.epochs": epochs})
            cpu = time.process_time() - cpu
        ends = sorted(path.stat().st_mtime for path in Path(folder).glob("runs/*/run.json"))
        before = time.perf_counter()
        records = all_records(storage)
        listing = time.perf_counter() - before
        return Sweep(
            nodes,
            len(ends),
            first=ends[0] - began,
            rate=(len(ends) - 1) / (ends[-1] - ends[0]),
            overheads=tuple(overheads(records, ends, nodes)),
            driver_cpu=cpu,
            calls=calls,
            seconds=seconds,
            plan_bytes=sum(
                path.stat().st_size for path in Path(folder).glob("sweeps/*/*/plan.json")
            ),
            record_bytes=statistics.mean(
                path.stat().st_size for path in Path(folder).glob("runs/*/run.json")
            ),
            list_seconds=listing,
        )


def run_single_steps(address: str, seeds: int) -> list[Start]:
    """The same cells with one training step an epoch, whose end the records then tell: 90 images
    are more than one batch.
    """
    with tempfile.TemporaryDirectory() as folder:
        swept(folder, address, seeds, TINY | {"schedule.epochs": 2, "data.train_images": 100})
        return list(starts(Path(folder, "runs"), all_records(Storage(folder))))


def swept(folder: str, address: str, seeds: int, fields: dict[str, float]) -> None:
    """A sweep that succeeds, with one worker of 1 CPU for each cell."""
    request = Request(
        ("temperature",),
        preset="shapes",
        assignments=tuple(f"{name}={value}" for name, value in fields.items()),
        seeds=seeds,
        cpus_per_worker=1,
        flags={"storage": folder, "address": address},
    )
    finished = execute(request, Console(file=StringIO()), "benchmark")
    if finished.exit_code:
        raise SystemExit(f"the sweep failed: {finished.document}")


def starts(runs: Path, records: list[RunRecord]) -> Iterator[Start]:
    """Of every cell that is trained, but for the first on each node, whose worker is a new
    process.
    """
    slots: dict[str, list[RunRecord]] = defaultdict(list)
    for record in sorted(
        records, key=lambda record: (runs / record.fingerprint / "run.json").stat().st_mtime
    ):
        slots[record.machine["hosts"][0]].append(record)
    for before, cell in (pair for cells in slots.values() for pair in pairwise(cells)):
        if cell.history:  # the untrained encoder has none
            begun = (runs / cell.fingerprint / "spec.yaml").stat().st_mtime
            begun -= (runs / before.fingerprint / "run.json").stat().st_mtime
            yield Start(begun, begun + cell.history[0]["seconds"])


def overheads(records: list[RunRecord], ends: list[float], nodes: int) -> Iterator[float]:
    """Seconds a cell beyond its work, where one runs after the other; nothing is known cell by cell
    where several do.
    """
    if nodes > 1:
        return
    work = [
        record.total_seconds for record in sorted(records, key=lambda record: str(record.ended))
    ]
    yield (ends[-1] - ends[0] - sum(work[1:])) / (len(ends) - 1)


@contextmanager
def timed(calls: Counter[str], seconds: dict[str, float]) -> Iterator[None]:
    """Count and time what this process asks of MLflow, as `mlflow`, and of the storage, as
    `storage`.
    """

    def wrapped(call: Callable[..., T], name: str) -> Callable[..., T]:
        def measured(*arguments: Any, **named: Any) -> T:
            began = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                calls[name] += 1
                seconds[name] += time.perf_counter() - began

        return measured

    originals = [(Recorder, name, "mlflow") for name in RECORDER] + [
        (Storage, name, "storage") for name in STORAGE
    ]
    patches = [
        patch.object(owner, name, wrapped(getattr(owner, name), what))
        for owner, name, what in originals
    ]
    try:
        for one in patches:
            one.start()
        yield
    finally:
        for one in patches:
            one.stop()


def spread(values: list[float], digits: int = 2) -> str:
    """Median, range and number of values."""
    return (
        f"{statistics.median(values):.{digits}f} "
        f"({min(values):.{digits}f}-{max(values):.{digits}f}, n = {len(values)})"
    )


def report(sweeps: list[Sweep], singles: dict[int, list[Start]]) -> None:
    """One line per number of nodes, then what a cell costs and how soon the next one trains."""
    counts = list(singles)
    base = (
        statistics.median([sweep.rate for sweep in sweeps if sweep.nodes == counts[0]]) / counts[0]
    )
    print(
        f"{'nodes':>5} {'cells':>5} {'cells per hour':>34} {'efficiency':>10} "
        f"{'until the first cell, s':>28}"
    )
    for nodes in counts:
        these = [sweep for sweep in sweeps if sweep.nodes == nodes]
        rates = [sweep.rate * 3600 for sweep in these]
        efficiency = statistics.median(rates) / 3600 / nodes / base
        first = spread([sweep.first for sweep in these], 1)
        print(
            f"{nodes:>5} {these[0].cells:>5} {spread(rates, 0):>34} {efficiency:>10.2f} {first:>28}"
        )
    if alone := [value for sweep in sweeps for value in sweep.overheads]:
        print(f"overhead a cell on one node, mean of a sweep, s: {spread(alone)}")
    for title, values in {
        "driver's CPU of a whole command / its cells, s": [
            sweep.driver_cpu / sweep.cells for sweep in sweeps
        ],
        "driver's time in MLflow a cell, s": [
            sweep.seconds["mlflow"] / sweep.cells for sweep in sweeps
        ],
        "calls to the storage a cell": [sweep.calls["storage"] / sweep.cells for sweep in sweeps],
        "milliseconds a call to the storage": [
            1e3 * sweep.seconds["storage"] / sweep.calls["storage"] for sweep in sweeps
        ],
        "kilobytes of plan.json a cell": [sweep.plan_bytes / sweep.cells / 1e3 for sweep in sweeps],
        "kilobytes of a run.json": [sweep.record_bytes / 1e3 for sweep in sweeps],
        "milliseconds a record that all_records reads": [
            1e3 * sweep.list_seconds / sweep.cells for sweep in sweeps
        ],
    }.items():
        print(f"{title}: {spread(values)}")
    for nodes, measured in singles.items():
        to_begin, to_step = (
            [start.begun for start in measured],
            [start.stepped for start in measured],
        )
        print(f"nodes {nodes}: from a free slot until the next cell begins, s: {spread(to_begin)}")
        print(
            f"nodes {nodes}: from a free slot until its first training step has ended, s: "
            f"{spread(to_step)}"
        )


def main() -> None:
    """Repeats interleaved: each adds nodes to one cluster, and takes them away again."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=1)
    options = parser.parse_args()
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; temperature on "
        f"shapes, {options.epochs} epochs a cell"
    )
    sweeps, singles = [], {nodes: list[Start]() for nodes in options.nodes}
    # Ray's servers ask for a token, which this process hands over only if it is told so before it
    # loads Ray.
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    prepare_environment()
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    try:
        for _ in range(options.repeats):
            for nodes in options.nodes:
                added = [cluster.add_node(num_cpus=1) for _ in range(nodes)]
                cluster.wait_for_nodes()
                sweeps.append(run_sweep(nodes, cluster.address, options.seeds, options.epochs))
                singles[nodes] += run_single_steps(cluster.address, options.seeds)
                for node in added:
                    cluster.remove_node(node)
    finally:
        cluster.shutdown()
    report(sweeps, singles)
    print(f"load {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
