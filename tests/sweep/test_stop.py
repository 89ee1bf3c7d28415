"""Real local Ray and the real command: a run that is watched, stopped from elsewhere, resumed."""

import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from orchestrator.commands.stop import stop
from orchestrator.commands.watch import watch
from orchestrator.storage import Storage
from orchestrator.storage.progress import SweepProgress, running_sweeps

EPOCHS = 120


def test_a_run_is_watched_stopped_with_its_last_epoch_and_goes_on_there(
    storage_folder: Path,
    start: Callable[..., "subprocess.Popen[str]"],
    simclr_orch: Callable[..., subprocess.CompletedProcess[str]],
    tiny_recipe: Callable[..., list[str]],
    records: Callable[[Path], dict[str, dict[str, Any]]],
    wait_for: Callable[..., None],
) -> None:
    recipe = tiny_recipe(schedule__epochs=EPOCHS, schedule__warmup_epochs=0)
    words = ["pretrain", "--cpus-per-worker", "1", "--storage", str(storage_folder), *recipe]
    driver, storage = start(*words), Storage(str(storage_folder))

    def progress() -> SweepProgress | None:
        return next(iter(running_sweeps(storage)), None)

    def epoch() -> int:
        seen = progress()
        return next(iter(seen.cells.values())).epoch if seen else 0

    wait_for(lambda: epoch() >= 2, 300)
    seen = watch("pretrain", storage, Console(file=io.StringIO()), once=True).document
    assert seen["state"] == "running"
    assert seen["expected_end"] is not None
    (cell,) = seen["cells"].values()
    assert 2 <= cell["epoch"] < EPOCHS
    assert cell["loss"] > 0

    out = Console(file=io.StringIO(), width=200)
    finished = stop("pretrain", ["pretrain · seed 0"], storage, out, patience=60)
    assert finished.exit_code == 0, out.file.getvalue()  # type: ignore[attr-defined]
    _, said = driver.communicate(timeout=300)
    assert driver.returncode == 1
    assert "0 failed, 1 not run (1 stopped on request); continue with: simclr-orch pretrain" in said
    (record,) = records(storage_folder).values()
    assert record["status"] == "stopped"
    assert 2 <= record["epoch"] < EPOCHS
    assert len(record["history"]) == record["epoch"]

    again = simclr_orch(*words)
    assert again.returncode == 0, again.stderr
    ((fingerprint, ended),) = records(storage_folder).items()
    assert ended["status"] == "finished"
    assert [each["epoch"] for each in ended["history"]] == list(range(1, EPOCHS + 1))
    assert ended["history"][: len(record["history"])] == record["history"]
    log = (storage_folder / "runs" / fingerprint / "log.txt").read_text()
    assert f"continues after epoch {record['epoch']:.0f}" in log
