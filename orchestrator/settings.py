"""What a user sets once: where results lie, which tracking server and which cluster."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from workloads.spec import Part
from workloads.text_files import TextError, read_text

__all__ = ["Settings", "read_settings"]

FILE = "simclr-orch.toml"
MOST_BYTES = 2**20
PREFIX = "SIMCLR_ORCH_"
OF_MLFLOW = "MLFLOW_TRACKING_URI"
KIND = r"\d+x\d+(x\d+(:[\w.-]+)?)?"


class Settings(Part):
    """Where results are kept (folder or URI), MLflow's server, and a running Ray's address.

    Without a server MLflow uses a database in the storage. `nodes` is what an autoscaled cluster
    starts when it is needed, COUNTxCPUSxGPUS for each kind, as `8x16x1,2x64`, and the type of its
    GPUs where cells ask for one, as `8x16x1:A100`. Ray does not tell, and a sweep is sized by it
    before the first node is up.
    """

    storage: str = "simclr-orch-results"
    tracking_uri: str | None = None
    address: str | None = None
    nodes: Annotated[str, Field(pattern=rf"^{KIND}(,{KIND})*$")] | None = None


def read_settings(
    flags: Mapping[str, str | None], environment: Mapping[str, str], folder: Path
) -> Settings:
    """Return the settings in force: of flags, else of variables, else of the file, else defaults.

    Variables are `SIMCLR_ORCH_STORAGE` and the like; others that begin so, and empty ones, are not
    read. The file is simclr-orch.toml in `folder`. What names no tracking server leaves it to
    `MLFLOW_TRACKING_URI`.
    Raises SpecError that names the file, variable or field that is wrong.
    """

    class Sourced(Settings, BaseSettings):
        # A field in another case is another field, as in every specification.
        model_config = SettingsConfigDict(case_sensitive=True)

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            variables = _Variables(settings_cls, environment)
            file, mlflows = _File(settings_cls, folder / FILE), _Mlflows(settings_cls, environment)
            return init_settings, variables, file, mlflows

    sourced = Sourced.read({name: value for name, value in flags.items() if value is not None})
    # A plain value: one that is made from it, such as a Ray Job's, does not look there again.
    return Settings.read(sourced.tree())


class _File(PydanticBaseSettingsSource):
    """A file of settings, whichever editor wrote it; where there is none it sets nothing."""

    def __init__(self, settings_cls: type[BaseSettings], file: Path) -> None:
        super().__init__(settings_cls)
        try:
            self._tree = tomllib.loads(read_text(file, most=MOST_BYTES)) if file.exists() else {}
        except (tomllib.TOMLDecodeError, TextError, RecursionError) as error:
            # pydantic is validating: it hands the text on as it stands, and `read` raises SpecError
            raise ValueError(f"{file}: cannot be read ({error})") from None

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._tree.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._tree


class _Mlflows(PydanticBaseSettingsSource):
    """The server that labs name to every program that uses MLflow."""

    def __init__(self, settings_cls: type[BaseSettings], environment: Mapping[str, str]) -> None:
        super().__init__(settings_cls)
        self._uri = environment.get(OF_MLFLOW)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return (self._uri if field_name == "tracking_uri" else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        return {"tracking_uri": self._uri} if self._uri else {}


class _Variables(PydanticBaseSettingsSource):
    """The variables of a given environment; pydantic's own source reads that of the process."""

    def __init__(self, settings_cls: type[BaseSettings], environment: Mapping[str, str]) -> None:
        super().__init__(settings_cls)
        self._environment = environment

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._environment.get(PREFIX + field_name.upper()), field_name, False

    def __call__(self) -> dict[str, Any]:
        fields = self.settings_cls.model_fields
        found = {name: self.get_field_value(field, name)[0] for name, field in fields.items()}
        return {name: value for name, value in found.items() if value}
