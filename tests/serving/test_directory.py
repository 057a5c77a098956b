import pytest

from tfp_realnvp.serving import next_version


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
