"""The schedules: by hand, against torch's own, chained and resumed, and what both versions refuse."""

import ast
import copy
import math
import re
import warnings

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from dlcheck.component import Case
from dlcheck.conformance.snippets import snippet
from dlcheck.conformance.targets import adapt
from dlcheck.evidence.numerics import unit_roundoff
from dlcheck.registry import checks, components
from dlcheck.schedules import reference
from dlcheck.schedules import torch as ours

TORCH = {
    "step_lr": (ours.StepLR, lr_scheduler.StepLR, {"step_size": 3, "gamma": 0.5}),
    "multistep_lr": (ours.MultiStepLR, lr_scheduler.MultiStepLR, {"milestones": [6, 2, 2, 4], "gamma": 0.5}),
    "exponential_lr": (ours.ExponentialLR, lr_scheduler.ExponentialLR, {"gamma": 0.75}),
    "cosine_annealing_lr": (ours.CosineAnnealingLR, lr_scheduler.CosineAnnealingLR, {"T_max": 5, "eta_min": 0.01}),
    "linear_warmup_lr": (ours.LinearWarmupLR, lr_scheduler.LinearLR, {"end_factor": 0.875}),
}


def close(actual, expected, roundings=200):
    return np.allclose(actual, expected, rtol=roundings * unit_roundoff("float64"), atol=unit_roundoff("float64"))


def optimizer(*rates, **settings):
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": rate} for rate in rates]
    return torch.optim.SGD(groups, lr=0.1, **settings)


def rates(stepped):
    return [float(group["lr"]) for group in stepped.param_groups]


def run(stepped, scheduler, steps, *metrics):
    """The rates before the first step and after each."""
    found = [rates(stepped)]
    for step in range(steps):
        stepped.step()
        scheduler.step(*metrics[step : step + 1])
        found.append(rates(stepped))
    return np.array(found)


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("step_lr", {"step_size": 2, "gamma": 0.5}, [8, 8, 4, 4, 2, 2]),
        ("multistep_lr", {"milestones": [3, 1], "gamma": 0.5}, [8, 4, 4, 2, 2, 2]),
        ("multistep_lr", {"milestones": [2], "gamma": 0.5, "boundary": "after"}, [8, 8, 8, 4, 4, 4]),
        ("multistep_lr", {"milestones": [2], "gamma": 0.5, "boundary": "before"}, [8, 4, 4, 4, 4, 4]),
        ("multistep_lr", {"milestones": [2, 2], "gamma": 0.5, "repeated": "once"}, [8, 8, 4, 4, 4, 4]),
        ("multistep_lr", {"milestones": [2.5], "gamma": 0.5, "fractional": "reached"}, [8, 8, 8, 4, 4, 4]),
        ("exponential_lr", {"gamma": 0.5}, [8, 4, 2, 1, 0.5, 0.25]),
        ("cosine_annealing_lr", {"T_max": 3}, [8, 6, 2, 0, 2, 6]),
        ("cosine_annealing_lr", {"T_max": 3, "eta_min": 2.0}, [8, 6.5, 3.5, 2, 3.5, 6.5]),
        ("cosine_annealing_lr", {"T_max": 3, "eta_min": 0.25, "minimum": "fraction"}, [8, 6.5, 3.5, 2, 3.5, 6.5]),
        ("cosine_annealing_lr", {"T_max": 3, "after_end": "stays"}, [8, 6, 2, 0, 0, 0]),
        ("cosine_annealing_lr", {"T_max": 3, "after_end": "restarts"}, [8, 6, 2, 8, 6, 2]),
        ("linear_warmup_lr", {"start_factor": 0.25, "total_iters": 3}, [2, 4, 6, 8, 8, 8]),
        ("linear_warmup_lr", {"start_factor": None, "total_iters": 4}, [2, 4, 6, 8, 8, 8]),
        ("momentum_schedule", {"warmup_steps": 2}, [0.5, 0.5, 8, 8, 8, 8]),
        ("momentum_schedule", {"warmup_steps": 3, "rise": "linear"}, [0.5, 3, 5.5, 8, 8, 8]),
    ],
)
def test_by_hand(name, settings, expected):
    assert close([getattr(reference, name)(np.float64(8.0), step, **settings) for step in range(6)], expected)


@pytest.mark.parametrize("name", TORCH)
def test_recursion_of_ours_and_torchs_is_the_closed_form(name):
    mine, theirs, settings = TORCH[name]
    expected = [getattr(reference, name)(np.array([0.5, 0.02]), step, **settings) for step in range(23)]
    for code in (mine, theirs):
        stepped = optimizer(0.5, 0.02)
        assert close(run(stepped, code(stepped, **settings), 22), expected)


@pytest.mark.parametrize("name", TORCH)
def test_a_rate_changed_from_outside_goes_on_as_torchs(name):
    mine, theirs, settings = TORCH[name]
    found = []
    for code in (mine, theirs):
        stepped = optimizer(0.5)
        scheduler = code(stepped, **settings)
        before = run(stepped, scheduler, 3)
        stepped.param_groups[0]["lr"] = 2.0
        found.append(np.concatenate((before, run(stepped, scheduler, 12))))
    assert close(found[0], found[1])


@pytest.mark.parametrize("name", TORCH)
def test_chained_joined_and_resumed(name):
    """In torch's ChainedScheduler and SequentialLR, and from a state_dict."""
    mine, theirs, settings = TORCH[name]
    found = []
    for code in (mine, theirs):
        stepped = optimizer(0.5)
        chained = lr_scheduler.ChainedScheduler([code(stepped, **settings), lr_scheduler.ExponentialLR(stepped, 0.9)])
        found.append(run(stepped, chained, 12))
        stepped = optimizer(0.5)
        parts = [lr_scheduler.ConstantLR(stepped, 0.5, 20), code(stepped, **settings)]
        found.append(run(stepped, lr_scheduler.SequentialLR(stepped, parts, [4]), 12))
        stepped, again = optimizer(0.5), optimizer(0.5)
        first, second = code(stepped, **settings), code(again, **settings)
        whole = run(stepped, first, 4)
        again.load_state_dict(copy.deepcopy(stepped.state_dict()))
        second.load_state_dict(copy.deepcopy(first.state_dict()))
        found.append(np.concatenate((whole, run(again, second, 8))))
    assert all(close(a, b) for a, b in zip(found[:3], found[3:], strict=True))
    assert close(found[2][6:], run(stepped, first, 8)[1:])


def test_a_rate_that_is_a_tensor_stays_the_same_tensor():
    for code, settings in [(mine, settings) for mine, _, settings in TORCH.values()] + [
        (ours.ReduceOnPlateau, {"patience": 0})
    ]:
        rate = torch.tensor(0.5, dtype=torch.float64)
        stepped = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
        scheduler = code(stepped, **settings)
        for _ in range(6):
            stepped.step()
            scheduler.step(*([1.0] if code is ours.ReduceOnPlateau else []))
        assert stepped.param_groups[0]["lr"] is rate
        assert rate.item() != 0.5


def test_warm_up_from_zero():
    stepped = optimizer(0.5)
    warm_up = ours.LinearWarmupLR(stepped, start_factor=0.0, total_iters=4)
    assert close(run(stepped, warm_up, 6)[:, 0], [0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.5])


METRICS = [5.0, 6.0, 5.5, 5.25, 4.0, 4.5, math.nan, 4.5, 4.5, 4.5, 3.0, 3.5, 3.5, 3.5, 3.5, 3.5]


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("settings", [{}, {"cooldown": 2}, {"threshold": 0.25, "threshold_mode": "abs"}, {"eps": 0.1}])
def test_plateau_agrees_with_torchs(mode, settings):
    metrics = [metric if mode == "min" else 9.0 - metric for metric in METRICS]
    settings = {"mode": mode, "factor": 0.5, "patience": 1, "min_lr": [0.0, 0.2], **settings}
    found = []
    for code in (ours.ReduceOnPlateau, lr_scheduler.ReduceLROnPlateau):
        stepped = optimizer(0.5, 0.7)
        found.append(run(stepped, code(stepped, **settings), len(metrics), *metrics))
    assert (found[0] == found[1]).all()
    lr, state, path = np.array([0.5, 0.7]), None, [np.array([0.5, 0.7])]
    for metric in metrics:
        lr, state = reference.reduce_on_plateau(lr, metric, state, **settings)
        path.append(lr)
    assert (path == found[0]).all()
    assert (np.diff(found[0], axis=0) < 0).any()


def test_plateau_by_hand_in_keras_way():
    """Patience 2 reached with the third of equal metrics; a cooldown of 2 ignores one more."""
    lr, state, path = np.float64(8.0), None, []
    for _ in range(7):
        lr, state = reference.reduce_on_plateau(
            lr, 1.0, state, factor=0.5, patience=2, cooldown=2, patience_ends="reached", cooldown_ends="within"
        )
        path.append(float(lr))
    assert path == [8, 8, 4, 4, 4, 2, 2]


def test_a_constant_negative_metric_is_a_plateau():
    """For torch's own it is an endless improvement: pytorch/pytorch#47513."""
    stepped, theirs = optimizer(0.5), optimizer(0.5)
    assert run(stepped, ours.ReduceOnPlateau(stepped, patience=1), 4, *(-1.0,) * 4)[-1] == 0.05
    assert run(theirs, lr_scheduler.ReduceLROnPlateau(theirs, patience=1), 4, *(-1.0,) * 4)[-1] == 0.5


def test_momentum_of_each_group_is_raised_and_resumed():
    def made(**settings):
        stepped = torch.optim.SGD([{"params": [torch.zeros(1)], "momentum": m} for m in (0.9, 0.75)], lr=0.1)
        return stepped, ours.MomentumSchedule(stepped, 3, **settings)

    stepped, schedule = made()
    path = [[group["momentum"] for group in stepped.param_groups]]
    for step in range(5):
        if step == 2:
            again, fresh = made()
            again.load_state_dict(stepped.state_dict())
            fresh.load_state_dict(schedule.state_dict())
            stepped, schedule = again, fresh
        schedule.step()
        path.append([group["momentum"] for group in stepped.param_groups])
    assert close(path, [[0.5, 0.5]] * 3 + [[0.9, 0.75]] * 3)
    stepped, schedule = made(initial=0.0, rise="linear")
    schedule.step()
    assert close([group["momentum"] for group in stepped.param_groups], [0.3, 0.25])


REFUSED = [
    ("step_lr", {"step_size": 0}, "step_size was 0, expected a number of at least 1"),
    ("step_lr", {"step_size": 1, "gamma": -0.5}, "gamma was -0.5, expected a number of at least 0"),
    ("multistep_lr", {"milestones": [1], "gamma": math.nan}, "gamma was nan, expected a number of at least 0"),
    ("exponential_lr", {"gamma": -1.0}, "gamma was -1.0, expected a number of at least 0"),
    ("cosine_annealing_lr", {"T_max": 0}, "T_max was 0, expected a number of at least 1"),
    ("linear_warmup_lr", {"total_iters": 0}, "total_iters was 0, expected a number of at least 1"),
    ("linear_warmup_lr", {"start_factor": 1.5}, "start_factor was 1.5, expected a number from 0 to 1"),
    ("linear_warmup_lr", {"end_factor": -0.5}, "end_factor was -0.5, expected a number from 0 to 1"),
    ("reduce_on_plateau", {"mode": "low"}, "mode was 'low', expected 'min' or 'max'"),
    ("reduce_on_plateau", {"threshold_mode": "x"}, "threshold_mode was 'x', expected 'rel' or 'abs'"),
    ("reduce_on_plateau", {"factor": 1.0}, "factor was 1.0, expected a number of at least 0 and below 1"),
    ("reduce_on_plateau", {"patience": -1}, "patience was -1, expected a number of at least 0"),
    ("momentum_schedule", {"warmup_steps": 0}, "warmup_steps was 0, expected a number of at least 1"),
    ("momentum_schedule", {"warmup_steps": 1, "initial": 1.5}, "initial was 1.5, expected a number from 0 to 1"),
]
CLASSES = {name: mine for name, (mine, _, _) in TORCH.items()} | {
    "reduce_on_plateau": ours.ReduceOnPlateau,
    "momentum_schedule": ours.MomentumSchedule,
}


@pytest.mark.parametrize(("name", "settings", "message"), REFUSED)
def test_both_refuse_settings_in_the_same_words(name, settings, message):
    for call in (lambda: getattr(reference, name)(np.float64(0.5), 0, **settings),
                 lambda: CLASSES[name](optimizer(0.5, momentum=0.9), **settings)):  # fmt: skip
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            call()


def test_min_lr_needs_one_for_each_group():
    with pytest.raises(ValueError, match=r"min_lr was \[0.1\], expected a number or one for each of 2 groups"):
        ours.ReduceOnPlateau(optimizer(0.5, 0.1), min_lr=[0.1])


def test_a_step_before_the_first_is_refused():
    with pytest.raises(ValueError, match="step was -1, expected a number of at least 0"):
        reference.exponential_lr(np.float64(0.5), -1, gamma=0.5)


# how targets are driven


def observed(component, code, *steps, run="steps", rates=(0.5, 0.25), settings=None, **inputs):
    case = Case(run, {"lr": np.array(rates), "steps": list(steps), **inputs}, settings or {})
    return adapt(components()[component], code).observe(case).values["lr"]


def test_a_function_of_the_step_gives_the_rate_or_the_factor():
    def factor(step, gamma):
        return gamma**step

    def rate(lr, t, gamma):
        return lr * gamma**t

    for code in (factor, rate, lambda base_lr, epoch, gamma: base_lr * gamma**epoch):
        found = observed("exponential_lr", code, {}, {"epoch": 3}, settings={"gamma": 0.5})
        assert (found == [[0.5, 0.25], [0.25, 0.125], [0.0625, 0.03125]]).all()


def test_a_factory_of_a_scheduler_is_driven_as_a_class():
    def halving(optimizer, gamma):
        return lr_scheduler.LambdaLR(optimizer, lambda step: gamma**step)

    assert (observed("exponential_lr", halving, {}, settings={"gamma": 0.5})[1] == [0.25, 0.125]).all()


def test_a_scheduler_may_warn_of_its_own():
    """Only torch's own warning about epochs is none of the target's; pytest turns others into errors."""

    class Warning_(lr_scheduler.StepLR):
        def step(self, epoch=None):
            warnings.warn("mine", UserWarning, stacklevel=1)
            super().step(epoch)

    with pytest.raises(UserWarning, match="mine"):
        observed("step_lr", Warning_, {}, settings={"step_size": 1})
    assert observed("step_lr", lr_scheduler.StepLR, {"epoch": 2}, settings={"step_size": 1}).shape == (2, 2)


@pytest.mark.parametrize(
    "check", ["first_steps", "outside_change", "save_load", "epoch", "chained", "sequential", "last_lr"]
)
def test_a_snippet_replays_its_case(check, capsys):
    component = components()["cosine_annealing_lr"]
    case = next(each for each in checks(component.name) if each.id.endswith(f".{check}")).cases[0]
    target = lr_scheduler.CosineAnnealingLR
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        exec(snippet(component, case, "torch.optim.lr_scheduler:CosineAnnealingLR"), {})
    printed = [ast.literal_eval(line) for line in capsys.readouterr().out.splitlines()]
    assert close(printed, adapt(component, target).observe(case).values["lr"])
