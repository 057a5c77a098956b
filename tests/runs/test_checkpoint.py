import gc

import keras
import numpy as np
import pytest
from small_model import state, vector_model, vectors

from tfp_realnvp.runs.checkpoint import (
    Progress,
    load_checkpoint,
    save_checkpoint,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trained model and the checkpoint of it."""
    model = vector_model(average_decay=0.9)
    model.fit(vectors(), batch_size=16, verbose=0)
    path = tmp_path_factory.mktemp("run") / "checkpoint.npz"
    progress = Progress(step=4, seconds=1.5, history=[{"nll": 2.0}], best=2.0)
    save_checkpoint(path, model, progress)
    return model, path


def averages(model):
    return [v.numpy() for v in model.average.variables]


def test_a_checkpoint_brings_back_all_that_training_needs(trained):
    model, path = trained
    other = vector_model(seed=1, average_decay=0.9)
    progress = load_checkpoint(path, other)
    assert progress == Progress(4, 1.5, [{"nll": 2.0}], 2.0)
    assert other.step == 4
    for a, b in zip(
        [*state(model), *averages(model)],
        [*state(other), *averages(other)],
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_nothing_is_beside_a_checkpoint(trained):
    assert [p.name for p in trained[1].parent.iterdir()] == ["checkpoint.npz"]


def test_no_path_writes_nothing(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_checkpoint(None, trained[0], Progress())
    assert not list(tmp_path.iterdir())


def assert_refused(path, model, message):
    before, contents = state(model), path.read_bytes()
    with pytest.raises(ValueError, match=message):
        load_checkpoint(path, model)
    assert path.read_bytes() == contents
    for a, b in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(share, trained, tmp_path):
    contents = trained[1].read_bytes()
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(contents[: int(share * len(contents))])
    assert_refused(path, trained[0], "is damaged or no checkpoint")


def test_a_refused_checkpoint_is_closed(trained, tmp_path, recwarn):
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(trained[1].read_bytes()[:1000])
    assert_refused(path, trained[0], "is damaged or no checkpoint")
    gc.collect()
    assert not [w for w in recwarn if w.category is ResourceWarning]


def test_a_changed_byte_is_noticed(trained, tmp_path):
    contents = bytearray(trained[1].read_bytes())
    contents[len(contents) // 3] ^= 255
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(contents)
    assert_refused(path, trained[0], "is damaged or no checkpoint")


def test_files_of_others_are_refused(trained, tmp_path):
    path = tmp_path / "checkpoint.npz"
    np.savez(path, x=np.zeros(3))
    assert_refused(path, trained[0], "is damaged or no checkpoint")
    path.write_text("no archive")
    assert_refused(path, trained[0], "is damaged or no checkpoint")


def test_pickled_objects_in_a_checkpoint_are_not_loaded(trained, tmp_path):
    path = tmp_path / "checkpoint.npz"
    np.savez(path, progress=np.array([{"step": 1}], dtype=object))
    assert_refused(path, trained[0], "is damaged or no checkpoint")


def test_the_checkpoint_of_another_model_is_refused(trained):
    _, path = trained
    assert_refused(path, vector_model(), "belongs to another model or optimizer")
    other = vector_model(average_decay=0.9)
    other.compile(keras.optimizers.SGD(), average_decay=0.9)
    assert_refused(path, other, "the first that differs is 'optimizer/")


def test_a_checkpoint_that_is_not_there_is_said_to_be(trained, tmp_path):
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "checkpoint.npz", trained[0])
