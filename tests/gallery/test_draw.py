"""How the pictures of a row are put together; what is in them is tested elsewhere."""

import numpy as np
import pytest

from tfp_realnvp.gallery import draw
from tfp_realnvp.gallery.draw import draw_row

GIVEN = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones(
    [1, 16, 16, 1], np.uint8
)


class Figures:
    """Stands in for the functions of `tfp_realnvp.figures`; grey tells what is what."""

    scales = 2

    def __init__(self):
        self.calls = {}

    def sample_images(self, flow, count, **arguments):
        self.calls["samples"] = {"count": count, **arguments}
        return np.full([count, 16, 16, 1], 50, np.uint8)

    def extrapolated_samples(self, flow, count, *, factor, **arguments):
        self.calls[factor] = {"count": count, **arguments}
        return np.full([count, 16 * factor, 16 * factor, 1], 60, np.uint8)

    def kept_fractions(self, flow):
        return [0.5**i for i in range(self.scales)]

    def conceptual_compression(self, flow, images, *, kept, **arguments):
        self.calls["compression"] = arguments
        levels = 40 * np.arange(len(kept), dtype=np.uint8)
        return levels[:, None, None, None, None] + images[None]

    def manifold_animation(self, flow, images, **arguments):
        self.calls["manifold"] = arguments
        frame, row, column = np.ogrid[:5, :2, :3]
        grey = (100 * (column == 2) + 40 * row + frame).astype(np.uint8)
        return grey[..., None, None, None] * np.ones([16, 16, 1], np.uint8)


@pytest.fixture
def figures(monkeypatch):
    figures = Figures()
    for name in vars(Figures):
        if not name.startswith("_") and callable(getattr(figures, name)):
            monkeypatch.setattr(draw, name, getattr(figures, name))
    return figures


def drawn(images=GIVEN, **arguments):
    return draw_row(None, images, title="a", caption="b", **arguments)


def greys(picture, rows, columns, side):
    """The grey in the middle of each cell of a grid."""
    top, left = np.arange(rows) * (side + 1), np.arange(columns) * (side + 1)
    return picture[top[:, None] + side // 2, left[None] + side // 2, 0]


def test_36_images_stand_beside_36_samples_and_nine_twice_as_large(figures):
    row = drawn()
    assert row.examples.shape == row.samples.shape == (6 * 65 - 1, 6 * 65 - 1, 1)
    np.testing.assert_array_equal(
        greys(row.examples, 6, 6, 64), GIVEN[:36, 0, 0, 0].reshape(6, 6)
    )
    assert row.samples_2x.shape == (3 * 129 - 1, 3 * 129 - 1, 1)
    assert row.samples_10x.shape == (640, 640, 1)
    assert np.all(greys(row.samples, 6, 6, 64) == 50)
    assert np.all(greys(row.samples_2x, 3, 3, 128) == 60)


def test_a_flow_of_one_scale_forgets_nothing(figures):
    figures.scales = 1
    assert "single scale" in drawn().information_loss


@pytest.mark.parametrize(
    ("scales", "levels", "blocks", "lines"),
    [(2, 2, 3, 6), (3, 3, 2, 6), (4, 4, 1, 4), (7, 5, 1, 5)],
)
def test_each_image_is_forgotten_from_left_to_right(
    figures, scales, levels, blocks, lines
):
    figures.scales = scales
    picture = drawn().information_loss
    width = levels * 65 - 1
    assert picture.shape == (lines * 65 - 1, blocks * (width + 6) - 6, 1)
    for block in range(blocks):
        part = picture[:, block * (width + 6) :]
        images = block * lines + np.arange(lines, dtype=np.uint8)
        np.testing.assert_array_equal(
            greys(part, lines, levels, 64),
            images[:, None] + 40 * np.arange(levels, dtype=np.uint8),
        )


def test_frames_of_the_manifold_keep_their_order_rows_and_columns(figures):
    frames = drawn().manifold
    assert frames.shape == (5, 2 * 33 - 1, 3 * 33 - 1, 1)
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(
            greys(frame, 2, 3, 32),
            np.array([[i, i, 100 + i], [40 + i, 40 + i, 140 + i]]),
        )


def test_conditions_of_the_images_are_those_of_the_samples(figures):
    labels = np.arange(40)
    drawn(condition=labels, seed=3, temperature=0.5)
    calls = figures.calls
    for name, count in (("samples", 36), (2, 9), (10, 1)):
        np.testing.assert_array_equal(calls[name]["condition"], labels[:count])
        assert (calls[name]["count"], calls[name]["temperature"]) == (count, 0.5)
    np.testing.assert_array_equal(calls["manifold"]["condition"], labels[:8])
    np.testing.assert_array_equal(calls["compression"]["condition"], labels[:18])
    assert {call["seed"] for call in calls.values()} == {3}


def test_flows_without_conditions_are_given_none(figures):
    drawn()
    assert {call["condition"] for call in figures.calls.values()} == {None}


def test_few_images_make_a_row_without_the_manifold(figures):
    row = drawn(GIVEN[:4], condition=np.array([7, 8, 9, 7]))
    assert row.manifold == "It takes 8 images, and the test set has 4."
    assert row.examples.shape == (64, 6 * 65 - 1, 1)
    # Two lines fill two of the three blocks.
    assert row.information_loss.shape == (2 * 65 - 1, 2 * (2 * 65 - 1) + 6, 1)
    np.testing.assert_array_equal(
        figures.calls["samples"]["condition"], np.tile([7, 8, 9, 7], 9)
    )


def test_samples_that_do_not_fit_into_memory_give_way_to_the_reason(
    figures, monkeypatch
):
    def refuse(flow, count, *, factor, **arguments):
        raise ValueError(f"factor: {factor} would take too much.")

    monkeypatch.setattr(draw, "extrapolated_samples", refuse)
    row = drawn()
    assert row.samples_2x == "Not drawn: factor: 2 would take too much."
    assert row.samples_10x == "Not drawn: factor: 10 would take too much."
    assert row.examples.shape == row.samples.shape


def test_a_row_of_no_images_is_refused():
    with pytest.raises(ValueError, match="images: expected at least one"):
        drawn(GIVEN[:0])
