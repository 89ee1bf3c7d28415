"""Runs in Weights & Biases: one for each run of a sweep, grouped by it.

Without an account, or with `WANDB_MODE=offline`, W&B keeps files that `wandb sync` sends later.
"""

import netrc
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator.logs.sink import LoggedRun
from orchestrator.logs.sweep_log import Status
from orchestrator.run_record import Metrics, RunRecord

__all__ = ["WandbRuns", "account_problem"]

PROJECT = "simclr-orch"
KEYS = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")


def account_problem() -> str | None:
    """Say so where W&B would ask for a key in the middle of a sweep; None where it would not."""
    mode = os.environ.get("WANDB_MODE")
    if mode in ("offline", "dryrun", "disabled") or any(os.environ.get(key) for key in KEYS):
        return None
    import wandb

    settings = wandb.setup().settings  # of its files, too
    host = urlsplit(settings.base_url).hostname or ""
    known = settings.api_key is not None or settings.mode == "offline" or _has_login(host)
    wandb.teardown()
    if known:
        return None
    return (
        f"W&B has no key for {host}: `wandb login` keeps one, and WANDB_MODE=offline before the "
        "command writes files that `wandb sync` sends later"
    )


def _has_login(host: str) -> bool:
    with suppress(OSError, netrc.NetrcParseError):
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    return False


class WandbRuns:
    """Writes the runs of one sweep; those that run at the same time are open at the same time."""

    def __init__(self, project: str | None, folder: Path | None) -> None:
        """Write into `PROJECT` or `TEAM/PROJECT`, with W&B's own files in `folder`.

        None: where W&B puts them by itself, `wandb` in the working directory.
        """
        team, _, name = (project or PROJECT).rpartition("/")
        self._team, self._project = team or None, name
        self._folder = None if os.environ.get("WANDB_DIR") else folder
        self._open: dict[str, Any] = {}  # runs of W&B, by fingerprint

    def opened(self, run: LoggedRun) -> None:
        """Begin a run, or go on with the one that an earlier driver has begun."""
        import wandb

        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        begun = wandb.init(
            entity=self._team,
            project=self._project,
            id=run.id,
            resume="allow",
            reinit="create_new",
            name=run.name,
            group=f"{run.ablation} {run.sweep}",
            job_type=run.role,
            tags=[run.ablation[:64]],
            config=_config(run),
            dir=None if self._folder is None else str(self._folder),
            # A driver of many runs is no script: its output, its code and the load of its machine
            # are of none of them.
            settings=wandb.Settings(
                console="off",
                silent=True,
                save_code=False,
                disable_code=True,
                disable_job_creation=True,
                x_disable_stats=True,
            ),
        )
        # Points that a killed driver has lost come late: each says for itself where it lies.
        begun.define_metric("epoch", hidden=True)
        begun.define_metric("*", step_metric="epoch")
        self._open[run.fingerprint] = begun

    def epoch(self, run: LoggedRun, epoch: int, metrics: Metrics) -> None:
        """Log a point of a curve, over its epoch.

        The last one of a run that goes on is passed over: a driver may be killed after it sent it,
        and before the ledger knew.
        """
        open_run = self._open[run.fingerprint]
        if open_run.resumed and open_run.summary.get("epoch") == epoch:
            return
        open_run.log({**metrics, "epoch": epoch})

    def ended(self, run: LoggedRun, record: RunRecord, results: Metrics) -> None:
        """Put the results into the run's summary."""
        open_run = self._open[run.fingerprint]
        open_run.summary.update({f"result/{name}": value for name, value in results.items()})
        about: dict[str, Any] = {"status": record.status}
        if record.has_failed:
            about["error"] = record.error_line
        open_run.summary.update(about)

    def left(self, run: LoggedRun, *, failed: bool) -> None:
        """End the run."""
        self._open.pop(run.fingerprint).finish(exit_code=int(failed))

    def close(self, status: Status, files: Mapping[str, str | bytes]) -> None:  # noqa: ARG002
        """End what was interrupted; the next driver goes on with it."""
        while self._open:
            _, open_run = self._open.popitem()
            open_run.finish(exit_code=1)


def _config(run: LoggedRun) -> dict[str, Any]:
    about = {name: value for name, value in run.about.items() if value is not None}
    return {**run.params, "cell": run.cell, "role": run.role, "fingerprint": run.fingerprint} | {
        f"sweep/{name}": value for name, value in about.items()
    }
