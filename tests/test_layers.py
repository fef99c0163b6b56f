"""The dense layer and the convolution: against torch's own, SciPy and differences, and as people write them."""

import itertools

import numpy as np
import pytest
import scipy.signal
import scipy.sparse
import torch
import torch.nn.functional as F

from dlcheck import registry
from dlcheck.conformance.check import judge
from dlcheck.conformance.targets import adapt
from dlcheck.evidence import numerics
from dlcheck.evidence.strategies import uniform
from dlcheck.layers import reference
from dlcheck.layers import torch as ours

CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
SETTINGS = [
    {},
    {"stride": 2},
    {"stride": (3, 1), "padding": (1, 2)},
    {"dilation": (2, 1), "padding": 2},
    {"groups": 2, "padding": "same"},
    {"stride": (2, 3), "padding": 1, "dilation": 2, "groups": 2},
    {"padding": "valid", "groups": 4},
]


def within(actual, expected, terms):
    """Whether sums of so many products of numbers up to 2 agree, in whatever order they were added up."""
    allowed = numerics.roundings(np.full(np.shape(expected), 4.0 * terms), "float64", terms)
    return np.shape(actual) == np.shape(expected) and bool(np.all(np.abs(actual - expected) <= allowed))


def problem(groups=1, image=(2, 4, 7, 8), filters=4, kernel=(3, 2)):
    x, weight = uniform(image, 1), uniform((filters, image[1] // groups, *kernel), 2)
    return x, weight, uniform((filters,), 3)


def report(component, code, device="cpu"):
    known = registry.components()[component]
    return judge(known, adapt(known, code, device=device), examples=10)


# --- the reference ---------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_convolution_and_its_gradients_are_torchs(settings):
    arrays = problem(settings.get("groups", 1))
    tensors = [torch.from_numpy(array).requires_grad_() for array in arrays]
    expected = F.conv2d(*tensors, **settings)
    upstream = uniform(tuple(expected.shape), 4)
    gradients = torch.autograd.grad(expected, tensors, torch.from_numpy(upstream))
    found = reference.conv2d_backward(upstream, *arrays, **settings)
    assert within(reference.conv2d(*arrays, **settings), expected.detach().numpy(), 64)
    assert all(within(found[name], g.numpy(), 256) for name, g in zip(("x", "weight", "bias"), gradients, strict=True))


@pytest.mark.parametrize(("padding", "mode"), [("full", "full"), ("valid", "valid")])
@pytest.mark.parametrize("kernel", ["cross_correlation", "flipped"])
def test_modes_and_orientation_are_scipys(padding, mode, kernel):
    image, weight = uniform((5, 6), 1), uniform((3, 2), 2)
    theirs = scipy.signal.convolve2d if kernel == "flipped" else scipy.signal.correlate2d
    found = reference.conv2d(image[None], weight[None, None], padding=padding, kernel=kernel)
    assert within(found[0], theirs(image, weight, mode), 64)


@pytest.mark.parametrize(("same_padding", "expected"), [("end", [6, 12, 11]), ("start", [3, 9, 15])])
def test_strided_same_padding_by_hand(same_padding, expected):
    """Three ones, two apart, over 1 to 6 and one zero: 1 + 2 + 3, 3 + 4 + 5, 5 + 6, or 1 + 2, 2 + 3 + 4, 4 + 5 + 6."""
    row = np.arange(1.0, 7.0).reshape(1, 1, 1, 6)
    found = reference.conv2d(row, np.ones((1, 1, 1, 3)), stride=(1, 2), padding="same", same_padding=same_padding)
    assert found.ravel().tolist() == expected


@pytest.mark.parametrize("which", ["x", "weight", "bias"])
@pytest.mark.parametrize("name", ["linear", "conv2d"])
def test_gradients_are_limits_of_differences(name, which):
    inputs = dict(zip(("x", "weight", "bias"), problem(2, (1, 2, 4, 3), 2, (2, 2)), strict=True))
    settings = {"groups": 2, "padding": "full", "stride": 2} if name == "conv2d" else {}
    if name == "linear":
        inputs = {"x": uniform((2, 3, 4), 1), "weight": uniform((5, 4), 2), "bias": uniform((5,), 3)}
    forward = getattr(reference, name)
    upstream = uniform(forward(**inputs, **settings).shape, 9)
    found = numerics.gradient_by_differences(
        lambda moved: float(np.sum(upstream * forward(**{**inputs, which: moved}, **settings))), inputs[which]
    )
    step = numerics.unit_roundoff("float64") ** 0.2
    expected = getattr(reference, f"{name}_backward")(upstream, **inputs, **settings)[which]
    assert np.all(np.abs(found - expected) < step**3)


def test_blocks_give_what_one_piece_gives(monkeypatch):
    arrays, upstream = problem(), uniform((2, 4, 5, 7), 5)
    whole = reference.conv2d(*arrays), reference.conv2d_backward(upstream, *arrays)
    monkeypatch.setattr(reference, "_BLOCK", 1)
    assert within(reference.conv2d(*arrays), whole[0], 64)
    blocks = reference.conv2d_backward(upstream, *arrays)
    assert all(within(blocks[name], whole[1][name], 256) for name in blocks)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_sparse_matrix_is_the_convolution(settings):
    x, weight, _ = problem(settings.get("groups", 1))
    found = reference.conv2d_matrix(weight, x.shape[2:], **settings)
    matrix = scipy.sparse.coo_array((found.values, (found.rows, found.columns)), found.shape).tocsr()
    expected = reference.conv2d(x, weight, **settings)
    assert within((matrix @ x.reshape(2, -1).T).T.reshape(expected.shape), expected, 64)
    assert len(set(zip(found.rows, found.columns, strict=True))) == found.values.size


def test_sizes_and_counts_are_those_of_torch():
    for size, kernel, stride, padding, dilation in itertools.product(
        [(7, 8), (12, 5)], [1, (2, 3)], [1, (2, 3)], [0, (1, 2)], [1, 2]
    ):
        layer = torch.nn.Conv2d(6, 9, kernel, stride, padding, dilation, 3)
        expected = tuple(layer(torch.zeros(1, 6, *size)).shape[2:])
        assert reference.conv2d_output_size(size, kernel, stride, padding, dilation) == expected
        assert reference.conv2d_parameter_count(6, 9, kernel, 3) == sum(p.numel() for p in layer.parameters())
        multiply_adds = layer.weight.numel() * expected[0] * expected[1]
        assert reference.conv2d_multiply_adds(size, 6, 9, kernel, stride, padding, dilation, 3) == multiply_adds
    dense = torch.nn.Linear(7, 5)
    assert reference.linear_parameter_count(7, 5) == sum(p.numel() for p in dense.parameters())
    assert reference.linear_parameter_count(7, 5, bias=False) == 35


# --- implementations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize(("name", "lacks"), [("linear", set()), ("conv2d", {"padding_mode"})])
def test_the_torch_version_conforms(name, lacks, device):
    found = report(name, getattr(ours, name), device)
    assert not found.findings
    assert {check.id.rpartition(".")[2] for check in found.checks if check.status != "pass"} == lacks


def test_our_torch_convolution_has_two_derivatives():
    generator = torch.Generator().manual_seed(0)
    shapes = (1, 2, 4, 3), (2, 1, 2, 2), (2,)
    inputs = [torch.randn(s, dtype=torch.float64, generator=generator).requires_grad_() for s in shapes]

    def layer(x, weight, bias):
        return ours.conv2d(x, weight, bias, (2, 1), (1, 2), (1, 2), 2)

    assert torch.autograd.gradcheck(layer, inputs)
    assert torch.autograd.gradgradcheck(layer, inputs)


def windows_in_loops(x, w, b=None, stride=1, padding=0):
    """As textbooks write it, for arrays."""
    framed = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    rows, columns = ((n - k) // stride + 1 for n, k in zip(framed.shape[2:], w.shape[2:], strict=True))
    y = np.zeros((len(x), len(w), rows, columns), x.dtype)
    for i, j in np.ndindex(rows, columns):
        window = framed[:, :, i * stride : i * stride + w.shape[2], j * stride : j * stride + w.shape[3]]
        y[:, :, i, j] = np.tensordot(window, w, ([1, 2, 3], [1, 2, 3]))
    return y if b is None else y + b[None, :, None, None]


def by_fourier(x, weight, bias=None, padding=0):
    x = F.pad(x, (padding,) * 4)
    size = x.shape[-2:]
    spectrum = torch.einsum("nchw,ochw->nohw", torch.fft.rfft2(x), torch.fft.rfft2(weight, s=size).conj())
    y = torch.fft.irfft2(spectrum, s=size)[..., : size[0] - weight.shape[2] + 1, : size[1] - weight.shape[3] + 1]
    return y if bias is None else y + bias.view(-1, 1, 1)


def by_winograd(x, weight, bias=None):
    """F(2x2, 3x3) of Lavin and Gray."""
    if weight.shape[2:] != (3, 3):
        raise NotImplementedError("3x3 kernels only")
    rows, columns = x.shape[2] - 2, x.shape[3] - 2
    x = F.pad(x, (0, columns % 2, 0, rows % 2))
    b = x.new_tensor([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
    g = x.new_tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
    a = x.new_tensor([[1, 1, 1, 0], [0, 1, -1, -1]])
    tiles = b @ x.unfold(2, 4, 2).unfold(3, 4, 2) @ b.T
    y = a @ torch.einsum("ncpqij,ocij->nopqij", tiles, g @ weight @ g.T) @ a.T
    y = y.transpose(3, 4).reshape(len(x), len(weight), 2 * tiles.shape[2], 2 * tiles.shape[3])[:, :, :rows, :columns]
    return y if bias is None else y + bias.view(-1, 1, 1)


class Dense:
    """A layer in NumPy for one axis of examples."""

    def __init__(self, in_features, out_features):
        self.weight, self.bias, self.grads = np.zeros((out_features, in_features)), np.zeros(out_features), {}

    def forward(self, x):
        self.x = x
        return x @ self.weight.T + self.bias

    def backward(self, grad):
        self.grads = {"weight": grad.T @ self.x, "bias": grad.sum(axis=0)}
        return grad @ self.weight


class Stateless:
    """A layer in NumPy that is handed its parameters."""

    def forward(self, x, weight, bias=None):
        self.x, self.weight, self.biased = x, weight, bias is not None
        return x @ weight.T + (0 if bias is None else bias)

    def backward(self, grad):
        rows = grad.reshape(-1, grad.shape[-1])
        self.grads = {"weight": rows.T @ self.x.reshape(len(rows), -1)}
        if self.biased:
            self.grads["bias"] = rows.sum(axis=0)
        return grad @ self.weight


class Pool:
    """Average pooling in NumPy whose settings come with the input."""

    def forward(self, x, kernel_size, stride=None):
        self.k, self.s, self.shape = kernel_size, stride or kernel_size, x.shape
        if not isinstance(self.k, int) or not isinstance(self.s, int):
            raise NotImplementedError("one size for rows and columns")
        windows = np.lib.stride_tricks.sliding_window_view(x, (self.k, self.k), (-2, -1))
        return windows[..., :: self.s, :: self.s, :, :].mean((-2, -1))

    def backward(self, grad):
        grad_x = np.zeros(self.shape)
        for i in range(grad.shape[-2]):
            for j in range(grad.shape[-1]):
                rows, columns = (slice(at * self.s, at * self.s + self.k) for at in (i, j))
                grad_x[..., rows, columns] += grad[..., i : i + 1, j : j + 1] / self.k**2
        return grad_x


def flipped(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return F.conv2d(x, weight.flip(2, 3), bias, stride, padding, dilation, groups)


def same_at_start(x, weight, bias=None, stride=1, padding=0):
    if padding == "same":
        rows, columns = (stride, stride) if isinstance(stride, int) else stride
        totals = [
            max((-(-n // s) - 1) * s + k - n, 0)
            for n, s, k in zip(x.shape[-2:], (rows, columns), weight.shape[2:], strict=True)
        ]
        x, padding = F.pad(x, [side for t in totals[::-1] for side in (t - t // 2, t // 2)]), 0
    return F.conv2d(x, weight, bias, stride, padding)


RIGHT = [
    ("conv2d", windows_in_loops, {"kernel": "cross_correlation"}),
    ("conv2d", by_fourier, {"kernel": "cross_correlation"}),
    ("conv2d", by_winograd, {"kernel": "cross_correlation"}),
    ("conv2d", flipped, {"kernel": "flipped"}),
    ("conv2d", same_at_start, {"same_padding": "start"}),
    ("linear", Dense, {}),
    ("linear", Stateless, {}),
    ("avg_pool2d", Pool, {}),
    ("linear", lambda x, weight, bias: np.einsum("ni,oi->no", x, weight) + bias, {}),
]


@pytest.mark.parametrize(("name", "code", "conventions"), RIGHT)
def test_other_right_ways_conform_and_are_named(name, code, conventions):
    found = report(name, code)
    assert found.conforms, str(found)
    assert found.conventions.items() >= conventions.items()


class AveragedDense(Dense):
    def backward(self, grad):
        grad_x = super().backward(grad)
        self.grads = {name: gradient / len(grad) for name, gradient in self.grads.items()}
        return grad_x


class BiasForgotten(Stateless):
    def forward(self, x, weight, bias=None):
        y = super().forward(x, weight)
        self.biased = bias is not None
        return y


class BiasGradientAveraged(Stateless):
    def backward(self, grad):
        grad_x = super().backward(grad)
        self.grads |= {"bias": self.grads["bias"] / len(grad)} if self.biased else {}
        return grad_x


def examples_reshaped(x, weight, bias=None, stride=1):
    assert x.dim() == 4
    y = F.conv2d(x, weight, bias, stride)
    return y.transpose(0, 1).reshape(y.shape)


def symmetric_same(x, weight, bias=None, stride=1, padding=0):
    if padding == "same":
        padding = tuple((k - 1) // 2 for k in weight.shape[2:])
    return F.conv2d(x, weight, bias, stride, padding)


def first_group(x, weight, bias=None, groups=1):
    assert x.dim() == 4
    parts = [F.conv2d(x[:, : weight.shape[1]], filters) for filters in weight.chunk(groups)]
    return torch.cat(parts, 1) + (0 if bias is None else bias.view(-1, 1, 1))


def dealt_out(x, weight, bias=None, groups=1):
    assert x.dim() == 4
    parts = [F.conv2d(part, filters) for part, filters in zip(x.chunk(groups, 1), weight.chunk(groups), strict=True)]
    return torch.stack(parts, 2).flatten(1, 2) + (0 if bias is None else bias.view(-1, 1, 1))


WRONG_CODE = {
    "linear-bias-gradient-missing": lambda x, weight, bias=None: F.linear(
        x, weight, bias if bias is None else bias.detach()
    ),
    "conv2d-groups-interleave-before-bias": dealt_out,
    "linear-weight-transposed": lambda x, weight, bias=0: x @ weight + bias,
    "linear-gradients-averaged": AveragedDense,
    "linear-bias-ignored": BiasForgotten,
    "linear-bias-gradient-averaged": BiasGradientAveraged,
    "linear-extra-axes-flattened": lambda x, weight, bias=None: F.linear(
        x.flatten(1) if x.dim() > 1 else x, weight, bias
    ),
    "conv2d-stride-ignored": lambda x, weight, bias=None, stride=1: F.conv2d(x, weight, bias),
    "conv2d-padding-replicated": lambda x, weight, bias=None, padding=0: F.conv2d(
        F.pad(x, (padding,) * 4, mode="replicate"), weight, bias
    ),
    "conv2d-kernel-half-flipped": lambda x, weight, bias=None: F.conv2d(x, weight.flip(3), bias),
    "conv2d-examples-reshaped": examples_reshaped,
    "conv2d-groups-read-first-channels": first_group,
    "conv-same-stride-symmetric-padding": symmetric_same,
}


@pytest.mark.parametrize("fault", WRONG_CODE)
def test_mistakes_as_people_write_them_are_named(fault):
    found = report(registry.faults()[fault].component, WRONG_CODE[fault])
    assert not found.conforms
    assert fault in [finding.flag for finding in found.findings]


# --- arguments -------------------------------------------------------------------------------------------------------

X, W = np.ones((1, 4, 5, 6)), np.ones((2, 2, 3, 3))
WRONG = [
    ("linear", (np.ones((2, 3)), np.ones((4, 2))), {},
     "x and weight must have shapes (..., in) and (out, in), not (2, 3) and (4, 2)"),
    ("linear", (np.ones((2, 3)), np.ones((4, 3)), np.ones(3)), {}, "bias must have shape (4,), not (3,)"),
    ("linear", (np.ones((2, 3), np.int64).astype(bool), np.ones((4, 3))), {},
     "x must hold floating-point numbers, not bool"),
    ("conv2d", (X[0, 0], W), {}, "x must have shape (N, C, H, W) or (C, H, W), not (5, 6)"),
    ("conv2d", (X, W[0]), {}, "weight must have shape (O, C / groups, kh, kw) without a 0, not (2, 3, 3)"),
    ("conv2d", (X, W), {}, "x must have 2 channels, not 4"),
    ("conv2d", (X[:, :3], W[:, :1]), {"groups": 3},
     "groups must divide 3 input and 2 output channels, not be 3"),
    ("conv2d", (X, W), {"groups": 0}, "groups must be a positive integer, not 0"),
    ("conv2d", (X, W, np.ones(3)), {"groups": 2}, "bias must have shape (2,), not (3,)"),
    ("conv2d", (X, W), {"groups": 2, "stride": 0}, "stride must be a positive integer or a pair of them, not 0"),
    ("conv2d", (X, W), {"groups": 2, "dilation": (1, 1.5)},
     "dilation must be a positive integer or a pair of them, not (1, 1.5)"),
    ("conv2d", (X, W), {"groups": 2, "padding": -1},
     "padding must be a non-negative integer or a pair of them, not -1"),
    ("conv2d", (X, W), {"groups": 2, "padding": "half"},
     "padding must be 'full', 'same', 'valid', a non-negative integer or a pair of them, not 'half'"),
    ("conv2d", (X, W), {"groups": 2, "dilation": 3},
     "weight must fit into the padded image of size (5, 6), not extend over (7, 7)"),
]  # fmt: skip


@pytest.mark.parametrize("on_torch", [False, True], ids=["numpy", "torch"])
@pytest.mark.parametrize(("name", "inputs", "settings", "sentence"), WRONG)
def test_wrong_arguments_are_refused_in_the_same_words(name, inputs, settings, sentence, on_torch):
    code = getattr(ours if on_torch else reference, name)
    with pytest.raises((ValueError, TypeError)) as refused:
        code(*(torch.from_numpy(values) if on_torch else values for values in inputs), **settings)
    assert str(refused.value) == sentence


def test_wrong_upstream_gradients_and_conventions_are_refused():
    with pytest.raises(
        ValueError, match=r"grad_output must have the output's shape \(1, 2, 3, 4\), not \(1, 4, 5, 6\)"
    ):
        reference.conv2d_backward(X, X, W, groups=2)
    with pytest.raises(ValueError, match="kernel must be 'cross_correlation' or 'flipped', not 'convolution'"):
        reference.conv2d(X, W, groups=2, kernel="convolution")
    with pytest.raises(ValueError, match="same_padding must be 'end' or 'start', not 'upper'"):
        reference.conv2d(X, W, groups=2, same_padding="upper")
