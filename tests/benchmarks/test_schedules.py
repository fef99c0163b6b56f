"""A step of each schedule beside torch's own, on an optimizer of ten groups."""

import pytest
import torch
from torch.optim import lr_scheduler

from dlcheck.schedules import reference
from dlcheck.schedules import torch as ours

SCHEDULES = {
    "step_lr": (ours.StepLR, lr_scheduler.StepLR, {"step_size": 30}),
    "multistep_lr": (ours.MultiStepLR, lr_scheduler.MultiStepLR, {"milestones": [30, 60, 90]}),
    "exponential_lr": (ours.ExponentialLR, lr_scheduler.ExponentialLR, {"gamma": 0.999}),
    "cosine_annealing_lr": (ours.CosineAnnealingLR, lr_scheduler.CosineAnnealingLR, {"T_max": 1000}),
    "linear_warmup_lr": (ours.LinearWarmupLR, lr_scheduler.LinearLR, {"total_iters": 1000}),
    "reduce_on_plateau": (ours.ReduceOnPlateau, lr_scheduler.ReduceLROnPlateau, {}),
}


@pytest.mark.parametrize("code", ["ours", "instead"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_step(benchmark, name, code):
    mine, theirs, settings = SCHEDULES[name]
    optimizer = torch.optim.SGD([{"params": [torch.zeros(1, requires_grad=True)], "lr": 0.1} for _ in range(10)])
    scheduler = (mine if code == "ours" else theirs)(optimizer, **settings)
    optimizer.step()
    benchmark.group = f"{name} step, cpu"
    benchmark(scheduler.step, *([1.0] if name == "reduce_on_plateau" else []))


@pytest.mark.parametrize("code", ["reference", "torch float64"])
def test_a_thousand_steps(benchmark, code):
    """The whole schedule: a closed form needs no optimizer."""
    benchmark.group = "cosine_annealing_lr a thousand steps, cpu"

    def closed():
        return [reference.cosine_annealing_lr(0.1, step, T_max=1000) for step in range(1000)]

    def stepped():
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        scheduler = ours.CosineAnnealingLR(optimizer, T_max=1000)
        optimizer.step()
        for _ in range(1000):
            scheduler.step()

    benchmark(closed if code == "reference" else stepped)
