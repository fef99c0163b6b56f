"""What the notes say about batch normalisation itself, judged by proof and by search."""

from typing import Any

import numpy as np

from dlcheck.component import Source, notes
from dlcheck.evidence.symbolic import evidence, proved
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim
from dlcheck.normalization import probes, proofs
from dlcheck.normalization.lrn_claims import across_channels as across_channels
from dlcheck.normalization.lrn_claims import enhances_large as enhances_large
from dlcheck.normalization.placement_claims import before_activation as before_activation
from dlcheck.normalization.placement_claims import feature_scaling as feature_scaling
from dlcheck.normalization.placement_claims import narrow_range as narrow_range
from dlcheck.normalization.placement_claims import not_for_rnn as not_for_rnn
from dlcheck.normalization.placement_claims import relu_gamma_beta as relu_gamma_beta
from dlcheck.normalization.placement_claims import sigmoid_linear_region as sigmoid_linear_region
from dlcheck.normalization.placement_claims import small_batch as small_batch

_FULL = {"momentum": 1.0}


_BN = notes("001, section 4")
_BN3 = notes("003, batch normalisation")
_IOFFE = Source("Ioffe, Szegedy 2015, Batch normalization", "algorithms 1, 2", "https://arxiv.org/abs/1502.03167")
_HOFFER = Source("Hoffer et al. 2018, Norm matters", "section 2", "https://arxiv.org/abs/1803.01814")


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
    turned = probes.output(implementation, -probes.PAIR, eps=1e-12)
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
    later = probes.output(implementation, probes.PAIR + 10, np.array([1.0]), np.array([1.0]), eps=1e-12)
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
            confirmed=probes.close(later, probes.PAIR, 1e4),
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
    found = probes.output(implementation, probes.PAIR, eps=1e-12)
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
        implementation, one, probes.PAIR, one[0], one[0], (np.zeros(1), np.array([4.0])), "eval", eps=1e-12
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
    pulled = probes.gradient(implementation, upstream, probes.PAIR, one, one, eps=1.0)
    inner = float((pulled * (probes.PAIR - 1) / np.sqrt(2)).sum())
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
        apart = [probes.PAIR - 1 + np.arange(steps)[t] * 0 for t in range(steps)]
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
