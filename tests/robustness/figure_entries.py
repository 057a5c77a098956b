"""Functions of `tfp_realnvp.figures` and the gallery, and what they are given."""

import numpy as np
import small_subjects as small
from bad_values import arrays, junk
from clear_errors import Entry, assert_numbers, assert_pictures, given
from hypothesis import strategies as st

from tfp_realnvp import figures
from tfp_realnvp.gallery import Row, gallery_page

just = st.just
IMAGES = st.builds(small.images)
FLOW = {"flow": just(small.flow())}
CLASS_FLOW = {"flow": just(small.by_class())}
images = st.one_of(arrays(), junk)
BAD = {
    "images": images,
    "latents": images,
    "first": images,
    "second": images,
    "data": images,
    "samples": images,
    "pixels": images,
    "frames": images,
    "image": images,
    "a": images,
    "b": images,
}


def entry(function, good, check=assert_pictures, names=(), **more):
    return Entry(
        lambda **a: function(**a),
        given(good),
        BAD,
        lambda result, arguments: check(result),
        names=names,
        **more,
    )


def writer(function, name, good, **more):
    def call(folder, path, **arguments):
        # A name of a file is put into the folder, anything else is given as it is.
        is_name = isinstance(path, str) and path not in ("", "..") and "/" not in path
        function(f"{folder}/{path}" if is_name else path, **arguments)

    good = {"path": name, **good}
    return Entry(
        call,
        given(good),
        BAD,
        names=("File name too long", "No such file", "surrogates"),
        folder=True,
        **more,
    )


def _rows():
    film = figures.Figure("animation", np.zeros([2, 2, 2, 3], np.uint8), "", {})
    return [Row("t", "c", {"samples": "not drawn", "animation": film})]


def _check_page(page):
    assert page.startswith("<!doctype html>")


DRAWS = {"seed": 0, "temperature": 1.0}
ENTRIES = {
    "encode_images": entry(
        figures.encode_images,
        {**FLOW, "images": IMAGES, "condition": None, "seed": 0, "batch_size": 2},
        assert_numbers,
    ),
    "decode_latents": entry(
        figures.decode_latents,
        {
            **FLOW,
            "latents": np.zeros([2, 4, 4, 1], np.float32),
            "condition": None,
            "batch_size": 2,
        },
    ),
    "decode_latents by class": entry(
        figures.decode_latents,
        {
            **CLASS_FLOW,
            "latents": np.zeros([2, 4, 4, 1], np.float32),
            "condition": [0, 2],
            "batch_size": 2,
        },
    ),
    "sample_images": entry(
        figures.sample_images, {**FLOW, "count": 2, **DRAWS, "condition": None}
    ),
    "sample_images by class": entry(
        figures.sample_images, {**CLASS_FLOW, "count": 2, **DRAWS, "condition": [0, 1]}
    ),
    "extrapolated_samples": entry(
        figures.extrapolated_samples,
        {**FLOW, "count": 1, "factor": 2, **DRAWS, "condition": None},
    ),
    "interpolations": entry(
        figures.interpolations,
        {
            **CLASS_FLOW,
            "first": IMAGES,
            "second": IMAGES,
            "steps": 2,
            "condition": ([0, 1], [1, 2]),
            "seed": 0,
        },
    ),
    "latent_manifold": entry(
        figures.latent_manifold,
        {
            **FLOW,
            "images": st.builds(small.images, just(4)),
            "angles": 2,
            "condition": None,
            "seed": 0,
        },
    ),
    "manifold_animation": entry(
        figures.manifold_animation,
        {
            **FLOW,
            "images": st.builds(small.images, just(8)),
            "frames": 2,
            "angles": 2,
            "condition": None,
            "seed": 0,
        },
    ),
    "conceptual_compression": entry(
        figures.conceptual_compression,
        {**FLOW, "images": IMAGES, "kept": [0.5], "condition": None, "seed": 0},
    ),
    "kept_fractions": entry(figures.kept_fractions, FLOW, assert_numbers),
    "change_attributes": entry(
        figures.change_attributes,
        {
            **CLASS_FLOW,
            "images": IMAGES,
            "condition": [0, 1],
            "new_condition": [1, 2],
            "seed": 0,
        },
    ),
    "shuffled_numbers": entry(
        figures.shuffled_numbers, {"count": 4, "seed": 0}, assert_numbers
    ),
    "image_bits_per_dim": entry(
        figures.image_bits_per_dim,
        {**FLOW, "images": IMAGES, "condition": None, "seed": 0, "batch_size": 2},
        assert_numbers,
    ),
    "psnr": entry(figures.psnr, {"a": IMAGES, "b": IMAGES}, assert_numbers),
    "image_grid": entry(
        figures.image_grid,
        {"images": IMAGES, "columns": 2, "scale": 1, "gap": 1, "marked": ()},
    ),
    "samples_beside_data": entry(
        figures.samples_beside_data, {"data": IMAGES, "samples": IMAGES, "columns": 2}
    ),
    "to_uint8": entry(
        figures.to_uint8,
        {"pixels": np.zeros([2, 2], np.float32)},
        lambda result: result.dtype == np.uint8 or pytest_fail(),
    ),
    "write_png": writer(
        figures.write_png, "picture.png", {"image": np.zeros([2, 2, 3], np.uint8)}
    ),
    "write_animation": writer(
        figures.write_animation,
        "picture.png",
        {"frames": np.zeros([2, 2, 2, 3], np.uint8), "milliseconds": 10},
    ),
    "write_learning_curve": writer(
        figures.write_learning_curve,
        "curve.png",
        {
            "history": {"bits_per_dim": [7.0], "val_bits_per_dim": [7.0]},
            "references": {"uniform": 8.0},
        },
    ),
    "gallery_page": entry(
        gallery_page,
        {"rows": st.builds(_rows), "title": "t"},
        _check_page,
    ),
}


def pytest_fail():
    raise AssertionError("no such result")
