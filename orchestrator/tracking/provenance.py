"""Where a run in MLflow comes from: its data as inputs, its command, commit and machine."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.plan.kept import KeptPlan
from orchestrator.run_record import Machine
from workloads.spec import flatten

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

__all__ = ["DataSplit", "data_splits", "machine_tags", "source_tags"]

LONGEST_DIGEST = 36  # MLflow's limit
CHANGED = "-changed"  # how the commit ends of a checkout with changes
SPLITS = ("train", "validation", "test")
# which images a run has for which purpose, and where they lie: no other data set
OF_NO_MATTER = ("data.split_seed", "data.root")


@dataclass(frozen=True)
class DataSplit:
    """A part of a data set that a run has used, and for what; `images` None: not known."""

    name: str
    context: str
    digest: str
    source: str | None
    images: int | None

    def as_input(self) -> "DatasetInput":
        """Return it as MLflow has it.

        The name has the context in it: of one data set MLflow keeps one context.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = {"uri": self.source} if self.source else {"generator": self.name}
        profile = None if self.images is None else json.dumps({"num_rows": self.images})
        return DatasetInput(
            dataset=Dataset(
                name=f"{self.name} {self.context}",
                digest=self.digest[:LONGEST_DIGEST],
                source_type="local" if self.source else "code",
                source=json.dumps(source),
                profile=profile,
            ),
            tags=[InputTag("mlflow.data.context", self.context)],
        )


def data_splits(
    data_name: Callable[[Mapping[str, Any]], str],
    kept: KeptPlan,
    spec: Mapping[str, Any] | None = None,
) -> list[DataSplit]:
    """Return the parts of the data of a run, by the tree of its specification, or of a sweep.

    `data_name` names the data of a tree. Sizes are those that the sweep has counted, where the run
    has the same images.
    """
    data, tree = kept["data"], kept["base"] if spec is None else spec
    flat = flatten(tree)
    same = _images(flat) == _images(flatten(kept["base"]))
    return [
        DataSplit(
            name=data_name(tree),
            context=context,
            digest=str(flat.get("data.content") or data["content"]),
            source=flat.get("data.root"),
            images=count if same else None,
        )
        for context, count in zip(
            SPLITS, (data["train"], data["validation"], data["test"]), strict=True
        )
        if count or not same
    ]


def source_tags(kept: KeptPlan) -> dict[str, str]:
    """Return the tags from which MLflow's pages show the source of a run: command and commit."""
    words = []
    for word in kept["command"].split():
        if word.startswith("-"):
            break
        words.append(word)
    tags = {"mlflow.source.name": " ".join(words), "mlflow.source.type": "LOCAL"}
    if commit := kept["git_commit"]:
        tags["mlflow.source.git.commit"] = commit.removesuffix(CHANGED)
    return tags


def machine_tags(machine: Machine | None) -> dict[str, str]:
    """Return the tags that say what a run's numbers were measured on."""
    if machine is None:
        return {}
    tags = {
        "simclr_orch.device": machine["device"],
        "simclr_orch.threads": str(machine["threads"]),
        "simclr_orch.workers": str(machine["workers"]),
        "simclr_orch.precision": machine["precision"],
        "simclr_orch.torch": machine["torch"],
    }
    if hosts := machine.get("hosts"):
        tags["simclr_orch.hosts"] = ", ".join(hosts)
    return tags


def _images(flat: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in flat.items()
        if name.startswith("data.") and name not in OF_NO_MATTER
    }
