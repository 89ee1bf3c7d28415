"""The reference pages of the site, from what the code itself declares, so that they stay true."""

import re
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
import yaml
from pydantic import BaseModel

from orchestrator.cli import app
from search_spaces import ABLATIONS, Ablation
from search_spaces.claim_language import claim_texts
from workloads.catalog import every_workload

__all__ = ["ablations", "commands", "fields", "generated_pages", "metrics", "presets"]

MADE = "*This page is made from the code when the site is built.*"


def generated_pages() -> dict[str, str]:
    """The text of each generated page, by its place under `docs/`."""
    return {
        "reference/commands.md": commands(),
        "reference/fields.md": fields(),
        "reference/presets.md": presets(),
        "reference/ablations.md": ablations(),
        "reference/metrics.md": metrics(),
    }


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of Markdown, with a blank line before and after it."""
    lines = [header, ["---"] * len(header), *rows]
    return ["", *("| " + " | ".join(_cell(one) for one in line) + " |" for line in lines), ""]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def code(value: Any) -> str:
    """A value as one types it behind `--set FIELD=`."""
    if isinstance(value, str) and value:
        return f"`{value}`"
    plain = list(value) if isinstance(value, tuple) else value
    if isinstance(plain, list) and len(plain) > 8:
        first = ", ".join(str(one) for one in plain[:3])
        return f"`[{first}, …, {plain[-1]}]` ({len(plain)})"
    text = yaml.safe_dump(_plain(plain), default_flow_style=True, width=10_000)
    return f"`{text.removesuffix('...' + chr(10)).strip()}`"


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return dict(value) if isinstance(value, Mapping) else value


# Fields


def fields() -> str:
    """Every field of every specification: meaning, default, choices, presets that differ."""
    lines = ["# Fields", "", MADE, "", FIELDS_SAY]
    for workload in every_workload():
        flat = {name: build().flat() for name, build in workload.presets.items()}
        spec = next(iter(workload.presets.values()))()
        lines += [f"## {workload.name}", ""]
        for group, rows in _groups(type(spec), flat).items():
            lines += [
                f"### {workload.name}: `{group}`" if group else f"### {workload.name}: whole run"
            ]
            lines += table(("field", "meaning", "default", "choices", "presets that differ"), rows)
    return "\n".join(lines)


FIELDS_SAY = (
    "`--set FIELD=VALUE` sets a field, and so does a file for `--config`. The default is that of "
    "the specification; a preset may set another, as the last column says. [How a value is "
    "read](../ablations.md#another-recipe).\n"
)


def _groups(
    spec: type[BaseModel], flat: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[tuple[str, ...]]]:
    groups: dict[str, list[tuple[str, ...]]] = {}
    for path, info in _walk(spec):
        default = info.get_default(call_default_factory=True)
        group = path.rpartition(".")[0]
        groups.setdefault(group, []).append(
            (
                f"`{path}`",
                info.description or "",
                "needed" if info.is_required() else code(default),
                _choices(info.annotation, info.metadata),
                _that_differ(path, default, flat),
            )
        )
    return groups


def _walk(spec: type[BaseModel], before: str = "") -> Iterator[tuple[str, Any]]:
    inner = []
    for name, info in spec.model_fields.items():
        part = info.annotation
        if isinstance(part, type) and issubclass(part, BaseModel):
            inner.append((name, part))
        else:
            yield f"{before}{name}", info
    for name, part in inner:
        yield from _walk(part, f"{before}{name}.")


def _that_differ(path: str, default: Any, flat: Mapping[str, Mapping[str, Any]]) -> str:
    by_value: dict[str, list[str]] = {}
    for preset, values in flat.items():
        if path in values and _plain(values[path]) != _plain(default):
            by_value.setdefault(code(values[path]), []).append(preset)
    return "; ".join(f"{value}: {', '.join(names)}" for value, names in by_value.items())


def _choices(annotation: Any, metadata: Sequence[Any]) -> str:
    bounds = [text for one in metadata for text in _bounds(one)]
    said = _type(annotation)
    return f"{said}, {', '.join(bounds)}" if bounds and said else said or ", ".join(bounds)


def _bounds(one: Any) -> Iterator[str]:
    for name, sign in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below")):
        if (value := getattr(one, name, None)) is not None:
            yield f"{sign} {value:g}" if isinstance(value, float) else f"{sign} {value}"
    for inner in getattr(one, "metadata", ()):
        yield from _bounds(inner)


NAMES: dict[Any, str] = {int: "whole number", float: "number", bool: "`true`, `false`", str: "text"}


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is type(None):
        return "`null`"
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in inner)
    if origin is Annotated:
        return _choices(inner[0], inner[1:])
    if origin in (Union, types.UnionType):
        return ", or ".join(_type(one) for one in inner)
    if origin is tuple:
        kinds = [_type(one) for one in inner if one is not Ellipsis]
        return f"list of {kinds[0]}" if Ellipsis in inner else f"[{'; '.join(kinds)}]"
    return NAMES.get(annotation, "options by name")


# Presets


def presets() -> str:
    """Every preset: what it is for, and where it leaves the specification's defaults."""
    lines = ["# Presets", "", MADE, "", PRESETS_SAY]
    for workload in every_workload():
        lines += [f"## Presets of {workload.name}", ""]
        for name, build in workload.presets.items():
            spec = build()
            defaults = dict(_walk(type(spec)))
            said = [" ".join(line.split()) for line in (build.__doc__ or "").strip().split("\n\n")]
            rows = [
                (f"`{path}`", code(value))
                for path, value in spec.flat().items()
                if path in defaults and _plain(value) != _plain(_default(defaults[path]))
            ]
            lines += [f"### `{name}`", "", "\n\n".join(said), "", "It sets:"]
            lines += table(("field", "value"), rows)
    return "\n".join(lines)


PRESETS_SAY = (
    "A preset is a base recipe. `simclr-orch presets NAME` prints one as YAML. "
    "[Every field](fields.md) has its meaning.\n"
)


def _default(info: Any) -> Any:
    return info.get_default(call_default_factory=True)


# Ablations


def ablations() -> str:
    """Every ablation: question, source, cells, claims in words, cost."""
    lines = ["# Ablations in full", "", MADE, "", ABLATIONS_SAY]
    rows = [
        (f"[`{one.name}`](#{name})", one.question, one.source, _cells(one), str(len(one.claims)))
        for name, one in ABLATIONS.items()
    ]
    lines += table(("ablation", "question", "source", "cells, paper / small", "claims"), rows)
    for one in ABLATIONS.values():
        lines += [f"## {one.name}", "", f"**{one.title}.** {one.question}", "", *_facts(one)]
        lines += _claims(one)
    return "\n".join(lines)


ABLATIONS_SAY = (
    "Each is one command, `simclr-orch ablate NAME`, and `simclr-orch spaces NAME` prints what "
    "stands here. *Paper* is asked of recipes of the paper's size, *small* of the others. Cost is "
    "in runs of the preset, for one seed. [The same as a short table](../ablations.md).\n"
)


def _cells(one: Ablation) -> str:
    return f"{len(one.paper.cells)} / {len(one.small.cells)}"


def _facts(one: Ablation) -> list[str]:
    hours = f"{one.paper_tpu_hours:,.0f} TPU v3 core-hours a seed" if one.is_of_imagenet else ""
    lines = [
        f"- Source: {one.source}{' (an extension: the paper does not ask it)' * one.extension}",
        f"- Cells: {_cells(one)}",
        f"- Cost: {one.relative_cost('small'):g} runs of a small preset"
        + (f"; at the paper's scale {hours}" if hours else ""),
        f"- Compared by: `{one.metric}`" if getattr(one, "metric", None) else "",
    ]
    small = [f"- Axis *{axis.name}*: {'; '.join(axis.labels)}" for axis in one.small.axes]
    return [line for line in (*lines, *small, "") if line or line == ""]


def _claims(one: Ablation) -> list[str]:
    lines: list[str] = []
    for claim in one.claims:
        lines += [f"- {claim.statement} ({claim.source})", ""]
        by_scale = {
            scale: claim_texts(claim.comparisons(scale), one.layout(scale).axes)
            for scale in ("paper", "small")
        }
        same = by_scale["paper"] == by_scale["small"]
        for scale, texts in by_scale.items():
            if same and scale == "small":
                continue
            where = "both scales" if same else f"{scale} scale"
            asked = "; ".join(f"`{text}`" for text in texts) or f"not asked: {claim.silent}"
            lines += [f"    {where}: {asked}", ""]
    return lines or ["No claim: the paper does not say what to expect.", ""]


# Metrics


def metrics() -> str:
    """Every result that a run may have, and what training logs."""
    lines = ["# Metrics", "", MADE, "", METRICS_SAY]
    for workload in every_workload():
        rows = [
            (
                f"`{name}`",
                what.name,
                what.unit or "none",
                what.better,
                "yes" if name in workload.headline else "",
            )
            for name, what in workload.quantities.items()
        ]
        lines += [f"## Metrics of {workload.name}"]
        lines += table(("metric", "what it is", "unit", "better", "shown in lists"), rows)
        lines += [f"Logged while training: {', '.join(f'`{one}`' for one in workload.logged)}.", ""]
    return "\n".join(lines)


METRICS_SAY = (
    "Every metric of a run may be named in a [claim](../questions.md#claims-in-words), in "
    "[`runs --where`](../runs.md) and by `--metric`. Test labels are read once, at the end. `_z` "
    "is of the projection head's output, `_validation_` of the validation split, and the number "
    "in `finetune_10_top1` a percentage of labels.\n"
)


# Commands


def commands() -> str:
    """Every command with its help, arguments and options."""
    lines = ["# The command line", "", MADE, ""]
    tree: Any = typer.main.get_command(app)
    found = list(_every_command(tree))
    rows = [(f"[`{name}`](#{_anchor(name)})", _first_line(one)) for name, one in found]
    lines += table(("command", "what it does"), rows)
    for name, one in found:
        lines += [f"## {name}", "", *_help(one), "", "```", f"{_usage(name, one)}", "```"]
        lines += table(("option", "what it does", "default"), _options(one))
    return "\n".join(lines)


def _every_command(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _every_command(command, f"{before}{name} ")
        elif not command.hidden:
            yield f"{before}{name}", command


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _first_line(command: Any) -> str:
    return " ".join((command.help or "").strip().split("\n\n")[0].split()).replace("\b", "")


def _help(command: Any) -> list[str]:
    """Paragraphs of help; what keeps its lines is shown as code."""
    lines: list[str] = []
    for paragraph in (command.help or "").strip().split("\n\n"):
        if "\b" in paragraph or re.match(r"\s*simclr-orch ", paragraph):
            shown = [line.strip() for line in paragraph.replace("\b", "").splitlines()]
            lines += ["```", *filter(None, shown), "```", ""]
        else:
            lines += [" ".join(paragraph.split()), ""]
    if getattr(command, "epilog", None):
        shown = [line.strip() for line in command.epilog.replace("\b", "").splitlines()]
        lines += ["```", *filter(None, shown), "```", ""]
    return lines


def _usage(name: str, command: Any) -> str:
    arguments = [_named(one) for one in command.params if one.param_type_name == "argument"]
    return " ".join(["simclr-orch", name, "[OPTIONS]", *arguments])


def _named(argument: Any) -> str:
    name = argument.metavar or (argument.name or "").upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _value(option: Any) -> str:
    """What stands for an option's value; Typer's own classes and click's say its type elsewhere."""
    if option.metavar:
        return str(option.metavar)
    asked = getattr(getattr(option, "type_descriptor", None), "annotation", None)
    if asked in (int, float):
        return "NUMBER"
    return "TEXT" if asked is str else str(option.name).upper()


def _options(command: Any) -> list[tuple[str, str, str]]:
    rows = []
    for one in command.params:
        if one.name == "help" or getattr(one, "hidden", False):
            continue
        if one.param_type_name == "argument":
            rows.append((f"`{_named(one)}`", one.help or "", ""))
            continue
        flag = getattr(one, "is_flag", False)
        metavar = "" if flag else f" {_value(one)}"
        names = ", ".join(f"`{name}`" for name in (*one.opts, *one.secondary_opts))
        value = "" if flag or one.default is None or callable(one.default) else f"`{one.default}`"
        told = f"{names[:-1]}{metavar}`" if metavar else names
        rows.append((told, one.help or "", value))
    return rows
