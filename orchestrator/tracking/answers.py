"""Where MLflow's pages answer a question: addresses for whoever opens them."""

from orchestrator.errors import PlanError
from orchestrator.storage import Storage
from orchestrator.tracking import store
from orchestrator.tracking.dashboard import check_recorded
from orchestrator.tracking.tracker import Tracker
from orchestrator.tracking.view import page_of

__all__ = ["pages_of"]

ALL = "/#/experiments?workflowType=machine_learning"


def pages_of(tracking_uri: str | None, storage: Storage, name: str | None) -> dict[str, str]:
    """Return paths below the address of the pages, by what one sees there.

    Without a name these are the experiments of the store; with one, the charts and the table that
    answer its latest sweep. MLflow 3.17 shows runs of training only where the address says so.
    Raises PlanError for a name that is not recorded and for a storage without records, and
    TrackingError.
    """
    if name is None:
        return {"experiments": ALL}
    uri, _ = store.resolve(tracking_uri, storage)
    if tracking_uri is None:
        check_recorded(storage)
    tracker = Tracker(uri, None)
    found = tracker.saved_view(name)
    if found is None:
        known = [one for one in tracker.experiments() if one != "Default"]
        listed = f"; there are {', '.join(known)}" if known else ""
        raise PlanError([f"{name}: is not recorded at {tracker.page}{listed}"])
    experiment, view = found
    return {
        "charts": page_of("", experiment, view, charts=True),
        "table": page_of("", experiment, view),
    }
