import base64
import hashlib
import html.parser
import re

import numpy as np
import tensorflow as tf
from gallery_rows import row

import tfp_realnvp as nvp
from tfp_realnvp import arguments
from tfp_realnvp.data import load_images
from tfp_realnvp.figures import Figure, Subject
from tfp_realnvp.gallery import draw_row, gallery_page
from tfp_realnvp.gallery.page import image_tag

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


def test_a_row_of_a_flow_has_its_figures_or_says_why_not(monkeypatch):
    flow = nvp.image_flow(event_shape=(8, 8, 1), num_scales=1, filters=4, num_blocks=1)
    monkeypatch.setattr(arguments, "_ALWAYS_FITS", 0)
    monkeypatch.setattr(arguments, "available_bytes", lambda: 200_000)
    subject = Subject(flow, load_images("digits"), count=4)
    figures = draw_row(subject, title="a", caption="b").figures
    reasons = {name: f for name, f in figures.items() if isinstance(f, str)}
    assert set(reasons) == {"extrapolation_10x", "compression"}
    assert "factor: expected images that fit in memory" in reasons["extrapolation_10x"]
    assert "single scale" in reasons["compression"]
    names = [f.name for f in figures.values() if isinstance(f, Figure)]
    assert names == ["samples", "extrapolation_2x", "animation"]


def test_a_row_has_its_title_its_caption_and_its_pictures_in_order():
    rows = row("faces", "CelebA, 3.020 bits/dim")
    reader = Reader(gallery_page([rows]))
    assert {"faces", "CelebA, 3.020 bits/dim"} <= set(reader.text)
    images = reader.all("img")
    assert len(reader.all("figure")) == len({image["alt"] for image in images} - {""})
    *stills, film = [figure.picture for figure in rows.figures.values()]
    for image, picture in zip(images, [*stills, *film], strict=True):
        assert not image["alt"] or "faces" in image["alt"]
        found = decode(image["src"])
        assert (int(image["height"]), int(image["width"])) == found.shape[:2]
        # Noise compresses badly: JPEG comes near to it, and to nothing else.
        assert np.abs(found.astype(float) - picture).mean() < 15


def test_the_page_loads_nothing_and_its_own_script_alone_may_run():
    page = gallery_page([row()])
    reader = Reader(page)
    for tag, attributes in reader.tags:
        for name in ("src", "srcset", "data", "poster", "action", "background"):
            assert attributes.get(name, "data:").startswith("data:"), tag
        assert tag == "a" or "href" not in attributes
        assert not any(name.startswith("on") for name in attributes)
    style = re.search(r"<style>(.*)</style>", page, re.DOTALL).group(1)
    assert "url(" not in style and "@import" not in style
    policy = reader.all("meta")[1]["content"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "http" not in policy
    script = re.search(r"<script>(.*)</script>", page, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy


def test_titles_captions_and_reasons_are_text_whatever_they_hold():
    hostile = "</h2><script>alert('&')</script>\"$style"
    rows = [row(hostile, hostile, samples=hostile), row("b")]
    reader = Reader(gallery_page(rows, title=hostile))
    identifiers = [a["id"] for _, a in reader.tags if "id" in a]
    assert len(identifiers) == len(set(identifiers))
    assert reader.text.count(hostile) == 5
    assert len(reader.all("script")) == 1
    assert sum(hostile in image["alt"] for image in reader.all("img")) == 4


def test_drawings_stay_as_they_are_and_photographs_become_small():
    drawing = np.zeros([64, 64, 1], np.uint8)
    drawing[20:30] = 255
    x, y = np.mgrid[:256, :256] / 40
    photograph = 128 + 60 * np.stack([np.sin(x), np.cos(y), np.sin(x + y)], -1)
    photograph += np.random.default_rng(0).normal(size=photograph.shape)
    photograph = photograph.astype(np.uint8)
    for picture, kind, error in ((drawing, "png", 0), (photograph, "jpeg", 2)):
        source = Reader(image_tag(picture, "")).all("img")[0]["src"]
        assert source.startswith(f"data:image/{kind};base64,")
        assert len(source) < picture.size / 3
        assert np.abs(decode(source).astype(int) - picture).mean() <= error
