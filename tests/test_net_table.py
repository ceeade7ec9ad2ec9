"""The table of the networks: what it says of a net is worked by hand, and every net has a source."""

from pathlib import Path
from typing import Any

import pytest
import torch

from unetseg.errors import UserError
from unetseg.nets import NETS, build_net, net_source
from unetseg.reproduce import net_table
from unetseg.reproduce.net_table import flops_per_pixel, net_rows, short_options, write_net_page

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", NETS)
def test_every_network_names_its_paper_with_the_year(name: str) -> None:
    assert any(str(year) in net_source(name) for year in range(2010, 2030)), net_source(name)


def test_operations_per_pixel_hand_worked() -> None:
    """A U-Net of depth 1 and width 4, padded: 2 per multiplication; a level down a quarter of the pixels."""
    net = build_net("unet", channels=1, classes=2, width=4, depth=1, padding="same")
    level, below = 9 * (1 * 4 + 4 * 4), 9 * (4 * 8 + 8 * 8)
    up, merge, head = 8 * 4 * 4, 9 * (8 * 4 + 4 * 4), 4 * 2
    assert flops_per_pixel(net) == 2 * (level + (below + up) / 4 + merge + head)


def test_rows_and_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(net_table, "SIDES", {2: 32, 3: 16})
    monkeypatch.setattr(net_table, "short_options", lambda: {"unet": [{"width": 4, "padding": "same"}]})
    rows = list(net_rows(["unet"], CPU))
    assert [(r.name, r.year, r.context) for r in rows] == [
        ("unet", "2015", (92, 92)),
        ("unet", "2015", (107, 107)),
    ]
    assert rows[0].parameters == 31_030_658
    assert rows[0].flops > rows[1].flops > 0
    assert all(row.tile_bytes > 0 and row.seconds is not None and row.seconds > 0 for row in rows)
    write_net_page(tmp_path / "nets.md", rows, CPU)
    page = (tmp_path / "nets.md").read_text()
    assert "| unet | 2015 | as published | 31,030,658 | 92 | 16 |" in page
    assert "| unet | 2015 | width 4, padding same |" in page
    assert "Ronneberger" in page


def test_what_a_small_machine_cannot_measure_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(net_table, "SIDES", {2: 32, 3: 16})
    monkeypatch.setattr(net_table, "short_options", dict)
    monkeypatch.setattr(net_table, "MOST_FLOPS", 1e6)
    (row,) = net_rows(["window"], CPU)
    assert row.cells[-1] == "–"


def test_the_narrow_networks_are_those_of_the_experiment_files() -> None:
    options: Any = short_options()
    assert {"width": 16, "depth": 4, "norm": "batch"} in options["unet++"]
    assert all("name" not in o and "train" not in o for found in options.values() for o in found)


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(UserError, match="did you mean 'unet'"):
        list(net_rows(["unett"], CPU))
