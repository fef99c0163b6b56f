"""L2 penalties, dropout's expectation and early stopping on quadratic costs, decided exactly."""

import sympy as sp

from dlcheck.evidence.symbolic import Proof

Expr = sp.Expr
C, ALPHA = sp.symbols("C alpha", positive=True)


def _symmetric(size: int) -> sp.Matrix:
    return sp.Matrix(size, size, lambda i, j: sp.Symbol(f"h{min(i, j)}{max(i, j)}"))


def _vector(name: str, size: int) -> sp.Matrix:
    return sp.Matrix(sp.symbols(f"{name}:{size}"))


def _gradient(cost: Expr, w: sp.Matrix) -> sp.Matrix:
    return sp.Matrix([sp.diff(cost, each) for each in w])


def _quadratic(hessian: sp.Matrix, w: sp.Matrix, minimum: sp.Matrix) -> Expr:
    return ((w - minimum).T * hessian * (w - minimum))[0] / 2


def gradient_step() -> tuple[Proof, ...]:
    """One step on J + C/2 w'w for an opaque J of three weights.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equations 7.2 to 7.5.
    """
    w = _vector("w", 3)
    cost = sp.Function("J")(*w)
    step = w - ALPHA * _gradient(cost + C / 2 * (w.T * w)[0], w)
    usual = ALPHA * _gradient(cost, w)
    factor = 1 - ALPHA * C
    return (
        Proof(
            "the step is (1 - alpha C) w - alpha grad J",
            step - (factor * w - usual),
            step - (factor * w - factor * usual),
            "every J, three weights",
        ),
        Proof(
            "the factor's square is 1 - alpha C (2 - alpha C): below 1 exactly for alpha C < 2",
            factor**2 - 1 + ALPHA * C * (2 - ALPHA * C),
            factor**2 - 1 + ALPHA * C * (1 - ALPHA * C),
        ),
    )


def penalised_minimum() -> tuple[Proof, ...]:
    """The gradient of a penalised quadratic is (H + C I) w - H w*, which vanishes at (H + C I)^-1 H w* alone.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equations 7.7 to 7.10.
    """
    return tuple(_penalised(size) for size in (2, 3, 4))


def _penalised(size: int) -> Proof:
    hessian, w, minimum = _symmetric(size), _vector("w", size), _vector("m", size)
    gradient = _gradient(_quadratic(hessian, w, minimum) + C / 2 * (w.T * w)[0], w)
    return Proof(
        f"the penalised gradient is (H + C I) w - H w* ({size} weights)",
        gradient - ((hessian + C * sp.eye(size)) * w - hessian * minimum),
        gradient - ((hessian + C * sp.eye(size)) * (w - minimum)),
        "every symmetric H, C and w*",
    )


def eigenvectors() -> tuple[Proof, ...]:
    """(H + C I)^-1 H = Q (L + C I)^-1 L Q' for H = Q L Q', Q any rotation of the plane but that by half a turn.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equations 7.11 to 7.13.
    """
    tangent, values = sp.Symbol("tangent", real=True), sp.symbols("lambda:2", nonnegative=True)
    rotation = sp.Matrix([[1 - tangent**2, -2 * tangent], [2 * tangent, 1 - tangent**2]]) / (1 + tangent**2)
    hessian = rotation * sp.diag(*values) * rotation.T

    def residual(factors: tuple[Expr, ...]) -> sp.Matrix:
        return (hessian + C * sp.eye(2)) * rotation * sp.diag(*factors) * rotation.T - hessian

    return (
        Proof(
            "(H + C I) Q (L + C I)^-1 L Q' = H",
            residual(tuple(value / (value + C) for value in values)),
            residual(tuple(C / (value + C) for value in values)),
            "all rotations of the plane, all eigenvalues",
        ),
    )


def limit() -> tuple[Proof, ...]:
    """What is missing of w* along an eigenvector is its part C / (lambda + C)."""
    value = sp.Symbol("lambda", positive=True)
    missing = 1 - value / (value + C)
    return (
        Proof(
            "the part missing is C / (lambda + C)",
            missing - C / (value + C),
            missing - C / value,
            "every lambda > 0: it goes to 0 with C",
        ),
        Proof(
            "for lambda = 0 it is all of it, for every C",
            missing.subs(value, 0) - 1,
            missing.subs(value, 1) - 1,
            "every C > 0",
        ),
    )


def quadratic_is_its_expansion() -> tuple[Proof, ...]:
    """Half the squared error of linear regression, 3 examples and 2 weights, and its penalised minimum (ridge).

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), section 7.1.1.
    """
    features, w, minimum, left = sp.Matrix(3, 2, sp.symbols("x:6")), _vector("w", 2), _vector("m", 2), sp.Symbol("r")
    # what no weights explain is orthogonal to both columns, which makes m the minimum
    target = features * minimum + left * features.col(0).cross(features.col(1))
    hessian = features.T * features

    def cost(weights: sp.Matrix) -> Expr:
        residual = features * weights - target
        return (residual.T * residual)[0] / 2

    about = "every data set of 3 examples and 2 features"
    return (
        Proof(
            "the cost is its expansion of second order about its minimum",
            cost(w) - cost(minimum) - _quadratic(hessian, w, minimum),
            cost(w) - cost(minimum),
            about,
        ),
        Proof(
            "X'y = H w*: ridge regression (X'X + C I)^-1 X'y is (H + C I)^-1 H w*",
            features.T * target - hessian * minimum,
            features.T * target - minimum,
            about,
        ),
    )


def nearer_the_origin() -> tuple[Proof, ...]:
    """|w*|^2 - |w|^2 as a sum of what cannot be negative, for any cost J with minimum w* and penalised minimum w."""
    of_free, of_penalised, free, penalised = sp.symbols("J_free J_penalised n_free n_penalised")
    gained = (of_free + C / 2 * free) - (of_penalised + C / 2 * penalised)
    lost = of_penalised - of_free
    return (
        Proof(
            "C/2 (|w*|^2 - |w|^2) = (penalised cost at w* less that at w) + (J(w) - J(w*))",
            C / 2 * (free - penalised) - (gained + lost),
            C / 2 * (free - penalised) - (gained - lost),
            "every J; both brackets are at least 0, as w and w* are global minima",
        ),
    )


def bias() -> tuple[Proof, ...]:
    """A penalised offset: of targets with mean m it reaches m / (1 + C), and its error grows with m without bound."""
    m, b, spread = sp.symbols("m b s", real=True)
    # half the mean squared error of targets with mean m and variance s^2
    cost = ((b - m) ** 2 + spread**2) / 2
    found = m / (1 + C)
    excess = cost.subs(b, found) - cost.subs(b, m)
    return (
        Proof(
            "the penalised offset is m / (1 + C)",
            sp.diff(cost + C / 2 * b**2, b).subs(b, found),
            sp.diff(cost + C / 2 * b**2, b).subs(b, m),
            "every m, s, and C > 0",
        ),
        Proof(
            "its excess cost is m^2 C^2 / (2 (1 + C)^2), whatever the spread",
            excess - m**2 * C**2 / (2 * (1 + C) ** 2),
            excess - m**2 * C / (2 * (1 + C)),
        ),
    )


def towards_a_point() -> tuple[Proof, ...]:
    """Pulled to a: the penalised minimum along an eigenvector, its mean squared error, and the best a of two signs."""
    value, w, free, a, truth, noise, size = sp.symbols("lambda w w_free a theta epsilon t", real=True)
    found = (value * free + C * a) / (value + C)
    error = (found.subs(free, truth + noise) - truth) * (value + C)
    signs = ((a - size) ** 2 + (a + size) ** 2) / 2
    return (
        Proof(
            "the minimum of lambda/2 (w - w*)^2 + C/2 (w - a)^2 is (lambda w* + C a) / (lambda + C)",
            (value * (w - free) + C * (w - a)).subs(w, found),
            (value * (w - free) + C * (w + a)).subs(w, found),
        ),
        Proof(
            "its error is (lambda epsilon + C (a - theta)) / (lambda + C) for w* = theta + epsilon",
            sp.expand(error) - sp.expand(value * noise + C * (a - truth)),
            sp.expand(error) - sp.expand(value * noise + C * a),
        ),
        Proof(
            "over theta = t and -t alike the mean of (a - theta)^2 is a^2 + t^2: least at a = 0",
            signs - (a**2 + size**2),
            signs - (a - size) ** 2,
        ),
    )


def expectation() -> tuple[Proof, ...]:
    """Mean and variance of m x / (1 - p) with m = 1 of probability 1 - p, else 0.

    Source: Srivastava et al., Dropout (2014), section 10.
    """
    x, p = sp.symbols("x p")
    kept = x / (1 - p)
    mean = (1 - p) * kept + p * 0
    variance = (1 - p) * kept**2 - mean**2
    return (
        Proof("the expected output is x", mean - x, (1 - p) * x - x, "every x, and p other than 1"),
        Proof("its variance is x^2 p / (1 - p)", variance - x**2 * p / (1 - p), variance - x**2 * p * (1 - p)),
    )


def early_stopping() -> tuple[Proof, ...]:
    """Gradient descent from 0 on lambda/2 (w - w*)^2, and the L2 strength that gives the same weight.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), equations 7.33 to 7.45.
    """
    value, eta, minimum, factor = sp.symbols("lambda eta w_free r")
    t = sp.Symbol("t", integer=True, positive=True)
    reached = (1 - (1 - eta * value) ** t) * minimum
    after = reached.subs(t, t + 1) - (reached - eta * value * (reached - minimum))
    # r stands for (1 - eta lambda)^t
    strength = value * factor / (1 - factor)
    first = [sp.cancel(value * (1 - eta * value) ** n / (1 - (1 - eta * value) ** n)) for n in (1, 2, 3, 4)]
    return (
        Proof(
            "after t steps the weight is (1 - (1 - eta lambda)^t) w*",
            [sp.expand(sp.powsimp(sp.expand(after))), reached.subs(t, 1) - eta * value * minimum],
            [sp.expand(sp.powsimp(sp.expand(after))), reached.subs(t, 1) - minimum],
            "every t, by induction",
        ),
        Proof(
            "an L2 penalty of C = lambda r / (1 - r), r = (1 - eta lambda)^t, gives it too",
            value / (value + strength) - (1 - factor),
            value / (value + strength) - factor,
            "every lambda other than 0 and r other than 1",
        ),
        Proof(
            "that C goes to 1 / (eta t) as lambda goes to 0",
            [found.subs(value, 0) - 1 / (eta * n) for n, found in enumerate(first, 1)],
            [found.subs(value, 0) - 1 / eta for n, found in enumerate(first, 1)],
            "1 to 4 steps",
        ),
    )
