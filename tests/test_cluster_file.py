"""Milliseconds: cluster.yaml is what Ray's launcher accepts."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

FILE = Path(__file__).resolve().parent.parent / "cluster.yaml"


def config() -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return tree


def test_rays_own_schema_accepts_it() -> None:
    validate_config(prepare_config(config()))


def test_rays_schema_refuses_a_misspelt_field() -> None:
    with pytest.raises(Exception, match="max_worker"):
        validate_config(prepare_config(config() | {"max_worker": 3}))


def test_the_head_takes_no_cells_and_gpu_nodes_scale_from_none() -> None:
    types = config()["available_node_types"]
    assert types["head"]["resources"] == {"CPU": 0}
    assert (types["gpu"]["min_workers"], types["gpu"]["resources"]["GPU"]) == (0, 1)
    assert config()["idle_timeout_minutes"] > 0


def test_no_start_command_stops_what_is_not_ours() -> None:
    # Ray's default commands begin with `ray stop`, which kills every Ray on the machine by name.
    commands = config()["head_start_ray_commands"] + config()["worker_start_ray_commands"]
    assert commands
    assert not [command for command in commands if "ray stop" in command]
