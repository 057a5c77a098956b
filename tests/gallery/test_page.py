import base64
import dataclasses
import hashlib
import html.parser
import re

import numpy as np
import pytest
import tensorflow as tf
from gallery_rows import FRAMES, row

from tfp_realnvp.gallery import Row, gallery_page
from tfp_realnvp.gallery.pictures import contact_sheet, data_uri

VOID = {"img", "meta", "link", "br", "hr"}


class Reader(html.parser.HTMLParser):
    """Collects tags and text, and fails on tags that do not match."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self._open = [], [], []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if not self._open or self._open[-1] not in ("script", "style"):
            self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def decode(uri):
    return tf.io.decode_image(base64.b64decode(uri.partition(",")[2])).numpy()


def test_a_row_has_its_title_its_caption_and_six_described_pictures():
    reader = Reader(gallery_page([row("faces", "CelebA, 3.020 bits/dim")]))
    assert {"faces", "CelebA, 3.020 bits/dim"} <= set(reader.text)
    images = reader.all("img")
    assert len(images) == len(reader.all("figure")) == 6
    assert len({image["alt"] for image in images}) == 6
    assert all("faces" in image["alt"] for image in images)
    for image in images:
        height, width, _ = decode(image["src"]).shape
        assert (int(image["width"]), int(image["height"])) == (width, height)


def test_pictures_are_in_the_order_of_the_columns():
    rows = row()
    images = [decode(image["src"]) for image in Reader(gallery_page([rows])).all("img")]
    for image, field in zip(images[:5], dataclasses.fields(Row)[2:7], strict=True):
        picture = getattr(rows, field.name)
        assert image.shape == picture.shape
        # Noise compresses badly: JPEG comes near to it, and to nothing else.
        error = np.abs(image.astype(float) - picture).mean()
        assert error < 15, field.name


def test_every_run_has_a_row_in_the_order_given():
    reader = Reader(gallery_page([row("a"), row("b"), row("c")]))
    assert [text for text in reader.text if text in "abc"] == ["a", "b", "c"]
    identifiers = [a["id"] for _, a in reader.tags if "id" in a]
    assert len(identifiers) == len(set(identifiers))


def test_the_page_loads_nothing_and_forbids_to():
    page = gallery_page([row()])
    reader = Reader(page)
    for tag, attributes in reader.tags:
        for name in ("src", "srcset", "data", "poster", "action", "background"):
            assert attributes.get(name, "data:").startswith("data:"), tag
        assert tag == "a" or "href" not in attributes
    style = re.search(r"<style>(.*)</style>", page, re.DOTALL).group(1)
    assert "url(" not in style and "@import" not in style
    policy = reader.all("meta")[1]["content"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "http" not in policy


def test_only_the_pages_own_script_may_run():
    page = gallery_page([row()])
    script = re.search(r"<script>(.*)</script>", page, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in page
    assert not [a for _, a in Reader(page).tags if any(n.startswith("on") for n in a)]


def test_titles_captions_and_reasons_are_text_whatever_they_hold():
    hostile = "</h2><script>alert('&')</script>\"$style"
    page = gallery_page([row(hostile, hostile, samples=hostile)], title=hostile)
    reader = Reader(page)
    assert reader.text.count(hostile) == 5
    assert len(reader.all("script")) == 1
    assert all(hostile in image["alt"] for image in reader.all("img"))


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Row)[2:]])
def test_a_picture_that_is_missing_gives_way_to_the_reason(field):
    reader = Reader(gallery_page([row(**{field: "It would take 41 GB."})]))
    assert "It would take 41 GB." in reader.text
    assert (len(reader.all("img")), len(reader.all("figure"))) == (5, 6)
    assert len([a for a in reader.all("button") if a["class"] == "film"]) == (
        field != "manifold"
    )


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        ({"samples": np.zeros([4, 4, 3])}, "samples: expected uint8 of shape [height"),
        ({"samples": np.zeros([4, 4, 2], np.uint8)}, "got uint8 of shape (4, 4, 2)"),
        ({"examples": np.zeros([4, 0, 1], np.uint8)}, "examples: expected uint8"),
        ({"manifold": np.zeros([4, 4, 3], np.uint8)}, "manifold: expected uint8"),
        ({"samples_10x": None}, "samples_10x: expected uint8"),
    ],
)
def test_what_is_no_picture_is_refused(pictures, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        row(**pictures)


def test_a_page_without_rows_is_refused():
    with pytest.raises(ValueError, match="rows: expected at least one Row"):
        gallery_page([])


def test_drawings_stay_as_they_are_and_photographs_become_small():
    drawing = np.zeros([64, 64, 1], np.uint8)
    drawing[20:30] = 255
    assert data_uri(drawing).startswith("data:image/png;base64,")
    np.testing.assert_array_equal(decode(data_uri(drawing)), drawing)
    x, y = np.mgrid[:256, :256] / 40
    photograph = 128 + 60 * np.stack([np.sin(x), np.cos(y), np.sin(x + y)], -1)
    photograph += np.random.default_rng(0).normal(size=photograph.shape)
    photograph = photograph.astype(np.uint8)
    assert data_uri(photograph).startswith("data:image/jpeg;base64,")
    assert len(data_uri(photograph)) < photograph.size / 3
    error = decode(data_uri(photograph)).astype(int) - photograph
    assert np.abs(error).mean() < 2


def test_frames_lie_row_after_row_on_their_sheet():
    frames = row().manifold
    sheet, columns = contact_sheet(frames)
    assert columns == 3 and sheet.shape == (3 * 42, 3 * 62, 3)
    for i in range(FRAMES):
        top, left = 42 * (i // 3), 62 * (i % 3)
        whole = sheet[top : top + 42, left : left + 62]
        np.testing.assert_array_equal(whole[1:-1, 1:-1], frames[i])
        border = np.concatenate([whole[0], whole[-1], whole[:, 0], whole[:, -1]])
        assert np.all(border == 255)
