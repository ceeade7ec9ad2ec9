"""What a run decides at its start: a precision the device is fast in, and steps that fit a time budget."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from test_training import experiment, finish, make_folder, weights

from unetseg import api, device
from unetseg.pipeline.events import Note, Scheduled
from unetseg.pipeline.time_budget import FEWEST_STEPS, Images, Speed, fitting_steps
from unetseg.pipeline.training import train_run
from unetseg.run import Run
from unetseg.settings import DataSettings, Experiment, TrainSettings
from unetseg.train import Step

CPU = torch.device("cpu")


def with_budget(root: Path, minutes: float, **train: Any) -> Experiment:
    return experiment(root, **({"steps": 1_000_000_000, "minutes": minutes, "validate_every": 50} | train))


def test_steps_fill_what_images_leave_of_the_time() -> None:
    """90 s of 100 are planned with; 18 images of 0.5 s leave 81 s for steps of 0.5 + 0.5·8/20 s."""
    settings = TrainSettings(steps=1000, validate_every=20)
    images = Images(validate=8, choose=0, test=10)
    assert fitting_steps(100, Speed(0.5, 0.5), images, settings) == 115
    assert fitting_steps(1e6, Speed(0.5, 0.5), images, settings) == 1000
    assert fitting_steps(1, Speed(0.5, 0.5), images, settings) == FEWEST_STEPS
    assert fitting_steps(1, Speed(0.5, 0.5), images, replace(settings, steps=3)) == 3


def test_the_schedule_runs_to_the_end_of_the_steps_that_a_budget_allows(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", with_budget(make_folder(tmp_path / "data"), 0.05))
    events = finish(run)
    decided = run.experiment.train
    steps = [e for e in events if isinstance(e, Step)]
    assert [e.steps for e in events if isinstance(e, Scheduled)] == [decided.steps] == [len(steps)]
    assert steps[-1].learning_rate < decided.learning_rate / 10 or decided.steps <= FEWEST_STEPS
    assert any(isinstance(e, Note) and f"{decided.steps} steps" in e.text for e in events)


def test_a_budget_that_is_too_short_is_said(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", with_budget(make_folder(tmp_path / "data"), 1e-4))
    notes = [e.text for e in finish(run) if isinstance(e, Note)]
    assert any(f"{FEWEST_STEPS} steps" in text and "give a longer one" in text for text in notes)


def test_steps_timed_leave_no_trace(tmp_path: Path) -> None:
    """A budget that allows all steps ends with the weights of a run without one."""
    root = make_folder(tmp_path / "data")
    plain = Run.create(tmp_path / "plain", experiment(root))
    budget = Run.create(tmp_path / "budget", experiment(root, minutes=60.0))
    finish(plain), finish(budget)
    one, other = weights(plain.last, "state"), weights(budget.last, "state")
    assert all(torch.equal(one[k], other[k]) for k in one)


def test_a_resumed_run_keeps_the_steps_that_were_decided(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    run = Run.create(tmp_path / "run", with_budget(root, 0.03))
    count = itertools.count()
    list(train_run(run, resume=False, stopped=lambda: next(count) >= 4))
    decided = run.experiment
    assert (decided.train.minutes, decided.train.steps < 1_000_000) == (0, True)
    api.train(with_budget(root, 0.03), run.path)  # the same request resumes it
    assert run.experiment == decided
    same = experiment(root, steps=decided.train.steps, validate_every=50)
    whole = Run.create(tmp_path / "whole", same)
    finish(whole)
    one, other = weights(whole.last, "state"), weights(run.last, "state")
    assert all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [({"avx2", "avx512f"}, "float32"), ({"avx512f", "avx512_bf16"}, "bf16"), ({"amx_bf16"}, "bf16")],
)
def test_auto_takes_bf16_only_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], wanted: str
) -> None:
    monkeypatch.setattr(device, "_processor_flags", lambda: flags)
    assert device.fast_precision(CPU)[0] == wanted
    warned = device.slow_precision("bf16", CPU)
    assert ("float32 is faster" in warned) == (wanted == "float32")
    assert not device.slow_precision("float32", CPU)


def test_a_processor_that_lists_nothing_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_processor_flags", set)
    found, reason = device.fast_precision(CPU)
    assert found in ("float32", "bf16")
    assert "as measured" in reason


def test_the_precision_is_decided_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run started with bf16 resumes in bf16, wherever it is."""
    root = make_folder(tmp_path / "data")
    monkeypatch.setattr(device, "_processor_flags", lambda: {"amx_bf16"})
    run = Run.create(tmp_path / "run", experiment(root, precision="auto"))
    events = list(train_run(run, resume=False, stopped=lambda: True))
    assert any(isinstance(e, Note) and e.text.startswith("precision: bf16") for e in events)
    monkeypatch.setattr(device, "_processor_flags", lambda: {"avx2"})
    finish(run, resume=True)
    assert run.experiment.train.precision == "bf16"


def test_a_budget_counts_the_frames_that_are_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silver truth of every frame to train on, gold truth of one frame of the test sequence."""
    labels = np.zeros((32, 32), np.uint16)
    labels[8:20, 8:20] = 1
    for sequence in ("01", "02"):
        for t in range(4):
            write(tmp_path / sequence / f"t{t:03}.tif", (labels * 99).astype(np.uint8))
            write(tmp_path / f"{sequence}_ST" / "SEG" / f"man_seg{t:03}.tif", labels)
    write(tmp_path / "02_GT" / "SEG" / "man_seg002.tif", labels)
    data = DataSettings(
        task="cell-tracking", root=str(tmp_path), train=("01[:3]",), validate=("01[3:]",), test=("02",)
    )
    asked = replace(with_budget(tmp_path, 0.02), data=replace(data, truth="silver"))
    seen: list[Images] = []

    def decide(
        experiment: Experiment, speed: Speed, images: Images, started: float
    ) -> tuple[Experiment, str]:
        seen.append(images)
        return replace(experiment, train=replace(experiment.train, steps=1, minutes=0.0)), ""

    monkeypatch.setattr("unetseg.pipeline.training_loop.decide_steps", decide)
    finish(Run.create(tmp_path / "run", asked))
    assert seen == [Images(validate=1, choose=1, test=1)]


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, image)
