"""Augmentation: drawn apart from applied, one resampling, and elasticdeform's own displacements."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.stats import kstest

from unetseg.augment import Draw, PackedDraws, apply, draw, pack, upload
from unetseg.augment.apply import mirrored_grid, sample_at, source_coordinates
from unetseg.augment.draw import Shadow
from unetseg.augment.elastic import dense_displacement, spline_matrix
from unetseg.augment.grey import _mixed, change_grey_values, counted_noise
from unetseg.settings import NO_AUGMENT, AugmentSettings

CPU = torch.device("cpu")


def packed(*draws: Draw) -> PackedDraws:
    return upload(pack(draws), CPU)


def shapes(*sizes: int, batch: int = 1) -> torch.Tensor:
    return torch.tensor([sizes] * batch)


def test_a_draw_is_a_function_of_its_generator() -> None:
    one, same = (draw(AugmentSettings(), (50, 60), (20, 20), np.random.default_rng([1, 2])) for _ in "ab")
    other = draw(AugmentSettings(), (50, 60), (20, 20), np.random.default_rng([1, 3]))
    assert one.noise_seed == same.noise_seed != other.noise_seed
    np.testing.assert_array_equal(one.control, same.control)
    np.testing.assert_array_equal(one.matrix, same.matrix)


def test_switching_one_change_off_leaves_the_others() -> None:
    full = draw(AugmentSettings(), (50, 60), (20, 20), np.random.default_rng(0))
    calm = draw(
        replace(AugmentSettings(), elastic=0, flip=False), (50, 60), (20, 20), np.random.default_rng(0)
    )
    assert (full.brightness, full.gamma, full.noise_seed) == (calm.brightness, calm.gamma, calm.noise_seed)
    np.testing.assert_array_equal(full.centre, calm.centre)
    assert calm.control is None


def test_control_points_have_the_papers_distribution() -> None:
    """Displacements from N(0, 10 px) on a 3×3 grid (Ronneberger 2015, section 3.1)."""
    rng = np.random.default_rng(0)
    controls = np.stack([draw(AugmentSettings(), (64, 64), (64, 64), rng).control for _ in range(400)])
    assert controls.shape == (400, 2, 3, 3)
    assert controls.std() == pytest.approx(10, rel=0.03)
    assert abs(controls.mean()) < 0.3


def test_nothing_drawn_is_an_exact_crop() -> None:
    """Without changes the crop is the image's own pixels, at integer places inside it."""
    rng = np.random.default_rng(4)
    image = torch.randn(1, 2, 30, 41)
    for _ in range(20):
        d = draw(NO_AUGMENT, (30, 41), (16, 8), rng)
        crop, target = apply(packed(d), image, image[:, :1], shapes(30, 41), (16, 8))
        y, x = (round(c - (n - 1) / 2) for c, n in zip(d.centre, (16, 8), strict=True))
        assert 0 <= y <= 14
        assert 0 <= x <= 33
        assert torch.allclose(crop, image[:, :, y : y + 16, x : x + 8], atol=1e-4)
        assert torch.equal(target, image[:, :1, y : y + 16, x : x + 8])


def test_flips_and_quarter_turns_are_exact() -> None:
    image = torch.randn(1, 1, 9, 9)
    d = draw(NO_AUGMENT, (9, 9), (9, 9), np.random.default_rng(0))
    for matrix, expected in (
        ([[-1, 0], [0, 1]], image.flip(2)),
        ([[1, 0], [0, -1]], image.flip(3)),
        ([[0, -1], [1, 0]], torch.rot90(image, -1, (2, 3))),
    ):
        turned, _ = apply(
            packed(replace(d, matrix=np.array(matrix, float))), image, image, shapes(9, 9), (9, 9)
        )
        assert torch.allclose(turned, expected, atol=1e-4)


@pytest.mark.parametrize("size", [(16, 23), (6, 7, 8)])
def test_beyond_the_border_is_mirrored(size: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    image = rng.normal(size=size)
    places = rng.uniform(-20, 40, (len(size), 50))
    expected = map_coordinates(image, places, order=1, mode="mirror")
    pixels = torch.tensor(places, dtype=torch.float32).reshape(1, len(size), *[1] * (len(size) - 1), 50)
    grid = mirrored_grid(pixels, shapes(*size), size)
    got = sample_at(torch.tensor(image, dtype=torch.float32)[None, None], grid, "bilinear")
    np.testing.assert_allclose(got.numpy().ravel(), expected, atol=1e-4)


def test_images_of_several_sizes_are_mirrored_at_their_own_border() -> None:
    """Filling up to one size for the batch changes nothing."""
    small = torch.randn(1, 1, 20, 24)
    filled = torch.full((1, 1, 40, 40), 99.0)
    filled[:, :, :20, :24] = small
    d = draw(AugmentSettings(noise=0), (20, 24), (16, 16), np.random.default_rng(7))
    alone = apply(packed(d), small, small, shapes(20, 24), (16, 16))
    beside = apply(packed(d), filled, filled, shapes(20, 24), (16, 16))
    assert torch.allclose(alone[0], beside[0], atol=1e-4)
    assert (alone[1] != beside[1]).float().mean() < 0.01  # the nearest pixel at a tie may differ


def test_classes_and_weights_move_with_the_image() -> None:
    """Where the deformed image is of one class for sure, the class map says so too."""
    y, x = np.mgrid[:96, :96]
    disc = torch.tensor((((y - 40) ** 2 + (x - 50) ** 2) < 25**2).astype(np.float32))[None, None]
    settings = AugmentSettings(brightness=0, contrast=0, gamma=0, noise=0)
    for seed in range(10):
        d = draw(settings, (96, 96), (64, 64), np.random.default_rng(seed))
        image, target = apply(packed(d), disc, disc, shapes(96, 96), (64, 64))
        certain = (image < 0.01) | (image > 0.99)
        assert torch.equal(image.round()[certain], target[certain])
        assert set(target.unique().tolist()) <= {0.0, 1.0}


def test_spline_matrix_interpolates_and_is_a_partition_of_one() -> None:
    weights = spline_matrix(3, 101)
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_allclose(weights[[0, 50, 100]], np.eye(3), atol=1e-12)


@pytest.mark.parametrize(("points", "shape"), [(3, (40, 57)), (5, (33, 33)), (3, (9, 12, 17))])
def test_displacement_equals_elasticdeform(points: int, shape: tuple[int, ...]) -> None:
    """The same control points displace the same pixels by the same vectors, to 1e-3 px."""
    elasticdeform = pytest.importorskip("elasticdeform")
    rng = np.random.default_rng(2)
    control = rng.normal(size=(len(shape), *[points] * len(shape))) * 2
    ours = dense_displacement(torch.tensor(control)[None], shape)[0].numpy()
    wide = np.stack(np.meshgrid(*[np.arange(n, dtype=float) for n in shape], indexing="ij"))
    for axis, ramp in enumerate(wide):
        moved = elasticdeform.deform_grid(ramp, control, order=1, mode="nearest")
        inside = np.all(
            [(wide[a] + ours[a] >= 0) & (wide[a] + ours[a] <= n - 1) for a, n in enumerate(shape)], axis=0
        )
        assert inside.mean() > 0.5
        np.testing.assert_allclose((moved - ramp)[inside], ours[axis][inside], atol=1e-3)


def test_the_elasticdeform_engine_gives_the_same_crop() -> None:
    pytest.importorskip("elasticdeform")
    from unetseg.augment.engines import apply_with_elasticdeform

    smooth = gaussian_filter(np.random.default_rng(0).normal(size=(64, 64)), 4) * 20
    image = torch.tensor(smooth, dtype=torch.float32)[None, None]
    settings = replace(NO_AUGMENT, elastic=5.0)
    d = draw(settings, (64, 64), (48, 48), np.random.default_rng(3))
    ours, _ = apply(packed(d), image, image, shapes(64, 64), (48, 48))
    theirs, _ = apply_with_elasticdeform(packed(d), image, image, shapes(64, 64), (48, 48))
    places = source_coordinates(packed(d), (48, 48), CPU)[0] - torch.tensor(d.centre)[:, None, None] + 23.5
    inside = ((places >= 0) & (places <= 47)).all(0)
    assert torch.allclose(ours[0, 0][inside], theirs[0, 0][inside], atol=1e-3)


def test_grey_values_hand_worked() -> None:
    image = torch.tensor([[[[0.0, 1.0], [2.0, 4.0]]]])
    d = draw(NO_AUGMENT, (2, 2), (2, 2), np.random.default_rng(0))
    changed = change_grey_values(image, packed(replace(d, contrast=2.0, brightness=-1.0)))
    assert changed.flatten().tolist() == [-1.0, 1.0, 3.0, 7.0]
    squared = change_grey_values(image, packed(replace(d, gamma=2.0)))
    assert squared.flatten().tolist() == pytest.approx([0.0, 0.25, 1.0, 4.0])
    inverted = change_grey_values(image, packed(replace(d, invert=True, contrast=2.0)))
    assert inverted.flatten().tolist() == [2.0, 0.0, -2.0, -6.0]
    assert change_grey_values(image, packed(d)) is not None
    assert torch.equal(change_grey_values(image, packed(d)), image)


def test_a_shadow_hand_worked() -> None:
    image = torch.tensor([[[[1.0, 3.0, 5.0], [7.0, 9.0, 11.0]]]])
    d = draw(NO_AUGMENT, (2, 3), (2, 3), np.random.default_rng(0))
    shadow = Shadow((slice(0, 2), slice(1, 3)), kept=0.5)
    changed = change_grey_values(image, packed(replace(d, shadow=shadow)))
    assert changed.flatten().tolist() == [1.0, 2.0, 3.0, 7.0, 5.0, 6.0]
    assert image[0, 0, 0, 1] == 3  # the images themselves stay


def test_the_chance_of_a_shadow_is_the_setting_and_it_lies_in_its_crop() -> None:
    rng, crop = np.random.default_rng(0), (20, 31)
    drawn = [draw(replace(NO_AUGMENT, occlusion=0.3), (64, 64), crop, rng) for _ in range(2000)]
    shadows = [d.shadow for d in drawn if d.shadow is not None]
    assert len(shadows) / 2000 == pytest.approx(0.3, abs=0.04)
    for shadow in shadows:
        for where, side in zip(shadow.where, crop, strict=True):
            assert 0 <= where.start < where.stop <= side
            assert where.stop - where.start <= side // 2
        assert 0 <= shadow.kept <= 1


def test_a_shadow_changes_no_other_draw() -> None:
    one, other = (
        draw(replace(NO_AUGMENT, noise=1, occlusion=chance), (64, 64), (32, 32), np.random.default_rng(3))
        for chance in (0, 1)
    )
    assert other.shadow is not None
    assert (one.noise, one.noise_seed) == (other.noise, other.noise_seed)
    assert np.array_equal(one.centre, other.centre)


def test_the_chance_of_inversion_is_the_setting_and_only_its_own_crop_is_inverted() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw(replace(NO_AUGMENT, invert=0.3), (2, 2), (2, 2), rng).invert for _ in range(2000)]
    assert np.mean(drawn) == pytest.approx(0.3, abs=0.04)
    images = torch.randn(2, 1, 4, 5)
    d = draw(NO_AUGMENT, (4, 5), (4, 5), rng)
    changed = change_grey_values(images, packed(replace(d, invert=True), d))
    assert torch.equal(changed[0], 1 - images[0])
    assert torch.equal(changed[1], images[1])


def test_blur_equals_scipys_gaussian_and_leaves_the_unblurred_alone() -> None:
    images = torch.randn(2, 1, 20, 30)
    d = draw(NO_AUGMENT, (20, 30), (20, 30), np.random.default_rng(0))
    blurred = change_grey_values(images, packed(replace(d, blur=1.5), d))
    expected = gaussian_filter(images[0, 0].numpy(), 1.5, mode="mirror", truncate=10 / 3)
    np.testing.assert_allclose(blurred[0, 0].numpy(), expected, atol=1e-3)
    assert torch.allclose(blurred[1], images[1], atol=1e-5)


def test_noise_is_replayed_by_its_seed_and_has_its_deviation() -> None:
    images = torch.zeros(2, 1, 80, 80)
    d = draw(NO_AUGMENT, (80, 80), (80, 80), np.random.default_rng(0))
    noisy = [replace(d, noise=0.5), d]
    once, again = change_grey_values(images, packed(*noisy)), change_grey_values(images, packed(*noisy))
    assert torch.equal(once, again)
    assert once[0].std().item() == pytest.approx(0.5, rel=0.05)
    assert once[1].abs().max() == 0


def test_counted_noise_is_normal_and_of_each_image_alone() -> None:
    seeds = torch.tensor([0, 1, 2**31 - 1])
    noise = counted_noise(seeds, (1, 301, 333))
    for layer, seed in zip(noise, seeds, strict=True):
        assert kstest(layer.flatten().numpy(), "norm").pvalue > 0.001
        assert torch.equal(counted_noise(seed[None], (1, 301, 333))[0], layer)
    neighbours = torch.corrcoef(torch.stack([noise[0, 0, 0], noise[0, 0, 1], noise[1, 0, 0], noise[2, 0, 0]]))
    assert (neighbours - torch.eye(4)).abs().max() < 5 / 333**0.5
    assert noise.unique().numel() > 0.98 * noise.numel()


def test_the_hash_is_splitmix64() -> None:
    """The first values of the published generator for the seed 1234567, by arithmetic without limits."""
    state, expected = 1234567, [6457827717110365317, 3203168211198807973, 9817491932198370423]
    for value in expected:
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        signed = state - 2**64 if state >= 2**63 else state
        assert int(_mixed(torch.tensor([signed]))[0]) % 2**64 == value
