"""ONNX and TorchScript: what other programs compute is what the network computes, at any legal size."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from test_nets import CASES, NEEDS_MONAI, case_id, make

from unetseg.calibration import calibrated
from unetseg.errors import UserError
from unetseg.inference.export import to_onnx, to_torchscript
from unetseg.nets import build_net

EXPORTED = [case for case in CASES if not case[0].startswith("window")]
cases = pytest.mark.parametrize("case", EXPORTED, ids=map(case_id, EXPORTED))


@pytest.fixture(autouse=True)
def monai_where_it_is_needed(request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params.get("case", [""])[0] in NEEDS_MONAI:
        pytest.importorskip("monai")


def images_of(net: object, steps: int, batch: int) -> torch.Tensor:
    size = [n + steps * s for n, s in zip(net.footprint.smallest, net.footprint.stride, strict=True)]
    return torch.randn(batch, net.channels, *size, generator=torch.Generator().manual_seed(steps))


@cases
def test_torchscript_equals_the_network(case: tuple) -> None:
    net = make(case)
    script = torch.jit.load(io.BytesIO(to_torchscript(net)))
    for steps, batch in ((0, 1), (3, 2)):
        images = images_of(net, steps, batch)
        with torch.no_grad():
            expected, found = torch.softmax(net(images), dim=1), script(images)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@cases
def test_onnx_equals_the_network(case: tuple) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    net = make(case)
    session = runtime.InferenceSession(to_onnx(net), providers=["CPUExecutionProvider"])
    for steps, batch in ((0, 1), (3, 2)):
        images = images_of(net, steps, batch)
        with torch.no_grad():
            expected = torch.softmax(net(images), dim=1).numpy()
        found = session.run(None, {"images": images.numpy()})[0]
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("case", [("unet", {"width": 3, "depth": 2, "padding": "same"})])
def test_the_calibration_is_part_of_the_export(case: tuple) -> None:
    net = build_net(case[0], channels=1, classes=2, seed=0, **case[1]).eval()
    images, coefficients = images_of(net, 2, 1), (0.05, 0.1, 0.4, 0.9)
    with torch.no_grad():
        expected = calibrated(torch.softmax(net(images), dim=1)[0].numpy(), coefficients)
        found = torch.jit.load(io.BytesIO(to_torchscript(net, coefficients)))(images)[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("write", [to_onnx, to_torchscript])
def test_a_network_that_loops_over_the_image_is_refused(write: Callable[..., bytes]) -> None:
    net = build_net("window", channels=1, classes=2, seed=0, window=23, width=4, hidden=6)
    with pytest.raises(UserError, match="cannot be exported"):
        write(net)
