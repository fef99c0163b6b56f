"""A graph as a picture, with the value of every node and the derivative on every edge: SVG, and Graphviz's DOT text."""

from collections import Counter
from html import escape

import numpy as np

from dlcheck.autodiff.reference import Edge, Node, incoming, ordered, traced

_SIGNS = {"add": "+", "subtract": "−", "multiply": "×", "divide": "÷", "power": "^", "negative": "−", "matmul": "@"}
_WIDTH, _HEIGHT, _RADIUS = 190.0, 110.0, 27.0
"""Of the place that a node has, and of a node."""

Point = tuple[float, float]


def sum_product(a: float = 2.0, b: float = 1.0) -> Node:
    """The graph of e = (a + b)(b + 1), the first worked example of the notes."""
    output, leaves = traced(lambda a, b: (a + b) * (b + 1), a, b)
    for leaf, name in zip(leaves, "ab", strict=True):
        leaf.name = name
    return output


def shared_variable(x: float = 1.0) -> Node:
    """The graph of y = x exp(x^2), the second worked example: three edges leave the one variable."""
    output, (leaf,) = traced(lambda x: x * (x * x).exp(), x)
    leaf.name = "x"
    return output


def drawings(component: str) -> dict[str, str]:
    """What the report shows beside a component, by title: the worked examples, beside that which differentiates."""
    if component != "vjp":
        return {}
    return {
        "e = (a + b)(b + 1) at a = 2, b = 1: two paths lead from b to e": drawn(sum_product()),
        "y = x exp(x²) at x = 1: three edges leave the one variable": drawn(shared_variable()),
    }


def _number(values: np.ndarray) -> str:
    return f"{values.item():.4g}" if values.size == 1 else f"{'×'.join(map(str, values.shape))} numbers"


def _label(node: Node) -> str:
    """A leaf's name; an operation's sign, with the constants that it takes."""
    if not node.operation:
        return node.name or _number(node.value)
    constants = (_number(operand.value) for operand in node.operands if operand.constant)
    return " ".join([_SIGNS.get(node.operation, node.operation), *constants])


def _derivative(edge: Edge) -> str:
    """The local derivative: a number for a number, else between which shapes it maps."""
    if edge.start.value.size == edge.end.value.size == 1:
        return _number(edge.pulled_back(np.ones_like(edge.end.value)))
    return f"∂({_number(edge.end.value)})/∂({_number(edge.start.value)})"


def _nodes(output: Node) -> list[Node]:
    return [node for node in ordered(output) if not node.constant or node is output]


def dot(output: Node) -> str:
    """The graph as Graphviz reads it."""
    nodes = _nodes(output)
    names = {id(node): f"n{place}" for place, node in enumerate(nodes)}
    lines = [f'  {names[id(node)]} [label="{_label(node)}\\n{_number(node.value)}"];' for node in nodes]
    lines += [
        f'  {names[id(edge.start)]} -> {names[id(node)]} [label="{_derivative(edge)}"];'
        for node in nodes
        for edge in incoming(node)
    ]
    return "\n".join(["digraph {", "  rankdir=BT;", *lines, "}"]) + "\n"


def _places(nodes: list[Node]) -> dict[int, Point]:
    """Each node above its operands, in its row near the middle of them."""
    level: dict[int, int] = {}
    for node in nodes:
        level[id(node)] = max((level[id(edge.start)] + 1 for edge in incoming(node)), default=0)
    rows = [[node for node in nodes if level[id(node)] == height] for height in range(max(level.values()) + 1)]
    widest = max(map(len, rows))
    places: dict[int, Point] = {}
    for height, row in enumerate(rows):
        row = sorted(row, key=lambda node: np.mean([places[id(e.start)][0] for e in incoming(node)] or [0.0]))
        for place, node in enumerate(row):
            x = (place + 0.5 + (widest - len(row)) / 2) * _WIDTH
            places[id(node)] = (x, (len(rows) - height - 0.5) * _HEIGHT)
    return places


def _edge(edge: Edge, start: Point, end: Point, bend: float) -> str:
    """A curve from rim to rim with the derivative beside its middle."""
    along = np.subtract(end, start)
    across = np.array([-along[1], along[0]]) / np.hypot(*along)
    centre = (np.array(start) + end) / 2
    # a quadratic curve passes half-way between its control point and the straight line
    middle = centre + across * 2 * bend
    leaving, arriving = (middle - start) / np.hypot(*(middle - start)), (end - middle) / np.hypot(*(end - middle))
    first, last = start + leaving * _RADIUS, end - arriving * (_RADIUS + 5)
    side = 1 if bend >= 0 else -1
    x, y = centre + across * (bend + 13 * side)
    path = f"M{first[0]:.1f},{first[1]:.1f} Q{middle[0]:.1f},{middle[1]:.1f} {last[0]:.1f},{last[1]:.1f}"
    label = escape(_derivative(edge))
    anchor = "start" if x >= centre[0] + across[0] * bend else "end"
    return (
        f'<path d="{path}" class="edge" fill="none" stroke="currentColor" marker-end="url(#arrow)"/>'
        f'<text x="{x:.1f}" y="{y + 4:.1f}" class="derivative" text-anchor="{anchor}">{label}</text>'
    )


def _node(node: Node, place: Point) -> str:
    x, y = place
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_RADIUS}" class="node" fill="none" stroke="currentColor"/>'
        f'<text x="{x:.1f}" y="{y - 2:.1f}" class="name" text-anchor="middle">{escape(_label(node))}</text>'
        f'<text x="{x:.1f}" y="{y + 13:.1f}" class="value" text-anchor="middle">{escape(_number(node.value))}</text>'
    )


def drawn(output: Node) -> str:
    """The graph as SVG text: the leaves at the foot, the output at the head."""
    nodes = _nodes(output)
    places = _places(nodes)
    edges: list[str] = []
    for node in nodes:
        several = Counter(id(edge.start) for edge in incoming(node))
        seen: Counter[int] = Counter()
        for edge in incoming(node):
            key = id(edge.start)
            spread = seen[key] - (several[key] - 1) / 2
            rows = abs(places[key][1] - places[id(node)][1]) / _HEIGHT
            bend = 36 * spread + (_RADIUS + 12 * rows if rows > 1 else 0)
            edges.append(_edge(edge, places[key], places[id(node)], bend))
            seen[key] += 1
    width = max(x for x, _ in places.values()) + _WIDTH * 3 / 4
    height = max(y for _, y in places.values()) + _HEIGHT / 2
    arrow = (
        '<defs><marker id="arrow" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
    )
    arrow += '<path d="M0,1 L9,5 L0,9 z" fill="currentColor"/></marker></defs>'
    inner = "".join([arrow, *edges, *(_node(node, places[id(node)]) for node in nodes)])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'font-family="inherit" font-size="13" role="img">{inner}</svg>'
    )
