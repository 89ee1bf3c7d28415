"""Where a result comes from: the commit, the Ray Job and the versions of packages."""

import os
import subprocess
from pathlib import Path

__all__ = [
    "OUR_PACKAGES",
    "RAY_JOB",
    "REPORTED_PACKAGES",
    "ROOT",
    "SHIPPED_COMMIT",
    "git_commit",
]

ROOT = Path(__file__).resolve().parent.parent  # where the packages lie that a cluster is sent
OUR_PACKAGES = ("orchestrator", "search_spaces", "workloads")

# Variables of the environment: the commit of code that was sent to a cluster, and the name of the
# Ray Job that this process is.
SHIPPED_COMMIT = "SIMCLR_ORCH_COMMIT"
RAY_JOB = "SIMCLR_ORCH_JOB"

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
    """Return the commit of the code that runs; None outside a checkout.

    It ends in `-changed` where files differ from it. Code that was shipped with a Ray Job has left
    its checkout behind, and the Ray Job says which it was.
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
