"""Recurrent layers unrolled in time: one direction, both directions, several layers, and the way back through them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from dlcheck.recurrent.cells import Cell, State

Sequence = Float[np.ndarray, "T N F"]
Lengths = Int[np.ndarray, "N"] | None
Parameters = Mapping[str, Float[np.ndarray, "..."]]
Arrays = dict[str, Float[np.ndarray, "..."]]
PaddedOutput = Literal["zeros", "repeated"]
Dropped = Literal["between", "outputs", "inputs"]
STATES = ("h", "c")
_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def active(steps: int, lengths: Lengths) -> Bool[np.ndarray, "T N 1"]:
    """Which steps of each sequence are no padding."""
    assert lengths is not None
    return (np.arange(steps)[:, None] < lengths)[:, :, None]


def turned(x: Sequence, lengths: Lengths) -> Sequence:
    """Every sequence in reverse order within its own length; padding stays where it is. Its own inverse."""
    if lengths is None:
        return x[::-1]
    times = np.arange(len(x))[:, None]
    order = np.where(times < lengths, lengths - 1 - times, times)
    return np.take_along_axis(x, order[:, :, None], axis=0)


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A cell, and how the reverse direction reads a sequence and writes its outputs.

    ``read(x, lengths)`` gives the sequence in the order of reading, with its lengths; ``write(outputs, lengths)`` puts
    outputs back in order. Both orders are their own inverses.
    """

    cell: Cell
    read: Callable[[Sequence, Lengths], tuple[Sequence, Lengths]] = lambda x, lengths: (turned(x, lengths), lengths)
    write: Callable[[Sequence, Lengths], Sequence] = turned


@dataclass(frozen=True, slots=True)
class Arrangement:
    """How layers are put together: how many, one or both directions, with biases or not, and the axes of x.

    ``dropout`` is the share of what each layer but the last gives that the next one does not see: 0, or 1, which leaves
    it zeros. Shares between them are drawn at random, which is no part of the reference. Raises ValueError for others.
    ``dropped`` tells whether it acts between layers alone, on the outputs of every layer or on the inputs of every one.
    """

    num_layers: int = 1
    bidirectional: bool = False
    bias: bool = True
    batch_first: bool = False
    padded_output: PaddedOutput = "zeros"
    dropout: float = 0.0
    dropped: Dropped = "between"

    def __post_init__(self) -> None:
        if self.dropout not in (0, 1):
            raise ValueError(f"dropout is {self.dropout!r}, expected 0 or 1: what lies between is random")
        if self.dropped not in get_args(Dropped):
            raise ValueError(f"dropped is {self.dropped!r}, expected one of {get_args(Dropped)}")

    def runs(self) -> Iterator[tuple[int, str]]:
        """Every layer and direction in the order of the state's rows, the direction as the suffix of its parameters."""
        for layer in range(self.num_layers):
            yield from ((layer, suffix) for suffix in (("", "_reverse") if self.bidirectional else ("",)))

    def names(self, layer: int, suffix: str) -> tuple[str, ...]:
        """The names of the parameters of one layer in one direction."""
        return tuple(f"{name}_l{layer}{suffix}" for name in (_NAMES if self.bias else _NAMES[:2]))

    def left(self, layers_below: int) -> float:
        """The share of a sequence that dropout leaves where so many layers lie below."""
        ends = {"between": (), "outputs": (self.num_layers,), "inputs": (0,)}[self.dropped]
        return 1 - self.dropout if 0 < layers_below < self.num_layers or layers_below in ends else 1.0

    def time_first(self, x: Any) -> Any:
        """From the caller's order of axes to (T, N, F), and back."""
        return x.swapaxes(0, 1) if self.batch_first else x


class _Tape(NamedTuple):
    given: Sequence
    kept: list[Any]
    lengths: Lengths


def _weights(parameters: Parameters, names: tuple[str, ...]) -> list[Any]:
    found = [np.asarray(parameters[name]) for name in names]
    return found if len(found) == 4 else [*found, *(np.zeros(len(found[0])) for _ in range(2))]


def _rows_times(x: Sequence, weight: Any) -> Sequence:
    """x @ weight as one product of matrices, which is faster than one for each step."""
    return (x.reshape(-1, x.shape[2]) @ weight).reshape(*x.shape[:2], weight.shape[1])


def _scanned(cell: Cell, given: Sequence, weights: list[Any], state: State, lengths: Lengths) -> tuple[Any, State, Any]:
    """One direction of one layer: outputs, final state, and what each step keeps. The state stays where padding is."""
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    moving = None if lengths is None else active(len(given), lengths)
    outputs, kept = [], []
    for t, row in enumerate(_rows_times(given, weight_ih.T) + bias_ih):
        after, tape = cell.step(row, state, weight_hh, bias_hh)
        if moving is not None:
            after = tuple(np.where(moving[t], new, old) for new, old in zip(after, state, strict=True))
        state = after
        outputs.append(state[0])
        kept.append(tape)
    return np.stack(outputs), state, kept


def _scanned_back(cell: Cell, grad: Sequence, final: State, tape: _Tape, weights: list[Any]) -> tuple[Any, Any, State]:
    """From the gradients of outputs and final state to those of the input, the weights and the first state."""
    weight_ih, weight_hh, *_ = weights
    moving = None if tape.lengths is None else active(len(grad), tape.lengths)
    grad_given = np.empty((*grad.shape[:2], cell.gates * grad.shape[2]))
    grad_hh, grad_bias = np.zeros_like(weight_hh), np.zeros(len(weight_hh))
    for t in reversed(range(len(grad))):
        arriving = (final[0] + grad[t], *final[1:])
        through = arriving if moving is None else tuple(np.where(moving[t], g, 0.0) for g in arriving)
        grad_given[t], more_hh, more_bias, final = cell.back(through, tape.kept[t], weight_hh)
        if moving is not None:
            final = tuple(np.where(moving[t], new, old) for new, old in zip(final, arriving, strict=True))
        grad_hh += more_hh
        grad_bias += more_bias
    grad_ih = np.tensordot(grad_given, tape.given, ((0, 1), (0, 1)))
    return _rows_times(grad_given, weight_ih), (grad_ih, grad_hh, grad_given.sum((0, 1)), grad_bias), final


def _starts(cell: Cell, arrangement: Arrangement, state: Parameters | None, batch: int, hidden: int) -> list[State]:
    """The first state of every run."""
    zeros = np.zeros((len(list(arrangement.runs())), batch, hidden))
    rows = [np.asarray((state or {}).get(f"{name}_0", zeros)) for name in STATES[: cell.states]]
    return list(zip(*rows, strict=True))


def _masked(x: Sequence, lengths: Lengths, reverse: bool, arrangement: Arrangement) -> Sequence:
    """Outputs, or their gradients, that are zero where padding is; where they repeat the state instead, as they are."""
    repeats = arrangement.padded_output == "repeated" and not reverse
    return x if lengths is None or repeats else np.where(active(len(x), lengths), x, 0.0)


def _forward(
    recurrence: Recurrence, arrangement: Arrangement, x: Any, parameters: Parameters, state: Any, lengths: Lengths
) -> tuple[Sequence, list[State], list[_Tape]]:
    """The outputs of the last layer, and the final state and the tape of every run."""
    sequence = arrangement.left(0) * arrangement.time_first(np.asarray(x))
    hidden = np.shape(parameters["weight_hh_l0"])[1]
    starts = _starts(recurrence.cell, arrangement, state, sequence.shape[1], hidden)
    finals, tapes, parts = [], [], []
    for start, (layer, suffix) in zip(starts, arrangement.runs(), strict=True):
        given, steps = recurrence.read(sequence, lengths) if suffix else (sequence, lengths)
        weights = _weights(parameters, arrangement.names(layer, suffix))
        outputs, final, kept = _scanned(recurrence.cell, given, weights, start, steps)
        outputs = recurrence.write(outputs, lengths) if suffix else outputs
        parts.append(_masked(outputs, lengths, bool(suffix), arrangement))
        finals.append(final)
        tapes.append(_Tape(given, kept, steps))
        if suffix or not arrangement.bidirectional:
            sequence, parts = arrangement.left(layer + 1) * np.concatenate(parts, axis=2), []
    return sequence, finals, tapes


def forward(
    recurrence: Recurrence,
    arrangement: Arrangement,
    x: Any,
    parameters: Parameters,
    state: Parameters | None,
    lengths: Lengths,
) -> Arrays:
    """The outputs "output", "h_n" and, of a cell with two states, "c_n"."""
    output, finals, _ = _forward(recurrence, arrangement, x, parameters, state, lengths)
    states = [np.stack(rows) for rows in zip(*finals, strict=True)]
    named = {f"{name}_n": rows for name, rows in zip(STATES, states, strict=False)}
    return {"output": arrangement.time_first(output), **named}


def backward(
    recurrence: Recurrence,
    arrangement: Arrangement,
    grad: Parameters,
    x: Any,
    parameters: Parameters,
    state: Parameters | None,
    lengths: Lengths,
) -> Arrays:
    """The gradients of x, of every parameter and of the state where one is given, from those of the outputs."""
    output, finals, tapes = _forward(recurrence, arrangement, x, parameters, state, lengths)
    rows = [grad.get(f"{name}_n", np.zeros((len(finals), *finals[0][0].shape))) for name in STATES]
    arriving = arrangement.time_first(np.asarray(grad["output"])) if "output" in grad else np.zeros_like(output)
    arriving = arrangement.left(arrangement.num_layers) * arriving
    found: Arrays = {}
    starts: list[State] = []
    grad_below: Any = 0.0
    for index, (layer, suffix) in reversed(list(enumerate(arrangement.runs()))):
        hidden = finals[index][0].shape[1]
        half = arriving[:, :, hidden:] if suffix else arriving[:, :, :hidden]
        half = _masked(half, lengths, bool(suffix), arrangement)
        half = recurrence.write(half, lengths) if suffix else half
        names = arrangement.names(layer, suffix)
        last = tuple(row[index] for row in rows[: recurrence.cell.states])
        grad_x, of_weights, start = _scanned_back(
            recurrence.cell, half, last, tapes[index], _weights(parameters, names)
        )
        found |= dict(zip(names, of_weights, strict=False))
        starts.append(start)
        grad_below = grad_below + (recurrence.read(grad_x, lengths)[0] if suffix else grad_x)
        if not suffix:
            arriving, grad_below = arrangement.left(layer) * grad_below, 0.0
    below = {f"{name}_0": np.stack(row) for name, row in zip(STATES, zip(*reversed(starts), strict=True), strict=False)}
    kept = {name: value for name, value in below.items() if name in (state or {})}
    return {"x": arrangement.time_first(arriving)} | {name: found[name] for name in parameters if name in found} | kept
