"""`unetseg track`: every kind of input, what is written, and what is refused."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Unetseg, write

from unetseg import api
from unetseg.errors import UserError
from unetseg.images.whole import read_stack, write_stack
from unetseg.napari.reader import get_reader
from unetseg.pipeline.label_film import open_image_film, open_label_film, scaled_like
from unetseg.scores.tracks import Track
from unetseg.tasks.track_files import read_tracks

pytest.importorskip("laptrack", reason="laptrack is not installed")

FILM = np.zeros((4, 40, 60), np.uint16)
FILM[:, 5:15, 5:15] = 8
FILM[0, 20:30, 40:50] = FILM[1, 20:30, 38:48] = FILM[3, 20:30, 34:44] = 3
TRACKS = (Track(1, 0, 1), Track(2, 0, 3), Track(3, 3, 3, 1))
"""Object 8 stays; object 3 moves by 2 pixels a frame and is missing in frame 2."""


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film_labels.tif"
    write_stack(path, FILM, spacing_um=(0.5, 0.5), frame_s=60)
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open(encoding="utf-8")))


def test_a_stack_becomes_a_challenge_result_and_tables(unetseg: Unetseg, film: Path, tmp_path: Path) -> None:
    image = tmp_path / "film.tif"
    write_stack(image, (FILM * 10).astype(np.uint16), spacing_um=None)
    out = tmp_path / "tracks"
    result = unetseg("track", film, image, "--out", out)
    assert (result.code, result.out) == (0, f"{out}: 3 tracks in 4 frames (divisions: 0, gaps closed: 1)\n")
    assert read_tracks(out / "res_track.txt") == TRACKS
    masks = [tifffile.imread(out / f"mask{t:03}.tif") for t in range(4)]
    assert {mask.dtype.name for mask in masks} == {"uint16"}
    assert (np.squeeze(masks[0]) == np.where(FILM[0] == 3, 1, np.where(FILM[0] == 8, 2, 0))).all()
    assert set(np.unique(masks[3])) == {0, 2, 3}
    assert read_stack(out / "mask002.tif").spacing_um == pytest.approx((0.5, 0.5))
    rows = rows_of(out / "tracks.csv")
    assert [
        (r["id"], r["start"], r["end"], r["parent"], r["link"], r["cell"], r["frames"]) for r in rows
    ] == [
        ("1", "0", "1", "0", "", "1", "2"),
        ("2", "0", "3", "0", "", "2", "4"),
        ("3", "3", "3", "1", "gap", "1", "1"),
    ]
    assert [(r["path_px"], r["path_um"], r["duration_s"]) for r in rows] == [
        ("2", "1", "60"),
        ("0", "0", "180"),
        ("0", "0", "0"),
    ]
    points = rows_of(out / "napari_tracks.csv")
    assert list(points[0]) == ["track_id", "t", "y", "x", "area_px", "mean_c1"]
    assert [tuple(map(float, p.values())) for p in points[:2]] == [
        (1, 0, 24.5, 44.5, 100, 30),
        (1, 1, 24.5, 42.5, 100, 30),
    ]
    assert len(points) == 7
    assert sorted(p.name for p in tmp_path.iterdir()) == ["film.tif", "film_labels.tif", "tracks"]


def test_the_tracks_open_in_napari(unetseg: Unetseg, film: Path, tmp_path: Path) -> None:
    unetseg("track", film, "--out", tmp_path / "out")
    path = tmp_path / "out" / "napari_tracks.csv"
    reader = get_reader(str(path))
    assert reader is not None
    ((data, arguments, kind),) = reader(str(path))
    assert kind == "tracks"
    assert data.tolist()[:3] == [[1, 0, 24.5, 44.5], [1, 1, 24.5, 42.5], [2, 0, 9.5, 9.5]]
    assert arguments["graph"] == {3: [1]}
    assert arguments["scale"] == pytest.approx([1, 0.5, 0.5])
    assert arguments["properties"]["area_px"].tolist() == [100] * 7
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="not a table of tracks"):
        reader(str(path))


def test_tracks_of_tracks_are_the_same(unetseg: Unetseg, film: Path, tmp_path: Path) -> None:
    unetseg("track", film, "--out", tmp_path / "a")
    unetseg("track", tmp_path / "a", "--out", tmp_path / "b")
    for name in ("res_track.txt", "napari_tracks.csv", "mask003.tif"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_folders_of_frames_are_read_in_the_order_of_their_numbers(unetseg: Unetseg, tmp_path: Path) -> None:
    for t, name in enumerate(("t8", "t9", "t10", "t11")):
        write(tmp_path / "frames" / f"{name}_labels.tif", FILM[t])
    assert unetseg("track", tmp_path / "frames", "--out", tmp_path / "out").code == 0
    assert read_tracks(tmp_path / "out" / "res_track.txt") == TRACKS


def test_truth_of_a_challenge_is_its_markers(unetseg: Unetseg, tmp_path: Path) -> None:
    for t in range(4):
        write(tmp_path / "01_GT" / "TRA" / f"man_track{t:04}.tif", FILM[t])
    write(tmp_path / "01_GT" / "SEG" / "man_seg0002.tif", FILM[2])
    (tmp_path / "01_GT" / "TRA" / "man_track.txt").write_text("1 0 1 0\n")
    assert unetseg("track", tmp_path / "01_GT", "--out", tmp_path / "out").code == 0
    assert sorted(p.name for p in (tmp_path / "out").glob("*.tif"))[-1] == "mask0003.tif"


@pytest.mark.parametrize("name", ["film_labels.tif", "film.ome.zarr", "frames"])
def test_volumes_in_time(name: str, unetseg: Unetseg, tmp_path: Path) -> None:
    volumes = np.repeat(FILM[:, None], 3, axis=1)
    path = tmp_path / name
    if name == "frames":
        for t in range(4):
            write(path / f"mask{t:03}.tif", volumes[t])
    elif name.endswith(".tif"):
        write_stack(path, volumes, spacing_um=(2, 0.5, 0.5), axes="TZYX")
    else:
        zarr = pytest.importorskip("zarr")
        group = zarr.create_group(path, zarr_format=2)
        group.create_array("0", data=volumes, chunks=(1, 1, 40, 60))
        axes = [{"name": a, "type": "time" if a == "t" else "space"} for a in "tzyx"]
        scale = [{"type": "scale", "scale": [1, 2, 0.5, 0.5]}]
        datasets = [{"path": "0", "coordinateTransformations": scale}]
        group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    result = unetseg("track", path, "--out", tmp_path / "out")
    assert (result.code, result.err) == (0, "")
    assert read_tracks(tmp_path / "out" / "res_track.txt") == TRACKS
    assert np.squeeze(tifffile.imread(tmp_path / "out" / "mask000.tif")).shape == (3, 40, 60)
    assert "z" in rows_of(tmp_path / "out" / "napari_tracks.csv")[0]


def test_what_labels_do_not_know_comes_from_the_image(film: Path, tmp_path: Path) -> None:
    write(tmp_path / "plain.tif", FILM)
    labels = open_label_film(tmp_path / "plain.tif")
    assert labels.spacing_um is None
    known = scaled_like(labels, open_image_film(film, labels))
    assert (known.spacing_um, known.scale.frame_s) == (pytest.approx((0.5, 0.5)), 60)


def test_pages_that_a_file_calls_slices_are_frames_if_asked(unetseg: Unetseg, tmp_path: Path) -> None:
    write_stack(tmp_path / "a.tif", FILM, spacing_um=None, axes="ZYX")
    refused = unetseg("track", tmp_path / "a.tif", "--out", tmp_path / "out")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "one stack of 4 slices" in refused.err
    assert "--axes TYX" in refused.err
    assert not (tmp_path / "out").exists()
    assert unetseg("track", tmp_path / "a.tif", "--axes", "TYX", "--out", tmp_path / "out").code == 0


def inputs(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    """Inputs that cannot be tracked, and a part of their error."""
    rng = np.random.default_rng(0)
    for t in (0, 2):
        write(tmp_path / "gap" / f"mask00{t}.tif", FILM[t])
    for t in (0, 1):
        write(tmp_path / "sizes" / f"mask00{t}.tif", FILM[t, t:])
        write(tmp_path / "films" / f"film{t}.tif", FILM)
        write(tmp_path / "names" / f"{'ab'[t]}.tif", FILM[t])
        write_stack(tmp_path / "stacks" / f"film{t}.tif", FILM, spacing_um=None)
    (tmp_path / "empty").mkdir()
    write(tmp_path / "one" / "mask000.tif", FILM[0])
    return {
        "no path": (tmp_path / "none.tif", "no such file or folder"),
        "one frame": (write(tmp_path / "one.tif", FILM[0]), "holds one image"),
        "one file": (tmp_path / "one", "holds one image"),
        "empty folder": (tmp_path / "empty", "no label images"),
        "missing frame": (tmp_path / "gap", "mask002.tif follows mask000.tif"),
        "sizes": (tmp_path / "sizes", "mask001.tif: differs from mask000.tif"),
        "several films": (tmp_path / "stacks", "holds several films"),
        "no numbers": (tmp_path / "names", "a.tif has no frame number"),
        "image": (write(tmp_path / "grey.tif", rng.integers(0, 255, FILM.shape, np.uint8)), "not labels"),
        "mask": (write(tmp_path / "m.tif", np.where(FILM > 0, 255, 0).astype(np.uint8)), "a mask"),
        "channels": (write(tmp_path / "rgb.tif", np.zeros((4, 40, 60), np.float32)), "whole numbers"),
    }


CASES = ["no path", "one frame", "one file", "empty folder", "missing frame", "sizes", "several films"]
CASES += ["no numbers", "image", "mask", "channels"]


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_tracked_is_one_error(case: str, unetseg: Unetseg, tmp_path: Path) -> None:
    path, part = inputs(tmp_path)[case]
    result = unetseg("track", path, "--out", tmp_path / "out")
    assert (result.code, result.err.count("\n")) == (2, 1), result.err
    assert part in result.err
    assert not (tmp_path / "out").exists()


def test_an_image_of_another_length_is_refused(unetseg: Unetseg, film: Path, tmp_path: Path) -> None:
    image = write(tmp_path / "image.tif", FILM[:3])
    result = unetseg("track", film, image, "--out", tmp_path / "out")
    assert result.code == 2
    assert "3 frames of 40×60, but" in result.err


def test_only_tracks_are_replaced_and_only_if_asked(unetseg: Unetseg, film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out / "mine.tif", FILM)
    for options in ((), ("--overwrite",)):
        result = unetseg("track", film, "--out", out, *options)
        assert (result.code, "holds mine.tif" in result.err) == (2, True)
    (out / "mine.tif").unlink()
    assert unetseg("track", film, "--out", out).code == 0
    again = unetseg("track", film, "--out", out)
    assert (again.code, "--overwrite" in again.err) == (2, True)
    assert unetseg("track", film, "--out", out, "--max-gap", 0, "--overwrite").code == 0
    assert read_tracks(out / "res_track.txt")[2].parent == 0
    (out / "notes.txt").write_text("mine")
    assert "holds notes.txt" in unetseg("track", film, "--out", out, "--overwrite").err
    assert "is a file" in unetseg("track", film, "--out", film).err


def test_the_same_in_python() -> None:
    found = api.track(FILM)
    assert found.tracks == TRACKS
    assert found.labels.dtype == np.uint16
    assert (
        found.labels == np.where(FILM == 8, 2, np.where(FILM == 3, [[[1]], [[1]], [[1]], [[3]]], 0))
    ).all()
    assert api.track(FILM, divisions=False, max_gap=0).tracks[2].parent == 0
    for labels in (FILM[0], FILM[:1], FILM.astype(np.float32), -FILM.astype(np.int64)):
        with pytest.raises(UserError, match=r"labels|ids"):
            api.track(labels)


def test_nothing_half_written_is_left(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unetseg.pipeline import tracking
    from unetseg.pipeline.linking import LinkSettings

    labels = open_label_film(film)
    linked = tracking.track_film(labels)

    def full(*_: object) -> None:
        raise UserError("disk full")

    monkeypatch.setattr(tracking, "write_points", full)
    with pytest.raises(UserError, match="disk full"):
        tracking.write_result(tmp_path / "out", labels, linked, LinkSettings())
    assert [p.name for p in tmp_path.iterdir()] == ["film_labels.tif"]
