"""What the command line says during a training."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from unetseg.cli.terminal import Progress
from unetseg.cli.training_view import TrainingView


def test_one_slow_step_does_not_change_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    """10 steps of 1 s and one of 60 s: the 89 steps that are left take about 89 s."""
    with Progress(None, "step") as bar:
        view = TrainingView(bar, 100, "seg")
        view.terminal = False
        for number in range(1, 12):
            view.next_line = 0.0 if number == 11 else float("inf")
            seconds = 60.0 if number == 11 else 1.0
            view._step(SimpleNamespace(number=number, loss=0.5, data_s=0.1, total_s=seconds))
    assert "step 11 of 100: loss 0.5000, about 89 s left" in capsys.readouterr().out
