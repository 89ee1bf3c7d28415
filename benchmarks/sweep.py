"""What a sweep costs beyond the work of its cells: 7 tiny cells of one worker each, one after the
other.

    python benchmarks/sweep.py

The work of a cell is what its record says; the rest of the time from one record to the next is
overhead. The first cell is left out: it waits for Ray and for a worker process that the others then
use again.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TINY = {
    "data.image_size": 16,
    "data.train_images": 200,
    "data.test_images": 100,
    "encoder.width": 0.125,
    "schedule.batch_size": 32,
    "optim.anchor_batch_size": 32,
    "schedule.epochs": 1,
}


def main() -> None:
    """Run the sweep through the command line and print what its parts cost."""
    with tempfile.TemporaryDirectory() as folder:
        assignments = [
            part for name, value in TINY.items() for part in ("--set", f"{name}={value}")
        ]
        command = [
            "ablate",
            "temperature",
            "--preset",
            "shapes",
            "--storage",
            folder,
            "--max-concurrent",
            "1",
            *assignments,
        ]
        started = time.time()
        subprocess.run(
            [sys.executable, "-c", "from orchestrator.cli import main; main()", *command],
            check=True,
            capture_output=True,
        )
        wall = time.time() - started
        files = sorted(Path(folder).glob("runs/*/run.json"), key=lambda path: path.stat().st_mtime)
        ends = [path.stat().st_mtime for path in files]
        work = [json.loads(path.read_text())["total_seconds"] for path in files]
    overhead = [
        end - before - seconds
        for before, end, seconds in zip(ends, ends[1:], work[1:], strict=False)
    ]
    print(f"{len(files)} cells, wall {wall:.1f} s, of which work {sum(work):.1f} s")
    print(
        f"until the first cell was done: {ends[0] - started:.1f} s; after the last: "
        f"{started + wall - ends[-1]:.1f} s"
    )
    print(
        f"overhead a cell after the first: median {statistics.median(overhead):.2f} s "
        f"({min(overhead):.2f}-{max(overhead):.2f}, n = {len(overhead)}), "
        f"{sum(overhead) / sum(work[1:]):.1f} x the work"
    )


if __name__ == "__main__":
    main()
