"""Benchmarks: their files, their runs, and the table beside the published figures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from conftest import write

from unetseg import api
from unetseg.config import choose_net, read_experiment, settled
from unetseg.errors import UserError
from unetseg.nets import build_net
from unetseg.pipeline.dataset import crop_of
from unetseg.reproduce.benchmark import (
    benchmark,
    experiment_file,
    open_or_create,
    write_results,
)
from unetseg.reproduce.challenge import results_folder, score_sequences, scored_sequences
from unetseg.reproduce.published import BUDGETS, PUBLISHED
from unetseg.reproduce.submission import submission_run
from unetseg.run import Run
from unetseg.scores import scores_of
from unetseg.settings import PAPER_UNET
from unetseg.tasks.synthetic import cell_movie
from unetseg.tasks.track_files import write_tracks

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


FILES = sorted(EXPERIMENTS.rglob("*.toml"))


def named(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


@pytest.mark.parametrize("task", PUBLISHED)
def test_budgets_of_a_task_have_folds_that_do_not_overlap(task: str, tmp_path: Path) -> None:
    """Those of every budget are among those of the smallest; every task has that."""
    smallest = {e.fold for e in benchmark(task, "smoke", (), (), tmp_path, None)}
    for budget in [b for b in BUDGETS if (EXPERIMENTS / task / f"{b}.toml").is_file()]:
        entries = benchmark(task, budget, (), (), tmp_path, None)
        folds = {e.fold: e.experiment.data.test for e in entries}
        assert set(folds) <= smallest
        tested = [s for selections in folds.values() for s in selections]
        assert len(set(tested)) == len(tested) >= len(folds)
        assert len({e.path for e in entries}) == len(entries)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_every_experiment_file_can_be_trained(path: Path) -> None:
    """Its keys are known, each of its nets can be built and its crop fits the net."""
    whole = read_experiment(path)
    for experiment in (whole, *(choose_net(whole, name) for name in whole.nets)):
        options = {k: v for k, v in experiment.net.items() if k != "name"}
        net = build_net(str(experiment.net["name"]), channels=1, classes=2, **options)
        assert net.footprint.legal(crop_of(experiment.train, net.dims))
        assert experiment.train.select_by in scores_of("instances")


def test_the_gpu_budget_is_the_papers_network(tmp_path: Path) -> None:
    for task in ("dic-hela", "phc-u373", "isbi-em"):
        (entry, *_) = benchmark(task, "gpu", (), (), tmp_path, None)
        assert entry.experiment.net == PAPER_UNET
        assert (entry.experiment.train.optimizer, entry.experiment.train.momentum) == ("sgd", 0.99)
        assert (entry.experiment.train.batch, entry.experiment.train.crop) == (1, (572,))


def test_nets_are_compared_on_the_same_data_each_with_its_own_options(tmp_path: Path) -> None:
    """isbi-em/short.toml: a table per net, all of them without --nets; a net without one has its defaults."""
    entries = benchmark("isbi-em", "short", (), (), tmp_path, None)
    assert {"unet", "unet++", "fcn-8s"} <= {e.net for e in entries}
    assert len({e.experiment.data for e in entries if e.net in ("unet", "unet++", "fcn-8s")}) == 1
    steps = {e.net: e.experiment.train.steps for e in entries}
    assert steps["unet++"] != steps["unet"]
    (nested,) = benchmark("isbi-em", "short", ("unet++",), ("z24",), tmp_path, None)
    assert nested.experiment.net == {"name": "unet++", "width": 16, "depth": 4, "norm": "batch"}
    assert nested.experiment.nets == {}
    (other,) = benchmark("isbi-em", "cpu", ("fcn-8s",), ("z24",), tmp_path, None)
    assert other.experiment.net == {"name": "fcn-8s"}


def test_unknown_names_are_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'dic-hela'"):
        experiment_file("dic-hla", "cpu")
    with pytest.raises(UserError, match="no fold '03'"):
        benchmark("dic-hela", "cpu", (), ("03",), tmp_path, None)
    with pytest.raises(UserError, match="no budget 'gpu'.*smoke, short"):
        benchmark("nuclei", "gpu", (), (), tmp_path, None)


def test_a_run_that_never_saved_starts_anew_and_one_that_did_goes_on(tmp_path: Path) -> None:
    (entry, *_) = benchmark("dic-hela", "smoke", (), ("01",), tmp_path, "data")
    for _ in range(2):
        run, resume = open_or_create(entry)
        assert (run.path, resume) == (entry.path, False)
    assert run.experiment == settled(entry.experiment)
    run.last.write_bytes(b"")
    assert open_or_create(entry)[1]


def test_missing_data_are_told_before_anything_is_made(unetseg: Any, tmp_path: Path) -> None:
    result = unetseg("reproduce", "dic-hela", "--root", tmp_path / "nope", "--out", tmp_path / "runs")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "no such folder" in result.err
    assert "dic-hela is trained on DIC-C2DH-HeLa" in result.err
    assert not list(tmp_path.iterdir())


def test_the_table_hand_worked(tmp_path: Path) -> None:
    """Two folds with SEG 0.8 and 0.9: their mean, and the U-Net's published 0.7756 below."""
    entries = benchmark("dic-hela", "smoke", (), (), tmp_path, None)
    for entry, seg in zip(entries, (0.8, 0.9), strict=True):
        entry.path.mkdir(parents=True)
        scores = {"what": "9 frames, gold truth", "scores": {"seg": seg, "iou": 0.5, "f1": None}}
        scores |= {
            "parameters": 1234567,
            "train_seconds": 90,
            "train_processor_seconds": 60,
            "predict_seconds": 3.0,
            "frames": {"a": {}, "b": {}},
            "intervals": {"seg": [0.75, 0.85]},
            "errors": {"true": 97, "found": 90, "missed": 7, "missed at border": 5, "outline-iou": 0.88},
            "noun": "cells",
        }
        (entry.path / "environment.json").write_text('{"device": "an abacus"}')
        (entry.path / "scores.json").write_text(json.dumps(scores))
    text = write_results("dic-hela", entries, tmp_path)
    assert "| unet, fold 01 | train 01[0:66]; scored on 9 frames, gold truth | 0.8000 | 0.5000 |" in text
    assert "| **unet, mean of 2 folds** | held-back training data | 0.8500 | 0.5000 |" in text
    assert "| U-Net (2015) | hidden test data | 0.7756 | – |" in text
    assert "not the same thing" in text
    line = "90 of 97 cells found, 7 missed (5 at the border); outlines agree to 0.88"
    assert f"- unet, fold 01: {line} (seg: 95 % of 0.7500 to 0.8500 over frames)\n" in text
    assert "| unet, fold 01 | 1,234,567 | 60 | 1.5 | 1.0 | 1.50 | an abacus |" in text
    assert json.loads((tmp_path / "results.json").read_text())["unet-02"]["scores"]["seg"] == 0.9


def test_the_table_of_a_part_has_all_runs_that_are_done(unetseg: Any, tmp_path: Path) -> None:
    for entry in benchmark("dic-hela", "smoke", (), (), tmp_path, None):
        run = Run.create(entry.path, entry.experiment)
        run.write_json("scores.json", {"what": "9 frames", "scores": {"seg": 0.8}, "part": "test"})
    result = unetseg("reproduce", "dic-hela", "--budget", "smoke", "--folds", "02", "--out", tmp_path)
    assert result.code == 0
    assert "unet, mean of 2 folds" in result.out
    assert "unet, fold 01" in (tmp_path / "dic-hela-smoke" / "results.md").read_text()


def test_every_frame_of_the_test_sequence_is_scored_as_the_challenge_does(tmp_path: Path) -> None:
    """The truth itself as the result of a run on sequence 02, with one object missed in one of two frames."""
    root, entry = tmp_path / "DIC-C2DH-HeLa", benchmark("dic-hela", "smoke", (), ("01",), tmp_path, None)[0]
    entry = replace(
        entry, experiment=replace(entry.experiment, data=replace(entry.experiment.data, root=str(root)))
    )
    Run.create(entry.path, entry.experiment).write_json(
        "scores.json", {"what": "1 frame", "scores": {"seg": 1}}
    )
    cells = np.zeros((40, 40), np.uint16)
    cells[5:15, 5:15], cells[20:30, 20:30] = 1, 2
    for t, name in enumerate(("000", "001")):
        write(root / "02_GT" / "TRA" / f"man_track{name}.tif", cells)
        found = cells if t else np.where(cells == 2, 0, cells)
        write(results_folder(entry) / "02_RES" / f"mask{name}.tif", found)
    write(root / "02_GT" / "SEG" / "man_seg001.tif", cells)
    (root / "02_GT" / "TRA" / "man_track.txt").write_text("1 0 1 0\n2 0 1 0\n")
    (results_folder(entry) / "02_RES" / "res_track.txt").write_text("1 0 1 0\n2 1 1 0\n")
    assert scored_sequences(entry) == [root / "02"]
    scores = score_sequences(entry)
    assert scores == pytest.approx(
        {
            "seg": 1,
            "det": 1 - 10 / 40,
            "tra": 1 - 11.5 / 43,
            "lnk": 0.5,
            "op-csb": 0.875,
            "op-ctb": (2 - 11.5 / 43) / 2,
        }
    )
    text = write_results("dic-hela", [entry], tmp_path)
    assert "| | split | seg | det | tra | lnk | op-csb | op-ctb |" in text
    assert "scored on 1 frame | 1.0000 | 0.7500 | 0.7326 | 0.5000 | 0.8750 | 0.8663 |" in text
    assert "count every frame of the test sequence" in text


def test_other_benchmarks_have_no_sequences(tmp_path: Path) -> None:
    entry = benchmark("isbi-em", "cpu", (), (), tmp_path, None)[0]
    assert scored_sequences(entry) == []


def make_challenge(root: Path) -> None:
    """Two synthetic films in the challenge's layout under a real data set's name; gold for few frames."""
    for seed, sequence in enumerate(("01", "02")):
        images, labels = cell_movie(seed=seed, frames=84, shape=(384, 384), cells=30)
        for folder in (sequence, f"{sequence}_GT/SEG", f"{sequence}_GT/TRA", f"{sequence}_ST/SEG"):
            (root / folder).mkdir(parents=True)
        labels, tracks = api.track(labels)
        write_tracks(root / f"{sequence}_GT/TRA/man_track.txt", tracks)
        for t, (image, objects) in enumerate(zip(images, labels, strict=True)):
            tifffile.imwrite(root / sequence / f"t{t:03}.tif", image)
            tifffile.imwrite(root / f"{sequence}_ST/SEG/man_seg{t:03}.tif", objects)
            tifffile.imwrite(root / f"{sequence}_GT/TRA/man_track{t:03}.tif", objects)
            if t % 40 == 0:
                tifffile.imwrite(root / f"{sequence}_GT/SEG/man_seg{t:03}.tif", objects)


@pytest.mark.slow
def test_a_benchmark_runs_from_end_to_end_and_is_not_run_twice(
    tmp_path: Path, unetseg: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_challenge(tmp_path / "DIC-C2DH-HeLa")
    monkeypatch.setenv("UNETSEG_DATA", str(tmp_path))
    command = ("reproduce", "dic-hela", "--budget", "smoke", "--out", tmp_path / "runs")
    first = unetseg(*command)
    assert (first.code, first.out.count("scores on the test part")) == (0, 2)
    folder = tmp_path / "runs" / "dic-hela-smoke"
    table = (folder / "results.md").read_text()
    assert "unet, mean of 2 folds" in table
    for fold in ("01", "02"):
        scores = json.loads((folder / f"unet-{fold}" / "scores.json").read_text())
        assert scores["what"].startswith("3 frames of")
        assert "gold truth" in scores["what"]
        assert scores["task_scores"].keys() >= {"seg", "det", "op-csb"}
        assert scores["challenge"].keys() == {"seg", "det", "tra", "lnk", "op-csb", "op-ctb"}
        assert (folder / f"unet-{fold}" / "report.html").is_file()
    assert (folder / "report.html").is_file()
    again = unetseg(*command)
    assert (again.code, again.out.count("scores on the test part")) == (0, 0)
    assert (folder / "results.md").read_text() == table


def test_a_submission_is_trained_on_every_sequence(tmp_path: Path) -> None:
    entry = submission_run("phc-u373", "cpu", tmp_path, "DATA")
    data = entry.experiment.data
    assert data.train == ("01[0:92]", "02[0:92]")
    assert data.validate == ("01[96:115]", "02[96:115]")
    assert (data.test, data.root) == ((), "DATA")
    with pytest.raises(UserError, match=r"dic-hela and phc-u373.*not isbi-em"):
        submission_run("isbi-em", "cpu", tmp_path, None)


def test_a_submission_without_test_data_is_one_error_before_training(unetseg: Any, tmp_path: Path) -> None:
    command = ("reproduce", "dic-hela", "--out", tmp_path / "runs", "--submission")
    for folder in (tmp_path / "nowhere", tmp_path):
        result = unetseg(*command, folder)
        assert (result.code, result.err.count("\n")) == (2, 1)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_submission_holds_every_frame_and_says_that_it_is_not_scored(
    tmp_path: Path, unetseg: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_challenge(tmp_path / "DIC-C2DH-HeLa")
    for sequence in ("01", "02"):
        (tmp_path / "test" / sequence).mkdir(parents=True)
        for t, image in enumerate(cell_movie(seed=5, frames=2, shape=(384, 384), cells=30)[0]):
            tifffile.imwrite(tmp_path / "test" / sequence / f"t{t:03}.tif", image)
    monkeypatch.setenv("UNETSEG_DATA", str(tmp_path))
    command = ("reproduce", "dic-hela", "--budget", "smoke", "--out", tmp_path / "runs")
    first = unetseg(*command, "--submission", tmp_path / "test")
    assert first.code == 0, first.err
    folder = tmp_path / "runs" / "dic-hela-smoke" / "submission" / "DIC-C2DH-HeLa"
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.tif"))
    assert found == [f"{sequence}_RES/mask00{t}.tif" for sequence in ("01", "02") for t in (0, 1)]
    assert all((folder / f"{sequence}_RES" / "res_track.txt").is_file() for sequence in ("01", "02"))
    assert "not scored here" in (folder / "README.txt").read_text()
    again = unetseg(*command, "--submission", tmp_path / "test")
    assert (again.code, "step 1 of" in again.out) == (0, False)
