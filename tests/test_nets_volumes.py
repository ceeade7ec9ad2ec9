"""The nets of volumes beside their papers and MONAI, and their sizes along z."""

import sys
from typing import Any

import pytest
import torch
from torch import nn

from unetseg.errors import UserError
from unetseg.nets import build_net, parameter_count


def net(name: str, **options: Any) -> Any:
    return build_net(name, **({"channels": 1, "classes": 2} | options)).eval()


def test_the_papers_3d_unet() -> None:
    """Çiçek 2016, section 2.1: 19,069,955 parameters (batch norms not counted), 132×132×116 → 44×44×28."""
    paper = net("3d-unet", channels=3, classes=3)
    norms = sum(p.numel() for m in paper.modules() if isinstance(m, nn.BatchNorm3d) for p in m.parameters())
    assert parameter_count(paper) - norms == 19_069_955
    assert paper.footprint.legal((116, 132, 132))
    assert paper.footprint.output((116, 132, 132)) == (28, 44, 44)


@pytest.mark.parametrize("name", ["3d-unet", "v-net"])
def test_flat_levels_leave_z_alone(name: str) -> None:
    """Along z a flat net sees less and takes smaller sizes; along y and x it is the same."""
    if name == "v-net":
        pytest.importorskip("monai")
    padded = {"padding": "same"} if name == "3d-unet" else {}
    flat, full = net(name, width=2, depth=3, flat_levels=2, **padded), net(name, width=2, depth=3, **padded)
    assert flat.footprint.stride == (2, 8, 8)
    assert flat.footprint.context[1:] == full.footprint.context[1:]
    assert flat.footprint.context[0] < full.footprint.context[0]
    with torch.no_grad():
        assert flat(torch.zeros(1, 1, 6, 16, 24)).shape == (1, 2, 6, 16, 24)
    with pytest.raises(UserError, match="flat_levels = 4: allowed is 0 to depth"):
        net(name, width=2, depth=3, flat_levels=4)


def test_the_v_nets_receptive_field() -> None:
    """Milletari 2016, table 1: 551 pixels for an output pixel."""
    pytest.importorskip("monai")
    assert {2 * n + 1 for n in net("v-net").footprint.context} == {551}


def test_with_monais_layers_it_is_monais_v_net() -> None:
    """The same parameters in the same order make the same logits."""
    vnet = pytest.importorskip("monai.networks.nets").VNet(3, 1, 2).eval()
    ours = net("v-net", layers="monai", activation="elu", dropout=0.5)
    theirs = list(vnet.state_dict().values())
    state = ours.state_dict()
    assert [v.shape for v in state.values()] == [v.shape for v in theirs]
    ours.load_state_dict(dict(zip(state, theirs, strict=True)))
    volume = torch.randn(1, 1, 16, 16, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours(volume), vnet(volume))
    assert parameter_count(ours) == 45_597_898


def test_a_smaller_context_is_declared_not_hidden() -> None:
    pytest.importorskip("monai")
    near = net("v-net", width=2, depth=2, context=8)
    assert near.footprint.context == (8, 8, 8)
    assert max(net("v-net", width=2, depth=2).footprint.context) > 8


def test_without_monai_the_error_names_the_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "monai.networks.nets", None)
    with pytest.raises(UserError, match="pip install monai"):
        net("v-net")
    with pytest.raises(UserError, match="a multiple of 3 channels"):
        net("v-net", channels=3)
