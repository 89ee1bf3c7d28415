"""What a question would run, and what that costs; nothing is started."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.api.asked import Asked, Each, Only, Question, refusing

if TYPE_CHECKING:
    from pandas import DataFrame

    from orchestrator.api.sweeps import Sweep
    from orchestrator.commands.dry_run import Ahead

__all__ = ["Plan", "plan"]


@dataclass(frozen=True)
class Plan:
    """The runs of a question on a recipe. `count` are distinct ones, `left` those to be run.

    `seconds` is the expected time of what is left, `gpu_hours` what it occupies, `basis` what both
    rest on, `not_asked` a sentence for each claim or cell that has no meaning on this recipe, and
    `left_out` one for each reason for which examples of the data are not used.
    """

    name: str
    sweep: str
    count: int
    left: int
    seconds: float
    gpu_hours: float
    basis: str
    cost: str
    not_asked: tuple[str, ...]
    left_out: tuple[str, ...]
    _asked: Asked = field(repr=False)
    _ahead: "Ahead" = field(repr=False)

    @property
    def cells(self) -> "DataFrame":
        """A row for each run, by its fingerprint: place, seed, role, what is expected of it.

        A column for each axis, `seed`, `role` (cell, reference or candidate), `status` (finished
        or left), `seconds` (0 once finished), and then each field in which the runs differ.
        """
        from pandas import DataFrame, Index

        (found,) = self._ahead.planned.plans
        done, cost = self._ahead.planned.done, self._ahead.cost.cell_seconds
        axes = [axis.name for axis in found.ablation.layout(found.scale).axes]  # type: ignore[union-attr]
        flat = [cell.spec.flat() for cell in found.cells]
        rows = [
            {
                **dict(zip(axes, cell.at, strict=False)),
                "seed": cell.seed,
                "role": cell.role,
                "status": "finished" if cell.fingerprint in done else "left",
                "seconds": cost.get(cell.fingerprint, 0.0),
            }
            for cell in found.cells
        ]
        differing = _differing(flat)
        for row, fields in zip(rows, flat, strict=True):
            row |= {name: fields.get(name) for name in differing}
        index = Index([cell.fingerprint for cell in found.cells], name="fingerprint")
        return DataFrame(rows, index=index)

    def run(
        self,
        *,
        max_failures: int = 2,
        log_model: bool = False,
        logs: Sequence[str] = (),
        progress: bool = True,
    ) -> "Sweep":
        """Run what is left of it, as `orchestrator.api.run` does."""
        from dataclasses import replace

        from orchestrator.api.running import run_asked

        asked = replace(self._asked, max_failures=max_failures, log_model=log_model, logs=logs)
        return run_asked(asked, progress=progress)

    def __str__(self) -> str:
        return "\n".join([*self.left_out, *self.not_asked, self.cost])

    def _repr_html_(self) -> str:
        from html import escape

        table: str = self.cells.to_html(max_rows=20)
        return f"<p>{escape(str(self))}</p>{table}"


def plan(
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
    download: bool = False,
    storage: str | Path | None = None,
    tracking_uri: str | None = None,
    address: str | None = None,
) -> Plan:
    """Plan a question: its name, a file, an `Ablation` that was built in Python, or an `Over`.

    `set` has fields of the recipe, `{"loss.temperature": 0.2}`; `only` the labels of a part of the
    question, or those of each axis by its name; `max_seeds` adds seeds until claims
    are decided, as `--until-decided --max-seeds`. All else is as in `simclr-orch ablate`. Nothing
    is started, unless the cluster at `address` must be asked for its size. Raises PlanError with
    everything that is wrong.
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
        download=download,
        storage=storage,
        tracking_uri=tracking_uri,
        address=address,
    )
    from orchestrator.commands.cost import cost_line
    from orchestrator.commands.dry_run import look_ahead

    with refusing():
        ahead = look_ahead(asked.request)
    (found,) = ahead.planned.plans
    return Plan(
        name=found.name,
        sweep=found.sweep_id,
        count=ahead.planned.jobs,
        left=ahead.planned.left,
        seconds=ahead.cost.wall_seconds,
        gpu_hours=ahead.cost.gpu_hours,
        basis=ahead.cost.basis,
        cost=cost_line(ahead.planned, ahead.cost),
        not_asked=tuple(found.ablation.not_asked(found.scale)) if found.ablation else (),
        left_out=tuple(ahead.checked.left_out),
        _asked=asked,
        _ahead=ahead,
    )


def _differing(flat: list[dict[str, Any]]) -> list[str]:
    """Return the fields, but the seed, that do not have one value in all of these."""
    names = dict.fromkeys(name for fields in flat for name in fields)
    return [
        name
        for name in names
        if name != "seed" and any(fields.get(name) != flat[0].get(name) for fields in flat)
    ]
