"""The pictures of a report: frames with switchable layers, cut-outs of mistakes, thumbnails of all frames."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from unetseg.evaluation.by_kind import number
from unetseg.figures import (
    agreement_layer,
    focus_picture,
    grey,
    heat_layer,
    jpeg_uri,
    label_layer,
    outlines,
    picture_uri,
    png_uri,
)
from unetseg.figures.pictures import PREDICTED, TRUTH
from unetseg.images.rescale import nearest_resized
from unetseg.report.error_analysis import ErrorAnalysis
from unetseg.report.frames import Frame
from unetseg.run import Run
from unetseg.scores.mistakes import MISTAKES, Mistake, error_counts, error_sentence, frame_errors

LARGEST_PX, THUMB_PX, SMALL_PX, KEPT_PX = 1024, 300, 340, 1400
"""Pixels along the longest side of a frame, of a cut-out, of a thumbnail, and of a saved picture."""
SHOWN, MOST_FRAMES = 6, 60
"""The most cut-outs of each kind of mistake, and the most frames that are shown as thumbnails."""
Scores = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class ScaleBar:
    """Its share of the picture's width in percent, and its length as text."""

    percent: float
    text: str


@dataclass(frozen=True)
class Viewer:
    """A frame with its layers as data URIs; width and height in pixels; `noun` is what is counted."""

    rank: str
    name: str
    score: str
    width: int
    height: int
    image: str
    layers: dict[str, str]
    objects: dict[str, int]
    noun: str
    bar: ScaleBar | None
    sentence: str


@dataclass(frozen=True)
class Picture:
    """A picture with its caption and description."""

    uri: str
    caption: str
    alt: str
    width: int
    height: int


def viewers(
    analysis: ErrorAnalysis,
    chosen: dict[str, str],
    scores: Scores,
    name: str,
    noun: str = "objects",
) -> list[Viewer]:
    """The chosen frames (frame → rank), scaled down where they are very large."""
    made = []
    for frame_name, rank in chosen.items():
        if frame_name in analysis.names:
            frame, kind = analysis.frames.read(frame_name)
            words = noun if kind == "instances" else "classes"
            score = f"{name} {number(scores[frame_name].get(name))}"
            made.append(_viewer(frame, rank, score, words))
    return made


def thumbnails(analysis: ErrorAnalysis) -> dict[str, list[Picture]]:
    """The largest mistakes of each kind, cut out; every frame is read once."""
    chosen: dict[str, list[tuple[str, Mistake]]] = {}
    for kind in MISTAKES:
        of_kind = sorted((m for m in analysis.mistakes if m[1].kind == kind), key=lambda m: -m[1].area)
        chosen[kind] = of_kind[:SHOWN]
    every = [m for some in chosen.values() for m in some]
    made: dict[tuple[str, int], Picture] = {}
    for name in sorted({name for name, _ in every}):
        frame = analysis.frames.read(name)[0]
        made |= {(n, id(m)): _cut_out(frame, m) for n, m in every if n == name}
    return {kind: [made[n, id(m)] for n, m in some] for kind, some in chosen.items()}


def frames_in_small(analysis: ErrorAnalysis) -> dict[str, Picture]:
    """Thumbnails of all scored frames, with both outlines; none if there are very many."""
    if len(analysis.names) > MOST_FRAMES:
        return {}
    made = {}
    for name in analysis.names:
        frame = _small(analysis.frames.read(name)[0].plane(), SMALL_PX)
        picture = outlines(frame.image, frame.truth, frame.predicted)
        alt = f"{name} with the outlines of truth and prediction"
        made[name] = Picture(jpeg_uri(picture, 72), name, alt, picture.shape[1], picture.shape[0])
    return made


def kept_pictures(run: Run) -> list[Picture]:
    """The pictures in RUN/pictures: restored images, and overlays in case the data no longer exist."""
    made = []
    restores = run.experiment.target.kind == "restoration"
    words = (
        "restored, noisy and clean"
        if restores
        else "image, outlines of truth and prediction, and both label images"
    )
    for path in sorted(run.pictures.glob("*.png")):
        if path.name != "curves.png":
            try:
                uri, width, height = picture_uri(path, KEPT_PX)
            except OSError:  # damaged, or not a picture
                continue
            alt = f"{path.stem}: {words}"
            made.append(Picture(uri, path.stem, alt, width, height))
    return made


def scale_bar(spacing_um: Sequence[float] | None, width: int) -> ScaleBar | None:
    """A bar of 1, 2 or 5 times a power of ten, at most a quarter of the width (pixels); None without a size.

    >>> scale_bar((0.65, 0.65), 696)
    ScaleBar(percent=22.1, text='100 µm')
    """
    if spacing_um is None or not spacing_um[-1] > 0:
        return None
    most = 0.25 * width * spacing_um[-1]
    power = 10.0 ** math.floor(math.log10(most))
    length = max(step * power for step in (1, 2, 5) if step * power <= most)
    text = (
        f"{1000 * length:g} nm"
        if length < 1
        else f"{length:g} µm"
        if length < 1000
        else f"{length / 1000:g} mm"
    )
    return ScaleBar(round(100 * length / (width * spacing_um[-1]), 1), text)


def _viewer(whole: Frame, rank: str, score: str, noun: str) -> Viewer:
    frame = whole.plane()
    bar = scale_bar(frame.spacing_um, frame.truth.shape[1])
    frame = _small(frame, LARGEST_PX)
    layers = {
        "truth": label_layer(frame.truth, TRUTH),
        "prediction": label_layer(frame.predicted, PREDICTED),
        "both": agreement_layer(frame.truth, frame.predicted),
    }
    if frame.probability is not None:
        layers["probability"] = heat_layer(frame.probability)
    height, width = frame.truth.shape
    errors = [] if noun == "classes" else [frame_errors(whole.truth, whole.predicted)]
    return Viewer(
        rank=rank,
        name=frame.name,
        score=score,
        width=width,
        height=height,
        image=jpeg_uri(grey(frame.image)),
        layers={name: png_uri(layer) for name, layer in layers.items()},
        objects={"truth": _count(whole.truth), "prediction": _count(whole.predicted)},
        noun=noun,
        bar=bar,
        sentence=error_sentence(error_counts(errors), noun) if errors else "",
    )


def _small(frame: Frame, longest_px: int) -> Frame:
    """The plane with at most so many pixels along its longest side; labels keep their ids."""
    longest = max(frame.truth.shape)
    if longest <= longest_px:
        return frame
    shape = tuple(max(1, round(n * longest_px / longest)) for n in frame.truth.shape)
    planes = [resize(c.astype(np.float32), shape, anti_aliasing=True) for c in frame.image[:3]]
    probability = None if frame.probability is None else nearest_resized(frame.probability, shape)
    return replace(
        frame,
        image=np.stack(planes),
        truth=nearest_resized(frame.truth, shape),
        predicted=nearest_resized(frame.predicted, shape),
        probability=probability,
    )


def _cut_out(whole: Frame, mistake: Mistake) -> Picture:
    """The mistake with some surroundings, about THUMB_PX pixels wide; of a volume its middle slice."""
    z = None if len(mistake.box) == 2 else (mistake.box[0].start + mistake.box[0].stop) // 2
    frame, (rows, columns) = whole.plane(z), mistake.box[-2:]
    height, width = frame.truth.shape
    side = int(1.6 * max(rows.stop - rows.start, columns.stop - columns.start)) + 8
    cut = (_span(rows, min(side, height), height), _span(columns, min(side, width), width))
    step = max(1, -(-side // (3 * THUMB_PX // 2)))  # every n-th pixel of an object larger than the picture
    coarse = tuple(slice(s.start, s.stop, step) for s in cut)
    labels = (frame.truth[coarse], frame.predicted[coarse])
    scale = max(1, round(THUMB_PX * step / side))
    chosen = (mistake.truth, mistake.predicted)
    picture = focus_picture(frame.image[(slice(None), *coarse)], labels, chosen, scale)
    where = f"x\N{NO-BREAK SPACE}{(columns.start + columns.stop) // 2}, "
    where += f"y\N{NO-BREAK SPACE}{(rows.start + rows.stop) // 2}" + ("" if z is None else f", slice {z}")
    border = ", at the border" if mistake.at_border else ""
    caption = f"{frame.name}: {_words(mistake, whole.spacing_um)}{border} ({where})"
    alt = f"{mistake.kind} in {frame.name} at {where}, with outlines"
    return Picture(jpeg_uri(picture, 85), caption, alt, picture.shape[1], picture.shape[0])


def _words(mistake: Mistake, spacing_um: Sequence[float] | None) -> str:
    """What the mistake is, or the size of its object, in µm² or µm³ if the pixel size is known."""
    if mistake.kind == "split":
        return f"1 object in {len(mistake.predicted)} pieces"
    if mistake.kind == "merged":
        return f"{len(mistake.truth)} objects as 1"
    if spacing_um is None:
        return f"{mistake.area} pixels"
    size = mistake.area * float(np.prod(spacing_um))
    words = f"{size:.0f}" if size >= 100 else f"{size:.3g}"
    return f"{words} µm{'³' if len(spacing_um) == 3 else '²'}"


def _span(where: slice, side: int, length: int) -> slice:
    """`side` pixels around a span, moved to lie within `length`."""
    start = min(max(0, (where.start + where.stop - side) // 2), length - side)
    return slice(start, start + side)


def _count(labels: NDArray[Any]) -> int:
    return int((np.unique(labels) > 0).sum())
