"""Streamed prediction of a large image against the network alone and MONAI's sliding windows.

    python -m benchmarks.large RUN IMAGE [--side 2048] [--memory 2G] [--repeat 2]
    python -m benchmarks.large RUN IMAGE --growth          # peak memory at 4,096², 8,192² and 16,384²

RUN is a run folder or a model file, or "narrow": an untrained U-Net of the default size. IMAGE is a
TIFF or "synthetic"; it is tiled to the side asked for. Each row is a process of its own; rows are
repeated in turn and the fastest of each is shown, so that ratios are those of one run; CPU seconds, of all
threads, say more on a busy machine. Differences are of the probability of the last class, from the
whole image computed at once.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from unetseg.api import load_model
from unetseg.device import peak_memory
from unetseg.images import open_image
from unetseg.io import read_stack
from unetseg.normalise import Normalisation
from unetseg.pipeline.model import Model, Recipe, Tiling, new_net
from unetseg.pipeline.plan import make_plan
from unetseg.pipeline.results import make_result, open_job
from unetseg.pipeline.tile_steps import Job, Skipping
from unetseg.predict import batched, folded, predict, stream
from unetseg.settings import NARROW_UNET, LabelSettings
from unetseg.tiles import read_mirrored

ROI = 512
"""Side of MONAI's windows: nnU-Net's usual patch of 2-D images, and faster than 256² here."""
Maps = NDArray[np.float32]
Seconds = tuple[float, float]
"""By the clock, and of the CPU."""


def since(begun: Seconds = (0.0, 0.0)) -> Seconds:
    """Seconds that have passed."""
    return time.perf_counter() - begun[0], time.process_time() - begun[1]


def network_alone(model: Model, image: Path, tiling: Tiling, out: Path) -> Seconds:
    """The net as it was trained, on the very tiles that the streamed prediction computes."""
    return _forward(model, model.net, image, tiling)


def network_folded(model: Model, image: Path, tiling: Tiling, out: Path) -> Seconds:
    """The same with batch norm folded into the convolutions."""
    return _forward(model, folded(model.net), image, tiling)


def _forward(model: Model, net: Any, image: Path, tiling: Tiling) -> Seconds:
    plan = make_plan(model, open_image(image).shape[1:], tiling)
    tile = torch.rand(1, model.net.channels, *plan.grid.read_shape)
    with torch.no_grad():
        net(tile)
        begun = since()
        for _ in plan.grid:
            net(tile)
    return since(begun)


def streamed(model: Model, image: Path, tiling: Tiling, out: Path) -> Seconds:
    """From the file to the finished OME-Zarr of object labels."""
    begun = since()
    job = open_job(model, open_image(image), out.with_suffix(".zarr"), tiling, Skipping())
    if isinstance(job, Job):
        for _ in make_result(job, out.with_suffix(".zarr")):
            pass
    return since(begun)


def streamed_maps(model: Model, image: Path, tiling: Tiling, out: Path) -> Seconds:
    """From the file to probabilities in memory, tile by tile, without labels."""
    pixels = _pixels(model, image)
    plan = make_plan(model, open_image(image).shape[1:], tiling)
    maps = np.empty(pixels.shape[1:], np.float32)
    begun = since()
    groups = batched(plan.grid, plan.batch)
    for tile, found in stream(
        model.net, groups, lambda t: read_mirrored(pixels, t.read), device=model.device
    ):
        if found is not None:
            maps[tile.write] = found[-1]
    seconds = since(begun)
    np.save(out, maps)
    return seconds


def whole(model: Model, image: Path, tiling: Tiling, out: Path) -> Seconds:
    """The whole image in one tile, if it fits into memory."""
    pixels = _pixels(model, image)
    begun = since()
    grid = model.grid(pixels.shape[1:], Tiling(side=max(pixels.shape)))
    maps = predict(model.net, pixels, grid, device=model.device)
    seconds = since(begun)
    np.save(out, maps[-1])
    return seconds


def monai_default(model: Model, image: Path, tiling: Tiling, out: Path) -> Seconds:
    """MONAI's sliding windows as they come: a quarter overlap, all weights equal."""
    return _monai(model, image, out, {})


def monai_half(model: Model, image: Path, tiling: Tiling, out: Path) -> Seconds:
    """MONAI's sliding windows as nnU-Net does it: half overlap, Gaussian weights."""
    return _monai(model, image, out, {"overlap": 0.5, "mode": "gaussian"})


def _monai(model: Model, image: Path, out: Path, options: dict[str, Any]) -> Seconds:
    from monai.inferers import sliding_window_inference

    pixels = torch.from_numpy(_pixels(model, image))[None]
    begun = since()
    with torch.no_grad():
        logits = sliding_window_inference(pixels, (ROI, ROI), 1, model.net, **options)
        maps = torch.softmax(logits, 1)[0, -1]
    seconds = since(begun)
    np.save(out, maps.numpy())
    return seconds


ROWS: dict[str, Callable[[Model, Path, Tiling, Path], float]] = {
    "network alone": network_alone,
    "network alone, folded": network_folded,
    "streamed, probabilities": streamed_maps,
    "streamed, file to labels": streamed,
    "whole image": whole,
    "MONAI, overlap 0.25": monai_default,
    "MONAI, overlap 0.5, Gaussian": monai_half,
}


def main() -> None:
    options = _options()
    if options.row:
        model, tiling = _model(options.run), Tiling(memory=int(options.memory * 2**30))
        with torch.no_grad():
            seconds, cpu = ROWS[options.row](model, Path(options.image), tiling, Path(options.out))
        print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak_memory(torch.device("cpu"))}))
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.growth:
            _growth(options, Path(folder))
        else:
            _compare(options, Path(folder))


def _compare(options: argparse.Namespace, folder: Path) -> None:
    image = _write_image(options.image, options.side, folder)
    plan = make_plan(
        _model(options.run), (options.side, options.side), Tiling(memory=int(options.memory * 2**30))
    )
    print(f"{options.side}², tiles of {plan.partition.step}, {plan.redundancy:.2f} pixels computed for each")
    print(f"MONAI's windows: {ROI}²; {torch.get_num_threads()} threads; fastest of {options.repeat}")
    found: dict[str, list[dict[str, float]]] = {row: [] for row in ROWS}
    for _ in range(options.repeat):
        for row in ROWS:
            found[row].append(_run_row(options, row, image, folder))
    alone = min(found["network alone"], key=lambda r: r["cpu"])
    print(f"{'':30}{'s':>8}{'ratio':>8}{'CPU s':>8}{'ratio':>8}{'peak MB':>9}{'difference':>12}")
    for row, runs in found.items():
        seconds, cpu = (min(r[key] for r in runs) for key in ("seconds", "cpu"))
        peak, apart = max(r["peak"] for r in runs), _difference(folder, row)
        ratios = seconds / min(r["seconds"] for r in found["network alone"]), cpu / alone["cpu"]
        columns = f"{seconds:8.1f}{ratios[0]:8.2f}{cpu:8.1f}{ratios[1]:8.2f}{peak / 1e6:9.0f}{apart:12.1e}"
        print(f"{row:30}{columns}")


def _difference(folder: Path, row: str) -> float:
    """The largest one from the whole image's probabilities; NaN where a row makes none."""
    file, whole = (folder / f"{_slug(name)}.npy" for name in (row, "whole image"))
    return float(np.abs(np.load(file) - np.load(whole)).max()) if file.exists() else float("nan")


def _growth(options: argparse.Namespace, folder: Path) -> None:
    print(f"peak memory of the streamed prediction, --memory {options.memory}G")
    for side in (4096, 8192, 16384):
        image = _write_image(options.image, side, folder)
        found = _run_row(options, "streamed, file to labels", image, folder)
        rate = side**2 / 1e6 / found["seconds"]
        print(f"{side:6}²{found['peak'] / 1e6:8.0f} MB{found['seconds']:8.0f} s{rate:7.2f} Mpx/s", flush=True)


def _run_row(options: argparse.Namespace, row: str, image: Path, folder: Path) -> dict[str, float]:
    out = folder / f"{_slug(row)}.npy"
    for old in folder.glob(f"{_slug(row)}.zarr*"):
        subprocess.run(["rm", "-r", str(old)], check=True)  # noqa: S607
    command = [sys.executable, "-m", "benchmarks.large", options.run, str(image), "--row", row]
    command += ["--out", str(out), "--memory", str(options.memory)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _write_image(source: str, side: int, folder: Path) -> Path:
    """A tiled TIFF of `side`² from the pixels of an image, repeated with flips so that no seam shows."""
    import tifffile

    one = _synthetic() if source == "synthetic" else read_stack(Path(source)).pixels[0, 0]
    two = np.concatenate([one, one[:, ::-1]], 1)
    four = np.concatenate([two, two[::-1]])
    counts = [-(-side // n) for n in four.shape]
    path = folder / f"image{side}.tif"
    tifffile.imwrite(
        path, np.tile(four, counts)[:side, :side], tile=(512, 512), compression="zlib", bigtiff=True
    )
    return path


def _synthetic() -> NDArray[np.uint8]:
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(0).normal(size=(1024, 1024)), 6)
    return (128 + 100 * noise / np.abs(noise).max()).astype(np.uint8)


def _pixels(model: Model, image: Path) -> Maps:
    return model.normalised(read_stack(image).pixels[0], str(image))


def _model(run: str) -> Model:
    if run != "narrow":
        model = load_model(run, "cpu")
        once = replace(model.recipe.labels, average=1)  # MONAI's windows are not averaged over flips
        return replace(model, recipe=replace(model.recipe, labels=once))
    recipe = Recipe(
        dict(NARROW_UNET), 2, "instances", Normalisation("per-image", 1), 1, LabelSettings(smallest=20), None
    )
    net = new_net(recipe, seed=0)
    net.to(memory_format=torch.channels_last)
    return Model(recipe, net.eval(), torch.device("cpu"))


def _slug(row: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in row)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("image")
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--memory", type=float, default=2.0, help="GiB")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
