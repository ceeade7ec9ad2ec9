"""The progress of a long prediction: a record per tile, written when the tile's data are on disk.

A record holds a checksum of its data. A resumed run reads the data back and computes again
what is missing or differs, so it does not matter how the work was interrupted.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.files import replacing, write_json

Record = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Journal:
    """The records in a folder: by step ("predict"), plane and number of the tile."""

    folder: Path

    def write(self, step: str, plane: int, index: int, record: Record) -> None:
        """Record that one tile is done; the file is written completely or not at all."""
        with replacing(self._path(step, plane, index)) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **record)

    def read(self, step: str, plane: int, index: int) -> Record | None:
        """What was written; None if there is no readable record."""
        try:
            with np.load(self._path(step, plane, index), allow_pickle=False) as stored:
                return dict(stored)
        except Exception:  # a file truncated by a power failure can make numpy and zipfile raise anything
            return None

    def write_metadata(self, name: str, metadata: dict[str, Any]) -> None:
        """Metadata of the whole result, as JSON."""
        write_json(self.folder / f"{name}.json", metadata)

    def read_metadata(self, name: str) -> dict[str, Any] | None:
        """What `write_metadata` wrote; None if there is no readable file."""
        return read_metadata(self.folder / f"{name}.json")

    def write_rows(self, name: str, rows: Iterable[NDArray[np.int64]]) -> None:
        """Rows of any lengths, in one file: the rows in sequence, where each ends, how many there are."""
        ends = [0]
        with replacing(self._rows_path(name)) as temporary, temporary.open("wb") as file:
            for row in rows:
                file.write(row.astype(np.int64).tobytes())
                ends.append(ends[-1] + len(row))
            file.write(np.array([*ends, len(ends)], np.int64).tobytes())

    def read_rows(self, name: str) -> Rows:
        """What `write_rows` wrote."""
        stored = np.memmap(self._rows_path(name), np.int64, "r")
        return Rows(stored, stored[-1 - stored[-1] : -1])

    def has_rows(self, name: str) -> bool:
        """Whether `write_rows` wrote it."""
        return self._rows_path(name).is_file()

    def _rows_path(self, name: str) -> Path:
        return self.folder / f"{name}.rows"

    def _path(self, step: str, plane: int, index: int) -> Path:
        return self.folder / step / f"{plane}" / f"{index}.npz"


@dataclass(frozen=True)
class MemoryJournal:
    """The same for an image whose labels are held in memory: nothing is kept."""

    records: dict[tuple[str, int, int], Record] = field(default_factory=dict)
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: dict[str, list[NDArray[np.int64]]] = field(default_factory=dict)

    def write(self, step: str, plane: int, index: int, record: Record) -> None:
        """See `Journal`."""
        self.records[step, plane, index] = record

    def read(self, step: str, plane: int, index: int) -> Record | None:
        """See `Journal`."""
        return self.records.get((step, plane, index))

    def write_metadata(self, name: str, metadata: dict[str, Any]) -> None:
        """See `Journal`."""
        self.metadata[name] = metadata

    def read_metadata(self, name: str) -> dict[str, Any] | None:
        """See `Journal`."""
        return self.metadata.get(name)

    def write_rows(self, name: str, rows: Iterable[NDArray[np.int64]]) -> None:
        """See `Journal`."""
        self.rows[name] = list(rows)

    def read_rows(self, name: str) -> list[NDArray[np.int64]]:
        """See `Journal`."""
        return self.rows[name]

    def has_rows(self, name: str) -> bool:
        """See `Journal`."""
        return name in self.rows


Records = Journal | MemoryJournal


@dataclass(frozen=True)
class Rows:
    """Rows of int64 on disk; ends: 0, then where each row ends."""

    stored: NDArray[np.int64]
    ends: NDArray[np.int64]

    def __getitem__(self, index: int) -> NDArray[np.int64]:
        return np.asarray(self.stored[self.ends[index] : self.ends[index + 1]])


def read_metadata(path: Path) -> dict[str, Any] | None:
    """A JSON object; None if there is no readable one."""
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return metadata if isinstance(metadata, dict) else None


def checksum(data: NDArray[Any]) -> int:
    """CRC-32 of the values in reading order."""
    return zlib.crc32(np.ascontiguousarray(data).data)


def check_same(path: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise UserError, naming what differs, unless a result was started with the current settings."""
    changed = list(_changes(before, now))
    if changed:
        raise UserError(
            f"{path}: was started with other settings: {', '.join(changed)}. Give the same command to "
            "resume, --overwrite to start again, or another --out."
        )


def _changes(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """The keys whose values differ, with both values; for tables, their own keys."""
    for key, value in now.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            yield from _changes(old, value)
        elif old != value:
            yield f"{key} ({old} → {value})"
