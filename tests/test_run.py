"""Run folders: made once, written whole, and readable after a crash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unetseg.errors import UserError
from unetseg.run import Run
from unetseg.settings import Experiment


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "runs" / "a", Experiment())


def test_a_new_run_holds_its_experiment_and_can_be_opened(run: Run) -> None:
    assert [p.name for p in run.path.iterdir()] == ["experiment.toml"]
    assert Run.open(run.path) == run
    assert run.experiment == Experiment()


def test_an_empty_folder_may_become_a_run(tmp_path: Path) -> None:
    assert Run.create(tmp_path, Experiment()).path == tmp_path


def test_what_is_there_is_not_overwritten(run: Run, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=f"already exists. Continue it with `unetseg train --resume {run.path}`"
    ):
        Run.create(run.path, Experiment())
    with pytest.raises(UserError, match="exists and is not a run"):
        Run.create(tmp_path, Experiment())
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="exists and is not a run"):
        Run.create(tmp_path / "file", Experiment())
    with pytest.raises(UserError, match="cannot be created"):
        Run.create(tmp_path / "file" / "run", Experiment())
    assert (tmp_path / "file").read_text() == "mine"


def test_only_a_run_folder_can_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(UserError, match="not a run folder"):
            Run.open(path)


def test_a_broken_experiment_file_is_named(run: Run) -> None:
    (run.path / "experiment.toml").write_text("steps: 1")
    with pytest.raises(UserError, match=r"experiment\.toml: not a TOML file"):
        _ = run.experiment


def crash(run: Run, name: str) -> None:
    with run.replacing(name) as file:
        file.write_text("half")
        raise KeyboardInterrupt


def test_a_file_is_replaced_whole_or_not_at_all(run: Run) -> None:
    run.write_json("a.json", {"value": 1})
    before = sorted(run.path.iterdir())
    for name in ("a.json", "new.json"):
        with pytest.raises(KeyboardInterrupt):
            crash(run, name)
    assert sorted(run.path.iterdir()) == before
    assert json.loads((run.path / "a.json").read_text()) == {"value": 1}
    run.write_json("a.json", {"value": 2})
    assert json.loads((run.path / "a.json").read_text()) == {"value": 2}


def test_the_log_keeps_the_order(run: Run) -> None:
    assert run.records() == []
    for step in (1, 2):
        run.log({"step": step, "loss": 1 / step})
    assert run.records() == [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5}]


@pytest.mark.parametrize(
    "rest",
    [b'{"step": 3, "lo', b"\xff\x00\x00", b"3\n", b"\n", b'{"loss": 1.0}', b'{"validation": {"seg": 0.5}}'],
)
def test_a_line_cut_or_damaged_is_passed_over(run: Run, rest: bytes) -> None:
    run.log({"step": 1})
    with (run.path / "log.jsonl").open("ab") as file:
        file.write(rest)
    assert run.records() == [{"step": 1}]


def test_later_steps_are_forgotten_before_they_are_run_again(run: Run) -> None:
    for step in (1, 2, 3, 4):
        run.log({"step": step})
    run.log({"note": "started"})
    with (run.path / "log.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')
    run.forget_after(2)
    run.log({"step": 3, "again": True})
    assert run.records() == [{"step": 1}, {"step": 2}, {"note": "started"}, {"step": 3, "again": True}]
    assert not list(run.path.glob(".part-*"))


def test_the_names_inside_a_run(run: Run) -> None:
    names = [p.relative_to(run.path).as_posix() for p in (run.best, run.last, run.predictions, run.pictures)]
    assert names == ["best.pt", "last.pt", "predictions", "pictures"]
