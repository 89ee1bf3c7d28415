"""Ray's cluster launcher: whether a cluster file is right, its commands, and a way to the head."""

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import yaml

from orchestrator.cluster.ray_internals import (
    AUTOSCALER_V2,
    LAUNCHER,
    cluster_file_schema,
    complaint_of_launcher,
)
from orchestrator.errors import ClusterError, PlanError
from workloads.text_files import TextError, read_text
from workloads.yaml_nodes import sentence

__all__ = [
    "cluster_problems",
    "dashboard_port",
    "forwarded",
    "is_here",
    "launcher_command",
    "launcher_environment",
    "own_machine_problems",
    "read_cluster",
]

DASHBOARD_PORT = 8265
# seconds, most of which the launcher spends asking the provider where the head is
FORWARD_PATIENCE = 90.0
STOP_PATIENCE = 5.0
LONGEST = 200  # characters of a problem: some of the schema's quote the whole file
RAY_STOP = re.compile(r"\bray\s+stop\b")


def launcher_command(verb: str, file: Path, *options: str) -> list[str]:
    """Return a command of this environment's Ray, whatever `ray` the shell would find."""
    return [*LAUNCHER, verb, *options, str(file)]


def launcher_environment(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that the launcher needs for a cluster.

    On own machines the head gets Ray's first autoscaler: Ray 2.60 starts its second one, which does
    not know that the head is none of the workers, and leaves one of them out. A variable that is
    set stays.
    """
    provider = config.get("provider")
    is_local = isinstance(provider, Mapping) and provider.get("type") == "local"
    return {AUTOSCALER_V2: "0"} if is_local and AUTOSCALER_V2 not in os.environ else {}


def read_cluster(file: Path) -> dict[str, Any]:
    """Return the tree in a cluster file. Raises PlanError for what is no such file."""
    try:
        text = read_text(file)
    except TextError as error:
        if not file.exists():
            raise PlanError(
                [f"{file}: no such file; a job server's address begins with http:// or https://"]
            ) from None
        raise PlanError([f"{file}: cannot be read ({error})"]) from None

    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise PlanError([f"{file}: cannot be read ({sentence(text, error)})"]) from None

    tree = documents[0] if documents else None
    if not isinstance(tree, dict):
        raise PlanError([f"{file}: is not a cluster file: there are no fields in it"])
    if "apiVersion" in tree:
        reach = "its jobs are reached through `kubectl port-forward` at http://127.0.0.1:8265"
        raise PlanError(
            [f"{file}: is a Kubernetes manifest: `kubectl apply -f {file}` takes it; {reach}"]
        )
    return tree


def cluster_problems(config: Mapping[str, Any], *, is_up: bool = False) -> list[str]:
    """Return what is wrong with a cluster file, a line each, without asking a provider.

    A cluster that is up has what it needs of this machine's files, but for the key.
    """
    return _schema_problems(dict(config)) + _file_problems(config, with_mounts=not is_up)


def own_machine_problems(
    verb: str, config: Mapping[str, Any], here: Callable[[str], bool] | None = None
) -> list[str]:
    """Return the addresses of this machine on which the launcher would run `ray stop`.

    That ends every Ray of a machine by name, also those of others.
    """
    provider = config.get("provider")
    if not isinstance(provider, Mapping) or provider.get("type") != "local":
        return []

    is_own = here or is_here
    problems = []
    for field, role in (("head_ip", "head"), ("worker_ips", "worker")):
        # Ray's own, unless given, begin with it
        starts = config.get(f"{role}_start_ray_commands", ["ray stop"])
        if verb == "down" and role == "head":
            why = "Ray's launcher would run `ray stop` here; end what it started by process id"
        elif verb == "up" and any(RAY_STOP.search(str(command)) for command in starts or []):
            why = (
                "the commands that start Ray would run `ray stop` here; give "
                f"{role}_start_ray_commands without it"
            )
        else:
            continue
        named = provider.get(field) or []
        addresses = [named] if isinstance(named, str) else named
        problems += [
            f"provider.{field}={each}: is this machine, and {why}"
            for each in addresses
            if is_own(str(each))
        ]
    return problems


def is_here(address: str) -> bool:
    """Return whether an address or host name is this machine's: it can be listened on."""
    try:
        with socket.create_server((address, 0)):
            return True
    except OSError:
        return False


def dashboard_port(config: Mapping[str, Any]) -> int:
    """Return the port of the head's job server, as its start commands set it."""
    commands = " ".join(str(command) for command in config.get("head_start_ray_commands") or [])
    found = re.search(r"--dashboard-port[= ](\d+)", commands)
    return int(found[1]) if found else DASHBOARD_PORT


@contextmanager
def forwarded(
    file: Path, port: int | None = None
) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Forward a port of this machine to the head's job server, for the time of a `with` block.

    Gives the address here and the process that holds it.
    Raises PlanError for a file that is wrong, and ClusterError when nothing answers.
    """
    config = read_cluster(file)
    if problems := cluster_problems(config, is_up=True):
        raise PlanError([f"{file}: {problem}" for problem in problems])

    port = _free_port(port)
    command = launcher_command(
        "dashboard", file, "--port", str(port), "--remote-port", str(dashboard_port(config))
    )

    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_for_answer(file, f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}", process
        finally:
            _end(process)


def _schema_problems(config: dict[str, Any]) -> list[str]:
    """Return what Ray's own schema and check refuse.

    The schema knows all problems, the check ends at the first one.
    """
    from jsonschema import Draft7Validator  # type: ignore[import-untyped]

    found = sorted(
        Draft7Validator(cluster_file_schema()).iter_errors(config),
        key=lambda error: [str(part) for part in error.path],
    )
    if found:
        return [
            _short(".".join(str(part) for part in error.path), error.message) for error in found
        ]

    error = complaint_of_launcher(config)
    if error is None:
        return []
    path = ".".join(str(part) for part in getattr(error, "absolute_path", ()))
    return [_short(path, getattr(error, "message", None) or str(error) or type(error).__name__)]


def _file_problems(config: Mapping[str, Any], *, with_mounts: bool) -> list[str]:
    """Return the files that the launcher would miss after it has started to pay for nodes."""
    problems = []
    mounts = config.get("file_mounts")
    for target, source in mounts.items() if with_mounts and isinstance(mounts, Mapping) else ():
        if not os.path.exists(os.path.expanduser(str(source))):
            hint = (
                ("; `ray get-auth-token --generate` makes one")
                if str(source).endswith(".ray/auth_token")
                else ""
            )
            problems.append(f"file_mounts.{target}: there is no {source} on this machine{hint}")

    auth = config.get("auth")
    key = auth.get("ssh_private_key") if isinstance(auth, Mapping) else None
    if key and not os.path.exists(os.path.expanduser(str(key))):
        problems.append(f"auth.ssh_private_key: there is no {key} on this machine")
    return problems


def _short(path: str, text: str) -> str:
    """Return a problem of a field as one line of bearable length."""
    line = " ".join(text.split())
    line = line if len(line) <= LONGEST else f"{line[:LONGEST]}..."
    return f"{path}: {line}" if path else line


def _free_port(port: int | None) -> int:
    """Return a port of this machine that is free: the one asked for, otherwise any."""
    try:
        with socket.create_server(("127.0.0.1", port or 0)) as free:
            return int(free.getsockname()[1])
    except (OSError, OverflowError) as error:
        raise PlanError([f"--port {port}: cannot listen there ({error})"]) from None


def _wait_for_answer(
    file: Path, address: str, process: "subprocess.Popen[bytes]", log: Any
) -> None:
    """Wait until the job server answers. Raises ClusterError with the end of the log."""
    opener = build_opener(ProxyHandler({}))  # never through a proxy: it is this machine
    deadline = time.monotonic() + FORWARD_PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            opener.open(f"{address}/api/version", timeout=5).close()
            return
        except HTTPError:
            return  # it wants a token: it is there
        except OSError:
            time.sleep(0.2)

    log.seek(0)
    tail = log.read().decode(errors="replace").splitlines()[-10:]
    raise ClusterError(
        "\n".join(
            [
                f"{file}: no job server answers on the cluster's head; is it up? "
                "(`ray dashboard`:)",
                *tail,
            ]
        )
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process that has a group of its own, and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            continue
