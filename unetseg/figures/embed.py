"""Pictures as data URIs, to embed in a page that has no other files."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def jpeg_uri(picture: NDArray[Any], quality: int = 82) -> str:
    """(y, x, 3) in 0…1 as a JPEG: for photographs."""
    return _uri(Image.fromarray(_bytes(picture)), "JPEG", quality=quality, optimize=True)


def png_uri(picture: NDArray[Any]) -> str:
    """(y, x, 3 or 4) in 0…1 as a PNG: for outlines and flat colours, transparent where alpha is 0."""
    return _uri(Image.fromarray(_bytes(picture)), "PNG", optimize=True)


def picture_uri(path: Path, width: int) -> tuple[str, int, int]:
    """A picture file as a JPEG of at most `width` pixels across; with its width and height."""
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((width, 4 * width))
    return _uri(small, "JPEG", quality=82, optimize=True), *small.size


def _bytes(picture: NDArray[Any]) -> NDArray[np.uint8]:
    return (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)


def _uri(image: Image.Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
