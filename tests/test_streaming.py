"""Large images: streamed equals whole, resumed equals undisturbed, whatever happens on the way."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
import zarr

from unetseg.errors import UserError
from unetseg.images import LazyImage, open_image
from unetseg.images.ome_zarr import LabelStore, tidy
from unetseg.inference.reduce import everything
from unetseg.normalise import Normalisation
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.pipeline.recipe import Recipe, new_net
from unetseg.settings import LabelSettings
from unetseg.streaming.job import Job, OptionalOutputs, Request, Skipping
from unetseg.streaming.output import label_array, make_result, open_job
from unetseg.streaming.tile_steps import reduction
from unetseg.streaming.work import Resumed, Summary, TileDone

TILES = PredictSettings(side=32)
NONE = Skipping()


def model(labels: LabelSettings, *, downsample: int = 1, method: Any = "per-image", **options: Any) -> Model:
    """A narrow net with random weights: its maps have blobs, holes and single pixels."""
    kind = options.pop("kind", "instances")
    classes = options.pop("classes", 2)
    net = {"name": "unet", "width": 4, "depth": 2, "padding": "same", "norm": "batch", "dropout": 0.0}
    recipe = Recipe({**net, **options}, classes, kind, Normalisation(method, 1), downsample, labels, None)
    return Model(recipe, new_net(recipe, seed=3).eval(), torch.device("cpu"))


def pixels(shape: tuple[int, int] = (150, 133)) -> np.ndarray:
    """Smooth noise with an empty corner."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(5).normal(size=shape), 1.5)
    scaled = (1000 + 800 * noise / np.abs(noise).max()).astype(np.uint16)
    scaled[:70, :70] = 7
    return scaled


def image(path: Path, values: np.ndarray | None = None) -> LazyImage:
    where = path / "image.zarr"
    if not where.exists():
        values = pixels() if values is None else values
        zarr.save_array(where, values, zarr_format=2)
    return open_image(where)


def balanced(labels: LabelSettings, values: np.ndarray, **options: Any) -> Model:
    """A model that finds a third of these pixels to be foreground, and a tenth seeds."""
    start = model(labels, **options)
    found = start.probabilities(values[None], "image", PredictSettings())
    threshold, seeds = np.quantile(1 - found[0], [0.67, 0.9]).tolist()
    rule = replace(labels, threshold=threshold, seed_threshold=seeds if labels.seed_threshold else 0.0)
    return replace(start, recipe=replace(start.recipe, labels=rule))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def begin(
    used: Model, path: Path, out: str = "out.zarr", skipping: Skipping = NONE, overwrite: bool = False
) -> Job | Summary:
    request = Request.of(used, image(path), TILES, skipping=skipping)
    return open_job(request, path / out, overwrite=overwrite)


def run(used: Model, path: Path, out: str = "out.zarr", skipping: Skipping = NONE) -> Summary:
    job = begin(used, path, out, skipping)
    events = [job] if isinstance(job, Summary) else list(make_result(job))
    assert isinstance(events[-1], Summary)
    return events[-1]


def written(path: Path, out: str = "out.zarr", kind: str = "labels") -> np.ndarray:
    return np.asarray(zarr.open_array(path / out / "labels" / kind / "0", mode="r"))


RULES = [
    LabelSettings(),
    LabelSettings(min_area=9, max_hole_area=11),
    LabelSettings(max_hole_area=299, min_area=30),
    LabelSettings(grow=5, min_area=5),
    LabelSettings(test_time_augmentation=4, max_hole_area=19),
    LabelSettings(seed_threshold=0.9, min_area=6, max_hole_area=9, grow=3),
    LabelSettings(seed_threshold=0.9, min_seed_area=7, min_area=6),
]


@pytest.mark.parametrize("labels", RULES, ids=str)
def test_streamed_labels_are_those_of_the_whole_image(labels: LabelSettings, tmp_path: Path) -> None:
    used = balanced(labels, pixels())
    whole = used.labels(used.probabilities(pixels()[None], "image", PredictSettings()))
    found = run(used, tmp_path)
    assert whole.max() > 4
    assert found.objects == (whole.max(),)
    assert found.tiles > 9
    np.testing.assert_array_equal(written(tmp_path), whole)


@pytest.mark.parametrize(
    "options",
    [
        {"downsample": 2},
        {"downsample": 3, "method": "percentile"},
        {"padding": "valid", "norm": "none"},
        {"padding": "valid", "norm": "none", "downsample": 3, "method": "none"},
    ],
    ids=str,
)
def test_whatever_the_model(options: dict[str, Any], tmp_path: Path) -> None:
    used = balanced(LabelSettings(min_area=4), pixels(), **options)
    whole = used.labels(used.probabilities(pixels()[None], "image", PredictSettings()))
    run(used, tmp_path)
    np.testing.assert_array_equal(written(tmp_path), whole)


@pytest.mark.parametrize("downsample", [1, 3])
def test_calibrated_and_median_filtered(downsample: int, tmp_path: Path) -> None:
    used = balanced(LabelSettings(median_radius=4), pixels(), downsample=downsample)
    used = replace(used, recipe=replace(used.recipe, calibration=(0.1, 0.2, 0.3, 0.05)))
    maps = used.probabilities(pixels()[None], "image", PredictSettings())
    rule = replace(used.recipe.labels, threshold=float(np.quantile(maps[1], 0.67)))
    used = replace(used, recipe=replace(used.recipe, labels=rule))
    run(used, tmp_path)
    assert used.labels(maps).max() > 4
    np.testing.assert_array_equal(written(tmp_path), used.labels(maps))


def test_class_maps_and_classes_of_depth(tmp_path: Path) -> None:
    used = model(LabelSettings(), kind="classes", classes=3)
    run(used, tmp_path)
    whole = used.labels(used.probabilities(pixels()[None], "image", PredictSettings()))
    np.testing.assert_array_equal(written(tmp_path, kind="classes"), whole)
    used = balanced(LabelSettings(seed_threshold=0.5), pixels(), classes=4)
    used = replace(used, recipe=replace(used.recipe, labels=replace(used.recipe.labels, seed_threshold=0.3)))
    run(used, tmp_path, "deep.zarr")
    whole = used.labels(used.probabilities(pixels()[None], "image", PredictSettings()))
    np.testing.assert_array_equal(written(tmp_path, "deep.zarr"), whole)


def test_an_array_in_memory_gives_the_same(tmp_path: Path) -> None:
    used = balanced(LabelSettings(max_hole_area=8), pixels())
    run(used, tmp_path)
    found = label_array(Request.of(used, image(tmp_path), PredictSettings(side=64)))
    np.testing.assert_array_equal(found[0], written(tmp_path))


@pytest.mark.parametrize("labels", [RULES[1], RULES[5]], ids=["components", "watershed"])
def test_resumed_after_any_tile_it_ends_in_the_same_bytes(labels: LabelSettings, tmp_path: Path) -> None:
    used = balanced(labels, pixels())
    run(used, tmp_path, "whole.zarr")
    out, stops, times = tmp_path / "out.zarr", 0, 0
    while not out.exists():
        events = make_result(begin(used, tmp_path))  # type: ignore[arg-type]
        resumed = next(events)
        assert isinstance(resumed, Resumed)
        # threads may have done more than was reported; what has a record counts, and nothing else
        assert stops <= resumed.done == len(list(tmp_path.rglob("*.npz")))
        stops, times = resumed.done, times + 1
        for _ in range(2 if labels.seed_threshold == 0 else 6):
            stops += isinstance(next(events, None), TileDone)
        events.close()  # type: ignore[attr-defined]
    assert stops > 10
    assert times > 5
    assert tree(out) == tree(tmp_path / "whole.zarr")


def test_data_that_were_not_written_through_are_found_and_made_again(tmp_path: Path) -> None:
    """A record whose data are missing, as after a power failure, does not count."""
    used = balanced(LabelSettings(), pixels())
    run(used, tmp_path, "whole.zarr")
    job = begin(used, tmp_path)
    events = make_result(job)  # type: ignore[arg-type]
    for _ in range(12):
        next(events)
    events.close()  # type: ignore[attr-defined]
    chunks = [p for p in (tmp_path / "out.zarr.unfinished/scratch/components").rglob("[0-9]*") if p.is_file()]
    chunks[3].unlink()
    (tmp_path / "out.zarr.unfinished/scratch/journal/predict/0/7.npz").write_bytes(b"PK")
    job = begin(used, tmp_path)
    events = make_result(job)  # type: ignore[arg-type]
    assert next(events) == Resumed(9, 50)
    list(events)
    assert tree(tmp_path / "out.zarr") == tree(tmp_path / "whole.zarr")


def test_other_settings_are_refused_and_the_same_ones_find_it_finished(tmp_path: Path) -> None:
    used = balanced(LabelSettings(), pixels())
    first = run(used, tmp_path)
    before = tree(tmp_path / "out.zarr")
    assert run(used, tmp_path) == first
    other = replace(used, recipe=replace(used.recipe, labels=LabelSettings(min_area=50)))
    with pytest.raises(UserError, match=r"other settings: threshold .*, min_area \(0 → 50\)\. .*--overwrite"):
        run(other, tmp_path)
    assert tree(tmp_path / "out.zarr") == before
    job = begin(other, tmp_path, overwrite=True)
    list(make_result(job))  # type: ignore[arg-type]
    assert tree(tmp_path / "out.zarr") != before
    (tmp_path / "mine.zarr").mkdir()
    for there, error in (("image.zarr", "the image itself"), ("mine.zarr", "not a result of this command")):
        with pytest.raises(UserError, match=error):
            begin(used, tmp_path, there, overwrite=True)


def test_an_ome_tiff_holds_the_same_labels_and_knows_it_is_finished(tmp_path: Path) -> None:
    used = balanced(LabelSettings(), pixels())
    first = run(used, tmp_path, "out.ome.tif")
    run(used, tmp_path)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.ome.tif"), written(tmp_path))
    assert run(used, tmp_path, "out.ome.tif") == first
    names = {"image.zarr", "out.ome.tif", "out.zarr"}
    assert {p.name for p in tmp_path.iterdir()} == names


def test_every_plane_of_a_stack(tmp_path: Path) -> None:
    stack = np.stack([pixels(), pixels()[::-1], pixels()])
    zarr.save_array(tmp_path / "image.zarr", stack, zarr_format=2)
    lazy = open_image(tmp_path / "image.zarr", axes="ZYX")
    used = balanced(LabelSettings(), pixels())
    job = open_job(Request.of(used, lazy, TILES), tmp_path / "out.zarr")
    summary = list(make_result(job))[-1]  # type: ignore[arg-type]
    labels = written(tmp_path)
    for plane, values in zip(labels, stack, strict=True):
        whole = used.labels(used.probabilities(values[None], "image", PredictSettings()))
        np.testing.assert_array_equal(plane, whole)
    assert summary.objects == tuple(int(p.max()) for p in labels)  # type: ignore[union-attr]


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A disk that is full after so many writes."""
    left = [10**9]
    store = LabelStore
    scratch, write = store.scratch, store.write

    def spend() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")

    class Full:
        def __init__(self, array: Any) -> None:
            self.array = array

        def __getitem__(self, key: Any) -> Any:
            return self.array[key]

        def __setitem__(self, key: Any, value: Any) -> None:
            spend()
            self.array[key] = value

    def writing(self: Any, *region: Any) -> None:
        spend()
        write(self, *region)

    monkeypatch.setattr(store, "scratch", lambda self, name, dtype: Full(scratch(self, name, dtype)))
    monkeypatch.setattr(store, "write", writing)
    return left  # type: ignore[return-value]


@pytest.mark.parametrize("room", [0, 7, 30])
def test_a_full_disk_keeps_what_is_done(room: int, full_disk: list[int], tmp_path: Path) -> None:
    used = balanced(LabelSettings(grow=2), pixels())
    run(used, tmp_path, "whole.zarr")
    full_disk[0] = room
    with pytest.raises(OSError, match="No space"):
        run(used, tmp_path)
    assert not (tmp_path / "out.zarr").exists()
    full_disk[0] = 10**9
    run(used, tmp_path)
    assert tree(tmp_path / "out.zarr") == tree(tmp_path / "whole.zarr")


def test_empty_background_is_skipped(tmp_path: Path) -> None:
    """Tiles below the threshold are not predicted and hold nothing; the others are as they were."""
    used = balanced(LabelSettings(), pixels())
    found = run(used, tmp_path, skipping=Skipping(below=100.0))
    assert found.skipped == 4
    labels = written(tmp_path)
    assert not labels[:64, :64].any()
    whole = used.labels(used.probabilities(pixels()[None], "image", PredictSettings()))
    np.testing.assert_array_equal(labels[70:, 70:] > 0, whole[70:, 70:] > 0)


def test_outside_the_mask_is_nothing(tmp_path: Path) -> None:
    used = balanced(LabelSettings(), pixels())
    inside = np.zeros((150, 133), np.uint8)
    inside[20:90, 30:133] = 1
    zarr.save_array(tmp_path / "mask.zarr", inside, zarr_format=2)
    found = run(used, tmp_path, skipping=Skipping(mask=open_image(tmp_path / "mask.zarr")))
    probabilities = used.probabilities(pixels()[None], "image", PredictSettings())
    probabilities[1] *= inside
    np.testing.assert_array_equal(written(tmp_path), used.labels(probabilities))
    assert found.skipped > 0


def test_damage_is_one_error_or_skipped_and_listed(tmp_path: Path) -> None:
    where = tmp_path / "image.zarr"
    array = zarr.create_array(where, shape=(150, 133), chunks=(50, 50), dtype=np.uint16, zarr_format=2)
    array[:] = pixels()
    (where / "2.1").write_bytes(b"damaged")
    used = balanced(LabelSettings(), pixels())
    with pytest.raises(UserError, match="damaged at y 100:150, x 50:100"):
        run(used, tmp_path)
    found = run(used, tmp_path, "skipped.zarr", Skipping(damaged=True))
    assert {d[0] for d in found.damaged} == {0}
    rows = [d[1:] for d in found.damaged]
    assert min(r[0] for r in rows) == 100
    assert sum((y1 - y0) * (x1 - x0) for y0, y1, x0, x1 in rows) == 50 * 50
    assert not written(tmp_path, "skipped.zarr")[100:150, 50:100].any()
    assert written(tmp_path, "skipped.zarr").any()


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_streaming import *
used, path = balanced(RULES[5], pixels()), Path(sys.argv[2])
job = begin(used, path)
print("begun", flush=True)
for event in make_result(job):
    print(event, flush=True)
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_in_the_same_bytes(tmp_path: Path) -> None:
    """Ten SIGKILLs, each at a random time after the first tile; then it is let finish."""
    run(balanced(RULES[5], pixels()), tmp_path, "whole.zarr")
    rng, kills = np.random.default_rng(0), 0
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path)]
    while not (tmp_path / "out.zarr").exists():
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        if kills < 10:
            time.sleep(float(rng.uniform(0, 1)))
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
    assert kills > 1
    tidy(tmp_path / "out.zarr")  # as the next command does, where the last one was killed while tidying
    assert tree(tmp_path / "out.zarr") == tree(tmp_path / "whole.zarr")


GROWN = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_streaming import *
used = model(LabelSettings(min_area=4, max_hole_area=3))
image = open_image(Path(sys.argv[2]), cache_bytes=2**20)
tiling = PredictSettings(memory=600 * 2**20)
job = open_job(Request.of(used, image, tiling), Path(sys.argv[2] + ".out.zarr"))
for _ in make_result(job):
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_image(tmp_path: Path) -> None:
    """The peak of sixteen times the pixels is within a tenth, where both fill the cache of decoded chunks."""
    peaks = []
    for side in (2048, 8192):
        where = tmp_path / f"{side}.zarr"
        array = zarr.create_array(
            where, shape=(side, side), chunks=(512, 512), dtype=np.uint16, zarr_format=2
        )
        tile = np.tile(pixels((512, 512)), (1, side // 512))
        for y in range(0, side, 512):
            array[y : y + 512] = tile
        command = [sys.executable, "-c", GROWN, str(Path(__file__).parent), str(where)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize(
    ("labels", "options", "reduced"),
    [
        (LabelSettings(), {}, True),
        (LabelSettings(), {"classes": 4}, True),
        (LabelSettings(threshold=0.4), {"kind": "classes"}, True),
        (LabelSettings(), {"kind": "classes", "classes": 3}, True),
        (LabelSettings(seed_threshold=0.9), {}, False),
        (LabelSettings(median_radius=1), {}, False),
        (LabelSettings(), {"downsample": 2}, False),
    ],
    ids=str,
)
def test_one_byte_a_pixel_comes_from_the_device_where_that_is_what_is_written(
    labels: LabelSettings, options: Any, reduced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the result is the same as of probabilities."""
    used = model(labels, **options)
    request = Request.of(used, image(tmp_path), TILES)
    found = reduction(request)(torch.rand(1, used.recipe.classes, 8, 8))
    assert (found.dtype == torch.uint8) is reduced
    result = label_array(request)
    monkeypatch.setattr("unetseg.streaming.tile_steps.reduction", lambda job: everything)
    np.testing.assert_array_equal(result, label_array(request))
    kept = OptionalOutputs("float32")
    assert reduction(Request.of(used, image(tmp_path), TILES, outputs=kept)) is everything
    two = replace(used, others=(used,))
    assert reduction(Request.of(two, image(tmp_path), TILES)) is everything
