"""Every kind of file that is damaged."""

from . import images

KINDS = {**images.KINDS}
