"""Milliseconds: what `--only` reads, and that a part shares its runs with the whole question."""

import pytest

from orchestrator.errors import PlanError
from orchestrator.plan import Ask, build
from orchestrator.plan.part import asked_part, read_only
from search_spaces import ABLATIONS
from workloads.simclr.presets import preset

SHAPES = preset("shapes")


def test_runs_of_a_part_are_those_of_the_whole_and_of_specifications_written_by_hand() -> None:
    whole = build(ABLATIONS["augmentations"], SHAPES, seeds=2)
    part = build(asked_part(ABLATIONS["augmentations"], "small", ["crop,color"]), SHAPES, seeds=2)
    by_hand = {
        SHAPES.with_values(
            {
                "augment.operations": [one] if one == two else [one, two],
                "augment.branches": "one",
                "seed": seed,
            }
        ).fingerprint()
        for one in ("crop", "color")
        for two in ("crop", "color")
        for seed in (0, 1)
    }
    cells = {cell.fingerprint for cell in part.cells if cell.role == "cell"}
    assert cells == by_hand
    assert {cell.fingerprint for cell in part.cells} < {cell.fingerprint for cell in whole.cells}
    references = {cell.seed for cell in part.cells if cell.role == "reference"}
    assert references == {0, 1}


def test_a_part_is_a_sweep_of_its_own_and_the_same_however_it_is_written() -> None:
    ablation = ABLATIONS["augmentations"]

    def sweep(*texts: str) -> str:
        return build(asked_part(ablation, "small", texts), SHAPES).sweep_id

    assert sweep() == build(ablation, SHAPES).sweep_id
    assert sweep("crop,color") == sweep("1st=color,crop", "2nd transformation = crop, color")
    assert len({sweep(), sweep("crop,color"), sweep("1st=crop,color"), sweep("crop,blur")}) == 4
    every = ",".join(ablation.small.axes[0].labels)
    assert sweep(every) == sweep()


def test_tuned_cells_of_a_part_have_the_candidates_of_the_whole() -> None:
    ask = Ask(1)
    whole = build(ABLATIONS["losses"], SHAPES, ask=ask)
    part = build(asked_part(ABLATIONS["losses"], "small", ["margin, NT-Xent"]), SHAPES, ask=ask)
    kept = [cell.fingerprint for cell in whole.cells if cell.at[0] in ("margin", "NT-Xent")]
    assert sorted(cell.fingerprint for cell in part.cells if cell.role == "candidate") == sorted(
        kept
    )


@pytest.mark.parametrize(
    ("name", "texts", "found"),
    [
        ("temperature", ["yes, 0.05,no, 10"], [("yes, 0.05", "no, 10")]),
        ("temperature", ['"yes, 0.05" , yes,1'], [("yes, 0.05", "yes, 1")]),
        ("label-threshold", ["direct, q = 3,0.2"], [("direct, q = 3",), ("0.2",)]),
        ("few-labels", ["1,100"], [("1", "100")]),
        ("few-labels", ["labels=1", "method=SimCLR"], [("1",), ("SimCLR",)]),
        ("few-augmentations", ["crop"], [("crop",), ("crop",)]),
    ],
)
def test_labels_are_read_with_their_commas_and_by_the_axis_that_has_them(
    name: str, texts: list[str], found: list[tuple[str, ...]]
) -> None:
    assert sorted(read_only(texts, ABLATIONS[name].small).values()) == sorted(found)


@pytest.mark.parametrize(
    ("name", "texts", "problems"),
    [
        (
            "augmentations",
            ["crop,colour,Blur,xyz"],
            ["did you mean color?", "did you mean blur?", "'xyz'", "crop, cutout, color, sobel"],
        ),
        ("few-labels", ["method=SimCRL"], ["did you mean SimCLR?", "supervised"]),
        ("few-labels", ["SimCLR", "supervised"], ["method is there twice"]),
        ("temperature", [","], ["names no label (the labels of", '"yes, 0.05", "yes, 0.1"']),
        ("augmentations", ["second=crop"], ["'second' begins no axis", "2nd transformation"]),
    ],
)
def test_labels_that_are_not_there_are_one_error_with_those_that_are(
    name: str, texts: list[str], problems: list[str]
) -> None:
    with pytest.raises(PlanError) as error:
        read_only(texts, ABLATIONS[name].small)
    assert len(error.value.problems) == 1
    assert error.value.problems[0].startswith("--only ")
    for problem in problems:
        assert problem in error.value.problems[0]


def test_a_label_of_several_axes_asks_for_the_axis() -> None:
    ablation = ABLATIONS["label-threshold"]
    both = {*ablation.small.axes[0].labels} & {*ablation.small.axes[1].labels}
    assert not both
    # of the paper's scale of all-labels, 1 is a width and a share of the labels
    with pytest.raises(PlanError, match=r"several axes .*width.*labels used.* AXIS=LABELS"):
        read_only(["1"], ABLATIONS["all-labels"].paper)
    found = read_only(["labels used=1"], ABLATIONS["all-labels"].paper)
    assert found == {"labels used (%)": ("1",)}


def test_labels_that_no_cell_has_together_are_refused() -> None:
    with pytest.raises(PlanError, match="--only none,32: no cell has these labels together"):
        asked_part(ABLATIONS["head"], "paper", ["none,32"])
