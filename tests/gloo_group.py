"""A program: the workers of a group over gloo, each of which runs one function of a test file.

`python gloo_group.py FILE FUNCTION FOLDER WORKERS SECONDS START` calls the function with the folder
in each worker and leaves what it returns as `0.pt`, `1.pt` and so on there, by rank. A worker waits
SECONDS for another one. It is what conftest's `gloo_group` starts: pytest's own process has started
threads, which a fork would not take along.
"""

import sys
from datetime import timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import start_processes


def loaded(file: str) -> ModuleType:
    """Return the test file as a module, executed once a process and shared by its forks."""
    name = Path(file).stem
    if name not in sys.modules:
        spec = spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def work(rank: int, file: str, function: str, folder: str, workers: int, seconds: float) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=rank,
        world_size=workers,
        timeout=timedelta(seconds=seconds),
    )
    result = getattr(loaded(file), function)(Path(folder))
    torch.save(result, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    file, function, folder, workers, seconds, start = sys.argv[1:]
    if start == "fork":
        loaded(file)  # one import of all that it needs, for every worker
    shared = (file, function, folder, int(workers), float(seconds))
    start_processes(work, shared, nprocs=int(workers), start_method=start)  # type: ignore[no-untyped-call]
