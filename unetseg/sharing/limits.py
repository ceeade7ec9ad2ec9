"""The parts of a model's prediction that a package cannot carry, as sentences."""

from __future__ import annotations

from unetseg.nets import BlendedTiles, InexactTiles, Net
from unetseg.pipeline.recipe import Recipe


def not_carried(recipe: Recipe, net: Net) -> list[str]:
    """What `unetseg predict` does with the model but other programs do not, one sentence each."""
    labels, found = recipe.labels, []
    if isinstance(net, InexactTiles):
        found.append(f"Tiles do not equal the whole image ({net.inexact_tiles}).")
    if isinstance(net, BlendedTiles):
        found.append(f"`unetseg predict` blends windows of {net.window} pixels that overlap by half.")
    if recipe.object_diameter > 0:
        found.append(
            f"Resizing: give images in which the objects are about {recipe.object_diameter:g} pixels across."
        )
    if recipe.downsample > 1:
        found.append(
            f"Downsampling: shrink images {recipe.downsample} times along y and x (mean of blocks) first."
        )
    if labels.test_time_augmentation > 1:
        found.append(
            f"Test-time augmentation: no average over {labels.test_time_augmentation} flips and rotations."
        )
        if recipe.calibration:
            found.append(
                "The weights calibrate before an average; `unetseg predict RUN` calibrates after it."
            )
    if labels.median_radius > 0:
        found.append(f"The median filter of radius {labels.median_radius} on the probabilities is left out.")
    if recipe.kind == "instances":
        found.append(_separation(recipe))
    if recipe.normalisation.method in ("per-image", "percentile"):
        found.append(
            "Normalisation by the whole image: a program that cuts the image into tiles before it normalises "
            "gives other results."
        )
    if recipe.normalisation.repeat_grey:
        found.append("Grey images: repeat them into three channels first.")
    return found


def _separation(recipe: Recipe) -> str:
    labels = recipe.labels
    how = (
        f"a watershed from seeds above {labels.seed_threshold:g}"
        if labels.seed_threshold > 0
        else "connected components"
    )
    foreground = "foreground" if recipe.classes == 2 else "foreground (1 − the first channel)"
    return (
        f"Objects: the output is probabilities. Threshold the {foreground} at {labels.threshold:g}, "
        f"separate objects by {how}, remove those below {labels.min_area} pixels and "
        f"fill holes up to {labels.max_hole_area}."
    )
