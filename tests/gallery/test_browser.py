"""The page in a browser, as its readers see it."""

import numpy as np
import pytest
import tensorflow as tf
from chromium import DESKTOP, PHONE, chromium, needs_chromium
from gallery_rows import FRAMES, row

from tfp_realnvp.gallery import gallery_page

pytestmark = [pytest.mark.xdist_group("browser"), needs_chromium]


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A page of three rows; one lacks pictures, one has a name that cannot break."""
    missing = {"extrapolation_10x": "Too large.", "animation": "None."}
    rows = [row(), row("x" * 200, **missing), row("again")]
    path = tmp_path_factory.mktemp("gallery") / "gallery.html"
    path.write_text(gallery_page(rows), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def visit(browser, address):
    """Opens the page; at the end it must have logged and requested nothing."""
    contexts, heard = [], []

    def visit(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda request: heard.append(request.url))
        page.goto(address)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert [text for text in heard if not text.startswith(("data:", address))] == []


def film(page):
    return page.locator(".film").first


def frame(page):
    return int(film(page).get_attribute("data-frame"))


def assert_moves(page):
    before = frame(page)
    page.wait_for_function(
        "before => document.querySelector('.film').dataset.frame != before", arg=before
    )


def assert_still(page):
    assert film(page).get_attribute("aria-pressed") == "false"
    before = frame(page)
    page.wait_for_timeout(400)
    assert frame(page) == before


def shade(page):
    """The grey that is seen in the middle of the film."""
    picture = tf.io.decode_png(film(page).screenshot(), channels=3).numpy()
    height, width, _ = picture.shape
    return np.median(picture[height // 4 : height // 2, width // 4 : width // 2])


def shapes(page, selector):
    """Left, top, width and height of elements."""
    places = "all => all.map(x => x.getBoundingClientRect())"
    numbers = ".map(b => [b.x, b.y + scrollY, b.width, b.height])"
    return np.array(page.eval_on_selector_all(selector, places + numbers))


def test_the_manifold_moves_while_it_is_pointed_at_or_played(visit):
    page = visit(**DESKTOP)
    assert_still(page)
    film(page).hover()
    assert_moves(page)
    page.mouse.move(5, 5)
    assert_still(page)
    for _ in range(50):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "film":
            break
    assert_moves(page)
    page.keyboard.press("Space")
    assert_still(page)
    shown = []
    for _ in range(FRAMES):
        page.keyboard.press("ArrowRight")
        shown.append(frame(page))
        assert abs(shade(page) - 30 * shown[-1]) <= 2
    assert sorted(shown) == list(range(FRAMES))
    page.keyboard.press("ArrowLeft")
    assert_still(page)
    assert frame(page) == shown[-2]
    page.keyboard.press("Enter")
    assert_moves(page)
    page.keyboard.press("Tab")
    assert_still(page)
    page = visit(**PHONE)
    film(page).tap()
    assert_moves(page)
    film(page).tap()
    assert_still(page)
    # Where motion is unwanted a click starts it.
    page = visit(**DESKTOP, reduced_motion="reduce")
    film(page).hover()
    assert_still(page)
    film(page).click()
    assert_moves(page)


def test_columns_stand_side_by_side_and_on_a_phone_below_one_another(visit):
    page = visit(**DESKTOP)
    loaded = page.eval_on_selector_all("img", "all => all.map(x => x.naturalWidth)")
    assert len(loaded) == 3 * 4 - 1 + 2 * FRAMES and min(loaded) >= 40
    figures = shapes(page, "figure").reshape(3, 5, 4)
    assert np.all(np.ptp(figures[..., 1], axis=1) < 1)
    assert np.all(np.diff(figures[..., 0]) > figures[..., :-1, 2])
    legend = shapes(page, ".legend > div")
    np.testing.assert_allclose(legend[:, 0], figures[0, :, 0])
    width = 320
    page = visit(**{**PHONE, "viewport": {"width": width, "height": 700}})
    found = page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
    assert found == [width, width]
    everything = shapes(page, "main *:not(.film img)")
    assert np.all(everything[:, 0] >= 0)
    assert np.all(everything[:, 0] + everything[:, 2] <= width)
    assert np.all(shapes(page, "figure > :first-child")[:, 2] >= 0.9 * width)


@pytest.mark.parametrize("options", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_an_enlarged_manifold_fits_and_leaves_the_page_where_it_was(visit, options):
    page = visit(**options)
    before = shapes(page, "figure")
    button = page.locator(".cell:has(.film) .enlarge").first
    button.scroll_into_view_if_needed()
    scrolled = page.evaluate("scrollY")
    button.click()
    during = shapes(page, "figure")
    left, top, width, height = during[4] - [0, scrolled, 0, 0]
    window = options["viewport"]
    assert width > 0.9 * window["width"] or height > 0.8 * window["height"]
    assert min(left, top) >= 0
    assert left + width <= window["width"] and top + height <= window["height"]
    film(page).click()
    page.mouse.move(0, 0)
    film(page).hover()
    assert_moves(page)
    button.click()
    np.testing.assert_allclose(shapes(page, "figure"), before)
    assert page.evaluate("scrollY") == scrolled


def test_all_but_the_animation_works_without_javascript(visit):
    page = visit(**DESKTOP, java_script_enabled=False)
    assert page.locator("noscript p").is_visible()
    assert shade(page) <= 2
    before = page.locator("figure").first.bounding_box()["width"]
    page.locator(".enlarge").first.click()
    assert page.locator("figure").first.bounding_box()["width"] > 3 * before
