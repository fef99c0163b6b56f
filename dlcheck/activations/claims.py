"""What the notes say about activations, judged by proof, by search and by every number of small formats."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy.special import expit, ndtri

from dlcheck.activations import probes, proofs
from dlcheck.activations.vanishing import gradient_vanishes_exponentially as gradient_vanishes_exponentially
from dlcheck.component import Case, Source, notes
from dlcheck.evidence import numerics, seeds, statistics
from dlcheck.evidence.symbolic import evidence, proved
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim

_BRIDLE = Source("Bridle 1990, Probabilistic interpretation of feedforward classification network outputs")
_GAO = Source("Gao, Pavel 2017, Properties of the softmax function", "", "https://arxiv.org/abs/1704.00805")
_LESHNO = Source("Leshno et al. 1993", "theorem 1", "https://doi.org/10.1016/S0893-6080(05)80131-5")
_KIDGER = Source("Kidger, Lyons 2020, Deep narrow networks", "", "https://arxiv.org/abs/1905.08539")
_GULCEHRE = Source("Gulcehre et al. 2016, Noisy activation functions", "section 2", "https://arxiv.org/abs/1603.00391")
_DEEP = "Goodfellow et al. 2016, Deep Learning"
_BOOK = Source(_DEEP, "6.2.2.2", "https://www.deeplearningbook.org/contents/mlp.html")
_CHAPTER3 = Source(_DEEP, "section 3.10", "https://www.deeplearningbook.org/contents/prob.html")
_LECUN = Source("LeCun et al. 1998, Efficient BackProp", "4.3", "http://yann.lecun.com/exdb/publis/pdf/lecun-98b.pdf")
_CLEVERT = Source("Clevert et al. 2016, ELUs", "section 2", "https://arxiv.org/abs/1511.07289")
_GLOROT = Source("Glorot et al. 2011, Deep sparse rectifiers", "3", "https://proceedings.mlr.press/v15/glorot11a.html")
_LU = Source("Lu et al. 2020, Dying ReLU and initialization", "", "https://arxiv.org/abs/1903.06733")
_MAAS = Source("Maas et al. 2013", "2", "https://ai.stanford.edu/~amaas/papers/relu_hybrid_icml2013_final.pdf")
_HE = Source("He et al. 2015, Delving deep into rectifiers", "2.1", "https://arxiv.org/abs/1502.01852")
_GOODFELLOW = Source("Goodfellow et al. 2013, Maxout networks", "sections 3, 4", "https://arxiv.org/abs/1302.4389")


@claim(
    "chain-rule.softmax-jacobian",
    says="The Jacobian of the softmax output by its logits is not diagonal.",
    sources=(notes("001, section 2"), _BRIDLE, _GAO),
    evidence="proof",
    verdict="conditional",
    formula=r"\frac{\partial p_i}{\partial z_j} = p_i (\delta_{ij} - p_j)",
    component="softmax",
)
def softmax_jacobian(implementation: Any) -> Judgement:
    steps = (*proofs.softmax_jacobian(), *proofs.log_softmax_jacobian())
    p = np.array([0.125, 0.25, 0.625])
    jacobian = probes.jacobian(implementation, np.log(p), dim=-1)
    alone = probes.jacobian(implementation, np.array([2.0]), dim=-1)
    rows = {f"dp_{i}/dz": ([0.0, 1.0, 2.0], row.tolist()) for i, row in enumerate(jacobian)}
    tied = probes.agrees(jacobian, np.diag(p) - np.outer(p, p))
    return Judgement(
        evidence(*steps, tied="entries of the implementation at p = (1/8, 1/4, 5/8) agree"),
        confirmed=proved(*steps) and tied and not probes.is_diagonal(jacobian),
        conditions="At least two outputs are positive. That is so for n >= 2 finite logits, unless all outputs but "
        "one underflow; entry (i, j) off the diagonal is -p_i p_j.",
        counterexample=Counterexample(
            "a softmax over one logit is constantly 1",
            {"z": [2.0]},
            "not diagonal",
            alone.tolist(),
            probes.is_diagonal(alone),
        ),
        explanation="With one logit, or with all others masked by -inf, the Jacobian is zero, hence diagonal, and "
        "nothing is learned through it. The log-softmax has I - 1 p^T.",
        figures=(Figure("Softmax Jacobian at p = (1/8, 1/4, 5/8)", "logit", "derivative", rows, "bar"),),
    )


@claim(
    "chain-rule.sigmoid-jacobian",
    says="The Jacobian of an elementwise sigmoid by its logits is diagonal.",
    sources=(notes("001, section 2"), Source(_DEEP, "section 6.5.2", _BOOK.url)),
    evidence="proof",
    verdict="holds",
    formula=r"\frac{\partial s_i}{\partial z_j} = \delta_{ij}\, s_i (1 - s_i)",
    component="sigmoid",
)
def sigmoid_jacobian(implementation: Any) -> Judgement:
    steps = proofs.sigmoid_jacobian()
    jacobian = probes.jacobian(implementation, probes.POINTS[:8])
    return Judgement(
        evidence(*steps, tied="the implementation's entries off the diagonal are exactly zero for 8 logits"),
        confirmed=proved(*steps) and probes.is_diagonal(jacobian) and bool(np.all(np.diag(jacobian) > 0)),
        explanation="Output i reads logit i alone, so backpropagation is an elementwise product.",
    )


@claim(
    "activation.nonlinearity-needed",
    says="Without activation functions a deep network is one affine map: activations bring the non-linearity.",
    sources=(notes("004, activation function"), Source(_DEEP, "section 6.1", _BOOK.url)),
    evidence="proof",
    verdict="conditional",
    formula=r"W (V x + b) + c = (W V) x + (W b + c)",
)
def nonlinearity_needed() -> Judgement:
    steps = proofs.affine_composition()
    pooled = [max(x, -x) for x in (-1, 0, 1)]
    return Judgement(
        evidence(*steps),
        confirmed=proved(*steps),
        conditions="Every layer is affine (dense, convolution, average pooling, batch normalisation at test time), "
        "and the activation is not: an activation a x + b, such as a (P)ReLU of slope 1, brings nothing.",
        counterexample=Counterexample(
            "no activation: a dense layer with weights (1, -1), then max pooling of its two outputs, gives |x|",
            {"x": [-1, 0, 1]},
            "affine: f(0) is the mean of f(-1) and f(1)",
            pooled,
            confirmed=2 * pooled[1] != pooled[0] + pooled[2],
        ),
        explanation="Max pooling, softmax attention and batch statistics are not affine either.",
    )


@claim(
    "activation.non-polynomial",
    says="The activation must not be a polynomial: a network with polynomial activations can only be a polynomial of "
    "bounded degree.",
    sources=(notes("004, activation function"), _LESHNO, _KIDGER),
    evidence="proof",
    verdict="conditional",
    formula=r"\deg f \le d^L \text{ for } L \text{ layers of activations of degree } d",
)
def non_polynomial() -> Judgement:
    steps = proofs.polynomial_degree()
    x, depths = np.linspace(-1, 1, 2001), [2**k for k in range(10)]
    errors = [float(np.max(np.abs(np.abs(x) - probes.network_of_squares(x, depth)))) for depth in depths]
    figure = Figure(
        "A network of squares approaches |x| on [-1, 1]",
        "layers",
        "largest error",
        {"squares": (depths, errors), "bound 2/(L + 1)": (depths, [2 / (depth + 1) for depth in depths])},
        x_scale="log",
        y_scale="log",
    )
    return Judgement(
        evidence(*steps),
        confirmed=proved(*steps),
        conditions="The depth is fixed: L layers of degree d reach degree d^L and no more, at any width. With one "
        "hidden layer a network is universal if and only if its activation is no polynomial (Leshno et al.).",
        counterexample=Counterexample(
            "squares in growing depth: x^2/2, x^2 - x^4/8, ...: the degree 2^L has no bound and |x| is approached",
            {"activation": "t^2", "rule": "p <- p + (x^2 - p^2)/2", "layers": depths[-1]},
            "polynomial activations cannot come near |x| on [-1, 1]",
            errors[-1],
            confirmed=all(error <= 2 / (depth + 1) for error, depth in zip(errors, depths, strict=True)),
        ),
        explanation="A layer of squares multiplies, x y = ((x + y)^2 - (x - y)^2)/4, and hands on, t = ((t + 1)^2 - "
        "(t - 1)^2)/4; so deep networks of squares hold every polynomial, and these are dense (Weierstrass). One "
        "square unit (x - y)^2 is exclusive or. Growing degrees make training stiff, which is another matter.",
        figures=(figure,),
    )


@claim(
    "activation.saturation-table",
    says="Sigmoid and tanh saturate; ReLU and Leaky ReLU do not, as their limit at infinity is infinite.",
    sources=(notes("004, activation function"), _GULCEHRE),
    evidence="proof",
    verdict="conditional",
    formula=r"\lim_{x \to \infty} f(x)",
)
def saturation_table() -> Judgement:
    steps = (*proofs.saturation_limits(), *proofs.relu_paths()[:1], *proofs.leaky_relu_derivative())
    relu = [max(x, 0) for x in (-100, -1)]
    functions = {
        "sigmoid": expit,
        "tanh": np.tanh,
        "ReLU": lambda x: np.maximum(x, 0),
        "Leaky ReLU, slope 0.1": lambda x: np.where(x > 0, x, 0.1 * x),
    }
    return Judgement(
        evidence(*steps),
        confirmed=proved(*steps),
        conditions="As x tends to +oo. As x tends to -oo ReLU is constantly 0 with derivative 0: it saturates on that "
        "side (hard), and so does Leaky ReLU if its slope is 0.",
        counterexample=Counterexample(
            "ReLU does not tell -100 from -1", {"x": [-100, -1]}, "not saturated", relu, confirmed=relu[0] == relu[1]
        ),
        explanation="An infinite limit is not what keeps the gradient alive: arsinh(x) grows without bound while its "
        "derivative 1/sqrt(1 + x^2) tends to 0. A derivative bounded away from 0 is: 1 for both at x > 0.",
        figures=(probes.curves("Saturating and non-saturating activations", "f(x)", functions),),
    )


@claim(
    "activation.saturation-vanishes",
    says="Near a saturating activation's bounds its value hardly changes, so its derivative, and the backpropagated "
    "gradient, goes to zero.",
    sources=(notes("004, activation function"), _BOOK),
    evidence="proof",
    verdict="conditional",
    formula=r"\sigma' = \delta (1 - \delta),\quad \tanh' = \delta (2 - \delta)",
)
def saturation_vanishes() -> Judgement:
    steps = proofs.saturation_derivatives()
    z = -20.0
    s, slope = float(expit(z)), float(expit(z) * expit(-z))
    losses = {"cross-entropy": lambda x: expit(-x), "squared error": lambda x: expit(x) * expit(-x) ** 2}
    return Judgement(
        evidence(*steps),
        confirmed=proved(*steps),
        conditions="For sigmoid and tanh, with delta the distance to the bound, if the gradient g that arrives stays "
        "bounded: |g| delta (1 - delta), |g| delta (2 - delta). Other functions also need a derivative that settles.",
        counterexample=Counterexample(
            "cross-entropy grows as fast as the sigmoid saturates: dL/ds = -1/s for target 1, so dL/dz = s - 1",
            {"z": z, "target": 1, "s": s, "slope s(1-s)": slope},
            "a gradient near 0",
            slope * (-1 / s),
            confirmed=slope * (-1 / s) < -expit(-z) / 2,
        ),
        explanation="That is why a sigmoid output is trained on cross-entropy. Of bounded functions in general it is "
        "not even true that the derivative vanishes: sin(x^2)/x tends to 0, its derivative does not.",
        figures=(probes.curves("Gradient of a saturated output with target 1", "|dL/dz|", losses, "logit z"),),
    )


@claim(
    "sigmoid.derivative",
    says="The sigmoid's derivative is s(1-s), at most 1/4, so a chain of sigmoids shrinks the gradient.",
    sources=(notes("001, section 3.1"), _CHAPTER3),
    evidence="proof",
    verdict="conditional",
    formula=r"\sigma' = \sigma (1 - \sigma) = \tfrac14 - (\tfrac12 - \sigma)^2 \le \tfrac14",
    component="sigmoid",
)
def sigmoid_derivative(implementation: Any) -> Judgement:
    steps, layers, weight, bias = proofs.sigmoid_derivative(), 20, 8.0, -4.0
    x, gradient = np.array([0.5]), np.array([1.0])
    for _ in range(layers):
        z = weight * x + bias
        x, gradient = implementation.forward(z), weight * implementation.backward(gradient, z)["x"]
    depth = list(range(layers + 1))
    chains = {
        "sigmoid": (depth, probes.chain_gradient(expit, lambda s: s * (1 - s), layers)),
        "tanh": (depth, probes.chain_gradient(np.tanh, lambda t: 1 - t * t, layers)),
        "bound 4^-L": (depth, [4.0**-k for k in depth]),
        "sigmoid(8x - 4) at 1/2": (depth, [2.0**k for k in depth]),
    }
    tied = probes.slope_follows(implementation, expit, lambda s: s * (1 - s))
    return Judgement(
        evidence(*steps, tied=f"the implementation's gradient is s(1-s) at {probes.POINTS.size} random points"),
        confirmed=proved(*steps) and tied,
        conditions="The sigmoids follow each other directly, or through weights with |w| < 4 (matrices of spectral "
        "norm below 4): each layer's factor is at most |w|/4.",
        counterexample=Counterexample(
            "x -> sigmoid(8x - 4) maps 1/2 to itself with derivative 8/4 = 2",
            {"w": weight, "b": bias, "x": 0.5, "layers": layers},
            "below 1",
            float(gradient[0]),
            confirmed=bool(gradient[0] > 1),
        ),
        explanation="The first two parts hold for every x; 1/4 is reached at x = 0 alone.",
        figures=(
            probes.curves("Sigmoid and its derivative", "", {"s": expit, "s'": lambda x: expit(x) * expit(-x)}),
            Figure(
                "Gradient through a chain of activations, from x = 1/2", "layers", "gradient", chains, y_scale="log"
            ),
        ),
    )


@claim(
    "sigmoid.open-unit-interval",
    says="The sigmoid's output lies strictly between 0 and 1, and it is strictly increasing and continuous "
    "(judge it in real numbers and in float32, float16 and bfloat16).",
    sources=(notes("001, section 3.1"), _CHAPTER3),
    evidence="exhaustive",
    verdict="conditional",
    formula=r"0 < \sigma(x) < 1",
    component="sigmoid",
)
def open_unit_interval(implementation: Any) -> Judgement:
    steps, inside, size, series = proofs.sigmoid_interval(), [], {}, {}
    for dtype in ("float16", "bfloat16", "float32"):
        x, (low, high) = probes.finite_numbers(dtype), probes.open_range(dtype)
        s = numerics.rounded(implementation.observe(Case("forward", {"x": x}, dtype=dtype)).values["output"], dtype)
        between = (low < x) & (x < high)
        inside.append(bool(np.all((s[between] > 0) & (s[between] < 1))))
        size[dtype] = {
            "inputs": x.size,
            "first that gives 1": float(np.min(x[s == 1], initial=np.inf)),
            "last that gives 0": float(np.max(x[s == 0], initial=-np.inf)),
            "neighbours with equal outputs": int(np.sum(np.diff(s) == 0)),
        }
        below_one = np.flatnonzero((x > 0) & (s < 1))
        shown = below_one[:: len(below_one) // 60 + 1]
        series[dtype] = (x[shown].tolist(), (1 - s[shown]).tolist())
    one = size["float16"]["first that gives 1"]
    how = "every float16 and bfloat16 number; float32: those of bfloat16, 65536 around each edge; proof in real numbers"
    return Judgement(
        Evidence("exhaustive", how, size),
        confirmed=proved(*steps) and all(inside),
        conditions="In real numbers: s = e/(1 + e) and s' = e/(1 + e)^2 with e = exp(x) > 0. In a format of p "
        "significant bits with smallest normal number q: strictly inside for ln q < x < p ln 2 (float32 -87.3 to 16.6, "
        "float16 -9.7 to 7.6, bfloat16 -87.3 to 5.5), and increasing but not strictly.",
        counterexample=Counterexample(
            "float16: 1 - s(x) is below 2^-12, half the gap between the largest number below 1, 1 - 2^-11, and 1",
            {"x": one, "1 - s(x)": float(expit(-one))},
            "below 1",
            1.0,
            confirmed=bool(np.isfinite(one)),
        ),
        explanation="Beyond ln(2^(p+1) - 1) even the correctly rounded value is 1, and log(1 - s) is -inf: take the "
        "loss from the logits. Continuity is a property of the real function; formats have gaps.",
        figures=(Figure("1 - sigmoid(x) until it is rounded to 0", "x", "1 - s", series, "scatter", y_scale="log"),),
    )


@claim(
    "sigmoid.not-zero-centred",
    says="The sigmoid's output is not centred at 0, which forces the gradients of all weights into one next-layer "
    "unit to share a sign.",
    sources=(notes("001, section 3.1"), _LECUN),
    evidence="proof",
    verdict="conditional",
    formula=r"\frac{\partial L}{\partial w_i} = \sum_n \delta_n s_{n i}",
)
def not_zero_centred() -> Judgement:
    steps = proofs.sigmoid_signs()
    outputs, upstream = np.array([[0.75, 0.25], [0.25, 0.75]]), np.array([1.0, -1.0])
    gradient = upstream @ outputs
    return Judgement(
        evidence(*steps),
        confirmed=proved(*steps),
        conditions="One example, or a batch whose delta_n all have one sign: then dL/dw_i has that sign for every i.",
        counterexample=Counterexample(
            "a batch of two with opposite errors: (0.75, 0.25) - (0.25, 0.75)",
            {"outputs": outputs.tolist(), "delta": upstream.tolist()},
            "one sign",
            gradient.tolist(),
            confirmed=bool(gradient.min() < 0 < gradient.max()),
        ),
        explanation="It is positivity that does it, not the mean: s(x) + s(-x) = 1, so the centre is 1/2 and no "
        "output is negative. ReLU outputs, too, never pull two weights apart on one example.",
    )


@claim(
    "tanh.derivative",
    says="tanh's derivative is 1 - tanh^2, it is 2*sigmoid(2x) - 1, and it is centred at 0, but its gradient still "
    "vanishes.",
    sources=(notes("001, section 3.2"), _LECUN),
    evidence="proof",
    verdict="conditional",
    formula=r"\tanh' = 1 - \tanh^2,\quad \tanh x = 2\sigma(2x) - 1",
    component="tanh",
)
def tanh_derivative(implementation: Any) -> Judgement:
    steps, layers = (*proofs.tanh_identities(), *proofs.saturation_derivatives()[1:2]), 20
    x, gradient = np.zeros(1), np.ones(1)
    for _ in range(layers):
        gradient, x = implementation.backward(gradient, x)["x"], implementation.forward(x)
    odd = np.array_equal(implementation.forward(-probes.POINTS), -implementation.forward(probes.POINTS))
    return Judgement(
        evidence(
            *steps, tied=f"the implementation is odd and its gradient is 1 - t^2 at {probes.POINTS.size} random points"
        ),
        confirmed=proved(*steps) and odd and probes.slope_follows(implementation, np.tanh, lambda t: 1 - t * t),
        conditions="'It' is tanh, not its derivative (1 at 0, where 2 sigmoid(2x) - 1 is 0). Centred: tanh is odd, so "
        "outputs have mean 0 where pre-activations are symmetric about 0. Vanishing: away from 0, as 1 - tanh(x)^2 < "
        "4 exp(-2|x|).",
        counterexample=Counterexample(
            "a chain of tanh at x = 0 passes the gradient whole, whatever its depth",
            {"x": 0.0, "layers": layers},
            "vanishes",
            float(gradient[0]),
            confirmed=bool(gradient[0] == 1),
        ),
        explanation="Its largest slope is 1 against the sigmoid's 1/4, so it vanishes later. Pre-activations 1 and 3 "
        f"give a mean output of {float(np.tanh([1.0, 3.0]).mean()):.2f}: centring needs centred inputs.",
        figures=(probes.curves("tanh and its derivative", "", {"t": np.tanh, "t'": lambda x: 1 - np.tanh(x) ** 2}),),
    )


@claim(
    "tanh.near-natural-gradient",
    says="With tanh the gradient is nearer the natural gradient than with sigmoid, because its outputs are better "
    "centred.",
    sources=(notes("001, section 3.2"), _CLEVERT, _LECUN),
    evidence="property",
    verdict="conditional",
    formula=r"F = \begin{pmatrix} m^2 + v & m \\ m & 1 \end{pmatrix},\quad \cos(g, F^{-1} g) \ge "
    r"\frac{2\sqrt{\kappa}}{1 + \kappa}",
)
def near_natural_gradient() -> Judgement:
    steps = proofs.fisher_condition()
    sizes = st.lists(st.floats(0.01, 20), min_size=1, max_size=8)
    exception = probes.search(sizes, lambda z: not probes.tanh_is_nearer([*z, *(-value for value in z)]))
    biased = probes.search(
        st.tuples(st.integers(-6, 6), st.integers(-6, 6)), lambda z: z[0] != z[1] and not probes.tanh_is_nearer(z)
    )
    pair = np.array(biased or (0, 0), np.float64)
    tanh, sigmoid = probes.fisher_condition(np.tanh(pair)), probes.fisher_condition(expit(pair))
    means, normal = np.linspace(-4, 4, 33), 0.5 * ndtri((np.arange(200) + 0.5) / 200)
    curves = {
        name: (means.tolist(), [probes.fisher_condition(f(normal + mean)) for mean in means])
        for name, f in (("tanh", np.tanh), ("sigmoid", expit))
    }
    how = "search for symmetric pre-activations where the sigmoid is nearer: none, as is proved; eigenvalues in float64"
    size = {"cases": probes.EXAMPLES, "seed": seeds.RUN, "examples": "2 to 16"}
    return Judgement(
        Evidence("property", how, size | {step.says: step.about for step in steps}),
        confirmed=proved(*steps) and exception is None,
        conditions="A linear unit reads one activation and a bias, and the pre-activations are symmetric about 0. "
        "'Nearer' is a smaller condition number of the Fisher information, which bounds the angle between the two "
        "gradients. In general tanh is nearer if and only if (1 + m^2 + v)^2 / v is smaller for it (m, v: mean and "
        "variance of the outputs).",
        counterexample=Counterexample(
            "two examples whose pre-activations are biased: tanh saturates first and its outputs hardly vary",
            {"pre-activations": pair.astype(int).tolist()},
            "tanh has the smaller condition number",
            {"tanh": tanh, "sigmoid": sigmoid},
            confirmed=tanh > sigmoid,
        ),
        explanation="The entry off the diagonal is the mean m; but the variance counts as much: at pre-activations "
        "N(-1, 1) tanh is worse centred (mean -0.55 against 0.30) and still nearer, as its outputs vary more.",
        figures=(Figure("Fisher condition number, N(mean, 1/4)", "mean", "condition number", curves, y_scale="log"),),
    )


@claim(
    "relu.eases-vanishing",
    says="On active paths ReLU passes the gradient unchanged, which eases vanishing gradients.",
    sources=(notes("001, section 3.3"), _GLOROT),
    evidence="proof",
    verdict="holds",
    formula=r"\frac{\partial h_L}{\partial h_0} = \prod_l w_l \text{ on an active path}",
    component="relu",
)
def eases_vanishing(implementation: Any) -> Judgement:
    steps = (*proofs.relu_paths(), *proofs.sigmoid_derivative()[1:])
    active = np.concatenate([np.abs(probes.POINTS), [numerics.smallest_normal("float64"), numerics.largest("float64")]])
    passed = implementation.backward(np.resize(probes.POINTS, active.shape), active)["x"]
    return Judgement(
        evidence(*steps, tied=f"the implementation passes {active.size} gradients bit for bit, inputs tiny to largest"),
        confirmed=proved(*steps) and np.array_equal(passed, np.resize(probes.POINTS, active.shape)),
        explanation="With the same weights an active path through L sigmoids has at most 4^-L of the gradient through "
        "L ReLUs. Eased, not solved: the product of the weights stays, and may vanish or explode; an inactive path "
        "has none at all.",
    )


@claim(
    "relu.dies-forever",
    says="A ReLU unit that is negative on every example receives zero gradient from then on and is dead irreversibly.",
    sources=(notes("001, section 3.3"), _LU),
    evidence="property",
    verdict="conditional",
    formula=r"z_n < 0\ \forall n \Rightarrow \nabla_{w,b} L = 0",
    component="relu",
)
def dies_forever(implementation: Any) -> Judgement:
    layers = st.tuples(st.integers(1, 16), st.integers(1, 8), st.integers(0, 2**32 - 1))
    moved = probes.search(layers, lambda case: probes.moves(implementation, case))
    before, after = probes.layer_below_learns(implementation)
    dead = {rate: probes.dead_shares(implementation, rate) for rate in (0.5, 2.0, 8.0)}
    how = "search for a dead unit of which a step changes any bit: none, so each later step meets the same unit"
    return Judgement(
        Evidence(
            "property", how, {"cases": probes.EXAMPLES, "seed": seeds.RUN, "examples": "1 to 16", "inputs": "1 to 8"}
        ),
        confirmed=moved is None,
        conditions="The unit's inputs stay as they are (the same examples, no noise, nothing below it learns) and a "
        "zero gradient means no step: no momentum left over, no decay that treats weights and bias differently.",
        counterexample=Counterexample(
            "h = a x, outputs relu(1 - 2h) + h, target 0, x = 1, a = 1, learning rate 5/8: the unit is at -1, but the "
            "living unit h gives a the gradient 1, so a becomes 3/8 and the dead unit is at 1/4",
            {"a": 1.0, "x": 1.0, "learning rate": 0.625},
            "negative for ever",
            after,
            confirmed=before < 0 < after,
        ),
        explanation="Zero gradient reaches its own weights, but the layers below learn through other units and can "
        "revive it; so can momentum, weight decay without bias decay, augmentation or new data.",
        figures=(
            Figure("Dead of 64 hidden units, learning the digits", "step", "share of units negative on every example", {
                f"learning rate {rate:g}": ([float(step) for step in range(len(shares))], shares)
                for rate, shares in dead.items()
            }),
        ),
    )  # fmt: skip


@claim(
    "relu.sparse",
    says="ReLU gives a sparse representation: with symmetric pre-activations half of the units are exactly zero.",
    sources=(notes("001, section 3.3"), _GLOROT),
    evidence="statistical",
    verdict="conditional",
    formula=r"P(\mathrm{ReLU}(z) = 0) = \tfrac12 (1 + P(z = 0))",
    component="relu",
)
def sparse(implementation: Any) -> Judgement:
    n, rng = statistics.sample_size(statistics.smallest_bias, 0.01), seeds.generator()
    laws = {
        "normal": rng.standard_normal(n),
        "uniform": rng.uniform(-1, 1, n),
        "Cauchy": rng.standard_cauchy(n),
        "two points": rng.choice([-1.0, 1.0], n),
    }
    zeros = {name: int(np.sum(implementation.forward(z) == 0)) for name, z in laws.items()}
    tests = [statistics.sign_test(count, n, "share of zeros", name) for name, count in zeros.items()]
    atom = implementation.forward(np.array([-1.0, 0.0, 1.0]))
    size = {
        "n": n,
        "false alarm": statistics.FALSE_ALARM,
        "miss": statistics.MISS,
        "smallest effect": 0.01,
        "seed": seeds.RUN,
    }
    return Judgement(
        Evidence("statistical", "exact binomial test of independent units against a share of 1/2, for four laws", size),
        confirmed=all(test.passed for test in tests),
        conditions="The law of the pre-activations is symmetric about 0 and has no mass at 0, P(z = 0) = 0; 'half' is "
        "the expected share (n independent units: binomial with deviation 1/(2 sqrt(n))).",
        counterexample=Counterexample(
            "pre-activations -1, 0, 1, equally likely: two of three are zero",
            {"z": [-1, 0, 1]},
            0.5,
            float(np.mean(atom == 0)),
            confirmed=int(np.sum(atom == 0)) == 2,
        ),
        explanation="A mass at 0 is usual: the input of a unit whose sources are all zero, without bias. Units that "
        "move together are all zero or none. A shift of the pre-activations changes the share.",
        figures=(
            Figure("Share of exact zeros", "", "share", {name: ([0], [zeros[name] / n]) for name in laws}, "bar"),
        ),
    )


@claim(
    "leaky-relu.fixed-slope",
    says="Leaky ReLU's negative slope is a fixed hyperparameter, so its gradient is never zero.",
    sources=(notes("001, section 3.4"), _MAAS),
    evidence="proof",
    verdict="conditional",
    formula=r"f'(x) = 1 \text{ for } x > 0,\ a \text{ for } x < 0",
    component="leaky_relu",
)
def fixed_slope(implementation: Any) -> Judgement:
    steps, ones, slope = proofs.leaky_relu_derivative(), np.ones_like(probes.POINTS), 0.01
    tied = probes.agrees(
        implementation.backward(ones, probes.POINTS, negative_slope=slope)["x"], np.where(probes.POINTS > 0, 1.0, slope)
    )
    flat = implementation.backward(np.ones(1), -np.ones(1), negative_slope=0.0)["x"]
    return Judgement(
        evidence(*steps, tied=f"the implementation's gradient is 1 or {slope} at {probes.POINTS.size} random points"),
        confirmed=proved(*steps) and tied,
        conditions="The slope is not 0 (and, in floating point, slope times upstream gradient does not underflow).",
        counterexample=Counterexample(
            "slope 0 is fixed too: ReLU", {"x": -1.0, "slope": 0.0}, "not 0", float(flat[0]), bool(flat[0] == 0)
        ),
        explanation="Being fixed is not the reason; being non-zero is. At 0 there is no derivative, and code returns "
        "a one-sided one.",
    )


@claim(
    "prelu.learned-slope",
    says="PReLU's negative slope is learned: its gradient is the sum of the upstream gradient times the negative part "
    "of the input.",
    sources=(notes("001, section 3.4"), _HE),
    evidence="proof",
    verdict="holds",
    formula=r"\frac{\partial L}{\partial a} = \sum_i g_i \min(x_i, 0)",
    component="prelu",
)
def learned_slope(implementation: Any) -> Judgement:
    steps, x = proofs.prelu_slope_gradient(), probes.POINTS.reshape(64, 4)
    upstream = seeds.generator(1).standard_normal(x.shape)
    tied = []
    for slopes in (np.array([0.25]), np.array([0.25, -1.0, 0.0, 2.0])):
        terms = (upstream * np.minimum(x, 0)).reshape(-1, slopes.size)
        allowed = numerics.roundings(np.abs(terms).sum(0), "float64", len(terms))
        found = implementation.backward(upstream, x, slopes)["weight"]
        tied.append(bool(np.all(np.abs(found - terms.sum(0)) <= allowed)))
    return Judgement(
        evidence(*steps, tied="the implementation agrees for one slope, and for one a channel: negative, 0, above 1"),
        confirmed=proved(*steps) and all(tied),
        explanation="The negative part is min(x, 0), with its sign, as in the source; the sum goes over all elements "
        "that share the slope: all of them, or those of a channel.",
    )


@claim(
    "maxout.generalises",
    says="Maxout takes the largest of k affine maps: ReLU, Leaky ReLU and |x| are special cases, and every maxout "
    "unit is convex and piecewise linear.",
    sources=(notes("001, section 3.5"), _GOODFELLOW),
    evidence="proof",
    verdict="conditional",
    formula=r"f(x) = \max_{j \le k} (w_j \cdot x + b_j)",
    component="maxout",
)
def generalises(implementation: Any) -> Judgement:
    steps = (*proofs.maxout_special_cases(), *proofs.maxout_convexity())
    x = np.arange(-4.0, 5.0)[:, None]
    expected = {0.0: np.maximum(x, 0), 0.25: np.where(x > 0, x, x / 4), -1.0: np.abs(x)}
    bias = np.zeros((2, 1))
    tied = [np.array_equal(implementation.forward(x, np.array([[[1.0]], [[a]]]), bias), y) for a, y in expected.items()]
    steep = [2.0 * x if x < 0 else x for x in (-1.0, 0.0, 1.0)]
    functions = {"slope 2": lambda x: np.where(x > 0, x, 2 * x), "max(x, 2x)": lambda x: np.maximum(x, 2 * x)}
    return Judgement(
        evidence(*steps, tied="max(x, 0), max(x, x/4) and max(x, -x) of the implementation are exact at -4 to 4"),
        confirmed=proved(*steps) and all(tied),
        conditions="Leaky ReLU of slope at most 1, max(x, a x); ReLU and |x| need two maps, so k >= 2. Convexity "
        "holds for all maxout units, and they are piecewise affine.",
        counterexample=Counterexample(
            "Leaky ReLU of slope 2 is min(x, 2x): its chord from -1 to 1 runs below it, so it is not convex and no "
            "maxout unit",
            {"x": [-1, 0, 1], "slope": 2},
            "f(0) <= (f(-1) + f(1))/2",
            steep,
            confirmed=steep[1] > (steep[0] + steep[2]) / 2,
        ),
        explanation="A PReLU's slope may be learned beyond 1; the difference of two maxout units holds it, and every "
        "continuous piecewise linear function.",
        figures=(probes.curves("A slope above 1 is concave", "f(x)", functions),),
    )
