"""Labels as a pyramidal BigTIFF: the same pixels at every level, and the same bytes every time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from unetseg.images import open_image
from unetseg.images.ome_zarr import LabelStore
from unetseg.images.tiff_pyramid import write_tiff_pyramid
from unetseg.images.whole import write_stack

pytest.importorskip("zarr")


@pytest.mark.parametrize("pages", [1, 3])
@pytest.mark.parametrize(("largest", "dtype"), [(9, np.uint16), (70000, np.uint32)])
def test_every_level_of_a_store(tmp_path: Path, pages: int, largest: int, dtype: Any) -> None:
    write_stack(tmp_path / "a.tif", np.zeros((pages, 700, 530), np.uint8), spacing_um=(0.5, 0.25))
    labels = np.random.default_rng(0).integers(0, largest + 1, (pages, 700, 530)).astype(np.int32)
    labels[0, 0, 0] = largest
    path = tmp_path / "a.ome.zarr"
    store = LabelStore.create(path, open_image(tmp_path / "a.tif"), chunk=256, kind="labels", dtype=np.int32)
    for number, page in enumerate(labels):
        store.write(number, slice(0, 700), slice(0, 530), page)
    store.finish()
    for name in ("b.ome.tif", "c.ome.tif"):
        write_tiff_pyramid(tmp_path / name, path / "labels" / "labels")
    assert (tmp_path / "b.ome.tif").read_bytes() == (tmp_path / "c.ome.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "b.ome.tif") as tiff:
        assert tiff.is_bigtiff
        assert tiff.is_ome
        assert len(tiff.series[0].levels) == 3
        assert tiff.series[0].keyframe.is_tiled
    for level in range(3):
        written = open_image(tmp_path / "b.ome.tif", level=level)
        stored = open_image(path / "labels" / "labels", level=level)
        assert written.dtype == dtype
        assert written.spacing_um == pytest.approx((0.5 * 2**level, 0.25 * 2**level), rel=1e-2)
        for plane in range(pages):
            np.testing.assert_array_equal(written.plane(plane)[...], stored.plane(plane)[...])
    np.testing.assert_array_equal(open_image(tmp_path / "b.ome.tif").plane(0)[0], labels[0])
