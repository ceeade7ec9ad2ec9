"""Axes and distances of an image arrive in its results, whole and streamed; images one pixel wide do, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from unetseg.images import LazyImage, open_image
from unetseg.images.kept_maps import MapSpec
from unetseg.images.ome_zarr import LabelStore
from unetseg.images.scale import Scale
from unetseg.images.tiff_pyramid import write_tiff_pyramid
from unetseg.images.whole import read_stack, write_pages, write_stack

PIXELS = np.random.default_rng(0).integers(0, 9, (2, 3, 64, 80)).astype(np.uint8)
SCALE = Scale((0.5, 0.25), 1.5, 30.0)


def imagej(path: Path) -> Path:
    said = {"axes": "TZYX", "spacing": 1.5, "unit": "um", "finterval": 30.0}
    tifffile.imwrite(path, PIXELS, imagej=True, resolution=(4.0, 2.0), metadata=said)
    return path


def ome(path: Path) -> Path:
    sizes = {"PhysicalSizeX": 250, "PhysicalSizeY": 500, "PhysicalSizeZ": 1500, "TimeIncrement": 0.5}
    units = {f"PhysicalSize{a}Unit": "nm" for a in "XYZ"} | {"TimeIncrementUnit": "min"}
    tifffile.imwrite(path, PIXELS, ome=True, metadata={"axes": "TZYX"} | sizes | units)
    return path


def near(scale: Scale) -> bool:
    found = (*(scale.yx_um or (0, 0)), scale.z_um, scale.frame_s)
    return found == pytest.approx((0.5, 0.25, 1.5, 30.0), rel=1e-5)


def stored(image: LazyImage, path: Path, pages: np.ndarray) -> LabelStore:
    """A store with these labels (planes, y, x), unfinished."""
    store = LabelStore.create(
        path, image, chunk=64, kind="labels", dtype="u4", maps={"probabilities": MapSpec(2, "uint8")}
    )
    for number, page in enumerate(pages):
        for _, y, x in store.grid.regions(store.grid.yx):
            store.write(number, y, x, page[y, x])
    return store


@pytest.mark.parametrize(("make", "name"), [(imagej, "a.tif"), (ome, "a.ome.tif")])
def test_axes_and_distances_are_read(tmp_path: Path, make: Any, name: str) -> None:
    path = make(tmp_path / name)
    stack, image = read_stack(path), open_image(path)
    assert stack.axes == image.axes == {"t": 2, "z": 3}
    assert near(stack.scale)
    assert near(image.scale)


@pytest.mark.parametrize("most", [9, 70_000])
@pytest.mark.parametrize("channels", [0, 3])
def test_they_arrive_in_tiffs_written_whole(tmp_path: Path, most: int, channels: int) -> None:
    source = read_stack(imagej(tmp_path / "a.tif"))
    labels = np.arange(6, dtype=np.uint16 if most < 2**16 else np.uint32) * (most // 6)
    shape = (6, channels, 64, 80) if channels else (6, 64, 80)
    pages = np.broadcast_to(labels.reshape(6, *[1] * (len(shape) - 1)), shape)
    write_pages(tmp_path / "b.tif", pages, source)
    found = read_stack(tmp_path / "b.tif")
    np.testing.assert_array_equal(found.pixels[:, 0], pages[:, 0] if channels else pages)
    assert found.axes == {"t": 2, "z": 3}
    assert near(found.scale)
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        assert tiff.series[0].axes == ("TZCYX" if channels else "TZYX")
        assert tiff.is_imagej == (most < 2**16)


def test_slices_before_frames_are_turned_for_imagej(tmp_path: Path) -> None:
    pages = np.arange(6, dtype=np.uint16).reshape(2, 3, 1, 1) + np.zeros((64, 80), np.uint16)
    write_stack(tmp_path / "a.tif", pages.swapaxes(0, 1), spacing_um=None, axes="ZTYX")
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert tiff.series[0].axes == "TZYX"
        np.testing.assert_array_equal(tiff.asarray(), pages)


def test_they_arrive_in_ome_zarr_and_ome_tiff(tmp_path: Path) -> None:
    image = open_image(imagej(tmp_path / "a.tif"))
    pages = PIXELS.reshape(6, 64, 80).astype(np.uint32)
    stored(image, tmp_path / "b.ome.zarr", pages).finish(image)
    path = tmp_path / "b.ome.zarr"
    for group in (path, path / "labels" / "labels", path / "probabilities"):
        (entry,) = json.loads((group / ".zattrs").read_text())["multiscales"]
        units = {axis["name"]: axis.get("unit") for axis in entry["axes"]}
        assert [units[a] for a in "tzyx"] == ["second", "micrometer", "micrometer", "micrometer"]
        for level in range(len(entry["datasets"])):
            found = open_image(group, level=level)
            assert found.axes == {"t": 2, "z": 3}
            assert found.scale == Scale((0.5 * 2**level, 0.25 * 2**level), 1.5, 30.0)
    write_tiff_pyramid(tmp_path / "c.ome.tif", path / "labels" / "labels")
    written = open_image(tmp_path / "c.ome.tif")
    assert written.axes == {"t": 2, "z": 3}
    assert near(written.scale)
    np.testing.assert_array_equal(written.plane(4)[0], pages[4])


def test_an_unknown_distance_gets_no_unit(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, imagej=True, metadata={"axes": "TZYX"})
    image = open_image(tmp_path / "a.tif")
    assert image.scale == Scale()
    stored(image, tmp_path / "b.ome.zarr", PIXELS.reshape(6, 64, 80)).finish()
    found = open_image(tmp_path / "b.ome.zarr" / "labels" / "labels")
    assert (found.axes, found.scale) == ({"t": 2, "z": 3}, Scale())


def test_chosen_planes_keep_their_axes_and_distances(tmp_path: Path) -> None:
    path = imagej(tmp_path / "a.tif")
    slices = open_image(path, planes=("t1_z0", "t1_z2"))
    assert slices.axes == {"z": 2}
    assert slices.scale.z_um == 3.0
    mixed = open_image(path, planes=("t0_z0", "t1_z2"))
    assert mixed.axes == {"t": 2}
    assert mixed.scale == Scale((0.5, 0.25))


@pytest.mark.parametrize("shape", [(1, 64, 1), (5, 64, 1), (5, 1, 64), (3, 1, 1), (1, 1, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.float32])
def test_images_one_pixel_wide_come_back_as_they_are(tmp_path: Path, shape: Any, dtype: Any) -> None:
    pages = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    write_stack(tmp_path / "a.tif", pages, spacing_um=(0.5, 0.25))
    found = read_stack(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.pixels[:, 0], pages)
    image = open_image(tmp_path / "a.tif")
    np.testing.assert_array_equal([image.plane(i)[0] for i in range(shape[0])], pages)
    stored(image, tmp_path / "b.ome.zarr", pages.astype(np.uint32)).finish()
    write_tiff_pyramid(tmp_path / "b.ome.tif", tmp_path / "b.ome.zarr" / "labels" / "labels")
    for result in ("b.ome.tif", "b.ome.zarr/labels/labels"):
        written = open_image(tmp_path / result)
        np.testing.assert_array_equal([written.plane(i)[0] for i in range(shape[0])], pages.astype(np.uint32))
