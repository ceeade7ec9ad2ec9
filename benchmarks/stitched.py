"""Picture of labels across tile borders: each tile by itself, and streamed.

    python -m benchmarks.stitched RUN PNG          # RUN: of `unetseg demo`, or its best.pt

A frame of a made-up film that the demo does not use, in tiles of 128². "By itself" is what a loop over
tiles gives: the network sees a tile only (grey values normalised as in the whole image), and components
are numbered tile by tile. Prints how many
pixels of each differ from the labels of the whole image at once.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from unetseg import api
from unetseg.figures import colours, grey, outlines, save
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.streaming.statistics import streamed_statistics
from unetseg.tasks.synthetic import cell_movie
from unetseg.tiles import Partition

SEED, CELLS, SIDE, TILE = 77, 42, 384, 128


def main() -> None:
    model, target = api.load_model(sys.argv[1], "cpu"), Path(sys.argv[2])
    image = cell_movie(seed=SEED, frames=1, shape=(SIDE, SIDE), cells=CELLS)[0][0]
    whole = labels_of(model, image)
    alone, streamed = one_by_one(model, image), np.asarray(api.predict_large(model, image, tile=TILE))
    for name, labels in (("tiles by themselves", alone), ("streamed", streamed)):
        differ = int(((labels > 0) != (whole > 0)).sum())
        print(
            f"{name}: {len(np.unique(labels)) - 1} objects (whole image: {whole.max()}), {differ} pixels "
            f"of other foreground, ids {'the same' if np.array_equal(labels, whole) else 'different'}"
        )
    figure = Figure(figsize=(13, 4.6), dpi=80, layout="constrained")
    panels = figure.subplots(1, 3)
    show(panels[0], outlines(image[None], None, streamed), f"streamed in tiles of {TILE}²: outlines")
    show(panels[1], shown(image, alone), f"every tile by itself: {len(np.unique(alone)) - 1} objects")
    show(panels[2], shown(image, streamed), f"streamed: {streamed.max()} objects, as of the whole image")
    save(figure, target)


def labels_of(model: Model, image: NDArray[Any]) -> NDArray[Any]:
    """The labels of an image that is computed at once."""
    return model.labels(model.probabilities(image[None], "image", PredictSettings(side=max(image.shape))))


def one_by_one(model: Model, image: NDArray[Any]) -> NDArray[np.int64]:
    """What a loop over tiles gives: no context, and components of each tile; grey values as in the whole."""
    rule = streamed_statistics(model.recipe.normalisation, lambda: iter([image[None]]))
    model = replace(model, recipe=replace(model.recipe, normalisation=rule))
    out = np.zeros(image.shape, np.int64)
    regions = Partition(image.shape, (TILE, TILE))
    for region in (regions[index] for index in range(len(regions))):
        labels = labels_of(model, image[region]).astype(np.int64)
        out[region] = np.where(labels > 0, labels + out.max(), 0)
    return out


def shown(image: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float32]:
    """Labels in colours over the image."""
    seen = 0.45 * grey(image[None]) + 0.55 * colours(labels)
    return np.where((labels > 0)[..., None], seen, grey(image[None])).astype(np.float32)


def show(axes: Axes, picture: NDArray[Any], title: str) -> None:
    axes.imshow(picture, interpolation="nearest")
    for edge in range(TILE, SIDE, TILE):
        axes.axhline(edge - 0.5, color="white", lw=0.6, ls=":")
        axes.axvline(edge - 0.5, color="white", lw=0.6, ls=":")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=10)


if __name__ == "__main__":
    main()
