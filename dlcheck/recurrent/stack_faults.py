"""Known mistakes in stack RNNs, each a runnable variation of the reference."""

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.recurrent.cells import sigmoid
from dlcheck.recurrent.mistakes import relu
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
LESS = "The layer expresses less than it should, and trains worse."

# The stack RNN in pieces, on arrays with any leading axes, so that a mistake is one piece exchanged.


def _pre(x: Array, h: Array, stack: Array, w: SimpleNamespace) -> Array:
    return x @ w.U + h @ w.R + stack[..., :1] @ w.P


def _softmax(z: Array) -> Array:
    grown = np.exp(z - np.real(z).max(axis=-1, keepdims=True))
    return grown / grown.sum(axis=-1, keepdims=True)


def _controlling(h: Array, before: Array) -> tuple[Array, Array]:
    """What the actions are made of, and the value to push."""
    return h, h


def _value(h: Array, w: SimpleNamespace) -> Array:
    return sigmoid(h @ w.D)


def _moves(stack: Array, value: Array) -> tuple[Array, Array, Array]:
    pushed = np.concatenate((value, stack[..., :-1]), axis=-1)
    popped = np.concatenate((stack[..., 1:], np.full_like(value, EMPTY)), axis=-1)
    return pushed, popped, stack


def _placed(old: Array, shares: Sequence[Array], moved: Sequence[Array]) -> Array:
    return sum(share * each for share, each in zip(shares, moved, strict=True))


def _seen(h: Array, stack: Array, before: Array) -> tuple[Array, Array]:
    return h, stack


def stack_rnn(
    pre: Callable[..., Array] = _pre,
    squash: Callable[..., Array] = sigmoid,
    share: Callable[..., Array] = _softmax,
    controlling: Callable[..., tuple[Array, Array]] = _controlling,
    value: Callable[..., Array] = _value,
    moves: Callable[..., tuple[Array, ...]] = _moves,
    placed: Callable[..., Array] = _placed,
    seen: Callable[..., tuple[Array, Array]] = _seen,
    empty: float = EMPTY,
    first_moved: bool = False,
) -> Replaced:
    """The layer with pieces exchanged, or with the stack moved before the state changes.

    Its gradients are by complex steps, so that ``np.real`` in a piece detaches.
    """

    def forward(arrays: Mapping[str, Array], stack_depth: int) -> dict[str, Array]:
        w = SimpleNamespace(**{name: np.swapaxes(arrays[name], -1, -2) for name in "URPAD"})
        x = arrays["x"]
        outer = (*x.shape[:-2], w.R.shape[-1])
        h, stack = np.zeros(outer, x.dtype), np.full((*outer[:-1], stack_depth), empty, x.dtype)
        found = []
        for t in range(x.shape[-2]):
            before, old = h, stack
            h = before if first_moved else squash(pre(x[..., t, :], before, old, w))
            acting, pushing = controlling(h, before)
            shares = share(acting @ w.A)
            stack = placed(old, np.split(shares, 3, axis=-1), moves(old, value(pushing, w)))
            h = squash(pre(x[..., t, :], before, stack, w)) if first_moved else h
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


def _kept_stack_alone(given: Any, outputs: Mapping[str, Array]) -> dict[str, Array]:
    return {"stack": _kept_stack(given, outputs)["stack"]}


def _zero_at_first(stack: Array, before: Array) -> Array:
    """Zeros where there was no state before, which is 0 then and positive later."""
    return np.where(np.real(before).any(axis=-1, keepdims=True), stack, 0.0)


def _fault(id: str, says: str, effect: str, fix: str, replaces: Replaced, *happened: str, joined: bool = True) -> Fault:
    name = f"stack-{id}" if joined else id
    return Fault(
        name, "stack_rnn", says, effect, fix, replaces, tuple(f"https://github.com/{each}" for each in happened)
    )


def _stack(id: str, says: str, effect: str, fix: str, *happened: str, joined: bool = True, **pieces: Any) -> Fault:
    return _fault(id, says, effect, fix, stack_rnn(**pieces), *happened, joined=joined)


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


def _in_place(old: Array, shares: Sequence[Array], moved: Sequence[Array]) -> Array:
    """Written from the top to the bottom, so that a push reads what was just written above."""
    push, pop, still = shares
    made = [push * moved[0][..., :1] + pop * moved[1][..., :1] + still * old[..., :1]]
    for place in range(1, old.shape[-1]):
        here = slice(place, place + 1)
        made.append(push * made[-1] + pop * moved[1][..., here] + still * old[..., here])
    return np.concatenate(made, axis=-1)


def _upside_down(stack: Array, value: Array) -> tuple[Array, ...]:
    """Pushes and pops at the bottom."""
    pushed = np.concatenate((stack[..., 1:], value), axis=-1)
    return pushed, np.concatenate((np.full_like(value, EMPTY), stack[..., :-1]), axis=-1), stack


STACKS = (
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
           controlling=lambda h, before: (before, before)),
    _stack("actions-late", "the actions are those of the state before", MIXED_UP, "softmax(A h_t)",
           controlling=lambda h, before: (before, h)),
    _stack("value-late", "the value to push is that of the state before", MIXED_UP, "sigmoid(D h_t)",
           controlling=lambda h, before: (h, before)),
    # moves
    _stack("moves-first", "the stack moves before the state changes", MIXED_UP, "h_t from s_{t-1}, then s_t from h_t",
           first_moved=True),
    _stack("in-place", "a push reads places that are written already", MIXED_UP, "a new stack, or from the bottom up",
           placed=_in_place),
    _stack("upside-down", "pushes and pops are at the bottom", MIXED_UP, "push at s[0], which the state reads",
           moves=_upside_down),
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
    _fault("kept-between-calls", "the second sequence starts from the first one's memory", MIXED_UP,
           "start from an empty stack in every call", {"next_state": _kept_stack}),
    _fault("stack-kept-between-calls", "the second sequence starts from the first one's stack", MIXED_UP,
           "start from an empty stack in every call", {"next_state": _kept_stack_alone}),
    _stack("first-step-reads-zero", "the first step reads 0, not the -1 of an empty stack", OTHER_STATES,
           "an empty stack reads -1", pre=lambda x, h, stack, w: _pre(x, h, _zero_at_first(stack, h), w)),
    # the state
    _stack("state-tanh", "the state is squashed by tanh", OTHER_STATES, "h = sigmoid(...)", squash=np.tanh),
    _stack("state-relu", "the state is rectified", OTHER_STATES, "h = sigmoid(...)", squash=relu),
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
