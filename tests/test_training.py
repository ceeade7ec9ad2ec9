"""A whole run on a tiny folder: resume equals uninterrupted, safe model files, clear errors."""

import itertools
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from unetseg.errors import UserError
from unetseg.locks import InUse, locked
from unetseg.pipeline.evaluate import evaluate_run as score_run
from unetseg.pipeline.events import Validated
from unetseg.pipeline.model import PredictSettings, load_model
from unetseg.pipeline.training import train_run
from unetseg.pipeline.weights_file import load_plain, save_plain
from unetseg.run import Run
from unetseg.settings import AugmentSettings, DataSettings, Experiment, LabelSettings, TrainSettings
from unetseg.train import Step

CPU = torch.device("cpu")


def make_folder(root: Path, count: int = 6, size: int = 32) -> Path:
    """Bright discs, two of them touching, with instance labels."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    for i in range(count):
        labels = np.zeros((size, size), np.uint16)
        for k, (cy, cx) in enumerate([(9, 8 + i), (9, 19 + i), (24, 12)], start=1):
            labels[(y - cy) ** 2 + (x - cx) ** 2 < 30] = k
        image = (labels > 0) * 90 + rng.integers(0, 60, (size, size))
        for folder, array in (("images", image.astype(np.uint8)), ("labels", labels)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(root / folder / f"{i}.tif", array)
    return root


def experiment(root: Path, **train: Any) -> Experiment:
    defaults: dict[str, Any] = {
        "steps": 8,
        "batch": 2,
        "crop": (16,),
        "validate_every": 3,
        "select_by": "seg",
    }
    return Experiment(
        name="tiny",
        device="cpu",
        data=DataSettings(task="folder", root=str(root), test=("5",), labels="instances"),
        net={"name": "unet", "width": 4, "depth": 2, "padding": "same", "norm": "batch", "dropout": 0.2},
        train=TrainSettings(**(defaults | train)),
        labels=LabelSettings(choose=True),
    )


def finish(run: Run, resume: bool = False) -> list[Any]:
    return list(train_run(run, resume=resume, stopped=lambda: False))


def weights(path: Path, key: str) -> dict[str, torch.Tensor]:
    saved = torch.load(path, weights_only=True)
    return saved["state"]["net"] if key == "state" else saved[key]


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", experiment(make_folder(tmp_path / "data")))
    with locked(run.path), pytest.raises(InUse, match=f"written by process {os.getpid()}"):
        finish(run)
    finish(run)  # an error while it is held leaves the run as it was
    assert not list(tmp_path.glob(".run.lock"))


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    """Stopped after step 4 of 8, between two validations: the same weights, log and best model."""
    root = make_folder(tmp_path / "data")
    whole = Run.create(tmp_path / "whole", experiment(root))
    finish(whole)
    cut = Run.create(tmp_path / "cut", experiment(root))
    count = itertools.count()
    stopped = train_run(cut, resume=False, stopped=lambda: next(count) >= 5)
    seen = [e for e in stopped if isinstance(e, Step)]
    assert 0 < len(seen) < 8
    finish(cut, resume=True)
    for name, key in (("last.pt", "state"), ("best.pt", "weights")):
        one, other = weights(whole.path / name, key), weights(cut.path / name, key)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[k], other[k]) for k in one), name
    times = {"data_s", "total_s", "cpu_s", "seconds"}
    logs = [[{k: v for k, v in r.items() if k not in times} for r in run.records()] for run in (whole, cut)]
    assert logs[0] == logs[1]


@pytest.mark.parametrize("asked", range(1, 9))
def test_whenever_a_run_is_stopped_it_is_saved(tmp_path: Path, asked: int) -> None:
    run = Run.create(tmp_path / "run", experiment(make_folder(tmp_path / "data")))
    answers = itertools.chain([False] * (asked - 1), itertools.repeat(True))
    list(train_run(run, resume=False, stopped=lambda: next(answers)))
    assert torch.load(run.last, weights_only=True)["state"]["step"] == run.records()[-1]["step"]


def test_validation_is_the_tiled_prediction_scored(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", experiment(make_folder(tmp_path / "data")))
    events = finish(run)
    steps = [e.step for e in events if isinstance(e, Validated)]
    assert steps == [3, 6, 8]
    result = score_run(run, load_model(run.best, CPU), PredictSettings(), lambda n: None)
    assert result is not None
    assert (result.part, result.table.frames) == ("test", ("5",))
    assert (run.path / "scores.json").is_file()
    assert {p.name for p in run.pictures.iterdir()} == {"5.png", "curves.png"}
    assert not list(run.path.rglob(".part-*"))


def test_the_saved_model_predicts_as_the_trained_one(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", experiment(make_folder(tmp_path / "data")))
    finish(run)
    image = tifffile.imread(tmp_path / "data/images/0.tif")[None]
    once, again = (load_model(run.best, CPU).probabilities(image, "0", PredictSettings()) for _ in range(2))
    np.testing.assert_array_equal(once, again)
    tiles = load_model(run.best, CPU).probabilities(image, "0", PredictSettings(side=8, batch=3))
    np.testing.assert_allclose(tiles, once, atol=1e-4)


class Evil:
    def __reduce__(self) -> Any:
        return (open, ("/tmp/unetseg-evil", "w"))  # noqa: S108


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_model_file_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    torch.save({"format": "unetseg-model-1", "recipe": Evil()}, path)
    with pytest.raises(UserError, match="holds code"):
        load_model(path, CPU)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError, match="best.pt"):
        load_model(path, CPU)
    assert not Path("/tmp/unetseg-evil").exists()  # noqa: S108


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04 cut"])
def test_a_damaged_model_file_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "best.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match="best.pt"):
        load_model(path, CPU)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop": (64,)}, "larger than 0, which is 32×32"),
        ({"crop": (18,)}, "nearest legal sizes are 16×16 and 20×20"),
        ({"crop": (16, 16, 16)}, "this network has 2 axes"),
        ({"select_by": "segg"}, "did you mean 'seg'"),
        ({"loss": "cross-entrop"}, "did you mean 'cross-entropy'"),
    ],
)
def test_what_cannot_work_is_said_before_the_first_step(tmp_path: Path, change: Any, message: str) -> None:
    run = Run.create(tmp_path / "run", experiment(make_folder(tmp_path / "data"), **change))
    with pytest.raises(UserError, match=message):
        finish(run)
    assert not run.path.exists()  # the same command may be given again


def test_a_net_of_other_axes_than_the_images_is_said(tmp_path: Path) -> None:
    tiny = experiment(make_folder(tmp_path / "data"))
    run = Run.create(tmp_path / "run", replace(tiny, net={**tiny.net, "dims": 3}))
    with pytest.raises(UserError, match="Set net.dims = 2"):
        finish(run)


def test_the_weights_may_be_chosen_by_any_score(tmp_path: Path) -> None:
    tiny = experiment(make_folder(tmp_path / "data"), select_by="kappa")
    validated = [e for e in finish(Run.create(tmp_path / "run", tiny)) if isinstance(e, Validated)]
    kappas = [e.scores["kappa"] for e in validated]
    assert [e.best for e in validated] == [k > max(kappas[:i], default=-1) for i, k in enumerate(kappas)]


def test_resuming_on_changed_data_is_refused(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "data")
    run = Run.create(tmp_path / "run", experiment(root))
    finish(run)
    tifffile.imwrite(root / "images" / "0.tif", np.zeros((32, 32), np.uint8))
    with pytest.raises(UserError, match="the data have changed"):
        finish(run, resume=True)


def test_a_run_that_never_saved_cannot_be_resumed(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", experiment(make_folder(tmp_path / "data")))
    with pytest.raises(UserError, match="nothing to resume"):
        finish(run, resume=True)


def test_the_elasticdeform_engine_trains(tmp_path: Path) -> None:
    pytest.importorskip("elasticdeform")
    tiny = experiment(make_folder(tmp_path / "data"), steps=2)
    run = Run.create(tmp_path / "run", replace(tiny, augment=AugmentSettings(engine="elasticdeform")))
    assert sum(isinstance(e, Step) for e in finish(run)) == 2


def test_too_little_memory_says_what_to_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*args: Any, **kwargs: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    run = Run.create(tmp_path / "run", experiment(make_folder(tmp_path / "data")))
    monkeypatch.setattr("unetseg.nets.unet.UNet.forward", no_memory)
    with pytest.raises(UserError, match=r"not enough memory.*train\.batch"):
        finish(run)
    assert not run.path.exists()  # nothing was trained: the same command may be given again


def test_settings_changed_after_the_fact_do_not_resume(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", experiment(make_folder(tmp_path / "data"), steps=3))
    finish(run)
    file = run.path / "experiment.toml"
    file.write_text(file.read_text().replace("width = 4", "width = 5"))
    with pytest.raises(
        UserError,
        match=r"last\.pt: does not fit .*experiment\.toml, which was changed since \(other weights\)",
    ):
        finish(run, resume=True)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("damage", ["renamed", "missing", "nan"])
def test_a_state_with_other_moments_does_not_resume(tmp_path: Path, optimizer: str, damage: str) -> None:
    tiny = experiment(make_folder(tmp_path / "data"), steps=1, optimizer=optimizer)
    run = Run.create(tmp_path / "run", replace(tiny, labels=LabelSettings()))
    finish(run)
    saved = load_plain(run.last, "unetseg-state").values
    moments = saved["state"]["optimizer"]["state"][0]
    name = next(iter(moments))
    value = moments.pop(name)
    if damage == "renamed":
        moments[f"{name}.more"] = value
    if damage == "nan":
        moments[name] = value * float("nan")
    save_plain(run.last, "unetseg-state", saved)
    file = run.path / "experiment.toml"
    file.write_text(file.read_text().replace("steps = 1\n", "steps = 2\n"))
    with pytest.raises(UserError, match=r"last\.pt: does not fit .*another optimizer"):
        finish(run, resume=True)


def test_a_lost_best_model_is_replaced_by_the_last(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", experiment(make_folder(tmp_path / "data"), steps=3))
    finish(run)
    run.best.unlink()
    finish(run, resume=True)
    best, last = weights(run.best, "weights"), weights(run.last, "state")
    assert all(torch.equal(best[k], last[k]) for k in last)


def test_a_run_stopped_before_its_first_validation_can_predict(tmp_path: Path) -> None:
    """The last weights are its model, and the resumed run ends as if it had not been stopped."""
    root = make_folder(tmp_path / "data")
    run = Run.create(tmp_path / "run", experiment(root))
    list(train_run(run, resume=False, stopped=lambda: True))
    saved, last = weights(run.best, "weights"), weights(run.last, "state")
    assert all(torch.equal(saved[k], last[k]) for k in last)
    finish(run, resume=True)
    whole = Run.create(tmp_path / "whole", experiment(root))
    finish(whole)
    one, other = weights(run.best, "weights"), weights(whole.best, "weights")
    assert all(torch.equal(one[k], other[k]) for k in other)


def test_a_full_disk_at_the_first_checkpoint_leaves_nothing_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    tiny = experiment(make_folder(tmp_path / "data"))
    with monkeypatch.context() as patch:
        patch.setattr("unetseg.pipeline.training_loop.save_state", full)
        with pytest.raises(UserError, match="No space"):
            finish(Run.create(tmp_path / "run", tiny))
    finish(Run.create(tmp_path / "run", tiny))
