"""Known mistakes in early stopping."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dlcheck.component import Fault
from dlcheck.regularization import reference
from dlcheck.regularization.reference import Stopping

Step = Callable[..., tuple[bool, Stopping]]

TOO_EARLY = "Training ends while it still improves."
TOO_LATE = "Training goes on for nothing, or for ever."
WRONG_WEIGHTS = "The weights of another epoch are restored."


def _rule(
    *,
    good: Callable[..., bool] = lambda value, best, delta, **_: value < best - delta,
    bad: Callable[..., int] = lambda bad, good, **_: 0 if good else bad + 1,
    stops: Callable[..., bool] = lambda bad, needed, **_: bad >= needed,
    best: Callable[..., float | None] = lambda value, best, good, **_: value if good else best,
    at: Callable[..., int | None] = lambda epoch, at, good, **_: epoch if good else at,
) -> dict[str, Step]:
    """The rule in pieces, each of which may be mistaken; values to be maximised are negated."""

    def step(
        value: float, state: Any = None, patience: int = 0, min_delta: float = 0.0, mode: str = "min", *,
        waits: str = "patience", **_: Any,
    ) -> tuple[bool, Any]:  # fmt: skip
        old, sign = state or Stopping(), -1.0 if mode == "max" else 1.0
        known: dict[str, Any] = {
            "value": sign * value, "best": np.inf if old.best is None else sign * old.best, "first": old.best is None,
            "delta": min_delta, "patience": patience, "epoch": old.epochs, "at": old.best_epoch, "mode": mode,
            "needed": max(patience, 1) if waits == "patience" else patience + 1,
        }  # fmt: skip
        known["good"] = bool(good(**known))
        count = bad(**{**known, "bad": old.bad})
        kept = best(**known)
        new = Stopping(None if kept is None or kept == np.inf else sign * kept, at(**known), count, old.epochs + 1)
        return bool(stops(**{**known, "bad": count})), new

    return {"early_stopping": step}


def _given(change: Callable[..., dict[str, Any]]) -> dict[str, Step]:
    """The right rule at changed settings."""

    def step(value: float, state: Any = None, **settings: Any) -> tuple[bool, Stopping]:
        return reference.early_stopping(value, state, **{**settings, **change(**settings)})

    return {"early_stopping": step}


def _forgetting_stops(value: float, state: Any = None, **settings: Any) -> tuple[bool, Stopping]:
    stops, new = reference.early_stopping(value, state, **settings)
    return stops, new._replace(bad=0) if stops else new


class _Before(NamedTuple):
    """What is told, and the value before."""

    told: Stopping
    before: float

    best = property(lambda self: self.told.best)
    best_epoch = property(lambda self: self.told.best_epoch)


def _against_previous(
    value: float, state: Any = None, patience: int = 0, min_delta: float = 0.0, mode: str = "min", *,
    waits: str = "patience", **_: Any,
) -> tuple[bool, Any]:  # fmt: skip
    (told, before), sign = state or (Stopping(), np.inf), -1.0 if mode == "max" else 1.0
    better = np.inf if told.best is None else sign * told.best
    best = (value, told.epochs) if sign * value < better else (told.best, told.best_epoch)
    bad = 0 if sign * value < before - min_delta else told.bad + 1
    stops = bad >= (max(patience, 1) if waits == "patience" else patience + 1)
    return stops, _Before(Stopping(*best, bad, told.epochs + 1), sign * value)


def _last_until_stopped(state: Stopping, value: float, stops: bool) -> tuple[float | None, int | None]:
    return (state.best, state.best_epoch) if stops else (value, state.epochs - 1)


def _fault(id: str, says: str, effect: str, fix: str, replaces: dict[str, Any], *happened: str) -> Fault:
    return Fault(id, "early_stopping", says, effect, fix, replaces, happened)


STOPPING = (
    _fault(
        "early-stop-counter-not-reset", "a new best value does not reset the counter", TOO_EARLY, "count from 0 again",
        _rule(bad=lambda bad, good, **_: bad + (not good)), "https://github.com/modelscope/ms-swift/pull/5326",
    ),
    _fault(
        "early-stop-restore-only-when-stopped", "the best epoch is told only once it has stopped",
        "Where training ends before patience does, the last weights are kept for the best.",
        "keep best and best_epoch at every step", {"told": _last_until_stopped},
        "https://github.com/tensorflow/tensorflow/issues/35634", "https://github.com/cgarciae/ciclo/issues/11",
    ),
    _fault(
        "early-stop-direction-from-name", "the direction is not that of mode: it minimises",
        "Scores that should rise stop training while they do.", 'look for the largest value in mode "max"',
        _given(lambda **_: {"mode": "min"}),
        "https://github.com/keras-team/keras/commit/72cd8be5c2ccc8b3e357ca3a0d8294b287ccd967",
    ),
    _fault(
        "early-stop-maximises", "it always maximises", "Losses that fall stop training.",
        'look for the smallest value in mode "min"', _given(lambda **_: {"mode": "max"}),
    ),
    _fault(
        "early-stop-one-early", "it stops one bad value early", TOO_EARLY, "stop at patience bad values in a row",
        _rule(stops=lambda bad, patience, **_: bad >= max(patience - 1, 1)),
    ),
    _fault(
        "early-stop-patience-ignored", "patience is ignored", TOO_EARLY, "stop at patience bad values in a row",
        _given(lambda **_: {"patience": 0}),
    ),
    _fault(
        "early-stop-two-late", "it stops two bad values late", TOO_LATE, "stop at patience bad values in a row",
        _rule(stops=lambda bad, patience, **_: bad > patience + 1),
    ),
    _fault(
        "early-stop-never-at-zero", "patience 0 never stops it", TOO_LATE, "0 stops at the first bad value",
        _rule(stops=lambda bad, patience, **_: bad >= patience > 0),
    ),
    _fault(
        "early-stop-at-once", "patience 0 stops before any bad value", TOO_EARLY, "0 stops at the first bad value",
        _rule(stops=lambda bad, patience, **_: bad >= patience),
    ),
    _fault(
        "early-stop-min-delta-ignored", "min_delta is ignored", TOO_LATE, "value < best - min_delta",
        _given(lambda **_: {"min_delta": 0.0}),
    ),
    _fault(
        "early-stop-min-delta-added", "min_delta is a tolerance: worse by that is good", TOO_LATE,
        "value < best - min_delta", _rule(good=lambda value, best, delta, **_: value < best + delta),
    ),
    _fault(
        "early-stop-min-delta-only-forgives", "only worsening by min_delta counts as bad", TOO_LATE,
        "value < best - min_delta",
        _rule(good=lambda value, best, **_: value < best,
              bad=lambda bad, good, value, best, delta, **_: 0 if good else bad + (value > best + delta)),
    ),
    _fault(
        "early-stop-min-delta-relative", "min_delta is a share of the best value", "Its meaning changes with the loss.",
        "value < best - min_delta",
        _rule(good=lambda value, best, delta, first, **_: (first and not np.isnan(value))
              or value < best - delta * np.abs(best)),
    ),
    _fault(
        "early-stop-min-delta-sign-in-max", "mode max has min_delta the wrong way round", TOO_LATE,
        "value > best + min_delta",
        _rule(good=lambda value, best, delta, mode, **_: value < best - (delta if mode == "min" else -delta)),
    ),
    _fault(
        "early-stop-min-delta-not-in-max", "mode max ignores min_delta", TOO_LATE, "value > best + min_delta",
        _rule(good=lambda value, best, delta, mode, **_: value < best - (delta if mode == "min" else 0.0)),
    ),
    _fault(
        "early-stop-min-delta-two-sided", "a change of min_delta for the worse is good, too", TOO_LATE,
        "value < best - min_delta", _rule(good=lambda value, best, delta, **_: abs(value - best) > delta),
    ),
    _fault(
        "early-stop-like-best-is-good", "a value like the best counts as better", TOO_LATE, "value < best - min_delta",
        _rule(good=lambda value, best, delta, **_: value <= best - delta),
    ),
    _fault(
        "early-stop-compares-with-previous", "it compares with the value before, not with the best", TOO_LATE,
        "compare with the best so far",
        _rule(best=lambda value, best, **_: value),
    ),
    _fault(
        "early-stop-counts-against-previous", "bad values are those no better than the one before", TOO_LATE,
        "compare with the best so far", {"early_stopping": _against_previous},
    ),
    _fault(
        "early-stop-best-is-last", "best is the last value", WRONG_WEIGHTS, "change best at good values only",
        {"told": lambda state, value, stops: (value, state.best_epoch)},
    ),
    _fault(
        "early-stop-epochs-from-one", "best_epoch counts from 1", WRONG_WEIGHTS, "count from 0",
        {"told": lambda state, value, stops: (state.best, None if state.best is None else state.best_epoch + 1)},
    ),
    _fault(
        "early-stop-best-epoch-is-last", "best_epoch is the last epoch", WRONG_WEIGHTS, "keep that of the best value",
        {"told": lambda state, value, stops: (state.best, state.epochs - 1)},
    ),
    _fault(
        "early-stop-nan-is-good", "NaN counts as better", "A diverged run never stops, and its weights are kept.",
        "NaN is a bad value", _rule(good=lambda value, best, delta, **_: not value >= best - delta),
    ),
    _fault(
        "early-stop-nan-passed-over", "NaN is passed over", "A diverged run never stops.", "NaN is a bad value",
        _rule(bad=lambda bad, good, value, **_: 0 if good else bad + (not np.isnan(value))),
    ),
    _fault(
        "early-stop-nan-stops", "NaN stops at once", TOO_EARLY, "NaN is one bad value",
        _rule(stops=lambda bad, needed, value, **_: bad >= needed or np.isnan(value)),
    ),
    _fault(
        "early-stop-inverted", "it returns whether to go on", "Training ends at the first epoch.",
        "return True to stop", _rule(stops=lambda bad, needed, **_: bad < needed),
    ),
    _fault(
        "early-stop-counts-epochs", "it counts epochs, not bad values", TOO_EARLY, "count bad values in a row",
        _rule(bad=lambda bad, **_: bad + 1),
    ),
    _fault(
        "early-stop-decreases-counter", "a good value takes one off the counter", TOO_EARLY, "count from 0 again",
        _rule(bad=lambda bad, good, **_: max(bad - 1, 0) if good else bad + 1),
    ),
    _fault(
        "early-stop-starts-at-zero-in-max", "in mode max the best value starts at 0", "Scores below 0 never improve.",
        "the first value is the best so far",
        _rule(good=lambda value, best, delta, first, mode, **_: value < (
            0.0 if first and mode == "max" else best) - delta),
    ),
    _fault(
        "early-stop-starts-at-zero", "the best value starts at 0", "Losses above 0 never improve on it.",
        "the first value is the best so far",
        _rule(good=lambda value, best, delta, first, **_: value < (0.0 if first else best) - delta),
    ),
    _fault(
        "early-stop-best-starts-at-zero", "the best value is 0 before there is any",
        "Losses above 0 never improve on it.",
        "the first value is the best so far",
        {**_rule(good=lambda value, best, delta, first, **_: value < (0.0 if first else best) - delta),
         "told": lambda state, value, stops: (0.0, 0) if state.best is None else (state.best, state.best_epoch)},
    ),
    _fault(
        "early-stop-zero-is-none", "a best value of 0 is taken for none", TOO_LATE, "if self.best is None",
        _rule(good=lambda value, best, delta, first, **_: (
            not np.isnan(value) if first or best == 0 else value < best - delta)),
    ),
    _fault(
        "early-stop-first-counts", "the first value counts as bad", TOO_EARLY, "the first value is the best so far",
        _rule(bad=lambda bad, good, first, **_: int(first) if good else bad + 1,
              stops=lambda bad, patience, good, **_: not good and bad >= max(patience, 1)),
    ),
    _fault(
        "early-stop-best-is-last-number", "it compares with the last number before, not with the best", TOO_LATE,
        "compare with the best so far", _rule(best=lambda value, best, **_: best if np.isnan(value) else value),
    ),
    _fault(
        "early-stop-starts-anew", "it counts anew once it has said stop",
        "A loop that trains on, for a least number of epochs say, is not stopped again.", "reset only at a good value",
        {"early_stopping": _forgetting_stops},
    ),
    _fault(
        "early-stop-rises", "it counts values worse than the one before", TOO_LATE, "compare with the best so far",
        _rule(best=lambda value, best, **_: value, at=lambda epoch, at, good, **_: epoch),
    ),
)  # fmt: skip
