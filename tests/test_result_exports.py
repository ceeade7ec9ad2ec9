"""`predict --measure` and `predict --roi`: what the commands write of the same labels, for every result."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import roifile
import tifffile
from conftest import Unetseg
from test_predict_progress import best as best
from test_prediction import image as image
from test_prediction import labels

from unetseg.images.marks import read_mark
from unetseg.pipeline.measuring import measure_files

KINDS = {"imagej": "_rois.zip", "geojson": ".geojson", "coco": ".json"}
FORMS = ("out", "a.tif", "a.ome.tif", "a.ome.zarr")


@pytest.mark.parametrize("name", FORMS)
def test_the_table_is_that_of_measure(unetseg: Unetseg, best: Path, image: Path, name: str) -> None:
    out, folder = image.parent / "made" / name, image.parent / "made"
    done = unetseg("predict", best, image, "--out", out, "--tile", 64, "--measure")
    assert done.code == 0, done.err
    table = out / "measurements.csv" if name == "out" else folder / "a_measurements.csv"
    assert f"table: {table}" in done.out
    found = out / "a_labels.tif" if name == "out" else out
    assert unetseg("measure", found, image, "--out", folder / "other.csv").code == 0
    text = table.read_text()
    assert text == (folder / "other.csv").read_text()
    assert "mean_c1" in text.splitlines()[0]
    assert "area_um2" in text.splitlines()[0]
    assert len(text.splitlines()) - 1 == sum(len(np.unique(page)) - 1 for page in labels(out).squeeze())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["out", "a.ome.zarr"])
def test_outlines_are_those_of_export_labels(
    unetseg: Unetseg, best: Path, image: Path, name: str, kind: str
) -> None:
    out, folder = image.parent / "made" / name, image.parent / "made"
    command = ("predict", best, image, "--out", out, "--tile", 64, "--roi", kind)
    assert unetseg(*command).code == 0
    made = (out if name == "out" else folder) / f"a{KINDS[kind]}"
    first = made.read_bytes()
    found = out / "a_labels.tif" if name == "out" else out
    assert unetseg("export-labels", found, "--to", kind, "--out", folder / f"other{made.suffix}").code == 0
    count = sum(len(np.unique(page)) - 1 for page in labels(out).squeeze())
    assert objects_in(made) == objects_in(folder / f"other{made.suffix}")
    assert len(objects_in(made)) == count > 4
    made.unlink()
    again = unetseg(*command)
    assert "already complete" in again.out
    assert made.read_bytes() == first


def objects_in(path: Path) -> list[object]:
    if path.suffix == ".zip":
        return [(r.name, r.position, r.coordinates().tolist()) for r in roifile.roiread(path)]
    found = json.loads(path.read_text())
    return found.get("features") or [
        {k: v for k, v in a.items() if k != "file_name"} for a in found["annotations"]
    ]


def test_outlines_of_other_settings_are_made_again(unetseg: Unetseg, best: Path, image: Path) -> None:
    out = image.parent / "out"
    command = ("predict", best, image, "--out", out, "--measure", "--roi", "geojson")
    assert unetseg(*command).code == 0
    first = (out / "a.geojson").read_text()
    refused = unetseg(*command, "--min-area", 50)
    assert refused.code == 2
    assert (out / "a.geojson").read_text() == first
    rows = len((out / "measurements.csv").read_text().splitlines())
    assert unetseg(*command, "--min-area", 50, "--overwrite").code == 0
    assert (out / "a.geojson").read_text() != first
    assert len((out / "measurements.csv").read_text().splitlines()) < rows
    assert read_mark(out / "a.geojson")["settings"] == read_mark(out / "a_labels.tif")["settings"]


@pytest.mark.parametrize(
    ("name", "text"), [("a_rois.zip", ""), ("measurements.csv", "file,frame,id,my condition\n")]
)
def test_files_of_others_are_left_alone_and_nothing_is_predicted(
    unetseg: Unetseg, best: Path, image: Path, name: str, text: str
) -> None:
    out = image.parent / "out"
    out.mkdir()
    (out / name).write_text(text)
    done = unetseg("predict", best, image, "--out", out, "--measure", "--roi", "imagej", "--overwrite")
    assert done.code == 2
    assert f"{name}: exists and is not a" in done.err
    assert [p.name for p in out.iterdir()] == [name]
    assert (out / name).read_text() == text


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--measure", "--as", "mask"], "--measure: a mask has no object ids"),
        (["--roi", "coco", "--as", "mask"], "--roi: a mask has no object ids"),
        (["--measure", "--skip-damaged"], "--measure: damaged pixels have no grey values"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    unetseg: Unetseg, best: Path, image: Path, option: list[str], said: str
) -> None:
    done = unetseg("predict", best, image, "--out", image.parent / "out", *option)
    assert done.code == 2
    assert said in done.err
    assert not (image.parent / "out").exists()


def test_chosen_planes_and_a_failed_image_leave_a_table_of_the_rest(
    unetseg: Unetseg, best: Path, image: Path
) -> None:
    folder = image.parent / "images"
    folder.mkdir()
    image.rename(folder / "a.tif")
    (folder / "b.tif").write_bytes(b"no image")
    out = image.parent / "out"
    done = unetseg("predict", best, folder, "--out", out, "--plane", "z1", "--measure")
    assert done.code == 2
    assert "b.tif" in done.err
    (table,) = measure_files(out / "a_labels.tif")
    assert len((out / "measurements.csv").read_text().splitlines()) - 1 == table.count
    assert tifffile.imread(out / "a_labels.tif").shape == (150, 133)
