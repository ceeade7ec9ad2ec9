"""Reader, writer and manifest of the plugin; none of it needs a window."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from unetseg import api
from unetseg.errors import UserError
from unetseg.images import open_image
from unetseg.images.scale import Scale
from unetseg.images.whole import write_stack
from unetseg.napari import layers
from unetseg.napari.layers import LazyArray, scale_arguments, spacing_of
from unetseg.napari.reader import get_reader, read_labels
from unetseg.napari.sample_data import touching_cells
from unetseg.napari.writer import write_labels

LABELS = np.arange(2 * 3 * 4, dtype=np.uint16).reshape(2, 3, 4)


def test_a_label_file_opens_as_labels_with_pixel_size_on_top_of_its_image(tmp_path: Path) -> None:
    write_stack(tmp_path / "a_labels.tif", LABELS, spacing_um=(0.5, 0.25), frame_s=60.0)
    write_stack(tmp_path / "a.tif", LABELS.astype(np.uint8), spacing_um=(0.5, 0.25))
    reader = get_reader(str(tmp_path / "a_labels.tif"))
    assert reader is not None
    (image, _, one), (labels, arguments, two) = reader(str(tmp_path / "a_labels.tif"))
    assert (one, two) == ("image", "labels")
    assert arguments["name"] == "a_labels"
    np.testing.assert_allclose(arguments["scale"], [60.0, 0.5, 0.25])
    assert [str(u) for u in arguments["units"]] == ["second", "micrometer", "micrometer"]
    assert_array_equal(labels, LABELS)
    assert_array_equal(image[1, 1:, ::2], LABELS[1, 1:, ::2])


def test_an_image_of_another_size_does_not_open_with_labels(tmp_path: Path) -> None:
    write_stack(tmp_path / "a_labels.tif", LABELS, spacing_um=None)
    write_stack(tmp_path / "a.tif", np.zeros((2, 5, 5), np.uint8), spacing_um=None)
    assert [kind for _, _, kind in read_labels(str(tmp_path / "a_labels.tif"))] == ["labels"]


def test_other_files_are_left_to_other_readers(tmp_path: Path) -> None:
    assert get_reader(str(tmp_path / "a.tif")) is None
    assert get_reader(str(tmp_path / "a.zarr")) is None
    assert get_reader([str(tmp_path / "a_labels.tif"), str(tmp_path / "b.tif")]) is None


def test_grey_pixels_under_the_name_of_labels_are_refused(tmp_path: Path) -> None:
    write_stack(tmp_path / "a_labels.tif", LABELS.astype(np.float32), spacing_um=None)
    with pytest.raises(UserError, match="whole numbers"):
        read_labels(str(tmp_path / "a_labels.tif"))


def test_a_streamed_result_opens_as_visible_labels(tmp_path: Path) -> None:
    image, _ = cells()
    out = tmp_path / "cells.ome.zarr"
    expected = api.predict_large(api.load_model("nuclei"), image, out, diameter=20)
    reader = get_reader(str(out))
    assert reader is not None
    ((labels, arguments, kind),) = reader(str(out))
    assert (kind, arguments["name"]) == ("labels", "cells_labels")
    assert arguments.get("visible", True)
    assert_array_equal(labels, np.asarray(expected[:]))


def test_labels_too_large_to_edit_open_lazily_as_a_pyramid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "EDITABLE_BYTES", 1)
    image = np.tile(cells()[0], (3, 3))
    out = tmp_path / "cells.ome.zarr"
    expected = api.predict_large(api.load_model("nuclei"), image, out, diameter=20)
    ((pyramid, arguments, _),) = read_labels(str(out))
    assert arguments["multiscale"]
    assert [level.shape for level in pyramid][:2] == [image.shape, tuple(n // 2 for n in image.shape)]
    assert_array_equal(pyramid[0][100:200, 300:], expected[100:200, 300:])
    path = str(tmp_path / "cells_labels.tif")
    write_labels(path, pyramid, arguments)
    assert_array_equal(read_labels(path)[0][0], expected[:])


@pytest.mark.parametrize(
    ("shape", "axes"), [((3, 4), {}), ((2, 3, 4), {"t": 2}), ((2, 2, 3, 4), {"t": 2, "z": 2})]
)
def test_written_labels_are_read_back(tmp_path: Path, shape: tuple[int, ...], axes: dict[str, int]) -> None:
    labels = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    units = ["pixel"] * (len(shape) - 2) + ["micrometer"] * 2
    scale = [1.0] * (len(shape) - 2) + [0.5, 0.25]
    path = str(tmp_path / "b_labels.tif")
    assert write_labels(path, labels, {"scale": scale, "units": units}) == [path]
    assert open_image(Path(path)).axes == axes
    assert open_image(Path(path)).spacing_um == pytest.approx((0.5, 0.25))
    assert_array_equal(read_labels(path)[0][0], labels)


def test_slices_with_a_distance_are_written_as_a_volume(tmp_path: Path) -> None:
    path = str(tmp_path / "v_labels.tif")
    write_labels(path, LABELS, {"scale": [2.0, 0.5, 0.5], "units": ["um"] * 3})
    found = open_image(Path(path))
    assert found.axes == {"z": 2}
    assert found.scale.z_um == pytest.approx(2.0)


def test_pixel_sizes_pass_between_images_and_layers() -> None:
    arguments = scale_arguments(Scale((0.5, 0.25), z_um=2.0), ("t", "z"), 4)
    assert arguments["scale"] == [1.0, 2.0, 0.5, 0.25]
    assert arguments["units"] == ["pixel", "micrometer", "micrometer", "micrometer"]
    assert spacing_of(arguments["scale"], arguments["units"], 3) == (2.0, 0.5, 0.25)
    assert spacing_of([500.0, 250.0], ["nm", "nm"]) == (0.5, 0.25)
    assert spacing_of([1.0, 1.0], ["pixel", "pixel"]) is None
    assert scale_arguments(Scale(), (), 3) == {"axis_labels": ["c", "y", "x"]}


def test_a_lazy_array_slices_as_numpy_does(tmp_path: Path) -> None:
    pixels = np.arange(2 * 3 * 2 * 4 * 5, dtype=np.uint8).reshape(2, 3, 2, 4, 5)
    write_stack(tmp_path / "p.tif", pixels, spacing_um=None, axes="TZCYX")
    found = LazyArray(open_image(tmp_path / "p.tif"))
    for region in [
        (0,),
        (slice(None), 1),
        (1, slice(0, 2), 1, slice(1, 3)),
        (..., 2),
        (1, ..., slice(None, None, 2)),
    ]:
        assert_array_equal(found[region], pixels[region])
    assert (found.shape, found.dtype) == (pixels.shape, pixels.dtype)


def test_the_sample_film_has_its_truth() -> None:
    (image, _, _), (truth, arguments, kind) = touching_cells()
    assert image.shape == truth.shape
    assert (kind, arguments["visible"]) == ("labels", False)


def test_the_manifest_is_valid_and_what_it_names_can_be_imported() -> None:
    npe2 = pytest.importorskip("npe2", reason="napari is not installed")
    manifest = npe2.PluginManifest.from_file(Path(api.__file__).parent / "napari" / "napari.yaml")
    manifest.validate_imports()


def cells() -> tuple[np.ndarray, np.ndarray]:
    (images, _, _), (labels, _, _) = touching_cells()
    return images[0], labels[0]
