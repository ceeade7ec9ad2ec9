"""The mark of a result: read back from each format; anything without one is not replaced."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from unetseg.errors import UserError
from unetseg.images.marks import FILE, existing_mark, read_mark, tiff_tags

MARK = {"settings": {"tile": 256}}


def test_a_mark_is_read_from_a_tiff_a_png_and_a_folder(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), np.uint8), extratags=tiff_tags(MARK))
    text = PngImagePlugin.PngInfo()
    text.add_text("unetseg", '{"settings": {"tile": 256}}')
    Image.new("L", (4, 4)).save(tmp_path / "a.png", pnginfo=text)
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / FILE).write_text('{"settings": {"tile": 256}}')
    assert [read_mark(tmp_path / name) for name in ("a.tif", "a.png", "a.zarr")] == [MARK] * 3


@pytest.mark.parametrize("text", ["", "[1]", '{"other": 1}'])
def test_a_file_of_another_kind_is_no_mark(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    assert read_mark(tmp_path) is None


def test_a_copy_by_another_program_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((4, 4), np.uint8), extratags=tiff_tags(MARK))
    tifffile.imwrite(path, tifffile.imread(path))
    with pytest.raises(UserError, match="not replaced"):
        existing_mark(path)


@pytest.mark.parametrize("content", [b"", b"II*\0", b"[1]", b'{"other": 1}'])
def test_whatever_else_lies_there_is_an_error(tmp_path: Path, content: bytes) -> None:
    assert existing_mark(tmp_path / "a.tif") is None
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(UserError, match="not replaced"):
        existing_mark(tmp_path / "a.tif")
