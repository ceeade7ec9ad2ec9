"""Objects as outlines (ImageJ, GeoJSON, COCO) and Cellpose's files: what is exported is read back."""

from __future__ import annotations

import json
import os
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import roifile
import tifffile
from conftest import Unetseg
from PIL import Image
from skimage.draw import polygon2mask

from unetseg.errors import UserError
from unetseg.exports import FORMATS, LabelledPage
from unetseg.images.cellpose import _scalar
from unetseg.settings import DataSettings
from unetseg.tasks.folder import listing
from unetseg.tasks.label_formats.coco import run_lengths_mask
from unetseg.tasks.label_formats.painting import ObjectMask, fill, paint
from unetseg.tasks.synthetic import cell_movie

FILM = cell_movie(seed=3, frames=3, shape=(96, 128), cells=6)[1]
PIECES = np.zeros((20, 24), np.int32)
PIECES[2:6, 2:6] = PIECES[2:6, 9:12] = 7  # one object in two pieces, beside another
PIECES[6:9, 2:6] = 3
RING = PIECES.copy()
RING[11:18, 12:20] = 9
RING[13:15, 14:17] = 0
SIX = np.zeros((20, 24), np.int32)
SIX[2:5, 2::4] = np.arange(1, 7)
DATA = DataSettings(task="folder")
ENDINGS = {"imagej": "_rois.zip", "geojson": ".geojson", "coco": ".json"}


def folder(root: Path, **images: np.ndarray) -> Path:
    """images/NAME.tif of the size of label images, without labels."""
    for name, labels in images.items():
        (root / "images").mkdir(parents=True, exist_ok=True)
        axes = "TYX" if labels.ndim == 3 else "YX"
        pixels = (labels > 0).astype(np.uint8)
        tifffile.imwrite(root / "images" / f"{name}.tif", pixels, imagej=True, metadata={"axes": axes})
    (root / "labels").mkdir(exist_ok=True)
    return root


def exported(path: Path, kind: str, labels: np.ndarray) -> None:
    pages = labels if labels.ndim == 3 else labels[None]
    place = [{"t": i} if len(pages) > 1 else None for i in range(len(pages))]
    name = path.name.removesuffix(ENDINGS[kind])
    FORMATS[kind][1](path, [LabelledPage(name, p, i, place[i]) for i, p in enumerate(pages)], None)


def learnt(root: Path) -> list[np.ndarray]:
    return [e.read().labels for e in listing(root, DATA).entries]


def annotate(root: Path, name: str, write: Any) -> Path:
    path = root / "labels" / name
    write(path)
    return path


# Round trips --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("labels", [FILM, PIECES, RING], ids=["film", "pieces", "ring"])
def test_exported_labels_are_read_back_as_they_were(tmp_path: Path, kind: str, labels: np.ndarray) -> None:
    """All but holes in ImageJ's polygons, which are filled."""
    root = folder(tmp_path, a=labels)
    exported(root / "labels" / f"a{ENDINGS[kind]}", kind, labels)
    expected = labels.copy()
    if kind == "imagej" and labels is RING:
        expected[13:15, 14:17] = 9
    np.testing.assert_array_equal(np.squeeze(learnt(root)), expected)
    note = listing(root, DATA).notes[0]
    assert {"imagej": "ImageJ ROIs", "geojson": "GeoJSON", "coco": "COCO"}[kind] in note
    assert f"{sum(len(np.unique(p)) - 1 for p in np.atleast_3d(labels.T).T)} instances" in note


@pytest.mark.parametrize("kind", FORMATS)
def test_scores_of_exported_labels_are_those_of_the_labels(
    unetseg: Unetseg, tmp_path: Path, kind: str
) -> None:
    for side, labels in (("truth", FILM), ("predicted", np.roll(FILM, 2, axis=2))):
        for t, page in enumerate(labels):
            (tmp_path / side).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / side / f"f{t}_labels.tif", page.astype(np.uint16))
            (tmp_path / side / kind).mkdir(exist_ok=True)
            exported(tmp_path / side / kind / f"f{t}{ENDINGS[kind]}", kind, page)
    first = unetseg("score", tmp_path / "predicted", tmp_path / "truth", "--out", tmp_path / "1.json")
    assert first.code == 0, first.err
    for sides in (("predicted", f"truth/{kind}"), (f"predicted/{kind}", "truth")):
        again = unetseg("score", *(tmp_path / s for s in sides), "--out", tmp_path / "2.json")
        assert again.code == 0, again.err
        one, other = (json.loads((tmp_path / n).read_text()) for n in ("1.json", "2.json"))
        assert [*one.values()] == [*other.values()]


def test_scores_of_two_files_of_outlines_need_a_size(unetseg: Unetseg, tmp_path: Path) -> None:
    exported(tmp_path / "a_rois.zip", "imagej", RING)
    exported(tmp_path / "b_rois.zip", "imagej", RING)
    result = unetseg("score", tmp_path / "a_rois.zip", tmp_path / "b_rois.zip")
    assert result.code == 2
    assert "how large their image is" in result.err


# Painting -----------------------------------------------------------------------------------------


def test_rings_are_filled_where_the_centres_of_pixels_lie_inside() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 12))
        radius = rng.uniform(3, 30, 12)
        ring = np.stack([20 + radius * np.cos(angles), 17 + radius * np.sin(angles)], 1)
        slow = polygon2mask((35, 40), ring[:, ::-1] - 0.5)
        np.testing.assert_array_equal(fill([ring], (35, 40)), slow)


def test_a_shared_pixel_goes_to_the_smaller_object() -> None:
    large = ObjectMask(0, 1, (0, 0), np.ones((4, 4), bool))
    small = ObjectMask(0, 2, (1, 1), np.ones((2, 2), bool))
    other_page = ObjectMask(1, 1, (0, 0), np.ones((4, 4), bool))
    for order in ([large, small, other_page], [small, other_page, large]):
        found = paint(order, (2, 4, 4))
        assert found.labels[0].tolist() == [[1, 1, 1, 1], [1, 2, 2, 1], [1, 2, 2, 1], [1, 1, 1, 1]]
        assert (found.shared, found.covered) == (4, 0)
    twin = paint([small, ObjectMask(0, 5, (1, 1), np.ones((2, 2), bool))], (1, 4, 4))
    assert (twin.labels.max(), twin.shared, twin.covered) == (5, 4, 1)


# ImageJ -------------------------------------------------------------------------------------------


def rois(path: Path, *found: roifile.ImagejRoi) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number, roi in enumerate(found):
            archive.writestr(f"{number}.roi", roi.tobytes())


def box(kind: str, left: int, top: int, right: int, bottom: int, **more: Any) -> roifile.ImagejRoi:
    found = roifile.ImagejRoi(left=left, top=top, right=right, bottom=bottom, **more)
    found.roitype = roifile.ROI_TYPE[kind]
    return found


def test_rois_of_all_kinds_with_areas_are_read_and_others_counted(tmp_path: Path) -> None:
    line = box("LINE", 0, 0, 5, 5)
    triangle = roifile.ImagejRoi.frompoints([[0, 12], [4, 12], [0, 16]])
    hole = roifile.ImagejRoi(left=10, top=10, right=16, bottom=16, name="ring")
    hole.roitype, path = roifile.ROI_TYPE.RECT, []
    for corners in ([(10, 10), (16, 10), (16, 16), (10, 16)], [(12, 12), (12, 14), (14, 14), (14, 12)]):
        path += [0.0, *corners[0], *(v for c in corners[1:] for v in (1.0, *c)), 4.0]
    hole.multi_coordinates = np.array(path, np.float32)
    hole.shape_roi_size = len(path)
    root = folder(tmp_path, a=np.zeros((20, 24), np.uint8))
    shapes = (box("RECT", 1, 2, 4, 6), box("OVAL", 14, 0, 22, 8), line, triangle, hole)
    annotate(root, "a_RoiSet.zip", lambda p: rois(p, *shapes))
    (labels,) = learnt(root)
    assert (labels == 1).sum() == (labels[2:6, 1:4] == 1).sum() == 12
    assert abs((labels == 2).sum() - np.pi * 16) < 3
    assert labels[12:16, :4].astype(bool).tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0] * 4]
    assert (labels == 5).sum() == 36 - 4
    assert any("1 shapes enclose no pixel" in n for n in listing(root, DATA).notes)


def test_a_single_roi_is_read(tmp_path: Path) -> None:
    root = folder(tmp_path, a=np.zeros((9, 9), np.uint8))
    annotate(root, "a.roi", lambda p: p.write_bytes(box("RECT", 1, 1, 4, 3).tobytes()))
    assert (learnt(root)[0] == 1).sum() == 6


@pytest.mark.parametrize(
    ("place", "page"), [({"position": 2}, 1), ({"t_position": 3}, 2), ({"t_position": 2, "z_position": 1}, 1)]
)
def test_rois_lie_on_their_pages(tmp_path: Path, place: dict[str, int], page: int) -> None:
    root = folder(tmp_path, a=np.zeros((3, 9, 9), np.uint8))
    annotate(root, "a_rois.zip", lambda p: rois(p, box("RECT", 1, 1, 4, 3, **place)))
    assert [int(labels.sum()) for labels in learnt(root)] == [6 * (i == page) for i in range(3)]


@pytest.mark.parametrize("place", [{}, {"position": 4}, {"t_position": 9}])
def test_a_roi_without_a_page_is_refused(tmp_path: Path, place: dict[str, int]) -> None:
    root = folder(tmp_path, a=np.zeros((3, 9, 9), np.uint8))
    annotate(root, "a_rois.zip", lambda p: rois(p, box("RECT", 1, 1, 4, 3, name="cell", **place)))
    with pytest.raises(UserError, match=r"a_rois\.zip: the ROI cell is on .* 3 pages.*Properties > Position"):
        learnt(root)


def test_channels_do_not_count_as_pages(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "images").mkdir()
    pixels = np.zeros((3, 2, 9, 9), np.uint8)
    tifffile.imwrite(tmp_path / "images" / "a.tif", pixels, imagej=True, metadata={"axes": "TCYX"})
    annotate(tmp_path, "a_rois.zip", lambda p: rois(p, box("RECT", 1, 1, 4, 3, position=6)))
    assert [int(labels.sum()) for labels in learnt(tmp_path)] == [0, 0, 6]


def test_an_archive_without_rois_is_refused(tmp_path: Path) -> None:
    root = folder(tmp_path, a=PIECES)
    with zipfile.ZipFile(root / "labels" / "a_rois.zip", "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(UserError, match=r"a_rois\.zip: this archive holds no ROIs"):
        learnt(root)
    (root / "labels" / "a_rois.zip").write_bytes(b"PK no zip")
    with pytest.raises(UserError, match=r"a_rois\.zip: not a readable ImageJ ROIs file"):
        learnt(root)


# COCO ---------------------------------------------------------------------------------------------


def coco_file(path: Path, names: list[str], *annotations: dict[str, Any]) -> None:
    images = [{"id": 10 + i, "file_name": n, "height": 20, "width": 24} for i, n in enumerate(names)]
    found = [{"id": i, "category_id": 1, "iscrowd": 0} | a for i, a in enumerate(annotations)]
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": found, "categories": []}))


SQUARE = [2, 2, 6, 2, 6, 6, 2, 6]


@pytest.mark.parametrize("place", ["labels/all.json", "all.json", "annotations/instances_default.json"])
def test_one_coco_file_is_for_all_images(tmp_path: Path, place: str) -> None:
    root = folder(tmp_path, a=PIECES, b=PIECES)
    if not place.startswith("labels"):
        (root / "labels").rmdir()
    at = [{"image_id": 11, "segmentation": [SQUARE]}, {"image_id": 10, "bbox": [0, 0, 3, 3]}]
    coco_file(root / place, ["photos\\a.jpg", "set/b.tif", "c.tif"], *at)
    found = listing(root, DATA)
    assert [int(e.read().labels.sum()) for e in found.entries] == [0, 16]
    notes = "\n".join(found.notes)
    assert "labels: 1 instances in 2 images (COCO)" in notes
    assert "warning: no object in a.tif; these images are learnt as background" in notes
    assert "also lists 1 images that are not here: c.tif" in notes
    assert "outlines: 1 shapes enclose no pixel" in notes


def test_an_image_that_no_coco_file_lists_is_an_error(tmp_path: Path) -> None:
    root = folder(tmp_path, a=PIECES, b=PIECES)
    coco_file(root / "labels" / "all.json", ["a.tif"], {"image_id": 10, "segmentation": [SQUARE]})
    with pytest.raises(UserError, match=r"b\.tif: it has no partner"):
        listing(root, DATA)
    coco_file(root / "labels" / "all.json", ["x.tif", "y.tif"])
    with pytest.raises(UserError, match=r"no partner|lists none of the images, but x\.tif, y\.tif"):
        listing(root, DATA)


def test_a_coco_file_of_another_size_is_refused(tmp_path: Path) -> None:
    root = folder(tmp_path, a=np.zeros((10, 10), np.uint8))
    coco_file(root / "labels" / "a.json", ["a.tif"], {"image_id": 10, "segmentation": [SQUARE]})
    with pytest.raises(UserError, match=r"a\.tif is listed with 20×24 pixels \(y, x\), but has 10×10"):
        listing(root, DATA)


def test_run_lengths_are_those_of_cocos_own_reader() -> None:
    mask = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(1)
    for density in (0.0, 0.02, 0.5, 1.0):
        pixels = rng.random((37, 300)) < density
        counts = mask.encode(np.asfortranarray(pixels.astype(np.uint8)))["counts"].decode()
        np.testing.assert_array_equal(run_lengths_mask(counts, 37, 300), pixels)


def test_polygons_are_those_of_cocos_own_reader_up_to_the_edge() -> None:
    mask = pytest.importorskip("pycocotools.mask")
    angles = np.linspace(0, 2 * np.pi, 15)[:-1]
    ring = np.stack([30 + 20 * np.cos(angles), 28 + 17 * np.sin(angles)], 1)
    theirs = mask.decode(mask.frPyObjects([ring.ravel().tolist()], 60, 64))[..., 0].astype(bool)
    ours = fill([ring], (60, 64))
    assert (ours ^ theirs).sum() < 0.05 * ours.sum()
    inner = fill([30 + (ring - 30) * 0.93], (60, 64))
    assert theirs[inner].all()


# Cellpose -----------------------------------------------------------------------------------------


def cellpose(path: Path, masks: np.ndarray, **more: Any) -> None:
    """What Cellpose saves: a dictionary, pickled in a NumPy array."""
    flows = [np.zeros((4, 5, 3), np.uint8), [np.zeros(3, np.float32)]]
    about = {
        "outlines": masks,
        "masks": masks,
        "flows": flows,
        "diameter": np.float64(17.5),
        "filename": "a.tif",
    }
    np.save(path, {"chan_choose": [0, 0], "ismanual": np.zeros(2, bool), **about, **more}, allow_pickle=True)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, ">u4"])
def test_masks_of_cellpose_are_read(tmp_path: Path, dtype: Any) -> None:
    root = folder(tmp_path, a=PIECES, b=RING)
    for name, labels in (("a", PIECES), ("b", np.asfortranarray(RING))):
        annotate(root, f"{name}_seg.npy", lambda p, found=labels: cellpose(p, found.astype(dtype)))
    found = listing(root, DATA)
    assert "labels: 5 instances in 2 images (Cellpose)" in found.notes[0]
    np.testing.assert_array_equal([e.read().labels for e in found.entries], [PIECES, RING])


def test_a_stack_of_cellpose_has_its_pages(tmp_path: Path) -> None:
    root = folder(tmp_path, a=FILM)
    annotate(root, "a_seg.npy", lambda p: cellpose(p, FILM.astype(np.uint16)))
    np.testing.assert_array_equal(learnt(root), FILM)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_every_protocol_of_pickle_is_read(tmp_path: Path, protocol: int) -> None:
    root = folder(tmp_path, a=PIECES)
    path = annotate(root, "a_seg.npy", lambda p: cellpose(p, PIECES))
    header = path.read_bytes()[:128]
    array = np.empty((), object)
    array[()] = {"masks": PIECES}
    path.write_bytes(header + pickle.dumps(array, protocol=protocol))
    np.testing.assert_array_equal(learnt(root), [PIECES])


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x04Nr\xff\xff\xff\x7f.",
        b"Np2147483647\n.",
        b"\x80\x04\x95" + (2**40).to_bytes(8, "little") + b"N.",
        b"\x80\x04\x8e" + (2**40).to_bytes(8, "little") + b"N.",
        b"\x80\x04cnumpy\nscalar\n}X\x01\x00\x00\x00xK\x01sb.",
    ],
    ids=["number", "number as text", "frame", "length", "state of a stand-in"],
)
def test_claims_of_a_file_of_cellpose_are_refused_in_little_memory(tmp_path: Path, pickled: bytes) -> None:
    root = folder(tmp_path, a=PIECES)
    path = annotate(root, "a_seg.npy", lambda p: cellpose(p, PIECES))
    path.write_bytes(path.read_bytes()[:128] + pickled)
    tracemalloc.start()
    with pytest.raises(UserError, match=r"a_seg\.npy: not a readable Cellpose file"):
        learnt(root)
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()
    assert not vars(_scalar)


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch evil",)


def test_nothing_in_a_file_of_cellpose_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = folder(tmp_path, a=PIECES)
    path = annotate(root, "a_seg.npy", lambda p: cellpose(p, PIECES, flows=Evil()))
    with pytest.raises(UserError, match=r"a_seg\.npy: not a readable Cellpose file \(it asks for .*system"):
        learnt(root)
    assert not (tmp_path / "evil").exists()
    np.load(path, allow_pickle=True)  # the file does run code where it may
    assert (tmp_path / "evil").exists()


@pytest.mark.parametrize("content", [b"not numpy", b"", {"flows": 1}, np.zeros((4, 4))])
def test_a_damaged_file_of_cellpose_is_one_error(tmp_path: Path, content: Any) -> None:
    root = folder(tmp_path, a=PIECES)
    path = root / "labels" / "a_seg.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(UserError, match=r"a_seg\.npy: "):
        learnt(root)


# Folders ------------------------------------------------------------------------------------------


def test_labels_of_all_kinds_may_lie_beside_their_images(unetseg: Unetseg, tmp_path: Path) -> None:
    for name in "abcde":
        Image.fromarray((RING > 0).astype(np.uint8) * 90).save(tmp_path / f"{name}.png")
    cellpose(tmp_path / "a_seg.npy", RING)
    exported(tmp_path / "b_rois.zip", "imagej", PIECES)
    exported(tmp_path / "c.geojson", "geojson", RING)
    exported(tmp_path / "d.json", "coco", RING)
    tifffile.imwrite(tmp_path / "e_cp_masks.tif", SIX.astype(np.uint16))
    (tmp_path / "notes.json").write_text("{}")
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("a.txt", "x")
    found = unetseg("data", tmp_path)
    assert (found.code, found.err) == (0, "")
    assert "labels: 17 instances in 5 images (COCO, Cellpose, GeoJSON, ImageJ ROIs)" in found.out
    for name in ("a_seg.npy", "b_rois.zip", "c.geojson", "d.json", "e_cp_masks.tif"):
        assert name in found.out


def test_masks_beside_outlines_are_refused(tmp_path: Path) -> None:
    root = folder(tmp_path, a=PIECES, b=PIECES)
    exported(root / "labels" / "a.geojson", "geojson", PIECES)
    tifffile.imwrite(root / "labels" / "b.tif", (PIECES > 0).astype(np.uint8) * 255)
    with pytest.raises(UserError, match=r"a\.geojson: holds objects, but b\.tif is .* detected as mask"):
        listing(root, DATA)


def test_outlines_hold_no_classes(tmp_path: Path) -> None:
    root = folder(tmp_path, a=PIECES)
    exported(root / "labels" / "a.geojson", "geojson", PIECES)
    with pytest.raises(UserError, match="holds objects, not classes"):
        listing(root, DataSettings(task="folder", labels="classes"))
