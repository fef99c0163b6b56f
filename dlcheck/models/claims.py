"""What the notes say about networks and can be read off their structure, or proved."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from dlcheck.component import Case, Source, notes
from dlcheck.evidence import numerics, seeds, symbolic
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim
from dlcheck.models import inception, networks, proofs, residual
from dlcheck.models.declaration import (
    BatchNorm,
    Concat,
    Conv,
    Head,
    Layer,
    Layers,
    Linear,
    Network,
    Pool,
    Row,
    Sum,
    branches,
    parameter_count,
    rows,
)

_SIZES: Mapping[str, tuple[int, ...]] = {"lenet5": (1, 32, 32), "alexnet": (3, 227, 227)}
_KRIZHEVSKY = Source("Krizhevsky, Sutskever, Hinton 2012", "section 3.5 and figure 2")
_SIMONYAN = Source("Simonyan, Zisserman 2015", "table 1", "https://arxiv.org/abs/1409.1556")
_SZEGEDY = Source("Szegedy et al. 2015, Going deeper with convolutions", "table 1", "https://arxiv.org/abs/1409.4842")
_HE = Source("He, Zhang, Ren, Sun 2016, Deep residual learning", "section 3", "https://arxiv.org/abs/1512.03385")
_HE2 = Source("He et al. 2016, Identity mappings", "equations 1 to 5", "https://arxiv.org/abs/1603.05027")


def _seen(implementation: Any, aspect: str) -> Mapping[str, Any]:
    """What an implementation of a network shows in one aspect."""
    component = implementation.component
    image = list(_SIZES.get(component.name, (3, 224, 224)))
    return implementation.observe(Case(aspect, {"images": [image]}, dict(component.settings), exact=True)).values


def _layers(layers: Layers) -> Iterator[Layer]:
    """Every layer, at any depth."""
    for layer in layers:
        yield layer
        for branch in branches(layer):
            yield from _layers(branch)


def _kernels(layers: Layers) -> list[Any]:
    return [layer.kernel for layer in _layers(layers) if isinstance(layer, Conv)]


def _depth(network: Network) -> int:
    """Weight layers one after the other; what stands on a shortcut or in a head does not count."""
    return sum(isinstance(layer, (Conv, Linear)) for layer in _longest(network.layers))


def _longest(layers: Layers) -> Iterator[Layer]:
    for layer in layers:
        if isinstance(layer, (Sum, Concat)):
            yield from max((list(_longest(branch)) for branch in layer.branches), key=_weighted)
        elif not isinstance(layer, Head):
            yield layer


def _weighted(layers: list[Layer]) -> int:
    return sum(isinstance(layer, (Conv, Linear)) for layer in layers)


@claim(
    "alexnet.eight-layers",
    says="AlexNet has 8 weight layers, the pattern of LeNet at a larger size, with ReLU in place of tanh and sigmoid, "
    "dropout in its dense layers, and data augmentation.",
    sources=(notes("002, AlexNet"), notes("003, classic networks"), _KRIZHEVSKY),
    evidence="exhaustive",
    verdict="holds",
    component="alexnet",
)
def alexnet_eight_layers(implementation: Any) -> Judgement:
    """Count weight layers; look at every activation, pool and dropout."""
    counts = _seen(implementation, "layers")
    weighted = int(counts["convolutions"][0] + counts["dense layers"][0])
    activations, dropouts = _seen(implementation, "activations"), _seen(implementation, "dropout")
    kinds = {int(row[1]) for row in activations["activations"]}
    dropped = [int(row[0]) for row in dropouts["dropouts"]]
    larger = parameter_count(networks.alexnet()) / parameter_count(networks.lenet5())
    size = {"weight layers": weighted, "kinds of activation": len(kinds), "dropout after layers": dropped,
            "parameters over LeNet-5's": round(larger)}  # fmt: skip
    return Judgement(
        evidence=Evidence("exhaustive", "every layer of the network", size),
        confirmed=weighted == 8 and len(activations["activations"]) == 7 and len(kinds) == 1 and dropped == [6, 7],
        explanation="Five convolutions and three dense layers; ReLU after all but the last; dropout in the first two "
        "dense layers (the third gives the scores). Augmentation belongs to the paper's training, section 4.1: no "
        "layer does it.",
    )


@claim(
    "vgg.depth-family",
    says="VGG comes with 11, 13, 16 and 19 weight layers of 3x3 convolutions and 2x2 max pooling.",
    sources=(notes("003, classic networks"), _SIMONYAN),
    evidence="exhaustive",
    verdict="conditional",
)
def vgg_depth_family() -> Judgement:
    """Read depth, kernels and pools of every configuration off table 1."""
    family = {name: getattr(networks, name)() for name in ("vgg11", "vgg13", "vgg16", "vgg19")}
    depths = [_depth(network) for network in family.values()]
    kernels = {kernel for network in family.values() for kernel in _kernels(network.layers)}
    pools = {(x.kind, x.kernel, x.stride) for n in family.values() for x in n.layers if isinstance(x, Pool)}
    other = _kernels(networks.vgg16(configuration="C").layers)
    return Judgement(
        evidence=Evidence("exhaustive", "every layer of the four networks", {"weight layers": depths}),
        confirmed=depths == [11, 13, 16, 19] and kernels == {3} and pools == {("max", 2, 2)},
        conditions="configurations A, B, D and E of table 1; three of the weight layers are dense",
        counterexample=Counterexample(
            says="configuration C has 16 weight layers too, three of them convolutions of 1 x 1",
            inputs={"configuration": "C"},
            claimed="3 x 3 throughout",
            actual=f"{other.count(3)} of 3 x 3, {other.count(1)} of 1 x 1",
            confirmed=other.count(1) == 3,
        ),
        figures=(Figure("What one number of VGG sees", "weight layer", "pixels",
                        {name: _fields(network) for name, network in family.items()}),),
        explanation="Table 1 of the paper has six networks. A with LRN and C, whose three further layers are 1 x 1, "
        "were trained to be compared with; those that came into use are A, B, D and E.",
    )  # fmt: skip


def _fields(network: Network) -> tuple[list[float], list[float]]:
    """The receptive field behind every convolution."""
    fields = [float(row.after.field[0]) for row in rows(network) if isinstance(row.layer, Conv)]
    return [float(number) for number in range(1, len(fields) + 1)], fields


def _modules(network: Network) -> list[Concat]:
    """The joins of a network that hold convolutions in branches of a pool and three more."""
    return [layer for layer in network.layers if isinstance(layer, Concat) and len(layer.branches) == 4]


def _main_kernels(module: Concat) -> list[Any]:
    """The last kernel of every branch but the pool's."""
    return [_kernels(branch)[-1] for branch in module.branches if not isinstance(branch[0], Pool)]


@claim(
    "googlenet.inception",
    says="An Inception module runs 1x1, 3x3 and 5x5 convolutions side by side and joins them by channel; GoogLeNet has "
    "four versions.",
    sources=(notes("002, GoogLeNet"), notes("003, classic networks"), _SZEGEDY),
    evidence="exhaustive",
    verdict="conditional",
)
def googlenet_inception() -> Judgement:
    """Look at every module of all four versions."""
    versions = (inception.googlenet(), inception.inception_v2(), inception.inception_v3(), inception.inception_v4())
    first = [_main_kernels(module) for module in _modules(versions[0])]
    second = {kernel for module in _modules(versions[1]) for branch in module.branches for kernel in _kernels(branch)}
    modules = {network.name: len(_modules(network)) for network in versions}
    return Judgement(
        evidence=Evidence("exhaustive", "every branch of every module", {"modules of four branches": modules}),
        confirmed=len(versions) == 4 and len(first) == 9 and all(kernels == [1, 3, 5] for kernels in first),
        conditions="the modules of the first version, which have a fourth branch: a 3 x 3 max pool and a 1 x 1",
        counterexample=Counterexample(
            says="the second version's modules have no 5 x 5: two 3 x 3 one after the other take its place",
            inputs={"network": "BN-Inception"},
            claimed=[1, 3, 5],
            actual=sorted(second),
            confirmed=5 not in second,
        ),
        explanation="The third and fourth versions also factor n x n into 1 x n and n x 1.",
    )


_NAIVE = {row.path: row for row in rows(inception.googlenet()) if isinstance(row.layer, Concat)}


def _widths(row: Row) -> tuple[int, list[tuple[int, int, int]]]:
    """Inputs of a module, and of each branch before the pool's the kernel, the reduced and the final width."""
    module = row.layer
    convolutions = [[x for x in branch if isinstance(x, Conv)] for branch in branches(module)[:3]]
    return row.before.shape[0], [(int(c[-1].kernel), c[0].channels, c[-1].channels) for c in convolutions]  # type: ignore[arg-type]


@claim(
    "googlenet.joining-reduces-parameters",
    says="Joining the outputs of kernels of different size reduces the number of parameters.",
    sources=(notes("003, classic networks"), _SZEGEDY),
    evidence="proof",
    verdict="conditional",
    formula=r"n(a + 9b + 25c) = 25n(a+b+c) - n(24a + 16b) = 9n(a+b+c) - 8n(a - 2c)",
)
def googlenet_joining_reduces_parameters() -> Judgement:
    """Prove what joined kernels save of one kernel throughout; look for a kernel of which they save nothing."""
    lemmas = proofs.joined_kernels()
    a, b, c = (width for _, _, width in _widths(list(_NAIVE.values())[1])[1])
    joined, alike = a + 9 * b + 25 * c, 9 * (a + b + c)
    return Judgement(
        evidence=symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        conditions="compared with the largest kernel for all outputs; compared with 3 x 3 only where there are more "
        "outputs of 1 x 1 than twice those of 5 x 5",
        counterexample=Counterexample(
            says="module 3b without its 1 x 1 reductions has more weights than 3 x 3 for as many outputs",
            inputs={"1x1": a, "3x3": b, "5x5": c},
            claimed=f"fewer than {alike} for each input channel",
            actual=joined,
            confirmed=joined > alike,
        ),
        explanation="What saves most parameters in GoogLeNet are the 1 x 1 convolutions before the large kernels and "
        "the average in place of dense layers, not the joining.",
    )


@claim(
    "googlenet.one-by-one-inside",
    says="The first Inception design has a great many parameters; 1x1 convolutions before the large kernels reduce "
    "them.",
    sources=(notes("003, 1x1"), _SZEGEDY),
    evidence="exhaustive",
    verdict="holds",
    formula=r"nr + k^2 r m < k^2 n m \iff r < \frac{k^2 n m}{n + k^2 m}",
)
def googlenet_one_by_one_inside() -> Judgement:
    """Count the weights of all nine modules with and without, and prove where the limit is."""
    lemmas = proofs.reduction()
    counted = [_with_and_without(row) for row in _NAIVE.values()]
    ratios = [without / reduced for reduced, without in counted]
    below = all(map(_below_limit, _NAIVE.values()))
    places = list(range(1, len(ratios) + 1))
    return Judgement(
        evidence=Evidence("exhaustive", "the weights of the three convolutional branches of all nine modules, and a "
                          "proof of the limit", {"smallest factor": min(ratios), "largest": max(ratios)}),
        confirmed=min(ratios) > 1 and below and symbolic.proved(*lemmas),
        explanation="The design without them has 2 to 6 times the weights, and its outputs grow besides, for the pool "
        "keeps all channels. A 1 x 1 convolution of r channels reduces weights only below the limit of the formula, "
        "which every one here keeps.",
        figures=(Figure("1 x 1 convolutions before the large kernels", "module", "weights",
                        {"without": (places, [w for _, w in counted]), "with": (places, [r for r, _ in counted])},
                        "bar"),),
    )  # fmt: skip


def _below_limit(row: Row) -> bool:
    n, (_, *large) = _widths(row)
    return all(r < k**2 * n * m / (n + k**2 * m) for k, r, m in large)


def _with_and_without(row: Row) -> tuple[int, int]:
    """Weights of a module's convolutional branches as they are, and with the large kernels on the module's input."""
    n, ((_, _, one), *large) = _widths(row)
    reduced = n * one + sum(n * r + k * k * r * m for k, r, m in large)
    return reduced, n * one + sum(k * k * n * m for k, _, m in large)


@claim(
    "resnet.depths",
    says="ResNet reaches 152 layers, and over a thousand in later versions.",
    sources=(notes("002, ResNet"), _HE, _HE2),
    evidence="exhaustive",
    verdict="holds",
    component="resnet152",
)
def resnet_depths(implementation: Any) -> Judgement:
    """Count the weight layers on the longest way through each network."""
    deepest = int(_seen(implementation, "layers")["depth"][0])
    family = {name: _depth(getattr(residual, name)()) for name in ("resnet18", "resnet34", "resnet50", "resnet101")}
    later = _depth(residual.cifar_resnet(1202)), _depth(residual.cifar_resnet(1001, preactivation=True))
    return Judgement(
        evidence=Evidence("exhaustive", "weight layers on the longest way", {**family, "resnet152": deepest,
                          "for CIFAR": list(later)}),
        confirmed=list(family.values()) == [18, 34, 50, 101] and deepest == 152 and later == (1202, 1001),
        explanation="1202 layers are in the first paper already, for CIFAR-10, where they were less accurate than 110; "
        "with activation before the convolutions 1001 became the most accurate.",
    )  # fmt: skip


@claim(
    "resnet.identity-by-construction",
    says="A shallow network extended by identity layers is a deeper one with no higher error, so a deeper network can "
    "always be at least as good on the training set.",
    sources=(notes("002, ResNet"), _HE),
    evidence="proof",
    verdict="conditional",
    formula=r"\max(0, I x + 0) = x \quad (x \ge 0)",
)
def resnet_identity_by_construction() -> Judgement:
    """Prove that a ReLU layer can be the identity; add one that cannot."""
    lemmas = proofs.added_identity()
    corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    least = float(np.linalg.svd(corners - corners.mean(0), compute_uv=False)[1] ** 2)
    return Judgement(
        evidence=symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        conditions="the added layers can represent the identity: at least as wide as what they receive, and with an "
        "activation that passes it on (ReLU after ReLU, or none)",
        counterexample=Counterexample(
            says="x itself is learnt without error by one linear layer on the corners of the unit square; a layer of "
            "one unit in between leaves outputs on one line",
            inputs={"x": corners.tolist(), "width of the added layer": 1},
            claimed="a squared error of 0",
            actual=f"at least {least:g}, the squared distances of the corners from the nearest line",
            confirmed=least > 0,
        ),
        explanation="That such weights exist does not say that training finds them: resnet.degradation.",
    )


@claim(
    "resnet.zero-residual-is-identity",
    says="If F(x) = 0 a residual unit is the identity map.",
    sources=(notes("002, ResNet"), _HE),
    evidence="proof",
    verdict="conditional",
    formula=r"f(x + 0) = x",
)
def resnet_zero_residual_is_identity() -> Judgement:
    """Prove it for both places of ReLU; look at what ReLU after the sum does to a negative number."""
    lemmas = proofs.zero_residual()
    after = max(0.0, -1.0 + 0.0)
    return Judgement(
        evidence=symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        conditions="the shortcut is the identity, and nothing follows the sum or x >= 0 (as behind another ReLU)",
        counterexample=Counterexample(
            says="the original unit ends in ReLU",
            inputs={"x": -1.0, "F(x)": 0.0},
            claimed=-1.0,
            actual=after,
            confirmed=after != -1.0,
        ),
        explanation="The first paper puts ReLU behind the sum, which cuts off what is negative. Behind another ReLU "
        "nothing is, and with the pre-activated unit of the second paper nothing follows.",
    )


@claim(
    "resnet.forward-sum",
    says="With x_{l+1} = f(y_l), y_l = h(x_l) + F(x_l, W_l) and f = ReLU, the deep feature is x_L = x_l + sum of "
    "F(x_i, W_i).",
    sources=(notes("002, ResNet"), _HE2),
    evidence="proof",
    verdict="refuted",
    formula=r"x_L = x_l + \sum_{i=l}^{L-1} F(x_i, W_i) \quad (h(x) = x,\ f(y) = y)",
)
def resnet_forward_sum() -> Judgement:
    """Prove the sum for f(y) = y; put numbers into one unit with ReLU."""
    lemmas = proofs.forward_sum()
    x, branch = 1.0, -3.0
    return Judgement(
        evidence=symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        counterexample=Counterexample(
            says="one unit whose branch gives less than -x: ReLU cuts the sum off",
            inputs={"x_l": x, "F(x_l)": branch},
            claimed=x + branch,
            actual=max(0.0, x + branch),
            confirmed=max(0.0, x + branch) != x + branch,
        ),
        correction="The sum holds where f is the identity too, as in units that are activated before their "
        "convolutions; with f = ReLU only along inputs for which no y_l is negative.",
        explanation="The notes take the recursion of the second paper, which assumes an identity for f, and write "
        "ReLU for f, as the first paper has it. ReLU is the identity only where the sum is not "
        "negative.",
    )


@claim(
    "resnet.backward-one-plus",
    says="Hence dloss/dx_l = dloss/dx_L * (1 + d/dx_l sum F).",
    sources=(notes("002, ResNet"), _HE2),
    evidence="proof",
    verdict="conditional",
    formula=r"\frac{\partial E}{\partial x_l} = \frac{\partial E}{\partial x_L}"
    r"\left(1 + \frac{\partial}{\partial x_l} \sum_{i=l}^{L-1} F(x_i, W_i)\right)",
)
def resnet_backward_one_plus() -> Judgement:
    """Prove it for the sum; differentiate a unit whose ReLU is closed."""
    lemmas = proofs.backward_one_plus()
    slope = float(1.0 - 3.0 > 0)
    return Judgement(
        evidence=symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        conditions="shortcuts are the identity and nothing follows the sums; for vectors 1 is the identity matrix and "
        "the derivative of F a Jacobian, applied from the right",
        counterexample=Counterexample(
            says="ReLU after the sum, closed: x_L = max(0, x_l + F) with a constant F = -3, at x_l = 1",
            inputs={"x_l": 1.0, "F": -3.0, "dF/dx_l": 0.0},
            claimed=1.0,
            actual=slope,
            confirmed=slope != 1.0,
        ),
        explanation="It is the derivative of the sum, and the sum needs identities along the way: a ReLU that is "
        "closed blocks the 1 with everything else.",
    )


@claim(
    "resnet.gradient-never-vanishes",
    says="Because of the 1 the gradient cannot vanish unless the residual term is exactly -1, however small it is.",
    sources=(notes("002, ResNet"), _HE2),
    evidence="property",
    verdict="refuted",
    formula=r"\prod_l (1 - \|J_l\|) \le \frac{|\partial E / \partial x_l|}{|\partial E / \partial x_L|} "
    r"\le \prod_l (1 + \|J_l\|)",
)
def resnet_gradient_never_vanishes() -> Judgement:
    """Search for a violation of bounds that do hold; halve the gradient fifty times."""
    share, cases = _worst_share(500)
    slope = 0.5**50
    return Judgement(
        evidence=Evidence("property", "random units of 1 to 6 numbers, 1 to 30 deep, against the bounds of the formula",
                          {"cases": cases, "largest share of a bound used": share, "seed": seeds.RUN}),
        confirmed=share <= 1,
        counterexample=Counterexample(
            says="fifty units with F(x) = -x/2: each lets half of the gradient through",
            inputs={"units": 50, "F(x)": "-x/2"},
            claimed="no vanishing: the residual term is -1 + 2^-50, not -1",
            actual=slope,
            confirmed=0 < slope < 1e-15,
        ),
        correction="Every unit multiplies the gradient by 1 + J: while |J_l| <= e < 1 it stays within (1 - e)^L and "
        "(1 + e)^L of what came in, which for many layers may be next to nothing, or very large. For vectors it is "
        "enough that J has the eigenvalue -1 in the direction of the gradient.",
        explanation="The 1 is added in each unit, but units are multiplied: a factor of 1/2 in each is far from 0 "
        "and makes 2^-50 of fifty. What protects the gradient is that branches are small, not that a 1 "
        "is there.",
    )  # fmt: skip


def _worst_share(examples: int) -> tuple[float, int]:
    """How near the gradient through random residual units comes to the bounds, on a log scale, at most."""
    shares: list[float] = []

    @seed(seeds.RUN)
    @settings(max_examples=examples, database=None, deadline=None)
    @given(st.integers(1, 6), st.integers(1, 30), st.floats(0.01, 0.9), st.integers(0, 2**32 - 1))
    def within(width: int, depth: int, size: float, draw: int) -> None:
        rng = np.random.default_rng(draw)
        gradient = rng.standard_normal(width)
        first, low, high = np.linalg.norm(gradient), 0.0, 0.0
        for _ in range(depth):
            jacobian = rng.standard_normal((width, width))
            jacobian *= size / np.linalg.norm(jacobian, 2)
            gradient = gradient + gradient @ jacobian
            low, high = low + np.log1p(-size), high + np.log1p(size)
        grown = np.log(np.linalg.norm(gradient) / first)
        rounded = depth * (2 * width + 4) * numerics.unit_roundoff("float64")
        shares.append(float((abs(grown) - rounded) / (high if grown > 0 else -low)))

    within()
    return max(shares), len(shares)


@claim(
    "resnet.projection-shortcut",
    says="Where shapes differ a linear map on the shortcut makes them fit.",
    sources=(notes("003, classic networks"), _HE),
    evidence="property",
    verdict="holds",
    formula=r"y = F(x) + W_s x",
)
def resnet_projection_shortcut() -> Judgement:
    """Build units of random widths, strides and images with and without a projection."""
    fitted, cases = _fitted(300)
    declared = sum(isinstance(row.layer, Sum) for name in ("resnet18", "resnet50", "resnet152")
                   for row in rows(getattr(residual, name)()))  # fmt: skip
    return Judgement(
        evidence=Evidence("property", "random widths, strides and images: shapes fit with the map, and not without",
                          {"cases": cases, "units of the published networks": declared, "seed": seeds.RUN}),
        confirmed=fitted,
        explanation="A 1 x 1 convolution with the stride of the branch maps any number of channels to any other; so "
        "does zero padding, which is linear too and learns nothing.",
    )  # fmt: skip


def _fitted(examples: int) -> tuple[bool, int]:
    cases: list[bool] = []

    @seed(seeds.RUN)
    @settings(max_examples=examples, database=None, deadline=None)
    @given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 3), st.integers(3, 33))
    def builds(before: int, after: int, stride: int, size: int) -> None:
        body = (Conv(after, 3, stride, 1), BatchNorm())
        projected = Network("projected", (before, size, size), (Sum((body, (Conv(after, 1, stride),))),))
        plain = Network("plain", (before, size, size), (Sum((body, ())),))
        cases.append(_builds(projected) and _builds(plain) == (before == after and stride == 1))

    builds()
    return all(cases), len(cases)


def _builds(network: Network) -> bool:
    try:
        return bool(list(rows(network)))
    except ValueError:
        return False
