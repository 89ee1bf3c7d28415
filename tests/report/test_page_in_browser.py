"""Seconds: a report's page in a real browser, opened as a file: light, dark, small, printed."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchestrator.commands.page import write_report_page
from orchestrator.report.collect import Report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")

FIGURES = ("heatmap", "lines", "table")


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """One browser for the module, which is asked to have no network."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(
    hostile_report: Callable[[str], Report],
    tmp_path_factory: pytest.TempPathFactory,
    repository: Path,
) -> dict[str, Path]:
    """The page of each kind of figure, with a picture that was drawn before."""
    picture = repository / "docs" / "results" / "losses-cifar10" / "report.png"
    files = {"report.png": picture.read_bytes()}
    folder, found = tmp_path_factory.mktemp("pages"), {}
    for figure in FIGURES:
        report = hostile_report(figure)
        found[figure] = write_report_page(report, files, folder / f"{figure}.html")
    return found


class Opened:
    """A page that has drawn its charts, and all that it asked for or complained of."""

    def __init__(self, browser: "Browser", file: Path, **how: Any) -> None:
        self.context = browser.new_context(**how)
        self.context.set_default_timeout(120_000)  # on machines that do much else
        self.page: Page = self.context.new_page()
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(file.as_uri())
        if how.get("java_script_enabled", True):
            self.page.wait_for_selector("html[data-drawn]", state="attached")

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def value(self, expression: str) -> Any:
        """What an expression gives in the page."""
        return self.page.evaluate(expression)

    @property
    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        wider: int = self.value("document.documentElement.scrollWidth - innerWidth")
        return wider


@pytest.mark.parametrize("figure", FIGURES)
def test_it_draws_every_cell_asks_for_nothing_and_says_nothing(
    browser: "Browser", pages: dict[str, Path], figure: str
) -> None:
    with Opened(browser, pages[figure]) as it:
        assert [url for url in it.asked if not url.startswith(("data:", "blob:"))] == [
            pages[figure].as_uri()
        ]
        assert it.said == []
        assert it.page.title() == "A title with <script>hit = 1</script>"
        assert it.value("typeof hit") == "undefined"
        first = it.page.locator(".plot").first
        drawn = {"heatmap": 6 + 3, "lines": 6, "table": 3}[figure]
        if figure == "heatmap":  # and the mean of each row
            assert first.locator(".heatmap-label").count() == drawn
        else:
            assert first.locator(".points .point").count() == drawn


def test_the_pointer_finds_n_spread_and_interval(
    browser: "Browser", pages: dict[str, Path]
) -> None:
    with Opened(browser, pages["table"]) as it:
        it.page.locator(".plot").first.locator(".points .point").nth(1).hover(
            force=True, timeout=5000
        )
        text = it.page.locator(".hoverlayer .hovertext").first.text_content() or ""
        assert "b & <b>c</b>" in text
        assert "n = 5 seeds, sd" in text
        assert "95 % interval of the mean" in text
        assert "the paper: 42.0 %" in text


def test_words_are_readable_in_light_and_dark(
    browser: "Browser", pages: dict[str, Path], wait_for: Callable[..., None]
) -> None:
    def channels(color: str) -> list[float]:
        return [float(number) for number in re.findall(r"[\d.]+", color)[:3]]

    def luminance(color: str) -> float:
        linear = [
            v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4
            for v in (channel / 255 for channel in channels(color))
        ]
        return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    tick = "getComputedStyle(document.querySelector('.plot .xtick text')).fill"  # which follows
    grounds = {}
    with Opened(browser, pages["lines"], color_scheme="light") as it:
        for scheme in ("light", "dark"):
            it.page.emulate_media(color_scheme=scheme)
            wait_for(lambda: it.value(tick) == it.value("getComputedStyle(document.body).color"))
            ground = it.value("getComputedStyle(document.body).backgroundColor")
            grounds[scheme] = luminance(ground)
            for selector in ("body", ".note", ".verdict", "a", ".plot .xtick text"):
                style = f"getComputedStyle(document.querySelector('{selector}'))"
                color = it.value(f"{style}.{'fill' if '.plot' in selector else 'color'}")
                lighter, darker = sorted([luminance(color), luminance(ground)], reverse=True)
                assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (scheme, selector, color, ground)
        assert it.said == []
    assert grounds["light"] > 0.9
    assert grounds["dark"] < 0.05


@pytest.mark.parametrize("figure", ["heatmap", "lines"])
def test_a_phone_need_not_scroll_aside(
    browser: "Browser", pages: dict[str, Path], figure: str
) -> None:
    with Opened(browser, pages[figure], viewport={"width": 390, "height": 844}) as it:
        assert it.overflow <= 0
        for summary in it.page.locator("summary").all():
            summary.click()
        assert it.overflow <= 0
        widths = it.value("[...document.querySelectorAll('.plot')].map(p => p.clientWidth)")
        assert min(widths) > 300


def test_one_scale_of_colours_is_for_both_maps(browser: "Browser", pages: dict[str, Path]) -> None:
    scales = "[...document.querySelectorAll('.plot')].slice(0, 2).map(p => p.data[0].zmax)"
    with Opened(browser, pages["heatmap"]) as it:
        both = it.value(scales)
        it.page.locator("#one-scale").uncheck()
        ours, paper = it.value(scales)
        assert ours != paper
        assert both == [max(ours, paper)] * 2
        it.page.locator("#one-scale").check()
        assert it.value(scales) == both


def test_keys_alone_open_a_verdict(browser: "Browser", pages: dict[str, Path]) -> None:
    with Opened(browser, pages["table"]) as it:
        claim = it.page.locator("details.claim").first
        claim.locator("summary").focus()
        it.page.keyboard.press("Enter")
        assert claim.get_attribute("open") is not None
        assert claim.locator("svg.forest").count() == 2
        assert it.page.locator(".plot:not([aria-label])").count() == 0
        assert it.page.locator("img:not([alt])").count() == 0


def test_paper_is_white_and_has_everything(browser: "Browser", pages: dict[str, Path]) -> None:
    with Opened(browser, pages["heatmap"], color_scheme="dark") as it:
        printed = it.page.pdf(format="A4")
        assert printed.startswith(b"%PDF")
        assert it.page.locator("details[open]").count() == 0  # as before
        it.page.emulate_media(media="print")
        it.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert it.page.locator("details:not([open])").count() == 0
        assert it.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert it.page.locator(".static.replaced img").first.is_visible()


def test_without_a_script_there_are_pictures_and_tables(
    browser: "Browser", pages: dict[str, Path]
) -> None:
    with Opened(browser, pages["heatmap"], java_script_enabled=False) as it:
        assert it.page.locator(".static img").first.is_visible()
        assert not it.page.locator(".charts").first.is_visible()
        it.page.locator("summary", has_text="The numbers as tables").click()
        assert it.page.locator("table.numbers").first.is_visible()
