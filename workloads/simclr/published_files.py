"""Weights that others have published, read from their files: a state dict by its own keys.

Reading never runs code from a file. torchvision's weights are files, too, fetched by their names.
"""

import io
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor
from torch.serialization import safe_globals

from workloads.extras import install_command
from workloads.simclr.encoder import RESNETS
from workloads.simclr.published_plain import PLAIN, Array
from workloads.spec import SpecError

__all__ = ["Held", "listed", "read_tensors", "read_torchvision"]

Held = dict[str, dict[str, Tensor]]
"""The tensors of a file by where they lie in it (`state.model`, or nothing at the top) and name."""

LISTED = 10  # names in a message
DEEPEST = 16  # mappings within one another
LOOKED_AT = 512  # bytes of a file that show what it is

_CONVERT = (
    "on a machine that trusts it, load it with torch.load(..., weights_only=False)"
    " and write its state dict with safetensors.torch.save_file"
)


def read_tensors(source: str | Path) -> Held:
    """Read all tensors in a file, or at a URI of an object store, by its own keys.

    What it is, its content tells and not its name. Never runs code from it. Raises SpecError.
    """
    file = _opened(source)
    with file:
        start = file.read(LOOKED_AT)
        file.seek(0)
        if _is_safetensors(start):
            return {"": _read_safetensors(source, file)}
        if foreign := _foreign(start):
            raise SpecError([f"{source}: {foreign}"])
        tree = _read_torch(source, file)

    found = dict(_mappings(tree, ""))
    if not found:
        holds = f"it holds a {type(tree).__name__}"
        if isinstance(tree, Mapping):
            holds = f"its keys are {listed(map(str, tree))}"
        raise SpecError([f"{source}: has no tensors by name in it; {holds}"])
    return found


def read_torchvision(name: str) -> Held:
    """Read weights that torchvision publishes: `torchvision:resnet50[:IMAGENET1K_V2]`.

    They are fetched where they are not in torch's cache yet. Raises SpecError.
    """
    _, architecture, *rest = name.split(":")
    if architecture not in RESNETS or len(rest) > 1:
        raise SpecError(
            [
                f"{name}: is not of the form torchvision:NAME[:WEIGHTS]; names are "
                f"{', '.join(RESNETS)}"
            ]
        )

    import torchvision  # here: it takes seconds

    published = torchvision.models.get_model_weights(architecture).__members__
    wanted = rest[0] if rest else "IMAGENET1K_V1"
    if wanted not in published:
        raise SpecError([f"{name}: no such weights; torchvision has {', '.join(published)}"])

    weights = published[wanted]
    try:
        tensors: dict[str, Tensor] = weights.get_state_dict(
            progress=False, check_hash=True, map_location="cpu", weights_only=True
        )
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        where = Path(torch.hub.get_dir(), "checkpoints", weights.url.rpartition("/")[2])
        raise SpecError(
            [f"{name}: {weights.url} could not be had ({_first_line(error)}); put it at {where}"]
        ) from None
    return {"": tensors}


def listed(names: Iterable[str]) -> str:
    """Write the first of some names, and dots where there are more."""
    every = [*names]
    return ", ".join(every[:LISTED]) + (", ..." if len(every) > LISTED else "")


def _opened(source: str | Path) -> BinaryIO:
    if "://" in str(source):
        import pyarrow as pa
        from pyarrow import fs

        try:
            filesystem, name = fs.FileSystem.from_uri(str(source))
            with filesystem.open_input_file(name) as stream:
                return io.BytesIO(stream.read())
        except (OSError, pa.ArrowException, ValueError) as error:
            words = " ".join(str(error).split())
            raise SpecError([f"{source}: cannot be read ({words})"]) from None

    path = Path(source).expanduser()
    if path.is_dir():
        raise SpecError([f"{source}: is a folder; name the file of weights in it"])
    try:
        return path.open("rb")
    except (OSError, ValueError) as error:
        raise SpecError([f"{source}: cannot be read ({error})"]) from None


def _is_safetensors(start: bytes) -> bool:
    """Eight bytes of length, and then JSON."""
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 1 << 32


def _foreign(start: bytes) -> str | None:
    """What a file is whose first bytes are those of no weights that are read here."""
    if not start:
        return "is empty"
    if start.startswith(b"version https://git-lfs"):
        return "is no weights but a pointer of Git LFS to them; fetch the file itself: git lfs pull"
    shown = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if shown.startswith((b"<!doctype", b"<html", b"<?xml")):
        return (
            "is no weights but a web page, such as one that asks before a download; fetch the "
            "file itself"
        )
    for magic, what in (
        (b"\x89HDF", "an HDF5 file, as Keras writes them"),
        (b"\x1f\x8b", "packed by gzip; unpack it first"),
        (b"BZh", "packed by bzip2; unpack it first"),
        (b"\xfd7zXZ", "packed by xz; unpack it first"),
        (b"Rar!", "a RAR archive; unpack it first"),
        (b"7z\xbc\xaf", "a 7-Zip archive; unpack it first"),
        (b"\x93NUMPY", "a single array of numpy"),
    ):
        if start.startswith(magic):
            return f"is not a file of torch.save or safetensors: it is {what}"
    text = start.decode("utf-8", errors="replace").rstrip("\ufffd")  # the last may be cut in two
    if all(letter.isprintable() or letter.isspace() for letter in text) and "\ufffd" not in text:
        line = " ".join(text.split())[:40]
        return f"is not a file of torch.save or safetensors: it is text ({line!r})"
    return None


def _read_safetensors(source: str | Path, file: BinaryIO) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load
    except ImportError:
        raise SpecError([f"{source}: needs safetensors: {install_command('export')}"]) from None
    try:
        return load(file.read())
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise SpecError(
            [f"{source}: cannot be read as safetensors, is it whole? ({_first_line(error)})"]
        ) from None


def _read_torch(source: str | Path, file: BinaryIO) -> Any:
    try:
        # The warning is about other pickles.
        with safe_globals(PLAIN), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported operand" in str(error):
            raise SpecError(
                [
                    f"{source}: is not a file of torch.save, or is cut off or of another pickle "
                    f"protocol; other pickles could run code when they are read; {_CONVERT}"
                ]
            ) from None
        wanted = re.search(r"GLOBAL (\w[\w.]*)", str(error))
        what = "has more than tensors in it" + (f" ({wanted[1]})" if wanted else "")
        raise SpecError(
            [f"{source}: {what} and could run code when it is read, so it is not; {_CONVERT}"]
        ) from None
    except RuntimeError as error:
        # archives of TorchScript, and tar files of torch before 0.2
        refused = "weights_only" in str(error)
        why = f"without running code from it; {_CONVERT}" if refused else _archive(file, error)
        raise SpecError([f"{source}: cannot be read {why}"]) from None
    except OSError as error:
        raise SpecError([f"{source}: cannot be read {_archive(file, error)}"]) from None
    except (EOFError, LookupError, ValueError, TypeError, AttributeError, AssertionError) as error:
        # What the unpickler stumbles over in a file that is no pickle at all.
        raise SpecError(
            [f"{source}: is not a file of torch.save, or is cut off ({type(error).__name__})"]
        ) from None


def _archive(file: BinaryIO, error: Exception) -> str:
    """Why an archive cannot be read: it is cut off, or of something else."""
    file.seek(0)
    if file.read(2) != b"PK":
        return f"({_first_line(error)})"
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return "as its end is missing: was it copied or fetched to the end?"
    if any(name.endswith("data.pkl") for name in names):
        return f"({_first_line(error)})"
    return f"as it is a zip archive of something else, which holds {listed(names)}"


def _mappings(tree: Any, at: str, depth: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Find every mapping that holds tensors, also within lists, by its place in the tree."""
    if depth > DEEPEST:
        return
    if isinstance(tree, Mapping):
        tensors = {str(name): _tensor(value) for name, value in tree.items()}
        if own := {name: tensor for name, tensor in tensors.items() if tensor is not None}:
            yield at, own
    items = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
    for name, value in items:
        if isinstance(value, Mapping | list | tuple):
            yield from _mappings(value, f"{at}.{name}" if at else str(name), depth + 1)


def _tensor(value: Any) -> Tensor | None:
    if isinstance(value, Array):
        return value.tensor()
    return value.detach() if isinstance(value, Tensor) else None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
