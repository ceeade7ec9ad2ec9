"""Pictures for people: PNG files, and pictures embedded in a page."""

from unetseg.figures.embed import jpeg_uri, picture_uri, png_uri
from unetseg.figures.layers import agreement_layer, focus_picture, heat, heat_layer, label_layer
from unetseg.figures.palette import colours
from unetseg.figures.pictures import (
    grey,
    middle_slice,
    outlines,
    save,
    write_curves,
    write_overlay,
    write_sheet,
)

__all__ = [
    "agreement_layer",
    "colours",
    "focus_picture",
    "grey",
    "heat",
    "heat_layer",
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
