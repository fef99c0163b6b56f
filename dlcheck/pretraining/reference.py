"""Unsupervised pretraining in NumPy float64: autoencoders, restricted Boltzmann machines, deep belief networks.

Units are binary: $P(v, h) = e^{-E(v, h)} / Z$ with $E(v, h) = -b^T v - c^T h - h^T W v$. Randomness comes in as uniform
numbers, so that functions are deterministic; ``train_rbm``, ``greedy`` and ``generate`` draw them from a generator.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from dlcheck.activations.reference import sigmoid

Array = NDArray[np.float64]
Visible = Float[np.ndarray, "N D"]
Weight = Float[np.ndarray, "H D"]
VisibleBias = Float[np.ndarray, "D"]
HiddenBias = Float[np.ndarray, "H"]
Energies = Float[np.ndarray, "N"]

Reconstruction = Literal["sampled", "probabilities", "probabilities_throughout"]

MOST_STATES = 20
"""Units on the smaller side of a machine whose states are still enumerated: 2^20 of them."""


class Machine(NamedTuple):
    """The parameters of a restricted Boltzmann machine: weight (H, D), visible bias (D,), hidden bias (H,)."""

    weight: Array
    visible_bias: Array
    hidden_bias: Array


def _real(name: str, value: Any, shape: tuple[int | None, ...]) -> Array:
    """The value in float64, of a shape in which None is any length."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold floating-point numbers, not {array.dtype}")
    if len(array.shape) != len(shape) or any(n not in (m, None) for n, m in zip(shape, array.shape, strict=True)):
        wanted = str(tuple("any" if n is None else n for n in shape)).replace("'", "")
        raise ValueError(f"{name} must have shape {wanted}, not {array.shape}")
    return array.astype(np.float64)


def _machine(weight: Any, visible_bias: Any, hidden_bias: Any) -> Machine:
    weight = _real("weight", weight, (None, None))
    hidden, visible = weight.shape
    return Machine(
        weight, _real("visible_bias", visible_bias, (visible,)), _real("hidden_bias", hidden_bias, (hidden,))
    )


def _choice(name: str, value: Any, among: Sequence[Any]) -> Any:
    if value not in among:
        raise ValueError(f"{name} must be {' or '.join(map(repr, among))}, not {value!r}")
    return value


# --- autoencoder -----------------------------------------------------------------------------------------------------


def _coder(x: Any, weight: Any, bias: Any, decoder_bias: Any, decoder_weight: Any) -> tuple[Array, ...]:
    weight = _real("weight", weight, (None, None))
    hidden, visible = weight.shape
    arrays = _real("x", x, (None, visible)), weight, _real("bias", bias, (hidden,))
    decoder = weight.T if decoder_weight is None else _real("decoder_weight", decoder_weight, (visible, hidden))
    return (*arrays, _real("decoder_bias", decoder_bias, (visible,)), decoder)


def autoencoder(
    x: Visible,
    weight: Weight,
    bias: HiddenBias,
    decoder_bias: VisibleBias,
    decoder_weight: Float[np.ndarray, "D H"] | None = None,
    *,
    linear_output: bool = False,
) -> Visible:
    r"""Reconstruction of the input from a hidden code.

    $h = \sigma(W x + b)$, $y = \sigma(V h + c)$, with tied weights $V = W^T$ where no decoder weight is given

    Shapes: x (N, D), weight (H, D), bias (H,), decoder_bias (D,), decoder_weight (D, H); the result (N, D).
    Conventions: ``linear_output`` leaves the last sigmoid out, for inputs that are not between 0 and 1.
    Raises: TypeError if an input is not real, ValueError if the shapes do not fit each other.
    Source: Vincent et al., Stacked Denoising Autoencoders (2010), section 2.1, equations 1 to 3; notes 004.
    """
    x, weight, bias, decoder_bias, decoder = _coder(x, weight, bias, decoder_bias, decoder_weight)
    output = sigmoid(x @ weight.T + bias) @ decoder.T + decoder_bias
    return output if _choice("linear_output", linear_output, (False, True)) else sigmoid(output)


def autoencoder_backward(
    grad_output: Visible,
    x: Visible,
    weight: Weight,
    bias: HiddenBias,
    decoder_bias: VisibleBias,
    decoder_weight: Float[np.ndarray, "D H"] | None = None,
    *,
    linear_output: bool = False,
) -> dict[str, Array]:
    r"""Gradients of the reconstruction.

    $\delta = \bar y \odot y (1 - y)$, $\bar c = \sum_n \delta$, $\bar V = \delta^T h$;
    $\epsilon = \delta V \odot h (1 - h)$, $\bar b = \sum_n \epsilon$, $\bar W = \epsilon^T x$, $\bar x = \epsilon W$.
    Tied weights receive $\bar W + \bar V^T$.

    Shapes: grad_output (N, D); the results as x, weight, bias, decoder_bias, decoder_weight.
    Conventions: as autoencoder.
    Raises: TypeError, ValueError as autoencoder, and if grad_output has not the output's shape.
    Source: the chain rule on Vincent et al. (2010), equations 1 to 3.
    """
    output = autoencoder(x, weight, bias, decoder_bias, decoder_weight, linear_output=linear_output)
    x, weight, bias, decoder_bias, decoder = _coder(x, weight, bias, decoder_bias, decoder_weight)
    code, grad = sigmoid(x @ weight.T + bias), _real("grad_output", grad_output, output.shape)
    outer = grad if linear_output else grad * output * (1 - output)
    inner = outer @ decoder * code * (1 - code)
    found = {"x": inner @ weight, "weight": inner.T @ x, "bias": inner.sum(0), "decoder_bias": outer.sum(0)}
    if decoder_weight is None:
        return {**found, "weight": found["weight"] + code.T @ outer}
    return {**found, "decoder_weight": outer.T @ code}


# --- restricted Boltzmann machine ------------------------------------------------------------------------------------


def hidden_probabilities(v: Visible, machine: Machine) -> Float[np.ndarray, "N H"]:
    r"""$P(h_j = 1 \mid v) = \sigma(c_j + W_j \cdot v)$, each hidden unit for itself."""
    return sigmoid(v @ machine.weight.T + machine.hidden_bias)


def visible_probabilities(h: Float[np.ndarray, "N H"], machine: Machine) -> Visible:
    r"""$P(v_i = 1 \mid h) = \sigma(b_i + \sum_j W_{ji} h_j)$, each visible unit for itself."""
    return sigmoid(h @ machine.weight + machine.visible_bias)


def rbm_free_energy(v: Visible, weight: Weight, visible_bias: VisibleBias, hidden_bias: HiddenBias) -> Energies:
    r"""Free energy of visible vectors: $P(v) = e^{-F(v)} / Z$.

    $F(v) = -\log \sum_h e^{-E(v, h)} = -b \cdot v - \sum_j \log(1 + e^{c_j + W_j \cdot v})$

    Shapes: v (N, D), weight (H, D), visible_bias (D,), hidden_bias (H,); the result (N,).
    Raises: TypeError if an input is not real, ValueError if the shapes do not fit each other.
    Source: Hinton, A Practical Guide to Training Restricted Boltzmann Machines (2010), equation 25.
    """
    machine = _machine(weight, visible_bias, hidden_bias)
    v = _real("v", v, (None, machine.weight.shape[1]))
    return -v @ machine.visible_bias - _softplus(v @ machine.weight.T + machine.hidden_bias).sum(1)


def _softplus(z: Array) -> Array:
    """log(1 + e^z), with an exponential that cannot overflow."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def rbm_free_energy_backward(
    grad_output: Energies, v: Visible, weight: Weight, visible_bias: VisibleBias, hidden_bias: HiddenBias
) -> dict[str, Array]:
    r"""Gradients of the free energy.

    With $p = \sigma(W v + c)$: $\bar v = -\bar F (b + W^T p)$, $\bar W = -\sum_n \bar F_n p_n v_n^T$,
    $\bar b = -\sum_n \bar F_n v_n$, $\bar c = -\sum_n \bar F_n p_n$

    Shapes: grad_output (N,); the results as v, weight, visible_bias, hidden_bias.
    Raises: TypeError, ValueError as rbm_free_energy, and if grad_output is not (N,).
    Source: Hinton (2010), section 2, equations 5 to 8.
    """
    machine = _machine(weight, visible_bias, hidden_bias)
    v = _real("v", v, (None, machine.weight.shape[1]))
    grad, p = _real("grad_output", grad_output, v.shape[:1]), hidden_probabilities(v, machine)
    part = -grad[:, None] * p
    return {
        "v": -grad[:, None] * (machine.visible_bias + p @ machine.weight),
        "weight": part.T @ v,
        "visible_bias": -grad @ v,
        "hidden_bias": part.sum(0),
    }


def states(units: int) -> Float[np.ndarray, "S units"]:
    """Every vector of so many binary units, (2^units, units)."""
    return (np.arange(2**units)[:, None] >> np.arange(units) & 1).astype(np.float64)


def rbm_log_partition(weight: Weight, visible_bias: VisibleBias, hidden_bias: HiddenBias) -> float:
    r"""Logarithm of $Z = \sum_{v, h} e^{-E(v, h)}$, by enumeration of the states of the smaller side.

    Shapes: as rbm_free_energy; the result is a number.
    Raises: TypeError, ValueError as rbm_free_energy, and if both sides have more than ``MOST_STATES`` units.
    Source: Salakhutdinov, Murray, On the Quantitative Analysis of Deep Belief Networks (2008), section 2.
    """
    machine = _machine(weight, visible_bias, hidden_bias)
    if machine.weight.shape[0] < machine.weight.shape[1]:
        machine = Machine(machine.weight.T, machine.hidden_bias, machine.visible_bias)
    if machine.weight.shape[1] > MOST_STATES:
        raise ValueError(f"weight must have a side of at most {MOST_STATES} units, not {machine.weight.shape}")
    return float(np.logaddexp.reduce(-rbm_free_energy(states(machine.weight.shape[1]), *machine)))


def rbm_log_likelihood(v: Visible, weight: Weight, visible_bias: VisibleBias, hidden_bias: HiddenBias) -> Energies:
    r"""Exact log-probability of visible vectors, for machines small enough to enumerate.

    $\log P(v) = -F(v) - \log Z$

    Shapes: as rbm_free_energy.
    Raises: TypeError, ValueError as rbm_log_partition.
    Source: Hinton (2010), equation 4.
    """
    return -rbm_free_energy(v, weight, visible_bias, hidden_bias) - rbm_log_partition(weight, visible_bias, hidden_bias)


def rbm_log_likelihood_backward(
    grad_output: Energies, v: Visible, weight: Weight, visible_bias: VisibleBias, hidden_bias: HiddenBias
) -> dict[str, Array]:
    r"""Exact gradients of the log-probability: what the data want less what the model expects.

    $\bar\theta = \sum_n \bar y_n \left( -\frac{\partial F(v_n)}{\partial \theta}
    + \sum_{v'} P(v') \frac{\partial F(v')}{\partial \theta} \right)$, the sum over all $2^D$ visible vectors

    Shapes: as rbm_free_energy_backward.
    Raises: TypeError, ValueError as rbm_log_partition, and if grad_output is not (N,) or D is beyond ``MOST_STATES``.
    Source: Hinton (2010), equations 5 to 8.
    """
    machine = _machine(weight, visible_bias, hidden_bias)
    if machine.weight.shape[1] > MOST_STATES:
        raise ValueError(f"weight must have at most {MOST_STATES} columns, not {machine.weight.shape[1]}")
    every = states(machine.weight.shape[1])
    data = rbm_free_energy_backward(grad_output, v, *machine)
    share = np.exp(rbm_log_likelihood(every, *machine)) * np.sum(grad_output)
    model = rbm_free_energy_backward(share, every, *machine)
    return {"v": -data["v"], **{name: model[name] - data[name] for name in ("weight", "visible_bias", "hidden_bias")}}


# --- contrastive divergence ------------------------------------------------------------------------------------------


def gibbs(
    v: Visible,
    machine: Machine,
    hidden_uniforms: Float[np.ndarray, "k N H"],
    visible_uniforms: Float[np.ndarray, "k N D"],
    *,
    sampled: bool = True,
) -> Iterator[tuple[Array, Array, Array]]:
    """Alternate sampling: for each step the hidden sample, the probabilities of the visible units, their sample.

    The next step starts from that sample, or from the probabilities.
    """
    for hidden, visible in zip(hidden_uniforms, visible_uniforms, strict=True):
        h = (hidden < hidden_probabilities(v, machine)) * 1.0
        p = visible_probabilities(h, machine)
        v = (visible < p) * 1.0 if sampled else p
        yield h, p, v


def contrastive_divergence(
    v: Visible,
    weight: Weight,
    visible_bias: VisibleBias,
    hidden_bias: HiddenBias,
    hidden_uniforms: Float[np.ndarray, "k N H"],
    visible_uniforms: Float[np.ndarray, "k N D"],
    *,
    reconstruction: Reconstruction = "sampled",
    positive: Literal["probabilities", "sampled"] = "probabilities",
    batch: Literal["mean", "sum"] = "mean",
) -> dict[str, Array]:
    r"""CD-k: estimate of the gradient of the log-likelihood, by which the parameters go up.

    $\Delta W = \langle p(h \mid v^0) v^{0T} \rangle - \langle p(h \mid v^k) v^{kT} \rangle$,
    $\Delta b = \langle v^0 - v^k \rangle$, $\Delta c = \langle p(h \mid v^0) - p(h \mid v^k) \rangle$, where $v^k$ is
    what k steps of alternate sampling make of $v^0$; a unit is 1 where its uniform number is below its probability.

    Shapes: v (N, D), weight (H, D), visible_bias (D,), hidden_bias (H,), hidden_uniforms (k, N, H), visible_uniforms
    (k, N, D); the results as weight, visible_bias, hidden_bias.
    Conventions: ``reconstruction``, whether $v^k$ is sampled or its probabilities, or every $v$ after $v^0$;
    ``positive``, whether the data's statistics take hidden probabilities or the first hidden sample; ``batch``, the
    mean over the examples or their sum.
    Raises: TypeError if an input is not real, ValueError if the shapes do not fit each other, or for no step.
    Source: Hinton, Training Products of Experts by Minimizing Contrastive Divergence (2002); Hinton (2010), section 3.
    """
    machine = _machine(weight, visible_bias, hidden_bias)
    v = _real("v", v, (None, machine.weight.shape[1]))
    sampled = _choice("reconstruction", reconstruction, get_args(Reconstruction)) != "probabilities_throughout"
    steps = list(gibbs(v, machine, *_uniforms(v, machine, hidden_uniforms, visible_uniforms), sampled=sampled))
    (first, _, _), (_, p, last) = steps[0], steps[-1]
    data = hidden_probabilities(v, machine)
    start = {"probabilities": data, "sampled": first}[_choice("positive", positive, ("probabilities", "sampled"))]
    end = last if reconstruction == "sampled" else p
    left, count = (
        hidden_probabilities(end, machine),
        {"mean": len(v), "sum": 1}[_choice("batch", batch, ("mean", "sum"))],
    )
    return {
        "weight": (start.T @ v - left.T @ end) / count,
        "visible_bias": (v - end).sum(0) / count,
        "hidden_bias": (start - left).sum(0) / count,
    }


def _uniforms(v: Array, machine: Machine, hidden: Any, visible: Any) -> tuple[Array, Array]:
    """The uniform numbers of a chain from v, one for each unit of each step."""
    hidden = _real("hidden_uniforms", hidden, (None, len(v), machine.weight.shape[0]))
    if not len(hidden):
        raise ValueError("hidden_uniforms must have at least one step, not 0")
    return hidden, _real("visible_uniforms", visible, (len(hidden), *v.shape))


# --- deep belief network ---------------------------------------------------------------------------------------------


def deep_belief_network(
    h: Float[np.ndarray, "N H"],
    weight: Weight,
    visible_bias: VisibleBias,
    top_weight: Float[np.ndarray, "T H"],
    hidden_bias: HiddenBias,
    top_bias: Float[np.ndarray, "T"],
    top_uniforms: Float[np.ndarray, "k N T"],
    hidden_uniforms: Float[np.ndarray, "k N H"],
    visible_uniforms: Visible,
    *,
    output: Literal["sampled", "probabilities"] = "sampled",
) -> Visible:
    r"""Draw from a deep belief network of two machines: sample the upper one, then go down once.

    From h, k steps of alternate sampling between the hidden units and those above them, which the upper machine ties:
    $P(t \mid h) = \sigma(d + U h)$, $P(h \mid t) = \sigma(c + U^T t)$; then $P(v \mid h) = \sigma(b + W^T h)$.

    Shapes: h (N, H), weight W (H, D), visible_bias b (D,), top_weight U (T, H), hidden_bias c (H,), top_bias d (T,),
    uniform numbers (k, N, T), (k, N, H) and (N, D); the result (N, D).
    Conventions: ``output``, whether the visible units are sampled or given as probabilities.
    Raises: TypeError if an input is not real, ValueError if the shapes do not fit each other, or for no step.
    Source: Hinton, Osindero, Teh, A Fast Learning Algorithm for Deep Belief Nets (2006), section 5 and figure 5.
    """
    lower, upper = _machine(weight, visible_bias, hidden_bias), _machine(top_weight, hidden_bias, top_bias)
    h = _real("h", h, (None, upper.weight.shape[1]))
    uniforms = _real("visible_uniforms", visible_uniforms, (len(h), lower.weight.shape[1]))
    *_, (_, _, h) = gibbs(h, upper, *_uniforms(h, upper, top_uniforms, hidden_uniforms))
    p = visible_probabilities(h, lower)
    return p if _choice("output", output, ("sampled", "probabilities")) == "probabilities" else (uniforms < p) * 1.0


def train_rbm(
    data: Visible,
    hidden: int,
    rng: np.random.Generator,
    *,
    rate: float = 0.1,
    epochs: int = 10,
    batch: int = 20,
    steps: int = 1,
    start: Machine | None = None,
) -> Machine:
    """A machine fitted to data by contrastive divergence, from a start or weights N(0, 0.01^2) and biases of zero.

    Shapes: data (N, D), between 0 and 1.
    Raises: TypeError, ValueError if data does not hold real numbers of such a shape.
    Source: Hinton (2010), sections 3, 8.
    """
    data = _real("data", data, (None, None))
    fresh = Machine(rng.normal(0, 0.01, (hidden, data.shape[1])), np.zeros(data.shape[1]), np.zeros(hidden))
    machine = fresh if start is None else start
    for _ in range(epochs):
        for chosen in np.array_split(rng.permutation(len(data)), -(-len(data) // batch)):
            v = data[chosen]
            uniforms = rng.random((steps, len(v), hidden)), rng.random((steps, *v.shape))
            change = contrastive_divergence(v, *machine, *uniforms)
            machine = Machine(*(value + rate * change[name] for name, value in machine._asdict().items()))
    return machine


def greedy(
    data: Visible, sizes: Sequence[int], rng: np.random.Generator, *, sampled: bool = True, **training: Any
) -> list[Machine]:
    """A stack of machines, each trained on the hidden units of the one below: greedy layerwise pretraining.

    Shapes: data (N, D); ``sizes`` are the numbers of hidden units, from the bottom up; ``training`` as train_rbm.
    Conventions: ``sampled``, whether a machine sees samples of the hidden units, as the bound on the likelihood that it
    raises has it, or their probabilities.
    Raises: TypeError, ValueError as train_rbm.
    Source: Hinton, Osindero, Teh (2006), section 4; Bengio et al., Greedy Layer-Wise Training (2007), section 2.3.
    """
    stack = []
    for size in sizes:
        stack.append(train_rbm(data, size, rng, **training))
        data = hidden_probabilities(data, stack[-1])
        data = (rng.random(data.shape) < data) * 1.0 if sampled else data
    return stack


def generate(stack: Sequence[Machine], number: int, rng: np.random.Generator, steps: int = 1000) -> Visible:
    """New visible probabilities from a stack of machines: sample the uppermost, then go down once.

    Shapes: the result (number, D).
    Raises: ValueError for an empty stack.
    Source: Hinton, Osindero, Teh (2006), section 7: what the network has in mind; notes 004, data augmentation.
    """
    if not stack:
        raise ValueError("stack must hold at least one machine, not 0")
    *lower, top = stack
    hidden, visible = top.weight.shape
    v = p = rng.random((number, visible))
    for _ in range(steps):
        ((_, p, v),) = gibbs(v, top, rng.random((1, number, hidden)), rng.random((1, number, visible)))
    for machine in reversed(lower):
        p = visible_probabilities(v, machine)
        v = (rng.random(p.shape) < p) * 1.0
    return p
