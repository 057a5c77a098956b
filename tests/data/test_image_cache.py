import os

import numpy as np
import pytest
from made_up_images import png_of, write_archive, write_folder

from tfp_realnvp.data import image_cache
from tfp_realnvp.data.folder import load_folder

FILES = {f"{i}.png": png_of(i, size=(9, 9)) for i in range(30)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder of the cache, which even a few images are kept in."""
    monkeypatch.setattr(image_cache, "_FEW", 1)
    monkeypatch.setenv("TFP_REALNVP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch):
    """The contents of the files that have been decoded."""
    found = []

    def decode(contents, **options):
        found.append(contents)
        return original(contents, **options)

    original = image_cache.decode_image
    monkeypatch.setattr(image_cache, "decode_image", decode)
    return found


def reds(folder, **options):
    data = load_folder(folder, 8, **options)
    splits = data.train, data.validation, data.test
    return sorted(int(x) for s in splits for x in s.take(99)[:, 0, 0, 0])


@pytest.mark.parametrize("suffix", ["", ".zip", ".tgz"])
def test_images_are_decoded_once_and_mapped(tmp_path, cache, decoded, suffix, capsys):
    write_folder(tmp_path / "a", FILES)
    write_archive(tmp_path / "a.zip", FILES)
    write_archive(tmp_path / "a.tgz", FILES)
    assert reds(tmp_path / f"a{suffix}") == list(range(30))
    assert len(decoded) == 30
    (path,) = cache.iterdir()
    assert f"Writing {path}, once." in capsys.readouterr().out
    assert reds(tmp_path / f"a{suffix}") == list(range(30))
    assert len(decoded) == 30
    pixels = load_folder(tmp_path / f"a{suffix}", 8, crop="random").train.images
    assert isinstance(pixels.decoded.pixels, np.memmap)
    assert not pixels.decoded.pixels.flags.writeable


def test_only_files_that_are_new_or_changed_are_decoded_again(tmp_path, decoded):
    write_folder(tmp_path / "a", FILES)
    reds(tmp_path / "a")
    decoded.clear()
    (tmp_path / "a" / "3.png").unlink()
    status = (tmp_path / "a" / "4.png").stat()
    write_folder(
        tmp_path / "a", {"4.png": png_of(99, size=(9, 9)), "x.png": png_of(98)}
    )
    # As a copy that keeps times leaves it.
    os.utime(tmp_path / "a" / "4.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    expected = [*sorted({*range(30)} - {3, 4}), 98, 99]
    assert reds(tmp_path / "a") == expected
    assert len(decoded) == 2
    assert reds(tmp_path / "a") == expected
    assert len(decoded) == 2


def test_other_options_have_a_file_of_their_own(tmp_path, cache):
    write_folder(tmp_path / "a", FILES)
    for options in ({}, {"channels": 1}, {"crop": "none"}, {"crop": "random"}):
        assert load_folder(tmp_path / "a", 8, **options).event_shape[:2] == (8, 8)
    load_folder(tmp_path / "a", 4)
    assert len(list(cache.iterdir())) == 5


def test_what_is_damaged_is_not_forgotten(tmp_path, decoded):
    write_folder(tmp_path / "a", {**FILES, "x.png": b"no image"})
    for _ in range(2):
        with pytest.raises(ValueError, match=r"1 of 31 images that cannot: x\.png"):
            reds(tmp_path / "a")
    assert reds(tmp_path / "a", skip_damaged=True) == list(range(30))
    write_folder(tmp_path / "a", {"y.png": png_of(50)})
    with pytest.raises(ValueError, match=r"1 of 32 images that cannot: x\.png"):
        reds(tmp_path / "a")
    assert len(decoded) == 32
    write_folder(tmp_path / "a", {"x.png": png_of(60)})
    assert reds(tmp_path / "a") == [*range(30), 50, 60]


@pytest.mark.parametrize("left", ["half", "nothing", "words", "more", "numbers"])
def test_a_damaged_file_is_written_anew(tmp_path, cache, left):
    write_folder(tmp_path / "a", FILES)
    expected = reds(tmp_path / "a")
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    contents = {
        "half": whole[: len(whole) // 2],
        "nothing": b"",
        "words": b"these are no images",
        "more": whole + whole[:99],
        "numbers": whole[:-16] + b"\xff" * 16,
    }
    path.write_bytes(contents[left])
    assert reds(tmp_path / "a") == expected
    assert path.read_bytes() == whole


def test_an_error_leaves_nothing_behind(tmp_path, cache, monkeypatch):
    write_folder(tmp_path / "a", FILES)
    monkeypatch.setattr(image_cache, "decode_image", None)
    with pytest.raises(TypeError):
        reds(tmp_path / "a")
    assert list(cache.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path, monkeypatch):
    write_folder(tmp_path / "a", FILES)
    monkeypatch.setenv("TFP_REALNVP_CACHE", str(tmp_path / "a" / "1.png"))
    with pytest.raises(OSError, match="1.png.*set TFP_REALNVP_CACHE to another folder"):
        reds(tmp_path / "a")
