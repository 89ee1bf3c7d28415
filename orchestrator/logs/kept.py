"""Where the logs of a request's sweeps lie, and each as something to write to."""

from collections.abc import Sequence

from orchestrator.logs.appended import AppendedFile, parted
from orchestrator.logs.choice import LogChoice
from orchestrator.logs.event_files import EventFiles
from orchestrator.logs.ledger import Ledger
from orchestrator.logs.lines import OnlyLines
from orchestrator.logs.logged_sweep import LoggedSweep
from orchestrator.logs.sink import Sink
from orchestrator.logs.wandb_runs import WandbRuns
from orchestrator.plan import Plan
from orchestrator.storage import Storage
from orchestrator.storage.sweeps import sweep_folder

__all__ = ["Logs"]

LINES, WRITTEN = "log.jsonl", "written.jsonl"


class Logs:
    """What `--log` asks for, of all sweeps of a request."""

    def __init__(self, choices: Sequence[LogChoice], storage: Storage) -> None:
        """Write what is chosen, below the storage unless a choice says where."""
        self._choices, self._storage = tuple(choices), storage
        # Several sweeps may share one: of an object there must be one content.
        self._files: dict[tuple[str, str], AppendedFile] = {}

    def of(self, plan: Plan) -> list[LoggedSweep]:
        """Return the logs of one sweep, which have not begun yet."""
        return [self._one(choice, plan) for choice in self._choices]

    def _one(self, choice: LogChoice, plan: Plan) -> LoggedSweep:
        storage, folder = self._storage, sweep_folder(plan)
        sink: Sink
        match choice.kind:
            case "jsonl":
                sink, name = OnlyLines(), f"{folder}/{LINES}"
                if choice.where is not None:
                    storage, name = parted(choice.where)
            case "tensorboard":
                folder = f"{folder}/tensorboard"
                if choice.where is not None:
                    storage, folder = Storage(choice.where), f"{plan.name}-{plan.sweep_id}"
                sink, name = EventFiles(storage, folder), f"{folder}/{WRITTEN}"
            case "wandb":
                name = f"{folder}/wandb/{WRITTEN}"
                own = storage.local_path(folder) if storage.is_local else None
                sink = WandbRuns(choice.where, own)

        def ledger() -> Ledger:
            file = self._files.setdefault((storage.uri, name), AppendedFile(storage, name))
            return Ledger(file, plan.sweep_id)

        label = f"--log {choice}"
        return LoggedSweep(label, plan, sink, ledger, whole=choice.kind == "jsonl")
