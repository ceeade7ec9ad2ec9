"""A model described by the bioimage.io specification: tensors, sizes, pre-processing, weights."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import torch

from unetseg import __version__
from unetseg.errors import UserError
from unetseg.inference.export import OPSET
from unetseg.normalise import PERCENTILES, Normalisation
from unetseg.pipeline.model import Model

EPSILON = 1e-6
"""Added to a divisor by the specification's operations; `Normalisation` adds nothing."""
U_NET = {
    "text": "Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, 2015",
    "doi": "10.1007/978-3-319-24574-4_28",
}
DOI = re.compile(r"10\.\d{4,}/[^\s,;]+[^\s,;.]")
URL = re.compile(r"https?://[^\s]+")


@dataclass(frozen=True)
class About:
    """What users are given: licence (SPDX), authors by name, works to cite (each with a DOI or URL)."""

    name: str
    licence: str
    authors: tuple[str, ...]
    cite: tuple[str, ...] = ()
    text: str = ""


def least_size(model: Model) -> tuple[int, ...]:
    """The smallest input (yx) that leaves something when the halo is cropped from the output."""
    foot = model.net.footprint
    if foot.valid:
        return foot.smallest
    return tuple(2 * m + s for m, s in zip(foot.margin, foot.stride, strict=True))


def describe(model: Model, about: About, limits: list[str]) -> dict[str, Any]:
    """The content of the package's rdf.yaml; the files that it names are written by `package`."""
    return {
        "type": "model",
        "name": re.sub(r"[^\w+() -]", " ", about.name, flags=re.ASCII).ljust(5, "-")[:64],
        "description": (about.text or f"{about.name}: segmentation by a U-Net, trained with unetseg")[:500],
        "license": about.licence,
        "authors": [{"name": name} for name in about.authors],
        "cite": [U_NET, *map(_citation, about.cite)],
        "documentation": {"source": "README.md"},
        "covers": [{"source": "cover.png"}],
        "tags": ["unet", "segmentation", f"{model.net.dims}d", "unetseg"],
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [_input(model)],
        "outputs": [_output(model)],
        "weights": _weights(),
        "config": {"unetseg": {"version": __version__, "limits": limits, "recipe": _own(model)}},
    }


def _weights() -> dict[str, Any]:
    version = torch.__version__.split("+")[0]
    return {
        "torchscript": {"source": "weights.pt", "pytorch_version": version},
        "onnx": {"source": "weights.onnx", "opset_version": OPSET, "parent": "torchscript"},
    }


def _own(model: Model) -> dict[str, Any]:
    """The recipe, by which unetseg predicts the package exactly as the model."""
    recipe = replace(
        model.recipe, calibration=(), net={"name": "package"}
    )  # the calibration is in the weights
    return asdict(recipe)


def _input(model: Model) -> dict[str, Any]:
    least, stride = least_size(model), model.net.footprint.stride
    sizes = [{"min": low, "step": s} for low, s in zip(least, stride, strict=True)]
    names = [f"channel{number}" for number in range(model.net.channels)]
    spaces = [axis | {"size": size} for axis, size in zip(_spaces(model), sizes, strict=True)]
    return {
        "id": "raw",
        "description": "grey values as in the file",
        "axes": [{"type": "batch"}, {"type": "channel", "channel_names": names}, *spaces],
        "data": {"type": "float32"},
        "test_tensor": {"source": "test_input.npy"},
        "preprocessing": preprocessing(model.recipe.normalisation, model.net.dims),
    }


def _output(model: Model) -> dict[str, Any]:
    foot, classes = model.net.footprint, model.recipe.classes
    names = ["background", "foreground"] if classes == 2 else [f"class{n}" for n in range(classes)]
    axes = []
    for axis, context, margin in zip(_spaces(model), foot.context, foot.margin, strict=True):
        size = {"tensor_id": "raw", "axis_id": axis["id"], "offset": -2 * context if foot.valid else 0}
        axes.append(axis | {"size": size} | ({} if foot.valid else {"halo": margin}))
    return {
        "id": "probabilities",
        "description": "probabilities of the classes, which sum to 1",
        "axes": [{"type": "batch"}, {"type": "channel", "channel_names": names}, *axes],
        "data": {"type": "float32", "range": [0.0, 1.0]},
        "test_tensor": {"source": "test_output.npy"},
    }


def _spaces(model: Model) -> list[dict[str, Any]]:
    axes: list[dict[str, Any]] = [{"type": "space", "id": name} for name in "zyx"[-model.net.dims :]]
    spacing = model.recipe.spacing_um
    if spacing is not None and len(spacing) == len(axes):
        return [axis | {"unit": "micrometer", "scale": s} for axis, s in zip(axes, spacing, strict=True)]
    return axes


def preprocessing(rule: Normalisation, dims: int) -> list[dict[str, Any]]:
    """The specification's operations for a normalisation."""
    axes = list("zyx"[-dims:])
    match rule.method:
        case "per-image":
            return [{"id": "zero_mean_unit_variance", "kwargs": {"axes": axes, "eps": EPSILON}}]
        case "percentile":
            low, high = PERCENTILES
            limits = {"min_percentile": low, "max_percentile": high}
            return [{"id": "scale_range", "kwargs": {"axes": axes, "eps": EPSILON, **limits}}]
        case "training-set":
            values = {"mean": list(rule.offset), "std": [max(s, EPSILON) for s in rule.scale]}
            return [{"id": "fixed_zero_mean_unit_variance", "kwargs": {"axis": "channel", **values}}]
        case "none":
            return []


def _citation(text: str) -> dict[str, str]:
    """A citation with the DOI or URL that the specification requires, found in its text."""
    if doi := DOI.search(text):
        return {"text": text, "doi": doi.group()}
    if url := URL.search(text):
        return {"text": text, "url": url.group()}
    raise UserError(f"--cite {text!r}: must contain a DOI (10.…/…) or a URL.")
