"""The example of CONTRIBUTING.md is run as it stands, and keeps the law."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unetseg.inference.engines import prepare
from unetseg.inference.predict import predict
from unetseg.tiles import TileGrid

ROOT = Path(__file__).parents[1]


def test_the_example_net_keeps_tiled_equals_whole() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(code) == 1
    scope: dict[str, Any] = {}
    exec(code[0], scope)  # noqa: S102
    torch.manual_seed(0)
    net = scope["Stack"](channels=1, classes=2)
    image = np.random.default_rng(0).normal(size=(1, 21, 30)).astype(np.float32)
    ready = prepare(net, torch.device("cpu"))
    whole = predict(ready, image, TileGrid((21, 30), (21, 30), net.footprint))
    tiled = predict(ready, image, TileGrid((21, 30), (5, 7), net.footprint), batch=3)
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
