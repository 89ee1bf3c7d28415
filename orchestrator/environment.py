"""Variables of the environment that a command sets for itself and for all that it starts.

Importing a module sets none: the entries do, before Ray is imported.
"""

import os
import sys
from pathlib import Path

from workloads import allocator

__all__ = ["DEBUGGING", "VARIABLES", "is_debugging", "prepare_environment", "worker_environment"]

DEBUGGING = "SIMCLR_ORCH_DEBUG"

# Checked on Ray 2.60, which documents those of Tune and of usage statistics only. A variable that
# Ray does not know any more is ignored, and its own default holds.
VARIABLES = {
    # Train's controller polls its workers this often; the default delays every report by two
    # seconds.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "60",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Loggers that would write a second copy of every metric beside the storage.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # its tables go to stdout whatever the verbosity
} | allocator.VARIABLES
# Where this machine's decoded images and features lie, and how many of them are kept.
OF_CACHES = ("SIMCLR_ORCH_CACHE", "SIMCLR_ORCH_FEATURES", "SIMCLR_ORCH_FEATURES_GB")


def is_debugging() -> bool:
    """Tell whether tracebacks are asked for, by `--debug` or its variable."""
    return bool(os.environ.get(DEBUGGING))


def prepare_environment() -> None:
    """Set the variables in this process, except those that its user has set.

    Processes that are started later inherit them. Call it before Ray is imported, which reads
    RAY_AUTH_MODE only then.
    """
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)

    # Clusters ask for the token that Ray keeps here, but its clients send it only when told to.
    # Told too late, they would not send it to a cluster that they start themselves and that asks.
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser()
    if token.exists() and "ray" not in sys.modules:
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def worker_environment() -> dict[str, str]:
    """Return the variables that workers of a cluster need, which inherit none from a command."""
    return VARIABLES | {name: os.environ[name] for name in OF_CACHES if name in os.environ}
