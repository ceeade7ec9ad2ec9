"""Noise added to real images and removed again, and whether that helps a segmentation.

python experiments/restoration/restoration.py OUT

trains what is not in OUT yet, and writes OUT/results.md and OUT/results.png. The ISBI 2012 sections and the
U373 films are found below $UNETSEG_DATA. Noise is Poisson noise of so many photons at grey value 255, plus
Gaussian noise of some grey values, from a fixed seed. Of the sections 0 to 17 are trained on, 20 and 21 are
validated on, and 24, 26 and 28 are scored; of the films frames of 01 are trained and validated on, and every
fourth frame of 02 with gold truth is scored. A network is trained for each noise, once by clean images (l1)
and once by blind spots, which see none. All trainings have the same length, and nothing is chosen by what is
scored.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from matplotlib.figure import Figure
from numpy.typing import NDArray

from unetseg import api
from unetseg.config import find_data
from unetseg.pipeline.auto import derive_settings
from unetseg.pipeline.model import Model
from unetseg.run import Run
from unetseg.scores import score
from unetseg.settings import DataSettings, Experiment, LabelSettings, TrainSettings

NOISE = {"weak": (60.0, 4.0), "strong": (8.0, 12.0)}
"""Photons at grey value 255, and the standard deviation of the Gaussian noise in grey values."""
LOSSES = {"supervised": "l1", "blind spots": "blind-spot"}
STEPS, SEED = 150, 1
NET = {"name": "unet", "width": 16, "depth": 3, "padding": "same", "norm": "batch", "dropout": 0.0}
PARTS = {"em": ("z20", "z21"), "u373": ("01t114",)}
"""Validated on; what is tested has a name that begins with "test"."""
SEGMENTED = ("iou", "seg", "panoptic-quality")


def noisy(clean: NDArray[np.uint8], noise: str, seed: int) -> NDArray[np.float32]:
    """The image (y, x) with noise, in the same grey values."""
    photons, sigma = NOISE[noise]
    rng = np.random.default_rng([SEED, seed])
    shot = rng.poisson(clean / 255 * photons) / photons * 255
    return (shot + rng.normal(0, sigma, clean.shape)).astype(np.float32)


def images(name: str) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.integer] | None]]:
    """The name, pixels and, of the films, labels (y, x) of every image that is used."""
    if name == "em":
        for z, section in enumerate(tifffile.imread(find_data("isbi2012") / "train-volume.tif")):
            if z < 18 or z in (20, 21, 24, 26, 28):
                yield f"{'test-' if z >= 24 else ''}z{z:02d}", section, None
        return
    root = find_data("PhC-C2DH-U373")
    for t in range(0, 115, 6):
        yield f"01t{t:03d}", *_film(root, "01", t, "ST")
    for path in sorted((root / "02_GT" / "SEG").glob("*.tif"))[::4]:
        t = int(path.stem[-3:])
        yield f"test-02t{t:03d}", *_film(root, "02", t, "GT")


def _film(root: Path, film: str, t: int, truth: str) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    labels = tifffile.imread(root / f"{film}_{truth}" / "SEG" / f"man_seg{t:03d}.tif")
    return tifffile.imread(root / film / f"t{t:03d}.tif"), labels


def write_data(out: Path, name: str, noise: str) -> Path:
    """The folder of noisy and clean images, and of labels; written once."""
    root = out / "data" / f"{name}-{noise}"
    if root.exists():
        return root
    for seed, (stem, clean, labels) in enumerate(images(name)):
        planes = {"images": noisy(clean, noise, seed), "clean": clean, "truth": labels}
        for folder, pixels in planes.items():
            if pixels is not None:
                (root / folder).mkdir(parents=True, exist_ok=True)
                tifffile.imwrite(root / folder / f"{stem}.tif", pixels)
    return root


def restoration(root: Path, name: str, loss: str) -> Experiment:
    """The training on a folder of pairs."""
    data = DataSettings(task="restoration", root=str(root), test=("test*",), validate=PARTS[name])
    train = TrainSettings(
        steps=STEPS,
        crop=(64,),
        batch=4,
        loss=loss,
        learning_rate=4e-3,
        validate_every=STEPS,
        validate_images=1,
    )
    asked = Experiment(seed=SEED, device="cpu", data=data, train=train, net=dict(NET))
    given = {"data.task", "train.crop", "train.batch", "train.loss", "labels.test_time_augmentation"}
    return derive_settings(asked, given).experiment


def trained(path: Path, experiment: Experiment) -> Model:
    """The model of a run, which is trained if it is not there or unfinished."""
    if not (path / "report.html").is_file():
        return api.train(experiment, path)
    return api.load_model(path, "cpu")


def restored(out: Path) -> dict[str, dict[str, dict[str, float]]]:
    """The scores of every method by data set and noise."""
    found = {}
    for name in PARTS:
        for noise in NOISE:
            root, methods = write_data(out, name, noise), {}
            for title, loss in LOSSES.items():
                path = out / f"{name}-{noise}-{loss}"
                trained(path, restoration(root, name, loss))
                scores = json.loads((path / "scores.json").read_text())["methods"]
                methods |= {f"U-Net, {title}": scores.pop("this network")} | scores
            found[f"{name}, {noise} noise"] = methods
            print(name, noise, json.dumps(methods, indent=1), flush=True)
    return found


def segmentation(root: Path, folder: str) -> Experiment:
    """The training of a segmentation on the noisy ("images") or the clean images of the films."""
    lab = root.with_name(f"{root.name}-{folder}-labelled")
    if not lab.exists():
        lab.mkdir()
        (lab / "images").symlink_to((root / folder).resolve())
        (lab / "labels").symlink_to((root / "truth").resolve())
    data = DataSettings(
        root=str(lab), test=("test*",), validate=("01t114",), labels="instances", downsample=2
    )
    train = TrainSettings(steps=STEPS, crop=(128,), batch=4, validate_every=STEPS, validate_images=1)
    labels = LabelSettings(min_area=300, max_hole_area=300, test_time_augmentation=1)
    return Experiment(seed=SEED, device="cpu", data=data, train=train, labels=labels, net=NET | {"depth": 4})


def segmented(out: Path) -> dict[str, dict[str, float]]:
    """Scores on film 02 of a segmentation trained on one kind of image and given another."""
    found = {}
    for noise in NOISE:
        root = out / "data" / f"u373-{noise}"
        for folder, words in (("images", "noisy"), ("clean", "clean")):
            path = out / (f"segment-{noise}" if folder == "images" else "segment-clean")
            model = trained(path, segmentation(root, folder))
            for given, pixels in inputs(out, root, noise).items():
                key = f"{noise}: trained on {words}, given {given}"
                found[key] = score_labels(model, root, pixels)
                print(key, found[key], flush=True)
    return found


def inputs(out: Path, root: Path, noise: str) -> dict[str, dict[str, NDArray[np.float32]]]:
    """The images of film 02 by name: clean, noisy, and restored by both networks."""
    files = sorted((root / "images").glob("test*.tif"))
    found = {
        words: {p.stem: tifffile.imread(root / folder / p.name).astype(np.float32) for p in files}
        for folder, words in (("clean", "clean"), ("images", "noisy"))
    }
    for title, loss in LOSSES.items():
        run = Run.open(out / f"u373-{noise}-{loss}")
        found[f"restored, {title}"] = {p.stem: tifffile.imread(run.tested(p.stem)) for p in files}
    return found


def score_labels(model: Model, root: Path, pixels: dict[str, NDArray[np.float32]]) -> dict[str, float]:
    """The scores of the model's labels of images by name."""
    truths = [tifffile.imread(root / "truth" / f"{name}.tif").astype(np.int32) for name in pixels]
    labels = [api.predict(model, image).labels for image in pixels.values()]
    return score(truths, labels, SEGMENTED)


def write_results(
    out: Path, methods: dict[str, dict[str, dict[str, float]]], labels: dict[str, dict[str, float]]
) -> None:
    """Both tables in Markdown."""
    lines = ["| images | method | PSNR (dB) | SSIM |", "|---|---|---|---|"]
    for what, rows in methods.items():
        lines += [f"| {what} | {m} | {s['psnr']:.2f} | {s['ssim']:.3f} |" for m, s in rows.items()]
    lines += [
        "",
        "| noise: segmentation of U373 film 02 | IoU | SEG | panoptic quality |",
        "|---|---|---|---|",
    ]
    for what, row in labels.items():
        lines.append(f"| {what} | " + " | ".join(f"{row[name]:.3f}" for name in SEGMENTED) + " |")
    (out / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def draw(out: Path) -> None:
    """A part of the first scored image of each data set and noise, by every method."""
    rows = [(name, noise) for name in PARTS for noise in NOISE]
    figure = Figure(figsize=(12, 3.1 * len(rows)), dpi=90, layout="constrained")
    for line, (name, noise) in zip(figure.subplots(len(rows), 4, squeeze=False), rows, strict=True):
        root = out / "data" / f"{name}-{noise}"
        stem = sorted((root / "images").glob("test*.tif"))[0].stem
        shown = {"noisy": tifffile.imread(root / "images" / f"{stem}.tif")}
        for title, loss in LOSSES.items():
            shown[title] = tifffile.imread(Run.open(out / f"{name}-{noise}-{loss}").tested(stem))
        shown["clean"] = tifffile.imread(root / "clean" / f"{stem}.tif")
        low, high = np.percentile(shown["clean"], [0.5, 99.5])
        part = busiest(shown["clean"])
        for axes, (title, pixels) in zip(line, shown.items(), strict=True):
            axes.imshow(pixels[part], cmap="gray", vmin=low, vmax=high)
            axes.set_title(f"{name}, {noise} noise: {title}", fontsize=9)
            axes.set_axis_off()
    figure.savefig(out / "results.png")


def busiest(image: NDArray[np.generic], side: int = 192) -> tuple[slice, slice]:
    """The part of an image (y, x) with the largest standard deviation; parts start at every 64th pixel."""
    y, x = ([slice(a, a + side) for a in range(0, n - side, 64)] for n in image.shape)
    return max(((rows, columns) for rows in y for columns in x), key=lambda part: float(image[part].std()))


def main(out: Path) -> None:
    """Train what is missing, then write the tables and the picture."""
    out.mkdir(parents=True, exist_ok=True)
    methods = restored(out)
    draw(out)
    write_results(out, methods, {})
    write_results(out, methods, segmented(out))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
