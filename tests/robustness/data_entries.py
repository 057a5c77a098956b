"""Images by name and from arrays, and what they are given."""

import numpy as np
import small_subjects as small
from bad_values import arrays
from clear_errors import Entry, given
from hypothesis import strategies as st

from tfp_realnvp.data import ImageData, ImageSplit, load_images

ENTRIES = {
    "load_images": Entry(
        lambda **a: load_images(**a),
        given(
            {
                "dataset": "digits",
                "image_size": None,
                "data_dir": None,
                "conditional": True,
                "channels": None,
                "crop": "center",
                "augment": None,
                "skip_damaged": False,
                "labels": None,
            }
        ),
        names=("dataset",),
    ),
    "ImageSplit.from_array": Entry(
        lambda **a: ImageSplit.from_array(**a),
        given({"array": st.builds(small.images), "conditions": np.int32([0, 1])}),
        {"array": arrays()},
    ),
    "ImageSplit.take_out": Entry(
        lambda count: small.data().train.take_out(count), given({"count": 2})
    ),
    "ImageSplit.take": Entry(
        lambda count: small.data().train.take(count), given({"count": 2})
    ),
    "ImageSplit.batches": Entry(
        lambda **a: list(small.data().train.batches(**a).take(2)),
        given({"batch_size": 2, "limit": 4}),
    ),
    "ImageData": Entry(
        lambda **a: ImageData(**a),
        given(
            {
                "name": "d",
                "event_shape": (4, 4, 1),
                "train": small.data().train,
                "validation": small.data().validation,
                "test": small.data().test,
                "flips": False,
                "condition_names": ("a", "b", "c"),
            }
        ),
        names=("dataset",),
    ),
    "ImageData.training_batches": Entry(
        lambda **a: list(small.data().training_batches(**a).take(1)),
        given(
            {"batch_size": 2, "seed": 0, "first_step": 0, "worker": 0, "num_workers": 1}
        ),
    ),
}
