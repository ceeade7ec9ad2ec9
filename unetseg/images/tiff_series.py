"""Which pages of a TIFF make up the image, along which axes, and whether all that is promised is there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tifffile

from unetseg.errors import UserError
from unetseg.images.layout import one_of
from unetseg.images.lazy import Choice
from unetseg.images.ome_tiff import check_ome

UNNAMED = ("", "I", "Q")
"""Axes of pages that the file does not name."""
Page = Any
"""A TiffPage or TiffFrame."""


@dataclass(frozen=True)
class PageRef:
    """A page of pixels: the TIFF page that describes it, and how many bytes after that page's data it lies.

    Some programs store many planes behind one description. page: None if the file does not hold it.
    """

    page: Page
    shift: int = 0


@dataclass(frozen=True)
class PageSet:
    """The pages that make up one image.

    axes: a letter each, lengths: of each; inner: how many of them (the last ones) lie within a page;
    page: the page of a number in the order of the outer axes; keyframe: a page that all others are like;
    full_yx: rows and columns at the largest pyramid level.
    """

    axes: str
    lengths: tuple[int, ...]
    inner: int
    page: Callable[[int], PageRef]
    keyframe: Page
    full_yx: tuple[int, int]

    @property
    def outer(self) -> tuple[int, ...]:
        """The lengths of the axes that pages run over."""
        return self.lengths[: len(self.lengths) - self.inner]

    @property
    def count(self) -> int:
        """The number of pages."""
        return math.prod(self.outer)

    @property
    def keyframes(self) -> set[Page]:
        """The pages that describe how the others are stored."""
        return {ref.page.keyframe for ref in map(self.page, range(self.count)) if ref.page is not None}

    @property
    def files(self) -> set[Path]:
        """The files that hold the pages."""
        return {Path(page.parent.filehandle.path) for page in self.keyframes}


def choose_pages(path: Path, tiff: tifffile.TiffFile, choice: Choice) -> PageSet:
    """The pages of the chosen series and pyramid level, or of all series if they are alike.

    Raises UserError for a series or level that does not exist, for several series that differ, and for
    files in other folders.
    """
    check_ome(path, tiff, missing_allowed=choice.damaged)
    series = _series(path, tiff, choice)
    found = _joined([_page_set(_level(path, one, choice.level)) for one in series])
    full = series[0].keyframe
    found = replace(found, full_yx=(full.imagelength, full.imagewidth))
    _check_folder(path, found)
    return _as_promised(found, tiff) if tiff.is_imagej else found


def _series(path: Path, tiff: tifffile.TiffFile, choice: Choice) -> list[tifffile.TiffPageSeries]:
    every = tiff.series
    texts = [_size(one) for one in every]
    if choice.series is not None:
        return [one_of(path, every, choice.series, "series", texts)]
    images = [one for one in every if not (one.keyframe.is_reduced or one.keyframe.is_mask)] or list(every)
    if not images:
        raise UserError(f"{path}: holds no image.")
    if len({_kind(one) for one in images}) > 1:
        known = ", ".join(f"{i} ({text})" for i, text in enumerate(texts))
        raise UserError(
            f"{path}: holds {len(images)} images of different kinds or sizes: {known}. Choose one with "
            "--series, or save each as a separate file."
        )
    return images


def _kind(series: tifffile.TiffPageSeries) -> tuple[Any, ...]:
    """The properties that series must share to be read as one image."""
    pages, page = _page_set(series), series.keyframe
    outer = pages.axes[: -pages.inner]
    named = None if outer in UNNAMED else (outer, pages.outer)
    colours = page.photometric, page.samplesperpixel, page.planarconfig, tuple(page.extrasamples)
    return named, pages.lengths[-pages.inner :], series.dtype, colours, len(series.levels)


def _level(path: Path, series: tifffile.TiffPageSeries, level: int) -> tifffile.TiffPageSeries:
    return one_of(path, series.levels, level, "level", [_size(one) for one in series.levels])


def _size(series: tifffile.TiffPageSeries) -> str:
    return f"{'×'.join(str(n) for n in series.shape)} {series.axes}"


def _page_set(series: tifffile.TiffPageSeries) -> PageSet:
    """The pages of a series; axes of length 1 are dropped, except rows and columns."""
    page = series.keyframe
    within, inner = _squeezed(page.axes, page.shape)
    axes, lengths = _squeezed(series.get_axes(False), series.get_shape(False))
    if lengths[-len(inner) :] != inner:  # metadata that does not fit the pages
        count = len(series)
        axes, lengths = ("I" if count > 1 else "") + within, ((count,) if count > 1 else ()) + inner
    outer = "".join("Q" if a in "YXS" else a for a in axes[: -len(within)])
    full = page.imagelength, page.imagewidth
    return PageSet(outer + within, lengths, len(within), _finder(series), page, full)


def _squeezed(axes: str, shape: Sequence[int]) -> tuple[str, tuple[int, ...]]:
    kept = [(a, int(n)) for a, n in zip(axes, shape, strict=True) if n != 1 or a in "YX"]
    return "".join(a for a, _ in kept), tuple(n for _, n in kept)


def _finder(series: tifffile.TiffPageSeries) -> Callable[[int], PageRef]:
    """The page of a number within a series."""
    if series.dataoffset is not None:  # the pixels lie one after the other
        first, size = series[0], series.keyframe.nbytes
        return lambda number: PageRef(first, number * size)
    pages = list(series)
    return lambda number: PageRef(pages[number] if number < len(pages) else None)


def _joined(sets: list[PageSet]) -> PageSet:
    """Series that are alike, as one: unnamed pages in file order, else one series after another."""
    first = sets[0]
    if len(sets) == 1:
        return first
    inner, within = first.lengths[-first.inner :], first.axes[-first.inner :]
    if first.axes[: -first.inner] in UNNAMED:
        pages = [one.page(i) for one in sets for i in range(one.count)]
        pages.sort(key=lambda ref: (ref.page.index, ref.shift))
        return replace(first, axes="I" + within, lengths=(len(pages), *inner), page=pages.__getitem__)

    def page(number: int) -> PageRef:
        return sets[number // first.count].page(number % first.count)

    return replace(first, axes="I" + first.axes, lengths=(len(sets), *first.lengths), page=page)


def _as_promised(found: PageSet, tiff: tifffile.TiffFile) -> PageSet:
    """The pages that ImageJ's description promises, if the file lists fewer (it stores them in a row)."""
    said = tiff.imagej_metadata or {}
    promised = said.get("images", 1)
    if not isinstance(promised, int) or promised <= found.count * _channels_within(found):
        return found
    sizes = {a: said.get(name, 1) for a, name in (("T", "frames"), ("Z", "slices"), ("C", "channels"))}
    axes, lengths = _squeezed("".join(sizes), list(sizes.values()))
    if math.prod(lengths) != promised:
        axes, lengths = "I", (promised,)
    first = found.page(0).page
    inner = found.lengths[-found.inner :]
    return replace(
        found,
        axes=axes + found.axes[-found.inner :],
        lengths=(*lengths, *inner),
        page=lambda number: PageRef(first, number * found.keyframe.nbytes),
    )


def _check_folder(path: Path, found: PageSet) -> None:
    """Refuse pages of files outside the image's folder, whatever metadata named them."""
    outside = [file for file in found.files if file.resolve().parent != path.resolve().parent]
    if outside:
        raise UserError(f"{path}: its metadata names {outside[0]}, which lies in another folder.")


def _channels_within(found: PageSet) -> int:
    """Samples that a page stores interleaved; some programs count them as images."""
    within = found.axes[-found.inner :]
    return found.lengths[-found.inner :][within.index("S")] if "S" in within else 1
