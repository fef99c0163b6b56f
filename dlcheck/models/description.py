"""What is compared of two networks: arrays that describe a graph, aspect by aspect, the same for equal structures."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from dlcheck.models.structure import MONOTONE, Graph, Node

Array = NDArray[np.float64]
WEIGHTED = ("conv", "dense")
"""The layers that count towards a network's depth."""
_POOLS = ("max_pool", "average_pool", "global_pool", "adaptive_pool")
_NORMS = ("batch_norm", "response_norm", "scale", "shift")
_KNOWN = ("image", *WEIGHTED, *_POOLS, *_NORMS, *MONOTONE, "softmax", "sum", "concat", "dropout", "subsample",
          "zero_channels", "select", "pad")  # fmt: skip


def code(op: str) -> int:
    """A number for an operation."""
    return _KNOWN.index(op) if op in _KNOWN else 1000 + zlib.crc32(op.encode()) % 1000


def _rows(graph: Graph, ops: Sequence[str], describe: Callable[[Node], tuple[float, ...]], width: int) -> Array:
    """A sorted row for every node of some kinds: its depth in weighted layers, then what describes it."""
    depth = graph.ranks(WEIGHTED)
    found = sorted((depth[i], *describe(node)) for i, node in enumerate(graph.nodes) if node.op in ops)
    return np.array(found, np.float64).reshape(-1, width + 1)


def _fed_by(graph: Graph, node: Node) -> int:
    return code(graph.nodes[node.inputs[0]].op)


def output(graph: Graph) -> dict[str, Array]:
    """The shape of what comes out."""
    return {"output shape": np.array(graph.nodes[graph.outputs[0]].shape, np.float64)}


def layers(graph: Graph) -> dict[str, Array]:
    """How many convolutions and dense layers there are, and how many lie one after the other."""
    counts = [sum(node.op == op for node in graph.nodes) for op in WEIGHTED]
    depth = graph.ranks(WEIGHTED)[graph.outputs[0]]
    return {"convolutions": np.array([float(counts[0])]), "dense layers": np.array([float(counts[1])]),
            "depth": np.array([float(depth)])}  # fmt: skip


def convolutions(graph: Graph) -> dict[str, Array]:
    """Depth, channels in (of one group) and out, kernel, stride, padding of height and width, groups."""
    return {"convolutions": _rows(graph, ("conv",), lambda node: node.numbers[:-1], 9)}


def dense(graph: Graph) -> dict[str, Array]:
    """Depth, features in and out."""
    return {"dense layers": _rows(graph, ("dense",), lambda node: node.numbers[:-1], 2)}


def connections(graph: Graph) -> dict[str, Array]:
    """Which maps see which, where a table says so: a sorted row of zeros and ones for each output map."""
    tables = [(node.numbers[0], node.table) for node in graph.nodes if node.table]
    found = sorted([float(i in seen) for i in range(int(into))] for into, table in tables for seen in table)
    return {"connections": np.array(found).reshape(len(found), len(found[0]) if found else 0)}


def biases(graph: Graph) -> dict[str, Array]:
    """Depth, channels out, and whether there is a bias."""
    return {"biases": _rows(graph, WEIGHTED, lambda node: (node.numbers[1], node.numbers[-1]), 2)}


def pooling(graph: Graph) -> dict[str, Array]:
    """Depth, kind, what it follows, kernel, stride, padding of height and width, whether it goes over the edge."""
    both = (*_POOLS, "subsample")

    def describe(node: Node) -> tuple[float, ...]:
        return (code(node.op), _fed_by(graph, node), *node.numbers, *(0,) * (7 - len(node.numbers)))

    return {"pools": _rows(graph, both, describe, 9)}


def normalization(graph: Graph) -> dict[str, Array]:
    """Depth, kind, channels, what it follows, its numbers: a size, or whether it learns a scale and a shift."""

    def describe(node: Node) -> tuple[float, ...]:
        return code(node.op), node.shape[0], _fed_by(graph, node), *(*node.numbers, 0, 0)[:2]

    return {"normalizations": _rows(graph, _NORMS, describe, 5)}


def activations(graph: Graph) -> dict[str, Array]:
    """Depth, kind, channels, what it follows; whatever has no place elsewhere counts here."""
    own = {node.op for node in graph.nodes if node.op not in _KNOWN} | {*MONOTONE, "softmax", "select", "pad"}

    def describe(node: Node) -> tuple[float, ...]:
        return code(node.op), node.shape[0], _fed_by(graph, node)

    return {"activations": _rows(graph, tuple(own), describe, 3)}


def joins(graph: Graph) -> dict[str, Array]:
    """Depth, kind, channels, number of branches, and what they end in."""

    def describe(node: Node) -> tuple[float, ...]:
        ends = sorted(code(graph.nodes[source].op) for source in node.inputs)
        return (code(node.op), node.shape[0], len(ends), *(*ends, *(-1,) * 8)[:8])

    return {"joins": _rows(graph, ("sum", "concat"), describe, 11)}


def dropout(graph: Graph) -> dict[str, Array]:
    """Depth, what it follows, and the share that is dropped."""
    return {"dropouts": _rows(graph, ("dropout",), lambda node: (_fed_by(graph, node), node.numbers[0]), 2)}


def heads(graph: Graph) -> dict[str, Array]:
    """Of each head the depth at which it leaves the network, its own depth, and its features."""
    depth = graph.ranks(WEIGHTED)
    trunk = _above(graph, graph.outputs[:1])
    found = sorted(
        (max(depth[i] for i in _above(graph, [head]) & trunk), depth[head], graph.nodes[head].shape[0])
        for head in graph.outputs[1:]
    )
    return {"heads": np.array(found, np.float64).reshape(-1, 3)}


def _above(graph: Graph, outputs: Sequence[int]) -> set[int]:
    found = set(outputs)
    for index in range(max(found), -1, -1):
        if index in found:
            found |= set(graph.nodes[index].inputs)
    return found


def used_parameters(graph: Graph) -> int:
    """How many numbers the layers of a graph learn."""
    return sum(_learned(node) for node in graph.nodes)


def _learned(node: Node) -> int:
    match node.op:
        case "conv":
            pairs = sum(map(len, node.table)) or node.numbers[0] * node.numbers[1]
            return int(pairs * prod(node.numbers[2:4]) + node.numbers[1] * node.numbers[-1])
        case "dense":
            return int(node.numbers[1] * (node.numbers[0] + node.numbers[2]))
        case "batch_norm":
            return int(node.shape[0] * sum(node.numbers))
        case "scale":
            return int(node.shape[0] * (1 + node.numbers[0]))
        case _:
            return 0


def wiring(graph: Graph) -> dict[str, Array]:
    """A number for every node that all that feeds it and all that it feeds go into: equal for equal graphs."""
    up = _hashes(graph, [node.inputs for node in graph.nodes], range(len(graph.nodes)))
    fed: list[list[int]] = [[] for _ in graph.nodes]
    for index, node in enumerate(graph.nodes):
        for source in node.inputs:
            fed[source].append(index)
    down = _hashes(graph, fed, range(len(graph.nodes) - 1, -1, -1))
    both = sorted(zip(graph.ranks(), map(_hash, zip(up, down, strict=True)), strict=True))
    return {"wiring": np.array(both, np.float64).reshape(-1, 2)}


def _hashes(graph: Graph, neighbours: Sequence[Sequence[int]], order: Sequence[int]) -> list[int]:
    found = [0] * len(graph.nodes)
    for index in order:
        node = graph.nodes[index]
        numbers = () if node.op == "dropout" else tuple(map(float, node.numbers))
        own = (code(node.op), numbers, node.shape[0], tuple(sorted(node.table)))
        found[index] = _hash((own, sorted(found[other] for other in neighbours[index])))
    return found


def _hash(value: object) -> int:
    return zlib.crc32(repr(value).encode())


ASPECTS: Mapping[str, Callable[[Graph], dict[str, Array]]] = {
    "output": output,
    "heads": heads,
    "layers": layers,
    "convolutions": convolutions,
    "dense": dense,
    "connections": connections,
    "pooling": pooling,
    "normalization": normalization,
    "activations": activations,
    "joins": joins,
    "dropout": dropout,
    "biases": biases,
    "wiring": wiring,
}
"""Every aspect of a network, root causes before what follows from them."""
