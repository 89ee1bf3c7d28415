"""Looks at the claims of a sweep, whoever asks: read before claims are judged, and kept after.

Verdicts keep their level over all looks together, so that a look has to be known to later ones.
"""

from collections.abc import Iterable

from orchestrator.errors import StorageError
from orchestrator.plan import Plan
from orchestrator.plan.kept import KeptPlan
from orchestrator.plan.kept_looks import has_older_looks, looks_in, new_looks
from orchestrator.plan.rounds import TakenLooks, verdicts_of
from orchestrator.run_record import Records
from orchestrator.storage import Storage
from orchestrator.storage.looks import keep_looks, kept_looks
from orchestrator.storage.runs import RunFolder
from orchestrator.storage.sweeps import kept_plan
from orchestrator.verdicts import ClaimVerdict
from search_spaces import Ablation

__all__ = [
    "judged_so_far",
    "keep_older_looks",
    "keep_taken",
    "look_at",
    "looks_before",
    "records_of",
]


def looks_before(
    storage: Storage, ablation: Ablation, plan: KeptPlan | None, records: Records | None = None
) -> TakenLooks:
    """Return the looks that were taken at the claims of a sweep.

    Those of a plan that an older version has left are worked out from it: it looked as planned.
    """
    if plan is None:
        return {}
    found = kept_looks(storage, ablation.name, plan["sweep"])
    if not found and has_older_looks(plan):
        records = records_of(storage, plan) if records is None else records
        found = new_looks(_judged(ablation, plan, records, None), {})
    return looks_in(found)


def keep_taken(
    storage: Storage, ablation: Ablation, plan: KeptPlan, found: Iterable[ClaimVerdict]
) -> str | None:
    """Keep the looks that verdicts rest on; returns a sentence where that cannot be done."""
    before = looks_in(kept_looks(storage, ablation.name, plan["sweep"]))
    try:
        keep_looks(storage, ablation.name, plan["sweep"], new_looks(found, before))
    except StorageError as error:
        return (
            "this look at the claims could not be kept, so that later ones will not know of it: "
            f"{error}"
        )
    return None


def look_at(storage: Storage, plan: Plan) -> str | None:
    """Look at the claims of a sweep that goes on, by all of its runs, and keep that."""
    kept = kept_plan(storage, plan)
    if plan.ablation is None or kept is None:
        return None
    found, _ = judged_so_far(storage, plan.ablation, kept)
    return keep_taken(storage, plan.ablation, kept, found)


def judged_so_far(
    storage: Storage, ablation: Ablation, kept: KeptPlan
) -> tuple[list[ClaimVerdict], Records]:
    """Judge the claims of a kept sweep by the runs that it has so far, and keep nothing.

    Returns the records behind it as well.
    """
    records = records_of(storage, kept)
    taken = looks_before(storage, ablation, kept, records)
    return _judged(ablation, kept, records, taken), records


def keep_older_looks(storage: Storage, plan: Plan) -> None:
    """Keep the looks that only the plan of an older version tells of, before it is replaced."""
    kept = kept_plan(storage, plan)
    if plan.ablation is None or kept is None or not has_older_looks(kept):
        return
    found = _judged(plan.ablation, kept, records_of(storage, kept), None)
    keep_taken(storage, plan.ablation, kept, found)


def records_of(storage: Storage, plan: KeptPlan) -> Records:
    """Read the records of a plan's runs; None for those that have not ended."""
    names = [cell["fingerprint"] for cell in plan["cells"]]
    return {name: RunFolder(storage, name).record() for name in names}


def _judged(
    ablation: Ablation, plan: KeptPlan, records: Records, taken: TakenLooks | None
) -> list[ClaimVerdict]:
    looks = plan.get("looks", [])
    return verdicts_of(ablation, plan["scale"], plan["cells"], records, looks, taken=taken)
