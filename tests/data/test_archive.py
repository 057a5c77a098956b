import gzip
import stat
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from made_up_images import png_of, write_archive

from tfp_realnvp.data import archive
from tfp_realnvp.data.archive import ARCHIVE_SUFFIXES, members_of
from tfp_realnvp.data.image_file import UnreadableImage

FILES = {"train/a.png": b"one" * 300, "test/b.png": b"two", "c.txt": b"three" * 99}


def contents_of(path):
    return {member.name: member.read() for member in members_of(path)}


def refused(path, message=""):
    with pytest.raises(ValueError, match=f"^dataset: .*{message}") as caught:
        list(members_of(path))
    assert path.name in str(caught.value)


def is_file(path):
    return {member.name: member.is_file for member in members_of(path)}


@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
def test_files_are_listed_and_read(tmp_path, suffix):
    write_archive(tmp_path / f"a{suffix}", FILES)
    assert contents_of(tmp_path / f"a{suffix}") == FILES


def test_folders_and_needless_parts_of_names_are_left_out(tmp_path):
    (tmp_path / "in" / "train").mkdir(parents=True)
    (tmp_path / "in" / "train" / "a.png").write_bytes(b"one")
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.add(tmp_path / "in", ".")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.write(tmp_path / "in" / "train", "train")
    assert contents_of(tmp_path / "a.tar") == {"train/a.png": b"one"}
    assert contents_of(tmp_path / "a.zip") == {}


@pytest.mark.parametrize("suffix", [".zip", ".tgz"])
@pytest.mark.parametrize(
    "name", ["../a.png", "a/../../b.png", "/etc/a.png", "a\\b.png"]
)
def test_names_that_lead_out_are_refused(tmp_path, name, suffix):
    write_archive(tmp_path / f"a{suffix}", {"good.png": b"one", name: b"two"})
    refused(tmp_path / f"a{suffix}", "expected names that stay in the archive.*; got '")


def test_a_name_that_ends_before_its_end_is_refused(tmp_path):
    write_archive(tmp_path / "a.zip", {"a.png_x": b"one"})
    contents = (tmp_path / "a.zip").read_bytes().replace(b"a.png_x", b"a.png\0x")
    (tmp_path / "a.zip").write_bytes(contents)
    refused(tmp_path / "a.zip", r"expected names that stay.*got 'a\.png\\x00x'")


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, b"S", b"Z"],
)
def test_links_and_devices_in_tar_are_no_files(tmp_path, kind):
    info = tarfile.TarInfo("b.png")
    info.type, info.linkname = kind, "/etc/passwd"
    write_archive(tmp_path / "a.tgz", {"a.png": b"one", "b.png": info})
    assert is_file(tmp_path / "a.tgz") == {"a.png": True, "b.png": False}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_zip_are_no_files(tmp_path, kind):
    info = zipfile.ZipInfo("a.png")
    info.external_attr = (kind | 0o644) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, "/etc/passwd")
    assert is_file(tmp_path / "a.zip") == {"a.png": False}


def change_zip(path, offset, value):
    """Writes a number into the description of the first member, in both places."""
    contents = bytearray(path.read_bytes())
    central = contents.index(b"PK\1\2")
    size = struct.calcsize(value[0])
    for place in (offset, central + offset + 2):
        contents[place : place + size] = struct.pack(*value)
    path.write_bytes(contents)


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (6, ("<H", 1), "is encrypted"),
        (22, ("<I", 1000), "900 of 1000 bytes"),
        (22, ("<I", 50), "Bad CRC"),
        (14, ("<I", 7), "Bad CRC"),
    ],
)
def test_what_cannot_be_read_of_a_zip_says_why(tmp_path, offset, value, message):
    path = tmp_path / "a.zip"
    write_archive(path, FILES)
    change_zip(path, offset, value)
    with pytest.raises(UnreadableImage, match=message):
        contents_of(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_cannot_be_bounded_is_not_read(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as file:
        file.writestr("a.png", b"one")
    with pytest.raises(UnreadableImage, match="stored or deflated"):
        contents_of(tmp_path / "a.zip")


@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
def test_what_unpacks_to_too_much_is_refused(tmp_path, suffix, monkeypatch):
    files = {f"{i}.png": bytes(2**16) for i in range(9)}
    write_archive(tmp_path / f"a{suffix}", files)
    assert contents_of(tmp_path / f"a{suffix}") == files
    monkeypatch.setattr(archive, "_ANY_RATIO", 2**18)
    monkeypatch.setattr(archive, "_LARGEST_RATIO", 0)
    refused(tmp_path / f"a{suffix}", "to unpack to at most 262,144 bytes.*'4.png'")


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz"])
def test_an_archive_cut_off_anywhere_is_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_archive(path, FILES)
    whole = path.read_bytes()
    # Behind the blocks of zeros that end it tar adds more, which nobody needs.
    end = 8 * 512 if suffix == ".tar" else len(whole)
    for length in range(0, end, 7):
        path.write_bytes(whole[:length])
        refused(path)


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path):
    write_archive(tmp_path / "a.tar", FILES)
    contents = bytearray((tmp_path / "a.tar").read_bytes())
    contents[contents.index(b"test/b.png")] ^= 1
    (tmp_path / "a.tar").write_bytes(contents)
    refused(tmp_path / "a.tar", "damaged or made to do harm .bad checksum")


def test_a_header_that_leads_back_does_not_go_on_for_ever(tmp_path):
    header = bytearray(tarfile.TarInfo("a.png").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = (-512).to_bytes(12, "big", signed=True)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(header * 3 + bytes(1024))
    refused(tmp_path / "a.tar", "a header of -512 bytes")


def test_a_header_that_fills_memory_is_refused(tmp_path):
    name = tarfile.TarInfo("././@LongLink")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 2**33
    data = name.tobuf(tarfile.GNU_FORMAT) + bytes(10_000)
    (tmp_path / "a.tgz").write_bytes(gzip.compress(data))
    refused(tmp_path / "a.tgz", "a header of 8589934592 bytes")


def test_what_gzip_says_of_its_contents_is_heeded(tmp_path):
    write_archive(tmp_path / "a.tgz", FILES)
    contents = bytearray((tmp_path / "a.tgz").read_bytes())
    contents[-8] ^= 1
    (tmp_path / "a.tgz").write_bytes(contents)
    refused(tmp_path / "a.tgz", "CRC check failed")


@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
@pytest.mark.parametrize(
    "contents", [b"", b"no archive" * 100, gzip.compress(b"no", mtime=0)]
)
def test_what_is_no_archive_is_refused(tmp_path, suffix, contents):
    (tmp_path / f"a{suffix}").write_bytes(contents)
    refused(tmp_path / f"a{suffix}", "expected to read the archive")


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz"])
def test_mutated_archives_are_read_or_refused(tmp_path, suffix):
    path, random = tmp_path / f"a{suffix}", np.random.default_rng(0)
    write_archive(path, {f"{i}.png": png_of(i, size=(2, 2)) for i in range(3)})
    whole = path.read_bytes()
    refusals = 0
    for _ in range(150):
        contents = bytearray(whole)
        for place in random.integers(0, len(contents), 4):
            contents[place] = random.integers(256)
        path.write_bytes(contents)
        try:
            assert len(contents_of(path)) <= 3
        except (ValueError, UnreadableImage):
            refusals += 1
    assert refusals > 10
