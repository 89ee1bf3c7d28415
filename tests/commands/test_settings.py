"""Milliseconds: which of flag, variable, file and default is in force."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from orchestrator.settings import Settings, read_settings
from workloads.spec import SpecError


def test_flags_then_environment_then_file_then_defaults(tmp_path: Path) -> None:
    assert read_settings({}, {}, tmp_path).storage == "simclr-orch-results"
    (tmp_path / "simclr-orch.toml").write_text('storage = "from-file"\naddress = "10.0.0.1:6379"\n')
    assert read_settings({}, {}, tmp_path).storage == "from-file"
    variables = {"SIMCLR_ORCH_STORAGE": "from-variable"}
    assert read_settings({"storage": None}, variables, tmp_path).storage == "from-variable"
    settings = read_settings({"storage": "from-flag"}, variables, tmp_path)
    assert (settings.storage, settings.address) == ("from-flag", "10.0.0.1:6379")


def test_mlflows_own_variable_names_the_server_where_nothing_of_ours_does(tmp_path: Path) -> None:
    labs = {"MLFLOW_TRACKING_URI": "http://labs:5000"}
    assert read_settings({}, {}, tmp_path).tracking_uri is None
    assert read_settings({}, labs, tmp_path).tracking_uri == "http://labs:5000"
    assert read_settings({}, {"MLFLOW_TRACKING_URI": ""}, tmp_path).tracking_uri is None

    (tmp_path / "simclr-orch.toml").write_text('tracking_uri = "http://file:1"\n')
    assert read_settings({}, labs, tmp_path).tracking_uri == "http://file:1"
    ours = labs | {"SIMCLR_ORCH_TRACKING_URI": "http://ours:2"}
    assert read_settings({}, ours, tmp_path).tracking_uri == "http://ours:2"
    flags = {"tracking_uri": "http://flag:3"}
    assert read_settings(flags, ours, tmp_path).tracking_uri == "http://flag:3"


def test_a_misspelt_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "simclr-orch.toml").write_text('storge = "x"\n')
    with pytest.raises(SpecError, match="storge: no such field; did you mean storage"):
        read_settings({}, {}, tmp_path)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "simclr-orch.toml").write_text("storage = \n")
    with pytest.raises(SpecError, match=r"simclr-orch\.toml: cannot be read") as refused:
        read_settings({}, {}, tmp_path)
    assert str(refused.value).startswith(f"{tmp_path}/simclr-orch.toml: cannot be read (")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_of_a_windows_editor_is_read(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "simclr-orch.toml"
    file.write_bytes('storage = "résultats #3"\r\n'.encode(encoding))
    assert read_settings({}, {}, tmp_path).storage == "résultats #3"


def test_a_file_that_is_no_text_is_named_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "simclr-orch.toml").write_bytes(b'# mine\nstorage = "r\xe9sultats"\n')
    with pytest.raises(SpecError, match="line 2 has the byte 0xE9, which is not UTF-8"):
        read_settings({}, {}, tmp_path)


@pytest.mark.parametrize(
    "nodes", ["8", "8x", "x8", "8x16x1,", "8x16x1x2", "8 x 16", "many", "8x16:A100", "8x16x1:"]
)
def test_nodes_of_another_form_are_refused(nodes: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="nodes="):
        read_settings({}, {"SIMCLR_ORCH_NODES": nodes}, tmp_path)


def test_nothing_but_the_three_sources_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SIMCLR_ORCH_STORAGE", "storage", "STORAGE"):
        monkeypatch.setenv(name, "of-this-process")
    (tmp_path / ".env").write_text("SIMCLR_ORCH_STORAGE=of-dotenv\n")
    monkeypatch.chdir(tmp_path)
    variables = {
        "SIMCLR_ORCH_CACHE": "/decoded",
        "SIMCLR_ORCH_ADDRESS": "",
        "simclr_orch_address": "10.0.0.1:6379",
    }
    assert read_settings({}, variables, tmp_path) == Settings()
    assert Settings().storage == "simclr-orch-results"


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = read_settings({}, {}, tmp_path)
    with pytest.raises(ValidationError):
        settings.storage = "elsewhere"  # type: ignore[misc]


@pytest.mark.parametrize("text", ['Storage = "x"\n', '[storage]\nfolder = "x"\n', "storage = 5\n"])
def test_what_the_file_holds_is_taken_as_it_is(text: str, tmp_path: Path) -> None:
    (tmp_path / "simclr-orch.toml").write_text(text)
    with pytest.raises(SpecError, match=r"^(Storage: no such field|storage.*: Input should be)"):
        read_settings({}, {}, tmp_path)


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "simclr-orch.toml").mkdir()
    with pytest.raises(SpecError, match=r"simclr-orch\.toml: cannot be read"):
        read_settings({}, {}, tmp_path)
