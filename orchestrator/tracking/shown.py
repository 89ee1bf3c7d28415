"""What MLflow's pages show of a sweep: parameters, metrics, descriptions and the saved view."""

import json
from collections.abc import Mapping
from typing import Any

from orchestrator.plan import Plan, PlannedCell
from orchestrator.plan.kept import KeptPlan
from orchestrator.run_record import Metrics, RunRecord
from orchestrator.tracking.names import entry_name, interval_tags, mlflow_name
from orchestrator.tracking.view import View

__all__ = ["ANSWER", "PAGES", "PICTURE", "Shown"]

# A file beside those of a report: its answer in a few lines of Markdown, for the description.
ANSWER = "answer.md"
DOCUMENT, PICTURE = "report.json", "report.png"
# A tag of each cell's run: in which way its metrics and parameters are named. Runs without it are
# of a version that named them as records do.
PAGES = {"simclr_orch.pages": "2"}
CELL, PAPER = "cell", "paper"
VERDICTS = ("reproduced", "contradicted", "alike", "undecided", "not asked")


class Shown:
    """What is shown of one plan's sweep."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._quantities = plan.workload.quantities
        self._axes = plan.ablation.layout(plan.scale).axes if plan.ablation else ()

    def named(self, metrics: Metrics) -> dict[str, float]:
        """Return metrics by their names in MLflow."""
        return {mlflow_name(name, self._quantities): value for name, value in metrics.items()}

    def params(self, cell: PlannedCell) -> dict[str, object]:
        """Return where a cell lies, by axis, and all fields of its specification.

        The fields keep their dotted names, so that runs of two sweeps can be compared.
        """
        fields = cell.spec.flat()
        at: dict[str, object] = {CELL: " · ".join(cell.at)}
        if len(cell.at) == len(self._axes):
            at |= {
                entry_name(axis.name): label
                for axis, label in zip(self._axes, cell.at, strict=True)
            }
        return {name: value for name, value in at.items() if name not in fields} | fields

    def shared(self) -> dict[str, object]:
        """Return the fields that all cells have in common, for the run of the sweep.

        MLflow never changes a parameter: what later rounds may vary is none of them.
        """
        jobs = self._plan.jobs.values()
        first, *others = [cell.spec.flat() for cell in jobs if cell.role != "reference"] or [{}]
        varied = {"seed", *(self._plan.search.space if self._plan.search else ())}
        return {
            name: value
            for name, value in first.items()
            if name not in varied and all(name in flat and flat[name] == value for flat in others)
        }

    def results(self, cell: PlannedCell, record: RunRecord) -> dict[str, float]:
        """Return the results of a run that has ended, and the paper's number beside them."""
        results = dict(record.results)
        if not record.has_finished:
            return self.named(results)
        if record.total_seconds is not None:
            results["total_seconds"] = record.total_seconds
        named = self.named(results)
        metric, own = self._metric_of(cell), self._metric
        if metric != own and metric in record.results:
            named[self._name_of(own)] = record.results[metric]
        if cell.paper is not None:
            named[f"{PAPER}_{self._name_of(own)}"] = cell.paper
        return named

    def intervals(self, record: RunRecord) -> dict[str, str]:
        """Return the intervals of a run's results as tags."""
        found = record.intervals if record.has_finished else None
        return interval_tags(found or {}, self._quantities)

    @property
    def view(self) -> View:
        """The saved view that answers the question of the sweep."""
        plan = self._plan
        is_alone = plan.ablation is None and not plan.is_search
        metric = self._name_of(self._metric)
        has_paper = any(cell.paper is not None for cell in plan.cells)
        axes = tuple(entry_name(axis.name) for axis in self._axes)
        if plan.search is not None:
            axes = tuple(plan.search.space)
        return View(
            key=plan.name if is_alone else plan.sweep_id,
            name=plan.name if is_alone else f"Answer of sweep {plan.sweep_id}",
            sweep=None if is_alone else plan.sweep_id,
            axes=axes,
            numeric=tuple(
                entry_name(axis.name)
                for axis in self._axes
                if all(_is_number(label) for label in axis.labels)
            ),
            group=None if is_alone else CELL,
            metric=metric,
            paper=f"{PAPER}_{metric}" if has_paper else None,
            lower_is_better=self._is_lower_better,
            curves=[
                mlflow_name(name, self._quantities) for name in plan.workload.curves.quantities
            ],
        )

    def description(self, kept: KeptPlan, answer: str | None, picture: str | None) -> str:
        """Return the sweep in Markdown: question, answer if there is one, setting, command.

        `picture` is the address of the figure.
        """
        plan, ablation = self._plan, self._plan.ablation
        paper = plan.workload.paper.name
        parts = []
        if ablation is not None:
            parts.append(f"**{ablation.question}**")
            parts.append(f"Source: {paper}, {ablation.source}.")
        elif plan.is_search:
            parts.append("**Which settings are best on validation images?**")
        else:
            parts.append("**Single runs**, each beside the recipe it is of.")
        if answer is not None or ablation is not None or plan.is_search:
            parts.append(answer or "No answer yet: the sweep has not ended.")
        data = kept["data"]
        of_parts = {"training": data["train"], "validation": data["validation"]}
        of_parts["test"] = data["test"]
        sizes = ", ".join(f"{size:,} {part}" for part, size in of_parts.items() if size)
        setting = f"preset {kept['preset']}, {plan.workload.setting(kept['base'])}"
        if answer is None:  # which says both
            parts.append(f"Setting: {setting}. Data: {data['title']}: {sizes}.")
        parts.append(f"Sweep `{plan.sweep_id}`, reproduced by:\n\n    {kept['command']}")
        if picture is not None:
            parts.append(f"![{plan.name}]({picture})")
        return "\n\n".join(parts)

    def of_sweep(self, files: Mapping[str, str | bytes]) -> dict[str, float]:
        """Return the metrics of the sweep's own run, as its report has them."""
        try:
            document = json.loads(files[DOCUMENT])
        except (KeyError, ValueError):
            return {}
        if "verdicts" not in document:
            return self._of_search(document)
        name, means = self._name_of(self._metric), []
        for cell in document["cells"]:
            if cell["mean"] is not None:
                means.append(cell["mean"])
        found: dict[str, float | None] = {}
        if means:
            found[f"best_{name}"] = min(means) if self._is_lower_better else max(means)
        found[f"untrained_{name}"] = (document["untrained"] or {}).get("mean")
        found["rank_correlation"] = (document["rank_correlation"] or {}).get("rho")
        words = [one["verdict"] for one in document["verdicts"]]
        for word in VERDICTS if words else ():
            found[f"claims_{word.replace(' ', '_')}"] = words.count(word)
        found["runs_failed"] = sum(cell["failed"] for cell in document["cells"])
        found["runs_missing"] = sum(cell["missing"] for cell in document["cells"])
        return {name: value for name, value in found.items() if value is not None}

    def _of_search(self, document: Mapping[str, Any]) -> dict[str, float]:
        best = document.get("best")
        if not isinstance(best, dict):
            return {}
        found = self.named(best.get("results") or {})
        return {"best_validation_score": best["validation_score"]} | {
            f"best_{name}": value for name, value in found.items()
        }

    @property
    def _metric(self) -> str:
        """What cells are compared by; cells with metrics of their own share the name `result`."""
        plan = self._plan
        if plan.ablation is None:
            return plan.workload.headline[0]
        cells = plan.ablation.layout(plan.scale).cells
        own = {plan.ablation.metric_of(cell) for cell in cells}
        return own.pop() if len(own) == 1 else "result"

    def _metric_of(self, planned: PlannedCell) -> str:
        ablation = self._plan.ablation
        if ablation is None:
            return self._metric
        cells = ablation.layout(self._plan.scale).cells
        at = next((cell for cell in cells if cell.at == planned.at), None)
        return ablation.metric if at is None else ablation.metric_of(at)

    @property
    def _is_lower_better(self) -> bool:
        ablation = self._plan.ablation
        metric = ablation.metric if ablation else self._plan.workload.headline[0]
        quantity = self._quantities.get(metric)
        return quantity is not None and quantity.better == "lower"

    def _name_of(self, metric: str) -> str:
        return mlflow_name(metric, self._quantities)


def _is_number(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return True
