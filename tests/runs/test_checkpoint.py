import gc

import keras
import numpy as np
import pytest
from small_model import assert_same, state, vector_model, vectors

from tfp_realnvp.runs.checkpoint import Progress, load_checkpoint, save_checkpoint


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trained model and the checkpoint of it."""
    model = vector_model(average_decay=0.9)
    model.fit(vectors(), batch_size=16, verbose=0)
    path = tmp_path_factory.mktemp("run") / "checkpoint.npz"
    progress = Progress(step=4, seconds=1.5, history=[{"nll": 2.0}], best=2.0)
    save_checkpoint(path, model, progress)
    return model, path


def test_a_checkpoint_brings_back_all_that_training_needs(trained):
    model, path = trained
    assert [p.name for p in path.parent.iterdir()] == ["checkpoint.npz"]
    other = vector_model(seed=1, average_decay=0.9)
    assert load_checkpoint(path, other) == Progress(4, 1.5, [{"nll": 2.0}], 2.0)
    assert other.step == 4
    assert_same(state(model), state(other))
    assert_same(*([v.numpy() for v in m.average.variables] for m in (model, other)))


def assert_refused(path, model, message="is damaged or no checkpoint"):
    before, contents = state(model), path.read_bytes()
    with pytest.raises(ValueError, match=message):
        load_checkpoint(path, model)
    assert path.read_bytes() == contents
    assert_same(state(model), before)


def changed(contents):
    at = len(contents) // 3
    return contents[:at] + bytes([contents[at] ^ 255]) + contents[at + 1 :]


DAMAGES = {
    "empty": lambda x: b"",
    "cut early": lambda x: x[: len(x) // 10],
    "cut late": lambda x: x[: 99 * len(x) // 100],
    "changed": changed,
    "another file": lambda x: b"no archive",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_refused_and_closed(damage, trained, tmp_path, recwarn):
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(DAMAGES[damage](trained[1].read_bytes()))
    assert_refused(path, trained[0])
    gc.collect()
    assert not [w for w in recwarn if w.category is ResourceWarning]


@pytest.mark.parametrize("kind", ["of others", "compressed", "pickled"])
def test_files_of_others_are_refused(kind, trained, tmp_path):
    path = tmp_path / "checkpoint.npz"
    if kind == "compressed":
        with np.load(trained[1]) as file:
            np.savez_compressed(path, **file)
    elif kind == "pickled":
        np.savez(path, progress=np.array([{}], dtype=object))
    else:
        np.savez(path, x=np.zeros(3))
    assert_refused(path, trained[0])


def test_the_checkpoint_of_another_model_is_refused(trained):
    _, path = trained
    assert_refused(path, vector_model(), "belongs to another model or optimizer")
    other = vector_model(average_decay=0.9)
    other.compile(keras.optimizers.SGD(), average_decay=0.9)
    assert_refused(path, other, "the first that differs is 'optimizer/")
