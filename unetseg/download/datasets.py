"""Public data sets of the catalogue: downloaded, unpacked, converted, checked, and only then put in place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from unetseg.catalogue import CatalogueItem, check_dataset
from unetseg.config import DATA_VARIABLE
from unetseg.download.convert import convert
from unetseg.download.fetch import PART, Progress, fetch
from unetseg.download.unpack import unpack
from unetseg.errors import UserError, did_you_mean, some_of
from unetseg.files import remove_leftovers, temporary_name
from unetseg.locks import locked


def data_folder() -> Path:
    """Where data sets are downloaded to and looked up by default: $UNETSEG_DATA, or the working folder."""
    return Path(os.environ.get(DATA_VARIABLE) or ".")


def find_dataset(name: str, items: Iterable[CatalogueItem]) -> CatalogueItem:
    """The set of this name; the UserError for an unknown name suggests the nearest."""
    named = {item.name: item for item in items}
    if name not in named:
        raise UserError(f"{name}: no data set of this name; {did_you_mean(name, named)}")
    return named[name]


def download_dataset(
    item: CatalogueItem,
    to: Path,
    *,
    received: Progress = lambda done, total: None,
    converted: Progress = lambda done, total: None,
    say: Callable[[str], None] = lambda line: None,
) -> Path:
    """Download the set to its folder below `to`, unless it is there and complete; returns the folder.

    The folder appears only when everything in it is unpacked, converted and, where checksums are known,
    checked. received, converted: called with the bytes and images done; say: called with messages. Raises
    UserError for a set without a public link, an incomplete folder that is in the way, a failed connection,
    and an archive that is damaged, hostile or not the set's.
    """
    folder = to / item.folder
    if folder.exists():
        problems = check_dataset(item, to)
        if problems:
            raise UserError(
                f"{folder}: exists but is incomplete ({some_of(problems)}). Move it away, or choose another "
                "folder with --to."
            )
        return folder
    if not item.download:
        raise UserError(
            f"{item.name}: has no public link. Get it from {item.site} under its terms, and unpack it to "
            f"{folder} as data/README.md says."
        )
    with locked(folder):
        remove_leftovers(to)
        archive = to / f".unetseg-{item.name}{'.tar' if item.download.endswith('.tar') else '.zip'}"
        fetch(item.download, archive, progress=received, name=item.name)
        say("unpacking")
        try:
            _put_in_place(item, archive, to, converted)
        except UserError:
            archive.unlink()
            raise
        archive.unlink()
    return folder


def unfinished_bytes(item: CatalogueItem, to: Path) -> int:
    """The size of an interrupted download of the set below `to`; 0 for none."""
    return sum(path.stat().st_size for path in to.glob(f".unetseg-{item.name}.*{PART}"))


def _put_in_place(item: CatalogueItem, archive: Path, to: Path, converted: Progress) -> None:
    work = temporary_name(to / item.folder)
    try:
        unpack(archive, work / "unpacked")
        convert(item.name, work / "unpacked", work / item.folder, converted)
        if problems := check_dataset(item, work):
            raise UserError(
                f"it does not hold the files of the catalogue ({some_of(problems)}). Nothing was kept. "
                f"See {item.site}."
            )
        (work / item.folder).rename(to / item.folder)
    except UserError as error:
        raise UserError(f"{item.name}: {error}") from None
    except OSError as error:
        raise UserError(f"{to / item.folder}: cannot be written ({error.strerror or error}).") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
