"""Workloads that other distributions offer: one that cannot be imported is told in a line."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.commands.about import list_presets
from workloads.catalog import every_preset, preset_named, workload_named
from workloads.spec import SpecError


@pytest.fixture
def _broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_workload_that_fails.py").write_text("raise RuntimeError('no\\nluck')\n")
    info = tmp_path / "my_workload-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-workload\nVersion: 2.0\n")
    points = "[simclr_orch.workloads]\nmine = a_workload_that_fails:MINE\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("_broken")
def test_one_that_cannot_be_imported_names_its_distribution() -> None:
    with pytest.raises(SpecError) as caught:
        workload_named("mine")
    assert caught.value.problems == [
        "workload mine: entry point 'a_workload_that_fails:MINE' of my-workload 2.0 cannot be "
        "imported: RuntimeError: no luck"
    ]
    assert workload_named("simclr").name == "simclr"


@pytest.mark.usefixtures("_broken")
def test_the_presets_of_the_others_are_there_and_the_broken_one_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert preset_named("shapes").tree()["data"]["name"] == "shapes"
    with pytest.raises(SpecError, match="known are shapes") as caught:
        preset_named("shappes")
    assert len(caught.value.problems) == 2
    assert "my-workload 2.0 cannot be imported" in caught.value.problems[1]
    with pytest.raises(SpecError, match="my-workload"):
        every_preset()
    printed = StringIO()
    list_presets(None, Console(file=printed, width=200))
    assert "shapes" in printed.getvalue().splitlines()
    assert "my-workload 2.0 cannot be imported" in capsys.readouterr().err
