"""Recurrent layers: by hand, against torch.nn, by differences, with padding, and what the adapter accepts."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn.utils import rnn as packing

from dlcheck import registry
from dlcheck.component import Case
from dlcheck.conformance.check import judge
from dlcheck.conformance.implementation import Misbehaviour, Refused
from dlcheck.conformance.targets import adapt
from dlcheck.evidence.numerics import gradient_by_differences, unit_roundoff
from dlcheck.recurrent import mistakes, reference
from dlcheck.recurrent import torch as ours
from dlcheck.recurrent.cells import lstm_cell

CLASSES = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
CUDA = pytest.param(
    "cuda", marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
)
DEEP = {"num_layers": 2, "bidirectional": True}
ARRANGEMENTS = [
    dict(zip(("num_layers", "bidirectional", "bias", "batch_first"), choice, strict=True))
    for choice in itertools.product((1, 3), (False, True), (True, False), (False, True))
]


def drawn(name, seed=0, steps=5, batch=3, features=4, hidden=2, **settings):
    """A sequence, parameters and an initial state."""
    rng = np.random.default_rng(seed)
    kept = {key: value for key, value in settings.items() if key in ("num_layers", "bidirectional", "bias")}
    shapes = getattr(reference, f"{name}_parameters")(features, hidden, **kept)
    parameters = {key: rng.normal(size=shape) for key, shape in shapes.items()}
    outer = (batch, steps) if settings.get("batch_first") else (steps, batch)
    rows = (kept.get("num_layers", 1) * (1 + kept.get("bidirectional", False)), batch, hidden)
    kinds = ("h_0", "c_0") if name == "lstm" else ("h_0",)
    return rng.normal(size=(*outer, features)), parameters, {kind: rng.normal(size=rows) for kind in kinds}


def close(actual, expected, roundings=1000):
    allowed = roundings * unit_roundoff("float64")
    return np.allclose(actual, expected, rtol=allowed, atol=allowed)


def run(function, name, x, parameters, state, lengths=None, **settings):
    """A reference function's outputs."""
    return getattr(function, name)(x, parameters, state, lengths, **settings)


def sigmoid(x):
    return (1 + np.tanh(x / 2)) / 2


def test_two_steps_of_one_unit_by_hand():
    x, one = np.array([[[2.0]], [[-1.0]]]), {"weight_ih_l0": 0.5, "weight_hh_l0": 3.0, "bias_ih_l0": 0.25}
    held = {name: np.full((1, 1) if "weight" in name else 1, value) for name, value in one.items()}
    held["bias_hh_l0"] = np.array([0.5])
    first = np.tanh(0.5 * 2 + 0.25 + 0.5)
    second = np.tanh(0.5 * -1 + 0.25 + 0.5 + 3 * first)
    found = reference.rnn(x, held)
    assert close(found["output"].ravel(), [first, second])
    assert close(found["h_n"].ravel(), [second])


def test_one_step_of_an_lstm_by_hand():
    i, f, g, o, h, c = 0.1, -0.2, 0.3, 0.4, 0.5, -2.0
    held = {"weight_ih_l0": np.array([[i], [f], [g], [o]]), "weight_hh_l0": np.array([[1.0], [2.0], [3.0], [4.0]])}
    state = {"h_0": np.full((1, 1, 1), h), "c_0": np.full((1, 1, 1), c)}
    found = reference.lstm(np.ones((1, 1, 1)), held, state, bias=False)
    kept = sigmoid(f + 2 * h) * c + sigmoid(i + h) * np.tanh(g + 3 * h)
    assert close(found["c_n"].item(), kept)
    assert close(found["h_n"].item(), sigmoid(o + 4 * h) * np.tanh(kept))


@pytest.mark.parametrize(("reset", "candidate"), [("after", 0.3 + 0.25 * 2.0), ("before", 0.3 + 0.25 * 2.0)])
def test_reset_before_and_after_agree_on_a_diagonal_weight_without_bias(reset, candidate):
    # sigmoid(-log 3) = 1/4: r (U h) = (r U) h where U is a number
    held = {"weight_ih_l0": np.array([[-np.log(3)], [0.0], [0.3]]), "weight_hh_l0": np.array([[0.0], [0.0], [2.0]])}
    found = reference.gru(np.ones((1, 1, 1)), held, {"h_0": np.ones((1, 1, 1))}, bias=False, reset=reset)
    assert close(found["h_n"].item(), 0.5 + 0.5 * np.tanh(candidate))


@pytest.mark.parametrize("settings", ARRANGEMENTS, ids=str)
@pytest.mark.parametrize("lengths", [None, [3, 5, 1]], ids=["whole", "lengths"])
@pytest.mark.parametrize("name", CLASSES)
def test_reference_agrees_with_torch(name, settings, lengths):
    x, parameters, state = drawn(name, **settings)
    lengths = None if lengths is None else np.array(lengths)
    module = getattr(torch.nn, CLASSES[name])(4, 2, **settings).double()
    module.load_state_dict({key: torch.tensor(value) for key, value in parameters.items()})
    leaves = [torch.tensor(value, requires_grad=True) for value in (x, *state.values())]
    given = leaves[0]
    if lengths is not None:
        given = packing.pack_padded_sequence(given, torch.tensor(lengths), settings["batch_first"], False)
    output, final = module(given, tuple(leaves[1:]) if len(leaves) > 2 else leaves[1])
    if lengths is not None:
        output = packing.pad_packed_sequence(output, settings["batch_first"])[0]
    theirs = [output, *(final if isinstance(final, tuple) else (final,))]
    found = run(reference, name, x, parameters, state, lengths, **settings)
    assert all(close(value.detach(), right) for value, right in zip(theirs, found.values(), strict=True))

    rng = np.random.default_rng(1)
    grad = {key: rng.normal(size=value.shape) for key, value in found.items()}
    held = dict(module.named_parameters())
    upstream = [torch.tensor(value) for value in grad.values()]
    expected = torch.autograd.grad(theirs, [*leaves, *held.values()], upstream)
    back = getattr(reference, f"{name}_backward")(grad, x, parameters, state, lengths, **settings)
    names = ["x", *state, *held]
    assert all(close(back[key], value) for key, value in zip(names, expected, strict=True))


CONVENTIONS = [
    ("rnn", {"nonlinearity": "relu"}),
    ("rnn", {"padded_output": "repeated"}),
    ("lstm", {"forget_bias": 1.0, "padded_output": "repeated"}),
    ("lstm", {"gate_activation": "hard_sigmoid"}),
    ("gru", {"reset": "before", "update": "takes"}),
    ("gru", {"update": "takes", "biases": "one"}),
]


@pytest.mark.parametrize(("name", "convention"), CONVENTIONS, ids=str)
def test_backward_of_conventions_by_differences(name, convention):
    both = {"num_layers": 2, "bidirectional": True}
    x, parameters, state = drawn(name, seed=3, steps=3, batch=2, features=2, **both)
    lengths, settings = np.array([3, 2]), {**both, **convention}
    rng = np.random.default_rng(1)
    outputs = run(reference, name, x, parameters, state, lengths, **settings)
    grad = {key: rng.normal(size=value.shape) for key, value in outputs.items()}

    def loss(key, value):
        given = {"x": x, **parameters, **state, key: value}
        held, start = {k: given[k] for k in parameters}, {k: given[k] for k in state}
        found = run(reference, name, given["x"], held, start, lengths, **settings)
        return sum(float((found[k] * grad[k]).sum()) for k in grad)

    back = getattr(reference, f"{name}_backward")(grad, x, parameters, state, lengths, **settings)
    everything = {"x": x, **parameters, **state}
    for key in ("x", "weight_ih_l1_reverse", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0_reverse", "h_0"):
        expected = gradient_by_differences(lambda value, key=key: loss(key, value), everything[key])
        assert np.allclose(back[key], expected, atol=unit_roundoff("float64") ** 0.5), key


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("settings", [{}, DEEP], ids=["plain", "deep"])
def test_padding_changes_nothing(name, settings):
    x, parameters, state = drawn(name, **settings)
    lengths = np.array([2, 5, 3])
    padded = run(reference, name, x, parameters, state, lengths, **settings)
    garbage = np.where((np.arange(5)[:, None] < lengths)[:, :, None], x, 1e3)
    again = run(reference, name, garbage, parameters, state, lengths, **settings)
    assert all(np.array_equal(padded[key], again[key]) for key in padded)
    for row, length in enumerate(lengths):
        own = {key: value[:, row : row + 1] for key, value in state.items()}
        alone = run(reference, name, x[:length, row : row + 1], parameters, own, **settings)
        assert close(padded["output"][:length, row], alone["output"][:, 0])
        assert not padded["output"][length:, row].any()
        assert close(padded["h_n"][:, row], alone["h_n"][:, 0])


@pytest.mark.parametrize("name", CLASSES)
def test_a_sequence_read_in_parts(name):
    x, parameters, state = drawn(name)
    whole = run(reference, name, x, parameters, state)
    first = run(reference, name, x[:2], parameters, state)
    carried = {key: first[key.replace("_0", "_n")] for key in state}
    second = run(reference, name, x[2:], parameters, carried)
    assert close(np.concatenate((first["output"], second["output"])), whole["output"])
    assert close(second["h_n"], whole["h_n"])


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("settings", [{}, {**DEEP, "batch_first": True}], ids=["plain", "all"])
@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_torch_takes_lengths_as_the_reference_does(name, settings, device):
    x, parameters, state = drawn(name, **settings)
    module = getattr(ours, CLASSES[name])(4, 2, **settings).double()
    module.load_state_dict({key: torch.tensor(value) for key, value in parameters.items()})
    module.to(device)
    rows = [torch.tensor(value, device=device) for value in state.values()]
    lengths, start = np.array([3, 5, 1]), tuple(rows) if len(rows) > 1 else rows[0]
    output, final = module(torch.tensor(x, device=device), start, torch.tensor(lengths))
    found = run(reference, name, x, parameters, state, lengths, **settings)
    final = final if isinstance(final, tuple) else (final,)
    assert all(close(v.detach().cpu(), right) for v, right in zip((output, *final), found.values(), strict=True))


@pytest.mark.parametrize("name", CLASSES)
def test_torch_class_is_a_drop_in(name):
    theirs = getattr(torch.nn, CLASSES[name])(3, 4, 2, bidirectional=True)
    module = getattr(ours, CLASSES[name])(3, 4, 2, bidirectional=True)
    module.load_state_dict(theirs.state_dict())
    x = torch.randn(6, 5, 3, generator=torch.Generator().manual_seed(0))
    packed = packing.pack_padded_sequence(x, torch.tensor([6, 2, 4, 1, 6]), enforce_sorted=False)
    for given in (x, x[:, 0], x[:, :0], packed):
        (output, final), (expected, last) = module(given), theirs(given)
        pairs = [(getattr(output, "data", output), getattr(expected, "data", expected))]
        pairs += zip(final, last, strict=True) if isinstance(final, tuple) else [(final, last)]
        assert all(torch.equal(a, b) for a, b in pairs)


def test_forget_bias_starts_where_it_is_told():
    torch.manual_seed(0)
    module = ours.LSTM(3, 4, num_layers=2, bidirectional=True, forget_bias=1.0)
    for suffix in ("l0", "l1_reverse"):
        total = getattr(module, f"bias_ih_{suffix}") + getattr(module, f"bias_hh_{suffix}")
        assert torch.equal(total[4:8], torch.ones(4))
        assert not torch.equal(total[:4], torch.ones(4))


def call(name, code, x, state=None, lengths=None, **settings):
    """The same call of the NumPy reference and of the PyTorch class."""
    if code == "reference":
        return run(reference, name, x, drawn(name)[1], state, lengths, **settings)
    module = getattr(ours, CLASSES[name])(4, 2, **settings).double()
    rows = None if state is None else tuple(map(torch.tensor, state.values()))
    rows = rows[0] if rows and len(rows) == 1 else rows
    return module(torch.tensor(x), rows, None if lengths is None else torch.tensor(lengths))


BAD = [
    ({"x": np.ones((3, 2, 5))}, ValueError, "x has 5 features, expected 4"),
    ({"x": np.ones((0, 2, 4))}, ValueError, "x has shape (0, 2, 4), expected three axes and at least one step"),
    ({"x": np.ones((3, 2, 4, 1))}, ValueError, "x has shape (3, 2, 4, 1), expected three axes and at least one step"),
    (
        {"x": np.ones((3, 2, 4)), "lengths": np.array([4, 1])},
        ValueError,
        "lengths is [4, 1], expected numbers from 1 to 3, the steps of x",
    ),
    (
        {"x": np.ones((3, 2, 4)), "lengths": np.array([0, 1])},
        ValueError,
        "lengths is [0, 1], expected numbers from 1 to 3, the steps of x",
    ),
    ({"x": np.ones((3, 2, 4)), "lengths": np.array([1])}, ValueError, "lengths has shape (1,), expected (2,)"),
    ({"x": np.ones((3, 2, 4)), "lengths": np.ones(2)}, TypeError, "lengths has dtype float64, expected integers"),
    (
        {"x": np.ones((3, 2, 4)), "state": {"h_0": np.ones((1, 3, 2))}},
        ValueError,
        "h_0 has shape (1, 3, 2), expected (1, 2, 2)",
    ),
]


@pytest.mark.parametrize("code", ["reference", "torch"])
@pytest.mark.parametrize(("given", "error", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_arguments(code, given, error, message):
    with pytest.raises(error) as raised:
        call("rnn", code, **given)
    assert str(raised.value) == message


@pytest.mark.parametrize("code", ["reference", "torch"])
def test_unknown_nonlinearity(code):
    with pytest.raises(ValueError, match="nonlinearity is 'sine', expected 'tanh' or 'relu'"):
        call("rnn", code, np.ones((3, 2, 4)), nonlinearity="sine")


def test_forget_bias_without_biases():
    with pytest.raises(ValueError, match=r"forget_bias is 1\.0 with bias False, expected None or bias True"):
        ours.LSTM(3, 4, bias=False, forget_bias=1.0)


def test_reference_refuses_parameters_that_do_not_fit():
    x, held, _ = drawn("gru")
    with pytest.raises(ValueError, match="parameters differ from the expected ones by bias_hh_l0, bias_ih_l0"):
        reference.gru(x, held, bias=False)
    with pytest.raises(ValueError, match=r"bias_ih_l0 has shape \(5,\), expected \(6,\)"):
        reference.gru(x, {**held, "bias_ih_l0": np.ones(5)})
    with pytest.raises(ValueError, match="parameters has no weight_ih_l0 of two axes"):
        reference.gru(x, {})
    with pytest.raises(ValueError, match="grad has c_n, expected output or h_n"):
        reference.gru_backward({"c_n": np.ones((1, 3, 2))}, x, held)


def test_an_empty_batch():
    x, held, _ = drawn("lstm")
    found = reference.lstm(x[:, :0], held)
    assert found["output"].shape == (5, 0, 2)
    assert reference.lstm_backward({"output": found["output"]}, x[:, :0], held)["weight_hh_l0"].any() == np.False_


def test_complex_steps_give_the_derivative_of_a_cell():
    def unit(given, recurrent, state):
        i, f, g, o = (a + b for a, b in zip(given, recurrent, strict=True))
        c = mistakes.sigmoid(f) * state[1] + mistakes.sigmoid(i) * np.tanh(g)
        return mistakes.sigmoid(o) * np.tanh(c), c

    rng, right = np.random.default_rng(0), lstm_cell(0.0, "sigmoid")
    made = mistakes.differentiated(unit, right)
    given, weight, bias = rng.normal(size=(3, 8)), rng.normal(size=(8, 2)), rng.normal(size=8)
    state, grads = tuple(rng.normal(size=(2, 3, 2))), tuple(rng.normal(size=(2, 3, 2)))
    backs = []
    for cell in (right, made):
        after, kept = cell.step(given, state, weight, bias)
        *others, before = cell.back(grads, kept, weight)
        backs.append([*after, *others, *before])
    assert all(close(a, b) for a, b in zip(*backs, strict=True))


@pytest.mark.parametrize("fault", [f for f in registry.faults().values() if f.component in CLASSES], ids=lambda f: f.id)
def test_mistakes_of_a_forward_run_have_their_own_gradients(fault):
    name = fault.component
    if name not in fault.replaces:
        pytest.skip("only the way back is mistaken, or what surrounds it")
    settings = {"num_layers": 2, "bidirectional": True}
    x, parameters, state = drawn(name, steps=3, batch=3, features=3, **settings)
    lengths = np.array([3, 1, 2])
    forward, backward = fault.replaces[name], fault.replaces[f"{name}_backward"]
    grad = {"output": np.random.default_rng(5).normal(size=(3, 3, 4))}
    back = backward(grad, x, parameters, state=state, lengths=lengths, **settings)

    def loss(key, value):
        given = {**parameters, **state, "x": x, key: value}
        held, start = {k: given[k] for k in parameters}, {k: given[k] for k in state}
        found = forward(given["x"], held, state=start, lengths=lengths, **settings)
        return float((found["output"] * grad["output"]).sum())

    rng = np.random.default_rng(6)
    for key in ("x", "weight_hh_l1", "bias_ih_l0_reverse", *state):
        value = {"x": x, **parameters, **state}[key]
        direction = rng.normal(size=value.shape)
        slope = gradient_by_differences(lambda t, k=key, v=value, d=direction: loss(k, v + t * d), np.zeros(1))
        assert np.isclose(slope[0], (back[key] * direction).sum(), atol=unit_roundoff("float64") ** 0.5), key


class Loop(torch.nn.Module):
    """An LSTM as one writes it, with torch's names."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        for name, shape in reference.lstm_parameters(input_size, hidden_size).items():
            self.register_parameter(name, torch.nn.Parameter(torch.zeros(shape)))

    def forward(self, x, state=None):
        h, c = (s[0] for s in state) if state else 2 * [x.new_zeros(x.shape[1], self.hidden_size)]
        outputs = []
        for row in x:
            h, c = self.step(row, h, c)
            outputs.append(h)
        return torch.stack(outputs), (h[None], c[None])

    def step(self, row, h, c):
        gates = row @ self.weight_ih_l0.T + self.bias_ih_l0 + h @ self.weight_hh_l0.T + self.bias_hh_l0
        i, f, g, o = gates.chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class OutputOnly(Loop):
    def forward(self, x):
        return super().forward(x)[0]


class Detached(Loop):
    def step(self, row, h, c):
        return super().step(row, h.detach(), c.detach())


class KerasGRU:
    """NumPy, in Keras' layout: kernel, recurrent_kernel and a bias of two rows, blocks z, r, h."""

    def __init__(self, units, input_dim):
        self.kernel, self.recurrent_kernel = np.zeros((input_dim, 3 * units)), np.zeros((units, 3 * units))
        self.bias = np.zeros((2, 3 * units))

    def forward(self, x):
        h, outputs = np.zeros((len(x), len(self.recurrent_kernel))), []
        for row in x.swapaxes(0, 1):
            given = np.split(row @ self.kernel + self.bias[0], 3, axis=1)
            recurrent = np.split(h @ self.recurrent_kernel + self.bias[1], 3, axis=1)
            z, r = (sigmoid(a + b) for a, b in zip(given[:2], recurrent[:2], strict=True))
            h = z * h + (1 - z) * np.tanh(given[2] + r * recurrent[2])
            outputs.append(h)
        return np.stack(outputs, 1)


def gru_function(x, weight_ih, weight_hh, bias_ih, bias_hh, h_0=None):
    parameters = {"weight_ih_l0": weight_ih, "weight_hh_l0": weight_hh, "bias_ih_l0": bias_ih, "bias_hh_l0": bias_hh}
    found = reference.gru(x, parameters, None if h_0 is None else {"h_0": h_0})
    return found["output"], found["h_n"]


def judged(code, name, **fixed):
    component = registry.components()[name]
    return judge(component, adapt(component, code, fixed), fixed=fixed, examples=2)


@pytest.mark.parametrize(
    ("code", "name", "fixed", "conventions"),
    [
        (Loop, "lstm", {}, {"forget_bias": "stored", "time_axis": "first", "biases": "two"}),
        (OutputOnly, "lstm", {}, {"time_axis": "first"}),
        (KerasGRU, "gru", {"layout": "keras"}, {"time_axis": "second", "reset": "after", "biases": "two"}),
        (gru_function, "gru", {}, {"reset": "after", "update": "keeps"}),
        (lambda input_size, hidden_size: torch.nn.GRU(input_size, hidden_size), "gru", {}, {"biases": "two"}),
    ],
    ids=["module", "output only", "keras", "function", "factory"],
)
def test_accepted_forms(code, name, fixed, conventions):
    report = judged(code, name, **fixed)
    assert report.conforms, report
    assert conventions.items() <= report.conventions.items()


def test_a_detached_state_is_named():
    report = judged(Detached, "lstm")
    assert report.findings[0].flag == "bptt-carry-not-updated"


class NeverEvaluated(torch.nn.LSTM):
    def train(self, mode=True):
        return super().train(True)


class Unscaled(torch.nn.GRU):
    """Layers one by one, with a mask between them that scales nothing."""

    def forward(self, x, state=None):
        if not self.dropout or self.bidirectional or not self.training:
            return super().forward(x, state)
        finals = []
        for layer in range(self.num_layers):
            single = torch.nn.GRU(x.shape[2], self.hidden_size, batch_first=self.batch_first).to(x.dtype)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                setattr(single, f"{name}_l0", getattr(self, f"{name}_l{layer}"))
            x, final = single(x)
            finals.append(final)
            x = x if layer == self.num_layers - 1 else x * (torch.rand_like(x) >= self.dropout)
        return x, torch.cat(finals)


class DroppedOutputs(torch.nn.LSTM):
    """As TF1's DropoutWrapper around every cell."""

    def forward(self, x, state=None):
        output, final = super().forward(x, state)
        return torch.nn.functional.dropout(output, self.dropout, self.training), final


class DroppedInputs(torch.nn.RNN):
    """As Keras' ``dropout`` of stacked layers."""

    def forward(self, x, state=None):
        return super().forward(torch.nn.functional.dropout(x, self.dropout, self.training), state)


@pytest.mark.parametrize(
    ("code", "name", "option"), [(DroppedOutputs, "lstm", "outputs"), (DroppedInputs, "rnn", "inputs")]
)
def test_dropout_may_act_after_or_before_every_layer(code, name, option):
    report = judged(code, name)
    assert report.conforms
    assert report.conventions["dropped"] == option


class ByDirection(torch.nn.RNN):
    """Final states direction by direction."""

    def forward(self, x, state=None):
        output, final = super().forward(x, state)
        directions = 1 + self.bidirectional
        return output, final.unflatten(0, (-1, directions)).transpose(0, 1).flatten(0, 1)


class FinalDetached(torch.nn.GRU):
    def forward(self, x, state=None):
        output, final = super().forward(x, state)
        return output, final.detach()


@pytest.mark.parametrize(
    ("code", "name", "flag"),
    [
        (NeverEvaluated, "lstm", "lstm-dropout-in-evaluation"),
        (Unscaled, "gru", "gru-dropout-not-scaled"),
        (ByDirection, "rnn", "rnn-final-states-by-direction"),
        (FinalDetached, "gru", "gru-final-state-detached"),
    ],
)
def test_mistakes_around_the_cells_are_named(code, name, flag):
    assert judged(code, name).findings[0].flag == flag


def test_keras_names_without_the_layout_get_a_hint():
    case = registry.checks("gru")[0].cases[0]
    with pytest.raises(Misbehaviour, match="fix layout=keras"):
        adapt(registry.components()["gru"], KerasGRU).observe(case)


def hands_on(error):
    """An LSTM of one layer that hands on the keywords it does not know, and what they are handed to refuses them."""

    class HandsOn(torch.nn.LSTM):
        def __init__(self, input_size, hidden_size, bias=True, **others):
            if others:
                raise error(f"unknown keywords: {others}")
            super().__init__(input_size, hidden_size, bias=bias)

    return HandsOn


@pytest.mark.parametrize("error", [TypeError, ValueError])
def test_what_a_layer_hands_on_in_vain_is_not_provided(error):
    found = judged(hands_on(error), "lstm")
    lacking = {outcome.id.rpartition(".")[2] for outcome in found.checks if outcome.status == "not_provided"}
    assert found.conforms
    assert {"bidirectional", "layers", "dropout"} <= lacking


def test_an_unknown_layout_is_refused():
    with pytest.raises(Refused, match="layout is 'onnx', expected torch or keras"):
        adapt(registry.components()["gru"], KerasGRU, {"layout": "onnx"})


def test_a_snippet_runs_and_prints_the_gradient():
    from dlcheck.conformance.snippets import snippet

    component = registry.components()["lstm"]
    cases = [case for check in registry.checks("lstm") for case in check.cases if case.run != "built"]
    chosen: dict[tuple[str, ...], Case] = {tuple(case.inputs): case for case in cases}
    for case in chosen.values():
        code = snippet(component, case, "torch.nn:LSTM")
        exec(compile(code, "snippet", "exec"), {})
