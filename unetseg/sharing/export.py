"""A model written for other programs: ONNX, TorchScript, or a bioimage.io package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from unetseg.errors import UserError
from unetseg.files import replacing
from unetseg.inference.export import to_onnx, to_torchscript
from unetseg.inference.exported_net import ExportedNet
from unetseg.pipeline.model import Model
from unetseg.sharing.description import About
from unetseg.sharing.limits import not_carried

Format = Literal["bioimageio", "onnx", "torchscript"]
ENDINGS = {"bioimageio": (".zip",), "onnx": (".onnx",), "torchscript": (".pt", ".pth")}
WRITERS = {"onnx": to_onnx, "torchscript": to_torchscript}


@dataclass(frozen=True)
class Export:
    """What was written. tested: what bioimageio.core's test of a package says, else "".

    left_out: what `unetseg predict` does with the model and other programs do not, a sentence each.
    """

    path: Path
    tested: str
    left_out: tuple[str, ...]


def export_model(
    model: Model,
    out: Path,
    to: Format,
    *,
    about: About | None = None,
    image: Path | None = None,
    overwrite: bool = False,
) -> Export:
    """Write the model to `out` for other programs, as `unetseg export` does.

    ONNX and TorchScript take normalised images (b, channels, *yx) float32 and give calibrated probabilities
    (b, classes, *yx_out). A package takes grey values; it needs `about` with a licence and authors, and the
    path of an image that it is tested and shown with. Raises UserError, and writes nothing, for an average of
    models, a wrong ending, an existing file, missing information, and a network that cannot be exported.
    """
    if model.others:
        raise UserError("an average of models cannot be exported. Export one of them.")
    if model.restores:
        raise UserError("a model that restores images cannot be exported. Use it with `unetseg predict`.")
    if isinstance(model.net, ExportedNet):
        raise UserError("this is an export already: copy the package, or unpack its weights.")
    if out.suffix not in ENDINGS[to]:
        raise UserError(f"{out}: a file for {to} ends with {' or '.join(ENDINGS[to])}.")
    if out.exists() and not overwrite:
        raise UserError(f"{out}: exists. Choose another name, or give --overwrite.")
    left_out = not_carried(model.recipe, model.net)
    if to == "bioimageio":
        return Export(out, _package(model, out, about, image), tuple(left_out))
    content = WRITERS[to](model.net, model.recipe.calibration)
    with replacing(out) as temporary:
        temporary.write_bytes(content)
    rule = model.recipe.normalisation.method
    return Export(out, "", (f"Normalisation ({rule}): give normalised images.", *left_out))


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
            "a package is tested and shown with an image: give --image FILE, one that you may publish."
        )
    return write_package(model, out, about, image)
