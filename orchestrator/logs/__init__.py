"""What a sweep writes beside MLflow when asked by `--log`: JSON lines, TensorBoard, W&B.

It is written from the driver only. The only place of wandb and tensorboard.
"""

from orchestrator.logs.choice import LogChoice, log_problems, read_log, travel_problems
from orchestrator.logs.kept import Logs
from orchestrator.logs.sweep_log import SweepLog

__all__ = ["LogChoice", "Logs", "SweepLog", "log_problems", "read_log", "travel_problems"]
