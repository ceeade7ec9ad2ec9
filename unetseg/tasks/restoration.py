"""Pairs of noisy and clean images: ROOT/images and ROOT/clean, whose files belong together by their names.

TIFF or PNG; single images or stacks of pages, grey or with channels. A clean file of one page is that of
every page of its noisy file, as the average of several raw frames is. Without clean images, a network can
only be trained by blind spots.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from unetseg.errors import UserError
from unetseg.files import plain_stem
from unetseg.images.formats import image_files, is_volume_file
from unetseg.images.whole import Stack
from unetseg.sample import Entry, Sample
from unetseg.settings import DataSettings
from unetseg.tasks.file_summary import Reading, read_file
from unetseg.tasks.folder_files import IMAGE_FOLDERS, image_folder_of, paired_by_name
from unetseg.tasks.listing import Listing

CLEAN_FOLDER = DataSettings().clean
MASK_VALUES = 2


def listing(root: Path, data: DataSettings) -> Listing:
    """Every noisy image or page with its clean one; group = file name without ending, index = page.

    Raises UserError for a missing partner, sizes that differ, and clean files that are masks.
    """
    read_file.cache_clear()  # files may have changed since
    images = _images(root)
    clean = _clean_files(root, data)
    pairs = paired_by_name(images, clean) if clean else [(path, None) for path in images]
    files = [_Pair.read(image, partner) for image, partner in pairs]
    channels = files[0].channels
    for file in files:
        if file.channels != channels:
            raise UserError(
                f"{file.image}: {file.channels} channels, but {files[0].image.name} has {channels}. Give "
                "images that all have the same channels."
            )
    note = f"clean: {root / data.clean}" if clean else "clean: none, so the network is trained by blind spots"
    entries = tuple(entry for file in files for entry in file.entries())
    return Listing(entries, channels, "restoration", (note,))


@dataclass(frozen=True)
class _Pair:
    """A noisy file and its clean one, or None; what is remembered of them."""

    image: Path
    clean: Path | None
    pages: int
    channels: int
    size: tuple[int, ...]

    @classmethod
    def read(cls, image: Path, clean: Path | None) -> _Pair:
        """Both files are read whole, so that a bad one is named at once."""
        noisy = read_file(image, Reading())
        pages, channels, *size = noisy.pixels.shape
        if clean is not None:
            _check_pair(noisy, read_file(clean, Reading()))
        return cls(image, clean, pages, channels, tuple(size))

    def entries(self) -> list[Entry]:
        """An entry for every page."""
        stem = plain_stem(self.image)
        names = [f"{stem}[{i}]" if self.pages > 1 else stem for i in range(self.pages)]
        return [Entry(name, stem, i, partial(self.page, name, i), self.size) for i, name in enumerate(names)]

    def page(self, name: str, page: int) -> Sample:
        """One page of the noisy file, with its page of the clean one."""
        stack = read_file(self.image, Reading())
        truth = None if self.clean is None else read_file(self.clean, Reading()).pixels
        clean = None if truth is None else truth[page if len(truth) > 1 else 0]
        return Sample(name, stack.pixels[page], None, stack.spacing_um, "restoration", clean)


def _images(root: Path) -> list[Path]:
    folder = image_folder_of(root)
    if folder is None:
        named = " or ".join(f"{name}/" for name in IMAGE_FOLDERS)
        raise UserError(f"{root}: no {named}. Put the noisy images into {root / 'images'}.")
    images = image_files(folder)
    if not images:
        raise UserError(f"{folder}: has no TIFF or PNG images (folders inside are not searched).")
    volume = next((path for path in images if is_volume_file(path)), None)
    if volume is not None:
        raise UserError(
            f"{volume}: volumes are not restored, only images and stacks of them. Give TIFF files."
        )
    return images


def _clean_files(root: Path, data: DataSettings) -> list[Path]:
    """The clean images; none only where the folder with the default name does not exist."""
    folder = root / data.clean
    if not folder.is_dir():
        if data.clean == CLEAN_FOLDER:
            return []
        raise UserError(
            f"data.clean = {data.clean!r}: {root} has no such folder. Name that of the clean images."
        )
    files = image_files(folder)
    if not files:
        raise UserError(
            f"{folder}: has no TIFF or PNG images. Put the clean images there, or remove the folder."
        )
    return files


def _check_pair(noisy: Stack, clean: Stack) -> None:
    """Raise UserError unless the clean file can be that of the noisy one."""
    (pages, *one), (averages, *other) = noisy.pixels.shape, clean.pixels.shape
    if one != other or averages not in (1, pages):
        raise UserError(
            f"{clean.path}: {_words(clean)}, but {noisy.path} has {_words(noisy)}. A clean image needs the "
            "channels and the size of the noisy one, and one page or as many."
        )
    values = np.unique(clean.pixels[0])
    if len(values) <= MASK_VALUES < len(np.unique(noisy.pixels[0])):
        found = " and ".join(f"{v:g}" for v in values)
        raise UserError(
            f"{clean.path}: holds only the values {found}, as a mask does, not a clean image. Put masks into "
            "labels/ to train a segmentation, and clean images into the folder of data.clean."
        )


def _words(stack: Stack) -> str:
    pages, channels, *size = stack.pixels.shape
    return f"{pages} page{'s' * (pages > 1)} of {'×'.join(map(str, size))} pixels, {channels} channel" + (
        "s" if channels > 1 else ""
    )
