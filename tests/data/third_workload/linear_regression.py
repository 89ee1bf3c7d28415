"""A third workload, as another distribution would bring it: regression on generated data."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch

from search_spaces import Ablation, Axis, Cell, Claim, Layout
from search_spaces.claims import beats
from workloads.quantity import Curves, Quantity
from workloads.spec import Part, digest
from workloads.workload import DataFacts, Ended, Paper, Progress, TrainedTogether


class RegressionSpec(Part):
    """How many inputs of how many dimensions, and how long gradient descent lasts."""

    inputs: int = 8
    dimensions: int = 4
    noise: float = 0.5
    steps: int = 50
    seed: int = 0

    def fingerprint(self) -> str:
        return digest({"linear-regression": self.tree()})


class LinearRegression:
    """Least squares by gradient descent, evaluated by how near it comes to the true weights."""

    name = "linear-regression"
    presets: Mapping[str, Callable[[], RegressionSpec]] = {"regression": RegressionSpec}
    headline = ("weight_agreement",)
    paper = Paper("a textbook")
    quantities: Mapping[str, Quantity] = {
        "weight_agreement": Quantity("agreement with the true weights", "cosine", 3)
    }
    curves = Curves({"loss": Quantity("mean squared error")}, unit_of_time="step")
    logged = ("loss",)
    paths: tuple[str, ...] = ()
    free_fields = ("seed",)

    def read(self, tree: Mapping[str, Any]) -> RegressionSpec:
        return RegressionSpec.read(tree)

    def prepare(self, spec: RegressionSpec, *, download: bool) -> tuple[RegressionSpec, DataFacts]:
        return spec, DataFacts("generated inputs", spec.inputs, 0, 0, "generated")

    def problems(
        self, spec: RegressionSpec, train_images: int | None, world_size: int
    ) -> list[str]:
        return [] if world_size == 1 else [f"--workers {world_size}: regression takes one worker"]

    def reference(self, spec: RegressionSpec) -> None:
        return None

    def promised(self, spec: RegressionSpec) -> tuple[str, ...]:
        return self.headline

    def scale(self, spec: RegressionSpec, setting: str) -> Literal["paper", "small"]:
        return "small"

    def data_name(self, tree: Mapping[str, Any]) -> str:
        return "generated"

    def setting(self, tree: Mapping[str, Any]) -> str:
        return f"{tree['dimensions']} dimensions, {tree['steps']} steps"

    def together(self, spec: RegressionSpec) -> str:
        return self.name

    def shared(self, spec: RegressionSpec) -> str:
        return spec.fingerprint()

    def cost(self, specs: Sequence[RegressionSpec]) -> float:
        return sum(4.0 * spec.steps * spec.inputs * spec.dimensions for spec in specs)

    def train_together(
        self, specs: Sequence[RegressionSpec], resume: dict[str, Any] | None
    ) -> Iterator[Progress]:
        for position, spec in enumerate(specs):
            draw, true = torch.Generator().manual_seed(spec.seed), torch.ones(spec.dimensions)
            x = torch.randn(spec.inputs, spec.dimensions, generator=draw)
            y = x @ true + spec.noise * torch.randn(spec.inputs, generator=draw)
            w, history = torch.zeros(spec.dimensions), []
            for step in range(1, spec.steps + 1):
                w = w - 0.1 * x.T @ (x @ w - y) / len(x)
                history.append({"epoch": float(step), "loss": float(((x @ w - y) ** 2).mean())})
            agreement = float(torch.cosine_similarity(w, true, dim=0))
            ended = Ended({"weight_agreement": agreement}, history, seconds=0.001)
            yield Progress({position: ended}, {}, None)


LINEAR_REGRESSION: TrainedTogether[RegressionSpec] = LinearRegression()
CELLS = tuple(Cell(at=(str(count),), values={"inputs": count}) for count in (4, 64))
INPUTS = Layout(axes=(Axis(name="inputs", labels=("4", "64")),), cells=CELLS)
MORE_INPUTS = Ablation(
    name="more-inputs",
    title="Regression by number of inputs",
    question="Do more inputs find the weights?",
    source="chapter 1",
    paper=INPUTS,
    small=INPUTS,
    metric="weight_agreement",
    figure="table",
    claims=(Claim.alike("more inputs help", "chapter 1", beats(("64",), ("4",))),),
    workload="linear-regression",
    untrained=False,
)
