"""Error bounds hold, are not loose, and differences find derivatives."""

import numpy as np
import pytest
import torch

from dlcheck.evidence import numerics

DTYPES = ["float64", "float32", "float16", "bfloat16"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_formats_agree_with_torch(dtype):
    info = torch.finfo(getattr(torch, dtype))
    assert numerics.unit_roundoff(dtype) == info.eps / 2
    assert numerics.smallest_normal(dtype) == info.smallest_normal
    assert numerics.largest(dtype) == info.max


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_rounded_keeps_every_number_of_the_dtype_and_rounds_midpoints_to_even(dtype):
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(getattr(torch, dtype))
    held = np.sort(bits[torch.isfinite(bits)].double().numpy())
    assert np.array_equal(numerics.rounded(held, dtype), held)
    midpoints = (held[1:] + held[:-1]) / 2
    even = numerics.rounded(midpoints, dtype)
    assert np.isin(even, held).all()
    assert np.array_equal(even, torch.tensor(midpoints).to(getattr(torch, dtype)).double().numpy())


def test_ulp_is_the_distance_to_the_next_number():
    values = np.array([1.0, 1.5, 2.0, 3e-39, 1e38, -7.0], np.float32)
    assert np.array_equal(numerics.ulp(values, "float32"), np.spacing(np.abs(values)))


def _summed(inputs, settings):
    return {"sum": np.asarray(inputs["x"].sum() * settings["scale"])}


def test_allowance_covers_float32_arithmetic_and_no_gross_error():
    rng = np.random.default_rng(0)
    for _ in range(100):
        x = numerics.rounded(rng.normal(size=20), "float32")
        allowed = numerics.allowance(_summed, {"x": x}, {"scale": 0.1}, "float32", operations=20)["sum"]
        error = abs(float(np.float32(0.1) * x.astype(np.float32).sum()) - _summed({"x": x}, {"scale": 0.1})["sum"])
        assert error <= allowed
        assert allowed <= 1e-3


def test_allowance_sees_cancellation_of_any_two_inputs():
    for i in range(7):
        x = np.zeros(8)
        x[i], x[7] = 1.0, -1.0
        allowed = numerics.allowance(_summed, {"x": x}, {"scale": 1.0}, "float32", operations=1)["sum"]
        assert allowed >= numerics.unit_roundoff("float32")


def test_exact_cases_allow_roundings_only():
    allowed = numerics.allowance(_summed, {"x": np.array([1.0, -1.0])}, {"scale": 1.0}, "float64", 4, exact=True)["sum"]
    assert allowed == numerics.roundings(np.zeros(()), "float64", 4)


def test_differences_find_derivatives():
    x = np.linspace(-3, 3, 13)
    error = np.abs(numerics.difference(np.sin, x) - np.cos(x))
    assert error.max() < 1e3 * numerics.unit_roundoff("float64") ** 0.8
    gradient = numerics.gradient_by_differences(lambda v: float((v**3).sum()), x)
    assert np.abs(gradient - 3 * x**2).max() < 1e4 * numerics.unit_roundoff("float64") ** 0.8
