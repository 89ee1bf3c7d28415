"""What is killed when: drawn from a seed, so that a soak that found something can be repeated."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["KINDS", "Fault", "faults"]

# What is killed, and how often among the faults. A process is one of those in which cells run.
KINDS = {"driver": 3, "process": 6, "node": 2, "mlflow": 2}
SIGNALS = ("KILL", "KILL", "TERM", "INT", "HUP")  # of a driver; all else is killed


@dataclass(frozen=True)
class Fault:
    """One fault: how many seconds after the one before it, and of what.

    `victim` in [0, 1) chooses among those that there are then. `away` are seconds until what was
    killed is there again, where it does not come by itself: a node, MLflow's server.
    """

    after: float
    kind: str
    victim: float
    away: float
    signal: str


def faults(seed: int, every: float) -> Iterator[Fault]:
    """Yield faults without end, one in `every` seconds on average."""
    draw = random.Random(f"soak {seed}")
    while True:
        after = draw.uniform(0.3, 1.7) * every
        (kind,) = draw.choices([*KINDS], [*KINDS.values()])
        signal = draw.choice(SIGNALS) if kind == "driver" else "KILL"
        yield Fault(after, kind, draw.random(), draw.uniform(1, every), signal)
