"""The mark of a result: its settings and outcome, kept inside the file or folder itself.

A result without a mark is not ours: it is never replaced or removed. A copy saved by another program
loses the mark, so corrected labels are safe too.
"""

from __future__ import annotations

import json
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from unetseg.errors import UserError

TAG = 65042
"""The private TIFF tag; those from 65000 on are free for any program."""
FILE = "unetseg.json"
"""The file in a Zarr folder."""
KEY = "unetseg"
"""The key in a JSON file, where it is the first."""
JSON_BYTES = 2**16
"""The mark ends within so many bytes of a JSON file."""
Mark = dict[str, Any]


def existing_mark(path: Path) -> Mark | None:
    """The mark of the result at `path`, None if nothing is there.

    Raises UserError if something else is there.
    """
    if not path.exists() and not path.is_symlink():
        return None
    mark = read_mark(path)
    if mark is None:
        raise UserError(
            f"{path}: exists and is not a result of this command, so it is not replaced. Choose another "
            "--out, or move it away."
        )
    return mark


def read_mark(path: Path) -> Mark | None:
    """The mark of a Zarr folder, TIFF, NIfTI, PNG or file of outlines; None if none can be read."""
    name = path.name.lower()
    with suppress(Exception):  # a damaged or foreign file can raise anything: it is not ours
        if path.is_dir():
            return _object((path / FILE).read_text(encoding="utf-8"))
        if name.endswith((".tif", ".tiff")):
            return _object(_tiff_text(path))
        if name.endswith((".nii", ".nii.gz")):
            return _object(_nifti_text(path))
        if name.endswith(".png"):
            return _object(_png_text(path))
        if name.endswith((".json", ".geojson")):
            return _object(_json_text(path))
        if name.endswith(".zip"):
            return _object(_zip_text(path))
    return None


def tiff_tags(mark: Mark | None) -> list[tuple[int, str, int, str, bool]]:
    """The mark for tifffile's `extratags`."""
    return [] if mark is None else [(TAG, "s", 0, json.dumps(mark), True)]


def _object(text: str) -> Mark | None:
    value = json.loads(text)
    return value if isinstance(value, dict) and "settings" in value else None


def _tiff_text(path: Path) -> str:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        return str(tiff.pages.first.tags[TAG].value)


def _json_text(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        head, begun = file.read(JSON_BYTES), f'{{"{KEY}": '
    if not head.startswith(begun):
        raise ValueError("no mark")
    value, _ = json.JSONDecoder().raw_decode(head, len(begun))
    return json.dumps(value)


def _zip_text(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return archive.comment.decode()


def _png_text(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as image:
        return str(image.info["unetseg"])


def _nifti_text(path: Path) -> str:
    import nibabel

    header: Any = nibabel.load(path).header
    content = header.extensions[0].get_content()
    return content.decode() if isinstance(content, bytes) else str(content)
