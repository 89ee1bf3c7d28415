"""Private and undocumented names of Ray, in one place: what each is for, and what happens without.

Checked on Ray 2.60. What Ray reads of the environment of every command is in
orchestrator/environment.py. A new version of Ray is tried by tests/cluster.
"""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

__all__ = [
    "AUTOSCALER_V2",
    "CHATTY_LOGGERS",
    "HEAD",
    "JOB_STOP_WAIT",
    "LAUNCHER",
    "PATIENT",
    "cluster_file_schema",
    "complaint_of_launcher",
    "on_loopback",
    "own_node_is_draining",
]

# A resource that only the head has. Without it a trial that asks for a share of it is never placed.
HEAD = "node:__internal_head__"

# `ray` as a module, so that it is the one of this environment. Without it no cluster goes up or
# down: Python says that there is no such module.
LAUNCHER = (sys.executable, "-m", "ray.scripts.scripts")

# Which autoscaler `ray up` starts, "0" for the first one. Without it the second one runs, which
# leaves out one of a cluster's own machines.
AUTOSCALER_V2 = "RAY_UP_enable_autoscaler_v2"

# Seconds between asking a Ray Job to end and killing it, read from the job's own environment.
# Without it they are Ray's 3, too few to stop trials and say so.
JOB_STOP_WAIT = "RAY_JOB_STOP_WAIT_TIME_S"

# They report each package that is sent and each connection. Without these names the client of the
# job server is merely louder.
CHATTY_LOGGERS = ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk")


# Settings of a local Ray, for `ray.init`: how often its node may miss a look, of one every three
# seconds. By Ray's five, a machine that is short of CPUs for a minute loses its node, and with it
# the sweep. Without the name that is so again.
PATIENT = {"health_check_failure_threshold": 100}


@contextmanager
def on_loopback() -> Iterator[None]:
    """Have a Ray that starts meanwhile listen on this machine alone, at 127.0.0.1.

    Ray has that for systems whose firewalls ask about every port, and listens on all interfaces
    elsewhere, whatever address it is given. Where the name is gone, a local Ray is reached from
    other machines, too, and asks them for its token; tests/cluster/test_strangers.py then fails.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def cluster_file_schema() -> dict[str, Any]:
    """Return the JSON schema of a cluster file, which lies beside Ray's code.

    Where it is gone this raises FileNotFoundError, and no file passes.
    """
    import ray.autoscaler

    folder = Path(ray.autoscaler.__file__).parent
    schema: dict[str, Any] = json.loads((folder / "ray-schema.json").read_text())
    return schema


def complaint_of_launcher(config: dict[str, Any]) -> Exception | None:
    """Return what the launcher's own check of a cluster file raises; None where it is content.

    Where the check is gone this raises ImportError, and no file passes.
    """
    from ray.autoscaler._private.util import prepare_config, validate_config

    said = io.StringIO()  # the launcher's logger prints beside raising
    try:
        with redirect_stdout(said), redirect_stderr(said):
            validate_config(prepare_config(config))
    except Exception as error:  # noqa: BLE001 - it raises whatever it stumbles over: KeyError, click's errors, jsonschema's
        return error
    return None


def own_node_is_draining() -> bool:
    """Tell whether the node of this process is about to be taken away.

    Ray Train's own question is for its workers, all at once, and the others have none. Where this
    is gone nobody is told before, and a run goes on from its last checkpoint.
    """
    import ray

    if not ray.is_initialized():
        return False
    try:
        draining = ray._private.state.state.get_draining_nodes()
    except Exception:  # noqa: BLE001 - no such name, or a head that does not answer just now
        return False
    return ray.get_runtime_context().get_node_id() in draining
