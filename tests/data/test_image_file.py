import io
import struct

import numpy as np
import pytest
from made_up_images import empty_png
from PIL import Image

from tfp_realnvp.data.image_file import decode_image_file, is_image_name

PIXELS = np.random.default_rng(0).integers(0, 256, [9, 11, 3], np.uint8)


def encode(format, mode="RGB", **options):
    data = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(data, format, **options)
    return data.getvalue()


@pytest.mark.parametrize(
    ("format", "mode"),
    [
        *[("PNG", mode) for mode in ("RGB", "RGBA", "L", "LA", "P", "1")],
        *[("BMP", mode) for mode in ("RGB", "RGBA", "L", "P")],
    ],
)
def test_pixels_are_those_that_pillow_reads(format, mode):
    contents = encode(format, mode)
    expected = Image.open(io.BytesIO(contents)).convert("RGB")
    np.testing.assert_array_equal(decode_image_file("it", contents), expected)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_is_read_about_as_pillow_does(mode):
    contents = encode("JPEG", mode)
    expected = np.asarray(Image.open(io.BytesIO(contents)).convert("RGB"), int)
    image = decode_image_file("it", contents).numpy()
    assert np.abs(image - expected).max() <= 3


def test_of_16_bits_the_upper_8_are_taken():
    deep = np.arange(0, 65536, 331, np.uint16).reshape(2, 99)
    data = io.BytesIO()
    Image.fromarray(deep).save(data, "PNG")
    image = decode_image_file("it", data.getvalue())
    np.testing.assert_array_equal(image[..., 0], deep >> 8)


@pytest.mark.parametrize("height", [9, -9])
def test_rows_of_bmp_may_go_either_way(height):
    contents = bytearray(encode("BMP", "P"))
    contents[22:26] = struct.pack("<i", height)
    expected = Image.open(io.BytesIO(contents)).convert("RGB")
    np.testing.assert_array_equal(decode_image_file("it", bytes(contents)), expected)


def refused(contents, message="it is no image that can be read"):
    with pytest.raises(ValueError, match=f"^dataset: .*{message}"):
        decode_image_file("it", contents)


@pytest.mark.parametrize(
    "contents",
    [
        encode("PNG"),
        encode("PNG", "P"),
        encode("JPEG"),
        encode("JPEG", progressive=True),
        encode("BMP"),
        encode("BMP", "P"),
    ],
    ids=["png", "palette", "jpeg", "progressive", "bmp", "bmp_palette"],
)
def test_a_file_cut_off_anywhere_is_refused(contents):
    for length in range(len(contents)):
        refused(contents[:length])


@pytest.mark.parametrize(
    "contents",
    [b"no image", encode("GIF"), encode("WEBP"), encode("TIFF"), b"<svg/>", b"%!PS"],
    ids=["text", "gif", "webp", "tiff", "svg", "postscript"],
)
def test_other_formats_are_refused_whatever_the_name(contents):
    refused(contents, "expected a whole PNG, JPEG or BMP file, got .*first bytes")


def test_bmp_that_tensorflow_would_misread_is_refused():
    contents = encode("BMP")
    compressed = contents[:30] + b"\1" + contents[31:]
    refused(compressed, "BMP other than")
    refused(encode("BMP", "1"), "BMP other than")
    oddly_masked = bytearray(encode("BMP", "RGBA"))
    oddly_masked[30] = 3
    refused(bytes(oddly_masked), "BMP other than")


def test_colours_that_a_palette_lacks_are_refused():
    contents = bytearray(encode("BMP", "P"))
    # The pixels now begin where the palette is.
    (start,) = struct.unpack_from("<I", contents, 10)
    shorter = contents[:60] + contents[start:]
    shorter[10:14] = struct.pack("<I", 60)
    refused(bytes(shorter), "palette lacks")


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [
        (0, 5, "expected positive sides, got 0 x 5"),
        (10_000, 9_000, "at most 89,478,485 pixels in it, got 10000 x 9000"),
        (2**31 - 1, 2**31 - 1, "at most 89,478,485 pixels"),
        (1, 101, "no side more than 100 times the other in it, got 1 x 101"),
        (100_000, 1, "no side more than 100 times"),
    ],
)
def test_sides_are_refused_before_pixels_are_decoded(width, height, message):
    refused(empty_png(width, height), message)
    bmp = bytearray(encode("BMP"))
    bmp[18:26] = struct.pack("<ii", width, -height)
    refused(bytes(bmp), message)


def test_sides_of_jpeg_are_refused_before_pixels_are_decoded():
    contents = bytearray(encode("JPEG"))
    place = contents.index(b"\xff\xc0") + 5
    contents[place : place + 4] = struct.pack(">HH", 60_000, 60_000)
    refused(bytes(contents), "at most 89,478,485 pixels in it, got 60000 x 60000")


def test_jpeg_of_endless_passes_is_refused():
    contents = encode("JPEG", progressive=True)
    scan = contents[contents.rindex(b"\xff\xda") : -2]
    refused(contents[:-2] + 100 * scan + contents[-2:], "more than 100 scans")


def test_mutated_files_are_read_or_refused():
    random = np.random.default_rng(0)
    whole = [encode(kind, mode) for kind in ("PNG", "BMP") for mode in ("RGB", "P")]
    whole += [encode("JPEG", progressive=way) for way in (False, True)]
    outcomes = set()
    for turn in range(1200):
        contents = bytearray(whole[turn % len(whole)])
        for place in random.integers(0, len(contents), 2 ** random.integers(0, 5)):
            contents[place] = random.integers(256)
        try:
            image = decode_image_file("it", bytes(contents))
        except ValueError as error:
            assert str(error).startswith("dataset: ")
            outcomes.add("refused")
        else:
            assert image.dtype == "uint8" and image.shape[2] == 3
            outcomes.add("read")
    assert outcomes == {"read", "refused"}


@pytest.mark.parametrize("name", ["a.png", "b/c.JPG", "d.jpeg", "e.tar/f.bmp"])
def test_images_are_known_by_their_names(name):
    assert is_image_name(name)


@pytest.mark.parametrize("name", ["a.gif", "png", "a.png.txt", "__MACOSX/._a.png"])
def test_other_files_are_left_out(name):
    assert not is_image_name(name)
