"""A saved view of an experiment in MLflow: which columns and charts its page opens with.

MLflow 3.17 keeps one as a tag of the experiment, `mlflow.sharedViewState.KEY`, with a name for the
list of views and the state of the page as JSON, which may be compressed. The page opens with it at
`#/experiments/ID/runs?viewStateShareKey=KEY`.
"""

import base64
import json
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

__all__ = ["View", "page_of", "view_tag"]

TAG = "mlflow.sharedViewState."
RUNS_AT_MOST = 100  # in a chart
ANSWER, CURVES, CHOSEN_BY_MLFLOW = "Answer", "Curves", ("Model metrics", "System metrics")
WIDTHS = {"attributes.`Run Name`": 280, "interval": 130, "seed": 70}


@dataclass(frozen=True)
class View:
    """What is shown of a sweep: its axes, the result, and what its curves are of.

    `axes` and `group` are names of parameters, `numeric` those of the axes whose labels are
    numbers. `paper` is the metric that holds the paper's number, where it has any. Without a sweep
    it is of all runs of the experiment.
    """

    key: str
    name: str
    sweep: str | None
    axes: Sequence[str]
    numeric: Sequence[str]
    group: str | None
    metric: str
    paper: str | None
    lower_is_better: bool
    curves: Sequence[str]

    @property
    def columns(self) -> list[str]:
        """The columns in their order: what differs, the result, its interval, the paper's, seed."""
        result = [f"metrics.`{self.metric}`", f"tags.`interval.{self.metric}`"]
        paper = [f"metrics.`{self.paper}`"] if self.paper else []
        return [*(f"params.`{axis}`" for axis in self.axes), *result, *paper, "params.`seed`"]

    @property
    def state(self) -> dict[str, Any]:
        """The state of the page, as MLflow reads it."""
        asked = {"simclr_orch.kind": "cell"}
        if self.sweep is not None:
            asked["simclr_orch.sweep"] = self.sweep
        first = ["attributes.`Run Name`", *self.columns]
        return {
            "searchFilter": " and ".join(f"tags.`{key}` = '{text}'" for key, text in asked.items()),
            "orderByKey": f"metrics.`{self.metric}`",
            "orderByAsc": self.lower_is_better,
            "selectedColumns": self.columns,
            "columnOrder": [*first, "runDateAndNestInfo", "duration"],
            "columnWidths": {column: _width(column) for column in first},
            "runsHiddenMode": "SHOWALL",
            "groupBy": self._grouping(),
            "useGroupedValuesInCharts": True,
            "compareRunCharts": self._charts(),
            "compareRunSections": [
                _section(ANSWER, True),
                *([_section(CURVES, True)] if self.curves else []),
                *(_section(name, False) for name in CHOSEN_BY_MLFLOW),
            ],
            "isAccordionReordered": True,
        }

    def _grouping(self) -> dict[str, Any] | None:
        if self.group is None:
            return None
        keys = [{"mode": "param", "groupByData": self.group}]
        return {"aggregateFunction": "average", "groupByKeys": keys}

    def _charts(self) -> list[dict[str, Any]]:
        result = {"key": self.metric, "type": "METRIC"}
        bars = {"metricKey": self.metric, "dataAccessKey": self.metric, "displayName": self.metric}
        charts = [_chart("BAR", ANSWER, "result", **bars)]
        for axis in self.numeric:
            x = {"key": axis, "type": "PARAM"}
            charts.append(_chart("SCATTER", ANSWER, f"by {axis}", xaxis=x, yaxis=result))
        if self.paper is not None:
            x = {"key": self.paper, "type": "METRIC"}
            charts.append(_chart("SCATTER", ANSWER, "paper", xaxis=x, yaxis=result))
        for metric in self.curves:
            keys = {"metricKey": metric, "selectedMetricKeys": [metric], "displayName": metric}
            charts.append(_chart("LINE", CURVES, f"curve of {metric}", **keys, **LINE))
        return charts


# what MLflow's page gives a chart of lines of its own
LINE = {
    "lineSmoothness": 0,
    "xAxisScaleType": "linear",
    "scaleType": "linear",
    "range": {},
    "xAxisKey": "step",
    "selectedXAxisMetricKey": "",
    "yAxisKey": "metric",
    "yAxisExpressions": [],
    "ignoreOutliers": False,
    "useGlobalXaxisKey": True,
    "useGlobalLineSmoothing": True,
}


def view_tag(view: View) -> tuple[str, str]:
    """Return the name and content of the tag of an experiment that keeps a view."""
    state = base64.b64encode(zlib.compress(json.dumps(view.state).encode())).decode()
    now = int(time.time() * 1000)
    kept = {"name": view.name, "createdAt": now, "updatedAt": now, "state": f"deflate;{state}"}
    return f"{TAG}{view.key}", json.dumps(kept)


def page_of(page: str, experiment_id: str, key: str | None = None, *, charts: bool = False) -> str:
    """Return the address of an experiment's runs, as model training, and with a saved view.

    `page` is where MLflow's pages are.
    """
    query = {"workflowType": "machine_learning"}
    if key is not None:
        query["viewStateShareKey"] = key
    if charts:
        query["compareRunsMode"] = "CHART"
    return f"{page}/#/experiments/{experiment_id}/runs?{urlencode(query)}"


def _width(column: str) -> int:
    return next((width for part, width in WIDTHS.items() if part in column), 150)


def _section(name: str, is_open: bool) -> dict[str, Any]:
    flags = {"isReordered": True, "deleted": False, "isGenerated": False}
    return {"uuid": name, "name": name, "display": is_open, **flags}


def _chart(kind: str, section: str, name: str, **more: Any) -> dict[str, Any]:
    about = {"type": kind, "uuid": name, "metricSectionId": section}
    flags = {"runsCountToCompare": RUNS_AT_MOST, "deleted": False, "isGenerated": False}
    return {**about, **flags, **more}
