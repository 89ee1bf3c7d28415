"""Own parts travel with the job: milliseconds for what is packed, real Ray for that it arrives."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from orchestrator.commands.on_cluster import Submission
from orchestrator.settings import Settings
from workloads.part_source import modules_named

PARTS = """
def fog(images, draws, *, density: float = 0.5):
    amount = draws.uniform(0, density, (1, 1, 1))
    return images * (1 - amount) + amount


def size(features, labels):
    return {"tested": len(labels["test"])}
"""


def test_the_modules_that_a_command_names_are_packed_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_nets" / "inner").mkdir(parents=True)
    (tmp_path / "my_nets" / "__init__.py").write_text("")
    (tmp_path / "my_nets" / "inner" / "deep.py").write_text("")
    (tmp_path / "my_nets" / "__pycache__").mkdir()
    for name in ("my_parts", "other", "of_config"):
        (tmp_path / f"{name}.py").write_text("")
    config = tmp_path / "recipe.yaml"
    config.write_text("loss:\n  name: of_config:loss\n  other: 3\n")
    words = ("pretrain", "--set", "augment.operations=[crop,my_parts:fog]")
    words += ("--set", "encoder.architecture=my_nets.inner.deep:Net", "--storage=s3://other:x/y")
    submission = Submission("typed", words, Settings(), config)
    with submission.folder() as folder:
        assert folder is not None
        ours = {"orchestrator", "search_spaces", "workloads", "config"}
        packed = {path.name for path in folder.iterdir()} - ours
        assert packed == {"my_nets", "my_parts.py", "of_config.py"}
        assert (folder / "my_nets" / "inner" / "deep.py").is_file()
        assert not (folder / "my_nets" / "__pycache__").exists()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a=[crop,mine:fog]", True),
        ("mine.deeper:Net", True),
        ("{name: mine:fog}", True),
        ("mine: fog", False),
        ("other.mine:Net", False),
        ("s3://mine:fog/x", False),
        ("mine", False),
    ],
)
def test_a_part_is_told_from_other_words(tmp_path: Path, text: str, found: bool) -> None:
    (tmp_path / "mine.py").write_text("")
    assert bool(modules_named([text], tmp_path)) is found


@pytest.fixture
def head(
    ray_head: Callable[..., AbstractContextManager[str]], free_port: Callable[[], int]
) -> Iterator[tuple[str, str]]:
    """A cluster that knows nothing of this folder: addresses of its job server and of its Ray."""
    folder, port = Path("/tmp") / f"simclr-orch-own-{os.getpid()}", free_port()
    with ray_head(folder, port, "--num-cpus=3") as url:
        yield url, f"127.0.0.1:{port}"


@pytest.mark.slow
def test_own_parts_arrive_on_a_cluster_by_address_and_as_a_job(
    head: tuple[str, str],
    command: list[str],
    tmp_path: Path,
    tiny_recipe: Callable[..., list[str]],
    records: Callable[..., dict[str, dict[str, object]]],
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "parts_that_travel.py").write_text(PARTS)
    url, address = head
    names = {
        "augment__operations": "[crop,parts_that_travel:fog]",
        "eval__metrics__names": "[parts_that_travel:size]",
    }
    words = ["pretrain", *tiny_recipe(schedule__epochs=1, **names), "--cpus-per-worker", "1"]
    found = []
    for number, where in enumerate((["--address", address], ["--on", url])):
        storage = tmp_path / f"storage{number}"
        ended = subprocess.run(
            [*command, *words, "--storage", str(storage), *where, "--json"],
            cwd=here,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            timeout=500,
        )
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)
        ((fingerprint, record),) = records(storage).items()
        results = record["results"]
        assert isinstance(results, dict)
        assert results["tested"] == 100
        found.append(fingerprint)
    assert found[0] == found[1]
