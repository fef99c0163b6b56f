"""Seeded training runs on real data and interleaved timings, compared by confidence intervals.

A claim that no proof can reach is judged by a rule fixed before the runs that decide it: a smallest difference of
interest, a level, and a number of seeds. An interval that does not settle the question leaves it undecided.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special
from torch import Tensor
from torch.nn import functional

from dlcheck.evidence import seeds as run_seed

Array = NDArray[np.float64]
Profile = Literal["quick", "ci", "deep"]
Decision = Literal["larger", "smaller", "equivalent", "undecided"]
Activation = Callable[[Tensor], Tensor]
Direction = Callable[[Tensor, dict[str, Any]], Tensor]
"""``direction(gradient, state)``: what the learning rate multiplies and the parameter loses; the state starts empty."""

PROFILE: Profile = "quick"
"""How much to run; set by whoever runs the claims."""
SEEDS: Mapping[Profile, int] = {"quick": 10, "ci": 30, "deep": 100}
FIRST_SEED = 9000
"""Rules were chosen in trial runs on smaller seeds, which no verdict uses."""
ROUNDS: Mapping[Profile, int] = {"quick": 101, "ci": 301, "deep": 1001}
LEVEL = 0.999
"""Confidence of every interval."""
POINTS = 30
"""Evaluations along a training curve, at most."""
EVALUATED = 512
"""Training examples on which a curve's loss is taken, at most; the same ones all along."""
_LOADERS = {
    "digits": "load_digits",
    "breast cancer": "load_breast_cancer",
    "wine": "load_wine",
    "diabetes": "load_diabetes",
}


def seeds(profile: Profile, times: int = 1) -> range:
    """The seeds of a profile's training runs, or so many times as many; every compared setting runs on each.

    Those of another run are others.
    """
    first = FIRST_SEED * (1 + run_seed.RUN)
    return range(first, first + times * _of(SEEDS, profile))


def rounds(profile: Profile) -> int:
    """The number of interleaved repetitions of a profile's timings."""
    return _of(ROUNDS, profile)


def _of(sizes: Mapping[Profile, int], profile: Profile) -> int:
    if profile not in sizes:
        raise ValueError(f"profile is {profile!r}, expected one of {', '.join(sizes)}")
    return sizes[profile]


def generator(seed: int, stream: str) -> torch.Generator:
    """A generator of its own for each seed and purpose, so that no draw depends on what was drawn before."""
    entropy = np.random.SeedSequence([seed, *stream.encode()]).generate_state(1)
    return torch.Generator().manual_seed(int(entropy[0]))


@contextmanager
def one_thread() -> Iterator[None]:
    """Run on one thread: batches this small gain nothing from more, and sums keep their order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """A data set split once per seed; features are standardised by their training part.

    Shapes: train and test are features (S, N, D) and targets (S, N). ``classes`` is 0 for a regression, whose targets
    are standardised too.
    """

    name: str
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    classes: int

    @property
    def outputs(self) -> int:
        return self.classes or 1

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean cross-entropy or mean squared error of every run, (R, N, C) and (R, N) -> (R,)."""
        if not self.classes:
            return (output[..., 0] - target).square().mean(1)
        return functional.cross_entropy(output.mT, target, reduction="none").mean(1)

    def score(self, output: Tensor, target: Tensor) -> Tensor:
        """Accuracy, or the explained share of variance R^2, of every run, (R, N, C) and (R, N) -> (R,)."""
        if not self.classes:
            return 1 - self.loss(output, target) / target.var(1, correction=0)
        return (output.argmax(-1) == target).double().mean(1)


@cache
def bundled(name: str) -> tuple[Array, NDArray[Any], int]:
    """Features (N, D), targets (N,) and number of classes of a data set that scikit-learn brings along."""
    from sklearn import datasets

    if name not in _LOADERS:
        raise ValueError(f"name is {name!r}, expected one of {', '.join(_LOADERS)}")
    raw = getattr(datasets, _LOADERS[name])()
    return raw.data, raw.target, len(getattr(raw, "target_names", ()))


def load(name: str, seeds: Sequence[int], test_share: float = 0.2) -> Data:
    """A bundled data set with one random split per seed."""
    return split(name, *bundled(name), seeds, test_share)


def split(
    name: str,
    features: Array,
    target: Array,
    classes: int,
    seeds: Sequence[int],
    test_share: float = 0.2,
    *,
    standardise: bool = True,
) -> Data:
    """Split (N, D) features and (N,) targets once per seed and standardise them; constant features become 0.

    ``standardise=False`` leaves features as they are, for sparse ones whose zeros must stay zeros.
    """
    kept = round(len(features) * (1 - test_share))
    orders = torch.stack([torch.randperm(len(features), generator=generator(seed, "split")) for seed in seeds])
    x = torch.as_tensor(features, dtype=torch.float64)[orders]
    x = _standardised(x, kept) if standardise else x.float()
    y = torch.as_tensor(target)[orders]
    y = y.long() if classes else _standardised(y.double()[..., None], kept)[..., 0]
    return Data(name, (x[:, :kept], y[:, :kept]), (x[:, kept:], y[:, kept:]), classes)


def _standardised(values: Tensor, kept: int) -> Tensor:
    deviation = values[:, :kept].std(1, keepdim=True, correction=0)
    centred = values - values[:, :kept].mean(1, keepdim=True)
    return (centred / torch.where(deviation > 0, deviation, 1.0)).float()


def plain(gradient: Tensor, state: dict[str, Any]) -> Tensor:
    """Stochastic gradient descent: the gradient itself."""
    return gradient


def glorot(fan_in: int, fan_out: int) -> float:
    """Standard deviation of initial weights, sqrt(2/(fan_in + fan_out)). Source: Glorot and Bengio 2010, eq. 12."""
    return (2 / (fan_in + fan_out)) ** 0.5


def he(fan_in: int, fan_out: int) -> float:
    """Standard deviation of initial weights, sqrt(2/fan_in). Source: He et al. 2015, eq. 10."""
    return (2 / fan_in) ** 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A multi-layer perceptron: hidden widths, activation, deviation of the initial weights by fan in and out."""

    hidden: tuple[int, ...]
    activation: Activation
    scale: Callable[[int, int], float] = glorot

    def weights(self, inputs: int, outputs: int, seeds: Sequence[int]) -> list[Tensor]:
        """Normal weights (S, in, out) and zero biases (S, 1, out) of every layer; a seed fixes the numbers."""
        drawn: list[Tensor] = []
        sizes = (inputs, *self.hidden, outputs)
        for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            normal = [torch.randn(fan_in, fan_out, generator=generator(seed, f"layer {layer}")) for seed in seeds]
            drawn += [self.scale(fan_in, fan_out) * torch.stack(normal), torch.zeros(len(seeds), 1, fan_out)]
        return drawn

    def __call__(self, weights: Sequence[Tensor], x: Tensor) -> Tensor:
        """Outputs of every run, (R, N, D) -> (R, N, C)."""
        for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
            x = self.activation(torch.baddbmm(bias, x, weight))
        return torch.baddbmm(weights[-1], x, weights[-2])


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """What training runs reached: training loss and test score after each of the ``steps`` (P,).

    Shapes: loss and score are (L, S, P) for L learning rates and S seeds. A run that left the finite numbers has an
    infinite loss.
    """

    steps: Array
    rates: tuple[float, ...]
    loss: Array
    score: Array

    def steps_to(self, threshold: float) -> Array:
        """Steps until the training loss first is at most ``threshold``, (L, S); the last step where it never is.

        Between two evaluations the logarithm of the loss is taken as linear.
        """
        reached = self.loss <= threshold
        last = np.where(reached.any(-1), reached.argmax(-1), self.steps.size - 1)
        before = np.maximum(last - 1, 0)
        with np.errstate(all="ignore"):
            high, low = (np.log(np.take_along_axis(self.loss, i[..., None], -1)[..., 0]) for i in (before, last))
            part = np.clip((high - np.log(threshold)) / (high - low), 0.0, 1.0)
        part = np.where(reached.any(-1) & np.isfinite(part), part, 1.0)
        return self.steps[before] + part * (self.steps[last] - self.steps[before])

    def fastest(self, threshold: float) -> Array:
        """Steps to ``threshold`` at the learning rate that needs the fewest on average, (S,)."""
        needed = self.steps_to(threshold)
        return needed[best(needed)]


def best(measure: Array) -> int:
    """Index of the learning rate whose mean over the seeds of a measure (L, S) is least: each setting gets its own."""
    return int(np.argmin(measure.mean(1)))


def train(
    data: Data,
    seeds: Sequence[int],
    network: Network,
    rates: Sequence[float],
    steps: int,
    direction: Direction = plain,
    batch: int | None = 64,
    marks: Sequence[int] = (),
) -> Curves:
    """Train for every learning rate and seed at once, the runs batched in one leading axis, in float32.

    A seed fixes split, initial weights and mini-batches, whatever is compared; the batches are drawn with replacement,
    but for ``batch=None``, which takes the whole training part in every step. ``marks`` are the steps at which loss and
    score are taken, by default growing geometrically from 0 to the last.
    """
    runs, count = len(rates) * len(seeds), len(seeds)
    of = torch.arange(count).repeat(len(rates))  # the seed of each run
    x, y = data.train
    picks = torch.stack([_picked(x.shape[1], steps, batch, generator(s, "batches")) for s in seeds])
    weights = [w[of].requires_grad_() for w in network.weights(x.shape[2], data.outputs, seeds)]
    rate = torch.tensor(rates).repeat_interleave(count).view(runs, 1, 1)
    states: list[dict[str, Any]] = [{} for _ in weights]
    marks = marks or (0, *np.unique(np.geomspace(1, steps, POINTS - 1).round().astype(int)).tolist())
    reached = []
    with one_thread():
        for step in range(steps + 1):
            if step in marks:
                reached.append(_reached(data, network, weights, len(rates)))
            if step < steps:
                pick = picks[of, step]
                loss = data.loss(network(weights, x[of[:, None], pick]), y[of[:, None], pick])
                _descend(weights, torch.autograd.grad(loss.sum(), weights), states, rate, direction)
    loss, score = np.moveaxis(np.array(reached), 0, -1)
    return Curves(np.asarray(marks, np.float64), tuple(rates), loss, score)


def _picked(examples: int, steps: int, batch: int | None, stream: torch.Generator) -> Tensor:
    if batch is None:
        return torch.arange(examples).expand(steps, examples)
    return torch.randint(examples, (steps, batch), generator=stream)


@torch.no_grad()
def _descend(
    weights: Sequence[Tensor],
    gradients: Sequence[Tensor],
    states: Sequence[dict[str, Any]],
    rate: Tensor,
    direction: Direction,
) -> None:
    for weight, gradient, state in zip(weights, gradients, states, strict=True):
        weight -= rate * direction(gradient, state)


@torch.no_grad()
def _reached(data: Data, network: Network, weights: Sequence[Tensor], rates: int) -> tuple[Array, Array]:
    """Training loss and test score of every run, each (L, S)."""
    loss, score = [], []
    x, y = (part[:, :EVALUATED] for part in data.train)
    for part in zip(*(w.chunk(rates) for w in weights), strict=True):
        loss.append(data.loss(network(part, x), y))
        score.append(data.score(network(part, data.test[0]), data.test[1]))
    losses = torch.stack(loss).double().numpy()
    return np.where(np.isfinite(losses), losses, np.inf), torch.stack(score).double().numpy()


@dataclass(frozen=True, slots=True)
class Paired:
    """Mean difference over the same seeds, with Student's t interval, and the smallest one of interest.

    ``effect`` is Cohen's d of paired samples, the mean over the standard deviation.
    """

    mean: float
    low: float
    high: float
    effect: float
    n: int
    margin: float
    level: float = LEVEL

    @property
    def decision(self) -> Decision:
        """larger or smaller: the interval lies beyond the margin; equivalent: within it; else undecided."""
        if self.low > self.margin:
            return "larger"
        if self.high < -self.margin:
            return "smaller"
        return "equivalent" if -self.margin < self.low and self.high < self.margin else "undecided"

    def __str__(self) -> str:
        interval = f"{self.mean:+.3g} [{self.low:+.3g}, {self.high:+.3g}]"
        return f"{interval}, d = {self.effect:.2g}, n = {self.n}: {self.decision}"


def paired(first: Array, second: Array, margin: float) -> Paired:
    """Compare two settings that ran on the same seeds: first - second, (S,) each.

    Conventions: the interval is mean +- t_{n-1, (1+level)/2} s / sqrt(n). Raises ValueError for fewer than two seeds.
    """
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    if difference.ndim != 1 or difference.size < 2:
        raise ValueError(
            f"first - second has shape {difference.shape}, expected one difference for each of two seeds or more"
        )
    n, mean, deviation = difference.size, float(difference.mean()), float(difference.std(ddof=1))
    half = float(special.stdtrit(n - 1, (1 + LEVEL) / 2)) * deviation / n**0.5
    effect = mean / deviation if deviation else np.copysign(np.inf, mean) if mean else 0.0
    return Paired(mean, mean - half, mean + half, float(effect), n, margin)


def speedup(slower: Array, faster: Array, least: float = 1.1) -> Paired:
    """Compare numbers of steps (S,) as log2(slower / faster); a factor below ``least`` is of no interest."""
    return paired(np.log2(slower), np.log2(faster), float(np.log2(least)))


@dataclass(frozen=True, slots=True)
class Median:
    """A median with the interval of the sign test, which assumes no distribution."""

    value: float
    low: float
    high: float
    n: int
    level: float = LEVEL

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


def median(values: Array) -> Median:
    """Median of (n,) values between the order statistics k and n + 1 - k, 2 P(Bin(n, 1/2) < k) <= 1 - level."""
    ordered = np.sort(values)
    outside = special.bdtr(np.arange(ordered.size), ordered.size, 0.5)
    k = int(np.searchsorted(2 * outside, 1 - LEVEL, side="right"))
    if k == 0:
        raise ValueError(f"values has {ordered.size} entries, too few for an interval of level {LEVEL}")
    return Median(float(np.median(ordered)), float(ordered[k - 1]), float(ordered[-k]), ordered.size)


def timed(calls: Mapping[str, Callable[[], Any]], rounds: int, repeat: int = 1) -> dict[str, Array]:
    """Processor seconds of each call in every round, (rounds,), on one thread.

    A round runs all of them in turn, so that drift hits all alike; time that other programs take does not count.
    """
    seconds = {name: np.empty(rounds) for name in calls}
    with one_thread(), torch.no_grad():
        for call in calls.values():
            call()
        for index in range(rounds):
            for name, call in calls.items():
                start = time.thread_time()
                for _ in range(repeat):
                    call()
                seconds[name][index] = (time.thread_time() - start) / repeat
    return seconds
