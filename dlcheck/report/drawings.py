"""Drawings of the results, which are SVG text already, let into the page if they hold nothing but shapes and words."""

from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup

_SVG = "http://www.w3.org/2000/svg"
_TAGS = {"svg", "g", "defs", "marker", "path", "circle", "rect", "line", "text", "title"}
_ATTRIBUTES = {"viewBox", "width", "height", "font-family", "font-size", "role", "id", "class", "refX", "refY"}
_ATTRIBUTES |= {"markerWidth", "markerHeight", "orient", "marker-end", "d", "fill", "stroke", "cx", "cy", "r"}
_ATTRIBUTES |= {"x", "y", "x1", "x2", "y1", "y2", "text-anchor"}


def drawing(drawn: Mapping[str, Any]) -> Markup:
    """A drawing under its title. Raises ValueError where its SVG holds anything that could act."""
    root = ElementTree.fromstring(drawn["svg"])
    for element in root.iter():
        if element.tag.removeprefix(f"{{{_SVG}}}") not in _TAGS or not _ATTRIBUTES >= set(element.attrib):
            raise ValueError(f"the drawing {drawn['title']!r} holds more than shapes and words: {element.tag}")
    ElementTree.register_namespace("", _SVG)
    root.set("aria-label", drawn["title"])
    text = ElementTree.tostring(root, encoding="unicode")
    return Markup('<figure class="drawing"><figcaption>{}</figcaption>{}</figure>').format(drawn["title"], Markup(text))
