"""Known mistakes in schedules, each a runnable variation of the reference: here those of any schedule."""

from collections.abc import Callable

import numpy as np

from dlcheck.schedules.formula_faults import FORMULAS
from dlcheck.schedules.mistakes import (
    COLD,
    LOGGED,
    NOT_OBEYED,
    RESUMED,
    SHIFTED,
    TOO_LOW,
    UNEVEN,
    VANISHES,
    at,
    compounding,
    faults,
    first_group_for_all,
    first_group_only,
    formula,
    settings,
    single_precision,
)
from dlcheck.schedules.plateau_faults import PLATEAU
from dlcheck.schedules.reference import Array

_BY_FACTOR = ("step_lr", "multistep_lr", "exponential_lr", "cosine_annealing_lr", "linear_warmup_lr")
_BY_STEP = (*_BY_FACTOR, "momentum_schedule")
_SHIFTABLE = tuple(name for name in _BY_STEP if name != "multistep_lr")
"""Those in which a step more or less is no convention."""
_COUNTING = tuple(name for name in _BY_STEP if name != "exponential_lr")
"""Those in which the next step depends on how many have been made."""


def _told_at(shift: int) -> Callable[..., Array]:
    """What ``get_last_lr`` tells when it is off by so many steps."""
    return lambda schedule, base, count, current: schedule(base, max(count + shift, 0))


_TABLE = (
    # any function of the step count
    faults(_BY_STEP, "frozen", "step changes nothing", NOT_OBEYED, "count the step and set the rate in every group",
            lambda c: at(c, lambda step: 0)),
    faults(_SHIFTABLE, "ahead", "the schedule is one step ahead", SHIFTED, "the first update is made at step 0",
            lambda c: at(c, lambda step: step + 1), ("pytorch/pytorch/issues/23480",)),
    faults(_SHIFTABLE, "behind", "the schedule lags one step behind", SHIFTED, "after t steps the count is t",
            lambda c: at(c, lambda step: max(step - 1, 0))),
    faults(_BY_FACTOR, "compounds", "it is applied to the rate that it has changed before", VANISHES,
            "multiply the initial rate, or the current one by a ratio", compounding),
    faults(_BY_STEP, "first-group-for-all", "all groups get the rate of the first", UNEVEN,
            "keep an initial rate for each group", first_group_for_all),
    faults(_BY_STEP, "first-group-only", "only the first group is changed", UNEVEN,
            "for group in optimizer.param_groups: ...", first_group_only),
    faults(_COUNTING, "count-not-loaded", "load_state_dict does not restore the step count", RESUMED,
            "save and load the step count", lambda c: {"loaded_count": lambda count: 0}),
    faults(_COUNTING, "count-loaded-late", "after loading the step count is one too small", RESUMED,
            "save the step count after it is raised", lambda c: {"loaded_count": lambda count: count - 1}),
    faults(_COUNTING, "count-loaded-early", "after loading the step count is one too large", RESUMED,
            "count no step when loading", lambda c: {"loaded_count": lambda count: count + 1}),
    faults(_BY_FACTOR, "epoch-ignored", "step(epoch) counts one step", NOT_OBEYED, "last_epoch = epoch",
            lambda c: {"advanced": lambda count, epoch, settings: count + 1}),
    faults(("step_lr", "multistep_lr"), "last-epoch-ignored", "last_epoch is ignored: the schedule starts at 0",
            RESUMED, "super().__init__(optimizer, last_epoch)", lambda c: {"resumed": lambda last_epoch: 0}),
    faults(_BY_FACTOR, "last-lr-next", "get_last_lr tells the rate after the next step", LOGGED,
            "remember the rates that step has set", lambda c: {"last_lr": _told_at(1)}),
    faults(_BY_FACTOR, "last-lr-before", "get_last_lr tells the rate before the last step", LOGGED,
            "remember the rates after step has set them", lambda c: {"last_lr": _told_at(-1)}),
    faults(_BY_FACTOR, "last-lr-initial", "get_last_lr tells the initial rate", LOGGED,
            "remember the rates that step has set", lambda c: {"last_lr": lambda schedule, base, count, now: base}),
    faults(_BY_FACTOR, "base-loaded", "after loading the current rate is taken for the initial one", RESUMED,
            "save and load the initial rates", lambda c: {
                "loaded_base": lambda base, current: current,
                "continued": lambda schedule, base, current, count: schedule(base, count)}),
    faults(_BY_FACTOR, "single-precision", "the rate passes through float32", "A resumed or compared run differs.",
            "compute in float64", single_precision),
    # momentum_schedule
    faults("momentum_schedule", "initial-ignored", "initial is ignored", NOT_OBEYED, "momentum = initial at step 0",
            lambda c: settings(c, lambda s: {"initial": 0.5})),
    faults("momentum_schedule", "falls", "momentum starts high and falls", "Large early gradients are carried along.",
            "initial first, then the optimizer's own",
            lambda c: formula(c, lambda m, t, s: m if t < s.warmup_steps else s.initial + 0 * m)),
    faults("momentum_schedule", "final-fixed", "momentum is raised to 0.9 whatever the optimizer's own is", NOT_OBEYED,
            "keep the momentum of each group",
            lambda c: formula(c, lambda m, t, s: np.full_like(m, s.initial if t < s.warmup_steps else 0.9))),
    faults("momentum_schedule", "factor", "initial multiplies the optimizer's own momentum", TOO_LOW,
            "momentum = initial", lambda c: formula(c, lambda m, t, s: m * (s.initial if t < s.warmup_steps else 1.0))),
    faults("momentum_schedule", "momentary", "momentum is raised for one step only", TOO_LOW, "t >= warmup_steps",
            lambda c: formula(c, lambda m, t, s: m if t == s.warmup_steps else s.initial + 0 * m)),
    faults("momentum_schedule", "no-start", "the first update is made at the full momentum", COLD,
            "set the momentum when the schedule is made",
            lambda c: formula(c, lambda m, t, s: s.initial + 0 * m if 0 < t < s.warmup_steps else m)),
    faults("momentum_schedule", "geometric", "1 - momentum falls by equal factors", SHIFTED, "a jump, or a line",
            lambda c: formula(c, lambda m, t, s: 1 - (1 - s.initial) * ((1 - m) / (1 - s.initial))
                              ** min(t / s.warmup_steps, 1.0))),
    faults("momentum_schedule", "unbounded", "momentum goes on rising after warmup_steps",
            "Momentum passes 1, and training diverges.", "min(t, warmup_steps) / warmup_steps",
            lambda c: formula(c, lambda m, t, s: s.initial + (m - s.initial) * t / s.warmup_steps)),
)  # fmt: skip

_ORDER = (*_BY_STEP, "reduce_on_plateau")

FAULTS = tuple(
    sorted(
        (fault for row in (*_TABLE, *FORMULAS, *PLATEAU) for fault in row),
        key=lambda fault: _ORDER.index(fault.component),
    )
)
"""In the order of the components, mistakes of any schedule before those of its formula."""
