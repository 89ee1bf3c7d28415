"""Which runs of a plan file are done here: some by their numbers, a share of them, or all. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from workloads.runs.plan_file import PlannedRun
from workloads.spec import SpecError
from workloads.workload import AnyTrainedAlone, AnyTrainedTogether, Specification, TrainedAlone

__all__ = ["per_gpu", "read_numbers", "read_share", "share_of"]

# operations of training an image once, below which one process leaves a GPU idle: ResNet-18 at 32
# pixels takes 7e9, of whose steps an H100 computes for 19 of 25 ms (docs/scaling.md)
SMALL = 1e10


def read_numbers(text: str, count: int) -> tuple[int, ...]:
    """Read `3,7,10-12` as numbers of cells from 1 to `count`. Raises SpecError in one sentence."""
    numbers = list[int]()
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        if not (first.isdecimal() and (last.isdecimal() if dash else True)):
            raise SpecError([f"--cells {text}: {part.strip()!r} is no number and no range as 3-7"])
        low, high = int(first), int(last or first)
        if not 1 <= low <= high <= count:
            raise SpecError(
                [f"--cells {text}: there are cells 1 to {count}, and no {part.strip()}"]
            )
        numbers += range(low, high + 1)
    return tuple(dict.fromkeys(numbers))


def read_share(text: str) -> tuple[int, int]:
    """Read `2/8` as the second of eight shares. Raises SpecError in one sentence."""
    which, slash, of = (word.strip() for word in text.partition("/"))
    if not (slash and which.isdecimal() and of.isdecimal() and 1 <= int(which) <= int(of)):
        raise SpecError([f"--share {text}: must be as 2/8, the second of eight shares"])
    return int(which), int(of)


def share_of(
    workload: AnyTrainedAlone | AnyTrainedTogether,
    cells: Sequence[PlannedRun],
    specs: Mapping[str, Specification],
    share: tuple[int, int],
) -> tuple[PlannedRun, ...]:
    """Return one of several shares of the cells, which together are all of them, none twice.

    Cells that share training, or a part of their work, are in one share. What is left are equal
    numbers of such groups, dealt in the order of the plan.
    """
    groups = dict[str, list[PlannedRun]]()
    for cell in cells:
        spec = specs[cell.fingerprint]
        together = (
            workload.trained_as(spec)
            if isinstance(workload, TrainedAlone)
            else workload.shared(spec)
        )
        groups.setdefault(together or cell.fingerprint, []).append(cell)
    which, of = share
    dealt = list(groups.values())[which - 1 :: of]
    return tuple(sorted((one for group in dealt for one in group), key=lambda one: one.number))


def per_gpu(workload: AnyTrainedAlone, specs: Iterable[Specification]) -> int:
    """Return how many runs are done at once on a GPU: two where each leaves it idle, else one."""
    for spec in specs:
        if epochs := workload.epochs(spec):
            whole, after = (workload.operations(spec, 1, trained=done) for done in (False, True))
            if (whole - after) / epochs > SMALL:
                return 1
    return 2
