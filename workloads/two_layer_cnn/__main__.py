"""A cell of the two-layer study, with several seeds: `python -m workloads.two_layer_cnn`."""

import argparse
import json
import sys
from pathlib import Path

from workloads.spec import SpecError
from workloads.two_layer_cnn.presets import PRESETS, preset
from workloads.two_layer_cnn.run import (
    DivergedError,
    curves,
    divergence_of,
    results,
    train,
)
from workloads.two_layer_cnn.spec import TwoLayerSpec
from workloads.written import read_assignments, read_yaml


def main(arguments: list[str] | None = None) -> int:
    """Parse, run all seeds as one batch, print one JSON line for each. Returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        base = (
            TwoLayerSpec.read(read_yaml(options.config, TwoLayerSpec))
            if options.config
            else preset(options.preset)
        )
        spec = base.with_values(read_assignments(options.set, TwoLayerSpec))
        if options.seeds < 1:
            raise SpecError([f"--seeds {options.seeds}: at least 1 is needed"])
        _run(
            [spec.with_values({"seed": spec.seed + more}) for more in range(options.seeds)],
            options.curves,
        )
    except SpecError as error:
        print(error, file=sys.stderr)
        return 2
    except DivergedError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workloads.two_layer_cnn", description=__doc__)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--preset", default="gaussian-patches", metavar="|".join(PRESETS))
    source.add_argument("--config", type=Path, help="a whole specification as YAML")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument(
        "--seeds", type=int, default=1, help="how many, counted from the specification's"
    )
    parser.add_argument(
        "--curves", action="store_true", help="add the training curves to each line"
    )
    return parser


def _run(specs: list[TwoLayerSpec], with_curves: bool) -> None:
    *_, last = train(specs)
    drawn, found = curves(specs, last.state), results(specs, last.state)
    for spec, metrics in zip(specs, found, strict=True):
        if error := divergence_of(spec, metrics):
            raise error
    for spec, metrics, curve in zip(specs, found, drawn, strict=True):
        line = {"seed": spec.seed, "fingerprint": spec.fingerprint()} | metrics
        print(json.dumps(line | ({"curves": curve} if with_curves else {})))


if __name__ == "__main__":
    sys.exit(main())
