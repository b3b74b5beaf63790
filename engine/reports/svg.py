"""Matplotlib's SVG as an element of a page: ids of its own, the page's fonts, nothing that refers to the outside."""

from __future__ import annotations

import re

_CUT = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)
_NAMESPACES = re.compile(r'\s+xmlns(:xlink)?="[^"]*"')
_FONT = re.compile(r"font-family: [^;\"]+; ?")
_STYLE = re.compile(r"<style.*?</style>", re.DOTALL)
_GROUP = re.compile(r'<g id="[^"]*"')  # Matplotlib names its groups, nobody refers to them
_TAG = re.compile(r"<[^>]*>")  # what stands between them is read by people, and keeps its digits
_COORDINATE = re.compile(r"-?\d+\.\d{3,}")


def inline(document: str, name: str) -> str:
    """Return a stand-alone SVG document as an element of a page; `name` becomes the prefix of every id."""
    text = _NAMESPACES.sub("", _CUT.sub("", document))
    text = re.sub(r'\bid="', f'id="{name}-', _GROUP.sub("<g", text))
    text = text.replace("url(#", f"url(#{name}-").replace('xlink:href="#', f'href="#{name}-')
    text = _FONT.sub("", _STYLE.sub("", text))
    text = _TAG.sub(lambda tag: _COORDINATE.sub(_short, tag[0]), text)
    text = re.sub(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', r'<svg class="plot" viewBox="\1" role="img">', text, count=1)
    return re.sub(r"\n\s*", "\n", text).strip()


def _short(coordinate: re.Match[str]) -> str:
    return f"{float(coordinate[0]):.2f}".rstrip("0").rstrip(".")
