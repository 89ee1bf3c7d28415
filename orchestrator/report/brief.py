"""A claim's verdict in one line: how much of it holds, how large it is, how sure, what was lost.

In plain words for a short answer, with numbers for a long one.
"""

from collections.abc import Collection, Sequence

from orchestrator.report.answer import headlines, setting_lines
from orchestrator.report.document import (
    RULES,
    ComparisonDocument,
    ReportDocument,
    VerdictDocument,
)
from orchestrator.verdicts.sample import FEWEST_ALONE, FEWEST_POOLED
from search_spaces.trees.question import OWN

__all__ = [
    "NOT_KEPT",
    "brief",
    "claim_lines",
    "comparison_text",
    "has_too_few_seeds",
    "lost_text",
    "short_answer",
    "spread_text",
]

SEEN = "seen, not judged"  # as the note of a comparison begins that has too few seeds
NOT_KEPT = "cannot be judged again"  # as the sentence begins where a report lacks values
FEWEST_SEEDS = 2  # below which there is no verdict, but a direction


def brief(one: VerdictDocument) -> str:
    """Return a line that follows the claim's statement and its verdict.

    It takes reports of earlier versions, which lack some of it.
    """
    if not one["comparisons"]:
        return one["sentence"]
    measured = [each for each in one["comparisons"] if each["estimate"] is not None]
    if not measured and one["sentence"].startswith(NOT_KEPT):
        return one["sentence"]
    if not measured:
        return "; ".join(["nothing to judge by", *_lost(one)])
    parts = [_holding(one, measured), _size(one, measured), _seeds(one)]
    if one["verdict"] == "reproduced" and (q := one.get("q")) is not None:
        parts.append(f"q {_probability(q)}")
    if one["verdict"] == "undecided" and one["more_seeds"] is not None:
        parts.append(f"about {one['more_seeds']} more would decide")
    if edge := one.get("at_edge"):
        parts.append(f"rests on choices at the edge of a grid: {edge}")
    if one.get("rules", RULES) < RULES:
        parts.append("by the rules of the time")
    return "; ".join([*(part for part in parts if part), *_lost(one)])


def short_answer(document: ReportDocument) -> list[str]:
    """Return the answer of a report in a few lines: what was found, each claim, the setting.

    A line is as long as it is, and no table is among them. A claim's line begins with its verdict.
    It takes reports of earlier versions, too.
    """
    seeds = document["plan"]["seeds"]
    asked = len(seeds) if isinstance(seeds, list) else 0
    claims = claim_lines(document["verdicts"], asked)
    return [*headlines(document), *claims, *setting_lines(document)]


def claim_lines(documents: Sequence[VerdictDocument], asked: int = 0) -> list[str]:
    """Return a line for each claim, its verdict and why in plain words, and what would decide.

    `asked` is the number of seeds that the sweep will have in the end.
    """
    lines = [f"{one['verdict']}: {one['claim'].rstrip('.')}: {_plainly(one)}" for one in documents]
    if has_too_few_seeds(documents):
        seeds = max(one["seeds"] for one in documents)
        so_few = "one seed decides" if seeds <= 1 else f"{seeds} seeds decide"
        fewest = FEWEST_POOLED if seeds < FEWEST_POOLED else FEWEST_ALONE
        more = "the sweep will have more" if asked >= fewest else f"add --seeds {fewest}"
        lines.append(f"{so_few} nothing: {more}")
    return lines


def has_too_few_seeds(documents: Sequence[VerdictDocument]) -> bool:
    """Tell whether there is a claim of which a direction was seen, for want of seeds."""
    return any(_is_seen_only(one) for one in documents)


def _plainly(one: VerdictDocument) -> str:
    """Why a claim has its verdict, without a number that asks for statistics."""
    compared = one["comparisons"]
    if not compared or all(each["estimate"] is None for each in compared):
        return brief(one)
    m = len(compared)
    of_each = {
        word: sum(1 for each in compared if each["verdict"] == word)
        for word in ("reproduced", "contradicted", "alike")
    }
    match one["verdict"]:
        case "reproduced":
            how_many = {1: "it holds", 2: "both comparisons hold"}
            said = how_many.get(m, f"all {m} comparisons hold")
        case "contradicted":
            failing = of_each["contradicted"]
            fail = f"{failing} of {m} comparisons fail{'s' * (failing == 1)}"
            said = "the opposite holds" if m == 1 else fail
        case "alike":
            none = f"{of_each['alike']} of {m} comparisons show no difference"
            said = "no difference" if m == 1 else none
        case _:
            said = _direction(one)
    return "; ".join([said, *_lost(one)])


def _direction(one: VerdictDocument) -> str:
    """Which way the comparisons of an undecided claim point, and what would decide them."""
    known = [each for each in one["comparisons"] if each["estimate"] is not None]
    if not any("leans" in each for each in known):  # as reports of long ago
        return brief(one)
    pointing = sum(1 for each in known if each.get("leans") == "reproduced")
    expected = "claimed" if one["source"] == OWN else "in the paper"
    said = f"{pointing} of {len(known)} comparisons as {expected}"
    if len(known) == 1:
        said = f"it is as {expected}" if pointing else f"it is not as {expected}"
    if not _is_seen_only(one) and (more := one["more_seeds"]) is not None:
        said += f", about {more} more seed{'s' * (more != 1)} would decide"
    return said


def comparison_text(one: ComparisonDocument) -> str:
    """Return a line on one comparison: verdict, size, test, how many seeds, what was lost."""
    parts = [one["verdict"]]
    if one["estimate"] is not None:
        parts.append(_number(one))
    parts.append(_of_seeds({len(one["seeds"])}))
    if test := one.get("test"):
        df = one.get("df")
        parts.append(test if df is None else f"{test} with {df:.3g} df")
    if (p := one.get("p")) is not None:
        parts.append(f"p {_probability(p)}")
    if (own := one.get("own_p")) is not None:
        parts.append(f"of its own seeds alone p {_probability(own)}")
    if one["more_seeds"] is not None:
        parts.append(f"about {one['more_seeds']} more would decide")
    if note := one.get("note"):
        parts.append(note)
    lost = [(" · ".join(each["at"]), each["why"], each["seeds"]) for each in one.get("lost", ())]
    return "; ".join([*parts, *([f"lost: {lost_text(lost)}"] if lost else [])])


def spread_text(one: VerdictDocument) -> str:
    """Return what all cells of the sweep say together of the spread; nothing if not used."""
    found = one.get("spread")
    if found is None:
        return ""
    return (
        f"spread of a run over {found['cells']} cells: {found['sd']:.3g} with {found['df']:.3g} "
        f"df; equal variances: p {_probability(found['equal_p'])}"
    )


def lost_text(lost: Sequence[tuple[str, str, Sequence[int]]]) -> str:
    """Return what cells have lost, as (cell, why, seeds): "a · b: diverged, seeds 1, 3"."""
    return "; ".join(
        f"{at}: {why}, seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
        for at, why, seeds in lost
    )


def _is_seen_only(one: VerdictDocument) -> bool:
    """Whether a claim has too few seeds to be judged, so that it has a direction only."""
    if not one["comparisons"] or all(each["estimate"] is None for each in one["comparisons"]):
        return False
    decided = any(each["verdict"] != "undecided" for each in one["comparisons"])
    seen = any(each.get("note", "").startswith(SEEN) for each in one["comparisons"])
    return not decided and (seen or one["seeds"] < FEWEST_SEEDS)


def _holding(one: VerdictDocument, measured: Sequence[ComparisonDocument]) -> str:
    """How many comparisons hold; of one seed, how many point where the paper does."""
    m = len(one["comparisons"])
    if _is_seen_only(one):
        known = [each for each in measured if "leans" in each]
        pointing = sum(1 for each in known if each["leans"] == "reproduced")
        return f"{pointing} of {len(known)} as in the paper, {SEEN}" if known else SEEN
    if m == 1:
        return ""
    holding = sum(1 for each in one["comparisons"] if each["verdict"] == "reproduced")
    failing = sum(1 for each in one["comparisons"] if each["verdict"] == "contradicted")
    return f"{holding} of {m} hold" + (f", {failing} fail{'s' * (failing == 1)}" if failing else "")


def _size(one: VerdictDocument, measured: Sequence[ComparisonDocument]) -> str:
    """The comparison that is farthest from holding, or nearest to failing, as a number."""
    text = _number(min(measured, key=_beyond))
    return text if len(one["comparisons"]) == 1 else f"the least {text}"


def _number(one: ComparisonDocument) -> str:
    """What was measured, with its interval, and what it is to be unless that is positive."""
    found = [one["estimate"], one["low"], one["high"]]
    bound, relation = one["bound"], one.get("relation", "above")
    if one.get("negated"):
        found, bound, relation = [found[0], found[2], found[1]], -bound, "below"
        found = [None if number is None else -number for number in found]
    is_rate = one.get("unit") == "of the runs"
    estimate, low, high = (
        None if number is None else 100 * number if is_rate else number for number in found
    )
    assert estimate is not None, "of the measured"
    decimals = 0 if is_rate else 2 if max(abs(estimate), abs(bound)) < 10 else 1
    sign = "" if bound else "+"
    text = f"{estimate:{sign}z.{decimals}f}"
    says = is_rate or len(one["seeds"]) >= FEWEST_POOLED  # fewer have one as wide as can be
    if low is not None and high is not None and says:
        text += f" [{low:z.{decimals}f}, {high:z.{decimals}f}]"
    if is_rate:
        text += " % of the runs" + (f", to be {100 * bound:g} or more" if bound else "")
        return text
    if unit := one.get("unit"):
        text += f" {unit}"
    if bound:
        text += f", to be {relation} {bound:g}"
    if (of_paper := one.get("of_paper")) is not None:
        text += f", {of_paper:z.{1 if abs(of_paper) >= 0.1 else 2}f} of the paper's"
    return text


def _beyond(one: ComparisonDocument) -> float:
    """How far a comparison is beyond its bound, on the side where it holds."""
    assert one["estimate"] is not None, "of the measured"
    if one.get("relation", "above") == "within":
        return one["bound"] - abs(one["estimate"])
    return one["estimate"] - one["bound"]


def _seeds(one: VerdictDocument) -> str:
    return _of_seeds({len(each["seeds"]) for each in one["comparisons"]})


def _of_seeds(counts: Collection[int]) -> str:
    fewest, most = min(counts), max(counts)
    if fewest == most:
        return f"{most} seed{'s' * (most != 1)}"
    return f"{fewest} to {most} seeds"


def _probability(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.01 else f"{value:.2f}"


def _lost(one: VerdictDocument) -> list[str]:
    """Each cell's lost runs once, whatever the number of comparisons that name it."""
    found: dict[tuple[str, str], list[int]] = {}
    for each in one["comparisons"]:
        for lost in each.get("lost", ()):
            at = " · ".join(lost["at"])
            found[at, lost["why"]] = lost["seeds"]
    text = lost_text([(at, why, seeds) for (at, why), seeds in found.items()])
    return [f"lost: {text}"] if text else []
