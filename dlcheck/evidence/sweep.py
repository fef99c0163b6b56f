"""Large grids over joblib: local processes by default, a Dask or Ray cluster by name."""

import importlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joblib import Parallel, delayed, parallel_config

LOCAL = ("loky", "threading", "multiprocessing", "sequential")
"""Backends that joblib brings along."""
CLUSTERS = {"dask": ("distributed", ""), "ray": ("ray.util.joblib", "register_ray")}
"""The module that a cluster's backend needs, and what makes joblib know it where joblib does not by itself."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a grid: its settings, and its result, or what it raised in ``error``."""

    settings: Mapping[str, Any]
    result: Any = None
    error: str = ""


def points(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Settings of every point of a grid; the last name varies fastest."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def sweep(
    function: Callable[..., Any], grid: Mapping[str, Sequence[Any]], backend: str = "loky", workers: int = -1
) -> list[Point]:
    """Call ``function(**settings)`` at every point of a grid, in parallel; results come in the grid's order.

    ``workers`` counts processes or threads, -1 takes all; "dask" and "ray" use the cluster that the session is
    connected to. An exception at one point is recorded there; a worker that dies ends the sweep.
    Raises ValueError for an unknown backend, ImportError for a missing package.
    """
    _prepare(backend)
    with parallel_config(backend=backend, n_jobs=workers):
        return Parallel()(delayed(_point)(function, settings) for settings in points(grid))  # type: ignore[return-value]


def _point(function: Callable[..., Any], settings: Mapping[str, Any]) -> Point:
    try:
        return Point(settings, function(**settings))
    except Exception as error:
        return Point(settings, error=f"{type(error).__name__}: {error}")


def _prepare(backend: str) -> None:
    """Make sure that joblib can use a backend."""
    if backend not in (*LOCAL, *CLUSTERS):
        raise ValueError(f"backend is {backend!r}, expected one of {', '.join((*LOCAL, *CLUSTERS))}")
    name, register = CLUSTERS.get(backend, ("joblib", ""))
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ImportError(f"backend {backend!r} needs the package {package}: pip install {package}") from error
    if register:
        getattr(module, register)()
