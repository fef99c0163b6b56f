"""Unsupervised pretraining in PyTorch, for any device and floating-point dtype; gradients by autograd.

Where a gradient is no derivative of anything, as in contrastive divergence, it is written out.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Visible = Float[Tensor, "N D"]
Weight = Float[Tensor, "H D"]
VisibleBias = Float[Tensor, "D"]
HiddenBias = Float[Tensor, "H"]
Energies = Float[Tensor, "N"]

MOST_STATES = 20
"""Units on the smaller side of a machine whose states are still enumerated."""


class Machine(NamedTuple):
    """The parameters of a restricted Boltzmann machine: weight (H, D), visible bias (D,), hidden bias (H,)."""

    weight: Tensor
    visible_bias: Tensor
    hidden_bias: Tensor


def _floating(name: str, value: Any, shape: tuple[int | None, ...]) -> Tensor:
    """The tensor, of a shape in which None is any length."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, not {type(value).__name__}")
    if not value.is_floating_point():
        raise TypeError(f"{name} must hold floating-point numbers, not {str(value.dtype).removeprefix('torch.')}")
    found = tuple(value.shape)
    if len(found) != len(shape) or any(n not in (m, None) for n, m in zip(shape, found, strict=True)):
        wanted = str(tuple("any" if n is None else n for n in shape)).replace("'", "")
        raise ValueError(f"{name} must have shape {wanted}, not {found}")
    return value


def _machine(weight: Any, visible_bias: Any, hidden_bias: Any) -> Machine:
    hidden, visible = _floating("weight", weight, (None, None)).shape
    _floating("visible_bias", visible_bias, (visible,))
    return Machine(weight, visible_bias, _floating("hidden_bias", hidden_bias, (hidden,)))


def autoencoder(
    x: Visible,
    weight: Weight,
    bias: HiddenBias,
    decoder_bias: VisibleBias,
    decoder_weight: Float[Tensor, "D H"] | None = None,
    *,
    linear_output: bool = False,
) -> Visible:
    r"""Reconstruction $\sigma(V \sigma(W x + b) + c)$ of the input from a hidden code.

    Weights are tied, $V = W^T$, where no decoder weight is given.

    Shapes: x (N, D), weight (H, D), bias (H,), decoder_bias (D,), decoder_weight (D, H); the result (N, D).
    Conventions: ``linear_output`` leaves the last sigmoid out.
    Raises: TypeError if an input is no floating-point tensor, ValueError if the shapes do not fit each other.
    Source: Vincent et al., Stacked Denoising Autoencoders (2010), section 2.1, equations 1 to 3.
    """
    hidden, visible = _floating("weight", weight, (None, None)).shape
    _floating("x", x, (None, visible))
    _floating("bias", bias, (hidden,))
    if decoder_weight is not None:
        _floating("decoder_weight", decoder_weight, (visible, hidden))
    _floating("decoder_bias", decoder_bias, (visible,))
    if linear_output not in (False, True):
        raise ValueError(f"linear_output must be False or True, not {linear_output!r}")
    code = torch.sigmoid(F.linear(x, weight, bias))
    output = F.linear(code, weight.T if decoder_weight is None else decoder_weight, decoder_bias)
    return output if linear_output else torch.sigmoid(output)


def hidden_probabilities(v: Visible, machine: Machine) -> Float[Tensor, "N H"]:
    r"""$P(h_j = 1 \mid v) = \sigma(c_j + W_j \cdot v)$."""
    return torch.sigmoid(F.linear(v, machine.weight, machine.hidden_bias))


def visible_probabilities(h: Float[Tensor, "N H"], machine: Machine) -> Visible:
    r"""$P(v_i = 1 \mid h) = \sigma(b_i + \sum_j W_{ji} h_j)$."""
    return torch.sigmoid(F.linear(h, machine.weight.T, machine.visible_bias))


def rbm_free_energy(v: Visible, weight: Weight, visible_bias: VisibleBias, hidden_bias: HiddenBias) -> Energies:
    r"""Free energy of visible vectors, $F(v) = -b \cdot v - \sum_j \log(1 + e^{c_j + W_j \cdot v})$.

    Shapes: v (N, D), weight (H, D), visible_bias (D,), hidden_bias (H,); the result (N,).
    Raises: TypeError if an input is no floating-point tensor, ValueError if the shapes do not fit each other.
    Source: Hinton, A Practical Guide to Training Restricted Boltzmann Machines (2010), equation 25.
    """
    machine = _machine(weight, visible_bias, hidden_bias)
    return _free_energy(_floating("v", v, (None, machine.weight.shape[1])), machine)


def _free_energy(v: Tensor, machine: Machine) -> Tensor:
    # the default threshold, from which on softplus is taken for linear, would cost half of float64's digits
    inputs = F.linear(v, machine.weight, machine.hidden_bias)
    return -v @ machine.visible_bias - F.softplus(inputs, threshold=64).sum(1)


def states(units: int, like: Tensor) -> Float[Tensor, "S U"]:
    """Every vector of so many binary units, (2^units, units)."""
    number = torch.arange(2**units, device=like.device)[:, None]
    return (number >> torch.arange(units, device=like.device) & 1).to(like.dtype)


def rbm_log_likelihood(v: Visible, weight: Weight, visible_bias: VisibleBias, hidden_bias: HiddenBias) -> Energies:
    r"""Exact log-probability $-F(v) - \log Z$ of visible vectors, for machines small enough to enumerate.

    Shapes: as rbm_free_energy.
    Raises: TypeError, ValueError as rbm_free_energy, and if both sides have more than ``MOST_STATES`` units.
    Source: Hinton (2010), equation 4.
    """
    machine = _machine(weight, visible_bias, hidden_bias)
    hidden, visible = weight.shape
    if min(hidden, visible) > MOST_STATES:
        raise ValueError(f"weight must have a side of at most {MOST_STATES} units, not {tuple(weight.shape)}")
    smaller = machine if visible <= hidden else Machine(weight.T, hidden_bias, visible_bias)
    energies = _free_energy(states(min(hidden, visible), weight), smaller)
    return -rbm_free_energy(v, weight, visible_bias, hidden_bias) - torch.logsumexp(-energies, 0)


def _alternate(v: Tensor, machine: Machine, hidden: Tensor, visible: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One step of alternate sampling: the hidden sample, the visible probabilities, their sample."""
    h = (hidden < hidden_probabilities(v, machine)).to(v.dtype)
    p = visible_probabilities(h, machine)
    return h, p, (visible < p).to(v.dtype)


def _uniforms(v: Tensor, machine: Machine, hidden: Any, visible: Any) -> tuple[Tensor, Tensor]:
    _floating("hidden_uniforms", hidden, (None, len(v), machine.weight.shape[0]))
    if not len(hidden):
        raise ValueError("hidden_uniforms must have at least one step, not 0")
    return hidden, _floating("visible_uniforms", visible, (len(hidden), *v.shape))


@torch.no_grad()
def contrastive_divergence(
    v: Visible,
    weight: Weight,
    visible_bias: VisibleBias,
    hidden_bias: HiddenBias,
    hidden_uniforms: Float[Tensor, "k N H"],
    visible_uniforms: Float[Tensor, "k N D"],
) -> tuple[Weight, VisibleBias, HiddenBias]:
    r"""CD-k: estimate of the gradient of the log-likelihood, by which weight and biases go up.

    $\Delta W = \langle p(h \mid v^0) v^{0T} \rangle - \langle p(h \mid v^k) v^{kT} \rangle$, means over examples, where
    $v^k$ is sampled; a unit is 1 where its uniform number is below its probability.

    Shapes: v (N, D), weight (H, D), visible_bias (D,), hidden_bias (H,), hidden_uniforms (k, N, H), visible_uniforms
    (k, N, D); the results as weight, visible_bias, hidden_bias.
    Raises: TypeError if an input is no floating-point tensor, ValueError if the shapes do not fit, or for no step.
    Source: Hinton, Training Products of Experts by Minimizing Contrastive Divergence (2002); Hinton (2010), section 3.
    """
    machine = _machine(weight, visible_bias, hidden_bias)
    end = _floating("v", v, (None, weight.shape[1]))
    for uniforms in zip(*_uniforms(v, machine, hidden_uniforms, visible_uniforms), strict=True):
        _, _, end = _alternate(end, machine, *uniforms)
    start, left = hidden_probabilities(v, machine), hidden_probabilities(end, machine)
    return (start.T @ v - left.T @ end) / len(v), (v - end).mean(0), (start - left).mean(0)


@torch.no_grad()
def deep_belief_network(
    h: Float[Tensor, "N H"],
    weight: Weight,
    visible_bias: VisibleBias,
    top_weight: Float[Tensor, "T H"],
    hidden_bias: HiddenBias,
    top_bias: Float[Tensor, "T"],
    top_uniforms: Float[Tensor, "k N T"],
    hidden_uniforms: Float[Tensor, "k N H"],
    visible_uniforms: Visible,
) -> Visible:
    r"""Draw from a deep belief network of two machines: sample the upper one, then go down once.

    $P(t \mid h) = \sigma(d + U h)$, $P(h \mid t) = \sigma(c + U^T t)$ in turn; then $P(v \mid h) = \sigma(b + W^T h)$.

    Shapes: h (N, H), weight W (H, D), visible_bias b (D,), top_weight U (T, H), hidden_bias c (H,), top_bias d (T,),
    uniform numbers (k, N, T), (k, N, H) and (N, D); the result (N, D).
    Conventions: the visible units are sampled.
    Raises: TypeError if an input is no floating-point tensor, ValueError if the shapes do not fit, or for no step.
    Source: Hinton, Osindero, Teh, A Fast Learning Algorithm for Deep Belief Nets (2006), section 5 and figure 5.
    """
    lower, upper = _machine(weight, visible_bias, hidden_bias), _machine(top_weight, hidden_bias, top_bias)
    h = _floating("h", h, (None, top_weight.shape[1]))
    last = _floating("visible_uniforms", visible_uniforms, (len(h), weight.shape[1]))
    for top, hidden in zip(*_uniforms(h, upper, top_uniforms, hidden_uniforms), strict=True):
        _, _, h = _alternate(h, upper, top, hidden)
    return (last < visible_probabilities(h, lower)).to(h.dtype)


def train_rbm(
    data: Visible,
    hidden: int,
    generator: torch.Generator | None = None,
    *,
    rate: float = 0.1,
    epochs: int = 10,
    batch: int = 20,
    steps: int = 1,
    start: Machine | None = None,
) -> Machine:
    """A machine fitted to data by contrastive divergence, from a start or weights N(0, 0.01^2) and biases of zero.

    Shapes: data (N, D), between 0 and 1.
    Raises: TypeError, ValueError if data is no floating-point tensor of such a shape.
    Source: Hinton (2010), sections 3, 8.
    """
    visible, kind = _floating("data", data, (None, None)).shape[1], {"device": data.device, "dtype": data.dtype}
    weight = 0.01 * torch.randn(hidden, visible, generator=generator, **kind)
    fresh = Machine(weight, torch.zeros(visible, **kind), torch.zeros(hidden, **kind))
    machine = fresh if start is None else Machine(*(value.clone() for value in start))
    for _ in range(epochs):
        for chosen in torch.randperm(len(data), generator=generator, device=data.device).split(batch):
            v = data[chosen]
            shapes = (steps, len(v), hidden), (steps, *v.shape)
            uniforms = [torch.rand(shape, generator=generator, **kind) for shape in shapes]
            for value, change in zip(machine, contrastive_divergence(v, *machine, *uniforms), strict=True):
                value += rate * change
    return machine


def greedy(
    data: Visible,
    sizes: Sequence[int],
    generator: torch.Generator | None = None,
    *,
    sampled: bool = True,
    **training: Any,
) -> list[Machine]:
    """A stack of machines, each trained on the hidden units of the one below: greedy layerwise pretraining.

    Shapes: data (N, D); ``sizes`` are the numbers of hidden units, from the bottom up; ``training`` as train_rbm.
    Conventions: ``sampled``, whether a machine sees samples of the hidden units or their probabilities.
    Raises: TypeError, ValueError as train_rbm.
    Source: Hinton, Osindero, Teh (2006), section 4; Bengio et al., Greedy Layer-Wise Training (2007), section 2.3.
    """
    stack = []
    for size in sizes:
        stack.append(train_rbm(data, size, generator, **training))
        data = hidden_probabilities(data, stack[-1])
        data = torch.bernoulli(data, generator=generator) if sampled else data
    return stack


def generate(
    stack: Sequence[Machine], number: int, generator: torch.Generator | None = None, steps: int = 1000
) -> Visible:
    """New visible probabilities from a stack of machines: sample the uppermost, then go down once.

    Shapes: the result (number, D).
    Raises: ValueError for an empty stack.
    Source: Hinton, Osindero, Teh (2006), section 7: what the network has in mind.
    """
    if not stack:
        raise ValueError("stack must hold at least one machine, not 0")
    *lower, top = stack

    def uniform(units: Tensor) -> Tensor:
        return torch.rand(number, len(units), generator=generator, device=units.device, dtype=units.dtype)

    v = p = uniform(top.visible_bias)
    for _ in range(steps):
        _, p, v = _alternate(v, top, uniform(top.hidden_bias), uniform(top.visible_bias))
    for machine in reversed(lower):
        p = visible_probabilities(v, machine)
        v = (uniform(machine.visible_bias) < p).to(p.dtype)
    return p
