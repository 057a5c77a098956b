import numpy as np
import pytest
import tensorflow as tf

import tfp_realnvp as nvp
from tfp_realnvp import figures


def test_grid_puts_images_row_after_row_with_white_between():
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones(
        [5, 2, 3, 1], np.uint8
    )
    grid = figures.image_grid(images, columns=2, scale=2, gap=1)
    assert grid.shape == (3 * 4 + 2, 2 * 6 + 1, 1)
    assert grid[0, 0, 0] == 0
    assert grid[0, 7, 0] == 1
    assert grid[13, 5, 0] == 4
    assert np.all(grid[4] == 255)
    assert np.all(grid[:, 6] == 255)
    # The place of the sixth image stays empty.
    assert np.all(grid[10:, 7:] == 255)


def test_png_files_hold_the_image(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, [6, 7, 3], np.uint8)
    figures.write_png(tmp_path / "image.png", image)
    read = tf.io.decode_png((tmp_path / "image.png").read_bytes())
    np.testing.assert_array_equal(read, image)
    assert len(list(tmp_path.iterdir())) == 1


def test_pixels_become_the_8_bit_values_they_were_jittered_from():
    pixels = np.array([-3.0, 0.0, 0.99, 254.5, 255.99, 260.0])
    np.testing.assert_array_equal(figures.to_uint8(pixels), [0, 0, 0, 254, 255, 255])


def test_samples_are_repeatable_and_temperature_0_is_the_image_of_the_mode():
    flow = nvp.image_flow(event_shape=(4, 4, 1), filters=4, num_blocks=1, seed=0)
    images = figures.sample_images(flow, 3, seed=1)
    np.testing.assert_array_equal(images, figures.sample_images(flow, 3, seed=1))
    assert np.any(images != figures.sample_images(flow, 3, seed=2))
    cold = figures.sample_images(flow, 3, seed=1, temperature=0.0)
    mode = flow.bijector.forward(tf.zeros([1, 4, 4, 1]))
    expected = np.repeat(figures.to_uint8(mode.numpy()), 3, axis=0)
    np.testing.assert_array_equal(cold, expected)


def test_samples_stand_beside_the_data():
    data = np.zeros([16, 8, 8, 1], np.uint8)
    picture = figures.samples_beside_data(data, data + 100, columns=4)
    assert np.all(picture[0, :32] == 0)
    assert np.all(picture[0, -32:] == 100)


def test_learning_curve_is_a_png(tmp_path):
    history = {"bits_per_dim": [7.0, 6.0], "val_bits_per_dim": [7.1, 6.2]}
    path = tmp_path / "curve.png"
    figures.write_learning_curve(path, history, references={"uniform": 8.0})
    assert tf.io.decode_png(path.read_bytes()).shape[-1] == 4


@pytest.mark.parametrize("shape", [(8, 8, 1), (0, 8, 8, 1)])
def test_what_is_no_batch_of_images_is_refused(shape):
    with pytest.raises(ValueError, match="images: expected shape"):
        figures.image_grid(np.zeros(shape, np.uint8), columns=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count: expected a positive int, got 0"),
        ({"count": 1, "temperature": -1.0}, "temperature: expected 0 or more"),
        ({"count": 1, "temperature": float("nan")}, "temperature: expected 0 or more"),
    ],
)
def test_bad_sampling_arguments_are_refused(arguments, message):
    flow = nvp.image_flow(event_shape=(4, 4, 1), filters=4, num_blocks=1)
    with pytest.raises(ValueError, match=message):
        figures.sample_images(flow, **arguments)
