"""The schedules in NumPy: the learning rate (or momentum) of each parameter group as a function of the step count."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

Array = Float[np.ndarray | np.float64, "*groups"]


class Seen(NamedTuple):
    """What is remembered of the metrics: the best, those without improvement since, steps left of a cooldown."""

    best: float | None = None
    bad: int = 0
    resting: int = 0


def _require_at_least(least: float, **settings: float) -> None:
    for name, value in settings.items():
        if not value >= least:
            raise ValueError(f"{name} was {value}, expected a number of at least {least}")


def _require_fraction(**settings: float) -> None:
    for name, value in settings.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} was {value}, expected a number from 0 to 1")


def _require_choice(choices: tuple[str, ...], **settings: str) -> None:
    for name, value in settings.items():
        if value not in choices:
            raise ValueError(f"{name} was {value!r}, expected {' or '.join(map(repr, choices))}")


def step_lr(lr: Array, step: int, *, step_size: int, gamma: float = 0.1) -> Array:
    """The rate is multiplied by gamma every ``step_size`` steps.

    lr_t = lr_0 gamma^floor(t / step_size)

    Shapes: lr: any, one rate for each group; the result as lr.
    Raises: ValueError for a step below 0, a step_size below 1, a gamma below 0.
    Source: torch.optim.lr_scheduler.StepLR; Goodfellow, Bengio, Courville 2016, "Deep Learning", section 8.3.1.
    """
    _require_at_least(0, step=step, gamma=gamma)
    _require_at_least(1, step_size=step_size)
    return lr * gamma ** (step // step_size)


def multistep_lr(
    lr: Array,
    step: int,
    *,
    milestones: Sequence[float],
    gamma: float = 0.1,
    boundary: Literal["at", "after", "before"] = "at",
    repeated: Literal["each", "once"] = "each",
    fractional: Literal["never", "reached"] = "never",
) -> Array:
    """The rate is multiplied by gamma at each milestone.

    lr_t = lr_0 gamma^n, n the number of milestones m <= t, in whatever order they stand.

    Shapes: lr: any, one rate for each group; the result as lr.
    Conventions: ``boundary`` tells whether a milestone counts from its own step on, from the one after it (m < t) or
    from the one before it (m <= t + 1); ``repeated`` whether a milestone that stands twice counts twice;
    ``fractional`` whether a milestone between two steps is never met or reached with the later one.
    Raises: ValueError for a step or gamma below 0.
    Source: He et al. 2016, "Deep residual learning for image recognition", section 3.4; PyTorch's MultiStepLR.
    """
    _require_at_least(0, step=step, gamma=gamma)
    passed = {"at": lambda m: m <= step, "after": lambda m: m < step, "before": lambda m: m <= step + 1}[boundary]
    met = [m for m in milestones if fractional == "reached" or m == int(m)]
    return lr * gamma ** sum(map(passed, set(met) if repeated == "once" else met))


def exponential_lr(lr: Array, step: int, *, gamma: float) -> Array:
    """The rate is multiplied by gamma at every step.

    lr_t = lr_0 gamma^t

    Shapes: lr: any, one rate for each group; the result as lr.
    Raises: ValueError for a step or gamma below 0.
    Source: torch.optim.lr_scheduler.ExponentialLR.
    """
    _require_at_least(0, step=step, gamma=gamma)
    return lr * gamma**step


def cosine_annealing_lr(
    lr: Array,
    step: int,
    *,
    T_max: int,
    eta_min: float = 0.0,
    after_end: Literal["climbs", "stays", "restarts"] = "climbs",
    minimum: Literal["absolute", "fraction"] = "absolute",
) -> Array:
    """The rate falls along half a cosine to its minimum at ``T_max``.

    lr_t = eta_min + (lr_0 - eta_min) (1 + cos(pi t / T_max)) / 2

    Shapes: lr: any, one rate for each group; the result as lr.
    Conventions: ``after_end`` past T_max: along the cosine again (period 2 T_max), at the minimum, or again from the
    start; ``minimum="fraction"`` takes eta_min as a fraction of lr_0.
    Raises: ValueError for a step below 0, a T_max below 1.
    Source: Loshchilov, Hutter 2017, "SGDR: stochastic gradient descent with warm restarts", equation 5.
    """
    _require_at_least(0, step=step)
    _require_at_least(1, T_max=T_max)
    along = {"climbs": step, "stays": min(step, T_max), "restarts": step % T_max}[after_end]
    lowest = eta_min * lr if minimum == "fraction" else eta_min
    return lowest + (lr - lowest) * (1 + np.cos(np.pi * along / T_max)) / 2


def linear_warmup_lr(
    lr: Array, step: int, *, start_factor: float | None = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
) -> Array:
    """The rate rises linearly to its full size over the first ``total_iters`` steps, and stays there.

    lr_t = lr_0 (a + (b - a) min(t, T) / T), a = start_factor, b = end_factor, T = total_iters

    Shapes: lr: any, one rate for each group; the result as lr.
    Conventions: ``start_factor=None`` gives step t the factor b min(t + 1, T) / T: the first of T equal steps is taken
    at once.
    Raises: ValueError for a step below 0, total_iters below 1, factors outside [0, 1].
    Source: Goyal et al. 2017, "Accurate, large minibatch SGD", section 2.2; torch.optim.lr_scheduler.LinearLR.
    """
    _require_at_least(0, step=step)
    _require_at_least(1, total_iters=total_iters)
    _require_fraction(start_factor=start_factor or 0.0, end_factor=end_factor)
    if start_factor is None:
        return lr * end_factor * min(step + 1, total_iters) / total_iters
    return lr * (start_factor + (end_factor - start_factor) * min(step, total_iters) / total_iters)


def momentum_schedule(
    momentum: Array, step: int, *, warmup_steps: int, initial: float = 0.5, rise: Literal["jump", "linear"] = "jump"
) -> Array:
    """Momentum starts low, while gradients are large, and is raised to its own value after ``warmup_steps``.

    rho_t = initial for t < warmup_steps, then rho (0.9, say); with ``rise="linear"``
    rho_t = initial + (rho - initial) min(t, warmup_steps) / warmup_steps.

    Shapes: momentum: any, that of each group; the result as momentum.
    Raises: ValueError for a step below 0, warmup_steps below 1, an initial momentum outside [0, 1].
    Source: the notes 001, section 8.2; Hinton 2010, "A practical guide to training restricted Boltzmann machines",
    section 9.1.
    """
    _require_at_least(0, step=step)
    _require_at_least(1, warmup_steps=warmup_steps)
    _require_fraction(initial=initial)
    share = min(step, warmup_steps) / warmup_steps
    return (momentum - initial) * (share if rise == "linear" else share // 1) + initial


def continued(schedule: Callable[[Array, int], Array], lr: Array, current: Array, step: int) -> Array:
    """A schedule's rate at a step after the first, when the rate before it is not what it had made of ``lr``.

    A schedule is affine in its initial rate, lr_t = a_t + b_t lr_0, so that the current rate is what it would have made
    of (current - a_{t-1}) / b_{t-1}. Where b_{t-1} = 0 (at the minimum of a cosine), the change that it would have made
    is added to the current rate.

    Shapes: lr, current, the result: any, one rate for each group.
    Source: the recursions of torch.optim.lr_scheduler, which it calls chainable.
    """
    lowest = schedule(np.zeros_like(lr), step - 1)
    reach = schedule(np.ones_like(lr), step - 1) - lowest
    if not np.all(reach):
        return current + schedule(lr, step) - schedule(lr, step - 1)
    return schedule((current - lowest) / reach, step)


def is_better(
    metric: float,
    best: float | None,
    mode: Literal["min", "max"],
    threshold: float,
    threshold_mode: Literal["rel", "abs"],
    margin: Literal["size", "signed"] = "size",
) -> bool:
    """Whether a metric improves on the best by more than the threshold, relative to its size; NaN never does."""
    if best is None:
        return bool(metric < np.inf if mode == "min" else metric > -np.inf)
    wanted = threshold * (abs(best) if margin == "size" else best) if threshold_mode == "rel" else threshold
    return bool(metric < best - wanted if mode == "min" else metric > best + wanted)


def reduce_on_plateau(
    lr: Array,
    metric: float,
    state: Seen | None = None,
    *,
    mode: Literal["min", "max"] = "min",
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: Literal["rel", "abs"] = "rel",
    cooldown: int = 0,
    min_lr: float | Sequence[float] = 0.0,
    eps: float = 1e-8,
    patience_ends: Literal["exceeded", "reached"] = "exceeded",
    cooldown_ends: Literal["after", "within"] = "after",
    margin: Literal["size", "signed"] = "size",
) -> tuple[Array, Seen]:
    """The rate is multiplied by a factor when a metric has not improved for more than ``patience`` steps.

    A metric is better if m < best - threshold |best| ("rel") or m < best - threshold ("abs"), the other way round in
    mode "max"; the others are counted from the last better one, or the last reduction, and none of them in the
    ``cooldown`` steps after a reduction. When their number exceeds ``patience``, lr <- max(factor lr, min_lr), unless
    that lowers lr by no more than ``eps``.

    Shapes: lr, the result: any, one rate for each group; min_lr: a number or one for each group.
    Conventions: ``patience_ends="reached"`` reduces as soon as their number is ``patience``; ``cooldown_ends="within"``
    counts the last step of the cooldown already; ``margin="signed"`` is no convention but what PyTorch computes: a
    threshold relative to the signed best metric, which has the wrong sign below zero.
    Raises: ValueError for a mode or threshold_mode that is unknown, a factor outside [0, 1), other numbers below 0.
    Source: torch.optim.lr_scheduler.ReduceLROnPlateau; keras.callbacks.ReduceLROnPlateau.
    """
    _require_choice(("min", "max"), mode=mode)
    _require_choice(("rel", "abs"), threshold_mode=threshold_mode)
    _require_at_least(0, patience=patience, threshold=threshold, cooldown=cooldown, eps=eps)
    if not 0 <= factor < 1:
        raise ValueError(f"factor was {factor}, expected a number of at least 0 and below 1")
    best, bad, resting = state or Seen()
    better = is_better(metric, best, mode, threshold, threshold_mode, margin)
    best, bad = (metric, 0) if better else (best, bad + 1)
    if resting:
        resting -= 1
        bad = int(not better and not resting) if cooldown_ends == "within" else 0
    if bad >= (max(patience, 1) if patience_ends == "reached" else patience + 1):
        reduced = np.maximum(factor * lr, min_lr)
        lr, bad, resting = np.where(lr - reduced > eps, reduced, lr), 0, cooldown
    return lr, Seen(best, bad, resting)
