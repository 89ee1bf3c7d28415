"""Milliseconds: which cells a plan has, which requests it refuses, and what it expects to cost."""

from collections import Counter

import pytest

from orchestrator.errors import PlanError
from orchestrator.plan import build, build_single, by_claims
from orchestrator.plan.estimate import Speed, estimate, measured_speed
from orchestrator.resources import (
    ClusterShape,
    Resources,
    concurrent_cells,
    fitted_resources,
    resource_problems,
)
from orchestrator.run_record import RunRecord
from search_spaces import ABLATIONS, UNTRAINED
from workloads.catalog.simclr import SIMCLR
from workloads.simclr.presets import preset
from workloads.simclr.spec import RunSpec

SHAPES = preset("shapes")
LAPTOP = ClusterShape(((2.0, 0.0),))
LAB = ClusterShape(((4.0, 0.0), (16.0, 4.0), (16.0, 4.0)))


def test_a_plan_is_every_cell_for_every_seed_and_an_untrained_reference_each() -> None:
    plan = build(ABLATIONS["augmentations"], SHAPES, seeds=2)
    assert len(plan.cells) == 2 * (49 + 1)
    assert len(plan.jobs) == 100
    assert [cell.seed for cell in plan.cells] == [0] * 50 + [1] * 50
    references = [cell for cell in plan.cells if cell.role == "reference"]
    assert [cell.spec.schedule.epochs for cell in references] == [0, 0]
    crop_color = next(cell for cell in plan.cells if cell.at == ("crop", "color"))
    assert crop_color.spec.augment.operations == ("crop", "color")
    assert crop_color.spec.augment.branches == "one"
    assert crop_color.paper == 56.3


def test_multiples_are_of_the_base_recipe() -> None:
    plan = build(ABLATIONS["batch-size"], SHAPES)
    batches = {cell.spec.schedule.batch_size for cell in plan.cells if cell.role == "cell"}
    epochs = {cell.spec.schedule.epochs for cell in plan.cells if cell.role == "cell"}
    assert batches == {32, 64, 128, 256}
    assert epochs == {7, 14, 28}


def test_short_cuts_are_taken_away_from_textures_only() -> None:
    plan = build(ABLATIONS["shortcuts"], preset("textures"))
    cells = [cell for cell in plan.cells if cell.role == "cell"]
    shared = {
        (cell.at[0], data.palette, data.arrangement)
        for cell in cells
        if isinstance(cell.spec, RunSpec)
        for data in [cell.spec.data]
    }
    assert shared == {
        ("both", "per-image", "per-image"),
        ("arrangement", "shared", "per-image"),
        ("palette", "per-image", "shared"),
    }
    with pytest.raises(PlanError) as caught:
        build(ABLATIONS["shortcuts"], SHAPES)
    # one line for each problem, though eight cells have one
    assert len(caught.value.problems) == 2
    assert all(one.endswith(" (and 3 more cells)") for one in caught.value.problems)
    assert all("only of data.name='textures', not of 'shapes'" in p for p in caught.value.problems)


def test_a_part_of_figure_5_shares_its_runs_with_the_whole() -> None:
    base = preset("textures")
    part, whole = (build(ABLATIONS[name], base) for name in ("few-augmentations", "augmentations"))
    assert len(part.jobs) == 17
    assert part.jobs.keys() <= whole.jobs.keys()


def test_cells_that_ask_for_the_same_run_are_one_job() -> None:
    plan = build(ABLATIONS["batch-size"], SHAPES)
    assert len(plan.cells) == 25
    # at the preset's own batch, linear and square-root scaling agree, for three lengths
    assert len(plan.jobs) == 22


def test_imagenet_gets_the_papers_own_grid() -> None:
    base = preset("imagenet-paper").with_values({"data.root": "/data/imagenet"})
    plan = build(ABLATIONS["batch-size"], base)
    assert plan.scale == "paper"
    assert {cell.spec.schedule.batch_size for cell in plan.cells} == {
        256,
        512,
        1024,
        2048,
        4096,
        8192,
        16384,
        32768,
    }


def test_a_sweep_keeps_its_identity_when_it_grows() -> None:
    one, three = (build(ABLATIONS["temperature"], SHAPES, seeds=seeds) for seeds in (1, 3))
    assert one.sweep_id == three.sweep_id
    assert one.jobs.keys() < three.jobs.keys()
    other = build(ABLATIONS["temperature"], SHAPES.with_values({"schedule.epochs": 9}))
    assert other.sweep_id != one.sweep_id
    assert other.sweep_id != build(ABLATIONS["head"], SHAPES).sweep_id


def test_everything_wrong_is_said_at_once() -> None:
    base = SHAPES.with_values({"schedule.batch_size": 250, "optim.anchor_batch_size": 250})
    with pytest.raises(PlanError) as refused:
        build(
            ABLATIONS["batch-size"],
            base,
            seeds=0,
            resources=Resources(workers=4, gpus_per_worker=1),
            train_images=400,
            shape=LAPTOP,
        )
    text = str(refused.value)
    assert "--seeds 0" in text
    single = [problem for problem in refused.value.problems if problem.startswith("cell")]
    assert not single  # without a seed there is no cell to look at
    with pytest.raises(PlanError) as refused:
        build(
            ABLATIONS["batch-size"],
            base,
            resources=Resources(workers=4, gpus_per_worker=1),
            train_images=400,
            shape=LAPTOP,
        )
    # each problem in one line, by the first of the cells that have it
    problem, *of_cells = refused.value.problems
    assert problem == "--gpus-per-worker 1: no node has more than 0 GPUs"
    assert all(one.endswith(" (and 5 more cells)") for one in of_cells)
    assert [one.partition(" (")[0] for one in of_cells] == [
        "cell x 1/4 · x 1 · linear: schedule.batch_size=62: is not divisible by 4 workers",
        "cell x 2 · x 1 · linear: schedule.batch_size=500: is larger than the 400 training images",
        "cell x 1/2 · x 1 · linear: schedule.batch_size=125: is not divisible by 4 workers",
        "cell x 1 · x 1 · linear: schedule.batch_size=250: is not divisible by 4 workers",
    ]


@pytest.mark.parametrize(
    ("resources", "problem"),
    [
        (Resources(workers=0), "--workers 0: must be at least 1"),
        (Resources(workers=3), "--workers 3: the cluster holds 2 workers of this size"),
        (Resources(cpus_per_worker=3), "--cpus-per-worker 3: no node has more than 2 CPUs"),
        (
            Resources(gpus_per_worker=1.5),
            "--gpus-per-worker 1.5: must be a share of one GPU or a whole number",
        ),
        (
            Resources(gpus_per_worker=-1),
            "--gpus-per-worker -1: must be a share of one GPU or a whole number",
        ),
    ],
)
def test_resources_that_the_cluster_cannot_give(resources: Resources, problem: str) -> None:
    spec = SHAPES.with_values({"schedule.batch_size": 126})
    with pytest.raises(PlanError) as refused:
        build_single(spec, SIMCLR, resources=resources, shape=LAPTOP)
    assert refused.value.problems[0] == problem


@pytest.mark.parametrize(
    ("resources", "fit"),
    [
        (Resources(cpus_per_worker=1), 36),
        (Resources(gpus_per_worker=1), 8),
        (Resources(gpus_per_worker=2), 4),
        (Resources(gpus_per_worker=3), 2),
        (Resources(gpus_per_worker=0.25), 32),
        (Resources(gpus_per_worker=0.4), 16),  # a GPU holds two of them, not two and a half
        (Resources(cpus_per_worker=8, gpus_per_worker=0.25), 4),
    ],
)
def test_workers_that_fit_a_cluster(resources: Resources, fit: int) -> None:
    assert LAB.workers_that_fit(resources) == fit


def record(spec: RunSpec, seconds: float, *, workers: int = 1, gpu: bool = False) -> RunRecord:
    history = [{"images_per_second": 1000.0, "seconds": 2.0}] * spec.schedule.epochs
    machine = {"workers": workers, "gpu": gpu, "threads": 1, "device": "some"}
    machine |= {"precision": "bf16", "torch": "2.11"}
    return RunRecord.read(
        {
            "name": "a cell",
            "fingerprint": spec.fingerprint(),
            "status": "finished",
            "spec": spec.tree(),
            "history": history,
            "total_seconds": seconds,
            "machine": machine,
        }
    )


def test_expected_time_rests_on_finished_cells_of_the_same_kind() -> None:
    plan = build(ABLATIONS["temperature"], SHAPES)
    others = [record(SHAPES, 1e-3, workers=2), record(SHAPES, 1e-3, gpu=True)]
    speed = measured_speed([*others, record(SHAPES, 14.0)], plan.resources, "simclr")
    assert speed.basis == "measured: median of 1 finished cells in this storage"
    assert speed.operations_per_second == pytest.approx(SIMCLR.operations(SHAPES, 2000) / 14.0)
    cost = estimate([plan], done=set(), train_images=2000, concurrent=2, speed=speed)
    trained = next(cell.fingerprint for cell in plan.cells if cell.role == "cell")
    assert cost.cell_seconds[trained] == pytest.approx(14.0 + 3.0)
    assert cost.wall_seconds == pytest.approx(sum(cost.cell_seconds.values()) / 2)
    assert cost.gpu_hours == 0


def test_an_expectation_without_measurement_says_so() -> None:
    speed = measured_speed([], Resources(workers=2, gpus_per_worker=1), "simclr")
    assert speed.basis.startswith("assumed: ")


def test_finished_cells_cost_nothing_and_gpu_hours_count_every_worker() -> None:
    resources = Resources(workers=2, gpus_per_worker=1)
    plan = build(ABLATIONS["temperature"], SHAPES, resources=resources)
    names = list(plan.jobs)
    cost = estimate(
        [plan], done=set(names[:-1]), train_images=2000, concurrent=4, speed=Speed(1e12, "test")
    )
    assert list(cost.cell_seconds) == names[-1:]
    assert cost.wall_seconds == cost.cell_seconds[names[-1]]
    assert cost.gpu_hours == pytest.approx(2 * cost.wall_seconds / 3600)


@pytest.mark.parametrize(
    ("nodes", "resources", "at_once", "cpus"),
    [
        (((2.0, 0.0),), Resources(), 2, 1),
        (((16.0, 0.0), (16.0, 4.0)), Resources(workers=4, gpus_per_worker=1), 1, 4),
        (((32.0, 0.0), (8.0, 4.0)), Resources(gpus_per_worker=1), 4, 2),
        (((0.0, 0.0), (8.0, 1.0), (8.0, 1.0)), Resources(gpus_per_worker=0.5), 4, 4),
    ],
)
def test_cells_share_the_cpus_and_every_gpu_is_used(
    nodes: tuple[tuple[float, float], ...], resources: Resources, at_once: int, cpus: int
) -> None:
    shape = ClusterShape(nodes)
    fitted = fitted_resources(shape, resources, cells=50, limit=None)
    assert (concurrent_cells(shape, fitted, None), fitted.cpus_per_worker) == (at_once, cpus)


def test_the_last_cells_get_all_cpus() -> None:
    assert (
        fitted_resources(
            ClusterShape(((8.0, 0.0),)), Resources(), cells=2, limit=None
        ).cpus_per_worker
        == 4
    )
    assert (
        fitted_resources(
            ClusterShape(((8.0, 0.0),)), Resources(), cells=50, limit=2
        ).cpus_per_worker
        == 4
    )


def test_a_share_of_a_gpu_is_for_one_worker() -> None:
    with pytest.raises(
        PlanError,
        match=r"--gpus-per-worker 0\.5: a share of a GPU is for cells of one " r"worker, not 2",
    ):
        build_single(SHAPES, SIMCLR, resources=Resources(workers=2, gpus_per_worker=0.5), shape=LAB)


def test_records_of_another_version_do_not_disturb_the_estimate() -> None:
    stale = record(SHAPES, 1.0)
    stale.spec["loss"]["no_longer"] = 1
    assert measured_speed([stale], Resources(), "simclr").basis.startswith("assumed")


def test_nodes_that_a_cluster_may_start_are_read_from_a_line() -> None:
    shape = ClusterShape.read("2x16x1,1x64")
    assert shape.nodes == ((16.0, 1.0), (16.0, 1.0), (64.0, 0.0))
    assert shape.workers_that_fit(Resources(1, 8, 1.0)) == 2


@pytest.mark.parametrize(
    ("living", "startable", "together"),
    [
        ("2x16x1", "4x16x1", "4x16x1"),  # two of the four are up
        ("5x16x1", "4x16x1", "5x16x1"),
        ("1x2,1x16x1", "4x16x1,1x64", "1x2,4x16x1,1x64"),  # a head that no autoscaler starts
        ("1x16x1:A100", "2x16x1:A100,2x16x1:H100", "2x16x1:A100,2x16x1:H100"),
        ("3x16x1:A100", "2x16x1:A100,2x16x1:H100", "3x16x1:A100,2x16x1:H100"),
        ("1x16x1:A100", "2x16x1", "1x16x1:A100,1x16x1"),  # whose type was not said before it was up
    ],
)
def test_a_living_node_is_one_of_those_that_may_be_started(
    living: str, startable: str, together: str
) -> None:
    found, expected = (
        ClusterShape.read(living).with_startable(ClusterShape.read(startable)),
        ClusterShape.read(together),
    )
    assert Counter(zip(found.nodes, found.gpu_types, strict=True)) == Counter(
        zip(expected.nodes, expected.gpu_types, strict=True)
    )


def test_a_type_of_gpu_is_that_of_a_node() -> None:
    ray = [
        {"CPU": 4.0},
        {"CPU": 16.0, "GPU": 2.0, "accelerator_type:A100": 1.0},
        {"CPU": 8.0, "GPU": 8.0},
    ]
    shape = ClusterShape.of_ray(ray)
    assert shape.nodes == ((4.0, 0.0), (16.0, 2.0), (8.0, 8.0))
    on_a100 = Resources(gpus_per_worker=0.5, gpu_type="A100")
    assert concurrent_cells(shape, on_a100, None) == 4
    assert fitted_resources(shape, on_a100, cells=50, limit=None).cpus_per_worker == 4
    assert on_a100.bundle == {"CPU": 1.0, "GPU": 0.5, "accelerator_type:A100": 0.001}
    assert resource_problems(on_a100, shape) == []
    # nobody knows the types, before Ray has started
    assert resource_problems(on_a100, ClusterShape(shape.nodes)) == []


@pytest.mark.parametrize(
    ("resources", "problem"),
    [
        (
            Resources(gpus_per_worker=1, gpu_type="T4"),
            "--gpu-type T4: no node has it; there are A100, H100",
        ),
        (
            Resources(gpus_per_worker=3, gpu_type="A100"),
            "--gpus-per-worker 3: no node with A100 has more than 2 GPUs",
        ),
        (
            Resources(3, gpus_per_worker=1, gpu_type="A100"),
            "--workers 3: the cluster holds 2 workers of this size with A100",
        ),
        (
            Resources(gpu_type="A100"),
            "--gpu-type A100: cells without GPUs have no type of them, --gpus-per-worker 0",
        ),
        (
            Resources(placement="spread"),
            "--placement spread: is for cells of several workers, --workers",
        ),
    ],
)
def test_a_type_of_gpu_and_a_placement_that_the_cluster_cannot_give(
    resources: Resources, problem: str
) -> None:
    assert resource_problems(resources, ClusterShape.read("1x64,1x16x2:A100,2x16x8:H100")) == [
        problem
    ]


def test_cells_that_decide_more_claims_come_first_within_a_seed() -> None:
    ablation = ABLATIONS["temperature"]
    claims = {
        cell.at: sum(
            any(cell.at == term.at for asked in claim.small for term in asked.terms)
            for claim in ablation.claims
        )
        for cell in ablation.layout("small").cells
    }
    order = [cell.at for cell in by_claims(ablation, "small")]
    assert sorted(order) == sorted(claims)
    assert [claims[at] for at in order] == sorted(claims.values(), reverse=True)
    assert claims[order[0]] > claims[order[-1]]
    plan = build(ablation, SHAPES, seeds=2)
    assert [cell.at for cell in plan.cells] == 2 * [UNTRAINED, *order]
    assert [cell.seed for cell in plan.cells] == 7 * [0] + 7 * [1]


def test_cells_that_decide_nothing_come_last_in_the_order_of_the_layout() -> None:
    order = [cell.at for cell in by_claims(ABLATIONS["head"], "small")]
    assert order[-4:] == [("depth 3", size) for size in ("32", "64", "128", "256")]
    assert {at[0] for at in order[:-4]} == {"none", "linear", "non-linear"}


def test_transfer_takes_one_folder_for_all_data_sets_that_its_cells_name() -> None:
    """As its page says: --set data.root=A --set eval.transfer.data.root=B."""
    base = preset("imagenet-paper").with_values(
        {"data.root": "/images", "eval.transfer.data.root": "/others"}
    )
    plan = build(ABLATIONS["transfer"], base)
    cells = [cell.spec.flat() for cell in plan.cells if cell.role == "cell"]
    assert len(cells) == 120
    assert {cell["eval.transfer.data.root"] for cell in cells} == {"/others"}
    assert len({cell["eval.transfer.data.name"] for cell in cells}) == 12
