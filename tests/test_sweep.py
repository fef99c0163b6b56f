"""A sweep calls every point, keeps the grid's order, and loses no error."""

import importlib.util

import pytest

from dlcheck.evidence.sweep import points, sweep


def _quotient(a: int, b: int) -> float:
    return a / b


def test_points_vary_the_last_name_fastest():
    assert points({"a": [1, 2], "b": "xy"}) == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]


@pytest.mark.parametrize("backend", ["loky", "threading", "sequential"])
def test_results_come_in_the_order_of_the_grid_and_errors_stay_at_their_point(backend):
    found = sweep(_quotient, {"a": [1, 2], "b": [1, 0]}, backend=backend, workers=2)
    assert [point.settings for point in found] == points({"a": [1, 2], "b": [1, 0]})
    assert [point.result for point in found] == [1.0, None, 2.0, None]
    assert [point.error for point in found] == ["", "ZeroDivisionError: division by zero"] * 2


def test_a_function_made_on_the_spot_reaches_the_processes():
    factor = 3
    assert [point.result for point in sweep(lambda x: factor * x, {"x": range(4)}, workers=2)] == [0, 3, 6, 9]


def test_an_unknown_backend_is_named_with_those_expected():
    with pytest.raises(ValueError, match=r"backend is 'slurm', expected one of loky, .*, dask, ray"):
        sweep(_quotient, {"a": [1], "b": [1]}, backend="slurm")


@pytest.mark.parametrize(("backend", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_a_cluster_without_its_package_says_what_to_install(backend, package):
    if importlib.util.find_spec(package):
        pytest.skip(f"{package} is installed")
    with pytest.raises(ImportError, match=f"backend '{backend}' needs the package {package}: pip install {package}"):
        sweep(_quotient, {"a": [1], "b": [1]}, backend=backend)
