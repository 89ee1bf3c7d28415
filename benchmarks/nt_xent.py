"""NT-Xent, forward and backward: ours against the full 2N x 2N matrix in plain torch, interleaved
in one run.

    python benchmarks/nt_xent.py [--threads 2] [--repeats 5] [--device cuda]

Prints, for each N (D = 128, fp32): the median time of both, the ratio of the medians with its range
over pairs that ran one after the other, and the peak memory each needs beyond its inputs (one run
of each in a process of its own).
"""

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from workloads.simclr.losses import nt_xent

SIZES = (256, 2048, 8192)
DIM = 128
TEMPERATURE = 0.1


def ours(z0: Tensor, z1: Tensor) -> Tensor:
    return nt_xent(z0, z1, temperature=TEMPERATURE)


def full_matrix(z0: Tensor, z1: Tensor) -> Tensor:
    z = F.normalize(torch.cat([z0, z1]), dim=1)
    logits = (z @ z.T / TEMPERATURE).fill_diagonal_(-torch.inf)
    n = len(z0)
    return F.cross_entropy(logits, torch.arange(2 * n, device=z.device).roll(n))


VARIANTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"ours": ours, "full": full_matrix}


def views(n: int, device: str) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    z0, z1 = (torch.randn(n, DIM).to(device).requires_grad_() for _ in range(2))
    return z0, z1


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def seconds(loss: Callable[[Tensor, Tensor], Tensor], z0: Tensor, z1: Tensor, calls: int) -> float:
    wait()
    start = time.perf_counter()
    for _ in range(calls):
        z0.grad = z1.grad = None
        loss(z0, z1).backward()  # type: ignore[no-untyped-call]
    wait()
    return (time.perf_counter() - start) / calls


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def extra_mebibytes(loss: Callable[[Tensor, Tensor], Tensor], n: int, device: str) -> float:
    """Peak memory of one forward and backward above what the inputs and the loaded libraries
    hold.
    """
    loss(*views(8, device)).backward()  # type: ignore[no-untyped-call]
    z0, z1 = views(n, device)
    if z0.is_cuda:
        held = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        loss(z0, z1).backward()  # type: ignore[no-untyped-call]
        return (torch.cuda.max_memory_allocated() - held) / 2**20
    before = peak = resident_bytes()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, resident_bytes())
            time.sleep(0.0005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    loss(z0, z1).backward()  # type: ignore[no-untyped-call]
    done.set()
    watcher.join()
    return (max(peak, resident_bytes()) - before) / 2**20


def extra_in_own_process(variant: str, n: int, threads: int, device: str) -> float:
    command = [
        sys.executable,
        __file__,
        f"--threads={threads}",
        f"--device={device}",
        "--memory-of",
        variant,
        str(n),
    ]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(n: int, threads: int, repeats: int, device: str) -> str:
    z0, z1 = views(n, device)
    calls = max(1, (2048 if device == "cpu" else 2**16) // n)
    times: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for repeat in range(repeats + 1):
        for variant, loss in VARIANTS.items():
            elapsed = seconds(loss, z0, z1, calls)
            if repeat > 0:
                times[variant].append(elapsed)
    pairs = [full / our for our, full in zip(times["ours"], times["full"], strict=True)]
    our, full = (statistics.median(times[variant]) for variant in VARIANTS)
    memory = [extra_in_own_process(variant, n, threads, device) for variant in VARIANTS]
    return (
        f"{n:>6} {our * 1e3:>9.2f} {full * 1e3:>9.2f} {full / our:>8.2f} ({min(pairs):.2f} - "
        f"{max(pairs):.2f})"
        f" {memory[0]:>9.0f} {memory[1]:>9.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--memory-of", nargs=2, metavar=("VARIANT", "N"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.memory_of:
        variant, n = arguments.memory_of
        print(extra_mebibytes(VARIANTS[variant], int(n), arguments.device))
        return
    place = (
        (f"{arguments.threads} threads")
        if arguments.device == "cpu"
        else torch.cuda.get_device_name()
    )
    print(f"torch {torch.__version__}, {place}, D = {DIM}, fp32, forward and backward")
    print(
        f"{'N':>6} {'ours ms':>9} {'full ms':>9} {'full/ours (range)':>24} {'ours MiB':>9} "
        f"{'full MiB':>9}"
    )
    for n in SIZES:
        print(compare(n, arguments.threads, arguments.repeats, arguments.device), flush=True)


if __name__ == "__main__":
    main()
