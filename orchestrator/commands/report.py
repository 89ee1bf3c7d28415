"""Reports and verdicts on what the storage has: printed, and written as files.

The files are Markdown, pictures and JSON.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from orchestrator.commands.consoles import print_line
from orchestrator.commands.looks import keep_taken, looks_before, records_of
from orchestrator.commands.next_steps import after_sweep, after_verdicts, near, next_lines
from orchestrator.commands.questions import EVERY, swept_names
from orchestrator.commands.result import Finished
from orchestrator.errors import PlanError
from orchestrator.plan import Plan
from orchestrator.plan.kept import KeptPlan, only_text
from orchestrator.plan.kept_question import question_in
from orchestrator.plan.part import check_only, is_sweep_of
from orchestrator.report.brief import has_too_few_seeds, short_answer
from orchestrator.report.collect import Report, collect
from orchestrator.report.document import as_json, verdicts_json
from orchestrator.report.reread import ablation_in, report_in
from orchestrator.report.text import markdown, print_report, print_verdicts
from orchestrator.stages import stage
from orchestrator.storage import Storage
from orchestrator.storage.sweeps import kept_sweeps, latest_of, sweep_folder
from orchestrator.tracking.shown import ANSWER
from orchestrator.verdicts import with_q_values
from orchestrator.verdicts.sample import FEWEST_POOLED

__all__ = [
    "REPORT_FILES",
    "check_name",
    "collected",
    "judged",
    "kept_report",
    "report_again",
    "report_files",
    "report_in_file",
    "report_on",
    "verdicts_on",
]

# What a report may consist of; there are curves only where training has left some.
REPORT_FILES = ("report.md", "report.json", "report.png", "report.svg", "curves.png", "curves.svg")


def report_on(
    name: str,
    storage: Storage,
    console: Console,
    *,
    sweep: str | None,
    output: Path | None,
    only: Sequence[str] = (),
    details: bool = False,
    html: Path | None = None,
) -> Finished:
    """Print the report of an ablation's sweep, the latest unless named, and write its files.

    `only` names the part that it is of, as `--only` does. The files have all of it, what is printed
    the comparisons with `details` only. `html` is the file or folder of its page, if one is wanted.

    Raises PlanError when the storage has no such sweep.
    """
    stage("judging the claims")
    report = collected(name, storage, sweep, partial(_warn, console), only=only)
    print_report(report, console, details=details)
    if output is not None:
        return _written(report, output, console, html)

    stage("drawing the figures")
    folder, files = f"sweeps/{name}/{report.plan['sweep']}", report_files(report)
    for file, content in files.items():
        storage.write_bytes(f"{folder}/{file}", content)
    page = _page(report, files, html, console)
    finished = _finished(report, storage.shown(folder), console, page)
    _print_next(report, storage, console, finished.document)
    return finished


def report_again(
    file: Path,
    console: Console,
    *,
    output: Path | None,
    details: bool = False,
    html: Path | None = None,
) -> Finished:
    """Print a report from its `report.json` alone, its claims judged anew, and write its files.

    Without `output` and `html` nothing is written. Raises PlanError for a file that holds no
    report, and for a report of an ablation that is not known.
    """
    report = report_in_file(file)
    print_report(report, console, details=details)
    if output is not None:
        return _written(report, output, console, html)
    files = report_files(report) if html is not None else {}
    return Finished(0, dict(as_json(report)) | _page(report, files, html, console))


def check_name(name: str, html: Path | None) -> None:
    """Refuse several reports where one is wanted, and a path at which nothing is.

    Raises PlanError.
    """
    path = Path(name)
    if html is None and (name == EVERY or any(path.glob("*/report.json"))):
        raise PlanError(
            [f"{name}: is several reports; --html FOLDER writes their pages, `verdicts {EVERY}` "
             "prints all claims, and NAME or NAME/report.json is one report"]
        )  # fmt: skip
    if "/" in name and not name.endswith(".json") and not path.exists():
        raise PlanError([f"{name}: no such file or folder"])


def report_in_file(file: Path) -> Report:
    """Make a report again from its `report.json`, its claims judged anew.

    Raises PlanError for a file that holds no report, and for one of an ablation that is not known.
    """
    try:
        document = json.loads(file.read_bytes())
        name = ablation_in(document)
    except OSError as error:
        raise PlanError([f"{file}: cannot be read: {error.strerror}"]) from None
    except ValueError as error:
        raise PlanError([f"{file}: {error}"]) from None
    kept = document["plan"]
    return report_in(document, question_in(kept if isinstance(kept, dict) else {}, name))


def kept_report(plan: Plan, storage: Storage) -> dict[str, bytes]:
    """Read the files that `report_on` has left of a sweep, by name, with its answer in short."""
    found = {name: storage.read_bytes(f"{sweep_folder(plan)}/{name}") for name in REPORT_FILES}
    files = {name: content for name, content in found.items() if content is not None}
    if (document := files.get("report.json")) is not None:
        files[ANSWER] = _as_list(short_answer(json.loads(document))).encode()
    return files


def _as_list(lines: Sequence[str]) -> str:
    """Lines as a list in Markdown, with what stands before the first colon in bold."""
    split = [line.partition(": ") for line in lines]
    return "\n".join(
        f"- **{first}**{mark}{rest}" if rest else f"- {first}" for first, mark, rest in split
    )


def verdicts_on(
    names: Sequence[str], storage: Storage, console: Console, *, details: bool = False
) -> Finished:
    """Print, claim by claim, what the latest sweep of each ablation says.

    It is of every ablation in the storage unless named; q-values are over all of them. Raises
    PlanError when a named ablation has no sweep, or the storage has none at all.
    """
    document = {}
    for report in judged(names, storage, partial(_warn, console)):
        claims = verdicts_json(report)
        document[report.ablation.name] = {
            "sweep": report.plan["sweep"],
            "only": report.plan.get("only", {}),
            "claims": claims,
        }
        part = f" (a part: {only_text(report.plan['only'])})" if "only" in report.plan else ""
        console.print(Text(report.ablation.name + part, style="bold"))
        print_verdicts(claims, console, details=details)
    if details:
        console.print(
            "q: of claims with a q of at most x a share of x is expected to be wrong, over all "
            "above"
        )
    for line in next_lines(after_verdicts(list(document), storage)):
        print_line(console, line)
    return Finished(0, {"verdicts": document})


def judged(names: Sequence[str], storage: Storage, say: Callable[[str], None]) -> list[Report]:
    """Collect the latest sweep of each ablation, with q-values over the claims of all of them.

    It is of every ablation in the storage unless named; of one that was asked in part only, of the
    latest part. A claim that both a part and the whole can answer stands here once. To look at
    claims counts, and is kept; what is wrong with that is said by `say`. Raises PlanError when a
    named ablation has no sweep, or the storage has none at all.
    """
    wanted = swept_names(names, storage)
    if not wanted:
        raise PlanError([f"--storage {storage.shown()}: has no sweep of an ablation"])

    reports = [collected(name, storage, None, say, or_part=True) for name in wanted]
    adjusted = iter(with_q_values([one for report in reports for one in report.verdicts]))
    return [
        replace(report, verdicts=tuple(islice(adjusted, len(report.verdicts))))
        for report in reports
    ]


def collected(
    name: str,
    storage: Storage,
    sweep: str | None,
    say: Callable[[str], None],
    *,
    only: Sequence[str] = (),
    or_part: bool = False,
) -> Report:
    """Collect a sweep's results, the latest one's unless named.

    It is of the part that `only` names, else of the whole question, or with `or_part` of the latest
    part where there is no other.

    To look at its claims counts, and is kept; `say` is called with a sentence where it cannot be.
    Raises PlanError when the storage has no such sweep.
    """
    name, *more = swept_names([name], storage)
    if more:
        raise PlanError(
            [f"{EVERY}: is several questions, and a report is of one; `verdicts {EVERY}` has all"]
        )
    plans = kept_sweeps(storage, name)
    plan = _sweep(plans, name, storage, sweep, only, or_part=or_part)
    ablation = question_in(plan, name)
    if sweep is None and (others := _others(plans, plan, name)):
        say(others)
    records = records_of(storage, plan)
    taken = looks_before(storage, ablation, plan, records)
    report = collect(ablation, plan, records, taken)
    if problem := keep_taken(storage, ablation, plan, report.verdicts):
        say(problem)
    return report


def _sweep(
    plans: Sequence[KeptPlan],
    name: str,
    storage: Storage,
    sweep: str | None,
    only: Sequence[str],
    *,
    or_part: bool,
) -> KeptPlan:
    """The kept plan of a sweep of all of the question, of a part, or of whatever an id names."""
    if only and plans:
        check_only([question_in(plans[-1], name)], only)
    if sweep is not None and not only:
        return latest_of(plans, name, storage, sweep)

    def fits(plan: KeptPlan) -> bool:
        return is_sweep_of(question_in(plan, name), only, plan) if only else "only" not in plan

    try:
        return latest_of(plans, name, storage, sweep, fits)
    except PlanError:
        if not or_part:
            raise
    return latest_of(plans, name, storage)


def _warn(console: Console, problem: str) -> None:
    print_line(console, problem, style="yellow")


def _others(plans: Sequence[KeptPlan], plan: KeptPlan, name: str) -> str | None:
    """What to say where the storage has sweeps of other questions of the same name."""
    others = [one["sweep"] for one in plans if one.get("question") != plan.get("question")]
    if not others:
        return None
    return (
        f"{name}: the question has changed under its name; this is the newest, {plan['sweep']}, "
        f"and --sweep names another: {', '.join(others)}"
    )


def _written(report: Report, output: Path, console: Console, html: Path | None) -> Finished:
    output.mkdir(parents=True, exist_ok=True)
    # a report that is made again has no histories to draw, but may lie where they were drawn
    has_curves = report.not_kept is not None and (output / "curves.png").exists()
    files = report_files(report, has_curves=has_curves)
    for file, content in files.items():
        (output / file).write_bytes(content)
    return _finished(report, str(output), console, _page(report, files, html, console))


def _page(
    report: Report, files: Mapping[str, bytes], html: Path | None, console: Console
) -> dict[str, str]:
    """Write the page, if one is wanted; returns its place, for the document."""
    if html is None:
        return {}
    from orchestrator.commands.page import say_page, write_report_page

    page = write_report_page(report, files, html)
    say_page(page, console)
    return {"page": str(page)}


def _finished(report: Report, where: str, console: Console, more: Mapping[str, str]) -> Finished:
    console.print(f"figure: {near(where)}/report.png", highlight=False, soft_wrap=True)
    console.print(f"report: {near(where)}/report.md", highlight=False, soft_wrap=True)
    return Finished(0, {**as_json(report), "files": where, **more})


def _print_next(
    report: Report, storage: Storage, console: Console, document: Mapping[str, Any]
) -> None:
    """Print what one may type next: more seeds where there are too few to decide."""
    seeds, missing = len(report.plan["seeds"]), any(cell.missing for cell in report.cells)
    too_few = has_too_few_seeds(document["verdicts"]) and seeds < FEWEST_POOLED
    steps = after_sweep(
        report.ablation.name,
        storage,
        command=report.plan["command"],
        too_few_seeds=too_few,
        has_missing=missing,
        part=report.plan["sweep"] if "only" in report.plan else None,
    )
    for line in next_lines(steps):
        print_line(console, line)


def report_files(report: Report, *, has_curves: bool = False) -> dict[str, bytes]:
    """Return the files of a report, by name.

    `has_curves`: there are pictures of training curves, though this report draws none.
    """
    # takes seconds, which those who only print can do without
    from orchestrator.report.figures.ablation import picture_files
    from orchestrator.report.figures.both import figures_of

    figures = figures_of(report)
    return {
        "report.md": markdown(
            report, "report.png", "curves.png" if figures["curves"] or has_curves else None
        ).encode(),
        "report.json": (json.dumps(as_json(report), indent=2) + "\n").encode(),
        **picture_files(figures),
    }
