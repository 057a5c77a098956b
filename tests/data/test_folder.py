import itertools
import os
import pathlib
import subprocess

import numpy as np
import pytest
from made_up_images import png_of, write_archive, write_folder
from mixed_folder import CLASSES, encoded, picture, write_mixed_folder
from PIL import Image

from tfp_realnvp.data import image_file, load_images
from tfp_realnvp.data.archive import ARCHIVE_SUFFIXES
from tfp_realnvp.data.folder import load_folder
from tfp_realnvp.data.image_files import list_files

RANDOM = np.random.default_rng(0)


def firsts(data):
    """The red of each image, by split."""
    splits = data.train, data.validation, data.test
    return [split.take(1000)[:, 0, 0, 0].tolist() for split in splits]


def everything(found):
    return sorted(itertools.chain(*found))


def load(folder, files, **options):
    write_folder(folder, files)
    return firsts(load_folder(folder, 8, **options))


REDS = {f"deep/{i:02d}.png": png_of(i) for i in range(60)}


def in_splits(train="train", validation="validation", test="test"):
    folders = {train: range(1, 60), validation: [60, 61], test: [62]}
    return {f"{k}/{i}.png": png_of(i) for k, v in folders.items() if k for i in v}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A mixed folder, and what is in it."""
    folder = tmp_path_factory.mktemp("mixed") / "folder"
    folder.mkdir()
    return folder, *write_mixed_folder(folder)


def test_every_file_of_a_mixed_folder_is_accounted_for(mixed):
    folder, images, damaged, left_out = mixed
    assert len(images) + len(damaged) >= 300
    files = list_files(folder)
    assert files.stamps.keys() == images.keys() | damaged.keys()
    assert {k: sorted(v) for k, v in files.left_out.items()} == {
        k: sorted(v) for k, v in left_out.items()
    }
    told = {*files.stamps, *itertools.chain(*left_out.values())}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        above = {parent.as_posix() for parent in pathlib.PurePath(name).parents}
        assert path.is_dir() or name in told or above & told, name


def test_a_mixed_folder_is_read_but_for_what_is_damaged_and_that_is_said(mixed, capsys):
    folder, images, damaged, _ = mixed
    with pytest.raises(ValueError, match=r"13 of \d+ that cannot|13 of \d+ images"):
        load_images(f"folder:{folder}")
    data = load_images(
        f"folder:{folder}", image_size=16, skip_damaged=True, conditional=True
    )
    assert data.train.count + data.validation.count + data.test.count == len(images)
    assert data.condition_names == CLASSES
    output = capsys.readouterr().out
    assert "Left out: 6 hidden (.DS_Store), " in output
    assert f"Left out 13 of {len(images) + len(damaged)} images" in output
    assert "dog/damaged/empty.png (cannot identify" in output


def test_pixels_and_classes_of_a_mixed_folder_are_those_of_its_files(mixed):
    folder, images, _, _ = mixed
    data = load_folder(folder, 16, skip_damaged=True, conditional=True)
    expected = {}
    for name, contents in images.items():
        square = image_file.scaled_pixels(
            image_file.decode_image(contents), 16, "center"
        )
        expected.setdefault(square.tobytes(), set()).add(name.partition("/")[0])
    count = 0
    for split in (data.train, data.validation, data.test):
        for image, label in zip(
            split.take(1000), split.take_conditions(1000), strict=True
        ):
            assert CLASSES[label] in expected[image.tobytes()]
            count += 1
    assert count == len(images)


@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
def test_archives_give_what_folders_give(tmp_path, suffix):
    folder = load(tmp_path / "folder", REDS)
    # Archives are in no order.
    files = dict(sorted(REDS.items(), key=lambda file: file[0][::-1]))
    write_archive(tmp_path / f"a{suffix}", {"readme": b"", "._1.png": b"", **files})
    data = load_images(f"folder:{tmp_path / f'a{suffix}'}", image_size=8)
    assert data.event_shape == (8, 8, 3)
    assert firsts(data) == folder
    assert everything(folder) == list(range(60))


def test_images_are_ordered_folder_by_folder(tmp_path):
    names = "a/0.png", "a/1/0.png", "a-b/0.png", "a.png"
    files = {f"train/{name}": png_of(i) for i, name in enumerate(names)}
    others = {"val/1.png": png_of(8), "test/1.png": png_of(9)}
    assert load(tmp_path, {**others, **files}) == [[0, 1, 2, 3], [8], [9]]


def test_files_that_are_added_or_renamed_move_no_other_to_another_split(tmp_path):
    before = load(tmp_path, REDS)
    assert 3 <= len(before[1]) <= 12 and 3 <= len(before[2]) <= 12
    more = {f"{i}.png": png_of(i) for i in range(60, 200)}
    after = load(tmp_path, more)
    assert all(set(one) <= set(other) for one, other in zip(before, after, strict=True))
    for path in sorted((tmp_path / "deep").iterdir()):
        path.rename(tmp_path / f"x{path.stem[::-1]}.png")
    assert list(map(sorted, firsts(load_folder(tmp_path, 8)))) == list(
        map(sorted, after)
    )


def test_copies_are_in_one_split(tmp_path):
    copies = {f"copy/{i}.png": png_of(i) for i in range(60)}
    train, validation, test = map(set, load(tmp_path, {**REDS, **copies}))
    assert not train & validation and not train & test and not validation & test


@pytest.mark.parametrize("count", range(3, 12))
def test_of_few_images_each_split_has_one(tmp_path, count):
    found = load(tmp_path, {f"{i}.png": png_of(i) for i in range(count)})
    assert everything(found) == list(range(count))
    assert all(found)


@pytest.mark.parametrize("count", [0, 2])
def test_too_few_images_to_split_are_refused(tmp_path, count):
    files = {"a/1.txt": b"", **{f"{i}.png": png_of(i) for i in range(count)}}
    message = r"at least 3 different images.*; got \d\. Left out: 1 not images"
    with pytest.raises(ValueError, match=message):
        load(tmp_path, {**files, "copy.png": png_of(0)} if count else files)


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"train": "Train", "validation": "val", "test": "TEST"},
        {"train": "training", "validation": "valid", "test": "testing"},
        {"train": "x/y/train", "validation": "x/y/Validation", "test": "x/y/test"},
    ],
)
@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_splits_are_known_by_the_names_that_people_give_them(tmp_path, names, suffix):
    write_folder(tmp_path / "a", in_splits(**names))
    write_archive(tmp_path / "a.zip", {**in_splits(**names), "__MACOSX/._1.png": b""})
    train, validation, test = firsts(load_folder(tmp_path / f"a{suffix}", 8))
    assert (sorted(train), validation, test) == (list(range(1, 60)), [60, 61], [62])


def test_what_is_held_out_by_its_folder_is_never_trained_on(tmp_path):
    found = load(tmp_path / "validation", in_splits(test=""))
    assert found[1] == [60, 61]
    assert 3 <= len(found[2]) <= 12
    assert sorted(found[0] + found[2]) == list(range(1, 60))
    found = load(tmp_path / "test", in_splits(validation=""))
    assert found[2] == [62]
    assert sorted(found[0] + found[1]) == list(range(1, 60))
    # As where classes lie beside the images to test with.
    found = load(tmp_path / "classes", in_splits(train="cat", validation=""))
    assert found[2] == [62]
    assert sorted(found[0] + found[1]) == list(range(1, 60))


def test_what_lies_beside_the_splits_is_left_out_and_said(tmp_path, capsys):
    files = {**in_splits(), "other/1.png": png_of(99), "2.png": png_of(99)}
    assert 99 not in everything(load(tmp_path, files))
    assert "2 outside of the splits (2.png)" in capsys.readouterr().out


def test_a_class_may_be_named_as_a_split_is(tmp_path):
    files = {f"train/{i}.png": png_of(i) for i in range(30)}
    files |= {f"plane/{i}.png": png_of(i) for i in range(30, 60)}
    write_folder(tmp_path, files)
    assert load_folder(tmp_path, 8, conditional=True).condition_names == (
        "plane",
        "train",
    )


def test_two_folders_of_one_split_are_refused(tmp_path):
    message = "one folder of validation images in .*, got two, such as val"
    with pytest.raises(ValueError, match=message):
        load(tmp_path, {**in_splits(), "val/1.png": png_of(70)})


def test_the_same_pixels_in_two_splits_are_told(tmp_path, capsys):
    same = encoded(Image.new("RGB", (60, 40), (62, 0, 1)), "BMP")
    load(tmp_path, {**in_splits(), "train/same.bmp": same})
    message = (
        "1 images are in two splits, such as test/62.png (test) and train/same.bmp"
    )
    assert message in capsys.readouterr().out


@pytest.mark.parametrize("split", ["train", "val", "Test"])
def test_a_split_that_is_a_link_out_of_the_folder_is_refused(tmp_path, split):
    write_folder(tmp_path / "data", in_splits(train="images"))
    (tmp_path / "data" / split).symlink_to(tmp_path)
    with pytest.raises(ValueError, match=f"expected a folder, got {split} in .*a link"):
        load_folder(tmp_path / "data")


def test_splits_may_be_links_in_the_folder(tmp_path):
    write_folder(tmp_path, {f"all/{k}": v for k, v in in_splits().items()})
    for split in ("train", "validation", "test"):
        (tmp_path / split).symlink_to(f"all/{split}")
    assert firsts(load_folder(tmp_path, 8))[1:] == [[60, 61], [62]]


def test_a_folder_may_be_reached_through_a_link_and_from_home(tmp_path, monkeypatch):
    write_folder(tmp_path / "data", in_splits())
    (tmp_path / "link").symlink_to("data")
    expected = firsts(load_folder(tmp_path / "data", 8))
    assert firsts(load_folder(tmp_path / "link", 8)) == expected
    monkeypatch.setenv("HOME", str(tmp_path))
    assert firsts(load_images("folder:~/data", image_size=8)) == expected


def test_a_pipe_is_not_waited_for(tmp_path, capsys):
    tmp_path.joinpath("deep").mkdir()
    os.mkfifo(tmp_path / "deep" / "pipe.png")
    load(tmp_path, REDS)
    assert "Left out: 1 not plain files (deep/pipe.png)." in capsys.readouterr().out


def test_a_file_too_large_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(image_file, "LARGEST_FILE", 100)
    with pytest.raises(
        ValueError, match=r"60 of 60 images .*png \(expected at most 100"
    ):
        load(tmp_path, REDS)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_may_not_be_read_is_named(tmp_path, kind, monkeypatch):
    write_folder(tmp_path, REDS)

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


def test_names_do_not_talk_to_the_terminal(tmp_path):
    with pytest.raises(ValueError, match=r"'\\x1b\[2J.png' \(cannot") as caught:
        load(tmp_path, {**REDS, "\x1b[2J.png": b"no image"})
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_a_damaged_image_in_an_archive_is_named_or_skipped(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_archive(path, {**REDS, "x.png": b"no image"})
    with pytest.raises(
        ValueError, match=r"1 of 61 images that cannot: x\.png \(cannot"
    ):
        load_folder(path)
    assert everything(firsts(load_folder(path, skip_damaged=True))) == list(range(60))
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


def test_two_files_of_one_name_in_an_archive_are_refused(tmp_path):
    write_archive(tmp_path / "a.tar", {"a.png": b"one", "./a.png": b"two"})
    with pytest.raises(ValueError, match="one file of a name .*got two of 'a.png'"):
        load_folder(tmp_path / "a.tar")


@pytest.mark.parametrize("name", ["images.rar", "images.tar.xz", "nowhere.zip", "pipe"])
def test_what_is_neither_folder_nor_archive_is_refused(tmp_path, name):
    if name == "pipe":
        os.mkfifo(tmp_path / name)
    elif name != "nowhere.zip":
        (tmp_path / name).write_bytes(b"images")
    with pytest.raises(FileNotFoundError, match=r"\(.zip, .tar, .*\) of them, got .*"):
        load_folder(tmp_path / name)


def test_folders_may_be_as_deep_as_the_system_lets_them(tmp_path):
    write_folder(tmp_path, in_splits())
    deep = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=deep)
        deeper = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = deeper
    os.close(deep)
    assert firsts(load_folder(tmp_path, 8))[1:] == [[60, 61], [62]]
    # What pytest removes folders with goes only so deep.
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)


def test_grey_is_found_if_all_images_are(tmp_path):
    grey = {f"{i}.png": encoded(picture(RANDOM, mode="L"), "PNG") for i in range(9)}
    grey["colours.png"] = encoded(picture(RANDOM, mode="L").convert("RGB"), "PNG")
    write_folder(tmp_path, grey)
    found = load_folder(tmp_path, 8)
    assert found.event_shape == (8, 8, 1)
    asked = load_folder(tmp_path, 8, channels=1)
    np.testing.assert_array_equal(found.train.take(9), asked.train.take(9))
    assert load_folder(tmp_path, 8, channels=3).event_shape == (8, 8, 3)
    write_folder(tmp_path, {"red.png": png_of(200)})
    assert load_folder(tmp_path, 8).event_shape == (8, 8, 3)
    assert load_folder(tmp_path, 8, channels=1).event_shape == (8, 8, 1)


def test_random_crops_are_new_in_every_epoch_and_parts_of_the_image(tmp_path):
    ramp = np.arange(0, 240, 4, np.uint8)
    files = {
        f"{i}.png": encoded(Image.fromarray(np.tile(ramp, [20, 1])), "PNG")
        for i in range(3)
    }
    # Three files of the same pixels are three different ones by their bytes.
    files = {k: v + bytes([int(k[0])]) for k, v in files.items()}
    write_folder(tmp_path, files)
    data = load_folder(tmp_path, 20, crop="random")
    crops = np.stack(
        [batch.numpy()[0] for batch in data.training_batches(1, seed=0).take(40)]
    )
    lefts = crops[:, 0, 0, 0] // 4
    assert crops.shape == (40, 20, 20, 1)
    assert lefts.min() < 5 and lefts.max() > 35 and lefts.max() <= 40
    np.testing.assert_array_equal(
        crops[:, 3, :, 0], 4 * (lefts[:, None] + np.arange(20))
    )
    np.testing.assert_array_equal(data.test.take(1), data.test.take(1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 2}, "channels: expected 1 or 3, got 2"),
        ({"crop": "corner"}, 'crop: expected "center", "random" or "none"'),
        ({"image_size": 0}, "image_size: expected a positive int"),
        ({"image_size": 100_000}, "image_size: expected images that fit in memory"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path, options, message):
    write_folder(tmp_path, REDS)
    with pytest.raises(ValueError, match=message):
        load_images(f"folder:{tmp_path}", **options)


def test_classes_are_the_first_subfolders_of_the_splits(tmp_path):
    files = {}
    for name, images in in_splits().items():
        i = int(name.partition("/")[2].removesuffix(".png"))
        files[f"{name.partition('/')[0]}/{'cat' if i % 2 else 'dog'}/a/{i}.png"] = (
            images
        )
    write_folder(tmp_path, files)
    data = load_folder(tmp_path, 8, conditional=True)
    assert data.condition_names == ("cat", "dog")
    for split in (data.train, data.validation, data.test):
        reds = split.take(100)[:, 0, 0, 0]
        np.testing.assert_array_equal(split.take_conditions(100), 1 - reds % 2)
    assert load_folder(tmp_path, 8).condition_names is None


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"x.png": 99, "a/1.png": 1, "b/1.png": 2}, "each image in the subfolder"),
        ({"train/a/1.png": 1, "val/a/1.png": 2}, r"at least 2 classes, got \['a'\]"),
        ({"train/a/1.png": 1, "val/b/1.png": 2}, "of every class, got none of 'b'"),
    ],
)
def test_classes_that_cannot_be_learned_are_refused(tmp_path, files, message):
    more = {f"train/a/{i}.png": i for i in range(9)} if "x.png" not in files else {}
    write_folder(tmp_path, {name: png_of(i) for name, i in (files | more).items()})
    with pytest.raises(ValueError, match=f"conditional: expected .*{message}"):
        load_folder(tmp_path, conditional=True)
