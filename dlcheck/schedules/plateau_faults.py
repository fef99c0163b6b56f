"""Known mistakes in reduce_on_plateau: one piece of the rule exchanged."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.schedules import reference
from dlcheck.schedules.mistakes import (
    NEVER,
    NOT_OBEYED,
    RESUMED,
    SHIFTED,
    TOO_HIGH,
    TOO_LOW,
    TOO_OFTEN,
    UNEVEN,
    Rule,
    all_settings,
    faults,
    settings,
    unless_given,
)
from dlcheck.schedules.reference import Array, Seen


def _margin(best: float, s: SimpleNamespace) -> float:
    """By how much a metric that is to be minimised must be smaller."""
    if not math.isfinite(best):
        return 0.0
    if s.threshold_mode == "abs":
        return s.threshold
    return s.threshold * (abs(best) if s.margin == "size" else best if s.mode == "min" else -best)


def _compared(below: Callable[[float, float, SimpleNamespace], bool]) -> Callable[..., bool]:
    """A comparison of metrics that are to be minimised, with the best so far."""

    def better(metric: float, best: float | None, s: SimpleNamespace) -> bool:
        sign = 1 if s.mode == "min" else -1
        return below(sign * metric, math.inf if best is None else sign * best, s)

    return better


_better = _compared(lambda m, best, s: m < best - _margin(best, s))


def _kept(metric: float, best: float | None, better: bool, resting: int) -> float | None:
    return metric if better else best


def _counted(bad: int, better: bool, resting: int) -> int:
    return 0 if better or resting else bad + 1


def _ends(bad: int, s: SimpleNamespace, resting: int, rested: int) -> bool:
    return bad > s.patience


def _lowered(lr: Array, reduced: Array, s: SimpleNamespace) -> Array:
    return np.where(lr - reduced > s.eps, reduced, lr)


def _reduced(lr: Array, s: SimpleNamespace) -> Array:
    return _lowered(lr, np.maximum(s.factor * lr, s.min_lr), s)


def _afterwards(bad: int, best: float | None, s: SimpleNamespace) -> Seen:
    return Seen(best, 0, s.cooldown)


def plateau(
    better: Callable[..., bool] = _better,
    kept: Callable[..., float | None] = _kept,
    counted: Callable[..., int] = _counted,
    ends: Callable[..., bool] = _ends,
    reduced: Callable[..., Array] = _reduced,
    afterwards: Callable[..., Seen] = _afterwards,
) -> Rule:
    """``reduce_on_plateau`` with pieces exchanged."""

    def rule(lr: Array, metric: float, state: Seen | None = None, **given: Any) -> tuple[Array, Seen]:
        s = all_settings("reduce_on_plateau", given)
        best, bad, resting = state or Seen()
        improved = better(metric, best, s)
        best = kept(metric, best, improved, resting)
        bad, resting, rested = counted(bad, improved, resting), max(resting - 1, 0), resting
        if ends(bad, s, resting, rested):
            return reduced(lr, s), afterwards(bad, best, s)
        return lr, Seen(best, bad, resting)

    return rule


def _better_if(below: Callable[[float, float, SimpleNamespace], bool]) -> Rule:
    """The plateau rule with another comparison."""
    return plateau(better=_compared(below))


_ALONE = (
    faults("reduce_on_plateau", "patience", "patience ends a step early, at 0 with every step", TOO_OFTEN,
            "if bad > patience", lambda c: plateau(ends=lambda bad, s, resting, rested: bad >= s.patience),
            ("paiml/aprender/pull/2135", "pytorch/pytorch/issues/2545", "pytorch/pytorch/issues/7151"),
            reduce_on_plateau="sched-plateau-patience-off-by-one"),
    faults("reduce_on_plateau", "relative", "the margin of a negative best metric has the wrong sign", NEVER,
            "metric < best - threshold * abs(best)",
            lambda c: partial(reference.reduce_on_plateau, margin="signed"),
            ("pytorch/pytorch/issues/47513", "google-deepmind/optax/issues/1767"),
            reduce_on_plateau="sched-plateau-relative-threshold-negative"),
    faults("reduce_on_plateau", "patience-long", "patience ends a step late", TOO_HIGH, "if bad > patience",
            lambda c: plateau(ends=lambda bad, s, resting, rested: bad > s.patience + 1)),
    faults("reduce_on_plateau", "patience-exact", "with patience 0 the rate is never reduced", NEVER,
            "if bad > patience",
            lambda c: plateau(ends=lambda bad, s, resting, rested: bad > s.patience > 0)),
    faults("reduce_on_plateau", "total", "an improvement does not start the count anew", TOO_OFTEN,
            "bad = 0 when the metric is better",
            lambda c: plateau(counted=lambda bad, better, resting: 0 if resting else bad + (not better))),
    faults("reduce_on_plateau", "not-reset", "the count is kept after a reduction", TOO_OFTEN,
            "bad = 0 after a reduction",
            lambda c: plateau(afterwards=lambda bad, best, s: Seen(best, bad, s.cooldown))),
    faults("reduce_on_plateau", "previous", "a metric is compared with the one before, not with the best", NEVER,
            "best = min(best, metric)",
            lambda c: plateau(kept=lambda metric, best, better, resting: metric)),
    faults("reduce_on_plateau", "first-best", "metrics are compared with the first, not with the best", TOO_HIGH,
            "best = metric when the metric is better",
            lambda c: plateau(kept=lambda m, best, better, resting: m if better and best is None else best)),
    faults("reduce_on_plateau", "nan-kept", "NaN becomes the best metric", TOO_OFTEN, "NaN is not better",
            lambda c: plateau(kept=lambda m, best, better, resting: m if better or math.isnan(m) else best)),
    faults("reduce_on_plateau", "once", "the rate is reduced once only", TOO_HIGH, "bad = 0 after a reduction",
            lambda c: plateau(afterwards=lambda bad, best, s: Seen(best, 0, 2**30))),
    faults("reduce_on_plateau", "best-reset", "the best metric is forgotten at a reduction", NEVER,
            "keep the best metric", lambda c: plateau(afterwards=lambda bad, best, s: Seen(None, 0, s.cooldown))),
    faults("reduce_on_plateau", "best-in-cooldown", "the best metric is not updated during a cooldown", NEVER,
            "update the best metric first",
            lambda c: plateau(kept=lambda m, best, better, resting: m if better and not resting else best)),
    faults("reduce_on_plateau", "first-kept", "the first metric is always the best, even NaN", TOO_OFTEN,
            "best = inf, NaN is not better",
            lambda c: _better_if(lambda m, best, s: math.isinf(best) or m < best - _margin(best, s))),
    faults("reduce_on_plateau", "nan-improves", "NaN counts as an improvement", NEVER,
            "better = metric < best - margin, not its opposite",
            lambda c: _better_if(lambda m, best, s: not m >= best - _margin(best, s))),
    faults("reduce_on_plateau", "equal-improves", "an equal metric counts as an improvement", NEVER,
            "metric < best - margin", lambda c: _better_if(lambda m, best, s: m <= best - _margin(best, s))),
    faults("reduce_on_plateau", "mode-ignored", "mode is ignored: every metric is minimised", TOO_OFTEN,
            "metric > best + margin in mode max", lambda c: settings(c, lambda s: {"mode": "min"})),
    faults("reduce_on_plateau", "mode-swapped", "mode is taken the other way round", NEVER,
            "metric < best - margin in mode min",
            lambda c: settings(c, lambda s: {"mode": "max" if s.mode == "min" else "min"})),
    faults("reduce_on_plateau", "threshold-ignored", "threshold is ignored", NEVER, "metric < best - margin",
            lambda c: settings(c, lambda s: {"threshold": 0.0})),
    faults("reduce_on_plateau", "threshold-sign", "the threshold has the wrong sign", NEVER, "metric < best - margin",
            lambda c: _better_if(lambda m, best, s: m < best + _margin(best, s))),
    faults("reduce_on_plateau", "threshold-mode-ignored", "threshold_mode is ignored: always relative", NOT_OBEYED,
            "metric < best - threshold in mode abs", lambda c: settings(c, lambda s: {"threshold_mode": "rel"})),
    faults("reduce_on_plateau", "threshold-of-metric", "the margin is relative to the metric, not to the best",
            SHIFTED, "threshold * abs(best)",
            lambda c: _better_if(lambda m, best, s: m < best - (_margin(m, s) if math.isfinite(best) else 0.0))),
    faults("reduce_on_plateau", "default-threshold", "the threshold is 0 unless given", NEVER, "threshold=1e-4",
            lambda c: unless_given(c, threshold=0.0)),
    faults("reduce_on_plateau", "cooldown-ignored", "cooldown is ignored", TOO_OFTEN,
            "count no metric for cooldown steps", lambda c: settings(c, lambda s: {"cooldown": 0})),
    faults("reduce_on_plateau", "cooldown-counts", "metrics are counted during the cooldown", TOO_OFTEN,
            "bad = 0 during the cooldown",
            lambda c: plateau(counted=lambda bad, better, resting: 0 if better else bad + 1,
                              ends=lambda bad, s, resting, rested: bad > s.patience and not resting)),
    faults("reduce_on_plateau", "cooldown-delays", "metrics are counted during the cooldown, which only delays",
            TOO_OFTEN, "bad = 0 during the cooldown",
            lambda c: plateau(counted=lambda bad, better, resting: 0 if better else bad + 1,
                              ends=lambda bad, s, resting, rested: bad > s.patience and not rested)),
    faults("reduce_on_plateau", "cooldown-long", "the cooldown lasts a step longer", SHIFTED,
            "cooldown steps after a reduction",
            lambda c: settings(c, lambda s: {"cooldown": s.cooldown + (s.cooldown > 0)})),
    faults("reduce_on_plateau", "min-lr-ignored", "min_lr is ignored", TOO_LOW, "max(factor * lr, min_lr)",
            lambda c: settings(c, lambda s: {"min_lr": 0.0})),
    faults("reduce_on_plateau", "min-lr-first", "the first group's minimum holds for all", TOO_HIGH,
            "max(factor * lr, min_lr[group])",
            lambda c: settings(c, lambda s: {"min_lr": np.ravel(s.min_lr)[0]})),
    faults("reduce_on_plateau", "min-lr-as-most", "a reduced rate is never above min_lr", TOO_LOW,
            "max(factor * lr, min_lr)",
            lambda c: plateau(reduced=lambda lr, s: _lowered(lr, np.minimum(s.factor * lr, s.min_lr), s))),
    faults("reduce_on_plateau", "min-lr-stops", "a reduction that would pass min_lr is not made", TOO_HIGH,
            "max(factor * lr, min_lr)",
            lambda c: plateau(reduced=lambda lr, s: np.where(s.factor * lr >= s.min_lr, _reduced(lr, s), lr))),
    faults("reduce_on_plateau", "min-lr-raises", "a rate below min_lr is raised to it", UNEVEN,
            "reduce only where that lowers the rate",
            lambda c: plateau(reduced=lambda lr, s: np.where(lr < s.min_lr, s.min_lr, _reduced(lr, s)))),
    faults("reduce_on_plateau", "eps-ignored", "eps is ignored", NOT_OBEYED, "reduce if lr - reduced > eps",
            lambda c: settings(c, lambda s: {"eps": 0.0})),
    faults("reduce_on_plateau", "subtracted", "factor is taken off, not multiplied", TOO_LOW, "lr * factor",
            lambda c: plateau(reduced=lambda lr, s: _lowered(lr, np.maximum(lr - s.factor, s.min_lr), s))),
    faults("reduce_on_plateau", "complement", "the rate falls by factor, not to factor", TOO_LOW, "lr * factor",
            lambda c: settings(c, lambda s: {"factor": min(1 - s.factor, 1 - 2**-20)})),
    faults("reduce_on_plateau", "factor-ignored", "factor is ignored", NOT_OBEYED, "lr * factor",
            lambda c: settings(c, lambda s: {"factor": 0.1})),
    faults("reduce_on_plateau", "default-factor", "factor is 0.5 unless given", TOO_HIGH, "factor=0.1",
            lambda c: unless_given(c, factor=0.5)),
    faults("reduce_on_plateau", "default-patience", "patience is 5 unless given", TOO_OFTEN, "patience=10",
            lambda c: unless_given(c, patience=5)),
    faults("reduce_on_plateau", "first-group-only", "only the first group is reduced", UNEVEN,
            "for group in optimizer.param_groups: ...",
            lambda c: plateau(reduced=lambda lr, s: np.where(np.arange(np.size(lr)) == 0, _reduced(lr, s), lr))),
    faults("reduce_on_plateau", "state-not-loaded", "load_state_dict does not restore what was seen", RESUMED,
            "save and load the best metric and the counts", lambda c: {"loaded_state": lambda state: None}),
    faults("reduce_on_plateau", "best-not-loaded", "load_state_dict does not restore the best metric", RESUMED,
            "save and load the best metric", lambda c: {"loaded_state": lambda s: s and s._replace(best=None)}),
    faults("reduce_on_plateau", "count-not-loaded", "load_state_dict does not restore the count", RESUMED,
            "save and load the count", lambda c: {"loaded_state": lambda s: s and s._replace(bad=0)}),
    faults("reduce_on_plateau", "cooldown-not-loaded", "load_state_dict does not restore the cooldown", RESUMED,
            "save and load the steps left of the cooldown",
            lambda c: {"loaded_state": lambda s: s and s._replace(resting=0)}),
)  # fmt: skip


def _beside_signed_margin(fault: Fault) -> Fault:
    """The same mistake in a rule whose threshold is relative to the signed metric, as many copy it from PyTorch."""
    rule = fault.replaces.get("reduce_on_plateau", reference.reduce_on_plateau)
    return replace(
        fault,
        id=f"{fault.id}-signed",
        fix=f"{fault.fix}; metric < best - threshold * abs(best)",
        replaces={**fault.replaces, "reduce_on_plateau": partial(rule, margin="signed")},
    )


_WITHOUT_MARGIN = ("sched-plateau-relative-threshold-negative", "sched-reduce_on_plateau-threshold-ignored")
"""Those beside which the sign of the margin says nothing more."""

PLATEAU = (
    *_ALONE,
    *((_beside_signed_margin(fault),) for (fault,) in _ALONE if fault.id not in _WITHOUT_MARGIN),
)
