import itertools
import os
import pathlib

import numpy as np
import pytest
from made_up import png_of, write_archive, write_folder
from mixed_folder import CLASSES, encoded, picture, write_mixed_folder
from PIL import Image

from tfp_realnvp.data import image_file, image_files, load_images
from tfp_realnvp.data.folder import load_folder, read_labels

RANDOM = np.random.default_rng(0)


def splits(data):
    return data.train, data.validation, data.test


def firsts(data):
    """The red of each image, by split."""
    return [split.take(1000)[:, 0, 0, 0].tolist() for split in splits(data)]


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
    return folder, *write_mixed_folder(folder)


def test_every_file_of_a_mixed_folder_is_accounted_for(mixed):
    folder, images, damaged, left_out = mixed
    assert len(images) + len(damaged) >= 300
    files = image_files.list_files(folder)
    assert files.stamps.keys() == images.keys() | damaged.keys()
    found, expected = (
        {k: sorted(v) for k, v in some.items()} for some in (files.left_out, left_out)
    )
    assert found == expected
    told = {*files.stamps, *itertools.chain(*left_out.values())}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        above = {parent.as_posix() for parent in pathlib.PurePath(name).parents}
        assert path.is_dir() or name in told or above & told, name


def test_pixels_and_classes_of_a_mixed_folder_are_those_of_its_files(mixed, capsys):
    folder, images, damaged, _ = mixed
    name = f"folder:{folder}"
    with pytest.raises(ValueError, match=r"11 of \d+ images .*: .* and 6 more"):
        load_images(name)
    data = load_images(name, image_size=16, skip_damaged=True, conditional=True)
    output = capsys.readouterr().out
    assert "Left out: 6 hidden (.DS_Store), " in output
    assert f"Left out 11 of {len(images) + len(damaged)} images" in output
    assert "dog/damaged/empty.png (cannot identify" in output
    assert data.condition_names == CLASSES
    expected = {}
    for name, contents in images.items():
        whole = image_file.decode_image(contents)
        square = image_file.scaled_pixels(whole, 16, "center")
        expected.setdefault(square.tobytes(), set()).add(name.partition("/")[0])
    pairs = [
        pair
        for split in splits(data)
        for pair in zip(split.take(1000), split.take_conditions(1000), strict=True)
    ]
    assert len(pairs) == len(images)
    assert all(CLASSES[label] in expected[image.tobytes()] for image, label in pairs)


@pytest.mark.parametrize("suffix", [".zip", ".tgz"])
def test_archives_give_what_folders_give(tmp_path, suffix):
    folder = load(tmp_path / "folder", REDS)
    # Archives are in no order.
    files = dict(sorted(REDS.items(), key=lambda file: file[0][::-1]))
    path = tmp_path / f"a{suffix}"
    write_archive(path, {"readme": b"", **files})
    assert firsts(load_images(f"folder:{path}", image_size=8)) == folder
    assert everything(folder) == list(range(60))
    write_archive(path, {**files, "x.png": b"no image"})
    with pytest.raises(ValueError, match=r"1 of 61 images .*: x\.png \(can"):
        load_folder(path)
    assert firsts(load_folder(path, 8, skip_damaged=True)) == folder
    # Nothing is unpacked.
    assert {found.name for found in tmp_path.iterdir()} == {"folder", path.name}


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
    renamed = firsts(load_folder(tmp_path, 8))
    assert [*map(sorted, renamed)] == [*map(sorted, after)]
    # Copies are in the split of the original.
    train, validation, test = map(set, load(tmp_path, REDS))
    assert not train & validation and not train & test and not validation & test


@pytest.mark.parametrize("count", [3, 4, 11])
def test_of_few_images_each_split_has_one(tmp_path, count):
    found = load(tmp_path, {f"{i}.png": png_of(i) for i in range(count)})
    assert everything(found) == list(range(count))
    assert all(found)


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


@pytest.mark.parametrize(
    ("folders", "part"),
    [
        ({"test": ""}, 1),
        ({"validation": ""}, 2),
        # As where classes lie beside the images to test with.
        ({"train": "cat", "validation": ""}, 2),
    ],
)
def test_what_is_held_out_by_its_folder_is_never_trained_on(tmp_path, folders, part):
    found = load(tmp_path, in_splits(**folders))
    assert found.pop(part) == {1: [60, 61], 2: [62]}[part]
    assert everything(found) == list(range(1, 60))
    assert 3 <= len(found[1]) <= 12


def test_what_is_left_out_or_in_two_splits_is_told(tmp_path, capsys):
    files = {**in_splits(), "other/1.png": png_of(99), "2.png": png_of(99)}
    files["train/same.bmp"] = encoded(Image.new("RGB", (60, 40), (62, 0, 1)), "BMP")
    write_folder(tmp_path, files)
    # Reading from it would mean to wait for ever.
    os.mkfifo(tmp_path / "train" / "pipe.png")
    assert 99 not in everything(load(tmp_path, {}))
    output = capsys.readouterr().out
    assert "1 not plain files (train/pipe.png), 2 outside of the splits (2.p" in output
    message = "1 images are in two splits, such as test/62.png (test) and train/same"
    assert message in output


def test_splits_may_be_links_in_the_folder_but_not_out_of_it(tmp_path):
    write_folder(tmp_path / "a", {f"all/{k}": v for k, v in in_splits().items()})
    for split in ("train", "validation", "test"):
        (tmp_path / "a" / split).symlink_to(f"all/{split}")
    assert firsts(load_folder(tmp_path / "a", 8))[1:] == [[60, 61], [62]]
    (tmp_path / "a" / "test").unlink()
    (tmp_path / "a" / "Test").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="expected a folder, got Test in .*a link"):
        load_folder(tmp_path / "a")


def test_a_folder_may_be_reached_through_a_link_and_from_home(tmp_path, monkeypatch):
    write_folder(tmp_path / "data", in_splits())
    (tmp_path / "link").symlink_to("data")
    expected = firsts(load_folder(tmp_path / "data", 8))
    assert firsts(load_folder(tmp_path / "link", 8)) == expected
    monkeypatch.setenv("HOME", str(tmp_path))
    assert firsts(load_images("folder:~/data", image_size=8)) == expected


@pytest.mark.parametrize("name", ["images.rar", "nowhere.zip", "pipe.zip"])
def test_what_is_neither_folder_nor_archive_is_refused(tmp_path, name):
    os.mkfifo(tmp_path / "pipe.zip")
    (tmp_path / "images.rar").write_bytes(b"images")
    with pytest.raises(FileNotFoundError, match=r"\(.zip, .tar, .*\) of them, got .*"):
        load_folder(tmp_path / name)


FEW = r"at least 3 different images.*; got \d\. Left out: 1 not images"


@pytest.mark.parametrize(
    ("files", "conditional", "message"),
    [
        ({"a/1.txt": 0}, False, FEW),
        ({"a/1.txt": 0, "0.png": 0, "copy.png": 0, "1.png": 1}, False, FEW),
        # Names do not talk to the terminal.
        ({"\x1b[2J.png": None}, False, r"'\\x1b\[2J.png' \(cannot"),
        (
            {"val/1.png": 1, "validation/1.png": 2, "train/a/1.png": 3},
            False,
            "one folder of validation images in .*, got two, such as validation",
        ),
        ({"x.png": 99, "a/1.png": 1, "b/1.png": 2}, True, "image in the subfolder"),
        ({"train/a/1.png": 1, "val/a/1.png": 2}, True, r"least 2 classes, got \['a'\]"),
        ({"train/a/1.png": 1, "val/b/1.png": 2}, True, "every class, got none of 'b'"),
    ],
)
def test_folders_that_cannot_be_trained_on_are_refused(
    tmp_path, files, conditional, message
):
    more = {f"train/a/{i}.png": i for i in range(9)} if "val/b/1.png" in files else {}
    images = {k: b"" if i is None else png_of(i) for k, i in {**files, **more}.items()}
    write_folder(tmp_path, images)
    which = "conditional" if conditional else "dataset"
    with pytest.raises(ValueError, match=f"^{which}: expected .*{message}") as caught:
        load_folder(tmp_path, conditional=conditional)
    assert str(caught.value).isprintable()


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
    whole = encoded(Image.fromarray(np.tile(ramp, [20, 1])), "PNG")
    # Three files of the same pixels are three different ones by their bytes.
    write_folder(tmp_path, {f"{i}.png": whole + bytes([i]) for i in range(3)})
    data = load_folder(tmp_path, 20, crop="random")
    batches = data.training_batches(1, seed=0).take(40)
    crops = np.concatenate(list(batches.as_numpy_iterator()))
    lefts = crops[:, 0, 0, 0] // 4
    assert crops.shape == (40, 20, 20, 1)
    assert lefts.min() < 5 and lefts.max() > 35 and lefts.max() <= 40
    places = lefts[:, None] + np.arange(20)
    np.testing.assert_array_equal(crops[:, 3, :, 0], 4 * places)
    np.testing.assert_array_equal(data.test.take(1), data.test.take(1))


def test_classes_are_the_first_subfolders_of_the_splits(tmp_path):
    files = {}
    for name, image in in_splits().items():
        split, i = name.removesuffix(".png").split("/")
        files[f"{split}/{'cat' if int(i) % 2 else 'dog'}/a/{i}.png"] = image
    write_folder(tmp_path, files)
    data = load_folder(tmp_path, 8, conditional=True)
    assert data.condition_names == ("cat", "dog")
    for split in splits(data):
        reds = split.take(100)[:, 0, 0, 0]
        np.testing.assert_array_equal(split.take_conditions(100), 1 - reds % 2)
    assert load_folder(tmp_path, 8).condition_names is None


def test_a_class_may_be_named_as_a_split_is(tmp_path):
    write_folder(tmp_path, {f"train/{i}.png": png_of(i) for i in range(30)})
    write_folder(tmp_path, {f"plane/{i}.png": png_of(i) for i in range(30, 60)})
    names = load_folder(tmp_path, 8, conditional=True).condition_names
    assert names == ("plane", "train")


IMAGES = ["b.png", "a/1.png", "c,d.png"]


def read(folder, *lines, encoding="utf-8"):
    (folder / "some.csv").write_text("\r\n".join(lines), encoding=encoding)
    return read_labels(folder / "some.csv", IMAGES)


@pytest.mark.parametrize(
    ("header", "cells", "encoding"),
    [
        ("file,label", ["cat", "dog", "cat"], "utf-8-sig"),
        ("File , Label ", [" cat", "dog ", "cat"], "utf-8"),
        ("file,kind", ["cat", "dog", "cat"], "utf-8"),
        ("file,class", ["7", "11", "7"], "utf-8"),
    ],
)
def test_words_are_classes_and_so_are_labels(tmp_path, header, cells, encoding):
    rows = zip(["b.png", "./a/1.png", '"c,d.png"'], cells, strict=True)
    lines = [header, "other.png,bird", "", *map(",".join, rows)]
    labels, names = read(tmp_path, *lines, encoding=encoding)
    assert labels.dtype == np.int32
    assert [names[label] for label in labels] == [cell.strip() for cell in cells]
    assert "bird" not in names


@pytest.mark.parametrize("dtype", [np.bool_, np.float32])
def test_other_columns_are_numbers(tmp_path, dtype):
    rows = np.array([[0, 1], [1, 0], [1, 1]]) * (0.5 if dtype is np.float32 else 1)
    names = '"c,d.png"', "b.png", "a/1.png"
    lines = [f"{name},{x},{y}" for name, (x, y) in zip(names, rows, strict=True)]
    found, columns = read(tmp_path, "file,age,smile", *lines)
    assert (found.dtype, columns) == (dtype, ("age", "smile"))
    np.testing.assert_array_equal(found, rows[[1, 2, 0]])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "a first line like file,label"),
        (["name,label"], "a first line like file,label .*got name,label"),
        (["file,label", "b.png,cat"], "2 columns in a line for a/1.png .*, got none"),
        (["file,label", "b.png"], "2 columns in a line for b.png .*csv, got b.png"),
        (
            ["file,x,y", "b.png,1,nan", "a/1.png,1,2", '"c,d.png",1,1'],
            "finite numbers.*got nan",
        ),
        (["\udcff\udcff"], "lines of text"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path, lines, message):
    (tmp_path / "some.csv").write_bytes(os.fsencode("\n".join(lines)))
    with pytest.raises(ValueError, match=f"labels: expected {message}"):
        read_labels(tmp_path / "some.csv", IMAGES)


def test_a_file_in_the_folder_says_what_its_images_are(tmp_path):
    lines = [f"{i}.png,{'odd' if i % 2 else 'even'}" for i in range(60)]
    text = "\n".join(["file,label", *lines])
    write_folder(tmp_path, {f"{i}.png": png_of(i) for i in range(60)})
    (tmp_path / "labels.csv").write_text(text)
    options = {"conditional": True, "labels": "labels.csv"}
    data = load_images(f"folder:{tmp_path}", **options)
    assert data.condition_names == ("even", "odd")
    for split in splits(data):
        reds = split.take(60)[:, 0, 0, 0]
        np.testing.assert_array_equal(split.take_conditions(60), reds % 2)
    (tmp_path / "labels.csv").write_text(text.replace("9.png,odd", "9.png,even"))
    changed = load_images(f"folder:{tmp_path}", **options)
    assert changed.fingerprint() != data.fingerprint()
