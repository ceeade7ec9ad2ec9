"""Safe unpacking of untrusted archives: plain files below one folder, and no more bytes than announced."""

from __future__ import annotations

import shutil
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from unetseg.errors import UserError, first_line
from unetseg.images.disk_space import check_space
from unetseg.images.limits import check_unpacked

MOST_FILES = 10**6
OTHER_DISK = "choose another disk"
SYSTEM_FILES = ("__MACOSX", ".DS_Store")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar (plain, gz, bz2, xz) into `folder`, which need not exist yet.

    Only files and folders below `folder` are written: links, devices, absolute names, names with ".."
    and two files of one name are refused, as is an archive that unpacks to more than 200 times its size
    or to more than the free disk space. Files that macOS adds are left out. Raises UserError, which names
    the archive, for these and for a damaged archive; the caller then removes the folder.
    """
    try:
        check = _Check(archive, folder)
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, check)
        elif tarfile.is_tarfile(archive):
            _unpack_tar(archive, check)
        else:
            raise UserError(f"{archive}: not a zip or tar archive, or it is cut off. Download it again.")
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise UserError(f"{archive}: a damaged archive ({first_line(error)}). Download it again.") from None


@dataclass
class _Check:
    """What has been unpacked so far; gives an entry its place or refuses it."""

    archive: Path
    folder: Path
    size: int = 0
    names: set[str] = field(default_factory=set)

    def place(self, name: str, size: int) -> Path | None:
        """Where a file of `size` bytes goes, None for one that is left out."""
        parts = self._parts(name)
        if any(part in SYSTEM_FILES or part.startswith("._") for part in parts):
            return None
        self.size += size
        check_unpacked(self._refused, self.size, self.archive.stat().st_size)
        key = unicodedata.normalize("NFC", "/".join(parts)).casefold()
        if key in self.names:
            raise self.refused(name, "a second file of this name")
        self.names.add(key)
        if len(self.names) > MOST_FILES:
            raise UserError(f"{self._refused}: more than {MOST_FILES:,} files.")
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def refused(self, name: str, why: str) -> UserError:
        """The error about an entry."""
        return UserError(f"{self._refused}: {name[:80]!r} is {why}.")

    @property
    def _refused(self) -> str:
        return f"{self.archive}: refused, nothing was unpacked"

    def _parts(self, name: str) -> tuple[str, ...]:
        parts, windows = PurePosixPath(name).parts, PureWindowsPath(name)
        outside = not parts or ".." in parts or ".." in windows.parts
        if outside or name.startswith("/") or windows.drive or windows.root or "\0" in name:
            raise self.refused(name, "a name that leads out of the folder")
        return parts


def _unpack_zip(archive: Path, check: _Check) -> None:
    with zipfile.ZipFile(archive) as opened:
        places = []
        for entry in opened.infolist():
            if (entry.external_attr >> 16) & 0o170000 not in (0, 0o100000, 0o040000):
                raise check.refused(entry.filename, "a link or device")
            if not entry.is_dir():
                places.append((entry, check.place(entry.filename, entry.file_size)))
        check_space(check.folder, check.size, OTHER_DISK)
        for entry, path in places:
            if path is not None:
                with opened.open(entry) as source:
                    _write(path, source)


def _unpack_tar(archive: Path, check: _Check) -> None:
    with tarfile.open(archive) as opened:
        for member in _members(opened, check):
            path = check.place(member.name, member.size)
            source = opened.extractfile(member)
            if path is not None and source is not None:
                check_space(path, member.size, OTHER_DISK)
                _write(path, source)


def _members(opened: tarfile.TarFile, check: _Check) -> Iterator[tarfile.TarInfo]:
    for member in opened:
        if member.isdir():
            continue
        if not member.isreg() or member.issparse():
            raise check.refused(member.name, "a link, a device or sparse")
        yield member


def _write(path: Path, source: IO[bytes]) -> None:
    with path.open("xb") as file:
        shutil.copyfileobj(source, file, 2**20)
