"""The project folder behind the panels, without a window: pages saved, rounds trained and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from unetseg.errors import UserError
from unetseg.images.arrays import array_stack
from unetseg.images.whole import read_stack
from unetseg.napari.rounds import (
    LAST_ROUND,
    Preview,
    RoundSettings,
    last_model,
    new_experiment,
    next_run,
    resumable,
    rounds,
    save_pages,
    train_round,
)
from unetseg.run import Run
from unetseg.train import Step

PAGES = np.random.default_rng(0).normal(50, 5, (3, 32, 32))
DRAWN = np.zeros(PAGES.shape, np.uint16)
DRAWN[1, 2:8], DRAWN[1, 20:28] = 1, 2
PAGES[:, 20:28] += 100
IMAGE = array_stack(PAGES.astype(np.float32))


def save(folder: Path, **changed: Any) -> list[Path]:
    given: dict[str, Any] = {"zero": "not annotated", "background": 1}
    return save_pages(folder, "film", IMAGE, DRAWN, **given | changed)


def train(folder: Path, run: Path, steps: int, stop_after: int = 1000) -> list[Any]:
    events: list[Any] = []

    def stopped() -> bool:
        return sum(isinstance(e, Step) for e in events) >= stop_after

    train_round(folder, run, RoundSettings(steps), PAGES[:1], events.append, stopped)
    return events


def test_the_pages_that_something_is_drawn_on_are_saved(tmp_path: Path) -> None:
    assert save(tmp_path) == [tmp_path / "labels" / "film_t1.tif"]
    assert_array_equal(np.squeeze(read_stack(tmp_path / "labels" / "film_t1.tif").pixels), DRAWN[1])
    pages = save(tmp_path, zero="background", background=None, pages=[2])
    assert_array_equal(np.unique(read_stack(pages[0]).pixels), [1])  # no object: all background


def test_labels_of_another_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="belong to the image"):
        save_pages(tmp_path, "film", IMAGE, DRAWN[:2], zero="background", background=None)
    with pytest.raises(UserError, match="Nothing is drawn"):
        save_pages(tmp_path, "film", IMAGE, 0 * DRAWN, zero="background", background=None)


def test_rounds_are_counted_and_need_a_model(tmp_path: Path) -> None:
    assert next_run(tmp_path).name == "round1"
    for name in ("round2", "round10", "roundabout"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert [p.name for p in rounds(tmp_path)] == ["round2", "round10"]
    for missing in (last_model, resumable):
        with pytest.raises(UserError, match="no (model|stopped training)"):
            missing(tmp_path)


@pytest.mark.slow
def test_a_round_is_stopped_and_resumed_and_the_next_one_starts_from_it(tmp_path: Path) -> None:
    save(tmp_path)
    run = next_run(tmp_path)
    assert sum(isinstance(e, Step) for e in train(tmp_path, run, 3, stop_after=1)) == 1
    assert resumable(tmp_path) == run
    events = train(tmp_path, run, 3)
    assert [e.number for e in events if isinstance(e, Step)] == [2, 3]
    assert [e.labels.shape for e in events if isinstance(e, Preview)][-1:] == [(32, 32)]
    with pytest.raises(UserError, match="no stopped training"):
        resumable(tmp_path)
    assert last_model(tmp_path).recipe.kind == "instances"
    second = next_run(tmp_path)
    train_round(
        tmp_path,
        second,
        RoundSettings(2, start_from=LAST_ROUND),
        None,
        lambda event: None,
        lambda: False,
    )
    assert Run.open(second).read_json("environment.json")["lineage"][0]["name"] == str(run.resolve())


def test_the_first_round_has_no_last_one(tmp_path: Path) -> None:
    save(tmp_path)
    assert new_experiment(tmp_path, RoundSettings(start_from=LAST_ROUND)).train.start_from == ""
