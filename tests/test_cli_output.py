"""What commands print: --quiet, --json, --verbose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from conftest import Result, Unetseg, write

from unetseg.cli import cli


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A label image of two objects of 8 and 6 pixels."""
    pixels = np.zeros((8, 10), np.uint16)
    pixels[1:3, 1:5], pixels[5:7, 6:9] = 1, 2
    return write(tmp_path / "labels" / "a.tif", pixels)


@pytest.fixture
def data(tmp_path: Path, labels: Path) -> Path:
    """A data folder: the labels, and an image of them."""
    write(tmp_path / "images" / "a.tif", np.arange(80, dtype=np.uint8).reshape(8, 10))
    return tmp_path


def summary(result: Result) -> Any:
    """What --json printed: nothing but one JSON value."""
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_score_as_json(unetseg: Unetseg, labels: Path, tmp_path: Path) -> None:
    found = summary(unetseg("score", labels, labels, "--scores", "f1", "--json"))
    assert found["scores"] == {"a": {"f1": 1.0}, "all": {"f1": 1.0}}
    unetseg("score", labels, labels, "--scores", "f1", "--out", tmp_path / "s.json")
    assert json.loads((tmp_path / "s.json").read_text()) == found["scores"]


def test_a_score_without_a_value_is_null(unetseg: Unetseg, tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.tif", np.zeros((4, 4), np.uint8))
    assert summary(unetseg("score", empty, empty, "--scores", "f1", "--labels", "instances", "--json"))[
        "scores"
    ]["all"] == {"f1": None}


def test_measure_as_json(unetseg: Unetseg, labels: Path, tmp_path: Path) -> None:
    result = unetseg("measure", labels, "--out", tmp_path / "t.csv", "--json")
    table = str(tmp_path / "t.csv")
    assert summary(result) == {"objects": 2, "median": 7.0, "unit": "area_px", "counts": [2], "table": table}
    assert f"table: {table}" in result.err


def test_exported_labels_as_json(unetseg: Unetseg, labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.geojson"
    found = summary(unetseg("export-labels", labels, "--to", "geojson", "--out", out, "--json"))
    assert found == {"written": [{"file": str(out), "objects": 2}]}


def test_a_data_folder_as_json(unetseg: Unetseg, data: Path) -> None:
    found = summary(unetseg("data", data, "--json"))
    assert [file["image"] for file in found["files"]] == ["a.tif"]
    assert found["notes"]


def test_the_public_data_sets_as_json(unetseg: Unetseg) -> None:
    assert {"name", "what", "download", "licence"} <= summary(unetseg("data", "--json"))["sets"][0].keys()


def test_quiet_keeps_the_result_alone(unetseg: Unetseg, labels: Path, tmp_path: Path) -> None:
    result = unetseg("measure", labels, "--out", tmp_path / "t.csv", "--quiet")
    assert result.out == "2 objects, median size 7 px\n"
    assert result.err == ""


def test_verbose_prints_versions_time_and_memory(unetseg: Unetseg, labels: Path, tmp_path: Path) -> None:
    result = unetseg("measure", labels, "--out", tmp_path / "t.csv", "-v")
    assert all(word in result.err for word in ("Python", "numpy", "of memory"))


def test_an_error_has_its_traceback_with_verbose_alone(unetseg: Unetseg, tmp_path: Path) -> None:
    plain = unetseg("measure", tmp_path / "none.tif")
    verbose = unetseg("measure", tmp_path / "none.tif", "-v")
    assert plain.code == verbose.code == 2
    assert "Traceback" in verbose.err
    assert "Traceback" not in plain.err
    assert plain.err.splitlines()[-1] == verbose.err.splitlines()[-1]


def test_no_color_turns_colours_off(unetseg: Unetseg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda stream, color: color is False)  # a terminal
    assert "\x1b" in unetseg("data").out
    assert "\x1b" in unetseg("measure", "none.tif").err
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in unetseg("data").out
    assert "\x1b" not in unetseg("measure", "none.tif").err


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_can_be_quiet(name: str) -> None:
    command = cli.commands[name]
    options = {o for p in command.get_params(click.Context(command)) for o in p.opts}
    assert {"--quiet", "--verbose"} <= options


def test_every_command_with_a_summary_offers_json() -> None:
    offer = {name for name, c in cli.commands.items() if any("--json" in p.opts for p in c.params)}
    assert {
        "data",
        "demo",
        "export-labels",
        "measure",
        "predict",
        "relabel",
        "score",
        "train",
        "tune",
    } <= offer
