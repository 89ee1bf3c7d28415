"""Where a result comes from: the commit, the job and the versions of packages that made it."""

import os
import subprocess
from pathlib import Path

__all__ = ["JOB", "OUR_PACKAGES", "REPORTED_PACKAGES", "ROOT", "SHIPPED_COMMIT", "git_commit"]

ROOT = Path(__file__).resolve().parent.parent  # where the packages lie that a cluster is sent
OUR_PACKAGES = ("orchestrator", "search_spaces", "workloads")
SHIPPED_COMMIT = "SIMCLR_ORCH_COMMIT"
JOB = "SIMCLR_ORCH_JOB"  # the name of the Ray Job that this process is
REPORTED_PACKAGES = (
    "ray",
    "torch",
    "torchvision",
    "mlflow",
    "pydantic",
    "scikit-learn",
    "scipy",
    "numpy",
)


def git_commit() -> str | None:
    """The commit of the code that runs, marked when the files differ from it; None outside a
    checkout.

    Code that was shipped with a job has left its checkout behind, and the job says which it was.
    """
    if shipped := os.environ.get(SHIPPED_COMMIT):
        return shipped
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.stdout.strip() + ("-changed" if changed.stdout.strip() else "")
