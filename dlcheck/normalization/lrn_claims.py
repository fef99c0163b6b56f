"""What the notes say about local response normalisation, judged by proof and by search."""

from typing import Any

import numpy as np

from dlcheck.component import Source, notes
from dlcheck.evidence import seeds
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim
from dlcheck.normalization import probes

_LRN = notes("002, AlexNet")
_KRIZHEVSKY = Source(
    "Krizhevsky et al. 2012, ImageNet classification with deep convolutional neural networks",
    "section 3.3",
    "https://papers.nips.cc/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html",
)

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
    sizes, neighbours = np.linspace(0, 6, 61), (0.0, 1.0, 3.0)
    curves = {f"neighbours at {near:g}": _responses(implementation, sizes, near) for near in neighbours}
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
        figures=(Figure("Response of a map among four neighbours", "before", "after", curves),),
    )


def _responses(implementation: Any, sizes: np.ndarray, near: float) -> tuple[list[float], list[float]]:
    """What becomes of the middle one of five maps, at one pixel for each size."""
    x = np.full((1, 5, len(sizes)), near)
    x[0, 2] = sizes
    return sizes.tolist(), implementation.forward(x, **_STRONG)[0, 2].tolist()
