"""The notes' derivations on initial weights, decided exactly: moments as symbols, widths as symbols."""

from typing import Any

import sympy as sp

from dlcheck.evidence.symbolic import Proof

Expr = sp.Expr
N, N_IN, N_OUT = sp.symbols("n n_in n_out", positive=True)


def equal_units() -> tuple[Proof, ...]:
    """Two units of a hidden layer with equal weights, incoming and outgoing, get equal gradients.

    The activation and the rest of the network are opaque functions; ``s`` and ``t`` are what all other units add to
    two units of the next layer, which stands for any number of units in either layer.
    """
    x, s, t, w1, w2, b1, b2, u1, u2, v1, v2 = sp.symbols("x s t w1 w2 b1 b2 u1 u2 v1 v2")
    phi, rest = sp.Function("phi"), sp.Function("rest")
    one, other = phi(w1 * x + b1), phi(w2 * x + b2)
    loss = rest(u1 * one + u2 * other + s, v1 * one + v2 * other + t)
    incoming: dict[Any, Any] = {w2: w1, b2: b1}
    outgoing: dict[Any, Any] = {u2: u1, v2: v1}

    def gaps(equal: dict[Any, Any]) -> list[Expr]:
        return [(loss.diff(a) - loss.diff(b)).subs(equal).doit() for b, a in (incoming | outgoing).items()]

    return (
        Proof(
            "equal units get equal gradients, so any rule that treats weights alike keeps them equal",
            gaps(incoming | outgoing),
            gaps(incoming),
            "any number of units, any activation, any following layers; perturbed: outgoing weights differ",
        ),
    )


def _moments(name: str) -> tuple[sp.Symbol, sp.Symbol]:
    return sp.Symbol(f"E_{name}"), sp.Symbol(f"V_{name}")


def _variance_of_affine() -> tuple[Expr, dict[str, sp.Symbol]]:
    """Var(WX + b) from first and second moments of independent W, X, b: E[W^2] = Var(W) + E[W]^2 and so on."""
    (ew, vw), (ex, vx), (eb, vb) = (_moments(name) for name in "WXb")
    second = (vw + ew**2) * (vx + ex**2) + 2 * ew * ex * eb + vb + eb**2
    symbols = {"ew": ew, "vw": vw, "ex": ex, "vx": vx, "vb": vb}
    return sp.expand(second - (ew * ex + eb) ** 2), symbols


def product_variance() -> tuple[Proof, ...]:
    """Var(WX + b) for independent W, X, b."""
    variance, s = _variance_of_affine()
    stated = s["ex"] ** 2 * s["vw"] + s["ew"] ** 2 * s["vx"] + s["vw"] * s["vx"] + s["vb"]
    return (
        Proof(
            "Var(WX + b) = E[X]^2 Var(W) + E[W]^2 Var(X) + Var(W) Var(X) + Var(b)",
            variance - stated,
            variance - stated + s["vw"] * s["vx"],
            "all laws with finite variances",
        ),
    )


def zero_mean_product() -> tuple[Proof, ...]:
    """The special case of zero means and a constant bias; neither mean may be left free."""
    variance, s = _variance_of_affine()
    zero: dict[Any, Any] = {s["ew"]: 0, s["ex"]: 0, s["vb"]: 0}
    only_weights: dict[Any, Any] = {s["ew"]: 0, s["vb"]: 0}
    product = s["vw"] * s["vx"]
    return (
        Proof(
            "Var(WX + b) = Var(W) Var(X) if E[W] = E[X] = Var(b) = 0",
            variance.subs(zero) - product,
            variance.subs(only_weights) - product,
            "all laws with finite variances; perturbed: E[X] other than 0",
        ),
    )


def _uniform_variance(bound: Expr) -> Expr:
    w = sp.Symbol("w")
    return sp.integrate(w**2 / (2 * bound), (w, -bound, bound))


def uniform_variance() -> tuple[Proof, ...]:
    """Variance of U(-1/n, 1/n), by integration."""
    variance = _uniform_variance(1 / N)
    return (Proof("Var(W) = 1/(3 n^2)", variance - 1 / (3 * N**2), variance - 1 / (3 * N), "every n"),)


def output_variances() -> dict[str, Expr]:
    """Var(h) in n for weights and biases of variance 1/(3 n^2): as the notes write h, and with one bias for a unit."""
    own = _uniform_variance(1 / N)
    return {"n biases": sp.expand(N * (own + own)), "one bias": sp.expand(N * own + own)}


def at(variance: Expr, n: int) -> float:
    """The value of a formula in n."""
    return float(sp.Float(variance.subs(N, n)))


def claimed_output_variance() -> Expr:
    """What the notes arrive at."""
    return 1 / (3 * N) + sp.Rational(1, 3)


def uniform_output_variance() -> tuple[Proof, ...]:
    """The output's variance in both readings, and the law of biases that the notes' result needs."""
    found, claimed = output_variances(), claimed_output_variance()
    needed = _uniform_variance(1 / sp.sqrt(N))
    return (
        Proof(
            "with n biases Var(h) = 2/(3 n)", found["n biases"] - 2 / (3 * N), found["n biases"] - claimed, "every n"
        ),
        Proof(
            "with one bias Var(h) = 1/(3 n) + 1/(3 n^2)",
            found["one bias"] - 1 / (3 * N) - 1 / (3 * N**2),
            found["one bias"] - claimed,
            "every n",
        ),
        Proof(
            "n biases from U(-1/sqrt(n), 1/sqrt(n)) would give 1/(3 n) + 1/3",
            N * (_uniform_variance(1 / N) + needed) - claimed,
            found["n biases"] - claimed,
            "every n",
        ),
    )


def uniform_limit() -> tuple[Proof, ...]:
    """Limits of the variances for n to infinity: of the notes' formula, and of the output itself."""
    limits = {name: sp.limit(variance, N, sp.oo) for name, variance in output_variances().items()}
    formula = sp.limit(claimed_output_variance(), N, sp.oo)
    third = sp.Rational(1, 3)
    return (
        Proof("1/(3 n) + 1/3 tends to 1/3", formula - third, formula, "n to infinity"),
        Proof(
            "the output's variance tends to 0",
            list(limits.values()),
            [x - third for x in limits.values()],
            "n to infinity",
        ),
    )


def xavier_compromise() -> tuple[Proof, ...]:
    """2/(n_in + n_out) against the arithmetic and the harmonic mean of 1/n_in and 1/n_out."""
    compromise = 2 / (N_IN + N_OUT)
    arithmetic = (1 / N_IN + 1 / N_OUT) / 2
    harmonic = 2 / (1 / (1 / N_IN) + 1 / (1 / N_OUT))
    gap = (N_IN - N_OUT) ** 2 / (2 * N_IN * N_OUT * (N_IN + N_OUT))
    return (
        Proof(
            "the conditions agree only for n_in = n_out: 1/n_in - 1/n_out = (n_out - n_in)/(n_in n_out)",
            1 / N_IN - 1 / N_OUT - (N_OUT - N_IN) / (N_IN * N_OUT),
            1 / N_IN - 1 / N_OUT,
            "every n_in, n_out",
        ),
        Proof(
            "the average exceeds 2/(n_in + n_out) by (n_in - n_out)^2 / (2 n_in n_out (n_in + n_out))",
            arithmetic - compromise - gap,
            arithmetic - compromise,
            "every n_in, n_out",
        ),
        Proof(
            "2/(n_in + n_out) is the harmonic mean", compromise - harmonic, compromise - arithmetic, "every n_in, n_out"
        ),
    )


def xavier_uniform_bound() -> tuple[Proof, ...]:
    """Variance of U(-b, b) with Glorot's b."""
    variance = _uniform_variance(sp.sqrt(6) / sp.sqrt(N_IN + N_OUT))
    target = 2 / (N_IN + N_OUT)
    halved = _uniform_variance(sp.sqrt(3) / sp.sqrt(N_IN + N_OUT))
    return (Proof("b^2 / 3 = 2/(n_in + n_out)", variance - target, halved - target, "every n_in, n_out"),)


def root_of_a_third() -> tuple[Proof, ...]:
    """Exact comparison of squares: 1/sqrt(3) lies between 0.5773 and 0.5774, and 0.5733 is not it."""
    third = sp.Rational(1, 3)
    low, high, claimed = (sp.Rational(digits, 10**4) for digits in (5773, 5774, 5733))
    between = sp.Integer(0 if low**2 < third < high**2 else 1)
    return (
        Proof("(1/sqrt(3))^2 = 1/3", (1 / sp.sqrt(3)) ** 2 - third, claimed**2 - third, "rational arithmetic"),
        Proof("0.5773 < 1/sqrt(3) < 0.5774", between, claimed**2 - low**2, "rational arithmetic"),
    )
