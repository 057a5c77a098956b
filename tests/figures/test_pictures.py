import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tfp_realnvp import figures


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_grid_puts_images_row_after_row_with_white_between():
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones(
        [5, 2, 3, 1], np.uint8
    )
    grid = figures.image_grid(images, columns=2, scale=2, gap=1)
    assert grid.shape == (3 * 4 + 2, 2 * 6 + 1, 1)
    assert [grid[0, 0, 0], grid[0, 7, 0], grid[13, 5, 0]] == [0, 1, 4]
    assert np.all(grid[4] == 255)
    assert np.all(grid[:, 6] == 255)
    # The place of the sixth image stays empty.
    assert np.all(grid[10:, 7:] == 255)
    marked = figures.image_grid(images, columns=2, scale=2, marked=[1])
    assert marked.shape == (14, 13, 3)
    np.testing.assert_array_equal(marked[0, 7], (220, 30, 30))
    np.testing.assert_array_equal(marked[1:3, 8:12], 1)


def test_pixels_become_the_8_bit_values_they_are_plus_noise():
    pixels = np.array([-3.0, 0.0, 0.99, 254.5, 255.99, 260.0])
    np.testing.assert_array_equal(figures.to_uint8(pixels), [0, 0, 0, 254, 255, 255])


def test_samples_stand_beside_the_data_under_their_headings():
    data = np.zeros([16, 8, 8, 1], np.uint8)
    picture = figures.samples_beside_data(data, data + 100, columns=4)
    assert np.all(picture[0, :32] == 0)
    assert np.all(picture[0, -32:] == 100)
    names = ["a", "b" * 100, "c", "d"]
    headed = figures.samples_beside_data(data, data + 100, columns=4, headings=names)
    np.testing.assert_array_equal(headed[56:], picture)
    assert headed[:28].min() < 128 and headed[28:56].min() < 128


def test_psnr_has_its_closed_form():
    a = np.full([3, 4, 4, 3], 100, np.uint8)
    b = a.copy()
    b[1] += 10
    b[2, :2] -= 20
    expected = [np.inf, 20 * np.log10(255 / 10), 20 * np.log10(255 / np.sqrt(200))]
    np.testing.assert_allclose(figures.psnr(a, b), expected)


IMAGES = noise(2, 8, 8, 1)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (figures.image_grid, {"images": IMAGES[0], "columns": 2}, "images: expected"),
        (figures.image_grid, {"images": IMAGES / 255, "columns": 2}, "got float64"),
        (figures.image_grid, {"images": IMAGES, "columns": 0}, "columns: expected a"),
        (figures.psnr, {"a": IMAGES, "b": IMAGES[:1]}, "a, b: expected equal shapes"),
        (figures.samples_beside_data, {"data": IMAGES, "samples": IMAGES[1:]}, "data"),
        (figures.write_png, {"path": "a", "image": IMAGES[0] / 255}, "image: expected"),
        (figures.write_animation, {"path": "a", "frames": IMAGES[:0]}, "frames: expec"),
    ],
)
def test_what_are_no_8_bit_images_of_one_shape_is_refused(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(**arguments)


def test_png_files_hold_the_image(tmp_path):
    image = noise(6, 7, 3)
    figures.write_png(tmp_path / "image.png", image)
    read = tf.io.decode_png((tmp_path / "image.png").read_bytes())
    np.testing.assert_array_equal(read, image)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_frames_are_played_in_a_loop_of_which_others_see_the_first(channels, tmp_path):
    frames, path = noise(3, 20, 30, channels), tmp_path / "a.png"
    figures.write_animation(path, frames, milliseconds=70)
    first = tf.io.decode_png(path.read_bytes())
    np.testing.assert_array_equal(first, frames[0])
    with PIL.Image.open(path) as image:
        assert image.n_frames == 3
        # Zero means for ever.
        assert (image.info["loop"], image.info["duration"]) == (0, 70)
        for i, frame in enumerate(frames):
            image.seek(i)
            found = np.asarray(image.convert("L" if channels == 1 else "RGB"))
            np.testing.assert_array_equal(found.reshape(frame.shape), frame)


def test_learning_curve_is_a_png(tmp_path):
    history = {"bits_per_dim": [7.0, np.nan], "val_bits_per_dim": [7.1, 6.2]}
    path = tmp_path / "curve.png"
    figures.write_learning_curve(path, history, references={"uniform": 8.0})
    assert tf.io.decode_png(path.read_bytes()).shape[-1] == 4
