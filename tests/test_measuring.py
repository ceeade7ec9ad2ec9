"""Measuring and exporting label files: what is written, read back by others, and what is refused."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image
from skimage.draw import polygon2mask

from unetseg.cli import cli
from unetseg.errors import UserError
from unetseg.exports import LabelledPage, objects_of, write_coco, write_geojson
from unetseg.images.whole import write_stack
from unetseg.pipeline.measuring import measure_files, open_labels_of, write_measurements

FILM = np.zeros((3, 30, 40), np.uint16)
FILM[0, 2:8, 3:9] = 4
FILM[1, 2:9, 3:9], FILM[1, 20:30, 30:40] = 4, 7
FILM[2, 10:20, 10:20], FILM[2, 12:15, 12:15] = 9, 0  # with a hole


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film_labels.tif"
    write_stack(path, FILM, spacing_um=(0.5, 0.5))
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open(encoding="utf-8")))


def test_a_film_is_a_table_with_its_frames_and_units(film: Path, tmp_path: Path) -> None:
    image = tmp_path / "film.tif"
    write_stack(image, (10 * FILM).astype(np.uint16), spacing_um=(0.5, 0.5))
    out = tmp_path / "out.csv"
    result = CliRunner().invoke(cli, ["measure", str(film), str(image), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "4 objects" in result.output
    assert "objects per frame: 1, 2, 1" in result.output
    rows = rows_of(out)
    assert [(r["frame"], r["id"]) for r in rows] == [("t0", "4"), ("t1", "4"), ("t1", "7"), ("t2", "9")]
    assert [float(r["area_um2"]) for r in rows] == [9.0, 10.5, 25.0, 22.75]
    assert [float(r["mean_c1"]) for r in rows] == [40, 40, 70, 90]
    assert [r["touches_border"] for r in rows] == ["False", "False", "True", "False"]


def test_folders_are_paired_by_name(tmp_path: Path) -> None:
    for folder, name, pixels in (("labels", "a_labels", FILM[0]), ("images", "a", FILM[0] * 3)):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / f"{name}.tif", pixels)
    (table,) = measure_files(tmp_path / "labels", tmp_path / "images")
    assert table.columns["mean_c1"].tolist() == [12]
    (tmp_path / "images" / "a.tif").rename(tmp_path / "images" / "b.tif")
    tifffile.imwrite(tmp_path / "images" / "c.tif", FILM[0])
    with pytest.raises(UserError, match="no image for a_labels"):
        list(measure_files(tmp_path / "labels", tmp_path / "images"))


def test_pictures_beside_labels_are_no_labels(tmp_path: Path) -> None:
    """What `predict --pictures` writes into one folder."""
    tifffile.imwrite(tmp_path / "a_labels.tif", FILM[0])
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / "a_labels.png")
    (table,) = measure_files(tmp_path)
    assert table.columns["id"].tolist() == [4]


def test_volumes_have_volumes(tmp_path: Path) -> None:
    path = tmp_path / "v.tif"
    write_stack(path, FILM, spacing_um=(2.0, 0.5, 0.5), axes="ZYX")
    (table,) = measure_files(path, volumes=True)
    assert dict(zip(table.columns["id"].tolist(), table.columns["volume_px"].tolist(), strict=True)) == {
        4: 78, 7: 100, 9: 91
    }  # fmt: skip
    assert table.columns["volume_um3"].tolist() == [39.0, 50.0, 45.5]


@pytest.mark.parametrize("wrong", ["missing.tif", "rgb.tif", "float.tif"])
def test_what_is_no_label_image_is_one_error(tmp_path: Path, wrong: str) -> None:
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((8, 9, 3), np.uint8), photometric="rgb")
    tifffile.imwrite(tmp_path / "float.tif", np.zeros((8, 9), np.float32))
    with pytest.raises(UserError, match=wrong):
        list(measure_files(tmp_path / wrong))


def test_an_image_of_another_size_is_one_error(film: Path, tmp_path: Path) -> None:
    write_stack(tmp_path / "small.tif", np.zeros((3, 20, 40), np.uint8), spacing_um=None)
    with pytest.raises(UserError, match=r"3 of 30×40.*3 of 20×40"):
        list(measure_files(film, tmp_path / "small.tif"))
    with pytest.raises(UserError, match=r"\.xlsx"):
        write_measurements(tmp_path / "a.xlsx", [])


def test_imagej_rois_enclose_their_objects_and_know_their_frame(film: Path, tmp_path: Path) -> None:
    roifile = pytest.importorskip("roifile")
    result = CliRunner().invoke(cli, ["export-labels", str(film)])
    assert result.exit_code == 0, result.output
    rois = roifile.roiread(tmp_path / "film_rois.zip")
    assert [(r.t_position, r.name.split("-")[1]) for r in rois] == [
        (1, "00004"), (2, "00004"), (2, "00007"), (3, "00009")
    ]  # fmt: skip
    for roi in rois[:3]:
        x, y = roi.coordinates().T
        mask = polygon2mask((30, 40), np.stack([y, x], 1) - 0.5)
        np.testing.assert_array_equal(mask, FILM[roi.t_position - 1] == int(roi.name.split("-")[1]))


def test_geojson_read_by_shapely_has_the_pixels(tmp_path: Path) -> None:
    shapely = pytest.importorskip("shapely")
    write_geojson(
        tmp_path / "f.geojson",
        [LabelledPage("f", page, i) for i, page in enumerate(FILM)],
        classification="nucleus",
    )
    features = json.loads((tmp_path / "f.geojson").read_text())["features"]
    assert [f["properties"]["name"] for f in features] == ["4", "4", "7", "9"]
    assert [f["properties"]["plane"]["z"] for f in features] == [0, 1, 1, 2]
    assert {f["properties"]["classification"]["name"] for f in features} == {"nucleus"}
    shapes = [shapely.geometry.shape(f["geometry"]) for f in features]
    assert all(s.is_valid for s in shapes)
    assert [s.area for s in shapes] == [36, 42, 100, 91]


def test_coco_read_by_its_own_reader_has_the_pixels(tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    write_coco(tmp_path / "f.json", [LabelledPage(f"f{i}", page, i) for i, page in enumerate(FILM)])
    found = coco.COCO(str(tmp_path / "f.json"))
    for annotation in found.loadAnns(found.getAnnIds()):
        page = FILM[annotation["image_id"] - 1] == annotation["label_id"]
        np.testing.assert_array_equal(found.annToMask(annotation), page)
        assert annotation["area"] == page.sum()
        x, y, width, height = annotation["bbox"]
        assert page[y : y + height, x : x + width].sum() == page.sum()


def test_outlines_by_windows_are_those_of_the_whole(tmp_path: Path) -> None:
    """Objects that cross windows, one of them with a hole, in a page that is not square."""
    big = np.tile(FILM[2], (3, 4)).astype(np.int64)
    big[big > 0] += np.arange(big.size).reshape(big.shape)[big > 0] // 1200 * 10
    big[:, 41] = 5000

    def found(window: int) -> dict[int, list[list[list[list[int]]]]]:
        return {n: [[r.tolist() for r in p] for p in polygons] for n, polygons in objects_of(big, window)}

    assert found(16) == found(2048)
    assert len(found(16)) == len(np.unique(big)) - 1 > 5


def test_objects_in_several_pieces_keep_them_all() -> None:
    labels = np.array([[3, 0, 3], [0, 0, 3]])
    ((number, polygons),) = objects_of(labels)
    assert number == 3
    assert len(polygons) == 2


def test_a_wrong_ending_is_refused_before_anything_is_written(film: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["export-labels", str(film), "--out", str(tmp_path / "x.json")])
    assert isinstance(result.exception, UserError)
    assert not (tmp_path / "x.json").exists()


def test_labels_in_a_result_are_found(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(tmp_path / "r.zarr", mode="w", zarr_format=2)
    group.create_group("labels/labels")
    array = group.create_array("labels/labels/0", shape=(30, 40), dtype="u4", chunks=(16, 16))
    array[:] = FILM[1]
    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "yx"]
    scale = [{"type": "scale", "scale": [0.5, 0.5]}]
    group["labels/labels"].attrs["multiscales"] = [
        {"version": "0.4", "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    ]
    assert open_labels_of(tmp_path / "r.zarr").shape == (1, 30, 40)
    (table,) = measure_files(tmp_path / "r.zarr")
    assert table.columns["area_um2"].tolist() == [10.5, 25.0]


def test_a_cellpose_seg_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a_seg.npy").write_bytes(b"x")
    with pytest.raises(UserError, match="Save masks as PNG"):
        list(measure_files(tmp_path / "a_seg.npy"))


def test_tables_in_blocks_of_rows_are_those_of_the_whole(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = list(measure_files(film, None))
    narrow = replace(tables[0], columns={"id": np.array([5])})  # a table that lacks the other columns
    write_measurements(tmp_path / "whole.csv", [*tables, narrow])
    monkeypatch.setattr("unetseg.pipeline.measuring.ROWS", 1)
    write_measurements(tmp_path / "rows.csv", [*tables, narrow])
    text = (tmp_path / "rows.csv").read_text()
    assert text == (tmp_path / "whole.csv").read_text()
    assert len(text.splitlines()) == 1 + sum(table.count for table in tables) + 1
    assert text.splitlines()[-1].replace(",", "") == f"{film.name}{tables[0].frame}5"


def test_parquet_holds_the_table(film: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    tables = list(measure_files(film, None))
    narrow = replace(tables[0], columns={"id": np.array([5])})
    write_measurements(tmp_path / "t.parquet", [*tables, narrow])
    found = parquet.read_table(tmp_path / "t.parquet").to_pydict()
    assert found["id"] == [*np.concatenate([t.columns["id"] for t in tables]), 5]
    assert found["frame"][:2] == [tables[0].frame, tables[1].frame]
    assert found["area_px"][-1] is None


def test_outlines_of_nifti_are_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"x")
    result = CliRunner().invoke(cli, ["export-labels", str(tmp_path / "a.nii.gz")])
    assert "outlines are of planes, and NIfTI files are volumes" in str(result.exception)
