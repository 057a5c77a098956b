"""Turns the formulae of the pages into MathML, which browsers show without scripts."""

import html
import re

from latex2mathml.converter import convert

FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>',
    re.DOTALL,
)


def on_page_content(content: str, **_: object) -> str:
    """Returns the page's HTML with MathML for formulae from `pymdownx.arithmatex`."""
    return FORMULA.sub(_mathml, content)


def _mathml(found: re.Match[str]) -> str:
    latex = html.unescape(found["latex"])
    if found["tag"] == "span":
        return convert(latex, display="inline")
    return f'<div class="formula">{convert(latex, display="block")}</div>'
