"""What the storage keeps of a sweep beside its runs: its plan, of a search its study, and who
runs it.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from orchestrator.errors import PlanError
from orchestrator.plan import Plan
from orchestrator.plan.kept import KeptPlan, only_text, read_plan
from orchestrator.plan.study import Search, read_search
from orchestrator.storage.damaged import read_sound
from orchestrator.storage.files import Storage
from orchestrator.storage.leases import Holder, Lease, Observer, holder_of, sweep_lease

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

PLAN, STUDY = "plan.json", "study.json"
SECONDS_BETWEEN_LOOKS = 0.5


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
def only_one(plan: Plan, storage: Storage) -> Iterator[Lease]:
    """Refuse to run a sweep that another process runs, on this host or on another.

    A process that was killed here leaves it free; one elsewhere is dead after `EXPIRY` seconds
    without a sign of life, for which this waits. Raises PlanError.
    """
    name, observer = sweep_lease(f"{plan.name}/{plan.sweep_id}"), Observer(storage, trusting=True)
    with Lease(storage) as lease:
        while isinstance(holder := lease.take(name, observer), Holder):
            if observer.gives_signs(holder):
                raise PlanError(
                    [f"{plan.name} {plan.sweep_id}: another process is running this sweep: "
                     f"{holder}"]
                )  # fmt: skip
            time.sleep(SECONDS_BETWEEN_LOOKS)
        yield lease


def is_running(storage: Storage, sweep: str) -> bool:
    """Tell whether a process runs a sweep, by the name of its folder."""
    return holder_of(storage, sweep_lease(sweep)) is not None
