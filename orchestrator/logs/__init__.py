"""What a sweep writes beside MLflow when asked by `--log`: JSON lines, TensorBoard, W&B.

It is written from the driver only. The only place of wandb and tensorboard.
"""

from orchestrator.logs.carrier import Carrier
from orchestrator.logs.choice import LogChoice, log_problems, read_log, travel_problems
from orchestrator.logs.kept import Logs
from orchestrator.logs.sweep_log import Place, SweepLog

__all__ = [
    "Carrier",
    "LogChoice",
    "Logs",
    "Place",
    "SweepLog",
    "log_problems",
    "read_log",
    "travel_problems",
]
