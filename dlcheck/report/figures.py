"""Figures as inline SVG: text stays text, colours are the page's CSS variables, a few kilobytes each."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from dlcheck.report.axes import Axis, number

WIDTH, HEIGHT = 440, 270
TOP, RIGHT, BOTTOM = 10, 14, 46
MOST_POINTS = 200
"""A series longer than this is thinned: what more adds is bytes, not sight."""
LARGEST = 1e100
"""Values beyond it (or, on a logarithmic axis, below its inverse) would overflow the axis, so they are left out too."""
COLOURS = 6
MARKS = ("h.01", "h.01", "m-3 0h6m-3-3v6", "m-3-3l6 6m0-6l-6 6")
"""Scatter marks in the order of the series: dot and square (caps that CSS gives), plus, cross."""

Point = tuple[float, float]


def svg(figure: Mapping[str, Any]) -> Markup:
    """A figure of the results (see ``dlcheck.judgement.Figure``) as HTML: its title, its legend, the drawing."""
    found = {label: _drawable(xs, ys, figure) for label, (xs, ys) in figure["series"].items()}
    series = {label: points for label, points in found.items() if points}
    drawing = _drawing(figure, series) if series else _element("p", "No finite point to draw.", class_="quiet")
    legend = _legend(series, figure["kind"]) if len(series) > 1 else Markup()
    return _element("figure", _element("figcaption", figure["title"], legend), drawing)


def thin(points: list[Point], kind: str) -> list[Point]:
    """At most MOST_POINTS of a series: the extremes of each stretch of a line, every k-th point otherwise."""
    if len(points) <= MOST_POINTS:
        return points
    if kind != "line":
        return points[:: math.ceil(len(points) / MOST_POINTS)]
    size = math.ceil(len(points) / (MOST_POINTS // 2))
    stretches = [range(i, min(i + size, len(points))) for i in range(0, len(points), size)]
    kept = {extreme(stretch, key=lambda i: points[i][1]) for stretch in stretches for extreme in (min, max)}
    return [points[i] for i in sorted(kept)]


def _drawable(xs: Sequence[Any], ys: Sequence[Any], figure: Mapping[str, Any]) -> list[Point]:
    def fits(value: float, scale: str) -> bool:
        return abs(value) <= LARGEST and (scale != "log" or value >= 1 / LARGEST)

    points = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
    fitting = [(x, y) for x, y in points if fits(x, figure["x_scale"]) and fits(y, figure["y_scale"])]
    return thin(fitting, figure["kind"])


def _drawing(figure: Mapping[str, Any], series: Mapping[str, list[Point]]) -> Markup:
    points = list(series.values())
    x, y = _axes(figure, points)
    draw = {"line": _lines, "scatter": _marks, "bar": _bars}[figure["kind"]]
    described = f"{figure['title']}: {figure['y_label']} against {figure['x_label']}; {', '.join(series)}"
    view = f"0 0 {WIDTH} {HEIGHT}"
    return _element("svg", *_frame(x, y, figure), *draw(points, x, y), role="img", viewBox=view, aria_label=described)


def _axes(figure: Mapping[str, Any], series: list[list[Point]]) -> tuple[Axis, Axis]:
    xs, ys = ([point[i] for points in series for point in points] for i in (0, 1))
    bar = figure["kind"] == "bar"
    from_zero = [0.0] if bar and figure["y_scale"] != "log" else []
    y = Axis.over(ys + from_zero, figure["y_scale"] == "log", HEIGHT - BOTTOM, TOP, 0.05)
    left = 30 + 6.6 * max((len(number(v)) for v in y.ticks()), default=0)
    half_a_bar = 0.5 / max(len(set(xs)) - 1, 1)
    return Axis.over(xs, figure["x_scale"] == "log", left, WIDTH - RIGHT, half_a_bar if bar else 0.03), y


def _frame(x: Axis, y: Axis, figure: Mapping[str, Any]) -> Iterable[Markup]:
    yield _path("grid", "".join(f"M{x.start:.1f} {y.pixel(v):.1f}H{x.end}" for v in y.ticks()))
    yield _path("base", f"M{x.start:.1f} {y.start}H{x.end}")
    for value in y.ticks():
        yield _text(number(value), x.start - 7, y.pixel(value) + 4, "end")
    for value in x.ticks():
        yield _text(number(value), x.pixel(value), y.start + 17, "middle")
    yield _text(figure["x_label"], (x.start + x.end) / 2, HEIGHT - 6, "middle", class_="name")
    middle = (y.start + y.end) / 2
    yield _text(figure["y_label"], 12, middle, "middle", class_="name", transform=f"rotate(-90 12 {middle})")


def _lines(series: list[list[Point]], x: Axis, y: Axis) -> Iterable[Markup]:
    for i, points in enumerate(series):
        yield _path(f"line s{i % COLOURS}", "M" + " ".join(f"{x.pixel(a):.1f} {y.pixel(b):.1f}" for a, b in points))
    yield from _marks([points if len(points) <= 12 else [] for points in series], x, y)


def _marks(series: list[list[Point]], x: Axis, y: Axis) -> Iterable[Markup]:
    for i, points in enumerate(series):
        shape = i % len(MARKS)
        marks = (f"M{x.pixel(a):.1f} {y.pixel(b):.1f}{MARKS[shape]}" for a, b in points)
        if points:
            yield _path(f"mark m{shape} s{i % COLOURS}", "".join(marks))


def _bars(series: list[list[Point]], x: Axis, y: Axis) -> Iterable[Markup]:
    places = sorted({x.pixel(a) for points in series for a, _ in points})
    gap = min((right - left for left, right in pairwise(places)), default=80.0)
    width = max(0.8 * gap / len(series), 1.0)
    foot = y.start if y.log else y.pixel(0.0)
    for i, points in enumerate(series):
        lefts = [x.pixel(a) + width * (i - len(series) / 2) for a, _ in points]
        tops = [y.pixel(b) for _, b in points]
        boxes = (
            f"M{left:.1f} {foot:.1f}V{top:.1f}h{width:.1f}V{foot:.1f}z" for left, top in zip(lefts, tops, strict=True)
        )
        yield _path(f"bar s{i % COLOURS}", "".join(boxes))


def _legend(labels: Iterable[str], kind: str) -> Markup:
    items = (_element("li", _swatch(i, kind), label) for i, label in enumerate(labels))
    return _element("ul", *items, class_="key")


def _swatch(i: int, kind: str) -> Markup:
    shape, colour = i % len(MARKS), i % COLOURS
    drawn = {
        "line": _path(f"line s{colour}", "M0 6H22"),
        "scatter": _path(f"mark m{shape} s{colour}", f"M11 6{MARKS[shape]}"),
        "bar": _path(f"bar s{colour}", "M5 1h12v10h-12z"),
    }
    return _element("svg", drawn[kind], class_="key", viewBox="0 0 22 12", aria_hidden="true")


def _text(text: str, x: float, y: float, anchor: str, **attributes: str) -> Markup:
    return _element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor, **attributes)


def _path(classes: str, d: str) -> Markup:
    return _element("path", class_=classes, d=d)


def _element(tag: str, *content: str, **attributes: str) -> Markup:
    """An element whose text and attributes are escaped; ``class_`` and underscores are spelled as HTML does."""
    given = (Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), text) for name, text in attributes.items())
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), Markup("").join(given), Markup("").join(content))
