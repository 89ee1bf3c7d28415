"""Run what is missing of a question, or of a single run, and hand back what there is then."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.api.asked import Asked, Each, Only, Question, refusing
from orchestrator.api.runs import Run, run_in
from orchestrator.api.sweeps import Sweep, sweep
from orchestrator.errors import ClusterError, RunError
from search_spaces import Ablation

if TYPE_CHECKING:
    from orchestrator.commands.result import Finished

__all__ = ["pretrain", "run", "run_asked"]


def run(
    question: Question,
    *,
    preset: str | None = None,
    config: str | Path | None = None,
    set: Mapping[str, Any] | None = None,
    only: Only = (),
    seeds: int = 1,
    max_seeds: int | None = None,
    tuning: str = "per-seed",
    vary: str | None = None,
    each: Each | None = None,
    max_concurrent: int | None = None,
    max_failures: int = 2,
    download: bool = False,
    log_model: bool = False,
    logs: Sequence[str] = (),
    storage: str | Path | None = None,
    tracking_uri: str | None = None,
    address: str | None = None,
    progress: bool = True,
) -> Sweep:
    """Run what is missing of a question, and return the whole of its sweep.

    It does what `simclr-orch ablate` does: what has finished is not run again, Ctrl-C (to interrupt
    the kernel, in a notebook) ends it with KeyboardInterrupt, and the same call continues. Runs
    that fail stop no others; they are in `Sweep.failed`. Arguments are those of `plan`. Progress is
    told on stderr, in a notebook in an output of the cell; nothing is printed on stdout. Ray must
    not be connected in this process, and the call must come from its main thread. Raises
    PlanError with everything that is wrong before anything starts, and StorageError, TrackingError
    or ClusterError where one of these cannot be reached.
    """
    asked = Asked(
        question=question,
        preset=preset,
        config=config,
        set=set,
        only=only,
        seeds=seeds,
        max_seeds=max_seeds,
        tuning=tuning,
        vary=vary,
        each=each,
        max_concurrent=max_concurrent,
        max_failures=max_failures,
        download=download,
        log_model=log_model,
        logs=logs,
        storage=storage,
        tracking_uri=tracking_uri,
        address=address,
    )
    return run_asked(asked, progress=progress)


def run_asked(asked: Asked, *, progress: bool) -> Sweep:
    """Run what is missing of what is asked, which is a question."""
    document = _executed(asked, progress=progress).document
    return sweep(document["ablation"], asked.storage, sweep=document["plan"]["sweep"])


def pretrain(
    *,
    preset: str | None = None,
    config: str | Path | None = None,
    set: Mapping[str, Any] | None = None,
    each: Each | None = None,
    max_failures: int = 2,
    download: bool = False,
    log_model: bool = False,
    logs: Sequence[str] = (),
    storage: str | Path | None = None,
    tracking_uri: str | None = None,
    address: str | None = None,
    progress: bool = True,
) -> Run:
    """Pre-train and evaluate one encoder, unless that has been done, and return the run.

    It does what `simclr-orch pretrain` does, and is interrupted and continued as `run` is. Raises
    RunError for a run that fails, and else what `run` raises.
    """
    asked = Asked(
        question=None,
        preset=preset,
        config=config,
        set=set,
        each=each,
        max_failures=max_failures,
        download=download,
        log_model=log_model,
        logs=logs,
        storage=storage,
        tracking_uri=tracking_uri,
        address=address,
    )
    document = _executed(asked, progress=progress).document
    record = document["record"]
    if document["failed"]:
        said = [f"{record['name']}: {record.get('error', 'failed')}", f"log: {record.get('log')}"]
        raise RunError("\n".join(said))
    from orchestrator.api.asked import storage_of

    return run_in(document["run"], storage_of(asked.storage))


def _executed(asked: Asked, *, progress: bool) -> "Finished":
    """Do what the command does, and raise what it tells. Raises KeyboardInterrupt, too."""
    from orchestrator.environment import prepare_environment

    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        # ours would end that one
        raise ClusterError("Ray is connected in this process already: call ray.shutdown() first")
    prepare_environment()
    from orchestrator.api.notebook import progress_console, quiet_console, without_hints

    # Ray tells on stdout of processes that have died
    with refusing(), redirect_stdout(sys.stderr), without_hints():
        from orchestrator.commands.sweep import execute
        from orchestrator.commands.write_plan import as_sweep

        request = asked.request
        console = progress_console(wanted=progress)
        command = _call(asked) if request.built else as_sweep(request)
        finished = execute(request, quiet_console(), command, console)
    if finished.error is not None:
        raise finished.error
    if finished.document["missing"]:
        left = len(finished.document["missing"])
        raise KeyboardInterrupt(f"{left} runs are left; the same call continues")
    return finished


def _call(asked: Asked) -> str:
    """Write down the call with a question that no command can name, for reports."""
    assert isinstance(asked.question, Ablation), "others have a name"
    given = {
        "preset": asked.preset,
        "config": None if asked.config is None else str(asked.config),
        "set": dict(asked.set or {}) or None,
        "seeds": asked.seeds,
        "max_seeds": asked.max_seeds,
        "storage": None if asked.storage is None else str(asked.storage),
    }
    said = [f"{name}={value!r}" for name, value in given.items() if value is not None]
    return f"orchestrator.api.run(<{asked.question.name}>, {', '.join(said)})"
