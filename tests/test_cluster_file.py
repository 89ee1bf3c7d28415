"""Milliseconds: cluster.yaml is what Ray's launcher accepts."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from orchestrator.plan import ClusterShape, Resources
from orchestrator.sweep import concurrent_cells, fitted_resources

FILE = Path(__file__).resolve().parent.parent / "cluster.yaml"


def config() -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return tree


def test_rays_own_schema_accepts_it() -> None:
    validate_config(prepare_config(config()))


def test_rays_schema_refuses_a_misspelt_field() -> None:
    with pytest.raises(Exception, match="max_worker"):
        validate_config(prepare_config(config() | {"max_worker": 3}))


def test_the_head_takes_no_cells_and_the_documented_command_fits_the_nodes() -> None:
    types = config()["available_node_types"]
    assert types["head"]["resources"] == {"CPU": 0}
    up = [(0.0, 0.0)] + [(types["gpu"]["resources"]["CPU"], types["gpu"]["resources"]["GPU"])] * types["gpu"]["min_workers"]
    shape = ClusterShape(tuple(up))
    resources = fitted_resources(shape, Resources(gpus_per_worker=1), cells=50, limit=None)
    assert concurrent_cells(shape, resources, None) == 8
    assert resources.cpus_per_worker == 8


def test_no_start_command_stops_what_is_not_ours() -> None:
    # Ray's default commands begin with `ray stop`, which kills every Ray on the machine by name.
    commands = config()["head_start_ray_commands"] + config()["worker_start_ray_commands"]
    assert commands
    assert not [command for command in commands if "ray stop" in command]
