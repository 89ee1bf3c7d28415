"""One question as a person reads it: its axes, its cells, and what is claimed of them."""

from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from orchestrator.commands.questions import questions_of
from orchestrator.commands.request import Request
from orchestrator.commands.result import Finished
from orchestrator.errors import PlanError
from orchestrator.questions.text import question_yaml
from search_spaces import Ablation, Claim, Layout
from search_spaces.ablation import Scale
from search_spaces.claim_language import claim_texts
from search_spaces.one_scale import at_scale
from search_spaces.trees.question import OWN, tree_of
from workloads.plural import counted

__all__ = ["describe_space", "print_question"]

T = TypeVar("T")
BOTH: tuple[Scale, Scale] = ("paper", "small")


def describe_space(name: str, console: Console) -> Finished:
    """Print a question with its axes and claims; the document is its tree.

    Raises SpecError that lists the known ones.
    """
    found = questions_of(Request(ablations=(name,)))
    for ablation in found:
        extends = ablation.extension and ablation.source != OWN
        source = "extension, not in the paper" if extends else ablation.source
        console.print(Text.assemble((ablation.name, "bold"), f"  {source}"))
        _say(console, 2, ablation.question)
        for scale, lines in _by_scale(_of_layout(ablation.paper), _of_layout(ablation.small)):
            _say(console, 2, "", *([f"at the {scale} scale:"] if scale else []), *lines)
        for claim in ablation.claims:
            said = f" ({claim.source})" if claim.source != OWN else ""
            _say(console, 2, "", f"{claim.statement}{said}")
            lines = _of_claim(claim, ablation)
            _say(console, 4, *(lines if lines != [claim.statement] else ()))
    trees = [tree_of(ablation) for ablation in found]
    return Finished(0, trees[0] if len(trees) == 1 else {"ablations": trees})


def print_question(name: str, scale: str | None) -> None:
    """Print a question as the YAML that asks it, of both scales unless one is named.

    Raises SpecError that lists the known ones, PlanError for a scale that there is not.
    """
    found = questions_of(Request(ablations=(name,)))
    if len(found) > 1:
        raise PlanError([f"{name}: is {len(found)} questions, and a file has one"])
    ablation = found[0]
    if scale is not None:
        known = [one for one in BOTH if one == scale]
        if not known:
            raise PlanError([f"--scale {scale}: must be one of {', '.join(BOTH)}"])
        ablation = at_scale(ablation, known[0])
    print(question_yaml(tree_of(ablation)), end="")


def _of_layout(layout: Layout) -> list[str]:
    axes = [f"{axis.name}: {_listed(axis.labels)}" for axis in layout.axes]
    return [f"{counted(len(layout.cells), 'cell')} on", *(f"  {axis}" for axis in axes)]


def _of_claim(claim: Claim, ablation: Ablation) -> list[str]:
    """The comparisons of a claim, in the language in which one writes them."""
    lines = [f"asked of some recipes only: {where.because}" for where in claim.asked_where]
    paper, small = (
        claim_texts(claim.comparisons(scale), ablation.layout(scale).axes) for scale in BOTH
    )
    for scale, texts in _by_scale(paper, small):
        lines += [f"at the {scale} scale:"] if scale else []
        lines += texts or [f"not asked: {claim.silent}"]
    return lines


def _by_scale(paper: T, small: T) -> list[tuple[Scale | None, T]]:
    """What is the same at both scales once, for no scale."""
    return [(None, paper)] if paper == small else [("paper", paper), ("small", small)]


def _listed(labels: Iterable[str]) -> str:
    return ", ".join(f'"{label}"' if "," in label else label for label in labels)


def _say(console: Console, indent: int, *lines: str) -> None:
    for line in lines:
        console.print(" " * indent + line if line else "", highlight=False, soft_wrap=True)
