"""Known mistakes on the way back through recurrent layers."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from dlcheck.recurrent import adjoints as maps
from dlcheck.recurrent import reference
from dlcheck.recurrent.cells import rnn_cell
from dlcheck.recurrent.mistakes import (
    ALL,
    NO_CREDIT,
    UNSTABLE,
    UNTRAINED,
    WRONG_STEP,
    Replaced,
    back_changed,
    changed,
    faults,
    mapped,
    only_back,
    same,
    with_arguments,
)
from dlcheck.recurrent.unrolling import Recurrence


def _carry(hidden: float, cell: float) -> Callable[[str], Replaced]:
    """What the gradients of the state before are scaled by."""

    def back(right: Any, grads: Any, kept: Any, weight: Any) -> Any:
        *found, before = right(grads, kept, weight)
        return *found, tuple(scale * row for scale, row in zip((hidden, cell), before, strict=False))

    return lambda name: back_changed(name, back)


def _transposed_back(right: Any, grads: Any, kept: Any, weight: Any) -> Any:
    *found, _ = right(grads, kept, weight)
    return *found, right(grads, kept, maps.transposed(weight))[3]


def _tanh_back(recurrence: Recurrence, state: Any, **conventions: Any) -> Recurrence:
    return replace(recurrence, cell=replace(recurrence.cell, back=rnn_cell("tanh").back))


def _new_state_times(right: Any, grads: Any, kept: Any, weight: Any) -> Any:
    given, _, *others = right(grads, kept, weight)
    after = kept[1] if len(kept) == 2 else kept[5] * kept[6]
    return given, given.T @ after, *others


def _slope_missing(right: Any, grads: Any, kept: Any, weight: Any) -> Any:
    return grads[0], grads[0].T @ kept[0], grads[0].sum(0), (grads[0] @ weight,)


Rule = Callable[[SimpleNamespace], Any]
_LSTM_RULES: dict[str, Rule] = {
    "cell": lambda v: v.dc + v.dh * v.o * (1 - v.t**2),
    "di": lambda v: v.cell * v.g * v.i * (1 - v.i),
    "df": lambda v: v.cell * v.c * v.f * (1 - v.f),
    "dg": lambda v: v.cell * v.i * (1 - v.g**2),
    "do": lambda v: v.dh * v.t * v.o * (1 - v.o),
    "carry": lambda v: v.cell * v.f,
    "blocks": lambda v: np.hstack((v.di, v.df, v.dg, v.do)),
}


def _lstm(**lines: Rule) -> Callable[[str], Replaced]:
    """The way back through an LSTM, with lines of it changed: of h, c before the step, i, f, g, o and t = tanh(c_t)."""

    def back(right: Any, grads: Any, kept: Any, weight: Any) -> Any:
        v = SimpleNamespace(**dict(zip(("h", "c", "i", "f", "g", "o", "t"), kept, strict=True)))
        v.dh, v.dc = grads
        for name, rule in {**_LSTM_RULES, **lines}.items():
            setattr(v, name, rule(v))
        return v.blocks, v.blocks.T @ v.h, v.blocks.sum(0), (v.blocks @ weight, v.carry)

    return lambda name: back_changed(name, back)


_GRU_RULES: dict[str, Rule] = {
    "dn": lambda v: v.dh * (1 - v.kept) * (1 - v.n**2),
    "dz": lambda v: v.dh * (v.h - v.n) * v.sign * v.z * (1 - v.z),
    "dr": lambda v: v.dn * v.m * v.r * (1 - v.r),
    "share": lambda v: v.r,
    "direct": lambda v: v.dh * v.kept,
    "through": lambda v: 1.0,
}


def _gru(**lines: Rule) -> Callable[[str], Replaced]:
    """The way back through a GRU with the reset gate after the product, with lines of it changed: of r, z, n, m.

    ``m`` is the recurrent part of the candidate, ``kept`` the share of the old state, ``sign`` that of dh/dz.
    """

    def change(recurrence: Recurrence, state: Any, update: str = "keeps", **conventions: Any) -> Recurrence:
        right = recurrence.cell.back

        def back(grads: Any, kept: Any, weight: Any) -> Any:
            if len(kept) < 5:
                return right(grads, kept, weight)
            v = SimpleNamespace(**dict(zip(("h", "r", "z", "n", "m"), kept, strict=True)), dh=grads[0])
            v.kept, v.sign = (1 - v.z, -1) if update == "takes" else (v.z, 1)
            for name, rule in {**_GRU_RULES, **lines}.items():
                setattr(v, name, rule(v))
            given, recurrent = (np.hstack((v.dr, v.dz, last)) for last in (v.dn, v.dn * v.share))
            return given, recurrent.T @ v.h, recurrent.sum(0), (recurrent @ weight * v.through + v.direct,)

        return replace(recurrence, cell=replace(recurrence.cell, back=back))

    return lambda name: only_back(changed(name, change))


def _afterwards(change: Callable[[dict[str, Any], int, int], dict[str, Any]]) -> Callable[[str], Replaced]:
    """The right gradients, those of the parameters changed: ``change(gradients, steps, batch)``."""

    def made(name: str) -> Replaced:
        def back(grad: Any, x: Any, held: Any, *arrays: Any, **given: Any) -> Any:
            found = getattr(reference, f"{name}_backward")(grad, x, held, *arrays, **given)
            steps, batch = x.shape[1::-1] if given.get("batch_first") else x.shape[:2]
            return {**found, **change({key: found[key] for key in held}, steps, batch)}

        return only_back(with_arguments(name, getattr(reference, name), back))

    return made


def _scaled(by: Callable[[int, int], float], part: str = "") -> Callable[..., dict[str, Any]]:
    return lambda grads, steps, batch: {
        name: grad / by(steps, batch) if part in name else grad for name, grad in grads.items()
    }


def _unsquared(right: Any, grads: Any, kept: Any, weight: Any) -> Any:
    grad = grads[0] * (1 - kept[1])
    return grad, grad.T @ kept[0], grad.sum(0), (grad @ weight,)


GRADIENTS = (
    faults(ALL, "carry-not-updated", "no gradient goes back to the step before", NO_CREDIT,
            "dh_next, dc_next = dh_prev, dc_prev at the end of every step", _carry(0.0, 0.0),
            ("CaptainE/RNN-LSTM-in-numpy/issues/1",), lstm="bptt-carry-not-updated"),
    faults("lstm", "cell-carry-missing", "the cell's gradient does not go back", NO_CREDIT,
            "dc_prev = f (dc + dh o (1 - tanh(c)^2))", _carry(1.0, 0.0)),
    faults("lstm", "hidden-carry-missing", "only the cell's gradient goes back", NO_CREDIT,
            "dh_prev = dgates @ weight_hh", _carry(0.0, 1.0)),
    faults(ALL, "transposed-back", "the gradient goes back through the transposed weight", WRONG_STEP,
            "dh_prev = dgates @ weight_hh", lambda c: back_changed(c, _transposed_back)),
    faults(("rnn", "lstm"), "new-state-times-gradient", "weight_hh gets its gradient from the new state",
            WRONG_STEP, "dW_hh = sum of dgates_t^T h_{t-1}", lambda c: back_changed(c, _new_state_times)),
    faults("rnn", "slope-missing", "the way back lacks the derivative of tanh", WRONG_STEP,
            "da = dh (1 - h^2)", lambda c: back_changed(c, _slope_missing)),
    faults(ALL, "initial-state-gradient-missing", "no gradient reaches the initial state", NO_CREDIT,
            "dh_0 is what arrives before the first step",
            lambda c: only_back(mapped(c, state=(same, maps.rows(maps.zeros))))),
    faults("rnn", "slope-always-of-tanh", "a rectified state has the derivative of tanh", WRONG_STEP,
           "da = dh (h > 0) where nonlinearity='relu'", lambda c: only_back(changed(c, _tanh_back))),
    faults("rnn", "slope-unsquared", "the derivative of tanh is taken for 1 - h", WRONG_STEP, "da = dh (1 - h^2)",
           lambda c: back_changed(c, _unsquared)),
    # the LSTM cell
    faults("lstm", "cell-slope-missing", "the cell's gradient lacks the derivative of tanh(c)", WRONG_STEP,
           "dc += dh o (1 - tanh(c)^2)", _lstm(cell=lambda v: v.dc + v.dh * v.o)),
    faults("lstm", "cell-slope-of-tanh", "the derivative of tanh is taken at tanh(c), not at c", WRONG_STEP,
           "dc += dh o (1 - tanh(c)^2)", _lstm(cell=lambda v: v.dc + v.dh * v.o * (1 - np.tanh(v.t) ** 2))),
    faults("lstm", "cell-carry-scaled", "the cell's gradient goes through the output gate as well", NO_CREDIT,
           "dc = dc_next + dh o (1 - tanh(c)^2)", _lstm(cell=lambda v: (v.dc + v.dh) * v.o * (1 - v.t**2))),
    faults("lstm", "output-slope-missing", "the output gate's gradient lacks its derivative", WRONG_STEP,
           "do = dh tanh(c) o (1 - o)", _lstm(do=lambda v: v.dh * v.t)),
    faults("lstm", "gate-slopes-missing", "the gates' gradients lack their derivatives", WRONG_STEP,
           "di = dc g i (1 - i), and so for f and o",
           _lstm(di=lambda v: v.cell * v.g, df=lambda v: v.cell * v.c, do=lambda v: v.dh * v.t)),
    faults("lstm", "candidate-slope-missing", "the candidate's gradient lacks the derivative of tanh", WRONG_STEP,
           "dg = dc i (1 - g^2)", _lstm(dg=lambda v: v.cell * v.i)),
    faults("lstm", "candidate-slope-sigmoid", "the candidate's derivative is that of a sigmoid", WRONG_STEP,
           "dg = dc i (1 - g^2)", _lstm(dg=lambda v: v.cell * v.i * v.g * (1 - v.g))),
    faults("lstm", "forget-from-new-cell", "the forget gate's gradient uses the new cell", WRONG_STEP,
           "df = dc c_{t-1} f (1 - f)", _lstm(df=lambda v: v.cell * (v.f * v.c + v.i * v.g) * v.f * (1 - v.f))),
    faults("lstm", "cell-carry-ungated", "the cell's gradient goes back without the forget gate", UNSTABLE,
           "dc_prev = dc f", _lstm(carry=lambda v: v.cell)),
    faults("lstm", "gate-gradients-exchanged", "the gradients of candidate and output gate are exchanged", WRONG_STEP,
           "blocks i, f, g, o", _lstm(blocks=lambda v: np.hstack((v.di, v.df, v.do, v.dg)))),
    # the GRU cell
    faults("gru", "update-gradient-sign", "the update gate's gradient has the wrong sign", WRONG_STEP,
           "dz = dh (h - n) z (1 - z)", _gru(dz=lambda v: v.dh * (v.n - v.h) * v.sign * v.z * (1 - v.z))),
    faults("gru", "update-gradient-partial", "the update gate's gradient lacks the candidate", WRONG_STEP,
           "dz = dh (h - n) z (1 - z)", _gru(dz=lambda v: v.dh * v.h * v.sign * v.z * (1 - v.z))),
    faults("gru", "candidate-slope-missing", "the candidate's gradient lacks the derivative of tanh", WRONG_STEP,
           "dn = dh (1 - z) (1 - n^2)", _gru(dn=lambda v: v.dh * (1 - v.kept))),
    faults("gru", "reset-slope-missing", "the reset gate's gradient lacks its derivative", WRONG_STEP,
           "dr = dn (U h + b) r (1 - r)", _gru(dr=lambda v: v.dn * v.m)),
    faults("gru", "reset-gradient-from-state", "the reset gate's gradient uses h, not U h + b", WRONG_STEP,
           "dr = dn (U h + b) r (1 - r)", _gru(dr=lambda v: v.dn * v.h * v.r * (1 - v.r))),
    faults("gru", "reset-not-taken-back", "the candidate's gradient goes to U without the reset gate", WRONG_STEP,
           "dU = (dn r)^T h", _gru(share=lambda v: 1.0)),
    faults("gru", "direct-path-missing", "no gradient goes through the share of the old state", NO_CREDIT,
           "dh_prev = dh z + dgates @ weight_hh", _gru(direct=lambda v: 0.0)),
    faults("gru", "recurrent-path-missing", "gradients go back through the share of the old state alone", NO_CREDIT,
           "dh_prev = dh z + dgates @ weight_hh", _gru(through=lambda v: 0.0)),
    faults("gru", "direct-path-inverted", "the old state's gradient has the candidate's share", WRONG_STEP,
           "dh_prev = dh z + dgates @ weight_hh", _gru(direct=lambda v: v.dh * (1 - v.kept))),
    faults("gru", "bias-gradients-alike", "bias_hh gets the gradient of bias_ih", WRONG_STEP,
           "the candidate's part of bias_hh is scaled by r",
           _afterwards(lambda grads, steps, batch: {
               name: grads[name.replace("bias_hh", "bias_ih")] for name in grads})),
    # all parameters
    faults(ALL, "recurrent-bias-gradient-missing", "bias_hh gets no gradient", UNTRAINED, "db_hh = sum of dgates",
           _afterwards(lambda grads, steps, batch: maps.on("bias_hh", maps.zeros)(grads))),
    faults(ALL, "gradients-averaged", "the parameters' gradients are averaged over the batch", WRONG_STEP,
           "sum over the batch: the loss has its mean already", _afterwards(_scaled(lambda steps, batch: batch))),
    faults(ALL, "gradients-averaged-over-time", "the parameters' gradients are averaged over the steps", WRONG_STEP,
           "sum over the steps", _afterwards(_scaled(lambda steps, batch: steps))),
    faults(ALL, "bias-gradients-averaged", "the biases' gradients are averaged over the batch", WRONG_STEP,
           "dgates.sum(axis=0)", _afterwards(_scaled(lambda steps, batch: batch, "bias"))),
    faults(ALL, "gradients-clipped", "the parameters' gradients are clipped to 5 inside backward", WRONG_STEP,
           "clip in the training loop, not in the layer",
           _afterwards(lambda grads, steps, batch: {name: np.clip(grad, -5, 5) for name, grad in grads.items()})),
)  # fmt: skip
