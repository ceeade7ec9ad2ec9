"""The benchmarks: one shape for all, and each runs at tiny sizes."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import large
from benchmarks.rows import Row, faster, interleaved_s, table

ROOT = Path(__file__).parents[1]


def test_a_row_of_times_by_hand() -> None:
    row = faster("a", 0.002, "b", 0.05, "note")
    assert row == Row("a", 2.0, "b", 50.0, "ms", 25.0, "note")
    lines = table([row]).splitlines()
    assert lines[2] == "| a    | 2    | b    | 50  | ms   | 25×   | note |"
    assert len({len(line) for line in lines}) == 1


def test_works_take_turns() -> None:
    order: list[str] = []
    times = interleaved_s({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b"] * 3
    assert all(value >= 0 for value in times.values())


def test_weight_maps_differ_from_the_recipe_by_less_than_promised() -> None:
    rows = importlib.import_module("benchmarks.weight_maps").rows(quick=True)
    assert {row.peer_name for row in rows} >= {"scipy EDT per object"}
    assert all(float(row.note.split()[1]) < 1e-6 for row in rows)


@pytest.mark.slow
def test_one_command_runs_them_all(tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--out", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    found = json.loads(out.read_text())
    names = " ".join(row["name"] for row in found["rows"])
    for word in (
        "weight map",
        "elastic pair",
        "training step",
        "tiles of",
        "window net",
        "prediction of",
        "by OpenVINO",
        "--help",
    ):
        assert word in names


def test_differences_are_separate_at_the_border_and_inside(tmp_path: Path) -> None:
    whole = np.full((6, 6), 0.4, np.float32)
    other = whole.copy()
    other[0, 3], other[2, 2] = 0.9, 0.45
    for name, pixels in (("whole", whole), ("other", other)):
        np.save(tmp_path / f"{name}.npy", pixels)
    apart = large.compared(tmp_path / "other.npy", tmp_path / "whole.npy", 2)
    assert str(apart) == "border 0.5 (1 px), interior 0.05 (0 px)"
    assert large.compared(tmp_path / "none.npy", tmp_path / "whole.npy", 2) is None
