"""Normalisation layers in PyTorch, for any device and floating-point dtype.

For batch normalisation torch has kernels that read and write each element as often as it takes: they are used. For
local response normalisation, which torch composes of a padded pooling over a further axis, the kernel is written here.
"""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

Values = Float[Tensor, "N C *space"]
Channels = Float[Tensor, "C"]

_BLOCK = 2**17
"""Elements of a block: with what is computed from them, about a core's share of the cache."""


def _floating(name: str, value: Any, axes: int) -> Tensor:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, not {type(value).__name__}")
    if not value.is_floating_point():
        raise TypeError(f"{name} must hold floating-point numbers, not {str(value.dtype).removeprefix('torch.')}")
    if value.ndim < axes:
        raise ValueError(f"{name} has shape {tuple(value.shape)}, expected at least {axes} axes")
    return value


# --- batch normalisation ---------------------------------------------------------------------------------------------


def _other_axes(x: Tensor) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


class BatchNorm(nn.Module):
    r"""Batch normalisation of each channel, $y = \gamma (x - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta$.

    In training by the batch's mean and (biased) variance, which also move ``running_mean`` and (unbiased)
    ``running_var``; in evaluation by those two. ``freeze`` keeps them as they are, ``unfreeze`` lets them move again.

    Shapes: x and the result (N, C, ...); weight, bias, running_mean and running_var (C,).
    Conventions: momentum is the weight of the new batch, None gives every batch the same weight; one value per channel
    in training is an error.
    Raises: TypeError, ValueError if x does not fit, a setting is out of range, or training sees one value per channel.
    Source: Ioffe, Szegedy, Batch Normalization (2015), algorithms 1 and 2; notes 001, section 4.
    """

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ):
        super().__init__()
        if momentum is not None and not 0 <= momentum <= 1:
            raise ValueError(f"momentum was {momentum}, expected a number from 0 to 1 or None")
        if not eps >= 0:
            raise ValueError(f"eps was {eps}, expected a number of at least 0")
        self.num_features, self.eps, self.momentum, self.frozen = num_features, eps, momentum, False
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(num_features) if track_running_stats else None)
        self.register_buffer("running_var", torch.ones(num_features) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", torch.tensor(0) if track_running_stats else None)

    def freeze(self) -> None:
        """Keep the running statistics as they are in training, too; calling it again changes nothing."""
        self.frozen = True

    def unfreeze(self) -> None:
        """Let the running statistics move again."""
        self.frozen = False

    def forward(self, x: Values) -> Values:
        """The normalised batch."""
        x = _floating("x", x, 2)
        if x.shape[1] != self.num_features:
            raise ValueError(f"x has {x.shape[1]} channels, expected {self.num_features}")
        values = x.numel() // max(x.shape[1], 1)
        if self.training and values == 1:
            raise ValueError(f"x has shape {tuple(x.shape)}, expected more than 1 value per channel in training")
        moves = self.training and not self.frozen
        by_batch = self.training or self.running_mean is None
        used = (self.running_mean, self.running_var) if moves or not by_batch else (None, None)
        rate = self._rate() if moves else 0.0
        return nn.functional.batch_norm(x, *used, self.weight, self.bias, by_batch, rate, self.eps)

    def _rate(self) -> float:
        """The weight of the batch at hand, which is counted."""
        if self.num_batches_tracked is None:
            return 0.0
        self.num_batches_tracked += 1
        return 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum

    def extra_repr(self) -> str:
        """The settings, as torch's layers show theirs."""
        settings = f"eps={self.eps}, momentum={self.momentum}, affine={self.weight is not None}"
        return f"{self.num_features}, {settings}, track_running_stats={self.running_mean is not None}"


def folded(layer: nn.Linear | nn.Conv2d, norm: BatchNorm) -> tuple[Tensor, Tensor]:
    r"""Weight and bias of the layer that does a dense or convolution layer's work and that of the evaluation behind it.

    $W'_c = \gamma_c W_c / \sqrt{\sigma_c^2 + \epsilon}$,
    $b'_c = \gamma_c (b_c - \mu_c) / \sqrt{\sigma_c^2 + \epsilon} + \beta_c$

    Shapes: the layer's own.
    Raises: ValueError if the normalisation tracks no statistics.
    Source: Jacob et al., Quantization and Training of Neural Networks (2018), section 3.2, equation 14.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("norm tracks no running statistics, expected track_running_stats=True")
    scale = torch.rsqrt(norm.running_var + norm.eps) * (1.0 if norm.weight is None else norm.weight)
    before = -norm.running_mean if layer.bias is None else layer.bias - norm.running_mean
    shift = scale * before + (0.0 if norm.bias is None else norm.bias)
    return layer.weight * scale.reshape(-1, *(1,) * (layer.weight.ndim - 1)), shift


@torch.no_grad()
def set_population_statistics(norm: BatchNorm, batches: Iterable[Tensor]) -> None:
    r"""Give a layer the mean and unbiased variance of all values of a whole data set, pooled batch by batch.

    $\mu = \frac{1}{M} \sum m_b \mu_b$, $\sigma^2 = \frac{1}{M-1} \sum m_b (\sigma_b^2 + (\mu_b - \mu)^2)$

    Shapes: every batch (N, C, ...).
    Raises: ValueError without any batch, or if the layer tracks no statistics.
    Source: notes 001, section 4, first way.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("norm tracks no running statistics, expected track_running_stats=True")
    total, mean, squares = 0, torch.zeros_like(norm.running_mean), torch.zeros_like(norm.running_var)
    for batch in batches:
        size = batch.numel() // batch.shape[1]
        variance, of_batch = torch.var_mean(batch, _other_axes(batch), correction=0)
        step = of_batch - mean
        squares += size * variance + step.square() * (total * size / (total + size))
        mean, total = mean + step * (size / (total + size)), total + size
    if not total:
        raise ValueError("batches was empty, expected at least one batch")
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(squares / max(total - 1, 1))


# --- local response normalisation ------------------------------------------------------------------------------------


def _summed(values: Tensor, total: Tensor, below: int, above: int) -> Tensor:
    """Add to a total, which holds each channel's own share, what its neighbours below and above have."""
    for offset in range(1, min(max(below, above) + 1, values.shape[1])):
        if offset <= below:
            total[:, offset:].add_(values[:, :-offset])
        if offset <= above:
            total[:, :-offset].add_(values[:, offset:])
    return total


def _to_minus(scale: Tensor, beta: float) -> Tensor:
    """scale^-beta, by roots where they give it: they are several times as fast as a power."""
    if beta == 0.75:
        root = torch.rsqrt(scale)
        return torch.sqrt(root) * root
    return torch.rsqrt(scale) if beta == 0.5 else scale.pow(-beta)


def _in_blocks(function: Any, *tensors: Tensor) -> Tensor:
    """A function of examples, block by block on a CPU, so that what it computes in between stays in the cache."""
    x = tensors[0]
    each = max(1, x[0].numel()) if len(x) else 1
    rows = max(1, _BLOCK // each) if x.device.type == "cpu" else max(len(x), 1)
    output = torch.empty_like(x, memory_format=torch.contiguous_format)
    for start in range(0, len(x), rows):
        block = slice(start, start + rows)
        output[block] = function(*(tensor[block] for tensor in tensors))
    return output


def _precise(x: Tensor) -> Tensor:
    return x.float() if x.element_size() < 4 else x


class _LocalResponseNorm(torch.autograd.Function):
    """The window's sum as few shifted additions; backward works the scale out again in place of keeping it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, below: int, above: int, factor: float, beta: float, k: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.settings = below, above, factor, beta, k

        def block(x: Tensor) -> Tensor:
            x = _precise(x)
            return _to_minus(_scale(x, below, above, factor, k), beta).mul_(x)

        return _in_blocks(block, x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        below, above, factor, beta, k = ctx.settings

        def block(x: Tensor, grad: Tensor) -> Tensor:
            x, grad = _precise(x), _precise(grad)
            scale = _scale(x, below, above, factor, k)
            through = _to_minus(scale, beta) * grad
            # channel i lies in the windows of those channels that reach it: the window mirrored
            each = through * x / scale
            shared = _summed(each, each.clone(), above, below)
            return torch.addcmul(through, shared, x, value=-2 * factor * beta)

        return (_in_blocks(block, *ctx.saved_tensors, *grad_outputs), *(None,) * 5)


def _scale(x: Tensor, below: int, above: int, factor: float, k: float) -> Tensor:
    squares = torch.square(x)
    return _summed(squares, squares.clone(), below, above).mul_(factor).add_(k)


def local_response_norm(x: Values, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Values:
    r"""Local response normalisation across neighbouring channels.

    $y_c = x_c \, s_c^{-\beta}$,
    $s_c = k + \frac{\alpha}{n} \sum_{j=c-\lfloor n/2 \rfloor}^{c+\lfloor (n-1)/2 \rfloor} x_j^2$

    Shapes: x and the result (N, C, ...), with at least one axis after the channels.
    Conventions: alpha is divided by the window's size n; an even window has its further channel below.
    Raises: TypeError, ValueError if x has fewer than 3 axes or size is below 1.
    Source: Krizhevsky, Sutskever, Hinton, ImageNet classification with deep convolutional neural networks (2012),
    section 3.3; notes 002, AlexNet.
    """
    x = _floating("x", x, 3)
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"size was {size}, expected a whole number of at least 1")
    return _LocalResponseNorm.apply(x, size // 2, (size - 1) // 2, alpha / size, beta, k)  # type: ignore[no-any-return]
