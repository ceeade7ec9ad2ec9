"""A model written for other programs: ONNX, TorchScript, or a bioimage.io package."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from unetseg.errors import UserError
from unetseg.files import replacing
from unetseg.inference.export import to_onnx, to_torchscript
from unetseg.inference.onnx_net import OnnxNet
from unetseg.pipeline.model import Model
from unetseg.sharing.description import About

Format = Literal["bioimageio", "onnx", "torchscript"]
ENDINGS = {"bioimageio": (".zip",), "onnx": (".onnx",), "torchscript": (".pt", ".pth")}
WRITERS = {"onnx": to_onnx, "torchscript": to_torchscript}


def export_model(
    model: Model,
    out: Path,
    to: Format,
    *,
    about: About | None = None,
    image: Path | None = None,
    overwrite: bool = False,
) -> str:
    """Write the model to `out`; returns what bioimageio.core's test of a package says, else "".

    ONNX and TorchScript take normalised images (b, channels, *yx) float32 and give calibrated probabilities
    (b, classes, *yx_out). about, image: for a package, which takes grey values. Raises UserError, and writes
    nothing, for an average of models, a wrong ending, a file that is there, what is missing, and a network
    that cannot be exported.
    """
    if model.others:
        raise UserError("an average of models cannot be exported. Export one of them.")
    if isinstance(model.net, OnnxNet):
        raise UserError("this is an export already: copy the package, or unpack its ONNX weights.")
    if out.suffix not in ENDINGS[to]:
        raise UserError(f"{out}: a file for {to} ends with {' or '.join(ENDINGS[to])}.")
    if out.exists() and not overwrite:
        raise UserError(f"{out}: is there already. Choose another name, or give --overwrite.")
    if to == "bioimageio":
        return _package(model, out, about, image)
    content = WRITERS[to](model.net, model.recipe.calibration)
    with replacing(out) as temporary:
        temporary.write_bytes(content)
    return ""


def _package(model: Model, out: Path, about: About | None, image: Path | None) -> str:
    from unetseg.sharing.package import write_package

    if about is None or not about.licence:
        raise UserError(
            "a package needs a licence: give --license with an identifier of spdx.org/licenses, such as "
            "CC-BY-4.0, CC0-1.0 or MIT. Your training data must allow it."
        )
    if not about.authors:
        raise UserError("a package needs its authors: give --author NAME (repeatable).")
    if image is None:
        raise UserError(
            "a package is tested and shown with an image: give --image FILE, one you may publish."
        )
    return write_package(model, out, about, image)
