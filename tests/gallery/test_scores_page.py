import re

import numpy as np
import pytest
import tensorflow as tf
from chromium import PHONE, chromium, needs_chromium

from tfp_realnvp.evaluation.image_scores import SHOWN, ImageScores
from tfp_realnvp.gallery.scores_page import scores_page, scores_sheet


def made_up(count=60, shape=(4, 4, 3)):
    """Scores of images whose grey is their number; the first is not an image."""
    bits = np.linspace(2, 6, count)
    columns = {
        "file": np.array([f"{i}.png" for i in range(count)], object),
        "bits_per_dim": bits,
        "standard_error": np.full([count], 0.01),
        "typicality": 1 - np.abs(bits - 4) / 2.5,
        "error": np.full([count], "", object),
    }
    columns["file"][-1] = "home/me/" + "x" * 90 + "/<script>alert(1)</script>\udcff.png"
    columns["error"][0] = "damaged"
    pictures = {i: np.full(shape, 4 * i, np.uint8) for i in range(1, count)}
    return ImageScores(columns, np.linspace(3, 5, 50), pictures)


def test_the_page_shows_the_strangest_and_the_most_ordinary():
    scores = made_up()
    page = scores_page(scores, title="A & B", summary="1 < 2")
    assert "<h1>A &amp; B</h1>\n<p>1 &lt; 2</p>" in page
    strange, ordinary = page.split("<h2>")[1:]
    order = scores.order()
    for part, numbers in ((strange, order[:SHOWN]), (ordinary, order[::-1][:SHOWN])):
        names = re.findall(r"<figcaption>(.*?\.png) ", part)
        assert len(names) == SHOWN
        expected = [f"{i}.png" for i in numbers if i < 59]
        assert [name for name in names if len(name) < 9] == expected
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\udcff.png" in strange
    assert "<script" not in page and "damaged" not in page and "me/" not in page
    assert "p = 0.2, high" in strange
    assert "59 images" in page and "50\nvalidation images" in page


@pytest.mark.parametrize("count", [2, 3])
def test_few_images_are_shown_once(count):
    assert scores_page(made_up(count), title="few").count("<img") == count - 1
    assert scores_sheet(made_up(count)).shape[2] == 3


def test_the_sheet_has_the_strangest_left_and_the_most_ordinary_right():
    scores = made_up(shape=(64, 64, 1))
    sheet = scores_sheet(scores)
    order = scores.order()
    assert sheet.shape == (28 + 3 * 65 - 1, 2 * (8 * 65 - 1) + 16, 1)
    assert sheet[28, 0, 0] == 4 * order[0]
    assert sheet[28, 8 * 65 - 1 + 16, 0] == 4 * order[-1]
    # Words above them.
    assert sheet[:28, :519].min() < 128


@needs_chromium
@pytest.mark.xdist_group("browser")
def test_the_page_is_read_on_a_phone_without_scrolling_sideways(tmp_path):
    path = tmp_path / "scores.html"
    path.write_text(scores_page(made_up(), title="t" * 80), encoding="utf-8")
    with chromium() as browser:
        page = browser.new_page(**PHONE)
        heard = []
        page.on("console", lambda message: heard.append(message.text))
        page.goto(path.as_uri())
        width = page.evaluate("document.scrollingElement.scrollWidth")
        picture = tf.io.decode_png(page.locator(".chart").screenshot(), channels=3)
        loaded = page.eval_on_selector_all("img", "all => all.every(x => x.complete)")
    assert (width, heard, loaded) == (375, [], True)
    assert np.ptp(picture) > 100
