import torch

from unetseg.augment.blind_spot import CELL, RADIUS, blind_spots, with_blind_spots
from unetseg.batches import Batch
from unetseg.losses import IMAGE_LOSSES

SHAPE = (24, 37)


def batch(images: torch.Tensor, out: tuple[int, int] = SHAPE) -> Batch:
    return Batch(images, images, torch.ones(len(images), *out))


def noise(seed: int = 0, channels: int = 2) -> torch.Tensor:
    return torch.randn(3, channels, *SHAPE, generator=torch.Generator().manual_seed(seed))


def test_the_input_does_not_depend_on_the_value_of_a_pixel_that_the_loss_counts() -> None:
    images = noise()
    for seed in range(20):
        plain = with_blind_spots(batch(images), seed)
        counted = (plain.weight > 0).unsqueeze(1)
        other = with_blind_spots(batch(torch.where(counted, images + 100, images)), seed)
        assert torch.equal(plain.images, other.images)
        assert torch.equal(plain.weight, other.weight)


def test_only_blind_spots_are_changed_and_only_they_count() -> None:
    images = noise()
    found = with_blind_spots(batch(images), 5)
    counted = (found.weight > 0).unsqueeze(1).expand_as(images)
    assert torch.equal(found.images[~counted], images[~counted])
    assert (found.images[counted] != images[counted]).all()
    assert torch.equal(found.target, images)
    wrong = torch.where(counted, found.target, found.target + 7)
    assert float(IMAGE_LOSSES["blind-spot"](wrong, found.target, found.weight)) == 0
    by_one = torch.where(counted, found.target + 2, found.target)
    torch.testing.assert_close(
        IMAGE_LOSSES["blind-spot"](by_one, found.target, found.weight), torch.tensor(4.0)
    )


def test_no_spot_is_a_neighbour_of_another_and_every_pixel_becomes_one() -> None:
    draws, seen = torch.Generator().manual_seed(1), torch.zeros(SHAPE)
    for _ in range(1500):
        spots = blind_spots(SHAPE, draws)
        seen += spots
        places = spots.nonzero()
        apart = (places[:, None] - places[None]).abs().amax(-1)
        apart.fill_diagonal_(CELL)
        assert apart.min() > RADIUS
    share = seen / 1500
    assert abs(float(share.mean()) * CELL**2 - 1) < 0.05
    assert float(share.min()) > 0.3 / CELL**2  # pixels at the edge, too


def test_a_replaced_value_is_a_neighbours() -> None:
    places = torch.stack(torch.meshgrid(*map(torch.arange, SHAPE), indexing="ij")).float()[None]
    found = with_blind_spots(batch(places, SHAPE), 3)
    spot = found.weight[0] > 0
    distance = (found.images[0] - places[0]).abs().amax(0)[spot]
    assert distance.min() >= 1
    assert distance.max() <= RADIUS


def test_a_batch_is_a_function_of_its_seed() -> None:
    one, two, three = (with_blind_spots(batch(noise()), seed) for seed in (4, 4, 5))
    assert torch.equal(one.images, two.images)
    assert not torch.equal(one.weight, three.weight)


def test_a_valid_net_is_compared_with_the_middle() -> None:
    images = noise()
    found = with_blind_spots(batch(images, (16, 29)), 2)
    assert torch.equal(found.target, images[:, :, 4:20, 4:33])
    changed = (found.images != images).any(1)[:, 4:20, 4:33]
    assert torch.equal(changed, found.weight > 0)
