"""Half a minute, with a real Ray: who reaches a local one, and whose code runs there."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator.cluster.own_token import ensure_token

HOLDER = """
import sys
from orchestrator.cluster.connection import connected
with connected(None):
    import ray
    ray.get(ray.remote(lambda: 1).remote())  # so that there is a worker, too
    print(ray.get_runtime_context().gcs_address, flush=True)
    sys.stdin.readline()
"""
STRANGER = """
import sys
import ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level=50)
leave = ray.remote(lambda path: open(path, "w").write("was here"))
ray.get(leave.remote(sys.argv[2]), timeout=100)
"""
# On the same machine one takes itself to be at 127.0.0.1, too; Ray asks often before it gives up.
ON_THIS_MACHINE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_NUM_REDIS_GET_RETRIES": "2"}
OF_STRANGERS = {
    "without a token": {"RAY_AUTH_MODE": "disabled"},
    "with another token": {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64},
}


@pytest.fixture(scope="module")
def local_ray(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that holds a local Ray, and the home of its user, who had no token before."""
    home = tmp_path_factory.mktemp("home")
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        env=_environment(home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, home
    finally:
        process.communicate("\n", timeout=300)


@pytest.fixture(scope="module")
def address(local_ray: tuple[subprocess.Popen[str], Path]) -> str:
    """Where its clients connect to."""
    out = local_ray[0].stdout
    assert out is not None
    return out.readline().strip()


def _environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return kept | {"HOME": str(home)} | more


def test_a_local_ray_listens_on_this_machine_alone(
    local_ray: tuple[subprocess.Popen[str], Path], address: str
) -> None:
    holder = psutil.Process(local_ray[0].pid)
    listening = [
        connection.laddr.ip
        for process in [holder, *holder.children(recursive=True)]
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) > 3
    assert {*listening} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert address.startswith("127.0.0.1:")


def test_other_addresses_of_this_machine_refuse(address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent
        except OSError:
            pytest.skip("this machine has no other address")
        own = probe.getsockname()[0]
    if own.startswith("127."):
        pytest.skip("this machine has no other address")
    with pytest.raises(OSError):
        socket.create_connection((own, int(address.rpartition(":")[2])), timeout=60)


def test_code_of_strangers_does_not_run(
    local_ray: tuple[subprocess.Popen[str], Path], address: str, tmp_path: Path
) -> None:
    def client(who: str, home: Path, **environment: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", STRANGER, address, str(tmp_path / who)],
            env=_environment(home, **ON_THIS_MACHINE, **environment),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    clients = {who: client(who, tmp_path, **theirs) for who, theirs in OF_STRANGERS.items()}
    clients["the same user"] = client("the same user", local_ray[1], RAY_AUTH_MODE="token")
    try:
        codes = {who: process.wait(timeout=180) for who, process in clients.items()}
    finally:
        for process in clients.values():
            process.kill()
            process.wait()
    assert {who for who, code in codes.items() if code == 0} == {"the same user"}
    assert [left.name for left in tmp_path.iterdir()] == ["the same user"]


@pytest.mark.usefixtures("address")
def test_the_token_is_for_its_user_alone(
    local_ray: tuple[subprocess.Popen[str], Path],
) -> None:
    file = local_ray[1] / ".ray" / "auth_token"
    assert file.stat().st_mode & 0o077 == 0
    assert len(file.read_text()) >= 32
    assert [each.name for each in file.parent.iterdir()] == ["auth_token"]


@pytest.mark.parametrize("name", ["RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"])
def test_a_token_that_is_given_is_kept(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.environ", {"HOME": str(tmp_path), name: "given"})
    ensure_token()
    assert dict(os.environ) == {"HOME": str(tmp_path), name: "given"}
    assert list(tmp_path.iterdir()) == []


def test_in_a_home_that_takes_no_file_the_token_is_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ray").write_text("in the way")
    monkeypatch.setattr("os.environ", {"HOME": str(tmp_path)})
    ensure_token()
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
