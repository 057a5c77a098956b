"""Models and scores, and what they are given."""

import numpy as np
import small_subjects as small
import tensorflow as tf
from bad_configs import configs, mutated_flow_configs
from bad_values import arrays, junk, tensors
from clear_errors import Entry, assert_numbers, given
from hypothesis import strategies as st

import tfp_realnvp as nvp
from tfp_realnvp.evaluation import score_split, summarize

just = st.just


def _datasets():
    made = [
        lambda: tf.data.Dataset.from_tensors(tf.zeros([2, 3])),
        lambda: tf.data.Dataset.from_tensors(tf.zeros([2, 4])),
        lambda: tf.data.Dataset.from_tensors((tf.zeros([2, 3]), [0, 1])),
        lambda: tf.data.Dataset.from_tensors(tf.constant(["a"])),
        lambda: tf.data.Dataset.from_tensors({"x": tf.zeros([2, 3])}),
        lambda: tf.data.Dataset.range(0).batch(2),
        lambda: tf.data.Dataset.from_tensors(tf.fill([2, 3], float("nan"))),
        lambda: tf.data.Dataset.from_tensors(tf.zeros([2, 3], tf.complex64)),
    ]
    return st.sampled_from(made).map(lambda make: make())


_SHAPES = ((2, 3), (1, 3), (0, 3), (2, 2), (3,), (2, 3, 1), (2, 4, 4, 1), (), (0,))
events = st.one_of(
    arrays(shapes=_SHAPES), arrays(shapes=_SHAPES), arrays(), tensors, _datasets(), junk
)
BAD = {"x": events, "condition": events}


def of_model(name, model, x, condition=None, names=(), **good):
    def call(**arguments):
        before = small.state(model())
        try:
            return getattr(model(), name)(**arguments, verbose=0)
        except Exception:
            for a, b in zip(before, small.state(model()), strict=True):
                np.testing.assert_array_equal(a, b, "a failed call changed the model")
            raise
        finally:
            for variable, value in zip(
                (*model().weights, *model().optimizer.variables), before, strict=True
            ):
                variable.assign(value)

    def check(result, arguments):
        of_data_set = isinstance(arguments["x"], tf.data.Dataset)
        if name == "evaluate" and of_data_set:
            # As documented, a mean over NaN.
            return
        if name == "fit":
            result = list(result.history.values())
        assert_numbers(result)

    good = {"x": x, **({} if condition is None else {"condition": condition}), **good}
    # Keras itself says what a generator must give.
    words = ("log_prob", "step", "y", "Python generator", *names)
    return Entry(call, given(good), BAD, check, names=words)


def _compile(**arguments):
    nvp.FlowModel(small.vectors(), seed=0).compile(**arguments)


def _save(folder, filepath, overwrite):
    is_name = isinstance(filepath, str) and "/" not in filepath and filepath != ""
    path = f"{folder}/{filepath}" if is_name else filepath
    small.vector_model().save(path, overwrite=overwrite)


ENTRIES = {
    "FlowModel": Entry(
        lambda **a: nvp.FlowModel(**a),
        given({"flow": small.vectors(), "seed": 0, "name": "model"}),
    ),
    "FlowModel.from_config": Entry(
        lambda config: nvp.FlowModel.from_config(config),
        {"config": just({"flow": small.flow_config(), "seed": 0, "name": "m"})},
        {
            "config": st.one_of(
                junk,
                configs,
                st.fixed_dictionaries(
                    {
                        "flow": st.one_of(mutated_flow_configs(), configs),
                        "seed": st.one_of(just(0), junk),
                        "name": st.one_of(just("m"), junk),
                    }
                ),
            )
        },
        names=("flow", "seed", "name"),
    ),
    "FlowModel.compile": Entry(
        _compile,
        given(
            {
                "optimizer": None,
                "jit_compile": False,
                "on_non_finite": "stop",
                "max_skipped_in_a_row": 10,
                "average_decay": None,
                "loss": None,
                "metrics": None,
            }
        ),
    ),
    "FlowModel.fit": of_model(
        "fit", small.vector_model, np.zeros([4, 3], np.float32), batch_size=2, epochs=1
    ),
    "FlowModel.evaluate": of_model(
        "evaluate", small.vector_model, np.zeros([4, 3], np.float32), batch_size=2
    ),
    "FlowModel.predict": of_model(
        "predict", small.vector_model, np.zeros([4, 3], np.float32), batch_size=2
    ),
    "FlowModel.predict by class": of_model(
        "predict",
        lambda: small.vector_model(3),
        np.zeros([2, 3], np.float32),
        condition=np.array([0, 1]),
        batch_size=2,
    ),
    "FlowModel.evaluate of pixels": of_model(
        "evaluate", small.pixel_model, np.zeros([2, 4, 4, 1], np.uint8)
    ),
    "FlowModel.predict of pixels": of_model(
        "predict", small.pixel_model, np.zeros([2, 4, 4, 1], np.uint8)
    ),
    "FlowModel.save": Entry(
        _save,
        given({"filepath": "model.keras", "overwrite": True}),
        folder=True,
        names=("File name too long", "surrogates"),
    ),
    "score_split": Entry(
        lambda **a: score_split(**a),
        given(
            {
                "model": small.pixel_model(),
                "split": small.data(False).test,
                "draws": 1,
                "seed": 0,
                "limit": 2,
                "batch_size": 2,
            }
        ),
        check=lambda result, arguments: assert_numbers(result),
        always_bad=True,
    ),
    "summarize": Entry(
        lambda **a: summarize(**a),
        given(
            {
                "scores": [np.float64([[3.0, 3.2], [3.4, 3.6]])],
                "event_shape": (4, 4, 1),
                "importance_samples": 2,
            }
        ),
        check=lambda result, arguments: assert_numbers(
            [result.bits_per_dim, result.bound_bits_per_dim]
        ),
    ),
}
