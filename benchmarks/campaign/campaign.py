"""A campaign on one GPU, in calls of minutes: plans, the next runs, and where it stands.

    python benchmarks/campaign/campaign.py plan --data-root FOLDER      # needs simclr-orch
    python benchmarks/campaign/campaign.py run --minutes 9              # torch alone
    python benchmarks/campaign/campaign.py status

Plans, runs and what is imported lie in the folder `--folder`. See README.md.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from workloads.run_record import RunRecord
    from workloads.runs.plan_file import PlanFile

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))  # where nothing is installed, the checkout is enough
LEFT = 3


def main(arguments: list[str] | None = None) -> int:
    """Do what is asked. Returns the exit code: that of `python -m workloads run`."""
    began = time.monotonic()
    options, options.words = _parser().parse_known_args(arguments)
    if options.words and options.command != "run":
        _parser().error(f"unrecognized arguments: {' '.join(options.words)}")
    from workloads.spec import SpecError

    parts: dict[str, Any] = yaml.safe_load(options.parts.read_text())
    try:
        match options.command:
            case "plan":
                return plan(parts, options)
            case "run":
                return run(options, began)
            case _:
                return status(parts, options.folder)
    except SpecError as error:
        print(error, file=sys.stderr)
        return 2


def plan(parts: Mapping[str, Any], options: argparse.Namespace) -> int:
    """Write the plan of each part, without what the storage has already."""
    from orchestrator.errors import OrchestratorError

    plans = options.folder / "plans"
    plans.mkdir(parents=True, exist_ok=True)
    storage = ["--storage", str(options.folder / "storage")]
    root = ["--set", f"data.root={options.data_root}"] if options.data_root else []
    _check_chosen(parts)
    for number, part in enumerate(parts["parts"], 1):
        file = plans / f"{number:02}-{part['name']}.json"
        words, chosen = [*parts["recipe"], *root], _chosen_before(part["name"], parts)
        if "settings" in part:  # with the finished runs, which `status` compares
            asked = [
                [*words, *_assigned(chosen | setting), "--with-finished"]
                for setting in part["settings"]
            ]
        else:
            own = {word.partition("=")[0] for word in part["words"]}
            left = {name: value for name, value in chosen.items() if name not in own}
            asked = [[*part["words"], *words, *_assigned(left)]]
        try:
            written = [_written([*each, *storage], file) for each in asked]
        except OrchestratorError as error:
            print(f"{part['name']}: {error}", file=sys.stderr)
            return 2
        _joined(written, part).write(file)
        print(f"{file.name}: {sum(len(each.cells) for each in written)} runs")
    return 0


def _check_chosen(parts: Mapping[str, Any]) -> None:
    """Raise SpecError for entries of `chosen` that name no part, or no setting."""
    from workloads.spec import SpecError

    names = [part["name"] for part in parts["parts"]]
    problems = [
        f"chosen: {one}: must be {{part: PART, set: FIELD=VALUE}}, with one of {', '.join(names)}"
        for one in parts["chosen"]
        if not isinstance(one, dict)
        or one.keys() != {"part", "set"}
        or one["part"] not in names
        or "=" not in str(one["set"])
    ]
    if problems:
        raise SpecError(problems)


def _chosen_before(name: str, parts: Mapping[str, Any]) -> dict[str, str]:
    """Return what the parts before this one have chosen, by field; the last choice counts."""
    names = [part["name"] for part in parts["parts"]]
    before, chosen = names[: names.index(name)], dict[str, str]()
    for one in sorted(parts["chosen"], key=lambda one: names.index(one["part"])):
        if one["part"] in before:
            field, _, value = one["set"].partition("=")
            chosen[field.strip()] = value.strip()
    return chosen


def _assigned(setting: Mapping[str, Any]) -> list[str]:
    return [word for name, value in setting.items() for word in ("--set", f"{name}={value}")]


def _written(words: Sequence[str], file: Path) -> "PlanFile":
    from click.exceptions import Exit
    from typer.main import get_command

    from orchestrator.cli import app
    from orchestrator.errors import OrchestratorError
    from workloads.runs.plan_file import read_plan_file

    try:
        with redirect_stdout(StringIO()):
            code = get_command(app).main(["plan", *words, "-o", str(file)], standalone_mode=False)
    except Exit as end:
        code = end.exit_code
    if code:
        raise OrchestratorError("could not be planned")
    return read_plan_file(file)


def _joined(plans: Sequence["PlanFile"], part: Mapping[str, Any]) -> "PlanFile":
    """Return the plans of several settings as one, whose cells are named by them."""
    if len(plans) == 1:
        return plans[0]
    cells = []
    for each, setting in zip(plans, part["settings"], strict=True):
        title = ", ".join(f"{name.split('.')[-1]} {value}" for name, value in setting.items())
        for cell in each.cells:
            number = len(cells) + 1
            cells.append(cell.with_values({"number": number, "name": f"{part['name']}: {title}"}))
    sweeps = [sweep for each in plans for sweep in each.sweeps]
    return type(plans[0]).read(
        plans[0].tree() | {"cells": [cell.tree() for cell in cells], "sweeps": sweeps}
    )


def run(options: argparse.Namespace, began: float) -> int:
    """Do the next runs, part by part, as far as the minutes go."""
    from workloads.__main__ import main as workloads

    files = sorted((options.folder / "plans").glob("*.json"))
    if not files:
        print(f"{options.folder}: has no plans; write them with `plan`", file=sys.stderr)
        return 2
    words = ["--output", str(options.folder / "runs"), "--drop-states", *options.words]
    worst = 0
    for file in files:
        limit = []
        if options.minutes is not None:
            left = options.minutes - (time.monotonic() - began) / 60
            if left < 0.05 * options.minutes:
                return LEFT
            limit = ["--minutes", str(left)]
        print(file.stem, flush=True)
        code = workloads(["run", str(file), *words, *limit])
        if code in (2, LEFT):
            return code
        worst = max(worst, code)
    return worst


def status(parts: Mapping[str, Any], folder: Path) -> int:
    """Print what of each part is done, what is left in minutes, and how settings compare."""
    from workloads.runs.folder import LocalRun
    from workloads.runs.plan_file import read_plan_file

    for number, part in enumerate(parts["parts"], 1):
        file = folder / "plans" / f"{number:02}-{part['name']}.json"
        if not file.exists():
            print(f"{part['name']}: not planned yet")
            continue
        cells = read_plan_file(file).cells
        found = {cell.name: LocalRun(folder / "runs", cell.fingerprint).record() for cell in cells}
        done = {name: one for name, one in found.items() if one is not None and one.has_finished}
        took = sum(one.total_seconds or 0.0 for one in done.values()) / 60
        each = (part["epochs"] * parts["seconds_an_epoch"] + parts["seconds_beside"]) / 60
        print(
            f"{part['name']}: {len(done)} of {len(cells)} runs in {took:.1f} min, left about "
            f"{(len(cells) - len(done)) * each:.0f} min (estimate); {part['why']}"
        )
        if "settings" in part:
            for name in sorted(done, key=lambda name: -_validation(done[name])):
                print(f"    {_validation(done[name]):5.2f} % on validation  {name}")
    return 0


def _validation(record: "RunRecord") -> float:
    return record.result("linear_validation_top1") or 0.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", type=Path, default=HERE / "parts.yaml")
    parser.add_argument("--folder", type=Path, default=Path("campaign"))
    commands = parser.add_subparsers(dest="command", required=True)
    planning = commands.add_parser("plan", help="write the plan of each part")
    planning.add_argument("--data-root", help="where the images lie")
    running = commands.add_parser(
        "run", help="do the next runs; more options are `python -m workloads run`'s"
    )
    running.add_argument("--minutes", type=float, help="stop before so many are over")
    commands.add_parser("status", help="what is done, and what is left")
    return parser


if __name__ == "__main__":
    sys.exit(main())
