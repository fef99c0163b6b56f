"""What the notes say about activations in training and in time, judged by seeded runs and interleaved timings.

Every rule below was fixed before the runs that decide. Steps are counted to a fixed training loss, each setting at the
learning rate of the grid that suits it best; a difference counts from a factor of 1.1, a timing as "much" from 2.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from dlcheck.activations.vanishing import gradient_causes as gradient_causes
from dlcheck.component import Source, notes
from dlcheck.evidence import experiment, seeds
from dlcheck.evidence.experiment import Activation, Curves, Data, Median, Network, Paired, glorot, he
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim

Array = NDArray[np.float64]

RATES = tuple(0.4 * 2**k for k in range(5))
"""Learning rates from which every setting takes its own: 0.4, 0.8, ..., 6.4."""
THRESHOLD = 0.5
"""Training loss that counts as converged, of ln 10 = 2.3 at the start: about nine digits in ten are right."""
WIDTH = 32
CROSSING = 2 * math.acosh((1 + 3**0.5) / 2)
"""|x| = 1.663 beyond which the sigmoid's slope s(1 - s) exceeds tanh's slope 1 - tanh^2: cosh x = 2 cosh(x/2) there."""
MUCH = 2.0
"""Ratio of times: an interval above it is much more, one below it is not; one around it decides nothing."""
ELEMENTS, FAN_IN = 2**14, 512
"""Elements that fit in any second-level cache (128 KiB in float64), and the inputs of the layer that they come from."""

_BOOK = Source("Goodfellow et al. 2016, Deep Learning", "6.3", "https://www.deeplearningbook.org/contents/mlp.html")
_RAISSI = Source(
    "Raissi et al. 2019, Physics-informed neural networks", "2", "https://doi.org/10.1016/j.jcp.2018.10.045"
)
_KRIZHEVSKY = Source(
    "Krizhevsky et al. 2012, ImageNet classification with deep convolutional neural networks",
    "section 3.1, figure 1",
    "https://proceedings.neurips.cc/paper/2012/file/c399862d3b9d6b76c8436e924a68c45b-Paper.pdf",
)
_LECUN = Source("LeCun et al. 1998, Efficient BackProp", "4.4", "http://yann.lecun.com/exdb/publis/pdf/lecun-98b.pdf")
_GLOROT = Source("Glorot, Bengio 2010", "sections 3, 4", "https://proceedings.mlr.press/v9/glorot10a.html")
_CLEVERT = Source("Clevert et al. 2016, ELUs", "section 2", "https://arxiv.org/abs/1511.07289")


def _digits(
    activation: Activation,
    layers: int,
    steps: int,
    scale: Callable[[int, int], float] = glorot,
    rates: Sequence[float] = RATES,
    times: int = 1,
) -> Curves:
    """Plain SGD on the handwritten digits, every learning rate and seed of the profile."""
    seeds = experiment.seeds(experiment.PROFILE, times)
    network = Network((WIDTH,) * layers, activation, scale)
    return experiment.train(experiment.load("digits", seeds), seeds, network, rates, steps)


def _steps(curves: Mapping[Any, Curves]) -> dict[Any, Array]:
    return {key: runs.fastest(THRESHOLD) for key, runs in curves.items()}


def _evidence(how: str, intervals: Mapping[str, Paired | Median], **size: Any) -> Evidence:
    """Evidence with every interval, its level, and the profile that set the number of runs."""
    said = {name: str(interval) for name, interval in intervals.items()}
    fixed = {"profile": experiment.PROFILE, "level of intervals": experiment.LEVEL}
    return Evidence("empirical", how, {**fixed, **size, **said})


def _losses(title: str, curves: Mapping[str, Curves]) -> Figure:
    """Mean training loss of every setting at the learning rate at which it converges in the fewest steps."""
    series = {}
    for label, runs in curves.items():
        rate = experiment.best(runs.steps_to(THRESHOLD))
        finite = np.minimum(runs.loss[rate].mean(0), runs.loss[:, :, 0].max())
        series[f"{label}, rate {runs.rates[rate]:g}"] = (runs.steps[1:].tolist(), finite[1:].tolist())
    return Figure(title, "step", "mean training loss", series, x_scale="log", y_scale="log")


def _second_derivative_residuals(units: int = 32) -> tuple[float, float]:
    """Least mean square of u'' + pi^2 sin(pi x) over the output weights of one hidden layer: of ReLU and of tanh units.

    u'' is a sum of w^2 f''(w x + b): ReLU's f'' is 0 wherever it exists, tanh's is -2 tanh (1 - tanh^2).
    """
    rng = seeds.generator()
    x = np.linspace(0.0, 1.0, 128)
    target = -(np.pi**2) * np.sin(np.pi * x)
    w, b = rng.normal(scale=4.0, size=units), rng.normal(scale=2.0, size=units)
    value = np.tanh(np.multiply.outer(x, w) + b)
    curvature = -2 * value * (1 - value**2) * w**2
    fitted = curvature @ np.linalg.lstsq(curvature, target, rcond=None)[0]
    return float(np.mean(target**2)), float(np.mean((fitted - target) ** 2))


_RIVALS: Mapping[str, tuple[Activation, Callable[[int, int], float]]] = {
    "ReLU": (torch.relu, he),
    "sigmoid": (torch.sigmoid, glorot),
    "tanh": (torch.tanh, glorot),
    "leaky ReLU": (functional.leaky_relu, he),
}


def _scores(data: Data, seeds: Sequence[int], layers: int) -> dict[str, Array]:
    """Test score of every activation at the learning rate with the least training loss, (S,) each."""
    scores = {}
    for name, (activation, scale) in _RIVALS.items():
        network = Network((WIDTH,) * layers, activation, scale)
        runs = experiment.train(data, seeds, network, (0.02, 0.2, 2.0), steps=80, batch=32, marks=(80,))
        scores[name] = runs.score[experiment.best(runs.loss[..., -1]), :, -1]
    return scores


@claim(
    "activation.relu-default",
    says="ReLU is a good default choice for most problems.",
    sources=(notes("004, activation function"), _BOOK, _RAISSI),
    evidence="empirical",
    verdict="conditional",
    formula=r"\mathrm{relu}(x) = \max(0, x), \qquad \mathrm{relu}''(x) = 0 \text{ for } x \ne 0",
)
def relu_default() -> Judgement:
    """Test scores of ReLU against the best of sigmoid, tanh and leaky ReLU.

    Rule: ReLU is a good choice on a problem if the interval of its score less the best rival's lies above -0.05
    (accuracy, or R^2); the claim stands if it is so on more than half of the problems, and the rule can fail: sigmoid
    falls more than 0.05 behind ReLU on one of them at least.
    """
    seeds = experiment.seeds(experiment.PROFILE, times=2)  # small test parts make noisy scores
    against, control, means = {}, [], {name: [] for name in _RIVALS}
    for name in ("digits", "breast cancer", "wine", "diabetes"):
        data = experiment.load(name, seeds, test_share=0.5)
        for layers in (1, 3):
            scores = _scores(data, seeds, layers)
            rival = max(list(_RIVALS)[1:], key=lambda other: scores[other].mean())
            problem = f"{name}, {layers} hidden, best rival {rival}"
            against[problem] = experiment.paired(scores["ReLU"], scores[rival], margin=0.05)
            control.append(experiment.paired(scores["sigmoid"], scores["ReLU"], margin=0.05).decision == "smaller")
            for activation, score in scores.items():
                means[activation].append(float(score.mean()))
    good = sum(interval.low > -interval.margin for interval in against.values())
    relu, tanh = _second_derivative_residuals()
    return Judgement(
        _evidence(
            "test score, ReLU less best rival; rule: good if the interval lies above -0.05",
            against,
            good=f"{good} of 8",
        ),
        confirmed=2 * good > len(against) and any(control),
        conditions="the loss holds the network's values and first derivatives only (here: multi-layer perceptrons "
        "with one and three hidden layers of 32 on digits, breast cancer, wine and diabetes; good is within 0.05 of "
        "the best rival)",
        counterexample=Counterexample(
            "A loss with the second derivative by the input: for u'' = -pi^2 sin(pi x), as in physics-informed "
            "networks, u'' of a ReLU network is 0 wherever it exists, so that no weights bring the residual below "
            "the mean square of the right side, and no gradient says how. 32 tanh units with random input weights "
            "solve it by least squares.",
            {"equation": "u''(x) = -pi^2 sin(pi x) at 128 points of [0, 1]", "tanh units": 32},
            claimed="ReLU's least mean squared residual is comparable to that of tanh",
            actual={"ReLU": relu, "tanh": tanh},
            confirmed=tanh < relu / 100,
        ),
        explanation=f"ReLU is a good choice on {good} of {len(against)} problems in this sense; on the others the "
        "test parts are too small to tell, or it is not. The problems are few and small: 'most' is shown for these "
        "only. Goodfellow et al. recommend ReLU as an excellent default while noting that no rule picks the best "
        "unit in advance.",
        figures=(
            Figure(
                "Test score by problem (data sets in the order named, one and three hidden layers)",
                "problem",
                "mean test score",
                {name: (list(range(1, len(values) + 1)), values) for name, values in means.items()},
                kind="scatter",
            ),
        ),
    )


def _calls(function: Activation, dtype: torch.dtype) -> dict[str, Callable[[], Tensor]]:
    """The same work with a function and with ReLU: one element, elements in cache, the layer that gives as many."""
    source = experiment.generator(0, "timing")
    one, many = (torch.randn(n, generator=source).to(dtype) for n in (1, ELEMENTS))
    rows, weight = (torch.randn(n, FAN_IN, generator=source).to(dtype) for n in (ELEMENTS // FAN_IN, FAN_IN))
    works = {"one": lambda f: f(one), "many": lambda f: f(many), "layer": lambda f: f(rows @ weight)}
    both = {"function": function, "relu": torch.relu}
    return {f"{work} {name}": (lambda run=run, f=f: run(f)) for work, run in works.items() for name, f in both.items()}


def _ratios(function: Activation, dtype: torch.dtype = torch.float64) -> tuple[dict[str, Median], float]:
    """Times of a function over ReLU's, per element, for one element, for a layer; and the fan-in of equal weight.

    Per element is the time of many elements less that of one, which is all overhead. The last is the number of
    multiply-adds before each element from which the layers' times differ by less than MUCH.
    """
    calls = _calls(function, dtype)
    t = experiment.timed(calls, experiment.rounds(experiment.PROFILE), repeat=8)
    element = {name: (t[f"many {name}"] - t[f"one {name}"]) / (ELEMENTS - 1) for name in ("function", "relu")}
    ratios = {
        "per element in cache": experiment.median(element["function"] / element["relu"]),
        "single element": experiment.median(t["one function"] / t["one relu"]),
        f"layer of fan-in {FAN_IN}": experiment.median(t["layer function"] / t["layer relu"]),
    }
    product = np.median(t["layer relu"] - t["many relu"]) / (ELEMENTS * FAN_IN)
    return ratios, float((np.median(element["function"]) - MUCH * np.median(element["relu"])) / product)


_SIZES = tuple(4**k for k in range(10))


def _ratio_figure(function: Activation, name: str) -> Figure:
    """Ratio of times against the number of elements: overhead first, then arithmetic, at last memory."""
    series = {}
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        ratios = []
        for size in _SIZES:
            x = torch.randn(size, generator=experiment.generator(0, "timing")).to(dtype)
            t = experiment.timed({"function": lambda x=x: function(x), "relu": lambda x=x: torch.relu(x)}, 15, 4)
            ratios.append(float(np.median(t["function"] / t["relu"])))
        series[str(dtype).removeprefix("torch.")] = (list(_SIZES), ratios)
    return Figure(f"Time of {name} over time of ReLU, forward", "elements", "ratio", series, x_scale="log")


def _expensive(function: Activation, name: str) -> Judgement:
    """Whether a function costs much more than ReLU, from ratios of interleaved times on one thread.

    Rule: much more where the interval of the median ratio lies above 2, not where it lies below. The
    claim is judged per element in cache, in float64, where arithmetic decides; the counterexample is the layer.
    """
    ratios, fan_in = _ratios(function)
    layer = ratios[f"layer of fan-in {FAN_IN}"]
    rounds = experiment.rounds(experiment.PROFILE)
    return Judgement(
        _evidence(
            "medians of ratios of interleaved processor times with sign-test intervals; rule: much more above 2, not "
            "below it",
            ratios,
            rounds=rounds,
            dtype="float64",
            threads=1,
            fan_in_from_which_layers_differ_by_less_than_2=round(fan_in, 1),
        ),
        confirmed=ratios["per element in cache"].low > MUCH,
        conditions=f"c_f - 2 c_r > K c_m + t_0/n: c_f, c_r seconds per element of {name} and ReLU in cache, K "
        "multiply-adds of c_m seconds before each element, n elements a call, t_0 seconds of overhead a call (judged "
        "in float64 on the CPU)",
        counterexample=Counterexample(
            f"A layer of {FAN_IN} inputs and outputs on {ELEMENTS // FAN_IN} rows: the matrix product outweighs the "
            "activation.",
            {"rows": ELEMENTS // FAN_IN, "inputs": FAN_IN, "outputs": FAN_IN, "dtype": "float64"},
            claimed=f"time with {name} > {MUCH:g} x time with ReLU",
            actual=f"ratio {layer}",
            confirmed=layer.high < MUCH,
        ),
        explanation=f"Alone and in cache {name} needs an exponential and a division where ReLU needs one comparison. "
        "A call on a single element is nearly all overhead, and arrays beyond the cache wait for memory with either "
        "function, so the ratio falls again. In float32 and bfloat16 it depends on the library's kernels (see the "
        "figure), so it is not judged.",
        figures=(_ratio_figure(function, name),),
    )


@claim(
    "sigmoid.expensive",
    says="The sigmoid costs much more to compute than ReLU.",
    sources=(notes("001, section 3.1"), _KRIZHEVSKY),
    evidence="empirical",
    verdict="conditional",
    formula=r"t(n) = t_0 + n\,(K c_m + c_f)",
)
def sigmoid_expensive() -> Judgement:
    """The rule of ``_expensive`` for the sigmoid."""
    return _expensive(torch.sigmoid, "the sigmoid")


@claim(
    "tanh.expensive",
    says="tanh costs much more to compute than ReLU.",
    sources=(notes("001, section 3.2"), _KRIZHEVSKY),
    evidence="empirical",
    verdict="conditional",
    formula=r"t(n) = t_0 + n\,(K c_m + c_f)",
)
def tanh_expensive() -> Judgement:
    """The rule of ``_expensive`` for tanh."""
    return _expensive(torch.tanh, "tanh")


_CENTRING: Mapping[str, Activation] = {
    "sigmoid": torch.sigmoid,
    "sigmoid - 1/2": lambda x: torch.sigmoid(x) - 0.5,
    "tanh + 1": lambda x: torch.tanh(x) + 1,
    "tanh": torch.tanh,
}


def _saturated(gain: float) -> float:
    """Share of first-layer pre-activations that start beyond the crossing, for Glorot's weights times a gain."""
    seeds = experiment.seeds(experiment.PROFILE)
    x, _ = experiment.load("digits", seeds).train
    network = Network((WIDTH,), torch.tanh, lambda i, o: gain * glorot(i, o))
    return float((torch.bmm(x, network.weights(x.shape[2], 10, seeds)[0]).abs() > CROSSING).double().mean())


@claim(
    "tanh.faster-than-sigmoid",
    says="Networks with tanh converge faster than with sigmoid, because tanh's outputs have a mean nearer 0.",
    sources=(notes("001, section 3.2"), _LECUN, _GLOROT),
    evidence="empirical",
    verdict="conditional",
    formula=r"\tanh(x) = 2\sigma(2x) - 1, \quad |\tanh'(x)| > |\sigma'(x)| \iff \cosh x < 2\cosh(x/2) \iff |x| < 1.663",
)
def tanh_faster() -> Judgement:
    """Steps to the threshold on the digits with one and two hidden layers, and the cause by moving the mean alone.

    Rule: for each depth tanh needs fewer steps than the sigmoid; so does the sigmoid less 1/2 than the sigmoid, and
    tanh than tanh + 1, which differ in nothing but the mean. All three intervals must lie beyond a factor of 1.1.
    Beyond |x| = 1.663 the sigmoid has the larger slope: weights 16 times Glorot's start there and turn the order round.
    """
    runs = {(name, n): _digits(f, n, steps=60) for n in (1, 2) for name, f in _CENTRING.items()}
    steps = _steps(runs)
    pairs = (("sigmoid", "tanh"), ("sigmoid", "sigmoid - 1/2"), ("tanh + 1", "tanh"))
    compared = {
        f"log2 of steps, {slow} over {fast}, {n} hidden": experiment.speedup(steps[slow, n], steps[fast, n])
        for n in (1, 2)
        for slow, fast in pairs
    }
    large = {
        name: _digits(_CENTRING[name], 2, 150, lambda i, o: 16 * glorot(i, o), RATES[1:])
        for name in ("sigmoid", "tanh")
    }
    needed = _steps(large)
    reversed_ = experiment.speedup(needed["tanh"], needed["sigmoid"])
    shares = {gain: _saturated(gain) for gain in (1, 16)}
    return Judgement(
        _evidence(
            f"SGD on digits, steps to training loss {THRESHOLD}, each at its best rate; rule: intervals beyond a "
            "factor of 1.1",
            {**compared, "log2 of steps, tanh over sigmoid, weights x 16": reversed_},
            share_beyond_crossing={f"weights x {gain}": round(share, 3) for gain, share in shares.items()},
        ),
        confirmed=all(interval.decision == "larger" for interval in compared.values()),
        conditions=f"most pre-activations start within |x| < 2 arcosh((1 + sqrt 3)/2) = {CROSSING:.3f}, where tanh's "
        "slope exceeds the sigmoid's (shown for one and two hidden layers with Glorot's weights)",
        counterexample=Counterexample(
            "Weights 16 times too large: units start saturated, where the sigmoid's slope is the larger one (at x = 4, "
            "s(1 - s) = 0.0177 and 1 - tanh^2 = 0.0013), and the sigmoid converges in fewer steps.",
            {"data": "digits", "hidden": [WIDTH, WIDTH], "weights": "16 x Glorot", "share beyond 1.663": shares[16]},
            claimed="tanh needs fewer steps than the sigmoid",
            actual={name: float(counts.mean()) for name, counts in needed.items()},
            confirmed=reversed_.decision == "larger" and shares[16] > 0.5,
        ),
        explanation="Moving the mean alone speeds the sigmoid and slows tanh, so the mean is a cause. It is not the "
        "only one: tanh's slope at 0 is four times the sigmoid's, and at equal mean the steeper of each pair is the "
        "faster one. Mean steps: "
        f"{ ({f'{name}, {n} hidden': round(float(s.mean()), 1) for (name, n), s in steps.items()}) }.",
        figures=(_losses("Centring and slope, two hidden layers", {name: runs[name, 2] for name in _CENTRING}),),
    )


_SATURATION: Mapping[str, tuple[Activation, Callable[[int, int], float]]] = {
    "ReLU": (torch.relu, he),
    "tanh": (torch.tanh, glorot),
    "sigmoid": (torch.sigmoid, glorot),
    "hard tanh": (functional.hardtanh, glorot),
}


@claim(
    "relu.converges-fast",
    says="With SGD, ReLU networks converge faster than sigmoid and tanh ones, owing to the linear, non-saturating "
    "form.",
    sources=(notes("001, section 3.3"), _KRIZHEVSKY, _CLEVERT),
    evidence="empirical",
    verdict="refuted",
)
def relu_converges_fast() -> Judgement:
    """Steps to the threshold on the digits with one and three hidden layers, each with its own initial scale.

    Rule: the claim falls if tanh needs fewer steps than ReLU at both depths, the interval beyond a factor of 1.1. Its
    cause falls if hard tanh, max(-1, min(1, x)), linear but saturating, does so as well. The sigmoid must need more.
    """
    runs = {(name, n): _digits(f, n, 40, scale, times=2) for n in (1, 3) for name, (f, scale) in _SATURATION.items()}
    steps = _steps(runs)
    compared = {
        f"log2 of steps, ReLU over {name}, {n} hidden": experiment.speedup(steps["ReLU", n], steps[name, n])
        for n in (1, 3)
        for name in ("tanh", "hard tanh", "sigmoid")
    }
    means = {f"{name}, {n} hidden": round(float(needed.mean()), 1) for (name, n), needed in steps.items()}
    return Judgement(
        _evidence(
            f"SGD on digits, steps to training loss {THRESHOLD}, each at its best rate; rule: intervals beyond a "
            "factor of 1.1",
            compared,
        ),
        confirmed=False,
        counterexample=Counterexample(
            "Handwritten digits, one and three hidden layers of 32: at its own best rate tanh needs fewer steps than "
            "ReLU, and so does hard tanh, which saturates.",
            {"data": "digits", "hidden": ["32", "32, 32, 32"], "rates": RATES, "training loss": THRESHOLD},
            claimed="ReLU needs fewer steps than tanh",
            actual=means,
            confirmed=all(i.decision == ("smaller" if "sigmoid" in name else "larger") for name, i in compared.items()),
        ),
        correction="ReLU networks converge faster than sigmoid ones; but a unit centred at 0 with slope 1 there, "
        "such as tanh and hard tanh, converges in fewer steps still at a rate of its own, whether it saturates or "
        "not.",
        explanation="ReLU's mean is above 0 and grows with depth, which bounds its rate; hard tanh shares ReLU's "
        "linear piece, saturates on both sides, and is among the fastest, so non-saturation is not what decides "
        "here. Krizhevsky et al. saw a four-layer convolutional network on CIFAR-10 reach 25 % training error six "
        "times faster with ReLU than with tanh, each with its own rate: larger networks and other data may well "
        "order them otherwise.",
        figures=(_losses("Three hidden layers, each at its best rate", {name: runs[name, 3] for name in _SATURATION}),),
    )


@claim(
    "relu.cheap",
    says="ReLU is cheap to compute.",
    sources=(notes("001, section 3.3"), _KRIZHEVSKY),
    evidence="empirical",
    verdict="holds",
    formula=r"\mathrm{relu}(x) = \max(0, x)",
)
def relu_cheap() -> Judgement:
    """Time of ReLU over that of negation, which reads and writes each element once and computes next to nothing.

    Rule: cheap if the interval of the median ratio lies below 2 at every size, from one element (all overhead) over
    arrays in cache (arithmetic) to arrays beyond it (memory), in float32 and float64.
    """
    ratios = {}
    for dtype in (torch.float32, torch.float64):
        for size in (1, ELEMENTS, 2**20):
            x = torch.randn(size, generator=experiment.generator(0, "timing")).to(dtype)
            calls = {"relu": lambda x=x: torch.relu(x), "negation": lambda x=x: torch.neg(x)}
            t = experiment.timed(calls, experiment.rounds(experiment.PROFILE), repeat=max(1, ELEMENTS // size // 256))
            ratios[f"{size} elements, {str(dtype).removeprefix('torch.')}"] = experiment.median(
                t["relu"] / t["negation"]
            )
    return Judgement(
        _evidence(
            "medians of ratios of interleaved processor times with sign-test intervals; rule: cheap below 2 x negation",
            ratios,
            rounds=experiment.rounds(experiment.PROFILE),
            threads=1,
        ),
        confirmed=all(ratio.high < MUCH for ratio in ratios.values()),
        explanation="ReLU is one comparison an element: it costs what it costs to read and write the array. "
        "Half-precision formats are not judged: a library that widens them to float32 and back pays for that, not "
        "for the comparison.",
        figures=(
            Figure(
                "Time of ReLU over time of negation",
                "elements",
                "ratio",
                {
                    kind: ([1, ELEMENTS, 2**20], [r.value for name, r in ratios.items() if name.endswith(kind)])
                    for kind in ("float32", "float64")
                },
                x_scale="log",
            ),
        ),
    )
