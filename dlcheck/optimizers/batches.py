"""What the notes say about mini-batches: how their gradients scatter, and what taking more steps brings."""

from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import sympy as sp
import torch
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special

from dlcheck.component import Source, notes
from dlcheck.evidence import draws, experiment, numerics, seeds, symbolic
from dlcheck.evidence.statistics import FALSE_ALARM
from dlcheck.evidence.symbolic import Proof
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim
from dlcheck.optimizers import rules

Array = NDArray[np.float64]

NOTES = notes("001, section 8.1")
_COCHRAN = Source("Cochran 1977, Sampling techniques", "theorems 2.1 and 2.2")
_BOTTOU = Source(
    "Bottou, Curtis, Nocedal 2018, Optimization methods for large-scale machine learning",
    "sections 3.3 and 4.2",
    "https://arxiv.org/abs/1606.04838",
)
_NOISE = Source(
    "McCandlish, Kaplan, Amodei 2018, An empirical model of large-batch training",
    "section 2.2",
    "https://arxiv.org/abs/1812.06162",
)


def moments() -> tuple[Proof, ...]:
    """Mean and variance of the mean of b of N numbers, from the chance that one, and that two, are drawn.

    Only the numbers' sum s and sum of squares q enter, so the decision is for every N and b at once.
    """
    b, n, s, q = sp.symbols("b N s q")
    spread = (q - s**2 / n) / (n - 1)
    one, two = b / n, b * (b - 1) / (n * (n - 1))
    without = (q * (one - one**2) + (s**2 - q) * (two - one**2)) / b**2
    with_replacement = (b * q / n + b * (b - 1) * (s / n) ** 2) / b**2 - (s / n) ** 2
    return (
        Proof("a batch's mean is unbiased", s * one / b - s / n, s * one - s / n, "every N and b"),
        Proof(
            "drawn without replacement its variance is (1/b - 1/N) S^2",
            without - (1 / b - 1 / n) * spread,
            without - spread / b,
            "every N > 1 and b <= N",
        ),
        Proof(
            "drawn with replacement its variance is sigma^2 / b",
            with_replacement - (q / n - (s / n) ** 2) / b,
            with_replacement - spread / b,
            "every N and b",
        ),
    )


def _enumerated(numbers: tuple[int, ...]) -> bool:
    """Whether the formulas give the exact moments over all batches, of every size."""
    n, total = len(numbers), Fraction(sum(numbers))
    spread = (sum(x * x for x in numbers) - total**2 / n) / (n - 1)
    for b in range(1, n + 1):
        means = [Fraction(sum(batch), b) for batch in combinations(numbers, b)]
        mean = sum(means) / len(means)
        variance = sum((m - mean) ** 2 for m in means) / len(means)
        if mean != total / n or variance != (Fraction(1, b) - Fraction(1, n)) * spread:
            return False
    return True


@claim(
    "sgd.unbiased",
    says="A random mini-batch gives an unbiased estimate of the full gradient, with a variance that falls with the "
    "batch size.",
    sources=(NOTES, _COCHRAN, _BOTTOU),
    evidence="proof",
    verdict="conditional",
    formula=r"\mathbb{E}\, g_B = g, \quad \operatorname{Var} g_B = \left(\frac{1}{b} - \frac{1}{N}\right) S^2",
)
def sgd_unbiased() -> Judgement:
    """Moments over all batches; a batch statistic inside the network breaks them."""
    inputs = np.array([-1.0, 1.0])
    full = float(np.mean((inputs - inputs.mean()) ** 2))
    alone = [float(np.mean((x - x.mean()) ** 2)) for x in (inputs[:1], inputs[1:])]
    proofs, sizes = moments(), list(range(1, 33))
    return Judgement(
        symbolic.evidence(*proofs, tied="all batches of 7 numbers, of every size, have these moments exactly"),
        confirmed=symbolic.proved(*proofs) and _enumerated((3, -1, 4, 1, -5, 9, 2)),
        conditions="every example is equally likely, the loss is the mean over the batch of losses that depend on one "
        "example each (no batch normalisation), and the examples' gradients are not all equal",
        counterexample=Counterexample(
            "Centring by the batch, loss (w (x - mean))^2 / 2: the gradient at w is w times the batch's variance. "
            "That of two examples is 1, that of each alone is 0.",
            {"x": inputs.tolist(), "w": 1.0, "batch size": 1},
            claimed=full,
            actual=float(np.mean(alone)),
            confirmed=float(np.mean(alone)) != full,
        ),
        explanation="An example is in a batch of b of N with chance b/N, which makes the mean unbiased; two are with "
        "chance b (b - 1) / (N (N - 1)), which makes the variance (1/b - 1/N) S^2 without replacement, and "
        "sigma^2 / b with it. Halving the noise takes four times the batch. With importance sampling the weights must "
        "undo the unequal chances.",
        figures=(
            Figure(
                "Variance of a batch's gradient over that of one example, N = 32",
                "batch size",
                "variance ratio",
                {
                    "without replacement": (sizes, [(1 / b - 1 / 32) / (1 - 1 / 32) for b in sizes]),
                    "with replacement": (sizes, [1 / b for b in sizes]),
                },
                y_scale="linear",
            ),
        ),
    )


def _pass_over(x: Array, y: Array, w: Array, lr: float, batches: int) -> list[Array]:
    """Weights of least squares after each step of one pass."""
    path = []
    for rows, targets in zip(np.split(x, batches), np.split(y, batches), strict=True):
        w = w - lr * rows.T @ (rows @ w - targets) / len(rows)
        path.append(w)
    return path


@claim(
    "sgd.redundant-data",
    says="If the two halves of the data have the same gradient, taking each half as a batch makes two steps while the "
    "full batch makes one, in one pass.",
    sources=(NOTES, _BOTTOU),
    evidence="property",
    verdict="holds",
)
def sgd_redundant_data() -> Judgement:
    """Halves that hold the same examples in another order: one pass over them is two passes of the full batch."""

    def excess(seed: int, examples: int, width: int, lr: float) -> float:
        rng = np.random.default_rng(seed)
        x, y, start = rng.normal(size=(examples, width)), rng.normal(size=examples), rng.normal(size=width)
        order = rng.permutation(examples)
        doubled, targets = np.concatenate([x, x[order]]), np.concatenate([y, y[order]])
        halves, first = _pass_over(doubled, targets, start, lr, 2), _pass_over(doubled, targets, start, lr, 1)
        second = _pass_over(doubled, targets, first[-1], lr, 1)
        if (len(halves), len(first)) != (2, 1):
            return np.inf
        size = max(1.0, float(np.max(np.abs([*halves, *second])))) * max(1.0, float(np.sum(x**2)))
        allowed = float(numerics.roundings(np.array(size), "float64", 16 * (examples + width)))
        return float(np.max(np.abs(np.array(halves) - [first[-1], second[-1]]))) / allowed

    domain = {
        "seed": rules.SEED,
        "examples": st.integers(1, 8),
        "width": st.integers(1, 4),
        "lr": st.floats(0.01, 0.5),
    }
    return Judgement(
        rules.searched(excess, domain, examples=100),
        confirmed=True,
        explanation="A pass costs the same number of gradients of examples either way. Where the halves have the same "
        "gradient at every point, as copies have, the two steps are those that the full batch makes in two passes; "
        "where they agree at the first point only, there are two steps still, but the second is another one.",
    )


def _gradients(x: Array, target: NDArray[Any], w: Array) -> Array:
    """Gradient of softmax regression for every example, (N, D C)."""
    return np.einsum("nd,nc->ndc", x, _errors(x, target, w)).reshape(len(x), -1)


def _mean_gradient(x: Array, target: NDArray[Any], w: Array) -> Array:
    return x.T @ _errors(x, target, w) / len(x)


def _errors(x: Array, target: NDArray[Any], w: Array) -> Array:
    """By how much each class's probability is above what the target says, (N, C)."""
    scores = x @ w
    p = np.exp(scores - np.asarray(special.logsumexp(scores, axis=1, keepdims=True)))
    p[np.arange(len(x)), target] -= 1
    return p


def _scale(gradients: Array) -> float:
    """Gradient noise scale: total variance of the examples' gradients over the squared norm of their mean."""
    mean = gradients.mean(0)
    return float(np.sum((gradients - mean) ** 2) / len(gradients) / np.sum(mean**2))


def _disagreeing(gradients: Array, batch: int, pairs: int, rng: np.random.Generator) -> tuple[int, float]:
    """Pairs of independent batches whose gradients point into opposite half-spaces, and the mean cosine."""
    gram = gradients @ gradients.T
    picked = rng.integers(len(gradients), size=(2, pairs, batch))
    counts = np.zeros((2, pairs, len(gradients)))
    for side in range(2):
        np.add.at(counts[side], (np.arange(pairs)[:, None], picked[side]), 1.0)
    product, first, second = (np.einsum("pn,pn->p", counts[i] @ gram, counts[j]) for i, j in ((0, 1), (0, 0), (1, 1)))
    return int(np.sum(product < 0)), float(np.mean(product / np.sqrt(first * second)))


@claim(
    "sgd.unstable",
    says="Each SGD update depends wholly on its batch, so the direction is unstable.",
    sources=(NOTES, _NOISE),
    evidence="statistical",
    verdict="conditional",
    formula=r"\cos(g_B, g_{B'}) \approx \frac{1}{1 + \mathcal{B}/b}, \quad \mathcal{B} = "
    r"\frac{\operatorname{tr} \Sigma}{\lVert g \rVert^2}",
)
def sgd_unstable() -> Judgement:
    """Softmax regression on the handwritten digits, at the start and after 1000 steps of the full batch.

    Law: were at least 1 in 100 pairs of independent batches opposed at the start with b = 1024, none in 2000 would be
    rarer than 2e-9; were fewer than 1 in 4 after training with b = 32, so many would be rarer than 1e-9.
    """
    pixels, target, classes = experiment.bundled("digits")
    x, w = pixels / 16, np.zeros((pixels.shape[1], classes))
    marks, found, scales = (0, 1, 3, 10, 30, 100, 300, 1000), {}, []
    for step in range(marks[-1] + 1):
        if step in marks:
            found[step] = _gradients(x, target, w)
            scales.append(_scale(found[step]))
        w = w - 0.5 * _mean_gradient(x, target, w)
    pairs, rng = 2000, seeds.generator()
    late, late_cosine = _disagreeing(found[1000], 32, pairs, rng)
    early, early_cosine = _disagreeing(found[0], 1024, pairs, rng)
    opposed = draws.binomial_test(late, pairs, 0.25, "opposed pairs", "1 in 4")
    size = {
        "pairs of batches": pairs,
        "false alarm": FALSE_ALARM,
        "noise scale at the start": scales[0],
        "noise scale after 1000 steps": scales[-1],
        "share opposed after 1000 steps, b = 32": late / pairs,
        "share opposed at the start, b = 1024": early / pairs,
    }
    return Judgement(
        Evidence("statistical", "signs of the inner product of two independent batches' gradients, binomial law", size),
        confirmed=opposed.p_value < FALSE_ALARM and late / pairs > 0.25,
        conditions="the batch is smaller than the gradient noise scale tr(Sigma) / |g|^2, which grows as the full "
        f"gradient g shrinks: from {scales[0]:.2g} examples to {scales[-1]:.2g} here",
        counterexample=Counterexample(
            "At the start a batch of 1024 points where any other does: of so many pairs none is opposed, and their "
            "mean cosine is near 1.",
            {"data": "handwritten digits, softmax regression from zero weights", "batch size": 1024, "pairs": pairs},
            claimed="the direction is unstable",
            actual={"opposed pairs": early, "mean cosine": early_cosine},
            confirmed=early == 0 and early_cosine > 0.9,
        ),
        explanation="The update is the batch's gradient at the current weights, and nothing else. Two batches share "
        "the full gradient, of squared norm |g|^2, and differ by noise of size tr(Sigma) / b: their cosine is about "
        "1 / (1 + B / b). So the direction is steady while g is large against the noise, and turns at random once "
        f"it is not (mean cosine {late_cosine:.2g} after 1000 steps with b = 32). Momentum averages over batches.",
        figures=(
            Figure(
                "Softmax regression on the digits: gradient noise scale",
                "steps of the full batch",
                "examples",
                {"tr(Sigma) / |g|^2": ([max(mark, 0.5) for mark in marks], scales)},
                x_scale="log",
                y_scale="log",
            ),
        ),
    )


PASSES, BATCH = 5, 32
RATES = (0.1, 0.3, 1.0, 3.0)
REACHED = 0.3
"""Training loss that counts as reached."""


def _trained(data: experiment.Data, runs: range, batch: int | None, steps: int) -> experiment.Curves:
    network = experiment.Network((32,), torch.tanh)
    return experiment.train(data, runs, network, RATES, steps, batch=batch)


@claim(
    "sgd.batch-faster-and-better",
    says="Using mini-batches is both faster and more accurate.",
    sources=(notes("001, section 10"), _BOTTOU),
    evidence="empirical",
    verdict="conditional",
)
def sgd_batch_faster_and_better() -> Judgement:
    """A hidden layer of 32 tanh units on the handwritten digits, the rate tuned for each of the compared.

    Rule: in 5 passes, batches of 32 reach a training loss of 0.3 in fewer passes than the full batch, beyond a factor
    of 1.1, and end with a test accuracy that is more than 0.01 higher. In as many steps as the full batch made in those
    passes, single examples must not.
    """
    runs = experiment.seeds(experiment.PROFILE, times=3)  # small test parts make noisy scores
    data = experiment.load("digits", runs)
    per_pass = data.train[0].shape[1] // BATCH
    small, full = (_trained(data, runs, *given) for given in ((BATCH, PASSES * per_pass), (None, PASSES)))
    single = _trained(data, runs, 1, PASSES)
    ends = {name: curves.score[..., -1] for name, curves in (("small", small), ("full", full), ("single", single))}
    best = {name: score[experiment.best(-score)] for name, score in ends.items()}
    compared = {
        "log2 of passes to a loss of 0.3, full batch over 32": experiment.speedup(
            full.fastest(REACHED), small.fastest(REACHED) / per_pass
        ),
        "accuracy after 5 passes, 32 - full batch": experiment.paired(best["small"], best["full"], 0.01),
    }
    equal_steps = experiment.paired(best["single"], best["full"], 0.01)
    size: dict[str, Any] = {"profile": experiment.PROFILE, "level of intervals": experiment.LEVEL}
    size |= {name: str(interval) for name, interval in compared.items()}
    curves = {f"batches of {BATCH}": (small, per_pass), "full batch": (full, 1)}
    return Judgement(
        Evidence("empirical", "paired training runs on the handwritten digits; rule: beyond 1.1 times and 0.01", size),
        confirmed=all(interval.decision == "larger" for interval in compared.values()),
        conditions="both get the same number of passes over redundant data, each with its own tuned rate, and stop "
        "before the full batch has converged",
        counterexample=Counterexample(
            "In the same number of steps instead of passes, 5, single examples end with a lower accuracy than the "
            "full batch, whose gradient has no noise.",
            {"data": "handwritten digits", "steps": PASSES, "batch sizes": [1, data.train[0].shape[1]]},
            claimed="the smaller batch is more accurate",
            actual=f"accuracy with single examples - with the full batch: {equal_steps}",
            confirmed=equal_steps.decision == "smaller",
        ),
        explanation="A pass of batches makes as many steps as there are batches, each of nearly the full gradient's "
        "direction where the data are redundant. A step is the better the larger its batch, but costs in proportion; "
        "on hardware that computes a larger batch in the same time, time is counted in steps.",
        figures=(
            Figure(
                f"Digits, hidden layer of 32: training loss at rate {RATES[-1]:g}",
                "passes",
                "mean training loss",
                {
                    name: ((runs.steps / unit).tolist(), runs.loss[-1].mean(0).tolist())
                    for name, (runs, unit) in curves.items()
                },
                y_scale="log",
            ),
        ),
    )
