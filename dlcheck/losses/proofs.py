"""Gradients of cross-entropy and of the squared error behind a sigmoid or softmax, decided exactly."""

import sympy as sp

from dlcheck.evidence.symbolic import Proof

Expr = sp.Expr
SIZES = (2, 3)


def softmax_outputs() -> tuple[Proof, ...]:
    """Of softmax outputs s and targets y with sum 1, by the logits, for 2 and 3 classes.

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), section 6.2.2.3.
    """
    return tuple(proof for classes in SIZES for proof in _of_softmax(classes))


def _of_softmax(classes: int) -> tuple[Proof, ...]:
    x = sp.symbols(f"x:{classes}")
    y = list(sp.symbols(f"y:{classes - 1}"))
    y.append(1 - sum(y))
    total = sum(map(sp.exp, x))
    s = [sp.exp(each) / total for each in x]
    cross_entropy = -sum(target * (each - sp.log(total)) for target, each in zip(y, x, strict=True))
    squared = sum((p - target) ** 2 for p, target in zip(s, y, strict=True)) / 2
    error = [p - target for p, target in zip(s, y, strict=True)]
    mean = sum(p * e for p, e in zip(s, error, strict=True))
    about = f"all logits and targets, {classes} classes"
    return (
        Proof(
            f"cross-entropy's gradient is s - y ({classes} classes)",
            [sp.diff(cross_entropy, each) - e for each, e in zip(x, error, strict=True)],
            [sp.diff(cross_entropy, each) - p for each, p in zip(x, s, strict=True)],
            about,
        ),
        Proof(
            f"the squared error's is s_i (s_i - y_i - sum_j s_j (s_j - y_j)) ({classes} classes)",
            [sp.diff(squared, each) - p * (e - mean) for each, p, e in zip(x, s, error, strict=True)],
            [sp.diff(squared, each) - p * e for each, p, e in zip(x, s, error, strict=True)],
            about,
        ),
        Proof(
            f"which is 0 where s is a class's indicator, right or wrong ({classes} classes)",
            _at_corner(classes, 0),
            _at_corner(classes, 1),
            f"every target, {classes} classes",
        ),
    )


def _at_corner(classes: int, middle: int) -> list[Expr]:
    """The squared error's gradient where s is (1, 0, ...), or, perturbed, halfway to the next class."""
    s = [sp.Rational(1, 1 + middle)] + [sp.Rational(middle, 2)] + [sp.Integer(0)] * (classes - 2)
    y = sp.symbols(f"y:{classes}")
    mean = sum(p * (p - target) for p, target in zip(s, y, strict=True))
    return [p * (p - target - mean) for p, target in zip(s, y, strict=True)]


def sigmoid_output() -> tuple[Proof, ...]:
    """Of a sigmoid output s and target y, by the logit: the squared error's is cross-entropy's times s (1 - s).

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), section 6.2.2.2.
    """
    x, y = sp.symbols("x y")
    s = 1 / (1 + sp.exp(-x))
    cross_entropy = -y * sp.log(s) - (1 - y) * sp.log(1 - s)
    by_entropy, by_square = sp.diff(cross_entropy, x), sp.diff((s - y) ** 2 / 2, x)
    return (
        Proof("cross-entropy's gradient is s - y (sigmoid)", by_entropy - (s - y), by_entropy - s, "all x and y"),
        Proof(
            "the squared error's is (s - y) s (1 - s) (sigmoid)",
            by_square - (s - y) * s * (1 - s),
            by_square - (s - y) * s,
            "all x and y",
        ),
    )
