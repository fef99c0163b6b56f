"""What the notes say about normalisation in training, judged by seeded runs on the handwritten digits.

Every rule below was fixed before the runs that decide; a difference of steps counts from a factor of 1.1, one of
accuracy from a hundredth. In evaluation a batch-normalised network goes by the statistics of all that is evaluated.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dlcheck.component import Source, notes
from dlcheck.evidence import experiment
from dlcheck.evidence.experiment import Curves, Network, Paired, glorot, he
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim

Array = NDArray[np.float64]

WIDTH, EPS = 32, 1e-5
THRESHOLD = 0.5
"""Training loss that counts as converged, of ln 10 = 2.3 at the start."""
ACCURACY = 0.01
"""A difference of test accuracy below this is of no interest."""

_IOFFE = Source("Ioffe, Szegedy 2015, Batch normalization", "sections 3.3, 3.4, 4", "https://arxiv.org/abs/1502.03167")
_SANTURKAR = Source(
    "Santurkar et al. 2018, How does batch normalization help optimization?", "3", "https://arxiv.org/abs/1805.11604"
)
_BJORCK = Source("Bjorck et al. 2018, Understanding batch normalization", "3", "https://arxiv.org/abs/1806.02375")
_YANG = Source("Yang et al. 2019, A mean field theory of batch normalization", "4", "https://arxiv.org/abs/1902.08129")
_LUO = Source("Luo et al. 2019, Towards understanding regularization in BN", "2", "https://arxiv.org/abs/1809.00846")
_KRIZHEVSKY = Source(
    "Krizhevsky et al. 2012, ImageNet classification with deep convolutional neural networks",
    "section 3.3",
    "https://papers.nips.cc/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html",
)
_SIMONYAN = Source(
    "Simonyan, Zisserman 2015, Very deep convolutional networks",
    "section 4.1, table 3",
    "https://arxiv.org/abs/1409.1556",
)


_BN = (notes("001, section 4"), notes("003, batch normalisation"))


@dataclass(frozen=True, slots=True, eq=False)
class Normalised(Network):
    """The same network with batch normalisation, scale and shift between each hidden affine map and its activation."""

    def weights(self, inputs: int, outputs: int, seeds: Sequence[int]) -> list[Tensor]:
        """Weights as of the plain network, with scales of 1 and shifts of 0 for its hidden biases."""
        plain = Network(self.hidden, self.activation, self.scale).weights(inputs, outputs, seeds)
        made = []
        for weight, bias in zip(plain[:-2:2], plain[1:-2:2], strict=True):
            made += [weight, torch.ones_like(bias), bias]
        return made + plain[-2:]

    def __call__(self, weights: Sequence[Tensor], x: Tensor) -> Tensor:
        """Outputs of every run, (R, N, D) -> (R, N, C)."""
        for weight, scale, shift in zip(weights[:-2:3], weights[1:-2:3], weights[2:-2:3], strict=True):
            z = x @ weight
            z = z - z.mean(1, keepdim=True)
            x = self.activation(z * torch.rsqrt(z.square().mean(1, keepdim=True) + EPS) * scale + shift)
        return torch.baddbmm(weights[-1], x, weights[-2])


Scale = Callable[[int, int], float]
_BOTH = {"plain": Network, "normalised": Normalised}


def _seeds(times: int = 1) -> range:
    return experiment.seeds(experiment.PROFILE, times)


def _evidence(how: str, intervals: Mapping[str, Paired], **size: Any) -> Evidence:
    """Evidence with every interval, its level, and the profile that set the number of runs."""
    fixed = {"profile": experiment.PROFILE, "level of intervals": experiment.LEVEL}
    return Evidence(
        "empirical", how, {**fixed, **size, **{name: str(interval) for name, interval in intervals.items()}}
    )


def _digits(
    layers: int,
    activation: experiment.Activation,
    scale: Scale,
    rates: Sequence[float],
    steps: int,
    times: int = 1,
) -> dict[str, Curves]:
    """Plain and normalised networks on the same splits, initial weights and mini-batches."""
    seeds = _seeds(times)
    data = experiment.load("digits", seeds)
    return {
        name: experiment.train(data, seeds, network((WIDTH,) * layers, activation, scale), rates, steps)
        for name, network in _BOTH.items()
    }


def _largest_rate(curves: Curves) -> Array:
    """log2 of the largest learning rate at which each seed converges, (S,); half the least where none does."""
    converged = curves.loss[:, :, -1] <= THRESHOLD
    rates = np.log2([*curves.rates])[:, None]
    return np.where(converged, rates, rates.min() - 1).max(0)


@claim(
    "bn.larger-learning-rate",
    says="Batch normalisation allows larger learning rates and faster convergence.",
    sources=(*_BN, _IOFFE, _BJORCK),
    evidence="empirical",
    verdict="conditional",
)
def larger_learning_rate() -> Judgement:
    """Largest learning rate that converges, and steps to a training loss of 0.5 at the best one.

    Rule: both intervals lie above a factor of 1.1 for five hidden layers; the counterexample is a network for which the
    interval of steps lies below it.
    """
    deep = _digits(5, torch.relu, he, tuple(0.1 * 2**k for k in range(5)), 120)
    flat = _digits(1, torch.sigmoid, glorot, (3.2, 6.4), 40, times=4)
    intervals = {
        "5 hidden ReLU layers, log2 of the largest rate": experiment.paired(
            _largest_rate(deep["normalised"]), _largest_rate(deep["plain"]), float(np.log2(1.1))
        ),
        "5 hidden ReLU layers, log2 of the speed": experiment.speedup(
            deep["plain"].fastest(THRESHOLD), deep["normalised"].fastest(THRESHOLD)
        ),
        "1 hidden sigmoid layer, log2 of the speed": experiment.speedup(
            flat["plain"].fastest(THRESHOLD), flat["normalised"].fastest(THRESHOLD)
        ),
    }
    rate, speed, shallow = intervals.values()
    series = {}
    for name, curves in deep.items():
        best = experiment.best(curves.steps_to(THRESHOLD))
        series[f"{name}, rate {curves.rates[best]:g}"] = (
            curves.steps[1:].tolist(),
            np.minimum(curves.loss[best].mean(0), 10.0)[1:].tolist(),
        )
    return Judgement(
        _evidence("normalised against plain networks, each at its own best learning rate", intervals, width=WIDTH),
        confirmed=rate.decision == "larger" and speed.decision == "larger",
        conditions="the plain network is hard to train: here five hidden ReLU layers, whose own best rate is close to "
        "where training breaks down. A shallow network that its initial weights suit gains nothing",
        counterexample=Counterexample(
            "one hidden layer of sigmoid units on the digits, each network at its best of two rates: the mean "
            "number of steps to a training loss of 0.5",
            {"hidden layers": 1, "rates": list(flat["plain"].rates), "seeds": len(_seeds(4))},
            claimed="fewer steps with batch normalisation",
            actual={name: float(curves.fastest(THRESHOLD).mean().round(1)) for name, curves in flat.items()},
            confirmed=shallow.decision == "smaller",
        ),
        explanation="A step also costs more time with batch normalisation, which is not counted here.",
        figures=(
            Figure("Five hidden ReLU layers at their best rates", "step", "mean training loss", series, y_scale="log"),
        ),
    )


@claim(
    "bn.less-init-dependence",
    says="Batch normalisation makes training depend less on the initialisation.",
    sources=(_BN[1], _IOFFE),
    evidence="empirical",
    verdict="conditional",
    formula=r"(a W, a^2 \eta) \text{ trains as } (W, \eta)",
)
def less_init_dependence() -> Judgement:
    """Steps to a training loss of 0.5 for hidden weights of a tenth, once and ten times He's deviation.

    Rule: a tenth costs the plain network more by a factor above 1.1 than the normalised one, each at its best of three
    learning rates; the counterexample is that ten times costs the normalised one more than a factor of 2.
    """
    factors, steps = (0.1, 1.0, 10.0), {}
    for factor in factors:
        runs = _digits(3, torch.relu, lambda i, o, a=factor: a * he(i, o), (0.1, 0.4, 1.6), 120)
        steps |= {(name, factor): np.log2(curves.fastest(THRESHOLD)) for name, curves in runs.items()}
    cost = {(name, factor): steps[name, factor] - steps[name, 1.0] for name in _BOTH for factor in (0.1, 10.0)}
    small = experiment.paired(cost["plain", 0.1], cost["normalised", 0.1], float(np.log2(1.1)))
    large = experiment.paired(cost["normalised", 10.0], 0 * cost["normalised", 10.0], 1.0)
    means = {name: [round(float(2 ** steps[name, factor].mean()), 1) for factor in factors] for name in _BOTH}
    return Judgement(
        _evidence(
            "log2 of what another initial scale costs in steps",
            {"a tenth, plain less normalised": small, "ten times, normalised": large},
            **{f"steps at 0.1, 1 and 10, {name}": found for name, found in means.items()},
        ),
        confirmed=small.decision == "larger",
        conditions="hidden weights of a usual size or smaller; for weights a times as large the learning rate of these "
        "layers has to be a^2 times as large: then training is the same for every a",
        counterexample=Counterexample(
            "hidden weights of ten times He's deviation, learning rates up to 1.6: the gradient is a tenth and the "
            "weights ten times as large, so that a step turns them a hundredth as far (steps, at most 120)",
            {"hidden layers": 3, "factor": 10.0, "rates": [0.1, 0.4, 1.6]},
            claimed={"steps at 10": means["normalised"][1]},
            actual={"steps at 10": means["normalised"][2]},
            confirmed=large.decision == "larger",
        ),
        explanation="The output does not see the factor, the size of a step does. Small weights grow at first: their "
        "gradient is orthogonal to them and large, which soon brings the step to a useful size. Only the scale of "
        "hidden weights was varied.",
        figures=(
            Figure("Steps to a training loss of 0.5 by initial scale", "factor of He's deviation", "steps", {
                name: (list(factors), found) for name, found in means.items()
            }, x_scale="log", y_scale="log"),
        ),
    )  # fmt: skip


def _gradient_norms(network: Network, stride: int, seeds: Sequence[int]) -> Array:
    """log10 of the norm of the loss's gradient by each hidden weight matrix at the start, (L, S)."""
    data = experiment.load("digits", seeds)
    x, y = (part[:, :256] for part in data.train)
    weights = [weight.requires_grad_() for weight in network.weights(x.shape[2], data.outputs, seeds)]
    loss = data.loss(network(weights, x), y)
    found = torch.autograd.grad(loss.sum(), weights)[:-2:stride]
    return torch.stack([gradient.flatten(1).norm(dim=1) for gradient in found]).double().log10().numpy()


@claim(
    "bn.eases-vanishing",
    says="Batch normalisation eases vanishing gradients in deep saturating networks.",
    sources=(*_BN, _IOFFE, _YANG),
    evidence="empirical",
    verdict="holds",
)
def eases_vanishing() -> Judgement:
    """Gradient of the first layer's weights over that of the last hidden layer's, at the start.

    Rule: batch normalisation raises it by more than a factor of ten, in 5, 10 and 20 sigmoid layers.
    """
    seeds, intervals, by_layer = _seeds(), {}, {}
    for depth in (5, 10, 20):
        norms = {
            kind: _gradient_norms(network((WIDTH,) * depth, torch.sigmoid, glorot), 2 + (kind == "normalised"), seeds)
            for kind, network in _BOTH.items()
        }
        ratios = {kind: values[0] - values[-1] for kind, values in norms.items()}
        intervals[f"{depth} layers, log10 of the ratio"] = experiment.paired(ratios["normalised"], ratios["plain"], 1.0)
        by_layer |= {f"{depth} layers, {kind}": values.mean(1) for kind, values in norms.items()}
    return Judgement(
        _evidence("sigmoid: first hidden layer's gradient over the last one's, normalised over plain", intervals),
        confirmed=all(interval.decision == "larger" for interval in intervals.values()),
        explanation="The sigmoid's slope is at most 1/4; the normalised pre-activations stay where it is not much "
        "less, and dividing by their small deviation makes up for it. In networks whose gradients do not vanish they "
        "grow instead: Yang et al. show that batch normalisation makes them explode with depth, by a constant factor "
        "a layer.",
        figures=(
            Figure("Gradient norms by layer, at the start", "hidden layer", "mean log10 of the norm", {
                name: (list(range(1, len(values) + 1)), values.tolist()) for name, values in by_layer.items()
            }),
        ),
    )  # fmt: skip


@claim(
    "bn.regularises",
    says="Batch normalisation has a regularising effect and counters overfitting.",
    sources=(*_BN, _IOFFE, _LUO),
    evidence="empirical",
    verdict="refuted",
)
def regularises() -> Judgement:
    """Test accuracy after overfitting a tenth of the digits, with batches of 8 and of 64.

    Rule: it counters overfitting where test accuracy rises by a hundredth; refuted if the intervals of normalised less
    plain lie below that for both sizes of batch, each network at its best training loss.
    """
    seeds = _seeds(times=2)
    data = experiment.load("digits", seeds, test_share=0.9)
    intervals, means = {}, {}
    for batch in (8, 64):
        scores = {}
        for name, network in _BOTH.items():
            made = network((64,), torch.relu, he)
            runs = experiment.train(data, seeds, made, (0.1, 0.4), steps=250, batch=batch, marks=(250,))
            best = experiment.best(runs.loss[:, :, -1])
            scores[name] = runs.score[best, :, -1]
            means[f"batch {batch}, {name}"] = {
                "training loss": round(float(runs.loss[best, :, -1].mean()), 4),
                "test accuracy": round(float(scores[name].mean()), 4),
            }
        intervals[f"batch {batch}"] = experiment.paired(scores["normalised"], scores["plain"], ACCURACY)
    none = all(interval.high < ACCURACY for interval in intervals.values())
    return Judgement(
        _evidence("test accuracy, normalised less plain, training on 180 digits", intervals, hidden=64),
        confirmed=False,
        counterexample=Counterexample(
            "A hidden layer of 64 ReLU units that learns 180 digits by heart tests no better with batch normalisation.",
            {"training digits": 180, "batches": [8, 64], "seeds": len(seeds)},
            claimed="test accuracy higher by 0.01 or more",
            actual=means,
            confirmed=none,
        ),
        correction="Normalising by a mini-batch adds noise to each example, of a relative size of 1 / sqrt(m) for m "
        "values per channel. It can act like a regulariser, which must be seen by testing; it need not counter "
        "overfitting.",
        explanation="Where test results do rise with batch normalisation, larger learning rates have a part in it "
        "(Bjorck et al.): at the same rate the difference shrinks.",
    )


@dataclass(frozen=True, slots=True, eq=False)
class Convolutional(Network):
    """3 x 3 convolution to 16 maps, ReLU, response normalisation or none, 2 x 2 max pooling, and a dense layer."""

    normalise: Callable[[Tensor], Tensor] = lambda maps: maps

    def weights(self, inputs: int, outputs: int, seeds: Sequence[int]) -> list[Tensor]:
        """Normal weights by fan-in and zero biases; a seed fixes the numbers."""
        made = []
        for stream, (fan_in, fan_out) in {"kernel": (9, 16), "dense": (144, outputs)}.items():
            drawn = [torch.randn(fan_in, fan_out, generator=experiment.generator(seed, stream)) for seed in seeds]
            made += [he(fan_in, fan_out) * torch.stack(drawn), torch.zeros(len(seeds), 1, fan_out)]
        return made

    def __call__(self, weights: Sequence[Tensor], x: Tensor) -> Tensor:
        """Outputs of every run, (R, N, 64) -> (R, N, C)."""
        runs, examples, _ = x.shape
        patches = functional.unfold(x.reshape(-1, 1, 8, 8), 3).mT.reshape(runs, -1, 9)
        maps = torch.relu(torch.baddbmm(weights[1], patches, weights[0])).reshape(-1, 36, 16).mT
        pooled = functional.max_pool2d(self.normalise(maps).reshape(-1, 16, 6, 6), 2)
        return torch.baddbmm(weights[3], pooled.reshape(runs, examples, 144), weights[2])


def _response_norm(alpha: float, k: float) -> Callable[[Tensor], Tensor]:
    """Normalisation across maps (B, C, L) with a window of 5 and beta 3/4; alpha is not divided, as in the paper."""

    def normalise(maps: Tensor) -> Tensor:
        squares = functional.pad(maps.square(), (0, 0, 2, 2))
        total = torch.stack([squares[:, place : place + maps.shape[1]] for place in range(5)]).sum(0)
        root = torch.rsqrt(k + alpha * total)
        return maps * root * root.sqrt()

    return normalise


@claim(
    "lrn.generalises",
    says="It improves generalisation.",
    sources=(notes("002, AlexNet"), _KRIZHEVSKY, _SIMONYAN),
    evidence="empirical",
    verdict="refuted",
)
def lrn_generalises() -> Judgement:
    """Test accuracy of a small convolution network on the digits, with AlexNet's constants and without the layer.

    Rule: it improves generalisation where test accuracy rises by a hundredth; refuted if the interval lies below that,
    each network at its best training loss. Accuracy is averaged over the last evaluations, between which it jumps.
    """
    seeds, last = _seeds(), (60, 70, 80, 90)
    data = experiment.load("digits", seeds, test_share=0.5)
    scores = {}
    for name, normalise in {"without": lambda maps: maps, "with": _response_norm(1e-4, 2.0)}.items():
        network = Convolutional((), torch.relu, he, normalise)
        runs = experiment.train(data, seeds, network, (0.1, 0.2), steps=last[-1], batch=32, marks=last)
        scores[name] = runs.score[experiment.best(runs.loss.mean(-1))].mean(-1)
    interval = experiment.paired(scores["with"], scores["without"], ACCURACY)
    return Judgement(
        _evidence("test accuracy, with less without", {"difference": interval}, maps=16, steps=last[-1]),
        confirmed=False,
        counterexample=Counterexample(
            "A convolution network of 16 maps on half of the handwritten digits; mean accuracy on the other half.",
            {"seeds": len(seeds), "window": 5, "alpha": 1e-4, "beta": 0.75, "k": 2.0},
            claimed="accuracy higher by 0.01 or more with the layer",
            actual={name: round(float(value.mean()), 4) for name, value in scores.items()},
            confirmed=interval.high < ACCURACY,
        ),
        correction="It does not improve generalisation in general. Krizhevsky et al. report a gain of 1.4 points of "
        "top-1 error on ImageNet for AlexNet, Simonyan and Zisserman none for VGG (29.7 with it, 29.6 without).",
        explanation="With AlexNet's constants and responses of size 1 the divisor is nearly constant, 2^0.75: the "
        "layer then does little more than scale.",
    )
