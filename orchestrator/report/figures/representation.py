"""A representation drawn: spectra of h, z and a linear head (Figure B.3), maps (B.4), neighbours.

Captions give the number of test images. matplotlib's object interface only: no window, no global
state.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from orchestrator.report.figures.letters import cut, filled, spell, written
from orchestrator.report.figures.style import (
    RC_PARAMETERS,
    SMALLEST,
    SeriesStyle,
    add_grid,
    style_of,
    wrapped,
)
from workloads.representation import HeadSpectrum, MapName, Representation, Shown

if TYPE_CHECKING:
    from matplotlib.typing import LineStyleType

__all__ = ["draw_representation"]


class _Frame(TypedDict, total=False):
    """The frame of an image, as keywords of matplotlib's rectangles."""

    edgecolor: str
    linestyle: "LineStyleType"
    linewidth: float


_NAMES = {"h": "h, the representation", "z": "z = g(h), after the head"}
_MAPS: dict[MapName, str] = {"tsne": "t-SNE", "umap": "UMAP"}
# Petroff's ten colours, made for colour-blind readers; Okabe and Ito's are too few for ten classes.
_COLORS = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadb",
)
# and sizes
_MARKERS = {
    "o": 1.0,
    "s": 0.95,
    "^": 1.1,
    "D": 0.9,
    "v": 1.1,
    "P": 1.15,
    "X": 1.15,
    "*": 1.5,
    "<": 1.1,
    ">": 1.1,
}
# inches from one image among neighbours to the next, in which lengths there are measured
_TILE = 0.70
_HALF = 0.42  # of an image's side
_ROW = 1.22  # from row to row
_ASIDE = 1.25  # from the query to its nearest neighbour
_RIGHT: _Frame = {"edgecolor": "#0072B2", "linestyle": "-", "linewidth": 2.0}
_WRONG: _Frame = {"edgecolor": "#D55E00", "linestyle": (0, (2, 1)), "linewidth": 2.0}


def draw_representation(representation: Representation, title: str) -> dict[str, bytes]:
    """Draw what there is to draw of a representation, as PNG and SVG by file name.

    Always spectrum and neighbours; head-spectrum, tsne and umap where there are any. Equal
    representations give equal files. `title` says which run it is.
    """
    names = tuple(written(name) for name in representation.classes)
    representation, title = replace(representation, classes=names), written(title)
    with mpl.rc_context(RC_PARAMETERS):
        figures = {"spectrum": _spectrum(representation), "neighbours": _neighbours(representation)}
        if representation.head is not None:
            figures["head-spectrum"] = _head_spectrum(representation.head)
        for kind in _MAPS:
            if any(kind in space.maps for space in representation.spaces.values()):
                figures[kind] = _map(representation, kind)

        captions = _captions(representation)
        files = {}
        for name, figure in figures.items():
            figure.suptitle(wrapped([title], figure, points=10), fontsize=10)
            caption = wrapped(captions[name], figure, points=SMALLEST)
            figure.supxlabel(caption, fontsize=SMALLEST, ha="left", x=0.01)
            spell(figure)
            files[f"{name}.png"] = _encoded(figure, "png", {"Software": None})
            files[f"{name}.svg"] = _encoded(figure, "svg", {"Date": None})
    return files


def _encoded(figure: Figure, form: str, metadata: Mapping[str, None]) -> bytes:
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "simclr-orch"}):
        figure.savefig(buffer, format=form, dpi=150, metadata=dict(metadata))
    return buffer.getvalue()


def _captions(representation: Representation) -> dict[str, list[str]]:
    """What the reader must know of each picture, in paragraphs."""
    options, mapped = representation.options, len(representation.mapped_labels)
    classes = len(np.unique(representation.mapped_labels))
    of = (
        f"n = {mapped} test images of {classes} of {len(representation.classes)} classes; "
        "l2-normalised features."
    )
    far = "Axes have no unit; distances between groups say little."
    perplexity, neighbours = options.clipped(mapped)
    return {
        "spectrum": [
            f"n = {representation.measured} test images, clean views. Singular values of the "
            "centred features over the largest. Effective rank: exp of the entropy of their "
            "shares (Roy & Vetterli 2007).",
            *(f"Warning: {warning}." for warning in representation.warnings),
        ],
        "head-spectrum": [
            "The weight of the head's only layer, n = 1 matrix, without what batch normalisation "
            "scales."
        ],
        "tsne": [f"{of} Perplexity {perplexity:.3g}, started from the principal components. {far}"],
        "umap": [f"{of} {neighbours} neighbours. {far}"],
        "neighbours": [
            f"The nearest by cosine among n = {representation.searched} test images, of n = "
            f"{len(representation.queries.labels)} queries. Check mark and full frame: the "
            "query's class; cross and dashed frame: another."
        ],
    }


# Spectra ------------------------------------------------------------------------------------------


def _spectrum(representation: Representation) -> Figure:
    figure = Figure(figsize=(7.5, 4.4), layout="constrained")
    axes: Axes = figure.subplots()
    for index, (name, space) in enumerate(representation.spaces.items()):
        rank = representation.results[f"effective_rank_{name}"]
        label = f"{_NAMES[name]}: effective rank {rank:.3g} of {space.dimensions}"
        values = space.singular_values
        # Rounding leaves values next to nothing, which would take up the axis; of equal features
        # all are 0.
        values = values[values > 1e-6 * values[0]]
        shares = values / values[:1]
        axes.plot(
            np.arange(1, len(shares) + 1),
            shares,
            label=label,
            markevery=max(1, len(shares) // 12),
            **style_of(index),
        )
    axes.set(
        yscale="log",
        xlabel="singular value, by size (index)",
        ylabel="singular value / largest (log scale)",
    )
    add_grid(axes)
    axes.set_ylim(top=1.5)
    axes.legend(loc="best", frameon=False, handlelength=3.5)
    return figure


def _head_spectrum(head: HeadSpectrum) -> Figure:
    """Both panels of Figure B.3: the same values on a uniform and on a logarithmic axis."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    of = "eigenvalue" if head.of == "eigenvalues" else "singular value"
    what = f"squared {of}" + (" (modulus)" if head.of == "eigenvalues" else "")
    panels: Sequence[Axes] = figure.subplots(1, 2)
    for axes, scale in zip(panels, ("linear", "log"), strict=True):
        shown = head.squared[head.squared > 0] if scale == "log" else head.squared
        by_size = np.arange(1, len(shown) + 1)
        axes.plot(by_size, shown, markevery=max(1, len(shown) // 12), **style_of(0))
        axes.set(yscale=scale, xlabel=f"{of}, by size (index)", ylabel=f"{what}, {scale} scale")
        add_grid(axes)
    panels[0].set_title(f"W of {head.shape[0]} x {head.shape[1]}", loc="left")
    return figure


# Maps ---------------------------------------------------------------------------------------------


def _map(representation: Representation, name: MapName) -> Figure:
    """A panel for each space that has this map, and one legend of the classes that are in it."""
    maps = {
        space: found.maps[name]
        for space, found in representation.spaces.items()
        if name in found.maps
    }
    classes = np.unique(representation.mapped_labels)
    figure = Figure(figsize=(4.6 * len(maps) + 1.6, 4.9), layout="constrained")
    panels = figure.subplots(1, len(maps), squeeze=False)[0]

    for axes, (space, points) in zip(panels, maps.items(), strict=True):
        for index, label in enumerate(classes):
            mine = points[representation.mapped_labels == label]
            style = _point_style(index, len(points))
            axes.plot(mine[:, 0], mine[:, 1], gid=f"{space}-class-{label}", **style)
        axes.set(
            title=_NAMES[space],
            xlabel=f"{_MAPS[name]} 1",
            ylabel=f"{_MAPS[name]} 2",
            xticks=[],
            yticks=[],
        )
        axes.set_box_aspect(1)
        axes.spines[:].set(visible=True, color="#8c8c8c")

    keys = []
    for index, label in enumerate(classes):
        word = cut(representation.classes[label], 22)
        keys.append(Line2D([], [], label=word, **_point_style(index, 0)))
    figure.legend(
        handles=keys, title="class", loc="outside right center", alignment="left", frameon=False
    )
    return figure


def _point_style(index: int, crowd: int) -> SeriesStyle:
    """A class' style, smaller where there are many points.

    Colour and marker differ up to 10 classes, the pair up to 100.
    """
    marker, size = [*_MARKERS.items()][(index + index // len(_COLORS)) % len(_MARKERS)]
    return {
        "color": _COLORS[index % len(_COLORS)],
        "marker": marker,
        "markersize": size * (4.0 if crowd > 600 else 5.5),
        "markeredgecolor": "black",
        "markeredgewidth": 0.25,
        "linestyle": "none",
    }


# Neighbours ---------------------------------------------------------------------------------------


def _neighbours(representation: Representation) -> Figure:
    """A row for each query: the query and its neighbours by h, and again by z."""
    queries, spaces = representation.queries, representation.spaces
    rows, columns = spaces["h"].neighbours.labels.shape
    widths = [columns + 0.2 + (_ASIDE if index == 0 else 0) for index in range(len(spaces))]
    size = max(_TILE * sum(widths) + 1.6, 5.5), _TILE * _ROW * rows + 1.8
    figure = Figure(figsize=size, layout="constrained")
    panels: Sequence[Axes] = figure.subplots(1, len(spaces), squeeze=False, width_ratios=widths)[0]

    for axes, (name, space) in zip(panels, spaces.items(), strict=True):
        _neighbour_panel(axes, space.neighbours, queries, representation.classes)
        share = 100 * (space.neighbours.labels == queries.labels[:, None]).mean()
        axes.set_title(f"{_NAMES[name]}\n{share:.0f} % of neighbours are of the query's class")
        axes.set(
            xlim=(_ASIDE - 0.6, _ASIDE + columns - 0.4),
            ylim=(_ROW * (rows - 1) + 0.6, -0.8),
            aspect="equal",
        )
        axes.set_xticks([_ASIDE + (columns - 1) / 2], ["neighbours, nearest first"])
        axes.set_yticks([])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)

    for row, image in enumerate(queries.images):
        _tile(panels[0], image, (0, row), {"edgecolor": "black", "linewidth": 0.8})
    words = [filled(representation.classes[label], 16, most_lines=3) for label in queries.labels]
    panels[0].set(xlim=(-0.6, _ASIDE + columns - 0.4), aspect="equal")
    panels[0].set_xticks([0, _ASIDE + (columns - 1) / 2], ["query", "neighbours, nearest first"])
    panels[0].set_yticks(_ROW * np.arange(rows), words)
    return figure


def _neighbour_panel(axes: Axes, found: Shown, queries: Shown, classes: Sequence[str]) -> None:
    """Each neighbour under its class, marked by whether that is the query's."""
    for (row, column), label in np.ndenumerate(found.labels):
        right = label == queries.labels[row]
        _tile(axes, found.images[row, column], (_ASIDE + column, row), _RIGHT if right else _WRONG)
        word = ("\u2713 " if right else "\u2717 ") + cut(classes[int(label)], 9)
        axes.text(
            _ASIDE + column,
            _ROW * row - _HALF - 0.07,
            word,
            ha="center",
            va="bottom",
            fontsize=SMALLEST,
        )


def _tile(axes: Axes, image: NDArray[np.uint8], at: tuple[float, int], frame: _Frame) -> None:
    """An image [3, S, S] in its frame, at so many columns and a row."""
    left, top = at[0] - _HALF, _ROW * at[1] - _HALF
    extent = (left, left + 2 * _HALF, top + 2 * _HALF, top)
    axes.imshow(
        image.transpose(1, 2, 0),
        extent=extent,
        interpolation="nearest" if image.shape[-1] <= 96 else "auto",
    )
    axes.add_patch(Rectangle((left, top), 2 * _HALF, 2 * _HALF, fill=False, **frame))
