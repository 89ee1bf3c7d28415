"""Milliseconds: what is wrong with a cluster file is said before anything starts, and how Ray's
launcher is called.
"""

import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.scripts.scripts import cli

from orchestrator.cluster.launcher import (
    cluster_problems,
    dashboard_port,
    forwarded,
    is_here,
    launcher_command,
    launcher_environment,
    own_machine_problems,
    read_cluster,
)
from orchestrator.commands.cluster import launched
from orchestrator.errors import ClusterError, PlanError

AUTOSCALER = "RAY_UP_enable_autoscaler_v2"
OWN_MACHINES: dict[str, Any] = {
    "cluster_name": "lab",
    "provider": {"type": "local", "head_ip": "10.0.0.1", "worker_ips": ["10.0.0.2", "10.0.0.3"]},
    "auth": {"ssh_user": "me"},
}
WITHOUT_STOP = {
    "head_start_ray_commands": ["ray start --head"],
    "worker_start_ray_commands": ["ray start --address=$RAY_HEAD_IP"],
}


def aws(**changes: Any) -> dict[str, Any]:
    node = {"resources": {"CPU": 4}, "node_config": {"InstanceType": "m6i.xlarge"}}
    return {
        "cluster_name": "cloud",
        "max_workers": 2,
        "provider": {"type": "aws", "region": "us-west-2"},
        "auth": {"ssh_user": "ubuntu"},
        "available_node_types": {"head": node, "gpu": node | {"min_workers": 0, "max_workers": 2}},
        "head_node_type": "head",
    } | changes


def test_the_projects_own_cluster_file_has_no_problems(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    assert cluster_problems(read_cluster(Path("cluster.yaml"))) == []
    assert cluster_problems(aws()) == []
    assert cluster_problems(OWN_MACHINES) == []


def test_every_problem_of_a_file_is_said_with_its_place(tmp_path: Path) -> None:
    nodes = aws()["available_node_types"]
    config = aws(
        max_worker=3,
        idle_timeout_minutes="soon",
        available_node_types=nodes | {"gpu": {"resources": {"GPU": 0.5}, "node_config": {}}},
        file_mounts={"~/data": str(tmp_path / "nowhere")},
        auth={"ssh_user": "ubuntu", "ssh_private_key": str(tmp_path / "no-key")},
    )
    said = "\n".join(cluster_problems(config))
    assert "'max_worker' was unexpected" in said
    assert "idle_timeout_minutes: 'soon' is not of type" in said
    assert "available_node_types.gpu.resources.GPU: 0.5 is not" in said
    assert f"file_mounts.~/data: there is no {tmp_path}/nowhere on this machine" in said
    assert f"auth.ssh_private_key: there is no {tmp_path}/no-key on this machine" in said


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"cluster_name": "x"}, "'provider' is a required property"),
        (aws(head_node_type="heads"), "`head_node_type` must be one of `available_node_types`"),
        (
            aws(
                max_workers=0,
                available_node_types=aws()["available_node_types"]
                | {"gpu": {"resources": {}, "node_config": {}, "min_workers": 1}},
            ),
            "`max_workers` is smaller",
        ),
        (aws(provider={"type": "cloudy"}), "cloudy"),
        (OWN_MACHINES | {"provider": {"type": "local"}}, "Please supply a `head_ip`"),
    ],
)
def test_what_the_schema_cannot_know_is_said_too(
    config: dict[str, Any], problem: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (said,) = cluster_problems(config)
    assert problem in said
    assert capfd.readouterr().out == ""


def test_a_token_that_is_to_be_mounted_and_does_not_exist(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (problem,) = cluster_problems(
        OWN_MACHINES | {"file_mounts": {"~/.ray/auth_token": "~/.ray/auth_token"}}
    )
    assert problem.endswith("`ray get-auth-token --generate` makes one")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "no such file; a job server's address begins with http://"),
        ("a: [", "cannot be read"),
        ("- a\n", "is not a cluster file"),
        ("", "is not a cluster file"),
        (
            "apiVersion: ray.io/v1\nkind: RayCluster\n---\napiVersion: v1\n",
            "is a Kubernetes manifest: `kubectl apply -f",
        ),
    ],
)
def test_what_is_no_cluster_file_is_refused(
    content: str | None, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "c.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(PlanError) as refused:
        launched("up", file)
    assert problem in str(refused.value)


def test_ray_stop_is_never_run_on_this_machine() -> None:
    """Ray's launcher begins with it unless told otherwise, and it ends every Ray of a machine by
    name.
    """

    def here(address: str) -> bool:
        return address in ("10.0.0.1", "10.0.0.3")

    up = own_machine_problems("up", OWN_MACHINES, here)
    assert [problem.partition(":")[0] for problem in up] == [
        "provider.head_ip=10.0.0.1",
        "provider.worker_ips=10.0.0.3",
    ]
    assert own_machine_problems("up", OWN_MACHINES | WITHOUT_STOP, here) == []
    down = own_machine_problems("down", OWN_MACHINES | WITHOUT_STOP, here)
    assert [problem.partition(":")[0] for problem in down] == ["provider.head_ip=10.0.0.1"]
    assert own_machine_problems("down", OWN_MACHINES, lambda _: False) == []
    assert own_machine_problems("up", aws(), lambda _: True) == []


def test_down_refuses_a_head_on_this_machine(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        yaml.safe_dump(
            OWN_MACHINES | {"provider": {"type": "local", "head_ip": "127.0.0.1", "worker_ips": []}}
        )
    )
    with pytest.raises(PlanError, match=r"127\.0\.0\.1: is this machine"):
        launched("down", file, "--yes")


def test_which_addresses_are_of_this_machine() -> None:
    assert is_here("127.0.0.1")
    assert is_here("localhost")
    assert not is_here("192.0.2.77")  # for documentation (RFC 5737)
    assert not is_here("no-such-host.invalid")


@pytest.mark.parametrize(
    ("commands", "port"),
    [
        ([], 8265),
        (["ray start --head --dashboard-port=9000 --port=6379"], 9000),
        (["ulimit -n 65536", "ray start --head --dashboard-port 9001"], 9001),
    ],
)
def test_the_port_that_is_forwarded_is_the_heads(commands: list[str], port: int) -> None:
    assert dashboard_port({"head_start_ray_commands": commands}) == port


def test_the_launcher_is_that_of_this_environment() -> None:
    command = launcher_command("up", Path("c.yaml"), "--no-restart", "--yes")
    assert command == [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "up",
        "--no-restart",
        "--yes",
        "c.yaml",
    ]
    for verb, options in {
        "up": ["--yes", "--no-restart"],
        "down": ["--yes"],
        "dashboard": ["--port", "--remote-port"],
    }.items():
        known = {option for parameter in cli.commands[verb].params for option in parameter.opts}
        assert set(options) <= known


def test_own_machines_get_the_autoscaler_that_uses_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ray 2.60's second one leaves one of the machines out, unless the user has chosen it."""
    monkeypatch.delenv(AUTOSCALER, raising=False)
    assert launcher_environment(OWN_MACHINES) == {AUTOSCALER: "0"}
    assert launcher_environment(aws()) == {}
    assert launcher_environment({"cluster_name": "no provider"}) == {}
    monkeypatch.setenv(AUTOSCALER, "1")
    assert launcher_environment(OWN_MACHINES) == {}


@pytest.mark.parametrize(
    ("config", "autoscaler"), [(OWN_MACHINES, "0"), (aws(), None)], ids=["own machines", "aws"]
)
def test_the_launcher_is_told_which_autoscaler(
    config: dict[str, Any], autoscaler: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(_verb: str, _file: Path, *_options: str) -> list[str]:
        return [
            sys.executable,
            "-c",
            f"import os, sys; sys.exit(os.environ.get({AUTOSCALER!r}) != {autoscaler!r})",
        ]

    # in place of Ray's, which would go to the machines
    monkeypatch.setattr("orchestrator.commands.cluster.launcher_command", told)
    monkeypatch.delenv(AUTOSCALER, raising=False)
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump(config))
    assert launched("up", file, "--yes").exit_code == 0


def test_a_head_that_is_not_up_has_no_job_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump(OWN_MACHINES | {"cluster_name": f"never-up-{tmp_path.name}"}))
    with (
        pytest.raises(ClusterError, match="no job server answers on the cluster's head; is it up"),
        forwarded(file),
    ):
        pass


def test_a_forwarded_port_lasts_as_long_as_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def server(_verb: str, _file: Path, *options: str) -> list[str]:
        return [
            sys.executable,
            "-m",
            "http.server",
            options[options.index("--port") + 1],
            "--bind",
            "127.0.0.1",
        ]

    # in place of ssh to another machine
    monkeypatch.setattr("orchestrator.cluster.launcher.launcher_command", server)
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump(OWN_MACHINES))
    with forwarded(file) as (address, process):
        assert process.poll() is None
        port = int(address.rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    assert process.poll() is not None
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
