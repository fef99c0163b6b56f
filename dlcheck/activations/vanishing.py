"""What the notes say about gradients that vanish on their way down: how fast, and what it depends on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import sympy as sp
import torch
from numpy.typing import NDArray

from dlcheck.component import Source, notes
from dlcheck.evidence import experiment, symbolic
from dlcheck.evidence.numerics import unit_roundoff
from dlcheck.evidence.symbolic import Proof
from dlcheck.judgement import Counterexample, Evidence, Figure, Judgement, claim

Array = NDArray[np.float64]

_NOTES = notes("003, vanishing gradients")
_BENGIO = Source(
    "Bengio, Simard, Frasconi 1994, Learning long-term dependencies with gradient descent is difficult",
    "section IV",
    "https://doi.org/10.1109/72.279181",
)
_GLOROT = Source(
    "Glorot, Bengio 2010, Understanding the difficulty of training deep feedforward neural networks",
    "sections 3 and 4",
    "https://proceedings.mlr.press/v9/glorot10a.html",
)


def products() -> tuple[Proof, ...]:
    """Products of L factors, by induction on L: of equal ones, and of 1 - 1/(i + 1)^2, which never falls to 1/2."""
    layers, q = sp.symbols("L q", positive=True)
    telescoped = (layers + 2) / (2 * (layers + 1))
    factor = 1 - 1 / (layers + 2) ** 2

    def steps(form: Any) -> tuple[sp.Basic, sp.Basic]:
        return form.subs(layers, 0) - 1, sp.together(form.subs(layers, layers + 1) - form * factor)

    return (
        Proof(
            "L factors of at most q multiply to at most q^L",
            q**layers * q - q ** (layers + 1),
            q**layers - q,
            "every L",
        ),
        Proof(
            "the product of 1 - 1/(i + 1)^2 for i = 1 to L is (L + 2) / (2 (L + 1))",
            steps(telescoped),
            steps((layers + 3) / (2 * (layers + 1))),
            "every L, by induction",
        ),
    )


@claim(
    "gradient.vanishes-exponentially",
    says="Passed back through layers the gradient is multiplied by a factor per layer, so factors below 1 make it "
    "decay exponentially with depth.",
    sources=(_NOTES, _BENGIO),
    evidence="proof",
    verdict="conditional",
    formula=r"\lVert \delta_0 \rVert \le \prod_{l=1}^{L} \lVert J_l \rVert \, \lVert \delta_L \rVert \le q^L "
    r"\lVert \delta_L \rVert \quad \text{if all } \lVert J_l \rVert \le q < 1",
)
def gradient_vanishes_exponentially() -> Judgement:
    """Factors bounded away from 1 give q^L; factors below 1 that approach it need not decay at all."""
    proofs, depth = products(), 1000
    factors = 1 - 1 / np.arange(2, depth + 2) ** 2
    survived, foretold = float(np.prod(factors)), (depth + 2) / (2 * (depth + 1))
    tied = f"the second product at L = {depth} in floating point is {survived:.6f}, by the formula "
    tied += f"{foretold:.6f}"
    layers = list(range(0, 61, 2))
    return Judgement(
        symbolic.evidence(*proofs, tied=tied),
        confirmed=symbolic.proved(*proofs) and abs(survived - foretold) <= 4 * depth * unit_roundoff("float64"),
        conditions="all factors (norms of the layers' Jacobians) are at most one q < 1, as with equal layers: then at "
        "most q^L of the gradient is left after L layers",
        counterexample=Counterexample(
            "Layer i multiplies by 1 - 1/(i + 1)^2: 3/4, 8/9, 15/16, ... All are below 1, and half of the gradient is "
            "left at any depth.",
            {"factors": "1 - 1/(i + 1)^2", "layers": depth},
            claimed="decays exponentially: less than 0.99^1000 = 0.00004 for factors of 0.99",
            actual=survived,
            confirmed=bool(np.all(factors < 1)) and survived > 0.5,
        ),
        explanation="A product of numbers below 1 tends to zero exactly when the sum of their distances from 1 "
        "diverges, and exponentially when these stay above some 1 - q. In a network the factor is a matrix; its norm "
        "bounds what is left from above, so the gradient may be smaller still, and is where the directions differ.",
        figures=(
            Figure(
                "What is left of a gradient",
                "layers",
                "share",
                {
                    **{f"factor {q}": (layers, [q**n for n in layers]) for q in (0.25, 0.9, 0.99)},
                    "1 - 1/(i + 1)^2": (layers, [(n + 2) / (2 * (n + 1)) for n in layers]),
                },
                y_scale="log",
            ),
        ),
    )


DEPTH, WIDTH, STEPS, BATCH = 10, 32, 30, 64
VANISHED = 1.0
"""Decades by which the compared must differ to count."""
FLOOR = 1e-12
"""Norms below it count as it: nothing is learned from so small a gradient in float32."""


def _passed_back(network: experiment.Network, data: experiment.Data, runs: range, rate: float, steps: int) -> Array:
    """Log10 of the norm of the loss's gradient by every layer's pre-activations, after some steps, (S, layers)."""
    x, y = data.train
    weights = [w.requires_grad_() for w in network.weights(x.shape[2], data.outputs, runs)]
    picks = [torch.randint(x.shape[1], (steps + 1, BATCH), generator=experiment.generator(s, "batches")) for s in runs]
    of, pick = torch.arange(len(runs))[:, None], torch.stack(picks)
    with experiment.one_thread():
        for step in range(steps):
            loss = data.loss(network(weights, x[of, pick[:, step]]), y[of, pick[:, step]])
            gradients = torch.autograd.grad(loss.sum(), weights)
            with torch.no_grad():
                for weight, gradient in zip(weights, gradients, strict=True):
                    weight -= rate * gradient
        passed = _deltas(network, weights, x[of, pick[:, steps]], y[of, pick[:, steps]], data)
    return np.log10(np.maximum(passed, FLOOR))


def _deltas(
    network: experiment.Network,
    weights: Sequence[torch.Tensor],
    x: torch.Tensor,
    y: torch.Tensor,
    data: experiment.Data,
) -> Array:
    before = [torch.baddbmm(weights[1], x, weights[0])]
    for weight, bias in zip(weights[2::2], weights[3::2], strict=True):
        before.append(torch.baddbmm(bias, network.activation(before[-1]), weight))
    gradients = torch.autograd.grad(data.loss(before[-1], y).sum(), before)
    return torch.stack([g.flatten(1).norm(dim=1) for g in gradients], 1).double().numpy()


def _lost(decades: Array) -> Array:
    """Decades between the last layer's gradient and the first's, (S,)."""
    return decades[:, -1] - decades[:, 0]


@claim(
    "gradient.causes",
    says="Vanishing depends on the learning rate, the initialisation and the activation's saturation.",
    sources=(_NOTES, _GLOROT),
    evidence="empirical",
    verdict="conditional",
)
def gradient_causes() -> Judgement:
    """Ten layers of 32 units on the handwritten digits: one cause changed at a time.

    Rule: from the last layer to the first the gradient loses at least a decade more after 30 steps at a rate of 20 than
    at 0.01 (tanh), with a tenth of Glorot's initial deviation (tanh), and with the sigmoid in place of tanh.
    """
    runs = experiment.seeds(experiment.PROFILE, times=3)  # how far units are driven into saturation varies much
    data = experiment.load("digits", runs)

    def small(fan_in: int, fan_out: int) -> float:
        return 0.1 * experiment.glorot(fan_in, fan_out)

    hidden = (WIDTH,) * DEPTH
    tanh = experiment.Network(hidden, torch.tanh)
    found = {
        "tanh": _passed_back(tanh, data, runs, 0.01, 0),
        "tanh, tenth of the initial deviation": _passed_back(
            experiment.Network(hidden, torch.tanh, small), data, runs, 0.01, 0
        ),
        "sigmoid": _passed_back(experiment.Network(hidden, torch.sigmoid), data, runs, 0.01, 0),
        "tanh, 30 steps at 0.01": _passed_back(tanh, data, runs, 0.01, STEPS),
        "tanh, 30 steps at 20": _passed_back(tanh, data, runs, 20.0, STEPS),
    }
    lost = {name: _lost(decades) for name, decades in found.items()}
    compared = {
        "rate 20 - 0.01": experiment.paired(lost["tanh, 30 steps at 20"], lost["tanh, 30 steps at 0.01"], VANISHED),
        "tenth of the deviation - Glorot": experiment.paired(
            lost["tanh, tenth of the initial deviation"], lost["tanh"], VANISHED
        ),
        "sigmoid - tanh": experiment.paired(lost["sigmoid"], lost["tanh"], VANISHED),
    }
    first = _lost(_passed_back(tanh, data, runs, 20.0, 0))
    return Judgement(
        Evidence(
            "empirical",
            "paired runs on the handwritten digits, decades lost from the last layer's gradient to the first's",
            {"profile": experiment.PROFILE, "level of intervals": experiment.LEVEL}
            | {name: str(interval) for name, interval in compared.items()},
        ),
        confirmed=all(interval.decision == "larger" for interval in compared.values()),
        conditions="the learning rate matters from the first update on, through the weights that it leads to; "
        "initialisation and activation matter from the start",
        counterexample=Counterexample(
            "Before the first update the gradient is that of the initial weights, whatever the rate is.",
            {"network": f"{DEPTH} layers of {WIDTH} tanh units", "steps": 0, "rates": [0.01, 20.0]},
            claimed="another rate, another loss of the gradient",
            actual={"largest difference in decades": float(np.max(np.abs(first - lost["tanh"])))},
            confirmed=bool(np.array_equal(first, lost["tanh"])),
        ),
        explanation="Each layer multiplies the gradient by its weights and by the slope of its activation. Small "
        "initial weights and the sigmoid's slope of at most 1/4 are small factors from the start; too large a rate "
        "drives the units to where tanh is flat, which makes them small later.",
        figures=(_figure(found),),
    )


def _figure(found: dict[str, Array]) -> Figure:
    layers: Sequence[float] = list(range(1, DEPTH + 2))
    series = {name: (layers, (10 ** np.median(decades, axis=0)).tolist()) for name, decades in found.items()}
    return Figure("Median norm of the gradient by each layer's pre-activations", "layer", "norm", series, y_scale="log")
