import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from tfp_realnvp.data.new_images import find_images, read_images


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("images/below").mkdir(parents=True)
    for i, name in enumerate(["b.png", "a.png", "below/c.png"]):
        Image.new("RGB", (12, 9), (i, i, i)).save(f"images/{name}")
    pathlib.Path("images/.hidden.png").write_bytes(b"")
    shutil.make_archive("packed", "zip", "images")
    pathlib.Path("list.txt").write_text("images/b.png\n\nimages/a.png\n")


def read(*paths, **options):
    options = {"image_size": 4, "channels": 3, "crop": "center", **options}
    return dict(read_images(find_images(paths), **options))


@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("images", ["images/a.png", "images/b.png", "images/below/c.png"]),
        ("packed.zip", ["packed.zip/b.png", "packed.zip/below/c.png"]),
        ("list.txt", ["images/a.png", "images/b.png"]),
        ("images/a.png", ["images/a.png"]),
        ("images/*.png", ["images/a.png", "images/b.png"]),
        ("**/c.png", ["images/below/c.png"]),
    ],
)
def test_images_are_found_in_every_kind_of_place(folder, place, names):
    found = read(place)
    assert set(names) <= set(found) and len(found) == len(names) + ("zip" in place)
    for name, decoded in found.items():
        value = "bac".index(pathlib.Path(name).stem)
        np.testing.assert_array_equal(decoded.pixels, np.full([4, 4, 3], value))


def test_what_is_left_out_is_told_and_what_is_named_twice_comes_once(folder, capsys):
    found = read("images/a.png", "images", "images/a.png", channels=1)
    assert list(found) == ["images/a.png", "images/b.png", "images/below/c.png"]
    assert found["images/b.png"].pixels.shape == (4, 4, 1)
    assert "images: Left out: 1 hidden (.hidden.png)." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("place", "content", "message"),
    [
        ("nowhere", None, "got nowhere, where nothing is"),
        ("", None, "got , where nothing is"),
        ("*.gif", None, "got .*gif, where nothing is"),
        ("more.txt", "images/a.png\ngone.png", "got gone.png, which is no file"),
        ("empty.txt", "", "expected images, got none in empty.txt"),
    ],
)
def test_where_there_are_no_images_is_told(folder, place, content, message):
    if content is not None:
        pathlib.Path(place).write_text(content)
    with pytest.raises(FileNotFoundError, match=f"paths: .*{message}"):
        find_images([place])


def test_a_file_that_may_not_be_read_is_one_of_many(folder):
    found = find_images(["images"])
    pathlib.Path("images/b.png").unlink()
    options = {"image_size": 4, "channels": 3, "crop": "center"}
    damage = {k: v.damage for k, v in read_images(found, **options)}
    assert [k for k, v in damage.items() if v] == ["images/b.png"]
    assert "No such file" in damage["images/b.png"]
