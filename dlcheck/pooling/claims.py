"""What the notes say about pooling, judged by proof."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.component import Source, notes
from dlcheck.evidence import numerics, seeds
from dlcheck.evidence.symbolic import evidence, proved
from dlcheck.judgement import Counterexample, Figure, Judgement, claim
from dlcheck.pooling import proofs

Array = NDArray[np.float64]

POWERS = (1, 1.5, 2, 3, 4, 8, 16, 64)

_SERMANET = Source("Sermanet et al. 2012, House numbers digit classification", "", "https://arxiv.org/abs/1204.3968")
_LIN = Source("Lin et al. 2014, Network in network", "section 3.2", "https://arxiv.org/abs/1312.4400")
_SZEGEDY = Source("Szegedy et al. 2015, Going deeper with convolutions", "section 5", "https://arxiv.org/abs/1409.4842")


def _norms(implementation: Any, group: Array, powers: tuple[float, ...] = POWERS) -> list[float]:
    """L_k pooling of one group, for every k."""
    image = group.reshape(1, 1, 1, -1)
    return [float(implementation.forward(image, norm_type=k, kernel_size=(1, group.size)).ravel()[0]) for k in powers]


@claim(
    "pool.lk-family",
    says="L_k pooling reduces a group to its k-norm: k = 1 adds the magnitudes, and it tends to the maximum magnitude "
    "as k grows, never increasing with k.",
    sources=(notes("001, section 1.3"), _SERMANET),
    evidence="proof",
    verdict="conditional",
    formula=r"\frac{d}{dk} \log \|x\|_k = -\frac{H(p)}{k^2} \le 0,\ p_i = \frac{|x_i|^k}{\sum_j |x_j|^k},"
    r"\quad m \le \|x\|_k \le n^{1/k} m",
    component="lp_pool2d",
)
def lk_family(implementation: Any) -> Judgement:
    """Prove it of magnitudes; show what libraries that take powers of x itself make of negative numbers."""
    steps = (*proofs.norm_never_increases(), *proofs.norm_tends_to_maximum())
    groups = seeds.generator().uniform(0.0, 4.0, (20, 6))
    found = np.array([_norms(implementation, group) for group in groups])
    # the root of a sum of n powers, each within some roundings
    slack = numerics.roundings(found, "float64", 32)
    exact = np.array([[np.sum(group**k) ** (1 / k) for k in POWERS] for group in groups])
    tied = bool(np.all(np.abs(found - exact) <= slack) and np.all(np.diff(found) <= slack[:, 1:]))
    largest = groups.max(1)
    limit = bool(
        np.all((found[:, -1] >= largest - slack[:, -1]) & (found[:, -1] <= 6 ** (1 / 64) * largest + slack[:, -1]))
    )
    signed = np.array([-1.0, -2.0, 3.0, 0.0])
    first, second = _norms(implementation, signed, (1, 2))
    curves = {"6 numbers in (0, 4)": (list(POWERS), found[0].tolist())}
    return Judgement(
        evidence(
            *steps, tied="the implementation gives these norms of 20 groups of positive numbers, for 8 values of k"
        ),
        confirmed=proved(*steps) and tied and limit,
        conditions="Magnitudes are raised to the power (ONNX LpPool), or no number is negative, as after a rectifier, "
        "or k is even. PyTorch and MXNet raise x itself.",
        counterexample=Counterexample(
            "signs cancel for k = 1, and the norm grows from k = 1 to 2",
            {"group": signed.tolist()},
            "6 for k = 1, and no more for k = 2",
            {"k = 1": first, "k = 2": second},
            confirmed=first == 0.0 and second > first,
        ),
        explanation="The sum over the group is no mean: for n equal numbers a the norm is n^(1/k) a, which exceeds the "
        "maximum at every k. Averaging before the root instead gives a power mean, which grows with k.",
        figures=(Figure("L_k pooling of one group", "k", "norm", curves, x_scale="log"),),
    )


def _fits_noise(features: Array, labels: Array) -> bool:
    """Whether a linear layer with bias on these features reaches every label."""
    design = np.column_stack([features, np.ones(len(features))])
    fitted = design @ np.linalg.lstsq(design, labels, rcond=None)[0]
    return bool(np.array_equal(np.sign(fitted), labels))


@claim(
    "pool.global-average-fewer-parameters",
    says="Global average pooling in place of the last dense layers removes their parameters, and with them a source of "
    "overfitting.",
    sources=(notes("003, classic networks"), _LIN, _SZEGEDY),
    evidence="proof",
    verdict="conditional",
    formula=r"(C H W + 1) K - (C + 1) K = C K (H W - 1)",
    component="global_avg_pool2d",
)
def fewer_parameters(implementation: Any) -> Judgement:
    """Count parameters; show that the pooled head is a tied dense one, and which of them can learn noise."""
    steps = (*proofs.parameters_saved(), *proofs.pooled_head_is_a_tied_dense_head())
    rng, (n, channels, side) = seeds.generator(), (40, 4, 4)
    maps, labels = rng.normal(size=(n, channels, side, side)), np.resize([1.0, -1.0], n)
    pooled = implementation.forward(maps)
    memorised = _fits_noise(maps.reshape(n, -1), labels), _fits_noise(pooled, labels)
    single = implementation.forward(maps[..., :1, :1])
    same = bool(np.array_equal(single, maps[..., 0, 0]))
    classes = 10
    counts = {"dense": (channels * 1 * 1 + 1) * classes, "pooled": (channels + 1) * classes}
    sides = range(1, 15)
    series = {
        "dense": ([float(s) for s in sides], [float((1024 * s * s + 1) * 1000) for s in sides]),
        "pooled": ([float(s) for s in sides], [float(1025 * 1000)] * len(sides)),
    }
    return Judgement(
        evidence(
            *steps,
            tied=f"a linear layer learns alternating labels of {n} random maps by heart from {channels * side**2} "
            f"values, but not from the implementation's {channels} means",
        ),
        confirmed=proved(*steps) and memorised == (True, False),
        conditions="The maps have more than one place, H W > 1. From C maps to K classes (C + 1) K parameters stay, in "
        "a 1 x 1 convolution before (Network in Network) or a linear layer behind (GoogLeNet); C K (H W - 1) go.",
        counterexample=Counterexample(
            "maps of a single place are their own means, and both heads have as many parameters",
            {"H": 1, "W": 1, "C": channels, "K": classes},
            "fewer parameters",
            counts,
            confirmed=same and counts["dense"] == counts["pooled"],
        ),
        explanation="The pooled head is the dense one with all weights of a map equal, so it can fit nothing that the "
        "dense one cannot, and a linear layer with D inputs fits any labels of D + 1 points in general position: noise "
        "too. GoogLeNet's head on 7 x 7 maps keeps 1.0 of 50 million parameters.",
        figures=(
            Figure("Head of 1024 maps and 1000 classes", "side of the maps", "parameters", series, y_scale="log"),
        ),
    )
