"""Extension of section 3.1: is it the short cuts that crop and color composed take away?

Expected ordering: as Figure 5 where each image has a palette and an arrangement of its own; crop
alone does as well as both where the palette is shared, color alone where the arrangement is.

Cost at the paper's scale: 9 runs of 100 epochs and 3 without training, 1,728 TPU v3 core-hours a
seed, if there were photographs with such fields.

    simclr-orch ablate shortcuts --preset P

P is `textures`, or a recipe on that data: others have no `data.palette` and `data.arrangement`, and
are refused. These images were drawn so that the mechanism of section 3.1 exists in them. What is
asked is whether it acts as the paper says, by taking each cause away. Less that varies also makes
the class easier to read, so that each kind of images has an untrained encoder of its own: what is
above that was learned. As in Figure 5 the operations change one view only, and both views share a
first crop.
"""

from search_spaces.ablation import Ablation
from search_spaces.claims import Claim, beats, wider_gap
from search_spaces.layout import Axis, Layout, grid

__all__ = ["SHORTCUTS"]

_OWN, _PALETTE_SHARED, _ARRANGEMENT_SHARED = (
    "both",
    "arrangement",
    "palette",
)
_UNTRAINED, _CROP, _COLOR, _BOTH = "untrained", "crop", "color", "crop+color"
_AS_WELL = 3.0  # points that "about as well" may be behind; ours

_LAYOUT = Layout(
    axes=(
        Axis(
            name="of each image's own",
            labels=(_OWN, _PALETTE_SHARED, _ARRANGEMENT_SHARED),
        ),
        Axis(name="operations", labels=(_UNTRAINED, _CROP, _COLOR, _BOTH)),
    ),
    cells=grid(
        {
            _OWN: {"data.palette": "per-image", "data.arrangement": "per-image"},
            _PALETTE_SHARED: {"data.palette": "shared", "data.arrangement": "per-image"},
            _ARRANGEMENT_SHARED: {"data.palette": "per-image", "data.arrangement": "shared"},
        },
        {
            _UNTRAINED: {"schedule.epochs": 0, "schedule.warmup_epochs": 0},
            _CROP: {"augment.operations": ["crop"]},
            _COLOR: {"augment.operations": ["color"]},
            _BOTH: {"augment.operations": ["crop", "color"]},
        },
    ),
    note="Not in the paper. The images were drawn so that the mechanism of section 3.1 exists in "
    "them; they are no evidence about photographs.",
)

SHORTCUTS = Ablation(
    name="shortcuts",
    title="Crop and color where their short cuts are taken away",
    question="Is it the short cuts that crop and color composed take away?",
    source="section 3.1",
    fixed={"augment.branches": "one"},
    paper=_LAYOUT,
    small=_LAYOUT,
    figure="lines",
    claims=(
        Claim.alike(
            "Where each image has a palette and an arrangement of its own, crop and color composed "
            "are better than either alone.",
            "section 3.1",
            beats((_OWN, _BOTH), (_OWN, _CROP)),
            beats((_OWN, _BOTH), (_OWN, _COLOR)),
        ),
        Claim.alike(
            "Where all images share a palette, crop alone does about as well as crop and color: "
            f"no more than {_AS_WELL:g} points behind (our bound), and better than without "
            "training.",
            "section 3.1, the explanation by histograms, turned into an experiment",
            beats((_PALETTE_SHARED, _CROP), (_PALETTE_SHARED, _BOTH), by=-_AS_WELL),
            beats((_PALETTE_SHARED, _CROP), (_PALETTE_SHARED, _UNTRAINED)),
        ),
        Claim.alike(
            "Where all images share an arrangement, color alone does about as well as crop and "
            f"color: no more than {_AS_WELL:g} points behind (our bound), and better than without "
            "training.",
            "section 3.1, turned into an experiment",
            beats((_ARRANGEMENT_SHARED, _COLOR), (_ARRANGEMENT_SHARED, _BOTH), by=-_AS_WELL),
            beats((_ARRANGEMENT_SHARED, _COLOR), (_ARRANGEMENT_SHARED, _UNTRAINED)),
        ),
        Claim.alike(
            "What crop lacks without color is mostly the palette's doing, and what color lacks "
            "without crop the arrangement's: sharing either narrows its gap.",
            "section 3.1, turned into an experiment",
            wider_gap(
                ((_OWN, _BOTH), (_OWN, _CROP)),
                ((_PALETTE_SHARED, _BOTH), (_PALETTE_SHARED, _CROP)),
            ),
            wider_gap(
                ((_OWN, _BOTH), (_OWN, _COLOR)),
                ((_ARRANGEMENT_SHARED, _BOTH), (_ARRANGEMENT_SHARED, _COLOR)),
            ),
        ),
        Claim.alike(
            "Sharing one of them leaves the other short cut: color alone stays behind where only "
            "the palette is shared, and crop alone where only the arrangement is.",
            "section 3.1, turned into an experiment",
            beats((_PALETTE_SHARED, _BOTH), (_PALETTE_SHARED, _COLOR)),
            beats((_ARRANGEMENT_SHARED, _BOTH), (_ARRANGEMENT_SHARED, _CROP)),
        ),
    ),
    extension=True,
    untrained=False,  # each kind of images has its own
)
