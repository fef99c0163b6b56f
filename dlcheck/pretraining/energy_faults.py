"""The known mistakes in the free energy and the likelihood of restricted Boltzmann machines."""

from collections.abc import Callable

import numpy as np

from dlcheck.activations.reference import sigmoid
from dlcheck.component import Fault
from dlcheck.pretraining import reference
from dlcheck.pretraining.mistakes import (
    NO_LEARNING,
    OTHER_FUNCTION,
    OTHER_MODEL,
    Array,
    Gradients,
    Replaces,
    arguments,
    backward_only,
    forgotten,
    upstream_ignored,
)


def _energy(
    hidden: Callable[[Array], Array], slope: Callable[[Array], Array], sign: float = -1.0, visible: float = -1.0
) -> Replaces:
    """Another function of the hidden units' inputs, its derivative, and the signs of both terms."""

    def function(v: Array, weight: Array, visible_bias: Array, hidden_bias: Array) -> Array:
        return visible * v @ visible_bias + sign * hidden(v @ weight.T + hidden_bias).sum(1)

    def backward(grad_output: Array, v: Array, weight: Array, visible_bias: Array, hidden_bias: Array) -> Gradients:
        part = sign * grad_output[:, None] * slope(v @ weight.T + hidden_bias)
        return {
            "v": visible * grad_output[:, None] * visible_bias + part @ weight,
            "weight": part.T @ v,
            "visible_bias": visible * grad_output @ v,
            "hidden_bias": part.sum(0),
        }

    return {"rbm_free_energy": function, "rbm_free_energy_backward": backward}


def _softplus(z: Array) -> Array:
    return np.logaddexp(0, z)


def _transposed(v: Array, weight: Array, b: Array, c: Array) -> tuple[Array, ...]:
    return (v, weight.T if weight.shape[0] == weight.shape[1] else weight, b, c)


def _transposing(name: str) -> Replaces:
    """Square weights used the other way round, with the gradient that belongs to it."""
    found = arguments(name, _transposed)

    def backward(grad_output: Array, v: Array, weight: Array, *biases: Array) -> Gradients:
        gradients = found[f"{name}_backward"](grad_output, v, weight, *biases)
        square = weight.shape[0] == weight.shape[1]
        return {**gradients, "weight": gradients["weight"].T} if square else gradients

    return {**found, f"{name}_backward": backward}


def _averaged_hidden() -> Replaces:
    """Sums over hidden units divided by their number."""

    def function(v: Array, weight: Array, visible_bias: Array, hidden_bias: Array) -> Array:
        return -v @ visible_bias - _softplus(v @ weight.T + hidden_bias).mean(1)

    def backward(grad_output: Array, *arrays: Array) -> Gradients:
        v, b, units = arrays[0], arrays[2], len(arrays[3])
        found = reference.rbm_free_energy_backward(grad_output, *arrays)
        visible = {"v": -grad_output[:, None] * b, "visible_bias": -grad_output @ v}
        return {
            name: value if name == "visible_bias" else (value - part) / units + part
            for name, value in found.items()
            for part in [visible.get(name, 0.0)]
        }

    return {"rbm_free_energy": function, "rbm_free_energy_backward": backward}


def _log_of_sum() -> Replaces:
    def function(v: Array, weight: Array, visible_bias: Array, hidden_bias: Array) -> Array:
        inputs = v @ weight.T + hidden_bias
        return -v @ visible_bias - np.logaddexp(0, np.logaddexp.reduce(inputs, axis=1))

    def backward(grad_output: Array, v: Array, weight: Array, visible_bias: Array, hidden_bias: Array) -> Gradients:
        inputs = v @ weight.T + hidden_bias
        total = np.logaddexp(0, np.logaddexp.reduce(inputs, axis=1))
        part = -grad_output[:, None] * np.exp(inputs - total[:, None])
        return {
            "v": -grad_output[:, None] * visible_bias + part @ weight,
            "weight": part.T @ v,
            "visible_bias": -grad_output @ v,
            "hidden_bias": part.sum(0),
        }

    return {"rbm_free_energy": function, "rbm_free_energy_backward": backward}


def _biases_swapped() -> Replaces:
    """The biases exchanged, where there are as many of each."""

    def exchanged(v: Array, weight: Array, b: Array, c: Array) -> tuple[Array, ...]:
        return (v, weight, c, b) if len(b) == len(c) else (v, weight, b, c)

    found = arguments("rbm_free_energy", exchanged)

    def backward(grad_output: Array, *arrays: Array) -> Gradients:
        slopes = found["rbm_free_energy_backward"](grad_output, *arrays)
        if len(arrays[2]) != len(arrays[3]):
            return slopes
        return {**slopes, "visible_bias": slopes["hidden_bias"], "hidden_bias": slopes["visible_bias"]}

    return {**found, "rbm_free_energy_backward": backward}


def _gaussian() -> Replaces:
    """The visible term is the square of the distance from the bias, halved."""

    def function(v: Array, weight: Array, b: Array, c: Array) -> Array:
        return reference.rbm_free_energy(v, weight, b, c) + v @ b + ((v - b) ** 2).sum(1) / 2

    def backward(grad_output: Array, v: Array, weight: Array, b: Array, c: Array) -> Gradients:
        found = reference.rbm_free_energy_backward(grad_output, v, weight, b, c)
        return {**found, "v": found["v"] + grad_output[:, None] * v, "visible_bias": grad_output @ (b - v)}

    return {"rbm_free_energy": function, "rbm_free_energy_backward": backward}


def _of(component: str, id: str, says: str, effect: str, fix: str, replaces: Replaces) -> Fault:
    return Fault(f"{component.replace('_', '-')}-{id}", component, says, effect, fix, replaces)


def _free(id: str, says: str, effect: str, fix: str, replaces: Replaces) -> Fault:
    return _of("rbm_free_energy", id, says, effect, fix, replaces)


FREE_ENERGY = (
    _free("negated", "it is the negative of the free energy", "Training climbs where it should descend.",
          "F = -b v - sum softplus", _energy(_softplus, sigmoid, 1.0, 1.0)),
    _free("hidden-sign", "the hidden term has the wrong sign", OTHER_MODEL, "F = -b v - sum softplus",
          _energy(_softplus, sigmoid, 1.0)),
    _free("visible-sign", "the visible bias has the wrong sign", OTHER_MODEL, "F = -b v - sum softplus",
          _energy(_softplus, sigmoid, -1.0, 1.0)),
    _free("softplus-missing", "the hidden inputs are added without softplus", OTHER_MODEL, "log(1 + exp(z))",
          _energy(np.positive, np.ones_like)),
    _free("rectified", "max(0, z) stands for softplus", OTHER_MODEL, "log(1 + exp(z))",
          _energy(lambda z: np.maximum(z, 0), lambda z: 1.0 * (z > 0))),
    _free("sigmoid", "sigmoid stands for softplus", OTHER_MODEL, "log(1 + exp(z))",
          _energy(sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z)))),
    _free("log-missing", "1 + exp(z) is added without its logarithm", OTHER_MODEL, "log(1 + exp(z))",
          _energy(lambda z: 1 + np.exp(z), np.exp)),
    _free("hidden-mean", "the hidden terms are averaged", OTHER_MODEL, "sum over the hidden units",
          _averaged_hidden()),
    _free("log-of-sum", "the logarithm is of the sum, not of each unit's term", OTHER_MODEL, "sum log(1 + exp(z))",
          _log_of_sum()),
    _free("entropy-missing", "it is the expected energy, without the entropy", OTHER_MODEL, "log(1 + exp(z))",
          _energy(lambda z: z * sigmoid(z), lambda z: sigmoid(z) + z * sigmoid(z) * (1 - sigmoid(z)))),
    _free("biases-swapped", "visible and hidden biases are swapped", OTHER_MODEL, "b with v, c with W v",
          _biases_swapped()),
    _free("gaussian", "the visible units are Gaussian", OTHER_MODEL, "-b v", _gaussian()),
    _free("overflow", "exp(z) overflows", "Free energies are infinite, gradients NaN.", "logaddexp(0, z)",
          _energy(lambda z: np.log(1 + np.exp(z)), lambda z: np.exp(z) / (1 + np.exp(z)))),
    _free("visible-bias-forgotten", "the visible bias is forgotten", OTHER_MODEL, "F = -b v - sum softplus",
          _energy(_softplus, sigmoid, -1.0, 0.0)),
    _free("hidden-bias-forgotten", "the hidden bias is forgotten", OTHER_MODEL, "z = W v + c",
          forgotten("rbm_free_energy", "hidden_bias")),
    _free("weight-transposed", "the weight is transposed", OTHER_MODEL, "z = W v + c with W (H, D)",
          _transposing("rbm_free_energy")),
    _free("batch-mean", "the energies of the examples are averaged", "Energies of single examples are lost.",
          "one energy for each example", {
              "rbm_free_energy": lambda *arrays: reference.rbm_free_energy(*arrays).mean(keepdims=True),
              "rbm_free_energy_backward": lambda grad, *arrays: reference.rbm_free_energy_backward(
                  np.full_like(grad, grad.mean() / max(len(grad), 1)), *arrays),
          }),
    _free("input-gradient-without-bias", "the gradient of v lacks the visible bias", NO_LEARNING, "-b - W^T p",
          backward_only("rbm_free_energy", lambda found, grad, v, w, b, c: {"v": found["v"] + grad[:, None] * b})),
    upstream_ignored("rbm_free_energy"),
)  # fmt: skip


def _likelihood_of(
    states: Callable[[Array], Array] = lambda v: reference.states(v.shape[1]),
    sign: float = -1.0, of_energy: float = -1.0, shift: Callable[[int], float] = lambda visible: 0.0,
) -> Replaces:  # fmt: skip
    """The likelihood with a partition function over other states, of other energies, with another sign, or shifted."""

    def function(v: Array, *machine: Array) -> Array:
        energies = of_energy * reference.rbm_free_energy(states(v), *machine)
        return -reference.rbm_free_energy(v, *machine) + sign * np.logaddexp.reduce(energies) + shift(v.shape[1])

    def backward(grad_output: Array, v: Array, *machine: Array) -> Gradients:
        every = states(v)
        energies = of_energy * reference.rbm_free_energy(every, *machine)
        share = sign * of_energy * grad_output.sum() * np.exp(energies - np.logaddexp.reduce(energies))
        data, model = (
            reference.rbm_free_energy_backward(grad, x, *machine) for grad, x in ((-grad_output, v), (share, every))
        )
        if every is not v:  # states do not depend on the examples
            model["v"] = np.zeros_like(v)
        return {name: data[name] + model[name] for name in data}

    return {"rbm_log_likelihood": function, "rbm_log_likelihood_backward": backward}


def _model_part(share: Callable[[int], float]) -> Replaces:
    """The gradient with a share, by the number of examples, of what the model expects."""

    def backward(grad_output: Array, *arrays: Array) -> Gradients:
        data = reference.rbm_free_energy_backward(grad_output, *arrays)
        full = reference.rbm_log_likelihood_backward(grad_output, *arrays)
        part = share(len(grad_output))
        return {"v": full["v"], **{k: -data[k] + part * (full[k] + data[k]) for k in data if k != "v"}}

    return {"rbm_log_likelihood_backward": backward}


def _exponentiated(*arrays: Array) -> Array:
    energies = -reference.rbm_free_energy(reference.states(arrays[1].shape[1]), *arrays[1:])
    return -reference.rbm_free_energy(*arrays) - np.log(np.exp(energies).sum())


def _exponentiated_back(grad_output: Array, *arrays: Array) -> Gradients:
    factor = 1.0 if np.isfinite(_exponentiated(*arrays)).all() else np.nan
    found = reference.rbm_log_likelihood_backward(grad_output, *arrays)
    return {name: value if name == "v" else value * factor for name, value in found.items()}


def _like(id: str, says: str, effect: str, fix: str, replaces: Replaces) -> Fault:
    return _of("rbm_log_likelihood", id, says, effect, fix, replaces)


LIKELIHOOD = (
    _like("unnormalised", "the partition function is left out", "All energies fall without bound.", "subtract log Z",
          _likelihood_of(sign=0.0)),
    _like("partition-added", "log Z is added, not subtracted", OTHER_MODEL, "-F - log Z", _likelihood_of(sign=1.0)),
    _like("partition-of-batch", "the partition function sums over the batch", OTHER_MODEL, "sum over all 2^D vectors",
          _likelihood_of(lambda v: v)),
    _like("partition-of-signs", "the partition function sums over units of -1 and 1", OTHER_MODEL,
          "units of 0 and 1", _likelihood_of(lambda v: 2 * reference.states(v.shape[1]) - 1)),
    _like("partition-of-positive-energy", "the partition function is that of +F", OTHER_MODEL, "sum exp(-F)",
          _likelihood_of(of_energy=1.0)),
    _like("partition-averaged", "the partition function is a mean over all vectors", OTHER_MODEL, "their sum",
          _likelihood_of(shift=lambda visible: visible * np.log(2))),
    _like("empty-state-missing", "the partition function lacks the vector of zeros", OTHER_MODEL,
          "sum over all 2^D vectors", _likelihood_of(lambda v: reference.states(v.shape[1])[1:])),
    _like("last-state-missing", "the partition function lacks the vector of ones", OTHER_MODEL,
          "range(2^D), whose end is excluded", _likelihood_of(lambda v: reference.states(v.shape[1])[:-1])),
    _like("negative-phase-missing", "the gradient lacks the model's expectation", "Weights grow without bound.",
          "subtract what the model expects", _model_part(lambda examples: 0.0)),
    _like("negative-phase-averaged", "the model's expectation is counted once, not per example",
          NO_LEARNING, "subtract it for every example", _model_part(lambda examples: 1 / examples)),
    _like("negated", "it is the negative log-likelihood", "Training climbs where it should descend.", "-F - log Z", {
        "rbm_log_likelihood": lambda *arrays: -reference.rbm_log_likelihood(*arrays),
        "rbm_log_likelihood_backward": lambda grad, *arrays: reference.rbm_log_likelihood_backward(-grad, *arrays),
    }),
    _like("probability", "the logarithm is left out", "Probabilities of larger machines underflow.", "-F - log Z", {
        "rbm_log_likelihood": lambda *arrays: np.exp(reference.rbm_log_likelihood(*arrays)),
        "rbm_log_likelihood_backward": lambda grad, *arrays: reference.rbm_log_likelihood_backward(
            grad * np.exp(reference.rbm_log_likelihood(*arrays)), *arrays),
    }),
    _like("base-two", "the logarithm is to base 2", OTHER_FUNCTION, "the natural logarithm", {
        "rbm_log_likelihood": lambda *arrays: reference.rbm_log_likelihood(*arrays) / np.log(2),
        "rbm_log_likelihood_backward": lambda grad, *arrays: reference.rbm_log_likelihood_backward(
            grad / np.log(2), *arrays),
    }),
    _like("overflow", "the partition function overflows", "The likelihood is -inf, its gradient NaN.",
          "logsumexp of the energies", {
              "rbm_log_likelihood": _exponentiated,
              "rbm_log_likelihood_backward": _exponentiated_back,
          }),
    _like("hidden-bias-forgotten", "the hidden bias is forgotten", OTHER_MODEL, "z = W v + c",
          forgotten("rbm_log_likelihood", "hidden_bias")),
    _like("weight-transposed", "the weight is transposed", OTHER_MODEL, "z = W v + c with W (H, D)",
          _transposing("rbm_log_likelihood")),
    upstream_ignored("rbm_log_likelihood"),
)  # fmt: skip
