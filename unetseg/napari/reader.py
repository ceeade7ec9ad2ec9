"""Label files and results open as labels, with their pixel size, and with the image where it is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from unetseg.images import LazyImage, open_image
from unetseg.images.zarrs import is_zarr
from unetseg.napari.layers import LayerData, scale_arguments

Reader = Callable[[str | list[str]], list[LayerData]]
LABELS = ("_labels.tif", "_labels.tiff")


def get_reader(path: str | list[str]) -> Reader | None:
    """The reader of a label TIFF or of a result in OME-Zarr; None for anything else, which others read."""
    paths = [Path(p) for p in ([path] if isinstance(path, str) else path)]
    readable = all(p.name.lower().endswith(LABELS) or _is_result(p) for p in paths)
    return read_labels if paths and readable else None


def read_labels(path: str | list[str]) -> list[LayerData]:
    """A labels layer for each path; of a result that holds its image, the image layer first."""
    found: list[LayerData] = []
    for one in [path] if isinstance(path, str) else path:
        found += _result(Path(one)) if is_zarr(Path(one)) else [_layer(open_image(Path(one)), Path(one).stem, "labels")]
    return found


def _is_result(path: Path) -> bool:
    return any((path / "labels" / name).is_dir() for name in ("labels", "classes"))


def _result(path: Path) -> list[LayerData]:
    name = path.name.removesuffix(".zarr").removesuffix(".ome")
    layers = [_layer(open_image(path), name, "image")] if (path / "0").is_dir() else []
    for kind in ("labels", "classes"):
        if (path / "labels" / kind).is_dir():
            layers.append(_layer(open_image(path / "labels" / kind), f"{name} {kind}", "labels"))
    return layers


def _layer(image: LazyImage, name: str, kind: str) -> LayerData:
    """All planes of an image as a layer (*axes, y, x), or (*axes, c, y, x) of several channels."""
    planes = [np.asarray(image.plane(i)[...]) for i in range(len(image.planes))]
    data = np.stack(planes).reshape(*image.axes.values(), *image.shape)
    if kind == "labels" or image.shape[0] == 1:
        data = data[..., 0, :, :]
    if kind == "labels" and data.dtype.kind not in "ui":
        data = data.astype(np.int32)
    arguments: dict[str, Any] = {"name": name, **scale_arguments(image.spacing_um, data.ndim)}
    return data, arguments, kind
