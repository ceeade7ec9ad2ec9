"""Files of microscopes (extra `formats`): CZI, ND2 and LIF, and what BioIO has a reader for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from unetseg.errors import UserError
from unetseg.images.chunks import ChunkCache
from unetseg.images.lazy import Choice, LazyImage
from unetseg.images.microscopes.leica import leica_scenes
from unetseg.images.microscopes.nikon import nikon_scenes
from unetseg.images.microscopes.other import bioio_scenes
from unetseg.images.microscopes.scenes import Scene, image_of_scenes
from unetseg.images.microscopes.zeiss import zeiss_scenes

READERS: dict[str, tuple[str, Callable[[Path], Sequence[Scene]]]] = {
    ".czi": ("pylibCZIrw", zeiss_scenes),
    ".nd2": ("nd2", nikon_scenes),
    ".lif": ("liffile", leica_scenes),
}
"""By ending: the package that reads a format, and the reader; BioIO for all others."""
INSTALL = 'pip install "unetseg-microscopy[formats]"'


def open_microscope(path: Path, choice: Choice, cache: ChunkCache) -> LazyImage:
    """The chosen scene of a microscope's file, or all scenes if they are alike.

    Raises UserError without the package that reads the format, which says what to install.
    """
    package, read = READERS.get(path.suffix.lower(), ("bioio", bioio_scenes))
    try:
        scenes = read(path)
    except ImportError:
        raise UserError(f"{path}: {path.suffix} files need the package {package}: {INSTALL}.") from None
    return image_of_scenes(path, scenes, choice, cache)
