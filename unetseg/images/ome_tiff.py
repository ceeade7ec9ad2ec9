"""What an OME-TIFF's description claims, checked before anything is opened or allocated for it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import tifffile

from unetseg.errors import UserError
from unetseg.images.limits import PLANES


def check_ome(path: Path, tiff: tifffile.TiffFile, *, missing_allowed: bool) -> None:
    """Raise UserError for a set that names files in other folders, lacks files, or claims too much.

    missing_allowed: planes of missing files are damaged regions instead. Does nothing for other TIFFs.
    """
    if not tiff.is_ome or tiff.ome_metadata is None:
        return
    root = ElementTree.fromstring(tiff.ome_metadata)  # noqa: S314 (expat bounds the expansion of entities)
    names = _other_files(root) - {path.name}
    outside = sorted(name for name in names if not _is_plain(name))
    if outside:
        raise UserError(
            f"{path}: its metadata names {outside[0]!r}; the files of an OME-TIFF set must lie in one "
            "folder. Put them together and save the set again."
        )
    missing = sorted(name for name in names if not (path.parent / name).is_file())
    if missing and not missing_allowed:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(
            f"{path}: {missing[0]}{more} of its set of files is missing. Copy all into one folder; "
            "predict --skip-damaged skips what is missing, and lists it."
        )
    for count in _claims(root):
        if not 0 <= count <= PLANES:
            raise UserError(f"{path}: claims {count:.3g} planes in its OME metadata; it is damaged.")


def _other_files(root: ElementTree.Element) -> set[str]:
    """The names of files that belong to another UUID than the file's own."""
    uuids = [node for node in root.iter() if node.tag.endswith("UUID")]
    return {node.get("FileName", "") for node in uuids if node.text != root.get("UUID")}


def _is_plain(name: str) -> bool:
    """Whether it is a file name without a folder, on any system."""
    return name not in ("", ".", "..") and not set(name) & set("/\\:\0")


def _claims(root: ElementTree.Element) -> Iterator[float]:
    """Every number of planes that the metadata claims."""
    for node in root.iter():
        name = node.tag.rpartition("}")[2]
        if name == "Pixels":
            yield math.prod(float(node.get(f"Size{a}", 1)) for a in "ZCT")
        elif name == "TiffData":
            yield from (float(value) for key, value in node.items())
        elif name.startswith("ModuloAlong") and "Start" in node.keys():  # noqa: SIM118 (no dictionary)
            start, end, step = (float(node.get(key, 1)) for key in ("Start", "End", "Step"))
            yield (end - start) / step
