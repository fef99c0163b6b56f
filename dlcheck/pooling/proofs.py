"""Exact proofs about pooling.

A number's power x_i^k is a symbol s_i of its own, its logarithm another, l_i: the derivative of s_i by k is s_i l_i.
"""

import sympy as sp

from dlcheck.evidence.symbolic import Proof

SIZES = range(1, 7)
"""Numbers in a group for which a proof is carried out one by one."""

_K, _LOG = sp.symbols("k L", positive=True)


def norm_never_increases() -> tuple[Proof, ...]:
    """d log N / dk = -H / k^2 for N = (sum x_i^k)^(1/k) and the entropy H >= 0 of p_i = x_i^k / sum x_j^k."""
    right, wrong = [], []
    for n in SIZES:
        s, logs = sp.symbols(f"s:{n}", positive=True), sp.symbols(f"l:{n}", real=True)
        total = sum(s)
        mean_log = sum(a * b for a, b in zip(s, logs, strict=True)) / total
        slope = -_LOG / _K**2 + mean_log / _K
        # log p_i = k l_i - L, with L the logarithm of the total
        negative_entropy = sum(a / total * (_K * b - _LOG) for a, b in zip(s, logs, strict=True))
        right.append(slope - negative_entropy / _K**2)
        wrong.append(slope - negative_entropy / _K)
    about = f"groups of {SIZES[0]} to {SIZES[-1]} positive numbers"
    return (Proof("d log N / dk = (sum p_i log p_i) / k^2, and no p_i exceeds 1", right, wrong, about),)


def norm_tends_to_maximum() -> tuple[Proof, ...]:
    """m^k <= sum x_i^k <= n m^k for the largest magnitude m, hence m <= N <= n^(1/k) m, and n^(1/k) tends to 1."""
    below, above, wrong = [], [], []
    for n in SIZES[1:]:
        # the largest power is top, the others top less a positive symbol
        top, short = sp.symbols("M", positive=True), sp.symbols(f"d:{n - 1}", positive=True)
        total = top + sum(top - d for d in short)
        below.append(total - top - sum(top - d for d in short))
        above.append(n * top - total - sum(short))
        wrong.append((n - 1) * top - total - sum(short))
    n = sp.symbols("n", positive=True)
    limit = sp.limit(n ** (1 / _K), _K, sp.oo) - 1
    about = f"groups of {SIZES[1]} to {SIZES[-1]}"
    return (
        Proof(
            "m^k <= sum <= n m^k: what is left over is a sum of numbers that are not negative",
            [*below, *above],
            wrong,
            about,
        ),
        Proof("n^(1/k) tends to 1", limit, limit + 1, "any n"),
    )


def pooled_head_is_a_tied_dense_head() -> tuple[Proof, ...]:
    """A linear map V of the means of C maps of H x W is the dense map with all of a map's weights equal V / (H W)."""
    right, wrong = [], []
    for channels in (1, 2, 3):
        for places in (1, 2, 4, 6):
            x = sp.symbols(f"x:{channels}:{places}", real=True)
            v = sp.symbols(f"v:{channels}", real=True)
            maps = [x[c * places : (c + 1) * places] for c in range(channels)]
            pooled = sum(v[c] * sum(maps[c]) / places for c in range(channels))
            dense = sum(v[c] / places * one for c in range(channels) for one in maps[c])
            right.append(pooled - dense)
            wrong.append(pooled - places * dense - v[0] * maps[0][0])
    about = "one class of 1 to 3 maps of 1 to 6 places; classes do not interact"
    return (Proof("V mean(x) = sum (V / HW) x", right, wrong, about),)


def parameters_saved() -> tuple[Proof, ...]:
    """(C H W + 1) K - (C + 1) K = C K (H W - 1)."""
    c, h, w, k = sp.symbols("C H W K", positive=True)
    dense, pooled = (c * h * w + 1) * k, (c + 1) * k
    return (Proof("dense less pooled head: C K (H W - 1) parameters", dense - pooled - c * k * (h * w - 1),
                  dense - pooled - c * k * h * w, "all C, H, W, K"),)  # fmt: skip
