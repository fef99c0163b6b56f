"""From the records of a call to the graph of a network: operations by name, others by what they are seen to do."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils import _pytree as pytree

from dlcheck.conformance.adapters.examples import Examples
from dlcheck.conformance.adapters.tracing import STOPPED, Record, Ref, Trace, memory
from dlcheck.models.structure import Graph

_TRANSPARENT = frozenset(
    ("view", "_unsafe_view", "reshape", "flatten", "squeeze", "unsqueeze", "permute", "transpose", "t", "clone",
     "alias", "detach", "_to_copy", "contiguous", "expand", "lift_fresh", "_reshape_alias", "view_as")
)  # fmt: skip
_PREPARING = _TRANSPARENT | {"mul", "div", "sub", "add", "select", "cat", "stack", "rsub"}
"""What colours are brought to a mean and a deviation with, before the first layer."""


@dataclass(frozen=True, slots=True)
class _Region:
    """The result of operations that have no name of their own: all that it needs of one node is known."""

    node: int
    record: int


class Translator:
    """Turns a trace into a graph, with the help of the ``known`` operations by name.

    ``masked`` counts the weights that masks leave out, ``derived_weights`` says whether a kernel is no parameter itself
    (and so may be masked, which shapes alone do not show). ``flow`` names what is wrong with what goes through:
    "stopped", "mixed" and "forgetful" as in ``declaration.Network``, "batch" and "running" for the statistics that
    normalise.
    """

    def __init__(self, trace: Trace, known: Mapping[str, "Operation"], zeros: frozenset[int] = frozenset()):
        self.records, self.known, self.zeros = trace.records, known, zeros
        self.flow: set[str] = set()
        self._zeroed: set[int] = set()
        self._examples = Examples(trace.records)
        self.graph = Graph(tuple(trace.records[0].shape[1:]))
        self.values: dict[int, int | _Region] = {0: 0}
        self._recognitions: dict[str, tuple[str, tuple[float, ...]]] = {}
        self.masked = 0
        self.derived_weights = False

    def graph_of(self, outputs: list[int]) -> Graph:
        """The graph that computes some records."""
        for number in range(1, len(self.records)):
            self.values[number] = self._value(number, self.records[number])
        ends = list(dict.fromkeys(self.node(output) for output in outputs))
        if any(map(self._examples.mixed, outputs)):
            self.flow.add("mixed")
        return self.graph.finished(ends)

    def _value(self, number: int, record: Record) -> int | _Region:
        name = record.name.rstrip("_")
        if name in _TRANSPARENT:
            self._examples.follow(number, record)
            return self._seen_through(number, record)
        if name == STOPPED:
            return _Region(self._value_node(record.sources[0]), number)
        known = self.known.get(name)
        made = known(self, record) if known else None
        return self._region(number, record) if made is None else made

    def _seen_through(self, number: int, record: Record) -> int | _Region:
        """A change of shape alone: the same value, or a further step of a region."""
        value = self.values[record.sources[0]]
        return value if isinstance(value, int) else _Region(value.node, number)

    def _region(self, number: int, record: Record) -> int | _Region:
        nodes = set(map(self._value_node, record.sources))
        if len(nodes) == 1:
            return _Region(nodes.pop(), number)
        inputs = [self.node(source) for source in record.sources]
        return self.graph.add(record.name, (), inputs, record.shape[1:])

    def _value_node(self, record: int) -> int:
        """The node that a record is, or that its region starts from."""
        value = self.values[record]
        return value if isinstance(value, int) else value.node

    def one_formula(self, records: Sequence[int]) -> bool:
        """Whether records, one of them without a name, are all made of one node."""
        nodes = set(map(self._value_node, records))
        return len(nodes) == 1 and any(isinstance(self.values[record], _Region) for record in records)

    def is_formula(self, record: int) -> bool:
        """Whether a record is a step of operations that have no name of their own."""
        return isinstance(self.values[record], _Region)

    def is_zeros(self, value: Any) -> bool:
        """Whether an argument is zeros that take no more than their kind from a tensor."""
        return isinstance(value, Ref) and self.records[value.record].name in ("new_zeros", "zeros_like")

    def node(self, record: int) -> int:
        """The node that computes a record; a region becomes one, named by what it does."""
        value = self.values[record]
        if isinstance(value, _Region):
            value = self.values[record] = self._materialised(value)
        return value

    def source(self, record: Record, position: int = 0) -> int:
        """The node of an argument."""
        return self.node(record.args[position].record)

    def weighed(
        self,
        record: Record,
        position: int,
        weight: torch.Tensor,
        op: str,
        numbers: tuple[float, ...],
        table: tuple[tuple[int, ...], ...] = (),
    ) -> int:
        """A convolution or a dense layer, which should see each example on its own."""
        if self._examples.mixed(record.args[position].record):
            self.flow.add("mixed")
        node = self.graph.add(op, numbers, (self.source(record, position),), record.shape[1:], table)
        if memory(weight) in self.zeros:
            self._zeroed.add(node)
        return node

    def zeros_in_a_row(self) -> bool:
        """Whether a layer whose weights start at zero feeds another, with nothing added between them."""
        fed = set(self._zeroed)
        for index, node in enumerate(self.graph.nodes):
            if not fed.isdisjoint(node.inputs):
                if index in self._zeroed:
                    return True
                if node.op not in ("conv", "dense", "sum"):
                    fed.add(index)
        return False

    def shape(self, record: Record, position: int = 0) -> tuple[int, ...]:
        """The shape of an argument, with the batch."""
        return self.records[record.args[position].record].shape

    def elementwise(self, op: str, numbers: tuple[float, ...], node: int) -> int:
        """A function of every number of a node, whatever shape they were in when it was applied."""
        return self.graph.add(op, numbers, (node,), self.graph.nodes[node].shape)

    def _materialised(self, region: _Region) -> int:
        shape = self.records[region.record].shape[1:]
        before = self.graph.nodes[region.node].shape
        chain = self._chain(region)
        starts = [number for number in chain if not set(self.records[number].sources) <= set(chain)]
        if starts and all(self.records[number].name == STOPPED for number in starts):
            self.flow.add(STOPPED)
        with torch.device("cpu"):
            op, numbers = self._recognised(region, chain)
        if op == "identity":
            return region.node
        if op == "global_pool":
            return self.graph.add("adaptive_pool", (1, 1), (region.node,), (*before[:1], 1, 1))
        return self.graph.add(op, numbers, (region.node,), before if math.prod(before) == math.prod(shape) else shape)

    def _recognised(self, region: _Region, chain: list[int]) -> tuple[str, tuple[float, ...]]:
        """What a region does, found by running it on numbers of our own."""
        prepares = {self.records[number].name.rstrip("_") for number in chain} <= _PREPARING
        if region.node == 0 and prepares and self.records[region.record].shape == self.records[0].shape:
            return "identity", ()
        written = self._written(chain)
        if written not in self._recognitions:
            self._recognitions[written] = self._found_out(region, chain)
        return self._recognitions[written]

    def _written(self, chain: list[int]) -> str:
        """The formula of a chain, with the shapes that it starts from and leads to."""
        places = {number: position for position, number in enumerate(chain)}

        def argument(value: Any) -> Any:
            if isinstance(value, Ref):
                return places.get(value.record, tuple(self.records[value.record].shape))
            return f"tensor {id(value)}" if isinstance(value, torch.Tensor) else value

        lines = []
        for number in chain:
            record = self.records[number]
            args = pytree.tree_map(argument, (list(record.args), dict(record.keywords)))
            lines.append(f"{record.name} {args} {tuple(record.shape)}")
        return "; ".join(lines)

    def _found_out(self, region: _Region, chain: list[int]) -> tuple[str, tuple[float, ...]]:
        unknown = "+".join(sorted({self.records[number].name for number in chain}))
        start = next((s for number in chain for s in self.records[number].sources if s not in chain), region.record)
        shape = self.records[start].shape
        probe = ((torch.arange(math.prod(shape), dtype=torch.float32) * 0.37) % 48 - 24).reshape(shape)
        try:
            first, again = self._replayed(chain, probe), self._replayed(chain, probe)
            if first.shape == probe.shape and not torch.equal(first, again):
                zeros = float((self._replayed(chain, torch.ones(shape)) == 0).double().mean())
                return "dropout", (round(zeros, 1),)
            for name, function in _FUNCTIONS.items():
                expected = function(probe)
                if expected.numel() == first.numel() and torch.allclose(first.reshape(expected.shape), expected):
                    return name, ()
            size = self._neighbours(chain, shape)
        except Exception:
            return unknown, ()
        return ("response_norm", (size,)) if size else (unknown, ())

    def _neighbours(self, chain: list[int], shape: tuple[int, ...]) -> int:
        """How many channels one channel damps; 0 where a region is no such normalisation."""
        if len(shape) != 4:
            return 0
        plain = torch.full(shape, 0.5)
        middle = shape[1] // 2
        bumped = plain.clone()
        bumped[:, middle] = 1e3
        before, after = self._replayed(chain, plain), self._replayed(chain, bumped)
        moved = (before != after).flatten(2).any(2).any(0)
        damped = bool((after[:, moved].abs() <= bumped[:, moved].abs() * 2).all())
        return int(moved.sum()) if before.shape == plain.shape and damped and moved.sum() > 1 else 0

    def _chain(self, region: _Region) -> list[int]:
        """The records of a region, in order."""
        found, waiting = {region.record}, [region.record]
        while waiting:
            for source in self.records[waiting.pop()].sources:
                value = self.values[source]
                if isinstance(value, _Region) and value.node == region.node and source not in found:
                    found.add(source)
                    waiting.append(source)
        return sorted(found)

    def _replayed(self, chain: list[int], probe: torch.Tensor) -> torch.Tensor:
        """What the last record of a chain gives for numbers of ours; views of one memory stay views of one memory."""
        values: dict[int, torch.Tensor] = {}
        base = probe.clone()

        def argument(value: Any) -> Any:
            if isinstance(value, Ref):
                known = value.record in values
                return values[value.record] if known else base.view(self.records[value.record].shape)
            return value

        for number in chain:
            record = self.records[number]
            args, keywords = pytree.tree_map(argument, (record.args, dict(record.keywords)))
            result = record.function(*args, **keywords)
            values[number] = result if isinstance(result, torch.Tensor) else pytree.tree_leaves(result)[0]
        return values[chain[-1]].float()


_FUNCTIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "identity": lambda x: x,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "scaled_tanh": lambda x: 1.7159 * torch.tanh(2 / 3 * x),
    "softmax": lambda x: torch.softmax(x, 1),
    "global_pool": lambda x: x.mean((2, 3)) if x.dim() == 4 else x,
}

Operation = Callable[[Translator, Record], int | None]
"""What an operation of torch is in a graph: the node that it adds or leads back to, None where it has none."""
