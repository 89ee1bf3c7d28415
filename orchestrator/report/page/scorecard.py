"""The index of pages: what was reproduced, sweep by sweep."""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from orchestrator.report.brief import brief
from orchestrator.report.collect import Report
from orchestrator.report.document import VerdictDocument, verdicts_json
from orchestrator.report.facts import facts
from orchestrator.report.page.payload import picture_address
from orchestrator.report.page.rendering import filled
from orchestrator.report.page.verdict_rows import MARKS, tally
from orchestrator.report.text import subtitle

__all__ = ["Entry", "scorecard_page"]

THUMBNAIL = 560  # pixels across
COLORS = 48  # of a thumbnail, whose file is small with few


@dataclass(frozen=True)
class Entry:
    """A report whose q-values are over all entries, its page's address, and its picture."""

    report: Report
    page: str
    picture: bytes | None


@dataclass(frozen=True)
class _Card:
    anchor: str
    title: str
    question: str
    source: str
    data: str
    setting: str
    page: str
    thumbnail: str
    tally: Mapping[str, int]
    claims: Sequence[Mapping[str, str]]
    seeds: int
    likeness: str


def scorecard_page(entries: Sequence[Entry], others: Sequence[str] = ()) -> str:
    """Return the index of several pages, with all claims counted.

    `others` are the addresses of pages of searches, which make no claims.
    """
    cards = [_card(number, entry) for number, entry in enumerate(entries)]
    counted = sum((Counter(card.tally) for card in cards), Counter[str]())
    found = {verdict: counted[verdict] for verdict in MARKS if counted[verdict]}
    return filled(
        "scorecard.html",
        cards=cards,
        tally=found,
        shown=[*found],
        total=counted.total(),
        others=others,
    )


def _card(number: int, entry: Entry) -> _Card:
    report = entry.report
    verdicts, likeness = verdicts_json(report), report.similarity
    source = next((text for name, text in facts(report) if name == "Source"), "")
    return _Card(
        anchor=f"sweep-{number}",
        title=report.ablation.title,
        question=report.ablation.question,
        source=source,
        data=report.plan["data"]["title"],
        setting=f"{subtitle(report)} · preset {report.plan['preset']}",
        page=entry.page,
        thumbnail=_thumbnail(entry.picture) if entry.picture else "",
        tally=tally(verdicts),
        claims=[_claim(one) for one in verdicts],
        seeds=len(report.plan["seeds"]),
        likeness="" if likeness is None or likeness.rho is None else f"{likeness.rho:.2f}",
    )


def _claim(one: VerdictDocument) -> dict[str, str]:
    q = one.get("q")
    return {
        "claim": one["claim"],
        "verdict": one["verdict"],
        "effect": brief(one),
        "seeds": str(one["seeds"]) if one["seeds"] else "",
        "q": "" if q is None else f"{q:.2g}",
    }


def _thumbnail(picture: bytes) -> str:
    with Image.open(io.BytesIO(picture)) as image:
        small = image.convert("RGB")
        small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.quantize(COLORS).save(file, "png", optimize=True)
    return picture_address(file.getvalue())
