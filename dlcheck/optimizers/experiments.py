"""What the notes say about optimizers in training, judged by seeded runs on real data.

Every rule below was fixed before the runs that decide; a difference of steps counts from a factor of 1.1.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlcheck.component import Source, notes
from dlcheck.evidence import experiment, seeds
from dlcheck.evidence.experiment import Curves, Data, Direction, Network, Paired
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim

Array = NDArray[np.float64]

EPS = 1e-10
"""Adagrad's usual constant against division by zero."""
LOW, HIGH = 0.5, 0.9
"""The two momenta of the schedule."""
_REACH = HIGH**0.5 + LOW / HIGH**0.5
STEEP, UNSTABLE = 1 + LOW - _REACH, 1 + LOW + _REACH
"""Between these values of rate x curvature, 0.0243 and 2.976, momentum 0.5 contracts faster than 0.9, else slower."""
FALLEN = 0.1
"""The gradient is no longer large at this share of its first norm."""
STARTS = range(experiment.FIRST_SEED, experiment.FIRST_SEED + 100)
"""Seeds of the initial weights of a linear regression, which costs next to nothing."""
EXCESS = 1e-4
"""Share of the first excess loss that counts as converged."""

_POLYAK = Source(
    "Polyak 1964, Some methods of speeding up convergence", "", "https://doi.org/10.1016/0041-5553(64)90137-5"
)
_HINTON = Source(
    "Hinton 2010, A practical guide to training RBMs", "9", "https://www.cs.toronto.edu/~hinton/absps/guideTR.pdf"
)
_SUTSKEVER = Source("Sutskever et al. 2013", "section 3", "https://proceedings.mlr.press/v28/sutskever13.html")
_DUCHI = Source(
    "Duchi et al. 2011, Adaptive subgradient methods", "section 1", "https://jmlr.org/papers/v12/duchi11a.html"
)
_ZEILER = Source("Zeiler 2012, ADADELTA", "section 3", "https://arxiv.org/abs/1212.5701")


def _evidence(how: str, intervals: Mapping[str, Paired], **size: Any) -> Evidence:
    """Evidence with every interval, its level, and the profile that set the number of runs."""
    fixed = {"profile": experiment.PROFILE, "level of intervals": experiment.LEVEL}
    return Evidence(
        "empirical", how, {**fixed, **size, **{name: str(interval) for name, interval in intervals.items()}}
    )


def _seeds() -> range:
    return experiment.seeds(experiment.PROFILE)


def _losses(title: str, curves: Mapping[str, Curves]) -> Figure:
    """Mean training loss of runs at a single learning rate."""
    series = {label: (runs.steps.tolist(), runs.loss[0].mean(0).tolist()) for label, runs in curves.items()}
    return Figure(title, "step", "mean training loss", series, y_scale="log")


def adagrad(gradient: Tensor, state: dict[str, Any]) -> Tensor:
    """g_t / sqrt(s_t + eps) with s_t = s_{t-1} + g_t^2."""
    state["sum"] = state.get("sum", 0.0) + gradient**2
    return gradient / (state["sum"] + EPS).sqrt()


def rmsprop(gradient: Tensor, state: dict[str, Any]) -> Tensor:
    """g_t / sqrt(s_t + eps) with s_t = 0.9 s_{t-1} + 0.1 g_t^2."""
    state["mean"] = 0.9 * state.get("mean", 0.0) + 0.1 * gradient**2
    return gradient / (state["mean"] + EPS).sqrt()


def _hessian(name: str) -> Array:
    """Of half the mean squared error of linear regression on the standardised features of a data set, (D, D)."""
    features, _, _ = experiment.bundled(name)
    varying = features[:, features.std(0) > 0]
    standard = (varying - varying.mean(0)) / varying.std(0)
    return standard.T @ standard / len(standard)


def _constant(momentum: float) -> Callable[[Array], Array]:
    return lambda share: np.full(len(share), momentum)


def _schedule(share: Array) -> Array:
    return np.where(share <= FALLEN, HIGH, LOW)


def _descend(hessian: Array, stretch: float, momentum: Callable[[Array], Array], steps: int = 300) -> Array:
    """Excess loss w' H w / 2 along momentum from w ~ N(0, I) for every start, (steps + 1, S), relative to the first.

    The rate is ``stretch`` over the largest curvature; ``momentum`` gets the least share of its first norm that each
    run's gradient has reached, (S,).
    """
    w = np.array([seeds.generator(seed).normal(size=len(hessian)) for seed in STARTS])
    rate, velocity, losses = stretch / np.linalg.eigvalsh(hessian)[-1], np.zeros_like(w), []
    first = np.linalg.norm(w @ hessian, axis=1)
    share = np.ones(len(w))
    for _ in range(steps + 1):
        gradient = w @ hessian
        losses.append((w * gradient).sum(1) / 2)
        share = np.minimum(share, np.linalg.norm(gradient, axis=1) / first)
        velocity = momentum(share)[:, None] * velocity - rate * gradient
        w = w + velocity
    return np.array(losses) / losses[0]


def _converged(losses: Array) -> Array:
    """First step at which the excess loss has fallen to EXCESS, (S,); the last step where it never does."""
    reached = losses <= EXCESS
    return np.where(reached.any(0), reached.argmax(0), len(losses) - 1).astype(np.float64)


_MOMENTA: Mapping[str, Callable[[Array], Array]] = {
    "0.5": _constant(LOW),
    "0.9": _constant(HIGH),
    "0.5, then 0.9": _schedule,
}


@claim(
    "momentum.schedule",
    says="rho starts at 0.5 while gradients are large and is raised to 0.9 when they are not; rho and eta need not "
    "add up to 1.",
    sources=(notes("001, section 8.2"), _HINTON, _SUTSKEVER, _POLYAK),
    evidence="empirical",
    verdict="conditional",
    formula=r"z^2 - (1 + \rho - \eta\lambda) z + \rho = 0: \quad 0.5 \text{ contracts faster than } 0.9 \iff "
    r"1 + \rho_1 - r < \eta\lambda < 1 + \rho_1 + r, \quad "
    r"r = \sqrt{\rho_2} + \frac{\rho_1}{\sqrt{\rho_2}}, \; \rho_1 = 0.5, \; \rho_2 = 0.9",
)
def momentum_schedule() -> Judgement:
    """Full-batch linear regression on real data from random weights, the curvatures known, the rate 1/lambda_max.

    Rule: on digits and on diabetes, whose curvatures lie on both sides of 0.0243 lambda_max, the schedule needs fewer
    steps to 0.0001 of the first excess loss than 0.5 throughout and than 0.9 throughout, beyond a factor of 1.1.
    The momentum is raised once the gradient's norm has fallen to a tenth. With eta lambda_max = 3.4 > 2 (1 + 0.5) it
    must fail: there 0.5 diverges and 0.9 does not.
    """
    compared, losses = {}, {}
    for data in ("digits", "diabetes"):
        losses[data] = {name: _descend(_hessian(data), 1.0, momentum) for name, momentum in _MOMENTA.items()}
        steps = {name: _converged(runs) for name, runs in losses[data].items()}
        for name in ("0.5", "0.9"):
            compared[f"log2 of steps, {name} over schedule, {data}"] = experiment.speedup(
                steps[name], steps["0.5, then 0.9"]
            )
    fast = {name: _descend(_hessian("diabetes"), 3.4, momentum, steps=100)[-1] for name, momentum in _MOMENTA.items()}
    return Judgement(
        _evidence(
            "steps to 0.0001 of the first excess loss of linear regression; rule: intervals beyond a factor of 1.1",
            compared,
        ),
        confirmed=all(interval.decision == "larger" for interval in compared.values()),
        conditions=f"while gradients are large they lie where {STEEP:.4f} < eta lambda < {UNSTABLE:.3f} (lambda the "
        f"curvature), and what is left later lies where eta lambda < {STEEP:.4f}",
        counterexample=Counterexample(
            "A rate with eta lambda = 3.4: 0.5 is unstable beyond 2 (1 + 0.5) = 3, 0.9 only beyond 3.8. The greatest "
            "root of z^2 - (1.5 - 3.4) z + 0.5 is -1.58, those of z^2 - (1.9 - 3.4) z + 0.9 have modulus 0.95. The "
            "gradient of most starts never falls, so the momentum is never raised.",
            {"data": "diabetes, linear regression", "eta lambda_max": 3.4, "steps": 100},
            claimed="starting at 0.5 brings large gradients down",
            actual={f"largest loss over first loss, {name}": float(last.max()) for name, last in fast.items()},
            confirmed=bool(((fast["0.5, then 0.9"] > 1) & (fast["0.9"] < 1)).any()),
        ),
        explanation="A momentum of 0.9 lets the steep directions ring, by sqrt(0.9) a step, where 0.5 damps them by "
        "sqrt(0.5); it is the faster one along flat directions. The schedule takes both in turn. rho + eta = 1 plays "
        "no part: the rates here are 1/lambda_max whatever rho is. Where curvature is not known, a rate tuned for "
        "each constant momentum may do as well.",
        figures=(
            Figure(
                "Linear regression on diabetes, rate 1/lambda_max",
                "step",
                "mean excess loss, relative",
                {
                    name: (list(range(0, 120, 2)), runs.mean(1)[:120:2].tolist())
                    for name, runs in losses["diabetes"].items()
                },
                y_scale="log",
            ),
        ),
    )


def _one_hot() -> tuple[Array, Array, int]:
    """The digits' pixels as five grey levels each, one feature a level: 64 of 320 are 1, most levels are rare."""
    pixels, target, classes = experiment.bundled("digits")
    return (pixels[:, :, None] // 4 == np.arange(5)).reshape(len(pixels), -1).astype(np.float64), target, classes


def _softmax_regression(data: Data, direction: Direction, rates: tuple[float, ...]) -> Curves:
    network = Network((), torch.relu, lambda fan_in, fan_out: 0.0)
    return experiment.train(data, _seeds(), network, rates, steps=60, direction=direction)


def _rates_by_frequency(data: Data) -> tuple[Array, Array]:
    """How often each feature occurs and its mean rate after training by Adagrad at rate 1, (D,) and (S, D).

    Features that never occur are left out.
    """
    states: list[dict[str, Any]] = []

    def recorded(gradient: Tensor, state: dict[str, Any]) -> Tensor:
        if not state:
            states.append(state)
        return adagrad(gradient, state)

    _softmax_regression(data, recorded, (0.2,))
    frequency = (data.train[0] != 0).double().mean((0, 1)).numpy()
    seen = frequency > 0
    return frequency[seen], (1 / (states[0]["sum"].mean(-1) + EPS).sqrt()).double().numpy()[:, seen]


@claim(
    "adagrad.sparse",
    says="Adagrad suits sparse gradients: rare features keep a large learning rate.",
    sources=(notes("001, section 8.4"), _DUCHI),
    evidence="empirical",
    verdict="conditional",
    formula=r"\frac{\eta_{\mathrm{rare}}}{\eta_{\mathrm{frequent}}} = "
    r"\sqrt{\frac{\sum_t g_{t,\mathrm{frequent}}^2}{\sum_t g_{t,\mathrm{rare}}^2}}",
)
def adagrad_sparse() -> Judgement:
    """Softmax regression on the digits as one-hot grey levels (sparse) and as standardised pixels (dense).

    Rule: on the sparse features Adagrad needs fewer steps to a training loss of 0.5 than SGD, each at its best rate of
    four, by more than a factor of 1.1, and its lead over SGD is larger there than on the dense ones by as much; and the
    rarer half of the features keeps a larger rate than the other, in the geometric mean, by as much.
    """
    seeds = _seeds()
    sparse = experiment.split("one-hot digits", *_one_hot(), seeds, standardise=False)
    runs = {
        (name, data.name): _softmax_regression(data, direction, tuple(unit * 2**k for k in range(4)))
        for data in (sparse, experiment.load("digits", seeds))
        for name, direction, unit in (("SGD", experiment.plain, 0.4), ("Adagrad", adagrad, 0.05))
    }
    steps = {key: curves.fastest(0.5) for key, curves in runs.items()}
    lead = {name: steps["SGD", name] / steps["Adagrad", name] for name in (sparse.name, "digits")}
    frequency, rates = _rates_by_frequency(sparse)
    rare = frequency < np.median(frequency)
    compared = {
        "log2 of steps, SGD over Adagrad, sparse": experiment.speedup(
            steps["SGD", sparse.name], steps["Adagrad", sparse.name]
        ),
        "log2 of lead, sparse over dense": experiment.speedup(lead[sparse.name], lead["digits"]),
        "log2 of rate, rarer half over the other": experiment.speedup(
            *(np.exp(np.log(rates[:, half]).mean(1)) for half in (rare, ~rare))
        ),
    }
    burst, steady = (
        _rate(torch.tensor([value] * often + [0.0] * (100 - often))) for value, often in ((100.0, 1), (1.0, 100))
    )
    shown = np.argsort(frequency)[:: max(1, len(frequency) // 60 + 1)]
    return Judgement(
        _evidence(
            "softmax regression on digits, steps to training loss 0.5 and rates after 60 steps; rule: beyond a "
            "factor of 1.1",
            compared,
            features=f"{len(frequency)} of which 64 are 1 in every example",
        ),
        confirmed=all(interval.decision == "larger" for interval in compared.values()),
        conditions="a rare feature's gradients are not larger by more than its rarity: p_rare E[g_rare^2] < p_frequent "
        "E[g_frequent^2], with p how often a gradient is not zero and E over those times",
        counterexample=Counterexample(
            "A gradient of 100 once in 100 steps has a sum of squares of 10^4, one of 1 at every step of 100: the "
            "rare one is left with a tenth of the frequent one's rate. Standardised columns are on the border: rare "
            "features of unit variance.",
            {"rare": "100 at one step of 100", "frequent": "1 at each of 100 steps", "eta": 1.0},
            claimed="rate of the rare feature > rate of the frequent one",
            actual={"rare": burst, "frequent": steady},
            confirmed=burst < steady,
        ),
        explanation="The rate falls with the sum of squared gradients, not with how often a feature occurs; for "
        "features of equal size that is the same. Mean steps: "
        f"{ ({f'{name}, {data}': round(float(s.mean()), 1) for (name, data), s in steps.items()}) }.",
        figures=(
            Figure(
                "Adagrad's rate of a one-hot feature after training",
                "share of examples that have the feature",
                "rate / eta",
                {"features": (frequency[shown].tolist(), rates.mean(0)[shown].tolist())},
                kind="scatter",
                x_scale="log",
                y_scale="log",
            ),
        ),
    )


def _rate(gradients: Tensor) -> float:
    """Adagrad's rate after gradients (T,), for eta = 1."""
    state: dict[str, Any] = {}
    for gradient in gradients:
        adagrad(gradient, state)
    return float((state["sum"] + EPS) ** -0.5)


STALL_STEPS = 300
OUTLIER = 1e4
"""How many times too large the gradient of the first mini-batch is."""


def _outlier_first(direction: Direction, emptied_at: int = 0) -> Direction:
    """The same rule when the first gradient is OUTLIER times too large; the state may be emptied at a step."""

    def changed(gradient: Tensor, state: dict[str, Any]) -> Tensor:
        step = state.get("step", 0)
        if emptied_at and step == emptied_at:
            state.clear()
        state["step"] = step + 1
        return direction(gradient * (1.0 if step else OUTLIER), state)

    return changed


@claim(
    "adagrad.stalls",
    says="As the rate keeps falling, Adagrad can stall late in training before it finds a useful solution.",
    sources=(notes("001, section 8.4"), _ZEILER),
    evidence="empirical",
    verdict="holds",
    formula=r"\frac{\eta}{\sqrt 2\, G} < \frac{\eta}{\sqrt{G^2 + k g^2}} < \frac{\eta}{G}, \quad 0 < k < (G/g)^2",
)
def adagrad_stalls() -> Judgement:
    """A network on the digits (two hidden layers, tanh) whose first mini-batch is an outlier; rate 0.01, the usual one.

    The claim says "can", so one instance decides. Rule: in the second half of the run the training loss falls by less
    than a factor of 1.1, at a test accuracy below 1/2; the same run with the sum emptied at half-time, which undoes the
    fall of the rate and nothing else, falls by more. Adagrad without the outlier and RMSprop with it are shown beside.
    """
    seeds, half = _seeds(), STALL_STEPS // 2
    data = experiment.load("digits", seeds)
    directions = {
        "Adagrad": _outlier_first(adagrad),
        "Adagrad, sum emptied at half-time": _outlier_first(adagrad, half),
        "Adagrad without outlier": adagrad,
        "RMSprop": _outlier_first(rmsprop),
    }
    marks = range(0, STALL_STEPS + 1, STALL_STEPS // 30)
    network = Network((32, 32), torch.tanh)
    runs = {
        name: experiment.train(data, seeds, network, (0.01,), STALL_STEPS, direction, marks=marks)
        for name, direction in directions.items()
    }
    middle = marks.index(half)
    late = {name: experiment.speedup(run.loss[0, :, middle], run.loss[0, :, -1]) for name, run in runs.items()}
    accuracy = {name: float(run.score[0, :, -1].mean()) for name, run in runs.items()}
    stalled, freed = (late[name].decision for name in list(directions)[:2])
    return Judgement(
        _evidence(
            "digits, training loss at half-time over training loss at the end; rule: stalled within a factor of 1.1",
            {f"log2 of loss at half-time over the end, {name}": interval for name, interval in late.items()},
            steps=STALL_STEPS,
            accuracy=accuracy,
        ),
        confirmed=stalled == "equivalent" and freed == "larger" and accuracy["Adagrad"] < 0.5,
        explanation=f"A first gradient {OUTLIER:.0e} times the later ones leaves its square in the sum for good: the "
        "rate stays below eta/G and needs (G/g)^2 steps to halve again, so that the network stays where it was; "
        "emptying the sum frees it, hence the fallen rate is the cause. Without an outlier Adagrad learns the digits "
        "well at the same rate: stalling is possible, not the rule.",
        figures=(_losses("Adagrad after an outlier, rate 0.01", runs),),
    )
