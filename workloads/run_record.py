"""What a run leaves once it has ended: its record, and the records of evaluations that came later.

A record is data that other versions wrote and other people read. So reading takes what older ones
left out, keeps what newer ones added, and refuses what is no record; nobody else spells a key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NotRequired, Protocol, Self, TypedDict, get_args

__all__ = [
    "DEFAULT_WORKLOAD",
    "SCORE",
    "Counting",
    "EvaluationRecord",
    "Machine",
    "Metrics",
    "RunRecord",
    "Status",
]

SCORE = "validation_score"  # what a search compares, among a run's metrics
DEFAULT_WORKLOAD = "simclr"  # of records that were written when there was no other

Status = Literal["finished", "failed", "stopped"]
Metrics = Mapping[str, float]


class Counting(Protocol):
    """A question that may count only some of the runs that finished."""

    @property
    def counts_if(self) -> str | None:
        """The result that is 1 for a run that counts; None where all do."""


class Machine(TypedDict):
    """The machine that a run's numbers were measured on."""

    device: str
    gpu: bool
    threads: int
    workers: int
    precision: str
    torch: str
    python: str
    hosts: NotRequired[list[str]]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The record that one run has left: how it ended, its results or its error, and what it was.

    `history` has the metrics of each epoch. `machine` and the times are missing where the driver
    wrote the record of a worker that could not. `trained_by` names the run whose trained state this
    one only evaluated, `weights` where an encoder that was trained elsewhere came from, `epoch` how
    far a run was that a search has stopped. `data_read` are the data sets that were read, with what
    is left out of each (`workloads.inventory`). `more` are the keys of other versions.
    """

    name: str
    fingerprint: str
    status: Status
    spec: Mapping[str, Any]
    workload: str = DEFAULT_WORKLOAD
    results: Metrics = field(default_factory=dict)
    intervals: Mapping[str, Sequence[float]] | None = None
    history: Sequence[Metrics] = ()
    error: str = ""
    diverged: bool | None = None
    log_tail: Sequence[str] = ()
    log: str | None = None
    epoch: float | None = None
    trained_by: str | None = None
    weights: Mapping[str, Any] | None = None
    data: str | None = None
    data_read: Sequence[Mapping[str, Any]] | None = None
    machine: Machine | None = None
    ended: str | None = None
    seconds: float | None = None
    total_seconds: float | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, tree: object) -> Self:
        """Read a record as `tree` gives it, of this version or another.

        Raises ValueError that says what is wrong with it.
        """
        if not isinstance(tree, dict):
            raise ValueError("is not a mapping")
        values = dict(tree)
        if missing := [key for key in ("name", "fingerprint", "status", "spec") if key not in tree]:
            raise ValueError(f"has no {', '.join(missing)}")
        if tree["status"] not in get_args(Status):
            raise ValueError(f"has the status {tree['status']!r}")
        from workloads.record_shape import check_record  # pydantic, which takes its time

        check_record(tree)
        known = {key: values.pop(key) for key in _KEYS if key in values}
        return cls(**known, more=values)

    def tree(self) -> dict[str, Any]:
        """Return plain values, as `run.json` has them and `read` takes them."""
        of_status: dict[str, object] = {"status": self.status}
        if self.weights is not None:
            of_status["weights"] = dict(self.weights)
        if self.status == "failed":
            of_status |= _given(error=self.error, diverged=self.diverged)
            of_status["log_tail"] = list(self.log_tail)
        else:
            of_status |= _given(results=dict(self.results), intervals=_lists(self.intervals))

        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "workload": self.workload,
            **of_status,
            **_given(trained_by=self.trained_by, epoch=self.epoch),
            "history": [dict(metrics) for metrics in self.history],
            "spec": dict(self.spec),
            **_given(machine=self.machine, data=self.data, data_read=_plain(self.data_read)),
            **_given(log=self.log, ended=self.ended),
            **_given(seconds=self.seconds, total_seconds=self.total_seconds),
            **self.more,
        }

    @property
    def has_finished(self) -> bool:
        """True for a run that came to its end, and has results."""
        return self.status == "finished"

    @property
    def has_failed(self) -> bool:
        """True for a run that ended with an error, which a rerun tries again."""
        return self.status == "failed"

    @property
    def state_of(self) -> str:
        """The fingerprint of the run whose folder has the trained state of this one."""
        return self.trained_by or self.fingerprint

    @property
    def last_metrics(self) -> Metrics:
        """The metrics of the last epoch; none where nothing was logged."""
        return self.history[-1] if self.history else {}

    @property
    def error_line(self) -> str:
        """The last line of the error, which says what went wrong."""
        return self.error.splitlines()[-1] if self.error else ""

    def result(self, metric: str) -> float | None:
        """Return a result by name, else what was last logged under it; None for neither."""
        value = self.results.get(metric, self.last_metrics.get(metric))
        return None if value is None else float(value)

    def counts_for(self, ablation: Counting) -> bool:
        """Tell whether a finished run counts for claims: it has converged, where that is asked."""
        return ablation.counts_if is None or self.result(ablation.counts_if) == 1

    def lost_for(self, ablation: Counting) -> str | None:
        """Return the word why a run has no value that counts for claims; None where it has one."""
        if self.has_failed:
            return "diverged" if self.diverged else "failed"
        return "not converged" if self.has_finished and not self.counts_for(ablation) else None


_KEYS = tuple(name for name in RunRecord.__dataclass_fields__ if name != "more")


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    """The record that a later evaluation has left of a run: protocol, settings and results.

    `data` are name and content of what was evaluated on, None in records of before that was kept,
    and so is `data_read`, the data sets that were read.
    """

    run: str
    protocol: str
    settings: Mapping[str, Any]
    results: Metrics
    intervals: Mapping[str, Sequence[float]]
    data: Mapping[str, Any] | None = None
    data_read: Sequence[Mapping[str, Any]] | None = None
    ended: str = ""

    @classmethod
    def read(cls, tree: Mapping[str, Any]) -> Self:
        """Read what `tree` gives. Raises ValueError for what is no record of an evaluation."""
        from workloads.record_shape import check_evaluation

        check_evaluation(tree)
        return cls(
            run=tree["run"],
            protocol=tree["protocol"],
            settings=tree["eval"],
            results=tree["results"],
            intervals=tree.get("intervals", {}),
            data=tree.get("data"),
            data_read=tree.get("data_read"),
            ended=tree.get("ended", ""),
        )

    def tree(self) -> dict[str, Any]:
        """Return plain values, as the storage keeps them and `read` takes them."""
        return {
            "run": self.run,
            "protocol": self.protocol,
            "eval": dict(self.settings),
            "results": dict(self.results),
            "intervals": _lists(self.intervals),
            **_given(data=self.data, data_read=_plain(self.data_read)),
            "ended": self.ended,
        }


def _given(**values: object) -> dict[str, object]:
    """Leave out what is None."""
    return {name: value for name, value in values.items() if value is not None}


def _plain(read: Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]] | None:
    return [dict(one) for one in read] if read else None


def _lists(intervals: Mapping[str, Sequence[float]] | None) -> dict[str, list[float]] | None:
    if intervals is None:
        return None
    return {name: list(interval) for name, interval in intervals.items()}
