"""Known mistakes in pyramidal and stack RNNs, each a runnable variation of the reference."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.recurrent import adjoints as maps
from dlcheck.recurrent import pyramid, reference
from dlcheck.recurrent.cells import sigmoid
from dlcheck.recurrent.stack import EMPTY

Array = Any
Replaced = Mapping[str, Callable[..., Any]]
_TINY = 1e-30
"""A complex step: the imaginary part of f(x + i h) over h is f'(x) to the last digit, for h squared vanishes."""

# What goes wrong, in the words of those whom it happens to.

NO_MEMORY = "The network forgets what it should have stored, and counts no further than a plain one."
MIXED_UP = "What comes off the stack is not what was put on it."
UNTAUGHT = "The network does not learn when to push and pop, without any error."
OTHER_STATES = "Weights trained elsewhere give other outputs; training from scratch hides it."
WRONG_STEPS = "Outputs belong to other times than they should; alignments and attention are off."
NO_CREDIT = "Only the last layer learns, without any error."
LESS = "The layer expresses less than it should, and trains worse."

# The stack RNN in pieces, on arrays with any leading axes, so that a mistake is one piece exchanged.


def _pre(x: Array, h: Array, stack: Array, w: SimpleNamespace) -> Array:
    return x @ w.U + h @ w.R + stack[..., :1] @ w.P


def _softmax(z: Array) -> Array:
    grown = np.exp(z - np.real(z).max(axis=-1, keepdims=True))
    return grown / grown.sum(axis=-1, keepdims=True)


def _controlling(h: Array, before: Array) -> Array:
    return h


def _value(h: Array, w: SimpleNamespace) -> Array:
    return sigmoid(h @ w.D)


def _moves(stack: Array, value: Array) -> tuple[Array, Array, Array]:
    pushed = np.concatenate((value, stack[..., :-1]), axis=-1)
    popped = np.concatenate((stack[..., 1:], np.full_like(value, EMPTY)), axis=-1)
    return pushed, popped, stack


def _seen(h: Array, stack: Array, before: Array) -> tuple[Array, Array]:
    return h, stack


def stack_rnn(
    pre: Callable[..., Array] = _pre,
    squash: Callable[..., Array] = sigmoid,
    share: Callable[..., Array] = _softmax,
    controlling: Callable[..., Array] = _controlling,
    value: Callable[..., Array] = _value,
    moves: Callable[..., tuple[Array, ...]] = _moves,
    seen: Callable[..., tuple[Array, Array]] = _seen,
    empty: float = EMPTY,
) -> Replaced:
    """The layer with pieces exchanged; its gradients are by complex steps, so that ``np.real`` in a piece detaches."""

    def forward(arrays: Mapping[str, Array], stack_depth: int) -> dict[str, Array]:
        w = SimpleNamespace(**{name: np.swapaxes(arrays[name], -1, -2) for name in "URPAD"})
        x = arrays["x"]
        outer = (*x.shape[:-2], w.R.shape[-1])
        h, stack = np.zeros(outer, x.dtype), np.full((*outer[:-1], stack_depth), empty, x.dtype)
        found = []
        for t in range(x.shape[-2]):
            before, old = h, stack
            h = squash(pre(x[..., t, :], before, old, w))
            control = controlling(h, before)
            shares = share(control @ w.A)
            moved = moves(old, value(control, w))
            stack = sum(shares[..., index : index + 1] * each for index, each in enumerate(moved))
            found.append(seen(h, stack, old))
        states, stacks = zip(*found, strict=True)
        return {"h": np.stack(states, axis=-2), "stack": np.stack(stacks, axis=-2)}

    def called(x: Array, parameters: Any, state: Any = None, *, stack_depth: int) -> Any:
        return forward({"x": x, **parameters}, stack_depth)

    def called_backward(grad: Any, x: Array, parameters: Any, state: Any = None, *, stack_depth: int) -> Any:
        arrays = {"x": x, **parameters}
        moved = _each_moved(arrays)
        outputs = forward(moved, stack_depth)
        total = sum(np.sum(grad[name] * np.imag(outputs[name]), axis=(1, 2, 3)) for name in grad) / _TINY
        ends = np.cumsum([np.size(value) for value in arrays.values()])[:-1]
        parts = zip(arrays.items(), np.split(total, ends), strict=True)
        return {name: part.reshape(np.shape(value)) for (name, value), part in parts}

    return {"stack_rnn": called, "stack_rnn_backward": called_backward}


def _each_moved(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Copies of all arrays along a first axis, in each of which another number is moved by the complex step."""
    count, start, found = sum(np.size(value) for value in arrays.values()), 0, {}
    for name, value in arrays.items():
        steps = np.eye(count)[:, start : start + np.size(value)].reshape(count, *np.shape(value))
        found[name], start = value + 1j * _TINY * steps, start + np.size(value)
    return found


def _kept_stack(given: Any, outputs: Mapping[str, Array]) -> dict[str, Array]:
    """State and stack of the call before."""
    return {"h": outputs["h"][:, -1], "stack": outputs["stack"][:, -1]}


# Pyramidal RNNs in pieces.

Run = Callable[..., Any]


def _lstm(x: Array, own: Any) -> Array:
    return reference.lstm(x, own, bidirectional=True, batch_first=True)["output"]


def _lstm_back(grad: Array, x: Array, own: Any) -> dict[str, Array]:
    return reference.lstm_backward({"output": grad}, x, own, bidirectional=True, batch_first=True)


def _own(parameters: Mapping[str, Array], level: int) -> dict[str, Array]:
    prefix = f"layers.{level}."
    return {name.removeprefix(prefix): value for name, value in parameters.items() if name.startswith(prefix)}


def pyramidal_rnn(
    order: Callable[[int, int], Array] = lambda steps, level: pyramid.pairs(steps),
    run: Run = _lstm,
    back: Run = _lstm_back,
) -> Replaced:
    """The layer that joins other steps, or reads them in another way; ``order`` may have one step for two."""

    def ascended(x: Array, parameters: Any, odd_length: str) -> tuple[list[Array], list[Array]]:
        levels = sum(name.endswith(".weight_ih_l0") for name in parameters)
        outputs, joins = [pyramid.padded(x, 2**levels) if odd_length == "padded" else x], []
        for level in range(levels):
            joins.append(pyramid.joined(outputs[-1], order(outputs[-1].shape[1], level)))
            outputs.append(run(joins[-1], _own(parameters, level)))
        return outputs, joins

    def called(x: Array, parameters: Any, *, odd_length: str = "dropped") -> Any:
        return {"output": ascended(x, parameters, odd_length)[0][-1]}

    def called_backward(grad: Any, x: Array, parameters: Any, *, odd_length: str = "dropped") -> Any:
        outputs, joins = ascended(x, parameters, odd_length)
        arriving, found = grad["output"], {}
        for level in reversed(range(len(joins))):
            gradients = back(arriving, joins[level], _own(parameters, level))
            steps = outputs[level].shape[1]
            arriving = pyramid.joined_back(gradients.pop("x"), order(steps, level), steps)
            found |= {f"layers.{level}.{name}": value for name, value in gradients.items()}
        return {"x": arriving[:, : x.shape[1]], **found}

    return {"pyramidal_rnn": called, "pyramidal_rnn_backward": called_backward}


def _joining(order: Callable[[Array], Array]) -> Replaced:
    """The layer with a change of the pairs that are joined."""
    return pyramidal_rnn(lambda steps, level: order(pyramid.pairs(steps)))


def _first_not_joined() -> Replaced:
    """The layer whose first LSTM reads every step; there is no way back to gradients of the expected length."""

    def order(steps: int, level: int) -> Array:
        single = np.stack((np.arange(steps), np.full(steps, pyramid.NOTHING)), axis=1)
        return pyramid.pairs(steps) if level else single

    return {"pyramidal_rnn": pyramidal_rnn(order)["pyramidal_rnn"]}


def _with_a_step_of_zeros(steps: int, level: int) -> Array:
    """All steps, an odd last one with nothing."""
    times = np.arange(steps + steps % 2)
    return np.where(times < steps, times, pyramid.NOTHING).reshape(-1, 2)


def _arranged(forwards: Callable[[Array], Array], joined: Callable[..., list[Array]] = lambda a, b: [a, b]) -> Replaced:
    """The layer that reads the second direction as ``forwards`` has it, there and back, and joins both otherwise."""

    def halves(own: Any) -> tuple[dict[str, Array], dict[str, Array]]:
        second = {name.removesuffix("_reverse"): value for name, value in own.items() if name.endswith("_reverse")}
        return {name: own[name] for name in second}, second

    def run(x: Array, own: Any) -> Array:
        parts = zip((lambda y: y, forwards), halves(own), strict=True)
        outputs = [turn(reference.lstm(turn(x), half, batch_first=True)["output"]) for turn, half in parts]
        return np.concatenate(joined(*outputs), axis=2)

    def back(grad: Array, x: Array, own: Any) -> Any:
        arriving, found = joined(*np.split(grad, 2, axis=2)), {"x": np.zeros_like(x)}
        parts = zip((lambda y: y, forwards), ("", "_reverse"), arriving, halves(own), strict=True)
        for turn, suffix, half_grad, half in parts:
            gradients = reference.lstm_backward({"output": turn(half_grad)}, turn(x), half, batch_first=True)
            found["x"] = found["x"] + turn(gradients.pop("x"))
            found |= {f"{name}{suffix}": value for name, value in gradients.items()}
        return found

    return pyramidal_rnn(run=run, back=back)


def _not_turned_back() -> Replaced:
    """Outputs of the second direction stay in the order in which they were made."""

    def turned(x: Array) -> Array:
        first, second = np.split(x, 2, axis=2)
        return np.concatenate((first, second[:, ::-1]), axis=2)

    return pyramidal_rnn(
        run=lambda x, own: turned(_lstm(x, own)), back=lambda grad, x, own: _lstm_back(turned(grad), x, own)
    )


def _mapped(there: Callable[..., Any], back: Callable[..., Any]) -> Replaced:
    """The layer on parameters that are mapped first; with the map's adjoint."""

    def returned(grad: Array, x: Array, own: Any) -> Any:
        found = _lstm_back(grad, x, there(own))
        return {"x": found["x"], **back({name: found[name] for name in own})}

    return pyramidal_rnn(run=lambda x, own: _lstm(x, there(own)), back=returned)


def _fault(
    component: str, id: str, says: str, effect: str, fix: str, replaces: Replaced, *happened: str, joined: bool = True
) -> Fault:
    slug = f"{component.split('_')[0]}-{id}" if joined else id
    return Fault(slug, component, says, effect, fix, replaces, tuple(f"https://github.com/{each}" for each in happened))


def _stack(id: str, says: str, effect: str, fix: str, *happened: str, joined: bool = True, **pieces: Any) -> Fault:
    return _fault("stack_rnn", id, says, effect, fix, stack_rnn(**pieces), *happened, joined=joined)


def _pyramidal(id: str, says: str, effect: str, fix: str, replaces: Replaced, *happened: str) -> Fault:
    return _fault("pyramidal_rnn", id, says, effect, fix, replaces, *happened)


def _popping(bottom: Callable[[Array], Array]) -> Callable[..., tuple[Array, ...]]:
    """Moves in which a pop brings up something else from below the bottom."""

    def moves(stack: Array, value: Array) -> tuple[Array, ...]:
        return _moves(stack, value)[0], np.concatenate((stack[..., 1:], bottom(stack)), axis=-1), stack

    return moves


def _replacing(push: bool) -> Callable[..., tuple[Array, ...]]:
    """Moves in which a push, or a pop, replaces the top and leaves the rest where it is."""

    def moves(stack: Array, value: Array) -> tuple[Array, ...]:
        pushed, popped, still = _moves(stack, value)
        top = np.concatenate((value if push else np.full_like(value, EMPTY), stack[..., 1:]), axis=-1)
        return (top, popped, still) if push else (pushed, top, still)

    return moves


def _two_shares(z: Array) -> Array:
    return np.concatenate((_softmax(z[..., :2]), np.zeros_like(z[..., 2:])), axis=-1)


def _hard(z: Array) -> Array:
    return np.eye(3, dtype=z.dtype)[np.real(z).argmax(axis=-1)]


def _diagonal(z: Array) -> Array:
    """Shares whose derivative by the other logits is left out, and by their own taken for themselves."""
    return _softmax(z.real) * (1 + 1j * np.imag(z))


_STACKS = (
    # values
    _stack("stack-push-strength-not-stored", "a value that is pushed does not reach the top", NO_MEMORY,
           "s[0] = a[push] value + ...", "viking-sudo-rm/StackNN/commit/becca5c53ef4ca06641c49a592324add3e614e83",
           joined=False, moves=lambda stack, value: _moves(stack, np.zeros_like(value))),
    _stack("queue-reads-from-wrong-end", "the state reads the bottom of the stack", MIXED_UP, "P s[0]",
           "viking-sudo-rm/StackNN/commit/054d6baf14b0845cdb0f2e8d6a72d55b2e05798d", joined=False,
           pre=lambda x, h, stack, w: _pre(x, h, stack[..., ::-1], w)),
    _stack("stack-push-vector-first-component-only", "the value to push is made of the first unit only", LESS,
           "sigmoid(D h)", "viking-sudo-rm/StackNN/commit/65e5cd0", joined=False,
           value=lambda h, w: sigmoid(h[..., :1] @ w.D[..., :1, :])),
    _stack("value-linear", "the value to push is not squashed", LESS, "sigmoid(D h)", value=lambda h, w: h @ w.D),
    _stack("value-tanh", "the value to push is squashed by tanh", OTHER_STATES, "sigmoid(D h)",
           value=lambda h, w: np.tanh(h @ w.D)),
    # actions
    _stack("push-pop-exchanged", "push and pop are exchanged", OTHER_STATES, "actions in the order push, pop, no-op",
           moves=lambda stack, value: (_moves(stack, value)[1], _moves(stack, value)[0], stack)),
    _stack("pop-last", "pop and no-op are exchanged", OTHER_STATES, "actions in the order push, pop, no-op",
           moves=lambda stack, value: (_moves(stack, value)[0], stack, _moves(stack, value)[1])),
    _stack("no-op-first", "the actions are in the order no-op, push, pop", OTHER_STATES,
           "actions in the order push, pop, no-op", moves=lambda stack, value: (stack, *_moves(stack, value)[:2])),
    _stack("shares-sigmoid", "the shares of the actions do not add up to 1", MIXED_UP, "softmax(A h)", share=sigmoid),
    _stack("shares-over-batch", "softmax runs over the batch", MIXED_UP, "softmax(A h) over the actions",
           share=lambda z: np.swapaxes(_softmax(np.swapaxes(z, -1, -2)), -1, -2)),
    _stack("actions-hard", "only the likeliest action is taken", UNTAUGHT, "the mean of all actions by their shares",
           share=_hard),
    _stack("no-op-missing", "only push and pop share in the stack", NO_MEMORY, "softmax over push, pop, no-op",
           share=_two_shares),
    _stack("no-op-erases", "no-op leaves nothing", NO_MEMORY, "... + a[no-op] s",
           moves=lambda stack, value: (*_moves(stack, value)[:2], np.zeros_like(stack))),
    _stack("controls-late", "actions and value are those of the state before", MIXED_UP, "softmax(A h_t)",
           controlling=lambda h, before: before),
    # moves
    _stack("push-overwrites", "a push replaces the top, and moves nothing down", NO_MEMORY,
           "s[i] = a[push] s[i - 1] + ...", moves=_replacing(True)),
    _stack("pop-overwrites", "a pop empties the top, and moves nothing up", NO_MEMORY, "s[i] = a[pop] s[i + 1] + ...",
           moves=_replacing(False)),
    _stack("bottom-repeated", "a pop repeats the bottom", MIXED_UP, "-1 comes up from below the bottom",
           moves=_popping(lambda stack: stack[..., -1:])),
    _stack("wraps", "a pop puts the top below the bottom", MIXED_UP, "-1 comes up from below the bottom",
           moves=_popping(lambda stack: stack[..., :1])),
    _stack("zero-below", "0 comes up from below the bottom", OTHER_STATES, "-1 comes up from below the bottom",
           moves=_popping(lambda stack: np.zeros_like(stack[..., :1]))),
    _stack("starts-at-zero", "the stack starts at 0", OTHER_STATES, "an empty stack reads -1", empty=0.0),
    _stack("empty-zero", "an empty stack reads 0", OTHER_STATES, "an empty stack reads -1", empty=0.0,
           moves=_popping(lambda stack: np.zeros_like(stack[..., :1]))),
    _stack("seen-before", "the stack is returned as it was before the step", MIXED_UP, "return s_t with h_t",
           seen=lambda h, stack, before: (h, before)),
    _fault("stack_rnn", "kept-between-calls", "the second sequence starts from the first one's memory", MIXED_UP,
           "start from an empty stack in every call", {"next_state": _kept_stack}),
    # the state
    _stack("state-tanh", "the state is squashed by tanh", OTHER_STATES, "h = sigmoid(...)", squash=np.tanh),
    _stack("state-linear", "the state is not squashed", OTHER_STATES, "h = sigmoid(...)", squash=lambda z: z),
    _stack("state-forgotten", "the state before has no part in the next", NO_MEMORY, "U x + R h + P s[0]",
           pre=lambda x, h, stack, w: _pre(x, np.zeros_like(h), stack, w)),
    _stack("stack-unread", "the state does not read the stack", NO_MEMORY, "U x + R h + P s[0]",
           pre=lambda x, h, stack, w: _pre(x, h, np.zeros_like(stack), w)),
    _stack("recurrent-transposed", "the recurrent weight is transposed", OTHER_STATES, "h @ R.T",
           pre=lambda x, h, stack, w: x @ w.U + h @ np.swapaxes(w.R, -1, -2) + stack[..., :1] @ w.P),
    # the way back
    _stack("stack-strengths-detached", "no gradient reaches the actions", UNTAUGHT,
           "keep the shares in the graph", "viking-sudo-rm/StackNN/commit/ee695f513e9600dc2fff968fecdd2f80f09d2e7b",
           joined=False, share=lambda z: np.real(_softmax(z))),
    _stack("value-detached", "no gradient reaches the value to push", UNTAUGHT, "keep the value in the graph",
           value=lambda h, w: np.real(_value(h, w))),
    _stack("stack-carry-missing", "no gradient goes from a stack to the one before", UNTAUGHT,
           "carry the gradient of the stack back too", moves=lambda stack, value: _moves(np.real(stack), value)),
    _stack("top-detached", "no gradient goes from the state to the top that it reads", UNTAUGHT,
           "ds[0] += P^T dz", pre=lambda x, h, stack, w: _pre(x, h, np.real(stack), w)),
    _stack("state-carry-missing", "no gradient goes from a state to the one before", UNTAUGHT, "dh = R^T dz",
           pre=lambda x, h, stack, w: _pre(x, np.real(h), stack, w)),
    _stack("softmax-diagonal", "the softmax of the actions is taken back as if it were exp", UNTAUGHT,
           "a (da - sum(a da))", share=lambda z: _diagonal(z) if np.iscomplexobj(z) else _softmax(z)),
)  # fmt: skip

_PYRAMIDS = (
    _pyramidal("first-layer-not-reduced", "the first layer does not join its steps", WRONG_STEPS,
               "join the steps before every layer", _first_not_joined(), "OpenNMT/OpenNMT-tf/issues/176"),
    _pyramidal("pairs-reversed", "the later of two steps comes first", OTHER_STATES, "[x[2 t], x[2 t + 1]]",
               _joining(lambda pairs: pairs[:, ::-1])),
    _pyramidal("halves-joined", "a step is joined with one half a sequence away", WRONG_STEPS,
               "x.reshape(B, T // 2, 2 D)", _joining(lambda pairs: pairs.reshape(2, -1).T)),
    _pyramidal("overlapping", "pairs overlap: each step is joined with the next", WRONG_STEPS,
               "[x[2 t], x[2 t + 1]]", _joining(lambda pairs: np.arange(len(pairs))[:, None] + np.arange(2))),
    _pyramidal("second-unused", "every second step is left out", LESS, "[x[2 t], x[2 t + 1]]",
               _joining(lambda pairs: pairs * [1, 0] + [0, pyramid.NOTHING])),
    _pyramidal("step-doubled", "a step is joined with itself", LESS, "[x[2 t], x[2 t + 1]]",
               _joining(lambda pairs: pairs[:, [0, 0]])),
    _pyramidal("first-dropped", "of an odd number of steps the first is left out", WRONG_STEPS,
               "x[:, : T // 2 * 2]", pyramidal_rnn(lambda steps, level: pyramid.pairs(steps) + steps % 2)),
    _pyramidal("padded-by-layer", "a layer with an odd number of steps adds one of zeros", WRONG_STEPS,
               "x[:, : T // 2 * 2], or zeros up to a multiple of 2^L", pyramidal_rnn(_with_a_step_of_zeros)),
    _pyramidal("both-forwards", "both directions read from the first step", LESS, "the second reads from the last step",
               _arranged(lambda y: y)),
    _pyramidal("not-turned-back", "the second direction's outputs are not turned back", WRONG_STEPS,
               "turn its outputs before joining", _not_turned_back()),
    _pyramidal("directions-exchanged", "the second direction's outputs come first", OTHER_STATES,
               "[forward, backward]", _arranged(lambda y: y[:, ::-1], lambda first, second: [second, first])),
    _pyramidal("batch-for-time", "the layers read across the batch", "Sequences are mixed up with each other.",
               "batch_first=True", pyramidal_rnn(
                   run=lambda x, own: reference.lstm(x, own, bidirectional=True)["output"],
                   back=lambda grad, x, own: reference.lstm_backward({"output": grad}, x, own, bidirectional=True))),
    _pyramidal("recurrent-bias-missing", "bias_hh is not added", OTHER_STATES, "x W_ih^T + b_ih + h W_hh^T + b_hh",
               _mapped(*maps.both_maps(maps.on("bias_hh", maps.zeros)))),
    _pyramidal("input-bias-missing", "bias_ih is not added", OTHER_STATES, "x W_ih^T + b_ih + h W_hh^T + b_hh",
               _mapped(*maps.both_maps(maps.on("bias_ih", maps.zeros)))),
    _pyramidal("state-forgotten", "each step starts from a zero state", LESS, "h_t from h_{t-1}",
               _mapped(*maps.both_maps(maps.on("weight_hh", maps.zeros)))),
    _pyramidal("recurrent-transposed", "the recurrent weights are transposed", OTHER_STATES, "h @ weight_hh.T",
               _mapped(*maps.both_maps(maps.on("weight_hh", maps.transposed)))),
    _pyramidal("gates-exchanged", "the blocks are in the order i, f, o, g", OTHER_STATES, "i, f, g, o",
               _mapped(*maps.reordered(0, 1, 3, 2))),
    _pyramidal("layers-detached", "no gradient goes to the layer below", NO_CREDIT,
               "keep the outputs of each layer in the graph", {
                   "pyramidal_rnn_backward": pyramidal_rnn(back=lambda grad, x, own: {
                       **_lstm_back(grad, x, own), "x": np.zeros_like(x)})["pyramidal_rnn_backward"]}),
)  # fmt: skip

MEMORY_FAULTS = (*_PYRAMIDS, *_STACKS)
