import math

import pytest
import torch

from unetseg.losses import LOSSES, cross_entropy_and_dice, soft_dice, weighted_cross_entropy


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


def test_soft_dice_hand_worked() -> None:
    """Pixels with p = 3/4 (true), 1/2 (false) and one without weight: 1 − 2·0.75 / (0.75² + 0.5² + 1)."""
    logits = torch.tensor([[[[0.0, 1.0, 0.0]], [[math.log(3), 1.0, 9.0]]]])
    classes, weight = torch.tensor([[[1, 0, 1]]]), torch.tensor([[[7.0, 1.0, 0.0]]])
    expected = 1 - 1.5 / (0.75**2 + 0.5**2 + 1)
    assert soft_dice(logits, classes, weight).item() == pytest.approx(expected, abs=1e-5)
    both = expected + weighted_cross_entropy(logits, classes, weight).item()
    assert cross_entropy_and_dice(logits, classes, weight).item() == pytest.approx(both, abs=1e-5)


def test_soft_dice_is_the_mean_over_the_foreground_classes() -> None:
    """Class 1 found wholly (0), class 2 missed wholly (1), class 3 neither there nor predicted (0)."""
    predicted, classes = torch.tensor([[[1, 1, 0, 0]]]), torch.tensor([[[1, 1, 2, 0]]])
    logits = 50.0 * torch.nn.functional.one_hot(predicted, 4).movedim(-1, 1)
    assert soft_dice(logits, classes, torch.ones(1, 1, 4)).item() == pytest.approx(1 / 3, abs=1e-4)
