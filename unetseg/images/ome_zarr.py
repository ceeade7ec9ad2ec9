"""Labels written chunk by chunk into an OME-Zarr, by any number of writers without a lock.

Until `finish` the store lies in a folder of its own, NAME.unfinished, so that a half-written result
is never taken for a finished one. The same labels give the same bytes in whatever order they come.
"""

from __future__ import annotations

import math
import os
import shutil
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unetseg.errors import UserError
from unetseg.files import plain_stem
from unetseg.images.lazy import LazyImage
from unetseg.images.ngff import (
    VERSION,
    Grid,
    create_groups,
    read_attributes,
    replace_folder,
    write_attributes,
)
from unetseg.images.zarrs import is_zarr, zarr_module
from unetseg.sample import majority, shrink_image

LabelGroup = Literal["labels", "classes"]
KEY = "unetseg"
"""The root's attribute with the metadata."""
SCRATCH = "scratch"
PROBABILITIES = "probabilities"


@dataclass(frozen=True)
class LabelMetadata:
    """What a store keeps of its making.

    kind: object ids or a class map; identity: of the image; source: the label group's image for
    NGFF, relative to it, "" where that is no Zarr; classes: of the probabilities, 0 for none.
    """

    kind: LabelGroup
    identity: str
    source: str
    classes: int


class LabelStore:
    """The labels of every plane of an image, read and written by regions; probabilities if asked for.

    path: the OME-Zarr that it becomes; folder: where it lies until then.
    """

    def __init__(self, path: Path, grid: Grid, metadata: LabelMetadata) -> None:
        self.path, self.folder, self.grid, self.metadata = path, unfinished(path), grid, metadata
        self.labels = zarr_module().open_array(self.folder / "labels" / metadata.kind / "0", mode="r+")
        self._scratch: dict[str, Any] = {}
        self._maps = self._open(PROBABILITIES) if metadata.classes else None

    @classmethod
    def create(
        cls,
        path: Path,
        image: LazyImage,
        *,
        chunk: int,
        kind: LabelGroup,
        dtype: DTypeLike,
        classes: int = 0,
        probabilities: Literal["uint8", "float16"] = "uint8",
    ) -> LabelStore:
        """A new, unfinished store in chunks of `chunk`²; an unfinished one of this name is removed.

        A finished one of this name stays until `finish` replaces it. classes: more than 0 to keep
        that many probability maps, of dtype `probabilities`.
        """
        folder = unfinished(path)
        _drop(folder)
        grid = Grid.of(image, chunk)
        metadata = LabelMetadata(kind, image.identity, _source(path, image, kind), classes)
        create_groups(folder, ("", "labels", f"labels/{kind}"))
        grid.create(folder / "labels" / kind / "0", grid.yx, dtype)
        if classes:
            create_groups(folder, (PROBABILITIES,))
            replace(grid, channels=classes).create(folder / PROBABILITIES / "0", grid.yx, probabilities)
        write_attributes(folder, {KEY: {"grid": asdict(grid), "metadata": asdict(metadata)}})
        return cls(path, grid, metadata)

    @classmethod
    def open(cls, path: Path) -> LabelStore:
        """The unfinished store of that name, to go on with."""
        table = read_attributes(unfinished(path)).get(KEY)
        if table is None:
            raise UserError(f"{path}: no unfinished result to go on with in {unfinished(path)}.")
        return cls(path, Grid.from_json(table["grid"]), LabelMetadata(**table["metadata"]))

    def __reduce__(self) -> tuple[Any, ...]:
        return LabelStore.open, (self.path.absolute(),)

    def write(self, plane: int, y: slice, x: slice, labels: NDArray[Any]) -> None:
        """Write labels (y, x) to a region on chunk borders (or the image's edge): no lock is needed.

        A chunk is written under another name and renamed. After a power cut it can be lost or empty all
        the same: who resumes compares what is there with a checksum of what was written.
        """
        self._check_aligned(y, x)
        self.labels[self.grid.place(plane, y, x)] = labels

    def read(self, plane: int, y: slice, x: slice) -> NDArray[Any]:
        """Labels (y, x) of any region; 0 where nothing was written."""
        return np.asarray(self.labels[self.grid.place(plane, y, x)])

    def write_probabilities(
        self, plane: int, y: slice, x: slice, maps: NDArray[np.floating[Any]]
    ) -> NDArray[Any]:
        """Write probabilities (k, y, x) in 0…1, as uint8 rounded to 1/255; gives what is stored."""
        if self._maps is None:
            raise ValueError("this store was made without probabilities")
        self._check_aligned(y, x)
        whole = self._maps.dtype == np.uint8
        stored: NDArray[Any] = (np.rint(maps * 255) if whole else maps).astype(self._maps.dtype)
        self._maps[self._mapped.place(plane, y, x)] = stored
        return stored

    def read_probabilities(self, plane: int, y: slice, x: slice) -> NDArray[Any]:
        """Probabilities (k, y, x) as they are stored."""
        if self._maps is None:
            raise ValueError("this store was made without probabilities")
        return np.asarray(self._maps[self._mapped.place(plane, y, x)])

    def scratch(self, name: str, dtype: DTypeLike) -> Any:
        """A Zarr array (planes, y, x) in the labels' chunks for intermediate values; made if missing."""
        if name not in self._scratch:
            where = self.scratch_folder / name
            if not where.exists():
                self._create_scratch(where, dtype)
            self._scratch[name] = zarr_module().open_array(where, mode="r+")
        return self._scratch[name]

    @property
    def scratch_folder(self) -> Path:
        """A folder for records and intermediate values; it goes when the store is finished."""
        return self.folder / SCRATCH

    def finish(self, image: LazyImage | None = None) -> None:
        """Build the pyramids, write the metadata, give the store its name and drop the scratch.

        image: copied into the store with a pyramid of its own, so that one path opens both. Killed
        before it has its name, the store is unfinished still and `finish` can be called again.
        """
        kind = self.metadata.kind
        group = self.folder / "labels" / kind
        self.grid.build_pyramid(group, lambda block: np.stack([majority(b, 2) for b in block]))
        if self._maps is not None:
            self._mapped.build_pyramid(self.folder / PROBABILITIES, _mean)
            write_attributes(self.folder / PROBABILITIES, self._mapped.metadata(PROBABILITIES))
        if image is not None:
            self._copy(image)
        source = "../../" if image is not None else self.metadata.source
        about = {"version": VERSION, **({"source": {"image": source}} if source else {})}
        write_attributes(group, {**self.grid.metadata(kind), "image-label": about})
        write_attributes(self.folder / "labels", {"labels": [kind]})
        for partial in self.folder.rglob("*.partial"):  # of chunks that killed writers began
            partial.unlink()
        replace_folder(self.folder, self.path)
        _drop(self.path / SCRATCH)

    @property
    def _mapped(self) -> Grid:
        return replace(self.grid, channels=self.metadata.classes)

    def _create_scratch(self, where: Path, dtype: DTypeLike) -> None:
        """An empty array that appears whole, whoever else makes it at the same time."""
        planes = math.prod(self.grid.axes.values())
        mine = where.with_name(f".{where.name}-{uuid.uuid4().hex}")
        replace(self.grid, axes={"t": planes}).create(mine, self.grid.yx, dtype)
        try:
            os.rename(mine, where)
        except OSError:  # another writer was first
            shutil.rmtree(mine)

    def _open(self, group: str) -> Any:
        return zarr_module().open_array(self.folder / group / "0", mode="r+")

    def _copy(self, image: LazyImage) -> None:
        """The image's pixels and their pyramid as the store's root."""
        grid = replace(self.grid, channels=image.shape[0])
        first = self.folder / "0"
        _drop(first)
        array = grid.create(first, grid.yx, image.dtype)
        for plane, y, x in grid.regions(grid.yx):
            array[grid.place(plane, y, x)] = image.plane(plane)[:, y, x]
        grid.build_pyramid(self.folder, _mean)
        write_attributes(self.folder, read_attributes(self.folder) | grid.metadata(plain_stem(self.path)))

    def _check_aligned(self, y: slice, x: slice) -> None:
        chunk = self.grid.chunk
        for s, n in zip((y, x), self.grid.yx, strict=True):
            if s.start % chunk or (s.stop % chunk and s.stop != n):
                raise ValueError(f"{s}: not on borders of {chunk}-pixel chunks of {n} pixels")


def open_labels(path: Path, kind: LabelGroup) -> Any:
    """The labels of a finished store, a Zarr array to read from."""
    return zarr_module().open_array(path / "labels" / kind / "0", mode="r")


def unfinished(path: Path) -> Path:
    """Where a store lies until it is finished."""
    return path.with_name(path.name + ".unfinished")


def state(path: Path) -> Literal["none", "unfinished", "finished"]:
    """What there is of a store; an unfinished one beside a finished one of its name counts as unfinished."""
    if unfinished(path).is_dir():
        return "unfinished"
    if not path.exists():
        return "none"
    _drop(path / SCRATCH)  # left by who was killed while tidying up
    return "finished"


def _drop(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _source(path: Path, image: LazyImage, kind: LabelGroup) -> str:
    """The image relative to the label group, where it is an OME-Zarr; NGFF can name no other."""
    if not is_zarr(image.path):
        return ""
    return os.path.relpath(image.path.resolve(), path.absolute() / "labels" / kind) + "/"


def _mean(block: NDArray[Any]) -> NDArray[Any]:
    """Halve (c, y, x) by the mean, in the block's own dtype."""
    halved = shrink_image(block, 2)
    return (np.rint(halved) if block.dtype.kind in "ui" else halved).astype(block.dtype)
