"""Whatever a reader raises becomes one error with the file's name; what is claimed is checked first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr

from unetseg.errors import UserError, reading
from unetseg.images import DamagedRegion, open_image
from unetseg.images.limits import check_memory
from unetseg.images.nifti import read_volume


def test_any_exception_of_a_reader_is_one_error_unless_debugged(monkeypatch: pytest.MonkeyPatch) -> None:
    def read() -> None:
        with reading(Path("a.tif"), "TIFF"):
            raise ZeroDivisionError("twice\nsaid")

    with pytest.raises(UserError, match=r"^a\.tif: not a readable TIFF file \(twice\)\. Open it"):
        read()
    monkeypatch.setenv("UNETSEG_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        read()


def test_a_region_that_a_reader_fails_at_is_damaged_unless_debugged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((70, 90), np.uint8), photometric="minisblack")
    image = open_image(path)
    path.write_bytes(path.read_bytes()[:3000])
    np.testing.assert_array_equal(image.plane(0)[0, :20], 1)
    with pytest.raises(DamagedRegion, match=r"a\.tif: damaged at y 60:70, x 0:90") as error:
        image.plane(0)[:, 60:70]
    assert error.value.region == ((60, 70), (0, 90))
    monkeypatch.setenv("UNETSEG_DEBUG", "1")
    with pytest.raises(ValueError, match="mmap"):
        image.plane(0)[:, 60:70]


def make_ome_zarr(path: Path, entry: dict[str, Any]) -> Path:
    """An OME-Zarr whose only level has this entry, beside an array outside of it."""
    zarr.create_array(path / "0", shape=(4, 5), dtype="u1", zarr_format=2)
    zarr.create_array(path.parent / "secret", shape=(4, 5), dtype="u1", zarr_format=2)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    image = {"version": "0.4", "axes": [{"name": "y"}, {"name": "x"}], "datasets": [entry]}
    (path / ".zattrs").write_text(json.dumps({"multiscales": [image]}))
    return path


@pytest.mark.parametrize("name", ["../secret", "0/../../secret", "/secret", "", "..\\secret"])
def test_a_level_may_not_leave_the_folder(tmp_path: Path, name: str) -> None:
    path = make_ome_zarr(tmp_path / "a.zarr", {"path": name})
    with pytest.raises(UserError, match=r"a\.zarr: its metadata names the array .*, which is outside of it"):
        open_image(path)


@pytest.mark.parametrize("entry", [{}, {"path": 3}, {"path": None}, [], 7, {"path": "1"}, {"path": "."}])
def test_wrong_metadata_is_an_error_with_the_files_name(tmp_path: Path, entry: Any) -> None:
    path = make_ome_zarr(tmp_path / "a.zarr", entry)
    with pytest.raises(UserError, match=r"a\.zarr: "):
        open_image(path)


def test_an_array_that_claims_chunks_larger_than_the_memory_is_refused(tmp_path: Path) -> None:
    zarr.create_array(
        tmp_path / "a.zarr", shape=(2**22, 2**22), chunks=(2**21, 2**21), dtype="u2", zarr_format=2
    )
    with pytest.raises(UserError, match=r"a\.zarr: needs .* GB of memory; .* Save it in smaller chunks"):
        open_image(tmp_path / "a.zarr")


def test_planes_without_end_are_refused(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(2**40, 4, 5), chunks=(1, 4, 5), dtype="u1", zarr_format=2)
    with pytest.raises(UserError, match="allowed are 1 to 1,000,000"):
        open_image(tmp_path / "a.zarr", axes="TYX")


def test_memory_is_compared_with_what_is_free() -> None:
    check_memory(Path("a.tif"), 1000)
    with pytest.raises(UserError, match=r"a\.tif: needs 1,000,000\.0 GB of memory; .* are free\. Do this"):
        check_memory(Path("a.tif"), 10**15, "Do this.")


def nifti(path: Path) -> Path:
    nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed")
    nibabel.save(nibabel.Nifti1Image(np.ones((6, 7, 8), np.int16), np.eye(4)), path)
    return path


def test_a_nifti_header_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii")
    data = bytearray(path.read_bytes())
    data[42:48] = np.array([2000, 2000, 800], "<i2").tobytes()
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"a\.nii: (claims to hold 6\.4 GB|the file is truncated)"):
        read_volume(path)


@pytest.mark.parametrize("code", [1, 2, 3, 0, 5, 7])
def test_unit_codes_of_nifti_that_mean_nothing_give_no_distance(tmp_path: Path, code: int) -> None:
    path = nifti(tmp_path / "a.nii")
    data = bytearray(path.read_bytes())
    data[123] = code
    path.write_bytes(data)
    um = {0: 1e3, 1: 1e6, 2: 1e3, 3: 1.0}.get(code)
    assert read_volume(path).spacing_um == (None if um is None else (um, um, um))
