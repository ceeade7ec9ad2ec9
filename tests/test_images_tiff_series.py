"""Every page that a TIFF promises is read, from one file or several, or the file is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from unetseg.errors import UserError
from unetseg.images import DamagedRegion, open_image
from unetseg.images.whole import read_stack

STACK = np.random.default_rng(0).integers(0, 255, (6, 96, 96)).astype(np.uint8)
KINDS: dict[str, dict[str, Any]] = {
    "imagej": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "imagej zlib": {"imagej": True, "metadata": {"axes": "ZYX"}, "compression": "zlib"},
    "ome": {"ome": True, "metadata": {"axes": "ZYX"}},
    "plain": {"photometric": "minisblack"},
    "tiles": {"photometric": "minisblack", "tile": (32, 32), "compression": "lzw"},
}


def both(path: Path, **options: Any) -> np.ndarray:
    """All pages (n, c, y, x), the same read whole and region by region."""
    whole = read_stack(path).pixels
    image = open_image(path, **options)
    np.testing.assert_array_equal([image.plane(i)[...] for i in range(len(image.planes))], whole)
    return whole


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, **KINDS[kind])
    assert both(path).shape == (6, 1, 96, 96)
    whole = path.read_bytes()
    for part in (0.1, 0.4, 0.6, 0.8, 0.9, 0.97):
        path.write_bytes(whole[: int(part * len(whole))])
        for read in (read_stack, open_image):
            with pytest.raises(UserError, match=r"a\.tif: "):
                read(path)


@pytest.mark.parametrize("kind", ["imagej", "plain"])
def test_what_is_left_of_a_cut_file_is_read_if_damage_is_allowed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, **KINDS[kind])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    image = open_image(path, damaged=True)
    assert len(image.planes) == 6
    np.testing.assert_array_equal(image.plane(1)[0], STACK[1])
    with pytest.raises(DamagedRegion, match=r"a\.tif: damaged"):
        image.plane(4)[...]


def test_pages_that_were_appended_or_stored_otherwise_are_read_in_their_order(tmp_path: Path) -> None:
    for page in STACK:
        tifffile.imwrite(tmp_path / "append.tif", page, append=True, photometric="minisblack")
    with tifffile.TiffWriter(tmp_path / "strips.tif") as writer:
        for i, page in enumerate(STACK):
            rows = 8 if i % 2 else 96
            writer.write(page, rowsperstrip=rows, contiguous=False, photometric="minisblack", metadata=None)
    with tifffile.TiffWriter(tmp_path / "mixed.tif") as writer:
        for i, page in enumerate(STACK):
            packed = "zlib" if i % 3 else None
            writer.write(page, compression=packed, contiguous=False, photometric="minisblack", metadata=None)
    for name in ("append", "strips", "mixed"):
        np.testing.assert_array_equal(both(tmp_path / f"{name}.tif")[:, 0], STACK)


def test_positions_that_are_alike_are_read_one_after_another(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        writer.write(STACK[:3], photometric="minisblack", metadata={"axes": "ZYX"})
        writer.write(STACK[3:], photometric="minisblack", metadata={"axes": "ZYX"})
    np.testing.assert_array_equal(both(tmp_path / "a.ome.tif")[:, 0], STACK)
    assert open_image(tmp_path / "a.ome.tif").axes == {"i": 2, "z": 3}
    second = open_image(tmp_path / "a.ome.tif", series=1)
    np.testing.assert_array_equal(second.plane(0)[0], STACK[3])


# Sets of several files ----------------------------------------------------------------------------


def make_set(folder: Path, name: str = "b.ome.tif") -> Path:
    """Two files of two planes each; the first one's description names both."""
    uuids = {"a.ome.tif": "urn:uuid:1", name: "urn:uuid:2"}
    planes = "".join(
        f'<TiffData FirstZ="{z}" IFD="{z % 2}" PlaneCount="1"><UUID FileName="{file}">{uuids[file]}</UUID>'
        "</TiffData>"
        for z, file in enumerate(["a.ome.tif"] * 2 + [name] * 2)
    )
    for i, (file, uuid) in enumerate(uuids.items()):
        text = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="{uuid}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" '
            'SizeX="96" SizeY="96" SizeZ="4" SizeC="1" SizeT="1" PhysicalSizeX="0.5" PhysicalSizeY="0.5" '
            f'PhysicalSizeZ="2"><Channel ID="Channel:0"/>{planes}</Pixels></Image></OME>'
        )
        with tifffile.TiffWriter(folder / file) as writer:
            for page in STACK[2 * i : 2 * i + 2]:
                writer.write(
                    page, description=text, metadata=None, contiguous=False, photometric="minisblack"
                )
                text = None
    return folder / "a.ome.tif"


def test_a_set_of_files_is_one_image(tmp_path: Path) -> None:
    path = make_set(tmp_path)
    np.testing.assert_array_equal(both(path)[:, 0], STACK[:4])
    assert read_stack(path).scale.z_um == 2


def test_a_missing_file_of_a_set_is_named_or_marked(tmp_path: Path) -> None:
    path = make_set(tmp_path)
    (tmp_path / "b.ome.tif").unlink()
    for read in (read_stack, open_image):
        with pytest.raises(UserError, match=r"a\.ome\.tif: b\.ome\.tif of its set of files is missing"):
            read(path)
    image = open_image(path, damaged=True)
    np.testing.assert_array_equal(image.plane(1)[0], STACK[1])
    with pytest.raises(DamagedRegion, match="the file does not hold this plane"):
        image.plane(2)[...]


@pytest.mark.parametrize(
    "name", ["../secret.ome.tif", "sub/secret.ome.tif", "/secret.ome.tif", "C:\\secret.tif"]
)
def test_a_set_may_name_files_of_its_folder_only(tmp_path: Path, name: str) -> None:
    (tmp_path / "set" / "sub").mkdir(parents=True)
    make_set(tmp_path / "set", "b.ome.tif")
    for file in ("secret.ome.tif", "set/sub/secret.ome.tif"):
        (tmp_path / file).write_bytes((tmp_path / "set" / "b.ome.tif").read_bytes())
    path = tmp_path / "set" / "a.ome.tif"
    with tifffile.TiffFile(path) as tiff:
        text = tiff.pages.first.description.replace("b.ome.tif", name)
    with tifffile.TiffWriter(path) as writer:
        writer.write(STACK[:1], description=text, metadata=None, photometric="minisblack")
    for read in (read_stack, open_image):
        with pytest.raises(UserError, match="the files of an OME-TIFF set must lie in one folder"):
            read(path)


# Claims -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_a_small_file_that_claims_much_is_refused_before_anything_is_allocated(
    tmp_path: Path, compression: str | None
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[0], photometric="minisblack", compression=compression)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for tag in ("ImageLength", "RowsPerStrip"):
            tiff.pages.first.tags[tag].overwrite(2**24, dtype=4)
    for read in (read_stack, open_image):
        with pytest.raises(
            UserError, match=r"a\.tif: (claims to hold 1\.6 GB of pixels|the file is truncated)"
        ):
            read(path)


def test_a_description_that_claims_planes_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, STACK, ome=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as tiff:
        text = tiff.ome_metadata.replace('SizeT="1"', 'SizeT="999999999"')
    tifffile.imwrite(path, STACK, description=text, metadata=None, photometric="minisblack")
    with pytest.raises(UserError, match=r"claims .* planes"):
        open_image(path)


def test_pages_that_link_in_a_circle_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for page in STACK[:2]:
            writer.write(page, contiguous=False, metadata=None, photometric="minisblack")
    with tifffile.TiffFile(path) as tiff:
        offsets = [page.offset for page in tiff.pages]
    data = bytearray(path.read_bytes())
    tags = int.from_bytes(data[offsets[1] : offsets[1] + 2], "little")
    place = offsets[1] + 2 + 12 * tags
    data[place : place + 4] = offsets[0].to_bytes(4, "little")
    path.write_bytes(data)
    for read in (read_stack, open_image):
        with pytest.raises(UserError, match="in a circle"):
            read(path)
