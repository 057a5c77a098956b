import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tfp_realnvp.figures import write_animation


@pytest.mark.parametrize("channels", [1, 3])
def test_frames_are_played_in_a_loop(channels, tmp_path):
    shape = [3, 20, 30, channels]
    frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    path = tmp_path / "a.png"
    write_animation(path, frames, milliseconds=70)
    assert list(tmp_path.iterdir()) == [path]
    with PIL.Image.open(path) as image:
        assert image.n_frames == 3
        # Zero means for ever.
        assert (image.info["loop"], image.info["duration"]) == (0, 70)
        for i, frame in enumerate(frames):
            image.seek(i)
            mode = "L" if channels == 1 else "RGB"
            found = np.asarray(image.convert(mode)).reshape(frame.shape)
            np.testing.assert_array_equal(found, frame)


def test_programs_that_know_no_animation_see_the_first_frame(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, [2, 9, 9, 3], np.uint8)
    write_animation(tmp_path / "a.png", frames)
    found = tf.io.decode_png((tmp_path / "a.png").read_bytes())
    np.testing.assert_array_equal(found, frames[0])


@pytest.mark.parametrize(
    "frames", [np.zeros([0, 9, 9, 3], np.uint8), np.zeros([2, 9, 9, 3])]
)
def test_what_are_no_frames_is_refused(frames, tmp_path):
    with pytest.raises(ValueError, match="frames: expected shape .* of uint8"):
        write_animation(tmp_path / "a.png", frames)
    assert not list(tmp_path.iterdir())
