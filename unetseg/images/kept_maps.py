"""Maps in 0…1 that a result holds beside its labels: probabilities, uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unetseg.uncertainty import MEANING

MapType = Literal["uint8", "float16", "float32"]
PROBABILITIES, UNCERTAINTY = "probabilities", "uncertainty"
MEANINGS = {
    PROBABILITIES: "probability of each class; of two classes of the second one",
    UNCERTAINTY: MEANING,
}


class MapSpec(NamedTuple):
    """Channels and dtype of a map; uint8 holds 255 times the value."""

    channels: int
    dtype: MapType


NO_MAPS: Mapping[str, MapSpec] = MappingProxyType({})


def as_stored(maps: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Values in 0…1 as they are stored: as uint8 rounded to 1/255.

    >>> as_stored(np.array([0, 0.5, 1]), np.uint8).tolist()
    [0, 128, 255]
    """
    return (np.rint(maps * 255) if np.dtype(dtype) == np.uint8 else maps).astype(dtype)


def as_fractions(stored: NDArray[Any]) -> NDArray[np.float32]:
    """Stored values as float32 in 0…1.

    >>> as_fractions(np.array([0, 255], np.uint8)).tolist()
    [0.0, 1.0]
    """
    return stored.astype(np.float32) / np.float32(255 if stored.dtype == np.uint8 else 1)


def meaning(name: str, dtype: DTypeLike) -> str:
    """What a map's values are, for the metadata of its file."""
    return MEANINGS[name] + ("; the file holds 255 times the value" if np.dtype(dtype) == np.uint8 else "")


def map_path(labels: Path, name: str) -> Path:
    """Where a map goes, beside the labels.

    >>> map_path(Path("a_labels.tif"), "probabilities").name, map_path(Path("b.nii.gz"), "uncertainty").name
    ('a_probabilities.tif', 'b_uncertainty.nii.gz')
    """
    ending = next((e for e in (".nii.gz", ".nii") if labels.name.lower().endswith(e)), labels.suffix)
    stem = labels.name[: len(labels.name) - len(ending)]
    return labels.with_name(f"{stem.removesuffix('_labels').removesuffix('_classes') or stem}_{name}{ending}")
