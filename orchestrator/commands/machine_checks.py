"""What `doctor` asks of this machine: its GPU, its limits, its room, and what was left running."""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.cluster.short_folder import ray_folder
from orchestrator.errors import ClusterError

__all__ = ["Check", "gpu", "left_processes", "limits", "room"]

FEWEST_FILES = 1024  # Ray alone has several hundred open
LEAST_ROOM, SCARCE_ROOM = 1e9, 5e9  # bytes
LEAST_SHARED = 2e8  # bytes of /dev/shm, a part of which is Ray's object store
OF_OURS = ("raylet/raylet", "gcs/gcs_server", "mlflow.server")


@dataclass(frozen=True)
class Check:
    """What was looked at, and what was found; `mend` says what to do, where something is wrong.

    One that `is_good` in spite of a mend is a hint.
    """

    name: str
    is_good: bool
    text: str
    mend: str = ""


def gpu() -> Check:
    """Tell whether torch sees the GPUs that the driver has."""
    import torch

    driver = _driver()
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        return Check("gpu", True, f"{count} for torch {torch.__version__}, driver {driver}")
    if driver is None:
        return Check("gpu", True, "no driver of NVIDIA here, and none is needed")
    return Check(
        "gpu",
        False,
        f"the driver {driver} is here, and torch {torch.__version__} sees no GPU",
        "install a torch for this driver (https://pytorch.org), or look at CUDA_VISIBLE_DEVICES",
    )


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = found.stdout.split()
    return lines[0] if found.returncode == 0 and lines else None


def limits() -> Iterator[Check]:
    """Tell whether open files, shared memory and the paths of sockets are enough for Ray."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = soft == resource.RLIM_INFINITY or soft >= FEWEST_FILES
    most = "any number" if hard == resource.RLIM_INFINITY else str(hard)
    yield Check(
        "open files",
        enough,
        f"at most {soft}" if soft != resource.RLIM_INFINITY else "as many as there are",
        "" if enough else f"`ulimit -n 4096` in this shell ({most} are allowed)",
    )
    shared = Path("/dev/shm")
    if shared.is_dir():
        size = shutil.disk_usage(shared).total
        enough = size >= LEAST_SHARED
        mend = "" if enough else "a container needs `--shm-size=1g`; Ray uses files until then"
        yield Check("shared memory", True, f"/dev/shm has {_gigabytes(size)}", mend)
    yield _sockets()


def _sockets() -> Check:
    from orchestrator.cluster.short_folder import folder_for_ray

    try:
        with folder_for_ray() as instead:
            text = f"in {ray_folder()}"
            if instead:
                text = f"{ray_folder()} is too long a path: in a short folder of their own"
            return Check("ray's sockets", True, text)
    except ClusterError as error:
        return Check("ray's sockets", False, str(error), "set RAY_TMPDIR to a short path")


def room(name: str, folder: Path) -> Check:
    """Tell whether there is room where a folder is, or will be made."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    mend = ""
    if free < SCARCE_ROOM:
        mend = "`simclr-orch gc` lists what can go"
    return Check(name, free >= LEAST_ROOM, f"{folder} ({_gigabytes(free)} free)", mend)


def left_processes() -> Check:
    """Tell of this user's processes of Ray and MLflow whose own parent has died."""
    found = [
        f"{process} ({title})"
        for process, parent, title in _processes()
        if parent == 1 and title is not None
    ]
    if not found:
        return Check("processes", True, "none of Ray or MLflow without the one that started it")
    numbers = " ".join(one.partition(" ")[0] for one in found)
    return Check(
        "processes",
        True,
        f"without the one that started them: {', '.join(found)}",
        f"unless a service of yours started them: kill {numbers}",
    )


def _processes() -> Iterator[tuple[int, int, str | None]]:
    """Each process of this user: its id, its parent's, and what of ours it is, if anything."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.stat().st_uid != os.getuid():
                continue
            words = folder.joinpath("cmdline").read_bytes().split(b"\0")
            parent = int(folder.joinpath("stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        yield int(folder.name), parent, _ours(words)


def _ours(words: Sequence[bytes]) -> str | None:
    text = os.fsdecode(b" ".join(words[:6]))
    return next((name.rpartition("/")[2] for name in OF_OURS if name in text), None)


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
