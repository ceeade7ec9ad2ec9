"""Labels of Cellpose's NAME_seg.npy files, read without running anything that is in the file.

The file is a NumPy array that holds one pickled dictionary. While it is unpickled, its arrays are kept as
their shape, type and bytes; whatever else the pickle asks for is refused.
"""

from __future__ import annotations

import math
import pickle
import pickletools
import re
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from unetseg.errors import UserError, reading
from unetseg.images.limits import check_claim

INTEGERS = re.compile(r"[<>|=]?[iub][1248]")


def read_cellpose(path: Path) -> NDArray[Any]:
    """The masks of a NAME_seg.npy file as pages (n, y, x): object ids, 0 background.

    Raises UserError for a file that holds anything but numbers, text and arrays, or no masks.
    """
    with reading(path, "Cellpose"):
        with path.open("rb") as file:
            _check_header(path, file)
            pickled = BytesIO(file.read())
        _check_numbers(pickled)
        read = _Unpickler(pickled).load()
        (found,) = read.state[4]
        masks = found["masks"].pixels(path)
    if masks.ndim not in (2, 3):
        raise UserError(f"{path}: its masks have the shape {masks.shape}; expected (y, x) or (z, y, x).")
    return masks if masks.ndim == 3 else masks[None]


class _Array:
    """Stands in for a NumPy array while unpickling."""

    state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def pixels(self, path: Path) -> NDArray[Any]:
        """The array, if it is one of integers."""
        _, shape, kind, by_columns, stored = self.state
        code = f"{kind.order}{kind.code}"
        if not INTEGERS.fullmatch(code):
            raise UserError(f"{path}: its masks are of type {code}; expected integers.")
        check_claim(path, math.prod(shape) * np.dtype(code).itemsize, path.stat().st_size)
        return np.frombuffer(stored, code).reshape(shape, order="F" if by_columns else "C")


class _Type:
    """Stands in for a NumPy type while unpickling."""

    order = "|"

    def __init__(self, code: str, *_: Any) -> None:
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


def _scalar(*_: Any) -> None:
    """Numbers beside the masks, which nothing here needs."""


def _empty_array(*_: Any) -> _Array:
    return _Array()


def _from_bytes(stored: bytes, kind: _Type, shape: tuple[int, ...], order: str) -> _Array:
    array = _Array()
    array.state = (1, shape, kind, order == "F", stored)
    return array


STAND_INS: dict[str, Callable[..., Any]] = {
    "_reconstruct": _empty_array,
    "ndarray": _Array,
    "dtype": _Type,
    "scalar": _scalar,
    "_frombuffer": _from_bytes,
}


class _Unpickler(pickle.Unpickler):
    """Builds nothing but what stands above."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] != "numpy" or name not in STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not data")
        return partial(STAND_INS[name])  # a new object each time, which the pickle may change


def _check_numbers(pickled: BytesIO) -> None:
    """Refuse a pickle that numbers an object, or claims a length, beyond its own size in bytes.

    A table with that many places would be made, or that much memory taken, before the file ends.
    """
    size = len(pickled.getbuffer())
    for code, number, _ in pickletools.genops(pickled):
        if code.name in ("PUT", "LONG_BINPUT", "FRAME") and (number or 0) > size:
            raise pickle.UnpicklingError(f"{code.name} of {number} in {size} bytes")
    pickled.seek(0)


def _check_header(path: Path, file: Any) -> None:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    if shape != () or not dtype.hasobject:
        raise UserError(f"{path}: an array, not what Cellpose saves. Save label images as TIFF or PNG.")
