"""Images that are read and written region by region: what is needed is read, nothing is held whole."""

from unetseg.images.lazy import DamagedRegion, LazyImage, Plane
from unetseg.images.opening import open_image

__all__ = ["DamagedRegion", "LazyImage", "Plane", "open_image"]
