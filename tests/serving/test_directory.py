import pytest

from tfp_realnvp.serving import directory, next_version
from tfp_realnvp.serving.directory import atomic_directory, take_version


def test_versions_are_counted_from_the_highest_that_is_there(tmp_path):
    assert next_version(tmp_path / "new") == tmp_path / "new" / "1"
    for name in ("1", "9", "10", "old", "11.bak", ".123.12"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path) == tmp_path / "11"


def test_a_folder_of_versions_is_neither_a_file_nor_a_version_itself(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").touch()
    with pytest.raises(FileExistsError, match="directory: .*file is a file"):
        next_version(tmp_path / "file")
    with pytest.raises(FileExistsError, match="directory: .*1 is a SavedModel itself"):
        next_version(tmp_path / "1")


def test_a_version_that_another_export_took_meanwhile_stays(tmp_path, monkeypatch):
    for name in ("1", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "made_by").write_text(name)
    seen = iter([tmp_path / "1"])
    monkeypatch.setattr(
        directory, "next_version", lambda path: next(seen, None) or next_version(path)
    )
    assert take_version(tmp_path / "new", tmp_path) == tmp_path / "2"
    made = {p.name: (p / "made_by").read_text() for p in tmp_path.iterdir()}
    assert made == {"1": "1", "2": "new"}


def test_a_folder_filled_while_another_was_written_stays(tmp_path):
    (tmp_path / "out").mkdir()
    with (
        pytest.raises(OSError, match="not empty"),
        atomic_directory(tmp_path / "out", overwrite=False),
    ):
        (tmp_path / "out" / "theirs").touch()
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "theirs"]
