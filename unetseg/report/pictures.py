"""The pictures of a report: frames with layers to switch, mistakes cut out, what the network was given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from unetseg.errors import UserError
from unetseg.evaluation.by_kind import number
from unetseg.figures import (
    agreement_layer,
    focus_picture,
    grey,
    heat,
    jpeg_uri,
    label_layer,
    picture_uri,
    png_uri,
)
from unetseg.figures.pictures import PREDICTED, TRUTH
from unetseg.pipeline.dataset import learnt_classes, list_data
from unetseg.pipeline.preview import shown
from unetseg.report.error_analysis import KINDS, ErrorAnalysis, Frame, Mistake, read_frame
from unetseg.run import Run
from unetseg.tasks.listing import split

LARGEST, THUMB, SHOWN = 1024, 300, 6
"""Pixels along the longest side of a frame and of a cutting; cuttings of each kind."""
TRAINING_PX, KEPT_PX = 320, 1400


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


@dataclass(frozen=True)
class Picture:
    """A picture and its words."""

    uri: str
    caption: str
    alt: str
    width: int
    height: int


@dataclass(frozen=True)
class Training:
    """What the network was given of one image: pictures, with the weight map's colour bar and ends."""

    name: str
    pictures: list[Picture]
    bar: str
    low: str
    high: str


def viewers(
    run: Run,
    analysis: ErrorAnalysis,
    chosen: dict[str, str],
    scores: dict[str, dict[str, float | None]],
    name: str,
) -> list[Viewer]:
    """The chosen frames (frame → rank), scaled down where they are very large."""
    made = []
    for frame_name, rank in chosen.items():
        if frame_name in analysis.entries:
            frame, kind = read_frame(run, analysis.entries[frame_name])
            noun = "objects" if kind == "instances" else "classes"
            made.append(_viewer(_small(frame), rank, f"{name} {number(scores[frame_name].get(name))}", noun))
    return made


def thumbnails(run: Run, analysis: ErrorAnalysis) -> dict[str, list[Picture]]:
    """The largest mistakes of each kind, cut out; every frame is read once."""
    chosen: dict[str, list[Mistake]] = {}
    for kind in KINDS:
        of_kind = sorted((m for m in analysis.mistakes if m.kind == kind), key=lambda m: -m.area)
        chosen[kind] = of_kind[:SHOWN]
    frames = {m.frame for some in chosen.values() for m in some}
    made: dict[Mistake, Picture] = {}
    for name in sorted(frames):
        frame = read_frame(run, analysis.entries[name])[0]
        made |= {m: _cut_out(frame, m) for some in chosen.values() for m in some if m.frame == name}
    return {kind: [made[m] for m in some] for kind, some in chosen.items()}


def training_pictures(run: Run) -> tuple[Training | None, str]:
    """The class map, weight map and augmented draws of a training image; else why there are none."""
    experiment = run.experiment
    try:
        listing = list_data(experiment.data)
        entries = split(listing, experiment.data).train
        rows = shown(experiment, entries[:1], learnt_classes(listing, experiment.target))
    except (UserError, OSError) as error:
        return None, f"The training data cannot be read: {error}"
    name, row = next(iter(rows.items()))
    weight = np.asarray(row["weight map"])
    painted, bar = heat(weight)
    pictures = [_training_picture(title, p, name) for title, p in (row | {"weight map": painted}).items()]
    low, high = f"{weight.min():.3g}", f"{weight.max():.3g}"
    return Training(name, pictures, png_uri(bar), low, high), ""


def kept_pictures(run: Run) -> list[Picture]:
    """The overlays in RUN/pictures, for when the data are not there any more."""
    made = []
    for path in sorted(run.pictures.glob("*.png")):
        if path.name != "curves.png":
            uri, width, height = picture_uri(path, KEPT_PX)
            alt = f"{path.stem}: image, outlines of truth and prediction, and both label images"
            made.append(Picture(uri, path.stem, alt, width, height))
    return made


def _viewer(frame: Frame, rank: str, score: str, noun: str) -> Viewer:
    layers = {
        "truth": label_layer(frame.truth, TRUTH),
        "prediction": label_layer(frame.predicted, PREDICTED),
        "both": agreement_layer(frame.truth, frame.predicted),
    }
    objects = {"truth": _count(frame.truth), "prediction": _count(frame.predicted)}
    height, width = frame.truth.shape
    uris = {name: png_uri(layer) for name, layer in layers.items()}
    image = jpeg_uri(grey(frame.image))
    return Viewer(rank, frame.name, score, width, height, image, uris, objects, noun)


def _small(frame: Frame) -> Frame:
    """The frame with at most LARGEST pixels along its longest side; labels keep their ids."""
    longest = max(frame.truth.shape)
    if longest <= LARGEST:
        return frame
    shape = tuple(max(1, round(n * LARGEST / longest)) for n in frame.truth.shape)
    y, x = (((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(shape, frame.truth.shape, strict=True))
    planes = [resize(c.astype(np.float32), shape, anti_aliasing=True) for c in frame.image[:3]]
    return Frame(frame.name, np.stack(planes), frame.truth[np.ix_(y, x)], frame.predicted[np.ix_(y, x)])


def _cut_out(frame: Frame, mistake: Mistake) -> Picture:
    """The mistake with some of its surroundings, about THUMB pixels wide."""
    (top, left, bottom, right), (height, width) = mistake.box, frame.truth.shape
    side = int(1.6 * max(bottom - top, right - left)) + 8
    cut = (_span(top, bottom, min(side, height), height), _span(left, right, min(side, width), width))
    area = Frame(mistake.frame, frame.image[(slice(None), *cut)], frame.truth[cut], frame.predicted[cut])
    step = max(1, -(-side // (3 * THUMB // 2)))  # every n-th pixel of an object larger than the picture
    coarse = (slice(None, None, step), slice(None, None, step))
    labels = (area.truth[coarse], area.predicted[coarse])
    scale = max(1, round(THUMB * step / side))
    picture = focus_picture(
        area.image[(slice(None), *coarse)], labels, (mistake.truth, mistake.predicted), scale
    )
    where = f"x\N{NO-BREAK SPACE}{(left + right) // 2}, y\N{NO-BREAK SPACE}{(top + bottom) // 2}"
    caption = f"{mistake.frame}: {_words(mistake)}"
    alt = f"{mistake.kind} object in {mistake.frame} at {where}, with outlines"
    return Picture(jpeg_uri(picture, 85), f"{caption} ({where})", alt, picture.shape[1], picture.shape[0])


def _words(mistake: Mistake) -> str:
    if mistake.kind == "split":
        return f"1 object in {len(mistake.predicted)} pieces"
    if mistake.kind == "merged":
        return f"{len(mistake.truth)} objects as 1"
    return f"{mistake.area} pixels"


def _span(first: int, end: int, side: int, length: int) -> slice:
    """`side` pixels around first…end, moved to lie within `length`."""
    start = min(max(0, (first + end - side) // 2), length - side)
    return slice(start, start + side)


def _training_picture(title: str, picture: NDArray[Any], name: str) -> Picture:
    step = max(1, -(-max(picture.shape[:2]) // TRAINING_PX))
    small = picture[::step, ::step]
    scale = max(1, TRAINING_PX // (2 * max(small.shape[:2])))
    large = small.repeat(scale, 0).repeat(scale, 1)
    caption = title.replace("draw", "augmented crop")
    uri = png_uri(large) if title in ("labels", "class map") else jpeg_uri(large)
    return Picture(uri, caption, f"{caption} of {name}", large.shape[1], large.shape[0])


def _count(labels: NDArray[Any]) -> int:
    return int((np.unique(labels) > 0).sum())
