"""The initializers: sentences, fans and gains, torch's conventions, dtypes and layouts, and claims that can fail."""

import functools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
import torch

from dlcheck import registry
from dlcheck.conformance.check import judge
from dlcheck.conformance.targets import adapt
from dlcheck.evidence import laws, statistics
from dlcheck.evidence.numerics import unit_roundoff
from dlcheck.initializers import checks, claims, faults, reference, signals
from dlcheck.initializers import torch as ours
from dlcheck.initializers.spec import COMPONENTS
from dlcheck.judgement import Unsupported

NAMES = [component.name for component in COMPONENTS]
RANDOM = [name for name in NAMES if name != "constant_"]
ROUNDINGS = 16


def close(found, expected):
    return abs(found - expected) <= ROUNDINGS * unit_roundoff("float64") * abs(expected)


def settings_of(name):
    return {"val": 0.5} if name == "constant_" else {}


def fill(name, tensor, **settings):
    return getattr(ours, name)(tensor, **settings_of(name), **settings)


@pytest.mark.parametrize("shape", [(5, 3), (4, 2, 3, 3), (2, 6, 1, 5)])
def test_fans_are_torchs(shape):
    expected = torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))
    assert reference.calculate_fans(shape) == ours.calculate_fans(shape) == expected


@pytest.mark.parametrize("name", ["linear", "sigmoid", "tanh", "relu", "selu", "leaky_relu"])
@pytest.mark.parametrize("param", [None, 0.0, 2.0])
def test_gains_are_torchs(name, param):
    expected = torch.nn.init.calculate_gain(name, param)
    assert close(reference.calculate_gain(name, param), expected)
    assert close(ours.calculate_gain(name, param), expected)


REFUSED = {
    "normal_": ({"std": -1.0}, (3, 2), "std must be a finite number of at least 0, but was -1.0"),
    "uniform_": ({"a": 1.0, "b": 0.0}, (3, 2), "a must be at most b, but a was 1.0 and b was 0.0"),
    "xavier_uniform_": ({}, (3,), "shape must have at least 2 dimensions to have fans, but was (3,)"),
    "xavier_normal_": ({"gain": math.nan}, (3, 2), "gain must be a finite number of at least 0, but was nan"),
    "kaiming_uniform_": ({"mode": "fan"}, (3, 2), "mode must be 'fan_in' or 'fan_out', but was 'fan'"),
    "kaiming_normal_": (
        {"nonlinearity": "gelu"},
        (3, 2),
        "nonlinearity must be one of linear, sigmoid, tanh, relu, selu, leaky_relu, but was 'gelu'",
    ),
    "orthogonal_": ({}, (3,), "shape must have at least 2 dimensions to be a matrix, but was (3,)"),
    "trunc_normal_": ({"a": 2.0, "b": 2.0}, (3, 2), "a must be less than b, but a was 2.0 and b was 2.0"),
    "reciprocal_uniform_": ({}, (3,), "shape must have at least 2 dimensions to have fans, but was (3,)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_arguments_are_refused_in_the_same_words(name):
    settings, shape, sentence = REFUSED[name]
    with pytest.raises(ValueError) as of_numpy:  # noqa: PT011 - the sentence is compared below
        getattr(reference, name)(shape, np.random.default_rng(0), **settings)
    with pytest.raises(ValueError) as of_torch:  # noqa: PT011
        getattr(ours, name)(torch.empty(shape), **settings)
    assert str(of_numpy.value) == str(of_torch.value) == sentence


def test_truncation_needs_a_deviation():
    sentence = r"std must be positive, but was 0\.0"
    with pytest.raises(ValueError, match=sentence):
        reference.trunc_normal_law((3,), std=0.0)
    with pytest.raises(ValueError, match=sentence):
        ours.trunc_normal_(torch.empty(3), std=0.0)


@pytest.mark.parametrize("name", NAMES)
def test_torch_fills_in_place_and_leaves_the_rest(name):
    parameter = torch.nn.Parameter(torch.full((4, 3), math.nan, dtype=torch.float64))
    assert fill(name, parameter) is parameter
    assert parameter.requires_grad
    assert parameter.grad_fn is None
    assert parameter.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_torch_keeps_dtype_and_shape(name, dtype):
    tensor = torch.full((6, 4, 3), math.nan, dtype=dtype)
    fill(name, tensor)
    assert tensor.dtype == dtype
    assert tensor.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_torch_fills_views(name):
    whole = torch.full((8, 9), math.nan, dtype=torch.float64)
    fill(name, whole.t()[::2, 1::2])
    assert int(whole.isfinite().sum()) == 5 * 4


@pytest.mark.parametrize("name", RANDOM)
def test_torch_obeys_its_generator(name):
    first, again, other = (
        fill(name, torch.empty(5, 4), generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty_tensors_are_left(name, shape):
    assert fill(name, torch.empty(shape)).shape == shape
    assert getattr(reference, name)(shape, np.random.default_rng(0), **settings_of(name)).shape == shape


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_truncation_holds_after_rounding(dtype):
    a, b = torch.tensor([-0.1, 0.3], dtype=dtype).tolist()
    tensor = ours.trunc_normal_(torch.empty(10_000, dtype=dtype), a=-0.1, b=0.3)
    assert a <= tensor.min()
    assert tensor.max() <= b


@pytest.mark.parametrize(("a", "b"), [(-2.0, 2.0), (-1.0, 3.0), (0.5, 1.5)])
def test_corrected_truncation_has_the_deviation(a, b):
    law = reference.trunc_normal_law((1,), 0.0, 0.3, a, b, bounds="deviations", corrected=True)
    found = scipy.stats.truncnorm(a, b, loc=law.mean, scale=law.std).std()
    assert abs(found - 0.3) <= 2 * math.sqrt(unit_roundoff("float64"))  # scipy loses half of the digits


def test_truncated_tail_far_out():
    law = reference.trunc_normal_law((1000,), 0.0, 1.0, 6.0, 7.0)
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    drawn = np.stack([reference.trunc_normal_((1000,), rng, a=6.0, b=7.0) for _ in range(20)])
    filled = ours.trunc_normal_(torch.empty(20, 1000, dtype=torch.float64), a=6.0, b=7.0, generator=generator)
    for samples in (drawn, filled.numpy()):
        assert all(test.passed for test in laws.judge_sample(samples, law))


@pytest.mark.parametrize("component", COMPONENTS, ids=NAMES)
def test_checks_stay_small(component):
    cases = [case for check in checks.checks(component) for case in check.cases]
    sizes = [math.prod(case.inputs["shape"]) * case.inputs["draws"] for case in cases]
    assert max(sizes) <= 1_100_000
    assert sum(sizes) <= 2_000_000


DRAWING = [fault for fault in faults.FAULTS if fault.component in fault.replaces]


@pytest.mark.parametrize("fault", DRAWING, ids=[fault.id for fault in DRAWING])
def test_every_fault_breaks_the_law_somewhere(fault):
    component = next(c for c in COMPONENTS if c.name == fault.component)
    cases = [case for check in checks.checks(component) for case in check.cases]
    assert any(not follows(fault.replaces[fault.component], component.name, case) for case in cases)


def follows(sampler, name, case):
    shape, rng = case.inputs["shape"], np.random.default_rng(1)
    law = getattr(reference, f"{name}law")(shape, **case.settings)
    samples = np.stack([sampler(shape, rng, **case.settings) for _ in range(case.inputs["draws"])])
    return all(test.passed for test in laws.judge_sample(samples, law))


def implementation(sampler):
    """What a claim is handed, made of a function of shape, generator and settings."""
    rng = np.random.default_rng(2)

    def sample(shape, draws=1, **settings):
        return np.stack([sampler(shape, rng, **settings) for _ in range(draws)])

    return SimpleNamespace(sample=sample)


MISTAKEN = {
    "constant_symmetry": lambda shape, rng, val: val + rng.standard_normal(shape),
    "small_normal_collapses": lambda shape, rng, std: rng.normal(0, 2 * std, shape),
    "uniform_variance": lambda shape, rng: rng.uniform(-0.9 / shape[1], 0.9 / shape[1], shape),
    "uniform_code_shrink": lambda shape, rng, a, b: rng.uniform(2 * a, 2 * b, shape),
    "xavier_forward": lambda shape, rng, std: rng.normal(0, 1.1 * std, shape),
    "xavier_backward": lambda shape, rng, std: rng.normal(0, 0.9 * std, shape),
    "xavier_uniform_bound": lambda shape, rng: rng.uniform(-1, 1, shape) / math.sqrt(sum(shape)),
    "xavier_deep_range": lambda shape, rng: rng.normal(0, 0.5 / math.sqrt(shape[0]), shape),
}


@pytest.mark.parametrize("name", MISTAKEN)
def test_claims_reject_mistaken_code(name):
    judgement = getattr(claims, name).judge(implementation(MISTAKEN[name]))
    with pytest.raises(Unsupported):
        _ = judgement.verdict


def test_bound_on_products_holds():
    width, depth, factor, runs = 16, 10, 8.0, 2000
    products = np.prod(np.random.default_rng(3).chisquare(width, (runs, depth)) / width, axis=1)
    outside = int(np.sum((products < 1 / factor) | (products > factor)))
    bound = signals.product_tail(width, depth, factor)
    assert 0 < bound < 1
    assert scipy.stats.binom.sf(outside - 1, runs, bound) >= statistics.FALSE_ALARM


def test_bound_on_mean_squares_holds():
    n, runs = 200, 2000
    sums = np.random.default_rng(4).uniform(-math.sqrt(3), math.sqrt(3), (runs, n, 2)) @ np.full(2, math.sqrt(0.5))
    alarms = sum(signals.subgaussian_p_value(float(square), n) < 0.05 for square in np.mean(sums**2, axis=1))
    assert scipy.stats.binom.sf(alarms - 1, runs, 0.05) >= statistics.FALSE_ALARM
    assert signals.subgaussian_p_value(1 + signals.smallest_square_change(n), n) < statistics.FALSE_ALARM


# --- strangers -------------------------------------------------------------------------------------------------------


def seeded(tensor, mean=0.0, std=1.0):
    torch.manual_seed(1)
    return torch.nn.init.normal_(tensor, mean, std)


@torch.no_grad()
def row_expanded(tensor, mean=0.0, std=1.0):
    return tensor.copy_(torch.randn(tensor.shape[-1:]).mul(std).add(mean).expand_as(tensor))


@torch.no_grad()
def first_side_squared(tensor, gain=1.0):
    positions = tensor.shape[2] ** 2 if tensor.dim() > 2 else 1
    return tensor.normal_(0, gain * math.sqrt(2 / (positions * (tensor.shape[0] + tensor.shape[1]))))


@torch.no_grad()
def wide_regrouped(tensor, gain=1.0):
    rows, columns = tensor.shape[0], tensor[:1].numel()
    q, r = torch.linalg.qr(torch.randn(max(rows, columns), min(rows, columns), dtype=torch.float64))
    return tensor.copy_((gain * q * r.diagonal().sign()).reshape(tensor.shape))


def on_copy(name):
    def filled(tensor, *given, **settings):
        getattr(torch.nn.init, name)(tensor.contiguous(), *given, **settings)
        return tensor

    return functools.wraps(getattr(torch.nn.init, name))(filled)


def refusing_views(tensor, mean=0.0, std=1.0):
    with torch.no_grad():
        tensor.view(-1).normal_(mean, std)
    return tensor


@torch.no_grad()
def beside_view(tensor, mean=0.0, std=1.0):
    whole = tensor if tensor._base is None else tensor._base
    whole.normal_(mean, std)
    return tensor


@torch.no_grad()
def halves_opposed(tensor, mean=0.0, std=1.0):
    half = torch.randn((tensor.numel() + 1) // 2)
    return tensor.copy_(torch.cat([half, -half])[: tensor.numel()].reshape(tensor.shape) * std + mean)


@torch.no_grad()
def twelve_uniforms(tensor, mean=0.0, std=1.0):
    return tensor.copy_((sum(torch.rand(tensor.shape) for _ in range(12)) - 6) * std + mean)


@torch.no_grad()
def three_deviations_at_most(tensor, mean=0.0, std=1.0):
    return tensor.copy_(torch.randn(tensor.shape).clamp(-3, 3) * std + mean)


@torch.no_grad()
def rows_filled(tensor, val):
    for row in tensor if tensor.dim() else ():
        row.fill_(val)
    return tensor


@torch.no_grad()
def he_truncated(tensor):
    std = math.sqrt(2 / ours.calculate_fans(tensor.shape)[0]) / 0.87962566103423978
    return torch.nn.init.trunc_normal_(tensor, 0.0, std, -2 * std, 2 * std)


@pytest.mark.parametrize(("name", "code"), [("normal_", refusing_views), ("kaiming_normal_", he_truncated)])
def test_what_others_do_conforms(name, code):
    component = registry.components()[name]
    assert not judge(component, adapt(component, code), examples=0).findings


def test_what_lies_beside_a_view_stays():
    component = registry.components()["normal_"]
    found = judge(component, adapt(component, beside_view), examples=0).findings
    assert any("beside the tensor" in str(finding) for finding in found)


@pytest.mark.parametrize(
    ("name", "code", "flag"),
    [
        ("constant_", rows_filled, "init-constant-no-axes"),
        ("normal_", on_copy("normal_"), "init-normal-copy-of-view"),
        ("kaiming_uniform_", on_copy("kaiming_uniform_"), "init-kaiming-uniform-copy-of-view"),
        ("normal_", halves_opposed, "init-normal-mirrored"),
        ("normal_", twelve_uniforms, "init-normal-sum-of-uniforms"),
        ("normal_", three_deviations_at_most, "init-normal-clamped-at-three"),
        ("normal_", seeded, "init-normal-fixed-seed"),
        ("normal_", row_expanded, "init-normal-last-axis-repeated"),
        ("xavier_normal_", first_side_squared, "init-xavier-normal-kernel-side-squared"),
        ("orthogonal_", wide_regrouped, "init-orthogonal-regrouped"),
    ],
)
def test_mistakes_as_people_write_them_are_named(name, code, flag):
    component = registry.components()[name]
    found = judge(component, adapt(component, code), examples=0)
    assert [finding.flag for finding in found.findings[:1]] == [flag], str(found)
