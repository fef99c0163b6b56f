"""What the notes say about batch and local response normalisation, judged by proof and by search."""

from typing import Any

import numpy as np
from scipy.special import expit

from dlcheck.component import Source
from dlcheck.evidence import seeds
from dlcheck.evidence.symbolic import evidence, proved
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim
from dlcheck.normalization import probes, proofs

PAIR = np.array([[0.0], [2.0]])
"""A batch of two values with mean 1 and variance 1."""
_FULL = {"momentum": 1.0}


def _notes(place: str) -> Source:
    return Source("Source notes on deep learning", f"notes {place}")


_BN = _notes("001, section 4")
_BN3 = _notes("003, batch normalisation")
_LRN = _notes("002, AlexNet")
_IOFFE = Source("Ioffe, Szegedy 2015, Batch normalization", "algorithms 1, 2", "https://arxiv.org/abs/1502.03167")
_COOIJMANS = Source(
    "Cooijmans et al. 2017, Recurrent batch normalization", "section 3", "https://arxiv.org/abs/1603.09025"
)
_LAURENT = Source(
    "Laurent et al. 2016, Batch normalized recurrent neural networks", "4", "https://arxiv.org/abs/1510.01378"
)
_HOFFER = Source("Hoffer et al. 2018, Norm matters", "section 2", "https://arxiv.org/abs/1803.01814")
_LECUN = Source("LeCun et al. 1998, Efficient BackProp", "4.3", "http://yann.lecun.com/exdb/publis/pdf/lecun-98b.pdf")
_KRIZHEVSKY = Source(
    "Krizhevsky et al. 2012, ImageNet classification with deep convolutional neural networks",
    "section 3.3",
    "https://papers.nips.cc/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html",
)


@claim(
    "bn.normalises",
    says="In training every channel leaves batch normalisation with mean beta and standard deviation gamma over the "
    "batch.",
    sources=(_BN, _BN3, _IOFFE),
    evidence="property",
    verdict="conditional",
    formula=r"\mathrm{mean}(y) = \beta, \qquad \mathrm{std}(y) = |\gamma| \frac{\sigma}{\sqrt{\sigma^2 + \epsilon}}",
    component="batch_norm",
)
def normalises(implementation: Any) -> Judgement:
    right = 0
    for stream in range(probes.CASES):
        x, weight, bias = probes.batch(stream)
        eps = 10.0 ** -(stream % 7)
        left = probes.rows(probes.output(implementation, x, weight, bias, eps=eps))
        variance = probes.rows(x).var(0)
        expected = weight * np.sqrt(variance / (variance + eps))
        right += probes.close(left.mean(0), bias, 8.0) and probes.close(left.std(0), expected, 8.0)
    constant = probes.output(implementation, np.full((3, 1), 5.0), np.array([2.0]), np.array([0.5]))
    return Judgement(
        probes.searched("mean beta and deviation gamma sigma / sqrt(sigma^2 + eps), eps from 1 to 1e-6", right=right),
        confirmed=right == probes.CASES,
        conditions="gamma >= 0, and the batch's variance in the channel is positive and eps negligible beside it: the "
        "deviation is |gamma| sigma / sqrt(sigma^2 + eps), short of |gamma| by a share of about eps / (2 sigma^2). "
        "The mean is beta always.",
        counterexample=Counterexample(
            "a channel that is constant over the batch leaves as the constant beta",
            {"x": [5.0, 5.0, 5.0], "gamma": 2.0, "beta": 0.5},
            claimed={"standard deviation": 2.0},
            actual={"standard deviation": float(constant.std())},
            confirmed=float(constant.std()) < 1.0,
        ),
        explanation="The standard deviation here is that with divisor m.",
    )


@claim(
    "bn.per-channel-conv",
    says="For a convolution the mean and deviation are taken over batch, height and width together, one pair per "
    "channel, each with its own scalar scale and shift.",
    sources=(_BN, _BN3, _IOFFE),
    evidence="property",
    verdict="holds",
    formula=r"\mu_c = \frac{1}{N H W} \sum_{n, h, w} x_{nchw}, \qquad "
    r"\sigma_c^2 = \frac{1}{N H W} \sum_{n, h, w} (x_{nchw} - \mu_c)^2",
    component="batch_norm",
)
def per_channel_conv(implementation: Any) -> Judgement:
    right = 0
    for stream in range(probes.CASES):
        x, weight, bias = probes.batch(100 + stream, (3, 4, 2, 5))
        found = probes.output(implementation, x, weight, bias)
        values = probes.rows(x)
        hats = (values - values.mean(0)) / np.sqrt(values.var(0) + 1e-5)
        other = x.copy()
        other[:, 0] = 7 * x[:, 0] + 3
        apart = probes.output(implementation, other, weight, bias)[:, 1:]
        right += probes.close(probes.rows(found), hats * weight + bias, 8.0) and np.array_equal(apart, found[:, 1:])
    return Judgement(
        probes.searched(
            "images as the formula over their N H W values a channel; no channel sees another", right=right
        ),
        confirmed=right == probes.CASES,
    )


@claim(
    "bn.scale-invariant",
    says="With batch normalisation the scale of the initial weights does not matter: multiplying them by a constant "
    "leaves the output as it was.",
    sources=(_BN, _IOFFE, _HOFFER),
    evidence="proof",
    verdict="conditional",
    formula=r"\mathrm{BN}_\epsilon(a W x) = \mathrm{BN}_{\epsilon / a^2}(W x) \quad (a > 0)",
    component="batch_norm",
)
def scale_invariant(implementation: Any) -> Judgement:
    steps = proofs.scale_invariance()
    x, weight, bias = probes.batch(200)
    found = probes.output(implementation, 4 * x, weight, bias, eps=0.25)
    tied = probes.close(found, probes.output(implementation, x, weight, bias, eps=0.25 / 16), 8.0)
    turned = probes.output(implementation, -PAIR, eps=1e-12)
    return Judgement(
        evidence(*steps, tied="the implementation gives the same for 4x with eps as for x with eps / 16"),
        confirmed=proved(*steps) and tied,
        conditions="The constant a is positive, and eps negligible beside a^2 times the variance of the "
        "pre-activations: the factor acts as dividing eps by a^2. The weights meant are those of the layer before.",
        counterexample=Counterexample(
            "a = -1 turns the sign of the output",
            {"Wx": [0.0, 2.0], "a": -1.0, "eps": 0.0},
            claimed=[-1.0, 1.0],
            actual=turned[:, 0].tolist(),
            confirmed=probes.close(turned, [[1.0], [-1.0]], 1e4),
        ),
        explanation="The output does not change, but training does: the gradient by the weights is divided by a, so "
        "that steps of a given size turn large weights less. With a so small that a^2 var falls to eps the output "
        "shrinks too.",
    )


@claim(
    "bn.identity-recoverable",
    says="With gamma = sqrt(var + eps) and beta = mean the layer returns its input, so nothing is lost in "
    "expressive power.",
    sources=(_BN3, _IOFFE),
    evidence="proof",
    verdict="conditional",
    formula=r"\sqrt{\sigma^2 + \epsilon} \cdot \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \mu = x",
    component="batch_norm",
)
def identity_recoverable(implementation: Any) -> Judgement:
    steps = proofs.identity()
    x, _, _ = probes.batch(300)
    statistics = probes.rows(x).mean(0), probes.rows(x).var(0)
    parameters = np.sqrt(statistics[1] + 1e-5), statistics[0]
    same = probes.close(probes.output(implementation, x, *parameters), x, 32.0)
    other, _, _ = probes.batch(301)
    anywhere = probes.close(probes.output(implementation, other, *parameters, statistics, "eval"), other, 32.0)
    later = probes.output(implementation, PAIR + 10, np.array([1.0]), np.array([1.0]), eps=1e-12)
    return Judgement(
        evidence(*steps, tied="the implementation returns the batch in training, and any batch in evaluation"),
        confirmed=proved(*steps) and same and anywhere,
        conditions="mean and variance are fixed numbers: in evaluation by running statistics, or for one batch. In "
        "training gamma and beta are constants while every batch brings its own mean and variance.",
        counterexample=Counterexample(
            "gamma = 1 and beta = 1 are right for the batch (0, 2), but take the next one, (10, 12), to (0, 2), too",
            {"x": [10.0, 12.0], "gamma": 1.0, "beta": 1.0, "eps": 0.0},
            claimed=[10.0, 12.0],
            actual=later[:, 0].tolist(),
            confirmed=probes.close(later, PAIR, 1e4),
        ),
        explanation="What a batch has as its common mean and scale never gets through the layer in training, whatever "
        "gamma and beta are.",
    )


@claim(
    "bn.train-uses-unbiased",
    says="The training forward pass divides by the unbiased standard deviation, the variance times m/(m-1).",
    sources=(_BN, _IOFFE),
    evidence="property",
    verdict="refuted",
    formula=r"\hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}}, \quad \sigma^2 = \frac1m \sum (x - \mu)^2; \qquad "
    r"\hat\sigma^2_{\text{running}} \leftarrow (1 - \rho) \hat\sigma^2_{\text{running}} + \rho \frac{m}{m-1} \sigma^2",
    component="batch_norm",
)
def train_uses_unbiased(implementation: Any) -> Judgement:
    found = probes.output(implementation, PAIR, eps=1e-12)
    biased = 0
    for stream in range(probes.CASES):
        x, _, _ = probes.batch(400 + stream, (5, 2))
        hats = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
        _, running = probes.averages(implementation, [x], **_FULL)
        biased += probes.close(probes.output(implementation, x), hats, 8.0) and probes.close(
            running, x.var(0, ddof=1), 16.0
        )
    return Judgement(
        probes.searched("the batch is normalised by the biased variance, the running one is unbiased", right=biased),
        confirmed=False,
        counterexample=Counterexample(
            "The batch (0, 2) has mean 1; the biased variance is 1, the unbiased one 2.",
            {"x": [0.0, 2.0], "eps": 0.0},
            claimed=[-(0.5**0.5), 0.5**0.5],
            actual=found[:, 0].tolist(),
            confirmed=biased == probes.CASES and probes.close(found, [[-1.0], [1.0]], 1e4),
        ),
        correction="The training pass divides by the biased deviation, sqrt(sum (x - mean)^2 / m + eps). The factor "
        "m / (m - 1) belongs to the variance that is kept for evaluation.",
        explanation="Ioffe and Szegedy have it so in algorithms 1 and 2, and so have the frameworks. With the unbiased "
        "one a single value per channel would give 0 / 0.",
    )


@claim(
    "bn.backward-statistics-are-functions",
    says="In the backward pass mean and deviation must be differentiated as functions of the input, not held constant.",
    sources=(_BN, _IOFFE),
    evidence="proof",
    verdict="conditional",
    formula=r"\bar x_i = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}} \left( \bar y_i - \overline{\bar y} "
    r"- \hat x_i \, \overline{\bar y \hat x} \right)",
    component="batch_norm",
)
def backward_statistics(implementation: Any) -> Judgement:
    steps = proofs.backward()
    x, weight, bias = probes.batch(500, (6, 3))
    grad, _, _ = probes.batch(501, (6, 3))
    hats, root = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5), np.sqrt(x.var(0) + 1e-5)
    expected = weight / root * (grad - grad.mean(0) - hats * (grad * hats).mean(0))
    tied = probes.close(probes.gradient(implementation, grad, x, weight, bias), expected, 64.0)
    one = np.ones((2, 1))
    fixed = probes.gradient(
        implementation, one, PAIR, one[0], one[0], (np.zeros(1), np.array([4.0])), "eval", eps=1e-12
    )
    return Judgement(
        evidence(*steps, tied="the implementation's gradient is the proved one"),
        confirmed=proved(*steps) and tied,
        conditions="The layer normalises by the batch's own statistics, as in training. Running statistics are "
        "constants.",
        counterexample=Counterexample(
            "evaluation by a running variance of 4: each gradient is multiplied by gamma / 2",
            {"x": [0.0, 2.0], "upstream": [1.0, 1.0], "gamma": 1.0, "running_var": 4.0},
            claimed=[0.0, 0.0],
            actual=fixed[:, 0].tolist(),
            confirmed=probes.close(fixed, one / 2, 8.0),
        ),
        explanation="Equal upstream gradients give no gradient in training: moving all values together moves the mean "
        "with them. Who holds the statistics constant passes the whole gradient on, and weights grow without effect.",
    )


@claim(
    "bn.backward-orthogonal",
    says="As a consequence the input gradient of each channel sums to zero and is orthogonal to the normalised input.",
    sources=(_BN, _HOFFER),
    evidence="proof",
    verdict="conditional",
    formula=r"\sum_i \bar x_i = 0, \qquad \sum_i \bar x_i \hat x_i = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}} \,"
    r"\frac{\epsilon}{\sigma^2 + \epsilon} \sum_i \bar y_i \hat x_i",
    component="batch_norm",
)
def backward_orthogonal(implementation: Any) -> Judgement:
    steps = proofs.orthogonality()
    right = 0
    for stream in range(probes.CASES):
        (x, weight, bias), (grad, _, _) = probes.batch(600 + stream, (6, 3)), probes.batch(650 + stream, (6, 3))
        eps = 10.0 ** -(stream % 5)
        found = probes.gradient(implementation, grad, x, weight, bias, eps=eps)
        variance = x.var(0)
        hats = (x - x.mean(0)) / np.sqrt(variance + eps)
        product = weight / np.sqrt(variance + eps) * eps / (variance + eps) * (grad * hats).sum(0)
        right += probes.close(found.sum(0), np.zeros(3), 64.0) and probes.close((found * hats).sum(0), product, 64.0)
    upstream = np.array([[0.0], [1.0]])
    one = np.ones(1)
    pulled = probes.gradient(implementation, upstream, PAIR, one, one, eps=1.0)
    inner = float((pulled * (PAIR - 1) / np.sqrt(2)).sum())
    return Judgement(
        evidence(
            *steps, tied=f"the implementation's sums and products are the proved ones in {right} of {probes.CASES}"
        ),
        confirmed=proved(*steps) and right == probes.CASES,
        conditions="eps = 0 for the orthogonality; else the product is the share eps / (var + eps) of what it would be "
        "with constant statistics. The sum is zero for every eps. In training.",
        counterexample=Counterexample(
            "the batch (0, 2) has variance 1; with eps = 1 the normalised values are -+ 1/sqrt 2, and the gradient of "
            "the second output is -+ 1/(4 sqrt 2)",
            {"x": [0.0, 2.0], "upstream": [0.0, 1.0], "gamma": 1.0, "eps": 1.0},
            claimed=0.0,
            actual=inner,
            confirmed=probes.close(np.array(inner), 0.25),
        ),
        explanation="So a step of gradient descent changes neither the mean nor, to first order, the scale of a "
        "channel as the layer sees it.",
    )


@claim(
    "bn.small-batch",
    says="Batch normalisation cannot be used with very small batches.",
    sources=(_BN, _IOFFE),
    evidence="proof",
    verdict="conditional",
    formula=r"m = 1: \; y = \beta; \qquad m = 2: \; \hat x = \pm \frac{d}{\sqrt{d^2 + \epsilon}}, \; d = \frac{x_1 "
    r"- x_2}{2}",
    component="batch_norm",
)
def small_batch(implementation: Any) -> Judgement:
    steps = proofs.few_values()
    pairs = [probes.output(implementation, np.array([[0.0], [size]]), eps=1e-12) for size in (1.0, 5.0, 100.0)]
    tied = all(probes.close(pair, [[-1.0], [1.0]], 1e4) for pair in pairs)
    x, weight, bias = probes.batch(700, (1, 3, 8, 8))
    found = probes.rows(probes.output(implementation, x, weight, bias))
    values = probes.rows(x)
    normal = probes.close(found, (values - values.mean(0)) / np.sqrt(values.var(0) + 1e-5) * weight + bias, 16.0)
    return Judgement(
        evidence(*steps, tied="the implementation makes -1 and 1 of three pairs that lie 1, 5 and 100 apart"),
        confirmed=proved(*steps) and tied,
        conditions="very small means few values per channel, m = N H W, not few examples: m = 1 leaves the constant "
        "beta, m = 2 only which of the two is larger, with a gradient that is zero but for eps; in training, and the "
        "statistics are the batch's",
        counterexample=Counterexample(
            "one image of 8 by 8 pixels: 64 values per channel are normalised like any others",
            {"shape": [1, 3, 8, 8], "m": 64},
            claimed="no use",
            actual={"values per channel": 64, "distinct outputs": len(np.unique(found[:, 0]))},
            confirmed=normal and len(np.unique(found[:, 0])) == 64,
        ),
        explanation="Between these ends it works, with statistics that are the noisier the fewer the values: the "
        "mean is off by sigma / sqrt(m), which is noise in training and a difference from what evaluation does.",
    )


def _ragged(stream: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Sequences of different lengths, and for each step those that reach it."""
    rng = seeds.generator(stream)
    lengths = rng.permutation(np.arange(1, 11))
    return [rng.normal(2.0, 3.0, size=(length, 2)) for length in lengths], lengths


@claim(
    "bn.not-for-rnn",
    says="Batch normalisation does not suit RNNs over sequences of different lengths: each time step would need its "
    "own statistics.",
    sources=(_BN, _COOIJMANS, _LAURENT),
    evidence="property",
    verdict="conditional",
    formula=r"m_t = |\{ n : T_n \ge t \}|",
    component="batch_norm",
)
def not_for_rnn(implementation: Any) -> Judgement:
    left, spreads = [], []
    for stream in range(10):
        sequences, lengths = _ragged(800 + stream)
        left.append([int((lengths >= t).sum()) for t in range(1, 12)])
        states = np.zeros((64, 1))
        rng = seeds.generator(850 + stream)
        spread = []
        for _ in range(8):  # a linear recurrence from a state of zero: its variance grows to 1 / (1 - 0.81)
            states = 0.9 * states + rng.normal(size=(64, 1))
            spread.append(float(states.var()))
        spreads.append(spread)
    grows = np.median(spreads, axis=0)
    falls = all(counts == sorted(counts, reverse=True) and counts[-2:] == [1, 0] for counts in left)
    sequences, _ = _ragged(899)
    pooled = np.concatenate(sequences)
    found = probes.output(implementation, pooled, eps=1e-12)
    fine = probes.close(found.mean(0), np.zeros(2), 64.0) and probes.close(found.std(0), np.ones(2), 64.0)
    return Judgement(
        Evidence(
            "property",
            "how many of ten sequences of lengths 1 to 10 reach each step, and how the variance of a hidden state "
            "grows from a state of zero",
            {"sequences reaching step 1 to 11": left[0], "median variance by step": grows.round(2).tolist()},
        ),
        confirmed=falls and grows[0] * 2 < grows[-1],
        conditions="recurrent pre-activations are normalised step by step, each step by statistics of its own. Those "
        "of step t come from the sequences of at least t steps only: they are noisy late, from one value at the "
        "longest length, and missing beyond it",
        counterexample=Counterexample(
            "What the inputs bring, W x_t, is normalised by one mean and variance over all steps of all sequences, "
            "which exist whatever the lengths.",
            {"lengths": "1 to 10 in any order", "values per channel": len(pooled)},
            claimed="statistics for each time step are needed",
            actual={"mean": found.mean(0).round(12).tolist(), "deviation": found.std(0).round(12).tolist()},
            confirmed=fine,
        ),
        explanation="Laurent et al. normalise the inputs' part so; Cooijmans et al. keep statistics for each step "
        "and use those of the last one beyond the longest training sequence. Both train: what does not suit is the "
        "plain layer inside the recurrence.",
        figures=(
            Figure(
                "Why steps differ: variance of a state that starts at zero", "time step", "variance",
                {"median of ten runs": (list(range(1, 9)), grows.tolist())},
            ),
        ),
    )  # fmt: skip


@claim(
    "bn.sigmoid-linear-region",
    says="Without scale and shift, a sigmoid after batch normalisation sees data only in [0,1], where it is nearly "
    "linear, so the model loses expressive power.",
    sources=(_BN, _IOFFE),
    evidence="proof",
    verdict="refuted",
    formula=r"\sum_i \hat x_i = 0, \quad \frac1m \sum_i \hat x_i^2 = \frac{\sigma^2}{\sigma^2 + \epsilon} \le 1, \quad "
    r"|\hat x_i| \le \sqrt{m - 1}",
    component="batch_norm",
)
def sigmoid_linear_region(implementation: Any) -> Judgement:
    steps = proofs.range_of_hats()
    spike = np.zeros((10, 1))
    spike[0] = 1.0
    hats = probes.output(implementation, spike, eps=1e-12)[:, 0]
    slopes = expit(hats) * (1 - expit(hats))
    confirmed = probes.close(hats, np.where(spike[:, 0] > 0, 3.0, -1 / 3), 1e4)
    grid = np.linspace(-4.0, 4.0, 81)
    return Judgement(
        evidence(*steps, tied="the implementation's values for a batch of nine zeros and a one"),
        confirmed=False,
        counterexample=Counterexample(
            "Nine zeros and a one have mean 0.1 and deviation 0.3: they become -1/3 and 3.",
            {"x": [1.0] + [0.0] * 9, "eps": 0.0},
            claimed="all in [0, 1]",
            actual={"values": hats.round(9).tolist(), "sigmoid's slope there": slopes[[1, 0]].round(4).tolist()},
            confirmed=confirmed and proved(*steps),
        ),
        correction="Without scale and shift the data have mean 0 and variance at most 1, so that some are negative "
        "unless all are 0; single ones reach up to sqrt(m - 1) for m values.",
        explanation="What is behind it is true in a weaker form: most values lie in [-2, 2], where the sigmoid's slope "
        "falls from 0.25 to 0.105. At 3 it is 0.045.",
        figures=(
            Figure("The sigmoid and its tangent at 0", "normalised value", "output", {
                "sigmoid": (grid.tolist(), expit(grid).tolist()),
                "tangent": (grid.tolist(), (0.5 + grid / 4).tolist()),
            }),
        ),
    )  # fmt: skip


@claim(
    "bn.relu-gamma-little-beta-much",
    says="Before a ReLU, gamma does not change which units are zero while beta does: without beta half of the "
    "outputs would be forced to zero.",
    sources=(_BN,),
    evidence="proof",
    verdict="conditional",
    formula=r"\gamma \hat x + \beta > 0 \iff \hat x > -\beta / \gamma \quad (\gamma > 0)",
    component="batch_norm",
)
def relu_gamma_beta(implementation: Any) -> Judgement:
    steps = proofs.thresholds()
    right = 0
    for stream in range(probes.CASES):
        half, weight, _ = probes.batch(900 + stream, (4, 3))
        x = np.concatenate([half, -half])  # symmetric about 0
        zero = np.zeros(3)
        signs = [probes.output(implementation, x, gamma, zero) > 0 for gamma in (weight, 3 * weight)]
        shifted = probes.output(implementation, x, weight, zero + 10) > 0
        right += np.array_equal(signs[0], signs[1]) and bool(np.all(signs[0].mean(0) == 0.5)) and bool(shifted.all())
    skewed = np.array([[0.0], [0.0], [0.0], [4.0]])
    zeros = float((probes.output(implementation, skewed, np.ones(1), np.zeros(1)) <= 0).mean())
    return Judgement(
        evidence(
            *steps,
            tied=f"in {right} of {probes.CASES} symmetric batches half are zero for any gamma, none for beta = 10",
        ),
        confirmed=proved(*steps) and right == probes.CASES,
        conditions="gamma > 0; beta = 0 (else the threshold -beta / gamma moves with gamma, too); and the batch is "
        "symmetric about its mean, so that its mean is its median",
        counterexample=Counterexample(
            "The batch (0, 0, 0, 4) has mean 1: three values lie below it.",
            {"x": [0.0, 0.0, 0.0, 4.0], "gamma": 1.0, "beta": 0.0},
            claimed=0.5,
            actual=zeros,
            confirmed=zeros == 0.75,
        ),
        explanation="Without beta the share of zeros is the share of values at or below the mean: for m values "
        "anything from 1/m to (m - 1)/m. A negative gamma exchanges zeros and others.",
    )


def _line_explains(function: Any) -> float:
    """Share of a function's variance that a straight line explains, for standard normal inputs."""
    nodes = np.linspace(-9.0, 9.0, 9001)
    weights = np.exp(-(nodes**2) / 2)
    weights = weights / weights.sum()
    values = function(nodes)
    centred = values - weights @ values
    return float((weights @ (nodes * values)) ** 2 / (weights @ centred**2))


@claim(
    "bn.narrow-range-near-linear",
    says="Normalised values near 0 make the next function close to linear, which is why scale and shift are needed.",
    sources=(_BN3,),
    evidence="property",
    verdict="conditional",
    formula=r"|f(x) - f(0) - f'(0) x| \le \frac{x^2}{2} \max |f''|",
)
def narrow_range() -> Judgement:
    radii = np.array([0.25, 0.5, 1.0, 2.0])
    off = {}
    for name, f, slope, bend in (
        ("sigmoid", expit, 0.25, 1 / (6 * 3**0.5)),
        ("tanh", np.tanh, 1.0, 4 / (3 * 3**0.5)),
    ):
        grids = np.linspace(-radii, radii, 401)
        error = np.abs(f(grids) - f(0.0) - slope * grids)
        off[name] = error.max(0), bool(np.all(error <= grids**2 / 2 * bend))
    explained = {name: _line_explains(f) for name, f in (("sigmoid", expit), ("tanh", np.tanh))}
    relu = _line_explains(lambda x: np.maximum(x, 0.0))
    at = float(np.maximum([-0.01, 0.01], 0.0).sum())
    return Judgement(
        Evidence(
            "property",
            "distance from the tangent at 0 on 401 points of [-r, r] against the bound, and the share of variance "
            "that a straight line explains for standard normal inputs",
            {
                "radii": radii.tolist(),
                **{f"{name}, farthest": [round(float(v), 4) for v in errors] for name, (errors, _) in off.items()},
                **{f"{name}, share of a line": round(share, 3) for name, share in explained.items()},
                "relu, share of a line": round(relu, 3),
            },
        ),
        confirmed=all(bounded for _, bounded in off.values()) and all(share > 0.9 for share in explained.values()),
        conditions="the next function is twice differentiable: within r of 0 it is off its tangent by at most "
        "r^2 max|f''| / 2, which is 0.048 r^2 for the sigmoid and 0.385 r^2 for tanh",
        counterexample=Counterexample(
            "The ReLU is bent at 0 itself: f(-r) + f(r) = r for every r > 0, where a line through f(0) = 0 has 0.",
            {"r": 0.01},
            claimed={"f(-r) + f(r), relative to r": 0.0},
            actual={"f(-r) + f(r), relative to r": at / 0.01},
            confirmed=at > 0.005,
        ),
        explanation="For standard normal values a straight line explains "
        f"{explained['sigmoid']:.1%} of the sigmoid's variance, {explained['tanh']:.1%} of that of tanh and "
        f"{relu:.1%} of that of the ReLU. Scale matters to the first two, shift to all.",
    )


@claim(
    "bn.inference-full-data",
    says="At test time the statistics can be those of the whole training set.",
    sources=(_BN, _IOFFE),
    evidence="property",
    verdict="holds",
    formula=r"\mu = \frac1M \sum_b m_b \mu_b, \qquad \sigma^2 = \frac1M \sum_b m_b \left(\sigma_b^2 + (\mu_b - "
    r"\mu)^2\right)",
    component="batch_norm",
)
def inference_full_data(implementation: Any) -> Judgement:
    right, short = 0, 0
    for stream in range(probes.CASES):
        x, weight, bias = probes.batch(1000 + stream, (24, 3))
        parts = np.split(x, [5, 11, 18])
        sizes = np.array([len(part) for part in parts])[:, None]
        means, variances = (np.array([f(part) for part in parts]) for f in (lambda p: p.mean(0), lambda p: p.var(0)))
        mean = (sizes * means).sum(0) / len(x)
        pooled = (sizes * (variances + (means - mean) ** 2)).sum(0) / len(x)
        found = [probes.output(implementation, part, weight, bias, (mean, pooled), "eval") for part in parts]
        whole = probes.output(implementation, x, weight, bias)
        right += probes.close(np.concatenate(found), whole, 16.0)
        short += bool(np.all((sizes * variances).sum(0) / len(x) < pooled))
    return Judgement(
        probes.searched(
            "evaluation of any part, by statistics pooled over four parts of unequal size, gives what training "
            "gives for the whole set as one batch",
            right=right,
            **{"mean of the parts' variances falls short": short},
        ),
        confirmed=right == probes.CASES,
        explanation="It takes one more pass over the data for every layer, once the weights are final, for later "
        "layers see what earlier ones put out. The batches' variances alone do not add up to the whole: what their "
        "means vary by belongs to it, which for batches of m drawn at random the factor m / (m - 1) makes up for on "
        "average.",
    )


@claim(
    "bn.inference-moving-average",
    says="At test time the statistics can be a moving average of the batches', in which later batches weigh more.",
    sources=(_BN, _BN3, _IOFFE),
    evidence="property",
    verdict="conditional",
    formula=r"\hat\mu_T = (1 - \rho)^T \hat\mu_0 + \sum_{t=1}^{T} \rho (1 - \rho)^{T - t} \mu_t",
    component="batch_norm",
)
def inference_moving_average(implementation: Any) -> Judgement:
    def weights(momentum: float | None, steps: int = 6) -> np.ndarray:
        """What each batch counts for: the running mean where that one alone has mean 1, the others 0."""
        apart = [PAIR - 1 + np.arange(steps)[t] * 0 for t in range(steps)]
        found = [
            probes.averages(implementation, [b + float(t == one) for t, b in enumerate(apart)], momentum=momentum)[0][0]
            for one in range(steps)
        ]
        return np.array(found)

    rates = (0.01, 0.1, 0.5, 0.9)
    right = all(
        probes.close(weights(rate), rate * (1 - rate) ** np.arange(5, -1, -1))
        and bool(np.all(np.diff(weights(rate)) > 0))
        for rate in rates
    )
    equal = weights(None)
    return Judgement(
        Evidence(
            "property",
            "the weight of each of six batches, read off the running mean of an implementation",
            {"rates": rates, "weights at 0.1": weights(0.1).round(4).tolist()},
        ),
        confirmed=right,
        conditions="the weight rho of a new batch lies strictly between 0 and 1. Then batch t of T weighs "
        "rho (1 - rho)^(T - t), and the start, mean 0 and variance 1, (1 - rho)^T",
        counterexample=Counterexample(
            "the cumulative average, rho = 1/t (momentum None in PyTorch), is a moving average as well; all weigh "
            "the same",
            {"batches": 6, "momentum": None},
            claimed="growing weights",
            actual=equal.round(9).tolist(),
            confirmed=probes.close(equal, np.full(6, 1 / 6)),
        ),
        explanation="Later batches come from better weights, for which the statistics are meant. After few batches the "
        "start still counts: with rho = 0.1 for 35 % after ten.",
        figures=(
            Figure("What each of six batches counts for", "batch", "weight", {
                **{f"rho = {rate:g}": (list(range(1, 7)), weights(rate).tolist()) for rate in rates[1:]},
                "cumulative": (list(range(1, 7)), equal.tolist()),
            }),
        ),
    )  # fmt: skip


@claim(
    "bn.inference-deterministic",
    says="At test time a sample's output does not depend on the rest of its batch.",
    sources=(_BN3, _IOFFE),
    evidence="property",
    verdict="conditional",
    formula=r"y = \gamma \frac{x - \hat\mu}{\sqrt{\hat\sigma^2 + \epsilon}} + \beta",
    component="batch_norm",
)
def inference_deterministic(implementation: Any) -> Judgement:
    right = 0
    for stream in range(probes.CASES):
        (x, weight, bias), (other, _, _) = probes.batch(1100 + stream), probes.batch(1150 + stream)
        statistics = np.array([0.5, -1.0, 2.0]), np.array([0.25, 3.0, 1.5])
        given = (weight, bias, statistics, "eval")
        alone = probes.output(implementation, x[:1], *given)[0]
        beside = (np.concatenate([x[:1], other]), np.concatenate([x[:1], 1e3 * other]))
        found = [probes.output(implementation, batch, *given)[0] for batch in beside]
        right += all(probes.close(one, alone, 16.0) for one in found) and np.array_equal(found[0], found[1])
    untracked = {"mode": "eval", "track_running_stats": False, "eps": 1e-12}
    first = [float(probes.output(implementation, np.array([[0.0], [2.0], [v]]), **untracked)[1, 0]) for v in (4.0, 1.0)]
    return Judgement(
        probes.searched("a sample alone, beside others, and beside others a thousand times as large", right=right),
        confirmed=right == probes.CASES,
        conditions="the layer normalises by kept statistics, moving or of the whole training set. One that keeps none "
        "goes by the batch in evaluation, too",
        counterexample=Counterexample(
            "a layer without running statistics: 2 is the middle of (0, 2, 4), but the largest of (0, 2, 1)",
            {"batches": [[0.0, 2.0, 4.0], [0.0, 2.0, 1.0]], "track_running_stats": False},
            claimed="the same output for 2",
            actual=first,
            confirmed=abs(first[0] - first[1]) > 0.5,
        ),
        explanation="Kernels may sum in another order for other batch sizes: the same up to rounding, then.",
    )


@claim(
    "bn.before-activation",
    says="Batch normalisation goes between the affine map and the activation (where the affine map's own bias then "
    "has no effect).",
    sources=(_BN, _BN3, _IOFFE),
    evidence="proof",
    verdict="conditional",
    formula=r"\mathrm{BN}(W x + b) = \mathrm{BN}(W x)",
    component="batch_norm",
)
def before_activation(implementation: Any) -> Judgement:
    steps = proofs.bias_cancels()
    x, weight, bias = probes.batch(1200)
    moved = x + np.array([3.0, -2.0, 5.0]).reshape(-1, 1, 1)
    tied = probes.close(
        probes.output(implementation, x, weight, bias), probes.output(implementation, moved, weight, bias), 16.0
    )
    one = np.ones(1)
    kept = (np.zeros(1), np.array([4.0]))
    found = [probes.output(implementation, batch, one, 0 * one, kept, "eval", eps=1e-12) for batch in (PAIR, PAIR + 2)]
    after = (np.maximum(np.array([[0.0], [1.0], [4.0]]) + b, 0.0) for b in (0.0, -1.0))
    swapped = [probes.output(implementation, batch, eps=1e-12)[:, 0].round(3).tolist() for batch in after]
    return Judgement(
        evidence(*steps, tied="the implementation's outputs for x and x + b agree"),
        confirmed=proved(*steps) and tied,
        conditions="The bias has no effect where the batch's statistics are used, and in evaluation once the "
        "running mean has followed it. Between is where the paper puts the layer; it can stand behind the activation, "
        "and there a bias before the activation counts",
        counterexample=Counterexample(
            "evaluation by a running mean of 0 and variance of 4: a bias of 2 moves the output by 1",
            {"Wx": [0.0, 2.0], "b": 2.0, "running_mean": 0.0, "running_var": 4.0},
            claimed=found[0][:, 0].tolist(),
            actual=found[1][:, 0].tolist(),
            confirmed=probes.close(found[1] - found[0], np.ones((2, 1)), 8.0),
        ),
        explanation="beta takes the bias's place. Behind a ReLU, pre-activations (0, 1, 4) with biases 0 and -1 are "
        f"normalised to {swapped[0]} and {swapped[1]}.",
    )


@claim(
    "bn.feature-scaling",
    says="Features of very different scale make the loss surface ill-conditioned, so that one learning rate cannot "
    "suit both directions; scaling them mends it.",
    sources=(_BN, _LECUN),
    evidence="proof",
    verdict="conditional",
    formula=r"\kappa(H_{\text{raw}}) = \frac{s^2}{t^2}, \qquad \kappa(H_{\text{scaled}}) = \frac{1 + |c|}{1 - |c|}",
)
def feature_scaling() -> Judgement:
    steps = proofs.feature_scaling()
    correlated = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]) @ np.diag([1.0, 0.1])
    mixed = correlated @ np.array([[1.0, 1.0], [1.0, -1.0]])
    scaled = mixed / mixed.std(0)
    curvatures = np.linalg.eigvalsh(scaled.T @ scaled / 4)
    starts = {"raw, scales 10 and 1": np.array([100.0, 1.0]), "scaled": np.ones(2)}
    ways = {}
    for name, h in starts.items():
        rate = 2 / (h.max() + h.min())
        losses = [(h * ((1 - rate * h) ** t / np.sqrt(h)) ** 2).sum() / 2 for t in range(41)]
        ways[name] = list(range(41)), [float(max(loss, 1e-12)) for loss in losses]
    return Judgement(
        evidence(*steps),
        confirmed=proved(*steps),
        conditions="the features are uncorrelated (and centred): scaled to variance 1 they then have the same "
        "curvature in all directions. With a correlation c the condition number stays (1 + |c|) / (1 - |c|)",
        counterexample=Counterexample(
            "The four points (+-1 +- 0.1, +-1 -+ 0.1) have two features of equal scale already and correlation 0.99 "
            "/ 1.01.",
            {"x": mixed.round(12).tolist()},
            claimed={"condition number after scaling": 1.0},
            actual={"condition number after scaling": float(curvatures[1] / curvatures[0])},
            confirmed=probes.close(np.array(curvatures[1] / curvatures[0]), 100.0, 1e4),
        ),
        explanation="For half the mean squared error of a linear model. The best rate contracts both directions by "
        "(k - 1) / (k + 1) a step, where k is the condition number. Whitening mends correlated features, scaling each "
        "alone does not.",
        figures=(Figure("Gradient descent at the best single rate", "step", "excess loss", ways, y_scale="log"),),
    )


# --- local response normalisation ------------------------------------------------------------------------------------

_STRONG = {"size": 5, "alpha": 2.0, "beta": 0.75, "k": 1.0}


@claim(
    "lrn.across-channels",
    says="Local response normalisation works at each pixel across neighbouring feature maps: each response depends "
    "on its neighbours in the channel direction only.",
    sources=(_LRN, _KRIZHEVSKY),
    evidence="property",
    verdict="holds",
    formula=r"\frac{\partial y_{nchw}}{\partial x_{n'c'h'w'}} \ne 0 \implies (n, h, w) = (n', h', w'), \; "
    r"-\lfloor n/2 \rfloor \le c' - c \le \lfloor (n - 1)/2 \rfloor",
    component="local_response_norm",
)
def across_channels(implementation: Any) -> Judgement:
    shape = (2, 9, 2, 2)
    right = places = 0
    for size in (1, 2, 3, 5):
        x, _, _ = probes.batch(1300 + size, shape)
        for index in np.ndindex(*shape):
            upstream = np.zeros(shape)
            upstream[index] = 1.0
            found = implementation.backward(upstream, x, **{**_STRONG, "size": size})["x"] != 0
            n, c, h, w = index
            expected = np.zeros(shape, bool)
            expected[n, max(0, c - size // 2) : c + (size - 1) // 2 + 1, h, w] = True
            right, places = right + np.array_equal(found, expected), places + 1
    return Judgement(
        Evidence(
            "property",
            "where the gradient of each single response is not zero: its own channel and those of its window, at "
            "its own pixel and example",
            {"responses": places, "as said": right, "sizes": [1, 2, 3, 5], "seed": seeds.RUN},
        ),
        confirmed=right == places,
        explanation="The window ends at the first and last maps. Other layers of the same name work within a map.",
    )


@claim(
    "lrn.enhances-large",
    says="It makes large responses relatively larger and suppresses the small ones (lateral inhibition).",
    sources=(_LRN, _KRIZHEVSKY),
    evidence="property",
    verdict="conditional",
    formula=r"\frac{y_i}{y_j} = \frac{x_i}{x_j} \left( \frac{s_j}{s_i} \right)^{\beta}, \qquad "
    r"s_i = k + \frac{\alpha}{n} \sum_{c \in \text{window}(i)} x_c^2",
    component="local_response_norm",
)
def enhances_large(implementation: Any) -> Judgement:
    rng = seeds.generator(1400)
    grown = kept = pairs = 0
    for _ in range(200):
        x = rng.exponential(size=7)
        y = implementation.forward(x.reshape(1, -1, 1), **{**_STRONG, "size": 3}).ravel()
        squares = np.concatenate([[0.0], x**2, [0.0]])
        energy = squares[:-2] + squares[1:-1] + squares[2:]
        for i in range(7):
            for j in range(7):
                if x[i] > x[j]:
                    pairs += 1
                    relative, before = y[i] / y[j], x[i] / x[j]
                    kept += (relative > before) == (energy[i] < energy[j])
                    grown += relative > before
    lone = implementation.forward(np.array([1.0, 2.0]).reshape(1, 2, 1), **_STRONG).ravel()
    ratio = float(lone[1] / lone[0])
    return Judgement(
        Evidence(
            "property",
            "pairs of responses at random pixels of seven maps, window 3: the larger one grows relative to the smaller "
            "exactly where its window holds less energy",
            {"pairs": pairs, "as said": int(kept), "where the larger one grew": int(grown), "seed": seeds.RUN},
        ),
        confirmed=kept == pairs,
        conditions="of two responses the larger one's window holds less energy (a smaller sum of squares) than that of "
        "the smaller one. With more in its window, as a large response brings by itself, it is made relatively smaller",
        counterexample=Counterexample(
            "Two maps in one window share their divisor: the ratio of 1 and 2 stays what it was.",
            {"x": [1.0, 2.0], **_STRONG},
            claimed="a ratio above 2",
            actual=ratio,
            confirmed=probes.close(np.array(ratio), 2.0),
        ),
        explanation=f"In {grown} of {pairs} random pairs the larger response grew relative to the smaller one, in the "
        "others it shrank: a large response brings the energy of its own window along. What does hold is the "
        "inhibition: any response, large or small, is made smaller by every neighbour that responds.",
    )
