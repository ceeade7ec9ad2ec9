"""The loop of the napari panels on real images: scribble, train, predict, correct, train on.

python -m experiments.napari.loop OUT u373|nuclei [--from MODEL] [--steps N] [--seed N]

Drives the panels of a real viewer, so it needs a display: `xvfb-run -a python -m …`.
A script stands in for the user. It draws a few strokes in cells and in the background of three images, inside
the truth; later it corrects the predicted labels of the page that the panel suggests: objects that miss the
truth are drawn again, surplus ones erased. The images are found below $UNETSEG_DATA. Every round is scored on
images that nothing was drawn on: OUT/results.md has the scores and the seconds of waiting.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import napari
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_edt
from skimage.draw import line

from experiments.napari.driver import Waited, open_panel, wait
from unetseg import api
from unetseg.config import find_data
from unetseg.images.whole import read_stack

SCORES = ["iou", "f1", "seg"]
SCRIBBLED, CORRECTED = 3, 2
CELLS, BACKGROUND_STROKES, PEN, BORDER = 4, 4, 2, 2
RIGHT = 0.75
"""From this IoU on the user leaves an object as it is."""
NUCLEI = (256, 256)
DIAMETER = {"u373": 80.0, "nuclei": 20.0}


@dataclass
class Images:
    """Pages (t, y, x) and their truth, for drawing on and for scoring."""

    pages: NDArray[Any]
    truth: NDArray[Any]
    test: NDArray[Any]
    test_truth: NDArray[Any]
    pixel_um: float


@dataclass
class Row:
    """A round: what it learned from, its scores, and how long the user waited for each step."""

    learned: str
    scores: dict[str, float]
    waited: dict[str, Waited]


def u373() -> Images:
    """Every second gold frame of both films to draw on, the others to score: of the same dishes, that is."""
    root = find_data("PhC-C2DH-U373")
    truth = [p for s in ("01", "02") for p in sorted((root / f"{s}_GT" / "SEG").glob("man_seg*.tif"))]
    images = [root / p.parts[-3][:2] / f"t{p.stem.removeprefix('man_seg')}.tif" for p in truth]
    return Images(*(_stack(paths[i::2]) for i in (0, 1) for paths in (images, truth)), 0.65)


def nuclei() -> Images:
    """The images of 256×256 pixels that the shipped model was not trained on: the first half to draw on."""
    from experiments.nuclei.ship import HELD_OUT

    root = find_data("nuclei-dsb2018")
    names = [n for kind, names in HELD_OUT.items() if kind.startswith("256") for n in names]
    drawn, test = names[0::2], names[1::2]
    parts = [
        _stack([root / folder / f"{n}.tif" for n in part])
        for part in (drawn, test)
        for folder in ("images", "labels")
    ]
    return Images(*parts, 1.0)


def _stack(paths: list[Path]) -> NDArray[Any]:
    return np.stack([np.squeeze(read_stack(p).pixels) for p in paths])


def scribbles(truth: NDArray[Any], rng: np.random.Generator) -> NDArray[np.uint16]:
    """Strokes (y, x), well inside what they mark: 2 cells, 1 background, which is also where cells touch."""
    found = np.zeros(truth.shape, np.uint16)
    ids = np.unique(truth[truth > 0])
    for i in rng.permutation(ids)[:CELLS]:
        depth = distance_transform_edt(truth == i)
        found[_stroke(depth > max(1.0, 0.3 * depth.max()), rng) & (truth == i)] = 2
        around = distance_transform_edt(truth != i)
        ring = (around > 3) & (around < 8) & (truth == 0)
        found[_stroke(ring, rng) & (truth == 0)] = 1
        others = (truth > 0) & (truth != i)
        found[(around <= BORDER) & binary_dilation(others, iterations=BORDER) & (depth <= BORDER)] = 1
    for _ in range(BACKGROUND_STROKES):
        found[_stroke(distance_transform_edt(truth == 0) > 5, rng) & (truth == 0)] = 1
    return found


def _stroke(where: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """A straight stroke between two random pixels of a region."""
    found = np.zeros(where.shape, bool)
    inside = np.argwhere(where)
    if len(inside):
        (a, b), (c, d) = inside[rng.integers(len(inside), size=2)]
        found[line(a, b, c, d)] = True
    return binary_dilation(found, iterations=PEN)


def corrected(labels: NDArray[Any], truth: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """The labels (y, x) after the user's edits, and how many there were."""
    found, edits = labels.copy(), 0
    kept = set()
    for i in np.unique(truth[truth > 0]):
        own = truth == i
        other, counts = np.unique(found[own], return_counts=True)
        best = int(other[np.argmax(counts)])
        if best and (own & (found == best)).sum() / (own | (found == best)).sum() >= RIGHT:
            kept.add(best)
            continue
        new = int(found.max()) + 1
        found[own] = new
        kept.add(new)
        edits += 1
    surplus = set(np.unique(found[found > 0]).tolist()) - kept
    found[np.isin(found, list(surplus))] = 0
    return found, edits + len(surplus)


class Loop:
    """The three panels of a viewer, and a user who waits."""

    def __init__(self, images: Images, arguments: argparse.Namespace) -> None:
        self.viewer = napari.Viewer(show=False)
        self.images = images
        size = {"scale": (1.0, images.pixel_um, images.pixel_um), "units": ("pixel", "um", "um")}
        self.layer = self.viewer.add_image(images.pages, name="cells", **size)
        self.size = size
        self.annotate, self.correct, self.predict = (
            open_panel(self.viewer, name)
            for name in ("Annotate and train", "Correct and train on", "Predict")
        )
        self.annotate.folder.value, self.annotate.diameter.value = arguments.out, DIAMETER[arguments.data]
        for panel in (self.annotate, self.correct):
            panel.steps.value, panel.image.value = arguments.steps, self.layer
        if arguments.start:
            self.annotate.start.value = arguments.start

    def scribble(self, rng: np.random.Generator) -> str:
        """Draw on the first images, and save: what was drawn."""
        self.annotate.add_layer()
        drawn = self.annotate.labels_layer.value
        for i in np.linspace(0, len(self.images.pages) - 1, SCRIBBLED).round().astype(int):
            drawn.data[i] = scribbles(self.images.truth[i], rng)
        self.annotate.save()
        share = (drawn.data > 0).sum() / (SCRIBBLED * drawn.data[0].size)
        return f"strokes over {share:.1%} of {SCRIBBLED} images"

    def improve(self) -> tuple[str, Waited]:
        """Go to the suggested page, correct it, add it: what was done, and the time the suggestion took."""
        waited = wait(self.correct, self.correct.suggest)
        page, labels = self.correct.page(), self.correct.labels_layer.value
        labels.data[page], edits = corrected(labels.data[page], self.images.truth[page])
        self.correct.add()
        print(self.correct.status.value, flush=True)
        return f"+ 1 image, {edits} edits", waited

    def round(self, panel: Any, learned: str, suggested: Waited) -> Row:
        """Train, predict the pages, and score other ones."""
        trained = wait(panel, panel.train)
        print(panel.status.value, flush=True)
        predicted = wait(self.predict, self._predict_of(self.layer))
        waited = {"suggestion": suggested, "training": trained, "prediction": predicted}
        row = Row(learned, self.score(), waited)
        print(row, flush=True)
        return row

    def score(self) -> dict[str, float]:
        """Predict the images that nothing is drawn on, and score their labels."""
        test = self.viewer.add_image(self.images.test, name="test", **self.size)
        wait(self.predict, self._predict_of(test))
        labels = self.viewer.layers["test labels"]
        scores = api.score(list(self.images.test_truth), list(np.asarray(labels.data)), SCORES)
        for layer in (labels, test):
            self.viewer.layers.remove(layer)
        return scores

    def _predict_of(self, layer: Any) -> Callable[[], None]:
        self.predict.layer.value = layer
        return self.predict.predict


def main(arguments: argparse.Namespace) -> None:
    """Run the rounds and write the table."""
    images = {"u373": u373, "nuclei": nuclei}[arguments.data]()
    rng = np.random.default_rng(arguments.seed)
    loop = Loop(images, arguments)
    rows = [loop.round(loop.annotate, loop.scribble(rng), Waited())]
    for _ in range(CORRECTED):
        learned, waited = loop.improve()
        rows.append(loop.round(loop.correct, learned, waited))
    loop.viewer.close()
    (arguments.out / "results.md").write_text(table(rows), encoding="utf-8")
    print(table(rows))


def table(rows: list[Row]) -> str:
    """The rounds as Markdown; waiting in seconds by the clock, and of processor time in brackets."""
    steps = list(rows[0].waited)
    lines = [f"| round | learned from | {' | '.join(SCORES)} | {', s | '.join(steps)}, s |"]
    lines.append("|" + "---|" * (2 + len(SCORES) + len(steps)))
    for number, row in enumerate(rows, 1):
        scores = " | ".join(f"{row.scores[name]:.3f}" for name in SCORES)
        seconds = " | ".join(f"{w.clock:.0f} ({w.processor:.0f})" for w in row.waited.values())
        lines.append(f"| {number} | {row.learned} | {scores} | {seconds} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("data", choices=["u373", "nuclei"])
    parser.add_argument("--from", dest="start", default="")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    main(parser.parse_args())
