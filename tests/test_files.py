import pytest

from tfp_realnvp.files import atomic_path, remove_unfinished, write_json


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "file.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path):
    kept = [".gitignore", "model.weights.h5", ".hidden.7"]
    for name in (*kept, ".1234.model.weights.h5", ".7.config.json"):
        (tmp_path / name).write_text("")
    for name in (".12.saved_model", ".12.old.replaced", ".12.new.replaced", "new"):
        (tmp_path / name).mkdir()
    remove_unfinished(tmp_path)
    kept += ["new", "old"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(kept)
