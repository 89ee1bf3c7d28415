"""Kill anything at any time, for as long as asked, and look for what is lost.

    python tests/soak --minutes 15 --cells 20 --seed 7

Three nodes of Ray on this machine and an MLflow server; a sweep of short cells, a fifth of them on
two workers; drivers, trials, workers, nodes and the server are killed by a schedule that the seed
draws, and the command is given again whenever it ends, as a user or a cron job would. Once it has
ended well the storage, MLflow, the temporary folder and the processes are looked at, and another
round begins until the minutes are over. The exit code is 1 where anything is not as it must be;
all logs are kept then.
"""

import argparse
import json
import math
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from checks import problems_of_leftovers, problems_of_mlflow, problems_of_storage
from lab import Lab
from schedule import Fault, faults

TRIES = 60  # of the command, in a round: more means that it never gets through
PATIENCE = 60.0  # seconds that a fault waits until there is what it kills
LONGEST = 900.0  # seconds without a fault after which a driver hangs
RECIPE = {
    "data.image_size": 16,
    "data.train_images": 200,
    "data.test_images": 100,
    "encoder.width": 0.125,
    "schedule.batch_size": 32,
    "optim.anchor_batch_size": 32,
    "precision": "fp32",
}


class Soak:
    """A soak: what it is of, and what has happened so far."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.lab = Lab(folder)
        self.began = time.monotonic()
        self.done: Counter[str] = Counter()
        self.problems: list[str] = []
        self.coming_back: list[tuple[float, str]] = []
        self.faults = faults(options.seed, options.every)
        self.next: Fault | None = None
        self.due, self.looks_again, self.drawn = math.inf, 0.0, 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def say(self, text: str) -> None:
        print(f"{self.seconds:7.1f} s  {text}", flush=True)

    def questions(self) -> Iterator[tuple[str, list[str], int]]:
        """The sweeps: name, words of the command, workers of a cell; each has an untrained cell."""
        shared = self.options.cells // 5 if self.options.cells >= 15 else 0
        alone = self.options.cells - shared
        yield "soak", self._words("soak", alone // 2 - 1, seeds=2, low=0.05), 1
        if shared:
            yield "soak-shared", self._words("soak-shared", shared - 1, seeds=1, low=0.07), 2

    def _words(self, name: str, temperatures: int, *, seeds: int, low: float) -> list[str]:
        values = ",".join(f"{low + 0.05 * number:.2f}" for number in range(temperatures))
        words = ["--over", f"loss.temperature={values}", "--name", name, "--seeds", str(seeds)]
        fields = RECIPE | {"schedule.epochs": self.options.epochs}
        for field, value in fields.items():
            words += ["--set", f"{field}={value}"]
        return [*words, "--preset", "shapes"]

    def undisturbed(self) -> dict[str, list[str]]:
        """Run all cells once without Ray and MLflow; the fingerprints of each question."""
        there, found = self.folder / "undisturbed", {}
        for name, words, _ in self.questions():
            plan = self.folder / f"{name}.plan.json"
            words += ["-o", str(plan), "--storage", str(there), "--with-finished"]
            self.lab.run(*self.lab.command, "plan", *words)
            run = [sys.executable, "-m", "workloads", "run", str(plan), "--output", str(there)]
            self.lab.run(*run, "--device", "cpu", "--threads", "1")
            cells = json.loads(plan.read_text())["cells"]
            found[name] = [str(cell["fingerprint"]) for cell in cells]
        return found

    def round(self, number: int, wanted: dict[str, list[str]]) -> None:
        """Do all cells in a new storage, and look at what is there."""
        storage = self.folder / f"storage-{number}"
        for name, words, workers in self.questions():
            self.until_done(*self.command(name, words, workers, number))
        self.all_back()
        for name, words, workers in self.questions():
            command, renamed = self.command(name, words, workers, number)
            self.until_done(command, renamed)  # what MLflow did not take while it was away arrives
            undisturbed, alone = self.folder / "undisturbed", workers == 1
            found = [
                *problems_of_storage(storage, undisturbed, wanted[name], exact=alone),
                *problems_of_mlflow(self.lab.uri, renamed, storage, wanted[name]),
            ]
            self.problems += [f"{renamed}: {each}" for each in found]
        left = [*problems_of_leftovers(storage, self.lab.temporary)]
        left += [f"still there: {each}" for each in self.lab.left_over("driver")]
        self.problems += [f"round {number}: {each}" for each in left]

    def command(
        self, name: str, words: list[str], workers: int, number: int
    ) -> tuple[list[str], str]:
        """The words of a round's command, and what its question is called in MLflow."""
        new = f"{name}-{number}"
        command = ["ablate", *(new if word == name else word for word in words)]
        command += ["--address", self.lab.address, "--tracking-uri", self.lab.uri]
        command += ["--storage", str(self.folder / f"storage-{number}")]
        return [*command, "--workers", str(workers), "--cpus-per-worker", "1"], new

    def until_done(self, words: list[str], name: str) -> None:
        """Give the command again until it ends well, with faults meanwhile."""
        log = self.folder / f"{name}.log"
        for _ in range(TRIES):
            self.lab.start_driver(words, log)
            self.done["commands"] += 1
            driver, calm = self.lab.driver, time.monotonic()
            assert driver is not None
            while driver.poll() is None:
                if self.disturb():
                    calm = time.monotonic()
                if time.monotonic() - calm > LONGEST:
                    self.problems.append(f"{name}: no end after {LONGEST:.0f} s without a fault")
                    driver.kill()
                time.sleep(0.1)
            self.say(f"{name}: the command ended with {driver.returncode}")
            if driver.returncode == 0:
                return
            if driver.returncode not in (1, 2, -1, -2, -9, -15):
                self.problems.append(f"{name}: exit code {driver.returncode}")
            pause = time.monotonic() + 2
            while time.monotonic() < pause or (
                driver.returncode == 2 and not self.lab.server_is_up()
            ):
                self.disturb()
                time.sleep(0.1)
        self.problems.append(f"{name}: not done after {TRIES} commands")

    def disturb(self) -> bool:
        """Do what is due: bring back what was away, do the next fault; whether one was done."""
        for back in [each for each in self.coming_back if each[0] <= self.seconds]:
            self.coming_back.remove(back)
            self.bring_back(back[1])
        if self.next is None or self.seconds < max(self.due, self.looks_again):
            return False
        fault = self.next
        kind = fault.kind if fault.kind != "driver" else f"driver {fault.signal}"
        done = self._do(fault)
        if done is None and self.seconds < self.due + PATIENCE:
            self.looks_again = self.seconds + 1
            return False  # until there is one
        if done is None:
            self.say(f"{kind}: none there")
        else:
            self.done[kind] += 1
            self.say(f"{kind}: {done}")
        self.draw()
        return done is not None

    def draw(self) -> None:
        """Draw the next fault; none where as many have been done as were asked for."""
        self.drawn += 1
        self.next = next(self.faults) if self.more else None
        self.due = self.seconds + self.next.after if self.next else math.inf

    @property
    def more(self) -> bool:
        """Whether there are to be more faults."""
        asked = self.options
        return self.drawn <= asked.faults and self.seconds < 60 * asked.minutes

    def _do(self, fault: Fault) -> object:
        match fault.kind:
            case "driver":
                return self.lab.kill_driver(fault.signal)
            case "node":
                done: object = self.lab.kill_node(fault.victim)
            case "mlflow":
                done = self.lab.kill_server()
            case _:
                if (killed := self.lab.kill_process(fault.victim)) is not None:
                    self.done[killed[0]] += 1
                return killed
        if done is not None:
            self.coming_back.append((self.seconds + fault.away, fault.kind))
        return done

    def bring_back(self, kind: str) -> None:
        self.say(f"{kind}: there again")
        if kind == "node":
            self.lab.add_node()
        else:
            self.lab.start_server()

    def all_back(self) -> None:
        """No more faults until the round has been looked at."""
        for _, kind in self.coming_back:
            self.bring_back(kind)
        self.coming_back = []
        self.lab.wait_for_server()
        self.due = math.inf

    def run(self) -> None:
        wanted = self.undisturbed()
        self.say(f"undisturbed: {sum(map(len, wanted.values()))} runs")
        self.lab.start(self.options.nodes)
        self.say(f"{self.options.nodes} nodes at {self.lab.address}, MLflow at {self.lab.uri}")
        self.began = time.monotonic()
        self.draw()
        number = 0
        while number == 0 or (self.more and not self.problems):
            number += 1
            self.due = self.seconds + self.next.after if self.next else math.inf
            self.round(number, wanted)
            self.say(f"round {number}: {len(self.problems)} problem(s) so far")
        self.done["rounds"] = number


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description=str(__doc__).partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--cells", type=int, default=20, help="6 or more")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--every", type=float, default=20, help="seconds between faults, mean")
    parser.add_argument("--faults", type=int, default=10**6, help="no more than these")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--folder", type=Path, help="where logs and storages are kept")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):  # and nothing of it is left
        signal.signal(number, lambda *_: sys.exit("ended by a signal"))
    folder = options.folder or Path(tempfile.mkdtemp(prefix="simclr-soak-", dir="/tmp"))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        parser.error(f"--folder {folder}: is not empty")
    print(f"soak with seed {options.seed}: {options.minutes} minutes, {options.cells} cells, below")
    print(folder, flush=True)
    soak = Soak(options, folder)
    try:
        soak.run()
    finally:
        left = soak.lab.end()
    soak.problems += [f"still there at the end: {each}" for each in left]
    return told(soak)


def told(soak: Soak) -> int:
    """Print what was done and what was found, and remove what nobody needs."""
    print(", ".join(f"{kind}: {count}" for kind, count in sorted(soak.done.items())))
    for problem in soak.problems:
        print(f"PROBLEM {problem}")
    options = soak.options
    again = f"--seed {options.seed} --minutes {options.minutes:g} --cells {options.cells}"
    again += f" --nodes {options.nodes} --epochs {options.epochs} --every {options.every:g}"
    again += f" --faults {options.faults}" if options.faults < 10**6 else ""
    if soak.problems:
        print(f"{len(soak.problems)} problem(s). Logs and storages: {soak.folder}")
        print(f"again, though not to the millisecond: python tests/soak {again}")
        return 1
    print(f"nothing lost: python tests/soak {again}")
    if options.folder is None:
        shutil.rmtree(soak.folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
