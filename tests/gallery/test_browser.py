"""The page in a browser, as those meet it who look at it."""

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
    rows = [row(), row("x" * 200, samples_10x="Too large.", manifold="None.")]
    path = tmp_path_factory.mktemp("gallery") / "gallery.html"
    path.write_text(gallery_page([*rows, row("again")]), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def visit(browser, address):
    """Opens the page, and checks at the end that it has loaded and lamented nothing."""
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


def plays(page):
    return film(page).get_attribute("aria-pressed") == "true"


def wait_for_another_frame(page):
    before = frame(page)
    page.wait_for_function(
        "before => document.querySelector('.film').dataset.frame != before", arg=before
    )


def assert_still(page):
    assert not plays(page)
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
    return np.array(
        page.eval_on_selector_all(
            selector,
            "all => all.map(x => x.getBoundingClientRect())"
            ".map(b => [b.x, b.y + scrollY, b.width, b.height])",
        )
    )


def test_all_pictures_are_there(visit):
    page = visit(**DESKTOP)
    sizes = page.eval_on_selector_all(
        "img", "all => all.map(x => [x.complete, x.naturalWidth, x.naturalHeight])"
    )
    assert len(sizes) == 16
    assert all(complete and min(size) >= 40 for complete, *size in sizes)


@pytest.mark.parametrize(
    "attempt", ["fetch(url).catch(() => 0)", "new Image().src = url"]
)
def test_what_would_be_loaded_from_the_network_is_refused(browser, address, attempt):
    page = browser.new_page()
    page.goto(address)
    refused = page.evaluate(
        f"""() => new Promise(done => {{
            addEventListener("securitypolicyviolation", e => done(e.disposition));
            setTimeout(done, 5000, "allowed");
            const url = "http://127.0.0.1:9/picture.png";
            {attempt};
        }})"""
    )
    page.context.close()
    assert refused == "enforce"


def test_the_manifold_moves_while_it_is_pointed_at(visit):
    page = visit(**DESKTOP)
    assert frame(page) == 0
    assert_still(page)
    film(page).hover()
    assert plays(page)
    wait_for_another_frame(page)
    wait_for_another_frame(page)
    page.mouse.move(5, 5)
    assert_still(page)


def test_keys_show_every_frame_in_turn(visit):
    page = visit(**DESKTOP)
    film(page).focus()
    if plays(page):
        page.keyboard.press("Space")
    shown = []
    for _ in range(FRAMES):
        shown.append(frame(page))
        assert abs(shade(page) - 30 * shown[-1]) <= 2
        page.keyboard.press("ArrowRight")
    assert sorted(shown) == list(range(FRAMES))
    assert frame(page) == shown[0]
    page.keyboard.press("ArrowLeft")
    assert frame(page) == shown[-1]
    assert_still(page)


def test_the_manifold_moves_while_the_keyboard_is_on_it(visit):
    page = visit(**DESKTOP)
    for _ in range(50):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "film":
            break
    assert plays(page)
    wait_for_another_frame(page)
    page.keyboard.press("Space")
    assert_still(page)
    page.keyboard.press("Enter")
    wait_for_another_frame(page)
    page.keyboard.press("Tab")
    assert_still(page)


def test_a_tap_starts_the_manifold_and_the_next_stops_it(visit):
    page = visit(**PHONE)
    film(page).tap()
    assert plays(page)
    wait_for_another_frame(page)
    film(page).tap()
    assert_still(page)


def test_who_asked_for_little_motion_starts_it_by_a_click_only(visit):
    page = visit(**DESKTOP, reduced_motion="reduce")
    film(page).hover()
    assert_still(page)
    film(page).click()
    wait_for_another_frame(page)


def test_the_columns_stand_side_by_side_on_a_desktop(visit):
    page = visit(**DESKTOP)
    figures = shapes(page, "figure").reshape(3, 6, 4)
    assert np.all(np.ptp(figures[..., 1], axis=1) < 1)
    np.testing.assert_allclose(figures[..., 0], figures[:1, :, 0].repeat(3, axis=0))
    assert np.all(np.diff(figures[..., 0]) > figures[..., :-1, 2])
    legend = shapes(page, ".legend > div")
    np.testing.assert_allclose(legend[:, 0], figures[0, :, 0])


@pytest.mark.parametrize("width", [320, 375])
def test_the_page_is_read_on_a_phone_without_scrolling_sideways(visit, width):
    page = visit(**{**PHONE, "viewport": {"width": width, "height": 700}})
    assert page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]") == [
        width,
        width,
    ]
    everything = shapes(page, "main *:not(.film img)")
    assert np.all(everything[:, 0] >= 0)
    assert np.all(everything[:, 0] + everything[:, 2] <= width)
    pictures = shapes(page, "figure > :first-child")
    assert np.all(pictures[:, 2] >= 0.9 * width)
    smallest = page.eval_on_selector_all(
        "p, h1, h2, figcaption, button",
        "all => all.map(x => getComputedStyle(x).fontSize)",
    )
    assert min(float(size.removesuffix("px")) for size in smallest) >= 13


def test_a_picture_is_enlarged_while_the_others_stay_where_they_are(visit):
    page = visit(**DESKTOP)
    before = shapes(page, "figure")
    page.locator(".enlarge").nth(3).click()
    during = shapes(page, "figure")
    assert during[3, 2] > 3 * before[3, 2]
    np.testing.assert_allclose(np.delete(during, 3, 0), np.delete(before, 3, 0))
    page.keyboard.press("Escape")
    np.testing.assert_allclose(shapes(page, "figure"), before)


def test_closing_a_picture_on_a_phone_leaves_the_page_where_it_was(visit):
    page = visit(**PHONE)
    before = shapes(page, "figure")
    button = page.locator(".enlarge").nth(10)
    button.scroll_into_view_if_needed()
    scrolled = page.evaluate("scrollY")
    button.tap()
    assert page.locator("figure:popover-open").count() == 1
    button.tap()
    assert page.locator("figure:popover-open").count() == 0
    np.testing.assert_allclose(shapes(page, "figure"), before)
    assert page.evaluate("scrollY") == scrolled > 1000


@pytest.mark.parametrize("options", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_an_enlarged_manifold_fits_the_window_and_moves(visit, options):
    page = visit(**options)
    page.locator(".cell:has(.film) .enlarge").first.click()
    left, top, width, height = shapes(page, "figure:popover-open")[0]
    top -= page.evaluate("scrollY")
    window = options["viewport"]
    assert min(left, top) >= 0
    assert left + width <= window["width"] and top + height <= window["height"]
    film(page).click()
    page.mouse.move(0, 0)
    film(page).hover()
    wait_for_another_frame(page)


def test_all_but_the_animation_works_without_javascript(visit):
    page = visit(**DESKTOP, java_script_enabled=False)
    assert page.locator("noscript p").is_visible()
    before = page.locator("figure").first.bounding_box()["width"]
    page.locator(".enlarge").first.click()
    assert page.locator("figure").first.bounding_box()["width"] > 3 * before
    assert shade(page) <= 2


def test_text_stands_out_by_day_and_by_night(visit):
    def luminance(colour):
        values = colour.removeprefix("rgb(").removesuffix(")").split(",")
        linear = [(int(v) / 255) ** 2.2 for v in values]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    for scheme in ("light", "dark"):
        page = visit(**DESKTOP, color_scheme=scheme)
        paper = luminance(
            page.evaluate("getComputedStyle(document.body).backgroundColor")
        )
        for selector in ("h1", ".caption", ".legend p", ".missing p", ".enlarge"):
            colour = page.eval_on_selector(selector, "x => getComputedStyle(x).color")
            low, high = sorted([paper, luminance(colour)])
            # WCAG 2, level AA.
            assert (high + 0.05) / (low + 0.05) >= 4.5, (scheme, selector)
