"""Identities of recurrent layers, decided exactly: activations are opaque functions with a derivative of their own."""

from typing import Any

import sympy as sp

from dlcheck.evidence.symbolic import Proof


class Activation(sp.Function):
    """Any differentiable function of one number."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> Any:
        return Slope(self.args[0])


class Slope(sp.Function):
    """The derivative of ``Activation``."""

    nargs = 1


def jacobians(units: int = 2, steps: int = 3) -> tuple[Proof, ...]:
    """dh_T / dh_0 is the product of diag(phi'(a_t)) W, and what each factor does to a length.

    Source: Pascanu, Mikolov, Bengio, On the difficulty of training recurrent neural networks (2013), equation 5.
    """
    weight = sp.Matrix(units, units, sp.symbols(f"w:{units * units}"))
    start = sp.Matrix(sp.symbols(f"h:{units}"))
    given = [sp.Matrix(sp.symbols(f"v{t}_:{units}")) for t in range(steps)]
    state, factors = start, []
    for row in given:
        before = weight * state + row
        factors.append(sp.diag(*before.applyfunc(Slope)) * weight)
        state = before.applyfunc(Activation)
    whole = state.jacobian(start)
    product, reverse = sp.eye(units), sp.eye(units)
    for factor in factors:
        product, reverse = factor * product, reverse * factor
    most, slopes, lengths = sp.Symbol("m"), sp.symbols(f"d:{units}"), sp.symbols(f"u:{units}")
    slack = sum((most**2 - d**2) * u**2 for d, u in zip(slopes, lengths, strict=True))
    squashed = sum((d * u) ** 2 for d, u in zip(slopes, lengths, strict=True))
    total = sum(u**2 for u in lengths)
    return (
        Proof("dh_T/dh_0 = J_T ... J_1 with J_t = diag(phi'(a_t)) W", whole - product, whole - reverse,
              f"{units} units, {steps} steps, any weights and activation"),
        Proof("|diag(d) u|^2 falls short of m^2 |u|^2 by sum (m^2 - d_i^2) u_i^2, which is not negative for |d_i| <= m",
              most**2 * total - squashed - slack, most * total - squashed - slack, f"{units} units, any d and u"),
    )  # fmt: skip


def cell_gradient() -> tuple[Proof, ...]:
    """dc_T / dc_0 of an LSTM is the product of the forget gates along the cell, and what a bias makes of it.

    Source: Gers, Schmidhuber, Cummins, Learning to forget (2000), section 4; Jozefowicz et al. (2015), section 2.2.
    """
    start, recurrent = sp.symbols("c_0 u")
    cell, hidden, forgets = start, sp.Integer(0), []
    for t in range(3):
        gates: Any = [Activation(a + recurrent * hidden) for a in sp.symbols(f"i{t} f{t} g{t} o{t}")]
        i, f, g, o = gates
        cell, forgets = f * cell + i * g, [*forgets, f]
        squashed: Any = Activation(cell)
        hidden = o * squashed
    along, apart = cell.diff(start), sp.prod(forgets)
    steps, q = sp.symbols("T q", positive=True)
    opened = q / (1 - q)  # e^b at which the gate is q
    return (
        Proof("without recurrent weights dc_T/dc_0 is the product of the forget gates",
              (along - apart).subs(recurrent, 0), along - apart,
              "one unit, 3 steps, any gates; with recurrent weights there is a path through the gates too"),
        Proof("a gate with bias 0 and no input is 1/2, and T of them make 2^-T",
              (1 / (1 + sp.exp(-sp.Integer(0)))) ** steps - 2**-steps, (1 / (1 + sp.exp(-1))) ** steps - 2**-steps,
              "every T"),
        Proof("the bias log(q / (1 - q)) opens the gate to q", 1 / (1 + 1 / opened) - q, 1 / (1 + opened) - q,
              "every q in (0, 1); q = (1 - delta)^(1/T) keeps 1 - delta over T steps"),
    )  # fmt: skip


def gated_average() -> tuple[Proof, ...]:
    """The weights of a GRU's update are positive and add up to 1, so that it stays between what it averages.

    Source: Cho et al., Learning phrase representations (2014), equation 7.
    """
    h, n, bound, odds = sp.symbols("h n m E", positive=True)
    z = odds / (1 + odds)  # the logistic function of log E
    new = z * h + (1 - z) * n
    return (
        Proof("the weights are E/(1+E) and 1/(1+E) for E = e^a > 0, and add up to 1",
              z + 1 / (1 + odds) - 1, z + odds - 1, "every pre-activation a"),
        Proof("below a bound m of both, z h + (1 - z) n stays below it by z (m - h) + (1 - z)(m - n)",
              bound - new - z * (bound - h) - (1 - z) * (bound - n), bound - new - z * (bound - h) - (bound - n),
              "all symbols; with -h and -n for a bound from below"),
    )  # fmt: skip
