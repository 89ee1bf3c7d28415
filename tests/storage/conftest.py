"""What tests of storages share: one of each kind."""

from pathlib import Path
from uuid import uuid4

import pytest

from orchestrator.storage import Storage


@pytest.fixture(params=["folder", "fsspec", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """A storage in a folder, one by fsspec, and a bucket."""
    match request.param:
        case "folder":
            return Storage(str(tmp_path / "results"))
        case "fsspec":
            return Storage(f"memory://bucket/{uuid4().hex}")
        case _:
            return Storage(f"{request.getfixturevalue('bucket')}/results?region=us-east-1")
