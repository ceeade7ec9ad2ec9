"""A lab's folder: pairing by name, stacks and colours, what labels mean, and every way to get it wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from unetseg.errors import UserError
from unetseg.sample import count_classes
from unetseg.settings import DataSettings, TargetSettings
from unetseg.tasks.folder import listing
from unetseg.tasks.folder_files import paired_files

IMAGE = np.arange(20, dtype=np.uint8).reshape(4, 5)
TWO = np.array([[1, 1, 0, 2, 2]] * 4, np.uint16)
THREE = np.array([[1, 0, 2, 0, 3]] * 4, np.uint16)
MASK = (TWO > 0).astype(np.uint8) * 255


def write(path: Path, pixels: np.ndarray, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".png":
        Image.fromarray(pixels).save(path)
    else:
        tifffile.imwrite(path, pixels, photometric="minisblack", **options)


def make(root: Path, labels: dict[str, np.ndarray], folder: str = "labels") -> Path:
    """A data folder of label files, and an image of the same size for each."""
    for name, pixels in labels.items():
        write(root / folder / name, pixels)
        write(root / "images" / name, np.zeros(pixels.shape, np.uint8))
    return root


def auto(**settings: Any) -> DataSettings:
    return DataSettings(task="folder", **settings)


# Pairing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("a.tif", "a.tif"),
        ("a.tif", "a.png"),
        ("a.png", "a_mask.tif"),
        ("a.tif", "a_masks.png"),
        ("a.tif", "a-labels.tif"),
        ("a.tif", "a_label.TIF"),
        ("a.tif", "a_cp_masks.png"),
        ("a.ome.tif", "a.tif"),
        ("a.OME.TIF", "a_seg.ome.tif"),
        ("cell 1.0 dish.tif", "cell 1.0 dish.tif"),
        ("cell 1.0 dish.TIF", "cell 1.0 dish_mask.png"),
        ("stained_mask.tif", "stained_mask.tif"),
    ],
)
def test_files_pair_by_name(tmp_path: Path, image: str, label: str) -> None:
    write(tmp_path / "images" / image, IMAGE)
    write(tmp_path / "labels" / label, MASK)
    assert paired_files(tmp_path) == [(tmp_path / "images" / image, tmp_path / "labels" / label)]


def test_what_is_no_image_is_passed_over(tmp_path: Path) -> None:
    make(tmp_path, {"a.tif": MASK}, "masks")
    for name in ("Thumbs.db", ".DS_Store", "._a.tif", "read me.txt"):
        (tmp_path / "images" / name).write_bytes(b"x")
        (tmp_path / "masks" / name).write_bytes(b"x")
    (tmp_path / "images" / "discarded").mkdir()
    assert [e.name for e in listing(tmp_path, auto()).entries] == ["a"]


@pytest.mark.parametrize("lone", ["images", "labels"])
def test_a_file_without_partner_is_an_error(tmp_path: Path, lone: str) -> None:
    make(tmp_path, {"a.tif": MASK})
    write(tmp_path / lone / "b.tif", MASK)
    write(tmp_path / lone / "c.tif", MASK)
    other = {"images": "labels", "labels": "images"}[lone]
    with pytest.raises(UserError, match=rf"{lone}/b\.tif: .*no partner.* in {other}/.* 1 more"):
        paired_files(tmp_path)


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("images", ("a.png", "a.tif")),
        ("images", ("a.ome.tif", "a.tif")),
        ("labels", ("a.tif", "a_mask.tif")),
        ("labels", ("a_labels.tif", "a_mask.tif")),
    ],
)
def test_two_files_of_one_name_are_an_error_and_none_is_dropped(
    tmp_path: Path, folder: str, names: tuple[str, str]
) -> None:
    make(tmp_path, {"a.tif": MASK})
    (tmp_path / "labels" / "a.tif").unlink()
    write(tmp_path / "labels" / names[0 if folder == "labels" else 1], MASK)
    for name in names:
        write(tmp_path / folder / name, MASK)
    with pytest.raises(UserError, match=f"{names[0]} and {names[1]}: two files for the name 'a'"):
        paired_files(tmp_path)


def test_layouts_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        paired_files(tmp_path / "none")
    with pytest.raises(UserError, match="has no TIFF, PNG or NIfTI images"):
        paired_files(tmp_path)
    (tmp_path / "labels").mkdir()
    with pytest.raises(UserError, match="no images/ beside labels/"):
        paired_files(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(UserError, match="images: has no TIFF, PNG or NIfTI images"):
        paired_files(tmp_path)
    (tmp_path / "masks").mkdir()
    with pytest.raises(UserError, match="has both"):
        paired_files(tmp_path)


def test_jpeg_images_are_distinguished_from_missing_ones(tmp_path: Path) -> None:
    make(tmp_path, {"a.tif": MASK})
    (tmp_path / "images" / "b.jpg").write_bytes(b"x")
    with pytest.raises(UserError, match=r"b\.jpg: \.jpg images cannot be read\. Convert them to TIFF"):
        paired_files(tmp_path)


# Samples ------------------------------------------------------------------------------------------


def test_a_sample_has_its_image_labels_and_pixel_size(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.tif", IMAGE, imagej=True, metadata={"unit": "um"}, resolution=(4, 2))
    write(tmp_path / "labels" / "a.tif", TWO)
    entry = listing(tmp_path, auto(labels="instances")).entries[0]
    sample = entry.read()
    assert (entry.name, entry.group, entry.index, sample.name) == ("a", "a", 0, "a")
    assert sample.image.tolist() == IMAGE[None].tolist()
    assert sample.labels is not None
    assert sample.labels.tolist() == TWO.tolist()
    assert sample.labels.dtype == np.int32
    assert sample.spacing_um == pytest.approx((0.5, 0.25))


def test_the_pages_of_a_stack_are_entries_of_a_group(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.tif", np.stack([IMAGE, IMAGE + 1, IMAGE + 2]))
    write(tmp_path / "labels" / "a.tif", np.stack([MASK, 0 * MASK, MASK]))
    entries = listing(tmp_path, auto()).entries
    assert [(e.name, e.group, e.index) for e in entries] == [(f"a[{i}]", "a", i) for i in range(3)]
    samples = [e.read() for e in entries]
    assert [int(s.image[0, 0, 0]) for s in samples] == [0, 1, 2]
    assert [int(s.labels.max()) for s in samples if s.labels is not None] == [2, 0, 2]


def test_colour_images_have_three_channels_and_grey_rgb_masks_one(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.png", np.stack([IMAGE, IMAGE + 1, IMAGE + 2, IMAGE], axis=-1))
    write(tmp_path / "labels" / "a.png", np.stack([MASK] * 3, axis=-1))
    sample = listing(tmp_path, auto()).entries[0].read()
    assert sample.image[:, 0, 0].tolist() == [0, 1, 2]
    assert sample.labels is not None
    assert sample.labels.tolist() == TWO.tolist()


def test_a_label_palette_gives_ids_and_an_image_palette_grey_values(tmp_path: Path) -> None:
    image = Image.fromarray(TWO.astype(np.uint8), mode="P")
    image.putpalette([0, 0, 0, 99, 99, 99, 199, 199, 199])
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        image.save(tmp_path / folder / "a.png")
    sample = listing(tmp_path, auto(labels="instances")).entries[0].read()
    assert sample.labels is not None
    assert sample.labels[0].tolist() == [1, 1, 0, 2, 2]
    assert sample.image[:, 0].tolist() == [[99, 99, 0, 199, 199]]


# Meanings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_is_recognised_and_its_pieces_are_objects(tmp_path: Path, value: int) -> None:
    found = listing(make(tmp_path, {"a.tif": MASK // 255 * value}), auto())
    assert (found.kind, found.classes) == ("instances", 2)
    assert found.notes == (
        f"labels: mask, values 0 and {value}, 2 objects in 1 image (detected; data.labels overrides)",
    )
    labels = found.entries[0].read().labels
    assert labels is not None
    assert labels[0].tolist() == [1, 1, 0, 2, 2]


def test_instances_are_recognised_also_beside_an_image_with_one_object(tmp_path: Path) -> None:
    one = (TWO == 1).astype(np.uint16)
    found = listing(make(tmp_path, {"a.tif": THREE, "b.tif": TWO, "c.tif": one}), auto())
    assert (found.kind, found.classes) == ("instances", 2)
    assert found.notes[0].startswith("labels: 6 instances in 3 images")


def test_a_class_map_with_one_object_per_class_is_recognised(tmp_path: Path) -> None:
    """The same two values in every image, and they touch."""
    beside = np.array([[0, 1, 1, 2, 2]] * 4, np.uint16)
    found = listing(make(tmp_path, {f"{i}.tif": beside for i in range(4)}), auto())
    assert (found.kind, found.classes) == ("classes", 3)
    assert found.entries[0].read().kind == "classes"


def test_the_user_has_the_last_word(tmp_path: Path) -> None:
    make(tmp_path, {f"{i}.tif": TWO for i in range(4)})
    instances = listing(tmp_path, auto(labels="instances"))
    assert (instances.kind, instances.classes) == ("instances", 2)
    assert "(as set)" in instances.notes[0]
    mask = listing(tmp_path, auto(labels="mask"))
    labels = mask.entries[0].read().labels
    assert labels is not None
    assert np.unique(labels).tolist() == [0, 1, 2]
    assert listing(tmp_path, auto(labels="classes", classes=5)).classes == 5


def test_a_mask_may_be_learnt_as_two_classes(tmp_path: Path) -> None:
    found = listing(make(tmp_path, {"a.tif": MASK}), auto(labels="classes"))
    assert (found.kind, found.classes, found.values) == ("classes", 2, (0, 255))
    labels = found.entries[0].read().labels
    assert labels is not None
    assert labels[0].tolist() == [1, 1, 0, 1, 1]


def test_a_lone_high_class_is_refused_with_the_setting_for_it(tmp_path: Path) -> None:
    odd = np.array([[0, 1, 2, 255]] * 4, np.uint8)
    with pytest.raises(UserError, match=r"0, 1, 2, 255\. If 255 is not a class.*not_annotated = \[255\]"):
        listing(make(tmp_path, {"a.tif": odd}), auto(labels="classes"))


@pytest.mark.parametrize(("value", "dtype"), [(255, np.uint8), (-1, np.int16)])
def test_not_annotated_values_are_minus_1(tmp_path: Path, value: int, dtype: Any) -> None:
    labels = np.array([[0, 1, value, 2, 1]] * 4, dtype)
    settings = auto(labels="classes", not_annotated=(value,))
    found = listing(make(tmp_path, {"a.tif": labels}), settings)
    assert found.classes == 3
    read = found.entries[0].read().labels
    assert read is not None
    assert read[0].tolist() == [0, 1, -1, 2, 1]


def test_an_undeclared_negative_value_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    make(tmp_path, {"a.tif": np.array([[0, 1, -1]] * 2, np.int16)})
    with pytest.raises(UserError, match=r"a\.tif.*label -1.*data\.not_annotated = \[-1\]"):
        listing(tmp_path, auto())


def test_a_class_out_of_range_names_the_sample(tmp_path: Path) -> None:
    for value in (3, 300):  # 300 would be 44 in eight bits
        root = make(tmp_path / str(value), {"a.tif": np.array([[0, 1, value]] * 2, np.uint16)})
        found = listing(root, auto(labels="classes", classes=3))
        with pytest.raises(UserError, match=rf"a: the labels hold class {value}, but only classes 0…2"):
            count_classes(found.entries[0].read(), found.classes, TargetSettings())


def test_labels_may_be_floats_if_they_are_whole(tmp_path: Path) -> None:
    found = listing(make(tmp_path / "a", {"a.tif": THREE.astype(np.float32)}), auto())
    assert found.kind == "instances"
    with pytest.raises(UserError, match=r"a\.tif: label values are not whole"):
        listing(make(tmp_path / "b", {"a.tif": THREE.astype(np.float32) / 2}), auto())


def test_empty_labels_are_an_error_only_if_all_are(tmp_path: Path) -> None:
    make(tmp_path, {"a.tif": 0 * MASK})
    with pytest.raises(UserError, match="every label image is empty"):
        listing(tmp_path, auto())
    make(tmp_path, {"b.tif": MASK})
    assert len(listing(tmp_path, auto()).entries) == 2


def test_the_size_is_known_without_reading_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, {"a.tif": np.stack([TWO, THREE])})
    assert [e.shape for e in listing(tmp_path, auto()).entries] == [(4, 5), (4, 5)]
    monkeypatch.setattr("unetseg.tasks.file_summary.read_images", lambda *_, **__: pytest.fail("read again"))
    assert [e.shape for e in listing(tmp_path, auto()).entries] == [(4, 5), (4, 5)]


def test_a_file_that_has_changed_is_looked_at_again(tmp_path: Path) -> None:
    make(tmp_path, {"a.tif": TWO})
    assert "2 instances" in listing(tmp_path, auto()).notes[0]
    make(tmp_path, {"a.tif": np.concatenate([THREE, THREE])})
    found = listing(tmp_path, auto())
    assert "3 instances" in found.notes[0]
    assert found.entries[0].size == (8, 5)


# Mismatches ---------------------------------------------------------------------------------------


def test_an_image_and_labels_of_different_size_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.tif", IMAGE)
    write(tmp_path / "labels" / "a.tif", MASK[:3])
    entry = listing(tmp_path, auto()).entries[0]
    for ask in (entry.read, lambda: entry.shape):
        with pytest.raises(UserError, match="a: the image is 4×5 pixels and its label image 3×5"):
            ask()


@pytest.mark.parametrize("folder", ["images", "labels"])
def test_a_file_damaged_inside_is_reported_when_the_folder_is_listed(tmp_path: Path, folder: str) -> None:
    rng = np.random.default_rng(0)
    make(tmp_path, {"a.tif": rng.integers(0, 9, (64, 64)).astype(np.uint8)})
    path = tmp_path / folder / "a.tif"
    write(path, rng.integers(0, 9, (64, 64)).astype(np.uint8), compression="zlib")
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages.first.dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[start : start + 200] = bytes(200)
    path.write_bytes(data)
    with pytest.raises(UserError, match=rf"{folder}/a\.tif: damaged at y 0:64, x 0:64"):
        listing(tmp_path, auto())


def test_an_image_and_labels_of_different_page_counts_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.tif", np.stack([IMAGE] * 3))
    write(tmp_path / "labels" / "a.tif", np.stack([MASK] * 2))
    with pytest.raises(UserError, match=r"images/a\.tif has 3 pages and .*labels/a\.tif 2"):
        listing(tmp_path, auto())


def test_a_damaged_label_file_is_named(tmp_path: Path) -> None:
    make(tmp_path, {"a.tif": MASK})
    (tmp_path / "labels" / "a.tif").write_text("not a TIFF")
    with pytest.raises(UserError, match=r"labels/a\.tif: not a readable TIFF"):
        listing(tmp_path, auto())


# Images of several kinds --------------------------------------------------------------------------


def mixed(root: Path, rgb: np.ndarray) -> Path:
    make(root, {"a.tif": TWO, "b.tif": TWO, "c.png": TWO.astype(np.uint8)})
    write(root / "images" / "c.png", rgb)
    return root


def test_grey_images_beside_rgb_ones_are_repeated_and_named(tmp_path: Path) -> None:
    colours = np.stack([IMAGE, IMAGE + 1, IMAGE + 2], axis=-1)
    found = listing(mixed(tmp_path, colours), auto())
    assert [len(e.read().image) for e in found.entries] == [3, 3, 3]
    assert found.repeat_grey
    assert "images: 1 RGB, 2 grey; repeated in three channels: a.tif, b.tif" in found.notes


def test_rgb_images_without_colour_beside_grey_ones_become_grey(tmp_path: Path) -> None:
    found = listing(mixed(tmp_path, np.stack([IMAGE] * 3, axis=-1)), auto())
    assert [len(e.read().image) for e in found.entries] == [1, 1, 1]
    assert not found.repeat_grey
    assert "images: 2 grey, 1 RGB without any colour; read as grey: c.png" in found.notes


def test_other_mixtures_of_channels_name_a_file_of_each(tmp_path: Path) -> None:
    make(tmp_path, {"a.tif": TWO, "b.tif": TWO})
    write(tmp_path / "images" / "b.tif", np.stack([IMAGE] * 2), imagej=True, metadata={"axes": "CYX"})
    with pytest.raises(UserError, match=r"different numbers of channels \(a\.tif 1, b\.tif 2\)"):
        listing(tmp_path, auto())


def test_files_of_another_pixel_size_or_bit_depth_are_named(tmp_path: Path) -> None:
    make(tmp_path, {f"{n}.tif": TWO for n in "abcd"})
    for name, size in (("a", 2), ("b", 2), ("c", 2), ("d", 4)):
        image = (IMAGE.astype(np.uint16) * 100) if name == "c" else IMAGE
        options = {"imagej": True, "metadata": {"unit": "um"}, "resolution": (size, size)}
        write(tmp_path / "images" / f"{name}.tif", image, **options)
    sizes = [n for n in listing(tmp_path, auto()).notes if n.startswith("pixel sizes differ")]
    assert "0.5 µm in most images, other in d.tif 0.25." in sizes[0]
    notes = listing(tmp_path, auto(normalise="training-set")).notes
    grey = [n for n in notes if n.startswith("grey values differ")]
    assert "up to 19 in most images, but c.tif up to 1900." in grey[0]
    assert not [n for n in listing(tmp_path, auto()).notes if n.startswith("grey")]


def test_labels_may_lie_beside_their_images(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"{name}.tif", IMAGE)
        write(tmp_path / f"{name}_cp_masks.png", TWO.astype(np.uint8))
    assert [e.name for e in listing(tmp_path, auto()).entries] == ["a", "b"]


def test_images_alone_get_an_error_about_labels(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.tif", IMAGE)
    with pytest.raises(UserError, match="the labels are missing: 1 image, but no label image"):
        listing(tmp_path, auto())


def test_pages_saved_as_rgb_get_the_hint(tmp_path: Path) -> None:
    write(tmp_path / "images" / "a.tif", np.stack([IMAGE] * 3))
    (tmp_path / "labels").mkdir()
    tifffile.imwrite(tmp_path / "labels" / "a.tif", np.stack([TWO.astype(np.uint8)] * 3), photometric="rgb")
    with pytest.raises(UserError, match=r"3 pages and .*a\.tif 1; .*three pages saved as RGB by mistake"):
        listing(tmp_path, auto())


def test_chosen_channels_are_those_of_single_channel_images(tmp_path: Path) -> None:
    channels = np.stack([IMAGE, IMAGE + 50, IMAGE + 90])
    for root, pixels in (("all", channels), ("one", channels[1])):
        (tmp_path / root / "images").mkdir(parents=True)
        axes = "CYX" if pixels.ndim == 3 else "YX"
        tifffile.imwrite(tmp_path / root / "images" / "a.tif", pixels, imagej=True, metadata={"axes": axes})
        write(tmp_path / root / "labels" / "a.tif", TWO)
    chosen = listing(tmp_path / "all", auto(channels=(1,))).entries[0].read()
    single = listing(tmp_path / "one", auto()).entries[0].read()
    np.testing.assert_array_equal(chosen.image, single.image)
    assert listing(tmp_path / "all", auto(channels=(2, 0))).entries[0].read().image[:, 0, 0].tolist() == [
        90,
        0,
    ]
    with pytest.raises(UserError, match=r"a\.tif: has no channels 3; it has 3"):
        listing(tmp_path / "all", auto(channels=(3,)))
