"""CPU seconds of `simclr-orch --help` and `spaces`, beside the bare imports that they cannot do
without.

    python benchmarks/command_line.py

Medians of interleaved repeats in one run.
"""

import resource
import statistics
import subprocess
import sys

REPEATS = 7
CASES = {
    "python -c pass": ["-c", "pass"],
    "import typer, rich": ["-c", "import typer, rich.console, rich.table"],
    "simclr-orch --help": ["-c", "from orchestrator.cli import main; main()", "--help"],
    "simclr-orch spaces": ["-c", "from orchestrator.cli import main; main()", "spaces"],
}


def cpu_seconds(arguments: list[str]) -> float:
    """User and system time of one child process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure and print a table."""
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(REPEATS):
        for name, arguments in CASES.items():
            times[name].append(cpu_seconds(arguments))
    bare = statistics.median(times["import typer, rich"])
    print(f"{'command':<22} {'CPU s':>7} {'min-max':>12}  x bare imports (n = {REPEATS})")
    for name, measured in times.items():
        middle = statistics.median(measured)
        print(
            f"{name:<22} {middle:7.2f} {min(measured):5.2f}-{max(measured):5.2f}  "
            f"{middle / bare:.2f}"
        )


if __name__ == "__main__":
    main()
