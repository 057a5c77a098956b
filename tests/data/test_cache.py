import os

import numpy as np
import pytest
from made_up import png_of, write_archive, write_folder

from tfp_realnvp.data import cache, image_file
from tfp_realnvp.data.cache import kept_array
from tfp_realnvp.data.folder import load_folder
from tfp_realnvp.data.image_files import list_files

FILES = {f"{i}.png": png_of(i, size=(9, 9)) for i in range(30)}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The folder of the cache, which even a few images are kept in."""
    monkeypatch.setattr(cache, "_FEW", 1)
    monkeypatch.setenv("TFP_REALNVP_CACHE", str(tmp_path / "cache"))
    write_folder(tmp_path / "a", FILES)
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch):
    """The contents of the files that have been decoded."""
    found = []

    def decode(contents, **options):
        found.append(contents)
        return original(contents, **options)

    original = image_file.decode_image
    monkeypatch.setattr(image_file, "decode_image", decode)
    return found


def reds(folder, **options):
    data = load_folder(folder, 8, **options)
    splits = data.train, data.validation, data.test
    return sorted(int(x) for s in splits for x in s.take(99)[:, 0, 0, 0])


@pytest.mark.parametrize("suffix", ["", ".tgz"])
def test_images_are_decoded_once(tmp_path, place, decoded, suffix, capsys):
    write_archive(tmp_path / "a.tgz", FILES)
    for _ in range(2):
        assert reds(tmp_path / f"a{suffix}") == list(range(30))
        assert len(decoded) == 30
    (path,) = place.iterdir()
    assert capsys.readouterr().out.count(f"Writing {path}, once") == 1
    files, options = list_files(tmp_path / f"a{suffix}"), {"image_size": 8}
    options |= {"channels": 3, "crop": "center"}
    kept = cache.decoded_images(tmp_path / f"a{suffix}", files, **options)
    assert len(decoded) == 30
    assert isinstance(kept.pixels, np.memmap) and not kept.pixels.flags.writeable


def test_only_files_that_are_new_or_changed_are_decoded_again(tmp_path, decoded):
    reds(tmp_path / "a")
    decoded.clear()
    (tmp_path / "a" / "3.png").unlink()
    status = (tmp_path / "a" / "4.png").stat()
    new = {"4.png": png_of(99, size=(9, 9)), "x.png": png_of(98)}
    write_folder(tmp_path / "a", new)
    # As a copy that keeps times leaves it.
    os.utime(tmp_path / "a" / "4.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    expected = [*sorted({*range(30)} - {3, 4}), 98, 99]
    for _ in range(2):
        assert reds(tmp_path / "a") == expected
        assert len(decoded) == 2


def test_what_is_damaged_is_not_forgotten(tmp_path, decoded):
    write_folder(tmp_path / "a", {"x.png": b"no image"})
    for _ in range(2):
        with pytest.raises(ValueError, match=r"1 of 31 images .*: x\.png"):
            reds(tmp_path / "a")
    assert reds(tmp_path / "a", skip_damaged=True) == list(range(30))
    write_folder(tmp_path / "a", {"y.png": png_of(50)})
    with pytest.raises(ValueError, match=r"1 of 32 images .*: x\.png"):
        reds(tmp_path / "a")
    assert len(decoded) == 32
    write_folder(tmp_path / "a", {"x.png": png_of(60)})
    assert reds(tmp_path / "a") == [*range(30), 50, 60]


def test_what_the_system_refuses_is_tried_again(tmp_path):
    def refuse(path, *options):
        # Whoever runs the tests may read everything.
        if str(path).endswith("/7.png"):
            raise PermissionError(13, "Permission denied", str(path))
        return open(path, *options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfp_realnvp.data.image_files.open", refuse, raising=False)
        with pytest.raises(ValueError, match=r"1 of 30 .*: 7\.png \(.*Permission den"):
            reds(tmp_path / "a")
    assert reds(tmp_path / "a") == list(range(30))


SHAPE = (20, 3, 2, 1)
IMAGES = np.arange(120, dtype=np.uint8).reshape(SHAPE)


def kept(folder, images=IMAGES):
    pieces = np.array_split(images, 3)
    return kept_array(folder, "some", SHAPE, np.uint8, lambda: pieces)


def images(folder):
    return reds(folder / "a")


def array(folder):
    return kept(folder).copy()


@pytest.mark.parametrize(
    ("make", "damage"),
    [
        (images, lambda whole: whole[:-16] + b"\xff" * 16),
        (array, lambda whole: whole.replace(b"(20, 3", b"(19, 3")),
        (array, lambda whole: whole.replace(b"|u1", b"|i1")),
        *((make, lambda whole: whole[: len(whole) // 2]) for make in (images, array)),
        *((make, lambda whole: b"") for make in (images, array)),
        *((make, lambda whole: b"these are no images") for make in (images, array)),
    ],
)
def test_what_is_damaged_or_was_left_by_other_data_is_written_anew(
    tmp_path, place, make, damage
):
    place.mkdir()
    expected = make(tmp_path)
    (path,) = place.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    np.testing.assert_array_equal(make(tmp_path), expected)
    assert path.read_bytes() == whole


def test_an_array_is_kept_beside_what_it_is_made_of(tmp_path, monkeypatch):
    monkeypatch.delenv("TFP_REALNVP_CACHE")
    for read in (lambda: np.array_split(IMAGES, 3), None):
        found = kept_array(tmp_path, "some", SHAPE, np.uint8, read)
        assert isinstance(found, np.memmap) and not found.flags.writeable
        np.testing.assert_array_equal(found, IMAGES)
    np.testing.assert_array_equal(np.load(tmp_path / "some.npy"), IMAGES)


def test_another_folder_keeps_data_of_one_name_apart(tmp_path, place):
    place.mkdir()
    for name, images in (("one", IMAGES), ("two", IMAGES[::-1])):
        kept(tmp_path / name, images)
    for name, images in (("one", IMAGES), ("two", IMAGES[::-1])):
        found = kept_array(tmp_path / name, "some", SHAPE, np.uint8, None)
        np.testing.assert_array_equal(found, images)
