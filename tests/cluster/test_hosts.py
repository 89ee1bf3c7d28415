"""Real Ray, real SSH: a cluster of three hosts, which are namespaces of this machine, from `cluster
up` to `cluster down`.

Each host has its own address, processes, home, shared memory and sshd; the files outside are
common, as on a lab's machines with a shared disk. A fourth namespace is the laptop: the switch
between the hosts is in it, and the commands run there. All live in its process namespace, which
ends with this test's process, however that ends; they have no names outside.

Ray's launcher ends a cluster of own machines by `ray stop` on its head. Ray's own ends what it
finds by name; here the hosts have a `ray` whose `stop` ends GCS and raylet of its host by process
id. What is tested of `cluster down` is that it gets there.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow.entities import Run

HOSTS = ("10.77.0.1", "10.77.0.2", "10.77.0.3")  # the first is the head
PATIENCE = 600  # seconds; three nodes of Ray are many processes for the two cores of a busy machine
NEEDED = ("ip", "unshare", "nsenter", "ssh", "sshd", "ssh-keygen", "rsync")

# What makes a host of a process: $1 its name, $2 the folder with keys and token, $3 Python.
HOST = r"""
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs tmpfs /dev/shm
mkdir -p /run/sshd /run/bin /run/home
sed 's|^root:.*|root:x:0:0::/run/home:/bin/bash|' /etc/passwd > /run/passwd
printf 'root:*:::::::\n' > /run/shadow
printf '%s\n' '127.0.0.1 localhost' > /run/hosts
printf '10.77.0.%s host-%s\n' 1 1 2 2 3 3 >> /run/hosts
for file in passwd shadow hosts; do mount --bind /run/$file /etc/$file; done
hostname "$1"
ip link set lo up
printf '#!/bin/sh\nexec "%s" "$@"\n' "$3" > /run/bin/python
cat > /run/bin/ray <<'END'
#!/bin/bash
[ "$1" = stop ] || exec python -m ray.scripts.scripts "$@"
for process in /proc/[0-9]*; do
  case $(cat "$process/comm" 2> /dev/null) in
    gcs_server | raylet) kill -KILL "${process#/proc/}" ;;
  esac
done
END
chmod +x /run/bin/*
# A lost host is noticed in seconds, not in the minute that Ray gives it; and workers are no nicer
# than all that runs beside.
cat > /run/home/.bashrc <<'END'
export RAY_health_check_period_ms=1000
export RAY_health_check_timeout_ms=2000
export RAY_health_check_failure_threshold=5
export RAY_worker_niceness=0
export RAY_AUTH_MODE=token RAY_TMPDIR=/run RAY_USAGE_STATS_ENABLED=0 PATH=/run/bin:$PATH
END
"""
SSHD = r"""
exec "$(command -v sshd)" -D -f /dev/null -h "$2/host_key" \
  -o UsePAM=no -o StrictModes=no -o PidFile=none \
  -o AuthorizedKeysFile="$2/key.pub" -o PrintMotd=no
"""
# The laptop, and the hosts below it: $4 is what each of them runs. It ends with its standard input,
# and all end with it.
LAPTOP = r"""
mkdir /run/home/.ray
cp "$2/auth_token" /run/home/.ray/
ip link add switch type bridge
ip address add 10.77.0.254/24 dev switch
ip link set switch up
for number in 1 2 3; do
  host=host-$number
  ip netns add $host
  ip link add $host type veth peer name eth0 netns $host
  ip link set $host master switch up
  ip -netns $host address add 10.77.0.$number/24 dev eth0
  ip -netns $host link set eth0 up
  ip -netns $host route add default via 10.77.0.254
  ip netns exec $host unshare --mount --pid --uts --ipc --fork --mount-proc \
    bash -ec "$4" $host $host "$2" "$3" < /dev/null &
done
for number in 1 2 3; do
  for attempt in $(seq 100); do
    (exec 3<> /dev/tcp/10.77.0.$number/22) 2> /dev/null && break
    sleep 0.1
  done
done
echo ready
read -r _
"""


@dataclass(frozen=True)
class Lab:
    """Three hosts and a laptop, whose first process is `pid` and which works in `repository`."""

    folder: Path
    repository: Path
    simclr_orch: list[str]
    pid: int

    @property
    def cluster_file(self) -> Path:
        return self.folder / "cluster.yaml"

    @property
    def command(self) -> list[str]:
        """What a command of the laptop's begins with."""
        entered = [
            "nsenter",
            f"--target={self.pid}",
            "--net",
            "--mount",
            "--pid",
            "--uts",
            f"--wdns={self.repository}",
        ]
        return [
            *entered,
            "env",
            "HOME=/run/home",
            "RAY_TMPDIR=/run",
            "TMPDIR=/run",
            "RAY_AUTH_MODE=token",
            "COLUMNS=200",
        ]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *command], capture_output=True, text=True, check=False, timeout=PATIENCE
        )

    def orch(self, *arguments: str) -> str:
        """Output of a command that succeeds."""
        ended = self.run(*self.simclr_orch, *arguments)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def hosts_that_run(self, title: str) -> list[int]:
        """Numbers of the hosts with a process of that title."""
        listed = (
            "for pid in $(ip netns pids host-$host); do tr '\\0' ' ' 2> /dev/null < "
            "/proc/$pid/cmdline; done"
        )
        found = self.run(
            "bash",
            "-c",
            f"for host in 1 2 3; do {listed} | grep -q {title} && echo $host; done; true",
        ).stdout
        return [int(number) for number in found.split()]

    def cut_off(self, number: int) -> None:
        assert self.run("ip", "link", "set", f"host-{number}", "down").returncode == 0


def missing() -> str:
    """Why the hosts cannot be made here; empty when they can."""
    if sys.platform != "linux" or os.geteuid():
        return "needs root on Linux: it makes network namespaces and starts sshd in them"
    if absent := [name for name in NEEDED if not shutil.which(name)]:
        return f"needs {', '.join(absent)}: apt-get install openssh-server iproute2 rsync"
    tried = [
        "unshare",
        "--net",
        "--mount",
        "--pid",
        "--uts",
        "--ipc",
        "--fork",
        "ip",
        "link",
        "add",
        "switch",
        "type",
        "bridge",
    ]
    ended = subprocess.run(tried, capture_output=True, text=True, check=False)
    return (
        (f"may not make namespaces and bridges here: {ended.stderr.strip()}")
        if ended.returncode
        else ""
    )


@pytest.fixture
def lab(repository: Path, tmp_path: Path, command: list[str]) -> Iterator[Lab]:
    if why := missing():
        pytest.skip(why)
    (tmp_path / "auth_token").write_text("a-token-of-this-test-0123456789abcdef")
    for name in ("host_key", "key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True
        )
    (tmp_path / "cluster.yaml").write_text(
        yaml.safe_dump(cluster(repository / "clusters/own-machines.yaml", tmp_path))
    )
    words = [
        "unshare",
        "--net",
        "--mount",
        "--pid",
        "--uts",
        "--ipc",
        "--fork",
        "--mount-proc",
        "--kill-child",
    ]
    words += [
        "bash",
        "-ec",
        HOST + LAPTOP,
        "laptop",
        "laptop",
        str(tmp_path),
        sys.executable,
        HOST + SSHD,
    ]
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        stack.callback(process.kill)  # and with it, by the kernel, all that any of the hosts runs
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield Lab(tmp_path, repository, command, int(children[0]))


def cluster(file: Path, folder: Path) -> dict[str, Any]:
    """The file for these hosts: Ray is installed, and each offers one CPU, the head too."""
    text = file.read_text()
    for was, now in (
        ("HEAD_ADDRESS", HOSTS[0]),
        ("WORKER_1", HOSTS[1]),
        ("WORKER_2", HOSTS[2]),
        ("SSH_USER", "root"),
        ("~/.ssh/id_ed25519", str(folder / "key")),
        ("--num-cpus=0", "--num-cpus=1 --object-store-memory=100000000"),
        (
            "$RAY_HEAD_IP:6379",
            "$RAY_HEAD_IP:6379 --num-cpus=1 --num-gpus=0 --object-store-memory=100000000",
        ),
    ):
        assert was in text
        text = text.replace(was, now)
    tree: dict[str, Any] = yaml.safe_load(text)
    del tree["file_mounts"]["~/simclr-orch"]
    del tree["setup_commands"], tree["head_setup_commands"], tree["head_start_ray_commands"][1:]
    return tree


def addresses(lab: Lab) -> set[str]:
    status = json.loads(lab.orch("cluster", "status", str(lab.cluster_file), "--json"))
    return {node["address"] for node in status["nodes"]}


def in_training(storage: Path) -> list[Path]:
    """Folders of the cells that have begun and not ended."""
    return [
        log.parent
        for log in storage.glob("runs/*/log.txt")
        if not (log.parent / "run.json").exists()
    ]


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_sweep_on_three_hosts_of_which_one_is_lost(
    lab: Lab,
    storage_folder: Path,
    tiny_recipe: Callable[..., list[str]],
    run_here: Callable[..., None],
    last_beginning: Callable[[Path], str],
    records: Callable[[Path], dict[str, dict[str, Any]]],
    written: Callable[[Path], dict[str, int]],
    mlflow_runs: Callable[[Path, str], tuple[list[Run], list[Run]]],
    wait_for: Callable[..., None],
) -> None:
    recipe = tiny_recipe(schedule__epochs=30, data__image_size=40)  # where blur is asked about
    run_here("flip-and-blur", storage_folder, 3, schedule__epochs=30, data__image_size=40)
    before = written(storage_folder)
    file = str(lab.cluster_file)
    lab.orch("cluster", "up", file, "--yes")
    wait_for(lambda: addresses(lab) == set(HOSTS), PATIENCE, pause=2)

    sweep = ["ablate", "flip-and-blur", *recipe]
    sweep += ["--storage", storage_folder.as_uri(), "--workers", "2", "--on", file, "--json"]
    words = [*lab.command, *lab.simclr_orch, *sweep]
    with ExitStack() as stack:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        client = stack.enter_context(subprocess.Popen(words, text=True, **pipes))  # type: ignore[call-overload]
        stack.callback(client.kill)
        wait_for(lambda: in_training(storage_folder) or client.poll() is not None, PATIENCE, 0.2)
        assert client.poll() is None, client.communicate()
        used = lab.hosts_that_run("ray::RayTrainWorker")
        (interrupted,) = in_training(storage_folder)
        assert len(used) == 2  # one worker of the cell on each of two hosts
        lost = used[-1]
        lab.cut_off(lost)
        began = last_beginning(interrupted)
        assert not (interrupted / "run.json").exists()
        (job,) = json.loads(lab.orch("cluster", "jobs", file, "--json"))["jobs"]
        assert (job["status"], job["exit_code"]) == ("RUNNING", None)
        left = set(HOSTS) - {HOSTS[lost - 1]}
        wait_for(lambda: addresses(lab) == left, PATIENCE, pause=2)
        out, said = client.communicate(timeout=PATIENCE)
    assert client.returncode == 0, said
    assert last_beginning(interrupted) != began  # again, on the hosts that are left

    document = json.loads(out)
    assert [cell["n"] for cell in document["cells"]] == [1] * 4
    kept = records(storage_folder)
    assert len(kept) == 5  # and the untrained encoder
    assert before.items() <= written(storage_folder).items()  # nothing ran twice
    assert all(record["status"] == "finished" for record in kept.values())
    sweeps, cells = mlflow_runs(storage_folder, "flip-and-blur")
    assert sorted(run.data.tags["simclr_orch.fingerprint"] for run in cells) == sorted(kept)
    assert {run.info.status for run in sweeps + cells} == {"FINISHED"}

    (job,) = json.loads(lab.orch("cluster", "jobs", file, "--json"))["jobs"]
    assert (job["status"], job["exit_code"]) == ("SUCCEEDED", 0)
    assert lab.hosts_that_run("gcs/gcs_server") == [1]
    lab.orch("cluster", "down", file, "--yes")
    wait_for(lambda: not lab.hosts_that_run("gcs/gcs_server"), PATIENCE, pause=0.2)
