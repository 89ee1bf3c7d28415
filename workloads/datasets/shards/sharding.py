"""What is to be written as shards of a folder of images, in an order that mixes the classes.

The output has the parts of the folder, each with files of as many images, and `manifest.json` with
the request, the classes, and every file's count and SHA-256. Equal folders and requests give equal
bytes.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from workloads.datasets.shards.files import MANIFEST
from workloads.datasets.sources.folder_listing import File, Listing, content_of, listing_of
from workloads.local_files import write_whole
from workloads.spec import SpecError
from workloads.spelling import did_you_mean

__all__ = ["LOCK", "Entries", "Sharding", "entry_of", "plan_shards"]

Format = Literal["tar", "parquet"]
Entries = dict[str, dict[str, Any]]  # of the manifest: a file's images, bytes and SHA-256 by name

REVISION = 1  # raised whenever the same folder and request would give other files
LOCK = ".lock"  # held by whoever writes into the output


@dataclass(frozen=True)
class Sharding:
    """What is to be written: for each file its images, as rows of the listing with their number.

    `request` says from what, and is kept with what is written.
    """

    listing: Listing
    output: Path
    format: Format
    request: dict[str, Any]
    files: dict[str, list[tuple[int, File]]]

    @property
    def parts(self) -> dict[str, list[File]]:
        """Return the images of `train`, and of `test` or `val` as the folder has it."""
        return _parts(self.listing)

    def written(self) -> Entries:
        """Read the entries of the files that need not be written again.

        Raises SpecError for an output of something else.
        """
        return _written(self.output, self.request)

    def keep(self, entries: Entries, *, complete: bool) -> None:
        """Write the manifest with these entries. Raises OSError."""
        manifest = {
            "complete": complete,
            "classes": self.request["classes"],
            "request": self.request,
            "shards": {name: entries[name] for name in self.files if name in entries},
        }
        # Not flushed to the disk, as it is written anew after every file.
        data = json.dumps(manifest, indent=1).encode()
        write_whole(self.output / MANIFEST, data, durable=False)


def plan_shards(
    source: Path, output: Path, *, images_per_shard: int, format: str, seed: int = 0
) -> Sharding:
    """Plan how the image folder `source` is written as shards; `format` is tar or parquet.

    Raises SpecError with everything that is wrong with the request, the folder, or an output of
    something else.
    """
    problems = []
    if images_per_shard < 1:
        problems.append(f"--images-per-shard {images_per_shard}: must be at least 1")
    chosen = next((known for known in get_args(Format) if known == format), None)
    if chosen is None:
        problems.append(
            f"--format {format}: no such format; known are {', '.join(get_args(Format))}"
            f"{did_you_mean(format, get_args(Format))}"
        )
    try:
        listing = listing_of(source)
    except SpecError as error:
        problems += [
            problem.replace(f"data.root={str(source)!r}", str(source)) for problem in error.problems
        ]
    if problems:
        raise SpecError(problems)

    assert chosen is not None
    parts = _parts(listing)
    request = {
        "revision": REVISION,
        "source": content_of(listing),
        "format": chosen,
        "images_per_shard": images_per_shard,
        "seed": seed,
        "images": {part: len(files) for part, files in parts.items()},
        "classes": list(listing.classes),
    }

    files: dict[str, list[tuple[int, File]]] = {}
    for number, (part, of_part) in enumerate(parts.items()):
        generator = np.random.PCG64(np.random.SeedSequence([seed, number]))
        order = np.argsort(generator.random_raw(len(of_part)), kind="stable")
        for shard, start in enumerate(range(0, len(order), images_per_shard)):
            rows = order[start : start + images_per_shard].tolist()
            files[f"{part}/{part}-{shard:06d}.{chosen}"] = [(row, of_part[row]) for row in rows]

    sharding = Sharding(listing, output, chosen, request, files)
    sharding.written()  # which refuses the output where it is of something else
    return sharding


def entry_of(path: Path, images: int) -> dict[str, Any]:
    """Return the entry of a file of so many images, from its bytes. Raises OSError."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"images": images, "bytes": path.stat().st_size, "sha256": digest}


def _parts(listing: Listing) -> dict[str, list[File]]:
    test = listing.test[0].path.partition("/")[0]
    return {"train": listing.train, "val" if test == "val" else "test": listing.test}


def _written(output: Path, request: dict[str, Any]) -> Entries:
    if not output.exists():
        return {}
    try:
        manifest = json.loads((output / MANIFEST).read_text())
        of_before, entries = manifest["request"], manifest["shards"]
    except (FileNotFoundError, NotADirectoryError):
        if output.is_dir() and not _foreign(output):
            return {}
        raise SpecError(
            [f"{output}: is not an empty folder, and not one of shards (no {MANIFEST})"]
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpecError([f"{output / MANIFEST}: is not a manifest of shards ({error})"]) from None

    if differing := [name for name in request if of_before.get(name) != request[name]]:
        raise SpecError(
            [
                f"{output}: holds shards of another request (other {', '.join(differing)}); choose "
                "another folder"
            ]
        )
    return {
        name: entry for name, entry in entries.items() if _size(output / name) == entry["bytes"]
    }


def _foreign(output: Path) -> bool:
    """Whether it has files that are not those of a call that was killed early."""
    return any(
        path.name not in (LOCK, f"{MANIFEST}.partial")
        for path in output.rglob("*")
        if not path.is_dir()
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1
