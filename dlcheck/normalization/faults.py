"""Known mistakes in normalisation layers."""

from collections.abc import Callable
from typing import Any

import numpy as np

from dlcheck.normalization import reference
from dlcheck.normalization.gradient_faults import GRADIENTS
from dlcheck.normalization.lrn_faults import LRN_FAULTS
from dlcheck.normalization.mistakes import PARAMETERS, Array, Formula, Replaces, averaging, count, fault, layer, others
from dlcheck.normalization.reference import Statistics

_OTHER_FUNCTION = "The layer computes something else than the network was designed and its weights were trained for."
_STATISTICS = "Evaluation goes by wrong statistics: good in training, bad as soon as the model is used."
_NOT_OBEYED = "A setting that was chosen with care has no effect."
_RESUMED = "A model that was saved and loaded gives other results than before."


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


def _moved_by_all(statistics: Statistics, x: Array, **averaging: Any) -> Statistics:
    """The running statistics where every channel sees the numbers of all."""
    return reference.moved_statistics(statistics, np.tile(x.reshape(-1, 1), (1, x.shape[1])), **averaging)


def _kept(old: Array, batch: Array, new: float) -> Array:
    return old


def _unless_none(old: Array, batch: Array, new: float) -> Array:
    """The average, where the weight is a number."""
    return old if np.isnan(new) else _averaged(old, batch, new)


def _with_given(change: Callable[[float | None], float | None]) -> Callable[..., Statistics]:
    """The right average at another momentum than that given."""

    def moved(statistics: Statistics, x: Array, *, momentum: float | None = 0.1, **others: Any) -> Statistics:
        return reference.moved_statistics(statistics, x, momentum=change(momentum), **others)

    return moved


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


def _evaluated(batches: Callable[[Statistics], int]) -> Replaces:
    """The right layer, but evaluation changes the number of batches so far."""

    def batch_norm(x: Array, *given: Any, training: bool = True, **settings: Any) -> tuple[Array, Any]:
        output, after = reference.batch_norm(x, *given, training=training, **settings)
        return output, after if training or after is None else after._replace(batches=batches(after))

    return {"batch_norm": batch_norm}


def _needing_both(component: Replaces) -> Replaces:
    """The layer without scale and shift where one of them is not given."""

    def changed(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arrays: Array, weight: Any = None, bias: Any = None, **others: Any) -> Any:
            both = weight is not None and bias is not None
            return function(*arrays, weight=weight if both else None, bias=bias if both else None, **others)

        return called

    return {name: changed(function) for name, function in component.items()}


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
    fault("scale-needs-shift", "a scale without a shift is left out, and the reverse", PARAMETERS,
          "use each of the two where it is given", _needing_both(layer())),
    fault("mean-not-subtracted", "the mean is not taken off", _OTHER_FUNCTION, "y = w (x - mean) / std + b",
          layer(Formula(shift=0.0))),
    fault("divides-by-variance", "it divides by the variance, not by its root", _OTHER_FUNCTION,
          "divide by sqrt(var + eps)", layer(_BY_VARIANCE)),
    fault("times-deviation", "it multiplies by the standard deviation", _OTHER_FUNCTION,
          "divide by sqrt(var + eps)", layer(_TIMES_DEVIATION)),
    fault("forward-uses-unbiased-var", "the batch is normalised by the unbiased variance",
          "Outputs in training are off by 1/(2m); a batch of one value per channel gives NaN.",
          "normalise by sum((x - mean)^2) / m; m / (m - 1) belongs to the running variance",
          layer(Formula(correction=_unbiased)), "github.com/pytorch/pytorch/issues/60528",
          "github.com/pytorch/pytorch/issues/3122"),
    fault("eps-outside-root", "eps is added to the standard deviation",
          "Channels of small variance are scaled wrongly.",
          "divide by sqrt(var + eps)", layer(_EPS_OUTSIDE)),
    fault("eps-left-out", "eps is left out", "A constant channel gives NaN.", "divide by sqrt(var + eps)",
          layer(_NO_EPS)),
    fault("eps-ignored", "the eps that is given is ignored", _NOT_OBEYED, "divide by sqrt(var + eps)",
          layer(_EPS_FIXED)),
    fault("axes-batch-only", "statistics are taken over the batch axis only",
          "Every pixel has its own statistics, from few values.", "take mean and variance over axes 0, 2, 3",
          layer(Formula(axes=lambda x: (0,)))),
    fault("axes-per-example", "statistics are taken over each example (layer normalisation)",
          "Another layer: it works, but not with weights of batch normalisation.",
          "take mean and variance over all axes but 1", layer(Formula(axes=_per_example))),
    fault("axes-per-map", "statistics are taken over each map (instance normalisation)",
          "Another layer: contrast between examples is lost.", "take mean and variance over axes 0, 2, 3",
          layer(Formula(axes=_per_map))),
    fault("axes-all", "one mean and variance serve all channels", "Channels of small scale stay small.",
          "take mean and variance over all axes but 1", layer(Formula(axes=lambda x: tuple(range(x.ndim))))),
    fault("axes-all-running", "one mean and variance serve all channels, running ones too",
          "Channels of small scale stay small.", "take mean and variance over all axes but 1",
          layer(Formula(axes=lambda x: tuple(range(x.ndim))), moved=_moved_by_all)),
    fault("weight-left-out", "the scale is left out", PARAMETERS, "y = weight hat + bias",
          layer(Formula(weight=lambda w, b: np.ones_like(w)))),
    fault("bias-left-out", "the shift is left out", PARAMETERS, "y = weight hat + bias",
          layer(Formula(bias=lambda w, b: np.zeros_like(b)))),
    fault("weight-one-more", "the scale is 1 + weight", _OTHER_FUNCTION, "y = weight hat + bias",
          layer(Formula(weight=lambda w, b: 1 + w))),
    fault("weight-magnitude", "the scale is the magnitude of weight", _OTHER_FUNCTION, "y = weight hat + bias",
          layer(Formula(weight=lambda w, b: np.abs(w)))),
    fault("weight-bias-swapped", "scale and shift are exchanged", _OTHER_FUNCTION, "y = weight hat + bias",
          layer(Formula(weight=lambda w, b: b, bias=lambda w, b: w))),
    fault("bias-scaled", "the shift is added before the scale", _OTHER_FUNCTION, "y = weight hat + bias",
          layer(Formula(bias=lambda w, b: w * b))),
    fault("bias-sign", "the shift is taken off", _OTHER_FUNCTION, "y = weight hat + bias",
          layer(Formula(bias=lambda w, b: -b))),
)  # fmt: skip

_MODES = (
    fault("evaluation-uses-batch", "evaluation normalises by the batch",
          "What a sample gives depends on the others beside it; one alone gives the bias.",
          "use running_mean and running_var in evaluation", layer(batch_in_evaluation=True)),
    fault("training-uses-running", "training normalises by the running statistics",
          "The first steps are not normalised at all, and the gradient is that of a fixed scale.",
          "use the batch's mean and variance in training", layer(batch_in_training=False)),
    fault("evaluation-always", "training is as evaluation: the batch counts for nothing",
          "The layer is a fixed scale and shift.", "obey the mode",
          layer(batch_in_training=False, moves=lambda training: False)),
    fault("training-always", "evaluation normalises by the batch and moves the statistics",
          "What a sample gives depends on the others beside it, and test data enter the model.", "obey the mode",
          layer(batch_in_evaluation=True, moves=lambda training: True)),
    fault("evaluation-by-variance", "evaluation divides by the running variance, not its root", _STATISTICS,
          "divide by sqrt(running_var + eps)", layer(Formula(), _BY_VARIANCE)),
    fault("evaluation-without-eps", "evaluation leaves eps out", "Outputs of quiet channels jump when training ends.",
          "divide by sqrt(running_var + eps)", layer(Formula(), _NO_EPS)),
    fault("evaluation-eps-outside-root", "evaluation adds eps to the deviation", _STATISTICS,
          "divide by sqrt(running_var + eps)", layer(Formula(), _EPS_OUTSIDE)),
    fault("evaluation-without-scale", "evaluation leaves scale and shift out", _STATISTICS,
          "y = weight (x - running_mean) / sqrt(running_var + eps) + bias",
          layer(Formula(), Formula(weight=lambda w, b: np.ones_like(w), bias=lambda w, b: np.zeros_like(b)))),
    fault("evaluation-corrects-again", "evaluation multiplies the running variance by m/(m-1)", _STATISTICS,
          "running_var is unbiased already",
          layer(Formula(), Formula(running=lambda v, x: v * max(count(x), 2) / max(count(x) - 1, 1)))),
    fault("evaluation-moves", "evaluation moves the running statistics",
          "Results drift with every evaluation, and test data enter the model.",
          "update the statistics in training only", averaging(reference.moved_statistics, lambda training: True)),
    fault("training-does-not-move", "the running statistics never move", _STATISTICS,
          "running_mean <- (1 - momentum) running_mean + momentum mean",
          averaging(reference.moved_statistics, lambda training: False)),
    fault("untracked-not-normalised", "without running statistics evaluation goes by 0 and 1", _STATISTICS,
          "use the batch's statistics where none are tracked",
          layer(starts_untracked=True)),
)  # fmt: skip

_AVERAGES = (
    fault("momentum-meaning-inverted", "momentum weighs the other value than its default is made for",
          "The statistics are those of the last batch, almost; momentum 0 does not freeze but overwrites.",
          "running <- (1 - momentum) running + momentum batch with 0.1, the reverse with 0.9", averaging(_inverted),
          "github.com/mlcommons/algorithmic-efficiency/pull/783", "github.com/pytorch/pytorch/issues/15298"),
    fault("momentum-ignored", "the momentum that is given is ignored", _NOT_OBEYED,
          "running <- (1 - momentum) running + momentum batch",
          averaging(_moved(rate=lambda momentum, batches: None if momentum is None else 0.1))),
    fault("running-mean-fixed", "the running mean never moves", _STATISTICS,
          "running_mean <- (1 - momentum) running_mean + momentum mean", averaging(_moved(mean=_kept))),
    fault("running-var-fixed", "the running variance never moves", _STATISTICS,
          "running_var <- (1 - momentum) running_var + momentum var", averaging(_moved(variance=_kept))),
    fault("running-last-batch", "the running statistics are those of the last batch", _STATISTICS,
          "running <- (1 - momentum) running + momentum batch",
          averaging(_moved(lambda old, batch, new: batch, lambda old, batch, new: batch))),
    fault("running-sum", "the old value does not decay", "The statistics grow without end.",
          "running <- (1 - momentum) running + momentum batch",
          averaging(_moved(lambda old, batch, new: old + new * batch, lambda old, batch, new: old + new * batch))),
    fault("running-first-batch", "the first batch becomes the running statistics", _STATISTICS,
          "start at mean 0 and variance 1, and average from there",
          averaging(_moved(rate=lambda momentum, batches: momentum if batches else None))),
    fault("running-deviation", "the running variance averages standard deviations", _STATISTICS,
          "average the variance", averaging(_moved(estimate=_deviation))),
    fault("running-variance-with-eps", "the running variance holds eps", _STATISTICS,
          "average the variance, not 1 / inv_std^2",
          averaging(_moved(estimate=lambda x, statistics: _corrected(x, 1) + 1e-5))),
    fault("running-correction-inverted", "the running variance takes (m-1)/m", _STATISTICS,
          "multiply the batch's variance by m / (m - 1)",
          averaging(_moved(estimate=lambda x, statistics: _corrected(x, -1)))),
    fault("running-correction-twice", "the running variance takes m/(m-1) twice", _STATISTICS,
          "multiply the biased variance by m / (m - 1), once",
          averaging(_moved(estimate=lambda x, statistics: _corrected(x, 2)))),
    fault("running-correction-by-examples", "m in m/(m-1) counts examples, not values", _STATISTICS,
          "m = N H W values per channel", averaging(_moved(estimate=_by_examples))),
    fault("running-var-about-running-mean", "the running variance is taken about the running mean", _STATISTICS,
          "take the batch's variance about the batch's mean", averaging(_moved(estimate=_about_running_mean))),
    fault("running-second-moment", "the running variance averages squares", _STATISTICS,
          "take the mean off before squaring",
          averaging(_moved(estimate=lambda x, statistics: np.square(x).mean(others(x))))),
    fault("cumulative-off-by-one", "momentum None weighs batch t by 1/(t+1)", _STATISTICS,
          "weigh batch t by 1 / t: count it before dividing",
          averaging(_moved(rate=lambda momentum, batches: 1 / (batches + 2) if momentum is None else momentum))),
    fault("cumulative-is-default", "momentum None is taken for 0.1", _NOT_OBEYED, "weigh batch t by 1 / t",
          averaging(_moved(rate=lambda momentum, batches: 0.1 if momentum is None else momentum))),
    fault("cumulative-never", "momentum None does not move the statistics", _NOT_OBEYED, "weigh batch t by 1 / t",
          averaging(_moved(_unless_none, _unless_none, rate=lambda momentum, batches: (
              np.nan if momentum is None else momentum)))),
    fault("momentum-zero-is-none", "momentum 0 is taken for None", _NOT_OBEYED,
          "if momentum is None, not: momentum or 1 / t",
          averaging(_with_given(lambda momentum: momentum or None))),
    fault("momentum-zero-is-default", "momentum 0 is taken for 0.1", _NOT_OBEYED,
          "momentum or 0.1 is 0.1 for momentum 0",
          averaging(_with_given(lambda momentum: 0.1 if momentum == 0 else momentum))),
    fault("starts-at-variance-zero", "the running variance starts at 0", _STATISTICS,
          "start running_var at 1",
          {"initial_statistics": lambda channels: Statistics(np.zeros(channels), np.zeros(channels))}),
    fault("moves-first", "training normalises by the statistics just moved", _OTHER_FUNCTION,
          "use the batch's mean and variance in training",
          {"batch_norm": layer(batch_in_training=False, moves_first=True)["batch_norm"],
           "batch_norm_backward": layer(batch_in_training=False)["batch_norm_backward"]}),
    fault("statistics-not-saved", "load_state_dict does not restore the running statistics", _RESUMED,
          "keep running_mean and running_var as buffers",
          {"reload_statistics": lambda statistics: statistics and reference.initial_statistics(len(statistics.mean))}),
    fault("count-not-saved", "load_state_dict does not restore the count of batches", _RESUMED,
          "keep num_batches_tracked as a buffer",
          {"reload_statistics": lambda statistics: statistics and statistics._replace(batches=0)}),
    fault("copies-share-statistics", "a copy shares the running statistics with its original", _RESUMED,
          "register_buffer, and no __deepcopy__ that passes them on", {"copied": lambda own, of_original: of_original}),
    fault("statistics-need-gradients", "statistics move only where gradients are recorded", _STATISTICS,
          "move them whenever self.training holds", {"unrecorded": lambda before, after: before}),
    fault("cumulative-counts-evaluation", "batches of evaluation count in the average", _STATISTICS,
          "count batches in training alone", _evaluated(lambda statistics: statistics.batches + 1)),
    fault("cumulative-restarts", "the average starts anew after evaluation", _STATISTICS,
          "keep num_batches_tracked in evaluation", _evaluated(lambda statistics: 0)),
    fault("momentum-fixed", "a momentum changed from outside is not seen", _NOT_OBEYED,
          "read self.momentum in forward",
          {"outside_change": lambda settings, change: settings}),
    fault("freeze-backup-overwritten", "freezing twice loses the momentum to come back to",
          "After unfreezing the statistics never move again.", "keep a momentum of 0 from being backed up",
          {"freeze": lambda settings: {**settings, "kept": settings.get("frozen", False), "frozen": True},
           "unfreeze": lambda settings: {**settings, "frozen": settings["kept"]}},
          "github.com/mlcommons/algorithmic-efficiency/pull/783"),
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


def _last_where_it_fits() -> dict[str, Callable[..., Any]]:
    """Sequences with as many steps as channels, with the two exchanged."""

    def exchanged(x: Array) -> Array:
        return x.swapaxes(1, 2) if x.ndim == 3 and x.shape[1] == x.shape[2] else x

    def batch_norm(x: Array, *given: Any, **settings: Any) -> tuple[Array, Any]:
        output, after = reference.batch_norm(exchanged(x), *given, **settings)
        return exchanged(output), after

    def backward(grad_output: Array, x: Array, *given: Any, **settings: Any) -> dict[str, Array]:
        found = reference.batch_norm_backward(exchanged(grad_output), exchanged(x), *given, **settings)
        return {**found, "x": exchanged(found["x"])}

    return {"batch_norm": batch_norm, "batch_norm_backward": backward}


_NUMERICS = (
    fault("channels-last-where-it-fits", "the last axis is taken for the channels where it fits", _OTHER_FUNCTION,
          "channels are axis 1, whatever the lengths", _last_where_it_fits()),
    fault("constant-channel-amplified", "the rounding of a constant channel's mean is blown up",
          "A dead channel of large values is turned into noise of size 1.",
          "sum in pairs or in double precision", {"batch_norm": _amplified},
          "github.com/pytorch/pytorch/issues/5410", "github.com/BVLC/caffe/issues/3963"),
    fault("single-precision", "the output passes through float32", "Training in float64 loses half its digits.",
          "compute in the dtype of the input", {"batch_norm": _single}),
    fault("in-place", "it normalises its caller's array in place", "Whatever else reads the input sees the output.",
          "write the output to a new array", {"batch_norm": _in_place}),
)  # fmt: skip

FAULTS = (*_FORMULA, *_MODES, *_AVERAGES, *GRADIENTS, *_NUMERICS, *LRN_FAULTS)
