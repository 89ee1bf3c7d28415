"""What is said of a sweep in plain lines."""

from collections.abc import Iterator
from datetime import datetime

from orchestrator.run_record import Metrics
from orchestrator.storage.progress import CellProgress, CellState, SweepProgress
from workloads.plural import counted

__all__ = ["changes", "duration", "left_line", "standing", "standing_of", "summary"]


def standing(epochs: int, metrics: Metrics) -> str:
    """Say where a cell stands: `epoch 46 of 150, loss 5.457, 16,179 images/s`."""
    parts = [f"epoch {metrics.get('epoch', 0):.0f} of {epochs}"]
    if "loss" in metrics:
        parts.append(f"loss {metrics['loss']:.3f}")
    if "images_per_second" in metrics:
        parts.append(f"{metrics['images_per_second']:,.0f} images/s")
    return ", ".join(parts)


def standing_of(cell: CellProgress) -> tuple[str, str, str, str]:
    """Return epoch, loss, images a second and time left of a running cell; empty where unknown."""
    return (
        f"{cell.epoch}/{cell.epochs}" if cell.epochs else "",
        f"{cell.loss:.3f}" if cell.loss is not None else "",
        f"{cell.images_per_second:,.0f}" if cell.images_per_second is not None else "",
        duration(cell.seconds_left) if cell.seconds_left is not None else "",
    )


def duration(seconds: float) -> str:
    """Return a time as one reads it on a clock: `0:07`, `12:34`, `1:02:03`, `2 d 3 h`."""
    whole = max(round(seconds), 0)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours}:{minutes % 60:02}:{whole % 60:02}"
    return f"{minutes}:{whole % 60:02}"


def left_line(progress: SweepProgress, now: datetime) -> str:
    """Say when a sweep will end: `about 3:40 left, until 16:42`; empty where nothing is known."""
    if progress.expected_end is None:
        return ""
    left = (progress.expected_end - now).total_seconds()
    end = progress.expected_end.astimezone()
    until = f"{end:%H:%M}" if left < 20 * 3600 else f"{end:%d %b %H:%M}"
    return f"about {duration(left)} left, until {until}"


def summary(progress: SweepProgress, now: datetime) -> str:
    """Say in a line how far a sweep is."""
    counts = progress.counts()
    parts = [
        f"{progress.name} {progress.sweep}",
        f"{counts['finished']} of {counted(len(progress.cells), 'cell')}",
    ]
    told: tuple[CellState, ...] = ("running", "failed", "stopped")
    parts += [f"{counts[state]} {state}" for state in told if counts[state]]
    if progress.state == "running":
        parts.append(f"{duration((now - progress.started).total_seconds())} gone")
        parts.append(left_line(progress, now))
        if not counts["running"] and counts["waiting"]:
            parts.append("workers are starting")
    if progress.note:
        parts.append(progress.note)
    return ", ".join(filter(None, parts))


def changes(before: SweepProgress, now: SweepProgress) -> Iterator[str]:
    """Say in a line each which cells have ended since before."""
    ended = sum(cell.state not in ("waiting", "running") for cell in before.cells.values())
    for name, cell in now.cells.items():
        old = before.cells.get(name)
        if cell.state in ("waiting", "running") or (old is not None and old.state == cell.state):
            continue
        ended += 1
        told = cell.message if cell.state == "failed" else ""
        if cell.result is not None:
            told = f"{now.metric.replace('_', ' ')} {cell.result:.{now.digits}f}"
        yield f"[{ended}/{len(now.cells)}] {cell.name}: {cell.state}{told and f', {told}'}"
