import math

import pytest
import torch

from unetseg.losses import LOSSES, weighted_cross_entropy


def test_hand_worked() -> None:
    """Two pixels: p(true) = 3/4 with weight 2, and 1/2 with weight 1; the mean of −w·log p."""
    logits = torch.tensor([[[[0.0, 1.0]], [[math.log(3), 1.0]]]])
    classes, weight = torch.tensor([[[1, 0]]]), torch.tensor([[[2.0, 1.0]]])
    expected = (-2 * math.log(3 / 4) - math.log(1 / 2)) / 2
    assert weighted_cross_entropy(logits, classes, weight).item() == pytest.approx(expected)


def test_equals_torch_with_many_classes_in_3d() -> None:
    torch.manual_seed(0)
    logits, weight = torch.randn(2, 5, 3, 4, 6), torch.rand(2, 3, 4, 6)
    classes = torch.randint(5, (2, 3, 4, 6))
    expected = (torch.nn.functional.cross_entropy(logits, classes, reduction="none") * weight).mean()
    assert torch.allclose(weighted_cross_entropy(logits, classes, weight), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_weight_zero_is_ignored(name: str) -> None:
    """Neither the loss nor a gradient depends on the logits or the class of a pixel of weight 0."""
    torch.manual_seed(0)
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    classes, weight = torch.randint(3, (1, 4, 4)), torch.rand(1, 4, 4)
    weight[0, 1, 2] = 0
    value = LOSSES[name](logits, classes, weight)
    (gradient,) = torch.autograd.grad(value, logits)
    assert gradient[0, :, 1, 2].abs().max() == 0
    other, changed = classes.clone(), logits.detach().clone()
    other[0, 1, 2], changed[0, :, 1, 2] = (classes[0, 1, 2] + 1) % 3, 50.0
    assert LOSSES[name](changed, other, weight) == value
