"""Models, runs, data by name and files of all kinds, and what is done to them."""

import json

import numpy as np
import small_subjects as small
import tensorflow as tf
from bad_values import arrays, junk, tensors
from clear_errors import Entry, assert_numbers
from flow_entries import configs, mutated_flow_configs
from hypothesis import strategies as st

import tfp_realnvp as nvp
from tfp_realnvp.data import ImageData, ImageSplit, load_images
from tfp_realnvp.evaluation.evaluation import summarize
from tfp_realnvp.evaluation.image_scores import score_images
from tfp_realnvp.evaluation.runs_evaluation import evaluate_runs
from tfp_realnvp.gallery.caption import run_facts
from tfp_realnvp.runs.checkpoint import load_checkpoint
from tfp_realnvp.runs.run_config import RunConfig
from tfp_realnvp.runs.run_directory import RunDirectory
from tfp_realnvp.runs.strategy import make_strategy

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


def given(good):
    return {
        k: v if isinstance(v, st.SearchStrategy) else just(v) for k, v in good.items()
    }


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


@st.composite
def damages(draw):
    """What happens to the bytes of a file: a function of them."""
    kind = draw(st.sampled_from(["cut", "flip", "insert", "replace", "empty"]))
    place = draw(st.floats(0, 1))
    extra = draw(st.binary(min_size=1, max_size=16))
    return kind, place, extra


def damaged(contents, damage):
    kind, place, extra = damage
    at = int(place * (len(contents) - 1))
    if kind == "cut":
        return contents[:at]
    if kind == "flip":
        return contents[:at] + bytes([contents[at] ^ 255]) + contents[at + 1 :]
    if kind == "insert":
        return contents[:at] + extra + contents[at:]
    return extra if kind == "replace" else b""


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 9),
        st.floats(),
        st.sampled_from([10**12, 10**30, 0, "digits", "__import__", "../..", "\0", ""]),
        st.text(max_size=3),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner)
    ),
    max_leaves=4,
)


@st.composite
def mutated_run_configs(draw):
    """The text of a `config.json` in which something is another."""
    values = json.loads((small.run_path() / "config.json").read_text())
    node = values["flow"] if draw(st.booleans()) else values
    key = draw(st.sampled_from([*sorted(node), "unknown", "__class__", "base"]))
    if draw(st.integers(0, 3)) == 0:
        node.pop(key, None)
    else:
        node[key] = draw(JSON)
    return json.dumps(values)


def _with_file(name, use):
    def call(folder, damage):
        path = small.copy_of_run(folder)
        file = path / name
        contents = file.read_bytes()
        changed = damage.encode() if isinstance(damage, str) else damage
        if isinstance(damage, tuple):
            changed = damaged(contents, damage)
        file.write_bytes(changed)
        try:
            return use(path)
        finally:
            here = {p.name for p in path.iterdir()}
            there = {p.name for p in small.run_path().iterdir()}
            assert here == there, here ^ there
            assert file.read_bytes() == changed
            _remove(path)

    return call


def _remove(path):
    for file in path.iterdir():
        file.unlink()
    path.rmdir()


def on_file(name, use, bad, *, good, names=("run", "config.json"), check=None):
    return Entry(
        _with_file(name, use),
        {"damage": just(good)},
        {"damage": bad},
        check or (lambda result, arguments: None),
        names=names,
        folder=True,
        always_bad=True,
    )


CONFIG_NAMES = (
    *RunConfig.__dataclass_fields__,
    "run",
    "config.json",
    "event_shape",
    "num_scales",
    "filters",
    "num_blocks",
    "invertible_conv",
    "crelu",
    "sizes",
    "base",
)


def _check_model(model, arguments):
    for weight in model.weights:
        assert np.isfinite(weight.numpy()).all()


def _load_config(path):
    return RunDirectory(path).load_config()


def _load_model(path):
    return RunDirectory(path).load_model()


def _load_checkpoint(path):
    model = small.run_model()
    before = small.state(model)
    try:
        return load_checkpoint(path / "checkpoint.npz", model)
    except Exception:
        for a, b in zip(before, small.state(model), strict=True):
            np.testing.assert_array_equal(a, b, "half of a checkpoint was loaded")
        raise


def _facts(path):
    return run_facts(RunDirectory(path), _load_config(path), "last")


def _facts_of_unfinished(path):
    summary = path / "summary.json"
    contents = summary.read_bytes()
    summary.unlink()
    try:
        return _facts(path)
    finally:
        summary.write_bytes(contents)


def _check_progress(progress, arguments):
    assert progress.step == 3


def _config(**arguments):
    return RunConfig(**arguments)


def _read_run(path, which):
    run = RunDirectory(path)
    return run.load_config(), run.weights(which)


def _evaluate_runs(**arguments):
    return evaluate_runs([RunDirectory(small.run_path())], **arguments)


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
    "score_images": Entry(
        lambda **a: score_images(**a),
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
    "make_strategy": Entry(
        lambda name: make_strategy(name), {"name": just("none")}, names=("strategy",)
    ),
    "load_images": Entry(
        lambda **a: load_images(**a),
        given(
            {
                "dataset": "digits",
                "image_size": None,
                "data_dir": None,
                "conditional": True,
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
    "RunConfig": Entry(
        _config,
        given(
            {
                "dataset": "digits",
                "flow": {"event_shape": (4, 4, 1)},
                "batch_size": 4,
                "epochs": 1,
                "learning_rate": 0.1,
                "seed": 0,
                "schedule": "cosine",
                "warmup_steps": 0,
                "data_dir": None,
                "image_size": None,
                "minutes": None,
                "accumulate": 2,
                "jit_compile": False,
                "average_decay": None,
                "on_non_finite": "stop",
                "max_skipped_in_a_row": 3,
            }
        ),
    ),
    "RunDirectory": Entry(
        _read_run,
        given({"path": str(small.run_path()), "which": "last"}),
        names=("run", "weights"),
    ),
    "evaluate_runs": Entry(
        _evaluate_runs,
        given(
            {
                "split": "test",
                "draws": 1,
                "importance_samples": None,
                "seed": 0,
                "limit": 2,
                "batch_size": 2,
                "weights": "last",
                "data_dir": None,
            }
        ),
        always_bad=True,
    ),
    "config.json, its bytes": on_file(
        "config.json",
        _load_config,
        damages(),
        good=("cut", 1.0, b""),
        names=CONFIG_NAMES,
    ),
    "config.json, its values": on_file(
        "config.json",
        _load_config,
        mutated_run_configs(),
        good="{}",
        names=CONFIG_NAMES,
    ),
    "config.json, and the model": on_file(
        "config.json",
        _load_model,
        mutated_run_configs(),
        good="{}",
        names=CONFIG_NAMES,
        check=_check_model,
    ),
    "checkpoint.npz": on_file(
        "checkpoint.npz",
        _load_checkpoint,
        damages(),
        good=("empty", 0.0, b""),
        names=("checkpoint",),
        check=_check_progress,
    ),
    "model.weights.h5": on_file(
        "model.weights.h5",
        _load_model,
        damages(),
        good=("empty", 0.0, b""),
        check=_check_model,
    ),
    "summary.json": on_file(
        "summary.json",
        _facts,
        st.one_of(damages(), JSON.map(json.dumps)),
        good=("empty", 0.0, b""),
    ),
    "history.csv": on_file(
        "history.csv",
        _facts_of_unfinished,
        damages(),
        good=("empty", 0.0, b""),
    ),
}
