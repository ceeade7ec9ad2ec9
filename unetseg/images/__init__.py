"""Images that are read and written region by region, without holding a whole image in memory."""

from unetseg.images.lazy import DamagedRegion, LazyImage, Plane
from unetseg.images.opening import open_image

__all__ = ["DamagedRegion", "LazyImage", "Plane", "open_image"]
