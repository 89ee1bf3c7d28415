"""CPU seconds of `simclr-orch runs` by the index beside reading every record, and of a dry run in a
storage of many runs beside one of few.

    python benchmarks/run_list.py [RUNS]

Medians of repeats in one run; the records are made up.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from orchestrator.storage import Storage
from orchestrator.storage.index import INDEX
from workloads.simclr.presets import preset
from workloads.spec import digest

REPEATS = 5
COMMAND = [sys.executable, "-c", "from orchestrator.cli import main; main()"]


def make(folder: Path, runs: int) -> None:
    """Write so many records: the fields of `shapes`, some of which differ, and twenty epochs."""
    base = preset("shapes").tree()
    epoch = {"loss": 1.0, "contrastive_accuracy": 50.0, "images_per_second": 900.0, "seconds": 2.0}
    machine = {"device": "CPU", "gpu": False, "threads": 1, "workers": 1, "precision": "fp32"}
    for number in range(runs):
        temperature = (number % 100 + 1) / 100
        fingerprint = digest({"run": number})
        path = folder / "runs" / fingerprint / "run.json"
        path.parent.mkdir(parents=True)
        record = {
            "name": f"{temperature} · seed {number // 100}",
            "fingerprint": fingerprint,
            "workload": "simclr",
            "status": "finished",
            "results": {"linear_top1": 50 + number / runs, "knn_top1": 40 + number / runs},
            "history": [{**epoch, "epoch": at + 1.0} for at in range(20)],
            "spec": base
            | {"seed": number // 100, "loss": base["loss"] | {"temperature": temperature}},
            "machine": machine | {"torch": "2", "python": "3"},
            "ended": f"2026-11-28T{number % 24:02d}:00:00+00:00",
            "total_seconds": 60.0,
        }
        path.write_text(json.dumps(record, indent=2))


def cpu_seconds(*words: str) -> float:
    """User and system time of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*COMMAND, *words], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        many, few = Path(folder, "many"), Path(folder, "few")
        make(many, runs)
        make(few, 50)
        asked = ("--where", "loss.temperature < 0.5", "--sort", "linear_top1", "--top", "10")
        dry = ("ablate", "temperature", "--preset", "shapes", "--dry-run")
        times: dict[str, list[float]] = {}
        for _ in range(REPEATS):
            for name, words, at in (
                (f"runs, {runs} read", ("runs", *asked), many),
                (f"runs, {runs} by the index", ("runs", *asked), many),
                ("runs, 50 by the index", ("runs", *asked), few),
                (f"dry run, {runs} in the storage", dry, many),
                ("dry run, 50 in the storage", dry, few),
            ):
                if name.endswith("read"):
                    Storage(str(at)).delete(INDEX)
                elif not (at / INDEX).exists():
                    cpu_seconds("runs", "--storage", str(at))
                taken = cpu_seconds(*words, "--storage", str(at))
                times.setdefault(name, []).append(taken)
    for name, measured in times.items():
        middle = statistics.median(measured)
        print(f"{name:<32} {middle:6.2f} CPU s  {min(measured):.2f}-{max(measured):.2f}")


if __name__ == "__main__":
    main()
