"""Filling a weight of a dense layer and of a convolution, beside torch.nn.init."""

import pytest
import torch

from dlcheck.initializers import torch as ours
from dlcheck.initializers.spec import COMPONENTS

CODES = {"ours": ours, "instead": torch.nn.init}
SHAPES = {"dense": (1000, 1000), "kernel": (128, 64, 3, 3), "small": (10, 84)}
NAMES = [component.name for component in COMPONENTS if hasattr(torch.nn.init, component.name)]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_fill(benchmark, name, shape, code):
    benchmark.group = f"{name} fill, {shape}, cpu"
    settings = {"val": 0.5} if name == "constant_" else {"generator": torch.Generator().manual_seed(0)}
    benchmark(getattr(CODES[code], name), torch.empty(SHAPES[shape]), **settings)
