"""The notes' statements on data augmentation, judged by proof, by enumeration and by search."""

from random import Random
from typing import Any, cast

import numpy as np
from hypothesis import find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from dlcheck.augmentation import proofs, transforms
from dlcheck.augmentation.transforms import Array
from dlcheck.component import Case, Source, notes
from dlcheck.evidence import seeds, statistics, symbolic
from dlcheck.evidence.strategies import SEEDS, uniform
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim

NOTES = notes("004, Data Augmentation")
NOTES_ALEXNET = notes("002, AlexNet")
ALEXNET = Source(
    "Krizhevsky, Sutskever, Hinton: ImageNet classification with deep convolutional neural networks",
    "NIPS 2012, sections 2, 3.5 and 4.1",
    "https://papers.nips.cc/paper_files/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html",
)
BISHOP = Source(
    "Bishop: Training with noise is equivalent to Tikhonov regularization",
    "Neural Computation 7, 1995",
    "https://doi.org/10.1162/neco.1995.7.1.108",
)
EXAMPLES = 300
"""Cases of a search."""


def _search(strategy: st.SearchStrategy[Any], wrong: Any) -> Any | None:
    """The smallest generated case for which something is wrong, or None."""
    limits = settings(max_examples=EXAMPLES, database=None, deadline=None)
    try:
        return find(strategy, wrong, settings=limits, random=Random(0))
    except NoSuchExample:
        return None


# Changes that keep the label


def _unlike(case: tuple[int, int, int, int]) -> bool:
    """Whether a change of an image is not of the size asked for, or does not depend on the image."""
    height, width, size, seed = case
    size = min(size, height, width)
    one, other = (uniform((3, height, width), seed + k, 0.25, 0.75) for k in (0, 1))
    made, from_other = (transforms.changed(image, size, np.random.default_rng(seed)) for image in (one, other))
    return any(made[name].shape != (3, size, size) or np.array_equal(made[name], from_other[name]) for name in made)


def _shifted_out(implementation: Any, case: tuple[int, int, int, int]) -> bool:
    """Whether a shift by less than the size changes it, or leaves nothing of the image."""
    height, width, dy, dx = case
    image = 1.0 + np.arange(height * width, dtype=np.float64).reshape(1, height, width)
    moved = implementation.forward(image, dy=dy % height, dx=dx % width)
    return moved.shape != image.shape or not moved.any()


def _recognised() -> Figure:
    """Digits that their nearest neighbour among others names rightly after a change, and sixes named nine."""
    from sklearn.datasets import load_digits

    digits = cast(Any, load_digits())
    images, labels = digits.images, digits.target
    known, asked = slice(0, 1200), slice(1200, None)
    angles = list(range(0, 181, 15))

    def named(changed: Array) -> Array:
        x, memory = changed.reshape(len(changed), -1), images[known].reshape(1200, -1)
        return labels[known][np.argmin((memory**2).sum(1) - 2 * x @ memory.T, axis=1)]

    answers = [named(transforms.rotated(images[asked], angle)) for angle in angles]
    six = labels[asked] == 6
    flipped = float(np.mean(named(images[asked][..., ::-1]) == labels[asked]))
    series = {
        "all digits, named rightly": (angles, [float(np.mean(answer == labels[asked])) for answer in answers]),
        "sixes named nine": (angles, [float(np.mean(answer[six] == 9)) for answer in answers]),
        "all digits, flipped": ([0.0, 180.0], [flipped, flipped]),
    }
    return Figure("Handwritten digits after a rotation", "degrees", "share", series)


@claim(
    "augment.label-preserving-shapes",
    says="Horizontal flip, random crop, translation, rotation and colour and lighting changes make related data of the "
    "required constant size.",
    sources=(NOTES_ALEXNET, NOTES, ALEXNET),
    evidence="property",
    verdict="conditional",
    component="translate",
)
def label_preserving_shapes(implementation: Any) -> Judgement:
    """Search for a change of another size, or that does not depend on the image; shift an image out of its frame."""
    sides = st.integers(1, 12)
    unlike = _search(st.tuples(sides, sides, sides, SEEDS), _unlike)
    steps = st.integers(-12, 12)
    lost = _search(st.tuples(sides, sides, steps, steps), lambda case: _shifted_out(implementation, case))
    image = np.arange(1.0, 10.0).reshape(1, 3, 3)
    gone = implementation.forward(image, dy=3, dx=0)
    return Judgement(
        evidence=Evidence(
            "property",
            "search for a size other than that asked for, and for a result that two images share",
            {"cases": 2 * EXAMPLES, "seed": 0, "largest side": 12, "changes": "all six, at random"},
        ),
        confirmed=unlike is None and lost is None,
        conditions="Crops no larger than the image; shifts |dy| < H and |dx| < W; factors of colour above 0; and "
        "changes that the label allows: that f(T x) = f(x) is a fact about the labels f, not about T.",
        counterexample=Counterexample(
            says="A 3 x 3 image moved down by 3 has the right size, and nothing of the image in it.",
            inputs={"image": image[0].tolist(), "dy": 3, "dx": 0},
            claimed="a 3 x 3 image related to the first",
            actual=gone[0].tolist(),
            confirmed=gone.shape == image.shape and not gone.any(),
        ),
        explanation="The size is constant whatever is drawn. Whether the result is still of its class is up to the "
        "class: a six upside down is a nine, and a mirrored digit is mostly no digit.",
        figures=(_recognised(),),
    )


@claim(
    "augment.flip-involution",
    says="Flipping twice gives the image back.",
    sources=(NOTES_ALEXNET, ALEXNET),
    evidence="proof",
    verdict="holds",
    formula=r"W - 1 - (W - 1 - j) = j",
    component="horizontal_flip",
)
def flip_involution(implementation: Any) -> Judgement:
    """Prove that the index map is its own inverse; flip images of many shapes twice."""
    lemmas = proofs.flip_involution()
    shapes = [(c, h, w) for c in (1, 3) for h in (1, 2, 5) for w in range(1, 9)]
    images = [uniform(shape, seed) for seed, shape in enumerate(shapes)]
    once = [implementation.forward(image, p=1.0) for image in images]
    returned = all(
        np.array_equal(flipped, image[..., ::-1]) and np.array_equal(implementation.forward(flipped, p=1.0), image)
        for image, flipped in zip(images, once, strict=True)
    )
    return Judgement(
        evidence=symbolic.evidence(*lemmas, tied=f"{len(shapes)} images flipped once and twice, compared bit by bit"),
        confirmed=symbolic.proved(*lemmas) and returned,
        explanation="It says little about a flip: the mistake x[W - j] for x[W - 1 - j], taken round the edge, is its "
        "own inverse too. Only the pixels themselves tell.",
    )


# Sizes


def _no_constant_size(implementation: Any, case: tuple[int, int, int]) -> bool:
    """Whether scaling the shorter side and cropping the longer does not give a square of the size asked for."""
    height, width, size = case
    scaled = implementation.forward(np.full((1, height, width), 0.5), size=size)
    top, left = ((side - size) // 2 for side in scaled.shape[1:])
    cropped = scaled[:, max(top, 0) : top + size, max(left, 0) : left + size]
    return min(scaled.shape[1:]) != size or cropped.shape != (1, size, size)


@claim(
    "augment.resize-then-crop",
    says="An image of any size becomes a constant-size input: scale its shorter side to the target, then crop the "
    "longer.",
    sources=(NOTES, ALEXNET),
    evidence="property",
    verdict="holds",
    formula=r"\lfloor L\, s / S \rfloor \ge s \text{ for } L \ge S",
    component="resize_shorter_side",
)
def resize_then_crop(implementation: Any) -> Judgement:
    """Search for an image and a target size that do not go together."""
    sides = st.integers(1, 60)
    failing = _search(st.tuples(sides, sides, st.integers(1, 40)), lambda case: _no_constant_size(implementation, case))
    extremes = [(1, 500, 7), (500, 1, 7), (1, 1, 40), (3, 1000, 2), (224, 225, 224)]
    return Judgement(
        evidence=Evidence(
            "property",
            "search for a scaled image with a side below the target; extreme shapes beside",
            {"cases": EXAMPLES + len(extremes), "seed": 0, "sides": "1 to 60, up to 1000 in extreme shapes"},
        ),
        confirmed=failing is None and not any(_no_constant_size(implementation, case) for case in extremes),
        explanation="The longer side becomes floor(L s / S) or the nearest whole number, at least s because L >= S: "
        "there is always a window to crop. What lies outside it is lost: of a 1 x 500 image all but one part in 500.",
    )


# What AlexNet takes in

PUBLISHED = {"input": 150_528, "conv2": 186_624, "conv3": 64_896, "conv5": 43_264}
"""Numbers of values that the paper gives for the input and for layers."""


def alexnet_values(size: int, padding: int) -> dict[str, int]:
    """Numbers of values in the input and in layers of the 2012 network, for an input size and padding of conv1."""
    conv1 = (size + 2 * padding - 11) // 4 + 1
    conv2 = (conv1 - 3) // 2 + 1
    conv3 = (conv2 - 3) // 2 + 1
    return {"input": 3 * size**2, "conv2": 256 * conv2**2, "conv3": 384 * conv3**2, "conv5": 256 * conv3**2}


@claim(
    "augment.alexnet-input-size",
    says="The 2012 paper's network takes a 3-channel 254 x 254 input.",
    sources=(NOTES, ALEXNET),
    evidence="exhaustive",
    verdict="refuted",
    formula=r"150\,528 = 3 \cdot 224^2",
)
def alexnet_input_size() -> Judgement:
    """Enumerate input sizes and paddings, and keep those that give the paper's own numbers of values."""
    every = {(n, padding): alexnet_values(n, padding) for n in range(11, 513) for padding in range(6)}
    layers = {k: v for k, v in PUBLISHED.items() if k != "input"}
    fitting = [place for place, values in every.items() if layers.items() <= values.items()]
    whole = [place for place in fitting if every[place] == PUBLISHED]
    claimed = every[254, 0]
    no_padding_helps = not any(n == 254 for n, _ in fitting)
    return Judgement(
        evidence=Evidence(
            "exhaustive",
            "every input size and padding of the first layer against the numbers of values in the paper",
            {
                "input sizes": "11 to 512",
                "paddings": "0 to 5",
                "fit all layers": f"{len(fitting)} of {len(every)}",
                "fit the input too": str(whole),
            },
        ),
        confirmed=False,
        counterexample=Counterexample(
            says="3 x 254 x 254 are 193,548 values; the paper has 150,528. A 254 x 254 input gives a second layer of "
            "30 x 30 x 256 values, the paper has 27 x 27 x 256.",
            inputs={"size": 254, "kernel": 11, "stride": 4, "pooling": "3, stride 2"},
            claimed={"input": claimed["input"], "second layer": claimed["conv2"]},
            actual={"input": PUBLISHED["input"], "second layer": PUBLISHED["conv2"]},
            confirmed=claimed["input"] != PUBLISHED["input"] and no_padding_helps,
        ),
        correction="It takes 3 x 224 x 224 values, cut from images whose shorter side is scaled to 256. The paper's "
        "55 x 55 maps of the first layer need a padding of 2 or 3 then; without padding they need 227 x 227.",
        explanation="Size plus twice the padding must be 227 to 234 for the published layers, and only 224 has the "
        "published number of inputs. 254 + 2 padding is never that.",
    )


# Noise


def _ridge_gaps(copies: tuple[int, ...]) -> list[float]:
    """Distance between least squares on noisy copies and ridge regression, over the latter's size."""
    rng = seeds.generator(0)
    x, w, sigma = rng.standard_normal((20, 5)), rng.standard_normal(5), 0.5
    y = x @ w + 0.1 * rng.standard_normal(20)
    ridge = np.linalg.solve(x.T @ x + len(x) * sigma**2 * np.eye(5), x.T @ y)
    gaps = []
    for count in copies:
        noisy = np.tile(x, (count, 1)) + sigma * rng.standard_normal((count * len(x), 5))
        fitted = np.linalg.lstsq(noisy, np.tile(y, count), rcond=None)[0]
        gaps.append(float(np.linalg.norm(fitted - ridge) / np.linalg.norm(ridge)))
    return gaps


@claim(
    "augment.gaussian-noise",
    says="Adding Gaussian noise to the inputs makes more data (for a linear model with squared error it amounts to an "
    "L2 penalty).",
    sources=(NOTES, BISHOP),
    evidence="proof",
    verdict="holds",
    formula=r"E\,(y - b - w \cdot (x + n))^2 = (y - b - w \cdot x)^2 + \sigma^2 \|w\|^2",
    component="gaussian_noise",
)
def gaussian_noise(implementation: Any) -> Judgement:
    """Prove the expected loss; test that the implementation's noise, seen along w, has variance sigma^2 |w|^2."""
    lemmas = proofs.noise_is_a_penalty()
    image, sigma, draws = uniform((3, 2, 4), 0, 0, 1), 0.25, 4000
    samples = implementation.observe(Case("draws", {"image": image, "draws": draws}, {"std": sigma})).values["samples"]
    w = uniform((image.size,), 1, -1, 1)
    along = (samples - image).reshape(draws, -1) @ w / (sigma * np.linalg.norm(w))
    tested = statistics.variance_test(along, "w.n, normal with variance sigma^2 |w|^2")
    new = len(np.unique(samples.reshape(draws, -1), axis=0)) == draws
    copies = (1, 3, 10, 30, 100, 300, 1000, 3000)
    tied = f"variance of w.n over {draws} noisy images by the implementation, p = {tested.p_value:.2g}"
    return Judgement(
        evidence=symbolic.evidence(*lemmas, tied=tied),
        confirmed=symbolic.proved(*lemmas) and tested.passed and new,
        explanation="Every noisy copy is new, and in expectation over the noise the loss is that of ridge regression "
        "with lambda = k sigma^2 for k examples; the bias is not penalised. A finite number of copies comes near it, "
        "the faster the more there are. Noise brings no new information on how the target depends on the input.",
        figures=(
            Figure(
                "Least squares on noisy copies",
                "copies of each example",
                "distance from ridge regression, relative",
                {"5 weights, 20 examples": (copies, _ridge_gaps(copies))},
                x_scale="log",
                y_scale="log",
            ),
        ),
    )
