"""The report: one whole, accessible page that needs nothing else and trusts no name in it."""

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Unetseg, write
from test_training import experiment, finish, make_folder

from unetseg.calibration import Reliability
from unetseg.errors import UserError
from unetseg.pipeline.evaluate import evaluate_run as score_run
from unetseg.pipeline.evaluate import scored_part
from unetseg.pipeline.model import PredictSettings, load_model
from unetseg.report import write_report
from unetseg.report.curves import reliability_chart, run_charts, time_chart
from unetseg.report.error_analysis import ranked
from unetseg.report.pictures import ScaleBar, scale_bar
from unetseg.report.summary import score_rows
from unetseg.reproduce.published import PUBLISHED, benchmark_of
from unetseg.run import Run
from unetseg.settings import DataSettings

VOID = {"meta", "link", "img", "input", "br", "hr"}
EVIL = '<script>alert("1")</script><img src=x onerror=alert(2)>&amp; $x_2$'
SECTIONS = ["images", "objects", "scores", "curves", "training", "what", "again"]


class Page(HTMLParser):
    """Reads a page, strictly: every element closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag}: {names}"
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> in line {self.getpos()[0]}"

    def handle_data(self, data: str) -> None:
        if not set(self.open) & {"script", "style"}:
            self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def trained(folder: Path, name: str, data: Path, steps: int = 8) -> Run:
    run = Run.create(folder / name, experiment(data, steps=steps))
    finish(run)
    score_run(run, load_model(run.best, torch.device("cpu")), PredictSettings(), lambda n: None)
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two finished runs on the same data; not to be changed."""
    folder = tmp_path_factory.mktemp("report")
    data = make_folder(folder / "data")
    return [trained(folder, "one", data), trained(folder, "two", data, steps=5)]


@pytest.fixture
def run(runs: list[Run], tmp_path: Path) -> Run:
    """A copy to be damaged."""
    shutil.copytree(runs[0].path, tmp_path / "run")
    return Run.open(tmp_path / "run")


def page(runs: list[Run], out: Path) -> Page:
    return Page(write_report(runs, out).read_text(encoding="utf-8"))


def check(page: Page) -> None:
    """What holds for every page: whole, self-contained, and usable without seeing or pointing."""
    ids = Counter(a["id"] for _, a in page.tags if "id" in a)
    assert max(ids.values()) == 1, ids.most_common(3)
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
            if name in attributes:
                assert attributes[name].startswith(("data:", "#")), f"<{tag} {name}={attributes[name][:60]}>"
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids
        for name in ("aria-labelledby", "for"):
            assert attributes.get(name, "") in {"", *ids}
        if tag == "img":
            assert attributes["alt"]
            assert int(attributes["width"]) > 0 < int(attributes["height"])
        if attributes.get("role") in ("img", "region", "group"):
            assert attributes.get("aria-label") or attributes.get("aria-labelledby")
    assert page.tags[0] == ("html", {"lang": "en"})
    assert {t for t, _ in page.tags} >= {"header", "nav", "main", "footer", "title"}
    assert all(a.get("scope") in ("row", "col") for a in page.all("th"))
    assert len(page.all("table")) == len(page.all("caption"))
    levels = [int(t[1]) for t, _ in page.tags if re.fullmatch(r"h[1-6]", t)]
    assert (levels[0], levels.count(1)) == (1, 1)
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(page.all("script")) == 1


def test_the_reliability_is_that_of_the_scored_probabilities(runs: list[Run], tmp_path: Path) -> None:
    """And the page shows it; a run that was scored before it was kept has none."""
    run, found = runs[0], Reliability()
    model = load_model(run.best, torch.device("cpu"))
    for entry in scored_part(run)[2]:
        sample = entry.read()
        labels = np.asarray(sample.labels)
        maps = model.probabilities(sample.image, sample.name, PredictSettings())
        found.add(1 - maps[0][labels >= 0], labels[labels >= 0] > 0)
    saved = run.read_json("scores.json")["calibration"]
    assert saved["of"] == "the foreground"
    assert saved["error"] == pytest.approx(found.error(), abs=1e-5)
    assert sum(saved["pixels"]) == found.table[0].sum() > 0
    assert f"Expected calibration error {found.error():.4f}" in page([run], tmp_path / "a.html").text
    assert reliability_chart({}) is None


def test_the_page_of_a_run_is_whole_and_self_contained(runs: list[Run], tmp_path: Path) -> None:
    out = tmp_path / "one.html"
    report = page(runs[:1], out)
    check(report)
    assert [a["id"] for a in report.all("section")] == SECTIONS
    assert not re.search(r"url\((?!['\"]?#)|@import|fetch\(|XMLHttp|WebSocket", out.read_text())
    assert out.stat().st_size < 10 * 2**20
    source = out.read_text()
    assert "default-src 'none'" in source
    for condition in ("prefers-color-scheme: dark", "max-width", "@media print", "prefers-reduced-motion"):
        assert condition in source


def test_it_says_what_was_done_and_with_what(runs: list[Run], tmp_path: Path) -> None:
    run = runs[0]
    text = page([run], tmp_path / "one.html").text
    environment, scores = run.read_json("environment.json"), run.read_json("scores.json")
    summary = [
        environment[key] for key in ("device", "commit", "started", "python", "data_sha256", "command")
    ]
    summary += [environment["packages"]["torch"], environment["split"]["train"], "the test part", "8 of 8"]
    summary += [f"{value:.4f}" for value in scores["scores"].values() if value is not None and value >= 0.001]
    summary += [f"unetseg report {run.path}", f"unetseg train {run.path}/experiment.toml"]
    assert [fact for fact in summary if fact not in text] == []


def test_the_layers_can_be_switched(runs: list[Run], tmp_path: Path) -> None:
    report = page(runs[:1], tmp_path / "one.html")
    radios = [a["value"] for a in report.all("input") if a["type"] == "radio"]
    assert radios == ["image", "truth", "prediction", "both", "probability"]
    layers = [a["class"] for a in report.all("img") if "layer" in a.get("class", "")]
    assert layers == [
        "layer truth",
        "layer prediction",
        "layer both",
        "layer probability",
    ]  # one scored image
    assert "Median and best and worst: 5" in report.text


@pytest.mark.parametrize("kind", ["ridge", "distance"])
def test_the_training_pictures_are_of_a_training_image(runs: list[Run], tmp_path: Path, kind: str) -> None:
    experiment = runs[0].experiment
    run = Run.create(tmp_path / "run", replace(experiment, target=replace(experiment.target, kind=kind)))
    report = page([run], tmp_path / "page.html")
    made = [a["alt"] for a in report.all("img") if a["alt"].endswith("of 0")]  # the first of the train part
    titles = ["image", "labels", "class map", "weight map", *(f"augmented crop {n}" for n in (1, 2, 3))]
    assert made == [f"{title} of 0" for title in titles]


def test_hostile_names_stay_text(run: Run, tmp_path: Path) -> None:
    moved = tmp_path / EVIL.replace("/", "∕")
    run.path.rename(moved)
    run = Run.open(moved)
    toml = moved / "experiment.toml"
    toml.write_text(toml.read_text().replace('name = "tiny"', f"name = '{EVIL}'"))
    environment = run.read_json("environment.json")
    run.write_json("environment.json", environment | {"device": EVIL, "command": EVIL, "commit": EVIL})
    scores = run.read_json("scores.json")
    scores["frames"] |= {EVIL: next(iter(scores["frames"].values()))}
    scores |= {"what": EVIL, "task_scores": {EVIL: 0.5}}
    run.write_json("scores.json", scores)
    run.log({"step": 8, "validation": {"iou": 0.5, EVIL: 0.1}, "best": True})
    report = page([run], tmp_path / "evil.html")
    check(report)
    assert not any("onerror" in attributes for _, attributes in report.tags)
    assert EVIL in " ".join(report.texts)
    check(page([run, Run.create(tmp_path / "new", run.experiment)], tmp_path / "both.html"))


def test_without_the_data_the_page_shows_what_the_run_has(run: Run, tmp_path: Path) -> None:
    toml = run.path / "experiment.toml"
    toml.write_text(re.sub(r'root = ".*"', 'root = "/nowhere"', toml.read_text()))
    report = page([run], tmp_path / "page.html")
    check(report)
    assert "The data no longer exist" in report.text
    assert [a["class"] for a in report.all("img")] == ["kept"]  # RUN/pictures
    assert [a["id"] for a in report.all("section")] == SECTIONS


def test_without_the_test_predictions_it_says_how_to_get_them(run: Run, tmp_path: Path) -> None:
    shutil.rmtree(run.path / "test")
    assert f"unetseg train --resume {run.path}" in page([run], tmp_path / "page.html").text


def test_a_damaged_prediction_is_named(run: Run, tmp_path: Path) -> None:
    run.tested("5").write_bytes(b"II*\0 cut off")
    report = page([run], tmp_path / "page.html")
    check(report)
    assert "5 is left out" in report.text
    assert "5.tif" in report.text


def test_a_run_that_only_began_has_a_page(runs: list[Run], tmp_path: Path) -> None:
    run = Run.create(tmp_path / "new", runs[0].experiment)
    report = page([run], tmp_path / "page.html")
    check(report)
    assert "has not taken a step" in report.text
    assert "There are no scores" in report.text


def test_undefined_scores_are_dashes(run: Run, tmp_path: Path) -> None:
    scores = run.read_json("scores.json")
    scores["scores"]["f1"] = scores["frames"]["5"]["f1"] = scores["frames"]["5"]["seg"] = None
    run.write_json("scores.json", scores)
    with (run.path / "log.jsonl").open("a") as log:
        log.write(json.dumps({"step": 9, "loss": float("nan")}) + "\n")
    report = page([run], tmp_path / "page.html")
    check(report)
    assert not re.search(r"\bnan\b", report.text, re.IGNORECASE)


def test_several_runs_are_compared(runs: list[Run], tmp_path: Path) -> None:
    out = tmp_path / "both.html"
    report = page(runs, out)
    check(report)
    assert "train.steps 8 5" in report.text  # the only setting that differs
    assert "The same images by every run" in report.text
    assert len([a for a in report.all("img") if "layer" not in a.get("class", "")]) == 2
    assert f"unetseg report {runs[0].path} {runs[1].path} --out {out}" in report.text


def test_runs_scored_on_other_images_have_no_best(runs: list[Run], run: Run, tmp_path: Path) -> None:
    run.write_json("scores.json", run.read_json("scores.json") | {"what": "9 other frames"})
    assert "not scored on the same images" in page([runs[1], run], tmp_path / "page.html").text
    assert "★" not in (tmp_path / "page.html").read_text()


def test_the_published_figures_stand_beside_ours(run: Run, tmp_path: Path) -> None:
    """Identified by the data set's folder, even where it is not there any more."""
    toml = run.path / "experiment.toml"
    text = re.sub(r'root = ".*"', 'root = "DIC-C2DH-HeLa"', toml.read_text())
    toml.write_text(text.replace('task = "folder"', 'task = "cell-tracking"'))
    report = page([run], tmp_path / "page.html")
    check(report)
    rows = ("IMCB-SG (2014) 0.2935", "HOUS-US (2014) –", "U-Net (2015) 0.7756", "are not the same thing")
    assert [words for words in rows if words not in report.text] == []
    seg = run.read_json("scores.json")["scores"]["seg"]
    assert f"this run, 1 image: 5 (the test part) {seg:.4f}" in report.text


def test_benchmarks_are_identified_by_task_and_folder() -> None:
    assert benchmark_of(DataSettings(task="cell-tracking", root="/x/PhC-C2DH-U373")) == "phc-u373"
    assert benchmark_of(DataSettings(task="isbi-em", root="anything")) == "isbi-em"
    assert benchmark_of(DataSettings(task="folder", root="DIC-C2DH-HeLa")) is None
    assert benchmark_of(DataSettings(task="folder", root="x/nuclei-dsb2018/")) == "nuclei"
    for benchmark in PUBLISHED.values():
        assert all(len(row) == len(benchmark.columns) for row in benchmark.rows.values())


def test_scores_of_volumes_have_a_meaning_and_their_better_way() -> None:
    rows = {
        r.name: r
        for r in score_rows(
            {"iou-0": 0.9, "dice": 0.8, "volume-dice-2": 0.7, "surface-um-2": 1704.8}, "classes"
        )
    }
    assert rows["dice"].meaning == "Dice coefficient, mean over the classes but the background"
    assert rows["volume-dice-2"].meaning.endswith("Dice coefficient of class 2")
    assert (rows["volume-dice-2"].better, rows["surface-um-2"].better) == ("higher", "lower")
    assert rows["surface-um-2"].value == "1704.8"


def test_the_page_begins_with_a_sentence_and_the_score_that_decides(runs: list[Run], tmp_path: Path) -> None:
    report = page(runs[:1], tmp_path / "one.html")
    saved = runs[0].read_json("scores.json")
    errors = saved["errors"]
    assert f"{errors['found']} of {errors['true']} objects found" in report.text
    assert errors["found"] + errors["missed"] <= errors["true"]
    assert "IoU of the foreground iou" in report.text
    assert (
        report.text.index("objects found") < report.text.index("Images, truth") < report.text.index("torch")
    )
    low, high = saved["intervals"].get("object-iou", (0, 0))
    assert low <= saved["scores"]["object-iou"] <= high or (low, high) == (0, 0)


@pytest.mark.parametrize(
    ("spacing", "width", "bar"),
    [
        ((0.65, 0.65), 696, ScaleBar(22.1, "100 µm")),
        ((1.0, 1.0), 1000, ScaleBar(20.0, "200 µm")),
        ((50.0, 0.004, 0.004), 512, ScaleBar(24.4, "500 nm")),
        ((5000.0, 5000.0), 100, ScaleBar(20.0, "100 mm")),
        (None, 100, None),
    ],
)
def test_a_scale_bar_is_a_round_length(
    spacing: tuple[float, ...] | None, width: int, bar: ScaleBar | None
) -> None:
    assert scale_bar(spacing, width) == bar


def test_scores_over_time_are_those_of_films() -> None:
    places = {f"02/t{i:03}": ("02", i) for i in range(6)}
    frames = {name: {"seg": 0.5 + i / 10} for i, name in enumerate(places)}
    chart = time_chart(places, frames, "seg", "SEG")
    assert chart is not None
    assert chart.summary == "02: lowest 0.5000 at frame 0"
    assert time_chart(dict(list(places.items())[:4]), frames, "seg", "SEG") is None


def test_a_later_prediction_can_take_the_place_of_the_test_part(
    run: Run, unetseg: Unetseg, tmp_path: Path
) -> None:
    """Two images predicted afterwards: their scores and pictures, and the command that makes the page."""
    truth = np.zeros((40, 40), np.uint16)
    truth[5:15, 5:15], truth[20:30, 20:30] = 1, 2
    for name in ("x", "y"):
        write(tmp_path / "truth" / f"{name}.tif", truth)
        write(tmp_path / "found" / f"{name}_labels.tif", truth if name == "x" else truth % 2)
        write(tmp_path / "images" / f"{name}.tif", truth * 9)
    files = [
        "--predictions",
        tmp_path / "found",
        "--truth",
        tmp_path / "truth",
        "--images",
        tmp_path / "images",
    ]
    result = unetseg("report", run.path, *files, "--out", tmp_path / "later.html")
    assert result.code == 0, result.err
    report = Page((tmp_path / "later.html").read_text(encoding="utf-8"))
    check(report)
    assert "3 of 4 objects found, 1 missed; outlines agree to 1.00" in report.text
    assert f"Scored on {tmp_path / 'found'} against {tmp_path / 'truth'}." in report.text
    assert f"--predictions {tmp_path / 'found'} --truth {tmp_path / 'truth'}" in report.text
    assert "belong together" in unetseg("report", run.path, "--truth", tmp_path).err
    assert "Give one run folder" in unetseg("report", run.path, run.path, *files).err


def test_errors_and_scores_have_charts_of_their_own() -> None:
    records = [{"step": s, "validation": {"iou": 0.5, "seg": 0.4, "pixel-error": 0.01}} for s in (1, 2)]
    scores, errors = run_charts(records, "instances", "seg")
    assert (scores.title, scores.legend) == ("Validation scores", ["seg", "iou"])  # that which decides first
    assert (errors.title, errors.legend) == ("Validation errors", ["pixel-error"])


def test_best_median_and_worst_images() -> None:
    frames = {f: {"seg": v} for f, v in zip("abcdef", (0.2, 0.9, None, 0.5, 0.7, 0.1), strict=True)}
    assert ranked(frames, "seg", True) == {"b": "best", "d": "median", "f": "worst"}
    assert ranked(frames, "seg", False) == {"f": "best", "d": "median", "b": "worst"}
    assert ranked({"a": {"seg": 1.0}}, "seg", True) == {"a": "median and best and worst"}
    assert ranked({"a": {"seg": None}}, "seg", True) == {}


def test_what_cannot_be_reported_is_said(runs: list[Run], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="given 2 times"):
        write_report([runs[0], runs[0]], tmp_path / "page.html")
    with pytest.raises(UserError, match=r"ends in \.html"):
        write_report(runs[:1], tmp_path / "page.pdf")


def test_the_command_writes_the_page(run: Run, unetseg: Unetseg, tmp_path: Path) -> None:
    result = unetseg("report", run.path)
    assert (result.code, result.out) == (0, f"wrote {run.path / 'report.html'}\n")
    assert "not a run folder" in unetseg("report", tmp_path).err
    check(Page((run.path / "report.html").read_text(encoding="utf-8")))


def test_training_ends_with_the_report(unetseg: Unetseg, tmp_path: Path) -> None:
    make_folder(tmp_path / "data", count=7, size=64)
    result = unetseg(
        "train", "--data", tmp_path / "data", "--run", tmp_path / "run", "--steps", 1, "--device", "cpu"
    )
    assert f"report: {tmp_path / 'run' / 'report.html'}" in result.out, result.err
