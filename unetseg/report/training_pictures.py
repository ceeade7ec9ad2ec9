"""What the network saw of one training image: class map, weight map and augmented crops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.figures import heat, jpeg_uri, png_uri
from unetseg.pipeline.dataset import learnt_classes, list_data
from unetseg.pipeline.preview import shown
from unetseg.report.pictures import Picture
from unetseg.run import Run
from unetseg.tasks.listing import split

SIDE_PX = 320
WEIGHTS = "weight map"


@dataclass(frozen=True)
class Training:
    """Pictures of one image; if it has a weight map, with that one's colour bar and its ends."""

    name: str
    pictures: list[Picture]
    bar: str = ""
    low: str = ""
    high: str = ""


def training_pictures(run: Run) -> tuple[Training | None, str]:
    """The class map, weight map and augmented crops of a training image; else why there are none."""
    experiment = run.experiment
    try:
        listing = list_data(experiment.data)
        entries = split(listing, experiment.data).train
        rows = shown(experiment, entries[:1], learnt_classes(listing, experiment.target))
    except (UserError, OSError) as error:
        return None, f"The training data cannot be read: {error}"
    name, row = next(iter(rows.items()))
    if WEIGHTS not in row:
        return Training(name, [_picture(title, p, name) for title, p in row.items()]), ""
    weight = np.asarray(row[WEIGHTS])
    painted, bar = heat(weight)
    pictures = [_picture(title, p, name) for title, p in (row | {WEIGHTS: painted}).items()]
    low, high = f"{weight.min():.3g}", f"{weight.max():.3g}"
    return Training(name, pictures, png_uri(bar), low, high), ""


def _picture(title: str, picture: NDArray[Any], name: str) -> Picture:
    step = max(1, -(-max(picture.shape[:2]) // SIDE_PX))
    small = picture[::step, ::step]
    scale = max(1, SIDE_PX // (2 * max(small.shape[:2])))
    large = small.repeat(scale, 0).repeat(scale, 1)
    caption = title.replace("draw", "augmented crop")
    uri = png_uri(large) if title in ("labels", "class map") else jpeg_uri(large)
    return Picture(uri, caption, f"{caption} of {name}", large.shape[1], large.shape[0])
