"""What the notes say about where and when batch normalisation helps, judged by proof and by search."""

from typing import Any

import numpy as np
from scipy.special import expit

from dlcheck.component import Source, notes
from dlcheck.evidence import seeds
from dlcheck.evidence.symbolic import evidence, proved
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim
from dlcheck.normalization import probes, proofs

_BN = notes("001, section 4")
_BN3 = notes("003, batch normalisation")
_IOFFE = Source(
    "Ioffe, Szegedy 2015, Batch normalization", "section 3, algorithms 1, 2", "https://arxiv.org/abs/1502.03167"
)
_COOIJMANS = Source(
    "Cooijmans et al. 2017, Recurrent batch normalization", "section 3", "https://arxiv.org/abs/1603.09025"
)
_LAURENT = Source(
    "Laurent et al. 2016, Batch normalized recurrent neural networks", "4", "https://arxiv.org/abs/1510.01378"
)
_LECUN = Source("LeCun et al. 1998, Efficient BackProp", "4.3", "http://yann.lecun.com/exdb/publis/pdf/lecun-98b.pdf")


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
    sources=(_BN, _IOFFE),
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
    sources=(_BN3, _IOFFE),
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
    found = [
        probes.output(implementation, batch, one, 0 * one, kept, "eval", eps=1e-12)
        for batch in (probes.PAIR, probes.PAIR + 2)
    ]
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
