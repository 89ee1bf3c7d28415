"""The two-layer study: cells in one call against the same cells one by one, interleaved in one run.

    python benchmarks/two_layer_cnn.py [--threads 1] [--repeats 3] [--grid]

Prints, for cells of one number of labels and for cells of all three, the median time of both (3
signal-to-noise ratios, both arms, 3 seeds: 18 cells a number), the ratio of the medians with its
range over pairs that ran one after the other, and the largest relative difference of a result.
Cells that differ in labels alone share their pre-training.
--grid runs the whole study instead (5 ratios, 10 numbers of labels, 5 seeds, both arms: 500 cells)
and prints its time.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable

import torch

from workloads.two_layer_cnn.presets import preset
from workloads.two_layer_cnn.run import run
from workloads.two_layer_cnn.spec import TwoLayerSpec

Results = list[dict[str, float]]


def cells(ratios: list[float], labels: list[int], seeds: int) -> list[TwoLayerSpec]:
    return [
        preset("gaussian-patches").with_values(
            {
                "pretrain.method": method,
                "data.signal_to_noise": ratio,
                "data.labels": count,
                "seed": seed,
            }
        )
        for method, ratio, count, seed in itertools.product(
            ("simclr", "none"), ratios, labels, range(seeds)
        )
    ]


def one_by_one(specs: list[TwoLayerSpec]) -> Results:
    return [run([spec])[0] for spec in specs]


def timed(
    way: Callable[[list[TwoLayerSpec]], Results], specs: list[TwoLayerSpec]
) -> tuple[float, Results]:
    start = time.perf_counter()
    given = way(specs)
    return time.perf_counter() - start, given


def difference(some: Results, others: Results) -> float:
    pairs = [
        (one[name], other[name]) for one, other in zip(some, others, strict=True) for name in one
    ]
    return max(abs(one - other) / max(abs(other), 1e-12) for one, other in pairs)


def compare(labels: list[int], repeats: int) -> str:
    specs = cells([0.1, 0.2, 0.4], labels, 3)
    together, alone, apart = [], [], 0.0
    for _ in range(repeats):
        seconds, given = timed(run, specs)
        together.append(seconds)
        seconds, expected = timed(one_by_one, specs)
        alone.append(seconds)
        apart = max(apart, difference(given, expected))
    pairs = [slow / fast for slow, fast in zip(alone, together, strict=True)]
    once, each = statistics.median(together), statistics.median(alone)
    name = ", ".join(map(str, labels))
    return (
        f"{name:>12} {once:>10.2f} {each:>10.2f} {each / once:>8.2f} ({min(pairs):.2f} - "
        f"{max(pairs):.2f}) {apart:>12.1e}"
    )


def whole_grid() -> str:
    specs = cells([0.1, 0.15, 0.2, 0.3, 0.4], [2**power for power in range(1, 11)], 5)
    busy = time.process_time()
    seconds, given = timed(run, specs)
    converged = sum(one["converged"] for one in given)
    return (
        f"{len(specs)} cells: {seconds:.0f} s, {time.process_time() - busy:.0f} s of CPU, "
        f"{converged:.0f} converged"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--grid", action="store_true", help="time the whole study")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(
        f"torch {torch.__version__}, {arguments.threads} threads, d = 1000, 250 unlabeled "
        "inputs, fp64"
    )
    if arguments.grid:
        print(whole_grid())
        return
    print(
        f"{'labels':>12} {'at once s':>10} {'each s':>10} {'each/at once (range)':>24} "
        f"{'difference':>12}"
    )
    for labels in ([8], [64], [512], [8, 64, 512]):
        print(compare(labels, arguments.repeats), flush=True)


if __name__ == "__main__":
    main()
