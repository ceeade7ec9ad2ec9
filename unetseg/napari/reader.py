"""Label files and results open as labels, with their pixel size, and with the image where it is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from unetseg.errors import UserError
from unetseg.images import LazyImage, open_image
from unetseg.images.formats import image_files
from unetseg.images.zarrs import is_zarr
from unetseg.napari.layers import LayerData, image_layer
from unetseg.napari.tracks import NAME as TRACKS
from unetseg.napari.tracks import tracks_layer

Reader = Callable[[str | list[str]], list[LayerData]]
ENDINGS = ("_labels.tif", "_labels.tiff", "_classes.tif", "_classes.tiff")


def get_reader(path: str | list[str]) -> Reader | None:
    """The reader of label TIFFs, results in OME-Zarr and tracks; None for anything else."""
    paths = [Path(p) for p in ([path] if isinstance(path, str) else path)]
    return read_labels if paths and all(_ending(p) or _kinds(p) or p.name == TRACKS for p in paths) else None


def read_labels(path: str | list[str]) -> list[LayerData]:
    """A labels layer of each path, on top of its image where that is found beside it or inside; or tracks."""
    found: list[LayerData] = []
    for one in [path] if isinstance(path, str) else path:
        if Path(one).name == TRACKS:
            found.append(tracks_layer(Path(one)))
        else:
            found += _result(Path(one)) if is_zarr(Path(one)) else _label_file(Path(one))
    return found


def _label_file(path: Path) -> list[LayerData]:
    labels = open_image(path)
    if labels.shape[0] != 1 or labels.dtype.kind not in "uib":
        raise UserError(f"{path}: a label image has one channel of whole numbers; this is {labels.dtype}.")
    name = path.name.removesuffix(_ending(path))
    layers = [image_layer([labels], path.stem, "labels")]
    for image in _images_beside(path, name):
        opened = open_image(image)
        if opened.shape[1:] == labels.shape[1:] and opened.axes == labels.axes:
            layers.insert(0, image_layer([opened], name, "image"))
            break
    return layers


def _images_beside(path: Path, name: str) -> list[Path]:
    """Images of this name in the folder of the labels, and in images/ beside that folder."""
    folders = [path.parent, path.parent.parent / "images"]
    return [p for f in folders if f.is_dir() for p in image_files(f) if p.stem == name]


def _result(path: Path) -> list[LayerData]:
    name = path.name.removesuffix(".zarr").removesuffix(".ome")
    layers = [image_layer(_levels(path), name, "image")] if (path / "0").is_dir() else []
    inside = [path / "labels" / kind for kind in _kinds(path)]
    return layers + [image_layer(_levels(p), f"{name}_{p.name}", "labels") for p in inside]


def _levels(path: Path) -> list[LazyImage]:
    """The image and its smaller copies, which our OME-Zarr numbers."""
    count = sum(p.name.isdecimal() for p in path.iterdir())
    return [open_image(path, level=level) for level in range(count)]


def _kinds(path: Path) -> list[str]:
    return [kind for kind in ("labels", "classes") if (path / "labels" / kind).is_dir()]


def _ending(path: Path) -> str:
    """How the name ends if it is a label file's, else ""."""
    lower = path.name.lower()
    return next((path.name[-len(end) :] for end in ENDINGS if lower.endswith(end)), "")
