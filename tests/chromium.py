"""A headless Chromium for the tests, where the machine has one."""

import contextlib
import shutil

import pytest

PHONE = {
    "viewport": {"width": 375, "height": 812},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
DESKTOP = {"viewport": {"width": 1440, "height": 900}}

_PATH = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(
    _PATH is None, reason="needs chromium, see CONTRIBUTING.md"
)


@contextlib.contextmanager
def chromium():
    """Yields the browser, and closes it."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=_PATH)
        yield browser
        browser.close()
