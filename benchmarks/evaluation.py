"""The path of 45 L2 strengths on frozen features against one fit, and its memory, in one run.

    python benchmarks/evaluation.py [--images 10000] [--features 128] [--classes 10] [--threads 1]
    [--repeats 3] python benchmarks/evaluation.py --full        50,000 x 512, as of CIFAR-10 by a
    ResNet-18

One fit is from zero: scikit-learn's in the middle of the path, at its weak end, which is the
costliest, and at 1e-3, in the middle of what linear evaluation chooses from; and ours in the
middle. The path is run by scikit-learn, too, each fit from the one before, as `fit_lbfgs` does.
Ratios are of processor time, as other processes may share the machine. All of it includes
standardising the features. Memory is the peak beyond the features, each in a process of its own.

Features are made: ten or more overlapping classes with a spectrum that falls as a power law, behind
a ReLU.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from workloads.evaluation.protocols.linear import fit_lbfgs, regression_path
from workloads.simclr.spec import TransferSpec

PATH = TransferSpec().l2
ONE = {"middle": PATH[len(PATH) // 2], "weakest": PATH[0], "1e-3": 1e-3}
Data = tuple[NDArray[np.float32], NDArray[np.int64]]


def made_features(images: int, features: int, classes: int) -> Data:
    """Of which a linear classifier is right about nine times in ten."""
    generator = np.random.default_rng(0)
    falling = (np.arange(1, features + 1) ** -0.75).astype(np.float32)
    rotation = np.linalg.qr(generator.normal(size=(features, features)))[0].astype(np.float32)
    centres = 0.35 * generator.normal(size=(classes, features)).astype(np.float32)
    labels = np.arange(images) % classes
    latent = centres[labels]
    latent += generator.standard_normal(size=(images, features), dtype=np.float32)
    latent *= falling
    return np.maximum(latent @ rotation, 0), labels.astype(np.int64)


def path(data: Data, classes: int, l2: tuple[float, ...] = PATH) -> None:
    for _ in regression_path(*data, classes=classes, l2=l2):
        pass


def with_scikit_learn(data: Data, classes: int, l2: tuple[float, ...]) -> None:
    few = data[0][:classes], data[1][:classes]
    fit_lbfgs(*data, few, classes=classes, l2=l2)


def seconds(work: Callable[[], None]) -> tuple[float, float]:
    """Of the processor, and by the clock."""
    processor, clock = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - processor, time.perf_counter() - clock


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def extra_mebibytes(work: Callable[[], None]) -> float:
    """Peak resident memory beyond what there is before."""
    before = peak = resident_bytes()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, resident_bytes())
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    done.set()
    watcher.join()
    return (max(peak, resident_bytes()) - before) / 2**20


def memory_in_own_process(options: argparse.Namespace, what: str) -> float:
    sizes = ("images", "features", "classes", "threads")
    command = [sys.executable, __file__, "--memory-of", what]
    for name in sizes:
        command += [f"--{name}", str(getattr(options, name))]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(options: argparse.Namespace, data: Data) -> None:
    """Interleaved, so that what else the machine does falls on all of them alike."""
    classes = options.classes
    work: dict[str, Callable[[], None]] = {"path, ours": lambda: path(data, classes)}
    for name, l2 in ONE.items():
        work[f"one fit, {name} ({l2:.2g})"] = lambda l2=l2: with_scikit_learn(data, classes, (l2,))  # type: ignore[misc]
    work["one fit of ours, middle"] = lambda: path(data, classes, (ONE["middle"],))
    work["path, scikit-learn"] = lambda: with_scikit_learn(data, classes, PATH)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for _ in range(options.repeats):
        for name, each in work.items():
            times[name].append(seconds(each))
    ours, scikit = (times[f"path, {whose}"] for whose in ("ours", "scikit-learn"))
    print(
        f"{'':28} {'CPU s':>7} {'wall s':>7} {'ours / this (range)':>24} "
        f"{'scikit-learn / this':>20}"
    )
    for name, taken in times.items():
        ratios = [path_[0] / one[0] for path_, one in zip(ours, taken, strict=True)]
        of_scikit = statistics.median(
            path_[0] / one[0] for path_, one in zip(scikit, taken, strict=True)
        )
        cpu, wall = (statistics.median(column) for column in zip(*taken, strict=True))
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})"
        print(f"{name:28} {cpu:7.2f} {wall:7.2f} {spread:>24} {of_scikit:20.2f}", flush=True)


def main() -> None:
    """Measure, and print one line per piece of work."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--features", type=int, default=128)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="50,000 x 512")
    parser.add_argument("--memory-of", choices=("path", "one"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.full:
        options.images, options.features = 50_000, 512
    torch.set_num_threads(options.threads)
    with threadpool_limits(options.threads):
        data = made_features(options.images, options.features, options.classes)
        small = made_features(500, 8, options.classes)
        path(small, options.classes)
        with_scikit_learn(small, options.classes, (1.0,))
        if options.memory_of:
            l2 = (ONE["middle"],)
            works = {
                "path": lambda: path(data, options.classes),
                "one": lambda: with_scikit_learn(data, options.classes, l2),
            }
            print(extra_mebibytes(works[options.memory_of]))
            return
        shape = (
            f"{options.images} x {options.features} features, {options.classes} classes, "
            f"{len(PATH)} strengths"
        )
        machine = (
            f"{platform.machine()}, {options.threads} thread(s), load {os.getloadavg()[0]:.1f} "
            f"on {os.cpu_count()} cores"
        )
        print(
            f"made features: {shape}; {machine}; torch {torch.__version__}; n = {options.repeats}"
        )
        measure(options, data)
        copy = data[0].nbytes / 2**20
        ours, one = (memory_in_own_process(options, what) for what in ("path", "one"))
        print(
            f"memory beyond the features ({copy:.0f} MiB): our path {ours:.0f} MiB, one fit of "
            f"scikit-learn {one:.0f} MiB"
        )


if __name__ == "__main__":
    main()
