"""A step of each optimizer beside that of torch.optim, on one large, many small and a few tiny parameters."""

import pytest
import torch

from dlcheck.optimizers import torch as ours

CODES = {"ours": ours, "instead": torch.optim}
WORKLOADS = {
    "large": [(1000, 1000)],
    "many": [(1024,)] * 200,
    "lenet": [(6, 1, 5, 5), (6,), (16, 6, 5, 5), (16,), (120, 400), (120,), (84, 120), (84,), (10, 84), (10,)],
}
RULES = {
    "SGD": ("SGD", {}),
    "Nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "Adagrad": ("Adagrad", {}),
    "RMSprop": ("RMSprop", {}),
    "RMSprop centred with momentum": ("RMSprop", {"centered": True, "momentum": 0.9}),
    "Adadelta": ("Adadelta", {}),
    "Adam": ("Adam", {}),
    "AdamW": ("AdamW", {}),
}


def prepared(code, rule, workload):
    """An optimizer whose parameters have gradients and whose state exists."""
    name, settings = RULES[rule]
    generator = torch.Generator().manual_seed(0)
    params = [torch.randn(shape, generator=generator).requires_grad_() for shape in WORKLOADS[workload]]
    for param in params:
        param.grad = torch.randn(param.shape, generator=generator)
    optimizer = getattr(code, name)(params, **settings)
    optimizer.step()
    return optimizer


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("rule", RULES)
def test_step(benchmark, rule, workload, code):
    benchmark.group = f"{rule} step, {workload}, cpu"
    benchmark(prepared(CODES[code], rule, workload).step)
