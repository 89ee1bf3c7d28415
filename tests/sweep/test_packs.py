"""Milliseconds, then one process: which cells share a process, what each of them leaves there, and
how a pack continues.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cell.job import CellJob, Pack
from orchestrator.errors import StorageError
from orchestrator.storage import Storage
from workloads.catalog.simclr import SIMCLR
from workloads.catalog.two_layer_cnn import TWO_LAYER_CNN
from workloads.runs.pack import run_pack
from workloads.runs.packs import packed
from workloads.simclr.presets import preset as simclr_preset
from workloads.spec import SpecError
from workloads.two_layer_cnn.presets import preset
from workloads.two_layer_cnn.run import run, train
from workloads.two_layer_cnn.spec import TwoLayerSpec
from workloads.two_layer_cnn.together import CURVE_POINTS, train_together

BASE = preset("gaussian-patches")
TINY = BASE.with_values(
    {"data.dimension": 60, "data.unlabeled": 20, "data.test": 100, "data.labels": 8}
)
GRID = [
    {"pretrain.method": method, "data.signal_to_noise": ratio, "data.labels": labels, "seed": seed}
    for seed in range(5)
    for ratio in (0.1, 0.2, 0.4)
    for labels in (2, 8, 32, 128)
    for method in ("simclr", "none")
]
RUNS: dict[str, Any] = {spec.fingerprint(): spec for spec in map(BASE.with_values, GRID)}


class Killed(BaseException):
    """Stands for the death of the process: nothing of ours catches it."""


# Packing


@pytest.mark.parametrize("places", [1, 2, 3, 8])
def test_packs_occupy_every_place_with_equal_work(places: int) -> None:
    packs = packed(TWO_LAYER_CNN, RUNS, places)
    assert len(packs) == places
    assert sorted(name for pack in packs for name in pack) == sorted(RUNS)
    costs = [TWO_LAYER_CNN.cost([RUNS[name] for name in pack]) for pack in packs]
    assert max(costs) < 1.15 * sum(costs) / places
    order = {name: place for place, name in enumerate(RUNS)}
    assert all(
        [order[name] for name in pack] == sorted(order[name] for name in pack) for pack in packs
    )


def test_cells_that_share_pretraining_share_a_pack() -> None:
    packs = packed(TWO_LAYER_CNN, RUNS, 4)
    homes: dict[str, set[int]] = {}
    for number, pack in enumerate(packs):
        for name in pack:
            if RUNS[name].pretrain.method == "simclr":
                homes.setdefault(RUNS[name].pretrain_fingerprint(), set()).add(number)
    assert len(homes) == 15
    assert all(len(home) == 1 for home in homes.values())


def test_there_are_no_more_packs_than_pieces() -> None:
    """Four numbers of labels after one pre-training are one piece; without pre-training there is
    nothing to share.
    """
    simclr, none = (
        {
            spec.fingerprint(): spec
            for spec in RUNS.values()
            if (spec.seed, spec.data.signal_to_noise) == (0, 0.2) and spec.pretrain.method == method
        }
        for method in ("simclr", "none")
    )
    assert [len(pack) for pack in packed(TWO_LAYER_CNN, simclr, 64)] == [4]
    assert [len(pack) for pack in packed(TWO_LAYER_CNN, none, 64)] == [1, 1, 1, 1]
    assert packed(TWO_LAYER_CNN, {}, 4) == []


def test_other_images_are_other_packs() -> None:
    digits = preset("digit-patches")
    specs = [
        digits,
        digits.with_values({"seed": 1}),
        digits.with_values({"data.classes": [3, 8]}),
        BASE,
    ]
    packs = packed(TWO_LAYER_CNN, {spec.fingerprint(): spec for spec in specs}, 1)
    assert [
        [specs.index(spec) for spec in specs if spec.fingerprint() in pack] for pack in packs
    ] == [[0, 1], [2], [3]]


def test_simclr_runs_stay_alone() -> None:
    shapes = simclr_preset("shapes")
    specs = {
        spec.fingerprint(): spec
        for spec in (shapes.with_values({"seed": seed}) for seed in range(3))
    }
    assert packed(SIMCLR, specs, 1) == [(name,) for name in specs]


# Running


def pack_of(storage: Path, specs: Sequence[TwoLayerSpec]) -> Pack:
    jobs = [
        CellJob(f"cell {number}", "two-layer-cnn", spec.fingerprint(), spec.tree(), str(storage))
        for number, spec in enumerate(specs)
    ]
    return Pack(tuple(jobs), "sweeps/x/running")


def records_of(pack: Pack) -> list[dict[str, Any] | None]:
    return [job.run_folder.record() for job in pack.jobs]


class Reports:
    """What a pack has reported; the process dies when `dies` says so."""

    def __init__(
        self, dies: Callable[[Sequence[str], Mapping[str, float]], bool] | None = None
    ) -> None:
        self.ended: list[str] = []
        self.metrics: list[Mapping[str, float]] = []
        self._dies = dies

    def __call__(self, ended: Sequence[str], metrics: Mapping[str, float]) -> None:
        self.ended += ended
        self.metrics.append(metrics)
        if self._dies is not None and self._dies(ended, metrics):
            raise Killed


def some(*labels: int, **fields: Any) -> list[TwoLayerSpec]:
    base = TINY.with_values({name.replace("__", "."): value for name, value in fields.items()})
    return [
        base.with_values({"pretrain.method": method, "data.labels": count, "seed": seed})
        for count in labels
        for method in ("simclr", "none")
        for seed in range(2)
    ]


def test_each_cell_of_a_pack_leaves_what_it_would_leave_alone(tmp_path: Path) -> None:
    specs = some(4, 8)
    pack = pack_of(tmp_path, specs)
    reports = Reports()
    run_pack(pack, reports)
    assert sorted(reports.ended) == sorted(spec.fingerprint() for spec in specs)
    for spec, job, record in zip(specs, pack.jobs, records_of(pack), strict=True):
        assert record is not None
        (expected,) = run([spec])
        assert record.status == "finished"
        assert record.results == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert next(iter(record.results)) == "test_error"
        assert (record.name, record.fingerprint, record.workload) == (
            job.name,
            job.fingerprint,
            "two-layer-cnn",
        )
        assert record.spec == spec.tree()
        assert (record.machine["workers"], record.machine["precision"]) == (1, "float64")
        assert record.total_seconds > 0
        last = record.history[-1]
        assert last["loss"] == pytest.approx(expected["training_loss"], rel=1e-9)
        epochs = [point["epoch"] for point in record.history]
        assert epochs == sorted(set(epochs))
        assert last["epoch"] == expected["finetune_steps"] + (
            expected.get("pretrain_steps", -1) + 1
        )
        assert {point["phase"] for point in record.history} == (
            {0, 1} if spec.pretrain.method == "simclr" else {1}
        )
        folder = Path(job.storage, "runs", job.fingerprint)
        assert "test_error" in (folder / "log.txt").read_text()
        assert (folder / "spec.yaml").exists()


def test_cells_share_the_time_of_their_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that gives each step of progress a second: four cells bear a quarter of their
    pre-training each.
    """
    specs = [TINY.with_values({"data.labels": count}) for count in (2, 4, 8, 16)]
    phases = [result.phase for result in train(specs)]
    ticks = itertools.count()
    monkeypatch.setattr(
        "workloads.two_layer_cnn.together.time.perf_counter", lambda: float(next(ticks))
    )
    ended = {
        place: end
        for progress in train_together(specs, None)
        for place, end in progress.ended.items()
    }
    assert sum(end.seconds for end in ended.values()) == pytest.approx(len(phases))
    own = len([None for result in train(specs[:1]) if result.phase == "finetune"])
    assert ended[0].seconds == pytest.approx(phases.count("pretrain") / 4 + own)


def test_long_curves_are_thinned() -> None:
    spec = TINY.with_values(
        {"pretrain.method": "none", "finetune.loss_target": 1e-9, "finetune.max_steps": 4000}
    )
    (end,) = (end for progress in train_together([spec], None) for end in progress.ended.values())
    assert len(end.history) == CURVE_POINTS
    assert (end.history[0]["epoch"], end.history[-1]["epoch"]) == (0, 4000)
    assert end.results["converged"] == 0


def test_a_killed_pack_continues_with_the_cells_that_are_left(
    tmp_path: Path, written: Callable[[Path], dict[str, int]]
) -> None:
    specs = some(4, 8, 16)
    whole, broken = pack_of(tmp_path / "whole", specs), pack_of(tmp_path / "broken", specs)
    run_pack(whole, Reports())
    with pytest.raises(Killed):
        run_pack(broken, Reports(lambda ended, _: bool(ended)))
    before = {job.fingerprint: job.run_folder.record() for job in broken.jobs}
    # 4 labels are the first batch
    assert [record is not None for record in before.values()] == [True] * 4 + [False] * 8
    times = written(tmp_path / "broken")
    reports = Reports()
    run_pack(broken, reports)
    assert sorted(reports.ended) == sorted(
        name for name, record in before.items() if record is None
    )
    assert times.items() <= written(tmp_path / "broken").items()
    for ours, theirs in zip(records_of(broken), records_of(whole), strict=True):
        assert ours is not None
        assert theirs is not None
        assert ours.results == pytest.approx(theirs.results, rel=1e-9, abs=1e-9)


def test_a_pack_trains_on_while_its_state_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_pack: Pack, _state: Any) -> None:
        raise StorageError("there is no room: free some")

    monkeypatch.setattr("workloads.runs.pauses.SHARE", 1e9)
    monkeypatch.setattr(Pack, "keep_state", full)
    pack = pack_of(tmp_path, some(4, checkpoint__every_minutes=0))
    run_pack(pack, Reports())
    assert [record.status for record in records_of(pack) if record] == ["finished"] * 4
    assert "the state is not kept: there is no room: free some; the runs go on" in caplog.text


def test_a_long_pack_continues_from_its_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workloads.runs.pauses.SHARE", 1e9)
    monkeypatch.setattr("workloads.runs.pack.SECONDS_BETWEEN_REPORTS", 0.0)
    long = {"finetune__loss_target": 1e-9, "finetune__max_steps": 400}
    specs = some(4, **long, checkpoint__every_minutes=0)
    pack = pack_of(tmp_path, specs)
    with pytest.raises(Killed):
        run_pack(pack, Reports(lambda _, metrics: metrics["phase"] == 1 and metrics["step"] >= 200))
    storage = Storage(str(tmp_path))
    assert storage.exists(pack.checkpoint)
    assert records_of(pack) == [None] * 4
    reports = Reports()
    run_pack(pack, reports)
    # kept was the state of step 180
    assert (reports.metrics[0]["phase"], reports.metrics[0]["step"]) == (1, 200)
    assert not storage.exists(pack.checkpoint)
    for spec, record in zip(specs, records_of(pack), strict=True):
        assert record is not None
        assert record.results == pytest.approx(run([spec])[0], rel=1e-9, abs=1e-9)


def test_a_state_serves_fewer_cells() -> None:
    """Those whose records are written are left out; what is known of the others is used."""
    specs = some(4, 8)
    states = [progress.state for progress in train_together(specs, None)]
    after_first = next(state for state in states if state and state["finetuned"])
    rest = [spec for spec in specs if spec.fingerprint() not in after_first["finetuned"]]
    assert len(rest) == 4
    progress = list(train_together(rest, after_first))
    assert all(one.metrics["phase"] == 1 for one in progress)  # nothing is pre-trained again
    ended = {place: end for one in progress for place, end in one.ended.items()}
    for place, spec in enumerate(rest):
        assert ended[place].results == pytest.approx(run([spec])[0], rel=1e-9, abs=1e-9)
    # A kill between a state and its records: the results are in the state.
    (again,) = train_together(specs, states[-1])
    assert sorted(again.ended) == list(range(8))


@pytest.mark.parametrize("method", ["simclr", "none"])
def test_a_diverging_cell_sinks_only_itself(method: str, tmp_path: Path) -> None:
    """It is one array with the others: their sizes and learning rates agree."""
    base = TINY.with_values({"pretrain.method": method})
    specs = [
        base.with_values({"seed": 0}),
        base.with_values({"seed": 1, "data.noise_std": 1e120}),
        base.with_values({"seed": 2}),
    ]
    pack = pack_of(tmp_path, specs)
    run_pack(pack, Reports())
    good, bad, also_good = records_of(pack)
    assert good is not None
    assert bad is not None
    assert also_good is not None
    assert (bad.status, bad.diverged) == ("failed", True)
    assert "DivergedError: finetune of" in bad.error
    assert "a smaller finetune.learning_rate may help" in bad.error
    assert any("DivergedError" in line for line in bad.log_tail)
    for record, spec in ((good, specs[0]), (also_good, specs[2])):
        assert record.status == "finished"
        assert record.results == pytest.approx(run([spec])[0], rel=1e-9, abs=1e-9)


def test_pretraining_that_diverges_ends_all_that_need_it(tmp_path: Path) -> None:
    base = TINY.with_values({"seed": 1, "pretrain.learning_rate": 1e200})
    specs = [base.with_values({"data.labels": count}) for count in (2, 4)] + some(4)
    pack = pack_of(tmp_path, specs)
    run_pack(pack, Reports())
    statuses = [(record.status, record.diverged) for record in records_of(pack) if record]
    assert statuses == [("failed", True)] * 2 + [("finished", None)] * 4


def test_what_no_cell_can_be_run_with_fails_them_all(tmp_path: Path) -> None:
    base = TINY.with_values({"data.name": "image-folder", "data.root": str(tmp_path / "nowhere")})
    pack = pack_of(tmp_path / "s", [base.with_values({"seed": seed}) for seed in range(2)])
    reports = Reports()
    run_pack(pack, reports)
    assert len(reports.ended) == 2
    for record in records_of(pack):
        assert record is not None
        assert (record.status, record.diverged) == ("failed", False)
        assert record.error.startswith(SpecError.__name__)
        assert "nowhere" in record.error
