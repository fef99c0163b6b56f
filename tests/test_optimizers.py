"""The optimizers: by hand, against torch.optim, between conventions, and what only the PyTorch classes can do."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings

import dlcheck
from dlcheck import registry
from dlcheck.component import Case
from dlcheck.conformance.check import judge
from dlcheck.conformance.comparison import Trial
from dlcheck.conformance.oracle import Reference
from dlcheck.conformance.targets import adapt
from dlcheck.evidence.numerics import unit_roundoff
from dlcheck.optimizers import reference
from dlcheck.optimizers import torch as ours

NAMES = [name for name, family in registry.families().items() if family == "optimizers"]
MODELS = ("SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW")
OPTIONS = {
    "SGD": {"momentum": 0.9, "dampening": 0.25, "weight_decay": 0.1},
    "Adagrad": {"lr_decay": 0.1, "initial_accumulator_value": 0.5, "weight_decay": 0.1},
    "RMSprop": {"centered": True, "momentum": 0.9, "weight_decay": 0.1},
    "Adadelta": {"weight_decay": 0.1, "maximize": True},
    "Adam": {"amsgrad": True, "weight_decay": 0.1},
    "AdamW": {"amsgrad": True, "maximize": True},
}


def close(actual, expected, roundings=1000):
    return np.allclose(actual, expected, rtol=roundings * unit_roundoff("float64"), atol=0.0)


def walk(name, grads, start=1.0, **settings):
    """The parameters after each step of a reference function along given gradients."""
    param, state, path = np.full_like(grads[0], start), None, []
    for grad in grads:
        param, state = getattr(reference, name)(param, grad, state, **settings)
        path.append(param)
    return np.array(path)


@pytest.mark.parametrize(
    ("name", "settings", "first", "second"),
    [
        ("sgd", {"lr": 0.5}, 1 - 0.5 * 2, 1 - 0.5 * 2 + 0.5 * 1),
        ("momentum", {"lr": 0.5, "momentum": 0.5}, 0.0, 0 - 0.5 * (0.5 * 2 - 1)),
        ("nesterov", {"lr": 0.5, "momentum": 0.5}, 1 - 0.5 * (2 + 0.5 * 2), -0.5 - 0.5 * (-1 + 0.5 * 0)),
        ("adagrad", {"lr": 0.5, "eps": 1.0}, 1 - 0.5 * 2 / 3, 1 - 1 / 3 + 0.5 / (5**0.5 + 1)),
        (
            "rmsprop",
            {"lr": 0.5, "alpha": 0.5, "eps": 1.0},
            1 - 1 / (2**0.5 + 1),
            1 - 1 / (2**0.5 + 1) + 0.5 / (1.5**0.5 + 1),
        ),
        ("adadelta", {"rho": 0.5, "eps": 2.0}, 1 - 2**0.5, 1 - 2**0.5 + (3 / 3.5) ** 0.5),
        ("adam", {"lr": 0.5, "betas": (0.5, 0.5), "eps": 1.0}, 1 - 1 / 3, 2 / 3 - 0.0),
        ("adamw", {"lr": 0.5, "eps": 2.0, "weight_decay": 0.5}, 0.75 - 0.25, None),
    ],
)
def test_two_steps_by_hand(name, settings, first, second):
    """From 1, along the gradients 2 and -1."""
    path = walk(name, np.array([[2.0], [-1.0]]), **settings)[:, 0]
    assert close(path[0], first)
    assert second is None or close(path[1], second)


def model(name):
    return getattr(torch.optim, registry.components()[name].model.removeprefix("torch.optim."))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "code", [model, lambda name: registry.implementation(name, "torch")], ids=["torch.optim", "ours"]
)
def test_agrees_with_the_reference_on_every_fixed_case(name, code):
    component = registry.components()[name]
    trial = Trial(component, adapt(component, code(name)))
    for check in registry.checks(name):
        for case in check.cases:
            assert trial.compare(Reference(component), check, case).agrees, (check.id, case.settings)


@pytest.mark.parametrize("name", NAMES)
def test_reference_is_pure(name):
    arrays = [np.array([1.0, -2.0]), np.array([0.5, 3.0])]
    _, state = getattr(reference, name)(*arrays)
    for array in arrays:
        array.flags.writeable = False
    kept = copy.deepcopy(state)
    getattr(reference, name)(*arrays, state, weight_decay=0.1, maximize=True)
    assert all(np.array_equal(state[key], kept[key]) for key in kept)


def test_lr_inside_or_outside_the_velocity_differs_only_once_lr_changes():
    grads = np.random.default_rng(0).normal(size=(6, 3))
    outside, inside = (walk("nesterov", grads, lr=0.1, velocity=place) for place in ("outside", "inside"))
    assert close(outside, inside)
    steps = {}
    for place in ("outside", "inside"):
        _, state = reference.nesterov(np.ones(3), grads[0], lr=0.1, velocity=place)
        steps[place], _ = reference.nesterov(np.ones(3), grads[1], state, lr=0.2, velocity=place)
    assert not close(steps["outside"], steps["inside"])


def test_lookahead_and_library_form_of_nesterov_are_the_same_iterates():
    """With y = x + momentum v for the true look-ahead, y follows the library's rule (constant lr and momentum)."""
    curvature, lr, momentum = np.array([1.0, 3.0]), 0.1, 0.9
    x, y = np.ones(2), np.ones(2)
    lookahead = library = None
    for _ in range(20):
        x, lookahead = reference.nesterov_lookahead(x, lambda p: curvature * p, lookahead, lr=lr, momentum=momentum)
        y, library = reference.nesterov(y, curvature * y, library, lr=lr, momentum=momentum)
        assert close(x + momentum * lookahead["velocity"], y)


def test_eps_hat_is_eps_scaled_by_the_correction():
    path = walk("adam", np.array([[0.5]]), eps=1.0, epsilon="hat")
    expected = walk("adam", np.array([[0.5]]), eps=1.0 / (1 - 0.999) ** 0.5)
    assert close(path, expected)


@pytest.mark.parametrize(
    ("name", "settings", "sentence"),
    [
        ("sgd", {"lr": -0.1}, "lr is -0.1, expected a number of at least 0"),
        ("sgd", {"lr": float("nan")}, "lr is nan, expected a number of at least 0"),
        (
            "nesterov",
            {"momentum": 0.0},
            "nesterov is True with momentum 0.0 and dampening 0.0, expected momentum above 0",
        ),
        ("adagrad", {"lr_decay": -1.0}, "lr_decay is -1.0, expected a number of at least 0"),
        ("rmsprop", {"alpha": 1.5}, "alpha is 1.5, expected a number from 0 to 1"),
        ("adadelta", {"rho": -0.5}, "rho is -0.5, expected a number from 0 to 1"),
        ("adam", {"betas": (0.9, 1.0)}, r"betas is \(0.9, 1.0\), expected two numbers of at least 0 and below 1"),
        ("adamw", {"weight_decay": -0.1}, "weight_decay is -0.1, expected a number of at least 0"),
    ],
)
def test_bad_settings_are_refused_in_the_same_words(name, settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        getattr(reference, name)(np.ones(2), np.ones(2), **settings)
    with pytest.raises(ValueError, match=sentence):
        registry.implementation(name, "torch")([torch.ones(2, requires_grad=True)], **settings)


def test_bad_settings_of_a_group_are_refused():
    with pytest.raises(ValueError, match=r"lr is -1.0"):
        ours.Adam([{"params": [torch.ones(2, requires_grad=True)], "lr": -1.0}])


def test_a_sparse_gradient_is_refused():
    param = torch.ones(3, requires_grad=True)
    param.grad = torch.zeros(3).to_sparse()
    with pytest.raises(TypeError, match=r"gradient of a parameter of shape \(3,\) is sparse, expected a dense one"):
        ours.Adam([param]).step()


def tensors(dtype, seed=0):
    """Parameters of many forms: large, small, transposed, strided, without axes, empty."""
    generator = torch.Generator().manual_seed(seed)
    shapes = ((40, 50), (3,), (5, 4), (6, 2), (), (0, 3))
    made = [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]
    return [made[0], made[1], made[2].t(), made[3][:, ::2], made[4], made[5]]


def train(code, name, params, steps=range(5), dtype=torch.float64):
    """The optimizer after the steps, with the parameters moved; the third parameter misses every other gradient."""
    optimizer = getattr(code, name)(params, lr=0.1, **OPTIONS[name])
    drive(optimizer, params, steps, dtype)
    return optimizer


def drive(optimizer, params, steps, dtype=torch.float64):
    for step in steps:
        for index, (param, grad) in enumerate(zip(params, tensors(dtype, seed=step + 1), strict=True)):
            param.grad = None if index == 2 and step % 2 else grad
        optimizer.step()


def leaves(dtype):
    return [param.requires_grad_() for param in tensors(dtype)]


def distance(left, right):
    return max(float((a.detach() - b.detach()).abs().max()) for a, b in zip(left, right, strict=True) if a.numel())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.complex128])
def test_all_layouts_and_gaps_follow_torch(name, dtype):
    left, right = leaves(dtype), leaves(dtype)
    train(ours, name, left, dtype=dtype)
    train(torch.optim, name, right, dtype=dtype)
    digits = unit_roundoff("float32" if dtype is torch.float32 else "float64")
    assert distance(left, right) < 1000 * digits


@pytest.mark.parametrize("name", MODELS)
def test_cutting_into_blocks_changes_nothing(name, monkeypatch):
    whole, cut = leaves(torch.float64), leaves(torch.float64)
    train(ours, name, whole)
    monkeypatch.setattr(ours, "BLOCK", 7)
    train(ours, name, cut)
    assert distance(whole, cut) == 0.0


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("saved", "loaded"), [(ours, ours), (torch.optim, ours)], ids=["ours", "torch.optim"])
def test_resumes_from_a_state_dict(name, saved, loaded):
    through, resumed = leaves(torch.float64), leaves(torch.float64)
    train(torch.optim, name, through, range(6))
    first = train(saved, name, resumed, range(3))
    second = getattr(loaded, name)(resumed)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    drive(second, resumed, range(3, 6))
    assert distance(through, resumed) < 1000 * unit_roundoff("float64")


@pytest.mark.parametrize("name", MODELS)
def test_gradients_stay_untouched(name):
    params = leaves(torch.float64)
    train(ours, name, params, range(1))
    assert distance([param.grad for param in params], tensors(torch.float64, seed=1)) == 0.0


def test_closure_is_called_with_gradients_enabled():
    param = torch.ones(2, requires_grad=True)
    optimizer = ours.SGD([param], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (param**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2.0
    assert torch.equal(param.detach(), torch.zeros(2))


@pytest.mark.parametrize("name", NAMES)
def test_searched_cases_agree_with_torch(name):
    component = registry.components()[name]
    trial = Trial(component, adapt(component, model(name)))
    (check,) = [check for check in registry.checks(name) if check.search is not None]

    @given(check.search)
    @settings(max_examples=20)
    def agrees(case: Case):
        assert trial.compare(Reference(component), check, case).agrees

    agrees()


# --- strangers -------------------------------------------------------------------------------------------------------


class Stranger(torch.optim.Optimizer):
    """Adam as one writes it, in pieces that a mistake exchanges."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    state = self.state[self.key(p)]
                    if not state:
                        state.update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
                    state["t"] += 1
                    self.move(p, p.grad + group["weight_decay"] * p, state, group)

    def key(self, p):
        return p

    def move(self, p, g, state, group):
        b1, b2 = group["betas"]
        state["m"].mul_(b1).add_(g, alpha=1 - b1)
        state["v"].mul_(b2).addcmul_(g, g, value=1 - b2)
        self.add(p, state["m"], state["v"], state["t"], group)

    def add(self, p, m, v, t, group):
        b1, b2 = group["betas"]
        p.addcdiv_(m / (1 - b1**t), (v / (1 - b2**t)).sqrt() + group["eps"], value=-group["lr"])


class ByShape(Stranger):
    """Parameters of one shape share their state."""

    def key(self, p):
        return tuple(p.shape)


class Uphill(Stranger):
    def add(self, p, m, v, t, group):
        super().add(p, m, v, t, {**group, "lr": -group["lr"]})


class OwnRate(Stranger):
    """The rate of the constructor, whatever the groups say."""

    def add(self, p, m, v, t, group):
        super().add(p, m, v, t, {**group, "lr": self.defaults["lr"]})


class Twice(Stranger):
    """Weight decay in the gradient, and beside the step."""

    def add(self, p, m, v, t, group):
        decay = group["lr"] * group["weight_decay"] * p
        super().add(p, m, v, t, group)
        p.sub_(decay)


def judged(code, name):
    component = registry.components()[name]
    return judge(component, adapt(component, code), examples=0)


def test_strangers_conform_or_are_named():
    assert judged(Stranger, "adam").conforms
    named = {Uphill: "uphill", OwnRate: "lr-of-constructor", Twice: "decay-both-ways"}
    assert {code: judged(code, "adam").findings[0].flag for code in named} == {
        code: f"opt-adam-{slug}" for code, slug in named.items()
    }


def test_parameters_of_one_shape_are_told_apart():
    report = judged(ByShape, "adam")
    assert report.findings[0].check == "optimizers.adam.several_parameters"


class Aliased(torch.optim.SGD):
    """Momentum whose first velocity is the gradient itself, not a copy."""

    def __init__(self, params, lr=1e-3, momentum=0.9):
        super().__init__(params, lr, momentum)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    state = self.state[p]
                    if "v" in state:
                        state["v"].mul_(group["momentum"]).add_(p.grad)
                    p.sub_(group["lr"] * state.setdefault("v", p.grad))


class Unrecorded(torch.optim.SGD):
    """A closure called where no gradients are recorded."""

    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr)

    @torch.no_grad()
    def step(self, closure=None):
        loss = closure() if closure else None
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(group["lr"] * p.grad)
        return loss


def test_memory_shared_with_the_gradient_and_unrecorded_closures_are_named():
    assert judged(Aliased, "momentum").findings[0].flag == "opt-momentum-gradient-is-buffer"
    assert judged(Unrecorded, "sgd").findings[0].flag == "opt-sgd-closure-without-gradients"


class OwnEps(ours.Adagrad):
    """Adagrad with a default that no framework has."""

    def __init__(self, params, lr=0.01, lr_decay=0.0, weight_decay=0.0, eps=1e-6):
        super().__init__(params, lr=lr, lr_decay=lr_decay, weight_decay=weight_decay, eps=eps)


def test_an_eps_of_its_own_is_advice_and_no_convention():
    found = dlcheck.check(OwnEps, "adagrad", examples=0)
    assert found.conforms, str(found)
    assert found.conventions["default_eps"] == "1e-06"
    assert "its default eps is 1e-06, not 1e-10" in str(found)
    assert not dlcheck.check(OwnEps, "adagrad", examples=0, conventions={"default_eps": "1e-7"}).conforms
    assert "default eps" not in str(dlcheck.check(OwnEps, "adagrad", examples=0, settings={"eps": 1e-6}))
