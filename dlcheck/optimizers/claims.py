"""The notes' statements on momentum, Nesterov, Adagrad, RMSprop, Adadelta and Adam, judged by proof and by search."""

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import hypothesis.strategies as st
import numpy as np

from dlcheck.component import Source, notes
from dlcheck.evidence import numerics, symbolic
from dlcheck.judgement import Counterexample, Figure, Judgement, claim
from dlcheck.optimizers import proofs, rules
from dlcheck.optimizers.batches import sgd_batch_faster_and_better as sgd_batch_faster_and_better
from dlcheck.optimizers.batches import sgd_redundant_data as sgd_redundant_data
from dlcheck.optimizers.batches import sgd_unbiased as sgd_unbiased
from dlcheck.optimizers.batches import sgd_unstable as sgd_unstable
from dlcheck.optimizers.rules import Array

SUTSKEVER = Source(
    "Sutskever, Martens, Dahl, Hinton: On the importance of initialization and momentum in deep learning (2013)",
    "equations 1 to 4",
    "https://proceedings.mlr.press/v28/sutskever13.html",
)
BENGIO = Source(
    "Bengio, Boulanger-Lewandowski, Pascanu: Advances in optimizing recurrent networks (2013)",
    "simplified Nesterov momentum",
    "https://arxiv.org/abs/1212.0901",
)
DUCHI = Source(
    "Duchi, Hazan, Singer: Adaptive subgradient methods (2011)",
    "section 1.1",
    "https://jmlr.org/papers/v12/duchi11a.html",
)
HINTON = Source("Tieleman, Hinton: Neural networks for machine learning (2012)", "lecture 6.5")
ZEILER = Source(
    "Zeiler: ADADELTA: an adaptive learning rate method (2012)", "algorithm 1", "https://arxiv.org/abs/1212.5701"
)
KINGMA = Source(
    "Kingma, Ba: Adam: a method for stochastic optimization (2015)", "algorithm 1", "https://arxiv.org/abs/1412.6980"
)
REDDI = Source(
    "Reddi, Kale, Kumar: On the convergence of Adam and beyond (2018)", "theorem 2", "https://arxiv.org/abs/1904.09237"
)
VALLEY_START = np.array([-5.0, -2.0])


def _by_step(values: Array) -> tuple[Sequence[float], Sequence[float]]:
    return list(range(1, len(values) + 1)), values.tolist()


def _valley_gradient(x: Array) -> Array:
    """Of 0.1 x^2 + 2 y^2, twenty times as steep across as along."""
    return np.array([0.2, 4.0]) * x


def _in_valley(rule: rules.Rule, **settings: Any) -> Array:
    return rules.path(rule, VALLEY_START, lambda t, x: _valley_gradient(x), 30, **settings)


def _ways_down(**paths: Array) -> Figure:
    whole = {name: np.vstack([VALLEY_START, path]).T.tolist() for name, path in paths.items()}
    return Figure("Ways down the valley 0.1 x² + 2 y²", "x", "y", {name: (x, y) for name, (x, y) in whole.items()})


@claim(
    "momentum.definition",
    says="dx_t = rho dx_{t-1} - eta g_t is an exponentially weighted sum of past gradients: under a constant gradient "
    "the step grows to eta g / (1 - rho).",
    sources=(notes("001, section 8.2"), SUTSKEVER),
    evidence="proof",
    verdict="conditional",
    formula=r"\partial x_t = \rho\,\partial x_{t-1} - \eta g_t = -\eta \sum_{i=1}^{t} \rho^{t-i} g_i"
    r" \;\xrightarrow{g_i = g}\; -\frac{\eta g}{1-\rho}",
    component="sgd",
)
def momentum_definition(implementation: Any) -> Judgement:
    """Prove the sum and its limit; look for a limit outside 0 <= rho < 1."""
    lemmas = proofs.momentum()
    search = rules.follows(implementation, rules.momentum, {"lr": rules.RATE, "momentum": st.floats(0.0, 0.99)})
    sizes = -rules.moves(implementation, rules.momentum, np.ones((5, 1)), lr=1.0, momentum=1.0)[0][:, 0]
    shares = {f"ρ = {rho}": _by_step(1 - rho ** np.arange(1.0, 61.0)) for rho in (0.5, 0.9, 0.99)}
    return Judgement(
        evidence=symbolic.evidence(*lemmas, tied=rules.tied(search)),
        confirmed=symbolic.proved(*lemmas),
        conditions="0 <= rho < 1, and the size is meant (the step is -eta g / (1 - rho)); after t steps the share "
        "1 - rho^t of it is reached",
        counterexample=Counterexample(
            says="rho = 1 is accepted, and the size t eta g of step t has no bound",
            inputs={"rho": 1.0, "eta": 1.0, "g": 1.0, "steps": 5},
            claimed="sizes that settle at eta g / (1 - rho)",
            actual=sizes.tolist(),
            confirmed=bool(np.array_equal(sizes, np.arange(1.0, 6.0))),
        ),
        explanation="The weights add up to eta (1 - rho^t) / (1 - rho), not to eta: momentum 0.9 also makes the steps "
        "ten times as large. Libraries that keep eta outside the velocity follow the formula while eta is constant.",
        figures=(Figure("Step under a constant gradient", "step t", "share of η g / (1 − ρ)", shares),),
    )


@claim(
    "nesterov.lookahead",
    says="Nesterov's momentum moves first by the old velocity and takes the gradient there: "
    "dx_t = rho dx_{t-1} - eta grad f(x_t + rho dx_{t-1}).",
    sources=(notes("001, section 8.3"), SUTSKEVER),
    evidence="proof",
    verdict="holds",
    formula=r"\partial x_t = \rho\,\partial x_{t-1} - \eta \nabla f(x_t + \rho\,\partial x_{t-1})",
)
def nesterov_lookahead() -> Judgement:
    """Prove that the formula is Nesterov's method of two sequences."""
    lemmas = proofs.nesterov_lookahead()
    tuned = {"lr": 0.2, "momentum": 0.8}
    ahead = rules.lookahead(VALLEY_START, _valley_gradient, 30, **tuned)
    return Judgement(
        evidence=symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        explanation="It is Nesterov's gradient step from the extrapolated point x_t + rho (x_t - x_{t-1}), for every f "
        "and also where rho and eta change. The first move is rho times the old velocity. Along a direction of "
        "curvature k it acts like classical momentum with rho (1 - eta k): it swings less across a valley.",
        figures=(_ways_down(momentum=_in_valley(rules.momentum, **tuned), Nesterov=ahead),),
    )


def _reformulation_error(implementation: Any, seed: int, steps: int, lr: float, momentum: float) -> float:
    """Error of a library's iterates against the look-ahead points, over the allowed one: down x^2 / 2 + x^4 / 4."""
    start, tuned = np.random.default_rng(seed).uniform(-1, 1, 3), {"lr": lr, "momentum": momentum}

    def gradient(x: Array) -> Array:
        return x + x**3

    def expected(start: Array, settings: Any) -> Array:
        return rules.lookahead(start, gradient, steps, **settings)

    actual = rules.descended(implementation, start, gradient, [{}] * steps, nesterov=True, **tuned)
    errors = rules.allowed(expected, start, start, tuned)
    return float(np.max(np.abs(actual - expected(start, tuned)) / errors))


def _raised_momentum(implementation: Any) -> Counterexample:
    """Two steps down x^2 / 2 from 1 at rest, rho raised before the second."""
    changes: list[dict[str, Any]] = [{}, {"momentum": 0.9}]
    start = np.ones(1)
    y = rules.descended(implementation, start, lambda x: x, changes, nesterov=True, lr=0.1, momentum=0.5)[:, 0]
    x, velocity = 0.9, -0.1
    velocity = 0.9 * velocity - 0.1 * (x + 0.9 * velocity)
    claimed = x + velocity + 0.9 * velocity
    return Counterexample(
        says="f(x) = x^2 / 2 from x_1 = 1 at rest, eta = 0.1, rho raised from 0.5 to 0.9 before the second step: its "
        f"gradient is taken at x_2 + 0.5 dx_1 = {y[0]:.2f}, not at x_2 + 0.9 dx_1 = 0.81",
        inputs={"x_1": 1.0, "eta": 0.1, "rho": [0.5, 0.9]},
        claimed=f"y_3 = x_3 + 0.9 dx_2 = {claimed:.4f}",
        actual=f"y_3 = {y[1]:.4f}",
        confirmed=bool(abs(y[1] - claimed) > 2 * rules.OPERATIONS * numerics.unit_roundoff("float64")),
    )


@claim(
    "nesterov.reformulation",
    says="The form that deep-learning libraries use, without a gradient at another point, gives the same iterates "
    "after a change of variables.",
    sources=(notes("001, section 8.3"), BENGIO),
    evidence="proof",
    verdict="conditional",
    formula=r"y_t = x_t + \rho\,\partial x_{t-1}: \quad b_t = \rho b_{t-1} + \nabla f(y_t), \;"
    r" y_{t+1} = y_t - \eta\,(\nabla f(y_t) + \rho b_t)",
    component="sgd",
)
def nesterov_reformulation(implementation: Any) -> Judgement:
    """Prove one step of both library forms against the look-ahead form, with the gap where rho or eta changes."""

    lemmas = proofs.nesterov_reformulation()
    tuned = {"lr": st.floats(0.01, 0.2), "momentum": st.floats(0.1, 0.9)}
    domain = {"seed": rules.SEED, "steps": st.integers(1, 8), **tuned}
    search = rules.searched(partial(_reformulation_error, implementation), domain, examples=25)
    return Judgement(
        evidence=symbolic.evidence(*lemmas, tied=rules.tied(search)),
        confirmed=symbolic.proved(*lemmas),
        conditions="constant rho, and constant eta unless eta stands inside the velocity (v = rho v - eta g); else a "
        "step misses (rho_{t+1} - rho_t) dx_t, or -(eta_{t+1} - eta_t) rho b_t with eta outside (b = rho b + g)",
        counterexample=_raised_momentum(implementation),
        explanation="Libraries store the point that looks ahead, y_t, and take the gradient there; x_t is "
        "y_t - rho dx_{t-1}, and the two meet as the steps die out. Raising rho, as the notes do from 0.5 to 0.9, "
        "breaks the identity in the step of the change.",
    )


@claim(
    "adagrad.definition",
    says="s_t = s_{t-1} + g_t*g_t, x_t = x_{t-1} - eta/sqrt(s_t + eps) * g_t, elementwise: each parameter has its own "
    "learning rate.",
    sources=(notes("001, section 8.4"), DUCHI),
    evidence="property",
    verdict="holds",
    formula=r"s_t = s_{t-1} + g_t \odot g_t, \quad x_t = x_{t-1} - \frac{\eta}{\sqrt{s_t + \epsilon}} \odot g_t",
    component="adagrad",
)
def adagrad_definition(implementation: Any) -> Judgement:
    """Follow the formula; then change the other parameters' gradients and see whether the first one notices."""
    search = rules.follows(implementation, rules.adagrad, {"lr": rules.RATE, "eps": st.just(rules.NEGLIGIBLE)})
    grads = rules.gradients(0, 12, 4)
    others = grads * np.array([1.0, 1e3, 0.0, -1.0])
    first, again = (
        rules.moves(implementation, rules.adagrad, given, lr=0.1, eps=rules.NEGLIGIBLE)[0][:, 0]
        for given in (grads, others)
    )
    return Judgement(
        evidence=search,
        confirmed=bool(np.array_equal(first, again)),
        explanation="Followed where eps is too small for its place to matter; inside the root, as here, or beside it "
        "is a convention (where s and eps are 0.01 the rate is 7.07 or 9.09 eta). A parameter's path is the same, bit "
        "for bit, whatever gradients the others get.",
    )


def _rise(implementation: Any, seed: int, steps: int, width: int, lr: float) -> float:
    """Largest rise of a rate |dx| / |g| from one step to the next, over the error of the two rates."""
    grads = rules.gradients(seed, steps, width, zeros=0.0)
    moves, errors = rules.moves(implementation, rules.adagrad, grads, lr=lr, eps=rules.NEGLIGIBLE)
    rates, errors = np.abs(moves / grads), np.abs(errors / grads)
    return float(np.max(np.diff(rates, axis=0) / (errors[1:] + errors[:-1]), initial=0.0))


@claim(
    "adagrad.rate-never-rises",
    says="Each parameter's effective learning rate falls or stays, and never rises.",
    sources=(notes("001, section 8.4"), DUCHI),
    evidence="proof",
    verdict="holds",
    formula=r"\frac{\eta}{\sqrt{s_t + \epsilon}} \le \frac{\eta}{\sqrt{s_{t-1} + \epsilon}}",
    component="adagrad",
)
def adagrad_rate_never_rises(implementation: Any) -> Judgement:
    """Prove that the ratio of two rates is at least 1; read the rates off the implementation."""
    lemma = proofs.adagrad()[0]
    search = rules.searched(partial(_rise, implementation), {**rules.RUN, "lr": rules.RATE})
    return Judgement(
        evidence=symbolic.evidence(lemma, tied=rules.tied(search)),
        confirmed=symbolic.proved(lemma),
        explanation="s_t grows by g_t^2, so the rate stays only where g_t = 0; rounded sums, roots and quotients keep "
        "the order. eta is a constant here: a schedule raises the rate where it raises eta by more than "
        "sqrt((s_t + eps) / (s_{t-1} + eps)).",
    )


def _wrong_side(implementation: Any, seed: int, steps: int, width: int, lr: float) -> float:
    """How far |dx| is on the wrong side of |g|, by the sum of squares against eta^2, over the allowed error."""
    grads = lr * rules.gradients(seed, steps, width, zeros=0.0)
    moves, errors = rules.moves(implementation, rules.adagrad, grads, lr=lr, eps=rules.NEGLIGIBLE)
    amplified = np.cumsum(grads**2, axis=0) < lr**2
    gain = np.abs(moves) - np.abs(grads)
    return float(np.max(np.where(amplified, -gain, gain) / errors))


@claim(
    "adagrad.early-late",
    says="Early, while gradients are small, the rate is large and amplifies them; later, when they are large, it is "
    "small and restrains them.",
    sources=(notes("001, section 8.4"), DUCHI),
    evidence="property",
    verdict="conditional",
    formula=r"\frac{\eta}{\sqrt{s_t + \epsilon}} > 1 \iff \sum_{i \le t} g_i^2 < \eta^2 - \epsilon",
    component="adagrad",
)
def adagrad_early_late(implementation: Any) -> Judgement:
    """Prove where the rate exceeds 1, and compare |dx| with |g| on both sides."""
    lemma = proofs.adagrad()[1]
    search = rules.searched(partial(_wrong_side, implementation), {**rules.RUN, "lr": rules.RATE})
    moves, _ = rules.moves(implementation, rules.adagrad, np.array([[0.1]]), lr=0.01, eps=rules.NEGLIGIBLE)
    step = float(abs(moves[0, 0]))
    return Judgement(
        evidence=symbolic.evidence(lemma, tied=rules.tied(search)),
        confirmed=symbolic.proved(lemma),
        conditions="the squares of all gradients so far add up to less than eta^2 - eps where they are to be "
        "amplified, and to more where they are to be restrained",
        counterexample=Counterexample(
            says="the very first gradient, 0.1, is small; with eta = 0.01 its rate is 0.01 / sqrt(0.1^2) = 0.1",
            inputs={"g_1": 0.1, "eta": 0.01},
            claimed="a step larger than 0.1",
            actual=step,
            confirmed=step < 0.1,
        ),
        explanation="The rate knows the sum of all squares so far, neither the present gradient nor the time. The "
        "first step has size eta, so only gradients below eta are ever amplified. Where gradients are large first and "
        "small later it is the other way round: after a gradient of 10, eta = 0.01 divides all by 1000 or more.",
    )


def _rates_as_gradients_shrink() -> Figure:
    """Effective rates of Adagrad and RMSprop, where gradients of size 1 turn into 0.01 after 50 steps."""
    grads = np.where(np.arange(150) < 50, 1.0, 0.01)[:, None]

    def rate(rule: rules.Rule, **settings: Any) -> tuple[Sequence[float], Sequence[float]]:
        path = rules.path(rule, np.zeros(1), lambda t, x: grads[t - 1], len(grads), lr=1.0, eps=1e-6, **settings)
        return _by_step(np.abs(np.diff(path, axis=0, prepend=0.0) / grads)[:, 0])

    series = {"Adagrad": rate(rules.adagrad), "RMSprop, γ = 0.9": rate(rules.rmsprop, alpha=0.9)}
    return Figure("Gradients of 1, of 0.01 from step 51", "step t", "effective rate / η", series, y_scale="log")


@claim(
    "rmsprop.definition",
    says="s_t = gamma s_{t-1} + (1-gamma) g_t*g_t from s_0 = 0, x_t = x_{t-1} - eta/sqrt(s_t + eps) * g_t: the rate "
    "can recover.",
    sources=(notes("001, section 8.5"), HINTON),
    evidence="property",
    verdict="holds",
    formula=r"s_t = \gamma s_{t-1} + (1-\gamma)\, g_t \odot g_t, \quad"
    r" x_t = x_{t-1} - \frac{\eta}{\sqrt{s_t + \epsilon}} \odot g_t",
    component="rmsprop",
)
def rmsprop_definition(implementation: Any) -> Judgement:
    """Follow the formula; prove that s falls when gradients shrink, and see the rate rise."""
    lemmas = proofs.rmsprop()
    domain = {"lr": rules.RATE, "alpha": rules.DECAY, "eps": st.just(rules.NEGLIGIBLE)}
    search = rules.follows(implementation, rules.rmsprop, domain)
    grads = np.array([[1.0], [0.01], [0.01], [0.01]])
    moves, errors = rules.moves(implementation, rules.rmsprop, grads, lr=0.1, alpha=0.5, eps=rules.NEGLIGIBLE)
    rates, errors = np.abs(moves / grads), errors / grads
    rises = bool(np.all(np.diff(rates, axis=0) > errors[1:] + errors[:-1]))
    return Judgement(
        evidence=search,
        confirmed=symbolic.proved(*lemmas) and rises,
        explanation="Proved besides: s_t - s_{t-1} = (1 - gamma) (g_t^2 - s_{t-1}), so with gamma < 1 the rate rises "
        "exactly where g_t^2 lies below the running mean square. Followed where eps is too small for its place, inside "
        "the root or beside it, to matter. s_0 = 0 is not corrected: the first step has size eta / sqrt(1 - gamma).",
        figures=(_rates_as_gradients_shrink(),),
    )


def _unit_error(implementation: Any, seed: int, steps: int, width: int, rho: float, eps: float, power: int) -> float:
    """Error of the steps in a unit 2^-power times as large, eps converted with it, over the allowed error.

    Gradients are so large that eps in the denominator, which would convert another way, does not matter.
    """
    unit, grads = 2.0**power, 2.0**80 * rules.gradients(seed, steps, width)
    moves, errors = rules.moves(implementation, rules.adadelta, grads, rho=rho, eps=eps)
    converted, also = rules.moves(implementation, rules.adadelta, grads / unit, rho=rho, eps=eps * unit**2)
    return float(np.max(np.abs(converted - unit * moves) / (also + unit * errors)))


def _kilometres_and_metres(implementation: Any) -> Counterexample:
    km, m = (
        float(-rules.moves(implementation, rules.adadelta, np.array([[g]]), rho=0.9, eps=1e-6)[0][0, 0])
        for g in (1000.0, 1.0)
    )
    return Counterexample(
        says="a gradient of 1000 per kilometre is one of 1 per metre; both first steps are "
        "sqrt(eps / (0.1 g^2 + eps)) g = 0.003162, once in kilometres and once in metres",
        inputs={"rho": 0.9, "eps": 1e-6, "g": [1000.0, 1.0]},
        claimed=f"{km:.6f} km = {1000 * km:.6f} m",
        actual=f"{m:.6f} m",
        confirmed=abs(m - 1000 * km) > abs(m - km),
    )


@claim(
    "adadelta.definition",
    says="Adadelta replaces the learning rate by the ratio of two running root mean squares, so it needs none and its "
    "step has the parameter's units.",
    sources=(notes("001, section 8.6"), ZEILER),
    evidence="property",
    verdict="conditional",
    formula=r"g'_t = \sqrt{\frac{\Delta x_{t-1} + \epsilon}{s_t + \epsilon}} \odot g_t, \quad"
    r" \Delta x_t = \rho\,\Delta x_{t-1} + (1-\rho)\, g'_t \odot g'_t",
    component="adadelta",
)
def adadelta_definition(implementation: Any) -> Judgement:
    """Follow the formula; measure the parameter in other units, with and without converting eps."""
    lemmas = proofs.adadelta()
    domain = {"rho": rules.DECAY, "eps": st.floats(1e-8, 1e-2)}
    search = rules.follows(implementation, rules.adadelta, domain)
    units = {**rules.RUN, **domain, "power": st.integers(-8, 8)}
    converted = rules.searched(partial(_unit_error, implementation), units)
    return Judgement(
        evidence=symbolic.evidence(*lemmas, tied=f"{rules.tied(search)}; with eps converted {rules.tied(converted)}"),
        confirmed=symbolic.proved(*lemmas),
        conditions="eps carries units: where the parameter's numbers grow by c and the loss's by a, eps grows by c^2 "
        "in the numerator and by (a/c)^2 in the denominator (which matters only where eps is not small against s_t)",
        counterexample=_kilometres_and_metres(implementation),
        explanation="No learning rate is set, but eps takes its place: the mean of squared steps starts at zero, so "
        "along given gradients every step is proportional to the root of the numerator's eps, and with eps = 0 nothing "
        "ever moves. Rescaling the loss leaves the steps alone as long as s_t stays far above eps.",
    )


@claim(
    "adam.definition",
    says="Adam keeps two exponential averages, divides each by 1 - beta^t and steps by "
    "eta * v_hat/(sqrt(s_hat) + eps).",
    sources=(notes("001, section 8.7"), KINGMA),
    evidence="property",
    verdict="holds",
    formula=r"\hat v_t = \frac{v_t}{1-\beta_1^t}, \; \hat s_t = \frac{s_t}{1-\beta_2^t}, \;"
    r" x_t = x_{t-1} - \frac{\eta\,\hat v_t}{\sqrt{\hat s_t} + \epsilon}",
    component="adam",
)
def adam_definition(implementation: Any) -> Judgement:
    """Follow the formula, with eps large enough for its place to show."""
    domain = {"lr": rules.RATE, "betas": st.tuples(rules.DECAY, rules.DECAY), "eps": st.floats(1e-8, 1.0)}
    paths = {
        "SGD": _in_valley(rules.momentum, lr=0.4, momentum=0.0),
        "momentum": _in_valley(rules.momentum, lr=0.2, momentum=0.8),
        "Nesterov": rules.lookahead(VALLEY_START, _valley_gradient, 30, lr=0.2, momentum=0.8),
        "Adagrad": _in_valley(rules.adagrad, lr=1.0, eps=1e-6),
        "RMSprop": _in_valley(rules.rmsprop, lr=0.3, alpha=0.9, eps=1e-6),
        "Adadelta": _in_valley(rules.adadelta, rho=0.9, eps=1e-2),
        "Adam": _in_valley(rules.adam, lr=0.5, betas=(0.9, 0.999), eps=1e-8),
    }
    return Judgement(
        evidence=rules.follows(implementation, rules.adam, domain),
        confirmed=True,
        explanation="This is algorithm 1, with eps beside the corrected root. Beside the uncorrected one (eps-hat, the "
        "end of the paper's section 2) it weighs 1 / sqrt(1 - beta_2^t) times as much, 32 times in the first step.",
        figures=(_ways_down(**paths),),
    )


def _with_and_without_correction() -> Figure:
    """Adam's steps under a constant gradient of 1: eta, or eta (1 - beta_1^t) / sqrt(1 - beta_2^t)."""
    path = rules.path(rules.adam, np.zeros(1), lambda t, x: np.ones(1), 200, lr=1.0, betas=(0.9, 0.999), eps=1e-8)
    t = np.arange(1, 201)
    series = {
        "corrected": _by_step(-np.diff(path, axis=0, prepend=0.0)[:, 0]),
        "not corrected": _by_step((1 - 0.9**t) / np.sqrt(1 - 0.999**t)),
    }
    return Figure("Adam under a constant gradient", "step t", "step / η", series)


def _expectations(implementation: Any) -> bool:
    """Whether both corrected averages have the right mean over all sequences of gradients -1 and 3: 1, and 5."""
    grads = np.array(list(itertools.product((-1.0, 3.0), repeat=8))).T
    revealing = {"lr": rules.REVEALING, "eps": rules.REVEALING, "betas": (0.9, 0.999)}
    moves, errors = rules.moves(implementation, rules.adam, grads, **revealing)
    unbiased = np.abs(np.mean(-moves, axis=1) - 1.0) <= errors.max(axis=1)
    roots = {"lr": 1.0, "eps": rules.NEGLIGIBLE, "betas": (0.0, 0.9)}  # the step is -g / sqrt(s_hat)
    moves, errors = rules.moves(implementation, rules.adam, grads, **roots)
    squares = (grads / moves) ** 2
    errors = 2 * squares * errors / np.abs(moves)
    return bool(np.all(unbiased & (np.abs(np.mean(squares, axis=1) - 5.0) <= errors.max(axis=1))))


@claim(
    "adam.bias-correction",
    says="The division by 1 - beta^t removes the bias that starting from zero brings: under a stationary gradient the "
    "corrected averages have the right expectation from step 1.",
    sources=(notes("001, section 8.7"), KINGMA),
    evidence="proof",
    verdict="holds",
    formula=r"\mathbb{E}[v_t] = (1-\beta^t)\,\mathbb{E}[g] \;\Rightarrow\; \mathbb{E}[\hat v_t] = \mathbb{E}[g]",
    component="adam",
)
def adam_bias_correction(implementation: Any) -> Judgement:
    """Prove the expectations for every t; take them exactly over all sequences of a two-valued gradient."""
    lemmas = proofs.adam_bias_correction()
    tied = "the implementation's averages have the right means over all 256 sequences of 8 gradients -1 or 3"
    return Judgement(
        evidence=symbolic.evidence(*lemmas, tied=tied),
        confirmed=symbolic.proved(*lemmas) and _expectations(implementation),
        explanation="The weights (1 - beta) beta^(t-i) add up to 1 - beta^t. Where the gradient's mean drifts by d a "
        "step the corrected average still lags by d (beta / (1 - beta) - t beta^t / (1 - beta^t)): that bias comes "
        "from averaging the past and stays. v_hat / sqrt(s_hat), a ratio of unbiased averages, is not unbiased.",
        figures=(_with_and_without_correction(),),
    )


def _first_step(implementation: Any, g: float, **settings: Any) -> float:
    """How far the first step goes against the sign of g."""
    steps = [{"grads": [np.array([g])]}]
    return float(-np.sign(g) * implementation.trajectory([np.zeros(1)], steps, **settings)["param0"][0, 0])


def _first_step_error(implementation: Any, lr: float, betas: Any, eps: float, scale: float, sign: float) -> float:
    """Error of the first step's size against eta |g| / (|g| + eps), over the allowed one."""
    size = lr * 10.0**scale / (10.0**scale + eps)
    errors = rules.OPERATIONS * numerics.unit_roundoff("float64") * size
    return abs(_first_step(implementation, sign * 10.0**scale, lr=lr, betas=betas, eps=eps) - size) / errors


def _scales(dtype: str) -> str:
    """Sizes of g between which (1 - 0.999) g^2 is a normal number and g^2 is finite."""
    low, high = np.sqrt(numerics.smallest_normal(dtype) / (1 - 0.999)), np.sqrt(numerics.largest(dtype))
    return f"{low:.3g} to {high:.3g} in {dtype}"


@claim(
    "adam.first-step",
    says="Its first step has size eta for every parameter with a non-zero gradient, whatever the gradient's scale (eps "
    "aside).",
    sources=(notes("001, section 8.7"), KINGMA),
    evidence="proof",
    verdict="conditional",
    formula=r"|x_1 - x_0| = \frac{\eta\,|g|}{|g| + \epsilon}",
    component="adam",
)
def adam_first_step(implementation: Any) -> Judgement:
    """Prove the exact size; walk through the scales of float64, and past their end."""
    lemmas = proofs.adam_first_step()
    domain = {"lr": rules.RATE, "betas": st.tuples(rules.DECAY, rules.DECAY), "eps": st.floats(rules.NEGLIGIBLE, 1.0)}
    scales = {"scale": st.floats(-150, 150), "sign": st.sampled_from((1.0, -1.0))}
    search = rules.searched(partial(_first_step_error, implementation), {**domain, **scales})
    overflown = _first_step(implementation, 1e200, lr=0.1)
    sizes = 10.0 ** np.arange(-20, 201, 2.0)
    steps = [_first_step(implementation, g, lr=1.0) for g in sizes]
    series = {"ε = 1e-8, in float64": (sizes.tolist(), steps)}
    return Judgement(
        evidence=symbolic.evidence(*lemmas, tied=rules.tied(search)),
        confirmed=symbolic.proved(*lemmas),
        conditions="|g| >= eps (1 - p) / p for a size within the fraction p of eta, and a square that the dtype holds: "
        f"|g| from {', '.join(map(_scales, ('float16', 'float32', 'float64')))} (beta_2 = 0.999)",
        counterexample=Counterexample(
            says="the square of 1e200 overflows, and the step is eta 1e200 / inf",
            inputs={"g": 1e200, "eta": 0.1, "dtype": "float64"},
            claimed=0.1,
            actual=abs(overflown),
            confirmed=overflown == 0.0,
        ),
        explanation="In exact arithmetic the size is eta |g| / (|g| + eps) for all betas: half of eta at |g| = eps, "
        "with eps-hat already at |g| = eps / sqrt(1 - beta_2). In float16 the squares of ordinary gradients leave "
        "the range, and an eps of 1e-8 is zero. Coupled weight decay is gradient: where g = -lambda x nothing moves.",
        figures=(Figure("Adam's first step", "|g|", "step / η", series, x_scale="log"),),
    )


def _usable(implementation: Any, betas: tuple[float, float], grads: Array) -> bool:
    """Whether betas are accepted and lead to finite parameters."""
    steps = [{"grads": [g]} for g in grads]
    try:
        path = implementation.trajectory([np.zeros(grads.shape[1])], steps, betas=betas)["param0"]
    except ValueError:
        return False
    return bool(np.all(np.isfinite(path)))


@claim(
    "adam.beta-range",
    says="Its betas lie in [0, 1), with 0.9 and 0.999 suggested.",
    sources=(notes("001, section 8.7"), KINGMA, REDDI),
    evidence="property",
    verdict="holds",
    formula=r"0 \le \beta_1, \beta_2 < 1",
    component="adam",
)
def adam_beta_range(implementation: Any) -> Judgement:
    """Search the square for betas that are refused or lead to NaN; try the edge and what lies past it."""

    def excess(seed: int, steps: int, width: int, betas: tuple[float, float]) -> float:
        return 0.0 if _usable(implementation, betas, rules.gradients(seed, steps, width)) else np.inf

    last = float(np.nextafter(1.0, 0.0))
    beta = st.one_of(st.floats(0.0, last), st.sampled_from((0.0, last)))
    search = rules.searched(excess, {**rules.RUN, "betas": st.tuples(beta, beta)})
    grads = rules.gradients(0, 12, 4)
    outside = [pair for bad in (-0.1, 1.0, 1.1) for pair in ((bad, 0.999), (0.9, bad))]
    refused = not any(_usable(implementation, betas, grads) for betas in outside)
    steps = [{"grads": [g]} for g in grads]
    default, suggested = (
        implementation.trajectory([np.zeros(4)], steps, **chosen)["param0"] for chosen in ({}, {"betas": (0.9, 0.999)})
    )
    return Judgement(
        evidence=search,
        confirmed=refused and bool(np.array_equal(default, suggested)),
        explanation="0 is in the range (no averaging) and 1 is not, since 1 - 1^t = 0 would be divided by. All pairs "
        "tried in the square give finite steps, up to the last number before 1; pairs with -0.1, 1 or 1.1 are refused "
        "or give NaN; the suggested pair is the default. The range promises no convergence: for all "
        "beta_1 < sqrt(beta_2) some convex problem defeats Adam.",
    )
