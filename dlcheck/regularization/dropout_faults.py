"""Known mistakes in dropout: each samples, and has the gradient of what it sampled."""

from collections.abc import Callable
from typing import Any
from zlib import crc32

import numpy as np

from dlcheck.component import Fault
from dlcheck.regularization import reference
from dlcheck.regularization.reference import Values

Mask = Callable[[np.random.Generator, tuple[int, ...], float], np.ndarray]
"""What is dropped."""

SHRUNK = "Activations have another scale in training than outside it."
WEAK = "It regularises less than asked for: what is dropped hangs together."
NO_LEARNING = "The gradient is wrong at every step."


def _independent(rng: np.random.Generator, shape: tuple[int, ...], p: float) -> np.ndarray:
    return rng.random(shape) < p


def _sampler(
    mask: Mask = _independent,
    kept: Callable[[float], float] = lambda p: 1 / (1 - p) if p < 1 else 0.0,
    outside: Callable[[float], float] = lambda p: 1.0,
    always: bool = False,
) -> dict[str, Any]:
    """Dropout with another mask, factor on what is kept, or factor outside training; with its own gradient."""

    def forward(input: Values, p: float = 0.5, training: bool = True, *, rng: Any, **_: Any) -> Values:
        x = np.asarray(input, np.float64)
        if not (training or always):
            return x * outside(p)
        return np.where(mask(rng, x.shape, p), 0.0, x * kept(p))

    def backward(
        grad_output: Values, output: Values, input: Values, p: float = 0.5, training: bool = True, **_: Any
    ) -> dict[str, Values]:
        if not (training or always):
            return {"input": grad_output * outside(p)}
        certain = p in (0, 1)  # then an output of 0 may have been kept
        dropped = mask(np.random.default_rng(0), np.shape(output), p) if certain else output == 0
        return {"input": np.where(dropped, 0.0, grad_output * kept(p))}

    return {"dropout": forward, "dropout_backward": backward}


def _gradient(change: Callable[..., Values]) -> dict[str, Any]:
    """The right draw with a mistaken gradient: of grad_output, what was kept, the factor on that, input and output."""

    def backward(
        grad_output: Values, output: Values, input: Values, p: float = 0.5, training: bool = True, **given: Any
    ) -> dict[str, Values]:
        if not training:
            return reference.dropout_backward(grad_output, output, input, p, training, **given)
        kept = (output != 0) | (p == 0)
        return {"input": change(grad_output, kept, 1 / (1 - p) if p < 1 else 0.0, input, output)}

    return {"dropout_backward": backward}


def _rate_one() -> dict[str, Any]:
    def forward(input: Values, p: float = 0.5, training: bool = True, **given: Any) -> Values:
        if training and p == 1:
            return np.full(np.shape(input), np.nan)
        return reference.dropout(input, p, training, **given)

    def backward(
        grad_output: Values, output: Values, input: Values, p: float = 0.5, training: bool = True, **given: Any
    ) -> dict[str, Values]:
        if training and p == 1:
            return {"input": np.full(np.shape(input), np.nan)}
        return reference.dropout_backward(grad_output, output, input, p, training, **given)

    return {"dropout": forward, "dropout_backward": backward}


def _mode_inverted() -> dict[str, Any]:
    def forward(input: Values, p: float = 0.5, training: bool = True, **given: Any) -> Values:
        return reference.dropout(input, p, not training, **given)

    def backward(
        grad_output: Values, output: Values, input: Values, p: float = 0.5, training: bool = True, **given: Any
    ) -> dict[str, Values]:
        return reference.dropout_backward(grad_output, output, input, p, not training, **given)

    return {"dropout": forward, "dropout_backward": backward}


def _exactly(rng: np.random.Generator, shape: tuple[int, ...], p: float) -> np.ndarray:
    size = int(np.prod(shape))
    return rng.permutation(np.arange(size) < round(p * size)).reshape(shape)


def _along(*axes: int) -> Mask:
    """A mask drawn along some axes only, one for all of the others."""

    def mask(rng: np.random.Generator, shape: tuple[int, ...], p: float) -> np.ndarray:
        drawn = tuple(length if axis in axes else 1 for axis, length in enumerate(shape))
        return np.broadcast_to(rng.random(drawn) < p, shape)

    return mask


def _checkered(rng: np.random.Generator, shape: tuple[int, ...], p: float) -> np.ndarray:
    return np.random.default_rng(0).random(shape) < p


def _gaussian() -> dict[str, Any]:
    def forward(input: Values, p: float = 0.5, training: bool = True, *, rng: Any, **_: Any) -> Values:
        x = np.asarray(input, np.float64)
        if not training:
            return x
        return x * (1 + np.sqrt(p / (1 - p)) * rng.standard_normal(x.shape)) if p < 1 else 0.0 * x

    def backward(
        grad_output: Values, output: Values, input: Values, p: float = 0.5, training: bool = True, **_: Any
    ) -> dict[str, Values]:
        return {"input": grad_output * output / input}

    return {"dropout": forward, "dropout_backward": backward}


def _by_kept_share() -> dict[str, Any]:
    """What is kept is divided by the share that this draw has kept."""

    def forward(input: Values, p: float = 0.5, training: bool = True, *, rng: Any, **_: Any) -> Values:
        x = np.asarray(input, np.float64)
        kept = rng.random(x.shape) >= p
        return x * kept / max(kept.mean(), 2.0**-20) if training and x.size else x

    def backward(
        grad_output: Values, output: Values, input: Values, p: float = 0.5, training: bool = True, **_: Any
    ) -> dict[str, Values]:
        return {"input": grad_output * output / input}

    return {"dropout": forward, "dropout_backward": backward}


def _drawn_anew(grad: Values, kept: Values, scale: float, input: Values, output: Values) -> Values:
    """The gradient of another mask, which the output's digits draw."""
    rng = np.random.default_rng(crc32(np.ascontiguousarray(output).tobytes()))
    return np.where(rng.random(np.shape(grad)) < 1 - 1 / scale, 0.0, grad * scale) if scale else 0.0 * grad


def _fault(id: str, says: str, effect: str, fix: str, replaces: dict[str, Any], *happened: str) -> Fault:
    return Fault(id, "dropout", says, effect, fix, replaces, happened)


DROPOUT = (
    _fault(
        "dropout-rate-one-nan", "p = 1 divides by zero: NaN", "The loss is NaN at once.", "zeros where p is 1",
        _rate_one(), "https://github.com/google/flax/pull/2055",
    ),
    _fault(
        "dropout-test-scale-hardcoded-half", "outside training the factor is 1/2 whatever p is", SHRUNK,
        "multiply by 1 - p, or divide in training", _sampler(kept=lambda p: 1.0, outside=lambda p: 0.5),
        "https://github.com/mp2893/retain/pull/1",
    ),
    _fault(
        "dropout-scale-by-drop-rate", "what is kept is divided by p, not by 1 - p", SHRUNK, "x / (1 - p)",
        _sampler(kept=lambda p: 1 / p if p else np.inf), "https://github.com/lmjohns3/theanets/pull/123",
        "https://github.com/ayrna/dlordinal/pull/138",
    ),
    _fault(
        "dropout-not-scaled", "what is dropped is never made up for", SHRUNK, "x / (1 - p)",
        _sampler(kept=lambda p: 1.0),
    ),
    _fault(
        "dropout-scaled-twice", "it is scaled in training and outside", SHRUNK, "leave evaluation alone",
        _sampler(outside=lambda p: 1 - p),
    ),
    _fault(
        "dropout-multiplied", "what is kept is multiplied by 1 - p", SHRUNK, "x / (1 - p)",
        _sampler(kept=lambda p: 1 - p),
    ),
    _fault(
        "dropout-evaluation-divided", "outside training it divides by 1 - p", SHRUNK, "leave evaluation alone",
        _sampler(outside=lambda p: 1 / (1 - p) if p < 1 else 0.0),
    ),
    _fault(
        "dropout-root-scale", "what is kept is divided by the root of 1 - p", SHRUNK, "x / (1 - p)",
        _sampler(kept=lambda p: (1 - p) ** -0.5 if p < 1 else 0.0),
    ),
    _fault(
        "dropout-always-on", "training is ignored, it always drops", "Predictions are random.", "obey training",
        _sampler(always=True),
    ),
    _fault(
        "dropout-mode-inverted", "it drops outside training, and not in it", "Predictions are random.",
        "drop if training", _mode_inverted(),
    ),
    _fault(
        "dropout-never-on", "it never drops anything", "Nothing is regularised.", "drop in training",
        _sampler(mask=lambda rng, shape, p: np.zeros(shape, bool), kept=lambda p: 1.0),
    ),
    _fault(
        "dropout-mask-inverted", "it keeps with probability p and scales by 1 - p", SHRUNK, "keep where u >= p",
        _sampler(mask=lambda rng, shape, p: rng.random(shape) >= p, kept=lambda p: 1 / (1 - p) if p < 1 else np.inf),
    ),
    _fault(
        "dropout-normal-draw", "the draw is normal, not uniform", "Another share is dropped than asked for.",
        "rand, not randn", _sampler(mask=lambda rng, shape, p: rng.standard_normal(shape) < p),
    ),
    _fault(
        "dropout-rescaled-by-kept-share", "what is kept is divided by the share kept", WEAK, "x / (1 - p)",
        _by_kept_share(),
    ),
    _fault(
        "dropout-evaluation-times-p", "outside training it multiplies by p, not 1 - p", SHRUNK, "multiply by 1 - p",
        _sampler(kept=lambda p: 1.0, outside=lambda p: p),
    ),
    _fault(
        "dropout-rate-ignored", "p is ignored, it is 1/2", "Another share is dropped than asked for.", "use p",
        _sampler(mask=lambda rng, shape, p: rng.random(shape) < 0.5, kept=lambda p: 2.0),
    ),
    _fault(
        "dropout-exact-count", "exactly the share p is dropped each time", WEAK, "drop each element on its own",
        _sampler(mask=_exactly),
    ),
    _fault(
        "dropout-mask-of-batch", "all examples of a batch share a mask", WEAK, "draw for every element",
        _sampler(mask=_along(1, 2)),
    ),
    _fault(
        "dropout-whole-examples", "whole examples are dropped", WEAK, "draw for every element",
        _sampler(mask=_along(0)),
    ),
    _fault(
        "dropout-whole-channels", "whole channels are dropped", WEAK, "draw for every element",
        _sampler(mask=_along(0, 1)),
    ),
    _fault(
        "dropout-all-or-nothing", "everything is dropped or nothing", WEAK, "draw for every element",
        _sampler(mask=_along()),
    ),
    _fault(
        "dropout-mask-fixed", "every call drops the same elements", WEAK, "draw anew in each call",
        _sampler(mask=_checkered),
    ),
    _fault("dropout-gaussian", "it multiplies by normal noise", WEAK, "zero or keep", _gaussian()),
    _fault(
        "dropout-gradient-not-masked", "the gradient passes through what was dropped", NO_LEARNING,
        "multiply by the mask of the forward pass", _gradient(lambda grad, kept, scale, *_: grad * scale),
    ),
    _fault(
        "dropout-gradient-straight-through", "the gradient passes as if nothing were dropped or scaled", NO_LEARNING,
        "grad mask / (1 - p)", _gradient(lambda grad, *_: grad),
    ),
    _fault(
        "dropout-gradient-not-scaled", "the gradient lacks the factor 1/(1 - p)", NO_LEARNING, "grad mask / (1 - p)",
        _gradient(lambda grad, kept, *_: grad * kept),
    ),
    _fault(
        "dropout-gradient-scaled-twice", "the gradient is divided by 1 - p twice", NO_LEARNING, "grad mask / (1 - p)",
        _gradient(lambda grad, kept, scale, *_: grad * kept * scale**2),
    ),
    _fault(
        "dropout-gradient-draws-anew", "the backward pass draws a mask of its own", NO_LEARNING,
        "keep the mask of the forward pass", _gradient(_drawn_anew),
    ),
    _fault(
        "dropout-gradient-of-positive", "the mask is read back as output > 0", NO_LEARNING, "keep the mask",
        _gradient(lambda grad, kept, scale, input, output: grad * scale * (output > 0)),
    ),
    _fault(
        "dropout-gradient-upstream-ignored", "the upstream gradient is left out", NO_LEARNING, "grad mask / (1 - p)",
        _gradient(lambda grad, kept, scale, *_: kept * scale),
    ),
    _fault(
        "dropout-gradient-of-ratio", "the mask is output / input, and 1 where the input is 0", NO_LEARNING,
        "keep the mask of the forward pass", _gradient(lambda grad, kept, scale, input, output: (
            grad * np.where(input == 0, 1.0, output / np.where(input == 0, 1.0, input)))),
        "https://github.com/kaldi-asr/kaldi/issues/3890",
    ),
    _fault(
        "dropout-gradient-of-nonzero", "the mask is output != 0", NO_LEARNING,
        "keep the mask of the forward pass, for an input may be 0",
        _gradient(lambda grad, kept, scale, input, output: grad * scale * (output != 0)),
    ),
    _fault(
        "dropout-generator-ignored", "it draws from another stream than its generator's", "Runs cannot be repeated.",
        "draw every number with generator=generator", {"obeys_generator": lambda: False},
    ),
)  # fmt: skip
