import itertools
import os
import pathlib
import subprocess

import numpy as np
import pytest
from made_up_images import empty_png, png_of, write_archive

from tfp_realnvp.data import load_images
from tfp_realnvp.data.archive import ARCHIVE_SUFFIXES
from tfp_realnvp.data.folder import load_folder


def firsts(data):
    """The grey of each image, by split."""
    splits = data.train, data.validation, data.test
    return [split.take(100)[:, 0, 0, 0].tolist() for split in splits]


def write_folder(folder, files):
    for name, contents in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(contents)


GREYS = {f"deep/{i:02d}.png": png_of(i) for i in range(25)}
SPLITS = {
    f"{split}/{i}.png": png_of(i)
    for split, numbers in (("train", [1, 2]), ("test", [3]), ("validation", [4, 5]))
    for i in numbers
}


@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
def test_archives_give_what_folders_give(tmp_path, suffix):
    write_folder(tmp_path / "folder", GREYS)
    # Archives are in no order.
    files = dict(sorted(GREYS.items(), key=lambda file: file[0][::-1]))
    write_archive(tmp_path / f"a{suffix}", {"readme": b"", **files})
    data = load_images(f"folder:{tmp_path / f'a{suffix}'}", image_size=8)
    folder = load_folder(tmp_path / "folder", image_size=8)
    assert data.event_shape == (8, 8, 3)
    assert firsts(data) == firsts(folder)
    assert firsts(data)[1:] == [[1, 13], [0, 10, 20]]


def test_images_are_ordered_folder_by_folder(tmp_path):
    names = "a/0.png", "a/1/0.png", "a-b/0.png", "a.png"
    files = {name: png_of(i) for i, name in enumerate(names)}
    write_folder(tmp_path / "data", files)
    write_archive(tmp_path / "a.zip", dict(reversed(files.items())))
    for path in (tmp_path / "data", tmp_path / "a.zip"):
        assert firsts(load_folder(path)) == [[2, 3], [1], [0]]


@pytest.mark.parametrize("top", ["", "faces/", "./"])
@pytest.mark.parametrize("suffix", [".zip", ".tgz"])
def test_archives_with_train_and_test_keep_that_split(tmp_path, suffix, top):
    files = {f"{top}{name}": contents for name, contents in SPLITS.items()}
    # As macOS packs it.
    files["__MACOSX/._1.png"] = b"notes"
    write_archive(tmp_path / f"a{suffix}", files)
    assert firsts(load_folder(tmp_path / f"a{suffix}")) == [[1, 2], [4, 5], [3]]


def test_archives_in_archives_are_not_opened(tmp_path):
    write_archive(tmp_path / "inner.zip", GREYS)
    inner = (tmp_path / "inner.zip").read_bytes()
    write_archive(tmp_path / "a.zip", {"inner.zip": inner})
    with pytest.raises(ValueError, match="expected at least 3 images.*; got 0"):
        load_folder(tmp_path / "a.zip")


def test_a_bad_member_is_refused_before_any_image_is_decoded(tmp_path):
    write_archive(tmp_path / "a.tar", {"a.png": b"no image", "../b.png": b""})
    with pytest.raises(ValueError, match=r"dataset: .*got '\.\./b\.png'"):
        load_folder(tmp_path / "a.tar")


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_a_damaged_image_in_an_archive_is_named_and_nothing_is_written(
    tmp_path, suffix
):
    write_archive(tmp_path / f"a{suffix}", GREYS | {"x.png": b"no image"})
    with pytest.raises(ValueError, match=rf"dataset: .*a{suffix}/x\.png is no image"):
        load_folder(tmp_path / f"a{suffix}")
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


@pytest.mark.parametrize("name", ["images.rar", "images.tar.xz", "nowhere.zip", "pipe"])
def test_what_is_neither_folder_nor_archive_is_refused(tmp_path, name):
    if name == "pipe":
        os.mkfifo(tmp_path / name)
    elif name != "nowhere.zip":
        (tmp_path / name).write_bytes(b"images")
    with pytest.raises(FileNotFoundError, match=r"\(.zip, .tar, .*\) of them, got .*"):
        load_folder(tmp_path / name)


def test_links_are_not_followed_and_counted_if_nothing_else_is_there(tmp_path):
    write_folder(tmp_path / "elsewhere", GREYS)
    (tmp_path / "links").mkdir()
    for i in range(5):
        (tmp_path / "links" / f"{i}.png").symlink_to(next(iter(GREYS)))
    (tmp_path / "links" / "deep").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="got 0. Links are not followed: 6 skipped"):
        load_folder(tmp_path / "links")
    write_folder(tmp_path / "links", SPLITS)
    assert firsts(load_folder(tmp_path / "links")) == [[1, 2], [4, 5], [3]]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_split_that_is_a_link_is_refused(tmp_path, split):
    write_folder(tmp_path / "data", SPLITS)
    (tmp_path / "data" / split).rename(tmp_path / "elsewhere")
    (tmp_path / "data" / split).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=f"expected a folder, not a link, {split} in"):
        load_folder(tmp_path / "data")


def test_a_folder_may_be_reached_through_a_link(tmp_path):
    write_folder(tmp_path / "data", SPLITS)
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert firsts(load_folder(tmp_path / "link")) == [[1, 2], [4, 5], [3]]


def test_a_pipe_is_not_waited_for(tmp_path):
    write_folder(tmp_path, GREYS)
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match="expected a plain file, got .*pipe.png"):
        load_folder(tmp_path)


def test_a_file_too_large_is_refused_unread(tmp_path):
    write_folder(tmp_path, GREYS)
    with open(tmp_path / "x.png", "wb") as file:
        file.truncate(2**28 + 1)
    message = "at most 268,435,456 bytes in .*x.png, got 268,435,457"
    with pytest.raises(ValueError, match=message):
        load_folder(tmp_path)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_may_not_be_read_is_named(tmp_path, kind, monkeypatch):
    write_folder(tmp_path, GREYS)

    def forbidden(path, *options):
        # Whoever runs the tests may read everything.
        if pathlib.Path(path).name == ("03.png" if kind == "file" else "deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return original(path, *options)

    owner, name = ("builtins", "open") if kind == "file" else ("os", "scandir")
    original = open if kind == "file" else os.scandir
    monkeypatch.setattr(f"{owner}.{name}", forbidden)
    with pytest.raises(PermissionError, match="03.png" if kind == "file" else "deep"):
        load_folder(tmp_path)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (empty_png(50_000, 50_000), "at most 89,478,485 pixels in .*x.png"),
        (empty_png(1, 100_000), "no side more than 100 times the other in .*x.png"),
    ],
)
def test_images_made_to_fill_memory_are_refused(tmp_path, contents, message):
    write_folder(tmp_path, GREYS | {"x.png": contents})
    with pytest.raises(ValueError, match=f"dataset: .*{message}"):
        load_folder(tmp_path)


def test_names_do_not_talk_to_the_terminal(tmp_path):
    write_folder(tmp_path, GREYS | {"\x1b[2J.png": b"no image"})
    with pytest.raises(ValueError, match=r"\\x1b\[2J.png' is no image") as caught:
        load_folder(tmp_path)
    assert str(caught.value).isprintable()


def test_folders_may_be_as_deep_as_the_system_lets_them(tmp_path):
    write_folder(tmp_path, SPLITS)
    deep = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=deep)
        deeper = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = deeper
    os.close(deep)
    assert firsts(load_folder(tmp_path)) == [[1, 2], [4, 5], [3]]
    # What pytest removes folders with goes only so deep.
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)


def test_strips_of_any_allowed_shape_become_squares(tmp_path):
    sizes = [(1, 100), (100, 1), (3, 299), (64, 65), (1, 1)]
    files = {f"{i}.png": png_of(i, size=size) for i, size in enumerate(sizes)}
    write_folder(tmp_path, files)
    data = load_folder(tmp_path, image_size=7)
    np.testing.assert_array_equal(sorted(itertools.chain(*firsts(data))), range(5))
    assert data.train.take(9).shape[1:] == (7, 7, 3)
