"""Volumes from reading to prediction: TIFF stacks and NIfTI, blocks of slices, a whole tiny run."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from conftest import write

from unetseg import api
from unetseg.errors import UserError
from unetseg.images.nifti import read_volume, write_volume
from unetseg.images.whole import read_stack, write_stack
from unetseg.losses import LOSSES
from unetseg.pipeline.dataset import list_data
from unetseg.pipeline.evaluate import evaluate_run as score_run
from unetseg.pipeline.events import Note
from unetseg.pipeline.model import PredictSettings, load_model
from unetseg.pipeline.predict_options import PredictOptions
from unetseg.pipeline.prediction import choose_targets, predict_target
from unetseg.pipeline.relabel import relabel_target, relabel_targets
from unetseg.pipeline.training import train_run
from unetseg.pipeline.uncertain_objects import uncertain_objects
from unetseg.report import write_report
from unetseg.run import Run
from unetseg.sample import Sample, make_example, shrink_sample
from unetseg.settings import DataSettings, Experiment, LabelSettings, TargetSettings, TrainSettings
from unetseg.tasks import list_task
from unetseg.tasks.listing import split, volume_blocks
from unetseg.uncertainty import entropy

CPU = torch.device("cpu")


def balls(seed: int, shape: tuple[int, int, int] = (10, 24, 26)) -> tuple[np.ndarray, np.ndarray]:
    """A noisy volume of three bright balls, two of them touching, and their labels (z, y, x)."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(shape)
    labels = np.zeros(shape, np.uint16)
    for k, (cy, cx) in enumerate([(7, 7 + seed), (7, 15 + seed), (17, 12)], start=1):
        labels[(2 * (z - shape[0] // 2)) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < 20] = k
    return ((labels > 0) * 90 + rng.integers(0, 60, shape)).astype(np.uint8), labels


def make_folder(root: Path, count: int = 5) -> Path:
    """TIFF stacks with slices twice as thick as pixels."""
    for i in range(count):
        for folder, volume in zip(("images", "labels"), balls(i), strict=True):
            write_stack(root / folder / f"v{i}.tif", volume, spacing_um=(1.0, 0.5, 0.5), axes="ZYX")
    return root


def experiment(root: Path, **data: Any) -> Experiment:
    defaults: dict[str, Any] = {"test": ("v4",), "labels": "instances", "volumes": True}
    return Experiment(
        name="tiny",
        device="cpu",
        data=DataSettings(task="folder", root=str(root), **(defaults | data)),
        net={"name": "unet", "width": 3, "depth": 1, "padding": "same", "norm": "batch", "dims": 3},
        train=TrainSettings(steps=6, batch=2, crop=(8, 16, 16), validate_every=3, select_by="seg"),
        labels=LabelSettings(choose=True, test_time_augmentation=8),
    )


def finish(run: Run, resume: bool = False) -> None:
    list(train_run(run, resume=resume, stopped=lambda: False))


def test_slices_of_a_tiff_are_one_volume_with_its_spacing(tmp_path: Path) -> None:
    image, _ = balls(0)
    write_stack(tmp_path / "a.tif", image, spacing_um=(1.5, 0.5, 0.25), axes="ZYX")
    read = read_volume(tmp_path / "a.tif")
    assert read.spacing_um == pytest.approx((1.5, 0.5, 0.25))
    np.testing.assert_array_equal(read.pixels, image[None, None])
    two = np.stack([image, 255 - image], axis=1)  # (z, c, y, x)
    tifffile.imwrite(tmp_path / "b.tif", two, imagej=True, metadata={"axes": "ZCYX"})
    np.testing.assert_array_equal(read_volume(tmp_path / "b.tif").pixels[0], two.swapaxes(0, 1))


def test_the_slices_distance_of_ome_files(tmp_path: Path) -> None:
    said = {"axes": "ZYX", "PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5}
    tifffile.imwrite(
        tmp_path / "a.ome.tif", balls(0)[0], metadata=said | {"PhysicalSizeZ": 2, "PhysicalSizeZUnit": "µm"}
    )
    assert read_volume(tmp_path / "a.ome.tif").spacing_um == pytest.approx((2, 0.5, 0.25))
    tifffile.imwrite(tmp_path / "b.ome.tif", balls(0)[0], metadata=said)
    assert read_volume(tmp_path / "b.ome.tif").spacing_um is None
    assert read_stack(tmp_path / "b.ome.tif").spacing_um == pytest.approx((0.5, 0.25))


def test_a_film_of_volumes_is_no_volume(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((2, 3, 4, 5), np.uint8), imagej=True, metadata={"axes": "TZYX"}
    )
    with pytest.raises(UserError, match="6 pages along 2 axes"):
        read_volume(tmp_path / "a.tif")


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR"])
def test_nifti_of_any_orientation_is_read_alike_and_written_back(tmp_path: Path, codes: str) -> None:
    """Voxels of the same place in the body have the same place in the array, and the file's own in it."""
    nibabel: Any = pytest.importorskip("nibabel")
    image = balls(1)[0]
    affine = np.diag([0.5, 0.5, 2.0, 1.0])
    plain = nibabel.Nifti1Image(image.T, affine)
    plain.header.set_xyzt_units("mm")
    wanted = nibabel.orientations.axcodes2ornt(codes)
    turned = plain.as_reoriented(wanted)
    nibabel.save(turned, tmp_path / "a.nii.gz")
    read = read_volume(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read.pixels[0, 0], image)
    assert read.spacing_um == pytest.approx((2000, 500, 500))
    write_volume(tmp_path / "b.nii.gz", image // 2, read)
    back = nibabel.load(tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(np.asarray(back.dataobj), np.asarray(turned.dataobj) // 2)
    np.testing.assert_allclose(back.affine, turned.affine)
    assert back.header.get_zooms() == turned.header.get_zooms()
    assert back.header.get_xyzt_units() == turned.header.get_xyzt_units()


def test_a_file_that_is_no_nifti_and_a_missing_nibabel(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "a.nii").write_bytes(b"junk")
    with pytest.raises(UserError, match="not a readable NIfTI file"):
        read_volume(tmp_path / "a.nii")
    monkeypatch.setitem(__import__("sys").modules, "nibabel", None)
    with pytest.raises(UserError, match="pip install nibabel"):
        read_volume(tmp_path / "a.nii")


def test_the_decathlons_folders_are_volumes_of_classes(tmp_path: Path) -> None:
    nibabel: Any = pytest.importorskip("nibabel")
    for i in range(6):
        image, labels = balls(i)
        for folder, volume in (("imagesTr", image), ("labelsTr", np.minimum(labels, 2).astype(np.uint8))):
            (tmp_path / folder).mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(volume.T, np.eye(4)), tmp_path / folder / f"case_{i}.nii.gz")
    found = list_data(DataSettings(root=str(tmp_path)))
    assert (found.groups, found.kind, found.classes) == ([f"case_{i}" for i in range(6)], "classes", 3)
    parts = split(found, DataSettings(test=("case_0",)))
    assert [e.name for e in parts.test] == ["case_0"]
    assert parts.test[0].read().image.shape == (1, 10, 24, 26)
    assert [len(parts.train), len(parts.validate)] == [4, 1]


def test_blocks_of_slices(tmp_path: Path) -> None:
    """A selection of slices is one volume for every run of them; what is left is held apart."""
    settings = DataSettings(root=str(make_folder(tmp_path, 1)), volumes=True, labels="instances")
    found = list_data(settings)
    parts = split(found, replace(settings, test=("v0[4:6]",), validate=("v0[8:10]",)))
    assert [e.name for e in parts.train] == ["v0[0-3]", "v0[6-7]"]
    assert [e.name for e in parts.test] == ["v0[4-5]"]
    assert parts.describe()["train"] == "2 images: v0[0-3], v0[6-7]"
    image, labels = balls(0)
    sample = parts.train[1].read()
    np.testing.assert_array_equal(sample.image[0], image[6:8])
    np.testing.assert_array_equal(sample.labels, labels[6:8])
    with pytest.raises(UserError, match="scores would be too high"):
        split(found, replace(settings, train=("v0[0:6]",), test=("v0[4:8]",)))


def test_em_slices_as_volumes_are_connected_in_three_dimensions(tmp_path: Path) -> None:
    cells = np.zeros((3, 4, 5), np.uint8)
    cells[:, 0, 0] = cells[:, 3, 3:] = cells[1, 0, :] = 255
    write(tmp_path / "train-volume.tif", cells // 2)
    write(tmp_path / "train-labels.tif", cells)
    settings = DataSettings(task="isbi-em", root=str(tmp_path), volumes=True, train=("train-volume[0:2]",))
    sample = split(list_data(settings), replace(settings, validate=("train-volume[2:3]",))).train[0].read()
    assert (sample.name, sample.image.shape) == ("train-volume[0-1]", (1, 2, 4, 5))
    assert sample.spacing_um == (0.05, 0.004, 0.004)
    assert np.asarray(sample.labels).max() == 2


def test_volumes_are_not_for_every_task() -> None:
    with pytest.raises(UserError, match="data.volumes is for"):
        list_data(DataSettings(task="synthetic", volumes=True))


def test_shrinking_leaves_the_slices_alone() -> None:
    image, labels = balls(0)
    small = shrink_sample(Sample("a", image[None], labels.astype(np.int32), (2.0, 0.5, 0.25)), 2)
    assert small.image.shape == (1, 10, 12, 13)
    assert small.spacing_um == (2.0, 1.0, 0.5)
    assert small.labels is not None
    for z in range(10):
        one = shrink_sample(Sample("a", image[None, z], labels[z].astype(np.int32)), 2)
        np.testing.assert_array_equal(small.image[:, z], one.image)
        np.testing.assert_array_equal(small.labels[z], one.labels)


def test_thick_slices_lie_farther_apart_in_the_weight_map() -> None:
    """Two objects a slice or a pixel apart: the gap's border weight is that of their distance."""
    labels = np.zeros((3, 3, 3), np.int32)
    labels[0], labels[2] = 1, 2
    ones = np.ones(2, np.float32)
    of = {}
    for z in (1.0, 4.0):
        sample = Sample("a", np.zeros((1, 3, 3, 3), np.uint8), labels, (z, 0.5, 0.5))
        of[z] = make_example(sample, np.zeros((1, 3, 3, 3), np.float32), TargetSettings(), ones).weight[1]
    for z, weight in of.items():
        expected = 1 + 10 * np.exp(-((2 * z / 0.5) ** 2) / (2 * 5.0**2))
        np.testing.assert_allclose(weight, expected, rtol=1e-6)


def test_slices_that_nobody_annotated_have_no_influence(tmp_path: Path) -> None:
    """Sparse annotation (Çiçek 2016): three slices of ten are annotated; no logit of the others has a
    gradient, whatever lies there.
    """
    image, labels = balls(0)
    sparse = labels.copy()
    sparse[[0, 1, 2, 4, 6, 8, 9]] = 99
    write_stack(tmp_path / "images" / "a.tif", image, spacing_um=None, axes="ZYX")
    write_stack(tmp_path / "labels" / "a.tif", sparse, spacing_um=None, axes="ZYX")
    settings = DataSettings(root=str(tmp_path), volumes=True, not_annotated=(99,), labels="instances")
    sample = volume_blocks(found := list_data(settings), found.entries)[0].read()
    known = np.isin(np.arange(10), [3, 5, 7])
    weights = np.ones(2, np.float32)
    example = make_example(sample, image[None].astype(np.float32), TargetSettings(), weights)
    logits = torch.randn(1, 2, *labels.shape, requires_grad=True)
    classes, weight = torch.from_numpy(example.target)[None], torch.from_numpy(example.weight)[None]
    LOSSES["cross-entropy"](logits, classes, weight).backward()
    assert logits.grad is not None
    moved = logits.grad.abs().sum((0, 1, 3, 4)).numpy() > 0
    np.testing.assert_array_equal(moved, known)


def test_a_run_on_volumes_resumes_scores_predicts_and_reports(tmp_path: Path) -> None:
    """Stopped and resumed equals uninterrupted; the test part is written as volumes; the page opens."""
    root = make_folder(tmp_path / "data")
    whole = Run.create(tmp_path / "whole", experiment(root))
    finish(whole)
    cut = Run.create(tmp_path / "cut", experiment(root))
    count = itertools.count()
    list(train_run(cut, resume=False, stopped=lambda: next(count) >= 3))
    finish(cut, resume=True)
    model, again = (load_model(run.best, CPU) for run in (whole, cut))
    one, other = model.net.state_dict(), again.net.state_dict()
    assert all(torch.equal(one[k], other[k]) for k in one)
    result = score_run(whole, model, PredictSettings(), lambda n: None)
    assert result is not None
    assert result.table.frames == ("v4",)
    written = read_volume(whole.tested("v4"))
    assert written.pixels.shape == (1, 1, 10, 24, 26)
    assert written.spacing_um == pytest.approx((1.0, 0.5, 0.5))
    assert (whole.pictures / "v4.png").is_file()
    page = write_report([whole], None).read_text(encoding="utf-8")
    assert "v4" in page


def test_prediction_of_volume_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TIFF in, TIFF out with its spacing; NIfTI in, NIfTI out; tiles do not show; the API agrees."""
    root = make_folder(tmp_path / "data")
    run = Run.create(tmp_path / "run", experiment(root))
    finish(run)
    model = load_model(run.best, CPU)
    tiff = root / "images" / "v0.tif"
    nifti = tmp_path / "n0.nii.gz"
    files = [tiff]
    try:
        nibabel: Any = __import__("nibabel")
    except ImportError:
        pass
    else:
        nibabel.save(nibabel.Nifti1Image(balls(0)[0].T, np.diag([0.5, 0.5, 1, 1])), nifti)
        files.append(nifti)
    options = PredictOptions(probabilities=True, uncertainty=True, pictures=True, tile=8, engine="torch")
    done = choose_targets(model, files, tmp_path / "out", options)
    assert [d.out.name for d in done] == ["v0_labels.tif", "n0_labels.nii.gz"][: len(files)]
    for target in done:
        first = list(predict_target(model, target, options))
        assert list(predict_target(model, target, options)) == first[-1:]  # complete: nothing is computed
    with monkeypatch.context() as other:
        other.setattr("unetseg.pipeline.model.describe_engine", lambda name, device: "another 1.0")
        with pytest.raises(UserError, match=r"engine \(torch .* → another 1.0\)"):
            list(predict_target(model, done[0], options))
    labels, probabilities = api.predict(model, balls(0)[0])
    for path, written in zip(files, done, strict=True):
        source, result = read_volume(path), read_volume(written.out)
        np.testing.assert_array_equal(result.pixels[0, 0], labels)
        assert result.spacing_um == source.spacing_um
        maps = read_volume(written.out.with_name(written.out.name.replace("labels", "probabilities"))).pixels
        np.testing.assert_allclose(maps[0, 0], probabilities[1], atol=1e-4)
        unsure = read_volume(written.out.with_name(written.out.name.replace("labels", "uncertainty"))).pixels
        np.testing.assert_allclose(unsure[0, 0], entropy(probabilities), atol=1e-4)
        (table,) = uncertain_objects(written.out, volumes=True)
        means = [entropy(probabilities)[labels == i].mean() for i in range(1, labels.max() + 1)]
        np.testing.assert_allclose(table.columns["uncertainty"], means, atol=1e-4)
    assert (tmp_path / "out" / "v0_labels.png").is_file()
    for target in relabel_targets(tmp_path / "out", tmp_path / "again", kind="instances"):
        (found,) = relabel_target(model, target)
        result = read_volume(tmp_path / "out" / target.out.name)
        np.testing.assert_array_equal(read_volume(target.out).pixels, result.pixels)
        assert read_volume(target.out).spacing_um == result.spacing_um
        assert found.objects == (labels.max(),)
    assert sorted(p.name for p in (tmp_path / "again").iterdir()) == sorted(d.out.name for d in done)
    with pytest.raises(UserError, match="give \\(z, y, x\\)"):
        api.predict(model, balls(0)[0][0])


@pytest.mark.parametrize(
    ("method", "brighter", "slices_um", "expected"),
    [
        ("training-set", 1, 1.0, []),
        ("training-set", 100, 1.0, ["v0.tif: bright pixels are about"]),
        ("none", 100, 1.0, ["v0.tif: bright pixels are about"]),
        ("per-image", 100, 1.0, []),
        (
            "per-image",
            1,
            3.0,
            ["v0.tif: the network was trained on slices 1 µm apart, the image's are 3 apart"],
        ),
    ],
)
def test_a_volume_unlike_those_of_the_training_gives_a_note(
    tmp_path: Path, method: Any, brighter: int, slices_um: float, expected: list[str]
) -> None:
    root = make_folder(tmp_path / "data", 2)
    changes = {"train": {"steps": 1, "validate_every": 1}, "data": {"normalise": method, "test": ()}}
    start = experiment(root)
    tables = {table: replace(getattr(start, table), **values) for table, values in changes.items()}
    run = Run.create(tmp_path / "run", replace(start, labels=LabelSettings(), **tables))
    finish(run)
    pixels = balls(0)[0].astype(np.uint16) * brighter
    write_stack(tmp_path / "v0.tif", pixels, spacing_um=(slices_um, 0.5, 0.5), axes="ZYX")
    model, options = load_model(run.best, CPU), PredictOptions()
    (target,) = choose_targets(model, [tmp_path / "v0.tif"], tmp_path / "out", options)
    notes = [e.text for e in predict_target(model, target, options) if isinstance(e, Note)]
    assert len(notes) == len(expected)
    assert all(words in note for words, note in zip(expected, notes, strict=True))


def test_mixed_distances_of_slices_are_named(tmp_path: Path) -> None:
    root = make_folder(tmp_path, 4)
    write_stack(root / "images" / "v2.tif", balls(2)[0], spacing_um=(3.0, 0.5, 0.5), axes="ZYX")
    data = experiment(root).data
    notes = [n for n in list_task(root, data).notes if n.startswith("pixel sizes differ")]
    assert "1×0.5×0.5 µm in most images, other in v2.tif 3×0.5×0.5." in notes[0]
    write_stack(root / "images" / "v2.tif", balls(2)[0], spacing_um=(1.05, 0.5, 0.5), axes="ZYX")
    assert not [n for n in list_task(root, data).notes if n.startswith("pixel sizes differ")]


def test_a_folder_of_volumes_gets_its_own_defaults(tmp_path: Path) -> None:
    nibabel: Any = pytest.importorskip("nibabel")
    for i in range(5):
        for folder, volume in zip(("images", "labels"), balls(i), strict=True):
            (tmp_path / folder).mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(volume.T, np.eye(4)), tmp_path / folder / f"{i}.nii.gz")
    derived = api.derive_experiment(tmp_path)
    assert (derived.net["dims"], derived.train.crop) == (3, (16, 24, 32))
