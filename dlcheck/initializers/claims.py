"""The notes' statements on initial weights, judged by proof and by sampling."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcheck.component import Source, notes
from dlcheck.evidence import seeds, statistics, symbolic
from dlcheck.initializers import proofs, signals
from dlcheck.initializers.signals import Array
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim

NAIVE = notes("004, Parameters Initialization, Naive Initialization")
NOTES = notes("004, Parameters Initialization")
XAVIER = notes("004, Parameters Initialization, Xavier Initialization")
GLOROT = Source(
    "Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks",
    "AISTATS 2010, section 4.2",
    "https://proceedings.mlr.press/v9/glorot10a.html",
)
HE = Source("He et al.: Delving deep into rectifiers", "ICCV 2015, section 2.2", "https://arxiv.org/abs/1502.01852")
GOODFELLOW = Source(
    "Goodfellow, Bengio, Courville: Deep learning", "2016, section 8.4", "https://www.deeplearningbook.org"
)
GOODMAN = Source("Goodman: On the exact variance of products", "JASA 55, 1960", "https://doi.org/10.2307/2281592")
POOLE = Source(
    "Poole et al.: Exponential expressivity in deep neural networks through transient chaos",
    "NeurIPS 2016, section 2",
    "https://arxiv.org/abs/1606.05340",
)


def _size(result: statistics.TestResult, **more: Any) -> dict[str, Any]:
    return {
        "law": result.law,
        "n": result.n,
        "false_alarm": result.false_alarm,
        "smallest_effect": f"{result.smallest_effect:.3g} ({result.effect})",
        "power": 1 - statistics.MISS,
        "p_value": result.p_value,
        **more,
    }


def _by_layer(values: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    return list(range(len(values))), list(values)


def _scales_figure(width: int = 100, depth: int = 30) -> Figure:
    """Root mean square by layer for each initializer and activation."""
    rng = seeds.generator(signals.SEED)
    unit = rng.standard_normal((depth, width, width))
    scales = {
        "N(0, 0.01²)": 0.01,
        "U(±1/n)": 1 / (math.sqrt(3) * width),
        "U(±1/√n)": 1 / math.sqrt(3 * width),
        "Xavier": 1 / math.sqrt(width),
        "Kaiming": math.sqrt(2 / width),
    }
    start = rng.standard_normal(width)
    return Figure(
        f"Signal by layer, width {width}",
        "layer",
        "root mean square",
        {
            f"{name}, {kind}": _by_layer([signals.rms(h) for h in signals.signals(unit * scale, start, activation)])
            for name, scale in scales.items()
            for kind, activation in signals.ACTIVATIONS.items()
        },
        y_scale="log",
    )


# Fixed values


def _descend(w: Array, v: Array, x: Array, target: Array, steps: int, rate: float) -> tuple[Array, Array]:
    """Gradient descent of a network with one hidden tanh layer on the squared error."""
    for _ in range(steps):
        hidden = np.tanh(w @ x)
        error = v @ hidden - target
        w, v = w - rate * np.outer((v.T @ error) * (1 - hidden**2), x), v - rate * np.outer(error, hidden)
    return w, v


@claim(
    "init.constant-symmetry",
    says="Constant initialisation gives every unit of a layer the same output and the same update for ever: the "
    "symmetry is never broken.",
    sources=(NOTES, GOODFELLOW),
    evidence="proof",
    verdict="conditional",
    formula=r"w_j = w_k,\ v_j = v_k \implies \frac{\partial L}{\partial w_j} = \frac{\partial L}{\partial w_k}",
    component="constant_",
)
def constant_symmetry(implementation: Any) -> Judgement:
    """Prove it for hidden units; show output units that part at the first step."""
    lemmas = proofs.equal_units()
    w, v = (implementation.sample(shape, 1, val=0.5)[0] for shape in ((4, 3), (2, 4)))
    trained, outgoing = _descend(w, v, np.array([1.0, -2.0, 0.5]), np.array([1.0, 0.0]), steps=100, rate=0.1)
    moved = not np.array_equal(trained, w)
    alike = bool(np.all(trained == trained[0]) and np.all(outgoing == outgoing[:, :1]))
    output = np.full(2, 0.5) - (np.full(2, 0.5) - np.array([1.0, 0.0]))
    return Judgement(
        evidence=symbolic.evidence(
            *lemmas, tied="100 steps from constant_ keep four hidden units equal to the last bit"
        ),
        confirmed=symbolic.proved(*lemmas) and moved and alike,
        conditions="units of a hidden layer whose outgoing weights are equal too; one update rule for all, and nothing "
        "that differs from unit to unit, such as dropout or a mask",
        counterexample=Counterexample(
            says="output units with targets of their own part at once: y = w x, loss (y - t)^2 / 2, a step of rate 1",
            inputs={"w": [0.5, 0.5], "x": 1.0, "t": [1.0, 0.0]},
            claimed="two equal weights",
            actual=output.tolist(),
            confirmed=bool(output[0] != output[1]),
        ),
        explanation="Exchanging two hidden units with equal weights changes nothing, so their gradients agree. "
        "The units "
        "of the output layer cannot be exchanged, as each has its own target.",
    )


# Variances of products


@claim(
    "init.product-variance",
    says="For independent W, X and b, Var(WX+b) = E[X]^2 Var(W) + E[W]^2 Var(X) + Var(W) Var(X) + Var(b).",
    sources=(NOTES, GOODMAN),
    evidence="proof",
    verdict="holds",
    formula=r"\operatorname{Var}(WX+b) = E[X]^2 \operatorname{Var}W + E[W]^2 \operatorname{Var}X"
    r" + \operatorname{Var}W \operatorname{Var}X + \operatorname{Var}b",
)
def product_variance() -> Judgement:
    """Expand second moments of independent factors."""
    lemmas = proofs.product_variance()
    return Judgement(
        evidence=symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        explanation="Only E[WX] = E[W] E[X], E[W^2 X^2] = E[W^2] E[X^2] and the independence of b enter, so every law "
        "with finite variances is covered.",
    )


@claim(
    "init.zero-mean-product",
    says="With zero means and a constant bias this is Var(W) Var(X).",
    sources=(NOTES, GOODMAN),
    evidence="proof",
    verdict="holds",
    formula=r"E[W] = E[X] = 0,\ \operatorname{Var}b = 0 \implies"
    r" \operatorname{Var}(WX+b) = \operatorname{Var}W \operatorname{Var}X",
)
def zero_mean_product() -> Judgement:
    """Put the zeros into the identity."""
    lemmas = proofs.zero_mean_product()
    return Judgement(
        evidence=symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        explanation="Both means must be zero: if only E[W] is, the result is Var(W) E[X^2]. The outputs of ReLU have a "
        "positive mean, which is why the rule for rectified layers is another one.",
    )


# Naive laws


def _decay(implementation: Any, width: int, std: float, depth: int = 10) -> tuple[Array, list[float]]:
    """Normal scores and root mean squares of a tanh network."""
    weights = implementation.sample((width, width), depth, std=std)
    passed = signals.signals(weights, signals.start(width), np.tanh)
    return signals.scores(weights, passed, std), [signals.rms(h) for h in passed]


@claim(
    "init.small-normal-collapses",
    says="In a 10-layer tanh network with weights from N(0, 0.01) (read 0.01 as the standard deviation, and "
    "also as the "
    "variance) the activations collapse towards zero.",
    sources=(NAIVE, POOLE),
    evidence="statistical",
    verdict="conditional",
    formula=r"\frac{1}{n}|h_{l+1}|^2 \le n\sigma^2\, \frac{\chi^2_n}{n}\, \frac{1}{n}|h_l|^2",
    component="normal_",
)
def small_normal_collapses(implementation: Any) -> Judgement:
    """Test the law of every layer, and the bound it gives; look for widths without a collapse."""
    readings = {"deviation 0.01": (0.01, (50, 200, 500)), "variance 0.01": (0.1, (10, 30, 60))}
    runs = [(name, n, std, *_decay(implementation, n, std)) for name, (std, widths) in readings.items() for n in widths]
    rate = statistics.FALSE_ALARM / len(runs)
    results = [statistics.variance_test(scores, "chi-square", rate) for *_, scores, _ in runs]
    weakest = min(results, key=lambda result: result.n)
    share = rate / 10
    bounded = all(
        rms[-1] <= rms[0] * (n * std**2 * signals.largest_growth(n, share)) ** 5 for _, n, std, _, rms in runs
    )
    wide = {n: _decay(implementation, n, 0.1)[1] for n in (100, 400)}
    curves = {f"{name}, n = {n}": _by_layer(rms) for name, n, _, _, rms in runs}
    return Judgement(
        evidence=Evidence(
            "statistical",
            "chi-square test of each network's pre-activations given the layer before; sizes of the smallest network",
            _size(weakest, networks=len(runs), widths=[n for _, n, *_ in runs]),
        ),
        confirmed=all(result.passed for result in results) and bounded,
        conditions="n sigma^2 < 1 for layers of n units: n < 10000 for the deviation 0.01, n < 100 for the "
        "variance 0.01; "
        "the mean square then falls by at least the factor n sigma^2 a layer, up to the fluctuation of "
        "chi-square over n",
        counterexample=Counterexample(
            says="layers of 400 units and the variance 0.01: n sigma^2 = 4, and the signal stays",
            inputs={"n": 400, "variance": 0.01, "layers": 10, "input rms": wide[400][0]},
            claimed="root mean square near 0",
            actual=wide[400][-1],
            confirmed=wide[400][-1] > 0.5,
        ),
        explanation="As |tanh z| <= |z|, a layer multiplies the mean square by at most n sigma^2 on average. At "
        "n sigma^2 "
        f"= 1 it falls only like 1/(2 l) after l layers (100 units, variance 0.01: rms {wide[100][-1]:.2f} "
        f"after 10), and "
        "beyond 1 it has a positive fixed point.",
        figures=(
            Figure(
                "Ten tanh layers", "layer", "root mean square",
                {**curves, **{f"variance 0.01, n = {n}": _by_layer(rms) for n, rms in wide.items()}}, y_scale="log",
            ),
        ),
    )  # fmt: skip


@claim(
    "init.uniform-variance",
    says="Weights uniform on (-1/n, 1/n) have variance 1/(3 n^2).",
    sources=(NAIVE, GLOROT),
    evidence="proof",
    verdict="holds",
    formula=r"\operatorname{Var}W = \frac{n}{2}\int_{-1/n}^{1/n} w^2\,dw = \frac{1}{3n^2}",
    component="reciprocal_uniform_",
)
def uniform_variance(implementation: Any) -> Judgement:
    """Integrate; test that the code draws from that law."""
    lemmas = proofs.uniform_variance()
    return _uniform_judgement(lemmas, implementation.sample((100, 25), 40), 1 / 25)


def _uniform_judgement(lemmas: tuple[symbolic.Proof, ...], samples: Array, bound: float) -> Judgement:
    """A proof about U(-bound, bound), tied to draws of that law by an exact test of its ends and one of its shape."""
    uniforms = (samples / bound + 1) / 2
    rate = statistics.FALSE_ALARM / 2
    tests = (
        statistics.extremes_test(uniforms, "uniform", rate),
        statistics.kolmogorov_smirnov_test(uniforms, "uniform", rate),
    )
    within = bool(np.all(np.abs(samples) <= bound))
    tied = f"{samples.size} draws lie in the range, reach its ends and are uniform (false alarms {rate:g} each)"
    return Judgement(
        evidence=symbolic.evidence(*lemmas, tied=tied),
        confirmed=symbolic.proved(*lemmas) and within and all(test.passed for test in tests),
    )


@claim(
    "init.uniform-output-variance",
    says="With those weights, biases from the same law, and inputs of mean 0 and variance 1, Var(h) = 1/(3n) + 1/3.",
    sources=(NAIVE, GLOROT),
    evidence="proof",
    verdict="refuted",
    formula=r"\operatorname{Var}(h) = n\left(\frac{1}{3n^2} + \frac{1}{3n^2}\right) = \frac{2}{3n}",
)
def uniform_output_variance() -> Judgement:
    """Add the variances, with n biases as the notes write h and with one."""
    lemmas = proofs.uniform_output_variance()
    found = {name: variance.subs(proofs.N, 2) for name, variance in proofs.output_variances().items()}
    claimed = proofs.claimed_output_variance().subs(proofs.N, 2)
    return Judgement(
        evidence=symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        counterexample=Counterexample(
            says="n = 2: each of the two weights and biases has variance 1/12, and h adds four such terms",
            inputs={"n": 2, "Var(w)": "1/12", "Var(b)": "1/12", "Var(x)": 1},
            claimed=str(claimed),
            actual={name: str(variance) for name, variance in found.items()},
            confirmed=claimed not in found.values(),
        ),
        correction="Var(h) = 2/(3n) with the n biases of the notes' sum, 1/(3n) + 1/(3n^2) with one bias for a unit",
        explanation="The term 1/3 would need biases of variance 1/(3n), that is from U(-1/sqrt(n), 1/sqrt(n)), added n "
        "times. The two formulas agree only at n = 1.",
    )


@claim(
    "init.uniform-limit",
    says="As n grows that output standard deviation tends to 1/sqrt(3).",
    sources=(NAIVE, GLOROT),
    evidence="proof",
    verdict="refuted",
    formula=r"\sqrt{\tfrac{2}{3n}} \to 0 \quad\text{and not}\quad \tfrac{1}{\sqrt 3}",
)
def uniform_limit() -> Judgement:
    """Take the limits of the output's variance and of the notes' formula."""
    lemmas = proofs.uniform_limit()
    actual = math.sqrt(proofs.at(proofs.output_variances()["n biases"], 600))
    return Judgement(
        evidence=symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        counterexample=Counterexample(
            says="n = 600: Var(h) = 2/1800 = 1/900",
            inputs={"n": 600},
            claimed=1 / math.sqrt(3),
            actual=actual,
            confirmed=actual < 0.1 / math.sqrt(3),
        ),
        correction="it tends to 0, like sqrt(2/(3n)), or sqrt(1/(3n)) with one bias for a unit",
        explanation="The step from 1/(3n) + 1/3 to 1/sqrt(3) is right in itself; the formula that it starts "
        "from is not.",
        figures=(_deviation_figure(),),
    )


def _deviation_figure() -> Figure:
    widths = [2**k for k in range(11)]
    formulas = {**proofs.output_variances(), "the notes' formula": proofs.claimed_output_variance()}
    series = {
        name: (widths, [math.sqrt(proofs.at(variance, n)) for n in widths]) for name, variance in formulas.items()
    }
    return Figure("Output of a unit with weights from U(±1/n)", "n", "deviation", series, x_scale="log", y_scale="log")


@claim(
    "init.uniform-shrink-number",
    says="1/sqrt(3) is about 0.5733, the factor by which each layer's deviation shrinks.",
    sources=(NAIVE, GLOROT),
    evidence="proof",
    verdict="refuted",
    formula=r"0.5773 < \frac{1}{\sqrt 3} < 0.5774",
)
def uniform_shrink_number() -> Judgement:
    """Compare squares of decimal fractions with 1/3."""
    lemmas = proofs.root_of_a_third()
    return Judgement(
        evidence=symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        counterexample=Counterexample(
            says="a number and its square: the square must be about 1/3, and that of 0.5734 is still less",
            inputs={"number": 0.5733},
            claimed=0.3333,
            actual=round(0.5733**2, 4),
            confirmed=3 * 5734**2 < 10**8,
        ),
        correction="1/sqrt(3) is about 0.5774; and it is a layer's factor for weights from U(-1/sqrt(n), "
        "1/sqrt(n)), not "
        "for those from U(-1/n, 1/n)",
        explanation="The square root of 3 is 1.7320508; 0.5733 is a slip of the pen that the notes carry on, and "
        "the factor belongs to another range of weights than the one they draw from.",
    )


@claim(
    "init.uniform-code-shrink",
    says="The notes' sample program, with weights uniform on (-sqrt(1/n), sqrt(1/n)) and no bias, shrinks the "
    "deviation by "
    "1/sqrt(3) per linear layer, to nothing after enough layers.",
    sources=(NAIVE, GLOROT),
    evidence="statistical",
    verdict="conditional",
    formula=r"E\left[|W h|^2 \mid h\right] = \frac{1}{3}|h|^2",
    component="uniform_",
)
def uniform_code_shrink(implementation: Any) -> Judgement:
    """Run the program in float64 for the factor, in float32 to its end, and at width 1."""
    width, depth = 128, 220
    bound = math.sqrt(1 / width)
    weights = implementation.sample((width, width), depth, a=-bound, b=bound)
    passed = signals.signals(weights, signals.start(width), signals.ACTIVATIONS["linear"])
    scores = signals.scores(weights, passed, bound / math.sqrt(3))
    p_value = signals.subgaussian_p_value(float(np.mean(scores**2)), scores.size)
    single = signals.signals(
        weights.astype(np.float32), signals.start(width).astype(np.float32), signals.ACTIVATIONS["linear"]
    )
    gone = next((layer for layer, h in enumerate(single) if not np.any(h)), None)
    narrow = implementation.sample((1, 1), 2000, a=-1.0, b=1.0)
    typical = math.exp(float(np.mean(np.log(np.abs(narrow)))))
    size = {
        "law": "strictly sub-Gaussian with variance 1", "n": scores.size, "false_alarm": statistics.FALSE_ALARM,
        "smallest_effect": f"{signals.smallest_square_change(scores.size):.3g} (relative change of the mean square)",
        "power": 1 - statistics.MISS, "p_value": p_value, "width": width, "layers": depth,
    }  # fmt: skip
    return Judgement(
        evidence=Evidence("statistical", "mean square of all layers' outputs over a third of their inputs'", size),
        confirmed=p_value >= statistics.FALSE_ALARM and gone is not None,
        conditions="in the mean square, which a single run follows while the layers are few beside the width n "
        "(after L "
        "layers the logarithm of the deviation is off by some L/(2n) and sqrt(L/(2n))); exactly nothing is left "
        "only by "
        "underflow",
        counterexample=Counterexample(
            says="n = 1: a layer multiplies by |w| with w from U(-1, 1), whose geometric mean is 1/e",
            inputs={"n": 1, "layers": narrow.size},
            claimed=1 / math.sqrt(3),
            actual=typical,
            confirmed=typical < 0.45,
        ),
        explanation=f"In float32 the signal of this run is exactly 0 from layer {gone} on; 3^(-l/2) falls below "
        f"the least "
        "positive number, 2^-149, at l = 189. In real numbers it only tends to 0.",
        figures=(
            Figure(
                f"The notes' program at width {width}", "layer", "root mean square",
                {
                    "run": _by_layer([signals.rms(h) for h in passed]),
                    "3^(-l/2)": _by_layer([3 ** (-k / 2) for k in range(depth + 1)]),
                },
                y_scale="log",
            ),
        ),
    )  # fmt: skip


# Xavier


def _kept_variance(implementation: Any, transposed: bool) -> statistics.TestResult:
    """Chi-square test that a linear layer of 400 x 50 keeps the mean square, forwards or backwards."""
    n_out, n_in = 400, 50
    weights = implementation.sample((n_out, n_in), 8, std=1 / math.sqrt(n_out if transposed else n_in))
    maps = weights.transpose(0, 2, 1) if transposed else weights
    columns = 32 if not transposed else 256
    given = signals.orthonormal(maps.shape[2], columns)
    passed_on = np.concatenate([(one @ given).ravel() for one in maps]) * math.sqrt(maps.shape[2])
    return statistics.variance_test(passed_on, "standard normal, for orthonormal inputs of mean square 1/n")


def _relu_forward(implementation: Any, width: int = 256, depth: int = 10) -> list[float]:
    weights = implementation.sample((width, width), depth, std=1 / math.sqrt(width))
    return [signals.rms(h) ** 2 for h in signals.signals(weights, signals.start(width), signals.ACTIVATIONS["ReLU"])]


def _relu_backward(implementation: Any, width: int = 256, depth: int = 10) -> list[float]:
    """Mean squares of the gradients from the last layer to the first, for a fixed gradient of the output."""
    weights = implementation.sample((width, width), depth, std=1 / math.sqrt(width))
    passed = signals.signals(weights, signals.start(width), signals.ACTIVATIONS["ReLU"])
    gradient = seeds.generator(signals.SEED + 1).standard_normal(width)
    squares = [signals.rms(gradient) ** 2]
    for weight, output in zip(weights[::-1], passed[:0:-1], strict=True):
        gradient = weight.T @ (gradient * (output > 0))
        squares.append(signals.rms(gradient) ** 2)
    return squares


def _squares_figure(x_label: str, what: str, squares: list[float]) -> Figure:
    return Figure("ReLU with Var(W) = 1/n", x_label, "mean square", {what: _by_layer(squares)}, y_scale="log")


def _halving(what: str, squares: list[float]) -> Counterexample:
    depth = len(squares) - 1
    return Counterexample(
        says=f"ReLU passes on half of the mean square of {what}: {depth} layers of 256 units leave about 2^-{depth}",
        inputs={"width": 256, "layers": depth, "mean square before": squares[0]},
        claimed=squares[0],
        actual=squares[-1],
        confirmed=squares[-1] < squares[0] / 100,
    )


@claim(
    "init.xavier-forward",
    says="Var(W) = 1/n_in keeps the activations' variance from layer to layer.",
    sources=(XAVIER, GLOROT, HE),
    evidence="statistical",
    verdict="conditional",
    formula=r"\operatorname{Var}(h^k) = n_{in} \operatorname{Var}(w)\, E[(h^{k-1})^2]",
    component="normal_",
)
def xavier_forward(implementation: Any) -> Judgement:
    """Test a linear layer with different fans exactly; run ReLU layers."""
    result, squares = _kept_variance(implementation, transposed=False), _relu_forward(implementation)
    return Judgement(
        evidence=Evidence("statistical", "exact chi-square test of a linear layer from 50 to 400 units", _size(result)),
        confirmed=result.passed,
        conditions="a linear layer without bias, in the mean over draws; tanh and the like only for small signals",
        counterexample=_halving("the activations", squares),
        explanation="ReLU halves E[z^2] of a symmetric z, which He's variance 2/n_in makes up for; tanh shrinks "
        "whatever "
        "is not small.",
        figures=(_squares_figure("layer", "activations", squares),),
    )


@claim(
    "init.xavier-backward",
    says="Var(W) = 1/n_out keeps the gradients' variance from layer to layer.",
    sources=(XAVIER, GLOROT, HE),
    evidence="statistical",
    verdict="conditional",
    formula=r"\operatorname{Var}\left(\tfrac{\partial C}{\partial h^{k-1}}\right) = n_{out} \operatorname{Var}(w)\,"
    r" E\left[\left(\tfrac{\partial C}{\partial h^{k}}\right)^2\right]",
    component="normal_",
)
def xavier_backward(implementation: Any) -> Judgement:
    """Test the transposed linear layer exactly; run gradients back through ReLU layers."""
    result, squares = _kept_variance(implementation, transposed=True), _relu_backward(implementation)
    return Judgement(
        evidence=Evidence("statistical", "exact chi-square test of gradients from 400 units back to 50", _size(result)),
        confirmed=result.passed,
        conditions="a linear layer whose incoming gradient is independent of its weights, in the mean over "
        "draws; with an "
        "activation only where its derivative is near 1",
        counterexample=_halving("the gradients", squares),
        explanation="The gradient is multiplied by the activation's derivative, which is 0 for half of the ReLUs.",
        figures=(_squares_figure("layers back", "gradients", squares),),
    )


@claim(
    "init.xavier-compromise",
    says="The two conditions usually conflict; 2/(n_in + n_out) is their average.",
    sources=(XAVIER, GLOROT),
    evidence="proof",
    verdict="refuted",
    formula=r"\frac12\left(\frac1{n_{in}} + \frac1{n_{out}}\right) - \frac{2}{n_{in}+n_{out}}"
    r" = \frac{(n_{in}-n_{out})^2}{2 n_{in} n_{out} (n_{in}+n_{out})}",
)
def xavier_compromise() -> Judgement:
    """Compare with the arithmetic and the harmonic mean."""
    lemmas = proofs.xavier_compromise()
    n_in, n_out = 1, 3
    claimed, actual = 2 / (n_in + n_out), (1 / n_in + 1 / n_out) / 2
    return Judgement(
        evidence=symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        counterexample=Counterexample(
            says="n_in = 1, n_out = 3: the average of 1 and 1/3",
            inputs={"n_in": n_in, "n_out": n_out},
            claimed=claimed,
            actual=actual,
            confirmed=claimed < actual,
        ),
        correction="2/(n_in + n_out) is the harmonic mean of 1/n_in and 1/n_out: one over the average of the "
        "fans; their "
        "average is larger whenever the fans differ",
        explanation="The first half is right: both conditions can be met only if n_in = n_out.",
    )


@claim(
    "init.xavier-uniform-bound",
    says="A uniform law on [-b, b] has that variance for b = sqrt(6)/sqrt(n_in + n_out).",
    sources=(XAVIER, GLOROT),
    evidence="proof",
    verdict="holds",
    formula=r"\frac{b^2}{3} = \frac{2}{n_{in}+n_{out}} \iff b = \frac{\sqrt 6}{\sqrt{n_{in}+n_{out}}}",
    component="xavier_uniform_",
)
def xavier_uniform_bound(implementation: Any) -> Judgement:
    """Integrate; test that the code draws from that law."""
    return _uniform_judgement(proofs.xavier_uniform_bound(), implementation.sample((80, 40), 30), math.sqrt(6 / 120))


@claim(
    "init.xavier-deep-range",
    says="With Xavier initialisation the signal stays in a reasonable range through many layers.",
    sources=(XAVIER, GLOROT, POOLE),
    evidence="statistical",
    verdict="conditional",
    formula=r"\frac{|h_L|^2}{|h_0|^2} = \prod_{l=1}^{L} \frac{\chi^2_n}{n}\ \text{(linear)},\qquad"
    r" \frac1n|h_l|^2 \approx \frac{1}{2l}\ \text{(tanh)},\qquad \approx 2^{-l}\ \text{(ReLU)}",
    component="xavier_normal_",
)
def xavier_deep_range(implementation: Any) -> Judgement:
    """Run many networks of each activation; reasonable is a root mean square within a factor of 100 of the input's."""
    width, depth, networks, factor = 48, 24, 100, 100.0
    weights = implementation.sample((width, width), depth * networks).reshape(networks, depth, width, width)
    ratios = {name: signals.ratios(weights, activation) for name, activation in signals.ACTIVATIONS.items()}
    kept = {name: int(np.sum(np.all((r >= 1 / factor) & (r <= factor), axis=1))) for name, r in ratios.items()}
    share = -math.expm1(math.log(statistics.FALSE_ALARM) / networks)
    linear = signals.product_tail(width, depth, factor**2) * depth
    relu = float(np.median(ratios["ReLU"][:, -1]))
    size = {
        "law": f"binomial: {networks} networks of {depth} layers of {width} units, each activation", "n": networks,
        "kept": kept,
        "false_alarm": f"{networks * linear:.1g} (linear; for tanh this bounds the upper end alone)",
        "lowest": {name: float(r.min()) for name, r in ratios.items()}, "power": 1 - statistics.FALSE_ALARM,
        "smallest_effect": f"{share:.3g} (share of networks that leave the range)",
    }  # fmt: skip
    return Judgement(
        evidence=Evidence("statistical", "every layer of every network within a factor of 100 of its input", size),
        confirmed=kept["linear"] == kept["tanh"] == networks,
        conditions="linear or tanh layers of about equal widths n, with a depth L of the order of n at most: the "
        "logarithm of the signal drifts by L/(2n) and spreads by sqrt(L/(2n)); tanh falls like 1/sqrt(2 l)",
        counterexample=Counterexample(
            says=f"ReLU halves the mean square in every layer: {depth} layers leave about 2^-{depth // 2} of "
            f"the signal",
            inputs={"width": width, "layers": depth, "networks": networks},
            claimed=f"root mean square within a factor of {factor:g} of the input's",
            actual=relu,
            confirmed=relu < 1 / factor and kept["ReLU"] < networks,
        ),
        explanation="Unequal widths break it as well: layers between a and b units lose the factor 4 a b / (a + "
        "b)^2 of "
        "the mean square in each pair, 3/4 for b = 3 a.",
        figures=(_range_figure(ratios), _scales_figure()),
    )


def _range_figure(ratios: dict[str, Array]) -> Figure:
    series = {}
    for name, runs in ratios.items():
        layers = list(range(1, runs.shape[1] + 1))
        for label, values in zip(
            ("lowest", "median", "highest"), np.quantile(runs, (0.0, 0.5, 1.0), axis=0), strict=True
        ):
            series[f"{name}, {label}"] = (layers, values.tolist())
    return Figure("Xavier's signal over its input", "layer", "ratio of root mean squares", series, y_scale="log")
