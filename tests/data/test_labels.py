import numpy as np
import pytest
from made_up_images import png_of, write_folder

from tfp_realnvp.data import load_images
from tfp_realnvp.data.labels import read_labels

IMAGES = ["b.png", "a/1.png", "c,d.png"]


def read(folder, text, encoding="utf-8"):
    (folder / "some.csv").write_text(text, encoding=encoding)
    return read_labels(folder / "some.csv", IMAGES)


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("file,label", ["cat", "dog", "cat"]),
        ("File , Label ", [" cat", "dog ", "cat"]),
        ("file,kind", ["cat", "dog", "cat"]),
        ("file,class", ["7", "11", "7"]),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_words_are_classes_and_so_are_labels(tmp_path, header, cells, encoding):
    rows = zip(["b.png", "./a/1.png", '"c,d.png"'], cells, strict=True)
    lines = [header, "other.png,bird", "", *map(",".join, rows)]
    labels, names = read(tmp_path, "\r\n".join(lines), encoding)
    assert labels.dtype == np.int32
    assert [names[label] for label in labels] == [cell.strip() for cell in cells]
    assert "bird" not in names


@pytest.mark.parametrize("dtype", [np.bool_, np.float32])
def test_other_columns_are_numbers(tmp_path, dtype):
    rows = np.array([[0, 1], [1, 0], [1, 1]]) * (0.5 if dtype is np.float32 else 1)
    lines = ["file,age,smile"]
    for name, row in zip(['"c,d.png"', "b.png", "a/1.png"], rows, strict=True):
        lines.append(f"{name},{row[0]},{row[1]}")
    found, names = read(tmp_path, "\n".join(lines))
    assert (found.dtype, names) == (dtype, ("age", "smile"))
    np.testing.assert_array_equal(found, rows[[1, 2, 0]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a first line like file,label"),
        ("name,label\nb.png,cat", "a first line like file,label .*got name,label"),
        ("file,label\nb.png,cat", "a line for a/1.png .*, got none"),
        ("file,label\nb.png", "2 columns in .*some.csv, got b.png"),
        ("file,x,y\nb.png,1,cat\na/1.png,1,2\n'c,d.png',1,1", "3 columns"),
        (
            'file,x,y\nb.png,1,nan\na/1.png,1,2\n"c,d.png",1,1',
            "finite numbers.*got nan",
        ),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=f"labels: expected {message}"):
        read(tmp_path, text)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "some.csv").write_bytes(b"\xff\xfe\0")
    with pytest.raises(ValueError, match="labels: expected lines of text"):
        read_labels(tmp_path / "some.csv", IMAGES)


def test_a_file_in_the_folder_says_what_its_images_are(tmp_path):
    files = {f"{i}.png": png_of(i) for i in range(60)}
    lines = [f"{i}.png,{'odd' if i % 2 else 'even'}" for i in range(60)]
    files["labels.csv"] = "\n".join(["file,label", *lines]).encode()
    write_folder(tmp_path, files)
    name = f"folder:{tmp_path}"
    data = load_images(name, conditional=True, labels="labels.csv")
    assert data.condition_names == ("even", "odd")
    for split in (data.train, data.validation, data.test):
        reds = split.take(60)[:, 0, 0, 0]
        np.testing.assert_array_equal(split.take_conditions(60), reds % 2)
    (tmp_path / "labels.csv").write_bytes(
        files["labels.csv"].replace(b"9.png,odd", b"9.png,even")
    )
    changed = load_images(name, conditional=True, labels="labels.csv")
    assert changed.fingerprint() != data.fingerprint()
