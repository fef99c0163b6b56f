"""The notes' statement on losses, judged by proof and on code."""

from typing import Any

import numpy as np
from scipy.special import expit, softmax

from dlcheck.component import Source, notes
from dlcheck.evidence import numerics, symbolic
from dlcheck.judgement import Figure, Judgement, claim
from dlcheck.losses import proofs

NOTES = notes("001, sections 9 and 10")
GOODFELLOW = Source(
    "Goodfellow, Bengio, Courville: Deep learning (2016)",
    "sections 6.2.2.2 and 6.2.2.3",
    "https://www.deeplearningbook.org",
)
CLASSES, EXAMPLES = 5, 64
SATURATED = np.array([10.0, 20.0, 40.0, 80.0])
"""How far a wrong class's logit leads."""


def _is_difference(implementation: Any) -> bool:
    """Whether the gradient by random logits is softmax minus the target, for classes and for distributions."""
    rng = np.random.default_rng(0)
    x, labels = rng.normal(scale=3.0, size=(EXAMPLES, CLASSES)), rng.integers(0, CLASSES, EXAMPLES)
    distributions = rng.dirichlet(np.ones(CLASSES), EXAMPLES)
    allowed = numerics.roundings(np.ones_like(x), "float64", 8 + CLASSES)
    for target, y in ((labels, np.eye(CLASSES)[labels]), (distributions, distributions)):
        found = implementation.backward(np.ones(EXAMPLES), x, target, reduction="none")["input"]
        if not np.all(np.abs(found - (softmax(x, axis=1) - y)) <= allowed):
            return False
    return True


def _when_wrong(implementation: Any) -> np.ndarray:
    """Size of the gradient of examples whose true class lags behind by SATURATED."""
    x = np.column_stack([np.zeros(len(SATURATED)), SATURATED])
    target = np.zeros(len(SATURATED), int)
    return np.abs(implementation.backward(np.ones(len(SATURATED)), x, target, reduction="none")["input"]).max(axis=1)


def _slopes() -> Figure:
    x = np.linspace(-12.0, 12.0, 97)
    s = expit(x)
    return Figure(
        "Gradient by the logit of a sigmoid unit whose target is 1",
        "logit",
        "size of the gradient",
        {"cross-entropy": (x.tolist(), (1 - s).tolist()), "squared error": (x.tolist(), (s * (1 - s) ** 2).tolist())},
    )


@claim(
    "loss.choose-suitable",
    says="The loss must suit the output: with a sigmoid or softmax output, cross-entropy's gradient by the logits is "
    "p - y and does not vanish when the unit is wrong and saturated, while the squared error's does.",
    sources=(NOTES, GOODFELLOW),
    evidence="proof",
    verdict="holds",
    formula=r"\frac{\partial}{\partial x}\, \mathrm{CE} = p - y, \qquad "
    r"\frac{\partial}{\partial x}\, \tfrac12 (p - y)^2 = (p - y)\, p\, (1 - p)",
    component="cross_entropy",
)
def choose_suitable(implementation: Any) -> Judgement:
    """Prove both gradients; see on code that cross-entropy's is p - y, near 1 where the squared error's is gone."""
    lemmas = (*proofs.sigmoid_output(), *proofs.softmax_outputs())
    lost = expit(-SATURATED) * expit(SATURATED) ** 2
    stays = bool(np.all(_when_wrong(implementation) > 0.9) and np.all(lost < 2 * np.exp(-SATURATED)))
    return Judgement(
        evidence=symbolic.evidence(*lemmas, tied=f"the code's gradient is p - y on {2 * EXAMPLES} random examples"),
        confirmed=symbolic.proved(*lemmas) and _is_difference(implementation) and stays,
        explanation="A wrong, saturated unit has p near 0 where y is 1: p - y is near -1, while the squared error's "
        "gradient has the further factor p (1 - p), below exp(-|x|). p - y is the gradient of one example's loss with "
        "targets that sum to 1; a mean divides it by the examples, class weights multiply it.",
        figures=(_slopes(),),
    )
