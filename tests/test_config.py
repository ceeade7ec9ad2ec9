"""Experiment files: each mistake is one line that names the key, and what is written is read back."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from unetseg.config import choose_net, experiment_table, find_data, parse_experiment, read_experiment
from unetseg.errors import UserError
from unetseg.nets import net_options
from unetseg.run import Run
from unetseg.settings import (
    NARROW_UNET,
    PAPER_UNET,
    AugmentSettings,
    DataSettings,
    Experiment,
    Fold,
    LabelSettings,
    TrainSettings,
    full_net,
)

MISTAKES = {
    # unknown keys
    "[train]\nstepz = 1": "unknown key 'train.stepz'; did you mean 'steps'?",
    "datta = 1": "unknown key 'datta'; did you mean 'data'? Allowed: augment, data, device,",
    "[train]\nlearning-rate = 1": "unknown key 'train.learning-rate'; did you mean 'learning_rate'?",
    "[augment]\nxyz = 1": "unknown key 'augment.xyz'; allowed: albumentations, blur,",
    # wrong types: nothing is converted silently
    '[train]\nsteps = "100"': 'train.steps = "100": must be a whole number',
    "[train]\nsteps = 1.5": "train.steps = 1.5: must be a whole number",
    "seed = true": "seed = true: must be a whole number",
    '[train]\nlearning_rate = "fast"': 'train.learning_rate = "fast": must be a number',
    "[augment]\nflip = 1": "augment.flip = 1: must be true or false.",
    "[data]\nroot = 3": 'data.root = 3: must be a text in "quotes".',
    '[data]\ntrain = "01"': 'data.train = "01": must be a list: ["01"].',
    "[data]\ntrain = [1]": 'data.train[0] = 1: must be a text in "quotes".',
    "[train]\ncrop = 256": "train.crop = 256: must be a list: [256].",
    "train = 3": "train = 3: must be a table: [train] and its keys below it.",
    "net = 3": "net = 3: must be a table: [net] and its keys below it.",
    "[net]\nwidth = [16]": "net.width = [16]: must be a number, a text or true/false.",
    "[folds]\na = 3": "folds.a = 3: must be a table: [folds.a] and its keys below it.",
    '[folds.a]\ntrain = ["01"]\nvalidate = ["02"]': "folds.a.test is missing.",
    '[folds.a]\ntran = ["01"]': "unknown key 'folds.a.tran'; did you mean 'train'?",
    # out of range
    "[train]\nsteps = 0": "train.steps = 0: must be greater than 0.",
    "[train]\ncrop = [0]": "train.crop[0] = 0: must be greater than 0.",
    "[train]\ncrop = []": "train.crop = []: must have at least 1 item.",
    "[train]\ncrop = [8, 8, 8, 8]": "train.crop = [8, 8, 8, 8]: must have at most 3 items.",
    "[train]\nlearning_rate = inf": "train.learning_rate = inf: must be a finite number.",
    "[target]\nsigma = nan": "target.sigma = nan: must be a finite number.",
    "[data]\nclasses = 1": "data.classes = 1: must be greater than or equal to 2.",
    "[labels]\ntest_time_augmentation = 3": "labels.test_time_augmentation = 3: must be 1, 4 or 8.",
    '[data]\ntask = "foldr"': "data.task = \"foldr\": must be 'cell-tracking', 'isbi-em', 'drive', 'folder'",
    "[labels]\nthreshold = 1.5": "labels.threshold = 1.5: must be less than or equal to 1.",
    "[labels]\nmin_area = 4611686018427387904": "labels.min_area = 4.61e+18: must be a number below",
    "[train]\nsteps = 1_000_000_001": "train.steps = 1000000001: must be less than or equal to 1000000000.",
    "seed = 9223372036854775808": "seed = 9.22e+18: must be a number below",
    "seed = 4294967296": "seed = 4294967296: must be less than or equal to 4294967295.",
    "[target]\ndistances_px = [nan]": "target.distances_px.0 = nan: must be a finite number.",
    'name = "a\\u0000b"': "name = 'a\\x00b': must be a text of at most 1000 characters, on one line.",
    "[net]\nwidth = 1" + 400 * "0": "net.width = 1e+300: must be a number below",
    # no TOML
    "steps: 3": "not a TOML file: Expected '=' after a key",
    "[data]\n[data]": "not a TOML file: Cannot declare ('data',) twice",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_one_line_that_names_file_and_key(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_experiment(path)
    assert str(error.value).startswith(f"{path}: {MISTAKES[text]}")
    assert "\n" not in str(error.value)


def test_every_wrong_value_has_its_line() -> None:
    with pytest.raises(UserError) as error:
        parse_experiment({"seed": -1, "train": {"steps": 0, "batch": "4"}}, "x.toml")
    assert sorted(str(error.value).splitlines()) == [
        "x.toml: seed = -1: must be greater than or equal to 0.",
        'x.toml: train.batch = "4": must be a whole number (without quotes or point).',
        "x.toml: train.steps = 0: must be greater than 0.",
    ]


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such experiment file"):
        read_experiment(tmp_path / "none.toml")
    with pytest.raises(UserError, match="a folder, not an experiment file"):
        read_experiment(tmp_path)
    (tmp_path / "junk.toml").write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match=r"junk\.toml: not a text file"):
        read_experiment(tmp_path / "junk.toml")


def test_the_mark_that_windows_editors_write_first_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b'\xef\xbb\xbfname = "k\xc3\xa4fer"\r\n')
    assert read_experiment(tmp_path / "x.toml").name == "käfer"


def test_an_empty_file_is_the_default_experiment(tmp_path: Path) -> None:
    (tmp_path / "experiment.toml").write_text("")
    assert read_experiment(tmp_path / "experiment.toml") == Experiment()


def test_a_whole_number_will_do_for_a_number() -> None:
    found = parse_experiment({"train": {"learning_rate": 1}}, "x.toml").train.learning_rate
    assert found == 1.0
    assert isinstance(found, float)


SETTINGS = st.builds(
    Experiment,
    name=st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20),
    seed=st.integers(0, 2**32 - 1),
    data=st.builds(
        DataSettings,
        root=st.sampled_from(["", "C:\\data\\dish 1.0", '/a "quoted" folder/ü']),
        train=st.lists(st.sampled_from(["*", "01", "cell [1][2:]"]), max_size=3).map(tuple),
        not_annotated=st.lists(st.integers(-5, 300), max_size=3).map(tuple),
        classes=st.none() | st.integers(2, 255),
    ),
    augment=st.builds(AugmentSettings, elastic=st.floats(0, 1e4), flip=st.booleans()),
    net=st.dictionaries(
        st.sampled_from(["name", "width", "dropout", "bias"]),
        st.integers(-9, 9) | st.floats(0, 1) | st.booleans() | st.text("abc"),
    ).map(lambda net: {"name": "unet", **net}),
    train=st.builds(
        TrainSettings,
        learning_rate=st.floats(1e-300, 1e3),
        crop=st.lists(st.integers(1, 999), min_size=1, max_size=3).map(tuple),
    ),
    folds=st.dictionaries(st.sampled_from(["01", "a b"]), st.just(Fold(("01",), ("02[1:]",), ("03",)))),
    labels=st.builds(
        LabelSettings, threshold=st.floats(0, 1), test_time_augmentation=st.sampled_from([1, 4, 8])
    ),
)


@given(SETTINGS)
def test_an_experiment_survives_its_file(experiment: Experiment) -> None:
    text = tomli_w.dumps(experiment_table(experiment))
    full = replace(experiment, net=full_net(experiment.net))
    assert parse_experiment(tomllib.loads(text), "x.toml") == full


def test_a_run_keeps_its_experiment(tmp_path: Path) -> None:
    changed = replace(
        Experiment(),
        name="a b.c",
        data=DataSettings(root="x y", train=("01[3:]",), not_annotated=(-1,), classes=3),
        train=TrainSettings(learning_rate=1e-5, crop=(64, 32)),
    )
    for number, experiment in enumerate((Experiment(), changed)):
        Run.create(tmp_path / str(number), experiment)
        assert Run.open(tmp_path / str(number)).experiment == experiment


def test_data_is_found_as_given_or_below_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    (there / "cells").mkdir(parents=True)
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.delenv("UNETSEG_DATA", raising=False)
    with pytest.raises(UserError, match=r"data\.root = 'cells': no such folder \(UNETSEG_DATA is not set\)"):
        find_data("cells")
    monkeypatch.setenv("UNETSEG_DATA", str(there))
    assert find_data("cells") == there / "cells"
    with pytest.raises(UserError, match=f"no such folder nor below UNETSEG_DATA = {there}"):
        find_data("nuclei")
    (here / "cells").mkdir()
    assert find_data("cells") == Path("cells")
    assert find_data(str(there / "cells")) == there / "cells"


def test_a_net_without_a_name_is_the_unet() -> None:
    assert parse_experiment({"net": {"width": 8}}, "e.toml").net == NARROW_UNET | {"width": 8}


def test_a_net_named_alone_is_the_net_of_no_table() -> None:
    for net in ({}, {"name": "unet"}, {"preset": "default"}):
        assert parse_experiment({"net": net}, "e.toml") == Experiment()
    assert choose_net(Experiment(net={"name": "unet++"}), "unet").net == NARROW_UNET


def test_the_papers_net_is_a_preset() -> None:
    """Its options are those of the class, whose defaults are the paper's."""
    found = parse_experiment({"net": {"preset": "paper"}}, "e.toml").net
    options = net_options("unet")
    assert found == {"name": "unet"} | {k: options[k] for k in options if k not in ("dims", "residual")}
    for net, message in (
        ({"preset": "papr"}, "did you mean 'paper'"),
        ({"name": "fcn-8s", "preset": "paper"}, "no presets"),
    ):
        with pytest.raises(UserError, match=message):
            parse_experiment({"net": net}, "e.toml")


def test_a_run_recorded_before_there_were_presets_has_its_net(tmp_path: Path) -> None:
    """The options it left out were those of the class."""
    Run.create(tmp_path / "run", Experiment())
    file = tmp_path / "run" / "experiment.toml"
    for net in ("", 'width = 8\nnorm = "batch"'):
        head = file.read_text().split("[net]")[0]
        file.write_text(f'{head}[net]\nname = "unet"\n{net}\n')
        given = {} if not net else {"width": 8, "norm": "batch"}
        assert Run.open(tmp_path / "run").experiment.net == PAPER_UNET | given


def test_an_experiment_without_a_name_has_its_files(tmp_path: Path) -> None:
    (tmp_path / "my cells.toml").write_text("seed = 1")
    assert read_experiment(tmp_path / "my cells.toml").name == "my cells"


def test_a_run_records_paths_that_hold_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    for root, recorded in (("data", str(tmp_path / "data")), ("elsewhere", "elsewhere"), ("", "")):
        run = Run.create(tmp_path / f"run-{root}", Experiment(data=DataSettings(root=root)))
        assert run.experiment.data.root == recorded


def test_a_table_of_a_net_changes_its_own_keys_alone() -> None:
    table = {
        "train": {"steps": 7, "batch": 2},
        "nets": {
            "unet++": {"width": 4, "train": {"steps": 3}},
            "deep": {"name": "unet++", "depth": 5},
        },
    }
    experiment = parse_experiment(table, "x.toml")
    nested = choose_net(experiment, "unet++")
    assert nested.net == {"name": "unet++", "width": 4}
    assert (nested.train.steps, nested.train.batch) == (3, 2)
    assert choose_net(experiment, "deep").net == {"name": "unet++", "depth": 5}
    assert choose_net(experiment, "unet").train.steps == 7
    assert parse_experiment(experiment_table(experiment), "copy") == experiment


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            {"train": {"stesp": 3}},
            r"\[nets.unet\+\+\]: unknown key 'train.stesp'; did you mean 'steps'",
        ),
        ({"train": {"steps": 0}}, r"\[nets.unet\+\+\]: train.steps = 0"),
        ({"tran": {"steps": 3}}, r"nets.unet\+\+.tran: no such table; did you mean 'train'"),
        ({"width": [3]}, r"nets.unet\+\+.width = \[3\]: must be a number"),
    ],
)
def test_a_wrong_key_of_a_nets_table_is_named(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_experiment({"nets": {"unet++": entry}}, "x.toml")
