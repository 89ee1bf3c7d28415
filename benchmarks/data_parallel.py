"""A training step on 1, 2 and 4 workers at one global batch, and how much of it is collectives.

    python benchmarks/data_parallel.py [--workers 1 2] [--batch 128] [--steps 5] [--rounds 2]

Workers are processes of this machine that talk through gloo, one thread each; one worker takes the
same path and has no one to talk to. Rounds of the worker counts are interleaved. Timed are the
steps of `workloads.simclr.pretrain`: views, both views through the encoder, NT-Xent against all
workers' keys, LARS. Collectives: BN's moments, NT-Xent's keys and the gradients; a moment counts
when one of them is under way, also where backward goes on meanwhile, and waiting for a slower
worker counts too.
"""

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import start_processes
from torch.nn.parallel import DistributedDataParallel
from torch.profiler import ProfilerActivity, profile

from workloads.distributed.worker import Worker, limit_threads
from workloads.simclr import optim
from workloads.simclr.losses import contrastive_loss
from workloads.simclr.pretrain import autocast, initial_model
from workloads.simclr.spec import RunSpec
from workloads.simclr.views import two_views

COMMON = {
    "data": {"image_size": 32},
    "augment": {"operations": ["crop", "color"], "color": {"strength": 0.5}},
    "loss": {"temperature": 0.5},
    "optim": {"base_learning_rate": 1.0},
}
ENCODERS = {
    "convnet": {"architecture": "convnet", "stem": "cifar"},
    "resnet18, width 0.25": {"architecture": "resnet18", "width": 0.25, "stem": "cifar"},
}


@dataclass(frozen=True)
class Steps:
    """Of one worker in one round: seconds of each step, and the share of further, profiled ones
    that collectives take.
    """

    seconds: list[float]
    collectives: float


def train(spec: RunSpec, batch: int, steps: int, worker: Worker) -> Steps:
    """`steps` updates after two that warm up."""
    model: nn.Module = initial_model(spec).to(memory_format=torch.channels_last)
    optimizer = optim.build(model, spec.optim, spec.learning_rate)
    if worker.world_size > 1:
        model = DistributedDataParallel(model, broadcast_buffers=False)
    generator = torch.Generator().manual_seed(worker.rank)
    images = torch.randint(
        0, 256, (batch // worker.world_size, 3, 32, 32), dtype=torch.uint8, generator=generator
    )

    def step() -> float:
        if worker.world_size > 1:
            dist.barrier()
        began = time.perf_counter()
        views = torch.cat(two_views(images, spec.augment, generator)).contiguous(
            memory_format=torch.channels_last
        )
        with autocast(spec, worker):
            z0, z1 = model(views).chunk(2)
            loss = contrastive_loss(z0, z1, spec.loss)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return time.perf_counter() - began

    for _ in range(2):
        step()
    seconds = [step() for _ in range(steps)]
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        slowed = [step() for _ in range(2)]
    return Steps(seconds, union(collectives_in(profiled)) / sum(slowed))


def collectives_in(profiled: profile) -> list[tuple[float, float]]:
    """Begin and end of every collective but the barrier between steps, in seconds."""
    names = (
        "gloo:all_reduce",
        "gloo:all_gather",
        "gloo:_all_gather_base",
        "gloo:all_gather_into_tensor",
    )
    events = [event for event in profiled.events() or () if event.name.startswith(names)]  # type: ignore[no-untyped-call]
    return [(event.time_range.start * 1e-6, event.time_range.end * 1e-6) for event in events]


def union(spans: Iterable[tuple[float, float]]) -> float:
    """The length that spans cover together."""
    covered, until = 0.0, float("-inf")
    for begin, end in sorted(spans):
        covered += max(0.0, end - max(begin, until))
        until = max(until, end)
    return covered


def work(rank: int, workers: int, folder: str, batch: int, steps: int) -> None:
    """One of the processes of a round; each leaves what it measured in the folder."""
    limit_threads(1)
    if workers > 1:
        dist.init_process_group(
            "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=workers
        )
    warnings.simplefilter("ignore", FutureWarning)  # of names that torch will change
    measured = {}
    for encoder, fields in ENCODERS.items():
        spec = RunSpec.read(COMMON | {"encoder": fields, "schedule": {"batch_size": batch}})
        measured[encoder] = vars(train(spec, batch, steps, Worker.here("cpu")))
    torch.save(measured, f"{folder}/rank{rank}.pt")
    if workers > 1:
        dist.destroy_process_group()


def one_round(workers: int, batch: int, steps: int) -> dict[str, Steps]:
    """By encoder: of each step the slowest worker's time, of the collectives the median
    worker's.
    """
    with tempfile.TemporaryDirectory() as folder:
        start_processes(work, (workers, folder, batch, steps), nprocs=workers, start_method="spawn")  # type: ignore[no-untyped-call]
        ranks = [
            torch.load(path, weights_only=True) for path in sorted(Path(folder).glob("rank*.pt"))
        ]
    rounds = {}
    for encoder in ENCODERS:
        found = [Steps(**rank[encoder]) for rank in ranks]
        slowest = [max(times) for times in zip(*(each.seconds for each in found), strict=True)]
        rounds[encoder] = Steps(slowest, statistics.median(each.collectives for each in found))
    return rounds


def main() -> None:
    """Measure, and print one line per encoder and number of workers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cores = os.cpu_count() or 1
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[count for count in (1, 2, 4) if count <= cores]
    )
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    # the workers' profilers would report that there is no GPU
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    print(
        f"global batch {options.batch} of 32 px, gloo, 1 thread a worker, {cores} cores, load "
        f"{os.getloadavg()[0]:.1f}"
    )
    print(
        f"{'encoder':<22} {'workers':>7} {'ms a step':>10} {'range':>14} {'n':>4} "
        f"{'speed-up':>8} {'collectives':>12}"
    )
    rounds: dict[int, list[dict[str, Steps]]] = {workers: [] for workers in options.workers}
    for _ in range(options.rounds):
        for workers in options.workers:
            rounds[workers].append(one_round(workers, options.batch, options.steps))
    for encoder in ENCODERS:
        alone = 0.0
        for workers, measured in rounds.items():
            seconds = [value for each in measured for value in each[encoder].seconds]
            median = statistics.median(seconds)
            alone = alone or median
            share = statistics.median(each[encoder].collectives for each in measured)
            extent = f"{min(seconds) * 1e3:.0f}-{max(seconds) * 1e3:.0f}"
            line = (
                f"{encoder:<22} {workers:>7} {median * 1e3:>10.0f} {extent:>14} {len(seconds):>4}"
            )
            print(f"{line} {alone / median:>8.2f} {share:>11.0%}")


if __name__ == "__main__":
    main()
