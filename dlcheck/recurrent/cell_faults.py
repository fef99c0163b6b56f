"""Known mistakes in the cells of recurrent layers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from dlcheck.recurrent.mistakes import (
    ALL,
    FORGETS,
    LESS,
    OTHER_WEIGHTS,
    UNBOUNDED,
    Replaced,
    changed,
    faults,
    mapped,
    mixed_reset,
    relu,
    stepping,
    where,
)
from dlcheck.recurrent.unrolling import Recurrence


def _rnn(formula: Callable[..., Any]) -> Callable[[str], Replaced]:
    """A simple layer by a formula for the new state from both parts, h, and the nonlinearity."""

    def unit(given: Any, recurrent: Any, state: Any, gate: Any, nonlinearity: str = "tanh") -> Any:
        return (formula(given[0], recurrent[0], state[0], np.tanh if nonlinearity == "tanh" else relu),)

    return lambda name: stepping(name, unit)


def _below_twenty(h: Any) -> Any:
    return np.where(np.real(h) < 20, h, 20.0)


def _lstm(formula: Callable[..., tuple[Any, Any]]) -> Callable[[str], Replaced]:
    """An LSTM by a formula for (h, c) from i, f, g, o before their activations, c, and the gates' activation."""

    def unit(given: Any, recurrent: Any, state: Any, gate: Any, forget_bias: float = 0.0) -> Any:
        i, f, g, o = (a + b for a, b in zip(given, recurrent, strict=True))
        return formula(i, f + forget_bias, g, o, state[1], gate)

    return lambda name: stepping(name, unit)


def _read(c: Any, o: Any, gate: Any) -> tuple[Any, Any]:
    """The state of an LSTM with cell c."""
    return gate(o) * np.tanh(c), c


def _gru(formula: Callable[..., Any]) -> Callable[[str], Replaced]:
    """A GRU by a formula for the new state from r, the share of the old state, the parts of n, and h."""

    def unit(given: Any, recurrent: Any, state: Any, gate: Any, update: str = "keeps", **others: Any) -> Any:
        r, z = (gate(a + b) for a, b in zip(given[:2], recurrent[:2], strict=True))
        return (formula(r, 1 - z if update == "takes" else z, given[2], recurrent[2], state[0]),)

    return lambda name: stepping(name, unit)


def _candidate_bias_skipped(name: str) -> Replaced:
    """Without a given state the first step, whose state is exactly zero, leaves the recurrent part of n out."""
    skipping = _gru(lambda r, z, a, b, h: z * h + (1 - z) * np.tanh(a + np.where(h == 0, 0.0, r * b)))(name)
    return where(name, lambda x, state, given: not state, skipping)


def _forgetting(name: str) -> Replaced:
    """Every step starts from zeros."""

    def change(recurrence: Recurrence, state: Any, **conventions: Any) -> Recurrence:
        cell = recurrence.cell

        def step(given: Any, state: Any, weight: Any, bias: Any) -> Any:
            return cell.step(given, tuple(map(np.zeros_like, state)), weight, bias)

        def back(grads: Any, kept: Any, weight: Any) -> Any:
            *found, before = cell.back(grads, kept, weight)
            return *found, tuple(map(np.zeros_like, before))

        return replace(recurrence, cell=replace(cell, step=step, back=back))

    return changed(name, change)


def _cell_for_state(name: str) -> Replaced:
    """The gates of an LSTM see its cell in the place of its state."""

    def change(recurrence: Recurrence, state: Any, **conventions: Any) -> Recurrence:
        cell = recurrence.cell

        def step(given: Any, state: Any, weight: Any, bias: Any) -> Any:
            return cell.step(given, (state[1], state[1]), weight, bias)

        def back(grads: Any, kept: Any, weight: Any) -> Any:
            *found, before = cell.back(grads, kept, weight)
            return *found, (np.zeros_like(before[0]), before[0] + before[1])

        return replace(recurrence, cell=replace(cell, step=step, back=back))

    return changed(name, change)


def _forgets_state(name: str) -> Replaced:
    """The forget gate of an LSTM scales h."""

    def unit(given: Any, recurrent: Any, state: Any, gate: Any, forget_bias: float = 0.0) -> Any:
        i, f, g, o = (a + b for a, b in zip(given, recurrent, strict=True))
        return _read(gate(f + forget_bias) * state[0] + gate(i) * np.tanh(g), o, gate)

    return stepping(name, unit)


CELLS = (
    faults(ALL, "state-not-carried", "every step starts from a zero state", FORGETS, "h_t from h_{t-1}", _forgetting),
    # the simple cell
    faults("rnn", "tanh-missing", "the state is not squashed", UNBOUNDED, "h = tanh(...)",
            _rnn(lambda a, b, h, phi: a + b)),
    faults("rnn", "sigmoid-for-tanh", "the state is squashed by a sigmoid", LESS, "h = tanh(...)",
            _rnn(lambda a, b, h, phi: 0.5 + 0.5 * np.tanh((a + b) / 2))),
    faults("rnn", "squashed-apart", "input and state are squashed apart", LESS, "h = tanh(W_ih x + W_hh h + b)",
            _rnn(lambda a, b, h, phi: phi(a) + phi(b))),
    faults("rnn", "recurrence-outside", "the recurrent part is added after the squashing", UNBOUNDED,
            "h = tanh(W_ih x + W_hh h + b)", _rnn(lambda a, b, h, phi: phi(a) + b)),
    faults("rnn", "residual", "the old state is added to the new one", UNBOUNDED, "h = tanh(...)",
            _rnn(lambda a, b, h, phi: h + phi(a + b))),
    faults("rnn", "nonlinearity-ignored", "nonlinearity is ignored", LESS, "relu where nonlinearity='relu'",
            lambda c: mapped(c, settings=lambda given: {**given, "nonlinearity": "tanh"})),
    faults("rnn", "relu-always", "it rectifies whatever nonlinearity is", UNBOUNDED, "tanh unless nonlinearity='relu'",
           lambda c: mapped(c, settings=lambda given: {**given, "nonlinearity": "relu"})),
    faults("rnn", "relu-clipped", "the rectified state is clipped at 20", LESS, "max(x, 0)", _rnn(
        lambda a, b, h, phi: _below_twenty(phi(a + b)))),
    # the LSTM cell
    faults("lstm", "candidate-linear", "the candidate is not squashed", UNBOUNDED, "g = tanh(...)",
           _lstm(lambda i, f, g, o, c, s: _read(s(f) * c + s(i) * g, o, s))),
    faults("lstm", "relu-for-tanh", "candidate and cell are rectified, not squashed", UNBOUNDED,
           "g = tanh(...), h = o tanh(c)",
           _lstm(lambda i, f, g, o, c, s: (s(o) * relu(s(f) * c + s(i) * relu(g)), s(f) * c + s(i) * relu(g)))),
    faults("lstm", "forget-gate-on-state", "the forget gate scales h, not c", FORGETS, "c = f c + i g", _forgets_state),
    faults("lstm", "forget-gate-last", "the forget gate scales what is new too", FORGETS, "c = f c + i g",
           _lstm(lambda i, f, g, o, c, s: _read(s(f) * (c + s(i) * np.tanh(g)), o, s))),
    faults("lstm", "gates-see-cell", "the gates see c, not h", OTHER_WEIGHTS, "x W_ih^T + h W_hh^T", _cell_for_state),
    faults("lstm", "plus-instead-of-times", "input gate and candidate are added", UNBOUNDED, "c = f c + i g",
            _lstm(lambda i, f, g, o, c, s: _read(s(f) * c + s(i) + np.tanh(g), o, s)),
            ("MartinuzziFrancesco/torchrecurrent/issues/22",)),
    faults("lstm", "all-added", "gate, candidate and the old cell are added", UNBOUNDED, "c = f c + i g",
           _lstm(lambda i, f, g, o, c, s: _read(c + s(i) + np.tanh(g), o, s))),
    faults("lstm", "cell-and-hidden-swapped-in-stack", "h and c are exchanged after every step", UNBOUNDED,
            "h, c = cell(x, (h, c))", _lstm(lambda i, f, g, o, c, s: _read(s(f) * c + s(i) * np.tanh(g), o, s)[::-1]),
            ("microsoft/nni/issues/2839",)),
    faults("lstm", "output-tanh-missing", "the cell is read without tanh", UNBOUNDED, "h = o tanh(c)",
            _lstm(lambda i, f, g, o, c, s: (s(o) * (s(f) * c + s(i) * np.tanh(g)), s(f) * c + s(i) * np.tanh(g)))),
    faults("lstm", "cell-squashed", "the cell is squashed at every step", FORGETS, "c = f c + i g",
            _lstm(lambda i, f, g, o, c, s: (s(o) * np.tanh(s(f) * c + s(i) * np.tanh(g)),
                                            np.tanh(s(f) * c + s(i) * np.tanh(g))))),
    faults("lstm", "candidate-sigmoid", "the candidate is squashed by a sigmoid", LESS, "g = tanh(...)",
            _lstm(lambda i, f, g, o, c, s: _read(s(f) * c + s(i) * s(g), o, s))),
    faults("lstm", "forget-gate-missing", "the forget gate is missing", UNBOUNDED, "c = f c + i g",
            _lstm(lambda i, f, g, o, c, s: _read(c + s(i) * np.tanh(g), o, s))),
    faults("lstm", "forget-gate-inverted", "the forget gate erases where it should keep", FORGETS, "c = f c + i g",
            _lstm(lambda i, f, g, o, c, s: _read((1 - s(f)) * c + s(i) * np.tanh(g), o, s))),
    faults("lstm", "input-gate-missing", "the input gate is missing", LESS, "c = f c + i g",
            _lstm(lambda i, f, g, o, c, s: _read(s(f) * c + np.tanh(g), o, s))),
    faults("lstm", "gates-coupled", "the input gate is 1 - f", LESS, "c = f c + i g",
            _lstm(lambda i, f, g, o, c, s: _read(s(f) * c + (1 - s(f)) * np.tanh(g), o, s))),
    faults("lstm", "forget-gate-coupled", "the forget gate is 1 - i", LESS, "c = f c + i g",
            _lstm(lambda i, f, g, o, c, s: _read((1 - s(i)) * c + s(i) * np.tanh(g), o, s))),
    faults("lstm", "candidate-by-forget-gate", "the forget gate scales the candidate", LESS, "c = f c + i g",
            _lstm(lambda i, f, g, o, c, s: _read(s(f) * c + s(f) * np.tanh(g), o, s))),
    faults("lstm", "output-gate-inside", "the output gate scales the cell before its tanh", LESS, "h = o tanh(c)",
            _lstm(lambda i, f, g, o, c, s: (np.tanh(s(o) * (s(f) * c + s(i) * np.tanh(g))),
                                            s(f) * c + s(i) * np.tanh(g)))),
    faults("lstm", "state-for-cell", "the new state is kept as the cell too", FORGETS, "c = f c + i g",
            _lstm(lambda i, f, g, o, c, s: (s(o) * np.tanh(s(f) * c + s(i) * np.tanh(g)),) * 2)),
    faults("lstm", "output-gate-missing", "the output gate is missing", LESS, "h = o tanh(c)",
            _lstm(lambda i, f, g, o, c, s: (np.tanh(s(f) * c + s(i) * np.tanh(g)), s(f) * c + s(i) * np.tanh(g)))),
    faults("lstm", "output-gate-tanh", "the output gate is a tanh", LESS, "o = sigmoid(...)",
            _lstm(lambda i, f, g, o, c, s: _read(s(f) * c + s(i) * np.tanh(g), o, np.tanh))),
    faults("lstm", "old-cell-read", "the output reads the cell from before the step", FORGETS, "h = o tanh(c_t)",
            _lstm(lambda i, f, g, o, c, s: (s(o) * np.tanh(c), s(f) * c + s(i) * np.tanh(g)))),
    faults("lstm", "forget-bias-twice", "the forget bias is added twice", OTHER_WEIGHTS,
            "store the 1 in the bias, or add it, not both",
            _lstm(lambda i, f, g, o, c, s: _read(s(f + 2) * c + s(i) * np.tanh(g), o, s))),
    # the GRU cell
    faults("gru", "candidate-bias-outside", "the reset gate does not scale the candidate's second bias", OTHER_WEIGHTS,
           "r * (U h + b'), not r * (U h) + b'",
           lambda c: mapped(c, settings=lambda given: {**given, "biases": "one"})),
    faults("gru", "reset-convention-mismatch", "two forms of the reset gate are mixed", OTHER_WEIGHTS,
            "tanh(W x + b + r (U h + b')), or tanh(W x + b + U (r h) + b')", lambda c: changed(c, mixed_reset),
            ("pytorch/pytorch/issues/8153", "ROCm/MIOpen/issues/716", "keras-team/keras/issues/9112")),
    faults("gru", "candidate-bias-skipped-without-state", "without a state, the first candidate lacks its bias",
            OTHER_WEIGHTS, "n = tanh(W x + b + r (U h + b')) at the first step too", _candidate_bias_skipped,
            ("ml-explore/mlx/pull/3252",)),
    faults("gru", "reset-missing", "the reset gate has no effect", LESS, "n = tanh(W x + b + r (U h + b'))",
            _gru(lambda r, z, a, b, h: z * h + (1 - z) * np.tanh(a + b))),
    faults("gru", "reset-on-input", "the reset gate scales the input's part", FORGETS,
            "n = tanh(W x + b + r (U h + b'))", _gru(lambda r, z, a, b, h: z * h + (1 - z) * np.tanh(r * a + b))),
    faults("gru", "reset-on-both", "the reset gate scales both parts of the candidate", LESS,
            "n = tanh(W x + b + r (U h + b'))", _gru(lambda r, z, a, b, h: z * h + (1 - z) * np.tanh(r * (a + b)))),
    faults("gru", "reset-inverted", "the reset gate erases where it should keep", FORGETS,
            "n = tanh(W x + b + r (U h + b'))", _gru(lambda r, z, a, b, h: z * h + (1 - z) * np.tanh(a + (1 - r) * b))),
    faults("gru", "candidate-sigmoid", "the candidate is squashed by a sigmoid", LESS, "n = tanh(...)",
            _gru(lambda r, z, a, b, h: z * h + (1 - z) * (0.5 + 0.5 * np.tanh((a + r * b) / 2)))),
    faults("gru", "candidate-relu", "the candidate is rectified", UNBOUNDED, "n = tanh(...)",
            _gru(lambda r, z, a, b, h: z * h + (1 - z) * relu(a + r * b))),
    faults("gru", "update-for-reset", "the update gate is used where the reset gate belongs", LESS,
            "n = tanh(W x + b + r (U h + b'))", _gru(lambda r, z, a, b, h: z * h + (1 - z) * np.tanh(a + z * b))),
    faults("gru", "reset-state-kept", "the reset state is averaged in, not the old one", FORGETS,
            "h = z h + (1 - z) n", _gru(lambda r, z, a, b, h: z * r * h + (1 - z) * np.tanh(a + r * b))),
    faults("gru", "candidate-whole", "the candidate is added without its share", UNBOUNDED, "h = z h + (1 - z) n",
            _gru(lambda r, z, a, b, h: z * h + np.tanh(a + r * b))),
    faults("gru", "old-state-whole", "the old state is kept without its share", UNBOUNDED, "h = z h + (1 - z) n",
            _gru(lambda r, z, a, b, h: h + (1 - z) * np.tanh(a + r * b))),
    faults("gru", "old-state-dropped", "the old state is not averaged in", FORGETS, "h = z h + (1 - z) n",
            _gru(lambda r, z, a, b, h: (1 - z) * np.tanh(a + r * b))),
)  # fmt: skip
