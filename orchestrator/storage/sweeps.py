"""What the storage keeps of a sweep beside its runs: its plan, of a search its study, and a lock
while it runs.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from orchestrator.errors import PlanError, StorageError
from orchestrator.plan import Plan
from orchestrator.plan.kept import KeptPlan, only_text, read_plan
from orchestrator.plan.study import Search, read_search
from orchestrator.storage.damaged import read_sound
from orchestrator.storage.files import Storage
from workloads.local_files import Lock, is_locked

__all__ = [
    "is_running",
    "keep_plan",
    "keep_study",
    "kept_plan",
    "kept_search",
    "kept_sweeps",
    "latest_of",
    "latest_sweep",
    "only_one",
    "sweep_folder",
]

PLAN, LOCK, STUDY = "plan.json", "lock", "study.json"


def sweep_folder(plan: Plan) -> str:
    """Return the folder, in the storage, of the plan and the report of a sweep."""
    return f"sweeps/{plan.name}/{plan.sweep_id}"


def keep_plan(storage: Storage, plan: Plan, tree: KeptPlan) -> None:
    """Write the plan to where reports read it."""
    storage.write_json(f"{sweep_folder(plan)}/{PLAN}", tree)


def kept_plan(storage: Storage, plan: Plan) -> KeptPlan | None:
    """Read the plan that the same sweep has left before; None when it has left none.

    A damaged one is set aside.
    """
    return read_sound(storage, f"{sweep_folder(plan)}/{PLAN}", read_plan)


def keep_study(storage: Storage, plan: Plan) -> None:
    """Write what a search has asked and decided, before anything of it is run."""
    assert plan.search is not None, "the plan of a search"
    storage.write_json(f"{sweep_folder(plan)}/{STUDY}", plan.search.tree())


def kept_search(storage: Storage, name: str, sweep: str) -> Search | None:
    """Read a search with what it has asked and decided; None when it has left nothing.

    A damaged one is set aside.
    """
    return read_sound(
        storage, f"sweeps/{name}/{sweep}/{STUDY}", lambda data: read_search(json.loads(data))
    )


def kept_sweeps(storage: Storage, name: str) -> list[KeptPlan]:
    """Read the kept plans of all sweeps of an ablation, the latest last.

    Damaged ones are set aside.
    """
    found = [
        read_sound(storage, f"sweeps/{name}/{folder}/{PLAN}", read_plan)
        for folder in storage.list(f"sweeps/{name}")
    ]
    return sorted((plan for plan in found if plan), key=lambda plan: str(plan["started"]))


def latest_sweep(storage: Storage, name: str, sweep: str | None = None) -> KeptPlan:
    """Read the kept plan of a sweep, by the beginning of its id, or the latest one.

    Raises PlanError when there is none.
    """
    return latest_of(kept_sweeps(storage, name), name, storage, sweep)


def latest_of(
    plans: Sequence[KeptPlan],
    name: str,
    storage: Storage,
    sweep: str | None = None,
    fits: Callable[[KeptPlan], bool] = lambda _: True,
) -> KeptPlan:
    """Return, of an ablation's kept plans, the latest that fits and whose id begins so.

    Raises PlanError when there is none.
    """
    fitting: list[KeptPlan] = [
        plan for plan in plans if plan["sweep"].startswith(sweep or "") and fits(plan)
    ]
    if not fitting:
        known = f"; known are {', '.join(map(_shown, plans))}" if plans else ""
        raise PlanError(
            [f"{name}: no sweep{f' {sweep}' if sweep else ''} in {storage.shown()}{known}"]
        )
    return fitting[-1]


def _shown(plan: KeptPlan) -> str:
    """The id of a sweep, and of a part its labels."""
    return plan["sweep"] + (f" (--only {only_text(plan['only'])})" if "only" in plan else "")


@contextmanager
def only_one(plan: Plan, storage: Storage) -> Iterator[None]:
    """Refuse to run a sweep that another process of this machine is running.

    A killed process leaves no lock behind.
    """
    if not storage.is_local:
        yield
        return
    path = storage.local_path(f"{sweep_folder(plan)}/{LOCK}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(path)
    except OSError as error:
        raise StorageError(f"--storage {storage.shown()}: {error}") from error
    with lock:
        if not (lock.try_to_take() or _tries_again(lock)):
            raise PlanError([f"{plan.name} {plan.sweep_id}: another process is running this sweep"])
        yield


def _tries_again(lock: Lock) -> bool:
    """Take a lock that somebody had who only looked whether the sweep runs."""
    time.sleep(0.1)
    return lock.try_to_take()


def is_running(storage: Storage, sweep: str) -> bool:
    """Tell whether a process of this machine runs a sweep, by the name of its folder.

    False where nobody can tell: in an object store there are no locks.
    """
    return storage.is_local and is_locked(storage.local_path(f"sweeps/{sweep}/{LOCK}"))
