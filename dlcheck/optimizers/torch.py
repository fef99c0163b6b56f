"""The optimizers in PyTorch, drop-ins for those of ``torch.optim``: any device and dtype, the same state dicts."""

# pyright: reportPrivateImportUsage=false
# torch's own optimizers are written on its _foreach functions, and so are these

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

Params = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
Group = dict[str, Any]
Tensors = list[Tensor] | tuple[Tensor, ...]

BLOCK = 1 << 16
"""Elements that are updated together on a CPU: few enough that all arrays of a rule stay in its cache."""


def _require_at_least_zero(group: Group, *names: str) -> None:
    for name in names:
        if not group[name] >= 0:
            raise ValueError(f"{name} is {group[name]}, expected a number of at least 0")


def _require_fraction(group: Group, name: str) -> None:
    if not 0 <= group[name] <= 1:
        raise ValueError(f"{name} is {group[name]}, expected a number from 0 to 1")


def _require_betas(group: Group) -> None:
    betas = group["betas"]
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas is {betas}, expected two numbers of at least 0 and below 1")


def _require_nesterov(group: Group) -> None:
    momentum, dampening = group["momentum"], group["dampening"]
    if group["nesterov"] and (momentum == 0 or dampening != 0):
        given = f"nesterov is True with momentum {momentum} and dampening {dampening}"
        raise ValueError(f"{given}, expected momentum above 0 and dampening 0")


class _Batch(NamedTuple):
    """What is updated together: views to change in place, but for the gradients, which are the caller's.

    ``step`` counts from 1; ``fresh`` says that the buffers hold nothing of earlier steps.
    """

    params: Tensors
    grads: Tensors
    buffers: Mapping[str, Tensors]
    step: int
    fresh: bool


class _Optimizer(torch.optim.Optimizer):
    """What all optimizers share: groups, state, and the walk through memory; a rule is written once, on lists.

    A subclass says which settings must be at least 0, which buffers a group needs, and how to update a batch:
    parameters that are at the same step, or a block of a large one.
    """

    _at_least_zero: ClassVar[tuple[str, ...]] = ("lr", "weight_decay")

    def __init__(self, params: Params, **settings: Any):
        super().__init__(params, settings)

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with their own settings. Raises ValueError for settings out of range."""
        self._check({**self.defaults, **param_group})
        super().add_param_group(param_group)

    def _check(self, group: Group) -> None:
        _require_at_least_zero(group, *self._at_least_zero)

    def _buffers(self, group: Group) -> dict[str, float]:
        """Names of the arrays that a parameter of this group has as state, and the value they start from."""
        raise NotImplementedError

    def _update(self, batch: _Batch, group: Group) -> None:
        """Change the parameters and buffers of a batch in place."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Take one step; a closure is called first, with gradients enabled, and its loss returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for (step, fresh), rows in self._by_step(group).items():
                for tensors in _batches(rows):
                    params, grads, *buffers = (list(column) for column in zip(*tensors, strict=True))
                    named = dict(zip(self._buffers(group), buffers, strict=True))
                    self._update(_Batch(params, _descent(params, grads, group), named, step, fresh), group)
        return loss

    def _by_step(self, group: Group) -> dict[tuple[int, bool], list[tuple[Tensor, ...]]]:
        """Rows of parameter, gradient and buffers of all parameters that have a gradient, by their number of steps."""
        rows: dict[tuple[int, bool], list[tuple[Tensor, ...]]] = {}
        starts = self._buffers(group)
        for param in group["params"]:
            if param.grad is None:
                continue
            if param.grad.is_sparse:
                raise TypeError(
                    f"the gradient of a parameter of shape {tuple(param.shape)} is sparse, expected a dense one"
                )
            state = self.state[param]
            fresh = any(state.get(name) is None for name in starts)
            for name, start in starts.items():
                if state.get(name) is None:
                    state[name] = torch.empty_like(param)
                    _real(state[name]).fill_(start)
            state["step"] = int(state.get("step", 0)) + 1
            row = (param, param.grad, *(state[name] for name in starts))
            rows.setdefault((state["step"], fresh), []).append(tuple(map(_real, row)))
        return rows


def _real(tensor: Tensor) -> Tensor:
    """A complex tensor as pairs of real numbers: every rule here is elementwise."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _descent(params: Tensors, grads: Tensors, group: Group) -> Tensors:
    """The directions to descend along, with the decay that goes through the rule; the gradients stay untouched."""
    if group["maximize"]:
        grads = torch._foreach_neg(grads)
    if group["weight_decay"] and not group.get("decoupled_weight_decay"):
        grads = torch._foreach_add(grads, params, alpha=group["weight_decay"])
    return grads


def _batches(rows: list[tuple[Tensor, ...]]) -> Iterator[list[tuple[Tensor, ...]]]:
    """Rows in batches of about BLOCK elements, large ones cut; all at once on an accelerator, or without buffers."""
    if rows[0][0].device.type != "cpu" or len(rows[0]) == 2:
        yield rows
        return
    batch: list[tuple[Tensor, ...]] = []
    size = 0
    for row in rows:
        for piece in _pieces(row):
            batch.append(piece)
            size += piece[0].numel()
            if size >= BLOCK:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def _pieces(row: tuple[Tensor, ...]) -> Iterable[tuple[Tensor, ...]]:
    if row[0].numel() <= BLOCK or not all(tensor.is_contiguous() for tensor in row):
        return (row,)
    return zip(*(tensor.view(-1).split(BLOCK) for tensor in row), strict=True)


class SGD(_Optimizer):
    """Stochastic gradient descent, with momentum or Nesterov's momentum where ``momentum`` is not 0.

    g_t = grad + weight_decay p;  v_1 = g_1,  v_t = momentum v_{t-1} + (1 - dampening) g_t;
    p <- p - lr v_t, with Nesterov p <- p - lr (g_t + momentum v_t); without momentum p <- p - lr g_t.

    Shapes: the velocity has the shape of its parameter.
    Conventions: those of torch.optim.SGD: lr outside the velocity, first step undamped, decay in the gradient.
    Raises: ValueError for settings out of range, TypeError for sparse gradients.
    Source: Sutskever et al. 2013, "On the importance of initialization and momentum", equations 1 to 4.
    """

    _at_least_zero = ("lr", "momentum", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ):
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
        )

    def _check(self, group: Group) -> None:
        super()._check(group)
        _require_nesterov(group)

    def _buffers(self, group: Group) -> dict[str, float]:
        return {"momentum_buffer": 0.0} if group["momentum"] else {}

    def _update(self, batch: _Batch, group: Group) -> None:
        params, grads, velocity = batch.params, batch.grads, batch.buffers.get("momentum_buffer")
        lr, momentum = float(group["lr"]), group["momentum"]
        if velocity is not None:
            torch._foreach_mul_(velocity, momentum)
            torch._foreach_add_(velocity, grads, alpha=1 if batch.fresh else 1 - group["dampening"])
        if velocity is None or group["nesterov"]:
            torch._foreach_add_(params, grads, alpha=-lr)
        if velocity is not None:
            torch._foreach_add_(params, velocity, alpha=-lr * momentum if group["nesterov"] else -lr)


class Momentum(SGD):
    """Classical (heavy-ball) momentum: ``SGD`` with momentum 0.9 unless told.

    v_t = momentum v_{t-1} + g_t;  p <- p - lr v_t. Shapes, Conventions and Raises as ``SGD``.
    Source: Polyak 1964, "Some methods of speeding up the convergence of iteration methods".
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.9,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, lr, momentum, dampening, weight_decay, nesterov, maximize=maximize)


class Nesterov(SGD):
    """Nesterov's momentum in the form without a gradient at another point: ``SGD`` with nesterov and momentum 0.9.

    v_t = momentum v_{t-1} + g_t;  p <- p - lr (g_t + momentum v_t). Shapes, Conventions and Raises as ``SGD``.
    Source: Bengio et al. 2012, "Advances in optimizing recurrent networks", equations 7 and 8.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.9,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = True,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, lr, momentum, dampening, weight_decay, nesterov, maximize=maximize)


class Adagrad(_Optimizer):
    """Adagrad.

    g = grad + weight_decay p;  s_t = s_{t-1} + g^2, s_0 = initial_accumulator_value;
    p <- p - lr / (1 + (t - 1) lr_decay) g / (sqrt(s_t) + eps).

    Shapes: the sum of squares has the shape of its parameter.
    Conventions: those of torch.optim.Adagrad: eps outside the root, decay in the gradient.
    Raises: ValueError for settings out of range, TypeError for sparse gradients.
    Source: Duchi, Hazan, Singer 2011, "Adaptive subgradient methods", figure 1 (diagonal).
    """

    _at_least_zero = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ):
        super().__init__(
            params,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
            maximize=maximize,
        )

    def _buffers(self, group: Group) -> dict[str, float]:
        return {"sum": group["initial_accumulator_value"]}

    def _update(self, batch: _Batch, group: Group) -> None:
        params, grads, total = batch.params, batch.grads, batch.buffers["sum"]
        rate = float(group["lr"]) / (1 + (batch.step - 1) * group["lr_decay"])
        torch._foreach_addcmul_(total, grads, grads)
        torch._foreach_addcdiv_(params, grads, _root(total, group["eps"]), value=-rate)


def _root(squares: Tensors, eps: float) -> Tensors:
    """Square roots with eps outside, as new tensors."""
    roots = torch._foreach_sqrt(squares)
    torch._foreach_add_(roots, eps)
    return roots


def _average(averages: Tensors, decay: float, values: Tensors) -> None:
    """Move running averages of squares on by one step, in place."""
    torch._foreach_mul_(averages, decay)
    torch._foreach_addcmul_(averages, values, values, value=1 - decay)


class RMSprop(_Optimizer):
    """RMSprop, centred and with momentum on demand.

    g = grad + weight_decay p;  s_t = alpha s_{t-1} + (1 - alpha) g^2;  a_t = alpha a_{t-1} + (1 - alpha) g;
    d = g / (sqrt(s_t - a_t^2 if centred, else s_t) + eps);  b_t = momentum b_{t-1} + d;  p <- p - lr b_t.

    Shapes: all averages have the shape of their parameter.
    Conventions: those of torch.optim.RMSprop: eps outside the root, s_0 = 0, lr outside the velocity.
    Raises: ValueError for settings out of range, TypeError for sparse gradients.
    Source: Hinton 2012, "Neural networks for machine learning", lecture 6e; Graves 2013, equations 38 to 45.
    """

    _at_least_zero = ("lr", "eps", "weight_decay", "momentum")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ):
        super().__init__(
            params,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
            maximize=maximize,
        )

    def _check(self, group: Group) -> None:
        super()._check(group)
        _require_fraction(group, "alpha")

    def _buffers(self, group: Group) -> dict[str, float]:
        wanted = {"square_avg": True, "grad_avg": group["centered"], "momentum_buffer": group["momentum"] > 0}
        return {name: 0.0 for name, needed in wanted.items() if needed}

    def _update(self, batch: _Batch, group: Group) -> None:
        params, grads, square = batch.params, batch.grads, batch.buffers["square_avg"]
        mean, velocity = batch.buffers.get("grad_avg"), batch.buffers.get("momentum_buffer")
        alpha, lr = group["alpha"], float(group["lr"])
        _average(square, alpha, grads)
        if mean is not None:
            torch._foreach_lerp_(mean, grads, 1 - alpha)
            square = torch._foreach_addcmul(square, mean, mean, value=-1)
        roots = _root(square, group["eps"])
        if velocity is None:
            torch._foreach_addcdiv_(params, grads, roots, value=-lr)
            return
        torch._foreach_mul_(velocity, group["momentum"])
        torch._foreach_addcdiv_(velocity, grads, roots)
        torch._foreach_add_(params, velocity, alpha=-lr)


class Adadelta(_Optimizer):
    """Adadelta.

    g = grad + weight_decay p;  s_t = rho s_{t-1} + (1 - rho) g^2;  d = sqrt(u_{t-1} + eps) / sqrt(s_t + eps) g;
    u_t = rho u_{t-1} + (1 - rho) d^2;  p <- p - lr d.

    Shapes: both averages have the shape of their parameter.
    Conventions: those of torch.optim.Adadelta: u_t averages the step without lr.
    Raises: ValueError for settings out of range, TypeError for sparse gradients.
    Source: Zeiler 2012, "ADADELTA" (arXiv 1212.5701), algorithm 1.
    """

    _at_least_zero = ("lr", "eps", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize)

    def _check(self, group: Group) -> None:
        super()._check(group)
        _require_fraction(group, "rho")

    def _buffers(self, group: Group) -> dict[str, float]:
        return {"square_avg": 0.0, "acc_delta": 0.0}

    def _update(self, batch: _Batch, group: Group) -> None:
        params, grads, rho, eps = batch.params, batch.grads, group["rho"], group["eps"]
        square, delta = batch.buffers["square_avg"], batch.buffers["acc_delta"]
        _average(square, rho, grads)
        steps, roots = torch._foreach_add(delta, eps), torch._foreach_add(square, eps)
        torch._foreach_sqrt_(steps)
        torch._foreach_sqrt_(roots)
        torch._foreach_div_(steps, roots)
        torch._foreach_mul_(steps, grads)
        _average(delta, rho, steps)
        torch._foreach_add_(params, steps, alpha=-float(group["lr"]))


class Adam(_Optimizer):
    """Adam, with AMSGrad's maximum on demand.

    g = grad + weight_decay p;  m_t = b1 m_{t-1} + (1 - b1) g;  v_t = b2 v_{t-1} + (1 - b2) g^2;
    p <- p - lr m_t / (1 - b1^t) / (sqrt(v_t / (1 - b2^t)) + eps);  AMSGrad: max_{s <= t} v_s in place of v_t.

    Shapes: all averages have the shape of their parameter.
    Conventions: those of torch.optim.Adam: eps outside the root, the maximum taken before the correction, decay in the
    gradient unless ``decoupled_weight_decay``, which takes lr weight_decay p off p.
    Raises: ValueError for settings out of range, TypeError for sparse gradients.
    Source: Kingma, Ba 2015 (arXiv 1412.6980), algorithm 1; Reddi, Kale, Kumar 2018, algorithm 2.
    """

    _at_least_zero = ("lr", "eps", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ):
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            maximize=maximize,
            decoupled_weight_decay=decoupled_weight_decay,
        )

    def _check(self, group: Group) -> None:
        super()._check(group)
        _require_betas(group)

    def _buffers(self, group: Group) -> dict[str, float]:
        names = ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if group["amsgrad"] else ()))
        return dict.fromkeys(names, 0.0)

    def _update(self, batch: _Batch, group: Group) -> None:
        params, mean, square = batch.params, batch.buffers["exp_avg"], batch.buffers["exp_avg_sq"]
        lr, (beta1, beta2) = float(group["lr"]), group["betas"]
        if group["decoupled_weight_decay"] and group["weight_decay"]:
            torch._foreach_mul_(params, 1 - lr * group["weight_decay"])
        torch._foreach_lerp_(mean, batch.grads, 1 - beta1)
        _average(square, beta2, batch.grads)
        if group["amsgrad"]:
            torch._foreach_maximum_(batch.buffers["max_exp_avg_sq"], square)
            square = batch.buffers["max_exp_avg_sq"]
        # both corrections go into the step size and eps, which saves a pass over the roots
        root_correction = (1 - beta2**batch.step) ** 0.5
        roots = _root(square, group["eps"] * root_correction)
        torch._foreach_addcdiv_(params, mean, roots, value=-lr * root_correction / (1 - beta1**batch.step))


class AdamW(Adam):
    """AdamW: Adam whose weight decay does not pass through the averages.

    p <- p - lr weight_decay p - lr m_t / (1 - b1^t) / (sqrt(v_t / (1 - b2^t)) + eps), m_t and v_t as in ``Adam``.
    Shapes, Raises as ``Adam``. Conventions: those of torch.optim.AdamW: lr scales the decay of the old weights.
    Source: Loshchilov, Hutter 2019 (arXiv 1711.05101), algorithm 2.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)
