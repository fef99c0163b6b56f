"""Losses in PyTorch, for any device and floating-point dtype, differentiable twice.

Each loss is written as its terms and their gradient, both of which run through the input in blocks that stay in a
CPU's cache: a mean reads its input once and writes nothing, its gradient is written once. Halves are computed in
float32 and rounded once, in the end.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

Values = Float[Tensor, "*shape"]
Loss = Float[Tensor, "..."]
Logits = Float[Tensor, "*logits"]
Classes = Int[Tensor, "*labels"]
Labels = Classes | Float[Tensor, "*logits"]
Weights = Float[Tensor, "C"]
Reduction = Literal["none", "sum", "mean"]

REDUCTIONS: tuple[Reduction, ...] = ("none", "sum", "mean")
_BLOCK = 2**17
"""Elements of a block: with what is computed from it, less than a core's share of the cache."""


class _Terms(NamedTuple):
    """A loss: ``values(out, x, *others)``, and the gradient of x, ``gradient(out, grad, x, *others)``.

    ``out`` is memory of the shape of x to work in, or None.
    """

    values: Callable[..., Tensor]
    gradient: Callable[..., Tensor]


class _Blocked(torch.autograd.Function):
    """The terms of a loss, or their sum block by block of the first axis; differentiable in x alone."""

    @staticmethod
    def forward(ctx: Any, terms: _Terms, summed: bool, x: Tensor, *others: Tensor) -> Tensor:
        ctx.terms, ctx.summed = terms, summed
        ctx.save_for_backward(x, *others)
        if not summed:
            return terms.values(None, *map(_wide, (x, *others))).to(x.dtype)
        blocks = _blocks(x)
        wide = _wide(x[:0]) if len(blocks) > 1 else None
        memory = None if wide is None else wide.new_empty(len(x[blocks[0]]), *x.shape[1:])
        parts = []
        for rows in blocks:
            given = [_wide(tensor[rows]) for tensor in (x, *others)]
            out = None if memory is None else memory[: len(given[0])]
            parts.append(terms.values(out, *given).sum())
        return (torch.stack(parts).sum() if len(parts) > 1 else parts[0]).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        x, *others = ctx.saved_tensors
        unused = (None,) * len(others)
        if torch.is_grad_enabled():  # in operations that autograd can differentiate again
            return None, None, ctx.terms.gradient(None, grad, *map(_wide, (x, *others))).to(x.dtype), *unused
        grad_x = torch.empty_like(x)
        for rows in _blocks(x):
            given = [_wide(tensor[rows]) for tensor in (x, *others)]
            out = grad_x[rows] if given[0].dtype == x.dtype else None
            found = ctx.terms.gradient(out, grad if ctx.summed else grad[rows], *given)
            if found is not out:
                grad_x[rows] = found
        return None, None, grad_x, *unused


def _blocks(x: Tensor) -> list[Any]:
    """Slices of the first axis; one for all on an accelerator."""
    rows = x.shape[0] if x.ndim else 1
    step = max(1, _BLOCK * rows // max(x.numel(), 1))
    if x.device.type != "cpu" or step >= rows:
        return [...]
    return [slice(start, start + step) for start in range(0, rows, step)]


def _wide(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def _reduced(terms: _Terms, reduction: str, count: Any, x: Tensor, *others: Tensor) -> Tensor:
    """The loss of x and what else its terms take, the mean over ``count``."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be {' or '.join(map(repr, REDUCTIONS))}, not {reduction!r}")
    summed = reduction != "none"
    if any(other.requires_grad for other in others):
        each = terms.values(None, *map(_wide, (x, *others)))
        total = (each.sum() if summed else each).to(x.dtype)
    else:
        total = _Blocked.apply(terms, summed, x, *others)
    return total / count if reduction == "mean" else total  # type: ignore[return-value]


def _floating(name: str, value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, not {type(value).__name__}")
    if not value.is_floating_point():
        raise TypeError(f"{name} must hold floating-point numbers, not {str(value.dtype).removeprefix('torch.')}")
    return value


def _pair(input: Any, target: Any) -> tuple[Tensor, Tensor]:
    """Input and target of one shape: to broadcast them would count some elements several times."""
    input, target = _floating("input", input), _floating("target", target)
    if input.shape != target.shape:
        raise ValueError(f"target must have the input's shape {tuple(input.shape)}, not {tuple(target.shape)}")
    return input, target


# --- errors ----------------------------------------------------------------------------------------------------------

_SQUARED = _Terms(
    lambda out, x, y: torch.sub(x, y, out=out).square_(),
    lambda out, grad, x, y: torch.sub(x, y, out=out).mul_(2 * grad),
)
_ABSOLUTE = _Terms(
    lambda out, x, y: torch.sub(x, y, out=out).abs_(),
    lambda out, grad, x, y: torch.sub(x, y, out=out).sign_().mul_(grad),
)


def mse_loss(input: Values, target: Values, reduction: Reduction = "mean") -> Loss:
    r"""Squared error $\ell = (x - y)^2$ of each element.

    Shapes: input and target of any one shape; the result has it too ("none") or no axis.
    Conventions: the mean divides by all elements.
    Raises: TypeError if an input is no floating-point tensor, ValueError for different shapes or reductions.
    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equation 5.4.
    """
    x, y = _pair(input, target)
    return _reduced(_SQUARED, reduction, x.numel(), x, y)


def l1_loss(input: Values, target: Values, reduction: Reduction = "mean") -> Loss:
    r"""Absolute error $\ell = |x - y|$ of each element.

    Shapes: input and target of any one shape; the result has it too ("none") or no axis.
    Conventions: the gradient where input and target are equal is 0.
    Raises: TypeError if an input is no floating-point tensor, ValueError for different shapes or reductions.
    Source: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning (2009), section 10.6.
    """
    x, y = _pair(input, target)
    return _reduced(_ABSOLUTE, reduction, x.numel(), x, y)


def huber_loss(input: Values, target: Values, reduction: Reduction = "mean", delta: float = 1.0) -> Loss:
    r"""Huber's loss: with $e = |x - y|$, $e^2 / 2$ for $e \le \delta$ and $\delta (e - \delta / 2)$ beyond.

    Shapes: input and target of any one shape; the result has it too ("none") or no axis.
    Conventions: the slope far out is delta.
    Raises: TypeError if an input is no floating-point tensor, ValueError for different shapes, delta <= 0 or an
    unknown reduction.
    Source: Huber, Robust Estimation of a Location Parameter (1964), section 4.
    """
    x, y = _pair(input, target)
    if not delta > 0:
        raise ValueError(f"delta must be positive, not {delta!r}")

    def values(out: Tensor | None, x: Tensor, y: Tensor) -> Tensor:
        if out is None:
            return torch.nn.functional.huber_loss(x, y, "none", delta)
        return torch.ops.aten.huber_loss.out(x, y, 0, delta, out=out)

    def gradient(out: Tensor | None, grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return torch.sub(x, y, out=out).clamp_(-delta, delta).mul_(grad)

    return _reduced(_Terms(values, gradient), reduction, x.numel(), x, y)


# --- binary cross-entropy --------------------------------------------------------------------------------------------


def _logistic(out: Tensor | None, x: Tensor, y: Tensor) -> Tensor:
    # not by way of |x|, whose derivative autograd would take as 0 at logit 0
    return torch.nn.functional.logsigmoid(x).neg_().add_(x).addcmul_(x, y, value=-1)


def _weighted_logistic(out: Tensor | None, x: Tensor, y: Tensor, weight: Tensor, positive: Tensor) -> Tensor:
    return weight * ((1 - y) * x - (1 + (positive - 1) * y) * torch.nn.functional.logsigmoid(x))


_LOGISTIC = _Terms(_logistic, lambda out, grad, x, y: torch.sub(torch.sigmoid(x, out=out), y, out=out).mul_(grad))
_WEIGHTED_LOGISTIC = _Terms(
    _weighted_logistic,
    lambda out, grad, x, y, w, p: grad * w * ((1 - y) * x.sigmoid() - p * y * (-x).sigmoid()),
)


def _spread(name: str, weight: Tensor | None, like: Tensor) -> Tensor:
    weight = like.new_ones(()) if weight is None else _floating(name, weight)
    try:
        return weight.expand(like.shape)
    except RuntimeError:
        wrong = f"{name} must broadcast to the input's shape {tuple(like.shape)}, not {tuple(weight.shape)}"
        raise ValueError(wrong) from None


def binary_cross_entropy_with_logits(
    input: Values,
    target: Values,
    weight: Float[Tensor, "..."] | None = None,
    reduction: Reduction = "mean",
    pos_weight: Float[Tensor, "..."] | None = None,
) -> Loss:
    r"""Binary cross-entropy of logits, finite for any of them.

    $\ell = w \left( (1 - y) x + (1 + (p - 1) y) \log(1 + e^{-x}) \right)$

    Shapes: input and target of any one shape, weight w and pos_weight p broadcast to it; the result has it too
    ("none") or no axis.
    Conventions: the mean divides by all elements, weighted or not.
    Raises: TypeError if an input is no floating-point tensor, ValueError if shapes do not fit or for an unknown
    reduction.
    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equations 6.23 to 6.26.
    """
    x, y = _pair(input, target)
    if weight is None and pos_weight is None:
        return _reduced(_LOGISTIC, reduction, x.numel(), x, y)
    weights = _spread("weight", weight, x), _spread("pos_weight", pos_weight, x)
    return _reduced(_WEIGHTED_LOGISTIC, reduction, x.numel(), x, y, *weights)


# --- classes ---------------------------------------------------------------------------------------------------------


def _batched(input: Any, weight: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The input with an axis of examples before that of classes, and the checked weights of classes."""
    x = _floating("input", input)
    if x.ndim == 0 or x.shape[min(x.ndim, 2) - 1] == 0:
        raise ValueError(f"input must have shape (C,) or (N, C, ...) with C > 0, not {tuple(x.shape)}")
    classes = x.shape[min(x.ndim, 2) - 1]
    if weight is not None and _floating("weight", weight).shape != (classes,):
        raise ValueError(f"weight must have shape {(classes,)}, one for each class, not {tuple(weight.shape)}")
    return x if x.ndim > 1 else x[None], weight


def _labels(input: Tensor, target: Tensor, ignore_index: int | None) -> tuple[Tensor, Tensor]:
    """Labels shaped as one class of the batched input, 0 where ignored, and where they are kept."""
    target, classes = _expected(input, target), input.shape[min(input.ndim, 2) - 1]
    kept = torch.ones_like(target, dtype=torch.bool) if ignore_index is None else target != ignore_index
    labels = target.where(kept, 0)
    if target.device.type == "cpu" and labels.numel() and (labels.min() < 0 or labels.max() >= classes):
        wrong = labels[(labels < 0) | (labels >= classes)][0]
        raise ValueError(f"target must hold classes from 0 to {classes - 1} or ignore_index, not {wrong}")
    return labels, kept


def _expected(input: Tensor, target: Tensor) -> Tensor:
    """Labels with an axis of examples, one for each position of the input."""
    axis = min(input.ndim, 2) - 1
    expected = input.shape[:axis] + input.shape[axis + 1 :]
    if target.shape != expected:
        raise ValueError(f"target must have shape {tuple(expected)}, not {tuple(target.shape)}")
    return target.long() if axis else target.long()[None]


def _class_column(weight: Tensor, like: Tensor) -> Tensor:
    return weight.to(like.dtype).reshape(-1, *(1,) * (like.ndim - 2))


def _softmax(out: Tensor | None, x: Tensor) -> Tensor:
    # the kernel writes as if out were contiguous
    straight = out is not None and out.is_contiguous()
    return torch.ops.aten._softmax.out(x, 1, False, out=out) if straight else torch.softmax(x, 1)


def _of_labels(smoothing: float, weight: Tensor | None) -> _Terms:
    """Cross-entropy of (N, C, ...) logits with labels and the weights of these, which are 0 where ignored."""

    def even(x: Tensor) -> Tensor:
        """What each class gets of the smoothed part."""
        share = x.new_ones(x.shape[1]) if weight is None else weight.to(x.dtype)
        return _class_column(smoothing / x.shape[1] * share, x)

    def values(out: Tensor | None, x: Tensor, labels: Tensor, of_label: Tensor, kept: Tensor) -> Tensor:
        log_p = torch.log_softmax(x, 1) if out is None else torch.ops.aten._log_softmax.out(x, 1, False, out=out)
        terms = -(1 - smoothing) * of_label * log_p.gather(1, labels.unsqueeze(1)).squeeze(1)
        terms = terms - (even(x) * log_p).sum(1) if smoothing else terms
        return terms.where(kept, 0)

    def gradient(out: Tensor | None, grad: Tensor, x: Tensor, labels: Tensor, of_label: Tensor, kept: Tensor) -> Tensor:
        p = _softmax(out, x)
        grad = (grad * kept).unsqueeze(1)
        hard = (1 - smoothing) * grad * of_label.unsqueeze(1)
        if not smoothing:
            return torch.mul(p, hard, out=out).scatter_add_(1, labels.unsqueeze(1), -hard)
        spread = even(x) * grad
        slope = torch.mul(p, hard + spread.sum(1, keepdim=True), out=out).sub_(spread)
        return slope.scatter_add_(1, labels.unsqueeze(1), -hard)

    return _Terms(values, gradient)


def _of_distributions(smoothing: float, weight: Tensor | None) -> _Terms:
    """Cross-entropy of (N, C, ...) logits with distributions over the classes."""

    def weighted(x: Tensor, y: Tensor) -> Tensor:
        q = (1 - smoothing) * y + smoothing / x.shape[1]
        return q if weight is None else _class_column(weight, x) * q

    def values(out: Tensor | None, x: Tensor, y: Tensor) -> Tensor:
        q = weighted(x, y)
        return -(q * torch.log_softmax(x, 1)).where(q != 0, 0).sum(1)

    def gradient(out: Tensor | None, grad: Tensor, x: Tensor, y: Tensor) -> Tensor:
        q = weighted(x, y)
        p = _softmax(out, x)
        slope = torch.mul(p, q.sum(1, keepdim=True), out=out).sub_(q)
        return slope.mul_(grad.unsqueeze(1) if grad.ndim else grad)

    return _Terms(values, gradient)


def cross_entropy(
    input: Logits,
    target: Labels,
    weight: Weights | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Loss:
    r"""Cross-entropy between a target distribution and the softmax of logits.

    $\ell = -\sum_c w_c q_c \log \mathrm{softmax}(x)_c$, where $q = (1 - \varepsilon) y + \varepsilon / C$

    Shapes: input (C,) or (N, C, ...); target the same without C (classes, int) or the same (probabilities); weight
    (C,); the result as target without C ("none") or no axis.
    Conventions: the mean of classes divides by the sum of their weights, and is NaN where all are ignored; every class
    shares epsilon.
    Raises: TypeError if an input is no floating-point tensor, ValueError if shapes do not fit, a class does not exist
    (on a CPU), or for a smoothing outside [0, 1] or an unknown reduction.
    Source: Goodfellow et al. (2016), equation 6.30; smoothing: Szegedy et al., Rethinking the Inception Architecture
    (2016), section 7.
    """
    x, weight = _batched(input, weight)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be from 0 to 1, not {label_smoothing!r}")
    if target.is_floating_point():
        y = _pair(input, target)[1].reshape(x.shape)
        loss = _reduced(_of_distributions(label_smoothing, weight), reduction, x.numel() // x.shape[1], x, y)
    else:
        labels, kept = _labels(input, target, ignore_index)
        of_label = (torch.ones_like(labels, dtype=x.dtype) if weight is None else weight.to(x.dtype)[labels]) * kept
        terms = _of_labels(label_smoothing, weight)
        loss = _reduced(terms, reduction, _wide(of_label).sum().to(x.dtype), x, labels, of_label, kept)
    return loss if input.ndim > 1 or reduction != "none" else loss.squeeze(0)


def nll_loss(
    input: Logits,
    target: Classes,
    weight: Weights | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Loss:
    r"""Negative log-likelihood: picks the log-probability of the class, $\ell = -w_y x_y$.

    Shapes: input (C,) or (N, C, ...), target the same without C, weight (C,); the result as target or without axes.
    Conventions: the mean divides by the sum of the classes' weights, and is NaN where all are ignored.
    Raises: TypeError if an input is no floating-point tensor or target holds no integers, ValueError if shapes do not
    fit, a class does not exist (on a CPU) or for an unknown reduction.
    Source: Goodfellow et al. (2016), equation 6.12.
    """
    x, weight = _batched(input, weight)
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be {' or '.join(map(repr, REDUCTIONS))}, not {reduction!r}")
    try:
        loss = torch.nn.functional.nll_loss(
            x, _expected(input, _integers(target)), weight, ignore_index=ignore_index, reduction=reduction
        )
    except IndexError:
        _labels(input, target, ignore_index)
        raise
    return loss if input.ndim > 1 or reduction != "none" else loss.squeeze(0)


def _integers(target: Any) -> Tensor:
    if not isinstance(target, Tensor) or target.is_floating_point():
        kind = str(target.dtype).removeprefix("torch.") if isinstance(target, Tensor) else type(target).__name__
        raise TypeError(f"target must hold integers, not {kind}")
    return target


# --- divergence and margin -------------------------------------------------------------------------------------------


def _divergence(out: Tensor | None, x: Tensor, p: Tensor) -> Tensor:
    none = p == 0  # neither values nor autograd may meet log 0
    return torch.add(p, none, out=out).log_().sub_(x).mul_(p).masked_fill_(none, 0)


_DIVERGENCE = _Terms(_divergence, lambda out, grad, x, p: torch.mul(p, -grad, out=out))
_LOG_DIVERGENCE = _Terms(
    lambda out, x, log_p: torch.sub(log_p, x, out=out).mul_(log_p.exp()),
    lambda out, grad, x, log_p: torch.mul(log_p.exp(), -grad, out=out),
)


def kl_div(
    input: Values,
    target: Values,
    reduction: Literal["none", "sum", "mean", "batchmean"] = "mean",
    log_target: bool = False,
) -> Loss:
    r"""Kullback-Leibler divergence from log-probabilities x to a target p: $\ell = p (\log p - x)$, 0 where p is 0.

    Shapes: input and target of any one shape; the result has it too ("none") or no axis.
    Conventions: "batchmean" divides by the examples, which gives the mean divergence; "mean" by all elements.
    Raises: TypeError if an input is no floating-point tensor, ValueError for different shapes or reductions.
    Source: Goodfellow et al. (2016), equation 3.50.
    """
    x, p = _pair(input, target)
    terms = _LOG_DIVERGENCE if log_target else _DIVERGENCE
    if reduction == "batchmean":
        return _reduced(terms, "sum", 1, x, p) / (x.shape[0] if x.ndim else 1)
    return _reduced(terms, reduction, x.numel(), x, p)


def hinge_loss(
    scores: Float[Tensor, "N C"], target: Int[Tensor, "N"], margin: float = 1.0, reduction: Reduction = "mean"
) -> Float[Tensor, "..."]:
    r"""Multi-class margin loss $\ell = \frac1C \sum_{j \ne y} \max(0, m - s_y + s_j)$.

    Shapes: scores (N, C), target (N,); the result (N,) or no axis.
    Conventions: averaged over all C classes; the gradient where the margin is met exactly is 0.
    Raises: TypeError if scores is no floating-point tensor or target holds no integers, ValueError if shapes do not
    fit, a class does not exist (on a CPU) or for an unknown reduction.
    Source: Weston, Watkins, Support Vector Machines for Multi-Class Pattern Recognition (1999), section 3.
    """
    if _floating("scores", scores).ndim != 2 or scores.shape[1] == 0:
        raise ValueError(f"scores must have shape (N, C) with C > 0, not {tuple(scores.shape)}")
    labels, _ = _labels(scores, _integers(target), None)

    def violations(out: Tensor | None, s: Tensor, column: Tensor) -> Tensor:
        return torch.add(s, margin - s.gather(1, column), out=out).relu_().scatter_(1, column, 0)

    def values(out: Tensor | None, s: Tensor, column: Tensor) -> Tensor:
        return violations(out, s, column).sum(1) / s.shape[1]

    def gradient(out: Tensor | None, grad: Tensor, s: Tensor, column: Tensor) -> Tensor:
        slope = violations(out, s.detach(), column).sign_()
        slope = slope.scatter_(1, column, -slope.sum(1, keepdim=True))
        return slope * (grad.unsqueeze(1) if grad.ndim else grad) / s.shape[1]

    return _reduced(_Terms(values, gradient), reduction, scores.shape[0], scores, labels.unsqueeze(1))
