"""Milliseconds: what the ablations ask, checked against the specification and the presets that they
run on.

One test starts a Python process.
"""

import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar, get_args

import pytest

from search_spaces import ABLATIONS, Ablation, Step, Times
from search_spaces.ablation import Scale
from search_spaces.values import Value
from workloads.simclr.presets import preset
from workloads.simclr.pretrain import problems_with
from workloads.simclr.spec import RunSpec, percent
from workloads.spec import Part
from workloads.two_layer_cnn import presets as two_layer
from workloads.two_layer_cnn.spec import TwoLayerSpec

SCALES = get_args(Scale)
SMALL_PRESETS = ("shapes", "textures", "digits", "cifar10-small", "cifar10")
TRAIN_IMAGES = {  # without the validation split
    "shapes": 1800,
    "textures": 1802,
    "digits": 1290,
    "cifar10-small": 9000,
    "cifar10": 45000,
    "cifar10-paper": 45000,
    "imagenet-paper": 1268355,
}

# Cells of the paper's layout and of the small one, points and distinct runs of each, for one seed.
COUNTS = {
    "augmentations": (49, 49, (49, 49), (49, 49)),
    "color-strength": (12, 12, (24, 24), (24, 24)),
    "encoder": (19, 15, (25, 21), (25, 21)),
    "head": (22, 13, (22, 13), (22, 13)),
    "probes": (10, 10, (10, 10), (4, 4)),  # h and g(h) of one run, and classes and color
    "losses": (5, 5, (100, 60), (100, 60)),
    "temperature": (6, 6, (6, 6), (6, 6)),
    # the rules agree at the batch size that anchors them
    "batch-size": (87, 24, (87, 24), (83, 21)),
    "contrastive-gains": (8, 8, (24, 24), (24, 24)),
    "few-labels": (12, 6, (27, 48), (27, 48)),
    "transfer": (120, 10, (120, 10), (120, 10)),
    "flip-and-blur": (4, 4, (4, 4), (4, 4)),
    "broader-augmentation": (6, 8, (6, 8), (6, 8)),
    "all-labels": (18, 4, (33, 32), (33, 32)),
    "supervised": (18, 9, (54, 27), (54, 27)),
    "linear-and-finetuned": (12, 5, (12, 5), (12, 5)),
    "batch-temperature": (61, 24, (183, 24), (183, 24)),
    "head-depth": (5, 5, (5, 5), (5, 5)),
    "head-norm": (4, 4, (4, 4), (4, 4)),
    "small-batches": (8, 8, (8, 8), (8, 7)),
    "steps": (4, 3, (4, 3), (4, 3)),
    "optimizer": (3, 3, (12, 12), (12, 12)),
    "few-augmentations": (16, 16, (16, 16), (16, 16)),
    "shortcuts": (12, 12, (12, 12), (12, 12)),
    "label-complexity": (100, 100, (100, 100), (100, 100)),
    "label-threshold": (183, 183, (183, 183), (183, 183)),
    "activation-power": (40, 40, (40, 40), (40, 40)),
    "unlabeled-data": (16, 16, (16, 16), (16, 16)),
    "signal-to-noise": (28, 28, (28, 28), (28, 28)),
    "top-eigenvalue": (28, 28, (28, 28), (28, 28)),
    "initial-scale": (14, 14, (14, 14), (14, 14)),
    "pretraining-steps": (24, 24, (24, 24), (24, 24)),
    "filter-count": (8, 8, (8, 8), (8, 8)),
    "patch-dimension": (20, 20, (20, 20), (20, 20)),
    "pretraining-controls": (25, 25, (25, 25), (25, 25)),
    "augmentation-quality": (10, 10, (10, 10), (10, 10)),
    "total-budget": (51, 51, (51, 51), (51, 51)),
    "fresh-views": (24, 24, (24, 24), (24, 24)),
}
EXTENSIONS = {
    "simclr": [
        "head-depth",
        "head-norm",
        "small-batches",
        "steps",
        "optimizer",
        "few-augmentations",
        "shortcuts",
    ],
    "two-layer-cnn": ["augmentation-quality", "total-budget", "fresh-views"],
}
# Of a cause that the paper names and does not take away; those of Figure 5, as far as they go.
WITH_CLAIMS = ("few-augmentations", "shortcuts", "fresh-views")

Spec = TypeVar("Spec", bound=Part)


def presets_of(ablation: Ablation, scale: Scale) -> Iterable[str]:
    """The presets whose plans take that layout; those of the two-layer study have equal ones.

    Short cuts can be taken away from generated images only.
    """
    if ablation.name == "shortcuts":
        return ["textures"]
    if ablation.workload == "two-layer-cnn":
        return two_layer.PRESETS
    return [ablation.setting] if scale == "paper" else SMALL_PRESETS


def base_of(ablation: Ablation, name: str) -> RunSpec | TwoLayerSpec:
    return two_layer.preset(name) if ablation.workload == "two-layer-cnn" else preset(name)


EVERY_PRESET = [
    pytest.param(ablation, scale, name, id=f"{ablation.name}-{name}")
    for ablation in ABLATIONS.values()
    for scale in SCALES
    for name in presets_of(ablation, scale)
]


def resolved(point: Mapping[str, Value], base: Spec) -> dict[str, object]:
    flat = base.flat()
    return {
        path: value.resolve(flat[path]) if isinstance(value, Times | Step) else value
        for path, value in point.items()
    }


def specs(ablation: Ablation, scale: Scale, base: Spec) -> list[Spec]:
    return [base.with_values(resolved(point, base)) for point in ablation.points(scale)]


def by_place(name: str, scale: Scale, of: str) -> dict[tuple[str, ...], RunSpec]:
    """The specification of every cell, before it has chosen among candidates."""
    ablation, base = ABLATIONS[name], preset(of)
    return {
        cell.at: base.with_values(resolved({**ablation.fixed, **cell.values}, base))
        for cell in ablation.layout(scale).cells
    }


# What every ablation has in common ----------------------------------------------------------------


def test_the_ablations_in_the_order_of_the_paper_and_what_they_run() -> None:
    assert list(ABLATIONS) == list(COUNTS)
    for name, ablation in ABLATIONS.items():
        points = tuple(len(ablation.points(scale)) for scale in SCALES)
        assert (name, len(ablation.paper.cells), len(ablation.small.cells), points) == (
            ablation.name,
            *COUNTS[name][:3],
        )


@pytest.mark.parametrize("workload", EXTENSIONS)
def test_extensions_come_last_and_claim_nothing_for_the_paper(workload: str) -> None:
    ablations = [ablation for ablation in ABLATIONS.values() if ablation.workload == workload]
    extensions = EXTENSIONS[workload]
    assert [ablation.name for ablation in ablations if ablation.extension] == extensions
    silent = [ablation.name for ablation in ablations if not ablation.claims]
    assert silent == [name for name in extensions if name not in WITH_CLAIMS]
    assert [ablation.name for ablation in ablations][-len(extensions) :] == extensions


@pytest.mark.parametrize(("ablation", "scale", "name"), EVERY_PRESET)
def test_every_point_is_a_run_that_the_preset_can_do(
    ablation: Ablation, scale: Scale, name: str
) -> None:
    base = base_of(ablation, name)
    found = specs(ablation, scale, base)
    runs = [spec for spec in found if isinstance(spec, RunSpec)]
    assert [
        problem for spec in runs for problem in problems_with(spec, TRAIN_IMAGES[name], 1)
    ] == []
    assert (
        len({spec.fingerprint() for spec in found}) == COUNTS[ablation.name][3][SCALES.index(scale)]
    )
    for point, spec in zip(ablation.points(scale), found, strict=True):
        assert spec.flat() == {**base.flat(), **resolved(point, base)}, (
            "a point changes the fields that it names, no other"
        )


@pytest.mark.parametrize(("ablation", "scale", "name"), EVERY_PRESET)
def test_cells_are_compared_by_a_result_of_their_runs(
    ablation: Ablation, scale: Scale, name: str
) -> None:
    base = base_of(ablation, name)
    for cell in ablation.layout(scale).cells:
        spec = base.with_values(resolved({**ablation.fixed, **cell.values}, base))
        if isinstance(spec, TwoLayerSpec):
            assert ablation.metric_of(cell) in {"test_error", "alignment", "top_eigenvalue_ratio"}
            continue
        metrics = {"linear_top1"}
        tuned_by = "linear_validation_top1"
        if spec.eval.finetune.labels:
            share, *more = map(percent, spec.eval.finetune.labels)
            assert not more or ablation.name == "linear-and-finetuned"
            metrics = {f"finetune_{share}_top1"}
            tuned_by = f"finetune_{share}_validation_top1" if cell.candidates else tuned_by
        elif spec.eval.transfer.protocols:
            metrics = {f"transfer_{protocol}" for protocol in spec.eval.transfer.protocols}
        elif spec.loss.name == "cross-entropy":
            metrics = {"classifier_top1"}
            tuned_by = "classifier_validation_top1" if cell.candidates else tuned_by
        elif spec.eval.projection:
            metrics |= {
                "linear_top1_z",
                *(f"probe_{task}_{of}" for task in spec.eval.probe.tasks for of in "hz"),
            }
        assert ablation.metric_of(cell) in metrics
        assert ablation.tuning_metric_of(cell) == tuned_by


@pytest.mark.parametrize("ablation", ABLATIONS.values(), ids=ABLATIONS)
def test_the_module_gives_source_command_and_cost(ablation: Ablation) -> None:
    if ablation.workload == "two-layer-cnn":
        room = "two_layer_cnn"
    else:
        room = "simclr_extensions" if ablation.extension else "simclr_paper"
    module = sys.modules[f"search_spaces.{room}.{ablation.name.replace('-', '_')}"]
    text = " ".join((module.__doc__ or "").split())
    assert f"simclr-orch ablate {ablation.name} --preset P" in text
    assert ablation.source in text
    assert "Expected ordering: " in text
    if ablation.workload == "two-layer-cnn":
        assert f"Cost: {len(ablation.points())} runs a seed, " in text
    elif ablation.setting == "imagenet-paper":
        assert f"{ablation.paper_tpu_hours:,.0f} TPU v3 core-hours a seed" in text
    else:
        epochs = ablation.relative_cost("paper") * 100
        assert f"{epochs:,.0f} epochs of CIFAR-10 a seed, about 910 A100-hours" in text
        assert round(epochs * 36.9 / 3600, -1) == 910


def test_cost_by_the_papers_hour_and_a_half_on_128_cores() -> None:
    assert ABLATIONS["temperature"].paper_tpu_hours == 6 * 1.5 * 128
    linear, sqrt = 6 * sum(range(100, 1001, 100)), 6 * (100 + 200 + 400 + 800)
    beyond = 800 + 800 + 3200  # Figure B.2
    hours = (linear + sqrt + beyond) / 100 * 192
    assert ABLATIONS["batch-size"].paper_tpu_hours == pytest.approx(hours)
    assert ABLATIONS["batch-size"].relative_cost("small") == 2 * 4 * (1 + 2 + 4)
    assert ABLATIONS["head"].relative_cost("small") == 13
    assert ABLATIONS["losses"].relative_cost("small") == 5 * 3 * 4
    assert ABLATIONS["probes"].relative_cost("small") == 4, "cells that share a run count once"
    assert ABLATIONS["encoder"].relative_cost("small") == 9 + 3 * 3 + 3 * 3
    assert ABLATIONS["few-labels"].relative_cost("small") == 1, (
        "what is only evaluated otherwise shares its training"
    )
    assert ABLATIONS["transfer"].relative_cost("small") == 2, "SimCLR and the supervised encoder"


# What single ablations ask ------------------------------------------------------------------------


def test_points_are_what_is_fixed_and_then_the_cell_in_the_order_of_the_cells() -> None:
    ablation = ABLATIONS["augmentations"]
    fixed = {
        "augment.branches": "one",
        "augment.blur.probability": 1.0,
        "augment.rotate.angles": [90, 180, 270],
    }
    points = ablation.points()
    assert points[0] == {**fixed, "augment.operations": ["crop"]}
    assert points[2] == {**fixed, "augment.operations": ["crop", "color"]}
    assert points[14] == {**fixed, "augment.operations": ["color", "crop"]}
    assert points[-1] == {**fixed, "augment.operations": ["rotate"]}
    assert ablation.points("small") == points


def test_small_batch_sizes_are_multiples_of_the_preset_and_their_rules_agree_at_its_own_batch() -> (
    None
):
    found = {
        at: (spec.schedule.batch_size, spec.schedule.epochs, spec.learning_rate)
        for at, spec in by_place("batch-size", "small", "cifar10-small").items()
    }
    assert found["x 1/4", "x 1", "linear"] == pytest.approx((64, 10, 0.006 / 4))
    assert found["x 1/4", "x 1", "sqrt"] == pytest.approx((64, 10, 0.006 / 2))
    assert found["x 2", "x 4", "linear"] == pytest.approx((512, 40, 0.012))
    assert (
        found["x 1", "x 2", "linear"]
        == found["x 1", "x 2", "sqrt"]
        == pytest.approx((256, 20, 0.006))
    )


def test_the_papers_learning_rates_at_its_extreme_batch_sizes() -> None:
    rates = {
        at: spec.learning_rate
        for at, spec in by_place("batch-size", "paper", "imagenet-paper").items()
    }
    assert rates["256", "100", "linear"] == pytest.approx(0.3)
    assert rates["256", "100", "sqrt"] == pytest.approx(1.2)
    assert rates["8192", "800", "sqrt"] == pytest.approx(6.788, abs=1e-3)
    assert rates["4096", "400", "linear"] == rates["4096", "400", "sqrt"] == pytest.approx(4.8)


def test_a_head_of_none_is_one_cell_at_the_width_of_the_encoder() -> None:
    labels: dict[Scale, str] = {"paper": "2048", "small": "width of h"}
    for scale, label in labels.items():
        cells = [cell for cell in ABLATIONS["head"].layout(scale).cells if cell.at[0] == "none"]
        assert [(cell.at, cell.values, cell.paper) for cell in cells] == [
            (("none", label), {"head.num_linear_layers": 0}, 50.0)
        ]


def test_the_policies_of_table_1() -> None:
    found = {
        at: (
            spec.augment.operations,
            spec.augment.color.strength,
            spec.loss.name,
            spec.schedule.epochs,
        )
        for at, spec in by_place("color-strength", "paper", "imagenet-paper").items()
    }
    assert found["SimCLR", "1/8"] == (("crop", "color"), 0.125, "nt-xent", 100)
    assert found["SimCLR", "1 (+blur)"] == (("crop", "color", "blur"), 1.0, "nt-xent", 100)
    assert found["SimCLR", "AutoAug"][0] == ("crop", "auto_augment")
    assert found["supervised", "1/2"] == (("crop", "color"), 0.5, "cross-entropy", 90)


def test_small_encoders_step_through_the_family_of_the_preset() -> None:
    names = {}
    for of in ("shapes", "cifar10", "cifar10-paper"):
        found = by_place("encoder", "small", of)
        diagonal = zip(
            ("the preset's", "one deeper", "two deeper"), ("x 1/2", "x 1", "x 2"), strict=True
        )
        encoders = [found[depth, width, "SimCLR x 1"].encoder for depth, width in diagonal]
        names[of] = [(encoder.architecture, encoder.width) for encoder in encoders]
    assert names["shapes"] == [("convnet", 0.1875), ("convnet8", 0.375), ("convnet12", 0.75)]
    assert names["cifar10"] == [("resnet18", 0.5), ("resnet34", 1.0), ("resnet50", 2.0)]
    assert names["cifar10-paper"] == [("resnet50", 0.5), ("resnet101", 1.0), ("resnet152", 2.0)]
    with pytest.raises(ValueError, match=r"\+2 from 'resnet101': there is none"):
        specs(
            ABLATIONS["encoder"],
            "small",
            preset("cifar10").with_values({"encoder.architecture": "resnet101"}),
        )


def test_the_figure_7_that_was_trained() -> None:
    found = by_place("encoder", "paper", "imagenet-paper")
    sizes = {
        (spec.encoder.architecture, spec.encoder.width, spec.schedule.epochs, spec.loss.name)
        for spec in found.values()
    }
    once = {
        (f"resnet{depth}", width, 100, "nt-xent")
        for depth in (18, 34, 50, 101, 152)
        for width in (1.0, 2.0)
    }
    fourfold = {(f"resnet{depth}", 4.0, 100, "nt-xent") for depth in (18, 34, 50)}
    stars = {("resnet50", width, 1000, "nt-xent") for width in (1.0, 2.0, 4.0)}
    crosses = {("resnet50", width, 90, "cross-entropy") for width in (1.0, 2.0, 4.0)}
    assert sizes == once | fourfold | stars | crosses


def test_probes_add_their_operation_to_pre_training_at_even_odds_and_see_as_wide_a_z_as_h() -> None:
    found = {at[0]: spec for at, spec in by_place("probes", "paper", "imagenet-paper").items()}
    assert (
        found["color"].augment.operations
        == found["classes"].augment.operations
        == ("crop", "color", "blur")
    )
    assert found["rotation"].augment.operations == ("crop", "color", "blur", "rotate")
    assert found["rotation"].augment.rotate.angles == (0, 90, 180, 270)
    assert (found["noise"].augment.operations[-1], found["noise"].augment.noise.probability) == (
        "noise",
        0.5,
    )
    assert (found["sobel"].augment.operations[-1], found["sobel"].augment.sobel.probability) == (
        "sobel",
        0.5,
    )
    assert {spec.head.output_dim for spec in found.values()} == {None}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ["color-strength", "encoder", "supervised"])
def test_supervised_runs_choose_their_rate_by_their_own_validation(name: str, scale: Scale) -> None:
    ablation = ABLATIONS[name]
    for cell in ablation.layout(scale).cells:
        loss = {**ablation.fixed, **cell.values}.get("loss.name")
        rates = [candidate["optim.base_learning_rate"] for candidate in cell.candidates]
        assert rates == ([Times(1 / 3), Times(1), Times(3)] if loss == "cross-entropy" else [])
        if rates:
            assert ablation.tuning_metric_of(cell) == "classifier_validation_top1"


def test_losses_are_tuned_over_equally_many_candidates_as_in_b10() -> None:
    for scale, of, rates in (
        ("paper", "imagenet-paper", {0.01, 0.1, 0.3, 0.5, 1.0}),
        ("small", "cifar10", {1 / 3, 1.0, 3.0}),
    ):
        found = specs(ABLATIONS["losses"], scale, preset(of))  # type: ignore[arg-type]
        grids: dict[tuple[str, bool], set[tuple[float, float]]] = {}
        for spec in found:
            option = (
                spec.loss.margin if spec.loss.name == "margin-triplet" else spec.loss.temperature
            )
            grids.setdefault((spec.loss.name, spec.loss.semi_hard), set()).add(
                (spec.optim.base_learning_rate, option)
            )
        assert {(spec.loss.negatives, spec.loss.normalize) for spec in found} == {("cross", True)}
        assert len(grids) == 5
        for (loss, _), pairs in grids.items():
            options = {0.0, 0.4, 0.8, 1.6} if loss == "margin-triplet" else {0.1, 0.2, 0.5, 1.0}
            assert pairs == {(rate, option) for rate in rates for option in options}


def test_steps_are_equally_many_with_equal_warm_up() -> None:
    for spec in by_place("steps", "paper", "imagenet-paper").values():
        assert spec.schedule.epochs / spec.schedule.batch_size == 100 / 4096
        assert spec.schedule.warmup_epochs == spec.schedule.epochs / 10
    for of in SMALL_PRESETS:
        steps = [
            (
                spec.schedule.epochs * (TRAIN_IMAGES[of] // spec.schedule.batch_size),
                spec.schedule.warmup_epochs,
            )
            for spec in by_place("steps", "small", of).values()
        ]
        counts = [count for count, _ in steps]
        assert max(counts) <= 1.03 * min(counts)
        assert [warmup / steps[0][1] for _, warmup in steps] == [1, 2, 4]


def test_the_package_imports_the_standard_library_only(repository: Path) -> None:
    script = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import search_spaces\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new - set(sys.stdlib_module_names) - {'search_spaces'}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=repository, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
