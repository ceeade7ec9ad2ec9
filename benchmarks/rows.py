"""What every benchmark gives: rows of ours beside a named peer or limit, timed in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

COLUMNS = ("what", "ours", "peer", "", "unit", "ratio", "note")


@dataclass(frozen=True)
class Row:
    """Ours and a peer's figure in `unit`, and how many times better ours is; below 1 it is worse.

    Where the peer is a limit (the machine's own rate), the ratio is the share of it that is reached.
    """

    name: str
    ours: float
    peer_name: str
    peer: float
    unit: str
    ratio: float
    note: str = ""

    def cells(self) -> list[str]:
        """The row's cells in the order of COLUMNS."""
        ratio = f"{self.ratio:.0f}×" if self.ratio >= 20 else f"{self.ratio:.2f}×"
        figures = [f"{self.ours:.4g}", self.peer_name, f"{self.peer:.4g}"]
        return [self.name, *figures, self.unit, ratio, self.note]

    def plain(self) -> dict[str, Any]:
        """The row for JSON."""
        return asdict(self)


def faster(name: str, ours_s: float, peer_name: str, peer_s: float, note: str = "") -> Row:
    """A row of two times in seconds, shown in milliseconds."""
    return Row(name, 1e3 * ours_s, peer_name, 1e3 * peer_s, "ms", peer_s / ours_s, note)


def interleaved_s(works: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The shortest time of each work in `repeats` rounds; they take turns, so a busy machine meets all.

    Every work runs once before. Where there is a GPU, wall time, the GPU's work included; else the
    processor time of all threads, which other programs on the machine do not stretch.
    """
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    for work in works.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            _wait()
            started = clock()
            work()
            _wait()
            times[name].append(clock() - started)
    return {name: min(found) for name, found in times.items()}


def table(rows: Iterable[Row]) -> str:
    """A Markdown table, aligned."""
    lines = [list(COLUMNS), ["---"] * len(COLUMNS), *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ((cell.ljust(w) for cell, w in zip(line, widths, strict=True)) for line in lines)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in padded)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
