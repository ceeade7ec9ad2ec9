"""The contract that every registered network keeps; a new net only adds a line to CASES."""

import copy
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from unetseg.errors import UserError
from unetseg.inference.engines import prepare
from unetseg.inference.predict import predict
from unetseg.losses import weighted_cross_entropy
from unetseg.nets import NETS, Hypotheses, build_net, parameter_count
from unetseg.nets.encoder_unet import UNET_ON
from unetseg.nets.unet import unet_footprint
from unetseg.tiles import TileGrid, read_mirrored

CPU = torch.device("cpu")
CASES: list[tuple[str, dict[str, Any]]] = [
    ("unet", {"width": 4, "depth": 2, "dropout": 0.5}),
    ("unet", {"width": 3, "depth": 3, "padding": "same", "norm": "batch"}),
    ("unet", {"width": 3, "depth": 4, "padding": "same", "norm": "none"}),
    ("unet", {"width": 3, "depth": 4}),
    ("unet", {"width": 3, "depth": 1, "dims": 3}),
    ("unet", {"width": 3, "depth": 1, "dims": 3, "padding": "same", "norm": "batch"}),
    ("window", {"window": 23, "width": 4, "hidden": 6}),
    ("window", {"window": 47, "width": 3, "hidden": 5}),
    *[("window-sp", {"width": 2, "hidden": 6, "step": step}) for step in (1, 3, 5)],
    ("3d-unet", {"width": 2, "depth": 1}),
    ("3d-unet", {"width": 2, "depth": 1, "flat_levels": 1, "padding": "same"}),
    ("v-net", {"width": 2, "depth": 1}),
    ("v-net", {"width": 2, "depth": 1, "flat_levels": 1, "layers": "monai", "activation": "elu"}),
    ("unet++", {"width": 3, "depth": 2, "deep_supervision": False}),
    ("unet++", {"width": 3, "depth": 3, "norm": "batch"}),
    ("dilated-unet", {"width": 3, "depth": 1, "norm": "none"}),
    ("dilated-unet", {"width": 3, "depth": 3}),
    ("fcn-32s", {"width": 2, "norm": "batch"}),
    ("fcn-16s", {"width": 2, "norm": "batch"}),
    ("fcn-8s", {"width": 2}),
    ("unet", {"width": 3, "depth": 2, "residual": True}),
    ("unet", {"width": 3, "depth": 2, "residual": True, "padding": "same", "norm": "batch"}),
    ("unet", {"width": 3, "depth": 1, "residual": True, "dims": 3}),
    ("attention-unet", {"width": 3, "depth": 2}),
    ("attention-unet", {"width": 4, "depth": 1, "dims": 3}),
    ("seg-res-net", {"width": 4, "norm": "batch"}),
    *(
        BLENDED := [
            ("attention-unet", {"width": 4, "depth": 2, "norm": "instance"}),
            ("seg-res-net", {"width": 8}),
            ("probabilistic-unet", {"width": 4, "depth": 2}),
        ]
    ),
]
"""The U-Nets on encoders have tests of their own, in test_encoders.py."""
NEEDS_MONAI = {"v-net", "attention-unet", "seg-res-net", *UNET_ON}


def case_id(case: tuple[str, dict[str, Any]]) -> str:
    return case[0] + "-" + "-".join(f"{k}={v}" for k, v in case[1].items())


cases = pytest.mark.parametrize("case", CASES, ids=map(case_id, CASES))
EXACT = [case for case in CASES if case not in BLENDED]
exact_cases = pytest.mark.parametrize("case", EXACT, ids=map(case_id, EXACT))


@pytest.fixture(autouse=True)
def monai_where_it_is_needed(request: pytest.FixtureRequest) -> None:
    case = request.node.callspec.params.get("case") if hasattr(request.node, "callspec") else None
    if case and case[0] in NEEDS_MONAI:
        pytest.importorskip("monai")


def make(case: tuple[str, dict[str, Any]], seed: int = 0) -> Any:
    """The net, its batch norms as after a step of training, so that they matter."""
    net: Any = build_net(case[0], channels=2, classes=3, seed=seed, **case[1])
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm3d)]
    for norm in norms:
        norm.momentum = None  # the mean of all batches so far, which is one
    if norms:
        torch.manual_seed(seed)
        size = [n + 3 * s for n, s in zip(net.footprint.smallest, net.footprint.stride, strict=True)]
        net.train()(0.2 + 1.5 * torch.randn(2, 2, *size))
    return net.eval()


def test_every_net_has_a_case() -> None:
    assert {name for name, _ in CASES} | set(UNET_ON) == set(NETS)


def test_the_papers_unet() -> None:
    """31,030,658 parameters, 572² → 388² (Ronneberger 2015, fig. 1)."""
    net: Any = build_net("unet", channels=1, classes=2)
    assert parameter_count(net) == 31_030_658
    assert net.footprint.output((572, 572)) == (388, 388)
    with torch.no_grad():
        assert net.eval()(torch.zeros(1, 1, 572, 572)).shape == (1, 2, 388, 388)


@cases
def test_output_size_is_as_declared_and_gradients_reach_every_parameter(case: Any) -> None:
    net = make(case).train()
    size = tuple(n + 2 * s for n, s in zip(net.footprint.smallest, net.footprint.stride, strict=True))
    images = torch.randn(2, 2, *size)
    heads = net(images)
    heads = heads if isinstance(heads, tuple) else (heads,)
    for logits in heads:
        assert logits.shape == (2, 3, *net.footprint.output(size))
    if isinstance(net, Hypotheses):
        truth = torch.zeros(2, *net.footprint.output(size))
        net.training_loss(images, truth, truth + 1, weighted_cross_entropy).backward()
    else:
        sum(logits.square().mean() for logits in heads).backward()
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


@cases
def test_weights_are_drawn_from_the_seed(case: Any) -> None:
    torch.manual_seed(5)
    one = make(case, seed=1).state_dict()
    torch.rand(3)
    again, other = make(case, seed=1).state_dict(), make(case, seed=2).state_dict()
    weights = [k for k in one if "running" not in k]
    assert all(torch.equal(one[k], again[k]) for k in weights)
    assert any(not torch.equal(one[k], other[k]) for k in weights)


def test_he_initialisation() -> None:
    """Standard deviation √(2/N), N the incoming nodes of a neuron: 9·64 for 3×3 over 64 channels."""
    net: Any = build_net("unet", channels=1, classes=2, depth=2)
    assert net.down[0][2].weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.03)
    assert net.up[0].weight.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.03)
    assert net.up[0].bias.abs().max() == 0


def whole(net: Any, image: np.ndarray) -> np.ndarray:
    """The net on the whole mirror-extended image, written without the tiling under test."""
    foot = net.footprint
    sizes = []
    for n, margin, stride, phase in zip(image.shape[1:], foot.margin, foot.stride, foot.phase, strict=True):
        size = n + 2 * margin
        sizes.append(size + (phase - size) % stride)
    read = [(-m, s - m) for m, s in zip(foot.margin, sizes, strict=True)]
    with torch.no_grad():
        logits = net(torch.from_numpy(read_mirrored(image, read))[None])[0]
    cut = [
        slice(0, n) if foot.valid else slice(m, m + n)
        for n, m in zip(image.shape[1:], foot.margin, strict=True)
    ]
    return torch.softmax(logits, 0).numpy()[(slice(None), *cut)]


def odd_image(net: Any) -> np.ndarray:
    shape = [3 * s + 5 + axis for axis, s in enumerate(net.footprint.stride)]
    return np.random.default_rng(3).normal(size=(2, *shape)).astype(np.float32)


@exact_cases
def test_tiled_equals_whole(case: Any) -> None:
    """To 1e-4, with identical classes, whatever the tile size, batch and shape."""
    net = make(case)
    image = odd_image(net)
    expected = whole(net, image)
    assert expected[0].std() > 0.001, "a saturated net would hide differences"
    for strides, batch in ((1, 3), (2, 2), (5, 1)):
        step = tuple(strides * s for s in net.footprint.stride)
        grid = TileGrid(image.shape[1:], step, net.footprint)
        tiled = predict(prepare(net, CPU), image, grid, batch=batch)
        np.testing.assert_allclose(tiled, expected, atol=1e-4)
        np.testing.assert_array_equal(tiled.argmax(0), expected.argmax(0))


@exact_cases
def test_declared_context_is_what_an_output_pixel_sees(case: Any) -> None:
    """Gradients of single outputs reach as far as the context somewhere, and nowhere farther."""
    net = make(case)
    foot = net.footprint
    for module in net.modules():  # max-pooling hides pixels that lose: average over the same block
        if isinstance(module, nn.MaxPool2d | nn.MaxPool3d):
            average = nn.functional.avg_pool2d if net.dims == 2 else nn.functional.avg_pool3d
            kernel, stride, padding = module.kernel_size, module.stride, module.padding
            module.forward = partial(average, kernel_size=kernel, stride=stride, padding=padding)
        if isinstance(module, nn.ReLU):
            module.forward = lambda x: x  # type: ignore[method-assign]
    extra = [2 * s if foot.valid else 2 * s + 2 * m for s, m in zip(foot.stride, foot.margin, strict=True)]
    size = [n + e for n, e in zip(foot.smallest, extra, strict=True)]
    image = torch.randn(1, 2, *size, requires_grad=True)
    logits = net(image)
    lost = [(a - b) // 2 for a, b in zip(size, logits.shape[2:], strict=True)]
    starts = [m if not foot.valid else 0 for m in foot.margin]
    reach = torch.zeros(net.dims, dtype=torch.long)
    for phase in range(0, max(foot.stride), 1 if max(foot.stride) <= 16 else 4):
        place = [a + phase % s for a, s in zip(starts, foot.stride, strict=True)]
        (gradient,) = torch.autograd.grad(logits[(0, 0, *place)], image, retain_graph=True)
        seen = gradient[0].abs().sum(0).nonzero()
        centre = torch.tensor(place) + torch.tensor(lost)
        reach = torch.maximum(reach, (seen - centre).abs().amax(0))
    for axis, far in enumerate(reach.tolist()):
        within_block = foot.stride[axis] - 1 if foot.valid else 0  # a valid net's context is what it crops
        assert foot.context[axis] <= far <= foot.context[axis] + within_block


@exact_cases
def test_a_footprint_declared_too_small_breaks_the_law(case: Any) -> None:
    """The law is able to fail: with too little context the tiles show, or a valid net refuses.

    Two strides less, or half the context, whose outer part many convolutions hardly weigh.
    """
    net = make(case)
    image = odd_image(net)
    expected = whole(net, image)
    wrong = copy.copy(net)
    margins = zip(net.footprint.margin, net.footprint.stride, strict=True)
    small = tuple(max(min(m - 2 * s, m // 2), 0) for m, s in margins)
    wrong.footprint = replace(net.footprint, context=small)
    grid = TileGrid(image.shape[1:], net.footprint.stride, wrong.footprint)
    if net.footprint.valid:
        with pytest.raises((UserError, ValueError, RuntimeError)):
            predict(prepare(wrong, CPU), image, grid)
        return
    tiled = predict(prepare(wrong, CPU), image, grid)
    assert np.abs(tiled - expected).max() > 1e-4


@cases
def test_save_and_load(case: Any, tmp_path: Any) -> None:
    net, other = make(case, seed=1), make(case, seed=2)
    torch.save(net.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    image = torch.randn(1, 2, *net.footprint.smallest)
    with torch.no_grad():
        assert torch.equal(net(image), other(image))


@cases
def test_the_graph_exports(case: Any) -> None:
    net = make(case)
    image = torch.randn(1, 2, *net.footprint.smallest)
    program = torch.export.export(net, (image,))
    with torch.no_grad():
        assert torch.allclose(program.module()(image), net(image), atol=1e-5)


@cases
def test_an_illegal_size_names_the_nearest_legal_ones(case: Any) -> None:
    net = make(case)
    foot = net.footprint
    off = max(foot.stride) + 1 if max(foot.stride) > 1 else -1  # every size from the smallest on is legal
    size = [n + off for n in foot.smallest]
    below, above = foot.nearest_legal(size)
    with pytest.raises(UserError, match=str(below[0])) as caught:
        net(torch.zeros(1, 2, *size))
    assert str(above[0]) in str(caught.value)


def test_wrong_names_and_options_are_refused() -> None:
    with pytest.raises(UserError, match="did you mean 'unet'"):
        build_net("u-net", channels=1, classes=2)
    with pytest.raises(UserError, match="did you mean 'width'"):
        build_net("unet", channels=1, classes=2, widht=3)
    for options in ({"depth": 0}, {"padding": "zero"}, {"norm": "layer"}, {"dims": 4}, {"dropout": 1.0}):
        with pytest.raises(UserError, match="allowed is"):
            build_net("unet", channels=1, classes=2, **options)
    for options in ({"width": "16"}, {"depth": 2.0}, {"width": True}, {"norm": 1}, {"dropout": "0.5"}):
        with pytest.raises(UserError, match="must be a"):
            build_net("unet", channels=1, classes=2, **options)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_the_valid_nets_arithmetic(depth: int) -> None:
    """Sizes followed by hand through the layers: −4 at every level, halved, doubled."""
    foot = unet_footprint(depth, valid=True)
    size = foot.smallest[0]
    n = size
    for _ in range(depth):
        n -= 4
        assert n % 2 == 0
        n //= 2
    n -= 4
    for _ in range(depth):
        n = 2 * n - 4
    assert n == foot.output((size, size))[0] > 0
