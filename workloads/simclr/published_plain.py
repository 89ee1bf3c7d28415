"""What lies beside the tensors in files of `torch.save`: numbers, dates and paths, as inert data.

Each name that a file may mention stands for something of this module, and not for the library's own
code: numpy's can be given bytes that break it. Anything else that a file mentions is refused.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, from_numpy

__all__ = ["PLAIN", "Array", "Number", "Record"]

_NUMBERS = "biufc"  # kinds of numpy's types whose bytes are numbers


class Record:
    """A date, a path or options: kept as nothing but the fact that there was something."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


class Number:
    """numpy's type of numbers, by its name."""

    name, order = "", "="

    def __init__(self, name: Any = "", *_: Any) -> None:
        self.name = name if isinstance(name, str) else ""

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">"):
            self.order = state[1]

    @property
    def real(self) -> "np.dtype[Any] | None":
        """numpy's own, where it is one of numbers."""
        kind, size = self.name[:1], self.name[1:]
        known = kind in _NUMBERS and size.isdecimal()
        try:
            return np.dtype(f"{self.order}{kind}{size}") if known else None
        except TypeError:
            return None


class Array:
    """numpy's array: its shape, its type and its bytes."""

    _state: tuple[Any, ...] = ()

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, state: Any) -> None:
        self._state = tuple(state) if isinstance(state, tuple) else ()

    def tensor(self) -> Tensor | None:
        """Return the array as a tensor; None where it does not hold numbers."""
        if len(self._state) != 5:
            return None
        _, shape, number, by_columns, data = self._state
        real = number.real if isinstance(number, Number) else None
        if real is None or not isinstance(data, bytes | bytearray) or not isinstance(shape, tuple):
            return None
        try:
            array = np.frombuffer(data, real).reshape(shape, order="F" if by_columns else "C")
            native = array.astype(real.newbyteorder("="), order="C")
            return from_numpy(native)
        except (TypeError, ValueError):
            return None  # bytes that are too few, and numbers that torch has not


def _plain_dict(*_: Any) -> dict[Any, Any]:
    return {}  # of collections.defaultdict, whose items follow


def _named(place: Any, modules: str, names: str) -> list[tuple[Any, str]]:
    return [(place, f"{module}.{name}") for module in modules.split() for name in names.split()]


# `safe_globals` takes pairs of what stands for a name, and the name.
PLAIN: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *_named(Number, "numpy", "dtype"),
    *_named(Array, "numpy", "ndarray"),
    *_named(Array, "numpy._core.multiarray numpy.core.multiarray", "_reconstruct"),
    *_named(Record, "numpy._core.multiarray numpy.core.multiarray", "scalar"),
    *_named(Record, "argparse", "Namespace"),
    *_named(Record, "types", "SimpleNamespace"),
    *_named(Record, "datetime", "datetime date time timedelta timezone"),
    *_named(Record, "decimal", "Decimal"),
    *_named(Record, "uuid", "UUID"),
    *_named(
        Record,
        "pathlib pathlib._local",
        "Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath",
    ),
    *_named(Record, "builtins", "frozenset slice range list dict tuple int float str bool"),
    *_named(Record, "torch.torch_version", "TorchVersion"),
    *_named(_plain_dict, "collections", "defaultdict"),
]
