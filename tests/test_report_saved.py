"""Damaged run folders: a page that says what is left out, or one error; never a traceback."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from test_report import page, trained
from test_training import make_folder

from unetseg.errors import UserError
from unetseg.report import write_report
from unetseg.run import Run


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run; not to be changed."""
    folder = tmp_path_factory.mktemp("saved")
    return trained(folder, "run", make_folder(folder / "data"))


@pytest.fixture
def run(sound: Run, tmp_path: Path) -> Run:
    """A copy to be damaged."""
    shutil.copytree(sound.path, tmp_path / "run")
    return Run.open(tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("scores.json", b"\xff\xfe{", "scores.json is damaged: it is not a JSON object. It is left out."),
        (
            "scores.json",
            b'{"frames": []}',
            "scores.json is damaged (frames: Input should be a valid dictionary)",
        ),
        (
            "scores.json",
            b'{"scores": {"iou": "high"}}',
            "scores.json is damaged (scores.iou: Input should be a",
        ),
        ("environment.json", b'{"packages": 5}', "environment.json is damaged (packages: "),
        ("log.jsonl", b'{"step": "x", "loss": 1}\n{"step": 1, "validation": []}\n', "2 of 2 lines of "),
    ],
)
def test_what_is_damaged_is_named_and_left_out(
    run: Run, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (run.path / name).write_bytes(content)
    assert says in page([run], tmp_path / "page.html").text


def _damage(rng: random.Random, file: Path) -> None:
    """Cut, flip, empty, replace by a folder, remove, or (JSON) give another value somewhere."""
    content = bytearray(file.read_bytes())
    match rng.choice(["cut", "flip", "empty", "folder", "gone", "value", "value"]):
        case "cut":
            file.write_bytes(content[: rng.randrange(len(content))])
        case "flip":
            for _ in range(rng.choice([1, 3, 20])):
                content[rng.randrange(len(content))] = rng.randrange(256)
            file.write_bytes(content)
        case "empty":
            file.write_bytes(b"")
        case "folder":
            file.unlink()
            file.mkdir()
        case "gone":
            file.unlink()
        case "value":
            lines = bytes(content).decode(errors="replace").splitlines() if file.suffix == ".jsonl" else None
            texts = lines or [bytes(content).decode(errors="replace")]
            place = rng.randrange(len(texts))
            try:
                texts[place] = json.dumps(_other(rng, json.loads(texts[place])))
            except ValueError:
                texts[place] = texts[place][::-1]
            file.write_text("\n".join(texts), encoding="utf-8")


def _other(rng: random.Random, value: Any) -> Any:
    """The value with something in it replaced or removed."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(sorted(value))
        rest = {k: v for k, v in value.items() if k != key}
        return rest if rng.random() < 0.15 else {**rest, key: _other(rng, value[key])}
    return rng.choice([None, 1, -1.5, "x", [], {}, [1, "a"], {"a": [1]}, float("inf"), float("nan"), True])


FILES = ("experiment.toml", "environment.json", "log.jsonl", "scores.json", "best.pt", "test/5.tif")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(120))
def test_a_damaged_run_folder_gives_a_page_or_one_error(run: Run, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    _damage(rng, run.path / FILES[seed % len(FILES)])
    try:
        write_report([Run.open(run.path)], tmp_path / "page.html")
    except UserError as error:
        assert str(run.path) in str(error) or "data" in str(error)  # noqa: PT017
