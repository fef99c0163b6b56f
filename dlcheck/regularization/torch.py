"""Regularisation in PyTorch, for any device and floating-point dtype."""

# pyright: reportPrivateImportUsage=false
# gradients are clipped all at once, by torch's _foreach functions, as torch does it

from collections.abc import Iterable
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

Values = Float[Tensor, "*shape"]
Scalar = Float[Tensor, ""]


def _floating(name: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, not {type(value).__name__}")
    if not value.is_floating_point():
        raise TypeError(f"{name} must hold floating-point numbers, not {str(value.dtype).removeprefix('torch.')}")
    return value


def _not_negative(name: str, value: Any) -> float:
    if not value >= 0:
        raise ValueError(f"{name} must not be negative, not {value!r}")
    return float(value)


# --- dropout ---------------------------------------------------------------------------------------------------------


def dropout(
    input: Values, p: float = 0.5, training: bool = True, *, generator: torch.Generator | None = None
) -> Values:
    r"""Sets each element to zero with probability p, independently, in training.

    $y_i = m_i x_i / (1 - p)$ with $m_i \sim \mathrm{Bernoulli}(1 - p)$; outside training $y = x$

    Shapes: input and the result have any one shape.
    Conventions: what is kept is divided by 1 - p in training; p is the probability of dropping.
    Raises: TypeError if input is no floating-point tensor, ValueError if p is no probability.
    Source: notes 004, Dropout; Srivastava et al., Dropout (2014), sections 4 and 10.
    """
    x = _floating("input", input)
    if not 0 <= p <= 1:
        raise ValueError(f"p must be a probability from 0 to 1, not {p!r}")
    if not training or p == 0:
        return x.clone()
    return _Dropout.apply(x, p, generator)[0]  # type: ignore[index]


class _Dropout(torch.autograd.Function):
    """Dropout that keeps one byte for each element."""

    @staticmethod
    def forward(x: Tensor, p: float, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        kept = torch.empty_like(x, dtype=torch.bool).bernoulli_(1 - p, generator=generator)
        return _masked(x, kept, p), kept

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float, Any], output: tuple[Tensor, Tensor]) -> None:
        ctx.p = inputs[1]
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Any) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return _masked(grad, ctx.saved_tensors[0], ctx.p), None, None


def _masked(values: Tensor, kept: Tensor, p: float) -> Tensor:
    return torch.ops.aten.native_dropout_backward(values, kept, 0.0 if p == 1 else 1 / (1 - p))


# --- norm penalties --------------------------------------------------------------------------------------------------


def l1_penalty(weight: Values, strength: float = 1.0) -> Scalar:
    r"""L1 norm penalty $C \sum_i |w_i|$.

    Shapes: weight of any shape; the result has no axis.
    Conventions: the gradient at 0 is 0.
    Raises: TypeError if weight is no floating-point tensor, ValueError if strength is negative.
    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 7.18.
    """
    return _not_negative("strength", strength) * torch.linalg.vector_norm(_floating("weight", weight), 1)


def l2_penalty(weight: Values, strength: float = 1.0) -> Scalar:
    r"""L2 norm penalty (weight decay, ridge, Tikhonov) $\frac{C}{2} \sum_i w_i^2$.

    Shapes: weight of any shape; the result has no axis.
    Conventions: the factor 1/2.
    Raises: TypeError if weight is no floating-point tensor, ValueError if strength is negative.
    Source: notes 004, L2; Goodfellow et al. (2016), equation 7.2.
    """
    flat = _floating("weight", weight).flatten()
    wide = flat.float() if flat.dtype in (torch.float16, torch.bfloat16) else flat
    return (_not_negative("strength", strength) / 2 * wide.dot(wide)).to(flat.dtype)


# --- gradient clipping -----------------------------------------------------------------------------------------------


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else parameters
    return [parameter.grad for parameter in given if parameter.grad is not None]


@torch.no_grad()
def clip_grad_norm(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Scalar:
    r"""Scales the gradients of all parameters in place so that their common norm is at most c; returns that before.

    $g \leftarrow g \min(1, c / (\|g\| + 10^{-6}))$, the norm of all elements of all gradients

    Shapes: parameters of any shapes; one without a gradient is passed over.
    Conventions: epsilon is 1e-6; an infinite norm makes 0 of finite elements, and NaN of infinite ones.
    Raises: ValueError for a negative max_norm, a norm_type <= 0, or where the norm is not finite and error_if_nonfinite
    is set.
    Source: Pascanu, Mikolov, Bengio, On the Difficulty of Training Recurrent Neural Networks (2013), algorithm 1.
    """
    limit, grads = _not_negative("max_norm", max_norm), _gradients(parameters)
    if not norm_type > 0:
        raise ValueError(f"norm_type must be positive, not {norm_type!r}")
    if not grads:
        return torch.zeros(())
    norms = torch._foreach_norm(grads, norm_type)
    total = torch.linalg.vector_norm(torch.stack([norm.to(norms[0]) for norm in norms]), norm_type)
    if error_if_nonfinite and not total.isfinite():
        raise ValueError(f"the norm of the gradients must be finite, not {total}")
    factor = (limit / (total + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(grads, factor)
    return total


@torch.no_grad()
def clip_grad_value(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    r"""Clips every element of the gradients of all parameters in place: $g_i \leftarrow \max(-c, \min(g_i, c))$.

    Shapes: parameters of any shapes; one without a gradient is passed over.
    Raises: ValueError for a negative clip_value.
    Source: Mikolov, Statistical Language Models Based on Neural Networks (2012), section 3.2.2.
    """
    limit, grads = _not_negative("clip_value", clip_value), _gradients(parameters)
    if grads:
        torch._foreach_clamp_min_(grads, -limit)
        torch._foreach_clamp_max_(grads, limit)


# --- early stopping --------------------------------------------------------------------------------------------------


class EarlyStopping:
    r"""Stops training when a value has not improved for ``patience`` epochs in a row.

    A value is good if it is below the best so far by more than ``min_delta`` (above it, in mode "max"), and becomes the
    best; any other, NaN too, is bad. A patience of 0 stops at the first bad value.

    ``best`` is the best value and ``best_epoch`` its epoch, counted from 0; both None before the first.
    Conventions: it stops at ``patience`` bad values; only a good value becomes the best.
    Raises: ValueError for a negative patience or min_delta, or an unknown mode.
    Source: Prechelt, Early Stopping - But When? (1998), section 2.2; notes 001, section 10.
    """

    def __init__(self, patience: int, min_delta: float = 0.0, mode: Literal["min", "max"] = "min") -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', not {mode!r}")
        self.patience, self.min_delta = int(_not_negative("patience", patience)), _not_negative("min_delta", min_delta)
        self.mode = mode
        self.best: float | None = None
        self.best_epoch: int | None = None
        self._bad = self._epochs = 0

    def step(self, value: float | Tensor) -> bool:
        """Take the value of one epoch; True means that training should stop now."""
        value = float(value)
        if self._is_good(value):
            self.best, self.best_epoch, self._bad = value, self._epochs, 0
        else:
            self._bad += 1
        self._epochs += 1
        return self._bad >= max(self.patience, 1)

    def _is_good(self, value: float) -> bool:
        if self.best is None:
            return value == value
        gain = self.best - value if self.mode == "min" else value - self.best
        return gain > self.min_delta
