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


def assert_refused(path, model, message):
    before, contents = state(model), path.read_bytes()
    with pytest.raises(ValueError, match=message):
        load_checkpoint(path, model)
    assert path.read_bytes() == contents
    assert_same(state(model), before)


@pytest.mark.parametrize("kind", ["cut", "of others"])
def test_a_bad_checkpoint_is_refused_and_closed(kind, trained, tmp_path, recwarn):
    path = tmp_path / "checkpoint.npz"
    np.savez(path, x=np.zeros(3))
    if kind == "cut":
        path.write_bytes(trained[1].read_bytes()[:-100])
    assert_refused(path, trained[0], "is damaged or no checkpoint")
    gc.collect()
    assert not [w for w in recwarn if w.category is ResourceWarning]


def test_the_checkpoint_of_another_model_is_refused(trained):
    _, path = trained
    assert_refused(path, vector_model(), "belongs to another model or optimizer")
    other = vector_model(average_decay=0.9)
    other.compile(keras.optimizers.SGD(), average_decay=0.9)
    assert_refused(path, other, "the first that differs is 'optimizer/")
