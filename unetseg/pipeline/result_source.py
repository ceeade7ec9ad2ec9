"""The image of a prediction, as its options choose it of the file."""

from __future__ import annotations

from dataclasses import replace

from unetseg.images import LazyImage, open_image
from unetseg.images.rgb import as_grey
from unetseg.pipeline.predict_options import PredictOptions
from unetseg.pipeline.result_names import Target


def open_source(target: Target, options: PredictOptions) -> LazyImage:
    """The image that is predicted, at its own size: series, level, channels and planes as asked for."""
    image = open_image(
        target.image,
        series=options.series,
        level=options.pyramid_level,
        channels=options.channel or None,
        planes=options.plane or None,
        axes=options.axes,
        damaged=options.skip_damaged,
    )
    if options.grey:
        image = as_grey(image)
    if options.pixel_size is None:
        return image
    scale = replace(image.scale, yx_um=(options.pixel_size, options.pixel_size))
    return replace(image, scale=scale)
