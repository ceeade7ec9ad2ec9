"""Files written whole or not at all, JSON, and the names of files."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unetseg.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block ends without an error.

    Makes the folder where it is missing. Raises UserError for a place that cannot be written to.
    """
    if path.is_dir():
        raise UserError(f"{path}: cannot be written: a folder of this name is in the way.")
    if path.parent.is_file():
        raise UserError(f"{path}: cannot be written: {path.parent} is a file, not a folder.")
    temporary = path.with_name(f".part-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}). Check the folder, its permissions "
            "and the free space on the disk."
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Readable JSON, written whole or not at all; NaN and infinity, which JSON has not, as null."""
    text = json.dumps(_finite(value), indent=2, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def plain_stem(path: Path) -> str:
    """The file's name without .tif, .png, .ome.tif or .nii.gz, in any case.

    >>> plain_stem(Path("dish 1.0/cell 1.5 um.OME.TIF"))
    'cell 1.5 um'
    """
    stem = path.stem
    return stem[:-4] if stem.lower().endswith((".ome", ".nii")) else stem


def by_name(paths: Iterable[Path], name_of: Callable[[Path], str], problem: str) -> dict[str, Path]:
    """The files by a name; two different files of one name raise UserError, so that none is dropped.

    problem: what follows the two files in the error, why they may not share a name and what to do.
    """
    named: dict[str, Path] = {}
    for path in paths:
        first = named.setdefault(name_of(path), path)
        if first is not path:
            raise UserError(f"{first} and {path.name}: two files for the name {name_of(path)!r}. {problem}")
    return named


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
