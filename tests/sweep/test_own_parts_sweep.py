"""Most of a minute, real Ray: a question over own parts of the working directory, then a part."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def test_own_parts_over_the_command_line_reach_rays_workers_and_a_part_finds_all_done(
    tmp_path: Path,
    storage_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    repository: Path,
    document: Callable[..., dict[str, Any]],
    tiny_recipe: Callable[..., list[str]],
    records: Callable[[Path], dict[str, dict[str, Any]]],
    written: Callable[[Path], dict[str, int]],
) -> None:
    page = (repository / "docs" / "own-parts.md").read_text()
    for name, code in re.findall(r"```python\n# (\w+)\.py\n(.*?)```", page, re.DOTALL):
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(repository))  # where the command itself is found
    own = {
        "encoder.architecture": "my_net:PatchNet",
        "encoder.options.width": 8,
        "loss.name": "my_loss:align_and_spread",
        "optim.name": "my_optimizer:SignDescent",
    }
    recipe = tiny_recipe(schedule__epochs=1, schedule__warmup_epochs=0, **own)
    asked = ["ablate", "--over", "loss.options.sharpness=1,2,4", "--claim", "2 > 4", *recipe]
    here = ["--storage", str(storage_folder)]

    whole = document(*asked, *here)
    runs = written(storage_folder)
    assert len(runs) == 4, "three cells and an untrained encoder"
    sharpness = set()
    for record in records(storage_folder).values():
        assert record["status"] == "finished"
        spec = record["spec"]
        trained = spec["schedule"]["epochs"] == 1
        for group in ("encoder", "loss", "optim") if trained else ("encoder",):
            assert re.fullmatch("[0-9a-f]{20}", spec[group]["code"]), group
        assert spec["encoder"]["options"] == {"width": 8, "depth": 2, "patch": 4}
        if trained:
            sharpness.add(spec["loss"]["options"]["sharpness"])
    assert sharpness == {1, 2, 4}
    assert [verdict["claim"] for verdict in whole["verdicts"]] == ["2 > 4"]

    part = document(*asked, *here, "--only", "2,4")
    assert written(storage_folder) == runs, "nothing was run again"
    assert part["plan"]["sweep"] != whole["plan"]["sweep"]
    assert part["cells"] == [cell for cell in whole["cells"] if cell["at"] != ["1"]]
