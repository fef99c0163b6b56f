"""The notes' statements on L2 penalties, dropout, early stopping and clipping, judged by proof, search and tests."""

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
from hypothesis import find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from numpy.typing import NDArray

from dlcheck.component import Case, Source, notes
from dlcheck.evidence import draws, numerics, seeds, statistics, symbolic
from dlcheck.evidence.strategies import SEEDS
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim
from dlcheck.regularization import proofs

Array = NDArray[np.floating[Any]]

GOODFELLOW = Source(
    "Goodfellow, Bengio, Courville: Deep learning (2016)", "section 7.1.1", "https://www.deeplearningbook.org"
)
STOPPING = Source(
    "Goodfellow, Bengio, Courville: Deep learning (2016)", "section 7.8", "https://www.deeplearningbook.org"
)
LOSHCHILOV = Source(
    "Loshchilov, Hutter: Decoupled weight decay regularization (2019)", "section 2", "https://arxiv.org/abs/1711.05101"
)
SRIVASTAVA = Source("Srivastava et al.: Dropout (2014)", "section 4", "https://jmlr.org/papers/v15/srivastava14a.html")
PASCANU = Source(
    "Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks (2013)",
    "section 3.2",
    "https://arxiv.org/abs/1211.5063",
)
EXAMPLES = 200
"""Cases of a search."""
DRAWS, WIDTH = 400, 16
"""Calls of a dropout layer, and its inputs."""


L2_NOTES = notes("004, Regularization, L2")


def _none(strategy: st.SearchStrategy[Any], fails: Any) -> bool:
    """Whether no generated case meets a condition."""
    limits = settings(max_examples=EXAMPLES, database=None, deadline=None)
    try:
        find(strategy, fails, settings=limits, random=Random(seeds.RUN))
    except NoSuchExample:
        return True
    return False


def _searched(how: str) -> Evidence:
    return Evidence("property", how, {"cases": EXAMPLES, "seed": seeds.RUN})


def _ridge(hessian: Array, minimum: Array, strength: float) -> Array:
    return np.linalg.solve(hessian + strength * np.eye(len(hessian)), hessian @ minimum)


# --- L2 --------------------------------------------------------------------------------------------------------------


def _pulls_by_strength(implementation: Any) -> bool:
    """Whether the penalty's gradient is C w."""
    w = np.random.default_rng(0).normal(size=64)
    allowed = numerics.roundings(0.3 * w, "float64", 8)
    found = implementation.backward(np.ones(()), w, strength=0.3)["weight"]
    return bool(np.all(np.abs(found - 0.3 * w) <= allowed))


@claim(
    "l2.gradient-step",
    says="With penalty C/2 w'w one gradient step is w <- (1 - alpha C) w - alpha grad J: the weights shrink by a "
    "constant factor before the usual step.",
    sources=(L2_NOTES, GOODFELLOW),
    evidence="proof",
    verdict="conditional",
    formula=r"w - \alpha (\nabla J + C w) = (1 - \alpha C)\, w - \alpha \nabla J",
    component="l2_penalty",
)
def gradient_step(implementation: Any) -> Judgement:
    """Prove the step and when its factor shrinks; the penalty's gradient on code is C w."""
    lemmas = proofs.gradient_step()
    step = 1.0 - 3.0 * float(implementation.backward(np.ones(()), np.array([1.0]), strength=1.0)["weight"][0])
    return Judgement(
        evidence=symbolic.evidence(*lemmas, tied="the code's gradient of the penalty is C w for 64 random weights"),
        confirmed=symbolic.proved(*lemmas) and _pulls_by_strength(implementation),
        conditions="0 < alpha C < 2 (below 1 the sign is kept, too); the gradient of J is that at the old weights",
        counterexample=Counterexample(
            says="alpha C = 3 turns the weight over and doubles it",
            inputs={"w": 1.0, "alpha": 3.0, "C": 1.0, "grad J": 0.0},
            claimed="a weight that has shrunk",
            actual=step,
            confirmed=abs(step) > 1,
        ),
        explanation="The factor is 1 - alpha C whatever J is. The gradient of J is not taken at the shrunken weights, "
        "so that shrinking and step may be done in either order.",
    )


@claim(
    "l2.quadratic-solution",
    says="Near the unpenalised minimum w*, with Hessian H, the penalised minimum is (H + C I)^-1 H w*.",
    sources=(L2_NOTES, GOODFELLOW),
    evidence="proof",
    verdict="conditional",
    formula=r"\tilde w = (H + C I)^{-1} H w^*",
)
def quadratic_solution() -> Judgement:
    """Prove it for quadratic costs; find a smooth cost with another penalised minimum."""
    lemmas = proofs.penalised_minimum()
    w, strength = 0.5, 0.25
    slope = (w - 1) ** 3 + strength * w
    return Judgement(
        evidence=symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        conditions="the cost is quadratic; for any other it is the first approximation, whose error vanishes with the "
        "third derivatives between w* and the penalised minimum",
        counterexample=Counterexample(
            says="J = (w - 1)^4 / 4 has H = 0 at w* = 1, and with C = 1/4 its penalised minimum at 1/2: "
            "(w - 1)^3 + w / 4 = -1/8 + 1/8 = 0",
            inputs={"J": "(w - 1)^4 / 4", "C": strength},
            claimed=0.0,
            actual=w,
            confirmed=slope == 0,
        ),
        explanation="H + C I is invertible for every C > 0, as H has no negative eigenvalue at a minimum.",
    )


@claim(
    "l2.eigen-shrinkage",
    says="In the Hessian's eigenbasis that is Q (Lambda + C I)^-1 Lambda Q' w*: each direction shrinks by "
    "lambda/(lambda + C).",
    sources=(L2_NOTES, GOODFELLOW),
    evidence="proof",
    verdict="holds",
    formula=r"\tilde w = Q (\Lambda + C I)^{-1} \Lambda Q^\top w^*",
)
def eigen_shrinkage() -> Judgement:
    """Prove it for every rotation of the plane, and compare both forms on random Hessians of any size."""
    lemmas = proofs.eigenvectors()

    def differ(case: tuple[int, int]) -> bool:
        size, seed = case
        rng = np.random.default_rng(seed)
        root, minimum = rng.normal(size=(size, size)), rng.normal(size=size)
        values, basis = np.linalg.eigh(root @ root.T)
        by_eigen = basis @ (values / (values + 0.5) * (basis.T @ minimum))
        allowed = numerics.roundings(np.full(size, 1 + values[-1] / 0.5), "float64", 50 * size)
        return bool(np.any(np.abs(by_eigen - _ridge(root @ root.T, minimum, 0.5)) > allowed * np.abs(minimum).max()))

    values = np.geomspace(0.01, 100.0, 41)
    shares = {f"C = {c:g}": (values.tolist(), (values / (values + c)).tolist()) for c in (0.1, 1.0, 10.0)}
    return Judgement(
        evidence=symbolic.evidence(*lemmas, tied=f"{EXAMPLES} random Hessians of up to 8 weights agree"),
        confirmed=symbolic.proved(*lemmas) and _none(st.tuples(st.integers(1, 8), SEEDS), differ),
        explanation="Directions of curvature far above C are kept, those far below it are given up.",
        figures=(Figure("What is kept of w*", "curvature λ", "λ / (λ + C)", shares, x_scale="log"),),
    )


@claim(
    "l2.limit",
    says="As C goes to 0 the penalised minimum goes to w*.",
    sources=(L2_NOTES, GOODFELLOW),
    evidence="proof",
    verdict="conditional",
    formula=r"\frac{\lambda}{\lambda + C} \to 1 \text{ for } \lambda > 0",
)
def limit() -> Judgement:
    """Prove it along every eigenvector of positive curvature; where the curvature is 0 nothing of w* remains."""
    lemmas = proofs.limit()
    hessian, minimum, strengths = np.diag([1.0, 0.0]), np.ones(2), [1.0, 1e-3, 1e-6]
    found = [_ridge(hessian, minimum, strength)[1] for strength in strengths]
    return Judgement(
        evidence=symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        conditions="the Hessian is positive definite, or w* has no part along directions of curvature 0 (it is the "
        "minimum of least norm)",
        counterexample=Counterexample(
            says="(w_1 - 1)^2 / 2 is least all along the line w_1 = 1, at w* = (1, 1) too: H = diag(1, 0), and the "
            "second penalised weight is 0 / (0 + C) = 0 for every C > 0",
            inputs={"H": "diag(1, 0)", "w*": [1.0, 1.0], "C": strengths},
            claimed="a second weight that goes to 1",
            actual=found,
            confirmed=not np.any(found),
        ),
        explanation="In general the limit is the projection of w* on the directions of positive curvature, H^+ H w*. "
        "Networks have many directions of curvature 0.",
    )


@claim(
    "l2.approximation-exact-for-quadratic",
    says="The approximation is exact where the cost is quadratic, as in linear regression with squared error.",
    sources=(L2_NOTES, GOODFELLOW),
    evidence="proof",
    verdict="holds",
    formula=r"J(w) = J(w^*) + \tfrac12 (w - w^*)^\top H (w - w^*)",
)
def exact_for_quadratic() -> Judgement:
    """Prove that linear regression's cost is its expansion, and ridge regression the penalised minimum."""
    lemmas = proofs.quadratic_is_its_expansion()
    return Judgement(
        evidence=symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        explanation="Third derivatives of a quadratic vanish, so that nothing is left out, however far from w*.",
    )


@claim(
    "l2.pulls-to-origin",
    says="L2 regularisation brings the weights nearer the origin.",
    sources=(L2_NOTES, GOODFELLOW),
    evidence="proof",
    verdict="conditional",
    formula=r"J(\tilde w) + \tfrac{C}{2}|\tilde w|^2 \le J(w^*) + \tfrac{C}{2}|w^*|^2, \quad J(w^*) \le J(\tilde w)"
    r" \;\Rightarrow\; |\tilde w| \le |w^*|",
)
def pulls_to_origin() -> Judgement:
    """Prove it for the norm and any cost; find a weight that moves away."""
    lemmas = proofs.nearer_the_origin()
    found = _ridge(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([1.0, 0.0]), 1.0)
    return Judgement(
        evidence=symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        conditions="the norm of all penalised weights together is meant, at global minima; a single weight may move "
        "away where the Hessian is not diagonal",
        counterexample=Counterexample(
            says="H = [[2, 1], [1, 2]], w* = (1, 0), C = 1: the penalised minimum is [[3, 1], [1, 3]]^-1 (2, 1) = "
            "(5/8, 1/8)",
            inputs={"H": [[2.0, 1.0], [1.0, 2.0]], "w*": [1.0, 0.0], "C": 1.0},
            claimed="no weight farther from 0",
            actual=found.tolist(),
            confirmed=bool(found[1] > 0.1),
        ),
        explanation="The statement for the norm needs no quadratic cost. Features that go together take over from each "
        "other: the second weight helps out for the first.",
    )


@claim(
    "l2.few-features",
    says="Weight decay makes the solution's slope small, or puts the weight on fewer features.",
    sources=(notes("004, Regularization"), GOODFELLOW),
    evidence="property",
    verdict="conditional",
)
def few_features() -> Judgement:
    """Search for a regression whose penalised slope is larger; two equal features show that it spreads the weight."""

    def steeper(case: tuple[int, int, int, float]) -> bool:
        size, examples, seed, strength = case
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(examples, size)), rng.normal(size=examples)
        free = np.linalg.lstsq(x, y, rcond=None)[0]
        found = _ridge(x.T @ x, free, strength)
        return bool(np.linalg.norm(found) > np.linalg.norm(free) + numerics.roundings(free, "float64", 10**4).max())

    sizes = st.tuples(st.integers(1, 6), st.integers(1, 12), SEEDS, st.sampled_from([0.01, 1.0, 50.0]))
    twins = _ridge(np.ones((2, 2)), np.array([1.0, 0.0]), 0.5)
    return Judgement(
        evidence=_searched("searched for a regression with a larger slope |w| under a penalty"),
        confirmed=_none(sizes, steeper),
        conditions="the slope |w| is meant, or features that do not go together (H diagonal), of which those of small "
        "curvature lose most; the number of weights other than 0 does not fall",
        counterexample=Counterexample(
            says="two equal features, H = [[1, 1], [1, 1]], of which w* = (1, 0) uses one: with C = 1/2 the penalised "
            "minimum is (2/5, 2/5), with weight on both",
            inputs={"H": [[1.0, 1.0], [1.0, 1.0]], "w*": [1.0, 0.0], "C": 0.5},
            claimed="weight on no more features than before",
            actual=twins.tolist(),
            confirmed=bool(np.all(twins > 0.3)),
        ),
        explanation="L2 spreads weight evenly over features that say the same; it is the L1 penalty that chooses among "
        "them. The effective number of directions, the sum of lambda/(lambda + C), does fall.",
    )


def _decayed(implementation: Any, seed: int, rate: float, strength: float) -> float:
    """Largest error, over the allowed one, of SGD with an L2 penalty against decay of the weights by rate strength."""
    rng = np.random.default_rng(seed)
    w, grads = rng.normal(size=4), rng.normal(size=(5, 4))
    steps = [{"grads": [grad]} for grad in grads]
    found = implementation.trajectory([w], steps, lr=rate, weight_decay=strength)["param0"]
    expected, past = w, []
    for grad in grads:
        expected = (1 - rate * strength) * expected - rate * grad
        past.append(expected)
    size = np.abs(np.array(past)).max() + np.abs(w).max() + 1
    return float(np.max(np.abs(found - past)) / numerics.roundings(size, "float64", 32))


@claim(
    "l2.is-weight-decay",
    says="L2 regularisation and weight decay are the same thing (judge it for SGD, momentum and Adam).",
    sources=(L2_NOTES, LOSHCHILOV),
    evidence="property",
    verdict="conditional",
    formula=r"w - \alpha (g + C w) = (1 - \alpha C) w - \alpha g",
    component="sgd",
)
def is_weight_decay(implementation: Any) -> Judgement:
    """Search SGD's trajectories for a difference; momentum and Adam differ within two steps that a hand can follow."""
    cases = st.tuples(SEEDS, st.sampled_from([0.01, 0.1, 0.5]), st.sampled_from([0.001, 0.1, 1.0]))
    same = _none(cases, lambda case: _decayed(implementation, *case) > 1)
    still = [{"grads": [np.zeros(1)]}] * 2
    heavy = implementation.trajectory([np.ones(1)], still, lr=0.1, momentum=0.9, weight_decay=1.0)["param0"][-1, 0]
    # Adam's first step is rate times the gradient's sign, whatever its size
    adam = {"with an L2 penalty": 1 - 0.1, "with decay": 1 - 0.1 * 0.01}
    return Judgement(
        evidence=_searched("searched for a trajectory of SGD that is not that of decayed weights"),
        confirmed=same,
        conditions="plain SGD, the decay being the learning rate times C; with momentum the penalty enters the "
        "velocity, with Adam it is divided by the gradient's size",
        counterexample=Counterexample(
            says="From w = 1 with gradients of 0. Momentum 0.9, rate 0.1, C = 1: the velocity is 0.1, then "
            "0.09 + 0.09, so w = 0.72, where decay by 0.1 twice gives 0.81. Adam, rate 0.1, C = 0.01: 0.9 against "
            "0.999.",
            inputs={"w": 1.0, "gradients": 0.0, "rate": 0.1, "momentum": 0.9, "C": 1.0},
            claimed=0.81,
            actual={"momentum, two steps": float(heavy), **{f"Adam {name}, one step": w for name, w in adam.items()}},
            confirmed=bool(abs(heavy - 0.72) < 0.01 and adam["with an L2 penalty"] < adam["with decay"] - 0.05),
        ),
        explanation="In Adam an L2 penalty decays weights with large gradients less than others; AdamW decays all "
        "alike. Where a schedule changes the rate, the decay per step changes with it.",
    )


@claim(
    "l2.not-on-bias",
    says="Biases are not penalised: penalising them can cause clear underfitting.",
    sources=(notes("004, norm penalties"), Source(GOODFELLOW.title, "section 7.1", GOODFELLOW.url)),
    evidence="proof",
    verdict="holds",
    formula=r"\tilde b = \frac{m}{1 + C}, \qquad J(\tilde b) - J(m) = \frac{m^2 C^2}{2 (1 + C)^2}",
)
def not_on_bias() -> Judgement:
    """Prove what a penalised offset misses: an error that grows with the square of the targets' mean."""
    lemmas = proofs.bias()
    means = np.linspace(0.0, 10.0, 41)
    errors = {f"C = {c:g}": (means.tolist(), (means**2 * c**2 / (1 + c) ** 2).tolist()) for c in (0.01, 0.1, 1.0)}
    return Judgement(
        evidence=symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        explanation="Shifting all targets by m should shift the outputs by m and change nothing else; a penalised bias "
        "misses m C / (1 + C) of it. With centred targets, m = 0, nothing is lost: it can harm, and need not.",
        figures=(Figure("What a penalised bias misses", "mean of the targets", "mean squared error", errors),),
    )


def _squared_bias(curvature: Sequence[float], pulled_to: Sequence[float], strength: float = 1.0) -> float:
    """Squared error of the penalised minimum at truth 0 and without noise."""
    values, a = np.array(curvature), np.array(pulled_to)
    return float(np.sum((strength * a / (values + strength)) ** 2))


@claim(
    "l2.zero-is-sensible-default",
    says="Parameters can be pulled to any point, and the nearer it is to the truth the better; where the sign is "
    "unknown, zero is a sensible default.",
    sources=(notes("004, preferences"), Source(GOODFELLOW.title, "section 7.1.1, footnote", GOODFELLOW.url)),
    evidence="proof",
    verdict="conditional",
    formula=r"E|\tilde w - \theta|^2 = "
    r"\sum_i \frac{\lambda_i^2 \sigma_i^2 + C^2 (a_i - \theta_i)^2}{(\lambda_i + C)^2}",
)
def zero_is_sensible_default() -> Judgement:
    """Prove the error along an eigenvector and the best point for two signs; find a nearer point that is worse."""
    lemmas = proofs.towards_a_point()
    near, far = _squared_bias([0.0, 9.0], [1.0, 0.0]), _squared_bias([0.0, 9.0], [0.0, 2.0])
    return Judgement(
        evidence=symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        conditions="nearer is meant along each eigenvector of the Hessian, or with weights (C / (lambda + C))^2; zero "
        "is best where both signs are as likely",
        counterexample=Counterexample(
            says="truth 0, curvatures 0 and 9, C = 1, no noise: a = (1, 0) leaves the error 1, a = (0, 2), twice as "
            "far, (2/10)^2",
            inputs={"curvatures": [0.0, 9.0], "C": 1.0, "truth": [0.0, 0.0]},
            claimed="a smaller error for (1, 0), which is nearer",
            actual={"pulled to (1, 0)": near, "pulled to (0, 2)": far},
            confirmed=near > far,
        ),
        explanation="Where the data say much, it hardly matters where the penalty pulls; along directions about which "
        "they say nothing the point decides alone.",
    )


# --- dropout ---------------------------------------------------------------------------------------------------------


def _samples(implementation: Any, x: Array, **given: Any) -> Array:
    return implementation.observe(Case("draws", {"input": x, "draws": DRAWS}, given)).values["samples"]


@claim(
    "dropout.zeroes-with-probability",
    says="A dropout layer sets each input to zero independently with the given probability, and only in training.",
    sources=(notes("004, Dropout"), SRIVASTAVA),
    evidence="statistical",
    verdict="holds",
    formula=r"m_i \sim \mathrm{Bernoulli}(1 - p)",
    component="dropout",
)
def zeroes_with_probability(implementation: Any) -> Judgement:
    """Test what was dropped in many draws against its law and for independence, at three rates."""
    x = np.linspace(1.0, 2.5, WIDTH)
    rates = (0.1, 0.5, 0.8)
    tests = [
        test
        for p in rates
        for test in draws.judge_drawn(
            {"dropped": ((_samples(implementation, x, p=p) == 0).astype(float), {0.0: 1 - p, 1.0: p})}
        )
    ]
    still = _samples(implementation, x, p=0.5, training=False)
    size = {"law": "Bernoulli(p)", "rates": rates, "draws": DRAWS, "inputs": WIDTH, "tests": len(tests)}
    shown = {"false alarm of each rate": statistics.FALSE_ALARM, "power for a bias of": tests[1].effect}
    return Judgement(
        evidence=Evidence("statistical", "exact tests of shares, by input and pooled, and of neighbours", size | shown),
        confirmed=all(test.passed for test in tests) and bool(np.all(still == x)),
        explanation="Neighbouring inputs and successive draws are dropped alike as often as independent ones would be. "
        "Outside training every output is its input.",
    )


@claim(
    "dropout.preserves-expectation",
    says="With the kept inputs scaled by 1/(1-p) the expected output equals the input.",
    sources=(notes("004, Dropout"), Source(SRIVASTAVA.title, "section 10", SRIVASTAVA.url)),
    evidence="proof",
    verdict="conditional",
    formula=r"E\!\left[\frac{m x}{1 - p}\right] = (1 - p) \frac{x}{1 - p} = x, \quad p < 1",
    component="dropout",
)
def preserves_expectation(implementation: Any) -> Judgement:
    """Prove mean and variance; kept elements of code are x / (1 - p); with p = 1 nothing is kept."""
    lemmas = proofs.expectation()
    x = np.linspace(1.0, 2.5, WIDTH)
    samples = _samples(implementation, x, p=0.3)
    right = np.where(samples == 0, 0.0, x / (1 - 0.3))
    scaled = bool(np.all(np.abs(samples - right) <= numerics.roundings(right, "float64", 8)))
    nothing = _samples(implementation, np.ones(1), p=1.0)
    return Judgement(
        evidence=symbolic.evidence(*lemmas, tied=f"what the code keeps in {DRAWS} draws is x / (1 - p)"),
        confirmed=symbolic.proved(*lemmas) and scaled,
        conditions="p < 1",
        counterexample=Counterexample(
            says="p = 1 is accepted, and keeps nothing: 1/(1 - p) has no value",
            inputs={"x": 1.0, "p": 1.0},
            claimed=1.0,
            actual=float(nothing.mean()),
            confirmed=not np.any(nothing),
        ),
        explanation="It holds for the layer's output, and for all that is linear in it. Behind a non-linearity the "
        "expectation is another: the variance has grown by x^2 p / (1 - p).",
    )


# --- early stopping and clipping -------------------------------------------------------------------------------------


@claim(
    "early-stopping.like-l2",
    says="For a quadratic cost, stopping gradient descent early acts like L2 regularisation.",
    sources=(notes("001, section 10"), STOPPING),
    evidence="proof",
    verdict="conditional",
    formula=r"1 - (1 - \eta\lambda)^t = \frac{\lambda}{\lambda + C_\lambda}, \quad "
    r"C_\lambda = \frac{\lambda}{(1 - \eta\lambda)^{-t} - 1} \to \frac{1}{\eta t} \; (\lambda \to 0)",
)
def early_stopping_like_l2() -> Judgement:
    """Prove the weights after t steps and the penalty that gives them too; find a rate for which none does."""
    lemmas = proofs.early_stopping()
    overshot = 1 - (1 - 1.5)
    values, steps, rate = np.geomspace(0.01, 1.0, 41), 10, 0.5
    kept = {
        "10 steps of rate 0.5": (values.tolist(), (1 - (1 - rate * values) ** steps).tolist()),
        "L2 with C = 1/5": (values.tolist(), (values / (values + 1 / (rate * steps))).tolist()),
    }
    return Judgement(
        evidence=symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        conditions="descent starts at the origin with 0 < eta lambda < 1 for every curvature lambda; the strength "
        "C_lambda then lies between 0 and 1 / (eta t), near which it is while eta lambda t is small: one C for all "
        "directions serves only there",
        counterexample=Counterexample(
            says="J = (w - 1)^2 / 2 from 0 with rate 1.5: one step leads to 1.5, beyond the minimum 1, where no "
            "penalty leads: 1 / (1 + C) < 1",
            inputs={"J": "(w - 1)^2 / 2", "eta": 1.5, "steps": 1, "start": 0.0},
            claimed="a weight between 0 and 1, as of an L2 penalty",
            actual=overshot,
            confirmed=overshot > 1,
        ),
        explanation="Both keep directions of large curvature and give up those of small curvature; t plays the part of "
        "1 / (eta C). Started elsewhere than at 0, descent stopped early stays near its start instead.",
        figures=(Figure("What is kept of w*", "curvature λ", "share", kept, x_scale="log"),),
    )


def _clipped(implementation: Any, grads: Sequence[Array], limit: float) -> Array:
    """All clipped gradients in one vector."""
    observed = implementation.observe(Case("clip", {"grads": grads}, {"max_norm": limit})).values
    return np.concatenate([value.ravel() for value in observed.values()])


@claim(
    "gradient.clipping-bounds",
    says="Clipping the global gradient norm bounds every update and keeps its direction.",
    sources=(notes("003, exploding gradients"), PASCANU),
    evidence="property",
    verdict="conditional",
    formula=r"|g| \min\left(1, \frac{c}{|g|}\right) \le c",
    component="clip_grad_norm",
)
def clipping_bounds(implementation: Any) -> Judgement:
    """Search for gradients whose clipped norm is above the limit or whose direction is another; try an infinite one."""

    def fails(case: tuple[list[int], int, float, float]) -> bool:
        sizes, seed, scale, limit = case
        rng = np.random.default_rng(seed)
        grads = [scale * rng.normal(size=size) for size in sizes]
        whole, found = np.concatenate(grads), _clipped(implementation, grads, limit)
        norm, slack = float(np.linalg.norm(found)), 1 + numerics.roundings(1.0, "float64", 64)
        along = float(whole @ found) / max(np.linalg.norm(whole) * norm, numerics.smallest_normal("float64"))
        return bool(norm > limit * slack or along < 2 - slack)

    sizes = st.lists(st.integers(1, 5), min_size=1, max_size=4)
    scales, limits = st.sampled_from([1e-3, 1.0, 1e6]), st.sampled_from([0.01, 1.0, 5.0])
    infinite = _clipped(implementation, [np.array([np.inf, 1.0])], 1.0)
    return Judgement(
        evidence=_searched("searched for gradients beyond the limit or turned, of several tensors and sizes"),
        confirmed=_none(st.tuples(sizes, SEEDS, scales, limits), fails),
        conditions="the gradients' norm is finite, and the update is a multiple of the gradient, as of plain SGD: then "
        "it is at most eta c. With momentum it is at most eta c / (1 - rho) and turned by past steps; Adam divides the "
        "size out again",
        counterexample=Counterexample(
            says="an infinite gradient: the factor is 1 / inf = 0, and inf times 0 is NaN",
            inputs={"gradient": ["inf", 1.0], "c": 1.0},
            claimed="an update of norm at most 1 along the gradient",
            actual=[float(value) for value in infinite],
            confirmed=bool(np.any(np.isnan(infinite))),
        ),
        explanation="One factor for all tensors keeps the direction; clipping each tensor by itself, or each element, "
        "turns it. Clipping bounds the steps, not the weights, and mends no step that has overflowed already.",
    )
