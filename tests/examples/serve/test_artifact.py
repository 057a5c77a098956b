import pytest


def test_the_highest_version_is_served(serve, tmp_path):
    find_artifact = serve("artifact").find_artifact
    for name in ("2", "10", "9", "latest"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    (tmp_path / "11").mkdir()
    assert find_artifact(tmp_path) == tmp_path / "10"
    assert find_artifact(tmp_path / "9") == tmp_path / "9"
    for nothing in (tmp_path / "11", tmp_path / "none", __file__):
        with pytest.raises(FileNotFoundError, match="expected a folder with saved_mod"):
            find_artifact(nothing)
