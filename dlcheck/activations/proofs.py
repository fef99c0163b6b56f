"""Exact proofs about activations.

Exponentials are the variables: with e = exp(x) the derivative by x is e d/de, and everything is rational in e.
Inequalities are proved as identities whose right-hand side is visibly positive.
"""

from collections.abc import Callable, Sequence

import sympy as sp

from dlcheck.evidence.symbolic import Proof

SIZES = range(2, 9)
"""Numbers of logits, depths and powers for which a proof is carried out one by one."""

_E, _P = sp.symbols("e p", positive=True)
_X, _A, _D = sp.symbols("x a d", real=True)


def _by_logit(value: sp.Expr, exponential: sp.Expr) -> sp.Expr:
    return exponential * sp.diff(value, exponential)


def _sigmoid(e: sp.Expr) -> sp.Expr:
    return e / (1 + e)


def _tanh(e: sp.Expr) -> sp.Expr:
    return (e - 1 / e) / (e + 1 / e)


def _entries(
    entry: Callable[[Sequence[sp.Symbol], int], sp.Expr], claimed: Callable[[Sequence[sp.Symbol], int, int], sp.Expr]
) -> tuple[sp.Expr, ...]:
    """Jacobian minus the claimed one, entry by entry, for every size."""
    every = [sp.symbols(f"e:{n}", positive=True) for n in SIZES]
    return tuple(
        _by_logit(entry(e, i), e[j]) - claimed(e, i, j) for e in every for i in range(len(e)) for j in range(len(e))
    )


def _softmax(e: Sequence[sp.Expr], i: int) -> sp.Expr:
    return e[i] / sum(e, sp.Integer(0))


def softmax_jacobian() -> tuple[Proof, ...]:
    """dp_i/dz_j = p_i (delta_ij - p_j), for sizes one by one and for the general entry of any size."""
    right = _entries(_softmax, lambda e, i, j: _softmax(e, i) * (int(i == j) - _softmax(e, j)))
    diagonal_only = _entries(_softmax, lambda e, i, j: _softmax(e, i) * (1 - _softmax(e, j)) * int(i == j))
    mine, other, rest = sp.symbols("e_i e_j r", positive=True)
    p, q = mine / (mine + other + rest), other / (mine + other + rest)
    general = (_by_logit(p, mine) - p * (1 - p), _by_logit(p, other) + p * q)
    return (
        Proof("softmax Jacobian is diag(p) - p p^T", right, diagonal_only, f"n = {SIZES[0]} to {SIZES[-1]}"),
        Proof(
            "dp_i/dz_i = p_i (1 - p_i) and dp_i/dz_j = -p_i p_j",
            general,
            (general[0], _by_logit(p, other)),
            "any n: the exponentials other than i and j are one symbol, their sum, which z_i and z_j leave alone",
        ),
    )


def log_softmax_jacobian() -> tuple[Proof, ...]:
    """d log p_i/dz_j = delta_ij - p_j."""

    def log_softmax(e: Sequence[sp.Expr], i: int) -> sp.Expr:
        return sp.log(e[i]) - sp.log(sum(e, sp.Integer(0)))

    right = _entries(log_softmax, lambda e, i, j: int(i == j) - _softmax(e, j))
    transposed = _entries(log_softmax, lambda e, i, j: int(i == j) - _softmax(e, i))
    return (Proof("log-softmax Jacobian is I - 1 p^T", right, transposed, f"n = {SIZES[0]} to {SIZES[-1]}"),)


def sigmoid_jacobian() -> tuple[Proof, ...]:
    """ds_i/dz_j = delta_ij s_i (1 - s_i)."""

    def sigmoid(e: Sequence[sp.Expr], i: int) -> sp.Expr:
        return _sigmoid(e[i])

    right = _entries(sigmoid, lambda e, i, j: int(i == j) * sigmoid(e, i) * (1 - sigmoid(e, i)))
    as_softmax = _entries(sigmoid, lambda e, i, j: sigmoid(e, i) * (int(i == j) - sigmoid(e, j)))
    return (Proof("sigmoid Jacobian is diag(s (1 - s))", right, as_softmax, f"n = {SIZES[0]} to {SIZES[-1]}"),)


def affine_composition() -> tuple[Proof, ...]:
    """An affine map of an affine map is affine; by induction so is every depth."""
    w, v, b, c, x = sp.symbols("W V b c x", commutative=False)
    composed = w * (v * x + b) + c
    return (
        Proof(
            "W (V x + b) + c = (W V) x + (W b + c)",
            composed - (w * v * x + w * b + c),
            composed - (v * w * x + w * b + c),
            "matrices of all fitting sizes (symbols do not commute); any depth by induction",
        ),
    )


def polynomial_degree() -> tuple[Proof, ...]:
    """A polynomial of degree d of one of degree m has degree d m, so L layers reach at most d^L."""
    degrees = [(d, m) for d in range(1, 5) for m in range(1, 5)]
    leading = tuple(_leading_coefficient(d, m) for d, m in degrees)
    expected = tuple(sp.Symbol(f"c{d}") * sp.Symbol(f"a{m}") ** d for d, m in degrees)
    return (
        Proof(
            "the coefficient of t^(d m) in q(p(t)) is c_d a_m^d, and no higher power occurs",
            tuple(found - coefficient for found, coefficient in zip(leading, expected, strict=True)),
            leading,
            "degrees d, m = 1 to 4, symbolic coefficients; affine maps keep the degree, so L layers have degree d^L",
        ),
    )


def _leading_coefficient(d: int, m: int) -> sp.Expr:
    t = sp.Symbol("t")
    inner = sum(sp.Symbol(f"a{i}") * t**i for i in range(m + 1))
    composed = sp.Poly(sum(sp.Symbol(f"c{i}") * inner**i for i in range(d + 1)), t)
    return composed.coeff_monomial(t ** (d * m)) + sum(composed.all_coeffs()[: -(d * m) - 1])


def saturation_limits() -> tuple[Proof, ...]:
    """Limits of the four functions of the table; an infinite one is shown by its reciprocal."""
    slope = sp.Symbol("slope", positive=True)
    sigmoid, tanh = _sigmoid(sp.exp(_X)), _tanh(sp.exp(_X))

    def at(function: sp.Expr, bound: sp.Expr) -> sp.Expr:
        return sp.limit(function, _X, bound)

    finite = (at(sigmoid, sp.oo) - 1, at(sigmoid, -sp.oo), at(tanh, sp.oo) - 1, at(tanh, -sp.oo) + 1)
    infinite = (at(1 / _X, sp.oo), at(1 / (slope * _X), -sp.oo))
    return (
        Proof("sigmoid tends to 0 and 1, tanh to -1 and 1", finite, at(sigmoid, -sp.oo) + 1, "all x"),
        Proof("1/ReLU -> 0 at +oo, 1/Leaky ReLU -> 0 at both ends", infinite, at(1 / tanh, sp.oo), "every slope > 0"),
    )


def saturation_derivatives() -> tuple[Proof, ...]:
    """Within delta of a bound, sigmoid' = delta (1 - delta) and tanh' = delta (2 - delta)."""
    s, t = _sigmoid(_E), _tanh(_E)
    slope_s, slope_t = _by_logit(s, _E), _by_logit(t, _E)
    return (
        Proof("s' = (1 - s) (1 - (1 - s))", slope_s - (1 - s) * (1 - (1 - s)), slope_s - (1 - s), "all x"),
        Proof("tanh' = (1 - t) (2 - (1 - t))", slope_t - (1 - t) * (2 - (1 - t)), slope_t - (1 - t), "all x"),
        Proof("s' d(-log s)/ds = s - 1", slope_s * -1 / s - (s - 1), slope_s * -1 / s - s, "all x: cross-entropy"),
    )


def sigmoid_derivative() -> tuple[Proof, ...]:
    """s' = s (1 - s) <= 1/4, the largest value only at x = 0."""
    s = _sigmoid(_E)
    slope, quarter = _by_logit(s, _E), sp.Rational(1, 4)
    return (
        Proof("s' = s (1 - s)", slope - s * (1 - s), slope - s * (1 + s), "all x"),
        Proof("1/4 - s' = (1/2 - s)^2", quarter - slope - (sp.Rational(1, 2) - s) ** 2, quarter - slope, "all x"),
    )


def sigmoid_interval() -> tuple[Proof, ...]:
    """s and 1 - s are quotients of positive numbers, and so is s': strictly inside (0, 1), strictly increasing."""
    s = _sigmoid(_E)
    slope = _by_logit(s, _E)
    return (
        Proof("1 - s = 1/(1 + e)", 1 - s - 1 / (1 + _E), s - 1 / (1 + _E), "all x, e = exp(x) > 0"),
        Proof("s' = e/(1 + e)^2", slope - _E / (1 + _E) ** 2, slope - 1 / (1 + _E) ** 2, "all x, e = exp(x) > 0"),
    )


def sigmoid_signs() -> tuple[Proof, ...]:
    """s(x) + s(-x) = 1; the gradients delta s_i and delta s_j have product delta^2 s_i s_j >= 0."""
    s, mirrored = _sigmoid(_E), _sigmoid(1 / _E)
    product = (_D * s) * (_D * _sigmoid(_P))
    positive = _D**2 * _E * _P / ((1 + _E) * (1 + _P))
    return (
        Proof("s(x) + s(-x) = 1: centred at 1/2", s + mirrored - 1, s + mirrored, "all x"),
        Proof("dL/dw_i dL/dw_j = delta^2 s_i s_j", product - positive, product + positive, "one example, any delta, x"),
    )


def tanh_identities() -> tuple[Proof, ...]:
    """tanh' = 1 - tanh^2, tanh = 2 sigmoid(2x) - 1, tanh is odd."""
    t, s = _tanh(_E), _sigmoid(_E**2)
    slope = _by_logit(t, _E)
    return (
        Proof("tanh' = 1 - tanh^2", slope - (1 - t**2), slope - (1 - t), "all x"),
        Proof("tanh(x) = 2 sigmoid(2x) - 1", t - (2 * s - 1), slope - (2 * s - 1), "all x; false of the derivative"),
        Proof("tanh(-x) = -tanh(x)", _tanh(1 / _E) + t, _tanh(1 / _E) - t, "all x"),
    )


def fisher_condition() -> tuple[Proof, ...]:
    """Fisher information of y = w h + b + N(0, 1) with E h = m, var h = v: [[m^2 + v, m], [m, 1]].

    The condition number grows with trace^2/det = (1 + m^2 + v)^2/v. For symmetric pre-activations tanh has m = 0
    and v = E tanh(x)^2 <= 1, the sigmoid m = 1/2 and u = E tanh(x/2)^2 / 4 <= v/4.
    """
    m, r, u, v = sp.symbols("m r u v", positive=True)
    scores = [sp.Matrix([h, 1]) for h in (m + r, m - r)]
    expected = sum((score * score.T / 2 for score in scores), sp.zeros(2, 2))
    fisher = sp.Matrix([[m**2 + v, m], [m, 1]])
    c = sp.Rational(5, 4)
    falls = (c + u) ** 2 / u - (c + v) ** 2 / v
    above = (c + v / 4) ** 2 / (v / 4) - (1 + v) ** 2 / v
    return (
        Proof(
            "E (h, 1)(h, 1)^T = [[m^2 + v, m], [m, 1]]",
            tuple(expected - fisher.subs(v, r**2)),
            tuple(expected - sp.diag(m**2 + r**2, 1)),
            "h = m + r or m - r, v = r^2: only the two moments enter",
        ),
        Proof("det = v", fisher.det() - v, fisher.det() - v - m**2, "any law"),
        Proof("(5/4 + u)^2/u falls in u up to 5/4", falls - (v - u) * (c**2 / (u * v) - 1), falls, "0 < u < v <= 5/4"),
        Proof(
            "at u = v/4 it exceeds (1 + v)^2/v by (3 - v)(7 + 3v)/(4v)",
            above - (3 - v) * (7 + 3 * v) / (4 * v),
            above - (3 - v) / (4 * v),
            "0 < v <= 1",
        ),
    )


def relu_paths() -> tuple[Proof, ...]:
    """ReLU' is 1 above 0 and 0 below; through L active units the gradient is the product of the weights alone."""
    weights = sp.symbols(f"w:{SIZES[-1]}", positive=True)
    outputs = [_P]
    for weight in weights:
        outputs.append(sp.Max(0, weight * outputs[-1]))
    gradients = [sp.diff(output, _P) for output in outputs]
    products = [sp.prod(weights[:depth]) for depth in range(len(outputs))]
    above, below = _pieces(lambda x: sp.Max(0, x))
    return (
        Proof("ReLU' is 1 for x > 0 and 0 for x < 0", (above - 1, below), (above, below), "all x but 0"),
        Proof(
            "dh_L/dh_0 = w_1 ... w_L on an active path",
            tuple(gradient - product for gradient, product in zip(gradients, products, strict=True)),
            tuple(gradient - product / 4 for gradient, product in zip(gradients, products, strict=True)),
            f"L = 0 to {SIZES[-1]}, each step by the chain rule",
        ),
    )


def _pieces(function: Callable[[sp.Expr], sp.Expr]) -> tuple[sp.Expr, sp.Expr]:
    """Derivative by x of a function with a kink at 0, right of it and left of it."""
    return sp.diff(function(_P), _P), -sp.diff(function(-_P), _P)


def _leaky_relu(x: sp.Expr, slope: sp.Expr) -> sp.Expr:
    return sp.Max(0, x) + slope * sp.Min(0, x)


def leaky_relu_derivative() -> tuple[Proof, ...]:
    """LeakyReLU' is 1 above 0 and the slope below."""
    above, below = _pieces(lambda x: _leaky_relu(x, _A))
    return (
        Proof("f' is 1 for x > 0 and a for x < 0", (above - 1, below - _A), (above - 1, below), "all x but 0, all a"),
    )


def prelu_slope_gradient() -> tuple[Proof, ...]:
    """d(sum g_i f(x_i, a))/da = sum g_i min(x_i, 0), for every pattern of signs."""
    right, wrong = [], []
    for count in range(1, 5):
        upstream, sizes = sp.symbols(f"g:{count}", real=True), sp.symbols(f"p:{count}", positive=True)
        for pattern in range(2**count):
            x = [size * (1 - 2 * (pattern >> i & 1)) for i, size in enumerate(sizes)]
            gradient = sp.diff(sum(g * _leaky_relu(value, _A) for g, value in zip(upstream, x, strict=True)), _A)
            right.append(gradient - sum(g * sp.Min(0, value) for g, value in zip(upstream, x, strict=True)))
            wrong.append(gradient - sum(g * value for g, value in zip(upstream, x, strict=True)))
    return (Proof("dL/da = sum g min(x, 0)", right, wrong, "1 to 4 elements, all signs; any number as a sum of terms"),)


def maxout_special_cases() -> tuple[Proof, ...]:
    """max(x, 0) is ReLU, max(x, -x) is |x|, max(x, (1 - d) x) is Leaky ReLU of slope 1 - d for d >= 0."""
    sides = (_P, -_P)
    relu = tuple(sp.Max(x, 0) - (x + abs(x)) / 2 for x in sides)
    absolute = tuple(sp.Max(x, -x) - abs(x) for x in sides)
    gap = sp.Symbol("d", nonnegative=True)
    ahead = (_P - (1 - gap) * _P - gap * _P, (1 - gap) * -_P + _P - gap * _P)
    steeper = (_P - (1 + gap) * _P - gap * _P, (1 + gap) * -_P + _P - gap * _P)
    return (
        Proof("ReLU(x) = max(x, 0)", relu, tuple(sp.Max(x, 0) - x for x in sides), "x > 0 and x < 0"),
        Proof("|x| = max(x, -x)", absolute, tuple(sp.Max(x, 0) - abs(x) for x in sides), "x > 0 and x < 0"),
        Proof("the map that Leaky ReLU takes leads by d |x|", ahead, steeper, "slope 1 - d with d >= 0; not 1 + d"),
    )


def maxout_convexity() -> tuple[Proof, ...]:
    """With M(x) = z_i(x) + d and M(y) = z_i(y) + e, d and e >= 0, the chord is above every affine map, so above M."""
    t, zx, zy, d, e = sp.symbols("t z_x z_y d e", nonnegative=True)
    chord, between = t * (zx + d) + (1 - t) * (zy + e), t * zx + (1 - t) * zy
    return (
        Proof(
            "t M(x) + (1 - t) M(y) - z_i(t x + (1 - t) y) = t d + (1 - t) e",
            chord - between - (t * d + (1 - t) * e),
            chord - between,
            "any number of maps and inputs, 0 <= t <= 1",
        ),
    )
