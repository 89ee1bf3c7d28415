"""49 cells x 5 seeds of the paper's recipe on 8, 64 and 1024 GPUs, and where a sweep stops scaling:
docs/scaling.md's tables.

    python benchmarks/simulate.py

Simulated (simulator.py) with what was measured on a small machine and on one H100 and, for the
rest, with assumptions; both are below, each with where it comes from.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from simulator import HOUR, Cell, Driver, Gpus, Result, poisson_interval, simulate

__all__ = ["tables"]

MEASURED = {
    # measured: 2 cores of an AMD EPYC, benchmarks/sweep.py, 0.08 s (0.06-0.08, n = 6 cells), of
    # which 0.06-0.07 s in MLflow
    "driver_start": 0.02,
    "driver_end": 0.06,
    # measured: there, one log_batch on SQLite, 0.023-0.044 s; one epoch of a cell is one
    "driver_write": 0.03,
    # measured: benchmarks/scaling.py, a free slot's next cell begins after 0.11-0.16 s (n = 46),
    # 0.08 s of it the driver's
    "next_start": 0.05,
    # measured: there, a cell of several workers (Ray Train), 19-21 s of new processes for each cell
    "train_start": 20.0,
    # measured: there, a storage on the local disk: calls of the driver a cell, seconds of a record
    # that is read
    "storage_calls": 9.3,
    "storage_call": 0.00017,
    # measured: there, bytes of a cell in plan.json
    "plan_bytes": 640.0,
    # measured: benchmarks/training_step.py, one H100 of 80 GB, ResNet-50, 224 px, batch 256, bf16:
    # 1,708 and 1,548 images/s (n = 5 and 3 times 4 steps) of two views each, times 24.55 GFLOP a
    # view, forward and backward (8.18 GFLOP forward, counted by torch on `imagenet-paper`): 8 % of
    # the peak
    "flop_per_second": 2 * 1628 * 24.55e9,
    # measured: benchmarks/loader.py, JPEGs of 500 x 375 to 256 px by a thread on an AMD EPYC (two:
    # 349, 345-367, n = 3)
    "decode_rate": 175.0,
}
ASSUMED = {
    "node_boot": 300.0,
    "decode_threads": 16.0,  # of each new node, as fast as the measured ones; 1.33 million JPEGs
    "checkpoint": 5.0,  # 224 MB of weights and momentum, written while training waits
    "object_store_call": 0.03,
    "spread": 0.03,  # of the cells' durations, relative
    # US dollars per H100 and hour: round numbers between providers, not a quotation
    "price": 3.50,
    "spot_price": 1.80,
}
IMAGES = 309 * 4096  # an epoch's: ImageNet without its validation split, whole batches
EPOCHS, EVALUATION_EPOCHS, VIEW_FORWARD = 100, 90, 8.18e9
CELLS, GPUS_PER_CELL, REPEATS = 49 * 5, 8, 3


def paper_cell(interval_epochs: float, evaluation: str) -> tuple[Cell, float]:
    """The paper's recipe on 8 GPUs, and the seconds of an epoch.

    `evaluation`: 90 epochs of SGD on the encoder's features of random crops, by the first GPU alone
    or shared by all; or the features once and a regression on them (about 10 minutes on a CPU,
    assumed).
    """
    speed = MEASURED["flop_per_second"]
    epoch = 2 * IMAGES * 3 * VIEW_FORWARD / speed / GPUS_PER_CELL
    forward = IMAGES * VIEW_FORWARD / speed
    match evaluation:
        case "first GPU":
            seconds = EVALUATION_EPOCHS * forward
        case "all GPUs":
            seconds = EVALUATION_EPOCHS * forward / GPUS_PER_CELL
        case _:
            seconds = forward + 600
    train = EPOCHS * epoch
    return Cell(
        train=train,
        evaluate=seconds,
        interval=interval_epochs * epoch,
        checkpoint=ASSUMED["checkpoint"],
    ), epoch


def paper_sweep(
    gpus: int,
    preemptions: float,
    *,
    interval_epochs: float = 1,
    evaluation: str = "all GPUs",
    cells: int = CELLS,
) -> list[Result]:
    """49 cells x 5 seeds, simulated a few times."""
    cell, epoch = paper_cell(interval_epochs, evaluation)
    decode = 1.33e6 / (MEASURED["decode_rate"] * ASSUMED["decode_threads"])
    cluster = Gpus(
        count=gpus,
        per_cell=GPUS_PER_CELL,
        preemptions=preemptions,
        node_start=ASSUMED["node_boot"] + decode,
        first_start=MEASURED["train_start"],
        next_start=MEASURED["train_start"],
        idle_kept=600,
        price=ASSUMED["spot_price"] if preemptions else ASSUMED["price"],
    )
    driver = Driver(
        start=MEASURED["driver_start"],
        end=MEASURED["driver_end"],
        write=MEASURED["driver_write"],
        between_writes=epoch,
    )
    results = []
    for seed in range(REPEATS):
        chance = random.Random(seed)
        lengths = [chance.lognormvariate(0, ASSUMED["spread"]) for _ in range(cells)]
        varied = [
            replace(cell, train=length * cell.train, evaluate=length * cell.evaluate)
            for length in lengths
        ]
        results.append(simulate(varied, cluster, driver, seed))
    return results


def mean(results: Sequence[Result], of: Callable[[Result], float]) -> float:
    return sum(of(result) for result in results) / len(results)


def table(title: str, header: str, rows: Sequence[str]) -> str:
    """A table in Markdown under its title."""
    columns = header.count("|") + 1
    return "\n".join(
        [
            f"**{title}**",
            "",
            f"| {header} |",
            "|" + "---|" * columns,
            *(f"| {row} |" for row in rows),
        ]
    )


def sweep_row(results: Sequence[Result]) -> str:
    """Days, GPU-hours and their parts, cost, and cells that were preempted more often than
    `--max-failures 2` allows.
    """
    hours = mean(results, lambda result: result.gpu_hours)
    parts = [
        mean(results, part) / hours
        for part in (lambda r: r.useful, lambda r: r.lost, lambda r: r.overhead, lambda r: r.idle)
    ]
    often = mean(results, lambda result: sum(count > 2 for count in result.preemptions))
    return (
        f"{mean(results, lambda r: r.wall_seconds) / 86400:.1f} | {hours:,.0f} | "
        + " | ".join(f"{part:.1%}" for part in parts)
        + f" | {mean(results, lambda r: r.cost):,.0f} | {often:.0f}"
    )


SWEEP_HEADER = "days | GPU-hours | useful | lost | overhead | idle | US $ | cells lost > 2 times"
RATES = {"none, on demand": 0.0, "0.01, spot": 0.01, "0.05, spot": 0.05}


def tables() -> Iterator[str]:
    """What docs/scaling.md shows."""
    yield table(
        "49 cells x 5 seeds, a checkpoint each epoch",
        f"GPUs | preemptions per GPU-hour | {SWEEP_HEADER}",
        [
            f"{gpus:,} | {name} | {sweep_row(paper_sweep(gpus, rate))}"
            for gpus in (8, 64, 1024)
            for name, rate in RATES.items()
        ],
    )
    yield table(
        "The evaluation, on 64 GPUs at 0.01 preemptions per GPU-hour",
        f"evaluation | {SWEEP_HEADER}",
        [
            f"{name} | {sweep_row(paper_sweep(64, 0.01, evaluation=which))}"
            for name, which in (
                ("SGD on the first GPU, as before", "first GPU"),
                ("SGD shared by all 8, as now", "all GPUs"),
                ("regression on cached features", "features"),
            )
        ],
    )
    yield interval_table()
    yield driver_table()
    yield storage_table()


def interval_table() -> str:
    """Training alone: GPU-hours beyond the work itself, by how often it is checkpointed."""
    epoch = paper_cell(1, "features")[1]
    rows = []
    for rate in (0.01, 0.05):
        between = HOUR / (rate * GPUS_PER_CELL)
        best = poisson_interval(ASSUMED["checkpoint"], between) / epoch
        gpus = Gpus(count=8, per_cell=8, preemptions=rate)
        extra = []
        for epochs in (1, 2, best, 10, 25, 100):
            cell = replace(paper_cell(epochs, "features")[0], evaluate=0.0)
            result = simulate([cell] * 1000, gpus, Driver())
            extra.append(f"{result.gpu_hours / result.useful - 1:.1%}")
        rows.append(
            f"{rate} | {between / HOUR:.1f} h | {best:.1f} epochs, {best * epoch / 60:.0f} min | "
            f"{' | '.join(extra)}"
        )
    header = (
        "preemptions per GPU-hour | of a cell, every | sqrt(2CM) | 1 epoch | 2 | sqrt(2CM) | 10 "
        "| 25 | only at the end"
    )
    return table(
        "Extra time by checkpoint interval (training only, 1,000 cells, without restarts)",
        header,
        rows,
    )


def driver_table() -> str:
    """Cells of one GPU each, ten for each GPU, none preempted."""
    driver = Driver(start=MEASURED["driver_start"], end=MEASURED["driver_end"])
    rows = []
    for seconds in (2, 30, 300, 3600):
        cells = []
        for gpus in (8, 64, 1024):
            group = Gpus(
                count=gpus, first_start=MEASURED["next_start"], next_start=MEASURED["next_start"]
            )
            result = simulate([Cell(train=seconds)] * (10 * gpus), group, driver)
            cells.append(f"{result.useful / result.gpu_hours:.0%}, {result.driver_utilisation:.0%}")
        saturated = seconds / (driver.start + driver.end)
        rows.append(f"{seconds:,} s | {' | '.join(cells)} | {saturated:,.0f}")
    header = "a cell's work | 8 GPUs | 64 | 1,024 | GPUs that fill the driver"
    return table(
        "Useful share of the GPUs' time, and the driver's load, once workers are warm", header, rows
    )


def storage_table() -> str:
    """What a command reads before its first cell, and how large its plan is."""
    calls, near, far = (
        MEASURED["storage_calls"],
        MEASURED["storage_call"],
        ASSUMED["object_store_call"],
    )
    rows = []
    for cells in (245, 2_500, 25_000):
        plan = cells * MEASURED["plan_bytes"] / 1e6
        rows.append(
            f"{cells:,} | {cells * near:.1f} s | {cells * far:,.0f} s | "
            f"{cells * calls * far / 60:,.0f} min | {plan:.1f} MB"
        )
    header = (
        "runs in the storage | all_records, disk | all_records, object store | all calls of a "
        "sweep of as many | plan.json"
    )
    return table("The storage, one call after the other", header, rows)


def main() -> None:
    """Print every table."""
    print("\n\n".join(tables()))


if __name__ == "__main__":
    main()
