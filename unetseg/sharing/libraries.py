"""The optional libraries of bioimage.io, loaded when a package is written or read."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from unetseg.errors import UserError
from unetseg.inference.export import INSTALL

TOO_NEW = "2.14"


def load_libraries() -> Any:
    """The module bioimageio.spec; UserError if a package that it needs is not installed."""
    try:
        import bioimageio.core
        import bioimageio.spec
        import onnxruntime  # noqa: F401 (bioimageio.core tests the ONNX weights with it)
        from loguru import logger
    except ImportError as error:
        raise UserError(f"a bioimage.io package needs more packages ({error.name}): {INSTALL}.") from None
    if version("pydantic") >= TOO_NEW and version("bioimageio.spec") == "0.5.12.0":
        raise UserError(
            f"bioimageio.spec 0.5.12.0 does not work with pydantic {version('pydantic')}: {INSTALL}."
        )
    logger.disable("bioimageio")
    return bioimageio.spec
