"""The uncertainty of every object of a result, from the map beside its labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.images import LazyImage, open_image
from unetseg.images.kept_maps import UNCERTAINTY, as_fractions, map_path
from unetseg.images.nifti import read_volume
from unetseg.images.rescale import nearest
from unetseg.images.zarrs import is_zarr
from unetseg.pipeline.measuring import Ids, Measured, open_labels_of
from unetseg.uncertainty import object_uncertainty


def uncertain_objects(labels: Path, *, volumes: bool) -> list[Measured]:
    """The id and the mean uncertainty of the objects of every page of a result, or of a volume.

    labels: what `predict --uncertainty` wrote. Images of any size are read window by window; a map of another
    size than the labels, of an image that was resized for the network, is read at its nearest pixels.
    """
    path = labels / UNCERTAINTY if is_zarr(labels) else map_path(labels, UNCERTAINTY)
    if volumes:
        values = as_fractions(read_volume(path).pixels[0, 0])
        return [Measured(labels.name, "", object_uncertainty(read_volume(labels).pixels[0, 0], values))]
    found = open_labels_of(labels)
    maps = nearest(open_image(path), found.shape[1:])
    return [
        Measured(labels.name, frame, object_uncertainty(Ids(found, i), _Fractions(maps, i)))
        for i, frame in enumerate(found.planes)
    ]


class _Fractions:
    """A plane (y, x) of a stored map that slices like an array, in 0…1."""

    def __init__(self, image: LazyImage, index: int) -> None:
        self.plane = image.plane(index)

    def __getitem__(self, region: Any) -> NDArray[np.float32]:
        return as_fractions(np.asarray(self.plane[(0, *region)]))
