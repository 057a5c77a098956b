import gzip
import io
import stat
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from made_up_images import png_of, write_archive

from tfp_realnvp.data import archive
from tfp_realnvp.data.archive import ARCHIVE_SUFFIXES, list_archive, read_archive

FILES = {"train/a.png": b"one" * 300, "test/b.png": b"two", "c.txt": b"three" * 99}


def refused(path, message):
    with pytest.raises(ValueError, match=f"^dataset: .*{message}") as caught:
        list_archive(path)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("suffix", ARCHIVE_SUFFIXES)
def test_files_are_listed_and_read(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_archive(path, FILES)
    assert list_archive(path) == list(FILES)
    assert dict(read_archive(path, FILES.keys())) == FILES
    wanted = {"test/b.png"}
    assert dict(read_archive(path, wanted)) == {"test/b.png": b"two"}


def test_folders_end_with_a_slash_and_needless_parts_are_left_out(tmp_path):
    (tmp_path / "in" / "train").mkdir(parents=True)
    (tmp_path / "in" / "train" / "a.png").write_bytes(b"one")
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        file.add(tmp_path / "in", ".")
    assert list_archive(tmp_path / "a.tar") == ["train/", "train/a.png"]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.write(tmp_path / "in" / "train", "train")
    assert list_archive(tmp_path / "a.zip") == ["train/"]


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz"])
@pytest.mark.parametrize(
    "name",
    [
        "../a.png",
        "a/../../b.png",
        "..",
        "/etc/a.png",
        "//server/a.png",
        "C:a.png",
        "c:/a.png",
        "..\\a.png",
        "a\\b.png",
    ],
)
def test_names_that_lead_out_are_refused(tmp_path, name, suffix):
    path = tmp_path / f"a{suffix}"
    write_archive(path, {"good.png": b"one", name: b"two"})
    refused(path, "expected names that stay in the archive.*; got '")


def test_a_name_that_ends_before_its_end_is_refused(tmp_path):
    write_archive(tmp_path / "a.zip", {"a.png_x": b"one"})
    contents = (tmp_path / "a.zip").read_bytes().replace(b"a.png_x", b"a.png\0x")
    (tmp_path / "a.zip").write_bytes(contents)
    refused(tmp_path / "a.zip", r"expected names that stay.*got 'a\.png\\x00x'")


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.GNUTYPE_SPARSE,
        b"Z",
    ],
)
@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_links_and_devices_in_tar_are_refused(tmp_path, kind, suffix):
    info = tarfile.TarInfo("b.png")
    info.type, info.linkname = kind, "/etc/passwd"
    write_archive(tmp_path / f"a{suffix}", {"a.png": b"one", "b.png": info})
    refused(tmp_path / f"a{suffix}", "expected a plain file for 'b.png'")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_zip_are_refused(tmp_path, kind):
    info = zipfile.ZipInfo("a.png")
    info.external_attr = (kind | 0o644) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, "/etc/passwd")
    refused(tmp_path / "a.zip", "expected a plain file for 'a.png'.*got a link")


def change_zip(path, offset, value):
    """Writes a number into the description of the first member, in both places."""
    contents = bytearray(path.read_bytes())
    central = contents.index(b"PK\1\2")
    size = struct.calcsize(value[0])
    for place in (offset, central + offset + 2):
        contents[place : place + size] = struct.pack(*value)
    path.write_bytes(contents)


def test_encrypted_files_are_refused(tmp_path):
    write_archive(tmp_path / "a.zip", FILES)
    change_zip(tmp_path / "a.zip", 6, ("<H", 1))
    refused(tmp_path / "a.zip", "expected a plain file for .*got an encrypted one")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_cannot_be_bounded_is_refused(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as file:
        file.writestr("a.png", b"one")
    refused(tmp_path / "a.zip", f"stored or deflated.*got compression {method}")


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz"])
def test_two_files_of_one_name_are_refused(tmp_path, suffix):
    write_archive(tmp_path / f"a{suffix}", {"a.png": b"one", "./a.png": b"two"})
    refused(tmp_path / f"a{suffix}", "expected one file of that name for 'a.png'")


@pytest.mark.parametrize("suffix", [".zip", ".tgz"])
def test_bombs_are_refused(tmp_path, suffix):
    write_archive(tmp_path / f"a{suffix}", {"a.txt": bytes(2**24 + 1)})
    refused(tmp_path / f"a{suffix}", "16,777,216|16777216")


def test_many_small_bombs_are_refused_together(tmp_path):
    write_archive(tmp_path / "a.zip", {f"{i}.png": bytes(2**23) for i in range(3)})
    refused(tmp_path / "a.zip", "to unpack to at most 16,777,216 bytes for '2.png'")


def test_little_may_be_packed_tightly(tmp_path):
    files = {"a.png": bytes(2**23)}
    for suffix in (".zip", ".tgz"):
        write_archive(tmp_path / f"a{suffix}", files)
        list_archive(tmp_path / f"a{suffix}")
        assert dict(read_archive(tmp_path / f"a{suffix}", files.keys())) == files


def test_a_bomb_among_other_files_is_refused(tmp_path):
    other = np.random.default_rng(0).bytes(10**6)
    write_archive(tmp_path / "a.zip", {"other": other, "a.png": bytes(2**24 + 1)})
    refused(tmp_path / "a.zip", "at most 16,777,216 bytes packed into .* for 'a.png'")


def test_less_than_is_announced_is_no_whole_file(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.png", b"one")
    change_zip(tmp_path / "a.zip", 22, ("<I", 5))
    with pytest.raises(ValueError, match="'a.png' of .*a.zip.*3 of 5 bytes"):
        next(read_archive(tmp_path / "a.zip", {"a.png"}))


def test_more_than_is_announced_is_not_read(tmp_path):
    path = tmp_path / "a.zip"
    write_archive(path, {"a.png": bytes(100_000)})
    change_zip(path, 22, ("<I", 50))
    assert list_archive(path) == ["a.png"]
    with pytest.raises(ValueError, match="dataset: .*'a.png' of .*a.zip.*damaged"):
        next(read_archive(path, {"a.png"}))


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("LARGEST_FILE", "at most 5 bytes for 'train/a.png'.*got 900"),
        ("_LARGEST_TOTAL", "to unpack to at most 5 bytes for 'train/a.png'"),
        ("_MOST_MEMBERS", "at most 2 files for"),
    ],
)
@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz"])
def test_too_much_is_refused(tmp_path, monkeypatch, suffix, limit, message):
    write_archive(tmp_path / f"a{suffix}", FILES)
    monkeypatch.setattr(archive, limit, 2 if limit == "_MOST_MEMBERS" else 5)
    refused(tmp_path / f"a{suffix}", message)


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz"])
def test_an_archive_cut_off_anywhere_is_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    write_archive(path, FILES)
    whole = path.read_bytes()
    # Behind the two blocks of zeros that end it tar adds more, which nobody needs.
    end = 5 * 512 + 2 * 512 + 1024 if suffix == ".tar" else len(whole)
    for length in range(0, end, 1 if end < 2000 else 19):
        path.write_bytes(whole[:length])
        try:
            names = list_archive(path)
        except ValueError as error:
            assert str(error).startswith("dataset: ")
        else:
            assert names == list(FILES)
            assert suffix == ".tar" and length > 7 * 512


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path):
    write_archive(tmp_path / "a.tar", FILES)
    contents = bytearray((tmp_path / "a.tar").read_bytes())
    contents[contents.index(b"test/b.png")] ^= 1
    (tmp_path / "a.tar").write_bytes(contents)
    refused(tmp_path / "a.tar", "damaged or made to do harm .no mark of the end")


def test_a_header_that_leads_back_does_not_go_on_for_ever(tmp_path):
    header = bytearray(tarfile.TarInfo("a.png").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = (-512).to_bytes(12, "big", signed=True)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(header * 3 + bytes(1024))
    refused(tmp_path / "a.tar", "")


def test_a_header_that_fills_memory_is_refused(tmp_path):
    name = tarfile.TarInfo("././@LongLink")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 2**33
    data = io.BytesIO(name.tobuf(tarfile.GNU_FORMAT) + bytes(10_000))
    (tmp_path / "a.tar").write_bytes(data.getvalue())
    refused(tmp_path / "a.tar", "a header of 8589934592 bytes")


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


def test_a_file_that_is_gone_meanwhile_is_missed(tmp_path):
    write_archive(tmp_path / "a.zip", FILES)
    with pytest.raises(ValueError, match="'gone.png' in .*a.zip, got none"):
        list(read_archive(tmp_path / "a.zip", {"gone.png"}))


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
            names = {name for name in list_archive(path) if name.endswith(".png")}
            assert dict(read_archive(path, names)).keys() == names
        except ValueError as error:
            assert str(error).startswith("dataset: ")
            refusals += 1
    assert refusals > 10
