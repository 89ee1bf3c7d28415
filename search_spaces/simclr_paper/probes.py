"""Table 3: what do h and the projection z = g(h) know about the applied transformation?

Expected ordering: a probe on h tells rotation (67.6 %), noise (99.5) and Sobel (96.6) far better
than one on z (25.6, 59.6, 56.3, near chance: 25, 50, 50); color is told from both (99.3 and 97.4,
chance 80). Linear evaluation on h beats z by more than 10 points (section 4.2).

Cost at the paper's scale: 4 runs of 100 epochs, 768 TPU v3 core-hours a seed; the 10 cells share
them.

    simclr-orch ablate probes --preset P

The head's output is as wide as h (2048 in the paper), so that both probes see equally many
features. Rotation (0, 90, 180 or 270 degrees), noise and Sobel (on half of the views each) are
added to the pre-training of their own cells, after the usual operations, independently for the two
views; the colors and classes need no addition and share a run. The paper does not publish the
probe's size and training, nor the probability and strength of noise: ours are the defaults of
`eval.probe` and of `augment`, with even odds for noise and Sobel.
"""

from search_spaces.ablation import Ablation
from search_spaces.claims import POINTS_OF_IMAGENET, Claim, above, beats
from search_spaces.layout import Axis, Cell, Layout
from search_spaces.simclr_paper.conditions import COLORED
from search_spaces.values import Value

__all__ = ["PROBES"]

_OF_H, _OF_Z = "h", "g(h)"

# Probe accuracy (%), Table 3: chance, on h, on g(h).
_TABLE_3 = {
    "color": (80.0, 99.3, 97.4),
    "rotation": (25.0, 67.6, 25.6),
    "noise": (50.0, 99.5, 59.6),
    "sobel": (50.0, 96.6, 56.3),
}
_CLASSES = "classes"
# linear evaluation with a non-linear head of 2048 outputs, read off Figure 8 (+-0.3)
_CLASSES_OF_H = 64.7

_ADDED: dict[str, tuple[str, dict[str, Value]]] = {
    "rotation": ("rotate", {"augment.rotate.angles": [0, 90, 180, 270]}),
    "noise": ("noise", {"augment.noise.probability": 0.5}),
    "sobel": ("sobel", {"augment.sobel.probability": 0.5}),
}
_AXES = (
    Axis(name="what is told", labels=(*_TABLE_3, _CLASSES)),
    Axis(name="representation", labels=(_OF_H, _OF_Z)),
)


def _cells(policy: tuple[str, ...]) -> tuple[Cell, ...]:
    cells: list[Cell] = []
    for task, (_, of_h, of_z) in _TABLE_3.items():
        values: dict[str, Value] = {"augment.operations": [*policy], "eval.probe.tasks": [task]}
        if task in _ADDED:
            operation, options = _ADDED[task]
            values |= {"augment.operations": [*policy, operation], **options}

        cells += [
            Cell(
                at=(task, of),
                values=values,
                paper=found,
                metric=f"probe_{task}_{suffix}",
                asked_where=(COLORED,) if task == "color" else (),
            )
            for of, suffix, found in ((_OF_H, "h", of_h), (_OF_Z, "z", of_z))
        ]

    # The classes are told in the run whose colors are, to share it.
    with_colors: dict[str, Value] = {"augment.operations": [*policy], "eval.probe.tasks": ["color"]}
    cells += [
        Cell(at=(_CLASSES, _OF_H), values=with_colors, paper=_CLASSES_OF_H, metric="linear_top1"),
        Cell(at=(_CLASSES, _OF_Z), values=with_colors, metric="linear_top1_z"),
    ]
    return tuple(cells)


PROBES = Ablation(
    name="probes",
    title="Information in the representation h and in the projection g(h)",
    question="What do the representation h and the projection z = g(h) know about the applied "
    "transformation?",
    source="Table 3",
    fixed={"head.output_dim": None, "eval.projection": True},
    paper=Layout(
        axes=_AXES,
        cells=_cells(("crop", "color", "blur")),
        note="Chance: color 80 %, rotation 25, noise and sobel 50. The paper does not publish its "
        "probe nor the parameters of noise and sobel; ours are our choice. For classes it says "
        "only that h is more than 10 points better than g(h); the value of h is that of Figure 8.",
    ),
    small=Layout(
        axes=_AXES,
        cells=_cells(("crop", "color")),
        note="Crop and color without blur, the paper's policy for small images. Chance: color 80 "
        "%, rotation 25, noise and sobel 50. Grey images (digits) leave color nothing to tell. "
        "The paper does not publish its probe nor the parameters of noise and sobel; ours are our "
        "choice.",
    ),
    figure="lines",
    claims=(
        Claim.alike(
            "h holds more information about the applied transformation than g(h), which loses it.",
            "section 4.2, Table 3",
            *(beats((task, _OF_H), (task, _OF_Z)) for task in _TABLE_3),
        ),
        Claim.alike(
            "The applied transformation can be told from h: better than by chance.",
            "Table 3",
            *(above((task, _OF_H), chance) for task, (chance, _, _) in _TABLE_3.items()),
        ),
        Claim.alike(
            "The layer before the projection head, h, is a better representation than the "
            "layer after it, g(h).",
            "section 4.2",
            beats((_CLASSES, _OF_H), (_CLASSES, _OF_Z)),
        ),
        Claim.paper_only(
            "The layer before the projection head, h, is better than the layer after it, "
            "g(h), by more than 10 points.",
            "section 4.2",
            beats((_CLASSES, _OF_H), (_CLASSES, _OF_Z), by=10.0),
            silent=POINTS_OF_IMAGENET,
        ),
    ),
)
