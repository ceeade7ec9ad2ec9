import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from unetseg.errors import UserError
from unetseg.scores import score
from unetseg.scores.regions import region_scores

RNG = np.random.default_rng(3)
CLEAN = RNG.integers(20, 200, (2, 1, 30, 41)).astype(np.uint8)
RESTORED = (CLEAN + RNG.normal(0, 9, CLEAN.shape)).astype(np.float32)


def test_psnr_and_ssim_are_skimages_and_means_over_images() -> None:
    found = score(list(CLEAN), list(RESTORED), kind="restoration")
    peak, like = [], []
    for clean, restored in zip(CLEAN[:, 0].astype(float), RESTORED[:, 0].astype(float), strict=True):
        extent = clean.max() - clean.min()
        peak.append(peak_signal_noise_ratio(clean, restored, data_range=extent))
        like.append(structural_similarity(clean, restored, data_range=extent))
    assert found["psnr"] == pytest.approx(np.mean(peak), abs=1e-9)
    assert found["ssim"] == pytest.approx(np.mean(like), abs=1e-9)


def test_values_worked_by_hand() -> None:
    clean, off = np.array([[0.0, 10.0]]), np.array([[1.0, 11.0]])
    found = score([clean], [off], ["psnr", "snr"], kind="restoration")
    assert found["psnr"] == pytest.approx(10 * np.log10(10**2 / 1))  # range 10, mean squared error 1
    assert found["snr"] == pytest.approx(10 * np.log10(100 / 2))  # 0² + 10² by 1² + 1²


def test_equal_images_are_infinitely_good_and_a_flat_clean_image_has_no_range() -> None:
    found = score([CLEAN[0]], [CLEAN[0].astype(float)], kind="restoration")
    assert found["psnr"] == found["snr"] == np.inf
    assert found["ssim"] == pytest.approx(1)
    flat = np.full((1, 9, 9), 5.0)
    assert np.isnan(score([flat], [flat + 1], ["psnr"], kind="restoration")["psnr"])


def test_an_image_too_small_for_ssim_is_one_error() -> None:
    with pytest.raises(UserError, match="at least 7 pixels"):
        score([CLEAN[0, :, :6]], [RESTORED[0, :, :6]], ["ssim"], kind="restoration")


def test_regions_by_hand() -> None:
    image = np.zeros((4, 6))
    image[:2, :2] = [[4, 6], [4, 6]]  # background: mean 5, standard deviation 1
    image[2:, 3:] = [[50, 50, 50], [50, 50, 50]]
    found = region_scores(image, {"background": (0, 2, 0, 2), "layer": (2, 4, 3, 6)})
    assert found["snr-layer"] == pytest.approx(20 * np.log10(50 / 1))
    assert found["cnr-layer"] == pytest.approx(45 / np.sqrt((0 + 1) / 2))
    assert region_scores(image[None], {"background": (0, 2, 0, 2), "layer": (2, 4, 3, 6)}) == found
    assert region_scores(image, {}) == {}


@pytest.mark.parametrize(
    ("regions", "words"),
    [
        ({"layer": (0, 2, 0, 2)}, 'one must be named "background"'),
        ({"background": (0, 5, 0, 2)}, "background = .*4×6 pixels"),
        ({"background": (2, 2, 0, 2)}, "not a rectangle"),
    ],
)
def test_regions_that_do_not_fit(regions: dict[str, tuple[int, ...]], words: str) -> None:
    with pytest.raises(UserError, match=words):
        region_scores(np.zeros((4, 6)), regions)
