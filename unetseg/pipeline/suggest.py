"""Which images to annotate next: uncertain ones, unlike the training images and unlike each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from unetseg.figures import grey, heat_layer, jpeg_uri, middle_slice
from unetseg.pipeline.model import Model, PredictSettings
from unetseg.pipeline.object_size import predict_at_object_size
from unetseg.uncertainty import entropy, object_uncertainty

Order = Literal["uncertain-and-new", "uncertain"]
UNSURE = 0.5
"""An object whose mean uncertainty is above this counts as uncertain."""
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
SCALES_PX = (1, 2, 4, 8, 16)
"""Standard deviations of the Gaussians between which an image's texture is measured."""
THUMBNAIL_PX = 320
FAR = 2
"""Appearances are unlike the training images from this many times their usual distance on."""


@dataclass(frozen=True)
class Look:
    """What a model makes of an image.

    uncertainty: the mean over its pixels, 0…1; objects, uncertain: how many there are, and how many have a
    mean uncertainty above `UNSURE` (0 for class maps); appearance: see `appearance`; picture, heat: the image
    and its map of uncertainty as data URIs, of `size` (y, x) pixels.
    """

    name: str
    uncertainty: float
    objects: int
    uncertain: int
    appearance: NDArray[np.float64]
    picture: str
    heat: str
    size: tuple[int, ...]


@dataclass(frozen=True)
class Suggestion:
    """An image to annotate.

    novelty: how far its appearance is from the nearest training image, 1 as far as training images are from
    one another; None where they are not known.
    """

    look: Look
    rank: int
    novelty: float | None


def look_at(model: Model, name: str, image: NDArray[Any]) -> Look:
    """What a model makes of an image (c, *yx)."""
    labels, unsure = uncertainty_of(model, name, image)
    objects = model.recipe.kind != "classes"
    means = object_uncertainty(labels, unsure)["uncertainty"] if objects else np.empty(0)
    picture, heat = (_thumbnail(middle_slice(a)) for a in (image, unsure[None]))
    return Look(
        name,
        uncertainty=float(unsure.mean()),
        objects=len(means),
        uncertain=int((means > UNSURE).sum()),
        appearance=appearance(model, name, image),
        picture=jpeg_uri(grey(picture)),
        heat=jpeg_uri(heat_layer(heat[0])[..., :3]),
        size=heat[0].shape,
    )


def most_uncertain(
    model: Model,
    images: Iterable[tuple[str, NDArray[Any]]],
    *,
    progress: Callable[[str], None] = lambda name: None,
    stopped: Callable[[], bool] = lambda: False,
) -> list[tuple[str, float]]:
    """The names of images (c, y, x) with their mean uncertainty, 0…1, the highest first."""
    found = []
    for name, image in images:
        if stopped():
            break
        found.append((name, float(uncertainty_of(model, name, image)[1].mean())))
        progress(name)
    return sorted(found, key=lambda pair: -pair[1])


def uncertainty_of(model: Model, name: str, image: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Labels and uncertainty (*yx) of an image (c, *yx), predicted at the size of the model's objects."""
    found = predict_at_object_size(model, image, name, PredictSettings())
    return found.labels, entropy(found.probabilities)


def appearance(model: Model, name: str, image: NDArray[Any]) -> NDArray[np.float64]:
    """Numbers that describe how an image (c, *yx) looks to the network: its grey values and its texture.

    Of each channel, normalised as in training: quantiles, and the standard deviation of what lies between
    Gaussian filters of 1, 2, 4, 8 and 16 pixels.
    """
    numbers: list[float] = []
    for channel in model.normalised(image, name):
        numbers += np.quantile(channel, QUANTILES).tolist()
        smooth = [gaussian_filter(channel, s) for s in SCALES_PX]
        numbers += [float((a - b).std()) for a, b in zip([channel, *smooth], smooth, strict=False)]
    return np.array(numbers)


def choose(
    looks: Sequence[Look], known: Sequence[NDArray[np.float64]], top: int, order: Order = "uncertain-and-new"
) -> list[Suggestion]:
    """The images to annotate, the most useful one first.

    known: the appearance of the training images. order: by the uncertainty alone, or by its product with the
    distance to the nearest image that is annotated or suggested already, so that images which resemble
    one another are not suggested together (Yang et al., "Suggestive annotation", MICCAI 2017).
    """
    old, new = _standardised(known, [look.appearance for look in looks])
    novelty = _novelty(old, new)
    nearest = _distances(new, old).min(1, initial=np.inf)
    left, ranked = list(range(len(looks))), list[int]()
    while left and len(ranked) < top:
        alone = order == "uncertain" or np.isinf(nearest).all()  # or nothing is there to be unlike
        best = max(left, key=lambda i: looks[i].uncertainty * (1 if alone else nearest[i]))
        ranked.append(best)
        left.remove(best)
        nearest = np.minimum(nearest, _distances(new, new[best : best + 1])[:, 0])
    return [Suggestion(looks[i], rank, novelty[i]) for rank, i in enumerate(ranked, 1)]


def reasons(suggestion: Suggestion) -> list[str]:
    """Why an image is suggested, in words."""
    look, far = suggestion.look, suggestion.novelty
    found = [f"mean uncertainty {look.uncertainty:.3f}"]
    if look.uncertain:
        found.append(f"{look.uncertain} of {look.objects} objects are uncertain")
    if far is not None and far > FAR:
        found.append(f"looks unlike the training images ({far:.1f} times their usual distance)")
    return found


def _standardised(
    known: Sequence[NDArray[np.float64]], new: Sequence[NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both (n, numbers), every number with the same spread over all images."""
    every = np.array([*known, *new])
    points = (every - every.mean(0)) / np.maximum(every.std(0), 1e-9)
    return points[: len(known)], points[len(known) :]


def _distances(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, m) distances of points."""
    return np.linalg.norm(one[:, None] - other[None], axis=2)


def _novelty(old: NDArray[np.float64], new: NDArray[np.float64]) -> list[float | None]:
    """The distance of new points to the nearest old one, by the median of that among the old ones."""
    among = _distances(old, old) + np.diag(np.full(len(old), np.inf))
    usual = float(np.median(among.min(1))) if len(old) > 1 else 0.0
    if usual == 0:
        return [None] * len(new)
    return (_distances(new, old).min(1) / usual).tolist()


def _thumbnail(image: NDArray[Any]) -> NDArray[Any]:
    """Every n-th pixel of an image (c, y, x), so that it is small."""
    step = -(-max(image.shape[1:]) // THUMBNAIL_PX)
    return image[:, ::step, ::step]
