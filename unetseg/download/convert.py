"""Published data sets, converted to the layout that unetseg reads (data/README.md)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from unetseg.errors import UserError
from unetseg.images.whole import read_stack, write_stack

Progress = Callable[[int, int], None]


def convert(name: str, unpacked: Path, out: Path, progress: Progress = lambda done, total: None) -> None:
    """Make the folder `out` of the set `name` from the unpacked files of its archive.

    progress: called with the number of images done and their total. Raises UserError if the archive does
    not hold the files of the set.
    """
    RECIPES.get(name, _as_it_is)(unpacked, out, progress)


def _as_it_is(unpacked: Path, out: Path, progress: Progress) -> None:
    """Everything, without the enclosing folder."""
    inside = list(unpacked.iterdir())
    (inside[0] if len(inside) == 1 and inside[0].is_dir() else unpacked).rename(out)


def _nuclei(unpacked: Path, out: Path, progress: Progress) -> None:
    """One mask file per nucleus → one label image; stained tissue in colour is left out."""
    samples = sorted(path.parent for path in unpacked.rglob("images") if path.is_dir())
    if not samples:
        raise UserError("the archive has no ID/images and ID/masks: the provider may have changed it.")
    for number, sample in enumerate(samples, start=1):
        image = read_stack(sample / "images" / f"{sample.name}.png").pixels[0]
        if (image == image[:1]).all():
            labels = np.zeros(image.shape[1:], np.uint16)
            for label, mask in enumerate(sorted((sample / "masks").glob("*.png")), start=1):
                labels[read_stack(mask).pixels[0, 0] > 0] = label
            for folder, pixels in (("images", image[0]), ("labels", labels)):
                write_stack(out / folder / f"{sample.name}.tif", pixels[None], spacing_um=None)
        progress(number, len(samples))


def _hippocampus(unpacked: Path, out: Path, progress: Progress) -> None:
    """The folders imagesTr and labelsTr, renamed."""
    folders = {
        new: list(unpacked.rglob(old)) for new, old in (("images", "imagesTr"), ("labels", "labelsTr"))
    }
    if any(len(found) != 1 for found in folders.values()):
        raise UserError("the archive has no imagesTr and labelsTr: the provider may have changed it.")
    out.mkdir()
    for name, (folder,) in folders.items():
        folder.rename(out / name)


RECIPES: dict[str, Callable[[Path, Path, Progress], None]] = {
    "nuclei-dsb2018": _nuclei,
    "hippocampus": _hippocampus,
}
