"""Files of microscopes: pixels, axes and distances are those that were written; errors say what to do.

CZI files are written by Zeiss's own library. LIF files are put together here, byte by byte, and read by
liffile. ND2 files cannot be written by any library: a stand-in for the package nd2 holds our reader to its
documented interface.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import Unetseg
from numpy.typing import NDArray

from unetseg.cli.data_options import data_overrides
from unetseg.errors import UserError
from unetseg.images import open_image
from unetseg.images.whole import read_stack, write_stack
from unetseg.pipeline.auto import derive_experiment
from unetseg.settings import DataSettings
from unetseg.tasks import list_task

RNG = np.random.default_rng(5)
FILM = RNG.integers(0, 60000, (2, 3, 2, 40, 50)).astype(np.uint16)  # t, z, c, y, x
RGB = RNG.integers(0, 255, (40, 50, 3)).astype(np.uint8)


def check_film(path: Path, **choice: Any) -> None:
    """All pixels, by whole planes and by a region, the axes and the distances."""
    image = open_image(path, **choice)
    assert (image.axes, image.shape, image.dtype) == ({"t": 2, "z": 3}, (2, 40, 50), np.uint16)
    for number, plane in enumerate(FILM.reshape(6, 2, 40, 50)):
        np.testing.assert_array_equal(image.plane(number)[...], plane)
    np.testing.assert_array_equal(image.plane(4)[1, 7:33, 11:48:2], FILM[1, 1, 1, 7:33, 11:48:2])
    assert image.scale.yx_um == pytest.approx((0.5, 0.25))
    assert image.scale.z_um == pytest.approx(2)
    assert open_image(path, channels=(1,), **choice).plane(0)[...].tolist() == [FILM[0, 0, 1].tolist()]


# CZI ----------------------------------------------------------------------------------------------


def czi(path: Path, *scenes: NDArray[Any], location: tuple[int, int] = (0, 0)) -> Path:
    """Scenes (t, z, c, y, x), or RGB (y, x, 3)."""
    writer = pytest.importorskip("pylibCZIrw.czi")
    with writer.create_czi(str(path)) as file:
        for number, pixels in enumerate(scenes):
            at = (location[0] + 100 * number, location[1])
            if pixels.shape[-1] == 3:
                file.write(np.ascontiguousarray(pixels[..., ::-1]), scene=number, location=at)
                continue
            for t, z, c in np.ndindex(*pixels.shape[:3]):
                place = {"T": t, "Z": z, "C": c}
                file.write(pixels[t, z, c][..., None], plane=place, scene=number, location=at)
        file.write_metadata(scale_x=0.25e-6, scale_y=0.5e-6, scale_z=2e-6)
    return path


def test_czi(tmp_path: Path) -> None:
    check_film(czi(tmp_path / "a.czi", FILM, location=(-30, 20)))


def test_scenes_of_czi(tmp_path: Path) -> None:
    alike = czi(tmp_path / "a.czi", FILM, FILM[::-1])
    assert read_stack(alike).axes == {"p": 2, "t": 2, "z": 3}
    np.testing.assert_array_equal(read_stack(alike).pixels[6:9], FILM[1])
    check_film(alike, series=0)
    differing = czi(tmp_path / "b.czi", FILM, FILM[..., :30])
    with pytest.raises(UserError, match=r"2 scenes .* 0 \(scene 0, 2×3×2×40×50 TZCYX\).*--scene"):
        open_image(differing)
    assert open_image(differing, series=1).shape == (2, 40, 30)
    with pytest.raises(UserError, match="has no scene 2"):
        open_image(differing, series=2)


def test_rgb_of_czi(tmp_path: Path) -> None:
    image = open_image(czi(tmp_path / "a.czi", RGB))
    np.testing.assert_array_equal(image.plane(0)[...], RGB.transpose(2, 0, 1))


def test_blocks_of_czi_join_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unetseg.images.microscopes.zeiss.BLOCK", 16)
    check_film(czi(tmp_path / "a.czi", FILM))


def test_a_damaged_czi_is_one_error(tmp_path: Path) -> None:
    pytest.importorskip("pylibCZIrw")
    (tmp_path / "a.czi").write_bytes(b"no czi")
    with pytest.raises(UserError, match=r"a\.czi: not a readable CZI file"):
        open_image(tmp_path / "a.czi")


# LIF ----------------------------------------------------------------------------------------------


def lif(path: Path, *images: NDArray[Any]) -> Path:
    """Images (t, z, c, y, x) of 16 bits, in Leica's format: XML in UTF-16, and a block of memory for each."""
    elements = "".join(lif_image(number, pixels) for number, pixels in enumerate(images))
    folder = tag("Element", tag("Children", elements), Name="f")
    xml = tag("LMSDataContainerHeader", folder, Version=2)
    found = struct.pack("<IIBI", 0x70, 2 * len(xml) + 5, 0x2A, len(xml)) + xml.encode("utf-16-le")
    for number, pixels in enumerate(images):
        name = f"MemBlock_{number}"
        about = struct.pack("<BQBI", 0x2A, pixels.nbytes, 0x2A, len(name)) + name.encode("utf-16-le")
        found += struct.pack("<II", 0x70, len(about)) + about + pixels.tobytes()
    path.write_bytes(found)
    return path


def tag(name: str, content: str = "", **attributes: object) -> str:
    listed = " ".join(f'{k}="{v}"' for k, v in attributes.items())
    return f"<{name} {listed}>{content}</{name}>"


def lif_image(number: int, pixels: NDArray[Any]) -> str:
    bytes_apart = dict(zip("tzcyx", pixels.strides, strict=True))
    steps = {"x": 0.25e-6, "y": 0.5e-6, "z": 2e-6, "t": 30}
    dimensions = "".join(
        tag("DimensionDescription", DimID=place, NumberOfElements=n, Origin=0, Length=steps[axis] * (n - 1),
            Unit="s" if axis == "t" else "m", BytesInc=bytes_apart[axis], BitInc=0)
        for place, axis in enumerate("xyzt", 1)
        for n in [pixels.shape["tzcyx".index(axis)]]
    )  # fmt: skip
    channels = "".join(
        tag("ChannelDescription", DataType=0, ChannelTag=0, Resolution=16, NameOfMeasuredQuantity="", Min=0,
            Max=65535, Unit="", LUTName="Green", IsLUTInverted=0, BytesInc=i * bytes_apart["c"], BitInc=0)
        for i in range(pixels.shape[2])
    )  # fmt: skip
    about = tag("ImageDescription", tag("Channels", channels) + tag("Dimensions", dimensions))
    memory = tag("Memory", Size=pixels.nbytes, MemoryBlockID=f"MemBlock_{number}")
    return tag("Element", tag("Data", tag("Image", about)) + memory, Name=f"image {number}")


def test_lif(tmp_path: Path) -> None:
    pytest.importorskip("liffile")
    path = lif(tmp_path / "a.lif", FILM)
    check_film(path)
    assert open_image(path).scale.frame_s == 30


def test_images_of_lif_are_scenes(tmp_path: Path) -> None:
    pytest.importorskip("liffile")
    path = lif(tmp_path / "a.lif", FILM[..., :30].copy(), FILM)
    with pytest.raises(UserError, match=r"0 \(image 0, 2×3×2×40×30 TZCYX\); 1 \(image 1, .*--scene"):
        open_image(path)
    check_film(path, series=1)
    (tmp_path / "b.lif").write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match=r"b\.lif: not a readable LIF file"):
        open_image(tmp_path / "b.lif")


def test_bioio_reads_the_same(tmp_path: Path) -> None:
    """Any format without a reader of its own goes through BioIO; here one that has both."""
    pytest.importorskip("bioio_lif")
    from unetseg.images.chunks import ChunkCache
    from unetseg.images.lazy import Choice
    from unetseg.images.microscopes.other import bioio_scenes
    from unetseg.images.microscopes.scenes import image_of_scenes

    path = lif(tmp_path / "a.lif", FILM)
    image = image_of_scenes(path, bioio_scenes(path), Choice(), ChunkCache(2**20))
    np.testing.assert_array_equal(image.plane(4)[1, 7:33, 11:48], FILM[1, 1, 1, 7:33, 11:48])
    assert image.scale.yx_um == pytest.approx((0.5, 0.25))


# ND2 ----------------------------------------------------------------------------------------------


class ND2File:
    """The documented interface of nd2.ND2File, for a file with two stage positions."""

    dtype = np.dtype(np.uint16)

    def __init__(self, path: Path) -> None:
        self.sizes = {"T": 2, "P": 2, "Z": 3, "C": 2, "Y": 40, "X": 50}
        self.experiment = [SimpleNamespace(parameters=SimpleNamespace(periodMs=1500.0))]
        self.frames = np.stack([FILM, FILM[::-1]], axis=1).reshape(12, 2, 40, 50)

    def read_frame(self, number: int) -> NDArray[np.uint16]:
        return self.frames[number]

    def voxel_size(self) -> Any:
        return SimpleNamespace(x=0.25, y=0.5, z=2.0)


def test_nd2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nd2", SimpleNamespace(ND2File=ND2File))
    (tmp_path / "a.nd2").write_bytes(b"x")
    check_film(tmp_path / "a.nd2", series=0)
    assert open_image(tmp_path / "a.nd2").axes == {"p": 2, "t": 2, "z": 3}
    assert open_image(tmp_path / "a.nd2").scale.frame_s == 1.5


# Commands -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["czi", "nd2", "lif", "oib"])
def test_a_missing_package_is_one_error(
    unetseg: Unetseg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    for name in ("pylibCZIrw", "nd2", "liffile", "bioio"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / f"a.{ending}").write_bytes(b"x")
    result = unetseg("predict", "nuclei", tmp_path / f"a.{ending}", "--out", tmp_path / "out")
    assert result.code == 2
    assert 'pip install "unetseg-microscopy[formats]"' in result.err
    assert len(result.err.strip().splitlines()) == 1


def test_a_scene_and_a_channel_are_learnt(unetseg: Unetseg, tmp_path: Path) -> None:
    """The second scene, of another size, and its second channel; labels are those of its six pages."""
    pytest.importorskip("liffile")
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    lif(tmp_path / "images" / "a.lif", FILM[..., :30].copy(), FILM)
    ids = np.zeros((6, 40, 50), np.uint16)
    ids[:, 3:30, 5:20], ids[:, 3:30, 25:40] = 1, 2
    write_stack(tmp_path / "labels" / "a.tif", ids, spacing_um=None)
    refused = unetseg("show", tmp_path, "--out", tmp_path / "s.png")
    assert refused.code == 2
    assert "Choose one: --scene 0" in refused.err
    data = DataSettings(root=str(tmp_path), scene=1, channels=(1,))
    entries = list_task(tmp_path, data).entries
    np.testing.assert_array_equal([e.read().image[0] for e in entries], FILM[:, :, 1].reshape(6, 40, 50))
    resolved = derive_experiment(
        tmp_path, overrides=data_overrides(partly_annotated=False, channel=(1,), scene=1)
    )
    assert (resolved.experiment.data.scene, resolved.experiment.data.channels) == (1, (1,))
