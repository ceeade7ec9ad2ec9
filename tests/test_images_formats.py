"""Which files are images, and a remedy for those that are not."""

from pathlib import Path

import pytest

from unetseg.errors import UserError
from unetseg.images.formats import check_readable, image_files


def test_images_by_name_without_hidden_files_and_folders(tmp_path: Path) -> None:
    for name in ("b.TIF", "a.png", "c.nii.gz", ".hidden.tif", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "d.tif").mkdir()
    assert [p.name for p in image_files(tmp_path)] == ["a.png", "b.TIF", "c.nii.gz"]


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("a.jpg", "JPEG is lossy"), ("a.jp2", "Process > Batch > Convert"), ("a.npy", "move")],
)
def test_images_of_other_formats_are_never_missed(tmp_path: Path, name: str, remedy: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(UserError, match=rf"{name}: .*{remedy}"):
        image_files(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [("", "a folder"), ("lost.tif", "no such file"), ("a.nii", "a volume"), ("a.xyz", r"cannot read \.xyz")],
)
def test_paths_that_are_no_image(tmp_path: Path, name: str, words: str) -> None:
    if name and name != "lost.tif":
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=words):
        check_readable(tmp_path / name)
