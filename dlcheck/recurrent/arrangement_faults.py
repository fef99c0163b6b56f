"""Known mistakes in how layers, directions, batches and padding are put together."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.recurrent import adjoints as maps
from dlcheck.recurrent import reference
from dlcheck.recurrent.mistakes import (
    ALL,
    BLIND,
    LESS,
    MIXED,
    NO_CREDIT,
    NOISY,
    OTHER_WEIGHTS,
    OVERFITS,
    PADDING,
    RESUMED,
    Replaced,
    changed,
    faults,
    mapped,
    only_back,
    same,
    with_arguments,
)
from dlcheck.recurrent.unrolling import turned
from dlcheck.recurrent.wiring import Wiring, wired


def _wired(**wires: Any) -> Callable[[str], Replaced]:
    return lambda name: wired(name, Wiring(**wires))


def _as_it_is(x: Any, lengths: Any, batch_first: bool) -> Any:
    return x


def _batch_turned(x: Any, lengths: Any, batch_first: bool) -> Any:
    return x[:, ::-1] if batch_first else turned(x, lengths)


def _by_direction(layers: int, directions: int) -> list[int]:
    return [layer * directions + second for second in range(directions) for layer in range(layers)]


def _last_layer(layers: int, directions: int) -> list[int]:
    return list(range((layers - 1) * directions, layers * directions))


def _reverse_first(layers: int, directions: int) -> list[int]:
    return [layer * directions + second for layer in range(layers) for second in reversed(range(directions))]


def _tanh(given: dict[str, Any]) -> dict[str, Any]:
    return {**given, "nonlinearity": "tanh"}


def _update_inverted(given: dict[str, Any]) -> dict[str, Any]:
    return {**given, "update": "keeps" if given.get("update") == "takes" else "takes"}


def _forgets_less(given: dict[str, Any]) -> dict[str, Any]:
    return {**given, "forget_bias": given.get("forget_bias", 0.0) + 1}


def _reshaped(name: str) -> Replaced:
    """With batch_first the sequence is read as if reshaping exchanged its axes, and so is what comes out."""

    def forwards(x: Any, given: Any) -> Any:
        return x.reshape(x.shape[1], x.shape[0], -1).swapaxes(0, 1) if given.get("batch_first") else x

    def backwards(x: Any, given: Any) -> Any:
        if not given.get("batch_first"):
            return x
        first, second = x.shape[:2]
        return np.ascontiguousarray(x.swapaxes(0, 1)).reshape(first, second, -1)

    def forward(x: Any, *arrays: Any, **given: Any) -> Any:
        found = getattr(reference, name)(forwards(x, given), *arrays, **given)
        return {**found, "output": backwards(found["output"], given)}

    def backward(grad: Any, x: Any, *arrays: Any, **given: Any) -> Any:
        arriving = {key: forwards(value, given) if key == "output" else value for key, value in grad.items()}
        found = getattr(reference, f"{name}_backward")(arriving, forwards(x, given), *arrays, **given)
        return {**found, "x": backwards(found["x"], given)}

    return with_arguments(name, forward, backward)


def _output_only(grad: Any, *_: Any) -> dict[str, Any]:
    return {name: value if name == "output" else np.zeros_like(value) for name, value in grad.items()}


def _share_inverted(settings: dict[str, Any]) -> dict[str, Any]:
    share = settings.get("dropout", 0.0)
    return {**settings, "dropout": 1 - share if share else share}


ARRANGEMENT = (
    # dropout
    faults(ALL, "dropout-unused", "dropout between layers has no effect", OVERFITS,
           "each layer reads what dropout made of the outputs below",
           lambda c: {**mapped(c, settings=maps.without_dropout), "dropout_law": lambda share: (1.0, 1.0, 1.0)},
           ("jihunchoi/recurrent-batch-normalization-pytorch/issues/13",), rnn="rnn-stack-dropout-result-unused"),
    faults(ALL, "dropout-in-evaluation", "dropout between layers goes on in evaluation", NOISY,
           "F.dropout(x, p, training=self.training)", lambda c: {"in_evaluation": dict}),
    faults(ALL, "dropout-not-scaled", "dropout does not scale what it keeps", OVERFITS, "x * mask / (1 - p)",
           lambda c: {"dropout_law": lambda share: (0.0, 1.0, 1 - share)}),
    faults(ALL, "dropout-share-inverted", "dropout keeps a share p, not 1 - p", OVERFITS, "p is the share it drops",
           lambda c: {**mapped(c, settings=_share_inverted),
                      "dropout_law": lambda share: (0.0, 1 / share, share)}),
    faults(ALL, "dropout-once", "dropout acts above the first layer only", OVERFITS,
           "dropout above every layer but the last", _wired(drops=lambda layers_below: layers_below < 2)),
    faults(ALL, "batch-first-ignored", "batch_first is ignored", MIXED, "x.transpose(0, 1) if batch_first else x",
            lambda c: mapped(c, settings=lambda given: {**given, "batch_first": False})),
    faults(ALL, "batch-first-states", "batch_first exchanges the axes of the states too", MIXED,
            "h_n is (layers, N, H) always", lambda c: mapped(c, outputs=(maps.states_first, same))),
    faults(ALL, "directions-exchanged", "the reverse direction's outputs come first", OTHER_WEIGHTS,
            "concatenate((forward, reverse), axis=-1)",
            lambda c: mapped(c, parameters=maps.both_maps(maps.halves_read), outputs=maps.both_maps(maps.halves))),
    faults(ALL, "reverse-not-turned-back", "the reverse direction's outputs stay in reading order", BLIND,
            "turn the outputs of the reverse direction back before joining",
            lambda c: changed(c, maps.back_unturned)),
    faults(ALL, "reverses-padding", "the reverse direction reads padding first", PADDING,
            "reverse each sequence within its own length", lambda c: changed(c, maps.reads_padding),
            ("pytorch/pytorch/issues/517", "pytorch/pytorch/issues/1811", "deeplearning4j/deeplearning4j/issues/1030"),
            rnn="birnn-reverses-padding"),
    faults(ALL, "padding-not-carried", "the state goes on through padding", PADDING,
            "h = where(t < length, new, old)",
            lambda c: mapped(c, lengths=lambda lengths: None, outputs=maps.both_maps(maps.padding_zeroed)),
            ("neulab/xnmt/commit/b00c648b14b95ac834a51a61bc1afed752012908",), lstm="lstm-padding-not-carried"),
    faults(ALL, "lengths-ignored", "lengths have no effect", PADDING,
            "h = where(t < length, new, old), output 0 beyond it", lambda c: mapped(c, lengths=lambda lengths: None)),
    faults(ALL, "lengths-short-by-one", "sequences end one step before their length", PADDING, "t < length",
            lambda c: mapped(c, lengths=lambda lengths: None if lengths is None else np.maximum(lengths - 1, 1))),
    # layers and directions
    faults(ALL, "both-forwards", "both directions read from the first step", LESS,
           "the second direction reads from the last step", _wired(read=_as_it_is, write=_as_it_is),
           ("stanfordmlgroup/nlc/issues/8",)),
    faults(ALL, "reverse-reads-forwards", "the reverse direction reads forwards; its outputs are turned", BLIND,
           "turn what the reverse direction reads, and its outputs back", _wired(read=_as_it_is)),
    faults(ALL, "turns-the-batch", "with batch_first the reverse direction turns the batch", MIXED,
           "turn the axis of time", _wired(read=_batch_turned, write=_batch_turned)),
    faults(ALL, "reverse-state-early", "the reverse direction's h_n is its output at the last step", RESUMED,
           "h_n of the reverse direction is its output at step 0", _wired(first_output=True)),
    faults(ALL, "final-states-by-direction", "final states come direction by direction", RESUMED,
           "h_n[layer * 2 + direction]", _wired(finals=_by_direction)),
    faults(ALL, "initial-states-by-direction", "initial states are read direction by direction", RESUMED,
           "h_0[layer * 2 + direction]",
           _wired(start=lambda run, layers, directions: run % directions * layers + run // directions)),
    faults(ALL, "final-state-repeated", "every layer's final state is that of the last", RESUMED,
           "h_n[k] of layer k", _wired(finals=lambda layers, directions: layers * _last_layer(layers, directions))),
    faults(ALL, "final-state-of-last-layer", "only the last layer's final state is returned", RESUMED,
           "h_n is (layers * directions, N, H)", _wired(finals=_last_layer)),
    faults(ALL, "initial-state-by-layer", "both directions of a layer start from one row of the state", RESUMED,
           "h_0[layer * 2 + direction]", _wired(start=lambda run, layers, directions: run // directions)),
    faults(ALL, "initial-state-of-first-layer-twice", "upper layers start from the first layer's rows of the state",
           RESUMED, "h_0[layer * directions + direction]",
           _wired(start=lambda run, layers, directions: run % directions)),
    faults(ALL, "reverse-starts-from-forward", "the reverse direction starts from the forward one's end",
           RESUMED, "each direction has a row of h_0 of its own",
           _wired(start=lambda run, layers, directions: ~(run - 1) if run % directions else run)),
    faults(ALL, "layer-starts-from-below", "a layer starts from the final state of the one below", RESUMED,
           "each layer has a row of h_0 of its own",
           _wired(start=lambda run, layers, directions: ~(run - directions) if run >= directions else run)),
    faults(ALL, "forward-half-doubled", "upper layers read the forward direction only", LESS,
           "concatenate((forward, reverse), axis=-1)", _wired(between=((1, 0), (1, 0)))),
    faults(ALL, "third-layer-reads-forwards", "layers above the second read the forward direction only", LESS,
           "concatenate((forward, reverse), axis=-1)", _wired(between=((1, 0), (1, 0)), since=1)),
    faults(ALL, "final-states-reverse-first", "final states of the reverse direction come first", RESUMED,
           "h_n[layer * 2 + direction]", _wired(finals=_reverse_first)),
    faults("rnn", "relu-in-first-layer-only", "upper layers squash by tanh despite nonlinearity", LESS,
           "relu in every layer", _wired(
               settings=lambda run, directions, given: _tanh(given) if run >= directions else given)),
    faults("rnn", "relu-forwards-only", "the reverse direction squashes by tanh despite nonlinearity", LESS,
           "relu in both directions", _wired(
               settings=lambda run, directions, given: _tanh(given) if run % directions else given)),
    faults("gru", "reverse-update-inverted", "the reverse direction's update gate means the opposite", OTHER_WEIGHTS,
           "one cell for both directions", _wired(
               settings=lambda run, directions, given: _update_inverted(given) if run % directions else given)),
    faults("lstm", "upper-forget-bias", "1 is added to the forget gate of upper layers", OTHER_WEIGHTS,
           "one cell for all layers", _wired(
               settings=lambda run, directions, given: _forgets_less(given) if run >= directions else given)),
    faults(ALL, "output-before-step", "outputs are the states before each step", BLIND,
           "append h after the step", _wired(late=True)),
    faults(ALL, "batch-reshaped", "batch_first reshapes where it should transpose", MIXED, "x.transpose(0, 1)",
           _reshaped),
    faults(ALL, "final-state-detached", "no gradient comes from the final state", NO_CREDIT,
           "return h_n as it is, not h_n.detach()", lambda c: only_back(mapped(c, outputs=(same, _output_only)))),
)  # fmt: skip
