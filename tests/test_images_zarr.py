"""Zarr and OME-Zarr: regions equal the array, axes are known or asked for; labels are written by regions."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unetseg.errors import UserError
from unetseg.images import DamagedRegion, open_image
from unetseg.images.chunks import ChunkCache
from unetseg.images.kept_maps import MapSpec
from unetseg.images.ome_zarr import LabelStore, check_unfinished, tidy, unfinished
from unetseg.images.whole import write_stack
from unetseg.sample import majority

zarr = pytest.importorskip("zarr")
RNG = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 2**16, shape).astype(np.uint16)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_regions_of_an_array(tmp_path: Path, zarr_format: Any) -> None:
    pixels = noise(3, 70, 90)
    zarr.create_array(tmp_path / "a.zarr", data=pixels, chunks=(2, 16, 32), zarr_format=zarr_format)
    plane = open_image(tmp_path / "a.zarr").plane(0)
    assert plane.shape == (3, 70, 90)
    for region in [(...,), (slice(1, 3), slice(15, 33), slice(31, 50)), (2, slice(60, 70), slice(80, 90))]:
        np.testing.assert_array_equal(plane[region], pixels[region])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_ngff_image(tmp_path: Path, version: str) -> None:
    pixels = noise(2, 3, 70, 90)
    group = zarr.create_group(tmp_path / "a.ome.zarr", zarr_format=2 if version == "0.4" else 3)
    for level, step in enumerate((1, 2)):
        group.create_array(str(level), data=pixels[..., ::step, ::step], chunks=(1, 1, 32, 32))
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"}]
    axes += [{"name": n, "type": "space", "unit": "nanometer"} for n in "yx"]
    scales = [[1, 1, 500 * step, 250 * step] for step in (1, 2)]
    datasets = [
        {"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": s}]}
        for i, s in enumerate(scales)
    ]
    ome = {"multiscales": [{"version": version, "axes": axes, "datasets": datasets}]}
    group.attrs.update(ome if version == "0.4" else {"ome": ome})
    image = open_image(tmp_path / "a.ome.zarr")
    assert (image.planes, image.shape, image.spacing_um) == (("t0", "t1"), (3, 70, 90), (0.5, 0.25))
    np.testing.assert_array_equal(image.plane(1)[:, 10:60, 5:77], pixels[1, :, 10:60, 5:77])
    coarse = open_image(tmp_path / "a.ome.zarr", level=1, channels=(2, 0))
    assert coarse.spacing_um == (1.0, 0.5)
    np.testing.assert_array_equal(coarse.plane(0)[...], pixels[0, [2, 0], ::2, ::2])
    with pytest.raises(UserError, match=r"no level 2\. It has 0 \(2×3×70×90\), 1"):
        open_image(tmp_path / "a.ome.zarr", level=2)


def test_axes_that_cannot_be_guessed_are_asked_for(tmp_path: Path) -> None:
    pixels = noise(9, 70, 90)
    zarr.create_array(tmp_path / "a.zarr", data=pixels)
    with pytest.raises(UserError, match=r"shape \(9, 70, 90\) cannot be guessed"):
        open_image(tmp_path / "a.zarr")
    image = open_image(tmp_path / "a.zarr", axes="ZYX")
    assert len(image.planes) == 9
    np.testing.assert_array_equal(image.plane(4)[0], pixels[4])


def test_a_damaged_chunk_is_an_error_of_its_region_alone(tmp_path: Path) -> None:
    pixels = noise(70, 90)
    zarr.create_array(tmp_path / "a.zarr", data=pixels, chunks=(16, 32), zarr_format=3)
    chunk = tmp_path / "a.zarr" / "c" / "1" / "2"
    chunk.write_bytes(chunk.read_bytes()[:100])
    plane = open_image(tmp_path / "a.zarr").plane(0)
    np.testing.assert_array_equal(plane[0, :, :64], pixels[:, :64])
    with pytest.raises(DamagedRegion, match=r"y 16:32, x 64:90"):
        plane[...]


# Writing ------------------------------------------------------------------------------------------


def regions(shape: tuple[int, int], chunk: int) -> list[tuple[slice, slice]]:
    starts = product(range(0, shape[0], chunk), range(0, shape[1], chunk))
    return [(slice(y, min(y + chunk, shape[0])), slice(x, min(x + chunk, shape[1]))) for y, x in starts]


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., tuple[Path, np.ndarray]]:
    write_stack(tmp_path / "a.tif", noise(2, 70, 90), spacing_um=(0.5, 0.25))
    labels = np.random.default_rng(1).integers(0, 7, (2, 70, 90)).astype(np.int32) // 4 * 1000

    def store(name: str, order: Callable[[list[Any]], list[Any]] = list) -> tuple[Path, np.ndarray]:
        path = tmp_path / name / "a.ome.zarr"
        image = open_image(tmp_path / "a.tif")
        made = LabelStore.create(path, image, chunk=16, kind="labels", dtype=np.int32)
        for plane, (y, x) in order([(p, r) for p in (0, 1) for r in regions((70, 90), 16)]):
            made.write(plane, y, x, labels[plane, y, x])
        return path, labels

    return store


def test_what_is_written_is_read_and_its_pyramid_is_the_majority(stored: Any) -> None:
    path, labels = stored("a")
    LabelStore.open(path).finish()
    for level in range(4):
        image = open_image(path / "labels" / "labels", level=level)
        assert image.spacing_um == (0.5 * 2**level, 0.25 * 2**level)
        for plane in (0, 1):
            np.testing.assert_array_equal(image.plane(plane)[0], labels[plane])
        labels = np.stack([majority(p, 2) for p in labels])
    assert max(image.shape) <= 16


def test_the_order_of_writes_changes_no_byte(stored: Any) -> None:
    finished = []
    for name, order in (("a", list), ("b", lambda jobs: jobs[::-1]), ("c", lambda jobs: jobs + jobs[::3])):
        path, _ = stored(name, order)
        store = LabelStore.open(path)
        store.scratch("ids", np.uint8)[0, :5] = 1
        assert store.scratch("ids", np.uint8).shape == (2, 70, 90)
        store.finish()
        finished.append(bytes_below(path))
    assert finished[0] == finished[1] == finished[2]


def test_an_overwritten_result_stays_until_the_new_one_is_finished(stored: Any) -> None:
    path, _ = stored("a")
    LabelStore.open(path).finish()
    before = bytes_below(path)
    again, _ = stored("a", lambda jobs: jobs[:5])
    assert bytes_below(path) == before
    assert check_unfinished(again)
    LabelStore.open(again).finish()
    assert bytes_below(path) != before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_an_unfinished_store_is_not_there(stored: Any) -> None:
    path, labels = stored("a")
    assert not path.exists()
    assert check_unfinished(path)
    store = LabelStore.open(path)
    np.testing.assert_array_equal(store.read(1, slice(3, 40), slice(7, 9)), labels[1, 3:40, 7:9])
    store.finish()
    assert not unfinished(path).exists()
    assert path.exists()
    assert not check_unfinished(path)
    with pytest.raises(UserError, match="no unfinished result"):
        LabelStore.open(path)


def test_a_region_off_the_chunk_borders_is_refused(stored: Any) -> None:
    store = LabelStore.open(stored("a")[0])
    with pytest.raises(ValueError, match="chunks"):
        store.write(0, slice(0, 16), slice(8, 24), np.zeros((16, 16)))


def test_other_programs_find_the_labels(stored: Any) -> None:
    reader = pytest.importorskip("ome_zarr.reader")
    parse_url = pytest.importorskip("ome_zarr.io").parse_url
    path, labels = stored("a")
    LabelStore.open(path).finish()
    nodes = list(reader.Reader(parse_url(path / "labels"))())
    assert nodes[1].metadata["name"] == "labels"
    np.testing.assert_array_equal(nodes[1].data[0].compute(), labels)


def test_the_image_is_copied_beside_its_labels(stored: Any, tmp_path: Path) -> None:
    reader = pytest.importorskip("ome_zarr.reader")
    parse_url = pytest.importorskip("ome_zarr.io").parse_url
    path, _ = stored("a")
    image = open_image(tmp_path / "a.tif")
    LabelStore.open(path).finish(image)
    nodes = list(reader.Reader(parse_url(path))())
    np.testing.assert_array_equal(nodes[0].data[0][:, 0].compute()[0], image.plane(0)[0])
    assert [n.metadata.get("name") for n in nodes] == ["a", None, "labels"]
    assert len(nodes[0].data) == len(nodes[2].data)
    copy = open_image(path, level=1)
    assert copy.spacing_um == (1.0, 0.5)
    mean = image.plane(0)[0, :70, :90].reshape(35, 2, 45, 2).mean((1, 3))
    np.testing.assert_allclose(copy.plane(0)[0], mean, atol=0.5)


def test_an_ome_zarr_image_is_the_labels_source(stored: Any, tmp_path: Path) -> None:
    reader = pytest.importorskip("ome_zarr.reader")
    parse_url = pytest.importorskip("ome_zarr.io").parse_url
    first, _ = stored("a")
    LabelStore.open(first).finish(open_image(tmp_path / "a.tif"))
    image = open_image(first)
    second = tmp_path / "b" / "b.ome.zarr"
    store = LabelStore.create(second, image, chunk=16, kind="classes", dtype=np.uint8)
    store.write(1, slice(0, 70), slice(0, 90), np.ones((70, 90)))
    store.finish()
    names = [n.metadata.get("name") for n in reader.Reader(parse_url(second / "labels" / "classes"))()]
    assert names[0] == "a"
    assert "classes" in names


@pytest.mark.parametrize(("dtype", "step"), [("uint8", 0.5 / 255), ("float16", 2**-11)])
def test_probabilities_are_kept_if_asked_for(tmp_path: Path, dtype: Any, step: float) -> None:
    write_stack(tmp_path / "a.tif", noise(2, 70, 90), spacing_um=None)
    image = open_image(tmp_path / "a.tif")
    store = LabelStore.create(
        tmp_path / "a.ome.zarr",
        image,
        chunk=32,
        kind="labels",
        dtype=np.int32,
        maps={"probabilities": MapSpec(3, dtype)},
    )
    maps = RNG.random((3, 70, 90)).astype(np.float32)
    for y, x in regions((70, 90), 32):
        store.write_map("probabilities", 1, y, x, maps[:, y, x])
    scale = 255 if dtype == "uint8" else 1
    found = store.read_map("probabilities", 1, slice(10, 50), slice(5, 6)) / scale
    np.testing.assert_allclose(found, maps[:, 10:50, 5:6], atol=1.01 * step)
    store.finish()
    image = open_image(tmp_path / "a.ome.zarr" / "probabilities")
    assert (image.planes, image.shape, image.dtype) == (("t0", "t1"), (3, 70, 90), np.dtype(dtype))
    np.testing.assert_allclose(image.plane(1)[...] / scale, maps, atol=1.01 * step)


def test_finish_killed_at_its_end(stored: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = stored("whole")
    LabelStore.open(path).finish()
    whole = bytes_below(path)

    def killed(*args: Any) -> None:
        raise KeyboardInterrupt

    for step, left in (("replace_folder", True), ("_drop", False)):
        again, _ = stored(step)
        store = LabelStore.open(again)
        store.scratch("ids", np.uint8)[0] = 1
        with monkeypatch.context() as patch:
            patch.setattr(f"unetseg.images.ome_zarr.{step}", killed)
            with pytest.raises(KeyboardInterrupt):
                store.finish()
        assert check_unfinished(again) == left
        if left:
            LabelStore.open(again).finish()
        tidy(again)
        assert bytes_below(again) == whole


def write_columns(path: Path, labels: np.ndarray, start: int) -> None:
    """Every second column of chunks."""
    store = LabelStore.open(path)
    for plane, (y, x) in product((0, 1), regions((70, 90), 16)):
        if x.start // 16 % 2 == start:
            store.write(plane, y, x, labels[plane, y, x])


def test_writers_of_neighbouring_regions_need_no_lock(stored: Any) -> None:
    path, labels = stored("a", lambda jobs: [])
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_columns, args=(path, labels, start)) for start in (0, 1)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    store = LabelStore.open(path)
    np.testing.assert_array_equal(store.read(0, slice(0, 70), slice(0, 90)), labels[0])
    np.testing.assert_array_equal(store.read(1, slice(0, 70), slice(0, 90)), labels[1])


def test_a_region_of_several_threads_is_decoded_once(tmp_path: Path) -> None:
    decoded = []

    def decode() -> np.ndarray:
        decoded.append(1)
        time.sleep(0.05)
        return np.zeros(10)

    cache = ChunkCache(80)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda n: cache.get("a", decode), range(4)))
    assert len(decoded) == 1
    assert all(f is found[0] for f in found)
    cache.get("b", decode)
    cache.get("a", decode)
    assert len(decoded) == 3
    small = ChunkCache(1)
    for _ in range(3):  # a file's only strip must not be decoded for every tile
        small.get("a", decode)
    assert len(decoded) == 4
