"""Pictures for people: overlays of truth and prediction, the sheet of `show`, learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries

from unetseg.figures.palette import colours
from unetseg.files import replacing

TRUTH, PREDICTED, BOTH = (0.12, 0.85, 0.35), (1.0, 0.25, 0.55), (1.0, 0.92, 0.25)
"""Outline colours: missed truth green, prediction pink, where both agree yellow."""


def grey(image: NDArray[Any]) -> NDArray[np.float32]:
    """(c, y, x) of any dtype to (y, x, 3) in 0…1, from the 0.5th to the 99.5th percentile."""
    planes = image[:3] if len(image) >= 3 else image[:1]
    low, high = np.percentile(planes, [0.5, 99.5])
    scaled = np.clip((planes.astype(np.float32) - low) / max(float(high - low), 1e-9), 0, 1)
    return np.repeat(scaled, 3 if len(planes) == 1 else 1, axis=0).transpose(1, 2, 0)


def middle_slice(volume: NDArray[Any]) -> NDArray[Any]:
    """(c, y, x) of the middle of a volume (c, z, y, x); an image (c, y, x) as it is."""
    return volume[:, volume.shape[1] // 2] if volume.ndim == 4 else volume


def outlines(image: NDArray[Any], truth: NDArray[Any] | None, predicted: NDArray[Any]) -> NDArray[np.float32]:
    """The image with object outlines: truth green, prediction pink, both yellow; (y, x, 3)."""
    picture = grey(image)
    found = outline(predicted)
    if truth is None:
        picture[found] = PREDICTED
        return picture
    true = outline(truth)
    picture[true], picture[found] = TRUTH, PREDICTED
    picture[true & found] = BOTH
    return picture


def outline(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """The pixels along object borders; two pixels wide in large images, where one would be invisible."""
    mode = "thick" if min(labels.shape) > 300 else "inner"
    found: NDArray[np.bool_] = find_boundaries(np.maximum(labels, 0), mode=mode)
    return found


def write_overlay(
    path: Path,
    image: NDArray[Any],
    truth: NDArray[Any] | None,
    predicted: NDArray[Any],
    title: str,
    *,
    noun: str = "objects",
    count: int | None = None,
) -> None:
    """PNG: the image, the outlines on it, and the labels in colours; of a volume its middle slice.

    image (c, *yx), truth and predicted (*yx); noun: what the labels are, counted in the whole volume;
    count: of the predicted ones, if the picture does not show them all.
    """
    title += ", middle slice" if image.ndim == 4 else ""
    objects = {"predicted": len(np.unique(predicted[predicted > 0])) if count is None else count}
    if truth is not None:
        objects["in the truth"] = len(np.unique(truth[truth > 0]))
        truth = middle_slice(truth[None])[0]
    image, predicted = middle_slice(image), middle_slice(predicted[None])[0]
    panels: list[tuple[str, NDArray[Any]]] = [(title, grey(image))]
    legend = "predicted" if truth is None else "green: truth, pink: predicted, yellow: both"
    panels.append((legend, outlines(image, truth, predicted)))
    layers = [predicted] if truth is None else [predicted, truth]
    for (what, count), layer in zip(objects.items(), layers, strict=True):
        panels.append((f"{count} {noun} {what}", colours(layer)))
    height = 4.4 * image.shape[1] / image.shape[2]
    figure = Figure(figsize=(4.4 * len(panels), height + 0.35), dpi=110, layout="constrained")
    for axes, (name, picture) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        panel(axes, picture, name)
    save(figure, path)


def write_sheet(path: Path, rows: Sequence[Mapping[str, NDArray[Any]]], names: Sequence[str]) -> None:
    """PNG of `unetseg show`: a row per sample; weight maps (y, x) get a colour bar."""
    columns = list(rows[0])
    figure = Figure(figsize=(2.7 * len(columns), 2.9 * len(rows)), dpi=110, layout="constrained")
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for y, (row, name) in enumerate(zip(rows, names, strict=True)):
        for x, column in enumerate(columns):
            title = column if y == 0 else ""
            panel(grid[y, x], row[column], title)
            if row[column].ndim == 2:
                figure.colorbar(grid[y, x].images[0], ax=grid[y, x], shrink=0.75, pad=0.02)
        grid[y, 0].set_ylabel(name, fontsize=9, parse_math=False)
    save(figure, path)


def write_curves(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """PNG of a run's log: smoothed loss, and the validation scores over the steps."""
    losses = [(r["step"], r["loss"]) for r in records if "loss" in r]
    scores = [(r["step"], r["validation"]) for r in records if r.get("validation")]
    figure = Figure(figsize=(9, 3.4), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    steps, values = np.array(losses).T if losses else (np.array([]), np.array([]))
    width = max(1, len(values) // 50)
    smooth = np.convolve(values, np.ones(width) / width, mode="valid") if len(values) else values
    left.plot(steps[len(steps) - len(smooth) :], smooth, color="#1f6feb")
    left.set(xlabel="step", ylabel="training loss", yscale="log")
    for name in scores[0][1] if scores else []:
        right.plot([s for s, _ in scores], [v[name] for _, v in scores], marker="o", ms=3, label=name)
    within = all(0 <= v <= 1 for _, values in scores for v in values.values() if v is not None)
    right.set(xlabel="step", ylabel="validation score", **({"ylim": (0, 1)} if within else {}))
    if scores:
        for text in right.legend(fontsize=8).get_texts():
            text.set_parse_math(False)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    save(figure, path)


PNG_MARK = {"unetseg": '{"settings": {}}'}
"""In every picture, so that it is recognised as one of ours; see `images.marks`."""


def save(figure: Figure, path: Path) -> None:
    """Write a PNG, replaced atomically."""
    with replacing(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary, metadata=PNG_MARK)


def panel(axes: Axes, picture: NDArray[Any], title: str) -> None:
    """A picture (y, x, 3), or a map (y, x) in colours, with its title."""
    axes.imshow(picture, cmap="magma" if picture.ndim == 2 else None, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    if title:
        axes.set_title(title, fontsize=9, parse_math=False)  # "$" in a file's name is no formula
