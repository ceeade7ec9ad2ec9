"""`unetseg data FOLDER`: the files of a data folder, how they are read, and possible problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unetseg.errors import UserError
from unetseg.images.formats import image_files, is_volume_file
from unetseg.images.nifti import read_images
from unetseg.pipeline.dataset import LOOKED_AT, all_entries, annotation_notes, evenly, split_notes
from unetseg.settings import DataSettings
from unetseg.tasks import list_task
from unetseg.tasks.file_summary import FileSummary, Reading, summarise
from unetseg.tasks.folder_files import image_folder_of, paired_files
from unetseg.tasks.guess import guess_task
from unetseg.tasks.listing import Listing, split

HEAD = ("image", "size", "channels", "type", "grey values", "µm/pixel", "labels", "values", "pieces")
GROUP_HEAD = ("sequence", "frames", "size of the first")


@dataclass(frozen=True)
class Examination:
    """A table of the files, how they are read, and possible problems: lines to print."""

    head: tuple[str, ...]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)


def examine(root: Path, settings: DataSettings | None = None) -> Examination:
    """Look at every file of a data folder and at the data set that they make up.

    A file that cannot be used is listed under `odd` with its error; the others are still examined.
    Raises UserError for a folder without images.
    """
    try:
        task = guess_task(root)
    except UserError:
        if not _has_images(root):
            raise
        task = "folder"
    data = settings or DataSettings(task=task, root=str(root))
    found = _files(root) if task == "folder" else Examination(GROUP_HEAD, [])
    try:
        listing = list_task(root, data)
    except UserError as error:
        return _with(found, [], [*found.odd, *([] if str(error) in found.odd else [str(error)])])
    if task != "folder":
        found.rows.extend(_groups(listing))
    notes = [n for n in listing.notes if not _is_odd(n)]
    samples = [e.read() for e in evenly(all_entries(listing), LOOKED_AT)]
    warnings = [*listing.notes, *split_notes(split(listing, data)), *annotation_notes(samples)]
    parts = [n for n in split_notes(split(listing, data)) if not _is_odd(n)]
    return _with(found, [*notes, *parts], [*found.odd, *filter(_is_odd, warnings)])


def _has_images(root: Path) -> bool:
    try:
        return bool(image_files(root))
    except UserError:  # no folder, or unreadable files: the error about the layout says more
        return False


def _files(root: Path) -> Examination:
    """A row for every image with its labels, or for every image where there are no labels."""
    try:
        pairs = paired_files(root)
    except UserError as error:
        images = image_files(image_folder_of(root) or root)
        rows, odd = _rows([(image, None) for image in images])
        return Examination(HEAD, rows, odd=[*odd, str(error)])
    rows, odd = _rows([*pairs])
    return Examination(HEAD, rows, odd=odd)


def _rows(files: Sequence[tuple[Path, Path | None]]) -> tuple[list[list[str]], list[str]]:
    rows, odd = [], []
    reading = Reading.of(DataSettings(), [image for image, _ in files])
    for image, label in files:
        try:
            rows.append(_pair_row(summarise(image, label, reading)) if label else _image_row(image))
        except UserError as error:
            rows.append([image.name, *["?"] * (len(HEAD) - 1)])
            odd.append(str(error))
    return rows, odd


def _pair_row(file: FileSummary) -> list[str]:
    values = sorted(frozenset[int]().union(*(s.values for s in file.statistics)))
    shown = f"{values[0]}–{values[-1]} ({len(values)})" if len(values) > 1 else ", ".join(map(str, values))
    pages = f"{len(file.statistics)} × " if len(file.statistics) > 1 else ""
    return [
        file.image.name,
        pages + _size(file.size or ()),
        str(file.channels),
        file.dtype,
        "{:g}–{:g}".format(*file.grey_range),
        _spacing(file.spacing_um),
        file.label.name,
        shown or "empty",
        str(sum(s.components for s in file.statistics)),
    ]


def _image_row(image: Path) -> list[str]:
    stack = read_images(image, volumes=is_volume_file(image))
    pages, channels, *size = stack.pixels.shape
    grey = f"{stack.pixels.min():g}–{stack.pixels.max():g}"
    shape = (f"{pages} × " if pages > 1 else "") + _size(size)
    spacing = _spacing(stack.spacing_um)
    return [image.name, shape, str(channels), str(stack.pixels.dtype), grey, spacing, "none", "", ""]


def _groups(listing: Listing) -> list[list[str]]:
    groups = [[e for e in listing.entries if e.group == g] for g in listing.groups]
    return [[members[0].group, str(len(members)), _size(members[0].shape)] for members in groups]


def _is_odd(note: str) -> bool:
    return note.startswith(("warning", "pixel sizes differ", "grey values differ", "images:"))


def _with(found: Examination, notes: list[str], odd: list[str]) -> Examination:
    return Examination(found.head, found.rows, notes, odd)


def _size(size: Sequence[int]) -> str:
    return "×".join(map(str, size)) or "differs from its labels"


def _spacing(spacing_um: tuple[float, ...] | None) -> str:
    return "–" if spacing_um is None else "×".join(f"{s:.4g}" for s in spacing_um)
