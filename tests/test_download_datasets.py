"""Data sets from a server on loopback: in place and checked, or not there at all."""

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Unetseg
from loopback import Site, serving
from PIL import Image

from unetseg.catalogue import CatalogueItem, read_catalogue
from unetseg.download import download_dataset
from unetseg.errors import UserError

FRAME = b"II*\0 synthetic frame"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(tmp_path / "site") as served:
        yield served


@pytest.fixture
def catalogue(site: Site, monkeypatch: pytest.MonkeyPatch) -> dict[str, CatalogueItem]:
    """The catalogue with links to the loopback server and the checksum of a synthetic frame."""
    sha = hashlib.sha256(FRAME).hexdigest()
    items = [
        replace(
            item,
            download=f"{site.url}/{item.name}.zip" if item.download else "",
            files={"01/t000.tif": sha} if item.name == "dic-hela" else {},
        )
        for item in read_catalogue()
    ]
    monkeypatch.setattr("unetseg.catalogue.read_catalogue", lambda: items)
    return {item.name: item for item in items}


def serve(site: Site, name: str, entries: dict[str, bytes]) -> None:
    with zipfile.ZipFile(site.folder / f"{name}.zip", "w") as archive:
        for path, content in entries.items():
            archive.writestr(path, content)


def png(pixels: np.ndarray, path: Path) -> bytes:
    Image.fromarray(pixels).save(path, format="PNG")
    return path.read_bytes()


def test_the_command_prints_the_terms_and_checks_the_files(
    catalogue: dict[str, CatalogueItem], site: Site, tmp_path: Path, unetseg: Unetseg
) -> None:
    serve(site, "dic-hela", {"DIC-C2DH-HeLa/01/t000.tif": FRAME})
    result = unetseg("data", "dic-hela", "--download", "--to", tmp_path / "to")
    assert result.code == 0, result.err
    assert result.out.index("terms: Cell Tracking Challenge") < result.out.index("downloading http://127")
    assert "downloaded, checksums match" in result.out
    assert (tmp_path / "to" / "DIC-C2DH-HeLa" / "01" / "t000.tif").read_bytes() == FRAME
    assert [p.name for p in (tmp_path / "to").iterdir()] == ["DIC-C2DH-HeLa"]
    again = unetseg("data", "dic-hela", "--download", "--to", tmp_path / "to")
    assert "already there" in again.out
    assert site.ranges == [None]


def test_reproduce_downloads_the_set_where_it_looks_for_it(
    catalogue: dict[str, CatalogueItem],
    site: Site,
    tmp_path: Path,
    unetseg: Unetseg,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNETSEG_DATA", str(tmp_path / "sets"))
    serve(site, "dic-hela", {"DIC-C2DH-HeLa/01/t000.tif": FRAME})
    result = unetseg("reproduce", "dic-hela", "--download", "--budget", "smoke")
    assert (tmp_path / "sets" / "DIC-C2DH-HeLa" / "01" / "t000.tif").is_file()
    assert result.code == 2  # the one synthetic frame cannot be trained on
    assert str(tmp_path / "sets" / "DIC-C2DH-HeLa") in result.err


def test_nuclei_are_converted(catalogue: dict[str, CatalogueItem], site: Site, tmp_path: Path) -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    masks = [np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)]
    masks[0][:3, :3] = masks[1][5:, 5:] = 255
    opaque = np.full((8, 8), 255, np.uint8)
    scratch = tmp_path / "scratch.png"
    serve(
        site,
        "nuclei-dsb2018",
        {
            "aa/images/aa.png": png(np.dstack([grey, grey, grey, opaque]), scratch),
            "aa/masks/0.png": png(masks[0], scratch),
            "aa/masks/1.png": png(masks[1], scratch),
            "bb/images/bb.png": png(np.dstack([grey, 255 - grey, grey, opaque]), scratch),
            "bb/masks/0.png": png(masks[0], scratch),
        },
    )
    counts: list[tuple[int, int]] = []
    folder = download_dataset(
        catalogue["nuclei-dsb2018"],
        tmp_path / "to",
        converted=lambda done, total: counts.append((done, total)),
    )
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.tif")) == [
        "images/aa.tif",
        "labels/aa.tif",
    ]
    assert (tifffile.imread(folder / "images" / "aa.tif") == grey).all()
    labels = tifffile.imread(folder / "labels" / "aa.tif")
    assert (labels == (masks[0] > 0) + 2 * (masks[1] > 0)).all()
    assert counts == [(1, 2), (2, 2)]


def test_the_folders_of_the_hippocampus_are_renamed(
    catalogue: dict[str, CatalogueItem], site: Site, tmp_path: Path
) -> None:
    entries = {f"Task04/{folder}/a.nii.gz": b"x" for folder in ("imagesTr", "labelsTr", "imagesTs")}
    serve(site, "hippocampus", entries | {"Task04/imagesTr/._a.nii.gz": b"y"})
    folder = download_dataset(catalogue["hippocampus"], tmp_path / "to")
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.gz")) == [
        "images/a.nii.gz",
        "labels/a.nii.gz",
    ]


BAD: dict[str, tuple[Callable[[Site], None], str]] = {
    "missing on the server": (lambda site: None, "404"),
    "wrong checksum": (
        lambda site: serve(site, "dic-hela", {"DIC-C2DH-HeLa/01/t000.tif": b"other"}),
        "differs from the provider's: 01/t000.tif",
    ),
    "hostile": (
        lambda site: serve(site, "dic-hela", {"DIC-C2DH-HeLa/01/t000.tif": FRAME, "../../evil": b"x"}),
        "leads out of the folder",
    ),
    "a page instead of an archive": (
        lambda site: (site.folder / "dic-hela.zip").write_text("<html>") and None,
        "not a zip or tar archive",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_archive_is_one_error_and_nothing_stays(
    catalogue: dict[str, CatalogueItem], site: Site, tmp_path: Path, unetseg: Unetseg, what: str
) -> None:
    prepare, words = BAD[what]
    prepare(site)
    result = unetseg("data", "dic-hela", "--download", "--to", tmp_path / "to")
    assert result.code == 2
    assert words in result.err
    assert result.err.count("\n") == 1
    assert list((tmp_path / "to").iterdir()) == []
    assert not list(tmp_path.glob("**/evil"))


def test_an_incomplete_folder_is_not_touched(
    catalogue: dict[str, CatalogueItem], site: Site, tmp_path: Path
) -> None:
    mine = tmp_path / "DIC-C2DH-HeLa" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("keep")
    with pytest.raises(UserError, match="incomplete"):
        download_dataset(catalogue["dic-hela"], tmp_path)
    assert mine.read_text() == "keep"
    assert site.ranges == []


def test_without_a_link_it_is_printed_where_to_go(unetseg: Unetseg, tmp_path: Path) -> None:
    result = unetseg("data", "isbi-em", "--download", "--to", tmp_path)
    assert result.code == 2
    assert "https://imagej.net/events/isbi-2012-segmentation-challenge" in result.err
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_name_is_one_line_with_the_nearest(unetseg: Unetseg) -> None:
    result = unetseg("data", "dic-hella", "--download")
    assert result.code == 2
    assert "did you mean 'dic-hela'?" in result.err


def test_a_name_without_download_shows_the_set(
    unetseg: Unetseg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "unetseg data dic-hela --download" in unetseg("data", "dic-hela").out
