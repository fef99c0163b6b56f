"""Pooling: numbers by hand, torch's own, differences, and mistakes as people write them."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcheck import registry
from dlcheck.conformance.check import judge
from dlcheck.conformance.targets import adapt
from dlcheck.evidence import numerics
from dlcheck.evidence.strategies import uniform
from dlcheck.pooling import reference
from dlcheck.pooling import torch as ours

NAMES = [name for name, family in registry.families().items() if family == "pooling"]
WINDOWED = [name for name in NAMES if name != "global_avg_pool2d"]
CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
ROW = np.array([[[1.0, 2.0, 3.0, 4.0, 5.0]]])


def within(actual, expected, roundings=64):
    """Whether each number is within some roundings of float64 of the expected one, NaN where that is."""
    expected = np.asarray(expected, np.float64)
    near = np.abs(actual - expected) <= numerics.roundings(expected, "float64", roundings)
    return actual.shape == expected.shape and bool(np.all(near | (np.isnan(actual) & np.isnan(expected))))


def report(component, code, device="cpu"):
    known = registry.components()[component]
    return judge(known, adapt(known, code, device=device), examples=10)


# --- the reference ---------------------------------------------------------------------------------------------------


def test_numbers_by_hand():
    row = {"kernel_size": (1, 2), "stride": (1, 2)}
    assert reference.max_pool2d(ROW, **row).tolist() == [[[2.0, 4.0]]]
    assert reference.max_pool2d(ROW, **row, ceil_mode=True).tolist() == [[[2.0, 4.0, 5.0]]]
    assert reference.avg_pool2d(ROW, **row, ceil_mode=True).tolist() == [[[1.5, 3.5, 5.0]]]
    assert reference.avg_pool2d(ROW, (1, 3), 2, (0, 1)).tolist() == [[[1.0, 3.0, 3.0]]]
    assert reference.avg_pool2d(ROW, (1, 3), 2, (0, 1), count_include_pad=False).tolist() == [[[1.5, 3.0, 4.5]]]
    signed = np.array([[[-1.0, -2.0, 3.0, 0.0]]])
    assert within(reference.lp_pool2d(signed, 3, (1, 4)), [[[18 ** (1 / 3)]]])
    assert within(reference.lp_pool2d(signed, 3, (1, 4), power="magnitude"), [[[36 ** (1 / 3)]]])
    assert reference.global_avg_pool2d(ROW).tolist() == [3.0]


@pytest.mark.parametrize(
    ("size", "k", "s", "p"), [(5, 2, 2, 0), (4, 3, 2, 1), (5, 3, 3, 1), (3, 2, 2, 1), (7, 7, 1, 0)]
)
def test_output_sizes_are_torchs(size, k, s, p):
    for ceil_mode in (False, True):
        expected = F.max_pool2d(torch.zeros(1, size, size), k, s, p, ceil_mode=ceil_mode).shape[-1]
        assert reference.output_size(size, k, s, p, ceil_mode=ceil_mode) == expected
        assert ours.output_size(size, k, s, p, ceil_mode=ceil_mode) == expected


GRID = list(itertools.product((2, 3, (2, 3)), (None, 1, (2, 1), 4), (0, 1), (False, True)))


@pytest.mark.parametrize("module", [reference, ours])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("max_pool2d", {}),
        ("max_pool2d", {"dilation": (2, 1)}),
        ("avg_pool2d", {}),
        ("avg_pool2d", {"count_include_pad": False}),
        ("avg_pool2d", {"divisor_override": 3}),
        ("lp_pool2d", {"norm_type": 2}),
        ("lp_pool2d", {"norm_type": 3}),
        ("lp_pool2d", {"norm_type": float("inf")}),
    ],
)
def test_values_and_gradients_are_torchs(module, name, settings):
    for kernel, stride, padding, ceil_mode in GRID:
        given = {**settings, "kernel_size": kernel, "stride": stride, "ceil_mode": ceil_mode}
        given |= {"padding": padding} if name != "lp_pool2d" else {}
        x = torch.from_numpy(uniform((2, 1, 5, 7), 3)).requires_grad_()
        expected = getattr(F, name)(x, **given)
        upstream = uniform(expected.shape, 4)
        gradient = torch.autograd.grad(expected, x, torch.from_numpy(upstream))[0].numpy()
        if module is ours:
            found = getattr(ours, name)(x, **given)
            values, grad = found.detach().numpy(), torch.autograd.grad(found, x, torch.from_numpy(upstream))[0].numpy()
        else:
            values = getattr(reference, name)(x.detach().numpy(), **given)
            grad = getattr(reference, f"{name}_backward")(upstream, x.detach().numpy(), **given)["x"]
        assert within(values, expected.detach().numpy()), given
        bound = np.abs(gradient) + np.abs(upstream).max()
        differ = np.abs(grad - gradient) > numerics.roundings(bound, "float64", 256)
        assert not np.any(differ & ~np.isnan(gradient)), given


@pytest.mark.parametrize("power", ["signed", "magnitude"])
@pytest.mark.parametrize("k", [1, 2, 2.5, 4])
def test_gradients_of_norms_are_limits_of_differences(k, power):
    x = uniform((1, 4, 5), 5, 0.5, 1.5) * (1 if power == "signed" else np.sign(uniform((1, 4, 5), 6)))
    settings = {"norm_type": k, "kernel_size": 3, "stride": 2, "ceil_mode": True, "power": power, "overhang": "summed"}
    upstream = uniform(reference.lp_pool2d(x, **settings).shape, 7)
    found = numerics.gradient_by_differences(lambda x: float(np.sum(upstream * reference.lp_pool2d(x, **settings))), x)
    step = numerics.unit_roundoff("float64") ** 0.2
    assert np.all(np.abs(found - reference.lp_pool2d_backward(upstream, x, **settings)["x"]) < step**3)


def test_ties_share_the_gradient_as_asked():
    x, grad = np.ones((1, 2, 2)), np.array([[[4.0]]])
    shares = {ties: reference.max_pool2d_backward(grad, x, 2, ties=ties)["x"].ravel().tolist() for ties in
              ("first", "last", "all", "split")}  # fmt: skip
    expected = {"first": [4, 0, 0, 0], "last": [0, 0, 0, 4], "all": [4, 4, 4, 4], "split": [1, 1, 1, 1]}
    assert shares == expected


def test_windows_in_the_padding_altogether_have_no_maximum_and_no_gradient():
    x = torch.tensor([[[1.0, 2.0]]], dtype=torch.float64, requires_grad=True)
    settings = {"kernel_size": (1, 2), "stride": 1, "padding": (0, 1), "dilation": (1, 3)}
    expected = reference.max_pool2d(x.detach().numpy(), **settings)
    found = ours.max_pool2d(x, **settings)
    assert expected.tolist() == found.tolist() == [[[-np.inf]]]
    gradient = torch.autograd.grad(found, x, torch.ones_like(found))[0].numpy()
    known = reference.max_pool2d_backward(np.ones((1, 1, 1)), x.detach().numpy(), **settings)
    assert np.all(gradient == 0)
    assert np.all(known["x"] == 0)


# --- ours in PyTorch -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("name", NAMES)
def test_the_torch_version_conforms(name, device):
    found = report(name, getattr(ours, name), device)
    assert not found.findings
    assert all(check.status == "pass" for check in found.checks)


SETTINGS = {"max_pool2d": (3, 2, 1), "avg_pool2d": (3, 2, 1, True, False), "lp_pool2d": (2.5, 3, 2, True)}


@pytest.mark.parametrize("name", WINDOWED)
def test_it_is_differentiable_twice(name):
    x = torch.from_numpy(uniform((1, 2, 5, 5), 8, 0.5, 2.0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: getattr(ours, name)(x, *SETTINGS[name]), x)
    assert torch.autograd.gradgradcheck(lambda x: getattr(ours, name)(x, *SETTINGS[name]), x)


@pytest.mark.parametrize("scale", [2.0**-100, 2.0**100])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_powers_neither_overflow_nor_underflow(scale, dtype):
    x = torch.from_numpy(uniform((1, 1, 5, 4), 9, 0.5, 2.0)).to(dtype)
    x[..., :2, :2] = 0

    def norm(x):
        x = x.clone().requires_grad_()
        found = ours.lp_pool2d(x, 16, 2, ceil_mode=True)
        return found.detach(), torch.autograd.grad(found.sum(), x)[0]

    (values, gradient), (scaled, same) = norm(x), norm(x * scale)
    # a power of two scales the norm exactly, but for the powers' roundings: 16 of each
    allowed = numerics.roundings(values.double().numpy(), str(dtype).removeprefix("torch."), 64)
    assert np.all(np.abs((scaled / scale - values).double().numpy()) <= allowed)
    bound = numerics.roundings(np.ones_like(gradient), str(dtype).removeprefix("torch."), 256)
    assert np.all(np.abs((same - gradient).double().numpy()) <= bound)


# --- wrong arguments -------------------------------------------------------------------------------------------------

X = np.zeros((1, 2, 4, 5))
WRONG = [
    ("max_pool2d", X[0, 0], {"kernel_size": 2}, "x must have shape"),
    ("max_pool2d", np.zeros((1, 0, 4, 4)), {"kernel_size": 2}, "x must have shape"),
    ("max_pool2d", X, {"kernel_size": 0}, "kernel_size must be an integer of at least 1 or two of them, not 0"),
    ("max_pool2d", X, {"kernel_size": (2, 2, 2)}, "kernel_size must be an integer"),
    ("max_pool2d", X, {"kernel_size": 2.0}, "kernel_size must be an integer"),
    ("max_pool2d", X, {"kernel_size": 5}, "kernel_size must fit the padded input, but a window reaches over 5 of 4"),
    ("max_pool2d", X, {"kernel_size": 2, "dilation": 4}, "a window reaches over 5 of 4 places"),
    ("max_pool2d", X, {"kernel_size": 2, "stride": 0}, "stride must be an integer of at least 1"),
    ("max_pool2d", X, {"kernel_size": 3, "padding": 2}, "padding must be at most half of kernel_size 3, not 2"),
    ("max_pool2d", X, {"kernel_size": 3, "padding": -1}, "padding must be an integer of at least 0"),
    ("avg_pool2d", X, {"kernel_size": 2, "ceil_mode": 2}, "ceil_mode must be False or True, not 2"),
    ("avg_pool2d", X, {"kernel_size": 2, "divisor_override": 0}, "divisor_override must be an integer other than 0"),
    ("avg_pool2d", X, {"kernel_size": 2, "count_include_pad": None}, "count_include_pad must be False or True"),
    ("lp_pool2d", X, {"norm_type": 0, "kernel_size": 2}, "norm_type must be a positive number, not 0"),
    ("lp_pool2d", X, {"norm_type": "2", "kernel_size": 2}, "norm_type must be a positive number, not '2'"),
    ("global_avg_pool2d", X[0, 0], {}, "x must have shape"),
]


@pytest.mark.parametrize(("name", "x", "settings", "says"), WRONG)
def test_wrong_arguments_are_refused_in_the_same_words(name, x, settings, says):
    with pytest.raises(ValueError, match="must") as first:
        getattr(reference, name)(x, **settings)
    with pytest.raises(ValueError, match="must") as second:
        getattr(ours, name)(torch.from_numpy(x), **settings)
    assert str(first.value) == str(second.value)
    assert says in str(first.value)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_types_are_refused(name):
    settings = {} if name not in WINDOWED else {"kernel_size": 2} | ({"norm_type": 2} if name == "lp_pool2d" else {})
    with pytest.raises(TypeError, match="x must hold floating-point numbers, not bool"):
        getattr(reference, name)(X > 0, **settings)
    with pytest.raises(TypeError, match="x must hold floating-point numbers, not int64"):
        getattr(ours, name)(torch.zeros(1, 1, 2, 2, dtype=torch.int64), **settings)


# --- strangers -------------------------------------------------------------------------------------------------------


def unfolded(x, kernel_size, stride=None, padding=0):
    """Max pooling by im2col, whose padding is zero."""
    n, c, h, w = x.shape
    stride = kernel_size if stride is None else stride
    columns = F.unfold(x.reshape(n * c, 1, h, w), kernel_size, padding=padding, stride=stride)
    kernel, step, pad = ((v, v) if isinstance(v, int) else v for v in (kernel_size, stride, padding))
    size = [(m + 2 * p - k) // s + 1 for m, k, s, p in zip((h, w), kernel, step, pad, strict=True)]
    return columns.amax(1).view(n, c, *size)


def euclidean(x, norm_type, kernel_size, stride=None):
    """The norm of magnitudes, as its definition has it."""
    kernel = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    step = kernel if stride is None else (stride, stride) if isinstance(stride, int) else stride
    views = x.abs().unfold(2, kernel[0], step[0]).unfold(3, kernel[1], step[1])
    total = (views**norm_type).sum((-2, -1))
    zero = total == 0
    return torch.where(zero, 0, torch.where(zero, 1, total) ** (1 / norm_type))


def far_below_zero(x, kernel_size, stride=None, padding=0):
    rows, columns = (padding, padding) if isinstance(padding, int) else padding
    return F.max_pool2d(F.pad(x, (columns, columns, rows, rows), value=-1e9), kernel_size, stride)


class Pool:
    """2 x 2 max pooling of NumPy images by reshaping, as courses teach it."""

    def forward(self, x):
        n, c, h, w = x.shape
        self.x = x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(n, c, h // 2, 2, w // 2, 2)
        self.y = self.x.max((3, 5), keepdims=True)
        return self.y[:, :, :, 0, :, 0]

    def backward(self, grad_output):
        n, c, h, _, w, _ = self.x.shape
        return ((self.x == self.y) * grad_output[:, :, :, None, :, None]).reshape(n, c, 2 * h, 2 * w)


def test_strangers_conform_or_are_named():
    found = report("max_pool2d", lambda x, kernel_size, stride=None: unfolded(x, kernel_size, stride))
    assert found.conforms
    assert found.conventions["ties"] == "split"
    assert report("max_pool2d", unfolded).conventions["padding_value"] == "zero"
    assert report("max_pool2d", far_below_zero).findings[0].flag == "max-pool-pads-with-1e9-below-zero"
    found = report("lp_pool2d", euclidean)
    assert found.conforms
    assert found.conventions["power"] == "magnitude"
    assert report("max_pool2d", Pool).conforms


def squares_only(x, kernel_size):
    """Windows whose side is one number."""
    n, c, h, w = x.shape
    rows, columns = h // kernel_size, w // kernel_size
    blocks = x[:, :, : rows * kernel_size, : columns * kernel_size].reshape(
        n, c, rows, kernel_size, columns, kernel_size
    )
    return blocks.amax((3, 5))


def integral_image(x, kernel_size):
    """Means by running sums, which carry a NaN on."""
    rows, columns = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    sums = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 0), (1, 0))).cumsum(2).cumsum(3)
    up, down = sums[:, :, :-rows], sums[:, :, rows:]
    total = down[..., columns:] - down[..., :-columns] - up[..., columns:] + up[..., :-columns]
    return (total[:, :, ::rows, ::columns] / (rows * columns)).astype(x.dtype)


def zeros_uncounted(x, kernel_size, stride=None, padding=0, count_include_pad=True):
    mean = F.avg_pool2d(x, kernel_size, stride, padding)
    if count_include_pad:
        return mean
    return mean / F.avg_pool2d((x != 0).to(x), kernel_size, stride, padding).clamp(min=1e-9)


def test_simple_and_fast_ways_conform():
    assert report("max_pool2d", squares_only).conforms
    assert report("avg_pool2d", integral_image).conforms


def test_zeros_of_an_image_are_not_padding():
    assert report("avg_pool2d", zeros_uncounted).findings[0].flag == "avg-pool-zeros-uncounted"
