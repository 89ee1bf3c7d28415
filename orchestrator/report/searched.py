"""What a search has found, as data and as Markdown: settings, decisions, what mattered."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.plan.in_optuna import importances
from orchestrator.plan.kept import KeptPlan, workload_of_plan
from orchestrator.plan.space import assignments_of, setting_name, shown
from orchestrator.plan.study import Search, Trial
from orchestrator.run_record import RunRecord
from workloads.plural import counted

__all__ = ["Searched", "as_tree", "markdown_of", "options_of", "order_of", "searched"]

PICTURES = {
    "history": "Scores in the order in which settings were asked",
    "slices": "Scores by each field",
    "parallel": "All settings at once",
    "importance": "What mattered",
}


@dataclass(frozen=True)
class Searched:
    """A search that has asked at least one setting.

    `test` are the results of the best setting's run, read only once it had been chosen on the
    validation split; empty while none has trained to the end.
    """

    plan: KeptPlan
    search: Search
    fingerprints: Mapping[int, str]
    test: Mapping[str, float]
    importance: Mapping[str, float]

    @property
    def at_first_rung(self) -> list[tuple[Trial, float]]:
        """The trials with the scores that can be compared of all: those at the first rung."""
        return [(trial, trial.scores[0]) for trial in self.search.study.trials if trial.scores]

    @property
    def best(self) -> Trial | None:
        """The chosen setting."""
        return self.search.study.best

    def status(self, trial: Trial) -> str:
        """Say in a word how far a trial came."""
        if trial.failed or trial.is_pending:
            return trial.failed or "unfinished"
        return "finished" if trial.rung == self.search.study.last else "stopped"

    def epochs(self, trial: Trial) -> int:
        """Return how many epochs of the recipe's budget a trial was trained, by its last rung."""
        return self.search.study.rungs[len(trial.scores) - 1] if trial.scores else 0


def searched(plan: KeptPlan, search: Search, records: Mapping[str, RunRecord | None]) -> Searched:
    """Collect a search from its kept plan and what was kept of it.

    `records` by fingerprint: of the best setting's run only is anything read.
    """
    names = {cell["at"][0]: cell["fingerprint"] for cell in plan["cells"]}
    study, best = search.study, search.study.best
    fingerprints = {
        trial.number: names[name]
        for trial in study.trials
        if (name := setting_name(trial.setting)) in names
    }
    test: Mapping[str, float] = {}
    if best is not None and len(best.scores) == len(study.rungs):
        record = records.get(fingerprints.get(best.number, ""))
        test = record.results if record is not None and record.has_finished else {}
    scored = [(trial.setting, trial.scores[0]) for trial in study.trials if trial.scores]
    return Searched(plan, search, fingerprints, test, importances(search.space, scored))


def order_of(found: Searched) -> list[Trial]:
    """Return the trials, those that came furthest and the best of them first, the failed last."""
    return sorted(
        found.search.study.trials,
        key=lambda trial: (
            trial.failed is None,
            len(trial.scores),
            *trial.scores[-1:],
            -trial.number,
        ),
        reverse=True,
    )


def options_of(trial: Trial) -> str:
    """Return the options of a command that ask for a setting, as a shell takes them."""
    assignments = assignments_of(trial.setting)
    return shlex.join(word for one in assignments for word in ("--set", one))


def as_tree(found: Searched) -> dict[str, Any]:
    """Return all of it as plain values, for report.json."""
    search, study, best = found.search, found.search.study, found.best
    settings = [
        {
            "number": trial.number,
            "generation": trial.generation,
            "setting": setting_name(trial.setting),
            "values": trial.setting,
            "fingerprint": found.fingerprints.get(trial.number),
            "status": found.status(trial),
            "epochs": found.epochs(trial),
            "validation_score": trial.scores[-1] if trial.scores else None,
            "scores": dict(zip(map(str, study.rungs), trial.scores, strict=False)),
        }
        for trial in order_of(found)
    ]
    chosen = best and {
        "setting": setting_name(best.setting),
        "fingerprint": found.fingerprints.get(best.number),
        "validation_score": best.scores[-1],
        "epochs": found.epochs(best),
        "results": dict(found.test),
    }
    return {
        "sweep": found.plan["sweep"],
        "search": search.identity | {"samples": search.samples},
        "settings": settings,
        "decisions": study.tree()["decisions"],
        "importance": dict(found.importance),
        "best": chosen,
    }


def markdown_of(found: Searched, pictures: Mapping[str, str]) -> str:
    """Return the report as Markdown, with pictures by their stem."""
    search, study, best = found.search, found.search.study, found.best
    rungs = ", ".join(map(str, study.rungs))
    lines = [
        f"# Search {found.plan['sweep']}",
        "",
        f"- **Recipe:** {found.plan['preset']}; data: {found.plan['data']['title']}",
        f"- **Sampler:** {search.rules.sampler}, {search.rules.generation} settings at once; "
        f"**pruner:** {search.rules.pruner}, rungs after {rungs} epochs",
        f"- **Settings:** {len(study.trials)} of {search.samples} asked, on one seed "
        f"({search.rules.seed})",
        *(f"- `{line.partition(':')[0]}`{line[line.index(':') :]}" for line in shown(search.space)),
        "",
    ]
    if best is not None:
        lines += _best_lines(found, best)
    lines += ["| setting | epochs | validation, % | status |", "|---|---:|---:|---|"]
    for trial in order_of(found):
        score = f"{trial.scores[-1]:.1f}" if trial.scores else ""
        name = setting_name(trial.setting).replace("|", "\\|")
        lines.append(f"| {name} | {found.epochs(trial)} | {score} | {found.status(trial)} |")
    for stem, title in PICTURES.items():
        if stem in pictures:
            lines += ["", f"## {title}", "", f"![{title}]({pictures[stem]})"]
    if found.importance:
        lines += [
            "",
            f"Shares of the spread of the scores at the first rung, by fANOVA over "
            f"{counted(len(found.at_first_rung), 'setting')}: few settings give rough shares.",
        ]
    return "\n".join(lines) + "\n"


def _best_lines(found: Searched, best: Trial) -> list[str]:
    lines = [
        f"Best on the validation split, after {found.epochs(best)} epochs: "
        f"{best.scores[-1]:.1f} %, `{options_of(best)}`.",
        "",
    ]
    workload = workload_of_plan(found.plan)
    if (test := found.test.get(workload.headline[0])) is not None:
        lines += [
            f"Its test accuracy, which chose nothing: {test:.1f} % "
            f"({workload.headline[0].replace('_', ' ')}, 1 seed). Other seeds of it: "
            f"`simclr-orch pretrain`, or an ablation with these options.",
            "",
        ]
    return lines
