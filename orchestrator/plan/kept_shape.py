"""What a kept plan has to look like for those who read its parts, whoever wrote it. Pure."""

from typing import Annotated, Any, Literal

from pydantic import Field

from workloads.record_shape import LEFT_OUT, Name, Shape, Text, check_shape

__all__ = ["check_plan"]


Whole = Annotated[int, Field(strict=True)]


class _Cell(Shape):
    fingerprint: Name
    name: Text
    at: list[Text]
    seed: Whole
    role: Literal["cell", "reference", "candidate", "sample"]
    candidate: Whole | None = None


class _Data(Shape):
    title: Text = LEFT_OUT
    train: Whole = LEFT_OUT
    validation: Whole = LEFT_OUT
    test: Whole = LEFT_OUT
    content: Text | None = None
    notes: list[Text] = LEFT_OUT
    read: list[dict[Text, Any]] = LEFT_OUT


class _Resources(Shape):
    workers: Whole = LEFT_OUT
    cpus_per_worker: Whole = LEFT_OUT
    gpus_per_worker: Annotated[float, Field(strict=True)] = LEFT_OUT


class _Plan(Shape):
    sweep: Name
    base: dict[Text, Any]
    cells: list[_Cell]
    started: Text
    ablation: Name = LEFT_OUT
    question: dict[Text, Any] = LEFT_OUT
    workload: Text = LEFT_OUT
    scale: Literal["paper", "small"] = LEFT_OUT
    preset: Text = LEFT_OUT
    seeds: list[Whole] = LEFT_OUT
    looks: list[Whole] = LEFT_OUT
    looks_changed: bool = LEFT_OUT
    looks_kept: bool = LEFT_OUT
    tuning: Literal["once", "per-seed"] = LEFT_OUT
    vary: list[Text] = LEFT_OUT
    only: dict[Text, list[Text]] = LEFT_OUT
    data: _Data = LEFT_OUT
    resources: _Resources = LEFT_OUT
    command: Text = LEFT_OUT
    git_commit: Text | None = None
    versions: dict[Text, Text] = LEFT_OUT


def check_plan(tree: object) -> None:
    """Raise ValueError, which names the field, where a tree is no plan of this or another version.

    Keys that are not known may be there, and those missing that came later.
    """
    check_shape(tree, _Plan)
