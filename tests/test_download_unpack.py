"""Archives, hostile ones included: what is unpacked lies below the folder, or nothing is."""

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from unetseg.download.unpack import unpack
from unetseg.errors import UserError


def zipped(path: Path, entries: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return path


def tarred(path: Path, *members: tarfile.TarInfo, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size) if member.isreg() else None)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz"])
def test_files_come_out_as_they_went_in(tmp_path: Path, ending: str) -> None:
    archive = tmp_path / f"a.{ending}"
    if ending == "zip":
        zipped(archive, {"set/01/t000.tif": b"xxx", "set/empty/": b"", "__MACOSX/._t": b"?"})
    else:
        members = member("set/01/t000.tif", size=3), member("set/01/._t000.tif", size=1)
        tarred(archive, *members, mode="w:gz" if ending.endswith("gz") else "w")
    unpack(archive, tmp_path / "out")
    files = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert [p.relative_to(tmp_path / "out").as_posix() for p in files] == ["set/01/t000.tif"]
    assert files[0].read_bytes() == b"xxx"


OUTSIDE = [
    "../evil",
    "a/../../evil",
    "/evil",
    "C:/evil",
    "C:evil",
    "..\\evil",
    "a\\..\\..\\evil",
    "\\\\host\\evil",
]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_lead_outside_are_refused(tmp_path: Path, name: str, kind: str) -> None:
    archive = tmp_path / "in" / "a"
    archive.parent.mkdir()
    if kind == "zip":
        zipped(archive, {"fine": b"1", name: b"2"})
    else:
        tarred(archive, member("fine", size=1), member(name, size=1))
    with pytest.raises(UserError, match="a name that leads out of the folder"):
        unpack(archive, tmp_path / "in" / "out")
    assert not list(tmp_path.glob("evil"))
    assert not Path("/evil").exists()


MAKERS: dict[str, Callable[[Path], Path]] = {
    "symlink in a zip": lambda p: zipped(p, {"link": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777),
    "symlink in a tar": lambda p: tarred(p, member("d", tarfile.SYMTYPE, ".."), member("d/evil", size=1)),
    "hard link": lambda p: tarred(p, member("evil", tarfile.LNKTYPE, "/etc/passwd")),
    "device": lambda p: tarred(p, member("null", tarfile.CHRTYPE)),
    "two of one name": lambda p: tarred(p, member("a", size=1), member("A", size=2)),
    "bomb": lambda p: zipped(p, {"zeros": b"\0" * 3_000_000}),
    "tar bomb": lambda p: tarred(p, member("zeros", size=30_000_000), mode="w:gz"),
    "huge claim": lambda p: claimed(p, 2**31),
    "cut off": lambda p: cut(zipped(p, {"a": bytes(range(256)) * 20})),
    "wrong checksum": lambda p: changed(zipped(p, {"a": bytes(range(256))})),
    "no archive": lambda p: p.write_bytes(b"<html>sign in</html>") and p,
    "encrypted": lambda p: encrypted(zipped(p, {"a": b"abc"})),
}


def claimed(path: Path, size: int) -> Path:
    """A zip of one small file whose directory claims `size` bytes."""
    data = zipped(path, {"a": b"abc"}).read_bytes()
    at = data.index(b"PK\x01\x02") + 24
    path.write_bytes(data[:at] + size.to_bytes(4, "little") + data[at + 4 :])
    return path


def encrypted(path: Path) -> Path:
    data = bytearray(path.read_bytes())
    for start, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        data[data.index(start) + offset] |= 1
    path.write_bytes(data)
    return path


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-30])
    return path


def changed(path: Path) -> Path:
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + 16
    data[at] ^= 1
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("what", MAKERS)
def test_hostile_and_damaged_archives_are_one_error(tmp_path: Path, what: str) -> None:
    archive = MAKERS[what](tmp_path / "archive")
    with pytest.raises(UserError, match=str(archive)):
        unpack(archive, tmp_path / "out")
