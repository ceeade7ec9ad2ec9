"""The images of a microscope's file, brought to planes that are read region by region."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unetseg.errors import UserError
from unetseg.images.chunks import ChunkCache, read_chunked
from unetseg.images.layout import Layout, one_of
from unetseg.images.lazy import Choice, LazyImage, fingerprint, plane_names
from unetseg.images.limits import check_memory
from unetseg.images.scale import Scale

Place = dict[str, int]
"""An index along each axis by its letter."""


@dataclass(frozen=True)
class Scene:
    """One image of a file.

    axes: letters and lengths, in order, of which Y, X and perhaps S (RGB) are a frame; chunk: (y, x) of
    the block that one read decodes; read: the block (y, x) or (y, x, s) at a place along all other axes.
    """

    name: str
    axes: dict[str, int]
    dtype: np.dtype[Any]
    scale: Scale
    chunk: tuple[int, int]
    read: Callable[[Place, slice, slice], NDArray[Any]]


def image_of_scenes(path: Path, scenes: Sequence[Scene], choice: Choice, cache: ChunkCache) -> LazyImage:
    """The chosen scene, or all of them, one after another, if they are alike.

    Raises UserError for a scene that does not exist, and for several that differ.
    """
    if choice.level:
        raise UserError(f"{path}: is read at full size alone; leave the pyramid level out.")
    chosen = _chosen(path, scenes, choice)
    first = chosen[0]
    check_memory(path, int(np.prod(first.chunk)) * first.dtype.itemsize * first.axes.get("S", 1))
    axes = ({"P": len(chosen)} if len(chosen) > 1 else {}) | _squeezed(first)
    layout = Layout.of(path, "".join(axes), tuple(axes.values()), choice.axes)
    return LazyImage(
        path=path,
        planes=plane_names(layout.planes),
        axes=layout.planes,
        shape=(layout.channels, *layout.yx),
        dtype=first.dtype,
        scale=first.scale,
        chunks=first.chunk,
        identity=fingerprint(path, [path], choice),
        read=read_chunked(first.chunk, first.dtype, partial(_block, chosen, tuple(axes), layout, cache)),
    )


def _block(
    scenes: Sequence[Scene],
    letters: tuple[str, ...],
    layout: Layout,
    cache: ChunkCache,
    plane: int,
    channel: int,
    iy: int,
    ix: int,
) -> NDArray[Any]:
    """One channel (y, x) of the block in row iy and column ix of a plane."""
    place = dict(zip(letters, layout.place(plane, channel, 0, 0), strict=True))
    sample, number = place.pop("S", None), place.pop("P", 0)
    scene = scenes[number]
    y, x = (_span(i, n, scene.axes[a]) for i, n, a in zip((iy, ix), scene.chunk, "YX", strict=True))
    outer = {axis: at for axis, at in place.items() if axis not in "YX"}
    block = cache.get((number, *outer.items(), iy, ix), partial(scene.read, outer, y, x))
    return block if sample is None else block[..., sample]


def _span(number: int, size: int, length: int) -> slice:
    return slice(number * size, min((number + 1) * size, length))


def _squeezed(scene: Scene) -> dict[str, int]:
    """The axes but for those of length 1."""
    return {a: n for a, n in scene.axes.items() if n > 1 or a in "YX"}


def _chosen(path: Path, scenes: Sequence[Scene], choice: Choice) -> Sequence[Scene]:
    texts = [f"{s.name}, {'×'.join(map(str, _squeezed(s).values()))} {''.join(_squeezed(s))}" for s in scenes]
    if choice.series is not None:
        return [one_of(path, scenes, choice.series, "scene", texts)]
    if not scenes:
        raise UserError(f"{path}: holds no image.")
    if len({(*_squeezed(s).items(), s.dtype) for s in scenes}) > 1:
        known = "; ".join(f"{i} ({text})" for i, text in enumerate(texts[:20]))
        raise UserError(
            f"{path}: holds {len(scenes)} scenes of different kinds or sizes: {known}. Choose one: --scene 0."
        )
    return scenes
