"""What there is to ask: the ablations, and the base recipes."""

import sys

from rich.console import Console
from rich.text import Text

from search_spaces import OfferedError, every_ablation

__all__ = ["list_presets", "list_spaces"]


def list_spaces(console: Console | None) -> list[dict[str, object]]:
    """List the ablations with question, figure or table, cells and cost; printed with a console.

    One of another distribution that cannot be imported is told on stderr, and left out.
    """
    rows: list[dict[str, object]] = []
    known = every_ablation()
    for name in known:
        try:
            ablation = known[name]
        except OfferedError as error:
            print(error, file=sys.stderr)
            continue
        hours = round(ablation.paper_tpu_hours) if ablation.is_of_imagenet else None
        cost, claims = ablation.relative_cost("small"), len(ablation.claims)
        cells_paper, cells_small = len(ablation.paper.cells), len(ablation.small.cells)
        rows.append(
            {
                "name": ablation.name,
                "source": ablation.source,
                "question": ablation.question,
                "cells_paper": cells_paper,
                "paper_tpu_core_hours": hours,
                "cells_small": cells_small,
                "claims": claims,
                "extension": ablation.extension,
                "small_in_runs_of_the_preset": cost,
            }
        )
        if console is None:
            continue

        source = "extension, not in the paper" if ablation.extension else ablation.source
        on_tpus = f" ({hours:,} TPU v3 core-hours)" if hours is not None else ""
        console.print(Text.assemble((ablation.name, "bold"), f"  {source}"))
        console.print(f"  {ablation.question}", highlight=False)
        console.print(
            f"  {cells_small} cells on a small preset ({cost:g} x one run); {cells_paper} at the "
            f"paper's scale{on_tpus}; {claims} claims",
            style="dim",
            highlight=False,
        )
    if console is not None:
        console.print(
            "Costs are of one seed. `simclr-orch ablate NAME --preset P --dry-run` estimates the "
            "time on your machine."
        )
    return rows


def list_presets(name: str | None, console: Console) -> None:
    """Print the base recipes with what they are for, or one of them as YAML.

    Those of a workload that cannot be imported are told on stderr, and left out. Raises SpecError
    that lists the known ones.
    """
    from workloads.catalog import preset_named, presets_found, workload_of_preset

    if name is not None:
        from orchestrator.commands.fields import commented_yaml

        spec, workload = preset_named(name), workload_of_preset(name)
        assert workload is not None, "of a preset that is known"
        print(commented_yaml(workload, spec.tree()), end="")
        return
    found, problems = presets_found()
    for problem in problems:
        print(problem, file=sys.stderr)
    for known, build in found.items():
        console.print(known, style="bold", highlight=False)
        for line in (build.__doc__ or "").strip().splitlines():
            console.print(f"  {line.strip()}", highlight=False, soft_wrap=True)
