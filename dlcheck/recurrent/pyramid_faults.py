"""Known mistakes in pyramidal RNNs, each a runnable variation of the reference."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.recurrent import adjoints as maps
from dlcheck.recurrent import pyramid, reference

Array = Any
Replaced = Mapping[str, Callable[..., Any]]

# What goes wrong, in the words of those whom it happens to.

OTHER_STATES = "Weights trained elsewhere give other outputs; training from scratch hides it."
WRONG_STEPS = "Outputs belong to other times than they should; alignments and attention are off."
NO_CREDIT = "Only the last layer learns, without any error."
LESS = "The layer expresses less than it should, and trains worse."

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
    order: Callable[[int, int, int], Array] = lambda steps, level, levels: pyramid.pairs(steps),
    run: Run = _lstm,
    back: Run = _lstm_back,
    passed: Callable[[Array, int], Array] = lambda grad, level: grad,
) -> Replaced:
    """The layer that joins other steps, or reads them in another way; ``order`` may have one step for two.

    ``passed`` changes the gradient that goes down from the layer of some level.
    """

    def ascended(x: Array, parameters: Any, odd_length: str) -> tuple[list[Array], list[Array]]:
        levels = sum(name.endswith(".weight_ih_l0") for name in parameters)
        outputs, joins = [pyramid.padded(x, 2**levels) if odd_length == "padded" else x], []
        for level in range(levels):
            joins.append(pyramid.joined(outputs[-1], order(outputs[-1].shape[1], level, levels)))
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
            below = pyramid.joined_back(gradients.pop("x"), order(steps, level, len(joins)), steps)
            arriving = passed(below, level)
            found |= {f"layers.{level}.{name}": value for name, value in gradients.items()}
        return {"x": arriving[:, : x.shape[1]], **found}

    return {"pyramidal_rnn": called, "pyramidal_rnn_backward": called_backward}


def _joining(order: Callable[[Array], Array]) -> Replaced:
    """The layer with a change of the pairs that are joined."""
    return pyramidal_rnn(lambda steps, level, levels: order(pyramid.pairs(steps)))


def _first_not_joined() -> Replaced:
    """The layer whose first LSTM reads every step; there is no way back to gradients of the expected length."""

    def order(steps: int, level: int, levels: int) -> Array:
        single = np.stack((np.arange(steps), np.full(steps, pyramid.NOTHING)), axis=1)
        return pyramid.pairs(steps) if level else single

    return {"pyramidal_rnn": pyramidal_rnn(order)["pyramidal_rnn"]}


def _with_a_step_of_zeros(steps: int, level: int, levels: int) -> Array:
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


def _cut_at_once(steps: int, level: int, levels: int) -> Array:
    return pyramid.pairs(steps if level else steps >> levels << levels)


def _woven(weight: Array) -> Array:
    """Columns for features that alternate between two steps, for two steps one after the other."""
    return weight.reshape(len(weight), -1, 2).swapaxes(1, 2).reshape(weight.shape)


def _unwoven(weight: Array) -> Array:
    return weight.reshape(len(weight), 2, -1).swapaxes(1, 2).reshape(weight.shape)


def _forward_twice() -> Replaced:
    """Both halves of a layer's outputs are the forward direction's."""

    def doubled(x: Array) -> Array:
        first, _ = np.split(x, 2, axis=2)
        return np.concatenate((first, first), axis=2)

    def added(grad: Array) -> Array:
        first, second = np.split(grad, 2, axis=2)
        return np.concatenate((first + second, np.zeros_like(first)), axis=2)

    return pyramidal_rnn(
        run=lambda x, own: doubled(_lstm(x, own)), back=lambda grad, x, own: _lstm_back(added(grad), x, own)
    )


def _state_carried() -> Replaced:
    """Each layer starts from the final states of the one below."""
    arranged: Any = {"bidirectional": True, "batch_first": True}

    def ascended(x: Array, parameters: Any, odd_length: str) -> list[tuple[Array, Array, Any]]:
        """What each layer reads: its joined steps, its parameters, its state; and at the end the output."""
        levels = sum(name.endswith(".weight_ih_l0") for name in parameters)
        output, state, found = pyramid.padded(x, 2**levels) if odd_length == "padded" else x, None, []
        for level in range(levels):
            joined, own = pyramid.joined(output, pyramid.pairs(output.shape[1])), _own(parameters, level)
            found.append((joined, own, state))
            made = reference.lstm(joined, own, state, **arranged)
            output, state = made["output"], {"h_0": made["h_n"], "c_0": made["c_n"]}
        return [*found, (output, {}, None)]

    def called(x: Array, parameters: Any, *, odd_length: str = "dropped") -> Any:
        return {"output": ascended(x, parameters, odd_length)[-1][0]}

    def called_backward(grad: Any, x: Array, parameters: Any, *, odd_length: str = "dropped") -> Any:
        *layers, _ = ascended(x, parameters, odd_length)
        arriving, found = dict(grad), {}
        for level, (joined, own, state) in reversed(list(enumerate(layers))):
            made = reference.lstm_backward(arriving, joined, own, state, **arranged)
            steps = layers[level - 1][0].shape[1] if level else x.shape[1]
            below = pyramid.joined_back(made.pop("x"), pyramid.pairs(steps), steps)
            arriving = {"output": below, **({"h_n": made.pop("h_0"), "c_n": made.pop("c_0")} if state else {})}
            found |= {f"layers.{level}.{name}": value for name, value in made.items()}
        return {"x": arriving["output"], **found}

    return {"pyramidal_rnn": called, "pyramidal_rnn_backward": called_backward}


def _pyramidal(id: str, says: str, effect: str, fix: str, replaces: Replaced, *happened: str) -> Fault:
    threads = tuple(f"https://github.com/{each}" for each in happened)
    return Fault(f"pyramidal-{id}", "pyramidal_rnn", says, effect, fix, replaces, threads)


PYRAMIDS = (
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
               "x[:, : T // 2 * 2]", pyramidal_rnn(lambda steps, level, levels: pyramid.pairs(steps) + steps % 2)),
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
               "keep the outputs of each layer in the graph",
               pyramidal_rnn(passed=lambda grad, level: 0 * grad if level else grad)),
    _pyramidal("input-detached", "every layer's input is detached", NO_CREDIT,
               "keep the outputs of each layer in the graph", pyramidal_rnn(passed=lambda grad, level: 0 * grad)),
    _pyramidal("trimmed-at-once", "the sequence is cut to a multiple of 2^layers beforehand", WRONG_STEPS,
               "each layer drops its own odd last step", pyramidal_rnn(_cut_at_once)),
    _pyramidal("features-interleaved", "the features of two steps are joined one by one", OTHER_STATES,
               "x.reshape(B, T // 2, 2 D)", _mapped(maps.on("weight_ih", _woven), maps.on("weight_ih", _unwoven))),
    _pyramidal("second-direction-unread", "the forward direction's outputs stand in for both", LESS,
               "[forward, backward]", _forward_twice()),
    _pyramidal("state-carried", "a layer starts from the final states of the one below", OTHER_STATES,
               "every layer starts from zeros", _state_carried()),
)  # fmt: skip
