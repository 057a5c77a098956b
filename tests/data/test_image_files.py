import pathlib
import shutil
import stat
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from made_up import png_of, write_archive, write_folder
from mixed_folder import encoded
from PIL import Image

from tfp_realnvp.data import image_files
from tfp_realnvp.data.image_files import ARCHIVE_SUFFIXES, list_files

FILES = {"train/a.png": b"one" * 300, "test/b.png": b"two", "c.png": b"three" * 99}


def contents_of(path):
    files = list_files(path)
    return {name: read() for name, read in files.read(files.stamps)}


@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
def test_files_of_archives_are_listed_and_read(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_archive(path, {**FILES, "._1.png": b"", "d.txt": b""})
    assert contents_of(path) == FILES
    left_out = {"hidden": ["._1.png"], "not images": ["d.txt"]}
    assert list_files(path).left_out == left_out


def test_folders_and_needless_parts_of_names_are_left_out(tmp_path):
    write_folder(tmp_path / "in", {"train/a.png": b"one"})
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.add(tmp_path / "in", ".")
    shutil.make_archive(tmp_path / "a", "zip", tmp_path / "in")
    for suffix in (".tar", ".zip"):
        assert contents_of(tmp_path / f"a{suffix}") == {"train/a.png": b"one"}


TAR_KINDS = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, b"Z"
ZIP_KINDS = stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR


@pytest.mark.parametrize("kind", [*TAR_KINDS, *ZIP_KINDS])
def test_links_and_devices_are_left_out(tmp_path, kind):
    if kind in TAR_KINDS:
        path, info = tmp_path / "a.tgz", tarfile.TarInfo("b.png")
        info.type, info.linkname = kind, "/etc/passwd"
        write_archive(path, {"b.png": info})
    else:
        path, info = tmp_path / "a.zip", zipfile.ZipInfo("b.png")
        info.external_attr = (kind | 0o644) << 16
        with zipfile.ZipFile(path, "w") as file:
            file.writestr(info, "/etc/passwd")
    assert contents_of(path) == {}
    assert list_files(path).left_out == {"links and devices": ["b.png"]}


def written(suffix, files, change=lambda contents: contents):
    """Returns a function that writes an archive, and then changes its bytes."""

    def write(folder):
        path = folder / f"a{suffix}"
        write_archive(path, files)
        contents = bytearray(path.read_bytes())
        path.write_bytes(change(contents) or contents)
        return path

    return write


def in_zip(offset, layout, value):
    """A number in the description of the first member, in both places."""

    def change(contents):
        for place in (offset, contents.index(b"PK\1\2") + offset + 2):
            struct.pack_into(layout, contents, place, value)

    return change


def flip(offset):
    def change(contents):
        contents[offset if isinstance(offset, int) else contents.index(offset)] ^= 1

    return change


def of_size(size, kind=tarfile.REGTYPE):
    """A tar archive of headers that tell a size, by themselves."""
    info = tarfile.TarInfo("a.png")
    info.type = kind
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = size.to_bytes(12, "big", signed=True)
    header[124] |= 0x80
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return lambda contents: bytes(header) * 3 + bytes(10_240)


NAME, BOMB = "a path that leaves it", bytes(2**18 + 1)
HOSTILE = {
    "up": (written(".zip", {"../a.png": b""}), NAME),
    "up again": (written(".tgz", {"a.png": b"", "a/../../b.png": b""}), NAME),
    "root": (written(".tar", {"/etc/a.png": b""}), NAME),
    "backslash": (written(".zip", {"a\\b.png": b""}), NAME),
    "twice": (written(".tar", {"a.png": b"", "./a.png": b""}), "got two of 'a.png'"),
    "encrypted": (written(".zip", FILES, in_zip(6, "<H", 1)), "a.png.*is encrypted"),
    "changed": (written(".zip", FILES, in_zip(14, "<I", 7)), "Bad CRC.*a.png"),
    "zip bomb": (written(".zip", {"a.png": BOMB}), "more than .* bytes.*a.png"),
    "tar bomb": (written(".tgz", {"a.png": BOMB}), "more than .* bytes.*a.png"),
    "header": (written(".tar", FILES, flip(b"test/b.png")), "bad checksum"),
    "back": (written(".tar", FILES, of_size(-512)), "a header of -512 bytes"),
    "fill": (written(".tar", FILES, of_size(2**33, b"L")), "a header of 8589934592"),
    "gzip": (written(".tgz", FILES, flip(-8)), "CRC check failed"),
    "no zip": (written(".zip", FILES, lambda _: b"no archive"), "not a zip file"),
    "no tar": (written(".tgz", FILES, lambda _: b"no archive"), "[Nn]ot a gzip"),
}


@pytest.mark.parametrize(("write", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_and_damaged_archives_are_refused(
    tmp_path, monkeypatch, write, message
):
    monkeypatch.setattr(image_files, "_ANY_SIZE", 2**18)
    path = write(tmp_path)
    with pytest.raises(ValueError, match=f"^dataset: .*{message}") as caught:
        contents_of(path)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz"])
def test_an_archive_cut_off_anywhere_is_refused_and_mutated_ones_are_no_harm(
    tmp_path, suffix
):
    path, random = tmp_path / f"a{suffix}", np.random.default_rng(0)
    write_archive(path, {f"{i}.png": png_of(i, size=(2, 2)) for i in range(3)})
    whole = path.read_bytes()
    # Behind the blocks of zeros that end it tar adds more, which nobody needs.
    end = 7 * 512 if suffix == ".tar" else len(whole)
    for length in range(0, end, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"^dataset: .*a\."):
            contents_of(path)
    refusals = 0
    for _ in range(150):
        contents = bytearray(whole)
        for place in random.integers(0, len(contents), 4):
            contents[place] = random.integers(256)
        path.write_bytes(contents)
        try:
            assert len(contents_of(path)) <= 3
        except ValueError:
            refusals += 1
    assert refusals > 10


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["b.png", "a.png", "below/c.png"]
    files = {
        name: encoded(Image.new("L", (12, 9), i), "PNG") for i, name in enumerate(names)
    }
    write_folder(tmp_path / "images", {**files, ".hidden.png": b""})
    shutil.make_archive("packed", "zip", "images")
    pathlib.Path("list.txt").write_text("images/b.png\n\nimages/a.png\n")


def read(found, channels=3):
    options = {"image_size": 4, "channels": channels, "crop": "center"}
    return dict(image_files.read_images(found, **options))


@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("images", ["images/a.png", "images/b.png", "images/below/c.png"]),
        ("packed.zip", [f"packed.zip/{n}.png" for n in ("a", "b", "below/c")]),
        ("list.txt", ["images/a.png", "images/b.png"]),
        ("images/a.png", ["images/a.png"]),
        ("images/*.png", ["images/a.png", "images/b.png"]),
        ("**/c.png", ["images/below/c.png"]),
    ],
)
def test_images_are_found_in_every_kind_of_place(folder, place, names):
    found = read(image_files.find_images([place]))
    assert sorted(found) == names
    for name, decoded in found.items():
        value = "bac".index(pathlib.Path(name).stem)
        np.testing.assert_array_equal(decoded.pixels, np.full([4, 4, 3], value))


def test_what_is_named_twice_comes_once_and_one_that_is_gone_is_told(folder, capsys):
    found = image_files.find_images(["images/a.png", "images", "images/a.png"])
    assert "images: Left out: 1 hidden (.hidden.png)." in capsys.readouterr().out
    pathlib.Path("images/b.png").unlink()
    decoded = read(found, channels=1)
    assert list(decoded) == ["images/a.png", "images/b.png", "images/below/c.png"]
    assert decoded["images/a.png"].pixels.shape == (4, 4, 1)
    damage = [file.damage for file in decoded.values()]
    assert damage[::2] == [None, None] and "No such file" in damage[1]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nowhere", "got nowhere, which matches no file"),
        ("", "got , which matches no file"),
        ("*.gif", "got .*gif, which matches no file"),
        ("more.txt", "image in more.txt, got gone.png"),
        ("empty.txt", "expected images, got none in empty.txt"),
    ],
)
def test_where_there_are_no_images_is_told(folder, place, message):
    pathlib.Path("more.txt").write_text("images/a.png\ngone.png")
    pathlib.Path("empty.txt").write_text("")
    with pytest.raises(FileNotFoundError, match=f"paths: .*{message}"):
        image_files.find_images([place])
