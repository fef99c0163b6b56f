"""What the notes say about convolutions, judged by proof, by search and by counting."""

from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from dlcheck.component import Source, notes
from dlcheck.evidence import symbolic
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim
from dlcheck.layers import probes, proofs
from dlcheck.layers.probes import Array, Layer

_BOOK = Source(
    "Goodfellow et al. 2016, Deep Learning", "9.2", "https://www.deeplearningbook.org/contents/convnets.html"
)
_LECUN = Source("LeCun et al. 1998, Gradient-based learning", "section II.A", "https://doi.org/10.1109/5.726791")
_DUMOULIN = Source("Dumoulin, Visin 2016, Convolution arithmetic", "chapter 2", "https://arxiv.org/abs/1603.07285")
_LUO = Source("Luo et al. 2016, Effective receptive field", "section 2", "https://arxiv.org/abs/1701.04128")
_VGG = Source("Simonyan, Zisserman 2015, Very deep networks", "sections 2.1, 2.3", "https://arxiv.org/abs/1409.1556")
_NIN = Source("Lin, Chen, Yan 2014, Network in network", "section 3.1", "https://arxiv.org/abs/1312.4400")
_GOOGLENET = Source("Szegedy et al. 2015, Going deeper", "section 4, table 1", "https://arxiv.org/abs/1409.4842")
_ALEXNET = Source("Krizhevsky et al. 2012, ImageNet classification", "section 3.5", "https://doi.org/10.1145/3065386")


def _image(*rows: list[float]) -> Array:
    """One image of one channel."""
    return np.array([[rows]])


# --- connections -----------------------------------------------------------------------------------------------------


def _by_every_input(implementation: Any, layer: Layer) -> Array:
    """The derivative of each unit by each input, (O, P, Q, C, H, W): an example for each unit."""
    units = (len(layer.weight), *layer.outputs)
    one_each = np.eye(int(np.prod(units))).reshape(-1, *units)
    copies = np.repeat(layer.x, len(one_each), axis=0)
    found = implementation.backward(one_each, copies, layer.weight, **layer.settings)["x"]
    return found.reshape(*units, *layer.x.shape[1:])


def _leaves_its_field(implementation: Any, **example: Any) -> float:
    layer = probes.drawn(**example)
    field = probes.met(layer) > 0
    whole = bool(field.all(axis=(3, 4, 5)).any())
    smaller = layer.groups > 1 or any(k < n for k, n in zip(layer.weight.shape[2:], layer.x.shape[2:], strict=True))
    same = np.array_equal(_by_every_input(implementation, layer) != 0, field)
    return 0.0 if same and not (whole and smaller) else np.inf


@claim(
    "conv.sparse-connectivity",
    says="Unlike a dense layer, each convolution unit is connected to only a part of the layer before: its derivative "
    "by every input outside its receptive field is zero.",
    sources=(notes("001, section 1.3; 003, introduction"), _BOOK, _LECUN, _LUO),
    evidence="property",
    verdict="conditional",
    formula=r"\frac{\partial y^o_{pq}}{\partial x^c_{hw}} = w^o_{cij} \text{ where } h = s p + d i,\ w = s q + d j,"
    r"\quad 0 \text{ elsewhere}",
    component="conv2d",
)
def sparse_connectivity(implementation: Any) -> Judgement:
    """Take every unit's derivative by every input and compare where it is zero with the definition."""
    search = probes.searched(partial(_leaves_its_field, implementation), probes.ANY)
    kernel = _image([1.0, 2.0], [3.0, 4.0])
    looks = {depth: _looked_at(implementation, depth) for depth in (2, 5, 10)}
    covered = _by_every_input(implementation, Layer(np.ones((1, 1, 2, 2)), kernel)).reshape(2, 2)
    return Judgement(
        search,
        confirmed=True,
        conditions="the kernel has fewer rows or fewer columns than the image, or fewer channels (groups > 1): a unit "
        "is connected to kh kw C/G inputs at most, of H W C",
        counterexample=Counterexample(
            "a 2x2 kernel on a 2x2 image: the one unit is a dense one",
            {"image": "2x2", "kernel": [[1.0, 2.0], [3.0, 4.0]]},
            "connected to a part of the image",
            covered.tolist(),
            confirmed=bool(np.all(covered != 0)),
        ),
        explanation="Zero outside the receptive field holds always, and exactly, bit for bit. Within the field a "
        "dilated kernel leaves gaps, and all channels of the group are connected. Networks do end in such layers: a "
        "kernel as large as the map, as in LeNet-5's C5, is a dense layer. Behind several layers nearly "
        "all that counts of the field lies in its middle (Luo et al. 2016): with equal weights a bell of width "
        "sqrt(2 L / 3) in a field of 2 L + 1.",
        figures=(
            Figure("What a unit looks at behind L convolutions of 3x3", "pixels from the unit", "gradient",
                   {f"L = {depth}": look for depth, look in looks.items()}),
        ),
    )  # fmt: skip


def _looked_at(implementation: Any, depth: int) -> tuple[list[float], list[float]]:
    """The gradient of one unit by a row of pixels through its middle, behind some layers of equal weights."""
    places = np.arange(-12, 13)
    gradient = np.zeros((1, 1, 25, 25))
    gradient[0, 0, 12, 12] = 1.0
    for _ in range(depth):
        gradient = implementation.backward(gradient, gradient, np.ones((1, 1, 3, 3)), padding=1)["x"]
    row = gradient[0, 0, 12]
    return places.astype(float).tolist(), (row / row.max()).tolist()


def _moved_output(implementation: Any, shift: tuple[int, int], **example: Any) -> float:
    """Two pictures of one scene, s t pixels apart: their outputs must be t apart."""
    layer = probes.drawn(**example)
    (sh, sw), (t, u) = layer.stride, shift
    height, width = layer.x.shape[2:]
    rng = np.random.default_rng(example["seed"])
    scene = rng.uniform(-2.0, 2.0, (*layer.x.shape[:2], height + sh * t, width + sw * u))
    before, after = scene[..., sh * t :, sw * u :], scene[..., :height, :width]
    first, second = (implementation.forward(x, layer.weight, stride=layer.stride) for x in (before, after))
    rows, columns = first.shape[2:]
    kept = first[..., : max(rows - t, 0), : max(columns - u, 0)]
    return probes.agreement(second[..., t:, u:], kept, Layer(scene, layer.weight))


@claim(
    "conv.parameter-sharing",
    says="Units at different receptive fields use the same kernel, so the parameter count does not depend on the image "
    "size and a shifted input gives a shifted output.",
    sources=(notes("001, section 1.3; 003, introduction"), _BOOK),
    evidence="proof",
    verdict="conditional",
    formula=r"x'_m = x_{m - s t} \implies y'_p = \sum_i w_i x_{s p + i - s t} = y_{p - t}",
    component="conv2d",
)
def parameter_sharing(implementation: Any) -> Judgement:
    """Prove the shift for a symbolic image; move pictures of a scene before the implementation."""
    lemmas = proofs.shift_equivariance()
    shifts = st.tuples(st.integers(0, 2), st.integers(0, 2))
    domain = {**probes.PLAIN, "stride": probes.SPACED["stride"], "shift": shifts}
    search = probes.searched(partial(_moved_output, implementation), domain)
    dot, kernel = _image([1.0, 0.0, 0.0, 0.0]), _image([1.0])
    still, moved = (implementation.forward(x, kernel, stride=2)[0, 0, 0].tolist() for x in (dot, np.roll(dot, 1)))
    return Judgement(
        symbolic.evidence(*lemmas, tied=probes.tied(search)),
        confirmed=symbolic.proved(*lemmas),
        conditions="the shift is a multiple of the stride, and the windows compared lie inside the image before and "
        "after it: not in its frame of zeros, nor where something enters or leaves the picture",
        counterexample=Counterexample(
            "stride 2 and a kernel of one 1: an image moved by one pixel",
            {"image": [1, 0, 0, 0], "moved": [0, 1, 0, 0], "stride": 2},
            f"{still}, moved",
            moved,
            confirmed=still == [1.0, 0.0] and moved == [0.0, 0.0],
        ),
        explanation="The number of parameters, O (C kh kw / G + 1), has no place for the image's size: the search used "
        "one and the same weight at every position and size. Units with kernels of their own (locally connected) would "
        "need it P Q times. A dense layer behind the convolutions still fixes the image size.",
    )


def _differs_from_matrix(implementation: Any, **example: Any) -> float:
    layer = probes.drawn(**example)
    expected = probes.matrix(layer)
    units = np.eye(layer.x.size).reshape(-1, *layer.x.shape[1:])
    found = implementation.forward(units, layer.weight, **layer.settings).reshape(layer.x.size, -1).T
    zeros = layer.weight[0, 0].size < layer.groups * layer.x[0, 0].size
    often = layer.padding == (0, 0) and np.prod(layer.outputs) > 1
    kept = not (zeros and np.all(expected != 0)) and not (often and _most_repeated(expected) < 2)
    output = implementation.forward(layer.x, layer.weight, **layer.settings).ravel()
    errors = probes.agreement(found, expected, layer), probes.agreement(output, expected @ layer.x.ravel(), layer)
    return max(errors) if kept else np.inf


def _most_repeated(matrix: Array) -> int:
    """How often the most frequent entry other than zero occurs."""
    return int(np.unique(matrix[matrix != 0], return_counts=True)[1].max(initial=0))


def _spy() -> Figure:
    """Where each weight of a 2x2 kernel stands in the matrix of a 4x4 image."""
    met = probes.met(Layer(np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2)))).reshape(9, 16)
    places = {f"w{(n - 1) // 2}{(n - 1) % 2}": np.argwhere(met == n).T for n in range(1, 5)}
    series = {name: (columns.tolist(), rows.tolist()) for name, (rows, columns) in places.items()}
    return Figure("A 2x2 convolution of a 4x4 image as a matrix", "input", "output unit", series, "scatter")


@claim(
    "conv.dense-equivalent",
    says="A convolution is a dense layer whose matrix is sparse and has repeated entries.",
    sources=(notes("001, section 1.3"), _BOOK),
    evidence="property",
    verdict="conditional",
    formula=r"M_{(o p q), (c h w)} = w^o_{cij} \text{ where } h = s p + d i,\ w = s q + d j, \quad 0 \text{ elsewhere}",
    component="conv2d",
)
def dense_equivalent(implementation: Any) -> Judgement:
    """Read the matrix off the implementation, one input at a time, and compare it with the definition's."""
    search = probes.searched(partial(_differs_from_matrix, implementation), probes.ANY)
    units, kernel = np.eye(4).reshape(4, 1, 2, 2), _image([1.0, 2.0], [3.0, 4.0])
    row = implementation.forward(units, kernel).ravel()
    return Judgement(
        search,
        confirmed=True,
        conditions="sparse: kh kw < G H W, the share of entries other than zero being kh kw / (G H W) at most; "
        "repeated: some weight meets the image at two outputs, as all do without padding once there are two outputs",
        counterexample=Counterexample(
            "a 2x2 kernel on a 2x2 image: the matrix is one row, full, its entries all different",
            {"image": "2x2", "kernel": [[1.0, 2.0], [3.0, 4.0]]},
            "zeros and repeated entries",
            row.tolist(),
            confirmed=bool(np.all(row != 0)) and len(set(row.tolist())) == 4,
        ),
        explanation="That it is a dense layer, affine with this matrix, holds always; each bias serves a whole map. "
        "A weight occurs P Q times where no window leaves the image. The transposed matrix takes gradients back.",
        figures=(_spy(),),
    )


def _adds_up_otherwise(implementation: Any, **example: Any) -> float:
    layer = probes.drawn(**example)
    spaced = {"stride": layer.stride, "padding": layer.padding}

    def one_kernel(o: int, c: int) -> Array:
        return implementation.forward(layer.x[:, [c]], layer.weight[[o]][:, [c]], **spaced)

    filters, channels = map(range, layer.weight.shape[:2])
    parts = np.concatenate([np.sum([one_kernel(o, c) for c in channels], axis=0) for o in filters], axis=1)
    return probes.agreement(implementation.forward(layer.x, layer.weight, **spaced), parts, layer)


@claim(
    "conv.channel-arithmetic",
    says="A filter is a set of kernels, one for each input channel; each is convolved with its channel and the results "
    "are added, so one filter yields one output channel and the number of filters is the number of output channels.",
    sources=(notes("001, section 1.3"), _BOOK),
    evidence="property",
    verdict="conditional",
    formula=r"y^o = b_o + \sum_{c=1}^{C} w^o_c * x^c",
    component="conv2d",
)
def channel_arithmetic(implementation: Any) -> Judgement:
    """Convolve channel by channel and add."""
    search = probes.searched(partial(_adds_up_otherwise, implementation), probes.SPACED)
    x, weight = np.array([1.0, 2.0]).reshape(1, 2, 1, 1), np.array([3.0, 5.0]).reshape(2, 1, 1, 1)
    grouped = implementation.forward(x, weight, groups=2).ravel().tolist()
    return Judgement(
        search,
        confirmed=True,
        conditions="groups = 1; with G groups a filter has C/G kernels, for the channels of its group only",
        counterexample=Counterexample(
            "two groups: two channels of one pixel, 1 and 2, and two filters of one kernel each, 3 and 5",
            {"x": [1.0, 2.0], "weight": [[3.0], [5.0]], "groups": 2},
            "a kernel for each of the two channels in both filters",
            grouped,
            confirmed=grouped == [3.0, 10.0],
        ),
        explanation="The number of filters is that of output channels in any case. AlexNet has two groups, a depthwise "
        "convolution as many as channels. A bias, where there is one, is added once to each filter's sum.",
    )


# --- sizes -----------------------------------------------------------------------------------------------------------


def _exhausted(wrong: int, cases: int, how: str) -> Evidence:
    return Evidence("exhaustive", how, {"cases": cases, "differing": wrong})


def _as_counted(implementation: Any, n: int, k: int, p: int, s: int) -> bool:
    windows = len(range(0, n + 2 * p - k + 1, s))
    return (n + 2 * p - k) // s + 1 == windows == probes.side(implementation, n, k, padding=p, stride=s)


@claim(
    "conv.output-size",
    says="The output side is floor((n + 2p - k) / s) + 1.",
    sources=(notes("001, section 1.3"), Source(_DUMOULIN.title, "relationship 6", _DUMOULIN.url)),
    evidence="exhaustive",
    verdict="conditional",
    formula=r"\left\lfloor \frac{n + 2p - k}{s} \right\rfloor + 1",
    component="conv2d",
)
def output_size(implementation: Any) -> Judgement:
    """Every side, kernel, padding and stride of a range: the formula, the windows counted, and the output's shape."""
    sizes = [
        (n, k, p, s) for n in range(1, 13) for k in range(1, 7) for p in range(4) for s in range(1, 5) if k <= n + 2 * p
    ]
    differing = [size for size in sizes if not _as_counted(implementation, *size)]
    dilated = probes.side(implementation, 5, 3, dilation=2)
    how = "n = 1 to 12, k = 1 to 6, p = 0 to 3, s = 1 to 4, where the kernel fits: formula, windows counted, and output"
    sides = list(range(3, 33))
    curves = {
        f"k = 3, p = {p}, s = {s}": (sides, [(n + 2 * p - 3) // s + 1 for n in sides])
        for p, s in ((1, 1), (0, 1), (1, 2), (0, 3))
    }
    return Judgement(
        _exhausted(len(differing), len(sizes), how),
        confirmed=not differing,
        conditions="k <= n + 2p, dilation 1, and p zeros on both sides; in general "
        "floor((n + p + p' - d (k - 1) - 1) / s) + 1",
        counterexample=Counterexample(
            "dilation 2: a kernel of 3 extends over all 5 pixels and fits once",
            {"n": 5, "k": 3, "p": 0, "s": 1, "d": 2}, 3, dilated, confirmed=dilated == 1,
        ),
        explanation="An even kernel that keeps the size needs an odd number of zeros in all, for which no p exists. "
        "A kernel that does not fit is refused, where the formula may give 0. Pooling that rounds up (Caffe's) has the "
        "ceiling in place of the floor.",
        figures=(Figure("Output side", "image side n", "output side", curves),),
    )  # fmt: skip


@claim(
    "conv.zero-padding-modes",
    says="Zero padding has three modes: full grows the output to n + k - 1, same keeps n, valid shrinks it to "
    "n - k + 1.",
    sources=(notes("001, section 1.3"), Source(_BOOK.title, "9.5", _BOOK.url), _DUMOULIN),
    evidence="exhaustive",
    verdict="conditional",
    formula=r"n + k - 1, \quad n, \quad n - k + 1",
    component="conv2d",
)
def zero_padding_modes(implementation: Any) -> Judgement:
    """Every side and kernel of a range in each of the three modes."""
    pairs = [(n, k) for n in range(1, 17) for k in range(1, 9)]
    expected = {("full", n, k): n + k - 1 for n, k in pairs} | {("same", n, k): n for n, k in pairs}
    expected |= {("valid", n, k): n - k + 1 for n, k in pairs if k <= n}
    wrong = [case for case, size in expected.items() if probes.side(implementation, *case[1:], padding=case[0]) != size]
    strided = probes.side(implementation, 4, 3, padding="same", stride=2)
    return Judgement(
        _exhausted(len(wrong), len(expected), "n = 1 to 16, k = 1 to 8, odd and even, three modes; valid where k <= n"),
        confirmed=not wrong,
        conditions="stride 1 and dilation 1, and for valid k <= n; else full gives floor((n + e - 2) / s) + 1, same "
        "ceil(n / s), valid floor((n - e) / s) + 1 with e = d (k - 1) + 1",
        counterexample=Counterexample(
            "stride 2, side 4, kernel 3: same gives half the side", {"n": 4, "k": 3, "s": 2, "padding": "same"},
            4, strided, confirmed=strided == 2,
        ),
        explanation="With an even kernel same needs one zero more on one side, and libraries differ on which. Any "
        "other number of zeros is possible too; the three are those with a name.",
    )  # fmt: skip


@claim(
    "conv.same-padding-odd-kernel",
    says="VGG's 3x3 convolutions leave width and height unchanged and its 2x2 pooling halves them.",
    sources=(notes("003, classic networks"), _VGG),
    evidence="exhaustive",
    verdict="conditional",
    formula=r"\lfloor n + 2 - 3 \rfloor + 1 = n, \qquad \left\lfloor \frac{n - 2}{2} \right\rfloor + 1 = "
    r"\left\lfloor \frac{n}{2} \right\rfloor",
    component="conv2d",
)
def same_padding_odd_kernel(implementation: Any) -> Judgement:
    """Every side up to 64, and VGG's; pooling windows lie as those of a 2x2 convolution of stride 2."""
    sides = [*range(2, 65), 112, 224]
    kept = [n for n in sides if probes.side(implementation, n, 3, padding=1) != n]
    halves = {n: probes.side(implementation, n, 2, stride=2) for n in sides}
    wrong = [n for n in sides if (2 * halves[n] == n) != (n % 2 == 0)]
    vgg = all(2 * halves[n] == n for n in (224, 112, 56, 28, 14))
    return Judgement(
        _exhausted(len(kept) + len(wrong), 2 * len(sides), "sides 2 to 64, 112 and 224: 3x3 with p = 1; 2x2, stride 2"),
        confirmed=not kept and not wrong and vgg,
        conditions="the side is even where it is pooled: for all five poolings a multiple of 32, as VGG's 224 is; the "
        "convolutions keep every side, p = 1 and s = 1 being VGG's",
        counterexample=Counterexample(
            "side 7, that of VGG's last maps", {"n": 7, "window": 2, "stride": 2}, 3.5, halves[7],
            confirmed=halves[7] == 3,
        ),
        explanation="An odd side loses its last row: floor(n / 2). Caffe, in which VGG was trained, rounds up instead; "
        "on multiples of 32 that is the same.",
    )  # fmt: skip


# --- 1x1 and 3x3 -----------------------------------------------------------------------------------------------------


def _not_dense(implementation: Any, **example: Any) -> float:
    layer = probes.drawn(**{**example, "kernel": (1, 1)})
    dense = np.einsum("oc,nchw->nohw", layer.weight[:, :, 0, 0], layer.x)
    return probes.agreement(implementation.forward(layer.x, layer.weight), dense, layer)


@claim(
    "conv.one-by-one-mixes-channels",
    says="A 1x1 convolution is a dense layer applied at every pixel: channels interact, positions do not.",
    sources=(notes("003, 1x1 convolution"), _NIN),
    evidence="proof",
    verdict="conditional",
    formula=r"y^o_{pq} = b_o + \sum_c w^o_c\, x^c_{pq}",
    component="conv2d",
)
def one_by_one_mixes_channels(implementation: Any) -> Judgement:
    """Prove that the definition with k = 1 is a product of weight and pixel; compare the implementation with that."""
    lemmas = proofs.pointwise_is_dense()
    domain = {name: strategy for name, strategy in probes.PLAIN.items() if name != "kernel"}
    search = probes.searched(partial(_not_dense, implementation), domain)
    x, weight = np.array([1.0, 2.0]).reshape(1, 2, 1, 1), np.array([3.0, 5.0]).reshape(2, 1, 1, 1)
    changed = x + np.array([0.0, 7.0]).reshape(1, 2, 1, 1)
    first, second = (float(implementation.forward(image, weight, groups=2)[0, 0, 0, 0]) for image in (x, changed))
    return Judgement(
        symbolic.evidence(*lemmas, tied=probes.tied(search)),
        confirmed=symbolic.proved(*lemmas),
        conditions="groups = 1 for all channels to interact (within groups else), stride 1 for every pixel, and no "
        "padding, whose pixels would hold the bias alone",
        counterexample=Counterexample(
            "two groups: channels (1, 2) against (1, 9), weights 3 and 5",
            {"x": [[1.0, 2.0], [1.0, 9.0]], "weight": [[3.0], [5.0]], "groups": 2},
            "an output 0 that depends on channel 1",
            [first, second],
            confirmed=first == second == 3.0,
        ),
        explanation="The same dense layer serves all pixels. Batch and positions can be taken for one axis of "
        "examples, which is how it is computed: one matrix product.",
    )


def _mlp(patches: Array, weights: list[Array]) -> Array:
    """A small network on each patch: layers with a rectifier behind each."""
    for weight in weights:
        patches = np.maximum(patches @ weight.T, 0.0)
    return patches


def _not_an_mlpconv(implementation: Any, hidden: int, **example: Any) -> float:
    layer = probes.drawn(**example)
    rng = np.random.default_rng(example["seed"])
    inner = [rng.uniform(-1.0, 1.0, shape) for shape in ((hidden, len(layer.weight)), (2, hidden))]
    # the patch of each position, as the definition has it
    places = probes.met(Layer(layer.x, layer.weight[:1], layer.stride, layer.padding)).astype(int)
    patches = np.zeros((*layer.outputs, layer.weight[0].size + 1))
    for _, p, q, *pixel in np.argwhere(places):
        patches[p, q, places[0, p, q, *pixel]] = layer.x[0, *pixel]
    slid = _mlp(patches[..., 1:], [layer.weight.reshape(len(layer.weight), -1), *inner])
    y = np.maximum(implementation.forward(layer.x, layer.weight, stride=layer.stride, padding=layer.padding), 0.0)
    for weight in inner:
        y = np.maximum(implementation.forward(y, weight[:, :, None, None]), 0.0)
    size = 2.0 * np.abs(layer.weight[0]).size * 1.5 * len(layer.weight) * hidden
    return probes.excess(y[0], np.moveaxis(slid, -1, 0), size, layer.weight[0].size + len(layer.weight) + hidden)


@claim(
    "conv.one-by-one-is-nin",
    says="An mlpconv layer (a small MLP slid over the image) equals a convolution followed by 1x1 convolutions with "
    "activations between.",
    sources=(notes("003, 1x1 convolution"), _NIN),
    evidence="property",
    verdict="holds",
    formula=r"f_{ij} = \max(0, W_n \cdots \max(0, W_1 x_{ij})) = \max(0, W_n * \cdots \max(0, W_1 * x))_{ij}",
    component="conv2d",
)
def one_by_one_is_nin(implementation: Any) -> Judgement:
    """Slide a network of three layers over patches cut out one by one, against three convolutions."""
    search = probes.searched(partial(_not_an_mlpconv, implementation), {**probes.SPACED, "hidden": st.integers(1, 3)})
    return Judgement(
        search,
        confirmed=True,
        explanation="The MLP's first layer has a weight for each pixel and channel of the patch: it is the "
        "convolution, with its stride and padding; each further layer sees one pixel's channels: it is a 1x1 "
        "convolution of stride 1 without padding. Any activation that acts on each pixel by itself keeps the equality.",
    )


def _ends_where_it_costs(c: int, o: int, k: int) -> Figure:
    """Parameters with a 1x1 convolution before, by its number of channels, and without."""
    widths = list(range(1, c + 1, 3))
    before = [c * r + r + r * o * k * k + o for r in widths]
    direct = [c * o * k * k + o] * len(widths)
    series = {"1x1 before": (widths, before), "direct": (widths, direct)}
    return Figure(f"{c} to {o} channels with a {k}x{k} kernel", "channels r of the 1x1", "parameters", series)


@claim(
    "conv.one-by-one-reduces-parameters",
    says="Putting a 1x1 convolution before a large kernel reduces the number of parameters.",
    sources=(notes("003, 1x1 convolution"), _GOOGLENET),
    evidence="proof",
    verdict="conditional",
    formula=r"C r + r + r\,O k^2 + O < C\,O k^2 + O \iff r < \frac{C\,O k^2}{C + 1 + O k^2}",
)
def one_by_one_reduces_parameters() -> Judgement:
    """Prove for which widths of the 1x1 convolution parameters are saved."""
    lemmas = proofs.bottleneck_parameters()
    direct, reduced = 64 * 64 * 9 + 64, (64 * 64 + 64) + (64 * 64 * 9 + 64)
    return Judgement(
        symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        conditions="the 1x1 convolution reduces to r < C O k^2 / (C + 1 + O k^2) channels (without biases "
        "C O k^2 / (C + O k^2)); in any case r < C",
        counterexample=Counterexample(
            "64 channels throughout, a 3x3 kernel: the 1x1 convolution does not reduce them",
            {"C": 64, "r": 64, "O": 64, "k": 3},
            f"fewer than {direct}",
            reduced,
            confirmed=reduced > direct,
        ),
        explanation="GoogLeNet's first module takes 192 channels to 16 before its 32 5x5 filters: 3,088 + 12,832 = "
        "15,920 parameters in place of 153,632. The function is another one: its kernels have rank r over channels.",
        figures=(_ends_where_it_costs(192, 32, 5),),
    )


def _two_differ_from_one(implementation: Any, middle: int, **example: Any) -> float:
    layer = probes.drawn(**{**example, "kernel": (5, 5)})
    rng = np.random.default_rng(example["seed"])
    first = rng.uniform(-1.0, 1.0, (middle, layer.x.shape[1], 3, 3))
    second = rng.uniform(-1.0, 1.0, (len(layer.weight), middle, 3, 3))
    kernel = np.zeros(layer.weight.shape)
    for i, j in np.ndindex(3, 3):
        kernel[:, :, i : i + 3, j : j + 3] += np.einsum("om,mcij->ocij", second[:, :, i, j], first)
    twice = implementation.forward(implementation.forward(layer.x, first), second)
    size = 2.0 * 81 * middle * layer.x.shape[1]
    return probes.excess(twice, implementation.forward(layer.x, kernel), size, 9 * middle + 25 * layer.x.shape[1])


@claim(
    "conv.two-3x3-is-5x5",
    says="Two 3x3 convolutions in series are equivalent to one 5x5 convolution.",
    sources=(notes("003, classic networks"), _VGG),
    evidence="proof",
    verdict="conditional",
    formula=r"w * (v * x) = (w * v) * x",
    component="conv2d",
)
def two_3x3_is_5x5(implementation: Any) -> Judgement:
    """Prove the composition on symbols; compare two layers of the implementation with its 5x5 one."""
    lemmas = proofs.two_small_make_a_large()
    domain = {name: strategy for name, strategy in probes.PLAIN.items() if name != "kernel"}
    search = probes.searched(partial(_two_differ_from_one, implementation), {**domain, "middle": st.integers(1, 3)})
    negative = np.zeros((1, 1, 3, 3))
    negative[0, 0, 1, 1] = -1.0
    dots = [sign * np.pad(np.ones((1, 1, 1, 1)), ((0, 0), (0, 0), (2, 2), (2, 2))) for sign in (1.0, -1.0)]
    between = [np.maximum(implementation.forward(dot, negative), 0.0) for dot in dots]
    outputs = [float(implementation.forward(each, negative)[0, 0, 0, 0]) for each in between]
    return Judgement(
        symbolic.evidence(*lemmas, tied=probes.tied(search)),
        confirmed=symbolic.proved(*lemmas),
        conditions="no activation between the two, no zeros around the middle maps (or outputs whose 5x5 pixels do not "
        "reach the frame), the first of stride 1: then there is one 5x5 kernel for every pair, but not a pair of one "
        "middle channel for every 5x5 kernel",
        counterexample=Counterexample(
            "VGG's order, a rectifier between: both kernels are -1 in the middle, so x becomes min(x, 0)",
            {"x": [1.0, -1.0], "kernels": "-1 at the centre, 0 elsewhere"},
            "f(1) + f(-1) = 2 f(0) = 0, as of any convolution without bias",
            sum(outputs),
            confirmed=outputs == [0.0, -1.0],
        ),
        explanation="What is always the same is the receptive field, 5x5 pixels. The converse fails by counting: two "
        "kernels of one channel have 18 numbers, a 5x5 kernel has 25. Four middle channels that shift the image to its "
        "corners reach every 5x5 kernel of one channel. VGG's authors name the rectifier between as a gain.",
    )


@claim(
    "conv.two-3x3-fewer-parameters",
    says="Two 3x3 convolutions in series have fewer parameters than one 5x5.",
    sources=(notes("003, classic networks"), _VGG),
    evidence="proof",
    verdict="conditional",
    formula=r"9 M (C + O) + M + O < 25\,C\,O + O \iff M < \frac{25\,C\,O}{9 (C + O) + 1}",
)
def two_3x3_fewer_parameters() -> Judgement:
    """Prove for which numbers of middle channels parameters are saved."""
    lemmas = proofs.two_small_parameters()
    pair, one = (9 * 3 * 64 + 64) + (9 * 64 * 64 + 64), 25 * 3 * 64 + 64
    widths = [2**i for i in range(8)]
    series = {
        f"{c} to {o} channels": (widths, [(9 * m * (c + o) + m + o) / (25 * c * o + o) for m in widths])
        for c, o in ((3, 64), (64, 64), (64, 128))
    }
    return Judgement(
        symbolic.evidence(*lemmas),
        confirmed=symbolic.proved(*lemmas),
        conditions="with C, M and O channels before, between and behind: M < 25 C O / (9 (C + O) + 1), without biases "
        "25 C O / (9 (C + O)); so always where C = M = O, in the ratio 18 to 25",
        counterexample=Counterexample(
            "VGG's own first two layers, from 3 to 64 to 64 channels",
            {"C": 3, "M": 64, "O": 64},
            f"fewer than {one}",
            pair,
            confirmed=pair > one,
        ),
        explanation="Where the input is narrow the wide middle costs more than it saves. Between equally wide layers "
        "two of 3x3 have 72 % of the weights of one of 5x5, and three 55 % of one of 7x7.",
        figures=(
            Figure("Two 3x3 over one 5x5", "middle channels M", "ratio of parameters", series, "line", "log", "log"),
        ),
    )
