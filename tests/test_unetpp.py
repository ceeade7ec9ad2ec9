"""UNet++: the paper's size, its heads, and its pruning."""

from typing import Any

import pytest
import torch

from unetseg.errors import UserError
from unetseg.nets import build_net, parameter_count
from unetseg.nets.unetpp import UNetPlusPlus, unetpp_footprint


def conv(kernel: int, i: int, o: int) -> int:
    """Parameters of a convolution."""
    return kernel**2 * i * o + o


def test_the_papers_size_by_hand() -> None:
    """9.04 M, as the authors' code counts it with one channel and one sigmoid class (DLMIA 2018, table 3)."""
    widths = [32, 64, 128, 256, 512]
    path = sum(conv(3, i, o) + conv(3, o, o) for i, o in zip([1, *widths], widths, strict=False))
    nested = sum(
        conv(2, widths[i + 1], widths[i])
        + conv(3, (j + 1) * widths[i], widths[i])
        + conv(3, widths[i], widths[i])
        for i in range(4)
        for j in range(1, 5 - i)
    )
    assert path + nested + conv(1, 32, 1) == 9_041_601
    four: Any = build_net("unet++", channels=1, classes=2)
    one: Any = build_net("unet++", channels=1, classes=2, deep_supervision=False)
    assert parameter_count(four) == path + nested + 4 * conv(1, 32, 2) == 9_041_832
    assert parameter_count(one) == path + nested + conv(1, 32, 2)
    unet: Any = build_net("unet", channels=1, classes=2, width=32)
    assert parameter_count(unet) == 7_759_554
    pruned = [parameter_count(four.pruned(level)) for level in (1, 2, 3, 4)]
    assert pruned == [100_994, 511_138, 2_204_994, 9_041_634]


def nested(**options: Any) -> UNetPlusPlus:
    return build_net("unet++", channels=2, classes=3, **{"width": 4, "depth": 3, **options})  # type: ignore[return-value]


def test_heads_in_training_and_their_mean_probability_in_evaluation() -> None:
    net, image = nested(), torch.randn(1, 2, 16, 24)
    heads = net.train()(image)
    assert isinstance(heads, tuple)
    assert len(heads) == 3
    mean = torch.stack([torch.softmax(x, 1) for x in heads]).mean(0)
    assert torch.allclose(torch.softmax(net.eval()(image), 1), mean, atol=1e-6)
    assert isinstance(nested(deep_supervision=False).train()(image), torch.Tensor)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_pruned_net_is_smaller_sees_less_and_gives_its_heads_output(norm: str) -> None:
    net, image = nested(norm=norm), torch.randn(2, 2, 16, 24)
    for _ in range(3):  # move the batch norms away from the identity
        net.train()(image)
    net.eval()
    with torch.no_grad():
        whole = net(image)
        logs = [net.pruned(level)(image).log_softmax(1) for level in (1, 2, 3)]
    assert torch.allclose(torch.logsumexp(torch.stack(logs), 0) - torch.tensor(3.0).log(), whole, atol=1e-5)
    sizes = [parameter_count(net.pruned(level)) for level in (1, 2, 3)]
    assert sizes[0] < sizes[1] < sizes[2] < parameter_count(net)
    assert net.pruned(2).footprint == unetpp_footprint(2)
    assert unetpp_footprint(1).context < unetpp_footprint(2).context < net.footprint.context
    with torch.no_grad():
        for parameter in net.node["1-1"].parameters():
            parameter.add_(1.0)
        assert torch.equal(net.pruned(1)(image).log_softmax(1), logs[0])  # it does not need X(1, 1)
        assert not torch.equal(net.pruned(2)(image).log_softmax(1), logs[1])


def test_a_level_without_a_head_is_refused() -> None:
    with pytest.raises(UserError, match="level 4: .* only has a head at level 1, 2 and 3"):
        nested().pruned(4)
    with pytest.raises(UserError, match="only has a head at level 3 .*without deep supervision"):
        nested(deep_supervision=False).pruned(1)
