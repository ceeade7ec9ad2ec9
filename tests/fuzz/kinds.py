"""Every kind of file that is damaged."""

from . import images, models, runs

KINDS = {**images.KINDS, **models.KINDS, **runs.KINDS}
