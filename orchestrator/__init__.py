"""Plans the cells of an ablation, runs them on Ray, records them in MLflow and draws the answer
beside the paper's.
"""

import os
from pathlib import Path

__all__ = ["ENVIRONMENT"]

ENVIRONMENT = {
    # Train's controller polls its workers this often; the default delays every report by two
    # seconds.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "60",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Loggers that would write a second copy of every metric beside the storage.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # its tables go to stdout whatever the verbosity
    # glibc returns large blocks to the system at every step and faults them in again: up to 1.6
    # times slower on CPU.
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
}

# Ray reads these when it is imported, and whoever imports it from this package comes through here
# first.
for _name, _value in ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)
# Clusters ask for the token that Ray keeps here, but its clients send it only when told to.
if Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser().exists():
    os.environ.setdefault("RAY_AUTH_MODE", "token")
