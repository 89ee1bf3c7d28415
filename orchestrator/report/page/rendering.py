"""From templates and values to HTML: whatever is filled in is escaped."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import jinja2

from orchestrator.report.page.charts import Chart
from orchestrator.report.page.payload import picture_address
from orchestrator.report.page.verdict_rows import MARKS

__all__ = ["Picture", "Section", "filled", "section_of"]


@dataclass(frozen=True)
class Section:
    """Charts under one heading, and the picture that stands for them in print and without a script.

    `first` is the number of its first chart among those of the page.
    """

    name: str
    title: str
    charts: Sequence[Chart]
    first: int
    picture: str
    alt: str
    notes: Sequence[str]

    @property
    def one_scale(self) -> bool:
        """True where several charts can share a scale of colours."""
        return sum(bool(chart.scale) for chart in self.charts) > 1


@dataclass(frozen=True)
class Picture:
    """A picture of a page with its name, and words under it."""

    name: str
    picture: str
    alt: str
    words: str = ""


def section_of(
    name: str,
    title: str,
    charts: Sequence[Chart],
    picture: bytes | None,
    before: Sequence[Chart] = (),
    *,
    notes: Sequence[str] = (),
) -> Section:
    """Return a section, its charts counted after those `before` it."""
    address = picture_address(picture) if picture else ""
    alt = "; ".join(chart.alt for chart in charts) or title
    return Section(name, title, tuple(charts), len(before), address, alt, notes)


def filled(template: str, **values: object) -> str:
    """Return a template with values filled in; a missing one is an error."""
    return _environment().get_template(template).render(marks=MARKS, **values)


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("orchestrator.report.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
