"""What the notes say about restricted Boltzmann machines, judged by proof."""

from typing import Any

import numpy as np
from scipy.special import expit

from dlcheck.component import Source, notes
from dlcheck.evidence import numerics, seeds
from dlcheck.evidence.symbolic import evidence, proved
from dlcheck.judgement import Judgement, claim
from dlcheck.pretraining import proofs

_NOTES = notes("004, Parameters Initialization")
_HINTON = Source(
    "Hinton, Osindero, Teh 2006, A fast learning algorithm for deep belief nets",
    "sections 2, 3",
    "https://doi.org/10.1162/neco.2006.18.7.1527",
)


@claim(
    "init.rbm-conditional-independence",
    says="In the RBMs of a deep belief network the hidden units are independent given the visible ones, each a sigmoid "
    "of an affine map.",
    sources=(_NOTES, _HINTON),
    evidence="proof",
    verdict="holds",
    formula=r"P(h \mid v) = \prod_j P(h_j \mid v), \quad P(h_j = 1 \mid v) = \sigma(c_j + W_j \cdot v)",
    component="rbm_free_energy",
)
def rbm_conditional_independence(implementation: Any) -> Judgement:
    """Prove it by enumeration; read probabilities and covariances off the free energy's gradient."""
    steps = (*proofs.energy_is_affine(), *proofs.hidden_units_are_independent())
    rng = seeds.generator()
    v, weight, b, c = (rng.uniform(0, 1, (1, 5)) > 0.5) * 1.0, *(rng.normal(size=s) for s in ((4, 5), 5, 4))

    def probabilities(bias: Any) -> Any:
        """P(h_j = 1 | v) = -dF/dc_j; its derivative by c_i is the covariance of h_i and h_j given v."""
        return -implementation.backward(np.ones(1), v, weight, b, bias)["hidden_bias"]

    expected = expit(v[0] @ weight.T + c)
    tied = bool(np.all(np.abs(probabilities(c) - expected) <= numerics.roundings(expected, "float64", 64)))
    moved = [probabilities(c + np.eye(4)[i]) == probabilities(c) for i in range(4)]
    alone = bool(np.array_equal(np.stack(moved), ~np.eye(4, dtype=bool)))
    return Judgement(
        evidence(
            *steps, tied="-dF/dc of the implementation is that sigmoid, and entry j does not change with c_i, i != j"
        ),
        confirmed=proved(*steps) and tied and alone,
        explanation="It is a statement on each machine by itself, with binary units and no terms between hidden ones. "
        "Once another machine is stacked upon it the network's own posterior no longer factorises: with W = 0 in the "
        "lower machine and one unit above tied to two hidden ones by log 3, all biases 0, both are on with probability "
        "10/20, each of them with 14/20, and 0.5 is not 0.7^2.",
    )
