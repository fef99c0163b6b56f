"""Known mistakes in normalisation layers."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.component import Fault
from dlcheck.normalization import reference
from dlcheck.normalization.lrn_faults import LRN_FAULTS
from dlcheck.normalization.mistakes import (
    Array,
    Formula,
    Gradients,
    Replaces,
    averaging,
    count,
    gradient,
    layer,
    others,
    over,
    right,
)
from dlcheck.normalization.reference import Statistics

_OTHER_FUNCTION = "The layer computes something else than the network was designed and its weights were trained for."
_STATISTICS = "Evaluation goes by wrong statistics: good in training, bad as soon as the model is used."
_NO_LEARNING = "The layers below learn along a wrong gradient; training is slower or settles on worse weights."
_PARAMETERS = "Scale and shift learn at a wrong rate or not at all."
_NOT_OBEYED = "A setting that was chosen with care has no effect."
_RESUMED = "A model that was saved and loaded gives other results than before."


def _fault(id: str, says: str, effect: str, fix: str, replaces: Replaces, *happened: str) -> Fault:
    return Fault(f"bn-{id}", "batch_norm", says, effect, fix, replaces, tuple(f"https://{url}" for url in happened))


def _averaged(old: Array, batch: Array, new: float) -> Array:
    return (1 - new) * old + new * batch


def _moved(
    mean: Callable[..., Any] = _averaged,
    variance: Callable[..., Any] = _averaged,
    estimate: Callable[[Array, Statistics], Array] | None = None,
    rate: Callable[[float | None, int], float | None] = lambda momentum, batches: momentum,
) -> Callable[..., Statistics]:
    """The running statistics with a piece exchanged.

    ``mean`` and ``variance`` of (old, of the batch, weight of the batch); ``estimate`` of the batch's variance;
    ``rate`` of the momentum given and the number of batches so far.
    """

    def moved(
        statistics: Statistics, x: Array, *, momentum: float | None = 0.1, momentum_weighs: str = "new",
        running_variance: str = "unbiased",
    ) -> Statistics:  # fmt: skip
        momentum, batches = rate(momentum, statistics.batches), statistics.batches + 1
        new = 1 / batches if momentum is None else momentum if momentum_weighs == "new" else 1 - momentum
        found = reference.batch_statistics(x)
        m = count(x)
        unbiased = found.variance * m / (m - 1) if running_variance == "unbiased" and m > 1 else found.variance
        spread = unbiased if estimate is None else estimate(x, statistics)
        return Statistics(mean(statistics.mean, found.mean, new), variance(statistics.variance, spread, new), batches)

    return moved


def _inverted(statistics: Statistics, x: Array, *, momentum_weighs: str = "new", **averaging: Any) -> Statistics:
    other: Any = "new" if momentum_weighs == "old" else "old"
    return reference.moved_statistics(statistics, x, momentum_weighs=other, **averaging)


def _kept(old: Array, batch: Array, new: float) -> Array:
    return old


def _by_examples(x: Array, statistics: Statistics) -> Array:
    n = max(len(x), 2)
    return reference.batch_statistics(x).variance * n / (n - 1)


def _about_running_mean(x: Array, statistics: Statistics) -> Array:
    centred = x - statistics.mean.reshape(-1, *(1,) * (x.ndim - 2))
    return np.asarray(np.square(centred).mean(others(x)))


def _corrected(x: Array, power: int) -> Array:
    m = max(count(x), 2)
    return reference.batch_statistics(x).variance * (m / (m - 1)) ** power


def _deviation(x: Array, statistics: Statistics) -> Array:
    return np.sqrt(_corrected(x, 1))


_EPS_OUTSIDE = Formula(
    scale=lambda v, eps: 1 / (np.sqrt(v) + eps), slope=lambda v, eps: -0.5 / (np.sqrt(v) * (np.sqrt(v) + eps) ** 2)
)
_NO_EPS = Formula(scale=lambda v, eps: v**-0.5, slope=lambda v, eps: -0.5 * v**-1.5)
_EPS_FIXED = Formula(scale=lambda v, eps: (v + 1e-5) ** -0.5, slope=lambda v, eps: -0.5 * (v + 1e-5) ** -1.5)
_BY_VARIANCE = Formula(scale=lambda v, eps: 1 / (v + eps), slope=lambda v, eps: -((v + eps) ** -2.0))
_TIMES_DEVIATION = Formula(scale=lambda v, eps: (v + eps) ** 0.5, slope=lambda v, eps: 0.5 * (v + eps) ** -0.5)


def _unbiased(m: int) -> float:
    return m / (m - 1) if m > 1 else np.nan


def _per_example(x: Array) -> tuple[int, ...]:
    return tuple(range(1, x.ndim))


def _per_map(x: Array) -> tuple[int, ...]:
    return tuple(range(2, x.ndim)) or (0,)


_FORMULA = (
    _fault("mean-not-subtracted", "the mean is not taken off", _OTHER_FUNCTION, "y = w (x - mean) / std + b",
           layer(Formula(shift=0.0))),
    _fault("divides-by-variance", "it divides by the variance, not by its root", _OTHER_FUNCTION,
           "divide by sqrt(var + eps)", layer(_BY_VARIANCE)),
    _fault("times-deviation", "it multiplies by the standard deviation", _OTHER_FUNCTION,
           "divide by sqrt(var + eps)", layer(_TIMES_DEVIATION)),
    _fault("forward-uses-unbiased-var", "the batch is normalised by the unbiased variance",
           "Outputs in training are off by 1/(2m); a batch of one value per channel gives NaN.",
           "normalise by sum((x - mean)^2) / m; m / (m - 1) belongs to the running variance",
           layer(Formula(correction=_unbiased)), "github.com/pytorch/pytorch/issues/60528",
           "github.com/pytorch/pytorch/issues/3122"),
    _fault("eps-outside-root", "eps is added to the standard deviation",
           "Channels of small variance are scaled wrongly.",
           "divide by sqrt(var + eps)", layer(_EPS_OUTSIDE)),
    _fault("eps-left-out", "eps is left out", "A constant channel gives NaN.", "divide by sqrt(var + eps)",
           layer(_NO_EPS)),
    _fault("eps-ignored", "the eps that is given is ignored", _NOT_OBEYED, "divide by sqrt(var + eps)",
           layer(_EPS_FIXED)),
    _fault("axes-batch-only", "statistics are taken over the batch axis only",
           "Every pixel has its own statistics, from few values.", "take mean and variance over axes 0, 2, 3",
           layer(Formula(axes=lambda x: (0,)))),
    _fault("axes-per-example", "statistics are taken over each example (layer normalisation)",
           "Another layer: it works, but not with weights of batch normalisation.",
           "take mean and variance over all axes but 1", layer(Formula(axes=_per_example))),
    _fault("axes-per-map", "statistics are taken over each map (instance normalisation)",
           "Another layer: contrast between examples is lost.", "take mean and variance over axes 0, 2, 3",
           layer(Formula(axes=_per_map))),
    _fault("axes-all", "one mean and variance serve all channels", "Channels of small scale stay small.",
           "take mean and variance over all axes but 1", layer(Formula(axes=lambda x: tuple(range(x.ndim))))),
    _fault("weight-left-out", "the scale is left out", _PARAMETERS, "y = weight hat + bias",
           layer(Formula(weight=lambda w, b: np.ones_like(w)))),
    _fault("bias-left-out", "the shift is left out", _PARAMETERS, "y = weight hat + bias",
           layer(Formula(bias=lambda w, b: np.zeros_like(b)))),
    _fault("weight-one-more", "the scale is 1 + weight", _OTHER_FUNCTION, "y = weight hat + bias",
           layer(Formula(weight=lambda w, b: 1 + w))),
    _fault("weight-magnitude", "the scale is the magnitude of weight", _OTHER_FUNCTION, "y = weight hat + bias",
           layer(Formula(weight=lambda w, b: np.abs(w)))),
    _fault("weight-bias-swapped", "scale and shift are exchanged", _OTHER_FUNCTION, "y = weight hat + bias",
           layer(Formula(weight=lambda w, b: b, bias=lambda w, b: w))),
    _fault("bias-scaled", "the shift is added before the scale", _OTHER_FUNCTION, "y = weight hat + bias",
           layer(Formula(bias=lambda w, b: w * b))),
    _fault("bias-sign", "the shift is taken off", _OTHER_FUNCTION, "y = weight hat + bias",
           layer(Formula(bias=lambda w, b: -b))),
)  # fmt: skip

_MODES = (
    _fault("evaluation-uses-batch", "evaluation normalises by the batch",
           "What a sample gives depends on the others beside it; one alone gives the bias.",
           "use running_mean and running_var in evaluation", layer(batch_in_evaluation=True)),
    _fault("training-uses-running", "training normalises by the running statistics",
           "The first steps are not normalised at all, and the gradient is that of a fixed scale.",
           "use the batch's mean and variance in training", layer(batch_in_training=False)),
    _fault("evaluation-always", "training is as evaluation: the batch counts for nothing",
           "The layer is a fixed scale and shift.", "obey the mode",
           layer(batch_in_training=False, moves=lambda training: False)),
    _fault("training-always", "evaluation normalises by the batch and moves the statistics",
           "What a sample gives depends on the others beside it, and test data enter the model.", "obey the mode",
           layer(batch_in_evaluation=True, moves=lambda training: True)),
    _fault("evaluation-by-variance", "evaluation divides by the running variance, not its root", _STATISTICS,
           "divide by sqrt(running_var + eps)", layer(Formula(), _BY_VARIANCE)),
    _fault("evaluation-without-eps", "evaluation leaves eps out", "Outputs of quiet channels jump when training ends.",
           "divide by sqrt(running_var + eps)", layer(Formula(), _NO_EPS)),
    _fault("evaluation-eps-outside-root", "evaluation adds eps to the deviation", _STATISTICS,
           "divide by sqrt(running_var + eps)", layer(Formula(), _EPS_OUTSIDE)),
    _fault("evaluation-without-scale", "evaluation leaves scale and shift out", _STATISTICS,
           "y = weight (x - running_mean) / sqrt(running_var + eps) + bias",
           layer(Formula(), Formula(weight=lambda w, b: np.ones_like(w), bias=lambda w, b: np.zeros_like(b)))),
    _fault("evaluation-corrects-again", "evaluation multiplies the running variance by m/(m-1)", _STATISTICS,
           "running_var is unbiased already",
           layer(Formula(), Formula(running=lambda v, x: v * max(count(x), 2) / max(count(x) - 1, 1)))),
    _fault("evaluation-moves", "evaluation moves the running statistics",
           "Results drift with every evaluation, and test data enter the model.",
           "update the statistics in training only", averaging(reference.moved_statistics, lambda training: True)),
    _fault("training-does-not-move", "the running statistics never move", _STATISTICS,
           "running_mean <- (1 - momentum) running_mean + momentum mean",
           averaging(reference.moved_statistics, lambda training: False)),
    _fault("untracked-not-normalised", "without running statistics evaluation goes by 0 and 1", _STATISTICS,
           "use the batch's statistics where none are tracked",
           layer(starts_untracked=True)),
)  # fmt: skip

_AVERAGES = (
    _fault("momentum-meaning-inverted", "momentum weighs the other value than its default is made for",
           "The statistics are those of the last batch, almost; momentum 0 does not freeze but overwrites.",
           "running <- (1 - momentum) running + momentum batch with 0.1, the reverse with 0.9", averaging(_inverted),
           "github.com/mlcommons/algorithmic-efficiency/pull/783", "github.com/pytorch/pytorch/issues/15298"),
    _fault("momentum-ignored", "the momentum that is given is ignored", _NOT_OBEYED,
           "running <- (1 - momentum) running + momentum batch",
           averaging(_moved(rate=lambda momentum, batches: None if momentum is None else 0.1))),
    _fault("running-mean-fixed", "the running mean never moves", _STATISTICS,
           "running_mean <- (1 - momentum) running_mean + momentum mean", averaging(_moved(mean=_kept))),
    _fault("running-var-fixed", "the running variance never moves", _STATISTICS,
           "running_var <- (1 - momentum) running_var + momentum var", averaging(_moved(variance=_kept))),
    _fault("running-last-batch", "the running statistics are those of the last batch", _STATISTICS,
           "running <- (1 - momentum) running + momentum batch",
           averaging(_moved(lambda old, batch, new: batch, lambda old, batch, new: batch))),
    _fault("running-sum", "the old value does not decay", "The statistics grow without end.",
           "running <- (1 - momentum) running + momentum batch",
           averaging(_moved(lambda old, batch, new: old + new * batch, lambda old, batch, new: old + new * batch))),
    _fault("running-first-batch", "the first batch becomes the running statistics", _STATISTICS,
           "start at mean 0 and variance 1, and average from there",
           averaging(_moved(rate=lambda momentum, batches: momentum if batches else None))),
    _fault("running-deviation", "the running variance averages standard deviations", _STATISTICS,
           "average the variance", averaging(_moved(estimate=_deviation))),
    _fault("running-correction-inverted", "the running variance takes (m-1)/m", _STATISTICS,
           "multiply the batch's variance by m / (m - 1)",
           averaging(_moved(estimate=lambda x, statistics: _corrected(x, -1)))),
    _fault("running-correction-twice", "the running variance takes m/(m-1) twice", _STATISTICS,
           "multiply the biased variance by m / (m - 1), once",
           averaging(_moved(estimate=lambda x, statistics: _corrected(x, 2)))),
    _fault("running-correction-by-examples", "m in m/(m-1) counts examples, not values", _STATISTICS,
           "m = N H W values per channel", averaging(_moved(estimate=_by_examples))),
    _fault("running-var-about-running-mean", "the running variance is taken about the running mean", _STATISTICS,
           "take the batch's variance about the batch's mean", averaging(_moved(estimate=_about_running_mean))),
    _fault("running-second-moment", "the running variance averages squares", _STATISTICS,
           "take the mean off before squaring",
           averaging(_moved(estimate=lambda x, statistics: np.square(x).mean(others(x))))),
    _fault("cumulative-off-by-one", "momentum None weighs batch t by 1/(t+1)", _STATISTICS,
           "weigh batch t by 1 / t: count it before dividing",
           averaging(_moved(rate=lambda momentum, batches: 1 / (batches + 2) if momentum is None else momentum))),
    _fault("cumulative-is-default", "momentum None is taken for 0.1", _NOT_OBEYED, "weigh batch t by 1 / t",
           averaging(_moved(rate=lambda momentum, batches: 0.1 if momentum is None else momentum))),
    _fault("starts-at-variance-zero", "the running variance starts at 0", _STATISTICS,
           "start running_var at 1",
           {"initial_statistics": lambda channels: Statistics(np.zeros(channels), np.zeros(channels))}),
    _fault("moves-first", "training normalises by the statistics just moved", _OTHER_FUNCTION,
           "use the batch's mean and variance in training",
           {"batch_norm": layer(batch_in_training=False, moves_first=True)["batch_norm"],
            "batch_norm_backward": layer(batch_in_training=False)["batch_norm_backward"]}),
    _fault("statistics-not-saved", "load_state_dict does not restore the running statistics", _RESUMED,
           "keep running_mean and running_var as buffers",
           {"reload_statistics": lambda statistics: statistics and reference.initial_statistics(len(statistics.mean))}),
    _fault("count-not-saved", "load_state_dict does not restore the count of batches", _RESUMED,
           "keep num_batches_tracked as a buffer",
           {"reload_statistics": lambda statistics: statistics and statistics._replace(batches=0)}),
    _fault("momentum-fixed", "a momentum changed from outside is not seen", _NOT_OBEYED,
           "read self.momentum in forward",
           {"outside_change": lambda settings, change: settings}),
    _fault("freeze-backup-overwritten", "freezing twice loses the momentum to come back to",
           "After unfreezing the statistics never move again.", "keep a momentum of 0 from being backed up",
           {"freeze": lambda settings: {**settings, "kept": settings.get("frozen", False), "frozen": True},
            "unfreeze": lambda settings: {**settings, "frozen": settings["kept"]}},
           "github.com/mlcommons/algorithmic-efficiency/pull/783"),
)  # fmt: skip


def _by_raw(found: Gradients, grad: Array, x: Array) -> Gradients:
    return {"weight": (grad * x).sum(others(x))} if "weight" in found else {}


def _averaged_bars(found: Gradients, grad: Array, x: Array) -> Gradients:
    return {name: value / count(x) for name, value in found.items() if name != "x"}


def _running_backward(grad_output: Array, x: Array, *given: Any, statistics: Any = None, **settings: Any) -> Gradients:
    kept = reference.batch_norm_backward(grad_output, x, *given, statistics=statistics, **settings)
    if statistics is None or not settings.get("training", True):
        return kept
    return reference.batch_norm_backward(
        grad_output, x, *given, statistics=statistics, **{**settings, "training": False}
    )


def _undivided(grad_output: Array, x: Array, *, statistics: Any = None, **given: Any) -> Gradients:
    found = reference.batch_norm_backward(grad_output, x, statistics=statistics, **given)
    _, variance = Formula().moments(x, statistics, given.get("training", True) or statistics is None)
    return {**found, "x": found["x"] * (variance + given.get("eps", 1e-5)) ** 0.5}


_GRADIENTS = (
    _fault("backward-statistics-detached", "mean and variance are held constant in backward", _NO_LEARNING,
           "take off mean(g) and hat mean(g hat), where g is the upstream gradient",
           gradient(lambda g, hat, scale, x, mean: scale * g, untracked=False),
           "github.com/keras-team/keras/pull/19102"),
    _fault("backward-batch-detached", "the batch's statistics are constants in backward, always",
           _NO_LEARNING, "take off mean(g) and hat mean(g hat), where g is the upstream gradient",
           gradient(lambda g, hat, scale, x, mean: scale * g)),
    _fault("backward-variance-detached", "the variance is held constant in backward", _NO_LEARNING,
           "take off hat mean(g hat) too", gradient(lambda g, hat, scale, x, mean: scale * (g - over(g)))),
    _fault("backward-missing-mean-through-var", "the gradient through the mean is missing", _NO_LEARNING,
           "take off mean(g) too", gradient(lambda g, hat, scale, x, mean: scale * (g - hat * over(g * hat))),
           "github.com/mlpack/mlpack/issues/1923", "github.com/mlpack/mlpack/pull/2474"),
    _fault("backward-extra-mean-term", "the mean's gradient gets an un-centred variance term", _NO_LEARNING,
           "sum(x - mean) is 0: the mean has no gradient through the variance",
           gradient(lambda g, hat, scale, x, mean: right(g, hat, scale, x, mean) + scale**2 * over(g * hat) * over(x)),
           "github.com/apache/mxnet/issues/1053"),
    _fault("backward-sums-not-averaged", "sums stand in backward where means belong", _NO_LEARNING,
           "take off mean(g) and hat mean(g hat)",
           gradient(lambda g, hat, scale, x, mean: scale * (g - over(g, 1) - hat * over(g * hat, 1)))),
    _fault("backward-divides-by-examples", "backward divides by the examples, not the values", _NO_LEARNING,
           "m = N H W values per channel",
           gradient(lambda g, hat, scale, x, mean: scale * (g - over(g, len(x)) - hat * over(g * hat, len(x))))),
    _fault("backward-unbiased", "backward divides the variance's part by m - 1", _NO_LEARNING,
           "the batch is normalised by the biased variance",
           gradient(lambda g, hat, scale, x, mean: scale * (g - over(g) - hat * over(g * hat, max(count(x) - 1, 1))))),
    _fault("backward-sign", "the gradient through the variance has the wrong sign", _NO_LEARNING,
           "take hat mean(g hat) off",
           gradient(lambda g, hat, scale, x, mean: scale * (g - over(g) + hat * over(g * hat)))),
    _fault("backward-scale-left-out", "backward does not divide by the standard deviation", _NO_LEARNING,
           "multiply by weight / sqrt(var + eps)",
           {"batch_norm_backward": _undivided}),
    _fault("backward-weight-left-out", "the gradient of x leaves the weight out", _NO_LEARNING,
           "multiply by weight / sqrt(var + eps)",
           {"batch_norm_backward": lambda grad_output, x, weight=None, bias=None, statistics=None, **settings: {
               **reference.batch_norm_backward(grad_output, x, weight, bias, statistics, **settings),
               "x": reference.batch_norm_backward(grad_output, x, None, None, statistics, **settings)["x"]}}),
    _fault("backward-weight-by-raw", "the weight's gradient takes x, not the normalised x", _PARAMETERS,
           "grad_weight = sum(g hat)", gradient(right, modes=(), bar=_by_raw)),
    _fault("backward-parameters-averaged", "gradients of weight and bias are means, not sums", _PARAMETERS,
           "grad_weight = sum(g hat), grad_bias = sum(g)", gradient(right, modes=(), bar=_averaged_bars)),
    _fault("backward-parameters-swapped", "gradients of weight and bias are exchanged", _PARAMETERS,
           "grad_weight = sum(g hat), grad_bias = sum(g)",
           gradient(right, modes=(), bar=lambda found, grad, x: {
               "weight": found["bias"], "bias": found["weight"]} if "bias" in found else {})),
    _fault("backward-upstream-ignored", "the upstream gradient is left out",
           "Layers above have no say in what the layers below learn.", "multiply by grad_output (the chain rule)",
           {"batch_norm_backward": lambda grad_output, *given, **settings: reference.batch_norm_backward(
               np.ones_like(grad_output), *given, **settings)}),
    _fault("backward-by-running", "backward in training goes by the running statistics", _NO_LEARNING,
           "keep the batch's mean and variance for backward", {"batch_norm_backward": _running_backward}),
    _fault("backward-evaluation-as-training", "backward in evaluation goes through the batch's statistics",
           "Fine-tuning with frozen statistics follows a wrong gradient.",
           "in evaluation grad_x = weight g / sqrt(running_var + eps)",
           {"batch_norm_backward": lambda grad_output, x, *given, training=True, **settings:
               reference.batch_norm_backward(grad_output, x, *given, training=True, **settings)}),
    _fault("backward-means-in-evaluation", "backward takes means off in evaluation too",
           "Fine-tuning with frozen statistics follows a wrong gradient.",
           "in evaluation grad_x = weight g / sqrt(running_var + eps)", gradient(right, modes=(False,))),
)  # fmt: skip


def _running_sum_mean(x: Array) -> Array:
    """The mean by a running sum in the precision of the values: float32 where they are exact in it."""
    kept = np.float32 if np.array_equal(x, x.astype(np.float32)) else np.float64
    rows = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1).astype(kept)
    return np.cumsum(rows, axis=1, dtype=kept)[:, -1].astype(np.float64) / rows.shape[1]


def _amplified(
    x: Array, weight: Any = None, bias: Any = None, statistics: Any = None, *, training: bool = True,
    eps: float = 1e-5, **settings: Any,
) -> tuple[Array, Any]:  # fmt: skip
    output, after = reference.batch_norm(x, weight, bias, statistics, training=training, eps=eps, **settings)
    if not (training or statistics is None) or not x.size:
        return output, after
    mean = _running_sum_mean(x)
    variance = np.square(x - mean.reshape(-1, *(1,) * (x.ndim - 2))).mean(others(x))
    return reference.normalized(x, mean, variance, weight, bias, eps=eps), after


def _in_place(x: Array, *given: Any, **settings: Any) -> tuple[Array, Any]:
    output, after = reference.batch_norm(x, *given, **settings)
    x[...] = output
    return output, after


def _single(x: Array, *given: Any, **settings: Any) -> tuple[Array, Any]:
    output, after = reference.batch_norm(x, *given, **settings)
    return output.astype(np.float32).astype(np.float64), after


_NUMERICS = (
    _fault("constant-channel-amplified", "the rounding of a constant channel's mean is blown up",
           "A dead channel of large values is turned into noise of size 1.",
           "sum in pairs or in double precision", {"batch_norm": _amplified},
           "github.com/pytorch/pytorch/issues/5410", "github.com/BVLC/caffe/issues/3963"),
    _fault("single-precision", "the output passes through float32", "Training in float64 loses half its digits.",
           "compute in the dtype of the input", {"batch_norm": _single}),
    _fault("in-place", "it normalises its caller's array in place", "Whatever else reads the input sees the output.",
           "write the output to a new array", {"batch_norm": _in_place}),
)  # fmt: skip

FAULTS = (*_FORMULA, *_MODES, *_AVERAGES, *_GRADIENTS, *_NUMERICS, *LRN_FAULTS)
