"""Whether a TIFF holds what it promises: every page, all the data of each, and the pages that follow."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import tifffile

from unetseg.errors import UserError
from unetseg.images.tiff_series import PageSet

REMEDY = "Copy or save it again; predict --skip-damaged skips what is missing, and lists it."
PRIVATE = 32768
"""The first of the private tags, which belong to single programs."""
TYPE_BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
"""Bytes of a value of each of TIFF's types."""


def check_complete(path: Path, tiff: tifffile.TiffFile, found: PageSet) -> None:
    """Raise UserError for a file that is truncated or lacks pages, which decoders would fill in silently."""
    missing = sum(found.page(i).page is None for i in range(found.count))
    if missing:
        raise UserError(f"{path}: {missing} of its {found.count} planes are missing. {REMEDY}")
    if _ends_early(tiff) or not all(_is_whole(found, i) for i in range(found.count)):
        size = path.stat().st_size
        raise UserError(f"{path}: the file is truncated: it ends after {size} bytes. {REMEDY}")


def check_chain(path: Path, tiff: tifffile.TiffFile) -> None:
    """Raise UserError for pages that link to one another in a circle or overlap: reading would never end."""
    offset, used = tiff.pages.first.offset, 0
    while 0 < offset < tiff.filehandle.size:
        tags, offset = _directory(tiff, offset)
        used += len(tags) + tiff.tiff.tagnosize + tiff.tiff.offsetsize
        if used > tiff.filehandle.size:
            raise UserError(
                f"{path}: its pages link to one another in a circle. It is damaged: copy it again."
            )


def _is_whole(found: PageSet, number: int) -> bool:
    """Whether all the data of a page lie within its file."""
    ref, page = found.page(number), found.page(number).page
    if not page.dataoffsets or len(page.dataoffsets) < len(page.databytecounts):
        return False
    if ref.shift or page.is_final:
        end = page.dataoffsets[0] + ref.shift + found.keyframe.nbytes
        return bool(end <= page.parent.filehandle.size)
    if len(page.dataoffsets) < math.prod(page.keyframe.chunked):
        return False
    ends = (o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False))
    return bool(max(ends) <= page.parent.filehandle.size)


def _ends_early(tiff: tifffile.TiffFile) -> bool:
    """Whether the first page's tags or the last page's link point beyond the end of the file."""
    form, size = tiff.tiff, tiff.filehandle.size
    tags, _ = _directory(tiff, tiff.pages.first.offset)
    entries = (tags[i : i + form.tagsize] for i in range(0, len(tags), form.tagsize))
    _, link = _directory(tiff, tiff.pages[-1].offset)
    return link != 0 or any(_data_end(entry, form) > size for entry in entries)


def _directory(tiff: tifffile.TiffFile, offset: int) -> tuple[bytes, int]:
    """The entries of a page's directory, and its link to the next page."""
    form, file = tiff.tiff, tiff.filehandle
    file.seek(offset)
    count = min(_number(file.read(form.tagnosize), form), file.size // form.tagsize)
    return file.read(count * form.tagsize), _number(file.read(form.offsetsize), form)


def _data_end(entry: bytes, form: Any) -> int:
    """Where the value of a directory entry ends in the file; 0 for private tags and short values."""
    code, kind = _number(entry[:2], form), _number(entry[2:4], form)
    count, offset = _number(entry[4 : 4 + form.offsetsize], form), _number(entry[4 + form.offsetsize :], form)
    size = count * TYPE_BYTES.get(kind, 0)
    return 0 if code >= PRIVATE or size <= form.offsetsize else offset + size


def _number(data: bytes, form: Any) -> int:
    return int.from_bytes(data, "little" if form.byteorder == "<" else "big")
