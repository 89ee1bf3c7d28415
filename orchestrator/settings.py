"""What a user sets once: where results lie, which tracking server and which cluster. Flags go
before environment and file.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from workloads.spec import Part, SpecError

__all__ = ["Settings", "read_settings"]

FILE = "simclr-orch.toml"
PREFIX = "SIMCLR_ORCH_"
KIND = r"\d+x\d+(x\d+(:[\w.-]+)?)?"


class Settings(Part):
    """Where results are kept (folder or URI), MLflow's server (default: a database there), and a
    running Ray's address.

    `nodes`: what an autoscaled cluster starts when it is needed, COUNTxCPUSxGPUS for each kind, as
    `8x16x1,2x64`, and the type of its GPUs where cells ask for one, as `8x16x1:A100`. Ray does not
    tell, and a sweep is sized by it before the first node is up.
    """

    storage: str = "simclr-orch-results"
    tracking_uri: str | None = None
    address: str | None = None
    nodes: Annotated[str, Field(pattern=rf"^{KIND}(,{KIND})*$")] | None = None


def read_settings(
    flags: Mapping[str, str | None], environment: Mapping[str, str], folder: Path
) -> Settings:
    """The settings in force: flags, then SIMCLR_ORCH_* variables, then simclr-orch.toml in
    `folder`, then the defaults.

    Raises SpecError that names the file, variable or field that is wrong.
    """
    values: dict[str, object] = {}
    file = folder / FILE
    if file.exists():
        try:
            values |= tomllib.loads(file.read_text())
        except (tomllib.TOMLDecodeError, OSError) as error:
            raise SpecError([f"{file}: cannot be read ({error})"]) from None
    for name in Settings.model_fields:
        if value := environment.get(PREFIX + name.upper()):
            values[name] = value
    values |= {name: value for name, value in flags.items() if value is not None}
    return Settings.read(values)
