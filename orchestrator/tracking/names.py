"""What metrics are called in MLflow: by the name that records use, with the unit at its end."""

from collections.abc import Mapping, Sequence

from workloads.quantity import Quantity

__all__ = ["entry_name", "interval_tags", "mlflow_name"]

# Units as they are spelt in names; others (cosines and the like) are no part of one.
UNITS = {"%": "percent", "nats": "nats", "steps": "steps"}
# What no workload calls a quantity. `seconds` are those of an epoch.
UNNAMED = {"seconds": "epoch_seconds", "training_accuracy": "training_accuracy_percent"}
# MLflow takes these, and letters and digits.
MARKS = "_-. :/"


def mlflow_name(metric: str, quantities: Mapping[str, Quantity]) -> str:
    """Return the name of a record's metric in MLflow, such as `linear_top1_percent`."""
    if metric in UNNAMED:
        return UNNAMED[metric]
    unit = UNITS.get(quantities[metric].unit) if metric in quantities else None
    return metric if unit is None or metric.endswith(f"_{unit}") else f"{metric}_{unit}"


def interval_tags(
    intervals: Mapping[str, Sequence[float]], quantities: Mapping[str, Quantity]
) -> dict[str, str]:
    """Return the intervals of results as tags, which are columns beside the results.

    As metrics, each end would be a chart of its own; as parameters, they could not be put right.
    """
    found = {}
    for metric, (low, high) in intervals.items():
        shown = quantities.get(metric, Quantity(metric))
        found[f"interval.{mlflow_name(metric, quantities)}"] = (
            f"{shown.text(low)} to {shown.text(high)}"
        )
    return found


def entry_name(text: str) -> str:
    """Return the name of a parameter or metric as MLflow takes it: other signs become spaces."""
    kept = "".join(sign if sign.isalnum() or sign in MARKS else " " for sign in text)
    return " ".join(kept.split()).strip("/. ") or "axis"
