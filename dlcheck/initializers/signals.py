"""How a signal passes through layers of random weights, and bounds on what chance does to its size."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from dlcheck.evidence import seeds
from dlcheck.evidence.statistics import FALSE_ALARM, MISS

Array = NDArray[Any]
Activation = Callable[[Array], Array]

ACTIVATIONS: dict[str, Activation] = {"linear": lambda z: z, "tanh": np.tanh, "ReLU": lambda z: np.maximum(z, 0.0)}
SEED = 20100513


def signals(weights: Iterable[Array], signal: Array, activation: Activation) -> list[Array]:
    """The input and every layer's output."""
    passed = [signal]
    for weight in weights:
        passed.append(activation(weight @ passed[-1]))
    return passed


def rms(values: Array) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def start(*shape: int) -> Array:
    """A fixed input with standard normal entries."""
    return seeds.generator(SEED).standard_normal(shape)


def orthonormal(rows: int, columns: int) -> Array:
    """Fixed inputs that are orthonormal, so that Gaussian weights make independent outputs of them."""
    return np.linalg.qr(start(rows, columns))[0]


def scores(weights: Iterable[Array], inputs: Iterable[Array], std: float) -> Array:
    """Pre-activations over their deviation given the layer before: independent standard normal for normal weights."""
    pairs = zip(weights, inputs, strict=False)
    return np.concatenate([(w @ h).ravel() / (std * np.linalg.norm(h)) for w, h in pairs])


def ratios(weights: Array, activation: Activation) -> Array:
    """Root mean square over that of the input, of shape (networks, layers)."""
    given = start(weights.shape[2])
    runs = [[rms(h) / rms(given) for h in signals(network, given, activation)] for network in weights]
    return np.array(runs)[:, 1:]


# Bounds


def largest_growth(width: int, false_alarm: float) -> float:
    """Bound that |W h|^2 / (n sigma^2 |h|^2), a chi-square variable over n, exceeds with that probability."""
    return float(special.gammainccinv(width / 2, false_alarm) * 2 / width)


def subgaussian_p_value(mean_square: float, n: int) -> float:
    """Bound on the probability of a mean square this far from 1, for n uniform-weighted sums of variance 1.

    A uniform variable is strictly sub-Gaussian, and so are such sums, also given all before them: above 1 Chernoff's
    bound of the chi-square law holds, below 1 that of non-negative variables with E[z^4] <= 3 (Boucheron et al. 2013).
    """
    gap = mean_square - 1
    exponent = n / 2 * (gap - math.log1p(gap)) if gap > 0 else n * gap**2 / 6
    return min(1.0, 2 * math.exp(-exponent))


def smallest_square_change(n: int) -> float:
    """Change of the mean square that ``subgaussian_p_value`` sees with power 1 - MISS: both tails, the wider one."""
    return math.sqrt(6 * math.log(2 / FALSE_ALARM) / n) + math.sqrt(6 * math.log(2 / MISS) / n)


def product_tail(width: int, depth: int, factor: float) -> float:
    """Bound on the probability that a product of ``depth`` variables chi-square / n leaves [1/factor, factor].

    Markov's inequality for the k-th power of the product, at the best k of a grid, for either end.
    """
    powers = np.linspace(0.05, width / 4, 400)

    def moments(k: Array) -> Array:
        return k * math.log(2 / width) + special.gammaln(width / 2 + k) - special.gammaln(width / 2)

    ends = [float(np.min(depth * moments(sign * powers) - powers * math.log(factor))) for sign in (1, -1)]
    return sum(math.exp(end) for end in ends)
