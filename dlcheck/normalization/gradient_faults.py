"""Known mistakes in the gradients of batch normalisation whose values are right."""

from typing import Any

import numpy as np

from dlcheck.normalization import reference
from dlcheck.normalization.mistakes import (
    NO_LEARNING,
    PARAMETERS,
    Array,
    Formula,
    Gradients,
    count,
    fault,
    gradient,
    others,
    over,
    right,
)


def _by_raw(found: Gradients, grad: Array, x: Array) -> Gradients:
    return {"weight": (grad * x).sum(others(x))} if "weight" in found else {}


def _by_centred(grad_output: Array, x: Array, *given: Any, statistics: Any = None, **settings: Any) -> Gradients:
    found = reference.batch_norm_backward(grad_output, x, *given, statistics=statistics, **settings)
    mean, _ = Formula().moments(x, statistics, settings.get("training", True) or statistics is None)
    return {**found, "weight": (grad_output * (x - mean)).sum(others(x))} if "weight" in found else found


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


GRADIENTS = (
    fault("backward-statistics-detached", "mean and variance are held constant in backward", NO_LEARNING,
          "take off mean(g) and hat mean(g hat), where g is the upstream gradient",
          gradient(lambda g, hat, scale, x, mean: scale * g, untracked=False),
          "github.com/keras-team/keras/pull/19102"),
    fault("backward-batch-detached", "the batch's statistics are constants in backward, always",
          NO_LEARNING, "take off mean(g) and hat mean(g hat), where g is the upstream gradient",
          gradient(lambda g, hat, scale, x, mean: scale * g)),
    fault("backward-variance-detached", "the variance is held constant in backward", NO_LEARNING,
          "take off hat mean(g hat) too", gradient(lambda g, hat, scale, x, mean: scale * (g - over(g)))),
    fault("backward-missing-mean-through-var", "the gradient through the mean is missing", NO_LEARNING,
          "take off mean(g) too", gradient(lambda g, hat, scale, x, mean: scale * (g - hat * over(g * hat))),
          "github.com/mlpack/mlpack/issues/1923", "github.com/mlpack/mlpack/pull/2474"),
    fault("backward-extra-mean-term", "the mean's gradient gets an un-centred variance term", NO_LEARNING,
          "sum(x - mean) is 0: the mean has no gradient through the variance",
          gradient(lambda g, hat, scale, x, mean: right(g, hat, scale, x, mean) + scale**2 * over(g * hat) * over(x)),
          "github.com/apache/mxnet/issues/1053"),
    fault("backward-sums-not-averaged", "sums stand in backward where means belong", NO_LEARNING,
          "take off mean(g) and hat mean(g hat)",
          gradient(lambda g, hat, scale, x, mean: scale * (g - over(g, 1) - hat * over(g * hat, 1)))),
    fault("backward-divides-by-examples", "backward divides by the examples, not the values", NO_LEARNING,
          "m = N H W values per channel",
          gradient(lambda g, hat, scale, x, mean: scale * (g - over(g, len(x)) - hat * over(g * hat, len(x))))),
    fault("backward-unbiased", "backward divides the variance's part by m - 1", NO_LEARNING,
          "the batch is normalised by the biased variance",
          gradient(lambda g, hat, scale, x, mean: scale * (g - over(g) - hat * over(g * hat, max(count(x) - 1, 1))))),
    fault("backward-variance-power", "the variance's gradient has (var + eps)^-1, not ^-1.5", NO_LEARNING,
          "grad_var = -1/2 sum(g (x - mean)) (var + eps)^-1.5",
          gradient(lambda g, hat, scale, x, mean: scale * (g - over(g)) - hat * over(g * hat))),
    fault("backward-sign", "the gradient through the variance has the wrong sign", NO_LEARNING,
          "take hat mean(g hat) off",
          gradient(lambda g, hat, scale, x, mean: scale * (g - over(g) + hat * over(g * hat)))),
    fault("backward-scale-left-out", "backward does not divide by the standard deviation", NO_LEARNING,
          "multiply by weight / sqrt(var + eps)",
          {"batch_norm_backward": _undivided}),
    fault("backward-weight-left-out", "the gradient of x leaves the weight out", NO_LEARNING,
          "multiply by weight / sqrt(var + eps)",
          {"batch_norm_backward": lambda grad_output, x, weight=None, bias=None, statistics=None, **settings: {
              **reference.batch_norm_backward(grad_output, x, weight, bias, statistics, **settings),
              "x": reference.batch_norm_backward(grad_output, x, None, None, statistics, **settings)["x"]}}),
    fault("backward-weight-by-raw", "the weight's gradient takes x, not the normalised x", PARAMETERS,
          "grad_weight = sum(g hat)", gradient(right, modes=(), bar=_by_raw)),
    fault("backward-weight-by-centred", "the weight's gradient takes x - mean, undivided", PARAMETERS,
          "grad_weight = sum(g hat)", {"batch_norm_backward": _by_centred}),
    fault("backward-parameters-averaged", "gradients of weight and bias are means, not sums", PARAMETERS,
          "grad_weight = sum(g hat), grad_bias = sum(g)", gradient(right, modes=(), bar=_averaged_bars)),
    fault("backward-parameters-swapped", "gradients of weight and bias are exchanged", PARAMETERS,
          "grad_weight = sum(g hat), grad_bias = sum(g)",
          gradient(right, modes=(), bar=lambda found, grad, x: {
              "weight": found["bias"], "bias": found["weight"]} if "bias" in found else {})),
    fault("backward-upstream-ignored", "the upstream gradient is left out",
          "Layers above have no say in what the layers below learn.", "multiply by grad_output (the chain rule)",
          {"batch_norm_backward": lambda grad_output, *given, **settings: reference.batch_norm_backward(
              np.ones_like(grad_output), *given, **settings)}),
    fault("backward-by-running", "backward in training goes by the running statistics", NO_LEARNING,
          "keep the batch's mean and variance for backward", {"batch_norm_backward": _running_backward}),
    fault("backward-evaluation-as-training", "backward in evaluation goes through the batch's statistics",
          "Fine-tuning with frozen statistics follows a wrong gradient.",
          "in evaluation grad_x = weight g / sqrt(running_var + eps)",
          {"batch_norm_backward": lambda grad_output, x, *given, training=True, **settings:
              reference.batch_norm_backward(grad_output, x, *given, training=True, **settings)}),
    fault("backward-means-in-evaluation", "backward takes means off in evaluation too",
          "Fine-tuning with frozen statistics follows a wrong gradient.",
          "in evaluation grad_x = weight g / sqrt(running_var + eps)", gradient(right, modes=(False,))),
)  # fmt: skip
