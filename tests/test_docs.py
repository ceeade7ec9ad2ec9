"""README and docs are short, their commands exist, and the tutorials are done as they are written."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import tifffile
from conftest import Unetseg, write

from unetseg.cli import cli
from unetseg.tasks.synthetic import cell_movie

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "data" / "README.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: Path, kinds: tuple[str, ...]) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text(encoding="utf-8")) if kind in kinds]


def commands(page: Path, kinds: tuple[str, ...] = ("", "text")) -> list[list[str]]:
    """The words after `unetseg` of every command in the page's blocks."""
    lines = [line for text in blocks(page, kinds) for line in text.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("unetseg ")]
    return [line[1:] for line in words]


def test_readme_is_read_in_a_few_minutes() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 900


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_exists_with_its_options(page: Path) -> None:
    for name, *words in commands(page):
        command = cli.commands[name]
        context = click.Context(command)
        known = {option for item in command.get_params(context) for option in item.opts}
        given = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert given <= known, (name, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


def test_the_python_page_runs() -> None:
    (code,) = blocks(ROOT / "docs" / "python.md", ("python",))
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 — our own page
    labels, page = names["labels"], names["page"]
    assert labels.max() == labels[52, 52] == 1
    assert page.columns["area_px"] == [(labels == 1).sum()]
    assert page.columns["mean_c1"][0] == pytest.approx(names["image"][labels == 1].mean())


def follow(unetseg: Unetseg, page: str, **instead: str) -> list[str]:
    """What each command of a page's plain blocks prints; instead: words that are replaced to be quick."""
    printed = []
    for words in commands(ROOT / "docs" / f"{page}.md", ("",)):
        result = unetseg(*[instead.get(word.lstrip("-"), word) for word in words])
        assert (result.code, words, result.err if result.code else "") == (0, words, "")
        printed.append(result.out)
    return printed


def test_first_labels_as_it_is_written(
    unetseg: Unetseg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, _ = cell_movie(seed=1, frames=1, shape=(96, 96), cells=4)
    write(tmp_path / "stained" / "000.tif", 255 - images[0])
    monkeypatch.chdir(tmp_path)
    follow(unetseg, "first-labels")
    assert tifffile.imread("predictions/nuclei/000_labels.tif").shape == (96, 96)
    assert Path("predictions/nuclei/000_rois.zip").exists()
    assert "area_px" in Path("nuclei.csv").read_text()


@pytest.mark.slow
def test_your_own_images_as_it_is_written(
    unetseg: Unetseg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, truth = cell_movie(seed=1, frames=7, shape=(96, 96), cells=4)
    for t in range(5):
        write(tmp_path / "mydata" / "images" / f"dish{t}.tif", images[t])
        write(tmp_path / "mydata" / "labels" / f"dish{t}.tif", truth[t])
    for t in (5, 6):
        write(tmp_path / "newplate" / f"dish{t}.tif", images[t])
        write(tmp_path / "truth" / f"dish{t}.tif", truth[t])
    monkeypatch.chdir(tmp_path)
    follow(unetseg, "your-own-images", minutes="--steps", **{"20": "2"})
    assert Path("show.png").exists()
    assert tifffile.imread("runs/mydata/predictions/dish5_labels.tif").shape == (96, 96)
    assert "mean_c1" in Path("cells.csv").read_text()


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = json.loads((ROOT / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert "steps=200" in code
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict[str, Any] = {}
    exec(code.replace("steps=200", "steps=2"), names)  # noqa: S102 — our own notebook
    assert names["labels"].shape == names["true"].shape
    assert Path("runs/cells/report.html").exists()
