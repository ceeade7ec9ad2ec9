"""A model written as a bioimage.io package, and tested by bioimageio.core before it is kept."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from unetseg.errors import UserError
from unetseg.files import replacing
from unetseg.inference.export import to_onnx, to_torchscript
from unetseg.pipeline.model import Model
from unetseg.sharing.cover import write_cover
from unetseg.sharing.description import About, describe, least_size
from unetseg.sharing.example import Example, make_example
from unetseg.sharing.libraries import load_libraries
from unetseg.sharing.limits import not_carried

README = """# {name}

{text}

Written by unetseg {version}. Input: {channels} channel(s), grey values as in the file. Output: probabilities
of {classes} classes, calibrated where the model is.

## What this package does not do

`unetseg predict` does more with this model than the specification can describe. In other programs:

{limits}

`unetseg predict PACKAGE.zip IMAGE` does all of it.

## Validation

Compare labels of your own images with the ones you draw: `unetseg score PREDICTED TRUTH`.
"""


def write_package(model: Model, out: Path, about: About, image: Path) -> str:
    """Write OUT.zip with TorchScript and ONNX weights; returns what bioimageio.core's test of it says.

    image: the image file that the package is tested and shown with. Raises UserError, and writes nothing,
    without bioimageio.core, for what the specification refuses, and if the test fails.
    """
    spec = load_libraries()
    example, limits = make_example(model, image, least_size(model)), not_carried(model.recipe, model.net)
    with TemporaryDirectory() as folder, replacing(out) as temporary:
        _write_files(Path(folder), model, example, about, limits)
        described = _checked(spec, describe(model, about, limits), Path(folder))
        temporary.unlink()
        spec.save_bioimageio_package(described, output_path=temporary)
        return _tested(temporary)


def _write_files(folder: Path, model: Model, example: Example, about: About, limits: Sequence[str]) -> None:
    from unetseg import __version__

    (folder / "weights.pt").write_bytes(to_torchscript(model.net, model.recipe.calibration))
    (folder / "weights.onnx").write_bytes(to_onnx(model.net, model.recipe.calibration))
    np.save(folder / "test_input.npy", example.image[None])
    np.save(folder / "test_output.npy", example.probabilities[None])
    write_cover(folder / "cover.png", example)
    text = README.format(
        name=about.name,
        text=about.text,
        version=__version__,
        channels=model.net.channels,
        classes=model.recipe.classes,
        limits="\n".join(f"- {limit}" for limit in limits) or "- Nothing is left out.",
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _checked(spec: Any, content: dict[str, Any], folder: Path) -> Any:
    """The description with its files; UserError, which names the field, if the specification refuses it."""
    from bioimageio.spec.model.v0_5 import ModelDescr

    content = {**content, "format_version": ModelDescr.implemented_format_version}
    found = spec.build_description(content, context=spec.ValidationContext(root=folder, log_warnings=False))
    if not isinstance(found, ModelDescr):
        errors = found.validation_summary.details[0].errors
        place = ".".join(str(part) for part in errors[0].loc if not str(part).endswith("]"))
        if place.startswith("license"):
            raise UserError(
                f"--license {content['license']}: not an identifier of spdx.org/licenses, such as CC-BY-4.0, "
                "CC0-1.0 or MIT."
            )
        raise UserError(f"the package's {place} is refused: {errors[0].msg[:200]}.")
    return found


def _tested(path: Path) -> str:
    """bioimageio.core's test of every kind of weights, as text; UserError if it fails."""
    from bioimageio.core import test_model

    with zipfile.ZipFile(path) as archive:
        summary = test_model(archive)
    if summary.status != "passed":
        failed = [e.msg for detail in summary.details for e in detail.errors]
        raise UserError(
            f"bioimageio.core's test of the package failed: {failed[0] if failed else summary.status}"
        )
    names = [d.name for d in summary.details if d.status == "passed"]
    return "\n".join(names)
