"""What a page carries inside itself: plotly.js, charts and pictures, as text without a network."""

import base64
import gzip
import json
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from orchestrator.report.page.charts import Chart

__all__ = ["charts_text", "picture_address", "plotly_text"]


@cache
def plotly_text() -> str | None:
    """Return plotly.js, zipped and as base64; None where the package is not installed.

    The whole of it is 4.8 MB, and no smaller bundle comes with the package. Browsers unzip it in
    a tenth of a second (`DecompressionStream`), and a page has 2 MB of it. The Python of plotly is
    never imported.
    """
    found = find_spec("plotly")
    if found is None or found.origin is None:
        return None
    file = Path(found.origin).parent / "package_data" / "plotly.min.js"
    return _zipped(file.read_bytes()) if file.is_file() else None


def charts_text(charts: Sequence[Chart]) -> str:
    """Return charts as the page's script reads them, zipped and as base64."""
    return _zipped(json.dumps([chart.tree() for chart in charts], allow_nan=False).encode())


def picture_address(content: bytes, kind: str = "png") -> str:
    """Return a picture as an address that holds all of it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _zipped(content: bytes) -> str:
    # without a time, so that equal pages are equal files
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
