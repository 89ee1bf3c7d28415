"""A minute: the notebooks of the documentation run from their first cell to their last."""

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# In this process the machinery of kernels would leave warnings of its own.
EXECUTE = (
    "import sys, nbformat; from nbclient import NotebookClient\n"
    "book = nbformat.read(sys.argv[1], as_version=4)\n"
    "NotebookClient(book, timeout=400, kernel_name='python3').execute()\n"
    "nbformat.write(book, sys.argv[2])\n"
)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_what_it_printed(path: Path) -> None:
    book = read(path)
    nbformat.validate(book)
    for cell in book.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.slow
def test_every_notebook_runs_and_takes_over_what_the_first_has_run(
    as_script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "execute.py"
    script.write_text(EXECUTE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("MPLCONFIGDIR", os.environ.get("MPLCONFIGDIR", str(tmp_path / "mpl")))
    assert len(NOTEBOOKS) == 3
    told = {}
    for path in NOTEBOOKS:
        as_script(str(script), path, tmp_path / path.name)
        told[path.name] = [
            output
            for cell in read(tmp_path / path.name).cells
            for output in cell.get("outputs", ())
        ]
    records = list((tmp_path / "notebook-results").glob("runs/*/run.json"))
    assert len(records) == 6
    for name, outputs in told.items():
        text = str(outputs)
        assert ("[6/6]" in text) == name.startswith("01"), "the others found all of it there"
        said = [one["text"] for one in outputs if one.get("name") == "stderr"]
        # on a loaded machine
        assert not [text for text in said if not text.startswith("still waiting for")], name
        kinds = {kind for one in outputs for kind in one.get("data", {})}
        assert ("image/png" in kinds) == (not name.startswith("03"))
