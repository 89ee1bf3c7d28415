"""The page of a search: what mattered, all settings at once, their history, and each field."""

import math
from collections.abc import Mapping, Sequence

from orchestrator.plan.space import Choices, Range, assignments_of
from orchestrator.plan.space import shown as space_lines
from orchestrator.plan.study import Trial
from orchestrator.report.figures.places import height, marks, place, value_text
from orchestrator.report.page.charts import INK, Chart, Trace, axis, layout, series_style, shown
from orchestrator.report.page.payload import charts_text, plotly_text
from orchestrator.report.page.rendering import filled, section_of
from orchestrator.report.page.report_page import command_to_share, origin_of
from orchestrator.report.searched import PICTURES, Searched, options_of, order_of
from orchestrator.report.tables import TextTable

__all__ = ["search_page"]

SCORE = "validation score, %"
ORDER = ("importance", "parallel", "history", "slices")


def search_page(found: Searched, pictures: Mapping[str, bytes], *, index: str = "") -> str:
    """Return the page of a search. `pictures` are its files, `index` lists other pages."""
    scored = [trial for trial in found.search.study.trials if trial.scores]
    drawn = {
        "importance": _importance(found) if found.importance else [],
        "parallel": [_parallel(found, scored)],
        "history": [_history(found, scored)],
        "slices": _slices(found, scored),
    }
    charts: list[Chart] = []
    figures = []
    for name in ORDER:
        mine = drawn[name] if scored and plotly_text() is not None else []
        picture = pictures.get(f"{name}.png")
        if mine or picture:
            notes = _notes(found) if name == "importance" else ()
            figures.append(section_of(name, PICTURES[name], mine, picture, charts, notes=notes))
        charts += mine
    plan, rules = found.plan, found.search.rules
    return filled(
        "search.html",
        title=f"Search {plan['sweep']}",
        answer=_answer(found),
        under=f"{plan['data']['title']} · preset {plan['preset']}",
        index=index,
        figures=figures,
        table=_table(found),
        facts=[
            *([("Options of the best", options_of(found.best))] if found.best else []),
            ("Sampler", f"{rules.sampler}, {rules.generation} settings at once"),
            ("Pruner", f"{rules.pruner}, rungs after {_epochs(found)} epochs"),
            ("Settings", f"{len(found.search.study.trials)} of {found.search.samples} asked"),
            ("Seed", f"{rules.seed}, one for all settings: no spread is known"),
            ("Space", "; ".join(space_lines(found.search.space))),
        ],
        command=command_to_share(plan["command"]),
        origin=[one for one in origin_of(plan, ()) if one[0] != "Machine"],
        plotly=plotly_text(),
        charts=charts_text(charts) if charts else "",
    )


def _answer(found: Searched) -> str:
    if (best := found.best) is None:
        return "No setting has a score yet."
    return (
        f"Best: {', '.join(assignments_of(best.setting))}, {best.scores[-1]:.1f} % on the "
        f"validation split after {found.epochs(best)} epochs."
    )


def _epochs(found: Searched) -> str:
    return ", ".join(map(str, found.search.study.rungs))


def _notes(found: Searched) -> Sequence[str]:
    n = len(found.at_first_rung)
    return [
        f"Shares of the spread of the scores at the first rung, by fANOVA over {n} settings: few "
        "settings give rough shares."
    ]


def _table(found: Searched) -> TextTable:
    rows = [
        (
            ", ".join(assignments_of(trial.setting)),
            str(found.epochs(trial)),
            f"{trial.scores[-1]:.1f}" if trial.scores else "",
            found.status(trial),
        )
        for trial in order_of(found)
    ]
    return TextTable("best first", ("setting", "epochs", "validation, %", "status"), tuple(rows))


def _words(found: Searched, trial: Trial) -> str:
    """What stands under the pointer."""
    lines = [f"<b>setting {trial.number + 1}</b>", *map(shown, assignments_of(trial.setting))]
    lines += [
        f"{score:.1f} % after {epochs} epochs"
        for epochs, score in zip(found.search.study.rungs, trial.scores, strict=False)
    ]
    return "<br>".join([*lines, found.status(trial), "n = 1 seed"])


def _importance(found: Searched) -> list[Chart]:
    fields = list(found.importance)[::-1]
    shares = [round(100 * found.importance[field], 1) for field in fields]
    trace: Trace = {
        "type": "bar",
        "orientation": "h",
        "x": shares,
        "y": [shown(field) for field in fields],
        "text": [f"{share:.0f} %" for share in shares],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": series_style(0)["line"]["color"]},
        "hovertemplate": "%{y}: %{x} %<extra></extra>",
    }
    drawn = layout(
        xaxis=axis("share of the scores' spread, %", range=[0, 110]), yaxis=axis(showgrid=False)
    )
    told = ", ".join(f"{field} {share:.0f} %" for field, share in zip(fields, shares, strict=True))
    return [Chart("Importance", told, [trace], drawn, 110 + 40 * len(fields), wide=True)]


def _history(found: Searched, scored: Sequence[Trial]) -> Chart:
    traces = _points(found, scored, [trial.number + 1 for trial in scored], rung=None)
    last = found.search.study.last
    whole = [(trial.number + 1, trial.scores[-1]) for trial in scored if len(trial.scores) > last]
    if whole:
        best = [max(score for _, score in whole[: end + 1]) for end in range(len(whole))]
        line = {"shape": "hv", "dash": "dot", "color": INK, "width": 1.5}
        x = [number for number, _ in whole] + [len(found.search.study.trials)]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "best with the whole budget",
                "x": x,
                "y": best + best[-1:],
                "line": line,
                "hoverinfo": "skip",
            }
        )
    drawn = layout(
        xaxis=axis("setting, in the order in which they were asked"),
        yaxis=axis(SCORE),
        showlegend=True,
        legend={"orientation": "h", "y": -0.25},
    )
    alt = f"Scores of {len(scored)} settings in the order in which they were asked"
    return Chart("Each setting's score where it stopped", alt, traces, drawn, 400, wide=True)


def _slices(found: Searched, scored: Sequence[Trial]) -> list[Chart]:
    charts = []
    for name, values in found.search.space.items():
        places = [place(values, trial.setting[name]) for trial in scored]
        drawn = layout(
            xaxis=axis(name, **_scale(values)),
            yaxis=axis(SCORE),
            showlegend=len(found.search.study.rungs) > 1,
            legend={"orientation": "h", "y": -0.3},
        )
        traces = _points(found, scored, places, rung=0)
        alt = f"Scores at the first rung of {len(scored)} settings by {name}"
        charts.append(Chart(name, alt, traces, drawn, 320))
    return charts


def _parallel(found: Searched, scored: Sequence[Trial]) -> Chart:
    """A line for each setting over the fields, coloured by its score; the best in black."""
    space = found.search.space
    scores = [trial.scores[0] for trial in scored]
    low, high = min(scores, default=0.0), max(scores, default=1.0)
    best = found.best
    ends: Trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [None],
        "y": [None],
        "showlegend": False,
        "marker": {
            "color": [low],
            "cmin": low,
            "cmax": max(high, low + 0.1),
            "colorscale": "Cividis",
            "showscale": True,
            "colorbar": {"thickness": 10, "outlinewidth": 0, "title": {"text": "%"}},
        },
    }
    traces = [ends]
    for trial in sorted(scored, key=lambda trial: (trial is best, trial.scores[0])):
        share = (trial.scores[0] - low) / (high - low) if high > low else 1.0
        line = {"color": _cividis(share), "width": 2}
        if trial is best:
            line = {"color": INK, "width": 4, "dash": "dash"}
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "x": list(range(len(space))),
                "y": [round(height(v, trial.setting[name]), 4) for name, v in space.items()],
                "line": line,
                "name": "chosen setting",
                "showlegend": trial is best,
                "text": [_words(found, trial)] * len(space),
                "hovertemplate": "%{text}<extra></extra>",
            }
        )
    names = [
        {
            "x": position,
            "y": height(values, value),
            "text": shown(value_text(value)),
            "showarrow": False,
            "xanchor": "left",
            "xshift": 6,
            "bgcolor": "var(--paper)",
            "font": {"size": 11},
        }
        for position, values in enumerate(space.values())
        for value in marks(values)
    ]
    ticks = {"tickvals": list(range(len(space))), "ticktext": [shown(name) for name in space]}
    drawn = layout(
        xaxis=axis("", **ticks, zeroline=False, range=[-0.35, len(space) - 0.5]),
        yaxis=axis(visible=False, range=[-0.06, 1.06]),
        annotations=names,
        legend={"orientation": "h", "y": -0.2},
    )
    alt = f"A line for each of {len(scored)} settings over {len(space)} fields"
    return Chart("Each line is a setting", alt, traces, drawn, 440, wide=True)


def _points(
    found: Searched, scored: Sequence[Trial], places: Sequence[float], *, rung: int | None
) -> list[Trace]:
    """Settings as points, by how far they came, at the score of a rung or of their last."""
    traces: list[Trace] = []
    for reached, epochs in enumerate(found.search.study.rungs):
        here = [
            (at, trial)
            for at, trial in zip(places, scored, strict=True)
            if len(trial.scores) == reached + 1
        ]
        if here:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": f"trained for {epochs} epoch{'s' * (epochs != 1)}",
                    "x": [at for at, _ in here],
                    "y": [trial.scores[-1 if rung is None else rung] for _, trial in here],
                    "marker": series_style(reached)["marker"],
                    "text": [_words(found, trial) for _, trial in here],
                    "hovertemplate": "%{text}<extra></extra>",
                }
            )
    return traces


def _scale(values: Choices | Range) -> dict[str, object]:
    if isinstance(values, Choices):
        names = [shown(value_text(value)) for value in values.values]
        return {
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "zeroline": False,
            "range": [-0.5, len(names) - 0.5],
        }
    return {} if values.linear else {"type": "log"}


def _cividis(share: float) -> str:
    """A colour of the scale, between its few stops."""
    stops = ((0, 32, 77), (60, 77, 110), (124, 123, 120), (187, 175, 113), (255, 234, 70))
    at = min(max(share, 0.0), 1.0) * (len(stops) - 1)
    first = min(math.floor(at), len(stops) - 2)
    mixed = (
        round(a + (b - a) * (at - first))
        for a, b in zip(stops[first], stops[first + 1], strict=True)
    )
    return "rgb({},{},{})".format(*mixed)
