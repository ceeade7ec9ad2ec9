"""Files that are written completely or not at all, JSON, and the names of files."""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unetseg.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block ends without an error.

    Creates the folder if it is missing. The temporary file is new and its name cannot be guessed, so no
    existing link is followed. Raises UserError for a place that cannot be written to.
    """
    with _temporary(path) as temporary:
        yield temporary
        os.replace(temporary, path)


def check_writable(path: Path) -> None:
    """Raise UserError for a place that cannot be written to, before work whose result goes there."""
    with _temporary(path):
        pass


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    if path.is_dir():
        raise UserError(f"{path}: cannot be written: a folder of this name is in the way.")
    if path.parent.is_file():
        raise UserError(f"{path}: cannot be written: {path.parent} is a file, not a folder.")
    temporary = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}). Check the folder, its permissions "
            "and the free space on the disk."
        ) from error


def temporary_name(path: Path) -> Path:
    """A new name beside `path` with its ending, for an unfinished file; it holds the host and process."""
    return path.with_name(f"{_own_prefix()}{os.getpid()}-{secrets.token_hex(6)}-{path.name[-40:]}")


def discard(folder: Path) -> None:
    """Remove a folder, if it exists: renamed first, so that no part of it keeps its name."""
    if folder.exists():
        gone = temporary_name(folder)
        os.replace(folder, gone)
        shutil.rmtree(gone)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders in `folder` that ended processes of this host left."""
    import psutil

    for path in folder.glob(f"{_own_prefix()}*-*-*"):
        process = path.name.removeprefix(_own_prefix()).split("-")[0]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _own_prefix() -> str:
    """How the temporary names of this host begin."""
    return f".unetseg-{re.sub('[^A-Za-z0-9.]', '_', socket.gethostname())}-"


def write_json(path: Path, value: Any) -> None:
    """Readable JSON, written completely or not at all; NaN and infinity, which JSON lacks, as null."""
    with replacing(path) as temporary:
        temporary.write_text(json_text(value) + "\n", encoding="utf-8")


def json_text(value: Any) -> str:
    """Readable JSON; NaN and infinity, which JSON lacks, as null, and paths as text."""
    return json.dumps(_finite(value), indent=2, allow_nan=False, default=os.fspath)


def shipped(folder: str) -> Path:
    """The folder "data" or "experiments": inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    return package / folder if (package / folder).is_dir() else package.parent / folder


def plain_stem(path: Path) -> str:
    """The file's name without .tif, .png, .ome.tif or .nii.gz, in any case.

    >>> plain_stem(Path("dish 1.0/cell 1.5 um.OME.TIF"))
    'cell 1.5 um'
    """
    stem = path.stem
    return stem[:-4] if stem.lower().endswith((".ome", ".nii")) else stem


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_name(path: Path) -> None:
    """Raise UserError for a name that is not UTF-8, as archives of other systems have.

    It could not be written in an experiment file, a report or a picture.
    """
    name = str(path)
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        shown = name.encode("utf-8", "backslashreplace").decode()
        raise UserError(f"{shown}: the name is not text in UTF-8. Rename it.")
