import io

import numpy as np
import pytest
from mixed_folder import KINDS, damaged_files, encoded, picture, turned
from PIL import Image, ImageOps

from tfp_realnvp.data.image_file import (
    UnreadableImage,
    decode_image,
    is_image_name,
    scaled_pixels,
)

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(("kind", "mode", "suffix", "options"), KINDS)
def test_pixels_of_each_format_are_those_that_pillow_reads(kind, mode, suffix, options):
    contents = encoded(picture(RANDOM, mode=mode), kind, **options)
    image = Image.open(io.BytesIO(contents))
    if mode in ("I;16", "I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    assert is_image_name(f"a{suffix}")
    for channels, as_mode in ((3, "RGB"), (1, "L")):
        expected = np.asarray(image.convert("RGB").convert(as_mode))
        np.testing.assert_array_equal(
            decode_image(contents, channels=channels), expected
        )


def test_of_16_bits_the_upper_8_are_taken():
    deep = np.arange(0, 65536, 331, np.uint16).reshape(2, 99)
    for kind, dtype in (("PNG", np.uint16), ("TIFF", np.uint16), ("PPM", np.int32)):
        image = Image.fromarray(deep.astype(dtype))
        found = decode_image(encoded(image, kind), channels=1)
        np.testing.assert_array_equal(found, deep >> 8)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_stand_upright(kind, orientation):
    contents = turned(picture(RANDOM), orientation, kind)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(contents)))
    np.testing.assert_array_equal(decode_image(contents), expected)
    deep = turned(picture(RANDOM, mode="I;16"), orientation, "PNG")
    size = (60, 40) if orientation < 5 else (40, 60)
    assert expected.size == decode_image(deep).size == size


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(kind):
    first, *others = (picture(RANDOM) for _ in range(3))
    options = {} if kind != "WEBP" else {"lossless": True}
    moving = encoded(first, kind, save_all=True, append_images=others, **options)
    expected = decode_image(encoded(first, kind, **options))
    np.testing.assert_array_equal(decode_image(moving), expected)


def test_what_is_read_is_told_by_its_name():
    for name in ("a.png", "b/c.JPG", "d.jfif", "e.tar/f.webp", "g.GIF"):
        assert is_image_name(name)
    for name in ("png", "a.png.txt", "a.eps", "a.pdf", "a.mp4", "a.h5"):
        assert not is_image_name(name)


DAMAGED = damaged_files(RANDOM)
REASONS = {
    "giant.png": "exceeds limit",
    "floats.tiff": "8 or 16 bits per channel, got 32",
    "program.png": "cannot identify image file$",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_cannot_be_read_says_why(name):
    with pytest.raises(UnreadableImage, match=REASONS.get(name, ".")):
        decode_image(DAMAGED[name])


def test_mutated_files_are_read_or_refused():
    whole = [
        encoded(picture(RANDOM, (33, 35), mode), kind, **options)
        for kind, mode, _, options in KINDS
    ]
    outcomes = set()
    for turn in range(800):
        contents = bytearray(whole[turn % len(whole)])
        for place in RANDOM.integers(0, len(contents), 2 ** RANDOM.integers(0, 5)):
            contents[place] = RANDOM.integers(256)
        try:
            outcomes.add(decode_image(bytes(contents)).mode)
        except UnreadableImage:
            outcomes.add("refused")
    assert outcomes == {"RGB", "refused"}


@pytest.mark.parametrize("size", [(8, 8), (8, 20), (20, 8), (1, 1)])
def test_squares_are_averages_over_the_parts_of_each_pixel_that_they_cover(size):
    image = picture(RANDOM, size)

    def weights(length, start, end):
        edges, cells = np.linspace(start, end, 5), np.arange(length)
        ends = np.minimum(edges[1:, None], cells + 1)
        overlap = ends - np.maximum(edges[:-1, None], cells)
        return np.clip(overlap, 0, None) / (edges[1] - edges[0])

    side = min(size)
    middle = [((length - side) / 2, (length + side) / 2) for length in size]
    whole = [(0, length) for length in size]
    for crop, spans in (("center", middle), ("none", whole)):
        rows, columns = (weights(n, *span) for n, span in zip(size, spans, strict=True))
        expected = np.einsum("ih,jw,hwc->ijc", rows, columns, np.asarray(image, float))
        found = scaled_pixels(image, 4, crop)
        assert found.shape == (4, 4, 3)
        # Pillow rounds after each axis.
        assert np.abs(found - expected).max() <= 1.01


def test_strips_to_cut_from_are_four_times_as_long_at_most():
    sizes = {(40, 60): (8, 12), (60, 40): (12, 8), (1, 90): (8, 32)}
    for size, expected in sizes.items():
        found = scaled_pixels(picture(RANDOM, size), 8, "random")
        assert found.shape == (*expected, 3)
