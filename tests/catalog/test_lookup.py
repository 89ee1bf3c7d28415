"""Workloads that other distributions offer: one that cannot be imported is told in a line."""

from pathlib import Path

import pytest

from workloads.catalog import preset_named, workload_named
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
def test_who_asks_for_all_presets_is_told_too() -> None:
    with pytest.raises(SpecError, match="my-workload"):
        preset_named("shapes")
