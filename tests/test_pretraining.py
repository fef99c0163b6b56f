"""Pretraining: enumeration as the oracle of small machines, differences, and mistakes as people write them."""

import numpy as np
import pytest
import torch
from sklearn.neural_network import BernoulliRBM

from dlcheck import registry
from dlcheck.conformance.check import judge
from dlcheck.conformance.targets import adapt
from dlcheck.evidence import experiment, numerics
from dlcheck.evidence.strategies import uniform
from dlcheck.pretraining import reference
from dlcheck.pretraining import torch as ours

NAMES = [name for name, family in registry.families().items() if family == "pretraining"]
CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
STEP = numerics.unit_roundoff("float64") ** 0.2
MACHINE = reference.Machine(uniform((3, 4), 1), uniform((4,), 2), uniform((3,), 3))


def near(actual, expected, roundings=64):
    """Whether each number is within some roundings of the largest expected one."""
    bound = numerics.roundings(np.abs(expected).max(), "float64", roundings)
    return bool(np.all(np.abs(actual - expected) <= bound))


def energies(machine):
    """E(v, h) of every pair of states, (2^D, 2^H), as its definition has it."""
    v, h = (reference.states(n)[:, None] for n in machine.weight.shape[::-1])
    h = h.transpose(1, 0, 2)
    return -(v * machine.visible_bias).sum(-1) - (h * machine.hidden_bias).sum(-1) - (h @ machine.weight * v).sum(-1)


def report(component, code, device="cpu"):
    known = registry.components()[component]
    return judge(known, adapt(known, code, device=device), examples=10)


# --- the reference ---------------------------------------------------------------------------------------------------


def test_free_energy_and_partition_function_are_sums_over_states():
    energy, v = energies(MACHINE), reference.states(4)
    assert near(reference.rbm_free_energy(v, *MACHINE), -np.log(np.exp(-energy).sum(1)))
    assert near(reference.rbm_log_partition(*MACHINE), np.log(np.exp(-energy).sum()))
    wide = reference.Machine(MACHINE.weight.T, MACHINE.hidden_bias, MACHINE.visible_bias)
    assert near(reference.rbm_log_partition(*wide), reference.rbm_log_partition(*MACHINE))
    assert near(np.exp(reference.rbm_log_likelihood(v, *MACHINE)).sum(), 1.0)


def test_conditional_probabilities_are_those_of_the_states():
    joint = np.exp(-energies(MACHINE))
    hidden = joint @ reference.states(3) / joint.sum(1, keepdims=True)
    visible = joint.T @ reference.states(4) / joint.sum(0)[:, None]
    assert near(reference.hidden_probabilities(reference.states(4), MACHINE), hidden)
    assert near(reference.visible_probabilities(reference.states(3), MACHINE), visible)


def test_free_energy_is_scikit_learns():
    model = BernoulliRBM(n_components=3)
    model.components_, model.intercept_visible_, model.intercept_hidden_ = MACHINE
    v = reference.states(4)
    assert near(reference.rbm_free_energy(v, *MACHINE), model._free_energy(v))


GRADIENTS = {
    "autoencoder": {"x": (3, 4), "weight": (2, 4), "bias": (2,), "decoder_bias": (4,), "decoder_weight": (4, 2)},
    "rbm_free_energy": {"v": (3, 4), "weight": (2, 4), "visible_bias": (4,), "hidden_bias": (2,)},
    "rbm_log_likelihood": {"v": (3, 4), "weight": (2, 4), "visible_bias": (4,), "hidden_bias": (2,)},
}


@pytest.mark.parametrize(
    ("name", "without"), [(name, ()) for name in GRADIENTS] + [("autoencoder", ("decoder_weight",))]
)
def test_gradients_are_limits_of_differences(name, without):
    shapes = {key: shape for key, shape in GRADIENTS[name].items() if key not in without}
    given = {key: uniform(shape, 5 + place) for place, (key, shape) in enumerate(shapes.items())}
    function = getattr(reference, name)
    upstream = uniform(function(**given).shape, 4)
    found = getattr(reference, f"{name}_backward")(upstream, **given)
    for key in given:
        expected = numerics.gradient_by_differences(
            lambda moved, key=key: float(np.sum(upstream * function(**{**given, key: moved}))), given[key]
        )
        assert np.all(np.abs(found[key] - expected) < STEP**3), key


def chains(steps, batches=40, examples=400):
    """CD-k of one machine from two examples, many chains in each of some batches, and the exact gradient."""
    v, rng = np.array([[1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0]]), np.random.default_rng(7)
    draws = [
        reference.contrastive_divergence(
            np.tile(v, (examples // 2, 1)), *MACHINE, *(rng.random((steps, examples, units)) for units in (3, 4))
        )
        for _ in range(batches)
    ]
    exact = reference.rbm_log_likelihood_backward(np.full(2, 0.5), v, *MACHINE)
    return {name: (np.array([draw[name] for draw in draws]), exact[name]) for name in draws[0]}


def test_contrastive_divergence_tends_to_the_gradient_as_steps_grow():
    def bias(steps):
        found = chains(steps)
        errors = {name: np.abs(draws.mean(0) - exact).max() for name, (draws, exact) in found.items()}
        noise = max(draws.std(0).max() / len(draws) ** 0.5 for draws, _ in found.values())
        return max(errors.values()), noise

    (short, noise), (long, still) = bias(1), bias(20)
    # 40 batches: Student's t is beyond 9 standard errors with a probability below 1e-10
    assert short > 9 * noise
    assert long < 9 * still


def test_draws_from_a_network_have_its_law():
    """The upper machine's visible law is exact after many steps; below it every unit is a coin."""
    lower = reference.Machine(uniform((2, 2), 8), uniform((2,), 9), uniform((2,), 10))
    upper = reference.Machine(uniform((2, 2), 11), lower.hidden_bias, uniform((2,), 12))
    law = np.exp(reference.rbm_log_likelihood(reference.states(2), *upper))
    expected = law @ reference.visible_probabilities(reference.states(2), lower)
    found = reference.generate([lower, upper], 20000, np.random.default_rng(3), steps=30).mean(0)
    assert np.all(np.abs(found - expected) < 7 * 0.5 / 20000**0.5)


# --- greedy training -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    features, _, _ = experiment.bundled("digits")
    return (features > 8).astype(np.float64)


def test_training_a_small_machine_raises_the_exact_likelihood(digits):
    data = digits.reshape(-1, 8, 8)[:, 2:6, 2:6].reshape(-1, 16)
    rng = np.random.default_rng(0)
    machine = reference.train_rbm(data, 8, rng, epochs=20)
    coins = data.mean(0).clip(1 / len(data), 1 - 1 / len(data))
    independent = np.where(data > 0, np.log(coins), np.log1p(-coins)).sum(1).mean()
    assert reference.rbm_log_likelihood(data, *machine).mean() > independent + 0.5


def test_a_second_machine_raises_the_bound(digits):
    """log P(v) >= E_q log P(h) + E_q log P(v|h) + H(q); only the first term depends on the upper machine.

    With the lower one's weights turned round the bound is an equality; from there training can only raise it.
    """
    data, rng = digits.reshape(-1, 8, 8)[:, 2:6, 2:6].reshape(-1, 16), np.random.default_rng(1)
    lower = reference.train_rbm(data, 8, rng, epochs=5)
    codes = reference.hidden_probabilities(data, lower)
    sampled = (rng.random(codes.shape) < codes) * 1.0
    tied = reference.Machine(lower.weight.T, lower.hidden_bias, lower.visible_bias)
    upper = reference.train_rbm(sampled, 16, rng, epochs=20, rate=0.02, start=tied)
    better = reference.rbm_log_likelihood(sampled, *upper) - reference.rbm_log_likelihood(sampled, *tied)
    assert better.mean() > 0


def test_both_versions_learn_and_generate(digits):
    machine = ours.greedy(torch.from_numpy(digits), (16, 8), torch.Generator().manual_seed(0), epochs=2)
    images = ours.generate(machine, 5, torch.Generator().manual_seed(1), steps=10)
    assert images.shape == (5, 64)
    assert images.min() >= 0
    assert images.max() <= 1
    again = ours.generate(machine, 5, torch.Generator().manual_seed(1), steps=10)
    assert torch.equal(images, again)
    energy = ours.rbm_free_energy(torch.from_numpy(digits), *machine[0]).mean()
    noise = torch.rand(digits.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert energy < ours.rbm_free_energy((noise < 0.5).double(), *machine[0]).mean()


# --- ours in PyTorch, and wrong arguments ----------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("name", NAMES)
def test_the_torch_version_conforms(name, device):
    found = report(name, getattr(ours, name), device)
    assert not found.findings
    assert all(check.status == "pass" for check in found.checks)


V = np.zeros((2, 4))
U, W = np.zeros((1, 2, 3)), np.zeros((1, 2, 4))
WRONG = [
    ("rbm_free_energy", (V[:, :3], *MACHINE), "v must have shape (any, 4), not (2, 3)"),
    ("rbm_free_energy", (V, MACHINE[0], MACHINE[2], MACHINE[2]), "visible_bias must have shape (4,), not (3,)"),
    ("rbm_log_likelihood", (V, MACHINE[0], MACHINE[1], MACHINE[1]), "hidden_bias must have shape (3,), not (4,)"),
    ("rbm_log_likelihood", (np.zeros((1, 21)), np.zeros((21, 21)), np.zeros(21), np.zeros(21)), "at most 20 units"),
    ("contrastive_divergence", (V, *MACHINE, U[:0], W[:0]), "hidden_uniforms must have at least one step, not 0"),
    ("contrastive_divergence", (V, *MACHINE, U, W[:, :1]), "visible_uniforms must have shape (1, 2, 4), not (1, 1, 4)"),
    ("autoencoder", (V, MACHINE[0][0], MACHINE[2], MACHINE[1]), "weight must have shape (any, any), not (4,)"),
    ("autoencoder", (V, MACHINE[0], MACHINE[1], MACHINE[1]), "bias must have shape (3,), not (4,)"),
    ("autoencoder", (V, MACHINE[0], MACHINE[2], MACHINE[1], MACHINE[0]), "decoder_weight must have shape (4, 3)"),
    ("generate", ([], 3), "stack must hold at least one machine, not 0"),
]


@pytest.mark.parametrize(("name", "given", "says"), WRONG)
def test_wrong_arguments_are_refused_in_the_same_words(name, given, says):
    rng = (np.random.default_rng(0),) if name == "generate" else ()
    tensors = [torch.from_numpy(value) if isinstance(value, np.ndarray) else value for value in given]
    with pytest.raises(ValueError, match="must") as first:
        getattr(reference, name)(*given, *rng)
    with pytest.raises(ValueError, match="must") as second:
        getattr(ours, name)(*tensors)
    assert str(first.value) == str(second.value)
    assert says in str(first.value)


# --- strangers -------------------------------------------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def textbook_cd(v, w, b, c, hidden_uniforms, visible_uniforms):
    """CD-k in NumPy with samples throughout the chain and the last probabilities, as Hinton's guide has it."""
    start = sigmoid(v @ w.T + c)
    h, x = start, v
    for u, q in zip(hidden_uniforms, visible_uniforms, strict=True):
        p = sigmoid((u < h) * 1.0 @ w + b)
        x, h = (q < p) * 1.0, sigmoid((q < p) * 1.0 @ w.T + c)
    h = sigmoid(p @ w.T + c)
    n = len(x)
    return (start.T @ v - h.T @ p) / n, (v - p).mean(0), (start - h).mean(0)


class Autoencoder(torch.nn.Module):
    """Tied weights as a module holds them."""

    def __init__(self, in_features, hidden_features):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(hidden_features, in_features))
        self.bias = torch.nn.Parameter(torch.empty(hidden_features))
        self.decoder_bias = torch.nn.Parameter(torch.empty(in_features))

    def forward(self, x):
        code = torch.sigmoid(x @ self.weight.T + self.bias)
        return torch.sigmoid(code @ self.weight + self.decoder_bias)


def test_strangers_conform_or_are_named():
    found = report("contrastive_divergence", textbook_cd)
    assert found.conforms
    assert found.conventions["reconstruction"] == "probabilities"
    wrong = report("contrastive_divergence", lambda *given: tuple(-part for part in textbook_cd(*given)))
    assert wrong.findings[0].flag == "cd-phases-exchanged"
    assert report("autoencoder", Autoencoder).conforms
    plain = report("rbm_free_energy", lambda v, w, b, c: -v @ b - torch.nn.functional.softplus(v @ w.T + c).sum(1))
    assert plain.conforms
