"""What the notes say about overlapping pooling, judged by the images that can be rebuilt from what is left."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcheck.component import Source, notes
from dlcheck.evidence import experiment
from dlcheck.evidence.experiment import Paired
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim

Array = NDArray[np.float64]

SIDE = 9
"""Digits of 8 x 8 with a row and a column of background, so that windows of 3 at stride 2 or 3 fill them."""
MARGIN = 0.01
"""Explained variance: a hundredth more or less is of interest."""
RIDGE = 1e-6
WINDOWS = {
    "window 3, stride 1": (3, 1),
    "window 3, stride 2": (3, 2),
    "window 3, stride 3": (3, 3),
    "window 2, stride 2": (2, 2),
}

_KRIZHEVSKY = Source(
    "Krizhevsky et al. 2012, ImageNet classification with deep convolutional neural networks",
    "section 3.4",
    "https://proceedings.neurips.cc/paper/2012/file/c399862d3b9d6b76c8436e924a68c45b-Paper.pdf",
)


def _rebuilt(pooled: Array, images: Array, order: NDArray[np.intp]) -> float:
    """Share of the test images' variance that the best linear map of what pooling left explains."""
    kept = round(0.8 * len(order))
    seen, unseen = order[:kept], order[kept:]
    features = np.column_stack([pooled.reshape(len(pooled), -1), np.ones(len(pooled))])
    target = images.reshape(len(images), -1)
    normal = features[seen].T @ features[seen] + RIDGE * np.eye(features.shape[1])
    error = target[unseen] - features[unseen] @ np.linalg.solve(normal, features[seen].T @ target[seen])
    return float(1 - np.sum(error**2) / np.sum((target[unseen] - target[seen].mean(0)) ** 2))


def _bits(probability: float) -> float:
    """Entropy of a coin."""
    return float(-sum(p * np.log2(p) for p in (probability, 1 - probability)))


@claim(
    "pool.overlapping-loses-less",
    says="Pooling with a window larger than its stride loses less information than non-overlapping pooling.",
    sources=(notes("002, AlexNet"), _KRIZHEVSKY),
    evidence="empirical",
    verdict="conditional",
    formula=r"s \mid z \implies \{y_{zp}\} \subseteq \{y_{sp}\} \implies I(x; y^{(z)}) \le I(x; y^{(s)})",
    component="max_pool2d",
)
def overlapping_loses_less(implementation: Any) -> Judgement:
    """Rebuild digits from max-pooled ones; count the bits that a window of fair coins keeps."""
    runs = experiment.seeds(experiment.PROFILE)
    digits = np.pad(experiment.bundled("digits")[0].reshape(-1, 1, 8, 8) / 16, ((0, 0), (0, 0), (0, 1), (0, 1)))
    orders = [np.random.default_rng(seed).permutation(len(digits)) for seed in runs]
    left = {name: implementation.forward(digits, kernel_size=z, stride=s) for name, (z, s) in WINDOWS.items()}
    explained = {name: np.array([_rebuilt(pooled, digits, order) for order in orders]) for name, pooled in left.items()}
    compared = _compared(explained)
    holds = all(found.decision == "larger" for name, found in compared.items() if "stride 3" in name)
    # stride 1 keeps every window that stride 3 has
    kept = np.array_equal(left["window 3, stride 1"][..., ::3, ::3], left["window 3, stride 3"])
    small, large = (_ones(implementation, window) for window in (2, 3))
    means = {name: ([0.0], [float(values.mean())]) for name, values in explained.items()}
    return Judgement(
        evidence=Evidence(
            "empirical",
            "explained variance of unseen digits, rebuilt linearly from what max pooling left; intervals over splits",
            {"profile": experiment.PROFILE, "runs": len(orders), "level of intervals": experiment.LEVEL}
            | {name: str(found) for name, found in compared.items()},
        ),
        confirmed=holds and kept,
        conditions="The windows are as large as those that do not overlap, and move by less: a stride that divides the "
        "window keeps every window of the other and adds some, so that nothing more is lost, whatever the images.",
        counterexample=Counterexample(
            "at the same stride larger windows keep less: of fair coins in a row the maximum of 3 is 1 in 7 of 8 "
            "cases, that of 2 in 3 of 4, and there are as many of them",
            {"pixels": "independent, 0 or 1 with probability 1/2", "stride": 2},
            f"more than the {_bits(small):.3f} bits of a window of 2",
            f"at most {_bits(large):.3f} bits of a window of 3",
            confirmed=_bits(large) < _bits(small),
        ),
        explanation="AlexNet compares at the same stride (3, 2 against 2, 2), where its error rates fell by 0.4 and "
        "0.3 points; that is no measure of information, and digits are rebuilt worse from it: "
        f"{compared['window 3, stride 2 against window 2, stride 2']}. Mean pooling behaves otherwise, as larger "
        "windows reach pixels that neighbours hold too, and sums can be told apart.",
        figures=(Figure("Digits rebuilt from max pooling", "", "explained variance", means, "bar"),),
    )


def _compared(explained: dict[str, Array]) -> dict[str, Paired]:
    pairs = [
        ("window 3, stride 1", "window 3, stride 3"),
        ("window 3, stride 2", "window 3, stride 3"),
        ("window 3, stride 2", "window 2, stride 2"),
    ]
    return {
        f"{first} against {second}": experiment.paired(explained[first], explained[second], MARGIN)
        for first, second in pairs
    }


def _ones(implementation: Any, window: int) -> float:
    """How often the maximum of a row of so many fair coins is 1, over all of their states."""
    states = (np.arange(2**window)[:, None] >> np.arange(window) & 1).astype(np.float64)
    return float(implementation.forward(states[:, None, None, :], kernel_size=(1, window), stride=(1, 2)).mean())
