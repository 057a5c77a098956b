"""The documentation as the site that `mkdocs build` makes of it."""

import functools
import http.server
import importlib
import os
import re
import subprocess
import sys
import threading

import pytest
from chromium import DESKTOP, PHONE, chromium, needs_chromium

pytestmark = pytest.mark.xdist_group("browser")
ROOT = os.path.join(os.path.dirname(__file__), "..", "..")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, built with warnings as errors."""
    path = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", path],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return path


def pages(site):
    found = sorted(page for page in site.rglob("*.html") if page.name != "404.html")
    assert len(found) > 30
    return found


def test_no_page_asks_another_host_for_a_part_of_itself(site):
    for page in pages(site):
        text = page.read_text("utf-8")
        parts = re.findall(r"<(?:script|img|iframe|source)[^>]*\ssrc=\S+", text)
        parts += re.findall(r"<link[^>]*rel=.?stylesheet[^>]*>", text)
        assert parts
        assert not [part for part in parts if "//" in part], page


def test_every_public_name_and_option_is_in_the_reference(site):
    pages = site.glob("reference/*/index.html")
    text = "".join(page.read_text("utf-8") for page in pages)
    packages = ["flows", "data", "figures", "runs", "evaluation", "serving", "gallery"]
    for package in ("", *(f".{name}" for name in packages)):
        for name in importlib.import_module(f"tfp_realnvp{package}").__all__:
            ids = f"tfp_realnvp{package}.{name}", f"tfp_realnvp.{name}"
            assert any(f'id="{found}"' in text for found in ids), name
    text = (site / "reference/command_line/index.html").read_text("utf-8")
    for option in ("--checkpoint-steps", "--temperature", "--importance-samples"):
        assert f"<code>{option}" in text


def test_formulae_are_mathml(site):
    text = (site / "mathematics/index.html").read_text("utf-8")
    assert text.count("<math") > 20 and "arithmatex" not in text


@pytest.fixture(scope="module")
def address(site):
    """Where the site is served."""
    handler = functools.partial(QuietHandler, directory=site)
    with http.server.ThreadingHTTPServer(("localhost", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@needs_chromium
@pytest.mark.parametrize("device", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_pages_fit_the_width_and_have_nothing_to_lament(site, address, device):
    heard = []
    with chromium() as browser:
        page = browser.new_page(**device)
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("response", lambda r: r.status >= 400 and heard.append(r.url))
        page.on(
            "request",
            lambda r: r.url.startswith((address, "data:")) or heard.append(r.url),
        )
        width = device["viewport"]["width"]
        for path in pages(site):
            page.goto(address + str(path.relative_to(site)))
            needed = page.evaluate("document.documentElement.scrollWidth")
            assert needed <= width, path.relative_to(site)
    assert heard == []
