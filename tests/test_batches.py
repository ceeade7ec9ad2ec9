"""Batch n is a pure function of (seed, n)."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from unetseg.augment import apply, pack, upload
from unetseg.augment.draw import class_places
from unetseg.augment.engines import transform_example
from unetseg.batches import Batch, batches, draws_of_batch, load_example
from unetseg.errors import UserError
from unetseg.nets.unet import unet_footprint
from unetseg.sample import Example
from unetseg.settings import NO_AUGMENT, AugmentSettings, TrainSettings
from unetseg.tiles import Footprint

CPU = torch.device("cpu")
PADDED = Footprint((0, 0), (1, 1), False, (0, 0))


def examples(*sizes: tuple[int, int]) -> list[Example]:
    rng = np.random.default_rng(0)
    return [
        Example(
            str(i),
            rng.normal(size=(1, *s)).astype(np.float32),
            rng.integers(2, size=s).astype(np.uint8),
            rng.random(s).astype(np.float32),
        )
        for i, s in enumerate(sizes)
    ]


def make(start: int = 0, seed: int = 3, **changes: Any) -> Any:
    options: dict[str, Any] = {"augment": AugmentSettings(), "footprint": PADDED}
    options |= changes
    options.setdefault("crop", (24, 24))
    options.setdefault("train", TrainSettings(batch=2))
    data = options.pop("data", examples((40, 50), (32, 32), (60, 40)))
    return batches(data, seed=seed, start=start, device=CPU, **options)


def equal(a: Batch, b: Batch) -> bool:
    return all(torch.equal(getattr(a, k), getattr(b, k)) for k in ("images", "target", "weight"))


def test_starting_later_gives_the_same_batches() -> None:
    first = list(itertools.islice(make(), 5))
    later = list(itertools.islice(make(start=3), 2))
    assert all(equal(a, b) for a, b in zip(first[3:], later, strict=True))
    assert not equal(first[0], first[1])
    assert not equal(first[0], next(make(seed=4)))


def test_every_example_is_seen_once_before_any_is_seen_again() -> None:
    chosen = [
        i
        for n in range(10)
        for i in draws_of_batch(AugmentSettings(), [(9, 9)] * 5, (4, 4), 3, seed=1, n=n)[0]
    ]
    for epoch in range(6):
        assert sorted(chosen[5 * epoch : 5 * epoch + 5]) == [0, 1, 2, 3, 4]
    assert chosen[:5] != chosen[5:10]


def test_a_valid_net_gets_the_central_targets() -> None:
    footprint = unet_footprint(1, valid=True)
    data, settings = examples((40, 50), (40, 50)), replace(AugmentSettings(), noise=0)
    cut = next(make(data=data, augment=settings, footprint=footprint))
    chosen, draws = draws_of_batch(settings, [(40, 50)] * 2, (8, 8), 2, seed=3, n=0)
    sources = [load_example(data[i], CPU) for i in chosen]
    whole = [torch.cat([getattr(s, key) for s in sources]) for key in ("images", "targets")]
    images, targets = apply(upload(pack(draws), CPU), *whole, torch.tensor([(40, 50)] * 2), (24, 24))
    assert torch.equal(images, cut.images)
    assert torch.equal(targets[:, 0, 8:16, 8:16].long(), cut.target)
    assert torch.equal(targets[:, 1, 8:16, 8:16], cut.weight)


def test_a_valid_net_learns_from_every_pixel_of_an_image_smaller_than_its_crop() -> None:
    rows, columns = np.mgrid[:20, :20]
    place = (20 * rows + columns + 1).astype(np.float32)  # the weight says where a pixel comes from
    data = [Example("a", place[None], np.zeros((20, 20), np.uint8), place)]
    source = make(data=data, augment=NO_AUGMENT, footprint=unet_footprint(1, valid=True))
    seen = {int(w) for batch in itertools.islice(source, 300) for w in batch.weight.unique()}
    assert seen == set(range(1, 401))


def test_an_albumentations_pipeline_is_applied_first_and_replayed(tmp_path: Path) -> None:
    albumentations = pytest.importorskip("albumentations")
    path = tmp_path / "pipeline.json"
    albumentations.save(albumentations.Compose([albumentations.Transpose(p=1)]), str(path))
    settings = AugmentSettings(
        elastic=0, flip=False, rotate=0, scale=0, brightness=0, contrast=0, gamma=0, noise=0
    )
    data = examples((24, 24))
    plain = next(make(data=data, augment=settings))
    piped = next(make(data=data, augment=replace(settings, albumentations=str(path))))
    assert torch.allclose(piped.images, plain.images.transpose(2, 3), atol=1e-5)
    assert torch.equal(piped.target, plain.target.transpose(1, 2))
    assert torch.allclose(piped.weight, plain.weight.transpose(1, 2))
    albumentations.save(albumentations.Compose([albumentations.RandomCrop(24, 24)]), str(path))
    settings = replace(AugmentSettings(), albumentations=str(path))
    assert equal(next(make(start=4, augment=settings)), list(itertools.islice(make(augment=settings), 5))[4])


def test_an_albumentations_pipeline_cuts_off_no_grey_values() -> None:
    albumentations = pytest.importorskip("albumentations")
    (example,) = examples((24, 24))  # normalised: half of its values are below 0
    blur = albumentations.Compose([albumentations.Blur(blur_limit=(3, 3), p=1)])
    changed = transform_example(blur, example, 0).image[0]
    expected = ndimage.uniform_filter(example.image[0], 3)
    np.testing.assert_allclose(changed[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-5)


def test_a_wrong_albumentations_file_is_the_users_error(tmp_path: Path) -> None:
    pytest.importorskip("albumentations")
    wrong = tmp_path / "pipeline.json"
    wrong.write_text("{}")
    for path in (wrong, tmp_path / "none.json"):
        with pytest.raises(UserError, match=path.name):
            next(make(augment=replace(AugmentSettings(), albumentations=str(path))))


RARE = Example(
    "rare", np.zeros((1, 40, 50), np.float32), np.zeros((40, 50), np.uint8), np.ones((40, 50), np.float32)
)
RARE.target[3, 4], RARE.target[20:30, 20:30], RARE.target[:, 45:] = 1, 2, 3
RARE.weight[:, 45:] = 0  # so class 3 is not there to be learnt, nor is the background below it


@pytest.mark.parametrize("settings", [NO_AUGMENT, AugmentSettings(scale=0.3)], ids=["plain", "elastic"])
def test_balanced_crops_lie_around_pixels_of_every_class_alike(settings: AugmentSettings) -> None:
    """A third each for 1, 100 and 1699 pixels, none of weight 0, whatever moves the rest of the crop."""
    data = [replace(RARE, image=RARE.target[None].astype(np.float32))]
    train = TrainSettings(batch=64, class_balanced_crops=True)
    footprint = Footprint((11, 11), (1, 1), True, (0, 0))
    made = make(data=data, augment=settings, footprint=footprint, crop=(23, 23), train=train)
    centres = [next(made) for _ in range(30)]
    classes = torch.cat([b.target for b in centres]).flatten()
    assert classes.shape == (1920,)
    assert torch.cat([b.weight for b in centres]).min() > 0
    shares = torch.bincount(classes, minlength=4) / len(classes)
    np.testing.assert_allclose(shares, [1 / 3, 1 / 3, 1 / 3, 0], atol=4 * (2 / 9 / 1920) ** 0.5)


def test_balanced_centres_are_every_pixel_of_a_class_alike() -> None:
    """Each of the 100 pixels of class 2 is as likely; the count lies within five standard deviations."""
    places = [class_places(RARE.target, RARE.weight)]
    assert [len(p) for p in places[0]] == [1699, 1, 100]
    centres = [
        draws_of_batch(NO_AUGMENT, [(40, 50)], (1, 1), 1, seed=1, n=n, places=places)[1][0].centre
        for n in range(6000)
    ]
    inside = [tuple(c) for c in centres if RARE.target[tuple(c.astype(int))] == 2]
    counts = np.unique(inside, axis=0, return_counts=True)[1]
    assert len(counts) == 100
    assert np.abs(counts - len(inside) / 100).max() < 5 * (len(inside) / 100) ** 0.5


def test_balanced_batches_are_a_function_of_seed_and_number() -> None:
    train = TrainSettings(batch=2, class_balanced_crops=True)
    first = list(itertools.islice(make(train=train), 5))
    later = list(itertools.islice(make(train=train, start=3), 2))
    assert all(equal(a, b) for a, b in zip(first[3:], later, strict=True))
    assert not equal(first[0], next(make()))


def test_an_even_balanced_crop_is_not_interpolated() -> None:
    places = [class_places(RARE.target, RARE.weight)]
    (drawn,) = draws_of_batch(NO_AUGMENT, [(40, 50)], (4, 5), 1, seed=1, n=0, places=places)[1]
    assert (drawn.centre % 1).tolist() == [0.5, 0.0]


def test_an_example_without_annotation_is_drawn_from_anywhere() -> None:
    data = [replace(RARE, weight=np.zeros_like(RARE.weight))]
    batch = next(make(data=data, train=TrainSettings(batch=2, class_balanced_crops=True)))
    assert batch.weight.max() == 0
