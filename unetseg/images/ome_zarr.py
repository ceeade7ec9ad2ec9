"""Labels written chunk by chunk into an OME-Zarr, by any number of writers without a lock.

Until `finish`, the store lies in a separate folder, NAME.unfinished, so that a half-written result
is never mistaken for a finished one. The same labels give the same bytes in any order of writing.
"""

from __future__ import annotations

import math
import os
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from unetseg.errors import UserError
from unetseg.files import plain_stem, temporary_name, write_json
from unetseg.images.kept_maps import NO_MAPS, MapSpec, as_stored, meaning
from unetseg.images.lazy import LazyImage
from unetseg.images.marks import FILE as MARK_FILE
from unetseg.images.marks import Mark
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
RESIZED = "resized"
"""In the scratch: labels at the size at which they are predicted, if it is another."""


@dataclass(frozen=True)
class LabelMetadata:
    """What a store keeps about its origin.

    kind: object ids or a class map; identity: of the image; source: the label group's image for
    NGFF, relative to it, "" where that is no Zarr; maps: those that are kept, with their channels;
    predicted: the size (y, x) at which labels are written, which `finish` brings to the image's;
    maps keep it.
    """

    kind: LabelGroup
    identity: str
    source: str
    maps: dict[str, int]
    predicted: tuple[int, int]


class LabelStore:
    """The labels of every plane of an image, read and written by regions; optionally other maps.

    path: the OME-Zarr that it becomes; folder: where it lies until then; working: the planes at the
    size at which they are predicted.
    """

    def __init__(self, path: Path, grid: Grid, metadata: LabelMetadata) -> None:
        self.path, self.folder, self.grid, self.metadata = path, unfinished(path), grid, metadata
        self.working = replace(grid, yx=metadata.predicted)
        self._scratch: dict[str, Any] = {}
        resized = self.working.yx != grid.yx
        place = self.scratch_folder / RESIZED if resized else self.folder
        self.labels = _open(place / "labels" / metadata.kind)
        self._maps = {name: _open(self.folder / name) for name in metadata.maps}

    @classmethod
    def create(
        cls,
        path: Path,
        image: LazyImage,
        *,
        chunk: int,
        kind: LabelGroup,
        dtype: DTypeLike,
        maps: Mapping[str, MapSpec] = NO_MAPS,
        predicted: tuple[int, int] | None = None,
    ) -> Self:
        """A new, unfinished store in chunks of `chunk`²; an unfinished one of this name is replaced.

        A finished one of this name stays until `finish` replaces it. predicted: the size (y, x) at which
        regions are written, by default the image's. The store appears under its name complete.
        Raises UserError if something else has the name of an unfinished store.
        """
        check_unfinished(path)
        grid = Grid.of(image, chunk)
        metadata = LabelMetadata(
            kind,
            image.identity,
            _source(path, image, kind),
            {name: spec.channels for name, spec in maps.items()},
            predicted or grid.yx,
        )
        new = temporary_name(unfinished(path))
        working = replace(grid, yx=metadata.predicted)
        place = new if metadata.predicted == grid.yx else new / SCRATCH / RESIZED
        create_groups(new, ("", "labels", f"labels/{kind}", *maps))
        working.create(place / "labels" / kind / "0", working.yx, dtype)
        for name, (channels, kept) in maps.items():
            replace(working, channels=channels).create(new / name / "0", working.yx, kept)
        write_attributes(new, {KEY: {"grid": asdict(grid), "metadata": asdict(metadata)}})
        replace_folder(new, unfinished(path))
        return cls(path, grid, metadata)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The unfinished store of that name, to be resumed."""
        table = read_attributes(unfinished(path)).get(KEY)
        if table is None:
            raise UserError(f"{path}: no unfinished result to resume in {unfinished(path)}.")
        metadata = table["metadata"] | {"predicted": tuple(table["metadata"]["predicted"])}
        return cls(path, Grid.from_json(table["grid"]), LabelMetadata(**metadata))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).open, (self.path.absolute(),)

    def write(self, plane: int, y: slice, x: slice, labels: NDArray[Any]) -> None:
        """Write labels (y, x) to a region on chunk borders (or the image's edge): no lock is needed.

        A chunk is written under another name and renamed. After a power cut it can still be lost or empty,
        so a resumed run compares each with a checksum of what was written.
        """
        self._check_aligned(y, x)
        self.labels[self.working.place(plane, y, x)] = labels

    def read(self, plane: int, y: slice, x: slice) -> NDArray[Any]:
        """Labels (y, x) of any region; 0 where nothing has been written."""
        return np.asarray(self.labels[self.working.place(plane, y, x)])

    def write_map(self, name: str, plane: int, y: slice, x: slice, values: NDArray[Any]) -> NDArray[Any]:
        """Write values (k, y, x) in 0…1 of a map, as uint8 rounded to 1/255; returns what is stored."""
        self._check_aligned(y, x)
        stored = as_stored(values, self._maps[name].dtype)
        self._maps[name][self._mapped(name).place(plane, y, x)] = stored
        return stored

    def read_map(self, name: str, plane: int, y: slice, x: slice) -> NDArray[Any]:
        """Values (k, y, x) of a map as they are stored."""
        return np.asarray(self._maps[name][self._mapped(name).place(plane, y, x)])

    def scratch(self, name: str, dtype: DTypeLike) -> Any:
        """A Zarr array (planes, y, x) in the labels' chunks for intermediate values; created if missing."""
        if name not in self._scratch:
            where = self.scratch_folder / name
            if not where.exists():
                self._create_scratch(where, dtype)
            self._scratch[name] = zarr_module().open_array(where, mode="r+")
        return self._scratch[name]

    @property
    def scratch_folder(self) -> Path:
        """A folder for records and intermediate values; it is removed when the store is finished."""
        return self.folder / SCRATCH

    def plane_done(self, plane: int) -> None:
        """Does nothing: intermediate values stay until the end, since a resumed run compares them."""

    def finish(self, image: LazyImage | None = None, mark: Mark | None = None) -> None:
        """Complete the store, give it its name and remove the scratch.

        image: copied into the store with its own pyramid, so that one path opens both; mark: kept in the
        store. If the process is killed before the renaming, the store is still unfinished and `finish` can be
        called again.
        """
        self.complete(image)
        if mark is not None:
            write_json(self.folder / MARK_FILE, mark)
        replace_folder(self.folder, self.path)
        tidy(self.path)

    def complete(self, image: LazyImage | None = None) -> None:
        """Bring labels to the image's size, build the pyramids and write the metadata."""
        kind = self.metadata.kind
        group = self.folder / "labels" / kind
        self.grid.resize(self.labels, group)
        self.grid.build_pyramid(group, lambda block: np.stack([majority(b, 2) for b in block]))
        for name, values in self._maps.items():
            grid = self._mapped(name)
            grid.build_pyramid(self.folder / name, halved_mean)
            about = grid.metadata(name, like=self.grid.yx) | {"meaning": meaning(name, values.dtype)}
            write_attributes(self.folder / name, about)
        if image is not None:
            self._copy(image)
        source = "../../" if image is not None else self.metadata.source
        about = {"version": VERSION, **({"source": {"image": source}} if source else {})}
        write_attributes(group, {**self.grid.metadata(kind), "image-label": about})
        write_attributes(self.folder / "labels", {"labels": [kind]})
        for partial in self.folder.rglob("*.partial"):  # chunks that killed writers did not finish
            partial.unlink()

    def _mapped(self, name: str) -> Grid:
        return replace(self.working, channels=self.metadata.maps[name])

    def _create_scratch(self, where: Path, dtype: DTypeLike) -> None:
        """Create an empty array in one step, even if several processes do so at once."""
        planes = math.prod(self.grid.axes.values())
        mine = where.with_name(f".{where.name}-{uuid.uuid4().hex}")
        replace(self.working, axes={"t": planes}).create(mine, self.working.yx, dtype)
        try:
            os.rename(mine, where)
        except OSError:  # another writer was first
            shutil.rmtree(mine)

    def _copy(self, image: LazyImage) -> None:
        """The image's pixels and their pyramid as the store's root."""
        grid = replace(self.grid, channels=image.shape[0])
        first = self.folder / "0"
        _drop(first)
        array = grid.create(first, grid.yx, image.dtype)
        for plane, y, x in grid.regions(grid.yx):
            array[grid.place(plane, y, x)] = image.plane(plane)[:, y, x]
        grid.build_pyramid(self.folder, halved_mean)
        write_attributes(self.folder, read_attributes(self.folder) | grid.metadata(plain_stem(self.path)))

    def _check_aligned(self, y: slice, x: slice) -> None:
        chunk = self.grid.chunk
        for s, n in zip((y, x), self.working.yx, strict=True):
            if s.start % chunk or (s.stop % chunk and s.stop != n):
                raise ValueError(f"{s}: not on borders of {chunk}-pixel chunks of {n} pixels")


def open_labels(path: Path, kind: LabelGroup) -> Any:
    """The labels of a finished store, as a Zarr array to read from."""
    return zarr_module().open_array(path / "labels" / kind / "0", mode="r")


def unfinished(path: Path) -> Path:
    """Where a store lies until it is finished."""
    return path.with_name(path.name + ".unfinished")


def check_unfinished(path: Path) -> bool:
    """Whether there is an unfinished store of that name; UserError if its place is taken."""
    folder = unfinished(path)
    if not folder.exists() and not folder.is_symlink():
        return False
    with suppress(OSError, ValueError):
        if KEY in read_attributes(folder):
            return True
    raise UserError(
        f"{folder}: needed for the unfinished result, but it was not made by this command. Choose "
        "another --out, or move it away."
    )


def tidy(path: Path) -> None:
    """Remove the scratch of a finished store, which a killed process can leave behind."""
    _drop(path / SCRATCH)


def _open(group: Path) -> Any:
    """The array that regions are written to."""
    return zarr_module().open_array(group / "0", mode="r+")


def _drop(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _source(path: Path, image: LazyImage, kind: LabelGroup) -> str:
    """The image relative to the label group, if it is an OME-Zarr; NGFF can name no other."""
    if not is_zarr(image.path):
        return ""
    return os.path.relpath(image.path.resolve(), path.absolute() / "labels" / kind) + "/"


def halved_mean(block: NDArray[Any]) -> NDArray[Any]:
    """Halve (c, y, x) by the mean, in the block's own dtype."""
    halved = shrink_image(block, 2)
    return (np.rint(halved) if block.dtype.kind in "ui" else halved).astype(block.dtype)
