"""Milliseconds: cluster files are what Ray's launcher and KubeRay accept, and right where those do
not look.
"""

import copy
import os
import re
import shlex
import socket
import subprocess
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]
from packaging.specifiers import SpecifierSet
from ray.autoscaler._private.util import prepare_config, validate_config

from orchestrator.cli import app
from orchestrator.commands.request import base_recipe
from orchestrator.resources import ClusterShape, Resources, concurrent_cells, fitted_resources
from search_spaces import ABLATIONS
from workloads.catalog import workload_named

CLOUDS = ("cluster.yaml", "clusters/aws.yaml", "clusters/gcp.yaml")
LAUNCHER = (*CLOUDS, "clusters/own-machines.yaml")
MANIFESTS = {"clusters/kuberay-cluster.yaml": "RayCluster", "clusters/kuberay-job.yaml": "RayJob"}

# What Ray hands to EC2's RunInstances and to Compute Engine's instances.insert without a look.
# None: a value of any kind.
DISK = {"VolumeSize": None, "VolumeType": None}
AWS = {
    "ImageId": None,
    "InstanceType": None,
    "IamInstanceProfile": {"Name": None},
    "InstanceMarketOptions": {"MarketType": None},
    "BlockDeviceMappings": {"DeviceName": None, "Ebs": DISK},
}
GCP = {
    "machineType": None,
    "guestAccelerators": {"acceleratorType": None, "acceleratorCount": None},
    "scheduling": dict.fromkeys(
        ("provisioningModel", "instanceTerminationAction", "automaticRestart", "onHostMaintenance")
    ),
    "disks": {
        "boot": None,
        "autoDelete": None,
        "type": None,
        "initializeParams": {"diskSizeGb": None, "sourceImage": None},
    },
    "serviceAccounts": {"email": None, "scopes": None},
}


@pytest.fixture(autouse=True)
def _in_the_repository(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are named from here."""
    monkeypatch.chdir(repository)


@pytest.fixture
def project() -> dict[str, Any]:
    return tomllib.loads(Path("pyproject.toml").read_text())


@pytest.fixture
def schema() -> dict[str, Any]:
    """KubeRay's definitions."""
    return read("tests/data/kuberay-v1.yaml")


def read(name: str) -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load(Path(name).read_text())
    return tree


def prepared(name: str) -> dict[str, Any]:
    """The file with all that Ray adds to it."""
    tree: dict[str, Any] = prepare_config(read(name))
    return tree


def commands(config: Mapping[str, Any]) -> list[str]:
    return [
        command
        for field, value in config.items()
        if field.endswith("_commands")
        for command in value
    ]


def workers(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: kind
        for name, kind in config["available_node_types"].items()
        if name != config["head_node_type"]
    }


def shape_when_all_are_up(config: Mapping[str, Any]) -> ClusterShape:
    offered = [(kind["resources"], kind["max_workers"]) for kind in workers(config).values()]
    return ClusterShape(
        tuple((each["CPU"], each["GPU"]) for each, count in offered for _ in range(count))
    )


@pytest.mark.parametrize("name", LAUNCHER)
def test_rays_own_schema_accepts_a_launcher_file(name: str) -> None:
    validate_config(prepared(name))


@pytest.mark.parametrize("name", LAUNCHER)
def test_rays_schema_refuses_a_misspelt_field(name: str) -> None:
    with pytest.raises(Exception, match="max_worker"):
        validate_config(prepare_config(read(name) | {"max_worker": 3}))


@pytest.mark.parametrize("name", CLOUDS)
def test_gpu_nodes_are_spot_come_from_nothing_and_go_when_idle(name: str) -> None:
    config = read(name)
    head = config["available_node_types"][config["head_node_type"]]
    assert (head["resources"], head["max_workers"]) == ({"CPU": 0}, 0)
    assert 5 <= config["idle_timeout_minutes"] <= 30
    assert (
        sum(kind["max_workers"] for kind in workers(config).values()) == config["max_workers"] > 0
    )
    for kind in workers(config).values():
        assert kind["min_workers"] == 0
        assert kind["resources"]["GPU"] > 0
        node = kind["node_config"]
        market = {"aws": node.get("InstanceMarketOptions"), "gcp": node.get("scheduling")}[
            config["provider"]["type"]
        ]
        assert {"spot", "SPOT"} & set(market.values())


@pytest.mark.parametrize(
    ("name", "workers_a_cell", "at_once"), [("cluster.yaml", 1, 8), ("clusters/aws.yaml", 4, 4)]
)
def test_as_many_cells_fit_as_the_sizing_says(name: str, workers_a_cell: int, at_once: int) -> None:
    shape = shape_when_all_are_up(read(name))
    wanted = Resources(workers=workers_a_cell, gpus_per_worker=1)
    resources = fitted_resources(shape, wanted, cells=147, limit=None)
    assert concurrent_cells(shape, resources, None) == at_once
    assert resources.cpus_per_worker == shape.nodes[0][0] / shape.nodes[0][1]


@pytest.mark.parametrize("name", CLOUDS)
def test_drivers_are_told_of_the_nodes_that_may_come(name: str) -> None:
    config = read(name)
    kinds = [
        (kind["max_workers"], *kind["resources"].values()) for kind in workers(config).values()
    ]
    assert f"SIMCLR_ORCH_NODES={of_nodes(kinds)} " in " ".join(config["head_setup_commands"])


def of_nodes(kinds: list[tuple[int, int, int]]) -> str:
    return ",".join(f"{count}x{cpus}x{gpus}" for count, cpus, gpus in kinds)


@pytest.mark.parametrize("name", CLOUDS)
def test_what_is_handed_to_the_provider_has_its_names(name: str) -> None:
    config = read(name)
    known = {"aws": AWS, "gcp": GCP}[config["provider"]["type"]]
    for kind in config["available_node_types"].values():
        assert unknown(kind["node_config"], known) == []


def test_ray_accepts_a_misspelt_name_of_the_provider_and_we_do_not() -> None:
    config = prepared("cluster.yaml")
    node = config["available_node_types"]["gpu"]["node_config"]
    node["BlockDeviceMappings"][0]["Ebs"]["VolumSize"] = 1
    validate_config(config)
    assert unknown(node, AWS) == ["BlockDeviceMappings.Ebs.VolumSize"]


def unknown(tree: Any, known: Mapping[str, Any] | None, at: str = "") -> list[str]:
    """Paths of the names that `known` does not have; lists are looked through."""
    if isinstance(tree, list):
        return [path for each in tree for path in unknown(each, known, at)]
    if known is None or not isinstance(tree, dict):
        return []
    found = [at + name for name in tree if name not in known]
    return found + [
        path
        for name in tree
        if name in known
        for path in unknown(tree[name], known[name], f"{at}{name}.")
    ]


@pytest.mark.parametrize("name", LAUNCHER)
def test_no_command_stops_what_is_not_ours_or_installs_another_ray(name: str) -> None:
    # Ray's default commands begin with `ray stop`, which kills every Ray on a machine by name, and
    # install a nightly wheel.
    found = commands(prepared(name))
    assert [command for command in found if "ray start" in command]
    assert not [command for command in found if re.search(r"ray\s+stop|ray-wheels", command)]


@pytest.mark.parametrize("name", LAUNCHER)
def test_every_ray_asks_for_the_token_and_serves_its_pages_on_its_own_machine_only(
    name: str,
) -> None:
    config = read(name)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    starts = [command for command in commands(config) if "ray start" in command]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token ray start" in command for command in starts)
    (head,) = [command for command in starts if "--head" in command]
    assert "--dashboard-host=127.0.0.1" in head
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in head


@pytest.mark.parametrize("name", LAUNCHER)
def test_commands_are_a_shells(name: str) -> None:
    for command in commands(read(name)):
        subprocess.run(["bash", "-n", "-c", command], check=True)


@pytest.fixture
def start(tmp_path: Path) -> Callable[[str, int], str]:
    """Runs the head's command for a Ray that has another port, with a `ray` that only says what it
    was asked.
    """
    asked = tmp_path / "asked"
    (tmp_path / "ray").write_text(f'#!/bin/sh\necho "$RAY_AUTH_MODE" "$@" >> {asked}\n')
    (tmp_path / "ray").chmod(0o755)

    def run(name: str, port: int) -> str:
        command = read(name)["head_start_ray_commands"][0].replace("6379", str(port))
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
        subprocess.run(["bash", "-c", command], check=True, env=environment)
        return asked.read_text() if asked.exists() else ""

    return run


@pytest.mark.parametrize("name", LAUNCHER)
def test_a_ray_that_runs_already_is_left_alone(name: str, start: Callable[[str, int], str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ray:
        port = ray.getsockname()[1]
        assert start(name, port) == ""
    assert start(name, port).startswith(f"token start --head --port={port} ")


def test_own_machines_are_all_in_use_and_the_head_takes_no_cells() -> None:
    config = prepared("clusters/own-machines.yaml")
    (machines,) = config["available_node_types"].values()
    assert (
        machines["min_workers"] == machines["max_workers"] == len(config["provider"]["worker_ips"])
    )
    assert "--num-cpus=0 --num-gpus=0" in config["head_start_ray_commands"][0]


def problems(tree: Mapping[str, Any], kind: str, schema: Mapping[str, Any]) -> list[str]:
    validator = Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": schema["$defs"]})
    errors: Iterable[ValidationError] = validator.iter_errors(tree)
    return [error.message for error in errors]


@pytest.mark.parametrize(("name", "kind"), MANIFESTS.items())
def test_kuberays_definitions_have_every_field_of_a_manifest(
    name: str, kind: str, schema: dict[str, Any]
) -> None:
    Draft202012Validator.check_schema(schema)
    assert problems(read(name), kind, schema) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.rayClusterSpecs", {}),
        ("spec.shutdownAfterJobFinish", True),
        ("spec.backoffLimit", "3"),
        ("spec.rayClusterSpec.autoscalerOptions.idleTimeoutSecond", 600),
        ("spec.rayClusterSpec.authOptions.mode", "tokens"),
        ("spec.rayClusterSpec.headGroupSpec.rayStartParams.num-cpus", 0),
        ("spec.rayClusterSpec.workerGroupSpecs.0.maxReplica", 8),
        ("spec.rayClusterSpec.workerGroupSpecs.0.template.spec.toleration", []),
        ("spec.rayClusterSpec.workerGroupSpecs.0.template.spec.containers.0.resources.limit", {}),
        (
            "spec.rayClusterSpec.workerGroupSpecs.0.template.spec.containers.0.resources.limits.memory",
            "24GB",
        ),
    ],
)
def test_a_misspelt_field_or_a_value_of_another_kind_is_refused(
    path: str, value: Any, schema: dict[str, Any]
) -> None:
    tree = copy.deepcopy(read("clusters/kuberay-job.yaml"))
    place: Any = tree
    *folders, last = path.split(".")
    for part in folders:
        place = place[int(part)] if isinstance(place, list) else place[part]
    place[last] = value
    (problem,) = problems(tree, "RayJob", schema)
    assert last in problem or str(value) in problem


def test_the_job_brings_the_cluster_that_the_other_manifest_explains() -> None:
    assert (
        read("clusters/kuberay-job.yaml")["spec"]["rayClusterSpec"]
        == read("clusters/kuberay-cluster.yaml")["spec"]
    )


def test_pods_come_from_nothing_with_a_gpu_shared_memory_and_what_they_mount() -> None:
    spec = read("clusters/kuberay-cluster.yaml")["spec"]
    (group,) = spec["workerGroupSpecs"]
    head, worker = (each["template"]["spec"] for each in (spec["headGroupSpec"], group))
    assert spec["enableInTreeAutoscaling"]
    assert (group["minReplicas"], group["replicas"]) == (0, 0)
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    limits = worker["containers"][0]["resources"]["limits"]
    assert (
        limits["nvidia.com/gpu"]
        == worker["containers"][0]["resources"]["requests"]["nvidia.com/gpu"]
        == 1
    )
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in worker[
        "tolerations"
    ]
    assert {"name": "shm", "mountPath": "/dev/shm"} in worker["containers"][0]["volumeMounts"]
    assert [
        volume["emptyDir"]["medium"] for volume in worker["volumes"] if volume["name"] == "shm"
    ] == ["Memory"]
    for pod in (head, worker):
        mounted = {
            mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]
        }
        assert mounted == {volume["name"] for volume in pod["volumes"]}
    environment = {variable["name"]: variable["value"] for variable in head["containers"][0]["env"]}
    kinds = [(group["maxReplicas"], int(limits["cpu"]), limits["nvidia.com/gpu"])]
    assert environment["SIMCLR_ORCH_NODES"] == of_nodes(kinds)


def test_the_jobs_entrypoint_is_a_command_of_ours() -> None:
    program, name, *arguments = shlex.split(read("clusters/kuberay-job.yaml")["spec"]["entrypoint"])
    assert program == "simclr-orch"
    group = typer.main.get_command(app)
    command = group.get_command(None, name)  # type: ignore[attr-defined]
    asked = command.make_context(name, arguments).params
    (ablation,) = (ABLATIONS[each] for each in asked["names"])
    base_recipe(workload_named(ablation.workload), asked["preset"], None, asked["assignments"])


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, with what follows them."""
    text = re.sub(r"^#.*\n", "", Path("Dockerfile").read_text(), flags=re.MULTILINE).replace(
        "\\\n", " "
    )
    found = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(name, rest) for name, rest in found]


def test_the_image_gets_what_the_installation_needs_and_nothing_else(
    project: dict[str, Any],
) -> None:
    copied = [
        source for name, rest in instructions() if name == "COPY" for source in rest.split()[:-1]
    ]
    packages = {package.partition(".")[0] for package in project["tool"]["setuptools"]["packages"]}
    assert set(copied) == {
        "pyproject.toml",
        project["project"]["readme"],
        *project["project"]["license-files"],
        *packages,
    }
    assert all(Path(source).exists() for source in copied)
    first, *rules = [
        line for line in Path(".dockerignore").read_text().splitlines() if not line.startswith("#")
    ]
    assert first == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == set(copied)


def test_the_image_is_installed_tried_and_run_as_a_user() -> None:
    steps = instructions()
    runs = [rest for name, rest in steps if name == "RUN"]
    assert any("--no-deps ." in rest for rest in runs)
    users = [rest for name, rest in steps if name == "USER"]
    assert users
    assert users[-1].isdigit()  # Kubernetes cannot tell of a name whether it is root's
    assert users[-1] != "0"
    assert f"useradd --create-home --uid {users[-1]} " in " ".join(runs)
    after = [rest for name, rest in steps[steps.index(("USER", users[-1])) :] if name == "RUN"]
    assert any("simclr-orch --help" in rest for rest in after)


def test_all_files_mean_the_same_versions(project: dict[str, Any]) -> None:
    arguments = dict(rest.split("=") for name, rest in instructions() if name == "ARG")
    assert SpecifierSet(project["project"]["requires-python"]).contains(arguments["PYTHON"])
    (ray,) = [each for each in project["project"]["dependencies"] if each.startswith("ray[")]
    extras, versions = re.fullmatch(r"ray(\[.*\])(.*)", ray).groups()  # type: ignore[union-attr]
    assert SpecifierSet(versions).contains(arguments["RAY"])
    assert f"ray{extras}==${{RAY}}" in " ".join(rest for _, rest in instructions())
    cluster = read("clusters/kuberay-cluster.yaml")["spec"]
    assert cluster["rayVersion"] == arguments["RAY"]
    image = f"REGISTRY/simclr-orch:{project['project']['version']}"
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    containers = [each for pod in pods for each in pod["template"]["spec"]["containers"]]
    assert (
        {each["image"] for each in containers}
        == {read("clusters/aws.yaml")["docker"]["image"]}
        == {image}
    )
    for name in ("cluster.yaml", "clusters/gcp.yaml", "clusters/own-machines.yaml"):
        assert f'"ray{extras}=={arguments["RAY"]}"' in " ".join(read(name)["setup_commands"])
