"""The structure of a network as a graph, brought to a form in which equal functions look equal.

A graph is made of a declaration, or of what a module is seen to do; ``Graph.add`` rewrites what can be written in
several ways (a dense layer as a convolution over the whole image, ReLU before or after a max pool, groups as towers).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from dlcheck.models.declaration import (
    Activation,
    AdaptivePool,
    BatchNorm,
    Concat,
    Conv,
    Dropout,
    GlobalPool,
    Head,
    Layer,
    Layers,
    Linear,
    Network,
    Pool,
    ResponseNorm,
    Scale,
    Shape,
    Subsample,
    Sum,
    pair,
    shape_after,
)

MONOTONE = ("relu", "tanh", "sigmoid", "scaled_tanh")
"""Activations that commute with a maximum."""
_STATELESS = (*MONOTONE, "max_pool", "average_pool", "global_pool", "select", "subsample", "zero_channels", "concat")
"""What twice the same input gives twice the same output; two of these are one."""
_CHANNELWISE = (*MONOTONE, "max_pool", "average_pool", "dropout", "response_norm")
"""What may be done to every tower or to all towers at once."""


@dataclass(frozen=True, slots=True)
class Node:
    """One operation: its numbers, the nodes that feed it, the shape of its output without the batch.

    A "conv" has (in, out, kernel, stride, padding of height and width, groups, bias) and, in ``table``, the input
    channels of each output channel where they are not all; a "dense" layer (in, out, bias); a pool kernel, stride,
    padding of height and width, and whether windows stand over the edge.
    """

    op: str
    numbers: tuple[float, ...]
    inputs: tuple[int, ...]
    shape: Shape
    table: tuple[tuple[int, ...], ...] = ()


class Graph:
    """A network as nodes in an order in which every node comes after those that feed it; node 0 is the image."""

    def __init__(self, image: Shape):
        self.nodes = [Node("image", (), (), image)]
        self.outputs: list[int] = []
        self._known: dict[Node, int] = {}
        self._ranks: dict[tuple[int, tuple[str, ...]], list[int]] = {}

    def add(
        self,
        op: str,
        numbers: tuple[float, ...],
        inputs: Sequence[int],
        shape: Shape,
        table: tuple[tuple[int, ...], ...] = (),
    ) -> int:
        """The index of a node that computes this, rewritten where it can be."""
        return self._rewritten(Node(op, numbers, tuple(inputs), shape, table))

    def _put(self, node: Node) -> int:
        if node.op in _STATELESS:
            if node in self._known:
                return self._known[node]
            self._known[node] = len(self.nodes)
        self.nodes.append(node)
        return len(self.nodes) - 1

    def _rewritten(self, node: Node) -> int:
        if node.op in MONOTONE:
            return self._activated(node)
        if node.op in ("max_pool", "average_pool", "adaptive_pool"):
            return self._pooled(node)
        if node.op == "conv":
            return self._convolved(node)
        if node.op == "concat":
            return self._joined(node)
        if node.op == "subsample" and node.numbers == (1,):
            return node.inputs[0]
        if node.op == "shift":
            return self._shifted(node)
        return self._put(node)

    def _activated(self, node: Node) -> int:
        """An activation moves before max pools and joins, ReLU before dropout; a second ReLU does nothing."""
        fed = self.nodes[node.inputs[0]]
        if node.op == "relu" and fed.op == "relu":
            return node.inputs[0]
        commutes = fed.op == "max_pool" or (node.op == "relu" and fed.op == "dropout")
        if commutes or fed.op == "concat":
            moved = [self.add(node.op, node.numbers, (source,), self.nodes[source].shape) for source in fed.inputs]
            return self._put(replace(fed, inputs=tuple(moved)))
        return self._put(node)

    def _pooled(self, node: Node) -> int:
        """Pools by what they do to this image: nothing, every n-th number, windows or one average."""
        (source,) = node.inputs
        fed = self.nodes[source]
        size = _size(fed)
        if len(size) != 2:
            return self._put(node)
        if node.op == "adaptive_pool":
            parts = node.shape[1:]
            if any(n % p for n, p in zip(size, parts, strict=True)):
                return self._put(node)
            kernel = tuple(n // p for n, p in zip(size, parts, strict=True))
            node = replace(node, op="average_pool", numbers=(*kernel, *kernel, 0, 0, 0))
        kernel, stride, padding = node.numbers[:2], node.numbers[2:4], node.numbers[4:6]
        if kernel == (1, 1) and padding == (0, 0) and stride[0] == stride[1]:
            return self.add("subsample", stride[:1], (source,), node.shape)
        if fed.op == "pad" and (merged := self._unpadded(node, fed)):
            return merged
        if node.op == "average_pool" and kernel == size and padding == (0, 0):
            return source if size == (1, 1) else self._put(Node("global_pool", (), node.inputs, node.shape))
        return self._put(node)

    def _unpadded(self, node: Node, pad: Node) -> int | None:
        """A pool of an image padded with zeros, where the zeros change nothing that its own padding would not."""
        left, right, top, bottom = pad.numbers
        harmless = node.op == "average_pool" or self.nodes[pad.inputs[0]].op == "relu"
        if not harmless or (left, top) != (right, bottom):
            return None
        kernel, stride, own, ceil = node.numbers[:2], node.numbers[2:4], node.numbers[4:6], node.numbers[6]
        numbers = (*kernel, *stride, own[0] + top, own[1] + left, ceil)
        return self._put(replace(node, numbers=numbers, inputs=pad.inputs))

    def _convolved(self, node: Node) -> int:
        """A convolution takes padding into itself; over the whole of a small image it is a dense layer."""
        fed = self.nodes[node.inputs[0]]
        into, out, *kernel_stride, high, wide, groups, bias = node.numbers
        if fed.op == "pad" and fed.numbers[0] == fed.numbers[1] and fed.numbers[2] == fed.numbers[3]:
            high, wide, source = high + fed.numbers[2], wide + fed.numbers[0], fed.inputs
            numbers = (into, out, *kernel_stride, high, wide, groups, bias)
            return self._convolved(replace(node, numbers=numbers, inputs=source))
        whole = (*node.shape[1:], high, wide, groups) == (1, 1, 0, 0, 1) and tuple(kernel_stride[:2]) == _size(fed)
        if whole and not node.table:
            return self._put(Node("dense", (into * prod(kernel_stride[:2]), out, bias), node.inputs, node.shape[:1]))
        return self._put(node)

    def _shifted(self, node: Node) -> int:
        """A bias added on its own belongs to the layer before it, where that has none, or to a scale."""
        (source,) = node.inputs
        fed = self.nodes[source]
        if fed.op in ("conv", "dense", "scale") and not fed.numbers[-1]:
            return self._put(replace(fed, numbers=(*fed.numbers[:-1], 1)))
        return self._put(node)

    def _joined(self, node: Node) -> int:
        """A join within a join is one; a join of towers is the towers side by side in one."""
        inner = [
            source
            for fed in node.inputs
            for source in (self.nodes[fed].inputs if self.nodes[fed].op == "concat" else (fed,))
        ]
        if len(inner) == 1:
            return inner[0]
        together = self._together(inner)
        return self._put(replace(node, inputs=tuple(inner))) if together is None else together

    def _together(self, sources: Sequence[int]) -> int | None:
        """One node that computes the join of nodes that do the same to parts of one thing; None where none does."""
        fed = [self.nodes[source] for source in sources]
        first = fed[0]
        channels = sum(node.shape[0] for node in fed)
        if all(node.op == "select" and node.inputs == first.inputs for node in fed):
            seen = tuple(int(channel) for node in fed for channel in node.numbers)
            return self._selected(first.inputs[0], seen, (channels, *first.shape[1:]))
        if first.op == "conv" and all(node.op == "conv" and _alike(node, first) for node in fed):
            return self._grouped(fed, (channels, *first.shape[1:]))
        if first.op in _CHANNELWISE and all((node.op, node.numbers) == (first.op, first.numbers) for node in fed):
            together = self._together([node.inputs[0] for node in fed])
            shape = (channels, *first.shape[1:])
            return None if together is None else self.add(first.op, first.numbers, (together,), shape)
        return None

    def _selected(self, source: int, channels: tuple[int, ...], shape: Shape) -> int:
        if channels == tuple(range(self.nodes[source].shape[0])):
            return source
        return self._put(Node("select", channels, (source,), shape))

    def _grouped(self, fed: Sequence[Node], shape: Shape) -> int | None:
        """Convolutions alike: of one source, of parts of one, or of what can itself be put together."""
        inputs = [node.inputs[0] for node in fed]
        sources = [self.nodes[i] for i in inputs]
        _, _, *geometry, _, bias = fed[0].numbers
        if len(set(inputs)) == 1:
            numbers = (fed[0].numbers[0], shape[0], *geometry, 1, bias)
            return self._put(Node("conv", numbers, (inputs[0],), shape))
        parts_of = {node.inputs[0] for node in sources if node.op == "select"}
        whole = {i for i, node in zip(inputs, sources, strict=True) if node.op != "select"}
        if len(parts_of) == 1 and whole <= parts_of:
            (source,) = parts_of
            into = self.nodes[source].shape[0]
            sees = [node.numbers if node.op == "select" else tuple(range(into)) for node in sources]
            # the order in which a map sees others is that of its weights, which are learned
            ordered = [tuple(sorted(map(int, seen))) for seen in sees]
            table = tuple(seen for seen, node in zip(ordered, fed, strict=True) for _ in range(node.shape[0]))
            return self._tabled(source, into, geometry, bias, shape, table)
        together = self._together(inputs)
        if together is None or len({(node.shape[0], node.numbers[0]) for node in fed}) != 1:
            return None
        numbers = (fed[0].numbers[0], shape[0], *geometry, len(fed), bias)
        return self._put(Node("conv", numbers, (together,), shape))

    def _tabled(
        self,
        source: int,
        into: int,
        geometry: Sequence[float],
        bias: float,
        shape: Shape,
        table: tuple[tuple[int, ...], ...],
    ) -> int:
        groups = _groups(table, into)
        numbers = (into // (groups or 1), shape[0], *geometry, groups or 1, bias)
        return self._put(Node("conv", numbers, (source,), shape, () if groups else table))

    def finished(self, outputs: Sequence[int]) -> "Graph":
        """The graph of what the outputs need: the deepest one first, sums of sums taken together."""
        needed = _ancestors(self.nodes, outputs)
        inner = self._sums_within_sums(needed)
        graph, places = Graph(self.nodes[0].shape), {0: 0}
        for index in sorted(needed - inner - {0}):
            node = self.nodes[index]
            inputs = tuple([places[source] for source in (self._summands(node, inner) if inner else node.inputs)])
            places[index] = len(graph.nodes)
            graph.nodes.append(Node(node.op, node.numbers, inputs, node.shape, node.table))
        graph.outputs = [places[output] for output in outputs]
        if len(outputs) > 1:
            depth = graph.ranks()
            graph.outputs.sort(key=lambda index: -depth[index])
        return graph

    def _sums_within_sums(self, needed: set[int]) -> set[int]:
        """Sums that nothing but one other sum needs."""
        sums = {index for index in needed if self.nodes[index].op == "sum"}
        found = {source for index in sums for source in self.nodes[index].inputs if source in sums}
        if found:
            needs = [source for index in needed for source in self.nodes[index].inputs if source in found]
            found = {source for source in found if needs.count(source) == 1}
        return found

    def _summands(self, node: Node, inner: set[int]) -> list[int]:
        """What feeds a node; of a sum within it, what feeds that."""
        found: list[int] = []
        for source in node.inputs:
            found += self._summands(self.nodes[source], inner) if source in inner else [source]
        return found

    def ranks(self, ops: tuple[str, ...] = ()) -> list[int]:
        """For each node the most operations (of some kinds) on a way to it from the image."""
        key = len(self.nodes), ops
        if key in self._ranks:
            return self._ranks[key]
        found = self._ranks[key] = []
        for node in self.nodes:
            deepest = 0
            for source in node.inputs:
                deepest = max(deepest, found[source])
            found.append(deepest + (not ops or node.op in ops))
        return found


def _size(node: Node) -> tuple[int, ...]:
    """Height and width; those of features are 1 x 1."""
    return node.shape[1:] or (1, 1)


def _alike(node: Node, other: Node) -> bool:
    """Whether two convolutions slide alike, without groups or a table of their own."""
    return node.numbers[2:] == other.numbers[2:] and node.numbers[8] == 1 and not (node.table or other.table)


def _groups(table: tuple[tuple[int, ...], ...], into: int) -> int:
    """The number of equal groups that a table amounts to; 0 where it amounts to none."""
    groups = len(set(table))
    if into % groups or len(table) % groups:
        return 0
    share, each = into // groups, len(table) // groups
    blocks = [tuple(range(o // each * share, (o // each + 1) * share)) for o in range(len(table))]
    return groups if list(table) == blocks else 0


def _ancestors(nodes: Sequence[Node], outputs: Sequence[int]) -> set[int]:
    found, waiting = set(outputs), list(outputs)
    while waiting:
        for source in nodes[waiting.pop()].inputs:
            if source not in found:
                found.add(source)
                waiting.append(source)
    return found


def of_network(network: Network, training: bool = False) -> Graph:
    """The graph of a declaration; dropout and heads belong to training (and dropout that is always there)."""
    graph = Graph(network.image)
    heads: list[int] = []
    end = _extended(graph, network.layers, 0, network.image, training, heads)
    return graph.finished([end, *heads])


def _extended(graph: Graph, layers: Layers, at: int, shape: Shape, training: bool, heads: list[int]) -> int:
    """Add layers behind a node that gives numbers of some shape; the node they end in."""
    for layer in layers:
        before, shape = shape, shape_after(layer, shape)
        match layer:
            case Sum(inner) | Concat(inner):
                ends = [_extended(graph, branch, at, before, training, heads) for branch in inner]
                at = graph.add("sum" if isinstance(layer, Sum) else "concat", (), ends, shape)
            case Head(inner, used, always):
                own = heads if (training or always) and used else []
                own.append(_extended(graph, inner, at, before, training, heads))
            case _:
                at = _added(graph, layer, at, before, shape, training)
    return at


def _added(graph: Graph, layer: Layer, at: int, before: Shape, after: Shape, training: bool) -> int:
    match layer:
        case Conv(channels, kernel, stride, padding, groups, bias, table):
            slid = (*pair(kernel), stride, stride, *pair(padding))
            return graph.add("conv", (before[0] // groups, channels, *slid, groups, int(bias)), (at,), after, table)
        case Linear(features, bias):
            return graph.add("dense", (prod(before), features, int(bias)), (at,), after)
        case BatchNorm(_, scale, shift):
            return graph.add("batch_norm", (int(scale), int(shift)), (at,), after)
        case ResponseNorm(size):
            return graph.add("response_norm", (size,), (at,), after)
        case Activation(kind):
            return graph.add(kind, (), (at,), graph.nodes[at].shape)
        case Pool(kind, kernel, stride, padding):
            over = any(after[axis] > (before[axis] + 2 * padding - kernel) // stride + 1 for axis in (1, 2))
            return graph.add(f"{kind}_pool", (*(kernel,) * 2, *(stride,) * 2, *(padding,) * 2, over), (at,), after)
        case GlobalPool() | AdaptivePool():
            return graph.add("adaptive_pool", after[1:], (at,), after)
        case Scale():
            return graph.add("scale", (1,), (at,), after)
        case Dropout(p, always) if training or always:
            return graph.add("dropout", (p,), (at,), graph.nodes[at].shape)
        case Subsample(_, stride):
            kept, more = graph.add("subsample", (stride,), (at,), (before[0], *after[1:])), after[0] - before[0]
            return graph.add("zero_channels", (more,), (kept,), after) if more else kept
        case _:
            return at
