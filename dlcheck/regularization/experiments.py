"""What the notes say about dropout, early stopping and regularisation in training, judged by seeded runs on real data.

Every rule below was fixed before the runs that decide: a difference of 0.02 in R^2, or a factor of 1.1 in steps.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlcheck.component import Source, notes
from dlcheck.evidence import experiment
from dlcheck.evidence.experiment import Activation, Curves, Data, Network, Paired
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim

Array = NDArray[np.float64]

MARGIN = 0.02
"""The smallest difference of interest in R^2 or accuracy."""
RATE = 0.5
"""The notes' usual probability of dropping."""
SMALL = 0.75
"""Share of the diabetes data kept for testing: 110 of 442 examples are left to learn from, few enough to overfit."""
WIDE, NARROW = Network((32,), torch.relu, experiment.he), Network((4,), torch.relu, experiment.he)

_SRIVASTAVA = Source(
    "Srivastava et al. 2014, Dropout", "sections 1 and 6", "https://jmlr.org/papers/v15/srivastava14a.html"
)
_PRECHELT = Source("Prechelt 1998, Early stopping - but when?", "", "https://doi.org/10.1007/3-540-49430-8_3")
_GOODFELLOW = Source(
    "Goodfellow, Bengio, Courville 2016, Deep learning", "chapter 7", "https://www.deeplearningbook.org"
)
_NAKKIRAN = Source(
    "Nakkiran et al. 2021, Optimal regularization can mitigate double descent", "", "https://arxiv.org/abs/2003.01897"
)


def _evidence(how: str, intervals: Mapping[str, Paired], **size: Any) -> Evidence:
    """Evidence with every interval, its level, and the profile that set the number of runs."""
    fixed = {"profile": experiment.PROFILE, "level of intervals": experiment.LEVEL}
    return Evidence(
        "empirical", how, {**fixed, **size, **{name: str(interval) for name, interval in intervals.items()}}
    )


def _seeds(times: int = 1) -> range:
    return experiment.seeds(experiment.PROFILE, times)


def _dropping(p: float, seed: int) -> Activation:
    """ReLU with inverted dropout in training, which shows in that a gradient is asked for."""
    generator = experiment.generator(seed, "dropout")

    def activation(z: Tensor) -> Tensor:
        h = torch.relu(z)
        if not p or not torch.is_grad_enabled():
            return h
        return h * (torch.rand(h.shape, generator=generator) >= p) / (1 - p)

    return activation


def _with_dropout(network: Network, p: float, seeds: range) -> Network:
    return Network(network.hidden, _dropping(p, seeds[0]), network.scale)


def _mean_scores(title: str, curves: Mapping[str, Curves]) -> Figure:
    """Mean test score of runs at a single learning rate."""
    series = {label: (runs.steps.tolist(), runs.score[0].mean(0).tolist()) for label, runs in curves.items()}
    return Figure(title, "step", "mean test R²", series)


# --- dropout ---------------------------------------------------------------------------------------------------------


def _costs(p: float, steps: int = 60, rate: float = 0.05) -> Array:
    """Training cost of every run before each full-batch step, (S, steps); with p = 0 at most a rounding may rise it."""
    seeds = _seeds()
    data, network = experiment.load("wine", seeds), Network((16,), _dropping(p, seeds[0]), experiment.he)
    (x, y), weights = data.train, network.weights(data.train[0].shape[2], data.outputs, seeds)
    weights, costs = [weight.double().requires_grad_() for weight in weights], []
    for _ in range(steps):
        loss = data.loss(network(weights, x.double()), y)
        costs.append(loss.detach().numpy())
        gradients = torch.autograd.grad(loss.sum(), weights)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                weight -= rate * gradient
    return np.array(costs).T


@claim(
    "dropout.cost-not-monotone",
    says="Under dropout the cost is not a fixed function, so its curve need not fall at each iteration; with dropout "
    "off (keep probability 1) it falls monotonically.",
    sources=(notes("003, what are dropout's drawbacks"), _SRIVASTAVA),
    evidence="empirical",
    verdict="conditional",
)
def dropout_cost_not_monotone() -> Judgement:
    """Full-batch gradient descent on wine with rate 0.05, dropout on and off.

    Rule: with dropout every run's cost rises at some step, without it no run's does. Off the rate's range it must rise
    without dropout too: on w^2/2 with rate 3.
    """
    dropped, kept = _costs(RATE), _costs(0.0)
    rises = {name: np.any(np.diff(costs) > 0, axis=1) for name, costs in (("on", dropped), ("off", kept))}
    w = np.array([1.0, 1.0 - 3.0 * 1.0])
    steps = list(range(dropped.shape[1]))
    return Judgement(
        _evidence(
            "runs whose training cost rises at a step; rule: all with dropout, none without",
            {},
            **{f"runs that rise, dropout {name}": f"{found.sum()} of {found.size}" for name, found in rises.items()},
        ),
        confirmed=bool(rises["on"].all() and not rises["off"].any()),
        conditions="dropout off: gradient descent on the whole training set with a rate below 2 over the largest "
        "curvature along the way",
        counterexample=Counterexample(
            "On the cost w^2 / 2 a step of rate 3 goes from w = 1 to 1 - 3 = -2.",
            {"cost": "w^2 / 2", "w": 1.0, "learning rate": 3.0, "dropout": "off"},
            claimed="the cost falls",
            actual=(w**2 / 2).tolist(),
            confirmed=bool(w[1] ** 2 > w[0] ** 2),
        ),
        explanation="Each step takes the cost of another thinned network; their mean is a fixed function, and falls. "
        "Mini-batches make the cost rise at times without dropout as well, for the same reason.",
        figures=(
            Figure(
                "Training cost of one run on wine",
                "step",
                "cost",
                {"dropout on": (steps, dropped[0].tolist()), "off": (steps, kept[0].tolist())},
            ),
        ),
    )


@claim(
    "dropout.speeds-training",
    says="Dropout improves the speed of training.",
    sources=(notes("004, Dropout"), _SRIVASTAVA),
    evidence="empirical",
    verdict="refuted",
)
def dropout_speeds_training() -> Judgement:
    """Steps to a training loss of 0.15 on digits, each at the better of two rates.

    Rule: refuted if runs with dropout 1/2 need more steps, beyond a factor of 1.1.
    """
    seeds, rates = _seeds(2), (0.4, 0.8)
    data = experiment.load("digits", seeds)
    curves = {p: experiment.train(data, seeds, _with_dropout(WIDE, p, seeds), rates, 150) for p in (RATE, 0.0)}
    needed = {p: runs.fastest(0.15) for p, runs in curves.items()}
    compared = experiment.speedup(needed[RATE], needed[0.0])
    return Judgement(
        _evidence(
            "steps to training loss 0.15 at the better of two rates; rule: an interval beyond a factor of 1.1",
            {"log2 of steps, with over without dropout": compared},
        ),
        confirmed=False,
        counterexample=Counterexample(
            "A network with one hidden layer of 32 units on the handwritten digits, batches of 64.",
            {"data": "digits", "p": RATE, "rates": rates, "training loss": 0.15},
            claimed="fewer steps with dropout than without",
            actual={"mean steps with": float(needed[RATE].mean()), "without": float(needed[0.0].mean())},
            confirmed=compared.decision == "larger",
        ),
        correction="Dropout slows training: its gradients are noisy, and more steps are needed to the same training "
        "loss. What it improves is the test error of networks that would overfit.",
        explanation="Srivastava et al. report two to three times the training time. A step costs no less either: masks "
        "are drawn in addition, and the dropped units are computed all the same.",
    )


@claim(
    "dropout.generalises",
    says="Dropout in dense layers counters overfitting.",
    sources=(notes("003, classic networks"), notes("004, Dropout"), _SRIVASTAVA),
    evidence="empirical",
    verdict="conditional",
)
def dropout_generalises() -> Judgement:
    """Test R^2 on diabetes after 600 steps on 110 examples, and test accuracy on digits of a network of 4 units.

    Rule: with 32 hidden units on diabetes R^2 is larger with dropout, with 4 on digits the accuracy is smaller, both
    beyond 0.02.
    """
    few, seeds = _seeds(), _seeds(2)
    overfit = {
        p: experiment.train(experiment.load("diabetes", few, SMALL), few, _with_dropout(WIDE, p, few), (0.05,), 600)
        for p in (RATE, 0.0)
    }
    digits = experiment.load("digits", seeds)
    underfit = {
        p: experiment.train(digits, seeds, _with_dropout(NARROW, p, seeds), (0.2,), 200, marks=(200,)).score[0, :, -1]
        for p in (RATE, 0.0)
    }
    wide = experiment.paired(overfit[RATE].score[0, :, -1], overfit[0.0].score[0, :, -1], MARGIN)
    narrow = experiment.paired(underfit[RATE], underfit[0.0], MARGIN)
    return Judgement(
        _evidence(
            "test R^2 on diabetes, 110 training examples; test accuracy on digits; rule: intervals beyond 0.02",
            {"32 units, R^2 with less without dropout": wide, "4 units, accuracy with less without dropout": narrow},
        ),
        confirmed=wide.decision == "larger",
        conditions="the network is large enough to overfit without it",
        counterexample=Counterexample(
            "A network with 4 hidden units for 10 digits has nothing to spare: without two of them it cannot fit.",
            {"data": "digits", "hidden units": 4, "p": RATE, "steps": 200},
            claimed="a test accuracy that is larger with dropout, or as large",
            actual={"mean accuracy with": float(underfit[RATE].mean()), "without": float(underfit[0.0].mean())},
            confirmed=narrow.decision == "smaller",
        ),
        explanation="With 32 units the test score on diabetes falls again after its best without dropout, and stays "
        "with it.",
        figures=(
            _mean_scores(
                "Test score on diabetes, 32 hidden units",
                {"dropout 0.5": overfit[RATE], "no dropout": overfit[0.0]},
            ),
        ),
    )


# --- early stopping --------------------------------------------------------------------------------------------------


def _halves(data: Data) -> list[Data]:
    """The same training examples with one half of the test examples each: to choose by, and to judge by."""
    x, y = data.test
    half = x.shape[1] // 2
    return [
        Data(data.name, data.train, (x[:, part], y[:, part]), data.classes)
        for part in (slice(None, half), slice(half, None))
    ]


@claim(
    "early-stopping.helps-test",
    says="When test results are poor, early stopping helps.",
    sources=(notes("001, section 10"), _PRECHELT),
    evidence="empirical",
    verdict="conditional",
)
def early_stopping_helps_test() -> Judgement:
    """Test R^2 on diabetes at the step that is best on other held-out examples, and at the last of 600 steps.

    Rule: with 32 hidden units and 110 training examples the chosen step's R^2 is larger beyond 0.02. Where results are
    poor for want of training, stopping must cost: gradient descent on (w - 1)^2 from 0 with rate 1/4.
    """
    seeds = _seeds()
    data = experiment.load("diabetes", seeds, SMALL)
    marks = tuple(range(0, 601, 10))
    chosen_by, judged_by = (experiment.train(part, seeds, WIDE, (0.05,), 600, marks=marks) for part in _halves(data))
    at = chosen_by.score[0].argmax(1)
    stopped, last = judged_by.score[0][np.arange(len(seeds)), at], judged_by.score[0, :, -1]
    compared = experiment.paired(stopped, last, MARGIN)
    w = 1 - 0.5 ** np.arange(5.0)
    return Judgement(
        _evidence(
            "test R^2 on diabetes at the step best on a validation set, less at the last; rule: beyond 0.02",
            {"stopped less last": compared},
            **{"median step chosen": float(np.median(judged_by.steps[at]))},
        ),
        confirmed=compared.decision == "larger",
        conditions="results are poor because of overfitting: the error on held-out examples has passed its minimum and "
        "rises again",
        counterexample=Counterexample(
            "The test error (w - 1)^2 of a model that is not trained enough falls at every step; each step with rate "
            "1/4 halves the distance.",
            {"cost": "(w - 1)^2 in training and in test", "w": 0.0, "learning rate": 0.25, "stopped after": 1},
            claimed="a smaller test error than after 4 steps",
            actual={"after 1": float((w[1] - 1) ** 2), "after 4": float((w[4] - 1) ** 2)},
            confirmed=bool((w[1] - 1) ** 2 > (w[4] - 1) ** 2),
        ),
        explanation="The step is chosen on examples other than those that judge it; chosen on the test set itself it "
        "would look better than it is.",
        figures=(_mean_scores("Test score on diabetes, 32 hidden units, no dropout", {"mean of all runs": judged_by}),),
    )


# --- regularisation --------------------------------------------------------------------------------------------------

STRENGTHS = np.geomspace(1e-6, 1e6, 25)
WIDTHS = (3, 10, 30, 100, 300, 1000)
"""Random ReLU features of a linear model."""


def _features(x: Array, width: int, rng: np.random.Generator) -> Array:
    return np.maximum(x @ (rng.normal(size=(x.shape[1], width)) / x.shape[1] ** 0.5), 0) / width**0.5


def _ridge_errors(train: tuple[Array, Array], others: list[tuple[Array, Array]]) -> Array:
    """Mean squared errors of ridge regression on sets of examples, (sets, strengths), by one decomposition."""
    x, y = train
    left, values, right = np.linalg.svd(x, full_matrices=False)
    along = left.T @ y
    weights = np.array([right.T @ (values / (values**2 + strength) * along) for strength in STRENGTHS])
    return np.array([((features @ weights.T - target[:, None]) ** 2).mean(0) for features, target in others])


def _errors_of(seed: int) -> Array:
    """Errors in training, validation and test by width and strength, (3, widths, strengths)."""
    data = experiment.load("diabetes", [seed], SMALL)
    parts = [data.train, *(half.test for half in _halves(data))]
    plain = [(x[0].double().numpy(), y[0].double().numpy()) for x, y in parts]
    found = []
    for width in WIDTHS:
        rng = np.random.default_rng([seed, width])
        state = rng.bit_generator.state
        drawn = []
        for x, y in plain:
            rng.bit_generator.state = state
            drawn.append((_features(x, width, rng), y))
        found.append(_ridge_errors(drawn[0], drawn))
    return np.array(found).transpose(1, 0, 2)


@claim(
    "regularisation.lowers-test-error",
    says="Regularisation lowers the test error, possibly at the price of a higher training error; the best model is "
    "often a large one, well regularised.",
    sources=(notes("004, Regularization"), _GOODFELLOW, _NAKKIRAN),
    evidence="empirical",
    verdict="conditional",
)
def regularisation_lowers_test_error() -> Judgement:
    """Ridge regression on 3 to 1000 random features of diabetes, its strength chosen on a validation set.

    Rule: with 1000 features the chosen strength gives a test error below that of the weakest, and a training error
    above it, both beyond 0.02 of the targets' variance; and the best chosen model of 100 features or more is better
    than the best of at most 30 without regularisation. Far too much of it must do harm.
    """
    errors = np.array([_errors_of(seed) for seed in _seeds(3)])  # (S, 3, widths, strengths)
    training, validation, test = errors[:, 0], errors[:, 1], errors[:, 2]
    chosen = validation.argmin(axis=2)[..., None]
    at_choice = {
        name: np.take_along_axis(part, chosen, 2)[..., 0] for name, part in (("train", training), ("test", test))
    }
    small, large = [i for i, w in enumerate(WIDTHS) if w <= 30], [i for i, w in enumerate(WIDTHS) if w >= 100]
    compared = {
        "test error of 1000 features, weakest less chosen": experiment.paired(
            test[:, -1, 0], at_choice["test"][:, -1], MARGIN
        ),
        "training error of 1000 features, chosen less weakest": experiment.paired(
            at_choice["train"][:, -1], training[:, -1, 0], MARGIN
        ),
        "test error, best small without less best large with": experiment.paired(
            test[:, small, 0].min(axis=1), at_choice["test"][:, large].min(axis=1), MARGIN
        ),
    }
    means = {"weakest": test[..., 0].mean(0).tolist(), "chosen": at_choice["test"].mean(0).tolist()}
    return Judgement(
        _evidence("ridge regression on random features of diabetes; rule: intervals beyond 0.02", compared),
        confirmed=all(interval.decision == "larger" for interval in compared.values()),
        conditions="its strength is chosen by the error on held-out examples, and the model without it overfits",
        counterexample=Counterexample(
            "An endless penalty leaves the weight 0: data y = x, which w = 1 fits without error, are then missed by "
            "their whole variance. Gradient of (w - 1)^2 / 2 + C/2 w^2: w = 1 / (1 + C).",
            {"data": "y = x with x of variance 1, in training and in test", "C": 1e6},
            claimed="a test error below 0, that of w = 1",
            actual=float((1 / (1 + 1e6) - 1) ** 2),
            confirmed=bool((1 / (1 + 1e6) - 1) ** 2 > 0),
        ),
        explanation="Without regularisation the error is worst where the features are about as many as the examples, "
        "and the best model is a small one. With a strength chosen for each the error hardly depends on the size, and "
        "the largest models are among the best.",
        figures=(
            Figure(
                "Ridge regression on random features, 110 examples",
                "features",
                "mean test error",
                {f"{name} strength": (list(WIDTHS), series) for name, series in means.items()},
                x_scale="log",
                y_scale="log",
            ),
        ),
    )
