"""Milliseconds: the numbers that the paper reports, copied here by hand, against those of the
ablations.
"""

import numpy as np
import pytest

from search_spaces import ABLATIONS
from search_spaces.ablation import Scale
from workloads.simclr.presets import preset
from workloads.simclr.spec import RunSpec

OPERATIONS = ("crop", "cutout", "color", "sobel", "noise", "blur", "rotate")
EPOCHS = ("100", "200", "300", "400", "500", "600", "700", "800", "900", "1000")
COLUMNS_B1 = ("100", "200", "400", "800")


def values(name: str, scale: Scale = "paper") -> dict[tuple[str, ...], float]:
    """The paper's value of every cell that has one."""
    return {
        cell.at: cell.paper
        for cell in ABLATIONS[name].layout(scale).cells
        if cell.paper is not None
    }


# Figure 5, a row for each first operation.
FIGURE_5 = {
    "crop": (33.1, 33.9, 56.3, 46.0, 39.9, 35.0, 30.2),
    "cutout": (32.2, 25.6, 33.9, 40.0, 26.5, 25.2, 22.4),
    "color": (55.8, 35.5, 18.8, 21.0, 11.4, 16.5, 20.8),
    "sobel": (46.2, 40.6, 20.9, 4.0, 9.3, 6.2, 4.2),
    "noise": (38.8, 25.8, 7.5, 7.6, 9.8, 9.8, 9.6),
    "blur": (35.1, 25.2, 16.6, 5.8, 9.7, 2.6, 6.7),
    "rotate": (30.0, 22.5, 20.7, 4.3, 9.7, 6.5, 2.6),
}


@pytest.mark.parametrize("scale", ["paper", "small"])
def test_figure_5(scale: Scale) -> None:
    assert values("augmentations", scale) == {
        (first, second): top1
        for first, row in FIGURE_5.items()
        for second, top1 in zip(OPERATIONS, row, strict=True)
    }


def test_the_row_averages_printed_in_figure_5() -> None:
    found = values("augmentations")
    rows = {first: sum(found[first, second] for second in OPERATIONS) / 7 for first in OPERATIONS}
    printed = {
        "crop": 39.2,
        "cutout": 29.4,
        "color": 25.7,
        "sobel": 18.8,
        "noise": 15.5,
        "blur": 14.5,
        "rotate": 13.8,
    }
    assert rows == pytest.approx(printed, abs=0.1)  # cells and averages are each rounded to 0.1


@pytest.mark.parametrize("scale", ["paper", "small"])
def test_table_1(scale: Scale) -> None:
    assert values("color-strength", scale) == {
        ("SimCLR", "1/8"): 59.6,
        ("SimCLR", "1/4"): 61.0,
        ("SimCLR", "1/2"): 62.6,
        ("SimCLR", "1"): 63.2,
        ("SimCLR", "1 (+blur)"): 64.5,
        ("SimCLR", "AutoAug"): 61.1,
        ("supervised", "1/8"): 77.0,
        ("supervised", "1/4"): 76.7,
        ("supervised", "1/2"): 76.5,
        ("supervised", "1"): 75.7,
        ("supervised", "1 (+blur)"): 75.4,
        ("supervised", "AutoAug"): 77.1,
    }


def test_figure_7() -> None:
    panels: dict[str, dict[tuple[str, str], float]] = {}
    for (depth, width, panel), top1 in values("encoder").items():
        panels.setdefault(panel, {})[depth.removeprefix("ResNet-"), width] = top1
    assert panels == {
        "SimCLR 100-epoch": {
            ("18", "1"): 50.4, ("18", "2"): 59.5, ("18", "4"): 65.7,
            ("34", "1"): 54.5, ("34", "2"): 62.6, ("34", "4"): 68.3,
            ("50", "1"): 64.5, ("50", "2"): 69.7, ("50", "4"): 72.8,
            ("101", "1"): 66.6, ("101", "2"): 71.4,
            ("152", "1"): 67.6, ("152", "2"): 72.0,
        },
        "SimCLR 1000-epoch": {("50", "1"): 69.3, ("50", "2"): 74.2, ("50", "4"): 76.5},
        "supervised 90-epoch": {("50", "1"): 76.5, ("50", "2"): 77.8, ("50", "4"): 78.4},
    }  # fmt: skip
    assert values("encoder", "small") == {}


def test_figure_8() -> None:
    widths = ("32", "64", "128", "256", "512", "1024", "2048")
    linear = (59.8, 61.1, 60.9, 60.5, 60.5, 60.3, 60.5)
    nonlinear = (63.4, 64.0, 64.2, 64.7, 64.7, 64.5, 64.7)
    found = values("head")
    assert found == {
        ("none", "2048"): 50.0,
        **{("linear", width): top1 for width, top1 in zip(widths, linear, strict=True)},
        **{("non-linear", width): top1 for width, top1 in zip(widths, nonlinear, strict=True)},
    }
    narrow = {at: top1 for at, top1 in found.items() if at[1] in widths[:4]}
    assert values("head", "small") == {("none", "width of h"): 50.0, **narrow}
    assert (
        values("head-depth")
        == values("head-depth", "small")
        == {("0",): 50.0, ("1",): 60.9, ("2",): 64.2}
    )
    assert values("head-norm") == {("linear", "with BN"): 60.9, ("non-linear", "with BN"): 64.2}


@pytest.mark.parametrize("scale", ["paper", "small"])
def test_table_3_and_the_same_head_in_figure_8(scale: Scale) -> None:
    assert values("probes", scale) == {
        ("color", "h"): 99.3,
        ("color", "g(h)"): 97.4,
        ("rotation", "h"): 67.6,
        ("rotation", "g(h)"): 25.6,
        ("noise", "h"): 99.5,
        ("noise", "g(h)"): 59.6,
        ("sobel", "h"): 96.6,
        ("sobel", "g(h)"): 56.3,
        ("classes", "h"): 64.7,
    }


@pytest.mark.parametrize("scale", ["paper", "small"])
def test_table_4(scale: Scale) -> None:
    assert values("losses", scale) == {
        ("margin",): 50.9,
        ("NT-Logistic",): 51.6,
        ("margin (semi-hard)",): 57.5,
        ("NT-Logistic (semi-hard)",): 57.9,
        ("NT-Xent",): 63.9,
    }


@pytest.mark.parametrize("scale", ["paper", "small"])
def test_table_5(scale: Scale) -> None:
    rows = {
        cell.at[0]: (
            cell.paper_more["contrastive_entropy"],
            cell.paper_more["contrastive_accuracy"],
            cell.paper,
        )
        for cell in ABLATIONS["temperature"].layout(scale).cells
    }
    assert rows == {
        "yes, 0.05": (1.0, 90.5, 59.7),
        "yes, 0.1": (4.5, 87.8, 64.4),
        "yes, 0.5": (8.2, 68.2, 60.7),
        "yes, 1": (8.3, 59.1, 58.0),
        "no, 10": (0.5, 91.7, 57.2),
        "no, 100": (0.5, 92.1, 57.0),
    }


FIGURE_9 = {
    "256": (57.5, 61.9, 63.6, 64.7, 65.3, 65.5, 66.1, 66.6, 66.7, 67.0),
    "512": (60.7, 64.0, 65.4, 66.2, 66.8, 67.0, 67.4, 67.8, 68.1, 68.0),
    "1024": (62.8, 65.3, 66.4, 67.2, 68.0, 68.2, 68.4, 68.5, 68.8, 68.9),
    "2048": (64.0, 66.1, 67.2, 68.1, 68.1, 68.9, 68.6, 68.9, 68.9, 69.4),
    "4096": (64.6, 66.5, 67.5, 68.2, 68.4, 68.6, 68.8, 68.9, 69.1, 69.3),
    "8192": (64.8, 66.6, 67.4, 67.8, 68.3, 68.7, 68.7, 69.0, 69.0, 68.9),
}
TABLE_B1 = {  # linear, square root
    "256": ((57.5, 61.9, 64.7, 66.6), (62.8, 64.3, 65.7, 66.5)),
    "512": ((60.7, 64.0, 66.2, 67.8), (63.8, 65.6, 66.7, 67.4)),
    "1024": ((62.8, 65.3, 67.2, 68.5), (64.3, 66.1, 67.2, 68.3)),
    "2048": ((64.0, 66.1, 68.1, 68.9), (64.7, 66.8, 67.9, 68.8)),
    "4096": ((64.6, 66.5, 68.2, 68.9), (64.5, 66.8, 68.0, 69.1)),
    "8192": ((64.8, 66.6, 67.8, 69.0), (64.8, 67.0, 68.3, 69.1)),
}


def test_figure_9_and_table_b1() -> None:
    found = values("batch-size")
    linear = {
        (batch, epochs, "linear"): top1
        for batch, row in FIGURE_9.items()
        for epochs, top1 in zip(EPOCHS, row, strict=True)
    }
    table = {
        (batch, epochs, rule): top1
        for batch, rows in TABLE_B1.items()
        for rule, row in zip(("linear", "sqrt"), rows, strict=True)
        for epochs, top1 in zip(COLUMNS_B1, row, strict=True)
    }
    assert found == linear | table
    assert found == table | linear, "the figure and the table agree where they meet"
    small = values("batch-size", "small")
    assert len(small) == 24
    assert small["x 1/4", "x 1", "linear"] == 62.8  # 1024, 100
    assert small["x 1", "x 1", "linear"] == 64.6  # 4096, 100
    assert small["x 2", "x 4", "sqrt"] == 68.3  # 8192, 400


def test_section_5_2_has_figure_9_beside_table_b3() -> None:
    assert values("contrastive-gains") == {
        ("SimCLR", "256", "short"): 57.5,
        ("SimCLR", "256", "long"): 67.0,
        ("SimCLR", "4096", "short"): 64.6,
        ("SimCLR", "4096", "long"): 69.3,
        ("supervised", "4096", "short"): 75.3,
        ("supervised", "4096", "long"): 76.4,
    }
    assert values("contrastive-gains", "small") == {}


def test_table_b2_and_what_it_is_held_against() -> None:
    broader = {
        "1": ((49.4, 76.6), (66.1, 88.1), (76.0, 93.1)),
        "2": ((59.4, 83.7), (71.8, 91.2), (79.1, 94.8)),
        "4": ((64.1, 86.6), (74.8, 92.8), (80.4, 95.4)),
    }
    cells = {cell.at: cell for cell in ABLATIONS["all-labels"].paper.cells}
    for width, row in broader.items():
        for share, (top1, top5) in zip(("1", "10", "100"), row, strict=True):
            cell = cells["pre-trained, broader", width, share]
            assert (cell.paper, cell.paper_more) == (top1, {f"finetune_{share}_top5": top5})

    scratch = {at[1]: cell for at, cell in cells.items() if at[0] == "from scratch"}
    assert {width: cell.paper for width, cell in scratch.items()} == {
        "1": 76.5,
        "2": 77.8,
        "4": 78.4,
    }
    assert [cell.paper_more.get("finetune_100_top5") for cell in scratch.values()] == [
        None,
        93.9,
        94.2,
    ]
    default = {at: cell for at, cell in cells.items() if at[0] == "pre-trained, default"}
    names = {"1": "SimCLR", "2": "SimCLR (2x)", "4": "SimCLR (4x)"}
    few = {cell.at: cell for cell in ABLATIONS["few-labels"].paper.cells}
    for (_, width, share), cell in default.items():
        same = few[names[width], share]
        assert (cell.paper, cell.paper_more) == (same.paper, same.paper_more)
    assert values("all-labels", "small") == {}


def test_pre_training_by_the_default_policy_is_that_of_few_labels() -> None:
    base = preset("imagenet-paper")
    of_few, of_all = (
        {
            base.with_values({**ABLATIONS[name].fixed, **cell.values}).fingerprint()
            for cell in ABLATIONS[name].paper.cells
            if cell.at[0] in methods and cell.at[-1] in ("1", "10")
        }
        for name, methods in (
            ("few-labels", ("SimCLR", "SimCLR (2x)", "SimCLR (4x)")),
            ("all-labels", ("pre-trained, default",)),
        )
    )
    assert len(of_few) == 6
    assert of_all == of_few


def test_extensions_show_what_table_b1_has() -> None:
    assert values("small-batches") == {
        (rule, batch): TABLE_B1[batch][column][0]
        for column, rule in enumerate(("linear", "sqrt"))
        for batch in ("256", "512", "1024")
    }
    assert values("steps") == {("batch 4096, 100 epochs",): 64.6, ("batch 8192, 200 epochs",): 66.6}
    assert values("small-batches", "small") == values("steps", "small") == {}
    assert values("optimizer") == values("optimizer", "small") == {("LARS",): 64.5}


@pytest.mark.parametrize("scale", ["paper", "small"])
def test_flip_and_blur_of_appendix_a(scale: Scale) -> None:
    assert values("flip-and-blur", scale) == {
        ("flip and blur",): 64.5,
        ("no flip",): 63.4,
        ("no blur",): 63.2,
    }


def test_linear_evaluation_of_tables_6_and_b2() -> None:
    assert values("broader-augmentation") == {
        ("default", "1"): 69.3,
        ("default", "2"): 74.2,
        ("default", "4"): 76.5,
        ("broader", "1"): 70.0,
        ("broader", "2"): 74.4,
        ("broader", "4"): 76.8,
    }
    assert values("broader-augmentation", "small") == {
        ("default", "x 1"): 69.3,
        ("default", "x 2"): 74.2,
        ("broader", "x 1"): 70.0,
        ("broader", "x 2"): 74.4,
    }


def test_table_b3() -> None:
    columns = ("crop", "+color", "+color+blur")
    standard = {"90": (76.5, 75.6, 75.3), "500": (76.2, 76.5, 76.7), "1000": (75.8, 75.2, 76.4)}
    wide = {"90": (78.4, 78.9, 78.7), "500": (78.3, 78.4, 78.5), "1000": (77.9, 78.2, 78.3)}
    assert values("supervised") == {
        (policy, epochs, encoder): top1
        for encoder, rows in (("ResNet-50", standard), ("ResNet-50 (4x)", wide))
        for epochs, row in rows.items()
        for policy, top1 in zip(columns, row, strict=True)
    }
    lengths = dict(zip(("x 1", "x 3", "x 6"), standard.values(), strict=True))
    assert values("supervised", "small") == {
        (policy, length): top1
        for length, row in lengths.items()
        for policy, top1 in zip(columns, row, strict=True)
    }


def test_cifar_10_of_appendix_b9() -> None:
    assert values("batch-temperature") == {
        ("0.5", "1024", "1000"): 94.0,
        ("supervised", "1024", "1000"): 95.1,
    }
    assert values("batch-temperature", "small") == {}


@pytest.mark.parametrize("scale", ["paper", "small"])
def test_tables_7_and_b4(scale: Scale) -> None:
    top1 = {
        ("supervised", "1"): 25.4,
        ("supervised", "10"): 56.4,
        ("supervised", "100"): 76.5,
        ("SimCLR", "1"): 48.3,
        ("SimCLR", "10"): 65.6,
        ("SimCLR (2x)", "1"): 58.5,
        ("SimCLR (2x)", "10"): 71.7,
        ("SimCLR (4x)", "1"): 63.0,
        ("SimCLR (4x)", "10"): 74.4,
    }
    top5 = {
        ("supervised", "1"): 48.4,
        ("supervised", "10"): 80.4,
        ("SimCLR", "1"): 75.5,
        ("SimCLR", "10"): 87.8,
        ("SimCLR (2x)", "1"): 83.0,
        ("SimCLR (2x)", "10"): 91.2,
        ("SimCLR (4x)", "1"): 85.8,
        ("SimCLR (4x)", "10"): 92.6,
    }
    there = {at for at in top1 if scale == "paper" or at[0] in ("supervised", "SimCLR")}
    assert values("few-labels", scale) == {at: top1[at] for at in there}
    cells = ABLATIONS["few-labels"].layout(scale).cells
    assert {
        cell.at: {f"finetune_{cell.at[1]}_top5": top5[cell.at]} for cell in cells if cell.at in top5
    } == {cell.at: dict(cell.paper_more) for cell in cells if cell.paper_more}


def test_tables_8_and_b5() -> None:
    found = values("transfer")
    assert len(found) == 120
    assert found["VOC2007", "linear", "ResNet-50 (4x)"] == 84.2
    assert found["Flowers", "random", "ResNet-50 (4x)"] == 92.5
    assert found["Food", "linear S", "ResNet-50"] == 72.3
    assert found["Caltech-101", "tuned S", "ResNet-50"] == 93.3
    sums = {
        (method, encoder): round(
            sum(value for (_, *rest), value in found.items() if rest == [method, encoder]), 1
        )
        for encoder in ("ResNet-50 (4x)", "ResNet-50")
        for method in ("linear", "tuned", "tuned S")
    }
    assert sums == {
        ("linear", "ResNet-50 (4x)"): 929.1,
        ("tuned", "ResNet-50 (4x)"): 1050.6,
        ("tuned S", "ResNet-50 (4x)"): 1050.6,
        ("linear", "ResNet-50"): 847.5,
        ("tuned", "ResNet-50"): 1026.2,
        ("tuned S", "ResNet-50"): 1033.0,
    }


def test_the_grids_of_transfer() -> None:
    """Appendix B.8: 45 strengths for regression; 7 rates and 8 decays for fine-tuning, others from
    random weights.
    """
    tuned, scratch = (
        RunSpec()
        .with_values({f"eval.transfer.{name}": value for name, value in given.items()})
        .eval.transfer
        for given in (
            {},
            {
                path.removeprefix("eval.transfer."): value
                for cell in ABLATIONS["transfer"].paper.cells[:50]
                if cell.at[1] == "random"
                for path, value in cell.values.items()
                if path.startswith("eval.transfer.") and ".data." not in path
            },
        )
    )
    assert tuned.l2 == pytest.approx(np.logspace(-6, 5, 45), rel=1e-5)
    assert (tuned.steps, scratch.steps, tuned.batch_size) == (20_000, 40_000, 256)
    assert tuned.learning_rates == pytest.approx(np.logspace(-4, -1, 7), rel=1e-5)
    assert scratch.learning_rates == pytest.approx(np.logspace(-3, 0, 7), rel=1e-5)
    assert tuned.weight_decays == pytest.approx([0, *np.logspace(-6, -3, 7)], rel=1e-5)
    assert scratch.weight_decays == pytest.approx(np.logspace(-5, -1.5, 8), rel=1e-5)
