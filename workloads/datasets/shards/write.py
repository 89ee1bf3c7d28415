"""Shards written from a folder of images, in an order that mixes the classes, and checked against
their manifest.

The output has the parts of the folder, each with files of as many images, and `manifest.json` with
the request, the classes, and every file's count and SHA-256. A file is written beside its place and
renamed, and its entry follows: what a killed process left is written again, what has an entry is
not. Equal folders and requests give equal bytes.
"""

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import numpy as np

from workloads.datasets.shards.files import MANIFEST, Shard, ShardFolder, shards_at
from workloads.datasets.shards.source import scan
from workloads.datasets.sources.image_folder import File, Listing, content_of, listing_of
from workloads.local_files import locked, replaced, write_whole
from workloads.spec import SpecError

__all__ = [
    "Checked",
    "Sharding",
    "Written",
    "check_shards",
    "forget",
    "plan_shards",
    "write_shards",
    "written_at",
]

Format = Literal["tar", "parquet"]
Result = TypeVar("Result")
REVISION = 1  # raised whenever the same folder and request would give other files
ROW_GROUP = 64  # images of a Parquet file that are read together when it is indexed
LONGEST = 60  # characters of a file's name that stay part of an image's name in a shard


class Written(NamedTuple):
    """A file of the output: its path there, its images and bytes, and whether an earlier call had
    written it.
    """

    path: str
    images: int
    bytes: int
    before: bool


class Checked(NamedTuple):
    """A file of the output, how it differs from what was written, or '', and its images that cannot
    be read.
    """

    path: str
    images: int
    problem: str
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sharding:
    """What is to be written: for each file its images, as rows of the listing with their number;
    `request` says from what.
    """

    listing: Listing
    output: Path
    format: Format
    request: dict[str, Any]
    files: dict[str, list[tuple[int, File]]]


def plan_shards(
    source: Path, output: Path, *, images_per_shard: int, format: str, seed: int = 0
) -> Sharding:
    """What writing the image folder `source` as shards means; `format` is tar or parquet.

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
    request = {
        "revision": REVISION,
        "source": content_of(listing),
        "format": chosen,
        "images_per_shard": images_per_shard,
        "seed": seed,
        "images": {part: len(files) for part, files in _parts(listing).items()},
        "classes": list(listing.classes),
    }
    files: dict[str, list[tuple[int, File]]] = {}
    for number, (part, of_part) in enumerate(_parts(listing).items()):
        order = np.argsort(
            np.random.PCG64(np.random.SeedSequence([seed, number])).random_raw(len(of_part)),
            kind="stable",
        )
        for shard, start in enumerate(range(0, len(order), images_per_shard)):
            rows = order[start : start + images_per_shard].tolist()
            files[f"{part}/{part}-{shard:06d}.{chosen}"] = [(row, of_part[row]) for row in rows]
    _done(output, request)  # which refuses the output where it is of something else
    return Sharding(listing, output, chosen, request, files)


def write_shards(sharding: Sharding, workers: int) -> Generator[Written]:
    """Write what is missing with `workers` threads, and yield each file that is there.

    Raises SpecError that names what cannot be read or written; what was written by then is kept.
    """
    output = sharding.output
    try:
        for part in _parts(sharding.listing):
            (output / part).mkdir(parents=True, exist_ok=True)
        with locked(output / ".lock"):
            entries = _done(output, sharding.request)
            _keep(sharding, entries, complete=False)  # from now on the folder is known to be ours
            yield from (
                Written(name, entry["images"], entry["bytes"], True)
                for name, entry in entries.items()
            )
            missing = [name for name in sharding.files if name not in entries]
            for name, entry in _in_threads(workers, missing, partial(_write, sharding)):
                entries[name] = entry
                _keep(sharding, entries, complete=False)
                yield Written(name, entry["images"], entry["bytes"], False)
            _keep(sharding, entries, complete=True)
    except OSError as error:
        raise SpecError([f"{output}: cannot be written ({error.strerror or error})"]) from error


def written_at(output: Path) -> ShardFolder:
    """What an earlier call has written. Raises SpecError for an output without a manifest, or
    unfinished.
    """
    try:
        folder = shards_at(str(output))
    except SpecError as error:
        raise SpecError(
            [
                problem.replace(f"data.root={str(output)!r}", str(output))
                for problem in error.problems
            ]
        ) from None
    if folder.manifest is None:
        raise SpecError([f"{output}: has no {MANIFEST} of shards, which they are checked against"])
    return folder


def check_shards(folder: ShardFolder, workers: int, *, decodes: bool) -> Generator[Checked]:
    """Whether each file is what the manifest says, its bytes and how many images it has, and which
    images are unreadable.

    By their headers, or with `decodes` by decoding them.
    """
    assert folder.manifest is not None
    entries: dict[str, dict[str, Any]] = folder.manifest["shards"]
    extra = [shard.path for shard in (*folder.train, *folder.test) if shard.path not in entries]
    yield from (Checked(path, 0, "is not in the manifest") for path in extra)
    checking = partial(_check, folder, entries, decodes)
    yield from (checked for _, checked in _in_threads(workers, list(entries), checking))


def forget(sharding: Sharding, names: list[str]) -> None:
    """Have the files of these names written again by the next call. Raises OSError."""
    with locked(sharding.output / ".lock"):
        entries = _done(sharding.output, sharding.request)
        kept = {name: entry for name, entry in entries.items() if name not in names}
        _keep(sharding, kept, complete=False)


def _check(
    folder: ShardFolder,
    entries: dict[str, dict[str, Any]],
    decodes: bool,
    name: str,
    _stop: threading.Event,
) -> Checked:
    written, path = entries[name], Path(folder.root) / name
    images = written["images"]
    try:
        found = _entry(path, images)
    except OSError as error:
        return Checked(name, images, f"cannot be read ({error.strerror})")
    if found != written:
        return Checked(name, images, "its bytes are not those that were written")
    with TemporaryDirectory() as scratch:
        scanned = scan(
            folder, Shard(name, found["bytes"]), Path(scratch) / "images", decodes=decodes
        )
    if len(scanned.members) != images:
        return Checked(name, images, f"has {len(scanned.members)} images, and not {images}")
    seen = zip(scanned.members, scanned.reasons, strict=True)
    return Checked(
        name, images, "", tuple(f"{member.name}: {reason}" for member, reason in seen if reason)
    )


def _parts(listing: Listing) -> dict[str, list[File]]:
    """`train`, and `test` or `val` as the folder has it."""
    return {files[0].path.partition("/")[0]: files for files in (listing.train, listing.test)}


def _done(output: Path, request: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The entries of the files that need not be written again. Raises SpecError for an output of
    something else.
    """
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
        path.name not in (".lock", f"{MANIFEST}.partial")
        for path in output.rglob("*")
        if not path.is_dir()
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _keep(sharding: Sharding, entries: dict[str, dict[str, Any]], *, complete: bool) -> None:
    manifest = {
        "complete": complete,
        "classes": sharding.request["classes"],
        "request": sharding.request,
        "shards": {name: entries[name] for name in sharding.files if name in entries},
    }
    # What a power cut loses of it is found missing, and written again.
    write_whole(sharding.output / MANIFEST, json.dumps(manifest, indent=1).encode(), durable=False)


def _in_threads(
    workers: int, names: list[str], work: Callable[[str, threading.Event], Result]
) -> Generator[tuple[str, Result]]:
    """Each name with its result, as they come.

    When one fails or nobody asks further, what has not begun is left undone, and what has sees its
    event set.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(workers) as pool:
        futures: dict[Future[Result], str] = {pool.submit(work, name, stop): name for name in names}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _write(sharding: Sharding, name: str, stop: threading.Event) -> dict[str, Any]:
    """Write one file; its entry of the manifest."""
    path, members = sharding.output / name, sharding.files[name]
    write = _write_tar if sharding.format == "tar" else _write_parquet
    try:
        with replaced(path, beside=f"{path.name}.unfinished") as unfinished:
            write(unfinished, _read(sharding.listing.root, members, stop))
            entry = _entry(unfinished, len(members))
    except OSError as error:
        raise SpecError([f"{path}: cannot be written ({error.strerror or error})"]) from error
    return entry


def _entry(path: Path, images: int) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"images": images, "bytes": path.stat().st_size, "sha256": digest}


class _Image(NamedTuple):
    """An image's name in a shard, in the order of the folder, with the ending of its file, its
    label and its bytes.
    """

    key: str
    ending: str
    label: int
    data: bytes


def _read(root: Path, members: list[tuple[int, File]], stop: threading.Event) -> Iterator[_Image]:
    for row, file in members:
        if stop.is_set():
            raise SpecError(["stopped"])
        path = root / file.path
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SpecError([f"{path}: cannot be read ({error.strerror})"]) from error
        # In WebDataset a name ends at its first dot.
        stem = path.stem.replace(".", "_")[:LONGEST]
        yield _Image(f"{row:09d}-{stem}", path.suffix.lower(), file.label, data)


def _write_tar(path: Path, images: Iterator[_Image]) -> None:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for image in images:
            for ending, data in ((image.ending, image.data), (".cls", str(image.label).encode())):
                member = tarfile.TarInfo(image.key + ending)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))


def _write_parquet(path: Path, images: Iterator[_Image]) -> None:
    """Not compressed, which images are already, so that each lies in the file in one piece."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([("image", pa.binary()), ("label", pa.int64()), ("key", pa.string())])
    with parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        group: list[dict[str, Any]] = []
        for image in images:
            group.append({"image": image.data, "label": image.label, "key": image.key})
            if len(group) == ROW_GROUP:
                writer.write_table(pa.Table.from_pylist(group, schema))
                group = []
        if group:
            writer.write_table(pa.Table.from_pylist(group, schema))
