"""Layers and directions put together wrongly: other starts, other final states, other joins, other ways to turn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcheck.recurrent import reference
from dlcheck.recurrent.mistakes import Replaced, with_arguments
from dlcheck.recurrent.unrolling import STATES, Arrangement, turned

Arrays = Mapping[str, Any]
Turn = Callable[[Any, Any, bool], Any]
_APART = ((1, 0), (0, 1))
"""How much of each direction's outputs is in each part that is joined: all of its own."""
_ARRANGED = ("num_layers", "bidirectional", "batch_first", "dropout", "dropped")


def _turned(x: Any, lengths: Any, batch_first: bool) -> Any:
    return turned(x, lengths)


@dataclass(frozen=True, slots=True)
class Wiring:
    """How runs, each one direction of one layer, are connected; the defaults are right.

    ``start(run, layers, directions)`` is the row of the given state that a run starts from, or, as ``~other``, an
    earlier run whose final state it takes. ``finals(layers, directions)`` lists the runs whose final states are
    returned. ``between`` and ``last`` say how much of each direction's outputs is in each part that is joined,
    below another layer and at the end, the former from layer ``since`` on. ``settings(run, directions, given)``
    changes the settings of a run, and ``drops`` says above how many layers dropout acts. ``read`` and ``write``
    turn the second direction's sequence and its outputs; ``late`` gives outputs from before each step, and
    ``first_output`` makes the second direction's h_n its first output.
    """

    start: Callable[[int, int, int], int] = lambda run, layers, directions: run
    finals: Callable[[int, int], list[int]] = lambda layers, directions: list(range(layers * directions))
    between: tuple[tuple[float, ...], ...] = _APART
    last: tuple[tuple[float, ...], ...] = _APART
    since: int = 0
    settings: Callable[[int, int, dict[str, Any]], dict[str, Any]] = lambda run, directions, given: given
    drops: Callable[[int], bool] = lambda layers_below: True
    read: Turn = _turned
    write: Turn = _turned
    late: bool = False
    first_output: bool = False


def wired(name: str, wiring: Wiring) -> Replaced:
    """The layer with its runs wired otherwise."""

    def forward(x: Any, parameters: Any, state: Any, lengths: Any, **given: Any) -> Any:
        return _Wired(name, wiring, parameters, state, lengths, given).forward(x)

    def backward(grad: Any, x: Any, parameters: Any, state: Any, lengths: Any, **given: Any) -> Any:
        wires = _Wired(name, wiring, parameters, state, lengths, given)
        wires.forward(x)
        return wires.backward(grad)

    return with_arguments(name, forward, backward)


class _Wired:
    """One call: every run is the reference's layer of one direction."""

    def __init__(self, name: str, wiring: Wiring, parameters: Any, state: Any, lengths: Any, given: dict[str, Any]):
        self.name, self.wiring, self.parameters, self.lengths = name, wiring, parameters, lengths
        arrangement = Arrangement(**{key: value for key, value in given.items() if key in _ARRANGED})
        self.batch_first, self.arrangement = arrangement.batch_first, arrangement
        self.layers, self.directions = arrangement.num_layers, 1 + arrangement.bidirectional
        self.others = {key: value for key, value in given.items() if key not in _ARRANGED}
        self.state = state
        self.kinds = STATES[: 2 if name == "lstm" else 1]

    def _own(self, run: int) -> dict[str, str]:
        """The names of a run's parameters by those of a single layer."""
        layer, second = divmod(run, self.directions)
        ending = f"_l{layer}" + ("_reverse" if second else "")
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return {f"{kind}_l0": kind + ending for kind in kinds if kind + ending in self.parameters}

    def _keywords(self, run: int) -> dict[str, Any]:
        padded = {"padded_output": "zeros"} if run % self.directions else {}
        return self.wiring.settings(run, self.directions, {**self.others, **padded})

    def left(self, layers_below: int) -> float:
        """The share that dropout leaves where so many layers lie below."""
        return self.arrangement.left(layers_below) if self.wiring.drops(layers_below) else 1.0

    def _called(self, run: int, sequence: Any) -> tuple[Any, ...]:
        """The arguments of one run."""
        own = {single: self.parameters[name] for single, name in self._own(run).items()}
        return sequence, own, self.starts[run], self.lengths

    def _turn(self, turn: Turn, run: int, x: Any) -> Any:
        return turn(x, self.lengths, self.batch_first) if run % self.directions else x

    def _joins(self, layer: int) -> Any:
        between = self.wiring.between if layer >= self.wiring.since else _APART
        rows = self.wiring.last if layer == self.layers - 1 else between
        return np.array(rows)[: self.directions, : self.directions] if self.directions == 2 else np.ones((1, 1))

    def forward(self, x: Any) -> dict[str, Any]:
        """The outputs; keeps what the way back needs."""
        sequence = self.left(0) * (x.swapaxes(0, 1) if self.batch_first else x)
        hidden, batch = self.parameters["weight_hh_l0"].shape[1], sequence.shape[1]
        count = self.layers * self.directions
        zeros = np.zeros((count, batch, hidden))
        given = {f"{kind}_0": (self.state or {}).get(f"{kind}_0", zeros) for kind in self.kinds}
        self.starts: list[Any] = []
        self.inputs: list[Any] = []
        finals: list[Any] = []
        outputs: list[Any] = []
        for run in range(count):
            source = self.wiring.start(run, self.layers, self.directions)
            taken = finals[~source] if source < 0 else {name: rows[source][None] for name, rows in given.items()}
            self.starts.append(taken)
            self.inputs.append(self._turn(self.wiring.read, run, sequence))
            found = getattr(reference, self.name)(*self._called(run, self.inputs[-1]), **self._keywords(run))
            final = {f"{kind}_0": found[f"{kind}_n"] for kind in self.kinds}
            finals.append({**final, "h_0": found["output"][:1]} if self._ends_early(run) else final)
            output = found["output"]
            output = np.concatenate((taken["h_0"], output[:-1])) if self.wiring.late else output
            outputs.append(self._turn(self.wiring.write, run, output))
            if (run + 1) % self.directions == 0:
                layer = run // self.directions
                parts = np.tensordot(self._joins(layer), np.stack(outputs[-self.directions :]), 1)
                sequence = self.left(layer + 1) * np.concatenate(list(parts), axis=2)
        chosen = self.wiring.finals(self.layers, self.directions)
        rows = {f"{kind}_n": np.concatenate([finals[run][f"{kind}_0"] for run in chosen]) for kind in self.kinds}
        return {"output": sequence.swapaxes(0, 1) if self.batch_first else sequence, **rows}

    def _ends_early(self, run: int) -> bool:
        return self.wiring.first_output and bool(run % self.directions)

    def backward(self, grad: Arrays) -> dict[str, Any]:
        """The gradients, from those of the outputs."""
        steps, batch = self.inputs[0].shape[:2]
        hidden, count = self.parameters["weight_hh_l0"].shape[1], len(self.inputs)
        arriving = np.zeros((steps, batch, self.directions * hidden))
        if "output" in grad:
            arriving = np.asarray(grad["output"])
            arriving = self.left(self.layers) * (arriving.swapaxes(0, 1) if self.batch_first else arriving)
        given = {f"{kind}_0": np.zeros((count, batch, hidden)) for kind in self.kinds}
        ends = [{f"{kind}_n": np.zeros((1, batch, hidden)) for kind in self.kinds} for _ in range(count)]
        for row, run in enumerate(self.wiring.finals(self.layers, self.directions)):
            for name in grad.keys() & ends[run].keys():
                ends[run][name] = ends[run][name] + grad[name][row : row + 1]
        found: dict[str, Any] = {}
        for layer in reversed(range(self.layers)):
            parts = np.stack(np.split(arriving, self.directions, axis=2))
            halves = np.tensordot(self._joins(layer).T, parts, 1)
            below: Any = 0.0
            for second in reversed(range(self.directions)):
                run = layer * self.directions + second
                half = self._turn(self.wiring.write, run, halves[second])
                first = 0.0
                if self.wiring.late:
                    first, half = half[:1], np.concatenate((half[1:], np.zeros_like(half[:1])))
                if self._ends_early(run):
                    half = np.concatenate((half[:1] + ends[run]["h_n"], half[1:]))
                    ends[run]["h_n"] = np.zeros_like(half[:1])
                back = getattr(reference, f"{self.name}_backward")
                grads = back({"output": half, **ends[run]}, *self._called(run, self.inputs[run]), **self._keywords(run))
                found |= {name: grads[single] for single, name in self._own(run).items()}
                below = below + self._turn(self.wiring.read, run, grads["x"])
                grads["h_0"] = grads["h_0"] + first
                source = self.wiring.start(run, self.layers, self.directions)
                for kind in self.kinds:
                    if source < 0:
                        ends[~source][f"{kind}_n"] = ends[~source][f"{kind}_n"] + grads[f"{kind}_0"]
                    else:
                        given[f"{kind}_0"][source] += grads[f"{kind}_0"][0]
            arriving = self.left(layer) * below
        x = arriving.swapaxes(0, 1) if self.batch_first else arriving
        starts = {name: value for name, value in given.items() if name in (self.state or {})}
        return {"x": x, **{name: found[name] for name in self.parameters}, **starts}
