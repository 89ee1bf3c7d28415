"""What the tests share: a cache of decoded images of their own, and one thread a process."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Never the user's cache; subprocesses inherit it."""
    before = os.environ.get("SIMCLR_ORCH_CACHE")
    os.environ["SIMCLR_ORCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["SIMCLR_ORCH_CACHE"]
    else:
        os.environ["SIMCLR_ORCH_CACHE"] = before


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def storage_folder(tmp_path: Path) -> Path:
    """Where a command under test keeps its results."""
    return tmp_path / "storage"
