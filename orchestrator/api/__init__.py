"""The program for Python and notebooks: what the commands do, as functions that return data.

    from orchestrator import api

    plan = api.plan("temperature", preset="shapes", seeds=3)   # nothing is started
    sweep = plan.run()                                         # again, it continues
    sweep.cells, sweep.claims, sweep.figure()
    api.runs(), api.verdicts(), api.sweep("temperature")
    api.encoder("1a2b3c4d").embed(["cat.jpg", "dog.jpg"])

Settings are those of the command: what is given here, else the variables `SIMCLR_ORCH_STORAGE` and
the like, else `simclr-orch.toml` of the working directory. Whatever is refused is an error of
`orchestrator.errors`, with all that is wrong. Nothing is printed but progress, on stderr or in the
notebook. To import this imports neither torch nor Ray nor MLflow.
"""

from orchestrator.api.asked import Each, Only, Over, Question
from orchestrator.api.encoder import Encoder, encoder
from orchestrator.api.planned import Plan, plan
from orchestrator.api.running import pretrain, run
from orchestrator.api.runs import Run, runs
from orchestrator.api.sweeps import Sweep, sweep, verdicts

__all__ = [
    "Each",
    "Encoder",
    "Only",
    "Over",
    "Plan",
    "Question",
    "Run",
    "Sweep",
    "encoder",
    "plan",
    "pretrain",
    "run",
    "runs",
    "sweep",
    "verdicts",
]
