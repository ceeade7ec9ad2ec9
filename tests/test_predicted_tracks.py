"""`unetseg predict --track`: stacks, frames in files, challenge sequences; and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Unetseg, write
from test_predict_progress import best as best
from test_streaming import pixels

from unetseg.images.whole import write_stack
from unetseg.tasks.track_files import read_tracks

pytest.importorskip("laptrack", reason="laptrack is not installed")

FRAMES = 3
FEW = ("--min-area", 12)


def masks(folder: Path) -> np.ndarray:
    return np.stack([np.squeeze(tifffile.imread(folder / f"mask{t:03}.tif")) for t in range(FRAMES)])


def check_tracks(folder: Path, labels: np.ndarray) -> None:
    """Three equal frames: every object is one track through all of them, with the predicted pixels."""
    found = masks(folder)
    assert labels.max() > 4
    assert (found == found[0]).all()
    assert ((found > 0) == (labels > 0)).all()
    tracks = read_tracks(folder / "res_track.txt")
    assert [t.id for t in tracks] == np.unique(found)[1:].tolist()
    assert {(t.start, t.end, t.parent) for t in tracks} == {(0, FRAMES - 1, 0)}


@pytest.mark.parametrize("name", ["out", "a.tif", "a.ome.zarr"])
def test_a_stack_gets_a_folder_of_tracks(name: str, unetseg: Unetseg, best: Path, tmp_path: Path) -> None:
    write_stack(tmp_path / "film.tif", np.stack([pixels()] * FRAMES), spacing_um=(0.5, 0.5), frame_s=60)
    out = tmp_path / "made" / name
    command = ("predict", best, tmp_path / "film.tif", "--out", out, *FEW, "--track")
    done = unetseg(*command)
    assert done.code == 0, done.err
    folder = out / "film_tracks" if name == "out" else out.with_name("a_tracks")
    assert f"{folder}: " in done.out
    assert "tracks in 3 frames (divisions: 0, gaps closed: 0)" in done.out
    if name != "a.ome.zarr":
        labels = out / "film_labels.tif" if name == "out" else out
        check_tracks(folder, tifffile.imread(labels))
    assert "path_um,duration_s" in (folder / "tracks.csv").read_text()
    again = unetseg(*command)
    assert (again.code, "already complete" in again.out) == (0, True)


def test_frames_in_files_are_one_film(unetseg: Unetseg, best: Path, tmp_path: Path) -> None:
    for t in range(FRAMES):
        write(tmp_path / "film" / f"t{t}.tif", pixels())
    done = unetseg("predict", best, tmp_path / "film", "--out", tmp_path / "out", *FEW, "--track")
    assert done.code == 0, done.err
    labels = np.stack(
        [tifffile.imread(tmp_path / "out" / f"t{t}_labels.tif").squeeze() for t in range(FRAMES)]
    )
    check_tracks(tmp_path / "out" / "tracks", labels)


def test_a_challenge_sequence_gets_lasting_ids_and_nothing_else(
    unetseg: Unetseg, best: Path, tmp_path: Path
) -> None:
    for t in range(FRAMES):
        write(tmp_path / "01" / f"t{t:03}.tif", np.roll(pixels(), t))
    command = ("predict", best, tmp_path / "01", "--challenge", "--out", tmp_path / "out", *FEW)
    assert unetseg(*command).code == 0
    plain = masks(tmp_path / "out" / "01_RES")
    tracked = unetseg(*command, "--track")
    assert tracked.code == 0, tracked.err
    folder = tmp_path / "out" / "01_RES"
    assert sorted(p.name for p in folder.iterdir()) == [
        *(f"mask{t:03}.tif" for t in range(3)),
        "res_track.txt",
    ]
    found = masks(folder)
    assert found.dtype == np.uint16
    assert ((found > 0) == (plain > 0)).all()
    tracks = read_tracks(folder / "res_track.txt")
    assert {track.end - track.start for track in tracks} >= {2}
    for track in tracks:
        assert [(frame == track.id).any() for frame in found] == [
            track.start <= t <= track.end for t in range(3)
        ]
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert unetseg(*command, "--track").code == 0  # finds the frames complete, and the same tracks
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_what_is_no_film_is_refused_before_anything_is_predicted(
    unetseg: Unetseg, best: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = write(tmp_path / "one.tif", pixels())
    film = tmp_path / "film.tif"
    write_stack(film, np.stack([pixels()] * 2), spacing_um=None)
    write(tmp_path / "02" / "t001.tif", pixels())
    write(tmp_path / "02" / "t002.tif", pixels())
    (tmp_path / "taken" / "film_tracks").mkdir(parents=True)
    (tmp_path / "taken" / "film_tracks" / "notes.txt").write_text("mine")
    cases = [
        ((one,), "out", "is no film (one_labels.tif has no frame number)"),
        ((film, "--as", "mask"), "out", "--track: a mask has no object ids"),
        ((film, "--as", "classes"), "out", "--track: class maps have no object ids"),
        ((film,), "taken", "holds notes.txt"),
        ((tmp_path / "02", "--challenge"), "out", "The challenge numbers frames from 0"),
    ]
    for words, out, wrong in cases:
        result = unetseg("predict", best, *words, "--out", tmp_path / out, "--track")
        assert (result.code, wrong in result.err, result.err.count("\n")) == (2, True, 1), result.err
    monkeypatch.setitem(sys.modules, "laptrack", None)
    missing = unetseg("predict", best, film, "--out", tmp_path / "out", "--track")
    assert (missing.code, "unetseg-microscopy[track]" in missing.err) == (2, True)
    assert not (tmp_path / "out").exists()
