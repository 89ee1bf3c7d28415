"""What `python -m workloads run` does: everything that is wrong is said first, then it runs."""

import argparse
import math
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from workloads import allocator
from workloads.cpus import usable_cpus
from workloads.inventory import lines_of, told_of_reading
from workloads.local_files import problem_with_folder
from workloads.plural import counted
from workloads.runs.deadline import Deadline
from workloads.runs.plan_file import PlanFile, PlannedRun, read_plan_file
from workloads.runs.run_plan import Ended, run_cells
from workloads.runs.selection import per_gpu, read_numbers, read_share, share_of
from workloads.spec import SpecError
from workloads.told_to_end import TOLD_TO_END, when_told_to_end
from workloads.workload import AnyWorkload, Specification, TrainedAlone, TrainedTogether

__all__ = ["PLANS", "run"]

PLANS = "plans"  # the folder with the plans of what was run
DONE, FAILED, LEFT = 0, 1, 3


def run(options: argparse.Namespace, began: float) -> int:
    """Do the runs that are asked for. Returns the exit code. Raises SpecError before any begins.

    `began` is when the command did, by the monotonic clock.
    """
    plan = read_plan_file(options.plan)
    cells = _chosen(plan, options)
    specs = plan.specs(cells)
    if options.share is not None:
        cells = share_of(plan.of_workload, cells, specs, read_share(options.share))
        specs = {cell.fingerprint: specs[cell.fingerprint] for cell in cells}
    paths = _paths(plan, options)
    _check_pinned(plan.of_workload, (_at(spec, paths) for spec in specs.values()))
    devices = _devices(options, plan, list(specs.values()))
    if options.minutes is not None and not 0 < options.minutes < math.inf:
        raise SpecError([f"--minutes {options.minutes}: must be more than 0"])
    deadline = Deadline.after(options.minutes)
    if deadline.end is not None:
        deadline.end -= time.monotonic() - began
    if problem := problem_with_folder(options.output):
        raise SpecError([f"--output {options.output}: cannot be written ({problem})"])

    _check_data(plan, paths, download=options.download)
    _keep(plan, options.output)
    planned, here = (
        each.partition("+")[0] for each in (plan.versions.get("torch", ""), torch.__version__)
    )
    if planned not in ("", here):
        _say(f"torch {here}, and the plan is of {planned}: results may differ in the last digits")
    _say(
        f"{len(cells)} of {counted(len(plan.cells), 'cell')}, "
        f"{len(devices)} at once on {devices[0]}"
    )
    threads = options.threads or max(1, usable_cpus() // len(devices))
    for name, value in allocator.VARIABLES.items():
        os.environ.setdefault(name, value)
    _stop_when_told(deadline)
    ended = run_cells(
        cells,
        {name: _at(spec, paths) for name, spec in specs.items()},
        plan.of_workload,
        options.output.resolve(),
        devices=devices,
        threads=threads,
        deadline=deadline,
        keep_states=not options.drop_states,
        say=_say,
    )
    return _told(ended, told_to_end=deadline.told)


def _say(text: str) -> None:
    """Print a line with the time."""
    print(f"{datetime.now().astimezone():%H:%M:%S} {text}", flush=True)


def _at(spec: Specification, paths: Mapping[str, str]) -> Specification:
    """Return a specification with other paths, of those that it has. Raises SpecError."""
    flat = spec.flat()
    return spec.with_values({name: to for name, to in paths.items() if flat.get(name) is not None})


def _chosen(plan: PlanFile, options: argparse.Namespace) -> tuple[PlannedRun, ...]:
    if options.cells is None:
        return plan.cells
    numbers = read_numbers(options.cells, len(plan.cells))
    return tuple(cell for cell in plan.cells if cell.number in numbers)


def _paths(plan: PlanFile, options: argparse.Namespace) -> dict[str, str]:
    """Return where things lie here, by the fields of the specification. Raises SpecError."""
    given = [f"data.root={options.data_root}"] if options.data_root else []
    paths, known = dict[str, str](), plan.of_workload.paths
    for one in (*given, *options.path):
        field, equals, path = one.partition("=")
        if not equals or field not in known:
            raise SpecError([f"--path {one}: must be FIELD=PATH with one of {', '.join(known)}"])
        here = "://" in path or path.startswith("torchvision:")
        paths[field] = path if here else str(Path(path).expanduser().resolve())
    return paths


def _devices(
    options: argparse.Namespace, plan: PlanFile, specs: Sequence[Specification]
) -> list[str]:
    """Return the device of each process. Raises SpecError for what this machine has not."""
    for name, value in (("--at-once", options.at_once), ("--threads", options.threads)):
        if value is not None and value < 1:
            raise SpecError([f"{name} {value}: must be at least 1"])
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    workload = plan.of_workload
    of_cpus = isinstance(workload, TrainedTogether)
    wanted = options.device or ("cuda" if gpus and not of_cpus else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise SpecError([f"--device {wanted}: is no device; use cpu, cuda or cuda:1"]) from None
    if device.type == "cuda" and (device.index or 0) >= len(gpus):
        raise SpecError([f"--device {wanted}: this machine has {counted(len(gpus), 'GPU')}"])
    chosen = [wanted] if device.type != "cuda" or device.index is not None else gpus
    default = usable_cpus()
    if device.type == "cuda" and isinstance(workload, TrainedAlone):
        default = min(default, len(chosen) * per_gpu(workload, specs))
    count = max(1, min(options.at_once or default, len(specs)))
    return [chosen[index % len(chosen)] for index in range(count)]


def _check_data(plan: PlanFile, paths: Mapping[str, str], *, download: bool) -> None:
    """Read the data of each sweep, and compare. Raises SpecError for other data than planned."""
    workload, checked = plan.of_workload, set[str]()
    for sweep in plan.sweeps:
        base, data = workload.read(sweep["base"]), sweep["data"]
        if data["content"] in checked:
            continue
        read: list[Any] = []
        with told_of_reading(read.append):
            try:
                _, facts = workload.prepare(_at(base, paths), download=download)
            except SpecError as error:
                raise _with_option(error, workload.paths) from None
        if facts.content != data["content"]:
            raise SpecError(
                [
                    f"{data['title']}: the data here have the digest {facts.content}, those of "
                    f"the plan {data['content']}"
                ]
            )
        for line in lines_of([one.tree() for one in read]):
            _say(line)
        checked.add(facts.content)


def _check_pinned(workload: AnyWorkload, specs: Iterable[Specification]) -> None:
    """Raise SpecError with all that is another here than was planned, such as own code."""
    problems: list[str] = []
    for spec in specs:
        try:
            if isinstance(workload, TrainedAlone):
                workload.pinned(spec)
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(list(dict.fromkeys(problems)))


def _with_option(error: SpecError, paths: Sequence[str]) -> SpecError:
    """Return the error with the option that says where data lie here, for what is not there."""

    def told(problem: str) -> str:
        field = problem.partition("=")[0].partition(":")[0]
        if field not in paths:
            return problem
        option = "--data-root DIR" if field == "data.root" else f"--path {field}=PATH"
        return f"{problem}; {option} says where it lies here"

    return SpecError([told(problem) for problem in error.problems])


def _keep(plan: PlanFile, output: Path) -> None:
    """Keep the plan beside the runs, for the import."""
    folder = output / PLANS
    folder.mkdir(exist_ok=True)
    plan.write(folder / f"{plan.digest}.json")


def _stop_when_told(deadline: Deadline) -> None:
    """Let Ctrl-C and a batch system's signals keep all states; a second Ctrl-C ends at once."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        if deadline.asked:
            sys.exit(LEFT)
        deadline.ask()

    signal.signal(signal.SIGINT, stop)
    when_told_to_end(lambda: deadline.ask(told=True))


def _told(ended: Ended, *, told_to_end: bool) -> int:
    """Say how all ended. Returns the exit code."""
    words: Sequence[tuple[str, Sequence[str]]] = (("failed", ended.failed), ("left", ended.left))
    for word, names in words:
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            _say(f"{word}: {'; '.join(names[:3])}{more}")
    _say(f"{len(ended.finished)} finished, {len(ended.failed)} failed, {len(ended.left)} left")
    if ended.left:
        return TOLD_TO_END if told_to_end else LEFT
    return FAILED if ended.failed else DONE
