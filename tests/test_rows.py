"""Maps in blocks of rows are the maps computed at once."""

from typing import Any

import pytest
import torch

from unetseg.nets import build_net
from unetseg.nets import rows as room
from unetseg.nets.contract import Ranges, part, region
from unetseg.nets.rows import by_rows


@pytest.fixture(params=[1, 5, 8])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Blocks of so few rows that small maps take many."""
    monkeypatch.setattr(room, "BLOCK_PIXELS", 1)
    monkeypatch.setattr(room, "ROWS", request.param)
    return int(request.param)


def test_blocks_cover_the_part_each_row_once(few: int) -> None:
    maps = torch.arange(2 * 3 * 11 * 7).reshape(2, 3, 11, 7)
    asked: list[Ranges] = []

    def compute(ranges: Ranges) -> torch.Tensor:
        asked.append(ranges)
        return region(maps, ranges)

    found = by_rows(compute, [(2, 11), (1, 6)])
    assert torch.equal(found.maps, maps[:, :, 2:11, 1:6])
    assert torch.equal(found.region([(4, 6), (2, 3)]), maps[:, :, 4:6, 2:3])
    rows = [row for (start, stop), _ in asked for row in range(start, stop)]
    assert rows == list(range(2, 11))
    assert max(stop - start for (start, stop), _ in asked) == min(few, 9)


@pytest.mark.parametrize(
    ("dims", "size", "keep"),
    [
        (2, (48, 40), [(0, 48), (0, 40)]),
        (2, (48, 40), [(13, 34), (7, 40)]),
        (3, (24, 16, 16), [(0, 24), (3, 11), (0, 16)]),
    ],
)
@pytest.mark.usefixtures("few")
def test_a_unet_in_blocks_is_the_unet(dims: int, size: tuple[int, ...], keep: Ranges) -> None:
    options = {"width": 3, "depth": 3, "padding": "same", "norm": "batch", "dims": dims}
    net: Any = build_net("unet", channels=2, classes=3, seed=1, **options).eval()
    images = torch.randn(2, 2, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(part(net, images, keep), region(net(images), keep), atol=1e-5, rtol=1e-5)
