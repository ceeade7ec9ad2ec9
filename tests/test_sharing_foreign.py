"""Packages that others made: predicted as bioimageio.core predicts them, or refused with one error."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Unetseg
from test_sharing_export import libraries, written
from torch import nn

from unetseg.errors import UserError
from unetseg.images.whole import read_stack
from unetseg.pipeline.model import PredictSettings
from unetseg.sharing.reading import read_package

STEPS = {"min": 32, "step": 16}
AXES = [
    {"type": "batch"},
    {"type": "channel", "channel_names": ["dapi"]},
    {"type": "space", "id": "y", "size": STEPS},
    {"type": "space", "id": "x", "size": STEPS},
]
SIGMOID = [{"id": "sigmoid"}]
RULES: dict[str, dict[str, Any]] = {
    "zero_mean_unit_variance": {"axes": ["channel", "y", "x"]},
    "fixed_zero_mean_unit_variance": {"mean": 90.0, "std": 30.0},
    "scale_range": {"axes": ["channel", "y", "x"], "min_percentile": 1.0, "max_percentile": 99.8},
}


def foreign(folder: Path, rule: dict[str, Any], *, onnx: bool = True, axes: Any = AXES) -> Path:
    """A package NAME.zip of a small network with one output channel, whose weights hold no sigmoid."""
    spec = libraries()
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 5, padding=2), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1)).eval()
    image, script = torch.rand(1, 1, 32, 48), folder / "w.pt"
    torch.jit.save(torch.jit.trace(net, image), script)
    weights: dict[str, Any] = {"torchscript": {"source": "w.pt", "pytorch_version": "2.1"}}
    if onnx:
        free = {0: "b", 2: "y", 3: "x"}
        file: Any = io.BytesIO()
        torch.onnx.export(net, (image,), file, dynamo=False, input_names=["i"], dynamic_axes={"i": free})
        (folder / "w.onnx").write_bytes(file.getvalue())
        weights["onnx"] = {"source": "w.onnx", "opset_version": 17, "parent": "torchscript"}
    shape = [{"batch": 1, "channel": 1, "y": 32, "x": 48}[a.get("id", a["type"])] for a in axes]
    for name in ("in", "out"):
        np.save(folder / f"{name}.npy", np.ones(shape, np.float32))
    (folder / "README.md").write_text("# Validation\n")
    found = spec.build_description(
        described(weights, rule, axes), context=spec.ValidationContext(root=folder, log_warnings=False)
    )
    return Path(spec.save_bioimageio_package(found, output_path=folder / "foreign.zip"))


def described(weights: dict[str, Any], rule: dict[str, Any], axes: Any) -> dict[str, Any]:
    out = [a | {"size": {"tensor_id": "i", "axis_id": a["id"]}} if "size" in a else a for a in axes]
    test_in, test_out = ({"source": f"{name}.npy"} for name in ("in", "out"))
    return {
        "type": "model",
        "format_version": "0.5.3",
        "name": "of another laboratory",
        "description": "a network",
        "authors": [{"name": "A. Nother"}],
        "cite": [{"text": "a paper", "doi": "10.1234/abc"}],
        "license": "MIT",
        "documentation": "README.md",
        "inputs": [{"id": "i", "axes": axes, "test_tensor": test_in, "preprocessing": [rule]}],
        "outputs": [{"id": "o", "axes": out, "test_tensor": test_out, "postprocessing": SIGMOID}],
        "weights": weights,
    }


@pytest.mark.parametrize("onnx", [True, False], ids=["onnx", "torchscript"])
@pytest.mark.parametrize("rule", RULES)
def test_the_probabilities_are_those_of_bioimageio_core(tmp_path: Path, rule: str, onnx: bool) -> None:
    """Away from the edges, where we mirror the image and the network itself pads with zeros."""
    path = foreign(tmp_path, {"id": rule, "kwargs": RULES[rule]}, onnx=onnx)
    from bioimageio.core import predict

    pixels = read_stack(written(tmp_path / "cells.tif")).pixels[0][:, :80, :96]
    model = read_package(path, trust_code=not onnx)
    found = model.probabilities(pixels, "image", PredictSettings(side=48))[1]
    (expected,) = predict(model=str(path), inputs={"i": pixels[None].astype(np.float32)}).members.values()
    inside = slice(3, -3), slice(3, -3)
    np.testing.assert_allclose(found[inside], np.asarray(expected.data)[0, 0][inside], atol=1e-5)
    assert bool(model.notes) is not onnx


def test_what_is_not_read_is_refused_with_its_reason(tmp_path: Path, unetseg: Unetseg) -> None:
    rule = {"id": "scale_range", "kwargs": RULES["scale_range"]}
    other = {"id": "scale_range", "kwargs": RULES["scale_range"] | {"max_percentile": 100.0}}
    last = [AXES[0], *AXES[2:], AXES[1]]
    script = foreign(tmp_path, rule, onnx=False)
    with pytest.raises(UserError, match=r"it has weights as torchscript.* --trust-code runs"):
        read_package(script)
    image = written(tmp_path / "cells.tif")
    result = unetseg("predict", script, image, "--trust-code", "--out", tmp_path / "out")
    assert result.code == 0, result.err
    assert "is code: it runs with your rights" in result.err
    with pytest.raises(UserError, match=r"pre-processing \(scale_range\)"):
        read_package(foreign(tmp_path, other))
    with pytest.raises(UserError, match="other axes than batch, channel"):
        read_package(foreign(tmp_path, rule, axes=last))
