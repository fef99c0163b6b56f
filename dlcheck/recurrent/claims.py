"""The notes' statements on recurrent layers, judged by proof and by search."""

from typing import Any

import hypothesis.strategies as st
import numpy as np

from dlcheck.component import Source, notes
from dlcheck.evidence import numerics, seeds, symbolic
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim
from dlcheck.recurrent import proofs, runs
from dlcheck.recurrent.runs import Array
from dlcheck.recurrent.stack_claims import counts as counts
from dlcheck.recurrent.stack_claims import is_a_stack as is_a_stack

_NOTES = notes("001, section 1.2")
_PASCANU = Source(
    "Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks (2013)",
    "section 2.1",
    "https://arxiv.org/abs/1211.5063",
)
_GRAVES = Source(
    "Graves, Mohamed, Hinton: Speech recognition with deep recurrent neural networks (2013)",
    "equation 11",
    "https://arxiv.org/abs/1303.5778",
)
_SCHUSTER = Source(
    "Schuster, Paliwal: Bidirectional recurrent neural networks (1997)",
    "section II",
    "https://doi.org/10.1109/78.650093",
)
_CHAN = Source("Chan et al.: Listen, attend and spell (2016)", "equation 5", "https://arxiv.org/abs/1508.01211")
_GERS = Source(
    "Gers, Schmidhuber, Cummins: Learning to forget (2000)", "section 4", "https://doi.org/10.1162/089976600300015015"
)
_JOZEFOWICZ = Source(
    "Jozefowicz, Zaremba, Sutskever: An empirical exploration of recurrent network architectures (2015)",
    "section 2.2",
    "https://proceedings.mlr.press/v37/jozefowicz15.html",
)
_CHO = Source(
    "Cho et al.: Learning phrase representations using RNN encoder-decoder (2014)",
    "equation 7",
    "https://arxiv.org/abs/1406.1078",
)
_GOODFELLOW = Source("Goodfellow, Bengio, Courville: Deep learning (2016)", "section 10.7")

_SEED = st.integers(0, 2**16)
_STEPS = st.integers(1, 12)


def _one_unit(weight: float, features: float = 0.0) -> dict[str, Array]:
    """A single unit without biases in use."""
    return {"weight_ih_l0": np.full((1, 1), features), "weight_hh_l0": np.full((1, 1), weight)}


def _gradient_norms(implementation: Any, scale: float, steps: int = 60, hidden: int = 16) -> tuple[Array, Array]:
    """Norms of dE/dh_t by distance T - t along a tanh layer whose weight is ``scale`` times an orthogonal one."""
    rng = seeds.generator(1)
    orthogonal = np.linalg.qr(rng.normal(size=(hidden, hidden)))[0]
    held = {"weight_ih_l0": np.eye(hidden), "weight_hh_l0": scale * orthogonal}
    x = 0.1 * rng.normal(size=(steps, 1, hidden))
    grad = np.zeros((steps, 1, hidden))
    grad[-1] = 1 / np.sqrt(hidden)
    back = runs.gradients(implementation, {"output": grad}, x, held, bias=False)["x"][:, 0]
    # of the pre-activations, as the input's weight is the identity: the state's are W^T of the step after
    norms = np.linalg.norm(back[1:] @ held["weight_hh_l0"], axis=1)[::-1]
    return np.arange(1.0, steps), norms


def _beyond_bound(implementation: Any, seed: int, steps: int, hidden: int, scale: float) -> float:
    """|dE/dh_0| over its bound (max|phi'| |W|)^T |dE/dh_T|, of any tanh layer along any sequence."""
    rng = np.random.default_rng(seed)
    held = runs.parameters(rng, 2, hidden)
    held["weight_hh_l0"] = scale * held["weight_hh_l0"]
    x, grad = rng.normal(size=(steps, 1, 2)), rng.normal(size=(1, 1, hidden))
    state = {"h_0": rng.normal(size=(1, 1, hidden))}
    reached = runs.outputs(implementation, x, held, state)["output"]
    back = runs.gradients(implementation, {"h_n": grad}, x, held, state)["h_0"]
    factor = float((1 - reached**2).max()) * float(np.linalg.norm(held["weight_hh_l0"], 2))
    bound = factor**steps * float(np.linalg.norm(grad))
    rounding = float(numerics.roundings(np.array(bound), "float64", 8 * steps * (hidden + 2)))
    return float(np.linalg.norm(back)) / (bound + rounding)


@claim(
    "rnn.vanishing-cause",
    says="A simple RNN's gradient vanishes because it is a product of one Jacobian per time step: it is bounded by "
    "(max|phi'| * ||W||)^(T-t).",
    sources=(_NOTES, _PASCANU),
    evidence="proof",
    verdict="conditional",
    formula=r"\frac{\partial h_T}{\partial h_t} = \prod_{s=t+1}^{T} \mathrm{diag}(\phi'(a_s))\, W, \qquad "
    r"\left\lVert \frac{\partial h_T}{\partial h_t} \right\rVert \le "
    r"\left( \max|\phi'| \, \lVert W \rVert \right)^{T-t}",
    component="rnn",
)
def rnn_vanishing_cause(implementation: Any) -> Judgement:
    """Prove product and bound; look for a gradient beyond it, and for one that does not vanish."""
    lemmas = proofs.jacobians()
    domain = {"seed": _SEED, "steps": _STEPS, "hidden": st.integers(1, 5), "scale": st.floats(0.1, 3.0)}
    search = runs.searched(
        lambda **example: _beyond_bound(implementation, **example), domain, "the gradient against its bound"
    )
    still = {"h_0": np.zeros((1, 1, 1))}
    one = {"h_n": np.ones((1, 1, 1))}
    grown = runs.gradients(implementation, one, np.zeros((10, 1, 1)), _one_unit(2.0), still, bias=False)["h_0"].item()
    scales = (0.5, 0.9, 1.0, 1.5)
    series = {f"‖W‖ = {scale}": tuple(map(list, _gradient_norms(implementation, scale))) for scale in scales}
    return Judgement(
        evidence=symbolic.evidence(*lemmas, tied=runs.tied(search)),
        confirmed=symbolic.proved(*lemmas),
        conditions="the norm is one in which a diagonal matrix has the size of its largest entry (spectral, row or "
        "column sums), and max|phi'| ||W|| < 1, which makes the bound fall; else the bound grows and the gradient "
        "need not vanish",
        counterexample=Counterexample(
            says="one tanh unit with W = 2 that stays at h = 0, where phi' = 1: the bound is attained and grows",
            inputs={"W": 2.0, "h_0": 0.0, "x_t": 0.0, "T": 10},
            claimed="a gradient that vanishes",
            actual=grown,
            confirmed=grown == 2.0**10,
        ),
        explanation="It is the product that vanishes or explodes, by its factors. ||W|| < 1 / max|phi'| is enough to "
        "vanish, ||W|| > 1 / max|phi'| necessary to explode, and saturated units make the product fall faster "
        "than its bound.",
        figures=(
            Figure("Gradient along a tanh layer", "steps back", "norm of dE/dh", series, y_scale="log"),  # type: ignore[arg-type]
        ),
    )


def _layer(held: dict[str, Array], layer: int, directions: int = 1) -> dict[str, Array]:
    """The parameters of one layer, as those of the first."""
    suffixes = ("", "_reverse")[:directions]
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return {f"{kind}_l0{end}": held[f"{kind}_l{layer}{end}"] for kind in kinds for end in suffixes}


def _stacked_error(implementation: Any, seed: int, steps: int, layers: int, directions: int) -> float:
    """Error of a deep network against its layers run one after the other, over the allowed one."""
    rng = np.random.default_rng(seed)
    held = runs.parameters(rng, 3, 2, layers=layers, directions=directions)
    x, both = rng.normal(size=(steps, 2, 3)), directions == 2
    deep = runs.outputs(implementation, x, held, num_layers=layers, bidirectional=both)["output"]
    below = x
    for layer in range(layers):
        below = runs.outputs(implementation, below, _layer(held, layer, directions), bidirectional=both)["output"]
    return runs.excess(deep, below, x, 2 * layers)


@claim(
    "rnn.deep-stacks",
    says="A deep RNN feeds each layer's whole output sequence to the next layer.",
    sources=(_NOTES, _GRAVES),
    evidence="property",
    verdict="holds",
    formula=r"h^n_t = \phi(W_{h^{n-1} h^n} h^{n-1}_t + W_{h^n h^n} h^n_{t-1} + b^n_h)",
    component="rnn",
)
def rnn_deep_stacks(implementation: Any) -> Judgement:
    """Search for a deep network that differs from its layers run one by one over whole sequences."""
    domain = {"seed": _SEED, "steps": _STEPS, "layers": st.integers(1, 4), "directions": st.sampled_from([1, 2])}
    search = runs.searched(
        lambda **example: _stacked_error(implementation, **example), domain, "deep against layer after layer"
    )
    return Judgement(
        evidence=search,
        confirmed=True,
        explanation="Layer after layer and step after step give the same numbers: layer n needs of the layer below "
        "only what that has given so far, unless it is bidirectional, which needs the whole sequence first.",
    )


def _joined_error(implementation: Any, seed: int, steps: int) -> float:
    """Error of a bidirectional layer against two runs that are joined, over the allowed one."""
    rng = np.random.default_rng(seed)
    held = runs.parameters(rng, 3, 2, directions=2)
    x = rng.normal(size=(steps, 2, 3))
    there = {name: value for name, value in held.items() if not name.endswith("_reverse")}
    back = {name.removesuffix("_reverse"): value for name, value in held.items() if name.endswith("_reverse")}
    forwards = runs.outputs(implementation, x, there)["output"]
    backwards = runs.outputs(implementation, x[::-1].copy(), back)["output"][::-1]
    both = runs.outputs(implementation, x, held, bidirectional=True)["output"]
    return runs.excess(both, np.concatenate((forwards, backwards), axis=2), x, 2)


def _unseen(implementation: Any, steps: int = 8) -> int:
    """How many pairs of an output's step and an input's step have a gradient of exactly 0, for drawn weights."""
    rng = seeds.generator(2)
    held, x = runs.parameters(rng, 3, 4, directions=2), rng.normal(size=(steps, 1, 3))
    unseen = 0
    for step in range(steps):
        grad = np.zeros((steps, 1, 8))
        grad[step] = rng.normal(size=8)
        back = runs.gradients(implementation, {"output": grad}, x, held, bidirectional=True)["x"]
        unseen += int((~back.any(axis=(1, 2))).sum())
    return unseen


def _cut_off(implementation: Any) -> list[float]:
    """Outputs at the last step of a relu layer whose middle step is dead, for two values of the first input."""
    held = {**_one_unit(1.0, 1.0), **{f"{name}_reverse": value for name, value in _one_unit(1.0, 1.0).items()}}
    fixed = {"bidirectional": True, "bias": False, "nonlinearity": "relu"}
    found = [
        runs.outputs(implementation, np.array([first, -5.0, 1.0]).reshape(3, 1, 1), held, **fixed)["output"][2, 0]
        for first in (1.0, 2.0)
    ]
    return [float(value) for outputs in found for value in outputs]


@claim(
    "rnn.bidirectional-sees-both-sides",
    says="A bidirectional RNN's output at every step depends on the whole sequence; it is a forward run joined with a "
    "run over the reversed sequence.",
    sources=(_NOTES, _SCHUSTER),
    evidence="property",
    verdict="conditional",
    formula=r"y_t = [\overrightarrow{h}_t, \overleftarrow{h}_t], \qquad \frac{\partial \overrightarrow{h}_t}"
    r"{\partial x_s} = \left( \prod_{r=s+1}^{t} J_r \right) \mathrm{diag}(\phi'(a_s))\, W_{ih}, \; s \le t",
    component="rnn",
)
def rnn_bidirectional_sees_both_sides(implementation: Any) -> Judgement:
    """Search for a layer that is not two joined runs; count the steps that an output does not depend on."""
    search = runs.searched(
        lambda **example: _joined_error(implementation, **example),
        {"seed": _SEED, "steps": _STEPS},
        "both directions against two joined runs",
    )
    unseen, cut = _unseen(implementation), _cut_off(implementation)
    size = {**search.size, "pairs of steps": 64, "pairs without a gradient": unseen}
    return Judgement(
        evidence=Evidence("property", f"{search.how}; gradients of every output by every input", size),
        confirmed=unseen == 0,
        conditions="the product of Jacobians between two steps is not zero: no step between them at which every unit "
        "is saturated or dead, and recurrent weights other than zero",
        counterexample=Counterexample(
            says="one relu unit a direction, all weights 1: at x = (x_1, -5, 1) the middle state is 0 either way, and "
            "the last output does not depend on x_1",
            inputs={"x": "(1, -5, 1) and (2, -5, 1)", "weights": 1.0},
            claimed="outputs at the last step that differ with x_1",
            actual=cut,
            confirmed=cut == [1.0, 1.0, 1.0, 1.0],
        ),
        explanation="The second run's outputs are turned back before they are joined, so that both halves of a step's "
        "output have seen that step. The halves have separate weights and do not see each other within a layer. Far "
        "steps fade as in any simple layer.",
    )


def _halved(implementation: Any, steps: int, layers: int) -> Array:
    """The outputs of a pyramidal layer for a drawn sequence (1, T, 2)."""
    return runs.outputs(implementation, *_pyramid(steps, layers))["output"]


def _pyramid(steps: int, layers: int, hidden: int = 2) -> tuple[Array, dict[str, Array]]:
    rng = np.random.default_rng([steps, layers])
    held = {}
    for layer in range(layers):
        width = 4 * hidden if layer else 4
        found = runs.parameters(rng, width, hidden, gates=4, directions=2)
        held |= {f"layers.{layer}.{name}": value for name, value in found.items()}
    return rng.normal(size=(1, steps, 2)), held


def _neighbours_joined(implementation: Any) -> bool:
    """Whether joining neighbours by hand gives a sequence that the first layer cannot tell from its own joining."""
    x, held = _pyramid(8, 1)
    changed = x.copy()
    changed[:, [0, 1]] = x[:, [1, 0]]
    outputs = [runs.outputs(implementation, sequence, held)["output"] for sequence in (x, changed)]
    pairs = {name: value.copy() for name, value in held.items()}
    for name in pairs:
        if "weight_ih" in name:
            pairs[name] = np.concatenate((held[name][:, 2:], held[name][:, :2]), axis=1)
    swapped = x.reshape(1, 4, 2, 2)[:, :, ::-1].reshape(1, 8, 2)
    exchanged = runs.outputs(implementation, swapped, pairs)["output"]
    return runs.excess(exchanged, outputs[0], x, 4) <= 1 < runs.excess(outputs[1], outputs[0], x, 4)


@claim(
    "rnn.pyramidal-halves-time",
    says="A pyramidal RNN joins neighbouring steps between layers, so each layer halves the length of the sequence.",
    sources=(_NOTES, _CHAN),
    evidence="property",
    verdict="conditional",
    formula=r"h^j_i = \mathrm{BLSTM}\left(h^j_{i-1}, [h^{j-1}_{2i}, h^{j-1}_{2i+1}]\right), \qquad "
    r"T_j = \lfloor T_{j-1} / 2 \rfloor",
    component="pyramidal_rnn",
)
def rnn_pyramidal_halves_time(implementation: Any) -> Judgement:
    """Run every length up to 32 through one to three layers; join the neighbours the other way round."""
    cases = [(steps, layers) for layers in (1, 2, 3) for steps in range(2**layers, 33)]
    lengths = {case: _halved(implementation, *case).shape[1] for case in cases}
    even = [case for case in cases if case[0] % 2 ** case[1] == 0]
    exact = all(lengths[steps, layers] * 2**layers == steps for steps, layers in even)
    rounded_down = all(length == steps // 2**layers for (steps, layers), length in lengths.items())
    joined = _neighbours_joined(implementation)
    size = {"lengths": "2^L to 32 for L = 1, 2, 3", "cases": len(cases), "of them even at every layer": len(even)}
    return Judgement(
        evidence=Evidence("property", "every length in a range; pairs exchanged together with their weights", size),
        confirmed=exact and rounded_down and joined,
        conditions="the length is even at every layer, so a multiple of 2^L for L layers; otherwise a step without a "
        "neighbour is dropped and T becomes floor(T / 2)",
        counterexample=Counterexample(
            says="five steps make two pairs, and the last step is dropped",
            inputs={"T": 5, "layers": 1},
            claimed=2.5,
            actual=lengths[5, 1],
            confirmed=lengths[5, 1] == 2,
        ),
        explanation="Joining doubles the width of what the next layer reads. Encoders that pad an odd length with "
        "zeros come to ceil(T / 2), and those whose first layer reads the frames as they are reduce by 2^(L-1).",
    )


def _opened(forget_bias: float, hidden: int = 1) -> dict[str, Array]:
    """An LSTM whose only parameter other than 0 is the bias of its forget gates."""
    held = {"weight_ih_l0": np.zeros((4 * hidden, 1)), "weight_hh_l0": np.zeros((4 * hidden, hidden))}
    biases = {name: np.zeros(4 * hidden) for name in ("bias_ih_l0", "bias_hh_l0")}
    biases["bias_ih_l0"][hidden : 2 * hidden] = forget_bias
    return {**held, **biases}


def _kept(implementation: Any, forget_bias: float, steps: int) -> float:
    """dc_T / dc_0 of such an LSTM."""
    state = {"h_0": np.zeros((1, 1, 1)), "c_0": np.full((1, 1, 1), 0.5)}
    one, x = {"c_n": np.ones((1, 1, 1))}, np.zeros((steps, 1, 1))
    return float(runs.gradients(implementation, one, x, _opened(forget_bias), state)["c_0"].item())


def _kept_error(implementation: Any, forget_bias: float, steps: int) -> float:
    expected = np.array((1 / (1 + np.exp(-forget_bias))) ** steps)
    allowed = numerics.roundings(expected, "float64", 8 * steps)
    return float(abs(_kept(implementation, forget_bias, steps) - expected) / allowed)


def _products(bias: float, steps: int = 100) -> tuple[list[float], list[float]]:
    """The product of forget gates with a bias, after each step."""
    counted = np.arange(1.0, steps + 1)
    return counted.tolist(), ((1 / (1 + np.exp(-bias))) ** counted).tolist()


@claim(
    "lstm.forget-bias",
    says="Starting the forget gate with a large bias helps: the cell's gradient over T steps is the product of the "
    "forget gates, which stays near 1 instead of 2^-T.",
    sources=(_NOTES, _GERS, _JOZEFOWICZ),
    evidence="proof",
    verdict="conditional",
    formula=r"\frac{\partial c_T}{\partial c_0} = \prod_{t=1}^{T} f_t = \sigma(b)^T \ge 1 - \delta \iff "
    r"b \ge \log \frac{(1-\delta)^{1/T}}{1 - (1-\delta)^{1/T}} \approx \log \frac{T}{\delta}",
    component="lstm",
)
def lstm_forget_bias(implementation: Any) -> Judgement:
    """Prove the product and the bias that keeps it; look at the usual bias of 1."""
    lemmas = proofs.cell_gradient()
    search = runs.searched(
        lambda **example: _kept_error(implementation, **example),
        {"forget_bias": st.floats(-3.0, 12.0), "steps": st.integers(1, 40)},
        "dc_T/dc_0 against the product of the gates",
    )
    usual = _kept(implementation, 1.0, 10)
    biases = {f"b = {bias}": _products(bias) for bias in (0, 1, 2, 5)}
    return Judgement(
        evidence=symbolic.evidence(*lemmas, tied=runs.tied(search)),
        confirmed=symbolic.proved(*lemmas),
        conditions="along the cell alone (recurrent weights add paths through the gates), at inputs that add nothing "
        "to the bias, and for b >= log(q / (1 - q)) with q = (1 - delta)^(1/T), about log(T / delta), to stay above "
        "1 - delta",
        counterexample=Counterexample(
            says="with the usual bias of 1 a forget gate is 0.731, and ten of them make 0.0436",
            inputs={"b": 1.0, "T": 10, "recurrent weights": 0.0},
            claimed="a product near 1",
            actual=usual,
            confirmed=usual < 0.05,
        ),
        explanation="The bias has to grow with the logarithm of the delay: 5 keeps half of the gradient over 100 "
        "steps, 1 over two. The start is all that it sets; training moves the gates.",
        figures=(Figure("What the forget gates leave", "steps T", "product of the gates", biases),),
    )


def _sigmoid(x: Array) -> Array:
    return 0.5 + 0.5 * np.tanh(x / 2)


def _averaged_error(implementation: Any, seed: int, hidden: int, size: float) -> float:
    """Error of one step of a GRU against the gated average of its own gates, over the allowed one.

    Infinite where the new state lies outside of the old state and the candidate.
    """
    rng = np.random.default_rng(seed)
    held = runs.parameters(rng, 2, hidden, gates=3)
    x, h = size * rng.normal(size=(1, 1, 2)), size * rng.normal(size=(1, 1, hidden))
    new = runs.outputs(implementation, x, held, {"h_0": h})["output"][0, 0]
    given = x[0, 0] @ held["weight_ih_l0"].T + held["bias_ih_l0"]
    recurrent = h[0, 0] @ held["weight_hh_l0"].T + held["bias_hh_l0"]
    (given_r, given_z, given_n), (from_r, from_z, from_n) = np.split(given, 3), np.split(recurrent, 3)
    z, n = _sigmoid(given_z + from_z), np.tanh(given_n + _sigmoid(given_r + from_r) * from_n)
    allowed = numerics.roundings(1 + np.abs(h[0, 0]) + np.abs(given).max() + np.abs(recurrent).max(), "float64", 64)
    between = (np.minimum(h[0, 0], n) - allowed <= new) & (new <= np.maximum(h[0, 0], n) + allowed)
    error = np.abs(new - (z * h[0, 0] + (1 - z) * n)) / allowed
    return float(error.max()) if between.all() else np.inf


@claim(
    "gru.convex-update",
    says="A GRU's new state is a gated average of the old state and a tanh candidate.",
    sources=(_NOTES, _CHO),
    evidence="proof",
    verdict="holds",
    formula=r"h_t = z_t \odot h_{t-1} + (1 - z_t) \odot n_t, \qquad 0 < z_t < 1",
    component="gru",
)
def gru_convex_update(implementation: Any) -> Judgement:
    """Prove that the weights are those of an average; search for a state outside of what it averages."""
    lemmas = proofs.gated_average()
    domain = {"seed": _SEED, "hidden": st.integers(1, 4), "size": st.sampled_from([0.1, 1.0, 10.0])}
    search = runs.searched(
        lambda **example: _averaged_error(implementation, **example), domain, "a step against the gated average"
    )
    return Judgement(
        evidence=symbolic.evidence(*lemmas, tied=runs.tied(search)),
        confirmed=symbolic.proved(*lemmas),
        explanation="Every unit has a weight of its own, so that the new state lies in the box spanned by the old "
        "state and the candidate: it never leaves [-1, 1] once inside, which an LSTM's cell does. Whether z weighs the "
        "old state or the candidate is a convention; both are averages.",
    )


def _training(implementation: Any, steps: int = 40) -> tuple[list[float], list[float]]:
    """Weight and gradient of one relu unit that should reach a million in 30 steps from 1, by gradient descent."""
    weight, weights, found = 1.5, [], []
    x, start = np.zeros((30, 1, 1)), {"h_0": np.ones((1, 1, 1))}
    fixed = {"bias": False, "nonlinearity": "relu"}
    for _ in range(steps):
        held = _one_unit(weight)
        with np.errstate(all="ignore"):
            end = runs.outputs(implementation, x, held, start, **fixed)["h_n"]
            back = runs.gradients(implementation, {"h_n": end - 1e6}, x, held, start, **fixed)["weight_hh_l0"].item()
            weights, found = [*weights, weight], [*found, back]
            weight = float(np.float32(weight - np.float32(back)))
    return weights, found


@claim(
    "gradient.explodes-to-nan",
    says="In deep or recurrent networks gradients can accumulate until the weights overflow to NaN and can no longer "
    "be updated.",
    sources=(notes("003, exploding gradients"), _GOODFELLOW, _PASCANU),
    evidence="property",
    verdict="holds",
    formula=r"E = \frac{1}{2} (w^T - y)^2, \quad \frac{\partial E}{\partial w} = (w^T - y)\, T w^{T-1}, \qquad "
    r"\mathrm{NaN} - \eta g = \mathrm{NaN}",
    component="rnn",
)
def gradient_explodes_to_nan(implementation: Any) -> Judgement:
    """Train one unit whose gradient is a power of its weight, and try every kind of update on what becomes of it."""
    weights, found = _training(implementation)
    lost = next((step for step, weight in enumerate(weights) if np.isnan(weight)), len(weights))
    after = np.isnan(weights[lost:]).all() and lost < len(weights)
    tried = np.concatenate((seeds.generator(3).normal(size=1000), [0.0, np.inf, -np.inf, np.nan]))
    stuck = bool(np.isnan(np.nan - 0.1 * tried).all())
    size = {"steps to NaN": lost, "steps after it": len(weights) - lost, "updates tried on NaN": len(tried)}
    finite = [(step, abs(value)) for step, value in enumerate(found) if np.isfinite(value) and value]
    series = {"gradient of the weight": ([float(step) for step, _ in finite], [value for _, value in finite])}
    return Judgement(
        evidence=Evidence("property", "gradient descent on one recurrent weight, kept in float32", size),
        confirmed=bool(after) and stuck,
        explanation="A gradient beyond the largest number makes the weight infinite, and infinity times 0 or infinity "
        "minus infinity in the next step makes NaN, which no update changes. Clipping the gradient's norm, a smaller "
        "rate or a smaller start avoid it: the statement is of what can happen.",
        figures=(Figure("Gradient until the weight is lost", "update", "size", series, "scatter", y_scale="log"),),
    )
