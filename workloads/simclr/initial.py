"""The encoder that a run begins with where its specification names one: read, checked, pinned."""

import hashlib
import re
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from workloads.simclr.model import Model
from workloads.simclr.published import NAMED, Choice, encoder_of
from workloads.simclr.spec import EncoderSpec, InitSpec, RunSpec
from workloads.spec import SpecError

__all__ = ["begin_with", "initial_problems", "origin_of", "pinned_start"]


def pinned_start(spec: RunSpec) -> RunSpec:
    """Return the specification with the digest of the weights that it begins with.

    Its fingerprint then stands for the weights, and not for a path. Raises SpecError for weights
    that cannot be read or do not fit.
    """
    if spec.init.weights is None or spec.init.content is not None:
        return spec
    return spec.with_values({"init.content": _content_of(spec.init, spec.encoder)})


def initial_problems(spec: RunSpec) -> list[str]:
    """List why a run cannot begin with the weights that it names; empty when it can."""
    init = spec.init
    if init.weights is None:
        lost = init.content is not None
        return ["init.content: needs init.weights, where the weights lie"] if lost else []
    try:
        content = _content_of(init, spec.encoder)
    except SpecError as error:
        return error.problems
    return _other_content(init, content)


def begin_with(model: Model, spec: RunSpec) -> None:
    """Put given weights into the encoder of an untrained model, where the specification has some.

    Every worker reads them, and begins alike. Raises SpecError for others than were pinned.
    """
    if spec.init.weights is None:
        if spec.init.content is not None:
            raise SpecError(initial_problems(spec))
        return
    tensors = _read(spec.init, spec.encoder)
    if problems := _other_content(spec.init, _digest(tensors)):
        raise SpecError(problems)
    model.encoder.load_state_dict(tensors)


def origin_of(weights: str) -> str:
    """Name given weights for people: a run, or the file without its folders."""
    run = re.search(r"runs/([0-9a-f]{12})[0-9a-f]*/checkpoint\.pt$", weights)
    return f"run {run[1]}" if run else weights.rpartition("/")[2]


def _other_content(init: InitSpec, content: str) -> list[str]:
    if init.content in (None, content):
        return []
    return [
        f"init.weights={init.weights}: holds another encoder ({content}) than "
        f"init.content={init.content}"
    ]


def _read(init: InitSpec, encoder: EncoderSpec) -> dict[str, Tensor]:
    assert init.weights is not None, "asked by the caller"
    choice = Choice(init.prefix, init.ignore, "--set init.prefix=", "--set init.ignore=")
    try:
        return encoder_of(init.weights, encoder, choice).tensors
    except SpecError as error:
        raise SpecError([f"init.weights: {problem}" for problem in error.problems]) from None


def _content_of(init: InitSpec, encoder: EncoderSpec) -> str:
    assert init.weights is not None, "asked by the caller"
    changed = (0, 0)
    if not init.weights.startswith(NAMED) and "://" not in init.weights:
        try:
            facts = Path(init.weights).expanduser().stat()
            changed = facts.st_mtime_ns, facts.st_size
        except OSError:
            pass  # reading says what is wrong
    return _known_content(init.with_values({"content": None}), encoder, changed)


@lru_cache(maxsize=64)
def _known_content(init: InitSpec, encoder: EncoderSpec, _: tuple[int, int]) -> str:
    """The digest of a file's encoder, read once a process as long as the file stays as it is."""
    return _digest(_read(init, encoder))


def _digest(tensors: dict[str, Tensor]) -> str:
    """Equal for equal numbers, in whatever file; BN's counters of batches are never read."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        if not name.endswith("num_batches_tracked"):
            tensor = tensors[name].contiguous()
            found.update(f"{name} {list(tensor.shape)}\n".encode())
            found.update(tensor.numpy().tobytes())
    return found.hexdigest()[:20]
