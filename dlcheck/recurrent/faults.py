"""Known mistakes in recurrent layers, each a runnable variation of the reference."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.recurrent import adjoints as maps
from dlcheck.recurrent.memory_faults import MEMORY_FAULTS
from dlcheck.recurrent.mistakes import (
    Replaced,
    back_changed,
    changed,
    mapped,
    mixed_reset,
    only_back,
    relu,
    same,
    stepping,
)

# What goes wrong, in the words of those whom it happens to.

FORGETS = "The layer sees little more than the last step, however long the sequence is."
NO_CREDIT = "What happened early gets no credit: only short dependencies are learned."
OTHER_WEIGHTS = "Weights trained elsewhere give other outputs; training from scratch hides it."
LESS = "The layer expresses less than it should, and trains worse."
OVERFITS = "Regularisation is not what was set: the network overfits, or learns from less than it should."
UNBOUNDED = "States grow without bound and overflow on long sequences."
PADDING = "Short sequences of a batch depend on how much they are padded."
BLIND = "Outputs of the second direction belong to other steps than those that they are joined to."
UNTRAINED = "Parameters are held and saved that nothing trains."
WRONG_STEP = "Gradients point elsewhere: training is slow or fails, without any error."
RESUMED = "A sequence that is read in parts differs from one that is read at once."
MIXED = "Sequences are mixed up with steps, silently where the shapes allow it."

_ALL = ("rnn", "lstm", "gru")
_GATED = ("lstm", "gru")
_GATES = {"rnn": 1, "lstm": 4, "gru": 3}


def _faults(
    components: tuple[str, ...] | str,
    slug: str,
    says: str,
    effect: str,
    fix: str,
    make: Callable[[str], Replaced],
    happened: tuple[str, ...] = (),
    **ids: str,
) -> tuple[Fault, ...]:
    """One mistake in each of the components; ``ids`` names those that have another id than their slug gives."""
    threads = tuple(f"https://github.com/{thread}" for thread in happened)
    names = (components,) if isinstance(components, str) else components
    return tuple(Fault(ids.get(name, f"{name}-{slug}"), name, says, effect, fix, make(name), threads) for name in names)


def _leaks(given: Any, outputs: Mapping[str, Any]) -> Any:
    return given or {name.replace("_n", "_0"): value for name, value in outputs.items() if name.endswith("_n")}


def _rnn(formula: Callable[..., Any]) -> Callable[[str], Replaced]:
    """A simple layer by a formula for the new state from both parts, h, and the nonlinearity."""

    def unit(given: Any, recurrent: Any, state: Any, gate: Any, nonlinearity: str = "tanh") -> Any:
        return (formula(given[0], recurrent[0], state[0], np.tanh if nonlinearity == "tanh" else relu),)

    return lambda name: stepping(name, unit)


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
    right = _gru(lambda r, z, a, b, h: z * h + (1 - z) * np.tanh(a + r * b))(name)
    skipping = _gru(lambda r, z, a, b, h: z * h + (1 - z) * np.tanh(a + np.where(h == 0, 0.0, r * b)))(name)

    def chosen(key: str) -> Callable[..., Any]:
        return lambda *arrays, state=None, **given: (right if state else skipping)[key](*arrays, state=state, **given)

    return {key: chosen(key) for key in skipping}


# Ways back through a step, from the right one.


def _carry(hidden: float, cell: float) -> Callable[[str], Replaced]:
    """What the gradients of the state before are scaled by."""

    def back(right: Any, grads: Any, kept: Any, weight: Any) -> Any:
        *found, before = right(grads, kept, weight)
        return *found, tuple(scale * row for scale, row in zip((hidden, cell), before, strict=False))

    return lambda name: back_changed(name, back)


def _transposed_back(right: Any, grads: Any, kept: Any, weight: Any) -> Any:
    *found, _ = right(grads, kept, weight)
    return *found, right(grads, kept, maps.transposed(weight))[3]


def _new_state_times(right: Any, grads: Any, kept: Any, weight: Any) -> Any:
    given, _, *others = right(grads, kept, weight)
    after = kept[1] if len(kept) == 2 else kept[5] * kept[6]
    return given, given.T @ after, *others


def _slope_missing(right: Any, grads: Any, kept: Any, weight: Any) -> Any:
    return grads[0], grads[0].T @ kept[0], grads[0].sum(0), (grads[0] @ weight,)


_TABLE = (
    # parameters
    _faults(_ALL, "recurrent-weight-transposed", "the recurrent weight is transposed", OTHER_WEIGHTS,
            "h @ weight_hh.T, block by block",
            lambda c: mapped(c, parameters=maps.both_maps(maps.on("weight_hh", maps.transposed)))),
    _faults(_ALL, "recurrent-bias-missing", "bias_hh is not added", UNTRAINED, "x W_ih^T + b_ih + h W_hh^T + b_hh",
            lambda c: mapped(c, parameters=maps.both_maps(maps.on("bias_hh", maps.zeros)))),
    _faults(_ALL, "input-bias-missing", "bias_ih is not added", UNTRAINED, "x W_ih^T + b_ih + h W_hh^T + b_hh",
            lambda c: mapped(c, parameters=maps.both_maps(maps.on("bias_ih", maps.zeros)))),
    _faults(_ALL, "layers-share-weights", "upper layers use the recurrent weights of the first", LESS,
            "weight_hh_l{k}, bias_hh_l{k} for layer k",
            lambda c: mapped(c, parameters=(maps.from_first_layer, maps.to_first_layer))),
    _faults(_ALL, "dropout-unused", "dropout between layers has no effect", OVERFITS,
            "each layer reads what dropout made of the outputs below",
            lambda c: mapped(c, settings=maps.without_dropout),
            ("jihunchoi/recurrent-batch-normalization-pytorch/issues/13",), rnn="rnn-stack-dropout-result-unused"),
    _faults(_ALL, "dropout-after-last", "the outputs of the last layer are dropped too", OVERFITS,
            "dropout between layers only", lambda c: mapped(c, outputs=(maps.dropped, maps.dropped))),
    _faults(_ALL, "reverse-uses-forward-weights", "the reverse direction uses the forward weights", LESS,
            "weight_ih_l{k}_reverse for the reverse direction",
            lambda c: mapped(c, parameters=(maps.forward_weights, maps.to_forward_weights))),
    _faults("lstm", "gates-ifog", "gates are read in the order i, f, o, g", OTHER_WEIGHTS, "blocks i, f, g, o",
            lambda c: mapped(c, parameters=maps.reordered(0, 1, 3, 2))),
    _faults("lstm", "gates-figo", "input and forget gate are exchanged", OTHER_WEIGHTS, "blocks i, f, g, o",
            lambda c: mapped(c, parameters=maps.reordered(1, 0, 2, 3))),
    _faults("lstm", "gates-iofg", "gates are read in ONNX's order i, o, f, g", OTHER_WEIGHTS, "blocks i, f, g, o",
            lambda c: mapped(c, parameters=maps.reordered(0, 2, 3, 1))),
    _faults("lstm", "gates-igfo", "gates are read in TensorFlow 1's order i, g, f, o", OTHER_WEIGHTS,
            "blocks i, f, g, o", lambda c: mapped(c, parameters=maps.reordered(0, 2, 1, 3))),
    _faults("gru", "gates-zrn", "gates are read in Keras' order z, r, n", OTHER_WEIGHTS, "blocks r, z, n",
            lambda c: mapped(c, parameters=maps.reordered(1, 0, 2))),
    _faults(_GATED, "gates-interleaved", "the rows of the weights are read unit by unit", OTHER_WEIGHTS,
            "split the rows into as many blocks as gates",
            lambda c: mapped(c, parameters=maps.interleaved(_GATES[c]))),
    _faults("lstm", "bias-copy-paste", "input and forget gate add the output gate's bias", UNTRAINED,
            "each gate adds its own block of the bias",
            lambda c: mapped(c, parameters=(maps.on("bias", maps.output_gates_bias),
                                            maps.on("bias", maps.to_output_gates_bias))),
            ("ddbourgin/numpy-ml/issues/42",)),
    # states
    _faults(_ALL, "initial-state-unused", "the given initial state is ignored", RESUMED,
            "h = h_0 before the first step",
            lambda c: mapped(c, state=maps.both_maps(maps.rows(maps.zeros))),
            ("ruohoruotsi/LSTM-Music-Genre-Classification/issues/12", "jessicayung/blog-code-snippets/issues/3"),
            rnn="rnn-initial-state-unused"),
    _faults("lstm", "initial-cell-unused", "c_0 is ignored", RESUMED, "c = c_0 before the first step",
            lambda c: mapped(c, state=maps.both_maps(maps.without_cell))),
    _faults("lstm", "initial-hidden-unused", "h_0 is ignored, c_0 is not", RESUMED, "h = h_0 before the first step",
            lambda c: mapped(c, state=maps.both_maps(maps.without_hidden))),
    _faults(_ALL, "initial-state-of-first-layer", "all layers start from the first layer's state", RESUMED,
            "h_0[k] for layer k",
            lambda c: mapped(c, state=(maps.rows(maps.first_rows), maps.rows(maps.to_first_row)))),
    _faults("lstm", "final-states-exchanged", "h_n and c_n are returned in the wrong order", RESUMED,
            "return output, (h_n, c_n)", lambda c: mapped(c, outputs=maps.both_maps(maps.final_exchanged))),
    _faults("lstm", "initial-state-exchanged", "h_0 and c_0 are exchanged", RESUMED, "h, c = h_0, c_0",
            lambda c: mapped(c, state=maps.both_maps(maps.exchanged))),
    _faults(_ALL, "state-leaks", "a call starts from the last state of the call before", RESUMED,
            "start from zeros unless a state is given", lambda c: {"next_state": _leaks}),
    # arrangement
    _faults(_ALL, "batch-first-ignored", "batch_first is ignored", MIXED, "x.transpose(0, 1) if batch_first else x",
            lambda c: mapped(c, settings=lambda given: {**given, "batch_first": False})),
    _faults(_ALL, "batch-first-states", "batch_first exchanges the axes of the states too", MIXED,
            "h_n is (layers, N, H) always", lambda c: mapped(c, outputs=(maps.states_first, same))),
    _faults(_ALL, "directions-exchanged", "the reverse direction's outputs come first", OTHER_WEIGHTS,
            "concatenate((forward, reverse), axis=-1)",
            lambda c: mapped(c, parameters=maps.both_maps(maps.halves_read), outputs=maps.both_maps(maps.halves))),
    _faults(_ALL, "reverse-not-turned-back", "the reverse direction's outputs stay in reading order", BLIND,
            "turn the outputs of the reverse direction back before joining",
            lambda c: changed(c, maps.back_unturned)),
    _faults(_ALL, "reverses-padding", "the reverse direction reads padding first", PADDING,
            "reverse each sequence within its own length", lambda c: changed(c, maps.reads_padding),
            ("pytorch/pytorch/issues/517", "pytorch/pytorch/issues/1811", "deeplearning4j/deeplearning4j/issues/1030"),
            rnn="birnn-reverses-padding"),
    _faults(_ALL, "padding-not-carried", "the state goes on through padding", PADDING,
            "h = where(t < length, new, old)",
            lambda c: mapped(c, lengths=lambda lengths: None, outputs=maps.both_maps(maps.padding_zeroed)),
            ("neulab/xnmt/commit/b00c648b14b95ac834a51a61bc1afed752012908",), lstm="lstm-padding-not-carried"),
    _faults(_ALL, "lengths-ignored", "lengths have no effect", PADDING,
            "h = where(t < length, new, old), output 0 beyond it", lambda c: mapped(c, lengths=lambda lengths: None)),
    _faults(_ALL, "lengths-short-by-one", "sequences end one step before their length", PADDING, "t < length",
            lambda c: mapped(c, lengths=lambda lengths: None if lengths is None else np.maximum(lengths - 1, 1))),
    # the simple cell
    _faults("rnn", "tanh-missing", "the state is not squashed", UNBOUNDED, "h = tanh(...)",
            _rnn(lambda a, b, h, phi: a + b)),
    _faults("rnn", "sigmoid-for-tanh", "the state is squashed by a sigmoid", LESS, "h = tanh(...)",
            _rnn(lambda a, b, h, phi: 0.5 + 0.5 * np.tanh((a + b) / 2))),
    _faults("rnn", "squashed-apart", "input and state are squashed apart", LESS, "h = tanh(W_ih x + W_hh h + b)",
            _rnn(lambda a, b, h, phi: phi(a) + phi(b))),
    _faults("rnn", "state-not-carried", "every step starts from a zero state", FORGETS, "h_t from h_{t-1}",
            _rnn(lambda a, b, h, phi: phi(a))),
    _faults("rnn", "residual", "the old state is added to the new one", UNBOUNDED, "h = tanh(...)",
            _rnn(lambda a, b, h, phi: h + phi(a + b))),
    _faults("rnn", "nonlinearity-ignored", "nonlinearity is ignored", LESS, "relu where nonlinearity='relu'",
            lambda c: mapped(c, settings=lambda given: {**given, "nonlinearity": "tanh"})),
    # the LSTM cell
    _faults("lstm", "plus-instead-of-times", "input gate and candidate are added", UNBOUNDED, "c = f c + i g",
            _lstm(lambda i, f, g, o, c, s: _read(s(f) * c + s(i) + np.tanh(g), o, s)),
            ("MartinuzziFrancesco/torchrecurrent/issues/22",)),
    _faults("lstm", "cell-and-hidden-swapped-in-stack", "h and c are exchanged after every step", UNBOUNDED,
            "h, c = cell(x, (h, c))", _lstm(lambda i, f, g, o, c, s: _read(s(f) * c + s(i) * np.tanh(g), o, s)[::-1]),
            ("microsoft/nni/issues/2839",)),
    _faults("lstm", "output-tanh-missing", "the cell is read without tanh", UNBOUNDED, "h = o tanh(c)",
            _lstm(lambda i, f, g, o, c, s: (s(o) * (s(f) * c + s(i) * np.tanh(g)), s(f) * c + s(i) * np.tanh(g)))),
    _faults("lstm", "cell-squashed", "the cell is squashed at every step", FORGETS, "c = f c + i g",
            _lstm(lambda i, f, g, o, c, s: (s(o) * np.tanh(s(f) * c + s(i) * np.tanh(g)),
                                            np.tanh(s(f) * c + s(i) * np.tanh(g))))),
    _faults("lstm", "candidate-sigmoid", "the candidate is squashed by a sigmoid", LESS, "g = tanh(...)",
            _lstm(lambda i, f, g, o, c, s: _read(s(f) * c + s(i) * s(g), o, s))),
    _faults("lstm", "forget-gate-missing", "the forget gate is missing", UNBOUNDED, "c = f c + i g",
            _lstm(lambda i, f, g, o, c, s: _read(c + s(i) * np.tanh(g), o, s))),
    _faults("lstm", "forget-gate-inverted", "the forget gate erases where it should keep", FORGETS, "c = f c + i g",
            _lstm(lambda i, f, g, o, c, s: _read((1 - s(f)) * c + s(i) * np.tanh(g), o, s))),
    _faults("lstm", "input-gate-missing", "the input gate is missing", LESS, "c = f c + i g",
            _lstm(lambda i, f, g, o, c, s: _read(s(f) * c + np.tanh(g), o, s))),
    _faults("lstm", "gates-coupled", "the input gate is 1 - f", LESS, "c = f c + i g",
            _lstm(lambda i, f, g, o, c, s: _read(s(f) * c + (1 - s(f)) * np.tanh(g), o, s))),
    _faults("lstm", "output-gate-missing", "the output gate is missing", LESS, "h = o tanh(c)",
            _lstm(lambda i, f, g, o, c, s: (np.tanh(s(f) * c + s(i) * np.tanh(g)), s(f) * c + s(i) * np.tanh(g)))),
    _faults("lstm", "output-gate-tanh", "the output gate is a tanh", LESS, "o = sigmoid(...)",
            _lstm(lambda i, f, g, o, c, s: _read(s(f) * c + s(i) * np.tanh(g), o, np.tanh))),
    _faults("lstm", "old-cell-read", "the output reads the cell from before the step", FORGETS, "h = o tanh(c_t)",
            _lstm(lambda i, f, g, o, c, s: (s(o) * np.tanh(c), s(f) * c + s(i) * np.tanh(g)))),
    _faults("lstm", "forget-bias-twice", "the forget bias is added twice", OTHER_WEIGHTS,
            "store the 1 in the bias, or add it, not both",
            _lstm(lambda i, f, g, o, c, s: _read(s(f + 2) * c + s(i) * np.tanh(g), o, s))),
    # the GRU cell
    _faults("gru", "reset-convention-mismatch", "two forms of the reset gate are mixed", OTHER_WEIGHTS,
            "tanh(W x + b + r (U h + b')), or tanh(W x + b + U (r h) + b')", lambda c: changed(c, mixed_reset),
            ("pytorch/pytorch/issues/8153", "ROCm/MIOpen/issues/716", "keras-team/keras/issues/9112")),
    _faults("gru", "candidate-bias-skipped-without-state", "without a state, the first candidate lacks its bias",
            OTHER_WEIGHTS, "n = tanh(W x + b + r (U h + b')) at the first step too", _candidate_bias_skipped,
            ("ml-explore/mlx/pull/3252",)),
    _faults("gru", "reset-missing", "the reset gate has no effect", LESS, "n = tanh(W x + b + r (U h + b'))",
            _gru(lambda r, z, a, b, h: z * h + (1 - z) * np.tanh(a + b))),
    _faults("gru", "reset-on-input", "the reset gate scales the input's part", FORGETS,
            "n = tanh(W x + b + r (U h + b'))", _gru(lambda r, z, a, b, h: z * h + (1 - z) * np.tanh(r * a + b))),
    _faults("gru", "reset-on-both", "the reset gate scales both parts of the candidate", LESS,
            "n = tanh(W x + b + r (U h + b'))", _gru(lambda r, z, a, b, h: z * h + (1 - z) * np.tanh(r * (a + b)))),
    _faults("gru", "reset-inverted", "the reset gate erases where it should keep", FORGETS,
            "n = tanh(W x + b + r (U h + b'))", _gru(lambda r, z, a, b, h: z * h + (1 - z) * np.tanh(a + (1 - r) * b))),
    _faults("gru", "candidate-sigmoid", "the candidate is squashed by a sigmoid", LESS, "n = tanh(...)",
            _gru(lambda r, z, a, b, h: z * h + (1 - z) * (0.5 + 0.5 * np.tanh((a + r * b) / 2)))),
    _faults("gru", "candidate-relu", "the candidate is rectified", UNBOUNDED, "n = tanh(...)",
            _gru(lambda r, z, a, b, h: z * h + (1 - z) * relu(a + r * b))),
    _faults("gru", "update-for-reset", "the update gate is used where the reset gate belongs", LESS,
            "n = tanh(W x + b + r (U h + b'))", _gru(lambda r, z, a, b, h: z * h + (1 - z) * np.tanh(a + z * b))),
    _faults("gru", "candidate-whole", "the candidate is added without its share", UNBOUNDED, "h = z h + (1 - z) n",
            _gru(lambda r, z, a, b, h: z * h + np.tanh(a + r * b))),
    _faults("gru", "old-state-whole", "the old state is kept without its share", UNBOUNDED, "h = z h + (1 - z) n",
            _gru(lambda r, z, a, b, h: h + (1 - z) * np.tanh(a + r * b))),
    _faults("gru", "old-state-dropped", "the old state is not averaged in", FORGETS, "h = z h + (1 - z) n",
            _gru(lambda r, z, a, b, h: (1 - z) * np.tanh(a + r * b))),
    # the way back
    _faults(_ALL, "carry-not-updated", "no gradient goes back to the step before", NO_CREDIT,
            "dh_next, dc_next = dh_prev, dc_prev at the end of every step", _carry(0.0, 0.0),
            ("CaptainE/RNN-LSTM-in-numpy/issues/1",), lstm="bptt-carry-not-updated"),
    _faults("lstm", "cell-carry-missing", "the cell's gradient does not go back", NO_CREDIT,
            "dc_prev = f (dc + dh o (1 - tanh(c)^2))", _carry(1.0, 0.0)),
    _faults("lstm", "hidden-carry-missing", "only the cell's gradient goes back", NO_CREDIT,
            "dh_prev = dgates @ weight_hh", _carry(0.0, 1.0)),
    _faults(_ALL, "transposed-back", "the gradient goes back through the transposed weight", WRONG_STEP,
            "dh_prev = dgates @ weight_hh", lambda c: back_changed(c, _transposed_back)),
    _faults(("rnn", "lstm"), "new-state-times-gradient", "weight_hh gets its gradient from the new state",
            WRONG_STEP, "dW_hh = sum of dgates_t^T h_{t-1}", lambda c: back_changed(c, _new_state_times)),
    _faults("rnn", "slope-missing", "the way back lacks the derivative of tanh", WRONG_STEP,
            "da = dh (1 - h^2)", lambda c: back_changed(c, _slope_missing)),
    _faults(_ALL, "initial-state-gradient-missing", "no gradient reaches the initial state", NO_CREDIT,
            "dh_0 is what arrives before the first step",
            lambda c: only_back(mapped(c, state=(same, maps.rows(maps.zeros))))),
)  # fmt: skip

_LAYERS = tuple(
    fault for name in ("rnn", "lstm", "gru") for faults in _TABLE for fault in faults if fault.component == name
)

FAULTS = (*_LAYERS, *MEMORY_FAULTS)
