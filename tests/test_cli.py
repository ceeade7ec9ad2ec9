"""The command line: what is printed, what is written, and exit code 2 with one line for every mistake."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import tifffile
from conftest import Unetseg, write

from unetseg.cli import cli


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with names as people give them."""
    root = tmp_path / "my data"
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :40]
    for i, name in enumerate(["cell 1.0 dish.tif", "cell 1.5 dish.TIF", "b.tif"]):
        labels = sum(k * ((y - 14) ** 2 + (x - c) ** 2 < 40) for k, c in ((1, 9 + i), (2, 29)))
        write(root / "labels" / name, np.asarray(labels, np.uint16))
        write(root / "images" / name, (90 * np.sign(labels) + rng.integers(0, 50, (32, 40))).astype(np.uint8))
    (root / "images" / "Thumbs.db").write_bytes(b"x")
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model file of a small network."""
    from unetseg.normalise import Normalisation
    from unetseg.pipeline.model import save_model
    from unetseg.pipeline.recipe import Recipe, new_net
    from unetseg.settings import LabelSettings

    net: Any = {"name": "unet", "width": 2, "depth": 2, "padding": "same", "norm": "batch", "dropout": 0.0}
    recipe = Recipe(net, 2, "instances", Normalisation("per-image", 1), 1, LabelSettings(), None)
    path = tmp_path_factory.mktemp("model") / "best.pt"
    save_model(path, recipe, new_net(recipe, 0), {"step": 0, "scores": {}})
    return path


def unetpp(path: Path) -> Path:
    """An untrained model file of a small UNet++."""
    from unetseg.normalise import Normalisation
    from unetseg.pipeline.model import save_model
    from unetseg.pipeline.recipe import Recipe, new_net
    from unetseg.settings import LabelSettings

    net: Any = {"name": "unet++", "width": 2, "depth": 2, "norm": "batch", "deep_supervision": True}
    recipe = Recipe(net, 2, "instances", Normalisation("per-image", 1), 1, LabelSettings(), None)
    save_model(path, recipe, new_net(recipe, 0), {"step": 0, "scores": {}})
    return path


# Help ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [None, *cli.commands])
def test_help(unetseg: Unetseg, command: str | None) -> None:
    result = unetseg(*([command] if command else []), "--help")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("Usage: unetseg")
    assert "\\b" not in result.out


def test_no_command_is_help_with_every_command_in_one_line(unetseg: Unetseg) -> None:
    result = unetseg()
    assert result.code == 0
    assert "  unetseg train --data FOLDER        your images/" in result.out
    assert set(cli.commands) <= {line.split()[0] for line in result.out.splitlines() if line.strip()}
    assert "..." not in result.out.split("Commands:")[1]


def test_help_loads_nothing_heavy() -> None:
    """Neither `unetseg --help` nor that of any command, asked one after the other in one process."""
    heavy = (
        "torch numpy scipy skimage matplotlib pydantic tifffile PIL tqdm monai zarr dask distributed nibabel"
    )
    code = (
        "import sys\n"
        "from unetseg.cli import cli\n"
        "for arguments in [], *([name] for name in cli.commands):\n"
        "    cli([*arguments, '--help'], prog_name='unetseg', standalone_mode=False)\n"
        f"    loaded = [m for m in {heavy!r}.split() if m in sys.modules]\n"
        "    assert not loaded, (arguments, loaded)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("Usage: unetseg") == 1 + len(cli.commands)


def test_the_installed_command_ends_with_2_and_one_line() -> None:
    command = Path(sys.executable).with_name("unetseg")
    if not command.exists():
        pytest.skip(f"no {command}")
    done = subprocess.run([command, "score", "no", "where"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: no: no such file or folder.\n"


# Mistakes -----------------------------------------------------------------------------------------

MISTAKES = {
    "trian x.toml": "No such command 'trian'. (Did you mean one of: 'track', 'train'?) See unetseg --help.",
    "train --dta x": "'--data'",
    "train": "give one of: an EXPERIMENT.toml, --data FOLDER, or --resume RUN.",
    "train x.toml --data FOLDER": "give one of",
    "train --data FOLDER --resume RUN": "give one of",
    "train --resume RUN --steps 3": "it takes no other option",
    "train --resume FOLDER": "not a run folder",
    "train none.toml": "none.toml: no such experiment file.",
    "train FOLDER": "is a folder, not an experiment file. Give data with --data.",
    "train junk.toml": "junk.toml: not a text file.",
    "train IMAGE": "not a text file.",
    "train --data none": "none: no such folder.",
    "train --data IMAGE": "a file, not a data folder.",
    "train --data IMAGES": "Did you mean the folder above it",
    "train --data FOLDER --steps 0": "Invalid value for '--steps'",
    "train --data FOLDER --steps x": "Invalid value for '--steps'",
    "train --data FOLDER --run IMAGE": "exists and is not a run",
    "train --data FOLDER --run IMAGE/run": "cannot be created (Not a directory)",
    "train --data FOLDER --run made --device gpu7": "gpu7",
    "show none": "none: no such folder.",
    "show FOLDER --out FOLDER": "a folder of this name is in the way",
    "show FOLDER --out IMAGE/show.png": "is a file, not a folder",
    "predict MODEL": "Missing argument 'IMAGES...'",
    "predict none IMAGE": "none: no run folder, model file or model of this name",
    "predict FOLDER IMAGE": "not a run folder",
    "predict IMAGE IMAGE": "not a file of weights",
    "predict junk.toml IMAGE": "not a file of weights",
    "predict empty.pt IMAGE": "not a file of weights",
    "predict MODEL none.tif": "none.tif: no such file or folder.",
    "predict MODEL junk.toml": "junk.toml: cannot read .toml files. Allowed: .tif, .tiff, .png.",
    "predict MODEL junk.tif": "junk.tif: not a readable TIFF file",
    "predict MODEL FOLDER": "this folder has no TIFF, PNG, JPEG, NIfTI or Zarr image",
    "predict MODEL IMAGE IMAGE": "both results would be",
    "predict MODEL IMAGE --out junk.toml": "labels cannot be written as .toml",
    "predict MODEL IMAGE --memory lots": "give an amount such as 800M or 2G",
    "predict MODEL IMAGE --test-time-augmentation 2": "'2' is not one of '1', '4', '8'",
    "predict MODEL IMAGE --threshold 2": "Invalid value for '--threshold'",
    "predict MODEL colours.tif": "colours.tif: 3 channels, but 1 are expected",
    "predict MODEL none --challenge": "none: no such folder",
    "predict MODEL IMAGES --challenge": "no frames named t000.tif",
    "score none IMAGE": "none: no such file or folder.",
    "score IMAGE": "Missing argument 'TRUTH'",
    "score IMAGE IMAGES": "give two files or two folders",
    "score IMAGE IMAGE --out table.txt": "table.txt: scores are written as .csv or .json.",
    "score FOLDER/labels/b.tif FOLDER/labels/b.tif --scores sge": "did you mean 'seg'?",
    "score IMAGES FOLDER/none": "none: no such file or folder.",
    "score small.tif FOLDER/labels/b.tif": "small.tif is 1 pages of 2×2 pixels",
    "data none": "none: no such folder.",
    "data IMAGE": "a file, not a data folder",
    "demo --steps 0": "Invalid value for '--steps'",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_ends_with_2_and_one_line(
    unetseg: Unetseg, folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    here = folder.parent
    monkeypatch.chdir(here)
    (here / "junk.toml").write_bytes(bytes(range(256)))
    (here / "junk.tif").write_text("no image")
    (here / "empty.pt").write_bytes(b"")
    write(here / "small.tif", np.ones((2, 2), np.uint8))
    tifffile.imwrite(here / "colours.tif", np.zeros((8, 8, 3), np.uint8), photometric="rgb")
    places = {"FOLDER": folder, "IMAGES": folder / "images", "IMAGE": folder / "images" / "b.tif"}
    places |= {"MODEL": model, "RUN": here / "run"}
    words = [
        str(places[w.split("/")[0]] / Path(*w.split("/")[1:])) if w.split("/")[0] in places else w
        for w in line.split()
    ]
    result = unetseg(*words)
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert MISTAKES[line] in result.err
    assert result.err.count("\n") == 1
    assert "Traceback" not in result.err
    assert not list(here.rglob(".unetseg-*"))


class Harmful:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("archive", [True, False])
def test_a_model_file_with_code_is_refused_and_the_code_not_run(
    unetseg: Unetseg, folder: Path, tmp_path: Path, archive: bool
) -> None:
    import torch

    path, trace = tmp_path / "best.pt", tmp_path / "harm"
    harmful = {"format": "unetseg-model-1", "recipe": Harmful(trace)}
    if archive:
        torch.save(harmful, path)
    else:
        path.write_bytes(pickle.dumps(harmful, protocol=2))
    result = unetseg("predict", path, folder / "images")
    assert result.code == 2
    assert result.err.startswith(f"error: {path}: not a file of weights")
    assert not trace.exists()


def test_an_interrupt_ends_with_130(unetseg: Unetseg, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("unetseg.catalogue.read_catalogue", interrupted)
    assert unetseg("data").code == 130


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "Permission denied", "/data/a.tif"), "error: /data/a.tif: Permission denied."),
        (OSError("disk on fire"), "error: disk on fire"),
        (MemoryError("unable to allocate 9 GiB"), "error: not enough memory (unable to allocate 9 GiB)."),
    ],
)
def test_the_systems_errors_are_one_line_too(
    unetseg: Unetseg, monkeypatch: pytest.MonkeyPatch, error: Exception, line: str
) -> None:
    def failing() -> None:
        raise error

    monkeypatch.setattr("unetseg.catalogue.read_catalogue", failing)
    result = unetseg("data")
    assert result.code == 2
    assert result.err.startswith(line)


# data, show, predict ------------------------------------------------------------------------------


def test_data_lists_every_set_with_its_source_and_terms(unetseg: Unetseg) -> None:
    from unetseg.catalogue import read_catalogue

    result = unetseg("data")
    assert result.code == 0
    for dataset in read_catalogue():
        assert f"{dataset.name}: " in result.out
        assert (dataset.download or dataset.site) in result.out
    assert result.out.count("terms:") == len(read_catalogue())


def test_data_checks_what_is_there(unetseg: Unetseg, tmp_path: Path) -> None:
    from unetseg.catalogue import read_catalogue

    dataset = next(d for d in read_catalogue() if d.files)
    file = tmp_path / dataset.folder / next(iter(dataset.files))
    (tmp_path / dataset.folder).mkdir(parents=True)
    assert f"missing: {next(iter(dataset.files))}" in unetseg("data", tmp_path).out
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"cut off")
    result = unetseg("data", tmp_path)
    assert f"differs from the provider's: {next(iter(dataset.files))}" in result.out
    assert "no folder" in result.out
    assert result.code == 0


@pytest.mark.data
def test_data_finds_the_isbi_volumes_whole(data_root: Path) -> None:
    from unetseg.catalogue import check_dataset, read_catalogue

    for dataset in read_catalogue():
        if (data_root / dataset.folder).is_dir() and 0 < len(dataset.files) < 10:
            assert check_dataset(dataset, data_root) == []


def test_show_writes_a_picture_of_a_folder(unetseg: Unetseg, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheets" / "show 1.png"
    result = unetseg("show", folder, "--out", out)
    assert (result.code, result.err) == (0, "")
    assert "3 labelled images in 3 groups" in result.out
    assert f"wrote {out}" in result.out
    assert out.read_bytes()[:4] == b"\x89PNG"


def test_predict_writes_labels_of_the_images_size(
    unetseg: Unetseg, folder: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ("--out", out, "--probabilities", "--pictures", "--device", "cpu", "--tile", 16)
    result = unetseg("predict", model, folder / "images", *options)
    assert result.code == 0
    stems = ["b", "cell 1.0 dish", "cell 1.5 dish"]
    assert sorted(p.name for p in out.iterdir()) == sorted(
        f"{stem}_{ending}" for stem in stems for ending in ("labels.tif", "labels.png", "probabilities.tif")
    )
    for stem in stems:
        labels = tifffile.imread(out / f"{stem}_labels.tif")
        foreground = tifffile.imread(out / f"{stem}_probabilities.tif")
        assert labels.shape == foreground.shape == (32, 40)
        assert foreground.dtype == np.float32
        assert np.array_equal(labels > 0, foreground > 0.5)
        assert f"{stem}_labels.tif: " in result.out
    assert unetseg("score", out, folder / "labels").code == 0


def test_a_bad_image_keeps_no_other_from_being_predicted(
    unetseg: Unetseg, folder: Path, model: Path, tmp_path: Path
) -> None:
    """The good images before and after it are done; every bad one has its line at the end, and code 2."""
    good = [folder / "images" / f"{name}.tif" for name in ("b", "cell 1.0 dish")]
    broken, colours = tmp_path / "broken.tif", tmp_path / "colours.tif"
    broken.write_text("no image")
    tifffile.imwrite(colours, np.zeros((8, 8, 3), np.uint8), photometric="rgb")
    out = tmp_path / "out"
    result = unetseg("predict", model, broken, good[0], colours, good[1], "--out", out, "--device", "cpu")
    assert result.code == 2
    assert sorted(p.name for p in out.iterdir()) == ["b_labels.tif", "cell 1.0 dish_labels.tif"]
    head, first, second = result.err.splitlines()
    assert head == "error: 2 of 4 images could not be predicted:"
    assert first.startswith(f"{broken}: not a readable TIFF file")
    assert second.startswith(f"{colours}: 3 channels, but 1 are expected")


def test_predict_ends_where_results_cannot_be_written(
    unetseg: Unetseg, folder: Path, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "b_labels.tif").mkdir()
    result = unetseg("predict", model, folder / "images", "--out", tmp_path, "--device", "cpu")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".tif"] == ["b_labels.tif"]


def test_predict_writes_a_challenge_sequence(unetseg: Unetseg, model: Path, tmp_path: Path) -> None:
    for t in (0, 7):
        write(
            tmp_path / "02" / f"t{t:04}.tif",
            np.random.default_rng(t).integers(0, 99, (20, 24)).astype(np.uint8),
        )
    result = unetseg("predict", model, tmp_path / "02", "--challenge", "--out", tmp_path, "--device", "cpu")
    assert result.code == 0
    assert f"{tmp_path / '02_RES'}: 2 frames" in result.out
    for name in ("mask0000.tif", "mask0007.tif"):
        assert tifffile.imread(tmp_path / "02_RES" / name).dtype == np.uint16


def test_predict_refuses_to_write_among_the_images(unetseg: Unetseg, folder: Path, model: Path) -> None:
    before = sorted((folder / "images").iterdir())
    result = unetseg("predict", model, folder / "images", "--out", folder / "images", "--device", "cpu")
    assert result.code == 2
    assert "holds the images" in result.err
    assert sorted((folder / "images").iterdir()) == before


@pytest.mark.parametrize("name", ["../x", "a/b", ".."])
def test_a_run_is_never_named_out_of_its_folder(unetseg: Unetseg, tmp_path: Path, name: str) -> None:
    file = tmp_path / "e.toml"
    file.write_text(f'name = "{name}"\n[data]\ntask = "synthetic"\n')
    result = unetseg("train", file)
    assert result.code == 2
    assert "it cannot be a path" in result.err


def test_predict_with_a_pruned_network(unetseg: Unetseg, folder: Path, model: Path, tmp_path: Path) -> None:
    """--level gives the head's own probabilities; a network that cannot be pruned is the user's error."""
    from unetseg import api

    nested, image = unetpp(tmp_path / "nested.pt"), folder / "images" / "b.tif"
    done = unetseg("predict", nested, image, "--level", 1, "--probabilities", "--out", tmp_path / "out")
    assert (done.code, done.err) == (0, "")
    whole = api.load_model(nested)
    small = api.pruned(whole, 1)
    assert small.recipe.net["depth"] == 1
    expected = api.predict(small, tifffile.imread(image)).probabilities[1]
    np.testing.assert_allclose(tifffile.imread(tmp_path / "out" / "b_probabilities.tif"), expected, atol=1e-6)
    assert np.abs(api.predict(whole, tifffile.imread(image)).probabilities[1] - expected).max() > 1e-3
    for path, level, said in ((model, 1, "'unet' cannot be pruned"), (nested, 3, "a head at level 1 and 2")):
        wrong = unetseg("predict", path, image, "--level", level, "--out", tmp_path / "wrong")
        assert wrong.code == 2
        assert said in wrong.err
    assert not (tmp_path / "wrong").exists()


def test_help_of_predict_names_every_option_and_explains_the_common_ones(unetseg: Unetseg) -> None:
    from unetseg.cli import predict

    brief, full = unetseg("predict", "--help").out, unetseg("predict", "--help-all").out
    options = [o for o in predict.params if isinstance(o, click.Option)]
    for option in options:
        assert option.opts[0] in brief
        assert f"\n  {option.opts[0]}" in full
    assert set(predict.common) <= {o.opts[0] for o in options}
    assert "Tiles computed at once" in full
    assert "Tiles computed at once" not in brief
    assert len(brief.splitlines()) <= 54


def test_choices_named_without_loading_them_are_those_of_the_library() -> None:
    from unetseg.cli.label_options import LABEL_TYPES, LABELS, OUTLINES
    from unetseg.exports import FORMATS
    from unetseg.pipeline import model_variants, predict_options

    assert tuple(FORMATS) == OUTLINES
    assert LABEL_TYPES == model_variants.LABEL_TYPES
    assert {name.lstrip("-").replace("-", "_") for name in LABELS} < set(predict_options.LABELS)
