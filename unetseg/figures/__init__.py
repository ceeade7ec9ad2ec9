"""Pictures for people: PNG files, charts as SVG, and pictures inside a page."""

from unetseg.figures.charts import Line, curves_svg, histogram_svg
from unetseg.figures.embed import jpeg_uri, picture_uri, png_uri
from unetseg.figures.layers import agreement_layer, focus_picture, heat, label_layer
from unetseg.figures.pictures import (
    colours,
    grey,
    middle_slice,
    outlines,
    save,
    write_curves,
    write_overlay,
    write_sheet,
)

__all__ = [
    "Line",
    "agreement_layer",
    "colours",
    "curves_svg",
    "focus_picture",
    "grey",
    "heat",
    "histogram_svg",
    "jpeg_uri",
    "label_layer",
    "middle_slice",
    "outlines",
    "picture_uri",
    "png_uri",
    "save",
    "write_curves",
    "write_overlay",
    "write_sheet",
]
