"""The schedules on PyTorch, for any optimizer: each step takes the current rate on, whoever has changed it."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


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


class _FactorLR(LRScheduler):
    """A learning rate times a factor of the step count: ``_ratio`` over the step before, ``_factor`` over the first."""

    last_epoch: int

    def _ratio(self, step: int) -> float:
        raise NotImplementedError

    def _factor(self, step: int) -> float:
        raise NotImplementedError

    def get_lr(self) -> list[Any]:
        """The next rate of every group, from its current one."""
        ratio = self._ratio(self.last_epoch)
        return [group["lr"] * ratio for group in self.optimizer.param_groups]

    def _get_closed_form_lr(self) -> list[Any]:
        factor = self._factor(self.last_epoch)
        return [lr * factor for lr in self.base_lrs]


class StepLR(_FactorLR):
    """The rate is multiplied by gamma every ``step_size`` steps.

    lr_t = lr_0 gamma^floor(t / step_size)

    Raises: ValueError for a step_size below 1, a gamma below 0.
    Source: torch.optim.lr_scheduler.StepLR.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1):
        _require_at_least(0, gamma=gamma)
        _require_at_least(1, step_size=step_size)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def _ratio(self, step: int) -> float:
        return self.gamma if step and step % self.step_size == 0 else 1.0

    def _factor(self, step: int) -> float:
        return self.gamma ** (step // self.step_size)


class MultiStepLR(_FactorLR):
    """The rate is multiplied by gamma at each milestone.

    lr_t = lr_0 gamma^n, n the number of milestones m <= t, in whatever order they stand; one that stands twice counts
    twice, one between two steps is never met.

    Raises: ValueError for a gamma below 0.
    Source: He et al. 2016, "Deep residual learning for image recognition", section 3.4; PyTorch's MultiStepLR.
    """

    def __init__(self, optimizer: Optimizer, milestones: Sequence[float], gamma: float = 0.1, last_epoch: int = -1):
        _require_at_least(0, gamma=gamma)
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def _ratio(self, step: int) -> float:
        return self.gamma ** self.milestones[step]

    def _factor(self, step: int) -> float:
        return self.gamma ** sum(self.milestones[passed] for passed in range(step + 1))


class ExponentialLR(_FactorLR):
    """The rate is multiplied by gamma at every step.

    lr_t = lr_0 gamma^t

    Raises: ValueError for a gamma below 0.
    Source: torch.optim.lr_scheduler.ExponentialLR.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1):
        _require_at_least(0, gamma=gamma)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _ratio(self, step: int) -> float:
        return self.gamma if step else 1.0

    def _factor(self, step: int) -> float:
        return self.gamma**step


class CosineAnnealingLR(LRScheduler):
    """The rate falls along half a cosine to its minimum at ``T_max``, then climbs along it again.

    lr_t = eta_min + (lr_0 - eta_min) (1 + cos(pi t / T_max)) / 2

    Raises: ValueError for a T_max below 1.
    Source: Loshchilov, Hutter 2017, "SGDR: stochastic gradient descent with warm restarts", equation 5.
    """

    last_epoch: int

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1):
        _require_at_least(1, T_max=T_max)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The next rate of every group, from its current one; from its first one at the minimum."""
        height = self._height(self.last_epoch)
        before = self._height(self.last_epoch - 1) if self.last_epoch else 1.0
        pairs = zip(self.base_lrs, self.optimizer.param_groups, strict=True)
        if before == 0:
            return [group["lr"] + (lr - self.eta_min) * height for lr, group in pairs]
        return [self.eta_min + (group["lr"] - self.eta_min) * (height / before) for _, group in pairs]

    def _get_closed_form_lr(self) -> list[Any]:
        height = self._height(self.last_epoch)
        return [self.eta_min + (lr - self.eta_min) * height for lr in self.base_lrs]

    def _height(self, step: int) -> float:
        """(1 + cos(pi t / T)) / 2 as a square, which does not cancel; exactly 0 at the minimum."""
        if step % (2 * self.T_max) == self.T_max:
            return 0.0
        return math.cos(math.pi * step / (2 * self.T_max)) ** 2


class LinearWarmupLR(_FactorLR):
    """The rate rises linearly to its full size over the first ``total_iters`` steps, and stays there.

    lr_t = lr_0 (a + (b - a) min(t, T) / T), a = start_factor, b = end_factor, T = total_iters

    Raises: ValueError for total_iters below 1, factors outside [0, 1].
    Source: Goyal et al. 2017, "Accurate, large minibatch SGD", section 2.2; torch.optim.lr_scheduler.LinearLR.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ):
        _require_at_least(1, total_iters=total_iters)
        _require_fraction(start_factor=start_factor, end_factor=end_factor)
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The next rate of every group, from its current one; from its first one where that is 0."""
        if self.last_epoch and not self._factor(self.last_epoch - 1):
            risen = self._factor(self.last_epoch)
            pairs = zip(self.base_lrs, self.optimizer.param_groups, strict=True)
            return [group["lr"] + risen * lr for lr, group in pairs]
        return super().get_lr()

    def _ratio(self, step: int) -> float:
        return self._factor(step) / self._factor(step - 1) if step else self.start_factor

    def _factor(self, step: int) -> float:
        share = min(step, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * share


class MomentumSchedule:
    """Momentum starts low, while gradients are large, and is raised to its own value after ``warmup_steps``.

    rho_t = initial for t < warmup_steps, then the optimizer's own rho, 0.9 say; with ``rise="linear"``
    rho_t = initial + (rho - initial) min(t, warmup_steps) / warmup_steps.

    Raises: ValueError for warmup_steps below 1, an initial momentum outside [0, 1], a rise that is unknown.
    Source: the notes 001, section 8.2; Hinton 2010, "A practical guide to training restricted Boltzmann machines",
    section 9.1.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup_steps: int,
        initial: float = 0.5,
        rise: Literal["jump", "linear"] = "jump",
    ):
        _require_at_least(1, warmup_steps=warmup_steps)
        _require_fraction(initial=initial)
        _require_choice(("jump", "linear"), rise=rise)
        self.optimizer, self.warmup_steps, self.initial, self.rise = optimizer, warmup_steps, initial, rise
        self.own = [group["momentum"] for group in optimizer.param_groups]
        self.steps = 0
        self._set()

    def step(self) -> None:
        """Count a step and set the momentum of every group."""
        self.steps += 1
        self._set()

    def _set(self) -> None:
        share = min(self.steps / self.warmup_steps, 1.0)
        share = share if self.rise == "linear" else float(share == 1)
        for group, own in zip(self.optimizer.param_groups, self.own, strict=True):
            group["momentum"] = self.initial + (own - self.initial) * share

    def state_dict(self) -> dict[str, Any]:
        """What ``load_state_dict`` needs to go on from here."""
        return {"steps": self.steps, "own": list(self.own)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state; the optimizer's own one holds the momentum itself."""
        self.steps, self.own = state_dict["steps"], list(state_dict["own"])


class ReduceOnPlateau(LRScheduler):
    """The rate is multiplied by a factor when a metric has not improved for more than ``patience`` steps.

    A metric m is better if m < best - threshold |best| ("rel") or m < best - threshold ("abs"), the other way round in
    mode "max"; the others are counted from the last better one, or the last reduction, and none of them in the
    ``cooldown`` steps after a reduction. When their number exceeds ``patience``, lr <- max(factor lr, min_lr), unless
    that lowers lr by no more than ``eps``.

    Raises: ValueError for a mode or threshold_mode that is unknown, a factor outside [0, 1), other numbers below 0, a
    min_lr of another length than the groups.
    Source: torch.optim.lr_scheduler.ReduceLROnPlateau; keras.callbacks.ReduceLROnPlateau.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ):
        _require_choice(("min", "max"), mode=mode)
        _require_choice(("rel", "abs"), threshold_mode=threshold_mode)
        _require_at_least(0, patience=patience, threshold=threshold, cooldown=cooldown, eps=eps)
        if not 0 <= factor < 1:
            raise ValueError(f"factor was {factor}, expected a number of at least 0 and below 1")
        groups = len(optimizer.param_groups)
        self.min_lrs = list(min_lr) if isinstance(min_lr, Sequence) else [min_lr] * groups
        if len(self.min_lrs) != groups:
            raise ValueError(f"min_lr was {min_lr}, expected a number or one for each of {groups} groups")
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown, self.eps = threshold, threshold_mode, cooldown, eps
        self.best = math.inf
        self.bad_steps = self.resting = 0
        self._last_lr = [float(group["lr"]) for group in optimizer.param_groups]

    def step(self, metrics: float) -> None:  # type: ignore[override]
        """Count a metric, and reduce the rates where it has not improved for too long."""
        # a metric to be maximised is minimised with its sign changed
        metric = float(metrics) if self.mode == "min" else -float(metrics)
        margin = self.threshold * (abs(self.best) if self.threshold_mode == "rel" else 1.0)
        if metric < (self.best if math.isinf(self.best) else self.best - margin):
            self.best, self.bad_steps = metric, 0
        else:
            self.bad_steps += 1
        if self.resting:
            self.resting, self.bad_steps = self.resting - 1, 0
        if self.bad_steps > self.patience:
            self._reduce()
        self._last_lr = [float(group["lr"]) for group in self.optimizer.param_groups]

    def _reduce(self) -> None:
        self.bad_steps, self.resting = 0, self.cooldown
        for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            lr = group["lr"]
            reduced = max(self.factor * float(lr), least)
            if float(lr) - reduced > self.eps:
                # a rate that is a tensor may be part of a CUDA graph, which reads it where it is
                group["lr"] = lr.fill_(reduced) if isinstance(lr, Tensor) else reduced
